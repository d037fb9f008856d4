//! One connected, or connecting, byte stream: reading, writing, readiness and names, the same for tcp and ipc.

use std::io::{self, IoSlice, Read};
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
    /// An error that came after bytes in the same [`read_append`](Self::read_append): the next read returns it, since
    /// the system reports it only once.
    deferred: Option<io::Error>,
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
            deferred: None,
        }
    }

    /// Takes over a non-blocking Unix socket.
    #[cfg(unix)]
    pub(super) fn ipc(socket: socket2::Socket) -> Self {
        Self {
            socket: Socket::Ipc(UnixStream::from(std::os::fd::OwnedFd::from(socket))),
            deferred: None,
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
        if let Some(error) = self.deferred.take() {
            return Err(error);
        }
        retry(|| each!(&mut self.socket, socket => socket.read(buf)))
    }

    /// Appends bytes to the spare capacity of `vec`, up to `limit` and never beyond: the vector does not move.
    ///
    /// Returns how many bytes came, and whether another read may bring something. `(0, false)` is the end of the stream;
    /// `(n, false)` means that the socket is empty for now; `(n, true)` that there may be more, be it the end of the
    /// stream or an error, which the next read then returns. With no room at all it returns `(0, true)`.
    /// `WouldBlock` is an error only if nothing was read.
    ///
    /// On Unix the memory is not zeroed first. The standard library reads in steps that double from 8 KiB, so this is
    /// for the bodies of large frames; [`read`](Self::read) into a buffer that is kept makes fewer calls.
    pub(crate) fn read_append(&mut self, vec: &mut Vec<u8>, limit: usize) -> io::Result<(usize, bool)> {
        if let Some(error) = self.deferred.take() {
            return Err(error);
        }
        let before = vec.len();
        let limit = limit.min(vec.capacity() - before);
        if limit == 0 {
            return Ok((0, true));
        }
        let result = self.fill(vec, limit);
        let count = vec.len() - before;
        match result {
            // All that was asked for, or the end was seen: if bytes came with it, the caller has to come back for it.
            Ok(()) => Ok((count, count > 0)),
            Err(error) if count == 0 => Err(error),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok((count, false)),
            Err(error) => {
                self.deferred = Some(error);
                Ok((count, true))
            }
        }
    }

    /// Reads until `limit` bytes came, or the end, or an error; the bytes before an error are in `vec`.
    #[cfg(unix)]
    fn fill(&mut self, vec: &mut Vec<u8>, limit: usize) -> io::Result<()> {
        // `read_to_end` grows a full vector only after a read into its own 32 bytes has shown that there is more, and
        // `take` ends the stream at the limit, which is within the capacity: so it never grows.
        each!(&mut self.socket, socket => socket.take(limit as u64).read_to_end(vec)).map(drop)
    }

    /// Reads once, into zeroed memory: mio's streams cannot read into memory that is not initialised.
    #[cfg(not(unix))]
    fn fill(&mut self, vec: &mut Vec<u8>, limit: usize) -> io::Result<()> {
        let before = vec.len();
        vec.resize(before + limit, 0);
        let result = retry(|| each!(&mut self.socket, socket => socket.read(&mut vec[before..])));
        vec.truncate(before + result.as_ref().map_or(0, |count| *count));
        result.map(drop)
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
