//! Ipc: Unix sockets, and who may take a path, keep it and remove it.
//!
//! The rules of a path, which differ from libzmq's on purpose:
//!
//! * The file has its mode, 0600 unless an option says otherwise, before anyone can connect. It gets that mode before it gets its name where the system allows
//!   it (Linux), and otherwise between `bind` and `listen`, when connects are still refused. Binding elsewhere and moving
//!   the file into place was the other way: it needs a longer path, of which 107 bytes exist, and leaves the temporary
//!   name in what the system tells about the socket.
//! * A path with a live owner is in use. A socket file that nobody listens on is replaced. Anything that is no socket, or
//!   is somebody else's, is refused and not touched.
//! * Whoever takes a path holds a lock on its directory until it listens, so that a socket file is never taken for stale that
//!   is just being made. The directory rather than a file of its own: such a file could not be removed again without a race.
//! * The file is removed when the listener is dropped, if it is still the same file. libzmq leaves it behind; here a path
//!   that exists means an owner or a crash.

use std::collections::hash_map::RandomState;
use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use socket2::{Domain, SockAddr, Socket, Type};

use super::{Arrival, Site, Stream, apply_buffers, backlog, invalid};
use crate::options::TransportOptions;
use crate::{IpcEndpoint, ProcessCredentials};

/// Only the owner may enter the directory of a wildcard socket.
const DIRECTORY_MODE: u32 = 0o700;

/// The bits of a file's mode that say who may do what.
const PERMISSION_BITS: u32 = 0o777;

/// How long a socket file that refuses connections is left alone before it counts as stale: another process may be
/// between its `bind` and its `listen`, which takes microseconds.
const GRACE: Duration = Duration::from_millis(20);

/// How often a bind looks again after the path changed under its eyes, before it calls the path busy.
const MAX_ATTEMPTS: usize = 8;

/// How often, and after which pause, a bind looks whether another process is done with a path in the same directory. That one
/// listens within microseconds of its turn; should somebody hold the lock for another reason, we go on without.
const LOOKS: usize = 200;
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The threads of one process take paths one at a time, so that only other processes can come between.
static TAKING_A_PATH: Mutex<()> = Mutex::new(());

/// A bound Unix socket.
#[derive(Debug)]
pub(super) struct Listener {
    /// Dropped before the socket is closed: an open socket keeps its inode number from being used again.
    _file: Option<SocketFile>,
    socket: Socket,
}

impl Listener {
    pub(super) fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        registry.register(&mut SourceFd(&self.socket.as_raw_fd()), token, interest)
    }

    pub(super) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(&mut SourceFd(&self.socket.as_raw_fd()))
    }

    pub(super) fn accept(&self, options: &TransportOptions) -> io::Result<Arrival> {
        let (socket, _) = self.socket.accept()?;
        socket.set_nonblocking(true)?;
        // What can fail here is a connection that is gone already, and its first read says so.
        let _ = apply_buffers(&socket, options);
        let stream = Stream::ipc(socket);
        Ok(Arrival {
            address: stream.peer_name(),
            site: Site::Here,
            stream,
        })
    }
}

/// The socket file of a listener, and the directory made for it; both are removed at the end.
#[derive(Debug)]
struct SocketFile {
    /// Absolute, as the process may change its directory.
    path: PathBuf,
    identity: Identity,
    directory: Option<PrivateDirectory>,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Nothing can be done about a failure, and the next bind takes a stale file anyway.
        if fs::symlink_metadata(&self.path)
            .is_ok_and(|found| Identity::of(&found).is_same_inode(&self.identity))
        {
            let _ = fs::remove_file(&self.path);
        }
        // The directory goes after the file.
        self.directory.take();
    }
}

/// A directory that only this user can enter, removed at the end if it is empty.
#[derive(Debug)]
struct PrivateDirectory(PathBuf);

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        // What a stranger to this library put there is not ours to remove.
        let _ = fs::remove_dir(&self.0);
    }
}

