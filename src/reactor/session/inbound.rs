//! The reading side of a session: stream → protocol → pipe, within a budget.

use std::io;
use std::time::{Duration, Instant};

use super::super::event_loop::{READ_MOST, Scratch};
use super::{Aftermath, Session, State};
use crate::error::DisconnectReason;
use crate::zmtp::Room;

/// Reads from one connection in one turn whose bytes are thrown away.
const DRAIN_READS: usize = 4;

/// The size of an unfinished message for which no connection is ended, however short memory is: what one connection may
/// hold unearned in any case.
const FREE_OF_QUESTION: u64 = 64 * 1024;

/// How long what has come is left with the system at most. What the peer says beside messages, such as a PING, should not
/// wait for an application that takes its time, and neither should messages for which there is room.
const LEFT_AT_MOST: Duration = Duration::from_millis(500);

/// Whether what has come is left with the system, while the application has something left from this peer.
#[derive(Debug, Default)]
pub(super) enum Left {
    #[default]
    Nothing,
    /// It is, and the application has had something left ever since.
    Since(Instant),
    /// It was for long enough, and is not until the application has nothing left.
    TooLong,
}

impl Left {
    /// A timer went off.
    pub(super) fn look_at_time(&mut self, now: Instant) {
        if let Self::Since(since) = self
            && now.saturating_duration_since(*since) >= LEFT_AT_MOST
        {
            *self = Self::TooLong;
        }
    }
}

/// What a read brought.
enum Read {
    Bytes(usize),
    /// Bytes, the last of them that of a large message.
    LargeMessage(usize),
    Nothing,
}

impl Session {
    /// Reads and decodes as long as there are bytes, room in the pipe, and budget.
    pub(super) fn fill(
        &self,
        state: &mut State,
        scratch: &mut Scratch,
        after: &mut Aftermath,
    ) -> Result<(), DisconnectReason> {
        let leftover = std::mem::take(&mut state.leftover);
        if !leftover.is_empty() || state.stalled {
            let used = self.decode(state, &leftover, scratch, after)?;
            if state.stalled {
                state.leftover = leftover;
                state.leftover.drain(..used);
                return Ok(());
            }
        }
        let mut budget = scratch.share;
        while state.readable && !state.stalled {
            if budget == 0 {
                if self.leaves_for_later(state, scratch) {
                    break;
                }
                // The system has no reason to report again what it has reported: come back without being told.
                self.reactor.schedule(self.key);
                break;
            }
            match self.read(state, scratch, budget, after)? {
                Read::Nothing => break,
                Read::Bytes(count) => {
                    budget = budget.saturating_sub(count);
                    scratch.read += count;
                }
                Read::LargeMessage(count) => {
                    // While it is in the cache, its receiver should have it, and perhaps give back its buffer.
                    budget = 0;
                    scratch.read += count;
                }
            }
        }
        Ok(())
    }

    /// Leaves what has come with the system if the application has something left from this peer, which will schedule
    /// this session when it has not; tells whether that is so.
    pub(super) fn leaves_for_later(&self, state: &mut State, scratch: &Scratch) -> bool {
        if !scratch.lazy || !state.readable || state.hangup || state.stalled {
            return false;
        }
        if !state.link.as_mut().is_some_and(|link| link.end.hold_back()) {
            state.left = Left::Nothing;
            return false;
        }
        let since = match state.left {
            Left::Nothing => scratch.now,
            Left::Since(since) => since,
            Left::TooLong => return false,
        };
        state.left = Left::Since(since);
        self.reactor
            .arm(self.key, &mut state.armed, since.checked_add(LEFT_AT_MOST));
        true
    }

    /// Accounts for the message that has come in part. When the socket's connections hold more than they may, one that is
    /// in the middle of something large ends; the others are read only as far as they are received from.
    pub(super) fn check_allowance(&self, state: &mut State) -> Result<(), DisconnectReason> {
        let held = state.connection.held();
        state.unfinished.set(held);
        let allowance = &self.config.allowance;
        if held <= FREE_OF_QUESTION || !allowance.is_exceeded() {
            return Ok(());
        }
        Err(DisconnectReason::OverLimit {
            what: "memory for what was not received yet",
            got: allowance.held(),
            limit: allowance.limit(),
        })
    }

    /// Throws away what a peer sends that we have said goodbye to, until it ends its side.
    pub(super) fn drain_input(
        &self,
        state: &mut State,
        scratch: &mut Scratch,
    ) -> Result<(), DisconnectReason> {
        for _ in 0..DRAIN_READS {
            let Some(stream) = &mut state.stream else {
                return Ok(());
            };
            match check(stream.read(&mut scratch.bytes), &mut state.readable)? {
                Some(0) => return Err(DisconnectReason::PeerClosed),
                Some(_) => {}
                None => return Ok(()),
            }
        }
        self.reactor.schedule(self.key);
        Ok(())
    }

