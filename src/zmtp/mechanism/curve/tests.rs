//! Tests of the handshake and of messages in boxes, between a client and a server and with somebody in between.

use super::boxes::{Lane, SharedKey};
use super::client::{Client, HelloSent, InitiateSent};
use super::commands::INITIATE_LEN;
use super::server::{AwaitHello, Drawn, Server, WelcomeSent};
use super::traffic::{Flags, LEAD};
use super::*;
use crate::zmtp::frame::{COMMAND, Header, MORE};
use crate::{KeyPair, PublicKey, SecretKey};

const HELLO_LEN: usize = 200;
const WELCOME_LEN: usize = 168;

fn hex(text: &str) -> Vec<u8> {
    let digits = text.chars().filter_map(|c| c.to_digit(16)).collect::<Vec<_>>();
    let byte = |pair: &[u32]| u8::try_from(pair[0] * 16 + pair[1]).unwrap();
    digits.chunks_exact(2).map(byte).collect()
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    hex(text).try_into().unwrap()
}

fn keys(seed: u8) -> KeyPair {
    SecretKey::from_bytes([seed; 32]).into()
}

/// "Cryptography in NaCl", sections 5 to 10.
mod nacl {
    use super::*;

    const NONCE: &str = "69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37";
    const TEXT: &str = "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffc
        e5ecbaaf33bd751a1ac728d45e6c61296cdc3c01233561f41db66cce314adb31
        0e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde
        048977eb48f59ffd4924ca1c60902e52f0a089bc76897040e082f93776384864
        5e0705";
    const TAG: &str = "f3ffc7703f9400e52a7dfb4b3d3305d9";
    const BOXED: &str = "8e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186a
        c0dfc17c98dce87b4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738
        b48eeee314a7cc8ab932164548e526ae90224368517acfeabd6bb3732bc0e9da
        99832b61ca01b6de56244a9e88d5f9b37973f622a43d14a6599b1f654cb45a74
        e355a5";

    fn alice() -> SecretKey {
        SecretKey::from_bytes(array(
            "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
        ))
    }

    fn bob() -> SecretKey {
        SecretKey::from_bytes(array(
            "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
        ))
    }

    #[test]
    fn alice_seals_what_the_book_says() {
        let key = SharedKey::agree(&alice(), &bob().public()).unwrap();
        let mut text = hex(TEXT);
        let tag = key.seal(&array(NONCE), &mut text);
        assert_eq!((tag.to_vec(), text), (hex(TAG), hex(BOXED)));
    }

    #[test]
    fn bob_opens_it_in_one_piece_and_in_two() {
        let key = SharedKey::agree(&bob(), &alice().public()).unwrap();
        let mut text = hex(BOXED);
        key.open(&array(NONCE), &array(TAG), &mut text).unwrap();
        assert_eq!(text, hex(TEXT));
        let nonce: [u8; 24] = array(NONCE);
        let lane = key.lane(nonce.first_chunk().unwrap());
        for cut in 0..16 {
            let mut text = hex(BOXED);
            let (head, rest) = text.split_at_mut(cut);
            lane.open(*nonce.last_chunk().unwrap(), &array(TAG), head, rest)
                .unwrap();
            assert_eq!(text, hex(TEXT));
        }
    }

    #[test]
    fn each_bit_counts() {
        let key = SharedKey::agree(&bob(), &alice().public()).unwrap();
        let whole = [hex(NONCE), hex(TAG), hex(BOXED)].concat();
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let (nonce, rest) = flipped.split_first_chunk_mut().unwrap();
            let (tag, text) = rest.split_first_chunk_mut().unwrap();
            assert_eq!(key.open(nonce, tag, text), Err(Forged), "bit {bit}");
        }
    }

    #[test]
    fn short_boxes_open_in_any_two_pieces() {
        let lane: Lane = SharedKey::from_bytes([7; 32]).lane(b"0123456789abcdef");
        for len in 0u8..40 {
            let text: Vec<u8> = (0..len).collect();
            let mut boxed = text.clone();
            let tag = lane.seal([len; 8], &mut boxed);
            for cut in 0..=boxed.len().min(15) {
                let mut opened = boxed.clone();
                let (head, rest) = opened.split_at_mut(cut);
                lane.open([len; 8], &tag, head, rest).unwrap();
                assert_eq!(opened, text);
            }
        }
    }
}

