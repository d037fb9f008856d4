//! REP (RFC 28): receives requests from its peers in turn, and sends each reply to the peer that asked.
//!
//! The rules, in our words: any number of peers; fair queueing over those that have a request; the envelope of a request,
//! all frames up to the first empty one, is kept and put around the reply; a reply goes to nobody but the peer that
//! asked, and to nobody if that one is gone. RFC 28 has one request open at a time; here any number may be, for each has
//! its own token. `tests/spec_reqrep.rs` has a test for each.

use super::fair_queue::FairQueue;
use super::{Offer, Pattern, Pipes};
use crate::error::DisconnectReason;
use crate::message::{Frame, Message};
use crate::options::Options;
use crate::peer::{PeerInfo, RoutingId, SocketType};
use crate::slab::KeyMap;

/// The most frames of an envelope: each stands for a socket between the two ends, and no honest chain is so long.
const MAX_ENVELOPE_FRAMES: usize = 32;

/// The longest frame of an envelope, in bytes: each is a routing id.
const MAX_ENVELOPE_FRAME: usize = RoutingId::MAX_LEN;

/// The epoch of requests whose peer was gone when they were received. No connection has it.
const NO_EPOCH: u64 = u64::MAX;

/// To whom a reply goes, and what is put around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReplyTo {
    pipe: usize,
    epoch: u64,
    envelope: Vec<Frame>,
}

/// The state of a REP socket.
#[derive(Debug, Default)]
pub(crate) struct RepPattern {
    inbound: FairQueue,
    askers: KeyMap<Asker>,
    answer_dropped: bool,
}

/// What is known of the peer at the end of a pipe.
#[derive(Debug)]
struct Asker {
    /// Which peer this is, of those that the pipe was connected to.
    epoch: u64,
    live: bool,
    /// So many of the messages to come are of former peers.
    stale: u64,
}

/// Why a message is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// It has no envelope, or nothing in it. An honest peer may have sent it by mistake.
    Shape,
    /// Its envelope is beyond all measure.
    Excess(Excess),
}

