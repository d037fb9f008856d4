//! A socket of the simulation: a pattern, its pipes and an application. It does what `socket::core` and
//! `socket::hooks` do, without a lock, and keeps the books.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::application::{Application, Desk};
use super::bell::{Call, Calls, Who};
use super::books::{Arrival, Books, unnamed_topic};
use super::ledger::{Ledger, Name, Place};
use super::node::Node;
use super::plan;
use super::session::Hold;
use crate::options::{Options, SlowPolicy};
use crate::pattern::{Effects, Offer, Pattern, Pipes};
use crate::pipe::{PipeEnd, PipeLimits, Wakes, WhenFull, fire_all, pair};
use crate::socket::pipe_limits;
use crate::stats::{DropReason, Traffic};
use crate::zmtp::Config;
use crate::{DisconnectReason, Message, PeerInfo, SocketType};

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
    books: Books,
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
        options.send_hwm = desk.rng.pick(&[1, 2, 3, 10, 1000, 0]);
        options.send_hwm_bytes = desk.rng.pick(&[0, 0, 500, 20_000]);
        options.recv_hwm = options.send_hwm;
        options.recv_hwm_bytes = options.send_hwm_bytes;
        let app = A::new(&mut options, desk);
        let mut socket = Self {
            slot: desk.slot,
            pattern: A::Pattern::default(),
            pipes: Pipes::default(),
            peers: BTreeMap::new(),
            app,
            phase: Phase::Open,
            send_asleep: false,
            recv_asleep: false,
            config: Arc::new(Config::new(A::Pattern::TYPE, &options.link)),
            limits: pipe_limits(&options, A::Pattern::TYPE),
            options,
            past: Traffic::default(),
        };
        socket.begin(desk);
        socket
    }

    fn begin(&mut self, desk: &mut Desk<'_>) {
        self.pattern.configure(&self.options);
        self.app.begin(&mut self.pattern, &mut self.pipes, desk);
    }

    fn make_pipe(&mut self, calls: &Calls) -> Hold {
        let (mut near, end) = pair(self.limits);
        let pipe = self.pipes.vacant_key();
        near.set_owner(Some(calls.address(Who::Socket(self.slot), pipe)));
        self.pipes.insert(near);
        let peer = Peer {
            books: Books::new(self.limits.send.when_full),
            ..Peer::default()
        };
        self.peers.insert(pipe, peer);
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
        desk.ledger.unnamed(self.slot).accepted += self.note_sent(None).len() as u64;
        self.note_refused(desk);
        result
    }

    /// Finds for which pipes a message was accepted.
    fn note_sent(&mut self, name: Option<Name>) -> Vec<usize> {
        let mut pipes = Vec::new();
        self.pipes.end_run();
        for (pipe, near) in self.pipes.iter() {
            if let Some(peer) = self.peers.get_mut(&pipe) {
                let copies = peer.books.note_sent(near, name);
                pipes.extend((0..copies).map(|_| pipe));
            }
        }
        pipes
    }

    /// Finds what was dropped instead of being put into a pipe, or for what was put in.
    fn note_refused(&mut self, desk: &mut Desk<'_>) {
        for (pipe, near) in self.pipes.iter() {
            let Some(peer) = self.peers.get_mut(&pipe) else {
                continue;
            };
            let topic = |name: Option<Name>| match name {
                Some(name) => desk.ledger.issue(name)[0].to_vec(),
                None => unnamed_topic(),
            };
            for (name, reason) in peer.books.note_refused(near, topic) {
                desk.ledger.dropped(self.slot, name, reason);
            }
        }
    }

    /// Finds what the pattern has dropped because another peer must not have it.
    fn note_withdrawn(&mut self, pipe: usize, desk: &mut Desk<'_>) {
        if let (Some(peer), Some(near)) = (self.peers.get_mut(&pipe), self.pipes.get_mut(pipe)) {
            for name in peer.books.note_withdrawn(near) {
                desk.ledger.dropped(self.slot, name, DropReason::PeerGone);
            }
        }
    }

    /// Takes note of what the pattern has read of its own accord.
    fn note_heard(&mut self, desk: &mut Desk<'_>) {
        if !A::HEARS {
            return;
        }
        for (pipe, near) in self.pipes.iter() {
            let Some(peer) = self.peers.get_mut(&pipe) else {
                continue;
            };
            for _ in near.unread()..peer.books.arrived.len() as u64 {
                let Some(arrival) = peer.books.arrived.pop_front() else {
                    continue;
                };
                let meant = self.app.has_read(pipe, &arrival);
                desk.ledger.read(self.slot, arrival.name, meant);
            }
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
        let names: Vec<_> = names.collect();
        if let Some(peer) = self.peers.get_mut(&pipe) {
            for (name, reason) in peer.books.emptied(&names) {
                desk.ledger.dropped(self.slot, name, reason);
            }
        }
        for name in names {
            if at_end {
                desk.ledger.returned(self.slot, name);
            } else {
                desk.ledger.dropped(self.slot, name, DropReason::PeerGone);
            }
        }
    }

    fn remove_pipe(&mut self, pipe: usize, desk: &mut Desk<'_>) {
        self.pattern.detach(pipe);
        let (Some(near), Some(peer)) = (self.pipes.remove(pipe), self.peers.remove(&pipe)) else {
            return;
        };
        let traffic = near.traffic();
        let replaced = peer.books.replaced(&near);
        for (at, arrival) in (0..).zip(peer.books.arrived) {
            if at < replaced {
                desk.ledger.read(self.slot, arrival.name, false);
            } else {
                desk.ledger.forgotten(self.slot, arrival.name);
            }
        }
        self.past.merge(&traffic);
        self.past.unread = 0;
    }

    /// Takes note that a message of a pipe was read, if one was. One that took the place of others shows by its name which
    /// they were, if it is received.
    fn note_read(
        &mut self,
        pipe: usize,
        received: Option<&<A::Pattern as Pattern>::In>,
        desk: &mut Desk<'_>,
    ) -> Option<Option<Name>> {
        if A::HEARS {
            return None;
        }
        let conflates = self.conflates_input();
        let peer = self.peers.get_mut(&pipe)?;
        if conflates {
            let name = A::name_of(received?, desk.ledger);
            let mut arrivals = std::iter::from_fn(|| peer.books.arrived.pop_front());
            let older = arrivals.by_ref().take_while(|arrival| arrival.name != name);
            older.for_each(|arrival| desk.ledger.read(self.slot, arrival.name, false));
            return Some(name);
        }
        let read = peer.books.arrived.len() as u64 - self.pipes.unread(pipe);
        assert!(read <= 1, "{read} messages were read at once");
        (read == 1).then(|| peer.books.arrived.pop_front().and_then(|arrival| arrival.name))
    }

    fn conflates_input(&self) -> bool {
        self.limits.recv.when_full == WhenFull::KeepNewest
    }

    /// The pipes that take nothing before they are read, and how much is in them.
    fn full_pipes(&self) -> Vec<(usize, u64)> {
        let full = |near: &PipeEnd| {
            let limits = self.limits.send;
            limits.when_full == WhenFull::Refuse && limits.reached_by(near.load())
        };
        let pipes = self.pipes.iter().filter(|(_, near)| full(near));
        pipes.map(|(pipe, near)| (pipe, near.queued())).collect()
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
            self.note_withdrawn(pipe, desk);
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
        self.app.connected(pipe);
        self.note_unnamed(desk, |socket, _| {
            socket.pattern.connected(pipe, info, &mut socket.pipes);
        });
        self.note_heard(desk);
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
        self.note_heard(desk);
        self.app.disconnected(pipe);
        self.note_withdrawn(pipe, desk);
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

    fn handed(&mut self, pipe: usize, name: Option<Name>, desk: &mut Desk<'_>) {
        let Some(peer) = self.peers.get_mut(&pipe) else {
            panic!("{name:?} went out of an unknown pipe")
        };
        for (name, reason) in peer.books.handed(name) {
            desk.ledger.dropped(self.slot, name, reason);
        }
    }

    fn arrived(&mut self, pipe: usize, name: Option<Name>, message: &Message, desk: &mut Desk<'_>) {
        let peer = self.peers.get_mut(&pipe).expect("a pipe that is known");
        peer.books.arrived.push_back(Arrival::new(name, message));
        self.app.arrived(pipe, name, message, desk);
        // An id that the peer has not chosen itself stands for it whoever it is, and one may be damaged.
        if let Some(to) = name.and_then(|name| desk.ledger.addressee(name))
            && plan::is_chosen(to)
            && !desk.ledger.dirty
        {
            assert_eq!(*to, self.config.routing_id, "{name:?} came to another peer");
        }
    }

    fn hear(&mut self, call: Call, desk: &mut Desk<'_>) {
        if call.read {
            self.pattern.activate_read(call.pipe, &mut self.pipes);
            self.note_heard(desk);
            self.recv_asleep = false;
        } else {
            self.note_unnamed(desk, |socket, _| {
                socket.pattern.activate_write(call.pipe, &mut socket.pipes);
            });
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
            announced,
            ahead: _,
        } = effects;
        if announced {
            self.tell_stranded_senders();
        }
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
        let unread = self.pipes.iter().any(|(_, near)| near.unread() > 0);
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
        let full = self.full_pipes();
        let stray = |pipes: &mut Pipes| pipes.tally().stray.dropped;
        let strays = stray(&mut self.pipes);
        let mut place = Some(letter.out);
        let offer = self.pattern.send(&mut place, &mut self.pipes);
        let taken = offer == Offer::Taken;
        assert_eq!(taken, place.is_none());
        let (before, strays) = (strays, stray(&mut self.pipes));
        let copies = self.note_sent(Some(letter.name));
        let all = copies.len() as u64 + strays.total() - before.total();
        assert!(
            all == u64::from(taken) || taken && A::FANS_OUT && all > 0,
            "{all} copies, {offer:?}"
        );
        if taken {
            desk.ledger.accepted(letter.name, all, letter.answers);
            for reason in DropReason::ALL {
                (before.of(reason)..strays.of(reason))
                    .for_each(|_| desk.ledger.dropped(self.slot, Some(letter.name), reason));
            }
            self.note_refused(desk);
            self.app.sent(letter.name, &copies, desk);
        }
        for (pipe, queued) in full {
            assert!(self.pipes.queued(pipe) <= queued, "a full pipe took a message");
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
        let read = from.and_then(|pipe| self.note_read(pipe, place.as_ref(), desk));
        self.note_heard(desk);
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
        if desk.rng.one_in(2) && desk.plan.rivals.is_empty() {
            self.options.link.routing_id = plan::choose_id(desk.slot, desk.rng);
            self.config = Arc::new(Config::new(A::Pattern::TYPE, &self.options.link));
        }
        assert!(self.is_closed() && self.peers.is_empty());
        self.past.merge(&self.pipes.tally().stray);
        self.pipes = Pipes::default();
        self.pattern = A::Pattern::default();
        self.app.be_reborn();
        self.begin(desk);
        self.phase = Phase::Open;
        (self.send_asleep, self.recv_asleep) = (false, false);
    }

    fn calm_down(&mut self) {
        self.app.calm_down();
    }

    fn publish_once_more(&mut self, ledger: &Ledger) -> Option<Name> {
        let publishes = A::Pattern::TYPE.publishes() && self.is_open();
        publishes.then(|| {
            self.app.send_once_more();
            ledger.next(self.slot)
        })
    }

    fn wants(&self) -> Option<BTreeSet<Vec<u8>>> {
        self.app.wants()
    }

    fn check_subscribers(&mut self, wanted: &BTreeMap<usize, BTreeSet<Vec<u8>>>) {
        self.app.check_subscribers(&mut self.pattern, wanted);
    }

    fn is_at_rest(&self, ledger: &Ledger) -> bool {
        let unread = self.pipes.iter().any(|(_, near)| near.unread() > 0);
        let queued = self.pipes.iter().any(|(_, near)| near.queued() > 0);
        let busy = self.can_send(true) || self.can_recv();
        !self.is_open() || !unread && !queued && !busy && self.app.is_content(ledger)
    }

    /// No pipe ever holds more messages than its high-water mark, and the counters know what it holds.
    fn check_limits(&self) {
        // What a connection has taken does not count where the rest is dropped for newer ones.
        let share = if self.limits.send.when_full == WhenFull::Refuse {
            1
        } else {
            2
        };
        for (pipe, near) in self.pipes.iter() {
            let traffic = near.traffic();
            assert!(traffic.queued <= self.limits.send.messages.saturating_mul(share));
            assert!(traffic.unread <= self.limits.recv.messages);
            if let Some(peer) = self.peers.get(&pipe) {
                peer.books.check(near, self.conflates_input());
            }
        }
    }

    fn check_awake(&self, ledger: &Ledger) {
        if self.is_open() {
            self.app.check_awake(ledger.next(self.slot), &self.pipes, ledger);
        }
    }

    /// Every message is where the counters say.
    fn check_books(&mut self, ledger: &mut Ledger) {
        let (slot, unnamed) = (self.slot, *ledger.unnamed(self.slot));
        let (traffic, ledger) = (self.traffic(), &*ledger);
        assert!(traffic.adds_up(), "{traffic:?}");
        let sent = |kind: fn(Place) -> bool| ledger.sent(slot, kind);
        assert_eq!(traffic.accepted.messages, sent(|_| true) + unnamed.accepted);
        let handed = sent(|place| !matches!(place, Place::Queued | Place::Dropped(_) | Place::Returned));
        assert_eq!(traffic.handed.messages, handed + unnamed.handed);
        let returned = sent(|place| place == Place::Returned);
        assert_eq!(traffic.returned, returned + unnamed.returned);
        let books = || {
            self.pipes
                .iter()
                .filter_map(|(pipe, near)| Some((&self.peers.get(&pipe)?.books, near)))
        };
        for reason in DropReason::ALL {
            let missing: u64 = books().map(|(books, near)| books.missing_for(reason, near)).sum();
            let dropped = ledger.dropped_by(slot, reason) + unnamed.dropped.of(reason);
            assert_eq!(traffic.dropped.of(reason), dropped + missing, "{reason:?}");
        }
        let received = ledger.at(Place::Received(slot)) + unnamed.received;
        assert_eq!(traffic.received.messages, received);
        let replaced: u64 = books().map(|(books, near)| books.replaced(near)).sum();
        let discarded = ledger.at(Place::Discarded(slot)) + unnamed.discarded;
        assert_eq!(traffic.discarded, discarded + replaced);
        let blocks = self.options.topics.slow == SlowPolicy::Block;
        assert!(!blocks || ledger.dropped_by(slot, DropReason::SlowPeer) == 0);
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
