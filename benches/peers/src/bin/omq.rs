//! omq-tokio: with blocking calls, or with futures, whose I/O is done by a thread of its own or by the runtime.

use std::process::ExitCode;

use aqueduct_peers::executor::{Threads, Tokio};
use aqueduct_peers::{HWM, Kind, Library, Outcome, Socket, Task, no_such_mode, program, run};
use bytes::Bytes;
use omq_tokio::{Context, Message, Options, SocketType, blocking};

fn main() -> ExitCode {
    program(|mode, task| match mode {
        "blocking" => run(&Threads, || Ok(Blocking(Context::new())), task),
        "async" => run(&Tokio::current_thread()?, || Ok(Async(Context::new())), task),
        "current" => run(&Tokio::current_thread()?, || Ok(Async(Context::current())), task),
        _ => no_such_mode(mode),
    })
}

struct Blocking(Context);

struct Async(Context);

struct BlockingSocket(blocking::Socket);

struct AsyncSocket(omq_tokio::Socket);

fn options(kind: Kind) -> (SocketType, Options) {
    let options = Options {
        send_hwm: HWM.into(),
        recv_hwm: HWM.into(),
        // A full queue makes `send` wait, instead of dropping.
        xpub_nodrop: kind == Kind::Pub,
        ..Options::default()
    };
    let kind = match kind {
        Kind::Push => SocketType::Push,
        Kind::Pull => SocketType::Pull,
        Kind::Req => SocketType::Req,
        Kind::Rep => SocketType::Rep,
        Kind::Pub => SocketType::Pub,
        Kind::Sub => SocketType::Sub,
        Kind::Dealer => SocketType::Dealer,
        Kind::Router => SocketType::Router,
    };
    (kind, options)
}

impl Library for Blocking {
    type Socket = BlockingSocket;

    async fn bind(&self, kind: Kind, task: &Task) -> Outcome<BlockingSocket> {
        let (kind, options) = options(kind);
        let socket = self.0.blocking_socket(kind, options);
        let bound = socket.bind(task.endpoint.as_str())?;
        task.announce(&bound.to_string());
        Ok(BlockingSocket(socket))
    }

    async fn connect(&self, kind: Kind, task: &Task) -> Outcome<BlockingSocket> {
        let (kind, options) = options(kind);
        let socket = self.0.blocking_socket(kind, options);
        socket.connect(task.endpoint.as_str())?;
        if kind == SocketType::Sub {
            socket.subscribe("")?;
        }
        Ok(BlockingSocket(socket))
    }
}

impl Library for Async {
    type Socket = AsyncSocket;

    async fn bind(&self, kind: Kind, task: &Task) -> Outcome<AsyncSocket> {
        let (kind, options) = options(kind);
        let socket = self.0.socket(kind, options);
        let bound = socket.bind(task.endpoint.as_str()).await?;
        task.announce(&bound.to_string());
        Ok(AsyncSocket(socket))
    }

    async fn connect(&self, kind: Kind, task: &Task) -> Outcome<AsyncSocket> {
        let (kind, options) = options(kind);
        let socket = self.0.socket(kind, options);
        socket.connect(task.endpoint.as_str()).await?;
        if kind == SocketType::Sub {
            socket.subscribe("").await?;
        }
        Ok(AsyncSocket(socket))
    }
}

impl Socket for BlockingSocket {
    #[inline]
    async fn send(&mut self, body: &[u8]) -> Outcome<()> {
        Ok(self.0.send(Message::from_slice(body))?)
    }

    async fn send_shared(&mut self, body: Bytes) -> Outcome<()> {
        Ok(self.0.send(Message::single(body))?)
    }

    #[inline]
    async fn recv<T: Send>(&mut self, look: impl FnOnce(&[u8]) -> T + Send) -> Outcome<T> {
        Ok(look(body(&self.0.recv()?)?))
    }

    #[inline]
    async fn echo<T: Send>(&mut self, look: impl FnOnce(&[u8]) -> T + Send) -> Outcome<T> {
        let message = self.0.recv()?;
        let looked = look(body(&message)?);
        self.0.send(message)?;
        Ok(looked)
    }
}

impl Socket for AsyncSocket {
    #[inline]
    async fn send(&mut self, body: &[u8]) -> Outcome<()> {
        Ok(self.0.send(Message::from_slice(body)).await?)
    }

    async fn send_shared(&mut self, body: Bytes) -> Outcome<()> {
        Ok(self.0.send(Message::single(body)).await?)
    }

    #[inline]
    async fn recv<T: Send>(&mut self, look: impl FnOnce(&[u8]) -> T + Send) -> Outcome<T> {
        Ok(look(body(&self.0.recv().await?)?))
    }

    #[inline]
    async fn echo<T: Send>(&mut self, look: impl FnOnce(&[u8]) -> T + Send) -> Outcome<T> {
        let message = self.0.recv().await?;
        let looked = look(body(&message)?);
        self.0.send(message).await?;
        Ok(looked)
    }
}

/// The last frame: a ROUTER has the peer's identity before it.
#[inline]
fn body(message: &Message) -> Outcome<&[u8]> {
    let last = message
        .len()
        .checked_sub(1)
        .and_then(|last| message.part_slice(last));
    Ok(last.ok_or("a message without frames")?)
}
