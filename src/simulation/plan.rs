//! The plan of a world: which sockets there are, and which of them connect to which.

use std::time::Duration;

use super::application::{Application, Desk, Talker};
use super::asking::{Answerer, Asker};
use super::ledger::Ledger;
use super::node::Node;
use super::publishing::Source;
use super::rng::Rng;
use super::routing::Server;
use super::socket::Socket;
use super::subscribing::Listener;
use crate::options::{LinkOptions, Options};
use crate::pattern::{
    DealerPattern, PairPattern, PubPattern, PullPattern, PushPattern, SubPattern, XPubPattern, XSubPattern,
};
use crate::{RoutingId, SocketType};

/// Sockets by type, and their connections.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) kinds: Vec<SocketType>,
    pub(super) routes: Vec<Joint>,
    /// Peers that cannot be there at the same time; all but the first of them have to go for the world to be at peace.
    pub(super) rivals: Vec<usize>,
    /// Subscribers get what they did not subscribe to.
    pub(super) invert: bool,
}

/// Two sockets that are to be connected.
#[derive(Clone, Copy, Debug)]
pub(super) struct Joint {
    /// The one that connects, and the one that is bound.
    pub(super) ends: [usize; 2],
    /// The pipe of the one that connects waits for connections, rather than coming with them.
    pub(super) keeps_pipe: bool,
}

impl Plan {
    pub(super) fn new(rng: &mut Rng) -> Self {
        use SocketType as S;
        if rng.one_in(3) {
            return Self::feeds(rng);
        }
        let (ours, theirs) = rng.pick(&[
            (S::Push, S::Pull),
            (S::Push, S::Pull),
            (S::Req, S::Rep),
            (S::Req, S::Rep),
            (S::Req, S::Router),
            (S::Dealer, S::Rep),
            (S::Dealer, S::Router),
            (S::Dealer, S::Dealer),
            (S::Router, S::Router),
            (S::Pair, S::Pair),
        ]);
        match rng.below(8) {
            0 | 1 => Self::mixed(rng),
            2 => Self::rivals(S::Dealer, S::Router),
            3 if ours == S::Pair => Self::rivals(S::Pair, S::Pair),
            _ if ours == S::Pair => Self::all_to_all(vec![S::Pair], vec![S::Pair], rng),
            _ => {
                let (left, right) = (rng.between(1, 3), rng.between(1, 3));
                Self::all_to_all(vec![ours; left], vec![theirs; right], rng)
            }
        }
    }

    /// Publishers and subscribers.
    fn feeds(rng: &mut Rng) -> Self {
        use SocketType as S;
        let mut some = |kinds: [S; 2]| (0..rng.between(1, 3)).map(|_| rng.pick(&kinds)).collect();
        let (publishers, subscribers) = (some([S::Pub, S::XPub]), some([S::Sub, S::XSub]));
        Self {
            invert: rng.one_in(8),
            ..Self::all_to_all(publishers, subscribers, rng)
        }
    }

    fn all_to_all(left: Vec<SocketType>, right: Vec<SocketType>, rng: &mut Rng) -> Self {
        let pairs = (0..left.len()).flat_map(|a| (0..right.len()).map(move |b| (a, b)));
        let routes = pairs.map(|(a, b)| Joint::new([a, left.len() + b], rng)).collect();
        Self {
            kinds: [left, right].concat(),
            routes,
            rivals: Vec::new(),
            invert: false,
        }
    }

