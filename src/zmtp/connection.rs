//! The connection: composes greeting, handshake, decoder, encoder and heartbeat into the protocol of one peer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::command::Command;
use super::decoder::{Decoder, Rules, Step};
use super::encoder::Batch;
use super::handshake::{Admitted, AwaitGreeting, AwaitReady, Denied, Progress};
use super::heartbeat::{Heartbeat, MAX_TTL_DECISECONDS};
use super::limits::{self, Room};
use super::mechanism::Mechanism;
use super::outbox::Outbox;
use crate::message::FRAME_OVERHEAD;
use crate::options::LinkOptions;
use crate::queue::Queue;
use crate::{DisconnectReason, Message, PeerInfo, RoutingId, SocketType};

/// What all connections of a socket have in common.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) socket_type: SocketType,
    pub(crate) routing_id: RoutingId,
    /// The properties that our READY carries beside those that ZMTP defines.
    pub(crate) properties: Vec<(String, Bytes)>,
    pub(super) mechanism: Mechanism,
    rules: Rules,
    pub(crate) handshake_timeout: Duration,
    pub(crate) stall_timeout: Duration,
    pub(crate) heartbeat_interval: Option<Duration>,
    pub(crate) heartbeat_timeout: Duration,
    pub(crate) heartbeat_ttl: Option<Duration>,
}

impl Config {
    pub(crate) fn new(socket_type: SocketType, options: &LinkOptions) -> Self {
        Self {
            socket_type,
            routing_id: options.routing_id.clone(),
            properties: options.properties.clone(),
            mechanism: Mechanism::Null,
            rules: Rules {
                max_message_size: Some(options.max_message_size),
                max_message_parts: options.max_message_parts,
                max_command: limits::COMMAND,
                first_reservation: limits::FIRST_RESERVATION,
                old_subscriptions: socket_type.publishes(),
            },
            handshake_timeout: options.handshake_timeout,
            stall_timeout: options.stall_timeout,
            heartbeat_interval: options.heartbeat_interval,
            heartbeat_timeout: options.heartbeat_timeout,
            heartbeat_ttl: options.heartbeat_ttl,
        }
    }

    /// What the decoder lets through after the handshake.
    #[cfg(any(test, fuzzing))]
    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The TTL for our PINGs, in tenths of a second; 0 asks for nothing.
    pub(super) fn ttl_to_announce(&self) -> u16 {
        let ttl = self.heartbeat_ttl.map_or(0, |ttl| ttl.as_millis().div_ceil(100));
        u16::try_from(ttl).unwrap_or(u16::MAX).min(MAX_TTL_DECISECONDS)
    }
}

/// Something that happened beside messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The handshake is done.
    Ready(Arc<PeerInfo>),
}

/// One peer's protocol.
///
/// ```text
///    new()
///      │
///      ▼            64 good bytes               a READY that we like
/// AwaitGreeting ───────────────────► AwaitReady ────────────────────► Traffic
///      │                                 │                              │
///      │ wrong byte, too late            │ wrong command, ERROR,        │ wrong frame, ERROR,
///      │                                 │ over a limit, too late       │ over a limit, silence
///      └─────────────────────────────────┴──────────────┬───────────────┘
///                                                       ▼
///                                                     Closed
/// ```
#[derive(Debug)]
pub(crate) struct Connection {
    config: Arc<Config>,
    state: State,
    outbox: Outbox,
    events: VecDeque<Event>,
    /// When to look at the time next; it may be earlier than needed, never later.
    deadline: Option<Instant>,
    ignored_commands: u64,
}

#[derive(Debug)]
enum State {
    AwaitGreeting(AwaitGreeting),
    AwaitReady(AwaitReady),
    Traffic(Traffic),
    Closed(DisconnectReason),
}

/// What is left of a connection after the handshake.
#[derive(Debug)]
struct Traffic {
    decoder: Decoder,
    heartbeat: Heartbeat,
    version: (u8, u8),
}

