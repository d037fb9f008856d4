//! What applications of the simulation have in common, and those that only talk: PUSH, PULL, DEALER and PAIR.
//!
//! A socket type joins the simulation with an [`Application`] of its own, or as one of [`Talker`]'s, and with a place in
//! `plan.rs`. One that sends a message to several peers at once says so by [`FANS_OUT`](Application::FANS_OUT); the
//! ledger then has a copy of it for each.

use std::marker::PhantomData;

use super::ledger::{Ledger, Name};
use super::rng::Rng;
use crate::options::Options;
use crate::pattern::{Offer, Pattern, Pipes};
use crate::{Frame, Message, SocketType};

/// What an application works with for a moment.
pub(super) struct Desk<'a> {
    pub(super) slot: usize,
    pub(super) ledger: &'a mut Ledger,
    pub(super) rng: &'a mut Rng,
    /// The types of all sockets.
    pub(super) kinds: &'a [SocketType],
    /// Two peers may have the same routing id.
    pub(super) rivals: bool,
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

    /// Whether a message goes to all peers.
    const FANS_OUT: bool = false;

    /// Comes to be, and chooses the options of its socket.
    fn new(options: &mut Options, desk: &mut Desk<'_>) -> Self;

    /// Its process is another one from now on.
    fn be_reborn(&mut self) {}

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

    /// Messages that wait for peers of their own may be tried again.
    fn woken(&mut self) {}

    /// Whether it waits for nothing that could still come.
    fn is_content(&self, ledger: &Ledger) -> bool {
        let _ = ledger;
        true
    }

    fn describe(&self) -> String {
        String::new()
    }
}

/// How many messages an application sends of its own accord.
pub(super) fn budget(desk: &mut Desk<'_>) -> usize {
    desk.rng.between(1, 40)
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
    if !desk.rivals && !desk.ledger.dirty {
        assert_eq!(question.0, desk.slot, "{name:?} came to somebody else");
        assert_eq!(desk.ledger.envelope(name), desk.ledger.envelope(question));
        if desk.kinds[name.0] == SocketType::Rep {
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
        let ambiguous = desk.kinds.contains(&SocketType::Rep) && body.iter().any(Frame::is_empty);
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
