//! The builder of sockets: chainable setters, each with its default, unit, range and cost.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::context::Context;
use crate::error::PropertyError;
#[cfg(feature = "curve")]
use crate::keys::{KeyPair, PublicKey};
use crate::options::{Keepalive, Options};
use crate::peer::RoutingId;
use crate::security::{Authenticator, Mechanism};
use crate::zmtp::set_property;

/// A socket type that a [`Builder`] can make.
pub trait Buildable: Sealed {}

/// Keeps [`Buildable`] to the types of this crate.
pub trait Sealed: Sized {
    #[doc(hidden)]
    fn build(context: &Context, options: Options) -> Self;
}

/// Makes a socket with options, and more of the same kind if you like.
///
/// A value outside a setter's range is moved to its nearest end. Options hold for the life of the socket.
///
/// ```
/// use std::time::Duration;
/// use aqueduct::Push;
///
/// let push = Push::builder().send_hwm(10_000).send_timeout(Some(Duration::from_secs(1))).build();
/// # drop(push);
/// ```
pub struct Builder<S> {
    context: Option<Context>,
    pub(super) options: Options,
    makes: PhantomData<fn() -> S>,
}

impl<S> Clone for Builder<S> {
    fn clone(&self) -> Self {
        Self {
            context: self.context.clone(),
            options: self.options.clone(),
            makes: PhantomData,
        }
    }
}

impl<S> std::fmt::Debug for Builder<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl<S: Buildable> Builder<S> {
    pub(super) fn new() -> Self {
        Self {
            context: None,
            options: Options::default(),
            makes: PhantomData,
        }
    }

    /// Makes the socket.
    #[must_use]
    pub fn build(&self) -> S {
        match &self.context {
            Some(context) => S::build(context, self.options.clone()),
            None => S::build(&Context::default(), self.options.clone()),
        }
    }
}

/// Writes a setter: documentation, name, argument, and what it does with `options`.
macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident($value:ident: $type:ty) |$options:ident| $set:expr;)*) => {
        impl<S: Buildable> Builder<S> {$(
            $(#[$doc])*
            #[must_use]
            pub fn $name(mut self, $value: $type) -> Self {
                let $options = &mut self.options;
                $set;
                self
            }
        )*}
    };
}

impl<S: Buildable> Builder<S> {
    /// Puts the socket in this context. Default: the default context.
    #[must_use]
    pub fn context(mut self, context: &Context) -> Self {
        self.context = Some(context.clone());
        self
    }

    /// Has the authenticator decide on each peer before anything is said to it, by its address: the mechanism stays NULL,
    /// which shows nothing and hides nothing. Default: whoever comes is let in.
    ///
    /// A peer that speaks another mechanism gets no message and sends none. Over inproc nobody is asked.
    ///
    /// ```
    /// use aqueduct::{AuthRequest, Decision, Pull, User};
    ///
    /// let pull = Pull::builder()
    ///     .null_server(|request: &AuthRequest| {
    ///         if request.address().starts_with("10.") {
    ///             Decision::Allow(User::new("somebody of ours"))
    ///         } else {
    ///             Decision::Deny
    ///         }
    ///     })
    ///     .build();
    /// # drop(pull);
    /// ```
    #[must_use]
    pub fn null_server(mut self, authenticator: impl Authenticator + 'static) -> Self {
        self.options.link.mechanism = Mechanism::NullServer(Arc::new(authenticator));
        self
    }

    /// Has each connection of this socket begin with PLAIN, as its client: the peer must ask for a name and a password,
    /// and is shown these. Default: no mechanism but NULL, which shows nothing.
    ///
    /// PLAIN encrypts nothing: whoever sees the bytes has the password. A peer that speaks another mechanism gets no
    /// message. Over inproc nobody is asked.
    ///
    /// # Errors
    ///
    /// The name or the password has more than 255 bytes.
    pub fn plain_client(
        mut self,
        username: impl Into<Bytes>,
        password: impl Into<Bytes>,
    ) -> Result<Self, PropertyError> {
        self.options.link.mechanism = Mechanism::plain_client(username.into(), password.into())?;
        Ok(self)
    }

    /// Has each connection of this socket begin with PLAIN, as its server: the peer must show a name and a password, and
    /// the authenticator decides; [`AllowAny`](crate::AllowAny) is one. Default: no mechanism but NULL, which asks for nothing.
    ///
    /// PLAIN encrypts nothing: whoever sees the bytes has the password. A peer that speaks another mechanism gets no
    /// message and sends none. Over inproc nobody is asked.
    #[must_use]
    pub fn plain_server(mut self, authenticator: impl Authenticator + 'static) -> Self {
        self.options.link.mechanism = Mechanism::PlainServer(Arc::new(authenticator));
        self
    }

