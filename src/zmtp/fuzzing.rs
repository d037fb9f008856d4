//! What the fuzzers run: claims about any input at all, which the tests check on inputs of their own as well.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::command::{Command, put_property};
use super::connection::{Config, Connection, Event};
use super::decoder::{Decoder, Rules, Step};
use super::encoder::Batch;
use super::greeting;
use super::limits::{Room, wide};
use super::mechanism::metadata;
use crate::options::LinkOptions;
use crate::queue::Queue;
use crate::security::{AllowAny, Credentials, Denial, Inquiry, Mechanism, Verdict};
use crate::{Message, SocketType};

/// Few enough that the slots of the parts fit in the 64 KiB that a connection may hold beside four times its input.
const MAX_PARTS: usize = 200;

/// More than any fuzzer sends, so that lengths below the limit are announced and not delivered.
const MAX_SIZE: usize = 256 * 1024 * 1024;

/// Numbers that the input provides, and zeros after its end.
pub(crate) struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn next(&mut self) -> u8 {
        let Some((&number, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        number
    }

    /// The size of a piece: mostly small ones, where the mistakes are, and large ones for the speed of it.
    fn piece(&mut self) -> usize {
        match self.next() {
            0 => usize::MAX,
            small @ 1..=200 => usize::from(small),
            large => usize::from(large).saturating_mul(64),
        }
    }

    fn socket_type(&mut self) -> SocketType {
        let at = usize::from(self.next())
            .checked_rem(SocketType::ALL.len())
            .unwrap_or(0);
        SocketType::ALL.get(at).copied().unwrap_or(SocketType::Pair)
    }
}

/// Splits the input of a fuzzer into numbers that steer and bytes that are fed.
fn steer(data: &[u8]) -> (Numbers<'_>, &[u8]) {
    const STEERING: usize = 16;
    let (numbers, bytes) = data.split_at_checked(STEERING).unwrap_or((data, &[]));
    (Numbers(numbers), bytes)
}

/// Hashes of all that came out; without keeping it, because the fuzzers measure the memory in use.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Digest {
    messages: u64,
    events: u64,
    commands: u64,
    transmitted: u64,
    ignored: u64,
    verdict: String,
}

/// Folds a value into a running hash.
fn fold(digest: &mut u64, value: &impl Hash) {
    let mut hasher = DefaultHasher::new();
    (*digest, value).hash(&mut hasher);
    *digest = hasher.finish();
}

/// Claim: how a greeting is cut does not matter, and only a good one passes.
pub(crate) fn greeting(data: &[u8]) {
    let (mut numbers, bytes) = steer(data);
    let mut whole = bytes;
    let expected = greeting::Partial::new().read(&mut whole, &Mechanism::Null);
    let mut partial = greeting::Partial::new();
    let mut rest = bytes;
    let mut result = Ok(None);
    while let (Ok(None), false) = (&result, rest.is_empty()) {
        let (mut piece, _) = rest.split_at_checked(numbers.piece()).unwrap_or((rest, &[]));
        let len = piece.len();
        result = partial.read(&mut piece, &Mechanism::Null);
        rest = rest.get(len.saturating_sub(piece.len())..).unwrap_or_default();
    }
    assert_eq!(result, expected);
    if let Ok(Some(version)) = expected {
        assert!(version == (3, 0) || version == (3, 1));
        assert_eq!(rest.len(), whole.len());
        let name = b"NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        assert!(bytes.first() == Some(&0xff) && bytes.get(12..32) == Some(name));
    }
}

/// Claim: how a stream of frames is cut does not matter.
pub(crate) fn decoder(data: &[u8]) {
    let (mut numbers, bytes) = steer(data);
    let rules = *config(SocketType::Pull).rules();
    let expected = decode(bytes, &rules, &mut Numbers(&[]));
    let got = decode(bytes, &rules, &mut numbers);
    assert_eq!(got, expected);
}

