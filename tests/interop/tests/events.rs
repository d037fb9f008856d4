//! What an XPUB hears of subscribers of the other library, what it makes of that, and what an XSUB says beside.

use std::time::Duration;

use aqueduct::{DisconnectReason, Message, Pub, Sub, SubscriberId, Verbosity, XPub, XPubEvent, XSub};
use aqueduct_interop::{
    Bound, Classic, Form, Frames, LONG, Library, Link, Plug, Publisher, Subscriber, Wiring, await_loss,
    bounded, cancellation, frames, keen, message, subscription, words,
};

/// An event of ours, with a sign before the topic.
fn show(event: XPubEvent) -> String {
    let (sign, body) = match event {
        XPubEvent::Subscribe { topic, .. } => ("+", topic),
        XPubEvent::Cancel { topic, .. } => ("-", topic),
        XPubEvent::Message { message, .. } => ("", message[0].clone()),
        other => panic!("an event of no known kind: {other:?}"),
    };
    format!("{sign}{}", String::from_utf8_lossy(&body))
}

/// The same of a message of a classic XPUB.
fn show_classic(frames: &Frames) -> String {
    let (sign, body) = match &frames[0][..] {
        [1, topic @ ..] => ("+", topic),
        [0, topic @ ..] => ("-", topic),
        body => ("", body),
    };
    format!("{sign}{}", String::from_utf8_lossy(body))
}

/// An XPUB of either library that shows what it hears.
enum Listener {
    Ours(XPub),
    Classic(Classic),
}

impl Listener {
    /// Makes an XPUB that tells of as much as it is asked to.
    fn new(library: Library, verbosity: Verbosity) -> Self {
        match (library, verbosity) {
            (Library::Ours, _) => Self::Ours(keen(XPub::builder()).verbose(verbosity).build()),
            (Library::Classic, Verbosity::Subscriptions) => {
                Self::Classic(Classic::switched(zmq::XPUB, zmq_sys::ZMQ_XPUB_VERBOSE))
            }
            (Library::Classic, Verbosity::All) => {
                Self::Classic(Classic::switched(zmq::XPUB, zmq_sys::ZMQ_XPUB_VERBOSER))
            }
            (Library::Classic, _) => Self::Classic(Classic::new(zmq::XPUB)),
        }
    }

    fn hear(&self) -> String {
        match self {
            Self::Ours(xpub) => show(xpub.recv().expect("an event")),
            Self::Classic(classic) => show_classic(&classic.recv_frames()),
        }
    }

    /// Hears these and no others before the last of them.
    fn expect(&self, expected: &[&str]) {
        let heard: Vec<_> = expected.iter().map(|_| self.hear()).collect();
        assert_eq!(heard, expected);
    }

    /// Hears these, in whatever order.
    fn expect_in_any_order(&self, expected: &[&str]) {
        let mut heard: Vec<_> = expected.iter().map(|_| self.hear()).collect();
        heard.sort();
        assert_eq!(heard, expected);
    }
}

impl Plug for Listener {
    fn plug(&self, endpoint: &str) -> String {
        match self {
            Self::Ours(xpub) => xpub.plug(endpoint),
            Self::Classic(classic) => classic.plug(endpoint),
        }
    }

    fn plug_into(&self, endpoint: &str) {
        match self {
            Self::Ours(xpub) => xpub.plug_into(endpoint),
            Self::Classic(classic) => classic.plug_into(endpoint),
        }
    }
}

/// How long to wait before trying once more.
const MOMENT: Duration = Duration::from_millis(10);

/// Runs a script for an XPUB of each library, a subscriber of the other in either form, and each link.
fn each(script: impl Fn(Library, Form, Link) + Send + Copy + 'static) {
    Link::each(move |link| {
        for library in Library::ALL {
            for form in Form::ALL {
                println!("{link:?}, {library:?} XPUB, {form:?} subscriber");
                script(library, form, link);
            }
        }
    });
}

#[test]
fn an_xpub_hears_of_first_and_last_and_of_what_is_lost() {
    each(|library, form, link| {
        let xpub = Listener::new(library, Verbosity::Changes);
        let wired = link.bind(&xpub);
        let [leaver, stayer] = [(); 2].map(|()| {
            let subscriber = Subscriber::new(library.other(), form);
            subscriber.plug_into(&wired.endpoint);
            subscriber
        });
        leaver.subscribe("a");
        xpub.expect(&["+a"]);
        leaver.subscribe("");
        xpub.expect(&["+"]);
        stayer.subscribe("a");
        stayer.subscribe("b");
        xpub.expect(&["+b"]);
        leaver.subscribe("a");
        leaver.unsubscribe("a");
        leaver.subscribe("c");
        xpub.expect(&["+c"]);
        leaver.unsubscribe("c");
        leaver.subscribe("b");
        leaver.subscribe("d");
        xpub.expect(&["-c", "+d"]);
        drop(leaver);
        xpub.expect_in_any_order(&["-", "-d"]);
        stayer.unsubscribe("b");
        xpub.expect(&["-b"]);
        drop(stayer);
        xpub.expect(&["-a"]);
    });
}

