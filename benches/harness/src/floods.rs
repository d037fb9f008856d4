//! Floods: what strangers cost who come in numbers, in memory and in the round trips of an honest pair beside them.
//!
//! The honest pair is a DEALER and a ROUTER of this process; the strangers are another one. Each flood is measured between
//! two quiet spells of the same pair, so that a ratio is of figures that were taken next to each other.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use aqueduct::{
    AllowAny, Builder, Context, Dealer, KeyPair, Message, Pub, PublicKey, Pull, RecvError, Router,
    SocketStats,
};

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

/// How often those who say HELLO come, and how many of them stay: more than a server keeps.
const HELLO_TICK: Duration = Duration::from_millis(10);
const HELLOS_AT_ONCE: usize = 2000;

pub(crate) fn run(mut arguments: Arguments) -> Outcome<()> {
    let silent: u32 = arguments.option("--silent", 10_000)?;
    let dripping: u32 = arguments.option("--dripping", 1000)?;
    let hellos: u32 = arguments.option("--hellos", 500)?;
    let topics: u32 = arguments.option("--topics", 1_000_000)?;
    let seconds: u64 = arguments.option("--seconds", 20)?;
    arguments.finish(crate::USAGE)?;
    allow_files(u64::from(silent.max(dripping)))?;
    heap::start_counting();
    println!("{}", memory_of("silent peers", silent, Pull::builder(), "")?);
    let time = Duration::from_secs(seconds);
    let honest = Honest::start(Router::builder(), Dealer::builder())?;
    for (name, count) in [("silent", silent), ("dripping", dripping), ("churn", 0)] {
        let what = format!("{name} {}", thousands(f64::from(count)));
        println!("{}", honest.beside(&what, &[name, &count.to_string()], time)?);
    }
    curve(hellos, silent, time)?;
    println!("{}", subscriptions(topics)?);
    Ok(())
}

/// HELLOs from strangers to a server with CURVE, beside a pair that speaks it, too: right ones, which take an answer, and
/// ones that are wrong in the last bit of their box.
fn curve(rate: u32, count: u32, time: Duration) -> Outcome<()> {
    let memory_keys = KeyPair::generate()?;
    let [right, _] = recorded_hellos(memory_keys.public())?;
    let pull = Pull::builder().curve_server(memory_keys, AllowAny);
    println!(
        "{}",
        memory_of("peers that have said HELLO", count, pull, &right)?
    );
    let keys = KeyPair::generate()?;
    let server = keys.public();
    let recorded = recorded_hellos(server)?;
    let router = Router::builder().curve_server(keys, AllowAny);
    let dealer = Dealer::builder().curve_client(server, KeyPair::generate()?);
    let honest = Honest::start(router, dealer)?;
    for (name, hello) in ["right", "false"].into_iter().zip(recorded) {
        let what = format!("{rate} {name} HELLOs a second");
        let words = ["hellos", &rate.to_string(), &hello];
        println!("{}", honest.beside(&what, &words, time)?);
    }
    Ok(())
}

/// What a client says to the owner of this key up to the end of its HELLO, in hexadecimal; and the same with a false box.
/// Whoever has heard it can say it again, and the server has to answer.
fn recorded_hellos(server: PublicKey) -> Outcome<[String; 2]> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let dealer = Dealer::builder()
        .curve_client(server, KeyPair::generate()?)
        .build();
    dealer.connect(format!("tcp://{}", listener.local_addr()?))?;
    let (mut stream, _) = listener.accept()?;
    let mut said = vec![0; 64];
    stream.read_exact(&mut said)?;
    // The greetings of both ends are the same.
    stream.write_all(&said)?;
    let mut hello = [0; 202];
    stream.read_exact(&mut hello)?;
    said.extend_from_slice(&hello);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let right = hex(&said);
    if let Some(last) = said.last_mut() {
        *last ^= 1;
    }
    Ok([right, hex(&said)])
}

