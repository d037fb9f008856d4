//! The face of PULL.

use std::sync::Arc;

use super::closing::Handle;
use super::verbs::{common_verbs, recv_verbs, recv_with_peer_verbs};
use crate::pattern::PullPattern;

/// Receives messages from its [`Push`](crate::Push) peers, one from each in turn: the end of a pipeline, or a step in it.
///
/// Messages of one peer come in the order in which they were sent. A peer whose queue here is full is not read from,
/// until it waits in turn: that is how back-pressure travels up a pipeline.
///
/// A handle is cheap to clone, and all clones are the same socket: each message goes to one of them.
///
/// ```
/// use aqueduct::{Pull, Push};
///
/// let pull = Pull::new();
/// pull.bind("inproc://results")?;
/// let push = Push::new();
/// push.connect("inproc://results")?;
/// push.send(["one", "message", "of", "parts"].into_iter().collect::<aqueduct::Message>())?;
/// assert_eq!(pull.recv()?.len(), 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Pull(pub(super) Arc<Handle<PullPattern>>);

common_verbs!(Pull, PullPattern);
recv_verbs!(Pull);
recv_with_peer_verbs!(Pull);
