//! Brokerless messaging sockets that speak ZeroMQ's protocol.
//!
//! Processes, threads and machines pass whole messages to each other, with no server in between. Everything is Rust, from
//! the wire up: no C library, no `unsafe`, no async runtime, and no message that gets lost without being counted. Any
//! peer that speaks ZMTP 3.0 or 3.1 can be at the other end.
//!
//! ```
//! use aqueduct::{Pull, Push};
//!
//! let pull = Pull::new();
//! let endpoint = pull.bind("tcp://127.0.0.1:0")?; // port 0 becomes one that is free
//! let push = Push::builder().send_hwm(10_000).build();
//! push.connect(&endpoint)?; // returns at once; the other end may come later
//!
//! push.send("hello")?;
//! assert_eq!(pull.recv()?, "hello");
//!
//! let report = push.close();
//! assert_eq!(report.total.handed.messages, 1);
//! assert!(report.returned.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which socket do I want?
//!
//! | You want | Socket |
//! |---|---|
//! | to share out work, each message to one of several workers | [`Push`] |
//! | to collect work or results from anybody who sends some | [`Pull`] |
//! | to tell everybody who cares about a topic | [`Pub`] |
//! | to hear of the topics that one cares about | [`Sub`] |
//! | to do either, and see who cares about what | [`XPub`], [`XSub`] |
//! | to ask a service and get its reply | [`Req`] |
//! | to be such a service | [`Rep`] |
//! | to ask many things at once, of one service or many | [`Dealer`] |
//! | to know each peer and choose whom to send to | [`Router`] |
//! | to join exactly two | [`Pair`] |
//!
//! The [guide] has a picture of each, and more. Either end may [`bind`](Push::bind), and the other
//! [`connect`](Push::connect)s: usually the one that is longer there binds.
//! An [`Endpoint`] is `tcp://host:port` between machines, `ipc://path` between processes, and `inproc://name` between
//! the threads of one process.
//!
//! # Blocking and async
//!
//! Each verb comes in four kinds: [`send`](Push::send) waits, [`try_send`](Push::try_send) does not,
//! [`send_timeout`](Push::send_timeout) waits for a time, and [`send_async`](Push::send_async) returns a future that
//! runs on any executor; likewise for [`recv`](Pull::recv). Sockets are `Clone + Send + Sync`: use one from as many
//! threads and tasks as you like.
//!
//! A [`Poller`] waits for many sockets, file descriptors and timers at once. A [`Notifier`] is a socket as a file
//! descriptor, for an event loop of your own.
//!
//! Beside the verbs there are callbacks: [`on_message`](Pull::on_message) has a function called with each message, until
//! the [`Registration`] is dropped. With the feature `futures`, `stream()` and `sink()` return a `Stream` of what a socket
//! receives and a `Sink` for what it sends. A [`Proxy`] joins two sockets and passes on what comes.
//!
//! # Back-pressure and what becomes of messages
//!
//! Queues are bounded, by default to 1,000 messages and 64 MiB for each peer. When all are full, `send` waits: nothing
//! is thrown away for want of room, but what a publisher's slow subscribers miss, by a
//! [policy](Builder::slow_subscribers) of your choice. Each message that `send` accepted is in one place: handed to a
//! transport, queued, dropped for a [`DropReason`], or returned by [`close`](Push::close) in the [`CloseReport`].
//! [`stats`](Push::stats) shows the counts at any time ([`SocketStats`], [`PeerStats`], [`Traffic`]), and
//! [`monitor`](Push::monitor) what happens to connections, as a stream of [`Event`]s. Connections that are lost are
//! made again; options such as linger, heartbeats and limits are set on a [`Builder`].
//!
//! # The layers
//!
//! ```text
//!   Push, Pull, Poller     socket     the verbs, one lock, and those who wait
//!                          pattern    who gets the next message: one page for each socket type
//!   Message, Frame         pipe       a pair of bounded queues for each peer, where both halves meet
//!                          zmtp       bytes of one peer into messages and back; knows no clock and no stream
//!                          reactor    connections, timers, and the threads that take turns to run them
//!   Endpoint               transport  byte streams over tcp and ipc; inproc joins two sockets by one pipe
//!   Context                context    what sockets share: I/O threads and inproc names
//! ```
//!
//! A caller that waits runs connections itself; the I/O thread of the [`Context`] does what no caller does.
//! `docs/ARCHITECTURE.md` is a tour of the code, and `docs/DESIGN.md` has the reasons.

// Nothing that a peer or an application does may panic; tests may.
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::todo,
        clippy::dbg_macro,
        clippy::print_stdout,
        clippy::indexing_slicing
    )
)]

/// The code in the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;

#[cfg(feature = "curve")]
mod allow_list;
mod allowance;
#[cfg(aqueduct_bench)]
#[doc(hidden)]
pub mod bench_internals;
mod context;
mod endpoint;
mod error;
pub mod guide;
#[cfg(feature = "curve")]
mod keys;
mod message;
mod monitor;
mod options;
mod pattern;
mod peer;
mod pipe;
mod pool;
mod queue;
mod rate;
mod reactor;
mod recycle;
mod security;
#[cfg(any(test, fuzzing))]
mod simulation;
mod slab;
mod socket;
mod stats;
mod sync;
mod transport;
#[cfg(feature = "curve")]
mod z85;
mod zap;
mod zmtp;

