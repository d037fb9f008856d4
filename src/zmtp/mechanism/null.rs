//! NULL: each end sends READY with its properties, and that is all. An end that asks its application does so first, and
//! sends READY when the peer is let in; so two ends that ask do not wait for each other.

use std::sync::Arc;

use super::{Next, Pending, Stage, Turn, metadata};
use crate::security::{Credentials, Denial, Inquiry, User};
use crate::zmtp::connection::Config;
use crate::zmtp::handshake::Denied;
use crate::{PeerInfo, RoutingId};

/// Both ends send READY at once.
pub(super) fn begin(config: &Config) -> Turn {
    introduce(config, None)
}

/// The application is asked before anything is said.
pub(super) fn begin_server() -> Turn {
    let inquiry = Inquiry {
        credentials: Credentials::Null,
        routing_id: RoutingId::default(),
        properties: Vec::new(),
    };
    Turn {
        say: Vec::new(),
        next: Next::Ask(Box::new(inquiry), Box::new(Undecided)),
    }
}

/// Says who we are, and listens who the peer is.
fn introduce(config: &Config, user: Option<Arc<User>>) -> Turn {
    Turn {
        say: metadata::ready(config),
        next: Next::Listen(Box::new(AwaitReady { user })),
    }
}

/// The application decides on a peer of which only the address is known.
#[derive(Debug)]
struct Undecided;

impl Pending for Undecided {
    fn allow(self: Box<Self>, user: Arc<User>, config: &Config) -> Result<Turn, Denied> {
        Ok(introduce(config, Some(user)))
    }

    fn deny(self: Box<Self>, denial: Denial) -> Denied {
        Denied::by_application(denial)
    }
}

/// The peer's READY has not come.
#[derive(Debug)]
struct AwaitReady {
    /// Whom the application has found the peer to be, if it was asked.
    user: Option<Arc<User>>,
}

impl Stage for AwaitReady {
    fn handle_command(self: Box<Self>, body: &[u8], config: &Config) -> Result<Turn, Denied> {
        let peer = metadata::judge_ready(body, config, "a command other than READY in the handshake")?;
        Ok(Turn::admit(PeerInfo {
            user: self.user,
            ..peer
        }))
    }
}
