//! Signs of life in both directions. Here it is time itself that is tested, so these tests let some pass.

use std::time::{Duration, Instant};

use aqueduct::{DisconnectReason, Event, Monitor, Pull, Push};
use aqueduct_interop::{Cable, Classic, LONG, Wiring, await_event, bounded, single};
use zmq::{Socket, SocketEvent};

const INTERVAL: Duration = Duration::from_millis(50);
const TIMEOUT: Duration = Duration::from_millis(400);

/// Several timeouts.
const IDLE: Duration = Duration::from_millis(1600);

/// What libzmq says when a connection is lost or made again.
const CHANGES: [SocketEvent; 3] = [
    SocketEvent::DISCONNECTED,
    SocketEvent::CONNECT_RETRIED,
    SocketEvent::ACCEPTED,
];

/// Asks often, and gives up soon.
fn anxious(socket: &Socket) -> zmq::Result<()> {
    socket.set_heartbeat_ivl(INTERVAL.as_millis() as i32)?;
    socket.set_heartbeat_timeout(TIMEOUT.as_millis() as i32)?;
    socket.set_heartbeat_ttl(TIMEOUT.as_millis() as i32)
}

/// A PULL of ours that asks often and gives up soon, or not at all.
fn pull(anxious: bool) -> Pull {
    let builder = Pull::builder()
        .recv_timeout(Some(LONG))
        .heartbeat_timeout(TIMEOUT);
    let ttl = anxious.then_some(TIMEOUT);
    builder
        .heartbeat_interval(anxious.then_some(INTERVAL))
        .heartbeat_ttl(ttl)
        .build()
}

/// Drops the events of the beginning.
fn await_handshake(monitor: &Monitor) {
    await_event(monitor, "handshake", |event| {
        matches!(event, Event::HandshakeDone { .. }).then_some(())
    });
}

/// The next connection that was up and is lost: why.
fn await_loss(monitor: &Monitor) -> DisconnectReason {
    await_event(monitor, "loss of the connection", |event| match event {
        Event::Disconnected { reason, .. } => Some(reason.clone()),
        _ => None,
    })
}

#[test]
fn an_anxious_classic_push_keeps_our_idle_pull() {
    Wiring::all_at_once(|wiring| {
        let (push, pull) = (Classic::with(zmq::PUSH, anxious), pull(false));
        let monitor = pull.monitor();
        let witness = push.witness();
        let _wired = wiring.inwards(&push, &pull);
        await_handshake(&monitor);
        witness.expect(SocketEvent::HANDSHAKE_SUCCEEDED);
        // Nobody calls into our library meanwhile: the I/O thread is on its own.
        assert_eq!(witness.sees(&CHANGES, IDLE), None);
        push.send(b"still here");
        assert_eq!(pull.recv().unwrap(), "still here");
        assert_eq!(
            monitor.try_recv().ok(),
            None,
            "nothing happened to the connection"
        );
    });
}

#[test]
fn an_anxious_pull_of_ours_keeps_an_idle_classic_push() {
    Wiring::all_at_once(|wiring| {
        let (push, pull) = (Classic::new(zmq::PUSH), pull(true));
        let monitor = pull.monitor();
        let _wired = wiring.inwards(&push, &pull);
        await_handshake(&monitor);
        // This time the application waits inside, and drives the connections itself.
        assert_eq!(pull.recv_timeout(IDLE).ok(), None);
        assert_eq!(
            monitor.try_recv().ok(),
            None,
            "nothing happened to the connection"
        );
        push.send(b"still here");
        assert_eq!(pull.recv().unwrap(), "still here");
    });
}

#[test]
fn an_anxious_push_of_ours_keeps_an_idle_anxious_classic_pull() {
    Wiring::all_at_once(|wiring| {
        let builder = Push::builder()
            .heartbeat_interval(Some(INTERVAL))
            .heartbeat_timeout(TIMEOUT);
        let push = builder.heartbeat_ttl(Some(TIMEOUT)).build();
        let pull = Classic::with(zmq::PULL, anxious);
        let monitor = push.monitor();
        let witness = pull.witness();
        let _wired = wiring.outwards(&push, &pull);
        await_handshake(&monitor);
        witness.expect(SocketEvent::HANDSHAKE_SUCCEEDED);
        assert_eq!(witness.sees(&CHANGES, IDLE), None);
        push.send("still here").unwrap();
        assert_eq!(pull.recv(), b"still here");
        assert_eq!(
            monitor.try_recv().ok(),
            None,
            "nothing happened to the connection"
        );
    });
}

