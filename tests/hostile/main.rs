//! Hostile peers: whatever one says, over tcp and ipc, costs it its connection or means nothing, while an honest pair loses
//! nothing.
//!
//! [`table`] has the scripts, and [`register`] says where each row of the list of bad input is shown.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod register;
mod requests;
mod stage;
mod subscriptions;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod time;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use aqueduct::{AllowAny, Buildable, Builder, Pull, Push};
use register::{ROWS, Shown};
use stage::{Side, Stage};
use support::Transport;
use table::Script;

/// Plays every script to a socket in this role.
fn play_all(side: Side, transport: Transport) {
    let stage = Stage::set(side, transport);
    play(stage, &table::scripts(side.welcome()), side, transport);
}

fn play(stage: Stage, scripts: &[Script], side: Side, transport: Transport) {
    for script in scripts {
        let context = format!("{transport:?} {side:?}, {}", script.name);
        stage.play(script, &context);
    }
    stage.strike();
}

macro_rules! roles {
    ($($test:ident: $side:ident, $transport:ident;)*) => {$(
        #[test]
        fn $test() {
            play_all(Side::$side, Transport::$transport);
        }
    )*};
}

roles! {
    a_bound_pull_over_tcp: BoundPull, Tcp;
    a_bound_pull_over_ipc: BoundPull, Ipc;
    a_connecting_pull_over_tcp: ConnectingPull, Tcp;
    a_connecting_pull_over_ipc: ConnectingPull, Ipc;
    a_bound_push_over_tcp: BoundPush, Tcp;
    a_bound_push_over_ipc: BoundPush, Ipc;
    a_connecting_push_over_tcp: ConnectingPush, Tcp;
    a_connecting_push_over_ipc: ConnectingPush, Ipc;
}

fn plain_client<S: Buildable>(builder: Builder<S>) -> Builder<S> {
    builder.plain_client("alice", "secret").unwrap()
}

#[test]
fn plain_servers_and_clients() {
    for transport in Transport::WIRED {
        let side = Side::BoundPull;
        let server = |builder: Builder<Pull>| builder.plain_server(AllowAny);
        let stage = Stage::secured("PLAIN", side, transport, server, plain_client);
        play(stage, &table::for_plain_servers(), side, transport);

        let side = Side::ConnectingPull;
        let server = |builder: Builder<Push>| builder.plain_server(AllowAny);
        let stage = Stage::secured("PLAIN", side, transport, plain_client, server);
        play(stage, &table::for_plain_clients(), side, transport);
    }
}

#[cfg(feature = "curve")]
#[test]
fn curve_servers_and_clients() {
    use aqueduct::{KeyPair, PublicKey, SecretKey};

    fn keys(seed: u8) -> KeyPair {
        SecretKey::from_bytes([seed; 32]).into()
    }

    fn client<S: Buildable>(builder: Builder<S>, server: PublicKey) -> Builder<S> {
        builder.curve_client(server, keys(2))
    }

    let public = keys(1).public();
    for transport in Transport::WIRED {
        let side = Side::BoundPull;
        let server = |builder: Builder<Pull>| builder.curve_server(keys(1), AllowAny);
        let stage = Stage::secured("CURVE", side, transport, server, |push| client(push, public));
        play(stage, &table::for_curve_servers(), side, transport);

        let side = Side::ConnectingPull;
        let server = |builder: Builder<Push>| builder.curve_server(keys(1), AllowAny);
        let stage = Stage::secured("CURVE", side, transport, |pull| client(pull, public), server);
        play(stage, &table::for_curve_clients(), side, transport);
    }
}

#[test]
fn every_row_is_shown_where_the_register_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scripts = [
        table::scripts("PUSH"),
        table::for_plain_servers(),
        table::for_plain_clients(),
        table::for_curve_servers(),
        table::for_curve_clients(),
    ]
    .concat();
    let mut rows = BTreeSet::new();
    for (row, shown) in ROWS {
        assert!(rows.insert(row), "twice: {row}");
        assert!(!shown.is_empty(), "nowhere: {row}");
        for place in *shown {
            match place {
                Shown::Scripts => assert!(
                    scripts.iter().any(|script| script.row == *row),
                    "no script: {row}"
                ),
                Shown::Test(file, test) => {
                    let source = fs::read_to_string(root.join(file)).unwrap();
                    assert!(
                        source.contains(&format!("fn {test}(")),
                        "{file} has no {test}: {row}"
                    );
                }
            }
        }
    }
    for script in &scripts {
        let row = ROWS.iter().find(|(row, _)| *row == script.row);
        assert!(
            row.is_some_and(|(_, shown)| shown.contains(&Shown::Scripts)),
            "unknown: {}",
            script.row
        );
        assert!(!script.name.is_empty() && !script.breaks.is_empty(), "{script:?}");
    }
}