/// All at once and at their own pace: what each takes while it is there, and that none is there after its time.
fn memory_of(what: &str, count: u32, pull: Builder<Pull>, said: &str) -> Outcome<String> {
    let pull = pull
        .max_handshakes(usize::try_from(count)?)
        .handshake_rate(None)
        .build();
    let endpoint = pull.bind("tcp://127.0.0.1:0")?.to_string();
    let before = heap::live();
    let start = Instant::now();
    let strangers = Child::start(&["silent", &count.to_string(), &endpoint, said])?;
    let mut most = before;
    let mut step = |until: &dyn Fn() -> Outcome<bool>| -> Outcome<()> {
        while !until()? {
            most = most.max(heap::live());
            if start.elapsed() > PATIENCE {
                return Err(format!("the {what} are still there").into());
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
        "{} {what} at once: {} bytes of heap each; all were shed after {:.1} s, and {} bytes each remained.",
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
    fn start(router: Builder<Router>, dealer: Builder<Dealer>) -> Outcome<Self> {
        // A context of its own each, so that they have a loop each, as two processes would.
        let router = router.context(&Context::new(1)).build();
        let dealer = dealer.context(&Context::new(1)).build();
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

    /// Asks before, during and after a flood of strangers, whose process has these words and our endpoint on its command
    /// line: after the second word.
    fn beside(&self, what: &str, words: &[&str], time: Duration) -> Outcome<String> {
        let (name, count) = (words.first().ok_or("no name")?, words.get(1).ok_or("no number")?);
        let quiet_cpu = cpu_time();
        let before = self.ask(time / 2)?;
        let quiet_cpu = cpu_time().saturating_sub(quiet_cpu) * 2;
        let ended_before = ended(&self.router.stats());
        let more = words.get(2..).unwrap_or_default();
        let strangers = Child::start(&[&[*name, *count, &self.endpoint], more].concat())?;
        let cpu = cpu_time();
        // By the middle of it, tables have the size that they need.
        let first = self.ask(time / 2)?;
        let memory = resident()?;
        let second = self.ask(time / 2)?;
        let slope = (resident()? - memory) as f64 / (time / 2).as_secs_f64() * 3600.0 / 1e6;
        let cpu = cpu_time().saturating_sub(cpu).saturating_sub(quiet_cpu);
        let ended = ended(&self.router.stats()) - ended_before;
        drop(strangers);
        let after = self.ask(time / 2)?;
        let ratio = |at: usize| (first[at] + second[at]) / (before[at] + after[at]);
        Ok(format!(
            "{what}: {} connections ended, for {:.1} % of a processor; honest round trips p50 {:.2}×, p99 {:.2}× of \
             the quiet ones ({} and {} ns); resident memory grows by {:.0} MB/h.",
            thousands(ended as f64),
            cpu.as_secs_f64() / time.as_secs_f64() * 100.0,
            ratio(0),
            ratio(1),
            thousands(f64::midpoint(before[0], after[0])),
            thousands(f64::midpoint(before[1], after[1])),
            slope,
        ))
    }
}

/// The time that this process has had a processor for.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
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

/// The bytes that are given in hexadecimal.
fn bytes(arguments: &mut Arguments) -> Outcome<Vec<u8>> {
    let hex = arguments.word().unwrap_or_default();
    let byte = |at| u8::from_str_radix(hex.get(at..at + 2).unwrap_or_default(), 16);
    Ok((0..hex.len()).step_by(2).map(byte).collect::<Result<_, _>>()?)
}

/// Connects, says what it was given, if anything, and nothing more.
pub(crate) fn silent(mut arguments: Arguments) -> Outcome<()> {
    let (count, address) = target(&mut arguments)?;
    let said = bytes(&mut arguments)?;
    allow_files(u64::from(count))?;
    let mut streams = Vec::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(&said)?;
        streams.push(stream);
    }
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

/// Connects so many times a second, and says what was recorded of a client up to its HELLO; waits for no answer.
pub(crate) fn hellos(mut arguments: Arguments) -> Outcome<()> {
    let (rate, address) = target(&mut arguments)?;
    let said = bytes(&mut arguments)?;
    allow_files(HELLOS_AT_ONCE as u64)?;
    let mut streams = VecDeque::new();
    let start = Instant::now();
    let mut came = 0_u64;
    loop {
        let due = (start.elapsed().as_secs_f64() * f64::from(rate)) as u64;
        while came < due {
            let mut stream = TcpStream::connect(address)?;
            // It may be hung up on already.
            let _ = stream.write_all(&said);
            streams.push_back(stream);
            if streams.len() > HELLOS_AT_ONCE {
                streams.pop_front();
            }
            came += 1;
        }
        thread::sleep(HELLO_TICK);
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
