//! The core of a socket: the lock, what it guards, and how a message is tried.

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use super::monitor::Journal;
use super::pacing::Pace;
use super::waiters::{Signal, Waiters};
use super::waiting::Joining;
use crate::allowance::Allowance;
use crate::context::{self, Context};
use crate::error::{DisconnectReason, TryRecvError};
use crate::message::Message;
use crate::options::Options;
use crate::pattern::{Offer, Pattern, Pipes};
use crate::peer::{PeerInfo, SocketType};
use crate::pipe::{self, Limits, PipeEnd, PipeLimits};
use crate::reactor::{Alarm, Dialer, LinkConfig, Listener, Reactor, Session, Waiter};
use crate::slab::KeyMap;
use crate::stats::{DropReason, PeerStats, SocketStats, Traffic};
use crate::sync::{BriefMutex, BriefMutexGuard};
use crate::{Endpoint, zmtp};

/// What all handles of a socket share.
pub(crate) struct Core<P: Pattern> {
    pub(super) myself: Weak<Self>,
    pub(super) context: Arc<context::Shared>,
    pub(super) options: Options,
    pub(super) zmtp: Arc<zmtp::Config>,
    /// What its connections may hold of what came in.
    pub(super) allowance: Arc<Allowance>,
    /// What this socket says of itself within the process.
    pub(super) info: Arc<PeerInfo>,
    /// Set with the first endpoint that needs one.
    pub(super) reactor: OnceLock<Arc<Reactor>>,
    pub(super) journal: Journal,
    /// See [`owe_rest`](Self::owe_rest).
    pub(super) owes_rest: AtomicBool,
    pub(super) state: BriefMutex<State<P>>,
}

/// What the socket's lock guards.
pub(super) struct State<P> {
    pub(super) pattern: P,
    pub(super) pipes: Pipes,
    /// What is known of each pipe, by the same keys.
    pub(super) peers: KeyMap<Peer>,
    /// How many of them came by themselves.
    pub(super) accepted: usize,
    pub(super) endpoints: Vec<Attachment>,
    pub(super) receivers: Waiters,
    pub(super) senders: Waiters,
    /// Senders that let their peer catch up. They take nothing, and are all told when it has taken more.
    pub(super) resters: Waiters,
    /// Those who wait for peers to come, or for the socket to be closed.
    pub(super) watchers: Waiters,
    pub(super) pace: Pace,
    pub(super) phase: Phase,
    /// The traffic of pipes that are gone.
    pub(super) gone: Traffic,
    /// Messages to give back when the socket is closed.
    pub(super) returned: Vec<Message>,
    pub(super) linger: Option<Alarm>,
    /// The socket is closing and still leaves its endpoints: it is not closed before that is done.
    pub(super) leaving: bool,
    pub(super) context_key: usize,
}

/// Why a message stays where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsent {
    /// Nobody can take it now; or, for a verb that waits, nobody could in time.
    Full,
    /// Waiting does not help; what it means is the pattern's own.
    Refused,
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// Flushing, for as long as linger allows.
    Closing,
    Closed,
}

/// What is known of a pipe beside its ends.
pub(super) struct Peer {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) info: Option<Arc<PeerInfo>>,
    /// The connection, if there is one and it is not inproc.
    pub(super) session: Option<Arc<Session>>,
    pub(super) connected: bool,
    /// The pipe has no far end any more; it stays until it is read.
    pub(super) gone: bool,
    /// The application has disconnected from it.
    pub(super) leaving: bool,
    /// Why the pattern does not want the peer any more, if it said so before the connection was known here.
    pub(super) doomed: Option<Box<DisconnectReason>>,
    /// The pattern knows the pipe.
    pub(super) attached: bool,
    /// The peer came by itself, and counts against their limit.
    pub(super) accepted: bool,
    pub(super) connections: u64,
    pub(super) in_doubt: u64,
}

/// An endpoint that the socket is bound or connected to.
pub(super) enum Attachment {
    Listener(Arc<Listener>),
    Dialer {
        dialer: Arc<Dialer>,
        /// Its pipe, if that outlives connections.
        pipe: Option<usize>,
    },
    InprocName(String),
    InprocPipe {
        endpoint: Endpoint,
        pipe: usize,
    },
}

impl Peer {
    pub(super) fn new(endpoint: Arc<Endpoint>) -> Self {
        Self {
            endpoint,
            info: None,
            session: None,
            connected: false,
            gone: false,
            leaving: false,
            doomed: None,
            attached: false,
            accepted: false,
            connections: 0,
            in_doubt: 0,
        }
    }

