//! What stands between others, of either library: what comes in at one end goes out at the other, both ways.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use aqueduct::{Dealer, Proxy, ProxySocket, Router, RunningProxy, XPub, XSub};

use crate::{Classic, Form, Library, Link, Plug, Publisher, Subscriber, Wired, keen};

/// Where the back of a broker meets those that answer, or that listen.
#[derive(Clone, Copy, Debug)]
pub enum Back<'a> {
    /// They connect to it.
    Bound(Link),
    /// It connects to one of them.
    To(&'a str),
}

/// A broker at work. Dropping it ends its threads and closes its sockets.
pub struct Broker {
    front: Wired,
    back: Option<Wired>,
    work: Work,
}

/// What is at work, and by what it is ended.
enum Work {
    Ours {
        _ends_when_dropped: RunningProxy,
    },
    /// The control of libzmq's own proxy.
    Classic(Classic, Option<JoinHandle<()>>),
    /// Whether the work is over.
    Mixed(Arc<AtomicBool>, Option<JoinHandle<()>>),
}

/// How long a mixed forwarder waits at one of its sockets before it looks at the other one.
const TURN: Duration = Duration::from_millis(1);

impl Broker {
    /// Starts a broker of requests with its front bound: a ROUTER in front, a DEALER at the back.
    #[must_use]
    pub fn start(library: Library, front: Link, back: Back) -> Self {
        match library {
            Library::Ours => {
                let router: Router = keen(Router::builder()).build();
                let dealer: Dealer = keen(Dealer::builder()).build();
                Self::ours(&router, &dealer, front, back)
            }
            Library::Classic => Self::classic([zmq::ROUTER, zmq::DEALER], front, back),
        }
    }

    /// Starts a forwarder of what is published: an XSUB in front, an XPUB at the back, each of its library. The front is
    /// bound.
    #[must_use]
    pub fn forwarder(libraries: [Library; 2], front: Link, back: Back) -> Self {
        match libraries {
            [Library::Ours, Library::Ours] => {
                let xsub: XSub = keen(XSub::builder()).build();
                let xpub: XPub = keen(XPub::builder()).build();
                Self::ours(&xsub, &xpub, front, back)
            }
            [Library::Classic, Library::Classic] => Self::classic([zmq::XSUB, zmq::XPUB], front, back),
            [xsub, xpub] => Self::mixed(
                Subscriber::new(xsub, Form::Raw),
                Publisher::new(xpub, Form::Raw),
                front,
                back,
            ),
        }
    }

    fn ours<F, B>(front: &F, back: &B, front_link: Link, back_link: Back) -> Self
    where
        F: ProxySocket + Plug,
        B: ProxySocket + Plug,
    {
        let (front_wired, back_wired) = (front_link.bind(front), meet(back_link, back));
        let proxy = Proxy::new(front, back).spawn().expect("a thread");
        Self {
            front: front_wired,
            back: back_wired,
            work: Work::Ours {
                _ends_when_dropped: proxy,
            },
        }
    }

    fn classic(kinds: [zmq::SocketType; 2], front_link: Link, back_link: Back) -> Self {
        let [front, back] = kinds.map(Classic::new);
        let [steered, control] = [zmq::PAIR, zmq::PAIR].map(Classic::new);
        control.connect(&steered.bind("tcp://127.0.0.1:*"));
        let (front_wired, back_wired) = (front_link.bind(&front), meet(back_link, &back));
        let thread = thread::spawn(move || front.proxy(back, steered));
        Self {
            front: front_wired,
            back: back_wired,
            work: Work::Classic(control, Some(thread)),
        }
    }

    /// A forwarder by hand: libzmq's proxy wants sockets of libzmq, and ours wants ours.
    fn mixed(front: Subscriber, back: Publisher, front_link: Link, back_link: Back) -> Self {
        let (front_wired, back_wired) = (front_link.bind(&front), meet(back_link, &back));
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        let thread = thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                while let Some(published) = front.hear_within(TURN) {
                    back.publish(&published);
                }
                while let Some(said) = back.hear_within(TURN) {
                    front.say(&said);
                }
            }
        });
        Self {
            front: front_wired,
            back: back_wired,
            work: Work::Mixed(over, Some(thread)),
        }
    }

    /// Where those that ask, or publish, connect to.
    #[must_use]
    pub fn front(&self) -> &str {
        &self.front.endpoint
    }

    /// Where those that answer, or listen, connect to.
    ///
    /// # Panics
    ///
    /// It is not bound.
    #[must_use]
    pub fn back(&self) -> &str {
        &self.back.as_ref().expect("a bound back").endpoint
    }
}

fn meet(link: Back, socket: &impl Plug) -> Option<Wired> {
    match link {
        Back::Bound(link) => Some(link.bind(socket)),
        Back::To(endpoint) => {
            socket.plug_into(endpoint);
            None
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let thread = match &mut self.work {
            Work::Ours { .. } => None,
            Work::Classic(control, thread) => {
                control.send(b"TERMINATE");
                thread.take()
            }
            Work::Mixed(over, thread) => {
                over.store(true, Ordering::Relaxed);
                thread.take()
            }
        };
        let ended = thread.map(JoinHandle::join);
        if !thread::panicking() {
            assert!(ended.is_none_or(|ended| ended.is_ok()), "the broker has failed");
        }
    }
}
