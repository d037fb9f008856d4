//! Floods: what strangers cost who come in numbers, in memory and in the round trips of an honest pair beside them.
//!
//! The honest pair is a DEALER and a ROUTER of this process; the strangers are another one. Each flood is measured between
//! two quiet spells of the same pair, so that a ratio is of figures that were taken next to each other.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use aqueduct::{Context, Dealer, Message, Pub, Pull, RecvError, Router, SocketStats};

use crate::child::{Child, wait_for_parent};
use crate::idle::{allow_files, resident};
use crate::{Outcome, heap};
use aqueduct_bench_shared::arguments::Arguments;
use aqueduct_bench_shared::figures::thousands;
use aqueduct_bench_shared::zmtp;

/// What a silent peer may cost.
const HEAP_PER_PEER: f64 = 4096.0;

/// What remains after a flood may be so much for each of its peers: what tables have grown by.
const LEFT_PER_PEER: f64 = 512.0;

const PATIENCE: Duration = Duration::from_secs(120);

/// The pause between honest questions, and between the bytes of those who drip.
const PACE: Duration = Duration::from_millis(1);
const DRIP: Duration = Duration::from_secs(1);

pub(crate) fn run(mut arguments: Arguments) -> Outcome<()> {
    let silent: u32 = arguments.option("--silent", 10_000)?;
    let dripping: u32 = arguments.option("--dripping", 1000)?;
    let topics: u32 = arguments.option("--topics", 1_000_000)?;
    let seconds: u64 = arguments.option("--seconds", 20)?;
    arguments.finish(crate::USAGE)?;
    allow_files(u64::from(silent.max(dripping)))?;
    heap::start_counting();
    println!("{}", memory_of_silence(silent)?);
    let time = Duration::from_secs(seconds);
    let honest = Honest::start()?;
    for (name, count) in [("silent", silent), ("dripping", dripping), ("churn", 0)] {
        println!("{}", honest.beside(name, count, time)?);
    }
    println!("{}", subscriptions(topics)?);
    Ok(())
}

/// All at once and at their own pace: what each takes while it is there, and that none is there after its time.
fn memory_of_silence(count: u32) -> Outcome<String> {
    let pull = Pull::builder()
        .max_handshakes(usize::try_from(count)?)
        .handshake_rate(None)
        .build();
    let endpoint = pull.bind("tcp://127.0.0.1:0")?.to_string();
    let before = heap::live();
    let start = Instant::now();
    let strangers = Child::start(&["silent", &count.to_string(), &endpoint])?;
    let mut most = before;
    let mut step = |until: &dyn Fn() -> Outcome<bool>| -> Outcome<()> {
        while !until()? {
            most = most.max(heap::live());
            if start.elapsed() > PATIENCE {
                return Err("the silent peers are still there".into());
            }
            thread::sleep(PACE);
        }
        Ok(())
    };
    step(&|| Ok(ended(&pull.stats()) == u64::from(count)))?;
    let time = start.elapsed();
    let after = heap::live();
    drop(strangers);
    let each = |heap: i64| (heap - before) as f64 / f64::from(count);
    let text = format!(
        "{} silent peers at once: {} bytes of heap each; all were shed after {:.1} s, and {} bytes each remained.",
        thousands(f64::from(count)),
        thousands(each(most)),
        time.as_secs_f64(),
        thousands(each(after)),
    );
    if each(most) > HEAP_PER_PEER || each(after) > LEFT_PER_PEER {
        return Err(format!("too much: {text}").into());
    }
    Ok(text)
}

/// How many connections have ended, for whatever reason.
fn ended(stats: &SocketStats) -> u64 {
    stats.endings.iter().map(|(_, count)| count).sum()
}

/// A ROUTER that answers, and a DEALER that asks.
struct Honest {
    router: Router,
    dealer: Dealer,
    endpoint: String,
}

impl Honest {
    fn start() -> Outcome<Self> {
        // A context of its own each, so that they have a loop each, as two processes would.
        let router = Router::builder().context(&Context::new(1)).build();
        let dealer = Dealer::builder().context(&Context::new(1)).build();
        let endpoint = router.bind("tcp://127.0.0.1:0")?.to_string();
        dealer.connect(&endpoint)?;
        let answering = router.clone();
        thread::spawn(move || {
            loop {
                match answering.recv() {
                    // One that is gone needs no answer.
                    Ok((from, message)) => drop(answering.send(&from, message)),
                    Err(RecvError::Timeout) => {}
                    Err(RecvError::Closed) => return,
                }
            }
        });
        Ok(Self {
            router,
            dealer,
            endpoint,
        })
    }

    /// Asks for so long; returns the middle round trip, and the one that 99 of 100 do not exceed, in nanoseconds.
    fn ask(&self, time: Duration) -> Outcome<[f64; 2]> {
        let start = Instant::now();
        let mut trips = Vec::new();
        while start.elapsed() < time {
            let asked = Instant::now();
            self.dealer
                .send(Message::from("how long?"))
                .map_err(|error| error.to_string())?;
            self.dealer.recv_timeout(PATIENCE)?;
            trips.push(asked.elapsed().as_nanos() as f64);
            thread::sleep(PACE);
        }
        trips.sort_by(f64::total_cmp);
        let at = |share: usize| trips[(trips.len() - 1) * share / 100];
        Ok([at(50), at(99)])
    }

