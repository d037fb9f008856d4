//! A weather service: it publishes reports of several cities, and each subscriber gets those of the city it asked for.
//!
//! `cargo run --example weather`

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::thread;
use std::time::Duration;

use aqueduct::{DropReason, Endpoint, Message, Pub, Sub};

/// A topic is a prefix: without the dot, who asks for "lima" would hear of Limassol, too.
const CITIES: [&str; 4] = ["lima.", "limassol.", "oslo.", "quito."];
/// Nobody asks for the last one.
const ASKED_FOR: usize = 3;
/// Fewer than the high-water mark, so that even a subscriber that never gets to read would miss none.
const REPORTS: i32 = 300;
const PATIENCE: Duration = Duration::from_secs(20);

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let service = Pub::new();
    let endpoint = service.bind("tcp://127.0.0.1:0")?;
    let subscribers: Vec<_> = CITIES[..ASKED_FOR]
        .iter()
        .map(|city| {
            let endpoint = endpoint.clone();
            thread::spawn(move || follow(city, &endpoint))
        })
        .collect();

    // What is published before somebody has subscribed is not for them. So wait, if they are to miss nothing.
    for city in &CITIES[..ASKED_FOR] {
        service.wait_for_subscribers(city, 1, PATIENCE)?;
    }
    for report in 0..REPORTS {
        for (number, city) in (0..).zip(CITIES) {
            service.send(Message::from_iter([
                city,
                &temperature(number, report).to_string(),
            ]))?;
        }
    }
    for city in CITIES {
        service.send(Message::from_iter([city, "end"]))?;
    }

    for (number, subscriber) in (0..).zip(subscribers) {
        let (reports, sum) = subscriber.join().map_err(|_| "a subscriber panicked")??;
        let expected: i32 = (0..REPORTS).map(|report| temperature(number, report)).sum();
        assert_eq!(
            (reports, sum),
            (REPORTS, expected),
            "each report of this city, and of no other"
        );
        println!("{} {} °C on average", CITIES[number as usize], sum / reports);
    }
    // What nobody asks for is not sent at all.
    let dropped = service.stats().total.dropped;
    assert_eq!(dropped.of(DropReason::NoSubscriber), REPORTS as u64 + 1);
    assert_eq!(dropped.total(), REPORTS as u64 + 1);
    Ok(())
}

fn temperature(city: i32, report: i32) -> i32 {
    10 * city + report % 17
}

/// Counts and adds up the reports of a city.
fn follow(city: &str, service: &Endpoint) -> Outcome<(i32, i32)> {
    let subscriber = Sub::new();
    subscriber.subscribe(city)?;
    subscriber.connect(service)?;
    let (mut reports, mut sum) = (0, 0);
    loop {
        let message = subscriber.recv_timeout(PATIENCE)?;
        assert_eq!(message[0], city);
        if message[1] == "end" {
            return Ok((reports, sum));
        }
        reports += 1;
        sum += message[1].as_str()?.parse::<i32>()?;
    }
}
