//! RFC 29, publish-subscribe: each thing that PUB, XPUB, SUB and XSUB must do or must not do, over each transport.
//!
//! The rules are in our own words, above each script. Where two lines of the RFC say the same of two types, one script
//! shows both.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use aqueduct::{
    DisconnectReason, DropReason, Endpoint, Message, Pub, Push, SendError, SlowPolicy, SocketType, Sub,
    SubscribeError, SubscriberId, TryRouteError, Verbosity, WaitError, XPub, XPubEvent, XSub,
};
use support::*;

rules! {
    each_subscriber_gets_what_it_asked_for_and_nothing_else over Tcp Ipc Inproc;
    topics_are_prefixes_of_the_first_frame_byte_by_byte over Tcp Ipc Inproc;
    messages_arrive_whole_unchanged_and_in_order over Tcp Ipc Inproc;
    whoever_binds_whoever_connects_subscriptions_arrive over Tcp Ipc Inproc;
    a_subscription_counts_and_a_publisher_hears_of_the_last over Tcp Ipc Inproc;
    what_was_sent_before_a_cancellation_was_heard_is_passed_over over Tcp Ipc Inproc;
    publishers_talk_to_nobody_but_subscribers over Tcp Ipc Inproc;
    a_publisher_waits_for_nobody_and_counts_what_it_drops over Tcp Ipc Inproc;
    a_message_that_nobody_wants_is_counted over Tcp Ipc Inproc;
    a_burst_to_several_subscribers_arrives_whole_and_is_counted_at_any_moment over Tcp Ipc Inproc;
    a_publisher_that_connects_keeps_its_queue over Tcp Ipc;
    a_queue_goes_with_the_subscriber_that_connected over Tcp Ipc;
    all_subscriptions_are_told_again_after_a_loss over Tcp Ipc;
    more_subscriptions_than_a_queue_holds_all_arrive over Tcp Ipc Inproc;
    publishers_are_heard_in_turn over Tcp Ipc Inproc;
    a_sub_wants_nothing_before_it_subscribes over Tcp Ipc Inproc;
    a_pub_passes_over_what_is_no_subscription over Tcp Ipc Inproc;
    an_xpub_tells_of_first_and_last over Tcp Ipc Inproc;
    a_verbose_xpub_tells_of_all over Tcp Ipc Inproc;
    an_xpub_takes_back_what_a_lost_subscriber_wanted over Tcp Ipc Inproc;
    a_topic_that_comes_and_goes_unheard_is_not_told_of over Tcp Ipc Inproc;
    an_xpub_delivers_messages_and_starves_no_subscriber over Tcp Ipc Inproc;
    an_xpub_whose_notices_nobody_takes_loses_none over Tcp Ipc Inproc;
    a_manual_xpub_leaves_the_choice_to_its_application over Tcp Ipc Inproc;
    an_xpub_sends_the_last_value_to_one_subscriber over Tcp Ipc Inproc;
    an_xsub_sends_to_all_its_publishers over Tcp Ipc Inproc;
    an_xsub_passes_subscriptions_on over Tcp Ipc Inproc;
    an_xsub_waits_for_nobody over Tcp Ipc Inproc;
    a_welcome_comes_first over Tcp Ipc Inproc;
    matching_can_be_inverted over Tcp Ipc Inproc;
    a_slow_subscriber_may_lose_its_oldest_messages over Tcp Ipc Inproc;
    a_slow_subscriber_may_keep_the_newest_of_each_topic over Tcp Ipc Inproc;
    a_slow_subscriber_may_hold_up_the_publisher over Tcp Ipc Inproc;
    a_slow_subscriber_may_be_sent_away over Tcp Ipc Inproc;
    a_conflating_publisher_keeps_the_newest over Tcp Ipc Inproc;
    a_conflating_subscriber_keeps_the_newest_and_all_its_topics over Tcp Ipc Inproc;
    a_subscriber_of_too_many_topics_is_sent_away over Tcp Ipc Inproc;
    the_halves_of_raw_sockets_work over Tcp Ipc Inproc;
}

fn sub(topics: &[&str]) -> Sub {
    let sub = Sub::builder()
        .reconnect_interval(Some(Duration::from_millis(5)))
        .build();
    topics.iter().for_each(|topic| sub.subscribe(topic).unwrap());
    sub
}

fn recv(sub: &Sub) -> Message {
    sub.recv_timeout(LONG).unwrap()
}

fn texts(sub: &Sub, count: usize) -> Vec<String> {
    (0..count).map(|_| text(&recv(sub))).collect()
}

fn quote(topic: &str, value: &str) -> Message {
    [topic, value].into_iter().collect()
}

/// A publisher bound anywhere, and a subscriber to these topics that it knows of.
fn publisher_with(topics: &[&str], transport: Transport, publisher: Pub) -> (Pub, Sub, Endpoint) {
    let endpoint = publisher.bind(transport.anywhere()).unwrap();
    let sub = sub(topics);
    sub.connect(&endpoint).unwrap();
    for topic in topics {
        publisher.wait_for_subscribers(topic, 1, LONG).unwrap();
    }
    (publisher, sub, endpoint)
}

fn event(xpub: &XPub) -> XPubEvent {
    xpub.recv_timeout(LONG).unwrap()
}

