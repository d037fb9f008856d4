//! The process with an XPUB: takes in the topics, tells what they cost, and times messages.

use std::time::Duration;

use aqueduct::{XPub, XPubEvent};

use super::form::Form;
use super::{Contender, PATIENCE};
use crate::child::wait_for_parent;
use crate::{Outcome, heap, idle};
use aqueduct_bench_shared::arguments::Arguments;
use aqueduct_bench_shared::clock;

/// Messages that are sent in a round of each kind. They begin with topics from all over the tree.
const MESSAGES: usize = 200_000;

/// From one message to the next the number of its topic grows by so much: a prime, so that all have their turn and
/// neighbours are far apart.
const STRIDE: usize = 7_368_787;

/// What follows the topic in a message.
const REST: &[u8] = b" 21.5";

/// Before the first round, so many messages of this size fill all queues on the way to the subscriber, with a rest after
/// each helping, in which what is on its way gets there.
const FILL: usize = 16 * 1024;
const HELPINGS: usize = 10;
const HELPING: usize = 500;
const REST_OF_FILL: Duration = Duration::from_millis(20);

/// As much of an XPUB as is measured.
trait Publish {
    /// Takes in one subscription.
    fn subscription(&mut self) -> Outcome<Vec<u8>>;
    fn send(&mut self, body: &[u8]) -> Outcome<()>;
}

impl Publish for XPub {
    fn subscription(&mut self) -> Outcome<Vec<u8>> {
        match self.recv_timeout(PATIENCE)? {
            XPubEvent::Subscribe { topic, .. } => Ok(topic.to_vec()),
            other => Err(format!("{other:?} instead of a subscription").into()),
        }
    }

    #[inline]
    fn send(&mut self, body: &[u8]) -> Outcome<()> {
        Ok(XPub::send(self, body)?)
    }
}

pub(crate) fn worker(mut arguments: Arguments) -> Outcome<()> {
    let contender: Contender = arguments.parse()?;
    let form: Form = arguments.parse()?;
    let count: usize = arguments.parse()?;
    match contender {
        Contender::Aqueduct => {
            // The subscriber is too plain to answer heartbeats.
            let socket = XPub::builder()
                .max_topics(count)
                .max_topic_bytes(usize::MAX)
                .heartbeat_interval(None)
                .build();
            println!("{}", socket.bind("tcp://127.0.0.1:0")?);
            serve(socket, form, count)
        }
        #[cfg(feature = "libzmq")]
        Contender::Libzmq => serve(libzmq::bind()?, form, count),
        #[cfg(not(feature = "libzmq"))]
        Contender::Libzmq => Err("libzmq is not built in: build with `--features libzmq`".into()),
    }
}

fn serve(mut socket: impl Publish, form: Form, count: usize) -> Outcome<()> {
    wait_for_parent()?;
    heap::start_counting();
    let (heap_before, resident_before) = (heap::live(), idle::resident()?);
    println!("connected");
    for number in 0..count {
        if socket.subscription()? != form.topic(number) {
            return Err(format!("another subscription than the one that is due, {number}").into());
        }
    }
    let (heap_after, resident_after) = (heap::live(), idle::resident()?);
    println!(
        "{} {}",
        resident_after - resident_before,
        heap_after - heap_before
    );
    let messages = |kind: fn(Form, usize) -> Vec<u8>| -> Vec<_> {
        let numbers = (0..MESSAGES).map(|at| at * STRIDE % count);
        numbers
            .map(|number| [kind(form, number).as_slice(), REST].concat())
            .collect()
    };
    let (hits, misses) = (messages(Form::topic), messages(Form::miss));
    fill(&mut socket, form)?;
    loop {
        wait_for_parent()?;
        println!("{} {}", time(&mut socket, &hits)?, time(&mut socket, &misses)?);
    }
}

/// Fills what is between the socket and its subscriber.
fn fill(socket: &mut impl Publish, form: Form) -> Outcome<()> {
    let mut message = form.topic(0);
    message.resize(FILL, 0);
    for _ in 0..HELPINGS {
        for _ in 0..HELPING {
            socket.send(&message)?;
        }
        std::thread::sleep(REST_OF_FILL);
    }
    Ok(())
}

/// Sends all, and returns how many nanoseconds one took on average.
fn time(socket: &mut impl Publish, messages: &[Vec<u8>]) -> Outcome<f64> {
    let start = clock::now();
    for message in messages {
        socket.send(message)?;
    }
    Ok((clock::now() - start) as f64 / messages.len() as f64)
}

#[cfg(feature = "libzmq")]
mod libzmq {
    //! The same with libzmq, which has to be told that this process will not wait for its messages at the end.

    use super::Publish;
    use crate::Outcome;

    pub(super) fn bind() -> Outcome<zmq::Socket> {
        let socket = zmq::Context::new().socket(zmq::XPUB)?;
        socket.set_linger(0)?;
        socket.bind("tcp://127.0.0.1:*")?;
        let endpoint = socket
            .get_last_endpoint()?
            .map_err(|_| "an endpoint that is no text")?;
        println!("{endpoint}");
        Ok(socket)
    }

    impl Publish for zmq::Socket {
        fn subscription(&mut self) -> Outcome<Vec<u8>> {
            let event = self.recv_bytes(0)?;
            match event.split_first() {
                Some((1, topic)) => Ok(topic.to_vec()),
                _ => Err(format!("{event:?} instead of a subscription").into()),
            }
        }

        #[inline]
        fn send(&mut self, body: &[u8]) -> Outcome<()> {
            Ok(zmq::Socket::send(self, body, zmq::DONTWAIT)?)
        }
    }
}
