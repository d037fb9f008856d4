//! REQ (RFC 28): sends a request to one of its peers, in turn, and receives the reply of that peer, and so on.
//!
//! The rules, in our words: any number of peers; round robin over those that can take a request; when there is none, sending
//! waits or fails and discards nothing; an empty frame goes before each request and is taken off each reply; a reply is
//! accepted from the peer that was asked and from no other; sending and receiving alternate. Beyond RFC 28: the loss of
//! the peer ends the wait for its reply, and a request id, which REP returns with the envelope, tells late replies from
//! current ones. `tests/spec_reqrep.rs` has a test for each.

use std::hash::{BuildHasher, RandomState};

use super::dealer::send_probe;
use super::fair_queue::FairQueue;
use super::load_balancer::LoadBalancer;
use super::{Offer, Pattern, Pipes};
use crate::message::{Frame, Message};
use crate::options::{DialogueOptions, Options};
use crate::peer::{PeerInfo, SocketType};

/// A request, before it has its envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) body: Message,
    /// What the reply will be asked for with, if that is to be done apart from sending and receiving in turn. Such a
    /// request has an id, and nobody else asks anything as long as it is under way.
    pub(crate) ticket: Option<u64>,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Reply(Message),
    /// The peer is gone, and no reply of it is here.
    Lost,
    /// There is no request that this would be the reply to.
    OutOfTurn,
}

/// The state of a REQ socket.
#[derive(Debug)]
pub(crate) struct ReqPattern {
    out: LoadBalancer,
    inbound: FairQueue,
    asked: Option<Asked>,
    last_id: u32,
    tickets: u64,
    options: DialogueOptions,
}

/// The request that is under way.
#[derive(Debug)]
struct Asked {
    pipe: usize,
    id: Option<[u8; 4]>,
    ticket: Option<u64>,
    /// So many messages were in the pipe before: they answer something else.
    stale: u64,
    /// Once the peer is lost: how many messages in the pipe are still its own, and not of the next one.
    lost: Option<u64>,
}

impl Asked {
    /// Tells whether the next message of the pipe is of the peer that was asked.
    fn is_next_its_own(&mut self) -> bool {
        match &mut self.lost {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }
}

impl Default for ReqPattern {
    /// The ids begin anywhere, so that those of a socket and of the one that took its place do not meet.
    fn default() -> Self {
        let [a, b, c, d, ..] = RandomState::new().hash_one(0).to_be_bytes();
        Self {
            out: LoadBalancer::default(),
            inbound: FairQueue::default(),
            asked: None,
            last_id: u32::from_be_bytes([a, b, c, d]),
            tickets: 0,
            options: DialogueOptions::default(),
        }
    }
}

/// Puts the envelope around a request.
fn wrap(id: Option<[u8; 4]>, body: Message) -> Message {
    let mut frames = Vec::with_capacity(body.len() + 2);
    frames.extend(id.map(Frame::from));
    frames.push(Frame::new());
    body.append_to(&mut frames);
    Message::from(frames)
}

/// Takes the envelope off; `None` if there is another one, or none, or nothing in it.
fn unwrap(id: Option<[u8; 4]>, message: &Message) -> Option<Message> {
    let (first, rest) = message.frames().split_first()?;
    let (delimiter, body) = match id {
        Some(id) if *first == id => rest.split_first()?,
        Some(_) => return None,
        None => (first, rest),
    };
    (delimiter.is_empty() && !body.is_empty()).then(|| body.iter().cloned().collect())
}

impl ReqPattern {
    /// Returns a ticket that nobody has had before.
    pub(crate) fn draw_ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    /// Nobody waits for this reply any more.
    pub(crate) fn abandon(&mut self, ticket: u64) {
        if self.is_asked_with(ticket) {
            self.asked = None;
        }
    }

    /// Receives what came of the request with this ticket, as [`recv`](Pattern::recv) does for others.
    pub(crate) fn recv_for(
        &mut self,
        ticket: u64,
        received: &mut Option<Heard>,
        pipes: &mut Pipes,
    ) -> Option<usize> {
        if self.is_asked_with(ticket) {
            return self.hear(received, pipes);
        }
        *received = Some(Heard::OutOfTurn);
        Some(usize::MAX)
    }

