//! When the machine does not play along: no descriptors, floods, resets, paths that are taken.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod support;

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aqueduct::{BindError, DisconnectReason, Endpoint, Event, Pull, Push, RecvError};
use support::*;

// ── no descriptors ──

/// As many descriptors as the child may have.
const DESCRIPTORS: usize = 40;

/// A share of one processor, and how long it is measured: long enough to tell 2 % from none.
const MOST_CPU: f64 = 0.02;
const MEASURED: Duration = Duration::from_secs(2);

/// What the kernel counts processor time in on Linux, whatever the machine: a hundredth of a second.
const TICK: f64 = 0.01;

/// The processor time that a process has used so far, in seconds.
fn cpu(child: &ChildTest) -> f64 {
    let status = child.status();
    let ticks = |at: usize| status[at].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) * TICK
}

/// Not a test of its own: the process that the next test starts.
#[test]
#[ignore = "started by without_descriptors_it_waits_and_recovers"]
fn a_poor_process() {
    if !is_child() {
        return;
    }
    let pull = Pull::new();
    let monitor = pull.monitor();
    for transport in Transport::WIRED {
        println!("endpoint {}", pull.bind(transport.anywhere()).unwrap());
    }
    thread::spawn(move || {
        for event in monitor {
            if let Event::AcceptFailed { endpoint, error } = event {
                let kind = if matches!(endpoint, Endpoint::Tcp(_)) {
                    "tcp"
                } else {
                    "ipc"
                };
                println!("refused {kind} {error:?}");
            }
        }
    });
    thread::spawn(move || {
        while let Ok(message) = pull.recv() {
            println!("got {}", text(&message));
        }
    });
    end_with_parent();
}

#[test]
fn without_descriptors_it_waits_and_recovers() {
    if !cfg!(target_os = "linux") {
        return;
    }
    for transport in Transport::WIRED {
        let mut poor = ChildTest::start("a_poor_process", &format!("ulimit -n {DESCRIPTORS}; exec"));
        let endpoints = [0, 1].map(|_| poor.hear("endpoint ").parse::<Endpoint>().unwrap());
        let endpoint = &endpoints[usize::from(transport == Transport::Ipc)];
        let honest = Push::new();
        honest.connect(endpoint).unwrap();
        honest.send_timeout("before", LONG).unwrap();
        assert_eq!(poor.hear("got "), "before");

        let strangers: Vec<_> = (0..DESCRIPTORS + 20)
            .map(|_| RawPeer::connect(endpoint))
            .collect();
        let refused = poor.hear("refused ");
        assert!(
            refused.starts_with(if transport == Transport::Tcp { "tcp" } else { "ipc" }),
            "{refused}"
        );
        let before = cpu(&poor);
        let start = Instant::now();
        let mut sent = 0;
        while start.elapsed() < MEASURED {
            honest.send_timeout("meanwhile", LONG).unwrap();
            assert_eq!(poor.hear("got "), "meanwhile");
            sent += 1;
            thread::park_timeout(Duration::from_millis(200));
        }
        let used = (cpu(&poor) - before) / start.elapsed().as_secs_f64();
        assert!(
            used < MOST_CPU,
            "{transport:?}: {:.1} % of a processor",
            used * 100.0
        );
        assert!(sent > 0 && poor.is_running());

        drop(strangers);
        let late = Push::new();
        late.connect(endpoint).unwrap();
        late.send_timeout("after", LONG).unwrap();
        assert_eq!(poor.hear("got "), "after");
        poor.end();
    }
}

// ── floods and resets ──

