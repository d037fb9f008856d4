//! A socket of libzmq with CURVE, which lives in a Python process: the wheel of pyzmq has it, the `zmq` crate has not.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use aqueduct::{KeyPair, PublicKey};

use crate::{Frames, Plug};

/// The Python to use: one with pyzmq.
const PYTHON: &str = "AQUEDUCT_PYTHON";

const SCRIPT: &str = include_str!("foreign.py");

/// Which end of CURVE a foreign socket is.
#[derive(Clone, Copy, Debug)]
pub enum Role {
    /// It looks for the owner of this key.
    Client(PublicKey),
    /// It lets in everybody.
    Server,
    /// It lets in the owner of this key.
    ServerFor(PublicKey),
    /// Its ZAP handler has this status for everybody.
    ServerSaying(&'static str),
}

/// A socket in another process. It ends when this is dropped.
pub struct Foreign {
    child: Child,
    tell: Option<ChildStdin>,
    hear: std::cell::RefCell<BufReader<ChildStdout>>,
}

impl Foreign {
    /// Makes a socket of a type, by libzmq's name for it.
    ///
    /// # Panics
    ///
    /// There is no Python with pyzmq: a test that cannot be made has not passed.
    #[must_use]
    pub fn new(kind: &str, role: Role, keys: &KeyPair) -> Self {
        let python = std::env::var(PYTHON).unwrap_or_else(|_| "python3".to_owned());
        let found = Command::new(&python).args(["-c", "import zmq"]).output();
        assert!(
            found.is_ok_and(|output| output.status.success()),
            "{python} has no pyzmq, which these tests need: make a virtual environment, `pip install pyzmq` there, and set \
             {PYTHON} to its python"
        );
        let (role, other) = match role {
            Role::Client(server) => ("client", server.to_string()),
            Role::Server => ("server", "-".to_owned()),
            Role::ServerFor(client) => ("server", client.to_string()),
            Role::ServerSaying(status) => ("server", status.to_owned()),
        };
        let public = keys.public().to_string();
        let mut child = keys
            .secret()
            .expose_z85(|secret| {
                Command::new(python)
                    .args(["-c", SCRIPT, kind, role, secret, &public, &other])
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .spawn()
            })
            .expect("cannot start Python");
        let (tell, hear) = (child.stdin.take(), child.stdout.take());
        Self {
            child,
            tell,
            hear: BufReader::new(hear.expect("a pipe")).into(),
        }
    }

    /// Sends a message.
    pub fn send(&self, frames: &[Vec<u8>]) {
        let frames: Vec<_> = frames.iter().map(|frame| hex(frame)).collect();
        self.tell(&format!("send {}", frames.join(",")));
    }

    /// Sends a word, but not before so many milliseconds without input have passed.
    pub fn send_later(&self, milliseconds: u32, word: &str) {
        self.tell(&format!("later {milliseconds} {word}"));
    }

    /// Has connections to come ask for a sign of life every so many milliseconds.
    pub fn beat(&self, milliseconds: u32) {
        self.tell(&format!("beat {milliseconds}"));
    }

    /// Takes note of handshakes that fail from now on.
    pub fn watch(&self) {
        self.tell("watch");
    }

    /// Waits for a handshake that fails, and returns the end of the event's name, and its value.
    #[must_use]
    pub fn failure(&self) -> String {
        self.tell("failure");
        self.answer("failed")
    }

    /// Subscribes to a topic.
    pub fn subscribe(&self, topic: &str) {
        self.tell(&format!("subscribe {}", hex(topic.as_bytes())));
    }

    /// Receives a message.
    #[must_use]
    pub fn recv(&self) -> Frames {
        self.tell("recv");
        let text = self.answer("got");
        text.split(',').map(unhex).collect()
    }

    fn tell(&self, line: &str) {
        let mut tell = self.tell.as_ref().expect("a pipe");
        writeln!(tell, "{line}").expect("the Python process has ended");
    }

    fn answer(&self, word: &str) -> String {
        let mut line = String::new();
        self.hear.borrow_mut().read_line(&mut line).expect("a pipe");
        let rest = line.strip_prefix(word).map(str::trim);
        rest.unwrap_or_else(|| panic!("{line:?} instead of {word}"))
            .to_owned()
    }
}

impl Plug for Foreign {
    fn plug(&self, endpoint: &str) -> String {
        self.tell(&format!("bind {endpoint}"));
        self.answer("bound")
    }

    fn plug_into(&self, endpoint: &str) {
        self.tell(&format!("connect {endpoint}"));
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        // The end of its input is the end of the script.
        self.tell = None;
        let _ = self.child.wait();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    let byte = |pair: &[u32]| u8::try_from(pair[0] * 16 + pair[1]).expect("two digits");
    digits.chunks_exact(2).map(byte).collect()
}
