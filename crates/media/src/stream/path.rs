//! The way that a stream's datagrams take: the addresses that were signalled, what symmetric RTP (RFC 4961) or ICE
//! (RFC 8445) made of them, and where RTCP goes (RFC 3550 §11, RFC 3605, RFC 5761).

use std::net::SocketAddr;
use std::time::Instant;

use sdp::{Attribute, ConnectionData, MediaDescription, SessionDescription};

use super::outbox::{Component, Outbox};
use super::plan::{Encryption, StreamPlan};
use super::source::{PeerSource, Verdict, is_global};
use super::{Agreed, RandomSource};
use crate::ice::{IceAgent, IceOutput, IceRole};

/// Where a stream's datagrams come from and go to.
#[derive(Debug)]
pub(super) struct Path {
    local: SocketAddr,
    local_rtcp: Option<SocketAddr>,
    wants_mux: bool,
    /// Whether RTCP goes where RTP goes.
    muxed: bool,
    ice: Option<IceAgent>,
    /// Whether we offered, and so choose the path.
    chooses: bool,
    /// Whether the peer does ICE as well.
    with_ice: bool,
    /// The user name fragment by which the peer's last beginning of ICE is known.
    peer_fragment: Option<String>,
    /// Who was last heard, where ICE says who may be.
    heard: Option<SocketAddr>,
    signalled: Option<SocketAddr>,
    source: PeerSource,
    signalled_rtcp: Option<SocketAddr>,
    heard_rtcp: Option<SocketAddr>,
}

/// What became of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathNews {
    /// Media goes this way from now on.
    Chosen {
        local: SocketAddr,
        remote: SocketAddr,
        /// Whether the m-lines say something else.
        differs: bool,
    },
    /// No way works.
    Failed,
}

impl Path {
    pub(super) fn new(
        now: Instant,
        plan: &StreamPlan,
        local: SocketAddr,
        local_rtcp: Option<SocketAddr>,
        random: &mut RandomSource,
    ) -> Path {
        let offered = plan.offer.as_ref().and_then(|(offer, index)| Some((offer, offer.media.get(*index)?)));
        let peer_may =
            offered.is_none_or(|(offer, media)| media.attributes.has("ice-ufrag") || offer.attributes.has("ice-ufrag"));
        let ice = (plan.nat.use_ice && peer_may).then(|| {
            let role = if offered.is_some() { IceRole::Controlled } else { IceRole::Controlling };
            let mut agent = IceAgent::new(role, random);
            agent.add_host(local);
            agent.gather(now, &plan.nat.stun_servers, random);
            agent
        });
        // A handshake is made for each port (RFC 5764 §4), and an agent has one: RTCP shares it.
        let by_handshake = match plan.encryption {
            Encryption::DtlsOptional | Encryption::DtlsMandatory | Encryption::Opportunistic => true,
            Encryption::Disabled | Encryption::SdesOptional | Encryption::SdesMandatory => false,
        };
        Path {
            local,
            local_rtcp,
            wants_mux: plan.nat.rtcp_mux || ice.is_some() || by_handshake,
            muxed: false,
            ice,
            chooses: offered.is_none(),
            with_ice: false,
            peer_fragment: None,
            heard: None,
            signalled: None,
            source: PeerSource::new(now, None),
            signalled_rtcp: None,
            heard_rtcp: None,
        }
    }

    /// Takes what the peer has signalled; true if that is another address than before.
    pub(super) fn apply(
        &mut self,
        now: Instant,
        agreed: &Agreed<'_>,
        remote: &MediaDescription,
        random: &mut RandomSource,
    ) -> bool {
        let destination = agreed.agreement.destination.as_ref();
        let signalled = destination.and_then(|to| address(&to.connection, Some(to.port)));
        let signalled_rtcp = destination.and_then(|to| address(&to.rtcp_connection, to.rtcp_port));
        self.muxed = agreed.local.attributes.has("rtcp-mux") && remote.attributes.has("rtcp-mux");
        if let Some(agent) = &mut self.ice {
            self.with_ice = agent.set_remote(agreed.remote, remote, random);
            self.peer_fragment = fragment(agreed.remote, remote);
        }
        // An address of zeros holds the stream (RFC 3264 §8.4): the peer is where he was.
        let moved = signalled.is_some() && self.signalled != signalled;
        if moved {
            self.signalled = signalled;
            self.source.signal(now, signalled);
        }
        if signalled_rtcp.is_some() && self.signalled_rtcp != signalled_rtcp {
            self.signalled_rtcp = signalled_rtcp;
            self.heard_rtcp = None;
        }
        moved && !self.with_ice
    }

    /// Whether it is known what the m-line shall say.
    pub(super) fn is_gathered(&self) -> bool {
        self.ice.as_ref().is_none_or(IceAgent::is_gathered)
    }

    /// What the m-line says of where we are.
    pub(super) fn advertised(&self) -> SocketAddr {
        self.ice.as_ref().and_then(IceAgent::default_address).unwrap_or(self.local)
    }

    /// What stands below the m-line.
    pub(super) fn attributes(&self) -> Vec<Attribute> {
        let mux = self.wants_mux.then(|| Attribute::of(&sdp::RtcpMux));
        let ice = self.ice.as_ref().map(IceAgent::attributes).unwrap_or_default();
        mux.into_iter().chain(ice).collect()
    }

    /// Whether ICE says who the peer is.
    pub(super) fn uses_ice(&self) -> bool {
        self.with_ice
    }

