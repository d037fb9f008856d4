//! PLAIN: the tables of bad input for both roles, and what the application's verdict does.

use std::time::Duration;

use super::bad_input::Outcome::{Close, Error, Open};
use super::bad_input::{Script, play_all, script};
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

/// Scripts that follow the greetings.
fn after(name: &'static str, parts: &[&[u8]], end: Outcome) -> Script {
    script(name, &[&opening(), &parts.concat()], end)
}

use super::bad_input::Outcome;

const SHORT: &str = "malformed input: a HELLO cut short";
const NO_HELLO: &str = "malformed input: a command other than HELLO";
const NO_WELCOME: &str = "malformed input: a command other than WELCOME";
const NO_INITIATE: &str = "malformed input: a command other than INITIATE";
const NO_READY: &str = "malformed input: a command other than READY";
const MESSAGE: &str = "malformed input: a message before READY";

#[allow(clippy::too_many_lines, reason = "a table")]
fn to_a_server() -> Vec<Script> {
    let (hello, initiate) = (login(), initiate());
    let push = ready(&[("Socket-Type", b"PUSH")]);
    let says = |name, data: &[u8], end| after(name, &[&named(b"HELLO", data)], end);
    let long = [&[255], &[b'n'; 255][..], &[255], &[b'p'; 255][..]].concat();
    let introduces = |name, list: &[(&str, &[u8])], end| {
        after(name, &[&login(), &named(b"INITIATE", &properties(list))], end)
    };
    vec![
        after("all in order", &[&hello, &initiate, &[0, 0]], Open(1, 0)),
        after(
            "names of no bytes",
            &[&named(b"HELLO", &[0, 0]), &initiate],
            Open(0, 0),
        ),
        after(
            "names of 255 bytes",
            &[&named(b"HELLO", &long), &initiate],
            Open(0, 0),
        ),
        says("no name", b"", Close(SHORT)),
        says("a name cut short", b"\x06alice", Close(SHORT)),
        says("no password", b"\x05alice", Close(SHORT)),
        says("a password cut short", b"\x05alice\x07secret", Close(SHORT)),
        says("a length of 255 and nothing", b"\xff", Close(SHORT)),
        says(
            "something behind the password",
            b"\x05alice\x06secret!",
            Close("malformed input: a HELLO with something behind it"),
        ),
        after(
            "HELLO as a message",
            &[&frame(0, b"\x05HELLO\0\0")],
            Close(MESSAGE),
        ),
        after("a message at once", &[&[0, 0]], Close(MESSAGE)),
        after("a message after HELLO", &[&hello, &[0, 0]], Close(MESSAGE)),
        after("READY, as with NULL", &[&push], Close(NO_HELLO)),
        after("INITIATE first", &[&initiate], Close(NO_HELLO)),
        after("WELCOME of a client", &[&welcome()], Close(NO_HELLO)),
        after(
            "a PING in the handshake",
            &[&command(Command::Ping { ttl: 0, context: b"" })],
            Close(NO_HELLO),
        ),
        after(
            "hello in lower case",
            &[&named(b"hello", b"\0\0")],
            Close(NO_HELLO),
        ),
        after("HELLO twice", &[&hello, &hello], Close(NO_INITIATE)),
        after("READY instead of INITIATE", &[&hello, &push], Close(NO_INITIATE)),
        after(
            "INITIATE twice",
            &[&hello, &initiate, &initiate],
            Close("malformed input: a command of the handshake after it"),
        ),
        after(
            "READY after INITIATE",
            &[&hello, &initiate, &push],
            Close("malformed input: READY after the handshake"),
        ),
        after(
            "ERROR of a client",
            &[&command(Command::Error(b"no\n"))],
            Close("refused by the peer: \"no\\\\n\""),
        ),
        after(
            "a HELLO of 17 KiB",
            &[&named(b"HELLO", &[0; 17 * 1024])],
            Close("over the limit: command size"),
        ),
        introduces("no properties", &[], Close("malformed input: no Socket-Type")),
        introduces(
            "two types",
            &[("Socket-Type", b"PUSH"), ("socket-type", b"PUSH")],
            Close("malformed input: Socket-Type twice"),
        ),
        introduces(
            "a type that does not go with ours",
            &[("Socket-Type", b"SUB")],
            Error("incompatible socket type: ours is PULL, the peer's is SUB"),
        ),
        introduces(
            "65 properties",
            &[("X-Same", &b""[..]); 65],
            Close("over the limit: number of properties is 65"),
        ),
        after(
            "a property cut short",
            &[&hello, &named(b"INITIATE", b"\x0bSocket-Type\0\0\0\x05PUSH")],
            Error("malformed input: a truncated property value"),
        ),
        script(
            "a greeting of NULL",
            &[&super::hello(), &push],
            Close("incompatible mechanism: ours is PLAIN, the peer's is NULL"),
        ),
    ]
}