    /// Has each connection of this socket begin with CURVE, as its client: the peer must have the secret key to
    /// `server`, and is shown that we have ours. All that is sent is encrypted. Default: no mechanism but NULL.
    ///
    /// A peer that speaks another mechanism, or has another key, gets no message and sends none. Over inproc nobody is
    /// asked, and nothing is encrypted.
    ///
    /// ```
    /// use aqueduct::{AllowAny, KeyPair, Pull, Push};
    ///
    /// let (ours, theirs) = (KeyPair::generate()?, KeyPair::generate()?);
    /// let server = theirs.public();
    /// let pull = Pull::builder().curve_server(theirs, AllowAny).build();
    /// let push = Push::builder().curve_client(server, ours).build();
    /// push.connect(&pull.bind("tcp://127.0.0.1:0")?)?;
    /// push.send("nobody else can read this")?;
    /// assert_eq!(pull.recv()?, "nobody else can read this");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "curve")]
    #[must_use]
    pub fn curve_client(mut self, server: PublicKey, keys: KeyPair) -> Self {
        let keys = Arc::new(keys);
        self.options.link.mechanism = Mechanism::CurveClient { server, keys };
        self
    }

    /// Has each connection of this socket begin with CURVE, as its server: the peer must know our public key, and have
    /// the secret key to its own, on which the authenticator decides; [`AllowAny`](crate::AllowAny) is one. All that is
    /// sent is encrypted. Default: no mechanism but NULL.
    ///
    /// Either role goes with `bind` as well as with `connect`. A peer that speaks another mechanism, or looks for
    /// another key, gets no message and sends none. Over inproc nobody is asked, and nothing is encrypted.
    #[cfg(feature = "curve")]
    #[must_use]
    pub fn curve_server(mut self, keys: KeyPair, authenticator: impl Authenticator + 'static) -> Self {
        self.options.link.mechanism = Mechanism::CurveServer {
            keys: Arc::new(keys),
            authenticator: Arc::new(authenticator),
        };
        self
    }

    /// Whether a CURVE peer may pass over nonces, as RFC 26 can be read. Default `false`: each must follow the last one,
    /// so that what somebody takes out on the way is missed. None may ever come twice.
    #[cfg(feature = "curve")]
    #[must_use]
    pub fn curve_nonce_gaps(mut self, yes: bool) -> Self {
        self.options.link.nonce_gaps = yes;
        self
    }

    /// The domain that an authenticator is told with each request ([`AuthRequest::domain`](crate::AuthRequest::domain)), so
    /// that one can serve several sockets and treat them differently; the domain of RFC 27. Default: empty. It never leaves
    /// the process. Any text will do.
    #[must_use]
    pub fn auth_domain(mut self, name: &str) -> Self {
        self.options.link.auth_domain = name.into();
        self
    }

    /// Adds a property to what this socket says of itself in the handshake; peers read it in
    /// [`PeerInfo`](crate::PeerInfo). Default: none. A name has 1 to 255 letters, digits, and `-_.+`; by convention it
    /// begins with `X-`, and case does not matter. Set again, it has the new value. Up to 62 properties, of 7,680 bytes
    /// in all.
    ///
    /// # Errors
    ///
    /// ZMTP has no way to say this, or peers would not listen: the name is none, or is the socket's own, or it is too
    /// much. Unlike a number, a name has no nearest end to be moved to.
    pub fn property(mut self, name: &str, value: impl Into<Bytes>) -> Result<Self, PropertyError> {
        set_property(&mut self.options.link.properties, name, value.into())?;
        Ok(self)
    }
}

