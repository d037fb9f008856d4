//! A handler of RFC 27 for a context of libzmq: lets in alice with her password; without a mechanism, the domain says it.

use std::thread::{self, JoinHandle};

use zmq::{Context, Socket};

const ADDRESS: &str = "inproc://zeromq.zap.01";

/// The thread that libzmq asks. It ends when this is dropped.
pub struct Guard {
    context: Context,
    thread: Option<JoinHandle<()>>,
}

impl Guard {
    /// Begins to answer for all sockets of a context.
    pub(crate) fn of(context: &Context) -> Self {
        let socket = context.socket(zmq::REP).expect("no classic socket");
        socket.bind(ADDRESS).expect("a context has one guard");
        Self {
            context: context.clone(),
            thread: Some(thread::spawn(move || answer_all(&socket))),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let over = self.context.socket(zmq::REQ).and_then(|socket| {
            socket.connect(ADDRESS)?;
            socket.send("it is over", 0)?;
            socket.recv_bytes(0)
        });
        over.expect("the guard hears that it is over");
        let thread = self.thread.take().expect("it is dropped once");
        assert!(
            thread.join().is_ok() || thread::panicking(),
            "the guard has failed"
        );
    }
}

/// Answers requests until a message comes that is none.
fn answer_all(socket: &Socket) {
    loop {
        let request = socket.recv_multipart(0).expect("a request");
        let [version, id, domain, _, _, mechanism, credentials @ ..] = &request[..] else {
            return socket.send("good", 0).expect("a request has its reply");
        };
        assert_eq!(&version[..], b"1.0");
        let status = match (&mechanism[..], credentials) {
            (b"PLAIN", [username, password]) => status(username, password).as_bytes(),
            (b"NULL", []) => &domain[..],
            _ => panic!("a strange request: {request:?}"),
        };
        // With a name for the user, libzmq's REQ closes connections: it takes the name for a reply that is malformed.
        let reply = [&b"1.0"[..], id, status, b"", b"", b""];
        socket.send_multipart(reply, 0).expect("a request has its reply");
    }
}

fn status(username: &[u8], password: &[u8]) -> &'static str {
    match (username, password) {
        (b"alice", b"secret") => "200",
        (b"later", _) => "300",
        (b"broken", _) => "500",
        _ => "400",
    }
}
