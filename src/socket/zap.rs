//! The bridge to a ZAP handler (RFC 27): an authenticator that asks a socket of the same context.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use super::req::Req;
use super::waiters::next_observer;
use super::watch::{Interest, Watch};
use crate::context::Context;
use crate::error::ReqRecvError;
use crate::reactor::Alarm;
use crate::security::{AuthRequest, Authenticator, Decision, Denial};
use crate::sync::Mutex;
use crate::{zap, zmtp};

/// Peers that a handler may be asked about at once; more are denied for now. As many as may wait for any other authenticator.
const MAX_ASKED: usize = 1024;

/// Asks a handler of RFC 27 (the ZeroMQ Authentication Protocol, ZAP): a `Rep` or `Router` that is bound to
/// [`Zap::ADDRESS`] in the same context, such as one that served a libzmq program before.
///
/// Each question is six frames and the credentials: `1.0`, an id, the [domain](crate::Builder::auth_domain), the peer's
/// address (without the port) and routing id, the mechanism; and for PLAIN the name and the password, for CURVE the 32
/// bytes of the key. An answer is six frames: `1.0`, the same id, a status, a text, which nobody reads, the id of the user,
/// and metadata as in a READY, in which no property comes twice. The empty frame before them is that of any request.
///
/// | Status | The peer |
/// |---|---|
/// | 200 | is let in, as this [`User`](crate::User) |
/// | 300 | is denied [for now](crate::Decision::DenyForNow), and not told |
/// | 400 | is [denied](crate::Decision::Deny), and told so |
/// | 500 | is denied, and told so |
///
/// Whatever else an answer is, it counts as 500: in the reason of the event, [`Denial::Failed`], is what was wrong with it.
///
/// If there is no handler, if it is closed before it has answered, or if there are 1,024 questions before it, the peer is
/// denied for now, by [`Denial::Unavailable`]. After 5 s without an answer it has been, as with any authenticator.
///
/// No thread waits for an answer: the one that answers lets the peer in. So a `Router` may answer many, in any order. A peer
/// that has gone meanwhile is not asked back for; an answer about it leads nowhere, which for a `Rep` is an error.
///
/// ```
/// use std::thread;
/// use aqueduct::{Context, Message, Pull, Push, Rep, Zap};
///
/// let context = Context::new(1);
/// let handler = Rep::builder().context(&context).build();
/// handler.bind(Zap::ADDRESS)?;
/// thread::spawn(move || {
///     while let Ok((question, reply)) = handler.recv() {
///         let [version, id, _domain, _address, _routing_id, mechanism, credentials @ ..] = question.frames() else {
///             continue;
///         };
///         let alice = *mechanism == "PLAIN" && *credentials == ["alice", "secret"];
///         let (status, user) = if alice { ("200", "alice") } else { ("400", "") };
///         let answer = [version, id, &status.into(), &"".into(), &user.into(), &"".into()];
///         let _ = reply.send(answer.into_iter().cloned().collect::<Message>());
///     }
/// });
///
/// let pull = Pull::builder().context(&context).plain_server(Zap::new(&context)).build();
/// let push = Push::builder().plain_client("alice", "secret")?.build();
/// push.connect(pull.bind("tcp://127.0.0.1:0")?)?;
/// push.send("it is me")?;
/// assert_eq!(pull.recv_with_peer()?.1.user_id(), Some("alice"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Zap {
    context: Context,
    /// For how long a question is kept that nobody answers.
    patience: Duration,
    ids: AtomicU64,
    /// Of which each question that waits has a clone.
    asked: Arc<()>,
}

impl Zap {
    /// Where RFC 27 has the handler be bound.
    pub const ADDRESS: &'static str = "inproc://zeromq.zap.01";

    /// Asks the handler of this context, whenever it comes.
    #[must_use]
    pub fn new(context: &Context) -> Self {
        Self {
            context: context.clone(),
            patience: zmtp::DECISION_TIMEOUT,
            ids: AtomicU64::new(0),
            asked: Arc::default(),
        }
    }

