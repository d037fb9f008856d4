//! A session: one connection with its protocol and its end of the pipe, which any thread may run.

mod inbound;
mod outbound;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use smallvec::SmallVec;

use super::event_loop::Scratch;
use super::{Dialer, Link, LinkConfig, Listener, Reactor, Readiness, Source};
use crate::allowance::Share;
use crate::error::DisconnectReason;
use crate::monitor::Event;
use crate::peer::PeerInfo;
use crate::pipe::{self, Address, Owner, Wakes};
use crate::security::{AuthRequest, Denial, Inquiry, Verdict};
use crate::sync::Mutex;
use crate::transport::{Arrival, Stream};
use crate::zmtp::{Batch, Connection};
use crate::{Endpoint, ProcessCredentials, zmtp};
use inbound::Left;
use outbound::Burst;

/// A connection.
///
/// ```text
///             CONNECTING ──writable──► HANDSHAKE ──READY──► TRAFFIC ──┐
///   dialed ───────┘                        ▲                  │       │ the socket's end is finished,
///   accepted ──────────────────────────────┘                  │       │ and all of it is written
///                                                             │       ▼
///                                                             │   DRAINING, until the peer ends its side
///                                                             │       │
///                  any error, or the end of the stream ───────┴───────┴──► CLOSED
/// ```
///
/// Reading needs the driver's buffer, so only the driver reads. Writing needs nothing, so the thread that sends a
/// message writes it.
pub(crate) struct Session {
    key: usize,
    reactor: Arc<Reactor>,
    config: Arc<LinkConfig>,
    origin: Origin,
    state: Mutex<State>,
    /// The application has let the peer in.
    known: AtomicBool,
    /// The handshake is over, one way or the other.
    settled: AtomicBool,
    /// The connection is closed.
    ended: AtomicBool,
    myself: Weak<Self>,
}

/// Where a connection comes from.
#[derive(Clone)]
pub(super) enum Origin {
    Accepted(Arc<Listener>),
    Dialed(Arc<Dialer>),
}

impl Origin {
    fn endpoint(&self) -> &Arc<Endpoint> {
        match self {
            Self::Accepted(listener) => listener.endpoint(),
            Self::Dialed(dialer) => dialer.endpoint(),
        }
    }
}

struct State {
    /// Gone once the connection is closed.
    stream: Option<Stream>,
    connection: Connection,
    /// The pipe of an endpoint connected to, kept until the handshake is done; elsewhere, for most sessions never have it.
    waiting_link: Option<Box<Link>>,
    /// The pipe in use.
    link: Option<Link>,
    address: String,
    connecting: bool,
    /// The system has, or may have, bytes for us.
    readable: bool,
    left: Left,
    /// The last census of busy connections that this one is part of.
    census: u32,
    /// The peer closed its side: a short read does not mean that there is no more to come.
    hangup: bool,
    /// Bytes that were read and could not be decoded for want of room in the pipe.
    leftover: Vec<u8>,
    /// What the message that has come in part holds of the socket's allowance.
    unfinished: Share,
    /// The pipe is full; its reader schedules this session when there is room.
    stalled: bool,
    /// Everything is written and our side of the stream is closed; what the peer still sends is thrown away.
    draining: bool,
    /// Bytes that the system would not take.
    unsent: Batch,
    /// Whether the reactor was told to wait for the system to take `unsent`.
    errand: bool,
    burst: Burst,
    /// Messages handed to this connection.
    handed: u64,
    /// Messages that came to a socket that does not receive.
    ignored: u64,
    /// When the timer goes off.
    armed: Option<Instant>,
}

/// What is to be done once the session is unlocked.
#[derive(Default)]
struct Aftermath {
    connected: Option<(usize, Arc<PeerInfo>)>,
    address: String,
    process: Option<ProcessCredentials>,
    asked: Option<Box<Inquiry>>,
    wakes: Wakes,
    events: SmallVec<[Event; 2]>,
    ended: Option<Ended>,
}

/// How a connection ended.
struct Ended {
    reason: DisconnectReason,
    link: Option<Link>,
    /// Messages that the peer may not have got.
    in_doubt: u64,
    was_ready: bool,
    was_connecting: bool,
    address: String,
}

impl Session {
    /// Takes over an accepted stream.
    pub(super) fn accept(listener: &Arc<Listener>, arrival: Arrival, now: Instant) -> io::Result<Arc<Self>> {
        let origin = Origin::Accepted(Arc::clone(listener));
        let Arrival { stream, address, .. } = arrival;
        let (reactor, config) = (listener.reactor(), listener.config());
        let started = Self::start(reactor, config, origin, stream, address, None, now);
        started.map_err(|(error, _)| error)
    }

