//! The proxy: what passes through it, what holds it up, how it is steered, and that it loses nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod support;

use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use aqueduct::{
    Context, Count, Dealer, Endpoint, Message, Pair, Proxy, ProxyControl, ProxyReport, ProxyStats, Pub, Pull,
    Push, Registration, Rep, Req, Router, RoutingId, RunningProxy, Sub, XPub, XSub, proxy,
};
use support::*;

/// A PUSH and a PULL with a streamer between them.
struct Stream {
    push: Push,
    frontend: Pull,
    backend: Push,
    pull: Pull,
}

impl Stream {
    fn new(transport: Transport, hwm: usize) -> Self {
        let push = || Push::builder().send_hwm(hwm).build();
        let pull = || Pull::builder().recv_hwm(hwm).build();
        let stream = Self {
            push: push(),
            frontend: pull(),
            backend: push(),
            pull: pull(),
        };
        marry(&stream.push, &stream.frontend, transport);
        marry(&stream.backend, &stream.pull, transport);
        stream
    }

    fn proxy(&self) -> Proxy {
        Proxy::new(&self.frontend, &self.backend)
    }
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// Sends numbers from a thread of its own.
fn send_numbers(push: &Push, range: std::ops::Range<usize>) -> JoinHandle<()> {
    let push = push.clone();
    thread::spawn(move || {
        for number in numbers(range) {
            push.send_timeout(number, LONG).unwrap();
        }
    })
}

/// What was received at one end was sent at the other, or is known not to have been.
fn assert_adds_up(stats: &ProxyStats) {
    let sum = |a: Count, b: Count| (a.messages + b.messages, a.bytes + b.bytes);
    let (front, back) = (&stats.frontend, &stats.backend);
    let plain = |count: Count| (count.messages, count.bytes);
    assert_eq!(
        plain(front.received),
        sum(back.sent, back.undeliverable),
        "{stats:?}"
    );
    assert_eq!(
        plain(back.received),
        sum(front.sent, front.undeliverable),
        "{stats:?}"
    );
}

/// A service that returns what it is asked, connected to an endpoint.
fn echo(endpoint: &Endpoint) -> Registration {
    let rep = Rep::new();
    rep.connect(endpoint).unwrap();
    rep.on_message(|request, reply| reply.send(request).unwrap())
        .unwrap()
}

#[test]
fn a_queue_brings_each_reply_to_the_client_that_asked() {
    const CLIENTS: usize = 3;
    const EACH: usize = 200;
    for transport in Transport::ALL {
        let (frontend, backend) = (Router::new(), Dealer::new());
        let clients = frontend.bind(transport.anywhere()).unwrap();
        let services = backend.bind(transport.anywhere()).unwrap();
        let running = Proxy::new(&frontend, &backend).spawn().unwrap();
        let _services = [echo(&services), echo(&services)];
        let asking = (0..CLIENTS).map(|client| {
            let clients = clients.clone();
            thread::spawn(move || {
                let req = Req::new();
                req.connect(clients).unwrap();
                for at in 0..EACH {
                    let question = format!("{client}: {at}");
                    assert_eq!(req.request(question.as_str()).unwrap(), question.as_str());
                }
            })
        });
        let asking: Vec<_> = asking.collect();
        asking.into_iter().for_each(|client| client.join().unwrap());
        let ProxyReport { stats, returned, .. } = running.stop();
        assert!(returned.is_empty());
        assert_eq!(stats.frontend.received.messages, (CLIENTS * EACH) as u64);
        assert_eq!(
            stats.frontend.sent, stats.frontend.received,
            "replies are as long as requests"
        );
        assert_adds_up(&stats);
    }
}

#[test]
fn requests_find_their_way_through_several_proxies_and_back() {
    let mut running = Vec::<RunningProxy>::new();
    let entry = Router::new();
    let clients = entry.bind(Transport::Tcp.anywhere()).unwrap();
    let mut front = entry;
    for transport in Transport::ALL {
        let (back, next) = (Dealer::new(), Router::new());
        back.connect(next.bind(transport.anywhere()).unwrap()).unwrap();
        running.push(Proxy::new(&front, &back).spawn().unwrap());
        front = next;
    }
    let last = Dealer::new();
    let _service = echo(&last.bind(Transport::Ipc.anywhere()).unwrap());
    running.push(Proxy::new(&front, &last).spawn().unwrap());
    let req = Req::new();
    req.connect(&clients).unwrap();
    for at in 0..50 {
        let question = format!("question {at}");
        assert_eq!(req.request(question.as_str()).unwrap(), question.as_str());
    }
    for proxy in running {
        assert_adds_up(&proxy.stop().stats);
    }
}

#[test]
fn a_streamer_keeps_the_order_and_loses_nothing() {
    const COUNT: usize = 5000;
    for transport in Transport::ALL {
        let stream = Stream::new(transport, 50);
        let running = stream.proxy().spawn().unwrap();
        let sender = send_numbers(&stream.push, 0..COUNT);
        assert_eq!(
            recv_texts(&stream.pull, COUNT),
            numbers(0..COUNT),
            "{transport:?}"
        );
        sender.join().unwrap();
        let stats = running.stop().stats;
        assert_eq!(stats.backend.sent.messages, COUNT as u64);
        assert_eq!(
            stats.backend.sent.bytes,
            numbers(0..COUNT).iter().map(|n| n.len() as u64).sum::<u64>()
        );
        assert_eq!(stats.frontend.sent.messages, 0);
        assert_adds_up(&stats);
    }
}

#[test]
fn bodies_are_moved_and_the_capture_shares_them() {
    let stream = Stream::new(Transport::Inproc, 10);
    let (capture, log) = (Push::new(), Pull::new());
    marry(&capture, &log, Transport::Inproc);
    let _running = stream.proxy().capture(&capture).spawn().unwrap();
    let message = Message::from(vec![7_u8; 100_000]);
    let body = message[0].as_ptr();
    stream.push.send(message).unwrap();
    assert_eq!(recv(&stream.pull)[0].as_ptr(), body);
    assert_eq!(recv(&log)[0].as_ptr(), body);
}

#[test]
fn back_pressure_passes_through() {
    for transport in Transport::ALL {
        let stream = Stream::new(transport, 1);
        let running = stream.proxy().spawn().unwrap();
        let body = vec![0_u8; 4 << 20];
        let mut accepted = 0_usize;
        // Too long for what the system buffers, so each one that is accepted is in one of four queues or on its way.
        while stream
            .push
            .send_timeout(body.clone(), Duration::from_millis(400))
            .is_ok()
        {
            accepted += 1;
            assert!(accepted < 30, "nothing stops the sender over {transport:?}");
        }
        if transport == Transport::Inproc {
            assert!(accepted <= 4, "{accepted} in two queues of two");
        }
        running.pause();
        let stats = running.stats();
        assert_adds_up(&stats);
        assert!(
            stats.frontend.received.messages < accepted as u64,
            "the proxy takes what nobody wants"
        );
        running.resume();
        for _ in 0..accepted {
            assert_eq!(recv(&stream.pull)[0].len(), body.len());
        }
        assert!(stream.pull.try_recv().is_err());
        assert_eq!(running.stop().stats.backend.sent.messages, accepted as u64);
    }
}

#[test]
fn nothing_passes_while_it_is_paused() {
    for transport in Transport::ALL {
        let stream = Stream::new(transport, 1000);
        let running = stream.proxy().spawn().unwrap();
        send_all(&stream.push, ["a"]);
        assert_eq!(text(&recv(&stream.pull)), "a");
        running.pause();
        let before = running.stats();
        assert_eq!(before.backend.sent.messages, 1);
        send_all(&stream.push, ["b", "c"]);
        assert!(stream.pull.recv_timeout(A_WHILE).is_err());
        assert_eq!(running.stats(), before);
        running.resume();
        assert_eq!(recv_texts(&stream.pull, 2), ["b", "c"]);
    }
}

#[test]
fn a_proxy_can_be_paused_before_it_runs() {
    let stream = Stream::new(Transport::Inproc, 10);
    let waiting = stream.proxy();
    let control = waiting.control();
    control.pause();
    let running = waiting.spawn().unwrap();
    send_all(&stream.push, ["a"]);
    assert!(stream.pull.recv_timeout(A_WHILE).is_err());
    control.resume();
    assert_eq!(text(&recv(&stream.pull)), "a");
    control.stop();
    assert_eq!(running.join().stats.backend.sent.messages, 1);
}

#[test]
fn what_was_not_passed_on_when_it_stops_stays_in_the_queues() {
    const COUNT: usize = 2000;
    for transport in Transport::ALL {
        let stream = Stream::new(transport, 100);
        let running = stream.proxy().spawn().unwrap();
        let sender = send_numbers(&stream.push, 0..COUNT);
        let mut got = recv_texts(&stream.pull, 300);
        let report = running.stop();
        assert_adds_up(&report.stats);
        assert!(report.returned.is_empty());
        let passed = usize::try_from(report.stats.backend.sent.messages).unwrap();
        got.extend(recv_texts(&stream.pull, passed - got.len()));
        got.extend(recv_texts(&stream.frontend, COUNT - passed));
        assert_eq!(got, numbers(0..COUNT), "{transport:?}");
        sender.join().unwrap();
    }
}

#[test]
fn steering_under_load_loses_nothing() {
    const COUNT: usize = 20_000;
    let stream = Stream::new(Transport::Tcp, 100);
    let running = stream.proxy().spawn().unwrap();
    let sender = send_numbers(&stream.push, 0..COUNT);
    let control: ProxyControl = running.control();
    let steering = thread::spawn(move || {
        for _ in 0..200 {
            control.pause();
            let stats = control.stats();
            assert_adds_up(&stats);
            assert_eq!(control.stats(), stats, "it moves while it is paused");
            control.resume();
            thread::yield_now();
        }
    });
    assert_eq!(recv_texts(&stream.pull, COUNT), numbers(0..COUNT));
    steering.join().unwrap();
    sender.join().unwrap();
}

#[test]
fn the_capture_gets_a_copy_of_each_message_both_ways() {
    for transport in Transport::ALL {
        let (frontend, backend) = (Router::new(), Dealer::new());
        let clients = frontend.bind(transport.anywhere()).unwrap();
        let services = backend.bind(transport.anywhere()).unwrap();
        let (capture, log) = (Pair::new(), Pair::new());
        log.connect(capture.bind(transport.anywhere()).unwrap()).unwrap();
        capture.wait_for_peers(1, LONG).unwrap();
        let running = Proxy::new(&frontend, &backend).capture(&capture).spawn().unwrap();
        let _service = echo(&services);
        let client = Dealer::builder()
            .routing_id(RoutingId::new("me").unwrap())
            .build();
        client.connect(&clients).unwrap();
        let question: Message = ["", "question"].into_iter().collect();
        client.send(question.clone()).unwrap();
        assert_eq!(client.recv_timeout(LONG).unwrap(), question);
        let passed: Message = ["me", "", "question"].into_iter().collect();
        for _ in 0..2 {
            assert_eq!(log.recv_timeout(LONG).unwrap(), passed);
        }
        let stats = running.stop().stats;
        assert_eq!((stats.captured, stats.capture_dropped), (2, 0));
    }
}

#[test]
fn a_capture_that_takes_nothing_does_not_hold_the_proxy_up() {
    const COUNT: usize = 500;
    let stream = Stream::new(Transport::Inproc, 10);
    let capture = Push::builder().send_hwm(1).build();
    let log = Pull::builder().recv_hwm(1).build();
    marry(&capture, &log, Transport::Inproc);
    let running = stream.proxy().capture(&capture).spawn().unwrap();
    let sender = send_numbers(&stream.push, 0..COUNT);
    assert_eq!(recv_texts(&stream.pull, COUNT), numbers(0..COUNT));
    sender.join().unwrap();
    let stats = running.stop().stats;
    assert_eq!(stats.captured + stats.capture_dropped, COUNT as u64);
    assert_eq!(recv_texts(&log, 2), ["0", "1"]);
    assert_eq!(stats.captured, 2);
}

#[test]
fn a_message_for_nobody_is_counted_and_the_next_one_passes() {
    for transport in Transport::ALL {
        let (frontend, backend) = (Router::new(), Dealer::new());
        let clients = frontend.bind(transport.anywhere()).unwrap();
        let services = backend.bind(transport.anywhere()).unwrap();
        let running = Proxy::new(&frontend, &backend).spawn().unwrap();
        let client = Dealer::builder()
            .routing_id(RoutingId::new("here").unwrap())
            .build();
        client.connect(&clients).unwrap();
        frontend.wait_for_peers(1, LONG).unwrap();
        let service = Dealer::new();
        service.connect(&services).unwrap();
        for lost in [vec!["gone", "a"], vec!["no envelope"], vec!["", "no id"]] {
            service.send(lost.into_iter().collect::<Message>()).unwrap();
        }
        service
            .send(["here", "b"].into_iter().collect::<Message>())
            .unwrap();
        assert_eq!(client.recv_timeout(LONG).unwrap(), "b");
        let stats = running.stop().stats;
        assert_eq!(
            stats.frontend.undeliverable,
            count(3, ["gonea", "no envelope", "no id"])
        );
        assert_eq!(stats.frontend.sent, count(1, ["hereb"]));
        assert_adds_up(&stats);
    }
}

fn count<const N: usize>(messages: u64, bodies: [&str; N]) -> Count {
    Count {
        messages,
        bytes: bodies.iter().map(|body| body.len() as u64).sum(),
    }
}

/// A queue with a client that reads nothing and one that does; returns what is needed to watch them.
fn slow_and_quick(patience: Option<Duration>) -> (RunningProxy, Dealer, Dealer, Dealer) {
    let frontend = Router::builder().send_hwm(1).build();
    let backend = Dealer::builder().recv_hwm(1).build();
    let clients = frontend.bind(Transport::Inproc.anywhere()).unwrap();
    let services = backend.bind(Transport::Inproc.anywhere()).unwrap();
    let running = Proxy::new(&frontend, &backend)
        .patience(patience)
        .spawn()
        .unwrap();
    let client = |name: &'static str| {
        let id = RoutingId::new(name).unwrap();
        let client = Dealer::builder().routing_id(id).recv_hwm(1).build();
        client.connect(&clients).unwrap();
        client
    };
    let (slow, quick) = (client("slow"), client("quick"));
    frontend.wait_for_peers(2, LONG).unwrap();
    let service = Dealer::new();
    service.connect(&services).unwrap();
    (running, service, slow, quick)
}

