//! Wake-ups: fired by pipes, and heard when their turn comes.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::pipe::{Address, Owner};
use crate::sync::Mutex;

/// Who is told by a wake-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Socket(usize),
    Session(usize),
}

/// A wake-up that was fired and not heard yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) who: Who,
    pub(super) pipe: usize,
    pub(super) read: bool,
}

/// All wake-ups that were not heard yet.
#[derive(Clone, Default)]
pub(super) struct Calls(Arc<Mutex<VecDeque<Call>>>);

impl Calls {
    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    pub(super) fn pop(&self) -> Option<Call> {
        self.0.lock().pop_front()
    }

    /// Nobody is there any more to hear these.
    pub(super) fn forget(&self, who: Who) {
        self.0.lock().retain(|call| call.who != who);
    }

    /// The address of an owner who is told by calls.
    pub(super) fn address(&self, who: Who, pipe: usize) -> Address {
        let calls = self.clone();
        Address {
            owner: Arc::new(Bell { who, calls }),
            pipe,
        }
    }

    pub(super) fn describe(&self) -> String {
        format!("{:?}", self.0.lock())
    }
}

/// An owner whose wake-ups wait until it is their turn.
struct Bell {
    who: Who,
    calls: Calls,
}

impl Bell {
    fn ring(&self, pipe: usize, read: bool) {
        let who = self.who;
        self.calls.0.lock().push_back(Call { who, pipe, read });
    }
}

impl Owner for Bell {
    fn activate_read(self: Arc<Self>, pipe: usize) {
        self.ring(pipe, true);
    }

    fn activate_write(self: Arc<Self>, pipe: usize) {
        self.ring(pipe, false);
    }
}
