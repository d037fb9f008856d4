//! RFC 28, request and reply: each thing that REQ, REP, DEALER and ROUTER must do or must not do, over each transport.
//!
//! The rules are in our own words, above each script.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod support;

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use aqueduct::{
    Dealer, DisconnectReason, DropReason, Event, Message, Rep, ReplyError, Req, ReqRecvError, ReqSendError,
    RequestError, RouteError, Router, RouterEvent, RoutingId, SendError, SocketType, TryRouteError,
};
use support::*;

rules! {
    req_and_rep_take_turns over Tcp Ipc Inproc;
    req_goes_round_its_peers over Tcp Ipc Inproc;
    req_sends_a_delimiter_and_takes_it_off over Tcp Ipc Inproc;
    req_waits_or_fails_without_peers_and_discards_nothing over Tcp Ipc Inproc;
    req_hears_only_the_peer_that_it_asked over Tcp Ipc Inproc;
    req_fails_when_its_peer_is_lost over Tcp Ipc Inproc;
    req_still_hears_the_reply_of_a_peer_that_left over Tcp Ipc Inproc;
    req_asks_again_when_no_reply_comes over Tcp Ipc Inproc;
    req_takes_no_late_reply_for_a_current_one over Tcp Ipc Inproc;
    req_requests_of_many_threads_take_turns over Tcp Ipc Inproc;
    req_relaxed_may_ask_again over Tcp Ipc Inproc;
    rep_serves_its_peers_in_turn over Tcp Ipc Inproc;
    rep_answers_in_any_order_each_to_its_asker over Tcp Ipc Inproc;
    rep_keeps_envelopes_of_many_hops over Tcp Ipc Inproc;
    rep_gives_back_a_reply_whose_peer_is_gone over Tcp Ipc Inproc;
    rep_counts_what_it_leaves_unanswered over Tcp Ipc Inproc;
    dealer_goes_round_its_peers_and_serves_them_in_turn over Tcp Ipc Inproc;
    dealer_waits_or_fails_without_peers over Tcp Ipc Inproc;
    dealer_talks_to_rep_with_a_delimiter over Tcp Ipc Inproc;
    router_labels_messages_with_the_id_of_their_sender over Tcp Ipc Inproc;
    router_makes_up_ids_that_differ over Tcp Ipc Inproc;
    router_sends_to_the_named_peer_only over Tcp Ipc Inproc;
    router_gives_back_what_it_cannot_route over Tcp Ipc Inproc;
    router_drops_what_it_cannot_route_by_choice over Tcp Ipc Inproc;
    router_waits_for_a_peer_that_is_full over Tcp Ipc Inproc;
    router_stops_waiting_when_the_peer_is_gone over Tcp Ipc Inproc;
    router_refuses_an_id_in_use over Tcp Ipc Inproc;
    router_hands_an_id_over_by_choice over Tcp Ipc Inproc;
    router_knows_an_endpoint_by_a_chosen_id over Tcp Ipc Inproc;
    router_tells_of_peers_that_come_and_go over Tcp Ipc Inproc;
    router_disconnects_a_peer over Tcp Ipc Inproc;
    router_is_probed over Tcp Ipc Inproc;
    router_talks_to_router over Tcp Ipc Inproc;
    properties_of_a_peer_are_known over Tcp Ipc Inproc;
    chains_of_brokers_carry_requests_and_replies over Tcp Ipc Inproc;
    a_routing_id_leads_to_what_is_known_of_its_peer over Tcp Ipc Inproc;
    halves_are_one_socket over Tcp Ipc Inproc;
    async_verbs_do_the_same over Tcp Ipc Inproc;
}

fn id(name: &str) -> RoutingId {
    RoutingId::new(name.to_owned()).unwrap()
}

fn parts(parts: &[&str]) -> Message {
    parts.iter().copied().collect()
}

/// A socket that answers as often as asked with `name` and the request.
fn echo(rep: Rep, name: &'static str, times: usize) -> thread::JoinHandle<Rep> {
    thread::spawn(move || {
        for _ in 0..times {
            let (request, reply) = rep.recv_timeout(LONG).unwrap();
            reply.send(format!("{name}:{}", text(&request))).unwrap();
        }
        rep
    })
}

fn named_dealer(name: &str) -> Dealer {
    Dealer::builder()
        .routing_id(id(name))
        .reconnect_interval(Some(Duration::from_millis(5)))
        .build()
}

/// A request is sent, then its reply received, and so on; anything else is out of turn.
fn req_and_rep_take_turns(transport: Transport) {
    let (req, rep) = (Req::new(), Rep::new());
    req.connect(rep.bind(transport.anywhere()).unwrap()).unwrap();
    assert_eq!(req.recv(), Err(ReqRecvError::OutOfTurn));
    for round in ["1", "2", "3"] {
        req.send(round).unwrap();
        assert_eq!(
            req.send("again"),
            Err(ReqSendError::OutOfTurn(Message::from("again")))
        );
        assert_eq!(req.try_recv(), Err(ReqRecvError::Timeout));
        assert_eq!(
            req.request("again"),
            Err(RequestError::OutOfTurn(Message::from("again")))
        );
        let (request, reply) = rep.recv_timeout(LONG).unwrap();
        assert_eq!(request, round);
        reply.send("done").unwrap();
        assert_eq!(req.recv_timeout(LONG).unwrap(), "done");
        assert_eq!(req.try_recv(), Err(ReqRecvError::OutOfTurn));
    }
    assert!(rep.stats().total.adds_up() && req.stats().total.adds_up());
}

