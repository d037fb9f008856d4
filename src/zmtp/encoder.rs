//! The encoder: messages into a batch of outgoing bytes, small bodies copied together and large ones by reference.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};
use smallvec::SmallVec;

use super::command::Command;
use super::frame::{self, put_header};
use super::limits::SEAL;
use super::mechanism::Seal;
use crate::queue::{PACKED_CAPACITY, Run};
use crate::{Frame, Message, recycle};

/// From this length on a body is sent from where it is. Below, copying it is cheaper than one more slice to write; it
/// comes packed, unless its message has more frames.
pub(super) const REFERENCE: usize = PACKED_CAPACITY;

/// From this length on what is sealed gets a buffer of its own, which is given back when it is sent; the one that all
/// shorter ones share is kept.
const SEALED_APART: usize = 64 * 1024;

/// So many slices are offered to one vectored write: their bytes outgrow a socket's buffer before their number
/// matters, and all systems take this many.
pub(crate) const MAX_SLICES: usize = 64;

/// A body that is not copied.
#[derive(Clone, Debug)]
struct Reference {
    /// How many of the copied bytes go before it.
    after: usize,
    body: Bytes,
}

/// Outgoing bytes in their order, from which a writer takes as much as the transport takes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batch {
    copied: Vec<u8>,
    /// How many of the copied bytes are sent.
    sent: usize,
    references: VecDeque<Reference>,
    /// How many bytes the references hold.
    referenced: usize,
}

impl Batch {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Returns how many bytes are still to be sent.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.copied
            .len()
            .saturating_sub(self.sent)
            .saturating_add(self.referenced)
    }

    /// Tells whether everything is sent.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the unsent bytes in order, as many slices as one write should take.
    pub(crate) fn slices<'a>(&'a self, out: &mut SmallVec<[IoSlice<'a>; MAX_SLICES]>) {
        let mut at = self.sent;
        for reference in &self.references {
            // Each turn adds at most two.
            if out.len().saturating_add(2) > MAX_SLICES {
                return;
            }
            push_slice(self.copied.get(at..reference.after), out);
            push_slice(Some(&reference.body), out);
            at = reference.after;
        }
        if out.len() < MAX_SLICES {
            push_slice(self.copied.get(at..), out);
        }
    }

    /// Takes note that the first `n` unsent bytes are sent; bodies go as soon as they are.
    pub(crate) fn advance(&mut self, mut n: usize) {
        debug_assert!(n <= self.len(), "more was sent than there was");
        while let Some(reference) = self.references.front_mut() {
            let before = reference.after.saturating_sub(self.sent);
            if n < before {
                break;
            }
            n = n.saturating_sub(before);
            self.sent = reference.after;
            let of_body = n.min(reference.body.len());
            reference.body.advance(of_body);
            self.referenced = self.referenced.saturating_sub(of_body);
            n = n.saturating_sub(of_body);
            if reference.body.has_remaining() {
                return;
            }
            self.references.pop_front();
        }
        self.sent = self.sent.saturating_add(n).min(self.copied.len());
        if self.is_empty() {
            self.clear();
        }
    }

    /// Forgets everything, and keeps the memory for what comes next.
    pub(crate) fn clear(&mut self) {
        self.copied.clear();
        self.sent = 0;
        self.references.clear();
        self.referenced = 0;
    }

    /// Moves what is unsent to a batch of the right size, so that this one can serve another connection.
    pub(crate) fn take_rest(&mut self) -> Self {
        let copied = self.copied.get(self.sent..).unwrap_or_default().to_vec();
        let moved = self.references.drain(..).map(|reference| Reference {
            after: reference.after.saturating_sub(self.sent),
            ..reference
        });
        let rest = Self {
            copied,
            sent: 0,
            references: moved.collect(),
            referenced: self.referenced,
        };
        self.clear();
        rest
    }

    /// Appends bytes as they are.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.copied.extend_from_slice(bytes);
    }

    /// Appends packed messages, which are frames; takes over their memory if there is nothing else.
    pub(crate) fn put_run(&mut self, run: Run<'_>) {
        match run {
            Run::Whole(bytes, start) if self.is_empty() => {
                recycle::give(std::mem::replace(&mut self.copied, bytes));
                self.sent = start;
            }
            Run::Shared(run) => self.refer_to(run),
            run => {
                self.put(run.bytes());
                run.end();
            }
        }
    }

    /// Appends a command frame, through the seal if there is one.
    pub(super) fn put_command(&mut self, command: &Command<'_>, seal: Option<&mut (dyn Seal + 'static)>) {
        let mut body = Vec::new();
        command.emit(&mut body);
        match seal {
            Some(seal) => seal.seal(frame::COMMAND, &body, &mut self.copied),
            None => {
                put_header(frame::COMMAND, body.len(), &mut self.copied);
                self.put(&body);
            }
        }
    }

    /// Appends the frames of a message through a seal.
    pub(super) fn put_sealed(&mut self, message: Message, seal: &mut dyn Seal) {
        let mut frames = message.into_iter();
        while let Some(part) = frames.next() {
            let flags = if frames.len() > 0 { frame::MORE } else { 0 };
            if part.len() < SEALED_APART {
                seal.seal(flags, part.as_slice(), &mut self.copied);
            } else {
                let mut sealed = recycle::take(part.len().saturating_add(SEAL));
                seal.seal(flags, part.as_slice(), &mut sealed);
                self.refer_to(recycle::into_body(sealed));
            }
        }
    }

    /// Appends the frames of a message.
    pub(super) fn put_message(&mut self, message: Message) {
        match message.as_single() {
            Some(body) if body.len() < REFERENCE => self.put_small(0, body),
            _ => self.put_frames(message),
        }
    }

    #[inline]
    fn put_small(&mut self, flags: u8, body: &[u8]) {
        // One check for header and body together; the appends that follow find their space.
        self.copied.reserve(body.len().saturating_add(frame::MAX_HEADER));
        put_header(flags, body.len(), &mut self.copied);
        self.copied.extend_from_slice(body);
    }

    #[inline(never)]
    fn put_frames(&mut self, message: Message) {
        let mut frames = message.into_iter();
        while let Some(part) = frames.next() {
            let flags = if frames.len() > 0 { frame::MORE } else { 0 };
            if part.len() < REFERENCE {
                self.put_small(flags, part.as_slice());
            } else {
                self.put_reference(flags, part);
            }
        }
    }

    fn put_reference(&mut self, flags: u8, part: Frame) {
        put_header(flags, part.len(), &mut self.copied);
        self.refer_to(part.into_bytes());
    }

    fn refer_to(&mut self, body: Bytes) {
        self.referenced = self.referenced.saturating_add(body.len());
        self.references.push_back(Reference {
            after: self.copied.len(),
            body,
        });
    }
}

fn push_slice<'a>(bytes: Option<&'a [u8]>, out: &mut SmallVec<[IoSlice<'a>; MAX_SLICES]>) {
    if let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) {
        out.push(IoSlice::new(bytes));
    }
}