/// What tells a file from one that took its place. An inode number alone may be used again at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    modified: (i64, i64),
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }

    fn is_same_inode(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// The lock on a directory, which is there until this is dropped.
#[derive(Debug)]
struct Turn(Option<Flock<File>>);

impl Drop for Turn {
    fn drop(&mut self) {
        // To close the directory would not do: a process that was forked meanwhile has it open as well. A `Flock` that is
        // dropped unlocks, but panics if the file system fails to, so that one is forgotten: a descriptor is lost.
        if let Some(Err((stuck, _))) = self.0.take().map(Flock::unlock) {
            std::mem::forget(stuck);
        }
    }
}

/// Binds and listens, and returns the endpoint with the wildcard resolved.
pub(super) fn bind(
    endpoint: &IpcEndpoint,
    options: &TransportOptions,
) -> io::Result<(Listener, IpcEndpoint)> {
    match endpoint {
        IpcEndpoint::Path(path) => Ok((bind_path(path, None, options)?, endpoint.clone())),
        IpcEndpoint::Abstract(name) => {
            let socket = open(options)?;
            socket.bind(&abstract_addr(name)?)?;
            socket.listen(backlog(options))?;
            Ok((Listener { _file: None, socket }, endpoint.clone()))
        }
        IpcEndpoint::Wildcard => {
            let directory = make_private_directory()?;
            let path = directory.0.join("socket");
            let listener = bind_path(&path, Some(directory), options)?;
            Ok((listener, IpcEndpoint::Path(path)))
        }
    }
}

/// Connects. On ipc the outcome is known at once.
pub(super) fn connect(endpoint: &IpcEndpoint, options: &TransportOptions) -> io::Result<Stream> {
    let addr = match endpoint {
        IpcEndpoint::Path(path) => path_addr(path)?,
        IpcEndpoint::Abstract(name) => abstract_addr(name)?,
        IpcEndpoint::Wildcard => return Err(invalid("a wildcard names no peer")),
    };
    let socket = open(options)?;
    super::stream::retry(|| socket.connect(&addr))?;
    Ok(Stream::ipc(socket))
}

/// Makes a socket that is non-blocking and closed on exec.
fn open(options: &TransportOptions) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    apply_buffers(&socket, options)?;
    Ok(socket)
}

/// Returns the process that has connected, or listens, at the other end, if the system tells.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn process(socket: &UnixStream) -> Option<ProcessCredentials> {
    let found = nix::sys::socket::getsockopt(socket, nix::sys::socket::sockopt::PeerCredentials).ok()?;
    // Zero is a process that cannot be seen from here.
    let pid = u32::try_from(found.pid()).ok().filter(|pid| *pid != 0);
    Some(ProcessCredentials::new(found.uid(), found.gid(), pid)).filter(is_known)
}

#[cfg(any(
    target_vendor = "apple",
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
))]
pub(super) fn process(socket: &UnixStream) -> Option<ProcessCredentials> {
    let (uid, gid) = nix::unistd::getpeereid(socket).ok()?;
    Some(ProcessCredentials::new(uid.as_raw(), gid.as_raw(), None)).filter(is_known)
}

#[cfg(not(any(
    target_vendor = "apple",
    target_os = "android",
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "linux",
    target_os = "netbsd",
    target_os = "openbsd",
)))]
pub(super) fn process(_: &UnixStream) -> Option<ProcessCredentials> {
    None
}

/// Tells whether a process has a user at all: the highest number says that there is none.
fn is_known(process: &ProcessCredentials) -> bool {
    process.uid != u32::MAX
}

fn path_addr(path: &Path) -> io::Result<SockAddr> {
    use std::os::unix::ffi::OsStrExt;
    // The system would read an empty path, or one that starts with a zero byte, as something that is no path.
    let bytes = path.as_os_str().as_bytes();
    if bytes.is_empty() || bytes.contains(&0) {
        return Err(invalid("a path is not empty and has no zero byte"));
    }
    SockAddr::unix(path)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn abstract_addr(name: &str) -> io::Result<SockAddr> {
    SockAddr::unix(format!("\0{name}"))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn abstract_addr(_: &str) -> io::Result<SockAddr> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "abstract names are Linux's",
    ))
}

/// Returns the path, or the `@name`, of an address that has one.
pub(super) fn address_name(addr: &std::os::unix::net::SocketAddr) -> Option<String> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        #[cfg(target_os = "android")]
        use std::os::android::net::SocketAddrExt;
        #[cfg(target_os = "linux")]
        use std::os::linux::net::SocketAddrExt;
        if let Some(name) = addr.as_abstract_name() {
            return Some(format!("@{}", String::from_utf8_lossy(name)));
        }
    }
    addr.as_pathname().map(|path| path.display().to_string())
}

