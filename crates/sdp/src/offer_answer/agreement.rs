//! What two descriptions together mean for us (RFC 3264 §5 to §8).

use super::{Protection, Side};
use crate::attribute::{Direction, PacketTime, Rtcp, RtcpMux};
use crate::codec::Codec;
use crate::connection::{AddressClass, ConnectionData};
use crate::description::SessionDescription;
use crate::media::{MediaDescription, MediaType, Protocol};
use std::time::Duration;

/// An offer and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// Who offered.
    pub offerer: Side,
    /// Our description.
    pub local: SessionDescription,
    /// The peer's.
    pub remote: SessionDescription,
}

/// One stream, seen from us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamAgreement {
    /// Which m-line.
    pub index: usize,
    /// What kind of media.
    pub media: MediaType,
    /// Over which transport.
    pub protocol: Protocol,
    /// Whether the stream exists; if not, all below is empty.
    pub enabled: bool,
    /// How its media is protected.
    pub protection: Protection,
    /// Whether we send and receive.
    pub direction: Direction,
    /// Whether we said that we do not want to receive.
    pub held_by_us: bool,
    /// Whether the peer said that it does not want to receive. Not only hold has
    /// this sign (RFC 6337 §5.3).
    pub held_by_peer: bool,
    /// What we may send, with the peer's numbers, the first preferred.
    pub send: Vec<Codec>,
    /// What we must be ready to receive, with our numbers.
    pub receive: Vec<Codec>,
    /// Where we send.
    pub destination: Option<Destination>,
    /// How much media the peer would like in each packet.
    pub packet_time: Option<Duration>,
}

/// Where the peer receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The host for media.
    pub connection: ConnectionData,
    /// The port for media.
    pub port: u16,
    /// The host for RTCP.
    pub rtcp_connection: ConnectionData,
    /// The port for RTCP; that of the media if both sides said `rtcp-mux`.
    pub rtcp_port: Option<u16>,
}

impl Agreement {
    /// All streams in the order of the m-lines.
    pub fn streams(&self) -> Vec<StreamAgreement> {
        let pairs = self.local.media.iter().zip(&self.remote.media);
        pairs.enumerate().map(|(index, (local, remote))| self.stream(index, local, remote)).collect()
    }

    /// Whether neither side has rejected or removed that stream.
    pub fn is_enabled(&self, index: usize) -> bool {
        let enabled = |side: &SessionDescription| side.media.get(index).is_some_and(|media| !media.is_disabled());
        enabled(&self.local) && enabled(&self.remote)
    }

    /// Whether the peer holds all streams that exist.
    pub fn is_held_by_peer(&self) -> bool {
        let streams = self.streams();
        let mut enabled = streams.iter().filter(|stream| stream.enabled).peekable();
        enabled.peek().is_some() && enabled.all(|stream| stream.held_by_peer)
    }

    fn stream(&self, index: usize, local: &MediaDescription, remote: &MediaDescription) -> StreamAgreement {
        let enabled = self.is_enabled(index);
        let mut stream = StreamAgreement {
            index,
            media: local.media.clone(),
            protocol: local.protocol.clone(),
            enabled,
            protection: Protection::None,
            direction: Direction::Inactive,
            held_by_us: false,
            held_by_peer: false,
            send: Vec::new(),
            receive: Vec::new(),
            destination: None,
            packet_time: None,
        };
        if !enabled {
            return stream;
        }
        let (ours, theirs) = match self.offerer {
            Side::Local => (local.codecs(), codecs_of_answer(local, remote)),
            Side::Remote => (codecs_of_answer(remote, local), remote.codecs()),
        };
        stream.protection = self.protection(local, remote);
        stream.direction = self.direction(local, remote);
        stream.held_by_us = !receives(&self.local, local);
        stream.held_by_peer = !receives(&self.remote, remote);
        // The formats of both, in the peer's order, under the peer's numbers
        // (§6.1 for the answerer, §7 for the offerer).
        stream.send = theirs.into_iter().filter(|codec| ours.iter().any(|other| other.same_mapping(codec))).collect();
        stream.receive = ours;
        stream.destination = self.destination(local, remote);
        stream.packet_time = self.remote.attribute_of::<PacketTime>(remote).map(|PacketTime(time)| time);
        stream
    }

    /// What both directions allow; an address of zeros allows nothing to be sent.
    fn direction(&self, local: &MediaDescription, remote: &MediaDescription) -> Direction {
        let ours = self.local.direction_of(local);
        let theirs = self.remote.direction_of(remote);
        let class = self.remote.connection_of(remote).map(ConnectionData::class);
        if class == Some(AddressClass::Multicast) {
            // One view for all members of the group (§6.2).
            return ours;
        }
        let both = ours.and(theirs.reversed());
        Direction::new(
            both.sends() && !self.remote.is_held_by_address(remote),
            both.receives() && !self.local.is_held_by_address(local),
        )
    }

    fn destination(&self, local: &MediaDescription, remote: &MediaDescription) -> Option<Destination> {
        let connection = self.remote.connection_of(remote)?.clone();
        let mux = |media: &MediaDescription| media.attribute::<RtcpMux>().is_some();
        let rtcp = remote.attribute::<Rtcp>();
        let rtcp_connection = rtcp.as_ref().and_then(|rtcp| rtcp.connection.clone());
        let muxed = mux(local) && mux(remote);
        let rtcp_port = match rtcp {
            _ if !remote.protocol.is_rtp() => None,
            _ if muxed => Some(remote.port),
            Some(rtcp) => Some(rtcp.port),
            None => remote.port.checked_add(1),
        };
        Some(Destination {
            rtcp_connection: rtcp_connection.filter(|_| !muxed).unwrap_or_else(|| connection.clone()),
            port: remote.port,
            connection,
            rtcp_port,
        })
    }
}

fn receives(side: &SessionDescription, media: &MediaDescription) -> bool {
    side.direction_of(media).receives() && !side.is_held_by_address(media)
}

/// The codecs of an answer's m-line. Some phones leave the rtpmap out for numbers
/// that the offer explained, against RFC 3264 §6.1; then the offer's holds.
pub(crate) fn codecs_of_answer(offered: &MediaDescription, answered: &MediaDescription) -> Vec<Codec> {
    if !answered.protocol.is_rtp() {
        return Vec::new();
    }
    let own = answered.codecs();
    let fallback = offered.codecs();
    let numbers = answered.formats.iter().filter_map(|format| crate::PayloadType::parse(format));
    numbers
        .filter_map(|number| {
            let mut both = own.iter().chain(&fallback);
            both.find(|codec| codec.payload_type == number).cloned()
        })
        .collect()
}
