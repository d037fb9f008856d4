//! ZAP (RFC 27) by its frames: what a handler is asked about a peer, and what counts as its answer.
//!
//! A REQ asks, so the empty frame before each question and each answer is its affair; here are the others.

use std::net::SocketAddr;

use crate::security::{AuthRequest, Credentials, Decision, User};
use crate::zmtp::parse_metadata;
use crate::{Frame, Message};

const VERSION: &str = "1.0";

/// Returns the question about a peer, under an id that the answer must bring back.
pub(crate) fn question(id: &str, request: &AuthRequest) -> Message {
    let credentials = request.credentials();
    let mut frames: Vec<Frame> = vec![
        VERSION.into(),
        id.into(),
        request.domain().into(),
        host(request.address()).into(),
        request.routing_id().as_bytes().into(),
        credentials.mechanism().into(),
    ];
    match credentials {
        Credentials::Null => {}
        Credentials::Plain { username, password } => {
            frames.extend([username, password].map(|text| Frame::from(text.clone())));
        }
        #[cfg(feature = "curve")]
        Credentials::Curve { public_key } => frames.push(public_key.as_bytes().into()),
    }
    frames.into()
}

/// Returns an address as handlers know it: of tcp, without the port.
fn host(address: &str) -> String {
    match address.parse::<SocketAddr>() {
        Ok(addr) => addr.ip().to_canonical().to_string(),
        Err(_) => address.to_owned(),
    }
}

/// Reads the answer to the question with this id.
///
/// # Errors
///
/// It is no answer by the letter of RFC 27, be it in a frame that would not matter; or the handler has no decision.
pub(crate) fn decision(id: &str, answer: &Message) -> Result<Decision, &'static str> {
    let [version, echo, status, _text, user, metadata] = answer.frames() else {
        return Err("an answer with a wrong number of frames");
    };
    if *version != VERSION {
        return Err("an answer of another version");
    }
    if *echo != id {
        return Err("an answer to another request");
    }
    let Ok(name) = std::str::from_utf8(user) else {
        return Err("an answer with a user id that is no text");
    };
    let Ok(metadata) = parse_metadata(metadata) else {
        return Err("an answer with malformed metadata");
    };
    match &status[..] {
        b"200" => Ok(Decision::Allow(User {
            id: name.to_owned(),
            metadata,
        })),
        b"300" => Ok(Decision::DenyForNow),
        b"400" => Ok(Decision::Deny),
        b"500" => Err("the handler says that it has failed"),
        _ => Err("an answer with an unknown status"),
    }
}