fn bind_path(
    path: &Path,
    directory: Option<PrivateDirectory>,
    options: &TransportOptions,
) -> io::Result<Listener> {
    let addr = path_addr(path)?;
    let path = std::path::absolute(path)?;
    let socket = open(options)?;
    let socket_as_file = File::from(OwnedFd::from(socket.try_clone()?));
    // Linux takes the mode of the file from the socket's own; a system that does not is dealt with below.
    let _ = socket_as_file.set_permissions(Permissions::from_mode(options.ipc_mode));
    // A socket that was just made belongs to the user that this thread acts as.
    let our_uid = socket_as_file.metadata()?.uid();

    // The lock guards no data, so a panic elsewhere while it was held left nothing half done.
    let _one_at_a_time = TAKING_A_PATH.lock().unwrap_or_else(PoisonError::into_inner);
    let _our_turn = lock_directory(&path);
    let mut attempts = 0;
    loop {
        match socket.bind(&addr) {
            Ok(()) => break,
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempts < MAX_ATTEMPTS => {
                clear_stale(&path, &addr, our_uid)?;
            }
            Err(error) => return Err(error),
        }
        attempts += 1;
    }
    let metadata = fs::symlink_metadata(&path)?;
    // From here on an error removes the file.
    let file = SocketFile {
        identity: Identity::of(&metadata),
        path,
        directory,
    };
    if metadata.mode() & PERMISSION_BITS != options.ipc_mode {
        fs::set_permissions(&file.path, Permissions::from_mode(options.ipc_mode))?;
    }
    socket.listen(backlog(options))?;
    Ok(Listener {
        _file: Some(file),
        socket,
    })
}

/// Locks the directory of a path against other processes that would bind there, for as long as the lock lives.
///
/// `None` if the directory cannot be read, its file system knows no locks, or somebody does not let go of it. Then a socket
/// file that is young is left alone for a while, which is all that stands against processes that do not lock.
fn lock_directory(path: &Path) -> Option<Turn> {
    // Anything else is not opened: to open a pipe is to wait for who writes to it.
    let mut directory = File::options()
        .read(true)
        .custom_flags(OFlag::O_DIRECTORY.bits())
        .open(path.parent()?)
        .ok()?;
    for _ in 0..LOOKS {
        match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Some(Turn(Some(lock))),
            Err((unlocked, Errno::EWOULDBLOCK | Errno::EINTR)) => {
                directory = unlocked;
                thread::sleep(LOOK_AGAIN);
            }
            Err(_) => return None,
        }
    }
    None
}

/// Removes a socket file that nobody listens on, or says why the path cannot be taken. `Ok` means: try again.
fn clear_stale(path: &Path, addr: &SockAddr, our_uid: u32) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    // A link is refused whatever it points to: to follow it would remove somebody's choice.
    if !found.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "the path is taken by a file that is no socket",
        ));
    }
    if found.uid() != our_uid {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "the path is taken by a socket of another user",
        ));
    }
    if !is_stale(addr)? {
        return Err(owned());
    }
    if found.modified()?.elapsed().is_ok_and(|age| age >= GRACE) {
        return remove_aside(path, &Identity::of(&found));
    }
    // The file is as young as the time it takes another process to listen.
    thread::sleep(GRACE);
    if !is_stale(addr)? {
        return Err(owned());
    }
    remove_aside(path, &Identity::of(&found))
}

fn owned() -> io::Error {
    io::Error::new(io::ErrorKind::AddrInUse, "the path has a live owner")
}

/// Tells whether nobody listens on a socket file, by connecting to it.
fn is_stale(addr: &SockAddr) -> io::Result<bool> {
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    probe.set_nonblocking(true)?;
    match super::stream::retry(|| probe.connect(addr)) {
        Ok(()) => Ok(false),
        Err(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Ok(true),
            // A full backlog has an owner too.
            io::ErrorKind::WouldBlock => Ok(false),
            _ => Err(error),
        },
    }
}

/// Removes the file if it is the one that was found stale.
///
/// Two processes may find the same file stale, and the slower one must not remove what the faster one has bound since.
/// A rename takes the file out of everyone's reach; only then is it looked at, and put back if it is another one.
fn remove_aside(path: &Path, stale: &Identity) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    // Not longer than a file name can be: the path had room for 107 bytes, and a name for 255.
    name.push(format!(".stale-{:016x}", random()));
    let aside = path.with_file_name(name);
    match fs::rename(path, &aside) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    let was_stale = fs::symlink_metadata(&aside).is_ok_and(|moved| Identity::of(&moved) == *stale);
    if was_stale {
        return fs::remove_file(&aside);
    }
    // A link, unlike a rename, does not replace what a third one may have bound in the meantime.
    let restored = fs::hard_link(&aside, path);
    fs::remove_file(&aside)?;
    restored.and(Err(owned()))
}

/// Makes a directory with a name that nobody can guess or hold ready.
fn make_private_directory() -> io::Result<PrivateDirectory> {
    let parent = std::path::absolute(std::env::temp_dir())?;
    let mut attempts = 0;
    loop {
        let path = parent.join(format!("aqueduct-{:016x}", random()));
        match DirBuilder::new().mode(DIRECTORY_MODE).create(&path) {
            Ok(()) => return Ok(PrivateDirectory(path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempts < MAX_ATTEMPTS => {
                attempts += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Returns a number from the keys that the system's random source gives each of the standard library's hashers.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests;
