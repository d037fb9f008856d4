//! Security as values: the mechanism that a socket uses, what a peer shows for itself, and who decides on it.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::{Endpoint, ProcessCredentials, PropertyError, RoutingId};
#[cfg(feature = "curve")]
use crate::{KeyPair, PublicKey};

/// The longest name and the longest password of PLAIN: their lengths travel in one byte.
const MAX_PLAIN: usize = 255;

const NULL: &str = "NULL";
const PLAIN: &str = "PLAIN";
#[cfg(feature = "curve")]
const CURVE: &str = "CURVE";

/// The mechanism of a socket's connections, and this end's part in it. It is fixed when the socket is built: a connection
/// speaks this one, or none.
#[derive(Clone, Debug, Default)]
pub(crate) enum Mechanism {
    /// No authentication and no encryption.
    #[default]
    Null,
    /// The same on the wire, and this end asks its application about the peer.
    NullServer(Arc<dyn Authenticator>),
    /// PLAIN, and this end shows who it is.
    PlainClient(Login),
    /// PLAIN, and this end asks who is there.
    PlainServer(Arc<dyn Authenticator>),
    /// CURVE, and this end looks for the owner of a key.
    #[cfg(feature = "curve")]
    CurveClient {
        /// The server's.
        server: PublicKey,
        /// This end's own.
        keys: Arc<KeyPair>,
    },
    /// CURVE, and this end is the owner of a key that others look for.
    #[cfg(feature = "curve")]
    CurveServer {
        keys: Arc<KeyPair>,
        authenticator: Arc<dyn Authenticator>,
    },
}

impl Mechanism {
    /// Makes a PLAIN client, unless its name or password is longer than PLAIN can carry.
    pub(crate) fn plain_client(username: Bytes, password: Bytes) -> Result<Self, PropertyError> {
        for (what, text) in [
            ("the size of the name", &username),
            ("the size of the password", &password),
        ] {
            let (got, limit) = (text.len(), MAX_PLAIN);
            if got > limit {
                return Err(PropertyError::OverLimit { what, got, limit });
            }
        }
        Ok(Self::PlainClient(Login { username, password }))
    }

    /// Returns the name that travels in the greeting; both ends must name the same.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Null | Self::NullServer(_) => NULL,
            Self::PlainClient(_) | Self::PlainServer(_) => PLAIN,
            #[cfg(feature = "curve")]
            Self::CurveClient { .. } | Self::CurveServer { .. } => CURVE,
        }
    }

    /// Returns who decides on peers, if this end asks them who they are.
    pub(crate) const fn authenticator(&self) -> Option<&Arc<dyn Authenticator>> {
        match self {
            Self::NullServer(authenticator) | Self::PlainServer(authenticator) => Some(authenticator),
            #[cfg(feature = "curve")]
            Self::CurveServer { authenticator, .. } => Some(authenticator),
            Self::Null | Self::PlainClient(_) => None,
            #[cfg(feature = "curve")]
            Self::CurveClient { .. } => None,
        }
    }
}

/// What a PLAIN client shows.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) username: Bytes,
    pub(crate) password: Bytes,
}

impl fmt::Debug for Login {
    /// Shows no secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// What a peer shows to be let in, by mechanism.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credentials {
    /// NULL: nothing. What there is to go by is the address.
    Null,
    /// PLAIN: a name and a password, both of at most 255 bytes, which came over the wire as they are.
    Plain {
        /// The name.
        username: Bytes,
        /// The password.
        password: Bytes,
    },
    /// CURVE: the key that the peer has proved to be its own.
    #[cfg(feature = "curve")]
    Curve {
        /// The key.
        public_key: PublicKey,
    },
}

impl Credentials {
    /// Returns the name of the mechanism: `NULL`, `PLAIN` or `CURVE`.
    #[must_use]
    pub const fn mechanism(&self) -> &'static str {
        match self {
            Self::Null => NULL,
            Self::Plain { .. } => PLAIN,
            #[cfg(feature = "curve")]
            Self::Curve { .. } => CURVE,
        }
    }

    /// Tells whether these are a name and password. The time that it takes tells nothing of how much of them is right.
    #[must_use]
    pub fn is_login(&self, username: impl AsRef<[u8]>, password: impl AsRef<[u8]>) -> bool {
        match self {
            Self::Plain {
                username: shown,
                password: secret,
            } => same(shown, username.as_ref()) & same(secret, password.as_ref()),
            Self::Null => false,
            #[cfg(feature = "curve")]
            Self::Curve { .. } => false,
        }
    }
}

/// Compares all bytes, whichever differ first; only a length can be told from the time it takes.
fn same(shown: &[u8], expected: &[u8]) -> bool {
    let differences = shown.iter().zip(expected).fold(0, |sum, (a, b)| sum | (a ^ b));
    std::hint::black_box(differences) == 0 && shown.len() == expected.len()
}

impl fmt::Debug for Credentials {
    /// Shows no secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("Null"),
            Self::Plain { username, .. } => f
                .debug_struct("Plain")
                .field("username", username)
                .finish_non_exhaustive(),
            #[cfg(feature = "curve")]
            Self::Curve { public_key } => f.debug_struct("Curve").field("public_key", public_key).finish(),
        }
    }
}

