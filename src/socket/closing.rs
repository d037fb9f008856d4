//! How a socket is closed: what was sent is flushed for as long as linger allows, and the rest is given back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::core::{Attachment, Core, Phase, State, fire_signals};
use crate::Endpoint;
use crate::error::DisconnectReason;
use crate::monitor::Event;
use crate::pattern::Pattern;
use crate::pipe::Wakes;
use crate::reactor::Alarm;
use crate::stats::CloseReport;

impl<P: Pattern> Core<P> {
    /// Begins to close: no verb works any more, connections flush, and an alarm ends it if that takes too long.
    pub(super) fn begin_close(&self, linger: Option<Duration>) {
        let mut state = self.state.lock();
        if state.phase != Phase::Open {
            return;
        }
        state.phase = Phase::Closing;
        state.leaving = true;
        self.context.remove_socket(state.context_key);
        let wakes = state.finish_pipes();
        let signals = state.everybody();
        let (listening, dialing) = state.split_endpoints();
        drop(state);
        wakes.fire();
        for attachment in listening {
            self.leave(&attachment);
        }
        for dialer in dialing {
            dialer.finish();
        }
        match linger {
            Some(linger) if linger.is_zero() => self.expire(),
            Some(linger) => self.set_alarm(linger),
            None => {}
        }
        self.state.lock().leaving = false;
        self.check_closed();
        // Whoever is told may drop the last handle, which waits until all of this is done.
        fire_signals(signals);
    }

    /// Gives up an endpoint that others may come through.
    pub(super) fn leave(&self, attachment: &Attachment) {
        match attachment {
            Attachment::Listener(listener) => listener.unbind(),
            Attachment::InprocName(name) => {
                if let Some(myself) = self.myself.upgrade() {
                    self.context.names.unbind(name, &(myself as _));
                }
                self.journal.record(Event::Closed {
                    endpoint: Endpoint::Inproc(name.clone()),
                });
            }
            Attachment::Dialer { dialer, .. } => dialer.stop(false),
            Attachment::InprocPipe { endpoint, .. } => {
                if let Endpoint::Inproc(name) = endpoint {
                    self.context.names.prune(name);
                }
            }
        }
    }

    /// If nothing is left to flush, the socket is closed.
    pub(super) fn check_closed(&self) {
        let mut state = self.state.lock();
        if state.phase != Phase::Closing || state.leaving || state.pipes.len() > 0 {
            return;
        }
        state.phase = Phase::Closed;
        // The dialers, sessions and their socket hold each other; this lets them go.
        let endpoints = std::mem::take(&mut state.endpoints);
        let alarm = state.linger.take();
        let returned = state.returned.len() as u64;
        let signals = state.watchers.tell_all();
        drop(state);
        drop((endpoints, alarm));
        self.journal.record(Event::SocketClosed { returned });
        self.journal.end();
        fire_signals(signals);
    }

    /// Returns the report once the socket is closed.
    pub(super) fn report(&self) -> Option<CloseReport> {
        let mut state = self.state.lock();
        if state.phase != Phase::Closed {
            return None;
        }
        let mut total = state.gone.clone();
        total.merge(&state.pipes.tally().stray);
        Some(CloseReport {
            returned: std::mem::take(&mut state.returned),
            total,
        })
    }

    /// Blocks until the socket is closed.
    pub(super) fn wait_closed(&self) -> CloseReport {
        self.wait_for(|state| &mut state.watchers, |_| None, None, || self.report())
            .unwrap_or_default()
    }

    fn set_alarm(&self, linger: Duration) {
        let Some(reactor) = self.reactor.get() else {
            return self.expire();
        };
        let Some(at) = Instant::now().checked_add(linger) else {
            return;
        };
        let core = self.myself.clone();
        let alarm = Alarm::set(reactor, at, move || {
            if let Some(core) = core.upgrade() {
                core.expire();
            }
        });
        let mut state = self.state.lock();
        if state.phase == Phase::Closing {
            state.linger = Some(alarm);
        }
    }

    /// Linger is over: what is not written by now is given back.
    fn expire(&self) {
        let mut state = self.state.lock();
        let dialers = state.split_endpoints().1;
        let sessions: Vec<_> = state
            .peers
            .values()
            .filter_map(|peer| peer.session.clone())
            .collect();
        drop(state);
        for dialer in dialers {
            dialer.stop(true);
        }
        for session in sessions {
            session.close(DisconnectReason::Local);
        }
        self.check_closed();
    }
}

impl<P: Pattern> State<P> {
    /// Tells every peer that nothing more will come. An inproc peer can read what is there without this socket.
    fn finish_pipes(&mut self) -> Wakes {
        let mut wakes = Wakes::new();
        for key in self.pipes.keys() {
            let Some(peer) = self.peers.get(&key) else {
                continue;
            };
            let (gone, inproc) = (peer.gone, matches!(*peer.endpoint, Endpoint::Inproc(_)));
            let Some(end) = self.pipes.get_mut(key) else {
                continue;
            };
            if gone {
                // Only what it had sent kept the pipe here, and nobody will receive that any more.
                self.remove_pipe(key);
            } else if inproc {
                wakes.extend(end.close().into_iter().flatten());
                self.remove_inproc_pipe(key);
            } else {
                wakes.extend(end.finish());
            }
        }
        wakes
    }

    /// Forgets an inproc pipe whose end is closed. Its peer reads what is there without this socket; if there is no
    /// peer, because nobody has bound the name, what was sent has nowhere to go.
    pub(super) fn remove_inproc_pipe(&mut self, key: usize) {
        if !self.peers.get(&key).is_some_and(|peer| peer.connected) {
            self.write_off(key);
        }
        let before = self.gone.queued;
        self.remove_pipe(key);
        self.gone.handed.messages += self.gone.queued - before;
        self.gone.queued = before;
    }

    /// The endpoints that others come through, taken out, and the dialers, which stay.
    fn split_endpoints(&mut self) -> (Vec<Attachment>, Vec<Arc<crate::reactor::Dialer>>) {
        let all = std::mem::take(&mut self.endpoints);
        let (dialing, listening): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|attachment| matches!(attachment, Attachment::Dialer { .. }));
        let dialers = dialing.iter().filter_map(|attachment| match attachment {
            Attachment::Dialer { dialer, .. } => Some(Arc::clone(dialer)),
            _ => None,
        });
        let dialers = dialers.collect();
        self.endpoints = dialing;
        (listening, dialers)
    }
}

/// The last handle of a socket: closes it when it goes.
pub(super) struct Handle<P: Pattern>(pub(super) Arc<Core<P>>);

impl<P: Pattern> Handle<P> {
    /// Messages that were never delivered, and the counters of the socket's life.
    pub(super) fn close(&self, linger: Option<Duration>) -> CloseReport {
        self.0.begin_close(linger);
        self.0.wait_closed()
    }
}

impl<P: Pattern> Drop for Handle<P> {
    /// Flushes for at most the linger time, so that a message sent just before the end of `main` is not lost. A panic
    /// is not held up: then the I/O thread flushes, as long as the process lives.
    fn drop(&mut self) {
        self.0.begin_close(self.0.options.linger);
        if !std::thread::panicking() {
            self.0.wait_closed();
        }
    }
}
