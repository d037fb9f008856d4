//! What only the inside of a poller shows: how much it looks at, and what its timers do as time passes.

use std::io::Write;
use std::os::unix::net::UnixStream;

use super::*;
use crate::{Pull, Push};

/// Registered and never ready.
const IDLE: usize = 1000;
const IDLE_FDS: usize = 50;
const BUSY: usize = usize::MAX;
/// Never reached unless something is broken.
const LONG: Duration = Duration::from_secs(20);

#[test]
fn a_wait_looks_at_what_is_ready_and_not_at_what_is_registered() {
    let poller = Poller::new();
    let (push, busy) = (Push::new(), Pull::new());
    push.connect(busy.bind("inproc://busy-among-idle").unwrap())
        .unwrap();
    poller.add(&busy, BUSY, Interest::READABLE).unwrap();
    let idle: Vec<_> = (0..IDLE).map(|_| Pull::new()).collect();
    for (key, pull) in idle.iter().enumerate() {
        poller.add(pull, key, Interest::READABLE).unwrap();
    }
    let fds: Vec<_> = (0..IDLE_FDS).map(|_| UnixStream::pair().unwrap()).collect();
    for (at, (fd, _)) in fds.iter().enumerate() {
        poller.add_fd(fd, IDLE + at, Interest::READABLE).unwrap();
    }
    let mut ready = ReadyList::default();
    assert_eq!(poller.wait(&mut ready, Some(Duration::ZERO)), 0);
    let at_first = poller.queue.looks();
    assert_eq!(at_first, IDLE + IDLE_FDS + 1, "what is new is looked at once");
    for at in 0..100_usize {
        push.send(at.to_string()).unwrap();
        assert_eq!(poller.wait(&mut ready, Some(LONG)), 1);
        assert_eq!(busy.try_recv().unwrap(), at.to_string());
    }
    // Once because it was ready before and may still be, and once because it was told.
    let looks = poller.queue.looks() - at_first;
    assert!((100..=200).contains(&looks), "{looks} looks for 100 messages");
}

#[test]
fn what_is_removed_is_forgotten_by_what_was_watched() {
    let pull = Pull::new();
    let poller = Poller::new();
    let mut ready = ReadyList::default();
    let is_observed = || pull.0.0.state.lock().receivers.are_observed();
    poller.add(&pull, 1, Interest::READABLE).unwrap();
    poller.wait(&mut ready, Some(Duration::ZERO));
    assert!(is_observed());
    assert!(poller.remove(1));
    assert!(!is_observed());
    poller.add(&pull, 1, Interest::READABLE).unwrap();
    poller.wait(&mut ready, Some(Duration::ZERO));
    drop(poller);
    assert!(!is_observed());
}

#[test]
fn a_peer_that_left_is_forgotten_when_only_a_poller_found_its_pipe_empty() {
    let (push, pull) = (Push::new(), Pull::new());
    push.connect(pull.bind("inproc://read-to-the-end-by-polling").unwrap())
        .unwrap();
    let poller = Poller::new();
    poller.add(&pull, 1, Interest::READABLE).unwrap();
    push.send("last").unwrap();
    push.close();
    let mut ready = ReadyList::default();
    assert_eq!(poller.wait(&mut ready, Some(Duration::ZERO)), 1);
    assert_eq!(pull.try_recv().unwrap(), "last");
    assert_eq!(pull.0.0.state.lock().pipes.len(), 1, "it was not looked at again");
    assert_eq!(poller.wait(&mut ready, Some(Duration::ZERO)), 0);
    assert_eq!(pull.0.0.state.lock().pipes.len(), 0);
}

#[test]
fn a_thread_that_sleeps_learns_of_what_is_added_changed_or_asked() {
    let (push, pull) = (Push::new(), Pull::new());
    push.connect(pull.bind("inproc://for-who-sleeps").unwrap())
        .unwrap();
    let poller = Poller::new();
    let wakes_a_sleeper = |key: Option<usize>, act: &dyn Fn()| {
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| {
                let mut ready = ReadyList::default();
                poller.wait(&mut ready, None);
                ready.iter().map(Ready::key).next()
            });
            while !poller.queue.is_awaited() {
                std::thread::yield_now();
            }
            act();
            assert_eq!(sleeper.join().unwrap(), key);
        });
    };
    wakes_a_sleeper(Some(1), &|| poller.add_timer(1, Duration::ZERO).unwrap());
    wakes_a_sleeper(None, &|| poller.wake());
    poller.add(&push, 2, Interest::READABLE).unwrap();
    wakes_a_sleeper(Some(2), &|| poller.modify(2, Interest::WRITABLE).unwrap());
    assert!(poller.remove(2));
    push.send("hello").unwrap();
    wakes_a_sleeper(Some(3), &|| poller.add(&pull, 3, Interest::READABLE).unwrap());
    assert!(poller.remove(3));
    let (near, far) = UnixStream::pair().unwrap();
    poller.add_fd(&near, 4, Interest::READABLE).unwrap();
    wakes_a_sleeper(Some(4), &|| (&far).write_all(b"x").unwrap());
}

fn due(queue: &Queue, now: Instant) -> Vec<usize> {
    let mut ready = ReadyList::default();
    queue.take_due(&mut ready, now);
    assert!(ready.iter().all(Ready::is_timer));
    ready.iter().map(Ready::key).collect()
}

#[test]
fn a_timer_goes_off_once_and_one_with_a_period_again_and_again() {
    let start = Instant::now();
    let at = |millis| start + Duration::from_millis(millis);
    let queue = Queue::default();
    queue.add_timer(1, Some(at(10)), None).unwrap();
    let period = Some(Duration::from_millis(4));
    queue.add_timer(2, Some(at(4)), period).unwrap();
    queue.add_timer(3, None, None).unwrap();
    assert_eq!(due(&queue, at(3)), []);
    assert_eq!(due(&queue, at(4)), [2]);
    assert_eq!(due(&queue, at(5)), []);
    assert_eq!(due(&queue, at(11)), [2, 1], "in the order of their times");
    assert_eq!(
        due(&queue, at(12)),
        [2],
        "a period is not stretched by a late look"
    );
    assert_eq!(due(&queue, at(30)), [2], "those that were missed count as one");
    assert_eq!(due(&queue, at(33)), []);
    assert!(
        queue.remove(2) && queue.remove(3) && !queue.remove(1),
        "1 has gone off"
    );
    assert_eq!(due(&queue, at(99)), []);
}
