//! An application that knows its peers by their ids: ROUTER.

use std::collections::BTreeMap;

use super::application::{Application, Desk, Letter, budget, check_answer, check_whole};
use super::ledger::{Ledger, Name};
use crate::options::{Handover, Options};
use crate::pattern::{Offer, Pipes, RouterEvent, RouterPattern};
use crate::{Frame, Message, RoutingId};

/// Messages to be answered now, those apart whose peers have no room for an answer.
const MAX_OPEN: usize = 10;

/// Answers most of what it gets, and says something of its own to those whom it knows.
pub(super) struct Server {
    to_send: usize,
    known: Vec<RoutingId>,
    /// Whose messages come with an id, by socket.
    owners: BTreeMap<RoutingId, usize>,
    /// How many connections with an id were announced, and not their ends.
    present: BTreeMap<RoutingId, usize>,
    notices: bool,
    assigns: bool,
    /// So many pipes have a name of this side's choice.
    assigned: usize,
    drop_unroutable: bool,
    answers: Vec<Answer>,
    waiting: Vec<Answer>,
    current: Option<Answer>,
}

/// What is said to whom.
struct Answer {
    to: RoutingId,
    envelope: Vec<Frame>,
    /// The message that is answered, if this is not said without being asked.
    question: Option<Name>,
}

impl Server {
    fn note(&mut self, id: &RoutingId) {
        if !self.known.contains(id) {
            self.known.push(id.clone());
        }
    }

    /// A message has come with this id.
    fn check_owner(&mut self, id: &RoutingId, name: Name, desk: &Desk<'_>) {
        let owner = *self.owners.entry(id.clone()).or_insert(name.0);
        assert!(
            owner == name.0 || !desk.plan.rivals.is_empty() || desk.ledger.dirty,
            "{id:?} stands for {owner} and for {}",
            name.0
        );
        let present = self.present.get(id).is_some_and(|count| *count > 0);
        assert!(present || !self.notices, "{id:?} speaks and is not there");
    }
}

impl Application for Server {
    type Pattern = RouterPattern;

    fn new(options: &mut Options, desk: &mut Desk<'_>) -> Self {
        let dialogue = &mut options.dialogue;
        dialogue.notices = desk.rng.one_in(2);
        dialogue.probe = desk.rng.one_in(4);
        dialogue.drop_unroutable = desk.rng.one_in(3);
        if desk.rng.one_in(2) {
            dialogue.handover = Handover::Anybody;
        }
        Self {
            notices: dialogue.notices,
            drop_unroutable: dialogue.drop_unroutable,
            to_send: budget(desk),
            assigns: desk.rng.one_in(3),
            assigned: 0,
            known: Vec::new(),
            owners: BTreeMap::new(),
            present: BTreeMap::new(),
            answers: Vec::new(),
            waiting: Vec::new(),
            current: None,
        }
    }

    fn be_reborn(&mut self) {
        self.known.clear();
        self.owners.clear();
        self.present.clear();
        self.answers.clear();
        self.waiting.clear();
        self.assigned = 0;
    }

    fn name_peer(&mut self, pattern: &mut RouterPattern, pipe: usize) {
        if self.assigns {
            let id = RoutingId::new(format!("assigned-{}", self.assigned)).unwrap_or_default();
            self.assigned += 1;
            assert!(crate::pattern::Pattern::assign(pattern, pipe, &id));
            self.note(&id);
        }
    }

    fn wants_to_send(&self, _is_clearing: bool) -> bool {
        !self.answers.is_empty() || self.to_send > 0 && !self.known.is_empty()
    }

    fn wants_to_recv(&self) -> bool {
        self.answers.len() < MAX_OPEN
    }

    fn wants_to_act(&self) -> bool {
        !self.known.is_empty()
    }

    fn compose(&mut self, desk: &mut Desk<'_>) -> Letter<(RoutingId, Message)> {
        let answer = if self.answers.is_empty() {
            let to = self.known[desk.rng.below(self.known.len())].clone();
            self.to_send -= 1;
            Answer {
                to,
                envelope: Vec::new(),
                question: None,
            }
        } else {
            self.answers.swap_remove(desk.rng.below(self.answers.len()))
        };
        let name = desk.ledger.next(desk.slot);
        let (to, answers) = (answer.to.clone(), answer.question);
        let mut frames = answer.envelope.clone();
        frames.extend(desk.ledger.body(name));
        self.current = Some(answer);
        Letter {
            name,
            out: (to, Message::from(frames)),
            answers,
        }
    }

    fn settle(
        &mut self,
        name: Name,
        offer: Offer,
        back: Option<(RoutingId, Message)>,
        desk: &mut Desk<'_>,
    ) -> bool {
        let Some(answer) = self.current.take() else {
            return false;
        };
        let Some((to, message)) = back else {
            desk.ledger.address(name, answer.to);
            return false;
        };
        assert_eq!(
            (&to, message.len()),
            (&answer.to, answer.envelope.len() + desk.ledger.body(name).len())
        );
        if offer == Offer::Full {
            self.waiting.push(answer);
        } else {
            assert!(
                !self.drop_unroutable,
                "{to:?} is unroutable, and the message came back"
            );
            self.known.retain(|known| *known != to);
        }
        false
    }

    fn heard(&mut self, event: RouterEvent, read: Option<Option<Name>>, desk: &mut Desk<'_>) {
        let (id, message) = match event {
            RouterEvent::Connected(id) => {
                assert_eq!(read, None);
                *self.present.entry(id.clone()).or_default() += 1;
                return self.note(&id);
            }
            RouterEvent::Disconnected(id) => {
                assert_eq!(read, None);
                let present = self.present.get_mut(&id).filter(|count| **count > 0);
                *present.unwrap_or_else(|| panic!("{id:?} leaves and was not there")) -= 1;
                return;
            }
            RouterEvent::Message(id, message) => (id, message),
        };
        let name = read.unwrap_or_else(|| panic!("a message out of nowhere: {message:?}"));
        let Some(name) = name else { return };
        check_whole(&message, name, desk.ledger);
        check_answer(name, desk);
        self.check_owner(&id, name, desk);
        self.note(&id);
        if desk.ledger.answers(name).is_some() {
            return;
        }
        self.answers.push(Answer {
            to: id,
            envelope: desk.ledger.envelope(name).to_vec(),
            question: Some(name),
        });
    }

    /// Leaves a message unanswered, or sends a peer away.
    fn act(&mut self, pattern: &mut RouterPattern, pipes: &mut Pipes, desk: &mut Desk<'_>) {
        if let Some(answer) = self.answers.pop() {
            let question = answer.question.into_iter();
            return question.for_each(|name| desk.ledger.leave_unanswered(name));
        }
        let id = &self.known[desk.rng.below(self.known.len())];
        pattern.expel(id, pipes);
    }

    fn woken(&mut self) {
        self.answers.append(&mut self.waiting);
    }

    fn is_content(&self, _ledger: &Ledger) -> bool {
        self.answers.is_empty() && self.waiting.is_empty()
    }

    fn describe(&self) -> String {
        let (answers, waiting, known) = (self.answers.len(), self.waiting.len(), &self.known);
        format!("to answer {answers}, waiting {waiting}, known {known:?}")
    }
}