/// Requests go to the peers one after the other.
fn req_goes_round_its_peers(transport: Transport) {
    let req = Req::new();
    let servers: Vec<_> = ["a", "b", "c"]
        .into_iter()
        .map(|name| {
            let rep = Rep::new();
            req.connect(rep.bind(transport.anywhere()).unwrap()).unwrap();
            echo(rep, name, 2)
        })
        .collect();
    req.wait_for_peers(3, LONG).unwrap();
    let heard: Vec<_> = (0..6).map(|_| text(&req.request("x").unwrap())).collect();
    assert_eq!(heard[..3], heard[3..]);
    let mut names = heard[..3].to_vec();
    names.sort();
    assert_eq!(names, ["a:x", "b:x", "c:x"]);
    servers
        .into_iter()
        .for_each(|server| drop(server.join().unwrap()));
}

/// On the wire an empty frame goes before the request, and one must come before the reply.
fn req_sends_a_delimiter_and_takes_it_off(transport: Transport) {
    let (req, router) = (Req::new(), Router::new());
    req.connect(router.bind(transport.anywhere()).unwrap()).unwrap();
    req.send(parts(&["two", "parts"])).unwrap();
    let (asker, request) = router.recv_timeout(LONG).unwrap();
    assert_eq!(request, parts(&["", "two", "parts"]));
    router.send(&asker, parts(&["no", "delimiter"])).unwrap();
    router.send(&asker, parts(&["", "a", "", "reply"])).unwrap();
    assert_eq!(req.recv_timeout(LONG).unwrap(), parts(&["a", "", "reply"]));
    assert_eq!(req.stats().total.discarded, 1);
}

/// Without a peer that can be asked, nothing is accepted.
fn req_waits_or_fails_without_peers_and_discards_nothing(transport: Transport) {
    let req = Req::builder()
        .reply_timeout(Some(Duration::from_millis(20)))
        .build();
    let message = Message::from("anybody?");
    assert_eq!(
        req.try_send("anybody?"),
        Err(ReqSendError::Timeout(message.clone()))
    );
    assert_eq!(req.request("anybody?"), Err(RequestError::Timeout(message)));
    let endpoint = req.bind(transport.anywhere()).unwrap();
    let waiting = req.clone();
    let sender = thread::spawn(move || waiting.send("anybody?"));
    let rep = Rep::new();
    rep.connect(&endpoint).unwrap();
    let (request, reply) = rep.recv_timeout(LONG).unwrap();
    assert_eq!(request, "anybody?");
    sender.join().unwrap().unwrap();
    reply.send("me").unwrap();
    assert_eq!(req.recv_timeout(LONG).unwrap(), "me");
}

/// Messages of other peers are passed over and counted.
fn req_hears_only_the_peer_that_it_asked(transport: Transport) {
    let (req, asked, other) = (Req::new(), Router::new(), Router::builder().notices(true).build());
    req.connect(asked.bind(transport.anywhere()).unwrap()).unwrap();
    req.wait_for_peers(1, LONG).unwrap();
    req.send("for the first").unwrap();
    req.connect(other.bind(transport.anywhere()).unwrap()).unwrap();
    let RouterEvent::Connected(known) = other.recv_event_timeout(LONG).unwrap() else {
        panic!("no notice");
    };
    other.send(&known, parts(&["", "wrong"])).unwrap();
    eventually("it has arrived", || req.stats().total.unread == 1);
    assert_eq!(req.recv_timeout(A_WHILE), Err(ReqRecvError::Timeout));
    let (asker, _) = asked.recv_timeout(LONG).unwrap();
    asked.send(&asker, parts(&["", "right"])).unwrap();
    assert_eq!(req.recv_timeout(LONG).unwrap(), "right");
    assert_eq!(req.stats().total.discarded, 1);
}

/// When the peer that was asked goes without a reply, the wait is over, and another peer can be asked.
fn req_fails_when_its_peer_is_lost(transport: Transport) {
    let req = Req::new();
    let endpoint = req.bind(transport.anywhere()).unwrap();
    let router = Router::new();
    router.connect(&endpoint).unwrap();
    req.send("1").unwrap();
    router.recv_timeout(LONG).unwrap();
    let waiting = req.clone();
    let receiver = thread::spawn(move || waiting.recv_timeout(LONG));
    router.close();
    assert_eq!(receiver.join().unwrap(), Err(ReqRecvError::PeerLost));

    let router = Router::new();
    router.connect(&endpoint).unwrap();
    let asking = req.clone();
    let asker = thread::spawn(move || asking.request("2"));
    router.recv_timeout(LONG).unwrap();
    router.close();
    assert_eq!(
        asker.join().unwrap(),
        Err(RequestError::PeerLost(Message::from("2")))
    );
}

