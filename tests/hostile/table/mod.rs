//! The table of scripts: what hostile peers say, how that ends, and what each of them would have broken.
//!
//! It is data and knows neither the library nor the tests. Two stages play it: `tests/hostile/stage.rs` over tcp and ipc,
//! beside an honest pair; and `src/zmtp/tests/bad_input.rs` in memory, cut at every byte. A mechanism has a file of rows
//! beside these, and a stage whose sockets speak it.
#![allow(dead_code, reason = "each stage uses its own part of this one")]

mod commands;
mod curve;
mod frames;
mod greeting;
mod plain;
mod ready;

/// What the peer does next.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Says these bytes at once.
    Send(Vec<u8>),
    /// Says them one at a time.
    Drip(Vec<u8>),
    /// Waits until it hears this frame.
    Expect(Vec<u8>),
    /// Has nothing more to say, and goes on listening.
    Finish,
    /// Breaks the connection off.
    Reset,
}

/// How a script ends. Where messages are named, a socket that receives has delivered them, by the text of their first
/// frame, of which no more than [`SHOWN`] bytes are named.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// The connection is closed for a reason that begins so, without a word to the peer.
    Closes(&'static str),
    /// The same, after messages.
    ClosesAfter(&'static [&'static str], &'static str),
    /// The connection is closed for a reason that begins so, and the peer is told the reason in an ERROR command.
    Refuses(&'static str),
    /// The connection stays.
    Stays(&'static [&'static str]),
    /// It stays, and so many commands meant nothing.
    Ignores(u64, &'static [&'static str]),
    /// The peer has left, after these messages.
    Leaves(&'static [&'static str]),
}

/// How much of a message an [`End`] names.
pub(crate) const SHOWN: usize = 16;

/// A peer's part, from its first byte on.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// The row of the register that it belongs to.
    pub(crate) row: &'static str,
    pub(crate) name: &'static str,
    /// What it would have broken.
    pub(crate) breaks: &'static str,
    pub(crate) steps: Vec<Step>,
    pub(crate) end: End,
    /// Whether the peer shakes hands before it misbehaves.
    pub(crate) is_traffic: bool,
}

impl Script {
    /// All that the peer says.
    pub(crate) fn said(&self) -> Vec<u8> {
        let said = self.steps.iter().filter_map(|step| match step {
            Step::Send(bytes) | Step::Drip(bytes) => Some(&bytes[..]),
            _ => None,
        });
        said.collect::<Vec<_>>().concat()
    }

    /// The frames that it waits for.
    pub(crate) fn awaited(&self) -> impl Iterator<Item = &[u8]> {
        self.steps.iter().filter_map(|step| match step {
            Step::Expect(bytes) => Some(&bytes[..]),
            _ => None,
        })
    }
}

/// All scripts for a peer that has to be of this type to be welcome, with the mechanism NULL.
pub(crate) fn scripts(theirs: &str) -> Vec<Script> {
    Table::filled(theirs, "NULL", ready_of(theirs), |table| {
        greeting::fill(table);
        ready::fill(table);
        frames::fill(table);
        commands::fill(table);
    })
}

/// All scripts for a client of a PLAIN server that is a PULL and lets everybody in.
pub(crate) fn for_plain_servers() -> Vec<Script> {
    Table::filled("PUSH", "PLAIN", plain::client_opening(), plain::to_a_server)
}

/// All scripts for a server of a PLAIN client that is a PULL.
pub(crate) fn for_plain_clients() -> Vec<Script> {
    Table::filled("PUSH", "PLAIN", plain::server_opening(), plain::to_a_client)
}

/// All scripts for a client of a CURVE server that is a PULL. None gets in.
pub(crate) fn for_curve_servers() -> Vec<Script> {
    Table::filled("PUSH", "CURVE", Vec::new(), curve::to_a_server)
}

/// All scripts for a server of a CURVE client that is a PULL. None is believed.
pub(crate) fn for_curve_clients() -> Vec<Script> {
    Table::filled("PUSH", "CURVE", Vec::new(), curve::to_a_client)
}

/// The table as it is written, row by row.
struct Table {
    theirs: String,
    greeting: [u8; 64],
    /// What a good peer says after its greeting until it is let in.
    opening: Vec<u8>,
    row: &'static str,
    scripts: Vec<Script>,
}

