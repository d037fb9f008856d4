//! Executors that run the connections themselves: `block_on`, and drivers among the tasks of tokio and async-io.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod support;

use std::collections::HashSet;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use aqueduct::{Context, Dealer, Interest, Poller, Pull, Push, ReadyList, Rep, Req, Router, block_on};
use futures_lite::future::{yield_now, zip};
use support::*;

const COUNT: u32 = 2000;

/// Sockets of a context of their own, so that a test has its reactor for itself.
fn linked(context: &Context, transport: Transport) -> (Push, Pull) {
    let push = Push::builder().context(context).send_hwm(10).build();
    let pull = Pull::builder().context(context).recv_hwm(10).build();
    let endpoint = pull.bind(transport.anywhere()).unwrap();
    push.connect(&endpoint).unwrap();
    (push, pull)
}

/// One task sends numbers, another receives them.
async fn exchange(push: &Push, pull: &Pull) {
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
}

/// Runs something that must end; if it hangs, says so.
fn in_time<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = std::sync::mpsc::channel();
    let thread = thread::spawn(move || done.send(run()).unwrap());
    let result = result.recv_timeout(LONG).expect("it hangs, or has panicked");
    thread.join().unwrap();
    result
}

#[test]
fn block_on_runs_the_connections_of_what_it_waits_for() {
    for transport in Transport::ALL {
        in_time(move || {
            let context = Context::new(1);
            let (push, pull) = linked(&context, transport);
            context.block_on(exchange(&push, &pull));
        });
    }
}

#[test]
fn block_on_is_woken_from_other_threads() {
    in_time(|| {
        let (complete, receiver) = futures_channel();
        let other = thread::spawn(complete);
        assert_eq!(block_on(receiver), 7);
        other.join().unwrap();
    });
}

/// A future that another thread completes.
fn futures_channel() -> (impl FnOnce() + Send, impl Future<Output = u32>) {
    let shared = Arc::new(Mutex::new((None, None::<std::task::Waker>)));
    let theirs = Arc::clone(&shared);
    let complete = move || {
        let mut state = theirs.lock().unwrap();
        state.0 = Some(7);
        let waker = state.1.take();
        drop(state);
        waker.into_iter().for_each(std::task::Waker::wake);
    };
    let wait = std::future::poll_fn(move |task| {
        let mut state = shared.lock().unwrap();
        match state.0 {
            Some(value) => std::task::Poll::Ready(value),
            None => {
                state.1 = Some(task.waker().clone());
                std::task::Poll::Pending
            }
        }
    });
    (complete, wait)
}

#[test]
fn block_on_within_block_on_and_blocking_verbs_within_both() {
    in_time(|| {
        let context = Context::new(1);
        let (push, pull) = linked(&context, Transport::Tcp);
        context.block_on(async {
            push.send_async("1").await.unwrap();
            assert_eq!(context.block_on(pull.recv_async()).unwrap(), "1");
            push.send("2").unwrap();
            assert_eq!(pull.recv().unwrap(), "2");
            yield_now().await;
            push.send("3").unwrap();
            assert_eq!(pull.recv_async().await.unwrap(), "3");
        });
    });
}

#[test]
fn a_future_that_panicked_leaves_nothing_behind_in_its_thread() {
    in_time(|| {
        let context = Context::new(1);
        let (push, pull) = linked(&context, Transport::Tcp);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            context.block_on(async { panic!("of the application's own") })
        }));
        assert!(panicked.is_err());
        // The I/O thread must know that it is needed now.
        pollster::block_on(exchange(&push, &pull));
    });
}

#[test]
fn each_io_thread_has_one_driver_at_a_time() {
    let context = Context::new(2);
    let first = context.driver().unwrap();
    let second = context.driver().unwrap();
    assert_eq!(context.driver().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert_ne!(first.as_raw_fd(), second.as_raw_fd());
    drop(second);
    let again = context.driver().unwrap();
    assert_eq!(context.driver().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    drop((first, again));
}

/// A loop of somebody else's: tokio's poll of one thread.
fn on_tokio<T>(context: &Context, run: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let driver = tokio::spawn(context.driver().unwrap().on_tokio());
        let output = run.await;
        driver.abort();
        output
    })
}

fn on_async_io<T>(context: &Context, run: impl Future<Output = T>) -> T {
    let executor = async_executor::LocalExecutor::new();
    async_io::block_on(executor.run(async {
        let driver = executor.spawn(context.driver().unwrap().on_async_io());
        let output = run.await;
        driver.cancel().await;
        output
    }))
}

#[test]
fn tasks_on_tokio_run_the_connections() {
    for transport in Transport::ALL {
        in_time(move || {
            let context = Context::new(1);
            let (push, pull) = linked(&context, transport);
            on_tokio(&context, exchange(&push, &pull));
            // Without a driver again.
            pollster::block_on(exchange(&push, &pull));
        });
    }
}

