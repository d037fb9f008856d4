//! The sessions that gather a burst, which somebody has to flush when the burst rests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use smallvec::SmallVec;

use super::session::Session;
use crate::sync::Mutex;

/// Sessions whose senders leave messages for a batch. The I/O thread ticks them; whoever blocks flushes them first.
#[derive(Default)]
pub(crate) struct Gathering {
    list: Mutex<List>,
    /// A copy of "the list is not empty", so that the common case costs no lock.
    any: AtomicBool,
}

#[derive(Default)]
struct List {
    sessions: Vec<(u64, Arc<Session>)>,
    /// Tells an entry from a later one of the same session.
    tickets: u64,
}

/// What a tick has found.
pub(super) struct Ticked {
    /// Some burst goes on.
    pub(super) any: bool,
    /// None has paused.
    pub(super) steady: bool,
}

impl Gathering {
    /// A burst began; returns how many there are now.
    pub(super) fn add(&self, session: Arc<Session>) -> usize {
        let mut list = self.list.lock();
        list.tickets += 1;
        let ticket = list.tickets;
        list.sessions.push((ticket, session));
        self.any.store(true, Ordering::Release);
        list.sessions.len()
    }

    pub(super) fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Writes what has been gathered, without ending any burst.
    pub(super) fn flush(&self) {
        if self.any() {
            Session::flush_gathered(self.snapshot().iter().map(|(_, session)| session));
        }
    }

    /// Looks after the bursts: those whose senders have written by themselves since the last ticks are left alone, those
    /// that have paused are written, and those in which nothing came for long enough are over.
    pub(super) fn tick(&self) -> Ticked {
        let mut paused = self.snapshot();
        paused.retain(|(_, session)| session.has_paused());
        let steady = paused.is_empty();
        Session::flush_gathered(paused.iter().map(|(_, session)| session));
        let mut ended = paused;
        ended.retain(|(_, session)| session.has_rested());
        for (_, session) in &ended {
            session.end_gathering();
        }
        let mut list = self.list.lock();
        // Tickets are in order, in both.
        list.sessions
            .retain(|(ticket, _)| ended.binary_search_by_key(ticket, |(ended, _)| *ended).is_err());
        let any = !list.sessions.is_empty();
        self.any.store(any, Ordering::Release);
        Ticked { any, steady }
    }

    /// The sessions of now, to be run while the list is not locked; few, as a rule.
    fn snapshot(&self) -> SmallVec<[(u64, Arc<Session>); 4]> {
        self.list.lock().sessions.iter().cloned().collect()
    }
}
