//! Many messages: 100,000 each way at once, and more than the receiver cares to read.

use std::thread;
use std::time::Duration;

use aqueduct::{Pull, Push, SendError};
use aqueduct_interop::{Checksum, Classic, Via, Wiring, body, bounded, pull, push, single};

const COUNT: u32 = 100_000;

/// Large enough that few of them fill what the system keeps for a connection.
const BULK: usize = 8000;

/// The most messages that queues of 100 at either end and the system's buffers in between may take: the buffers are
/// asked to be 64 KiB, the system doubles that, and each library has a batch or two under way.
const BOUND: u32 = 100 + 100 + 150;

/// After a pause of this length a sender is taken to be held back. A shorter one is a weaker test, not a false one.
const HELD_BACK: Duration = Duration::from_millis(300);

const BUFFER: usize = 65_536;

fn expected() -> Checksum {
    let mut checksum = Checksum::default();
    (0..COUNT).for_each(|number| checksum.add(&body(number)));
    checksum
}

#[test]
fn a_hundred_thousand_messages_each_way_at_once() {
    Wiring::each(|wiring| {
        let (to_them, classic_pull) = (push(), Classic::new(zmq::PULL));
        let (classic_push, from_them) = (Classic::new(zmq::PUSH), pull());
        let _wired = [
            wiring.outwards(&to_them, &classic_pull),
            wiring.inwards(&classic_push, &from_them),
        ];
        let senders = [
            thread::spawn(move || {
                (0..COUNT).for_each(|number| to_them.send(body(number)).unwrap());
                let report = to_them.close();
                assert_eq!(report.total.handed.messages, u64::from(COUNT), "{report:?}");
            }),
            thread::spawn(move || (0..COUNT).for_each(|number| classic_push.send(&body(number)))),
        ];
        let theirs = thread::spawn(move || {
            let mut checksum = Checksum::default();
            (0..COUNT).for_each(|_| checksum.add(&classic_pull.recv()));
            checksum
        });
        let mut ours = Checksum::default();
        (0..COUNT).for_each(|_| ours.add(single(&from_them.recv().unwrap())));
        assert_eq!(ours, expected());
        assert_eq!(theirs.join().unwrap(), expected());
        senders.into_iter().for_each(|sender| sender.join().unwrap());
    });
}

fn bulk(number: u32) -> Vec<u8> {
    let mut bulk = body(number);
    bulk.resize(BULK, 0);
    bulk
}

#[test]
fn a_classic_push_is_held_back_by_our_pull() {
    Wiring::each(|wiring| {
        let push = Classic::with(zmq::PUSH, |socket| {
            socket.set_sndhwm(100)?;
            socket.set_sndbuf(BUFFER as i32)
        });
        let builder = Pull::builder().recv_hwm(100).recv_buffer(Some(BUFFER));
        let pull = builder.recv_timeout(Some(aqueduct_interop::LONG)).build();
        let _wired = wiring.inwards(&push, &pull);
        let sent = (0..)
            .take_while(|number| push.send_within(&bulk(*number), HELD_BACK))
            .count() as u32;
        assert!((150..=BOUND).contains(&sent), "{sent} messages were taken");
        assert_eq!(pull.stats().total.unread, 100, "the high-water mark is exact");
        for number in 0..sent {
            assert!(pull.recv().unwrap() == bulk(number), "number {number}");
        }
        // What held it back is gone.
        assert!(push.send_within(b"on we go", aqueduct_interop::LONG));
        assert_eq!(pull.recv().unwrap(), "on we go");
        assert!(pull.stats().total.unread_peak <= 100, "{:?}", pull.stats());
    });
}

#[test]
fn our_push_is_held_back_by_a_classic_pull() {
    Wiring::each(|wiring| {
        let pull = Classic::with(zmq::PULL, |socket| {
            socket.set_rcvhwm(100)?;
            socket.set_rcvbuf(BUFFER as i32)
        });
        let push = Push::builder().send_hwm(100).send_buffer(Some(BUFFER)).build();
        let _wired = wiring.outwards(&push, &pull);
        let mut sent = 0;
        let refused = loop {
            match push.send_timeout(bulk(sent), HELD_BACK) {
                Ok(()) => sent += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(refused, SendError::Timeout(bulk(sent).into()));
        assert!((150..=BOUND).contains(&sent), "{sent} messages were taken");
        let stats = push.stats().total;
        // A queue that was full takes more when it is half empty.
        assert!((51..=100).contains(&stats.queued), "{stats:?}");
        assert_eq!(stats.queued_peak, 100, "the high-water mark is exact");
        assert!(stats.adds_up(), "{stats:?}");
        for number in 0..sent {
            assert!(pull.recv() == bulk(number), "number {number}");
        }
        push.send_timeout("on we go", aqueduct_interop::LONG).unwrap();
        assert_eq!(pull.recv(), b"on we go");
    });
}

#[test]
fn several_classic_pushes_are_served_in_turn() {
    bounded(|| {
        for via in Via::ALL {
            let pull = pull();
            let (anywhere, _home) = via.anywhere();
            let endpoint = pull.bind(&anywhere).unwrap().to_string();
            let pushes = [0, 1, 2, 3].map(|_| Classic::new(zmq::PUSH));
            pushes.iter().for_each(|push| push.connect(&endpoint));
            pull.wait_for_peers(4, aqueduct_interop::LONG).unwrap();
            for (who, push) in pushes.iter().enumerate() {
                (0..500u32).for_each(|number| push.send(&[&[who as u8][..], &number.to_be_bytes()].concat()));
            }
            let mut next = [0u32; 4];
            for _ in 0..4 * 500 {
                let message = pull.recv().unwrap();
                let (&who, number) = single(&message).split_first().unwrap();
                let next = &mut next[usize::from(who)];
                assert_eq!(number, next.to_be_bytes(), "each sender's own order");
                *next += 1;
            }
            assert_eq!(next, [500; 4]);
        }
    });
}
