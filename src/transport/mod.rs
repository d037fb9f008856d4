//! The transport layer: byte streams over tcp and ipc, made from values and knowing nothing of messages or sockets.
//!
//! What the layers above can rely on:
//!
//! * Nothing here blocks, starts a thread or looks at a clock, save [`resolve`] and a [`bind`] to a host name, which ask
//!   the system's resolver, and a [`bind`] to an ipc path that another process is just taking.
//! * Every descriptor is non-blocking and closed on exec; no write raises SIGPIPE; EINTR is never seen.
//! * Readiness is edge-triggered: after an event, read or write until `WouldBlock`.
//! * What only Unix has stays in here. Elsewhere ipc endpoints give [`Unsupported`](io::ErrorKind::Unsupported).

pub(crate) mod inproc;
#[cfg(unix)]
mod ipc;
mod stream;
mod tcp;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, SocketAddr};

use mio::{Interest, Registry, Token};

use crate::options::TransportOptions;
use crate::{DisconnectReason, Endpoint, IpcEndpoint};

pub(crate) use stream::Stream;
pub(crate) use tcp::resolve;

/// Whom a stream comes from, as far as limits are shared out: whoever has one address has the others of its site too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Site {
    /// This machine, by ipc; or nobody knows.
    Here,
    /// An IPv4 address.
    V4(u32),
    /// A network of 64 bits, the least that a host of IPv6 has.
    V6(u64),
}

impl From<IpAddr> for Site {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip.to_bits()),
            #[allow(
                clippy::cast_possible_truncation,
                reason = "the upper half of 128 bits has 64"
            )]
            IpAddr::V6(ip) => Self::V6((ip.to_bits() >> 64) as u64),
        }
    }
}

/// A connection that came.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) stream: Stream,
    /// Who is at the other end: what its [`peer_name`](Stream::peer_name) is.
    pub(crate) address: String,
    /// Whom it is counted with.
    pub(crate) site: Site,
}

/// Where one connection attempt goes: host names are resolved already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// An address, and the one to leave from.
    Tcp {
        /// The address to leave from, if it matters.
        source: Option<SocketAddr>,
        /// The address to go to.
        addr: SocketAddr,
    },
    /// A Unix socket.
    Ipc(IpcEndpoint),
}

/// A bound socket that streams are accepted from. Dropping it removes what [`bind`] left in the file system.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Bound,
    endpoint: Endpoint,
    options: TransportOptions,
}

#[derive(Debug)]
enum Bound {
    Tcp(tcp::Listener),
    #[cfg(unix)]
    Ipc(ipc::Listener),
}

impl Listener {
    /// Asks for edge-triggered events; after one, accept until `WouldBlock`.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match &mut self.socket {
            Bound::Tcp(listener) => listener.register(registry, token, Interest::READABLE),
            #[cfg(unix)]
            Bound::Ipc(listener) => listener.register(registry, token, Interest::READABLE),
        }
    }

    /// Asks for no more events.
    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match &mut self.socket {
            Bound::Tcp(listener) => listener.deregister(registry),
            #[cfg(unix)]
            Bound::Ipc(listener) => listener.deregister(registry),
        }
    }

    /// Takes the next connection; [`accept_failure`] tells what to do about an error.
    pub(crate) fn accept(&mut self) -> io::Result<Arrival> {
        match &mut self.socket {
            Bound::Tcp(listener) => stream::retry(|| listener.accept(&self.options)),
            #[cfg(unix)]
            Bound::Ipc(listener) => stream::retry(|| listener.accept(&self.options)),
        }
    }

    /// Tells whether a stream that was accepted may come in, or of which user it is.
    pub(crate) fn admit(&self, stream: &Stream) -> Result<(), DisconnectReason> {
        let Some(allowed) = &self.options.ipc_allowed_uids else {
            return Ok(());
        };
        if matches!(self.endpoint, Endpoint::Tcp(_)) {
            return Ok(());
        }
        let uid = stream.process().map(|process| process.uid);
        match uid {
            Some(uid) if allowed.contains(&uid) => Ok(()),
            // Whoever it is that the system does not name is not one of them.
            _ => Err(DisconnectReason::ForbiddenUser { uid }),
        }
    }

    /// Returns where this is bound, with wildcards resolved: the real port, the real path.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

