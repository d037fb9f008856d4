//! Subscribers that are slower than their publishers, across the libraries: what is dropped is counted, or nothing is.

use std::thread;
use std::time::Duration;

use aqueduct::{Buildable, Builder, DropReason, Pub, SlowPolicy, Sub};
use aqueduct_interop::{
    Classic, Form, Frames, LONG, Library, Link, Publisher, Subscriber, Wired, await_loss, bounded, frames,
    keen, message, words,
};

/// How long to wait before trying once more.
const MOMENT: Duration = Duration::from_millis(10);

/// Makes a publisher of ours with little room for each subscriber.
fn narrow<S: Buildable>(builder: Builder<S>) -> Builder<S> {
    keen(builder).send_hwm(10).send_buffer(Some(4096))
}

/// Makes a subscriber of libzmq with little room.
fn narrow_sub() -> Classic {
    Classic::with(zmq::SUB, |socket| {
        socket.set_rcvhwm(10)?;
        socket.set_rcvbuf(4096)
    })
}

/// A message that is known by its number, and takes some room.
fn numbered(number: u32) -> Frames {
    vec![b"x".to_vec(), number.to_be_bytes().to_vec(), vec![7; 2_000]]
}

fn number_of(frames: &Frames) -> u32 {
    u32::from_be_bytes(frames[1][..].try_into().expect("a number"))
}

/// Connects a subscriber of libzmq to a publisher of ours, and returns when it is heard on `x`.
fn subscribe(link: Link, publisher: &Pub, sub: &Classic) -> Wired {
    let wired = link.bind(publisher);
    sub.subscribe(b"x");
    sub.connect(&wired.endpoint);
    publisher.wait_for_subscribers("x", 1, LONG).unwrap();
    wired
}

/// Publishes until so many were dropped for this reason; returns how many were published.
fn flood(publisher: &Pub, reason: DropReason) -> u32 {
    let mut sent = 0;
    while publisher.stats().total.dropped.of(reason) < 100 {
        publisher.send(message(&numbered(sent))).unwrap();
        sent += 1;
    }
    sent
}

#[test]
fn what_a_slow_classic_sub_has_no_room_for_is_counted() {
    Link::each(|link| {
        for policy in [SlowPolicy::DropNewest, SlowPolicy::DropOldest] {
            let publisher = narrow(Pub::builder()).slow_subscribers(policy).build();
            let slow = narrow_sub();
            let _wired = subscribe(link, &publisher, &slow);
            let sent = flood(&publisher, DropReason::SlowPeer);
            let total = publisher.stats().total;
            let lost = u32::try_from(total.dropped.total()).unwrap();
            assert!(total.adds_up(), "{total:?}");
            assert_eq!(total.accepted.messages, u64::from(sent));
            let numbers: Vec<_> = (0..sent - lost).map(|_| number_of(&slow.recv_frames())).collect();
            assert!(numbers.is_sorted_by(|one, next| one < next));
            assert_eq!(numbers[0], 0);
            assert_eq!(
                numbers.last() == Some(&(sent - 1)),
                policy == SlowPolicy::DropOldest
            );
            publisher.send("x, at last").unwrap();
            assert_eq!(slow.recv(), b"x, at last");
        }
    });
}

/// More than fits in all queues and buffers on the way.
const FLOOD: u32 = 6_000;

#[test]
fn nothing_is_lost_to_a_slow_classic_sub_that_our_publisher_waits_for() {
    Link::each(|link| {
        let builder = narrow(Pub::builder()).slow_subscribers(SlowPolicy::Block);
        let (publisher, slow) = (builder.build(), narrow_sub());
        let _wired = subscribe(link, &publisher, &slow);
        let sender = publisher.clone();
        let sending = thread::spawn(move || {
            for number in 0..FLOOD {
                sender.send(message(&numbered(number))).unwrap();
            }
        });
        for number in 0..FLOOD {
            assert_eq!(number_of(&slow.recv_frames()), number);
        }
        sending.join().unwrap();
        let total = publisher.stats().total;
        assert_eq!((total.handed.messages, total.dropped.total()), (FLOOD.into(), 0));
    });
}

#[test]
fn nothing_is_lost_to_our_slow_sub_that_a_classic_publisher_waits_for() {
    Link::each(|link| {
        let xpub = Classic::switched(zmq::XPUB, zmq_sys::ZMQ_XPUB_NODROP);
        let sub = keen(Sub::builder()).recv_hwm(10).recv_buffer(Some(4096)).build();
        sub.subscribe("x").unwrap();
        let _wired = link.join(&xpub, &sub);
        assert_eq!(xpub.recv(), b"\x01x");
        let sending = thread::spawn(move || {
            (0..FLOOD).for_each(|number| xpub.send_frames(&numbered(number)));
            xpub
        });
        for number in 0..FLOOD {
            assert_eq!(number_of(&words(&sub.recv().unwrap())), number);
        }
        drop(sending.join().unwrap());
    });
}

