//! What we are able and willing to do, and the descriptions that follow from it:
//! fresh offers and re-offers (`offer`), answers (`answer`).
//!
//! RFC 6337 §5.1 is the principle: capabilities state what we *wish*; what the
//! peer made us answer earlier never narrows what we offer later. Hold is such a
//! wish (§5.3).

mod answer;
mod offer;
mod security;

pub use answer::{NotAcceptable, StreamRefusal};
pub use security::Security;

use crate::attribute::{Attribute, Direction};
use crate::codec::Codec;
use crate::connection::ConnectionData;
use crate::description::{Origin, SessionDescription};
use crate::media::{MediaDescription, MediaType, Protocol};
use crate::text::{Text, Token, composed};
use std::net::IpAddr;
use std::time::Duration;

/// Everything we would like to have in a session now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Our `o=` line.
    pub origin: Origin,
    /// Our `s=` line.
    pub session_name: Text,
    /// Where we receive, unless a stream says otherwise.
    pub address: IpAddr,
    /// The streams in the order in which we would offer them.
    pub streams: Vec<StreamCapability>,
    /// To which addresses we let the peer direct our media.
    pub destinations: DestinationPolicy,
}

/// One stream that we would like to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamCapability {
    /// The kind of media.
    pub media: MediaType,
    /// Where we receive; the stream keeps its m-line as long as it keeps its port.
    pub port: u16,
    /// Where we receive, if not at [`Capabilities::address`].
    pub address: Option<IpAddr>,
    /// The transport that we offer; [`Security`] tells which others we accept.
    pub protocol: Protocol,
    /// RTP codecs in order of preference.
    pub codecs: Vec<Codec>,
    /// Formats of transports other than RTP.
    pub formats: Vec<Token>,
    /// What we would like to do when nobody holds.
    pub direction: Direction,
    /// Whether we hold the peer.
    pub on_hold: bool,
    /// How RTP is protected.
    pub security: Security,
    /// How much media we would like in each packet.
    pub packet_time: Option<Duration>,
    /// Further attributes that we write as they are.
    pub attributes: Vec<Attribute>,
}

/// Which addresses, besides unicast ones of other machines, we agree to send media
/// to. Without a policy a caller could point our media at a whole network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DestinationPolicy {
    /// Loopback addresses although ours is none. A peer on the same machine is
    /// always accepted where our own address is loopback.
    pub loopback: bool,
    /// Groups.
    pub multicast: bool,
}

impl Capabilities {
    /// No streams yet.
    pub fn new(origin: Origin, address: IpAddr) -> Capabilities {
        Capabilities {
            origin,
            session_name: composed("-"),
            address,
            streams: Vec::new(),
            destinations: DestinationPolicy::default(),
        }
    }

    /// The same with one more stream.
    pub fn with(mut self, stream: StreamCapability) -> Capabilities {
        self.streams.push(stream);
        self
    }

    /// Holds the peer, or no longer, in all streams. Takes effect with the next
    /// offer, and in every answer.
    pub fn set_on_hold(&mut self, on_hold: bool) {
        for stream in &mut self.streams {
            stream.on_hold = on_hold;
        }
    }

    /// A description without m-lines.
    fn blank(&self) -> SessionDescription {
        let mut description = SessionDescription::new(self.origin.clone());
        description.session_name = self.session_name.clone();
        description.connection = Some(ConnectionData::new(self.address));
        description
    }
}

impl StreamCapability {
    /// Plain RTP audio in both directions.
    pub fn audio(port: u16, codecs: &[Codec]) -> StreamCapability {
        StreamCapability::rtp(MediaType::Audio, port, codecs)
    }

    /// Plain RTP in both directions.
    pub fn rtp(media: MediaType, port: u16, codecs: &[Codec]) -> StreamCapability {
        StreamCapability { codecs: codecs.to_vec(), ..StreamCapability::raw(media, port, Protocol::RtpAvp, Vec::new()) }
    }

    /// MSRP (RFC 4975 §8). The address is that of the path; `*` is its format.
    pub fn msrp(port: u16, protocol: Protocol, path: Text, accept_types: Text) -> StreamCapability {
        let attribute = |name, value: Text| Attribute::new(name, value.as_str()).expect("texts hold no line break");
        let format = vec![Token::literal("*")];
        StreamCapability {
            attributes: vec![attribute("accept-types", accept_types), attribute("path", path)],
            ..StreamCapability::raw(MediaType::Message, port, protocol, format)
        }
    }

    /// A stream of any transport.
    pub fn raw(media: MediaType, port: u16, protocol: Protocol, formats: Vec<Token>) -> StreamCapability {
        StreamCapability {
            media,
            port,
            address: None,
            protocol,
            codecs: Vec::new(),
            formats,
            direction: Direction::SendRecv,
            on_hold: false,
            security: Security::None,
            packet_time: None,
            attributes: Vec::new(),
        }
    }

    /// The same, protected; the transport that we offer follows.
    pub fn secured(mut self, security: Security) -> StreamCapability {
        self.protocol = security.offered_protocol();
        self.security = security;
        self
    }

    /// What we wish now: the direction, less what hold forbids.
    pub fn desired_direction(&self) -> Direction {
        if self.on_hold { self.direction.on_hold() } else { self.direction }
    }

    /// Whether this transport can be offered or accepted, as far as its name says. The feedback profiles are accepted
    /// beside the plain ones.
    fn accepts(&self, protocol: &Protocol) -> bool {
        self.protocol == *protocol || (self.protocol.is_rtp() && self.security.accepts(protocol))
    }

    /// The m-line without what offer and answer write differently.
    fn describe(&self, protocol: Protocol, codecs: &[Codec]) -> MediaDescription {
        let mut media = MediaDescription::rtp(self.media.clone(), self.port, protocol, codecs);
        if !self.protocol.is_rtp() {
            media.formats = self.formats.clone();
        }
        media.connections = self.address.map(ConnectionData::new).into_iter().collect();
        if let Some(time) = self.packet_time {
            media.attributes.push_typed(&crate::attribute::PacketTime(time));
        }
        media.attributes.extend(self.attributes.iter().cloned());
        media
    }
}

/// Which stream of ours belongs to which m-line.
struct Assignment {
    /// For each m-line an index into the streams.
    by_media: Vec<Option<usize>>,
    taken: Vec<bool>,
}

impl Assignment {
    fn new(media: usize, streams: usize) -> Assignment {
        Assignment { by_media: vec![None; media], taken: vec![false; streams] }
    }

    /// Gives an m-line the first stream that suits it, unless it has one.
    fn assign(&mut self, media: usize, streams: &[StreamCapability], suits: impl Fn(&StreamCapability) -> bool) {
        let Some(slot @ None) = self.by_media.get_mut(media) else {
            return;
        };
        let mut free = streams.iter().zip(&mut self.taken).enumerate().filter(|(_, (_, taken))| !**taken);
        if let Some((index, (_, taken))) = free.find(|(_, (stream, _))| suits(stream)) {
            *taken = true;
            *slot = Some(index);
        }
    }

    /// The streams that have no m-line.
    fn left_over(&self) -> impl Iterator<Item = usize> + '_ {
        let taken = self.taken.iter().enumerate();
        taken.filter(|(_, taken)| !**taken).map(|(index, _)| index)
    }
}
