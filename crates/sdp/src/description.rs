//! The session description as a value (RFC 8866 §5), session level.
//!
//! Reading is in `parse`, writing in `print`, the m-lines in `media`.

use crate::attribute::{Attributes, Direction, TypedAttribute};
use crate::codec::Codec;
use crate::connection::{AddressClass, ConnectionData};
use crate::media::{MediaDescription, MediaType, Protocol};
use crate::text::{Text, Token};
use std::fmt;
use std::net::IpAddr;

/// A whole description: what applies to all streams, then one entry per m-line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionDescription {
    /// `o=`: who made this description, and which version of it.
    pub origin: Origin,
    /// `s=`; `-` where the peer left the line out.
    pub session_name: Text,
    /// `i=`
    pub information: Option<Text>,
    /// `u=`
    pub uri: Option<Text>,
    /// `e=`
    pub emails: Vec<Text>,
    /// `p=`
    pub phones: Vec<Text>,
    /// `c=` for the m-lines that have none of their own.
    pub connection: Option<ConnectionData>,
    /// `b=`
    pub bandwidths: Vec<Bandwidth>,
    /// `t=` with its `r=` lines; `0 0` where the peer left the line out.
    pub times: Vec<Timing>,
    /// `z=`, not interpreted.
    pub zones: Option<Text>,
    /// `k=`, obsolete, not interpreted.
    pub key: Option<Text>,
    /// `a=` lines before the first m-line.
    pub attributes: Attributes,
    /// Lines whose letter we do not know; RFC 8866 §5 says to ignore them, we
    /// also carry them on.
    pub unknown: Vec<UnknownLine>,
    /// The m-lines, whose order is the identity of the streams (RFC 3264 §8).
    pub media: Vec<MediaDescription>,
}

/// `o=<username> <sess-id> <sess-version> <nettype> <addrtype> <address>` (§5.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The user's login, or `-`.
    pub username: Text,
    /// With the other fields but the version, the identity of the session. A
    /// number by the grammar, a word in the field.
    pub session_id: Token,
    /// Grows by one with each change (RFC 3264 §8).
    pub session_version: u64,
    /// `IN`
    pub network: Token,
    /// `IP4` or `IP6`
    pub address_type: Token,
    /// Address or host name of the machine that made the description.
    pub address: Token,
}

/// `b=<bwtype>:<bandwidth>` (§5.8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bandwidth {
    /// `AS`, `CT`, `TIAS`, `RS`, `RR`, …
    pub kind: Token,
    /// Kilobits per second, except `TIAS`, `RS` and `RR`, which count bits.
    pub value: u64,
}

/// `t=<start> <stop>` (§5.9) with the `r=` lines that repeat it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Seconds since 1900, or 0.
    pub start: u64,
    /// Seconds since 1900, or 0 for no end.
    pub stop: u64,
    /// `r=` lines, not interpreted.
    pub repeats: Vec<Text>,
}

/// A line whose letter RFC 8866 does not define.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownLine {
    /// What stands before the `=`.
    pub letter: char,
    /// What stands behind it.
    pub value: Text,
}

impl SessionDescription {
    /// A description without m-lines (RFC 3264 §5 allows to offer that).
    pub fn new(origin: Origin) -> SessionDescription {
        SessionDescription {
            origin,
            session_name: crate::text::composed("-"),
            information: None,
            uri: None,
            emails: Vec::new(),
            phones: Vec::new(),
            connection: None,
            bandwidths: Vec::new(),
            times: vec![Timing::default()],
            zones: None,
            key: None,
            attributes: Attributes::default(),
            unknown: Vec::new(),
            media: Vec::new(),
        }
    }

    /// One `RTP/AVP` audio stream, sendrecv, received at `address` and `port`.
    ///
    /// The session id is 0: set [`Origin::session_id`] from a number that no
    /// other session of this host has (this crate has no clock to take it from).
    pub fn audio(address: IpAddr, port: u16, codecs: &[Codec]) -> SessionDescription {
        let mut description = SessionDescription::new(Origin::new(0, address));
        description.connection = Some(ConnectionData::new(address));
        description.media.push(MediaDescription::rtp(MediaType::Audio, port, Protocol::RtpAvp, codecs));
        description
    }

    /// The connection data that applies to an m-line: its own or the session's.
    pub fn connection_of<'a>(&'a self, media: &'a MediaDescription) -> Option<&'a ConnectionData> {
        media.connections.first().or(self.connection.as_ref())
    }

    /// The direction of an m-line: its own, else the session's, else sendrecv
    /// (RFC 8866 §6.7).
    pub fn direction_of(&self, media: &MediaDescription) -> Direction {
        let own = media.attributes.direction();
        own.or_else(|| self.attributes.direction()).unwrap_or_default()
    }

    /// The first well-formed attribute of a kind that applies to an m-line: its own
    /// or the session's.
    pub fn attribute_of<T: TypedAttribute>(&self, media: &MediaDescription) -> Option<T> {
        let session = || self.attributes.typed::<T>().find_map(Result::ok);
        media.attribute().or_else(session)
    }

    /// Whether an m-line is held in the manner of RFC 2543: an address of zeros
    /// means that nothing may be sent there (RFC 3264 §8.4).
    ///
    /// Not so where ICE finds the addresses; there the zeros stand for candidates
    /// to come (RFC 8840 §4.1.1).
    pub fn is_held_by_address(&self, media: &MediaDescription) -> bool {
        let ice = media.attributes.has("ice-ufrag") || self.attributes.has("ice-ufrag");
        let class = self.connection_of(media).map(ConnectionData::class);
        !media.is_disabled() && !ice && class == Some(AddressClass::Unspecified)
    }

    /// Whether all but the version of the origin is the same.
    pub fn same_but_for_version(&self, other: &SessionDescription) -> bool {
        let mut other = other.clone();
        other.origin.session_version = self.origin.session_version;
        *self == other
    }
}

impl Origin {
    /// An anonymous origin in version 0.
    pub fn new(session_id: u64, address: IpAddr) -> Origin {
        let ConnectionData { network, address_type, address } = ConnectionData::new(address);
        Origin {
            username: crate::text::composed("-"),
            session_id: Token::literal(session_id.to_string()),
            session_version: 0,
            network,
            address_type,
            address,
        }
    }

    /// Whether all but the version is the same, which RFC 3264 §8 demands of
    /// every later description in a session.
    pub fn same_session(&self, other: &Origin) -> bool {
        self.username == other.username
            && self.session_id == other.session_id
            && self.network == other.network
            && self.address_type == other.address_type
            && self.address == other.address
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {} {} {} {}",
            self.username, self.session_id, self.session_version, self.network, self.address_type, self.address
        )
    }
}

impl fmt::Display for Bandwidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.value)
    }
}
