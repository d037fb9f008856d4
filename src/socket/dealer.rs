//! The face of DEALER.

use std::sync::Arc;

use super::builder::Builder;
use super::closing::Handle;
use super::verbs::{common_verbs, halves, recv_verbs, recv_with_peer_verbs, send_verbs};
use crate::pattern::DealerPattern;

/// Sends each message to one of its peers, in turn, and receives from all of them, in turn: an asynchronous client of
/// [`Router`](crate::Router) or [`Rep`](crate::Rep), or the back of a broker (RFC 28).
///
/// Messages go out and come in as they are. A `Rep` wants an envelope around the request: put an empty frame before it,
/// and find one before the reply.
///
/// A handle is cheap to clone, and all clones are the same socket; [`split`](Self::split) makes one that only sends and
/// one that only receives.
///
/// ```
/// use aqueduct::{Dealer, Message, Router};
///
/// let router = Router::new();
/// let endpoint = router.bind("tcp://127.0.0.1:0")?;
/// let dealer = Dealer::new();
/// dealer.connect(&endpoint)?;
/// dealer.send("hello")?;
/// let (id, message) = router.recv()?;
/// assert_eq!(message, "hello");
/// router.send(&id, "welcome")?;
/// assert_eq!(dealer.recv()?, "welcome");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Dealer(pub(super) Arc<Handle<DealerPattern>>);

common_verbs!(Dealer, DealerPattern);
send_verbs!(Dealer);
recv_verbs!(Dealer);
recv_with_peer_verbs!(Dealer);

halves!(Dealer(DealerPattern) => DealerSender, DealerReceiver);
send_verbs!(DealerSender);
recv_verbs!(DealerReceiver);
recv_with_peer_verbs!(DealerReceiver);

impl Builder<Dealer> {
    /// Whether an empty message is sent to each peer as soon as it is connected, so that a ROUTER learns of this socket
    /// before it has anything to say. Default `false`.
    #[must_use]
    pub fn probe(mut self, yes: bool) -> Self {
        self.options.dialogue.probe = yes;
        self
    }
}
