//! A cable between two tcp sockets that can be cut so that neither end hears of it, or make both speak an older ZMTP.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Where a greeting says which 3.x it is about.
const MINOR_VERSION_AT: usize = 11;

/// Forwards connections to an endpoint until it is cut: from then on every byte is swallowed, and nothing is closed. So
/// a peer vanishes whose machine has lost its power.
pub struct Cable {
    endpoint: String,
    cut: Arc<AtomicBool>,
}

impl Cable {
    /// Lays a cable to a tcp endpoint.
    ///
    /// # Panics
    ///
    /// The system has no ports left.
    #[must_use]
    pub fn to(endpoint: &str) -> Self {
        Self::lay(endpoint, false)
    }

    /// Lays a cable to a tcp endpoint that tells each end that the other one speaks ZMTP 3.0.
    ///
    /// # Panics
    ///
    /// The system has no ports left.
    #[must_use]
    pub fn speaking_3_0(endpoint: &str) -> Self {
        Self::lay(endpoint, true)
    }

    fn lay(endpoint: &str, old: bool) -> Self {
        let target = endpoint.trim_start_matches("tcp://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("no port");
        let address = listener.local_addr().expect("bound");
        let cut = Arc::new(AtomicBool::new(false));
        let state = Arc::clone(&cut);
        // The threads end with their connections, or with the test's process.
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(&target) else {
                    return;
                };
                for (from, to) in [(near.try_clone(), far.try_clone()), (Ok(far), Ok(near))] {
                    let state = Arc::clone(&state);
                    thread::spawn(move || forward(from.ok()?, to.ok()?, old, &state));
                }
            }
        });
        Self {
            endpoint: format!("tcp://{address}"),
            cut,
        }
    }

    /// Where to connect to instead.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Cuts it: from now on both ends hear nothing.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, old: bool, cut: &AtomicBool) -> Option<()> {
    let mut buffer = [0; 4096];
    // So far it is to the minor version, if it is to be changed.
    let mut ahead = old.then_some(MINOR_VERSION_AT);
    loop {
        let count = from.read(&mut buffer).ok()?;
        match ahead {
            Some(at) if at < count => {
                buffer[at] = 0;
                ahead = None;
            }
            Some(at) => ahead = Some(at - count),
            None => {}
        }
        let is_cut = cut.load(Ordering::SeqCst);
        if count == 0 {
            if !is_cut {
                let _ = to.shutdown(std::net::Shutdown::Both);
            }
            return None;
        }
        if !is_cut {
            to.write_all(&buffer[..count]).ok()?;
        }
    }
}