#[test]
fn a_flood_of_half_open_connections_sheds_the_oldest() {
    const LIMIT: usize = 8;
    const FLOOD: usize = 200;
    for transport in Transport::WIRED {
        let pull = Pull::builder().max_handshakes(LIMIT).build();
        let push = Push::new();
        let monitor = pull.monitor();
        let endpoint = marry(&push, &pull, transport);
        let honest = HonestPair::start(push, pull.clone());
        let mut flood: Vec<_> = (0..FLOOD).map(|_| RawPeer::connect(&endpoint)).collect();
        let addresses: Vec<_> = flood.iter().map(RawPeer::address).collect();
        for address in &addresses[..FLOOD - LIMIT] {
            let shed = await_event(&monitor, "shedding", |event| match event {
                Event::HandshakeFailed { address, reason, .. } => Some((address.clone(), reason.clone())),
                _ => None,
            });
            assert!(
                matches!(shed.1, DisconnectReason::OverLimit { limit: 8, .. }),
                "{:?}",
                shed.1
            );
            if transport == Transport::Tcp {
                assert_eq!(shed.0, *address, "the oldest goes first");
            }
        }
        // The first are gone, the last are still welcome.
        assert_eq!(flood[0].hear_out().len() % 64, 0);
        let last = flood.last_mut().unwrap();
        last.shake_hands("PUSH").say(&frame(0, b"I was slow"));
        assert_eq!(honest.stranger(), "I was slow");
        let late = Push::new();
        late.connect(&endpoint).unwrap();
        late.send_timeout("honest newcomer", LONG).unwrap();
        assert_eq!(honest.stranger(), "honest newcomer");
        drop(flood);
        honest.finish();
    }
}

#[test]
fn a_thousand_silent_peers_get_nothing_from_a_push() {
    let push = Push::new();
    let (endpoint, pulls) = bound_push_with(&push, 2, Transport::Tcp, Pull::new);
    let silent: Vec<_> = (0..300).map(|_| RawPeer::connect(&endpoint)).collect();
    (0..100).for_each(|at| push.send_timeout(at.to_string(), LONG).unwrap());
    for pull in &pulls {
        assert_eq!(recv_texts(pull, 50).len(), 50);
    }
    drop(silent);
}

#[test]
fn a_peer_that_breaks_off_while_it_is_sent_to_harms_nobody_else() {
    for transport in Transport::WIRED {
        let push = Push::builder().send_hwm(4).build();
        let monitor = push.monitor();
        let endpoint = push.bind(transport.anywhere()).unwrap();
        let pull = Pull::new();
        pull.connect(&endpoint).unwrap();
        push.wait_for_peers(1, LONG).unwrap();
        let receiver = thread::spawn(move || {
            let mut got = 0u64;
            while recv(&pull) != "end" {
                got += 1;
            }
            (pull, got)
        });
        let mut sent = 0;
        for _ in 0..20 {
            let mut raw = RawPeer::connect(&endpoint);
            raw.shake_hands("PULL");
            push.wait_for_peers(2, LONG).unwrap();
            for _ in 0..50 {
                push.send_timeout(vec![7; 10_000], LONG).unwrap();
                sent += 1;
            }
            // It has read nothing: writes to it begin to fail in the middle of a message. That no signal is raised by
            // that is for `signals.rs` to show, since Rust's runtime ignores it.
            raw.reset();
            for _ in 0..50 {
                push.send_timeout(vec![7; 10_000], LONG).unwrap();
                sent += 1;
            }
            let (_, ready) = await_end(&monitor);
            assert!(ready);
        }
        eventually("the raw peers are gone", || push.stats().peers.len() == 1);
        push.send_timeout("end", LONG).unwrap();
        // The honest peer stays until the sums are done: what it was given is beyond doubt.
        let (_pull, got) = receiver.join().unwrap();
        let total = push.stats().total;
        assert!(total.adds_up(), "{total:?}");
        assert_eq!(total.accepted.messages, sent + 1);
        assert_eq!(got + total.in_doubt + total.dropped.total(), sent, "{total:?}");
    }
}

/// How a connection fails whose peer says this, leaves in that way, and is or is not the one that connects.
fn failure_after(said: &[u8], leave: fn(RawPeer), transport: Transport, is_bound: bool) -> DisconnectReason {
    let pull = Pull::new();
    let monitor = pull.monitor();
    let mut raw = if is_bound {
        RawPeer::connect(&pull.bind(transport.anywhere()).unwrap())
    } else {
        let listener = RawListener::bind(transport);
        pull.connect(listener.endpoint()).unwrap();
        listener.accept()
    };
    raw.say(said);
    leave(raw);
    await_end(&monitor).0
}

