//! What a socket is built with, as values with their defaults; `socket::Builder` has the documented setters.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::security::Mechanism;
use crate::{Message, RoutingId};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// The options that the socket and its pipes look at, and those below them.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) send_hwm: usize,
    pub(crate) recv_hwm: usize,
    pub(crate) send_hwm_bytes: usize,
    pub(crate) recv_hwm_bytes: usize,
    pub(crate) recv_memory: usize,
    pub(crate) linger: Option<Duration>,
    pub(crate) send_timeout: Option<Duration>,
    pub(crate) recv_timeout: Option<Duration>,
    pub(crate) busy_poll: Duration,
    pub(crate) immediate: bool,
    pub(crate) conflate: bool,
    pub(crate) dialogue: DialogueOptions,
    pub(crate) topics: TopicOptions,
    pub(crate) link: LinkOptions,
}

/// The options of the socket types that speak in turns or by address.
#[derive(Clone, Debug, Default)]
pub(crate) struct DialogueOptions {
    pub(crate) probe: bool,
    pub(crate) drop_unroutable: bool,
    pub(crate) handover: Handover,
    pub(crate) notices: bool,
    pub(crate) relaxed: bool,
    pub(crate) correlate: bool,
    pub(crate) answer_dropped: bool,
    pub(crate) reply_timeout: Option<Duration>,
    pub(crate) resends: usize,
}

/// To whom a peer may lose its routing id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Handover {
    #[default]
    Nobody,
    SameUser,
    Anybody,
}

/// The options of the socket types that publish and subscribe.
#[derive(Clone, Debug)]
pub(crate) struct TopicOptions {
    pub(crate) slow: SlowPolicy,
    pub(crate) invert: bool,
    pub(crate) verbosity: Verbosity,
    pub(crate) manual: bool,
    pub(crate) welcome: Option<Message>,
    pub(crate) max_topics: usize,
    pub(crate) max_topic_bytes: usize,
    pub(crate) max_notices: usize,
}

/// What a publisher does with a message for a subscriber whose queue is full; see
/// [`slow_subscribers`](crate::Builder::slow_subscribers).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlowPolicy {
    /// The message is dropped, for this subscriber only. What RFC 29 asks for.
    #[default]
    DropNewest,
    /// The oldest message in the subscriber's queue is dropped. What its connection has taken to send is not in the queue
    /// any more, and does not count; so up to twice the high-water mark is held.
    DropOldest,
    /// The message waits beside the queue, where only the newest message of each topic is kept: the topic is the whole first
    /// frame. For up to as many topics as the queue has room for messages; those of more are dropped.
    NewestOfTopic,
    /// Nothing is dropped: `send` waits until each of the message's subscribers has room, so the slowest one holds up all
    /// of them.
    Block,
    /// The message is dropped and the subscriber disconnected. It may come back, and then knows that it has missed some.
    Disconnect,
}

/// Which subscriptions an [`XPub`](crate::XPub) tells of; see [`verbose`](crate::Builder::verbose).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Verbosity {
    /// The first subscription to each topic, and the cancellation by the last subscriber: what a proxy passes on.
    #[default]
    Changes,
    /// Each subscription besides, be there others to the same topic or not.
    Subscriptions,
    /// Each subscription and each cancellation.
    All,
}

impl Default for TopicOptions {
    fn default() -> Self {
        Self {
            slow: SlowPolicy::default(),
            invert: false,
            verbosity: Verbosity::default(),
            manual: false,
            welcome: None,
            max_topics: 100_000,
            max_topic_bytes: 16 * MIB,
            max_notices: 1000,
        }
    }
}

/// The options that concern connections rather than queues.
#[derive(Clone, Debug)]
pub(crate) struct LinkOptions {
    pub(crate) routing_id: RoutingId,
    pub(crate) properties: Vec<(String, Bytes)>,
    pub(crate) mechanism: Mechanism,
    pub(crate) auth_domain: Arc<str>,
    #[cfg(feature = "curve")]
    pub(crate) nonce_gaps: bool,
    pub(crate) max_message_size: usize,
    pub(crate) max_message_parts: usize,
    pub(crate) max_command_size: usize,
    pub(crate) max_handshake_frame: usize,
    pub(crate) handshake_timeout: Duration,
    pub(crate) stall_timeout: Duration,
    pub(crate) max_handshakes: usize,
    pub(crate) handshake_rate: Option<u32>,
    pub(crate) max_peers: usize,
    pub(crate) heartbeat_interval: Option<Duration>,
    pub(crate) heartbeat_timeout: Duration,
    pub(crate) heartbeat_ttl: Option<Duration>,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) reconnect_interval: Option<Duration>,
    pub(crate) reconnect_interval_max: Duration,
    pub(crate) transport: TransportOptions,
}

/// The options that the operating system's sockets get.
#[derive(Clone, Debug)]
pub(crate) struct TransportOptions {
    pub(crate) backlog: u32,
    pub(crate) ipv6: bool,
    pub(crate) nodelay: bool,
    pub(crate) keepalive: Option<Keepalive>,
    pub(crate) send_buffer: Option<usize>,
    pub(crate) recv_buffer: Option<usize>,
    pub(crate) tos: Option<u8>,
    pub(crate) bind_to_device: Option<String>,
    pub(crate) user_timeout: Option<Duration>,
    pub(crate) ipc_mode: u32,
    pub(crate) ipc_allowed_uids: Option<Vec<u32>>,
}

/// How TCP probes an idle connection; see [`Builder::keepalive`](crate::Builder::keepalive).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keepalive {
    /// How long a connection is idle before the first probe; the system's value if `None`.
    pub idle: Option<Duration>,
    /// The time between probes; the system's value if `None`.
    pub interval: Option<Duration>,
    /// How many probes go unanswered before the connection is given up; the system's value if `None`.
    pub count: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            send_hwm: 1000,
            recv_hwm: 1000,
            send_hwm_bytes: 64 * MIB,
            recv_hwm_bytes: 64 * MIB,
            recv_memory: 1024 * MIB,
            linger: Some(Duration::from_secs(5)),
            send_timeout: None,
            recv_timeout: None,
            busy_poll: Duration::ZERO,
            immediate: false,
            conflate: false,
            dialogue: DialogueOptions::default(),
            topics: TopicOptions::default(),
            link: LinkOptions::default(),
        }
    }
}

impl Default for LinkOptions {
    fn default() -> Self {
        Self {
            routing_id: RoutingId::default(),
            properties: Vec::new(),
            mechanism: Mechanism::default(),
            auth_domain: Arc::default(),
            #[cfg(feature = "curve")]
            nonce_gaps: false,
            max_message_size: 256 * MIB,
            max_message_parts: 65_536,
            max_command_size: 64 * KIB,
            max_handshake_frame: 16 * KIB,
            handshake_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(60),
            max_handshakes: 1024,
            handshake_rate: Some(1000),
            max_peers: 65_536,
            heartbeat_interval: Some(Duration::from_secs(15)),
            heartbeat_timeout: Duration::from_secs(45),
            heartbeat_ttl: None,
            connect_timeout: Some(Duration::from_secs(10)),
            reconnect_interval: Some(Duration::from_millis(100)),
            reconnect_interval_max: Duration::from_secs(30),
            transport: TransportOptions::default(),
        }
    }
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self {
            backlog: 1024,
            ipv6: false,
            nodelay: true,
            keepalive: None,
            send_buffer: None,
            recv_buffer: None,
            tos: None,
            bind_to_device: None,
            user_timeout: None,
            ipc_mode: 0o600,
            ipc_allowed_uids: None,
        }
    }
}
