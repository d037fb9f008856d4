//! An honest pair: two sockets that exchange numbered messages while others misbehave, and prove that nothing is lost.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use aqueduct::{Message, Pull, Push, RecvError};

use super::LONG;

/// The first frame of an honest message; the number is in the second.
const MARK: &str = "honest";

/// The pause between messages: the pair keeps both sockets moving and leaves the processor to the others.
const PACE: Duration = Duration::from_millis(1);

/// However short the test, so many messages prove something.
const FEWEST: u64 = 20;

/// A PUSH that sends one number after the other, and a PULL that receives them, each on a thread of its own.
///
/// Either socket may be the one that misbehaving peers are let loose on.
pub(crate) struct HonestPair {
    stop: Sender<()>,
    sender: JoinHandle<(Push, u64)>,
    receiver: JoinHandle<(Pull, Vec<u64>)>,
    done: Sender<u64>,
    strangers: Receiver<Message>,
}

/// What became of an honest pair.
pub(crate) struct Proof {
    pub(crate) push: Push,
    pub(crate) pull: Pull,
    pub(crate) sent: u64,
    pub(crate) received: Vec<u64>,
}

impl HonestPair {
    /// Starts the exchange between sockets that are connected already.
    pub(crate) fn start(push: Push, pull: Pull) -> Self {
        let (stop, stopped) = mpsc::channel();
        let (done, total) = mpsc::channel();
        let (others, strangers) = mpsc::channel();
        let sender = thread::spawn(move || {
            let mut sent = 0u64;
            let mut goes_on = true;
            while goes_on || sent < FEWEST {
                goes_on &= stopped.recv_timeout(PACE) == Err(RecvTimeoutError::Timeout);
                let message = Message::from_iter([MARK.as_bytes(), &sent.to_be_bytes()]);
                push.send_timeout(message, LONG).unwrap();
                sent += 1;
            }
            (push, sent)
        });
        let receiver = thread::spawn(move || receive(pull, &others, &total));
        Self {
            stop,
            sender,
            receiver,
            done,
            strangers,
        }
    }

    /// The next message that came from somebody else.
    pub(crate) fn stranger(&self) -> Message {
        self.strangers
            .recv_timeout(LONG)
            .expect("nothing came from the stranger")
    }

    /// Ends the exchange; every message has arrived once and in order.
    pub(crate) fn finish(self) -> (Push, Pull) {
        let proof = self.finish_with(|_| 0);
        assert!(
            proof.received.iter().copied().eq(0..proof.sent),
            "sent {}, received {:?}",
            proof.sent,
            proof.received
        );
        (proof.push, proof.pull)
    }

    /// Ends the exchange of a PUSH that had other peers too: `elsewhere` tells how many messages they were given.
    pub(crate) fn finish_with(self, elsewhere: impl FnOnce(&Push) -> u64) -> Proof {
        let _ = self.stop.send(());
        let (push, sent) = self.sender.join().unwrap();
        self.done.send(sent - elsewhere(&push)).unwrap();
        let (pull, received) = self.receiver.join().unwrap();
        assert!(
            received.is_sorted_by(|a, b| a < b),
            "out of order, or twice: {received:?}"
        );
        let rest: Vec<_> = self.strangers.try_iter().collect();
        assert!(rest.is_empty(), "nobody asked for these: {rest:?}");
        Proof {
            push,
            pull,
            sent,
            received,
        }
    }
}

/// Receives until the given number of honest messages is here.
fn receive(pull: Pull, strangers: &Sender<Message>, total: &Receiver<u64>) -> (Pull, Vec<u64>) {
    let mut received = Vec::new();
    let mut wanted = None;
    let mut last = Instant::now();
    while wanted.is_none_or(|wanted| (received.len() as u64) < wanted) {
        match pull.recv_timeout(Duration::from_millis(10)) {
            Ok(message) if message[0] == MARK => {
                received.push(u64::from_be_bytes(message[1][..].try_into().unwrap()));
                last = Instant::now();
            }
            Ok(message) => strangers.send(message).unwrap(),
            Err(RecvError::Timeout) => assert!(
                wanted.is_none() || last.elapsed() < LONG,
                "of {wanted:?} honest messages only {} came",
                received.len()
            ),
            Err(RecvError::Closed) => panic!("the PULL was closed"),
        }
        wanted = wanted.or_else(|| total.try_recv().ok());
    }
    (pull, received)
}