    /// What there is to tell of a peer with this traffic, but for what its session knows.
    fn stats(&self, traffic: Traffic) -> PeerStats {
        let info = self.info.as_deref();
        let connected = info.filter(|_| self.connected);
        PeerStats {
            endpoint: Endpoint::clone(&self.endpoint),
            address: connected.and_then(|info| info.address.clone()),
            info: info.cloned(),
            ignored: 0,
            traffic,
        }
    }

    fn complete(&self, mut traffic: Traffic) -> Traffic {
        traffic.in_doubt = self.in_doubt;
        traffic.reconnects = self.connections.saturating_sub(1);
        traffic
    }
}

impl<P: Pattern> Core<P> {
    pub(super) fn new(context: &Context, mut options: Options) -> Arc<Self> {
        if P::TYPE == SocketType::Sub {
            // All that it sends are subscriptions, which mean nothing once it is closed.
            options.linger = Some(Duration::ZERO);
        }
        let mut pattern = P::default();
        pattern.configure(&options);
        let core = Arc::new_cyclic(|myself| Self {
            myself: Weak::clone(myself),
            context: Arc::clone(context.shared()),
            zmtp: Arc::new(zmtp::Config::new(P::TYPE, &options.link)),
            allowance: Allowance::new(options.recv_memory),
            info: Arc::new(PeerInfo {
                routing_id: options.link.routing_id.clone(),
                properties: options.link.properties.clone(),
                ..PeerInfo::new(P::TYPE)
            }),
            options,
            reactor: OnceLock::new(),
            journal: Journal::default(),
            owes_rest: AtomicBool::new(false),
            state: BriefMutex::new(State {
                pattern,
                pipes: Pipes::default(),
                peers: KeyMap::default(),
                accepted: 0,
                endpoints: Vec::new(),
                receivers: Waiters::default(),
                senders: Waiters::default(),
                resters: Waiters::default(),
                watchers: Waiters::default(),
                pace: Pace::default(),
                phase: Phase::Open,
                gone: Traffic::default(),
                returned: Vec::new(),
                linger: None,
                leaving: false,
                context_key: usize::MAX,
            }),
        });
        let weak: Weak<dyn context::Shutdown> = Arc::downgrade(&core) as _;
        core.state.lock().context_key = core.context.add_socket(weak);
        core
    }

    /// Takes a message out of its place and sends it, if that can be done now.
    #[inline]
    pub(super) fn try_send(&self, out: &mut Option<P::Out>) -> Result<(), Unsent> {
        let mut state = self.state.lock();
        let offer = state.send(out);
        if state.has_sent_calmly(offer) {
            return Ok(());
        }
        self.finish_send(state, offer)
    }

    /// Sends messages out of their places, as many as can be sent now; returns how many, and why it stopped.
    pub(super) fn try_send_batch(&self, batch: &mut [Option<P::Out>]) -> (usize, Result<(), Unsent>) {
        let mut state = self.state.lock();
        let (mut sent, mut offer) = (0, Some(Offer::Taken));
        for out in batch {
            offer = state.send(out);
            if offer != Some(Offer::Taken) {
                break;
            }
            sent += 1;
        }
        (sent, self.finish_send(state, offer))
    }

    /// What an attempt to send has to do beside, in most cases nothing.
    #[inline(never)]
    pub(super) fn finish_send(
        &self,
        mut state: BriefMutexGuard<'_, State<P>>,
        offer: Option<Offer>,
    ) -> Result<(), Unsent> {
        let next = if state.senders.is_empty() {
            None
        } else {
            state.next_sender()
        };
        self.unlock(state, next);
        match offer {
            Some(Offer::Taken) => Ok(()),
            Some(Offer::Full) => Err(Unsent::Full),
            Some(Offer::Refused) => Err(Unsent::Refused),
            None => Err(Unsent::Closed),
        }
    }

    /// Receives to an empty place, if anything is here; returns the pipe that it came from.
    #[inline]
    pub(super) fn try_recv(&self, received: &mut Option<P::In>) -> Result<usize, TryRecvError> {
        self.recv_locked(self.state.lock(), received, None, |_, from| from)
    }

