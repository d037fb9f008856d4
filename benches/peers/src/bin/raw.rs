//! No library: bare sockets with the same frames on the wire, or channels for inproc. It does what a pattern needs and no
//! more.

use std::path::Path;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use aqueduct_bench_shared::channel::{ChannelSink, ChannelSource, channel};
use aqueduct_bench_shared::wire::{CHUNK, Listener, Wait, Wire};
use aqueduct_bench_shared::zmtp::{MAX_HEADER, put_header};
use aqueduct_peers::executor::Threads;
use aqueduct_peers::{Kind, Library, Outcome, Socket, Task, no_such_mode, program, run};
use bytes::Bytes;

fn main() -> ExitCode {
    program(|mode, task| match mode {
        "blocking" => run(&Threads, || Ok(Raw::default()), task),
        "spin" => run(&Threads, || Ok(Raw::waiting(Wait::Spin)), task),
        _ => no_such_mode(mode),
    })
}

#[derive(Default)]
struct Raw {
    /// The ends of channels that were made and not yet taken by those who connect.
    channels: Mutex<Vec<Connection>>,
    wait: Wait,
}

enum Connection {
    Wire(Wire),
    /// Receives one message from each in turn: all send the same number.
    FanIn {
        wires: Vec<Wire>,
        turn: usize,
    },
    /// Encodes once and writes to all.
    Publisher {
        wires: Vec<Wire>,
        batch: Vec<u8>,
    },
    Channels {
        sinks: Vec<ChannelSink>,
        source: Option<ChannelSource>,
    },
}

impl Library for Raw {
    type Socket = Connection;

    async fn bind(&self, kind: Kind, task: &Task) -> Outcome<Connection> {
        let listener = match task.endpoint.split_once("://") {
            Some(("tcp", _)) => Listener::tcp()?,
            Some(("ipc", path)) => Listener::ipc(Path::new(path))?,
            _ => return Ok(self.channels(kind, usize::from(task.peers))),
        };
        task.announce(&listener.endpoint()?);
        let accepted = (0..task.peers).map(|_| listener.accept(task.size, self.wait));
        let mut wires = accepted.collect::<Outcome<Vec<Wire>>>()?;
        Ok(match (kind, wires.pop()) {
            (Kind::Pub, last) => Connection::Publisher {
                wires: wires.into_iter().chain(last).collect(),
                batch: Vec::with_capacity(CHUNK),
            },
            (_, Some(wire)) if wires.is_empty() => Connection::Wire(wire),
            (_, last) => Connection::FanIn {
                wires: wires.into_iter().chain(last).collect(),
                turn: 0,
            },
        })
    }

    async fn connect(&self, _: Kind, task: &Task) -> Outcome<Connection> {
        if task.transport() == "inproc" {
            let mut made = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
            return made.pop().ok_or_else(|| "nobody has bound it".into());
        }
        Ok(Connection::Wire(Wire::connect(
            &task.endpoint,
            task.size,
            self.wait,
        )?))
    }
}

impl Raw {
    fn waiting(wait: Wait) -> Self {
        Self {
            wait,
            ..Self::default()
        }
    }

    /// Makes channels from and to all peers, keeps the peers' ends, and returns the others.
    fn channels(&self, kind: Kind, peers: usize) -> Connection {
        let (to_us, source) = channel();
        let mut sinks = Vec::new();
        let mut made = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..peers {
            let (sink, source) = channel();
            sinks.push(sink);
            made.push(Connection::Channels {
                sinks: vec![to_us.clone()],
                source: Some(source),
            });
        }
        Connection::Channels {
            sinks,
            source: (kind != Kind::Pub).then_some(source),
        }
    }
}

impl Socket for Connection {
    #[inline]
    async fn send(&mut self, body: &[u8]) -> Outcome<()> {
        match self {
            Self::Wire(wire) => wire.sink.send(body),
            Self::Publisher { wires, batch } => {
                put_header(body.len(), batch);
                batch.extend_from_slice(body);
                if batch.len() + MAX_HEADER + body.len() > CHUNK {
                    publish(wires, batch)?;
                }
                Ok(())
            }
            Self::Channels { sinks, .. } => sinks.iter_mut().try_for_each(|sink| sink.send(body)),
            Self::FanIn { .. } => Err("it only receives".into()),
        }
    }

    async fn send_shared(&mut self, body: Bytes) -> Outcome<()> {
        self.send(&body).await
    }

    #[inline]
    async fn recv<T: Send>(&mut self, look: impl FnOnce(&[u8]) -> T + Send) -> Outcome<T> {
        match self {
            Self::Wire(wire) => {
                if !wire.source.has_body() {
                    wire.sink.flush()?;
                }
                wire.source.recv(look)
            }
            Self::FanIn { wires, turn } => {
                let now = *turn;
                *turn = if now + 1 == wires.len() { 0 } else { now + 1 };
                wires[now].source.recv(look)
            }
            Self::Channels {
                source: Some(source), ..
            } => source.recv(look),
            Self::Channels { .. } | Self::Publisher { .. } => Err("it only sends".into()),
        }
    }

    #[inline]
    async fn echo<T: Send>(&mut self, look: impl FnOnce(&[u8]) -> T + Send) -> Outcome<T> {
        match self {
            Self::Wire(Wire { sink, source }) => {
                if !source.has_body() {
                    sink.flush()?;
                }
                source.recv(|body| {
                    let looked = look(body);
                    sink.send(body).map(|()| looked)
                })?
            }
            Self::Channels {
                sinks,
                source: Some(source),
            } => source.recv(|body| {
                let looked = look(body);
                sinks
                    .iter_mut()
                    .try_for_each(|sink| sink.send(body))
                    .map(|()| looked)
            })?,
            _ => Err("it is one-way".into()),
        }
    }

    async fn flush(&mut self) -> Outcome<()> {
        match self {
            Self::Wire(wire) => wire.sink.flush(),
            Self::Publisher { wires, batch } => publish(wires, batch),
            Self::FanIn { .. } | Self::Channels { .. } => Ok(()),
        }
    }
}

fn publish(wires: &mut [Wire], batch: &mut Vec<u8>) -> Outcome<()> {
    for wire in wires {
        wire.sink.write_frames(batch)?;
    }
    batch.clear();
    Ok(())
}