    fn is_asked_with(&self, ticket: u64) -> bool {
        self.asked
            .as_ref()
            .is_some_and(|asked| asked.ticket == Some(ticket))
    }

    /// Whether a request is under way for which others have to wait.
    fn is_engaged(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.ticket.is_some())
    }

    fn hear(&mut self, received: &mut Option<Heard>, pipes: &mut Pipes) -> Option<usize> {
        let asked = self.asked.as_mut()?;
        let mut place = None;
        let Some(pipe) = self.inbound.recv(&mut place, pipes) else {
            let pipe = asked.pipe;
            self.asked.take_if(|asked| asked.lost.is_some())?;
            *received = Some(Heard::Lost);
            return Some(pipe);
        };
        let message = place?;
        if asked.pipe == pipe && asked.is_next_its_own() {
            if asked.stale > 0 {
                asked.stale -= 1;
            } else if let Some(body) = unwrap(asked.id, &message) {
                self.asked = None;
                *received = Some(Heard::Reply(body));
                return Some(pipe);
            }
        }
        pipes.discard(pipe, &message);
        Some(pipe)
    }

    /// The peer of a pipe is lost, and has left so many messages.
    fn lose(&mut self, pipe: usize, left: u64) {
        if let Some(asked) = self.asked.as_mut().filter(|asked| asked.pipe == pipe) {
            asked.lost.get_or_insert(left);
        }
    }
}

impl Pattern for ReqPattern {
    const TYPE: SocketType = SocketType::Req;
    const RECEIVES: bool = true;
    const IN_TURNS: bool = true;
    type Out = Ask;
    type In = Heard;

    fn configure(&mut self, options: &Options) {
        self.options = options.dialogue.clone();
    }

    fn attach(&mut self, pipe: usize) {
        self.out.activate(pipe);
        self.inbound.activate(pipe);
    }

    fn connected(&mut self, pipe: usize, _info: &PeerInfo, pipes: &mut Pipes) {
        // A request that waits in the pipe makes us known; and nothing may be queued behind it, for what is queued tells
        // whether it went out.
        if self.options.probe && pipes.queued(pipe) == 0 {
            send_probe(pipe, pipes);
        }
    }

    fn disconnected(&mut self, pipe: usize, pipes: &mut Pipes) {
        // A request that still waits in the pipe of an endpoint connected to goes out with the next connection.
        if pipes.is_abandoned(pipe) || pipes.queued(pipe) == 0 {
            self.lose(pipe, pipes.unread(pipe));
        }
    }

    fn detach(&mut self, pipe: usize) {
        self.out.detach(pipe);
        self.inbound.detach(pipe);
        // Nobody else will speak there.
        self.lose(pipe, u64::MAX);
    }

    fn activate_read(&mut self, pipe: usize, _pipes: &mut Pipes) {
        self.inbound.activate(pipe);
    }

    fn activate_write(&mut self, pipe: usize, _pipes: &mut Pipes) {
        self.out.activate(pipe);
    }

    fn send(&mut self, out: &mut Option<Ask>, pipes: &mut Pipes) -> Offer {
        if self.is_engaged() {
            return Offer::Full;
        }
        if self.asked.is_some() && !self.options.relaxed {
            return Offer::Refused;
        }
        if self.out.next().is_none() {
            return Offer::Full;
        }
        let Some(Ask { body, ticket }) = out.take() else {
            return Offer::Taken;
        };
        let id = (self.options.correlate || ticket.is_some()).then(|| {
            self.last_id = self.last_id.wrapping_add(1);
            self.last_id.to_be_bytes()
        });
        let mut place = Some(wrap(id, body));
        while let Some(next) = self.out.next() {
            let stale = pipes.unread(next);
            if self.out.send_to_next(&mut place, pipes) {
                self.asked = Some(Asked {
                    pipe: next,
                    id,
                    ticket,
                    stale,
                    lost: None,
                });
                return Offer::Taken;
            }
        }
        let body = place.and_then(|message| unwrap(id, &message)).unwrap_or_default();
        *out = Some(Ask { body, ticket });
        Offer::Full
    }