#[test]
fn a_verbose_xpub_hears_of_more() {
    each(|library, form, link| {
        for (verbosity, repeated, ends) in [
            (Verbosity::Changes, &[][..], &["-a", "+end"][..]),
            (Verbosity::Subscriptions, &["+a"], &["-a", "+end"]),
            (Verbosity::All, &["+a"], &["-a", "-a", "+end"]),
        ] {
            let xpub = Listener::new(library, verbosity);
            let wired = link.bind(&xpub);
            let subscribers = [(); 2].map(|()| Subscriber::new(library.other(), form));
            for (number, subscriber) in subscribers.iter().enumerate() {
                subscriber.plug_into(&wired.endpoint);
                subscriber.subscribe("a");
                subscriber.subscribe(["one", "two"][number]);
            }
            let came = [&["+a", "+one", "+two"], repeated].concat();
            let mut sorted = came.clone();
            sorted.sort_unstable();
            xpub.expect_in_any_order(&sorted);
            subscribers[0].unsubscribe("a");
            subscribers[0].subscribe("between");
            let between = if verbosity == Verbosity::All {
                &["-a", "+between"][..]
            } else {
                &["+between"]
            };
            xpub.expect(between);
            subscribers[1].unsubscribe("a");
            subscribers[1].subscribe("end");
            xpub.expect(&ends[ends.len() - 2..]);
        }
    });
}

#[test]
fn a_verbose_xpub_hears_an_xsub_repeat_itself() {
    each(|library, _, link| {
        let xpub = Listener::new(library, Verbosity::Subscriptions);
        let xsub = Subscriber::new(library.other(), Form::Raw);
        let _wired = link.join(&xpub, &xsub);
        xsub.subscribe("a");
        xpub.expect(&["+a"]);
        (0..2).for_each(|_| xsub.subscribe("a"));
        xpub.expect(&["+a", "+a"]);
        (0..3).for_each(|_| xsub.unsubscribe("a"));
        xsub.subscribe("end");
        xpub.expect(&["-a", "+end"]);
    });
}

#[test]
fn topics_of_any_bytes_are_heard_as_they_are() {
    each(|library, form, link| {
        let (xpub, subscriber) = (
            Publisher::new(library, Form::Raw),
            Subscriber::new(library.other(), form),
        );
        let _wired = link.join(&xpub, &subscriber);
        let all: Vec<u8> = (0..=255).collect();
        let topics = [
            vec![],
            vec![0],
            vec![1],
            vec![1, 1],
            vec![0, 1, 0],
            all,
            vec![b'l'; 254],
            vec![7; 255],
        ];
        // See the test below.
        let garbled =
            |topic: &[u8]| library == Library::Ours && form == Form::Plain && GARBLED.contains(&topic.len());
        let long = vec![b'l'; 10_000];
        for topic in topics.iter().chain([&long]).filter(|topic| !garbled(topic)) {
            subscriber.subscribe(topic);
            assert_eq!(xpub.hear(), [subscription(topic)]);
            subscriber.unsubscribe(topic);
            assert_eq!(xpub.hear(), [cancellation(topic)]);
        }
    });
}

/// How long the topics are whose subscriptions libzmq 4.3.4 sends with a length in eight bytes and a flag that says one.
const GARBLED: std::ops::RangeInclusive<usize> = 246..=255;

#[test]
fn a_subscription_that_libzmq_garbles_ends_its_connection_and_no_other() {
    bounded(|| {
        let xpub = keen(XPub::builder()).build();
        let monitor = xpub.monitor();
        let wired = Link::Tcp.bind(&xpub);
        let honest = Classic::new(zmq::SUB);
        honest.connect(&wired.endpoint);
        honest.subscribe(b"a");
        assert_eq!(show(xpub.recv().unwrap()), "+a");
        let garbler = Classic::new(zmq::SUB);
        garbler.subscribe(&[7; 250]);
        garbler.connect(&wired.endpoint);
        let reason = await_loss(&monitor);
        assert!(matches!(reason, DisconnectReason::Malformed(_)), "{reason}");
        xpub.send("a").unwrap();
        assert_eq!(honest.recv(), b"a");
    });
}