/// A reply that is here counts, whatever became of its sender.
fn req_still_hears_the_reply_of_a_peer_that_left(transport: Transport) {
    let (req, rep) = (Req::new(), Rep::new());
    let endpoint = req.bind(transport.anywhere()).unwrap();
    rep.connect(&endpoint).unwrap();
    req.send("1").unwrap();
    let (_, reply) = rep.recv_timeout(LONG).unwrap();
    reply.send("last words").unwrap();
    drop(rep.close());
    eventually("the peer is gone", || {
        req.wait_for_peers(1, Duration::ZERO).is_err()
    });
    assert_eq!(req.recv_timeout(LONG).unwrap(), "last words");
}

/// With resends, a request is repeated, to the next peer, when the reply does not come or the peer is lost.
fn req_asks_again_when_no_reply_comes(transport: Transport) {
    let req = Req::builder()
        .reply_timeout(Some(Duration::from_millis(50)))
        .resends(2)
        .build();
    let (deaf, rude, good) = (Rep::new(), Rep::new(), Rep::new());
    for rep in [&deaf, &rude, &good] {
        let peers = req.stats().peers.len();
        req.connect(rep.bind(transport.anywhere()).unwrap()).unwrap();
        req.wait_for_peers(peers + 1, LONG).unwrap();
    }
    let rude = thread::spawn(move || {
        let _unanswered = rude.recv_timeout(LONG).unwrap();
        drop(rude.close());
    });
    let good = echo(good, "good", 1);
    assert_eq!(req.request("x").unwrap(), "good:x");
    rude.join().unwrap();
    drop(good.join().unwrap());
    let (request, _reply) = deaf.recv_timeout(LONG).unwrap();
    assert_eq!(request, "x");
}

/// Each attempt has an id of its own, so that what comes late is passed over.
fn req_takes_no_late_reply_for_a_current_one(transport: Transport) {
    let (req, rep) = (
        Req::builder()
            .reply_timeout(Some(Duration::from_millis(30)))
            .build(),
        Rep::new(),
    );
    req.connect(rep.bind(transport.anywhere()).unwrap()).unwrap();
    req.wait_for_peers(1, LONG).unwrap();
    assert!(matches!(req.request("first"), Err(RequestError::Timeout(_))));
    let asking = req.clone();
    let asker = thread::spawn(move || {
        // The server may be slow too: what counts is that no other reply is taken.
        loop {
            match asking.request("second") {
                Ok(reply) => return reply,
                Err(RequestError::Timeout(_)) => {}
                Err(other) => panic!("{other}"),
            }
        }
    });
    let mut reply_to = Some(rep.recv_timeout(LONG).unwrap());
    while !asker.is_finished() {
        if let Some((request, reply)) = reply_to.take() {
            reply.send(format!("re: {}", text(&request))).unwrap();
        }
        reply_to = rep.recv_timeout(A_WHILE).ok();
    }
    assert_eq!(asker.join().unwrap(), "re: second");
}

/// A socket has one request under way at a time, and each caller gets the reply to its own.
fn req_requests_of_many_threads_take_turns(transport: Transport) {
    let (req, rep) = (Req::new(), Rep::new());
    req.connect(rep.bind(transport.anywhere()).unwrap()).unwrap();
    let server = echo(rep, "re", 40);
    thread::scope(|scope| {
        for asker in 0..4 {
            let req = &req;
            scope.spawn(move || {
                for at in 0..10 {
                    let request = format!("{asker}-{at}");
                    assert_eq!(req.request(request.as_str()).unwrap(), format!("re:{request}"));
                }
            });
        }
    });
    drop(server.join().unwrap());
}

/// By choice, a request may be given up for another one.
fn req_relaxed_may_ask_again(transport: Transport) {
    let (req, rep) = (Req::builder().relaxed(true).correlate(true).build(), Rep::new());
    req.connect(rep.bind(transport.anywhere()).unwrap()).unwrap();
    req.send("1").unwrap();
    req.send("2").unwrap();
    for _ in 0..2 {
        let (request, reply) = rep.recv_timeout(LONG).unwrap();
        reply.send(request).unwrap();
    }
    assert_eq!(req.recv_timeout(LONG).unwrap(), "2");
}

/// No peer is served twice while another one waits.
fn rep_serves_its_peers_in_turn(transport: Transport) {
    let rep = Rep::new();
    let endpoint = rep.bind(transport.anywhere()).unwrap();
    let dealers: Vec<_> = (0..3).map(|_| Dealer::new()).collect();
    for (at, dealer) in dealers.iter().enumerate() {
        dealer.connect(&endpoint).unwrap();
        (0..100).for_each(|_| dealer.send(parts(&["", &at.to_string()])).unwrap());
    }
    eventually("all is here", || rep.stats().total.unread == 300);
    assert_served_in_turn(3, || {
        let (request, reply) = rep.recv_timeout(LONG).unwrap();
        reply.send("").unwrap();
        text(&request)
    });
}

