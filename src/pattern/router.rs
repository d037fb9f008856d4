//! ROUTER (RFC 28): knows each peer by a routing id, receives from all in turn and sends to whom it is told.
//!
//! The rules, in our words: any number of peers, each with a queue of its own; fair queueing over those that have a
//! message, and each message comes with the id of its sender; a message goes to the peer with the given id and to no other;
//! one that has nowhere to go comes back, or is dropped and counted if the application says so; ids are the peers' own,
//! or made up, and no two peers have the same. `tests/spec_reqrep.rs` has a test for each.

use std::collections::VecDeque;
use std::sync::Arc;

use super::dealer::send_probe;
use super::fair_queue::FairQueue;
use super::load_balancer::LoadBalancer;
use super::routing_table::RoutingTable;
use super::{Offer, Pattern, Pipes};
use crate::error::DisconnectReason;
use crate::message::Message;
use crate::options::{DialogueOptions, Handover, Options};
use crate::peer::{PeerInfo, RoutingId, SocketType};
use crate::security::User;
use crate::slab::KeyMap;
use crate::stats::DropReason;

/// Notices kept for an application that does not take them; the oldest go first. At 128 bytes each, 2 MiB.
const MAX_NOTICES: usize = 16_384;

/// What a [`Router`](crate::Router) receives, its peers' coming and going included.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RouterEvent {
    /// A message of the peer with this id.
    Message(RoutingId, Message),
    /// The peer with this id is connected. Comes before its first message, if the option
    /// [`notices`](crate::Builder::notices) is set.
    Connected(RoutingId),
    /// The peer with this id is gone. Comes after its last message, if the option [`notices`](crate::Builder::notices)
    /// is set; if another peer has taken over its id, before that one is connected.
    Disconnected(RoutingId),
}

/// The state of a ROUTER socket.
#[derive(Debug, Default)]
pub(crate) struct RouterPattern {
    table: RoutingTable,
    routes: KeyMap<Route>,
    inbound: FairQueue,
    /// Only to tell whether there is room anywhere.
    outbound: LoadBalancer,
    /// What has happened to which pipe.
    notices: VecDeque<(usize, RouterEvent)>,
    options: DialogueOptions,
}

/// What is known of a pipe.
#[derive(Debug, Default)]
struct Route {
    /// Under what its messages are received. The table may know nothing of it any more.
    id: Option<RoutingId>,
    /// Who the peer is, if it was authenticated.
    user: Option<Arc<User>>,
    /// The application has given the id.
    assigned: bool,
    /// A peer is, or is about to be, at the other end.
    live: bool,
    /// Of the messages to come, so many are of former peers with these ids. Each has said at least one, so there are no
    /// more of them than messages.
    former: VecDeque<(u64, RoutingId)>,
}

impl RouterPattern {
    /// Returns the pipe of the peer with this id.
    pub(crate) fn pipe(&self, id: &RoutingId) -> Option<usize> {
        self.table.pipe(id)
    }

    /// Ends the connection of the peer with this id; returns false if there is none.
    pub(crate) fn expel(&mut self, id: &RoutingId, pipes: &mut Pipes) -> bool {
        let pipe = self.table.pipe(id);
        let live = |pipe: &usize| self.routes.get(pipe).is_some_and(|route| route.live);
        let Some(pipe) = pipe.filter(live) else {
            return false;
        };
        pipes.expel(pipe, DisconnectReason::Local);
        true
    }

