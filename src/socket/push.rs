//! The face of PUSH.

use std::sync::Arc;

use super::closing::Handle;
use super::verbs::{common_verbs, send_verbs};
use crate::pattern::PushPattern;

/// Sends each message to one of its [`Pull`](crate::Pull) peers, in turn: the start of a pipeline, or a step in it.
///
/// A message goes to the next peer whose queue has room; when none has, or there is no peer, `send` waits and
/// `try_send` fails. Messages queued for an endpoint connected to survive the loss of the connection; those queued
/// for a peer that had connected to us are dropped with it and counted, as RFC 30 has it.
///
/// A handle is cheap to clone, and all clones are the same socket: use it from as many threads as you like.
///
/// ```
/// use aqueduct::{Pull, Push};
///
/// let pull = Pull::new();
/// let endpoint = pull.bind("tcp://127.0.0.1:0")?;
/// let push = Push::new();
/// push.connect(&endpoint)?;
/// push.send("hello")?;
/// assert_eq!(pull.recv()?, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Push(pub(super) Arc<Handle<PushPattern>>);

common_verbs!(Push, PushPattern);
send_verbs!(Push);
