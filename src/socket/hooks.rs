//! What a socket hears from its connections and its pipes.

use std::sync::Arc;

use super::core::{Core, Peer, Phase, Signals, State, fire_signals};
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
    /// Stores the socket's end of a new pipe, and becomes its owner.
    pub(super) fn add_pipe(&self, mut end: PipeEnd, peer: Peer) -> usize {
        let mut state = self.state.lock();
        // The key has to be known before the end can say whom to wake; nobody else touches the end meanwhile.
        let key = state.pipes.vacant_key();
        if let Some(owner) = self.myself.upgrade() {
            end.set_owner(Some(Address { owner, pipe: key }));
        }
        state.pipes.insert(end);
        state.peers.insert(key, peer);
        key
    }

    /// Lets the pattern use a pipe, once.
    pub(super) fn attach_pipe(&self, pipe: usize) {
        let mut state = self.state.lock();
        let Some(peer) = state.peers.get_mut(&pipe) else {
            return;
        };
        if !std::mem::replace(&mut peer.attached, true) {
            state.pattern.attach(pipe);
        }
        let mut signals = Signals::new();
        signals.extend(state.next_sender());
        signals.extend(state.next_receiver());
        drop(state);
        fire_signals(signals);
    }

    fn mark_connected(
        &self,
        pipe: usize,
        session: Option<Arc<Session>>,
        address: Option<&str>,
        info: Arc<PeerInfo>,
    ) {
        let mut state = self.state.lock();
        // Another thread may have ended the session by now, and told us so before this.
        let alive = session.as_ref().is_none_or(|session| !session.is_ended());
        if let Some(peer) = state.peers.get_mut(&pipe).filter(|_| alive) {
            peer.connected = true;
            peer.connections += 1;
            peer.session = session;
            peer.address = address.map(str::to_owned);
            peer.info = Some(info);
        }
        let watchers = state.watchers.tell_all();
        drop(state);
        self.attach_pipe(pipe);
        fire_signals(watchers);
    }

    /// An inproc peer has taken the other end.
    pub(super) fn inproc_connected(&self, pipe: usize, info: Arc<PeerInfo>) {
        self.mark_connected(pipe, None, None, info);
    }

    /// The far end of a pipe is gone. What it has sent can still be received; then the pipe goes too.
    fn handle_closed_pipe(&self, pipe: usize, in_doubt: u64, event: Option<Event>) {
        let signals = self.state.lock().close_pipe(pipe, in_doubt);
        event.into_iter().for_each(|event| self.emit(event));
        fire_signals(signals);
        self.check_closed();
    }
}

impl<P: Pattern> State<P> {
    fn close_pipe(&mut self, pipe: usize, in_doubt: u64) -> Vec<Signal> {
        let Some(peer) = self.peers.get_mut(&pipe) else {
            return Vec::new();
        };
        peer.connected = false;
        peer.gone = true;
        peer.session = None;
        peer.in_doubt += in_doubt;
        self.write_off(pipe);
        let open = self.phase == Phase::Open;
        if open && self.pipes.get_mut(pipe).is_some_and(|end| !end.is_finished()) {
            self.pattern.activate_read(pipe);
        } else {
            self.remove_pipe(pipe);
        }
        let mut signals = self.watchers.tell_all();
        signals.extend(self.next_receiver());
        signals
    }
}

impl<P: Pattern> Hooks for Core<P> {
    fn attach(&self, endpoint: &Endpoint, _info: &Arc<PeerInfo>) -> Result<Link, DisconnectReason> {
        if self.state.lock().phase != Phase::Open {
            return Err(DisconnectReason::Rejected("the socket is closing"));
        }
        let (near, end) = pipe::pair(self.pipe_limits());
        let pipe = self.add_pipe(near, Peer::new(endpoint.clone()));
        Ok(Link { pipe, end })
    }

    fn connected(&self, pipe: usize, session: Arc<Session>, address: &str, info: Arc<PeerInfo>) {
        self.mark_connected(pipe, Some(session), Some(address), info);
    }

    fn publish(&self, pipe: usize) {
        let wake = self.state.lock().pipes.get_mut(pipe).and_then(PipeEnd::publish);
        pipe::fire_all(wake);
    }

    fn disconnected(&self, pipe: usize, in_doubt: u64, gone: bool, event: Option<Event>) {
        if gone {
            return self.handle_closed_pipe(pipe, in_doubt, event);
        }
        let mut state = self.state.lock();
        if let Some(peer) = state.peers.get_mut(&pipe) {
            peer.connected = false;
            peer.session = None;
            peer.address = None;
            peer.in_doubt += in_doubt;
        }
        // What a burst had staged must not wait for one on the next connection.
        let published = state.pipes.get_mut(pipe).and_then(PipeEnd::publish);
        let signals = state.watchers.tell_all();
        drop(state);
        event.into_iter().for_each(|event| self.emit(event));
        pipe::fire_all(published);
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
        state.pattern.activate_read(pipe);
        let signal = state.receivers.tell_one();
        drop(state);
        fire_signals(signal);
    }

    fn activate_write(self: Arc<Self>, pipe: usize) {
        let mut state = self.state.lock();
        state.pattern.activate_write(pipe);
        let signal = state.senders.tell_one();
        let closing = state.phase == Phase::Closing;
        drop(state);
        fire_signals(signal);
        if closing {
            self.check_closed();
        }
    }
}

impl<P: Pattern> Binder for Core<P> {
    fn info(&self) -> Arc<PeerInfo> {
        Arc::clone(&self.info)
    }

    fn adopt(&self, name: &str, end: PipeEnd, info: &Arc<PeerInfo>) -> Result<(), PipeEnd> {
        if self.state.lock().phase != Phase::Open {
            return Err(end);
        }
        let pipe = self.add_pipe(end, Peer::new(Endpoint::Inproc(name.to_owned())));
        self.mark_connected(pipe, None, None, Arc::clone(info));
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