/// Many requests may be open; each reply goes to the peer that asked, and to no other.
fn rep_answers_in_any_order_each_to_its_asker(transport: Transport) {
    let rep = Rep::new();
    let endpoint = rep.bind(transport.anywhere()).unwrap();
    let reqs: Vec<_> = (0..5).map(|_| Req::new()).collect();
    for (at, req) in reqs.iter().enumerate() {
        req.connect(&endpoint).unwrap();
        req.send(at.to_string()).unwrap();
    }
    let mut open: Vec<_> = (0..5).map(|_| rep.recv_timeout(LONG).unwrap()).collect();
    while let Some((request, reply)) = open.pop() {
        reply.send(request).unwrap();
    }
    for (at, req) in reqs.iter().enumerate() {
        assert_eq!(req.recv_timeout(LONG).unwrap(), at.to_string());
    }
}

/// All frames up to the first empty one come back before the reply, in order.
fn rep_keeps_envelopes_of_many_hops(transport: Transport) {
    let (rep, dealer) = (Rep::new(), Dealer::new());
    dealer.connect(rep.bind(transport.anywhere()).unwrap()).unwrap();
    dealer.send(parts(&["c", "b", "a", "", "ask", "", "ed"])).unwrap();
    let (request, reply) = rep.recv_timeout(LONG).unwrap();
    assert_eq!(request, parts(&["ask", "", "ed"]));
    reply.send(parts(&["", "answer"])).unwrap();
    assert_eq!(
        dealer.recv_timeout(LONG).unwrap(),
        parts(&["c", "b", "a", "", "", "answer"])
    );
}

/// A reply goes to nobody if its asker has left; here the application gets it back.
fn rep_gives_back_a_reply_whose_peer_is_gone(transport: Transport) {
    let (rep, req) = (Rep::new(), Req::new());
    req.connect(rep.bind(transport.anywhere()).unwrap()).unwrap();
    req.send("x").unwrap();
    let (_, reply) = rep.recv_timeout(LONG).unwrap();
    req.close();
    eventually("the peer is gone", || rep.stats().peers.is_empty());
    assert_eq!(
        reply.send("late"),
        Err(ReplyError::PeerGone(Message::from("late")))
    );
}

/// A request may stay unanswered, which is counted; by choice its peer gets an empty reply.
fn rep_counts_what_it_leaves_unanswered(transport: Transport) {
    for answers in [false, true] {
        let (rep, req) = (Rep::builder().answer_dropped(answers).build(), Req::new());
        req.connect(rep.bind(transport.anywhere()).unwrap()).unwrap();
        req.send("x").unwrap();
        drop(rep.recv_timeout(LONG).unwrap());
        assert_eq!(rep.stats().unanswered, 1);
        if answers {
            assert_eq!(req.recv_timeout(LONG).unwrap(), "");
        } else {
            assert_eq!(req.recv_timeout(A_WHILE), Err(ReqRecvError::Timeout));
        }
    }
}

/// Out: round robin. In: fair queueing. Neither waits for the other.
fn dealer_goes_round_its_peers_and_serves_them_in_turn(transport: Transport) {
    let dealer = Dealer::new();
    let endpoint = dealer.bind(transport.anywhere()).unwrap();
    let others: Vec<_> = (0..3).map(|_| Dealer::new()).collect();
    for (at, other) in others.iter().enumerate() {
        other.connect(&endpoint).unwrap();
        dealer.wait_for_peers(at + 1, LONG).unwrap();
    }
    (0..6).for_each(|at| dealer.send(at.to_string()).unwrap());
    for (at, other) in others.iter().enumerate() {
        let got = [
            other.recv_timeout(LONG).unwrap(),
            other.recv_timeout(LONG).unwrap(),
        ];
        assert_eq!(
            got.map(|message| text(&message)),
            [at.to_string(), (at + 3).to_string()]
        );
        (0..100).for_each(|_| other.send(at.to_string()).unwrap());
    }
    eventually("all is here", || dealer.stats().total.unread == 300);
    assert_served_in_turn(3, || text(&dealer.recv_timeout(LONG).unwrap()));
}

/// Without a peer that has room, nothing is accepted and nothing is discarded.
fn dealer_waits_or_fails_without_peers(transport: Transport) {
    let dealer = Dealer::new();
    assert!(dealer.try_send("x").is_err());
    assert_eq!(
        dealer.send_timeout("x", Duration::from_millis(5)),
        Err(SendError::Timeout(Message::from("x")))
    );
    let endpoint = dealer.bind(transport.anywhere()).unwrap();
    let waiting = dealer.clone();
    let sender = thread::spawn(move || waiting.send("x"));
    let other = Dealer::new();
    other.connect(&endpoint).unwrap();
    assert_eq!(other.recv_timeout(LONG).unwrap(), "x");
    sender.join().unwrap().unwrap();
}

/// A DEALER may talk to a REP if it makes the envelope itself.
fn dealer_talks_to_rep_with_a_delimiter(transport: Transport) {
    let (dealer, rep) = (Dealer::new(), Rep::new());
    dealer.connect(rep.bind(transport.anywhere()).unwrap()).unwrap();
    let server = echo(rep, "re", 3);
    (0..3).for_each(|at| dealer.send(parts(&["", &at.to_string()])).unwrap());
    for at in 0..3 {
        assert_eq!(
            dealer.recv_timeout(LONG).unwrap(),
            parts(&["", &format!("re:{at}")])
        );
    }
    drop(server.join().unwrap());
}

