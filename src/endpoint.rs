//! Endpoints: where a socket binds or connects to, as text and as a value.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::EndpointError;

/// The longest host name that the name system can carry.
const MAX_HOST_LEN: usize = 253;

/// The longest ipc path or abstract name: what `sockaddr_un` holds, less a closing zero byte.
const MAX_IPC_LEN: usize = 107;

/// The longest inproc name; a name is a key in a table, not a place for data.
const MAX_INPROC_LEN: usize = 1024;

/// Where a socket binds or connects to.
///
/// | text | meaning |
/// |---|---|
/// | `tcp://127.0.0.1:5555`, `tcp://[::1]:5555` | an address and a port |
/// | `tcp://example.org:5555` | a host name: resolved off the I/O thread at each attempt, all its addresses are tried |
/// | `tcp://*:5555`, `tcp://127.0.0.1:*` or `:0` | bind only: every interface; a port that the system picks |
/// | `tcp://10.0.0.2:0;example.org:5555` | connect only: leave from this source address |
/// | `ipc:///tmp/jobs.sock`, `ipc://jobs.sock` | a Unix socket at an absolute or relative path |
/// | `ipc://@jobs` | a name in Linux's abstract namespace: no file |
/// | `ipc://*` | bind only: a path in a fresh private directory, removed at the end |
/// | `inproc://jobs` | a name within the [`Context`](crate::Context): pipes between threads, no system calls |
///
/// ```
/// use aqueduct::Endpoint;
///
/// let endpoint: Endpoint = "tcp://localhost:5555".parse()?;
/// assert_eq!(endpoint.to_string(), "tcp://localhost:5555");
/// assert!("http://localhost".parse::<Endpoint>().is_err());
/// # Ok::<(), aqueduct::EndpointError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// A TCP address.
    Tcp(TcpEndpoint),
    /// A Unix domain socket.
    Ipc(IpcEndpoint),
    /// A name within the context.
    Inproc(String),
}

/// The parts of a `tcp://` endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TcpEndpoint {
    /// The address to leave from, when connecting.
    pub source: Option<SocketAddr>,
    /// The host.
    pub host: Host,
    /// The port; 0 lets the system pick one, when binding.
    pub port: u16,
}

/// The host of a `tcp://` endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// Every interface (`*`): for binding.
    Any,
    /// An address.
    Ip(IpAddr),
    /// A name, or an IPv6 address with a zone, for the system's resolver.
    Name(String),
}

/// The parts of an `ipc://` endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum IpcEndpoint {
    /// A path in the file system.
    Path(PathBuf),
    /// A name in Linux's abstract namespace.
    Abstract(String),
    /// A fresh path (`*`): for binding.
    Wildcard,
}

impl Endpoint {
    /// Tells whether this names no single place, so that it can be bound but not connected to.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        match self {
            Self::Tcp(tcp) => tcp.host == Host::Any || tcp.port == 0,
            Self::Ipc(ipc) => *ipc == IpcEndpoint::Wildcard,
            Self::Inproc(_) => false,
        }
    }

    /// Returns the endpoint that names this socket address.
    #[must_use]
    pub fn from_socket_addr(addr: SocketAddr) -> Self {
        Self::Tcp(TcpEndpoint {
            source: None,
            host: Host::Ip(addr.ip()),
            port: addr.port(),
        })
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let fail = |reason| EndpointError {
            input: text.chars().take(120).collect(),
            reason,
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(|| fail("no '://'"))?;
        match scheme {
            "tcp" => parse_tcp(rest).map(Self::Tcp).map_err(fail),
            "ipc" => parse_ipc(rest).map(Self::Ipc).map_err(fail),
            "inproc" => parse_inproc(rest).map(Self::Inproc).map_err(fail),
            _ => Err(fail("unknown scheme (expected tcp, ipc or inproc)")),
        }
    }
}

fn parse_tcp(rest: &str) -> Result<TcpEndpoint, &'static str> {
    let (source, target) = match rest.split_once(';') {
        None => (None, rest),
        Some((source, target)) => {
            let source = source.replace(":*", ":0").parse();
            (
                Some(source.map_err(|_| "the source is no address and port")?),
                target,
            )
        }
    };
    let (host, port) = target.rsplit_once(':').ok_or("no port")?;
    let host = parse_host(host)?;
    let port = match port {
        "*" => 0,
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().map_err(|_| "the port is missing or above 65535")?
        }
        _ => return Err("the port is no number"),
    };
    Ok(TcpEndpoint { source, host, port })
}

fn parse_host(host: &str) -> Result<Host, &'static str> {
    if host == "*" {
        return Ok(Host::Any);
    }
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        if let Ok(ip) = inner.parse() {
            return Ok(Host::Ip(IpAddr::V6(ip)));
        }
        // A zone needs the system's resolver; the address before it must still be one.
        let (address, zone) = inner.split_once('%').ok_or("no IPv6 address in the brackets")?;
        let zone_fits = !zone.is_empty() && zone.len() < 64 && zone.bytes().all(is_name_byte);
        return match address.parse::<std::net::Ipv6Addr>() {
            Ok(address) if zone_fits => Ok(Host::Name(format!("{address}%{zone}"))),
            _ => Err("no IPv6 address in the brackets"),
        };
    }
    if let Ok(ip) = host.parse() {
        return Ok(Host::Ip(IpAddr::V4(ip)));
    }
    match host.len() {
        0 => Err("no host"),
        1..=MAX_HOST_LEN if host.bytes().all(is_name_byte) => Ok(Host::Name(host.into())),
        1..=MAX_HOST_LEN => Err("the host has a character that no name has"),
        _ => Err("the host name is above 253 bytes"),
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

fn parse_ipc(rest: &str) -> Result<IpcEndpoint, &'static str> {
    if rest.contains('\0') {
        return Err("a zero byte");
    }
    match (rest, rest.strip_prefix('@')) {
        ("", _) | (_, Some("")) => Err("no path or name"),
        _ if rest.len() > MAX_IPC_LEN => Err("the path or name is above 107 bytes"),
        ("*", _) => Ok(IpcEndpoint::Wildcard),
        (_, Some(name)) => Ok(IpcEndpoint::Abstract(name.into())),
        _ => Ok(IpcEndpoint::Path(rest.into())),
    }
}

