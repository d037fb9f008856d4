//! Streams and sinks of the `futures` crates: sockets as what combinators and `select!` work with.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::{FusedStream, Stream};
use futures_sink::Sink;

use super::closing::Handle;
use super::core::{Core, State, Unsent};
use super::verbs::settled;
use super::waiting::Place;
use crate::error::{SendError, TryRecvError};
use crate::message::Message;
use crate::pattern::Pattern;

/// What a socket receives, as a [`Stream`]: from [`stream`](crate::Pull::stream) and its like. With the feature `futures`.
///
/// It ends when the socket is closed. It takes a message from the socket only to return it at once, so dropping the stream,
/// or a future that waits for its next item, loses nothing. It runs on any executor. Several streams of one socket share
/// what comes.
///
/// A stream is a handle of its socket: it keeps it open.
///
/// ```
/// use aqueduct::{Pull, Push};
/// use futures_lite::StreamExt;
///
/// # pollster::block_on(async {
/// let pull = Pull::new();
/// let endpoint = pull.bind("tcp://127.0.0.1:0")?;
/// let push = Push::new();
/// push.connect(&endpoint)?;
/// for word in ["one", "two", "three"] {
///     push.send_async(word).await?;
/// }
/// let lengths: Vec<_> = pull.stream().take(3).map(|message| message[0].len()).collect().await;
/// assert_eq!(lengths, [3, 3, 5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct RecvStream<T = Message> {
    inlet: Box<dyn Inlet<T>>,
    ended: bool,
}

/// What a socket sends, as a [`Sink`]: from [`sink`](crate::Push::sink) and its like. With the feature `futures`.
///
/// An item goes to the socket at once if a peer can take it. If none can, the sink keeps it, and is not ready for another
/// before it is gone: back-pressure reaches whoever feeds the sink. Flushing waits until the socket has the item; closing
/// does no more, since other handles may use the socket. It runs on any executor, and the socket's send timeout does not
/// count.
///
/// Errors have the message in them; the sink can be used again after one, unless the socket is closed.
///
/// What the sink keeps was never accepted by the socket. If a future that sends or flushes is dropped, it stays in the sink:
/// flush again, or take it back with [`take_unsent`](Self::take_unsent). When the sink itself is dropped, the socket gets
/// it if a peer can take it then.
///
/// A sink is a handle of its socket: it keeps it open.
///
/// ```
/// use aqueduct::{Message, Pull, Push};
/// use futures_util::{SinkExt, StreamExt, stream};
///
/// # pollster::block_on(async {
/// let pull = Pull::new();
/// pull.bind("inproc://lines")?;
/// let push = Push::new();
/// push.connect("inproc://lines")?;
///
/// let lines = stream::iter(["one", "two", "three"]);
/// lines.map(|line| Ok(Message::from(line))).forward(push.sink()).await?;
/// assert_eq!(pull.recv_async().await?, "one");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[must_use = "sinks do nothing unless polled"]
pub struct SendSink<T = Message, E = SendError> {
    outlet: Box<dyn Outlet<T, E>>,
    /// What no peer could take yet.
    unsent: Option<T>,
}

/// The receiving side of a socket, whatever its type.
trait Inlet<T>: Send + Sync {
    /// Returns the next item; `None` if the socket is closed.
    fn poll_recv(&mut self, context: &Context<'_>) -> Poll<Option<T>>;
}

/// The sending side of a socket, whatever its type.
trait Outlet<T, E>: Send + Sync {
    /// Sends what is in its place if that can be done now; `None` if not.
    fn try_send(&mut self, unsent: &mut Option<T>) -> Option<Result<(), E>>;

    /// Sends what is in its place.
    fn poll_send(&mut self, unsent: &mut Option<T>, context: &Context<'_>) -> Poll<Result<(), E>>;

    /// There is nothing more to send for now.
    fn stop_waiting(&mut self);

    /// The error of a sink that was given an item before it was ready for one.
    fn not_ready(&self, item: T) -> E;
}

struct Receiving<P: Pattern, F> {
    handle: Arc<Handle<P>>,
    take: F,
    place: Place,
}

struct Sending<P: Pattern, E> {
    handle: Arc<Handle<P>>,
    fail: fn(Unsent, Option<P::Out>) -> E,
    place: Place,
}

impl<P, T, F> Inlet<T> for Receiving<P, F>
where
    P: Pattern,
    F: Fn(&Arc<Core<P>>) -> Result<T, TryRecvError> + Send + Sync,
{
    fn poll_recv(&mut self, context: &Context<'_>) -> Poll<Option<T>> {
        let (core, take) = (&self.handle.0, &self.take);
        let received = self.place.poll(
            core,
            |state| &mut state.receivers,
            State::next_receiver,
            context,
            |_| settled(take(core)),
        );
        received.map(Result::ok)
    }
}

impl<P: Pattern, F> Drop for Receiving<P, F> {
    fn drop(&mut self) {
        self.place
            .leave(&self.handle.0, |state| &mut state.receivers, State::next_receiver);
    }
}

impl<P: Pattern, E> Outlet<P::Out, E> for Sending<P, E> {
    fn try_send(&mut self, unsent: &mut Option<P::Out>) -> Option<Result<(), E>> {
        let sent = self.handle.0.try_unsent(unsent)?;
        Some(sent.map_err(|why| (self.fail)(why, unsent.take())))
    }

