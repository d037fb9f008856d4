//! The outbox: what the connection itself has to say, each thing at most once, however slowly the peer reads.

use super::command::{Command, cut_context};
use super::connection::Config;
use super::encoder::Batch;
use super::frame::{self, put_header};
use super::greeting;
use super::limits::PING_CONTEXT;
use super::mechanism::Seal;

const GREETING: u8 = 1;
const HANDSHAKE: u8 = 1 << 1;
const PONG: u8 = 1 << 2;
const PING: u8 = 1 << 3;

/// What is due. A peer that never reads costs these bytes only, and before it is let in a few commands of a mechanism.
#[derive(Debug)]
pub(super) struct Outbox {
    due: u8,
    context_len: u8,
    context: [u8; PING_CONTEXT],
    /// Command frames of the handshake.
    handshake: Box<[u8]>,
}

impl Outbox {
    /// A connection begins with its greeting.
    pub(super) fn new() -> Self {
        Self {
            due: GREETING,
            context_len: 0,
            context: [0; PING_CONTEXT],
            handshake: Box::default(),
        }
    }

    #[inline]
    pub(super) fn is_due(&self) -> bool {
        self.due != 0
    }

    /// Says a command of the mechanism, after others that have not left. There are few: each answers one of the peer.
    pub(super) fn say(&mut self, body: &[u8]) {
        let mut frames = std::mem::take(&mut self.handshake).into_vec();
        put_header(frame::COMMAND, body.len(), &mut frames);
        frames.extend_from_slice(body);
        self.handshake = frames.into_boxed_slice();
        self.due |= HANDSHAKE;
    }

    /// Asks for a sign of life.
    pub(super) fn ping(&mut self) {
        self.due |= PING;
    }

    /// Answers a PING. There is one answer at most: a later PING replaces the context.
    pub(super) fn pong(&mut self, context: &[u8]) {
        let context = cut_context(context);
        self.context
            .iter_mut()
            .zip(context)
            .for_each(|(slot, byte)| *slot = *byte);
        self.context_len = u8::try_from(context.len()).unwrap_or(0);
        self.due |= PONG;
    }

    /// Says why the peer is refused, and nothing after that.
    pub(super) fn refuse(&mut self, reason: &str) {
        self.due &= GREETING;
        self.handshake = Box::default();
        let mut body = Vec::new();
        Command::Error(reason.as_bytes()).emit(&mut body);
        self.say(&body);
    }

    /// Says nothing more.
    pub(super) fn silence(&mut self) {
        self.due = 0;
        self.handshake = Box::default();
    }

    pub(super) fn emit(
        &mut self,
        config: &Config,
        mut seal: Option<&mut (dyn Seal + 'static)>,
        out: &mut Batch,
    ) {
        let due = std::mem::take(&mut self.due);
        if due & GREETING != 0 {
            out.put(&greeting::emit(&config.mechanism));
        }
        if due & HANDSHAKE != 0 {
            out.put(&std::mem::take(&mut self.handshake));
        }
        if due & PONG != 0 {
            let context = self
                .context
                .get(..usize::from(self.context_len))
                .unwrap_or_default();
            out.put_command(&Command::Pong { context }, seal.as_deref_mut());
        }
        if due & PING != 0 {
            let ttl = config.ttl_to_announce();
            out.put_command(&Command::Ping { ttl, context: &[] }, seal);
        }
    }
}