/// A client and a server, and what they have said to each other.
struct Pair {
    client: Client,
    server: Server,
    seed: u8,
}

struct Said {
    hello: Vec<u8>,
    welcome: Vec<u8>,
    initiate: Vec<u8>,
    ready: Vec<u8>,
    client: Traffic,
    server: Traffic,
}

impl Pair {
    fn new() -> Self {
        Self {
            client: Client {
                server: keys(1).public(),
                keys: keys(2).into(),
                gaps: Gaps::Refused,
            },
            server: Server {
                keys: keys(1).into(),
                gaps: Gaps::Refused,
            },
            seed: 0,
        }
    }

    fn drawn(&self) -> Drawn {
        Drawn::from(&std::array::from_fn(|at| {
            self.seed.wrapping_add(u8::try_from(at).unwrap())
        }))
    }

    fn hello(&self) -> (HelloSent, Vec<u8>) {
        HelloSent::begin(&self.client, [3 + self.seed; 32]).unwrap()
    }

    fn welcome(&self, hello: &[u8]) -> Result<(WelcomeSent, Vec<u8>), Forged> {
        AwaitHello.hello(hello, &self.server, &self.drawn())
    }

    fn initiate(&self, state: HelloSent, welcome: &[u8]) -> Result<(InitiateSent, Vec<u8>), Forged> {
        state.welcome(welcome, &self.client, b"of the client", [5 + self.seed; 16])
    }

    /// Both ends up to where the client has said INITIATE.
    fn initiated(&self) -> (InitiateSent, WelcomeSent, [Vec<u8>; 3]) {
        let (client, hello) = self.hello();
        let (server, welcome) = self.welcome(&hello).unwrap();
        let (client, initiate) = self.initiate(client, &welcome).unwrap();
        (client, server, [hello, welcome, initiate])
    }

    fn shake_hands(&self) -> Said {
        let (client, server, [hello, welcome, initiate]) = self.initiated();
        let vouched = server.initiate(&initiate, &self.server).unwrap();
        assert_eq!(vouched.key(), self.client.keys.public());
        assert_eq!(vouched.properties(), b"of the client");
        let (server, ready) = vouched.ready(&self.server, b"of the server");
        let (client, properties) = client.ready(&ready, &self.client).unwrap();
        assert_eq!(properties, b"of the server");
        Said {
            hello,
            welcome,
            initiate,
            ready,
            client,
            server,
        }
    }
}

/// What is on the wire, without the header of its frame.
fn sealed(from: &mut Traffic, flags: u8, body: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    from.seal(flags, body, &mut wire);
    let (header, rest) = Header::parse(&wire).unwrap().unwrap();
    assert!(!header.more && !header.command);
    assert_eq!(header.len, rest.len() as u64);
    rest.to_vec()
}

fn opened(by: &mut Traffic, boxed: &[u8]) -> Result<(Flags, Vec<u8>), Forged> {
    let (lead, body) = boxed.split_first_chunk::<LEAD>().ok_or(Forged)?;
    let mut body = body.to_vec();
    by.open(lead, &mut body).map(|flags| (flags, body))
}

const PLAIN: Flags = Flags {
    more: false,
    command: false,
};

