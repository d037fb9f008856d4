//! One PUB, many SUBs: every message goes to all of them, as many in a row as a queue holds.

use aqueduct::{Pub, Sub, TryRecvError};

use super::{Crowd, Findings, PATIENCE, QUEUE, SIZE, Sums, number};
use crate::child::{Child, wait_for_parent};
use crate::{Outcome, heap, idle};
use aqueduct_bench_shared::arguments::Arguments;
use aqueduct_bench_shared::clock;
use aqueduct_bench_shared::figures::thousands;
use aqueduct_bench_shared::payload::{Checker, Payload};

/// The process with the one socket: prints what there is to tell.
pub(crate) fn publisher(mut arguments: Arguments) -> Outcome<()> {
    let count: usize = arguments.parse()?;
    let rounds: usize = arguments.parse()?;
    idle::allow_files(count as u64)?;
    heap::start_counting();
    let publisher = Pub::builder().send_hwm(QUEUE).build();
    let endpoint = publisher.bind("tcp://127.0.0.1:0")?.to_string();
    let mut crowd = Child::start(&["subscribers", &count.to_string(), &endpoint, &rounds.to_string()])?;
    let alone = heap::live();
    publisher.wait_for_subscribers("", count, PATIENCE)?;
    let idle = heap::live();
    let mut payload = Payload::new(SIZE);
    let mut rates = Vec::new();
    for _ in 0..rounds {
        let start = clock::now();
        for _ in 0..QUEUE {
            publisher.send(payload.next_body().bytes())?;
        }
        let nanos = number(&crowd)? - start;
        rates.push((count * QUEUE) as f64 * 1e9 / nanos as f64);
    }
    let heap = [alone, idle, heap::live()];
    let near = Sums::of([publisher.stats()].into_iter())?;
    let far = Sums::of_crowd(&crowd, near)?;
    crowd.go_on()?;
    let findings = Findings {
        peers: count,
        heap,
        rates,
        near,
        far,
    };
    println!(
        "1 PUB and {} SUBs over tcp, {rounds} rounds of {} messages of {SIZE} bytes to all of them: {}",
        thousands(count as f64),
        thousands(QUEUE as f64),
        findings.describe()?
    );
    Ok(())
}

/// The other process: says after each round when its last message had come.
pub(crate) fn subscribers(mut arguments: Arguments) -> Outcome<()> {
    let count: usize = arguments.parse()?;
    let endpoint = arguments.word().unwrap_or_default();
    let rounds: usize = arguments.parse()?;
    idle::allow_files(count as u64)?;
    let mut sockets = Vec::new();
    for _ in 0..count {
        let subscriber = Sub::builder().recv_hwm(QUEUE).build();
        subscriber.subscribe("")?;
        subscriber.connect(endpoint.as_str())?;
        sockets.push(subscriber);
    }
    let mut checkers: Vec<_> = (0..count).map(|_| Checker::new(SIZE)).collect();
    let mut crowd = Crowd::new(sockets)?;
    for _ in 0..rounds {
        crowd.receive(count * QUEUE, |key, subscriber| {
            take_all(subscriber, &mut checkers[key])
        })?;
        println!("{}", clock::now());
    }
    Sums::of(crowd.sockets.iter().map(Sub::stats))?.print();
    wait_for_parent()
}

/// Receives all that is here; returns how much that was.
fn take_all(subscriber: &Sub, checker: &mut Checker) -> Outcome<usize> {
    for count in 0.. {
        match subscriber.try_recv() {
            Ok(message) => {
                let body = message.as_single().ok_or("a message of many frames")?;
                if checker.check(body)? {
                    return Err("an end that nobody sent".into());
                }
            }
            Err(TryRecvError::Empty) => return Ok(count),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(0)
}
