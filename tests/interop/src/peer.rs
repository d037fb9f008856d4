//! A socket of either library, spoken to in the same way: frames in, frames out, as libzmq has it.

use std::cell::RefCell;
use std::time::Duration;

use aqueduct::{
    Buildable, Builder, Dealer, Message, Pair, PeerInfo, Pub, Pull, Push, Rep, Reply, Req, Router, RoutingId,
    SocketStats, Sub, XPub, XSub,
};

use crate::{Cable, Classic, LONG, Via, Wired, bounded};

/// The frames of a message.
pub type Frames = Vec<Vec<u8>>;

/// Which library a socket is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Library {
    Ours,
    Classic,
}

/// The socket types that both send and receive what they like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the field's own")]
pub enum Kind {
    Req,
    Rep,
    Dealer,
    Router,
    Pair,
}

/// What two sockets are linked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Over tcp.
    Tcp,
    /// Over ipc.
    Ipc,
    /// Over tcp, and each is told that the other speaks ZMTP 3.0.
    Old,
}

/// A socket of one of the two libraries.
///
/// A ROUTER says and hears the id of its peer as the first frame. A REP hears what is in an envelope, and answers what it
/// has heard last.
pub struct Peer(Socket);

enum Socket {
    Classic(Classic),
    Req(Req),
    Rep(Rep, RefCell<Option<Reply>>),
    Dealer(Dealer),
    Router(Router),
    Pair(Pair),
}

/// Runs the same expression on whichever socket of ours it is.
macro_rules! on_ours {
    ($socket:expr, $ours:ident => $do:expr, $classic:ident => $else:expr) => {
        match $socket {
            Socket::Classic($classic) => $else,
            Socket::Req($ours) => $do,
            Socket::Rep($ours, _) => $do,
            Socket::Dealer($ours) => $do,
            Socket::Router($ours) => $do,
            Socket::Pair($ours) => $do,
        }
    };
}

/// Has a socket of ours come back soon, and send everything before it is closed. It waits without a limit, for a limited
/// wait would make good, by its look at the end, for a wake-up that was lost; the script as a whole is [`bounded`].
///
/// [`bounded`]: crate::bounded
#[must_use]
pub fn keen<S: Buildable>(builder: Builder<S>) -> Builder<S> {
    builder
        .linger(Some(LONG))
        .reconnect_interval(Some(Duration::from_millis(20)))
}

/// Makes frames of words.
#[must_use]
pub fn frames(words: &[&str]) -> Frames {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

/// Makes a message of ours of frames.
#[must_use]
pub fn message(frames: &[Vec<u8>]) -> Message {
    frames.iter().map(Vec::as_slice).collect()
}

/// Takes a message of ours apart.
#[must_use]
pub fn words(message: &Message) -> Frames {
    message.iter().map(|frame| frame.as_slice().to_vec()).collect()
}

fn id(bytes: &[u8]) -> RoutingId {
    RoutingId::new(bytes.to_vec()).expect("a short id")
}

impl Library {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ours, Self::Classic];

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Ours => Self::Classic,
            Self::Classic => Self::Ours,
        }
    }

    /// Every way to choose a library `N` times.
    #[must_use]
    pub fn mixes<const N: usize>() -> Vec<[Self; N]> {
        let pick = |mix: usize| std::array::from_fn(|at| Self::ALL[mix >> at & 1]);
        (0..1 << N).map(pick).collect()
    }
}

impl Kind {
    fn classic(self) -> zmq::SocketType {
        match self {
            Self::Req => zmq::REQ,
            Self::Rep => zmq::REP,
            Self::Dealer => zmq::DEALER,
            Self::Router => zmq::ROUTER,
            Self::Pair => zmq::PAIR,
        }
    }
}

impl Link {
    /// All.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Ipc, Self::Old];

    /// Runs a script over each link, one after the other.
    pub fn each(script: impl Fn(Self) + Send + 'static) {
        bounded(move || Self::ALL.into_iter().for_each(&script));
    }

    /// An endpoint that either library can bind, which no other test uses, and what keeps it so.
    #[must_use]
    pub fn anywhere(self) -> (String, Option<tempfile::TempDir>) {
        match self {
            Self::Tcp | Self::Old => Via::Tcp.anywhere(),
            Self::Ipc => Via::Ipc.anywhere(),
        }
    }

    /// Where to connect to, to be linked with the socket that is bound there.
    #[must_use]
    pub fn to(self, bound: &str) -> String {
        match self {
            Self::Tcp | Self::Ipc => bound.to_owned(),
            Self::Old => Cable::speaking_3_0(bound).endpoint().to_owned(),
        }
    }

    /// Binds one socket and connects the other one.
    #[must_use]
    pub fn join(self, bound: &impl Plug, other: &impl Plug) -> Wired {
        let wired = self.bind(bound);
        other.plug_into(&wired.endpoint);
        wired
    }

    /// Binds a socket; returns where to connect to.
    #[must_use]
    pub fn bind(self, bound: &impl Plug) -> Wired {
        Wired::bound(self, |anywhere| bound.plug(anywhere))
    }
}

/// Any socket of either library, as far as its endpoints go.
pub trait Plug {
    /// Binds, and returns the endpoint with wildcards resolved.
    fn plug(&self, endpoint: &str) -> String;

    /// Connects.
    fn plug_into(&self, endpoint: &str);
}

impl Plug for Classic {
    fn plug(&self, endpoint: &str) -> String {
        self.bind(endpoint)
    }

    fn plug_into(&self, endpoint: &str) {
        self.connect(endpoint);
    }
}

