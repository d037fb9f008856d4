//! Heartbeats and other signs of life: when to send a PING, and when silence means that the peer is gone.

use std::time::{Duration, Instant};

use super::connection::Config;
use crate::DisconnectReason;

/// A TTL travels in tenths of a second; peers differ on what they make of more than 65.5 seconds.
pub(super) const MAX_TTL_DECISECONDS: u16 = 655;

/// What is known of the peer's life after the handshake.
///
/// Silence counts only while we read. When the application leaves no room, bytes wait unseen in the system's buffers,
/// and an honest peer must not be blamed for that; our own PINGs go on, so that it does not give us up either.
#[derive(Debug)]
pub(super) struct Heartbeat {
    last_heard: Instant,
    next_ping: Option<Instant>,
    /// When the first PING was sent that nothing came after.
    unanswered: Option<Instant>,
    /// When the peer's last PING lets us give it up, and after how long; anything that follows the PING cancels it.
    ttl: Option<(Instant, Duration)>,
    /// Whether we have stopped reading for want of room.
    deaf: bool,
}

impl Heartbeat {
    /// Begins after the handshake. A peer of ZMTP 3.0 knows no PING, so it gets none.
    pub(super) fn new(config: &Config, version: (u8, u8), now: Instant) -> Self {
        let interval = config.heartbeat_interval.filter(|_| version >= (3, 1));
        Self {
            last_heard: now,
            next_ping: interval.and_then(|interval| now.checked_add(interval)),
            unanswered: None,
            ttl: None,
            deaf: false,
        }
    }

    /// Bytes came: whatever they are, they are a sign of life.
    #[inline]
    pub(super) fn heard(&mut self, now: Instant) {
        self.last_heard = now;
        self.unanswered = None;
        self.ttl = None;
    }

    /// Tells whether the reader has room. After a pause, the peer's time starts anew.
    #[inline]
    pub(super) fn set_deaf(&mut self, deaf: bool, now: Instant) {
        if self.deaf && !deaf {
            self.heard(now);
        }
        self.deaf = deaf;
    }

    /// The peer sent a PING and wants to be given up after so many tenths of a second of silence.
    pub(super) fn pinged(&mut self, deciseconds: u16, now: Instant) {
        let ttl = Duration::from_millis(u64::from(deciseconds).saturating_mul(100));
        self.ttl = now
            .checked_add(ttl)
            .map(|end| (end, ttl))
            .filter(|_| deciseconds > 0);
    }

    /// Looks at the time; returns whether a PING is due now.
    pub(super) fn check(
        &mut self,
        config: &Config,
        mid_message: bool,
        now: Instant,
    ) -> Result<bool, DisconnectReason> {
        if self.deaf {
            self.heard(now);
        }
        let timed_out = |what, limit| Err(DisconnectReason::TimedOut { what, limit });
        if self.heartbeat_end(config).is_some_and(|end| end <= now) {
            return timed_out("answer to a PING", config.heartbeat_timeout);
        }
        if let Some((end, ttl)) = self.ttl
            && end <= now
        {
            return timed_out("silence after the peer's PING", ttl);
        }
        if mid_message && self.stall_end(config).is_some_and(|end| end <= now) {
            return timed_out("silence within a message", config.stall_timeout);
        }
        if self.next_ping.is_none_or(|due| due > now) {
            return Ok(false);
        }
        // From now and not from when it was due, so that a machine that slept does not send a volley.
        self.next_ping = config
            .heartbeat_interval
            .and_then(|interval| now.checked_add(interval));
        self.unanswered.get_or_insert(now);
        Ok(true)
    }

    /// The next time to look, given that nothing comes until then.
    pub(super) fn deadline(&self, config: &Config, mid_message: bool) -> Option<Instant> {
        let stall = self.stall_end(config).filter(|_| mid_message);
        let ttl = self.ttl.map(|(end, _)| end);
        let ends = [self.next_ping, self.heartbeat_end(config), ttl, stall];
        ends.into_iter().flatten().min()
    }

    fn heartbeat_end(&self, config: &Config) -> Option<Instant> {
        self.unanswered
            .and_then(|sent| sent.checked_add(config.heartbeat_timeout))
    }

    fn stall_end(&self, config: &Config) -> Option<Instant> {
        self.last_heard.checked_add(config.stall_timeout)
    }
}