/// A message comes with the id that its sender has announced.
fn router_labels_messages_with_the_id_of_their_sender(transport: Transport) {
    let router = Router::new();
    let endpoint = router.bind(transport.anywhere()).unwrap();
    let dealers = ["a", "b", "c"].map(named_dealer);
    for dealer in &dealers {
        dealer.connect(&endpoint).unwrap();
        dealer.send(parts(&["x", "y"])).unwrap();
    }
    let mut heard: Vec<_> = (0..3).map(|_| router.recv_timeout(LONG).unwrap()).collect();
    heard.sort_by(|(a, _), (b, _)| a.cmp(b));
    assert_eq!(heard, ["a", "b", "c"].map(|name| (id(name), parts(&["x", "y"]))));
}

/// Peers without an id get one each, which begins with a zero byte.
fn router_makes_up_ids_that_differ(transport: Transport) {
    let router = Router::new();
    let endpoint = router.bind(transport.anywhere()).unwrap();
    let dealers: Vec<_> = (0..5).map(|_| Dealer::new()).collect();
    for (at, dealer) in dealers.iter().enumerate() {
        dealer.connect(&endpoint).unwrap();
        dealer.send(at.to_string()).unwrap();
    }
    let ids: HashMap<_, _> = (0..5).map(|_| router.recv_timeout(LONG).unwrap()).collect();
    assert_eq!(ids.len(), 5);
    for (id, message) in ids {
        assert!(id.is_generated() && id.as_bytes().len() == 5, "{id:?}");
        router.send(&id, message).unwrap();
    }
    for (at, dealer) in dealers.iter().enumerate() {
        assert_eq!(dealer.recv_timeout(LONG).unwrap(), at.to_string());
    }
}

/// The id decides, not the order.
fn router_sends_to_the_named_peer_only(transport: Transport) {
    let router = Router::new();
    let endpoint = router.bind(transport.anywhere()).unwrap();
    let dealers = ["a", "b"].map(named_dealer);
    dealers
        .iter()
        .for_each(|dealer| dealer.connect(&endpoint).unwrap());
    router.wait_for_peers(2, LONG).unwrap();
    (0..5).for_each(|at| router.send(&id("b"), at.to_string()).unwrap());
    router.send(&id("a"), "only").unwrap();
    assert_eq!(dealers[0].recv_timeout(LONG).unwrap(), "only");
    (0..5).for_each(|at| assert_eq!(dealers[1].recv_timeout(LONG).unwrap(), at.to_string()));
    assert!(dealers[0].try_recv().is_err() && dealers[1].try_recv().is_err());
}

/// A message for nobody comes back.
fn router_gives_back_what_it_cannot_route(transport: Transport) {
    let router = Router::new();
    let endpoint = router.bind(transport.anywhere()).unwrap();
    let message = Message::from("x");
    assert_eq!(
        router.send(&id("a"), "x"),
        Err(RouteError::Unroutable(message.clone()))
    );
    let dealer = named_dealer("a");
    dealer.connect(&endpoint).unwrap();
    router.wait_for_peers(1, LONG).unwrap();
    router.send(&id("a"), "x").unwrap();
    assert_eq!(dealer.recv_timeout(LONG).unwrap(), "x");
    dealer.close();
    eventually("the peer is gone", || router.stats().peers.is_empty());
    assert_eq!(
        router.try_send(&id("a"), "x"),
        Err(TryRouteError::Unroutable(message))
    );
    assert_eq!(router.stats().total.accepted.messages, 1);
}

/// By choice, a message for nobody is dropped, and counted.
fn router_drops_what_it_cannot_route_by_choice(transport: Transport) {
    let router = Router::builder().drop_unroutable(true).build();
    router.bind(transport.anywhere()).unwrap();
    (0..3).for_each(|_| router.send(&id("nobody"), "x").unwrap());
    let total = router.close().total;
    assert_eq!(total.dropped.of(DropReason::Unroutable), 3);
    assert!(total.adds_up() && total.accepted.messages == 3, "{total:?}");
}

/// A peer whose queue is full is waited for, and others are served meanwhile.
fn router_waits_for_a_peer_that_is_full(transport: Transport) {
    let router = Router::builder().send_hwm(2).send_buffer(Some(4096)).build();
    let endpoint = router.bind(transport.anywhere()).unwrap();
    let slow = Dealer::builder()
        .routing_id(id("slow"))
        .recv_hwm(1)
        .recv_buffer(Some(4096))
        .build();
    let quick = named_dealer("quick");
    slow.connect(&endpoint).unwrap();
    quick.connect(&endpoint).unwrap();
    router.wait_for_peers(2, LONG).unwrap();
    let body = vec![7; 1 << 18];
    let mut sent = 0;
    while router.send_timeout(&id("slow"), body.clone(), A_WHILE).is_ok() {
        sent += 1;
    }
    assert!(matches!(
        router.try_send(&id("slow"), "x"),
        Err(TryRouteError::Full(_))
    ));
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let (router, body) = (router.clone(), body.clone());
            thread::spawn(move || router.send_timeout(&id("slow"), body, LONG))
        })
        .collect();
    for at in 0..20 {
        router.send_timeout(&id("quick"), at.to_string(), LONG).unwrap();
        assert_eq!(quick.recv_timeout(LONG).unwrap(), at.to_string());
    }
    for _ in 0..sent + 3 {
        assert_eq!(slow.recv_timeout(LONG).unwrap().byte_len(), body.len());
    }
    waiting
        .into_iter()
        .for_each(|sender| sender.join().unwrap().unwrap());
}

