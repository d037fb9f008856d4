//! Tests of ipc: every rule about who may take, keep and remove a path.

use super::super::tests::{pair, until};
use super::*;
use crate::{DisconnectReason, Endpoint};
use std::os::unix::net::UnixListener;
use std::time::Instant;

fn bind_at(path: &Path) -> io::Result<Listener> {
    let endpoint = IpcEndpoint::Path(path.into());
    bind(&endpoint, &TransportOptions::default()).map(|(listener, _)| listener)
}

fn connect_to(endpoint: &IpcEndpoint) -> io::Result<Stream> {
    connect(endpoint, &TransportOptions::default())
}

fn kind_of<T: std::fmt::Debug>(result: io::Result<T>) -> io::ErrorKind {
    result.expect_err("an error").kind()
}

fn names_in(directory: &Path) -> Vec<std::ffi::OsString> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name()).collect()
}

#[test]
fn only_the_owner_may_connect_and_the_file_goes_with_the_listener() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = bind_at(&path).unwrap();
    let found = fs::symlink_metadata(&path).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.mode() & PERMISSION_BITS, 0o600);
    drop(listener);
    assert!(names_in(directory.path()).is_empty());
}

#[test]
fn on_linux_the_file_is_made_with_its_mode() {
    if cfg!(target_os = "linux") {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let socket = open(&TransportOptions::default()).unwrap();
        let file = File::from(OwnedFd::from(socket.try_clone().unwrap()));
        file.set_permissions(Permissions::from_mode(0o600)).unwrap();
        socket.bind(&path_addr(&path).unwrap()).unwrap();
        let mode = fs::symlink_metadata(&path).unwrap().mode();
        assert_eq!(mode & PERMISSION_BITS, 0o600);
    }
}

#[test]
fn the_file_has_the_mode_that_was_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    // Whatever the mask of the process takes away from files, 0o666 has more.
    for mode in [0o600, 0o660, 0o666] {
        let path = directory.path().join(format!("{mode:o}"));
        let options = TransportOptions {
            ipc_mode: mode,
            ..TransportOptions::default()
        };
        let _listener = bind(&IpcEndpoint::Path(path.clone()), &options).unwrap();
        assert_eq!(
            fs::symlink_metadata(&path).unwrap().mode() & PERMISSION_BITS,
            mode
        );
    }
}

#[test]
fn a_live_owner_keeps_its_path() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let mut owner = bind_at(&path).unwrap();
    assert_eq!(kind_of(bind_at(&path)), io::ErrorKind::AddrInUse);
    // The owner's backlog now has the probe of the other bind, and works.
    owner.accept(&TransportOptions::default()).unwrap();
    let _client = connect_to(&IpcEndpoint::Path(path.clone())).unwrap();
    owner.accept(&TransportOptions::default()).unwrap();
    let mut poll = mio::Poll::new().unwrap();
    owner
        .register(poll.registry(), Token(0), Interest::READABLE)
        .unwrap();
    poll.poll(&mut mio::Events::with_capacity(1), Some(Duration::ZERO))
        .unwrap();
}

#[test]
fn an_owner_with_a_full_backlog_is_alive() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let endpoint = IpcEndpoint::Path(path.clone());
    let options = TransportOptions {
        backlog: 1,
        ..TransportOptions::default()
    };
    let _owner = bind(&endpoint, &options).unwrap();
    let mut clients = Vec::new();
    // What a full backlog says differs: Linux asks to wait, the BSDs refuse.
    let refusal = loop {
        match connect_to(&endpoint) {
            Ok(client) => clients.push(client),
            Err(error) => break error.kind(),
        }
        assert!(clients.len() < 1000, "the backlog has an end");
    };
    if cfg!(target_os = "linux") {
        assert_eq!(refusal, io::ErrorKind::WouldBlock);
        assert_eq!(kind_of(bind_at(&path)), io::ErrorKind::AddrInUse);
    }
}

