//! The poller: many sockets, descriptors and timers, what each type of socket is ready for, and several threads.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use aqueduct::{
    Context, Dealer, Interest, Notifier, Pair, PollError, Pollable, Poller, Pub, Pull, Push, Ready,
    ReadyList, Rep, Req, ReqRecvError, Router, RouterEvent, RoutingId, Sub, XPub,
};
use support::*;

const READ: Interest = Interest::READABLE;
const WRITE: Interest = Interest::WRITABLE;

fn both() -> Interest {
    READ | WRITE
}

/// What is ready now, or as soon as anything is.
fn wait(poller: &Poller) -> Vec<Ready> {
    let mut ready = ReadyList::default();
    assert!(poller.wait(&mut ready, Some(LONG)) > 0, "nothing became ready");
    ready.iter().copied().collect()
}

/// What is ready now.
fn look(poller: &Poller) -> Vec<Ready> {
    let mut ready = ReadyList::default();
    let count = poller.wait(&mut ready, Some(Duration::ZERO));
    assert_eq!(ready.len(), count);
    ready.iter().copied().collect()
}

fn keys(ready: &[Ready]) -> Vec<usize> {
    ready.iter().map(Ready::key).collect()
}

/// A poller that watches one socket under the key 0.
fn watching(socket: &impl Pollable, interest: Interest) -> Poller {
    let poller = Poller::new();
    poller.add(socket, 0, interest).unwrap();
    poller
}

/// Waits until a socket is ready in these ways, readable and writable, and checks that it stays so.
fn settles_at(poller: &Poller, readable: bool, writable: bool) {
    let ways = || {
        let ready = look(poller);
        let any = |test: fn(&Ready) -> bool| ready.iter().any(test);
        (any(Ready::is_readable), any(Ready::is_writable))
    };
    eventually("the socket is ready as it should be", || {
        ways() == (readable, writable)
    });
    assert_eq!(
        ways(),
        (readable, writable),
        "what is left undone is reported again"
    );
}

