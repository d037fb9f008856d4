//! What peers say against the rules of requests, replies and routing: each row has its connection or its message lost, and
//! nobody else notices.

use aqueduct::{DisconnectReason, Rep, Req, ReqRecvError, Router};

use crate::support::*;

const MORE: u8 = 1;

/// A message of these parts, as it is on the wire.
fn message(parts: &[&[u8]]) -> Vec<u8> {
    let last = parts.len() - 1;
    let flags = |at| if at < last { MORE } else { 0 };
    let frames = parts.iter().enumerate();
    frames.flat_map(|(at, part)| frame(flags(at), part)).collect()
}

/// What is no request is passed over and counted, and the next one is served.
#[test]
fn rep_passes_over_what_is_no_request() {
    for transport in Transport::WIRED {
        let rep = Rep::new();
        let mut peer = RawPeer::connect(&rep.bind(transport.anywhere()).unwrap());
        peer.shake_hands("DEALER");
        peer.say(&message(&[b"no delimiter"]))
            .say(&message(&[b""]))
            .say(&message(&[b"a", b"b", b""]))
            .say(&message(&[b"", b"good"]));
        assert_eq!(rep.recv_timeout(LONG).unwrap().0, "good");
        let total = rep.stats().total;
        assert_eq!((total.discarded, total.received.messages), (3, 1));
    }
}

/// An envelope beyond all measure ends the connection, and an honest asker goes on.
#[test]
fn rep_hangs_up_on_endless_envelopes() {
    for transport in Transport::WIRED {
        let (rep, req) = (Rep::new(), Req::new());
        let endpoint = rep.bind(transport.anywhere()).unwrap();
        let monitor = rep.monitor();
        for bad in [vec![&b"hop"[..]; 10_000], vec![&[7; 256][..], b"", b"x"]] {
            let mut peer = RawPeer::connect(&endpoint);
            peer.shake_hands("DEALER").say(&message(&bad));
            assert!(rep.recv_timeout(A_WHILE).is_err());
            let (reason, ready) = await_end(&monitor);
            assert!(
                ready && matches!(reason, DisconnectReason::OverLimit { .. }),
                "{reason}"
            );
        }
        req.connect(&endpoint).unwrap();
        req.send("honest").unwrap();
        let (request, reply) = rep.recv_timeout(LONG).unwrap();
        reply.send(request).unwrap();
        assert_eq!(req.recv_timeout(LONG).unwrap(), "honest");
    }
}

/// Replies of the wrong shape, with the wrong id, or twice, are passed over and counted.
#[test]
fn req_passes_over_what_is_no_reply() {
    for transport in Transport::WIRED {
        let listener = RawListener::bind(transport);
        let req = Req::builder().correlate(true).build();
        req.connect(listener.endpoint()).unwrap();
        req.send("x").unwrap();
        let mut peer = listener.accept();
        peer.shake_hands("ROUTER");
        let id = peer.hear_frame().body;
        assert_eq!(id.len(), 4);
        peer.say(&message(&[b"bare"]))
            .say(&message(&[b"", b"no id"]))
            .say(&message(&[b"0000", b"", b"wrong id"]))
            .say(&message(&[&id, b"no delimiter"]))
            .say(&message(&[&id, b""]))
            .say(&message(&[&id, b"", b"good"]))
            .say(&message(&[&id, b"", b"twice"]));
        assert_eq!(req.recv_timeout(LONG).unwrap(), "good");
        req.send("y").unwrap();
        assert_eq!(req.recv_timeout(A_WHILE), Err(ReqRecvError::Timeout));
        assert_eq!(req.stats().total.discarded, 6);
    }
}

/// An id that is too long, or that looks made up, ends the connection before it begins.
#[test]
fn router_hangs_up_on_ids_that_cannot_be() {
    for transport in Transport::WIRED {
        let router = Router::new();
        let endpoint = router.bind(transport.anywhere()).unwrap();
        let monitor = router.monitor();
        for bad in [&[7; 256][..], b"\0abc"] {
            let mut peer = RawPeer::connect(&endpoint);
            peer.say(&GREETING)
                .say(&ready(&[("Socket-Type", b"DEALER"), ("Identity", bad)]));
            let (_, was_ready) = await_end(&monitor);
            assert!(!was_ready);
            peer.hear_out();
        }
    }
}
