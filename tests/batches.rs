//! The verbs for many messages do what the verbs for one would do, one after the other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod support;

use std::thread;
use std::time::Duration;

use aqueduct::{Message, Pub, Pull, Push, RecvError, SendManyError, Sub, TryRecvError};
use futures_lite::future::zip;
use support::*;

const COUNT: u32 = 5000;

fn number(at: u32) -> Message {
    Message::from(at.to_be_bytes())
}

fn numbers(range: std::ops::Range<u32>) -> impl Iterator<Item = Message> + Send {
    range.map(number)
}

/// A pair with queues shorter than a batch, so that sending has to wait in the middle of one.
fn linked(transport: Transport) -> (Push, Pull) {
    let push = Push::builder().send_hwm(20).build();
    let pull = Pull::builder().recv_hwm(20).build();
    push.connect(pull.bind(transport.anywhere()).unwrap()).unwrap();
    push.wait_for_peers(1, LONG).unwrap();
    (push, pull)
}

#[test]
fn many_go_through_short_queues_in_order() {
    for transport in Transport::ALL {
        let (push, pull) = linked(transport);
        let sending = thread::spawn(move || {
            assert_eq!(push.send_many(numbers(0..COUNT)).unwrap(), COUNT as usize);
            push.close()
        });
        let mut received = Vec::new();
        while received.len() < COUNT as usize {
            let count = pull.recv_many(&mut received, 33).unwrap();
            assert!((1..=33).contains(&count), "{count}");
        }
        assert!(received.iter().cloned().eq(numbers(0..COUNT)));
        let report = sending.join().unwrap();
        assert!(report.returned.is_empty() && report.total.adds_up());
        assert_eq!(report.total.accepted.messages, u64::from(COUNT));
        assert_eq!(pull.stats().total.received.messages, u64::from(COUNT));
    }
}

#[test]
fn many_go_through_in_tasks() {
    for transport in Transport::ALL {
        let (push, pull) = linked(transport);
        let sending = async { push.send_many_async(numbers(0..COUNT)).await.unwrap() };
        let receiving = async {
            let mut received = Vec::new();
            while received.len() < COUNT as usize {
                pull.recv_many_async(&mut received, 1000).await.unwrap();
            }
            received
        };
        let (sent, received) = pollster::block_on(zip(sending, receiving));
        assert_eq!(sent, COUNT as usize);
        assert!(received.into_iter().eq(numbers(0..COUNT)));
    }
}

#[test]
fn what_was_not_sent_is_in_the_error_or_still_in_the_iterator() {
    let push = Push::builder().send_hwm(100).build();
    push.connect("inproc://nobody").unwrap();
    let mut messages = numbers(0..1000);
    let error = push.try_send_many(&mut messages).unwrap_err();
    assert!(matches!(error, SendManyError::Full { .. }), "{error:?}");
    assert_eq!(error.sent(), 100);
    let rest: Vec<_> = error.into_unsent().into_iter().chain(messages).collect();
    assert!(rest.into_iter().eq(numbers(100..1000)));

    let error = push
        .send_many_timeout(numbers(0..1), Duration::from_millis(1))
        .unwrap_err();
    assert_eq!(error.into_unsent(), [number(0)]);
    assert_eq!(push.stats().total.accepted.messages, 100);
}

#[test]
fn nothing_is_sent_or_received_after_the_end() {
    let (push, pull) = linked(Transport::Inproc);
    let others = (push.clone(), pull.clone());
    push.close();
    pull.close();
    let error = others.0.send_many(numbers(0..3)).unwrap_err();
    assert!(
        matches!(&error, SendManyError::Closed { sent: 0, .. }),
        "{error:?}"
    );
    assert!(error.into_unsent().into_iter().eq(numbers(0..3)));
    let mut received = Vec::new();
    assert_eq!(others.1.recv_many(&mut received, 1), Err(RecvError::Closed));
    assert_eq!(
        others.1.try_recv_many(&mut received, 1),
        Err(TryRecvError::Closed)
    );
}

#[test]
fn what_is_here_is_received_and_nothing_is_waited_for_beyond() {
    let (push, pull) = linked(Transport::Inproc);
    let mut received = vec![Message::from("before")];
    assert_eq!(pull.try_recv_many(&mut received, 10), Err(TryRecvError::Empty));
    assert_eq!(
        pull.recv_many_timeout(&mut received, 10, Duration::from_millis(1)),
        Err(RecvError::Timeout)
    );
    push.send_many(numbers(0..7)).unwrap();
    assert_eq!(pull.recv_many(&mut received, 0), Ok(0));
    assert_eq!(pull.recv_many(&mut received, 5), Ok(5));
    assert_eq!(pull.recv_many(&mut received, 5), Ok(2));
    let expected = std::iter::once(Message::from("before")).chain(numbers(0..7));
    assert!(received.into_iter().eq(expected), "appended, in order");
}

/// The iterator is the application's, and may do anything; so it is not asked while a lock is held.
#[test]
fn an_iterator_may_use_the_socket() {
    let (push, pull) = linked(Transport::Inproc);
    let echoed = (0..10_u32).map(|at| {
        push.send(number(at)).unwrap();
        pull.recv().unwrap()
    });
    assert_eq!(push.send_many(echoed).unwrap(), 10);
    let mut received = Vec::new();
    pull.recv_many(&mut received, 10).unwrap();
    assert!(received.into_iter().eq(numbers(0..10)));
}

/// Messages of a batch are spread over peers as single ones are.
#[test]
fn a_batch_is_shared_out() {
    let push = Push::new();
    let endpoint = push.bind("inproc://shared-out").unwrap();
    let pulls = [Pull::new(), Pull::new()];
    for pull in &pulls {
        pull.connect(&endpoint).unwrap();
    }
    push.wait_for_peers(2, LONG).unwrap();
    push.send_many(numbers(0..100)).unwrap();
    for pull in &pulls {
        let mut received = Vec::new();
        assert_eq!(pull.recv_many(&mut received, 100), Ok(50));
    }
}

#[test]
fn a_batch_is_published_to_those_who_want_it() {
    let publisher = Pub::new();
    let endpoint = publisher.bind("tcp://127.0.0.1:0").unwrap();
    let sub = Sub::new();
    sub.connect(&endpoint).unwrap();
    sub.subscribe("odd").unwrap();
    publisher.wait_for_subscribers("odd", 1, LONG).unwrap();
    let topics = (0..100).map(|at| {
        if at % 2 == 1 {
            format!("odd {at}")
        } else {
            format!("even {at}")
        }
    });
    publisher.send_many(topics).unwrap();
    let mut received = Vec::new();
    while received.len() < 50 {
        sub.recv_many(&mut received, 50).unwrap();
    }
    let expected = (0..100).filter(|at| at % 2 == 1).map(|at| format!("odd {at}"));
    assert!(received.into_iter().eq(expected.map(Message::from)));
}
