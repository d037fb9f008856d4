//! The bodies that are sent, each different from its neighbours without a write, and the check of those received.

use bytes::Bytes;

use crate::Outcome;

/// Bodies repeat after so many messages: a prime, so that no power of two of lost messages goes unseen.
const PERIOD: usize = 251;

/// From this size on a body is handed over by reference; below it is copied, as an application would.
pub const BY_REFERENCE: usize = 64 * 1024;

/// The body that ends a stream: shorter than all others.
const END: &[u8] = b"E";

/// One body.
pub struct Body<'a> {
    all: &'a Bytes,
    from: usize,
    size: usize,
}

impl Body<'_> {
    pub fn bytes(&self) -> &[u8] {
        &self.all[self.from..self.from + self.size]
    }

    pub fn shared(&self) -> Bytes {
        self.all.slice(self.from..self.from + self.size)
    }

    pub fn is_by_reference(&self) -> bool {
        self.size >= BY_REFERENCE
    }
}

/// Makes bodies of one size: windows into one long pattern, each starting one byte later.
pub struct Payload {
    pattern: Bytes,
    end: Bytes,
    size: usize,
    next: usize,
    sent: u64,
}

impl Payload {
    pub fn new(size: usize) -> Self {
        Self {
            pattern: (0..size + PERIOD).map(pattern).collect(),
            end: Bytes::from_static(END),
            size,
            next: 0,
            sent: 0,
        }
    }

    #[inline]
    pub fn next_body(&mut self) -> Body<'_> {
        let from = self.next;
        self.next = if from + 1 == PERIOD { 0 } else { from + 1 };
        self.sent += 1;
        Body {
            all: &self.pattern,
            from,
            size: self.size,
        }
    }

    pub fn end(&self) -> Body<'_> {
        Body {
            all: &self.end,
            from: 0,
            size: END.len(),
        }
    }

    /// How many bodies were made, the end not counted.
    pub fn sent(&self) -> u64 {
        self.sent
    }
}

/// Checks bodies as they come: the length of each, its first byte and its last, which give its place in the sequence.
pub struct Checker {
    size: usize,
    next: usize,
    received: u64,
}

impl Checker {
    pub fn new(size: usize) -> Self {
        Self {
            size,
            next: 0,
            received: 0,
        }
    }

    /// Checks the next body. Tells whether it is the end.
    #[inline]
    pub fn check(&mut self, body: &[u8]) -> Outcome<bool> {
        let last = (self.next + self.size - 1) % PERIOD;
        let good = body.len() == self.size
            && body.first() == Some(&pattern(self.next))
            && body.last() == Some(&pattern(last));
        if !good {
            return self.end_or_error(body);
        }
        self.next = if self.next + 1 == PERIOD { 0 } else { self.next + 1 };
        self.received += 1;
        Ok(false)
    }

    pub fn received(&self) -> u64 {
        self.received
    }

    #[cold]
    fn end_or_error(&self, body: &[u8]) -> Outcome<bool> {
        if body == END {
            return Ok(true);
        }
        let (got, expected) = (body.len(), self.size);
        let first = body.first().copied().unwrap_or_default();
        let at = self.received;
        Err(format!("message {at}: {got} bytes beginning with {first} instead of {expected}").into())
    }
}

#[inline]
fn pattern(at: usize) -> u8 {
    u8::try_from(at % PERIOD).unwrap_or_default()
}
