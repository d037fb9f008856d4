//! Whoever waits is told when what they wait for has come, whoever has brought it about and however.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod support;

use std::thread;
use std::time::Duration;

use aqueduct::{
    Interest, Pair, Poller, Pub, Pull, ReadyList, Rep, Req, ReqRecvError, Router, RoutingId, SlowPolicy, Sub,
    XPub, XPubEvent,
};
use support::*;

/// A publisher that waits for a slow subscriber goes on when that one does not want the message any more.
#[test]
fn a_publisher_does_not_wait_for_whom_the_message_is_not_for_any_more() {
    for transport in Transport::ALL {
        let publisher = Pub::builder()
            .slow_subscribers(SlowPolicy::Block)
            .linger(Some(Duration::ZERO))
            .send_hwm(1)
            .send_buffer(Some(4096))
            .build();
        let endpoint = publisher.bind(transport.anywhere()).unwrap();
        let slow = Sub::builder().recv_hwm(1).recv_buffer(Some(4096)).build();
        slow.subscribe("x").unwrap();
        slow.connect(&endpoint).unwrap();
        publisher.wait_for_subscribers("x", 1, LONG).unwrap();
        while publisher.send_timeout(vec![b'x'; 2000], A_WHILE).is_ok() {}
        let sent = wait_before(publisher.send_async("x"), || {
            slow.unsubscribe("x");
        });
        sent.unwrap();
    }
}

/// The same when the application of a manual XPUB decides so.
#[test]
fn a_manual_publisher_does_not_wait_for_whom_it_has_cancelled() {
    let publisher = XPub::builder()
        .slow_subscribers(SlowPolicy::Block)
        .manual(true)
        .send_hwm(1)
        .build();
    publisher.bind("inproc://wakes-manual").unwrap();
    let slow = Sub::builder().recv_hwm(1).build();
    slow.subscribe("x").unwrap();
    slow.connect("inproc://wakes-manual").unwrap();
    let XPubEvent::Subscribe { subscriber, topic } = publisher.recv().unwrap() else {
        panic!()
    };
    assert!(publisher.subscribe(subscriber, &topic));
    while publisher.send_timeout("x", A_WHILE).is_ok() {}
    let sent = wait_before(publisher.send_async("x"), || {
        assert!(publisher.cancel(subscriber, &topic));
    });
    sent.unwrap();
}

/// With inverted matching, who cancels is one more to send to.
#[test]
fn subscribers_are_waited_for_with_inverted_matching_too() {
    for transport in Transport::ALL {
        let publisher = Pub::builder().invert_matching(true).build();
        let endpoint = publisher.bind(transport.anywhere()).unwrap();
        let sub = Sub::builder().invert_matching(true).build();
        sub.subscribe("x").unwrap();
        sub.connect(&endpoint).unwrap();
        publisher.wait_for_peers(1, LONG).unwrap();
        eventually("the subscription is here", || publisher.subscribers("x") == 0);
        let came = wait_before(publisher.wait_for_subscribers_async("x", 1), || {
            sub.unsubscribe("x");
        });
        came.unwrap();
    }
}

/// A ROUTER can send to whom it has named as soon as it has connected, though nobody is there yet.
#[test]
fn a_poller_sees_that_a_router_has_somewhere_to_send_to() {
    let router = Router::builder().linger(Some(Duration::ZERO)).build();
    let (vacant, _kept) = Transport::Tcp.vacant();
    let (poller, mut ready) = (Poller::new(), ReadyList::default());
    poller.add(&router, 7, Interest::WRITABLE).unwrap();
    assert_eq!(poller.wait(&mut ready, Some(Duration::ZERO)), 0);
    let id = RoutingId::new("them").unwrap();
    router.connect_with_id(&vacant, id.clone()).unwrap();
    assert_eq!(poller.wait(&mut ready, Some(LONG)), 1);
    router.try_send(&id, "hello").unwrap();
}

/// What is asked of a name that is then bound by somebody who does not answer is lost, not waited for.
#[test]
fn a_request_is_lost_if_the_name_that_it_waits_for_is_bound_by_another_type() {
    let req = Req::new();
    let monitor = req.monitor();
    req.connect("inproc://wakes-late").unwrap();
    req.send("anybody?").unwrap();
    let pull = Pull::new();
    let heard = wait_before(req.recv_async(), || {
        pull.bind("inproc://wakes-late").unwrap();
    });
    assert_eq!(heard, Err(ReqRecvError::PeerLost));
    await_end(&monitor);
}

/// A PAIR whose peer leaves turns to the one that waits, and so does who waits to send.
#[test]
fn a_pair_that_waits_to_send_turns_to_its_next_peer() {
    for transport in Transport::ALL {
        let pair = Pair::builder()
            .send_hwm(1)
            .reconnect_interval(Some(Duration::from_millis(5)))
            .build();
        let first = Pair::builder().recv_hwm(1).build();
        let first_endpoint = first.bind(transport.anywhere()).unwrap();
        let next = Pair::new();
        pair.connect(&first_endpoint).unwrap();
        pair.wait_for_peers(1, LONG).unwrap();
        pair.connect(next.bind(transport.anywhere()).unwrap()).unwrap();
        while pair.send_timeout(vec![0; 100_000], A_WHILE).is_ok() {}
        let sent = wait_before(pair.send_async("to the next"), || {
            pair.disconnect(&first_endpoint).unwrap();
            drop(first);
        });
        sent.unwrap();
        assert_eq!(next.recv_timeout(LONG).unwrap(), "to the next", "{transport:?}");
    }
}

/// Two threads that ask by one REQ take turns, whatever becomes of the requests.
#[test]
fn threads_that_share_a_req_take_turns() {
    let rep = Rep::new();
    let endpoint = rep.bind("tcp://127.0.0.1:0").unwrap();
    let server = thread::spawn(move || {
        let mut count = 0;
        while let Ok((request, reply)) = rep.recv() {
            count += 1;
            // Every fourth is left unanswered.
            if request == "end" {
                return reply.send(request).unwrap();
            } else if count % 4 == 0 {
                drop(reply);
            } else {
                reply.send(request).unwrap();
            }
        }
    });
    let req = Req::builder()
        .reply_timeout(Some(Duration::from_millis(50)))
        .resends(20)
        .build();
    req.connect(&endpoint).unwrap();
    let askers: Vec<_> = (0..4)
        .map(|asker| {
            let req = req.clone();
            thread::spawn(move || {
                for at in 0..10 {
                    let request = format!("{asker} {at}");
                    assert_eq!(req.request(request.as_str()).unwrap(), request);
                }
            })
        })
        .collect();
    askers.into_iter().for_each(|asker| asker.join().unwrap());
    assert_eq!(req.request("end").unwrap(), "end");
    server.join().unwrap();
}
