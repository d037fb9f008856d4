//! A simulation: sockets' patterns, pipes and protocol over links that split, delay, damage and cut, in virtual time.
//!
//! There are no threads, no sockets and no clock. What happens next is chosen by random numbers from a seed, so that a
//! seed always gives the same run; one that fails is printed, and `AQUEDUCT_SEED=… cargo test simulation` runs it alone.
//! `AQUEDUCT_SEEDS` sets how many seeds are tried.
//!
//! Applications send and receive only when they are told that they can, so a lost wake-up shows as a world that does
//! not come to rest. Promises that every run checks: messages of a connection stay in order and whole; none comes out
//! twice, or without having been sent; each is received, or was taken back from a peer that is gone, or was handed to
//! a connection that broke; no pipe holds more than its high-water mark; the counters agree; and once the links heal,
//! everything arrives.

mod application;
mod asking;
mod bell;
mod ledger;
mod link;
mod network;
mod plan;
mod rng;
mod routing;
mod session;
mod socket;
mod upheaval;
mod world;

use world::World;

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

fn run(seed: u64) -> u64 {
    let _seed = Seed(seed);
    World::new(seed).run()
}

#[test]
fn nothing_is_lost_twice_or_torn_whatever_the_links_do() {
    let seeds = match number("AQUEDUCT_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("AQUEDUCT_SEEDS").unwrap_or(1000),
    };
    for seed in seeds {
        run(seed);
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 5000..5020 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
    assert_ne!(run(5000), run(5001));
}
