//! One connected, or connecting, byte stream: reading, writing, readiness and names, the same for tcp and ipc.

use std::io::{self, IoSlice, IoSliceMut, Read};
use std::net::Shutdown;
#[cfg(unix)]
use std::os::fd::{AsRawFd, RawFd};
#[cfg(unix)]
use std::os::unix::net::UnixStream;

use mio::{Interest, Registry, Token};
#[cfg(any(unix, test))]
use socket2::SockRef;

#[cfg(test)]
use crate::Endpoint;
use crate::ProcessCredentials;

/// The stream that the standard library reads into memory that nobody had to zero; mio sees its descriptor.
#[cfg(unix)]
pub(super) type Tcp = std::net::TcpStream;
/// Elsewhere mio must own the socket to learn of its readiness.
#[cfg(not(unix))]
pub(super) type Tcp = mio::net::TcpStream;

/// What one vectored write takes: `IOV_MAX` of Linux, macOS and the BSDs, above which `sendmsg` fails.
#[cfg(unix)]
const MAX_SLICES: usize = 1024;

/// `MSG_NOSIGNAL`, so that a write to a peer that is gone is an error and not a SIGPIPE that ends the process.
///
/// Rust's `main` ignores that signal, but a library may be linked into a program whose `main` is not Rust's, and
/// `writev` has no flag for it: hence `sendmsg`, and hence the numbers, which the standard library does not have.
/// Where there is no such flag, on Apple's systems, socket2 sets `SO_NOSIGPIPE` on each socket it makes.
#[cfg(unix)]
const NO_SIGNAL: i32 = if cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_os = "fuchsia"
)) {
    0x4000
} else if cfg!(target_os = "freebsd") {
    0x2_0000
} else if cfg!(any(
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly"
)) {
    0x400
} else {
    0
};

/// A connected, or connecting, byte stream that never blocks.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: Socket,
}

#[derive(Debug)]
enum Socket {
    Tcp(Tcp),
    #[cfg(unix)]
    Ipc(UnixStream),
}

/// Runs an expression on the socket inside, whichever it is.
macro_rules! each {
    ($stream:expr, $socket:ident => $then:expr) => {
        match $stream {
            Socket::Tcp($socket) => $then,
            #[cfg(unix)]
            Socket::Ipc($socket) => $then,
        }
    };
}

impl Stream {
    /// Takes over a non-blocking tcp socket.
    pub(super) fn tcp(socket: socket2::Socket) -> Self {
        let socket = std::net::TcpStream::from(socket);
        #[cfg(not(unix))]
        let socket = Tcp::from_std(socket);
        Self::from_tcp(socket)
    }

    pub(super) fn from_tcp(socket: Tcp) -> Self {
        Self {
            socket: Socket::Tcp(socket),
        }
    }

    /// Takes over a non-blocking Unix socket.
    #[cfg(unix)]
    pub(super) fn ipc(socket: socket2::Socket) -> Self {
        Self {
            socket: Socket::Ipc(UnixStream::from(std::os::fd::OwnedFd::from(socket))),
        }
    }

