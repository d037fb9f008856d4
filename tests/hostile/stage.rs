//! The stage: a socket in one of four roles, an honest pair that must notice nothing, and scripts played to it.

use aqueduct::{DisconnectReason, Endpoint, Monitor, Pull, Push};

use crate::support::*;
use crate::table::End::{self, Closes, ClosesAfter, Ignores, Leaves, Refuses, Stays};
use crate::table::{SHOWN, Script, Step, greeting_of};

/// A socket that rows are played to, with its own half of an honest pair.
pub(crate) struct Stage {
    socket: Socket,
    honest: HonestPair,
    pub(crate) monitor: Monitor,
    entrance: Entrance,
    /// What the socket greets with.
    greeting: [u8; 64],
}

pub(crate) enum Socket {
    Push(Push),
    Pull(Pull),
}

/// How a raw peer gets to the socket.
pub(crate) enum Entrance {
    Bound(Endpoint),
    Connects(Transport),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    BoundPull,
    ConnectingPull,
    BoundPush,
    ConnectingPush,
}

impl Side {
    /// What a peer has to be to be welcome.
    pub(crate) fn welcome(self) -> &'static str {
        match self {
            Self::BoundPull | Self::ConnectingPull => "PUSH",
            Self::BoundPush | Self::ConnectingPush => "PULL",
        }
    }
}

impl Stage {
    pub(crate) fn set(side: Side, transport: Transport) -> Self {
        Self::set_with(side, transport, |builder| builder, |builder| builder)
    }

    /// Builds the socket as told, binds it for its honest partner, and lets the two begin.
    pub(crate) fn set_with(
        side: Side,
        transport: Transport,
        pull_options: impl Fn(aqueduct::Builder<Pull>) -> aqueduct::Builder<Pull>,
        push_options: impl Fn(aqueduct::Builder<Push>) -> aqueduct::Builder<Push>,
    ) -> Self {
        let pull = Pull::builder()
            .max_message_size(1000)
            .reconnect_interval(Some(LONG));
        let push = Push::builder()
            .max_message_size(1000)
            .reconnect_interval(Some(LONG))
            .immediate(true);
        let (pull, push) = (pull_options(pull).build(), push_options(push).build());
        let (socket, monitor, endpoint) = match side {
            Side::BoundPull | Side::ConnectingPull => {
                let monitor = pull.monitor();
                (
                    Socket::Pull(pull.clone()),
                    monitor,
                    marry(&push, &pull, transport),
                )
            }
            Side::BoundPush | Side::ConnectingPush => {
                let monitor = push.monitor();
                let endpoint = push.bind(transport.anywhere()).unwrap();
                pull.connect(&endpoint).unwrap();
                push.wait_for_peers(1, LONG).unwrap();
                (Socket::Push(push.clone()), monitor, endpoint)
            }
        };
        let entrance = match side {
            Side::BoundPull | Side::BoundPush => Entrance::Bound(endpoint),
            Side::ConnectingPull | Side::ConnectingPush => Entrance::Connects(transport),
        };
        let honest = HonestPair::start(push, pull);
        Self {
            socket,
            honest,
            monitor,
            entrance,
            greeting: GREETING,
        }
    }

    /// The same, with sockets that speak this mechanism.
    pub(crate) fn secured(
        mechanism: &str,
        side: Side,
        transport: Transport,
        pull_options: impl Fn(aqueduct::Builder<Pull>) -> aqueduct::Builder<Pull>,
        push_options: impl Fn(aqueduct::Builder<Push>) -> aqueduct::Builder<Push>,
    ) -> Self {
        Self {
            greeting: greeting_of(mechanism),
            ..Self::set_with(side, transport, pull_options, push_options)
        }
    }

    /// Brings a raw peer in, and returns it with how to see it off.
    pub(crate) fn enter(&self) -> (RawPeer, Option<RawListener>) {
        match &self.entrance {
            Entrance::Bound(endpoint) => (RawPeer::connect(endpoint), None),
            Entrance::Connects(transport) => {
                let listener = RawListener::bind(*transport);
                match &self.socket {
                    Socket::Push(push) => push.connect(listener.endpoint()).unwrap(),
                    Socket::Pull(pull) => pull.connect(listener.endpoint()).unwrap(),
                }
                (listener.accept(), Some(listener))
            }
        }
    }

    /// The raw peer is gone; a socket that had connected to it forgets it.
    pub(crate) fn leave(&self, listener: Option<RawListener>) {
        let Some(listener) = listener else { return };
        match &self.socket {
            Socket::Push(push) => push.disconnect(listener.endpoint()).unwrap(),
            Socket::Pull(pull) => pull.disconnect(listener.endpoint()).unwrap(),
        }
    }

