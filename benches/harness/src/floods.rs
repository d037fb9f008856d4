//! Floods: what strangers cost who come in numbers, in memory and in the round trips of an honest pair beside them.
//!
//! The honest pair is a DEALER and a ROUTER of this process; the strangers are another one. Each flood is measured between
//! two quiet spells of the same pair, so that a ratio is of figures that were taken next to each other.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use aqueduct::{AllowAny, Builder, Dealer, KeyPair, Pub, PublicKey, Pull, Router};

use crate::child::{Child, end_with_parent, wait_for_parent};
use crate::honest::{Asking, answering, ended};
use crate::idle::{allow_files, resident};
use crate::{Outcome, heap};
use aqueduct_bench_shared::arguments::Arguments;
use aqueduct_bench_shared::figures::{self, thousands};
use aqueduct_bench_shared::zmtp;

/// What a silent peer may cost.
const HEAP_PER_PEER: f64 = 4096.0;

/// What remains after a flood may be so much for each of its peers: what tables have grown by.
const LEFT_PER_PEER: f64 = 512.0;

const PATIENCE: Duration = Duration::from_secs(120);

/// The pause between looks, and between the bytes of those who drip.
const PACE: Duration = Duration::from_millis(1);
const DRIP: Duration = Duration::from_secs(1);

/// How often those who say HELLO come: one at a time, at the rate that is asked for. And how many of them stay: more than a
/// server keeps.
const HELLO_TICK: Duration = Duration::from_millis(2);
const HELLOS_AT_ONCE: usize = 2000;

pub(crate) fn run(mut arguments: Arguments) -> Outcome<()> {
    let silent: u32 = arguments.option("--silent", 10_000)?;
    let dripping: u32 = arguments.option("--dripping", 1000)?;
    let hellos: u32 = arguments.option("--hellos", 500)?;
    let topics: u32 = arguments.option("--topics", 1_000_000)?;
    let seconds: u64 = arguments.option("--seconds", 20)?;
    let only: String = arguments.option("--only", String::new())?;
    arguments.finish(crate::USAGE)?;
    allow_files(u64::from(silent.max(dripping)))?;
    heap::start_counting();
    if "memory".contains(&only) {
        println!("{}", memory_of("silent peers", silent, Pull::builder(), "")?);
    }
    let time = Duration::from_secs(seconds);
    let honest = Asking::start(Router::builder(), Dealer::builder())?;
    let other = Child::start(&["elsewhere"])?;
    let (here, elsewhere) = (&*honest.endpoint, &*other.line(PATIENCE)?);
    for (name, role, count, endpoint) in [
        ("silent", "silent", silent, here),
        ("dripping", "dripping", dripping, here),
        ("churn", "churn", 0, here),
        // The same at a socket of another process: what the honest pair loses to that, it loses to the machine.
        ("churn elsewhere", "churn", 0, elsewhere),
    ] {
        let flood = Flood {
            name,
            role,
            count,
            endpoint,
            said: "",
        };
        if name.contains(&only) {
            println!("{}", flood.beside(&honest, time)?);
        }
    }
    if "hellos".contains(&only) {
        curve(hellos, silent, time)?;
    }
    if "topics".contains(&only) {
        println!("{}", subscriptions(topics)?);
    }
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
    let honest = Asking::start(router, dealer)?;
    for (name, said) in ["right HELLOs a second,", "false HELLOs a second,"]
        .into_iter()
        .zip(&recorded)
    {
        let flood = Flood {
            name,
            role: "hellos",
            count: rate,
            endpoint: &honest.endpoint,
            said,
        };
        println!("{}", flood.beside(&honest, time)?);
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

/// Something that strangers do beside an honest pair.
struct Flood<'a> {
    name: &'static str,
    /// What the worker is to do, with how many connections at once, and where.
    role: &'static str,
    count: u32,
    endpoint: &'a str,
    /// What each of them says, in hexadecimal.
    said: &'a str,
}

impl Flood<'_> {
    /// Lets the pair ask before, during and after it.
    fn beside(&self, honest: &Asking, time: Duration) -> Outcome<String> {
        let Self { name, count, .. } = *self;
        let (mut quiet, mut flooded) = (room_for(time), room_for(time));
        let quiet_cpu = cpu_time();
        honest.ask(time / 2, &mut quiet)?;
        let quiet_cpu = cpu_time().saturating_sub(quiet_cpu) * 2;
        let ended_before = ended(&honest.router.stats());
        let strangers = Child::start(&[self.role, &count.to_string(), self.endpoint, self.said])?;
        let cpu = cpu_time();
        // By the middle of it, tables have the size that they need.
        honest.ask(time / 2, &mut flooded)?;
        let (memory, heap) = (resident()?, heap::live());
        honest.ask(time / 2, &mut flooded)?;
        let cpu = cpu_time().saturating_sub(cpu).saturating_sub(quiet_cpu);
        let hour = 3600.0 / (time / 2).as_secs_f64() / 1e6;
        let slope = [resident()? - memory, heap::live() - heap].map(|growth| growth as f64 * hour);
        let ended = ended(&honest.router.stats()) - ended_before;
        drop(strangers);
        honest.ask(time / 2, &mut quiet)?;
        let mut trips = |share| [&mut flooded, &mut quiet].map(|trips| figures::percentile(trips, share));
        let [[p50, quiet50], [p99, quiet99]] = [50, 99].map(&mut trips);
        Ok(format!(
            "{name} {}: {} connections ended, for {:.1} % of a processor; honest round trips p50 {:.2}×, p99 {:.2}× of the \
             quiet ones ({} and {} ns); by the hour, resident memory grows by {:.1} MB, the heap by {:.1}.",
            thousands(f64::from(count)),
            thousands(ended as f64),
            cpu.as_secs_f64() / time.as_secs_f64() * 100.0,
            p50 / quiet50,
            p99 / quiet99,
            thousands(quiet50),
            thousands(quiet99),
            slope[0],
            slope[1],
        ))
    }
}

/// A place for all round trips of so long a time, with its memory taken now: it must not look like growth.
fn room_for(time: Duration) -> Vec<f64> {
    let mut room = vec![1.0; usize::try_from(time.as_millis()).unwrap_or(0)];
    room.clear();
    room
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
    end_with_parent();
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
    end_with_parent();
    loop {
        // It may be turned away in the middle, and comes again.
        let _ = zmtp::connect(address, "DEALER");
    }
}

/// A socket like the honest one, and of no interest to it.
pub(crate) fn elsewhere() -> Outcome<()> {
    let (router, endpoint) = answering(Router::builder())?;
    println!("{endpoint}");
    wait_for_parent()?;
    drop(router);
    Ok(())
}

/// Connects so many times a second, and says what was recorded of a client up to its HELLO; waits for no answer.
pub(crate) fn hellos(mut arguments: Arguments) -> Outcome<()> {
    let (rate, address) = target(&mut arguments)?;
    let said = bytes(&mut arguments)?;
    end_with_parent();
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
