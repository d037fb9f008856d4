//! Tests of what tcp and ipc streams have in common, and of tcp; those of ipc paths are in `ipc.rs`.

use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use mio::{Events, Poll, Token};

use super::*;
use crate::options::Keepalive;
use crate::{Host, TcpEndpoint};

/// Far above what anything here takes: only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Repeats what is not possible yet after each round of events.
pub(super) fn until<T>(poll: &mut Poll, mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut events = Events::with_capacity(16);
    loop {
        match attempt() {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected
                ) => {}
            result => return result,
        }
        poll.poll(&mut events, Some(PATIENCE)).unwrap();
        assert!(!events.is_empty(), "no event came");
    }
}

pub(super) fn target(endpoint: &Endpoint) -> Target {
    match endpoint {
        Endpoint::Tcp(tcp) => Target::Tcp {
            source: tcp.source,
            addr: resolve(tcp, &TransportOptions::default()).unwrap()[0],
        },
        Endpoint::Ipc(ipc) => Target::Ipc(ipc.clone()),
        Endpoint::Inproc(_) => panic!("no byte stream"),
    }
}

/// Connects and accepts: the connecting end, the accepted end, and the poll that both are registered with.
pub(super) fn pair(endpoint: &str, options: &TransportOptions) -> (Stream, Stream, Poll) {
    let mut poll = Poll::new().unwrap();
    let mut listener = bind(&endpoint.parse().unwrap(), options).unwrap();
    listener.register(poll.registry(), Token(0)).unwrap();
    let mut near = connect(&target(listener.endpoint()), options).unwrap();
    near.register(poll.registry(), Token(1)).unwrap();
    until(&mut poll, || near.take_connect_error()).unwrap();
    let mut far = until(&mut poll, || listener.accept()).unwrap().stream;
    far.register(poll.registry(), Token(2)).unwrap();
    listener.deregister(poll.registry()).unwrap();
    (near, far, poll)
}

/// The pairs that the tests of streams run over.
fn pairs() -> Vec<(Stream, Stream, Poll)> {
    let options = TransportOptions::default();
    let mut pairs = vec![pair("tcp://127.0.0.1:0", &options)];
    if cfg!(unix) {
        pairs.push(pair("ipc://*", &options));
    }
    pairs
}

fn write(stream: &mut Stream, bytes: &[u8]) {
    assert_eq!(
        stream.write_vectored(&[IoSlice::new(bytes)]).unwrap(),
        bytes.len()
    );
}