fn decode(bytes: &[u8], rules: &Rules, numbers: &mut Numbers<'_>) -> Digest {
    let mut decoder = Decoder::default();
    let mut digest = Digest::default();
    let mut inbox = Queue::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (body, _) = decoder.intake(numbers.piece(), rules);
        if !body.is_empty() {
            let count = fill(body, &mut rest);
            assert_eq!(
                decoder.direct_done(count, rules, &mut Room::UNBOUNDED.clone(), &mut inbox),
                None
            );
        }
        let (mut piece, _) = rest.split_at_checked(numbers.piece()).unwrap_or((rest, &[]));
        let len = piece.len();
        let result = decoder.run(&mut piece, rules, &mut a_little_room(), &mut inbox);
        rest = rest.get(len.saturating_sub(piece.len())..).unwrap_or_default();
        inbox
            .by_ref()
            .for_each(|message| fold(&mut digest.messages, &message));
        match result {
            Ok(Step::Command(body)) => fold(&mut digest.commands, &body),
            Ok(_) => assert!(len == 0 || piece.len() < len, "no progress"),
            Err(reason) => {
                digest.verdict = format!("{reason:?}");
                break;
            }
        }
    }
    digest
}

/// Claim: a command that parses is emitted as the same bytes, and so are its properties.
pub(crate) fn command(data: &[u8]) {
    let Ok(command) = Command::parse(data) else { return };
    let mut emitted = Vec::new();
    command.emit(&mut emitted);
    assert_eq!(emitted, data);
    assert_eq!(Command::parse(&emitted), Ok(command));
    if let Command::Ready(properties) = command {
        emitted.truncate(b"\x05READY".len());
        let mut good = true;
        for property in properties {
            match property {
                Ok((name, value)) => put_property(name, value, &mut emitted),
                Err(_) => good = false,
            }
        }
        assert!(data.starts_with(&emitted));
        assert_eq!(good, emitted.len() == data.len());
    }
    for ours in SocketType::ALL {
        if let Ok(peer) = metadata::judge_ready(data, &config(ours), "") {
            assert!(ours.talks_to(peer.socket_type));
        }
    }
}

/// Claims: how the input of a connection is cut does not matter; and nothing that a peer does over time breaks it.
pub(crate) fn connection(data: &[u8]) {
    let (mut numbers, bytes) = steer(data);
    let ours = numbers.socket_type();
    let choice = numbers.next();
    let config = match choice >> 6 {
        1 => config_with(ours, null_server()),
        2 => config_with(ours, plain_server()),
        3 => config_with(ours, plain_client()),
        _ => config(ours),
    };
    let prelude = match choice & 3 {
        0 => Vec::new(),
        1 => greeting::emit(&config.mechanism).to_vec(),
        minor => prelude_to(&config, minor & 1),
    };
    let base = Instant::now();
    let expected = converse(&config, &prelude, bytes, &mut Numbers(&[]), base, false);
    let got = converse(&config, &prelude, bytes, &mut Numbers(numbers.0), base, false);
    assert_eq!(got, expected);
    converse(&config, &prelude, bytes, &mut numbers, base, true);
}

fn null_server() -> Mechanism {
    Mechanism::NullServer(Arc::new(AllowAny))
}

fn plain_server() -> Mechanism {
    Mechanism::PlainServer(Arc::new(AllowAny))
}

fn plain_client() -> Mechanism {
    Mechanism::plain_client("us".into(), "secret".into()).unwrap_or_default()
}

#[cfg(feature = "curve")]
fn key_pair(seed: u8) -> crate::KeyPair {
    crate::SecretKey::from_bytes([seed; 32]).into()
}

/// What frames may be longer sealed than in the input. Short ones are so many times over, and the memory for that is ours,
/// not the connection's, which is what is limited.
#[cfg(feature = "curve")]
const SEALED: usize = 4096;

/// Claims: those of [`connection`], for CURVE: with bytes at any point of the handshake and after it, and with frames that
/// the peer has sealed, whatever is in them.
#[cfg(feature = "curve")]
pub(crate) fn curve(data: &[u8]) {
    let (mut numbers, bytes) = steer(data);
    let ours = numbers.socket_type();
    let choice = numbers.next();
    let mechanism = if choice & 0x80 == 0 {
        curve_server()
    } else {
        curve_client()
    };
    let config = config_with(ours, mechanism);
    let (mut prelude, mut peer) = shake_hands(&config, choice & 1);
    let mut sealed = Vec::new();
    let bytes = match choice >> 1 & 3 {
        0 => bytes,
        1 => {
            prelude.truncate(usize::from(numbers.next()).saturating_mul(4));
            bytes
        }
        _ => {
            let mut rest = bytes;
            while let [flags, len, tail @ ..] = rest
                && sealed.len() < bytes.len().saturating_add(SEALED)
            {
                let (body, later) = tail.split_at_checked(usize::from(*len)).unwrap_or((tail, &[]));
                peer.seal_frame(*flags, body, &mut sealed);
                rest = later;
            }
            &sealed
        }
    };
    let base = Instant::now();
    let expected = converse(&config, &prelude, bytes, &mut Numbers(&[]), base, false);
    let got = converse(&config, &prelude, bytes, &mut Numbers(numbers.0), base, false);
    assert_eq!(got, expected);
    converse(&config, &prelude, bytes, &mut numbers, base, true);
}

