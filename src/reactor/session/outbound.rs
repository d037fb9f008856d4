//! The writing side of a session: pipe → protocol → stream, and when a burst is left to gather.

use std::cell::{Cell, RefCell};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::super::driver::TICK;
use super::{Aftermath, Session, State};
use crate::error::DisconnectReason;
use crate::pipe::WakeReader;
use crate::zmtp::Batch;

/// Bytes encoded before they are written: room for a full gathering with its headers, so that one write takes it all.
const BATCH_BYTES: usize = 128 * 1024;

/// Bytes of bodies that a burst gathers before its sender writes them. A batch four times smaller costs a quarter of
/// the throughput, a larger one falls out of the cache.
const GATHERED_BYTES: u32 = 64 * 1024;

/// What all bursts of a reactor together may gather, as far as [`GATHERED_LEAST`] allows: with many peers it is the cache
/// that decides.
const GATHERED_IN_ALL: u32 = 1024 * 1024;

/// What a burst gathers at least, or its system calls would cost more than the cache saves.
const GATHERED_LEAST: u32 = 8 * 1024;

/// Ticks without a write after which a burst has paused. Two, for a fast sender takes longer than one tick to fill a
/// batch, and must not find the I/O thread at its pipe.
const IDLE_TICKS: u32 = 2;

/// A burst is over when its sender has rested for so many times the pause between its sends: one with many peers needs a
/// while to come back to each.
const PAUSES_TO_END: u32 = 2;

/// Ticks after which a burst is over in any case: a tenth of a second, in which a thousand peers can be written to twenty
/// times.
const MOST_IDLE_TICKS: u32 = 1000;

/// How long a peer that has been sent everything may take to end its side. One that is alive does so as soon as it has
/// read; the end of a program shall not wait long for one that is not.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Bytes written in one go before other sessions get their turn.
const WRITE_BUDGET: usize = 1024 * 1024;

/// Messages in a row that each get a system call of their own before a sender is taken to be in a burst.
const EAGER_SENDS: u32 = 4;

/// Two sends are "in a row" if the second begins this soon after the first was written: too soon for a sender that
/// waits for an answer, and ten times the pause of one in a loop. Time in which it wrote to other peers does not count.
const IN_A_ROW: Duration = Duration::from_micros(5);

/// A sender with many peers needs time for each of them, too: what is left of a pause may be this part of the time that
/// writing to the others took. More, and one that waits for the answers of its peers would be taken to be in a burst.
const SHARE_BESIDE_WRITES: u32 = 4;

/// One that writes to others for so long is interrupted on the way, for a while that says nothing of it.
const LONG_ROUND: Duration = Duration::from_micros(500);

/// How long a thread that has lost its processor may have to wait for it.
const SLICE: Duration = Duration::from_millis(4);

/// How a session's senders behave.
#[derive(Debug, Default)]
pub(super) struct Burst {
    /// Messages are left to gather; see `Gathering`.
    pub(super) gathering: bool,
    /// Something was written since the last tick.
    active: bool,
    /// Ticks since the last one that found something written.
    idle_ticks: u32,
    /// How many of them end the burst.
    patience: u32,
    /// Sends in a row that were each written at once.
    eager: u32,
    last: Option<Written>,
}

impl Burst {
    /// Messages gather from now on, of a sender that paused for so long between the last two.
    fn begin(&mut self, pause: Duration) {
        self.gathering = true;
        let ticks = pause.saturating_mul(PAUSES_TO_END).as_micros() / TICK.as_micros();
        self.patience = u32::try_from(ticks).unwrap_or(u32::MAX).min(MOST_IDLE_TICKS);
    }

    /// Tells, at a tick that is counted hereby, whether the burst is over.
    fn has_rested(&mut self) -> bool {
        self.count_tick() > self.patience
    }

    /// Returns how many ticks ago, this one included, something was written.
    fn count_tick(&mut self) -> u32 {
        self.idle_ticks = if std::mem::take(&mut self.active) {
            0
        } else {
            self.idle_ticks + 1
        };
        self.idle_ticks
    }
}

/// When a sender had written something.
#[derive(Clone, Copy, Debug)]
struct Written {
    at: Instant,
    /// How long its thread had been writing until then, of all its life.
    writing: Duration,
}

impl Written {
    fn now() -> Self {
        Self {
            at: Instant::now(),
            writing: WRITING.get(),
        }
    }

    /// Returns the pause until the next send to the same peer, if that follows in a row.
    fn pause_in_row(self, next: Self) -> Option<Duration> {
        let pause = next.at.saturating_duration_since(self.at);
        // Between two threads that send in turn this means nothing, but it does not happen often in a row.
        let elsewhere = next.writing.saturating_sub(self.writing);
        let interrupted = if elsewhere < LONG_ROUND {
            Duration::ZERO
        } else {
            SLICE
        };
        let most = IN_A_ROW + elsewhere / SHARE_BESIDE_WRITES + interrupted;
        (pause.saturating_sub(elsewhere) < most).then_some(pause)
    }
}

