//! What the simulation has found wrong, as scripts between real sockets. Each test is named after what once happened.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod support;

use aqueduct::{Dealer, Router};
use support::*;

#[test]
fn a_router_that_waited_before_it_connected_did_not_hear_its_peer() {
    for transport in Transport::ALL {
        let dealer = Dealer::new();
        let endpoint = dealer.bind(transport.anywhere()).unwrap();
        let router = Router::new();
        let received = wait_before(router.recv_async(), || {
            router.connect(&endpoint).unwrap();
            router.wait_for_peers(1, LONG).unwrap();
            dealer.send("hello").unwrap();
        });
        assert_eq!(received.unwrap().1, "hello", "{transport:?}");
    }
}