#[cfg(feature = "curve")]
pub use allow_list::AllowList;
#[cfg(unix)]
pub use context::Driver;
pub use context::{Context, block_on};
pub use endpoint::{Endpoint, Host, IntoEndpoint, IpcEndpoint, TcpEndpoint};
pub use error::{
    BindError, ConnectError, DetachError, DisconnectReason, EndpointError, PollError, PropertyError,
    RecvError, ReplyError, ReqRecvError, ReqSendError, RequestError, RouteError, SendError, SendManyError,
    SubscribeError, TryRecvError, TryRouteError, TrySendError, WaitError,
};
#[cfg(feature = "curve")]
pub use keys::{KeyError, KeyPair, PublicKey, SecretKey};
pub use message::{Frame, INLINE_CAPACITY, Message};
pub use monitor::Event;
pub use options::{Keepalive, SlowPolicy, Verbosity};
pub use pattern::{RouterEvent, SubscriberId, XPubEvent};
pub use peer::{PeerInfo, ProcessCredentials, RoutingId, SocketType};
pub use security::{AllowAny, AuthRequest, Authenticator, Credentials, Decision, Denial, User};
#[cfg(unix)]
pub use socket::Notifier;
pub use socket::{
    Buildable, Builder, CallbackPanic, Dealer, DealerReceiver, DealerSender, Interest, Monitor, Pair,
    PairReceiver, PairSender, Pollable, Poller, Proxy, ProxyCapture, ProxyControl, ProxyEnd, ProxyReport,
    ProxySocket, ProxyStats, Pub, Pull, Push, Ready, ReadyList, Registration, Rep, Reply, Req, Router,
    RouterReceiver, RouterSender, RunningProxy, Sub, TryReplyError, XPub, XPubReceiver, XPubSender, XSub,
    XSubReceiver, XSubSender, Zap, proxy,
};
#[cfg(feature = "futures")]
pub use socket::{RecvStream, SendSink};
pub use stats::{CloseReport, Count, DropReason, Drops, Endings, PeerStats, SocketStats, Traffic};

/// The claims that the fuzzers check; not part of the library.
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing {
    /// Drops the buffers that this thread and the process keep for later, so that what an input holds can be told.
    pub fn forget_buffers() {
        crate::pool::forget();
        crate::recycle::forget();
    }

    /// How a greeting is cut does not matter.
    pub fn greeting(data: &[u8]) {
        crate::zmtp::fuzzing::greeting(data);
    }

    /// How a stream of frames is cut does not matter.
    pub fn decoder(data: &[u8]) {
        crate::zmtp::fuzzing::decoder(data);
    }

    /// Commands parse to what they are emitted from.
    pub fn command(data: &[u8]) {
        crate::zmtp::fuzzing::command(data);
    }

    /// Nothing that a peer does breaks a connection.
    pub fn connection(data: &[u8]) {
        crate::zmtp::fuzzing::connection(data);
    }

    /// Nothing that a peer does breaks a connection with CURVE.
    #[cfg(feature = "curve")]
    pub fn curve(data: &[u8]) {
        crate::zmtp::fuzzing::curve(data);
    }

    /// Beside the key in a file there is white space.
    #[cfg(feature = "curve")]
    pub fn allow_list(data: &[u8]) {
        crate::allow_list::fuzzing(data);
    }

    /// An answer of a ZAP handler that counts is what one would write.
    pub fn zap_reply(data: &[u8]) {
        crate::zap::fuzzing(data);
    }

    /// Text that is read is what would be written.
    #[cfg(feature = "curve")]
    pub fn z85(data: &[u8]) {
        crate::z85::fuzzing(data);
    }

    /// Whatever is done with a pipe, it stays a bounded queue and wakes whoever sleeps.
    pub fn ring(data: &[u8]) {
        crate::pipe::fuzzing::ring(data);
    }

    /// Both indexes of subscriptions do what a plain map would.
    pub fn subscriptions(data: &[u8]) {
        crate::pattern::subscriptions::fuzzing::subscriptions(data);
    }

    /// A routing table is a map in both directions.
    pub fn routing_table(data: &[u8]) {
        crate::pattern::fuzzing::routing_table(data);
    }

    /// Whatever peers send to a REP, each reply goes to who asked, in the envelope of the request.
    pub fn envelopes(data: &[u8]) {
        crate::pattern::fuzzing::envelopes(data);
    }

    /// Whatever peers send to a REQ, it hears the reply to its request and nothing else.
    pub fn correlation(data: &[u8]) {
        crate::pattern::fuzzing::correlation(data);
    }

    /// Whatever sockets, links and processes do, every message is where the counters say.
    pub fn world(data: &[u8]) {
        crate::simulation::world(data);
    }
}
