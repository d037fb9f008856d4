//! `kill -9` of worker processes under load: nothing hangs, every message is accounted for, and the survivors received
//! exactly what was handed to them.
//!
//! A worker is this test binary, run again with an environment variable that turns `worker` below, otherwise an empty
//! test, into its `main`. So there is nothing else to build or to find, and the ordinary test harness serves both.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]
#![cfg(unix)]

mod support;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use aqueduct::{CloseReport, DropReason, Event, Message, Monitor, PeerStats, Pull, Push, Traffic};
use support::{LONG, eventually};

/// How long a whole script may take before it counts as hung.
const SCRIPT: Duration = Duration::from_secs(120);

/// Workers at any time.
const CREW: usize = 4;

/// How the parent tells a worker what it is: `bind` or `connect`, the endpoint, and the worker's name.
const ORDERS: &str = "AQUEDUCT_TEST_WORKER";

/// The property by which the sender knows its workers.
const NAME: &str = "X-Worker";

/// What a worker has received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    messages: u64,
    bytes: u64,
}

/// A worker process, which is killed at the latest when it is dropped.
struct Worker {
    name: String,
    child: Child,
}

/// A thread that sends without pause, and goes on while workers die.
struct Load {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<u64>,
}

impl Worker {
    fn spawn(role: &str, endpoint: &str) -> Self {
        static NAMES: AtomicU32 = AtomicU32::new(0);
        let name = format!("worker-{}", NAMES.fetch_add(1, Ordering::Relaxed));
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "worker", "--nocapture"])
            .env(ORDERS, [role, endpoint, &name].join(" "))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self { name, child }
    }

    /// Stops the process where it is, with its connection open.
    fn freeze(&self) {
        let command = format!("kill -STOP {}", self.child.id());
        assert!(
            Command::new("sh")
                .args(["-c", &command])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Sends SIGKILL, and does not wait for what comes of it.
    fn kill(mut self) -> Self {
        assert_eq!(
            self.child.try_wait().unwrap(),
            None,
            "{} ended by itself",
            self.name
        );
        self.child.kill().unwrap();
        self
    }

    /// Waits until the worker has ended by itself, and reads its report.
    fn report(mut self) -> Tally {
        let mut out = String::new();
        self.child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut out)
            .unwrap();
        assert!(
            self.child.wait().unwrap().success(),
            "{} failed: {out}",
            self.name
        );
        let report = out.lines().find_map(|line| line.strip_prefix("report "));
        let numbers: Vec<u64> = report
            .unwrap()
            .split(' ')
            .map(|number| number.parse().unwrap())
            .collect();
        let [messages, bytes] = numbers[..] else {
            panic!("{out}")
        };
        Tally { messages, bytes }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Load {
    fn start(push: &Push, who: u8) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (push, stopped) = (push.clone(), Arc::clone(&stop));
        let sender = thread::spawn(move || {
            let mut sent = 0;
            while !stopped.load(Ordering::Relaxed) {
                push.send_timeout(numbered(who, sent), LONG).unwrap();
                sent += 1;
            }
            sent
        });
        Self { stop, sender }
    }

    fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.sender.join().unwrap()
    }
}

/// A message that shows where it belongs and whether it is whole: its sender, its number, and as many bytes of padding
/// as follow from the number.
fn numbered(who: u8, number: u64) -> Message {
    let padding = vec![number.to_le_bytes()[0]; (number % 97) as usize];
    Message::from_iter([&[who][..], &number.to_be_bytes(), &padding])
}

/// Runs a script on a thread of its own, and fails if it does not come to its end.
fn bounded(script: impl FnOnce() + Send + 'static) {
    let (done, end) = mpsc::channel();
    let runner = thread::spawn(move || {
        script();
        let _ = done.send(());
    });
    if end.recv_timeout(SCRIPT) == Err(RecvTimeoutError::Timeout) {
        panic!("hangs: not done after {SCRIPT:?}");
    }
    if let Err(panic) = runner.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Not a test but what a worker process does; without orders it is empty.
#[test]
fn worker() {
    let Ok(orders) = std::env::var(ORDERS) else { return };
    let [role, endpoint, name] = orders.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{orders}")
    };
    let pull = Pull::builder().property(NAME, name.to_owned()).unwrap().build();
    let monitor = pull.monitor();
    match role {
        "bind" => drop(pull.bind(endpoint).unwrap()),
        _ => pull.connect(endpoint).unwrap(),
    }
    let tally = receive_until_the_sender_has_gone(&pull, &monitor);
    // Written past the harness, which has printed the beginning of a line.
    let report = format!("\nreport {} {}\n", tally.messages, tally.bytes);
    std::io::stdout().write_all(report.as_bytes()).unwrap();
}

