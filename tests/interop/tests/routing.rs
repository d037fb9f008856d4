//! Routing between the two libraries: ids that are announced, chosen, made up, in use and handed over; probes; and what
//! has nowhere to go.

use aqueduct::{
    Buildable, Builder, Dealer, DisconnectReason, DropReason, Event, Monitor, Rep, Req, RouteError, Router,
    RouterEvent, RoutingId, SocketType,
};
use aqueduct_interop::{
    Bound, Classic, Kind, LONG, Library, Link, Peer, Plug, Via, Wiring, await_event, await_loss, bounded,
    frames, keen,
};
use zmq::SocketEvent;

fn id(name: &[u8]) -> RoutingId {
    RoutingId::new(name.to_vec()).unwrap()
}

fn router() -> Router {
    keen(Router::builder()).build()
}

/// A classic ROUTER that says so when a message has nowhere to go.
fn mandatory_classic_router() -> Classic {
    Classic::with(zmq::ROUTER, |socket| socket.set_router_mandatory(true))
}

fn named_classic(kind: zmq::SocketType, name: &[u8]) -> Classic {
    Classic::with(kind, |socket| socket.set_identity(name))
}

/// The longest id, with every byte in it.
fn longest() -> Vec<u8> {
    (1..=255).collect()
}

const NAMES: [&[u8]; 3] = [b"a", b"worker 1", b"\xff\x00\n"];

#[test]
fn our_router_knows_classic_sockets_by_the_ids_that_they_announce() {
    Wiring::each(|wiring| {
        for kind in [zmq::REQ, zmq::DEALER, zmq::ROUTER] {
            for name in NAMES.iter().map(|name| name.to_vec()).chain([longest()]) {
                let (router, peer) = (router(), named_classic(kind, &name));
                let _wired = wiring.join(&router, &peer);
                router.wait_for_peers(1, LONG).unwrap();
                let info = router.peer(&id(&name)).unwrap();
                assert_eq!(info.routing_id, id(&name));
                let expected = match kind {
                    zmq::REQ => SocketType::Req,
                    zmq::DEALER => SocketType::Dealer,
                    _ => SocketType::Router,
                };
                assert_eq!(info.socket_type, expected);
                if kind == zmq::DEALER {
                    router.send(&id(&name), "who are you?").unwrap();
                    assert_eq!(peer.recv(), b"who are you?");
                    peer.send(b"you know");
                    assert_eq!(router.recv().unwrap(), (id(&name), "you know".into()));
                }
            }
        }
    });
}

#[test]
fn our_router_makes_up_ids_for_classic_sockets_without_one() {
    Link::each(|link| {
        let router = router();
        let wired = link.bind(&router);
        let dealers: Vec<_> = (0..5u8)
            .map(|number| {
                let dealer = Classic::new(zmq::DEALER);
                dealer.connect(&wired.endpoint);
                dealer.send(&[number]);
                dealer
            })
            .collect();
        for _ in &dealers {
            let (from, message) = router.recv().unwrap();
            assert!(from.is_generated(), "{from:?}");
            router.send(&from, message).unwrap();
        }
        for (number, dealer) in dealers.iter().enumerate() {
            assert_eq!(dealer.recv(), [u8::try_from(number).unwrap()]);
        }
    });
}

#[test]
fn a_classic_router_knows_our_sockets_by_the_ids_that_they_announce() {
    Wiring::each(|wiring| {
        for name in NAMES.iter().map(|name| name.to_vec()).chain([longest()]) {
            let router = mandatory_classic_router();
            let dealer = keen(Dealer::builder()).routing_id(id(&name)).build();
            let _wired = wiring.join(&dealer, &router);
            router.await_peer();
            router.send_frames(&[name.clone(), b"who are you?".to_vec()]);
            assert_eq!(dealer.recv().unwrap(), "who are you?");
            dealer.send("you know").unwrap();
            assert_eq!(router.recv_frames(), [name.clone(), b"you know".to_vec()]);

            let router = mandatory_classic_router();
            let req = keen(Req::builder()).routing_id(id(&name)).build();
            let _wired = wiring.join(&req, &router);
            req.send("it is me").unwrap();
            assert_eq!(
                router.recv_frames(),
                [name.clone(), Vec::new(), b"it is me".to_vec()]
            );
        }
    });
}