    /// Takes over a stream that is being connected, with the pipe that awaits it, if it has one already; gives the
    /// pipe back if that fails.
    pub(super) fn dial(
        dialer: &Arc<Dialer>,
        stream: Stream,
        link: Option<Link>,
        now: Instant,
    ) -> Result<Arc<Self>, (io::Error, Option<Link>)> {
        let origin = Origin::Dialed(Arc::clone(dialer));
        let address = stream.peer_name();
        Self::start(
            dialer.reactor(),
            dialer.config(),
            origin,
            stream,
            address,
            link,
            now,
        )
    }

    fn start(
        reactor: &Arc<Reactor>,
        config: &Arc<LinkConfig>,
        origin: Origin,
        mut stream: Stream,
        address: String,
        link: Option<Link>,
        now: Instant,
    ) -> Result<Arc<Self>, (io::Error, Option<Link>)> {
        let connection = Connection::new(Arc::clone(&config.zmtp), now);
        let connecting = matches!(origin, Origin::Dialed(_));
        let session = reactor.insert(|key| {
            Arc::new_cyclic(|myself| Self {
                key,
                reactor: Arc::clone(reactor),
                config: Arc::clone(config),
                origin,
                state: Mutex::new(State {
                    stream: None,
                    connection,
                    waiting_link: link.map(Box::new),
                    link: None,
                    address,
                    connecting,
                    readable: false,
                    left: Left::default(),
                    census: 0,
                    hangup: false,
                    leftover: Vec::new(),
                    unfinished: Share::of(&config.allowance),
                    stalled: false,
                    draining: false,
                    unsent: Batch::new(),
                    errand: false,
                    burst: Burst::default(),
                    handed: 0,
                    ignored: 0,
                    armed: None,
                }),
                known: AtomicBool::new(false),
                settled: AtomicBool::new(false),
                ended: AtomicBool::new(false),
                myself: Weak::clone(myself),
            })
        });
        let mut state = session.state.lock();
        let deadline = if connecting {
            config
                .options
                .connect_timeout
                .and_then(|timeout| now.checked_add(timeout))
        } else {
            state.connection.poll_timeout()
        };
        if let Err(error) = stream.register(&reactor.registry, mio::Token(session.key)) {
            reactor.remove(session.key, &mut state.armed);
            return Err((error, state.waiting_link.take().map(|link| *link)));
        }
        state.stream = Some(stream);
        reactor.arm(session.key, &mut state.armed, deadline);
        drop(state);
        Ok(session)
    }

    /// Tells whether the application has let the peer in.
    pub(super) fn is_known(&self) -> bool {
        self.known.load(Ordering::Relaxed)
    }