#[test]
fn a_stale_socket_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    drop(UnixListener::bind(&path).unwrap());
    assert_eq!(
        kind_of(connect_to(&IpcEndpoint::Path(path.clone()))),
        io::ErrorKind::ConnectionRefused
    );
    let listener = bind_at(&path).unwrap();
    connect_to(&IpcEndpoint::Path(path.clone())).unwrap();
    assert_eq!(names_in(directory.path()), ["socket"]);
    drop(listener);
    assert!(names_in(directory.path()).is_empty());
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "precious").unwrap();
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let dangling = directory.path().join("dangling");
    std::os::unix::fs::symlink("nowhere", &dangling).unwrap();
    let folder = directory.path().join("folder");
    fs::create_dir(&folder).unwrap();
    for path in [&file, &link, &dangling, &folder] {
        assert_eq!(kind_of(bind_at(path)), io::ErrorKind::AlreadyExists, "{path:?}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    assert_eq!(names_in(directory.path()).len(), 4);
}

#[test]
fn a_socket_of_another_user_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    drop(UnixListener::bind(&path).unwrap());
    let addr = path_addr(&path).unwrap();
    let uid = fs::symlink_metadata(&path).unwrap().uid();
    // Only root can give files away, so for most users it is the caller who is somebody else.
    assert_eq!(
        kind_of(clear_stale(&path, &addr, uid + 1)),
        io::ErrorKind::PermissionDenied
    );
    if std::os::unix::fs::chown(&path, Some(uid + 1), None).is_ok() {
        assert_eq!(kind_of(bind_at(&path)), io::ErrorKind::PermissionDenied);
    }
    assert_eq!(names_in(directory.path()), ["socket"]);
}

#[test]
fn a_path_that_was_taken_over_meanwhile_is_put_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    drop(UnixListener::bind(&path).unwrap());
    let mut stale = Identity::of(&fs::symlink_metadata(&path).unwrap());
    fs::remove_file(&path).unwrap();
    let _faster = bind_at(&path).unwrap();
    // Even where the inode number is used again.
    stale.inode = fs::symlink_metadata(&path).unwrap().ino();
    stale.modified.0 -= 60;
    assert_eq!(kind_of(remove_aside(&path, &stale)), io::ErrorKind::AddrInUse);
    connect_to(&IpcEndpoint::Path(path)).expect("the owner is where it was");
    assert_eq!(names_in(directory.path()), ["socket"]);
}

#[test]
fn a_path_that_another_process_is_just_taking_is_not_taken_from_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    // A process that the system does not let run between its bind and its listen, for longer than the file is young.
    let turn = lock_directory(&path).expect("a lock");
    let slow = open(&TransportOptions::default()).unwrap();
    slow.bind(&path_addr(&path).unwrap()).unwrap();
    let other = thread::spawn({
        let path = path.clone();
        move || bind_at(&path).map(drop)
    });
    let watched_until = Instant::now() + 5 * GRACE;
    while !other.is_finished() && Instant::now() < watched_until {
        thread::yield_now();
    }
    slow.listen(1).unwrap();
    drop(turn);
    assert_eq!(kind_of(other.join().unwrap()), io::ErrorKind::AddrInUse);
    connect_to(&IpcEndpoint::Path(path)).expect("the slow one has its path");
}

#[test]
fn a_pipe_that_somebody_put_in_the_place_of_the_directory_is_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(bind_at(&pipe.join("socket")).is_err());
}

#[test]
#[cfg(target_os = "linux")]
fn a_lock_that_the_system_does_not_take_back_harms_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let mut turn = lock_directory(&directory.path().join("socket")).expect("a lock");
    // A descriptor by which nothing can be unlocked stands in for a file system that fails.
    let nothing = File::options()
        .read(true)
        .custom_flags(OFlag::O_PATH.bits())
        .open(directory.path());
    **turn.0.as_mut().unwrap() = nothing.unwrap();
    drop(turn);
}

#[test]
fn whoever_holds_the_lock_for_ever_keeps_nobody_from_binding() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let _turn = lock_directory(&path).expect("a lock");
    bind_at(&path).unwrap();
}

#[test]
fn of_many_threads_one_takes_a_stale_path() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    drop(UnixListener::bind(&path).unwrap());
    let results: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| bind_at(&path))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    for error in results.into_iter().filter_map(Result::err) {
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}

#[test]
fn a_file_that_took_the_place_of_ours_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = bind_at(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "theirs").unwrap();
    drop(listener);
    assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
}

#[test]
fn a_wildcard_has_a_private_directory_while_it_lives() {
    let (listener, endpoint) = bind(&IpcEndpoint::Wildcard, &TransportOptions::default()).unwrap();
    let IpcEndpoint::Path(path) = &endpoint else {
        panic!("no path: {endpoint:?}");
    };
    let directory = path.parent().unwrap().to_owned();
    let mode = fs::metadata(&directory).unwrap().mode();
    assert_eq!(mode & PERMISSION_BITS, DIRECTORY_MODE);
    connect_to(&endpoint).unwrap();
    drop(listener);
    assert!(!directory.exists());
    assert_eq!(kind_of(connect_to(&endpoint)), io::ErrorKind::NotFound);
}