#[test]
fn our_router_and_a_classic_one_speak_first_under_announced_ids() {
    Wiring::each(|wiring| {
        let ours = keen(Router::builder()).routing_id(id(b"ours")).build();
        let classic = Classic::with(zmq::ROUTER, |socket| {
            socket.set_router_mandatory(true)?;
            socket.set_identity(b"classic")
        });
        let _wired = wiring.join(&ours, &classic);
        ours.wait_for_peers(1, LONG).unwrap();
        classic.await_peer();
        ours.send(&id(b"classic"), "from ours").unwrap();
        classic.send_frames(&frames(&["ours", "from classic"]));
        assert_eq!(classic.recv_frames(), frames(&["ours", "from ours"]));
        assert_eq!(ours.recv().unwrap(), (id(b"classic"), "from classic".into()));
    });
}

#[test]
fn our_router_queues_for_a_classic_router_under_a_chosen_id_before_it_is_there() {
    bounded(|| {
        for via in Via::ALL {
            let (anywhere, _home) = via.anywhere();
            let first = Classic::new(zmq::ROUTER);
            let endpoint = first.bind(&anywhere);
            drop(first);
            let ours = keen(Router::builder()).routing_id(id(b"ours")).build();
            ours.connect_with_id(&endpoint, id(b"chosen")).unwrap();
            ours.send(&id(b"chosen"), "early").unwrap();
            let classic = named_classic(zmq::ROUTER, b"announced");
            assert_eq!(classic.bind(&endpoint), endpoint);
            assert_eq!(classic.recv_frames(), frames(&["ours", "early"]));
            classic.send_frames(&frames(&["ours", "in time"]));
            assert_eq!(ours.recv().unwrap(), (id(b"chosen"), "in time".into()));
            let unknown = ours.send(&id(b"announced"), "who?");
            assert!(matches!(unknown, Err(RouteError::Unroutable(_))), "{unknown:?}");
        }
    });
}

#[test]
fn a_classic_router_queues_for_our_router_under_a_chosen_id_before_it_is_there() {
    bounded(|| {
        for via in Via::ALL {
            let (anywhere, _home) = via.anywhere();
            let first = router();
            let endpoint = first.bind(anywhere.as_str()).unwrap().to_string();
            drop(first.close());
            let mut classic = named_classic(zmq::ROUTER, b"classic");
            classic.connect_with_id(&endpoint, b"chosen");
            classic.send_frames(&frames(&["chosen", "early"]));
            let ours = keen(Router::builder()).routing_id(id(b"announced")).build();
            ours.bind(endpoint.as_str()).unwrap();
            assert_eq!(ours.recv().unwrap(), (id(b"classic"), "early".into()));
            ours.send(&id(b"classic"), "in time").unwrap();
            assert_eq!(classic.recv_frames(), frames(&["chosen", "in time"]));
        }
    });
}

/// Why the next handshake fails.
fn await_refusal(monitor: &Monitor) -> DisconnectReason {
    await_event(monitor, "failed handshake", |event| match event {
        Event::HandshakeFailed { reason, .. } => Some(reason.clone()),
        _ => None,
    })
}

#[test]
fn our_router_refuses_a_classic_id_that_looks_made_up() {
    Link::each(|link| {
        let router = router();
        let monitor = router.monitor();
        let wired = link.bind(&router);
        let liar = Classic::with(zmq::DEALER, |socket| {
            socket.set_linger(0)?;
            socket.set_identity(&[0, 1, 2, 3, 4])
        });
        liar.connect(&wired.endpoint);
        assert_eq!(
            await_refusal(&monitor),
            DisconnectReason::Malformed("a routing id that starts with a zero byte")
        );
        let honest = Classic::new(zmq::DEALER);
        honest.connect(&wired.endpoint);
        honest.send(b"for you");
        assert_eq!(router.recv().unwrap().1, "for you");
    });
}

#[test]
fn our_router_refuses_a_classic_id_in_use_until_it_is_free() {
    Link::each(|link| {
        let router = keen(Router::builder()).notices(true).build();
        let (monitor, worker) = (router.monitor(), id(b"worker"));
        let wired = link.bind(&router);
        let first = named_classic(zmq::DEALER, b"worker");
        first.connect(&wired.endpoint);
        assert_eq!(
            router.recv_event().unwrap(),
            RouterEvent::Connected(worker.clone())
        );
        let second = named_classic(zmq::DEALER, b"worker");
        second.connect(&wired.endpoint);
        assert_eq!(
            await_refusal(&monitor),
            DisconnectReason::Rejected("the routing id is in use")
        );
        router.send(&worker, "still you").unwrap();
        assert_eq!(first.recv(), b"still you");
        drop(first);
        // The second one has tried again and again.
        assert_eq!(
            router.recv_event().unwrap(),
            RouterEvent::Disconnected(worker.clone())
        );
        assert_eq!(
            router.recv_event().unwrap(),
            RouterEvent::Connected(worker.clone())
        );
        router.send(&worker, "now you").unwrap();
        assert_eq!(second.recv(), b"now you");
    });
}

