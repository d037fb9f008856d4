//! Honest pairs of this process: what they measure of themselves, quiet and while others misbehave.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use aqueduct::{Builder, Context, Dealer, Message, Pull, Push, RecvError, Router, SocketStats};

use crate::Outcome;

const PATIENCE: Duration = Duration::from_secs(120);

/// The shortest pause between honest questions. Each is up to as long again, so that questions do not fall into step with
/// what a flood does once a millisecond.
const PACE: Duration = Duration::from_millis(1);

/// What the sockets take: what the hostile scripts are written for.
const MAX_MESSAGE: usize = 1000;

/// How long an honest message is, which no hostile one is.
const SIZE: usize = 64;

/// How many connections have ended, for whatever reason.
pub(crate) fn ended(stats: &SocketStats) -> u64 {
    stats.endings.iter().map(|(_, count)| count).sum()
}

/// A ROUTER that answers, and a DEALER that asks. Each has a context of its own, so that they have a loop each, as two
/// processes would.
pub(crate) struct Asking {
    pub(crate) router: Router,
    dealer: Dealer,
    pub(crate) endpoint: String,
}

impl Asking {
    pub(crate) fn start(router: Builder<Router>, dealer: Builder<Dealer>) -> Outcome<Self> {
        let (router, endpoint) = answering(router)?;
        let dealer = dealer.context(&Context::new(1)).build();
        dealer.connect(&endpoint)?;
        Ok(Self {
            router,
            dealer,
            endpoint,
        })
    }

    /// Asks for so long, and notes the round trips in nanoseconds.
    pub(crate) fn ask(&self, time: Duration, trips: &mut Vec<f64>) -> Outcome<()> {
        let start = Instant::now();
        while start.elapsed() < time {
            let asked = Instant::now();
            self.dealer
                .send(Message::from("how long?"))
                .map_err(|error| error.to_string())?;
            self.dealer.recv_timeout(PATIENCE)?;
            trips.push(asked.elapsed().as_nanos() as f64);
            thread::sleep(PACE + PACE * (trips.len() as u32 * 7 % 10) / 10);
        }
        Ok(())
    }
}

/// A ROUTER that answers from a thread of its own, and where it is.
pub(crate) fn answering(router: Builder<Router>) -> Outcome<(Router, String)> {
    let router = router
        .context(&Context::new(1))
        .max_message_size(MAX_MESSAGE)
        .build();
    let endpoint = router.bind("tcp://127.0.0.1:0")?.to_string();
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
    Ok((router, endpoint))
}

/// What is measured later must not have this pair beside it: its thread ends with the socket.
impl Drop for Asking {
    fn drop(&mut self) {
        let _ = self.router.clone().close();
    }
}

/// A PUSH that sends numbers as fast as it can, and a PULL that counts them as long as none is missing.
pub(crate) struct Streaming {
    pub(crate) pull: Pull,
    push: Push,
    pub(crate) endpoint: String,
    received: Arc<AtomicU64>,
}

impl Streaming {
    pub(crate) fn start() -> Outcome<Self> {
        let pull = Pull::builder()
            .context(&Context::new(1))
            .max_message_size(MAX_MESSAGE)
            .build();
        let push = Push::builder()
            .context(&Context::new(1))
            .linger(Some(Duration::ZERO))
            .build();
        let endpoint = pull.bind("tcp://127.0.0.1:0")?.to_string();
        push.connect(&endpoint)?;
        let sending = push.clone();
        thread::spawn(move || {
            let mut body = [0; SIZE];
            for number in 0u64.. {
                body[..8].copy_from_slice(&number.to_be_bytes());
                if sending.send(&body[..]).is_err() {
                    return;
                }
            }
        });
        let received = Arc::new(AtomicU64::new(0));
        let (receiving, count) = (pull.clone(), Arc::clone(&received));
        thread::spawn(move || {
            let mut next = 0u64;
            while let Ok(message) = receiving.recv() {
                if message[0].len() != SIZE {
                    continue;
                }
                // Counts no further once one is missing, and that is found out.
                if message[0][..8] != next.to_be_bytes() {
                    return;
                }
                next += 1;
                count.store(next, Ordering::Relaxed);
            }
        });
        Ok(Self {
            pull,
            push,
            endpoint,
            received,
        })
    }

    /// Messages received in a second, over so long a time.
    pub(crate) fn rate(&self, time: Duration) -> Outcome<f64> {
        let (start, before) = (Instant::now(), self.received.load(Ordering::Relaxed));
        thread::sleep(time);
        let count = self.received.load(Ordering::Relaxed) - before;
        if count == 0 {
            return Err("an honest message was lost, or none came".into());
        }
        Ok(count as f64 / start.elapsed().as_secs_f64())
    }
}

/// As with [`Asking`]: its threads end with the sockets.
impl Drop for Streaming {
    fn drop(&mut self) {
        let _ = self.push.clone().close();
        let _ = self.pull.clone().close();
    }
}
