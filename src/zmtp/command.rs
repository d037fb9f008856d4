//! Commands: the frames by which two ends talk about the connection, as typed values that parse and emit.

use super::limits;
use crate::DisconnectReason;

const READY: &[u8] = b"READY";
const ERROR: &[u8] = b"ERROR";
const PING: &[u8] = b"PING";
const PONG: &[u8] = b"PONG";
const SUBSCRIBE: &[u8] = b"SUBSCRIBE";
const CANCEL: &[u8] = b"CANCEL";

/// The commands that, beside READY and ERROR, lead through the handshakes of mechanisms.
pub(super) const HELLO: &[u8] = b"HELLO";
pub(super) const WELCOME: &[u8] = b"WELCOME";
pub(super) const INITIATE: &[u8] = b"INITIATE";

/// Tells whether a command has its place in the handshake only.
pub(super) fn opens(name: &[u8]) -> bool {
    [HELLO, WELCOME, INITIATE].contains(&name)
}

/// The body of a command frame, borrowed from where it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command<'a> {
    /// The end of the handshake, with what the peer says of itself.
    Ready(Properties<'a>),
    /// The peer will not have us, and why.
    Error(&'a [u8]),
    /// Asks for a PONG. The TTL is how many tenths of a second of silence mean that the peer is gone; 0 is no limit.
    Ping { ttl: u16, context: &'a [u8] },
    /// The answer to a PING, with its context.
    Pong { context: &'a [u8] },
    /// Asks for messages on a topic.
    Subscribe(&'a [u8]),
    /// Takes a subscription back.
    Cancel(&'a [u8]),
    /// A command that we do not know; later versions may bring some.
    Unknown { name: &'a [u8], data: &'a [u8] },
}

impl<'a> Command<'a> {
    /// Parses the body of a command frame. The properties of READY are checked only as they are iterated over.
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, DisconnectReason> {
        let (name, data) =
            split_counted(body).ok_or(DisconnectReason::Malformed("a truncated command name"))?;
        if name.is_empty() || !name.iter().all(u8::is_ascii_alphabetic) {
            return Err(DisconnectReason::Malformed(
                "a command name that is not of letters",
            ));
        }
        Ok(match name {
            READY => Self::Ready(Properties(data)),
            ERROR => match split_counted(data) {
                Some((reason, [])) => Self::Error(reason),
                _ => return Err(DisconnectReason::Malformed("an ERROR with a wrong length")),
            },
            PING => match data.split_first_chunk() {
                Some((ttl, context)) => Self::Ping {
                    ttl: u16::from_be_bytes(*ttl),
                    context,
                },
                None => return Err(DisconnectReason::Malformed("a PING without a TTL")),
            },
            PONG => Self::Pong { context: data },
            SUBSCRIBE => Self::Subscribe(data),
            CANCEL => Self::Cancel(data),
            _ => Self::Unknown { name, data },
        })
    }

    /// Appends the body of a command frame.
    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        put_counted(self.name(), out);
        match self {
            Self::Ready(properties) => out.extend_from_slice(properties.0),
            Self::Error(reason) => put_counted(reason, out),
            Self::Ping { ttl, context } => {
                out.extend_from_slice(&ttl.to_be_bytes());
                out.extend_from_slice(context);
            }
            Self::Pong { context: data }
            | Self::Subscribe(data)
            | Self::Cancel(data)
            | Self::Unknown { data, .. } => out.extend_from_slice(data),
        }
    }

    fn name(&self) -> &'a [u8] {
        match self {
            Self::Ready(_) => READY,
            Self::Error(_) => ERROR,
            Self::Ping { .. } => PING,
            Self::Pong { .. } => PONG,
            Self::Subscribe(_) => SUBSCRIBE,
            Self::Cancel(_) => CANCEL,
            Self::Unknown { name, .. } => name,
        }
    }
}

/// The properties of a READY: an iterator over names and values that ends at the first error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Properties<'a>(&'a [u8]);

impl<'a> Properties<'a> {
    pub(super) fn new(encoded: &'a [u8]) -> Self {
        Self(encoded)
    }

    fn parse_one(&self) -> Result<(&'a str, &'a [u8], &'a [u8]), DisconnectReason> {
        let (name, rest) =
            split_counted(self.0).ok_or(DisconnectReason::Malformed("a truncated property name"))?;
        let name = property_name(name).ok_or(DisconnectReason::Malformed("a bad property name"))?;
        let truncated = DisconnectReason::Malformed("a truncated property value");
        let Some((len, rest)) = rest.split_first_chunk() else {
            return Err(truncated);
        };
        let len = usize::try_from(u32::from_be_bytes(*len)).unwrap_or(usize::MAX);
        let (value, rest) = rest.split_at_checked(len).ok_or(truncated)?;
        Ok((name, value, rest))
    }
}

impl<'a> Iterator for Properties<'a> {
    type Item = Result<(&'a str, &'a [u8]), DisconnectReason>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let parsed = self.parse_one();
        self.0 = parsed.as_ref().map_or(&[], |(_, _, rest)| rest);
        Some(parsed.map(|(name, value, _)| (name, value)))
    }
}

/// Appends a property to the body of a READY; one that ZMTP cannot carry, which no socket has, is left out.
pub(super) fn put_property(name: &str, value: &[u8], out: &mut Vec<u8>) {
    let fits = u8::try_from(name.len()).is_ok() && property_name(name.as_bytes()).is_some();
    if let (true, Ok(len)) = (fits, u32::try_from(value.len())) {
        put_counted(name.as_bytes(), out);
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(value);
    }
}

/// Returns the name as text if it is one that ZMTP allows: letters, digits and `-_.+`.
pub(super) fn property_name(name: &[u8]) -> Option<&str> {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(byte);
    let good = !name.is_empty() && name.iter().all(allowed);
    std::str::from_utf8(name).ok().filter(|_| good)
}

/// Splits off a string that is preceded by its length in one byte.
pub(super) fn split_counted(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&len, rest) = input.split_first()?;
    rest.split_at_checked(usize::from(len))
}

/// Appends a string after its length in one byte; text that is too long is cut.
pub(super) fn put_counted(text: &[u8], out: &mut Vec<u8>) {
    let len = u8::try_from(text.len()).unwrap_or(u8::MAX);
    out.push(len);
    out.extend_from_slice(text.get(..usize::from(len)).unwrap_or_default());
}

/// Cuts the context of a PING to what a PONG may bring back.
pub(super) fn cut_context(context: &[u8]) -> &[u8] {
    context.get(..limits::PING_CONTEXT).unwrap_or(context)
}