#[test]
fn a_handshake_and_messages_both_ways() {
    let mut said = Pair::new().shake_hands();
    assert_eq!(said.hello.len(), HELLO_LEN);
    assert_eq!(said.welcome.len(), WELCOME_LEN);
    assert_eq!(said.initiate.len(), INITIATE_LEN + b"of the client".len());
    assert!(
        said.hello.len() > said.welcome.len(),
        "or others could be flooded through us"
    );
    for (flags, more, command) in [(0, false, false), (MORE, true, false), (COMMAND, false, true)] {
        for len in [0, 1, 14, 15, 16, 31, 32, 222, 223, 1000, 70_000] {
            let body = vec![9; len];
            let there = sealed(&mut said.client, flags, &body);
            let expected = (Flags { more, command }, body.clone());
            assert_eq!(opened(&mut said.server, &there), Ok(expected.clone()));
            let back = sealed(&mut said.server, flags, &body);
            assert_eq!(opened(&mut said.client, &back), Ok(expected));
            assert_ne!(there, back);
        }
    }
}

#[test]
fn no_state_shows_a_secret() {
    let pair = Pair::new();
    let (client, hello) = pair.hello();
    let (server, welcome) = pair.welcome(&hello).unwrap();
    let mut shown = format!("{client:?} {server:?} {:?} {:?}", pair.client, pair.server);
    let (client, initiate) = pair.initiate(client, &welcome).unwrap();
    let vouched = server.initiate(&initiate, &pair.server).unwrap();
    shown += &format!(" {client:?} {vouched:?}");
    let said = pair.shake_hands();
    shown += &format!(" {:?} {:?}", said.client, said.server);
    assert!(shown.contains("SharedKey") && shown.contains("Lane"));
    for secret in [[1u8; 4], [2; 4], [3; 4], [0, 1, 2, 3]] {
        let list = format!("{secret:?}");
        let bytes = secret.map(|byte| format!("{byte:02x}")).concat();
        let list = list.trim_matches(['[', ']']);
        assert!(
            !shown.contains(list) && !shown.contains(&bytes),
            "{secret:?} in {shown}"
        );
    }
}

#[test]
fn no_key_is_used_with_a_nonce_twice() {
    let boxes = ledger::watch(|| {
        // Two connections of the same keys, from bytes drawn anew.
        for seed in 0..2 {
            let pair = Pair {
                seed: seed * 100,
                ..Pair::new()
            };
            let mut said = pair.shake_hands();
            for _ in 0..1000 {
                sealed(&mut said.client, 0, b"same");
                sealed(&mut said.server, 0, b"same");
            }
        }
    });
    // HELLO, cookie, WELCOME, vouch, INITIATE, READY, and the messages.
    assert_eq!(boxes, 2 * (6 + 2000));
}

#[test]
#[should_panic(expected = "used twice")]
fn the_ledger_sees_a_nonce_that_comes_twice() {
    ledger::watch(|| {
        let lane = SharedKey::from_bytes([7; 32]).lane(b"0123456789abcdef");
        lane.seal([1; 8], &mut [0]);
        lane.seal([1; 8], &mut [1]);
    });
}

/// Somebody in between, who has none of the keys.
mod in_between {
    use super::*;

    /// Every command with any one bit flipped, cut to any length, and with something after it.
    fn damaged(command: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
        let flipped = (0..command.len() * 8).map(|bit| {
            let mut copy = command.to_vec();
            copy[bit / 8] ^= 1 << (bit % 8);
            copy
        });
        let cut = (0..command.len()).map(|len| command[..len].to_vec());
        flipped.chain(cut).chain([[command, &[0]].concat()])
    }

    #[test]
    fn a_damaged_hello_is_not_answered() {
        let pair = Pair::new();
        let (_, hello) = pair.hello();
        // The top bit of a point does not count on the curve; but what is sealed with the key is.
        for hello in damaged(&hello) {
            let same_point = hello.len() == HELLO_LEN && hello[111] ^ 0x80 == pair.hello().1[111];
            assert!(pair.welcome(&hello).is_err() || same_point);
        }
    }

    #[test]
    fn a_point_whose_top_bit_was_flipped_ends_the_handshake_later() {
        let pair = Pair::new();
        let (client, mut hello) = pair.hello();
        hello[111] ^= 0x80;
        let (server, welcome) = pair.welcome(&hello).unwrap();
        let (_, initiate) = pair.initiate(client, &welcome).unwrap();
        assert!(
            server.initiate(&initiate, &pair.server).is_err(),
            "the vouch is for another C'"
        );
    }

