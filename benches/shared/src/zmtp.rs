//! As much of the wire as a bare socket needs: frame headers, and a client's side of the handshake.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::Outcome;

const SHORT: u8 = 0;
const LONG: u8 = 2;
pub const COMMAND: u8 = 4;

/// The longest header.
pub const MAX_HEADER: usize = 9;

/// Appends the header of a one-frame message.
#[inline]
pub fn put_header(len: usize, out: &mut Vec<u8>) {
    if let Ok(short) = u8::try_from(len) {
        out.extend_from_slice(&[SHORT, short]);
    } else {
        out.push(LONG);
        out.extend_from_slice(&(len as u64).to_be_bytes());
    }
}

/// Returns the lengths of the header and of the body, once the header is complete.
#[inline]
pub fn parse_header(input: &[u8]) -> Option<(usize, usize)> {
    match input {
        [SHORT | COMMAND, len, ..] => Some((2, usize::from(*len))),
        [_, rest @ ..] => {
            let len = u64::from_be_bytes(*rest.first_chunk()?);
            Some((MAX_HEADER, usize::try_from(len).unwrap_or(usize::MAX)))
        }
        [] => None,
    }
}

/// Connects and shakes hands as a PUSH socket does.
pub fn connect_push(address: SocketAddr) -> Outcome<TcpStream> {
    connect(address, "PUSH")
}

/// Connects and shakes hands as a socket of this type does.
pub fn connect(address: SocketAddr, socket_type: &str) -> Outcome<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    let mut greeting = [0; 64];
    greeting[..16].copy_from_slice(b"\xff\0\0\0\0\0\0\0\0\x7f\x03\x01NULL");
    let mut ready = b"\x05READY\x0bSocket-Type".to_vec();
    ready.extend_from_slice(&u32::try_from(socket_type.len())?.to_be_bytes());
    ready.extend_from_slice(socket_type.as_bytes());
    let mut opening = greeting.to_vec();
    opening.extend_from_slice(&[COMMAND, u8::try_from(ready.len())?]);
    opening.extend_from_slice(&ready);
    stream.write_all(&opening)?;
    stream.read_exact(&mut greeting)?;
    let mut header = [0; 2];
    stream.read_exact(&mut header)?;
    let [COMMAND, len] = header else {
        return Err("the peer's READY is missing".into());
    };
    let mut answer = vec![0; usize::from(len)];
    stream.read_exact(&mut answer)?;
    if !answer.starts_with(b"\x05READY") {
        return Err("the peer does not like us".into());
    }
    Ok(stream)
}

/// Finds the address in an endpoint.
pub fn tcp_address(endpoint: &str) -> Outcome<SocketAddr> {
    let address = endpoint.strip_prefix("tcp://").ok_or("not a tcp endpoint")?;
    Ok(address.parse()?)
}