#[test]
fn bytes_go_both_ways() {
    for (mut near, mut far, mut poll) in pairs() {
        let mut buf = [0; 64];
        let slices = [IoSlice::new(b"he"), IoSlice::new(b""), IoSlice::new(b"llo")];
        assert_eq!(near.write_vectored(&slices).unwrap(), 5);
        assert_eq!(until(&mut poll, || far.read(&mut buf)).unwrap(), 5);
        assert_eq!(&buf[..5], b"hello");
        write(&mut far, b"world");
        assert_eq!(until(&mut poll, || near.read(&mut buf)).unwrap(), 5);
        assert_eq!(&buf[..5], b"world");
        assert_eq!(near.read(&mut buf).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}

#[test]
fn more_slices_than_the_system_takes_are_written_in_part() {
    for (mut near, mut far, mut poll) in pairs() {
        let slices = vec![IoSlice::new(b"x"); 3000];
        let mut sent = 0;
        while sent < slices.len() {
            let count = near.write_vectored(&slices[sent..]).unwrap();
            assert!(count > 0);
            sent += count;
        }
        let mut buf = [0; 4096];
        let mut got = 0;
        while got < slices.len() {
            got += until(&mut poll, || far.read(&mut buf)).unwrap();
        }
        assert_eq!(got, slices.len());
    }
}

#[test]
fn names_are_those_of_the_peer() {
    let (near, far, _poll) = pair("tcp://127.0.0.1:0", &TransportOptions::default());
    let Some(Endpoint::Tcp(local)) = near.local_endpoint() else {
        panic!("no tcp endpoint");
    };
    assert_eq!(far.peer_name(), format!("127.0.0.1:{}", local.port));
    assert!(near.peer_name().starts_with("127.0.0.1:"));
}

#[test]
fn what_the_first_buffer_has_no_room_for_is_read_into_the_second() {
    for (mut near, mut far, mut poll) in pairs() {
        write(&mut near, b"body and more");
        let (mut body, mut behind) = ([0; 4], [0; 100]);
        let mut got = until(&mut poll, || far.read_both(&mut body, &mut behind)).unwrap();
        while got < 13 {
            let (at_body, at_behind) = (got.min(4), got.saturating_sub(4));
            got += until(&mut poll, || {
                far.read_both(&mut body[at_body..], &mut behind[at_behind..])
            })
            .unwrap();
        }
        assert_eq!(&body, b"body");
        assert!(behind.starts_with(b" and more\0"));
        let error = far.read_both(&mut body, &mut behind).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}

#[test]
fn the_end_comes_after_the_last_bytes() {
    for (mut near, mut far, mut poll) in pairs() {
        write(&mut near, b"bye");
        near.shutdown();
        drop(near);
        let mut got = Vec::new();
        loop {
            let (mut first, mut second) = ([0; 1], [0; 64]);
            let count = until(&mut poll, || far.read_both(&mut first, &mut second)).unwrap();
            if count == 0 {
                break;
            }
            got.extend_from_slice(&[&first[..], &second].concat()[..count]);
        }
        assert_eq!(got, b"bye");
        assert_eq!(far.read(&mut [0; 8]).unwrap(), 0);
    }
}

#[test]
fn a_write_to_a_peer_that_is_gone_is_an_error() {
    for (mut near, far, mut poll) in pairs() {
        drop(far);
        // The first writes may still be taken: tcp learns from the answer that nobody is there.
        let slices = [IoSlice::new(&[0; 100]), IoSlice::new(&[0; 100])];
        let error = loop {
            match near.write_vectored(&slices) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    poll.poll(&mut Events::with_capacity(4), Some(PATIENCE)).unwrap();
                }
                Err(error) => break error,
            }
        };
        let gone = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
        assert!(gone.contains(&error.kind()), "{error}");
        if error.kind() == io::ErrorKind::ConnectionReset {
            let again = near.write_vectored(&slices).unwrap_err();
            assert_eq!(again.kind(), io::ErrorKind::BrokenPipe);
        }
    }
}

#[cfg(unix)]
#[test]
fn what_a_peer_left_is_read_before_a_write_fails() {
    for (mut near, mut far, _poll) in pairs() {
        write(&mut far, b"farewell");
        write(&mut near, b"unread");
        drop(far);
        // The first writes may still be taken: tcp learns from the answer that nobody is there.
        let failure = |stream: &mut Stream| loop {
            if let Err(error) = stream.write_vectored(&[IoSlice::new(&[0; 100])]) {
                return error.kind();
            }
        };
        assert_eq!(failure(&mut near), io::ErrorKind::WouldBlock);
        assert_eq!(near.read(&mut [0; 100]).unwrap(), b"farewell".len());
        let gone = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
        assert!(gone.contains(&failure(&mut near)));
    }
}

#[test]
fn port_zero_becomes_the_real_one_and_is_then_in_use() {
    let options = TransportOptions::default();
    for text in ["tcp://127.0.0.1:*", "tcp://*:0", "tcp://localhost:0"] {
        let listener = bind(&text.parse().unwrap(), &options).unwrap();
        let Endpoint::Tcp(tcp) = listener.endpoint() else {
            panic!("no tcp endpoint");
        };
        assert_ne!(tcp.port, 0);
        let error = bind(listener.endpoint(), &options).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{text}");
    }
}

#[test]
fn any_host_takes_both_families_where_ipv6_is_on() {
    let options = TransportOptions {
        ipv6: true,
        ..TransportOptions::default()
    };
    let mut listener = bind(&"tcp://*:0".parse().unwrap(), &options).unwrap();
    let Endpoint::Tcp(TcpEndpoint { host, port, .. }) = listener.endpoint().clone() else {
        panic!("no tcp endpoint");
    };
    let mut addrs = vec![SocketAddr::from(([127, 0, 0, 1], port))];
    if host == Host::Ip(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) {
        addrs.push(SocketAddr::from((Ipv6Addr::LOCALHOST, port)));
    }
    let mut poll = Poll::new().unwrap();
    listener.register(poll.registry(), Token(0)).unwrap();
    for addr in addrs {
        let mut stream = connect(&Target::Tcp { source: None, addr }, &options).unwrap();
        stream.register(poll.registry(), Token(1)).unwrap();
        until(&mut poll, || stream.take_connect_error()).unwrap();
        until(&mut poll, || listener.accept()).unwrap();
    }
}

#[test]
fn literals_resolve_to_themselves_and_names_to_allowed_families() {
    let options = TransportOptions::default();
    let resolve = |text: &str, options: &TransportOptions| match text.parse().unwrap() {
        Endpoint::Tcp(tcp) => super::resolve(&tcp, options),
        _ => panic!("no tcp endpoint"),
    };
    let addr = |text: &str| text.parse::<SocketAddr>().unwrap();
    assert_eq!(
        resolve("tcp://10.1.2.3:4", &options).unwrap(),
        [addr("10.1.2.3:4")]
    );
    assert_eq!(resolve("tcp://[::1]:4", &options).unwrap(), [addr("[::1]:4")]);
    let local = resolve("tcp://localhost:4", &options).unwrap();
    assert!(
        local.iter().all(SocketAddr::is_ipv4) && local.contains(&addr("127.0.0.1:4")),
        "{local:?}"
    );
    assert_eq!(
        resolve("tcp://*:4", &options).unwrap_err().kind(),
        io::ErrorKind::InvalidInput
    );
    let with_ipv6 = TransportOptions {
        ipv6: true,
        ..options
    };
    let sourced = resolve("tcp://127.0.0.1:0;localhost:4", &with_ipv6).unwrap();
    assert!(sourced.iter().all(SocketAddr::is_ipv4), "{sourced:?}");
}

#[test]
fn a_refused_connection_says_so_in_the_end() {
    let options = TransportOptions::default();
    // Bound and not listening: nobody else gets the port, and nobody answers.
    let silent = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    silent
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    let addr = silent.local_addr().unwrap().as_socket().unwrap();
    let target = Target::Tcp { source: None, addr };
    let mut poll = Poll::new().unwrap();
    let mut stream = match connect(&target, &options) {
        Ok(stream) => stream,
        Err(error) => return assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused),
    };
    stream.register(poll.registry(), Token(0)).unwrap();
    let error = until(&mut poll, || stream.take_connect_error()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_connection_to_itself_counts_as_refused() {
    let options = TransportOptions::default();
    let listener = bind(&"tcp://127.0.0.1:0".parse().unwrap(), &options).unwrap();
    let Target::Tcp { addr, .. } = target(listener.endpoint()) else {
        panic!("no tcp endpoint")
    };
    drop(listener);
    let to_itself = Target::Tcp {
        source: Some(addr),
        addr,
    };
    let mut poll = Poll::new().unwrap();
    let mut stream = match connect(&to_itself, &options) {
        Ok(stream) => stream,
        // Not every system lets it come that far.
        Err(_) => return,
    };
    stream.register(poll.registry(), Token(0)).unwrap();
    let error = until(&mut poll, || stream.take_connect_error()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn the_source_is_where_the_connection_leaves_from() {
    let options = TransportOptions::default();
    let mut poll = Poll::new().unwrap();
    let mut listener = bind(&"tcp://127.0.0.1:0".parse().unwrap(), &options).unwrap();
    listener.register(poll.registry(), Token(0)).unwrap();
    let Target::Tcp { addr, .. } = target(listener.endpoint()) else {
        panic!("no tcp endpoint")
    };
    // All of 127/8 is this machine on Linux only.
    let source = if cfg!(target_os = "linux") {
        "127.0.0.2:0"
    } else {
        "127.0.0.1:0"
    };
    let source: SocketAddr = source.parse().unwrap();
    let _near = connect(
        &Target::Tcp {
            source: Some(source),
            addr,
        },
        &options,
    )
    .unwrap();
    let far = until(&mut poll, || listener.accept()).unwrap().stream;
    assert!(far.peer_name().starts_with(&source.ip().to_string()));
}

#[test]
fn options_reach_the_sockets_of_both_ends() {
    let options = TransportOptions {
        nodelay: true,
        keepalive: Some(Keepalive {
            idle: Some(Duration::from_secs(33)),
            interval: Some(Duration::from_millis(1)),
            count: Some(4),
        }),
        send_buffer: Some(70_000),
        recv_buffer: Some(80_000),
        tos: Some(0x10),
        user_timeout: Some(Duration::from_millis(4321)),
        ..TransportOptions::default()
    };
    let (near, far, _poll) = pair("tcp://127.0.0.1:0", &options);
    for stream in [&near, &far] {
        let socket = stream.sock_ref();
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        // Linux doubles what is asked for.
        assert!(socket.send_buffer_size().unwrap() >= 70_000);
        assert!(socket.recv_buffer_size().unwrap() >= 80_000);
        assert_eq!(socket.tos_v4().unwrap(), 0x10);
        #[cfg(target_os = "linux")]
        {
            assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(33));
            assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(1));
            assert_eq!(socket.tcp_keepalive_retries().unwrap(), 4);
            assert_eq!(
                socket.tcp_user_timeout().unwrap(),
                Some(Duration::from_millis(4321))
            );
            assert!(socket.nonblocking().unwrap());
        }
    }
    let without = TransportOptions {
        nodelay: false,
        ..TransportOptions::default()
    };
    let (near, far, _poll) = pair("tcp://127.0.0.1:0", &without);
    for stream in [&near, &far] {
        assert!(!stream.sock_ref().tcp_nodelay().unwrap());
        assert!(!stream.sock_ref().keepalive().unwrap());
        #[cfg(target_os = "linux")]
        assert_eq!(stream.sock_ref().tcp_notsent_lowat().unwrap(), super::tcp::UNSENT);
    }
}

/// The flags of each descriptor of this process that is a socket, as Linux tells them.
#[cfg(target_os = "linux")]
fn flags_of_sockets() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    let sockets = entries.flatten().filter_map(|entry| {
        let target = std::fs::read_link(entry.path()).ok()?;
        if !target.to_str()?.starts_with("socket:") {
            return None;
        }
        let info = std::path::Path::new("/proc/self/fdinfo").join(entry.file_name());
        let text = std::fs::read_to_string(info).ok()?;
        let flags = text.lines().find_map(|line| line.strip_prefix("flags:"))?;
        u32::from_str_radix(flags.trim(), 8).ok()
    });
    sockets.collect()
}

#[test]
#[cfg(target_os = "linux")]
fn no_descriptor_is_left_to_a_program_that_is_started() {
    const CLOSED_ON_EXEC: u32 = 0o2_000_000;
    let pairs = pairs();
    let flags = flags_of_sockets();
    assert!(flags.len() >= 2 * pairs.len(), "{flags:?}");
    assert!(flags.iter().all(|flags| flags & CLOSED_ON_EXEC != 0), "{flags:?}");
}

#[test]
fn the_traffic_class_and_a_device_are_set() {
    let options = TransportOptions {
        ipv6: true,
        tos: Some(0x20),
        ..TransportOptions::default()
    };
    if bind(&"tcp://[::1]:0".parse().unwrap(), &options).is_ok() {
        let (near, far, _poll) = pair("tcp://[::1]:0", &options);
        #[cfg(target_os = "linux")]
        for stream in [&near, &far] {
            assert_eq!(stream.sock_ref().tclass_v6().unwrap(), 0x20);
        }
        drop((near, far));
    }
    let options = TransportOptions {
        bind_to_device: Some("no-such-device".into()),
        ..TransportOptions::default()
    };
    bind(&"tcp://127.0.0.1:0".parse().unwrap(), &options).expect_err("there is no such device");
}

#[test]
fn failures_of_accept_are_sorted() {
    let sorted = |kind: io::ErrorKind| accept_failure(&kind.into());
    assert_eq!(sorted(io::ErrorKind::WouldBlock), AcceptFailure::Transient);
    assert_eq!(sorted(io::ErrorKind::ConnectionAborted), AcceptFailure::Transient);
    assert_eq!(sorted(io::ErrorKind::InvalidInput), AcceptFailure::Fatal);
    // EMFILE and ENFILE, which have these numbers on every Unix, and ENOMEM.
    for number in [24, 23, 12] {
        let error = io::Error::from_raw_os_error(number);
        if cfg!(unix) {
            assert_eq!(accept_failure(&error), AcceptFailure::Exhausted, "{error}");
        }
    }
}
