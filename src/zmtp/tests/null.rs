//! NULL where the application is asked: what is said before its verdict, and what the verdict does.

use super::talking::{peer_of, wire};
use super::*;
use crate::RoutingId;
use crate::security::{AllowAny, Credentials, Denial, Inquiry};

fn server() -> LinkOptions {
    LinkOptions {
        mechanism: Mechanism::NullServer(Arc::new(AllowAny)),
        ..LinkOptions::default()
    }
}

fn push() -> Vec<u8> {
    ready(&[("Socket-Type", b"PUSH")])
}

/// A server that has asked its application about a peer of which it has read no more than the greeting.
fn asking(now: Instant) -> End {
    let mut end = End::with(SocketType::Pull, &server(), now);
    end.transmit();
    let bytes = [hello(), push()].concat();
    let used = end.handle_input(&bytes, &mut Room::UNBOUNDED.clone(), now);
    assert_eq!(used, Ok(hello().len()));
    let nothing = Inquiry {
        credentials: Credentials::Null,
        routing_id: RoutingId::default(),
        properties: Vec::new(),
    };
    assert_eq!(end.connection.poll_event(), Some(Event::Asked(Box::new(nothing))));
    assert_eq!(end.transmit(), b"", "nothing is said before the verdict");
    end
}

#[test]
fn a_peer_that_is_let_in_hears_ready_and_has_a_user() {
    let now = Instant::now();
    let mut end = asking(now);
    end.connection.handle_verdict(end.verdict.clone(), now).unwrap();
    assert_eq!(end.transmit(), ready(&[("Socket-Type", b"PULL")]));
    end.feed(&push(), now).unwrap();
    assert_eq!(peer_of(&end).user_id(), Some("tester"));
    end.feed(&frame(0, b"hello"), now).unwrap();
    assert_eq!(end.inbox, ["hello"]);
}

#[test]
fn two_ends_that_both_ask_get_ready() {
    let now = Instant::now();
    for options in [server(), LinkOptions::default()] {
        let (mut a, mut b) = (
            End::with(SocketType::Pull, &server(), now),
            End::with(SocketType::Push, &options, now),
        );
        wire(&mut a, &mut b, now);
        assert_eq!(peer_of(&a).user_id(), Some("tester"));
        assert_eq!(
            peer_of(&b).user_id().is_some(),
            options.mechanism.authenticator().is_some()
        );
    }
}

#[test]
fn a_peer_that_is_denied_hears_why_unless_it_may_come_back() {
    for (denial, told) in [
        (Denial::Refused, Some(b"400")),
        (Denial::Failed("on purpose"), Some(b"500")),
        (Denial::NotNow, None),
        (Denial::Unanswered, None),
        (Denial::Unavailable("on purpose"), None),
        (Denial::TimedOut, None),
    ] {
        let now = Instant::now();
        let mut end = asking(now);
        end.connection.handle_verdict(Err(denial), now).unwrap();
        assert_eq!(end.transmit(), b"", "the news waits");
        let later = now + limits::DENIAL_PAUSE;
        let denied = Err(DisconnectReason::Denied(denial));
        assert_eq!(end.connection.handle_timeout(later), denied);
        let error = told.map(|status| command(Command::Error(status)));
        assert_eq!(end.transmit(), error.unwrap_or_default());
        assert_eq!(end.feed(&push(), later), denied);
        assert!(!end.connection.is_ready());
    }
}