    /// Where our packets go.
    pub(super) fn destination(&self) -> Option<SocketAddr> {
        if self.with_ice { self.ice.as_ref()?.selected().map(|pair| pair.remote) } else { self.source.destination() }
    }

    /// Where our reports go.
    pub(super) fn rtcp_destination(&self) -> Option<(Component, SocketAddr)> {
        if self.muxed {
            return Some((Component::Rtp, self.destination()?));
        }
        self.local_rtcp?;
        Some((Component::Rtcp, self.heard_rtcp.or(self.signalled_rtcp)?))
    }

    /// Whether packets from there can be the peer's at all.
    pub(super) fn admits(&self, from: SocketAddr) -> bool {
        !self.with_ice || self.ice.as_ref().is_some_and(|agent| agent.is_validated(from))
    }

    /// Whether a handshake with that address is one with the peer: it is validated, or signalled, or can at least belong
    /// to whoever signalled.
    pub(super) fn admits_dtls(&self, from: SocketAddr) -> bool {
        if self.with_ice { self.admits(from) } else { self.source.is_plausible(from) }
    }

    /// Whether reports from there can be the peer's.
    pub(super) fn admits_rtcp(&self, from: SocketAddr, authentic: bool) -> bool {
        if self.muxed {
            return self.admits(from) && (authentic || self.with_ice || self.source.destination() == Some(from));
        }
        let same_host = |known: Option<SocketAddr>| known.is_some_and(|known| known.ip() == from.ip());
        authentic || self.signalled_rtcp == Some(from) || same_host(self.source.destination())
    }

    /// Decides about a packet that nothing vouches for but ICE, where it runs.
    pub(super) fn judge(&mut self, now: Instant, from: SocketAddr, ssrc: u32, sequence: u16) -> Verdict {
        if self.with_ice { self.judge_validated(from) } else { self.source.judge(now, from, ssrc, sequence) }
    }

    /// Decides about a packet that is the peer's for certain.
    pub(super) fn judge_authentic(&mut self, from: SocketAddr) -> Verdict {
        if self.with_ice { self.judge_validated(from) } else { self.source.judge_authentic(from) }
    }

    fn judge_validated(&mut self, from: SocketAddr) -> Verdict {
        if self.heard.replace(from) == Some(from) { Verdict::Accept } else { Verdict::Locked }
    }

    /// Reports came from there, and were taken.
    pub(super) fn heard_rtcp(&mut self, from: SocketAddr) {
        if self.heard_rtcp.is_none() || self.signalled_rtcp == Some(from) {
            self.heard_rtcp = Some(from);
        }
    }

    /// Packets that were not the peer's.
    pub(super) fn strangers(&self) -> u64 {
        self.source.strangers()
    }

    /// Whether an address translator of ours may lie between us and the peer, whose binding ends when we are silent.
    pub(super) fn wants_keepalive(&self) -> bool {
        let peer_is_outside = self.destination().is_some_and(|peer| is_global(peer.ip()));
        !self.with_ice && peer_is_outside && !is_global(self.local.ip())
    }

    pub(super) fn handle_stun(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        if let Some(agent) = &mut self.ice {
            agent.handle(now, self.local, from, datagram);
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Some(agent) = &mut self.ice {
            agent.handle_timeout(now);
        }
    }

    pub(super) fn next_timeout(&mut self) -> Option<Instant> {
        self.ice.as_mut().and_then(IceAgent::next_timeout)
    }

    /// Where a peer sees one of our sockets: through an address translator, if he is beyond it.
    fn seen_by(&self, peer: SocketAddr, socket: SocketAddr) -> SocketAddr {
        if is_global(peer.ip()) && !is_global(socket.ip()) { self.advertised() } else { socket }
    }

    /// The peer begins ICE anew in that offer; so do we in the answer to it. False if he does not.
    pub(super) fn restart_for(
        &mut self,
        offer: &SessionDescription,
        media: &MediaDescription,
        random: &mut RandomSource,
    ) -> bool {
        let offered = fragment(offer, media);
        let restarts = self.with_ice && offered.is_some() && offered != self.peer_fragment;
        if let Some(agent) = self.ice.as_mut().filter(|_| restarts) {
            agent.restart(random);
            // What `apply` will read is what we have answered.
            self.peer_fragment = offered;
        }
        restarts
    }

    /// Carries out what the agent wants, up to the next news.
    pub(super) fn poll(&mut self, outbox: &mut Outbox) -> Option<PathNews> {
        loop {
            match self.ice.as_mut()?.poll_output()? {
                IceOutput::Send { path, datagram } => outbox.push(Component::Rtp, path.remote, datagram),
                IceOutput::Gathered => {}
                IceOutput::Selected(pair) => {
                    let local = self.seen_by(pair.remote, pair.local);
                    let differs = self.signalled != Some(pair.remote) || self.advertised() != local;
                    return Some(PathNews::Chosen { local, remote: pair.remote, differs: differs && self.chooses });
                }
                IceOutput::Failed => return Some(PathNews::Failed),
            }
        }
    }
}

fn fragment(description: &SessionDescription, media: &MediaDescription) -> Option<String> {
    media.attributes.ice_ufrag().or(description.attributes.ice_ufrag()).map(str::to_owned)
}

/// The address that a description gives; nothing for a host name or an address of zeros.
fn address(connection: &ConnectionData, port: Option<u16>) -> Option<SocketAddr> {
    let ip = connection.ip().filter(|ip| !ip.is_unspecified())?;
    Some(SocketAddr::new(ip, port.filter(|port| *port != 0)?))
}
