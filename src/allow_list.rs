//! An authenticator that knows its users by their keys, which lie in a directory.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;
use std::{fs, io};

use crate::security::{AuthRequest, Authenticator, Credentials, Decision, User};
use crate::{KeyError, PublicKey};

/// What the name of a file ends with if there is a public key in it.
const EXTENSION: &str = "pub";

/// The longest file that is read: a key, and some white space.
const MAX_LEN: u64 = 256;

/// The most keys that a directory may have; more would be a data base, which needs an authenticator of its own.
const MAX_KEYS: usize = 100_000;

/// Lets in the owners of the keys in a directory, each in a file `NAME.pub`: as the user NAME.
///
/// A file has 40 characters of Z85 and nothing else but white space. The directory is read again when a file in it was
/// added, removed or renamed; to change a key, write a new file and rename it to the old one's name. A directory that cannot
/// be read lets in nobody. Nor does a change to it end a connection that is there.
///
/// ```
/// use aqueduct::{AllowList, KeyPair, Pull};
///
/// let (server, alice) = (KeyPair::generate()?, KeyPair::generate()?);
/// let keys = tempfile::tempdir()?;
/// std::fs::write(keys.path().join("alice.pub"), alice.public().to_string())?;
/// let pull = Pull::builder()
///     .curve_server(server, AllowList::directory(keys.path())?)
///     .build();
/// # drop(pull);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct AllowList {
    directory: PathBuf,
    known: Mutex<Known>,
}

/// The keys of a directory as it was at some time.
#[derive(Debug)]
struct Known {
    changed: SystemTime,
    users: HashMap<PublicKey, String>,
}

impl AllowList {
    /// Reads the keys in a directory.
    ///
    /// # Errors
    ///
    /// The directory or a file in it cannot be read, a file has no key, or there are more than 100,000.
    pub fn directory(path: impl Into<PathBuf>) -> io::Result<Self> {
        let directory = path.into();
        let known = Known::read(&directory)?;
        Ok(Self {
            directory,
            known: Mutex::new(known),
        })
    }

    /// Returns the name of the user that has a key, as the directory is now.
    fn user(&self, key: &PublicKey) -> io::Result<Option<String>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // A directory that changed as it was read has another time than was noted, and is read again.
        if modified(&self.directory)? != known.changed {
            *known = Known::read(&self.directory)?;
        }
        Ok(known.users.get(key).cloned())
    }
}

impl Authenticator for AllowList {
    fn authenticate(&self, request: AuthRequest) {
        let user = match request.credentials() {
            Credentials::Curve { public_key } => self.user(public_key).ok().flatten(),
            Credentials::Null | Credentials::Plain { .. } => None,
        };
        request.answer(match user {
            Some(name) => Decision::Allow(User::new(name)),
            None => Decision::Deny,
        });
    }
}

impl Known {
    fn read(directory: &Path) -> io::Result<Self> {
        let changed = modified(directory)?;
        let mut users = HashMap::new();
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let name = path.file_stem().and_then(|name| name.to_str());
            let (Some(name), true) = (name, path.extension().is_some_and(|end| end == EXTENSION)) else {
                continue;
            };
            if users.len() >= MAX_KEYS {
                return Err(io::Error::other("too many keys"));
            }
            users.insert(read_key(&path)?, name.to_owned());
        }
        Ok(Self { changed, users })
    }
}

fn modified(directory: &Path) -> io::Result<SystemTime> {
    fs::metadata(directory)?.modified()
}

fn read_key(path: &Path) -> io::Result<PublicKey> {
    let mut content = Vec::new();
    let too_much = MAX_LEN.saturating_add(1);
    fs::File::open(path)?.take(too_much).read_to_end(&mut content)?;
    parse_key(&content)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display())))
}

/// Returns the key in the content of a file, of which there is nothing else.
fn parse_key(content: &[u8]) -> Result<PublicKey, KeyError> {
    let text = std::str::from_utf8(content).map_err(|_| KeyError)?;
    if u64::try_from(content.len()).map_or(true, |len| len > MAX_LEN) {
        return Err(KeyError);
    }
    text.trim().parse()
}

/// Claim: a file with a key has its text, white space around it, and nothing else.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzzing(data: &[u8]) {
    let Ok(key) = parse_key(data) else { return };
    assert!(data.len() <= 256);
    let text = key.to_string();
    let around = String::from_utf8_lossy(data).replacen(&text, "", 1);
    assert!(
        around.chars().all(char::is_whitespace),
        "{around:?} beside the key"
    );
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(byte: u8) -> PublicKey {
        PublicKey::from_bytes([byte; 32])
    }

    #[test]
    fn a_key_that_is_added_or_removed_counts_at_once() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("alice.pub");
        fs::write(home.path().join("README"), "not a key").unwrap();
        let list = AllowList::directory(home.path()).unwrap();
        assert_eq!(list.user(&key(1)).unwrap(), None);
        fs::write(&file, format!("{}\n", key(1))).unwrap();
        settle(home.path());
        assert_eq!(list.user(&key(1)).unwrap().as_deref(), Some("alice"));
        assert_eq!(list.user(&key(2)).unwrap(), None);
        fs::remove_file(&file).unwrap();
        settle(home.path());
        assert_eq!(list.user(&key(1)).unwrap(), None);
    }

    #[test]
    fn a_file_without_a_key_lets_in_nobody() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("alice.pub"), key(1).to_string()).unwrap();
        let list = AllowList::directory(home.path()).unwrap();
        fs::write(home.path().join("bob.pub"), "x".repeat(300)).unwrap();
        settle(home.path());
        assert!(list.user(&key(1)).is_err());
        assert!(AllowList::directory(home.path()).is_err());
    }

    proptest! {
        #[test]
        fn only_white_space_may_be_beside_a_key(
            bytes: [u8; 32], before in "[ \r\\n\\t\u{2003}x#]{0,2}", after in "[ \\r\\n\\tx\\x00]{0,2}",
        ) {
            let content = format!("{before}{}{after}", PublicKey::from_bytes(bytes));
            let clean = before.trim().is_empty() && after.trim().is_empty();
            prop_assert_eq!(parse_key(content.as_bytes()).is_ok(), clean);
            fuzzing(content.as_bytes());
        }
    }

    #[test]
    fn a_file_that_is_too_long_or_no_text_has_no_key() {
        let longest = format!("{}{}", key(1), " ".repeat(216));
        assert!(parse_key(longest.as_bytes()).is_ok());
        assert!(parse_key(format!("{longest} ").as_bytes()).is_err());
        assert!(parse_key(&[longest.as_bytes(), b"\xff"].concat()).is_err());
        assert!(parse_key(b"").is_err());
    }

    #[test]
    fn a_directory_that_is_gone_lets_in_nobody() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("alice.pub"), key(1).to_string()).unwrap();
        let list = AllowList::directory(home.path()).unwrap();
        drop(home);
        assert!(list.user(&key(1)).is_err());
    }

    /// The clock of a file system may be too coarse to tell two changes of a test apart.
    fn settle(directory: &Path) {
        let later = SystemTime::now() + std::time::Duration::from_secs(next());
        fs::File::open(directory).unwrap().set_modified(later).unwrap();
    }

    fn next() -> u64 {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(10);
        NEXT.fetch_add(10, Ordering::Relaxed)
    }
}