#[test]
fn a_manual_classic_xpub_gives_our_subscribers_something_else() {
    Wiring::each(|wiring| {
        let xpub = Classic::switched(zmq::XPUB, zmq_sys::ZMQ_XPUB_MANUAL);
        let xsub = keen(XSub::builder()).build();
        let _wired = wiring.join(&xsub, &xpub);
        xsub.subscribe("a").unwrap();
        assert_eq!(xpub.recv_frames(), [subscription(b"a")]);
        xpub.subscribe(b"b");
        xpub.send(b"a");
        xpub.send(b"b");
        assert_eq!(xsub.recv().unwrap(), "b");
        xsub.unsubscribe("a");
        assert_eq!(xpub.recv_frames(), [cancellation(b"a")]);
        xpub.unsubscribe(b"b");
        xpub.subscribe(b"end");
        xpub.send(b"b");
        xpub.send(b"end");
        assert_eq!(xsub.recv().unwrap(), "end");
    });
}

#[test]
fn our_manual_xpub_gives_classic_subscribers_something_else() {
    Wiring::each(|wiring| {
        let xpub = keen(XPub::builder()).manual(true).build();
        let xsub = Classic::new(zmq::XSUB);
        let _wired = wiring.join(&xpub, &xsub);
        let heard = |said: Vec<u8>| {
            xsub.send(&said);
            loop {
                // A socket of libzmq takes note of its peers when it is used.
                xsub.look();
                if let Ok(event) = xpub.recv_timeout(MOMENT) {
                    return event;
                }
            }
        };
        let asked = heard(subscription(b"a"));
        let who = asked.subscriber();
        assert_eq!((show(asked), xpub.topics()), ("+a".to_owned(), 0));
        assert!(xpub.subscribe(who, "b"));
        xpub.send("a").unwrap();
        xpub.send("b").unwrap();
        assert_eq!(xsub.recv(), b"b");
        assert_eq!(show(heard(cancellation(b"a"))), "-a");
        assert!(xpub.cancel(who, "b"));
        assert!(xpub.subscribe(who, "end"));
        xpub.send("b").unwrap();
        xpub.send("end").unwrap();
        assert_eq!(xsub.recv(), b"end");
        drop(xsub);
        assert_eq!(show(xpub.recv().unwrap()), "-end");
    });
}

#[test]
fn our_xpub_sends_the_last_value_to_the_classic_subscriber_that_asks() {
    Link::each(|link| {
        let xpub = keen(XPub::builder()).verbose(Verbosity::Subscriptions).build();
        let wired = link.bind(&xpub);
        let mut known: Vec<(Classic, SubscriberId)> = Vec::new();
        for value in ["71.20", "71.30", "71.10"] {
            let sub = Classic::new(zmq::SUB);
            sub.connect(&wired.endpoint);
            sub.subscribe(b"oil");
            let asked = xpub.recv().unwrap();
            let last: Message = message(&frames(&["oil", value]));
            xpub.send_to(asked.subscriber(), last).unwrap();
            assert_eq!(sub.recv_frames(), frames(&["oil", value]));
            assert_eq!(xpub.peer(asked.subscriber()).unwrap().socket_type.name(), "SUB");
            known.push((sub, asked.subscriber()));
        }
        xpub.send("oil, for all").unwrap();
        for (sub, _) in &known {
            assert_eq!(sub.recv(), b"oil, for all");
        }
    });
}

#[test]
fn a_welcome_of_either_library_comes_first() {
    each(|library, form, link| {
        let welcoming = || -> Publisher {
            match (library, form) {
                (Library::Classic, form) => {
                    Publisher::classic(form, |socket| socket.set_xpub_welcome_msg(Some("hello")))
                }
                (Library::Ours, Form::Plain) => {
                    keen(Pub::builder()).welcome(Some("hello".into())).build().into()
                }
                (Library::Ours, Form::Raw) => {
                    keen(XPub::builder()).welcome(Some("hello".into())).build().into()
                }
            }
        };
        for form in Form::ALL {
            let (publisher, subscriber) = (welcoming(), Subscriber::new(library.other(), form));
            subscriber.subscribe("hello");
            let _wired = link.join(&publisher, &subscriber);
            // A socket of libzmq takes note of its peers when it is used.
            let first = loop {
                publisher.publish(&frames(&["is anybody there?"]));
                if let Some(heard) = subscriber.hear_within(MOMENT) {
                    break heard;
                }
            };
            assert_eq!(first, frames(&["hello"]));
            subscriber.settle(&publisher);
            publisher.publish(&frames(&["hello again"]));
            assert_eq!(subscriber.hear(), frames(&["hello again"]));
        }
    });
}