/// An event in short: +topic, -topic, or the message.
fn show(event: &XPubEvent) -> String {
    match event {
        XPubEvent::Subscribe { topic, .. } => format!("+{}", topic.as_str().unwrap()),
        XPubEvent::Cancel { topic, .. } => format!("-{}", topic.as_str().unwrap()),
        XPubEvent::Message { message, .. } => text(message),
        _ => unreachable!(),
    }
}

fn shown(xpub: &XPub, count: usize) -> Vec<String> {
    (0..count).map(|_| show(&event(xpub))).collect()
}

/// An XPUB bound anywhere.
fn xpub(transport: Transport) -> (XPub, Endpoint) {
    let xpub = XPub::new();
    let endpoint = xpub.bind(transport.anywhere()).unwrap();
    (xpub, endpoint)
}

/// Sends until the queue of a subscriber that does not read is full, and some more; returns how many.
fn flood(publisher: &Pub, mut body: impl FnMut(usize) -> Message) -> usize {
    let mut sent = 0;
    while publisher.stats().total.dropped.total() < 100 {
        for _ in 0..50 {
            publisher.send(body(sent)).unwrap();
            sent += 1;
        }
    }
    sent
}

/// A subscriber and a publisher with short queues, so that a test can fill them.
fn narrow(policy: SlowPolicy, topics: &[&str], transport: Transport) -> (Pub, Sub) {
    let publisher = Pub::builder()
        .slow_subscribers(policy)
        .linger(Some(Duration::ZERO))
        .send_hwm(10)
        .send_buffer(Some(4096))
        .build();
    let endpoint = publisher.bind(transport.anywhere()).unwrap();
    let sub = Sub::builder().recv_hwm(1).recv_buffer(Some(4096)).build();
    for topic in topics {
        sub.subscribe(topic).unwrap();
    }
    sub.connect(&endpoint).unwrap();
    for topic in topics {
        publisher.wait_for_subscribers(topic, 1, LONG).unwrap();
    }
    (publisher, sub)
}

/// A message goes to all subscribers that want it, once to each, and to no other.
fn each_subscriber_gets_what_it_asked_for_and_nothing_else(transport: Transport) {
    let (publisher, first, endpoint) = publisher_with(&["a", "ab"], transport, Pub::new());
    let second = sub(&["b"]);
    second.connect(&endpoint).unwrap();
    let all = sub(&[""]);
    all.connect(&endpoint).unwrap();
    publisher.wait_for_subscribers("b", 2, LONG).unwrap();
    for body in ["abc", "b", "c"] {
        publisher.send(body).unwrap();
    }
    publisher.send("a, the end").unwrap();
    publisher.send("b, the end").unwrap();
    assert_eq!(texts(&first, 2), ["abc", "a, the end"]);
    assert_eq!(texts(&second, 2), ["b", "b, the end"]);
    assert_eq!(texts(&all, 5), ["abc", "b", "c", "a, the end", "b, the end"]);
    let total = publisher.stats().total;
    assert!(total.adds_up());
    assert_eq!(total.accepted.messages, 9, "one for each subscriber");
}

/// A topic is compared with the start of the first frame and with nothing else, whatever bytes it has.
fn topics_are_prefixes_of_the_first_frame_byte_by_byte(transport: Transport) {
    let publisher = Pub::new();
    let endpoint = publisher.bind(transport.anywhere()).unwrap();
    let sub = Sub::new();
    let long = vec![b'x'; 255];
    let longest = vec![b'y'; Sub::MAX_TOPIC_LEN];
    for topic in [&[0, 255, 1][..], "häuser".as_bytes(), &long, &longest] {
        sub.subscribe(topic).unwrap();
    }
    sub.connect(&endpoint).unwrap();
    publisher.wait_for_subscribers(&longest, 1, LONG).unwrap();
    let wanted = [
        vec![0, 255, 1],
        vec![0, 255, 1, 0],
        "häuser am see".as_bytes().to_vec(),
        long.clone(),
        longest,
    ];
    for body in [&[0, 255][..], &[0, 255, 2], b"h\xc3", &long[1..], b""] {
        publisher.send(body).unwrap();
    }
    let second_frame = [&b"-"[..], &[0, 255, 1]].into_iter().collect::<Message>();
    publisher.send(second_frame).unwrap();
    publisher.send(Message::new()).unwrap();
    for body in &wanted {
        publisher.send(body.as_slice()).unwrap();
    }
    for body in wanted {
        assert_eq!(recv(&sub), body);
    }
    assert_eq!(
        Sub::new().subscribe(vec![0; Sub::MAX_TOPIC_LEN + 1]),
        Err(SubscribeError::TooLong {
            len: Sub::MAX_TOPIC_LEN + 1,
            limit: Sub::MAX_TOPIC_LEN,
        })
    );
}

/// Nothing on the way changes a message, breaks it up, or has one overtake another.
fn messages_arrive_whole_unchanged_and_in_order(transport: Transport) {
    let publisher = Pub::builder().send_hwm(0).build();
    let (publisher, sub, _) = publisher_with(&[""], transport, publisher);
    let message = |at: usize| -> Message {
        let body = vec![at as u8; at * 37 % 3_000];
        [at.to_string().into_bytes(), vec![], body].into_iter().collect()
    };
    for at in 0..500 {
        publisher.send(message(at)).unwrap();
    }
    for at in 0..500 {
        assert_eq!(recv(&sub), message(at));
    }
}