/// Whoever waits for room learns that there will be none.
fn router_stops_waiting_when_the_peer_is_gone(transport: Transport) {
    let router = Router::builder().send_hwm(1).send_buffer(Some(4096)).build();
    let endpoint = router.bind(transport.anywhere()).unwrap();
    let dealer = Dealer::builder()
        .routing_id(id("a"))
        .recv_hwm(1)
        .recv_buffer(Some(4096))
        .build();
    dealer.connect(&endpoint).unwrap();
    router.wait_for_peers(1, LONG).unwrap();
    while router.send_timeout(&id("a"), vec![7; 1 << 20], A_WHILE).is_ok() {}
    let waiting = router.clone();
    let sender = thread::spawn(move || waiting.send_timeout(&id("a"), "x", LONG));
    dealer.close();
    assert_eq!(
        sender.join().unwrap(),
        Err(RouteError::Unroutable(Message::from("x")))
    );
    let total = router.stats().total;
    assert!(total.adds_up(), "{total:?}");
}

/// Two peers with one id: the second is turned away, both ends can see it, and the first notices nothing.
fn router_refuses_an_id_in_use(transport: Transport) {
    let router = Router::new();
    let monitor = router.monitor();
    let endpoint = router.bind(transport.anywhere()).unwrap();
    let (first, second) = (named_dealer("a"), named_dealer("a"));
    first.connect(&endpoint).unwrap();
    router.wait_for_peers(1, LONG).unwrap();
    second.connect(&endpoint).unwrap();
    let (reason, ready) = await_end(&monitor);
    assert!(
        !ready && matches!(reason, DisconnectReason::Rejected(_)),
        "{reason}"
    );
    router.send(&id("a"), "x").unwrap();
    assert_eq!(first.recv_timeout(LONG).unwrap(), "x");
    first.close();
    if transport != Transport::Inproc {
        // It has come again and again, and now there is room for it.
        eventually("the second is heard", || {
            let _ = router.try_send(&id("a"), "y");
            second.try_recv().is_ok()
        });
    }
}

