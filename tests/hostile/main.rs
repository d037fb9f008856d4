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

use register::{ROWS, Shown};
use stage::{Side, Stage};
use support::Transport;

/// Plays every script to a socket in this role.
fn play_all(side: Side, transport: Transport) {
    let stage = Stage::set(side, transport);
    for script in table::scripts(side.welcome()) {
        let context = format!("{transport:?} {side:?}, {}", script.name);
        stage.play(&script, &context);
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

#[test]
fn every_row_is_shown_where_the_register_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scripts = table::scripts("PUSH");
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
                Shown::Open(why) => println!("open: {row}: {why}"),
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
