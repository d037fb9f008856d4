//! The sink: merges what the workers counted, tells the ventilator how far they are, and in the end the result.

use std::time::Duration;

use aqueduct::{Message, Pull, Push, RecvError};

use crate::counts::Counts;
use crate::{IDLE, Outcome, PATIENCE};

/// What the ventilator sends when there is nothing more to come.
pub(crate) const END: &str = "end";

pub(crate) fn run(reports_at: &str) -> Outcome<()> {
    let results = Pull::new();
    let endpoint = results.bind("tcp://127.0.0.1:0")?;
    let reports = Push::new();
    reports.connect(reports_at)?;
    reports.wait_for_peers(1, PATIENCE)?;
    reports.send(endpoint.to_string())?;

    let mut counts = Counts::default();
    let mut ended = false;
    loop {
        match results.recv_timeout(IDLE) {
            Ok(message) if message == END => ended = true,
            Ok(message) => {
                let [name, lines, table] = message.frames() else {
                    return Err("this is not from a worker".into());
                };
                counts.merge(table)?;
                reports.send([name.clone(), lines.clone()].into_iter().collect::<Message>())?;
            }
            Err(RecvError::Closed) => return Err("the socket was closed".into()),
            // Tables that workers sent before they were killed may come behind the word that it is over.
            Err(RecvError::Timeout) if ended => break,
            Err(RecvError::Timeout) => {
                reports
                    .wait_for_peers(1, Duration::ZERO)
                    .map_err(|_| "the ventilator is gone")?;
            }
        }
    }
    reports.send(counts.encode())?;
    match reports.close().returned.len() {
        0 => Ok(()),
        _ => Err("the result could not be handed in".into()),
    }
}