#[test]
fn our_router_hands_an_id_over_to_a_classic_newcomer_by_choice() {
    Link::each(|link| {
        let router = keen(Router::builder()).handover(true).build();
        let monitor = router.monitor();
        let wired = link.bind(&router);
        // It would take its id back.
        let first = Classic::with(zmq::DEALER, |socket| {
            socket.set_reconnect_ivl(-1)?;
            socket.set_identity(b"worker")
        });
        let witness = first.witness();
        first.connect(&wired.endpoint);
        first.send(b"first");
        assert_eq!(router.recv().unwrap(), (id(b"worker"), "first".into()));
        let second = named_classic(zmq::DEALER, b"worker");
        second.connect(&wired.endpoint);
        second.send(b"second");
        assert_eq!(router.recv().unwrap(), (id(b"worker"), "second".into()));
        assert_eq!(
            await_loss(&monitor),
            DisconnectReason::Rejected("another peer took over the routing id")
        );
        witness.expect(SocketEvent::DISCONNECTED);
        router.send(&id(b"worker"), "you").unwrap();
        assert_eq!(second.recv(), b"you");
    });
}

#[test]
fn a_classic_router_hands_our_id_over_by_choice() {
    Link::each(|link| {
        let router = Classic::with(zmq::ROUTER, |socket| {
            socket.set_router_mandatory(true)?;
            socket.set_router_handover(true)
        });
        let wired = link.bind(&router);
        // It would take its id back.
        let builder = keen(Dealer::builder()).routing_id(id(b"worker"));
        let first = builder.clone().reconnect_interval(None).build();
        first.connect(wired.endpoint.as_str()).unwrap();
        first.send("first").unwrap();
        assert_eq!(router.recv_frames(), frames(&["worker", "first"]));
        let second = builder.build();
        second.connect(wired.endpoint.as_str()).unwrap();
        second.send("second").unwrap();
        assert_eq!(router.recv_frames(), frames(&["worker", "second"]));
        router.send_frames(&frames(&["worker", "you"]));
        assert_eq!(second.recv().unwrap(), "you");
        // libzmq may keep the connection of the first one, but has no use for it.
        assert!(first.try_recv().is_err());
    });
}

/// A classic socket that makes itself known. If it is bound, it does so when the application looks for peers.
fn probing_classic(kind: zmq::SocketType, name: &[u8]) -> Classic {
    Classic::with(kind, |socket| {
        socket.set_probe_router(true)?;
        if kind == zmq::ROUTER {
            socket.set_router_mandatory(true)?;
        }
        socket.set_identity(name)
    })
}

#[test]
fn our_router_is_probed_by_classic_sockets() {
    Wiring::each(|wiring| {
        for kind in [zmq::REQ, zmq::DEALER, zmq::ROUTER] {
            let router = router();
            let peer = probing_classic(kind, b"probe");
            let _wired = wiring.join(&router, &peer);
            peer.await_peer();
            assert_eq!(router.recv().unwrap(), (id(b"probe"), "".into()));
        }
    });
}

/// Runs a script with a socket of ours that probes, and a classic ROUTER that is probed.
fn probed<S: Buildable + Plug>(wiring: Wiring, builder: Builder<S>) -> Vec<Vec<u8>> {
    let ours = keen(builder).routing_id(id(b"probe")).build();
    let router = Classic::new(zmq::ROUTER);
    let _wired = wiring.join(&ours, &router);
    router.recv_frames()
}

#[test]
fn a_classic_router_is_probed_by_our_sockets() {
    Wiring::each(|wiring| {
        let probe = frames(&["probe", ""]);
        assert_eq!(probed(wiring, Req::builder().probe(true)), probe);
        assert_eq!(probed(wiring, Dealer::builder().probe(true)), probe);
        assert_eq!(probed(wiring, Router::builder().probe(true)), probe);
    });
}

