//! The baseline: what the system can do without a library, with the same frames on the wire.

use std::io::{self, IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use bytes::Bytes;

use crate::Outcome;
use crate::cells::Transport;
use crate::payload::{BY_REFERENCE, Body};
use crate::traffic::{Sink, Source};
use crate::zmtp::{MAX_HEADER, parse_header, put_header};

/// How much is written and read at once.
const CHUNK: usize = 64 * 1024;

/// How many messages a channel holds: as many as a queue of aqueduct does by default.
const CHANNEL: usize = 1000;

/// The longest body that a parcel holds itself, as a frame of aqueduct does.
const INLINE: usize = 72;

/// Both directions of one connection.
pub(crate) struct Wire {
    pub(crate) sink: SocketSink,
    pub(crate) source: SocketSource,
}

/// Listens, says where, and takes one connection.
pub(crate) fn accept(transport: Transport, size: usize, announce: impl FnOnce(&str)) -> Outcome<Wire> {
    if transport == Transport::Tcp {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        announce(&listener.local_addr()?.to_string());
        return tcp(listener.accept()?.0, size);
    }
    let path = socket_path();
    let listener = UnixListener::bind(&path)?;
    announce(&path.to_string_lossy());
    let accepted = listener.accept();
    std::fs::remove_file(path)?;
    unix(accepted?.0, size)
}

/// Connects to where somebody listens.
pub(crate) fn connect(transport: Transport, size: usize, address: &str) -> Outcome<Wire> {
    if transport == Transport::Tcp {
        return tcp(TcpStream::connect(address)?, size);
    }
    unix(UnixStream::connect(address)?, size)
}

fn socket_path() -> PathBuf {
    std::env::temp_dir().join(format!("aqueduct-harness-{}.sock", std::process::id()))
}

fn tcp(stream: TcpStream, size: usize) -> Outcome<Wire> {
    stream.set_nodelay(true)?;
    Ok(Wire::new(Box::new(stream.try_clone()?), Box::new(stream), size))
}

fn unix(stream: UnixStream, size: usize) -> Outcome<Wire> {
    Ok(Wire::new(Box::new(stream.try_clone()?), Box::new(stream), size))
}

impl Wire {
    fn new(input: Box<dyn Read>, output: Box<dyn Write>, size: usize) -> Self {
        // Reading more than the header of a large body would only have to be copied again.
        let buffer = if size >= BY_REFERENCE { MAX_HEADER } else { CHUNK };
        Self {
            sink: SocketSink {
                output,
                buffer: Vec::with_capacity(CHUNK),
            },
            source: SocketSource {
                input,
                buffer: vec![0; buffer],
                from: 0,
                to: 0,
                large: Vec::new(),
            },
        }
    }
}

/// Collects small messages into large writes, and writes large ones with their header in one call.
pub(crate) struct SocketSink {
    output: Box<dyn Write>,
    buffer: Vec<u8>,
}

impl Sink for SocketSink {
    #[inline]
    fn send(&mut self, body: &Body<'_>) -> Outcome<()> {
        let bytes = body.bytes();
        if body.is_by_reference() {
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

    fn flush(&mut self) -> Outcome<()> {
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
pub(crate) struct SocketSource {
    input: Box<dyn Read>,
    buffer: Vec<u8>,
    from: usize,
    to: usize,
    large: Vec<u8>,
}

impl Source for SocketSource {
    #[inline]
    fn recv<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Outcome<T> {
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
}

impl SocketSource {
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

/// What goes through a channel: small bodies by value and others shared, as in aqueduct.
pub(crate) enum Parcel {
    Inline { len: usize, body: [u8; INLINE] },
    Shared(Bytes),
}

/// Makes a channel between two threads.
pub(crate) fn channel() -> (ChannelSink, ChannelSource) {
    let (sender, receiver) = sync_channel(CHANNEL);
    (ChannelSink(sender), ChannelSource(receiver))
}

pub(crate) struct ChannelSink(SyncSender<Parcel>);

impl Sink for ChannelSink {
    #[inline]
    fn send(&mut self, body: &Body<'_>) -> Outcome<()> {
        let bytes = body.bytes();
        let parcel = if body.is_by_reference() {
            Parcel::Shared(body.shared())
        } else if bytes.len() <= INLINE {
            let mut inline = [0; INLINE];
            inline[..bytes.len()].copy_from_slice(bytes);
            Parcel::Inline {
                len: bytes.len(),
                body: inline,
            }
        } else {
            Parcel::Shared(Bytes::copy_from_slice(bytes))
        };
        Ok(self.0.send(parcel)?)
    }
}

pub(crate) struct ChannelSource(Receiver<Parcel>);

impl Source for ChannelSource {
    #[inline]
    fn recv<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Outcome<T> {
        Ok(match self.0.recv()? {
            Parcel::Inline { len, body } => look(&body[..len]),
            Parcel::Shared(body) => look(&body),
        })
    }
}
