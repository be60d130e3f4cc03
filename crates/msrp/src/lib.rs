//! MSRP (RFC 4975): chunks, sessions, reports, relays (RFC 4976), and what travels in it.
//!
//! ```text
//!        octets                 pieces of chunks              events
//!   ──► chunk::Framer ────────► endpoint::Endpoint ────────► Message, Data, Delivered, …
//!   ◄── poll_transmit ◄──────── (sessions, reports) ◄─────── open, bind, send, accept, close
//! ```
//!
//! Everything is pure but [`driver`]: no socket, task or clock. The [`Endpoint`](endpoint::Endpoint) is driven by
//! `handle`, `poll_output`, `poll_transmit` and `next_timeout`; who drives it in a program is the driver, in a test
//! the test.

pub mod chunk;
pub mod composing;
pub mod cpim;
pub mod description;
#[cfg(feature = "driver")]
pub mod driver;
pub mod endpoint;
pub mod imdn;
pub mod multipart;
pub mod relay;
pub mod uri;
mod xml;

pub use uri::{MsrpUri, Path, UriError};
