//! A socket of libzmq in a context of its own, with every wait bounded, and its monitor.

use std::cell::OnceCell;
use std::time::{Duration, Instant};

use zmq::{Context, Socket, SocketEvent, SocketType};

use crate::{Guard, LONG};

/// A socket of libzmq. Dropping it closes it and its context: when that returns, its connections and ports are free.
pub struct Classic {
    // Fields are dropped in this order: a watched socket whose witness has gone blocks its I/O thread at the next event,
    // and the context waits for the socket, which lingers.
    socket: Socket,
    witness: OnceCell<Witness>,
    guard: Option<Guard>,
    context: Context,
}

/// The events of a [`Classic`] socket.
pub struct Witness(Socket);

impl Classic {
    /// Makes a socket; `configure` sets what has to be set before it is used.
    #[must_use]
    pub fn with(kind: SocketType, configure: impl FnOnce(&Socket) -> zmq::Result<()>) -> Self {
        let context = Context::new();
        let socket = context.socket(kind).expect("no classic socket");
        let long = i32::try_from(LONG.as_millis()).expect("a time that libzmq can tell");
        // What subscribers have not told yet is not worth waiting for, as libzmq has it by default.
        let subscribes = matches!(kind, zmq::SUB | zmq::XSUB);
        let linger = if subscribes { 0 } else { long };
        let prepared = socket
            .set_rcvtimeo(long)
            .and_then(|()| socket.set_sndtimeo(long))
            .and_then(|()| socket.set_linger(linger))
            .and_then(|()| socket.set_reconnect_ivl(20))
            .and_then(|()| configure(&socket));
        prepared.expect("libzmq refuses an option");
        Self {
            socket,
            witness: OnceCell::new(),
            guard: None,
            context,
        }
    }

    /// Makes a socket that asks its peers for a name and a password, with a [`Guard`] who decides.
    #[must_use]
    pub fn guarded(kind: SocketType) -> Self {
        Self::guarded_with(kind, |socket| socket.set_plain_server(true))
    }

    /// Makes a socket without a mechanism, whose [`Guard`] has this status for everybody.
    #[must_use]
    pub fn guarded_by_address(kind: SocketType, status: &str) -> Self {
        Self::guarded_with(kind, |socket| socket.set_zap_domain(status))
    }

    fn guarded_with(kind: SocketType, configure: impl FnOnce(&Socket) -> zmq::Result<()>) -> Self {
        let mut classic = Self::with(kind, configure);
        classic.guard = Some(Guard::of(&classic.context));
        classic
    }

    /// Makes a socket with the options that all tests share.
    #[must_use]
    pub fn new(kind: SocketType) -> Self {
        Self::with(kind, |_| Ok(()))
    }

    /// Binds, and returns the endpoint with wildcards resolved.
    #[must_use]
    pub fn bind(&self, endpoint: &str) -> String {
        self.socket
            .bind(endpoint)
            .unwrap_or_else(|error| panic!("libzmq cannot bind {endpoint}: {error}"));
        let bound = self
            .socket
            .get_last_endpoint()
            .expect("libzmq knows where it is bound");
        bound.expect("endpoints are text")
    }

    /// Connects.
    pub fn connect(&self, endpoint: &str) {
        self.socket
            .connect(endpoint)
            .unwrap_or_else(|error| panic!("libzmq cannot connect to {endpoint}: {error}"));
    }

    /// Connects as a ROUTER that knows the peer there by this id, whatever the peer says of itself.
    pub fn connect_with_id(&mut self, endpoint: &str, id: &[u8]) {
        self.set_bytes(zmq_sys::ZMQ_CONNECT_ROUTING_ID, id);
        self.connect(endpoint);
    }

    /// Makes a socket that has an option on, one of those that only `zmq_sys` knows.
    #[must_use]
    pub fn switched(kind: SocketType, option: u32) -> Self {
        let mut socket = Self::new(kind);
        socket.set_bytes(option, &1i32.to_ne_bytes());
        socket
    }

    #[allow(unsafe_code, reason = "the zmq crate has no setter for these options")]
    fn set_bytes(&mut self, option: u32, value: &[u8]) {
        let (option, data) = (option.cast_signed(), value.as_ptr().cast());
        // SAFETY: the socket is open and ours alone, and libzmq copies the bytes before it returns.
        let set = unsafe { zmq_sys::zmq_setsockopt(self.socket.as_mut_ptr(), option, data, value.len()) };
        assert_eq!(set, 0, "libzmq refuses an option");
    }

    /// Subscribes as a SUB, or for the subscriber heard last as an XPUB.
    pub fn subscribe(&self, topic: &[u8]) {
        self.socket.set_subscribe(topic).expect("libzmq subscribes");
    }

    /// Takes a subscription back.
    pub fn unsubscribe(&self, topic: &[u8]) {
        self.socket.set_unsubscribe(topic).expect("libzmq unsubscribes");
    }

    /// Has the socket take note of what happened to it, which libzmq does only when it is used.
    pub fn look(&self) {
        self.socket.poll(zmq::POLLIN, 0).expect("libzmq polls");
    }

