//! What the world does with a socket of any type.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::application::Desk;
use super::bell::{Call, Calls};
use super::ledger::{Ledger, Name};
use super::session::Hold;
use crate::pipe::Wakes;
use crate::zmtp::Config;
use crate::{DisconnectReason, Message, PeerInfo};

/// A socket with its application.
pub(super) trait Node {
    fn config(&self) -> &Arc<Config>;
    fn receives(&self) -> bool;

    /// Makes the pipe of an endpoint connected to, and returns its far end.
    fn dial(&mut self, calls: &Calls) -> Hold;
    /// Judges the peer of such a pipe, or of one that is made for it now and returned.
    fn admit(
        &mut self,
        pipe: Option<usize>,
        info: &PeerInfo,
        calls: &Calls,
        desk: &mut Desk<'_>,
    ) -> Result<Option<Hold>, &'static str>;
    fn connected(&mut self, pipe: usize, side: usize, info: &PeerInfo, desk: &mut Desk<'_>);
    /// A connection is over, and its pipe with it unless that outlives connections.
    fn disconnected(&mut self, pipe: usize, gone: bool, desk: &mut Desk<'_>);
    /// A connection has taken a message out of a pipe, or put one in.
    fn handed(&mut self, pipe: usize, name: Option<Name>, desk: &mut Desk<'_>);
    fn arrived(&mut self, pipe: usize, name: Option<Name>, message: &Message, desk: &mut Desk<'_>);
    fn hear(&mut self, call: Call, desk: &mut Desk<'_>);
    fn publish(&mut self, pipe: usize);
    /// Does what the pattern has left to do; returns whom to wake, and whose connection to end.
    fn settle(&mut self, desk: &mut Desk<'_>) -> (Wakes, Vec<(usize, DisconnectReason)>);

    /// Whether the application would send now, receive now, or do something else.
    fn can_send(&self, peaceful: bool) -> bool;
    fn can_recv(&self) -> bool;
    fn can_act(&self) -> bool;
    fn send(&mut self, desk: &mut Desk<'_>);
    /// Returns a number that stands for what came.
    fn recv(&mut self, desk: &mut Desk<'_>) -> u64;
    fn act(&mut self, desk: &mut Desk<'_>);

    /// Begins to close: what is sent goes out, and nothing more is said or heard.
    fn begin_close(&mut self, desk: &mut Desk<'_>);
    /// Whether it is open, as opposed to closing and closed.
    fn is_open(&self) -> bool;
    fn is_closed(&self) -> bool;
    /// The end of a process, or of linger: all pipes go at once.
    fn die(&mut self, desk: &mut Desk<'_>);
    /// Another socket takes the place of one that is closed.
    fn be_reborn(&mut self, desk: &mut Desk<'_>);

    /// From now on nothing goes wrong any more.
    fn calm_down(&mut self);
    /// Has the application send once more, and tells the name of that message, if it publishes.
    fn publish_once_more(&mut self, ledger: &Ledger) -> Option<Name>;
    /// Which topics are wanted by this socket, if it subscribes.
    fn wants(&self) -> Option<BTreeSet<Vec<u8>>>;
    /// Tells that all is as it should be at rest, with subscribers that want these topics, by pipe.
    fn check_subscribers(&mut self, wanted: &BTreeMap<usize, BTreeSet<Vec<u8>>>);

    /// Whether nothing is left to do, for peers that are all there.
    fn is_at_rest(&self, ledger: &Ledger) -> bool;
    fn check_limits(&self);
    /// Tells that it waits for something, in a world where nothing moves.
    fn check_awake(&self, ledger: &Ledger);
    fn check_books(&mut self, ledger: &mut Ledger);
    fn describe(&self) -> String;
}