/// Either side may bind, any number of either may come, in any order.
fn whoever_binds_whoever_connects_subscriptions_arrive(transport: Transport) {
    let sub = sub(&["x"]);
    let endpoint = sub.bind(transport.anywhere()).unwrap();
    let publishers = [Pub::new(), Pub::new()];
    for publisher in &publishers {
        publisher.connect(&endpoint).unwrap();
        publisher.wait_for_subscribers("x", 1, LONG).unwrap();
        publisher.send("x").unwrap();
        assert_eq!(recv(&sub), "x");
    }
    // A subscription made later reaches those who are there.
    sub.subscribe("y").unwrap();
    for publisher in &publishers {
        publisher.wait_for_subscribers("y", 1, LONG).unwrap();
        publisher.send("y").unwrap();
        assert_eq!(recv(&sub), "y");
    }
}

/// What was subscribed to twice is cancelled twice, and only then does a publisher stop to send it.
fn a_subscription_counts_and_a_publisher_hears_of_the_last(transport: Transport) {
    let (publisher, sub, _) = publisher_with(&["a", "a", "b"], transport, Pub::new());
    assert_eq!((sub.topics(), publisher.topics()), (2, 2));
    assert!(sub.unsubscribe("a"));
    assert!(!sub.unsubscribe("c"));
    sub.subscribe("mark").unwrap();
    publisher.wait_for_subscribers("mark", 1, LONG).unwrap();
    assert_eq!(publisher.subscribers("a"), 1);
    assert!(sub.unsubscribe("a"));
    assert!(!sub.unsubscribe("a"));
    eventually("the publisher hears of it", || publisher.subscribers("a") == 0);
    publisher.send("a").unwrap();
    publisher.send("b").unwrap();
    assert_eq!(recv(&sub), "b");
}

/// A subscriber does not receive what it has cancelled, though it was on its way already.
fn what_was_sent_before_a_cancellation_was_heard_is_passed_over(transport: Transport) {
    let (publisher, sub, _) = publisher_with(&["a", "b"], transport, Pub::new());
    publisher.send("a").unwrap();
    publisher.send("b").unwrap();
    sub.unsubscribe("a");
    assert_eq!(recv(&sub), "b");
    let total = sub.stats().total;
    assert_eq!((total.discarded, total.received.messages), (1, 1));
}

/// PUB and XPUB connect to SUB and XSUB, and to nobody else.
fn publishers_talk_to_nobody_but_subscribers(transport: Transport) {
    let publisher = Pub::new();
    let endpoint = publisher.bind(transport.anywhere()).unwrap();
    let push = Push::new();
    let monitor = push.monitor();
    if push.connect(&endpoint).is_ok() {
        let (reason, ready) = await_end(&monitor);
        assert!(!ready, "{reason}");
    } else {
        assert_eq!(transport, Transport::Inproc, "inproc knows at once");
    }
}

/// A full queue loses what it cannot take, for that subscriber alone; nobody waits, and the books balance.
fn a_publisher_waits_for_nobody_and_counts_what_it_drops(transport: Transport) {
    let (publisher, slow) = narrow(SlowPolicy::DropNewest, &["x"], transport);
    let sent = flood(&publisher, |at| quote("x", &at.to_string()));
    let total = publisher.stats().total;
    assert!(total.adds_up());
    assert_eq!(total.accepted.messages, sent as u64);
    let lost = total.dropped.of(DropReason::SlowPeer);
    assert!(lost >= 100 && total.dropped.total() == lost);
    // What was taken arrives, from the first, in order and without a gap where nothing was dropped.
    let arrived = sent - lost as usize;
    let numbers: Vec<usize> = (0..arrived)
        .map(|_| recv(&slow)[1].as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!(numbers[0], 0);
    assert!(numbers.is_sorted());
    assert!(slow.try_recv().is_err());
}

/// Nothing is lost without being counted, not even what nobody has asked for.
fn a_message_that_nobody_wants_is_counted(transport: Transport) {
    let (publisher, _sub, _) = publisher_with(&["x"], transport, Pub::new());
    publisher.send("y").unwrap();
    let total = publisher.stats().total;
    assert_eq!(total.dropped.of(DropReason::NoSubscriber), 1);
    assert!(total.adds_up());
}

/// However messages are staged for several subscribers at once, each gets all of them in order, and the counters know of
/// every one as soon as it is sent.
fn a_burst_to_several_subscribers_arrives_whole_and_is_counted_at_any_moment(transport: Transport) {
    const MESSAGES: u64 = 20_000;
    let publisher = Pub::builder().slow_subscribers(SlowPolicy::Block).build();
    let endpoint = publisher.bind(transport.anywhere()).unwrap();
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let sub = sub(&[""]);
            sub.connect(&endpoint).unwrap();
            thread::spawn(move || {
                for number in 0..MESSAGES {
                    assert_eq!(recv(&sub), number.to_string().as_str());
                }
            })
        })
        .collect();
    publisher.wait_for_subscribers("", 3, LONG).unwrap();
    for number in 0..MESSAGES {
        publisher.send(number.to_string()).unwrap();
        if number % 777 == 0 {
            let total = publisher.stats().total;
            assert_eq!(total.accepted.messages, 3 * (number + 1));
            assert!(total.adds_up(), "{total:?}");
        }
    }
    readers.into_iter().for_each(|reader| reader.join().unwrap());
}

