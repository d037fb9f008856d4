//! Applications that ask and answer in turn: REQ and REP.

use super::application::{Application, Desk, Letter, budget, check_answer};
use super::ledger::{Ledger, Name};
use crate::options::Options;
use crate::pattern::{Ask, Heard, Offer, Pattern, Pipes, RepPattern, ReplyTo, ReqPattern};
use crate::{Frame, Message, SocketType};

/// Requests to be answered now by one REP, those apart whose peers have no room for an answer.
const MAX_OPEN: usize = 5;

/// Asks, and waits for the answer; or gives up, if it may.
pub(super) struct Asker {
    to_send: usize,
    open: Option<Open>,
    /// The ticket of the request that is sent now, if it is to have one.
    ticket: Option<u64>,
    tickets: u64,
    relaxed: bool,
    correlate: bool,
    /// It has given up requests without an id: an answer to one of them passes for that to another.
    confused: bool,
    /// It has lost peers, of which a ROUTER may answer when they are back.
    bereaved: bool,
}

/// The request that is under way.
struct Open {
    name: Name,
    ticket: Option<u64>,
    given_up: bool,
}

impl Application for Asker {
    type Pattern = ReqPattern;

    fn new(options: &mut Options, desk: &mut Desk<'_>) -> Self {
        let dialogue = &mut options.dialogue;
        dialogue.relaxed = desk.rng.one_in(3);
        dialogue.correlate = desk.rng.one_in(2);
        dialogue.probe = desk.rng.one_in(4);
        Self {
            relaxed: dialogue.relaxed,
            correlate: dialogue.correlate,
            to_send: budget(desk),
            open: None,
            ticket: None,
            tickets: 0,
            confused: false,
            bereaved: false,
        }
    }

    fn be_reborn(&mut self) {
        self.bereaved |= self.open.take().is_some();
    }

    fn wants_to_send(&self, is_clearing: bool) -> bool {
        match &self.open {
            Some(open) => open.given_up && self.to_send > 0,
            None => self.to_send > 0 || is_clearing,
        }
    }

    fn wants_to_recv(&self) -> bool {
        self.open.is_some()
    }

    fn wants_to_act(&self) -> bool {
        let relaxed = |open: &Open| open.ticket.is_some() || self.relaxed && !open.given_up;
        self.open.as_ref().is_some_and(relaxed)
    }

    fn compose(&mut self, desk: &mut Desk<'_>) -> Letter<Ask> {
        let name = desk.ledger.next(desk.slot);
        self.tickets += 1;
        self.ticket = desk.rng.one_in(3).then_some(self.tickets);
        let (body, ticket) = (desk.ledger.body(name), self.ticket);
        Letter {
            name,
            out: Ask { body, ticket },
            answers: None,
        }
    }

    fn settle(&mut self, name: Name, offer: Offer, back: Option<Ask>, desk: &mut Desk<'_>) -> bool {
        if let Some(ask) = back {
            assert_eq!(offer, Offer::Full);
            assert_eq!((ask.body, ask.ticket), (desk.ledger.body(name), self.ticket));
            return false;
        }
        self.to_send = self.to_send.saturating_sub(1);
        self.open = Some(Open {
            name,
            ticket: self.ticket,
            given_up: false,
        });
        true
    }

    fn recv(
        &mut self,
        pattern: &mut ReqPattern,
        place: &mut Option<Heard>,
        pipes: &mut Pipes,
    ) -> Option<usize> {
        match self.open.as_ref().and_then(|open| open.ticket) {
            Some(ticket) => pattern.recv_for(ticket, place, pipes),
            None => pattern.recv(place, pipes),
        }
    }

    fn heard(&mut self, heard: Heard, read: Option<Option<Name>>, desk: &mut Desk<'_>) {
        let open = self.open.take();
        let open = open.unwrap_or_else(|| panic!("nobody asked, and {heard:?} came"));
        match (heard, read) {
            (Heard::Lost, None) => {
                assert!(
                    !desk.ledger.is_queued(open.name),
                    "{:?} can still go out",
                    open.name
                );
                self.bereaved = true;
            }
            (Heard::Reply(body), Some(Some(name))) => {
                assert_eq!(body, desk.ledger.body(name));
                check_answer(name, desk);
                let late = self.confused || self.bereaved && desk.plan.kinds[name.0] == SocketType::Router;
                let precise = self.correlate || open.ticket.is_some() || !late;
                let answers = desk.ledger.answers(name);
                assert!(
                    answers == Some(open.name) || !precise || desk.ledger.dirty,
                    "{name:?} answers {answers:?} and passed for the answer to {:?}",
                    open.name
                );
            }
            // An answer with nothing in it, or a damaged one.
            (Heard::Reply(_), Some(None)) => {}
            (heard, read) => panic!("{heard:?} came of {:?}, from {read:?}", open.name),
        }
    }

