//! The decoder: cuts a stream of bytes into whole messages and commands, and keeps the unfinished one.

use std::borrow::Cow;

use super::body::Body;
use super::frame::{Header, MAX_HEADER};
use super::limits::{self, Room, wide};
use super::mechanism::Opened;
use crate::queue::{self, Queue};
use crate::{DisconnectReason, Frame, Message};

/// What the decoder lets through; the same for all connections of a socket, but for the handshake.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// The most that a message may cost, or what is wrong with a message that comes while none is allowed.
    pub(super) max_message_size: Result<usize, &'static str>,
    pub(super) max_message_parts: usize,
    pub(super) max_command: usize,
    pub(super) first_reservation: usize,
    /// Whether each frame carries another one, through a seal: then it has no flags, and the decoder has it opened.
    pub(super) sealed: bool,
    /// Whether a message of one part that begins with 0 or 1 is a subscription in its old form.
    pub(super) old_subscriptions: bool,
}

impl Rules {
    /// The rules before READY: one command, and not a large one.
    pub(super) fn handshake(max_command: usize) -> Self {
        Self {
            max_message_size: Err("a message before READY"),
            max_message_parts: 0,
            max_command,
            first_reservation: limits::HANDSHAKE_RESERVATION,
            sealed: false,
            old_subscriptions: false,
        }
    }

    /// The rules for what carries the frames that come through a seal; those inside obey the rules proper.
    pub(super) fn sealed(&self) -> Self {
        let longest = self.max_message_size.unwrap_or(0).max(self.max_command);
        Self {
            max_message_size: Err("a message outside of its seal"),
            max_command: longest.saturating_add(limits::SEAL),
            sealed: true,
            ..*self
        }
    }

    /// Tells whether a frame is part of a message, or carries one.
    fn may_be_large(&self, frame: &Assembly) -> bool {
        !frame.command || self.sealed
    }

    /// Tells whether a frame that can be packed breaks no rule, so that the fast path need not look.
    fn admit_any_short_frame(&self) -> bool {
        self.max_message_size
            .is_ok_and(|size| size >= queue::PACKED_CAPACITY)
            && self.max_message_parts > 0
            && !self.old_subscriptions
    }
}

/// Why the decoder stopped.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// All input is used up.
    Hungry,
    /// The reader has no room left.
    Full,
    /// The body of a command.
    Command(Cow<'a, [u8]>),
    /// A subscription that came in the form of ZMTP 3.0: a message of 1 or 0 and the topic.
    OldSubscription(Message),
}

/// A frame of which the header has come, and some of the body.
#[derive(Debug)]
struct Assembly {
    more: bool,
    command: bool,
    total: usize,
    body: Body,
}

impl Assembly {
    fn missing(&self) -> usize {
        self.total.saturating_sub(self.body.len())
    }

    /// Makes space for some of the `incoming` bytes that are at hand, and never for much more than have arrived.
    fn make_space(&mut self, incoming: usize, first_reservation: usize) {
        let spare = self.body.capacity().saturating_sub(self.body.len());
        let wanted = incoming.min(self.missing());
        if spare < wanted {
            let arrived = self.body.len().saturating_add(wanted);
            let earned = arrived.saturating_mul(limits::GROWTH);
            let capacity = earned.max(first_reservation).min(self.total);
            self.body.reserve(capacity);
        }
    }

    fn append(&mut self, input: &mut &[u8], first_reservation: usize) {
        self.make_space(input.len(), first_reservation);
        let (now, later) = input.split_at_checked(self.missing()).unwrap_or((input, &[]));
        self.body.append(now);
        *input = later;
    }
}

/// The decoder of one connection.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// The beginning of a header that was cut.
    header: [u8; MAX_HEADER],
    header_len: u8,
    /// The size of the largest body that came in full, up to a limit: the peer has shown that it means its lengths.
    trusted: u32,
    /// Whether the latest body was a large one.
    streaming: bool,
    frame: Option<Assembly>,
    /// The parts of the current message before the current frame.
    parts: Vec<Frame>,
    /// What these parts cost; see [`limits::part_cost`].
    cost: u64,
}

impl Decoder {
    /// Tells whether a message or a frame has begun and not ended.
    pub(super) fn is_mid_message(&self) -> bool {
        self.header_len > 0 || self.frame.is_some() || !self.parts.is_empty()
    }

    /// How many bytes are set aside for the body of the current frame.
    #[cfg(test)]
    pub(super) fn reserved(&self) -> usize {
        self.frame.as_ref().map_or(0, |frame| frame.body.capacity())
    }

