//! The books of one pipe: the names of what was sent into it and of what came out, in order.
//!
//! A queue that drops what it has taken does not say what that was. But it says how much, and what comes out behind the gap
//! tells the rest; until then the books have [missing](Books::missing) messages.

use std::collections::VecDeque;

use super::ledger::Name;
use super::topics::WELCOME;
use crate::Message;
use crate::pattern::as_subscription;
use crate::pipe::{PipeEnd, WhenFull};
use crate::stats::{DropReason, Drops};

/// What came in.
pub(super) struct Arrival {
    pub(super) name: Option<Name>,
    /// What it means if it is a subscription: true, or false if it takes one back, and the topic.
    pub(super) subscription: Option<(bool, Vec<u8>)>,
}

impl Arrival {
    pub(super) fn new(name: Option<Name>, message: &Message) -> Self {
        let subscription = as_subscription(message).map(|(subscribe, topic)| (subscribe, topic.to_vec()));
        Self { name, subscription }
    }
}

/// What is known of the messages of a pipe.
#[derive(Default)]
pub(super) struct Books {
    when_full: WhenFull,
    /// What was sent in all, and what of it was not handed to a connection yet.
    sent: u64,
    queued: VecDeque<Option<Name>>,
    drops: Drops,
    /// What has come in and was not read yet.
    pub(super) arrived: VecDeque<Arrival>,
}

impl Books {
    pub(super) fn new(when_full: WhenFull) -> Self {
        Self {
            when_full,
            ..Self::default()
        }
    }

    /// Why messages are missing from the queue, if any are.
    fn reason(&self) -> DropReason {
        match self.when_full {
            WhenFull::KeepNewest => DropReason::Conflated,
            _ => DropReason::SlowPeer,
        }
    }

    /// Finds whether a message that was sent went into the pipe; tells how many copies.
    pub(super) fn note_sent(&mut self, near: &PipeEnd, name: Option<Name>) -> u64 {
        let sent = near.traffic().accepted.messages;
        let copies = sent - self.sent;
        self.queued.extend((0..copies).map(|_| name));
        self.sent = sent;
        copies
    }

    /// Finds what was dropped when a message was sent, as far as that can be told: the message itself, if the queue does
    /// not displace others, or one of the same topic.
    pub(super) fn note_refused(
        &mut self,
        near: &PipeEnd,
        topic: impl Fn(Option<Name>) -> Vec<u8>,
    ) -> Vec<(Option<Name>, DropReason)> {
        let drops = near.traffic().dropped;
        let before = std::mem::replace(&mut self.drops, drops);
        let new = |reason| drops.of(reason) - before.of(reason);
        let mut dropped = Vec::new();
        if matches!(self.when_full, WhenFull::DropOldest | WhenFull::KeepNewest) {
            return dropped;
        }
        for reason in [DropReason::SlowPeer, DropReason::PeerGone] {
            for _ in 0..new(reason) {
                dropped.extend(self.queued.pop_back().map(|name| (name, reason)));
            }
        }
        for _ in 0..new(DropReason::Conflated) {
            let newest = self.queued.pop_back().flatten();
            let older = self.queued.iter().rposition(|name| topic(*name) == topic(newest));
            let older = older.and_then(|at| self.queued.remove(at));
            dropped.push((older.expect("an older one of the topic"), DropReason::Conflated));
            self.queued.push_back(newest);
        }
        dropped
    }

    /// Finds what the pattern has dropped from the front because another peer must not have it.
    pub(super) fn note_withdrawn(&mut self, near: &PipeEnd) -> Vec<Option<Name>> {
        let gone = if self.displaces() { 0 } else { self.missing(near) };
        self.drops = near.traffic().dropped;
        (0..gone).filter_map(|_| self.queued.pop_front()).collect()
    }

    /// A connection has taken out a message: what was in front of it was dropped.
    pub(super) fn handed(&mut self, name: Option<Name>) -> Vec<(Option<Name>, DropReason)> {
        let at = self.queued.iter().position(|queued| *queued == name);
        let at = at.unwrap_or_else(|| panic!("{name:?} went out, and is none of {:?}", self.queued));
        let dropped = self.queued.drain(..=at).take(at).collect();
        self.explain(dropped)
    }

    /// All that was left in the pipe was taken out: what else should be there was dropped.
    pub(super) fn emptied(&mut self, rest: &[Option<Name>]) -> Vec<(Option<Name>, DropReason)> {
        let mut rest = rest.iter().peekable();
        let queued = std::mem::take(&mut self.queued);
        let dropped = queued.into_iter().filter(|name| rest.next_if_eq(&name).is_none());
        let dropped = dropped.collect();
        assert_eq!(rest.next(), None, "it was out of turn, or never sent");
        self.explain(dropped)
    }

    fn explain(&self, dropped: Vec<Option<Name>>) -> Vec<(Option<Name>, DropReason)> {
        assert!(
            dropped.is_empty() || self.displaces(),
            "{dropped:?} are not there, and nothing was to be displaced"
        );
        let reason = self.reason();
        dropped.into_iter().map(|name| (name, reason)).collect()
    }

    /// Whether the queue drops what it has taken, other than for one of the same topic.
    fn displaces(&self) -> bool {
        matches!(self.when_full, WhenFull::DropOldest | WhenFull::KeepNewest)
    }

    /// How many messages were dropped without being known yet.
    pub(super) fn missing(&self, near: &PipeEnd) -> u64 {
        self.queued.len() as u64 - near.queued()
    }

    /// The same, if they were dropped for this reason.
    pub(super) fn missing_for(&self, reason: DropReason, near: &PipeEnd) -> u64 {
        if self.reason() == reason {
            self.missing(near)
        } else {
            0
        }
    }

    /// How many messages that came in took the place of others, without being known yet.
    pub(super) fn replaced(&self, near: &PipeEnd) -> u64 {
        self.arrived.len() as u64 - near.unread()
    }

    /// Tells that the pipe holds what it should, and no more than it may.
    pub(super) fn check(&self, near: &PipeEnd, conflates_input: bool) {
        assert!(self.missing(near) == 0 || self.displaces());
        // Which of those without a name is left is not known.
        let newest = self.queued.back().copied().flatten();
        assert!(
            near.queued() > 0 || newest.is_none(),
            "{newest:?} was dropped, the newest"
        );
        assert!(self.replaced(near) == 0 || conflates_input);
        assert!(near.unread() > 0 || self.arrived.is_empty() || conflates_input);
    }
}

/// The first frame of what a publisher sends without a name.
pub(super) fn unnamed_topic() -> Vec<u8> {
    WELCOME.to_vec()
}