#[test]
fn a_client_that_does_not_read_loses_its_messages_if_patience_says_so() {
    for patience in [Duration::ZERO, Duration::from_millis(20)] {
        let (running, service, slow, quick) = slow_and_quick(Some(patience));
        for at in 0..100 {
            service
                .send_timeout(["slow", "a reply"].into_iter().collect::<Message>(), LONG)
                .unwrap();
            let body = at.to_string();
            service
                .send_timeout(["quick", &body].into_iter().collect::<Message>(), LONG)
                .unwrap();
            assert_eq!(quick.recv_timeout(LONG).unwrap(), body.as_str());
        }
        running.pause();
        let stats = running.stats();
        assert_adds_up(&stats);
        // One in the queue of each side.
        assert_eq!(stats.frontend.undeliverable.messages, 98);
        running.resume();
        for _ in 0..2 {
            assert_eq!(slow.recv_timeout(LONG).unwrap(), "a reply");
        }
        service
            .send(["slow", "again"].into_iter().collect::<Message>())
            .unwrap();
        assert_eq!(slow.recv_timeout(LONG).unwrap(), "again");
    }
}

#[test]
fn a_client_that_does_not_read_loses_nothing_by_default() {
    const COUNT: usize = 50;
    let (running, service, slow, quick) = slow_and_quick(None);
    let sending = thread::spawn(move || {
        for at in 0..COUNT {
            let body = at.to_string();
            service
                .send_timeout(["slow", &body].into_iter().collect::<Message>(), LONG)
                .unwrap();
        }
        service
            .send_timeout(["quick", "last"].into_iter().collect::<Message>(), LONG)
            .unwrap();
        service
    });
    assert!(quick.recv_timeout(A_WHILE).is_err(), "what was sent first waits");
    for at in 0..COUNT {
        assert_eq!(slow.recv_timeout(LONG).unwrap(), at.to_string().as_str());
    }
    assert_eq!(quick.recv_timeout(LONG).unwrap(), "last");
    sending.join().unwrap();
    assert_adds_up(&running.stop().stats);
}

