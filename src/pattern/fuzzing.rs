//! What the fuzzers run on patterns: whatever peers and applications do, held against plain models.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::routing_table::RoutingTable;
use super::{Ask, Heard, Offer, Pattern, Pipes, RepPattern, ReplyTo, ReqPattern};
use crate::message::{Frame, Message};
use crate::options::Options;
use crate::peer::{PeerInfo, RoutingId, SocketType};
use crate::pipe::{Limits, PipeEnd, PipeLimits, Wakes, pair};

/// Peers of a socket, and messages that each end of a pipe holds.
const PEERS: usize = 3;
const HWM: usize = 4;

/// What an envelope may have: the limits of `rep.rs`, in numbers of our own.
const MAX_ENVELOPE_FRAMES: usize = 32;
const MAX_ENVELOPE_FRAME: usize = 255;

/// Adds pipes of the given capacity to a pattern, and returns their keys and far ends.
pub(crate) fn pipes(
    count: usize,
    hwm: usize,
    pattern: &mut impl Pattern,
) -> (Pipes, Vec<usize>, Vec<PipeEnd>) {
    let mut pipes = Pipes::default();
    let (mut keys, mut far) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let limits = Limits::new(hwm, 0);
        let (near, other) = pair(PipeLimits {
            send: limits,
            recv: limits,
        });
        let key = pipes.insert(near);
        pattern.attach(key);
        keys.push(key);
        far.push(other);
    }
    (pipes, keys, far)
}

/// Numbers that the input provides, and zeros after its end.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn next(&mut self) -> u8 {
        let Some((&number, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        number
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.next()).checked_rem(bound).unwrap_or(0)
    }

    /// A few frames, of which many are empty and some are long, or very many.
    fn frames(&mut self) -> Vec<Frame> {
        let count = match self.next() {
            255 => MAX_ENVELOPE_FRAMES + self.below(4),
            number => 1 + usize::from(number % 6),
        };
        let frames = (0..count).map(|_| match self.next() {
            number @ 0..=99 => Frame::from(vec![b'x'; usize::from(number % 2)]),
            number @ 100..=249 => Frame::from(vec![number; usize::from(number % 8)]),
            number => Frame::from(vec![b'y'; 4 * usize::from(number - 250) + MAX_ENVELOPE_FRAME - 8]),
        });
        frames.collect()
    }
}

fn id(name: u8) -> RoutingId {
    RoutingId::new(vec![1, name]).unwrap_or_default()
}

/// Claim: a routing table is a map in both directions, and the ids that it makes up are like no others.
pub(crate) fn routing_table(data: &[u8]) {
    let mut numbers = Numbers(data);
    let mut table = RoutingTable::default();
    let mut ids = BTreeMap::<usize, RoutingId>::new();
    let mut made_up = BTreeSet::new();
    while !numbers.0.is_empty() {
        let (op, pipe) = (numbers.below(4), numbers.below(16));
        match op {
            0 | 1 => {
                let id = id(numbers.next() % 16);
                let taken = ids.iter().any(|(other, own)| *other != pipe && *own == id);
                assert_eq!(table.insert(pipe, id.clone()), !taken);
                if !taken {
                    ids.insert(pipe, id);
                }
            }
            2 => {
                let made = table.insert_generated(pipe).unwrap_or_default();
                assert!(made.is_generated() && made.as_bytes().len() == 5);
                assert!(ids.values().all(|own| *own != made), "{made:?} is in use");
                made_up.insert(made.clone());
                ids.insert(pipe, made);
            }
            _ => assert_eq!(table.remove(pipe), ids.remove(&pipe)),
        }
        for pipe in 0..16 {
            assert_eq!(table.id(pipe), ids.get(&pipe));
        }
        let leads = |id: &RoutingId| ids.iter().find(|(_, own)| *own == id).map(|(pipe, _)| *pipe);
        for id in (0..16).map(id).chain(made_up.iter().rev().take(16).cloned()) {
            assert_eq!(table.pipe(&id), leads(&id));
        }
    }
}

/// What a message is to a REP.
enum Shape {
    Request(Vec<Frame>, Message),
    Nonsense,
    Excess,
}

