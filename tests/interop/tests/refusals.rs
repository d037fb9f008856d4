//! Peers that do not go together with us: seen, named and turned away, while an honest peer is served.

use aqueduct::{DisconnectReason, Event, Monitor};
use aqueduct_interop::{Classic, LONG, Via, Witness, await_event, bounded, pull, push};
use zmq::{SocketEvent, SocketType};

/// The classic socket types with the names that they have in a handshake.
const TYPES: [(SocketType, &str); 11] = [
    (zmq::PAIR, "PAIR"),
    (zmq::PUB, "PUB"),
    (zmq::SUB, "SUB"),
    (zmq::REQ, "REQ"),
    (zmq::REP, "REP"),
    (zmq::DEALER, "DEALER"),
    (zmq::ROUTER, "ROUTER"),
    (zmq::PULL, "PULL"),
    (zmq::PUSH, "PUSH"),
    (zmq::XPUB, "XPUB"),
    (zmq::XSUB, "XSUB"),
];

/// What does not go together at the next handshake that fails: (what, ours, the peer's).
fn await_refusal(monitor: &Monitor) -> (&'static str, String, String) {
    await_event(monitor, "failed handshake", |event| match event {
        Event::HandshakeFailed {
            reason: DisconnectReason::Incompatible { what, ours, theirs },
            ..
        } => Some((*what, ours.clone(), theirs.clone())),
        Event::HandshakeDone { info, .. } => panic!("let in: {info:?}"),
        Event::HandshakeFailed { reason, .. } => panic!("failed for another reason: {reason:?}"),
        _ => None,
    })
}

