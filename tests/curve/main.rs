//! CURVE between sockets: who gets through, who does not, and what the authenticator is told.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod in_between;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use aqueduct::{
    AllowAny, AllowList, AuthRequest, Buildable, Builder, Credentials, Dealer, Decision, DisconnectReason,
    Event, KeyPair, Message, Monitor, Pair, PublicKey, Pull, Push, Router, RoutingId, Sub, User, XPub,
};

/// How long a test waits for what must happen.
const LONG: Duration = Duration::from_secs(30);

fn keys() -> KeyPair {
    KeyPair::generate().unwrap()
}

/// Waits for the reason for which a connection ended.
fn reason(monitor: &Monitor) -> DisconnectReason {
    loop {
        match monitor.recv_timeout(LONG).expect("no connection ended") {
            Event::HandshakeFailed { reason, .. } | Event::Disconnected { reason, .. } => return reason,
            _ => {}
        }
    }
}

fn client<S: Buildable>(builder: Builder<S>, server: PublicKey) -> S {
    builder.curve_client(server, keys()).build()
}

#[test]
fn messages_of_all_sizes_pass_both_ways_over_tcp_and_ipc() {
    let home = tempfile::tempdir().unwrap();
    let ipc = format!("ipc://{}", home.path().join("socket").display());
    for endpoint in ["tcp://127.0.0.1:0", &ipc] {
        let server_keys = keys();
        let public = server_keys.public();
        let server = Pair::builder().curve_server(server_keys, AllowAny).build();
        let endpoint = server.bind(endpoint).unwrap();
        let client: Pair = client(Pair::builder(), public);
        client.connect(&endpoint).unwrap();
        for len in [
            0, 1, 30, 31, 32, 63, 64, 222, 223, 4_000, 4_096, 65_535, 65_536, 300_000, 3_000_000,
        ] {
            let body: Vec<u8> = (0..len).map(|at: u32| at.to_le_bytes()[0]).collect();
            let parts = Message::from_iter([&body[..], b"", &body[..]]);
            for message in [Message::from(body.clone()), parts] {
                client.send(message.clone()).unwrap();
                assert!(server.recv_timeout(LONG).unwrap() == message, "{len} bytes");
                server.send(message.clone()).unwrap();
                assert!(client.recv_timeout(LONG).unwrap() == message, "{len} bytes back");
            }
        }
    }
}

#[test]
fn many_messages_pass_a_reader_who_is_slow() {
    let server_keys = keys();
    let public = server_keys.public();
    let pull = Pull::builder()
        .recv_hwm(10)
        .curve_server(server_keys, AllowAny)
        .build();
    let push: Push = client(Push::builder().send_hwm(10), public);
    push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    let sender = std::thread::spawn(move || {
        for number in 0..20_000u32 {
            push.send(number.to_be_bytes()).unwrap();
        }
        push
    });
    for number in 0..20_000u32 {
        assert_eq!(pull.recv_timeout(LONG).unwrap(), number.to_be_bytes());
    }
    assert_eq!(sender.join().unwrap().close().total.handed.messages, 20_000);
}

#[test]
fn subscriptions_reach_a_publisher_in_boxes() {
    let server_keys = keys();
    let public = server_keys.public();
    let publisher = XPub::builder().curve_server(server_keys, AllowAny).build();
    let endpoint = publisher.bind("tcp://127.0.0.1:0").unwrap();
    let subscriber: Sub = client(Sub::builder(), public);
    subscriber.connect(&endpoint).unwrap();
    subscriber.subscribe("a").unwrap();
    publisher.recv_timeout(LONG).unwrap();
    publisher.send("b not wanted").unwrap();
    publisher.send("a wanted").unwrap();
    assert_eq!(subscriber.recv_timeout(LONG).unwrap(), "a wanted");
}