/// The model of an envelope: what stands before the first empty frame, if there is something after it.
fn shape(frames: &[Frame]) -> Shape {
    let mut halves = frames.splitn(2, Frame::is_empty);
    let envelope = halves.next().unwrap_or_default();
    if envelope.len() > MAX_ENVELOPE_FRAMES {
        return Shape::Excess;
    }
    match halves.next() {
        None | Some([]) => Shape::Nonsense,
        Some(_) if envelope.iter().any(|frame| frame.len() > MAX_ENVELOPE_FRAME) => Shape::Excess,
        Some(body) => Shape::Request(envelope.to_vec(), body.iter().cloned().collect()),
    }
}

/// A pattern with peers at the far ends of its pipes, and what is on its way to it.
struct Peers<P> {
    pattern: P,
    pipes: Pipes,
    keys: Vec<usize>,
    far: Vec<PipeEnd>,
    /// What each has said, and in which of its lives; unread.
    said: Vec<VecDeque<(Vec<Frame>, u64)>>,
    /// Of what each peer said, so much was discarded.
    discarded: Vec<u64>,
    /// Which peer this is, of those that come one after another; and whether one is there.
    life: Vec<u64>,
    live: Vec<bool>,
}

impl<P: Pattern> Peers<P> {
    fn new() -> Self {
        let mut pattern = P::default();
        let (pipes, keys, far) = pipes(PEERS, HWM, &mut pattern);
        Self {
            pattern,
            pipes,
            keys,
            far,
            said: vec![VecDeque::new(); PEERS],
            discarded: vec![0; PEERS],
            life: vec![0; PEERS],
            live: vec![true; PEERS],
        }
    }

    fn at(&self, pipe: usize) -> usize {
        let at = self.keys.iter().position(|key| *key == pipe);
        assert!(at.is_some(), "{pipe} is no pipe");
        at.unwrap_or(0)
    }

    /// A peer says something, if it is there and there is room.
    fn say(&mut self, peer: usize, frames: Vec<Frame>) {
        let room = self.said[peer].len() < HWM;
        if self.live[peer] && room && self.far[peer].push(Message::from(frames.clone())).is_ok() {
            self.said[peer].push_back((frames, self.life[peer]));
            self.pattern.activate_read(self.keys[peer], &mut self.pipes);
        }
    }

    /// What a peer hears, if it is there.
    fn hear(&mut self, peer: usize) -> Option<Message> {
        if !self.live[peer] {
            return None;
        }
        let message = self.far[peer].pop(&mut Wakes::new());
        drop(self.far[peer].release());
        self.pattern.activate_write(self.keys[peer], &mut self.pipes);
        message
    }

    /// A peer goes, or another one comes to its place.
    fn change(&mut self, peer: usize, socket_type: SocketType) {
        let (key, pipes) = (self.keys[peer], &mut self.pipes);
        if self.live[peer] {
            // What it has not read stays, for the next.
            drop(self.far[peer].rest());
            self.pattern.disconnected(key, pipes);
        } else {
            let info = PeerInfo::new(socket_type);
            assert_eq!(self.pattern.admit(key, &info, pipes), Ok(()));
            self.pattern.connected(key, &info, pipes);
            self.life[peer] += 1;
        }
        self.live[peer] = !self.live[peer];
    }

    /// The pattern passed over the next message of a pipe, or took it.
    fn take(&mut self, pipe: usize) -> (usize, Vec<Frame>, u64) {
        let peer = self.at(pipe);
        let next = self.said[peer].pop_front();
        assert!(next.is_some(), "a message came that nobody sent");
        let (frames, life) = next.unwrap_or_default();
        (peer, frames, life)
    }

    /// Tells whether who was there in some life still is.
    fn is_there(&self, peer: usize, life: u64) -> bool {
        self.live[peer] && self.life[peer] == life
    }

    fn check_counts(&mut self) {
        for peer in 0..PEERS {
            let traffic = self.pipes.get_mut(self.keys[peer]).map(|end| end.traffic());
            let traffic = traffic.unwrap_or_default();
            assert!(traffic.adds_up(), "{traffic:?}");
            assert_eq!(traffic.discarded, self.discarded[peer]);
            assert_eq!(traffic.unread, self.said[peer].len() as u64);
        }
    }
}