    /// Tells whether the handshake is over.
    pub(super) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire)
    }

    /// Tells whether the connection is closed; then its socket has heard so, or will.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Returns how much of what the peer sent means nothing to this socket.
    pub(crate) fn ignored(&self) -> u64 {
        let state = self.state.lock();
        state.ignored + state.connection.ignored_commands()
    }

    /// Closes the connection.
    pub(crate) fn close(&self, reason: DisconnectReason) {
        let mut after = Aftermath::default();
        let mut state = self.state.lock();
        self.end(&mut state, reason, &mut after);
        drop(state);
        self.settle(after);
    }

    /// Closes the connection if its handshake is not over. It may be over since somebody found that it was not, for verdicts
    /// come on any thread; then the connection stays.
    pub(super) fn break_off(&self, reason: DisconnectReason) {
        self.run(|state, _| if state.link.is_none() { Err(reason) } else { Ok(()) });
    }

    /// Does something with the locked state, closes the connection if that failed, and then does what is left.
    fn run(&self, work: impl FnOnce(&mut State, &mut Aftermath) -> Result<(), DisconnectReason>) {
        let mut after = Aftermath::default();
        let mut state = self.state.lock();
        if state.stream.is_none() {
            return;
        }
        if let Err(reason) = work(&mut state, &mut after) {
            self.end(&mut state, reason, &mut after);
        }
        drop(state);
        self.settle(after);
    }

    /// The stream can tell by now whether the connection was made.
    fn check_connected(
        &self,
        state: &mut State,
        now: Instant,
        after: &mut Aftermath,
    ) -> Result<(), DisconnectReason> {
        let Some(stream) = &state.stream else {
            return Ok(());
        };
        match stream.take_connect_error() {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(()),
            Err(error) => return Err(DisconnectReason::Io(error.kind())),
        }
        state.connecting = false;
        state.address = stream.peer_name();
        // The handshake has its own time, from here.
        state.connection = Connection::new(Arc::clone(&self.config.zmtp), now);
        self.reactor
            .mailbox
            .lock()
            .timers
            .disarm(self.key, &mut state.armed);
        self.reactor
            .arm(self.key, &mut state.armed, state.connection.poll_timeout());
        after.events.push(Event::Connected {
            endpoint: Endpoint::clone(self.origin.endpoint()),
            address: state.address.clone(),
        });
        Ok(())
    }

    /// The handshake is done: from now on the pipe is in use.
    fn go_ready(
        &self,
        state: &mut State,
        info: &Arc<PeerInfo>,
        after: &mut Aftermath,
    ) -> Result<(), DisconnectReason> {
        let info = &Arc::new(PeerInfo {
            address: Some(state.address.clone()),
            process: state.stream.as_ref().and_then(Stream::process),
            ..PeerInfo::clone(info)
        });
        let mut link = match state.waiting_link.take() {
            Some(link) => {
                let admitted = self.config.hooks.readmit(link.pipe, info);
                if admitted.is_err() {
                    // The dialer gets it back.
                    state.waiting_link = Some(link);
                    return admitted;
                }
                *link
            }
            None => {
                let accepted = matches!(self.origin, Origin::Accepted(_));
                self.config.hooks.attach(self.origin.endpoint(), info, accepted)?
            }
        };
        if let Some(owner) = self.myself.upgrade() {
            link.end.set_owner(Some(Address {
                owner,
                pipe: link.pipe,
            }));
        }
        link.end.set_sleep(pipe::WakeReader::OnPush);
        after.connected = Some((link.pipe, Arc::clone(info)));
        state.link = Some(link);
        self.settled.store(true, Ordering::Release);
        after.events.push(Event::HandshakeDone {
            endpoint: Endpoint::clone(self.origin.endpoint()),
            address: state.address.clone(),
            info: PeerInfo::clone(info),
        });
        Ok(())
    }

    /// Closes the connection, if it is not closed already.
    fn end(&self, state: &mut State, reason: DisconnectReason, after: &mut Aftermath) {
        self.send_last_words(state);
        let Some(mut stream) = state.stream.take() else {
            return;
        };
        // Both fail only if the system has closed the descriptor by itself, and then there is nothing left to do.
        let _ = stream.deregister(&self.reactor.registry);
        stream.shutdown();
        drop(stream);
        self.reactor.remove(self.key, &mut state.armed);
        self.set_errand(state, false);
        self.settled.store(true, Ordering::Release);
        self.ended.store(true, Ordering::Release);
        let was_ready = state.link.is_some();
        // A peer that ends its side after we have ended ours has read all that we wrote.
        let orderly = state.draining && reason == DisconnectReason::PeerClosed;
        let waiting = state.waiting_link.take().map(|link| *link);
        let mut link = state.link.take().or(waiting);
        if let Some(link) = &mut link {
            match &self.origin {
                Origin::Dialed(dialer) if dialer.keeps_pipe() => after.wakes.extend(link.end.rest()),
                _ => after.wakes.extend(link.end.close().into_iter().flatten()),
            }
        }
        state.leftover = Vec::new();
        state.unfinished.set(0);
        state.unsent = Batch::new();
        after.ended = Some(Ended {
            reason,
            link,
            in_doubt: if orderly { 0 } else { state.handed },
            was_ready,
            was_connecting: state.connecting,
            address: std::mem::take(&mut state.address),
        });
    }

    /// Does what must not be done while the state is locked.
    fn settle(&self, after: Aftermath) {
        let hooks = &self.config.hooks;
        if let (Some((pipe, info)), Some(myself)) = (after.connected, self.myself.upgrade()) {
            hooks.connected(pipe, myself, info);
        }
        after.wakes.fire();
        for event in after.events {
            hooks.emit(event);
        }
        if let Some(inquiry) = after.asked {
            self.ask(*inquiry, after.address, after.process);
        }
        let Some(ended) = after.ended else { return };
        let event = self.describe(&ended);
        let pipe = ended
            .link
            .as_ref()
            .map(|link| link.pipe)
            .filter(|_| ended.was_ready);
        let kept = matches!(&self.origin, Origin::Dialed(dialer) if dialer.keeps_pipe());
        match pipe {
            Some(pipe) => hooks.disconnected(pipe, ended.in_doubt, !kept, Some(event)),
            None => hooks.emit(event),
        }
        match &self.origin {
            Origin::Dialed(dialer) => {
                dialer.lost(ended.link.filter(|_| kept), &ended.reason, ended.was_ready);
            }
            Origin::Accepted(listener) => listener.forget_settled(),
        }
    }

    /// Has the application's authenticator asked about the peer. To drop the request is to deny it for now.
    fn ask(&self, inquiry: Inquiry, address: String, process: Option<ProcessCredentials>) {
        let Some(authenticator) = self.config.options.mechanism.authenticator().cloned() else {
            return self.handle_verdict(Err(Denial::Unanswered));
        };
        let session = Weak::clone(&self.myself);
        let reply = {
            let session = Weak::clone(&session);
            move |verdict| {
                if let Some(session) = session.upgrade() {
                    session.handle_verdict(verdict);
                }
            }
        };
        let endpoint = Endpoint::clone(self.origin.endpoint());
        let domain = Arc::clone(&self.config.options.auth_domain);
        let request = AuthRequest::new(inquiry, domain, endpoint, address, process, Box::new(reply));
        let job = move || {
            // In a crowd, who has given up meanwhile should not hold up the others.
            if session.upgrade().is_some_and(|session| !session.is_ended()) {
                authenticator.authenticate(request);
            }
        };
        // A job that is not done drops the request.
        drop(self.reactor.authentication.submit(Box::new(job)));
    }

    /// The application has decided on the peer, on any thread.
    fn handle_verdict(&self, verdict: Verdict) {
        self.known.store(verdict.is_ok(), Ordering::Relaxed);
        self.run(|state, after| {
            state.connection.handle_verdict(verdict, Instant::now())?;
            self.handle_events(state, after)?;
            self.reactor
                .arm(self.key, &mut state.armed, state.connection.poll_timeout());
            self.flush(state, after)
        });
        // The peer may have said more meanwhile.
        self.reactor.schedule(self.key);
    }

    fn describe(&self, ended: &Ended) -> Event {
        let endpoint = Endpoint::clone(self.origin.endpoint());
        let (address, reason) = (ended.address.clone(), ended.reason.clone());
        if ended.was_connecting {
            Event::ConnectFailed { endpoint, reason }
        } else if ended.was_ready {
            Event::Disconnected {
                endpoint,
                address,
                reason,
                in_doubt: ended.in_doubt,
            }
        } else {
            Event::HandshakeFailed {
                endpoint,
                address,
                reason,
            }
        }
    }

    /// Handles what the protocol reported beside messages.
    fn handle_events(&self, state: &mut State, after: &mut Aftermath) -> Result<(), DisconnectReason> {
        while let Some(event) = state.connection.poll_event() {
            match event {
                zmtp::Event::Asked(inquiry) => {
                    after.asked = Some(inquiry);
                    after.process = state.stream.as_ref().and_then(Stream::process);
                    after.address.clone_from(&state.address);
                }
                zmtp::Event::Ready(info) => self.go_ready(state, &info, after)?,
            }
        }
        Ok(())
    }
}