    /// Finds the id of a peer that has come, and takes it in.
    fn welcome(&mut self, pipe: usize, info: &PeerInfo, pipes: &mut Pipes) -> Result<(), &'static str> {
        let known = self.table.id(pipe).cloned();
        let assigned = self.routes.get(&pipe).is_some_and(|route| route.assigned);
        let id = match known {
            Some(id) if assigned || (info.routing_id.is_empty() && id.is_generated()) => id,
            former => {
                let id = self.register(pipe, info, pipes)?;
                // A pipe whose id was handed over has none.
                if former.is_none_or(|former| former != id) {
                    // What did not go out is addressed to another peer.
                    pipes.withdraw(pipe);
                    self.outbound.activate(pipe);
                }
                id
            }
        };
        let route = self.routes.entry(pipe).or_default();
        route.id = Some(id.clone());
        route.user.clone_from(&info.user);
        route.live = true;
        self.notify(pipe, RouterEvent::Connected(id), pipes);
        Ok(())
    }

    /// Gives a pipe the id that its peer has announced, or one that is made up.
    fn register(
        &mut self,
        pipe: usize,
        info: &PeerInfo,
        pipes: &mut Pipes,
    ) -> Result<RoutingId, &'static str> {
        let announced = &info.routing_id;
        if announced.is_empty() {
            let id = self.table.insert_generated(pipe);
            return id.ok_or("no routing id is left");
        }
        if announced.is_generated() {
            return Err("a routing id that begins with a zero byte");
        }
        if let Some(other) = self.table.pipe(announced).filter(|other| *other != pipe) {
            let route = self.routes.get(&other);
            let yields = match self.options.handover {
                Handover::Nobody => false,
                Handover::SameUser => {
                    route.is_some_and(|route| same_user(route.user.as_deref(), info.user.as_deref()))
                }
                Handover::Anybody => true,
            };
            if route.is_some_and(|route| route.assigned) || !yields {
                return Err("the routing id is in use");
            }
            self.table.remove(other);
            if self.part(other, pipes, true) {
                pipes.expel(
                    other,
                    DisconnectReason::Rejected("another peer took over the routing id"),
                );
            }
        }
        self.table.insert(pipe, announced.clone());
        Ok(announced.clone())
    }

    /// A pipe has no peer any more; the notice waits until its messages are read, unless that is to be `now`. Tells
    /// whether it had one.
    fn part(&mut self, pipe: usize, pipes: &mut Pipes, now: bool) -> bool {
        let Some(route) = self.routes.get_mut(&pipe) else {
            return false;
        };
        if !std::mem::replace(&mut route.live, false) {
            return false;
        }
        let Some(id) = route.id.clone() else {
            return true;
        };
        let earlier: u64 = route.former.iter().map(|(count, _)| count).sum();
        let unread = pipes.unread(pipe).saturating_sub(earlier);
        if now || unread == 0 {
            self.notify(pipe, RouterEvent::Disconnected(id), pipes);
        } else {
            route.former.push_back((unread, id));
        }
        true
    }

    fn notify(&mut self, pipe: usize, event: RouterEvent, pipes: &mut Pipes) {
        if !self.options.notices {
            return;
        }
        if self.notices.len() >= MAX_NOTICES {
            self.notices.pop_front();
            pipes.tally().notices_dropped += 1;
        }
        self.notices.push_back((pipe, event));
    }

    /// Finds whose message this is, the next one of a pipe.
    fn label(&mut self, pipe: usize, pipes: &mut Pipes) -> Option<RoutingId> {
        let route = self.routes.get_mut(&pipe)?;
        let Some((left, id)) = route.former.front_mut() else {
            return route.id.clone();
        };
        *left = left.saturating_sub(1);
        let (last, id) = (*left == 0, id.clone());
        if last {
            route.former.pop_front();
            self.notify(pipe, RouterEvent::Disconnected(id.clone()), pipes);
        }
        Some(id)
    }
}

/// Tells whether two peers are known to be of one user.
fn same_user(one: Option<&User>, other: Option<&User>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one.id == other.id && !one.id.is_empty())
}

impl Pattern for RouterPattern {
    const TYPE: SocketType = SocketType::Router;
    const RECEIVES: bool = true;
    const ADDRESSED: bool = true;
    type Out = (RoutingId, Message);
    type In = RouterEvent;

    fn configure(&mut self, options: &Options) {
        self.options = options.dialogue.clone();
    }