    /// How much memory the unfinished message takes: of the current frame, what is set aside and not what is announced.
    pub(super) fn held(&self) -> u64 {
        let Some(frame) = &self.frame else {
            return self.cost;
        };
        let announced = if frame.command { 0 } else { frame.total };
        let before = self.cost.saturating_sub(wide(announced));
        before.saturating_add(wide(frame.body.capacity()))
    }

    /// Takes bytes from the front of `input` until there is a reason to stop; messages go to `inbox` on the way.
    pub(super) fn run<'a>(
        &mut self,
        input: &mut &'a [u8],
        rules: &Rules,
        room: &mut Room,
        inbox: &mut Queue,
    ) -> Result<Step<'a>, DisconnectReason> {
        loop {
            if rules.admit_any_short_frame() && !self.is_mid_message() {
                self.streaming &= !take_short_messages(input, room, inbox);
            }
            if !room.is_open() {
                return Ok(Step::Full);
            }
            let frame = match self.frame.take() {
                Some(frame) => frame,
                None => match self.read_header(input)? {
                    Some(header) => self.begin(header, rules)?,
                    None => return Ok(Step::Hungry),
                },
            };
            let step = self.read_body(frame, input, rules, room, inbox);
            if let Some(step) = step {
                return Ok(step);
            }
        }
    }

    /// Reads a header that may have begun in an earlier piece of input.
    fn read_header(&mut self, input: &mut &[u8]) -> Result<Option<Header>, DisconnectReason> {
        if self.header_len == 0
            && let Some((header, rest)) = Header::parse(input)?
        {
            *input = rest;
            return Ok(Some(header));
        }
        while let Some((&byte, rest)) = input.split_first() {
            *input = rest;
            if let Some(slot) = self.header.get_mut(usize::from(self.header_len)) {
                *slot = byte;
            }
            self.header_len = self.header_len.saturating_add(1);
            let seen = self
                .header
                .get(..usize::from(self.header_len))
                .unwrap_or_default();
            if let Some((header, _)) = Header::parse(seen)? {
                self.header_len = 0;
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    /// Checks a header against the limits, before a byte is reserved for its body.
    fn begin(&mut self, header: Header, rules: &Rules) -> Result<Assembly, DisconnectReason> {
        let len = header.len;
        if rules.sealed && (header.command || header.more) {
            return Err(DisconnectReason::Malformed("a frame outside of its seal"));
        }
        // A frame that carries another one stands alone, as a command does.
        let command = header.command || rules.sealed;
        if command {
            if len == 0 {
                let what = if rules.sealed {
                    "nothing in a seal"
                } else {
                    "an empty command"
                };
                return Err(DisconnectReason::Malformed(what));
            }
            if len > wide(rules.max_command) {
                return Err(limits::over("command size", len, rules.max_command));
            }
        } else {
            let max_size = rules.max_message_size.map_err(DisconnectReason::Malformed)?;
            let count = self.parts.len().saturating_add(1);
            if count > rules.max_message_parts {
                return Err(limits::over(
                    "number of message parts",
                    wide(count),
                    rules.max_message_parts,
                ));
            }
            // No allocation can be larger than `isize::MAX`, whatever the option says.
            let max_size = max_size.min(isize::MAX.unsigned_abs());
            let cost = self.cost.saturating_add(limits::part_cost(self.parts.len(), len));
            if cost > wide(max_size) {
                return Err(limits::over("message size", cost, max_size));
            }
            self.cost = cost;
        }
        Ok(Assembly {
            more: header.more,
            command,
            total: usize::try_from(len).unwrap_or(usize::MAX),
            body: Body::default(),
        })
    }

    /// Reads as much of the body as there is; returns why to stop, if the frame gives a reason.
    fn read_body<'a>(
        &mut self,
        mut frame: Assembly,
        input: &mut &'a [u8],
        rules: &Rules,
        room: &mut Room,
        inbox: &mut Queue,
    ) -> Option<Step<'a>> {
        if frame.body.len() == 0
            && let Some((body, rest)) = input.split_at_checked(frame.total)
        {
            *input = rest;
            if frame.command {
                return Some(Step::Command(Cow::Borrowed(body)));
            }
            self.trust(frame.total);
            return self.finish(Frame::copy_from_slice(body), frame.more, rules, room, inbox);
        }
        frame.append(input, self.reservation(rules));
        if frame.missing() > 0 {
            self.frame = Some(frame);
            return Some(Step::Hungry);
        }
        self.complete(frame, rules, room, inbox)
    }

    /// Takes a frame that came inside of another one; returns why to stop, if the frame gives a reason.
    pub(super) fn take_opened(
        &mut self,
        frame: Opened,
        rules: &Rules,
        room: &mut Room,
        inbox: &mut Queue,
    ) -> Result<Option<Step<'static>>, DisconnectReason> {
        let Opened { more, command, body } = frame;
        let len = wide(body.len());
        self.begin(Header { more, command, len }, rules)?;
        if command {
            return Ok(Some(Step::Command(Cow::Owned(body.as_slice().to_vec()))));
        }
        Ok(self.finish(body, more, rules, room, inbox))
    }

    /// Takes a frame that has a buffer of its own, and is whole; returns why to stop, if the frame gives a reason.
    fn complete(
        &mut self,
        frame: Assembly,
        rules: &Rules,
        room: &mut Room,
        inbox: &mut Queue,
    ) -> Option<Step<'static>> {
        if rules.may_be_large(&frame) {
            self.trust(frame.total);
        }
        if frame.command {
            return Some(Step::Command(Cow::Owned(frame.body.finish())));
        }
        let body = Frame::from_buffer(frame.body.finish());
        self.finish(body, frame.more, rules, room, inbox)
    }

    fn reservation(&self, rules: &Rules) -> usize {
        rules
            .first_reservation
            .max(usize::try_from(self.trusted).unwrap_or(0))
    }

    fn trust(&mut self, delivered: usize) {
        let delivered = u32::try_from(delivered.min(limits::TRUSTED_RESERVATION)).unwrap_or(0);
        self.trusted = self.trusted.max(delivered);
        self.streaming = usize::try_from(delivered).is_ok_and(|delivered| delivered >= limits::STREAMED);
    }

    /// Adds a finished part to its message, and delivers the message after the last one.
    fn finish(
        &mut self,
        part: Frame,
        more: bool,
        rules: &Rules,
        room: &mut Room,
        inbox: &mut Queue,
    ) -> Option<Step<'static>> {
        if more {
            if self.parts.is_empty() {
                // Most multipart messages have two or three parts; a vector's own first step is four.
                self.parts.reserve_exact(2);
            }
            self.parts.push(part);
            return None;
        }
        self.cost = 0;
        let message = if self.parts.is_empty() {
            Message::from(part)
        } else {
            self.parts.push(part);
            Message::from(std::mem::take(&mut self.parts))
        };
        if rules.old_subscriptions && matches!(message.as_single(), Some([0 | 1, ..])) {
            return Some(Step::OldSubscription(message));
        }
        room.take(message.weight());
        inbox.push(message);
        None
    }

    /// Where what comes next is best read to: so many bytes of a large body straight into its place, if one is under way,
    /// and how many bytes behind them. These have to be copied, which matters if they are of the next large body.
    pub(super) fn intake(&mut self, most: usize, rules: &Rules) -> (&mut [u8], usize) {
        let reservation = self.reservation(rules);
        let at_header = self.streaming && !self.is_mid_message();
        let appetite = |header| if header { limits::HEADER_READ } else { usize::MAX };
        let direct = |frame: &&mut Assembly| frame.total >= limits::DIRECT && rules.may_be_large(frame);
        let Some(frame) = self.frame.as_mut().filter(direct) else {
            return (&mut [], appetite(at_header));
        };
        let missing = frame.missing();
        let spare = frame.body.capacity().saturating_sub(frame.body.len());
        if spare < missing.min(limits::DIRECT) {
            // A little early, so that the tail of a buffer does not cost a system call of its own.
            let earned = frame.body.len().saturating_mul(limits::GROWTH);
            frame.body.reserve(earned.max(reservation).min(frame.total));
        }
        let behind = appetite(frame.total >= limits::STREAMED);
        (frame.body.space(most.min(missing)), behind)
    }

    /// Takes note of bytes that were read into a body.
    pub(super) fn direct_done(
        &mut self,
        count: usize,
        rules: &Rules,
        room: &mut Room,
        inbox: &mut Queue,
    ) -> Option<Step<'static>> {
        let mut frame = self.frame.take()?;
        frame.body.advance(count);
        debug_assert!(frame.body.len() <= frame.total, "more came than is missing");
        if frame.missing() > 0 {
            self.frame = Some(frame);
            return None;
        }
        self.complete(frame, rules, room, inbox)
    }
}

/// The fast path: takes messages of one short frame in one piece, as long as they are whole and there is room.
///
/// Returns whether there was any.
fn take_short_messages(input: &mut &[u8], room: &mut Room, inbox: &mut Queue) -> bool {
    let bytes = *input;
    let (run, load) = queue::measure(bytes, |load| {
        load.messages < wide(room.messages) && load.weight() < wide(room.bytes)
    });
    if run.is_empty() {
        return false;
    }
    inbox.push_run(run, load);
    room.take_all(load);
    *input = bytes.get(run.len()..).unwrap_or_default();
    true
}
