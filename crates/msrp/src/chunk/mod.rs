//! Requests and responses on the wire, RFC 4975 §5.1, §7.1 and §9. What they mean is the endpoint's and the relay's.
//!
//! ```text
//!   MSRP d93kswow SEND                       ┐
//!   To-Path: msrp://bob.example.com:8888/…   │ Head
//!   From-Path: msrp://alicepc.example.com/…  │ (start line, fields in order)
//!   Message-ID: 12339sdqwer                  │
//!   Byte-Range: 1-*/137                      │
//!   Content-Type: text/plain                 ┘
//!
//!   octets, any number of them                 body: comes in Pieces, slices of what was received
//!   -------d93kswow+                           Continuation: $ all said, + to be continued, # given up
//! ```
//!
//! The [`Framer`] cuts a stream into [`Piece`]s; how the octets were cut by the network does not matter. A [`Chunk`] is
//! one request or response as a whole, for whoever handles small ones.

mod framer;
mod head;
mod range;
mod values;

use bytes::{Bytes, BytesMut};

pub use framer::{Broken, Framer, FramerLimits, Piece};
pub use head::{Head, HeadFault, Method, Start};
pub use range::{ByteRange, Ranges};
pub(crate) use values::is_ident;
pub use values::{Continuation, FailureReport, Status, TransactionId};

/// A whole request or response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The start line and the fields.
    pub head: Head,
    /// The body; `None` where there is none, which is not the same as an empty one (RFC 4975 §7.1).
    pub body: Option<Bytes>,
    /// The flag of the end-line.
    pub end: Continuation,
}

/// Why a text is not one whole request or response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkError {
    /// Not even its beginning and end can be made out.
    Broken(Broken),
    /// It ends before its end-line.
    Unfinished,
    /// Something comes behind its end-line.
    Trailing,
}

impl Chunk {
    /// Without a body: most responses, reports, and requests that keep a connection.
    pub fn bodiless(head: Head) -> Chunk {
        Chunk { head, body: None, end: Continuation::Complete }
    }

    /// Reads one, from its first octet to its last.
    pub fn parse(octets: impl Into<Bytes>) -> Result<Chunk, ChunkError> {
        let octets: Bytes = octets.into();
        let length = octets.len();
        let mut framer = Framer::new(FramerLimits { hold: usize::MAX, ..FramerLimits::default() });
        framer.feed(octets);
        let piece = framer.next().map_err(ChunkError::Broken)?.ok_or(ChunkError::Unfinished)?;
        let end = piece.end.ok_or(ChunkError::Unfinished)?;
        if framer.consumed() != length as u64 {
            return Err(ChunkError::Trailing);
        }
        let body = piece.head.has_body().then_some(piece.body);
        Ok(Chunk { head: std::sync::Arc::unwrap_or_clone(piece.head), body, end })
    }

    /// Prints it.
    pub fn write_to(&self, out: &mut BytesMut) {
        self.head.write_to(out);
        if let Some(body) = &self.body {
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(body);
            out.extend_from_slice(b"\r\n");
        }
        self.end.write_to(out, self.head.transaction());
    }

    /// Printed.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(512 + self.body.as_ref().map_or(0, Bytes::len));
        self.write_to(&mut out);
        out.freeze()
    }
}
