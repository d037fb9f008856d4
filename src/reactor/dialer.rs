//! A dialer: keeps an endpoint connected, with a growing and jittered pause between attempts.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::event_loop::Scratch;
use super::session::Session;
use super::{Link, LinkConfig, Reactor, Readiness, Source};
use crate::error::DisconnectReason;
use crate::monitor::Event;
use crate::pipe::fire_all;
use crate::sync::Mutex;
use crate::transport::{self, Target};
use crate::{Endpoint, Host, TcpEndpoint};

/// The shortest pause after a peer has refused us with an ERROR: it will not change its mind in a hurry.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);

/// Doublings after which a pause grows no more, whatever its limit.
const MAX_DOUBLINGS: u32 = 20;

/// Keeps one endpoint connected.
///
/// ```text
///   ┌──────────► RESOLVING ──addresses──► CONNECTING ──► CONNECTED
///   │ pause over     │ none                 │  ▲ next       │ lost
///   │                ▼                      ▼  └─address    │
///   └───────────── PAUSE ◄──────────────────┴───────────────┘
///                                        (any) ──stop──► STOPPED
/// ```
/// The pause is reset by a handshake, not by a mere connection, so that a peer that turns us away is not hammered.
pub(crate) struct Dialer {
    key: usize,
    reactor: Arc<Reactor>,
    config: Arc<LinkConfig>,
    endpoint: Arc<Endpoint>,
    /// Whether the pipe outlives a connection.
    keeps_pipe: bool,
    state: Mutex<State>,
}

struct State {
    stopped: bool,
    /// The socket is closing and sends nothing more.
    finishing: bool,
    /// The pipe, while no session has it.
    link: Option<Link>,
    session: Option<Arc<Session>>,
    /// Addresses of the attempt under way that have not been tried.
    untried: VecDeque<SocketAddr>,
    /// Attempts since the last handshake.
    attempts: u32,
    armed: Option<Instant>,
}

impl Dialer {
    /// Makes a dialer and begins the first attempt. Without a link, a pipe is made for each connection.
    pub(crate) fn connect(
        reactor: &Arc<Reactor>,
        config: &Arc<LinkConfig>,
        endpoint: &Arc<Endpoint>,
        link: Option<Link>,
    ) -> io::Result<Arc<Self>> {
        reactor.start_thread()?;
        let dialer = reactor.insert(|key| {
            Arc::new(Self {
                key,
                reactor: Arc::clone(reactor),
                config: Arc::clone(config),
                endpoint: Arc::clone(endpoint),
                keeps_pipe: link.is_some(),
                state: Mutex::new(State {
                    stopped: false,
                    finishing: false,
                    link,
                    session: None,
                    untried: VecDeque::new(),
                    attempts: 0,
                    armed: None,
                }),
            })
        });
        dialer.attempt(Instant::now());
        Ok(dialer)
    }

    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    pub(super) fn reactor(&self) -> &Arc<Reactor> {
        &self.reactor
    }

    pub(super) fn config(&self) -> &Arc<LinkConfig> {
        &self.config
    }

    pub(super) fn keeps_pipe(&self) -> bool {
        self.keeps_pipe
    }

    /// Makes no further attempts. A connection that is there stays until its pipe is finished and written, or, with
    /// `now`, ends at once.
    pub(crate) fn stop(&self, now: bool) {
        let mut state = self.state.lock();
        let first = !std::mem::replace(&mut state.stopped, true);
        self.reactor.remove(self.key, &mut state.armed);
        let mut link = state.link.take();
        let session = if now {
            state.session.take()
        } else {
            state.session.clone()
        };
        drop(state);
        let closed = first.then(|| Event::Closed {
            endpoint: Endpoint::clone(&self.endpoint),
        });
        match (&mut link, closed) {
            (Some(link), closed) => self.discard(link, closed),
            (None, Some(closed)) => self.config.hooks.emit(closed),
            (None, None) => {}
        }
        match session {
            Some(session) if now => session.close(DisconnectReason::Local),
            Some(session) => session.break_off(DisconnectReason::Local),
            None => {}
        }
    }

    /// Stops as soon as the pipe, which its socket has finished, is drained: at once, or after the connection that
    /// it takes.
    pub(crate) fn finish(&self) {
        let mut state = self.state.lock();
        state.finishing = true;
        let idle = state.link.is_some() && state.is_drained();
        drop(state);
        if idle || !self.keeps_pipe {
            self.stop(false);
        }
    }

    /// The resolver has an answer.
    fn handle_resolved(self: &Arc<Self>, addresses: io::Result<Vec<SocketAddr>>) {
        match addresses {
            Ok(addresses) if !addresses.is_empty() => {
                self.state.lock().untried = addresses.into();
                self.try_next(Instant::now());
            }
            Ok(_) => self.fail(&DisconnectReason::NotResolved("no addresses".into())),
            Err(error) => self.fail(&DisconnectReason::NotResolved(error.to_string())),
        }
    }

    /// A session has ended and gives the pipe back, if it outlives connections.
    pub(super) fn lost(self: &Arc<Self>, link: Option<Link>, reason: &DisconnectReason, was_ready: bool) {
        let mut state = self.state.lock();
        state.session = None;
        if state.stopped {
            drop(state);
            if let Some(mut link) = link {
                self.discard(&mut link, None);
            }
            return;
        }
        state.link = link;
        if was_ready {
            state.attempts = 0;
            state.untried.clear();
        }
        if state.finishing && state.is_drained() {
            drop(state);
            return self.stop(false);
        }
        let another = !state.untried.is_empty();
        drop(state);
        if another {
            self.try_next(Instant::now());
        } else {
            self.pause(reason);
        }
    }

