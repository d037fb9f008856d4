//! A worker: counts the words of the lines that it is sent, and hands in its counts now and then.

use aqueduct::{Message, Pull, Push, RecvError};

use crate::counts::Counts;
use crate::{IDLE, NAME, Outcome, PATIENCE};

/// Lines after which counts are handed in. So many take their table with them if the worker is killed; fewer, and the
/// sink is busy with tables.
const LINES_PER_TABLE: u64 = 10_000;

pub(crate) fn run(lines_at: &str, results_at: &str) -> Outcome<()> {
    let name = std::process::id().to_string();
    let results = Push::new();
    results.connect(results_at)?;
    results.wait_for_peers(1, PATIENCE)?;

    let lines = Pull::builder().property(NAME, name.clone())?.build();
    lines.connect(lines_at)?;
    lines.wait_for_peers(1, PATIENCE)?;

    let (mut counts, mut uncounted) = (Counts::default(), 0);
    loop {
        // The order matters: whatever the ventilator sent before it went has come in by now.
        let connected = lines.wait_for_peers(1, std::time::Duration::ZERO).is_ok();
        let idle = loop {
            match lines.recv_timeout(IDLE) {
                Ok(line) => counts.count(&line[0]),
                Err(RecvError::Timeout) => break true,
                Err(RecvError::Closed) => return Err("the socket was closed".into()),
            }
            uncounted += 1;
            if uncounted >= LINES_PER_TABLE {
                break false;
            }
        };
        if uncounted > 0 {
            let table = [
                name.clone().into_bytes(),
                uncounted.to_string().into(),
                counts.encode(),
            ];
            results.send(table.into_iter().collect::<Message>())?;
            uncounted = 0;
        }
        if idle && !connected {
            break;
        }
    }
    match results.close().returned.len() {
        0 => Ok(()),
        lost => Err(format!("{lost} tables of counts could not be handed in").into()),
    }
}