/// Binds and listens.
///
/// A tcp host that is a name is resolved in the caller's thread. `*` is every IPv4 interface or, with the `ipv6` option,
/// every interface of both families. For the rules of ipc paths see `ipc.rs`.
pub(crate) fn bind(endpoint: &Endpoint, options: &TransportOptions) -> io::Result<Listener> {
    let (socket, endpoint) = match endpoint {
        Endpoint::Tcp(tcp) => {
            let (listener, endpoint) = tcp::bind(tcp, options)?;
            (Bound::Tcp(listener), endpoint)
        }
        #[cfg(unix)]
        Endpoint::Ipc(ipc) => {
            let (listener, ipc) = ipc::bind(ipc, options)?;
            (Bound::Ipc(listener), Endpoint::Ipc(ipc))
        }
        #[cfg(not(unix))]
        Endpoint::Ipc(_) => return Err(no_ipc()),
        Endpoint::Inproc(_) => return Err(invalid("an inproc name is no byte stream")),
    };
    Ok(Listener {
        socket,
        endpoint,
        options: options.clone(),
    })
}

/// Starts a connection that [`Stream::take_connect_error`] tells the outcome of, at the first writable event.
///
/// An error is one of this attempt: a later one may succeed. On ipc, `NotFound` and `ConnectionRefused` mean that nobody
/// is bound, `WouldBlock` that the owner's backlog is full.
pub(crate) fn connect(target: &Target, options: &TransportOptions) -> io::Result<Stream> {
    match target {
        Target::Tcp { source, addr } => tcp::connect(*source, *addr, options),
        #[cfg(unix)]
        Target::Ipc(ipc) => ipc::connect(ipc, options),
        #[cfg(not(unix))]
        Target::Ipc(_) => Err(no_ipc()),
    }
}

/// What an error of [`Listener::accept`] asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AcceptFailure {
    /// It concerned one connection, or there is none: `WouldBlock` ends the round, after others accept again.
    Transient,
    /// Descriptors or memory are used up: wait before accepting again, as the connection stays readable.
    Exhausted,
    /// This listener will not accept again.
    Fatal,
}

/// Sorts an error of [`Listener::accept`].
///
/// An error that is not known counts as [`Exhausted`](AcceptFailure::Exhausted): to wait a little and try again is never
/// wrong, while to try again at once may spin and to give up may lose a listener that was fine.
pub(crate) fn accept_failure(error: &io::Error) -> AcceptFailure {
    use io::ErrorKind as Kind;
    match error.kind() {
        // Linux passes what had already gone wrong with the new connection through accept.
        Kind::WouldBlock
        | Kind::Interrupted
        | Kind::ConnectionAborted
        | Kind::ConnectionReset
        | Kind::HostUnreachable
        | Kind::NetworkUnreachable
        | Kind::NetworkDown
        | Kind::TimedOut => AcceptFailure::Transient,
        // The descriptor is no listening socket any more.
        Kind::InvalidInput | Kind::Unsupported => AcceptFailure::Fatal,
        // EMFILE, ENFILE, ENOBUFS and ENOMEM among them.
        _ => AcceptFailure::Exhausted,
    }
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}

#[cfg(not(unix))]
fn no_ipc() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "ipc needs Unix sockets")
}

/// Sets the options that every kind of socket has.
fn apply_buffers(socket: &socket2::Socket, options: &TransportOptions) -> io::Result<()> {
    if let Some(size) = options.send_buffer {
        socket.set_send_buffer_size(size)?;
    }
    if let Some(size) = options.recv_buffer {
        socket.set_recv_buffer_size(size)?;
    }
    Ok(())
}

/// Returns the backlog as the system takes it.
fn backlog(options: &TransportOptions) -> i32 {
    i32::try_from(options.backlog).unwrap_or(i32::MAX)
}