#[cfg(feature = "curve")]
pub(super) fn curve_server() -> Mechanism {
    Mechanism::CurveServer {
        keys: Arc::new(key_pair(1)),
        authenticator: Arc::new(AllowAny),
    }
}

#[cfg(feature = "curve")]
pub(super) fn curve_client() -> Mechanism {
    Mechanism::CurveClient {
        server: key_pair(1).public(),
        keys: Arc::new(key_pair(2)),
    }
}

/// The handshake of a peer that fits, with minor version 0 or 1.
#[cfg(test)]
pub(crate) fn prelude(ours: SocketType, minor: u8) -> Vec<u8> {
    prelude_to(&config(ours), minor)
}

fn prelude_to(ours: &Arc<Config>, minor: u8) -> Vec<u8> {
    shake_hands(ours, minor).0
}

/// What a peer that fits says until both ends are ready, and the peer. With CURVE, another connection of the same `ours`
/// takes it as well, since random bytes are always the same.
pub(super) fn shake_hands(ours: &Arc<Config>, minor: u8) -> (Vec<u8>, Connection) {
    let mechanism = match ours.mechanism {
        Mechanism::Null | Mechanism::NullServer(_) => Mechanism::Null,
        Mechanism::PlainClient(_) => plain_server(),
        Mechanism::PlainServer(_) => plain_client(),
        #[cfg(feature = "curve")]
        Mechanism::CurveClient { .. } => curve_server(),
        #[cfg(feature = "curve")]
        Mechanism::CurveServer { .. } => curve_client(),
    };
    let theirs = SocketType::ALL
        .into_iter()
        .find(|theirs| theirs.talks_to(ours.socket_type));
    let now = Instant::now();
    let config = config_with(theirs.unwrap_or(ours.socket_type), mechanism);
    let mut peer = Connection::new(config, now);
    let mut own = Connection::new(Arc::clone(ours), now);
    let mut said = transmitted(&mut peer);
    let mut new = said.clone();
    while !new.is_empty() {
        hear_all(&mut own, &new, now);
        let answer = transmitted(&mut own);
        hear_all(&mut peer, &answer, now);
        new = transmitted(&mut peer);
        said.extend_from_slice(&new);
    }
    assert!(own.is_ready() && peer.is_ready());
    if let Some(slot) = said.get_mut(11) {
        *slot = minor;
    }
    (said, peer)
}

fn transmitted(connection: &mut Connection) -> Vec<u8> {
    let mut batch = Batch::new();
    connection.poll_transmit(&mut batch);
    written(&batch)
}

/// Has a connection take all of the input, and lets its peer in.
fn hear_all(connection: &mut Connection, input: &[u8], now: Instant) {
    let (mut room, mut inbox) = (Room::UNBOUNDED, Queue::new());
    let used = connection.handle_input(input, &mut room, &mut inbox, now);
    assert_eq!(used, Ok(input.len()));
    if connection.is_deciding() {
        assert_eq!(connection.handle_verdict(Ok(Arc::default()), now), Ok(()));
    }
}

/// What the application says of a peer: who shows a name of an odd length is not let in.
fn verdict(inquiry: &Inquiry) -> Verdict {
    match &inquiry.credentials {
        Credentials::Plain { username, .. } if username.len() % 2 != 0 => Err(Denial::Refused),
        _ => Ok(Arc::default()),
    }
}

/// Collects what a batch would send.
pub(crate) fn written(batch: &Batch) -> Vec<u8> {
    let mut slices = smallvec::SmallVec::new();
    batch.slices(&mut slices);
    slices.iter().flat_map(|slice| slice.iter().copied()).collect()
}

fn config(socket_type: SocketType) -> Arc<Config> {
    config_with(socket_type, Mechanism::Null)
}