impl Connection {
    /// Begins with the handshake, which has to end in time.
    pub(crate) fn new(config: Arc<Config>, now: Instant) -> Self {
        let deadline = now.checked_add(config.handshake_timeout);
        Self {
            config,
            state: State::AwaitGreeting(AwaitGreeting::new()),
            outbox: Outbox::new(),
            events: VecDeque::new(),
            deadline,
            ignored_commands: 0,
        }
    }

    /// Takes bytes that were read from the transport, and appends the messages they complete to `inbox`.
    ///
    /// Returns how many bytes were used: all, unless `room` ran out; then the rest is to be presented again, before
    /// what is read later. A subscription takes room as a message of its topic would. While there is no room, the
    /// peer's silence is not held against it; so call again when there is, with an empty `input` if none is left.
    ///
    /// # Errors
    ///
    /// The connection is closed, now or since an earlier call. Messages that were complete before are in `inbox`.
    pub(crate) fn handle_input(
        &mut self,
        input: &[u8],
        room: &mut Room,
        inbox: &mut Queue,
        now: Instant,
    ) -> Result<usize, DisconnectReason> {
        let mut rest = input;
        while !matches!(self.state, State::Traffic(_)) {
            if rest.is_empty() {
                return self.open(input.len());
            }
            self.handshake(&mut rest, now)?;
        }
        let result = self.traffic(&mut rest, room, inbox, now);
        self.settle(result)?;
        Ok(input.len().saturating_sub(rest.len()))
    }

    /// How many bytes are best read at once.
    pub(crate) fn appetite(&self) -> usize {
        match &self.state {
            State::Traffic(traffic) => traffic.decoder.appetite(),
            _ => usize::MAX,
        }
    }

    /// The buffer of a large body of which much is missing, to read straight into, and how many bytes may be appended.
    ///
    /// The capacity is there already. Tell [`handle_direct`](Self::handle_direct) how many bytes came.
    pub(crate) fn direct_target(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        match &mut self.state {
            State::Traffic(traffic) => traffic.decoder.direct_target(&self.config.rules),
            _ => None,
        }
    }

    /// Takes note of `n` bytes that were appended to the buffer of [`direct_target`](Self::direct_target).
    ///
    /// A message that they complete goes to `inbox` even if there is no room for it.
    ///
    /// # Errors
    ///
    /// The connection is closed.
    pub(crate) fn handle_direct(
        &mut self,
        n: usize,
        room: &mut Room,
        inbox: &mut Queue,
        now: Instant,
    ) -> Result<(), DisconnectReason> {
        self.open(())?;
        if let State::Traffic(traffic) = &mut self.state
            && n > 0
        {
            traffic.heartbeat.heard(now);
            let step = traffic.decoder.direct_done(&self.config.rules, room, inbox);
            traffic.heartbeat.set_deaf(!room.is_open(), now);
            if let Some(Step::OldSubscription(message)) = step {
                let result = take_old_subscription(message, room, inbox);
                return self.settle(result);
            }
        }
        Ok(())
    }

