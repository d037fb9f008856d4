//! Publishers and subscribers of either library, spoken to in the same way.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aqueduct::{Message, Pub, RecvError, SocketStats, Sub, WaitError, XPub, XPubEvent, XSub};
use zmq::Socket;

use crate::{Classic, Frames, LONG, Library, Plug, keen, message, words};

/// The two forms in which a publisher and a subscriber come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// PUB and SUB.
    Plain,
    /// XPUB and XSUB: subscriptions are messages, and the subscriber has no filter of its own.
    Raw,
}

/// A PUB or XPUB of one of the two libraries.
pub struct Publisher(Source);

enum Source {
    Pub(Pub),
    XPub(XPub),
    Classic(Classic, Form),
}

/// A SUB or XSUB of one of the two libraries.
pub struct Subscriber(Target);

enum Target {
    Sub(Sub),
    XSub(XSub),
    Classic(Classic, Form),
}

/// The last frame of a message that only asks whether somebody hears.
const KNOCK: &[u8] = b"do you hear me?";

/// How long to wait for the answer before asking again.
const MOMENT: Duration = Duration::from_millis(10);

/// A subscription as the message in which it travels.
#[must_use]
pub fn subscription(topic: &[u8]) -> Vec<u8> {
    [&[1], topic].concat()
}

/// A cancellation as the message in which it travels.
#[must_use]
pub fn cancellation(topic: &[u8]) -> Vec<u8> {
    [&[0], topic].concat()
}

impl Form {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Plain, Self::Raw];
}

impl Publisher {
    /// Makes a publisher with the options that all tests share.
    #[must_use]
    pub fn new(library: Library, form: Form) -> Self {
        match (library, form) {
            (Library::Ours, Form::Plain) => keen(Pub::builder()).build().into(),
            (Library::Ours, Form::Raw) => keen(XPub::builder()).build().into(),
            (Library::Classic, _) => Self::classic(form, |_| Ok(())),
        }
    }

    /// Makes a publisher of libzmq.
    #[must_use]
    pub fn classic(form: Form, configure: impl FnOnce(&Socket) -> zmq::Result<()>) -> Self {
        let kind = if form == Form::Raw { zmq::XPUB } else { zmq::PUB };
        Self(Source::Classic(Classic::with(kind, configure), form))
    }

    /// Publishes a message.
    ///
    /// # Panics
    ///
    /// It cannot.
    pub fn publish(&self, frames: &[Vec<u8>]) {
        match &self.0 {
            Source::Pub(ours) => ours.send(message(frames)).expect("sent"),
            Source::XPub(ours) => ours.send(message(frames)).expect("sent"),
            Source::Classic(classic, _) => classic.send_frames(frames),
        }
    }

    /// Hears, as an XPUB, what a subscriber says.
    ///
    /// # Panics
    ///
    /// It is a PUB.
    #[must_use]
    pub fn hear(&self) -> Frames {
        match &self.0 {
            Source::XPub(ours) => words(&ours.recv().expect("an event").into_message()),
            Source::Classic(classic, Form::Raw) => classic.recv_frames(),
            Source::Pub(_) | Source::Classic(..) => panic!("a PUB hears nothing"),
        }
    }

    /// Hears, as an XPUB, what a subscriber says, if it is said soon.
    ///
    /// # Panics
    ///
    /// It is a PUB.
    #[must_use]
    pub fn hear_within(&self, moment: Duration) -> Option<Frames> {
        match &self.0 {
            Source::XPub(ours) => heard(ours.recv_timeout(moment).map(XPubEvent::into_message)),
            Source::Classic(classic, Form::Raw) => classic.recv_frames_within(moment),
            Source::Pub(_) | Source::Classic(..) => panic!("a PUB hears nothing"),
        }
    }

    /// Returns when a subscriber that is the only one for a topic has been heard on it. An XPUB of libzmq hears all that
    /// was said before, too; then it is gone.
    ///
    /// # Panics
    ///
    /// It is not heard.
    pub fn await_subscriber(&self, topic: &[u8], subscriber: &Subscriber) {
        let deadline = Instant::now() + LONG;
        while !self.has_heard(topic, subscriber) {
            assert!(Instant::now() < deadline, "nobody subscribes to {topic:?}");
        }
    }

