//! Requests between the two libraries: ids, impatience, replies that come late or never, and peers that die.

use std::time::Duration;

use aqueduct::{Dealer, Rep, ReplyError, Req, ReqRecvError, RequestError, Router};
use aqueduct_interop::{
    Bound, Cable, Classic, Frames, LONG, Link, Via, Wiring, await_loss, bounded, frames, keen, message, words,
};
use zmq::SocketEvent;

fn rep() -> Rep {
    keen(Rep::builder()).build()
}

fn req() -> Req {
    keen(Req::builder()).build()
}

fn router() -> Router {
    keen(Router::builder()).build()
}

/// A classic REQ that need not wait, and tells replies by their ids.
fn impatient_classic_req() -> Classic {
    Classic::with(zmq::REQ, |socket| {
        socket.set_req_correlate(true)?;
        socket.set_req_relaxed(true)
    })
}

/// Runs a script over both transports, with the classic socket bound: it can die, and come back where it was.
fn each_with_classic_bound(script: impl Fn(Wiring) + Send + 'static) {
    let bound = Bound::Classic;
    bounded(move || {
        for via in Via::ALL {
            script(Wiring { via, bound });
        }
    });
}

#[test]
fn a_classic_req_with_ids_asks_our_rep() {
    Wiring::each(|wiring| {
        let (rep, req) = (rep(), impatient_classic_req());
        let _wired = wiring.join(&rep, &req);
        for words in [&["one"][..], &["", "two", ""], &["three"]] {
            req.send_frames(&frames(words));
            let (request, reply) = rep.recv().unwrap();
            assert_eq!(request, message(&frames(words)), "the id is in the envelope");
            reply.send(request).unwrap();
            assert_eq!(req.recv_frames(), frames(words));
        }
    });
}

#[test]
fn a_classic_req_asks_again_and_does_not_hear_the_late_reply_of_our_rep() {
    Wiring::each(|wiring| {
        let (rep, req) = (rep(), impatient_classic_req());
        let _wired = wiring.join(&rep, &req);
        req.send(b"first");
        let (_, late) = rep.recv().unwrap();
        req.send(b"second");
        let (request, current) = rep.recv().unwrap();
        assert_eq!(request, "second");
        late.send("to the first").unwrap();
        current.send("to the second").unwrap();
        assert_eq!(req.recv(), b"to the second");
    });
}

#[test]
fn a_classic_req_with_ids_takes_only_the_right_reply_of_our_router() {
    Wiring::each(|wiring| {
        let (router, req) = (router(), impatient_classic_req());
        let _wired = wiring.join(&router, &req);
        req.send_frames(&frames(&["ask", ""]));
        let (from, request) = router.recv().unwrap();
        assert_eq!((request.len(), request[0].len()), (4, 4), "{request:?}");
        assert_eq!(words(&request)[1..], frames(&["", "ask", ""]));
        let mut stale = words(&request);
        stale[0][0] ^= 1;
        router.send(&from, message(&stale)).unwrap();
        router.send(&from, request).unwrap();
        assert_eq!(req.recv_frames(), frames(&["ask", ""]));
    });
}

#[test]
fn replies_of_our_rep_to_many_classic_reqs_go_each_to_its_asker_in_any_order() {
    bounded(|| {
        for link in Link::ALL {
            let rep = rep();
            let wired = link.bind(&rep);
            let reqs: Vec<_> = (0..10u8)
                .map(|number| {
                    let req = Classic::new(zmq::REQ);
                    req.connect(&wired.endpoint);
                    req.send(&[number]);
                    req
                })
                .collect();
            let mut open: Vec<_> = reqs.iter().map(|_| rep.recv().unwrap()).collect();
            open.sort_by_key(|(request, _)| std::cmp::Reverse(request[0][0]));
            for (request, reply) in open {
                assert_eq!(reply.peer().socket_type, aqueduct::SocketType::Req);
                reply.send(request).unwrap();
            }
            for (number, req) in reqs.iter().enumerate() {
                assert_eq!(req.recv(), [u8::try_from(number).unwrap()]);
            }
        }
    });
}

