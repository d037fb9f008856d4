//! One known place between publishers and subscribers, and somebody who writes down all that passes.
//!
//! ```text
//!   PUB ──┐                                ┌── SUB "a"
//!         ├── XSUB  proxy  XPUB ───────────┤
//!   PUB ──┘      └─ PUSH ── PULL (capture) └── SUB "b"
//! ```
//!
//! `cargo run --example pubsub_proxy`

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

use aqueduct::{DropReason, Message, Proxy, Pub, Pull, Push, Sub, XPub, XSub};

const MESSAGES: u64 = 200;
const PATIENCE: Duration = Duration::from_secs(20);

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let (front, back) = (XSub::new(), XPub::new());
    let publishers_at = front.bind("tcp://127.0.0.1:0")?;
    let subscribers_at = back.bind("tcp://127.0.0.1:0")?;
    // The record has room for all, for the proxy does not wait for it.
    let record = Pull::builder().recv_hwm(0).build();
    let capture = Push::new();
    capture.connect(record.bind("inproc://record")?)?;
    let proxy = Proxy::new(&front, &back).capture(&capture).spawn()?;

    let publishers = [Pub::new(), Pub::new()];
    let subscribers = [Sub::new(), Sub::new()];
    for publisher in &publishers {
        publisher.connect(&publishers_at)?;
    }
    for (subscriber, topic) in subscribers.iter().zip(["a", "b"]) {
        subscriber.subscribe(topic)?;
        subscriber.connect(&subscribers_at)?;
    }
    // Subscriptions go through the proxy to each publisher.
    for publisher in &publishers {
        publisher.wait_for_subscribers("a", 1, PATIENCE)?;
        publisher.wait_for_subscribers("b", 1, PATIENCE)?;
    }

    for number in 0..MESSAGES {
        for publisher in &publishers {
            for topic in ["a", "b", "c"] {
                publisher.send(Message::from_iter([topic, &number.to_string()]))?;
            }
        }
    }
    for (subscriber, topic) in subscribers.iter().zip(["a", "b"]) {
        let mut sum = 0;
        for _ in 0..2 * MESSAGES {
            let message = subscriber.recv_timeout(PATIENCE)?;
            assert_eq!(message[0], topic);
            sum += message[1].as_str()?.parse::<u64>()?;
        }
        assert_eq!(sum, (0..MESSAGES).sum::<u64>() * 2);
    }
    for publisher in &publishers {
        // What no subscriber behind the proxy wants does not even come to it.
        assert_eq!(
            publisher.stats().total.dropped.of(DropReason::NoSubscriber),
            MESSAGES
        );
    }

    let report = proxy.stop();
    assert_eq!(report.stats.frontend.received.messages, 4 * MESSAGES);
    assert_eq!(report.stats.capture_dropped, 0);
    let mut recorded = 0;
    while recorded < report.stats.captured {
        record.recv_timeout(PATIENCE)?;
        recorded += 1;
    }
    println!("{} messages have passed, {recorded} are recorded", 4 * MESSAGES);
    Ok(())
}
