//! Keys of CURVE: public ones, which are values like any other, and secret ones, which are not shown and are wiped.

use std::fmt;
use std::io;
use std::str::FromStr;

use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

use crate::z85;

/// How long a key is, in bytes.
const LEN: usize = 32;
/// How long it is as text.
const TEXT_LEN: usize = LEN / 4 * 5;

/// A text that is not a key: not 40 characters of Z85.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a key: 40 characters of Z85 were expected")]
#[non_exhaustive]
pub struct KeyError;

/// The public half of a [`KeyPair`], by which others know its owner.
///
/// As text it is 40 characters of Z85, which is what libzmq and its tools take and show.
///
/// ```
/// use aqueduct::PublicKey;
///
/// let key: PublicKey = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7".parse()?;
/// assert_eq!(key.to_string(), "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7");
/// # Ok::<(), aqueduct::KeyError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; LEN]);

impl PublicKey {
    /// Makes a key of its bytes. Any will do; a key that nobody can own is found when it is used.
    pub const fn from_bytes(bytes: [u8; LEN]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes of the key.
    pub const fn as_bytes(&self) -> &[u8; LEN] {
        &self.0
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut bytes = [0; LEN];
        z85::decode(text.as_bytes(), &mut bytes).ok_or(KeyError)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(TEXT_LEN);
        // 32 bytes are a multiple of four.
        z85::encode(&self.0, &mut text).ok_or(fmt::Error)?;
        f.pad(&text)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// The secret half of a [`KeyPair`]. It cannot be copied, compared or shown by accident, and is wiped when it is dropped.
#[allow(missing_debug_implementations, reason = "a secret has none, on purpose")]
pub struct SecretKey(
    /// In memory of its own: what is moved leaves a copy where it was, which nobody wipes.
    Box<StaticSecret>,
);

impl SecretKey {
    /// Makes a key of its bytes, which should come from a good source. What is left of them elsewhere is the caller's to
    /// wipe.
    pub fn from_bytes(bytes: [u8; LEN]) -> Self {
        Self(Box::new(StaticSecret::from(bytes)))
    }

    /// Makes a key of its text: 40 characters of Z85.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if it is not such a text.
    pub fn from_z85(text: &str) -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new([0; LEN]);
        z85::decode(text.as_bytes(), &mut *bytes).ok_or(KeyError)?;
        Ok(Self::from_bytes(*bytes))
    }

    /// Lends the text of the key, 40 characters of Z85, and wipes it afterwards.
    ///
    /// ```
    /// use aqueduct::KeyPair;
    ///
    /// let keys = KeyPair::generate()?;
    /// let length = keys.secret().expose_z85(str::len);
    /// assert_eq!(length, 40);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn expose_z85<R>(&self, reader: impl FnOnce(&str) -> R) -> R {
        let mut text = Zeroizing::new(String::with_capacity(TEXT_LEN));
        // 32 bytes are a multiple of four.
        let _whole = z85::encode(self.0.as_bytes(), &mut text);
        reader(&text)
    }

    /// Returns the public key that belongs to this one.
    pub fn public(&self) -> PublicKey {
        PublicKey(x25519_dalek::PublicKey::from(&*self.0).to_bytes())
    }

    /// Returns the secret that is shared with the owner of `public`; none with a key that nobody can own, for which the
    /// secret would be known to all.
    pub(crate) fn agree(&self, public: &PublicKey) -> Option<Zeroizing<[u8; LEN]>> {
        let shared = self.0.diffie_hellman(&x25519_dalek::PublicKey::from(public.0));
        shared
            .was_contributory()
            .then(|| Zeroizing::new(shared.to_bytes()))
    }
}

/// A secret key and the public key that belongs to it: the identity of one end.
///
/// ```
/// use aqueduct::{KeyPair, SecretKey};
///
/// let keys = KeyPair::generate()?;
/// let again = keys.secret().expose_z85(SecretKey::from_z85)?;
/// assert_eq!(again.public(), keys.public());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct KeyPair {
    secret: SecretKey,
    public: PublicKey,
}

impl KeyPair {
    /// Makes a new pair.
    ///
    /// # Errors
    ///
    /// The system has no random numbers to give.
    pub fn generate() -> io::Result<Self> {
        let mut bytes = Zeroizing::new([0; LEN]);
        system_entropy(&mut *bytes)?;
        Ok(SecretKey::from_bytes(*bytes).into())
    }

    /// Returns the public half.
    pub const fn public(&self) -> PublicKey {
        self.public
    }

    /// Returns the secret half.
    pub const fn secret(&self) -> &SecretKey {
        &self.secret
    }
}