impl Source for Session {
    fn handle_ready(self: Arc<Self>, readiness: Readiness, scratch: &mut Scratch) {
        let met = (!self.is_settled()).then(Instant::now);
        self.run(|state, after| {
            state.readable |= readiness.readable || readiness.hangup;
            state.hangup |= readiness.hangup;
            if readiness.readable && std::mem::replace(&mut state.census, scratch.census) != scratch.census {
                scratch.counted += 1;
            }
            if met.is_some() && scratch.has_met_enough_strangers() {
                self.reactor.schedule(self.key);
                return Ok(());
            }
            if state.connecting {
                self.check_connected(state, scratch.now, after)?;
            }
            if state.connecting {
                return Ok(());
            }
            if readiness.writable && !state.unsent.is_empty() {
                self.flush(state, after)?;
            }
            if state.draining {
                return self.drain_input(state, scratch);
            }
            if !self.leaves_for_later(state, scratch) {
                self.fill(state, scratch, after)?;
                self.check_allowance(state)?;
            }
            self.flush(state, after)?;
            if state.draining {
                return self.drain_input(state, scratch);
            }
            self.reactor
                .arm(self.key, &mut state.armed, state.connection.poll_timeout());
            Ok(())
        });
        if let Some(met) = met {
            scratch.strangers += met.elapsed();
        }
    }

    fn handle_timeout(self: Arc<Self>, now: Instant, scratch: &mut Scratch) {
        self.run(|state, after| {
            state.armed = None;
            state.left.look_at_time(now);
            if state.draining {
                return Err(DisconnectReason::Local);
            }
            if state.connecting {
                let limit = self.config.options.connect_timeout.unwrap_or_default();
                return Err(DisconnectReason::TimedOut {
                    what: "connecting",
                    limit,
                });
            }
            // A peer is silent only if nothing of it waits to be read: perhaps nobody has looked since it came.
            state.readable = true;
            self.fill(state, scratch, after)?;
            self.check_allowance(state)?;
            state.connection.handle_timeout(now)?;
            self.reactor
                .arm(self.key, &mut state.armed, state.connection.poll_timeout());
            self.flush(state, after)
        });
    }
}

impl Owner for Session {
    /// The socket has sent something, or will send nothing more: the thread that did so writes it.
    fn activate_read(self: Arc<Self>, _pipe: usize) {
        self.run(|state, after| self.flush_pushed(state, after));
    }

    /// The socket has read: there is room in the pipe again, and bytes may wait that no new event will announce.
    fn activate_write(self: Arc<Self>, _pipe: usize) {
        self.reactor.schedule(self.key);
    }
}
