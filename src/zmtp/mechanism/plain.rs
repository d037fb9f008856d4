//! PLAIN (RFC 24): the client shows a name and a password, as they are, and the application decides.
//!
//! ```text
//! client  ── HELLO, with name and password ──►  server, which asks the application
//!         ◄── WELCOME, or ERROR ─────────────
//!         ── INITIATE, with properties ──────►
//!         ◄── READY, with properties ────────
//! ```

use std::sync::Arc;

use bytes::Bytes;

use super::{Next, Pending, Stage, Turn, metadata};
use crate::security::{Credentials, Denial, Inquiry, Login, User};
use crate::zmtp::command::{Command, HELLO, INITIATE, Properties, WELCOME, put_counted, split_counted};
use crate::zmtp::connection::Config;
use crate::zmtp::handshake::Denied;
use crate::{DisconnectReason, RoutingId};

/// The client opens.
pub(super) fn begin_client(login: &Login) -> Turn {
    let mut data = Vec::new();
    put_counted(&login.username, &mut data);
    put_counted(&login.password, &mut data);
    Turn {
        say: emit(HELLO, &data),
        next: Next::Listen(Box::new(AwaitWelcome)),
    }
}

/// The server waits for the client.
pub(super) fn begin_server() -> Turn {
    Turn {
        say: Vec::new(),
        next: Next::Listen(Box::new(AwaitHello)),
    }
}

/// A client that the server has not let in.
#[derive(Debug)]
struct AwaitWelcome;

impl Stage for AwaitWelcome {
    fn handle_command(self: Box<Self>, body: &[u8], config: &Config) -> Result<Turn, Denied> {
        if let Some(reason) = misspelt_error(body) {
            return Err(Denied::refused(reason));
        }
        let data = expect(WELCOME, body, "a command other than WELCOME after HELLO")?;
        if !data.is_empty() {
            return Err(DisconnectReason::Malformed("a WELCOME with something behind it").into());
        }
        Ok(Turn {
            say: emit(INITIATE, &metadata::ours(config)),
            next: Next::Listen(Box::new(AwaitReady)),
        })
    }
}

/// A client that is let in, and has not heard with whom it talks.
#[derive(Debug)]
struct AwaitReady;

impl Stage for AwaitReady {
    fn handle_command(self: Box<Self>, body: &[u8], config: &Config) -> Result<Turn, Denied> {
        metadata::judge_ready(body, config, "a command other than READY after INITIATE").map(Turn::admit)
    }
}

/// A server that knows nothing of its client.
#[derive(Debug)]
struct AwaitHello;

impl Stage for AwaitHello {
    fn handle_command(self: Box<Self>, body: &[u8], _config: &Config) -> Result<Turn, Denied> {
        let data = expect(HELLO, body, "a command other than HELLO after the greeting")?;
        let (username, rest) = split_counted(data).ok_or(DisconnectReason::Malformed("a HELLO cut short"))?;
        let (password, rest) = split_counted(rest).ok_or(DisconnectReason::Malformed("a HELLO cut short"))?;
        if !rest.is_empty() {
            return Err(DisconnectReason::Malformed("a HELLO with something behind it").into());
        }
        let inquiry = Inquiry {
            credentials: Credentials::Plain {
                username: Bytes::copy_from_slice(username),
                password: Bytes::copy_from_slice(password),
            },
            routing_id: RoutingId::default(),
            properties: Vec::new(),
        };
        Ok(Turn {
            say: Vec::new(),
            next: Next::Ask(Box::new(inquiry), Box::new(Undecided)),
        })
    }
}

/// A server whose application decides.
#[derive(Debug)]
struct Undecided;

impl Pending for Undecided {
    fn allow(self: Box<Self>, user: Arc<User>, _config: &Config) -> Result<Turn, Denied> {
        Ok(Turn {
            say: emit(WELCOME, &[]),
            next: Next::Listen(Box::new(AwaitInitiate { user })),
        })
    }

    fn deny(self: Box<Self>, denial: Denial) -> Denied {
        Denied::by_application(denial)
    }
}

/// A server that has let its client in, and has not heard with whom it talks.
#[derive(Debug)]
struct AwaitInitiate {
    user: Arc<User>,
}

impl Stage for AwaitInitiate {
    fn handle_command(self: Box<Self>, body: &[u8], config: &Config) -> Result<Turn, Denied> {
        let data = expect(INITIATE, body, "a command other than INITIATE after WELCOME")?;
        let mut peer = metadata::judge(Properties::new(data), config)?;
        peer.user = Some(self.user);
        Ok(Turn {
            say: metadata::ready(config),
            ..Turn::admit(peer)
        })
    }
}

/// Returns what follows the name of a command, which must be this one.
fn expect<'a>(name: &[u8], body: &'a [u8], otherwise: &'static str) -> Result<&'a [u8], Denied> {
    match Command::parse(body)? {
        Command::Unknown { name: theirs, data } if theirs == name => Ok(data),
        Command::Error(reason) => Err(Denied::refused(reason)),
        _ => Err(DisconnectReason::Malformed(otherwise).into()),
    }
}

/// Returns the reason in an ERROR as PLAIN servers of libzmq send it: `"\x05ERROR"` in C begins with the character `\x5E`,
/// for E is a hexadecimal digit.
fn misspelt_error(body: &[u8]) -> Option<&[u8]> {
    match split_counted(body.strip_prefix(b"^RROR")?) {
        Some((reason, [])) => Some(reason),
        _ => None,
    }
}

/// Returns the body of a command that only mechanisms know.
fn emit(name: &[u8], data: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    Command::Unknown { name, data }.emit(&mut body);
    body
}
