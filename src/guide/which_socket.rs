//! # Which socket do I want?
//!
//! A socket type is a rule: who gets the next message, and who is listened to. Start from what you want to
//! happen.
//!
//! | You want | Sockets |
//! |---|---|
//! | to share out work, or collect results | [`Push`] and [`Pull`](#share-out-work-push-and-pull) |
//! | to tell everybody who cares | [`Pub`] and [`Sub`](#tell-all-who-care-pub-and-sub) |
//! | to ask, and get an answer | [`Req`] and [`Rep`](#ask-and-answer-req-and-rep) |
//! | to ask many things at once, or to talk to many by name | [`Dealer`] and [`Router`](#talk-to-many-dealer-and-router) |
//! | to stand between those who ask and those who answer | a [broker](#stand-in-between-a-broker) |
//! | to join exactly two | two [`Pair`](#join-two-pair)s |
//!
//! All of them send whole messages, connect again when a connection is lost, and have bounded queues. Either
//! end may bind and the other connect, and either end may come first.
//!
//! # Share out work: `Push` and `Pull`
//!
#![doc = concat!("<figure>\n", include_str!("../../docs/pictures/push_pull.svg"), "</figure>")]
//!
//! A [`Push`] gives each message to one of its peers, in turn, and passes over those that have no room. A
//! [`Pull`] takes from its peers, in turn. So work goes to many and results come from many, with no more code
//! than for one; workers may come and go at any time. Nothing comes back by this way: results go by a pair of
//! sockets of their own.
//!
//! ```
//! use aqueduct::{Pull, Push};
//!
//! let work = Push::new();
//! let endpoint = work.bind("tcp://127.0.0.1:0")?;
//! let worker = Pull::new();
//! worker.connect(&endpoint)?;
//! work.send("sweep the floor")?;
//! assert_eq!(worker.recv()?, "sweep the floor");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Examples: `push_pull`, `push_pull_async`, `pipeline`.
//!
//! # Tell all who care: `Pub` and `Sub`
//!
#![doc = concat!("<figure>\n", include_str!("../../docs/pictures/pub_sub.svg"), "</figure>")]
//!
//! A [`Pub`] sends each message to all subscribers that want it. What a [`Sub`] wants are topics: it gets the
//! messages whose first frame begins with one of them, and nothing before it has subscribed. What nobody
//! wants is not sent. A subscriber that is too slow misses some, and the publisher counts them; see
//! [back-pressure](super::back_pressure#slow-subscribers). One that comes late has missed what was before:
//! see [the slow joiner](super::slow_joiner).
//!
//! [`XPub`] and [`XSub`] are the same two, but they show subscriptions as events and messages: for a proxy,
//! or for a publisher that wants to know who listens.
//!
//! ```
//! use std::time::Duration;
//! use aqueduct::{Message, Pub, Sub};
//!
//! let publisher = Pub::new();
//! let endpoint = publisher.bind("tcp://127.0.0.1:0")?;
//! let subscriber = Sub::new();
//! subscriber.subscribe("wind")?;
//! subscriber.connect(&endpoint)?;
//!
//! publisher.wait_for_subscribers("wind", 1, Duration::from_secs(10))?;
//! publisher.send(Message::from_iter(["rain", "2"]))?;
//! publisher.send(Message::from_iter(["wind", "7"]))?;
//! assert_eq!(subscriber.recv()?, Message::from_iter(["wind", "7"]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Examples: `weather`, `log_collector`, `pubsub_proxy`, `event_bus`.
//!
//! # Ask and answer: `Req` and `Rep`
//!
#![doc = concat!("<figure>\n", include_str!("../../docs/pictures/req_rep.svg"), "</figure>")]
//!
//! A [`Req`] asks one of its peers, in turn, and gets the reply of that peer. A [`Rep`] receives each request
//! together with a [`Reply`], the right to answer it: now or later, in any order, from any thread. Choose
//! these two unless you need more; with a timeout and resending ([`request`](Req::request)) they survive
//! servers that die. See [request reliability](super::request_reliability).
//!
//! ```
//! use aqueduct::{Rep, Req};
//!
//! let rep = Rep::new();
//! let endpoint = rep.bind("tcp://127.0.0.1:0")?;
//! let server = std::thread::spawn(move || {
//!     let (question, reply) = rep.recv().unwrap();
//!     assert_eq!(question, "how far to the sea?");
//!     reply.send("two miles").unwrap();
//! });
//! let req = Req::new();
//! req.connect(&endpoint)?;
//! assert_eq!(req.request("how far to the sea?")?, "two miles");
//! # server.join().unwrap();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Examples: `three_workers`, `freelance`.
//!
//! # Talk to many: `Dealer` and `Router`
//!
#![doc = concat!("<figure>\n", include_str!("../../docs/pictures/dealer_router.svg"), "</figure>")]
//!
//! A [`Dealer`] sends to its peers, in turn, and receives from all of them, without waiting for anything in
//! between: a client that has many requests open. A [`Router`] knows each peer by an id. It receives each
//! message with the id of its sender, and sends each to the id that it is given: a server that says something
//! whenever it likes, or a broker. With [`notices`](crate::Builder::notices) it is told who comes and who
//! goes.
//!
//! ```
//! use aqueduct::{Dealer, Router, RoutingId};
//!
//! let router = Router::new();
//! let endpoint = router.bind("tcp://127.0.0.1:0")?;
//! let anna = Dealer::builder().routing_id(RoutingId::new("anna").unwrap()).build();
//! anna.connect(&endpoint)?;
//! anna.send("1")?;
//! anna.send("2")?;
//!
//! let (id, first) = router.recv()?;
//! assert_eq!((id.as_bytes(), first), (&b"anna"[..], "1".into()));
//! router.send(&id, "one")?;
//! router.send(&id, "by the way")?; // not everything is an answer
//! assert_eq!(anna.recv()?, "one");
//! assert_eq!(anna.recv()?, "by the way");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Whoever has no id of its own gets one that is made up, different for each connection. Examples:
//! `load_balancer`, `task_queue`.
//!
//! # Stand in between: a broker
//!
#![doc = concat!("<figure>\n", include_str!("../../docs/pictures/broker.svg"), "</figure>")]
//!
//! Clients and servers that know only the broker can be added and taken away without telling each other. A
//! [`Router`] at the front takes requests, and a [`Dealer`] at the back shares them out; the names of those
//! who asked travel with the messages, as frames before an empty one, and bring the replies home. With a
//! second `Router` at the back, the broker chooses the worker itself. A [`Proxy`] does the passing on; see
//! [patterns](super::patterns#a-queue-between-clients-and-workers) and the example `load_balancer`.
//!
//! # Join two: `Pair`
//!
#![doc = concat!("<figure>\n", include_str!("../../docs/pictures/pair.svg"), "</figure>")]
//!
//! Two [`Pair`]s talk to each other, both ways, and to nobody else. A second peer is refused as long as the
//! first one is there, and the [monitor](Pair::monitor) tells of it. For two threads that belong together,
//! over inproc, or for a process and its child.
//!
//! ```
//! use aqueduct::Pair;
//!
//! let parent = Pair::new();
//! let endpoint = parent.bind("inproc://family")?;
//! let child = Pair::new();
//! child.connect(&endpoint)?;
//! child.send("ready")?;
//! assert_eq!(parent.recv()?, "ready");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Who talks to whom
//!
//! | | talks to | sends to | receives from | with nobody there, or no room |
//! |---|---|---|---|---|
//! | [`Push`] | `Pull` | one, in turn | – | waits |
//! | [`Pull`] | `Push` | – | all, in turn | |
//! | [`Pub`] | `Sub`, `XSub` | all who want it | – | drops, or as you choose |
//! | [`Sub`] | `Pub`, `XPub` | – | all, in turn | |
//! | [`XPub`] | `Sub`, `XSub` | all who want it | all, in turn | drops, or as you choose |
//! | [`XSub`] | `Pub`, `XPub` | all | all, in turn | drops |
//! | [`Req`] | `Rep`, `Router` | one, in turn | the one that was asked | waits |
//! | [`Rep`] | `Req`, `Dealer` | the one that asked | all, in turn | waits; gone: an error |
//! | [`Dealer`] | `Rep`, `Dealer`, `Router` | one, in turn | all, in turn | waits |
//! | [`Router`] | `Req`, `Dealer`, `Router` | the one that is named | all, in turn | waits; gone: an error |
//! | [`Pair`] | `Pair` | the other | the other | waits |
//!
//! A peer of another type is refused, by both ends, and the monitor says so.
//!
//! # Which transport?
//!
//! | Endpoint | Between | Note |
//! |---|---|---|
//! | `tcp://host:port` | machines | `bind("tcp://*:0")` picks a port and returns it |
//! | `ipc://path`, `ipc://@name` | processes of one machine | Unix; `ipc://*` picks a path |
//! | `inproc://name` | threads of one process, with the same [`Context`] | no system call is made |
//!
//! A socket can have many endpoints, of different transports.

#[cfg(doc)]
use crate::{Context, Dealer, Pair, Proxy, Pub, Pull, Push, Rep, Reply, Req, Router, Sub, XPub, XSub};
