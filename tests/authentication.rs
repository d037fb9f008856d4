//! Who is let in: PLAIN in both roles, and what an authenticator can do to a peer and to others.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod support;

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use aqueduct::{
    AllowAny, AuthRequest, Authenticator, Credentials, Dealer, Decision, Denial, DisconnectReason, Endpoint,
    Event, Pull, Push, Router, RoutingId, User,
};
use support::*;

/// Lets in alice with her password, and says what it has seen.
fn gate(seen: mpsc::Sender<(Endpoint, String)>) -> impl Authenticator {
    move |request: &AuthRequest| {
        seen.send((request.endpoint().clone(), request.address().to_owned()))
            .unwrap();
        if !request.credentials().is_login("alice", "secret") {
            return Decision::Deny;
        }
        let mut user = User::new("alice");
        user.metadata.push(("Team".into(), "blue".into()));
        Decision::Allow(user)
    }
}

fn alice() -> Push {
    login("alice", "secret")
}

fn login(username: &'static str, password: &'static str) -> Push {
    let builder = Push::builder().plain_client(username, password).unwrap();
    builder.linger(Some(Duration::ZERO)).build()
}

/// How many peers are let in, and how many were not.
fn admitted_and_denied(pull: &Pull) -> (usize, u64) {
    let stats = pull.stats();
    (stats.peers.len(), stats.denied)
}

/// What becomes of the next handshake: the user's name, or why it failed.
fn await_outcome(monitor: &aqueduct::Monitor) -> Result<Option<String>, DisconnectReason> {
    await_event(monitor, "end of a handshake", |event| match event {
        Event::HandshakeDone { info, .. } => Some(Ok(info.user_id().map(str::to_owned))),
        Event::HandshakeFailed { reason, .. } => Some(Err(reason.clone())),
        _ => None,
    })
}

