//! Crowds: one PUB with a thousand SUBs, then one ROUTER with five thousand DEALERs, with every message accounted for.
//!
//! The one socket has a process to itself. The many are in another, in one context with one I/O thread, and one thread of the application waits
//! for all of them with a poller. No queue is given more than it holds, so nothing may be lost: each message that comes is
//! checked to be the one that is due, and at the end the counters of both processes have to add up.

mod answering;
mod publishing;

use std::time::Duration;

use aqueduct::{Interest, PollError, Pollable, Poller, ReadyList, SocketStats};

use crate::Outcome;
use crate::child::Child;
use aqueduct_bench_shared::arguments::Arguments;
use aqueduct_bench_shared::figures::{self, Spread, thousands};

pub(crate) use answering::{dealers, router};
pub(crate) use publishing::{publisher, subscribers};

/// The bodies, in both parts.
const SIZE: usize = 64;

/// How many messages wait for one peer at most, at either end: the default.
const QUEUE: usize = 1000;

const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn run(mut arguments: Arguments) -> Outcome<()> {
    let subscribers: usize = arguments.option("--subscribers", 1000)?;
    let dealers: usize = arguments.option("--dealers", 5000)?;
    let rounds: usize = arguments.option("--rounds", 5)?;
    let write = arguments.flag("--write");
    arguments.finish(crate::USAGE)?;
    if subscribers == 0 || dealers == 0 || rounds == 0 {
        return Err("there is no crowd of none".into());
    }
    if write && rounds < 5 {
        return Err("figures to keep come from 5 rounds or more".into());
    }
    let mut texts = Vec::new();
    for (part, count) in [("publisher", subscribers), ("router", dealers)] {
        let worker = Child::start(&[part, &count.to_string(), &rounds.to_string()])?;
        texts.push(worker.line(PATIENCE)?);
    }
    let text = texts.join("\n\n");
    println!("{text}");
    if write {
        figures::write("docs/BENCHMARKS.md", "crowd", &text)?;
    }
    Ok(())
}

/// What is to be told of a socket and its crowd.
struct Findings {
    peers: usize,
    /// Heap of the process with the one socket: before the crowd came, when all had come, and after the last round.
    heap: [i64; 3],
    /// Messages that arrived in each second, by round.
    rates: Vec<f64>,
    near: Sums,
    far: Sums,
}

impl Findings {
    fn describe(&self) -> Outcome<String> {
        let [alone, idle, after] = self.heap;
        let each = |heap: i64| thousands((heap - alone) as f64 / self.peers as f64);
        let rates = Spread::of(self.rates.iter().copied()).ok_or("no rounds")?;
        let Sums { sent, received, peak } = self.near;
        Ok(format!(
            "{} deliveries/s. The one socket counts {} messages sent and {} received, the many {} received and {} sent; \
             none was dropped, and the longest queue held {} of {}. Heap of the one socket's process for each peer: {} \
             bytes when all were there, {} bytes after the last round.",
            rates.show(thousands),
            thousands(sent as f64),
            thousands(received as f64),
            thousands(self.far.received as f64),
            thousands(self.far.sent as f64),
            thousands(peak as f64),
            thousands(QUEUE as f64),
            each(idle),
            each(after),
        ))
    }
}

/// What the sockets of one side have counted. Subscriptions travel as messages, and count as such.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    sent: u64,
    received: u64,
    /// The most messages that ever waited to be sent to one peer.
    peak: u64,
}

impl Sums {
    /// Adds up the counters of some sockets, none of which may have dropped anything or have anything left.
    fn of(sockets: impl Iterator<Item = SocketStats>) -> Outcome<Self> {
        let mut sums = Self::default();
        for stats in sockets {
            let total = stats.total;
            if !total.adds_up() || total.accepted.messages != total.handed.messages || total.unread > 0 {
                return Err(format!("the counters do not add up, or show a loss: {total:?}").into());
            }
            sums.sent += total.handed.messages;
            sums.received += total.received.messages + total.discarded;
            sums.peak = sums.peak.max(total.queued_peak);
        }
        Ok(sums)
    }

    /// Tells the parent process.
    fn print(&self) {
        println!("{} {} {}", self.sent, self.received, self.peak);
    }

    /// Reads what the other process says, and compares it with what is known here.
    fn of_crowd(child: &Child, near: Self) -> Outcome<Self> {
        let line = child.line(PATIENCE)?;
        let numbers: Vec<u64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let [sent, received, peak] = numbers[..] else {
            return Err(format!("not three sums: {line}").into());
        };
        let far = Self { sent, received, peak };
        if (near.sent, near.received) != (far.received, far.sent) {
            return Err(format!("the two ends disagree: {near:?} here, {far:?} there").into());
        }
        Ok(far)
    }
}

/// The number that the other process prints next.
fn number(child: &Child) -> Outcome<u64> {
    Ok(child.line(PATIENCE)?.parse()?)
}

/// Many sockets that one thread receives from.
struct Crowd<S> {
    sockets: Vec<S>,
    poller: Poller,
    ready: ReadyList,
}

impl<S: Pollable> Crowd<S> {
    fn new(sockets: Vec<S>) -> Result<Self, PollError> {
        let poller = Poller::new();
        for (key, socket) in sockets.iter().enumerate() {
            poller.add(socket, key, Interest::READABLE)?;
        }
        Ok(Self {
            sockets,
            poller,
            ready: ReadyList::default(),
        })
    }

    /// Has `take` take what it can from each socket that has something, until so many messages were taken.
    fn receive(
        &mut self,
        mut missing: usize,
        mut take: impl FnMut(usize, &S) -> Outcome<usize>,
    ) -> Outcome<()> {
        while missing > 0 {
            if self.poller.wait(&mut self.ready, Some(PATIENCE)) == 0 {
                return Err(format!("{missing} messages did not come").into());
            }
            for key in self.ready.iter().map(aqueduct::Ready::key) {
                let took = take(key, &self.sockets[key])?;
                missing = missing.checked_sub(took).ok_or("more came than was sent")?;
            }
        }
        Ok(())
    }
}
