//! The bridge to a ZAP handler: what a handler is asked, and what each of its answers does to a peer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod support;

use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use aqueduct::{
    Builder, Context, Denial, DisconnectReason, Event, Frame, Message, Monitor, Pull, Push, Rep, Router, Zap,
};
use support::*;

/// A context with a handler in it, which ends with it.
struct House {
    context: Context,
    handler: Option<JoinHandle<()>>,
}

impl House {
    fn empty() -> Self {
        Self {
            context: Context::new(1),
            handler: None,
        }
    }

    /// A house whose handler answers in this way.
    fn with(answer: impl FnMut(&[Frame]) -> Message + Send + 'static) -> Self {
        let mut house = Self::empty();
        house.open(answer);
        house
    }

    fn open(&mut self, mut answer: impl FnMut(&[Frame]) -> Message + Send + 'static) {
        let rep = Rep::builder().context(&self.context).build();
        rep.bind(Zap::ADDRESS).unwrap();
        self.handler = Some(thread::spawn(move || {
            while let Ok((question, reply)) = rep.recv() {
                // Who asked may have gone.
                let _ = reply.send(answer(question.frames()));
            }
        }));
    }

    /// A socket whose peers the handler decides on.
    fn pull(&self) -> Builder<Pull> {
        let builder = Pull::builder().context(&self.context);
        builder
            .auth_domain("global")
            .plain_server(Zap::new(&self.context))
    }

    fn router(&self) -> Router {
        let router = Router::builder().context(&self.context).build();
        router.bind(Zap::ADDRESS).unwrap();
        router
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.context.shutdown();
        if let Some(handler) = self.handler.take() {
            let ended = handler.join();
            assert!(ended.is_ok() || thread::panicking(), "the handler has failed");
        }
    }
}

/// An answer by the letter of RFC 27, but for the status.
fn answer(question: &[Frame], status: &str) -> Message {
    let user = if status == "200" { "alice" } else { "" };
    let metadata: &[u8] = if status == "200" {
        b"\x04Team\0\0\0\x04blue"
    } else {
        b""
    };
    let rest = [status.as_bytes(), b"a text", user.as_bytes(), metadata];
    let head = question[..2].iter().cloned();
    head.chain(rest.map(Frame::from)).collect()
}

/// An answer with another frame at a place.
fn answer_but(question: &[Frame], at: usize, frame: &'static [u8]) -> Message {
    let mut frames = answer(question, "200").frames().to_vec();
    frames[at] = frame.into();
    frames.into()
}

fn alice() -> Push {
    let builder = Push::builder().plain_client("alice", "secret").unwrap();
    let builder = builder.reconnect_interval(Some(Duration::from_millis(1)));
    builder.linger(Some(Duration::ZERO)).build()
}

/// Waits until a handshake has failed, and says why.
fn failure(monitor: &Monitor) -> DisconnectReason {
    await_event(monitor, "failed handshake", |event| match event {
        Event::HandshakeFailed { reason, .. } => Some(reason.clone()),
        Event::HandshakeDone { info, .. } => panic!("let in: {info:?}"),
        _ => None,
    })
}

/// Has a peer come that is not let in; returns what either end has learned of it.
fn turned_away(builder: &Builder<Pull>) -> (DisconnectReason, DisconnectReason) {
    let (pull, push) = (builder.build(), alice());
    let (ours, theirs) = (pull.monitor(), push.monitor());
    push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    push.send("not for you").unwrap();
    let reasons = (failure(&ours), failure(&theirs));
    assert!(pull.stats().peers.is_empty() && pull.try_recv().is_err());
    reasons
}

