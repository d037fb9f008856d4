//! The socket's ends of its pipes, and what using them has caused: to be dealt with when the socket is unlocked.

use super::Offer;
use super::shared_run::SharedRun;
use crate::error::DisconnectReason;
use crate::message::Message;
use crate::pipe::{PipeEnd, PushError, Wake, Wakes};
use crate::queue::is_packed;
use crate::slab::Slab;
use crate::stats::{Count, DropReason, Traffic};

/// The ends, by key, and what a pattern leaves for its socket to do.
#[derive(Default)]
pub(crate) struct Pipes {
    ends: Slab<PipeEnd>,
    /// What is staged for many pipes at once; only who publishes has such.
    pub(super) run: Option<Box<SharedRun>>,
    effects: Effects,
    tally: Tally,
}

/// What a pattern counts beside the traffic of its pipes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Messages that were accepted and dropped without ever being in a pipe.
    pub(crate) stray: Traffic,
    /// Requests that will not be answered.
    pub(crate) unanswered: u64,
    /// Notices that were dropped.
    pub(crate) notices_dropped: u64,
}

/// What is to be done once the pattern is through.
#[derive(Default)]
pub(crate) struct Effects {
    /// To be fired after unlocking.
    pub(crate) wakes: Wakes,
    /// Pipes found closed and empty.
    pub(crate) finished: Vec<usize>,
    /// Pipes whose peers this socket will not have any more, and why.
    pub(crate) expelled: Vec<(usize, DisconnectReason)>,
    /// Something has changed that those may wait for who wait for peers, or for one of them in particular.
    pub(crate) announced: bool,
    /// Much is queued that was sent: a sender that has the time should rest.
    pub(crate) ahead: bool,
}

impl Effects {
    /// Tells whether there is nothing to do, as nearly always.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.wakes.is_empty()
            && self.finished.is_empty()
            && self.expelled.is_empty()
            && !self.announced
            && !self.ahead
    }
}

impl Pipes {
    /// Sends a message through a pipe. Returns false, and leaves it where it is, if the pipe is full or gone.
    #[inline]
    pub(crate) fn send(&mut self, key: usize, message: &mut Option<Message>) -> bool {
        let Some(end) = self.ends.get_mut(key) else {
            return false;
        };
        match end.send(message) {
            Ok(None) => {
                self.effects.ahead |= end.is_ahead();
                true
            }
            Ok(Some(wake)) => {
                self.effects.wakes.push(wake);
                true
            }
            Err(_) => false,
        }
    }

    /// Sends a message through a pipe, and says of one that stays where it is whether waiting may help.
    pub(crate) fn offer(&mut self, key: usize, message: &mut Option<Message>) -> Offer {
        match self.ends.get_mut(key) {
            Some(end) => {
                let sent = end.send(message);
                self.note_sent(sent)
            }
            None => Offer::Refused,
        }
    }

    /// Sends a copy of a message through a pipe; says of one that is not sent whether waiting may help.
    pub(crate) fn offer_copy(&mut self, key: usize, message: &Message) -> Offer {
        match self.ends.get_mut(key) {
            Some(end) => {
                let sent = end.send_copy(message);
                self.note_sent(sent)
            }
            None => Offer::Refused,
        }
    }

    /// Has a message for several pipes staged once for all of them, if that can be: returns those of them that have to be
    /// sent to one by one, to be given back by [`keep_apart`](Self::keep_apart) when [`stage`](Self::stage) has been
    /// called. Otherwise all have to be sent to.
    #[inline]
    pub(crate) fn share(&mut self, targets: &[usize], message: &Message) -> Option<Vec<usize>> {
        if let Some(open) = self.run.as_mut().filter(|run| run.is_open()) {
            if open.is_for(targets, message) {
                return Some(open.take_apart());
            }
            self.end_run();
            return None;
        }
        if targets.len() < 2 || !is_packed(message) {
            return None;
        }
        let Self {
            ends, effects, run, ..
        } = self;
        let run = run.get_or_insert_default();
        run.begin(targets, ends, &mut effects.wakes);
        run.is_open().then(|| run.take_apart())
    }

    pub(crate) fn keep_apart(&mut self, apart: Vec<usize>) {
        if let Some(run) = &mut self.run {
            run.keep_apart(apart);
        }
    }

    /// Stages a message for all but those that [`share`](Self::share) has returned.
    pub(crate) fn stage(&mut self, message: &Message) {
        let more = self.run.as_mut().is_some_and(|run| run.stage(message));
        if !more {
            self.end_run();
        }
    }

    /// Gives the pipes what is staged for many of them. Whoever does anything else with one of them has this done before.
    #[inline]
    pub(crate) fn end_run(&mut self) {
        let Self {
            ends, effects, run, ..
        } = self;
        if let Some(open) = run.as_mut().filter(|run| run.is_open()) {
            open.end(ends, &mut effects.wakes);
        }
    }

    #[inline]
    fn note_sent(&mut self, sent: Result<Option<Wake>, PushError>) -> Offer {
        match sent {
            Ok(wake) => {
                wake.into_iter().for_each(|wake| self.effects.wakes.push(wake));
                Offer::Taken
            }
            Err(PushError::Full) => Offer::Full,
            Err(PushError::Closed) => Offer::Refused,
        }
    }

