//! Who is at the other end: socket types and which may talk, routing ids, and what a peer said of itself.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;

use crate::User;

/// The kinds of socket that ZMTP names, with the compatibility rules of RFCs 28 to 31.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the names are the field's own")]
pub enum SocketType {
    Pair,
    Pub,
    Sub,
    Req,
    Rep,
    Dealer,
    Router,
    Pull,
    Push,
    XPub,
    XSub,
}

impl SocketType {
    /// Every type, for tables and tests.
    pub const ALL: [Self; 11] = [
        Self::Pair,
        Self::Pub,
        Self::Sub,
        Self::Req,
        Self::Rep,
        Self::Dealer,
        Self::Router,
        Self::Pull,
        Self::Push,
        Self::XPub,
        Self::XSub,
    ];

    /// Returns the name that travels in the `Socket-Type` property.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pair => "PAIR",
            Self::Pub => "PUB",
            Self::Sub => "SUB",
            Self::Req => "REQ",
            Self::Rep => "REP",
            Self::Dealer => "DEALER",
            Self::Router => "ROUTER",
            Self::Pull => "PULL",
            Self::Push => "PUSH",
            Self::XPub => "XPUB",
            Self::XSub => "XSUB",
        }
    }

    /// Finds the type that a `Socket-Type` property names; the names are case-sensitive.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name().as_bytes() == name)
    }

    /// Tells whether sockets of these two types may exchange messages. The relation is symmetric.
    #[must_use]
    pub const fn talks_to(self, other: Self) -> bool {
        use SocketType as S;
        matches!(
            (self, other),
            (S::Pair, S::Pair)
                | (S::Pub | S::XPub, S::Sub | S::XSub)
                | (S::Sub | S::XSub, S::Pub | S::XPub)
                | (S::Req, S::Rep | S::Router)
                | (S::Rep, S::Req | S::Dealer)
                | (S::Dealer, S::Rep | S::Dealer | S::Router)
                | (S::Router, S::Req | S::Dealer | S::Router)
                | (S::Pull, S::Push)
                | (S::Push, S::Pull)
        )
    }

    /// Tells whether subscriptions mean something to sockets of this type.
    pub(crate) const fn publishes(self) -> bool {
        matches!(self, Self::Pub | Self::XPub)
    }

    /// Tells whether what sockets of this type send may be subscriptions.
    pub(crate) const fn subscribes(self) -> bool {
        matches!(self, Self::Sub | Self::XSub)
    }

    /// Tells whether sockets of this type announce a routing id in READY.
    pub(crate) const fn announces_routing_id(self) -> bool {
        matches!(self, Self::Req | Self::Dealer | Self::Router)
    }
}

impl fmt::Display for SocketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The name under which a ROUTER knows a peer: at most 255 bytes.
#[derive(Clone)]
pub struct RoutingId(Id);

/// A ROUTER hands an id over with each message. A short one, as nearly all are, is copied and not counted.
#[derive(Clone)]
enum Id {
    Short { len: u8, bytes: [u8; SHORT_ID] },
    Long(Bytes),
}

/// As many bytes as fit beside a length where a long id needs four words.
const SHORT_ID: usize = 23;

impl RoutingId {
    /// The longest routing id, in bytes, that RFC 37 allows.
    pub const MAX_LEN: usize = 255;

    /// Makes a routing id of `bytes`, or `None` if they are more than [`MAX_LEN`](Self::MAX_LEN).
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>) -> Option<Self> {
        let long = bytes.into();
        let mut bytes = [0; SHORT_ID];
        let id = match (u8::try_from(long.len()), bytes.get_mut(..long.len())) {
            (Err(_), _) => return None,
            (Ok(len), Some(place)) => {
                place.copy_from_slice(&long);
                Id::Short { len, bytes }
            }
            (Ok(_), None) => Id::Long(long),
        };
        Some(Self(id))
    }

    /// Tells whether this is the id of a peer that announced none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    /// Tells whether a ROUTER has made the id up: it begins with a zero byte, as no peer's own id does.
    #[must_use]
    pub fn is_generated(&self) -> bool {
        self.as_bytes().first() == Some(&0)
    }

    /// Returns the bytes; none if the peer announced no id.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Id::Short { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Id::Long(bytes) => bytes,
        }
    }
}

