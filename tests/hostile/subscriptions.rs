//! What peers say against the rules of publishing and subscribing: it costs them their connection or means nothing, and
//! nobody else notices.

use aqueduct::{DisconnectReason, Pub, Pull, Sub, XPub, XPubEvent};

use crate::support::*;

const MESSAGE: u8 = 0;

fn subscribe(topic: &str) -> Vec<u8> {
    command("SUBSCRIBE", topic.as_bytes())
}

fn cancel(topic: &str) -> Vec<u8> {
    command("CANCEL", topic.as_bytes())
}

/// A publisher, with an honest subscriber to "x" and the way in for others.
fn publisher(publisher: Pub, transport: Transport) -> (Pub, Sub, RawPeer) {
    let endpoint = publisher.bind(transport.anywhere()).unwrap();
    let honest = Sub::new();
    honest.subscribe("x").unwrap();
    honest.connect(&endpoint).unwrap();
    publisher.wait_for_subscribers("x", 1, LONG).unwrap();
    let mut peer = RawPeer::connect(&endpoint);
    peer.shake_hands("SUB");
    (publisher, honest, peer)
}

fn assert_served(publisher: &Pub, honest: &Sub) {
    publisher.send("x").unwrap();
    assert_eq!(honest.recv_timeout(LONG).unwrap(), "x");
}

/// Both forms of a subscription mean the same, from whatever peer.
#[test]
fn commands_and_old_messages_subscribe_alike() {
    for transport in Transport::WIRED {
        let (publisher, honest, mut peer) = publisher(Pub::new(), transport);
        peer.say(&subscribe("a")).say(&frame(MESSAGE, b"\x01b"));
        publisher.wait_for_subscribers("b", 1, LONG).unwrap();
        assert_eq!(publisher.subscribers("a"), 1);
        peer.say(&cancel("b"))
            .say(&frame(MESSAGE, b"\x00a"))
            .say(&subscribe("end"));
        publisher.wait_for_subscribers("end", 1, LONG).unwrap();
        assert_eq!((publisher.subscribers("a"), publisher.subscribers("b")), (0, 0));
        assert_served(&publisher, &honest);
    }
}

/// To cancel what was never subscribed to means nothing, and takes nothing from anybody.
#[test]
fn a_cancellation_of_an_unknown_topic_means_nothing() {
    for transport in Transport::WIRED {
        let (publisher, honest, mut peer) = publisher(Pub::new(), transport);
        peer.say(&cancel("x"))
            .say(&cancel(""))
            .say(&cancel("nothing"))
            .say(&subscribe("end"));
        publisher.wait_for_subscribers("end", 1, LONG).unwrap();
        assert_eq!((publisher.subscribers("x"), publisher.topics()), (1, 2));
        assert_served(&publisher, &honest);
    }
}

/// The same topic a hundred thousand times is one topic, and one cancellation ends it.
#[test]
fn a_topic_subscribed_to_for_ever_is_one_topic() {
    for transport in Transport::WIRED {
        let (publisher, honest, mut peer) = publisher(Pub::builder().max_topics(3).build(), transport);
        peer.say(&subscribe("again").repeat(100_000));
        peer.say(&[subscribe("again"), cancel("again")].concat().repeat(10_000));
        peer.say(&subscribe("end"));
        publisher.wait_for_subscribers("end", 1, LONG).unwrap();
        assert_eq!(publisher.topics(), 2);
        assert_served(&publisher, &honest);
    }
}

/// A hundred thousand and one topics are one too many; so are some long ones.
#[test]
fn a_subscriber_over_its_limit_is_disconnected_and_leaves_nothing() {
    let many: Vec<u8> = (0..=100_000).flat_map(|at| subscribe(&format!("{at}"))).collect();
    let long: Vec<u8> = (0..300)
        .flat_map(|at| subscribe(&format!("{at}{}", "-".repeat(60_000))))
        .collect();
    let cases = [
        (many, "the number of topics", Transport::Tcp),
        (long, "the size of all topics", Transport::Ipc),
    ];
    for (bad, named, transport) in cases {
        let (publisher, honest, mut peer) = publisher(Pub::new(), transport);
        let monitor = publisher.monitor();
        peer.say(&bad);
        let (reason, _) = await_end(&monitor);
        assert!(
            matches!(reason, DisconnectReason::OverLimit { what, .. } if what == named),
            "{reason}"
        );
        eventually("its topics are gone", || publisher.topics() == 1);
        assert_served(&publisher, &honest);
    }
}

/// An application that takes no notices has the peer wait, not the memory grow.
#[test]
fn a_peer_whose_notices_nobody_takes_is_not_read_from() {
    for transport in Transport::WIRED {
        let xpub = XPub::new();
        let endpoint = xpub.bind(transport.anywhere()).unwrap();
        let mut peer = RawPeer::connect(&endpoint);
        peer.shake_hands("XSUB");
        let all: Vec<u8> = (0..20_000)
            .flat_map(|at| frame(MESSAGE, format!("m{at}").as_bytes()))
            .collect();
        let talker = std::thread::spawn(move || {
            peer.say(&all);
            peer
        });
        eventually("its share is used up", || xpub.stats().total.unread > 0);
        assert!(xpub.stats().total.received.messages <= 1_000);
        for at in 0..20_000 {
            let XPubEvent::Message { message, .. } = xpub.recv_timeout(LONG).unwrap() else {
                panic!()
            };
            assert_eq!(message, format!("m{at}"));
        }
        talker.join().unwrap();
    }
}

/// A socket that does not publish counts subscriptions and shows them to nobody.
#[test]
fn subscriptions_to_a_socket_that_does_not_publish_are_counted() {
    for transport in Transport::WIRED {
        let pull = Pull::new();
        let mut peer = RawPeer::connect(&pull.bind(transport.anywhere()).unwrap());
        peer.shake_hands("PUSH");
        peer.say(&subscribe("a"))
            .say(&cancel("a"))
            .say(&frame(MESSAGE, b"good"));
        assert_eq!(recv(&pull), "good");
        assert_eq!(pull.stats().peers[0].ignored, 2);
    }
}