/// A queue of an endpoint connected to outlives its connections: what was in it goes to the next.
fn a_publisher_that_connects_keeps_its_queue(transport: Transport) {
    let publisher = Pub::builder()
        .reconnect_interval(Some(Duration::from_millis(5)))
        .send_buffer(Some(4096))
        .build();
    let (endpoint, _directory) = transport.vacant();
    let first = sub(&["x"]);
    first.bind(&endpoint).unwrap();
    publisher.connect(&endpoint).unwrap();
    publisher.wait_for_subscribers("x", 1, LONG).unwrap();
    drop(first);
    eventually("the loss is noticed", || publisher.subscribers("x") == 0);
    publisher.send("x, while nobody is there").unwrap();
    let second = sub(&["x"]);
    second.bind(&endpoint).unwrap();
    publisher.wait_for_subscribers("x", 1, LONG).unwrap();
    publisher.send("x, the end").unwrap();
    assert_eq!(recv(&second), "x, the end");
    let total = publisher.stats().total;
    assert_eq!(total.dropped.of(DropReason::NoSubscriber), 1);
    assert!(total.adds_up());
}

/// The queue of a subscriber that has connected to us is destroyed when it is gone, with all that is in it.
fn a_queue_goes_with_the_subscriber_that_connected(transport: Transport) {
    let (publisher, slow) = narrow(SlowPolicy::DropNewest, &["x"], transport);
    let sent = flood(&publisher, |_| Message::from(vec![b'x'; 1_000_000]));
    drop(slow);
    eventually("the loss is noticed", || publisher.stats().peers.is_empty());
    let total = publisher.stats().total;
    assert_eq!((total.queued, total.accepted.messages), (0, sent as u64));
    assert!(total.dropped.of(DropReason::PeerGone) > 0);
    assert!(total.adds_up());
    assert_eq!(publisher.subscribers("x"), 0);
}

/// A publisher that comes back knows nothing, and is told of all that is subscribed to by then.
fn all_subscriptions_are_told_again_after_a_loss(transport: Transport) {
    let (endpoint, _directory) = transport.vacant();
    let sub = sub(&["a", "b"]);
    sub.connect(&endpoint).unwrap();
    for round in 0..3 {
        let publisher = Pub::new();
        publisher.bind(&endpoint).unwrap();
        publisher.wait_for_subscribers("a", 1, LONG).unwrap();
        publisher.send("a").unwrap();
        assert_eq!(recv(&sub), "a");
        drop(publisher);
        eventually("the loss is noticed", || {
            sub.stats().peers.iter().all(|peer| peer.address.is_none())
        });
        // Changed while nobody is there.
        sub.unsubscribe(if round == 0 { "b" } else { "c" });
        sub.subscribe("c").unwrap();
    }
    let publisher = Pub::new();
    publisher.bind(&endpoint).unwrap();
    publisher.wait_for_subscribers("c", 1, LONG).unwrap();
    assert_eq!((publisher.subscribers("b"), publisher.topics()), (0, 2));
}

/// Subscriptions are never dropped for want of room, however many there are and however they change meanwhile.
fn more_subscriptions_than_a_queue_holds_all_arrive(transport: Transport) {
    let publisher = Pub::builder().recv_hwm(2).build();
    let endpoint = publisher.bind(transport.anywhere()).unwrap();
    let sub = Sub::builder().send_hwm(2).build();
    for at in 0..1_500 {
        sub.subscribe(at.to_string()).unwrap();
    }
    sub.connect(&endpoint).unwrap();
    for at in 1_500..3_000 {
        sub.subscribe(at.to_string()).unwrap();
        if at % 3 == 0 {
            sub.unsubscribe(at.to_string());
        }
        if at % 5 == 0 {
            sub.unsubscribe((at - 1_500).to_string());
        }
    }
    let left = sub.topics();
    assert_eq!(left, 3_000 - 500 - 300);
    eventually("all have arrived", || publisher.topics() == left);
    for at in (0..3_000).step_by(7) {
        let wanted = if at < 1_500 { at % 5 != 0 } else { at % 3 != 0 };
        let exact = format!("{at}");
        // Shorter numbers are prefixes of longer ones, so ask the subscriber what it knows of itself.
        assert!(!wanted || publisher.subscribers(&exact) == 1, "{at}");
    }
}

/// A publisher that says much keeps none from being heard.
fn publishers_are_heard_in_turn(transport: Transport) {
    let sub = sub(&[""]);
    let endpoint = sub.bind(transport.anywhere()).unwrap();
    let (busy, quiet) = (Pub::new(), Pub::new());
    for publisher in [&busy, &quiet] {
        publisher.connect(&endpoint).unwrap();
        publisher.wait_for_subscribers("", 1, LONG).unwrap();
    }
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let talker = thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            busy.send("busy").unwrap();
        }
    });
    assert_eq!(recv(&sub), "busy");
    quiet.send("quiet").unwrap();
    while recv(&sub) != "quiet" {}
    stop.store(true, Ordering::Relaxed);
    talker.join().unwrap();
}

