//! ZMTP 3.1 without I/O: bytes of one peer in, messages and events out, and the other way round.
//!
//! # Contract
//!
//! * [`Connection`] is the whole layer to those above: it is fed with bytes (`handle_input`, `handle_direct`) and with
//!   the time (`handle_timeout`), and asked for what it has to say (`poll_event`, `poll_transmit`, `poll_timeout`).
//!   It owns no stream, reads no clock and starts no thread, so a test can put every byte and every instant at will.
//! * A [`Message`](crate::Message) is always whole: the MORE flag begins and ends here.
//! * How the bytes were cut into pieces never matters: any chunking yields the same events and the same verdict.
//! * Nothing that a peer sends can panic, or hold more memory than 64 KiB and four times the bytes it really sent;
//!   every limit is a named constant in [`limits`] or an option.
//! * A message part costs its queue slot too, so a multipart message of tiny parts is bounded by `max_message_parts`.
//! * A verdict is final: once `handle_*` has returned an error, the connection says the same for ever after.
//!
//! The layer looks only at values (messages, peers, options, errors); it knows neither sockets nor pipes.

#![warn(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::string_slice
)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::as_conversions))]

mod body;
mod command;
mod connection;
mod decoder;
mod encoder;
mod frame;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod greeting;
mod handshake;
mod heartbeat;
mod limits;
mod mechanism;
mod outbox;
mod properties;
#[cfg(test)]
mod tests;

pub(crate) use connection::{Config, Connection, Event};
pub(crate) use encoder::Batch;
pub(crate) use limits::{DECISION_TIMEOUT, Room};
pub(crate) use mechanism::metadata::parse as parse_metadata;
pub(crate) use properties::set_property;
