//! The connection: composes greeting, handshake, decoder, encoder and heartbeat into the protocol of one peer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::command::{self, Command};
use super::decoder::{Decoder, Rules, Step};
use super::encoder::Batch;
use super::handshake::{Admitted, AwaitGreeting, Denied, Exchange, Moved, Place, Progress, Undecided};
use super::heartbeat::{Heartbeat, MAX_TTL_DECISECONDS};
use super::limits::{self, Room};
use super::mechanism::Seal;
#[cfg(feature = "curve")]
use super::mechanism::curve::{Entropy, Gaps};
use super::outbox::Outbox;
use crate::message::FRAME_OVERHEAD;
use crate::options::LinkOptions;
use crate::queue::Queue;
use crate::security::{Inquiry, Mechanism, Verdict};
use crate::{DisconnectReason, Message, PeerInfo, RoutingId, SocketType};

/// What all connections of a socket have in common.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) socket_type: SocketType,
    pub(crate) routing_id: RoutingId,
    /// The properties that our READY carries beside those that ZMTP defines.
    pub(crate) properties: Vec<(String, Bytes)>,
    pub(super) mechanism: Mechanism,
    #[cfg(feature = "curve")]
    pub(super) gaps: Gaps,
    #[cfg(feature = "curve")]
    pub(super) entropy: Entropy,
    pub(super) handshake_rules: Rules,
    rules: Rules,
    /// The rules for what carries sealed frames.
    sealed_rules: Rules,
    pub(crate) handshake_timeout: Duration,
    pub(crate) stall_timeout: Duration,
    pub(crate) heartbeat_interval: Option<Duration>,
    pub(crate) heartbeat_timeout: Duration,
    pub(crate) heartbeat_ttl: Option<Duration>,
}

impl Config {
    pub(crate) fn new(socket_type: SocketType, options: &LinkOptions) -> Self {
        let rules = Rules {
            max_message_size: Ok(options.max_message_size),
            max_message_parts: options.max_message_parts,
            max_command: options.max_command_size,
            first_reservation: limits::FIRST_RESERVATION,
            sealed: false,
            old_subscriptions: socket_type.publishes(),
        };
        Self {
            socket_type,
            routing_id: options.routing_id.clone(),
            properties: options.properties.clone(),
            mechanism: options.mechanism.clone(),
            #[cfg(feature = "curve")]
            gaps: Gaps::allowed(options.nonce_gaps),
            #[cfg(feature = "curve")]
            entropy: crate::keys::system_entropy,
            handshake_rules: Rules::handshake(options.max_handshake_frame),
            sealed_rules: rules.sealed(),
            rules,
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
    /// The application is to decide whether to let the peer in, through
    /// [`handle_verdict`](Connection::handle_verdict). Until then nothing that the peer sends is looked at.
    Asked(Box<Inquiry>),
    /// The handshake is done.
    Ready(Arc<PeerInfo>),
}

/// One peer's protocol.
///
/// ```text
///    new()
///      │
///      ▼            64 good bytes          the mechanism is content
/// AwaitGreeting ───────────────────► Exchange ────────────────────────► Traffic
///      │                             │ ▲ ask │                            │
///      │                       allow │ │     ▼   deny                     │
///      │                             └─┴─ Undecided ───► Denied           │
///      │                                 │                 │              │
///      │ wrong byte, too late            │ wrong command,  │ the pause    │ wrong frame, ERROR,
///      │                                 │ ERROR, too late │ is over      │ over a limit, silence
///      └─────────────────────────────────┴────────┬────────┴──────────────┘
///                                                 ▼
///                                               Closed
/// ```
#[derive(Debug)]
pub(crate) struct Connection {
    config: Arc<Config>,
    state: State,
    outbox: Outbox,
    /// There is one at a time: to be asked for a verdict comes before its consequences.
    event: Option<Event>,
    /// When to look at the time next; it may be earlier than needed, never later.
    deadline: Option<Instant>,
    ignored_commands: u64,
}

#[derive(Debug)]
enum State {
    AwaitGreeting(AwaitGreeting),
    Exchange(Exchange),
    /// With the time by which the handshake has to be done.
    Undecided(Undecided, Option<Instant>),
    /// The application will not have the peer, which hears of it a little later.
    Denied(Denied),
    Traffic(Traffic),
    Closed(DisconnectReason),
}

/// What is left of a connection after the handshake.
#[derive(Debug)]
struct Traffic {
    decoder: Decoder,
    heartbeat: Heartbeat,
    /// Whether what is sent is subscriptions, for a peer that knows the commands for them.
    as_commands: bool,
    /// Whether messages leave as the frames that they are: none becomes a command, and none is sealed.
    bare: bool,
    seal: Option<Box<dyn Seal>>,
}

impl Connection {
    /// Begins with the handshake, which has to end in time.
    pub(crate) fn new(config: Arc<Config>, now: Instant) -> Self {
        let deadline = now.checked_add(config.handshake_timeout);
        Self {
            config,
            state: State::AwaitGreeting(AwaitGreeting::new()),
            outbox: Outbox::new(),
            event: None,
            deadline,
            ignored_commands: 0,
        }
    }

    /// Takes bytes that were read from the transport, and appends the messages they complete to `inbox`.
    ///
    /// Returns how many bytes were used: all, unless `room` ran out, or the connection [waits](Self::is_deciding) for a
    /// verdict; then the rest is to be presented again, before what is read later. A subscription takes room as a message of its topic would. While there is no room, the
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
            if rest.is_empty() || self.is_deciding() {
                return self.open(input.len().saturating_sub(rest.len()));
            }
            self.handshake(&mut rest, now)?;
        }
        let result = self.traffic(&mut rest, room, inbox, now);
        self.settle(result)?;
        Ok(input.len().saturating_sub(rest.len()))
    }

