//! Talking: two connections wired together, and what each learns of the other.

use proptest::prelude::*;

use super::*;
use crate::RoutingId;

/// Carries bytes both ways until nothing moves.
pub(super) fn wire(a: &mut End, b: &mut End, now: Instant) {
    loop {
        let (to_b, to_a) = (a.transmit(), b.transmit());
        if to_a.is_empty() && to_b.is_empty() {
            return;
        }
        b.feed(&to_b, now).unwrap();
        a.feed(&to_a, now).unwrap();
    }
}

pub(super) fn peer_of(end: &End) -> &crate::PeerInfo {
    match end.events.last() {
        Some(Event::Ready(peer)) => peer,
        other => panic!("not ready: {other:?}"),
    }
}

#[test]
fn all_types_that_talk_get_ready() {
    let now = Instant::now();
    for ours in SocketType::ALL {
        for theirs in SocketType::ALL
            .into_iter()
            .filter(|theirs| ours.talks_to(*theirs))
        {
            let (mut a, mut b) = (End::new(ours, now), End::new(theirs, now));
            wire(&mut a, &mut b, now);
            assert!(a.connection.is_ready() && b.connection.is_ready());
            assert_eq!(peer_of(&a).socket_type, theirs);
            assert_eq!(peer_of(&b).version, (3, 1));
            let bytes = a.encode("hello");
            b.feed(&bytes, now).unwrap();
            assert_eq!(b.inbox, ["hello"]);
        }
    }
}

#[test]
fn types_that_do_not_talk_close_and_say_why() {
    let now = Instant::now();
    let (mut a, mut b) = (End::new(SocketType::Push, now), End::new(SocketType::Push, now));
    let (greeting_a, greeting_b) = (a.transmit(), b.transmit());
    b.feed(&greeting_a, now).unwrap();
    a.feed(&greeting_b, now).unwrap();
    let ready_b = b.transmit();
    let reason = a.feed(&ready_b, now).unwrap_err();
    assert_eq!(
        reason.to_string(),
        "incompatible socket type: ours is PUSH, the peer's is PUSH"
    );
    let reason = b.feed(&a.transmit(), now).unwrap_err();
    let text = "refused by the peer: \"incompatible socket type: ours is PUSH, the peer's is PUSH\"";
    assert_eq!(reason.to_string(), text);
    assert!(a.events.is_empty() && b.events.is_empty());
}

#[test]
fn ends_of_different_mechanisms_part_and_name_both() {
    let now = Instant::now();
    let plain = Mechanism::plain_client("alice".into(), "secret".into()).unwrap();
    let mut end = End::new(SocketType::Pull, now);
    let reason = end.feed(&greeting::emit(&plain), now).unwrap_err();
    assert_eq!(
        reason.to_string(),
        "incompatible mechanism: ours is NULL, the peer's is PLAIN"
    );
}

#[test]
fn both_speak_the_older_version_of_the_two() {
    let now = Instant::now();
    for (theirs, spoken) in [
        ([3, 0], (3, 0)),
        ([3, 1], (3, 1)),
        ([3, 2], (3, 1)),
        ([4, 0], (3, 1)),
        ([255, 1], (3, 1)),
    ] {
        let mut script = hello();
        script[10..12].copy_from_slice(&theirs);
        let mut end = End::new(SocketType::Pull, now);
        end.feed(&[script, ready(&[("Socket-Type", b"PUSH")])].concat(), now)
            .unwrap();
        assert_eq!(peer_of(&end).version, spoken, "to a peer of {theirs:?}");
    }
}

#[test]
fn ready_says_what_it_should() {
    let now = Instant::now();
    let options = LinkOptions {
        routing_id: RoutingId::new("me").unwrap(),
        properties: vec![("X-Region".into(), "eu".into())],
        ..LinkOptions::default()
    };
    for ours in SocketType::ALL {
        let mut end = End::with(ours, &options, now);
        assert_eq!(end.transmit(), hello(), "the whole greeting at once");
        end.feed(&hello()[..63], now).unwrap();
        assert_eq!(end.transmit(), b"", "nothing before the peer's greeting is known");
        end.feed(&hello()[63..], now).unwrap();
        let mut properties: Vec<(&str, &[u8])> = vec![("Socket-Type", ours.name().as_bytes())];
        if matches!(ours, SocketType::Req | SocketType::Dealer | SocketType::Router) {
            properties.push(("Identity", b"me"));
        }
        properties.push(("X-Region", b"eu"));
        assert_eq!(end.transmit(), ready(&properties));
    }
}

#[test]
fn the_greeting_is_as_the_rfc_has_it() {
    let mut expected = [0; 64];
    expected[0] = 0xff;
    expected[9..16].copy_from_slice(b"\x7f\x03\x01NULL");
    assert_eq!(hello(), expected);
}

#[test]
fn the_peer_is_described() {
    let now = Instant::now();
    let mut end = End::new(SocketType::Router, now);
    let properties: [(&str, &[u8]); 5] = [
        ("X-A", b"first"),
        ("identity", b"you"),
        ("socket-type", b"DEALER"),
        ("x-a", b"second"),
        ("Resource", b""),
    ];
    end.feed(&[hello(), ready(&properties), frame(0, b"at once")].concat(), now)
        .unwrap();
    let peer = peer_of(&end);
    assert_eq!(peer.routing_id.as_bytes(), b"you");
    assert_eq!(peer.properties.len(), 2);
    assert_eq!(peer.property("X-A"), Some(&b"first"[..]));
    assert_eq!(peer.property("resource"), Some(&b""[..]));
    assert_eq!(
        end.inbox,
        ["at once"],
        "what follows READY in the same segment is decoded"
    );
}

