//! Threads for what blocks (the system's resolver, an application's authenticator): they come when there is work, and go
//! when there is none.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use crate::sync::Mutex;

/// Something to do. One that is dropped undone has to make that known by itself.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// Jobs in their order, and the threads that do them.
pub(super) struct Workers {
    name: &'static str,
    /// So many at once: one job that is slow then delays others too, but a thousand do not become a thousand threads.
    max_threads: usize,
    max_jobs: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
}

impl Workers {
    /// Makes a place for jobs, up to so many that wait, with no thread yet.
    pub(super) fn new(name: &'static str, max_threads: usize, max_jobs: usize) -> Arc<Self> {
        Arc::new(Self {
            name,
            max_threads,
            max_jobs,
            state: Mutex::default(),
        })
    }

    /// Has a job done by one of the threads; gives it back if too many wait already, or no thread can be started.
    pub(super) fn submit(self: &Arc<Self>, job: Job) -> Result<(), Job> {
        let mut state = self.state.lock();
        if state.jobs.len() >= self.max_jobs {
            return Err(job);
        }
        if state.threads < self.max_threads {
            let workers = Arc::clone(self);
            let spawned = thread::Builder::new()
                .name(self.name.into())
                .spawn(move || workers.run());
            match spawned {
                Ok(_) => state.threads += 1,
                Err(_) if state.threads == 0 => return Err(job),
                Err(_) => {}
            }
        }
        state.jobs.push_back(job);
        Ok(())
    }

    fn run(&self) {
        loop {
            let mut state = self.state.lock();
            let Some(job) = state.jobs.pop_front() else {
                state.threads -= 1;
                return;
            };
            drop(state);
            // What panics is the application's; the other jobs are none of its business.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_job_that_panics_takes_no_other_with_it() {
        let workers = Workers::new("test", 1, 9);
        let (done, results) = mpsc::channel();
        assert!(workers.submit(Box::new(|| panic!("on purpose"))).is_ok());
        assert!(workers.submit(Box::new(move || done.send(7).unwrap())).is_ok());
        assert_eq!(results.recv(), Ok(7));
    }

    #[test]
    fn too_many_jobs_come_back() {
        let workers = Workers::new("test", 1, 2);
        let (release, released) = mpsc::channel::<()>();
        let (begun, beginning) = mpsc::channel();
        let first = move || {
            begun.send(()).unwrap();
            released.recv().unwrap();
        };
        assert!(workers.submit(Box::new(first)).is_ok());
        beginning.recv().unwrap();
        let results = [(); 3].map(|()| workers.submit(Box::new(|| {})).is_ok());
        assert_eq!(results, [true, true, false]);
        release.send(()).unwrap();
    }
}