#[test]
fn a_client_that_looks_for_another_key_gets_nowhere_and_is_told_nothing() {
    let server = Pull::builder().curve_server(keys(), AllowAny).build();
    let monitor = server.monitor();
    let push: Push = client(Push::builder(), keys().public());
    let told = push.monitor();
    push.connect(server.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    assert!(matches!(reason(&monitor), DisconnectReason::Malformed(_)));
    assert!(!matches!(reason(&told), DisconnectReason::Refused(_)));
    assert!(server.try_recv().is_err());
}

#[test]
fn the_authenticator_sees_the_key_and_says_who_it_is() {
    let (server_keys, alice, mallory) = (keys(), keys(), keys());
    let (public, wanted) = (server_keys.public(), alice.public());
    let (seen, keys_seen) = mpsc::channel();
    let router = Router::builder()
        .curve_server(server_keys, move |request: &AuthRequest| {
            let Credentials::Curve { public_key } = request.credentials() else {
                return Decision::Deny;
            };
            seen.send(*public_key).unwrap();
            if *public_key == wanted {
                Decision::Allow(User::new("alice"))
            } else {
                Decision::Deny
            }
        })
        .build();
    let endpoint = router.bind("tcp://127.0.0.1:0").unwrap();
    let stranger = mallory.public();
    let dealer = Dealer::builder().curve_client(public, mallory).build();
    let monitor = dealer.monitor();
    dealer.connect(&endpoint).unwrap();
    assert_eq!(keys_seen.recv_timeout(LONG).unwrap(), stranger);
    assert_eq!(reason(&monitor), DisconnectReason::Refused("400".to_owned()));
    drop(dealer);

    let dealer = Dealer::builder().curve_client(public, alice).build();
    dealer.connect(&endpoint).unwrap();
    dealer.send("let me in").unwrap();
    while keys_seen.recv_timeout(LONG).unwrap() != wanted {}
}

#[test]
fn the_authenticator_hears_what_a_client_says_of_itself() {
    let server_keys = keys();
    let public = server_keys.public();
    let (seen, requests) = mpsc::channel();
    let router = Router::builder()
        .curve_server(server_keys, move |request: &AuthRequest| {
            seen.send((request.routing_id().clone(), request.properties().to_vec()))
                .unwrap();
            Decision::Allow(User::default())
        })
        .build();
    let id = RoutingId::new("desk").unwrap();
    let builder = Dealer::builder().curve_client(public, keys());
    let builder = builder.property("X-Region", "south").unwrap();
    let dealer = builder.routing_id(id.clone()).build();
    dealer.connect(router.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    let said = vec![("X-Region".to_owned(), "south".into())];
    assert_eq!(requests.recv_timeout(LONG).unwrap(), (id, said));
}

#[test]
fn an_allow_list_lets_in_the_owners_of_its_keys_under_their_names() {
    let (server_keys, alice, mallory) = (keys(), keys(), keys());
    let public = server_keys.public();
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("alice.pub"), alice.public().to_string()).unwrap();
    let list = AllowList::directory(home.path()).unwrap();
    let pull = Pull::builder()
        .curve_server(server_keys, list)
        .recv_timeout(Some(LONG))
        .build();
    let endpoint = pull.bind("tcp://127.0.0.1:0").unwrap();

    let stranger = Push::builder().curve_client(public, mallory).build();
    let told = stranger.monitor();
    stranger.connect(&endpoint).unwrap();
    assert_eq!(reason(&told), DisconnectReason::Refused("400".to_owned()));

    let push = Push::builder().curve_client(public, alice).build();
    push.connect(&endpoint).unwrap();
    push.send("it is me").unwrap();
    let (message, peer) = pull.recv_with_peer().unwrap();
    assert_eq!((message, peer.user_id()), ("it is me".into(), Some("alice")));
}

#[test]
fn whoever_speaks_another_mechanism_is_not_heard() {
    let server = Pull::builder().curve_server(keys(), AllowAny).build();
    let endpoint = server.bind("tcp://127.0.0.1:0").unwrap();
    let plain = Push::builder().plain_client("admin", "admin").unwrap().build();
    for push in [Push::new(), plain] {
        let monitor = server.monitor();
        push.connect(&endpoint).unwrap();
        let what = match reason(&monitor) {
            DisconnectReason::Incompatible { what, .. } => what,
            DisconnectReason::PeerClosed | DisconnectReason::Io(_) => "mechanism",
            other => panic!("{other:?}"),
        };
        assert_eq!(what, "mechanism");
    }
    assert!(server.try_recv().is_err());
}

#[test]
fn nobody_on_the_way_can_read_what_is_sent() {
    let server_keys = keys();
    let public = server_keys.public();
    let server = Pull::builder().curve_server(server_keys, AllowAny).build();
    let there = server.bind("tcp://127.0.0.1:0").unwrap().to_string();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = format!("tcp://{}", listener.local_addr().unwrap());
    let push: Push = client(Push::builder(), public);
    push.connect(&here).unwrap();
    let near = listener.accept().unwrap().0;
    let far = TcpStream::connect(there.strip_prefix("tcp://").unwrap()).unwrap();
    let copy = |mut from: TcpStream, mut to: TcpStream| {
        std::thread::spawn(move || {
            let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                seen.extend_from_slice(&buffer[..count]);
                to.write_all(&buffer[..count]).unwrap();
            }
            let _ = to.shutdown(std::net::Shutdown::Write);
            seen
        })
    };
    let there = copy(near.try_clone().unwrap(), far.try_clone().unwrap());
    let back = copy(far, near);
    let secret = "the treasure is under the old oak";
    push.send(secret).unwrap();
    assert_eq!(server.recv_timeout(LONG).unwrap(), secret);
    push.close();
    server.close();
    for seen in [there, back] {
        let seen = seen.join().unwrap();
        assert!(seen.len() > 64);
        assert!(
            !seen
                .windows(8)
                .any(|window| secret.as_bytes().windows(8).any(|part| part == window))
        );
        assert!(
            !seen
                .windows(4)
                .any(|window| window == b"PUSH" || window == b"PULL")
        );
    }
}