/// No subscription, no message.
fn a_sub_wants_nothing_before_it_subscribes(transport: Transport) {
    let (publisher, silent) = (Pub::new(), Sub::new());
    silent
        .connect(publisher.bind(transport.anywhere()).unwrap())
        .unwrap();
    publisher.wait_for_peers(1, LONG).unwrap();
    publisher.send("x").unwrap();
    assert_eq!(
        publisher.wait_for_subscribers("x", 1, Duration::ZERO),
        Err(WaitError::Timeout { expected: 1, got: 0 })
    );
    silent.subscribe("").unwrap();
    publisher.wait_for_subscribers("x", 1, LONG).unwrap();
    publisher.send("y").unwrap();
    assert_eq!(recv(&silent), "y");
}

/// Messages that subscribers send to a PUB mean nothing, and are counted.
fn a_pub_passes_over_what_is_no_subscription(transport: Transport) {
    let (publisher, xsub) = (Pub::new(), XSub::new());
    xsub.connect(publisher.bind(transport.anywhere()).unwrap())
        .unwrap();
    xsub.wait_for_peers(1, LONG).unwrap();
    xsub.send("hello").unwrap();
    xsub.send(quote("\u{1}two", "frames")).unwrap();
    xsub.send(Message::new()).unwrap();
    xsub.subscribe("x").unwrap();
    publisher.wait_for_subscribers("x", 1, LONG).unwrap();
    assert_eq!((publisher.topics(), publisher.stats().total.discarded), (1, 3));
}

/// The application of an XPUB hears of each topic when the first subscribes to it and when the last has cancelled.
fn an_xpub_tells_of_first_and_last(transport: Transport) {
    let (xpub, endpoint) = xpub(transport);
    let (first, second) = (sub(&["a"]), sub(&[]));
    first.connect(&endpoint).unwrap();
    assert_eq!(shown(&xpub, 1), ["+a"]);
    second.connect(&endpoint).unwrap();
    second.subscribe("a").unwrap();
    second.subscribe("b").unwrap();
    assert_eq!(shown(&xpub, 1), ["+b"]);
    first.unsubscribe("a");
    first.subscribe("c").unwrap();
    assert_eq!(shown(&xpub, 1), ["+c"]);
    second.unsubscribe("a");
    assert_eq!(shown(&xpub, 1), ["-a"]);
}

/// It may ask to hear of every subscription, and of every cancellation.
fn a_verbose_xpub_tells_of_all(transport: Transport) {
    for (verbosity, expected) in [
        (Verbosity::Subscriptions, &["+a", "+a", "+end"][..]),
        (Verbosity::All, &["+a", "+a", "-a", "+end"]),
    ] {
        let xpub = XPub::builder().verbose(verbosity).build();
        let endpoint = xpub.bind(transport.anywhere()).unwrap();
        let (first, second) = (sub(&["a"]), sub(&[]));
        first.connect(&endpoint).unwrap();
        xpub.wait_for_subscribers("a", 1, LONG).unwrap();
        second.connect(&endpoint).unwrap();
        second.subscribe("a").unwrap();
        xpub.wait_for_subscribers("a", 2, LONG).unwrap();
        second.unsubscribe("a");
        second.subscribe("end").unwrap();
        assert_eq!(shown(&xpub, expected.len()), expected);
    }
}

/// A subscriber that is lost has cancelled all.
fn an_xpub_takes_back_what_a_lost_subscriber_wanted(transport: Transport) {
    let (xpub, endpoint) = xpub(transport);
    let (leaver, stayer) = (sub(&["a", "b", "c"]), sub(&["b"]));
    leaver.connect(&endpoint).unwrap();
    stayer.connect(&endpoint).unwrap();
    let mut came = shown(&xpub, 3);
    came.sort();
    assert_eq!(came, ["+a", "+b", "+c"]);
    xpub.wait_for_subscribers("b", 2, LONG).unwrap();
    drop(leaver);
    let mut gone = shown(&xpub, 2);
    gone.sort();
    assert_eq!(gone, ["-a", "-c"]);
    assert_eq!(xpub.topics(), 1);
}

/// What is taken back before anybody has heard of it makes no noise, so nobody can fill the memory with it.
fn a_topic_that_comes_and_goes_unheard_is_not_told_of(transport: Transport) {
    let (xpub, endpoint) = xpub(transport);
    let fickle = sub(&[]);
    fickle.connect(&endpoint).unwrap();
    xpub.wait_for_peers(1, LONG).unwrap();
    for at in 0..1_500 {
        fickle.subscribe(at.to_string()).unwrap();
        fickle.unsubscribe(at.to_string());
    }
    fickle.subscribe("end").unwrap();
    xpub.wait_for_subscribers("end", 1, LONG).unwrap();
    assert_eq!(shown(&xpub, 1), ["+end"]);
    assert!(xpub.try_recv().is_err());
}