pub(super) fn config_with(socket_type: SocketType, mechanism: Mechanism) -> Arc<Config> {
    let options = LinkOptions {
        mechanism,
        max_message_parts: MAX_PARTS,
        max_message_size: MAX_SIZE,
        heartbeat_ttl: Some(Duration::from_secs(60)),
        ..LinkOptions::default()
    };
    #[allow(unused_mut, reason = "with CURVE, random bytes are always the same")]
    let mut config = Config::new(socket_type, &options);
    #[cfg(feature = "curve")]
    {
        config.entropy = |bytes| {
            bytes.fill(7);
            Ok(())
        };
    }
    Arc::new(config)
}

/// Little enough that it runs out often.
fn a_little_room() -> Room {
    Room {
        messages: 3,
        bytes: 4096,
    }
}

/// Feeds a connection, takes all it gives, and with `hurry` lets time pass between the pieces as well.
fn converse(
    config: &Arc<Config>,
    prelude: &[u8],
    bytes: &[u8],
    numbers: &mut Numbers<'_>,
    mut now: Instant,
    hurry: bool,
) -> Digest {
    let mut connection = Connection::new(Arc::clone(config), now);
    let mut digest = Digest::default();
    let mut batch = Batch::new();
    for stream in [prelude, bytes] {
        let mut rest = stream;
        while !rest.is_empty() && digest.verdict.is_empty() {
            if hurry {
                pass_time(&mut connection, &mut batch, numbers, &mut now, &mut digest);
            }
            let result = feed(&mut connection, &mut rest, numbers.piece(), now, &mut digest);
            digest.ignored = digest.ignored.max(connection.ignored_commands());
            if let Err(reason) = result {
                digest.verdict = format!("{reason:?}");
            }
        }
    }
    check_verdict(&mut connection, &digest, now);
    connection.poll_transmit(&mut batch);
    assert!(!connection.wants_transmit());
    fold(&mut digest.transmitted, &written(&batch));
    digest
}

fn pass_time(
    connection: &mut Connection,
    batch: &mut Batch,
    numbers: &mut Numbers<'_>,
    now: &mut Instant,
    digest: &mut Digest,
) {
    let step = Duration::from_millis(u64::from(numbers.next()).saturating_mul(100));
    *now = now.checked_add(step).unwrap_or(*now);
    if connection.poll_timeout().is_some_and(|deadline| deadline <= *now) {
        match connection.handle_timeout(*now) {
            Ok(()) => assert!(connection.poll_timeout().is_none_or(|deadline| deadline > *now)),
            Err(reason) => digest.verdict = format!("{reason:?}"),
        }
    }
    if connection.is_ready() {
        connection.encode(Message::from("to the peer"), batch);
        connection.encode(Message::from("\x01topic"), batch);
    }
    connection.poll_transmit(batch);
    let half = batch.len() / 2;
    batch.advance(half);
    *batch = batch.take_rest();
    batch.clear();
}

/// Copies to a body from the front of the input, and returns how much.
fn fill(body: &mut [u8], rest: &mut &[u8]) -> usize {
    let (now, later) = rest.split_at_checked(body.len()).unwrap_or((rest, &[]));
    let place = body.get_mut(..now.len()).unwrap_or_default();
    place.copy_from_slice(now);
    *rest = later;
    now.len()
}

/// Feeds one piece, directly where that is wanted, and drains what comes of it.
fn feed(
    connection: &mut Connection,
    rest: &mut &[u8],
    piece: usize,
    now: Instant,
    digest: &mut Digest,
) -> Result<(), crate::DisconnectReason> {
    let mut inbox = Queue::new();
    let mut room = a_little_room();
    let (body, behind) = connection.intake(piece);
    assert!(behind > 0 && body.len() <= piece);
    let result = if !body.is_empty() {
        let count = fill(body, rest);
        connection.handle_direct(count, &mut room, &mut inbox, now)
    } else {
        let (piece, _) = rest.split_at_checked(piece).unwrap_or((rest, &[]));
        let used = connection.handle_input(piece, &mut room, &mut inbox, now);
        if let Ok(used) = used {
            let paused = !room.is_open() || connection.is_deciding();
            assert!(used > 0 && (used == piece.len() || paused));
            *rest = rest.get(used..).unwrap_or_default();
        }
        used.map(drop)
    };
    assert!(inbox.load().messages as usize <= a_little_room().messages);
    inbox.for_each(|message| fold(&mut digest.messages, &message));
    if let Some(event) = connection.poll_event() {
        fold(&mut digest.events, &format!("{event:?}"));
        if let Event::Asked(inquiry) = event {
            connection.handle_verdict(verdict(&inquiry), now)?;
            if connection.is_deciding() {
                let later = connection.poll_timeout().unwrap_or(now);
                return connection.handle_timeout(later);
            }
        }
    }
    result
}

