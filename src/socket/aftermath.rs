//! What an attempt has caused, to be dealt with once the socket is unlocked.

use std::sync::Arc;

use super::core::{Core, State, fire_signals};
use super::waiters::Signal;
use crate::Endpoint;
use crate::error::DisconnectReason;
use crate::monitor::Event;
use crate::pattern::Pattern;
use crate::pipe::Wakes;
use crate::reactor::Session;

/// What is to be done after unlocking.
pub(super) struct Aftermath {
    /// Mostly one, and all there is.
    wakes: Wakes,
    /// In a box, so that what is rare costs a message one look.
    more: Option<Box<More>>,
}

#[derive(Default)]
struct More {
    wakes: Wakes,
    /// Connections to be closed, and why.
    expelled: Vec<(Arc<Session>, DisconnectReason)>,
    /// Those who waited for something that an expelled peer would have done.
    signals: Vec<Signal>,
    /// What is to be told of peers that have no connection to tell of it.
    events: Vec<Event>,
}

impl<P: Pattern> Core<P> {
    /// Does what must not be done while the socket is locked.
    #[inline]
    pub(super) fn settle(&self, aftermath: Option<Aftermath>) {
        let Some(Aftermath { wakes, more }) = aftermath else {
            return;
        };
        wakes.fire();
        if let Some(more) = more {
            self.settle_more(*more);
        }
    }

    #[cold]
    fn settle_more(&self, more: More) {
        more.wakes.fire();
        for (session, reason) in more.expelled {
            session.close(reason);
        }
        more.events
            .into_iter()
            .for_each(|event| self.journal.record(event));
        fire_signals(more.signals);
    }
}

impl<P: Pattern> State<P> {
    /// Tells whether the pattern has left nothing to do.
    #[inline]
    pub(super) fn is_calm(&mut self) -> bool {
        self.pipes.effects().is_empty()
    }

    /// Clears away pipes that turned out to be finished, and returns what is to be done after unlocking, if there is
    /// anything.
    #[inline]
    pub(super) fn take_aftermath(&mut self) -> Option<Aftermath> {
        if self.is_calm() {
            return None;
        }
        let effects = self.pipes.effects();
        effects.ahead = false;
        let wakes = std::mem::take(&mut effects.wakes);
        let rest = !effects.is_empty();
        let more = rest.then(|| Box::new(self.take_more()));
        Some(Aftermath { wakes, more })
    }

    #[cold]
    fn take_more(&mut self) -> More {
        let effects = std::mem::take(self.pipes.effects());
        let mut more = More::default();
        for key in effects.finished {
            if self.peers.get(&key).is_some_and(|peer| peer.gone) {
                self.remove_pipe(key);
                // Another pipe may have been waiting for this one to go.
                more.signals.extend(self.next_sender());
            }
        }
        if effects.announced {
            more.signals.extend(self.watchers.tell_all());
            more.signals.extend(self.stranded_senders());
        }
        for (key, reason) in effects.expelled {
            self.expel(key, reason, &mut more);
        }
        more
    }

    /// Ends the connection of a pipe; over inproc, where there is none, the pipe itself.
    fn expel(&mut self, key: usize, reason: DisconnectReason, more: &mut More) {
        let Some(peer) = self.peers.get_mut(&key).filter(|peer| !peer.gone) else {
            return;
        };
        if let Some(session) = &peer.session {
            more.expelled.push((Arc::clone(session), reason));
            return;
        }
        if !matches!(*peer.endpoint, Endpoint::Inproc(_)) || !peer.connected {
            peer.doomed = Some(Box::new(reason));
            return;
        }
        more.events.push(Event::Disconnected {
            endpoint: Endpoint::clone(&peer.endpoint),
            address: String::new(),
            reason,
            in_doubt: 0,
        });
        if let Some(end) = self.pipes.get_mut(key) {
            more.wakes.extend(end.close().into_iter().flatten());
        }
        self.pattern.disconnected(key, &mut self.pipes);
        self.remove_inproc_pipe(key);
        more.signals.extend(self.tell_of_change());
    }
}
