//! The parser and the framer: RFC 3261 §7, §18.3 and §25. They are the same code, so that they can't disagree about
//! where a message ends.
//!
//! A message that can't be accepted becomes a [`Refusal`]: what is wrong, whose fault, and, where enough of it could be
//! read to answer, the response that the RFC names. Half-parsed messages never leave this module.

mod framer;
mod head;
mod limits;
mod refusal;

use bytes::Bytes;

pub use framer::{StreamItem, StreamParser, StreamState};
pub use limits::Limits;
pub use refusal::{Fault, Refusal};

use crate::message::Message;
use head::Head;

/// Reads a message that came alone: a datagram (RFC 3261 §18.3) or a WebSocket message (RFC 7118 §4.2).
///
/// Octets behind the body that Content-Length names are dropped; a body that is shorter is an error; without
/// Content-Length the body ends where the datagram does.
pub fn parse_datagram(datagram: Bytes, limits: &Limits) -> Result<Message, Refusal> {
    let start = leading_line_ends(&datagram);
    let cut_off = |fault| Err(Head::refuse_cut_off(datagram.slice(start..), fault, limits));
    let end = match head::end_of_head(&datagram[start..], 0) {
        _ if datagram.len() > limits.message => return cut_off(Fault::MessageTooLong),
        Some(end) if end <= limits.head => end,
        None if datagram.len() - start <= limits.head => return cut_off(Fault::HeadCutOff),
        _ => return cut_off(Fault::HeadTooLong),
    };
    let head = Head::parse(datagram.slice(start..start + end), limits)?;
    let rest = start + end + 4;
    let available = datagram.len() - rest;
    let length = match head.content_length() {
        Ok(None) => available,
        Ok(Some(length)) if length > available => return Err(head.refuse(Fault::BodyCutOff)),
        Ok(Some(length)) => length,
        Err(fault) => return Err(head.refuse_unframed(fault)),
    };
    if length > limits.body {
        return Err(head.refuse(Fault::BodyTooLong));
    }
    head.into_message(datagram.slice(rest..rest + length))
}

/// How many octets of empty lines stand in front of the start-line (RFC 3261 §7.5).
fn leading_line_ends(octets: &[u8]) -> usize {
    let mut at = 0;
    while octets[at..].starts_with(b"\r\n") {
        at += 2;
    }
    at
}