#[test]
fn what_a_peer_said_before_it_broke_off_is_heard_first() {
    // A connection that is lost fails in many places: in a read, in a write, even in the look whether it was made. At none
    // of them may the loss hide what had come before. Which one is met is up to chance.
    const TIMES: usize = 50;
    let mut greeting = GREETING;
    greeting[12..17].copy_from_slice(b"PLAIN");
    let ways: [fn(RawPeer); 3] = [drop, RawPeer::hang_up, RawPeer::reset];
    for transport in Transport::WIRED {
        for (is_bound, way) in (0..TIMES * 6).map(|at| (at % 2 == 0, at / 2 % 3)) {
            let reason = failure_after(&greeting, ways[way], transport, is_bound);
            let is_named = matches!(
                &reason,
                DisconnectReason::Incompatible { what: "mechanism", theirs, .. } if theirs == "PLAIN"
            );
            assert!(is_named, "{transport:?}, bound: {is_bound}, way {way}: {reason}");
        }
    }
}

// ── paths ──

#[test]
fn only_the_owner_may_enter_an_ipc_path() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let pull = Pull::new();
    pull.bind(format!("ipc://{}", path.display())).unwrap();
    let metadata = fs::metadata(&path).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    let Endpoint::Ipc(aqueduct::IpcEndpoint::Path(wildcard)) = pull.bind("ipc://*").unwrap() else {
        panic!("no path")
    };
    assert_eq!(
        fs::metadata(&wildcard).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(
        fs::metadata(wildcard.parent().unwrap())
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o700
    );
    pull.close();
    assert!(
        !path.exists() && !wildcard.parent().unwrap().exists(),
        "nothing is left behind"
    );
}

