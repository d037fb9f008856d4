//! Metadata: what two ends say of themselves, which is the same in every mechanism.

use bytes::Bytes;

use crate::zmtp::command::{Command, Properties, put_property};
use crate::zmtp::connection::Config;
use crate::zmtp::handshake::Denied;
use crate::zmtp::limits::{self, printable};
use crate::{DisconnectReason, PeerInfo, RoutingId, SocketType};

/// The property that names the type of a socket.
pub(in crate::zmtp) const SOCKET_TYPE: &str = "Socket-Type";
/// The property with the routing id of a socket.
pub(in crate::zmtp) const IDENTITY: &str = "Identity";

/// Returns our properties, encoded.
pub(super) fn ours(config: &Config) -> Vec<u8> {
    let mut properties = Vec::new();
    put_property(SOCKET_TYPE, config.socket_type.name().as_bytes(), &mut properties);
    if config.socket_type.announces_routing_id() {
        put_property(IDENTITY, config.routing_id.as_bytes(), &mut properties);
    }
    for (name, value) in &config.properties {
        put_property(name, value, &mut properties);
    }
    properties
}

/// Returns the body of a READY with our properties.
pub(super) fn ready(config: &Config) -> Vec<u8> {
    let mut body = Vec::new();
    Command::Ready(Properties::new(&ours(config))).emit(&mut body);
    body
}

/// Judges a command that must be a READY.
pub(in crate::zmtp) fn judge_ready(
    body: &[u8],
    config: &Config,
    otherwise: &'static str,
) -> Result<PeerInfo, Denied> {
    match Command::parse(body)? {
        Command::Ready(properties) => judge(properties, config),
        Command::Error(reason) => Err(Denied::refused(reason)),
        _ => Err(DisconnectReason::Malformed(otherwise).into()),
    }
}

/// Reads properties that are no peer's word of itself, each of another name.
pub(crate) fn parse(encoded: &[u8]) -> Result<Vec<(String, Bytes)>, DisconnectReason> {
    let mut all = Vec::new();
    let mut tally = Tally::default();
    for property in Properties::new(encoded) {
        let (name, value) = property?;
        tally.add(name, value)?;
        if !insert(name, value, &mut all) {
            return Err(DisconnectReason::Malformed("a property twice"));
        }
    }
    Ok(all)
}

/// Adds a property, unless there is one of this name; returns whether there was none.
fn insert(name: &str, value: &[u8], all: &mut Vec<(String, Bytes)>) -> bool {
    let new = !all.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
    if new {
        all.push((name.to_owned(), Bytes::copy_from_slice(value)));
    }
    new
}

/// Judges what the peer says of itself: it describes a peer that goes with us, or denies it.
pub(super) fn judge(properties: Properties<'_>, config: &Config) -> Result<PeerInfo, Denied> {
    let mut collected = Collected::default();
    for property in properties {
        let (name, value) = property.map_err(Denied::with_error)?;
        collected.add(name, value)?;
    }
    collected.finish(config)
}

/// How much there is so far.
#[derive(Default)]
struct Tally {
    count: usize,
    bytes: usize,
}

impl Tally {
    /// Counts one more property.
    fn add(&mut self, name: &str, value: &[u8]) -> Result<(), DisconnectReason> {
        self.count = self.count.saturating_add(1);
        if self.count > limits::PROPERTIES {
            return Err(limits::over(
                "number of properties",
                limits::wide(self.count),
                limits::PROPERTIES,
            ));
        }
        self.bytes = self.bytes.saturating_add(name.len()).saturating_add(value.len());
        if self.bytes > limits::PROPERTY_BYTES {
            return Err(limits::over(
                "size of properties",
                limits::wide(self.bytes),
                limits::PROPERTY_BYTES,
            ));
        }
        Ok(())
    }
}

/// The properties so far.
#[derive(Default)]
struct Collected {
    socket_type: Option<Vec<u8>>,
    routing_id: Option<RoutingId>,
    others: Vec<(String, Bytes)>,
    tally: Tally,
}

impl Collected {
    fn add(&mut self, name: &str, value: &[u8]) -> Result<(), DisconnectReason> {
        self.tally.add(name, value)?;
        if name.eq_ignore_ascii_case(SOCKET_TYPE) {
            if self.socket_type.replace(value.to_vec()).is_some() {
                return Err(DisconnectReason::Malformed("Socket-Type twice"));
            }
        } else if name.eq_ignore_ascii_case(IDENTITY) {
            if self.routing_id.replace(routing_id(value)?).is_some() {
                return Err(DisconnectReason::Malformed("Identity twice"));
            }
        } else {
            // Of those that come twice, the first counts.
            insert(name, value, &mut self.others);
        }
        Ok(())
    }

    fn finish(self, config: &Config) -> Result<PeerInfo, Denied> {
        let Some(named) = self.socket_type else {
            return Err(DisconnectReason::Malformed("no Socket-Type").into());
        };
        let ours = config.socket_type;
        let socket_type = SocketType::from_name(&named)
            .filter(|theirs| ours.talks_to(*theirs))
            .ok_or_else(|| {
                Denied::with_error(DisconnectReason::Incompatible {
                    what: "socket type",
                    ours: ours.name().to_owned(),
                    theirs: printable(&named),
                })
            })?;
        let mut peer = PeerInfo::new(socket_type);
        peer.routing_id = self.routing_id.unwrap_or_default();
        peer.properties = self.others;
        peer.properties.shrink_to_fit();
        Ok(peer)
    }
}

fn routing_id(value: &[u8]) -> Result<RoutingId, DisconnectReason> {
    if value.first() == Some(&0) {
        // Ids that begin with a zero byte are the ones a ROUTER makes up; a peer must not pick one of those.
        return Err(DisconnectReason::Malformed(
            "a routing id that starts with a zero byte",
        ));
    }
    RoutingId::new(Bytes::copy_from_slice(value))
        .ok_or_else(|| limits::over("routing id size", limits::wide(value.len()), RoutingId::MAX_LEN))
}
