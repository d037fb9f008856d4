//! The writing side of a session: pipe → protocol → stream, and when a burst is left to gather.

use std::cell::RefCell;
use std::io;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::{Aftermath, Session, State};
use crate::error::DisconnectReason;
use crate::pipe::WakeReader;
use crate::zmtp::Batch;

/// Bytes encoded before they are written: room for a full gathering with its headers, so that one write takes it all.
const BATCH_BYTES: usize = 128 * 1024;

/// Bytes of bodies that a burst gathers before its sender writes them. A batch four times smaller costs a quarter of
/// the throughput, a larger one falls out of the cache.
const GATHERED_BYTES: u64 = 64 * 1024;

/// Ticks without a write after which a burst has paused. Two, for a fast sender takes longer than one tick to fill a
/// batch, and must not find the I/O thread at its pipe.
const IDLE_TICKS: u32 = 2;

/// How long a peer that has been sent everything may take to end its side. One that is alive does so as soon as it has
/// read; the end of a program shall not wait long for one that is not.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Bytes written in one go before other sessions get their turn.
const WRITE_BUDGET: usize = 1024 * 1024;

/// Messages in a row that each get a system call of their own before a sender is taken to be in a burst.
const EAGER_SENDS: u32 = 4;

/// Two sends are "in a row" if the second begins this soon after the first was written: too soon for a sender that
/// waits for an answer, and ten times the pause of one in a loop.
const IN_A_ROW: Duration = Duration::from_micros(5);

/// How a session's senders behave.
#[derive(Debug, Default)]
pub(super) struct Burst {
    /// Messages are left to gather; see `Gathering`.
    pub(super) gathering: bool,
    /// Something was written since the last tick.
    active: bool,
    /// Ticks since the last one that found something written.
    idle_ticks: u32,
    /// Sends in a row that were each written at once.
    eager: u32,
    last: Option<Instant>,
}

thread_local! {
    /// The batch that this thread encodes into: no idle connection needs one of its own.
    static BATCH: RefCell<Batch> = RefCell::new(Batch::new());
}

impl Session {
    /// Writes for a sender that has just put a message into an idle pipe, and notices bursts.
    pub(super) fn flush_pushed(
        &self,
        state: &mut State,
        after: &mut Aftermath,
    ) -> Result<(), DisconnectReason> {
        if state.burst.gathering {
            return self.flush(state, after);
        }
        let in_a_row = state.burst.last.is_some_and(|last| last.elapsed() < IN_A_ROW);
        state.burst.eager = if in_a_row { state.burst.eager + 1 } else { 0 };
        if state.burst.eager >= EAGER_SENDS {
            self.begin_gathering(state);
        }
        self.flush(state, after)?;
        state.burst.last = Some(Instant::now());
        Ok(())
    }

    /// Writes what was gathered, for a thread that is about to block.
    pub(in super::super) fn flush_gathered(&self) {
        self.publish();
        self.run(|state, after| self.flush(state, after));
    }

    /// Looks after a burst: one whose sender has written by itself since the last tick is left alone, one that has
    /// paused is written, and one in which nothing came is over: returns false.
    pub(in super::super) fn tick(&self) -> bool {
        if self.count_tick() < IDLE_TICKS {
            return true;
        }
        self.flush_gathered();
        if self.count_tick() == 0 {
            return true;
        }
        self.run(|state, after| {
            state.burst = Burst::default();
            self.set_sleep(state, WakeReader::OnPush);
            self.flush(state, after)
        });
        // The socket may have staged more, believing that the burst lasts.
        self.publish();
        false
    }

    /// Returns how many ticks ago, this one included, something was written.
    fn count_tick(&self) -> u32 {
        let burst = &mut self.state.lock().burst;
        burst.idle_ticks = if std::mem::take(&mut burst.active) {
            0
        } else {
            burst.idle_ticks + 1
        };
        burst.idle_ticks
    }

    /// Has the socket put what it has staged into the pipe.
    fn publish(&self) {
        let pipe = self.state.lock().link.as_ref().map(|link| link.pipe);
        if let Some(pipe) = pipe {
            self.config.hooks.publish(pipe);
        }
    }

    fn begin_gathering(&self, state: &mut State) {
        let Some(myself) = self.myself.upgrade() else {
            return;
        };
        state.burst.gathering = true;
        self.set_sleep(state, WakeReader::AtBytes(GATHERED_BYTES));
        if self.reactor.gathering.add(myself) {
            self.reactor.driver.set_bursting(true);
        }
    }

    fn set_sleep(&self, state: &mut State, sleep: WakeReader) {
        if let Some(link) = &mut state.link {
            link.end.set_sleep(sleep);
        }
    }