#[test]
fn a_message_that_waits_for_a_peer_is_returned_when_the_proxy_stops() {
    let (running, service, slow, _quick) = slow_and_quick(None);
    for body in ["a", "b", "c"] {
        service
            .send(["slow", body].into_iter().collect::<Message>())
            .unwrap();
    }
    eventually("the third was taken", || {
        running.stats().backend.received.messages == 3
    });
    let report = running.stop();
    assert_eq!(report.returned, [["slow", "c"].into_iter().collect::<Message>()]);
    assert_eq!(slow.recv_timeout(LONG).unwrap(), "a");
    assert_eq!(slow.recv_timeout(LONG).unwrap(), "b");
}

#[test]
fn the_proxy_ends_when_one_of_its_sockets_is_closed() {
    for close_the_frontend in [true, false] {
        for pause in [true, false] {
            let stream = Stream::new(Transport::Tcp, 10);
            let running = stream.proxy().spawn().unwrap();
            if pause {
                running.pause();
            }
            // Nothing comes, so it waits by now, or never will.
            assert!(stream.pull.recv_timeout(A_WHILE).is_err());
            if close_the_frontend {
                stream.frontend.close();
            } else {
                stream.backend.close();
            }
            assert_eq!(running.join(), ProxyReport::default());
        }
    }
}

