//! Applications that publish: PUB and XPUB.

use std::collections::{BTreeMap, BTreeSet};

use super::application::{Application, Desk, Letter, budget};
use super::books::Arrival;
use super::ledger::{Ledger, Name};
use super::topics::{self, WELCOME};
use crate::Message;
use crate::options::{Options, SlowPolicy, Verbosity};
use crate::pattern::{Offer, Pattern, Pipes, PubPattern, Publisher, SubscriberId, XPubEvent, XPubPattern};

type Topics = BTreeSet<Vec<u8>>;

/// What is still sent once nothing changes any more, which most subscribers do not want.
const CALM_BUDGET: usize = 5;

/// What PUB and XPUB have in common.
pub(super) trait Publishes: Pattern<Out = Message> {
    fn publisher(&mut self) -> &mut Publisher;

    /// What was received, as an event; a PUB receives nothing.
    fn event(received: Self::In) -> Option<XPubEvent>;

    /// Looks at what was received before it is heard.
    fn peek(received: &Self::In) -> Option<&XPubEvent>;

    fn decide(&mut self, id: SubscriberId, subscribe: bool, topic: &[u8], pipes: &mut Pipes) -> bool;
}

impl Publishes for PubPattern {
    fn publisher(&mut self) -> &mut Publisher {
        self.publisher()
    }

    fn event(received: Message) -> Option<XPubEvent> {
        panic!("a PUB has received {received:?}")
    }

    fn peek(_received: &Message) -> Option<&XPubEvent> {
        None
    }

    fn decide(&mut self, _id: SubscriberId, _subscribe: bool, _topic: &[u8], _pipes: &mut Pipes) -> bool {
        false
    }
}

impl Publishes for XPubPattern {
    fn publisher(&mut self) -> &mut Publisher {
        self.publisher()
    }

    fn event(received: XPubEvent) -> Option<XPubEvent> {
        Some(received)
    }

    fn peek(received: &XPubEvent) -> Option<&XPubEvent> {
        Some(received)
    }

    fn decide(&mut self, id: SubscriberId, subscribe: bool, topic: &[u8], pipes: &mut Pipes) -> bool {
        self.decide(id, subscribe, topic, pipes)
    }
}

/// Publishes, to subscribers of whom it knows as well as its socket what they want.
pub(super) struct Source<P> {
    to_send: usize,
    /// It sends although nobody has subscribed to anything.
    eager: bool,
    /// A subscriber has to be waited for.
    blocked: bool,
    invert: bool,
    manual: bool,
    verbosity: Verbosity,
    /// What each subscriber that is connected has subscribed to, by pipe.
    heard: BTreeMap<usize, Topics>,
    /// By the notices that came, how often each topic is subscribed to; and how often it was once too often, by one that had
    /// it already, or had it not.
    told: BTreeMap<Vec<u8>, i64>,
    idle: BTreeMap<Vec<u8>, i64>,
    /// Subscribers that were heard of.
    known: Vec<SubscriberId>,
    /// The last message of each.
    last: BTreeMap<SubscriberId, Name>,
    pattern: std::marker::PhantomData<P>,
}

impl<P: Publishes> Source<P> {
    /// The pipes of those who want a message.
    fn wanting(&self, message: &Message) -> BTreeSet<usize> {
        let wants = |topics: &Topics| topics::matches(topics, message) != self.invert;
        let all = self.heard.iter();
        all.filter(|(_, topics)| wants(topics))
            .map(|(pipe, _)| *pipe)
            .collect()
    }

    /// A subscriber subscribes or cancels; what changes nothing is told of all the same, if the application wants all.
    fn change(&mut self, pipe: usize, subscribe: bool, topic: &[u8]) {
        let Some(topics) = self.heard.get_mut(&pipe) else {
            return;
        };
        let idle = self.idle.entry(topic.to_vec()).or_default();
        if subscribe {
            *idle += i64::from(!topics.insert(topic.to_vec()));
        } else {
            *idle -= i64::from(!topics.remove(topic));
        }
    }

    /// A notice has come. What was told is a set, unless all is told.
    fn note(&mut self, subscribe: bool, topic: &[u8]) {
        let told = self.told.entry(topic.to_vec()).or_default();
        let news = (*told > 0) != subscribe;
        match self.verbosity {
            Verbosity::All => *told += if subscribe { 1 } else { -1 },
            Verbosity::Changes => {
                assert!(news, "{subscribe} {topic:?} was told before");
                *told = i64::from(subscribe);
            }
            Verbosity::Subscriptions => {
                assert!(news || subscribe, "{topic:?} was cancelled before");
                *told = i64::from(subscribe);
            }
        }
    }