impl Table {
    fn filled(theirs: &str, mechanism: &str, opening: Vec<u8>, fill: impl FnOnce(&mut Self)) -> Vec<Script> {
        let mut table = Self {
            theirs: theirs.to_owned(),
            greeting: greeting_of(mechanism),
            opening,
            row: "",
            scripts: Vec::new(),
        };
        fill(&mut table);
        table.scripts
    }

    /// The scripts that follow belong to this row.
    fn row(&mut self, row: &'static str) {
        self.row = row;
    }

    fn add(&mut self, name: &'static str, breaks: &'static str, steps: Vec<Step>, end: End) {
        self.scripts.push(Script {
            row: self.row,
            name,
            breaks,
            steps,
            end,
            is_traffic: false,
        });
    }

    /// A peer that says this from the start.
    fn says(&mut self, name: &'static str, breaks: &'static str, bytes: &[&[u8]], end: End) {
        self.add(name, breaks, vec![Step::Send(bytes.concat())], end);
    }

    /// A peer that says this after a good greeting.
    fn greeted(&mut self, name: &'static str, breaks: &'static str, bytes: &[u8], end: End) {
        let greeting = self.greeting;
        self.says(name, breaks, &[&greeting, bytes], end);
    }

    /// A peer that does this after a good handshake.
    fn does(&mut self, name: &'static str, breaks: &'static str, steps: Vec<Step>, end: End) {
        let opening = [&self.greeting[..], &self.opening].concat();
        let steps = [vec![Step::Send(opening)], steps].concat();
        self.add(name, breaks, steps, end);
        self.scripts.iter_mut().last().unwrap().is_traffic = true;
    }

    /// A peer that says this after a good handshake.
    fn talks(&mut self, name: &'static str, breaks: &'static str, bytes: &[&[u8]], end: End) {
        self.does(name, breaks, vec![Step::Send(bytes.concat())], end);
    }
}

// ── bytes, written out by hand from RFC 23 and RFC 37 ──

/// The greeting of a ZMTP 3.1 peer with the NULL mechanism.
const GREETING: [u8; 64] = {
    let mut greeting = [0; 64];
    greeting[0] = 0xff;
    greeting[9] = 0x7f;
    greeting[10] = 3;
    greeting[11] = 1;
    greeting[12] = b'N';
    greeting[13] = b'U';
    greeting[14] = b'L';
    greeting[15] = b'L';
    greeting
};

/// The same with another mechanism.
pub(crate) fn greeting_of(mechanism: &str) -> [u8; 64] {
    let mut greeting = GREETING;
    greeting[12..32].fill(0);
    greeting[12..12 + mechanism.len()].copy_from_slice(mechanism.as_bytes());
    greeting
}

const MORE: u8 = 1;
const LONG_FORM: u8 = 2;
const COMMAND: u8 = 4;

/// The header of a frame in its long form.
fn long(flags: u8, len: u64) -> Vec<u8> {
    [&[flags | LONG_FORM][..], &len.to_be_bytes()].concat()
}

/// A frame with these flags; the length takes the form that it needs.
fn frame(flags: u8, body: &[u8]) -> Vec<u8> {
    let header = match u8::try_from(body.len()) {
        Ok(len) => vec![flags, len],
        Err(_) => long(flags, body.len() as u64),
    };
    [&header, body].concat()
}

/// A command frame.
fn command(name: &str, data: &[u8]) -> Vec<u8> {
    let body = [&[u8::try_from(name.len()).unwrap()][..], name.as_bytes(), data].concat();
    frame(COMMAND, &body)
}

/// These properties, as commands carry them.
fn put_properties(properties: &[(&str, &[u8])]) -> Vec<u8> {
    let mut data = Vec::new();
    for (name, value) in properties {
        data.push(u8::try_from(name.len()).unwrap());
        data.extend_from_slice(name.as_bytes());
        data.extend_from_slice(&u32::try_from(value.len()).unwrap().to_be_bytes());
        data.extend_from_slice(value);
    }
    data
}

/// A READY with these properties.
fn ready(properties: &[(&str, &[u8])]) -> Vec<u8> {
    command("READY", &put_properties(properties))
}

/// The READY of a peer with this socket type and nothing else to say.
fn ready_of(socket_type: &str) -> Vec<u8> {
    ready(&[("Socket-Type", socket_type.as_bytes())])
}
