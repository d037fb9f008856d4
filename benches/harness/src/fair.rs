//! Fairness: many peers that all have more to send than one PULL can take. Who gets how much?
//!
//! The peers are bare sockets in one other process that refills them in turn, over and over until it is killed, so no
//! peer's own thread is scheduled better than another's. What is counted is a window of the messages that `recv` gives
//! out. It begins when every queue of the PULL has been full and has since been read, on average, more than once, and it
//! ends while all peers go on sending. It is counted in messages, so a slow machine does not look unfair.
//!
//! The application works a little on each message, so that the peers are ahead of it.
//!
//! A peer with nothing to send would look like one that is treated badly, and peers that send the same number each would
//! look alike however they are treated. So the queues are looked at during the window: all must have something in them.

use std::hint::black_box;
use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use aqueduct::Pull;
use aqueduct_bench_shared::arguments::Arguments;
use aqueduct_bench_shared::figures::{self, thousands};
use aqueduct_bench_shared::zmtp;
use rustix::net::sockopt::set_socket_send_buffer_size;

use crate::child::Child;
use crate::{Outcome, idle};

/// The bodies, the peer's number included.
const SIZE: usize = 64;

/// Messages that a peer's socket is offered at once.
const OFFER: usize = 500;

/// What the system keeps for a peer's socket, beside what it keeps for the PULL's: it would grow to megabytes for each.
const SEND_BUFFER: usize = 128 * 1024;

/// Messages that wait for `recv` from each peer, as by default.
const QUEUE: usize = 1000;

/// Messages that are passed over before the window, for each peer: first those of the full queues.
const WARM_UP: usize = 2 * QUEUE;

/// With fewer messages in the window for each peer, one turn more or less would show.
const FEWEST: usize = 500;

/// Steps of arithmetic that the application does for each message, some tenths of a microsecond. With none, a PULL takes
/// more than one process can send to a thousand sockets on two cores; then the queues run dry, and it is the sender that
/// decides on the shares.
const WORK: u32 = 600;

/// How often the window is interrupted for a look at the queues.
const LOOKS: usize = 20;

/// The pause between looks at queues that fill.
const PAUSE: Duration = Duration::from_millis(20);

const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn run(mut arguments: Arguments) -> Outcome<()> {
    let peers: usize = arguments.option("--peers", 1000)?;
    let each: usize = arguments.option("--each", 10_000)?;
    let write = arguments.flag("--write");
    arguments.finish(crate::USAGE)?;
    if each < FEWEST {
        return Err(format!("--each {each}: at least {FEWEST}, or chance decides").into());
    }
    idle::allow_files(u64::try_from(peers)?)?;
    let pull = Pull::builder().recv_hwm(QUEUE).build();
    let endpoint = pull.bind("tcp://127.0.0.1:0")?.to_string();
    let clients = Child::start(&["fair", &peers.to_string(), &endpoint])?;
    pull.wait_for_peers(peers, PATIENCE)?;
    fill(&pull)?;
    clients.line(PATIENCE)?;
    count(&pull, &mut vec![0; peers], peers * WARM_UP)?;
    let mut shares = vec![0u64; peers];
    let mut shortest = u64::MAX;
    let start = Instant::now();
    for _ in 0..LOOKS {
        count(&pull, &mut shares, peers * each / LOOKS)?;
        shortest = shortest.min(shortest_queue(&pull));
    }
    let text = summary(&shares, start.elapsed(), shortest);
    println!("{text}");
    if write {
        figures::write("docs/BENCHMARKS.md", "fair", &text)?;
    }
    Ok(())
}

fn summary(shares: &[u64], time: Duration, shortest: u64) -> String {
    let total = shares.iter().sum::<u64>() as f64;
    let min = shares.iter().min().copied().unwrap_or(0) as f64;
    let max = shares.iter().max().copied().unwrap_or(0) as f64;
    format!(
        "{} PUSH peers sending {SIZE}-byte messages to one PULL as fast as its application takes them; a window of {} messages, {} \
         from each peer on average, in {:.1} s ({} msg/s). The smallest share is {}, the largest {} messages, their \
         ratio {:.3}. The shortest queue at any of {LOOKS} looks held {} of {} messages.",
        thousands(shares.len() as f64),
        thousands(total),
        thousands(total / shares.len() as f64),
        time.as_secs_f64(),
        thousands(total / time.as_secs_f64()),
        thousands(min),
        thousands(max),
        max / min,
        thousands(shortest as f64),
        thousands(QUEUE as f64),
    )
}

/// Waits until every queue is full.
fn fill(pull: &Pull) -> Outcome<()> {
    let start = Instant::now();
    while shortest_queue(pull) < QUEUE as u64 {
        if start.elapsed() > PATIENCE {
            return Err("the queues do not fill".into());
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// How many messages of some peer wait for `recv`, of the one with the fewest.
fn shortest_queue(pull: &Pull) -> u64 {
    let peers = pull.stats().peers;
    peers.iter().map(|peer| peer.traffic.unread).min().unwrap_or(0)
}

/// Receives some messages and counts them by peer.
fn count(pull: &Pull, shares: &mut [u64], messages: usize) -> Outcome<()> {
    for _ in 0..messages {
        let message = pull.recv_timeout(PATIENCE)?;
        let number = message
            .as_single()
            .and_then(|body| body.first_chunk())
            .ok_or("not ours")?;
        let share = shares.get_mut(usize::try_from(u32::from_le_bytes(*number))?);
        *share.ok_or("a peer that is none")? += 1;
        black_box((0..WORK).fold(0_u32, |sum, step| black_box(sum.wrapping_mul(31) ^ step)));
    }
    Ok(())
}

/// One peer, with what it sends over and over.
struct Peer {
    stream: TcpStream,
    offer: Vec<u8>,
    /// How much of the offer the system has taken.
    taken: usize,
}

impl Peer {
    fn new(stream: TcpStream, number: u32) -> Outcome<Self> {
        set_socket_send_buffer_size(&stream, SEND_BUFFER)?;
        stream.set_nonblocking(true)?;
        let mut message = Vec::new();
        zmtp::put_header(SIZE, &mut message);
        message.extend_from_slice(&number.to_le_bytes());
        message.resize(message.len() + SIZE - size_of_val(&number), 0);
        Ok(Self {
            stream,
            offer: message.repeat(OFFER),
            taken: 0,
        })
    }

    /// Offers one more helping, as far as the system takes it. Tells whether it took nothing.
    fn refill(&mut self) -> Outcome<bool> {
        match self.stream.write(&self.offer[self.taken..]) {
            Ok(count) => {
                self.taken = (self.taken + count) % self.offer.len();
                Ok(count == 0)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

/// The other process: refills the peers in turn until it is killed, and tells when for once there is no room for more.
pub(crate) fn clients(mut arguments: Arguments) -> Outcome<()> {
    let count: u32 = arguments.parse()?;
    let address = zmtp::tcp_address(&arguments.word().unwrap_or_default())?;
    idle::allow_files(u64::from(count))?;
    let peers = (0..count).map(|number| Peer::new(zmtp::connect_push(address)?, number));
    let mut peers = peers.collect::<Outcome<Vec<_>>>()?;
    let mut told = false;
    loop {
        let mut full = true;
        for peer in &mut peers {
            full &= peer.refill()?;
        }
        if full && !told {
            println!("full");
            told = true;
        }
    }
}
