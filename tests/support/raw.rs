//! A raw peer: says any bytes over tcp or ipc, and hears what is answered.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use aqueduct::{Endpoint, Host, IpcEndpoint};

use super::{LONG, Transport};

/// The greeting of a ZMTP 3.1 peer with the NULL mechanism, written out by hand from RFC 23.
pub(crate) const GREETING: [u8; 64] = {
    let mut greeting = [0; 64];
    greeting[0] = 0xff;
    greeting[9] = 0x7f;
    greeting[10] = 3;
    greeting[11] = 1;
    greeting[12] = b'N';
    greeting[13] = b'U';
    greeting[14] = b'L';
    greeting[15] = b'L';
    greeting
};

const LONG_FORM: u8 = 2;
const COMMAND: u8 = 4;

/// A frame with these flags; the length takes the form that it needs.
pub(crate) fn frame(flags: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = match u8::try_from(body.len()) {
        Ok(len) => vec![flags, len],
        Err(_) => [&[flags | LONG_FORM][..], &(body.len() as u64).to_be_bytes()].concat(),
    };
    bytes.extend_from_slice(body);
    bytes
}

/// A command frame.
pub(crate) fn command(name: &str, data: &[u8]) -> Vec<u8> {
    let body = [&[name.len() as u8][..], name.as_bytes(), data].concat();
    frame(COMMAND, &body)
}

/// A READY with these properties.
pub(crate) fn ready(properties: &[(&str, &[u8])]) -> Vec<u8> {
    let mut data = Vec::new();
    for (name, value) in properties {
        data.push(name.len() as u8);
        data.extend_from_slice(name.as_bytes());
        data.extend_from_slice(&(value.len() as u32).to_be_bytes());
        data.extend_from_slice(value);
    }
    command("READY", &data)
}

/// The READY of a peer with this socket type and nothing else to say.
pub(crate) fn ready_of(socket_type: &str) -> Vec<u8> {
    ready(&[("Socket-Type", socket_type.as_bytes())])
}

/// A frame as it was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) flags: u8,
    pub(crate) body: Vec<u8>,
}

impl Heard {
    /// The frame as it was on the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        frame(self.flags & !LONG_FORM, &self.body)
    }

    pub(crate) fn is_command(&self, name: &str) -> bool {
        let start = [&[name.len() as u8], name.as_bytes()].concat();
        self.flags & COMMAND != 0 && self.body.starts_with(&start)
    }
}

enum Stream {
    Tcp(TcpStream),
    Ipc(UnixStream),
}

/// A peer that says what the test tells it to.
pub(crate) struct RawPeer(Stream);

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

impl RawPeer {
    fn new(stream: Stream) -> Self {
        let peer = Self(stream);
        peer.set_timeout(LONG);
        peer
    }

    pub(crate) fn connect(endpoint: &Endpoint) -> Self {
        let stream = match endpoint {
            Endpoint::Tcp(tcp) => {
                let Host::Ip(ip) = tcp.host else {
                    panic!("no address")
                };
                Stream::Tcp(TcpStream::connect((ip, tcp.port)).unwrap())
            }
            Endpoint::Ipc(IpcEndpoint::Path(path)) => Stream::Ipc(UnixStream::connect(path).unwrap()),
            other => panic!("no wire: {other}"),
        };
        Self::new(stream)
    }

    /// Connects over tcp from this address.
    pub(crate) fn connect_from(source: Ipv4Addr, endpoint: &Endpoint) -> Self {
        let Endpoint::Tcp(tcp) = endpoint else {
            panic!("no tcp: {endpoint}")
        };
        let Host::Ip(ip) = tcp.host else {
            panic!("no address")
        };
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
        socket.connect(&SocketAddr::from((ip, tcp.port)).into()).unwrap();
        Self::new(Stream::Tcp(socket.into()))
    }

    /// Sets how long it listens before it gives up.
    pub(crate) fn set_timeout(&self, timeout: Duration) {
        match &self.0 {
            Stream::Tcp(tcp) => tcp.set_read_timeout(Some(timeout)).unwrap(),
            Stream::Ipc(ipc) => ipc.set_read_timeout(Some(timeout)).unwrap(),
        }
    }

    /// Its own address, as the other end's events name it.
    pub(crate) fn address(&self) -> String {
        match &self.0 {
            Stream::Tcp(tcp) => tcp.local_addr().unwrap().to_string(),
            Stream::Ipc(_) => String::new(),
        }
    }

    /// Says these bytes. The other end may hang up at any of them, so that they do not arrive is no failure here.
    pub(crate) fn say(&mut self, bytes: &[u8]) -> &mut Self {
        let _ = self.write_all(bytes);
        self
    }

    /// Goes through the handshake as a socket of this type, up to and with the other end's READY.
    pub(crate) fn shake_hands(&mut self, socket_type: &str) -> &mut Self {
        self.say(&GREETING).say(&ready_of(socket_type));
        self.hear_greeting();
        let ready = self.hear_frame();
        assert!(ready.is_command("READY"), "{ready:?}");
        self
    }

