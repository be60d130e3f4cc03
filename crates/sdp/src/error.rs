//! What can be wrong with the bytes of a session description. Always the peer's
//! fault; [`ParseError::status`] is the response it earns.

use std::fmt;

/// Where and why the bytes are not a session description that we accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The line, counted from one.
    pub line: usize,
    /// What is wrong with it.
    pub kind: ParseErrorKind,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseErrorKind {
    /// The whole description is longer than [`Limits::bytes`](crate::Limits::bytes).
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// More lines than [`Limits::lines`](crate::Limits::lines).
    TooManyLines {
        /// The limit.
        limit: usize,
    },
    /// More m-lines than [`Limits::media`](crate::Limits::media).
    TooManyMedia {
        /// The limit.
        limit: usize,
    },
    /// More formats in an m-line than [`Limits::formats`](crate::Limits::formats).
    TooManyFormats {
        /// The limit.
        limit: usize,
    },
    /// More attributes than [`Limits::attributes`](crate::Limits::attributes).
    TooManyAttributes {
        /// The limit.
        limit: usize,
    },
    /// NUL, or a CR that ends no line.
    ForbiddenCharacter,
    /// Not of the form `<letter>=<value>`.
    NotALine,
    /// A first line other than `v=0`.
    Version,
    /// A line that is necessary does not occur.
    Missing {
        /// Its letter.
        letter: char,
    },
    /// A line that may occur once occurs again.
    Duplicate {
        /// Its letter.
        letter: char,
    },
    /// The fields of the line are not as its letter demands.
    Malformed {
        /// Its letter.
        letter: char,
    },
}

impl ParseError {
    /// The status code of the SIP response: 488 where a limit of ours was passed
    /// (the description may be well formed), else 400.
    pub fn status(&self) -> u16 {
        use ParseErrorKind::*;
        match self.kind {
            TooLong { .. }
            | TooManyLines { .. }
            | TooManyMedia { .. }
            | TooManyFormats { .. }
            | TooManyAttributes { .. } => 488,
            ForbiddenCharacter | NotALine | Version | Missing { .. } | Duplicate { .. } | Malformed { .. } => 400,
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session description, line {}: {}", self.line, self.kind)
    }
}

impl fmt::Display for ParseErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use ParseErrorKind::*;
        match self {
            TooLong { limit } => write!(f, "more than {limit} octets"),
            TooManyLines { limit } => write!(f, "more than {limit} lines"),
            TooManyMedia { limit } => write!(f, "more than {limit} media descriptions"),
            TooManyFormats { limit } => write!(f, "more than {limit} formats"),
            TooManyAttributes { limit } => write!(f, "more than {limit} attributes"),
            ForbiddenCharacter => f.write_str("NUL or bare CR"),
            NotALine => f.write_str("not of the form <letter>=<value>"),
            Version => f.write_str("does not begin with v=0"),
            Missing { letter } => write!(f, "no {letter}= line"),
            Duplicate { letter } => write!(f, "a second {letter}= line"),
            Malformed { letter } => write!(f, "malformed {letter}= line"),
        }
    }
}

impl std::error::Error for ParseError {}