    fn check_message(&mut self, id: SubscriberId, message: &Message, desk: &Desk<'_>) {
        let Some(name) = desk.ledger.name(message) else {
            return assert!(desk.ledger.dirty, "a message that was never sent: {message:?}");
        };
        assert!(
            *message == desk.ledger.issue(name) || desk.ledger.dirty,
            "{name:?} was torn"
        );
        let last = self.last.insert(id, name);
        assert!(last < Some(name), "{name:?} came after {last:?}");
    }
}

impl<P: Publishes> Application for Source<P> {
    type Pattern = P;
    const FANS_OUT: bool = true;
    const HEARS: bool = true;

    fn new(options: &mut Options, desk: &mut Desk<'_>) -> Self {
        let topics = &mut options.topics;
        topics.slow = desk.rng.pick(&[
            SlowPolicy::DropNewest,
            SlowPolicy::DropOldest,
            SlowPolicy::NewestOfTopic,
            SlowPolicy::Block,
            SlowPolicy::Disconnect,
        ]);
        topics.invert = desk.plan.invert;
        topics.manual = desk.rng.one_in(4);
        topics.verbosity = desk
            .rng
            .pick(&[Verbosity::Changes, Verbosity::Subscriptions, Verbosity::All]);
        topics.welcome = desk.rng.one_in(4).then(|| Message::from(WELCOME));
        options.conflate = desk.rng.one_in(6);
        Self {
            to_send: 3 * budget(desk),
            eager: desk.rng.one_in(8),
            blocked: false,
            invert: topics.invert,
            manual: topics.manual && P::TYPE == crate::SocketType::XPub,
            verbosity: topics.verbosity,
            heard: BTreeMap::new(),
            told: BTreeMap::new(),
            idle: BTreeMap::new(),
            known: Vec::new(),
            last: BTreeMap::new(),
            pattern: std::marker::PhantomData,
        }
    }

    fn be_reborn(&mut self) {
        self.blocked = false;
        self.heard.clear();
        self.told.clear();
        self.idle.clear();
        self.known.clear();
        self.last.clear();
    }

    fn connected(&mut self, pipe: usize) {
        self.heard.insert(pipe, Topics::new());
    }

    fn disconnected(&mut self, pipe: usize) {
        self.heard.remove(&pipe);
    }

    fn has_read(&mut self, pipe: usize, arrival: &Arrival) -> bool {
        if !self.heard.contains_key(&pipe) {
            return false;
        }
        match &arrival.subscription {
            Some((subscribe, topic)) if !self.manual => self.change(pipe, *subscribe, topic),
            Some(_) => {}
            None => return P::TYPE == crate::SocketType::XPub,
        }
        true
    }

    fn wants_to_send(&self, _is_clearing: bool) -> bool {
        let heard = self.heard.values().any(|topics| !topics.is_empty());
        self.to_send > 0 && !self.blocked && (self.eager || heard)
    }

    fn wants_to_recv(&self) -> bool {
        P::TYPE == crate::SocketType::XPub
    }

    fn wants_to_act(&self) -> bool {
        !self.known.is_empty()
    }

    fn compose(&mut self, desk: &mut Desk<'_>) -> Letter<Message> {
        let name = desk.ledger.next(desk.slot);
        Letter {
            name,
            out: desk.ledger.issue(name),
            answers: None,
        }
    }

    fn sent(&mut self, name: Name, pipes: &[usize], desk: &Desk<'_>) {
        let wanting = self.wanting(&desk.ledger.issue(name));
        let pipes: BTreeSet<_> = pipes.iter().copied().collect();
        assert_eq!(pipes, wanting, "{name:?} was for others: {:?}", self.heard);
    }

    fn settle(&mut self, name: Name, offer: Offer, back: Option<Message>, desk: &mut Desk<'_>) -> bool {
        assert_ne!(offer, Offer::Refused);
        self.blocked = offer == Offer::Full;
        match back {
            Some(message) => assert_eq!(message, desk.ledger.issue(name)),
            None => self.to_send -= 1,
        }
        false
    }