#[test]
fn abstract_names_have_one_owner_and_no_file() {
    let name = IpcEndpoint::Abstract(format!("aqueduct-test-{:016x}", random()));
    let options = TransportOptions::default();
    if cfg!(target_os = "linux") {
        let (listener, endpoint) = bind(&name, &options).unwrap();
        assert_eq!(endpoint, name);
        assert_eq!(kind_of(bind(&name, &options)), io::ErrorKind::AddrInUse);
        let client = connect_to(&name).unwrap();
        let server = listener.accept(&options).unwrap();
        let IpcEndpoint::Abstract(text) = &name else {
            panic!("no name: {name:?}");
        };
        assert_eq!(client.peer_name(), format!("@{text}"));
        assert_eq!(server.stream.peer_name(), server.address);
        assert_eq!(server.address, format!("@{text}"));
        drop(listener);
        assert_eq!(kind_of(connect_to(&name)), io::ErrorKind::ConnectionRefused);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn both_ends_know_the_process_at_the_other() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    // What a process makes has its own user and group.
    let own = fs::metadata(directory.path()).unwrap();
    let process = ProcessCredentials::new(own.uid(), own.gid(), Some(std::process::id()));
    for endpoint in [
        format!("ipc://{}", path.display()),
        format!("ipc://@{:x}", random()),
    ] {
        let (near, far, _poll) = pair(&endpoint, &TransportOptions::default());
        assert_eq!([near.process(), far.process()], [Some(process); 2], "{endpoint}");
    }
    let (near, far, _poll) = pair("tcp://127.0.0.1:0", &TransportOptions::default());
    assert_eq!([near.process(), far.process()], [None; 2]);
}

#[test]
fn whoever_is_not_on_the_list_or_is_not_known_may_not_come_in() {
    let own = fs::metadata(tempfile::tempdir().unwrap().path()).unwrap().uid();
    for (uids, admitted) in [
        (None, true),
        (Some(vec![own]), true),
        (Some(vec![own + 1, own]), true),
        (Some(vec![own + 1]), false),
        (Some(vec![]), false),
    ] {
        let options = TransportOptions {
            ipc_allowed_uids: uids,
            ..TransportOptions::default()
        };
        let mut listener = super::super::bind(&Endpoint::Ipc(IpcEndpoint::Wildcard), &options).unwrap();
        let Endpoint::Ipc(endpoint) = listener.endpoint().clone() else {
            panic!("no ipc")
        };
        let _client = connect_to(&endpoint).unwrap();
        let stream = listener.accept().unwrap().stream;
        let uid = stream.process().map(|process| process.uid);
        let refused = Err(DisconnectReason::ForbiddenUser { uid });
        let admitted = admitted && (uid.is_some() || options.ipc_allowed_uids.is_none());
        assert_eq!(
            listener.admit(&stream),
            if admitted { Ok(()) } else { refused },
            "{options:?}"
        );
        // Over tcp nobody is known, and a list of users is about ipc alone.
        let tcp = super::super::bind(&"tcp://127.0.0.1:0".parse().unwrap(), &options).unwrap();
        assert_eq!(tcp.admit(&stream), Ok(()));
    }
}

#[test]
fn a_process_that_the_system_does_not_name_is_unknown() {
    assert!(!is_known(&ProcessCredentials::new(u32::MAX, u32::MAX, None)));
    assert!(is_known(&ProcessCredentials::new(0, 0, None)));
}

#[test]
fn both_ends_give_the_name_of_the_path() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket").display().to_string();
    let (near, far, mut poll) = pair(&format!("ipc://{path}"), &TransportOptions::default());
    until(&mut poll, || near.take_connect_error()).unwrap();
    assert_eq!(near.peer_name(), path);
    assert_eq!(far.peer_name(), path);
}

#[test]
fn paths_that_the_system_would_misread_are_refused() {
    let long = PathBuf::from(format!("/{}", "x".repeat(200)));
    for path in [Path::new(""), Path::new("\0name"), &long] {
        assert_eq!(kind_of(bind_at(path)), io::ErrorKind::InvalidInput);
        assert_eq!(
            kind_of(connect_to(&IpcEndpoint::Path(path.into()))),
            io::ErrorKind::InvalidInput
        );
    }
    assert_eq!(
        kind_of(connect_to(&IpcEndpoint::Wildcard)),
        io::ErrorKind::InvalidInput
    );
}