#[test]
fn a_classic_req_goes_on_after_an_empty_answer_to_a_request_that_nobody_answers() {
    Wiring::each(|wiring| {
        let rep = keen(Rep::builder()).answer_dropped(true).build();
        let req = Classic::new(zmq::REQ);
        let _wired = wiring.join(&rep, &req);
        req.send(b"no idea");
        drop(rep.recv().unwrap());
        assert_eq!(req.recv(), b"");
        assert_eq!(rep.stats().unanswered, 1);
        req.send(b"an easy one");
        let (request, reply) = rep.recv().unwrap();
        assert_eq!(request, "an easy one");
        reply.send("here").unwrap();
        assert_eq!(req.recv(), b"here");
    });
}

#[test]
fn our_rep_passes_over_what_a_classic_dealer_sends_without_an_envelope() {
    Wiring::each(|wiring| {
        let (rep, dealer) = (rep(), Classic::new(zmq::DEALER));
        let _wired = wiring.join(&rep, &dealer);
        for nonsense in [&["no envelope"][..], &[""], &["id", ""], &["two", "frames"]] {
            dealer.send_frames(&frames(nonsense));
        }
        dealer.send_frames(&frames(&["hop", "hop", "", "sense"]));
        let (request, reply) = rep.recv().unwrap();
        assert_eq!(request, "sense");
        reply.send("too").unwrap();
        assert_eq!(dealer.recv_frames(), frames(&["hop", "hop", "", "too"]));
        assert_eq!(rep.stats().total.discarded, 4);
    });
}

#[test]
fn a_classic_rep_passes_over_what_our_dealer_sends_without_an_envelope() {
    Wiring::each(|wiring| {
        let (dealer, rep) = (keen(Dealer::builder()).build(), Classic::new(zmq::REP));
        let _wired = wiring.join(&dealer, &rep);
        for nonsense in [&["no envelope"][..], &[""], &["two", "frames"]] {
            dealer.send(message(&frames(nonsense))).unwrap();
        }
        dealer.send(message(&frames(&["hop", "", "sense"]))).unwrap();
        assert_eq!(rep.recv(), b"sense");
        rep.send(b"too");
        assert_eq!(words(&dealer.recv().unwrap()), frames(&["hop", "", "too"]));
    });
}

#[test]
fn our_reply_to_a_classic_req_that_is_gone_comes_back() {
    Wiring::each(|wiring| {
        let (rep, req) = (rep(), Classic::new(zmq::REQ));
        let monitor = rep.monitor();
        let wired = wiring.join(&rep, &req);
        req.send(b"ask and go");
        let (_, reply) = rep.recv().unwrap();
        drop(req);
        await_loss(&monitor);
        match reply.send("too late") {
            Err(ReplyError::PeerGone(message)) => assert_eq!(message, "too late"),
            other => panic!("{other:?}"),
        }
        drop(wired);
    });
}

#[test]
fn our_requests_are_answered_by_a_classic_rep() {
    Wiring::each(|wiring| {
        let (req, rep) = (req(), Classic::new(zmq::REP));
        let _wired = wiring.join(&req, &rep);
        let server = std::thread::spawn(move || {
            for _ in 0..100 {
                let request = rep.recv_frames();
                rep.send_frames(&request);
            }
            rep
        });
        for number in 0..100u32 {
            let request = vec![number.to_be_bytes().to_vec(), Vec::new()];
            assert_eq!(req.request(message(&request)).unwrap(), message(&request));
        }
        drop(server.join().unwrap());
    });
}

#[test]
fn our_request_takes_only_the_right_reply_of_a_classic_router() {
    Wiring::each(|wiring| {
        let (req, router) = (req(), Classic::new(zmq::ROUTER));
        let _wired = wiring.join(&req, &router);
        let client = req.clone();
        let asking = std::thread::spawn(move || client.request(message(&frames(&["ask", ""]))));
        let request = router.recv_frames();
        assert_eq!((request.len(), request[1].len()), (5, 4), "{request:?}");
        assert_eq!(request[2..], frames(&["", "ask", ""]));
        let mut stale = request.clone();
        stale[1][3] ^= 1;
        router.send_frames(&stale);
        router.send_frames(&request[..2]);
        router.send_frames(&request[..3]);
        router.send_frames(&request);
        let reply = asking.join().unwrap().unwrap();
        assert_eq!(words(&reply), frames(&["ask", ""]));
        assert_eq!(req.stats().total.discarded, 3);
    });
}