    fn poll_send(&mut self, unsent: &mut Option<P::Out>, context: &Context<'_>) -> Poll<Result<(), E>> {
        let core = &self.handle.0;
        let sent = self.place.poll(
            core,
            |state| &mut state.senders,
            State::next_sender,
            context,
            |_| match unsent {
                Some(_) => core.try_unsent(unsent),
                None => Some(Ok(())),
            },
        );
        sent.map_err(|why| (self.fail)(why, unsent.take()))
    }

    fn stop_waiting(&mut self) {
        self.place
            .leave(&self.handle.0, |state| &mut state.senders, State::next_sender);
    }

    fn not_ready(&self, item: P::Out) -> E {
        (self.fail)(Unsent::Full, Some(item))
    }
}

impl<P: Pattern, E> Drop for Sending<P, E> {
    fn drop(&mut self) {
        self.stop_waiting();
    }
}

impl<P: Pattern> Handle<P> {
    /// Makes a stream of what `take` takes from the socket.
    pub(super) fn stream<T: 'static>(
        self: &Arc<Self>,
        take: impl Fn(&Arc<Core<P>>) -> Result<T, TryRecvError> + Send + Sync + 'static,
    ) -> RecvStream<T> {
        RecvStream {
            inlet: Box::new(Receiving {
                handle: Arc::clone(self),
                take,
                place: Place::default(),
            }),
            ended: false,
        }
    }

    /// Makes a sink of the socket, with the errors that `fail` makes of what was not sent.
    pub(super) fn sink<E: 'static>(
        self: &Arc<Self>,
        fail: fn(Unsent, Option<P::Out>) -> E,
    ) -> SendSink<P::Out, E> {
        SendSink {
            outlet: Box::new(Sending {
                handle: Arc::clone(self),
                fail,
                place: Place::default(),
            }),
            unsent: None,
        }
    }
}

impl<T> Stream for RecvStream<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let received = self.inlet.poll_recv(context);
        self.ended = matches!(received, Poll::Ready(None));
        received
    }
}

impl<T> FusedStream for RecvStream<T> {
    fn is_terminated(&self) -> bool {
        self.ended
    }
}

impl<T, E> SendSink<T, E> {
    /// Takes back the item that no peer could take yet, if there is one.
    #[must_use]
    pub fn take_unsent(&mut self) -> Option<T> {
        self.outlet.stop_waiting();
        self.unsent.take()
    }
}

// What it keeps is never pinned.
impl<T, E> Unpin for SendSink<T, E> {}

impl<T, E> Sink<T> for SendSink<T, E> {
    type Error = E;

    fn poll_ready(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), E>> {
        self.poll_flush(context)
    }

    fn start_send(self: Pin<&mut Self>, item: T) -> Result<(), E> {
        let this = self.get_mut();
        if this.unsent.is_some() {
            return Err(this.outlet.not_ready(item));
        }
        this.unsent = Some(item);
        this.outlet.try_send(&mut this.unsent).unwrap_or(Ok(()))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), E>> {
        let this = self.get_mut();
        if this.unsent.is_none() {
            return Poll::Ready(Ok(()));
        }
        this.outlet.poll_send(&mut this.unsent, context)
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), E>> {
        self.poll_flush(context)
    }
}

impl<T, E> Drop for SendSink<T, E> {
    fn drop(&mut self) {
        if self.unsent.is_some() {
            let _ = self.outlet.try_send(&mut self.unsent);
        }
    }
}

impl<T> fmt::Debug for RecvStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvStream")
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl<T, E> fmt::Debug for SendSink<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendSink")
            .field("unsent", &self.unsent.is_some())
            .finish_non_exhaustive()
    }
}

/// Gives a type a stream of what its pattern receives.
macro_rules! message_stream {
    ($socket:ident => $received:ty, $name:literal) => {
        impl $socket {
            #[doc = concat!("Returns a stream of each ", $name, " that comes. With the feature `futures`.")]
            pub fn stream(&self) -> $crate::RecvStream<$received> {
                self.0.stream(|core| core.recv_now())
            }
        }
    };
}

/// Gives a type that sends messages the sink for them.
macro_rules! message_sink {
    ($socket:ident) => {
        impl $socket {
            /// Returns a sink that sends what it is fed. With the feature `futures`.
            pub fn sink(&self) -> $crate::SendSink {
                self.0.sink($crate::socket::core::Unsent::into_send_error)
            }
        }
    };
}

pub(super) use {message_sink, message_stream};
