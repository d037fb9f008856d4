//! This library, with blocking calls or with futures, on executors that run its connections.

use std::ops::Range;
use std::process::ExitCode;
use std::time::Duration;

use aqueduct::{
    AllowAny, Context, Dealer, KeyPair, Message, Pub, Pull, Push, Rep, Req, Router, SecretKey, SlowPolicy,
    Sub,
};
use aqueduct_peers::executor::{Smol, Threads, Tokio};
use aqueduct_peers::{
    BATCH, Executor, HWM, Kind, Library, Numbered, Outcome, Pattern, SPIN, Socket, Task, curve, no_such_mode,
    program, run,
};
use bytes::Bytes;

fn main() -> ExitCode {
    program(|mode, task| match mode {
        "blocking" => run(&Threads, || Ok(Blocking::default()), task),
        "batch" => run(&Threads, || Ok(Batch), task),
        "spin" => run(&Threads, || Ok(Blocking { busy_poll: SPIN }), task),
        "tokio" => run(&Tokio::current_thread()?, drive_on_tokio, task),
        "smol" => {
            let executor = Smol::default();
            let tasks = executor.tasks();
            run(&executor, || drive_on_smol(&tasks), task)
        }
        "own" => run(&Own::default(), || Ok(Async), task),
        _ => no_such_mode(mode),
    })
}

/// Has the executor run the connections, too.
fn drive_on_tokio() -> Outcome<Async> {
    tokio::spawn(Context::default().driver()?.on_tokio());
    Ok(Async)
}

fn drive_on_smol(tasks: &smol::Executor<'static>) -> Outcome<Async> {
    tasks.spawn(Context::default().driver()?.on_async_io()).detach();
    Ok(Async)
}

/// An executor of tasks in the library's own, which runs the connections.
#[derive(Default)]
struct Own(Smol);

impl Executor for Own {
    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        aqueduct::block_on(self.0.tasks().run(future))
    }

    fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = Outcome<T>> {
        self.0.spawn(future)
    }
}

#[derive(Default)]
struct Blocking {
    busy_poll: Duration,
}

struct Batch;

struct Async;

/// A socket of any kind, used with blocking calls.
struct BlockingSocket(Any);

/// A socket of any kind, used with blocking calls for many messages.
struct BatchSocket {
    single: BlockingSocket,
    /// What is received into, again and again.
    received: Vec<Message>,
}

/// A socket of any kind, used with futures.
struct AsyncSocket(Any);

enum Any {
    Push(Push),
    Pull(Pull),
    Req(Req),
    Rep(Rep),
    Pub(Pub),
    Sub(Sub),
    Dealer(Dealer),
    Router(Router),
}

/// Makes a socket with the options that all libraries get.
macro_rules! build {
    ($kind:ident $(, $option:ident($value:expr))*) => {
        $kind::builder().send_hwm(HWM.into()).recv_hwm(HWM.into())$(.$option($value))*.build()
    };
}

fn bind(kind: Kind, task: &Task, spin: Duration) -> Outcome<Any> {
    let endpoint = task.endpoint.as_str();
    let (socket, bound) = match kind {
        Kind::Pull => {
            let mut builder = Pull::builder().recv_hwm(HWM.into());
            if task.pattern == Pattern::Curve {
                builder = builder.curve_server(key_pair(curve::SERVER)?, AllowAny);
            }
            let socket = builder.build();
            let bound = socket.bind(endpoint)?;
            (Any::Pull(socket), bound)
        }
        Kind::Rep => {
            let socket = build!(Rep, busy_poll(spin));
            let bound = socket.bind(endpoint)?;
            (Any::Rep(socket), bound)
        }
        Kind::Router => {
            let socket = build!(Router);
            let bound = socket.bind(endpoint)?;
            (Any::Router(socket), bound)
        }
        _ => {
            let socket = Pub::builder()
                .send_hwm(HWM.into())
                .slow_subscribers(SlowPolicy::Block)
                .build();
            let bound = socket.bind(endpoint)?;
            (Any::Pub(socket), bound)
        }
    };
    task.announce(&bound.to_string());
    Ok(socket)
}

fn connect(kind: Kind, task: &Task, spin: Duration) -> Outcome<Any> {
    let endpoint = task.endpoint.as_str();
    Ok(match kind {
        Kind::Req => {
            let socket = build!(Req, busy_poll(spin));
            socket.connect(endpoint)?;
            Any::Req(socket)
        }
        Kind::Sub => {
            let socket = build!(Sub);
            socket.connect(endpoint)?;
            socket.subscribe("")?;
            Any::Sub(socket)
        }
        Kind::Dealer => {
            let socket = build!(Dealer);
            socket.connect(endpoint)?;
            Any::Dealer(socket)
        }
        _ => {
            let mut builder = Push::builder().send_hwm(HWM.into());
            if task.pattern == Pattern::Curve {
                builder = builder.curve_client(curve::SERVER.public.parse()?, key_pair(curve::CLIENT)?);
            }
            let socket = builder.build();
            socket.connect(endpoint)?;
            Any::Push(socket)
        }
    })
}

fn key_pair(keys: curve::Keys) -> Outcome<KeyPair> {
    Ok(SecretKey::from_z85(keys.secret)?.into())
}

impl Library for Blocking {
    type Socket = BlockingSocket;

    async fn bind(&self, kind: Kind, task: &Task) -> Outcome<BlockingSocket> {
        bind(kind, task, self.busy_poll).map(BlockingSocket)
    }

    async fn connect(&self, kind: Kind, task: &Task) -> Outcome<BlockingSocket> {
        connect(kind, task, self.busy_poll).map(BlockingSocket)
    }
}