    /// Writes until there is nothing left, the system takes no more, or the budget is spent.
    pub(super) fn flush(&self, state: &mut State, after: &mut Aftermath) -> Result<(), DisconnectReason> {
        if state.connecting || state.draining {
            return Ok(());
        }
        if !state.unsent.is_empty() {
            let mut unsent = std::mem::take(&mut state.unsent);
            let written = self.write(state, &mut unsent);
            state.unsent = unsent;
            written?;
            if !state.unsent.is_empty() {
                return Ok(());
            }
            state.unsent = Batch::new();
        }
        self.set_errand(state, false);
        let result = BATCH.with(|batch| match batch.try_borrow_mut() {
            Ok(mut batch) => self.drain(state, &mut batch, after),
            // Only a write within a write could come here; none exists, and a fresh batch is right all the same.
            Err(_) => self.drain(state, &mut Batch::new(), after),
        });
        if let Some(link) = &mut state.link {
            after.wakes.extend(link.end.release());
        }
        result?;
        if state.unsent.is_empty() && state.link.as_mut().is_some_and(|link| link.end.is_finished()) {
            if state.handed == 0 {
                // The peer got nothing from us, so there is nothing that it could miss.
                return Err(DisconnectReason::Local);
            }
            self.begin_draining(state)?;
        }
        Ok(())
    }

    /// Everything is written and nothing more will come: says so, and waits for the peer's own end. To close at once
    /// would make the system throw away what the peer has not read, if the peer has said anything meanwhile.
    fn begin_draining(&self, state: &mut State) -> Result<(), DisconnectReason> {
        let Some(stream) = &mut state.stream else {
            return Ok(());
        };
        // An end that is here already was sent before the peer can have read everything.
        match stream.read(&mut [0; 512]) {
            Ok(0) => return Err(DisconnectReason::PeerClosed),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(DisconnectReason::Io(error.kind())),
        }
        state.draining = true;
        stream.shutdown_write();
        self.reactor
            .mailbox
            .lock()
            .timers
            .disarm(self.key, &mut state.armed);
        let patience = self
            .config
            .linger
            .map_or(DRAIN_TIMEOUT, |linger| linger.min(DRAIN_TIMEOUT));
        let deadline = Instant::now().checked_add(patience);
        self.reactor.arm(self.key, &mut state.armed, deadline);
        // Bytes that have come already are announced no more.
        self.reactor.schedule(self.key);
        Ok(())
    }

    /// Encodes and writes batch after batch. The batch is left empty.
    fn drain(
        &self,
        state: &mut State,
        batch: &mut Batch,
        after: &mut Aftermath,
    ) -> Result<(), DisconnectReason> {
        let mut budget = WRITE_BUDGET;
        loop {
            state.connection.poll_transmit(batch);
            self.encode(state, batch, after);
            let size = batch.len();
            if size == 0 {
                return Ok(());
            }
            if let Err(reason) = self.write(state, batch) {
                batch.clear();
                return Err(reason);
            }
            if !batch.is_empty() {
                state.unsent = batch.take_rest();
                if let Some(link) = &mut state.link {
                    // The stream, not the pipe, is what to wait for now.
                    link.end.doze();
                }
                self.set_errand(state, true);
                return Ok(());
            }
            budget = budget.saturating_sub(size);
            if budget == 0 {
                self.reactor.schedule(self.key);
                return Ok(());
            }
        }
    }

    /// Fills the batch from the pipe. Stops short of emptying the pipe when the batch is full.
    fn encode(&self, state: &mut State, batch: &mut Batch, after: &mut Aftermath) {
        let Some(link) = &mut state.link else { return };
        while batch.len() < BATCH_BYTES {
            let mut count = 0;
            if state.connection.passes_packed(batch) {
                let room = BATCH_BYTES - batch.len();
                count = link.end.pop_run(room, |run| batch.put(run), &mut after.wakes);
            }
            if count == 0 {
                let Some(message) = link.end.pop(&mut after.wakes) else {
                    return;
                };
                state.connection.encode(message, batch);
                count = 1;
            }
            state.handed += count;
            state.burst.active = true;
        }
    }

    /// Writes as much of the batch as the system takes.
    fn write(&self, state: &mut State, batch: &mut Batch) -> Result<(), DisconnectReason> {
        let Some(stream) = &mut state.stream else {
            return Err(DisconnectReason::Local);
        };
        while !batch.is_empty() {
            let mut slices = SmallVec::new();
            batch.slices(&mut slices);
            match stream.write_vectored(&slices) {
                Ok(written) => {
                    drop(slices);
                    batch.advance(written);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(DisconnectReason::Io(error.kind())),
            }
        }
        Ok(())
    }

    /// Writes an ERROR command that is still to be sent, as far as the system takes it at once.
    pub(super) fn send_last_words(&self, state: &mut State) {
        if state.connecting || !state.unsent.is_empty() || !state.connection.wants_transmit() {
            return;
        }
        let mut batch = Batch::new();
        state.connection.poll_transmit(&mut batch);
        // The connection ends either way.
        let _ = self.write(state, &mut batch);
    }

    /// Notes whether the system has to be waited for, which the I/O thread does if nobody else drives.
    pub(super) fn set_errand(&self, state: &mut State, errand: bool) {
        if std::mem::replace(&mut state.errand, errand) == errand {
            return;
        }
        if errand {
            self.reactor.add_errand();
        } else {
            self.reactor.remove_errand();
        }
    }
}