#[test]
fn a_probe_of_a_classic_router_does_not_confuse_our_sockets() {
    Wiring::each(|wiring| {
        let probing = || probing_classic(zmq::ROUTER, b"probe");
        let (dealer, router) = (keen(Dealer::builder()).build(), probing());
        let _wired = wiring.join(&dealer, &router);
        router.await_peer();
        assert_eq!(dealer.recv().unwrap(), "", "to a DEALER it is a message");

        let (req, router) = (keen(Req::builder()).build(), probing());
        let _wired = wiring.join(&req, &router);
        router.await_peer();
        for body in ["one", "two"] {
            req.send(body).unwrap();
            let request = router.recv_frames();
            assert_eq!(request[1..], frames(&["", body]));
            router.send_frames(&request);
            assert_eq!(req.recv().unwrap(), body);
        }

        for kind in [zmq::REQ, zmq::DEALER] {
            let rep = keen(Rep::builder()).build();
            let peer = probing_classic(kind, b"probe");
            let _wired = wiring.join(&rep, &peer);
            let envelope: &[&str] = if kind == zmq::DEALER { &[""] } else { &[] };
            let request = frames(&[envelope, &["ask"]].concat());
            peer.send_frames(&request);
            let (body, reply) = rep.recv().unwrap();
            assert_eq!(body, "ask");
            reply.send("ask").unwrap();
            assert_eq!(peer.recv_frames(), request);
            assert_eq!(rep.stats().total.discarded, 1, "the probe");
        }
    });
}

#[test]
fn a_probe_of_our_router_does_not_confuse_classic_sockets() {
    Wiring::each(|wiring| {
        let probing = || keen(Router::builder()).probe(true).build();
        let (router, dealer) = (probing(), Classic::new(zmq::DEALER));
        let _wired = wiring.join(&router, &dealer);
        assert_eq!(dealer.recv(), b"", "to a DEALER it is a message");

        let (router, req) = (probing(), Classic::new(zmq::REQ));
        let _wired = wiring.join(&router, &req);
        for body in [b"one", b"two"] {
            req.send(body);
            let (from, request) = router.recv().unwrap();
            router.send(&from, request).unwrap();
            assert_eq!(req.recv(), body);
        }
    });
}

#[test]
fn our_router_gives_back_what_is_for_a_classic_peer_that_is_gone() {
    Wiring::each(|wiring| {
        let (router, dealer) = (router(), named_classic(zmq::DEALER, b"worker"));
        let monitor = router.monitor();
        let unknown = router.send(&id(b"worker"), "too early");
        assert!(matches!(unknown, Err(RouteError::Unroutable(_))), "{unknown:?}");
        let wired = wiring.join(&router, &dealer);
        router.wait_for_peers(1, LONG).unwrap();
        router.send(&id(b"worker"), "in time").unwrap();
        assert_eq!(dealer.recv(), b"in time");
        drop(dealer);
        await_loss(&monitor);
        match (wiring.bound, router.try_send(&id(b"worker"), "late")) {
            (Bound::Ours, Err(error)) => assert_eq!(error.into_message(), "late"),
            // What is for an endpoint connected to waits for it to come back.
            (Bound::Classic, Ok(())) => {
                let dealer = named_classic(zmq::DEALER, b"worker");
                assert_eq!(dealer.bind(&wired.endpoint), wired.endpoint);
                assert_eq!(dealer.recv(), b"late");
            }
            (bound, other) => panic!("{bound:?} bound: {other:?}"),
        }
    });
}

#[test]
fn our_router_drops_what_it_cannot_route_by_choice() {
    Link::each(|link| {
        let router = keen(Router::builder()).drop_unroutable(true).build();
        let wired = link.bind(&router);
        let dealer = named_classic(zmq::DEALER, b"worker");
        dealer.connect(&wired.endpoint);
        router.wait_for_peers(1, LONG).unwrap();
        router.send(&id(b"nobody"), "lost").unwrap();
        router.send(&id(b"worker"), "found").unwrap();
        assert_eq!(dealer.recv(), b"found");
        assert_eq!(router.stats().total.dropped.of(DropReason::Unroutable), 1);
    });
}

#[test]
fn a_classic_mandatory_router_knows_when_ours_is_there_and_when_it_is_gone() {
    Link::each(|link| {
        let router = mandatory_classic_router();
        let wired = link.bind(&router);
        let message = frames(&["worker", "are you there?"]);
        assert_eq!(router.try_send_frames(&message), Err(zmq::Error::EHOSTUNREACH));
        let dealer = keen(Dealer::builder()).routing_id(id(b"worker")).build();
        dealer.connect(wired.endpoint.as_str()).unwrap();
        router.await_peer();
        router.send_frames(&message);
        assert_eq!(dealer.recv().unwrap(), "are you there?");
        drop(dealer.close());
        router.await_no_peer();
        assert_eq!(router.try_send_frames(&message), Err(zmq::Error::EHOSTUNREACH));
    });
}

