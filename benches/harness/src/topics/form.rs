//! Topics by number, in three forms.

/// What topics look like. No topic begins with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Paths as they are in use.
    Paths,
    /// Long, and alike but for their ends.
    Prefixes,
    /// Bytes without any order, which no tree can share.
    Random,
}

names! {
    Form { Paths = "paths", Prefixes = "prefixes", Random = "random" }
}

const COUNTRIES: [&str; 8] = [
    "eu/de", "eu/fr", "eu/pl", "us/ca", "us/ny", "as/jp", "as/in", "af/za",
];
const QUANTITIES: [&str; 4] = ["temp", "load", "rpm", "state"];

/// Bytes of a random topic.
const RANDOM: usize = 24;

impl Form {
    pub(super) const ALL: [Self; 3] = [Self::Paths, Self::Prefixes, Self::Random];

    pub(super) fn topic(self, number: usize) -> Vec<u8> {
        match self {
            Self::Paths => {
                let (sensor, quantity) = (number / QUANTITIES.len(), QUANTITIES[number % QUANTITIES.len()]);
                let country = COUNTRIES[sensor % COUNTRIES.len()];
                let site = sensor / COUNTRIES.len() % 40;
                format!("{country}/site-{site:02}/sensor-{sensor:07}/{quantity}").into_bytes()
            }
            Self::Prefixes => format!(
                "/organisation/production/plants/europe/hamburg-altona/halls/north/lines/{:04}/machines/{number:09}",
                number / 1000
            )
            .into_bytes(),
            Self::Random => {
                let words = (0..RANDOM / 8).map(|word| scramble((number * RANDOM + word) as u64));
                words.flat_map(u64::to_le_bytes).collect()
            }
        }
    }

    /// A message that begins as a topic does, and is for nobody: it differs in the last byte of the topic.
    pub(super) fn miss(self, number: usize) -> Vec<u8> {
        let mut topic = self.topic(number);
        if let Some(last) = topic.last_mut() {
            *last ^= 0x80;
        }
        topic
    }

    pub(super) fn example(self) -> String {
        match self {
            Self::Random => format!("{RANDOM} random bytes"),
            _ => String::from_utf8_lossy(&self.topic(17)).into_owned(),
        }
    }
}

/// Mixes the bits of a number until nothing of it can be seen: the finaliser of SplitMix64.
fn scramble(number: u64) -> u64 {
    let mut bits = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn topics_differ_and_no_miss_is_one() {
        for form in Form::ALL {
            let topics: HashSet<_> = (0..20_000).map(|number| form.topic(number)).collect();
            assert_eq!(topics.len(), 20_000, "{form}");
            assert!(
                (0..20_000).all(|number| !topics.contains(&form.miss(number))),
                "{form}"
            );
        }
    }
}
