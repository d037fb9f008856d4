//! Counters: where every message went, per socket and per peer, as snapshots.

use std::collections::BTreeMap;
use std::fmt;

use crate::{Endpoint, Message, PeerInfo};

/// Why a message that was accepted was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// It was queued for a peer whose connection, made by the peer, ended: RFC 30 has such a queue destroyed. Or it was
    /// for one peer alone, such as a reply, and another one may come to the endpoint that this socket connects to.
    PeerGone,
    /// It was queued for an endpoint that the application disconnected from.
    Disconnected,
    /// A newer message took its place: the socket conflates.
    Conflated,
    /// The queue of its subscriber was full ([`slow_subscribers`](crate::Builder::slow_subscribers)); or that of its
    /// publisher, for a message that an [`XSub`](crate::XSub) sends.
    SlowPeer,
    /// Nobody had subscribed to it.
    NoSubscriber,
    /// It was addressed to a peer that is not there, and the socket drops such messages
    /// ([`drop_unroutable`](crate::Builder::drop_unroutable)).
    Unroutable,
}

impl DropReason {
    /// Every reason, in the order in which [`Drops`] shows them.
    pub const ALL: [Self; 6] = [
        Self::PeerGone,
        Self::Disconnected,
        Self::Conflated,
        Self::SlowPeer,
        Self::NoSubscriber,
        Self::Unroutable,
    ];
}

/// Counts of dropped messages by reason.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Drops([u64; DropReason::ALL.len()]);

impl Drops {
    /// Returns how many messages were dropped for this reason.
    #[must_use]
    pub fn of(&self, reason: DropReason) -> u64 {
        DropReason::ALL
            .iter()
            .zip(self.0)
            .find(|(known, _)| **known == reason)
            .map_or(0, |(_, count)| count)
    }

    /// Returns how many messages were dropped in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    pub(crate) fn add(&mut self, reason: DropReason, count: u64) {
        for (known, total) in DropReason::ALL.iter().zip(&mut self.0) {
            if *known == reason {
                *total += count;
            }
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (total, more) in self.0.iter_mut().zip(other.0) {
            *total += more;
        }
    }
}

impl fmt::Debug for Drops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(DropReason::ALL.iter().zip(self.0)).finish()
    }
}

/// A number of messages and of the bytes in their bodies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Messages, each counted once however many frames it has.
    pub messages: u64,
    /// Bytes of all bodies, without framing.
    pub bytes: u64,
}

impl Count {
    pub(crate) fn merge(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
    }
}

/// What became of the messages one way or the other of one pipe, or of all pipes of a socket.
///
/// A message that a [`Pub`](crate::Pub) sends counts once for each peer that it is for. Subscriptions travel as messages,
/// and count as such with both peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Messages that `send` accepted. Always the sum of `handed`, `queued`, `dropped` and `returned`.
    pub accepted: Count,
    /// Messages handed to a transport: encoded and given to a connection, or taken by an inproc peer.
    pub handed: Count,
    /// Of the messages handed, those given to connections that later broke: the peer may have some or all.
    pub in_doubt: u64,
    /// Messages that wait for their connection now.
    pub queued: u64,
    /// The most messages that ever waited at once in one peer's queue.
    pub queued_peak: u64,
    /// Messages dropped, by reason.
    pub dropped: Drops,
    /// Messages given back to the application by `close`.
    pub returned: u64,
    /// Messages that `recv` delivered to the application.
    pub received: Count,
    /// Messages that came in and were passed over, because the rules of the socket type give them no meaning: a request
    /// without an envelope, a reply that nobody waits for. And those that a newer one took the place of, if the receiver
    /// conflates.
    pub discarded: u64,
    /// Messages that came in and wait for `recv` now.
    pub unread: u64,
    /// The most messages that ever waited at once for `recv` from one peer.
    pub unread_peak: u64,
    /// Times that an endpoint connected to was connected again after a loss.
    pub reconnects: u64,
}

impl Traffic {
    /// Adds another pipe's traffic; peaks are the larger of the two.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.accepted.merge(other.accepted);
        self.handed.merge(other.handed);
        self.in_doubt += other.in_doubt;
        self.queued += other.queued;
        self.queued_peak = self.queued_peak.max(other.queued_peak);
        self.dropped.merge(&other.dropped);
        self.returned += other.returned;
        self.received.merge(other.received);
        self.discarded += other.discarded;
        self.unread += other.unread;
        self.unread_peak = self.unread_peak.max(other.unread_peak);
        self.reconnects += other.reconnects;
    }

    /// Tells whether every accepted message is in exactly one bucket.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        let buckets = self.handed.messages + self.queued + self.dropped.total() + self.returned;
        self.accepted.messages == buckets
    }
}

/// Counts of connections that ended, or never came to be, by reason.
///
/// A reason is named without its particulars, as [`DisconnectReason::kind`](crate::DisconnectReason::kind) gives it. Two
/// names are no connection's: `"handshakes a second"` counts the times that connections came too fast, and
/// `"a connection could not be accepted"` what the system refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endings(BTreeMap<&'static str, u64>);

impl Endings {
    /// Returns how many there were of this kind.
    #[must_use]
    pub fn of(&self, kind: &str) -> u64 {
        self.0.get(kind).copied().unwrap_or_default()
    }

    /// Returns each kind of which there was any, with its count.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(kind, count)| (*kind, *count))
    }

    /// The kinds are texts of this crate, so there are only so many.
    pub(crate) fn add(&mut self, kind: &'static str) {
        *self.0.entry(kind).or_default() += 1;
    }
}

/// A snapshot of a socket's counters.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SocketStats {
    /// All traffic since the socket was built, that of peers that are gone included.
    pub total: Traffic,
    /// The peers of now, one entry per pipe: connected ones, and endpoints that wait for a connection.
    pub peers: Vec<PeerStats>,
    /// Events that the monitor dropped because nobody took them in time, or because strangers caused too many.
    pub monitor_dropped: u64,
    /// Connections that this socket's [`Authenticator`](crate::Authenticator) did not let in.
    pub denied: u64,
    /// Why connections have ended, or were not let in, since the socket was built.
    pub endings: Endings,
    /// Requests whose [`Reply`](crate::Reply) was dropped unsent.
    pub unanswered: u64,
    /// Notices of a [`Router`](crate::Router) or an [`XPub`](crate::XPub) that were dropped because nobody took them in
    /// time.
    pub notices_dropped: u64,
}

/// A snapshot of one peer's counters.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PeerStats {
    /// The endpoint of this socket that the peer came through.
    pub endpoint: Endpoint,
    /// The peer's own address, if there is a connection.
    pub address: Option<String>,
    /// What the peer said of itself, if there is a connection.
    pub info: Option<PeerInfo>,
    /// Commands and messages of the peer that mean nothing to this socket, on the connection of now; they were passed
    /// over.
    pub ignored: u64,
    /// The traffic with this peer; over all its connections for an endpoint connected to.
    pub traffic: Traffic,
}

/// What `close` did with the messages that were still on their way.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CloseReport {
    /// Messages that were accepted but not handed to a transport within the linger time, oldest first per peer.
    pub returned: Vec<Message>,
    /// The socket's traffic over its whole life.
    pub total: Traffic,
}