#[test]
fn the_plain_function_runs_until_a_socket_is_closed() {
    let stream = Stream::new(Transport::Ipc, 10);
    let (frontend, backend) = (stream.frontend.clone(), stream.backend.clone());
    let caller = thread::spawn(move || proxy(&frontend, &backend, None));
    send_all(&stream.push, ["a"]);
    assert_eq!(text(&recv(&stream.pull)), "a");
    stream.frontend.close();
    assert_eq!(caller.join().unwrap().stats.backend.sent.messages, 1);
}

#[test]
fn dropping_a_running_proxy_ends_it_and_lets_the_sockets_go() {
    let stream = Stream::new(Transport::Tcp, 10);
    let monitor = stream.push.monitor();
    let running = stream.proxy().spawn().unwrap();
    drop(stream.frontend);
    send_all(&stream.push, ["a"]);
    assert_eq!(text(&recv(&stream.pull)), "a");
    drop(running);
    await_end(&monitor);
}

#[test]
fn pairs_and_dealers_are_bridged_both_ways() {
    for transport in Transport::ALL {
        let (left, front, back, right) = (Pair::new(), Pair::new(), Dealer::new(), Dealer::new());
        left.connect(front.bind(transport.anywhere()).unwrap()).unwrap();
        right.connect(back.bind(transport.anywhere()).unwrap()).unwrap();
        let running = Proxy::new(&front, &back).spawn().unwrap();
        for at in 0..100 {
            let body = at.to_string();
            left.send(body.as_str()).unwrap();
            right.send(body.as_str()).unwrap();
        }
        for at in 0..100 {
            let body = at.to_string();
            assert_eq!(right.recv_timeout(LONG).unwrap(), body.as_str());
            assert_eq!(left.recv_timeout(LONG).unwrap(), body.as_str());
        }
        assert_adds_up(&running.stop().stats);
    }
}