/// A verdict is final, and there is nothing to wait for after it.
fn check_verdict(connection: &mut Connection, digest: &Digest, now: Instant) {
    if !digest.verdict.is_empty() {
        let mut inbox = Queue::new();
        let again = connection.handle_input(b"\0\0", &mut Room::UNBOUNDED.clone(), &mut inbox, now);
        assert_eq!(
            again.map_err(|reason| format!("{reason:?}")),
            Err(digest.verdict.clone())
        );
        assert!(!connection.is_ready() && inbox.is_empty());
        assert_eq!(connection.poll_timeout(), None);
        assert!(connection.handle_timeout(now).is_err());
    }
    assert!(wide(digest.verdict.len()) < 2048);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zmtp::frame::{self, put_header};
    use proptest::prelude::*;

    /// Streams that are mostly well-formed: random bytes alone do not get past the first frame.
    fn streams() -> impl Strategy<Value = Vec<u8>> {
        const NAMES: [&str; 11] = [
            "PING\0\x05",
            "PONG",
            "SUBSCRIBE",
            "CANCEL",
            "ERROR\x02no",
            "READY",
            "JOIN",
            "P1",
            "HELLO",
            "WELCOME",
            "INITIATE",
        ];
        let command = (
            prop::sample::select(&NAMES[..]),
            prop::collection::vec(any::<u8>(), 0..40),
        )
            .prop_map(|(text, data)| {
                let letters = text.bytes().take_while(u8::is_ascii_alphanumeric).count();
                let body = [&[letters as u8], text.as_bytes(), &data].concat();
                (frame::COMMAND, body)
            });
        let sizes = prop_oneof![8 => 0..300usize, 1 => 0..20_000usize];
        let part = (0..2u8, any::<u8>(), sizes).prop_map(|(more, byte, len)| (more, vec![byte; len]));
        let framed = prop_oneof![6 => part, 2 => command].prop_map(|(flags, body)| {
            let mut out = Vec::new();
            put_header(flags, body.len(), &mut out);
            out.extend(body);
            out
        });
        let noise = prop::collection::vec(any::<u8>(), 0..12);
        prop::collection::vec(prop_oneof![30 => framed, 1 => noise], 0..12).prop_map(|all| all.concat())
    }

    fn steered() -> impl Strategy<Value = Vec<u8>> {
        (any::<[u8; 16]>(), streams()).prop_map(|(numbers, stream)| [&numbers[..], &stream].concat())
    }

    #[cfg(feature = "curve")]
    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn curve_keeps_its_promises(
            numbers: [u8; 16], choice: u8, raw in prop::collection::vec(any::<u8>(), 0..300)
        ) {
            curve(&[&numbers[..1], &[choice], &numbers[..14], &raw].concat());
        }
    }

    proptest! {
        #[test]
        fn any_chunking_of_frames_is_the_same(data in steered()) {
            decoder(&data);
        }

        #[test]
        fn any_chunking_of_a_connection_is_the_same(data in steered()) {
            connection(&data);
        }

        #[test]
        fn any_chunking_of_noise_is_the_same(data in prop::collection::vec(any::<u8>(), 0..200)) {
            greeting(&data);
            decoder(&data);
            command(&data);
            connection(&data);
        }

        #[test]
        fn any_chunking_of_a_damaged_greeting_is_the_same(
            numbers: [u8; 16], at in 0..64usize, byte: u8, tail in prop::collection::vec(any::<u8>(), 0..9)
        ) {
            let mut bytes = greeting::emit(&Mechanism::Null);
            bytes[at] = byte;
            greeting(&[&numbers[..], &bytes, &tail].concat());
        }

        #[test]
        fn properties_lead_back(
            properties in prop::collection::vec(("[A-Za-z0-9_.+-]{1,40}", prop::collection::vec(any::<u8>(), 0..80)), 0..9)
        ) {
            let mut body = b"\x05READY".to_vec();
            for (name, value) in &properties {
                put_property(name, value, &mut body);
            }
            command(&body);
            let Ok(Command::Ready(parsed)) = Command::parse(&body) else { panic!("not READY") };
            let parsed: Vec<_> = parsed.map(|p| p.map(|(n, v)| (n.to_owned(), v.to_vec())).unwrap()).collect();
            prop_assert_eq!(parsed, properties);
        }
    }
}