/// What an XSUB may say to its publishers that is no subscription.
fn sayings() -> [Frames; 6] {
    [
        frames(&["hello"]),
        frames(&[""]),
        frames(&["several", "", "frames", ""]),
        frames(&["", "after an empty one"]),
        vec![vec![2; 300], vec![3; 100_000]],
        frames(&["bye"]),
    ]
}

#[test]
fn what_an_xsub_says_reaches_the_xpub_of_the_other_library() {
    each(|library, _, link| {
        let (xpub, xsub) = (
            Publisher::new(library, Form::Raw),
            Subscriber::new(library.other(), Form::Raw),
        );
        let _wired = link.join(&xpub, &xsub);
        xsub.subscribe("topic");
        assert_eq!(xpub.hear(), [subscription(b"topic")]);
        for said in sayings() {
            xsub.say(&said);
            assert_eq!(xpub.hear(), said);
        }
        xpub.publish(&frames(&["topic", "thank you"]));
        assert_eq!(xsub.hear(), frames(&["topic", "thank you"]));
    });
}

#[test]
fn what_an_xsub_says_is_nothing_to_the_pub_of_the_other_library() {
    each(|library, _, link| {
        let (publisher, xsub) = (
            Publisher::new(library, Form::Plain),
            Subscriber::new(library.other(), Form::Raw),
        );
        let _wired = link.join(&publisher, &xsub);
        xsub.subscribe("topic");
        publisher.await_subscriber(b"topic", &xsub);
        sayings().iter().for_each(|said| xsub.say(said));
        xsub.settle(&publisher);
        publisher.publish(&frames(&["hello"]));
        publisher.publish(&frames(&["topic"]));
        assert_eq!(xsub.hear(), frames(&["topic"]));
        if let Some(stats) = publisher.stats() {
            assert_eq!(stats.total.discarded, sayings().len() as u64);
        }
    });
}

#[test]
fn libzmq_takes_any_frame_that_begins_with_1_for_a_subscription_and_we_only_a_frame_alone() {
    Wiring::each(|wiring| {
        let ours = keen(XPub::builder()).build();
        let (publisher, classic) = (
            Publisher::from(ours.clone()),
            Subscriber::new(Library::Classic, Form::Raw),
        );
        let _wired = match wiring.bound {
            Bound::Ours => Link::Tcp.join(&publisher, &classic),
            Bound::Classic => Link::Tcp.join(&classic, &publisher),
        };
        classic.subscribe("topic");
        publisher.await_subscriber(b"topic", &classic);
        assert_eq!(show(ours.recv().unwrap()), "+topic");
        let said = frames(&["\u{1}a", "\u{1}b"]);
        classic.say(&said);
        let XPubEvent::Message { message, .. } = ours.recv().unwrap() else {
            panic!("a message");
        };
        assert_eq!((words(&message), ours.topics()), (said, 1));

        let (ours, classic) = (keen(XSub::builder()).build(), Classic::new(zmq::XPUB));
        let _wired = wiring.join(&ours, &classic);
        ours.wait_for_peers(1, LONG).unwrap();
        ours.send(message).unwrap();
        assert_eq!(classic.recv_frames(), [subscription(b"a")]);
        assert_eq!(classic.recv_frames(), [subscription(b"b")]);
    });
}

#[test]
fn matching_is_inverted_if_both_sides_say_so() {
    Wiring::each(|wiring| {
        let ours_publishes = wiring.bound == Bound::Ours;
        let inverted = |kind| Classic::switched(kind, zmq_sys::ZMQ_INVERT_MATCHING);
        if ours_publishes {
            let ours = keen(Pub::builder()).invert_matching(true).build();
            let classic = inverted(zmq::SUB);
            classic.subscribe(b"a");
            let _wired = wiring.join(&ours, &classic);
            ours.wait_for_subscribers("b", 1, LONG).unwrap();
            while ours.subscribers("a") > 0 {
                classic.look();
            }
            ours.send("a").unwrap();
            ours.send("b").unwrap();
            assert_eq!(classic.recv(), b"b");
        } else {
            let ours = keen(Sub::builder()).invert_matching(true).build();
            let classic = inverted(zmq::XPUB);
            ours.subscribe("a").unwrap();
            let _wired = wiring.join(&ours, &classic);
            assert_eq!(classic.recv_frames(), [subscription(b"a")]);
            classic.send(b"a");
            classic.send(b"b");
            assert_eq!(ours.recv().unwrap(), "b");
        }
    });
}