impl From<SecretKey> for KeyPair {
    fn from(secret: SecretKey) -> Self {
        let public = secret.public();
        Self { secret, public }
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

/// Fills `out` with random bytes of the system.
pub(crate) fn system_entropy(out: &mut [u8]) -> io::Result<()> {
    getrandom::fill(out).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        std::array::from_fn(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
    }

    /// RFC 7748, section 6.1; "Cryptography in NaCl" has the same keys.
    #[test]
    fn alice_and_bob_agree() {
        let alice = SecretKey::from_bytes(hex(
            "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
        ));
        let bob = SecretKey::from_bytes(hex(
            "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
        ));
        let public = hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
        assert_eq!(alice.public(), PublicKey::from_bytes(public));
        let shared = hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
        assert_eq!(*alice.agree(&bob.public()).unwrap(), shared);
        assert_eq!(*bob.agree(&alice.public()).unwrap(), shared);
    }

    /// RFC 7748, section 5.2.
    #[test]
    fn the_top_bit_of_a_point_is_ignored() {
        let secret = SecretKey::from_bytes(hex(
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
        ));
        let point = hex("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493");
        let shared = hex("95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957");
        assert_eq!(*secret.agree(&PublicKey::from_bytes(point)).unwrap(), shared);
    }

    #[test]
    fn nothing_is_agreed_with_a_point_of_low_order() {
        let secret = KeyPair::generate().unwrap().secret;
        let mut points = [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
            // p - 1, p and p + 1.
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ]
        .map(hex::<LEN>);
        for _ in 0..2 {
            for point in points {
                let agreed = secret.agree(&PublicKey::from_bytes(point));
                assert!(agreed.is_none(), "{point:x?}");
            }
            // The same again, with the bit that does not count.
            points.iter_mut().for_each(|point| point[LEN - 1] |= 0x80);
        }
    }

    #[test]
    fn edge_cases_of_the_curve_agree_on_what_they_should_or_are_refused() {
        let (mut agreed, mut refused) = (0, 0);
        let lines = include_str!("../tests/known_answers/x25519.txt").lines();
        for line in lines.filter(|line| !line.starts_with('#')) {
            let fields: Vec<_> = line.split(' ').collect();
            let [_, kind, secret, public, shared] = fields[..] else {
                panic!("{line}")
            };
            let secret = SecretKey::from_bytes(hex(secret));
            let result = secret.agree(&PublicKey::from_bytes(hex(public)));
            match hex::<LEN>(shared) {
                nothing if nothing == [0; LEN] => {
                    assert!(kind.contains("LowOrder") && result.is_none(), "{line}");
                    refused += 1;
                }
                shared => {
                    assert_eq!(result.as_deref(), Some(&shared), "{line}");
                    agreed += 1;
                }
            }
        }
        assert_eq!((agreed, refused), (147, 31), "all were tried");
    }

    #[test]
    fn a_public_key_is_written_as_it_is_read() {
        let text = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";
        let key: PublicKey = text.parse().unwrap();
        assert_eq!(key.to_string(), text);
        assert_eq!(
            format!("{key:>42}"),
            format!("  {text}"),
            "it keeps to its column"
        );
        assert_eq!(format!("{key:?}"), format!("PublicKey({text})"));
    }

    #[test]
    fn text_of_another_length_is_no_key() {
        for text in ["", "0", &"0".repeat(39), &"0".repeat(41), &"0".repeat(80)] {
            assert_eq!(text.parse::<PublicKey>(), Err(KeyError));
            assert_eq!(SecretKey::from_z85(text).err(), Some(KeyError));
        }
    }

    #[test]
    fn a_secret_key_is_wiped_where_it_lies_and_has_nothing_that_would_spread_it() {
        fn wiped<T: zeroize::ZeroizeOnDrop>(_: &T) {}

        let key = SecretKey::from_bytes([7; LEN]);
        wiped(&*key.0);
        assert_eq!(
            size_of::<SecretKey>(),
            size_of::<usize>(),
            "or a move would copy it"
        );
        // Each of these is ambiguous, and does not compile, for a type that has the trait.
        macro_rules! has_none {
            ($($type:ty: $($bound:path),*;)*) => {$($({
                trait Unless<A> {
                    fn unless() {}
                }
                struct Has;
                impl<T: ?Sized> Unless<()> for T {}
                impl<T: ?Sized + $bound> Unless<Has> for T {}
                <$type as Unless<_>>::unless();
            })*)*};
        }
        has_none! {
            SecretKey: Clone, fmt::Debug, fmt::Display, PartialEq, std::hash::Hash, AsRef<[u8]>, Into<String>;
            KeyPair: Clone, fmt::Display, PartialEq, std::hash::Hash;
        }
    }

    /// A text that had to grow would leave a part of itself where it was.
    #[test]
    fn the_text_of_a_secret_key_fills_just_what_is_reserved_for_it() {
        let secret = SecretKey::from_bytes([7; LEN]);
        assert_eq!(secret.expose_z85(str::len), TEXT_LEN);
    }

    #[test]
    fn a_secret_key_is_not_shown() {
        let pair = KeyPair::generate().unwrap();
        let text = pair.secret().expose_z85(str::to_owned);
        let shown = format!("{pair:?}");
        assert!(!shown.contains(&text) && shown.contains(&pair.public().to_string()));
    }
}
