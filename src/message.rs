//! Messages and their frames: what applications send and receive, always whole.

use std::fmt;

use bytes::Bytes;

use crate::pool::{MEDIUM, Pooled, SHORT};
use crate::recycle;

/// Bodies of up to this many bytes are stored inside the [`Frame`] itself, without an allocation.
///
/// A `Frame`, and a one-frame [`Message`], is 80 bytes: cheap enough to move through a queue by value.
pub const INLINE_CAPACITY: usize = 64;

/// The bytes of a short body.
///
/// The alignment is a matter of speed: a frame is moved in pieces of 16 bytes, sometimes whole and sometimes without
/// its tag, and a processor that reads back a piece just written waits if the two kinds of move cut it differently.
#[derive(Clone)]
#[repr(align(16))]
struct Inline([u8; INLINE_CAPACITY]);

/// What a frame is taken to cost beyond its body when queues and limits count bytes.
///
/// It stands for the queue slot, so that a million empty frames cannot pass a byte limit for free.
pub(crate) const FRAME_OVERHEAD: usize = 64;

/// One part of a [`Message`]: an immutable string of bytes that is cheap to clone.
///
/// Bodies of up to [`INLINE_CAPACITY`] bytes live in the frame, and longer ones of up to 1,024 bytes in a buffer of their
/// own if they were copied into the frame; all others are shared [`Bytes`]. So cloning copies a kilobyte at most.
///
/// ```
/// use aqueduct::Frame;
///
/// let frame = Frame::from("hello");
/// assert_eq!(frame, "hello");
/// assert_eq!(frame.len(), 5);
/// ```
#[derive(Clone)]
pub struct Frame(FrameRepr);

/// The type of the tag is given, since it would be as large as the alignment: written by halves, and read as one.
#[derive(Clone)]
#[repr(u64)]
enum FrameRepr {
    Inline {
        len: usize,
        body: Inline,
    },
    /// Copied from elsewhere, and too long to be inline.
    Short(Pooled<SHORT>),
    /// The same, and too long to be short.
    Medium(Pooled<MEDIUM>),
    Shared(Bytes),
}

impl Frame {
    /// Returns a frame without a body.
    #[must_use]
    pub const fn new() -> Self {
        Self(FrameRepr::Inline {
            len: 0,
            body: Inline([0; INLINE_CAPACITY]),
        })
    }

    /// Copies `body` into a new frame.
    #[must_use]
    #[inline]
    pub fn copy_from_slice(body: &[u8]) -> Self {
        if let Some(frame) = Self::inline(body) {
            return frame;
        }
        if let Some(pooled) = Pooled::copy_from_slice(body) {
            return Self(FrameRepr::Short(pooled));
        }
        match Pooled::copy_from_slice(body) {
            Some(pooled) => Self(FrameRepr::Medium(pooled)),
            None if body.len() < recycle::SMALLEST => Self(FrameRepr::Shared(Bytes::copy_from_slice(body))),
            None => Self::copy_large(body),
        }
    }