#[test]
fn who_shows_the_right_password_is_known_by_name() {
    for transport in Transport::WIRED {
        let (seen, requests) = mpsc::channel();
        let pull = Pull::builder().plain_server(gate(seen)).build();
        let push = alice();
        let endpoint = marry(&push, &pull, transport);
        push.send("it is me").unwrap();
        let (message, peer) = pull.recv_with_peer().unwrap();
        assert_eq!((message, peer.user_id()), ("it is me".into(), Some("alice")));
        assert_eq!(peer.user.as_ref().unwrap().metadata[0].1, "blue");
        let (asked_at, address) = requests.recv_timeout(LONG).unwrap();
        assert_eq!((asked_at, Some(address)), (endpoint, peer.address.clone()));
        assert_eq!(admitted_and_denied(&pull), (1, 0));
        let server = &push.stats().peers[0];
        assert_eq!(server.info.as_ref().unwrap().user_id(), None, "only servers ask");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn an_authenticator_sees_which_process_comes_over_ipc() {
    for transport in Transport::WIRED {
        let (seen, processes) = mpsc::channel();
        let pull = Pull::builder()
            .plain_server(move |request: &AuthRequest| {
                seen.send(request.process()).unwrap();
                Decision::Allow(User::default())
            })
            .build();
        let push = alice();
        marry(&push, &pull, transport);
        push.send("it is me").unwrap();
        let (_, peer) = pull.recv_with_peer().unwrap();
        let process = processes.recv_timeout(LONG).unwrap();
        assert_eq!(process, peer.process);
        let expected = (transport == Transport::Ipc).then(std::process::id);
        assert_eq!(process.and_then(|process| process.pid), expected);
    }
}

#[test]
fn only_the_same_user_takes_a_routing_id_over() {
    let router = Router::builder()
        .plain_server(|request: &AuthRequest| {
            let Credentials::Plain { username, .. } = request.credentials() else {
                return Decision::Deny;
            };
            Decision::Allow(User::new(String::from_utf8_lossy(username)))
        })
        .handover_to_same_user(true)
        .build();
    let monitor = router.monitor();
    let endpoint = router.bind("tcp://127.0.0.1:0").unwrap();
    let dealer = |name: &'static str| {
        let builder = Dealer::builder().plain_client(name, "").unwrap();
        let builder = builder.routing_id(RoutingId::new("desk").unwrap());
        let dealer = builder.reconnect_interval(None).build();
        dealer.connect(&endpoint).unwrap();
        await_outcome(&monitor).map(|_| dealer)
    };
    let first = dealer("alice").unwrap();
    assert!(matches!(dealer("bob"), Err(DisconnectReason::Rejected(_))));
    router
        .send(&RoutingId::new("desk").unwrap(), "still yours")
        .unwrap();
    assert_eq!(first.recv_timeout(LONG).unwrap(), "still yours");
    let second = dealer("alice").unwrap();
    eventually("it is known", || {
        router
            .send(&RoutingId::new("desk").unwrap(), "welcome back")
            .is_ok()
    });
    assert_eq!(second.recv_timeout(LONG).unwrap(), "welcome back");
}

#[test]
fn a_server_may_be_the_one_that_connects() {
    let push = alice();
    let endpoint = push.bind("tcp://127.0.0.1:0").unwrap();
    let pull = Pull::builder().plain_server(AllowAny).build();
    pull.connect(&endpoint).unwrap();
    push.send_timeout("let me in", LONG).unwrap();
    assert_eq!(recv(&pull), "let me in");
}

#[test]
fn an_authenticator_that_panics_lets_nobody_in_and_goes_on() {
    let pull = Pull::builder()
        .plain_server(|request: &AuthRequest| {
            if request.credentials().is_login("alice", "secret") {
                return Decision::Allow(User::default());
            }
            // Unlike `panic!` without a report, which takes its time.
            std::panic::resume_unwind(Box::new(()))
        })
        .build();
    let monitor = pull.monitor();
    let endpoint = pull.bind("tcp://127.0.0.1:0").unwrap();
    let (trouble, honest) = (login("trouble", ""), alice());
    trouble.connect(&endpoint).unwrap();
    let denied = Err(DisconnectReason::Denied(Denial::Unanswered));
    assert_eq!(await_outcome(&monitor), denied);
    join(&honest, &pull, &endpoint);
}

#[test]
fn a_wrong_password_is_turned_away_and_counted_beside_an_honest_peer() {
    for transport in Transport::WIRED {
        let (seen, _requests) = mpsc::channel();
        let pull = Pull::builder().plain_server(gate(seen)).build();
        let honest = alice();
        let endpoint = marry(&honest, &pull, transport);
        let (at_server, stranger) = (pull.monitor(), login("alice", "guess"));
        let at_client = stranger.monitor();
        stranger.connect(&endpoint).unwrap();
        stranger.send("not for you").unwrap();
        assert_eq!(
            await_outcome(&at_server),
            Err(DisconnectReason::Denied(Denial::Refused))
        );
        assert_eq!(
            await_outcome(&at_client),
            Err(DisconnectReason::Refused("400".into()))
        );
        assert_eq!(admitted_and_denied(&pull), (1, 1));
        honest.send("still here").unwrap();
        assert_eq!(recv(&pull), "still here");
        assert_eq!(
            stranger.stats().total.queued,
            1,
            "what was for a server that refuses us waits"
        );
    }
}

#[test]
fn a_request_that_is_dropped_is_denied() {
    struct Forgetful;
    impl Authenticator for Forgetful {
        fn authenticate(&self, request: AuthRequest) {
            drop(request);
        }
    }
    let pull = Pull::builder().plain_server(Forgetful).build();
    let (monitor, push) = (pull.monitor(), alice());
    let endpoint = pull.bind("tcp://127.0.0.1:0").unwrap();
    push.connect(&endpoint).unwrap();
    let denied = Err(DisconnectReason::Denied(Denial::Unanswered));
    assert_eq!(await_outcome(&monitor), denied);
}

/// Takes requests away, to be answered elsewhere.
struct Desk(Mutex<mpsc::Sender<AuthRequest>>);

impl Desk {
    fn new() -> (Self, mpsc::Receiver<AuthRequest>) {
        let (desk, requests) = mpsc::channel();
        (Self(Mutex::new(desk)), requests)
    }
}

impl Authenticator for Desk {
    fn authenticate(&self, request: AuthRequest) {
        self.0.lock().unwrap().send(request).unwrap();
    }
}

#[test]
fn requests_can_be_answered_elsewhere_in_any_order() {
    let (desk, requests) = Desk::new();
    let pull = Pull::builder().plain_server(desk).build();
    let endpoint = pull.bind("tcp://127.0.0.1:0").unwrap();
    // More than there are threads to ask on: none of them is held up.
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let pushes = names.map(|name| {
        let push = login(name, "");
        push.connect(&endpoint).unwrap();
        push
    });
    let mut waiting: Vec<_> = (0..names.len())
        .map(|_| requests.recv_timeout(LONG).unwrap())
        .collect();
    assert_eq!(admitted_and_denied(&pull), (0, 0));
    while let Some(request) = waiting.pop() {
        let Credentials::Plain { username, .. } = request.credentials() else {
            panic!("not PLAIN");
        };
        let name = String::from_utf8(username.to_vec()).unwrap();
        request.answer(Decision::Allow(User::new(name)));
    }
    for push in &pushes {
        push.send_timeout("in", LONG).unwrap();
    }
    let mut users = names.map(|_| {
        let (_, peer) = pull.recv_with_peer().unwrap();
        peer.user_id().unwrap().to_owned()
    });
    users.sort();
    assert_eq!(users, names);
}

#[test]
fn an_authenticator_that_takes_too_long_lets_nobody_in() {
    let (desk, requests) = Desk::new();
    let pull = Pull::builder()
        .plain_server(desk)
        .handshake_timeout(Duration::from_millis(50))
        .build();
    let (monitor, push) = (pull.monitor(), alice());
    let endpoint = pull.bind("tcp://127.0.0.1:0").unwrap();
    push.connect(&endpoint).unwrap();
    let request = requests.recv_timeout(LONG).unwrap();
    let denied = Err(DisconnectReason::Denied(Denial::TimedOut));
    assert_eq!(await_outcome(&monitor), denied);
    request.answer(Decision::Allow(User::new("alice")));
    assert_eq!(admitted_and_denied(&pull), (0, 1));
}

#[test]
fn an_authenticator_that_blocks_holds_up_nobody_who_is_in() {
    let (begun, beginning) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let pull = Pull::builder()
        .plain_server(move |request: &AuthRequest| {
            if !request.credentials().is_login("alice", "secret") {
                begun.send(()).unwrap();
                released.lock().unwrap().recv().unwrap();
            }
            Decision::Allow(User::default())
        })
        .build();
    let (honest, slow) = (alice(), login("slow", ""));
    let endpoint = marry(&honest, &pull, Transport::Tcp);
    slow.connect(&endpoint).unwrap();
    beginning.recv_timeout(LONG).unwrap();
    for at in 0..1000 {
        honest.send(at.to_string()).unwrap();
        assert_eq!(recv(&pull), at.to_string());
    }
    release.send(()).unwrap();
    slow.wait_for_peers(1, LONG).unwrap();
}

#[test]
fn a_client_that_says_everything_at_once_is_heard_after_the_verdict() {
    for transport in Transport::WIRED {
        let (desk, requests) = Desk::new();
        let pull = Pull::builder().plain_server(desk).build();
        let endpoint = pull.bind(transport.anywhere()).unwrap();
        let mut greeting = GREETING;
        greeting[12..17].copy_from_slice(b"PLAIN");
        let mut raw = RawPeer::connect(&endpoint);
        raw.say(&greeting).say(
            &[
                command("HELLO", b"\x05alice\x06secret"),
                command("INITIATE", b"\x0bSocket-Type\0\0\0\x04PUSH"),
                frame(0, b"early"),
                frame(0, &[7; 100_000]),
            ]
            .concat(),
        );
        let request = requests.recv_timeout(LONG).unwrap();
        assert_eq!(admitted_and_denied(&pull), (0, 0));
        request.answer(Decision::Allow(User::default()));
        assert_eq!(recv(&pull), "early");
        assert_eq!(recv(&pull).byte_len(), 100_000);
        raw.hear_greeting();
        assert!(raw.hear_frame().is_command("WELCOME") && raw.hear_frame().is_command("READY"));
    }
}

#[test]
fn other_mechanisms_reach_nobody() {
    let mismatch = |ours: &str, theirs: &str| {
        Err(DisconnectReason::Incompatible {
            what: "mechanism",
            ours: ours.to_owned(),
            theirs: theirs.to_owned(),
        })
    };
    let pull = Pull::builder().plain_server(AllowAny).build();
    let monitor = pull.monitor();
    let endpoint = pull.bind("tcp://127.0.0.1:0").unwrap();
    let mut raw = RawPeer::connect(&endpoint);
    raw.say(&GREETING).say(&ready_of("PUSH")).say(&frame(0, b"psst"));
    assert_eq!(await_outcome(&monitor), mismatch("PLAIN", "NULL"));
    assert!(pull.try_recv().is_err());

    let open = Pull::new();
    let endpoint = open.bind("tcp://127.0.0.1:0").unwrap();
    let push = alice();
    let monitor = push.monitor();
    push.connect(&endpoint).unwrap();
    push.send("private").unwrap();
    // The other end hangs up as soon as it has read our greeting, and may not have sent its own.
    let outcome = await_outcome(&monitor);
    assert!(outcome == mismatch("PLAIN", "NULL") || outcome == Err(DisconnectReason::PeerClosed));
    assert_eq!(
        (push.stats().total.queued, push.stats().total.handed.messages),
        (1, 0)
    );
}

#[test]
fn sockets_close_while_the_application_decides() {
    let (desk, requests) = Desk::new();
    let pull = Pull::builder().plain_server(desk).build();
    let endpoint = pull.bind("tcp://127.0.0.1:0").unwrap();
    let push = alice();
    push.connect(&endpoint).unwrap();
    let request = requests.recv_timeout(LONG).unwrap();
    drop(push);
    pull.close();
    let late = thread::spawn(move || request.answer(Decision::Allow(User::default())));
    late.join().unwrap();
}

#[test]
fn a_peer_without_a_mechanism_is_let_in_by_its_address_and_known() {
    for transport in Transport::WIRED {
        let (seen, requests) = mpsc::channel();
        let pull = Pull::builder()
            .auth_domain("yard")
            .null_server(move |request: &AuthRequest| {
                let (credentials, domain) = (request.credentials().clone(), request.domain().to_owned());
                seen.send((credentials, domain, request.address().to_owned()))
                    .unwrap();
                Decision::Allow(User::new("a neighbour"))
            })
            .build();
        let push = Push::new();
        marry(&push, &pull, transport);
        push.send("hello").unwrap();
        let (message, peer) = pull.recv_with_peer().unwrap();
        assert_eq!((message, peer.user_id()), ("hello".into(), Some("a neighbour")));
        let address = peer.address.clone().unwrap();
        assert_eq!(
            requests.recv().unwrap(),
            (Credentials::Null, "yard".to_owned(), address)
        );
    }
}

#[test]
fn a_peer_to_whom_nobody_has_said_no_is_told_nothing_and_comes_back() {
    let cases: [(fn(AuthRequest), Denial); 4] = [
        (|request| request.answer(Decision::DenyForNow), Denial::NotNow),
        (drop, Denial::Unanswered),
        (|_| std::panic::resume_unwind(Box::new(())), Denial::Unanswered),
        (std::mem::forget, Denial::TimedOut),
    ];
    for (at_first, denial) in cases {
        let pull = Pull::builder()
            .null_server(Moody::new(at_first))
            .handshake_timeout(Duration::from_millis(200))
            .build();
        let push = Push::builder()
            .reconnect_interval(Some(Duration::from_millis(1)))
            .build();
        let (at_server, at_client) = (pull.monitor(), push.monitor());
        push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
        push.send("a little later").unwrap();
        assert_eq!(await_outcome(&at_server), Err(DisconnectReason::Denied(denial)));
        let told = await_outcome(&at_client);
        assert_eq!(told, Err(DisconnectReason::PeerClosed), "{denial}");
        assert_eq!(recv(&pull), "a little later");
    }
}
