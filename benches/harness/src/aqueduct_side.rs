//! The library as an application uses it: default options, blocking calls, one for each message.

use std::time::Duration;

use aqueduct::{Pull, Push};
use aqueduct_bench_shared::payload::Body;

use crate::Outcome;
use crate::cells::Transport;
use crate::traffic::{Sink, Source};

/// How long peers may take to find each other.
const PATIENCE: Duration = Duration::from_secs(10);

impl Sink for Push {
    #[inline]
    fn send(&mut self, body: &Body<'_>) -> Outcome<()> {
        if body.is_by_reference() {
            Push::send(self, body.shared())?;
        } else {
            Push::send(self, body.bytes())?;
        }
        Ok(())
    }
}

impl Source for Pull {
    #[inline]
    fn recv<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Outcome<T> {
        let message = Pull::recv(self)?;
        let body = message.as_single().ok_or("a message of many frames")?;
        Ok(look(body))
    }
}

/// Where to bind.
pub(crate) fn wildcard(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "tcp://127.0.0.1:0",
        Transport::Ipc => "ipc://*",
        Transport::Inproc => "inproc://harness",
    }
}

/// Both directions, each through a pair of sockets of its own.
pub(crate) struct Sockets {
    pub(crate) push: Push,
    pub(crate) pull: Pull,
}

impl Sockets {
    /// Binds both, says where, and waits for the peers.
    pub(crate) fn bind(transport: Transport, announce: impl FnOnce(&str)) -> Outcome<Self> {
        let sockets = Self {
            push: Push::new(),
            pull: Pull::new(),
        };
        let there = sockets.pull.bind(wildcard(transport))?;
        let back = sockets.push.bind(wildcard(transport))?;
        announce(&format!("{there} {back}"));
        sockets.wait()
    }

    /// Makes both sides in this process: the one that asks and the one that answers.
    pub(crate) fn inproc() -> Outcome<(Self, Self)> {
        let (there, back) = ("inproc://there", "inproc://back");
        let far = Self {
            push: Push::new(),
            pull: Pull::new(),
        };
        far.pull.bind(there)?;
        far.push.bind(back)?;
        Ok((Self::connect(&format!("{there} {back}"))?, far.wait()?))
    }

    /// Connects both to where the other side has bound them.
    pub(crate) fn connect(addresses: &str) -> Outcome<Self> {
        let (there, back) = addresses.split_once(' ').ok_or("two endpoints are needed")?;
        let sockets = Self {
            push: Push::new(),
            pull: Pull::new(),
        };
        sockets.push.connect(there)?;
        sockets.pull.connect(back)?;
        sockets.wait()
    }

    fn wait(self) -> Outcome<Self> {
        self.push.wait_for_peers(1, PATIENCE)?;
        self.pull.wait_for_peers(1, PATIENCE)?;
        Ok(self)
    }
}

/// Binds a socket that receives, says where, and waits for the peer.
pub(crate) fn bind_pull(transport: Transport, announce: impl FnOnce(&str)) -> Outcome<Pull> {
    let pull = Pull::new();
    announce(&pull.bind(wildcard(transport))?.to_string());
    pull.wait_for_peers(1, PATIENCE)?;
    Ok(pull)
}

/// Connects a socket that sends.
pub(crate) fn connect_push(address: &str) -> Outcome<Push> {
    let push = Push::new();
    push.connect(address)?;
    push.wait_for_peers(1, PATIENCE)?;
    Ok(push)
}
