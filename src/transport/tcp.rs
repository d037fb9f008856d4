//! Tcp: resolving, binding, accepting and connecting, with the options that tcp sockets have.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};

use super::{Arrival, Stream, apply_buffers, backlog, invalid};
use crate::options::{Keepalive, TransportOptions};
use crate::{Endpoint, Host, TcpEndpoint};

/// `EINPROGRESS`: what a connect that does not block says on its way. The standard library has no stable name for it.
const IN_PROGRESS: i32 = if cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_os = "fuchsia"
)) {
    if cfg!(any(target_arch = "mips", target_arch = "mips64")) {
        150
    } else if cfg!(any(target_arch = "sparc", target_arch = "sparc64")) {
        36
    } else {
        115
    }
} else if cfg!(any(target_os = "illumos", target_os = "solaris")) {
    150
} else {
    // macOS and the BSDs; Windows says WouldBlock.
    36
};

/// The systems count keep-alive times in seconds and refuse zero.
const MIN_KEEPALIVE: Duration = Duration::from_secs(1);

/// Bytes that the system takes before it has sent those before them. Enough for it not to run dry before the next write,
/// and the rest waits where it is counted, limited, and still in the cache. What is under way has no limit of ours.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) const UNSENT: u32 = 256 * 1024;

/// A bound tcp socket. It is mio's, which accepts a socket that does not block and its address with one system call.
#[derive(Debug)]
pub(super) struct Listener(mio::net::TcpListener);

impl Listener {
    fn new(socket: Socket) -> Self {
        Self(mio::net::TcpListener::from_std(socket.into()))
    }

    pub(super) fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        registry.register(&mut self.0, token, interest)
    }

    pub(super) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(&mut self.0)
    }

    pub(super) fn accept(&self, options: &TransportOptions) -> io::Result<Arrival> {
        let (socket, addr) = self.0.accept()?;
        #[cfg(unix)]
        let socket = std::net::TcpStream::from(socket);
        // The listener took these options, so their values are good: what fails now is a connection that is gone
        // already, and its first read says so.
        let _ = apply(&SockRef::from(&socket), addr.is_ipv6(), options);
        Ok(Arrival {
            stream: Stream::from_tcp(socket),
            address: addr.to_string(),
            site: addr.ip().into(),
        })
    }
}

/// Binds to the first address of the host that can be bound, and returns the real address with it.
pub(super) fn bind(tcp: &TcpEndpoint, options: &TransportOptions) -> io::Result<(Listener, Endpoint)> {
    if tcp.source.is_some() {
        return Err(invalid("a source address is for connecting"));
    }
    let addrs = match &tcp.host {
        // The second one is for systems without IPv6.
        Host::Any if options.ipv6 => vec![
            SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), tcp.port),
            SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), tcp.port),
        ],
        Host::Any => vec![SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), tcp.port)],
        Host::Ip(_) | Host::Name(_) => resolve(tcp, options)?,
    };
    let mut failure = None;
    for addr in addrs {
        match bind_addr(addr, options) {
            Ok(socket) => {
                let endpoint = resolved(tcp, &socket)?;
                return Ok((Listener::new(socket), endpoint));
            }
            // The rest of the addresses are no way round an owner: half a bind would look like a whole one.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            Err(error) => {
                failure.get_or_insert(error);
            }
        }
    }
    Err(failure.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
}

fn bind_addr(addr: SocketAddr, options: &TransportOptions) -> io::Result<Socket> {
    let socket = open(addr)?;
    // On Unix this lets a restarted program take its port back while old connections linger; it never shares a port
    // that is listened on. On Windows the option of this name does, and is left alone.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if addr.is_ipv6() {
        socket.set_only_v6(!options.ipv6)?;
    }
    // The buffers belong to the listener too: the window scale is fixed before accept returns.
    apply(&socket, addr.is_ipv6(), options)?;
    socket.bind(&addr.into())?;
    socket.listen(backlog(options))?;
    Ok(socket)
}

/// Returns the endpoint with its real port, keeping a zone, which an address cannot print.
fn resolved(tcp: &TcpEndpoint, socket: &Socket) -> io::Result<Endpoint> {
    let addr = local_addr(socket)?;
    match &tcp.host {
        Host::Name(name) if name.contains('%') => Ok(Endpoint::Tcp(TcpEndpoint {
            port: addr.port(),
            ..tcp.clone()
        })),
        _ => Ok(Endpoint::from_socket_addr(addr)),
    }
}

fn local_addr(socket: &Socket) -> io::Result<SocketAddr> {
    let addr = socket.local_addr()?;
    addr.as_socket()
        .ok_or_else(|| invalid("the socket has no internet address"))
}

