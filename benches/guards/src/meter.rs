//! What callgrind is to watch, and what it is not.

use std::hint::black_box;

/// Turns that are not counted: enough for every buffer to have grown, and for a thousand messages to have filled queues.
const WARM_UP: usize = 60;

/// Turns of which each is counted by itself, and the middle one is reported. A turn in which the I/O thread got in between
/// costs more, and is not taken for the price of a message.
pub(crate) const COUNTED: usize = 31;

/// One turn of a scene.
pub(crate) type Round = Box<dyn FnMut(&mut Meter)>;

/// The function in which instructions count, as callgrind knows it: two patterns, for of two options with the same one it
/// heeds one only.
pub(crate) const WATCHED: [&str; 2] = [
    "aqueduct_guards::meter::watched*",
    "*aqueduct_guards::meter::watched*",
];

/// Counts, if told to, what a turn does.
#[derive(Debug)]
pub(crate) struct Meter {
    counts: bool,
    /// Messages in the part of a turn that counts.
    messages: u64,
}

impl Meter {
    /// Does what counts, once in each turn, with so many messages.
    pub(crate) fn count<T>(&mut self, messages: u64, mut work: impl FnMut() -> T) -> T {
        self.messages = messages;
        if self.counts { watched(work) } else { work() }
    }
}

/// Callgrind counts from where this begins to where it ends.
#[inline(never)]
fn watched<T>(mut work: impl FnMut() -> T) -> T {
    black_box(work())
}

/// Plays a scene, and says how many messages each turn is about.
pub(crate) fn play(mut round: Round) {
    let mut meter = Meter {
        counts: false,
        messages: 0,
    };
    (0..WARM_UP).for_each(|_| round(&mut meter));
    meter.counts = true;
    (0..COUNTED).for_each(|_| round(&mut meter));
    println!("{}", meter.messages);
}
