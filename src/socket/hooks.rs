//! What a socket hears from its connections and its pipes.

use std::sync::Arc;

use super::core::{Core, Peer, Phase, State, fire_signals};
use super::waiters::Signal;
use crate::Endpoint;
use crate::context::Shutdown;
use crate::error::DisconnectReason;
use crate::monitor::Event;
use crate::pattern::Pattern;
use crate::peer::PeerInfo;
use crate::pipe::{self, Address, PipeEnd, PipeLimits};
use crate::reactor::{Hooks, Link, Session};
use crate::transport::inproc::Binder;

impl<P: Pattern> Core<P> {
    /// Stores the socket's end of a new pipe, and becomes its owner. A socket that is closing has none of it and gives
    /// the end back, for it would be closed only when the pipe is gone.
    pub(super) fn add_pipe(&self, mut end: PipeEnd, peer: Peer) -> Result<usize, PipeEnd> {
        let mut state = self.state.lock();
        if state.phase != Phase::Open {
            return Err(end);
        }
        // The key has to be known before the end can say whom to wake; nobody else touches the end meanwhile.
        let key = state.pipes.vacant_key();
        if let Some(owner) = self.myself.upgrade() {
            end.set_owner(Some(Address { owner, pipe: key }));
        }
        state.pipes.insert(end);
        state.peers.insert(key, peer);
        Ok(key)
    }

    /// Stores the socket's end of a new pipe for a peer, if the pattern will have the peer; gives the end back if not.
    fn admit_pipe(
        &self,
        end: PipeEnd,
        peer: Peer,
        info: &Arc<PeerInfo>,
    ) -> Result<usize, (&'static str, PipeEnd)> {
        let key = self
            .add_pipe(end, peer)
            .map_err(|end| ("the socket is closing", end))?;
        match self.judge(key, info) {
            Ok(()) => Ok(key),
            Err(why) => {
                let mut state = self.state.lock();
                state.peers.remove(&key);
                match state.pipes.remove(key) {
                    Some(end) => Err((why, end)),
                    None => Ok(key),
                }
            }
        }
    }

    /// Asks the pattern whether it will have the peer of a pipe. One that is closing still has those whose pipe holds
    /// messages for them.
    fn judge(&self, pipe: usize, info: &Arc<PeerInfo>) -> Result<(), &'static str> {
        let mut state = self.state.lock();
        let State { pattern, pipes, .. } = &mut *state;
        let admitted = pattern.admit(pipe, info, pipes);
        if admitted.is_ok()
            && let Some(peer) = state.peers.get_mut(&pipe)
        {
            // Its first message may be received before we hear that it is connected.
            peer.info = Some(Arc::clone(info));
        }
        // What this has caused is settled when the peer is connected: a session is locked now, and may not close others.
        admitted
    }

    /// Lets the pattern use a pipe, once.
    pub(super) fn attach_pipe(&self, pipe: usize) {
        let mut state = self.state.lock();
        state.attach(pipe);
        let signals = state.tell_of_change();
        drop(state);
        fire_signals(signals);
    }

    fn mark_connected(&self, pipe: usize, session: Option<Arc<Session>>, info: &Arc<PeerInfo>) {
        let mut state = self.state.lock();
        let inproc = session.is_none();
        // Another thread may have ended the session by now, and told us so before this.
        let alive = session.as_ref().is_none_or(|session| !session.is_ended());
        if let Some(peer) = state.peers.get_mut(&pipe).filter(|_| alive) {
            peer.connected = true;
            peer.connections += 1;
            peer.session = session;
            let doomed = peer.doomed.take();
            peer.info = Some(Arc::clone(info));
            state.attach(pipe);
            let State { pattern, pipes, .. } = &mut *state;
            pattern.connected(pipe, info, pipes);
            if let Some(reason) = doomed {
                pipes.expel(pipe, *reason);
            }
        }
        // The pattern may have something to tell of the peer, or lets it be heard only now.
        let signals = state.tell_of_change();
        let aftermath = state.take_aftermath();
        let closed = inproc && state.pipes.get_mut(pipe).is_some_and(|end| end.is_closed());
        drop(state);
        self.settle(aftermath);
        fire_signals(signals);
        if closed {
            // An inproc peer has said so before it was connected here, and will not say so again.
            self.handle_closed_pipe(pipe, 0, None);
        }
    }

    /// An inproc peer has taken the other end.
    pub(super) fn inproc_connected(&self, pipe: usize, info: &Arc<PeerInfo>) {
        self.mark_connected(pipe, None, info);
    }

    /// An inproc peer will not have the other end, and has closed it.
    pub(super) fn inproc_refused(&self, pipe: usize, why: &'static str) {
        let endpoint = self
            .state
            .lock()
            .peers
            .get(&pipe)
            .map(|peer| Endpoint::clone(&peer.endpoint));
        let event = endpoint.map(|endpoint| Event::HandshakeFailed {
            endpoint,
            address: String::new(),
            reason: DisconnectReason::Refused(why.to_owned()),
        });
        self.handle_closed_pipe(pipe, 0, event);
    }

    /// The far end of a pipe is gone. What it has sent can still be received; then the pipe goes too.
    fn handle_closed_pipe(&self, pipe: usize, in_doubt: u64, event: Option<Event>) {
        let mut state = self.state.lock();
        let signals = state.close_pipe(pipe, in_doubt);
        let aftermath = state.take_aftermath();
        drop(state);
        event.into_iter().for_each(|event| self.emit(event));
        self.settle(aftermath);
        fire_signals(signals);
        self.check_closed();
    }
}