#[test]
fn our_impatient_req_does_not_hear_the_late_reply_of_a_classic_router() {
    Wiring::each(|wiring| {
        let req = keen(Req::builder()).relaxed(true).correlate(true).build();
        let router = Classic::new(zmq::ROUTER);
        let _wired = wiring.join(&req, &router);
        req.send("first").unwrap();
        let late = router.recv_frames();
        req.send("second").unwrap();
        let current = router.recv_frames();
        assert_ne!(late[1], current[1], "each has its own id");
        router.send_frames(&late);
        router.send_frames(&current);
        assert_eq!(req.recv().unwrap(), "second");
        assert_eq!(req.recv().unwrap_err(), ReqRecvError::OutOfTurn);
    });
}

#[test]
fn our_request_is_sent_anew_to_a_classic_router_that_does_not_answer() {
    Wiring::each(|wiring| {
        let builder = keen(Req::builder()).reply_timeout(Some(Duration::from_millis(100)));
        // However late the answers are, one of them is in time.
        let req = builder.resends(usize::MAX).build();
        // Some of its answers find nobody any more.
        let router = Classic::with(zmq::ROUTER, |socket| socket.set_linger(0));
        let _wired = wiring.join(&req, &router);
        let asking = std::thread::spawn(move || req.request("do it"));
        let ignored: Vec<Frames> = (0..3).map(|_| router.recv_frames()).collect();
        assert_ne!(ignored[0][1], ignored[1][1], "each attempt has its own id");
        assert_ne!(ignored[1][1], ignored[2][1], "each attempt has its own id");
        // The third attempt has ended the first two: nobody takes these for the reply.
        ignored[..2]
            .iter()
            .for_each(|request| router.send_frames(&[&request[..3], &frames(&["late"])].concat()));
        while !asking.is_finished() {
            // Each attempt until one is in time.
            let request = router.recv_frames_within(Duration::from_millis(100));
            if let Some(request) = request {
                router.send_frames(&[&request[..3], &frames(&["done"])].concat());
            }
        }
        assert_eq!(asking.join().unwrap().unwrap(), "done");
    });
}

