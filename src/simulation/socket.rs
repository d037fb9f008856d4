//! A socket of the simulation: a pattern, its pipes and an application. It does what `socket::core` and
//! `socket::hooks` do, without a lock, and keeps the books.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::application::{Application, Desk};
use super::bell::{Call, Calls, Who};
use super::ledger::{Ledger, Name, Place};
use super::plan;
use super::session::Hold;
use crate::options::Options;
use crate::pattern::{Effects, Offer, Pattern, Pipes};
use crate::pipe::{Limits, PipeEnd, PipeLimits, Wakes, fire_all, pair};
use crate::stats::{DropReason, Traffic};
use crate::zmtp::Config;
use crate::{DisconnectReason, PeerInfo, SocketType};

/// What the world does with a socket of any type.
pub(super) trait Node {
    fn config(&self) -> &Arc<Config>;
    fn receives(&self) -> bool;

    /// Makes the pipe of an endpoint connected to, and returns its far end.
    fn dial(&mut self, calls: &Calls) -> Hold;
    /// Judges the peer of such a pipe, or of one that is made for it now and returned.
    fn admit(
        &mut self,
        pipe: Option<usize>,
        info: &PeerInfo,
        calls: &Calls,
        desk: &mut Desk<'_>,
    ) -> Result<Option<Hold>, &'static str>;
    fn connected(&mut self, pipe: usize, side: usize, info: &PeerInfo, desk: &mut Desk<'_>);
    /// A connection is over, and its pipe with it unless that outlives connections.
    fn disconnected(&mut self, pipe: usize, gone: bool, desk: &mut Desk<'_>);
    /// A connection has taken a message out of a pipe, or put one in.
    fn handed(&mut self, pipe: usize, name: Option<Name>);
    fn arrived(&mut self, pipe: usize, name: Option<Name>, desk: &mut Desk<'_>);
    fn hear(&mut self, call: Call);
    fn publish(&mut self, pipe: usize);
    /// Does what the pattern has left to do; returns whom to wake, and whose connection to end.
    fn settle(&mut self, desk: &mut Desk<'_>) -> (Wakes, Vec<(usize, DisconnectReason)>);

    /// Whether the application would send now, receive now, or do something else.
    fn can_send(&self, peaceful: bool) -> bool;
    fn can_recv(&self) -> bool;
    fn can_act(&self) -> bool;
    fn send(&mut self, desk: &mut Desk<'_>);
    /// Returns a number that stands for what came.
    fn recv(&mut self, desk: &mut Desk<'_>) -> u64;
    fn act(&mut self, desk: &mut Desk<'_>);

    /// Begins to close: what is sent goes out, and nothing more is said or heard.
    fn begin_close(&mut self, desk: &mut Desk<'_>);
    /// Whether it is open, as opposed to closing and closed.
    fn is_open(&self) -> bool;
    fn is_closed(&self) -> bool;
    /// The end of a process, or of linger: all pipes go at once.
    fn die(&mut self, desk: &mut Desk<'_>);
    /// Another socket takes the place of one that is closed.
    fn be_reborn(&mut self, desk: &mut Desk<'_>);

    /// Whether nothing is left to do, for peers that are all there.
    fn is_at_rest(&self, ledger: &Ledger) -> bool;
    fn check_limits(&self);
    fn check_books(&mut self, ledger: &mut Ledger);
    fn describe(&self) -> String;
}

/// What is known of a pipe.
#[derive(Default)]
struct Peer {
    side: Option<usize>,
    connected: bool,
    attached: bool,
    /// The far end is gone; the pipe stays until it is read.
    gone: bool,
    /// Why the pattern does not want the peer, if it said so before the connection was known here.
    doomed: Option<DisconnectReason>,
    /// What was sent in all, and what of it was not handed to a connection yet.
    sent: u64,
    queued: VecDeque<Option<Name>>,
    /// What has come in and was not read yet.
    arrived: VecDeque<Option<Name>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    Closing,
    Closed,
}

/// A socket and its application.
pub(super) struct Socket<A: Application> {
    slot: usize,
    pattern: A::Pattern,
    pipes: Pipes,
    peers: BTreeMap<usize, Peer>,
    app: A,
    phase: Phase,
    /// The application waits until it is told.
    send_asleep: bool,
    recv_asleep: bool,
    options: Options,
    config: Arc<Config>,
    limits: PipeLimits,
    /// The traffic of pipes that are gone, those of earlier sockets in this place included.
    past: Traffic,
}

impl<A: Application> Socket<A> {
    pub(super) fn new(mut options: Options, desk: &mut Desk<'_>) -> Self {
        let app = A::new(&mut options, desk);
        let limits = Limits::new(
            desk.rng.pick(&[1, 2, 3, 10, 1000, 0]),
            desk.rng.pick(&[0, 0, 500, 20_000]),
        );
        let mut pattern = A::Pattern::default();
        pattern.configure(&options);
        Self {
            slot: desk.slot,
            pattern,
            pipes: Pipes::default(),
            peers: BTreeMap::new(),
            app,
            phase: Phase::Open,
            send_asleep: false,
            recv_asleep: false,
            config: Arc::new(Config::new(A::Pattern::TYPE, &options.link)),
            options,
            limits: PipeLimits {
                send: limits,
                recv: limits,
            },
            past: Traffic::default(),
        }
    }

    fn make_pipe(&mut self, calls: &Calls) -> Hold {
        let (mut near, end) = pair(self.limits);
        let pipe = self.pipes.vacant_key();
        near.set_owner(Some(calls.address(Who::Socket(self.slot), pipe)));
        self.pipes.insert(near);
        self.peers.insert(pipe, Peer::default());
        Hold { pipe, end }
    }

    fn attach(&mut self, pipe: usize) {
        let Some(peer) = self.peers.get_mut(&pipe) else {
            return;
        };
        if !std::mem::replace(&mut peer.attached, true) {
            self.pattern.attach(pipe);
        }
        self.tell_sender();
        self.tell_receiver();
    }

    /// Wakes the application if it can send, unless each of its messages waits for a peer of its own.
    fn tell_sender(&mut self) {
        if !A::Pattern::ADDRESSED && self.pattern.can_send(&mut self.pipes) {
            self.send_asleep = false;
        }
    }

    fn tell_receiver(&mut self) {
        if self.pattern.can_recv(&mut self.pipes) {
            self.recv_asleep = false;
        }
    }

    fn tell_stranded_senders(&mut self) {
        if A::Pattern::ADDRESSED {
            self.send_asleep = false;
            self.app.woken();
        }
    }

    /// Has the pattern do something that may send messages without a name.
    fn note_unnamed<T>(
        &mut self,
        desk: &mut Desk<'_>,
        work: impl FnOnce(&mut Self, &mut Desk<'_>) -> T,
    ) -> T {
        let result = work(self, desk);
        desk.ledger.unnamed(self.slot).accepted += self.note_sent(None);
        result
    }

    /// Finds into which pipes a message went, and returns how many they are.
    fn note_sent(&mut self, name: Option<Name>) -> u64 {
        let mut copies = 0;
        for (pipe, near) in self.pipes.iter() {
            let Some(peer) = self.peers.get_mut(&pipe) else {
                continue;
            };
            let sent = near.traffic().accepted.messages;
            for _ in peer.sent..sent {
                peer.queued.push_back(name);
                copies += 1;
            }
            peer.sent = sent;
        }
        copies
    }

    /// Finds what the pattern has dropped because another peer must not have it.
    fn note_dropped(&mut self, pipe: usize, desk: &mut Desk<'_>) {
        let Some(peer) = self.peers.get_mut(&pipe) else {
            return;
        };
        let queued = self.pipes.queued(pipe);
        while peer.queued.len() as u64 > queued {
            let name = peer.queued.pop_front().flatten();
            desk.ledger.taken_back(self.slot, name, false);
        }
    }

    fn traffic(&mut self) -> Traffic {
        let mut all = self.past.clone();
        all.merge(&self.pipes.tally().stray);
        for (_, near) in self.pipes.iter() {
            all.merge(&near.traffic());
        }
        all
    }

    /// The far end of a pipe is gone: takes back what it has not read.
    fn write_off(&mut self, pipe: usize, desk: &mut Desk<'_>) {
        let Some(near) = self.pipes.get_mut(pipe) else {
            return;
        };
        let rest = near.reclaim();
        let (count, at_end) = (rest.load().messages, self.phase != Phase::Open);
        if at_end {
            self.past.returned += count;
        } else {
            self.past.dropped.add(DropReason::PeerGone, count);
        }
        let names = rest.map(|message| desk.ledger.name(&message));
        let names: VecDeque<_> = names.collect();
        let queued = self
            .peers
            .get_mut(&pipe)
            .map(|peer| std::mem::take(&mut peer.queued));
        assert_eq!(queued.unwrap_or_default(), names);
        for name in names {
            desk.ledger.taken_back(self.slot, name, at_end);
        }
    }

    fn remove_pipe(&mut self, pipe: usize, desk: &mut Desk<'_>) {
        self.pattern.detach(pipe);
        let (Some(near), Some(peer)) = (self.pipes.remove(pipe), self.peers.remove(&pipe)) else {
            return;
        };
        let traffic = near.traffic();
        assert_eq!(traffic.unread, peer.arrived.len() as u64);
        for name in peer.arrived {
            desk.ledger.forgotten(self.slot, name);
        }
        self.past.merge(&traffic);
        self.past.unread = 0;
    }

    /// Takes note that a message of a pipe was read, if one was.
    fn note_read(&mut self, pipe: usize) -> Option<Option<Name>> {
        let peer = self.peers.get_mut(&pipe)?;
        let unread = self.pipes.unread(pipe);
        let read = peer.arrived.len() as u64 - unread;
        assert!(read <= 1, "{read} messages were read at once");
        (read == 1).then(|| peer.arrived.pop_front().flatten())
    }
}

impl<A: Application> Node for Socket<A> {
    fn config(&self) -> &Arc<Config> {
        &self.config
    }

    fn receives(&self) -> bool {
        A::Pattern::RECEIVES
    }

    fn dial(&mut self, calls: &Calls) -> Hold {
        let hold = self.make_pipe(calls);
        self.app.name_peer(&mut self.pattern, hold.pipe);
        self.attach(hold.pipe);
        hold
    }

    fn admit(
        &mut self,
        pipe: Option<usize>,
        info: &PeerInfo,
        calls: &Calls,
        desk: &mut Desk<'_>,
    ) -> Result<Option<Hold>, &'static str> {
        if let Some(pipe) = pipe {
            let admitted = self.pattern.admit(pipe, info, &mut self.pipes);
            self.note_dropped(pipe, desk);
            return admitted.map(|()| None);
        }
        if self.phase != Phase::Open {
            return Err("closing");
        }
        let hold = self.make_pipe(calls);
        if let Err(why) = self.pattern.admit(hold.pipe, info, &mut self.pipes) {
            self.pipes.remove(hold.pipe);
            self.peers.remove(&hold.pipe);
            return Err(why);
        }
        Ok(Some(hold))
    }

    fn connected(&mut self, pipe: usize, side: usize, info: &PeerInfo, desk: &mut Desk<'_>) {
        let Some(peer) = self.peers.get_mut(&pipe) else {
            return;
        };
        peer.connected = true;
        peer.side = Some(side);
        let doomed = peer.doomed.take();
        self.attach(pipe);
        self.note_unnamed(desk, |socket, _| {
            socket.pattern.connected(pipe, info, &mut socket.pipes);
        });
        if let Some(reason) = doomed {
            self.pipes.expel(pipe, reason);
        }
        self.tell_receiver();
        self.tell_stranded_senders();
        let connected = self.peers.values().filter(|peer| peer.connected).count();
        assert!(
            connected == 1 || A::Pattern::TYPE != SocketType::Pair,
            "a PAIR has {connected} peers"
        );
    }

    fn disconnected(&mut self, pipe: usize, gone: bool, desk: &mut Desk<'_>) {
        let Some(peer) = self.peers.get_mut(&pipe) else {
            return;
        };
        peer.connected = false;
        peer.side = None;
        peer.gone = gone;
        if !gone {
            self.publish(pipe);
        }
        self.pattern.disconnected(pipe, &mut self.pipes);
        self.note_dropped(pipe, desk);
        if gone {
            self.write_off(pipe, desk);
            let unread = self.pipes.get_mut(pipe).is_some_and(|near| !near.is_finished());
            if unread && self.phase == Phase::Open {
                self.pattern.activate_read(pipe, &mut self.pipes);
            } else {
                self.remove_pipe(pipe, desk);
            }
        }
        self.tell_receiver();
        self.tell_stranded_senders();
    }

    fn handed(&mut self, pipe: usize, name: Option<Name>) {
        let queued = self.peers.get_mut(&pipe).and_then(|peer| peer.queued.pop_front());
        assert_eq!(queued, Some(name), "it went out of turn");
    }

    fn arrived(&mut self, pipe: usize, name: Option<Name>, desk: &mut Desk<'_>) {
        let peer = self.peers.get_mut(&pipe);
        peer.expect("a pipe that is known").arrived.push_back(name);
        // An id that the peer has not chosen itself stands for it whoever it is, and one may be damaged.
        if let Some(to) = name.and_then(|name| desk.ledger.addressee(name))
            && plan::is_chosen(to)
            && !desk.ledger.dirty
        {
            assert_eq!(*to, self.config.routing_id, "{name:?} came to another peer");
        }
    }

    fn hear(&mut self, call: Call) {
        if call.read {
            self.pattern.activate_read(call.pipe, &mut self.pipes);
            self.recv_asleep = false;
        } else {
            self.pattern.activate_write(call.pipe, &mut self.pipes);
            self.send_asleep = false;
            self.tell_stranded_senders();
        }
    }

    fn publish(&mut self, pipe: usize) {
        fire_all(self.pipes.get_mut(pipe).and_then(PipeEnd::publish));
    }

    fn settle(&mut self, desk: &mut Desk<'_>) -> (Wakes, Vec<(usize, DisconnectReason)>) {
        let effects = std::mem::take(self.pipes.effects());
        let Effects {
            wakes,
            finished,
            expelled,
            ..
        } = effects;
        for pipe in finished {
            if self.peers.get(&pipe).is_some_and(|peer| peer.gone) {
                self.remove_pipe(pipe, desk);
            }
        }
        let mut ended = Vec::new();
        for (pipe, reason) in expelled {
            let Some(peer) = self.peers.get_mut(&pipe).filter(|peer| !peer.gone) else {
                continue;
            };
            match peer.side {
                Some(side) => ended.push((side, reason)),
                None => peer.doomed = Some(reason),
            }
        }
        if self.phase == Phase::Closing && self.pipes.len() == 0 {
            self.phase = Phase::Closed;
        }
        (wakes, ended)
    }

    fn can_send(&self, peaceful: bool) -> bool {
        let unread = self.peers.values().any(|peer| !peer.arrived.is_empty());
        self.phase == Phase::Open && !self.send_asleep && self.app.wants_to_send(peaceful && unread)
    }

    fn can_recv(&self) -> bool {
        self.phase == Phase::Open && !self.recv_asleep && self.app.wants_to_recv()
    }

    fn can_act(&self) -> bool {
        self.phase == Phase::Open && self.app.wants_to_act()
    }

    fn send(&mut self, desk: &mut Desk<'_>) {
        let letter = self.app.compose(desk);
        let strays = self.pipes.tally().stray.accepted.messages;
        let mut place = Some(letter.out);
        let offer = self.pattern.send(&mut place, &mut self.pipes);
        assert_eq!(offer == Offer::Taken, place.is_none());
        let stray = self.pipes.tally().stray.accepted.messages - strays;
        let copies = self.note_sent(Some(letter.name)) + stray;
        assert!(
            copies == u64::from(offer == Offer::Taken) || A::FANS_OUT,
            "{copies} copies, {offer:?}"
        );
        if offer == Offer::Taken {
            desk.ledger.accepted(letter.name, copies, letter.answers);
            (0..stray).for_each(|_| desk.ledger.unroutable(letter.name));
        }
        self.send_asleep = offer == Offer::Full && !A::Pattern::ADDRESSED;
        if self.app.settle(letter.name, offer, place, desk) {
            // The next to receive tries once before it waits.
            self.recv_asleep = false;
        }
    }

    fn recv(&mut self, desk: &mut Desk<'_>) -> u64 {
        let mut place = None;
        let from = self.app.recv(&mut self.pattern, &mut place, &mut self.pipes);
        let read = from.and_then(|pipe| self.note_read(pipe));
        let number = match read {
            Some(Some((sender, number))) => ((sender as u64) << 32) + number as u64,
            Some(None) => 1,
            None => 0,
        };
        self.recv_asleep = from.is_none();
        assert!(from.is_some() || place.is_none());
        if let Some(name) = read {
            desk.ledger.read(self.slot, name, place.is_some());
        }
        if let Some(received) = place {
            self.app.heard(received, read, desk);
        }
        number
    }

    fn act(&mut self, desk: &mut Desk<'_>) {
        self.note_unnamed(desk, |socket, desk| {
            socket.app.act(&mut socket.pattern, &mut socket.pipes, desk);
        });
        self.tell_sender();
        self.tell_receiver();
    }

    fn begin_close(&mut self, desk: &mut Desk<'_>) {
        self.phase = Phase::Closing;
        for pipe in self.pipes.keys() {
            if self.peers.get(&pipe).is_some_and(|peer| peer.gone) {
                self.remove_pipe(pipe, desk);
            } else {
                fire_all(self.pipes.get_mut(pipe).and_then(PipeEnd::finish));
            }
        }
    }

    fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    fn die(&mut self, desk: &mut Desk<'_>) {
        self.phase = Phase::Closing;
        for pipe in self.pipes.keys() {
            self.write_off(pipe, desk);
            self.remove_pipe(pipe, desk);
        }
        *self.pipes.effects() = Effects::default();
        self.phase = Phase::Closed;
    }

    fn be_reborn(&mut self, desk: &mut Desk<'_>) {
        if desk.rng.one_in(2) && !desk.rivals {
            self.options.link.routing_id = plan::choose_id(desk.slot, desk.rng);
            self.config = Arc::new(Config::new(A::Pattern::TYPE, &self.options.link));
        }
        assert!(self.is_closed() && self.peers.is_empty());
        self.past.merge(&self.pipes.tally().stray);
        self.pipes = Pipes::default();
        self.pattern = A::Pattern::default();
        self.pattern.configure(&self.options);
        self.app.be_reborn();
        self.phase = Phase::Open;
        (self.send_asleep, self.recv_asleep) = (false, false);
    }

    fn is_at_rest(&self, ledger: &Ledger) -> bool {
        let unread = self.peers.values().any(|peer| !peer.arrived.is_empty());
        let queued = self.pipes.iter().any(|(_, near)| near.queued() > 0);
        let busy = self.can_send(true) || self.can_recv();
        !self.is_open() || !unread && !queued && !busy && self.app.is_content(ledger)
    }

    /// No pipe ever holds more messages than its high-water mark, and the counters know what it holds.
    fn check_limits(&self) {
        for (pipe, near) in self.pipes.iter() {
            let traffic = near.traffic();
            assert!(traffic.queued <= self.limits.send.messages);
            assert!(traffic.unread <= self.limits.recv.messages);
            let peer = self.peers.get(&pipe);
            let known = peer.map_or((0, 0), |peer| {
                (peer.queued.len() as u64, peer.arrived.len() as u64)
            });
            assert_eq!((traffic.queued, traffic.unread), known);
        }
    }

    /// Every message is where the counters say.
    fn check_books(&mut self, ledger: &mut Ledger) {
        let (slot, unnamed) = (self.slot, *ledger.unnamed(self.slot));
        let (traffic, ledger) = (self.traffic(), &*ledger);
        assert!(traffic.adds_up(), "{traffic:?}");
        let sent = |kind: fn(Place) -> bool| ledger.sent(slot, kind);
        assert_eq!(traffic.accepted.messages, sent(|_| true) + unnamed.accepted);
        let kept = sent(|place| {
            matches!(
                place,
                Place::Queued | Place::PeerGone | Place::Returned | Place::Unroutable
            )
        });
        let handed = sent(|_| true) - kept;
        assert_eq!(traffic.handed.messages, handed + unnamed.handed);
        let peer_gone = sent(|place| place == Place::PeerGone) + unnamed.peer_gone;
        assert_eq!(traffic.dropped.of(DropReason::PeerGone), peer_gone);
        let unroutable = sent(|place| place == Place::Unroutable);
        assert_eq!(traffic.dropped.of(DropReason::Unroutable), unroutable);
        assert_eq!(
            traffic.returned,
            sent(|place| place == Place::Returned) + unnamed.returned
        );
        let received = ledger.at(Place::Received(slot)) + unnamed.received;
        assert_eq!(traffic.received.messages, received);
        let discarded = ledger.at(Place::Discarded(slot)) + unnamed.discarded;
        assert_eq!(traffic.discarded, discarded);
    }

    fn describe(&self) -> String {
        let asleep = (self.send_asleep, self.recv_asleep);
        let pipes = self
            .pipes
            .iter()
            .map(|(pipe, near)| (pipe, near.queued(), near.unread()));
        let (kind, pipes) = (A::Pattern::TYPE, pipes.collect::<Vec<_>>());
        format!(
            "{kind} {:?}, asleep {asleep:?}, pipes {pipes:?}, {}",
            self.phase,
            self.app.describe()
        )
    }
}