    /// Asks before, during and after a flood.
    fn beside(&self, name: &str, count: u32, time: Duration) -> Outcome<String> {
        let before = self.ask(time / 2)?;
        let ended_before = ended(&self.router.stats());
        let strangers = Child::start(&[name, &count.to_string(), &self.endpoint])?;
        // By the middle of it, tables have the size that they need.
        let first = self.ask(time / 2)?;
        let memory = resident()?;
        let second = self.ask(time / 2)?;
        let slope = (resident()? - memory) as f64 / (time / 2).as_secs_f64() * 3600.0 / 1e6;
        let ended = ended(&self.router.stats()) - ended_before;
        drop(strangers);
        let after = self.ask(time / 2)?;
        let ratio = |at: usize| (first[at] + second[at]) / (before[at] + after[at]);
        Ok(format!(
            "{name} {}: {} connections ended; honest round trips p50 {:.2}×, p99 {:.2}× of the quiet ones ({} and {} ns); \
             resident memory grows by {:.0} MB/h.",
            thousands(f64::from(count)),
            thousands(ended as f64),
            ratio(0),
            ratio(1),
            thousands(f64::midpoint(before[0], after[0])),
            thousands(f64::midpoint(before[1], after[1])),
            slope,
        ))
    }
}

/// One subscriber with more topics than it may have.
fn subscriptions(topics: u32) -> Outcome<String> {
    let publisher = Pub::new();
    let endpoint = publisher.bind("tcp://127.0.0.1:0")?.to_string();
    let before = heap::live();
    let start = Instant::now();
    let stranger = Child::start(&["many-topics", &topics.to_string(), &endpoint])?;
    let mut most = before;
    let limited = || {
        publisher
            .stats()
            .endings
            .iter()
            .any(|(kind, _)| kind.contains("topics"))
    };
    while !limited() {
        most = most.max(heap::live());
        if start.elapsed() > PATIENCE {
            return Err("the subscriber was let have all of its topics".into());
        }
        thread::sleep(PACE);
    }
    let time = start.elapsed();
    drop(stranger);
    Ok(format!(
        "{} topics of one peer: it was disconnected after {:.2} s; the heap had grown by {} bytes at most, and by {} after.",
        thousands(f64::from(topics)),
        time.as_secs_f64(),
        thousands((most - before) as f64),
        thousands((heap::live() - before) as f64),
    ))
}

// ── the other process ──

fn target(arguments: &mut Arguments) -> Outcome<(u32, SocketAddr)> {
    let count = arguments.parse()?;
    let address = zmtp::tcp_address(&arguments.word().unwrap_or_default())?;
    Ok((count, address))
}

/// Connects, and says nothing.
pub(crate) fn silent(mut arguments: Arguments) -> Outcome<()> {
    let (count, address) = target(&mut arguments)?;
    allow_files(u64::from(count))?;
    let streams = (0..count).map(|_| TcpStream::connect(address));
    let streams = streams.collect::<Result<Vec<_>, _>>()?;
    wait_for_parent()?;
    drop(streams);
    Ok(())
}

/// Connects, and says a byte a second; whoever is hung up on connects again.
pub(crate) fn dripping(mut arguments: Arguments) -> Outcome<()> {
    let (count, address) = target(&mut arguments)?;
    allow_files(u64::from(count))?;
    let mut streams: Vec<_> = (0..count)
        .map(|_| TcpStream::connect(address))
        .collect::<Result<_, _>>()?;
    // The first byte of a greeting, and then padding, which may be anything.
    let mut said = 0_usize;
    loop {
        for stream in &mut streams {
            let byte = if said == 0 { 0xff } else { 0 };
            if stream.write_all(&[byte]).is_err() {
                *stream = TcpStream::connect(address)?;
            }
        }
        said = (said + 1) % 9;
        thread::sleep(DRIP);
    }
}

/// Connects, shakes hands and leaves, as fast as it can.
pub(crate) fn churn(mut arguments: Arguments) -> Outcome<()> {
    let (_, address) = target(&mut arguments)?;
    loop {
        // It may be turned away in the middle, and comes again.
        let _ = zmtp::connect(address, "DEALER");
    }
}

/// Subscribes to so many topics.
pub(crate) fn topics(mut arguments: Arguments) -> Outcome<()> {
    let (count, address) = target(&mut arguments)?;
    let mut stream = zmtp::connect(address, "SUB")?;
    let mut said = Vec::new();
    for topic in 0..count {
        let body = format!("\x09SUBSCRIBEtopic {topic:08}");
        said.extend_from_slice(&[zmtp::COMMAND, u8::try_from(body.len())?]);
        said.extend_from_slice(body.as_bytes());
    }
    match stream.write_all(&said) {
        Ok(()) => drop(stream.read(&mut [0])),
        // It was hung up on, as it should be.
        Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {}
        Err(error) => return Err(error.into()),
    }
    wait_for_parent()
}