#[test]
fn tasks_on_async_io_run_the_connections() {
    for transport in Transport::ALL {
        in_time(move || {
            let context = Context::new(1);
            let (push, pull) = linked(&context, transport);
            on_async_io(&context, exchange(&push, &pull));
            pollster::block_on(exchange(&push, &pull));
        });
    }
}

#[test]
fn a_driver_serves_a_poller_of_levels() {
    in_time(|| {
        let (context, other) = (Context::new(1), Context::new(1));
        let (push, pull) = linked(&context, Transport::Tcp);
        let driver = context.driver().unwrap();
        let poller = Poller::new();
        // The poller watches with an event loop of the default context; this one is of another.
        drop(other);
        poller.add_fd(&driver, 1, Interest::READABLE).unwrap();
        let mut ready = ReadyList::default();
        for at in 0..COUNT {
            while push.try_send(at.to_be_bytes()).is_err() {
                poller.wait(&mut ready, None);
                driver.turn();
            }
            loop {
                match pull.try_recv() {
                    Ok(message) => {
                        assert_eq!(message, at.to_be_bytes());
                        break;
                    }
                    Err(_) => {
                        poller.wait(&mut ready, None);
                        driver.turn();
                    }
                }
            }
        }
    });
}

/// The task that receives is woken by the thread that turns the loop: that of the executor.
#[test]
fn no_message_is_handed_over_by_another_thread() {
    in_time(|| {
        let context = Context::new(1);
        let (push, pull) = linked(&context, Transport::Tcp);
        let woken_in = Arc::new(Mutex::new(HashSet::new()));
        let seen = Arc::clone(&woken_in);
        on_tokio(&context, async move {
            push.wait_for_peers_async(1).await.unwrap();
            for _ in 0..100 {
                push.send_async("x").await.unwrap();
                let mut received = std::pin::pin!(pull.recv_async());
                std::future::poll_fn(|task| {
                    let noting = Noting {
                        inner: task.waker().clone(),
                        threads: Arc::clone(&seen),
                    };
                    let waker = std::task::Waker::from(Arc::new(noting));
                    received
                        .as_mut()
                        .poll(&mut std::task::Context::from_waker(&waker))
                })
                .await
                .unwrap();
            }
        });
        let woken_in = woken_in.lock().unwrap();
        assert!(
            woken_in.iter().all(|thread| *thread == thread::current().id()) && !woken_in.is_empty(),
            "woken in {woken_in:?}"
        );
    });
}

/// A waker that notes where it is called.
struct Noting {
    inner: std::task::Waker,
    threads: Arc<Mutex<HashSet<ThreadId>>>,
}

impl std::task::Wake for Noting {
    fn wake(self: Arc<Self>) {
        self.threads.lock().unwrap().insert(thread::current().id());
        self.inner.wake_by_ref();
    }
}

#[test]
fn blocking_callers_share_the_loop_with_a_driver() {
    in_time(|| {
        let context = Context::new(1);
        let rep = Rep::builder().context(&context).build();
        let endpoint = rep.bind("tcp://127.0.0.1:0").unwrap();
        let req = Req::builder().context(&context).build();
        req.connect(&endpoint).unwrap();
        let asking = thread::spawn(move || {
            for at in 0..COUNT {
                req.send(at.to_be_bytes()).unwrap();
                assert_eq!(req.recv().unwrap(), at.to_be_bytes());
            }
        });
        on_tokio(&context, async {
            for _ in 0..COUNT {
                let (message, reply) = rep.recv_async().await.unwrap();
                reply.send_async(message).await.unwrap();
            }
        });
        asking.join().unwrap();
    });
}

/// The clock of an attended loop is the I/O thread: here that of the pause before a second attempt to connect.
#[test]
fn timers_go_off_while_an_executor_drives() {
    in_time(|| {
        let context = Context::new(1);
        let router = Router::builder().context(&context).build();
        let endpoint = router.bind("tcp://127.0.0.1:0").unwrap();
        router.unbind(&endpoint).unwrap();
        let dealer = Dealer::builder()
            .context(&context)
            .reconnect_interval(Some(Duration::from_millis(20)))
            .build();
        on_tokio(&context, async {
            let monitor = dealer.monitor();
            dealer.connect(&endpoint).unwrap();
            // It has failed once, and only a timer makes it try again.
            loop {
                if let aqueduct::Event::ConnectFailed { .. } = monitor.recv_async().await.unwrap() {
                    break;
                }
            }
            router.bind(&endpoint).unwrap();
            dealer.wait_for_peers_async(1).await.unwrap();
        });
    });
}
