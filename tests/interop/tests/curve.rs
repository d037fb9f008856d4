//! CURVE against libzmq, in both roles, with either side bound.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::time::Duration;

use aqueduct::{
    AllowAny, Buildable, Builder, Dealer, DisconnectReason, Event, KeyPair, Monitor, Pair, Pub, PublicKey,
    Pull, Push, Rep, Req, Router, Sub, XPub,
};
use aqueduct_interop::{
    Foreign, Frames, LONG, Link, Plug, Role, Wired, await_event, bounded, frames, keen, message, words,
};

fn keys() -> KeyPair {
    KeyPair::generate().unwrap()
}

/// How a socket of ours and a foreign one meet.
#[derive(Clone, Copy, Debug)]
struct Meeting {
    we_serve: bool,
    we_bind: bool,
    link: Link,
}

impl Meeting {
    /// Runs a script for each way to meet.
    fn each(script: impl Fn(Self) + Send + 'static) {
        bounded(move || {
            for way in 0..8 {
                let link = if way & 4 == 0 { Link::Tcp } else { Link::Ipc };
                let meeting = Self {
                    we_serve: way & 1 == 0,
                    we_bind: way & 2 == 0,
                    link,
                };
                println!("{meeting:?}");
                script(meeting);
            }
        });
    }

    /// Makes both sockets and has them meet.
    fn meet<S: Buildable + Plug>(self, builder: Builder<S>, kind: &str) -> (S, Foreign, Wired) {
        self.meet_after(builder, kind, |_, _| ())
    }

    fn meet_after<S: Buildable + Plug>(
        self,
        builder: Builder<S>,
        kind: &str,
        prepare: impl FnOnce(&S, &Foreign),
    ) -> (S, Foreign, Wired) {
        let (ours, theirs) = (keys(), keys());
        let builder = keen(builder);
        let (socket, foreign) = if self.we_serve {
            let role = Role::Client(ours.public());
            (
                builder.curve_server(ours, AllowAny).build(),
                Foreign::new(kind, role, &theirs),
            )
        } else {
            let server = theirs.public();
            (
                builder.curve_client(server, ours).build(),
                Foreign::new(kind, Role::Server, &theirs),
            )
        };
        prepare(&socket, &foreign);
        let wired = if self.we_bind {
            self.link.join(&socket, &foreign)
        } else {
            self.link.join(&foreign, &socket)
        };
        (socket, foreign, wired)
    }
}

/// Messages with short, long and empty frames.
fn samples() -> Vec<Frames> {
    let long = |len: usize| (0..len).map(|at| at.to_le_bytes()[0]).collect::<Vec<u8>>();
    let mut samples: Vec<_> = [1, 31, 32, 223, 224, 255, 256, 5_000, 200_000]
        .map(|len| vec![long(len)])
        .into();
    samples.push(vec![b"a".to_vec(), Vec::new(), long(70_000), b"z".to_vec()]);
    samples.push(frames(&["", ""]));
    samples
}

#[test]
fn a_pair_talks_to_a_pair() {
    Meeting::each(|meeting| {
        let (pair, foreign, _wired) = meeting.meet(Pair::builder(), "PAIR");
        for sample in samples() {
            pair.send(message(&sample)).unwrap();
            assert_eq!(foreign.recv(), sample);
            foreign.send(&sample);
            assert_eq!(words(&pair.recv_timeout(LONG).unwrap()), sample);
        }
    });
}

#[test]
fn work_flows_from_push_to_pull() {
    Meeting::each(|meeting| {
        let (push, foreign, _wired) = meeting.meet(Push::builder(), "PULL");
        let (pull, source, _wired) = meeting.meet(Pull::builder(), "PUSH");
        for sample in samples() {
            push.send(message(&sample)).unwrap();
            assert_eq!(foreign.recv(), sample);
            source.send(&sample);
            assert_eq!(words(&pull.recv_timeout(LONG).unwrap()), sample);
        }
    });
}

#[test]
fn requests_are_answered() {
    Meeting::each(|meeting| {
        let (req, service, _wired) = meeting.meet(Req::builder(), "REP");
        let (rep, asker, _wired) = meeting.meet(Rep::builder(), "REQ");
        for sample in samples() {
            req.send(message(&sample)).unwrap();
            assert_eq!(service.recv(), sample);
            service.send(&sample);
            assert_eq!(words(&req.recv().unwrap()), sample);
            asker.send(&sample);
            let (request, reply) = rep.recv().unwrap();
            assert_eq!(words(&request), sample);
            reply.send(request).unwrap();
            assert_eq!(asker.recv(), sample);
        }
    });
}

