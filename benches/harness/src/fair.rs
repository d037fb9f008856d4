//! Fairness: many peers that all have more to send than one PULL can take. Who gets how much?
//!
//! The peers are bare sockets in one other process that refills them in turn, so no peer's own thread is scheduled
//! better than another's, and a peer is never without bytes in flight unless this machine is too slow to refill it.
//! Counting begins when all are connected and every queue has had time to fill, and lasts until the peers have got through
//! so many messages each that a whole queue more or less for one of them does not matter, however slow the machine.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use aqueduct::Pull;

use crate::arguments::Arguments;
use crate::child::Child;
use crate::report::thousands;
use crate::{Outcome, idle, report, zmtp};

/// The bodies, the peer's number included.
const SIZE: usize = 64;

/// Messages that a peer's socket is offered at once.
const OFFER: usize = 500;

/// Time in which the queues fill.
const WARM_UP: Duration = Duration::from_secs(1);

const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run(mut arguments: Arguments) -> Outcome<()> {
    let peers: usize = arguments.option("--peers", 1000)?;
    let each: u64 = arguments.option("--each", 10_000)?;
    let write = arguments.flag("--write");
    arguments.finish()?;
    idle::allow_files(u64::try_from(peers)?)?;
    let pull = Pull::new();
    let endpoint = pull.bind("tcp://127.0.0.1:0")?.to_string();
    let _clients = Child::start(&["fair", &peers.to_string(), &endpoint])?;
    pull.wait_for_peers(peers, PATIENCE)?;
    let warm_up = Instant::now();
    while warm_up.elapsed() < WARM_UP {
        count(&pull, &mut vec![0; peers], peers)?;
    }
    let mut shares = vec![0u64; peers];
    let start = Instant::now();
    count(&pull, &mut shares, peers * usize::try_from(each)?)?;
    let time = start.elapsed();
    let starved = pull
        .stats()
        .peers
        .iter()
        .filter(|peer| peer.traffic.unread == 0)
        .count();
    let (min, max) = (shares.iter().min().copied(), shares.iter().max().copied());
    let (min, max) = (min.unwrap_or(0) as f64, max.unwrap_or(0) as f64);
    let total = shares.iter().sum::<u64>() as f64;
    let text = format!(
        "{} PUSH peers sending {SIZE}-byte messages to one PULL as fast as it takes them, for {:.1} s: {} msg/s; the \
         smallest share is {}, the largest {} messages, their ratio {:.3}. At the end, {starved} peers had nothing \
         queued.",
        thousands(peers as f64),
        time.as_secs_f64(),
        thousands(total / time.as_secs_f64()),
        thousands(min),
        thousands(max),
        max / min
    );
    println!("{text}");
    if write {
        report::write("docs/BENCHMARKS.md", "fair", &text)?;
    }
    Ok(())
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

    /// Offers one more helping, as far as the system takes it.
    fn refill(&mut self) -> Outcome<()> {
        match self.stream.write(&self.offer[self.taken..]) {
            Ok(count) => self.taken = (self.taken + count) % self.offer.len(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// The other process: refills the peers in turn until it is killed.
pub(crate) fn clients(mut arguments: Arguments) -> Outcome<()> {
    let count: u32 = arguments.parse()?;
    let address = zmtp::tcp_address(&arguments.word().unwrap_or_default())?;
    idle::allow_files(u64::from(count))?;
    let peers = (0..count).map(|number| Peer::new(zmtp::connect_push(address)?, number));
    let mut peers = peers.collect::<Outcome<Vec<_>>>()?;
    loop {
        for peer in &mut peers {
            peer.refill()?;
        }
    }
}
