//! A log collector: services publish lines under "level.service", and it takes what it wants to see. What nobody wants to
//! see does not leave the service.
//!
//! `cargo run --example log_collector`

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;
use std::error::Error;
use std::thread;
use std::time::Duration;

use aqueduct::{DropReason, Endpoint, Message, Pub, Sub};

const SERVICES: [&str; 3] = ["database", "mail", "web"];
const WANTED: [&str; 3] = ["warning.", "error.", "end."];
const LINES: u64 = 100;
/// Lines that tell what went wrong in a service.
const DETAILS: u64 = 10;
const PATIENCE: Duration = Duration::from_secs(20);

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome<()> {
    // One collector and many services, so it is the collector that binds. A SUB may do so as well as any other socket.
    let collector = Sub::new();
    let endpoint = collector.bind("tcp://127.0.0.1:0")?;
    for topic in WANTED {
        collector.subscribe(topic)?;
    }
    let services: Vec<_> = SERVICES
        .into_iter()
        .map(|service| {
            let endpoint = endpoint.clone();
            thread::spawn(move || serve(service, &endpoint))
        })
        .collect();

    let (mut counts, mut ended) = (BTreeMap::<String, u64>::new(), 0);
    while ended < SERVICES.len() {
        let message = collector.recv_timeout(PATIENCE)?;
        let topic = message[0].as_str()?;
        let (level, service) = topic.split_once('.').ok_or("not the form of a topic")?;
        match level {
            "end" => ended += 1,
            // Something is wrong there: let us have a closer look. Subscriptions may change at any time.
            "error" => collector.subscribe(format!("debug.{service}"))?,
            _ => {}
        }
        *counts.entry(topic.to_owned()).or_default() += 1;
    }
    for service in services {
        service.join().map_err(|_| "a service panicked")??;
    }

    let expected = [
        ("debug.database", DETAILS),
        ("end.database", 1),
        ("end.mail", 1),
        ("end.web", 1),
        ("error.database", 1),
        ("warning.database", LINES / 10),
        ("warning.mail", LINES / 10),
        ("warning.web", LINES / 10),
    ];
    println!("{counts:#?}");
    assert!(
        counts
            .iter()
            .map(|(topic, count)| (topic.as_str(), *count))
            .eq(expected)
    );
    Ok(())
}

/// Logs lines, most of which nobody wants to see; the database has an error, too.
fn serve(service: &str, collector: &Endpoint) -> Outcome<()> {
    let log = Pub::new();
    log.connect(collector)?;
    let write = |level: &str, text: &str| {
        log.send(Message::from_iter([
            format!("{level}.{service}"),
            text.to_owned(),
        ]))
    };
    for topic in WANTED {
        log.wait_for_subscribers(topic, 1, PATIENCE)?;
    }
    for line in 0..LINES {
        write("debug", "nothing happened")?;
        if line % 10 == 0 {
            write("warning", "it is getting late")?;
        }
    }
    if service == "database" {
        write("error", "the disk is full")?;
        // So that there is something to look at when somebody looks.
        log.wait_for_subscribers(format!("debug.{service}"), 1, PATIENCE)?;
        for _ in 0..DETAILS {
            write("debug", "this file is large")?;
        }
    }
    write("end", "")?;
    assert_eq!(
        log.stats().total.dropped.of(DropReason::NoSubscriber),
        LINES,
        "these never left"
    );
    Ok(())
}