#[test]
fn of_many_sockets_those_that_are_ready_are_reported() {
    for transport in Transport::ALL {
        let poller = Poller::new();
        let pairs: Vec<_> = (0..20)
            .map(|key| {
                let (push, pull) = (Push::new(), Pull::new());
                marry(&push, &pull, transport);
                poller.add(&pull, key, READ).unwrap();
                (push, pull)
            })
            .collect();
        assert!(look(&poller).is_empty());
        for key in [3, 17] {
            pairs[key].0.send("hello").unwrap();
        }
        let mut seen = Vec::new();
        while seen.len() < 2 {
            for ready in wait(&poller) {
                assert!(
                    ready.is_readable() && !ready.is_writable() && !ready.is_closed() && !ready.is_timer()
                );
                assert_eq!(pairs[ready.key()].1.try_recv().unwrap(), "hello");
                seen.push(ready.key());
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, [3, 17], "over {transport:?}");
        assert!(look(&poller).is_empty());
    }
}

#[test]
fn what_is_left_undone_is_reported_again() {
    let (push, pull) = (Push::new(), Pull::new());
    marry(&push, &pull, Transport::Tcp);
    let poller = watching(&pull, READ);
    send_all(&push, ["one", "two"]);
    for _ in 0..3 {
        assert_eq!(keys(&wait(&poller)), [0]);
    }
    assert_eq!(text(&recv(&pull)), "one");
    assert_eq!(keys(&wait(&poller)), [0], "there is another");
    assert_eq!(text(&recv(&pull)), "two");
    assert!(look(&poller).is_empty());
    send_all(&push, ["three"]);
    assert_eq!(keys(&wait(&poller)), [0]);
}

#[test]
fn what_does_not_fit_the_list_has_its_turn_later() {
    let poller = Poller::new();
    let sockets: Vec<_> = (0..5)
        .map(|key| {
            let (push, pull) = (Push::new(), Pull::new());
            marry(&push, &pull, Transport::Inproc);
            push.send("here").unwrap();
            poller.add(&pull, key, READ).unwrap();
            (push, pull)
        })
        .collect();
    poller.add_interval(5, Duration::from_millis(1)).unwrap();
    let (mut ready, mut seen) = (ReadyList::with_capacity(1), [false; 6]);
    eventually("each has had its turn", || {
        assert_eq!(poller.wait(&mut ready, Some(LONG)), 1);
        ready.iter().for_each(|ready| seen[ready.key()] = true);
        seen == [true; 6]
    });
    drop(sockets);
}

#[test]
fn a_push_is_writable_as_long_as_a_peer_can_take_more() {
    for transport in Transport::ALL {
        let push = Push::builder().send_hwm(3).build();
        let poller = watching(&push, both());
        assert!(look(&poller).is_empty(), "nobody is there");
        let pull = Pull::builder().recv_hwm(3).build();
        marry(&push, &pull, transport);
        settles_at(&poller, false, true);
        // Over a wire, the system's buffers take a while to fill.
        let body = vec![0_u8; 1 << 16];
        eventually("the push is full", || {
            while push.try_send(body.clone()).is_ok() {}
            look(&poller).is_empty()
        });
        recv(&pull);
        eventually("there is room again", || {
            let _ = pull.try_recv();
            look(&poller).iter().any(Ready::is_writable)
        });
    }
}

#[test]
fn a_req_is_writable_when_it_is_its_turn_and_readable_when_a_reply_is_here() {
    for transport in Transport::ALL {
        let (req, rep) = (Req::new(), Rep::new());
        let poller = watching(&req, both());
        assert!(look(&poller).is_empty(), "nobody is there, and nothing was asked");
        req.connect(rep.bind(transport.anywhere()).unwrap()).unwrap();
        for _ in 0..2 {
            settles_at(&poller, false, true);
            req.try_send("question").unwrap();
            assert!(look(&poller).is_empty(), "it is the other's turn");
            let (_, reply) = rep.recv_timeout(LONG).unwrap();
            reply.send("answer").unwrap();
            settles_at(&poller, true, false);
            assert_eq!(req.try_recv().unwrap(), "answer");
        }
    }
}

#[test]
fn whoever_waits_for_a_req_is_told_of_its_turns() {
    let (req, rep) = (Req::new(), Rep::new());
    req.connect(rep.bind(Transport::Inproc.anywhere()).unwrap())
        .unwrap();
    req.wait_for_peers(1, LONG).unwrap();
    req.send("question").unwrap();
    rep.recv_timeout(LONG).unwrap().1.send("answer").unwrap();
    let poller = watching(&req, WRITE);
    assert!(look(&poller).is_empty(), "a question is open");
    // From now on only word from the socket makes the poller look at it; to receive is what makes it writable.
    assert_eq!(req.recv_timeout(LONG).unwrap(), "answer");
    assert!(wait(&poller)[0].is_writable());
}

#[test]
fn a_req_whose_peer_is_lost_is_readable() {
    let (req, rep) = (Req::new(), Rep::new());
    let poller = watching(&req, READ);
    req.connect(rep.bind(Transport::Tcp.anywhere()).unwrap()).unwrap();
    req.send("question").unwrap();
    let (_, reply) = rep.recv_timeout(LONG).unwrap();
    drop((rep, reply));
    assert!(wait(&poller)[0].is_readable());
    assert!(matches!(req.try_recv(), Err(ReqRecvError::PeerLost)));
    assert!(look(&poller).is_empty());
}

#[test]
fn a_req_that_another_thread_asks_with_is_not_ready_meanwhile() {
    let (req, rep) = (Req::new(), Rep::new());
    req.connect(rep.bind(Transport::Inproc.anywhere()).unwrap())
        .unwrap();
    req.wait_for_peers(1, LONG).unwrap();
    let poller = watching(&req, both());
    thread::scope(|scope| {
        let asking = scope.spawn(|| req.request("question"));
        let (_, reply) = rep.recv_timeout(LONG).unwrap();
        assert!(look(&poller).is_empty());
        reply.send("answer").unwrap();
        assert_eq!(asking.join().unwrap().unwrap(), "answer");
        settles_at(&poller, false, true);
    });
}

#[test]
fn a_rep_is_readable_when_a_request_is_here() {
    let (req, rep) = (Req::new(), Rep::new());
    let poller = watching(&rep, both());
    req.connect(rep.bind(Transport::Ipc.anywhere()).unwrap()).unwrap();
    req.send("question").unwrap();
    settles_at(&poller, true, false);
    let (_, reply) = rep.try_recv().unwrap();
    assert!(look(&poller).is_empty());
    reply.send("answer").unwrap();
    assert_eq!(req.recv_timeout(LONG).unwrap(), "answer");
}

#[test]
fn a_router_is_writable_when_any_peer_has_room_and_readable_when_any_has_spoken() {
    for transport in Transport::ALL {
        let router = Router::new();
        let poller = watching(&router, both());
        assert!(look(&poller).is_empty());
        let dealer = Dealer::builder()
            .routing_id(RoutingId::new("one").unwrap())
            .build();
        dealer
            .connect(router.bind(transport.anywhere()).unwrap())
            .unwrap();
        settles_at(&poller, false, true);
        dealer.send("hello").unwrap();
        settles_at(&poller, true, true);
        let (id, _) = router.try_recv().unwrap();
        settles_at(&poller, false, true);
        router.try_send(&id, "hello").unwrap();
        assert_eq!(dealer.recv_timeout(LONG).unwrap(), "hello");
    }
}

#[test]
fn a_notice_makes_a_router_readable() {
    for transport in Transport::ALL {
        let router = Router::builder().notices(true).build();
        let dealer = Dealer::new();
        let poller = watching(&router, READ);
        // Whoever connects learns of its peer in another way than who is bound.
        let (endpoint, _kept) = transport.vacant();
        router.connect(&endpoint).unwrap();
        // From now on only word from the socket makes the poller look at it.
        assert!(look(&poller).is_empty());
        dealer.bind(&endpoint).unwrap();
        assert!(wait(&poller)[0].is_readable(), "over {transport:?}");
        assert!(matches!(router.try_recv_event(), Ok(RouterEvent::Connected(_))));
    }
}

#[test]
fn a_sub_is_readable_by_what_it_subscribed_to_and_an_xpub_by_what_others_do() {
    for transport in Transport::ALL {
        let (xpub, sub) = (XPub::new(), Sub::new());
        let (subscriptions, messages) = (watching(&xpub, READ), watching(&sub, READ));
        sub.connect(xpub.bind(transport.anywhere()).unwrap()).unwrap();
        assert!(look(&subscriptions).is_empty() && look(&messages).is_empty());
        sub.subscribe("weather").unwrap();
        settles_at(&subscriptions, true, false);
        xpub.try_recv().unwrap();
        assert!(look(&subscriptions).is_empty());
        xpub.send("sport").unwrap();
        xpub.send("weather: rain").unwrap();
        settles_at(&messages, true, false);
        assert_eq!(sub.try_recv().unwrap(), "weather: rain");
        assert!(look(&messages).is_empty());
        let publisher = Pub::new();
        assert!(wait(&watching(&publisher, WRITE))[0].is_writable());
    }
}

#[test]
fn pairs_dealers_and_their_halves_are_readable_and_writable() {
    let (one, two) = (Pair::new(), Pair::new());
    let pairs = watching(&one, both());
    one.connect(two.bind(Transport::Tcp.anywhere()).unwrap()).unwrap();
    settles_at(&pairs, false, true);
    two.send("hello").unwrap();
    settles_at(&pairs, true, true);
    assert_eq!(one.try_recv().unwrap(), "hello");

    let (near, far) = (Dealer::new(), Dealer::new());
    near.connect(far.bind(Transport::Tcp.anywhere()).unwrap())
        .unwrap();
    let (sender, receiver) = near.split();
    let (writes, reads) = (watching(&sender, WRITE), watching(&receiver, READ));
    assert!(wait(&writes)[0].is_writable());
    assert!(look(&reads).is_empty());
    far.send("hello").unwrap();
    assert!(wait(&reads)[0].is_readable());
    assert_eq!(receiver.try_recv().unwrap(), "hello");
}

#[test]
fn a_closed_socket_is_reported_until_it_is_removed() {
    let pull = Pull::new();
    let poller = watching(&pull, READ);
    thread::scope(|scope| {
        let closed = scope.spawn(|| wait(&poller));
        pull.clone().close();
        let ready = closed.join().unwrap();
        assert!(
            ready[0].is_closed() && ready[0].is_readable(),
            "an attempt need not wait"
        );
    });
    assert!(wait(&poller)[0].is_closed());
    assert!(poller.remove(0));
    assert!(!poller.remove(0));
    assert!(look(&poller).is_empty());
}

#[test]
fn a_poller_does_not_keep_a_socket_open() {
    let (push, pull) = (Push::new(), Pull::new());
    marry(&push, &pull, Transport::Tcp);
    let poller = watching(&pull, READ);
    drop(pull);
    assert!(wait(&poller)[0].is_closed());
}

#[test]
fn timers_are_reported_beside_sockets() {
    let pull = Pull::new();
    let poller = watching(&pull, READ);
    poller.add_timer(1, Duration::from_millis(2)).unwrap();
    let ready = wait(&poller);
    assert_eq!(keys(&ready), [1]);
    assert!(ready[0].is_timer() && !ready[0].is_readable());
    assert!(look(&poller).is_empty() && !poller.remove(1), "once");
    poller.add_interval(2, Duration::ZERO).unwrap();
    for _ in 0..3 {
        assert_eq!(keys(&wait(&poller)), [2]);
    }
    assert!(poller.remove(2));
    // One that never comes does not end the wait either.
    poller.add_timer(3, Duration::MAX).unwrap();
    let mut ready = ReadyList::default();
    assert_eq!(poller.wait(&mut ready, Some(Duration::from_millis(1))), 0);
    assert!(ready.is_empty());
}

#[test]
fn a_descriptor_is_readable_writable_and_closed() {
    let (mut near, mut far) = UnixStream::pair().unwrap();
    let poller = Poller::new();
    poller.add_fd(&near, 0, READ).unwrap();
    assert!(look(&poller).is_empty());
    far.write_all(b"ab").unwrap();
    let mut byte = [0];
    for _ in 0..2 {
        // What was not read is reported again, without any news from the system.
        assert!(wait(&poller)[0].is_readable());
        near.read_exact(&mut byte).unwrap();
    }
    assert!(look(&poller).is_empty(), "all was read");

    poller.modify(0, both()).unwrap();
    let ready = wait(&poller);
    assert!(ready[0].is_writable() && !ready[0].is_readable());
    near.set_nonblocking(true).unwrap();
    while near.write(&[0; 4096]).is_ok() {}
    assert!(look(&poller).is_empty(), "it is full");
    let mut rest = Vec::new();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| wait(&poller));
        let mut part = [0; 4096];
        far.set_nonblocking(true).unwrap();
        while let Ok(count) = far.read(&mut part) {
            rest.extend_from_slice(&part[..count]);
        }
        assert!(waiting.join().unwrap()[0].is_writable());
    });
    assert!(!rest.is_empty());

    poller.modify(0, READ).unwrap();
    assert!(look(&poller).is_empty());
    drop(far);
    for _ in 0..2 {
        let ready = wait(&poller);
        assert!(
            ready[0].is_closed() && ready[0].is_readable(),
            "the end can be read"
        );
    }
    assert!(poller.remove(0));
    assert!(look(&poller).is_empty());
}

