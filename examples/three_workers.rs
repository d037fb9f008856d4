//! A service with three workers that answer requests at the same time, in whatever order they get done.
//!
//! `cargo run --example three_workers`

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use aqueduct::{Rep, Req};

const WORKERS: usize = 3;
const REQUESTS: u64 = 200;
const PATIENCE: Duration = Duration::from_secs(20);

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let service = Rep::new();
    let endpoint = service.bind("tcp://127.0.0.1:0")?;

    // All that it takes to have more workers is more handles: each request goes to one of them.
    let everybody_is_busy = Arc::new(Barrier::new(WORKERS));
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| {
            let (service, meeting) = (service.clone(), Arc::clone(&everybody_is_busy));
            thread::spawn(move || work(&service, &meeting))
        })
        .collect();

    let clients: Vec<_> = (0..WORKERS)
        .map(|_| {
            let endpoint = endpoint.clone();
            thread::spawn(move || -> Outcome<()> {
                let req = Req::builder().reply_timeout(Some(PATIENCE)).build();
                req.connect(&endpoint)?;
                // A worker answers this when each of the others has one in hand, too: one alone never would.
                assert_eq!(req.request("meet")?, "met");
                for number in 0..REQUESTS {
                    let square: u64 = req.request(number.to_string())?[0].as_str()?.parse()?;
                    assert_eq!(square, number * number, "the reply belongs to the request");
                }
                Ok(())
            })
        })
        .collect();
    for client in clients {
        client.join().map_err(|_| "a client panicked")??;
    }

    // To close one handle closes the socket for all of them: the workers go home.
    service.close();
    let mut answered = 0;
    for worker in workers {
        let done = worker.join().map_err(|_| "a worker panicked")??;
        println!("a worker answered {done} requests");
        answered += done;
    }
    assert_eq!(answered, WORKERS as u64 * (REQUESTS + 1));
    Ok(())
}

fn work(service: &Rep, everybody_is_busy: &Barrier) -> Outcome<u64> {
    let mut answered = 0;
    // The only error is that the socket was closed.
    while let Ok((request, reply)) = service.recv() {
        let text = request[0].as_str()?;
        if text == "meet" {
            everybody_is_busy.wait();
            reply.send("met")?;
        } else {
            let number: u64 = text.parse()?;
            reply.send((number * number).to_string())?;
        }
        answered += 1;
    }
    Ok(answered)
}
