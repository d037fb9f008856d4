//! Tests of the whole layer: what the connection makes of scripts of bytes and of time.

mod bad_input;
#[cfg(feature = "curve")]
mod curve;
mod encoding;
mod null;
mod plain;
mod sealing;
mod talking;
mod timers;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::command::{Command, Properties, put_property};
use super::fuzzing::written;
use super::greeting;
use super::*;
use crate::options::LinkOptions;
use crate::queue::Queue;
use crate::security::{Mechanism, User, Verdict};
use crate::{DisconnectReason, Message, SocketType};

/// A connection with all that comes out of it.
struct End {
    connection: Connection,
    inbox: VecDeque<Message>,
    events: Vec<Event>,
    /// What the application says of the peer.
    verdict: Verdict,
}

impl End {
    fn new(socket_type: SocketType, now: Instant) -> Self {
        Self::with(socket_type, &LinkOptions::default(), now)
    }

    fn with(socket_type: SocketType, options: &LinkOptions, now: Instant) -> Self {
        Self {
            connection: Connection::new(Arc::new(Config::new(socket_type, options)), now),
            inbox: VecDeque::new(),
            events: Vec::new(),
            verdict: Ok(Arc::new(User::new("tester"))),
        }
    }

    /// An end that has shaken hands with a peer of this version.
    fn ready(socket_type: SocketType, minor: u8, options: &LinkOptions, now: Instant) -> Self {
        let mut end = Self::with(socket_type, options, now);
        end.feed(&fuzzing::prelude(socket_type, minor), now).unwrap();
        assert!(end.connection.is_ready());
        end.transmit();
        end
    }

    fn handle_input(
        &mut self,
        bytes: &[u8],
        room: &mut Room,
        now: Instant,
    ) -> Result<usize, DisconnectReason> {
        let mut inbox = Queue::new();
        let result = self.connection.handle_input(bytes, room, &mut inbox, now);
        self.inbox.extend(inbox);
        result
    }

    /// Feeds all of the bytes. The application answers at once; a peer that it denies has heard so at the end.
    fn feed(&mut self, bytes: &[u8], now: Instant) -> Result<(), DisconnectReason> {
        let mut rest = bytes;
        loop {
            let result = self.handle_input(rest, &mut Room::UNBOUNDED.clone(), now);
            self.events.extend(self.connection.poll_event());
            rest = &rest[result?..];
            if !self.connection.is_deciding() {
                assert_eq!(rest, []);
                return Ok(());
            }
            self.connection.handle_verdict(self.verdict.clone(), now)?;
            self.connection.handle_timeout(now + limits::DENIAL_PAUSE)?;
        }
    }

    fn transmit(&mut self) -> Vec<u8> {
        let mut batch = Batch::new();
        self.connection.poll_transmit(&mut batch);
        written(&batch)
    }

    fn encode(&mut self, message: impl Into<Message>) -> Vec<u8> {
        let mut batch = Batch::new();
        self.connection.encode(message.into(), &mut batch);
        written(&batch)
    }
}

fn hello() -> Vec<u8> {
    greeting::emit(&Mechanism::Null).to_vec()
}

fn frame(flags: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    super::frame::put_header(flags, body.len(), &mut out);
    out.extend_from_slice(body);
    out
}

fn command(command: Command<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    command.emit(&mut body);
    frame(super::frame::COMMAND, &body)
}

fn ready(properties: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in properties {
        put_property(name, value, &mut body);
    }
    command(Command::Ready(Properties::new(&body)))
}
