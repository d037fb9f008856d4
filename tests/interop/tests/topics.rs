//! Publishing from one library to the other: every pair of publisher and subscriber, each library on either side, either
//! side bound, over tcp, over ipc, and with subscriptions in the form of ZMTP 3.0.

use aqueduct_interop::{
    Checksum, Form, Frames, Library, Link, Publisher, Subscriber, Wired, body, bounded, frames,
};

/// Makes a module of tests of each pair.
macro_rules! pairings {
    ($($name:ident: $publisher:ident to $subscriber:ident;)*) => {$(
        pairings! { $name: $publisher to $subscriber,
            topics_are_prefixes_of_the_first_frame_byte_by_byte
            an_empty_topic_wants_everything
            what_is_subscribed_twice_is_cancelled_twice
            a_topic_and_a_longer_one_are_cancelled_apart
            a_late_subscriber_hears_what_comes_after
            messages_arrive_whole_and_in_order
        }
    )*};
    ($name:ident: $publisher:ident to $subscriber:ident, $($test:ident)*) => {
        mod $name {
            use super::{Form, Pairing};
            $(#[test]
            fn $test() {
                super::$test(Pairing { publisher: Form::$publisher, subscriber: Form::$subscriber });
            })*
        }
    };
}

pairings! {
    pub_to_sub: Plain to Plain;
    pub_to_xsub: Plain to Raw;
    xpub_to_sub: Raw to Plain;
    xpub_to_xsub: Raw to Raw;
}

/// Who publishes to whom.
#[derive(Clone, Copy, Debug)]
struct Pairing {
    publisher: Form,
    subscriber: Form,
}

/// Two sockets of the two libraries that are about to meet, or have met.
struct Met {
    publisher: Publisher,
    subscriber: Subscriber,
    link: Link,
    /// Which of the two is bound.
    publisher_bound: bool,
    wired: Option<Wired>,
}

impl Pairing {
    /// Runs a script for each way in which the two can meet.
    fn each(self, script: impl Fn(Met) + Send + 'static) {
        bounded(move || {
            for link in Link::ALL {
                for publishes in Library::ALL {
                    for publisher_bound in [false, true] {
                        println!("{link:?}, {publishes:?} publishes, bound: {publisher_bound}");
                        script(Met {
                            publisher: Publisher::new(publishes, self.publisher),
                            subscriber: Subscriber::new(publishes.other(), self.subscriber),
                            link,
                            publisher_bound,
                            wired: None,
                        });
                    }
                }
            }
        });
    }
}

impl Met {
    /// Connects the two, and returns when the publisher knows what the subscriber wants.
    fn meet(&mut self) {
        let (publisher, subscriber) = (&self.publisher, &self.subscriber);
        self.wired = Some(if self.publisher_bound {
            self.link.join(publisher, subscriber)
        } else {
            self.link.join(subscriber, publisher)
        });
        self.settle();
        let stats = publisher.stats().or(subscriber.stats()).expect("one is ours");
        let version = if self.link == Link::Old { (3, 0) } else { (3, 1) };
        let info = stats.peers[0].info.as_ref().expect("it has shaken hands");
        assert_eq!(info.version, version);
    }

    fn settle(&self) {
        self.subscriber.settle(&self.publisher);
    }

    /// Publishes words, of which the subscriber hears the first ones of these pairs that say so, and nothing else.
    fn publish(&self, all: &[(Frames, bool)]) {
        // The last one has to be heard, so that one that came too much is not missed.
        assert!(all.last().is_some_and(|(_, wanted)| *wanted));
        for (words, _) in all {
            self.publisher.publish(words);
        }
        for (words, _) in all.iter().filter(|(_, wanted)| *wanted) {
            let heard = self.subscriber.hear();
            assert!(
                heard == *words,
                "heard {} instead of {}",
                start(&heard),
                start(words)
            );
        }
    }

    /// Publishes both until only the second is heard: a way to learn of the end of a subscription to everything, during which
    /// whatever else is subscribed to is heard at once.
    fn await_silence(&self, unwanted: &Frames, wanted: &Frames) {
        loop {
            self.publisher.publish(unwanted);
            self.publisher.publish(wanted);
            let heard = self.subscriber.hear();
            if heard == *wanted {
                break;
            }
            assert!(heard == *unwanted, "heard {}", start(&heard));
            assert!(self.subscriber.hear() == *wanted);
        }
    }

    /// Publishes words of one frame; see [`publish`](Self::publish).
    fn tell(&self, all: &[(&str, bool)]) {
        let all: Vec<_> = all
            .iter()
            .map(|(word, wanted)| (frames(&[word]), *wanted))
            .collect();
        self.publish(&all);
    }
}

/// The beginning of what was said, for people.
fn start(words: &[Vec<u8>]) -> String {
    let whole = String::from_utf8_lossy(&words.join(&b'|')).into_owned();
    format!("{:?}", whole.chars().take(80).collect::<String>())
}