    /// Where what comes next is best read to: the place for so many bytes of a large body, if one is under way, and how many
    /// bytes behind them.
    ///
    /// Tell [`handle_direct`](Self::handle_direct) how many came into the body. What comes behind them is input as ever.
    pub(crate) fn intake(&mut self, most: usize) -> (&mut [u8], usize) {
        match &mut self.state {
            State::Traffic(traffic) => {
                let rules = traffic.rules(&self.config);
                traffic.decoder.intake(most, rules)
            }
            _ => (&mut [], limits::HANDSHAKE_READ),
        }
    }

    /// Takes note of `n` bytes that were read into the body of [`intake`](Self::intake).
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
            let rules = traffic.rules(&self.config);
            let step = traffic.decoder.direct_done(n, rules, room, inbox);
            traffic.heartbeat.set_deaf(!room.is_open(), now);
            if let Some(step) = step {
                let result = self.take_step(step, room, inbox, now).map(drop);
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
            State::AwaitGreeting(_) | State::Exchange(_) => self.check_handshake_time(now),
            State::Undecided(..) | State::Denied(_) => return self.end_wait(now),
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
            let seal = match &mut self.state {
                State::Traffic(traffic) => traffic.seal.as_deref_mut(),
                _ => None,
            };
            self.outbox.emit(&self.config, seal, out);
        }
    }

    /// Returns what happened, in order.
    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.event.take()
    }

    /// Takes the answer to [`Event::Asked`]. It is of no account if the connection has ended meanwhile, or waits for none.
    ///
    /// # Errors
    ///
    /// The connection is closed.
    pub(crate) fn handle_verdict(&mut self, verdict: Verdict, now: Instant) -> Result<(), DisconnectReason> {
        let state = std::mem::replace(&mut self.state, State::Closed(DisconnectReason::Local));
        let State::Undecided(undecided, handshake_end) = state else {
            self.state = state;
            return self.open(());
        };
        self.deadline = handshake_end;
        let moved = undecided.decide(verdict, &self.config);
        match moved.map(|moved| self.go(moved, now)) {
            Ok(state) => self.state = state,
            Err(denied) => {
                self.state = State::Denied(denied);
                self.deadline = now.checked_add(limits::DENIAL_PAUSE);
            }
        }
        Ok(())
    }

    /// Tells whether input is not looked at for now, because the application decides or has just decided.
    pub(crate) fn is_deciding(&self) -> bool {
        matches!(self.state, State::Undecided(..) | State::Denied(_))
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
        // Our READY, above all, goes before the first message.
        self.poll_transmit(out);
        match &mut self.state {
            State::Traffic(traffic) if traffic.bare => out.put_message(message),
            State::Traffic(traffic) => {
                encode_otherwise(message, traffic.as_commands, traffic.seal.as_deref_mut(), out);
            }
            _ => {}
        }
    }

    /// Prepares the batch for messages that need no encoding, for they lie packed in the form of frames; returns false
    /// if this connection must encode each message.
    pub(crate) fn passes_packed(&mut self, out: &mut Batch) -> bool {
        if !matches!(&self.state, State::Traffic(traffic) if traffic.bare) {
            return false;
        }
        self.poll_transmit(out);
        true
    }

    /// Seals a frame of any kind, as no honest application could have it.
    #[cfg(all(feature = "curve", any(test, fuzzing)))]
    pub(super) fn seal_frame(&mut self, flags: u8, body: &[u8], out: &mut Vec<u8>) {
        if let State::Traffic(Traffic { seal: Some(seal), .. }) = &mut self.state {
            seal.seal(flags, body, out);
        }
    }

    /// Has all frames go through a seal from now on.
    #[cfg(test)]
    pub(super) fn set_seal(&mut self, seal: Box<dyn Seal>) {
        if let State::Traffic(traffic) = &mut self.state {
            traffic.seal = Some(seal);
            traffic.bare = false;
        }
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
            Err(denied) => self.deny(denied),
        }
    }

    /// Closes the connection, and tells the peer if it is to know.
    fn deny(&mut self, denied: Denied) -> Result<(), DisconnectReason> {
        let Denied { reason, error } = denied;
        match error {
            Some(text) => self.outbox.refuse(&text),
            None => self.outbox.silence(),
        }
        self.close(reason.clone());
        Err(reason)
    }

    /// Looks at the time while the application decides, or a peer waits to hear that it was denied.
    fn end_wait(&mut self, now: Instant) -> Result<(), DisconnectReason> {
        if self.deadline.is_none_or(|deadline| deadline > now) {
            return Ok(());
        }
        match std::mem::replace(&mut self.state, State::Closed(DisconnectReason::Local)) {
            State::Undecided(undecided, _) => self.deny(undecided.give_up()),
            State::Denied(denied) => self.deny(denied),
            state => {
                self.state = state;
                Ok(())
            }
        }
    }

    fn transition(&mut self, state: State, input: &mut &[u8], now: Instant) -> Result<State, Denied> {
        Ok(match state {
            State::AwaitGreeting(state) => match state.read(input, &self.config)? {
                Progress::Stay(state) => State::AwaitGreeting(state),
                Progress::Next(moved) => self.go(moved, now),
            },
            State::Exchange(state) => match state.read(input, &self.config)? {
                Progress::Stay(state) => State::Exchange(state),
                Progress::Next(moved) => self.go(moved, now),
            },
            state => state,
        })
    }

    /// Goes where the mechanism has led.
    fn go(&mut self, moved: Moved, now: Instant) -> State {
        if !moved.say.is_empty() {
            self.outbox.say(&moved.say);
        }
        match moved.to {
            Place::Exchange(state) => State::Exchange(state),
            Place::Undecided(state, inquiry) => {
                self.event = Some(Event::Asked(inquiry));
                let handshake_end = self.deadline;
                let decision_end = now.checked_add(limits::DECISION_TIMEOUT);
                self.deadline = [handshake_end, decision_end].into_iter().flatten().min();
                State::Undecided(state, handshake_end)
            }
            Place::Admitted(admitted) => State::Traffic(self.admit(admitted, now)),
        }
    }

    fn admit(&mut self, admitted: Admitted, now: Instant) -> Traffic {
        let (peer, seal) = admitted.into_parts();
        let as_commands = self.config.socket_type.subscribes() && peer.version >= (3, 1);
        let heartbeat = Heartbeat::new(&self.config, peer.version, now);
        self.deadline = heartbeat.deadline(&self.config, false);
        self.event = Some(Event::Ready(Arc::new(peer)));
        Traffic {
            decoder: Decoder::default(),
            heartbeat,
            as_commands,
            bare: seal.is_none() && !as_commands,
            seal,
        }
    }

    fn traffic(
        &mut self,
        input: &mut &[u8],
        room: &mut Room,
        inbox: &mut Queue,
        now: Instant,
    ) -> Result<(), DisconnectReason> {
        while let State::Traffic(traffic) = &mut self.state {
            traffic.heartbeat.set_deaf(!room.is_open(), now);
            if !input.is_empty() {
                traffic.heartbeat.heard(now);
            }
            let rules = traffic.rules(&self.config);
            let step = traffic.decoder.run(input, rules, room, inbox)?;
            if !self.take_step(step, room, inbox, now)? {
                break;
            }
        }
        let State::Traffic(traffic) = &mut self.state else {
            return Ok(());
        };
        traffic.heartbeat.set_deaf(!room.is_open(), now);
        let mid_message = traffic.decoder.is_mid_message();
        // Most of the time some deadline is already early enough, so that no timer moves.
        let wanted = traffic.heartbeat.deadline(&self.config, mid_message);
        self.deadline = [self.deadline, wanted].into_iter().flatten().min();
        Ok(())
    }

    /// Does what the decoder has stopped for; returns whether it may go on.
    fn take_step(
        &mut self,
        step: Step<'_>,
        room: &mut Room,
        inbox: &mut Queue,
        now: Instant,
    ) -> Result<bool, DisconnectReason> {
        let State::Traffic(traffic) = &mut self.state else {
            return Ok(false);
        };
        let step = match (step, &mut traffic.seal) {
            (Step::Command(body), Some(seal)) => {
                let opened = seal.open(body)?;
                let rules = &self.config.rules;
                traffic.decoder.take_opened(opened, rules, room, inbox)?
            }
            (step, _) => Some(step),
        };
        match step {
            None => {}
            Some(Step::Hungry | Step::Full) => return Ok(false),
            Some(Step::OldSubscription(message)) => {
                take_old_subscription(message, self.config.rules.max_command, room, inbox)?;
            }
            Some(Step::Command(body)) => {
                let command = Command::parse(&body)?;
                if let Command::Ping { ttl, context } = command {
                    traffic.heartbeat.pinged(ttl, now);
                    self.outbox.pong(context);
                } else if !take_command(command, self.config.socket_type, room, inbox)? {
                    self.ignored_commands = self.ignored_commands.saturating_add(1);
                }
            }
        }
        Ok(true)
    }
}

