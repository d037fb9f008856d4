//! Three tasks share the work of a fourth, with async calls: `cargo run --example push_pull_async`. Tokio runs them;
//! any executor would do, since the sockets bring their own I/O thread and only ever call the task's waker.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use aqueduct::{Pull, Push};

const COUNT: u64 = 3000;
const WORKERS: usize = 3;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let jobs = Push::new();
    let jobs_at = jobs.bind("tcp://127.0.0.1:0")?;
    let results = Pull::new();
    let results_at = results.bind("tcp://127.0.0.1:0")?;

    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        let (input, output) = (Pull::new(), Push::new());
        input.connect(&jobs_at)?;
        output.connect(&results_at)?;
        // A clone is another handle to the same socket, here to end the worker's wait from outside.
        let handle = input.clone();
        let worker = tokio::spawn(async move {
            let mut done = 0u64;
            // The only error is that the socket was closed: the end of the work.
            while let Ok(job) = input.recv_async().await {
                output.send_async(job).await?;
                done += 1;
            }
            Outcome::Ok(done)
        });
        workers.push((handle, worker));
    }
    // So that each of them gets a share: the first to come would be given everything until the next one comes.
    jobs.wait_for_peers_async(WORKERS).await?;

    let feeder = tokio::spawn(async move {
        for job in 0..COUNT {
            jobs.send_async(job.to_le_bytes()).await?;
        }
        Outcome::Ok(jobs.close_async().await)
    });
    let mut sum = 0;
    for _ in 0..COUNT {
        sum += u64::from_le_bytes(results.recv_async().await?[0][..].try_into()?);
    }
    assert_eq!(feeder.await??.total.handed.messages, COUNT);
    assert_eq!(sum, (0..COUNT).sum(), "each job came back once");
    for (handle, worker) in workers {
        handle.close_async().await;
        println!("a worker did {} of {COUNT} jobs", worker.await??);
    }
    Ok(())
}
