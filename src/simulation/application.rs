//! What applications of the simulation have in common, and those that only talk: PUSH, PULL, DEALER and PAIR.
//!
//! A socket type joins the simulation like this:
//!
//! * an [`Application`] of its own, or a place among the [`Talker`]s; and a line in `make` and in the plans of `plan.rs`;
//! * if it sends a message to several peers at once, [`FANS_OUT`](Application::FANS_OUT): the ledger then has one copy for
//!   each pipe that it was accepted for;
//! * if its pattern reads of its own accord, [`HEARS`](Application::HEARS), and then what that means;
//! * if it sends messages of its own accord that are not empty, a way for them through `Ledger::check_unnamed`; the books
//!   count them as messages without a name.

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;

use super::books::Arrival;
use super::ledger::{Ledger, Name};
use super::plan::Plan;
use super::rng::Rng;
use crate::options::Options;
use crate::pattern::{Offer, Pattern, Pipes};
use crate::{Frame, Message, SocketType};

/// What an application works with for a moment.
pub(super) struct Desk<'a> {
    pub(super) slot: usize,
    pub(super) ledger: &'a mut Ledger,
    pub(super) rng: &'a mut Rng,
    /// Which sockets there are.
    pub(super) plan: &'a Plan,
}

/// What is sent next.
pub(super) struct Letter<T> {
    pub(super) name: Name,
    pub(super) out: T,
    /// What it is the answer to.
    pub(super) answers: Option<Name>,
}

/// What uses a socket of one type.
pub(super) trait Application: Sized {
    type Pattern: Pattern;

    /// Whether a message may go to several peers.
    const FANS_OUT: bool = false;

    /// Whether the pattern reads what peers send as soon as it hears of it.
    const HEARS: bool = false;

