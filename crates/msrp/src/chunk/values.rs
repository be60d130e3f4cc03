//! The small values of RFC 4975 §9: idents, flags, report fields, statuses.

use std::fmt;
use std::str::FromStr;

use bytes::BytesMut;

/// A transaction id: 4 to 32 letters of RFC 4975's `ident`, kept without a heap.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransactionId {
    letters: [u8; TransactionId::LONGEST],
    length: u8,
}

impl TransactionId {
    const LONGEST: usize = 32;
    const SHORTEST: usize = 4;

    /// Out of random bits: 64 of them are asked for (RFC 4975 §7.1), these are about 77.
    pub fn random(random: &mut dyn FnMut() -> u64) -> TransactionId {
        let mut letters = [0; TransactionId::LONGEST];
        let mut bits = (u128::from(random()) << 64) | u128::from(random());
        for letter in &mut letters[..15] {
            *letter = LETTERS[(bits % LETTERS.len() as u128) as usize];
            bits /= LETTERS.len() as u128;
        }
        TransactionId { letters, length: 15 }
    }

    /// Reads one; shorter ones than RFC 4975 allows are let pass, for they frame as well.
    pub fn parse(text: &[u8]) -> Option<TransactionId> {
        let fits = (1..=TransactionId::LONGEST).contains(&text.len());
        if !fits || !text[0].is_ascii_alphanumeric() || !text.iter().all(|&octet| is_of_ident(octet)) {
            return None;
        }
        let mut letters = [0; TransactionId::LONGEST];
        letters[..text.len()].copy_from_slice(text);
        Some(TransactionId { letters, length: text.len() as u8 })
    }

    /// As on the wire.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("an ident is ASCII")
    }

    /// As on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        &self.letters[..usize::from(self.length)]
    }
}

/// Letters that need no thought anywhere.
const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

pub(crate) fn is_of_ident(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b".-+%=".contains(&octet)
}

/// Whether a text is an `ident`, as message ids have to be. Longer ones than RFC 4975's 32 letters are in use.
pub(crate) fn is_ident(text: &str) -> bool {
    (TransactionId::SHORTEST.min(1)..=128).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_graphic())
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The flag that closes an end-line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continuation {
    /// `$`: the message ends here.
    Complete,
    /// `+`: more chunks of the message follow.
    More,
    /// `#`: the message is given up, no chunk of it follows.
    Aborted,
}

impl Continuation {
    /// The letter on the wire.
    pub fn flag(self) -> u8 {
        match self {
            Continuation::Complete => b'$',
            Continuation::More => b'+',
            Continuation::Aborted => b'#',
        }
    }

    pub(crate) fn of_flag(flag: u8) -> Option<Continuation> {
        match flag {
            b'$' => Some(Continuation::Complete),
            b'+' => Some(Continuation::More),
            b'#' => Some(Continuation::Aborted),
            _ => None,
        }
    }

    /// Prints the end-line. Behind a body, CRLF has to come before it.
    pub fn write_to(self, out: &mut BytesMut, transaction: TransactionId) {
        out.extend_from_slice(b"-------");
        out.extend_from_slice(transaction.as_bytes());
        out.extend_from_slice(&[self.flag(), b'\r', b'\n']);
    }
}

/// What a sender wants to hear when a message does not arrive, RFC 4975 §5.3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailureReport {
    /// Responses to everything; silence is a failure. Where the field is missing it is this.
    #[default]
    Yes,
    /// Nothing, not even a response.
    No,
    /// Responses that tell of an error, and no others.
    Partial,
}

impl FailureReport {
    /// The value of the field.
    pub fn as_str(self) -> &'static str {
        match self {
            FailureReport::Yes => "yes",
            FailureReport::No => "no",
            FailureReport::Partial => "partial",
        }
    }

    /// The value of a field; what is not understood is "yes".
    pub(crate) fn of_value(value: Option<&str>) -> FailureReport {
        match value {
            Some(value) if value.eq_ignore_ascii_case("no") => FailureReport::No,
            Some(value) if value.eq_ignore_ascii_case("partial") => FailureReport::Partial,
            _ => FailureReport::Yes,
        }
    }
}

/// The value of a Status field: `000 200 OK`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Where the code comes from; 0 is RFC 4975.
    pub namespace: u16,
    /// The code.
    pub code: u16,
    /// The comment, perhaps empty.
    pub comment: Box<str>,
}

impl FromStr for Status {
    type Err = ();

    fn from_str(text: &str) -> Result<Status, ()> {
        let (namespace, rest) = text.trim().split_once(' ').ok_or(())?;
        let (code, comment) = rest.split_once(' ').unwrap_or((rest, ""));
        Ok(Status { namespace: three_digits(namespace)?, code: three_digits(code)?, comment: comment.into() })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03} {:03}", self.namespace, self.code)?;
        if self.comment.is_empty() { Ok(()) } else { write!(f, " {}", self.comment) }
    }
}

pub(crate) fn three_digits(text: &str) -> Result<u16, ()> {
    if text.len() == 3 && text.bytes().all(|digit| digit.is_ascii_digit()) {
        text.parse().map_err(|_| ())
    } else {
        Err(())
    }
}
