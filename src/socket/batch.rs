//! The verbs for many messages: as the others, with one lock for each batch.

use std::future::Future;
use std::time::Duration;

use super::core::{Core, State, Unsent, deadline};
use super::verbs::settled;
use crate::error::{RecvError, SendManyError, TryRecvError};
use crate::message::Message;
use crate::pattern::Pattern;

/// How many messages are sent or received under one lock: enough for the lock to cost nothing, and few enough for others
/// not to wait for it longer than for a few single verbs that wake somebody.
const BATCH: usize = 64;

/// Messages that were taken from an iterator and are on their way out, in order.
pub(super) struct Outgoing<I, T> {
    messages: I,
    /// Those of the present batch; what is sent leaves its place empty.
    batch: Vec<Option<T>>,
    /// How many of the batch are sent.
    done: usize,
    /// How many of the earlier batches.
    sent: usize,
}

impl<I: Iterator<Item = T>, T> Outgoing<I, T> {
    pub(super) fn new(messages: I) -> Self {
        Self {
            messages,
            batch: Vec::new(),
            done: 0,
            sent: 0,
        }
    }

    /// Takes the next batch if this one is sent; tells whether there is anything to send. No lock may be held: the iterator
    /// is the application's.
    fn refill(&mut self) -> bool {
        if self.done == self.batch.len() {
            self.sent += std::mem::take(&mut self.done);
            self.batch.clear();
            self.batch.extend(self.messages.by_ref().take(BATCH).map(Some));
        }
        !self.batch.is_empty()
    }

    fn count(&self) -> usize {
        self.sent + self.done
    }

    fn unsent(&mut self) -> Vec<T> {
        self.batch.drain(..).flatten().collect()
    }
}

impl<I: Iterator<Item = Message>> Outgoing<I, Message> {
    /// What to tell of messages of which the last was not sent.
    pub(super) fn conclude(mut self, outcome: Result<(), Unsent>) -> Result<usize, SendManyError> {
        let sent = self.count();
        match outcome {
            Ok(()) => Ok(sent),
            Err(Unsent::Full | Unsent::Refused) => Err(SendManyError::Full {
                sent,
                unsent: self.unsent(),
            }),
            Err(Unsent::Closed) => Err(SendManyError::Closed {
                sent,
                unsent: self.unsent(),
            }),
        }
    }
}

impl<P: Pattern> Core<P> {
    /// Sends until the iterator ends or waiting is necessary.
    pub(super) fn try_send_many(
        &self,
        messages: &mut Outgoing<impl Iterator<Item = P::Out>, P::Out>,
    ) -> Result<(), Unsent> {
        while messages.refill() {
            let rest = messages.batch.get_mut(messages.done..).unwrap_or_default();
            let (sent, outcome) = self.try_send_batch(rest);
            messages.done += sent;
            outcome?;
        }
        Ok(())
    }

    /// Sends until the iterator ends, waiting for each message for as long as the timeout allows.
    pub(super) fn send_many(
        &self,
        messages: &mut Outgoing<impl Iterator<Item = P::Out>, P::Out>,
        timeout: Option<Duration>,
    ) -> Result<(), Unsent> {
        loop {
            match self.try_send_many(messages) {
                Err(Unsent::Full) => {}
                settled => return settled,
            }
            self.wait_for(
                |state| &mut state.senders,
                State::next_sender,
                deadline(timeout),
                || self.progress(messages),
            )
            .unwrap_or(Err(Unsent::Full))?;
        }
    }

    /// The same for a task, which waits for as long as it takes.
    pub(super) async fn send_many_async(
        &self,
        messages: &mut Outgoing<impl Iterator<Item = P::Out> + Send, P::Out>,
    ) -> Result<(), Unsent> {
        loop {
            match self.try_send_many(messages) {
                Err(Unsent::Full) => {}
                settled => return settled,
            }
            self.wait_async(
                |state: &mut State<P>| &mut state.senders,
                State::next_sender,
                |_| self.progress(messages),
            )
            .await?;
        }
    }