/// Every type but one, with what the refusal should say.
fn strangers(
    honest: &'static str,
    ours: &'static str,
) -> impl Iterator<Item = (SocketType, (&'static str, String, String))> {
    TYPES
        .into_iter()
        .filter(move |(_, name)| *name != honest)
        .map(move |(kind, name)| (kind, ("socket type", ours.to_owned(), name.to_owned())))
}

/// Closes a classic socket whose messages nobody wants.
fn without_linger(kind: SocketType) -> Classic {
    Classic::with(kind, |socket| socket.set_linger(0))
}

#[test]
fn classic_sockets_that_are_no_pull_are_refused_by_our_bound_push() {
    bounded(|| {
        for via in Via::ALL {
            let push = push();
            let (anywhere, _home) = via.anywhere();
            let endpoint = push.bind(&anywhere).unwrap().to_string();
            let monitor = push.monitor();
            for (kind, refusal) in strangers("PULL", "PUSH") {
                let stranger = without_linger(kind);
                stranger.connect(&endpoint);
                assert_eq!(await_refusal(&monitor), refusal);
            }
            let honest = Classic::new(zmq::PULL);
            honest.connect(&endpoint);
            push.send("for you").unwrap();
            assert_eq!(honest.recv(), b"for you");
            assert_eq!(push.stats().peers.len(), 1, "the refused ones left nothing");
        }
    });
}

#[test]
fn classic_sockets_that_are_no_push_are_refused_by_our_bound_pull() {
    bounded(|| {
        for via in Via::ALL {
            let pull = pull();
            let (anywhere, _home) = via.anywhere();
            let endpoint = pull.bind(&anywhere).unwrap().to_string();
            let monitor = pull.monitor();
            for (kind, refusal) in strangers("PUSH", "PULL") {
                let stranger = without_linger(kind);
                stranger.connect(&endpoint);
                assert_eq!(await_refusal(&monitor), refusal);
            }
            let honest = Classic::new(zmq::PUSH);
            honest.connect(&endpoint);
            honest.send(b"for you");
            assert_eq!(pull.recv().unwrap(), "for you");
            assert_eq!(pull.stats().peers.len(), 1, "the refused ones left nothing");
        }
    });
}

#[test]
fn our_push_finds_itself_at_a_classic_socket_that_is_no_pull() {
    bounded(|| {
        for via in Via::ALL {
            for (kind, refusal) in strangers("PULL", "PUSH") {
                let stranger = without_linger(kind);
                let (anywhere, _home) = via.anywhere();
                let wrong = stranger.bind(&anywhere);
                let honest = Classic::new(zmq::PULL);
                let (anywhere, _home) = via.anywhere();
                let right = honest.bind(&anywhere);
                // With `immediate` nothing is queued for an endpoint that will not have us.
                let push = aqueduct::Push::builder()
                    .immediate(true)
                    .send_timeout(Some(LONG))
                    .build();
                let monitor = push.monitor();
                push.connect(&wrong).unwrap();
                assert_eq!(await_refusal(&monitor), refusal);
                push.connect(&right).unwrap();
                push.send("for you").unwrap();
                assert_eq!(honest.recv(), b"for you");
            }
        }
    });
}

#[test]
fn our_pull_finds_itself_at_a_classic_socket_that_is_no_push() {
    bounded(|| {
        for via in Via::ALL {
            for (kind, refusal) in strangers("PUSH", "PULL") {
                let stranger = without_linger(kind);
                let (anywhere, _home) = via.anywhere();
                let wrong = stranger.bind(&anywhere);
                let honest = Classic::new(zmq::PUSH);
                let (anywhere, _home) = via.anywhere();
                let right = honest.bind(&anywhere);
                let pull = pull();
                let monitor = pull.monitor();
                pull.connect(&wrong).unwrap();
                assert_eq!(await_refusal(&monitor), refusal);
                pull.connect(&right).unwrap();
                honest.send(b"for you");
                assert_eq!(pull.recv().unwrap(), "for you");
            }
        }
    });
}

/// A handshake that fails because we speak NULL and the other side insists on a password.
///
/// libzmq hangs up as soon as it has read our mechanism, most often before it has named its own: then all that we can
/// tell is that it went. It is its own monitor that proves that this was why.
fn await_other_mechanism(ours: &Monitor, theirs: &Witness) {
    let reason = await_event(ours, "failed handshake", |event| match event {
        Event::HandshakeFailed { reason, .. } => Some(reason.clone()),
        Event::HandshakeDone { info, .. } => panic!("let in: {info:?}"),
        _ => None,
    });
    let named = DisconnectReason::Incompatible {
        what: "mechanism",
        ours: "NULL".to_owned(),
        theirs: "PLAIN".to_owned(),
    };
    if reason != named {
        assert_eq!(reason, DisconnectReason::PeerClosed);
        theirs.expect(SocketEvent::HANDSHAKE_FAILED_PROTOCOL);
    }
}

#[test]
fn a_classic_client_with_a_password_is_turned_away() {
    bounded(|| {
        for via in Via::ALL {
            let client = Classic::with(zmq::PULL, |socket| {
                socket.set_plain_username(Some("admin"))?;
                socket.set_plain_password(Some("secret"))
            });
            let push = push();
            let (anywhere, _home) = via.anywhere();
            let endpoint = push.bind(&anywhere).unwrap().to_string();
            let (monitor, witness) = (push.monitor(), client.witness());
            client.connect(&endpoint);
            await_other_mechanism(&monitor, witness);
            let honest = Classic::new(zmq::PULL);
            honest.connect(&endpoint);
            push.send("for you").unwrap();
            assert_eq!(honest.recv(), b"for you");
        }
    });
}

#[test]
fn a_classic_server_with_passwords_is_not_for_us() {
    bounded(|| {
        for via in Via::ALL {
            let server = Classic::with(zmq::PUSH, |socket| socket.set_plain_server(true));
            let (anywhere, _home) = via.anywhere();
            let endpoint = server.bind(&anywhere);
            let pull = pull();
            let (monitor, witness) = (pull.monitor(), server.witness());
            pull.connect(&endpoint).unwrap();
            await_other_mechanism(&monitor, witness);
            // Ours keeps trying, for the day on which the server has changed its mind.
            await_event(&monitor, "next attempt", |event| {
                matches!(event, Event::Retried { .. }).then_some(())
            });
        }
    });
}