/// What is no subscription is delivered, and a subscriber that says much does not keep others from being heard.
fn an_xpub_delivers_messages_and_starves_no_subscriber(transport: Transport) {
    let (xpub, endpoint) = xpub(transport);
    let (busy, quiet) = (XSub::builder().send_hwm(0).build(), XSub::new());
    for xsub in [&busy, &quiet] {
        xsub.connect(&endpoint).unwrap();
        xsub.wait_for_peers(1, LONG).unwrap();
    }
    for at in 0..3_000 {
        busy.send(at.to_string()).unwrap();
    }
    quiet.send("quiet").unwrap();
    let mut seen = 0;
    let mut before_quiet = None;
    while seen < 3_000 || before_quiet.is_none() {
        match show(&event(&xpub)) {
            body if body == "quiet" => before_quiet = Some(seen),
            body => {
                assert_eq!(body, seen.to_string());
                seen += 1;
            }
        }
    }
}

/// Notices that are not taken have their subscriber wait, and none is lost.
fn an_xpub_whose_notices_nobody_takes_loses_none(transport: Transport) {
    let (xpub, endpoint) = xpub(transport);
    let eager = sub(&[]);
    eager.connect(&endpoint).unwrap();
    for at in 0..1_500 {
        eager.subscribe(at.to_string()).unwrap();
    }
    eventually("its share is used up", || xpub.topics() == 1_000);
    let mut all: Vec<usize> = shown(&xpub, 1_500)
        .iter()
        .map(|shown| shown[1..].parse().unwrap())
        .collect();
    all.sort_unstable();
    assert_eq!(all, (0..1_500).collect::<Vec<_>>());
    assert_eq!(xpub.stats().notices_dropped, 0);
}

fn who(event: &XPubEvent) -> SubscriberId {
    event.subscriber()
}

/// By choice, the application subscribes for its subscribers, to what it likes.
fn a_manual_xpub_leaves_the_choice_to_its_application(transport: Transport) {
    let xpub = XPub::builder().manual(true).build();
    let endpoint = xpub.bind(transport.anywhere()).unwrap();
    let raw = XSub::new();
    raw.connect(&endpoint).unwrap();
    raw.subscribe("a").unwrap();
    let asked = event(&xpub);
    assert_eq!((show(&asked).as_str(), xpub.topics()), ("+a", 0));
    assert!(xpub.subscribe(who(&asked), "b"));
    assert!(!xpub.subscribe(who(&asked), "b"));
    xpub.send("a").unwrap();
    xpub.send("b").unwrap();
    assert_eq!(raw.recv_timeout(LONG).unwrap(), "b");
    raw.unsubscribe("a");
    assert_eq!(show(&event(&xpub)), "-a");
    assert_eq!(xpub.subscribers("b"), 1);
    drop(raw);
    assert_eq!(show(&event(&xpub)), "-b", "what it had is lost with it");
    assert!(!xpub.subscribe(who(&asked), "c"));
}

/// A cache of last values: who subscribes is sent the last value, and only it.
fn an_xpub_sends_the_last_value_to_one_subscriber(transport: Transport) {
    let xpub = XPub::builder().verbose(Verbosity::Subscriptions).build();
    let endpoint = xpub.bind(transport.anywhere()).unwrap();
    let mut subs = Vec::new();
    for at in 0..2 {
        let sub = sub(&["oil"]);
        sub.connect(&endpoint).unwrap();
        let asked = event(&xpub);
        assert_eq!(show(&asked), "+oil");
        xpub.send_to(who(&asked), quote("oil", &at.to_string())).unwrap();
        assert_eq!(recv(&sub)[1], at.to_string());
        assert!(sub.try_recv().is_err());
        assert_eq!(xpub.peer(who(&asked)).unwrap().socket_type.name(), "SUB");
        subs.push((sub, who(&asked)));
    }
    let (sub, first) = subs.swap_remove(0);
    drop(sub);
    eventually("the first is gone", || xpub.peer(first).is_none());
    assert_eq!(
        xpub.send_to(first, "late"),
        Err(TryRouteError::Unroutable("late".into()))
    );
}

/// What an XSUB sends goes to each publisher.
fn an_xsub_sends_to_all_its_publishers(transport: Transport) {
    let xsub = XSub::new();
    let publishers = [xpub(transport), xpub(transport), xpub(transport)];
    for (_, endpoint) in &publishers {
        xsub.connect(endpoint).unwrap();
    }
    xsub.wait_for_peers(3, LONG).unwrap();
    xsub.send(quote("hello", "world")).unwrap();
    xsub.send("\u{1}topic").unwrap();
    for (xpub, _) in &publishers {
        assert_eq!(shown(xpub, 2), ["hello", "+topic"]);
    }
}

/// An XSUB forwards what an XPUB has heard, in the form in which it was heard.
fn an_xsub_passes_subscriptions_on(transport: Transport) {
    let (front, front_at) = xpub(transport);
    let (source, source_at) = xpub(transport);
    let back = XSub::new();
    back.connect(&source_at).unwrap();
    let sub = sub(&["a"]);
    sub.connect(&front_at).unwrap();
    back.send(event(&front).into_message()).unwrap();
    assert_eq!(shown(&source, 1), ["+a"]);
    source.send("a, through both").unwrap();
    front.send(back.recv_timeout(LONG).unwrap()).unwrap();
    assert_eq!(recv(&sub), "a, through both");
    sub.unsubscribe("a");
    back.send(event(&front).into_message()).unwrap();
    assert_eq!(shown(&source, 1), ["-a"]);
}

