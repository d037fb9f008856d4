//! CURVE as a chain of states of the handshake: what the connection passes to them, and what comes of it.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Buf;
use zeroize::Zeroizing;

use super::Forged;
use super::client::{Client, HelloSent, InitiateSent};
use super::server::{AwaitHello, Drawn, Server, Vouched, WelcomeSent};
use super::traffic::{LEAD, Traffic};
use crate::security::{Credentials, Denial, Inquiry, User};
use crate::zmtp::command::{Command, Properties};
use crate::zmtp::connection::Config;
use crate::zmtp::handshake::Denied;
use crate::zmtp::mechanism::{Next, Opened, Pending, Seal, Stage, Turn, metadata};
use crate::{DisconnectReason, Frame, KeyPair, PeerInfo, PublicKey, recycle};

/// The client opens.
pub(in crate::zmtp::mechanism) fn begin_client(
    server: PublicKey,
    keys: &Arc<KeyPair>,
    config: &Config,
) -> Result<Turn, Denied> {
    let client = Client {
        server,
        keys: Arc::clone(keys),
        gaps: config.gaps,
    };
    let (state, say) = HelloSent::begin(&client, *draw(config)?)?;
    Ok(Turn {
        say,
        next: Next::Listen(Box::new(AwaitWelcome { state, client })),
    })
}

/// The server waits for the client.
pub(in crate::zmtp::mechanism) fn begin_server(keys: &Arc<KeyPair>, config: &Config) -> Turn {
    let server = Server {
        keys: Arc::clone(keys),
        gaps: config.gaps,
    };
    Turn {
        say: Vec::new(),
        next: Next::Listen(Box::new(Stranger { server })),
    }
}

/// Returns random bytes.
fn draw<const N: usize>(config: &Config) -> Result<Zeroizing<[u8; N]>, Denied> {
    let mut bytes = Zeroizing::new([0; N]);
    (config.entropy)(&mut *bytes).map_err(|error| DisconnectReason::Io(error.kind()))?;
    Ok(bytes)
}

impl From<Forged> for Denied {
    /// The peer is told nothing.
    fn from(forged: Forged) -> Self {
        DisconnectReason::from(forged).into()
    }
}

/// What is wrong with a command that is not the one a client waits for: the server may have refused us.
fn refusal(body: &[u8], forged: Forged) -> Denied {
    match Command::parse(body) {
        Ok(Command::Error(reason)) => Denied::refused(reason),
        _ => forged.into(),
    }
}

/// A client that has said HELLO.
#[derive(Debug)]
struct AwaitWelcome {
    state: HelloSent,
    client: Client,
}

impl Stage for AwaitWelcome {
    fn handle_command(self: Box<Self>, body: &[u8], config: &Config) -> Result<Turn, Denied> {
        let Self { state, client } = *self;
        let drawn = draw(config)?;
        let (state, say) = state
            .welcome(body, &client, &metadata::ours(config), *drawn)
            .map_err(|forged| refusal(body, forged))?;
        Ok(Turn {
            say,
            next: Next::Listen(Box::new(AwaitReady { state, client })),
        })
    }
}

/// A client that has said INITIATE.
#[derive(Debug)]
struct AwaitReady {
    state: InitiateSent,
    client: Client,
}

impl Stage for AwaitReady {
    fn handle_command(self: Box<Self>, body: &[u8], config: &Config) -> Result<Turn, Denied> {
        let (traffic, properties) = self
            .state
            .ready(body, &self.client)
            .map_err(|forged| refusal(body, forged))?;
        let peer = metadata::judge(Properties::new(&properties), config)?;
        Ok(Turn {
            say: Vec::new(),
            next: Next::Admit(peer, Some(Box::new(Boxes::new(traffic)))),
        })
    }
}

/// A server to which nothing has been said.
#[derive(Debug)]
struct Stranger {
    server: Server,
}

impl Stage for Stranger {
    fn handle_command(self: Box<Self>, body: &[u8], config: &Config) -> Result<Turn, Denied> {
        let drawn = draw::<{ Drawn::LEN }>(config)?;
        let (state, say) = AwaitHello.hello(body, &self.server, &Drawn::from(&*drawn))?;
        let server = self.server;
        Ok(Turn {
            say,
            next: Next::Listen(Box::new(AwaitInitiate { state, server })),
        })
    }
}

/// A server that has said WELCOME.
#[derive(Debug)]
struct AwaitInitiate {
    state: WelcomeSent,
    server: Server,
}

impl Stage for AwaitInitiate {
    fn handle_command(self: Box<Self>, body: &[u8], config: &Config) -> Result<Turn, Denied> {
        let state = self.state.initiate(body, &self.server)?;
        let peer = metadata::judge(Properties::new(state.properties()), config)?;
        let inquiry = Inquiry {
            credentials: Credentials::Curve {
                public_key: state.key(),
            },
            routing_id: peer.routing_id.clone(),
            properties: peer.properties.clone(),
        };
        let server = self.server;
        Ok(Turn {
            say: Vec::new(),
            next: Next::Ask(Box::new(inquiry), Box::new(Undecided { state, server, peer })),
        })
    }
}

/// A server whose application decides on a client that has proved who it is.
#[derive(Debug)]
struct Undecided {
    state: Vouched,
    server: Server,
    peer: PeerInfo,
}

impl Pending for Undecided {
    fn allow(self: Box<Self>, user: Arc<User>, config: &Config) -> Result<Turn, Denied> {
        let Self {
            state,
            server,
            mut peer,
        } = *self;
        let (traffic, say) = state.ready(&server, &metadata::ours(config));
        peer.user = Some(user);
        Ok(Turn {
            say,
            next: Next::Admit(peer, Some(Box::new(Boxes::new(traffic)))),
        })
    }

    fn deny(self: Box<Self>, denial: Denial) -> Denied {
        Denied::by_application(denial)
    }
}

/// Frames in boxes.
#[derive(Debug)]
struct Boxes {
    traffic: Traffic,
    /// Where short frames are opened; it is never larger than one of those that are not recycled.
    scratch: Vec<u8>,
}

impl Boxes {
    fn new(traffic: Traffic) -> Self {
        Self {
            traffic,
            scratch: Vec::new(),
        }
    }
}

impl Seal for Boxes {
    fn seal(&mut self, flags: u8, body: &[u8], out: &mut Vec<u8>) {
        self.traffic.seal(flags, body, out);
    }

    fn open(&mut self, body: Cow<'_, [u8]>) -> Result<Opened, DisconnectReason> {
        let (flags, body) = if body.len() < recycle::SMALLEST {
            let (lead, boxed) = body.split_first_chunk().ok_or(Forged)?;
            self.scratch.clear();
            self.scratch.extend_from_slice(boxed);
            let flags = self.traffic.open(lead, &mut self.scratch)?;
            (flags, Frame::copy_from_slice(&self.scratch))
        } else {
            let mut buffer = own(body);
            let (lead, boxed) = buffer.split_first_chunk_mut().ok_or(Forged)?;
            let flags = self.traffic.open(lead, boxed)?;
            let mut body = recycle::into_body(buffer);
            body.advance(LEAD);
            (flags, Frame::from(body))
        };
        Ok(Opened {
            more: flags.more,
            command: flags.command,
            body,
        })
    }
}

/// What came in pieces lies in a buffer already.
fn own(body: Cow<'_, [u8]>) -> Vec<u8> {
    match body {
        Cow::Owned(buffer) => buffer,
        Cow::Borrowed(bytes) => {
            let mut buffer = recycle::take(bytes.len());
            buffer.extend_from_slice(bytes);
            buffer
        }
    }
}
