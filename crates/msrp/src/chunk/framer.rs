//! Chunks out of a byte stream, RFC 4975 §7.1 and §9: a chunk ends with an end-line that carries its transaction id.
//!
//! ```text
//!            ┌─────────┐ "MSRP tid …" CRLF  ┌─────────┐ empty line  ┌─────────┐
//!   ───────► │ Between │ ─────────────────► │ InHead  │ ──────────► │ InBody  │
//!            └─────────┘                    └─────────┘             └─────────┘
//!                 ▲  "-------tid$" CRLF          │                       │ CRLF "-------tid$" CRLF
//!                 └──────────────────────────────┴───────────────────────┘
//! ```
//!
//! No octet is searched twice. What is held back is bounded: a head by [`FramerLimits::head`], a body by
//! [`FramerLimits::hold`], beyond which its octets are handed on as they come; and it holds no memory of what has been
//! handed on.

use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use memchr::memmem;

use super::head::Head;
use super::values::{Continuation, TransactionId};

/// What a framer holds at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FramerLimits {
    /// The longest head, in octets.
    pub head: usize,
    /// Bodies up to this length come in one piece; of longer ones at least so many octets at a time, but for the rest.
    pub hold: usize,
}

impl Default for FramerLimits {
    fn default() -> FramerLimits {
        FramerLimits { head: 16_384, hold: 4096 }
    }
}

/// A chunk, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The same for all pieces of a chunk.
    pub head: Arc<Head>,
    /// Where in the chunk's body this begins.
    pub offset: u64,
    /// A slice of what was received.
    pub body: Bytes,
    /// The flag, with the last piece of a chunk.
    pub end: Option<Continuation>,
}

/// Why nothing can be framed any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Something else than a start line where one has to be.
    NoStartLine,
    /// A head that is longer than it may be.
    HeadTooLong,
}

/// Cuts a byte stream into pieces of chunks.
pub struct Framer {
    limits: FramerLimits,
    /// What has come and isn't handed on: the beginning of a head, a body that is held back, perhaps an end-line.
    buffer: Buffer,
    /// Octets before those of the buffer that its memory still has.
    handed_on: usize,
    state: State,
    consumed: u64,
}

enum State {
    Between,
    /// So many octets of the buffer hold no end of the head.
    InHead {
        head: Box<Head>,
        start_line: usize,
        scanned: usize,
    },
    InBody {
        head: Arc<Head>,
        offset: u64,
        scanned: usize,
        is_at_start: bool,
    },
    Broken(Broken),
}

/// Received octets: those of one delivery are kept as they are, those of several are joined.
enum Buffer {
    One(Bytes),
    Joined(BytesMut),
}

impl Framer {
    /// A framer at the beginning of a stream.
    pub fn new(limits: FramerLimits) -> Framer {
        Framer { limits, buffer: Buffer::One(Bytes::new()), handed_on: 0, state: State::Between, consumed: 0 }
    }

    /// Takes what was received.
    pub fn feed(&mut self, octets: Bytes) {
        self.buffer.append(octets);
    }

