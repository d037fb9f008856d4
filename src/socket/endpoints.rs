//! bind, connect, unbind, disconnect: the endpoints of a socket.

use std::io;
use std::sync::Arc;

use super::core::{Attachment, Core, Peer, Phase, State, fire_signals};
use crate::Endpoint;
use crate::error::{BindError, ConnectError, DetachError, EndpointError};
use crate::monitor::Event;
use crate::pattern::Pattern;
use crate::peer::RoutingId;
use crate::pipe;
use crate::reactor::{Dialer, Link, Listener};
use crate::transport::inproc::{Answer, Refusal, Waiting};

type Parsed = Result<Endpoint, EndpointError>;

impl<P: Pattern> Core<P> {
    pub(super) fn bind(&self, endpoint: Parsed) -> Result<Endpoint, BindError> {
        let endpoint = endpoint?;
        let (attachment, bound) = match &endpoint {
            Endpoint::Inproc(name) => (self.bind_inproc(name)?, endpoint.clone()),
            Endpoint::Tcp(_) | Endpoint::Ipc(_) => {
                let config = self.link_config().ok_or(BindError::Closed)?;
                let listener = self
                    .reactor()
                    .and_then(|reactor| Listener::bind(reactor, &config, &endpoint));
                let listener = listener.map_err(|source| BindError::Io {
                    endpoint: endpoint.clone(),
                    source,
                })?;
                let bound = Endpoint::clone(listener.endpoint());
                (Attachment::Listener(listener), bound)
            }
        };
        match self.add_endpoint(attachment) {
            Ok(()) => Ok(bound),
            Err(unused) => {
                self.leave(&unused);
                Err(BindError::Closed)
            }
        }
    }

    fn bind_inproc(&self, name: &str) -> Result<Attachment, BindError> {
        let myself = self.myself.upgrade().ok_or(BindError::Closed)?;
        if self.state.lock().phase != Phase::Open {
            return Err(BindError::Closed);
        }
        if !self.context.names.bind(name, &(myself as _)) {
            let endpoint = Endpoint::Inproc(name.to_owned());
            return Err(BindError::Io {
                endpoint,
                source: io::ErrorKind::AddrInUse.into(),
            });
        }
        self.journal.record(Event::Listening {
            endpoint: Endpoint::Inproc(name.to_owned()),
        });
        Ok(Attachment::InprocName(name.to_owned()))
    }

    pub(super) fn connect(&self, endpoint: Parsed) -> Result<(), ConnectError> {
        self.connect_as(endpoint?, None)
    }

    /// Connects, under a name by which a socket that addresses its peers shall know this one. Such an endpoint has a pipe
    /// that outlives connections whatever the options say, for it can be sent to from the start.
    pub(super) fn connect_as(
        &self,
        endpoint: Endpoint,
        known_as: Option<RoutingId>,
    ) -> Result<(), ConnectError> {
        if endpoint.is_wildcard() {
            return Err(ConnectError::Wildcard(endpoint));
        }
        if let Endpoint::Inproc(name) = &endpoint {
            return self.connect_inproc(name, known_as);
        }
        let config = self.link_config().ok_or(ConnectError::Closed)?;
        let endpoint = Arc::new(endpoint);
        let failed = |source| ConnectError::Io {
            endpoint: Endpoint::clone(&endpoint),
            source,
        };
        let reactor = self.reactor().map_err(failed)?;
        // With `immediate`, a pipe exists only while there is a connection.
        let link = if self.options.immediate && known_as.is_none() {
            None
        } else {
            let (near, end) = self.wired_pipe();
            let pipe = self.add_pipe(near, Peer::new(Arc::clone(&endpoint)));
            let pipe = pipe.map_err(|_| ConnectError::Closed)?;
            self.name_pipe(pipe, known_as)?;
            self.attach_pipe(pipe);
            Some(Link { pipe, end })
        };
        let pipe = link.as_ref().map(|link| link.pipe);
        let dialer = Dialer::connect(reactor, &config, &endpoint, link).map_err(|source| {
            pipe.inspect(|pipe| self.state.lock().remove_pipe(*pipe));
            failed(source)
        })?;
        match self.add_endpoint(Attachment::Dialer { dialer, pipe }) {
            Ok(()) => Ok(()),
            Err(unused) => {
                self.leave(&unused);
                Err(ConnectError::Closed)
            }
        }
    }

