//! PLAIN with libzmq: either library asks for the password, in every socket type, and what a wrong one leads to.

#[path = "../../support/moody.rs"]
mod moody;

use std::time::Duration;

use aqueduct::{
    AuthRequest, Buildable, Builder, Dealer, Decision, Denial, DisconnectReason, Event, Monitor, Pair, Pub,
    Pull, Push, Rep, Req, Router, Sub, User, XPub, XSub,
};
use aqueduct_interop::{Classic, LONG, Link, Plug, Wired, await_event, bounded, frames, keen};
use moody::Moody;
use zmq::SocketEvent;

/// Who asks the other for a name and a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    Ours,
    Classic,
}

/// Lets in alice with her password.
fn gate(request: &AuthRequest) -> Decision {
    if request.credentials().is_login("alice", "secret") {
        Decision::Allow(User::new("alice"))
    } else {
        Decision::Deny
    }
}

fn login(username: &'static str, password: &'static str) -> impl Fn(&zmq::Socket) -> zmq::Result<()> {
    move |socket| {
        socket.set_linger(0)?;
        socket.set_plain_username(Some(username))?;
        socket.set_plain_password(Some(password))
    }
}

impl Server {
    fn ours<S: Buildable>(self, builder: Builder<S>) -> S {
        let builder = keen(builder).linger(Some(Duration::ZERO));
        match self {
            Self::Ours => builder.plain_server(gate),
            Self::Classic => builder.plain_client("alice", "secret").expect("short enough"),
        }
        .build()
    }

    fn classic(self, kind: zmq::SocketType) -> Classic {
        match self {
            Self::Ours => Classic::with(kind, login("alice", "secret")),
            Self::Classic => Classic::guarded(kind),
        }
    }
}

/// How a socket of ours and a classic one meet.
#[derive(Clone, Copy, Debug)]
struct Meeting {
    link: Link,
    server: Server,
    ours_is_bound: bool,
}

impl Meeting {
    fn join(self, ours: &impl Plug, classic: &Classic) -> Wired {
        if self.ours_is_bound {
            self.link.join(ours, classic)
        } else {
            self.link.join(classic, ours)
        }
    }
}

/// Runs a script for each link, with either library as the server, and either one bound.
fn each(script: impl Fn(Meeting) + Send + 'static) {
    bounded(move || {
        for link in Link::ALL {
            for (server, ours_is_bound) in [
                (Server::Ours, true),
                (Server::Ours, false),
                (Server::Classic, true),
                (Server::Classic, false),
            ] {
                let meeting = Meeting {
                    link,
                    server,
                    ours_is_bound,
                };
                println!("{meeting:?}");
                script(meeting);
            }
        }
    });
}

#[test]
fn push_and_pull_pass_work_on() {
    each(|meeting| {
        let server = meeting.server;
        let (push, pull) = (server.ours(Push::builder()), server.classic(zmq::PULL));
        let _wired = meeting.join(&push, &pull);
        push.send_timeout("work", LONG).unwrap();
        assert_eq!(pull.recv(), b"work");
        let (pull, push) = (server.ours(Pull::builder()), server.classic(zmq::PUSH));
        let _wired = meeting.join(&pull, &push);
        push.send(b"work");
        pull.wait_for_peers(1, LONG).unwrap();
        let (message, peer) = pull.recv_with_peer().unwrap();
        assert_eq!(message, "work");
        let known = (server == Server::Ours).then_some("alice");
        assert_eq!(peer.user_id(), known, "only who asks knows who it is");
    });
}

#[test]
fn req_and_rep_ask_and_answer() {
    each(|meeting| {
        let server = meeting.server;
        let (req, rep) = (server.ours(Req::builder()), server.classic(zmq::REP));
        let _wired = meeting.join(&req, &rep);
        req.send("why?").unwrap();
        assert_eq!(rep.recv(), b"why?");
        rep.send(b"because");
        assert_eq!(req.recv_timeout(LONG).unwrap(), "because");
        let (rep, req) = (server.ours(Rep::builder()), server.classic(zmq::REQ));
        let _wired = meeting.join(&rep, &req);
        req.send(b"why?");
        let (request, reply) = rep.recv_timeout(LONG).unwrap();
        assert_eq!(
            (request, reply.peer().user.is_some()),
            ("why?".into(), server == Server::Ours)
        );
        reply.send("because").unwrap();
        assert_eq!(req.recv(), b"because");
    });
}

#[test]
fn dealer_and_router_talk() {
    each(|meeting| {
        let server = meeting.server;
        let (dealer, router) = (server.ours(Dealer::builder()), server.classic(zmq::ROUTER));
        let _wired = meeting.join(&dealer, &router);
        dealer.send_timeout("hello", LONG).unwrap();
        let mut heard = router.recv_frames();
        assert_eq!(heard.pop().unwrap(), b"hello");
        heard.push(b"welcome".to_vec());
        router.send_frames(&heard);
        assert_eq!(dealer.recv_timeout(LONG).unwrap(), "welcome");
        let (router, dealer) = (server.ours(Router::builder()), server.classic(zmq::DEALER));
        let _wired = meeting.join(&router, &dealer);
        dealer.send(b"hello");
        let (id, message) = router.recv_timeout(LONG).unwrap();
        assert_eq!(message, "hello");
        router.send(&id, "welcome").unwrap();
        assert_eq!(dealer.recv(), b"welcome");
    });
}

#[test]
fn pairs_talk() {
    each(|meeting| {
        let server = meeting.server;
        let (ours, classic) = (server.ours(Pair::builder()), server.classic(zmq::PAIR));
        let _wired = meeting.join(&ours, &classic);
        ours.send_timeout("hello", LONG).unwrap();
        assert_eq!(classic.recv(), b"hello");
        classic.send(b"welcome");
        assert_eq!(ours.recv_timeout(LONG).unwrap(), "welcome");
    });
}