/// A request that was received and not answered.
struct Open {
    to: ReplyTo,
    peer: usize,
    life: u64,
    envelope: Vec<Frame>,
}

/// Claim: whatever peers send, a REP takes requests out of their envelopes in order, discards and counts what is none,
/// and puts each reply into the envelope of its request and into the pipe of who asked, as long as that one is there.
pub(crate) fn envelopes(data: &[u8]) {
    let mut numbers = Numbers(data);
    let mut peers = Peers::<RepPattern>::new();
    let mut options = Options::default();
    options.dialogue.answer_dropped = numbers.next() % 2 == 0;
    peers.pattern.configure(&options);
    let mut open = Vec::<Open>::new();
    // What each peer is to hear.
    let mut replies = vec![VecDeque::<Message>::new(); PEERS];
    while !numbers.0.is_empty() {
        match numbers.below(8) {
            0..=2 => {
                let (peer, frames) = (numbers.below(PEERS), numbers.frames());
                peers.say(peer, frames);
            }
            3 | 4 => {
                let received = receive(&mut peers);
                open.extend(received);
            }
            5 if !open.is_empty() => {
                let question = open.swap_remove(numbers.below(open.len()));
                if numbers.below(4) == 0 {
                    leave_unanswered(
                        &mut peers,
                        question,
                        options.dialogue.answer_dropped,
                        &mut replies,
                    );
                } else {
                    let body = Message::from(numbers.frames());
                    open.extend(reply(&mut peers, question, body, &mut replies));
                }
            }
            6 => {
                let peer = numbers.below(PEERS);
                let heard = peers.hear(peer);
                assert_eq!(heard, replies[peer].pop_front());
            }
            7 if numbers.below(4) == 0 => {
                let peer = numbers.below(PEERS);
                peers.change(peer, SocketType::Req);
                // Replies that have not gone out go to nobody.
                if !peers.live[peer] {
                    replies[peer].clear();
                }
            }
            _ => {}
        }
        peers.check_counts();
        open.truncate(64);
    }
}

/// Receives with a REP, if there is anything.
fn receive(peers: &mut Peers<RepPattern>) -> Option<Open> {
    let mut place = None;
    let from = peers.pattern.recv(&mut place, &mut peers.pipes);
    let Some(pipe) = from else {
        assert!(place.is_none() && peers.said.iter().all(VecDeque::is_empty));
        return None;
    };
    let (peer, frames, life) = peers.take(pipe);
    let shape = shape(&frames);
    let expelled = std::mem::take(&mut peers.pipes.effects().expelled);
    let blamed = matches!(shape, Shape::Excess) && peers.is_there(peer, life);
    assert_eq!(!expelled.is_empty(), blamed, "{frames:?}");
    let Shape::Request(envelope, body) = shape else {
        assert!(place.is_none(), "{frames:?} was received as {place:?}");
        peers.discarded[peer] += 1;
        return None;
    };
    let (got, to) = place?;
    assert_eq!(got, body);
    Some(Open {
        to,
        peer,
        life,
        envelope,
    })
}

/// What is to become of a reply, and the reply in its envelope.
fn model_of_reply(
    peers: &Peers<RepPattern>,
    question: &Open,
    body: Message,
    replies: &[VecDeque<Message>],
) -> (Offer, Message) {
    let there = peers.is_there(question.peer, question.life);
    let room = replies[question.peer].len() < HWM;
    let offer = match (there, room) {
        (true, true) => Offer::Taken,
        (true, false) => Offer::Full,
        (false, _) => Offer::Refused,
    };
    let mut whole = question.envelope.clone();
    whole.push(Frame::new());
    whole.extend(body);
    (offer, Message::from(whole))
}

/// Sends a reply. It comes back as it was if it is not taken, and the question too if there was no room.
fn reply(
    peers: &mut Peers<RepPattern>,
    question: Open,
    body: Message,
    replies: &mut [VecDeque<Message>],
) -> Option<Open> {
    let (model, whole) = model_of_reply(peers, &question, body.clone(), replies);
    let mut out = Some((question.to.clone(), body.clone()));
    let offer = peers.pattern.send(&mut out, &mut peers.pipes);
    assert_eq!(offer, model);
    let back = (offer != Offer::Taken).then(|| (question.to.clone(), body));
    assert_eq!(out, back);
    if offer == Offer::Taken {
        replies[question.peer].push_back(whole);
    }
    (offer == Offer::Full).then_some(question)
}