#[test]
fn a_stream_that_only_ends_one_way_is_not_writable_for_that() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let far = listener.accept().unwrap().0;
    near.set_nonblocking(true).unwrap();
    let poller = Poller::new();
    poller.add_fd(&near, 0, both()).unwrap();
    eventually("it is full", || {
        while (&near).write(&[0; 65536]).is_ok() {}
        look(&poller).is_empty()
    });
    far.shutdown(std::net::Shutdown::Write).unwrap();
    let ready = wait(&poller);
    assert!(ready[0].is_readable() && ready[0].is_closed() && !ready[0].is_writable());
}

#[test]
fn the_original_of_a_descriptor_may_be_closed() {
    let (near, mut far) = UnixStream::pair().unwrap();
    let poller = Poller::new();
    poller.add_fd(&near, 0, READ).unwrap();
    drop(near);
    far.write_all(b"a").unwrap();
    assert!(wait(&poller)[0].is_readable());
    poller.remove(0);
    assert!(far.write_all(b"b").is_err(), "now nobody holds it any more");
}

#[test]
fn keys_are_used_once_and_errors_leave_things_as_they_were() {
    let (near, mut far) = UnixStream::pair().unwrap();
    let (push, pull) = (Push::new(), Pull::new());
    marry(&push, &pull, Transport::Inproc);
    let poller = watching(&pull, READ);
    assert!(matches!(poller.add(&push, 0, WRITE), Err(PollError::KeyInUse(0))));
    assert!(matches!(
        poller.add_fd(&near, 0, WRITE),
        Err(PollError::KeyInUse(0))
    ));
    assert!(matches!(
        poller.add_timer(0, Duration::ZERO),
        Err(PollError::KeyInUse(0))
    ));
    assert!(matches!(poller.modify(1, READ), Err(PollError::NotRegistered(1))));
    poller.add_interval(1, LONG).unwrap();
    assert!(matches!(poller.modify(1, READ), Err(PollError::NotRegistered(1))));
    let file = tempfile::tempfile().unwrap();
    assert!(matches!(poller.add_fd(&file, 2, READ), Err(PollError::Io(_))));
    assert!(!poller.remove(2));
    assert!(look(&poller).is_empty());
    push.send("hello").unwrap();
    assert_eq!(keys(&wait(&poller)), [0]);
    recv(&pull);
    // A key that is free again tells of what is there now.
    assert!(poller.remove(0));
    poller.add_fd(&near, 0, READ).unwrap();
    push.send("unheard").unwrap();
    assert!(look(&poller).is_empty());
    far.write_all(b"a").unwrap();
    assert_eq!(keys(&wait(&poller)), [0]);
}