/// Claim: an answer that counts is, frame by frame, what a handler writes that keeps to RFC 27.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzzing(data: &[u8]) {
    const ID: &str = "17";
    let Some((&count, mut rest)) = data.split_first() else {
        return;
    };
    let mut frames = Vec::new();
    for _ in 1..count % 9 {
        let (&len, tail) = rest.split_first().unwrap_or((&0, &[]));
        let (frame, later) = tail.split_at_checked(usize::from(len)).unwrap_or((tail, &[]));
        frames.push(Frame::from(frame));
        rest = later;
    }
    frames.push(rest.into());
    let answer = Message::from(frames);
    let Ok(decision) = decision(ID, &answer) else {
        return;
    };
    let frames = answer.frames();
    let (status, user) = match decision {
        Decision::Allow(user) => ("200", Some(user)),
        Decision::DenyForNow => ("300", None),
        Decision::Deny => ("400", None),
    };
    let mut written: Vec<Frame> = vec![VERSION.into(), ID.into(), status.into()];
    assert!(frames.len() == 6 && frames.starts_with(&written));
    if let Some(user) = user {
        let mut metadata = Vec::new();
        for (name, value) in &user.metadata {
            metadata.extend(u8::try_from(name.len()));
            metadata.extend_from_slice(name.as_bytes());
            metadata.extend(u32::try_from(value.len()).unwrap_or_default().to_be_bytes());
            metadata.extend_from_slice(value);
        }
        written.clear();
        written.extend([user.id.into(), metadata.into()]);
        assert!(frames.ends_with(&written));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::security::Inquiry;
    use crate::{Endpoint, RoutingId};

    fn request(credentials: Credentials, address: &str) -> AuthRequest {
        let inquiry = Inquiry {
            credentials,
            routing_id: RoutingId::new("me").unwrap(),
            properties: Vec::new(),
        };
        let endpoint: Endpoint = "tcp://127.0.0.1:1".parse().unwrap();
        AuthRequest::new(
            inquiry,
            Arc::from("global"),
            endpoint,
            address.to_owned(),
            None,
            Box::new(drop),
        )
    }

    #[test]
    fn a_question_has_the_frames_of_the_rfc() {
        let login = Credentials::Plain {
            username: "alice".into(),
            password: "secret".into(),
        };
        let plain = question("7", &request(login, "10.0.0.1:4242"));
        let expected = ["1.0", "7", "global", "10.0.0.1", "me", "PLAIN", "alice", "secret"];
        assert_eq!(plain, Message::from_iter(expected));
        let null = question("8", &request(Credentials::Null, "/tmp/socket"));
        assert_eq!(
            null,
            Message::from_iter(["1.0", "8", "global", "/tmp/socket", "me", "NULL"])
        );
    }

    #[cfg(feature = "curve")]
    #[test]
    fn the_key_of_a_question_is_its_bytes() {
        let key = Credentials::Curve {
            public_key: crate::PublicKey::from_bytes([7; 32]),
        };
        let frames = question("9", &request(key, "[::1]:1"));
        assert_eq!(
            frames.frames().get(3..),
            Some(&["::1".into(), "me".into(), "CURVE".into(), [7; 32].into()][..])
        );
    }

    #[test]
    fn addresses_have_no_port() {
        for (address, expected) in [
            ("10.0.0.1:4242", "10.0.0.1"),
            ("[::1]:4242", "::1"),
            ("[::ffff:10.0.0.1]:4242", "10.0.0.1"),
            ("/run/a:1", "/run/a:1"),
            ("@name", "@name"),
            ("unknown", "unknown"),
        ] {
            assert_eq!(host(address), expected);
        }
    }

    /// A property as it travels.
    const TEAM: &[u8] = b"\x04Team\0\0\0\x04blue";

    fn judge(frames: &[&[u8]]) -> Result<Decision, &'static str> {
        decision("7", &frames.iter().map(|frame| Frame::from(*frame)).collect())
    }

    fn answer<'a>(status: &'a [u8], user: &'a [u8], metadata: &'a [u8]) -> [&'a [u8]; 6] {
        [b"1.0", b"7", status, b"text", user, metadata]
    }

    #[test]
    fn each_status_has_its_meaning() {
        let user = User {
            id: "alice".to_owned(),
            metadata: vec![("Team".to_owned(), Bytes::from("blue"))],
        };
        assert_eq!(judge(&answer(b"200", b"alice", TEAM)), Ok(Decision::Allow(user)));
        assert_eq!(
            judge(&answer(b"200", b"", b"")),
            Ok(Decision::Allow(User::default()))
        );
        assert_eq!(judge(&answer(b"300", b"", b"")), Ok(Decision::DenyForNow));
        assert_eq!(judge(&answer(b"400", b"", b"")), Ok(Decision::Deny));
        assert!(judge(&answer(b"500", b"", b"")).is_err());
    }

    #[test]
    fn whatever_else_is_answered_lets_nobody_in() {
        let good = answer(b"200", b"alice", TEAM);
        for (at, wrong) in [
            (0, &b""[..]),
            (0, b"1.1"),
            (0, b"1.0\0"),
            (1, b""),
            (1, b"8"),
            (1, b"77"),
            (2, b""),
            (2, b"20"),
            (2, b"2000"),
            (2, b"100"),
            (2, b"404"),
            (2, b"200 "),
            (4, b"\xff"),
            (5, b"\x04Team"),
            (5, b"\x04Team\0\0\0\x05blue"),
            (5, b"\x00\0\0\0\0"),
            (5, b"\x01 \0\0\0\0"),
            (5, b"\x01a\0\0\0\0\x01A\0\0\0\0"),
        ] {
            let mut frames = good;
            frames[at] = wrong;
            assert!(judge(&frames).is_err(), "frame {at} is {wrong:?}");
            if at > 2 {
                // Not even a denial is one if anything about it is wrong.
                frames[2] = b"400";
                assert!(judge(&frames).is_err(), "frame {at} is {wrong:?}");
            }
        }
        for len in 0..good.len() {
            assert!(judge(&good[..len]).is_err(), "{len} frames");
        }
        assert!(judge(&[&good[..], &[b""]].concat()).is_err());
        assert!(
            judge(&[&[&b""[..]], &good[..]].concat()).is_err(),
            "the delimiter is not among them"
        );
    }

    #[test]
    fn metadata_has_the_limits_of_a_ready() {
        let named = |count: u8| {
            let name = |at: u8| [2, b'A' + at / 8, b'a' + at % 8, 0, 0, 0, 0];
            (0..count).flat_map(name).collect::<Vec<_>>()
        };
        assert!(judge(&answer(b"200", b"", &named(64))).is_ok());
        assert!(judge(&answer(b"200", b"", &named(65))).is_err());
        let long = |len: u16| [&b"\x01a\0\0"[..], &len.to_be_bytes(), &vec![0; len.into()]].concat();
        assert!(judge(&answer(b"200", b"", &long(8191))).is_ok());
        assert!(judge(&answer(b"200", b"", &long(8192))).is_err());
    }

    proptest! {
        #[test]
        fn the_claim_of_the_fuzzers_holds(data: Vec<u8>) {
            fuzzing(&data);
        }

        #[test]
        fn the_claim_holds_of_what_is_nearly_right(
            status in "[2345]00|[0-9]{3}", user in ".{0,8}", metadata in "(\\x01[a-c]\\x00\\x00\\x00\\x01.)?", at in 0usize..40, bit in 0u8..9,
        ) {
            let mut data = vec![6];
            for frame in ["1.0", "17", &status, "", &user] {
                data.push(u8::try_from(frame.len()).unwrap());
                data.extend_from_slice(frame.as_bytes());
            }
            data.extend_from_slice(metadata.as_bytes());
            if let (Some(byte), true) = (data.get_mut(at), bit < 8) {
                *byte ^= 1 << bit;
            }
            fuzzing(&data);
        }
    }
}