/// What of an envelope is too much: what it is, how much, and the limit.
type Excess = (&'static str, usize, usize);

/// Returns how many frames of a request are its envelope, without the empty frame after it.
fn envelope_len(frames: &[Frame]) -> Result<usize, Fault> {
    let head = frames.get(..=MAX_ENVELOPE_FRAMES).unwrap_or(frames);
    let len = head.iter().position(Frame::is_empty);
    let envelope = head.get(..len.unwrap_or(head.len())).unwrap_or(head);
    if envelope.len() > MAX_ENVELOPE_FRAMES {
        return Err(Fault::Excess((
            "envelope frames",
            frames.len(),
            MAX_ENVELOPE_FRAMES,
        )));
    }
    let Some(len) = len.filter(|len| len + 1 < frames.len()) else {
        return Err(Fault::Shape);
    };
    match envelope.iter().map(Frame::len).max() {
        Some(longest) if longest > MAX_ENVELOPE_FRAME => Err(Fault::Excess((
            "envelope frame size",
            longest,
            MAX_ENVELOPE_FRAME,
        ))),
        _ => Ok(len),
    }
}

/// Takes a request out of its envelope.
fn unwrap(request: Message, envelope_len: usize) -> (Vec<Frame>, Message) {
    let mut envelope = request.into_frames();
    let body = envelope.drain((envelope_len + 1).min(envelope.len())..).collect();
    envelope.truncate(envelope_len);
    (envelope, body)
}

/// Puts an envelope around a message.
fn wrap(mut envelope: Vec<Frame>, body: Message) -> Message {
    envelope.push(Frame::new());
    body.append_to(&mut envelope);
    Message::from(envelope)
}

impl RepPattern {
    /// A request will not be answered. Its peer is told so if that was chosen, and if it has room for an empty message.
    pub(crate) fn leave_unanswered(&mut self, to: ReplyTo, pipes: &mut Pipes) {
        pipes.tally().unanswered += 1;
        if self.answer_dropped {
            let _ = self.send(&mut Some((to, Message::new())), pipes);
        }
    }

    /// Tells whether the peer that asked is still at the other end of its pipe.
    fn is_here(&self, pipe: usize, epoch: u64) -> bool {
        let asker = self.askers.get(&pipe);
        asker.is_some_and(|asker| asker.live && asker.epoch == epoch)
    }

    /// Finds to which connection the next message of a pipe belongs.
    fn next_epoch(&mut self, pipe: usize) -> u64 {
        match self.askers.get_mut(&pipe) {
            Some(asker) if asker.stale > 0 => {
                asker.stale -= 1;
                NO_EPOCH
            }
            Some(asker) => asker.epoch,
            None => NO_EPOCH,
        }
    }
}

impl Pattern for RepPattern {
    const TYPE: SocketType = SocketType::Rep;
    const RECEIVES: bool = true;
    const ADDRESSED: bool = true;
    type Out = (ReplyTo, Message);
    type In = (Message, ReplyTo);

    fn configure(&mut self, options: &Options) {
        self.answer_dropped = options.dialogue.answer_dropped;
    }

    fn admit(&mut self, pipe: usize, _info: &PeerInfo, pipes: &mut Pipes) -> Result<(), &'static str> {
        self.attach(pipe);
        if let Some(asker) = self.askers.get_mut(&pipe) {
            asker.epoch += 1;
            asker.live = true;
            asker.stale = pipes.unread(pipe);
        }
        Ok(())
    }

    fn attach(&mut self, pipe: usize) {
        let new = Asker {
            epoch: 0,
            live: true,
            stale: 0,
        };
        self.askers.entry(pipe).or_insert(new);
        self.inbound.activate(pipe);
    }

    fn disconnected(&mut self, pipe: usize, pipes: &mut Pipes) {
        if let Some(asker) = self.askers.get_mut(&pipe) {
            asker.live = false;
        }
        // Replies that did not go out would go to the next peer of the pipe, which did not ask.
        if !pipes.is_abandoned(pipe) {
            pipes.withdraw(pipe);
        }
    }

    fn detach(&mut self, pipe: usize) {
        self.askers.remove(&pipe);
        self.inbound.detach(pipe);
    }

    fn activate_read(&mut self, pipe: usize, _pipes: &mut Pipes) {
        self.inbound.activate(pipe);
    }

    fn activate_write(&mut self, _pipe: usize, _pipes: &mut Pipes) {}

    fn send(&mut self, out: &mut Option<(ReplyTo, Message)>, pipes: &mut Pipes) -> Offer {
        let Some((mut to, body)) = out.take() else {
            return Offer::Taken;
        };
        if !self.is_here(to.pipe, to.epoch) {
            *out = Some((to, body));
            return Offer::Refused;
        }
        let envelope = std::mem::take(&mut to.envelope);
        let envelope_len = envelope.len();
        let mut place = Some(wrap(envelope, body));
        let offer = pipes.offer(to.pipe, &mut place);
        if let Some(message) = place {
            let (envelope, body) = unwrap(message, envelope_len);
            *out = Some((ReplyTo { envelope, ..to }, body));
        }
        offer
    }

    fn recv(&mut self, received: &mut Option<(Message, ReplyTo)>, pipes: &mut Pipes) -> Option<usize> {
        let mut place = None;
        let pipe = self.inbound.recv(&mut place, pipes)?;
        let message = place?;
        let epoch = self.next_epoch(pipe);
        match envelope_len(message.frames()) {
            Ok(len) => {
                let (envelope, body) = unwrap(message, len);
                *received = Some((
                    body,
                    ReplyTo {
                        pipe,
                        epoch,
                        envelope,
                    },
                ));
            }
            Err(fault) => {
                pipes.discard(pipe, &message);
                // Another peer at the same place has not deserved it.
                if let Fault::Excess((what, got, limit)) = fault
                    && self.is_here(pipe, epoch)
                {
                    let (got, limit) = (got as u64, limit as u64);
                    pipes.expel(pipe, DisconnectReason::OverLimit { what, got, limit });
                }
            }
        }
        Some(pipe)
    }

    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        self.inbound.can_recv(pipes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::pipes;
    use super::*;
    use crate::pipe::{PipeEnd, Wakes};
    use crate::stats::DropReason;
    use proptest::prelude::*;

    fn message(parts: &[&str]) -> Message {
        parts.iter().copied().collect()
    }

    fn recv(rep: &mut RepPattern, pipes: &mut Pipes) -> Option<(Message, ReplyTo)> {
        let mut place = None;
        while place.is_none() && rep.recv(&mut place, pipes).is_some() {}
        place
    }

    fn reply(rep: &mut RepPattern, pipes: &mut Pipes, to: ReplyTo, body: &str) -> Offer {
        let mut out = Some((to.clone(), Message::from(body)));
        let offer = rep.send(&mut out, pipes);
        let back = (offer != Offer::Taken).then(|| (to, Message::from(body)));
        assert_eq!(out, back, "what is not taken comes back as it was");
        offer
    }

    fn said(end: &mut PipeEnd) -> Vec<Message> {
        std::iter::from_fn(|| end.pop(&mut Wakes::new())).collect()
    }

    #[test]
    fn requests_are_answered_in_any_order_each_in_its_own_envelope() {
        let mut rep = RepPattern::default();
        let (mut pipes, _, mut far) = pipes(2, 10, &mut rep);
        assert!(far[0].push(message(&["", "plain"])).is_ok());
        assert!(far[1].push(message(&["hop", "id", "", "deep", "", "er"])).is_ok());
        let (first, to_first) = recv(&mut rep, &mut pipes).unwrap();
        let (second, to_second) = recv(&mut rep, &mut pipes).unwrap();
        assert_eq!(
            (first, second),
            (message(&["plain"]), message(&["deep", "", "er"]))
        );
        assert_eq!(reply(&mut rep, &mut pipes, to_second, "2"), Offer::Taken);
        assert_eq!(reply(&mut rep, &mut pipes, to_first, "1"), Offer::Taken);
        assert_eq!(said(&mut far[0]), [message(&["", "1"])]);
        assert_eq!(said(&mut far[1]), [message(&["hop", "id", "", "2"])]);
    }

    #[test]
    fn a_reply_to_a_peer_that_is_gone_comes_back() {
        let mut rep = RepPattern::default();
        let (mut pipes, keys, mut far) = pipes(1, 1, &mut rep);
        assert!(far[0].push(message(&["", "a"])).is_ok());
        let (_, to) = recv(&mut rep, &mut pipes).unwrap();
        rep.disconnected(keys[0], &mut pipes);
        assert_eq!(reply(&mut rep, &mut pipes, to.clone(), "late"), Offer::Refused);
        rep.admit(keys[0], &PeerInfo::new(SocketType::Req), &mut pipes)
            .unwrap();
        assert_eq!(reply(&mut rep, &mut pipes, to, "to another"), Offer::Refused);
        assert!(far[0].push(message(&["", "b"])).is_ok());
        rep.activate_read(keys[0], &mut pipes);
        let (_, to) = recv(&mut rep, &mut pipes).unwrap();
        assert_eq!(reply(&mut rep, &mut pipes, to.clone(), "b"), Offer::Taken);
        assert_eq!(reply(&mut rep, &mut pipes, to, "full"), Offer::Full);
    }

    #[test]
    fn what_a_former_peer_asked_is_received_but_not_answered_to_the_next() {
        let mut rep = RepPattern::default();
        let (mut pipes, keys, mut far) = pipes(1, 10, &mut rep);
        assert!(far[0].push(message(&["", "old"])).is_ok());
        rep.disconnected(keys[0], &mut pipes);
        rep.admit(keys[0], &PeerInfo::new(SocketType::Req), &mut pipes)
            .unwrap();
        assert!(far[0].push(message(&["", "new"])).is_ok());
        let (old, to_old) = recv(&mut rep, &mut pipes).unwrap();
        let (new, to_new) = recv(&mut rep, &mut pipes).unwrap();
        assert_eq!((old, new), (Message::from("old"), Message::from("new")));
        assert_eq!(reply(&mut rep, &mut pipes, to_old, "x"), Offer::Refused);
        assert_eq!(reply(&mut rep, &mut pipes, to_new, "x"), Offer::Taken);
    }

    #[test]
    fn replies_that_did_not_go_out_are_not_for_the_next_peer() {
        let mut rep = RepPattern::default();
        let (mut pipes, keys, mut far) = pipes(1, 10, &mut rep);
        for body in ["a", "b"] {
            assert!(far[0].push(message(&["", body])).is_ok());
            let (_, to) = recv(&mut rep, &mut pipes).unwrap();
            assert_eq!(reply(&mut rep, &mut pipes, to, body), Offer::Taken);
            rep.activate_read(keys[0], &mut pipes);
        }
        rep.disconnected(keys[0], &mut pipes);
        rep.admit(keys[0], &PeerInfo::new(SocketType::Req), &mut pipes)
            .unwrap();
        assert_eq!(said(&mut far[0]), Vec::<Message>::new());
        let traffic = pipes.get_mut(keys[0]).unwrap().traffic();
        assert_eq!(traffic.dropped.of(DropReason::PeerGone), 2);
        assert!(traffic.adds_up(), "{traffic:?}");
    }

    #[test]
    fn what_is_no_request_is_discarded_and_counted() {
        let mut rep = RepPattern::default();
        let (mut pipes, keys, mut far) = pipes(1, 10, &mut rep);
        for bad in [&["no delimiter"][..], &[""], &["a", "b", ""], &["a", "b"]] {
            assert!(far[0].push(message(bad)).is_ok());
        }
        assert!(far[0].push(message(&["", "good"])).is_ok());
        assert_eq!(recv(&mut rep, &mut pipes).unwrap().0, "good");
        let traffic = pipes.get_mut(keys[0]).unwrap().traffic();
        assert_eq!((traffic.discarded, traffic.received.messages), (4, 1));
        assert!(pipes.effects().expelled.is_empty());
    }

    #[test]
    fn an_envelope_beyond_all_measure_ends_the_connection() {
        let mut rep = RepPattern::default();
        let (mut pipes, keys, mut far) = pipes(1, 10, &mut rep);
        let hops = |count: usize| {
            let hops = std::iter::repeat_n("hop".to_owned(), count);
            hops.chain([String::new(), "body".to_owned()])
                .collect::<Message>()
        };
        assert!(far[0].push(hops(MAX_ENVELOPE_FRAMES)).is_ok());
        assert!(recv(&mut rep, &mut pipes).is_some());
        let long = message(&[&"x".repeat(MAX_ENVELOPE_FRAME + 1), "", "body"]);
        for bad in [hops(MAX_ENVELOPE_FRAMES + 1), hops(100_000), long] {
            assert!(far[0].push(bad).is_ok());
            rep.activate_read(keys[0], &mut pipes);
            assert_eq!(recv(&mut rep, &mut pipes), None);
            let expelled = std::mem::take(&mut pipes.effects().expelled);
            assert!(matches!(expelled[..], [(_, DisconnectReason::OverLimit { .. })]));
        }
    }

    #[test]
    fn an_envelope_beyond_all_measure_costs_the_next_peer_nothing() {
        let mut rep = RepPattern::default();
        let (mut pipes, keys, mut far) = pipes(1, 10, &mut rep);
        let long = message(&[&"x".repeat(MAX_ENVELOPE_FRAME + 1), "", "body"]);
        assert!(far[0].push(long.clone()).is_ok());
        assert!(far[0].push(long).is_ok());
        rep.disconnected(keys[0], &mut pipes);
        let mut place = None;
        assert!(rep.recv(&mut place, &mut pipes).is_some() && place.is_none());
        rep.admit(keys[0], &PeerInfo::new(SocketType::Req), &mut pipes)
            .unwrap();
        assert_eq!(recv(&mut rep, &mut pipes), None);
        assert!(pipes.effects().expelled.is_empty());
    }

    #[test]
    fn an_unanswered_request_is_counted_and_answered_with_nothing_by_choice() {
        for (answer_dropped, heard) in [(false, vec![]), (true, vec![message(&["", ""])])] {
            let mut rep = RepPattern {
                answer_dropped,
                ..RepPattern::default()
            };
            let (mut pipes, _, mut far) = pipes(1, 10, &mut rep);
            assert!(far[0].push(message(&["", "a"])).is_ok());
            let (_, to) = recv(&mut rep, &mut pipes).unwrap();
            rep.leave_unanswered(to, &mut pipes);
            assert_eq!(pipes.tally().unanswered, 1);
            assert_eq!(said(&mut far[0]), heard);
        }
    }

    proptest! {
        /// The model: the envelope is what stands before the first empty frame, and the body what stands after it.
        #[test]
        fn envelopes_come_off_and_on_again(parts in prop::collection::vec("[a-c]{0,2}", 1..8), answer in "[a-c]{0,3}") {
            let whole: Message = parts.iter().map(String::as_str).collect();
            let at = parts.iter().position(String::is_empty).filter(|at| at + 1 < parts.len());
            match (envelope_len(whole.frames()), at) {
                (Ok(len), Some(at)) => {
                    prop_assert_eq!(len, at);
                    let (envelope, body) = unwrap(whole.clone(), len);
                    let model: Message = parts[at + 1..].iter().map(String::as_str).collect();
                    prop_assert_eq!(&body, &model);
                    prop_assert_eq!(wrap(envelope.clone(), body), whole);
                    let reply = wrap(envelope, Message::from(answer.as_str()));
                    let model: Message = parts[..=at].iter().map(String::as_str).chain([answer.as_str()]).collect();
                    prop_assert_eq!(reply, model);
                }
                (fault, at) => prop_assert!(fault == Err(Fault::Shape) && at.is_none()),
            }
        }
    }
}
