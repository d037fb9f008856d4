//! Callbacks: who is called with what, when that ends, and that nothing is lost by it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;

use aqueduct::{
    Dealer, Event, Message, Pair, Pull, Push, Registration, Rep, Req, Router, RouterEvent, RoutingId, Sub,
    XPub,
};
use support::{
    A_WHILE, LONG, Transport, await_end, await_event, eventually, marry, recv, recv_texts, send_all, text,
};

/// Has the bodies of a socket's messages sent to a channel.
fn listen(pull: &Pull) -> (Registration, Receiver<String>) {
    let (seen, log) = mpsc::channel();
    let registration = pull.on_message(move |message| seen.send(text(&message)).unwrap());
    (registration.unwrap(), log)
}

fn next<T>(log: &Receiver<T>) -> T {
    log.recv_timeout(LONG).unwrap()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[test]
fn the_function_is_called_with_each_message_in_order() {
    const COUNT: usize = 3000;
    for transport in Transport::ALL {
        let (push, pull) = (Push::new(), Pull::new());
        let (registration, log) = listen(&pull);
        marry(&push, &pull, transport);
        for number in numbers(0..COUNT) {
            push.send_timeout(number, LONG).unwrap();
        }
        let seen: Vec<_> = (0..COUNT).map(|_| next(&log)).collect();
        assert_eq!(seen, numbers(0..COUNT), "{transport:?}");
        registration.stop().unwrap();
    }
}

#[test]
fn it_is_always_the_same_thread_and_has_a_name() {
    let (push, pull) = (Push::new(), Pull::new());
    marry(&push, &pull, Transport::Inproc);
    let (seen, log) = mpsc::channel();
    let registration = pull.on_message(move |_| {
        let thread = thread::current();
        seen.send((thread.id(), thread.name().map(str::to_owned)))
            .unwrap();
    });
    send_all(&push, ["a", "b"]);
    let (first, second) = (next(&log), next(&log));
    assert_eq!(first, second);
    assert_eq!(first.1.as_deref(), Some("aqueduct-call"));
    assert_ne!(first.0, thread::current().id());
    drop(registration);
}

#[test]
fn what_was_not_delivered_when_the_registration_is_dropped_can_be_received() {
    const COUNT: usize = 2000;
    for transport in Transport::ALL {
        let (push, pull) = (Push::new(), Pull::new());
        marry(&push, &pull, transport);
        let (registration, log) = listen(&pull);
        let sender = thread::spawn(move || {
            for number in numbers(0..COUNT) {
                push.send_timeout(number, LONG).unwrap();
            }
            push
        });
        let mut seen: Vec<_> = (0..100).map(|_| next(&log)).collect();
        drop(registration);
        // The function is gone and the sender of its channel with it, so this ends.
        seen.extend(log.iter());
        let rest = recv_texts(&pull, COUNT - seen.len());
        seen.extend(rest);
        assert_eq!(seen, numbers(0..COUNT), "{transport:?}");
        sender.join().unwrap();
    }
}

#[test]
fn dropping_waits_until_the_function_has_returned() {
    let (push, pull) = (Push::new(), Pull::new());
    marry(&push, &pull, Transport::Inproc);
    let (began, has_begun) = mpsc::channel();
    let (finish, may_finish) = mpsc::channel();
    let done = Arc::new(Mutex::new(false));
    let noted = Arc::clone(&done);
    let registration = pull.on_message(move |_| {
        began.send(()).unwrap();
        next(&may_finish);
        *noted.lock().unwrap() = true;
    });
    let registration = registration.unwrap();
    send_all(&push, ["a", "b"]);
    next(&has_begun);
    let (dropped, is_dropped) = mpsc::channel();
    let dropper = thread::spawn(move || {
        drop(registration);
        dropped.send(*done.lock().unwrap()).unwrap();
    });
    assert!(is_dropped.recv_timeout(A_WHILE).is_err(), "nobody has waited");
    finish.send(()).unwrap();
    assert!(next(&is_dropped), "dropped while the function ran");
    dropper.join().unwrap();
    assert_eq!(text(&recv(&pull)), "b");
}

#[test]
fn a_slow_function_stops_the_sender() {
    for transport in Transport::ALL {
        let push = Push::builder().send_hwm(1).send_buffer(Some(4096)).build();
        let pull = Pull::builder().recv_hwm(1).recv_buffer(Some(4096)).build();
        marry(&push, &pull, transport);
        let (seen, log) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel();
        let registration = pull.on_message(move |message| {
            seen.send(message[0].len()).unwrap();
            next(&may_go_on);
        });
        // More than any kernel buffers of these sizes.
        let body = vec![0_u8; 1 << 20];
        let mut sent = 0_usize;
        let refused = loop {
            match push.send_timeout(body.clone(), A_WHILE) {
                Ok(()) => sent += 1,
                Err(refused) => break refused.into_message(),
            }
        };
        assert!(sent <= 8, "{sent} were taken over {transport:?}");
        assert_eq!(refused[0].len(), body.len());
        (0..sent).for_each(|_| go_on.send(()).unwrap());
        (0..sent).for_each(|_| assert_eq!(next(&log), body.len()));
        registration.unwrap().stop().unwrap();
    }
}

#[test]
fn a_panic_ends_the_registration_and_is_reported() {
    let (push, pull) = (Push::new(), Pull::new());
    let monitor = pull.monitor();
    marry(&push, &pull, Transport::Tcp);
    let registration = pull.on_message(|message| {
        assert_ne!(message, "bad", "no such thing as {}", text(&message));
    });
    let registration = registration.unwrap();
    send_all(&push, ["good", "bad", "late"]);
    let said = await_event(&monitor, "report of the panic", |event| match event {
        Event::CallbackPanicked { message } => Some(message.clone()),
        _ => None,
    });
    assert!(said.contains("no such thing as bad"), "{said}");
    assert_eq!(text(&recv(&pull)), "late", "the rest can be received");
    eventually("the registration ends", || !registration.is_active());
    let panic = registration.stop().unwrap_err();
    assert_eq!(panic.message(), said);
    // The socket is as good as ever, for another function too.
    let (registration, log) = listen(&pull);
    send_all(&push, ["more"]);
    assert_eq!(next(&log), "more");
    assert!(registration.is_active());
}

#[test]
fn a_panic_without_text_is_reported_too() {
    let (push, pull) = (Push::new(), Pull::new());
    marry(&push, &pull, Transport::Inproc);
    let registration = pull.on_message(|_| std::panic::panic_any(7)).unwrap();
    send_all(&push, ["a"]);
    let panic = registration.join().unwrap_err();
    assert_eq!(panic.to_string(), "the callback panicked: no text");
}

#[test]
fn a_function_can_drop_its_own_registration() {
    for transport in Transport::ALL {
        let (push, pull) = (Push::new(), Pull::new());
        marry(&push, &pull, transport);
        let place: Arc<Mutex<Option<Registration>>> = Arc::default();
        let own = Arc::clone(&place);
        let (seen, log) = mpsc::channel();
        let mut locked = place.lock().unwrap();
        let registration = pull.on_message(move |message| {
            drop(own.lock().unwrap().take());
            seen.send(text(&message)).unwrap();
        });
        *locked = Some(registration.unwrap());
        drop(locked);
        send_all(&push, ["a", "b"]);
        assert_eq!(next(&log), "a");
        assert_eq!(text(&recv(&pull)), "b");
        assert!(
            log.recv().is_err(),
            "the function is dropped, and was called once"
        );
    }
}

#[test]
fn a_function_can_drop_its_own_registration_and_the_socket_with_it() {
    for transport in Transport::ALL {
        let (push, pull) = (Push::new(), Pull::new());
        let monitor = push.monitor();
        marry(&push, &pull, transport);
        let (hand_over, handed) = mpsc::channel::<Registration>();
        let (seen, log) = mpsc::channel();
        let registration = pull.on_message(move |message| {
            drop(next(&handed));
            seen.send(text(&message)).unwrap();
        });
        hand_over.send(registration.unwrap()).unwrap();
        drop(pull);
        send_all(&push, ["a"]);
        assert_eq!(next(&log), "a");
        assert!(log.recv().is_err(), "the thread has ended");
        if transport != Transport::Inproc {
            await_end(&monitor);
        }
    }
}

#[test]
fn a_function_can_close_its_socket() {
    let (push, pull) = (Push::new(), Pull::new());
    marry(&push, &pull, Transport::Tcp);
    let handle = pull.clone();
    let registration = pull.on_message(move |_| drop(handle.clone().close())).unwrap();
    send_all(&push, ["a"]);
    registration.join().unwrap();
    assert!(pull.try_recv().is_err());
}

#[test]
fn a_registration_keeps_its_socket_open_and_ends_with_it() {
    let (push, pull) = (Push::new(), Pull::new());
    marry(&push, &pull, Transport::Ipc);
    let (registration, log) = listen(&pull);
    drop(pull);
    send_all(&push, ["a"]);
    assert_eq!(next(&log), "a");
    drop(registration);
    // The socket went with its last handle: the peer is alone.
    let (push, pull) = (Push::new(), Pull::new());
    let endpoint = marry(&push, &pull, Transport::Inproc);
    let (registration, log) = listen(&pull);
    pull.close();
    registration.join().unwrap();
    assert!(log.recv().is_err());
    drop(endpoint);
}

#[test]
fn whoever_waits_beside_a_dropped_registration_gets_the_message() {
    for _ in 0..200 {
        let (push, pull) = (Push::new(), Pull::new());
        marry(&push, &pull, Transport::Inproc);
        let (registration, log) = listen(&pull);
        let waiting = pull.clone();
        let (got, has_got) = mpsc::channel();
        // Without a time limit: it would look again by itself when that is reached.
        thread::spawn(move || got.send(waiting.recv().map(|message| text(&message))));
        let sender = thread::spawn(move || {
            send_all(&push, ["a", "b"]);
            push
        });
        drop(registration);
        let push = sender.join().unwrap();
        let mut all: Vec<_> = log.iter().collect();
        if all.len() == 2 {
            send_all(&push, ["for the waiter"]);
        }
        all.push(next(&has_got).unwrap());
        all.extend(std::iter::from_fn(|| pull.try_recv().ok()).map(|message| text(&message)));
        assert!(
            all.contains(&"a".to_owned()) && all.contains(&"b".to_owned()),
            "{all:?}"
        );
    }
}

#[test]
fn several_registrations_share_what_comes() {
    const COUNT: usize = 500;
    let (push, pull) = (Push::new(), Pull::new());
    marry(&push, &pull, Transport::Tcp);
    let (one, first) = listen(&pull);
    let (other, second) = listen(&pull);
    for number in numbers(0..COUNT) {
        push.send(number).unwrap();
    }
    eventually("everything is delivered", || {
        pull.stats().total.received.messages == COUNT as u64
    });
    drop((one, other));
    let (first, second): (Vec<_>, Vec<_>) = (first.iter().collect(), second.iter().collect());
    let number = |text: &String| text.parse::<usize>().unwrap();
    assert!(first.is_sorted_by_key(number) && second.is_sorted_by_key(number));
    let mut all: Vec<_> = first.iter().chain(&second).map(number).collect();
    all.sort_unstable();
    assert_eq!(all, (0..COUNT).collect::<Vec<_>>());
}

#[test]
fn a_service_is_called_with_requests() {
    for transport in Transport::ALL {
        let (rep, req) = (Rep::new(), Req::new());
        req.connect(rep.bind(transport.anywhere()).unwrap()).unwrap();
        let service = rep.on_message(|request, reply| {
            reply.send(text(&request).to_uppercase()).unwrap();
        });
        assert_eq!(req.request("a").unwrap(), "A");
        assert_eq!(req.request("b").unwrap(), "B");
        service.unwrap().stop().unwrap();
    }
}

#[test]
fn a_router_is_called_with_messages_or_with_all_that_happens() {
    let id = RoutingId::new("client").unwrap();
    let router = Router::builder().notices(true).build();
    let endpoint = router.bind(Transport::Tcp.anywhere()).unwrap();
    let (seen, log) = mpsc::channel();
    let echo = router.clone();
    let registration = router.on_message(move |id, message| {
        echo.send(&id, message).unwrap();
        seen.send(id).unwrap();
    });
    let dealer = Dealer::builder().routing_id(id.clone()).build();
    dealer.connect(&endpoint).unwrap();
    dealer.send("a").unwrap();
    assert_eq!(next(&log), id);
    assert_eq!(dealer.recv_timeout(LONG).unwrap(), "a");
    registration.unwrap().stop().unwrap();

    let (sender, receiver) = router.split();
    let (seen, log) = mpsc::channel();
    let registration = receiver.on_event(move |event| seen.send(event).unwrap());
    dealer.send("b").unwrap();
    assert_eq!(next(&log), RouterEvent::Message(id.clone(), "b".into()));
    drop(dealer);
    assert_eq!(next(&log), RouterEvent::Disconnected(id));
    registration.unwrap().stop().unwrap();
    drop(sender);
}

#[test]
fn an_event_bus_is_subscribers_with_callbacks() {
    let publisher = XPub::new();
    let endpoint = publisher.bind(Transport::Tcp.anywhere()).unwrap();
    let (asked, requests) = mpsc::channel();
    let listening = publisher.on_message(move |event| asked.send(event.into_message()).unwrap());
    let subscriber = Sub::new();
    subscriber.connect(&endpoint).unwrap();
    subscriber.subscribe("door").unwrap();
    assert_eq!(next(&requests), "\u{1}door");
    let (seen, log) = mpsc::channel();
    let registration = subscriber.on_message(move |message| seen.send(text(&message)).unwrap());
    for event in ["window opened", "door opened", "door closed"] {
        publisher.send(event).unwrap();
    }
    assert_eq!([next(&log), next(&log)], ["door opened", "door closed"]);
    registration.unwrap().stop().unwrap();
    listening.unwrap().stop().unwrap();
}

#[test]
fn dealers_pairs_and_their_halves_have_callbacks() {
    fn check(on_message: impl Fn(mpsc::Sender<Message>) -> Registration, send: impl Fn(&'static str)) {
        let (seen, log) = mpsc::channel();
        let registration = on_message(seen);
        send("hello");
        assert_eq!(next(&log), "hello");
        registration.stop().unwrap();
    }
    let (a, b) = (Pair::new(), Pair::new());
    b.connect(a.bind(Transport::Inproc.anywhere()).unwrap()).unwrap();
    let send = |body: &'static str| b.send(body).unwrap();
    check(|seen| a.on_message(move |m| seen.send(m).unwrap()).unwrap(), send);
    let (_sender, half) = a.split();
    check(
        |seen| half.on_message(move |m| seen.send(m).unwrap()).unwrap(),
        send,
    );
    let (a, b) = (Dealer::new(), Dealer::new());
    b.connect(a.bind(Transport::Inproc.anywhere()).unwrap()).unwrap();
    let send = |body: &'static str| b.send(body).unwrap();
    check(|seen| a.on_message(move |m| seen.send(m).unwrap()).unwrap(), send);
    let (_sender, half) = a.split();
    check(
        |seen| half.on_message(move |m| seen.send(m).unwrap()).unwrap(),
        send,
    );
}