#[test]
fn a_flood_one_way_does_not_starve_the_other() {
    let (left, front, back, right) = (Dealer::new(), Dealer::new(), Dealer::new(), Dealer::new());
    left.connect(front.bind(Transport::Inproc.anywhere()).unwrap())
        .unwrap();
    right
        .connect(back.bind(Transport::Inproc.anywhere()).unwrap())
        .unwrap();
    let running = Proxy::new(&front, &back).spawn().unwrap();
    let (flood, drain) = (left.clone(), right.clone());
    let flooding = thread::spawn(move || while flood.send("flood").is_ok() {});
    let draining = thread::spawn(move || while drain.recv().is_ok() {});
    for at in 0..100 {
        let body = at.to_string();
        right.send_timeout(body.as_str(), LONG).unwrap();
        assert_eq!(left.recv_timeout(LONG).unwrap(), body.as_str());
    }
    left.close();
    right.close();
    flooding.join().unwrap();
    draining.join().unwrap();
    let ProxyReport { stats, returned, .. } = running.stop();
    assert_eq!(stats.backend.received, stats.frontend.sent);
    // The drain may have gone when a message had just been taken for it.
    let lost = stats.frontend.received.messages - stats.backend.sent.messages;
    assert_eq!(lost, returned.len() as u64);
}

