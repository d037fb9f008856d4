//! Name resolution off the I/O thread: the system's resolver blocks, for seconds if it must.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread;

use super::dialer::Dialer;
use crate::TcpEndpoint;
use crate::sync::Mutex;
use crate::transport;

/// Threads that resolve at once. A slow name server then delays other names too, but a thousand endpoints do not
/// become a thousand threads. Each dialer has at most one request in the queue.
const MAX_THREADS: usize = 4;

/// Requests, and the threads that come when there are some and go when there are none.
#[derive(Default)]
pub(crate) struct Resolver {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    requests: VecDeque<(Arc<Dialer>, TcpEndpoint)>,
    threads: usize,
}

impl Resolver {
    /// Resolves the host of `endpoint` and tells the dialer.
    pub(super) fn request(self: &Arc<Self>, dialer: Arc<Dialer>, endpoint: TcpEndpoint) -> io::Result<()> {
        let mut state = self.state.lock();
        state.requests.push_back((dialer, endpoint));
        if state.threads < MAX_THREADS {
            let resolver = Arc::clone(self);
            let spawned = thread::Builder::new()
                .name("aqueduct-dns".into())
                .spawn(move || resolver.run());
            if spawned.is_err() && state.threads == 0 {
                state.requests.pop_back();
            }
            spawned?;
            state.threads += 1;
        }
        Ok(())
    }

    fn run(&self) {
        loop {
            let mut state = self.state.lock();
            let Some((dialer, endpoint)) = state.requests.pop_front() else {
                state.threads -= 1;
                return;
            };
            drop(state);
            let addresses = transport::resolve(&endpoint, &dialer.config().options.transport);
            dialer.handle_resolved(addresses);
        }
    }
}