    /// Receives; and does for a subscriber what that asks for, if this is left to the application.
    fn recv(&mut self, pattern: &mut P, place: &mut Option<P::In>, pipes: &mut Pipes) -> Option<usize> {
        let from = pattern.recv(place, pipes);
        let event = place.as_ref().and_then(P::peek).filter(|_| self.manual);
        let (id, subscribe, topic) = match event {
            Some(XPubEvent::Subscribe { subscriber, topic }) => (*subscriber, true, topic),
            Some(XPubEvent::Cancel { subscriber, topic }) => (*subscriber, false, topic),
            _ => return from,
        };
        let pipe = pattern.publisher().pipe(id);
        let had = |source: &Self| {
            pipe.and_then(|pipe| source.heard.get(&pipe))
                .map(|all| all.contains(&**topic))
        };
        let changes = had(self).is_some_and(|had| had != subscribe);
        assert_eq!(pattern.decide(id, subscribe, topic, pipes), changes);
        pipe.into_iter()
            .for_each(|pipe| self.change(pipe, subscribe, topic));
        from
    }

    fn heard(&mut self, received: P::In, _read: Option<Option<Name>>, desk: &mut Desk<'_>) {
        let Some(event) = P::event(received) else { return };
        let id = event.subscriber();
        if !self.known.contains(&id) {
            self.known.push(id);
        }
        match event {
            XPubEvent::Subscribe { topic, .. } if !self.manual => self.note(true, &topic),
            XPubEvent::Cancel { topic, .. } if !self.manual => self.note(false, &topic),
            XPubEvent::Subscribe { .. } | XPubEvent::Cancel { .. } => {}
            XPubEvent::Message { message, .. } => self.check_message(id, &message, desk),
        }
    }

    /// Says something to one subscriber, who may be gone or slow.
    fn act(&mut self, pattern: &mut P, pipes: &mut Pipes, desk: &mut Desk<'_>) {
        let id = self.known[desk.rng.below(self.known.len())];
        let there = pattern.publisher().pipe(id);
        let mut out = Some(Message::from(WELCOME));
        let offer = pattern.publisher().send_to(id, &mut out, pipes);
        assert_eq!(offer == Offer::Refused, there.is_none());
        assert_eq!(
            there.is_some(),
            there.is_some_and(|pipe| self.heard.contains_key(&pipe))
        );
    }

    fn check_awake(&self, name: Name, pipes: &Pipes, ledger: &Ledger) {
        let wanting = self.wanting(&ledger.issue(name));
        let busy = wanting.into_iter().any(|pipe| pipes.queued(pipe) > 0);
        assert!(busy || !self.blocked, "{name:?} waits for nobody");
    }

    fn woken(&mut self) {
        self.blocked = false;
    }

    fn calm_down(&mut self) {
        self.eager = true;
        self.to_send = self.to_send.min(CALM_BUDGET);
    }

    fn send_once_more(&mut self) {
        self.to_send += 1;
    }

    fn check_subscribers(&mut self, pattern: &mut P, wanted: &BTreeMap<usize, Topics>) {
        assert_eq!(self.heard, *wanted, "a publisher does not know what is wanted");
        let mut holders = BTreeMap::<usize, Topics>::new();
        let mut counts = BTreeMap::<Vec<u8>, i64>::new();
        pattern.publisher().index().for_each(|topic, pipe| {
            assert!(holders.entry(pipe).or_default().insert(topic.to_vec()));
            *counts.entry(topic.to_vec()).or_default() += 1;
        });
        let all = self.heard.iter().filter(|(_, topics)| !topics.is_empty());
        assert!(
            all.eq(holders.iter()),
            "{holders:?} are in the index, not {:?}",
            self.heard
        );
        if P::TYPE != crate::SocketType::XPub || self.manual {
            return;
        }
        for (topic, idle) in &self.idle {
            let count = counts.get(topic).copied().unwrap_or_default();
            let told = self.told.get(topic).copied().unwrap_or_default();
            let expected = match self.verbosity {
                Verbosity::All => count + idle,
                _ => i64::from(count > 0),
            };
            assert_eq!(told, expected, "{:?} of {topic:?}", self.verbosity);
        }
    }

    fn is_content(&self, _ledger: &Ledger) -> bool {
        self.to_send == 0
    }

    fn describe(&self) -> String {
        let (to_send, blocked, heard) = (self.to_send, self.blocked, &self.heard);
        format!("still to send {to_send}, blocked {blocked}, heard {heard:?}")
    }
}