#[test]
fn a_forwarder_brings_subscriptions_one_way_and_messages_the_other() {
    for transport in Transport::ALL {
        let (front, back) = (XSub::new(), XPub::new());
        let publishers = front.bind(transport.anywhere()).unwrap();
        let subscribers = back.bind(transport.anywhere()).unwrap();
        let (capture, log) = (Pub::new(), Sub::new());
        log.subscribe("").unwrap();
        log.connect(capture.bind(transport.anywhere()).unwrap()).unwrap();
        capture.wait_for_subscribers("", 1, LONG).unwrap();
        let running = Proxy::new(&front, &back).capture(&capture).spawn().unwrap();
        let (one, other) = (Pub::new(), Pub::new());
        one.connect(&publishers).unwrap();
        other.connect(&publishers).unwrap();
        let subscriber = Sub::new();
        subscriber.connect(&subscribers).unwrap();
        subscriber.subscribe("weather").unwrap();
        one.wait_for_subscribers("weather", 1, LONG).unwrap();
        other.wait_for_subscribers("weather", 1, LONG).unwrap();
        other.send("sports: nil all").unwrap();
        one.send("weather: fair").unwrap();
        assert_eq!(subscriber.recv_timeout(LONG).unwrap(), "weather: fair");
        for said in ["\u{1}weather", "weather: fair"] {
            assert_eq!(log.recv_timeout(LONG).unwrap(), said);
        }
        let stats = running.stop().stats;
        assert_eq!(stats.backend.received, count(1, ["\u{1}weather"]));
        assert_eq!(stats.backend.sent, count(1, ["weather: fair"]));
        assert_eq!((stats.captured, stats.capture_dropped), (2, 0));
        assert_adds_up(&stats);
    }
}

#[test]
fn the_sockets_may_be_of_different_contexts() {
    const COUNT: usize = 1000;
    let (one, other) = (Context::new(1), Context::new(1));
    let frontend = Pull::builder().context(&one).recv_hwm(10).build();
    let backend = Push::builder().context(&other).send_hwm(10).build();
    let (push, pull) = (Push::new(), Pull::new());
    marry(&push, &frontend, Transport::Tcp);
    marry(&backend, &pull, Transport::Tcp);
    let _running = Proxy::new(&frontend, &backend).spawn().unwrap();
    let sender = send_numbers(&push, 0..COUNT);
    assert_eq!(recv_texts(&pull, COUNT), numbers(0..COUNT));
    sender.join().unwrap();
}

#[test]
fn the_proxy_passes_the_word_on_when_another_has_taken_what_it_had_to_send() {
    let stream = Stream::new(Transport::Inproc, 1);
    let monitor = stream.frontend.monitor();
    let filled = fill(&stream.backend);
    let _running = stream.proxy().spawn().unwrap();
    send_all(&stream.push, ["taken by another"]);
    assert!(monitor.recv_timeout(A_WHILE).is_err(), "the proxy waits for room");
    let beside = stream.backend.clone();
    let (done, is_done) = mpsc::channel();
    // Without a time limit: it would look again by itself when that is reached.
    thread::spawn(move || done.send(beside.send("next")));
    assert!(
        monitor.recv_timeout(A_WHILE).is_err(),
        "the other waits behind it"
    );
    assert_eq!(text(&recv(&stream.frontend)), "taken by another");
    recv_texts(&stream.pull, filled);
    is_done.recv_timeout(LONG).unwrap().unwrap();
    assert_eq!(text(&recv(&stream.pull)), "next");
}

#[test]
fn the_proxy_takes_its_turn_among_others_who_use_its_sockets() {
    const COUNT: usize = 3000;
    let stream = Stream::new(Transport::Inproc, 10);
    let running = stream.proxy().spawn().unwrap();
    let beside = stream.backend.clone();
    let other = thread::spawn(move || {
        for number in numbers(COUNT..2 * COUNT) {
            beside.send_timeout(number, LONG).unwrap();
        }
    });
    let sender = send_numbers(&stream.push, 0..COUNT);
    let mut got: Vec<usize> = recv_texts(&stream.pull, 2 * COUNT)
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    got.sort_unstable();
    assert_eq!(got, (0..2 * COUNT).collect::<Vec<_>>());
    other.join().unwrap();
    sender.join().unwrap();
    assert!(running.stop().returned.is_empty());
}