/// Drops a question, which is answered with nothing if that was chosen and there is room.
fn leave_unanswered(
    peers: &mut Peers<RepPattern>,
    question: Open,
    answer: bool,
    replies: &mut [VecDeque<Message>],
) {
    let (model, whole) = model_of_reply(peers, &question, Message::new(), replies);
    let before = peers.pipes.tally().unanswered;
    peers.pattern.leave_unanswered(question.to, &mut peers.pipes);
    assert_eq!(peers.pipes.tally().unanswered, before + 1);
    if answer && model == Offer::Taken {
        replies[question.peer].push_back(whole);
    }
}

/// The request that a REQ has under way, as a model has it.
struct Asked {
    peer: usize,
    body: Message,
    /// What stands before the body of its reply; not known before its peer has heard it, if it has an id.
    envelope: Option<Vec<Frame>>,
    ticket: Option<u64>,
    /// So much was here before.
    stale: usize,
    /// Its peer has heard it.
    out: bool,
    /// The life in which its peer was lost: what comes of later ones is of another.
    lost: Option<u64>,
}

/// Claim: whatever peers send, a REQ hears the reply to its request, from the peer that it asked, and nothing else; what
/// is no reply is discarded and counted; and the loss of the peer ends the wait.
pub(crate) fn correlation(data: &[u8]) {
    let mut numbers = Numbers(data);
    let mut peers = Peers::<ReqPattern>::new();
    let mut options = Options::default();
    let dialogue = &mut options.dialogue;
    dialogue.relaxed = numbers.next() % 2 == 0;
    dialogue.correlate = numbers.next() % 2 == 0;
    dialogue.probe = numbers.next() % 4 == 0;
    let (relaxed, correlate) = (dialogue.relaxed, dialogue.correlate);
    peers.pattern.configure(&options);
    let mut asked = None::<Asked>;
    let (mut heard, mut count) = (VecDeque::<(usize, Message)>::new(), 0);
    while !numbers.0.is_empty() {
        match numbers.below(8) {
            0 | 1 => {
                count += 1;
                let ticket = (numbers.below(3) == 0).then(|| peers.pattern.draw_ticket());
                let has_id = correlate || ticket.is_some();
                ask(&mut peers, &mut asked, (ticket, has_id), count, relaxed);
            }
            // A peer answers something that it was asked, or says anything.
            2 | 3 if !heard.is_empty() => {
                let (peer, request) = &heard[numbers.below(heard.len())];
                let (peer, mut frames) = (*peer, request.frames().to_vec());
                match numbers.below(8) {
                    0 => frames.truncate(1),
                    1 => frames.insert(0, Frame::new()),
                    _ => {}
                }
                peers.say(peer, frames);
            }
            4 => {
                let (peer, frames) = (numbers.below(PEERS), numbers.frames());
                peers.say(peer, frames);
            }
            5 | 6 => listen(&mut peers, &mut asked),
            7 => {
                let peer = numbers.below(PEERS);
                match numbers.below(8) {
                    0 => lose(&mut peers, &mut asked, peer),
                    1 => give_up(&mut peers, &mut asked),
                    _ => heard.extend(hear(&mut peers, &mut asked, peer)),
                }
            }
            _ => {}
        }
        peers.check_counts();
        heard.truncate(64);
    }
}

