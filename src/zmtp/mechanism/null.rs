//! NULL: each end sends READY with its properties, and that is all.

use super::{Next, Stage, Turn, metadata};
use crate::zmtp::connection::Config;
use crate::zmtp::handshake::Denied;

/// Both ends send READY at once.
pub(super) fn begin(config: &Config) -> Turn {
    Turn {
        say: metadata::ready(config),
        next: Next::Listen(Box::new(AwaitReady)),
    }
}

/// The peer's READY has not come.
#[derive(Debug)]
struct AwaitReady;

impl Stage for AwaitReady {
    fn handle_command(self: Box<Self>, body: &[u8], config: &Config) -> Result<Turn, Denied> {
        metadata::judge_ready(body, config, "a command other than READY in the handshake").map(Turn::admit)
    }
}
