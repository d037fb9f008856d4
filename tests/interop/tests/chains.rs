//! Chains of REQ, brokers and REP, with either library in each place: every reply finds the way back to who asked.

use std::thread;

use aqueduct::{Rep, Req};
use aqueduct_interop::{
    Back, Broker, Classic, Frames, Kind, Library, Link, Peer, Plug, bounded, frames, keen, message, words,
};

/// How a client asks.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Sends and receives.
    InTurn,
    /// Each request has an id that its reply must bring back.
    Correlated,
}

/// Starts a client that asks everything and checks what it hears.
fn client(library: Library, way: Way, name: &'static str, front: &str) -> thread::JoinHandle<()> {
    let ask: Box<dyn Fn(&Frames) -> Frames + Send> = match (library, way) {
        (_, Way::InTurn) => {
            let req = Peer::new(library, Kind::Req);
            req.plug_into(front);
            Box::new(move |request| {
                req.say(request);
                req.hear()
            })
        }
        (Library::Ours, Way::Correlated) => {
            let req = keen(Req::builder()).build();
            req.connect(front).unwrap();
            Box::new(move |request| words(&req.request(message(request)).unwrap()))
        }
        (Library::Classic, Way::Correlated) => {
            let req = Classic::with(zmq::REQ, |socket| socket.set_req_correlate(true));
            req.connect(front);
            Box::new(move |request| {
                req.send_frames(request);
                req.recv_frames()
            })
        }
    };
    thread::spawn(move || {
        for request in requests(name) {
            let reply = ask(&request);
            assert!(reply == answer(request), "{name} hears what it has not asked");
        }
    })
}

/// What a client asks: no two ask the same, and empty frames of their own must not be taken for envelopes.
fn requests(name: &str) -> Vec<Frames> {
    let mut all: Vec<_> = (0..20)
        .map(|number| frames(&[name, &format!("request {number}")]))
        .collect();
    all.push(frames(&["", name, ""]));
    all.push(frames(&[""]));
    all.push(vec![name.as_bytes().to_vec(), vec![7; 1 << 20]]);
    all
}

fn answer(mut request: Frames) -> Frames {
    request.push(b"answered".to_vec());
    request
}

/// Starts a server that answers so many requests.
fn server(rep: Peer, count: usize) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for _ in 0..count {
            let request = rep.hear();
            rep.say(&answer(request));
        }
    })
}

/// Runs four clients and a server at the two ends of whatever is between them.
fn converse(asks: Library, front: &str, rep: Peer) {
    let ways = [
        (Way::InTurn, "one"),
        (Way::InTurn, "two"),
        (Way::Correlated, "three"),
        (Way::Correlated, "four"),
    ];
    let count: usize = ways.iter().map(|(_, name)| requests(name).len()).sum();
    let server = server(rep, count);
    let clients = ways.map(|(way, name)| client(asks, way, name, front));
    clients
        .into_iter()
        .for_each(|client| client.join().expect("heard all"));
    server.join().expect("answered all");
}

/// Which end of a link is bound does not matter to messages, but to sockets it does.
#[derive(Clone, Copy, Debug)]
enum BoundAtTheBack {
    Broker,
    Server,
}

fn one_broker(link: Link, bound: BoundAtTheBack) {
    for [asks, passes, answers] in Library::mixes() {
        println!("{asks:?} REQ, {passes:?} broker, {answers:?} REP, over {link:?}, {bound:?} bound");
        let rep = Peer::new(answers, Kind::Rep);
        match bound {
            BoundAtTheBack::Broker => {
                let broker = Broker::start(passes, link, Back::Bound(link));
                rep.plug_into(broker.back());
                converse(asks, broker.front(), rep);
            }
            BoundAtTheBack::Server => {
                let wired = link.bind(&rep);
                let broker = Broker::start(passes, link, Back::To(&wired.endpoint));
                converse(asks, broker.front(), rep);
            }
        }
    }
}

#[test]
fn requests_pass_a_broker_over_tcp() {
    bounded(|| one_broker(Link::Tcp, BoundAtTheBack::Broker));
}

#[test]
fn requests_pass_a_broker_over_ipc() {
    bounded(|| one_broker(Link::Ipc, BoundAtTheBack::Broker));
}

#[test]
fn requests_pass_a_broker_in_the_words_of_zmtp_3_0() {
    bounded(|| one_broker(Link::Old, BoundAtTheBack::Broker));
}

#[test]
fn requests_pass_a_broker_that_connects_to_the_server_over_tcp() {
    bounded(|| one_broker(Link::Tcp, BoundAtTheBack::Server));
}

#[test]
fn requests_pass_a_broker_that_connects_to_the_server_over_ipc() {
    bounded(|| one_broker(Link::Ipc, BoundAtTheBack::Server));
}

#[test]
fn requests_pass_two_brokers() {
    bounded(|| {
        for [asks, first, second, answers] in Library::mixes() {
            println!("{asks:?} REQ, {first:?} broker, {second:?} broker, {answers:?} REP");
            let rep = Peer::new(answers, Kind::Rep);
            let wired = Link::Ipc.bind(&rep);
            let second = Broker::start(second, Link::Tcp, Back::To(&wired.endpoint));
            let first = Broker::start(first, Link::Ipc, Back::To(second.front()));
            converse(asks, first.front(), rep);
        }
    });
}

#[test]
fn replies_of_our_rep_overtake_each_other_on_their_way_back_through_a_classic_broker() {
    bounded(|| {
        for asks in Library::ALL {
            let rep = keen(Rep::builder()).build();
            let broker = Broker::start(Library::Classic, Link::Tcp, Back::Bound(Link::Ipc));
            rep.connect(broker.back()).unwrap();
            let clients = ["one", "two", "three"].map(|name| (name, Peer::new(asks, Kind::Req)));
            let mut open = Vec::new();
            for (name, req) in &clients {
                req.plug_into(broker.front());
                req.say(&frames(&[name]));
                open.push(rep.recv().unwrap());
            }
            for (request, reply) in open.into_iter().rev() {
                reply.send(request).unwrap();
            }
            for (name, req) in &clients {
                assert_eq!(req.hear(), frames(&[name]));
            }
            assert_eq!(rep.stats().unanswered, 0);
        }
    });
}
