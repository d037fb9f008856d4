//! Forwarders between publishers and subscribers, with either library in each place: what is published goes one way, and
//! what is wanted the other.

use aqueduct_interop::{
    Back, Broker, Form, Library, Link, Plug, Publisher, Subscriber, bounded, cancellation, frames,
    subscription,
};

/// How many are published at once: fewer than fit in a queue.
const WINDOW: u32 = 300;

/// Has two publishers of a library and two subscribers of a library talk through whatever is between them.
fn converse(publishes: Library, front: &str, subscribes: Library, back: &str) {
    let xpub = Publisher::new(publishes, Form::Raw);
    let quiet = Publisher::new(publishes, Form::Raw);
    let (sub, xsub) = (
        Subscriber::new(subscribes, Form::Plain),
        Subscriber::new(subscribes, Form::Raw),
    );
    xpub.plug_into(front);
    quiet.plug_into(front);
    sub.plug_into(back);
    xsub.plug_into(back);
    let hears = |said: Vec<u8>| {
        for publisher in [&xpub, &quiet] {
            assert_eq!(publisher.hear(), std::slice::from_ref(&said));
        }
    };
    sub.subscribe("a");
    hears(subscription(b"a"));
    xsub.subscribe("ab");
    hears(subscription(b"ab"));

    for number in 0..WINDOW {
        let number = number.to_string();
        for topic in ["a", "b", "ab"] {
            xpub.publish(&frames(&[topic, &number, ""]));
        }
    }
    for number in 0..WINDOW {
        let number = number.to_string();
        assert_eq!(sub.hear(), frames(&["a", &number, ""]));
        assert_eq!(sub.hear(), frames(&["ab", &number, ""]));
        assert_eq!(xsub.hear(), frames(&["ab", &number, ""]));
    }
    quiet.publish(&frames(&["a, from another"]));
    assert_eq!(sub.hear(), frames(&["a, from another"]));

    sub.unsubscribe("a");
    hears(cancellation(b"a"));
    sub.subscribe("end");
    hears(subscription(b"end"));
    for body in ["a", "abc", "end"] {
        xpub.publish(&frames(&[body]));
    }
    assert_eq!(sub.hear(), frames(&["end"]));
    assert_eq!(xsub.hear(), frames(&["abc"]));
    // What is lost with a connection is taken back all the way.
    drop(xsub);
    hears(cancellation(b"ab"));
}

fn one_forwarder(link: Link) {
    for [publishes, front, back, subscribes] in Library::mixes() {
        println!("{publishes:?} XPUB, {front:?} XSUB, {back:?} XPUB, {subscribes:?} SUB, over {link:?}");
        let forwarder = Broker::forwarder([front, back], link, Back::Bound(link));
        converse(publishes, forwarder.front(), subscribes, forwarder.back());
    }
}

#[test]
fn topics_pass_a_forwarder_over_tcp() {
    bounded(|| one_forwarder(Link::Tcp));
}

#[test]
fn topics_pass_a_forwarder_over_ipc() {
    bounded(|| one_forwarder(Link::Ipc));
}

#[test]
fn topics_pass_a_forwarder_in_the_words_of_zmtp_3_0() {
    bounded(|| one_forwarder(Link::Old));
}

#[test]
fn topics_pass_two_forwarders() {
    bounded(|| {
        for [publishes, one, other, subscribes] in Library::mixes() {
            println!("{publishes:?} XPUB, {one:?} and {other:?} forwarders, {subscribes:?} SUB");
            let second = Broker::forwarder([other; 2], Link::Tcp, Back::Bound(Link::Ipc));
            let first = Broker::forwarder([one; 2], Link::Ipc, Back::To(second.front()));
            converse(publishes, first.front(), subscribes, second.back());
        }
    });
}

#[test]
fn topics_pass_two_mixed_forwarders() {
    bounded(|| {
        for [publishes, subscribes] in Library::mixes() {
            for [one, other] in Library::mixes() {
                let second = Broker::forwarder([other, other.other()], Link::Ipc, Back::Bound(Link::Tcp));
                let first = Broker::forwarder([one, one.other()], Link::Tcp, Back::To(second.front()));
                converse(publishes, first.front(), subscribes, second.back());
            }
        }
    });
}

#[test]
fn what_a_subscriber_says_passes_a_forwarder() {
    bounded(|| {
        for [publishes, front, back, subscribes] in Library::mixes() {
            let forwarder = Broker::forwarder([front, back], Link::Tcp, Back::Bound(Link::Ipc));
            let xpub = Publisher::new(publishes, Form::Raw);
            let xsub = Subscriber::new(subscribes, Form::Raw);
            xpub.plug_into(forwarder.front());
            xsub.plug_into(forwarder.back());
            xsub.subscribe("topic");
            assert_eq!(xpub.hear(), [subscription(b"topic")]);
            for said in [frames(&["hello"]), frames(&["several", "", "frames"])] {
                xsub.say(&said);
                assert_eq!(xpub.hear(), said);
            }
        }
    });
}