    /// Comes to be, and chooses the options of its socket.
    fn new(options: &mut Options, desk: &mut Desk<'_>) -> Self;

    /// Its process is another one from now on.
    fn be_reborn(&mut self) {}

    /// Does what comes before there are any peers.
    fn begin(&mut self, pattern: &mut Self::Pattern, pipes: &mut Pipes, desk: &mut Desk<'_>) {
        let _ = (pattern, pipes, desk);
    }

    /// A peer is at the other end of a pipe, or is not there any more.
    fn connected(&mut self, pipe: usize) {
        let _ = pipe;
    }

    fn disconnected(&mut self, pipe: usize) {
        let _ = pipe;
    }

    /// A message has come into a pipe.
    fn arrived(&mut self, pipe: usize, name: Option<Name>, message: &Message, desk: &mut Desk<'_>) {
        let _ = (pipe, name, message, desk);
    }

    /// The pattern has read a message by itself; tells whether it means anything to it.
    fn has_read(&mut self, pipe: usize, arrival: &Arrival) -> bool {
        let _ = (pipe, arrival);
        false
    }

    /// Gives the peer of a pipe a name, before the pipe is attached.
    fn name_peer(&mut self, pattern: &mut Self::Pattern, pipe: usize) {
        let _ = (pattern, pipe);
    }

    /// Whether there is something to send; `is_clearing` if messages are here that it may have to send for.
    fn wants_to_send(&self, is_clearing: bool) -> bool;

    fn wants_to_recv(&self) -> bool {
        Self::Pattern::RECEIVES
    }

    /// Whether it might do something beside sending and receiving.
    fn wants_to_act(&self) -> bool {
        false
    }

    /// Makes the message to be sent now.
    fn compose(&mut self, desk: &mut Desk<'_>) -> Letter<<Self::Pattern as Pattern>::Out>;

    /// Hears what became of it; one that was not taken is `back`. Tells whether to look at once for what there is to
    /// receive.
    fn settle(
        &mut self,
        name: Name,
        offer: Offer,
        back: Option<<Self::Pattern as Pattern>::Out>,
        desk: &mut Desk<'_>,
    ) -> bool;

    /// A message was accepted, for the peers of these pipes.
    fn sent(&mut self, name: Name, pipes: &[usize], desk: &Desk<'_>) {
        let _ = (name, pipes, desk);
    }

    /// Finds the name of what was received, where messages take the place of others.
    fn name_of(received: &<Self::Pattern as Pattern>::In, ledger: &Ledger) -> Option<Name> {
        let _ = (received, ledger);
        None
    }

    fn recv(
        &mut self,
        pattern: &mut Self::Pattern,
        place: &mut Option<<Self::Pattern as Pattern>::In>,
        pipes: &mut Pipes,
    ) -> Option<usize> {
        pattern.recv(place, pipes)
    }

    /// Gets what was received; `read` says which message of the pipe that was, if it was one and if it has a name.
    fn heard(
        &mut self,
        received: <Self::Pattern as Pattern>::In,
        read: Option<Option<Name>>,
        desk: &mut Desk<'_>,
    );

    fn act(&mut self, pattern: &mut Self::Pattern, pipes: &mut Pipes, desk: &mut Desk<'_>) {
        let _ = (pattern, pipes, desk);
    }

    /// Tells that it does not wait for nothing, in a world where nothing moves, to send a message of this name.
    fn check_awake(&self, name: Name, pipes: &Pipes, ledger: &Ledger) {
        let _ = (name, pipes, ledger);
    }

    /// Messages that wait for peers of their own may be tried again.
    fn woken(&mut self) {}

    /// From now on nothing goes wrong any more.
    fn calm_down(&mut self) {}

    fn send_once_more(&mut self) {}

    /// Which topics it wants, if it subscribes.
    fn wants(&self) -> Option<BTreeSet<Vec<u8>>> {
        None
    }

    /// Tells that all is as it should be at rest, with subscribers that want these topics, by pipe.
    fn check_subscribers(
        &mut self,
        pattern: &mut Self::Pattern,
        wanted: &BTreeMap<usize, BTreeSet<Vec<u8>>>,
    ) {
        let _ = (pattern, wanted);
    }

    /// Whether it waits for nothing that could still come.
    fn is_content(&self, ledger: &Ledger) -> bool {
        let _ = ledger;
        true
    }

    fn describe(&self) -> String {
        String::new()
    }
}

/// How many messages an application sends of its own accord; fewer for a fuzzer, which learns more from many short runs.
pub(super) fn budget(desk: &mut Desk<'_>) -> usize {
    let most = if desk.rng.is_steered() { 8 } else { 40 };
    desk.rng.between(1, most)
}

/// A message that is what it was when it was sent, envelope and all.
pub(super) fn check_whole(message: &Message, name: Name, ledger: &Ledger) {
    let found = ledger.find(message.frames());
    let (found, at) = found.unwrap_or_else(|| panic!("{name:?} was torn: {message:?}"));
    assert_eq!(found, name);
    assert!(ledger.dirty || message.frames()[..at] == *ledger.envelope(name));
}

/// An answer comes to whom it is for, in the envelope of the question; that of a REP through the same connection.
pub(super) fn check_answer(name: Name, desk: &Desk<'_>) {
    let Some(question) = desk.ledger.answers(name) else {
        return;
    };
    if desk.plan.rivals.is_empty() && !desk.ledger.dirty {
        assert_eq!(question.0, desk.slot, "{name:?} came to somebody else");
        assert_eq!(desk.ledger.envelope(name), desk.ledger.envelope(question));
        if desk.plan.kinds[name.0] == SocketType::Rep {
            let there = desk.ledger.side(question).map(|side| side ^ 1);
            assert_eq!(desk.ledger.side(name), there, "{name:?} came another way");
        }
    }
}

/// Sends whole messages, and takes what comes.
pub(super) struct Talker<P> {
    to_send: usize,
    pattern: PhantomData<P>,
}

impl<P: Pattern<Out = Message, In = Message>> Talker<P> {
    /// DEALERs put envelopes around their messages, as many a socket on the way would have, or none. A REP is not given
    /// a part of a body for an envelope.
    fn wrap(body: Message, desk: &mut Desk<'_>) -> Message {
        let rng = &mut *desk.rng;
        let ambiguous = desk.plan.kinds.contains(&SocketType::Rep) && body.iter().any(Frame::is_empty);
        if P::TYPE != SocketType::Dealer || rng.one_in(4) && !ambiguous {
            return body;
        }
        let hops = rng.pick(&[0, 0, 1, 3]);
        let hops = (0..hops).map(|_| Frame::from(vec![b'h'; rng.between(1, 9)]));
        let mut frames: Vec<Frame> = hops.collect();
        frames.push(Frame::new());
        frames.extend(body);
        Message::from(frames)
    }
}

impl<P: Pattern<Out = Message, In = Message>> Application for Talker<P> {
    type Pattern = P;

    fn new(options: &mut Options, desk: &mut Desk<'_>) -> Self {
        options.dialogue.probe = P::TYPE == SocketType::Dealer && desk.rng.one_in(4);
        let sends = P::TYPE != SocketType::Pull;
        Self {
            to_send: if sends { budget(desk) } else { 0 },
            pattern: PhantomData,
        }
    }

    fn wants_to_send(&self, _is_clearing: bool) -> bool {
        self.to_send > 0
    }

    fn compose(&mut self, desk: &mut Desk<'_>) -> Letter<Message> {
        let name = desk.ledger.next(desk.slot);
        Letter {
            name,
            out: Self::wrap(desk.ledger.body(name), desk),
            answers: None,
        }
    }

    fn settle(&mut self, _name: Name, offer: Offer, _back: Option<Message>, _desk: &mut Desk<'_>) -> bool {
        assert_ne!(offer, Offer::Refused);
        self.to_send -= usize::from(offer == Offer::Taken);
        false
    }

    fn heard(&mut self, message: Message, read: Option<Option<Name>>, desk: &mut Desk<'_>) {
        let name = read.unwrap_or_else(|| panic!("a message out of nowhere: {message:?}"));
        if let Some(name) = name {
            check_whole(&message, name, desk.ledger);
            check_answer(name, desk);
        }
    }

    fn is_content(&self, _ledger: &Ledger) -> bool {
        self.to_send == 0
    }

    fn describe(&self) -> String {
        format!("still to send {}", self.to_send)
    }
}
