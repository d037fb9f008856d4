//! One direction of a proxy: takes from one socket what the other has room for.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::end::{End, Given, Room, Set};
use crate::error::TryRecvError;
use crate::message::{Frame, Message};
use crate::stats::Count;

/// Peers remembered for not having taken a message in the time that they had. When there are more, all get their time
/// again. At 80 bytes each, 80 KiB.
const MAX_STUCK: usize = 1024;

/// Messages one way, and what became of them.
pub(super) struct Lane {
    from: Arc<dyn End>,
    to: Arc<dyn End>,
    capture: Option<Arc<dyn End>>,
    /// How long a message waits that only one peer can take.
    patience: Option<Duration>,
    held: Option<Held>,
    /// Who has not taken a message in time, and has none of that time left.
    stuck: HashSet<Frame>,
    stats: LaneStats,
}

/// A message that was taken and could not be given.
struct Held {
    message: Message,
    since: Instant,
}

/// The figures of one direction.
#[derive(Clone, Debug, Default)]
pub(super) struct LaneStats {
    pub(super) received: Count,
    pub(super) sent: Count,
    pub(super) undeliverable: Count,
    pub(super) captured: u64,
    pub(super) capture_dropped: u64,
}

/// What came of an attempt to move one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Moved,
    /// There is nothing to take.
    Empty,
    /// There is no room.
    NoRoom,
    /// One of the sockets is closed.
    Closed,
}

fn count_of(message: &Message) -> Count {
    Count {
        messages: 1,
        bytes: message.byte_len() as u64,
    }
}

impl Lane {
    pub(super) fn new(
        from: Arc<dyn End>,
        to: Arc<dyn End>,
        capture: Option<Arc<dyn End>>,
        patience: Option<Duration>,
    ) -> Self {
        Self {
            from,
            to,
            capture,
            patience,
            held: None,
            stuck: HashSet::new(),
            stats: LaneStats::default(),
        }
    }

    pub(super) fn stats(&self) -> &LaneStats {
        &self.stats
    }

    /// Moves up to `limit` messages as long as `go_on` says so, and tells what the last attempt came to.
    pub(super) fn turn(&mut self, limit: usize, go_on: impl Fn() -> bool) -> Step {
        let mut last = Step::Moved;
        for _ in 0..limit {
            if !go_on() {
                break;
            }
            last = self.step();
            if last != Step::Moved {
                break;
            }
        }
        last
    }

    /// Takes a message only if there is room for it, as far as that can be known before it is seen.
    fn step(&mut self) -> Step {
        if let Some(held) = self.held.take() {
            return self.give(held.message, Some(held.since));
        }
        match self.to.room() {
            Room::Some => {}
            Room::None => return Step::NoRoom,
            Room::Closed => return Step::Closed,
        }
        match self.from.take() {
            Ok(message) => {
                self.stats.received.merge(count_of(&message));
                self.give(message, None)
            }
            Err(TryRecvError::Empty) => Step::Empty,
            Err(TryRecvError::Closed) => Step::Closed,
        }
    }

    fn give(&mut self, message: Message, since: Option<Instant>) -> Step {
        let count = count_of(&message);
        // The message will be gone when it is known whether the capture is to have it.
        let copy = self.capture.as_ref().map(|_| message.clone());
        let addressee = self.addressee(&message);
        let mut place = Some(message);
        let given = self.to.give(&mut place);
        let Some(message) = place else {
            addressee.inspect(|addressee| _ = self.stuck.remove(addressee));
            self.stats.sent.merge(count);
            self.hand_to_capture(copy);
            return Step::Moved;
        };
        let held = match given {
            Given::Full if self.is_out_of_time(addressee.as_ref(), since) => None,
            Given::Undeliverable => None,
            Given::Full => Some(Step::NoRoom),
            Given::Taken | Given::Closed => Some(Step::Closed),
        };
        let Some(step) = held else {
            self.stats.undeliverable.merge(count);
            return Step::Moved;
        };
        self.held = Some(Held {
            message,
            since: since.unwrap_or_else(Instant::now),
        });
        step
    }

    /// By what the one peer is known that can take a message, if that is of interest.
    fn addressee(&self, message: &Message) -> Option<Frame> {
        self.patience?;
        message.frames().first().cloned()
    }

    /// Tells whether a message for a peer without room has waited enough, and remembers the peer if so.
    fn is_out_of_time(&mut self, addressee: Option<&Frame>, since: Option<Instant>) -> bool {
        let (Some(patience), Some(addressee)) = (self.patience, addressee) else {
            return false;
        };
        if !self.to.is_addressed() {
            return false;
        }
        if self.stuck.contains(addressee) {
            return true;
        }
        let late = since.map_or(patience.is_zero(), |since| since.elapsed() >= patience);
        if late {
            if self.stuck.len() >= MAX_STUCK {
                self.stuck.clear();
            }
            self.stuck.insert(addressee.clone());
        }
        late
    }

    fn hand_to_capture(&mut self, copy: Option<Message>) {
        let (Some(capture), Some(copy)) = (&self.capture, copy) else {
            return;
        };
        match capture.give(&mut Some(copy)) {
            Given::Taken => self.stats.captured += 1,
            Given::Full | Given::Undeliverable | Given::Closed => self.stats.capture_dropped += 1,
        }
    }

    /// Where to wait for what an attempt has lacked.
    pub(super) fn place_to_wait(&self, lack: Step) -> Option<(&Arc<dyn End>, Set)> {
        match lack {
            Step::Empty => Some((&self.from, Set::Receivers)),
            Step::NoRoom => Some((&self.to, Set::Senders)),
            Step::Moved | Step::Closed => None,
        }
    }

    /// When a message that waits for one peer will have waited enough.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let held = self.held.as_ref().filter(|_| self.to.is_addressed())?;
        held.since.checked_add(self.patience?)
    }

    /// Tells whether either socket is closed.
    pub(super) fn is_closed(&self) -> bool {
        self.from.is_closed() || self.to.is_closed()
    }

    pub(super) fn ends(&self) -> [&Arc<dyn End>; 2] {
        [&self.from, &self.to]
    }

    /// Gives up the message that was taken and cannot be given, after a last attempt.
    pub(super) fn give_up(&mut self) -> Option<Message> {
        let held = self.held.take()?;
        self.give(held.message, Some(held.since));
        self.held.take().map(|held| held.message)
    }
}