    /// Has the pattern know a new pipe by a name, which must be free.
    fn name_pipe(&self, pipe: usize, name: Option<RoutingId>) -> Result<(), ConnectError> {
        let Some(name) = name else { return Ok(()) };
        let mut state = self.state.lock();
        if state.pattern.assign(pipe, &name) {
            return Ok(());
        }
        state.remove_pipe(pipe);
        Err(ConnectError::RoutingId(name))
    }

    fn connect_inproc(&self, name: &str, known_as: Option<RoutingId>) -> Result<(), ConnectError> {
        let endpoint = Endpoint::Inproc(name.to_owned());
        let (near, end) = pipe::pair(self.pipe_limits());
        let pipe = self.add_pipe(near, Peer::new(Arc::new(endpoint.clone())));
        let pipe = pipe.map_err(|_| ConnectError::Closed)?;
        let named = known_as.is_some();
        self.name_pipe(pipe, known_as)?;
        if named || !self.options.immediate {
            self.attach_pipe(pipe);
        }
        let core = self.myself.clone();
        let accepted = Box::new(move |answer: Answer| {
            if let Some(core) = core.upgrade() {
                match answer {
                    Ok(info) => core.inproc_connected(pipe, &info),
                    Err(why) => core.inproc_refused(pipe, why),
                }
            }
        });
        let waiting = Waiting {
            end,
            info: Arc::clone(&self.info),
            accepted,
        };
        let refusal = match self.context.names.connect(name, waiting) {
            Ok(()) => {
                let added = self.add_endpoint(Attachment::InprocPipe { endpoint, pipe });
                return added.map_err(|unused| {
                    self.leave(&unused);
                    ConnectError::Closed
                });
            }
            Err(refusal) => refusal,
        };
        self.state.lock().remove_pipe(pipe);
        Err(match refusal {
            Refusal::Incompatible(theirs) => ConnectError::Incompatible {
                ours: P::TYPE,
                theirs,
            },
            Refusal::TooMany => ConnectError::Io {
                endpoint,
                source: io::ErrorKind::ConnectionRefused.into(),
            },
        })
    }

    pub(super) fn unbind(&self, endpoint: Parsed) -> Result<(), DetachError> {
        let endpoint = endpoint?;
        let found = self.take_endpoint(|attachment| match (attachment, &endpoint) {
            (Attachment::Listener(listener), _) => **listener.endpoint() == endpoint,
            (Attachment::InprocName(name), Endpoint::Inproc(wanted)) => name == wanted,
            _ => false,
        })?;
        let attachment = found.ok_or(DetachError::NotAttached(endpoint))?;
        self.leave(&attachment);
        Ok(())
    }

    pub(super) fn disconnect(&self, endpoint: Parsed) -> Result<(), DetachError> {
        let endpoint = endpoint?;
        let found = self.take_endpoint(|attachment| match attachment {
            Attachment::Dialer { dialer, .. } => **dialer.endpoint() == endpoint,
            Attachment::InprocPipe { endpoint: own, .. } => *own == endpoint,
            _ => false,
        })?;
        let attachment = found.ok_or(DetachError::NotAttached(endpoint))?;
        self.retire(&attachment);
        self.leave(&attachment);
        Ok(())
    }

    /// Nothing more goes into the pipe of an endpoint; what a connection has queued still goes out.
    fn retire(&self, attachment: &Attachment) {
        let (Attachment::Dialer { pipe: Some(pipe), .. } | Attachment::InprocPipe { pipe, .. }) = attachment
        else {
            return;
        };
        let mut state = self.state.lock();
        let State { pattern, pipes, .. } = &mut *state;
        pattern.retire(*pipe, pipes);
        if let Some(peer) = state.peers.get_mut(pipe) {
            peer.leaving = true;
        }
        let wakes = match (attachment, state.pipes.get_mut(*pipe)) {
            (_, None) => return,
            (Attachment::InprocPipe { .. }, Some(end)) => {
                let wakes = end.close();
                state.remove_inproc_pipe(*pipe);
                wakes
            }
            (_, Some(end)) => [end.finish(), None, None],
        };
        let signals = state.tell_of_change();
        drop(state);
        pipe::fire_all(wakes.into_iter().flatten());
        fire_signals(signals);
    }