#[test]
fn only_the_owner_of_the_same_key_takes_a_routing_id_over() {
    let server_keys = keys();
    let public = server_keys.public();
    let router = Router::builder()
        .curve_server(server_keys, |request: &AuthRequest| {
            let Credentials::Curve { public_key } = request.credentials() else {
                return Decision::Deny;
            };
            // Whoever has the key is the user, and nobody else.
            Decision::Allow(User::new(public_key.to_string()))
        })
        .handover_to_same_user(true)
        .build();
    let monitor = router.monitor();
    let endpoint = router.bind("tcp://127.0.0.1:0").unwrap();
    let id = RoutingId::new("desk").unwrap();
    let [alice, mallory] = [keys(), keys()].map(|own| {
        let builder = Dealer::builder().curve_client(public, own).routing_id(id.clone());
        builder.reconnect_interval(None)
    });
    let first = alice.build();
    first.connect(&endpoint).unwrap();
    router.wait_for_peers(1, LONG).unwrap();
    let thief = mallory.build();
    thief.connect(&endpoint).unwrap();
    let refused = reason(&monitor);
    assert!(matches!(refused, DisconnectReason::Rejected(_)), "{refused}");
    router.send(&id, "still yours").unwrap();
    assert_eq!(first.recv_timeout(LONG).unwrap(), "still yours");
    let second = alice.build();
    second.connect(&endpoint).unwrap();
    let replaced = reason(&monitor);
    assert!(matches!(replaced, DisconnectReason::Rejected(_)), "{replaced}");
    let deadline = Instant::now() + LONG;
    while router.send(&id, "welcome back").is_err() {
        assert!(Instant::now() < deadline, "the newcomer never has the id");
        std::thread::yield_now();
    }
    assert_eq!(second.recv_timeout(LONG).unwrap(), "welcome back");
}