    /// Reads once, and decodes what came.
    fn read(
        &self,
        state: &mut State,
        scratch: &mut Scratch,
        budget: usize,
        after: &mut Aftermath,
    ) -> Result<Read, DisconnectReason> {
        if let Some(link) = &mut state.link
            && link.end.room().is_none()
        {
            self.stall(state, scratch)?;
            return Ok(Read::Nothing);
        }
        let mut bytes = std::mem::take(&mut scratch.bytes);
        let read = self.read_once(state, &mut bytes, scratch, budget, after);
        scratch.bytes = bytes;
        read
    }

    /// Reads the missing part of a large body into its place, and what is behind it into `bytes`.
    fn read_once(
        &self,
        state: &mut State,
        bytes: &mut [u8],
        scratch: &mut Scratch,
        budget: usize,
        after: &mut Aftermath,
    ) -> Result<Read, DisconnectReason> {
        let Some(stream) = &mut state.stream else {
            return Ok(Read::Nothing);
        };
        let (body, behind) = state.connection.intake(READ_MOST);
        let missing = body.len();
        let most = behind.min(bytes.len()).min(budget);
        let behind = bytes.get_mut(..most).unwrap_or_default();
        let Some(count) = check(stream.read_both(body, behind), &mut state.readable)? else {
            return Ok(Read::Nothing);
        };
        if count == 0 {
            return Err(DisconnectReason::PeerClosed);
        }
        // A short read has emptied the stream, unless its end is behind these bytes.
        state.readable = count == missing.saturating_add(most) || state.hangup;
        let mut complete = false;
        if missing > 0 {
            let (count, mut room) = (count.min(missing), Room::UNBOUNDED);
            let result = state
                .connection
                .handle_direct(count, &mut room, &mut scratch.inbox, scratch.now);
            complete = !scratch.inbox.is_empty();
            self.deliver(state, scratch, after);
            result?;
        }
        if let Some(count @ 1..) = count.checked_sub(missing) {
            self.take_in(state, bytes.get(..count).unwrap_or_default(), scratch, after)?;
        }
        Ok(if complete {
            Read::LargeMessage(count)
        } else {
            Read::Bytes(count)
        })
    }

    /// Decodes bytes and keeps those for which there is no room.
    fn take_in(
        &self,
        state: &mut State,
        bytes: &[u8],
        scratch: &mut Scratch,
        after: &mut Aftermath,
    ) -> Result<(), DisconnectReason> {
        let used = self.decode(state, bytes, scratch, after)?;
        state
            .leftover
            .extend_from_slice(bytes.get(used..).unwrap_or_default());
        Ok(())
    }

    /// Decodes bytes into the pipe; returns how many were used. All of them, unless the session is now stalled.
    fn decode(
        &self,
        state: &mut State,
        bytes: &[u8],
        scratch: &mut Scratch,
        after: &mut Aftermath,
    ) -> Result<usize, DisconnectReason> {
        let mut used = 0;
        loop {
            // Before the handshake is done there is no pipe, and no room for messages.
            let mut room = Room::NONE;
            state.stalled = false;
            if let Some(link) = &mut state.link {
                let Some((messages, bytes)) = link.end.room() else {
                    self.stall(state, scratch)?;
                    return Ok(used);
                };
                let clamp = |limit| usize::try_from(limit).unwrap_or(usize::MAX);
                room = Room {
                    messages: clamp(messages),
                    bytes: clamp(bytes),
                };
            }
            let rest = bytes.get(used..).unwrap_or_default();
            let had_pipe = state.link.is_some();
            let result = state
                .connection
                .handle_input(rest, &mut room, &mut scratch.inbox, scratch.now);
            self.deliver(state, scratch, after);
            self.handle_events(state, after)?;
            used += result?;
            if state.connection.is_deciding() {
                // To be scheduled when the application has decided.
                state.stalled = true;
                return Ok(used);
            }
            if used >= bytes.len() && had_pipe == state.link.is_some() {
                return Ok(used);
            }
        }
    }

    /// Stops reading until there is room in the pipe. The protocol is told, for the peer is not silent: it is not heard.
    fn stall(&self, state: &mut State, scratch: &mut Scratch) -> Result<(), DisconnectReason> {
        state.stalled = true;
        self.reactor.note_stalled();
        let mut none = Room::NONE;
        state
            .connection
            .handle_input(&[], &mut none, &mut scratch.inbox, scratch.now)
            .map(drop)
    }

    /// Moves decoded messages into the pipe.
    fn deliver(&self, state: &mut State, scratch: &mut Scratch, after: &mut Aftermath) {
        if scratch.inbox.is_empty() {
            return;
        }
        match &mut state.link {
            Some(link) if self.config.receives => {
                after.wakes.extend(link.end.push_all(&mut scratch.inbox));
            }
            _ => {
                state.ignored += scratch.inbox.load().messages;
                scratch.inbox.clear();
            }
        }
    }
}

/// Tells "not now" from failure, and takes note of it.
fn check<T>(result: io::Result<T>, readable: &mut bool) -> Result<Option<T>, DisconnectReason> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            *readable = false;
            Ok(None)
        }
        Err(error) => Err(DisconnectReason::Io(error.kind())),
    }
}