    /// The same for a task, which then waits if nothing is here.
    pub(super) fn try_recv_or_join(
        &self,
        received: &mut Option<P::In>,
        mut joining: Option<&mut Joining<'_>>,
    ) -> Result<usize, TryRecvError> {
        let state = self.lock_to_recv(&mut joining);
        self.recv_locked(state, received, joining, |_, from| from)
    }

    /// The same, with what is known of the peer that it came from.
    pub(super) fn try_recv_with_peer(
        &self,
        received: &mut Option<P::In>,
        mut joining: Option<&mut Joining<'_>>,
    ) -> Result<Arc<PeerInfo>, TryRecvError> {
        let state = self.lock_to_recv(&mut joining);
        let info = self.recv_locked(state, received, joining, |state, from| {
            state.peers.get(&from)?.info.clone()
        })?;
        // Only an inproc peer can have sent before it was known, and only for a moment.
        Ok(info.unwrap_or_else(|| Arc::new(PeerInfo::new(P::TYPE))))
    }

    /// Locks the socket for an attempt to receive, for which a task need not wait any more.
    fn lock_to_recv(&self, joining: &mut Option<&mut Joining<'_>>) -> BriefMutexGuard<'_, State<P>> {
        let mut state = self.state.lock();
        if let Some(joining) = joining {
            joining.leave(&mut state.receivers);
        }
        state
    }

    #[inline]
    fn recv_locked<T>(
        &self,
        mut state: BriefMutexGuard<'_, State<P>>,
        received: &mut Option<P::In>,
        joining: Option<&mut Joining<'_>>,
        look: impl FnOnce(&State<P>, usize) -> T,
    ) -> Result<T, TryRecvError> {
        match state.recv(received).map(|from| look(&state, from)) {
            Some(seen) if state.is_calm() && state.receivers.is_empty() && !state.has_turned() => Ok(seen),
            seen => self.finish_recv(state, seen, joining),
        }
    }

    /// Receives at most so many messages to a list that has room for them; fails if there were fewer.
    pub(super) fn try_recv_batch(&self, into: &mut Vec<P::In>, count: usize) -> Result<(), TryRecvError> {
        let mut state = self.state.lock();
        let mut from = Some(0);
        for _ in 0..count {
            let mut received = None;
            from = state.recv(&mut received);
            if from.is_none() {
                break;
            }
            into.extend(received);
        }
        self.finish_recv(state, from, None).map(|_| ())
    }

    /// What an attempt to receive has to do beside, in most cases nothing.
    #[inline(never)]
    fn finish_recv<T>(
        &self,
        mut state: BriefMutexGuard<'_, State<P>>,
        seen: Option<T>,
        joining: Option<&mut Joining<'_>>,
    ) -> Result<T, TryRecvError> {
        let open = state.phase == Phase::Open;
        let next = if state.receivers.is_empty() {
            None
        } else {
            state.next_receiver()
        };
        if let Some(joining) = joining
            && seen.is_none()
            && open
        {
            joining.join(&mut state.receivers);
        }
        self.unlock(state, next);
        match (seen, open) {
            (Some(seen), _) => Ok(seen),
            (None, true) => Err(TryRecvError::Empty),
            (None, false) => Err(TryRecvError::Closed),
        }
    }

    /// Unlocks the socket, and then does what an attempt has caused.
    fn unlock(&self, mut state: BriefMutexGuard<'_, State<P>>, next: Option<Signal>) {
        let turned = state.has_turned().then(|| state.tell_of_turn());
        let aftermath = state.take_aftermath();
        drop(state);
        self.settle(aftermath);
        fire_signals(next);
        if let Some(turned) = turned {
            fire_signals(turned.into_iter().flatten());
        }
    }

    /// Does something with the pattern and the pipes while they are locked, and then what that has caused.
    pub(super) fn act<T>(&self, action: impl FnOnce(&mut P, &mut Pipes) -> T) -> T {
        let mut state = self.state.lock();
        let State { pattern, pipes, .. } = &mut *state;
        let result = action(pattern, pipes);
        let signals = [state.next_sender(), state.next_receiver()];
        let aftermath = state.take_aftermath();
        drop(state);
        self.settle(aftermath);
        fire_signals(signals.into_iter().flatten());
        result
    }

    /// The same, unless the socket is closed.
    pub(super) fn act_if_open<T>(&self, action: impl FnOnce(&mut P, &mut Pipes) -> T) -> Option<T> {
        let open = self.state.lock().phase == Phase::Open;
        open.then(|| self.act(action))
    }

    /// Blocks the calling thread until its waiter is notified, or until the deadline; runs connections meanwhile.
    pub(super) fn block(&self, waiter: &Arc<Waiter>, deadline: Option<Instant>) {
        let busy_poll = self.options.busy_poll;
        match self.reactor.get() {
            Some(reactor) => reactor.wait_busily(waiter, deadline, busy_poll),
            None => waiter.wait(deadline, busy_poll),
        }
    }

    /// The socket's reactor, chosen when it is first needed.
    pub(super) fn reactor(&self) -> io::Result<&Arc<Reactor>> {
        if let Some(reactor) = self.reactor.get() {
            return Ok(reactor);
        }
        let reactor = self.context.reactor()?;
        Ok(self.reactor.get_or_init(|| reactor))
    }

    /// What the connections of an endpoint need to know.
    pub(super) fn link_config(&self) -> Option<Arc<LinkConfig>> {
        Some(Arc::new(LinkConfig {
            hooks: self.myself.upgrade()?,
            zmtp: Arc::clone(&self.zmtp),
            options: self.options.link.clone(),
            allowance: Arc::clone(&self.allowance),
            linger: self.options.linger,
            receives: P::RECEIVES,
        }))
    }

    pub(super) fn pipe_limits(&self) -> PipeLimits {
        pipe_limits(&self.options, P::TYPE)
    }

    /// Makes a pipe to a peer that is not of this process: the socket's end, whose messages count against the allowance,
    /// and the session's.
    pub(super) fn wired_pipe(&self) -> (PipeEnd, PipeEnd) {
        let (mut near, far) = pipe::pair(self.pipe_limits());
        near.charge(&self.allowance);
        (near, far)
    }

    pub(super) fn stats(&self) -> SocketStats {
        let mut sessions = Vec::new();
        let mut state = self.state.lock();
        let mut stats = SocketStats {
            total: state.gone.clone(),
            peers: Vec::with_capacity(state.peers.len()),
            monitor_dropped: self.journal.dropped(),
            denied: self.journal.denied(),
            endings: self.journal.endings(),
            unanswered: 0,
            notices_dropped: 0,
        };
        let tally = state.pipes.tally().clone();
        stats.total.merge(&tally.stray);
        stats.unanswered = tally.unanswered;
        stats.notices_dropped = tally.notices_dropped;
        state.pipes.end_run();
        for (key, end) in state.pipes.iter() {
            let Some(peer) = state.peers.get(&key) else {
                continue;
            };
            let traffic = peer.complete(end.traffic());
            stats.total.merge(&traffic);
            if !peer.gone {
                stats.peers.push(peer.stats(traffic));
                sessions.push(peer.session.clone());
            }
        }
        let aftermath = state.take_aftermath();
        drop(state);
        self.settle(aftermath);
        // A session may not be locked while its socket is.
        for (peer, session) in stats.peers.iter_mut().zip(sessions) {
            peer.ignored = session.map_or(0, |session| session.ignored());
        }
        stats
    }
}

impl<P: Pattern> Core<P> {
    /// The counters of the peer of one pipe.
    pub(super) fn peer_stats(&self, pipe: usize) -> Option<PeerStats> {
        let mut state = self.state.lock();
        let traffic = state.pipes.get_mut(pipe)?.traffic();
        let peer = state.peers.get(&pipe)?;
        let (mut stats, session) = (peer.stats(peer.complete(traffic)), peer.session.clone());
        let aftermath = state.take_aftermath();
        drop(state);
        self.settle(aftermath);
        // A session may not be locked while its socket is.
        stats.ignored = session.map_or(0, |session| session.ignored());
        Some(stats)
    }
}

impl<P: Pattern> State<P> {
    /// Sends if the socket is open.
    #[inline]
    pub(super) fn send(&mut self, out: &mut Option<P::Out>) -> Option<Offer> {
        if self.phase != Phase::Open {
            return None;
        }
        Some(self.pattern.send(out, &mut self.pipes))
    }

