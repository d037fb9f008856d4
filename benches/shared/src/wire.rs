//! The baseline: what the system can do without a library, with the same frames on the wire.

use std::io::{self, IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::payload::BY_REFERENCE;
use crate::zmtp::{MAX_HEADER, parse_header, put_header};

/// How much is written and read at once.
pub const CHUNK: usize = 64 * 1024;

/// What a connection does until something comes, or goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// It sleeps in the system.
    #[default]
    Sleep,
    /// It asks again and again.
    Spin,
}

/// Where connections come in: a free port of this machine, or a path.
pub enum Listener {
    Tcp(TcpListener),
    Ipc(UnixListener, PathBuf),
}

impl Listener {
    /// Listens at a port that is free.
    pub fn tcp() -> Outcome<Self> {
        Ok(Self::Tcp(TcpListener::bind("127.0.0.1:0")?))
    }

    /// Listens at a path, which is removed with the listener.
    pub fn ipc(path: &Path) -> Outcome<Self> {
        Ok(Self::Ipc(UnixListener::bind(path)?, path.to_owned()))
    }

    /// Says where to [`connect`](Wire::connect) to.
    pub fn endpoint(&self) -> Outcome<String> {
        Ok(match self {
            Self::Tcp(listener) => format!("tcp://{}", listener.local_addr()?),
            Self::Ipc(_, path) => format!("ipc://{}", path.display()),
        })
    }

    /// Takes one connection, for bodies of about this size.
    pub fn accept(&self, size: usize, wait: Wait) -> Outcome<Wire> {
        match self {
            Self::Tcp(listener) => Wire::tcp(listener.accept()?.0, size, wait),
            Self::Ipc(listener, _) => Wire::unix(listener.accept()?.0, size, wait),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Ipc(_, path) = self {
            // If somebody else has removed it, it is gone all the same.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Both directions of one connection.
pub struct Wire {
    pub sink: SocketSink,
    pub source: SocketSource,
}

impl Wire {
    /// Connects to where somebody listens, for bodies of about this size.
    pub fn connect(endpoint: &str, size: usize, wait: Wait) -> Outcome<Self> {
        match endpoint.split_once("://") {
            Some(("tcp", address)) => Self::tcp(TcpStream::connect(address)?, size, wait),
            Some(("ipc", path)) => Self::unix(UnixStream::connect(path)?, size, wait),
            _ => Err(format!("{endpoint}: not understood").into()),
        }
    }

    fn tcp(stream: TcpStream, size: usize, wait: Wait) -> Outcome<Self> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(wait == Wait::Spin)?;
        Ok(Self::waiting(stream.try_clone()?, stream, size, wait))
    }

    fn unix(stream: UnixStream, size: usize, wait: Wait) -> Outcome<Self> {
        stream.set_nonblocking(wait == Wait::Spin)?;
        Ok(Self::waiting(stream.try_clone()?, stream, size, wait))
    }

    fn waiting<S: Read + Write + Send + 'static>(input: S, output: S, size: usize, wait: Wait) -> Self {
        match wait {
            Wait::Sleep => Self::new(input, output, size),
            Wait::Spin => Self::new(Spinning(input), Spinning(output), size),
        }
    }

    fn new(input: impl Read + Send + 'static, output: impl Write + Send + 'static, size: usize) -> Self {
        // Reading more than the header of a large body would only have to be copied again.
        let buffer = if size >= BY_REFERENCE { MAX_HEADER } else { CHUNK };
        Self {
            sink: SocketSink {
                output: Box::new(output),
                buffer: Vec::with_capacity(CHUNK),
            },
            source: SocketSource {
                input: Box::new(input),
                buffer: vec![0; buffer],
                from: 0,
                to: 0,
                large: Vec::new(),
            },
        }
    }
}

/// A stream that does not block, asked again until it has something to give, or to take.
struct Spinning<S>(S);

impl<S: Read> Read for Spinning<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        insist(|| self.0.read(buffer))
    }
}

impl<S: Write> Write for Spinning<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        insist(|| self.0.write(bytes))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        insist(|| self.0.write_vectored(slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn insist(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::hint::spin_loop(),
            settled => return settled,
        }
    }
}

/// Collects small messages into large writes, and writes large ones with their header in one call.
pub struct SocketSink {
    output: Box<dyn Write + Send>,
    buffer: Vec<u8>,
}

impl SocketSink {
    /// Sends a body, at the latest with the next flush.
    #[inline]
    pub fn send(&mut self, bytes: &[u8]) -> Outcome<()> {
        if bytes.len() >= BY_REFERENCE {
            put_header(bytes.len(), &mut self.buffer);
            write_all_vectored(&mut self.output, &self.buffer, bytes)?;
            self.buffer.clear();
            return Ok(());
        }
        if self.buffer.len() + MAX_HEADER + bytes.len() > CHUNK {
            self.flush()?;
        }
        put_header(bytes.len(), &mut self.buffer);
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes frames that the caller has encoded.
    pub fn write_frames(&mut self, frames: &[u8]) -> Outcome<()> {
        Ok(self.output.write_all(frames)?)
    }

    /// Writes what was kept back to be written together.
    pub fn flush(&mut self) -> Outcome<()> {
        self.output.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

fn write_all_vectored(output: &mut impl Write, first: &[u8], second: &[u8]) -> io::Result<()> {
    let mut slices = [IoSlice::new(first), IoSlice::new(second)];
    let mut left = &mut slices[..];
    while !left.is_empty() {
        let written = output.write_vectored(left)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        IoSlice::advance_slices(&mut left, written);
    }
    Ok(())
}

/// Reads large chunks and walks the frame headers; large bodies are read straight into a buffer that is used again.
pub struct SocketSource {
    input: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    from: usize,
    to: usize,
    large: Vec<u8>,
}

impl SocketSource {
    /// Waits for the next body.
    #[inline]
    pub fn recv<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Outcome<T> {
        loop {
            if let Some((header, len)) = parse_header(&self.buffer[self.from..self.to]) {
                let body = self.from + header;
                if body + len <= self.to {
                    self.from = body + len;
                    return Ok(look(&self.buffer[body..body + len]));
                }
                if len >= BY_REFERENCE {
                    return self.recv_large(body, len, look);
                }
            }
            self.fill()?;
        }
    }

    /// Says whether a whole small body is here already.
    #[inline]
    pub fn has_body(&self) -> bool {
        let here = &self.buffer[self.from..self.to];
        parse_header(here).is_some_and(|(header, len)| header + len <= here.len())
    }

    fn fill(&mut self) -> Outcome<()> {
        self.buffer.copy_within(self.from..self.to, 0);
        self.to -= self.from;
        self.from = 0;
        let count = self.input.read(&mut self.buffer[self.to..])?;
        if count == 0 {
            return Err("the stream ended early".into());
        }
        self.to += count;
        Ok(())
    }

    fn recv_large<T>(&mut self, body: usize, len: usize, look: impl FnOnce(&[u8]) -> T) -> Outcome<T> {
        self.large.resize(len, 0);
        let here = self.to - body;
        self.large[..here].copy_from_slice(&self.buffer[body..self.to]);
        (self.from, self.to) = (0, 0);
        self.input.read_exact(&mut self.large[here..])?;
        Ok(look(&self.large))
    }
}