    fn recv(&mut self, received: &mut Option<Heard>, pipes: &mut Pipes) -> Option<usize> {
        if self.asked.is_some() && !self.is_engaged() {
            return self.hear(received, pipes);
        }
        *received = Some(Heard::OutOfTurn);
        Some(usize::MAX)
    }

    fn can_send(&mut self, pipes: &mut Pipes) -> bool {
        if self.is_engaged() {
            return false;
        }
        // Whoever waits while another one asks has to learn that it is not their turn any more.
        (self.asked.is_some() && !self.options.relaxed) || self.out.can_send(pipes)
    }

    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        self.asked.as_ref().is_none_or(|asked| asked.lost.is_some()) || self.inbound.can_recv(pipes)
    }

    fn is_writable(&mut self, pipes: &mut Pipes) -> bool {
        let turn = self.asked.is_none() || (self.options.relaxed && !self.is_engaged());
        turn && self.out.can_send(pipes)
    }

    fn is_readable(&mut self, pipes: &mut Pipes) -> bool {
        let asked = self.asked.as_ref().filter(|asked| asked.ticket.is_none());
        asked.is_some_and(|asked| asked.lost.is_some() || self.inbound.can_recv(pipes))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::pipes;
    use super::*;
    use crate::pipe::{PipeEnd, Wakes};
    use proptest::prelude::*;

    fn message(parts: &[&str]) -> Message {
        parts.iter().copied().collect()
    }

    fn ask(req: &mut ReqPattern, pipes: &mut Pipes, body: &str, ticket: Option<u64>) -> Offer {
        let ask = Ask {
            body: Message::from(body),
            ticket,
        };
        let mut out = Some(ask.clone());
        let offer = req.send(&mut out, pipes);
        assert_eq!(
            out,
            (offer != Offer::Taken).then_some(ask),
            "what is not taken comes back"
        );
        offer
    }

    fn hear(req: &mut ReqPattern, pipes: &mut Pipes) -> Option<Heard> {
        let mut place = None;
        while place.is_none() && req.recv(&mut place, pipes).is_some() {}
        place
    }

    fn said(end: &mut PipeEnd) -> Vec<Message> {
        std::iter::from_fn(|| end.pop(&mut Wakes::new())).collect()
    }

    fn say(req: &mut ReqPattern, pipes: &mut Pipes, (pipe, end): (usize, &mut PipeEnd), message: Message) {
        assert!(end.push(message).is_ok());
        req.activate_read(pipe, pipes);
    }

    fn reply(body: &str) -> Option<Heard> {
        Some(Heard::Reply(Message::from(body)))
    }

    #[test]
    fn sending_and_receiving_alternate() {
        let mut req = ReqPattern::default();
        let (mut all, keys, mut far) = pipes(1, 10, &mut req);
        assert_eq!(hear(&mut req, &mut all), Some(Heard::OutOfTurn));
        assert_eq!(ask(&mut req, &mut all, "a", None), Offer::Taken);
        assert_eq!(ask(&mut req, &mut all, "b", None), Offer::Refused);
        assert_eq!(said(&mut far[0]), [message(&["", "a"])]);
        assert_eq!(hear(&mut req, &mut all), None);
        say(
            &mut req,
            &mut all,
            (keys[0], &mut far[0]),
            message(&["", "re: a"]),
        );
        assert_eq!(hear(&mut req, &mut all), reply("re: a"));
        assert_eq!(hear(&mut req, &mut all), Some(Heard::OutOfTurn));
    }

    #[test]
    fn only_the_peer_that_was_asked_is_heard_and_only_in_the_right_form() {
        let mut req = ReqPattern::default();
        let (mut all, keys, mut far) = pipes(2, 10, &mut req);
        assert_eq!(ask(&mut req, &mut all, "a", None), Offer::Taken);
        say(
            &mut req,
            &mut all,
            (keys[1], &mut far[1]),
            message(&["", "not asked"]),
        );
        for bad in [&["no delimiter"][..], &[""], &["id", "", "x"]] {
            say(&mut req, &mut all, (keys[0], &mut far[0]), message(bad));
        }
        say(&mut req, &mut all, (keys[0], &mut far[0]), message(&["", "good"]));
        assert_eq!(hear(&mut req, &mut all), reply("good"));
        let discarded = |key: usize, all: &mut Pipes| all.get_mut(key).unwrap().traffic().discarded;
        assert_eq!(
            (discarded(keys[0], &mut all), discarded(keys[1], &mut all)),
            (3, 1)
        );
    }

    #[test]
    fn a_second_reply_does_not_answer_the_next_request() {
        let mut req = ReqPattern::default();
        let (mut all, keys, mut far) = pipes(1, 10, &mut req);
        for round in ["1", "2", "3"] {
            assert_eq!(ask(&mut req, &mut all, round, None), Offer::Taken);
            for _ in 0..3 {
                say(&mut req, &mut all, (keys[0], &mut far[0]), message(&["", round]));
            }
            assert_eq!(hear(&mut req, &mut all), reply(round));
        }
    }

    #[test]
    fn the_loss_of_the_peer_ends_the_wait_unless_the_reply_is_here() {
        let mut req = ReqPattern::default();
        let (mut all, keys, mut far) = pipes(2, 10, &mut req);
        assert_eq!(ask(&mut req, &mut all, "a", None), Offer::Taken);
        req.disconnected(keys[1], &mut all);
        assert_eq!(hear(&mut req, &mut all), None, "another peer is lost");
        let _ = far[0].close();
        req.disconnected(keys[0], &mut all);
        assert_eq!(hear(&mut req, &mut all), Some(Heard::Lost));
        req.detach(keys[0]);
        assert_eq!(ask(&mut req, &mut all, "b", None), Offer::Taken);
        say(
            &mut req,
            &mut all,
            (keys[1], &mut far[1]),
            message(&["", "re: b"]),
        );
        let _ = far[1].close();
        req.disconnected(keys[1], &mut all);
        assert_eq!(hear(&mut req, &mut all), reply("re: b"));
    }

    #[test]
    fn the_next_peer_at_the_same_place_does_not_reply_for_a_lost_one() {
        for (left, expected) in [
            (None, Some(Heard::Lost)),
            (Some(message(&["", "re: a"])), reply("re: a")),
        ] {
            let mut req = ReqPattern::default();
            let (mut all, keys, mut far) = pipes(1, 10, &mut req);
            assert_eq!(ask(&mut req, &mut all, "a", None), Offer::Taken);
            assert_eq!(said(&mut far[0]).len(), 1);
            left.into_iter()
                .for_each(|reply| assert!(far[0].push(reply).is_ok()));
            let _ = far[0].release();
            req.disconnected(keys[0], &mut all);
            let unasked = message(&["", "unasked"]);
            say(&mut req, &mut all, (keys[0], &mut far[0]), unasked);
            assert_eq!(hear(&mut req, &mut all), expected);
        }
    }

    #[test]
    fn a_request_that_did_not_go_out_is_not_lost_with_the_connection() {
        let mut req = ReqPattern::default();
        let (mut all, keys, mut far) = pipes(1, 10, &mut req);
        assert_eq!(ask(&mut req, &mut all, "a", None), Offer::Taken);
        req.disconnected(keys[0], &mut all);
        assert_eq!(hear(&mut req, &mut all), None);
        assert_eq!(said(&mut far[0]), [message(&["", "a"])]);
        let _ = far[0].release();
        req.disconnected(keys[0], &mut all);
        assert_eq!(hear(&mut req, &mut all), Some(Heard::Lost));
    }

    #[test]
    fn a_probe_behind_a_request_does_not_keep_up_the_wait_for_its_reply() {
        let mut req = ReqPattern::default();
        req.options.probe = true;
        let (mut all, keys, mut far) = pipes(1, 10, &mut req);
        assert_eq!(ask(&mut req, &mut all, "early", None), Offer::Taken);
        req.connected(keys[0], &PeerInfo::new(SocketType::Rep), &mut all);
        assert_eq!(far[0].pop(&mut Wakes::new()), Some(message(&["", "early"])));
        let _ = far[0].rest();
        req.disconnected(keys[0], &mut all);
        assert_eq!(hear(&mut req, &mut all), Some(Heard::Lost));
    }

    #[test]
    fn a_relaxed_socket_may_ask_again() {
        let mut req = ReqPattern::default();
        req.options.relaxed = true;
        req.options.correlate = true;
        let (mut all, keys, mut far) = pipes(1, 10, &mut req);
        assert_eq!(ask(&mut req, &mut all, "a", None), Offer::Taken);
        assert_eq!(ask(&mut req, &mut all, "b", None), Offer::Taken);
        for request in said(&mut far[0]) {
            say(&mut req, &mut all, (keys[0], &mut far[0]), request);
        }
        assert_eq!(hear(&mut req, &mut all), reply("b"));
    }

    #[test]
    fn a_ticket_keeps_all_others_waiting() {
        let mut req = ReqPattern::default();
        let (mut all, keys, mut far) = pipes(1, 10, &mut req);
        let ticket = req.draw_ticket();
        assert_eq!(ask(&mut req, &mut all, "a", Some(ticket)), Offer::Taken);
        assert_eq!(ask(&mut req, &mut all, "b", None), Offer::Full);
        assert!(!req.can_send(&mut all));
        assert_eq!(hear(&mut req, &mut all), Some(Heard::OutOfTurn));
        let request = said(&mut far[0]).remove(0);
        assert_eq!((request.len(), request[0].len(), request[1].len()), (3, 4, 0));
        say(&mut req, &mut all, (keys[0], &mut far[0]), request);
        let mut place = None;
        req.recv_for(ticket, &mut place, &mut all);
        assert_eq!(place, reply("a"));
        assert_eq!(ask(&mut req, &mut all, "b", None), Offer::Taken);
        req.abandon(ticket);
        assert!(req.asked.is_some(), "an old ticket means nothing");
    }

    #[derive(Clone, Debug)]
    enum Op {
        /// Asks, giving up what was asked before.
        Ask,
        /// A peer answers the request that it was asked so many requests ago.
        Answer(usize, usize),
        Hear,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            Just(Op::Ask),
            (0..3usize, 0..4usize).prop_map(|(peer, ago)| Op::Answer(peer, ago)),
            Just(Op::Hear),
        ]
    }

    proptest! {
        /// The model: of all that peers answer, and in any order, a correlating socket hears the reply to its last
        /// request, once, and nothing else.
        #[test]
        fn replies_find_their_request(ops in prop::collection::vec(op(), 0..80)) {
            let mut req = ReqPattern::default();
            req.options.relaxed = true;
            req.options.correlate = true;
            let (mut all, keys, mut far) = pipes(3, 0, &mut req);
            let mut asked = vec![Vec::new(); 3];
            let (mut count, mut answered) = (0, Vec::new());
            let mut open = false;
            for op in ops {
                match op {
                    Op::Ask => {
                        count += 1;
                        prop_assert_eq!(ask(&mut req, &mut all, &count.to_string(), None), Offer::Taken);
                        (asked.iter_mut().zip(&mut far)).for_each(|(asked, end)| asked.extend(said(end)));
                        answered.clear();
                        open = true;
                    }
                    Op::Answer(peer, ago) => {
                        let Some(at) = asked[peer].len().checked_sub(ago + 1) else { continue };
                        let request: Message = asked[peer][at].clone();
                        answered.push(request[2].as_str().unwrap().to_owned());
                        say(&mut req, &mut all, (keys[peer], &mut far[peer]), request);
                    }
                    Op::Hear => {
                        let last = count.to_string();
                        let expected = match open {
                            false => Some(Heard::OutOfTurn),
                            true if answered.contains(&last) => reply(&last),
                            true => None,
                        };
                        open &= expected.is_none();
                        prop_assert_eq!(hear(&mut req, &mut all), expected);
                    }
                }
            }
        }
    }
}