#[test]
fn others_remove_and_modify_while_a_thread_waits() {
    let (push, pull) = (Push::new(), Pull::new());
    marry(&push, &pull, Transport::Tcp);
    let (other_push, other_pull) = (Push::new(), Pull::new());
    marry(&other_push, &other_pull, Transport::Tcp);
    let poller = watching(&pull, READ);
    poller.add(&other_pull, 1, READ).unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| wait(&poller));
        assert!(poller.remove(0));
        push.send("unheard").unwrap();
        recv(&pull);
        other_push.send("hello").unwrap();
        assert_eq!(keys(&waiting.join().unwrap()), [1]);
    });
    recv(&other_pull);
    assert!(poller.remove(1));
    poller.add(&push, 2, READ).unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| wait(&poller));
        poller.modify(2, WRITE).unwrap();
        assert!(waiting.join().unwrap()[0].is_writable());
    });
}

#[test]
fn what_is_added_while_a_thread_waits_ends_its_wait() {
    // Each is of a context of its own, and so of a loop that nobody turns yet.
    let context = Context::new(1);
    let (push, pull) = (Push::new(), Pull::builder().context(&context).build());
    marry(&push, &pull, Transport::Tcp);
    let poller = Poller::new();
    poller.add(&Pull::new(), 9, READ).unwrap();
    poller.remove(9);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| wait(&poller));
        poller.add(&pull, 1, READ).unwrap();
        push.send("hello").unwrap();
        assert_eq!(keys(&waiting.join().unwrap()), [1]);
    });
}

