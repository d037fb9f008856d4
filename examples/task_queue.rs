//! An async task queue: at most so many tasks are open at once, results come in any order, and what failed is tried again.
//!
//! `cargo run --example task_queue`

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;
use std::error::Error;

use aqueduct::{Dealer, Endpoint, Message, Rep};

const TASKS: u64 = 1000;
/// Tasks that are open at once. It bounds what the queue holds, and what is lost with it.
const OPEN: u64 = 64;
/// Machines that work, and the tasks that each does at once.
const MACHINES: usize = 2;
const AT_ONCE: usize = 4;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let queue = Dealer::new();
    let endpoint = queue.bind("tcp://127.0.0.1:0")?;
    let mut machines = Vec::new();
    for _ in 0..MACHINES {
        machines.push(start_machine(&endpoint)?);
    }
    queue.wait_for_peers_async(MACHINES).await?;

    // A REP returns all that is before the empty frame as it came: the number of the task, and of the attempt.
    let submit = async |task: u64, attempt: u64| {
        let envelope = [
            task.to_string(),
            attempt.to_string(),
            String::new(),
            task.to_string(),
        ];
        queue.send_async(Message::from_iter(envelope)).await
    };
    for task in 0..OPEN {
        submit(task, 1).await?;
    }
    let (mut next, mut retried, mut results) = (OPEN, 0, BTreeMap::new());
    while results.len() < usize::try_from(TASKS)? {
        let message = queue.recv_async().await?;
        let [task, attempt, _, verdict, result] = message.frames() else {
            return Err("not the form of a result".into());
        };
        let (task, attempt) = (task.as_str()?.parse()?, attempt.as_str()?.parse::<u64>()?);
        if verdict != "done" {
            retried += 1;
            submit(task, attempt + 1).await?;
            continue;
        }
        assert!(results.insert(task, result.as_str()?.parse::<u64>()?).is_none());
        if next < TASKS {
            submit(next, 1).await?;
            next += 1;
        }
    }

    assert!(results.iter().all(|(task, cube)| *cube == task.pow(3)));
    let mut failed = 0;
    for (rep, workers) in machines {
        rep.close_async().await;
        for worker in workers {
            failed += worker.await??;
        }
    }
    println!("{TASKS} tasks are done; {retried} attempts had failed");
    assert_eq!(failed, retried, "each failure was heard of, and mended");
    Ok(())
}

type Workers = Vec<tokio::task::JoinHandle<Outcome<u64>>>;

/// Starts tasks that share one socket: as many requests are open at once as there are tasks.
fn start_machine(endpoint: &Endpoint) -> Outcome<(Rep, Workers)> {
    let rep = Rep::new();
    rep.connect(endpoint)?;
    let workers = (0..AT_ONCE).map(|_| tokio::spawn(work(rep.clone()))).collect();
    Ok((rep, workers))
}

/// Works until the socket is closed, and returns how many tasks have failed.
async fn work(rep: Rep) -> Outcome<u64> {
    let mut failed = 0;
    let mut count = 0u64;
    while let Ok((task, reply)) = rep.recv_async().await {
        count += 1;
        // Other tasks go on meanwhile: replies may be sent in any order.
        tokio::task::yield_now().await;
        let number: u64 = task[0].as_str()?.parse()?;
        let result = if count.is_multiple_of(7) {
            failed += 1;
            ["failed".to_owned(), "no luck".to_owned()]
        } else {
            ["done".to_owned(), number.pow(3).to_string()]
        };
        reply.send_async(Message::from_iter(result)).await?;
    }
    Ok(failed)
}