impl<P: Pattern> State<P> {
    /// Counts one more peer that came by itself, if there may be one more.
    fn count_in(&mut self, limit: usize) -> Result<(), DisconnectReason> {
        if self.accepted >= limit {
            return Err(DisconnectReason::OverLimit {
                what: "peers at once",
                got: self.accepted as u64 + 1,
                limit: limit as u64,
            });
        }
        self.accepted += 1;
        Ok(())
    }

    /// Lets the pattern use a pipe, once.
    fn attach(&mut self, pipe: usize) {
        if let Some(peer) = self.peers.get_mut(&pipe)
            && !std::mem::replace(&mut peer.attached, true)
        {
            self.pattern.attach(pipe);
        }
    }

    fn close_pipe(&mut self, pipe: usize, in_doubt: u64) -> Vec<Signal> {
        let Some(peer) = self.peers.get_mut(&pipe) else {
            return Vec::new();
        };
        peer.connected = false;
        peer.gone = true;
        peer.session = None;
        peer.in_doubt += in_doubt;
        self.pattern.disconnected(pipe, &mut self.pipes);
        self.write_off(pipe);
        let open = self.phase == Phase::Open;
        if open && self.pipes.get_mut(pipe).is_some_and(|end| !end.is_finished()) {
            self.pattern.activate_read(pipe, &mut self.pipes);
        } else {
            self.remove_pipe(pipe);
        }
        self.tell_of_change()
    }
}

impl<P: Pattern> Hooks for Core<P> {
    fn attach(
        &self,
        endpoint: &Arc<Endpoint>,
        info: &Arc<PeerInfo>,
        accepted: bool,
    ) -> Result<Link, DisconnectReason> {
        let (near, end) = self.wired_pipe();
        let peer = Peer {
            accepted,
            ..Peer::new(Arc::clone(endpoint))
        };
        if accepted {
            self.state.lock().count_in(self.options.link.max_peers)?;
        }
        let admitted = self.admit_pipe(near, peer, info).map_err(|(why, _)| {
            self.state.lock().accepted -= usize::from(accepted);
            DisconnectReason::Rejected(why)
        });
        Ok(Link { pipe: admitted?, end })
    }

    fn readmit(&self, pipe: usize, info: &Arc<PeerInfo>) -> Result<(), DisconnectReason> {
        self.judge(pipe, info).map_err(DisconnectReason::Rejected)
    }

    fn connected(&self, pipe: usize, session: Arc<Session>, info: Arc<PeerInfo>) {
        self.mark_connected(pipe, Some(session), &info);
    }