impl Plug for Peer {
    fn plug(&self, endpoint: &str) -> String {
        on_ours!(&self.0, ours => ours.plug(endpoint), classic => classic.plug(endpoint))
    }

    fn plug_into(&self, endpoint: &str) {
        on_ours!(&self.0, ours => ours.plug_into(endpoint), classic => classic.plug_into(endpoint));
    }
}

impl Peer {
    /// Makes a socket with the options that all tests share.
    #[must_use]
    pub fn new(library: Library, kind: Kind) -> Self {
        Self::named(library, kind, "")
    }

    /// Makes a socket that announces an id, if there is any. A classic ROUTER waits for peers that are full, as ours does,
    /// rather than drop what is for them.
    #[must_use]
    pub fn named(library: Library, kind: Kind, name: &str) -> Self {
        let name = name.as_bytes();
        if library == Library::Classic {
            return Self(Socket::Classic(Classic::with(kind.classic(), |socket| {
                if kind == Kind::Router {
                    socket.set_router_mandatory(true)?;
                }
                if name.is_empty() {
                    return Ok(());
                }
                socket.set_identity(name)
            })));
        }
        match kind {
            Kind::Req => keen(Req::builder()).routing_id(id(name)).build().into(),
            Kind::Rep => keen(Rep::builder()).routing_id(id(name)).build().into(),
            Kind::Dealer => keen(Dealer::builder()).routing_id(id(name)).build().into(),
            Kind::Router => keen(Router::builder()).routing_id(id(name)).build().into(),
            Kind::Pair => keen(Pair::builder()).routing_id(id(name)).build().into(),
        }
    }

    /// Connects as a ROUTER that knows the peer there by this id, whatever the peer says of itself.
    ///
    /// # Panics
    ///
    /// It is no ROUTER.
    pub fn connect_with_id(&mut self, endpoint: &str, name: &str) {
        match &mut self.0 {
            Socket::Classic(classic) => classic.connect_with_id(endpoint, name.as_bytes()),
            Socket::Router(ours) => ours
                .connect_with_id(endpoint, id(name.as_bytes()))
                .expect("cannot connect"),
            _ => panic!("no ROUTER"),
        }
    }

    /// Waits until there is a peer, or at least one with room.
    pub fn await_peer(&self) {
        on_ours!(&self.0,
            ours => ours.wait_for_peers(1, LONG).expect("no peer"),
            classic => classic.await_peer());
    }

    /// Says something.
    ///
    /// # Panics
    ///
    /// It cannot be said.
    pub fn say(&self, frames: &[Vec<u8>]) {
        let whole = || message(frames);
        match &self.0 {
            Socket::Classic(classic) => classic.send_frames(frames),
            Socket::Req(req) => req.send(whole()).expect("sent"),
            Socket::Rep(_, reply) => {
                let reply = reply.take().expect("a request to answer");
                reply.send(whole()).expect("sent");
            }
            Socket::Dealer(dealer) => dealer.send(whole()).expect("sent"),
            Socket::Router(router) => {
                let (to, body) = frames.split_first().expect("an id");
                router.send(&id(to), message(body)).expect("sent");
            }
            Socket::Pair(pair) => pair.send(whole()).expect("sent"),
        }
    }

    /// Hears something.
    ///
    /// # Panics
    ///
    /// Its turn has not come.
    #[must_use]
    pub fn hear(&self) -> Frames {
        match &self.0 {
            Socket::Classic(classic) => classic.recv_frames(),
            Socket::Req(req) => words(&req.recv().expect("received")),
            Socket::Rep(rep, place) => {
                let (request, reply) = rep.recv().expect("received");
                place.replace(Some(reply));
                words(&request)
            }
            Socket::Dealer(dealer) => words(&dealer.recv().expect("received")),
            Socket::Router(router) => {
                let (from, message) = router.recv().expect("received");
                let mut frames = vec![from.as_bytes().to_vec()];
                frames.extend(words(&message));
                frames
            }
            Socket::Pair(pair) => words(&pair.recv().expect("received")),
        }
    }

    /// Returns the counters of a socket of ours.
    #[must_use]
    pub fn stats(&self) -> Option<SocketStats> {
        on_ours!(&self.0, ours => Some(ours.stats()), _classic => None)
    }

    /// Returns what the one peer of a socket of ours said of itself.
    #[must_use]
    pub fn info(&self) -> Option<PeerInfo> {
        self.stats()?.peers.pop()?.info
    }
}

/// Any socket of ours.
macro_rules! plugs {
    ($($socket:ident)*) => {$(
        impl Plug for $socket {
            fn plug(&self, endpoint: &str) -> String {
                self.bind(endpoint).expect("cannot bind").to_string()
            }

            fn plug_into(&self, endpoint: &str) {
                self.connect(endpoint).expect("cannot connect");
            }
        }
    )*};
}

plugs! { Req Rep Dealer Router Pair Pub XPub Sub XSub Push Pull }

/// A socket of ours as a peer.
macro_rules! peers {
    ($($socket:ident($ours:ident) => $made:expr;)*) => {$(
        impl From<$socket> for Peer {
            fn from($ours: $socket) -> Self {
                Self($made)
            }
        }
    )*};
}

peers! {
    Req(socket) => Socket::Req(socket);
    Rep(socket) => Socket::Rep(socket, RefCell::new(None));
    Dealer(socket) => Socket::Dealer(socket);
    Router(socket) => Socket::Router(socket);
    Pair(socket) => Socket::Pair(socket);
}
