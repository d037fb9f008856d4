//! A session without a stream: it does with its links what `reactor::session` does with the system's.

use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::link::{Arrived, Link};
use super::rng::Rng;
use crate::pipe::{PipeEnd, WakeReader, Wakes};
use crate::queue::{self, Queue, Run};
use crate::zmtp::{Batch, Connection, Room};
use crate::{DisconnectReason, Message};

/// Bytes encoded before they are written; small, so that the edges are met often.
const BATCH_BYTES: usize = 4 * 1024;

/// Bytes read at once at most.
const READ_BYTES: usize = 8 * 1024;

/// A session's end of a pipe, with the key under which the socket knows its own end.
pub(super) struct Hold {
    pub(super) pipe: usize,
    pub(super) end: PipeEnd,
}

/// One side of a connection.
pub(super) struct Session {
    pub(super) connection: Connection,
    /// The pipe of the side that connects, until the handshake is done.
    pub(super) waiting: Option<Hold>,
    pub(super) hold: Option<Hold>,
    pub(super) alive: bool,
    receives: bool,
    /// Everything is written and our side is closed; what the peer still sends is thrown away, until this time.
    pub(super) draining: Option<Duration>,
    pub(super) unsent: Batch,
    leftover: Vec<u8>,
    pub(super) stalled: bool,
    /// The socket has made room: to be run although nothing arrived.
    pub(super) scheduled: bool,
    pub(super) gathering: bool,
    active: bool,
}

/// What a session works with for a moment.
pub(super) struct Surroundings<'a> {
    pub(super) input: &'a mut Link,
    pub(super) output: &'a mut Link,
    pub(super) rng: &'a mut Rng,
    pub(super) start: Instant,
    pub(super) now: Duration,
    pub(super) wakes: Wakes,
    /// Messages handed to the connection.
    pub(super) handed: Vec<Message>,
    /// Messages that came from the connection into the pipe.
    pub(super) arrived: Vec<Message>,
}

impl Surroundings<'_> {
    fn instant(&self) -> Instant {
        self.start + self.now
    }
}

type Result<T = ()> = std::result::Result<T, DisconnectReason>;

impl Session {
    pub(super) fn new(connection: Connection, waiting: Option<Hold>, receives: bool) -> Self {
        Self {
            connection,
            waiting,
            hold: None,
            alive: true,
            receives,
            draining: None,
            unsent: Batch::new(),
            leftover: Vec::new(),
            stalled: false,
            scheduled: false,
            gathering: false,
            active: false,
        }
    }

    /// Writes until there is nothing left or the link takes no more. Tells whether everything ever sent is written.
    pub(super) fn flush(&mut self, around: &mut Surroundings<'_>) -> Result<bool> {
        if self.draining.is_some() {
            return Ok(false);
        }
        if !self.unsent.is_empty() {
            let mut unsent = std::mem::take(&mut self.unsent);
            let written = write(&mut unsent, around);
            self.unsent = unsent;
            written?;
            if !self.unsent.is_empty() {
                return Ok(false);
            }
        }
        let mut batch = Batch::new();
        loop {
            self.connection.poll_transmit(&mut batch);
            self.encode(&mut batch, around);
            if batch.is_empty() {
                break;
            }
            write(&mut batch, around)?;
            if !batch.is_empty() {
                self.unsent = batch.take_rest();
                if let Some(hold) = &mut self.hold {
                    hold.end.doze();
                }
                break;
            }
        }
        let Some(hold) = &mut self.hold else {
            return Ok(false);
        };
        around.wakes.extend(hold.end.release());
        Ok(self.unsent.is_empty() && hold.end.is_finished())
    }