    fn admit(&mut self, pipe: usize, info: &PeerInfo, pipes: &mut Pipes) -> Result<(), &'static str> {
        self.welcome(pipe, info, pipes)
    }

    fn assign(&mut self, pipe: usize, name: &RoutingId) -> bool {
        if name.is_empty() || name.is_generated() || !self.table.insert(pipe, name.clone()) {
            return false;
        }
        let route = self.routes.entry(pipe).or_default();
        route.id = Some(name.clone());
        route.assigned = true;
        true
    }

    fn attach(&mut self, pipe: usize) {
        self.outbound.activate(pipe);
        if self.routes.entry(pipe).or_default().id.is_some() {
            self.inbound.activate(pipe);
        }
    }

    fn connected(&mut self, pipe: usize, info: &PeerInfo, pipes: &mut Pipes) {
        let live = self.routes.get(&pipe).is_some_and(|route| route.live);
        if !live && let Err(why) = self.welcome(pipe, info, pipes) {
            return pipes.expel(pipe, DisconnectReason::Rejected(why));
        }
        self.inbound.activate(pipe);
        // A REQ has no use for a probe, and libzmq's takes it for a malformed reply: it hangs up for good.
        if self.options.probe && info.socket_type != SocketType::Req {
            send_probe(pipe, pipes);
        }
    }

    fn disconnected(&mut self, pipe: usize, pipes: &mut Pipes) {
        self.part(pipe, pipes, false);
        if pipes.is_abandoned(pipe) {
            self.table.remove(pipe);
        }
    }

    fn retire(&mut self, pipe: usize, _pipes: &mut Pipes) {
        self.table.remove(pipe);
        self.outbound.detach(pipe);
    }

    fn detach(&mut self, pipe: usize) {
        self.table.remove(pipe);
        self.routes.remove(&pipe);
        self.inbound.detach(pipe);
        self.outbound.detach(pipe);
    }

    fn activate_read(&mut self, pipe: usize, _pipes: &mut Pipes) {
        // An inproc peer may speak before we know its id; it is heard when it is connected.
        if self.routes.get(&pipe).is_some_and(|route| route.id.is_some()) {
            self.inbound.activate(pipe);
        }
    }

    fn activate_write(&mut self, pipe: usize, _pipes: &mut Pipes) {
        if self.routes.contains_key(&pipe) {
            self.outbound.activate(pipe);
        }
    }

    fn send(&mut self, out: &mut Option<(RoutingId, Message)>, pipes: &mut Pipes) -> Offer {
        let Some((id, message)) = out.take() else {
            return Offer::Taken;
        };
        let mut place = Some(message);
        let offer = match self.table.pipe(&id) {
            Some(pipe) => pipes.offer(pipe, &mut place),
            None => Offer::Refused,
        };
        let Some(message) = place else {
            return Offer::Taken;
        };
        if offer == Offer::Refused && self.options.drop_unroutable {
            pipes.drop_stray(&message, DropReason::Unroutable);
            return Offer::Taken;
        }
        *out = Some((id, message));
        offer
    }

    fn recv(&mut self, received: &mut Option<RouterEvent>, pipes: &mut Pipes) -> Option<usize> {
        if let Some((pipe, notice)) = self.notices.pop_front() {
            *received = Some(notice);
            return Some(pipe);
        }
        let mut place = None;
        let pipe = self.inbound.recv(&mut place, pipes)?;
        let message = place?;
        self.table.note_heard(pipe);
        match self.label(pipe, pipes) {
            Some(id) => *received = Some(RouterEvent::Message(id, message)),
            None => pipes.discard(pipe, &message),
        }
        Some(pipe)
    }

    fn can_send(&mut self, pipes: &mut Pipes) -> bool {
        self.options.drop_unroutable || self.outbound.can_send(pipes)
    }

    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        !self.notices.is_empty() || self.inbound.can_recv(pipes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bodies, pipes};
    use super::*;
    use crate::pipe::PipeEnd;

    fn id(name: &str) -> RoutingId {
        RoutingId::new(name.to_owned()).unwrap()
    }

    fn peer(name: &str) -> PeerInfo {
        PeerInfo {
            routing_id: id(name),
            ..PeerInfo::new(SocketType::Dealer)
        }
    }

    /// Admits a peer with this id to each pipe, in turn.
    fn router(names: &[&str], options: DialogueOptions) -> (RouterPattern, Pipes, Vec<usize>, Vec<PipeEnd>) {
        let mut router = RouterPattern {
            options,
            ..RouterPattern::default()
        };
        let (mut all, keys, far) = pipes(names.len(), 4, &mut router);
        for (key, name) in keys.iter().zip(names) {
            router.admit(*key, &peer(name), &mut all).unwrap();
            router.connected(*key, &peer(name), &mut all);
        }
        (router, all, keys, far)
    }

    fn send(router: &mut RouterPattern, pipes: &mut Pipes, to: &str, body: &str) -> Offer {
        let mut out = Some((id(to), Message::from(body)));
        let offer = router.send(&mut out, pipes);
        assert_eq!(offer == Offer::Taken, out.is_none());
        offer
    }

    #[test]
    fn a_probe_goes_to_no_req_which_could_not_tell_it_from_a_broken_reply() {
        let mut router = RouterPattern::default();
        router.options.probe = true;
        let (mut all, keys, mut far) = pipes(2, 4, &mut router);
        for (key, socket_type) in keys.iter().zip([SocketType::Req, SocketType::Dealer]) {
            let info = PeerInfo::new(socket_type);
            router.admit(*key, &info, &mut all).unwrap();
            router.connected(*key, &info, &mut all);
        }
        assert!(bodies(&mut far[0]).is_empty());
        assert_eq!(bodies(&mut far[1]), [""]);
    }

    fn drain(router: &mut RouterPattern, pipes: &mut Pipes) -> Vec<String> {
        let mut all = Vec::new();
        let mut place = None;
        while router.recv(&mut place, pipes).is_some() {
            let name = |id: RoutingId| String::from_utf8_lossy(id.as_bytes()).into_owned();
            all.extend(place.take().map(|event| match event {
                RouterEvent::Message(id, message) => format!("{}:{}", name(id), message[0].as_str().unwrap()),
                RouterEvent::Connected(id) => format!("+{}", name(id)),
                RouterEvent::Disconnected(id) => format!("-{}", name(id)),
            }));
        }
        all
    }

    fn notices() -> DialogueOptions {
        DialogueOptions {
            notices: true,
            ..DialogueOptions::default()
        }
    }

    #[test]
    fn messages_go_to_whom_they_are_addressed() {
        let (mut router, mut pipes, _, mut far) = router(&["a", "b"], DialogueOptions::default());
        assert_eq!(send(&mut router, &mut pipes, "b", "1"), Offer::Taken);
        assert_eq!(send(&mut router, &mut pipes, "b", "2"), Offer::Taken);
        assert_eq!(send(&mut router, &mut pipes, "c", "3"), Offer::Refused);
        assert_eq!((bodies(&mut far[0]).len(), bodies(&mut far[1]).len()), (0, 2));
    }

    #[test]
    fn a_full_peer_does_not_pass_for_a_missing_one() {
        let (mut router, mut pipes, keys, mut far) = router(&["a"], DialogueOptions::default());
        (0..4).for_each(|_| assert_eq!(send(&mut router, &mut pipes, "a", "x"), Offer::Taken));
        assert_eq!(send(&mut router, &mut pipes, "a", "x"), Offer::Full);
        let _ = far[0].close();
        router.disconnected(keys[0], &mut pipes);
        assert_eq!(send(&mut router, &mut pipes, "a", "x"), Offer::Refused);
    }

    #[test]
    fn an_id_in_use_is_refused_until_its_owner_is_gone() {
        let (mut router, mut pipes, keys, mut far) = router(&["a", "b"], DialogueOptions::default());
        assert!(router.admit(keys[1], &peer("a"), &mut pipes).is_err());
        assert!(router.admit(keys[1], &peer("\0a"), &mut pipes).is_err());
        assert!(far[0].push(Message::from("last words")).is_ok());
        let _ = far[0].close();
        router.disconnected(keys[0], &mut pipes);
        router.admit(keys[1], &peer("a"), &mut pipes).unwrap();
        router.activate_read(keys[0], &mut pipes);
        assert_eq!(drain(&mut router, &mut pipes), ["a:last words"]);
        assert_eq!(send(&mut router, &mut pipes, "a", "to the new one"), Offer::Taken);
        assert_eq!(bodies(&mut far[1]), ["to the new one"]);
    }

    #[test]
    fn handover_expels_the_former_owner() {
        let options = DialogueOptions {
            handover: Handover::Anybody,
            ..notices()
        };
        let (mut router, mut pipes, keys, mut far) = router(&["a", "b"], options);
        assert_eq!(drain(&mut router, &mut pipes), ["+a", "+b"]);
        router.disconnected(keys[1], &mut pipes);
        router.admit(keys[1], &peer("a"), &mut pipes).unwrap();
        assert_eq!(pipes.effects().expelled[0].0, keys[0]);
        assert_eq!(send(&mut router, &mut pipes, "a", "x"), Offer::Taken);
        assert_eq!((bodies(&mut far[0]).len(), bodies(&mut far[1]).len()), (0, 1));
        router.disconnected(keys[0], &mut pipes);
        assert_eq!(drain(&mut router, &mut pipes), ["-b", "-a", "+a"]);
    }

    #[test]
    fn handover_can_ask_for_the_same_user() {
        let options = DialogueOptions {
            handover: Handover::SameUser,
            ..DialogueOptions::default()
        };
        let of = |user: Option<&str>| PeerInfo {
            user: user.map(|id| Arc::new(User::new(id))),
            ..peer("a")
        };
        let cases = [
            (Some("alice"), Some("alice"), true),
            (Some("alice"), Some("bob"), false),
            (Some("alice"), None, false),
            (None, Some("alice"), false),
            (None, None, false),
            (Some(""), Some(""), false),
        ];
        for (former, newcomer, yields) in cases {
            let (mut router, mut pipes, keys, _far) = router(&["x", "y"], options.clone());
            keys.iter().for_each(|key| router.disconnected(*key, &mut pipes));
            router.admit(keys[0], &of(former), &mut pipes).unwrap();
            let admitted = router.admit(keys[1], &of(newcomer), &mut pipes);
            assert_eq!(admitted.is_ok(), yields, "{former:?} and {newcomer:?}");
            assert_eq!(pipes.effects().expelled.len(), usize::from(yields));
        }
    }

    #[test]
    fn what_was_for_a_peer_whose_id_was_handed_over_is_not_for_the_next_at_its_place() {
        let options = DialogueOptions {
            handover: Handover::Anybody,
            ..DialogueOptions::default()
        };
        let (mut router, mut pipes, keys, mut far) = router(&["a", "b"], options);
        router.disconnected(keys[0], &mut pipes);
        assert_eq!(send(&mut router, &mut pipes, "a", "private"), Offer::Taken);
        router.disconnected(keys[1], &mut pipes);
        router.admit(keys[1], &peer("a"), &mut pipes).unwrap();
        assert!(
            pipes.effects().expelled.is_empty(),
            "nobody is there to be sent away"
        );
        router.admit(keys[0], &peer("c"), &mut pipes).unwrap();
        assert_eq!(bodies(&mut far[0]), Vec::<String>::new());
        let traffic = pipes.get_mut(keys[0]).unwrap().traffic();
        assert_eq!(traffic.dropped.of(DropReason::PeerGone), 1);
        assert!(traffic.adds_up(), "{traffic:?}");
    }

    #[test]
    fn what_a_former_peer_of_a_pipe_said_keeps_its_id() {
        let (mut router, mut pipes, keys, mut far) = router(&["a"], notices());
        (0..2).for_each(|at| assert!(far[0].push(Message::from(format!("{at}"))).is_ok()));
        router.disconnected(keys[0], &mut pipes);
        router.admit(keys[0], &peer("b"), &mut pipes).unwrap();
        assert!(far[0].push(Message::from("2")).is_ok());
        router.activate_read(keys[0], &mut pipes);
        assert_eq!(
            drain(&mut router, &mut pipes),
            ["+a", "+b", "a:0", "a:1", "-a", "b:2"]
        );
        assert_eq!(send(&mut router, &mut pipes, "a", "x"), Offer::Refused);
        assert_eq!(send(&mut router, &mut pipes, "b", "x"), Offer::Taken);
    }

    #[test]
    fn what_a_former_peer_of_a_pipe_did_not_get_is_not_for_the_next() {
        let (mut router, mut pipes, keys, mut far) = router(&["a"], DialogueOptions::default());
        router.disconnected(keys[0], &mut pipes);
        (0..4).for_each(|_| assert_eq!(send(&mut router, &mut pipes, "a", "waits"), Offer::Taken));
        router.admit(keys[0], &peer("a"), &mut pipes).unwrap();
        assert_eq!(bodies(&mut far[0]).len(), 4);
        router.disconnected(keys[0], &mut pipes);
        assert_eq!(send(&mut router, &mut pipes, "a", "private"), Offer::Taken);
        router.admit(keys[0], &peer("b"), &mut pipes).unwrap();
        assert_eq!(bodies(&mut far[0]), Vec::<String>::new());
        let traffic = pipes.get_mut(keys[0]).unwrap().traffic();
        assert_eq!(traffic.dropped.of(DropReason::PeerGone), 1);
        assert!(traffic.adds_up(), "{traffic:?}");
        assert_eq!(send(&mut router, &mut pipes, "b", "x"), Offer::Taken);
        assert_eq!(bodies(&mut far[0]), ["x"]);
    }

    #[test]
    fn a_peer_without_an_id_keeps_the_one_made_up_for_its_pipe() {
        let (mut router, mut pipes, keys, _far) = router(&[""], DialogueOptions::default());
        let made_up = router.routes[&keys[0]].id.clone().unwrap();
        router.disconnected(keys[0], &mut pipes);
        router.admit(keys[0], &peer(""), &mut pipes).unwrap();
        assert_eq!(router.routes[&keys[0]].id, Some(made_up));
    }

    #[test]
    fn an_id_given_by_the_application_outranks_the_announced_one() {
        let mut router = RouterPattern::default();
        let (mut all, keys, mut far) = pipes(2, 4, &mut router);
        assert!(router.assign(keys[0], &id("mine")));
        assert!(!router.assign(keys[1], &id("mine")), "taken");
        assert!(!router.assign(keys[1], &id("")), "empty");
        router.admit(keys[0], &peer("theirs"), &mut all).unwrap();
        assert_eq!(send(&mut router, &mut all, "mine", "x"), Offer::Taken);
        assert_eq!(send(&mut router, &mut all, "theirs", "x"), Offer::Refused);
        assert_eq!(bodies(&mut far[0]), ["x"]);
    }

    #[test]
    fn what_cannot_be_routed_is_dropped_only_by_choice_and_counted() {
        let options = DialogueOptions {
            drop_unroutable: true,
            ..DialogueOptions::default()
        };
        let (mut router, mut pipes, _, _far) = router(&[], options);
        assert_eq!(send(&mut router, &mut pipes, "nobody", "x"), Offer::Taken);
        let stray = &pipes.tally().stray;
        assert_eq!(stray.dropped.of(DropReason::Unroutable), 1);
        assert!(stray.adds_up());
    }

    #[test]
    fn notices_that_nobody_takes_are_dropped_and_counted() {
        let (mut router, mut pipes, keys, _far) = router(&["a"], notices());
        for _ in 0..MAX_NOTICES {
            router.disconnected(keys[0], &mut pipes);
            router.admit(keys[0], &peer("a"), &mut pipes).unwrap();
        }
        assert_eq!(router.notices.len(), MAX_NOTICES);
        assert_eq!(pipes.tally().notices_dropped, MAX_NOTICES as u64 + 1);
    }
}