/// Whom an authenticator has found a peer to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// The name under which the authenticator knows the user; the `User-Id` of RFC 27.
    pub id: String,
    /// What else the authenticator has to say of the user.
    pub metadata: Vec<(String, Bytes)>,
}

impl User {
    /// Makes a user of whom no more than the name is known.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            metadata: Vec::new(),
        }
    }
}

/// Why a peer was not let in.
///
/// A peer is told so if it was [`Refused`](Self::Refused), or if the decision has [`Failed`](Self::Failed). Otherwise nobody
/// has said no, and the connection just ends: a peer that is told of a denial stays away for long, or, if it is libzmq's,
/// for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Denial {
    /// The authenticator has said no.
    Refused,
    /// The authenticator has said: not now.
    NotNow,
    /// What was asked has an answer that is no decision, and why: the handler of a [`Zap`](crate::Zap) says that it has
    /// failed, or does not keep to RFC 27.
    Failed(&'static str),
    /// There was nobody to ask, or nobody is left to answer, and why: a [`Zap`](crate::Zap) has no handler, or one with too
    /// many questions before it.
    Unavailable(&'static str),
    /// The authenticator has panicked, has dropped the request, or had too many of them before it.
    Unanswered,
    /// The authenticator has not answered in time.
    TimedOut,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "the authenticator said no",
            Self::NotNow => "the authenticator said not now",
            Self::Failed(why) | Self::Unavailable(why) => {
                return write!(f, "the authenticator could not decide: {why}");
            }
            Self::Unanswered => "the authenticator gave no answer",
            Self::TimedOut => "the authenticator took too long",
        })
    }
}

/// What the authenticator is told of a peer, as far as the protocol knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inquiry {
    pub(crate) credentials: Credentials,
    /// The routing id that the peer announces; empty if it has none, or has not said so by now.
    pub(crate) routing_id: RoutingId,
    /// What the peer says of itself; not all mechanisms let it say so before it is let in.
    pub(crate) properties: Vec<(String, Bytes)>,
}

/// The answer to an inquiry.
pub(crate) type Verdict = Result<Arc<User>, Denial>;

/// Decides who is let in by a socket that asks its peers who they are.
///
/// It is called on a thread of its own, of which a [`Context`](crate::Context) has four for each of its I/O threads, so it
/// may block; but peers wait in line for a thread. To take longer without that, take the request away, to a task or
/// thread of your own, and [answer](AuthRequest::answer) it there.
///
/// A peer that has no answer after 5 s is denied [for now](Decision::DenyForNow), and so is one whose request is dropped: on
/// purpose, by a panic, or because 1,024 wait before it.
///
/// Any `Fn(&AuthRequest) -> Decision` is an authenticator:
///
/// ```
/// use aqueduct::{AuthRequest, Decision, Pull, User};
///
/// let pull = Pull::builder()
///     .plain_server(|request: &AuthRequest| {
///         if request.credentials().is_login("alice", "correct horse") {
///             Decision::Allow(User::new("alice"))
///         } else {
///             Decision::Deny
///         }
///     })
///     .build();
/// # drop(pull);
/// ```
pub trait Authenticator: Send + Sync {
    /// Answers the request, or sees to it that it is answered.
    fn authenticate(&self, request: AuthRequest);
}

impl fmt::Debug for dyn Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authenticator")
    }
}

impl<F: Fn(&AuthRequest) -> Decision + Send + Sync> Authenticator for F {
    fn authenticate(&self, request: AuthRequest) {
        let decision = self(&request);
        request.answer(decision);
    }
}

/// Lets in everybody who can speak the mechanism, as a user without a name: no security at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllowAny;

impl Authenticator for AllowAny {
    fn authenticate(&self, request: AuthRequest) {
        request.answer(Decision::Allow(User::default()));
    }
}

/// What an [`Authenticator`] makes of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The peer is this user, and let in.
    Allow(User),
    /// The peer is not let in, and told so. It will not be back soon.
    Deny,
    /// The peer is not let in now. It is told nothing, for whoever is told of a denial stays away for long, or for good;
    /// the connection just ends, and the peer may try again.
    DenyForNow,
}

/// A peer that wants to be let in. Dropped without an [answer](Self::answer), it is not, but may come back.
#[must_use = "a request that is dropped is denied"]
pub struct AuthRequest {
    inquiry: Inquiry,
    domain: Arc<str>,
    endpoint: Endpoint,
    address: String,
    process: Option<ProcessCredentials>,
    reply: Option<Reply>,
}

/// Where an answer goes.
pub(crate) type Reply = Box<dyn FnOnce(Verdict) + Send>;

impl AuthRequest {
    pub(crate) fn new(
        inquiry: Inquiry,
        domain: Arc<str>,
        endpoint: Endpoint,
        address: String,
        process: Option<ProcessCredentials>,
        reply: Reply,
    ) -> Self {
        Self {
            inquiry,
            domain,
            endpoint,
            address,
            process,
            reply: Some(reply),
        }
    }

