//! The face of PAIR.

use std::sync::Arc;

use super::closing::Handle;
use super::verbs::{common_verbs, halves, recv_verbs, recv_with_peer_verbs, send_verbs};
use crate::pattern::PairPattern;

/// Talks to exactly one other `Pair`, in both directions: two threads, or two processes, that belong to each other
/// (RFC 31).
///
/// A second peer is refused as long as the first is there: its end sees the connection closed and tries again later, and
/// this end's [`monitor`](Self::monitor) tells of it. `send` waits while there is no peer; an endpoint connected to takes
/// messages before its peer is there.
///
/// A handle is cheap to clone, and all clones are the same socket; [`split`](Self::split) makes one that only sends and
/// one that only receives.
///
/// ```
/// use aqueduct::Pair;
///
/// let here = Pair::new();
/// here.bind("inproc://work")?;
/// let there = Pair::new();
/// there.connect("inproc://work")?;
/// there.send("ready")?;
/// assert_eq!(here.recv()?, "ready");
/// here.send("go")?;
/// assert_eq!(there.recv()?, "go");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Pair(pub(super) Arc<Handle<PairPattern>>);

common_verbs!(Pair, PairPattern);
send_verbs!(Pair);
recv_verbs!(Pair);
recv_with_peer_verbs!(Pair);

halves!(Pair(PairPattern) => PairSender, PairReceiver);
send_verbs!(PairSender);
recv_verbs!(PairReceiver);
recv_with_peer_verbs!(PairReceiver);
