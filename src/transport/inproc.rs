//! inproc: names within a context, and pipes handed straight from one socket to another.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use crate::peer::{PeerInfo, SocketType};
use crate::pipe::{PipeEnd, PipeLimits};
use crate::sync::Mutex;

/// Connections to one name that wait for somebody to bind it. Each is a pipe with its own limits.
const MAX_WAITING: usize = 4096;

/// A socket, as another socket in the same context sees it.
pub(crate) trait Binder: Send + Sync {
    /// Returns what the socket says of itself.
    fn info(&self) -> Arc<PeerInfo>;

    /// Takes over the far end of a pipe that another socket has made; gives it back, and says why, if the socket will
    /// not have it or is closing.
    fn adopt(&self, name: &str, end: PipeEnd, info: &Arc<PeerInfo>) -> Result<(), (&'static str, PipeEnd)>;

    /// Returns the limits of this socket's queues, as seen from the end that it adopts.
    fn limits(&self) -> PipeLimits;
}

/// Who has taken the other end of a connection, or why nobody has.
pub(crate) type Answer = Result<Arc<PeerInfo>, &'static str>;

/// A connection that waits for a binder.
pub(crate) struct Waiting {
    /// The end for the binder.
    pub(crate) end: PipeEnd,
    /// Who connects.
    pub(crate) info: Arc<PeerInfo>,
    /// Tells the connecting socket who took the other end, or why it was not taken.
    pub(crate) accepted: Box<dyn FnOnce(Answer) + Send>,
}

/// Why a connection was not made.
pub(crate) enum Refusal {
    /// The binder's socket type does not go with ours.
    Incompatible(SocketType),
    /// Too many wait for this name already.
    TooMany,
}

/// The names of a context.
#[derive(Default)]
pub(crate) struct Names {
    table: Mutex<HashMap<String, Entry>>,
}

enum Entry {
    Bound(Weak<dyn Binder>),
    Awaited(Vec<Waiting>),
}

impl Names {
    /// Binds a name and takes in who waits for it; returns false if the name has a live owner.
    pub(crate) fn bind(&self, name: &str, binder: &Arc<dyn Binder>) -> bool {
        let mut table = self.table.lock();
        if let Some(Entry::Bound(owner)) = table.get(name)
            && owner.strong_count() > 0
        {
            return false;
        }
        let before = table.insert(name.to_owned(), Entry::Bound(Arc::downgrade(binder)));
        drop(table);
        if let Some(Entry::Awaited(all)) = before {
            all.into_iter()
                .for_each(|waiting| introduce(name, binder, waiting));
        }
        true
    }

    /// Gives up a name. Pipes that were made stay.
    pub(crate) fn unbind(&self, name: &str, binder: &Arc<dyn Binder>) {
        let mut table = self.table.lock();
        if let Some(Entry::Bound(owner)) = table.get(name)
            && owner.upgrade().is_none_or(|owner| Arc::ptr_eq(&owner, binder))
        {
            table.remove(name);
        }
    }

    /// Forgets connections that waited for a name and were given up.
    pub(crate) fn prune(&self, name: &str) {
        let mut table = self.table.lock();
        if let Some(Entry::Awaited(all)) = table.get_mut(name) {
            all.retain(|waiting| !waiting.end.is_closed());
            if all.is_empty() {
                table.remove(name);
            }
        }
    }

    /// Connects to a name, now or when it is bound.
    pub(crate) fn connect(&self, name: &str, waiting: Waiting) -> Result<(), Refusal> {
        let mut table = self.table.lock();
        let bound = match table.get(name) {
            Some(Entry::Bound(owner)) => owner.upgrade(),
            _ => None,
        };
        if let Some(binder) = bound {
            drop(table);
            let theirs = binder.info().socket_type;
            if !waiting.info.socket_type.talks_to(theirs) {
                return Err(Refusal::Incompatible(theirs));
            }
            introduce(name, &binder, waiting);
            return Ok(());
        }
        match table
            .entry(name.to_owned())
            .or_insert_with(|| Entry::Awaited(Vec::new()))
        {
            Entry::Awaited(all) if all.len() >= MAX_WAITING => Err(Refusal::TooMany),
            Entry::Awaited(all) => {
                all.push(waiting);
                Ok(())
            }
            // The owner is gone without a word: the name is free again.
            dead @ Entry::Bound(_) => {
                *dead = Entry::Awaited(vec![waiting]);
                Ok(())
            }
        }
    }
}

/// Joins a waiting end with a binder. If the binder will not have it, or is closing, the end closes.
fn introduce(name: &str, binder: &Arc<dyn Binder>, mut waiting: Waiting) {
    if waiting.end.is_closed() {
        // Who waited has left meanwhile.
        return;
    }
    let theirs = binder.info();
    let mut wakes = Vec::new();
    let adopted = if waiting.info.socket_type.talks_to(theirs.socket_type) {
        wakes.extend(waiting.end.join_limits(binder.limits()).into_iter().flatten());
        binder.adopt(name, waiting.end, &waiting.info)
    } else {
        Err(("the types of the sockets do not go together", waiting.end))
    };
    match adopted {
        Ok(()) => (waiting.accepted)(Ok(theirs)),
        Err((why, mut end)) => {
            wakes.extend(end.close().into_iter().flatten());
            (waiting.accepted)(Err(why));
        }
    }
    crate::pipe::fire_all(wakes);
}