    /// Returns what the peer shows for itself.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.inquiry.credentials
    }

    /// Returns the domain of this socket, by its option [`auth_domain`](crate::Builder::auth_domain).
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Returns the endpoint of this socket that the peer has come through.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Returns the address at the other end of the connection.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the process at the other end, over ipc; none where the system does not tell.
    #[must_use]
    pub fn process(&self) -> Option<ProcessCredentials> {
        self.process
    }

    /// Returns the routing id that the peer has announced by now: in NULL and PLAIN, none.
    #[must_use]
    pub fn routing_id(&self) -> &RoutingId {
        &self.inquiry.routing_id
    }

    /// Returns what the peer has said of itself by now: in NULL and PLAIN, nothing.
    #[must_use]
    pub fn properties(&self) -> &[(String, Bytes)] {
        &self.inquiry.properties
    }

    /// Lets the peer in, or does not.
    pub fn answer(mut self, decision: Decision) {
        self.reply(match decision {
            Decision::Allow(user) => Ok(Arc::new(user)),
            Decision::Deny => Err(Denial::Refused),
            Decision::DenyForNow => Err(Denial::NotNow),
        });
    }

    /// Does not let the peer in, for want of a decision.
    pub(crate) fn fail(mut self, denial: Denial) {
        self.reply(Err(denial));
    }

    fn reply(&mut self, verdict: Verdict) {
        if let Some(reply) = self.reply.take() {
            reply(verdict);
        }
    }
}

impl Drop for AuthRequest {
    fn drop(&mut self) {
        self.reply(Err(Denial::Unanswered));
    }
}

impl fmt::Debug for AuthRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthRequest")
            .field("endpoint", &self.endpoint)
            .field("address", &self.address)
            .field("process", &self.process)
            .field("credentials", self.credentials())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(username: &'static str, password: &'static str) -> Credentials {
        Credentials::Plain {
            username: username.into(),
            password: password.into(),
        }
    }

    #[test]
    fn a_login_is_right_in_every_byte_or_wrong() {
        let credentials = plain("alice", "secret");
        assert!(credentials.is_login("alice", "secret"));
        for (username, password) in [
            ("alice", "Secret"),
            ("alice", "secreT"),
            ("alice", "secre"),
            ("alice", "secrets"),
            ("alice", ""),
            ("bob", "secret"),
            ("", "secret"),
            ("bob", "guess"),
        ] {
            assert!(!credentials.is_login(username, password), "{username} {password}");
        }
        assert!(!plain("", "").is_login("alice", "secret"));
    }

    #[test]
    fn letters_that_have_changed_places_do_not_make_up_for_each_other() {
        assert!(!plain("alice", "secret").is_login("alice", "escret"));
    }

    #[test]
    fn what_is_logged_names_the_user_and_not_the_password() {
        let login = Login {
            username: "alice".into(),
            password: "secret".into(),
        };
        for shown in [format!("{login:?}"), format!("{:?}", plain("alice", "secret"))] {
            assert!(shown.contains("alice") && !shown.contains("secret"), "{shown}");
        }
    }

    #[test]
    fn a_request_that_is_logged_says_who_comes_from_where_and_not_the_password() {
        let inquiry = Inquiry {
            credentials: plain("alice", "secret"),
            routing_id: RoutingId::default(),
            properties: Vec::new(),
        };
        let endpoint: Endpoint = "tcp://127.0.0.1:5555".parse().unwrap();
        let address = "127.0.0.9:1".to_owned();
        let request = AuthRequest::new(inquiry, "".into(), endpoint, address, None, Box::new(drop));
        let shown = format!("{request:?}");
        for part in ["port: 5555", "127.0.0.9:1", "alice"] {
            assert!(shown.contains(part), "no {part} in {shown}");
        }
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn a_mechanism_that_is_logged_says_whether_it_asks() {
        let asks = |mechanism: Mechanism| format!("{mechanism:?}").contains("Authenticator");
        assert!(asks(Mechanism::PlainServer(Arc::new(AllowAny))) && !asks(Mechanism::Null));
    }

    #[test]
    fn each_denial_gives_a_reason_of_its_own() {
        let denials = [
            Denial::Refused,
            Denial::NotNow,
            Denial::Failed("no handler"),
            Denial::Unanswered,
            Denial::TimedOut,
        ];
        let reasons = denials.map(|denial| denial.to_string());
        for (at, reason) in reasons.iter().enumerate() {
            assert!(reason.starts_with("the authenticator "), "{reason:?}");
            assert!(!reasons[..at].contains(reason), "{reason:?} twice");
        }
        assert!(reasons[2].ends_with("no handler"), "{}", reasons[2]);
    }

    #[test]
    fn a_name_or_password_may_be_as_long_as_its_length_can_say() {
        let make =
            |name, password| Mechanism::plain_client(vec![b'a'; name].into(), vec![b'b'; password].into());
        assert!(matches!(make(255, 255), Ok(Mechanism::PlainClient(login)) if login.username.len() == 255));
        assert!(make(256, 0).is_err() && make(0, 256).is_err());
    }
}