    /// An attempt of somebody who waits; `None` if nothing at all could be sent.
    fn progress(
        &self,
        messages: &mut Outgoing<impl Iterator<Item = P::Out>, P::Out>,
    ) -> Option<Result<(), Unsent>> {
        let before = messages.count();
        match self.try_send_many(messages) {
            Err(Unsent::Full) if messages.count() == before => None,
            Err(Unsent::Full) => Some(Ok(())),
            settled => Some(settled),
        }
    }

    /// Receives at most so many messages that are here, to the end of a list.
    pub(super) fn try_recv_many(&self, into: &mut Vec<P::In>, max: usize) -> Result<usize, TryRecvError> {
        let before = into.len();
        loop {
            let wanted = max.saturating_sub(into.len() - before).min(BATCH);
            into.reserve(wanted);
            match self.try_recv_batch(into, wanted) {
                Ok(()) if into.len() - before < max => {}
                Ok(()) => return Ok(max),
                Err(_) if into.len() > before => return Ok(into.len() - before),
                Err(why) => return Err(why),
            }
        }
    }

    pub(super) fn recv_many(
        &self,
        into: &mut Vec<P::In>,
        max: usize,
        timeout: Option<Duration>,
    ) -> Result<usize, RecvError> {
        if let Some(result) = settled(self.try_recv_many(into, max)) {
            return result;
        }
        self.wait_to_recv(timeout, || settled(self.try_recv_many(into, max)))
    }

    pub(super) fn recv_many_async<'a>(
        &'a self,
        into: &'a mut Vec<P::In>,
        max: usize,
    ) -> impl Future<Output = Result<usize, RecvError>> + Send + 'a {
        self.wait_to_recv_async(move |_| settled(self.try_recv_many(into, max)))
    }
}

/// Gives a type the verbs to send many messages.
macro_rules! send_many_verbs {
    ($socket:ident) => {
        impl $socket {
            /// Sends messages in the order of an iterator, as [`send`](Self::send) would each of them, with less effort for
            /// each: it takes a few dozen of them at a time. Returns how many it sent: all.
            ///
            /// Messages go out as if they had been sent one by one: they are not one message, and may go to several peers.
            ///
            /// ```
            #[doc = concat!("use aqueduct::{Message, ", stringify!($socket), "};")]
            ///
            #[doc = concat!("fn send_lines(socket: &", stringify!($socket), ", text: &str) -> usize {")]
            ///     let mut lines = text.lines().map(Message::from);
            ///     // Given by reference, the iterator is still there after an error, with those it has not sent.
            ///     socket.send_many(&mut lines).unwrap_or_else(|error| error.sent())
            /// }
            /// ```
            ///
            /// # Errors
            ///
            /// The next message could not be sent within the send timeout, or the socket is closed. The error has the
            /// messages that were taken from the iterator and not sent; the others stay in the iterator.
            pub fn send_many<M: Into<$crate::Message>>(
                &self,
                messages: impl IntoIterator<Item = M>,
            ) -> Result<usize, $crate::SendManyError> {
                let core = &self.0.0;
                let mut messages = $crate::socket::batch::Outgoing::new(messages.into_iter().map(Into::into));
                let outcome = core.send_many(&mut messages, core.options.send_timeout);
                messages.conclude(outcome)
            }

            /// Sends messages as [`send_many`](Self::send_many) does, as long as peers can take them now.
            ///
            /// # Errors
            ///
            /// No peer could take the next message, or the socket is closed. The error has those that were taken from the
            /// iterator and not sent.
            pub fn try_send_many<M: Into<$crate::Message>>(
                &self,
                messages: impl IntoIterator<Item = M>,
            ) -> Result<usize, $crate::SendManyError> {
                let mut messages = $crate::socket::batch::Outgoing::new(messages.into_iter().map(Into::into));
                let outcome = self.0.0.try_send_many(&mut messages);
                messages.conclude(outcome)
            }

            /// Sends messages as [`send_many`](Self::send_many) does; waits at most this long for each of them.
            ///
            /// # Errors
            ///
            /// The next message could not be sent in time, or the socket is closed. The error has those that were taken
            /// from the iterator and not sent.
            pub fn send_many_timeout<M: Into<$crate::Message>>(
                &self,
                messages: impl IntoIterator<Item = M>,
                timeout: ::std::time::Duration,
            ) -> Result<usize, $crate::SendManyError> {
                let mut messages = $crate::socket::batch::Outgoing::new(messages.into_iter().map(Into::into));
                let outcome = self.0.0.send_many(&mut messages, Some(timeout));
                messages.conclude(outcome)
            }

            /// Sends messages as [`send_many`](Self::send_many) does, without blocking the thread: on any executor. If the
            /// future is dropped before it is ready, up to 64 messages that it has taken from the iterator are not sent.
            ///
            /// # Errors
            ///
            /// The socket is closed. The error has the messages that were taken from the iterator and not sent.
            pub async fn send_many_async<M: Into<$crate::Message>>(
                &self,
                messages: impl IntoIterator<Item = M, IntoIter: Send>,
            ) -> Result<usize, $crate::SendManyError> {
                let mut messages = $crate::socket::batch::Outgoing::new(messages.into_iter().map(Into::into));
                let outcome = self.0.0.send_many_async(&mut messages).await;
                messages.conclude(outcome)
            }
        }
    };
}

