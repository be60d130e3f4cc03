//! Messages out of a byte stream, RFC 3261 §18.3, with the keep-alives of RFC 5626 §3.5.1 between them.

use bytes::{Buf, BytesMut};

use super::head::{self, Head};
use super::limits::Limits;
use super::refusal::{Fault, Refusal};
use crate::message::Message;

/// The most room that is made for a body before it has come.
const RESERVED: usize = 16_384;

/// Something that a stream carried.
#[derive(Debug)]
pub enum StreamItem {
    /// A message.
    Message(Message),
    /// A message that is refused, but whose end is known: the stream can go on.
    Refused(Refusal),
    /// A message after which nothing can be framed any more: answer, then close.
    Broken(Refusal),
    /// CRLF CRLF between messages: the peer asks whether we are there (RFC 5626 §3.5.1).
    Ping,
    /// CRLF between messages: the answer to our own ping, or an empty line that RFC 3261 §7.5 tells us to ignore.
    Pong,
}

/// What the stream is in the middle of, for whoever gives deadlines to slow peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamState {
    /// Between two messages.
    Idle,
    /// A head has begun.
    InHead,
    /// A head is complete and its body is not.
    InBody,
}

/// Cuts a byte stream into messages. No octet is looked at twice for the end of a head, and the head is read once, when
/// it is whole, for framing and for the message alike.
pub struct StreamParser {
    limits: Limits,
    /// So many octets of the buffer are known not to begin the end of the head.
    scanned: usize,
    /// A head that waits for so many octets of body.
    head: Option<(Head, usize)>,
    /// The last thing that was read is a CRLF, so that another one makes a ping, however the two were cut.
    after_line_end: bool,
    broken: bool,
}

impl StreamParser {
    /// A parser at the beginning of a stream.
    pub fn new(limits: Limits) -> StreamParser {
        StreamParser { limits, scanned: 0, head: None, after_line_end: false, broken: false }
    }

    /// What the stream is in the middle of when [`StreamParser::next`] has returned `None`.
    pub fn state(&self, buffer: &BytesMut) -> StreamState {
        match self.head {
            Some(_) => StreamState::InBody,
            None if buffer.is_empty() => StreamState::Idle,
            None => StreamState::InHead,
        }
    }

    /// The next item, whose octets are taken from `buffer`; `None` when more are needed.
    ///
    /// Two CRLFs in a row are a [`StreamItem::Pong`] and then a [`StreamItem::Ping`]: a pong must not wait for what
    /// comes behind it, and how the octets were cut must not matter.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self, buffer: &mut BytesMut) -> Option<StreamItem> {
        if self.broken {
            buffer.clear();
            return None;
        }
        if self.head.is_none() {
            if self.scanned == 0 && buffer.starts_with(b"\r\n") {
                buffer.advance(2);
                let ping = self.after_line_end;
                self.after_line_end = !ping;
                return Some(if ping { StreamItem::Ping } else { StreamItem::Pong });
            }
            if let Err(broken) = self.read_head(buffer)? {
                self.broken = true;
                return Some(StreamItem::Broken(broken));
            }
        }
        let (head, length) = self.head.take()?;
        if buffer.len() < length {
            // A claim costs nothing: memory is taken as octets come.
            buffer.reserve((length - buffer.len()).min(RESERVED));
            self.head = Some((head, length));
            return None;
        }
        let body = buffer.split_to(length).freeze();
        Some(match head.into_message(body) {
            Ok(message) => StreamItem::Message(message),
            Err(refusal) => StreamItem::Refused(refusal),
        })
    }

    /// Takes the head from the buffer; `None` when it isn't whole yet.
    fn read_head(&mut self, buffer: &mut BytesMut) -> Option<Result<(), Refusal>> {
        let end = head::end_of_head(buffer, self.scanned);
        // The last three octets may be the beginning of the empty line, which does not count.
        if end.unwrap_or(buffer.len().saturating_sub(3)) > self.limits.head {
            let cut_off = buffer.split().freeze();
            return Some(Err(Head::refuse_cut_off(cut_off, Fault::HeadTooLong, &self.limits)));
        }
        let Some(end) = end else {
            self.scanned = buffer.len().saturating_sub(3);
            return None;
        };
        self.scanned = 0;
        self.after_line_end = false;
        let octets = buffer.split_to(end + 4).freeze();
        Some(Head::parse(octets.slice(..end), &self.limits).and_then(|head| self.frame(head)))
    }

    fn frame(&mut self, head: Head) -> Result<(), Refusal> {
        match head.content_length() {
            Ok(Some(length)) if length > self.limits.body => Err(head.refuse(Fault::BodyTooLong)),
            Ok(Some(length)) if (head.len() + 4).saturating_add(length) > self.limits.message => {
                Err(head.refuse(Fault::MessageTooLong))
            }
            Ok(Some(length)) => {
                self.head = Some((head, length));
                Ok(())
            }
            Ok(None) => Err(head.refuse_unframed(Fault::ContentLengthMissing)),
            Err(fault) => Err(head.refuse_unframed(fault)),
        }
    }
}