    pub(crate) fn hear_greeting(&mut self) -> [u8; 64] {
        let mut greeting = [0; 64];
        self.read_exact(&mut greeting).unwrap();
        greeting
    }

    pub(crate) fn hear_frame(&mut self) -> Heard {
        self.read_frame().expect("a frame")
    }

    /// Hears a frame, or nothing if the connection ends before it is complete.
    pub(crate) fn try_hear_frame(&mut self) -> Option<Heard> {
        match self.read_frame() {
            Ok(heard) => Some(heard),
            Err(error) if is_timeout(&error) => panic!("neither a frame nor the end"),
            Err(_) => None,
        }
    }

    fn read_frame(&mut self) -> io::Result<Heard> {
        let mut flags = [0];
        self.read_exact(&mut flags)?;
        let [flags] = flags;
        let len = if flags & LONG_FORM == 0 {
            let mut len = [0];
            self.read_exact(&mut len)?;
            u64::from(len[0])
        } else {
            let mut len = [0; 8];
            self.read_exact(&mut len)?;
            u64::from_be_bytes(len)
        };
        let mut body = vec![0; usize::try_from(len).unwrap()];
        self.read_exact(&mut body)?;
        Ok(Heard { flags, body })
    }

    /// Another handle to the same connection, to speak and listen at once.
    pub(crate) fn clone_stream(&self) -> Self {
        Self(match &self.0 {
            Stream::Tcp(tcp) => Stream::Tcp(tcp.try_clone().unwrap()),
            Stream::Ipc(ipc) => Stream::Ipc(ipc.try_clone().unwrap()),
        })
    }

    /// Hears everything up to the end of the connection, however it comes.
    pub(crate) fn hear_out(&mut self) -> Vec<u8> {
        let mut heard = Vec::new();
        match self.read_to_end(&mut heard) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("the other end did not hang up: {error}; heard {heard:?}"),
        }
        heard
    }

    /// Tells whether anything comes within a moment.
    pub(crate) fn hears_anything(&mut self, moment: Duration) -> bool {
        self.set_timeout(moment);
        let mut byte = [0];
        let heard = self.read(&mut byte);
        self.set_timeout(LONG);
        match heard {
            Ok(_) => true,
            Err(error) => !is_timeout(&error),
        }
    }

    /// Tells whether the other end is still there, by listening for a moment.
    pub(crate) fn is_alive(&mut self, moment: Duration) -> bool {
        let mut byte = [0];
        self.set_timeout(moment);
        match self.read(&mut byte) {
            Ok(count) => count > 0,
            Err(error) => is_timeout(&error),
        }
    }

    /// Has nothing more to say, and goes on listening.
    pub(crate) fn finish(&mut self) -> &mut Self {
        match &self.0 {
            Stream::Tcp(tcp) => tcp.shutdown(Shutdown::Write).unwrap(),
            Stream::Ipc(ipc) => ipc.shutdown(Shutdown::Write).unwrap(),
        }
        self
    }

    /// Neither speaks nor listens any more, by whatever handle.
    pub(crate) fn hang_up(self) {
        let _ = match &self.0 {
            Stream::Tcp(tcp) => tcp.shutdown(Shutdown::Both),
            Stream::Ipc(ipc) => ipc.shutdown(Shutdown::Both),
        };
    }

    /// Breaks the connection off: RST on tcp; ipc has none, and resets by leaving what came unread.
    pub(crate) fn reset(self) {
        if let Stream::Tcp(tcp) = &self.0 {
            let socket = socket2::SockRef::from(tcp);
            socket.set_linger(Some(Duration::ZERO)).unwrap();
        }
    }
}

impl Read for RawPeer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Stream::Tcp(tcp) => tcp.read(buffer),
            Stream::Ipc(ipc) => ipc.read(buffer),
        }
    }
}

impl Write for RawPeer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Stream::Tcp(tcp) => tcp.write(bytes),
            Stream::Ipc(ipc) => ipc.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A raw peer that others connect to.
pub(crate) enum RawListener {
    Tcp(TcpListener),
    Ipc(UnixListener, tempfile::TempDir),
}

impl RawListener {
    pub(crate) fn bind(transport: Transport) -> Self {
        match transport {
            Transport::Tcp => Self::Tcp(TcpListener::bind("127.0.0.1:0").unwrap()),
            Transport::Ipc => {
                let directory = tempfile::tempdir().unwrap();
                let listener = UnixListener::bind(directory.path().join("raw")).unwrap();
                Self::Ipc(listener, directory)
            }
            Transport::Inproc => panic!("inproc has no wire"),
        }
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        match self {
            Self::Tcp(tcp) => Endpoint::from_socket_addr(tcp.local_addr().unwrap()),
            Self::Ipc(_, directory) => {
                let path = directory.path().join("raw");
                Endpoint::Ipc(IpcEndpoint::Path(path))
            }
        }
    }

    pub(crate) fn accept(&self) -> RawPeer {
        let stream = match self {
            Self::Tcp(tcp) => Stream::Tcp(tcp.accept().unwrap().0),
            Self::Ipc(ipc, _) => Stream::Ipc(ipc.accept().unwrap().0),
        };
        RawPeer::new(stream)
    }
}