/// What the server has learned of a peer that could not be decided on, which was told 500.
fn undecided(builder: &Builder<Pull>) -> &'static str {
    let (ours, theirs) = turned_away(builder);
    assert_eq!(theirs, DisconnectReason::Refused("500".into()));
    match ours {
        DisconnectReason::Denied(Denial::Failed(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// Has a peer come about which there is nobody to ask: it is not told, for there may be somebody next time.
fn no_handler(builder: &Builder<Pull>) {
    let denied = DisconnectReason::Denied(Denial::Unavailable("there is no handler"));
    assert_eq!(turned_away(builder), (denied, DisconnectReason::PeerClosed));
}

#[test]
fn a_200_lets_the_peer_in_as_the_user_that_the_handler_names() {
    for transport in Transport::WIRED {
        let (seen, questions) = mpsc::channel();
        let house = House::with(move |question| {
            seen.send(question.to_vec()).unwrap();
            answer(question, "200")
        });
        let (pull, push) = (house.pull().build(), alice());
        marry(&push, &pull, transport);
        push.send("it is me").unwrap();
        let (message, peer) = pull.recv_with_peer().unwrap();
        assert_eq!((message, peer.user_id()), ("it is me".into(), Some("alice")));
        let user = peer.user.as_deref().unwrap();
        assert_eq!(user.metadata, [("Team".to_owned(), "blue".into())]);
        let question = questions.recv().unwrap();
        let address = peer.address.clone().unwrap();
        let host = if transport == Transport::Tcp {
            "127.0.0.1"
        } else {
            &address
        };
        let expected = ["1.0", "0", "global", host, "", "PLAIN", "alice", "secret"];
        assert_eq!(question, expected.map(Frame::from));
    }
}

#[test]
fn a_400_is_told_to_the_peer() {
    let house = House::with(|question| answer(question, "400"));
    let (ours, theirs) = turned_away(&house.pull());
    assert_eq!(ours, DisconnectReason::Denied(Denial::Refused));
    assert_eq!(theirs, DisconnectReason::Refused("400".into()));
}

#[test]
fn a_500_is_told_to_the_peer() {
    let house = House::with(|question| answer(question, "500"));
    assert_eq!(undecided(&house.pull()), "the handler says that it has failed");
}

#[test]
fn a_300_is_told_to_nobody_and_the_peer_comes_back() {
    let mut times = 0;
    let house = House::with(move |question| {
        times += 1;
        answer(question, if times == 1 { "300" } else { "200" })
    });
    let (pull, push) = (house.pull().build(), alice());
    let (ours, theirs) = (pull.monitor(), push.monitor());
    push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    push.send("a little later").unwrap();
    assert_eq!(failure(&ours), DisconnectReason::Denied(Denial::NotNow));
    assert_eq!(failure(&theirs), DisconnectReason::PeerClosed);
    assert_eq!(recv(&pull), "a little later");
    assert_eq!(pull.stats().denied, 1);
}

#[test]
fn an_answer_with_anything_wrong_lets_nobody_in() {
    const FRAMES: &str = "an answer with a wrong number of frames";
    type Wrong = fn(&[Frame]) -> Message;
    let cases: [(Wrong, &str); 9] = [
        (
            |question| answer(question, "200").frames()[..5].iter().cloned().collect(),
            FRAMES,
        ),
        (
            |question| {
                answer(question, "200")
                    .frames()
                    .iter()
                    .cloned()
                    .chain([Frame::new()])
                    .collect()
            },
            FRAMES,
        ),
        (|_| "200".into(), FRAMES),
        (
            |question| answer_but(question, 0, b"2.0"),
            "an answer of another version",
        ),
        (
            |question| answer_but(question, 1, b"another"),
            "an answer to another request",
        ),
        (
            |question| answer_but(question, 2, b"201"),
            "an answer with an unknown status",
        ),
        (
            |question| answer_but(question, 2, b""),
            "an answer with an unknown status",
        ),
        (
            |question| answer_but(question, 4, b"al\xffice"),
            "an answer with a user id that is no text",
        ),
        (
            |question| answer_but(question, 5, b"\x04Team\0\0\0\x05blue"),
            "an answer with malformed metadata",
        ),
    ];
    for (wrong, why) in cases {
        let house = House::with(wrong);
        assert_eq!(undecided(&house.pull()), why);
    }
}

#[test]
fn without_a_handler_nobody_is_let_in_until_there_is_one() {
    let mut house = House::empty();
    no_handler(&house.pull());
    // A socket that takes no questions is none.
    let deaf = Pull::builder().context(&house.context).build();
    deaf.bind(Zap::ADDRESS).unwrap();
    no_handler(&house.pull());
    deaf.close();

    let (pull, early) = (house.pull().build(), alice());
    let monitor = early.monitor();
    early.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    early.send("still here").unwrap();
    assert_eq!(failure(&monitor), DisconnectReason::PeerClosed);
    house.open(|question| answer(question, "200"));
    assert_eq!(recv(&pull), "still here", "who came too early comes back");
}

#[test]
fn a_handler_of_another_context_is_not_asked() {
    let elsewhere = House::with(|question| answer(question, "200"));
    no_handler(&House::empty().pull());
    drop(elsewhere);
}

#[test]
fn a_handler_that_does_not_answer_lets_nobody_in_and_not_late_either() {
    let house = House::empty();
    let router = house.router();
    let pull = house.pull().handshake_timeout(Duration::from_millis(50)).build();
    let monitor = pull.monitor();
    let builder = Push::builder().plain_client("alice", "secret").unwrap();
    let push = builder
        .reconnect_interval(None)
        .linger(Some(Duration::ZERO))
        .build();
    push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    let (who, question) = router.recv_timeout(LONG).unwrap();
    assert_eq!(failure(&monitor), DisconnectReason::Denied(Denial::TimedOut));
    let late = answer(&question.frames()[1..], "200").frames().to_vec();
    router.send(&who, [vec![Frame::new()], late].concat()).unwrap();
    assert!(pull.stats().peers.is_empty());
    assert_eq!(pull.stats().denied, 1);
}

#[test]
fn a_handler_that_goes_with_the_question_lets_nobody_in() {
    let house = House::empty();
    let router = house.router();
    let (pull, push) = (house.pull().build(), alice());
    let monitor = pull.monitor();
    push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    router.recv_timeout(LONG).unwrap();
    router.close();
    assert_eq!(
        failure(&monitor),
        DisconnectReason::Denied(Denial::Unavailable("the handler has gone"))
    );
}

#[test]
fn a_router_answers_many_in_any_order() {
    let house = House::empty();
    let router = house.router();
    let pull = house.pull().build();
    let endpoint = pull.bind("tcp://127.0.0.1:0").unwrap();
    // More than there are threads to ask on.
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let pushes = names.map(|name| {
        let push = Push::builder().plain_client(name, "").unwrap().build();
        push.connect(&endpoint).unwrap();
        push
    });
    let mut asked: Vec<_> = names.map(|_| router.recv_timeout(LONG).unwrap()).into();
    while let Some((who, question)) = asked.pop() {
        let [delimiter, version, id, .., user, _password] = question.frames() else {
            panic!("{question:?}");
        };
        let answer = [
            delimiter,
            version,
            id,
            &"200".into(),
            &"".into(),
            user,
            &"".into(),
        ];
        router
            .send(&who, Message::from_iter(answer.into_iter().cloned()))
            .unwrap();
    }
    let mut users = pushes.each_ref().map(|push| {
        push.send_timeout("in", LONG).unwrap();
        pull.recv_with_peer().unwrap().1.user_id().unwrap().to_owned()
    });
    users.sort();
    assert_eq!(users, names);
}

#[test]
fn peers_without_a_mechanism_are_asked_about_by_their_address() {
    let (seen, questions) = mpsc::channel();
    let house = House::with(move |question| {
        seen.send(question.to_vec()).unwrap();
        let known = question[2] == "open";
        answer(question, if known { "200" } else { "400" })
    });
    let in_domain = |domain| {
        let builder = Pull::builder().context(&house.context).auth_domain(domain);
        builder.null_server(Zap::new(&house.context)).build()
    };
    let (pull, push) = (in_domain("open"), Push::new());
    marry(&push, &pull, Transport::Tcp);
    push.send("it is me").unwrap();
    assert_eq!(pull.recv_with_peer().unwrap().1.user_id(), Some("alice"));
    let expected = ["1.0", "0", "open", "127.0.0.1", "", "NULL"];
    assert_eq!(questions.recv().unwrap(), expected.map(Frame::from));

    let (pull, push) = (in_domain("closed"), Push::new());
    let monitor = push.monitor();
    push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    assert_eq!(failure(&monitor), DisconnectReason::Refused("400".into()));
}

#[cfg(feature = "curve")]
mod curve {
    use super::*;
    use aqueduct::{Dealer, KeyPair, RoutingId};

    fn keys() -> KeyPair {
        KeyPair::generate().unwrap()
    }

    #[test]
    fn a_handler_is_told_the_key_and_the_id_and_decides() {
        let (server, known) = (keys(), keys());
        let (looked_for, expected) = (server.public(), known.public());
        let (seen, questions) = mpsc::channel();
        let house = House::with(move |question| {
            seen.send(question.to_vec()).unwrap();
            let known = question[6] == expected.as_bytes()[..];
            answer(question, if known { "200" } else { "400" })
        });
        let router = Router::builder().context(&house.context);
        let router = router.curve_server(server, Zap::new(&house.context)).build();
        let endpoint = router.bind("tcp://127.0.0.1:0").unwrap();
        let client = |keys| {
            let builder = Dealer::builder().routing_id(RoutingId::new("desk").unwrap());
            builder
                .linger(Some(Duration::ZERO))
                .curve_client(looked_for, keys)
                .build()
        };
        let stranger = client(keys());
        let monitor = stranger.monitor();
        stranger.connect(&endpoint).unwrap();
        assert_eq!(failure(&monitor), DisconnectReason::Refused("400".into()));
        questions.recv().unwrap();

        let friend = client(known);
        friend.connect(&endpoint).unwrap();
        friend.send("it is me").unwrap();
        let (id, message) = router.recv_timeout(LONG).unwrap();
        assert_eq!(message, "it is me");
        assert_eq!(router.peer(&id).unwrap().user_id(), Some("alice"));
        let question = questions.recv().unwrap();
        let told = ["1.0", "1", "", "127.0.0.1", "desk", "CURVE"].map(Frame::from);
        assert_eq!(question[..6], told);
        assert_eq!(question[6], expected.as_bytes()[..]);
    }

    #[test]
    fn each_other_status_reaches_a_client_with_keys_too() {
        for (status, denial, told) in [
            ("300", Denial::NotNow, DisconnectReason::PeerClosed),
            (
                "500",
                Denial::Failed("the handler says that it has failed"),
                DisconnectReason::Refused("500".into()),
            ),
        ] {
            let server = keys();
            let looked_for = server.public();
            let house = House::with(move |question| answer(question, status));
            let pull = Pull::builder().context(&house.context);
            let pull = pull.curve_server(server, Zap::new(&house.context)).build();
            let push = Push::builder().curve_client(looked_for, keys()).build();
            let (ours, theirs) = (pull.monitor(), push.monitor());
            push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
            assert_eq!(failure(&ours), DisconnectReason::Denied(denial));
            assert_eq!(failure(&theirs), told);
        }
    }
}