    /// Gives up.
    fn act(&mut self, pattern: &mut ReqPattern, _pipes: &mut Pipes, _desk: &mut Desk<'_>) {
        let Some(open) = &mut self.open else { return };
        match open.ticket {
            Some(ticket) => {
                pattern.abandon(ticket);
                self.open = None;
            }
            None => {
                open.given_up = true;
                self.confused = true;
            }
        }
    }

    /// A request that nobody will answer keeps a strict socket waiting for ever.
    fn is_content(&self, ledger: &Ledger) -> bool {
        match &self.open {
            Some(open) => ledger.is_unanswered(open.name) && !(open.given_up && self.to_send > 0),
            None => self.to_send == 0,
        }
    }

    fn describe(&self) -> String {
        let open = self
            .open
            .as_ref()
            .map(|open| (open.name, open.ticket, open.given_up));
        format!("still to ask {}, open {open:?}", self.to_send)
    }
}

/// Answers, not always in order, and now and then not at all.
pub(super) struct Answerer {
    /// Requests to be answered: those to try, and those that wait for their peer.
    open: Vec<Request>,
    waiting: Vec<Request>,
    /// What is being answered.
    current: Option<Option<Name>>,
}

type Request = (ReplyTo, Option<Name>);

impl Application for Answerer {
    type Pattern = RepPattern;

    fn new(options: &mut Options, desk: &mut Desk<'_>) -> Self {
        options.dialogue.answer_dropped = desk.rng.one_in(2);
        Self {
            open: Vec::new(),
            waiting: Vec::new(),
            current: None,
        }
    }

    fn be_reborn(&mut self) {
        self.open.clear();
        self.waiting.clear();
    }

    fn wants_to_send(&self, _is_clearing: bool) -> bool {
        !self.open.is_empty()
    }

    fn wants_to_recv(&self) -> bool {
        self.open.len() < MAX_OPEN
    }

    fn wants_to_act(&self) -> bool {
        !self.open.is_empty()
    }

    fn compose(&mut self, desk: &mut Desk<'_>) -> Letter<(ReplyTo, Message)> {
        let (to, question) = self.open.swap_remove(desk.rng.below(self.open.len()));
        self.current = Some(question);
        let name = desk.ledger.next(desk.slot);
        Letter {
            name,
            out: (to, desk.ledger.body(name)),
            answers: question,
        }
    }

    fn settle(
        &mut self,
        name: Name,
        offer: Offer,
        back: Option<(ReplyTo, Message)>,
        desk: &mut Desk<'_>,
    ) -> bool {
        let question = self.current.take().flatten();
        let Some((to, body)) = back else { return false };
        assert_eq!(body, desk.ledger.body(name));
        if offer == Offer::Full {
            self.waiting.push((to, question));
        } else if let Some(side) = question.and_then(|question| desk.ledger.side(question)) {
            assert!(
                desk.ledger.is_over(side ^ 1),
                "who asked {question:?} is still there"
            );
        }
        false
    }

    fn heard(&mut self, (body, to): (Message, ReplyTo), read: Option<Option<Name>>, desk: &mut Desk<'_>) {
        let name = read.unwrap_or_else(|| panic!("a request out of nowhere: {body:?}"));
        if let Some(name) = name {
            let mut whole = desk.ledger.envelope(name).to_vec();
            whole.extend(desk.ledger.body(name));
            let at = whole.iter().position(Frame::is_empty);
            let model = at.map_or(&[][..], |at| &whole[at + 1..]);
            assert!(
                body.frames() == model || desk.ledger.dirty,
                "{name:?} was torn: {body:?}"
            );
        }
        self.open.push((to, name));
    }

    /// Drops a request.
    fn act(&mut self, pattern: &mut RepPattern, pipes: &mut Pipes, desk: &mut Desk<'_>) {
        let (to, question) = self.open.swap_remove(desk.rng.below(self.open.len()));
        pattern.leave_unanswered(to, pipes);
        question
            .into_iter()
            .for_each(|name| desk.ledger.leave_unanswered(name));
    }

    fn woken(&mut self) {
        self.open.append(&mut self.waiting);
    }

    fn is_content(&self, _ledger: &Ledger) -> bool {
        self.open.is_empty() && self.waiting.is_empty()
    }

    fn describe(&self) -> String {
        format!("open {}, waiting {}", self.open.len(), self.waiting.len())
    }
}