    fn publish(&self, pipes: &[usize]) {
        let mut state = self.state.lock();
        for pipe in pipes {
            let published = state.pipes.get_mut(*pipe).and_then(PipeEnd::publish);
            state.pipes.effects().wakes.extend(published);
        }
        let aftermath = state.take_aftermath();
        drop(state);
        self.settle(aftermath);
    }

    fn disconnected(&self, pipe: usize, in_doubt: u64, gone: bool, event: Option<Event>) {
        if gone {
            return self.handle_closed_pipe(pipe, in_doubt, event);
        }
        let mut state = self.state.lock();
        if let Some(peer) = state.peers.get_mut(&pipe) {
            peer.connected = false;
            peer.session = None;
            peer.in_doubt += in_doubt;
        }
        // What a burst had staged must not wait for one on the next connection.
        let published = state.pipes.get_mut(pipe).and_then(PipeEnd::publish);
        let State { pattern, pipes, .. } = &mut *state;
        pattern.disconnected(pipe, pipes);
        let signals = state.tell_of_change();
        let aftermath = state.take_aftermath();
        drop(state);
        event.into_iter().for_each(|event| self.emit(event));
        pipe::fire_all(published);
        self.settle(aftermath);
        fire_signals(signals);
    }

    fn emit(&self, event: Event) {
        self.journal.record(event);
    }
}

impl<P: Pattern> pipe::Owner for Core<P> {
    fn activate_read(self: Arc<Self>, pipe: usize) {
        let mut state = self.state.lock();
        // An inproc peer that closes says so by this alone; a connection has its session to say it.
        let inproc = state
            .peers
            .get(&pipe)
            .is_some_and(|peer| peer.session.is_none() && peer.connected);
        if inproc && state.pipes.get_mut(pipe).is_some_and(|end| end.is_closed()) {
            drop(state);
            return self.handle_closed_pipe(pipe, 0, None);
        }
        let State { pattern, pipes, .. } = &mut *state;
        pattern.activate_read(pipe, pipes);
        let signal = state.receivers.tell_one();
        let aftermath = state.take_aftermath();
        drop(state);
        self.settle(aftermath);
        fire_signals(signal);
    }

    fn activate_write(self: Arc<Self>, pipe: usize) {
        let mut state = self.state.lock();
        let State {
            pattern,
            pipes,
            peers,
            ..
        } = &mut *state;
        // Nothing more goes to an endpoint that was disconnected from, whatever room its pipe has.
        if peers.get(&pipe).is_none_or(|peer| !peer.leaving) {
            pattern.activate_write(pipe, pipes);
        }
        let rested = state.resters.tell_all();
        let stranded = state.stranded_senders();
        let signal = state.senders.tell_one();
        let closing = state.phase == Phase::Closing;
        let aftermath = state.take_aftermath();
        drop(state);
        self.settle(aftermath);
        fire_signals(signal);
        fire_signals(rested);
        fire_signals(stranded);
        if closing {
            self.check_closed();
        }
    }
}

impl<P: Pattern> Binder for Core<P> {
    fn info(&self) -> Arc<PeerInfo> {
        Arc::clone(&self.info)
    }

    fn adopt(&self, name: &str, end: PipeEnd, info: &Arc<PeerInfo>) -> Result<(), (&'static str, PipeEnd)> {
        let endpoint = Arc::new(Endpoint::Inproc(name.to_owned()));
        let pipe = self.admit_pipe(end, Peer::new(Arc::clone(&endpoint)), info);
        let pipe = pipe.inspect_err(|(why, _)| {
            self.emit(Event::HandshakeFailed {
                endpoint: Endpoint::clone(&endpoint),
                address: String::new(),
                reason: DisconnectReason::Rejected(why),
            });
        })?;
        self.mark_connected(pipe, None, info);
        Ok(())
    }

    fn limits(&self) -> PipeLimits {
        self.pipe_limits()
    }
}

impl<P: Pattern> Shutdown for Core<P> {
    fn shut_down(&self) {
        self.begin_close(self.options.linger);
    }
}