    /// Receives if the socket is open.
    #[inline(always)]
    fn recv(&mut self, received: &mut Option<P::In>) -> Option<usize> {
        if self.phase != Phase::Open {
            return None;
        }
        self.pattern.recv(received, &mut self.pipes)
    }

    /// Tells whether a message was sent, and that was all there was to do.
    #[inline]
    pub(super) fn has_sent_calmly(&mut self, offer: Option<Offer>) -> bool {
        offer == Some(Offer::Taken) && self.is_calm() && self.senders.is_empty() && !self.has_turned()
    }

    /// Tells whether somebody observes to whom sending matters because it lets receive, or the other way round.
    #[inline]
    fn has_turned(&self) -> bool {
        P::IN_TURNS && (self.senders.are_observed() || self.receivers.are_observed())
    }

    /// Chooses those who have to look again because what was done may let the other be done now.
    fn tell_of_turn(&mut self) -> [Option<Signal>; 2] {
        [self.senders.tell_observers(), self.receivers.tell_observers()]
    }

    /// Chooses who may receive next, if there is anything to receive.
    pub(super) fn next_receiver(&mut self) -> Option<Signal> {
        let ready = self.phase != Phase::Open || self.pattern.can_recv(&mut self.pipes);
        if ready { self.receivers.tell_one() } else { None }
    }