/// Starts to connect.
pub(super) fn connect(
    source: Option<SocketAddr>,
    addr: SocketAddr,
    options: &TransportOptions,
) -> io::Result<Stream> {
    let socket = open(addr)?;
    apply(&socket, addr.is_ipv6(), options)?;
    if let Some(source) = source {
        // A fixed source port is free for the next connection even while the last one lingers.
        #[cfg(unix)]
        socket.set_reuse_address(source.port() != 0)?;
        socket.bind(&source.into())?;
    }
    match socket.connect(&SockAddr::from(addr)) {
        Ok(()) => {}
        Err(error) if is_under_way(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(Stream::tcp(socket))
}

fn is_under_way(error: &io::Error) -> bool {
    // A connect that a signal interrupted goes on by itself.
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    ) || error.raw_os_error() == Some(IN_PROGRESS)
}

/// Makes a socket that is non-blocking and closed on exec.
fn open(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Sets the options of a connection; on a listener too, for bad values to show at bind.
fn apply(socket: &Socket, is_ipv6: bool, options: &TransportOptions) -> io::Result<()> {
    socket.set_tcp_nodelay(options.nodelay)?;
    // Who says how much the system shall take is given that.
    if options.send_buffer.is_none() {
        limit_unsent(socket)?;
    }
    apply_buffers(socket, options)?;
    if let Some(keepalive) = &options.keepalive {
        socket.set_tcp_keepalive(&probes(keepalive))?;
    }
    if let Some(tos) = options.tos {
        set_tos(socket, is_ipv6, u32::from(tos))?;
    }
    set_user_timeout(socket, options.user_timeout)?;
    if let Some(device) = &options.bind_to_device {
        bind_to_device(socket, device)?;
    }
    Ok(())
}

/// Limits what the system takes and has not sent, where there is such a thing.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn limit_unsent(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_notsent_lowat(UNSENT)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[allow(clippy::unnecessary_wraps, reason = "it fails elsewhere")]
fn limit_unsent(_: &Socket) -> io::Result<()> {
    Ok(())
}

/// Sets how long bytes may stay unacknowledged, where there is such a thing.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "fuchsia"))]
fn set_user_timeout(socket: &Socket, timeout: Option<Duration>) -> io::Result<()> {
    timeout.map_or(Ok(()), |timeout| socket.set_tcp_user_timeout(Some(timeout)))
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "fuchsia")))]
#[allow(clippy::unnecessary_wraps, reason = "it fails elsewhere")]
fn set_user_timeout(_: &Socket, _: Option<Duration>) -> io::Result<()> {
    Ok(())
}

fn probes(keepalive: &Keepalive) -> TcpKeepalive {
    let mut probes = TcpKeepalive::new();
    if let Some(idle) = keepalive.idle {
        probes = probes.with_time(idle.max(MIN_KEEPALIVE));
    }
    // OpenBSD and a few others have no such settings: there the system's values stay.
    #[cfg(any(
        target_vendor = "apple",
        target_os = "android",
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "illumos",
        target_os = "linux",
        target_os = "netbsd",
        windows,
    ))]
    {
        if let Some(interval) = keepalive.interval {
            probes = probes.with_interval(interval.max(MIN_KEEPALIVE));
        }
        if let Some(count) = keepalive.count {
            probes = probes.with_retries(count);
        }
    }
    probes
}

/// Sets the type of service, which IPv6 calls the traffic class.
fn set_tos(socket: &Socket, is_ipv6: bool, tos: u32) -> io::Result<()> {
    if !is_ipv6 {
        #[cfg(not(any(target_os = "fuchsia", target_os = "solaris", target_os = "haiku")))]
        return socket.set_tos_v4(tos);
    }
    #[cfg(any(
        target_os = "android",
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "illumos",
        target_os = "linux",
        target_os = "macos",
        target_os = "netbsd",
        target_os = "openbsd",
    ))]
    return socket.set_tclass_v6(tos);
    #[allow(unreachable_code, reason = "reached where neither option exists")]
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "fuchsia"))]
fn bind_to_device(socket: &Socket, device: &str) -> io::Result<()> {
    socket.bind_device(Some(device.as_bytes()))
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "fuchsia")))]
fn bind_to_device(_: &Socket, _: &str) -> io::Result<()> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "this system binds no socket to a device",
    ))
}

/// Returns the addresses to try, in the resolver's order. It blocks for a name: call it off the I/O thread.
///
/// A name gives IPv4 addresses only, unless the `ipv6` option is on or it is itself an IPv6 address with a zone.
/// With a source, addresses of the other family are left out, as nothing can reach them from there.
pub(crate) fn resolve(tcp: &TcpEndpoint, options: &TransportOptions) -> io::Result<Vec<SocketAddr>> {
    let name = match &tcp.host {
        Host::Any => return Err(invalid("a wildcard names no address")),
        Host::Ip(ip) => return Ok(vec![SocketAddr::new(*ip, tcp.port)]),
        Host::Name(name) => name.as_str(),
    };
    let allows = |addr: &SocketAddr| match addr.ip() {
        IpAddr::V4(_) => tcp.source.is_none_or(|source| source.is_ipv4()),
        IpAddr::V6(_) => {
            (options.ipv6 || name.contains('%')) && tcp.source.is_none_or(|source| source.is_ipv6())
        }
    };
    let mut addrs = Vec::new();
    for addr in (name, tcp.port).to_socket_addrs()?.filter(allows) {
        // The resolver lists an address once per line of /etc/hosts that has it.
        if !addrs.contains(&addr) {
            addrs.push(addr);
        }
    }
    if addrs.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::AddrNotAvailable,
            "the name has no address of a family that is allowed",
        ));
    }
    Ok(addrs)
}