    #[test]
    fn a_damaged_welcome_is_refused() {
        let pair = Pair::new();
        let (_, welcome) = pair.welcome(&pair.hello().1).unwrap();
        for welcome in damaged(&welcome) {
            assert!(pair.initiate(pair.hello().0, &welcome).is_err());
        }
    }

    #[test]
    fn a_damaged_initiate_is_refused() {
        let pair = Pair::new();
        let (_, _, [hello, _, initiate]) = pair.initiated();
        for initiate in damaged(&initiate) {
            let (server, _) = pair.welcome(&hello).unwrap();
            assert!(server.initiate(&initiate, &pair.server).is_err());
        }
    }

    #[test]
    fn a_damaged_ready_is_refused() {
        let pair = Pair::new();
        let said = pair.shake_hands();
        for ready in damaged(&said.ready) {
            let (client, ..) = pair.initiated();
            assert!(client.ready(&ready, &pair.client).is_err());
        }
    }

    #[test]
    fn a_damaged_message_is_refused() {
        let pair = Pair::new();
        let mut said = pair.shake_hands();
        let boxed = sealed(&mut said.client, 0, b"a message");
        for boxed in damaged(&boxed) {
            assert_eq!(opened(&mut said.server, &boxed), Err(Forged));
        }
        assert_eq!(
            opened(&mut said.server, &boxed),
            Ok((PLAIN, b"a message".to_vec()))
        );
    }

    #[test]
    fn messages_that_were_dropped_repeated_swapped_or_sent_back_are_refused() {
        let mut said = Pair::new().shake_hands();
        let [first, second, third] = [b"1", b"2", b"3"].map(|body| sealed(&mut said.client, 0, body));
        assert_eq!(
            opened(&mut said.server, &second),
            Err(Forged),
            "swapped or dropped"
        );
        assert!(opened(&mut said.server, &first).is_ok());
        assert_eq!(opened(&mut said.server, &first), Err(Forged), "repeated");
        assert_eq!(opened(&mut said.server, &third), Err(Forged), "dropped");
        assert!(opened(&mut said.server, &second).is_ok());
        let returned = sealed(&mut said.client, 0, b"4");
        assert_eq!(opened(&mut said.client, &returned), Err(Forged), "sent back");
    }

    #[test]
    fn gaps_pass_if_they_are_allowed_and_going_back_never_does() {
        let mut pair = Pair::new();
        pair.server.gaps = Gaps::Allowed;
        let mut said = pair.shake_hands();
        let [first, second, third] = [b"1", b"2", b"3"].map(|body| sealed(&mut said.client, 0, body));
        assert!(opened(&mut said.server, &second).is_ok());
        assert_eq!(opened(&mut said.server, &first), Err(Forged));
        assert_eq!(opened(&mut said.server, &second), Err(Forged));
        assert!(opened(&mut said.server, &third).is_ok());
    }

    #[test]
    fn what_was_recorded_is_good_for_no_other_connection() {
        let pair = Pair::new();
        let mut old = pair.shake_hands();
        let message = sealed(&mut old.client, 0, b"pay");
        let ready = old.ready;
        // Both ends draw anew.
        let pair = Pair { seed: 100, ..pair };
        let (_, welcome) = pair.welcome(&pair.hello().1).unwrap();
        assert!(pair.initiate(pair.hello().0, &old.welcome).is_err());
        assert!(pair.initiate(pair.hello().0, &welcome).is_ok());
        // A HELLO may be sent again by anybody; it leads no further than to a WELCOME.
        let (server, _) = pair.welcome(&old.hello).unwrap();
        assert!(server.initiate(&old.initiate, &pair.server).is_err());
        let (client, ..) = pair.initiated();
        assert!(client.ready(&ready, &pair.client).is_err());
        let mut said = pair.shake_hands();
        assert_eq!(opened(&mut said.server, &message), Err(Forged));
    }

