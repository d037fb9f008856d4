//! What is asked of a library. Those that block do so within the future, which is then ready at once.

use std::future::{Future, ready};
use std::ops::Range;

use bytes::Bytes;

use crate::{Numbered, Outcome, Task};

/// The kinds of sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Push,
    Pull,
    Req,
    Rep,
    Pub,
    Sub,
    Dealer,
    Router,
}

/// A library, with its context, in one of its modes.
pub trait Library: Send + Sync + 'static {
    type Socket: Socket;

    /// Makes a socket that binds, and calls [`Task::announce`].
    fn bind(&self, kind: Kind, task: &Task) -> impl Future<Output = Outcome<Self::Socket>> + Send;

    /// Makes a socket that connects to the task's endpoint. If it is a SUB, it subscribes to everything.
    fn connect(&self, kind: Kind, task: &Task) -> impl Future<Output = Outcome<Self::Socket>> + Send;
}

/// A socket of any kind. What its kind cannot do is not asked of it.
pub trait Socket: Send + 'static {
    /// Sends a copy of a body, as a message of one frame.
    fn send(&mut self, body: &[u8]) -> impl Future<Output = Outcome<()>> + Send;

    /// Sends copies of the bodies with these numbers: one by one, unless the mode is one of calls for many messages.
    fn send_many(
        &mut self,
        bodies: &mut Numbered,
        numbers: Range<u64>,
    ) -> impl Future<Output = Outcome<()>> + Send {
        async move {
            for number in numbers {
                self.send(bodies.body(number)).await?;
            }
            Ok(())
        }
    }

    /// Sends a body by reference, if the library can.
    fn send_shared(&mut self, body: Bytes) -> impl Future<Output = Outcome<()>> + Send;

    /// Receives a message and looks at its body.
    fn recv<T: Send>(
        &mut self,
        look: impl FnOnce(&[u8]) -> T + Send,
    ) -> impl Future<Output = Outcome<T>> + Send;

    /// Receives what one call gives, and looks at each body: that of one message, unless the mode is one of calls for many.
    fn recv_many(
        &mut self,
        look: impl FnMut(&[u8]) -> Outcome<()> + Send,
    ) -> impl Future<Output = Outcome<()>> + Send {
        async move { self.recv(look).await? }
    }

    /// Receives a message, looks at its body, and sends the message back to where it came from.
    fn echo<T: Send>(
        &mut self,
        look: impl FnOnce(&[u8]) -> T + Send,
    ) -> impl Future<Output = Outcome<T>> + Send;

    /// Lets go of what was kept back to be sent together, for those who need to be told.
    fn flush(&mut self) -> impl Future<Output = Outcome<()>> + Send {
        ready(Ok(()))
    }
}
