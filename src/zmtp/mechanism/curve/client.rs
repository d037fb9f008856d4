//! The client's side of the handshake: it knows the server's key, and proves that it has its own.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::boxes::SharedKey;
use super::commands::{Hello, Initiate, PROOF, Ready, SealedPair, Welcome, pair_of};
use super::{
    Forged, Gaps, HELLO_PREFIX, INITIATE_PREFIX, READY_PREFIX, Traffic, VOUCH_PREFIX, WELCOME_PREFIX,
    long_nonce,
};
use crate::{KeyPair, PublicKey, SecretKey};

/// The nonce of our HELLO. Those of the INITIATE and of messages follow, which is what libzmq counts on.
const FIRST_NONCE: u64 = 1;

/// What all connections of a client have in common.
#[derive(Clone, Debug)]
pub(super) struct Client {
    /// S.
    pub(super) server: PublicKey,
    /// C and c.
    pub(super) keys: Arc<KeyPair>,
    pub(super) gaps: Gaps,
}

/// A HELLO was sent, with a key that serves for this connection only.
#[derive(Debug)]
pub(super) struct HelloSent {
    /// C' and c'.
    transient: KeyPair,
    /// Of c' and S.
    to_server: SharedKey,
}

impl HelloSent {
    /// Returns the HELLO to send. `transient` are 32 random bytes.
    pub(super) fn begin(config: &Client, transient: [u8; 32]) -> Result<(Self, Vec<u8>), Forged> {
        let transient = KeyPair::from(SecretKey::from_bytes(transient));
        let to_server = SharedKey::agree(transient.secret(), &config.server)?;
        let mut text = [0; PROOF];
        let nonce = FIRST_NONCE.to_be_bytes();
        let tag = to_server.lane(HELLO_PREFIX).seal(nonce, &mut text);
        let hello = Hello {
            client: *transient.public().as_bytes(),
            nonce,
            tag,
            text,
        };
        Ok((Self { transient, to_server }, hello.emit()))
    }

    /// Takes the WELCOME, which proves that the server has its key, and returns the INITIATE to send, with our
    /// properties. `drawn` are 16 random bytes.
    pub(super) fn welcome(
        self,
        body: &[u8],
        config: &Client,
        properties: &[u8],
        drawn: [u8; 16],
    ) -> Result<(InitiateSent, Vec<u8>), Forged> {
        let Welcome { nonce, tag, mut text } = Welcome::parse(body)?;
        let nonce = long_nonce(WELCOME_PREFIX, &nonce);
        self.to_server.open(&nonce, &tag, &mut text)?;
        let (server, cookie) = text.split_first_chunk().ok_or(Forged)?;
        let server = PublicKey::from_bytes(*server);
        let session = SharedKey::agree(self.transient.secret(), &server)?;

        let mut vouched = pair_of(self.transient.public().as_bytes(), config.server.as_bytes());
        let vouch_key = SharedKey::agree(config.keys.secret(), &server)?;
        let tag = vouch_key.seal(&long_nonce(VOUCH_PREFIX, &drawn), &mut vouched);
        let vouch = SealedPair {
            nonce: drawn,
            tag,
            text: vouched,
        };

        let mut text = Zeroizing::new([config.keys.public().as_bytes(), &*vouch.emit(), properties].concat());
        let nonce = FIRST_NONCE.saturating_add(1).to_be_bytes();
        let tag = session.lane(INITIATE_PREFIX).seal(nonce, &mut text);
        let initiate = Initiate {
            cookie: cookie.try_into().map_err(|_| Forged)?,
            nonce,
            tag,
            text: &text,
        };
        let body = initiate.emit();
        Ok((InitiateSent { session }, body))
    }
}

/// An INITIATE was sent. All keys are gone but the one of this connection.
#[derive(Debug)]
pub(super) struct InitiateSent {
    /// Of c' and S'.
    session: SharedKey,
}

impl InitiateSent {
    /// Takes the READY, and returns the properties in it.
    pub(super) fn ready(self, body: &[u8], config: &Client) -> Result<(Traffic, Vec<u8>), Forged> {
        let Ready { nonce, tag, text } = Ready::parse(body)?;
        let mut properties = text.to_vec();
        let lane = self.session.lane(READY_PREFIX);
        lane.open(nonce, &tag, &mut [], &mut properties)?;
        let (ours, theirs) = (FIRST_NONCE.saturating_add(1), u64::from_be_bytes(nonce));
        Ok((
            Traffic::of_client(&self.session, ours, theirs, config.gaps),
            properties,
        ))
    }
}
