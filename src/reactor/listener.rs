//! A listener: accepts connections, bounds how many come and shake hands at once, and sits out a lack of descriptors.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::event_loop::Scratch;
use super::half_open::HalfOpen;
use super::session::Session;
use super::{LinkConfig, Reactor, Readiness, Source};
use crate::Endpoint;
use crate::error::DisconnectReason;
use crate::monitor::Event;
use crate::rate::TokenBucket;
use crate::sync::Mutex;
use crate::transport::{self, AcceptFailure};

/// Connections accepted in one turn, so that a flood of them does not starve those that are there.
const ACCEPTS_PER_TURN: usize = 16;

/// The pause after the system had no descriptor left; doubled up to the longest one as long as it has none.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The pause after connections came too fast: long enough to take in a few with one wake-up, too short to be felt.
const PACE: Duration = Duration::from_millis(2);

/// A bound endpoint.
pub(crate) struct Listener {
    key: usize,
    reactor: Arc<Reactor>,
    config: Arc<LinkConfig>,
    endpoint: Arc<Endpoint>,
    state: Mutex<State>,
}

struct State {
    /// Gone once the endpoint is unbound.
    socket: Option<transport::Listener>,
    handshakes: HalfOpen<Arc<Session>>,
    /// How fast connections may come; without one, as they like.
    rate: Option<TokenBucket>,
    /// They come faster than that, and it was told.
    rushed: bool,
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
        let endpoint = Arc::new(socket.endpoint().clone());
        let rate = config.options.handshake_rate;
        let listener = reactor.insert(|key| {
            Arc::new(Self {
                key,
                reactor: Arc::clone(reactor),
                config: Arc::clone(config),
                endpoint,
                state: Mutex::new(State {
                    socket: Some(socket),
                    handshakes: HalfOpen::new(),
                    rate: rate.map(|rate| TokenBucket::new(rate, rate)),
                    rushed: false,
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
            endpoint: Endpoint::clone(&listener.endpoint),
        });
        Ok(listener)
    }

    /// Returns where the listener is bound, with wildcards resolved.
    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
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
        let handshakes = state.handshakes.take();
        drop(state);
        drop(socket);
        for session in handshakes {
            session.close(DisconnectReason::Local);
        }
        self.config.hooks.emit(Event::Closed {
            endpoint: Endpoint::clone(&self.endpoint),
        });
    }

    /// A connection that was accepted here has ended.
    pub(super) fn forget_settled(&self) {
        self.state.lock().handshakes.forget_settled();
    }

    /// Accepts what is there. Returns sessions that must go to make room.
    fn accept(self: &Arc<Self>, now: Instant) -> Vec<Arc<Session>> {
        let mut shed = Vec::new();
        let mut state = self.state.lock();
        for _ in 0..ACCEPTS_PER_TURN {
            if state.socket.is_none() || self.is_rushed(&mut state, now) {
                return shed;
            }
            let Some(socket) = &mut state.socket else {
                return shed;
            };
            let result = socket.accept().and_then(|arrival| {
                let (address, site) = (arrival.address.clone(), arrival.site);
                // A stream that may not come in is dropped, and so closed.
                let session = match socket.admit(&arrival.stream) {
                    Ok(()) => Ok(Session::accept(self, arrival, now)?),
                    Err(reason) => Err(reason),
                };
                Ok((session, address, site))
            });
            match result {
                Ok((session, address, site)) => {
                    state.pause = FIRST_PAUSE;
                    if let Some(rate) = &mut state.rate {
                        rate.take(now);
                    }
                    let endpoint = Endpoint::clone(&self.endpoint);
                    let event = match session {
                        Ok(session) => {
                            let limit = self.config.options.max_handshakes;
                            shed.extend(state.handshakes.add(site, session, limit));
                            Event::Accepted { endpoint, address }
                        }
                        Err(reason) => Event::HandshakeFailed {
                            endpoint,
                            address,
                            reason,
                        },
                    };
                    self.config.hooks.emit(event);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    state.rushed = false;
                    return shed;
                }
                Err(error) => {
                    let (endpoint, kind) = (Endpoint::clone(&self.endpoint), error.kind());
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

    /// Tells whether connections come too fast. The next are then taken in after a pause, and wait with the system, which
    /// turns away those that are too many: it costs us nothing.
    fn is_rushed(&self, state: &mut State, now: Instant) -> bool {
        let Some(next) = state.rate.as_ref().and_then(|rate| rate.next(now)) else {
            return false;
        };
        if !std::mem::replace(&mut state.rushed, true) {
            let endpoint = Endpoint::clone(&self.endpoint);
            self.config.hooks.emit(Event::AcceptPaused { endpoint });
        }
        let again = now.checked_add(PACE).map(|pace| pace.max(next));
        self.reactor.arm(self.key, &mut state.armed, again);
        true
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

impl Source for Listener {
    fn handle_ready(self: Arc<Self>, _readiness: Readiness, scratch: &mut Scratch) {
        self.accept_and_shed(scratch.now);
    }

    fn handle_timeout(self: Arc<Self>, now: Instant, _scratch: &mut Scratch) {
        self.state.lock().armed = None;
        self.accept_and_shed(now);
    }
}
