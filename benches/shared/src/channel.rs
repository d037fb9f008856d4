//! The baseline within one process: a bounded channel of bodies.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use bytes::Bytes;

use crate::Outcome;

/// How many messages a channel holds: as many as a queue of aqueduct does by default.
const CHANNEL: usize = 1000;

/// The longest body that a parcel holds itself, as a frame of aqueduct does.
const INLINE: usize = 72;

/// What goes through a channel: small bodies by value and others shared, as in aqueduct.
enum Parcel {
    Inline { len: usize, body: [u8; INLINE] },
    Shared(Bytes),
}

/// Makes a channel between two threads.
pub fn channel() -> (ChannelSink, ChannelSource) {
    let (sender, receiver) = sync_channel(CHANNEL);
    (ChannelSink(sender), ChannelSource(receiver))
}

/// The end that sends. Clones send to the same receiver.
#[derive(Clone)]
pub struct ChannelSink(SyncSender<Parcel>);

impl ChannelSink {
    /// Sends a copy of a body.
    #[inline]
    pub fn send(&mut self, bytes: &[u8]) -> Outcome<()> {
        if bytes.len() > INLINE {
            return self.send_shared(Bytes::copy_from_slice(bytes));
        }
        let mut body = [0; INLINE];
        body[..bytes.len()].copy_from_slice(bytes);
        let len = bytes.len();
        Ok(self.0.send(Parcel::Inline { len, body })?)
    }

    /// Sends a body by reference.
    #[inline]
    pub fn send_shared(&mut self, body: Bytes) -> Outcome<()> {
        Ok(self.0.send(Parcel::Shared(body))?)
    }
}

/// The end that receives.
pub struct ChannelSource(Receiver<Parcel>);

impl ChannelSource {
    /// Waits for the next body.
    #[inline]
    pub fn recv<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Outcome<T> {
        Ok(match self.0.recv()? {
            Parcel::Inline { len, body } => look(&body[..len]),
            Parcel::Shared(body) => look(&body),
        })
    }
}