/// Asks, if it is this side's turn and there is room.
fn ask(
    peers: &mut Peers<ReqPattern>,
    asked: &mut Option<Asked>,
    (ticket, has_id): (Option<u64>, bool),
    count: u32,
    relaxed: bool,
) {
    let body = Message::from(format!("request {count}"));
    let queued = |peers: &Peers<ReqPattern>| -> Vec<u64> {
        peers.keys.iter().map(|key| peers.pipes.queued(*key)).collect()
    };
    let before = queued(peers);
    let request = Ask {
        body: body.clone(),
        ticket,
    };
    let mut out = Some(request.clone());
    let offer = peers.pattern.send(&mut out, &mut peers.pipes);
    let model = match asked {
        Some(asked) if asked.ticket.is_some() => Offer::Full,
        Some(_) if !relaxed => Offer::Refused,
        _ if before.iter().all(|queued| *queued >= HWM as u64) => Offer::Full,
        _ => Offer::Taken,
    };
    assert_eq!(offer, model);
    assert_eq!(out, (offer != Offer::Taken).then_some(request));
    let after = queued(peers);
    let peer = (0..PEERS).find(|peer| after[*peer] > before[*peer]);
    assert_eq!(peer.is_some(), offer == Offer::Taken);
    let Some(peer) = peer else { return };
    *asked = Some(Asked {
        peer,
        body,
        envelope: (!has_id).then(|| vec![Frame::new()]),
        ticket,
        stale: peers.said[peer].len(),
        out: false,
        lost: None,
    });
}

/// A peer hears what it was asked, or a probe.
fn hear(peers: &mut Peers<ReqPattern>, asked: &mut Option<Asked>, peer: usize) -> Option<(usize, Message)> {
    let request = peers.hear(peer)?;
    if let Some(asked) = asked.as_mut().filter(|asked| asked.peer == peer)
        && let Some(envelope) = request.frames().strip_suffix(asked.body.frames())
    {
        assert!(
            asked.envelope.is_none() && envelope.len() == 2 || asked.envelope.as_deref() == Some(envelope)
        );
        asked.envelope = Some(envelope.to_vec());
        asked.out = true;
    }
    Some((peer, request))
}

/// Listens for what came of the request that is under way.
fn listen(peers: &mut Peers<ReqPattern>, asked: &mut Option<Asked>) {
    let mut place = None;
    let (pattern, pipes) = (&mut peers.pattern, &mut peers.pipes);
    let from = match asked.as_ref().and_then(|asked| asked.ticket) {
        Some(ticket) => pattern.recv_for(ticket, &mut place, pipes),
        None => pattern.recv(&mut place, pipes),
    };
    let Some(now) = asked else {
        return assert_eq!(place, Some(Heard::OutOfTurn));
    };
    let silent = peers.said.iter().all(VecDeque::is_empty);
    if silent {
        assert_eq!(from.is_some(), now.lost.is_some());
        assert_eq!(place, now.lost.map(|_| Heard::Lost));
        asked.take_if(|asked| asked.lost.is_some());
        return;
    }
    let (peer, frames, life) = peers.take(from.unwrap_or(usize::MAX));
    let own = peer == now.peer && now.lost.is_none_or(|lost| life <= lost);
    let envelope = now.envelope.as_deref().filter(|_| own && now.stale == 0);
    let body = envelope.and_then(|envelope| frames.strip_prefix(envelope));
    let body = body.filter(|body| !body.is_empty());
    let model = body.map(|body| Heard::Reply(body.iter().cloned().collect()));
    assert_eq!(place, model, "{frames:?}");
    if own {
        now.stale = now.stale.saturating_sub(1);
    }
    match model {
        Some(_) => *asked = None,
        None => peers.discarded[peer] += 1,
    }
}

/// A peer goes or comes. Who was asked something and is gone will not answer it.
fn lose(peers: &mut Peers<ReqPattern>, asked: &mut Option<Asked>, peer: usize) {
    if peers.live[peer]
        && let Some(asked) = asked.as_mut().filter(|asked| asked.peer == peer && asked.out)
    {
        asked.lost.get_or_insert(peers.life[peer]);
    }
    peers.change(peer, SocketType::Rep);
}

/// Nobody waits for the reply any more.
fn give_up(peers: &mut Peers<ReqPattern>, asked: &mut Option<Asked>) {
    if let Some(ticket) = asked.as_ref().and_then(|asked| asked.ticket) {
        peers.pattern.abandon(ticket);
        *asked = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_routing_table_keeps_its_promises(data in prop::collection::vec(any::<u8>(), 0..300)) {
            routing_table(&data);
        }

        #[test]
        fn rep_keeps_its_promises(data in prop::collection::vec(any::<u8>(), 0..400)) {
            envelopes(&data);
        }

        #[test]
        fn req_keeps_its_promises(data in prop::collection::vec(any::<u8>(), 0..400)) {
            correlation(&data);
        }
    }
}