impl Default for RoutingId {
    fn default() -> Self {
        Self(Id::Short {
            len: 0,
            bytes: [0; SHORT_ID],
        })
    }
}

impl PartialEq for RoutingId {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for RoutingId {}

impl PartialOrd for RoutingId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for RoutingId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for RoutingId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Debug for RoutingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoutingId(b\"{}\")", self.as_bytes().escape_ascii())
    }
}

/// The process at the other end of an ipc connection, as the system knows it: not the peer's word.
///
/// They are those of the moment in which it connected, or began to listen. A process may since have ended, and its number
/// gone to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ProcessCredentials {
    /// The user that it acted for.
    pub uid: u32,
    /// The group that it acted for.
    pub gid: u32,
    /// Its number. None but on Linux, and none there if it cannot be seen from here, in a container of its own.
    pub pid: Option<u32>,
}

impl ProcessCredentials {
    /// Makes the credentials of a process: for tests of what looks at them.
    #[must_use]
    pub const fn new(uid: u32, gid: u32, pid: Option<u32>) -> Self {
        Self { uid, gid, pid }
    }
}

/// What is known of a peer once the handshake is done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerInfo {
    /// The type of the peer's socket; always one that ours may talk to.
    pub socket_type: SocketType,
    /// The id that the peer announced for itself; empty if none.
    pub routing_id: RoutingId,
    /// The version of ZMTP that both ends speak, as (major, minor).
    pub version: (u8, u8),
    /// The address at the other end of the connection; none over inproc.
    pub address: Option<String>,
    /// The process at the other end, over ipc; none where the system does not tell.
    pub process: Option<ProcessCredentials>,
    /// The other properties of the peer's READY in their order, such as `X-` ones. The values are the peer's word.
    pub properties: Vec<(String, Bytes)>,
    /// Whom this socket's [`Authenticator`](crate::Authenticator) has found the peer to be; none if it has none.
    pub user: Option<Arc<User>>,
}

impl PeerInfo {
    /// Describes a peer that said no more than its type.
    #[must_use]
    pub fn new(socket_type: SocketType) -> Self {
        Self {
            socket_type,
            routing_id: RoutingId::default(),
            version: (3, 1),
            address: None,
            process: None,
            properties: Vec::new(),
            user: None,
        }
    }

    /// Returns the name of the peer's user, if this socket has authenticated it.
    #[must_use]
    pub fn user_id(&self) -> Option<&str> {
        self.user.as_deref().map(|user| &*user.id)
    }

    /// Returns the value of a property of the peer's READY; names are compared without regard to case.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&[u8]> {
        let same = |(own, _): &&(String, Bytes)| own.eq_ignore_ascii_case(name);
        self.properties.iter().find(same).map(|(_, value)| &**value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn talking_is_symmetric() {
        for a in SocketType::ALL {
            for b in SocketType::ALL {
                assert_eq!(a.talks_to(b), b.talks_to(a), "{a} and {b}");
            }
        }
    }

    #[test]
    fn names_lead_back() {
        for kind in SocketType::ALL {
            assert_eq!(SocketType::from_name(kind.name().as_bytes()), Some(kind));
        }
        assert_eq!(SocketType::from_name(b"push"), None);
    }

    #[test]
    fn properties_are_found_without_regard_to_case() {
        let mut info = PeerInfo::new(SocketType::Push);
        info.properties
            .push(("X-Region".into(), Bytes::from_static(b"eu")));
        assert_eq!(info.property("x-region"), Some(&b"eu"[..]));
        assert_eq!(info.property("X-None"), None);
    }

    #[test]
    fn routing_ids_have_a_limit() {
        assert!(RoutingId::new(vec![1; 255]).is_some());
        assert!(RoutingId::new(vec![1; 256]).is_none());
    }

    #[test]
    fn routing_ids_are_their_bytes_however_long() {
        let id = |len: usize| RoutingId::new(vec![7; len]);
        assert_eq!(id(0), Some(RoutingId::default()));
        assert!(id(RoutingId::MAX_LEN + 1).is_none());
        for len in [0, 1, SHORT_ID, SHORT_ID + 1, RoutingId::MAX_LEN] {
            let (id, next) = (id(len).unwrap(), id(len + 1));
            assert_eq!(id.as_bytes(), vec![7; len]);
            assert_eq!(id, id.clone());
            assert!(next.is_none_or(|next| id < next && id != next));
        }
    }
}
