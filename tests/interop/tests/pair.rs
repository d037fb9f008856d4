//! PAIR with a PAIR of the other library: one peer at a time, and the next one when the first is gone.

use aqueduct::{DisconnectReason, Event, Pair, TryRecvError};
use aqueduct_interop::{
    Bound, Classic, LONG, Link, Via, Wiring, await_event, await_loss, bounded, keen, single,
};
use zmq::SocketEvent;

fn pair() -> Pair {
    keen(Pair::builder()).build()
}

#[test]
fn a_second_classic_pair_is_refused_visibly_and_the_first_goes_on() {
    Link::each(|link| {
        let (ours, first, second) = (pair(), Classic::new(zmq::PAIR), Classic::new(zmq::PAIR));
        let monitor = ours.monitor();
        let wired = link.bind(&ours);
        first.connect(&wired.endpoint);
        first.send(b"I am first");
        assert_eq!(ours.recv().unwrap(), "I am first");

        let witness = second.witness();
        second.connect(&wired.endpoint);
        let reason = await_event(&monitor, "refusal", |event| match event {
            Event::HandshakeFailed { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        assert_eq!(
            reason,
            DisconnectReason::Rejected("a PAIR has one peer at a time")
        );
        witness.expect(SocketEvent::DISCONNECTED);
        for round in 0..100u8 {
            first.send(&[round]);
            let message = ours.recv().unwrap();
            assert_eq!(single(&message), [round]);
            ours.send(message).unwrap();
            assert_eq!(first.recv(), [round]);
        }
        assert_eq!(ours.stats().peers.len(), 1, "the refused one left nothing");

        drop(first);
        // The second one has tried on.
        await_event(&monitor, "admission", |event| {
            matches!(event, Event::HandshakeDone { .. }).then_some(())
        });
        ours.send("welcome").unwrap();
        assert_eq!(second.recv(), b"welcome");
        second.send(b"thank you");
        assert_eq!(ours.recv().unwrap(), "thank you");
    });
}

#[test]
fn our_second_pair_is_not_heard_by_a_classic_one_and_the_first_goes_on() {
    Link::each(|link| {
        let (classic, first, second) = (Classic::new(zmq::PAIR), pair(), pair());
        let wired = link.bind(&classic);
        first.connect(wired.endpoint.as_str()).unwrap();
        first.send("I am first").unwrap();
        assert_eq!(classic.recv(), b"I am first");

        // libzmq keeps the connection, and never reads from it.
        second.connect(wired.endpoint.as_str()).unwrap();
        second.wait_for_peers(1, LONG).unwrap();
        second.send("do you hear me?").unwrap();
        for round in 0..100u8 {
            classic.send(&[round]);
            let message = first.recv().unwrap();
            assert_eq!(single(&message), [round]);
            first.send(message).unwrap();
            assert_eq!(classic.recv(), [round]);
        }
        assert_eq!(second.try_recv(), Err(TryRecvError::Empty));
    });
}

#[test]
fn our_pair_keeps_its_queue_while_a_bound_classic_pair_restarts() {
    bounded(|| {
        for via in Via::ALL {
            let (ours, classic) = (pair(), Classic::new(zmq::PAIR));
            let monitor = ours.monitor();
            let bound = Bound::Classic;
            let wired = Wiring { via, bound }.join(&ours, &classic);
            ours.send("before").unwrap();
            assert_eq!(classic.recv(), b"before");
            drop(classic);
            await_loss(&monitor);
            (0..100u8).for_each(|number| ours.send([number]).unwrap());

            let classic = Classic::new(zmq::PAIR);
            assert_eq!(classic.bind(&wired.endpoint), wired.endpoint);
            for number in 0..100u8 {
                assert_eq!(classic.recv(), [number]);
            }
            classic.send(b"all here");
            assert_eq!(ours.recv().unwrap(), "all here");
        }
    });
}

#[test]
fn our_bound_pair_reads_what_a_classic_one_left_before_it_hears_the_next() {
    Link::each(|link| {
        let ours = pair();
        let monitor = ours.monitor();
        let wired = link.bind(&ours);
        for round in 0..5u8 {
            let classic = Classic::new(zmq::PAIR);
            classic.connect(&wired.endpoint);
            classic.send(&[round]);
            classic.send(b"bye");
            drop(classic);
            await_loss(&monitor);
            assert_eq!(ours.recv().unwrap(), [round]);
            assert_eq!(ours.recv().unwrap(), "bye");
        }
    });
}