    /// Asks about a peer, through a socket of its own: the answer on it is about this peer and no other.
    fn ask(&self, id: &str, request: &AuthRequest) -> Result<Req, Denial> {
        if Arc::strong_count(&self.asked) > MAX_ASKED {
            return Err(Denial::Unavailable("too many questions are before the handler"));
        }
        let builder = Req::builder().context(&self.context);
        let req = builder.immediate(true).linger(Some(Duration::ZERO)).build();
        let asked = req.connect(Self::ADDRESS).is_ok() && req.try_send(zap::question(id, request)).is_ok();
        if asked {
            Ok(req)
        } else {
            Err(Denial::Unavailable("there is no handler"))
        }
    }
}

impl Default for Zap {
    /// Asks the handler of the default context.
    fn default() -> Self {
        Self::new(&Context::default())
    }
}

impl Authenticator for Zap {
    fn authenticate(&self, request: AuthRequest) {
        let id = self.ids.fetch_add(1, Ordering::Relaxed).to_string();
        let req = match self.ask(&id, &request) {
            Ok(req) => req,
            Err(denial) => return request.fail(denial),
        };
        let Some(alarm) = give_up_after(self.patience, &req) else {
            let why = "the system has nothing left to measure the time with";
            return request.fail(Denial::Unavailable(why));
        };
        let question = Question {
            req,
            id,
            observer: next_observer(),
            waiting: Mutex::new(Some((request, alarm))),
            _place: Arc::clone(&self.asked),
        };
        Arc::new(question).attend();
    }
}

/// Closes a socket when the peer that it asks about has been denied for want of an answer.
fn give_up_after(patience: Duration, req: &Req) -> Option<Alarm> {
    let reactor = req.0.0.reactor().ok()?;
    let core = Arc::downgrade(&req.0.0);
    let at = Instant::now().checked_add(patience)?;
    Some(Alarm::set(reactor, at, move || {
        if let Some(core) = core.upgrade() {
            core.begin_close(Some(Duration::ZERO));
        }
    }))
}

/// A peer that the handler was asked about. It lives in the waker that its socket has, until the socket is closed.
struct Question {
    req: Req,
    id: String,
    observer: u64,
    /// Until there is an answer, or none is waited for.
    waiting: Mutex<Option<(AuthRequest, Alarm)>>,
    _place: Arc<()>,
}

impl Question {
    /// Looks for the answer. If there is none, the socket tells of it when it comes.
    fn attend(self: Arc<Self>) {
        let core = &self.req.0.0;
        loop {
            let unavailable = |why| self.settle(Err(Denial::Unavailable(why)));
            match self.req.try_recv() {
                Ok(answer) => {
                    return self.settle(zap::decision(&self.id, &answer).map_err(Denial::Failed));
                }
                Err(ReqRecvError::PeerLost) => return unavailable("the handler has gone"),
                Err(ReqRecvError::Closed) => return unavailable("the handler was not waited for"),
                // Another thread has the answer in its hands.
                Err(ReqRecvError::OutOfTurn) => return,
                Err(ReqRecvError::Timeout) => {}
            }
            let waker = Waker::from(Arc::clone(&self));
            if !core.look(self.observer, Interest::READABLE, &waker).is_any() {
                return;
            }
        }
    }

    /// Passes the decision on, the first time, and lets go of the socket, which lets go of us.
    fn settle(&self, decision: Result<Decision, Denial>) {
        let waiting = self.waiting.lock().take();
        let Some((request, alarm)) = waiting else { return };
        drop(alarm);
        self.req.0.0.begin_close(Some(Duration::ZERO));
        match decision {
            Ok(decision) => request.answer(decision),
            Err(denial) => request.fail(denial),
        }
    }
}

