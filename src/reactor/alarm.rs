//! An alarm: calls back once, at a time, on whichever thread drives.

use std::sync::Arc;
use std::time::Instant;

use super::event_loop::Scratch;
use super::{Reactor, Readiness, Source};
use crate::sync::Mutex;

type Call = Box<dyn FnOnce() + Send>;

/// A call that is to be made at a time, unless the alarm is dropped before.
pub(crate) struct Alarm {
    reactor: Arc<Reactor>,
    bell: Arc<Bell>,
}

struct Bell {
    key: usize,
    state: Mutex<(Option<Call>, Option<Instant>)>,
}

impl Alarm {
    pub(crate) fn set(reactor: &Arc<Reactor>, at: Instant, call: impl FnOnce() + Send + 'static) -> Self {
        let call: Call = Box::new(call);
        let bell = reactor.insert(|key| {
            Arc::new(Bell {
                key,
                state: Mutex::new((Some(call), None)),
            })
        });
        // Without the thread, an alarm still goes off while somebody waits; there is no more that could be done.
        let _ = reactor.start_thread();
        reactor.arm(bell.key, &mut bell.state.lock().1, Some(at));
        Self {
            reactor: Arc::clone(reactor),
            bell,
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let mut state = self.bell.state.lock();
        self.reactor.remove(self.bell.key, &mut state.1);
        let call = state.0.take();
        drop(state);
        drop(call);
    }
}

impl Source for Bell {
    fn handle_ready(self: Arc<Self>, _readiness: Readiness, _scratch: &mut Scratch) {}

    fn handle_timeout(self: Arc<Self>, _now: Instant, _scratch: &mut Scratch) {
        let mut state = self.state.lock();
        state.1 = None;
        let call = state.0.take();
        drop(state);
        if let Some(call) = call {
            call();
        }
    }
}