    /// Closes the pipe that no session will take any more.
    fn discard(&self, link: &mut Link, event: Option<Event>) {
        fire_all(link.end.close().into_iter().flatten());
        self.config.hooks.disconnected(link.pipe, 0, true, event);
    }

    /// Begins an attempt: finds the addresses.
    fn attempt(self: &Arc<Self>, now: Instant) {
        let Endpoint::Tcp(tcp) = &*self.endpoint else {
            return self.try_next(now);
        };
        if let Host::Ip(ip) = tcp.host {
            self.state.lock().untried = VecDeque::from([SocketAddr::new(ip, tcp.port)]);
            return self.try_next(now);
        }
        let (dialer, request) = (Arc::clone(self), TcpEndpoint::clone(tcp));
        let resolve = move || {
            let addresses = transport::resolve(&request, &dialer.config.options.transport);
            dialer.handle_resolved(addresses);
        };
        if self.reactor.resolver.submit(Box::new(resolve)).is_err() {
            self.fail(&DisconnectReason::NotResolved("no thread to do it".into()));
        }
    }

    /// Connects to the next address.
    fn try_next(self: &Arc<Self>, now: Instant) {
        let mut last = None;
        loop {
            let mut state = self.state.lock();
            if state.stopped || state.session.is_some() {
                return;
            }
            let target = match &*self.endpoint {
                Endpoint::Tcp(tcp) => {
                    let Some(addr) = state.untried.pop_front() else {
                        break;
                    };
                    Target::Tcp {
                        source: tcp.source,
                        addr,
                    }
                }
                Endpoint::Ipc(_) if last.is_some() => break,
                Endpoint::Ipc(ipc) => Target::Ipc(ipc.clone()),
                Endpoint::Inproc(_) => return,
            };
            let link = state.link.take();
            let started = transport::connect(&target, &self.config.options.transport);
            match started {
                Ok(stream) => match Session::dial(self, stream, link, now) {
                    Ok(session) => {
                        state.session = Some(session);
                        return;
                    }
                    Err((error, link)) => {
                        state.link = link;
                        last = Some(DisconnectReason::Io(error.kind()));
                    }
                },
                Err(error) => {
                    state.link = link;
                    last = Some(DisconnectReason::Io(error.kind()));
                }
            }
        }
        let reason = last.unwrap_or_else(|| DisconnectReason::NotResolved("no addresses".into()));
        self.fail(&reason);
    }

    /// An attempt has ended without a session.
    fn fail(self: &Arc<Self>, reason: &DisconnectReason) {
        let endpoint = Endpoint::clone(&self.endpoint);
        self.config.hooks.emit(Event::ConnectFailed {
            endpoint,
            reason: reason.clone(),
        });
        self.pause(reason);
    }

    /// Waits before the next attempt, or gives up if the options say so.
    fn pause(self: &Arc<Self>, reason: &DisconnectReason) {
        let options = &self.config.options;
        let Some(first) = options.reconnect_interval else {
            return self.stop(false);
        };
        let mut state = self.state.lock();
        if state.stopped {
            return;
        }
        let longest = options.reconnect_interval_max.max(first);
        let mut delay = jitter(backoff(first, longest, state.attempts), random());
        if matches!(reason, DisconnectReason::Refused(_)) {
            delay = delay.max(REFUSED_PAUSE);
        }
        state.attempts += 1;
        self.reactor
            .arm(self.key, &mut state.armed, Instant::now().checked_add(delay));
        drop(state);
        self.config.hooks.emit(Event::Retried {
            endpoint: Endpoint::clone(&self.endpoint),
            delay,
        });
    }
}

impl State {
    /// Tells whether there is nothing left to send.
    fn is_drained(&mut self) -> bool {
        self.link.as_mut().is_none_or(|link| link.end.is_finished())
    }
}

impl Source for Dialer {
    fn handle_ready(self: Arc<Self>, _readiness: Readiness, _scratch: &mut Scratch) {}

    fn handle_timeout(self: Arc<Self>, now: Instant, _scratch: &mut Scratch) {
        self.state.lock().armed = None;
        self.attempt(now);
    }
}

/// The pause before an attempt: doubled each time, up to the longest.
fn backoff(first: Duration, longest: Duration, attempts: u32) -> Duration {
    let factor = 1u32.checked_shl(attempts.min(MAX_DOUBLINGS)).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(longest)
}

/// Takes away up to half of a pause, so that a thousand clients of a server that came back do not come at once.
fn jitter(pause: Duration, random: u64) -> Duration {
    let half = pause / 2;
    let nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
    half + Duration::from_nanos(random.checked_rem(nanos.saturating_add(1)).unwrap_or(0))
}

/// A number that nobody need be able to guess or repeat; the standard library seeds its hashers at random.
fn random() -> u64 {
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pause =
            |attempts| backoff(Duration::from_millis(100), Duration::from_secs(30), attempts).as_millis();
        assert_eq!(
            [0, 1, 2, 8, 9, 31, u32::MAX].map(pause),
            [100, 200, 400, 25_600, 30_000, 30_000, 30_000]
        );
    }

    #[test]
    fn jitter_keeps_between_half_and_all() {
        let pause = Duration::from_millis(100);
        for random in [0, 1, 12_345_678_901, u64::MAX] {
            let jittered = jitter(pause, random);
            assert!(jittered >= pause / 2 && jittered <= pause, "{jittered:?}");
        }
        assert_eq!(jitter(Duration::ZERO, 7), Duration::ZERO);
    }
}
