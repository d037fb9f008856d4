//! One side goes away and comes back: subscriptions are told again, all of them, and what was lost is taken back.

use std::time::Duration;

use aqueduct::{Pub, Sub, XSub};
use aqueduct_interop::{
    Classic, Form, Frames, LONG, Library, Link, Plug, Publisher, Subscriber, Via, await_loss, bounded,
    cancellation, frames, keen, subscription,
};
use zmq::SocketEvent;

/// Runs a script over each transport, for each library as the one that publishes, and each pair of forms.
fn each(script: impl Fn(Via, Library, [Form; 2]) + Send + 'static) {
    bounded(move || {
        for via in Via::ALL {
            for library in Library::ALL {
                for publisher in Form::ALL {
                    for subscriber in Form::ALL {
                        println!("{via:?}, {library:?} publishes, {publisher:?} to {subscriber:?}");
                        script(via, library, [publisher, subscriber]);
                    }
                }
            }
        }
    });
}

/// How long to wait before trying once more.
const MOMENT: Duration = Duration::from_millis(10);

/// What is heard by a subscriber to `a` and `b`, once it has subscribed, and no more to `c`.
fn check(publisher: &Publisher, subscriber: &Subscriber, round: u32) {
    let number = round.to_string();
    for topic in ["a", "c", "b"] {
        publisher.publish(&frames(&[topic, &number]));
    }
    assert_eq!(subscriber.hear(), frames(&["a", &number]));
    assert_eq!(subscriber.hear(), frames(&["b", &number]));
}

#[test]
fn a_publisher_that_restarts_is_told_again() {
    each(|via, library, forms| {
        let (anywhere, _home) = via.anywhere();
        let subscriber = Subscriber::new(library.other(), forms[1]);
        ["a", "b", "c"]
            .iter()
            .for_each(|topic| subscriber.subscribe(topic));
        subscriber.unsubscribe("c");
        let mut endpoint = anywhere;
        for round in 0..4 {
            let publisher = Publisher::new(library, forms[0]);
            endpoint = publisher.plug(&endpoint);
            if round == 0 {
                subscriber.plug_into(&endpoint);
            }
            subscriber.settle(&publisher);
            check(&publisher, &subscriber, round);
        }
    });
}

#[test]
fn a_publisher_that_connects_anew_is_told_by_a_bound_subscriber() {
    each(|via, library, forms| {
        let subscriber = Subscriber::new(library.other(), forms[1]);
        ["a", "b"].iter().for_each(|topic| subscriber.subscribe(topic));
        let (anywhere, _home) = via.anywhere();
        let endpoint = subscriber.plug(&anywhere);
        for round in 0..4 {
            let publisher = Publisher::new(library, forms[0]);
            publisher.plug_into(&endpoint);
            subscriber.settle(&publisher);
            check(&publisher, &subscriber, round);
        }
    });
}

#[test]
fn a_subscriber_that_connects_anew_is_heard_and_the_old_one_is_forgotten() {
    each(|via, library, [_, form]| {
        let xpub = Publisher::new(library, Form::Raw);
        let (anywhere, _home) = via.anywhere();
        let endpoint = xpub.plug(&anywhere);
        for round in 0..4 {
            let subscriber = Subscriber::new(library.other(), form);
            subscriber.plug_into(&endpoint);
            for topic in ["a", "b"] {
                subscriber.subscribe(topic);
                assert_eq!(xpub.hear(), [subscription(topic.as_bytes())]);
            }
            check(&xpub, &subscriber, round);
            drop(subscriber);
            let mut lost: Vec<Frames> = vec![xpub.hear(), xpub.hear()];
            lost.sort();
            assert_eq!(lost, [[cancellation(b"a")], [cancellation(b"b")]]);
        }
    });
}

#[test]
fn what_changes_while_the_publisher_is_away_is_told_as_it_is_then() {
    bounded(|| {
        for via in Via::ALL {
            let (anywhere, _home) = via.anywhere();
            // Ours subscribes.
            let (xsub, first) = (keen(XSub::builder()).build(), Classic::new(zmq::XPUB));
            let monitor = xsub.monitor();
            let endpoint = first.bind(&anywhere);
            xsub.connect(endpoint.as_str()).unwrap();
            ["a", "b"].iter().for_each(|topic| xsub.subscribe(topic).unwrap());
            assert_eq!(first.recv_frames(), [subscription(b"a")]);
            drop(first);
            await_loss(&monitor);
            assert!(xsub.unsubscribe("a"));
            xsub.subscribe("c").unwrap();
            let second = Classic::new(zmq::XPUB);
            assert_eq!(second.bind(&endpoint), endpoint);
            assert_eq!(second.recv_frames(), [subscription(b"b")]);
            assert_eq!(second.recv_frames(), [subscription(b"c")]);
            drop((xsub, second));

            // Ours publishes.
            let (anywhere, _home) = via.anywhere();
            let (first, sub) = (keen(Pub::builder()).build(), Classic::new(zmq::SUB));
            let witness = sub.witness();
            let endpoint = first.bind(anywhere.as_str()).unwrap().to_string();
            sub.connect(&endpoint);
            ["a", "b"]
                .iter()
                .for_each(|topic| sub.subscribe(topic.as_bytes()));
            first.wait_for_subscribers("b", 1, LONG).unwrap();
            drop(first.close());
            witness.expect(SocketEvent::DISCONNECTED);
            sub.unsubscribe(b"a");
            sub.subscribe(b"c");
            let second = keen(Pub::builder()).build();
            second.bind(endpoint.as_str()).unwrap();
            while second.wait_for_subscribers("c", 1, MOMENT).is_err() {
                // A socket of libzmq takes note of its peers when it is used.
                sub.look();
            }
            assert_eq!(second.subscribers("b"), 1);
            assert_eq!(second.subscribers("a"), 0);
        }
    });
}

/// More than a queue holds.
const TOPICS: usize = 5_000;

#[test]
fn a_classic_publisher_is_told_of_more_topics_than_a_queue_holds_each_time_it_comes() {
    Link::each(|link| {
        let sub = keen(Sub::builder()).build();
        let wired = link.bind(&sub);
        for at in 0..TOPICS {
            sub.subscribe(format!("topic {at:05}.")).unwrap();
        }
        for _ in 0..2 {
            let xpub = Classic::new(zmq::XPUB);
            xpub.plug_into(&wired.endpoint);
            for at in 0..TOPICS {
                assert_eq!(
                    xpub.recv_frames(),
                    [subscription(format!("topic {at:05}.").as_bytes())]
                );
            }
            let last = format!("topic {:05}.", TOPICS - 1);
            xpub.send(last.as_bytes());
            assert_eq!(sub.recv().unwrap(), last.as_str());
        }
    });
}
