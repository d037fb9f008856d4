//! A listener: accepts connections, bounds how many shake hands at once, and sits out a lack of descriptors.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::event_loop::Scratch;
use super::session::Session;
use super::{LinkConfig, Reactor, Readiness, Source};
use crate::Endpoint;
use crate::error::DisconnectReason;
use crate::monitor::Event;
use crate::sync::Mutex;
use crate::transport::{self, AcceptFailure};

/// Connections accepted in one turn, so that a flood of them does not starve those that are there.
const ACCEPTS_PER_TURN: usize = 64;

/// The pause after the system had no descriptor left; doubled up to the longest one as long as it has none.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A bound endpoint.
pub(crate) struct Listener {
    key: usize,
    reactor: Arc<Reactor>,
    config: Arc<LinkConfig>,
    endpoint: Endpoint,
    state: Mutex<State>,
}

struct State {
    /// Gone once the endpoint is unbound.
    socket: Option<transport::Listener>,
    /// Sessions that may still be shaking hands, the oldest in front.
    handshakes: VecDeque<Arc<Session>>,
    pause: Duration,
    armed: Option<Instant>,
}

impl Listener {
    /// Binds, and begins to accept.
    pub(crate) fn bind(
        reactor: &Arc<Reactor>,
        config: &Arc<LinkConfig>,
        endpoint: &Endpoint,
    ) -> io::Result<Arc<Self>> {
        reactor.start_thread()?;
        let socket = transport::bind(endpoint, &config.options.transport)?;
        let endpoint = socket.endpoint().clone();
        let listener = reactor.insert(|key| {
            Arc::new(Self {
                key,
                reactor: Arc::clone(reactor),
                config: Arc::clone(config),
                endpoint,
                state: Mutex::new(State {
                    socket: Some(socket),
                    handshakes: VecDeque::new(),
                    pause: FIRST_PAUSE,
                    armed: None,
                }),
            })
        });
        let mut state = listener.state.lock();
        let registered = state.socket.as_mut().map_or(Ok(()), |socket| {
            socket.register(&reactor.registry, mio::Token(listener.key))
        });
        if let Err(error) = registered {
            reactor.remove(listener.key, &mut state.armed);
            return Err(error);
        }
        drop(state);
        config.hooks.emit(Event::Listening {
            endpoint: listener.endpoint.clone(),
        });
        Ok(listener)
    }

    /// Returns where the listener is bound, with wildcards resolved.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(super) fn reactor(&self) -> &Arc<Reactor> {
        &self.reactor
    }

    pub(super) fn config(&self) -> &Arc<LinkConfig> {
        &self.config
    }

    /// Stops listening. Connections that were accepted stay, those that still shake hands do not.
    pub(crate) fn unbind(&self) {
        let mut state = self.state.lock();
        let Some(mut socket) = state.socket.take() else {
            return;
        };
        let _ = socket.deregister(&self.reactor.registry);
        self.reactor.remove(self.key, &mut state.armed);
        let handshakes = std::mem::take(&mut state.handshakes);
        drop(state);
        drop(socket);
        for session in handshakes {
            if !session.is_settled() {
                session.close(DisconnectReason::Local);
            }
        }
        self.config.hooks.emit(Event::Closed {
            endpoint: self.endpoint.clone(),
        });
    }

    /// Accepts what is there. Returns sessions that must go to make room.
    fn accept(self: &Arc<Self>, now: Instant) -> Vec<Arc<Session>> {
        let mut shed = Vec::new();
        let mut state = self.state.lock();
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(socket) = &mut state.socket else {
                return shed;
            };
            let result = socket.accept().and_then(|stream| {
                let address = stream.peer_name();
                Ok((Session::accept(self, stream, now)?, address))
            });
            match result {
                Ok((session, address)) => {
                    state.pause = FIRST_PAUSE;
                    let endpoint = self.endpoint.clone();
                    self.config.hooks.emit(Event::Accepted { endpoint, address });
                    state.handshakes.push_back(session);
                    shed.extend(state.shed(self.config.options.max_handshakes));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return shed,
                Err(error) => {
                    let (endpoint, kind) = (self.endpoint.clone(), error.kind());
                    self.config.hooks.emit(Event::AcceptFailed {
                        endpoint,
                        error: kind,
                    });
                    if transport::accept_failure(&error) != AcceptFailure::Transient {
                        // No event will come for connections that wait already: look again after a pause.
                        let again = now.checked_add(state.pause);
                        state.pause = LONGEST_PAUSE.min(state.pause * 2);
                        self.reactor.arm(self.key, &mut state.armed, again);
                        return shed;
                    }
                }
            }
        }
        self.reactor.schedule(self.key);
        shed
    }

    fn accept_and_shed(self: &Arc<Self>, now: Instant) {
        let limit = self.config.options.max_handshakes as u64;
        for session in self.accept(now) {
            session.close(DisconnectReason::OverLimit {
                what: "handshakes at once",
                got: limit + 1,
                limit,
            });
        }
    }
}

impl State {
    /// Takes out the oldest handshake if there are too many.
    fn shed(&mut self, limit: usize) -> Option<Arc<Session>> {
        if self.handshakes.len() <= limit {
            // Forget the finished ones now and then, so that this line is no longer than it must be.
            while self
                .handshakes
                .front()
                .is_some_and(|session| session.is_settled())
            {
                self.handshakes.pop_front();
            }
            return None;
        }
        self.handshakes.retain(|session| !session.is_settled());
        if self.handshakes.len() > limit {
            self.handshakes.pop_front()
        } else {
            None
        }
    }
}

impl Source for Listener {
    fn handle_ready(self: Arc<Self>, _readiness: Readiness, scratch: &mut Scratch) {
        self.accept_and_shed(scratch.now);
    }

    fn handle_timeout(self: Arc<Self>, now: Instant, _scratch: &mut Scratch) {
        self.state.lock().armed = None;
        self.accept_and_shed(now);
    }
}
