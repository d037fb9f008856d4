//! An event bus within a program: whoever likes publishes an event, and functions are called that have asked for its kind.
//!
//! `cargo run --example event_bus`

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::sync::mpsc;
use std::time::Duration;

use aqueduct::{Context, Message, Pub, Registration, Sub};

const ORDERS: usize = 100;
const PATIENCE: Duration = Duration::from_secs(20);

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The bus is a publisher; each function has a subscriber of its own, so that a slow one holds up no other.
struct Bus {
    context: Context,
    publisher: Pub,
}

impl Bus {
    fn new() -> Outcome<Self> {
        let context = Context::new(1); // names within it are the bus's own
        let publisher = Pub::builder().context(&context).build();
        publisher.bind("inproc://bus")?;
        Ok(Self { context, publisher })
    }

    /// Has a function called with each event whose name begins with `kind`, until what is returned is dropped.
    fn on(&self, kind: &str, call: impl FnMut(Message) + Send + 'static) -> Outcome<Registration> {
        let subscriber = Sub::builder().context(&self.context).build();
        subscriber.subscribe(kind)?;
        let before = self.publisher.subscribers(kind);
        subscriber.connect("inproc://bus")?;
        self.publisher.wait_for_subscribers(kind, before + 1, PATIENCE)?;
        Ok(subscriber.on_message(call)?)
    }

    fn emit(&self, event: &str, body: &str) -> Outcome<()> {
        Ok(self.publisher.send(Message::from_iter([event, body]))?)
    }
}

fn main() -> Outcome<()> {
    let bus = Bus::new()?;
    let (seen, events) = mpsc::channel();
    let tell = |who: &'static str| {
        let seen = seen.clone();
        move |event: Message| {
            let _ = seen.send((who, event));
        }
    };
    let billing = bus.on("order.paid", tell("billing"))?;
    let archive = bus.on("order.", tell("archive"))?;

    for order in 0..ORDERS {
        let order = order.to_string();
        bus.emit("order.placed", &order)?;
        bus.emit("order.paid", &order)?;
        bus.emit("stock.low", &order)?; // nobody has asked for it
    }
    let (mut billed, mut archived) = (Vec::new(), Vec::new());
    for _ in 0..3 * ORDERS {
        match events.recv_timeout(PATIENCE)? {
            ("billing", event) => billed.push(event),
            (_, event) => archived.push(event),
        }
    }
    let order = |event: &Message| event[1].as_str().ok().and_then(|text| text.parse::<usize>().ok());
    assert!(billed.iter().all(|event| event[0] == "order.paid"));
    assert!(
        billed.iter().filter_map(order).eq(0..ORDERS),
        "each, once, and in order"
    );
    assert!(
        archived
            .iter()
            .filter_map(order)
            .eq((0..2 * ORDERS).map(|event| event / 2))
    );

    // What is dropped is not called any more.
    billing.stop()?;
    bus.emit("order.paid", "the last one")?;
    assert_eq!(events.recv_timeout(PATIENCE)?.0, "archive");
    archive.stop()?;
    drop(seen);
    assert!(events.try_recv().is_err());
    println!(
        "{} orders were billed, {} events archived",
        billed.len(),
        archived.len() + 1
    );
    Ok(())
}
