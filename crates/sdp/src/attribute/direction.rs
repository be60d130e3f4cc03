//! The direction of a stream (RFC 8866 §6.7) and how two directions meet
//! (RFC 3264 §6.1, §8.4; RFC 6337 §5.3).
//!
//! A direction is two questions, *do I send?* and *do I receive?*, and all tables of
//! the RFCs follow from asking them separately:
//!
//! ```text
//!   offered     may be answered                   we put it on hold
//!   sendrecv    sendrecv sendonly recvonly inactive    sendonly
//!   sendonly    recvonly inactive                      sendonly
//!   recvonly    sendonly inactive                      inactive
//!   inactive    inactive                               inactive
//! ```

use std::fmt;

/// Who sends, from the view of whoever wrote the description.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Sends and receives. The default of RFC 8866 §6.7.
    #[default]
    SendRecv,
    /// Sends only.
    SendOnly,
    /// Receives only.
    RecvOnly,
    /// Neither, though RTCP flows (RFC 3264 §5.1).
    Inactive,
}

impl Direction {
    /// All four, for tables.
    pub const ALL: [Direction; 4] =
        [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive];

    /// From the two questions.
    pub fn new(sends: bool, receives: bool) -> Direction {
        match (sends, receives) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }

    /// Whether media is sent.
    pub fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    /// Whether media is received.
    pub fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }

    /// The same stream seen from the other end.
    pub fn reversed(self) -> Direction {
        Direction::new(self.receives(), self.sends())
    }

    /// What both directions allow.
    pub fn and(self, other: Direction) -> Direction {
        Direction::new(self.sends() && other.sends(), self.receives() && other.receives())
    }

    /// What to answer to this offer, given what we would like (RFC 3264 §6.1).
    pub fn answer(self, desired: Direction) -> Direction {
        self.reversed().and(desired)
    }

    /// Whether `answer` is a permitted answer to this offer (RFC 3264 §6.1).
    pub fn permits(self, answer: Direction) -> bool {
        self.reversed().and(answer) == answer
    }

    /// The direction to offer in order to put the other end on hold: we stop
    /// receiving (RFC 3264 §8.4).
    pub fn on_hold(self) -> Direction {
        Direction::new(self.sends(), false)
    }

    /// The name of the attribute.
    pub fn name(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    /// The direction an attribute's name means, if it means one.
    pub fn from_name(name: &str) -> Option<Direction> {
        Direction::ALL.into_iter().find(|direction| name.eq_ignore_ascii_case(direction.name()))
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
