//! The baselines as a worker uses them: bare sockets and channels.

use aqueduct_bench_shared::channel::{ChannelSink, ChannelSource};
use aqueduct_bench_shared::payload::Body;
use aqueduct_bench_shared::wire::{Listener, SocketSink, SocketSource, Wait, Wire};

use crate::Outcome;
use crate::cells::Transport;
use crate::traffic::{Sink, Source};

/// Listens, says where, and takes one connection.
pub(crate) fn accept(transport: Transport, size: usize, announce: impl FnOnce(&str)) -> Outcome<Wire> {
    let name = format!("aqueduct-harness-{}.sock", std::process::id());
    let listener = match transport {
        Transport::Tcp => Listener::tcp()?,
        _ => Listener::ipc(&std::env::temp_dir().join(name))?,
    };
    announce(&listener.endpoint()?);
    listener.accept(size, Wait::Sleep)
}

impl Sink for SocketSink {
    #[inline]
    fn send(&mut self, body: &Body<'_>) -> Outcome<()> {
        SocketSink::send(self, body.bytes())
    }

    fn flush(&mut self) -> Outcome<()> {
        SocketSink::flush(self)
    }
}

impl Source for SocketSource {
    #[inline]
    fn recv<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Outcome<T> {
        SocketSource::recv(self, look)
    }
}

impl Sink for ChannelSink {
    #[inline]
    fn send(&mut self, body: &Body<'_>) -> Outcome<()> {
        if body.is_by_reference() {
            self.send_shared(body.shared())
        } else {
            ChannelSink::send(self, body.bytes())
        }
    }
}

impl Source for ChannelSource {
    #[inline]
    fn recv<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Outcome<T> {
        ChannelSource::recv(self, look)
    }
}