    /// The next piece; `None` when more octets are needed. Bounded work: each call hands on something or nothing.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Piece>, Broken> {
        let next = self.cut();
        if next == Ok(None) {
            self.let_go();
        }
        next
    }

    fn cut(&mut self) -> Result<Option<Piece>, Broken> {
        loop {
            match std::mem::replace(&mut self.state, State::Between) {
                State::Broken(broken) => {
                    self.buffer = Buffer::One(Bytes::new());
                    self.state = State::Broken(broken);
                    return Err(broken);
                }
                State::Between => {
                    if !self.read_start_line()? {
                        return Ok(None);
                    }
                }
                State::InHead { head, start_line, scanned } => {
                    if let Some(piece) = self.read_fields(head, start_line, scanned)? {
                        return Ok(Some(piece));
                    }
                    if matches!(self.state, State::InHead { .. }) {
                        return Ok(None);
                    }
                }
                State::InBody { head, offset, scanned, is_at_start } => {
                    return Ok(self.read_body(head, offset, scanned, is_at_start));
                }
            }
        }
    }

    /// Whether the stream is between two chunks, so that nothing is lost if it ends.
    pub fn is_between(&self) -> bool {
        matches!(self.state, State::Between) && self.buffer.octets().is_empty()
    }

    /// How many octets have been handed on.
    pub fn consumed(&self) -> u64 {
        self.consumed
    }

    /// How many octets are held.
    pub fn held(&self) -> usize {
        self.buffer.octets().len()
    }

    fn breaks(&mut self, broken: Broken) -> Broken {
        self.state = State::Broken(broken);
        broken
    }

    /// Goes into a head; `false` when its first line isn't whole.
    fn read_start_line(&mut self) -> Result<bool, Broken> {
        // Empty lines between chunks keep connections alive for some.
        while self.buffer.octets().starts_with(b"\r\n") {
            self.take(2);
        }
        let octets = self.buffer.octets();
        let beginning = &octets[..octets.len().min(5)];
        if !b"MSRP ".starts_with(beginning) && beginning != b"\r" {
            return Err(self.breaks(Broken::NoStartLine));
        }
        let Some(end) = memmem::find(&octets[..octets.len().min(START_LINE)], b"\r\n") else {
            if octets.len() >= START_LINE {
                return Err(self.breaks(Broken::NoStartLine));
            }
            return Ok(false);
        };
        let Some(head) = Head::of_start_line(&octets[..end]) else {
            return Err(self.breaks(Broken::NoStartLine));
        };
        self.state = State::InHead { head: Box::new(head), start_line: end + 2, scanned: end + 2 };
        Ok(true)
    }

    /// Looks at whole lines until one is empty or the end-line.
    fn read_fields(
        &mut self,
        mut head: Box<Head>,
        start_line: usize,
        mut scanned: usize,
    ) -> Result<Option<Piece>, Broken> {
        let octets = self.buffer.octets();
        loop {
            let rest = &octets[scanned..];
            // A line that goes beyond the limit need not be whole to be too much.
            let Some(length) = line_length(rest) else { break };
            if scanned + length > self.limits.head {
                return Err(self.breaks(Broken::HeadTooLong));
            }
            let line = &rest[..length];
            if line.is_empty() || is_end_line(line, head.transaction()).is_some() {
                let end = is_end_line(line, head.transaction());
                head.read_fields(&octets[start_line..scanned], line.is_empty());
                self.take(scanned + length + 2);
                let head = Arc::from(head);
                if end.is_none() {
                    self.state = State::InBody { head, offset: 0, scanned: 0, is_at_start: true };
                    return Ok(None);
                }
                return Ok(Some(Piece { head, offset: 0, body: Bytes::new(), end }));
            }
            scanned += length + 2;
        }
        if octets.len() > self.limits.head {
            return Err(self.breaks(Broken::HeadTooLong));
        }
        self.state = State::InHead { head, start_line, scanned };
        Ok(None)
    }

    fn read_body(&mut self, head: Arc<Head>, offset: u64, scanned: usize, is_at_start: bool) -> Option<Piece> {
        let mark = EndMark::new(head.transaction());
        let octets = self.buffer.octets();
        // An empty body without a CRLF of its own before the end-line: not RFC 4975's, but unmistakable.
        if is_at_start && scanned == 0 {
            match mark.at_start(octets) {
                Found::End { length, end, .. } => {
                    self.take(length);
                    return Some(Piece { head, offset, body: Bytes::new(), end: Some(end) });
                }
                Found::Perhaps(_) => {
                    self.state = State::InBody { head, offset, scanned, is_at_start };
                    return None;
                }
                Found::Nothing => {}
            }
        }
        match mark.find(octets, scanned) {
            Found::End { body, length, end } => {
                let body = self.take(body);
                self.take(length);
                Some(Piece { head, offset, body, end: Some(end) })
            }
            Found::Perhaps(clear) if clear > self.limits.hold => {
                let body = self.take(clear);
                let after = offset + body.len() as u64;
                self.state = State::InBody { head: Arc::clone(&head), offset: after, scanned: 0, is_at_start: false };
                Some(Piece { head, offset, body, end: None })
            }
            Found::Perhaps(clear) => {
                self.state = State::InBody { head, offset, scanned: clear, is_at_start: is_at_start && clear == 0 };
                None
            }
            Found::Nothing => None,
        }
    }

    fn take(&mut self, count: usize) -> Bytes {
        self.consumed += count as u64;
        self.handed_on += count;
        self.buffer.take(count)
    }

    /// Keeps no more memory than what is held back needs: the rest of it came with something long, or much.
    fn let_go(&mut self) {
        let octets = self.buffer.octets();
        if self.handed_on > octets.len() {
            self.buffer = Buffer::One(Bytes::copy_from_slice(octets));
            self.handed_on = 0;
        }
    }
}