/// Gives a type the verbs to receive many messages.
macro_rules! recv_many_verbs {
    ($socket:ident => $received:ty, $name:literal) => {
        impl $socket {
            #[doc = concat!("Receives each ", $name, " that is here, up to `max`, to the end of a list, and returns how many it")]
            /// received. If none is here, waits for the first, for as long as the receive timeout allows.
            ///
            /// One call for many costs less than many calls; what is received, and in which order, is the same.
            ///
            /// ```
            #[doc = concat!("use aqueduct::", stringify!($socket), ";")]
            ///
            #[doc = concat!("fn run(socket: &", stringify!($socket), ") {")]
            ///     let mut batch = Vec::new();
            ///     while socket.recv_many(&mut batch, 1000).is_ok() {
            ///         for received in batch.drain(..) {
            ///             println!("{received:?}");
            ///         }
            ///     }
            /// }
            /// ```
            ///
            /// # Errors
            ///
            /// None came in time, or the socket is closed.
            pub fn recv_many(&self, into: &mut Vec<$received>, max: usize) -> Result<usize, $crate::RecvError> {
                self.0.0.recv_many(into, max, self.0.0.options.recv_timeout)
            }

            #[doc = concat!("Receives each ", $name, " that is here, up to `max`, to the end of a list, and returns how many.")]
            ///
            /// # Errors
            ///
            /// None is here, or the socket is closed.
            pub fn try_recv_many(
                &self,
                into: &mut Vec<$received>,
                max: usize,
            ) -> Result<usize, $crate::TryRecvError> {
                self.0.0.try_recv_many(into, max)
            }

            /// Receives as [`recv_many`](Self::recv_many) does; waits for the first at most this long.
            ///
            /// # Errors
            ///
            /// None came in time, or the socket is closed.
            pub fn recv_many_timeout(
                &self,
                into: &mut Vec<$received>,
                max: usize,
                timeout: ::std::time::Duration,
            ) -> Result<usize, $crate::RecvError> {
                self.0.0.recv_many(into, max, Some(timeout))
            }

            /// Receives as [`recv_many`](Self::recv_many) does, without blocking the thread: on any executor. Dropping the
            /// future before it is ready loses nothing.
            ///
            /// # Errors
            ///
            /// The socket is closed.
            pub async fn recv_many_async(
                &self,
                into: &mut Vec<$received>,
                max: usize,
            ) -> Result<usize, $crate::RecvError> {
                self.0.0.recv_many_async(into, max).await
            }
        }
    };
}

pub(super) use {recv_many_verbs, send_many_verbs};
