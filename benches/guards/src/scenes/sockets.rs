//! Sockets with default options, both ends in one thread: what a verb costs, all below it included.
//!
//! Over tcp the counted thread has to be the one that reads. So each turn begins with a wait that is in vain: a caller that
//! waits takes the event loop from the I/O thread, which then stands back for a millisecond. A turn that is interrupted for
//! longer counts less; the middle one of all turns is not.

use std::future::Future;
use std::io::Write;
use std::net::TcpStream;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use aqueduct::{Dealer, Pub, Pull, Push, Rep, Req, Router, Sub};

use super::{BATCH, INLINE, INPROC, Side, TCP, one_side};
use crate::meter::Round;

const BODY: [u8; INLINE] = [7; INLINE];

const PATIENCE: Duration = Duration::from_secs(60);

/// How long a wait in vain may be: enough for the I/O thread to get up.
const IN_VAIN: Duration = Duration::from_millis(2);

/// What a PUSH says to open a connection: greeting and READY.
const OPENING: [&[u8]; 3] = [
    b"\xff\0\0\0\0\0\0\0\0\x7f\x03\x01NULL",
    &[0; 48],
    b"\x04\x1a\x05READY\x0bSocket-Type\0\0\0\x04PUSH",
];

/// Subscribers of a publisher.
const SUBSCRIBERS: usize = 8;

fn pipeline(endpoint: &str) -> (Push, Pull) {
    let (push, pull) = (Push::new(), Pull::new());
    let endpoint = pull.bind(endpoint).expect("bind");
    push.connect(&endpoint).expect("connect");
    push.wait_for_peers(1, PATIENCE).expect("a peer");
    pull.wait_for_peers(1, PATIENCE).expect("a peer");
    (push, pull)
}

/// Many messages are sent, then all of them received.
pub(super) fn in_a_row(side: Side) -> Round {
    let mut sockets = pipeline(INPROC);
    let send = |(push, _): &mut (Push, Pull)| (0..BATCH).for_each(|_| push.send(BODY).expect("sent"));
    let receive = |(_, pull): &mut (Push, Pull)| {
        (0..BATCH).for_each(|_| assert_eq!(pull.recv().expect("received"), BODY));
    };
    Box::new(move |meter| one_side(meter, side, &mut sockets, send, receive))
}

/// Many messages arrive at once, from a bare stream that has them all written with one call; and then they are received.
pub(super) fn from_a_stream() -> Round {
    let pull = Pull::new();
    let endpoint = pull.bind(TCP).expect("bind").to_string();
    let address = endpoint.strip_prefix("tcp://").expect("a tcp endpoint");
    let mut stream = TcpStream::connect(address).expect("connect");
    stream.write_all(&OPENING.concat()).expect("write");
    pull.wait_for_peers(1, PATIENCE).expect("a peer");
    let frame = [&[0, INLINE as u8], &BODY[..]].concat();
    let frames = frame.repeat(BATCH);
    Box::new(move |meter| {
        pull.recv_timeout(IN_VAIN).expect_err("nothing yet");
        stream.write_all(&frames).expect("write");
        meter.count(BATCH as u64, || {
            (0..BATCH).for_each(|_| assert_eq!(pull.recv().expect("received"), BODY));
        });
    })
}

/// Each message is received before the next is sent, so that nothing gathers.
pub(super) fn alone(endpoint: &str, side: Side) -> Round {
    let (push, pull) = pipeline(endpoint);
    Box::new(move |meter| {
        pull.recv_timeout(IN_VAIN).expect_err("nothing yet");
        match side {
            Side::Send => {
                meter.count(1, || push.send(BODY).expect("sent"));
                pull.recv().expect("received");
            }
            Side::Receive => {
                push.send(BODY).expect("sent");
                meter.count(1, || pull.recv().expect("received"));
            }
        }
    })
}

/// A task waits for a message, which the sender's thread tells it of.
pub(super) fn to_a_task(side: Side) -> Round {
    let (push, pull) = pipeline(INPROC);
    Box::new(move |meter| {
        let mut context = Context::from_waker(Waker::noop());
        let mut future = pin!(pull.recv_async());
        assert!(future.as_mut().poll(&mut context).is_pending());
        let mut receive = || match future.as_mut().poll(&mut context) {
            Poll::Ready(received) => assert_eq!(received.expect("received"), BODY),
            Poll::Pending => panic!("a message is here"),
        };
        match side {
            Side::Send => {
                meter.count(1, || push.send(BODY).expect("sent"));
                receive();
            }
            Side::Receive => {
                push.send(BODY).expect("sent");
                meter.count(1, receive);
            }
        }
    })
}

pub(super) fn publish(endpoint: &str) -> Round {
    let publisher = Pub::new();
    let endpoint = publisher.bind(endpoint).expect("bind");
    let connect = |_| {
        let subscriber = Sub::new();
        subscriber.subscribe("").expect("few topics");
        subscriber.connect(&endpoint).expect("connect");
        subscriber
    };
    let subscribers: Vec<_> = (0..SUBSCRIBERS).map(connect).collect();
    publisher
        .wait_for_subscribers("", SUBSCRIBERS, PATIENCE)
        .expect("subscribers");
    Box::new(move |meter| {
        subscribers[0].recv_timeout(IN_VAIN).expect_err("nothing yet");
        meter.count(1, || publisher.send(BODY).expect("sent"));
        for subscriber in &subscribers {
            assert_eq!(subscriber.recv().expect("received"), BODY);
        }
    })
}

pub(super) fn request(endpoint: &str) -> Round {
    let (req, rep) = (Req::new(), Rep::new());
    req.connect(rep.bind(endpoint).expect("bind")).expect("connect");
    Box::new(move |meter| {
        rep.recv_timeout(IN_VAIN).expect_err("nothing yet");
        meter.count(1, || {
            req.send(BODY).expect("sent");
            let (request, reply) = rep.recv().expect("received");
            reply.send(request).expect("sent");
            assert_eq!(req.recv().expect("received"), BODY);
        });
    })
}

pub(super) fn routed(endpoint: &str) -> Round {
    let (dealer, router) = (Dealer::new(), Router::new());
    dealer
        .connect(router.bind(endpoint).expect("bind"))
        .expect("connect");
    Box::new(move |meter| {
        router.recv_timeout(IN_VAIN).expect_err("nothing yet");
        meter.count(1, || {
            dealer.send(BODY).expect("sent");
            let (id, message) = router.recv().expect("received");
            router.send(&id, message).expect("sent");
            assert_eq!(dealer.recv().expect("received"), BODY);
        });
    })
}