    fn has_heard(&self, topic: &[u8], subscriber: &Subscriber) -> bool {
        let came = match &self.0 {
            Source::Pub(ours) => ours.wait_for_subscribers(topic, 1, MOMENT),
            Source::XPub(ours) => ours.wait_for_subscribers(topic, 1, MOMENT),
            Source::Classic(classic, Form::Raw) => {
                let heard = classic.recv_frames_within(MOMENT);
                subscriber.look();
                return heard.is_some_and(|heard| heard == [subscription(topic)]);
            }
            Source::Classic(classic, Form::Plain) => {
                // A PUB of libzmq does not tell whom it knows.
                classic.send_frames(&[topic.to_vec(), KNOCK.to_vec()]);
                let heard = subscriber.hear_within(MOMENT);
                assert!(heard.as_ref().is_none_or(is_knock), "not heard before: {heard:?}");
                return heard.is_some();
            }
        };
        subscriber.look();
        match came {
            Ok(()) => true,
            Err(WaitError::Timeout { .. }) => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// Returns the counters of a socket of ours.
    #[must_use]
    pub fn stats(&self) -> Option<SocketStats> {
        match &self.0 {
            Source::Pub(ours) => Some(ours.stats()),
            Source::XPub(ours) => Some(ours.stats()),
            Source::Classic(..) => None,
        }
    }
}

/// What came of waiting at a socket of ours.
fn heard(received: Result<Message, RecvError>) -> Option<Frames> {
    match received {
        Ok(message) => Some(words(&message)),
        Err(RecvError::Timeout) => None,
        Err(error) => panic!("{error}"),
    }
}

fn is_knock(frames: &Frames) -> bool {
    frames.last().is_some_and(|frame| frame == KNOCK)
}

impl Subscriber {
    /// Makes a subscriber with the options that all tests share.
    #[must_use]
    pub fn new(library: Library, form: Form) -> Self {
        match (library, form) {
            (Library::Ours, Form::Plain) => keen(Sub::builder()).build().into(),
            (Library::Ours, Form::Raw) => keen(XSub::builder()).build().into(),
            (Library::Classic, _) => Self::classic(form, |_| Ok(())),
        }
    }

    /// Makes a subscriber of libzmq.
    #[must_use]
    pub fn classic(form: Form, configure: impl FnOnce(&Socket) -> zmq::Result<()>) -> Self {
        let kind = if form == Form::Raw { zmq::XSUB } else { zmq::SUB };
        Self(Target::Classic(Classic::with(kind, configure), form))
    }

    /// Subscribes to a topic, once more.
    ///
    /// # Panics
    ///
    /// It cannot.
    pub fn subscribe(&self, topic: impl AsRef<[u8]>) {
        let topic = topic.as_ref();
        match &self.0 {
            Target::Sub(ours) => ours.subscribe(topic).expect("subscribed"),
            Target::XSub(ours) => ours.subscribe(topic).expect("subscribed"),
            Target::Classic(classic, Form::Plain) => classic.subscribe(topic),
            Target::Classic(classic, Form::Raw) => classic.send(&subscription(topic)),
        }
    }

    /// Takes a subscription back.
    ///
    /// # Panics
    ///
    /// There is none.
    pub fn unsubscribe(&self, topic: impl AsRef<[u8]>) {
        let topic = topic.as_ref();
        match &self.0 {
            Target::Sub(ours) => assert!(ours.unsubscribe(topic)),
            Target::XSub(ours) => assert!(ours.unsubscribe(topic)),
            Target::Classic(classic, Form::Plain) => classic.unsubscribe(topic),
            Target::Classic(classic, Form::Raw) => classic.send(&cancellation(topic)),
        }
    }

    /// Says something to its publishers, as an XSUB.
    ///
    /// # Panics
    ///
    /// It is a SUB.
    pub fn say(&self, frames: &[Vec<u8>]) {
        match &self.0 {
            Target::XSub(ours) => ours.send(message(frames)).expect("sent"),
            Target::Classic(classic, Form::Raw) => classic.send_frames(frames),
            Target::Sub(_) | Target::Classic(..) => panic!("a SUB says nothing"),
        }
    }

    /// Hears what is published.
    #[must_use]
    pub fn hear(&self) -> Frames {
        loop {
            let heard = match &self.0 {
                Target::Sub(ours) => words(&ours.recv().expect("received")),
                Target::XSub(ours) => words(&ours.recv().expect("received")),
                Target::Classic(classic, _) => classic.recv_frames(),
            };
            if !is_knock(&heard) {
                return heard;
            }
        }
    }

    /// Hears whatever comes soon, be it of no meaning.
    #[must_use]
    pub fn hear_within(&self, moment: Duration) -> Option<Frames> {
        match &self.0 {
            Target::Sub(ours) => heard(ours.recv_timeout(moment)),
            Target::XSub(ours) => heard(ours.recv_timeout(moment)),
            Target::Classic(classic, _) => classic.recv_frames_within(moment),
        }
    }

    /// A socket of libzmq takes note of a peer that has connected to it when it is used, and not before.
    fn look(&self) {
        if let Target::Classic(classic, _) = &self.0 {
            classic.look();
        }
    }

    /// Returns when a publisher knows all that this wants and does not want any more. Somebody who wants everything cannot
    /// tell when it has been heard on something else.
    pub fn settle(&self, publisher: &Publisher) {
        static FENCES: AtomicU64 = AtomicU64::new(0);
        // Topics that are told to somebody new come in the order of their bytes: this one is the last.
        let number = FENCES.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let fence = [&[0xff; 8][..], &number].concat();
        self.subscribe(&fence);
        publisher.await_subscriber(&fence, self);
    }

    /// Returns the counters of a socket of ours.
    #[must_use]
    pub fn stats(&self) -> Option<SocketStats> {
        match &self.0 {
            Target::Sub(ours) => Some(ours.stats()),
            Target::XSub(ours) => Some(ours.stats()),
            Target::Classic(..) => None,
        }
    }
}

/// Any socket of ours, or a classic one, as a publisher or a subscriber.
macro_rules! parties {
    ($($party:ident($inside:ident): $($socket:ident)*;)*) => {$(
        impl Plug for $party {
            fn plug(&self, endpoint: &str) -> String {
                match &self.0 {
                    $($inside::$socket(ours) => ours.plug(endpoint),)*
                    $inside::Classic(classic, _) => classic.plug(endpoint),
                }
            }

            fn plug_into(&self, endpoint: &str) {
                match &self.0 {
                    $($inside::$socket(ours) => ours.plug_into(endpoint),)*
                    $inside::Classic(classic, _) => classic.plug_into(endpoint),
                }
            }
        }

        $(impl From<$socket> for $party {
            fn from(socket: $socket) -> Self {
                Self($inside::$socket(socket))
            }
        })*
    )*};
}

parties! {
    Publisher(Source): Pub XPub;
    Subscriber(Target): Sub XSub;
}
