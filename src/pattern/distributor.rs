//! The distributor: one message to many pipes, and what is done for those that are full.

use super::{Offer, Pipes};
use crate::error::DisconnectReason;
use crate::message::Message;
use crate::options::SlowPolicy;
use crate::stats::DropReason;

/// Sends what is in its place to each of some pipes, or to none of them if one has to be waited for.
pub(super) fn distribute(
    targets: &[usize],
    out: &mut Option<Message>,
    policy: SlowPolicy,
    pipes: &mut Pipes,
) -> Offer {
    // All are asked, so that each that is full says when it is not.
    let waits = |pipes: &mut Pipes| targets.iter().filter(|key| !pipes.is_writable(**key)).count() > 0;
    if policy == SlowPolicy::Block && waits(pipes) {
        return Offer::Full;
    }
    let Some((last, others)) = targets.split_last() else {
        return Offer::Taken;
    };
    if let Some(message) = out {
        for key in others {
            let offer = pipes.offer_copy(*key, message);
            settle(*key, offer, message, policy, pipes);
        }
    }
    send_to(*last, out, policy, pipes);
    Offer::Taken
}

/// Sends what is in its place to a pipe; drops it if the pipe does not take it.
pub(super) fn send_to(key: usize, out: &mut Option<Message>, policy: SlowPolicy, pipes: &mut Pipes) {
    let offer = pipes.offer(key, out);
    if let Some(message) = out.take() {
        settle(key, offer, &message, policy, pipes);
    }
}

/// Counts a message that a pipe did not take, and does with its peer as the policy has it.
#[inline]
fn settle(key: usize, offer: Offer, message: &Message, policy: SlowPolicy, pipes: &mut Pipes) {
    let reason = match offer {
        Offer::Taken => return,
        Offer::Full => DropReason::SlowPeer,
        Offer::Refused => DropReason::PeerGone,
    };
    pipes.refuse(key, message, reason);
    if reason == DropReason::SlowPeer && policy == SlowPolicy::Disconnect {
        pipes.expel(key, DisconnectReason::Rejected("a subscriber that is too slow"));
    }
}