#[test]
fn our_ready_goes_before_our_first_message() {
    let now = Instant::now();
    let (mut a, mut b) = (End::new(SocketType::Push, now), End::new(SocketType::Pull, now));
    let script = fuzzing::prelude(SocketType::Push, 1);
    a.feed(&script, now).unwrap();
    let bytes = a.encode("first");
    b.feed(&bytes, now).unwrap();
    assert_eq!(b.inbox, ["first"]);
}

#[test]
fn subscriptions_take_the_form_that_the_peer_knows() {
    let now = Instant::now();
    for (minor, expected) in [
        (1, command(Command::Subscribe(b"news"))),
        (0, frame(0, b"\x01news")),
    ] {
        let mut publisher = End::new(SocketType::Pub, now);
        let mut end = End::ready(SocketType::Sub, minor, &LinkOptions::default(), now);
        let mut batch = Batch::new();
        end.connection.encode(Message::from("\x01news"), &mut batch);
        assert_eq!(written(&batch), expected);
        end.connection.encode(Message::from("\x00"), &mut batch);
        publisher
            .feed(&fuzzing::prelude(SocketType::Pub, minor), now)
            .unwrap();
        publisher.feed(&written(&batch), now).unwrap();
        assert_eq!(publisher.inbox, ["\x01news", "\x00"]);
    }
}

#[test]
fn a_publisher_gets_other_messages_as_messages() {
    let now = Instant::now();
    let mut end = End::ready(SocketType::XPub, 1, &LinkOptions::default(), now);
    let bytes = [
        frame(0, b""),
        frame(0, b"\x02a"),
        frame(1, b"\x01a"),
        frame(0, b"b"),
    ]
    .concat();
    end.feed(&bytes, now).unwrap();
    assert_eq!(end.inbox.len(), 3);
    assert_eq!(end.inbox[2], ["\x01a", "b"].into_iter().collect::<Message>());
}

#[test]
fn subscriptions_take_room() {
    let now = Instant::now();
    let mut end = End::ready(SocketType::Pub, 1, &LinkOptions::default(), now);
    let one = command(Command::Subscribe(b"topic"));
    let bytes = one.repeat(10);
    let mut room = Room {
        messages: 3,
        bytes: 1000,
    };
    let used = end.handle_input(&bytes, &mut room, now);
    assert_eq!(used, Ok(3 * one.len()));
    assert_eq!((room.messages, room.bytes), (0, 1000 - 3 * 70));
}

#[test]
fn an_old_topic_has_a_limit_too() {
    let now = Instant::now();
    let mut end = End::ready(SocketType::Pub, 0, &LinkOptions::default(), now);
    end.feed(&frame(0, &[1; 65_537]), now).unwrap();
    let reason = end.feed(&frame(0, &[1; 65_538]), now).unwrap_err();
    assert!(
        reason
            .to_string()
            .starts_with("over the limit: topic size is 65537"),
        "{reason}"
    );
}

#[test]
fn idle_connections_are_cheap() {
    assert!(
        size_of::<Connection>() <= 384,
        "{} bytes",
        size_of::<Connection>()
    );
}

fn messages() -> impl Strategy<Value = Vec<Message>> {
    let sizes =
        prop_oneof![5 => 0..80usize, 3 => 200..300usize, 2 => 4000..5000usize, 1 => 60_000..140_000usize];
    let part = (sizes, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]);
    let message = prop::collection::vec(part, 1..5).prop_map(|parts| parts.into_iter().collect());
    prop::collection::vec(message, 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn messages_survive_the_way(
        messages in messages(),
        pieces in prop::collection::vec(1..70_000usize, 1..6),
        room in (1..4usize, 1..2000usize),
    ) {
        let now = Instant::now();
        let mut a = End::ready(SocketType::Push, 1, &LinkOptions::default(), now);
        let mut b = End::ready(SocketType::Pull, 1, &LinkOptions::default(), now);
        let mut batch = Batch::new();
        messages.iter().for_each(|message| a.connection.encode(message.clone(), &mut batch));
        let bytes = written_in_turns(&mut batch, pieces[0]);
        let mut rest = &bytes[..];
        let mut turn = pieces.iter().cycle();
        while !rest.is_empty() {
            let piece = *turn.next().unwrap();
            let mut room = Room { messages: room.0, bytes: room.1 };
            let before = b.inbox.len();
            let (body, _) = b.connection.intake(piece);
            if !body.is_empty() {
                let n = body.len().min(rest.len());
                body[..n].copy_from_slice(&rest[..n]);
                rest = &rest[n..];
                let mut inbox = Queue::new();
                b.connection.handle_direct(n, &mut room, &mut inbox, now).unwrap();
                b.inbox.extend(inbox);
            } else {
                let input = &rest[..piece.min(rest.len())];
                let used = b.handle_input(input, &mut room, now).unwrap();
                prop_assert!(used == input.len() || !room.is_open());
                rest = &rest[used..];
            }
            let taken: usize = b.inbox.iter().skip(before).map(Message::weight).sum();
            let last = b.inbox.back().map_or(0, Message::weight);
            prop_assert!(b.inbox.len() - before <= 3 && taken < 2000 + last);
        }
        prop_assert_eq!(Vec::from(b.inbox), messages);
    }
}

/// Sends a batch in small turns, moving the rest to another batch now and then.
fn written_in_turns(batch: &mut Batch, turn: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !batch.is_empty() {
        let some = written(batch);
        let n = some.len().min(turn);
        assert!(n > 0 && some.len() <= batch.len());
        bytes.extend_from_slice(&some[..n]);
        batch.advance(n);
        if bytes.len() % 3 == 0 {
            *batch = batch.take_rest();
        }
    }
    bytes
}