#[test]
fn wake_ends_one_wait_be_it_the_next() {
    let pull = Pull::new();
    let poller = watching(&pull, READ);
    let mut ready = ReadyList::default();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| poller.wait(&mut ReadyList::default(), None));
        poller.wake();
        assert_eq!(waiting.join().unwrap(), 0);
    });
    poller.wake();
    poller.wake();
    assert_eq!(poller.wait(&mut ready, None), 0, "it does not get lost");
    poller.add_timer(1, Duration::from_millis(1)).unwrap();
    assert_eq!(
        poller.wait(&mut ready, None),
        1,
        "it is used up, however often it was called"
    );
}

#[test]
fn pollers_and_notifiers_may_be_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Poller>();
    shared::<Notifier>();
    shared::<ReadyList>();
}

#[test]
fn two_threads_share_a_poller() {
    const MESSAGES: usize = 2000;
    const SOCKETS: usize = 4;
    let poller = Poller::new();
    let pairs: Vec<_> = (0..SOCKETS)
        .map(|key| {
            let (push, pull) = (Push::new(), Pull::new());
            marry(&push, &pull, Transport::Tcp);
            poller.add(&pull, key, READ).unwrap();
            (push, pull)
        })
        .collect();
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        let threads = [(); 2].map(|()| {
            let (poller, pairs, tell) = (&poller, &pairs, tell.clone());
            scope.spawn(move || {
                let mut ready = ReadyList::with_capacity(1);
                while poller.wait(&mut ready, Some(LONG)) > 0 {
                    for ready in &ready {
                        // The other thread may have been faster.
                        if let Ok(message) = pairs[ready.key()].1.try_recv() {
                            tell.send(text(&message)).unwrap();
                        }
                    }
                }
            })
        });
        for at in 0..MESSAGES {
            pairs[at % SOCKETS].0.send(at.to_string()).unwrap();
        }
        let mut all: Vec<usize> = (0..MESSAGES)
            .map(|_| told.recv_timeout(LONG).unwrap().parse().unwrap())
            .collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..MESSAGES), "each once");
        eventually("both have left", || {
            poller.wake();
            threads.iter().all(thread::ScopedJoinHandle::is_finished)
        });
    });
}
