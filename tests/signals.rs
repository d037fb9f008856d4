//! What signals do to sockets: nothing. Each test has a process of its own to be stopped, interrupted or killed.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod support;

use std::fs;
use std::io::{ErrorKind, Write};
use std::process::Command;
use std::thread;

use aqueduct::{DisconnectReason, Endpoint, Event, Pull, Push};
use support::*;

/// Endpoints of a child, which tells one for each transport.
fn endpoints(child: &ChildTest) -> Vec<Endpoint> {
    let all = Transport::WIRED.iter();
    all.map(|_| child.hear("endpoint ").parse().unwrap()).collect()
}

// ── a process that stands still ──

/// Not a test of its own: a process that waits in `recv` and in `send`, and tells how that ends.
#[test]
#[ignore = "started by the tests that stop it"]
fn a_patient_process() {
    if !is_child() {
        return;
    }
    let (pull, push) = (Pull::new(), Push::new());
    for transport in Transport::WIRED {
        println!("endpoint {}", pull.bind(transport.anywhere()).unwrap());
    }
    println!("sender {}", push.bind(Transport::Tcp.anywhere()).unwrap());
    let monitor = pull.monitor();
    thread::spawn(move || {
        for event in monitor {
            if let Event::HandshakeFailed { reason, .. } = event {
                println!("failed {reason:?}");
            }
        }
    });
    thread::spawn(move || {
        loop {
            println!("got {}", text(&pull.recv().unwrap()));
        }
    });
    thread::spawn(move || {
        // Nobody is there yet: this waits until somebody comes.
        push.send("patience").unwrap();
        println!("sent");
    });
    end_with_parent();
}

#[test]
fn a_wait_that_is_interrupted_goes_on() {
    // A process that was stopped finds its waits interrupted (EINTR) when it goes on, without any handler: of the calls of
    // which the system says so, `epoll_wait` is one.
    const TIMES: usize = 20;
    let child = ChildTest::start("a_patient_process", "exec");
    let push = Push::new();
    for endpoint in endpoints(&child) {
        push.connect(endpoint).unwrap();
    }
    let sender = child.hear("sender ");
    push.wait_for_peers(2, LONG).unwrap();
    for at in 0..TIMES {
        child.stop();
        child.go_on();
        push.send_timeout(at.to_string(), LONG).unwrap();
        assert_eq!(child.hear("got "), at.to_string());
    }
    let pull = Pull::new();
    pull.connect(sender).unwrap();
    assert_eq!(recv(&pull), "patience");
    child.hear("sent");
    child.end();
}

#[test]
fn connections_that_are_reset_before_they_are_accepted_harm_nobody() {
    // Linux gives out such a connection all the same; others say ECONNABORTED, and how that is sorted has a test beside
    // the code.
    const STRANGERS: usize = 50;
    let child = ChildTest::start("a_patient_process", "exec");
    for endpoint in endpoints(&child) {
        let push = Push::new();
        push.connect(&endpoint).unwrap();
        push.wait_for_peers(1, LONG).unwrap();
        // While the process stands still, the system makes connections for it, and it accepts none.
        child.stop();
        for _ in 0..STRANGERS {
            RawPeer::connect(&endpoint).reset();
        }
        let late = Push::new();
        late.connect(&endpoint).unwrap();
        child.go_on();
        for _ in 0..STRANGERS {
            let reason = child.hear("failed ");
            let expected = if matches!(endpoint, Endpoint::Tcp(_)) {
                "Io(ConnectionReset)"
            } else {
                "PeerClosed"
            };
            assert_eq!(reason, expected);
        }
        for honest in [&push, &late] {
            honest.send_timeout("still here", LONG).unwrap();
            assert_eq!(child.hear("got "), "still here");
        }
    }
    child.end();
}

// ── the signal of a broken pipe ──

/// SIGPIPE in the masks that the system shows.
const SIGPIPE: u64 = 1 << 12;

/// Tells whether SIGPIPE is in one of these sets of any thread of this process.
fn has_sigpipe(sets: &[&str]) -> bool {
    let threads = fs::read_dir("/proc/self/task").unwrap();
    threads.flatten().any(|thread| {
        // A thread that has just ended is none.
        let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        status.lines().any(|line| {
            let (name, set) = line.split_once(':').unwrap_or_default();
            sets.contains(&name) && u64::from_str_radix(set.trim(), 16).unwrap() & SIGPIPE != 0
        })
    })
}

/// Not a test of its own: a process for which SIGPIPE is blocked, so that one that is raised stays to be seen.
#[test]
#[ignore = "started by no_write_raises_sigpipe"]
fn a_process_that_keeps_its_signals() {
    if !is_child() {
        return;
    }
    assert!(has_sigpipe(&["SigBlk"]), "the signal is not blocked");
    for transport in Transport::WIRED {
        let push = Push::new();
        let monitor = push.monitor();
        let endpoint = push.bind(transport.anywhere()).unwrap();
        // Whether a write or a read finds first that the peer is gone is up to chance.
        loop {
            let mut raw = RawPeer::connect(&endpoint);
            raw.shake_hands("PULL");
            push.wait_for_peers(1, LONG).unwrap();
            drop(raw);
            while push.try_send("anybody?").is_ok() {}
            let (reason, _) = await_end(&monitor);
            println!("lost {reason:?}");
            if reason == DisconnectReason::Io(ErrorKind::BrokenPipe) {
                break;
            }
        }
    }
    println!("raised {}", has_sigpipe(&["SigPnd", "ShdPnd"]));
    let (reader, mut writer) = std::io::pipe().unwrap();
    drop(reader);
    let error = writer.write(b"anybody?").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    println!("raised {}", has_sigpipe(&["SigPnd", "ShdPnd"]));
    end_with_parent();
}

#[test]
fn no_write_raises_sigpipe() {
    // Rust's runtime ignores the signal, so it does no harm to the process of any test. But a signal that is blocked as
    // well is kept, and shows: in a program whose `main` is not Rust's it would have been the end.
    const BLOCKED: &str = "env --block-signal=PIPE";
    let script = format!("{BLOCKED} true 2> /dev/null");
    let can_block = Command::new("sh").args(["-c", &script]).status().unwrap();
    if !can_block.success() {
        return;
    }
    let child = ChildTest::start("a_process_that_keeps_its_signals", &format!("exec {BLOCKED}"));
    assert_eq!(child.hear("raised "), "false");
    assert_eq!(
        child.hear("raised "),
        "true",
        "a write to a pipe does, so it would have been seen"
    );
    child.end();
}
