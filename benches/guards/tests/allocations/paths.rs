//! The paths that a message can take: every pattern's verbs, as one exchange between two sides.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use aqueduct::{
    Dealer, INLINE_CAPACITY, Pair, Pub, Pull, Push, Rep, Req, Router, SlowPolicy, Sub, XPub, XSub,
};

/// The longest body that is stored in a message, and the longest that is in a buffer which a thread keeps.
pub(crate) const SIZES: [usize; 2] = [INLINE_CAPACITY, 1024];

static BODY: [u8; SIZES[1]] = [7; SIZES[1]];

/// How many bytes the messages have now.
pub(crate) static SIZE: AtomicUsize = AtomicUsize::new(SIZES[0]);

fn body() -> &'static [u8] {
    &BODY[..SIZE.load(Ordering::Relaxed)]
}

const PATIENCE: Duration = Duration::from_secs(60);

/// How the verbs are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verbs {
    Blocking,
    Trying,
    Async,
}

impl Verbs {
    pub(crate) const ALL: [Self; 3] = [Self::Blocking, Self::Trying, Self::Async];
}

type Step = Box<dyn FnMut(Verbs) + Send>;

/// What happens to a message, and to the answer if the pattern has one.
pub(crate) struct Exchange {
    /// One side sends.
    pub(crate) ask: Step,
    /// The other receives, and answers.
    pub(crate) answer: Step,
    /// The first receives the answer.
    pub(crate) hear: Step,
}

/// A pattern, and how to connect its sockets over a transport.
pub(crate) type Pattern = (&'static str, fn(&str) -> Exchange);

pub(crate) const PATTERNS: [Pattern; 6] = [
    ("push/pull", pipeline),
    ("pub/sub", publishing),
    ("xpub/xsub", raw_publishing),
    ("req/rep", request),
    ("dealer/router", routed),
    ("pair", pair),
];

/// Calls a verb as it is told; a trying one until it succeeds.
macro_rules! call {
    ($verbs:ident, $blocking:expr, $trying:expr, $async:expr) => {
        match $verbs {
            Verbs::Blocking => $blocking.expect("done"),
            Verbs::Trying => loop {
                if let Ok(done) = $trying {
                    break done;
                }
                thread::yield_now();
            },
            Verbs::Async => block_on($async).expect("done"),
        }
    };
}

macro_rules! send {
    ($verbs:ident, $socket:ident $(, $to:expr)?) => {
        call!($verbs, $socket.send($($to,)? body()), $socket.try_send($($to,)? body()), $socket.send_async($($to,)? body()))
    };
}

macro_rules! recv {
    ($verbs:ident, $socket:ident) => {
        call!($verbs, $socket.recv(), $socket.try_recv(), $socket.recv_async())
    };
}

fn pipeline(endpoint: &str) -> Exchange {
    let (push, pull) = (Push::new(), Pull::new());
    push.connect(pull.bind(endpoint).expect("bind")).expect("connect");
    push.wait_for_peers(1, PATIENCE).expect("a peer");
    Exchange {
        ask: Box::new(move |verbs| send!(verbs, push)),
        answer: Box::new(move |verbs| assert_eq!(recv!(verbs, pull), body())),
        hear: Box::new(|_| {}),
    }
}

fn publishing(endpoint: &str) -> Exchange {
    let publisher = Pub::builder().slow_subscribers(SlowPolicy::Block).build();
    let subscriber = Sub::new();
    subscriber.subscribe("").expect("few topics");
    subscriber
        .connect(publisher.bind(endpoint).expect("bind"))
        .expect("connect");
    publisher
        .wait_for_subscribers("", 1, PATIENCE)
        .expect("a subscriber");
    Exchange {
        ask: Box::new(move |verbs| send!(verbs, publisher)),
        answer: Box::new(move |verbs| assert_eq!(recv!(verbs, subscriber), body())),
        hear: Box::new(|_| {}),
    }
}

fn raw_publishing(endpoint: &str) -> Exchange {
    let publisher = XPub::builder().slow_subscribers(SlowPolicy::Block).build();
    let subscriber = XSub::new();
    subscriber.subscribe("").expect("few topics");
    subscriber
        .connect(publisher.bind(endpoint).expect("bind"))
        .expect("connect");
    publisher
        .wait_for_subscribers("", 1, PATIENCE)
        .expect("a subscriber");
    Exchange {
        ask: Box::new(move |verbs| send!(verbs, publisher)),
        answer: Box::new(move |verbs| assert_eq!(recv!(verbs, subscriber), body())),
        hear: Box::new(|_| {}),
    }
}

fn request(endpoint: &str) -> Exchange {
    let (req, rep) = (Req::new(), Rep::new());
    req.connect(rep.bind(endpoint).expect("bind")).expect("connect");
    req.wait_for_peers(1, PATIENCE).expect("a peer");
    let req = Arc::new(req);
    let asking = Arc::clone(&req);
    Exchange {
        ask: Box::new(move |verbs| send!(verbs, asking)),
        answer: Box::new(move |verbs| {
            let (request, reply) = recv!(verbs, rep);
            match verbs {
                Verbs::Blocking => reply.send(request).expect("sent"),
                Verbs::Trying => reply.try_send(request).expect("sent"),
                Verbs::Async => block_on(reply.send_async(request)).expect("sent"),
            }
        }),
        hear: Box::new(move |verbs| assert_eq!(recv!(verbs, req), body())),
    }
}

fn routed(endpoint: &str) -> Exchange {
    let (dealer, router) = (Dealer::new(), Router::new());
    dealer
        .connect(router.bind(endpoint).expect("bind"))
        .expect("connect");
    dealer.wait_for_peers(1, PATIENCE).expect("a peer");
    let dealer = Arc::new(dealer);
    let asking = Arc::clone(&dealer);
    Exchange {
        ask: Box::new(move |verbs| send!(verbs, asking)),
        answer: Box::new(move |verbs| {
            let (id, message) = recv!(verbs, router);
            assert_eq!(message, body());
            send!(verbs, router, &id);
        }),
        hear: Box::new(move |verbs| assert_eq!(recv!(verbs, dealer), body())),
    }
}

fn pair(endpoint: &str) -> Exchange {
    let (here, there) = (Pair::new(), Pair::new());
    here.connect(there.bind(endpoint).expect("bind"))
        .expect("connect");
    here.wait_for_peers(1, PATIENCE).expect("a peer");
    let here = Arc::new(here);
    let asking = Arc::clone(&here);
    Exchange {
        ask: Box::new(move |verbs| send!(verbs, asking)),
        answer: Box::new(move |verbs| {
            assert_eq!(recv!(verbs, there), body());
            send!(verbs, there);
        }),
        hear: Box::new(move |verbs| assert_eq!(recv!(verbs, here), body())),
    }
}

/// Wakes a thread that sleeps in [`block_on`].
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future with a waker that the thread keeps, so that nothing is allocated but what the future does.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static WAKER: RefCell<Waker> = RefCell::new(Waker::from(Arc::new(Unpark(thread::current()))));
    }
    let mut future = pin!(future);
    WAKER.with_borrow(|waker| {
        let mut context = Context::from_waker(waker);
        loop {
            match future.as_mut().poll(&mut context) {
                Poll::Ready(done) => return done,
                Poll::Pending => thread::park(),
            }
        }
    })
}