    #[test]
    fn a_cookie_of_another_connection_is_refused() {
        let pair = Pair::new();
        let other = Pair {
            seed: 100,
            ..Pair::new()
        };
        let (_, server, [_, _, mut initiate]) = pair.initiated();
        let (_, _, [_, _, foreign]) = other.initiated();
        initiate[9..9 + 96].copy_from_slice(&foreign[9..9 + 96]);
        assert!(server.initiate(&initiate, &pair.server).is_err());
    }

    #[test]
    fn commands_out_of_their_order_are_refused() {
        let pair = Pair::new();
        let said = pair.shake_hands();
        let all = [&said.hello, &said.welcome, &said.initiate, &said.ready];
        for command in all {
            let is = |other: &Vec<u8>| command == other;
            let (client, server, _) = pair.initiated();
            assert_eq!(pair.welcome(command).is_ok(), is(&said.hello));
            assert_eq!(pair.initiate(pair.hello().0, command).is_ok(), is(&said.welcome));
            assert_eq!(server.initiate(command, &pair.server).is_ok(), is(&said.initiate));
            assert_eq!(client.ready(command, &pair.client).is_ok(), is(&said.ready));
        }
    }
}

/// Ends that have the wrong keys, or misuse their own.
mod impostors {
    use super::*;
    use crate::zmtp::mechanism::curve::commands::{Initiate, SealedPair, pair_of};

    #[test]
    fn a_client_that_looks_for_another_server_is_not_answered() {
        let mut pair = Pair::new();
        pair.client.server = keys(9).public();
        assert!(pair.welcome(&pair.hello().1).is_err());
    }

    #[test]
    fn a_server_without_the_key_convinces_no_client() {
        let pair = Pair::new();
        let mut false_server = Pair::new();
        false_server.server.keys = keys(9).into();
        false_server.client.server = keys(9).public();
        let (_, welcome) = false_server.welcome(&false_server.hello().1).unwrap();
        assert!(pair.initiate(pair.hello().0, &welcome).is_err());
    }

    #[test]
    fn a_server_key_that_nobody_can_own_is_refused_before_anything_is_said() {
        let mut pair = Pair::new();
        pair.client.server = PublicKey::from_bytes([0; 32]);
        assert!(HelloSent::begin(&pair.client, [3; 32]).is_err());
    }

    #[test]
    fn a_client_key_that_nobody_can_own_is_refused() {
        let pair = Pair::new();
        let (_, mut hello) = pair.hello();
        hello[80..112].fill(0);
        // What anybody could seal with the secret that such a key leads to.
        let lane = SharedKey::from_bytes(hsalsa_of_zero()).lane(HELLO_PREFIX);
        let mut proof = [0; 64];
        let tag = lane.seal(hello[112..120].try_into().unwrap(), &mut proof);
        hello[120..136].copy_from_slice(&tag);
        hello[136..].copy_from_slice(&proof);
        assert!(pair.welcome(&hello).is_err());
    }

    fn hsalsa_of_zero() -> [u8; 32] {
        use salsa20::cipher::consts::U10;
        salsa20::hsalsa::<U10>(&[0; 32].into(), &[0; 16].into()).into()
    }

    /// An INITIATE like that of an honest client of `pair`, but for the keys in the vouch and who seals it.
    fn initiate(pair: &Pair, named: &PublicKey, sealer: &KeyPair, vouched: [u8; 64]) -> bool {
        let (_, hello) = pair.hello();
        let (server, welcome) = pair.welcome(&hello).unwrap();
        let transient = SecretKey::from_bytes([3 + pair.seed; 32]);
        let to_server = SharedKey::agree(&transient, &pair.client.server).unwrap();
        let (nonce, rest) = welcome[8..].split_first_chunk().unwrap();
        let (tag, text) = rest.split_first_chunk().unwrap();
        let mut text = text.to_vec();
        to_server
            .open(&long_nonce(WELCOME_PREFIX, nonce), tag, &mut text)
            .unwrap();
        let (point, cookie) = text.split_first_chunk().unwrap();
        let point = PublicKey::from_bytes(*point);

        let mut text = vouched;
        let key = SharedKey::agree(sealer.secret(), &point).unwrap();
        let tag = key.seal(&long_nonce(VOUCH_PREFIX, &[5; 16]), &mut text);
        let vouch = SealedPair {
            nonce: [5; 16],
            tag,
            text,
        };
        let mut text = [named.as_bytes(), &*vouch.emit()].concat();
        let session = SharedKey::agree(&transient, &point).unwrap();
        let nonce = 2u64.to_be_bytes();
        let tag = session.lane(INITIATE_PREFIX).seal(nonce, &mut text);
        let cookie = cookie.try_into().unwrap();
        let command = Initiate {
            cookie,
            nonce,
            tag,
            text: &text,
        };
        server.initiate(&command.emit(), &pair.server).is_ok()
    }

