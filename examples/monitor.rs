//! Watches a socket: who comes, who goes, why, and what the counters say then.
//!
//! `cargo run --example monitor`

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

use aqueduct::{Event, Pull, Push};

const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    let pull = Pull::new();
    let monitor = pull.monitor();
    let endpoint = pull.bind("tcp://127.0.0.1:0")?;

    let push = Push::builder().property("X-Region", "north")?.build();
    push.connect(&endpoint)?;
    push.send("hello")?;
    assert_eq!(pull.recv_timeout(PATIENCE)?, "hello");

    let stats = pull.stats();
    assert_eq!(stats.total.received.messages, 1);
    assert_eq!(stats.total.received.bytes, 5);
    assert_eq!(stats.peers.len(), 1);

    let report = push.close();
    assert_eq!(report.total.handed.messages, 1);

    let mut seen = Vec::new();
    while !matches!(seen.last(), Some(Event::Disconnected { .. })) {
        let event = monitor.recv_timeout(PATIENCE)?;
        match &event {
            Event::Listening { endpoint } => println!("listening at {endpoint}"),
            Event::Accepted { address, .. } => println!("{address} came"),
            Event::HandshakeDone { address, info, .. } => {
                // Whatever a peer says of itself is its own word, not more.
                let region = info.property("X-Region").ok_or("no region")?;
                println!("{address} is a {} in {}", info.socket_type, region.escape_ascii());
            }
            Event::Disconnected { address, reason, .. } => println!("{address} went: {reason}"),
            other => println!("{other:?}"),
        }
        seen.push(event);
    }
    assert!(matches!(seen[0], Event::Listening { .. }));
    assert_eq!(
        seen.len(),
        4,
        "listening, accepted, handshake, disconnected: {seen:?}"
    );
    Ok(())
}
