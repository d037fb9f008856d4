//! PLAIN: the tables of bad input for both roles, and what the application's verdict does.

use std::time::Duration;

use super::bad_input::{play_hostile, table};
use super::talking::{peer_of, wire};
use super::*;
use crate::security::{AllowAny, Credentials, Denial};

fn server() -> LinkOptions {
    LinkOptions {
        mechanism: Mechanism::PlainServer(Arc::new(AllowAny)),
        ..LinkOptions::default()
    }
}

fn client() -> LinkOptions {
    LinkOptions {
        mechanism: Mechanism::plain_client("alice".into(), "secret".into()).unwrap(),
        ..LinkOptions::default()
    }
}

fn opening() -> Vec<u8> {
    greeting::emit(&server().mechanism).to_vec()
}

fn named(name: &[u8], data: &[u8]) -> Vec<u8> {
    command(Command::Unknown { name, data })
}

fn login() -> Vec<u8> {
    named(b"HELLO", b"\x05alice\x06secret")
}

fn welcome() -> Vec<u8> {
    named(b"WELCOME", b"")
}

fn properties(list: &[(&str, &[u8])]) -> Vec<u8> {
    let mut data = Vec::new();
    for (name, value) in list {
        put_property(name, value, &mut data);
    }
    data
}

fn initiate() -> Vec<u8> {
    named(b"INITIATE", &properties(&[("Socket-Type", b"PUSH")]))
}

#[test]
fn bad_clients_of_a_plain_server() {
    play_hostile(table::for_plain_servers(), &server());
}

#[test]
fn bad_servers_of_a_plain_client() {
    play_hostile(table::for_plain_clients(), &client());
}

#[test]
fn all_types_that_talk_get_ready_over_plain() {
    let now = Instant::now();
    for ours in SocketType::ALL {
        for theirs in SocketType::ALL
            .into_iter()
            .filter(|theirs| ours.talks_to(*theirs))
        {
            let (mut a, mut b) = (End::with(ours, &server(), now), End::with(theirs, &client(), now));
            wire(&mut a, &mut b, now);
            assert_eq!(peer_of(&a).socket_type, theirs);
            assert_eq!(peer_of(&a).user_id(), Some("tester"));
            assert_eq!(peer_of(&b).socket_type, ours);
            assert_eq!(peer_of(&b).user_id(), None, "a server shows nothing for itself");
            let bytes = b.encode("hello");
            a.feed(&bytes, now).unwrap();
            assert_eq!(a.inbox, ["hello"]);
        }
    }
}

/// A server that has asked its application about alice.
fn asking(now: Instant) -> End {
    let mut end = End::with(SocketType::Pull, &server(), now);
    let room = &mut Room::UNBOUNDED.clone();
    let bytes = [opening(), login(), initiate()].concat();
    let used = end.handle_input(&bytes, room, now).unwrap();
    assert_eq!(
        used,
        bytes.len() - initiate().len(),
        "what comes after HELLO waits"
    );
    assert_eq!(end.handle_input(&initiate(), room, now), Ok(0));
    let Some(Event::Asked(inquiry)) = end.connection.poll_event() else {
        panic!("the application is not asked")
    };
    let Credentials::Plain { username, password } = &inquiry.credentials else {
        panic!("not a login")
    };
    assert_eq!((&username[..], &password[..]), (&b"alice"[..], &b"secret"[..]));
    assert!(!format!("{inquiry:?}").contains("secret"), "a secret in a log");
    end.transmit();
    end
}

#[test]
fn nothing_is_heard_until_the_verdict() {
    let now = Instant::now();
    let mut end = asking(now);
    assert!(!end.connection.wants_transmit() && !end.connection.is_ready());
    end.connection.handle_verdict(end.verdict.clone(), now).unwrap();
    assert_eq!(end.transmit(), welcome());
    end.feed(&initiate(), now).unwrap();
    assert!(end.connection.is_ready());
}

#[test]
fn a_denied_peer_hears_of_it_after_a_pause_and_gets_no_further() {
    for (denial, told) in [
        (Denial::Refused, Some(b"400")),
        (Denial::Failed("on purpose"), Some(b"500")),
        (Denial::NotNow, None),
        (Denial::Unanswered, None),
    ] {
        let now = Instant::now();
        let mut end = asking(now);
        end.connection.handle_verdict(Err(denial), now).unwrap();
        assert_eq!(end.transmit(), b"", "the news waits");
        // Another word of the application changes nothing, and the peer is not listened to.
        end.connection.handle_verdict(end.verdict.clone(), now).unwrap();
        assert_eq!(
            end.handle_input(&initiate(), &mut Room::UNBOUNDED.clone(), now),
            Ok(0)
        );
        let later = now + limits::DENIAL_PAUSE;
        assert_eq!(end.connection.poll_timeout(), Some(later));
        assert_eq!(
            end.connection.handle_timeout(later),
            Err(DisconnectReason::Denied(denial))
        );
        let error = told.map(|status| command(Command::Error(status)));
        assert_eq!(end.transmit(), error.unwrap_or_default());
        assert_eq!(
            end.feed(&initiate(), later),
            Err(DisconnectReason::Denied(denial))
        );
        end.connection
            .handle_verdict(end.verdict.clone(), later)
            .unwrap_err();
        assert!(!end.connection.is_ready() && end.connection.poll_event().is_none());
    }
}

#[test]
fn no_verdict_in_five_seconds_is_a_denial_of_which_the_peer_is_not_told() {
    let now = Instant::now();
    let mut end = asking(now);
    let late = now + Duration::from_secs(5);
    assert_eq!(end.connection.poll_timeout(), Some(late));
    end.connection
        .handle_timeout(late - Duration::from_millis(1))
        .unwrap();
    let denied = DisconnectReason::Denied(Denial::TimedOut);
    assert_eq!(end.connection.handle_timeout(late), Err(denied.clone()));
    assert_eq!(end.transmit(), b"", "it may come back");
    assert_eq!(
        end.connection.handle_verdict(end.verdict.clone(), late),
        Err(denied)
    );
    assert!(!end.connection.is_ready());
}

#[test]
fn a_verdict_does_not_stop_the_clock_of_the_handshake() {
    let now = Instant::now();
    let mut end = asking(now);
    let end_of_patience = now + Duration::from_secs(10);
    end.connection
        .handle_verdict(end.verdict.clone(), now + Duration::from_secs(4))
        .unwrap();
    assert_eq!(end.connection.poll_timeout(), Some(end_of_patience));
    let reason = end.feed(&initiate(), end_of_patience).unwrap_err();
    assert_eq!(reason.to_string(), "handshake took longer than 10s");
}

#[test]
fn logins_too_long_for_plain_are_refused_here() {
    let login = |name: usize, password: usize| {
        Mechanism::plain_client(vec![b'a'; name].into(), vec![b'a'; password].into())
    };
    assert!(login(255, 255).is_ok());
    assert!(login(256, 0).is_err() && login(0, 256).is_err());
}