impl Wake for Question {
    fn wake(self: Arc<Self>) {
        self.attend();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::security::{Credentials, Inquiry, Verdict};
    use crate::{Endpoint, Frame, Router, RoutingId};

    /// A peer without credentials, and where the verdict on it comes.
    fn request() -> (AuthRequest, mpsc::Receiver<Verdict>) {
        let inquiry = Inquiry {
            credentials: Credentials::Null,
            routing_id: RoutingId::default(),
            properties: Vec::new(),
        };
        let (tell, verdict) = mpsc::channel();
        let endpoint: Endpoint = "tcp://127.0.0.1:1".parse().unwrap();
        let reply = Box::new(move |verdict| tell.send(verdict).unwrap());
        let request = AuthRequest::new(inquiry, Arc::from(""), endpoint, String::new(), None, reply);
        (request, verdict)
    }

    fn ask(zap: &Zap) -> mpsc::Receiver<Verdict> {
        let (request, verdict) = request();
        zap.authenticate(request);
        verdict
    }

    fn handler(context: &Context) -> Router {
        let router = Router::builder().context(context).build();
        router.bind(Zap::ADDRESS).unwrap();
        router
    }

    /// Returns how many questions take a place.
    fn places(zap: &Zap) -> usize {
        Arc::strong_count(&zap.asked) - 1
    }

    #[test]
    fn a_question_leaves_nothing_behind_however_it_ends() {
        let context = Context::new(1);
        let (zap, router) = (Zap::new(&context), handler(&context));
        let sockets = || format!("{context:?}");
        let before = sockets();

        let answered = ask(&zap);
        let (who, mut answer) = router.recv().unwrap();
        assert_eq!((places(&zap), answered.try_recv().is_err()), (1, true));
        answer = answer.frames()[..3].iter().cloned().collect();
        for frame in ["200", "", "alice", ""] {
            answer.push_back(Frame::from(frame));
        }
        router.send(&who, answer).unwrap();
        assert_eq!(
            answered.try_recv().unwrap().unwrap().id,
            "alice",
            "the thread that answers decides"
        );
        assert_eq!((places(&zap), sockets()), (0, before.clone()));

        let malformed = ask(&zap);
        let (who, question) = router.recv().unwrap();
        router.send(&who, question).unwrap();
        assert!(matches!(malformed.try_recv().unwrap(), Err(Denial::Failed(_))));
        assert_eq!((places(&zap), sockets()), (0, before));

        let abandoned = ask(&zap);
        router.close();
        assert_eq!(
            abandoned.try_recv().unwrap(),
            Err(Denial::Unavailable("the handler has gone"))
        );
        let asked_in_vain = ask(&zap);
        assert_eq!(
            asked_in_vain.try_recv().unwrap(),
            Err(Denial::Unavailable("there is no handler"))
        );
        assert_eq!((places(&zap), sockets()), (0, format!("{:?}", Context::new(1))));
    }

    #[test]
    fn an_answer_in_another_envelope_is_none() {
        let context = Context::new(1);
        let (zap, router) = (Zap::new(&context), handler(&context));
        let verdict = ask(&zap);
        let (who, question) = router.recv().unwrap();
        let [_, version, id, ..] = question.frames() else {
            panic!("{question:?}")
        };
        let answer = |delimiter: &[Frame]| {
            let rest = [
                version.clone(),
                id.clone(),
                "200".into(),
                "".into(),
                "".into(),
                "".into(),
            ];
            delimiter.iter().cloned().chain(rest).collect::<crate::Message>()
        };
        router.send(&who, answer(&[])).unwrap();
        router.send(&who, answer(&["x".into()])).unwrap();
        assert!(verdict.try_recv().is_err());
        assert_eq!(places(&zap), 1);
        context.shutdown();
        assert!(matches!(verdict.try_recv().unwrap(), Err(Denial::Unavailable(_))));
        assert_eq!(places(&zap), 0);
    }

    #[test]
    fn a_question_that_nobody_answers_is_given_up() {
        let context = Context::new(1);
        let zap = Zap {
            patience: Duration::from_millis(1),
            ..Zap::new(&context)
        };
        let router = handler(&context);
        // The second is given up by a thread that has survived the first.
        for _ in 0..2 {
            let verdict = ask(&zap).recv_timeout(Duration::from_secs(20)).unwrap();
            assert_eq!(
                verdict,
                Err(Denial::Unavailable("the handler was not waited for"))
            );
            assert_eq!(router.recv().unwrap().1.len(), 7, "it was asked");
        }
    }

    #[test]
    fn the_handler_has_so_many_questions_before_it_and_no_more() {
        let context = Context::new(1);
        let (zap, router) = (Zap::new(&context), handler(&context));
        let all: Vec<_> = (0..MAX_ASKED).map(|_| ask(&zap)).collect();
        assert!(all.iter().all(|verdict| verdict.try_recv().is_err()));
        let too_many = Err(Denial::Unavailable("too many questions are before the handler"));
        assert_eq!(ask(&zap).try_recv().unwrap(), too_many);
        router.close();
        assert!(all.iter().all(|verdict| verdict.try_recv().is_ok()));
        assert_eq!(places(&zap), 0);
    }
}