impl Library for Batch {
    type Socket = BatchSocket;

    async fn bind(&self, kind: Kind, task: &Task) -> Outcome<BatchSocket> {
        Blocking::default().bind(kind, task).await.map(BatchSocket::new)
    }

    async fn connect(&self, kind: Kind, task: &Task) -> Outcome<BatchSocket> {
        Blocking::default()
            .connect(kind, task)
            .await
            .map(BatchSocket::new)
    }
}

impl BatchSocket {
    fn new(single: BlockingSocket) -> Self {
        Self {
            single,
            received: Vec::with_capacity(BATCH),
        }
    }
}

impl Library for Async {
    type Socket = AsyncSocket;

    async fn bind(&self, kind: Kind, task: &Task) -> Outcome<AsyncSocket> {
        bind(kind, task, Duration::ZERO).map(AsyncSocket)
    }

    async fn connect(&self, kind: Kind, task: &Task) -> Outcome<AsyncSocket> {
        connect(kind, task, Duration::ZERO).map(AsyncSocket)
    }
}

impl Socket for BlockingSocket {
    #[inline]
    async fn send(&mut self, body: &[u8]) -> Outcome<()> {
        match &self.0 {
            Any::Push(socket) => socket.send(body)?,
            Any::Pub(socket) => socket.send(body)?,
            Any::Req(socket) => socket.send(body)?,
            Any::Dealer(socket) => socket.send(body)?,
            _ => return unasked(),
        }
        Ok(())
    }

    async fn send_shared(&mut self, body: Bytes) -> Outcome<()> {
        let Any::Push(socket) = &self.0 else {
            return unasked();
        };
        Ok(socket.send(body)?)
    }

    #[inline]
    async fn recv<T: Send>(&mut self, look: impl FnOnce(&[u8]) -> T + Send) -> Outcome<T> {
        let message = match &self.0 {
            Any::Pull(socket) => socket.recv()?,
            Any::Sub(socket) => socket.recv()?,
            Any::Req(socket) => socket.recv()?,
            Any::Dealer(socket) => socket.recv()?,
            _ => return unasked(),
        };
        Ok(look(body(&message)?))
    }

    #[inline]
    async fn echo<T: Send>(&mut self, look: impl FnOnce(&[u8]) -> T + Send) -> Outcome<T> {
        match &self.0 {
            Any::Rep(socket) => {
                let (message, reply) = socket.recv()?;
                let looked = look(body(&message)?);
                reply.send(message)?;
                Ok(looked)
            }
            Any::Router(socket) => {
                let (peer, message) = socket.recv()?;
                let looked = look(body(&message)?);
                socket.send(&peer, message)?;
                Ok(looked)
            }
            _ => unasked(),
        }
    }
}

impl Socket for BatchSocket {
    async fn send(&mut self, body: &[u8]) -> Outcome<()> {
        self.single.send(body).await
    }

    async fn send_many(&mut self, bodies: &mut Numbered, numbers: Range<u64>) -> Outcome<()> {
        let Any::Push(socket) = &self.single.0 else {
            return unasked();
        };
        socket.send_many(numbers.map(|number| Message::from(bodies.body(number))))?;
        Ok(())
    }

    async fn send_shared(&mut self, body: Bytes) -> Outcome<()> {
        self.single.send_shared(body).await
    }

    async fn recv<T: Send>(&mut self, look: impl FnOnce(&[u8]) -> T + Send) -> Outcome<T> {
        self.single.recv(look).await
    }

    async fn recv_many(&mut self, mut look: impl FnMut(&[u8]) -> Outcome<()> + Send) -> Outcome<()> {
        let Any::Pull(socket) = &self.single.0 else {
            return unasked();
        };
        socket.recv_many(&mut self.received, BATCH)?;
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
        match &self.0 {
            Any::Push(socket) => socket.send_async(body).await?,
            Any::Pub(socket) => socket.send_async(body).await?,
            Any::Req(socket) => socket.send_async(body).await?,
            Any::Dealer(socket) => socket.send_async(body).await?,
            _ => return unasked(),
        }
        Ok(())
    }

    async fn send_shared(&mut self, body: Bytes) -> Outcome<()> {
        let Any::Push(socket) = &self.0 else {
            return unasked();
        };
        Ok(socket.send_async(body).await?)
    }

    #[inline]
    async fn recv<T: Send>(&mut self, look: impl FnOnce(&[u8]) -> T + Send) -> Outcome<T> {
        let message = match &self.0 {
            Any::Pull(socket) => socket.recv_async().await?,
            Any::Sub(socket) => socket.recv_async().await?,
            Any::Req(socket) => socket.recv_async().await?,
            Any::Dealer(socket) => socket.recv_async().await?,
            _ => return unasked(),
        };
        Ok(look(body(&message)?))
    }

    #[inline]
    async fn echo<T: Send>(&mut self, look: impl FnOnce(&[u8]) -> T + Send) -> Outcome<T> {
        match &self.0 {
            Any::Rep(socket) => {
                let (message, reply) = socket.recv_async().await?;
                let looked = look(body(&message)?);
                reply.send_async(message).await?;
                Ok(looked)
            }
            Any::Router(socket) => {
                let (peer, message) = socket.recv_async().await?;
                let looked = look(body(&message)?);
                socket.send_async(&peer, message).await?;
                Ok(looked)
            }
            _ => unasked(),
        }
    }
}

#[inline]
fn body(message: &Message) -> Outcome<&[u8]> {
    Ok(message.as_single().ok_or("a message of many frames")?)
}

#[cold]
fn unasked<T>() -> Outcome<T> {
    Err("this kind of socket cannot do that".into())
}
