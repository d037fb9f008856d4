//! First things first: messages pass over every transport, and closing reports.

use std::time::Duration;

use aqueduct::{Context, Message, Pull, Push};

fn exchange(endpoint: &str) {
    let pull = Pull::new();
    let bound = pull.bind(endpoint).unwrap();
    let push = Push::new();
    push.connect(&bound).unwrap();
    for at in 0..10_000u32 {
        push.send(at.to_le_bytes()).unwrap();
        if at % 7 == 0 {
            // Keeps the two ends within their queues: this is one thread.
            for _ in 0..if at == 0 { 1 } else { 7 } {
                pull.recv_timeout(Duration::from_secs(10)).unwrap();
            }
        }
    }
    let rest = std::iter::from_fn(|| pull.recv_timeout(Duration::from_millis(500)).ok()).count();
    assert_eq!(rest, 10_000 - 1 - 1428 * 7);
    let report = push.close();
    assert!(report.total.adds_up(), "{report:?}");
    assert_eq!(report.total.accepted.messages, 10_000);
    assert_eq!(report.total.handed.messages, 10_000, "{report:?}");
}

#[test]
fn tcp() {
    exchange("tcp://127.0.0.1:0");
}

#[test]
fn ipc() {
    exchange("ipc://*");
}

#[test]
fn inproc() {
    exchange("inproc://basics");
}

#[test]
fn two_threads_exchange_a_lot_over_tcp() {
    const COUNT: u32 = 200_000;
    let context = Context::new(1);
    let pull = Pull::builder().context(&context).build();
    let bound = pull.bind("tcp://127.0.0.1:0").unwrap();
    let push = Push::builder().context(&context).build();
    push.connect(&bound).unwrap();
    let sender = std::thread::spawn(move || {
        for at in 0..COUNT {
            push.send(at.to_le_bytes()).unwrap();
        }
        push.close()
    });
    for at in 0..COUNT {
        let message = pull.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(message, at.to_le_bytes());
    }
    let report = sender.join().unwrap();
    assert_eq!(report.total.handed.messages, u64::from(COUNT), "{report:?}");
}

#[test]
fn an_unreachable_endpoint_gives_its_messages_back() {
    let push = Push::builder().linger(Some(Duration::from_millis(50))).build();
    push.connect("tcp://127.0.0.1:1").unwrap();
    push.send("one").unwrap();
    push.send("two").unwrap();
    let report = push.close();
    assert_eq!(report.returned, ["one", "two"].map(Message::from));
    assert!(report.total.adds_up(), "{report:?}");
}
