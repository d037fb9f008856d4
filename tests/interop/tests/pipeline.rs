//! Pipelines through both libraries: classic, ours, classic, and the other way round; every message comes out once.

use std::thread;

use aqueduct::{Pull, Push};
use aqueduct_interop::{Classic, LONG, Via, bounded, pull, push, single};

const COUNT: u32 = 10_000;
const WORKERS: usize = 3;

/// What a worker makes of a number.
fn worked(body: &[u8]) -> [u8; 8] {
    let number = u32::from_be_bytes(body.try_into().expect("a number"));
    (u64::from(number) * 3).to_be_bytes()
}

/// Checks that each result came exactly once.
struct Results(Vec<u32>);

impl Results {
    fn new() -> Self {
        Self(vec![0; COUNT as usize])
    }

    fn add(&mut self, body: &[u8]) {
        let tripled = u64::from_be_bytes(body.try_into().expect("a result"));
        assert_eq!(tripled % 3, 0);
        self.0[(tripled / 3) as usize] += 1;
    }

    fn check(&self) {
        let wrong: Vec<_> = self
            .0
            .iter()
            .enumerate()
            .filter(|(_, times)| **times != 1)
            .take(5)
            .collect();
        assert!(wrong.is_empty(), "lost or doubled (number, times): {wrong:?}");
    }
}

#[test]
fn classic_to_our_workers_to_classic() {
    bounded(|| {
        for (front, back) in [(Via::Tcp, Via::Ipc), (Via::Ipc, Via::Tcp)] {
            let (ventilator, sink) = (Classic::new(zmq::PUSH), Classic::new(zmq::PULL));
            let (front, _home) = front.anywhere();
            let (back, _home) = back.anywhere();
            let (tasks, results) = (ventilator.bind(&front), sink.bind(&back));
            let workers: Vec<_> = (0..WORKERS).map(|_| our_worker(&tasks, &results)).collect();
            for (input, _, _) in &workers {
                // Otherwise the first worker might have done everything before the last one comes.
                input.wait_for_peers(1, LONG).unwrap();
            }
            let feeder = thread::spawn(move || {
                (0..COUNT).for_each(|number| ventilator.send(&number.to_be_bytes()));
                ventilator
            });
            let mut seen = Results::new();
            (0..COUNT).for_each(|_| seen.add(&sink.recv()));
            seen.check();
            let done = workers.into_iter().map(|(input, output, worker)| {
                drop(input.close());
                worker.join().unwrap();
                let total = output.close().total;
                assert!(total.adds_up(), "{total:?}");
                assert!(total.handed.messages > 0, "each worker has its share");
                total.handed.messages
            });
            assert_eq!(done.sum::<u64>(), u64::from(COUNT));
            drop(feeder.join().unwrap());
        }
    });
}

/// Starts a worker of ours; closing its PULL ends it.
fn our_worker(tasks: &str, results: &str) -> (Pull, Push, thread::JoinHandle<()>) {
    let (input, output) = (pull(), push());
    input.connect(tasks).unwrap();
    output.connect(results).unwrap();
    let (source, target) = (input.clone(), output.clone());
    let worker = thread::spawn(move || {
        while let Ok(message) = source.recv() {
            target.send(worked(single(&message))).unwrap();
        }
    });
    (input, output, worker)
}

#[test]
fn ours_to_classic_workers_to_ours() {
    bounded(|| {
        for (front, back) in [(Via::Tcp, Via::Ipc), (Via::Ipc, Via::Tcp)] {
            let (ventilator, sink) = (push(), pull());
            let (front, _home) = front.anywhere();
            let (back, _home) = back.anywhere();
            let tasks = ventilator.bind(&front).unwrap().to_string();
            let results = sink.bind(&back).unwrap().to_string();
            let workers: Vec<_> = (0..WORKERS).map(|_| classic_worker(&tasks, &results)).collect();
            ventilator.wait_for_peers(WORKERS, LONG).unwrap();
            sink.wait_for_peers(WORKERS, LONG).unwrap();
            let feeder = thread::spawn(move || {
                (0..COUNT).for_each(|number| ventilator.send(number.to_be_bytes()).unwrap());
                let stats = ventilator.stats();
                // An empty message is a worker's leave to go; one goes to each, as they take turns.
                (0..WORKERS).for_each(|_| ventilator.send("").unwrap());
                (ventilator, stats)
            });
            let mut seen = Results::new();
            (0..COUNT).for_each(|_| seen.add(single(&sink.recv().unwrap())));
            seen.check();
            let (ventilator, stats) = feeder.join().unwrap();
            assert_eq!(stats.total.accepted.messages, u64::from(COUNT));
            assert!(stats.total.adds_up(), "{stats:?}");
            assert_eq!(sink.stats().total.received.messages, u64::from(COUNT));
            drop(ventilator);
            workers.into_iter().for_each(|worker| worker.join().unwrap());
        }
    });
}

/// Starts a worker of libzmq, which works until it gets an empty message.
fn classic_worker(tasks: &str, results: &str) -> thread::JoinHandle<()> {
    let (input, output) = (Classic::new(zmq::PULL), Classic::new(zmq::PUSH));
    input.connect(tasks);
    output.connect(results);
    thread::spawn(move || {
        loop {
            let body = input.recv();
            if body.is_empty() {
                break;
            }
            output.send(&worked(&body));
        }
    })
}
