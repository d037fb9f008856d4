//! The same sockets on different executors, and futures that are dropped halfway without losing anything.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod support;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use aqueduct::{Event, Message, Pull, Push, RecvError, Router, SendError};
use futures_lite::future::{or, yield_now, zip};
use support::*;

/// Wakes the thread that it was made on.
struct Unpark {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// An executor in ten lines: nothing more than a `Waker` is needed. It polls only when woken, so that a wake-up that
/// is lost shows.
fn block_on<F: Future>(future: F) -> F::Output {
    let unpark = Arc::new(Unpark {
        thread: thread::current(),
        woken: AtomicBool::new(false),
    });
    let waker = Waker::from(Arc::clone(&unpark));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        let deadline = Instant::now() + LONG;
        while !unpark.woken.swap(false, Ordering::Acquire) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "nobody woke the task");
            thread::park_timeout(left);
        }
    }
}

fn on_tokio(workers: usize) -> tokio::runtime::Runtime {
    let mut builder = match workers {
        0 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if workers > 0 {
        builder.worker_threads(workers);
    }
    builder.enable_time().build().unwrap()
}

const COUNT: u32 = 3000;

/// One task sends numbers, another receives them; then everything is closed.
async fn exchange(transport: Transport) {
    let (push, pull) = (
        Push::builder().send_hwm(10).build(),
        Pull::builder().recv_hwm(10).build(),
    );
    let endpoint = pull.bind(transport.anywhere()).unwrap();
    push.connect(&endpoint).unwrap();
    push.wait_for_peers_async(1).await.unwrap();
    let sending = async {
        for at in 0..COUNT {
            push.send_async(at.to_be_bytes()).await.unwrap();
        }
    };
    let receiving = async {
        for at in 0..COUNT {
            assert_eq!(pull.recv_async().await.unwrap(), at.to_be_bytes());
        }
    };
    zip(sending, receiving).await;
    let report = push.close_async().await;
    assert!(
        report.returned.is_empty() && report.total.adds_up(),
        "{:?}",
        report.total
    );
    pull.close_async().await;
}

#[test]
fn on_an_executor_of_ten_lines() {
    for transport in Transport::ALL {
        block_on(exchange(transport));
    }
}

#[test]
fn on_pollster() {
    for transport in Transport::ALL {
        pollster::block_on(exchange(transport));
    }
}

#[test]
fn on_futures_lite() {
    for transport in Transport::ALL {
        futures_lite::future::block_on(exchange(transport));
    }
}

#[test]
fn on_tokio_with_one_thread() {
    for transport in Transport::ALL {
        on_tokio(0).block_on(async { tokio::time::timeout(LONG, exchange(transport)).await.unwrap() });
    }
}

#[test]
fn on_tokio_with_many_threads() {
    for transport in Transport::ALL {
        on_tokio(2).block_on(async {
            let task = tokio::spawn(exchange(transport));
            tokio::time::timeout(LONG, task).await.unwrap().unwrap();
        });
    }
}

#[test]
fn dropped_receives_lose_nothing() {
    for transport in Transport::ALL {
        let (push, pull) = (Push::new(), Pull::new());
        marry(&push, &pull, transport);
        let (go_on, next_one) = std::sync::mpsc::channel();
        let sender = thread::spawn(move || {
            for at in 0..COUNT {
                push.send_timeout(at.to_be_bytes(), LONG).unwrap();
                next_one.recv_timeout(LONG).unwrap();
            }
        });
        let mut dropped = 0;
        block_on(async {
            let mut next = 0u32;
            while next < COUNT {
                // Both race; whichever future loses is dropped, pending or never polled.
                let received = or(async { Some(pull.recv_async().await.unwrap()) }, async {
                    yield_now().await;
                    None
                });
                match received.await {
                    Some(message) => {
                        assert_eq!(message, next.to_be_bytes(), "{transport:?}");
                        next += 1;
                        // Only now is the next one sent, so that receiving always begins with nothing there.
                        go_on.send(()).unwrap();
                    }
                    None => dropped += 1,
                }
            }
        });
        sender.join().unwrap();
        assert!(dropped > 0, "the race was never lost, so nothing was tested");
        assert!(pull.try_recv().is_err());
    }
}

#[test]
fn receives_that_time_out_lose_nothing() {
    for transport in Transport::ALL {
        let (push, pull) = (Push::new(), Pull::new());
        marry(&push, &pull, transport);
        let sender = thread::spawn(move || {
            for at in 0..200u32 {
                // Somewhat slower than the receiver is patient.
                thread::park_timeout(Duration::from_millis(2));
                push.send_timeout(at.to_be_bytes(), LONG).unwrap();
            }
        });
        let mut late = 0;
        on_tokio(0).block_on(async {
            let mut next = 0u32;
            while next < 200 {
                match tokio::time::timeout(Duration::from_millis(1), pull.recv_async()).await {
                    Ok(message) => {
                        assert_eq!(message.unwrap(), next.to_be_bytes());
                        next += 1;
                    }
                    Err(_) => late += 1,
                }
            }
        });
        sender.join().unwrap();
        assert!(late > 0);
    }
}

#[test]
fn a_dropped_send_was_not_sent_and_one_that_is_ready_was() {
    for transport in Transport::ALL {
        let (push, pull) = (
            Push::builder().send_hwm(2).build(),
            Pull::builder().recv_hwm(2).build(),
        );
        marry(&push, &pull, transport);
        let receiver = thread::spawn(move || {
            let mut got = Vec::new();
            loop {
                let message = recv(&pull);
                if message == "end" {
                    return got;
                }
                got.push(u32::from_be_bytes(message[0][..].try_into().unwrap()));
            }
        });
        let mut sent = Vec::new();
        block_on(async {
            for at in 0..COUNT {
                let sending = async { push.send_async(at.to_be_bytes()).await.is_ok() };
                let giving_up = async {
                    yield_now().await;
                    false
                };
                if or(sending, giving_up).await {
                    sent.push(at);
                }
            }
            push.send_async("end").await.unwrap();
        });
        assert_eq!(receiver.join().unwrap(), sent, "{transport:?}");
        assert_eq!(push.stats().total.accepted.messages, sent.len() as u64 + 1);
    }
}

#[test]
fn a_dropped_waiter_passes_the_word_on() {
    // Two tasks wait, one message comes, and the task that was told is dropped before it looks.
    for transport in Transport::ALL {
        let (push, pull) = (Push::new(), Pull::new());
        marry(&push, &pull, transport);
        for round in 0..200u32 {
            let other = pull.clone();
            let waiter = thread::spawn(move || block_on(other.recv_async()).unwrap());
            let mut first = Box::pin(pull.recv_async());
            let polled = block_on(async {
                std::future::poll_fn(|context| Poll::Ready(first.as_mut().poll(context))).await
            });
            assert!(polled.is_pending());
            push.send(round.to_be_bytes()).unwrap();
            drop(first);
            assert_eq!(waiter.join().unwrap(), round.to_be_bytes(), "{transport:?}");
        }
    }
}

#[test]
fn many_tasks_share_a_socket() {
    const TASKS: u32 = 50;
    const EACH: u32 = 40;
    for transport in Transport::ALL {
        let (push, pull) = (
            Push::builder().send_hwm(5).build(),
            Pull::builder().recv_hwm(5).build(),
        );
        marry(&push, &pull, transport);
        let mut got = on_tokio(2).block_on(async {
            let mut receivers = Vec::new();
            for task in 0..TASKS {
                let (push, pull) = (push.clone(), pull.clone());
                tokio::spawn(async move {
                    for at in 0..EACH {
                        push.send_async((task * EACH + at).to_be_bytes()).await.unwrap();
                    }
                });
                receivers.push(tokio::spawn(async move {
                    let mut got = Vec::new();
                    for _ in 0..EACH {
                        let message = pull.recv_async().await.unwrap();
                        got.push(u32::from_be_bytes(message[0][..].try_into().unwrap()));
                    }
                    got
                }));
            }
            let mut all = Vec::new();
            for receiver in receivers {
                all.extend(tokio::time::timeout(LONG, receiver).await.unwrap().unwrap());
            }
            all
        });
        got.sort_unstable();
        assert!(got.into_iter().eq(0..TASKS * EACH), "{transport:?}");
    }
}

#[test]
fn threads_and_tasks_share_a_socket() {
    for transport in Transport::ALL {
        let (push, pull) = (
            Push::builder().send_hwm(5).build(),
            Pull::builder().recv_hwm(5).build(),
        );
        marry(&push, &pull, transport);
        let (async_push, async_pull) = (push.clone(), pull.clone());
        let sender =
            thread::spawn(move || (0..COUNT).for_each(|_| push.send_timeout("thread", LONG).unwrap()));
        let async_sender = thread::spawn(move || {
            block_on(async {
                for _ in 0..COUNT {
                    async_push.send_async("task").await.unwrap();
                }
            });
        });
        let async_receiver = thread::spawn(move || {
            block_on(async {
                let mut got = Vec::new();
                for _ in 0..COUNT {
                    got.push(async_pull.recv_async().await.unwrap());
                }
                got
            })
        });
        let mut got: Vec<Message> = (0..COUNT).map(|_| recv(&pull)).collect();
        got.extend(async_receiver.join().unwrap());
        sender.join().unwrap();
        async_sender.join().unwrap();
        let of_threads = got.iter().filter(|message| **message == "thread").count();
        assert_eq!(
            (got.len(), of_threads),
            (2 * COUNT as usize, COUNT as usize),
            "{transport:?}"
        );
    }
}

#[test]
fn closing_ends_tasks_that_wait() {
    for transport in Transport::ALL {
        let (push, pull) = (Push::new(), Pull::new());
        push.bind(transport.anywhere()).unwrap();
        pull.bind(transport.anywhere()).unwrap();
        let (sending, receiving) = (push.clone(), pull.clone());
        let waiting = thread::spawn(move || {
            block_on(zip(async { sending.send_async("never").await }, async {
                receiving.recv_async().await
            }))
        });
        push.close();
        pull.close();
        let ends = waiting.join().unwrap();
        assert_eq!(
            ends,
            (
                Err(SendError::Closed(Message::from("never"))),
                Err(RecvError::Closed)
            )
        );
    }
}

#[test]
fn a_task_reads_the_monitor() {
    let pull = Pull::new();
    let monitor = pull.monitor();
    let reader = thread::spawn(move || {
        block_on(async {
            let mut names = Vec::new();
            while let Ok(event) = monitor.recv_async().await {
                names.push(name(&event));
                if matches!(event, Event::SocketClosed { .. }) {
                    break;
                }
            }
            names
        })
    });
    pull.bind("tcp://127.0.0.1:0").unwrap();
    pull.close();
    assert_eq!(reader.join().unwrap(), ["Listening", "Closed", "SocketClosed"]);
}

/// A ROUTER that connects learns whom it talks to at the end of the handshake. What the peer says in the same breath is
/// in the pipe before that, and would be found by those who look, but has to be told to those who wait.
#[test]
fn a_message_in_one_piece_with_ready_wakes_a_router_that_connects() {
    for transport in Transport::WIRED {
        let listener = RawListener::bind(transport);
        let router = Router::new();
        router.connect(listener.endpoint()).unwrap();
        let peer = thread::spawn(move || {
            let mut peer = listener.accept();
            peer.say(&GREETING).hear_greeting();
            peer.say(&[ready_of("DEALER"), frame(0, b"early")].concat());
            peer
        });
        let (_, message) = block_on(router.recv_async()).unwrap();
        assert_eq!(message, "early");
        drop(peer.join().unwrap());
    }
}
