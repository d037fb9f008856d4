//! Subscriptions by prefix: which peers want a message, and which topics we asked our own peers for.
//!
//! Contract. Values only: nothing here sends, and nobody is told of a change but by what a call returns. Topics are any
//! bytes, and a message matches if its first frame begins with one. Topics come from peers, so no topic and no sequence
//! of calls panics, recurses, or costs more time than its bytes and the topics that it affects explain; space that
//! cancelled topics leave is reused, and given back once it is most of all. How much a peer may subscribe to is for the
//! caller to limit: [`Subscribers::held`] tells what it holds, of which each topic costs us about a hundred bytes more
//! than its length at the worst, and far less than its length where topics begin alike.

#![warn(clippy::arithmetic_side_effects, clippy::as_conversions)]
#![cfg_attr(
    any(test, fuzzing, aqueduct_bench),
    allow(clippy::arithmetic_side_effects, clippy::as_conversions)
)]

mod arena;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod holders;
mod node;
mod subscribers;
#[cfg(test)]
mod tests;
mod topics;
mod tree;

#[cfg(any(test, fuzzing))]
pub(crate) use subscribers::Held;
pub(crate) use subscribers::{Change, Matched, Subscribers};
pub(crate) use topics::Topics;