fn topics_are_prefixes_of_the_first_frame_byte_by_byte(pairing: Pairing) {
    pairing.each(|mut met| {
        let long = vec![b'l'; 10_000];
        let topics: [&[u8]; 7] = [b"a", b"ab", b"news.", b"\0", b"\xff\xfe", "ü".as_bytes(), &long];
        for topic in topics {
            met.subscriber.subscribe(topic);
        }
        met.meet();
        let mut longer = long.clone();
        longer.extend(b"onger");
        met.publish(&[
            (frames(&["a"]), true),
            (frames(&["abc"]), true),
            (frames(&["A"]), false),
            (frames(&["ba"]), false),
            (frames(&[""]), false),
            (frames(&["news"]), false),
            (frames(&["news.today", "all is well"]), true),
            (frames(&["", "a"]), false),
            (frames(&["other", "news.today"]), false),
            (frames(&["a", "", "other", ""]), true),
            (frames(&["\0"]), true),
            (frames(&["\u{1}a"]), false),
            (vec![vec![0xff]], false),
            (vec![vec![0xff, 0xfe, 0xfd]], true),
            (vec!["ü".as_bytes()[..1].to_vec()], false),
            (frames(&["über"]), true),
            (vec![long[1..].to_vec()], false),
            (vec![long], true),
            (vec![longer], true),
        ]);
    });
}

fn an_empty_topic_wants_everything(pairing: Pairing) {
    pairing.each(|mut met| {
        met.subscriber.subscribe("a");
        met.subscriber.subscribe("");
        met.meet();
        met.tell(&[
            ("", true),
            ("a", true),
            ("\0", true),
            ("\u{1}a", true),
            ("b", true),
        ]);
        met.publish(&[(frames(&["", ""]), true), (frames(&["", "a"]), true)]);
        met.subscriber.unsubscribe("");
        met.await_silence(&frames(&["b"]), &frames(&["a"]));
        met.tell(&[("", false), ("b", false), ("a", true)]);
    });
}

fn what_is_subscribed_twice_is_cancelled_twice(pairing: Pairing) {
    pairing.each(|mut met| {
        met.subscriber.subscribe("a");
        met.subscriber.subscribe("end");
        met.meet();
        met.subscriber.subscribe("a");
        met.settle();
        met.tell(&[("a, but once", true), ("end", true)]);
        met.subscriber.unsubscribe("a");
        met.settle();
        met.tell(&[("a is still wanted", true), ("end", true)]);
        met.subscriber.unsubscribe("a");
        met.settle();
        met.tell(&[("a is not any more", false), ("end", true)]);
        met.subscriber.subscribe("a");
        met.settle();
        met.tell(&[("a is wanted again", true), ("end", true)]);
    });
}

fn a_topic_and_a_longer_one_are_cancelled_apart(pairing: Pairing) {
    pairing.each(|mut met| {
        for topic in ["end", "weather", "weather.london", "weather.london.west"] {
            met.subscriber.subscribe(topic);
        }
        met.meet();
        let hear = |here: bool, london: bool, west: bool| {
            met.settle();
            met.tell(&[
                ("weather.paris", here),
                ("weather.london", london),
                ("weather.london.west", west),
                ("end", true),
            ]);
        };
        hear(true, true, true);
        met.subscriber.unsubscribe("weather.london");
        hear(true, true, true);
        met.subscriber.unsubscribe("weather");
        hear(false, false, true);
        met.subscriber.subscribe("weather.london");
        hear(false, true, true);
        met.subscriber.unsubscribe("weather.london.west");
        hear(false, true, true);
        met.subscriber.unsubscribe("weather.london");
        hear(false, false, false);
    });
}

fn a_late_subscriber_hears_what_comes_after(pairing: Pairing) {
    pairing.each(|mut met| {
        met.publisher.publish(&frames(&["a, to nobody"]));
        met.meet();
        met.publisher
            .publish(&frames(&["a, to somebody who wants something else"]));
        met.subscriber.subscribe("a");
        met.settle();
        met.tell(&[("a, in time", true)]);
    });
}

/// So many are published before the first is heard: fewer than fit in a queue.
const WINDOW: u32 = 400;

fn messages_arrive_whole_and_in_order(pairing: Pairing) {
    pairing.each(|mut met| {
        met.subscriber.subscribe("topic");
        met.subscriber.subscribe(body(0));
        met.meet();
        let topic = b"topic".to_vec();
        let large = |byte: u8| vec![byte; 1 << 20];
        let mut long = topic.clone();
        long.resize(70_000, b'.');
        met.publish(&[
            (frames(&["topic", "", "", "between", "", ""]), true),
            (vec![topic.clone(), vec![b's'; 255], vec![b'l'; 256]], true),
            (vec![topic.clone(), large(1), Vec::new(), large(2)], true),
            (vec![long], true),
            (
                [topic.clone()].into_iter().chain((0..200).map(body)).collect(),
                true,
            ),
        ]);
        for start in (0..WINDOW * 5).step_by(WINDOW as usize) {
            let numbers = start..start + WINDOW;
            let (mut expected, mut got) = (Checksum::default(), Checksum::default());
            for number in numbers.clone() {
                expected.add(&body(number));
                met.publisher.publish(&[topic.clone(), body(number)]);
            }
            numbers.for_each(|_| got.add(&met.subscriber.hear()[1]));
            assert_eq!(got, expected);
        }
    });
}