fn bind_error(pull: &Pull, path: &std::path::Path) -> ErrorKind {
    match pull.bind(format!("ipc://{}", path.display())) {
        Err(BindError::Io { source, .. }) => source.kind(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_live_owner_keeps_an_ipc_path_whoever_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let stranger = UnixListener::bind(&path).unwrap();
    let pull = Pull::new();
    assert_eq!(bind_error(&pull, &path), ErrorKind::AddrInUse);
    drop(stranger);
    // The file of a process that is gone is replaced.
    assert!(path.exists());
    let endpoint = pull.bind(format!("ipc://{}", path.display())).unwrap();
    let (push, other) = (Push::new(), Pull::new());
    assert_eq!(bind_error(&other, &path), ErrorKind::AddrInUse);
    join(&push, &pull, &endpoint);
    push.send("mine").unwrap();
    assert_eq!(recv(&pull), "mine");
}

/// Not a test of its own: one of two processes that the next test starts. It binds when and where it is told, says what came
/// of that, hears one message if it was let, and lets go at the next line.
#[test]
#[ignore = "started by of_two_processes_that_race_for_a_path_one_has_it"]
fn a_racing_process() {
    if !is_child() {
        return;
    }
    let mut lines = std::io::stdin().lines().map_while(Result::ok);
    while let Some(order) = lines.next() {
        let (start, endpoint) = order.split_once(' ').unwrap();
        let start = UNIX_EPOCH + Duration::from_nanos(start.parse().unwrap());
        let pull = Pull::new();
        // No sleep ends on time, and the other one is as fast.
        while SystemTime::now() < start {
            std::hint::spin_loop();
        }
        match pull.bind(endpoint) {
            Ok(_) => {
                println!("outcome bound");
                println!("got {}", text(&recv(&pull)));
            }
            Err(BindError::Io { source, .. }) => println!("outcome {:?}", source.kind()),
            Err(other) => panic!("{other:?}"),
        }
        lines.next();
        pull.close();
        println!("let go");
    }
}

#[test]
fn of_two_processes_that_race_for_a_path_one_has_it() {
    const ROUNDS: u64 = 8 * STEPS;
    /// Microseconds from the first step of a bind to its last.
    const STEPS: u64 = 40;
    /// Time enough for both to hear of it.
    const AHEAD: Duration = Duration::from_millis(2);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let endpoint = format!("ipc://{}", path.display());
    let mut racers = [(); 2].map(|()| ChildTest::start("a_racing_process", "exec"));
    for round in 0..ROUNDS {
        // Mostly there is nothing at the path, and sometimes what a process left that is gone, which takes longer.
        if round % 4 == 3 {
            drop(UnixListener::bind(&path).unwrap());
        }
        let mut start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + AHEAD;
        for racer in &mut racers {
            racer.say(&format!("{} {endpoint}", start.as_nanos()));
            // From round to round the other one meets the first at a later step.
            start += Duration::from_micros(round / 4 % STEPS);
        }
        let outcomes = racers.each_ref().map(|racer| racer.hear("outcome "));
        let winner = match outcomes.each_ref().map(String::as_str) {
            ["bound", "AddrInUse"] => &racers[0],
            ["AddrInUse", "bound"] => &racers[1],
            other => panic!("round {round}: {other:?}"),
        };
        let push = Push::new();
        push.connect(&endpoint).unwrap();
        push.send(round.to_string()).unwrap();
        assert_eq!(winner.hear("got "), round.to_string());
        for racer in &mut racers {
            racer.say("let go");
            racer.hear("let go");
        }
    }
    racers.into_iter().for_each(ChildTest::end);
}

#[test]
fn a_process_of_a_user_that_is_not_allowed_is_turned_away_unheard() {
    let directory = tempfile::tempdir().unwrap();
    let own = fs::metadata(directory.path()).unwrap().uid();
    for (uid, admitted) in [(own, cfg!(target_os = "linux")), (own + 1, false)] {
        for name in [
            "socket".to_owned(),
            format!("@{}-{uid}", directory.path().display()),
        ] {
            let path = directory.path().join(&name);
            let endpoint = if name.starts_with('@') {
                name
            } else {
                path.display().to_string()
            };
            let pull = Pull::builder().ipc_allowed_uids(Some(vec![uid])).build();
            let (monitor, push) = (pull.monitor(), Push::builder().reconnect_interval(None).build());
            let endpoint = pull.bind(format!("ipc://{endpoint}")).unwrap();
            push.connect(&endpoint).unwrap();
            push.send("it is me").unwrap();
            if admitted {
                assert_eq!(recv(&pull), "it is me");
                continue;
            }
            let reason = await_event(&monitor, "refusal", |event| match event {
                Event::HandshakeFailed { reason, .. } => Some(reason.clone()),
                Event::Accepted { .. } => panic!("it came in"),
                _ => None,
            });
            let known = Some(own).filter(|_| cfg!(target_os = "linux"));
            assert_eq!(reason, DisconnectReason::ForbiddenUser { uid: known });
            let stats = pull.stats();
            assert_eq!((stats.endings.of(reason.kind()), stats.peers.len()), (1, 0));
            assert_eq!(pull.recv_timeout(Duration::ZERO), Err(RecvError::Timeout));
        }
    }
}

#[test]
fn a_path_of_another_user_is_left_alone() {
    const NOBODY: u32 = 65_534;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let stranger = UnixListener::bind(&path).unwrap();
    // Only root can give a file away; others have nobody here to disturb.
    if std::os::unix::fs::chown(&path, Some(NOBODY), None).is_err() {
        return;
    }
    let pull = Pull::new();
    assert_eq!(bind_error(&pull, &path), ErrorKind::PermissionDenied);
    drop(stranger);
    assert_eq!(
        bind_error(&pull, &path),
        ErrorKind::PermissionDenied,
        "not even when it is stale"
    );
    assert_eq!(fs::symlink_metadata(&path).unwrap().uid(), NOBODY);
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (file, link) = (directory.path().join("file"), directory.path().join("link"));
    fs::write(&file, "precious").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let pull = Pull::new();
    for path in [&file, &link] {
        assert_eq!(bind_error(&pull, path), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(path).unwrap(), "precious");
    }
    assert_eq!(
        bind_error(&pull, &directory.path().join("none/socket")),
        ErrorKind::NotFound
    );
    assert_eq!(pull.recv_timeout(Duration::ZERO), Err(RecvError::Timeout));
}
