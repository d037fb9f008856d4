//! The face of XSUB.

use std::sync::Arc;

use super::closing::Handle;
use super::subscribe::subscriber_verbs;
use super::verbs::{common_verbs, halves, recv_verbs, recv_with_peer_verbs, send_verbs};
use crate::pattern::{Subscribes, XSubPattern};

/// A [`Sub`](crate::Sub) that can send: subscriptions as messages, for a proxy, and messages to its publishers (RFC 29).
///
/// A message of one frame that begins with a byte 1 subscribes to the topic that follows, and with a byte 0 cancels that.
/// Any other goes to each publisher that is connected; an [`XPub`](crate::XPub) receives it, a [`Pub`](crate::Pub) passes it
/// over. Sending does not wait: what does not fit into the queue of a publisher is dropped for that one, and counted.
///
/// All that comes is received: there is no filter here as a `Sub` has one.
///
/// A handle is cheap to clone, and all clones are the same socket; [`split`](Self::split) makes one that only sends and
/// one that only receives.
///
/// ```
/// use std::time::Duration;
///
/// use aqueduct::{Pub, XSub};
///
/// let publisher = Pub::new();
/// publisher.bind("inproc://feed")?;
/// let subscriber = XSub::new();
/// subscriber.connect("inproc://feed")?;
/// subscriber.send("\u{1}weather")?; // the same as subscribe("weather")
/// publisher.wait_for_subscribers("weather", 1, Duration::from_secs(10))?;
/// publisher.send("weather: fair")?;
/// assert_eq!(subscriber.recv()?, "weather: fair");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct XSub(pub(super) Arc<Handle<XSubPattern>>);

common_verbs!(XSub, XSubPattern);
send_verbs!(XSub);
recv_verbs!(XSub);
recv_with_peer_verbs!(XSub);
subscriber_verbs!(XSub);

halves!(XSub(XSubPattern) => XSubSender, XSubReceiver);
send_verbs!(XSubSender);
recv_verbs!(XSubReceiver);
recv_with_peer_verbs!(XSubReceiver);