    /// Any sockets that speak with envelopes, joined where they can be.
    fn mixed(rng: &mut Rng) -> Self {
        use SocketType as S;
        let kinds: Vec<_> = (0..rng.between(3, 5))
            .map(|_| rng.pick(&[S::Req, S::Rep, S::Dealer, S::Router]))
            .collect();
        let mut routes = Vec::new();
        for a in 0..kinds.len() {
            for b in a + 1..kinds.len() {
                if kinds[a].talks_to(kinds[b]) && !rng.one_in(3) {
                    routes.push(Joint::new([a, b], rng));
                }
            }
        }
        // Whoever has no peer has nothing to do.
        let has_peer = |at: usize| routes.iter().any(|joint| joint.ends.contains(&at));
        if (0..kinds.len()).all(has_peer) {
            return Self {
                kinds,
                routes,
                rivals: Vec::new(),
                invert: false,
            };
        }
        Self::all_to_all(vec![S::Req, S::Dealer], vec![S::Rep, S::Router], rng)
    }

    /// Two that want the place of one.
    fn rivals(kind: SocketType, hub: SocketType) -> Self {
        let joint = |at| Joint {
            ends: [at, 2],
            keeps_pipe: true,
        };
        Self {
            kinds: vec![kind, kind, hub],
            routes: vec![joint(0), joint(1)],
            rivals: vec![0, 1],
            invert: false,
        }
    }

    /// Makes the sockets.
    pub(super) fn build(&self, ledger: &mut Ledger, rng: &mut Rng) -> Vec<Box<dyn Node>> {
        let link = LinkOptions {
            heartbeat_interval: rng.one_in(2).then_some(Duration::from_secs(2)),
            heartbeat_timeout: Duration::from_secs(5),
            heartbeat_ttl: rng.one_in(2).then_some(Duration::from_secs(6)),
            max_message_size: 1024 * 1024,
            ..LinkOptions::default()
        };
        let slots = 0..self.kinds.len();
        let build = |slot| {
            let mut options = Options {
                link: link.clone(),
                ..Options::default()
            };
            options.link.routing_id = if self.rivals.contains(&slot) {
                RoutingId::new("rival").unwrap_or_default()
            } else {
                choose_id(slot, rng)
            };
            let mut desk = Desk {
                slot,
                ledger,
                rng,
                plan: self,
            };
            make(self.kinds[slot], options, &mut desk)
        };
        slots.map(build).collect()
    }
}

impl Joint {
    fn new(mut ends: [usize; 2], rng: &mut Rng) -> Self {
        if rng.one_in(2) {
            ends.reverse();
        }
        Self {
            ends,
            keeps_pipe: !rng.one_in(5),
        }
    }
}

/// The id that a socket announces, if it announces one.
pub(super) fn choose_id(slot: usize, rng: &mut Rng) -> RoutingId {
    let id = match rng.below(4) {
        0 | 1 => String::new(),
        variant => format!("chosen-{slot}-{variant}"),
    };
    RoutingId::new(id).unwrap_or_default()
}

/// Whether an id is one of those that sockets announce.
pub(super) fn is_chosen(id: &RoutingId) -> bool {
    id.as_bytes().starts_with(b"chosen")
}

/// A socket type joins the simulation here.
fn make(kind: SocketType, options: Options, desk: &mut Desk<'_>) -> Box<dyn Node> {
    fn boxed<A: Application + 'static>(options: Options, desk: &mut Desk<'_>) -> Box<dyn Node> {
        Box::new(Socket::<A>::new(options, desk))
    }
    match kind {
        SocketType::Push => boxed::<Talker<PushPattern>>(options, desk),
        SocketType::Pull => boxed::<Talker<PullPattern>>(options, desk),
        SocketType::Dealer => boxed::<Talker<DealerPattern>>(options, desk),
        SocketType::Pair => boxed::<Talker<PairPattern>>(options, desk),
        SocketType::Req => boxed::<Asker>(options, desk),
        SocketType::Rep => boxed::<Answerer>(options, desk),
        SocketType::Router => boxed::<Server>(options, desk),
        SocketType::Pub => boxed::<Source<PubPattern>>(options, desk),
        SocketType::XPub => boxed::<Source<XPubPattern>>(options, desk),
        SocketType::Sub => boxed::<Listener<SubPattern>>(options, desk),
        SocketType::XSub => boxed::<Listener<XSubPattern>>(options, desk),
    }
}