#[test]
fn routers_and_dealers_route() {
    Meeting::each(|meeting| {
        let (dealer, far, _wired) = meeting.meet(Dealer::builder(), "ROUTER");
        dealer.send("question").unwrap();
        let mut heard = far.recv();
        assert_eq!(heard.pop(), Some(b"question".to_vec()));
        heard.push(b"answer".to_vec());
        far.send(&heard);
        assert_eq!(dealer.recv_timeout(LONG).unwrap(), "answer");

        let (router, far, _wired) = meeting.meet(Router::builder(), "DEALER");
        far.send(&frames(&["question"]));
        let (from, question) = router.recv_timeout(LONG).unwrap();
        assert_eq!(question, "question");
        router.send(&from, "answer").unwrap();
        assert_eq!(far.recv(), frames(&["answer"]));
    });
}

#[test]
fn subscribers_hear_what_they_have_subscribed_to() {
    Meeting::each(|meeting| {
        let (publisher, far, _wired) = meeting.meet(XPub::builder(), "SUB");
        far.subscribe("a");
        publisher.recv_timeout(LONG).unwrap();
        publisher.send("b 1").unwrap();
        publisher.send("a 1").unwrap();
        assert_eq!(far.recv(), frames(&["a 1"]));

        let subscribe = |sub: &Sub, _: &Foreign| sub.subscribe("a").unwrap();
        let (sub, far, _wired) = meeting.meet_after(Sub::builder(), "XPUB", subscribe);
        assert_eq!(far.recv(), frames(&["\u{1}a"]));
        far.send(&frames(&["b 2"]));
        far.send(&frames(&["a 2"]));
        assert_eq!(sub.recv_timeout(LONG).unwrap(), "a 2");
    });
}

#[test]
fn heartbeats_pass_in_boxes() {
    Meeting::each(|meeting| {
        let builder = Pair::builder()
            .heartbeat_interval(Some(Duration::from_millis(20)))
            .heartbeat_timeout(LONG);
        let beat = |_: &Pair, foreign: &Foreign| foreign.beat(20);
        let (pair, foreign, _wired) = meeting.meet_after(builder, "PAIR", beat);
        let monitor = pair.monitor();
        pair.send("hello").unwrap();
        assert_eq!(foreign.recv(), frames(&["hello"]));
        foreign.send_later(200, "still here");
        assert_eq!(pair.recv_timeout(LONG).unwrap(), "still here");
        let lost = |event: &Event| matches!(event, Event::Disconnected { .. });
        assert!(!std::iter::from_fn(|| monitor.try_recv().ok()).any(|event| lost(&event)));
    });
}

/// Waits for a connection that came to nothing.
fn failure(monitor: &Monitor) -> DisconnectReason {
    await_event(monitor, "failure", |event| match event {
        Event::HandshakeFailed { reason, .. } => Some(reason.clone()),
        _ => None,
    })
}

#[test]
fn whoever_looks_for_another_server_is_not_let_in() {
    bounded(|| {
        let wrong: PublicKey = keys().public();
        let pull = keen(Pull::builder()).curve_server(keys(), AllowAny).build();
        let monitor = pull.monitor();
        let source = Foreign::new("PUSH", Role::Client(wrong), &keys());
        let _wired = Link::Tcp.join(&pull, &source);
        assert!(matches!(failure(&monitor), DisconnectReason::Malformed(_)));

        let sink = Foreign::new("PULL", Role::Server, &keys());
        let push = keen(Push::builder()).curve_client(wrong, keys()).build();
        let monitor = push.monitor();
        let _wired = Link::Tcp.join(&sink, &push);
        assert!(matches!(
            failure(&monitor),
            DisconnectReason::PeerClosed | DisconnectReason::Io(_)
        ));
    });
}

#[test]
fn the_authenticator_of_libzmq_tells_our_keys_apart() {
    bounded(|| {
        let (known, server) = (keys(), keys());
        let sink = Foreign::new("PULL", Role::ServerFor(known.public()), &server);
        let wired = Link::Tcp.bind(&sink);
        let stranger = keen(Push::builder())
            .curve_client(server.public(), keys())
            .build();
        let monitor = stranger.monitor();
        stranger.connect(&wired.endpoint).unwrap();
        assert_eq!(failure(&monitor), DisconnectReason::Refused("400".to_owned()));

        let push = keen(Push::builder()).curve_client(server.public(), known).build();
        push.connect(&wired.endpoint).unwrap();
        push.send("it is me").unwrap();
        assert_eq!(sink.recv(), frames(&["it is me"]));
    });
}

#[test]
fn a_publisher_of_ours_is_read_by_many() {
    bounded(|| {
        let server = keys();
        let public = server.public();
        let publisher = keen(Pub::builder()).curve_server(server, AllowAny).build();
        let wired = Link::Tcp.bind(&publisher);
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let reader = Foreign::new("SUB", Role::Client(public), &keys());
                reader.subscribe("");
                reader.plug_into(&wired.endpoint);
                reader
            })
            .collect();
        publisher.wait_for_subscribers("", 3, LONG).unwrap();
        for sample in samples() {
            publisher.send(message(&sample)).unwrap();
            for reader in &readers {
                assert_eq!(reader.recv(), sample);
            }
        }
    });
}