    /// Returns the body.
    #[must_use]
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            // The length was checked when the frame was made; `get` keeps the compiler honest without a panic path.
            FrameRepr::Inline { len, body } => body.0.get(..*len).unwrap_or_default(),
            FrameRepr::Short(pooled) => pooled.as_slice(),
            FrameRepr::Medium(pooled) => pooled.as_slice(),
            FrameRepr::Shared(bytes) => bytes,
        }
    }

    /// Returns the number of bytes in the body.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        match &self.0 {
            FrameRepr::Inline { len, .. } => *len,
            FrameRepr::Short(pooled) => pooled.len(),
            FrameRepr::Medium(pooled) => pooled.len(),
            FrameRepr::Shared(bytes) => bytes.len(),
        }
    }

    /// Tells whether the body is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the body as text.
    ///
    /// # Errors
    ///
    /// The body is not UTF-8.
    pub fn as_str(&self) -> Result<&str, std::str::Utf8Error> {
        std::str::from_utf8(self.as_slice())
    }

    /// Turns the frame into [`Bytes`]; copies only a body that was stored inline or copied into the frame when it was
    /// short.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            FrameRepr::Shared(bytes) => bytes,
            _ => Bytes::copy_from_slice(self.as_slice()),
        }
    }

    /// Returns the shared body, if it is not stored inline.
    #[cfg(test)]
    pub(crate) fn shared(&self) -> Option<&Bytes> {
        match &self.0 {
            FrameRepr::Shared(bytes) => Some(bytes),
            _ => None,
        }
    }

    #[inline(never)]
    fn copy_large(body: &[u8]) -> Self {
        let mut buffer = recycle::take(body.len());
        buffer.extend_from_slice(body);
        Self::from_buffer(buffer)
    }

    /// Makes a frame of a body that lies in a buffer of [`recycle`].
    pub(crate) fn from_buffer(buffer: Vec<u8>) -> Self {
        match Self::inline(&buffer) {
            Some(frame) => frame,
            None => Self(FrameRepr::Shared(recycle::into_body(buffer))),
        }
    }

    /// Returns a body that is stored inline, with its padding, and its length.
    #[inline]
    pub(crate) fn as_padded(&self) -> Option<(&[u8; INLINE_CAPACITY], u8)> {
        match &self.0 {
            FrameRepr::Inline { len, body } => Some((&body.0, u8::try_from(*len).ok()?)),
            _ => None,
        }
    }

    /// Makes a frame of a body that may be stored inline; `None` if it is too long.
    #[inline(always)]
    fn inline(source: &[u8]) -> Option<Self> {
        let len = source.len();
        if len > INLINE_CAPACITY {
            return None;
        }
        let mut body = Inline([0; INLINE_CAPACITY]);
        // Moves of known sizes, largest first, take no call; this runs for every small message that is sent.
        let (mut to, mut from) = (&mut body.0[..], source);
        move_chunk::<64>(&mut to, &mut from);
        move_chunk::<32>(&mut to, &mut from);
        move_chunk::<16>(&mut to, &mut from);
        move_chunk::<8>(&mut to, &mut from);
        for (to, from) in to.iter_mut().zip(from) {
            *to = *from;
        }
        Some(Self(FrameRepr::Inline { len, body }))
    }
}

/// Moves `N` bytes on from one slice to the other, if there are so many.
#[inline]
fn move_chunk<const N: usize>(to: &mut &mut [u8], from: &mut &[u8]) {
    let Some((chunk, rest)) = from.split_first_chunk::<N>() else {
        return;
    };
    let Some((place, after)) = std::mem::take(to).split_first_chunk_mut::<N>() else {
        return;
    };
    *place = *chunk;
    (*to, *from) = (after, rest);
}

impl Default for Frame {
    fn default() -> Self {
        Self::new()
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl std::ops::Deref for Frame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl fmt::Debug for Frame {
    /// Shows the body as an escaped byte string, cut after 64 bytes: a peer chose these bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 64;
        let body = self.as_slice();
        let shown = body.get(..SHOWN).unwrap_or(body);
        write!(f, "b\"{}\"", shown.escape_ascii())?;
        if shown.len() < body.len() {
            write!(f, "… ({} bytes)", body.len())?;
        }
        Ok(())
    }
}

impl PartialEq for Frame {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Frame {}

impl std::hash::Hash for Frame {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

impl From<Bytes> for Frame {
    fn from(bytes: Bytes) -> Self {
        Self::inline(&bytes).unwrap_or(Self(FrameRepr::Shared(bytes)))
    }
}

impl From<Vec<u8>> for Frame {
    fn from(body: Vec<u8>) -> Self {
        Self::inline(&body).unwrap_or_else(|| Self(FrameRepr::Shared(Bytes::from(body))))
    }
}

impl From<String> for Frame {
    fn from(body: String) -> Self {
        Self::from(body.into_bytes())
    }
}

impl From<&[u8]> for Frame {
    #[inline]
    fn from(body: &[u8]) -> Self {
        Self::copy_from_slice(body)
    }
}

impl From<&str> for Frame {
    fn from(body: &str) -> Self {
        Self::copy_from_slice(body.as_bytes())
    }
}

impl<const N: usize> From<[u8; N]> for Frame {
    fn from(body: [u8; N]) -> Self {
        Self::copy_from_slice(&body)
    }
}

impl<const N: usize> From<&[u8; N]> for Frame {
    fn from(body: &[u8; N]) -> Self {
        Self::copy_from_slice(body)
    }
}

/// One or more [`Frame`]s that travel together: a message arrives whole or not at all.
///
/// Anything that becomes a frame becomes a one-frame message, and an iterator of such things a message of many:
///
/// ```
/// use aqueduct::Message;
///
/// let simple = Message::from("hello");
/// assert_eq!(simple, "hello");
///
/// let parts: Message = ["topic", "body"].into_iter().collect();
/// assert_eq!(parts.len(), 2);
/// assert_eq!(parts[1], "body");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Message(MessageRepr);

#[derive(Clone, PartialEq, Eq, Hash)]
enum MessageRepr {
    One(Frame),
    /// Two frames or more.
    Many(Vec<Frame>),
}

impl Message {
    /// Returns a message of one empty frame.
    #[must_use]
    pub const fn new() -> Self {
        Self(MessageRepr::One(Frame::new()))
    }

