//! rzmq, on a runtime of tokio.

use std::process::ExitCode;

use aqueduct_peers::executor::Tokio;
use aqueduct_peers::{HWM, Kind, Library, Outcome, Socket, Task, no_such_mode, program, run};
use bytes::Bytes;
use rzmq::socket::{LAST_ENDPOINT, RCVHWM, SNDHWM, SUBSCRIBE, XPUB_NODROP};
use rzmq::{Context, Msg, SocketType};

fn main() -> ExitCode {
    program(|mode, task| match mode {
        "multi" => run(&Tokio::multi_thread()?, || Ok(Rzmq(Context::new()?)), task),
        "current" => run(&Tokio::current_thread()?, || Ok(Rzmq(Context::new()?)), task),
        _ => no_such_mode(mode),
    })
}

struct Rzmq(Context);

struct RzmqSocket {
    socket: rzmq::Socket,
    is_router: bool,
}

impl Rzmq {
    async fn open(&self, kind: Kind) -> Outcome<RzmqSocket> {
        let socket = self.0.socket(match kind {
            Kind::Push => SocketType::Push,
            Kind::Pull => SocketType::Pull,
            Kind::Req => SocketType::Req,
            Kind::Rep => SocketType::Rep,
            Kind::Pub => SocketType::Pub,
            Kind::Sub => SocketType::Sub,
            Kind::Dealer => SocketType::Dealer,
            Kind::Router => SocketType::Router,
        })?;
        socket.set_option(SNDHWM, i32::from(HWM)).await?;
        socket.set_option(RCVHWM, i32::from(HWM)).await?;
        match kind {
            // A full queue makes `send` wait, instead of dropping.
            Kind::Pub => socket.set_option(XPUB_NODROP, 1i32).await?,
            Kind::Sub => socket.set_option(SUBSCRIBE, "").await?,
            _ => {}
        }
        Ok(RzmqSocket {
            socket,
            is_router: kind == Kind::Router,
        })
    }
}

impl Library for Rzmq {
    type Socket = RzmqSocket;

    async fn bind(&self, kind: Kind, task: &Task) -> Outcome<RzmqSocket> {
        let opened = self.open(kind).await?;
        opened.socket.bind(&task.endpoint).await?;
        let bound = opened.socket.get_option(LAST_ENDPOINT).await?;
        task.announce(String::from_utf8(bound)?.trim_end_matches('\0'));
        Ok(opened)
    }

    async fn connect(&self, kind: Kind, task: &Task) -> Outcome<RzmqSocket> {
        let opened = self.open(kind).await?;
        opened.socket.connect(&task.endpoint).await?;
        Ok(opened)
    }
}

impl Socket for RzmqSocket {
    #[inline]
    async fn send(&mut self, body: &[u8]) -> Outcome<()> {
        Ok(self.socket.send(Msg::from_vec(body.to_vec())).await?)
    }

    async fn send_shared(&mut self, body: Bytes) -> Outcome<()> {
        Ok(self.socket.send(Msg::from_bytes(body)).await?)
    }

    #[inline]
    async fn recv<T: Send>(&mut self, look: impl FnOnce(&[u8]) -> T + Send) -> Outcome<T> {
        let message = self.socket.recv().await?;
        Ok(look(message.data().unwrap_or_default()))
    }

    #[inline]
    async fn echo<T: Send>(&mut self, look: impl FnOnce(&[u8]) -> T + Send) -> Outcome<T> {
        if !self.is_router {
            let message = self.socket.recv().await?;
            let looked = look(message.data().unwrap_or_default());
            self.socket.send(message).await?;
            return Ok(looked);
        }
        let frames = self.socket.recv_multipart().await?;
        let looked = look(frames.last().and_then(Msg::data).unwrap_or_default());
        self.socket.send_multipart(frames).await?;
        Ok(looked)
    }
}
