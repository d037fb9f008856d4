//! Streams and sinks: what combinators see of sockets, on several executors, and that dropping them loses nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod support;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use aqueduct::{
    Dealer, Message, Pair, Pull, Push, RecvStream, Rep, Req, RouteError, Router, RoutingId, SendError,
    SendSink,
};
use futures_lite::future::{poll_once, zip};
use futures_util::stream::{self, FusedStream};
use futures_util::{Sink, SinkExt, StreamExt};
use support::*;

const COUNT: usize = 2000;

fn numbers() -> Vec<String> {
    (0..COUNT).map(|number| number.to_string()).collect()
}

/// A PUSH and a PULL with short queues that know each other.
fn short(transport: Transport) -> (Push, Pull) {
    let push = Push::builder().send_hwm(1).build();
    let pull = Pull::builder().recv_hwm(1).build();
    marry(&push, &pull, transport);
    (push, pull)
}

/// A stream of numbers goes into a sink, and comes out of a stream.
async fn forward(transport: Transport) {
    let (push, pull) = short(transport);
    let feed = stream::iter(numbers()).map(|number| Ok(Message::from(number)));
    let sending = feed.forward(push.sink());
    let receiving = pull
        .stream()
        .take(COUNT)
        .map(|message| text(&message))
        .collect::<Vec<_>>();
    let (sent, received) = zip(sending, receiving).await;
    sent.unwrap();
    assert_eq!(received, numbers());
}

#[test]
fn streams_and_sinks_run_on_any_executor() {
    for transport in Transport::ALL {
        pollster::block_on(forward(transport));
        futures_lite::future::block_on(forward(transport));
        let tokio = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build();
        let tokio = tokio.unwrap();
        tokio.block_on(async { tokio::spawn(forward(transport)).await.unwrap() });
    }
}

#[test]
fn streams_and_sinks_can_be_moved_between_threads() {
    fn check<T: Send + Sync + Unpin + 'static>() {}
    check::<RecvStream>();
    check::<SendSink>();
    check::<SendSink<(RoutingId, Message), RouteError>>();
}

#[test]
fn a_stream_ends_when_its_socket_is_closed() {
    for transport in Transport::ALL {
        let (push, pull) = short(transport);
        let mut stream = pull.stream();
        send_all(&push, ["a"]);
        pollster::block_on(async {
            assert_eq!(stream.next().await.unwrap(), "a");
            let closing = async { pull.close_async().await };
            let (end, _) = zip(stream.next(), closing).await;
            assert_eq!(end, None);
            assert!(stream.is_terminated());
            assert_eq!(stream.next().await, None);
        });
    }
}

#[test]
fn a_stream_keeps_its_socket_open() {
    let (push, pull) = short(Transport::Tcp);
    let mut stream = pull.stream();
    drop(pull);
    send_all(&push, ["a"]);
    assert_eq!(pollster::block_on(stream.next()).unwrap(), "a");
}

