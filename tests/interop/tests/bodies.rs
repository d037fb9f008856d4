//! Bodies of every size that has a border in the protocol or in either library, and messages of many frames.

use aqueduct::Message;
use aqueduct_interop::{Classic, Wiring, pull, push, single};

/// Around the short frame (255), the batches of libzmq (8,192), and beyond every buffer.
const SIZES: [usize; 8] = [0, 1, 255, 256, 8191, 8192, 65_536, 64 << 20];

/// A body of this size that differs from one of another size, and from itself when shifted.
fn patterned(size: usize) -> Vec<u8> {
    let unit: Vec<u8> = (0..=250u8).map(|at| at ^ size.to_le_bytes()[0]).collect();
    let mut body = unit.repeat(size / unit.len() + 1);
    body.truncate(size);
    body
}

fn thousand_frames() -> Vec<Vec<u8>> {
    (0..1000).map(|at| patterned(at % 300)).collect()
}

#[test]
fn bodies_of_every_size_reach_a_classic_pull() {
    Wiring::each(|wiring| {
        let (push, pull) = (push(), Classic::new(zmq::PULL));
        let _wired = wiring.outwards(&push, &pull);
        for size in SIZES {
            push.send(patterned(size)).unwrap();
            assert!(pull.recv() == patterned(size), "{size} bytes");
        }
        let report = push.close();
        assert_eq!(report.total.handed.messages, SIZES.len() as u64, "{report:?}");
    });
}

#[test]
fn bodies_of_every_size_come_from_a_classic_push() {
    Wiring::each(|wiring| {
        let (push, pull) = (Classic::new(zmq::PUSH), pull());
        let _wired = wiring.inwards(&push, &pull);
        for size in SIZES {
            push.send(&patterned(size));
            let message = pull.recv().unwrap();
            assert!(single(&message) == patterned(size), "{size} bytes");
        }
        let bytes: usize = SIZES.iter().sum();
        assert_eq!(pull.stats().total.received.bytes, bytes as u64);
    });
}

#[test]
fn all_sizes_at_once_keep_their_order_towards_a_classic_pull() {
    Wiring::each(|wiring| {
        let (push, pull) = (push(), Classic::new(zmq::PULL));
        let _wired = wiring.outwards(&push, &pull);
        // The large one last, and once more small ones behind it.
        for size in SIZES.into_iter().chain(SIZES.into_iter().take(7)) {
            push.send(patterned(size)).unwrap();
        }
        for size in SIZES.into_iter().chain(SIZES.into_iter().take(7)) {
            assert!(pull.recv() == patterned(size), "{size} bytes");
        }
    });
}

#[test]
fn a_thousand_frames_reach_a_classic_pull_as_one_message() {
    Wiring::each(|wiring| {
        let (push, pull) = (push(), Classic::new(zmq::PULL));
        let _wired = wiring.outwards(&push, &pull);
        for _ in 0..3 {
            push.send(Message::from_iter(thousand_frames())).unwrap();
        }
        push.send("and one").unwrap();
        for _ in 0..3 {
            assert_eq!(pull.recv_frames(), thousand_frames());
        }
        assert_eq!(pull.recv(), b"and one");
    });
}

#[test]
fn a_thousand_frames_come_from_a_classic_push_as_one_message() {
    Wiring::each(|wiring| {
        let (push, pull) = (Classic::new(zmq::PUSH), pull());
        let _wired = wiring.inwards(&push, &pull);
        for _ in 0..3 {
            push.send_frames(&thousand_frames());
        }
        push.send(b"and one");
        for _ in 0..3 {
            assert_eq!(pull.recv().unwrap(), Message::from_iter(thousand_frames()));
        }
        assert_eq!(pull.recv().unwrap(), "and one");
        assert_eq!(pull.stats().total.received.messages, 4);
    });
}
