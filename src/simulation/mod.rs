//! A simulation: sockets' patterns, pipes and protocol over links that split, delay, damage and cut, in virtual time.
//!
//! There are no threads, no sockets of the system and no clock. What happens next is chosen by random numbers from a
//! seed, so that a seed always gives the same run; one that fails is printed, and
//! `AQUEDUCT_SEED=… cargo test simulation` runs it alone. `AQUEDUCT_SEEDS` sets how many seeds are tried. A fuzzer
//! chooses by its input instead.
//!
//! ```text
//!   plan          which sockets of which types, and who connects to whom
//!   world         what happens next, and when all is at rest; network and upheaval do it
//!   socket        a pattern with its pipes, as `socket::core` and `socket::hooks` have them; books for each pipe
//!   application   what uses a socket: application (talkers), asking (REQ, REP), routing (ROUTER), publishing and
//!                 subscribing, which is about topics
//!   session       what `reactor::session` does, over a link
//!   ledger        where each copy of each message is
//! ```
//!
//! Applications send and receive only when they are told that they can, so a lost wake-up shows as a world that does
//! not come to rest. Links are cut, frozen and damaged; sockets close, die, and come back as others. What every run
//! checks: messages go through each pipe and each connection in order and whole; none comes out twice, or without having
//! been sent; each is received, or discarded, or was taken back from a peer that is gone, or was handed to a connection
//! that broke, and the counters of all sockets say so at any time; no pipe holds more than its high-water mark; replies
//! come to who asked, and answer what was asked; ids lead to the peers that have them; a PAIR has one peer; a publisher sends
//! to those who have told it that they want to have it, and to nobody else; and once the links heal, everything arrives, all
//! publishers know what is wanted, and a new message comes to each who wants it.

mod application;
mod asking;
mod bell;
mod books;
mod feeds;
mod ledger;
mod link;
mod network;
mod node;
mod plan;
mod publishing;
mod rng;
mod routing;
mod session;
mod socket;
mod subscribing;
mod topics;
mod upheaval;
mod world;

/// Claim: whatever happens to sockets, links and processes, every message is where the counters say.
pub(crate) fn world(data: &[u8]) {
    world::World::steered(data).run_as_chosen();
}

#[cfg(test)]
mod tests {
    use super::ledger::Sights;
    use super::world::World;
    use proptest::prelude::*;

    fn number(variable: &str) -> Option<u64> {
        std::env::var(variable).ok()?.parse().ok()
    }

    /// Says which seed it was, if the run fails.
    struct Seed(u64);

    impl Drop for Seed {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("simulation failed: AQUEDUCT_SEED={}", self.0);
            }
        }
    }

    fn run(seed: u64) -> (u64, Sights) {
        let _seed = Seed(seed);
        World::new(seed).run()
    }

    #[test]
    fn nothing_is_lost_twice_or_torn_whatever_happens() {
        if let Some(seed) = number("AQUEDUCT_SEED") {
            run(seed);
            return;
        }
        let mut sights = Sights::default();
        for seed in 0..number("AQUEDUCT_SEEDS").unwrap_or(1000).max(100) {
            sights.add(&run(seed).1);
        }
        sights.check();
    }

    #[test]
    fn the_same_seed_gives_the_same_run() {
        for seed in 5000..5020 {
            assert_eq!(run(seed), run(seed), "seed {seed}");
        }
        assert_ne!(run(5000), run(5001));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn nothing_is_lost_whoever_chooses_what_happens(data in prop::collection::vec(any::<u8>(), 0..2000)) {
            super::world(&data);
        }
    }
}
