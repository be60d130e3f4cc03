//! SIP messages: URIs, headers, requests and responses, and the one parser that frames and reads them.
//! RFC 3261 §7, §19, §20, §25 and the header registrations of its extensions.
//!
//! ```text
//!   datagram, WebSocket message ──► parse_datagram ──┐
//!                                                    ├──► Message (Request | Response) or Refusal
//!   byte stream ──► StreamParser ────────────────────┘
//!
//!   Message ──► edits: push_front, pop_first, replace_first … ──► to_bytes
//! ```
//!
//! A message keeps the received octets in one shared buffer. Its header list is a list of spans into that buffer or
//! into a second one that holds what was added, so that a proxy's edits never copy what they leave alone.
//! Typed headers ([`header`]) are views that are parsed when somebody asks for them.
//!
//! What is left to others: which header a request of a certain method needs beyond RFC 3261 §8.1.1 (dialogs, registrar),
//! and everything about time and sockets.

mod grammar;
pub mod header;
mod header_name;
mod headers;
pub mod mac;
mod message;
mod method;
mod name_addr;
mod param;
mod parse;
mod status;
mod transport;
pub mod uri;

pub use header::{HeaderError, TypedHeader};
pub use header_name::HeaderName;
pub use headers::{Headers, ValueError};
pub use message::{Message, Request, Response};
pub use method::Method;
pub use name_addr::{NameAddr, NameAddrBuf};
pub use param::{Param, Params};
pub use parse::{Fault, Limits, Refusal, StreamItem, StreamParser, StreamState, parse_datagram};
pub use status::{StatusClass, StatusCode};
pub use transport::{ConnectionId, Flow, ListenerId, Transport};
pub use uri::{Host, SipUri, TelUri, Uri, UriBuf, UriError};