thread_local! {
    /// The batch that this thread encodes into: no idle connection needs one of its own.
    static BATCH: RefCell<Batch> = RefCell::new(Batch::new());
    /// The time that this thread has spent to write single messages.
    static WRITING: Cell<Duration> = const { Cell::new(Duration::ZERO) };
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
        let begin = Written::now();
        let pause = state.burst.last.and_then(|last| last.pause_in_row(begin));
        state.burst.eager = pause.map_or(0, |_| state.burst.eager + 1);
        if let Some(pause) = pause
            && state.burst.eager >= EAGER_SENDS
        {
            self.begin_gathering(state, pause);
        }
        self.flush(state, after)?;
        let at = Instant::now();
        let writing = begin.writing + at.saturating_duration_since(begin.at);
        WRITING.set(writing);
        state.burst.last = Some(Written { at, writing });
        Ok(())
    }

    /// Has the sockets of these sessions put what they have staged into the pipes, and writes it.
    pub(in super::super) fn flush_gathered<'a>(sessions: impl Iterator<Item = &'a Arc<Self>> + Clone) {
        Self::publish(sessions.clone());
        for session in sessions {
            session.run(|state, after| session.flush(state, after));
        }
    }

    /// Takes note of a tick; tells whether the sender has paused. One that has written by itself lately has not.
    pub(in super::super) fn has_paused(&self) -> bool {
        self.state.lock().burst.count_tick() >= IDLE_TICKS
    }

    /// Tells, after what had been gathered was written, whether that was nothing, and has been for long enough; or whether
    /// the connection is closed.
    pub(in super::super) fn has_rested(&self) -> bool {
        self.is_ended() || self.state.lock().burst.has_rested()
    }

    /// The burst is over: from now on each message is written at once.
    pub(in super::super) fn end_gathering(self: &Arc<Self>) {
        self.run(|state, after| {
            state.burst = Burst::default();
            self.set_sleep(state, WakeReader::OnPush);
            self.flush(state, after)
        });
        // The socket may have staged more, believing that the burst lasts.
        Self::publish([self].into_iter());
    }

    /// Has the sockets of these sessions put what they have staged into the pipes. Neighbours of one socket go together:
    /// were it locked for each of a thousand, a busy sender would let this thread wait as often.
    fn publish<'a>(sessions: impl Iterator<Item = &'a Arc<Self>>) {
        let mut sessions = sessions.peekable();
        let mut pipes = SmallVec::<[usize; 8]>::new();
        while let Some(session) = sessions.next() {
            pipes.extend(session.state.lock().link.as_ref().map(|link| link.pipe));
            let hooks = &session.config.hooks;
            if sessions
                .peek()
                .is_none_or(|next| !Arc::ptr_eq(&next.config.hooks, hooks))
            {
                hooks.publish(&pipes);
                pipes.clear();
            }
        }
    }

    fn begin_gathering(&self, state: &mut State, pause: Duration) {
        let Some(myself) = self.myself.upgrade() else {
            return;
        };
        state.burst.begin(pause);
        let bursts = self.reactor.gathering.add(myself);
        let share = GATHERED_IN_ALL / u32::try_from(bursts.max(1)).unwrap_or(u32::MAX);
        let bytes = share.clamp(GATHERED_LEAST, GATHERED_BYTES);
        self.set_sleep(state, WakeReader::AtBytes(bytes));
        if bursts == 1 {
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
                count = link.end.pop_run(room, |run| batch.put_run(run), &mut after.wakes);
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

#[cfg(test)]
mod tests {
    use super::*;

    const MICRO: Duration = Duration::from_micros(1);

    /// The pause of a sender that spent so long writing to others before it came back.
    fn pause(elsewhere: Duration, beside: Duration) -> Option<Duration> {
        let writing = Duration::from_secs(7);
        let last = Written {
            at: Instant::now(),
            writing,
        };
        last.pause_in_row(Written {
            at: last.at + elsewhere + beside,
            writing: writing + elsewhere,
        })
    }

    #[test]
    fn a_sender_with_one_peer_is_in_a_row_if_it_hardly_pauses() {
        assert_eq!(pause(Duration::ZERO, 4 * MICRO), Some(4 * MICRO));
        assert_eq!(pause(Duration::ZERO, 6 * MICRO), None);
    }

    #[test]
    fn a_sender_with_a_thousand_peers_is_in_a_row_though_each_waits_for_its_turn() {
        assert_eq!(pause(400 * MICRO, 80 * MICRO), Some(480 * MICRO));
        assert_eq!(pause(4000 * MICRO, 300 * MICRO), Some(4300 * MICRO));
    }

    #[test]
    fn a_round_that_was_interrupted_is_still_in_a_row() {
        assert_eq!(pause(2000 * MICRO, 3000 * MICRO), Some(5000 * MICRO));
        assert_eq!(pause(2000 * MICRO, 5000 * MICRO), None);
    }

    #[test]
    fn a_sender_that_does_more_than_write_is_not_in_a_row() {
        assert_eq!(pause(36 * MICRO, 44 * MICRO), None);
    }

    #[test]
    fn a_burst_to_many_peers_outlasts_the_pause_between_two_rounds_of_them() {
        let ticks_to_end = |pause| {
            let mut burst = Burst::default();
            burst.begin(pause);
            (1..).find(|_| burst.has_rested())
        };
        assert_eq!(ticks_to_end(MICRO), Some(1));
        assert_eq!(ticks_to_end(40 * TICK), Some(81));
        assert_eq!(ticks_to_end(Duration::MAX / 2), Some(MOST_IDLE_TICKS + 1));
    }
}