    /// Asks for edge-triggered events, of both directions; once per stream.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        #[cfg(unix)]
        return registry.register(&mut mio::unix::SourceFd(&self.raw_fd()), token, interest);
        #[cfg(not(unix))]
        each!(&mut self.socket, socket => registry.register(socket, token, interest))
    }

    /// Asks for no more events.
    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        #[cfg(unix)]
        return registry.deregister(&mut mio::unix::SourceFd(&self.raw_fd()));
        #[cfg(not(unix))]
        each!(&mut self.socket, socket => registry.deregister(socket))
    }

    #[cfg(unix)]
    fn raw_fd(&self) -> RawFd {
        each!(&self.socket, socket => socket.as_raw_fd())
    }

    /// Reads once; `Ok(0)` is the end of the stream.
    pub(crate) fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        retry(|| each!(&mut self.socket, socket => socket.read(buf)))
    }

    /// The same for two buffers, of which the second is for what the first has no room for.
    pub(crate) fn read_both(&mut self, first: &mut [u8], second: &mut [u8]) -> io::Result<usize> {
        if first.is_empty() {
            // `recv` takes a shorter way through the system than `readv`.
            return self.read(second);
        }
        let slices = &mut [IoSliceMut::new(first), IoSliceMut::new(second)];
        retry(|| each!(&mut self.socket, socket => socket.read_vectored(slices)))
    }

    /// Writes some bytes of the slices, in order, with one system call.
    ///
    /// If the peer is gone but has left bytes, that is `WouldBlock`: the bytes may say why it went, and who reads them
    /// finds the end behind them.
    #[cfg(unix)]
    pub(crate) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let socket = each!(&self.socket, socket => SockRef::from(socket));
        let result = retry(|| match slices {
            // `send` takes a shorter way through the kernel than `sendmsg`.
            [slice] => socket.send_with_flags(slice, NO_SIGNAL),
            _ => socket.send_vectored_with_flags(slices.get(..MAX_SLICES).unwrap_or(slices), NO_SIGNAL),
        });
        match result {
            Err(error) if is_gone(&error) && has_bytes(&socket) => Err(io::ErrorKind::WouldBlock.into()),
            result => result,
        }
    }

    /// Writes some bytes of the slices, in order, through mio, which arms the next event when it sees `WouldBlock`.
    #[cfg(not(unix))]
    pub(crate) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        retry(|| each!(&mut self.socket, socket => io::Write::write_vectored(socket, slices)))
    }

    /// Tells how a non-blocking connect went: `Ok` if connected, `NotConnected` if it is not decided yet.
    ///
    /// To be asked after the first writable event. A peer that has already gone again, but has left bytes, was there. A
    /// connection that reached itself, which the system can make out of
    /// a connect to a free port of this machine when it picks that same port to leave from, counts as refused.
    pub(crate) fn take_connect_error(&self) -> io::Result<()> {
        #[cfg_attr(
            not(unix),
            allow(clippy::infallible_destructuring_match, reason = "one variant there")
        )]
        let socket = match &self.socket {
            Socket::Tcp(socket) => socket,
            // Unix sockets are connected when `connect` returns.
            #[cfg(unix)]
            Socket::Ipc(socket) => return socket.take_error()?.map_or(Ok(()), Err),
        };
        if let Some(error) = socket.take_error()? {
            #[cfg(unix)]
            if is_gone(&error) && has_bytes(&SockRef::from(socket)) {
                return Ok(());
            }
            return Err(error);
        }
        let peer = socket.peer_addr()?;
        if peer == socket.local_addr()? {
            return Err(io::Error::new(
                io::ErrorKind::ConnectionRefused,
                "nobody listens: the connection reached itself",
            ));
        }
        Ok(())
    }

    /// Ends our direction: the peer reads what was written and then the end.
    pub(crate) fn shutdown_write(&self) {
        // It fails only if the stream is gone already, which the next read tells.
        let _ = each!(&self.socket, socket => socket.shutdown(Shutdown::Write));
    }

    /// Ends both directions. Bytes that the system took before are still delivered.
    pub(crate) fn shutdown(&self) {
        // It fails only if the stream is gone already, which is what is wanted.
        let _ = each!(&self.socket, socket => socket.shutdown(Shutdown::Both));
    }

    /// Returns what is known about the other end: `127.0.0.1:4242`, or the path or `@name` that joins an ipc pair.
    ///
    /// The connecting end of an ipc pair has no name, so both ends give the name of the bound one.
    pub(crate) fn peer_name(&self) -> String {
        match &self.socket {
            Socket::Tcp(socket) => socket
                .peer_addr()
                .map_or_else(|_| "unknown".into(), |addr| addr.to_string()),
            #[cfg(unix)]
            Socket::Ipc(socket) => [socket.peer_addr(), socket.local_addr()]
                .iter()
                .flatten()
                .find_map(super::ipc::address_name)
                .unwrap_or_else(|| "unnamed".into()),
        }
    }

    /// Returns which process is at the other end, of ipc streams, if the system tells.
    pub(crate) fn process(&self) -> Option<ProcessCredentials> {
        match &self.socket {
            Socket::Tcp(_) => None,
            #[cfg(unix)]
            Socket::Ipc(socket) => super::ipc::process(socket),
        }
    }

    /// Returns the address of this end, of tcp streams.
    #[cfg(test)]
    pub(crate) fn local_endpoint(&self) -> Option<Endpoint> {
        match &self.socket {
            Socket::Tcp(socket) => socket.local_addr().ok().map(Endpoint::from_socket_addr),
            #[cfg(unix)]
            Socket::Ipc(_) => None,
        }
    }

    /// Lends the socket to tests that read its options back.
    #[cfg(test)]
    pub(super) fn sock_ref(&self) -> SockRef<'_> {
        each!(&self.socket, socket => SockRef::from(socket))
    }
}

/// Tells whether this is how a stream fails whose peer is gone.
#[cfg(unix)]
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}

/// Tells whether there are bytes to read, without taking them.
#[cfg(unix)]
fn has_bytes(socket: &SockRef<'_>) -> bool {
    let mut byte = [std::mem::MaybeUninit::uninit()];
    retry(|| socket.peek(&mut byte)).is_ok_and(|count| count > 0)
}

/// Repeats a call that a signal interrupted.
pub(super) fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
