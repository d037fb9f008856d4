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
            session.break_off(DisconnectReason::Local);
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
            session.break_off(DisconnectReason::OverLimit {
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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpStream;
    use std::sync::mpsc;

    use super::*;
    use crate::allowance::Allowance;
    use crate::options::LinkOptions;
    use crate::peer::{PeerInfo, SocketType};
    use crate::pipe::{self, Limits, PipeEnd, PipeLimits, WhenFull};
    use crate::reactor::{Hooks, Link};
    use crate::zmtp;

    const LONG: Duration = Duration::from_secs(20);

    /// A socket that tells when a peer is accepted, and when it is ready.
    struct Porter {
        events: Mutex<mpsc::Sender<&'static str>>,
        pipes: Mutex<Vec<PipeEnd>>,
    }

    impl Porter {
        fn tell(&self, event: &'static str) {
            let _ = self.events.lock().send(event);
        }
    }

    impl Hooks for Porter {
        fn attach(&self, _: &Arc<Endpoint>, _: &Arc<PeerInfo>, _: bool) -> Result<Link, DisconnectReason> {
            let limits = Limits {
                messages: 1,
                bytes: 1,
                when_full: WhenFull::default(),
            };
            let (ours, end) = pipe::pair(PipeLimits {
                send: limits,
                recv: limits,
            });
            self.pipes.lock().push(ours);
            Ok(Link { pipe: 0, end })
        }

        fn readmit(&self, _: usize, _: &Arc<PeerInfo>) -> Result<(), DisconnectReason> {
            Ok(())
        }

        fn connected(&self, _: usize, _: Arc<Session>, _: Arc<PeerInfo>) {
            self.tell("ready");
        }

        fn publish(&self, _: &[usize]) {}

        fn disconnected(&self, _: usize, _: u64, _: bool, _: Option<Event>) {}

        fn emit(&self, event: Event) {
            if matches!(event, Event::Accepted { .. }) {
                self.tell("accepted");
            }
        }
    }

    #[test]
    fn a_peer_that_was_to_be_shed_and_is_ready_by_now_stays() {
        let (tell, events) = mpsc::channel();
        let options = LinkOptions::default();
        let config = Arc::new(LinkConfig {
            hooks: Arc::new(Porter {
                events: Mutex::new(tell),
                pipes: Mutex::default(),
            }),
            zmtp: Arc::new(zmtp::Config::new(SocketType::Pull, &options)),
            options,
            allowance: Allowance::new(0),
            linger: None,
            receives: true,
        });
        let reactor = Reactor::new().unwrap();
        let listener = Listener::bind(&reactor, &config, &"tcp://127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.endpoint().to_string().split_off("tcp://".len());
        // Chosen to be shed, as it were.
        let come = || {
            let client = TcpStream::connect(&address).unwrap();
            assert_eq!(events.recv_timeout(LONG), Ok("accepted"));
            let [session] = <[_; 1]>::try_from(listener.state.lock().handshakes.take())
                .ok()
                .unwrap();
            (client, session)
        };
        let (_silent, slow) = come();
        slow.break_off(DisconnectReason::Local);
        assert!(slow.is_ended());

        let (mut client, quick) = come();
        client
            .write_all(&zmtp::fuzzing::prelude(SocketType::Pull, 1))
            .unwrap();
        assert_eq!(events.recv_timeout(LONG), Ok("ready"));
        quick.break_off(DisconnectReason::Local);
        assert!(!quick.is_ended());
        listener.unbind();
        reactor.stop();
    }
}