    /// Chooses who may send next, if anything can be sent.
    pub(super) fn next_sender(&mut self) -> Option<Signal> {
        if P::ADDRESSED && self.phase == Phase::Open {
            // Each waits for a peer of its own, and would tell the next, who would tell the first, for ever.
            return None;
        }
        let ready = self.phase != Phase::Open || self.pattern.can_send(&mut self.pipes);
        if ready { self.senders.tell_one() } else { None }
    }

    /// Chooses all who wait to send, if each of them waits for something else: what happened may concern any of them.
    pub(super) fn stranded_senders(&mut self) -> Vec<Signal> {
        if P::ADDRESSED {
            self.senders.tell_all()
        } else {
            Vec::new()
        }
    }

    /// Chooses those to whom it matters that a peer came or went.
    pub(super) fn tell_of_change(&mut self) -> Vec<Signal> {
        let mut signals = self.watchers.tell_all();
        signals.extend(self.next_sender());
        signals.extend(self.next_receiver());
        signals.extend(self.stranded_senders());
        signals
    }

    pub(super) fn connected_peers(&self) -> usize {
        self.peers.values().filter(|peer| peer.connected).count()
    }

    /// The far end of a pipe will never read again: what it has not read is dropped, or returned by a closing socket.
    pub(super) fn write_off(&mut self, key: usize) {
        let Some(peer) = self.peers.get(&key) else { return };
        let reason = if peer.leaving {
            DropReason::Disconnected
        } else {
            DropReason::PeerGone
        };
        let Some(end) = self.pipes.get_mut(key) else {
            return;
        };
        let rest = end.reclaim();
        let count = rest.load().messages;
        if self.phase == Phase::Open {
            self.gone.dropped.add(reason, count);
        } else {
            self.gone.returned += count;
            self.returned.extend(rest);
        }
    }

    /// Forgets a pipe and keeps its counts.
    pub(super) fn remove_pipe(&mut self, key: usize) {
        self.pattern.detach(key);
        let (Some(end), Some(peer)) = (self.pipes.remove(key), self.peers.remove(&key)) else {
            return;
        };
        self.accepted -= usize::from(peer.accepted);
        self.gone.merge(&peer.complete(end.traffic()));
    }

    /// Everybody who waits for anything.
    pub(super) fn everybody(&mut self) -> Vec<Signal> {
        let mut all = self.receivers.tell_all();
        all.extend(self.senders.tell_all());
        all.extend(self.resters.tell_all());
        all.extend(self.watchers.tell_all());
        all
    }
}

/// The limits of a pipe, seen from the socket. A conflating one needs none, but for subscriptions: no newer one takes
/// the place of an older.
pub(crate) fn pipe_limits(options: &Options, kind: SocketType) -> PipeLimits {
    let mut send = Limits::new(options.send_hwm, options.send_hwm_bytes);
    let mut recv = Limits::new(options.recv_hwm, options.recv_hwm_bytes);
    send.when_full = options.topics.slow.into();
    if options.conflate && !kind.subscribes() {
        send = Limits::NEWEST;
    }
    if options.conflate && !kind.publishes() {
        recv = Limits::NEWEST;
    }
    PipeLimits { send, recv }
}

/// The time at which a wait ends; `None` if it never does, be it that it is too far away to be told.
pub(super) fn deadline(timeout: Option<Duration>) -> Option<Instant> {
    timeout.and_then(|timeout| Instant::now().checked_add(timeout))
}

/// Signals, to be fired after unlocking.
pub(super) fn fire_signals(signals: impl IntoIterator<Item = Signal>) {
    signals.into_iter().for_each(Signal::fire);
}