/// Counts how often it is woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_dropped_stream_passes_the_word_on() {
    let (push, pull) = short(Transport::Inproc);
    let (first, second) = (Arc::new(Wakes::default()), Arc::new(Wakes::default()));
    let (mut one, mut other) = (pull.stream(), pull.stream());
    for (stream, wakes) in [(&mut one, &first), (&mut other, &second)] {
        let waker = Waker::from(Arc::clone(wakes));
        let polled = stream.poll_next_unpin(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
    send_all(&push, ["a"]);
    assert_eq!(first.0.load(Ordering::Relaxed), 1);
    assert_eq!(second.0.load(Ordering::Relaxed), 0);
    drop(one);
    assert_eq!(second.0.load(Ordering::Relaxed), 1, "the next was not told");
    assert_eq!(pollster::block_on(other.next()).unwrap(), "a");
}

/// Feeds a sink until it is not ready for more; returns how many it took.
async fn feed<S: Sink<Message, Error = SendError> + Unpin>(sink: &mut S) -> usize {
    let mut fed = 0_usize;
    while poll_once(sink.feed(fed.to_string().into()))
        .await
        .is_some_and(|fed| fed.is_ok())
    {
        fed += 1;
    }
    fed
}

#[test]
fn a_sink_is_not_ready_while_no_peer_has_room() {
    let (push, pull) = short(Transport::Inproc);
    pollster::block_on(async {
        let mut sink = push.sink();
        let fed = feed(&mut sink).await;
        // One in the queue of each side, one in the sink itself.
        assert!((2..=3).contains(&fed), "{fed}");
        assert!(poll_once(sink.flush()).await.is_none());
        let stream = pull.stream();
        let receiving = stream.take(fed).map(|message| text(&message)).collect::<Vec<_>>();
        let (flushed, received) = zip(sink.flush(), receiving).await;
        flushed.unwrap();
        assert_eq!(received, &numbers()[..fed]);
        assert_eq!(sink.take_unsent(), None);
    });
}

#[test]
fn what_a_dropped_future_was_sending_stays_in_the_sink() {
    let (push, pull) = short(Transport::Inproc);
    pollster::block_on(async {
        let mut sink = push.sink();
        let accepted = fill(&push);
        {
            let mut sending = pin!(sink.send("kept".into()));
            assert!(poll_once(sending.as_mut()).await.is_none());
        }
        assert_eq!(sink.take_unsent(), Some("kept".into()));
        assert!(poll_once(sink.send("kept".into())).await.is_none());
        for _ in 0..accepted {
            pull.recv_async().await.unwrap();
        }
        // There is room now: dropping the sink is enough.
        drop(sink);
        assert_eq!(pull.recv_async().await.unwrap(), "kept");
    });
}

#[test]
fn a_sink_that_is_not_ready_gives_the_item_back() {
    let (push, _pull) = short(Transport::Inproc);
    let mut sink = push.sink();
    fill(&push);
    sink.start_send_unpin("kept".into()).unwrap();
    let error = sink.start_send_unpin("too early".into()).unwrap_err();
    assert_eq!(error.into_message(), "too early");
    assert_eq!(sink.take_unsent(), Some("kept".into()));
}

#[test]
fn a_sink_of_a_closed_socket_gives_the_message_back() {
    pollster::block_on(async {
        let push = Push::new();
        let mut sink = push.sink();
        let (sent, _) = zip(sink.send("a".into()), async { push.clone().close_async().await }).await;
        assert_eq!(sent, Err(SendError::Closed("a".into())));
        assert_eq!(sink.send("b".into()).await, Err(SendError::Closed("b".into())));
        // There is nothing left to close.
        assert_eq!(sink.close().await, Ok(()));
    });
}

#[test]
fn a_sink_that_waits_is_woken_when_there_is_room() {
    for transport in Transport::ALL {
        let (push, pull) = short(transport);
        let body = Message::from(vec![0_u8; 1 << 20]);
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let mut context = Context::from_waker(&waker);
        let mut sink = push.sink();
        let mut sent = 0_usize;
        // Over a wire there is a moment in which the peer can take one more; it has passed when nobody wakes us.
        loop {
            match sink.poll_ready_unpin(&mut context) {
                Poll::Ready(ready) => {
                    ready.unwrap();
                    sink.start_send_unpin(body.clone()).unwrap();
                    sent += 1;
                }
                Poll::Pending if sent > 8 => break,
                Poll::Pending => {
                    if !woken(&wakes) {
                        break;
                    }
                }
            }
        }
        let received = std::thread::spawn(move || (0..sent).all(|_| pull.recv_timeout(LONG).is_ok()));
        pollster::block_on(sink.flush()).unwrap();
        assert!(received.join().unwrap(), "{transport:?}");
    }
}

/// Tells whether a wake-up comes within a while.
fn woken(wakes: &Wakes) -> bool {
    let deadline = std::time::Instant::now() + A_WHILE;
    while std::time::Instant::now() < deadline {
        if wakes.0.swap(0, Ordering::Relaxed) > 0 {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

#[test]
fn requests_come_as_a_stream_and_replies_go_out_of_order() {
    pollster::block_on(async {
        let (rep, one, other) = (Rep::new(), Req::new(), Req::new());
        let endpoint = rep.bind(Transport::Tcp.anywhere()).unwrap();
        one.connect(&endpoint).unwrap();
        other.connect(&endpoint).unwrap();
        let serving = async {
            let requests = rep.stream().take(2).collect::<Vec<_>>().await;
            for (request, reply) in requests.into_iter().rev() {
                reply.send_async(request).await.unwrap();
            }
        };
        let asking = zip(one.request_async("a"), other.request_async("b"));
        let ((a, b), ()) = zip(asking, serving).await;
        assert_eq!((a.unwrap(), b.unwrap()), ("a".into(), "b".into()));
    });
}

#[test]
fn a_router_echoes_from_its_stream_into_its_sink() {
    pollster::block_on(async {
        let (router, dealer) = (Router::new(), Dealer::new());
        dealer
            .connect(router.bind(Transport::Ipc.anywhere()).unwrap())
            .unwrap();
        let (sender, receiver) = router.split();
        let echo = receiver.stream().take(3).map(Ok).forward(sender.sink());
        let talk = async {
            let mut sink = dealer.sink();
            for word in ["a", "b", "c"] {
                sink.feed(word.into()).await.unwrap();
            }
            sink.flush().await.unwrap();
            dealer
                .stream()
                .take(3)
                .map(|message| text(&message))
                .collect::<Vec<_>>()
                .await
        };
        let (echoed, heard) = zip(echo, talk).await;
        echoed.unwrap();
        assert_eq!(heard, ["a", "b", "c"]);
    });
}

#[test]
fn a_router_sink_goes_on_after_a_message_for_nobody() {
    pollster::block_on(async {
        let id = RoutingId::new("here").unwrap();
        let router = Router::builder().notices(true).build();
        let dealer = Dealer::builder().routing_id(id.clone()).build();
        dealer
            .connect(router.bind(Transport::Inproc.anywhere()).unwrap())
            .unwrap();
        let mut events = router.event_stream();
        assert!(events.next().await.is_some(), "the dealer has come");
        let mut sink = router.sink();
        let nobody = RoutingId::new("nobody").unwrap();
        let error = sink.send((nobody, "lost?".into())).await.unwrap_err();
        assert_eq!(error, RouteError::Unroutable("lost?".into()));
        sink.send((id, "found".into())).await.unwrap();
        assert_eq!(dealer.recv_async().await.unwrap(), "found");
    });
}

#[test]
fn pairs_and_their_halves_stream() {
    pollster::block_on(async {
        let (here, there) = (Pair::new(), Pair::new());
        there
            .connect(here.bind(Transport::Inproc.anywhere()).unwrap())
            .unwrap();
        let (sender, receiver) = here.split();
        there.sink().send("a".into()).await.unwrap();
        assert_eq!(receiver.stream().next().await.unwrap(), "a");
        sender.sink().send("b".into()).await.unwrap();
        assert_eq!(there.stream().next().await.unwrap(), "b");
    });
}

#[test]
fn a_future_of_a_stream_that_is_dropped_takes_nothing() {
    let (push, pull) = short(Transport::Tcp);
    pollster::block_on(async {
        let mut stream = pull.stream();
        let mut next = Box::pin(stream.next());
        assert!(poll_once(next.as_mut()).await.is_none());
        send_all(&push, ["a"]);
        drop(next);
        drop(stream);
        assert_eq!(pull.recv_async().await.unwrap(), "a");
    });
}