    fn add_endpoint(&self, attachment: Attachment) -> Result<(), Attachment> {
        let mut state = self.state.lock();
        if state.phase != Phase::Open {
            return Err(attachment);
        }
        state.endpoints.push(attachment);
        Ok(())
    }

    fn take_endpoint(
        &self,
        is_wanted: impl Fn(&Attachment) -> bool,
    ) -> Result<Option<Attachment>, DetachError> {
        let mut state = self.state.lock();
        if state.phase != Phase::Open {
            return Err(DetachError::Closed);
        }
        let at = state.endpoints.iter().position(is_wanted);
        Ok(at.map(|at| state.endpoints.remove(at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::{PeerInfo, SocketType};
    use crate::pipe::{Owner, PipeEnd, PipeLimits};
    use crate::transport::inproc::Binder;
    use crate::{Context, Pair, Push};

    /// A socket that is closed by another thread just after it has taken a peer.
    struct Closing(PipeLimits);

    impl Binder for Closing {
        fn info(&self) -> Arc<PeerInfo> {
            Arc::new(PeerInfo::new(SocketType::Pair))
        }

        fn adopt(&self, _: &str, mut end: PipeEnd, _: &Arc<PeerInfo>) -> Result<(), (&'static str, PipeEnd)> {
            pipe::fire_all(end.close().into_iter().flatten());
            Ok(())
        }

        fn limits(&self) -> PipeLimits {
            self.0
        }
    }

    #[test]
    fn an_inproc_peer_that_is_gone_before_it_is_known_is_gone() {
        let context = Context::new(1);
        let pair = Pair::builder().context(&context).build();
        let binder: Arc<dyn Binder> = Arc::new(Closing(pair.0.0.pipe_limits()));
        assert!(context.shared().names.bind("closing", &binder));
        pair.connect("inproc://closing").unwrap();
        assert_eq!(pair.stats().peers.len(), 0);
        let next = Pair::builder().context(&context).build();
        next.bind("inproc://open").unwrap();
        pair.connect("inproc://open").unwrap();
        pair.send("hello").unwrap();
        assert_eq!(next.recv().unwrap(), "hello");
    }

    #[test]
    fn a_pipe_that_was_disconnected_from_takes_nothing_more_when_it_has_room_again() {
        let push = Push::builder().send_hwm(2).build();
        push.connect("tcp://127.0.0.1:1").unwrap();
        let core = &push.0.0;
        push.try_send("one").unwrap();
        push.try_send("two").unwrap();
        assert!(push.try_send("three").is_err());
        let pipe = core.state.lock().pipes.keys()[0];
        core.state.lock().peers.get_mut(&pipe).unwrap().leaving = true;
        core.state.lock().pattern.detach(pipe);
        // Its session has written what there was.
        drop(core.state.lock().pipes.get_mut(pipe).unwrap().reclaim());
        Arc::clone(core).activate_write(pipe);
        assert!(push.try_send("three").is_err());
    }

    #[test]
    fn a_socket_that_is_closing_takes_no_pipe() {
        let push = Push::new();
        let handle = push.clone();
        push.close();
        let core = &handle.0.0;
        let (near, _far) = pipe::pair(core.pipe_limits());
        let endpoint: Endpoint = "inproc://late".parse().unwrap();
        assert!(core.add_pipe(near, Peer::new(Arc::new(endpoint))).is_err());
        assert!(matches!(
            handle.connect("inproc://late"),
            Err(ConnectError::Closed)
        ));
        assert!(matches!(
            handle.connect("tcp://127.0.0.1:1"),
            Err(ConnectError::Closed)
        ));
    }
}