fn receive_until_the_sender_has_gone(pull: &Pull, monitor: &Monitor) -> Tally {
    let mut tally = Tally::default();
    let mut next = HashMap::new();
    let start = Instant::now();
    let mut connected = false;
    loop {
        // Whatever was sent before the end was noticed has come in before it.
        let gone = std::iter::from_fn(|| monitor.try_recv().ok()).any(|event| {
            connected |= matches!(event, Event::HandshakeDone { .. });
            matches!(event, Event::Disconnected { .. })
        });
        while let Ok(message) = pull.recv_timeout(Duration::from_millis(5)) {
            check(&message, &mut next);
            tally.messages += 1;
            tally.bytes += message.byte_len() as u64;
        }
        if gone {
            return tally;
        }
        assert!(connected || start.elapsed() < LONG, "nobody wants this worker");
    }
}

/// A message must be whole, and later in its sender's order than the one before.
fn check(message: &Message, next: &mut HashMap<u8, u64>) {
    let who = message[0][0];
    let number = u64::from_be_bytes(message[1][..].try_into().unwrap());
    assert_eq!(*message, numbered(who, number));
    let next = next.entry(who).or_default();
    assert!(number >= *next, "number {number} of {who} came after {next}");
    *next = number + 1;
}

/// What the sender knows of its workers from the events of its socket.
struct Watch {
    monitor: Monitor,
    /// Names of those whose handshake is done.
    greeted: Vec<String>,
    losses: u64,
    in_doubt: u64,
}

impl Watch {
    fn new(push: &Push) -> Self {
        Self {
            monitor: push.monitor(),
            greeted: Vec::new(),
            losses: 0,
            in_doubt: 0,
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::HandshakeDone { info, .. } => {
                let name = String::from_utf8(info.property(NAME).unwrap().to_vec()).unwrap();
                self.greeted.push(name);
            }
            Event::Disconnected { in_doubt, .. } => {
                self.losses += 1;
                self.in_doubt += in_doubt;
            }
            _ => {}
        }
    }

    /// Reads events until the condition holds.
    fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + LONG;
        while !holds(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.monitor.recv_timeout(left) {
                Ok(event) => self.take(event),
                Err(error) => panic!("{error} while waiting: {what}"),
            }
        }
    }
}

/// Stops the load, waits until everything is handed over, and compares what each survivor received with what the
/// sender says was handed to its connection.
fn settle(
    push: Push,
    crew: Vec<Worker>,
    loads: Vec<Load>,
    name_of: impl Fn(&PeerStats) -> String,
) -> CloseReport {
    let sent: u64 = loads.into_iter().map(Load::finish).sum();
    eventually("all is handed over", || push.stats().total.queued == 0);
    let stats = push.stats();
    assert_eq!(stats.total.accepted.messages, sent);
    assert_eq!(stats.monitor_dropped, 0);
    assert!(stats.total.adds_up(), "{stats:?}");
    let handed: HashMap<_, _> = stats
        .peers
        .iter()
        .map(|peer| (name_of(peer), peer.traffic.clone()))
        .collect();
    assert_eq!(handed.len(), CREW, "{stats:?}");
    let report = push.close();
    assert!(report.returned.is_empty());
    assert!(report.total.adds_up(), "{report:?}");
    for worker in crew {
        let name = worker.name.clone();
        let tally = worker.report();
        let traffic = &handed[&name];
        assert_eq!(
            tally.messages,
            traffic.handed.messages - traffic.in_doubt,
            "{name}: {traffic:?}"
        );
        if traffic.in_doubt == 0 {
            assert_eq!(tally.bytes, traffic.handed.bytes, "{name}");
        }
    }
    report
}

