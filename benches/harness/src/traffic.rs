//! The loops that are timed, the same for whoever is measured.

use std::time::Duration;

use aqueduct_bench_shared::clock;
use aqueduct_bench_shared::payload::{Body, Checker, Payload};

use crate::Outcome;

/// Where messages go, one call for each.
pub(crate) trait Sink {
    fn send(&mut self, body: &Body<'_>) -> Outcome<()>;

    /// Lets go of what was kept back to be sent together, for those who need to be told.
    fn flush(&mut self) -> Outcome<()> {
        Ok(())
    }
}

/// Where messages come from, one call for each.
pub(crate) trait Source {
    fn recv<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Outcome<T>;
}

/// What one end of a stream did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tally {
    pub(crate) messages: u64,
    /// When the first message was about to be sent, or the last was received.
    pub(crate) moment: u64,
}

/// Sends for a while, and then the end.
pub(crate) fn send_for(sink: &mut impl Sink, size: usize, time: Duration) -> Outcome<Tally> {
    // Looking at the clock costs as much as a small message.
    let between_looks = (64 * 1024 / size).clamp(1, 256);
    let mut payload = Payload::new(size);
    let moment = clock::now();
    let deadline = moment + nanoseconds(time);
    while clock::now() < deadline {
        for _ in 0..between_looks {
            sink.send(&payload.next_body())?;
        }
    }
    sink.send(&payload.end())?;
    sink.flush()?;
    Ok(Tally {
        messages: payload.sent(),
        moment,
    })
}

/// Receives and checks all messages up to the end.
pub(crate) fn recv_all(source: &mut impl Source, size: usize) -> Outcome<Tally> {
    let mut checker = Checker::new(size);
    while !source.recv(|body| checker.check(body))?? {}
    Ok(Tally {
        messages: checker.received(),
        moment: clock::now(),
    })
}

/// Sends messages and waits for the answer to each; returns how long each took, in nanoseconds.
pub(crate) fn ask(
    sink: &mut impl Sink,
    source: &mut impl Source,
    size: usize,
    time: Duration,
) -> Outcome<Vec<u64>> {
    let mut payload = Payload::new(size);
    let mut checker = Checker::new(size);
    let mut times = Vec::with_capacity(1 << 20);
    let mut before = clock::now();
    let deadline = before + nanoseconds(time);
    while before < deadline {
        sink.send(&payload.next_body())?;
        sink.flush()?;
        if source.recv(|body| checker.check(body))?? {
            return Err("the end came too early".into());
        }
        let after = clock::now();
        times.push(after - before);
        before = after;
    }
    sink.send(&payload.end())?;
    sink.flush()?;
    Ok(times)
}

/// Answers each message with one of its own, up to the end.
pub(crate) fn answer(sink: &mut impl Sink, source: &mut impl Source, size: usize) -> Outcome<Tally> {
    let mut payload = Payload::new(size);
    let mut checker = Checker::new(size);
    while !source.recv(|body| checker.check(body))?? {
        sink.send(&payload.next_body())?;
        sink.flush()?;
    }
    Ok(Tally {
        messages: checker.received(),
        moment: clock::now(),
    })
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
