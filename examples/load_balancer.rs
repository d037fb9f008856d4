//! A broker that gives each request to a worker that has said it is ready, so that a slow one holds up nobody else.
//!
//! ```text
//!   client REQ ──┐                              ┌── DEALER worker
//!   client REQ ──┼── ROUTER  broker  ROUTER ────┼── DEALER worker
//!   client REQ ──┘                              └── DEALER worker
//! ```
//!
//! `cargo run --example load_balancer`

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use aqueduct::{Dealer, Endpoint, Message, Req, RouteError, Router, RoutingId};

const CLIENTS: usize = 5;
const WORKERS: usize = 3;
const REQUESTS: usize = 100;
const PATIENCE: Duration = Duration::from_secs(20);

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let (clients, workers) = (Router::new(), Router::new());
    let clients_at = clients.bind("tcp://127.0.0.1:0")?;
    let workers_at = workers.bind("ipc://*")?;

    // The broker is two threads, one for each direction, and the list of those who are ready between them.
    let (ready, next) = mpsc::channel();
    let forward = thread::spawn({
        let (clients, workers) = (clients.clone(), workers.clone());
        move || forward(&clients, &workers, &next)
    });
    let back = thread::spawn({
        let (clients, workers) = (clients.clone(), workers.clone());
        move || back(&clients, &workers, &ready)
    });

    // Requests come before there is any worker: they wait.
    let (done, finished) = mpsc::channel();
    let callers: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (endpoint, done) = (clients_at.clone(), done.clone());
            thread::spawn(move || ask(&endpoint, &done))
        })
        .collect();

    // The first worker is slow: it says when it begins its first task, and ends it when it is told to.
    let (begin, begun) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let slow = start_worker(&workers_at, move || {
        begin.send(())?;
        Ok(released.recv()?)
    })?;
    begun.recv_timeout(PATIENCE)?;
    let mut team = vec![slow];
    for _ in 1..WORKERS {
        team.push(start_worker(&workers_at, || Ok(()))?);
    }
    for _ in 1..CLIENTS {
        finished.recv_timeout(PATIENCE)?;
    }
    println!("all clients but one are done, while the slow worker still has its first task");
    release.send(())?;
    for caller in callers {
        caller.join().map_err(|_| "a client panicked")??;
    }

    // Closing a socket ends the wait of those who use it.
    clients.close();
    workers.close();
    forward.join().map_err(|_| "the broker panicked")??;
    back.join().map_err(|_| "the broker panicked")??;
    let mut served = Vec::new();
    for (handle, worker) in team {
        handle.close();
        served.push(worker.join().map_err(|_| "a worker panicked")??);
    }
    println!("the workers served {served:?}");
    assert_eq!(served.iter().sum::<usize>(), CLIENTS * REQUESTS);
    // One client had to wait for the slow worker; all requests of the others went elsewhere.
    assert!((1..=REQUESTS).contains(&served[0]));
    Ok(())
}

/// Takes requests when there is a worker for them. Until then they wait in the queues, and in the end their senders wait.
fn forward(clients: &Router, workers: &Router, ready: &Receiver<RoutingId>) -> Outcome<()> {
    while let Ok(worker) = ready.recv() {
        let Ok((client, mut request)) = clients.recv() else {
            break;
        };
        let mut worker = worker;
        // The client's name goes along as the first frame, and comes back so.
        request = [client.as_bytes().into()].into_iter().chain(request).collect();
        // A worker that is gone gives the request back. The next one gets it.
        while let Err(RouteError::Unroutable(back)) = workers.send(&worker, request) {
            (worker, request) = (ready.recv()?, back);
        }
    }
    Ok(())
}

/// Brings replies to the clients that wait for them, and notes who can do more.
fn back(clients: &Router, workers: &Router, ready: &Sender<RoutingId>) -> Outcome<()> {
    while let Ok((worker, message)) = workers.recv() {
        let mut frames = message.into_iter();
        let client = frames.next().unwrap_or_default();
        // A worker begins with an empty message, which is for nobody.
        if !client.is_empty() {
            let client = RoutingId::new(client.into_bytes()).ok_or("no routing id")?;
            // If the client is gone, nobody wants the reply.
            let _ = clients.send(&client, frames.collect::<Message>());
        }
        if ready.send(worker).is_err() {
            break;
        }
    }
    Ok(())
}

/// Starts a worker, which has something to do before its first task is done. Its socket is for ending it.
fn start_worker(
    broker: &Endpoint,
    before: impl FnOnce() -> Outcome<()> + Send + 'static,
) -> Outcome<(Dealer, JoinHandle<Outcome<usize>>)> {
    let dealer = Dealer::new();
    dealer.connect(broker)?;
    let handle = dealer.clone();
    Ok((handle, thread::spawn(move || work(&dealer, before))))
}

fn work(dealer: &Dealer, before: impl FnOnce() -> Outcome<()>) -> Outcome<usize> {
    dealer.send("")?;
    let (mut served, mut before) = (0, Some(before));
    while let Ok(task) = dealer.recv() {
        if let Some(before) = before.take() {
            before()?;
        }
        // Whatever is around the request, its last frame is the client's own word.
        let mut frames = task.into_frames();
        let request = frames.pop().unwrap_or_default();
        frames.push(request.as_str()?.to_uppercase().into());
        dealer.send(frames)?;
        served += 1;
    }
    Ok(served)
}

fn ask(endpoint: &Endpoint, done: &Sender<()>) -> Outcome<()> {
    let req = Req::builder().reply_timeout(Some(PATIENCE)).build();
    req.connect(endpoint)?;
    for _ in 0..REQUESTS {
        assert_eq!(req.request("hello")?, "HELLO");
    }
    Ok(done.send(())?)
}