setters! {
    /// Messages that may wait in one peer's outgoing queue. Default 1,000; 0 means no limit. A queue costs 80 bytes
    /// for each message it has held at once, beside bodies above 64 bytes.
    send_hwm(messages: usize) |options| options.send_hwm = messages;

    /// Messages that may wait for `recv` from one peer. Default 1,000; 0 means no limit.
    recv_hwm(messages: usize) |options| options.recv_hwm = messages;

    /// Bytes that may wait in one peer's outgoing queue: bodies, and 64 for each frame. Default 64 MiB; 0 means no
    /// limit. The last message may go past it. A limit near the size of the processor's cache makes large messages
    /// faster.
    send_hwm_bytes(bytes: usize) |options| options.send_hwm_bytes = bytes;

    /// Bytes that may wait for `recv` from one peer, counted as for [`send_hwm_bytes`](Self::send_hwm_bytes).
    /// Default 64 MiB; 0 means no limit.
    recv_hwm_bytes(bytes: usize) |options| options.recv_hwm_bytes = bytes;

    /// Bytes that may wait for `recv` from all peers of other processes together, counted as for
    /// [`send_hwm_bytes`](Self::send_hwm_bytes), with messages that have come in part. Default 1 GiB; 0 means no limit.
    /// From half of it on, no more is read from peers of whom something waits. Above it, a peer in the middle of a message
    /// of more than 64 KiB is disconnected.
    recv_memory(bytes: usize) |options| options.recv_memory = bytes;

    /// How long closing waits for messages to be written. Default 5 s; zero gives up at once, `None` waits for ever.
    linger(time: Option<Duration>) |options| options.linger = time;

    /// How long `send` waits for room. Default `None`: for ever.
    send_timeout(time: Option<Duration>) |options| options.send_timeout = time;

    /// How long `recv` waits for a message. Default `None`: for ever.
    recv_timeout(time: Option<Duration>) |options| options.recv_timeout = time;

    /// For how long a thread that waits polls before it sleeps, whatever it expects; until that is over it uses its
    /// processor up. Default zero: it polls, for up to 80 µs, only while the latest waits were as short as that. At
    /// most 1 s. Threads that wait for another one to run their connections, and futures, do not poll.
    busy_poll(time: Duration) |options| options.busy_poll = time.min(Duration::from_secs(1));

    /// Whether messages are queued only for peers that are connected. Default `false`: an endpoint connected to
    /// takes messages from the start, and keeps them while its peer is away.
    immediate(yes: bool) |options| options.immediate = yes;

    /// Whether a queue keeps only its newest message, whatever the high-water marks. Default `false`. What is
    /// replaced is counted as [`Conflated`](crate::DropReason::Conflated), or as
    /// [`discarded`](crate::Traffic::discarded) if it had come in over a connection.
    conflate(yes: bool) |options| options.conflate = yes;

    /// The largest message that is taken from a peer, in bytes over all frames. Default 256 MiB; at most `isize::MAX`.
    /// Memory is reserved as the bytes arrive. A peer that sends more is disconnected.
    max_message_size(bytes: usize) |options| options.link.max_message_size = bytes.min(isize::MAX as usize);

    /// The most frames of a message that is taken from a peer. Default 65,536; at least 1.
    max_message_parts(parts: usize) |options| options.link.max_message_parts = parts.max(1);

    /// The largest command that is taken from a peer once it has said who it is, in bytes, and so the longest topic that it
    /// may subscribe to, but for ten bytes. Default 64 KiB; at least 1 KiB, at most `isize::MAX`. A peer that sends a larger one
    /// is disconnected.
    max_command_size(bytes: usize) |options| {
        options.link.max_command_size = bytes.clamp(1024, isize::MAX as usize);
    };

    /// The largest frame that is taken from a peer that has not said who it is, in bytes. Default 16 KiB; from 1 KiB to 1 MiB.
    /// So much may be held for each of [`max_handshakes`](Self::max_handshakes). What a peer says of itself has at most
    /// 8 KiB and a little, so more is of use only to learn what it is that peers send.
    max_handshake_frame(bytes: usize) |options| {
        options.link.max_handshake_frame = bytes.clamp(1024, 1024 * 1024);
    };

    /// How long a new connection may take to say who it is. Default 10 s; at least 1 ms.
    handshake_timeout(time: Duration) |options| {
        options.link.handshake_timeout = time.max(Duration::from_millis(1));
    };

    /// How long a peer may pause in the middle of a message. Default 60 s; at least 1 ms.
    stall_timeout(time: Duration) |options| options.link.stall_timeout = time.max(Duration::from_millis(1));

    /// How many accepted connections of an endpoint may be in their handshake at once; more, and the oldest is shed of
    /// the host that has the most, which is that of the flood if there is one. Hosts are told apart by their IPv4
    /// address, or by the first 64 bits of an IPv6 one; ipc is one host. Default 1,024; at least 1.
    max_handshakes(count: usize) |options| options.link.max_handshakes = count.max(1);

    /// How many connections of an endpoint are accepted in a second, and at once after a rest; the next ones wait with
    /// the system. Default 1,000, which takes a tenth of one processor; at least 1; `None` accepts as they come.
    handshake_rate(per_second: Option<u32>) |options| {
        options.link.handshake_rate = per_second.map(|rate| rate.max(1));
    };

    /// How many accepted peers the socket has at most; further ones are disconnected when they have said who they are.
    /// Default 65,536; at least 1. Peers over inproc, and endpoints that the socket connects to, do not count.
    max_peers(count: usize) |options| options.link.max_peers = count.max(1);

    /// How often a peer is asked for a sign of life. Default 15 s; `None` never asks. Peers that speak ZMTP 3.0 are
    /// never asked.
    heartbeat_interval(time: Option<Duration>) |options| {
        options.link.heartbeat_interval = time.filter(|time| !time.is_zero());
    };

    /// How long a peer that was asked may stay silent. Default 45 s; at least 1 ms.
    heartbeat_timeout(time: Duration) |options| {
        options.link.heartbeat_timeout = time.max(Duration::from_millis(1));
    };

    /// How long the peer should wait for a sign of life from us before it gives us up. Default `None`: as it likes. In
    /// tenths of a second, at most 65.5 s.
    heartbeat_ttl(time: Option<Duration>) |options| options.link.heartbeat_ttl = time;

    /// How long an attempt to connect may take. Default 10 s; `None` leaves it to the system.
    connect_timeout(time: Option<Duration>) |options| options.link.connect_timeout = time;

    /// The pause before the first attempt to connect again; it doubles with each that fails, and up to half of it is
    /// taken away at random. Default 100 ms; `None` never connects again.
    reconnect_interval(time: Option<Duration>) |options| options.link.reconnect_interval = time;

    /// The longest pause between attempts to connect. Default 30 s.
    reconnect_interval_max(time: Duration) |options| options.link.reconnect_interval_max = time;

    /// The name under which a ROUTER knows this socket. Default: none, and the ROUTER makes one up.
    routing_id(id: RoutingId) |options| options.link.routing_id = id;

    /// Connections that the system keeps for us until we accept them. Default 1,024.
    backlog(connections: u32) |options| options.link.transport.backlog = connections;

    /// Whether names resolve to IPv6 addresses too, and `*` listens on them. Default `false`.
    ipv6(yes: bool) |options| options.link.transport.ipv6 = yes;

    /// Whether TCP sends at once rather than wait to fill a packet. Default `true`.
    nodelay(yes: bool) |options| options.link.transport.nodelay = yes;

    /// TCP's own probes of an idle connection. Default `None`: as the system has it.
    keepalive(probes: Option<Keepalive>) |options| options.link.transport.keepalive = probes;

    /// The system's buffer for outgoing bytes of one connection. Default `None`: as the system has it, with at most 256 KiB
    /// that it has not sent yet (tcp on Linux).
    send_buffer(bytes: Option<usize>) |options| options.link.transport.send_buffer = bytes;

    /// The system's buffer for incoming bytes of one connection. Default `None`: as the system has it.
    recv_buffer(bytes: Option<usize>) |options| options.link.transport.recv_buffer = bytes;

    /// The type of service of IPv4 packets, the traffic class of IPv6 ones. Default `None`: as the system has it.
    tos(value: Option<u8>) |options| options.link.transport.tos = value;

    /// How long bytes that were sent may stay unacknowledged before the system gives a tcp connection up (Linux, to the
    /// millisecond; at least 1 ms; elsewhere no effect). Default `None`: as the system has it, which is many minutes.
    user_timeout(time: Option<Duration>) |options| {
        options.link.transport.user_timeout = time.map(|time| time.max(Duration::from_millis(1)));
    };

    /// Who may connect to the file of an ipc endpoint that is bound: the permissions of the file, of which the lowest nine
    /// bits count. To connect takes the right to write. Default 0o600: this user only. It holds from the moment that the
    /// file is there.
    ipc_mode(mode: u32) |options| options.link.transport.ipc_mode = mode & 0o777;

    /// The users, by number, of whom processes may connect to an ipc endpoint that is bound. Default `None`: whoever can. The
    /// connection of another one is ended before it is read from, with the reason
    /// [`ForbiddenUser`](crate::DisconnectReason::ForbiddenUser). Nobody is let in where the system does not tell
    /// whose process it is, which Linux, macOS and the BSDs do. It goes with [`ipc_mode`](Self::ipc_mode), and is all that
    /// stands before an abstract name. Endpoints that the socket connects to are not concerned.
    ///
    /// ```
    /// use aqueduct::Pull;
    ///
    /// // A service that two users share, of whom one is root.
    /// let pull = Pull::builder().ipc_mode(0o666).ipc_allowed_uids(Some(vec![0, 1000])).build();
    /// # drop(pull);
    /// ```
    ipc_allowed_uids(uids: Option<Vec<u32>>) |options| options.link.transport.ipc_allowed_uids = uids;

    /// The network interface that connections go through (Linux). Default `None`: any.
    bind_to_device(name: Option<String>) |options| options.link.transport.bind_to_device = name;
}
