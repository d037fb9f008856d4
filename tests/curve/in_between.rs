//! Somebody in between two sockets, over tcp: a proxy that knows where frames begin and end, and lies once.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use super::*;

/// Which way something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    ToServer,
    ToClient,
}
use Way::{ToClient, ToServer};

/// What is done to one unit, a greeting or a frame.
#[derive(Clone, Debug)]
enum Act {
    Drop,
    Repeat,
    /// Lets the next one go first.
    Swap,
    /// Passes it on, and gives it back to who said it as well.
    Echo,
    /// Changes one bit of this byte; if it is negative, of one from the end.
    Flip(isize),
    /// Passes on half of it, and ends the stream.
    Cut,
    /// Writes this into it.
    Write(usize, &'static [u8]),
}

/// The first unit after the handshake, each way.
const TRAFFIC: usize = 3;

fn read_unit(from: &mut TcpStream, is_greeting: bool) -> io::Result<Vec<u8>> {
    let mut unit = vec![0; if is_greeting { 64 } else { 2 }];
    from.read_exact(&mut unit)?;
    let mut len = 0;
    if !is_greeting {
        len = usize::from(unit[1]);
        if unit[0] & 2 != 0 {
            unit.resize(9, 0);
            from.read_exact(&mut unit[2..])?;
            len = usize::try_from(u64::from_be_bytes(unit[1..].try_into().unwrap())).unwrap();
        }
    }
    let header = unit.len();
    unit.resize(header + len, 0);
    from.read_exact(&mut unit[header..])?;
    Ok(unit)
}

/// Carries one way of one connection until it ends, and does `act` to the unit of that number.
fn carry(mut from: TcpStream, mut to: TcpStream, lie: Option<&(usize, Act)>, heard: &Sender<Vec<u8>>) {
    let mut held = None;
    let mut number = 0;
    while let Ok(mut unit) = read_unit(&mut from, number == 0) {
        let _ = heard.send(unit.clone());
        let mut units = Vec::new();
        match lie.filter(|(at, _)| *at == number) {
            Some((_, Act::Drop)) => {}
            Some((_, Act::Swap)) => held = Some(unit),
            Some((_, Act::Repeat)) => units = vec![unit.clone(), unit],
            Some((_, Act::Echo)) => {
                let _ = from.write_all(&unit);
                units.push(unit);
            }
            Some((_, Act::Flip(at))) => {
                let at = at.rem_euclid(unit.len().try_into().unwrap());
                unit[usize::try_from(at).unwrap()] ^= 1;
                units.push(unit);
            }
            Some((_, Act::Write(at, bytes))) => {
                unit[*at..*at + bytes.len()].copy_from_slice(bytes);
                units.push(unit);
            }
            Some((_, Act::Cut)) => {
                let _ = to.write_all(&unit[..unit.len() / 2]);
                break;
            }
            None => units.extend([unit].into_iter().chain(held.take())),
        }
        if units.iter().any(|unit| to.write_all(unit).is_err()) {
            break;
        }
        number += 1;
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

/// Starts a proxy that lies on its first connection only. Returns its endpoint, and what it has heard.
fn proxy(server: &str, way: Way, number: usize, act: &Act) -> (String, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    let server = server.strip_prefix("tcp://").unwrap().to_owned();
    let (heard, hears) = mpsc::channel();
    let mut lie = Some((way, (number, act.clone())));
    thread::spawn(move || {
        while let Ok((near, _)) = listener.accept() {
            let Ok(far) = TcpStream::connect(&server) else {
                return;
            };
            let lie = lie.take();
            let on = |way| {
                lie.clone()
                    .and_then(|(wanted, lie)| (wanted == way).then_some(lie))
            };
            for (way, from, to) in [(ToServer, &near, &far), (ToClient, &far, &near)] {
                let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                let (lie, heard) = (on(way), heard.clone());
                thread::spawn(move || carry(from, to, lie.as_ref(), &heard));
            }
        }
    });
    (endpoint, hears)
}

/// How many messages go each way before the one that shows that all is well again.
const SENT: u32 = 10;
const LAST: &str = "the last";

/// What arrives is what was sent, in its order, up to [`LAST`]; what was in the pipes of the broken connection is missing.
fn check_arrived(receiver: &Pair, context: &str) {
    let mut next = 0;
    loop {
        let message = receiver.recv_timeout(LONG).expect(context);
        let text = message[0].as_str().expect(context);
        if text == LAST {
            return;
        }
        let number: u32 = text.parse().expect(context);
        assert!(
            number >= next && number < SENT,
            "{context}: {number} after {next}"
        );
        next = number + 1;
    }
}

/// Has a proxy lie, and returns why each end, the server and the client, closed its connection.
fn lie(way: Way, number: usize, act: &Act) -> [DisconnectReason; 2] {
    let context = format!("{way:?}, unit {number}, {act:?}");
    let server_keys = keys();
    let public = server_keys.public();
    let server = Pair::builder().curve_server(server_keys, AllowAny).build();
    let client: Pair = client(Pair::builder(), public);
    let monitors = [server.monitor(), client.monitor()];
    let there = server.bind("tcp://127.0.0.1:0").unwrap().to_string();
    let (here, hears) = proxy(&there, way, number, act);
    client.connect(&here).unwrap();
    let talk = |from: Pair| {
        thread::spawn(move || {
            for number in 0..SENT {
                from.send_timeout(number.to_string(), LONG).unwrap();
            }
            from
        })
    };
    let talking = [talk(client), talk(server)];
    let reasons = monitors.map(|monitor| reason(&monitor));
    let [client, server] = talking.map(|thread| thread.join().unwrap());
    client.send_timeout(LAST, LONG).unwrap();
    check_arrived(&server, &context);
    server.send_timeout(LAST, LONG).unwrap();
    check_arrived(&client, &context);
    for unit in hears.try_iter() {
        assert!(!unit[2..].starts_with(b"\x05ERROR"), "{context}: an ERROR");
    }
    reasons
}

/// Tells whether the end that was lied to has seen it for itself.
fn is_caught(reason: &DisconnectReason) -> bool {
    matches!(
        reason,
        DisconnectReason::Malformed(_) | DisconnectReason::Incompatible { .. }
    )
}

#[test]
fn who_is_lied_to_within_the_traffic_hangs_up_and_comes_back() {
    for act in [
        Act::Drop,
        Act::Repeat,
        Act::Swap,
        Act::Flip(-1),
        Act::Flip(12),
        Act::Flip(20),
    ] {
        for (way, victim) in [(ToServer, 0), (ToClient, 1)] {
            let reasons = lie(way, TRAFFIC + 2, &act);
            assert!(is_caught(&reasons[victim]), "{way:?} {act:?}: {reasons:?}");
            assert!(!is_caught(&reasons[1 - victim]), "{way:?} {act:?}: {reasons:?}");
        }
    }
}

#[test]
fn who_is_lied_to_within_the_handshake_hangs_up_and_comes_back() {
    for number in [1, 2] {
        for act in [Act::Repeat, Act::Flip(12), Act::Flip(-1)] {
            for (way, victim) in [(ToServer, 0), (ToClient, 1)] {
                let reasons = lie(way, number, &act);
                assert!(
                    is_caught(&reasons[victim]),
                    "{way:?} {number} {act:?}: {reasons:?}"
                );
            }
        }
    }
}

#[test]
fn who_hears_its_own_words_hangs_up_and_comes_back() {
    for number in [1, 2, TRAFFIC, TRAFFIC + 2] {
        for (way, speaker) in [(ToServer, 1), (ToClient, 0)] {
            let reasons = lie(way, number, &Act::Echo);
            assert!(is_caught(&reasons[speaker]), "{way:?} {number}: {reasons:?}");
        }
    }
}

#[test]
fn a_stream_that_is_cut_within_a_frame_delivers_nothing_of_it() {
    for number in [0, 1, 2, TRAFFIC, TRAFFIC + 2] {
        for way in [ToServer, ToClient] {
            let reasons = lie(way, number, &Act::Cut);
            assert!(!reasons.iter().any(is_caught), "{way:?} {number}: {reasons:?}");
        }
    }
}

#[test]
fn greetings_that_were_made_weaker_end_the_connection() {
    for act in [
        Act::Write(12, b"NULL\0"),
        Act::Write(12, b"PLAIN"),
        Act::Write(10, &[1]),
    ] {
        for (way, victim) in [(ToServer, 0), (ToClient, 1)] {
            let reasons = lie(way, 0, &act);
            assert!(is_caught(&reasons[victim]), "{way:?} {act:?}: {reasons:?}");
        }
    }
}
