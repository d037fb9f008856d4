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
    let Some(message) = out else {
        return Offer::Taken;
    };
    let Some(apart) = pipes.share(targets, message) else {
        if has_to_wait(targets, policy, pipes) {
            return Offer::Full;
        }
        send_to_each(targets, out, policy, pipes);
        return Offer::Taken;
    };
    let offer = if has_to_wait(&apart, policy, pipes) {
        Offer::Full
    } else {
        pipes.stage(message);
        send_to_each(&apart, out, policy, pipes);
        Offer::Taken
    };
    pipes.keep_apart(apart);
    offer
}

/// All are asked, so that each that is full says when it is not.
fn has_to_wait(targets: &[usize], policy: SlowPolicy, pipes: &mut Pipes) -> bool {
    policy == SlowPolicy::Block && targets.iter().filter(|key| !pipes.is_writable(**key)).count() > 0
}

fn send_to_each(targets: &[usize], out: &mut Option<Message>, policy: SlowPolicy, pipes: &mut Pipes) {
    let Some((last, others)) = targets.split_last() else {
        *out = None;
        return;
    };
    if let Some(message) = out {
        for key in others {
            let offer = pipes.offer_copy(*key, message);
            settle(*key, offer, message, policy, pipes);
        }
    }
    send_to(*last, out, policy, pipes);
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