    fn encode(&mut self, batch: &mut Batch, around: &mut Surroundings<'_>) {
        let Some(hold) = &mut self.hold else { return };
        while batch.len() < BATCH_BYTES {
            if self.connection.passes_packed(batch) {
                let room = BATCH_BYTES - batch.len();
                let mut passed = Queue::new();
                let put = |run: Run<'_>| {
                    let (whole, load) = queue::measure(run.bytes(), |_| true);
                    assert_eq!(whole, run.bytes());
                    passed.push_run(whole, load);
                    batch.put_run(run);
                };
                if hold.end.pop_run(room, put, &mut around.wakes) > 0 {
                    around.handed.extend(passed);
                    self.active = true;
                    continue;
                }
            }
            let Some(message) = hold.end.pop(&mut around.wakes) else {
                return;
            };
            around.handed.push(message.clone());
            self.connection.encode(message, batch);
            self.active = true;
        }
    }

    /// Begins to let messages gather.
    pub(super) fn begin_gathering(&mut self, bytes: u32) {
        if let Some(hold) = &mut self.hold {
            self.gathering = true;
            hold.end.set_sleep(WakeReader::AtBytes(bytes));
        }
    }

    pub(super) fn end_gathering(&mut self) {
        self.gathering = false;
        if let Some(hold) = &mut self.hold {
            hold.end.set_sleep(WakeReader::OnPush);
        }
    }

    /// Tells whether something was written since this was asked last.
    pub(super) fn was_active(&mut self) -> bool {
        std::mem::take(&mut self.active)
    }

    /// Decodes what was left, then reads once. Stops when the handshake is done, for the world to attach a pipe.
    pub(super) fn fill(&mut self, around: &mut Surroundings<'_>) -> Result {
        self.scheduled = false;
        if self.draining.is_some() {
            self.leftover.clear();
            return self.drain(around);
        }
        let leftover = std::mem::take(&mut self.leftover);
        if !leftover.is_empty() || self.stalled {
            self.decode(&leftover, around)?;
        }
        if !self.stalled && self.leftover.is_empty() && around.input.is_readable(around.now) {
            self.read(around)?;
        }
        assert!(self.leftover.len() <= READ_BYTES);
        Ok(())
    }

    /// Throws away what a peer sends that we have said goodbye to.
    fn drain(&mut self, around: &mut Surroundings<'_>) -> Result {
        match around.input.read(READ_BYTES, around.now) {
            Arrived::End => Err(DisconnectReason::PeerClosed),
            Arrived::Bytes(_) | Arrived::Nothing => Ok(()),
        }
    }

    fn read(&mut self, around: &mut Surroundings<'_>) -> Result {
        if let Some(hold) = &mut self.hold
            && hold.end.room().is_none()
        {
            self.stalled = true;
            return Ok(());
        }
        let most = around.rng.pick(&[1, 100, READ_BYTES, READ_BYTES]);
        let (body, _) = self.connection.intake(most);
        if !body.is_empty() {
            let bytes = match around.input.read(body.len(), around.now) {
                Arrived::Bytes(bytes) => bytes,
                Arrived::Nothing => return Ok(()),
                Arrived::End => return Err(DisconnectReason::PeerClosed),
            };
            body[..bytes.len()].copy_from_slice(&bytes);
            let mut inbox = Queue::new();
            let mut room = Room::UNBOUNDED;
            let now = around.instant();
            let result = self
                .connection
                .handle_direct(bytes.len(), &mut room, &mut inbox, now);
            self.deliver(&mut inbox, around);
            return result;
        }
        match around.input.read(most, around.now) {
            Arrived::Bytes(bytes) => self.decode(&bytes, around),
            Arrived::Nothing => Ok(()),
            Arrived::End => Err(DisconnectReason::PeerClosed),
        }
    }

    /// Decodes into the pipe, as far as there is room.
    fn decode(&mut self, bytes: &[u8], around: &mut Surroundings<'_>) -> Result {
        let mut rest = bytes;
        loop {
            let mut room = Room {
                messages: 0,
                bytes: 0,
            };
            self.stalled = false;
            if let Some(hold) = &mut self.hold {
                let Some((messages, bytes)) = hold.end.room() else {
                    self.stalled = true;
                    break;
                };
                room = Room {
                    messages: usize::try_from(messages).unwrap_or(usize::MAX),
                    bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
                };
            }
            let was_ready = self.connection.is_ready();
            let mut inbox = Queue::new();
            let now = around.instant();
            let result = self.connection.handle_input(rest, &mut room, &mut inbox, now);
            self.deliver(&mut inbox, around);
            rest = rest.get(result?..).unwrap_or_default();
            // A pipe comes with the end of the handshake; the rest waits for it.
            if rest.is_empty() || !was_ready {
                break;
            }
        }
        self.leftover = rest.to_vec();
        Ok(())
    }

    /// Tells whether there is something to decode although nothing more arrived.
    pub(super) fn has_leftover(&self) -> bool {
        !self.leftover.is_empty()
    }

    fn deliver(&mut self, inbox: &mut Queue, around: &mut Surroundings<'_>) {
        match &mut self.hold {
            Some(hold) if self.receives => {
                around.arrived.extend(inbox.clone());
                around.wakes.extend(hold.end.push_all(inbox));
            }
            _ => inbox.clear(),
        }
    }

    pub(super) fn describe(&self) -> String {
        format!(
            "stalled {}, scheduled {}, gathering {}, draining {:?}, unsent {}, left over {}, {:?}",
            self.stalled,
            self.scheduled,
            self.gathering,
            self.draining,
            self.unsent.len(),
            self.leftover.len(),
            self.connection
        )
    }

    /// Writes what a refused peer is told.
    pub(super) fn send_last_words(&mut self, around: &mut Surroundings<'_>) {
        if self.unsent.is_empty() && self.connection.wants_transmit() {
            let mut batch = Batch::new();
            self.connection.poll_transmit(&mut batch);
            // The connection ends either way.
            let _ = write(&mut batch, around);
        }
    }
}

/// Writes as much as the link takes.
fn write(batch: &mut Batch, around: &mut Surroundings<'_>) -> Result {
    while !batch.is_empty() {
        let mut slices = SmallVec::new();
        batch.slices(&mut slices);
        let Ok(written) = around.output.write(&slices, around.now, around.rng) else {
            return Err(DisconnectReason::Io(std::io::ErrorKind::BrokenPipe));
        };
        drop(slices);
        if written == 0 {
            return Ok(());
        }
        batch.advance(written);
    }
    Ok(())
}
