//! A model of the hand-over from what is watched to who waits: no readiness is missed, and nobody sleeps through it.

use std::io;

use loom::thread;

use super::super::super::watch::Readiness;
use super::*;

/// Something to watch that needs no loop to be turned: it is ready as long as there is something in it.
#[derive(Default)]
struct Store(Mutex<(usize, Waiters)>);

impl Store {
    fn put(&self) {
        let mut store = self.0.lock();
        store.0 += 1;
        let signal = store.1.tell_observers();
        drop(store);
        fire_signals(signal);
    }

    fn take(&self) -> bool {
        let mut store = self.0.lock();
        let some = store.0 > 0;
        store.0 -= usize::from(some);
        some
    }
}

impl Watch for Store {
    fn look(&self, observer: u64, _interest: Interest, waker: &Waker) -> Readiness {
        let mut store = self.0.lock();
        store.1.forget(observer);
        if store.0 == 0 {
            store.1.observe(observer, Signal::Task(waker.clone()));
        }
        Readiness {
            readable: store.0 > 0,
            ..Readiness::default()
        }
    }

    fn forget(&self, observer: u64) {
        self.0.lock().1.forget(observer);
    }

    fn reactor(&self) -> io::Result<Arc<Reactor>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// What [`Poller::wait`](crate::Poller::wait) does, without the clock; returns when something is ready or `wake` was
/// called.
fn wait(queue: &Queue, capacity: usize) -> Vec<usize> {
    let (mut kept, mut told) = (Vec::new(), false);
    let mut ready = ReadyList::with_capacity(capacity);
    let waiter = Waiter::current();
    loop {
        queue.look(&mut ready, &mut kept);
        if queue.take_woken() || !ready.is_empty() {
            break;
        }
        told |= queue.block(&waiter, None);
    }
    queue.end(&kept, told);
    ready.iter().map(Ready::key).collect()
}

fn queue_of(stores: &[&Arc<Store>]) -> Arc<Queue> {
    let queue = Arc::new(Queue::default());
    for (key, store) in stores.iter().enumerate() {
        let source = Arc::clone(store) as _;
        queue.enlist(source, key, Interest::READABLE, None).unwrap();
    }
    queue
}

#[test]
fn what_becomes_ready_ends_the_wait_and_what_is_left_ends_the_next() {
    loom::model(|| {
        let store = Arc::new(Store::default());
        let queue = queue_of(&[&store]);
        let filler = {
            let store = Arc::clone(&store);
            thread::spawn(move || {
                store.put();
                store.put();
            })
        };
        for _ in 0..2 {
            while !store.take() {
                assert_eq!(wait(&queue, 8), [0]);
            }
        }
        filler.join().unwrap();
        queue.clear();
    });
}

#[test]
fn two_who_wait_are_both_served() {
    loom::model(|| {
        let stores = [Arc::new(Store::default()), Arc::new(Store::default())];
        let queue = queue_of(&[&stores[0], &stores[1]]);
        // Each takes one thing and leaves; the list is too short for both.
        let other = {
            let (queue, stores) = (Arc::clone(&queue), stores.clone());
            thread::spawn(move || while !wait(&queue, 1).into_iter().any(|key| stores[key].take()) {})
        };
        stores.iter().for_each(|store| store.put());
        while !wait(&queue, 1).into_iter().any(|key| stores[key].take()) {}
        other.join().unwrap();
        queue.clear();
    });
}

#[test]
fn a_removed_entry_leaves_nothing_behind() {
    loom::model(|| {
        let store = Arc::new(Store::default());
        let queue = queue_of(&[&store]);
        let waiting = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || wait(&queue, 8))
        };
        assert!(queue.remove(0));
        queue.wake_one();
        assert!(waiting.join().unwrap().is_empty());
        assert!(
            store.0.lock().1.is_empty(),
            "it is still known to what it watched"
        );
    });
}
