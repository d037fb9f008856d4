//! Counts of words: made from lines, merged, and written into messages.

use std::collections::HashMap;

use crate::Outcome;

/// How often each word came.
#[derive(Default, PartialEq, Eq)]
pub(crate) struct Counts(HashMap<Vec<u8>, u64>);

impl Counts {
    /// Counts the words of a line: what stands between ASCII blanks and signs, in any language and letter case.
    pub(crate) fn count(&mut self, line: &[u8]) {
        let between = |byte: &u8| byte.is_ascii() && !byte.is_ascii_alphanumeric();
        for word in line.split(between).filter(|word| !word.is_empty()) {
            self.add(word, 1);
        }
    }

    /// Adds counts that [`encode`](Self::encode) wrote.
    pub(crate) fn merge(&mut self, encoded: &[u8]) -> Outcome<()> {
        for entry in encoded.split_inclusive(|byte| *byte == b'\n') {
            let entry = entry.strip_suffix(b"\n").ok_or("a table of counts was cut off")?;
            let mut parts = entry.splitn(2, |byte| *byte == b' ');
            let (Some(count), Some(word)) = (parts.next(), parts.next()) else {
                return Err("this is not a table of counts".into());
            };
            self.add(word, std::str::from_utf8(count)?.parse()?);
        }
        Ok(())
    }

    /// Writes the counts as lines of a number and a word, and forgets them.
    pub(crate) fn encode(&mut self) -> Vec<u8> {
        let mut encoded = Vec::new();
        for (word, count) in self.0.drain() {
            encoded.extend_from_slice(count.to_string().as_bytes());
            encoded.push(b' ');
            encoded.extend_from_slice(&word);
            encoded.push(b'\n');
        }
        encoded
    }

    /// The number of words in all.
    pub(crate) fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// The number of different words.
    pub(crate) fn different(&self) -> usize {
        self.0.len()
    }

    /// Tells whether every word here is there, and at least as often.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        let there = |word: &[u8]| other.0.get(word).copied().unwrap_or(0);
        self.0.iter().all(|(word, count)| *count <= there(word))
    }

    /// The most frequent words.
    pub(crate) fn top(&self, how_many: usize) -> Vec<(String, u64)> {
        let mut all: Vec<_> = self.0.iter().collect();
        all.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        let shown = |(word, count): (&Vec<u8>, &u64)| (String::from_utf8_lossy(word).into_owned(), *count);
        all.into_iter().take(how_many).map(shown).collect()
    }

    fn add(&mut self, word: &[u8], count: u64) {
        // Looks first, because most words are there already and then need no memory of their own.
        match self.0.get_mut(word) {
            Some(known) => *known += count,
            None => {
                self.0.insert(word.to_vec(), count);
            }
        }
    }
}
