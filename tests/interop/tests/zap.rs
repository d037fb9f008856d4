//! ZAP on either side: what a handler in libzmq's context means to our clients, and what ours means to libzmq's.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::collections::VecDeque;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use aqueduct::{
    Buildable, Builder, Context, Denial, DisconnectReason, Event, Frame, KeyPair, Message, Monitor, Pull,
    Push, Rep, Zap,
};
use aqueduct_interop::{Classic, Foreign, LONG, Link, Plug, Role, await_event, bounded, frames, keen};
use zmq::SocketEvent;

fn keys() -> KeyPair {
    KeyPair::generate().unwrap()
}

/// A context of ours whose handler has these statuses for those who come, in turn, and the last for all others.
struct House {
    context: Context,
    handler: Option<JoinHandle<()>>,
}

impl House {
    fn saying(statuses: &[&'static str]) -> Self {
        let context = Context::new(1);
        let rep = Rep::builder().context(&context).build();
        rep.bind(Zap::ADDRESS).unwrap();
        let mut statuses: VecDeque<_> = statuses.iter().copied().collect();
        let handler = Some(thread::spawn(move || {
            while let Ok((question, reply)) = rep.recv() {
                let status = if statuses.len() > 1 {
                    statuses.pop_front()
                } else {
                    statuses.front().copied()
                };
                let head = question.frames()[..2].iter().cloned();
                let rest = [status.unwrap(), "", "", ""].map(Frame::from);
                let _ = reply.send(head.chain(rest).collect::<Message>());
            }
        }));
        Self { context, handler }
    }

    fn builder<S: Buildable>(&self, builder: Builder<S>) -> Builder<S> {
        keen(builder).context(&self.context)
    }

    fn zap(&self) -> Zap {
        Zap::new(&self.context)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.context.shutdown();
        let ended = self.handler.take().map(JoinHandle::join);
        assert!(ended.is_some_and(|ended| ended.is_ok()) || thread::panicking());
    }
}

fn failure(monitor: &Monitor) -> DisconnectReason {
    await_event(monitor, "failed handshake", |event| match event {
        Event::HandshakeFailed { reason, .. } => Some(reason.clone()),
        Event::HandshakeDone { info, .. } => panic!("let in: {info:?}"),
        _ => None,
    })
}

/// A client that has not much patience where patience does not help.
fn client_for(status: &str) -> Builder<Push> {
    let builder = keen(Push::builder()).linger(Some(Duration::ZERO));
    let patience = if status == "300" {
        Duration::from_millis(300)
    } else {
        LONG
    };
    builder.handshake_timeout(patience)
}

/// What our client makes of a status of libzmq's: after 300 it hears nothing until its patience is over, or the server's.
fn understood(status: &str, reason: &DisconnectReason) -> bool {
    match reason {
        DisconnectReason::Refused(text) => text == status && status != "300",
        DisconnectReason::TimedOut { .. } | DisconnectReason::PeerClosed => status == "300",
        _ => false,
    }
}

#[test]
fn ours_understands_what_a_handler_of_libzmq_says_of_its_key() {
    bounded(|| {
        for status in ["200", "300", "400", "500"] {
            let server = keys();
            let looked_for = server.public();
            let sink = Foreign::new("PULL", Role::ServerSaying(status), &server);
            let push = client_for(status).curve_client(looked_for, keys()).build();
            let monitor = push.monitor();
            push.connect(sink.plug("tcp://127.0.0.1:*").as_str()).unwrap();
            if status == "200" {
                push.send_timeout("it is me", LONG).unwrap();
                assert_eq!(sink.recv(), frames(&["it is me"]));
            } else {
                let reason = failure(&monitor);
                assert!(understood(status, &reason), "{status}: {reason:?}");
            }
        }
    });
}

#[test]
fn ours_understands_what_a_handler_of_libzmq_says_of_its_address() {
    bounded(|| {
        for status in ["200", "300", "400", "500"] {
            let guarded = Classic::guarded_by_address(zmq::PULL, status);
            let push = client_for(status).build();
            let monitor = push.monitor();
            push.connect(guarded.bind("tcp://127.0.0.1:*").as_str()).unwrap();
            if status == "200" {
                push.send_timeout("it is me", LONG).unwrap();
                assert_eq!(guarded.recv(), b"it is me");
            } else {
                let reason = failure(&monitor);
                assert!(understood(status, &reason), "{status}: {reason:?}");
            }
        }
    });
}

#[test]
fn classic_clients_with_a_password_hear_what_our_handler_says() {
    bounded(|| {
        let alice = |socket: &zmq::Socket| {
            socket.set_linger(0)?;
            socket.set_plain_username(Some("alice"))?;
            socket.set_plain_password(Some("secret"))
        };
        for statuses in [&["200"][..], &["300", "200"], &["400"], &["500"]] {
            let house = House::saying(statuses);
            let pull = house.builder(Pull::builder()).plain_server(house.zap()).build();
            let monitor = pull.monitor();
            let push = Classic::with(zmq::PUSH, alice);
            let witness = push.witness();
            push.connect(&pull.plug("tcp://127.0.0.1:*"));
            match statuses {
                [.., "200"] => {
                    push.send(b"it is me");
                    assert_eq!(pull.recv_timeout(LONG).unwrap(), "it is me");
                    assert_eq!(pull.stats().denied, statuses.len() as u64 - 1);
                }
                // Its clients would understand an ERROR that is spelt as its own servers spell it.
                _ => witness.expect(SocketEvent::HANDSHAKE_FAILED_PROTOCOL),
            }
            if statuses == ["400"] {
                assert_eq!(failure(&monitor), DisconnectReason::Denied(Denial::Refused));
            }
        }
    });
}

#[test]
fn classic_clients_without_a_mechanism_hear_what_our_handler_says() {
    bounded(|| {
        for statuses in [&["200"][..], &["300", "200"], &["400"], &["500"]] {
            let house = House::saying(statuses);
            let pull = house.builder(Pull::builder()).null_server(house.zap()).build();
            let monitor = pull.monitor();
            let push = Classic::with(zmq::PUSH, |socket| socket.set_linger(0));
            let witness = push.witness();
            push.connect(&pull.plug("tcp://127.0.0.1:*"));
            if statuses.ends_with(&["200"]) {
                push.send(b"it is me");
                assert_eq!(pull.recv_timeout(LONG).unwrap(), "it is me");
                assert_eq!(pull.stats().denied, statuses.len() as u64 - 1);
            } else {
                witness.expect(SocketEvent::HANDSHAKE_FAILED_AUTH);
                // The client may know it before it is counted here.
                assert!(matches!(failure(&monitor), DisconnectReason::Denied(_)));
                assert_eq!(pull.stats().denied, 1);
            }
        }
    });
}

#[test]
fn foreign_clients_with_a_key_hear_what_our_handler_says() {
    bounded(|| {
        for statuses in [&["200"][..], &["300", "200"], &["400"], &["500"]] {
            let (house, server) = (House::saying(statuses), keys());
            let role = Role::Client(server.public());
            let pull = house
                .builder(Pull::builder())
                .curve_server(server, house.zap())
                .build();
            let source = Foreign::new("PUSH", role, &keys());
            source.watch();
            source.plug_into(&pull.plug("tcp://127.0.0.1:*"));
            match statuses {
                [.., "200"] => {
                    source.send(&frames(&["it is me"]));
                    assert_eq!(pull.recv_timeout(LONG).unwrap(), "it is me");
                    assert_eq!(pull.stats().denied, statuses.len() as u64 - 1);
                }
                [status] => assert_eq!(source.failure(), format!("AUTH {status}")),
                _ => unreachable!(),
            }
        }
    });
}

#[test]
fn nobody_is_asked_about_whoever_looks_for_another_server() {
    bounded(|| {
        let house = House::saying(&["200"]);
        let pull = house
            .builder(Pull::builder())
            .curve_server(keys(), house.zap())
            .build();
        let monitor = pull.monitor();
        let source = Foreign::new("PUSH", Role::Client(keys().public()), &keys());
        let _wired = Link::Tcp.join(&pull, &source);
        assert!(matches!(failure(&monitor), DisconnectReason::Malformed(_)));
        assert_eq!(pull.stats().denied, 0);
    });
}
