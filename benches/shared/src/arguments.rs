//! The command line: words, `--flags` and `--options value`, without a crate for it.

use std::collections::VecDeque;
use std::str::FromStr;

use crate::Outcome;

/// What is left of the command line.
pub struct Arguments(VecDeque<String>);

impl Arguments {
    pub fn new(words: impl Iterator<Item = String>) -> Self {
        Self(words.collect())
    }

    /// Takes the first word.
    pub fn word(&mut self) -> Option<String> {
        self.0.pop_front()
    }

    /// Takes the first word and parses it.
    pub fn parse<T: FromStr>(&mut self) -> Outcome<T> {
        let word = self.word().ok_or("a word is missing")?;
        word.parse().map_err(|_| format!("{word}: not understood").into())
    }

    /// Takes a flag out, wherever it stands.
    pub fn flag(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|word| word != name);
        self.0.len() < before
    }

    /// Takes an option with its value out, wherever it stands.
    pub fn option<T: FromStr>(&mut self, name: &str, default: T) -> Outcome<T> {
        let Some(at) = self.0.iter().position(|word| word == name) else {
            return Ok(default);
        };
        self.0.remove(at);
        let value = self.0.remove(at).ok_or_else(|| format!("{name} wants a value"))?;
        value
            .parse()
            .map_err(|_| format!("{name} {value}: not understood").into())
    }

    /// Refuses what nobody took.
    pub fn finish(self, usage: &str) -> Outcome<()> {
        match self.0.front() {
            None => Ok(()),
            Some(word) => Err(format!("{word}: not understood\n{usage}").into()),
        }
    }
}
