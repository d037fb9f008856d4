//! libzmq, through the `zmq` crate: as it is, and with batches of 64 KiB, which are an option that it calls a draft. CURVE
//! is that of another build.

mod curve;

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::process::ExitCode;

use aqueduct_peers::executor::Threads;
use aqueduct_peers::{HWM, Kind, Library, Outcome, Pattern, Socket, Task, no_such_mode, program, run};
use bytes::Bytes;

/// Of drafts, which the bindings do not name.
const IN_BATCH_SIZE: c_int = 101;
const OUT_BATCH_SIZE: c_int = 102;

fn main() -> ExitCode {
    program(|mode, task| match mode {
        "blocking" if task.pattern == Pattern::Curve => run(&Threads, curve::Zmq::load, task),
        "blocking" => run(&Threads, || Ok(Zmq::new(None)), task),
        "batches" => run(&Threads, || Ok(Zmq::new(Some(64 * 1024))), task),
        _ => no_such_mode(mode),
    })
}

struct Zmq {
    context: zmq::Context,
    batch: Option<c_int>,
}

struct ZmqSocket {
    socket: zmq::Socket,
    /// What is received into, again and again.
    message: zmq::Message,
    is_router: bool,
}

impl Zmq {
    fn new(batch: Option<c_int>) -> Self {
        Self {
            context: zmq::Context::new(),
            batch,
        }
    }

    fn open(&self, kind: Kind) -> Outcome<ZmqSocket> {
        let mut socket = self.context.socket(match kind {
            Kind::Push => zmq::PUSH,
            Kind::Pull => zmq::PULL,
            Kind::Req => zmq::REQ,
            Kind::Rep => zmq::REP,
            Kind::Pub => zmq::PUB,
            Kind::Sub => zmq::SUB,
            Kind::Dealer => zmq::DEALER,
            Kind::Router => zmq::ROUTER,
        })?;
        socket.set_sndhwm(HWM.into())?;
        socket.set_rcvhwm(HWM.into())?;
        if let Some(size) = self.batch {
            set(&mut socket, IN_BATCH_SIZE, size)?;
            set(&mut socket, OUT_BATCH_SIZE, size)?;
        }
        match kind {
            // A full queue makes `send` wait, instead of dropping.
            Kind::Pub => set(&mut socket, zmq_sys::ZMQ_XPUB_NODROP.cast_signed(), 1)?,
            Kind::Sub => socket.set_subscribe(b"")?,
            _ => {}
        }
        Ok(ZmqSocket {
            socket,
            message: zmq::Message::new(),
            is_router: kind == Kind::Router,
        })
    }
}

/// Sets an option that the zmq crate has no setter for.
#[allow(unsafe_code, reason = "the zmq crate has no other way to set this option")]
fn set(socket: &mut zmq::Socket, option: c_int, value: c_int) -> Outcome<()> {
    // SAFETY: the socket is open and ours alone, and libzmq copies the number before it returns.
    let set = unsafe {
        zmq_sys::zmq_setsockopt(
            socket.as_mut_ptr(),
            option,
            (&raw const value).cast(),
            size_of::<c_int>(),
        )
    };
    if set == 0 {
        return Ok(());
    }
    Err(format!("libzmq refuses option {option}: is it built with drafts? See README.md").into())
}

/// Drops what was kept for a message.
///
/// # Safety
///
/// `kept` is a `Box<Bytes>` that was given up for this, once.
#[allow(unsafe_code, reason = "libzmq calls it")]
unsafe extern "C" fn drop_body(_: *mut c_void, kept: *mut c_void) {
    // SAFETY: as above.
    drop(unsafe { Box::from_raw(kept.cast::<Bytes>()) });
}

/// Sends a body that libzmq does not copy: it keeps a `Bytes` until it needs the body no more.
#[allow(unsafe_code, reason = "the zmq crate has no message that shares its body")]
fn send_by_reference(socket: &mut zmq::Socket, body: Bytes) -> Outcome<()> {
    let (data, len) = (body.as_ptr(), body.len());
    let kept = Box::into_raw(Box::new(body));
    let mut message = MaybeUninit::<zmq_sys::zmq_msg_t>::uninit();
    let message = message.as_mut_ptr();
    // SAFETY: libzmq only reads the body, which stays where it is until `drop_body` is called; and the message is made by
    // the first call before the second takes it. One that was not taken is leaked, for the program ends then.
    let sent = unsafe {
        let data = data.cast_mut().cast();
        zmq_sys::zmq_msg_init_data(message, data, len, Some(drop_body), kept.cast());
        zmq_sys::zmq_msg_send(message, socket.as_mut_ptr(), 0)
    };
    if sent < 0 {
        return Err("libzmq does not send a message".into());
    }
    Ok(())
}

impl Library for Zmq {
    type Socket = ZmqSocket;

    async fn bind(&self, kind: Kind, task: &Task) -> Outcome<ZmqSocket> {
        let opened = self.open(kind)?;
        opened.socket.bind(&task.endpoint)?;
        let bound = opened.socket.get_last_endpoint()?;
        task.announce(&bound.map_err(|_| "an endpoint that is not text")?);
        Ok(opened)
    }

    async fn connect(&self, kind: Kind, task: &Task) -> Outcome<ZmqSocket> {
        let opened = self.open(kind)?;
        opened.socket.connect(&task.endpoint)?;
        Ok(opened)
    }
}

impl Socket for ZmqSocket {
    #[inline]
    async fn send(&mut self, body: &[u8]) -> Outcome<()> {
        Ok(self.socket.send(body, 0)?)
    }

    async fn send_shared(&mut self, body: Bytes) -> Outcome<()> {
        send_by_reference(&mut self.socket, body)
    }

    #[inline]
    async fn recv<T: Send>(&mut self, look: impl FnOnce(&[u8]) -> T + Send) -> Outcome<T> {
        self.socket.recv(&mut self.message, 0)?;
        Ok(look(&self.message))
    }

    #[inline]
    async fn echo<T: Send>(&mut self, look: impl FnOnce(&[u8]) -> T + Send) -> Outcome<T> {
        if self.is_router {
            let peer = self.socket.recv_msg(0)?;
            self.socket.send(peer, zmq::SNDMORE)?;
        }
        let message = self.socket.recv_msg(0)?;
        let looked = look(&message);
        self.socket.send(message, 0)?;
        Ok(looked)
    }
}
