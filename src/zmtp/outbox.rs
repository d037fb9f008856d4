//! The outbox: what the connection itself has to say, each thing at most once, however slowly the peer reads.

use super::command::{Command, cut_context};
use super::connection::Config;
use super::encoder::Batch;
use super::frame::{self, put_header};
use super::greeting;
use super::limits::PING_CONTEXT;

const GREETING: u8 = 1;
const HELLO: u8 = 1 << 1;
const ERROR: u8 = 1 << 2;
const PONG: u8 = 1 << 3;
const PING: u8 = 1 << 4;

/// What is due. Nothing is encoded before it is asked for, so that a peer that never reads costs these bytes only.
#[derive(Debug)]
pub(super) struct Outbox {
    due: u8,
    context_len: u8,
    context: [u8; PING_CONTEXT],
    /// The reason in the ERROR command.
    error: Box<str>,
}

impl Outbox {
    /// A connection begins with its greeting.
    pub(super) fn new() -> Self {
        Self {
            due: GREETING,
            context_len: 0,
            context: [0; PING_CONTEXT],
            error: Box::default(),
        }
    }

    #[inline]
    pub(super) fn is_due(&self) -> bool {
        self.due != 0
    }

    /// Lets the opening command of the mechanism go.
    pub(super) fn hello(&mut self) {
        self.due |= HELLO;
    }

    /// Asks for a sign of life.
    pub(super) fn ping(&mut self) {
        self.due |= PING;
    }

    /// Answers a PING. There is one answer at most: a later PING replaces the context.
    pub(super) fn pong(&mut self, context: &[u8]) {
        let context = cut_context(context);
        self.context
            .iter_mut()
            .zip(context)
            .for_each(|(slot, byte)| *slot = *byte);
        self.context_len = u8::try_from(context.len()).unwrap_or(0);
        self.due |= PONG;
    }

    /// Says why the peer is refused, and nothing after that.
    pub(super) fn refuse(&mut self, reason: Box<str>) {
        self.due = (self.due & GREETING) | ERROR;
        self.error = reason;
    }

    /// Says nothing more.
    pub(super) fn silence(&mut self) {
        self.due = 0;
    }

    pub(super) fn emit(&mut self, config: &Config, out: &mut Batch) {
        let due = std::mem::take(&mut self.due);
        if due & GREETING != 0 {
            out.put(&greeting::emit(config.mechanism));
        }
        if due & HELLO != 0 {
            let mut body = Vec::new();
            config.mechanism.emit_hello(config, &mut body);
            let mut header = Vec::new();
            put_header(frame::COMMAND, body.len(), &mut header);
            out.put(&header);
            out.put(&body);
        }
        if due & ERROR != 0 {
            out.put_command(&Command::Error(self.error.as_bytes()));
            self.error = Box::default();
        }
        if due & PONG != 0 {
            let context = self
                .context
                .get(..usize::from(self.context_len))
                .unwrap_or_default();
            out.put_command(&Command::Pong { context });
        }
        if due & PING != 0 {
            out.put_command(&Command::Ping {
                ttl: config.ttl_to_announce(),
                context: &[],
            });
        }
    }
}
