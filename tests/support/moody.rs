//! An authenticator that does not always decide; for the tests against libzmq, too.

use std::sync::atomic::{AtomicBool, Ordering};

use aqueduct::{AuthRequest, Authenticator, Decision, User};

/// Does something else with the first request than to decide on it, and lets in everybody who comes later.
pub(crate) struct Moody {
    first: AtomicBool,
    at_first: fn(AuthRequest),
}

impl Moody {
    pub(crate) fn new(at_first: fn(AuthRequest)) -> Self {
        Self {
            first: AtomicBool::new(true),
            at_first,
        }
    }
}

impl Authenticator for Moody {
    fn authenticate(&self, request: AuthRequest) {
        if self.first.swap(false, Ordering::Relaxed) {
            (self.at_first)(request);
        } else {
            request.answer(Decision::Allow(User::default()));
        }
    }
}