fn to_a_client() -> Vec<Script> {
    let (welcome, push) = (welcome(), ready(&[("Socket-Type", b"PUSH")]));
    let refusal = command(Command::Error(b"400"));
    const REFUSED: &str = "refused by the peer: \"400\"";
    vec![
        after("all in order", &[&welcome, &push, &[0, 0]], Open(1, 0)),
        after(
            "something behind WELCOME",
            &[&named(b"WELCOME", b"!")],
            Close("malformed input: a WELCOME with something behind it"),
        ),
        after("READY at once", &[&push], Close(NO_WELCOME)),
        after("HELLO of a server", &[&login()], Close(NO_WELCOME)),
        after("INITIATE of a server", &[&welcome, &initiate()], Close(NO_READY)),
        after("WELCOME twice", &[&welcome, &welcome], Close(NO_READY)),
        after(
            "WELCOME late",
            &[&welcome, &push, &welcome],
            Close("malformed input: a command of the handshake after it"),
        ),
        after("a message at once", &[&[0, 0]], Close(MESSAGE)),
        after("a message after WELCOME", &[&welcome, &[0, 0]], Close(MESSAGE)),
        after("ERROR", &[&refusal], Close(REFUSED)),
        after(
            "ERROR as libzmq spells it",
            &[&frame(super::frame::COMMAND, b"^RROR\x03400")],
            Close(REFUSED),
        ),
        after(
            "the same with a wrong length",
            &[&frame(super::frame::COMMAND, b"^RROR\x04400")],
            Close("malformed input: a truncated command name"),
        ),
        after("ERROR after WELCOME", &[&welcome, &refusal], Close(REFUSED)),
        after(
            "an ERROR with a wrong length",
            &[&named(b"ERROR", b"\x04400")],
            Close("malformed input: an ERROR with a wrong length"),
        ),
        script(
            "a greeting of NULL",
            &[&super::hello(), &push],
            Close("incompatible mechanism: ours is PLAIN, the peer's is NULL"),
        ),
    ]
}

#[test]
fn bad_clients_of_a_plain_server() {
    play_all(&to_a_server(), &server());
}

#[test]
fn bad_servers_of_a_plain_client() {
    play_all(&to_a_client(), &client());
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
        (Denial::Unanswered, Some(b"500")),
        (Denial::Failed("on purpose"), Some(b"500")),
        (Denial::NotNow, None),
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
fn no_verdict_in_five_seconds_is_a_denial() {
    let now = Instant::now();
    let mut end = asking(now);
    let late = now + Duration::from_secs(5);
    assert_eq!(end.connection.poll_timeout(), Some(late));
    end.connection
        .handle_timeout(late - Duration::from_millis(1))
        .unwrap();
    let denied = DisconnectReason::Denied(Denial::TimedOut);
    assert_eq!(end.connection.handle_timeout(late), Err(denied.clone()));
    assert_eq!(end.transmit(), command(Command::Error(b"500")));
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
