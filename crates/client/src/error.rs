//! What the application asked for and can't have. Nothing has changed then.

use std::fmt;

use crate::session::State;
use crate::streams::StreamKind;

/// Why a method was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientError {
    /// The session is in a state in which this can't be asked (the caller's fault).
    IllegalState {
        /// What was asked.
        method: &'static str,
        /// The state.
        state: State,
    },
    /// There is no such session, or it is over and forgotten.
    NoSuchSession,
    /// There is no such account.
    NoSuchAccount,
    /// No stream was named.
    NoStreams,
    /// That stream was not offered by the peer.
    NotProposed(StreamKind),
    /// The session has that stream already.
    StreamExists(StreamKind),
    /// The session has no such stream.
    NoStream(StreamKind),
    /// It would leave no stream at all.
    LastStream,
    /// Not one of `0`–`9`, `*`, `#`, `A`–`D`.
    InvalidDigit(char),
    /// What should be an address is none.
    InvalidUri(Box<str>),
    /// A recording runs already, or none runs.
    Recording(&'static str),
    /// The peer refused, with this status (the peer's decision).
    Refused(sip_message::StatusCode),
    /// It took too long.
    TimedOut,
    /// Another command took its place, or the session ended before it was carried out.
    Dropped,
    /// A setting of an account can't be used (the caller's fault).
    InvalidSetting {
        /// Its key, as it stands in the file.
        key: &'static str,
        /// What it says.
        value: Box<str>,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There is an account with this address already.
    AccountExists(Box<str>),
    /// The content of a message can't be sent (the caller's fault).
    InvalidMessage(&'static str),
    /// The kind of stream can't be used yet.
    Unsupported(StreamKind),
    /// The stack below has refused.
    Stack(Box<str>),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::IllegalState { method, state } => write!(f, "{method} can't be asked in state {state}"),
            ClientError::NoSuchSession => f.write_str("there is no such session"),
            ClientError::NoSuchAccount => f.write_str("there is no such account"),
            ClientError::NoStreams => f.write_str("no stream was named"),
            ClientError::NotProposed(kind) => write!(f, "the peer has not proposed {kind}"),
            ClientError::StreamExists(kind) => write!(f, "the session has {kind} already"),
            ClientError::NoStream(kind) => write!(f, "the session has no {kind}"),
            ClientError::LastStream => f.write_str("the last stream can't be removed: end the session instead"),
            ClientError::InvalidDigit(digit) => write!(f, "{digit:?} is no digit: 0-9, *, # or A-D"),
            ClientError::InvalidUri(text) => write!(f, "{text:?} is no SIP address"),
            ClientError::Recording(why) => f.write_str(why),
            ClientError::Refused(status) => write!(f, "the peer refused with {status}"),
            ClientError::TimedOut => f.write_str("it took too long"),
            ClientError::Dropped => f.write_str("the session ended before it was carried out"),
            ClientError::InvalidSetting { key, value, why } => write!(f, "{key} = {value:?}: {why}"),
            ClientError::AccountExists(id) => write!(f, "there is an account {id} already"),
            ClientError::InvalidMessage(why) => write!(f, "the message can't be sent: {why}"),
            ClientError::Unsupported(kind) => write!(f, "{kind} streams can't be used yet"),
            ClientError::Stack(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for ClientError {}
