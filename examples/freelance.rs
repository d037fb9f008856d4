//! A client that knows several servers and no broker: it asks the next one if one is gone, or silent.
//!
//! `cargo run --example freelance`

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use aqueduct::{Endpoint, Rep, Req};

const REQUESTS: usize = 10;
/// How long a server may take before the next one is asked.
const TURN: Duration = Duration::from_millis(250);
/// As often is asked again, going round the servers: for some ten seconds, if need be.
const RESENDS: usize = 40;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome<()> {
    // One server that is not there, one that takes requests and never answers, and two that do their work.
    let absent = Rep::new();
    let absent_at = absent.bind("ipc://*")?;
    absent.close();
    let silent = Rep::new();
    let silent_at = silent.bind("tcp://127.0.0.1:0")?;
    let (first, first_at, first_thread) = start("first")?;
    let (second, second_at, second_thread) = start("second")?;

    let client = Req::builder()
        .reply_timeout(Some(TURN))
        .resends(RESENDS)
        .immediate(true) // nothing is queued for a server that is not there
        .build();
    for endpoint in [&absent_at, &silent_at, &first_at, &second_at] {
        client.connect(endpoint)?;
    }

    for _ in 0..REQUESTS {
        let reply = client.request("who is there?")?;
        println!("{} answers", reply[0].as_str()?);
        assert!(reply == "first" || reply == "second");
    }
    first.close();
    for _ in 0..REQUESTS {
        // A request that was on its way to the server that has just gone is asked again at once, without waiting.
        assert_eq!(client.request("who is left?")?, "second");
    }
    second.close();
    let served = [first_thread, second_thread].map(JoinHandle::join);
    let mut total = 0;
    for served in served {
        total += served.map_err(|_| "a server panicked")??;
    }
    // A server that was slow once may have answered for nothing: work of this kind has to bear being done twice.
    assert!(total >= 2 * REQUESTS);
    println!(
        "{} requests were answered, while {} got no answer",
        2 * REQUESTS,
        silent.stats().total.unread
    );
    Ok(())
}

/// Starts a server that tells its name to who asks.
fn start(name: &'static str) -> Outcome<(Rep, Endpoint, JoinHandle<Outcome<usize>>)> {
    let rep = Rep::new();
    let endpoint = rep.bind("tcp://127.0.0.1:0")?;
    let handle = rep.clone();
    let server = thread::spawn(move || {
        let mut served = 0;
        while let Ok((_, reply)) = rep.recv() {
            // Who asked may have lost patience, and be gone.
            served += usize::from(reply.send(name).is_ok());
        }
        Ok(served)
    });
    Ok((handle, endpoint, server))
}
