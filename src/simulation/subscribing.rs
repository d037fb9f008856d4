//! Applications that subscribe: SUB and XSUB.

use std::collections::{BTreeMap, BTreeSet};

use super::application::{Application, Desk, Letter, budget};
use super::ledger::{Ledger, Name};
use super::topics::{self, Wants};
use crate::options::Options;
use crate::pattern::{Offer, Pipes, Subscribes};
use crate::{Message, SocketType};

type Topics = BTreeSet<Vec<u8>>;

/// Receives what it wants, and changes its mind.
pub(super) struct Listener<P> {
    to_send: usize,
    /// It sends although no publisher is there.
    eager: bool,
    wants: Wants,
    /// What it has wanted since a publisher was connected, by pipe, and at any time.
    since: BTreeMap<usize, Topics>,
    ever: Topics,
    /// It does not receive for a while.
    lazy: bool,
    pattern: std::marker::PhantomData<P>,
}

impl<P: Subscribes> Listener<P> {
    fn subscribe(&mut self, pattern: &mut P, pipes: &mut Pipes, desk: &mut Desk<'_>) {
        let topic = topics::choose(desk.rng);
        self.wants.add(topic);
        self.ever.insert(topic.to_vec());
        for since in self.since.values_mut() {
            since.insert(topic.to_vec());
        }
        if P::TYPE == SocketType::XSub && desk.rng.one_in(2) {
            Self::say(pattern, 1, topic, pipes);
        } else {
            pattern.subscribe(topic, pipes);
        }
    }

    /// Takes a subscription back, be there one or not.
    fn unsubscribe(&mut self, pattern: &mut P, pipes: &mut Pipes, desk: &mut Desk<'_>) {
        let topic = topics::choose(desk.rng);
        let had = self.wants.remove(topic);
        if P::TYPE == SocketType::XSub && desk.rng.one_in(2) {
            Self::say(pattern, 0, topic, pipes);
        } else {
            assert_eq!(pattern.unsubscribe(topic, pipes), had);
        }
    }

    /// Subscribes or cancels by a message.
    fn say(pattern: &mut P, first: u8, topic: &[u8], pipes: &mut Pipes) {
        let message = Message::from([&[first], topic].concat());
        assert_eq!(pattern.send(&mut Some(message), pipes), Offer::Taken);
    }
}

impl<P: Subscribes> Application for Listener<P> {
    type Pattern = P;
    const FANS_OUT: bool = true;

    fn new(options: &mut Options, desk: &mut Desk<'_>) -> Self {
        options.topics.invert = desk.plan.invert;
        options.conflate = desk.rng.one_in(6);
        let sends = P::TYPE == SocketType::XSub;
        Self {
            to_send: if sends { budget(desk) } else { 0 },
            eager: desk.rng.one_in(8),
            wants: Wants::default(),
            since: BTreeMap::new(),
            ever: Topics::new(),
            lazy: false,
            pattern: std::marker::PhantomData,
        }
    }

    fn be_reborn(&mut self) {
        self.wants = Wants::default();
        self.since.clear();
        self.lazy = false;
    }

    fn begin(&mut self, pattern: &mut P, pipes: &mut Pipes, desk: &mut Desk<'_>) {
        for _ in 0..desk.rng.below(4) {
            self.subscribe(pattern, pipes, desk);
        }
    }

    fn connected(&mut self, pipe: usize) {
        self.since.insert(pipe, self.wants.topics());
    }

    /// What comes was wanted at some time since the publisher was connected; or at all, if it keeps its queue from one
    /// connection to the next.
    fn arrived(&mut self, pipe: usize, name: Option<Name>, message: &Message, desk: &mut Desk<'_>) {
        let Some(name) = name.filter(|_| !desk.ledger.dirty && !desk.plan.invert) else {
            return;
        };
        let keeps = desk
            .plan
            .routes
            .iter()
            .any(|joint| joint.ends == [name.0, desk.slot] && joint.keeps_pipe);
        let wanted = if keeps {
            Some(&self.ever)
        } else {
            self.since.get(&pipe)
        };
        assert!(
            wanted.is_some_and(|wanted| topics::matches(wanted, message)),
            "{name:?} was not wanted: {message:?}"
        );
    }

    fn wants_to_send(&self, _is_clearing: bool) -> bool {
        self.to_send > 0 && (self.eager || !self.since.is_empty())
    }

    fn wants_to_recv(&self) -> bool {
        !self.lazy
    }

    fn wants_to_act(&self) -> bool {
        true
    }

    fn compose(&mut self, desk: &mut Desk<'_>) -> Letter<Message> {
        let name = desk.ledger.next(desk.slot);
        Letter {
            name,
            out: desk.ledger.issue(name),
            answers: None,
        }
    }

    fn settle(&mut self, _name: Name, offer: Offer, _back: Option<Message>, _desk: &mut Desk<'_>) -> bool {
        assert_eq!(offer, Offer::Taken);
        self.to_send -= 1;
        false
    }

    fn sent(&mut self, name: Name, pipes: &[usize], _desk: &Desk<'_>) {
        let pipes: BTreeSet<_> = pipes.iter().collect();
        assert!(
            pipes.into_iter().eq(self.since.keys()),
            "{name:?} was for all publishers"
        );
    }

    fn name_of(received: &Message, ledger: &Ledger) -> Option<Name> {
        ledger.name(received)
    }

    fn heard(&mut self, message: Message, read: Option<Option<Name>>, desk: &mut Desk<'_>) {
        let name = read.unwrap_or_else(|| panic!("a message out of nowhere: {message:?}"));
        if let Some(name) = name {
            let whole = message == desk.ledger.issue(name);
            assert!(whole || desk.ledger.dirty, "{name:?} was torn: {message:?}");
        }
        let wanted = topics::matches(&self.wants.topics(), &message) != desk.plan.invert;
        assert!(
            wanted || P::TYPE == SocketType::XSub,
            "{name:?} is not wanted: {message:?}"
        );
    }

    fn act(&mut self, pattern: &mut P, pipes: &mut Pipes, desk: &mut Desk<'_>) {
        match desk.rng.below(8) {
            0..4 => self.subscribe(pattern, pipes, desk),
            4..7 => self.unsubscribe(pattern, pipes, desk),
            _ => self.lazy = !self.lazy,
        }
        assert_eq!(pattern.topics(), self.wants.len());
    }

    fn disconnected(&mut self, pipe: usize) {
        self.since.remove(&pipe);
    }

    fn calm_down(&mut self) {
        self.lazy = false;
        self.eager = true;
    }

    fn wants(&self) -> Option<Topics> {
        Some(self.wants.topics())
    }

    fn is_content(&self, _ledger: &Ledger) -> bool {
        self.to_send == 0
    }

    fn describe(&self) -> String {
        format!(
            "still to send {}, lazy {}, wants {:?}",
            self.to_send, self.lazy, self.wants
        )
    }
}