    /// Passes on what comes here to another socket, and the other way, until it is told that it is over.
    pub fn proxy(mut self, mut back: Self, mut steered: Self) {
        let over = zmq::proxy_steerable(&mut self.socket, &mut back.socket, &mut steered.socket);
        over.expect("libzmq's proxy works until it is told to end");
    }

    /// Sends a message of one frame.
    pub fn send(&self, body: &[u8]) {
        self.socket.send(body, 0).expect("libzmq sends in time");
    }

    /// Sends a message of one frame if there is room, or soon is.
    #[must_use]
    pub fn send_within(&self, body: &[u8], moment: Duration) -> bool {
        let millis = i64::try_from(moment.as_millis()).unwrap_or(i64::MAX);
        let ready = self.socket.poll(zmq::POLLOUT, millis).expect("libzmq polls");
        ready > 0 && self.socket.send(body, zmq::DONTWAIT).is_ok()
    }

    /// Sends a message of several frames.
    pub fn send_frames(&self, frames: &[Vec<u8>]) {
        self.socket
            .send_multipart(frames, 0)
            .expect("libzmq sends in time");
    }

    /// Receives a message of one frame.
    #[must_use]
    pub fn recv(&self) -> Vec<u8> {
        let body = self.socket.recv_bytes(0).expect("libzmq receives in time");
        assert!(!self.socket.get_rcvmore().expect("libzmq knows"), "one frame");
        body
    }

    /// Receives a message of any number of frames.
    #[must_use]
    pub fn recv_frames(&self) -> Vec<Vec<u8>> {
        self.socket.recv_multipart(0).expect("libzmq receives in time")
    }

    /// Sends a message of several frames, or says why not.
    ///
    /// # Errors
    ///
    /// The one of libzmq.
    pub fn try_send_frames(&self, frames: &[Vec<u8>]) -> zmq::Result<()> {
        self.socket.send_multipart(frames, zmq::DONTWAIT)
    }

    /// Receives a message if there is one, or soon is.
    #[must_use]
    pub fn recv_frames_within(&self, moment: Duration) -> Option<Vec<Vec<u8>>> {
        let millis = i64::try_from(moment.as_millis()).unwrap_or(i64::MAX);
        let ready = self.socket.poll(zmq::POLLIN, millis).expect("libzmq polls");
        (ready > 0).then(|| self.recv_frames())
    }

    /// Waits until one of two has a message, and tells whether it is this one.
    ///
    /// # Panics
    ///
    /// None has one after a long time.
    #[must_use]
    pub fn await_message(&self, other: &Self) -> bool {
        let long = i64::try_from(LONG.as_millis()).expect("a time that libzmq can tell");
        let mut both = [&self.socket, &other.socket].map(|socket| socket.as_poll_item(zmq::POLLIN));
        let ready = zmq::poll(&mut both, long).expect("libzmq polls");
        assert!(ready > 0, "neither has a message");
        both[0].is_readable()
    }

    /// Waits until a sender has a peer with room.
    ///
    /// # Panics
    ///
    /// There is none after a long time.
    pub fn await_peer(&self) {
        let long = i64::try_from(LONG.as_millis()).expect("a time that libzmq can tell");
        let ready = self.socket.poll(zmq::POLLOUT, long).expect("libzmq polls");
        assert!(ready > 0, "libzmq has no peer");
    }

    /// Waits until a sender has no peer left, or none with room.
    ///
    /// # Panics
    ///
    /// There is still one after a long time.
    pub fn await_no_peer(&self) {
        let deadline = Instant::now() + LONG;
        while self.socket.poll(zmq::POLLOUT, 0).expect("libzmq polls") > 0 {
            assert!(Instant::now() < deadline, "libzmq keeps a peer");
            std::thread::yield_now();
        }
    }

    /// Returns the events since this was first called.
    pub fn witness(&self) -> &Witness {
        self.witness.get_or_init(|| {
            let name = "inproc://witness";
            let events = self.context.socket(zmq::PAIR).expect("no classic socket");
            let watched = self
                .socket
                .monitor(name, i32::from(SocketEvent::ALL.to_raw()))
                .and_then(|()| events.set_linger(0))
                .and_then(|()| events.connect(name));
            watched.expect("libzmq can be watched");
            Witness(events)
        })
    }
}

impl Witness {
    /// Waits for one of these events, at most this long, and returns which came.
    #[must_use]
    pub fn sees(&self, wanted: &[SocketEvent], time: Duration) -> Option<SocketEvent> {
        let deadline = Instant::now() + time;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let millis = i64::try_from(left.as_millis()).unwrap_or(i64::MAX);
            if self.0.poll(zmq::POLLIN, millis).expect("libzmq polls") == 0 {
                return None;
            }
            let frames = self.0.recv_multipart(0).expect("an event");
            let Some(&[low, high, ..]) = frames.first().map(|frame| &frame[..]) else {
                panic!("no event: {frames:?}");
            };
            let event = SocketEvent::from_raw(u16::from_ne_bytes([low, high]));
            if wanted.contains(&event) {
                return Some(event);
            }
        }
    }

    /// Waits for an event that must come.
    ///
    /// # Panics
    ///
    /// It does not.
    pub fn expect(&self, wanted: SocketEvent) {
        let seen = self.sees(&[wanted], LONG);
        assert_eq!(seen, Some(wanted), "libzmq says nothing of it");
    }
}