#[test]
fn our_slow_sub_hears_in_order_what_a_classic_publisher_has_not_dropped() {
    // The cable of the old words would swallow it all.
    let links = [Link::Tcp, Link::Ipc];
    bounded(move || {
        links.into_iter().for_each(|link| {
            let publisher = Publisher::classic(Form::Plain, |socket| {
                socket.set_sndhwm(10)?;
                socket.set_sndbuf(4096)
            });
            let sub = keen(Sub::builder()).recv_hwm(10).recv_buffer(Some(4096)).build();
            let subscriber = Subscriber::from(sub.clone());
            subscriber.subscribe("x");
            let _wired = link.join(&publisher, &subscriber);
            publisher.await_subscriber(b"x", &subscriber);
            (0..FLOOD).for_each(|number| publisher.publish(&numbered(number)));
            let mut heard = Vec::new();
            loop {
                publisher.publish(&frames(&["x", "end"]));
                match sub.recv_timeout(MOMENT).map(|message| words(&message)) {
                    Ok(words) if words[1] == b"end" => break,
                    // The last knocks may still come.
                    Ok(words) if words.len() == 2 => {}
                    Ok(words) => heard.push(number_of(&words)),
                    Err(_) => {}
                }
            }
            assert!(heard.is_sorted_by(|one, next| one < next));
            assert!((1..FLOOD as usize).contains(&heard.len()), "{}", heard.len());
        })
    });
}

#[test]
fn a_slow_classic_sub_that_is_sent_away_comes_back() {
    Link::each(|link| {
        let builder = narrow(Pub::builder()).slow_subscribers(SlowPolicy::Disconnect);
        let (publisher, slow) = (builder.build(), narrow_sub());
        let monitor = publisher.monitor();
        let _wired = subscribe(link, &publisher, &slow);
        let mut sent = 0;
        while publisher.subscribers("x") > 0 {
            publisher.send(message(&numbered(sent))).unwrap();
            sent += 1;
        }
        await_loss(&monitor);
        // A socket of libzmq takes note of its peers when it is used, and what it had received is still there.
        let mut next = 0;
        loop {
            if publisher.subscribers("x") > 0 {
                publisher.send("x, welcome back").unwrap();
            }
            match slow.recv_frames_within(MOMENT) {
                Some(words) if words.len() == 1 => break,
                Some(words) => {
                    assert_eq!(number_of(&words), next);
                    next += 1;
                }
                None => {}
            }
        }
        assert!(next < sent);
        assert!(publisher.stats().total.adds_up());
    });
}

/// Bodies of which each is greater than the one before.
fn growing() -> impl Iterator<Item = Vec<u8>> {
    (0..2_000u32).map(|number| [b"x".to_vec(), number.to_be_bytes().to_vec()].concat())
}

/// Hears growing bodies up to the last. A queue of libzmq that conflates forgets at times to wake its reader, until
/// something more comes.
fn expect_growing(again: impl Fn(Vec<u8>), mut hear_soon: impl FnMut() -> Option<Vec<u8>>) {
    let last = growing().last().expect("some");
    let mut before = Vec::new();
    while before != last {
        match hear_soon() {
            Some(heard) => {
                assert!(before < heard, "what is older comes later");
                before = heard;
            }
            None => again(last.clone()),
        }
    }
}

#[test]
fn a_conflating_subscriber_of_either_library_hears_the_newest() {
    Link::each(|link| {
        let publisher = keen(Pub::builder()).send_hwm(0).build();
        let sub = Classic::with(zmq::SUB, |socket| socket.set_conflate(true));
        let _wired = subscribe(link, &publisher, &sub);
        growing().for_each(|body| publisher.send(body).unwrap());
        let heard = || Some(sub.recv_frames_within(MOMENT)?.remove(0));
        expect_growing(|last| publisher.send(last).unwrap(), heard);

        let xpub = Classic::with(zmq::XPUB, |socket| socket.set_sndhwm(0));
        let sub = keen(Sub::builder()).conflate(true).build();
        sub.subscribe("x").unwrap();
        let _wired = link.join(&xpub, &sub);
        assert_eq!(xpub.recv(), b"\x01x");
        growing().for_each(|body| xpub.send(&body));
        let heard = || Some(words(&sub.recv().unwrap()).remove(0));
        expect_growing(|_| unreachable!("ours waits"), heard);
        assert!(sub.try_recv().is_err());
    });
}

#[test]
fn a_slow_subscriber_of_either_library_hears_the_newest_of_a_conflating_publisher() {
    Link::each(|link| {
        let publisher = narrow(Pub::builder()).conflate(true).build();
        let slow = narrow_sub();
        let _wired = subscribe(link, &publisher, &slow);
        let sent = flood(&publisher, DropReason::Conflated);
        let mut number = 0;
        while number < sent - 1 {
            number = number_of(&slow.recv_frames());
        }
        let total = publisher.stats().total;
        assert!(total.adds_up(), "{total:?}");

        let publisher = Publisher::classic(Form::Plain, |socket| socket.set_conflate(true));
        let subscriber = Subscriber::new(Library::Ours, Form::Plain);
        subscriber.subscribe("x");
        let _wired = link.join(&publisher, &subscriber);
        // libzmq conflates frames, so it cannot knock.
        while subscriber.hear_within(MOMENT).is_none() {
            publisher.publish(&frames(&["x"]));
        }
        growing().for_each(|body| publisher.publish(&[body]));
        let heard = || loop {
            let heard = subscriber.hear_within(MOMENT)?.remove(0);
            if heard != b"x" {
                return Some(heard);
            }
        };
        expect_growing(|last| publisher.publish(&[last]), heard);
    });
}
