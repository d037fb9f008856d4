//! What an application may add to what its socket says of itself, judged before anything is said.

use bytes::Bytes;

use super::command::property_name;
use super::limits::{OWN_PROPERTIES, OWN_PROPERTY_BYTES};
use super::mechanism::metadata::{IDENTITY, SOCKET_TYPE};
use crate::PropertyError;

/// The longest name: its length travels in one byte.
const MAX_NAME: usize = 255;

/// Adds a property, or gives the one of that name another value. After an error nothing has changed.
///
/// What ZMTP cannot carry, and what a peer would close the connection for, is an error here: there it would be found on
/// every attempt to connect, and be a riddle.
pub(crate) fn set_property(
    properties: &mut Vec<(String, Bytes)>,
    name: &str,
    value: Bytes,
) -> Result<(), PropertyError> {
    if name.len() > MAX_NAME || property_name(name.as_bytes()).is_none() {
        return Err(PropertyError::Name(name.to_owned()));
    }
    // Names are compared without regard to case, here as by peers.
    let is = |other: &str| other.eq_ignore_ascii_case(name);
    if [SOCKET_TYPE, IDENTITY].into_iter().any(is) {
        return Err(PropertyError::Reserved(name.to_owned()));
    }
    let others = properties.iter().filter(|(other, _)| !is(other));
    let (mut count, mut bytes) = (1usize, name.len().saturating_add(value.len()));
    for (name, value) in others {
        count = count.saturating_add(1);
        bytes = bytes.saturating_add(name.len()).saturating_add(value.len());
    }
    for (what, got, limit) in [
        ("the number of properties", count, OWN_PROPERTIES),
        ("the size of properties", bytes, OWN_PROPERTY_BYTES),
    ] {
        if got > limit {
            return Err(PropertyError::OverLimit { what, got, limit });
        }
    }
    match properties.iter_mut().find(|(other, _)| is(other)) {
        Some((_, old)) => *old = value,
        None => properties.push((name.to_owned(), value)),
    }
    Ok(())
}