/// The longest start line: `MSRP`, an id, a code and a comment.
const START_LINE: usize = 512;

/// The length of the first line without its CRLF, if it is whole.
fn line_length(octets: &[u8]) -> Option<usize> {
    memmem::find(octets, b"\r\n")
}

fn is_end_line(line: &[u8], transaction: TransactionId) -> Option<Continuation> {
    let rest = line.strip_prefix(b"-------")?.strip_prefix(transaction.as_bytes())?;
    match rest {
        [flag] => Continuation::of_flag(*flag),
        _ => None,
    }
}

/// CRLF, seven hyphens and a transaction id: what comes before the flag of an end-line behind a body.
struct EndMark {
    octets: [u8; 9 + 32],
    length: usize,
}

enum Found {
    /// So many octets of body, then an end-line of this length.
    End {
        body: usize,
        length: usize,
        end: Continuation,
    },
    /// So many octets are body; what is behind them may be the beginning of an end-line.
    Perhaps(usize),
    Nothing,
}

impl EndMark {
    fn new(transaction: TransactionId) -> EndMark {
        let mut octets = [0; 41];
        octets[..9].copy_from_slice(b"\r\n-------");
        let id = transaction.as_bytes();
        octets[9..9 + id.len()].copy_from_slice(id);
        EndMark { octets, length: 9 + id.len() }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.octets[..self.length]
    }

    /// The end-line without its first CRLF at the very beginning.
    fn at_start(&self, octets: &[u8]) -> Found {
        match self.compare(octets, &self.as_bytes()[2..]) {
            Found::End { length, end, .. } => Found::End { body: 0, length, end },
            Found::Perhaps(_) => Found::Perhaps(0),
            Found::Nothing => Found::Nothing,
        }
    }

    /// The end-line behind a body, of whose octets the first `from` are known not to begin it.
    fn find(&self, octets: &[u8], mut from: usize) -> Found {
        let mark = self.as_bytes();
        while let Some(at) = memmem::find(&octets[from..], mark).map(|at| from + at) {
            match self.compare(&octets[at..], mark) {
                Found::End { length, end, .. } => return Found::End { body: at, length, end },
                Found::Perhaps(_) => return Found::Perhaps(at),
                Found::Nothing => from = at + mark.len(),
            }
        }
        // The last octets may be the beginning of the mark.
        let mut tail = octets.len().saturating_sub(mark.len() - 1).max(from);
        while let Some(at) = memchr::memchr(b'\r', &octets[tail..]).map(|at| tail + at) {
            if mark.starts_with(&octets[at..]) {
                return Found::Perhaps(at);
            }
            tail = at + 1;
        }
        Found::Perhaps(octets.len())
    }

    /// Whether the octets begin with the mark, a flag and CRLF, or may do so when more have come.
    fn compare(&self, octets: &[u8], mark: &[u8]) -> Found {
        let both = octets.len().min(mark.len());
        if octets[..both] != mark[..both] {
            return Found::Nothing;
        }
        let Some(flag) = octets.get(mark.len()) else { return Found::Perhaps(0) };
        let Some(end) = Continuation::of_flag(*flag) else { return Found::Nothing };
        match &octets[mark.len() + 1..] {
            [] | [b'\r'] => Found::Perhaps(0),
            [b'\r', b'\n', ..] => Found::End { body: 0, length: mark.len() + 3, end },
            _ => Found::Nothing,
        }
    }
}

impl Buffer {
    fn octets(&self) -> &[u8] {
        match self {
            Buffer::One(octets) => octets,
            Buffer::Joined(octets) => octets,
        }
    }

    fn append(&mut self, more: Bytes) {
        if self.octets().is_empty() {
            *self = Buffer::One(more);
            return;
        }
        if let Buffer::One(first) = self {
            // Room grows as octets come; what a peer announces makes none.
            let mut joined = BytesMut::with_capacity(first.len() + more.len());
            joined.extend_from_slice(first);
            *self = Buffer::Joined(joined);
        }
        if let Buffer::Joined(joined) = self {
            joined.extend_from_slice(&more);
        }
    }

    fn take(&mut self, count: usize) -> Bytes {
        let taken = match self {
            Buffer::One(octets) => octets.split_to(count),
            Buffer::Joined(octets) => octets.split_to(count).freeze(),
        };
        // An idle stream holds no memory.
        if !self.octets().has_remaining() {
            *self = Buffer::One(Bytes::new());
        }
        taken
    }
}
