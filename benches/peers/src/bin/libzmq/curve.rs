//! libzmq with CURVE, which the `zmq` crate builds it without: that of pyzmq's wheel, with its libsodium, loaded at run time.
#![allow(unsafe_code, reason = "a library that is loaded has no bindings")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::process::Command;

use aqueduct_peers::curve::{CLIENT, Keys, SERVER};
use aqueduct_peers::{HWM, Kind, Library, Outcome, Socket, Task};
use bytes::Bytes;
use zmq_sys::zmq_msg_t;

/// The Python to ask for its libzmq, as the interop tests have it.
const PYTHON: &str = "AQUEDUCT_PYTHON";

/// Where the wheel of pyzmq keeps its libraries: beside the package.
const SCRIPT: &str = "import glob, os, zmq; \
    print(glob.glob(os.path.dirname(zmq.__file__) + '/../pyzmq.libs/libzmq*')[0])";

/// Long enough for an endpoint of tcp.
const ENDPOINT_LEN: usize = 256;

macro_rules! functions {
    ($($name:ident($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// What is called of the library.
        struct Functions {
            $($name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }

        impl Functions {
            /// Finds all of them in a library that is never unloaded.
            fn of(library: &'static libloading::Library) -> Outcome<Self> {
                // SAFETY: these are the types that zmq.h gives them.
                Ok(unsafe { Self { $($name: *library.get(stringify!($name).as_bytes())?,)* } })
            }
        }
    };
}

functions! {
    zmq_ctx_new() -> *mut c_void;
    zmq_socket(*mut c_void, c_int) -> *mut c_void;
    zmq_setsockopt(*mut c_void, c_int, *const c_void, usize) -> c_int;
    zmq_getsockopt(*mut c_void, c_int, *mut c_void, *mut usize) -> c_int;
    zmq_bind(*mut c_void, *const c_char) -> c_int;
    zmq_connect(*mut c_void, *const c_char) -> c_int;
    zmq_send(*mut c_void, *const c_void, usize, c_int) -> c_int;
    zmq_msg_init(*mut zmq_msg_t) -> c_int;
    zmq_msg_recv(*mut zmq_msg_t, *mut c_void, c_int) -> c_int;
    zmq_msg_data(*mut zmq_msg_t) -> *mut c_void;
    zmq_msg_size(*const zmq_msg_t) -> usize;
}

/// What libzmq returns a pointer to.
#[derive(Clone, Copy)]
struct Handle(*mut c_void);

// SAFETY: a context is for all threads, and a socket is moved between them, never shared.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

pub(super) struct Zmq {
    functions: &'static Functions,
    context: Handle,
}

pub(super) struct ZmqSocket {
    functions: &'static Functions,
    socket: Handle,
    /// What is received into, again and again.
    message: zmq_msg_t,
}

impl Zmq {
    pub(super) fn load() -> Outcome<Self> {
        let python = std::env::var(PYTHON).unwrap_or_else(|_| "python3".to_owned());
        let found = Command::new(&python).args(["-c", SCRIPT]).output()?;
        if !found.status.success() {
            return Err(format!("{python} has no pyzmq, which is needed for CURVE: see README.md").into());
        }
        let path = String::from_utf8(found.stdout)?;
        // SAFETY: libzmq does nothing when it is loaded.
        let library = unsafe { libloading::Library::new(path.trim()) }?;
        let functions: &_ = Box::leak(Box::new(Functions::of(Box::leak(Box::new(library)))?));
        // SAFETY: there is nothing to heed.
        let context = Handle(unsafe { (functions.zmq_ctx_new)() });
        Ok(Self { functions, context })
    }

    fn open(&self, kind: Kind) -> Outcome<ZmqSocket> {
        let (kind, keys, server) = match kind {
            Kind::Pull => (zmq_sys::ZMQ_PULL, SERVER, None),
            Kind::Push => (zmq_sys::ZMQ_PUSH, CLIENT, Some(SERVER)),
            _ => return Err("this kind of socket is not measured with CURVE".into()),
        };
        let mut message = MaybeUninit::uninit();
        // SAFETY: the context is open, and the message is made by the call.
        let opened = unsafe {
            let socket = (self.functions.zmq_socket)(self.context.0, kind.cast_signed());
            (self.functions.zmq_msg_init)(message.as_mut_ptr());
            ZmqSocket {
                functions: self.functions,
                socket: Handle(socket),
                message: message.assume_init(),
            }
        };
        opened.set_number(zmq_sys::ZMQ_SNDHWM, HWM.into())?;
        opened.set_number(zmq_sys::ZMQ_RCVHWM, HWM.into())?;
        opened.set_keys(keys)?;
        match server {
            Some(server) => opened.set(zmq_sys::ZMQ_CURVE_SERVERKEY, server.public.as_bytes())?,
            None => opened.set_number(zmq_sys::ZMQ_CURVE_SERVER, 1)?,
        }
        Ok(opened)
    }
}

impl ZmqSocket {
    fn set_keys(&self, keys: Keys) -> Outcome<()> {
        self.set(zmq_sys::ZMQ_CURVE_PUBLICKEY, keys.public.as_bytes())?;
        self.set(zmq_sys::ZMQ_CURVE_SECRETKEY, keys.secret.as_bytes())
    }

    fn set_number(&self, option: u32, value: c_int) -> Outcome<()> {
        self.set(option, &value.to_ne_bytes())
    }

    fn set(&self, option: u32, value: &[u8]) -> Outcome<()> {
        let (data, len) = (value.as_ptr().cast(), value.len());
        // SAFETY: the socket is open and ours alone, and libzmq copies the value before it returns.
        let set = unsafe { (self.functions.zmq_setsockopt)(self.socket.0, option.cast_signed(), data, len) };
        check(set, "an option")
    }

    fn endpoint(&self) -> Outcome<String> {
        let mut text = [0_u8; ENDPOINT_LEN];
        let mut len = text.len();
        let option = zmq_sys::ZMQ_LAST_ENDPOINT.cast_signed();
        // SAFETY: libzmq writes no more than the length that it is given.
        let got = unsafe {
            (self.functions.zmq_getsockopt)(self.socket.0, option, text.as_mut_ptr().cast(), &raw mut len)
        };
        check(got, "to say where it is bound")?;
        Ok(CStr::from_bytes_until_nul(&text)?.to_str()?.to_owned())
    }
}

/// What libzmq refuses ends the program.
fn check(result: c_int, what: &str) -> Outcome<()> {
    if result < 0 {
        return Err(format!("libzmq refuses {what}").into());
    }
    Ok(())
}

impl Library for Zmq {
    type Socket = ZmqSocket;

    async fn bind(&self, kind: Kind, task: &Task) -> Outcome<ZmqSocket> {
        let opened = self.open(kind)?;
        let endpoint = CString::new(task.endpoint.as_str())?;
        // SAFETY: the socket is open and ours alone, and the text ends with a zero.
        check(
            unsafe { (self.functions.zmq_bind)(opened.socket.0, endpoint.as_ptr()) },
            "to bind",
        )?;
        task.announce(&opened.endpoint()?);
        Ok(opened)
    }

    async fn connect(&self, kind: Kind, task: &Task) -> Outcome<ZmqSocket> {
        let opened = self.open(kind)?;
        let endpoint = CString::new(task.endpoint.as_str())?;
        // SAFETY: as above.
        check(
            unsafe { (self.functions.zmq_connect)(opened.socket.0, endpoint.as_ptr()) },
            "to connect",
        )?;
        Ok(opened)
    }
}

impl Socket for ZmqSocket {
    #[inline]
    async fn send(&mut self, body: &[u8]) -> Outcome<()> {
        // SAFETY: libzmq copies the body before it returns.
        let sent = unsafe { (self.functions.zmq_send)(self.socket.0, body.as_ptr().cast(), body.len(), 0) };
        check(sent, "to send")
    }

    async fn send_shared(&mut self, body: Bytes) -> Outcome<()> {
        self.send(&body).await
    }

    #[inline]
    async fn recv<T: Send>(&mut self, look: impl FnOnce(&[u8]) -> T + Send) -> Outcome<T> {
        let message = &raw mut self.message;
        // SAFETY: the body is looked at before the next message is received in its place.
        unsafe {
            check(
                (self.functions.zmq_msg_recv)(message, self.socket.0, 0),
                "to receive",
            )?;
            let data = (self.functions.zmq_msg_data)(message).cast::<u8>();
            let len = (self.functions.zmq_msg_size)(message);
            Ok(look(std::slice::from_raw_parts(data, len)))
        }
    }

    async fn echo<T: Send>(&mut self, _: impl FnOnce(&[u8]) -> T + Send) -> Outcome<T> {
        Err("nothing is sent back under CURVE".into())
    }
}