/// By choice, the newcomer has the id, and the connection of its former owner ends.
fn router_hands_an_id_over_by_choice(transport: Transport) {
    let router = Router::builder().handover(true).build();
    let endpoint = router.bind(transport.anywhere()).unwrap();
    let build = || {
        let never = Dealer::builder().routing_id(id("a")).reconnect_interval(None);
        never.build()
    };
    let (first, second) = (build(), build());
    first.connect(&endpoint).unwrap();
    router.wait_for_peers(1, LONG).unwrap();
    let monitor = router.monitor();
    second.connect(&endpoint).unwrap();
    let reason = await_event(&monitor, "end of the first", |event| match event {
        Event::Disconnected { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    assert!(matches!(reason, DisconnectReason::Rejected(_)), "{reason}");
    eventually("it is known", || router.send(&id("a"), "x").is_ok());
    assert_eq!(second.recv_timeout(LONG).unwrap(), "x");
    assert!(first.try_recv().is_err());
}

/// An endpoint connected to can be given an id, and be sent to from the start.
fn router_knows_an_endpoint_by_a_chosen_id(transport: Transport) {
    let router = Router::builder()
        .immediate(true)
        .reconnect_interval(Some(Duration::from_millis(5)))
        .build();
    let (endpoint, _kept) = transport.vacant();
    router.connect_with_id(&endpoint, id("backend")).unwrap();
    assert!(
        router.connect_with_id(&endpoint, id("backend")).is_err(),
        "in use"
    );
    assert!(router.connect_with_id(&endpoint, id("")).is_err(), "no id");
    router.send(&id("backend"), "early").unwrap();
    let dealer = named_dealer("says something else");
    dealer.bind(&endpoint).unwrap();
    assert_eq!(dealer.recv_timeout(LONG).unwrap(), "early");
    dealer.send("hello").unwrap();
    assert_eq!(
        router.recv_timeout(LONG).unwrap(),
        (id("backend"), Message::from("hello"))
    );
}

/// By choice, notices come between the messages, in order.
fn router_tells_of_peers_that_come_and_go(transport: Transport) {
    let router = Router::builder().notices(true).build();
    let endpoint = router.bind(transport.anywhere()).unwrap();
    let dealer = named_dealer("a");
    dealer.connect(&endpoint).unwrap();
    dealer.send("1").unwrap();
    dealer.send("2").unwrap();
    dealer.close();
    let script: Vec<_> = (0..4).map(|_| router.recv_event_timeout(LONG).unwrap()).collect();
    assert_eq!(
        script,
        [
            RouterEvent::Connected(id("a")),
            RouterEvent::Message(id("a"), Message::from("1")),
            RouterEvent::Message(id("a"), Message::from("2")),
            RouterEvent::Disconnected(id("a")),
        ]
    );
    let dealer = named_dealer("b");
    dealer.connect(&endpoint).unwrap();
    dealer.send("3").unwrap();
    assert_eq!(router.recv_timeout(LONG).unwrap(), (id("b"), Message::from("3")));
}

/// The application can end the connection of one peer.
fn router_disconnects_a_peer(transport: Transport) {
    let router = Router::new();
    let monitor = router.monitor();
    let endpoint = router.bind(transport.anywhere()).unwrap();
    let dealer = Dealer::builder()
        .routing_id(id("a"))
        .reconnect_interval(None)
        .build();
    assert!(!router.disconnect_peer(&id("a")));
    dealer.connect(&endpoint).unwrap();
    router.wait_for_peers(1, LONG).unwrap();
    assert!(router.disconnect_peer(&id("a")));
    let reason = await_event(&monitor, "end", |event| match event {
        Event::Disconnected { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    assert_eq!(reason, DisconnectReason::Local);
    eventually("the peer is gone", || router.stats().peers.is_empty());
    assert!(router.send(&id("a"), "x").is_err());
}

/// By choice, a peer says an empty message as soon as it is connected.
fn router_is_probed(transport: Transport) {
    let router = Router::new();
    let endpoint = router.bind(transport.anywhere()).unwrap();
    let dealer = Dealer::builder().probe(true).build();
    dealer.connect(&endpoint).unwrap();
    let (from, message) = router.recv_timeout(LONG).unwrap();
    assert_eq!(message, "");
    router.send(&from, "welcome").unwrap();
    assert_eq!(dealer.recv_timeout(LONG).unwrap(), "welcome");
    let req = Req::builder().probe(true).build();
    req.connect(&endpoint).unwrap();
    assert_eq!(router.recv_timeout(LONG).unwrap().1, "");
}

/// Two ROUTERs know each other by their ids, once either has spoken or the other is given one.
fn router_talks_to_router(transport: Transport) {
    let here = Router::builder().routing_id(id("here")).build();
    let there = Router::builder().routing_id(id("there")).build();
    here.connect(there.bind(transport.anywhere()).unwrap()).unwrap();
    here.wait_for_peers(1, LONG).unwrap();
    there.wait_for_peers(1, LONG).unwrap();
    here.send(&id("there"), "x").unwrap();
    assert_eq!(
        there.recv_timeout(LONG).unwrap(),
        (id("here"), Message::from("x"))
    );
    there.send(&id("here"), "y").unwrap();
    assert_eq!(
        here.recv_timeout(LONG).unwrap(),
        (id("there"), Message::from("y"))
    );
}

/// What a peer said of itself in the handshake can be asked by its id, and comes with its messages.
fn properties_of_a_peer_are_known(transport: Transport) {
    let (router, rep, receiver) = (Router::new(), Rep::new(), Dealer::new());
    let sender = Dealer::builder()
        .routing_id(id("a"))
        .property("X-Region", "eu")
        .unwrap()
        .build();
    sender
        .connect(router.bind(transport.anywhere()).unwrap())
        .unwrap();
    sender.send("x").unwrap();
    router.recv_timeout(LONG).unwrap();
    let info = router.peer(&id("a")).unwrap();
    assert_eq!(info.property("x-region"), Some(&b"eu"[..]));
    assert_eq!((&info.routing_id, info.socket_type.name()), (&id("a"), "DEALER"));
    assert_eq!(info.address.is_some(), transport != Transport::Inproc);
    assert_eq!(router.peer(&id("b")), None);

    let sender = Dealer::builder().property("X-Region", "us").unwrap().build();
    sender.connect(rep.bind(transport.anywhere()).unwrap()).unwrap();
    sender.send(parts(&["", "x"])).unwrap();
    let (_, reply) = rep.recv_timeout(LONG).unwrap();
    assert_eq!(reply.peer().property("X-Region"), Some(&b"us"[..]));

    let sender = Dealer::builder().property("X-Region", "asia").unwrap().build();
    sender
        .connect(receiver.bind(transport.anywhere()).unwrap())
        .unwrap();
    sender.send("x").unwrap();
    let (message, info) = receiver.recv_with_peer_timeout(LONG).unwrap();
    assert_eq!(message, "x");
    assert_eq!(info.property("X-Region"), Some(&b"asia"[..]));
}

/// Moves what one side says to the other, with the ids in front, until the ROUTER is closed.
fn broker(front: Router, back: Dealer) {
    thread::spawn({
        let (front, back) = (front.clone(), back.clone());
        move || {
            while let Ok(reply) = back.recv() {
                let mut frames = reply.into_frames();
                let to = RoutingId::new(frames.remove(0).into_bytes()).unwrap();
                front.send(&to, Message::from(frames)).unwrap();
            }
        }
    });
    thread::spawn(move || {
        while let Ok((from, request)) = front.recv() {
            let head = [aqueduct::Frame::from(from.as_bytes())];
            back.send(head.into_iter().chain(request).collect::<Message>())
                .unwrap();
        }
        drop(back.close());
    });
}

/// Through any number of brokers, each reply finds the way back.
fn chains_of_brokers_carry_requests_and_replies(transport: Transport) {
    let rep = Rep::new();
    let mut endpoint = rep.bind(transport.anywhere()).unwrap();
    let mut fronts = Vec::new();
    for _ in 0..3 {
        let (front, back) = (Router::new(), Dealer::new());
        back.connect(&endpoint).unwrap();
        endpoint = front.bind(transport.anywhere()).unwrap();
        fronts.push(front.clone());
        broker(front, back);
    }
    let server = echo(rep, "re", 20);
    thread::scope(|scope| {
        for asker in 0..2 {
            let endpoint = &endpoint;
            scope.spawn(move || {
                let req = Req::new();
                req.connect(endpoint).unwrap();
                for at in 0..10 {
                    let request = format!("{asker}-{at}");
                    assert_eq!(req.request(request.as_str()).unwrap(), format!("re:{request}"));
                }
            });
        }
    });
    drop(server.join().unwrap());
    fronts.into_iter().for_each(|front| drop(front.close()));
}

/// A socket that was split sends with one half and receives with the other, and is closed with the last of them.
fn halves_are_one_socket(transport: Transport) {
    let router = Router::new();
    let endpoint = router.bind(transport.anywhere()).unwrap();
    let dealer = named_dealer("a");
    dealer.connect(&endpoint).unwrap();
    let (to_router, from_router) = dealer.split();
    let (to_dealer, from_dealer) = router.split();
    let sender = thread::spawn(move || {
        (0..100).for_each(|at| to_router.send(at.to_string()).unwrap());
        to_router
    });
    let server = thread::spawn(move || {
        for _ in 0..100 {
            let (from, message) = from_dealer.recv_timeout(LONG).unwrap();
            to_dealer.send(&from, message).unwrap();
        }
        (from_dealer, to_dealer)
    });
    for at in 0..100 {
        assert_eq!(from_router.recv_timeout(LONG).unwrap(), at.to_string());
    }
    drop(sender.join().unwrap());
    drop(server.join().unwrap());
}

/// What is known of a peer is found by the id that its messages come with, be it one that was made up.
fn a_routing_id_leads_to_what_is_known_of_its_peer(transport: Transport) {
    let router = Router::new();
    let endpoint = router.bind(transport.anywhere()).unwrap();
    let (nameless, other) = (Dealer::new(), named_dealer("b"));
    for dealer in [&nameless, &other] {
        dealer.connect(&endpoint).unwrap();
    }
    nameless.send("1").unwrap();
    nameless.send("2").unwrap();
    let (id, _) = router.recv_timeout(LONG).unwrap();
    assert!(id.is_generated() && router.recv_timeout(LONG).is_ok());
    let (to_dealer, from_dealer) = router.split();
    to_dealer.send(&id, "3").unwrap();
    let stats = from_dealer.peer_stats(&id).unwrap();
    let traffic = &stats.traffic;
    assert_eq!((traffic.received.messages, traffic.accepted.messages), (2, 1));
    assert_eq!(to_dealer.peer(&id).unwrap().socket_type, SocketType::Dealer);
    let nobody = RoutingId::new("c").unwrap();
    assert!(to_dealer.peer_stats(&nobody).is_none() && !to_dealer.disconnect_peer(&nobody));
    assert!(to_dealer.disconnect_peer(&id));
}

/// Futures of all types, on a plain executor.
fn async_verbs_do_the_same(transport: Transport) {
    let (rep, req) = (Rep::new(), Req::new());
    req.connect(rep.bind(transport.anywhere()).unwrap()).unwrap();
    let server = thread::spawn(move || {
        pollster::block_on(async {
            for _ in 0..2 {
                let (request, reply) = rep.recv_async().await.unwrap();
                reply.send_async(request).await.unwrap();
            }
            let (request, _unanswered) = rep.recv_async().await.unwrap();
            assert_eq!(request, "3");
        });
        rep
    });
    pollster::block_on(async {
        assert_eq!(req.request_async("1").await.unwrap(), "1");
        req.send_async("2").await.unwrap();
        assert_eq!(req.recv_async().await.unwrap(), "2");
        // A request that is given up does not stand in the way of the next.
        assert!(
            futures_lite::future::poll_once(req.request_async("3"))
                .await
                .is_none()
        );
    });
    let rep = server.join().unwrap();
    let late = Req::builder()
        .reply_timeout(Some(Duration::from_millis(20)))
        .build();
    late.connect(rep.bind(transport.anywhere()).unwrap()).unwrap();
    let outcome = pollster::block_on(late.request_async("x"));
    assert_eq!(outcome, Err(RequestError::Timeout(Message::from("x"))));

    let (router, dealer) = (Router::new(), named_dealer("a"));
    dealer
        .connect(router.bind(transport.anywhere()).unwrap())
        .unwrap();
    pollster::block_on(async {
        dealer.send_async("x").await.unwrap();
        let (from, message) = router.recv_async().await.unwrap();
        router.send_async(&from, message).await.unwrap();
        assert_eq!(dealer.recv_async().await.unwrap(), "x");
        let nobody = router.send_async(&id("nobody"), "x").await;
        assert!(matches!(nobody, Err(RouteError::Unroutable(_))));
    });
}