/// Sending from an XSUB never waits; what a full queue does not take is dropped, and counted.
fn an_xsub_waits_for_nobody(transport: Transport) {
    let xsub = XSub::builder()
        .send_hwm(10)
        .send_buffer(Some(4096))
        .linger(Some(Duration::ZERO))
        .build();
    xsub.send("nobody is there").unwrap();
    assert_eq!(xsub.stats().total.dropped.of(DropReason::Unroutable), 1);
    let xpub = XPub::builder().recv_hwm(10).recv_buffer(Some(4096)).build();
    xsub.connect(xpub.bind(transport.anywhere()).unwrap()).unwrap();
    xsub.wait_for_peers(1, LONG).unwrap();
    while xsub.stats().total.dropped.of(DropReason::SlowPeer) < 10 {
        xsub.send(vec![7; 5000]).unwrap();
    }
    assert!(xsub.stats().total.adds_up());
}

/// A welcome is the first thing that a subscriber receives, if it has asked for something of the kind.
fn a_welcome_comes_first(transport: Transport) {
    let publisher = Pub::builder().welcome(Some("hello".into())).build();
    let endpoint = publisher.bind(transport.anywhere()).unwrap();
    let (all, some) = (sub(&[""]), sub(&["x"]));
    for sub in [&all, &some] {
        sub.connect(&endpoint).unwrap();
    }
    publisher.wait_for_subscribers("x", 2, LONG).unwrap();
    publisher.send("x").unwrap();
    assert_eq!(texts(&all, 2), ["hello", "x"]);
    assert_eq!(texts(&some, 1), ["x"]);
}

/// Inverted on both sides, a subscription is to everything else.
fn matching_can_be_inverted(transport: Transport) {
    let publisher = Pub::builder().invert_matching(true).build();
    let endpoint = publisher.bind(transport.anywhere()).unwrap();
    let sub = Sub::builder().invert_matching(true).build();
    sub.subscribe("a").unwrap();
    sub.connect(&endpoint).unwrap();
    publisher.wait_for_peers(1, LONG).unwrap();
    eventually("the subscription is here", || publisher.subscribers("a") == 0);
    publisher.send("a").unwrap();
    publisher.send("b").unwrap();
    assert_eq!(recv(&sub), "b");
    assert_eq!(publisher.stats().total.dropped.of(DropReason::NoSubscriber), 1);
}

/// By choice a slow subscriber loses what is oldest: it gets what came first, and then the newest.
fn a_slow_subscriber_may_lose_its_oldest_messages(transport: Transport) {
    let (publisher, slow) = narrow(SlowPolicy::DropOldest, &["x"], transport);
    let sent = flood(&publisher, |at| quote("x", &at.to_string()));
    let total = publisher.stats().total;
    assert!(total.adds_up() && total.accepted.messages == sent as u64);
    let lost = total.dropped.of(DropReason::SlowPeer) as usize;
    assert_eq!(total.dropped.total() as usize, lost);
    let numbers: Vec<usize> = (0..sent - lost)
        .map(|_| recv(&slow)[1].as_str().unwrap().parse().unwrap())
        .collect();
    assert!(numbers.is_sorted());
    assert_eq!(numbers.last(), Some(&(sent - 1)));
    // Over inproc there is no connection that would have taken the first ones.
    assert_eq!(numbers[0] == 0, transport != Transport::Inproc);
}

/// By choice it gets the newest of each topic, in the order of sending.
fn a_slow_subscriber_may_keep_the_newest_of_each_topic(transport: Transport) {
    let (publisher, slow) = narrow(SlowPolicy::NewestOfTopic, &["a", "b", "c"], transport);
    let sent = flood(&publisher, |at| quote(["a", "b", "c"][at % 3], &at.to_string()));
    let total = publisher.stats().total;
    assert!(total.adds_up() && total.accepted.messages == sent as u64);
    let lost = total.dropped.of(DropReason::Conflated) as usize;
    assert_eq!(total.dropped.total() as usize, lost);
    let numbers: Vec<usize> = (0..sent - lost)
        .map(|_| recv(&slow)[1].as_str().unwrap().parse().unwrap())
        .collect();
    assert!(numbers.is_sorted());
    assert_eq!(numbers[numbers.len() - 3..], [sent - 3, sent - 2, sent - 1]);
}

/// By choice nothing is lost, and sending waits for the slowest that wants the message, and for nobody else.
fn a_slow_subscriber_may_hold_up_the_publisher(transport: Transport) {
    let (publisher, slow) = narrow(SlowPolicy::Block, &["x"], transport);
    // What the system takes meanwhile makes room for more, until it is full too.
    while publisher.send_timeout(vec![b'x'; 2000], A_WHILE).is_ok() {}
    let full = Message::from("x");
    assert_eq!(
        publisher.send_timeout("x", Duration::from_millis(5)),
        Err(SendError::Timeout(full))
    );
    publisher.send("y, which nobody wants").unwrap();
    let waiting = publisher.clone();
    let sender = thread::spawn(move || waiting.send("x, at last"));
    while recv(&slow) != "x, at last" {}
    sender.join().unwrap().unwrap();
    let total = publisher.stats().total;
    assert_eq!(total.dropped.total(), total.dropped.of(DropReason::NoSubscriber));
    assert!(total.adds_up());
}

