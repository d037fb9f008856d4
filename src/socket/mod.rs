//! Sockets: the typed public face, and the core that all types share.
//!
//! Contract. [`Core`](core::Core) has the one lock of a socket, around its pattern, its pipes and its waiters. It is
//! held for the few instructions that it takes to choose a pipe, and never while calling a session, a listener, a
//! dialer or an application: wake-ups are collected and fired after unlocking. A socket type is a handle whose methods
//! are the verbs that make sense for it; the verbs themselves are written once.

mod aftermath;
mod batch;
mod builder;
mod callback;
mod closing;
mod core;
mod dealer;
mod drivers;
mod endpoints;
mod hooks;
mod monitor;
#[cfg(unix)]
mod notifier;
mod pacing;
mod pair;
mod poller;
mod proxy;
mod publish;
mod pull;
mod push;
mod rep;
mod req;
mod router;
#[cfg(feature = "futures")]
mod streams;
mod subscribe;
mod verbs;
mod waiters;
mod waiting;
mod watch;
mod xpub;
mod xsub;
mod zap;

#[cfg(any(test, fuzzing))]
pub(crate) use self::core::pipe_limits;
pub use builder::{Buildable, Builder};
pub use callback::{CallbackPanic, Registration};
pub use dealer::{Dealer, DealerReceiver, DealerSender};
pub use monitor::Monitor;
#[cfg(unix)]
pub use notifier::Notifier;
pub use pair::{Pair, PairReceiver, PairSender};
pub use poller::{Poller, Ready, ReadyList};
pub use proxy::{
    Proxy, ProxyCapture, ProxyControl, ProxyEnd, ProxyReport, ProxySocket, ProxyStats, RunningProxy, proxy,
};
pub use publish::Pub;
pub use pull::Pull;
pub use push::Push;
pub use rep::{Rep, Reply, TryReplyError};
pub use req::Req;
pub use router::{Router, RouterReceiver, RouterSender};
#[cfg(feature = "futures")]
pub use streams::{RecvStream, SendSink};
pub use subscribe::Sub;
pub use watch::{Interest, Pollable};
pub use xpub::{XPub, XPubReceiver, XPubSender};
pub use xsub::{XSub, XSubReceiver, XSubSender};
pub use zap::Zap;