    /// A message that was accepted is dropped, for no pipe leads to where it should go.
    pub(crate) fn drop_stray(&mut self, message: &Message, reason: DropReason) {
        let stray = &mut self.tally.stray;
        stray.accepted.merge(Count {
            messages: 1,
            bytes: message.byte_len() as u64,
        });
        stray.dropped.add(reason, 1);
    }

    /// A message that was accepted for the peer of a pipe is dropped instead of being sent.
    pub(crate) fn refuse(&mut self, key: usize, message: &Message, reason: DropReason) {
        if let Some(end) = self.ends.get_mut(key) {
            end.refuse(message, reason);
        }
    }

    /// Has those look who wait for peers, or for one of them in particular.
    pub(crate) fn announce(&mut self) {
        self.effects.announced = true;
    }

    /// What came from a pipe means nothing to the socket.
    pub(crate) fn discard(&mut self, key: usize, message: &Message) {
        if let Some(end) = self.ends.get_mut(key) {
            end.discard(message);
        }
    }

    /// Drops what is queued in a pipe for a peer that is gone, and must not go to the next one.
    pub(crate) fn withdraw(&mut self, key: usize) {
        self.end_run();
        if let Some(end) = self.ends.get_mut(key) {
            end.withdraw();
        }
    }

    /// Returns how many messages of a pipe's peer were not read yet.
    pub(crate) fn unread(&self, key: usize) -> u64 {
        self.ends.get(key).map_or(0, PipeEnd::unread)
    }

    /// Returns how many messages in a pipe its peer has not taken yet.
    pub(crate) fn queued(&self, key: usize) -> u64 {
        self.ends.get(key).map_or(0, PipeEnd::queued)
    }

    /// Tells whether a pipe is closed and empty, and notes it as finished if so.
    pub(crate) fn is_finished(&mut self, key: usize) -> bool {
        let finished = self.ends.get_mut(key).is_none_or(PipeEnd::is_finished);
        if finished {
            self.effects.finished.push(key);
        }
        finished
    }

    /// Tells whether the peer of a pipe will never read again, or the pipe is gone.
    pub(crate) fn is_abandoned(&self, key: usize) -> bool {
        self.ends.get(key).is_none_or(PipeEnd::is_abandoned)
    }

    pub(crate) fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }

    /// Receives a message from a pipe to an empty place, and tells whether there was one. A pipe that is closed and
    /// empty is noted as finished.
    #[inline]
    pub(crate) fn recv(&mut self, key: usize, message: &mut Option<Message>) -> bool {
        let Some(end) = self.ends.get_mut(key) else {
            return false;
        };
        if end.recv(message, &mut self.effects.wakes) {
            return true;
        }
        if end.is_finished() {
            self.effects.finished.push(key);
        }
        false
    }

    /// Tells whether a pipe could take a message now. One that could not will be activated.
    pub(crate) fn is_writable(&mut self, key: usize) -> bool {
        self.ends.get_mut(key).is_some_and(PipeEnd::is_writable)
    }

    /// Tells whether a pipe has a message now. One that has none will be activated; one that is closed and empty is
    /// noted as finished.
    pub(crate) fn is_readable(&mut self, key: usize) -> bool {
        let Some(end) = self.ends.get_mut(key) else {
            return false;
        };
        let readable = end.is_readable();
        if !readable && end.is_finished() {
            self.effects.finished.push(key);
        }
        readable
    }

    /// Has the socket end the connection of a pipe. One to an endpoint connected to will be made again.
    pub(crate) fn expel(&mut self, key: usize, reason: DisconnectReason) {
        self.effects.expelled.push((key, reason));
    }

    /// What was caused and not dealt with yet.
    #[inline]
    pub(crate) fn effects(&mut self) -> &mut Effects {
        &mut self.effects
    }

    pub(crate) fn insert(&mut self, end: PipeEnd) -> usize {
        self.ends.insert(end)
    }

    pub(crate) fn remove(&mut self, key: usize) -> Option<PipeEnd> {
        self.end_run();
        self.ends.remove(key)
    }

    /// Returns the key that the next pipe will have.
    pub(crate) fn vacant_key(&self) -> usize {
        self.ends.vacant_key()
    }

    pub(crate) fn get_mut(&mut self, key: usize) -> Option<&mut PipeEnd> {
        self.end_run();
        self.ends.get_mut(key)
    }

    /// Returns the only pipe, if there is just one.
    pub(crate) fn only(&mut self) -> Option<&mut PipeEnd> {
        if self.ends.len() != 1 {
            return None;
        }
        let key = self.ends.iter().next()?.0;
        self.ends.get_mut(key)
    }

    /// Returns all ends. Call [`end_run`](Self::end_run) before.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &PipeEnd)> {
        debug_assert!(
            self.run.as_ref().is_none_or(|run| !run.is_open()),
            "a run is open"
        );
        self.ends.iter()
    }

    pub(crate) fn keys(&self) -> Vec<usize> {
        self.ends.keys()
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }
}
