//! A cable between two tcp sockets that can be cut so that neither end hears of it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

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
                    thread::spawn(move || forward(from.ok()?, to.ok()?, &state));
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

fn forward(mut from: TcpStream, mut to: TcpStream, cut: &AtomicBool) -> Option<()> {
    let mut buffer = [0; 4096];
    loop {
        let count = from.read(&mut buffer).ok()?;
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