    /// Returns the frames, at least one.
    #[must_use]
    #[inline]
    pub fn frames(&self) -> &[Frame] {
        match &self.0 {
            MessageRepr::One(frame) => std::slice::from_ref(frame),
            MessageRepr::Many(frames) => frames,
        }
    }

    /// Returns the number of frames, at least one.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a message is never empty")]
    pub fn len(&self) -> usize {
        self.frames().len()
    }

    /// Returns the sum of the bytes in all bodies.
    #[must_use]
    #[inline]
    pub fn byte_len(&self) -> usize {
        match &self.0 {
            MessageRepr::One(frame) => frame.len(),
            MessageRepr::Many(frames) => frames.iter().map(Frame::len).sum(),
        }
    }

    /// Appends a frame.
    pub fn push_back(&mut self, frame: impl Into<Frame>) {
        match &mut self.0 {
            MessageRepr::One(first) => {
                self.0 = MessageRepr::Many(vec![std::mem::take(first), frame.into()]);
            }
            MessageRepr::Many(frames) => frames.push(frame.into()),
        }
    }

    /// Puts a frame before the others, such as one of an envelope.
    ///
    /// ```
    /// let mut message = aqueduct::Message::from("body");
    /// message.push_front("");
    /// assert_eq!((message.len(), &message[1]), (2, &"body".into()));
    /// assert_eq!(message.pop_front().unwrap(), "");
    /// assert_eq!(message, "body");
    /// assert_eq!(message.pop_front(), None, "a message is never empty");
    /// ```
    pub fn push_front(&mut self, frame: impl Into<Frame>) {
        match &mut self.0 {
            MessageRepr::One(last) => {
                self.0 = MessageRepr::Many(vec![frame.into(), std::mem::take(last)]);
            }
            MessageRepr::Many(frames) => frames.insert(0, frame.into()),
        }
    }

    /// Takes off the first frame, or returns `None` if there is no other.
    pub fn pop_front(&mut self) -> Option<Frame> {
        let MessageRepr::Many(frames) = &mut self.0 else {
            return None;
        };
        let first = frames.remove(0);
        if frames.len() == 1 {
            self.0 = MessageRepr::One(frames.pop().unwrap_or_default());
        }
        Some(first)
    }

    /// Returns the body of a one-frame message, or `None` if there are more frames.
    #[must_use]
    #[inline]
    pub fn as_single(&self) -> Option<&[u8]> {
        match &self.0 {
            MessageRepr::One(frame) => Some(frame.as_slice()),
            MessageRepr::Many(_) => None,
        }
    }

    /// Returns the body of a message of one inline frame, with its padding, and its length.
    #[inline]
    pub(crate) fn as_padded(&self) -> Option<(&[u8; INLINE_CAPACITY], u8)> {
        match &self.0 {
            MessageRepr::One(frame) => frame.as_padded(),
            MessageRepr::Many(_) => None,
        }
    }