fn parse_inproc(rest: &str) -> Result<String, &'static str> {
    match rest.len() {
        0 => Err("no name"),
        1..=MAX_INPROC_LEN => Ok(rest.into()),
        _ => Err("the name is above 1024 bytes"),
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(tcp) => write!(f, "tcp://{tcp}"),
            Self::Ipc(IpcEndpoint::Path(path)) => write!(f, "ipc://{}", path.display()),
            Self::Ipc(IpcEndpoint::Abstract(name)) => write!(f, "ipc://@{name}"),
            Self::Ipc(IpcEndpoint::Wildcard) => write!(f, "ipc://*"),
            Self::Inproc(name) => write!(f, "inproc://{name}"),
        }
    }
}

impl fmt::Display for TcpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(source) = self.source {
            write!(f, "{source};")?;
        }
        match &self.host {
            Host::Any => write!(f, "*")?,
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]")?,
            Host::Ip(IpAddr::V4(ip)) => write!(f, "{ip}")?,
            Host::Name(name) if name.contains(':') => write!(f, "[{name}]")?,
            Host::Name(name) => write!(f, "{name}")?,
        }
        write!(f, ":{}", self.port)
    }
}

/// What `bind` and `connect` take: an [`Endpoint`] or its text.
pub trait IntoEndpoint {
    /// Makes the endpoint.
    ///
    /// # Errors
    ///
    /// The text is no endpoint.
    fn into_endpoint(self) -> Result<Endpoint, EndpointError>;
}

impl IntoEndpoint for Endpoint {
    fn into_endpoint(self) -> Result<Endpoint, EndpointError> {
        Ok(self)
    }
}

impl IntoEndpoint for &Endpoint {
    fn into_endpoint(self) -> Result<Endpoint, EndpointError> {
        Ok(self.clone())
    }
}

impl IntoEndpoint for &str {
    fn into_endpoint(self) -> Result<Endpoint, EndpointError> {
        self.parse()
    }
}

impl IntoEndpoint for &String {
    fn into_endpoint(self) -> Result<Endpoint, EndpointError> {
        self.parse()
    }
}

impl IntoEndpoint for String {
    fn into_endpoint(self) -> Result<Endpoint, EndpointError> {
        self.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn good_endpoints_print_as_they_were_written() {
        for text in [
            "tcp://127.0.0.1:5555",
            "tcp://[::1]:1",
            "tcp://[fe80::1%eth0]:65535",
            "tcp://example.org:80",
            "tcp://*:5555",
            "tcp://10.0.0.2:0;example.org:5555",
            "ipc:///tmp/a.sock",
            "ipc://relative",
            "ipc://@abstract",
            "ipc://*",
            "inproc://some name",
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        assert_eq!("tcp://*:*".parse::<Endpoint>().unwrap().to_string(), "tcp://*:0");
    }

    #[test]
    fn bad_endpoints_are_refused_with_a_reason() {
        for (text, reason) in [
            ("", "no '://'"),
            ("tcp:/127.0.0.1:1", "no '://'"),
            ("http://127.0.0.1:1", "unknown scheme"),
            ("TCP://127.0.0.1:1", "unknown scheme"),
            ("tcp://127.0.0.1", "no port"),
            ("tcp://127.0.0.1:", "the port is missing"),
            ("tcp://127.0.0.1:65536", "above 65535"),
            ("tcp://127.0.0.1:-1", "no number"),
            ("tcp://127.0.0.1:+1", "no number"),
            ("tcp://:1", "no host"),
            ("tcp://a b:1", "character"),
            ("tcp://::1:1", "character"),
            ("tcp://[::1:1", "character"),
            ("tcp://[nope]:1", "brackets"),
            ("tcp://[fe80::1%]:1", "brackets"),
            ("tcp://nope;127.0.0.1:1", "source"),
            ("ipc://", "no path"),
            ("ipc://@", "no path"),
            ("ipc://a\0b", "zero byte"),
            ("inproc://", "no name"),
        ] {
            let error = text.parse::<Endpoint>().expect_err(text).to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
        assert!(format!("ipc://{}", "x".repeat(108)).parse::<Endpoint>().is_err());
        assert!(format!("ipc://{}", "x".repeat(107)).parse::<Endpoint>().is_ok());
    }

    #[test]
    fn wildcards_are_known() {
        for text in ["tcp://*:1", "tcp://127.0.0.1:*", "ipc://*"] {
            assert!(text.parse::<Endpoint>().unwrap().is_wildcard(), "{text}");
        }
        assert!(!"inproc://*".parse::<Endpoint>().unwrap().is_wildcard());
    }

    proptest! {
        #[test]
        fn what_parses_prints_and_parses_again(text in "(tcp|ipc|inproc)://[a-z0-9.:*;@%/\\[\\]]{0,24}") {
            if let Ok(endpoint) = text.parse::<Endpoint>() {
                prop_assert_eq!(endpoint.to_string().parse::<Endpoint>(), Ok(endpoint));
            }
        }
    }
}
