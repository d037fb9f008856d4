//! Messages: of any shape and number, from and to any number of threads.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod support;

use std::collections::HashSet;
use std::thread;
use std::time::Duration;

use aqueduct::{Context, DisconnectReason, Message, Pull, Push};
use support::*;

const SHORT: Option<Duration> = Some(Duration::from_millis(5));

#[test]
fn one_thread_can_be_both_ends() {
    const ROUNDS: u32 = 1000;
    const EACH: u32 = 7;
    for transport in Transport::ALL {
        let (push, pull) = (Push::new(), Pull::new());
        marry(&push, &pull, transport);
        for round in 0..ROUNDS {
            let numbers = || (round * EACH..(round + 1) * EACH).map(u32::to_le_bytes);
            numbers().for_each(|number| push.send(number).unwrap());
            numbers().for_each(|number| assert_eq!(recv(&pull), number, "{transport:?}"));
        }
        let total = push.close().total;
        assert!(total.adds_up(), "{total:?}");
        assert_eq!(total.handed.messages, u64::from(ROUNDS * EACH), "{total:?}");
    }
}

#[test]
fn many_messages_arrive_in_order() {
    const COUNT: u32 = 100_000;
    for transport in Transport::ALL {
        let (push, pull) = (Push::new(), Pull::new());
        marry(&push, &pull, transport);
        let sender = thread::spawn(move || {
            (0..COUNT).for_each(|at| push.send(at.to_le_bytes()).unwrap());
            push.close()
        });
        (0..COUNT).for_each(|at| assert_eq!(recv(&pull), at.to_le_bytes(), "{transport:?}"));
        let total = sender.join().unwrap().total;
        assert_eq!(total.handed.messages, u64::from(COUNT), "{total:?}");
    }
}
#[test]
fn messages_above_the_limit_cost_the_connection() {
    for transport in Transport::WIRED {
        let pull = Pull::builder()
            .max_message_size(1000)
            .max_message_parts(3)
            .build();
        let monitor = pull.monitor();
        let push = Push::builder().reconnect_interval(SHORT).build();
        let losses = push.monitor();
        marry(&push, &pull, transport);
        push.send(vec![1; 1000]).unwrap();
        push.send(Message::from_iter(["a", "b", "c"])).unwrap();
        push.send(vec![2; 1001]).unwrap();
        assert_eq!((recv(&pull).byte_len(), recv(&pull).len()), (1000, 3));
        assert!(matches!(
            await_end(&monitor),
            (
                DisconnectReason::OverLimit {
                    got: 1001,
                    limit: 1000,
                    ..
                },
                true
            )
        ));
        // Until the PUSH has noticed, it would still send to the old connection.
        await_end(&losses);
        push.wait_for_peers(1, LONG).unwrap();
        pull.wait_for_peers(1, LONG).unwrap();
        push.send(Message::from_iter(["a", "b", "c", "d"])).unwrap();
        assert!(matches!(
            await_end(&monitor),
            (DisconnectReason::OverLimit { got: 4, limit: 3, .. }, true)
        ));
    }
}

#[test]
fn messages_of_every_shape_arrive_as_they_were_sent() {
    let sizes = [
        0, 1, 69, 70, 71, 254, 255, 256, 8191, 8192, 8193, 65_535, 65_536, 1_000_000, 3_000_001,
    ];
    for transport in Transport::ALL {
        let (push, pull) = (Push::new(), Pull::new());
        marry(&push, &pull, transport);
        let body = |len: usize| (0..len).map(|at| (at % 251) as u8).collect::<Vec<_>>();
        let mut sent: Vec<Message> = sizes.iter().map(|&len| Message::from(body(len))).collect();
        sent.push(sizes.iter().map(|&len| body(len)).collect());
        sent.push(Message::from_iter(vec![""; 1000]));
        sent.push(Message::new());
        let sending = sent.clone();
        let sender = thread::spawn(move || {
            for message in sending {
                push.send(message).unwrap();
            }
        });
        for message in sent {
            assert!(
                recv(&pull) == message,
                "{transport:?}: {} bytes",
                message.byte_len()
            );
        }
        sender.join().unwrap();
    }
}

#[test]
fn what_a_pull_sends_to_a_push_is_ignored() {
    for transport in Transport::WIRED {
        let push = Push::new();
        let endpoint = push.bind(transport.anywhere()).unwrap();
        let mut raw = RawPeer::connect(&endpoint);
        raw.shake_hands("PULL");
        for _ in 0..5000 {
            raw.say(&frame(0, b"against the rules"));
        }
        raw.say(&command("PING", &[0, 0, b'?']));
        assert!(raw.hear_frame().is_command("PONG"), "all of it was read");
        push.send("still a peer").unwrap();
        assert_eq!(raw.hear_frame().body, b"still a peer");
        assert_eq!(push.stats().total.unread, 0);
    }
}

#[test]
fn clones_are_one_socket_for_any_number_of_threads() {
    const THREADS: u32 = 8;
    const EACH: u32 = 1000;
    for transport in Transport::ALL {
        let (push, pull) = (Push::new(), Pull::new());
        marry(&push, &pull, transport);
        let senders: Vec<_> = (0..THREADS)
            .map(|name| {
                let push = push.clone();
                thread::spawn(move || {
                    for at in 0..EACH {
                        push.send_timeout((name * EACH + at).to_be_bytes(), LONG).unwrap();
                    }
                })
            })
            .collect();
        let receivers: Vec<_> = (0..THREADS)
            .map(|_| {
                let pull = pull.clone();
                thread::spawn(move || {
                    let number = |message: Message| u32::from_be_bytes(message[0][..].try_into().unwrap());
                    (0..EACH).map(|_| number(recv(&pull))).collect::<Vec<_>>()
                })
            })
            .collect();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        let got: Vec<_> = receivers
            .into_iter()
            .flat_map(|receiver| receiver.join().unwrap())
            .collect();
        assert_eq!(got.len(), (THREADS * EACH) as usize);
        assert_eq!(
            got.into_iter().collect::<HashSet<_>>().len(),
            (THREADS * EACH) as usize,
            "{transport:?}"
        );
    }
}

fn is_send_sync<T: Send + Sync + Clone + 'static>() {}

#[test]
fn sockets_and_contexts_go_anywhere() {
    is_send_sync::<Push>();
    is_send_sync::<Pull>();
    is_send_sync::<Context>();
}
