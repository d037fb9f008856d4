//! zeromq, which is zmq.rs, on a runtime of tokio.

use std::process::ExitCode;

use aqueduct_peers::executor::Tokio;
use aqueduct_peers::{Kind, Library, Outcome, Socket, Task, no_such_mode, program, run};
use bytes::Bytes;
use zeromq::{
    DealerSocket, PullSocket, PushSocket, RepSocket, ReqSocket, RouterSocket, Socket as _, SocketRecv,
    SocketSend, SubSocket, XPubSocket, ZmqMessage,
};

fn main() -> ExitCode {
    program(|mode, task| match mode {
        "multi" => run(&Tokio::multi_thread()?, || Ok(ZeroMq), task),
        "current" => run(&Tokio::current_thread()?, || Ok(ZeroMq), task),
        _ => no_such_mode(mode),
    })
}

/// Its queues have fixed lengths, and there is no context.
struct ZeroMq;

enum Any {
    Push(PushSocket),
    Pull(PullSocket),
    Req(ReqSocket),
    Rep(RepSocket),
    /// Its PUB drops messages for slow subscribers, and cannot be told not to. Its XPUB waits for them.
    Pub(XPubSocket),
    Sub(SubSocket),
    Dealer(DealerSocket),
    Router(RouterSocket),
}

impl Library for ZeroMq {
    type Socket = Any;

    async fn bind(&self, kind: Kind, task: &Task) -> Outcome<Any> {
        let endpoint = task.endpoint.as_str();
        let (mut socket, bound) = match kind {
            Kind::Pull => {
                let mut socket = PullSocket::new();
                let bound = socket.bind(endpoint).await?;
                (Any::Pull(socket), bound)
            }
            Kind::Rep => {
                let mut socket = RepSocket::new();
                let bound = socket.bind(endpoint).await?;
                (Any::Rep(socket), bound)
            }
            Kind::Router => {
                let mut socket = RouterSocket::new();
                let bound = socket.bind(endpoint).await?;
                (Any::Router(socket), bound)
            }
            _ => {
                let mut socket = XPubSocket::new();
                let bound = socket.bind(endpoint).await?;
                (Any::Pub(socket), bound)
            }
        };
        task.announce(&bound.to_string());
        if let Any::Pub(publisher) = &mut socket {
            // It takes note of subscriptions only while it receives.
            for _ in 0..task.peers {
                publisher.recv().await?;
            }
        }
        Ok(socket)
    }

    async fn connect(&self, kind: Kind, task: &Task) -> Outcome<Any> {
        let endpoint = task.endpoint.as_str();
        Ok(match kind {
            Kind::Req => {
                let mut socket = ReqSocket::new();
                socket.connect(endpoint).await?;
                Any::Req(socket)
            }
            Kind::Sub => {
                let mut socket = SubSocket::new();
                socket.connect(endpoint).await?;
                socket.subscribe("").await?;
                Any::Sub(socket)
            }
            Kind::Dealer => {
                let mut socket = DealerSocket::new();
                socket.connect(endpoint).await?;
                Any::Dealer(socket)
            }
            _ => {
                let mut socket = PushSocket::new();
                socket.connect(endpoint).await?;
                Any::Push(socket)
            }
        })
    }
}

impl Socket for Any {
    #[inline]
    async fn send(&mut self, body: &[u8]) -> Outcome<()> {
        let message = ZmqMessage::from(Bytes::copy_from_slice(body));
        match self {
            Self::Push(socket) => socket.send(message).await?,
            Self::Pub(socket) => socket.send(message).await?,
            Self::Req(socket) => socket.send(message).await?,
            Self::Dealer(socket) => socket.send(message).await?,
            _ => return unasked(),
        }
        Ok(())
    }

    async fn send_shared(&mut self, body: Bytes) -> Outcome<()> {
        let Self::Push(socket) = self else {
            return unasked();
        };
        Ok(socket.send(body.into()).await?)
    }

    #[inline]
    async fn recv<T: Send>(&mut self, look: impl FnOnce(&[u8]) -> T + Send) -> Outcome<T> {
        let message = match self {
            Self::Pull(socket) => socket.recv().await?,
            Self::Sub(socket) => socket.recv().await?,
            Self::Req(socket) => socket.recv().await?,
            Self::Dealer(socket) => socket.recv().await?,
            _ => return unasked(),
        };
        Ok(look(body(&message)?))
    }

    #[inline]
    async fn echo<T: Send>(&mut self, look: impl FnOnce(&[u8]) -> T + Send) -> Outcome<T> {
        match self {
            Self::Rep(socket) => {
                let message = socket.recv().await?;
                let looked = look(body(&message)?);
                socket.send(message).await?;
                Ok(looked)
            }
            Self::Router(socket) => {
                let message = socket.recv().await?;
                let looked = look(body(&message)?);
                socket.send(message).await?;
                Ok(looked)
            }
            _ => unasked(),
        }
    }
}

/// The last frame: a ROUTER has the peer's identity before it.
#[inline]
fn body(message: &ZmqMessage) -> Outcome<&[u8]> {
    let last = message.len().checked_sub(1).and_then(|last| message.get(last));
    Ok(last.ok_or("a message without frames")?)
}

#[cold]
fn unasked<T>() -> Outcome<T> {
    Err("this kind of socket cannot do that".into())
}