/// Workers connect to the sender; the queue of one that dies is dropped and counted, as RFC 30 has it.
#[test]
fn a_bound_sender_survives_a_hundred_kills() {
    const KILLS: usize = 100;
    bounded(|| {
        // Little room for bytes under way, so that queues build up.
        let push = Push::builder().send_hwm(200).send_buffer(Some(8192)).build();
        let mut watch = Watch::new(&push);
        let endpoint = push.bind("tcp://127.0.0.1:0").unwrap().to_string();
        let spawn = || Worker::spawn("connect", &endpoint);
        let mut crew: Vec<_> = std::iter::repeat_with(spawn).take(CREW).collect();
        push.wait_for_peers(CREW, LONG).unwrap();
        let loads: Vec<_> = [0, 1].map(|who| Load::start(&push, who)).into();
        let mut killed = Vec::new();
        for kill in 0..KILLS {
            let victim = crew.swap_remove(kill % CREW);
            // Most die while they receive; some are frozen first, until a queue has built up for them.
            let frozen = kill % 5 == 0;
            if frozen {
                victim.freeze();
            }
            eventually("the victim is busy", || {
                let stats = push.stats();
                assert!(stats.total.adds_up(), "{stats:?}");
                let is_busy =
                    |traffic: &Traffic| traffic.handed.messages > 100 && (!frozen || traffic.queued > 100);
                let mut peers = stats.peers.iter();
                peers.any(|peer| name_of(peer) == victim.name && is_busy(&peer.traffic))
            });
            killed.push(victim.kill());
            crew.push(spawn());
            let newcomer = &crew[CREW - 1].name;
            watch.until("the newcomer is greeted", |watch| {
                watch.greeted.contains(newcomer)
            });
            assert!(push.stats().total.adds_up(), "{:?}", push.stats());
        }
        watch.until("every loss is noticed", |watch| watch.losses == KILLS as u64);
        let total = push.stats().total;
        assert_eq!(total.in_doubt, watch.in_doubt, "{total:?}");
        assert!(
            total.in_doubt > 100 * KILLS as u64,
            "the victims were busy: {total:?}"
        );
        let report = settle(push, crew, loads, name_of);
        let dropped = report.total.dropped;
        assert_eq!(dropped.total(), dropped.of(DropReason::PeerGone), "{dropped:?}");
        assert!(
            dropped.total() > 100 * KILLS as u64 / 5,
            "those frozen had a queue: {dropped:?}"
        );
    });
}

fn name_of(peer: &PeerStats) -> String {
    let name = peer.info.as_ref().and_then(|info| info.property(NAME));
    String::from_utf8_lossy(name.unwrap_or_default()).into_owned()
}

/// The sender connects to its workers; what is queued for one that dies goes to the one that takes its place.
#[test]
fn a_connecting_sender_loses_nothing_that_it_has_not_handed_over() {
    const KILLS: usize = 40;
    bounded(|| {
        let home = tempfile::tempdir().unwrap();
        let places: [_; CREW] =
            std::array::from_fn(|place| format!("ipc://{}", home.path().join(place.to_string()).display()));
        let builder = Push::builder().reconnect_interval(Some(Duration::from_millis(5)));
        let push = builder.reconnect_interval_max(Duration::from_millis(50)).build();
        let mut watch = Watch::new(&push);
        let mut crew: Vec<_> = places.iter().map(|place| Worker::spawn("bind", place)).collect();
        places.iter().for_each(|place| push.connect(place).unwrap());
        push.wait_for_peers(CREW, LONG).unwrap();
        let loads: Vec<_> = [0, 1].map(|who| Load::start(&push, who)).into();
        for kill in 0..KILLS {
            let place = kill % CREW;
            // It is dead before its successor takes its place.
            drop(crew.remove(place).kill());
            crew.insert(place, Worker::spawn("bind", &places[place]));
            let newcomer = &crew[place].name;
            watch.until("the newcomer is greeted", |watch| {
                watch.greeted.contains(newcomer)
            });
            assert!(push.stats().total.adds_up(), "{:?}", push.stats());
        }
        watch.until("every loss is noticed", |watch| watch.losses == KILLS as u64);
        assert_eq!(push.stats().total.in_doubt, watch.in_doubt);
        let report = settle(push, crew, loads, name_of);
        assert_eq!(report.total.dropped.total(), 0, "{report:?}");
    });
}
