//! The server's side of the handshake: it proves that it has its key, and learns the client's.

use std::sync::Arc;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::boxes::SharedKey;
use super::commands::{Hello, Initiate, PROOF, Ready, SealedPair, VOUCH, Welcome, pair_of};
use super::{
    COOKIE_PREFIX, Forged, Gaps, HELLO_PREFIX, INITIATE_PREFIX, READY_PREFIX, Traffic, VOUCH_PREFIX,
    WELCOME_PREFIX, long_nonce,
};
use crate::{KeyPair, PublicKey, SecretKey};

/// The nonce of our READY. Those of messages follow, which is what libzmq counts on.
const FIRST_NONCE: u64 = 1;

/// What all connections of a server have in common.
#[derive(Clone, Debug)]
pub(super) struct Server {
    /// S and s.
    pub(super) keys: Arc<KeyPair>,
    pub(super) gaps: Gaps,
}

/// The random bytes for one WELCOME.
pub(super) struct Drawn {
    transient: Zeroizing<[u8; 32]>,
    cookie_key: Zeroizing<[u8; 32]>,
    cookie_nonce: [u8; 16],
    welcome_nonce: [u8; 16],
}

impl Drawn {
    /// How many random bytes it takes.
    pub(super) const LEN: usize = 96;
}

impl From<&[u8; Drawn::LEN]> for Drawn {
    fn from(bytes: &[u8; Self::LEN]) -> Self {
        let mut bytes = bytes.iter();
        let mut drawn = Self {
            transient: Zeroizing::new([0; 32]),
            cookie_key: Zeroizing::new([0; 32]),
            cookie_nonce: [0; 16],
            welcome_nonce: [0; 16],
        };
        let keys = drawn.transient.iter_mut().chain(drawn.cookie_key.iter_mut());
        let nonces = drawn.cookie_nonce.iter_mut().chain(&mut drawn.welcome_nonce);
        keys.chain(nonces)
            .zip(&mut bytes)
            .for_each(|(slot, byte)| *slot = *byte);
        drawn
    }
}

/// Nothing has come yet.
#[derive(Debug)]
pub(super) struct AwaitHello;

impl AwaitHello {
    /// Takes the HELLO of somebody who knows our key, and returns the WELCOME to send.
    pub(super) fn hello(
        self,
        body: &[u8],
        config: &Server,
        drawn: &Drawn,
    ) -> Result<(WelcomeSent, Vec<u8>), Forged> {
        let Hello {
            client,
            nonce,
            tag,
            mut text,
        } = Hello::parse(body)?;
        let to_client = SharedKey::agree(config.keys.secret(), &PublicKey::from_bytes(client))?;
        to_client
            .lane(HELLO_PREFIX)
            .open(nonce, &tag, &mut [], &mut text)?;
        if !bool::from(text.ct_eq(&[0; PROOF])) {
            return Err(Forged);
        }

        let transient = SecretKey::from_bytes(*drawn.transient);
        let mut kept = pair_of(&client, &drawn.transient);
        let cookie_key = SharedKey::from_bytes(*drawn.cookie_key);
        let tag = cookie_key.seal(&long_nonce(COOKIE_PREFIX, &drawn.cookie_nonce), &mut kept);
        let cookie = SealedPair {
            nonce: drawn.cookie_nonce,
            tag,
            text: kept,
        };

        let mut text = [transient.public().as_bytes(), &*cookie.emit()].concat();
        let last = u64::from_be_bytes(nonce);
        let nonce = drawn.welcome_nonce;
        let tag = to_client.seal(&long_nonce(WELCOME_PREFIX, &nonce), &mut text);
        let welcome = Welcome {
            nonce,
            tag,
            text: text.try_into().map_err(|_| Forged)?,
        };
        Ok((WelcomeSent { cookie_key, last }, welcome.emit()))
    }
}

/// A WELCOME was sent. What it takes to go on is in the cookie; only its key is kept.
#[derive(Debug)]
pub(super) struct WelcomeSent {
    /// Of this connection alone, so that no other one's cookie is any good, nor this one's a second time.
    cookie_key: SharedKey,
    /// The nonce of the HELLO.
    last: u64,
}

impl WelcomeSent {
    /// Takes the INITIATE, which proves that the client has the key that it names.
    pub(super) fn initiate(self, body: &[u8], config: &Server) -> Result<Vouched, Forged> {
        let Initiate {
            cookie,
            nonce,
            tag,
            text,
        } = Initiate::parse(body)?;
        let last = config.gaps.check(self.last, nonce)?;

        let mut cookie = SealedPair::parse(&cookie)?;
        let cookie_nonce = long_nonce(COOKIE_PREFIX, &cookie.nonce);
        self.cookie_key
            .open(&cookie_nonce, &cookie.tag, &mut cookie.text)?;
        let (client, secret) = cookie.text.split_first_chunk().ok_or(Forged)?;
        let client = PublicKey::from_bytes(*client);
        let transient = SecretKey::from_bytes(*secret.first_chunk().ok_or(Forged)?);
        cookie.text.zeroize();

        let session = SharedKey::agree(&transient, &client)?;
        let mut text = text.to_vec();
        session
            .lane(INITIATE_PREFIX)
            .open(nonce, &tag, &mut [], &mut text)?;
        let (key, rest) = text.split_first_chunk().ok_or(Forged)?;
        let key = PublicKey::from_bytes(*key);
        let (vouch, properties) = rest.split_at_checked(VOUCH).ok_or(Forged)?;

        let mut vouch = SealedPair::parse(vouch)?;
        let vouch_nonce = long_nonce(VOUCH_PREFIX, &vouch.nonce);
        SharedKey::agree(&transient, &key)?.open(&vouch_nonce, &vouch.tag, &mut vouch.text)?;
        // The client means this connection and this server: otherwise somebody would be using its vouch for another.
        let expected = pair_of(client.as_bytes(), config.keys.public().as_bytes());
        if !bool::from(vouch.text.ct_eq(&expected)) {
            return Err(Forged);
        }
        Ok(Vouched {
            key,
            properties: properties.to_vec(),
            session,
            last,
        })
    }
}

/// The client has proved that it has its key. Whether it is let in is for others to say.
#[derive(Debug)]
pub(super) struct Vouched {
    key: PublicKey,
    properties: Vec<u8>,
    /// Of s' and C'.
    session: SharedKey,
    /// The nonce of the INITIATE.
    last: u64,
}

impl Vouched {
    /// C, by which others know the client.
    pub(super) fn key(&self) -> PublicKey {
        self.key
    }

    /// What the client says of itself.
    pub(super) fn properties(&self) -> &[u8] {
        &self.properties
    }

    /// Lets the client in: returns the READY to send, with our properties.
    pub(super) fn ready(self, config: &Server, properties: &[u8]) -> (Traffic, Vec<u8>) {
        let mut text = properties.to_vec();
        let nonce = FIRST_NONCE.to_be_bytes();
        let tag = self.session.lane(READY_PREFIX).seal(nonce, &mut text);
        let ready = Ready {
            nonce,
            tag,
            text: &text,
        };
        let traffic = Traffic::of_server(&self.session, FIRST_NONCE, self.last, config.gaps);
        (traffic, ready.emit())
    }
}