impl Traffic {
    /// The rules for the frames on the wire.
    fn rules<'a>(&self, config: &'a Config) -> &'a Rules {
        match self.seal {
            Some(_) => &config.sealed_rules,
            None => &config.rules,
        }
    }
}

/// Appends a message that does not leave as the frames that it is.
fn encode_otherwise(
    message: Message,
    as_commands: bool,
    mut seal: Option<&mut (dyn Seal + 'static)>,
    out: &mut Batch,
) {
    match (message.as_single(), &mut seal) {
        (Some([1, topic @ ..]), _) if as_commands => out.put_command(&Command::Subscribe(topic), seal),
        (Some([0, topic @ ..]), _) if as_commands => out.put_command(&Command::Cancel(topic), seal),
        (_, Some(seal)) => out.put_sealed(message, *seal),
        (_, None) => out.put_message(message),
    }
}

/// Does what a command other than PING wants; returns whether it means anything to a socket of this type.
fn take_command(
    command: Command<'_>,
    socket_type: SocketType,
    room: &mut Room,
    inbox: &mut Queue,
) -> Result<bool, DisconnectReason> {
    let (subscribe, topic) = match command {
        Command::Ready(_) => return Err(DisconnectReason::Malformed("READY after the handshake")),
        Command::Error(text) => return Err(DisconnectReason::Refused(limits::printable(text))),
        Command::Pong { .. } => return Ok(true),
        Command::Unknown { name, .. } if command::opens(name) => {
            return Err(DisconnectReason::Malformed("a command of the handshake after it"));
        }
        Command::Subscribe(topic) => (true, topic),
        Command::Cancel(topic) => (false, topic),
        Command::Ping { .. } | Command::Unknown { .. } => return Ok(false),
    };
    if socket_type.publishes() {
        take_subscription(subscribe, topic, room, inbox);
    }
    Ok(socket_type.publishes())
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
    limit: usize,
    room: &mut Room,
    inbox: &mut Queue,
) -> Result<(), DisconnectReason> {
    let topic_len = message.byte_len().saturating_sub(1);
    if topic_len > limit {
        return Err(limits::over("topic size", limits::wide(topic_len), limit));
    }
    room.take(message.weight());
    inbox.push(message);
    Ok(())
}