#[test]
fn heartbeats_go_on_while_messages_flow() {
    Wiring::all_at_once(|wiring| {
        let (push, pull) = (Classic::with(zmq::PUSH, anxious), pull(true));
        let monitor = pull.monitor();
        push.witness();
        let _wired = wiring.inwards(&push, &pull);
        await_handshake(&monitor);
        push.witness().expect(SocketEvent::HANDSHAKE_SUCCEEDED);
        let start = Instant::now();
        let sender = std::thread::spawn(move || {
            let mut sent = 0u64;
            while start.elapsed() < IDLE {
                push.send(&sent.to_be_bytes());
                sent += 1;
            }
            push.send(b"end");
            (push, sent)
        });
        let mut next = 0u64;
        loop {
            let message = pull.recv().unwrap();
            if message == "end" {
                break;
            }
            assert_eq!(single(&message), next.to_be_bytes());
            next += 1;
        }
        let (push, sent) = sender.join().unwrap();
        assert_eq!(next, sent);
        assert_eq!(push.witness().sees(&CHANGES, Duration::ZERO), None);
        assert_eq!(
            monitor.try_recv().ok(),
            None,
            "nothing happened to the connection"
        );
    });
}

/// A PULL that does not read does not see the PINGs of its peer either; its own must keep the peer from giving up.
#[test]
fn an_anxious_classic_push_keeps_our_pull_that_has_no_room() {
    Wiring::all_at_once(|wiring| {
        let push = Classic::with(zmq::PUSH, |socket| {
            socket.set_sndhwm(10)?;
            anxious(socket)
        });
        let builder = Pull::builder()
            .recv_timeout(Some(LONG))
            .recv_hwm(10)
            .recv_buffer(Some(8192));
        let pull = builder
            .heartbeat_interval(Some(INTERVAL))
            .heartbeat_timeout(TIMEOUT)
            .build();
        let monitor = pull.monitor();
        let witness = push.witness();
        let _wired = wiring.inwards(&push, &pull);
        await_handshake(&monitor);
        witness.expect(SocketEvent::HANDSHAKE_SUCCEEDED);
        let mut sent = 0u32;
        let filler = [0; 4000];
        while push.send_within(&[&sent.to_be_bytes()[..], &filler].concat(), INTERVAL) {
            sent += 1;
        }
        assert_eq!(witness.sees(&CHANGES, IDLE), None);
        for number in 0..sent {
            assert_eq!(single(&pull.recv().unwrap())[..4], number.to_be_bytes());
        }
        assert_eq!(
            monitor.try_recv().ok(),
            None,
            "nothing happened to the connection"
        );
    });
}

#[test]
fn a_classic_peer_that_vanishes_is_given_up() {
    bounded(|| {
        let push = Classic::new(zmq::PUSH);
        let cable = Cable::to(&push.bind("tcp://127.0.0.1:*"));
        let pull = pull(true);
        let monitor = pull.monitor();
        pull.connect(cable.endpoint()).unwrap();
        push.send(b"hello");
        assert_eq!(pull.recv().unwrap(), "hello");
        cable.cut();
        let start = Instant::now();
        let what = "answer to a PING";
        assert_eq!(
            await_loss(&monitor),
            DisconnectReason::TimedOut { what, limit: TIMEOUT }
        );
        assert!(
            start.elapsed() >= TIMEOUT,
            "not before its time: {:?}",
            start.elapsed()
        );
    });
}

#[test]
fn a_classic_peer_that_vanishes_is_given_up_after_the_time_that_it_set() {
    bounded(|| {
        // Ours never asks: it is the TTL in the classic peer's PING that counts.
        let pull = pull(false);
        let monitor = pull.monitor();
        let endpoint = pull.bind("tcp://127.0.0.1:0").unwrap().to_string();
        let cable = Cable::to(&endpoint);
        let push = Classic::with(zmq::PUSH, anxious);
        push.connect(cable.endpoint());
        push.send(b"hello");
        assert_eq!(pull.recv().unwrap(), "hello");
        // The first PING has come when libzmq has stayed for longer than it would without our answer.
        assert_eq!(push.witness().sees(&CHANGES, 2 * TIMEOUT), None);
        cable.cut();
        let what = "silence after the peer's PING";
        assert_eq!(
            await_loss(&monitor),
            DisconnectReason::TimedOut { what, limit: TIMEOUT }
        );
    });
}

#[test]
fn a_classic_peer_gives_us_up_after_the_time_that_we_set() {
    bounded(|| {
        // The classic PULL never asks: it is the TTL in our PING that counts. Ours is patient, and keeps silent about it.
        let pull = Classic::new(zmq::PULL);
        let witness = pull.witness();
        let cable = Cable::to(&pull.bind("tcp://127.0.0.1:*"));
        let builder = Push::builder()
            .heartbeat_interval(Some(INTERVAL))
            .heartbeat_timeout(LONG);
        let push = builder
            .heartbeat_ttl(Some(TIMEOUT))
            .linger(Some(Duration::ZERO))
            .build();
        push.connect(cable.endpoint()).unwrap();
        push.send("hello").unwrap();
        assert_eq!(pull.recv(), b"hello");
        assert_eq!(witness.sees(&[SocketEvent::DISCONNECTED], IDLE), None);
        cable.cut();
        witness.expect(SocketEvent::DISCONNECTED);
    });
}