#[test]
fn our_request_fails_when_the_classic_rep_dies_with_it() {
    Wiring::each(|wiring| {
        let (req, rep) = (req(), Classic::new(zmq::REP));
        let _wired = wiring.join(&req, &rep);
        let client = req.clone();
        let asking = std::thread::spawn(move || client.request("the last one"));
        assert_eq!(rep.recv(), b"the last one");
        drop(rep);
        match asking.join().unwrap() {
            Err(RequestError::PeerLost(message)) => assert_eq!(message, "the last one"),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn our_req_that_waits_for_a_reply_hears_of_the_death_of_the_classic_rep() {
    Wiring::each(|wiring| {
        let (req, rep) = (req(), Classic::new(zmq::REP));
        let _wired = wiring.join(&req, &rep);
        req.send("the last one").unwrap();
        assert_eq!(rep.recv(), b"the last one");
        drop(rep);
        assert_eq!(req.recv().unwrap_err(), ReqRecvError::PeerLost);
    });
}

#[test]
fn our_request_fails_when_the_machine_of_the_classic_rep_vanishes() {
    bounded(|| {
        let rep = Classic::new(zmq::REP);
        let (anywhere, _home) = Via::Tcp.anywhere();
        let cable = Cable::to(&rep.bind(&anywhere));
        let builder = keen(Req::builder()).heartbeat_interval(Some(Duration::from_millis(50)));
        let req = builder.heartbeat_timeout(Duration::from_secs(2)).build();
        req.connect(cable.endpoint()).unwrap();
        let asking = std::thread::spawn(move || req.request("the last one"));
        assert_eq!(rep.recv(), b"the last one");
        cable.cut();
        match asking.join().unwrap() {
            Err(RequestError::PeerLost(message)) => assert_eq!(message, "the last one"),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn our_request_goes_to_the_classic_rep_that_comes_in_place_of_the_one_that_died_with_it() {
    each_with_classic_bound(|wiring| {
        let req = keen(Req::builder()).resends(1).build();
        let rep = Classic::new(zmq::REP);
        let wired = wiring.join(&req, &rep);
        let asking = std::thread::spawn(move || req.request("for whoever is there"));
        assert_eq!(rep.recv(), b"for whoever is there");
        drop(rep);

        let rep = Classic::new(zmq::REP);
        assert_eq!(rep.bind(&wired.endpoint), wired.endpoint);
        assert_eq!(rep.recv(), b"for whoever is there", "it was sent anew");
        rep.send(b"I am");
        assert_eq!(asking.join().unwrap().unwrap(), "I am");
    });
}

#[test]
fn our_request_goes_to_another_classic_rep_when_the_first_one_dies_with_it() {
    bounded(|| {
        for link in Link::ALL {
            let req = keen(Req::builder()).resends(1).immediate(true).build();
            let [one, two] = [Classic::new(zmq::REP), Classic::new(zmq::REP)];
            let _wired = [link.join(&one, &req), link.join(&two, &req)];
            req.wait_for_peers(2, LONG).unwrap();
            let asking = std::thread::spawn(move || req.request("anybody?"));
            let (asked, other) = if one.await_message(&two) {
                (one, two)
            } else {
                (two, one)
            };
            assert_eq!(asked.recv(), b"anybody?");
            drop(asked);
            assert_eq!(other.recv(), b"anybody?");
            other.send(b"me");
            assert_eq!(asking.join().unwrap().unwrap(), "me");
        }
    });
}

#[test]
fn our_request_waits_for_a_classic_rep_that_is_away() {
    each_with_classic_bound(|wiring| {
        let (req, rep) = (req(), Classic::new(zmq::REP));
        let monitor = req.monitor();
        let wired = wiring.join(&req, &rep);
        req.wait_for_peers(1, LONG).unwrap();
        drop(rep);
        await_loss(&monitor);
        let asking = std::thread::spawn(move || req.request("when you are back"));
        let rep = Classic::new(zmq::REP);
        assert_eq!(rep.bind(&wired.endpoint), wired.endpoint);
        assert_eq!(rep.recv(), b"when you are back");
        rep.send(b"I am");
        assert_eq!(asking.join().unwrap().unwrap(), "I am");
    });
}

#[test]
fn a_classic_req_asks_our_rep_that_comes_in_place_of_the_one_that_died() {
    bounded(|| {
        for via in Via::ALL {
            let first = rep();
            let req = impatient_classic_req();
            let witness = req.witness();
            let bound = Bound::Ours;
            let wired = Wiring { via, bound }.join(&first, &req);
            req.send(b"the last one");
            let (request, reply) = first.recv().unwrap();
            assert_eq!(request, "the last one");
            assert_eq!(first.close().total.received.messages, 1);
            assert!(matches!(reply.send("too late"), Err(ReplyError::Closed(_))));
            witness.expect(SocketEvent::DISCONNECTED);

            req.send(b"the next one");
            let second = rep();
            second.bind(&wired.endpoint).unwrap();
            let (request, reply) = second.recv().unwrap();
            assert_eq!(request, "the next one");
            reply.send("here").unwrap();
            assert_eq!(req.recv(), b"here");
        }
    });
}

#[test]
fn our_requests_go_round_classic_reps() {
    bounded(|| {
        for link in Link::ALL {
            let req = req();
            let reps: Vec<_> = (0..3).map(|_| Classic::new(zmq::REP)).collect();
            let _wired: Vec<_> = reps.iter().map(|rep| link.join(rep, &req)).collect();
            req.wait_for_peers(3, LONG).unwrap();
            for round in 0..4u8 {
                for rep in &reps {
                    req.send([round]).unwrap();
                    assert_eq!(rep.recv(), [round]);
                    rep.send(&[round]);
                    assert_eq!(req.recv().unwrap(), [round]);
                }
            }
        }
    });
}
