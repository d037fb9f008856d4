//! A broker of either library: a ROUTER in front, a DEALER at the back, and what comes in at one goes out at the other.

use std::thread::{self, JoinHandle};

use aqueduct::{Dealer, Message, Router, RoutingId};
use zmq::{Context, Socket};

use crate::{LONG, Library, Link, Wired, keen};

/// Where the back of a broker meets those that answer.
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
    threads: Vec<JoinHandle<()>>,
}

/// By what a broker is ended.
enum Work {
    Ours(Router, Dealer),
    /// The control of libzmq's own proxy.
    Classic(Socket),
}

impl Broker {
    /// Starts a broker with its front bound.
    #[must_use]
    pub fn start(library: Library, front: Link, back: Back) -> Self {
        match library {
            Library::Ours => Self::ours(front, back),
            Library::Classic => Self::classic(front, back),
        }
    }

    fn ours(front: Link, back: Back) -> Self {
        let router = keen(Router::builder()).build();
        let dealer = keen(Dealer::builder()).build();
        let bind_router = |text: &str| router.bind(text).expect("cannot bind").to_string();
        let bind_dealer = |text: &str| dealer.bind(text).expect("cannot bind").to_string();
        let connect = |text: &str| dealer.connect(text).expect("cannot connect");
        let (front, back) = (Wired::bound(front, bind_router), meet(back, bind_dealer, connect));
        let inwards = (router.clone(), dealer.clone());
        let outwards = inwards.clone();
        let threads = vec![
            thread::spawn(move || forward_requests(&inwards.0, &inwards.1)),
            thread::spawn(move || forward_replies(&outwards.1, &outwards.0)),
        ];
        let work = Work::Ours(router, dealer);
        Self {
            front,
            back,
            work,
            threads,
        }
    }

    fn classic(front: Link, back: Back) -> Self {
        let context = Context::new();
        let socket = |kind| context.socket(kind).expect("no classic socket");
        let [mut router, mut dealer] = [socket(zmq::ROUTER), socket(zmq::DEALER)];
        let [mut steered, control] = [socket(zmq::PAIR), socket(zmq::PAIR)];
        let long = i32::try_from(LONG.as_millis()).expect("a time that libzmq can tell");
        for socket in [&router, &dealer] {
            let prepared = socket
                .set_linger(long)
                .and_then(|()| socket.set_reconnect_ivl(20));
            prepared.expect("libzmq refuses an option");
        }
        let steering = steered
            .bind("inproc://control")
            .and_then(|()| control.connect("inproc://control"));
        steering.expect("libzmq can be steered");
        let connect = |text: &str| dealer.connect(text).expect("libzmq connects");
        let back = meet(back, |text| bind(&dealer, text), connect);
        let front = Wired::bound(front, |text| bind(&router, text));
        let threads = vec![thread::spawn(move || {
            let over = zmq::proxy_steerable(&mut router, &mut dealer, &mut steered);
            over.expect("libzmq's proxy works until it is told to end");
        })];
        let work = Work::Classic(control);
        Self {
            front,
            back,
            work,
            threads,
        }
    }

    /// Where those that ask connect to.
    #[must_use]
    pub fn front(&self) -> &str {
        &self.front.endpoint
    }

    /// Where those that answer connect to.
    ///
    /// # Panics
    ///
    /// It is not bound.
    #[must_use]
    pub fn back(&self) -> &str {
        &self.back.as_ref().expect("a bound back").endpoint
    }
}

fn bind(socket: &Socket, text: &str) -> String {
    socket.bind(text).expect("libzmq binds");
    let bound = socket.get_last_endpoint().expect("libzmq knows");
    bound.expect("endpoints are text")
}

fn meet(back: Back, bind: impl FnOnce(&str) -> String, connect: impl FnOnce(&str)) -> Option<Wired> {
    match back {
        Back::Bound(link) => Some(Wired::bound(link, bind)),
        Back::To(endpoint) => {
            connect(endpoint);
            None
        }
    }
}

/// Puts the asker's id before each request.
fn forward_requests(front: &Router, back: &Dealer) {
    while let Ok((id, request)) = front.recv() {
        let mut labelled = Message::from(id.as_bytes());
        request
            .into_frames()
            .into_iter()
            .for_each(|frame| labelled.push_back(frame));
        if back.send(labelled).is_err() {
            return;
        }
    }
}

/// Takes the asker's id off each reply.
fn forward_replies(back: &Dealer, front: &Router) {
    while let Ok(reply) = back.recv() {
        let mut frames = reply.into_frames().into_iter();
        let id = frames.next().and_then(|id| RoutingId::new(id.into_bytes()));
        // An asker that is gone needs no reply.
        let _ = front.send(&id.expect("an id"), frames.collect::<Message>());
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        match &self.work {
            Work::Ours(router, dealer) => {
                drop(router.clone().close());
                drop(dealer.clone().close());
            }
            Work::Classic(control) => {
                control.send("TERMINATE", 0).expect("libzmq can be steered");
            }
        }
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            if !thread::panicking() {
                ended.expect("the broker has not failed");
            }
        }
    }
}
