//! What two sides say to each other before and after: through the driver, or directly if they are in one process.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

/// How often a publisher says hello to those who are not there yet.
const TICK: Duration = Duration::from_millis(10);

/// Passed on a word, which is a line of standard input or [`open`](Gate::open), once for each word.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    words: usize,
    ticks: usize,
    waker: Option<Waker>,
}

impl Gate {
    /// A gate that lines of standard input open.
    pub(crate) fn of_standard_input() -> Self {
        let gate = Self::default();
        let remote = gate.clone();
        std::thread::spawn(move || {
            while std::io::stdin()
                .read_line(&mut String::new())
                .is_ok_and(|read| read > 0)
            {
                remote.open();
            }
            // The driver has gone.
            std::process::exit(1);
        });
        gate
    }

    pub(crate) fn open(&self) {
        self.update(|state| state.words += 1);
    }

    /// Waits for a word.
    pub(crate) async fn pass(&self) {
        poll_fn(|context| {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if state.words > 0 {
                state.words -= 1;
                return Poll::Ready(());
            }
            state.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Waits for a word, but not for long. Says whether it has come.
    pub(crate) async fn pass_soon(&self) -> bool {
        let ticking = self.clone();
        std::thread::spawn(move || {
            std::thread::sleep(TICK);
            ticking.update(|state| state.ticks += 1);
        });
        poll_fn(|context| {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if state.words == 0 && state.ticks == 0 {
                state.waker = Some(context.waker().clone());
                return Poll::Pending;
            }
            state.ticks = 0;
            let passed = state.words > 0;
            state.words -= usize::from(passed);
            Poll::Ready(passed)
        })
        .await
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        let waker = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut state);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