    #[test]
    fn both_keys_of_the_vouch_count_and_so_does_who_sealed_it() {
        let pair = Pair::new();
        let (c, s) = (pair.client.keys.public(), pair.server.keys.public());
        let transient = *SecretKey::from_bytes([3; 32]).public().as_bytes();
        let good = pair_of(&transient, s.as_bytes());
        assert!(initiate(&pair, &c, &pair.client.keys, good));
        let of_another_connection = pair_of(keys(8).public().as_bytes(), s.as_bytes());
        assert!(!initiate(&pair, &c, &pair.client.keys, of_another_connection));
        let for_another_server = pair_of(&transient, keys(8).public().as_bytes());
        assert!(!initiate(&pair, &c, &pair.client.keys, for_another_server));
        assert!(!initiate(&pair, &c, &keys(8), good), "somebody who only knows C");
        let nobody = PublicKey::from_bytes([0; 32]);
        assert!(!initiate(&pair, &nobody, &pair.client.keys, good));
    }

    #[test]
    fn a_nonce_must_follow_the_last_one_in_the_handshake_too() {
        let gaps = [Gaps::Refused, Gaps::Allowed];
        let check = |last, nonce: u64| gaps.map(|gaps| gaps.check(last, nonce.to_be_bytes()).is_ok());
        assert_eq!(check(1, 2), [true, true]);
        assert_eq!(check(1, 3), [false, true]);
        assert_eq!(check(1, 1), [false, false]);
        assert_eq!(check(2, 1), [false, false]);
        assert_eq!(check(u64::MAX, 0), [false, false]);
        assert_eq!(check(u64::MAX, u64::MAX), [false, false]);
    }

    #[test]
    fn flags_that_mean_nothing_are_refused_though_the_key_is_right() {
        for flags in [3u8, 4, 8, 0x80] {
            let mut said = Pair::new().shake_hands();
            let mut boxed = sealed(&mut said.client, 0, b"body");
            // The stream is the same for any text, so that this becomes what the client would seal with other flags.
            let (_, session) = session_of(&Pair::new());
            let lane = session.lane(CLIENT_PREFIX);
            let mut text = [&[flags], &b"body"[..]].concat();
            let tag = lane.seal(boxed[8..16].try_into().unwrap(), &mut text);
            boxed[16..32].copy_from_slice(&tag);
            boxed[32..].copy_from_slice(&text);
            assert_eq!(opened(&mut said.server, &boxed), Err(Forged), "{flags}");
        }
    }

    fn session_of(pair: &Pair) -> (PublicKey, SharedKey) {
        let point = SecretKey::from_bytes(std::array::from_fn(|at| u8::try_from(at).unwrap())).public();
        let transient = SecretKey::from_bytes([3 + pair.seed; 32]);
        (point, SharedKey::agree(&transient, &point).unwrap())
    }
}

#[test]
fn keys_are_not_shown() {
    let key = SharedKey::from_bytes([7; 32]);
    let shown = format!("{key:?} {:?} {:?}", key.lane(HELLO_PREFIX), keys(7));
    assert!(shown.contains("SharedKey Lane"), "{shown}");
    assert!(!shown.contains("7, 7"), "{shown}");
}