#[test]
fn publishers_and_subscribers_find_each_other() {
    each(|meeting| {
        let server = meeting.server;
        let (xpub, sub) = (server.ours(XPub::builder()), server.classic(zmq::SUB));
        sub.subscribe(b"news");
        let _wired = meeting.join(&xpub, &sub);
        // libzmq's SUB takes note of a peer that has come when it is used.
        while xpub.recv_timeout(Duration::from_millis(10)).is_err() {
            sub.look();
        }
        xpub.send("news of today").unwrap();
        assert_eq!(sub.recv(), b"news of today");
        let (sub, xpub) = (server.ours(Sub::builder()), server.classic(zmq::XPUB));
        sub.subscribe("news").unwrap();
        let _wired = meeting.join(&sub, &xpub);
        assert_eq!(xpub.recv(), b"\x01news");
        xpub.send(b"news of today");
        assert_eq!(sub.recv_timeout(LONG).unwrap(), "news of today");
    });
}

#[test]
fn the_other_publisher_and_subscriber_do_so_too() {
    each(|meeting| {
        let server = meeting.server;
        let (publisher, xsub) = (server.ours(Pub::builder()), server.classic(zmq::XSUB));
        let _wired = meeting.join(&publisher, &xsub);
        xsub.send(b"\x01");
        publisher.wait_for_peers(1, LONG).unwrap();
        // Of the subscription nobody tells: it is there when something arrives.
        while xsub.recv_frames_within(Duration::from_millis(10)).is_none() {
            publisher.send("news").unwrap();
        }
        let (xsub, publisher) = (server.ours(XSub::builder()), server.classic(zmq::PUB));
        xsub.subscribe("").unwrap();
        let _wired = meeting.join(&xsub, &publisher);
        xsub.wait_for_peers(1, LONG).unwrap();
        while xsub.try_recv().is_err() {
            publisher.send_frames(&frames(&["news"]));
        }
    });
}

fn await_failure(monitor: &Monitor) -> DisconnectReason {
    await_event(monitor, "failed handshake", |event| match event {
        Event::HandshakeFailed { reason, .. } => Some(reason.clone()),
        Event::HandshakeDone { info, .. } => panic!("let in: {info:?}"),
        _ => None,
    })
}

#[test]
fn classic_clients_are_told_that_ours_will_not_have_them() {
    bounded(|| {
        let pull = Server::Ours.ours(Pull::builder());
        let monitor = pull.monitor();
        let endpoint = pull.plug("tcp://127.0.0.1:*");
        let stranger = Classic::with(zmq::PUSH, login("alice", "guess"));
        let witness = stranger.witness();
        stranger.connect(&endpoint);
        assert_eq!(await_failure(&monitor), DisconnectReason::Denied(Denial::Refused));
        // It would understand an ERROR that is spelt as its own servers spell it.
        witness.expect(SocketEvent::HANDSHAKE_FAILED_PROTOCOL);
        assert_eq!(pull.stats().denied, 1);
    });
}

#[test]
fn classic_clients_to_whom_nobody_has_said_no_come_back() {
    bounded(|| {
        let cases: [(fn(AuthRequest), Denial); 3] = [
            (drop, Denial::Unanswered),
            (|_| std::panic::resume_unwind(Box::new(())), Denial::Unanswered),
            (std::mem::forget, Denial::TimedOut),
        ];
        for (at_first, denial) in cases {
            let builder = keen(Pull::builder()).handshake_timeout(Duration::from_secs(1));
            let pull = builder.plain_server(Moody::new(at_first)).build();
            let monitor = pull.monitor();
            let push = Classic::with(zmq::PUSH, login("alice", "secret"));
            push.connect(&pull.plug("tcp://127.0.0.1:*"));
            assert_eq!(await_failure(&monitor), DisconnectReason::Denied(denial));
            push.send(b"a little later");
            assert_eq!(pull.recv_timeout(LONG).unwrap(), "a little later");
        }
    });
}

#[test]
fn ours_hears_what_a_classic_server_has_against_it() {
    bounded(|| {
        for (username, status) in [("alice", "400"), ("broken", "500")] {
            let guarded = Classic::guarded(zmq::PULL);
            let endpoint = guarded.bind("tcp://127.0.0.1:*");
            let builder = Push::builder().plain_client(username, "guess").unwrap();
            let push = builder.linger(Some(Duration::ZERO)).build();
            let monitor = push.monitor();
            push.connect(endpoint.as_str()).unwrap();
            assert_eq!(
                await_failure(&monitor),
                DisconnectReason::Refused(status.to_owned())
            );
            // Such a server will not change its mind in a hurry.
            let pause = await_event(&monitor, "pause", |event| match event {
                Event::Retried { delay, .. } => Some(*delay),
                _ => None,
            });
            assert!(pause >= Duration::from_secs(30));
        }
    });
}

#[test]
fn a_classic_server_that_may_have_us_later_says_nothing() {
    bounded(|| {
        let guarded = Classic::guarded(zmq::PULL);
        let endpoint = guarded.bind("tcp://127.0.0.1:*");
        let builder = Push::builder().plain_client("later", "").unwrap();
        let push = builder
            .linger(Some(Duration::ZERO))
            .handshake_timeout(Duration::from_millis(200))
            .build();
        let monitor = push.monitor();
        push.connect(endpoint.as_str()).unwrap();
        let reason = await_failure(&monitor);
        let silent = matches!(
            reason,
            DisconnectReason::TimedOut { .. } | DisconnectReason::PeerClosed
        );
        assert!(silent, "{reason:?}");
    });
}