    /// Makes a message of one frame of the first `len` bytes of `padded`, or all of them if there are not so many.
    ///
    /// To copy a number of bytes that the compiler knows takes a few moves and no call. The padding that is copied
    /// along is never seen again.
    #[inline]
    pub(crate) fn from_padded(padded: &[u8; INLINE_CAPACITY], len: u8) -> Self {
        Self(MessageRepr::One(Frame(FrameRepr::Inline {
            len: usize::from(len).min(INLINE_CAPACITY),
            body: Inline(*padded),
        })))
    }

    /// Returns the body of a message of one frame, if it is in a short buffer of a pool.
    #[inline]
    pub(crate) fn as_pooled(&self) -> Option<&Pooled<SHORT>> {
        match &self.0 {
            MessageRepr::One(Frame(FrameRepr::Short(pooled))) => Some(pooled),
            _ => None,
        }
    }

    /// Makes a message of one frame of such a body.
    #[inline]
    pub(crate) fn from_pooled(pooled: Pooled<SHORT>) -> Self {
        Self(MessageRepr::One(Frame(FrameRepr::Short(pooled))))
    }

    /// Returns the frames, giving up the message.
    #[must_use]
    pub fn into_frames(self) -> Vec<Frame> {
        match self.0 {
            MessageRepr::One(frame) => vec![frame],
            MessageRepr::Many(frames) => frames,
        }
    }

    /// Moves the frames behind others; unlike their iterator, a single one needs no memory on the way.
    pub(crate) fn append_to(self, frames: &mut Vec<Frame>) {
        match self.0 {
            MessageRepr::One(frame) => frames.push(frame),
            MessageRepr::Many(mut more) => frames.append(&mut more),
        }
    }

    /// Returns an iterator over the frames.
    pub fn iter(&self) -> std::slice::Iter<'_, Frame> {
        self.frames().iter()
    }

    /// What the message weighs against byte limits: its bodies plus a fixed cost per frame.
    #[inline]
    pub(crate) fn weight(&self) -> usize {
        match &self.0 {
            MessageRepr::One(frame) => frame.len() + FRAME_OVERHEAD,
            MessageRepr::Many(frames) => frames.iter().map(|frame| frame.len() + FRAME_OVERHEAD).sum(),
        }
    }
}

impl Default for Message {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 16;
        f.debug_list().entries(self.iter().take(SHOWN)).finish()?;
        if self.len() > SHOWN {
            write!(f, "… ({} frames)", self.len())?;
        }
        Ok(())
    }
}

impl<F: Into<Frame>> From<F> for Message {
    #[inline]
    fn from(body: F) -> Self {
        Self(MessageRepr::One(body.into()))
    }
}

impl From<Vec<Frame>> for Message {
    /// A vector without frames becomes a message of one empty frame.
    fn from(mut frames: Vec<Frame>) -> Self {
        if frames.len() > 1 {
            return Self(MessageRepr::Many(frames));
        }
        Self(MessageRepr::One(frames.pop().unwrap_or_default()))
    }
}

impl<F: Into<Frame>> FromIterator<F> for Message {
    /// An iterator without items becomes a message of one empty frame.
    fn from_iter<I: IntoIterator<Item = F>>(parts: I) -> Self {
        let mut parts = parts.into_iter().map(Into::into);
        let Some(first) = parts.next() else {
            return Self::new();
        };
        let Some(second) = parts.next() else {
            return Self(MessageRepr::One(first));
        };
        let mut frames = Vec::with_capacity(parts.size_hint().0.saturating_add(2));
        frames.extend([first, second]);
        frames.extend(parts);
        Self(MessageRepr::Many(frames))
    }
}

impl<F: Into<Frame>> Extend<F> for Message {
    fn extend<I: IntoIterator<Item = F>>(&mut self, parts: I) {
        for part in parts {
            self.push_back(part);
        }
    }
}

impl std::ops::Index<usize> for Message {
    type Output = Frame;

    /// # Panics
    ///
    /// The message has no such frame; ask [`frames`](Message::frames)`().get(index)` where that may happen.
    fn index(&self, index: usize) -> &Frame {
        #[allow(
            clippy::indexing_slicing,
            reason = "an index that panics is what `Index` promises"
        )]
        &self.frames()[index]
    }
}

