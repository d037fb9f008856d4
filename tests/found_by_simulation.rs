//! What the simulation has found wrong, as scripts between real sockets. Each test is named after what once happened.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod support;

use aqueduct::{Dealer, Message, Pub, Router, SlowPolicy, Sub, Verbosity, XPub, XPubEvent};
use support::*;

#[test]
fn a_router_that_waited_before_it_connected_did_not_hear_its_peer() {
    for transport in Transport::ALL {
        let dealer = Dealer::new();
        let endpoint = dealer.bind(transport.anywhere()).unwrap();
        let router = Router::new();
        let received = wait_before(router.recv_async(), || {
            router.connect(&endpoint).unwrap();
            router.wait_for_peers(1, LONG).unwrap();
            dealer.send("hello").unwrap();
        });
        assert_eq!(received.unwrap().1, "hello", "{transport:?}");
    }
}

/// A verbose XPUB, of which two have wanted the same and do not any more before anything was received.
fn told_by_verbose(verbosity: Verbosity, transport: Transport) -> Vec<bool> {
    let xpub = XPub::builder().verbose(verbosity).build();
    let endpoint = xpub.bind(transport.anywhere()).unwrap();
    let subs = [Sub::new(), Sub::new()];
    for (sub, count) in subs.iter().zip(1..) {
        sub.connect(&endpoint).unwrap();
        sub.subscribe("a").unwrap();
        xpub.wait_for_subscribers("a", count, LONG).unwrap();
    }
    for (sub, count) in subs.iter().zip([1, 0]) {
        sub.unsubscribe("a");
        eventually("a cancellation is here", || xpub.subscribers("a") == count);
    }
    let events = std::iter::from_fn(|| xpub.try_recv().ok());
    events
        .map(|event| matches!(event, XPubEvent::Subscribe { .. }))
        .collect()
}

#[test]
fn a_verbose_xpub_told_of_a_subscription_and_never_of_its_end() {
    for transport in Transport::ALL {
        let told = told_by_verbose(Verbosity::Subscriptions, transport);
        assert_eq!(told, [true, true, false], "{transport:?}");
    }
}

#[test]
fn an_xpub_that_tells_all_told_of_more_cancellations_than_subscriptions() {
    for transport in Transport::ALL {
        let told = told_by_verbose(Verbosity::All, transport);
        assert_eq!(told, [true, true, false, false], "{transport:?}");
    }
}

#[test]
fn what_a_conflating_subscriber_replaced_was_not_counted() {
    for transport in Transport::ALL {
        let publisher = Pub::new();
        let endpoint = publisher.bind(transport.anywhere()).unwrap();
        let sub = Sub::builder().conflate(true).build();
        sub.subscribe("").unwrap();
        sub.connect(&endpoint).unwrap();
        publisher.wait_for_subscribers("", 1, LONG).unwrap();
        for _ in 0..10 {
            publisher.send("new").unwrap();
        }
        eventually("each message is counted by one of both", || {
            let (there, here) = (publisher.stats().total, sub.stats().total);
            there.dropped.total() + here.discarded + here.unread == 10
        });
        assert_eq!(sub.recv().unwrap(), "new");
        assert!(publisher.stats().total.adds_up());
    }
}

#[test]
fn a_publisher_waited_for_a_subscriber_that_did_not_want_the_message_any_more() {
    // Over inproc nothing but the subscriber makes room.
    let transport = Transport::Inproc;
    let publisher = Pub::builder()
        .slow_subscribers(SlowPolicy::Block)
        .send_hwm(1)
        .build();
    let endpoint = publisher.bind(transport.anywhere()).unwrap();
    let sub = Sub::builder().recv_hwm(1).build();
    sub.subscribe("x").unwrap();
    sub.connect(&endpoint).unwrap();
    publisher.wait_for_subscribers("x", 1, LONG).unwrap();
    while publisher.try_send("x").is_ok() {}
    let sent = wait_before(publisher.send_async(Message::from("x")), || {
        assert!(sub.unsubscribe("x"));
    });
    sent.unwrap();
}