    /// The honest pair ends, and has lost nothing.
    pub(crate) fn strike(self) {
        let Socket::Push(push) = &self.socket else {
            self.honest.finish();
            return;
        };
        // A raw PULL got its share, which is not the honest one's; so the honest numbers have gaps.
        eventually("the raw peers are gone", || push.stats().peers.len() == 1);
        let proof = self.honest.finish_with(|push| {
            let stats = push.stats();
            stats.total.accepted.messages - stats.peers[0].traffic.accepted.messages
        });
        assert!(!proof.received.is_empty());
        assert!(proof.push.stats().total.adds_up());
    }

    /// Plays a script; the connection ends as it says, and the socket is as it was before.
    pub(crate) fn play(&self, script: &Script, context: &str) {
        let (mut raw, listener) = self.enter();
        if script.awaited().next().is_some() || matches!(script.end, Stays(_) | Ignores(..)) {
            raw.hear_greeting();
        }
        let resets = act(&mut raw, &script.steps, context);
        match script.end {
            Stays(messages) | Ignores(_, messages) => {
                self.expect_messages(messages);
                expect_alive(&mut raw, context);
                drop(raw);
                let (_, ready) = await_end(&self.monitor);
                assert!(ready, "{context}");
            }
            Leaves(messages) => {
                let raw = if resets {
                    raw.reset();
                    None
                } else {
                    Some(raw)
                };
                self.expect_messages(messages);
                let (reason, _) = await_end(&self.monitor);
                let left = matches!(reason, DisconnectReason::PeerClosed | DisconnectReason::Io(_));
                assert!(left, "{context}: {reason}");
                drop(raw);
            }
            end @ (Closes(expected) | ClosesAfter(_, expected) | Refuses(expected)) => {
                if let ClosesAfter(messages, _) = end {
                    self.expect_messages(messages);
                }
                let (reason, ready) = await_end(&self.monitor);
                let said = raw.hear_out();
                let text = reason.to_string();
                assert!(text.starts_with(expected), "{context}: {text}");
                assert_eq!(ready, script.is_traffic, "{context}: {text}");
                let printable = text.is_ascii() && !text.bytes().any(|byte| byte.is_ascii_control());
                assert!(printable, "{context}: {text}");
                check_last_words(&said, &self.greeting, end, &text, context);
            }
        }
        self.leave(listener);
    }

    pub(crate) fn expect_messages(&self, messages: &[&str]) {
        for expected in messages {
            if let Socket::Pull(_) = self.socket {
                let body = text(&self.honest.stranger());
                assert_eq!(body[..body.len().min(SHOWN)], **expected);
            }
        }
    }
}

/// Does what a script says, and tells whether it ends with a reset, which is left to the caller.
fn act(raw: &mut RawPeer, steps: &[Step], context: &str) -> bool {
    for step in steps {
        match step {
            Step::Send(bytes) => {
                raw.say(bytes);
            }
            Step::Drip(bytes) => bytes.chunks(1).for_each(|byte| {
                raw.say(byte);
            }),
            Step::Expect(expected) => expect_frame(raw, expected, context),
            Step::Finish => {
                raw.finish();
            }
            Step::Reset => return true,
        }
    }
    false
}

/// Hears frames until it is this one: before it come READY, and what a PUSH sends to a PULL.
fn expect_frame(raw: &mut RawPeer, expected: &[u8], context: &str) {
    loop {
        let heard = raw.try_hear_frame();
        let heard = heard.unwrap_or_else(|| panic!("{context}: the connection was closed"));
        if heard.bytes() == expected {
            return;
        }
    }
}

/// Whoever answers a PING has read everything before it and lives.
fn expect_alive(raw: &mut RawPeer, context: &str) {
    raw.say(&command("PING", b"\0\0alive?"));
    expect_frame(raw, &command("PONG", b"alive?"), context);
}

/// What the other end said before it closed: its greeting, commands of its mechanism with at most one READY, messages of a
/// PUSH; and in the end an ERROR with the reason, or nothing.
fn check_last_words(said: &[u8], ours: &[u8; 64], end: End, text: &str, context: &str) {
    let (greeting, mut rest) = said.split_at(said.len().min(64));
    assert_eq!(greeting, &ours[..greeting.len()], "{context}");
    let error = command(
        "ERROR",
        &[
            &[text.len().min(255) as u8],
            &text.as_bytes()[..text.len().min(255)],
        ]
        .concat(),
    );
    if let Refuses(_) = end {
        rest = rest
            .strip_suffix(&error[..])
            .unwrap_or_else(|| panic!("{context}: no ERROR in {rest:?}"));
    }
    let shown = String::from_utf8_lossy(rest);
    assert!(
        !shown.contains("\u{5}ERROR"),
        "{context}: an ERROR was sent: {shown:?}"
    );
    assert!(
        rest.is_empty() || rest.starts_with(&[4]),
        "{context}: data before READY: {rest:?}"
    );
    assert!(shown.matches("\u{5}READY").count() <= 1, "{context}");
}
