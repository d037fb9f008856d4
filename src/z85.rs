//! Z85 (RFC 32): binary data as printable text, five characters for four bytes.

/// The digits, by value.
const DIGITS: &[u8; 85] =
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

/// In [`VALUES`], a byte that is not a digit.
const NOT_A_DIGIT: u8 = u8::MAX;

/// The value of each digit, by its byte.
const VALUES: [u8; 256] = values();

#[allow(
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "worked out by the compiler, which would say so"
)]
const fn values() -> [u8; 256] {
    let mut values = [NOT_A_DIGIT; 256];
    let mut value = 0;
    while value < DIGITS.len() {
        values[DIGITS[value] as usize] = value as u8;
        value += 1;
    }
    values
}

/// Appends the text of `bytes`, of which there must be a multiple of four.
pub(crate) fn encode(bytes: &[u8], out: &mut String) -> Option<()> {
    let (words, []) = bytes.as_chunks() else {
        return None;
    };
    for word in words {
        let word = u32::from_be_bytes(*word);
        for place in [85 * 85 * 85 * 85, 85 * 85 * 85, 85 * 85, 85, 1] {
            let digit = usize::try_from(word / place % 85).ok()?;
            out.push(char::from(*DIGITS.get(digit)?));
        }
    }
    Some(())
}

/// Fills `out` with the bytes that `text` stands for; it has to stand for as many, exactly.
pub(crate) fn decode(text: &[u8], out: &mut [u8]) -> Option<()> {
    let ((words, []), (groups, [])) = (out.as_chunks_mut(), text.as_chunks::<5>()) else {
        return None;
    };
    if words.len() != groups.len() {
        return None;
    }
    for (word, group) in words.iter_mut().zip(groups) {
        let mut sum = 0u32;
        for digit in group {
            let value = *VALUES.get(usize::from(*digit))?;
            if value == NOT_A_DIGIT {
                return None;
            }
            // Five digits can stand for more than four bytes can hold.
            sum = sum.checked_mul(85)?.checked_add(u32::from(value))?;
        }
        *word = sum.to_be_bytes();
    }
    Some(())
}

/// Claims: text that is read is what would be written, and nothing else is read.
#[cfg(fuzzing)]
pub(crate) fn fuzzing(data: &[u8]) {
    let mut bytes = vec![0; data.len() / 5 * 4];
    let read = decode(data, &mut bytes).is_some();
    let mut text = String::new();
    let written = encode(&bytes, &mut text).is_some();
    assert!(written, "a multiple of four");
    assert_eq!(read, text.as_bytes() == data);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(bytes: &[u8]) -> Option<String> {
        let mut text = String::new();
        encode(bytes, &mut text).map(|()| text)
    }

    fn decoded<const N: usize>(text: &str) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        decode(text.as_bytes(), &mut bytes).map(|()| bytes)
    }

    #[test]
    fn the_example_of_the_rfc() {
        let bytes = [0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B];
        assert_eq!(encoded(&bytes).unwrap(), "HelloWorld");
        assert_eq!(decoded("HelloWorld"), Some(bytes));
    }

    #[test]
    fn five_digits_may_be_too_much_for_four_bytes() {
        assert_eq!(decoded("%nSc0"), Some([0xff; 4]));
        assert_eq!(decoded::<4>("%nSc1"), None);
        assert_eq!(decoded::<4>("#####"), None);
    }

    #[test]
    fn lengths_have_to_fit() {
        assert_eq!(encoded(&[1, 2, 3]), None);
        assert_eq!(decoded::<4>("0000"), None);
        assert_eq!(decoded::<4>("0000000000"), None);
        assert_eq!(decoded::<8>("00000"), None);
        assert_eq!(decoded::<3>("0000"), None);
    }

    #[test]
    fn other_characters_are_refused() {
        for text in ["0000 ", "0000\"", "0000\\", "0000\0", "000ä"] {
            assert_eq!(decoded::<4>(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn text_leads_back_to_the_bytes(bytes: [u8; 32]) {
            let text = encoded(&bytes).unwrap();
            prop_assert_eq!(text.len(), 40);
            prop_assert_eq!(decoded(&text), Some(bytes));
        }

        #[test]
        fn what_is_read_is_what_would_be_written(text in "[!-~]{5}") {
            if let Some(bytes) = decoded::<4>(&text) {
                prop_assert_eq!(encoded(&bytes).unwrap(), text);
            }
        }
    }
}