/// By choice it is disconnected, so that it knows that it has missed something.
fn a_slow_subscriber_may_be_sent_away(transport: Transport) {
    let (publisher, slow) = narrow(SlowPolicy::Disconnect, &["x"], transport);
    let monitor = publisher.monitor();
    let slow_one = slow.clone();
    while publisher.stats().total.dropped.of(DropReason::SlowPeer) == 0 {
        publisher.send(vec![b'x'; 2000]).unwrap();
    }
    let (reason, _) = await_end(&monitor);
    assert!(matches!(reason, DisconnectReason::Rejected(_)), "{reason}");
    assert!(publisher.stats().total.adds_up());
    drop(slow_one);
    drop(slow);
}

/// A conflating publisher keeps one message for each subscriber, the newest.
fn a_conflating_publisher_keeps_the_newest(transport: Transport) {
    let publisher = Pub::builder()
        .conflate(true)
        .send_buffer(Some(4096))
        .linger(Some(Duration::ZERO))
        .build();
    let endpoint = publisher.bind(transport.anywhere()).unwrap();
    let slow = Sub::builder().recv_hwm(1).recv_buffer(Some(4096)).build();
    for at in 0..50 {
        slow.subscribe(at.to_string()).unwrap();
    }
    slow.subscribe("x").unwrap();
    slow.connect(&endpoint).unwrap();
    publisher.wait_for_subscribers("x", 1, LONG).unwrap();
    eventually("no subscription was replaced by another", || {
        publisher.topics() == 51
    });
    let mut sent = 0;
    while publisher.stats().total.dropped.of(DropReason::Conflated) < 100 {
        publisher.send(quote("x", &sent.to_string())).unwrap();
        sent += 1;
    }
    let mut last = String::new();
    while last != (sent - 1).to_string() {
        last = recv(&slow)[1].as_str().unwrap().to_owned();
    }
    assert!(publisher.stats().total.adds_up());
}

/// A conflating subscriber keeps the newest message of each publisher; its own subscriptions are not messages to conflate.
fn a_conflating_subscriber_keeps_the_newest_and_all_its_topics(transport: Transport) {
    let publisher = Pub::new();
    let endpoint = publisher.bind(transport.anywhere()).unwrap();
    let sub = Sub::builder().conflate(true).build();
    for at in 0..50 {
        sub.subscribe(format!("topic {at}.")).unwrap();
    }
    sub.connect(&endpoint).unwrap();
    eventually("all subscriptions are here", || publisher.topics() == 50);
    for at in 0..50 {
        publisher.send(format!("topic {at}.")).unwrap();
    }
    let mut last = String::new();
    while last != "topic 49." {
        last = text(&recv(&sub));
    }
    assert!(sub.try_recv().is_err());
}

/// A subscriber that asks for more topics than it may is disconnected, and an honest one goes on.
fn a_subscriber_of_too_many_topics_is_sent_away(transport: Transport) {
    for publisher in [
        Pub::builder().max_topics(100).build(),
        Pub::builder().max_topic_bytes(290).build(),
    ] {
        let (publisher, honest, endpoint) = publisher_with(&["x"], transport, publisher);
        let monitor = publisher.monitor();
        let greedy = Sub::builder().reconnect_interval(None).build();
        greedy.connect(&endpoint).unwrap();
        for at in 0..1_000 {
            greedy.subscribe(format!("{at:03}")).unwrap();
        }
        let (reason, _) = await_end(&monitor);
        assert!(matches!(reason, DisconnectReason::OverLimit { .. }), "{reason}");
        eventually("its topics are gone", || publisher.topics() == 1);
        publisher.send("x").unwrap();
        assert_eq!(recv(&honest), "x");
    }
}

/// Each half does its part, and both are the same socket.
fn the_halves_of_raw_sockets_work(transport: Transport) {
    let (xpub, endpoint) = xpub(transport);
    let xsub = XSub::new();
    xsub.connect(endpoint).unwrap();
    let (pub_sender, pub_receiver) = xpub.split();
    let (sub_sender, sub_receiver) = xsub.split();
    sub_sender.send("\u{1}x").unwrap();
    let asked = pub_receiver.recv_timeout(LONG).unwrap();
    assert_eq!(show(&asked), "+x");
    pub_sender.send("x").unwrap();
    assert_eq!(sub_receiver.recv_timeout(LONG).unwrap(), "x");
    pub_sender.send_to(who(&asked), "y").unwrap();
    assert_eq!(sub_receiver.recv_timeout(LONG).unwrap(), "y");
    assert!(pub_sender.subscribe(who(&asked), "z") && pub_sender.cancel(who(&asked), "z"));
    for peer in [pub_sender.peer(who(&asked)), pub_receiver.peer(who(&asked))] {
        assert_eq!(peer.unwrap().socket_type, SocketType::XSub);
    }
}