    /// Looks at the time: closes on a peer that took too long, and prepares a PING when one is due.
    ///
    /// # Errors
    ///
    /// The connection is closed, now or since an earlier call.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Result<(), DisconnectReason> {
        let result = match &mut self.state {
            State::Closed(reason) => Err(reason.clone()),
            State::AwaitGreeting(_) | State::AwaitReady(_) => self.check_handshake_time(now),
            State::Traffic(traffic) => {
                let mid_message = traffic.decoder.is_mid_message();
                let due = traffic.heartbeat.check(&self.config, mid_message, now);
                if let Ok(true) = due {
                    self.outbox.ping();
                }
                self.deadline = traffic.heartbeat.deadline(&self.config, mid_message);
                due.map(drop)
            }
        };
        self.settle(result)
    }

    /// The next time at which to call [`handle_timeout`](Self::handle_timeout); it stays while messages pass.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// Tells whether [`poll_transmit`](Self::poll_transmit) has something to append.
    #[inline]
    pub(crate) fn wants_transmit(&self) -> bool {
        self.outbox.is_due()
    }

    /// Appends what the connection itself has to say. Even a closed one may have to say why.
    pub(crate) fn poll_transmit(&mut self, out: &mut Batch) {
        if self.outbox.is_due() {
            self.outbox.emit(&self.config, out);
        }
    }

    /// Returns what happened, in order.
    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front();
        if self.events.is_empty() {
            // An idle connection keeps no memory for events; they are rare.
            self.events = VecDeque::new();
        }
        event
    }

    /// Tells whether the handshake is done, so that messages may be encoded.
    #[inline]
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.state, State::Traffic(_))
    }

    /// Appends a message. Only a connection that [is ready](Self::is_ready) takes one. What a subscriber sends is a
    /// subscription if it begins with 1, and takes one back if it begins with 0; it goes in the form that the peer
    /// understands.
    #[inline]
    pub(crate) fn encode(&mut self, message: Message, out: &mut Batch) {
        debug_assert!(
            self.is_ready(),
            "no message may leave before the handshake is done"
        );
        let State::Traffic(traffic) = &self.state else {
            return;
        };
        let as_command = traffic.version >= (3, 1) && self.config.socket_type.subscribes();
        // Our READY, above all, goes before the first message.
        self.poll_transmit(out);
        match message.as_single() {
            Some([1, topic @ ..]) if as_command => out.put_command(&Command::Subscribe(topic)),
            Some([0, topic @ ..]) if as_command => out.put_command(&Command::Cancel(topic)),
            _ => out.put_message(message),
        }
    }

    /// Prepares the batch for messages that need no encoding, for they lie packed in the form of frames; returns false
    /// if this connection must encode each message.
    pub(crate) fn passes_packed(&mut self, out: &mut Batch) -> bool {
        if !self.is_ready() || self.config.socket_type.subscribes() {
            return false;
        }
        self.poll_transmit(out);
        true
    }

    /// Returns how much memory the message takes that has come in part, if we talk already.
    pub(crate) fn held(&self) -> u64 {
        match &self.state {
            State::Traffic(traffic) => traffic.decoder.held(),
            _ => 0,
        }
    }

    /// How many commands were ignored: unknown ones, and subscriptions to a socket that does not publish.
    pub(crate) fn ignored_commands(&self) -> u64 {
        self.ignored_commands
    }

    /// Returns `value` unless the connection is closed.
    fn open<T>(&self, value: T) -> Result<T, DisconnectReason> {
        match &self.state {
            State::Closed(reason) => Err(reason.clone()),
            _ => Ok(value),
        }
    }

    /// Closes the connection if `result` says so. The peer is told nothing.
    fn settle(&mut self, result: Result<(), DisconnectReason>) -> Result<(), DisconnectReason> {
        if let Err(reason) = &result
            && !matches!(self.state, State::Closed(_))
        {
            self.outbox.silence();
            self.close(reason.clone());
        }
        result
    }

    fn close(&mut self, reason: DisconnectReason) {
        self.deadline = None;
        self.state = State::Closed(reason);
    }

    fn check_handshake_time(&self, now: Instant) -> Result<(), DisconnectReason> {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            return Err(DisconnectReason::TimedOut {
                what: "handshake",
                limit: self.config.handshake_timeout,
            });
        }
        Ok(())
    }

    /// Lets the handshake have some input, in which it gets at most one state further.
    fn handshake(&mut self, input: &mut &[u8], now: Instant) -> Result<(), DisconnectReason> {
        let in_time = self.check_handshake_time(now);
        self.open(())?;
        self.settle(in_time)?;
        // Until the state says otherwise, the connection is closed: no path forgets to do it.
        let state = std::mem::replace(&mut self.state, State::Closed(DisconnectReason::Local));
        match self.transition(state, input, now) {
            Ok(next) => {
                self.state = next;
                Ok(())
            }
            Err(Denied { reason, error }) => {
                match error {
                    Some(text) => self.outbox.refuse(text),
                    None => self.outbox.silence(),
                }
                self.close(reason.clone());
                Err(reason)
            }
        }
    }

    fn transition(&mut self, state: State, input: &mut &[u8], now: Instant) -> Result<State, Denied> {
        Ok(match state {
            State::AwaitGreeting(state) => match state.read(input, &self.config)? {
                Progress::Stay(state) => State::AwaitGreeting(state),
                Progress::Next(state) => {
                    self.outbox.hello();
                    State::AwaitReady(state)
                }
            },
            State::AwaitReady(state) => match state.read(input, &self.config)? {
                Progress::Stay(state) => State::AwaitReady(state),
                Progress::Next(admitted) => State::Traffic(self.admit(admitted, now)),
            },
            state @ (State::Traffic(_) | State::Closed(_)) => state,
        })
    }

    fn admit(&mut self, admitted: Admitted, now: Instant) -> Traffic {
        let peer = admitted.into_peer();
        let version = peer.version;
        let heartbeat = Heartbeat::new(&self.config, version, now);
        self.deadline = heartbeat.deadline(&self.config, false);
        self.events.push_back(Event::Ready(Arc::new(peer)));
        Traffic {
            decoder: Decoder::default(),
            heartbeat,
            version,
        }
    }

    fn traffic(
        &mut self,
        input: &mut &[u8],
        room: &mut Room,
        inbox: &mut Queue,
        now: Instant,
    ) -> Result<(), DisconnectReason> {
        let State::Traffic(traffic) = &mut self.state else {
            return Ok(());
        };
        let publishing = self.config.socket_type.publishes();
        loop {
            traffic.heartbeat.set_deaf(!room.is_open(), now);
            if !input.is_empty() {
                traffic.heartbeat.heard(now);
            }
            match traffic.decoder.run(input, &self.config.rules, room, inbox)? {
                Step::Hungry | Step::Full => break,
                Step::OldSubscription(message) => take_old_subscription(message, room, inbox)?,
                Step::Command(body) => match Command::parse(&body)? {
                    Command::Ready(_) => {
                        return Err(DisconnectReason::Malformed("READY after the handshake"));
                    }
                    Command::Error(text) => {
                        return Err(DisconnectReason::Refused(limits::printable(text)));
                    }
                    Command::Ping { ttl, context } => {
                        traffic.heartbeat.pinged(ttl, now);
                        self.outbox.pong(context);
                    }
                    Command::Pong { .. } => {}
                    Command::Subscribe(topic) if publishing => {
                        take_subscription(true, topic, room, inbox);
                    }
                    Command::Cancel(topic) if publishing => {
                        take_subscription(false, topic, room, inbox);
                    }
                    Command::Subscribe(_) | Command::Cancel(_) | Command::Unknown { .. } => {
                        self.ignored_commands = self.ignored_commands.saturating_add(1);
                    }
                },
            }
        }
        traffic.heartbeat.set_deaf(!room.is_open(), now);
        let mid_message = traffic.decoder.is_mid_message();
        // Most of the time some deadline is already early enough, so that no timer moves.
        let wanted = traffic.heartbeat.deadline(&self.config, mid_message);
        self.deadline = [self.deadline, wanted].into_iter().flatten().min();
        Ok(())
    }
}

/// Passes a subscription on in its old form, which is how sockets see all of them.
fn take_subscription(subscribe: bool, topic: &[u8], room: &mut Room, inbox: &mut Queue) {
    let mut body = Vec::with_capacity(topic.len().saturating_add(1));
    body.push(u8::from(subscribe));
    body.extend_from_slice(topic);
    room.take(body.len().saturating_add(FRAME_OVERHEAD));
    inbox.push(Message::from(body));
}

fn take_old_subscription(
    message: Message,
    room: &mut Room,
    inbox: &mut Queue,
) -> Result<(), DisconnectReason> {
    let topic_len = message.byte_len().saturating_sub(1);
    if topic_len > limits::COMMAND {
        return Err(limits::over(
            "topic size",
            limits::wide(topic_len),
            limits::COMMAND,
        ));
    }
    room.take(message.weight());
    inbox.push(message);
    Ok(())
}