impl IntoIterator for Message {
    type Item = Frame;
    type IntoIter = std::vec::IntoIter<Frame>;

    fn into_iter(self) -> Self::IntoIter {
        self.into_frames().into_iter()
    }
}

impl<'a> IntoIterator for &'a Message {
    type Item = &'a Frame;
    type IntoIter = std::slice::Iter<'a, Frame>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Compares frames, and messages of one frame, with plain values, in both directions.
macro_rules! eq_plain_values {
    ($($(#[$generics:tt])* [$($param:tt)*] $plain:ty),* $(,)?) => {$(
        impl<$($param)*> PartialEq<$plain> for Frame {
            fn eq(&self, other: &$plain) -> bool {
                self.as_slice() == AsRef::<[u8]>::as_ref(other)
            }
        }
        impl<$($param)*> PartialEq<Frame> for $plain {
            fn eq(&self, other: &Frame) -> bool {
                other == self
            }
        }
        impl<$($param)*> PartialEq<$plain> for Message {
            fn eq(&self, other: &$plain) -> bool {
                self.as_single() == Some(AsRef::<[u8]>::as_ref(other))
            }
        }
        impl<$($param)*> PartialEq<Message> for $plain {
            fn eq(&self, other: &Message) -> bool {
                other == self
            }
        }
    )*};
}

eq_plain_values! {
    [] [u8], [] &[u8], [] str, [] &str, [] String, [] Vec<u8>, [] Bytes,
    [const N: usize] [u8; N], [const N: usize] &[u8; N],
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_is_five_moves() {
        assert_eq!(size_of::<Frame>(), 80);
        assert_eq!(size_of::<Message>(), 80);
    }

    #[test]
    fn the_inline_limit_is_exact() {
        for len in [
            0,
            1,
            INLINE_CAPACITY - 1,
            INLINE_CAPACITY,
            INLINE_CAPACITY + 1,
            4096,
        ] {
            let body = vec![7; len];
            let frame = Frame::from(body.clone());
            assert_eq!(frame, body);
            assert_eq!(frame.shared().is_none(), len <= INLINE_CAPACITY, "{len} bytes");
        }
    }

    #[test]
    fn plain_values_compare_both_ways() {
        let message = Message::from("abc");
        assert_eq!(message, "abc");
        assert_eq!("abc", message);
        assert_eq!(message, b"abc");
        assert_eq!(message, *b"abc");
        assert_eq!(message, vec![b'a', b'b', b'c']);
        assert_eq!(message, String::from("abc"));
        assert_eq!(message, Bytes::from_static(b"abc"));
        assert_ne!(message, "abd");
    }

    #[test]
    fn a_message_of_many_frames_equals_no_plain_value() {
        let message: Message = ["abc", ""].into_iter().collect();
        assert_ne!(message, "abc");
        assert_eq!(message.as_single(), None);
    }

    #[test]
    fn no_frames_make_one_empty_frame() {
        assert_eq!(Message::from(Vec::<Frame>::new()), "");
        assert_eq!(std::iter::empty::<&str>().collect::<Message>().len(), 1);
    }

    #[test]
    fn debug_escapes_and_cuts() {
        let shown = format!("{:?}", Message::from(vec![0x1b; 1000]));
        assert!(
            shown.len() < 400 && shown.contains("\\x1b") && shown.contains("1000 bytes"),
            "{shown}"
        );
    }

    proptest! {
        #[test]
        fn frames_survive_collecting(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..8)) {
            let message: Message = parts.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(message.len(), parts.len());
            prop_assert_eq!(message.byte_len(), parts.iter().map(Vec::len).sum::<usize>());
            let mut pushed = Message::from(parts[0].as_slice());
            pushed.extend(parts[1..].iter().map(Vec::as_slice));
            prop_assert_eq!(&pushed, &message);
            let back: Vec<Vec<u8>> = message.into_iter().map(|frame| frame.to_vec()).collect();
            prop_assert_eq!(back, parts);
        }
    }
}
