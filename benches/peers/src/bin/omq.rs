//! omq-tokio: with blocking calls, or with futures, whose I/O is done by a thread of its own or by the runtime.

use std::collections::VecDeque;
use std::ops::Range;
use std::process::ExitCode;
use std::time::Duration;

use aqueduct_peers::executor::{Threads, Tokio};
use aqueduct_peers::{
    BATCH, HWM, Kind, Library, Numbered, Outcome, SPIN, Socket, Task, no_such_mode, program, run,
};
use bytes::Bytes;
use omq_tokio::{Context, Message, Options, SocketType, TrySendError, blocking};

fn main() -> ExitCode {
    program(|mode, task| match mode {
        "blocking" => run(&Threads, || Ok(Blocking::new(Duration::ZERO)), task),
        "spin" => run(&Threads, || Ok(Blocking::new(SPIN)), task),
        "batch" => run(&Threads, || Ok(Batch(Blocking::new(Duration::ZERO))), task),
        "async" => run(&Tokio::current_thread()?, || Ok(Async(Context::new())), task),
        "current" => run(&Tokio::current_thread()?, || Ok(Async(Context::current())), task),
        _ => no_such_mode(mode),
    })
}

struct Blocking {
    context: Context,
    /// How long a socket polls before it sleeps.
    spin: Duration,
}

struct Batch(Blocking);

struct Async(Context);

struct BlockingSocket(blocking::Socket);

/// Used with calls for many messages.
struct BatchSocket {
    single: BlockingSocket,
    /// What is sent from, and what is received into, again and again.
    outgoing: VecDeque<Message>,
    received: Vec<Message>,
}

struct AsyncSocket(omq_tokio::Socket);

impl Blocking {
    fn new(spin: Duration) -> Self {
        Self {
            context: Context::new(),
            spin,
        }
    }

    fn open(&self, kind: Kind) -> (SocketType, BlockingSocket) {
        let (kind, options) = options(kind);
        let options = options.recv_spin(self.spin);
        (kind, BlockingSocket(self.context.blocking_socket(kind, options)))
    }
}

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
        let (_, socket) = self.open(kind);
        let bound = socket.0.bind(task.endpoint.as_str())?;
        task.announce(&bound.to_string());
        Ok(socket)
    }

    async fn connect(&self, kind: Kind, task: &Task) -> Outcome<BlockingSocket> {
        let (kind, socket) = self.open(kind);
        socket.0.connect(task.endpoint.as_str())?;
        if kind == SocketType::Sub {
            socket.0.subscribe("")?;
        }
        Ok(socket)
    }
}

impl Library for Batch {
    type Socket = BatchSocket;

    async fn bind(&self, kind: Kind, task: &Task) -> Outcome<BatchSocket> {
        self.0.bind(kind, task).await.map(BatchSocket::new)
    }

    async fn connect(&self, kind: Kind, task: &Task) -> Outcome<BatchSocket> {
        self.0.connect(kind, task).await.map(BatchSocket::new)
    }
}

impl BatchSocket {
    fn new(single: BlockingSocket) -> Self {
        Self {
            single,
            outgoing: VecDeque::with_capacity(BATCH),
            received: Vec::with_capacity(BATCH),
        }
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

impl Socket for BatchSocket {
    async fn send(&mut self, body: &[u8]) -> Outcome<()> {
        self.single.send(body).await
    }

    async fn send_many(&mut self, bodies: &mut Numbered, mut numbers: Range<u64>) -> Outcome<()> {
        let Self {
            single: BlockingSocket(socket),
            outgoing,
            ..
        } = self;
        loop {
            let next = numbers.by_ref().take(BATCH - outgoing.len());
            outgoing.extend(next.map(|number| Message::from_slice(bodies.body(number))));
            if outgoing.is_empty() {
                return Ok(());
            }
            match socket.try_send_many(outgoing, BATCH) {
                Ok(_) => {}
                // It has no call for many that waits, so the first of them waits by itself.
                Err(TrySendError::Full(message)) => socket.send(message)?,
                Err(error) => return Err(format!("not sent: {error:?}").into()),
            }
        }
    }

    async fn send_shared(&mut self, body: Bytes) -> Outcome<()> {
        self.single.send_shared(body).await
    }

    async fn recv<T: Send>(&mut self, look: impl FnOnce(&[u8]) -> T + Send) -> Outcome<T> {
        self.single.recv(look).await
    }

    async fn recv_many(&mut self, mut look: impl FnMut(&[u8]) -> Outcome<()> + Send) -> Outcome<()> {
        self.single.0.recv_many_into(BATCH, &mut self.received)?;
        self.received
            .drain(..)
            .try_for_each(|message| look(body(&message)?))
    }

    async fn echo<T: Send>(&mut self, look: impl FnOnce(&[u8]) -> T + Send) -> Outcome<T> {
        self.single.echo(look).await
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