#[test]
fn our_router_waits_for_a_classic_peer_that_is_full_and_loses_nothing() {
    Link::each(|link| {
        let router = keen(Router::builder()).send_hwm(10).build();
        let wired = link.bind(&router);
        let slow = Classic::with(zmq::DEALER, |socket| {
            socket.set_rcvhwm(10)?;
            socket.set_identity(b"slow")
        });
        let quick = named_classic(zmq::DEALER, b"quick");
        slow.connect(&wired.endpoint);
        quick.connect(&wired.endpoint);
        router.wait_for_peers(2, LONG).unwrap();
        let large = vec![1; 100_000];
        let mut sent = 0;
        while router.try_send(&id(b"slow"), large.clone()).is_ok() {
            sent += 1;
        }
        // The other one is not concerned.
        router.send(&id(b"quick"), "you are served").unwrap();
        assert_eq!(quick.recv(), b"you are served");
        let waiting = router.clone();
        let last = std::thread::spawn(move || waiting.send(&id(b"slow"), "the last").unwrap());
        for _ in 0..sent {
            assert_eq!(slow.recv(), large);
        }
        assert_eq!(slow.recv(), b"the last");
        last.join().unwrap();
    });
}

#[test]
fn our_router_tells_of_classic_peers_that_come_and_go() {
    Link::each(|link| {
        let router = keen(Router::builder()).notices(true).build();
        let wired = link.bind(&router);
        for round in 0..3u8 {
            let dealer = named_classic(zmq::DEALER, b"worker");
            dealer.connect(&wired.endpoint);
            dealer.send(&[round]);
            drop(dealer);
            let events: Vec<_> = (0..3).map(|_| router.recv_event().unwrap()).collect();
            let worker = id(b"worker");
            assert_eq!(
                events,
                [
                    RouterEvent::Connected(worker.clone()),
                    RouterEvent::Message(worker.clone(), [round].into()),
                    RouterEvent::Disconnected(worker),
                ]
            );
        }
    });
}

#[test]
fn our_router_disconnects_a_classic_peer_which_comes_back() {
    Link::each(|link| {
        let router = keen(Router::builder()).notices(true).build();
        let wired = link.bind(&router);
        let dealer = named_classic(zmq::DEALER, b"worker");
        let witness = dealer.witness();
        dealer.connect(&wired.endpoint);
        let worker = id(b"worker");
        assert_eq!(
            router.recv_event().unwrap(),
            RouterEvent::Connected(worker.clone())
        );
        assert!(router.disconnect_peer(&worker));
        witness.expect(SocketEvent::DISCONNECTED);
        assert_eq!(
            router.recv_event().unwrap(),
            RouterEvent::Disconnected(worker.clone())
        );
        assert_eq!(
            router.recv_event().unwrap(),
            RouterEvent::Connected(worker.clone())
        );
        router.send(&worker, "welcome back").unwrap();
        assert_eq!(dealer.recv(), b"welcome back");
    });
}

#[test]
fn dealers_of_both_libraries_share_the_work_of_our_router_and_of_a_classic_one() {
    bounded(|| {
        for [serves, one, two] in Library::mixes() {
            let router = Peer::new(serves, Kind::Router);
            let wired = Link::Tcp.bind(&router);
            let workers = [(one, "one"), (two, "two")].map(|(library, name)| {
                let dealer = Peer::named(library, Kind::Dealer, name);
                dealer.plug_into(&wired.endpoint);
                dealer.say(&frames(&["ready"]));
                (name, dealer)
            });
            let mut ready: Vec<_> = (0..2).map(|_| router.hear()).collect();
            ready.sort();
            assert_eq!(ready, [frames(&["one", "ready"]), frames(&["two", "ready"])]);
            for round in 0..100 {
                for (name, dealer) in &workers {
                    let task = frames(&[name, "", &format!("task {round}")]);
                    router.say(&task);
                    assert_eq!(dealer.hear(), task[1..]);
                    dealer.say(&task[1..]);
                    assert_eq!(router.hear(), task);
                }
            }
        }
    });
}
