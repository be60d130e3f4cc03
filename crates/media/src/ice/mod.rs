//! ICE: which path the media takes (RFC 8445; half trickle: RFC 8838 §16; consent: RFC 7675; description: RFC 8839).
//!
//! ```text
//!   add_host, gather ──► Gathered ──► attributes ──► offer or answer
//!   offer or answer ───► set_remote ──► checks ──► Selected(path) ──► media
//!                                         ▲ │                │
//!                                         └─┘ Send           └──► Failed: consent expired
//! ```
//!
//! - `gathering`: what STUN servers say of our sockets
//! - `description`: candidates and credentials in our and the peer's m-line
//!
//! Candidate pairs, checks, nomination and role conflicts are a crate's (decision 0015). It has one component: RTCP
//! shares the port of RTP, and candidates of a peer for component 2 are passed over. All candidates of ours are in the
//! first offer or answer (half trickle); those of the peer may come one by one. No TURN.
//!
//! The crate draws the transaction identifiers of its checks from a generator of its own; what the checks rely on are
//! credentials out of the randomness that is passed in.

mod description;
mod gathering;

#[cfg(test)]
mod tests;

use description::{Credentials, Remote};
use gathering::Gathering;
use is::stun::{StunMessage, StunPacket};
use is::{Candidate, IceAgentEvent, IceConnectionState, IceCreds, Protocol};
use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long checks may take to find a first path.
pub const CHECK_LIMIT: Duration = Duration::from_secs(30);

/// Addresses that a peer may send checks from, besides those it announced. Each makes a candidate.
const SOURCES: usize = 64;

/// Who chooses the path (RFC 8445 §6.1.1): the offerer, or whoever is not lite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IceRole {
    /// We choose.
    Controlling,
    /// The peer chooses.
    Controlled,
}

/// One stream's agent. Only component 1: RTCP shares the port of RTP.
pub struct IceAgent {
    agent: is::IceAgent,
    gathering: Gathering,
    gathered: bool,
    hosts: Vec<SocketAddr>,
    remote: Option<Remote>,
    /// We began anew, and the peer has not answered yet.
    restarting: bool,
    /// The addresses that authentic checks came from.
    sources: HashSet<SocketAddr>,
    selected: Option<IcePair>,
    search: Search,
    /// The last time that was told.
    now: Option<Instant>,
    /// Something changed that the checks have to be told of.
    stirred: bool,
    output: VecDeque<IceOutput>,
}

/// How far the checks are with a peer's credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Search {
    New,
    /// They have found nothing yet, and will have failed then.
    Until(Instant),
    /// They found something, or failed.
    Over,
}

/// A path: from one of our sockets to an address of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IcePair {
    /// The socket's address.
    pub local: SocketAddr,
    /// Where the peer is reached.
    pub remote: SocketAddr,
}

/// What an agent wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IceOutput {
    /// Send this datagram from that socket.
    Send {
        /// From which of our sockets, to where.
        path: IcePair,
        /// What.
        datagram: Vec<u8>,
    },
    /// All servers have answered or were given up: the offer or answer can be written.
    Gathered,
    /// Media goes this way from now on. May come again when a better path is found.
    Selected(IcePair),
    /// No path works, or the one in use stopped working (consent expired): send nothing until the next
    /// [`IceOutput::Selected`].
    Failed,
}

impl IceAgent {
    /// An agent with fresh credentials. `random` fills its argument with octets from a cryptographic source.
    pub fn new(role: IceRole, random: &mut dyn FnMut(&mut [u8])) -> IceAgent {
        let mut agent = is::IceAgent::new(Credentials::fresh(random).into());
        let mut tie_breaker = [0; 8];
        random(&mut tie_breaker);
        agent.set_control_tie_breaker(u64::from_be_bytes(tie_breaker));
        agent.set_controlling(role == IceRole::Controlling);
        IceAgent {
            agent,
            gathering: Gathering::default(),
            gathered: false,
            hosts: Vec::new(),
            remote: None,
            restarting: false,
            sources: HashSet::new(),
            selected: None,
            search: Search::New,
            now: None,
            stirred: false,
            output: VecDeque::new(),
        }
    }

    /// Adds one of our sockets, by the address that it is bound to.
    pub fn add_host(&mut self, address: SocketAddr) {
        // Addresses of no interface (0.0.0.0) and of no use (multicast) make no candidate.
        if let Ok(candidate) = Candidate::host(address, Protocol::Udp)
            && self.agent.add_local_candidate(candidate).is_some()
        {
            self.hosts.push(address);
            self.stirred = true;
        }
    }

    /// Asks these STUN servers how the sockets look from outside, then says [`IceOutput::Gathered`]; at once, if
    /// there are no servers.
    pub fn gather(&mut self, now: Instant, servers: &[SocketAddr], random: &mut dyn FnMut(&mut [u8])) {
        self.gathering.begin(now, &self.hosts, servers, random);
        self.gathered = false;
        self.handle_timeout(now);
    }

    /// Whether [`IceOutput::Gathered`] has come.
    pub fn is_gathered(&self) -> bool {
        self.gathered
    }

    /// Our role, which a conflict may have changed.
    pub fn role(&self) -> IceRole {
        if self.agent.controlling() { IceRole::Controlling } else { IceRole::Controlled }
    }

    /// What goes below our m-line: credentials, options, candidates, `end-of-candidates`.
    pub fn attributes(&self) -> Vec<sdp::Attribute> {
        description::attributes(&self.agent)
    }

    /// `a=remote-candidates` for a later offer of the controlling side (RFC 8839 §4.4.1.2.2): the path that we chose.
    pub fn remote_candidates(&self) -> Option<sdp::Attribute> {
        let pair = self.selected.filter(|_| self.role() == IceRole::Controlling)?;
        description::remote_candidates(pair.remote)
    }

    /// The address for `c=` and `m=` (RFC 8839 §4.2.1.2): the most probable one to reach us at, if the peer did not do
    /// ICE.
    pub fn default_address(&self) -> Option<SocketAddr> {
        description::default_address(&self.agent)
    }

    /// Reads the peer's m-line, in an offer or an answer, first or later. False if the peer does not do ICE, or not
    /// with the address that it announced (RFC 8839 §4.2.5): then media goes where `c=` and `m=` say.
    ///
    /// Other credentials than before are a restart by the peer (RFC 8445 §9); ours are made anew then.
    pub fn set_remote(
        &mut self,
        description: &sdp::SessionDescription,
        media: &sdp::MediaDescription,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> bool {
        let Some(remote) = Remote::read(description, media) else {
            return false;
        };
        let known = self.remote.as_ref().map(|known| &known.credentials);
        if known != Some(&remote.credentials) {
            if known.is_some() && !std::mem::take(&mut self.restarting) {
                self.begin_anew(random);
            }
            // RFC 8445 §6.1.1: who is lite does not choose.
            if remote.is_lite {
                self.agent.set_controlling(true);
            }
            self.agent.set_remote_credentials(remote.credentials.clone().into());
            self.search = Search::New;
        }
        let candidates = remote.candidates.clone();
        self.remote = Some(remote);
        for candidate in &candidates {
            self.add_candidate(candidate);
        }
        self.stirred = true;
        true
    }

    /// A candidate that came by itself (the value of `a=candidate`). False if it is of no use.
    pub fn add_remote_candidate(&mut self, value: &str) -> bool {
        use sdp::TypedAttribute;
        let candidate = sdp::Candidate::parse(value.trim_ascii().trim_start_matches("candidate:"));
        let added = self.remote.is_some() && candidate.is_ok_and(|candidate| self.add_candidate(&candidate));
        self.stirred |= added;
        added
    }

    /// Begins anew with fresh credentials; the path in use stays in use meanwhile. An offer has to follow.
    pub fn restart(&mut self, random: &mut dyn FnMut(&mut [u8])) {
        self.restarting = self.remote.is_some();
        self.begin_anew(random);
    }

    /// A datagram came at one of our sockets that [`crate::demux`] takes for STUN.
    pub fn handle(&mut self, now: Instant, local: SocketAddr, source: SocketAddr, datagram: &[u8]) {
        self.now = Some(now);
        match self.gathering.handle(local, source, datagram) {
            Some(reflexive) => {
                let candidate = reflexive.and_then(|reflexive| {
                    Candidate::server_reflexive(reflexive.mapped, reflexive.base, Protocol::Udp).ok()
                });
                if let Some(candidate) = candidate {
                    self.agent.add_local_candidate(candidate);
                }
            }
            None => self.handle_check(now, local, source, datagram),
        }
        self.collect();
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = Some(now);
        for (local, remote, datagram) in self.gathering.handle_timeout(now) {
            self.output.push_back(IceOutput::Send { path: IcePair { local, remote }, datagram });
        }
        if self.remote.is_some() {
            self.agent.handle_timeout(now);
            self.stirred = false;
            match self.search {
                Search::New => self.search = Search::Until(now + CHECK_LIMIT),
                Search::Until(limit) if limit <= now => self.give_up(),
                Search::Until(_) | Search::Over => {}
            }
        }
        self.collect();
    }

    /// When [`IceAgent::handle_timeout`] is next needed; an instant that has passed means at once, as after
    /// [`IceAgent::set_remote`].
    pub fn next_timeout(&mut self) -> Option<Instant> {
        let gathering = self.gathering.next_timeout();
        if self.remote.is_none() {
            return gathering;
        }
        let checks = if self.stirred { self.now } else { self.agent.poll_timeout() };
        let limit = match self.search {
            Search::Until(limit) => Some(limit),
            Search::New | Search::Over => None,
        };
        [gathering, checks, limit].into_iter().flatten().min()
    }

    /// What is to be done; ask until there is nothing, after every call of another method.
    pub fn poll_output(&mut self) -> Option<IceOutput> {
        self.output.pop_front()
    }

    /// The path in use.
    pub fn selected(&self) -> Option<IcePair> {
        self.selected
    }

    /// Whether connectivity checks with that address have succeeded, so that a DTLS handshake or media from it is
    /// not a stranger's.
    pub fn is_validated(&self, source: SocketAddr) -> bool {
        self.selected.is_some_and(|pair| pair.remote == source) || self.agent.has_viable_remote_candidate(source)
    }

    fn begin_anew(&mut self, random: &mut dyn FnMut(&mut [u8])) {
        self.agent.ice_restart(Credentials::fresh(random).into(), true);
        self.sources.clear();
        self.search = Search::New;
        self.stirred = true;
    }

    fn give_up(&mut self) {
        if self.search == Search::Over && self.selected.is_none() {
            return;
        }
        self.search = Search::Over;
        self.selected = None;
        self.output.push_back(IceOutput::Failed);
    }

    fn add_candidate(&mut self, candidate: &sdp::Candidate) -> bool {
        let near = self.hosts.iter().any(|host| host.ip().is_loopback());
        match description::remote_candidate(candidate, near) {
            Some(candidate) if self.agent.remote_candidates().count() < SOURCES => {
                self.agent.add_remote_candidate(candidate);
                true
            }
            _ => false,
        }
    }

    fn handle_check(&mut self, now: Instant, local: SocketAddr, source: SocketAddr, datagram: &[u8]) {
        let known = self.sources.contains(&source);
        if !known && self.sources.len() >= SOURCES {
            return;
        }
        let Ok(message) = StunMessage::parse(datagram) else {
            return;
        };
        let packet = StunPacket { proto: Protocol::Udp, source, destination: local, message };
        if self.agent.handle_packet(now, packet) {
            self.sources.insert(source);
            self.stirred = true;
        }
    }

    fn collect(&mut self) {
        if !self.gathered && self.gathering.is_over() {
            self.gathered = true;
            self.output.push_back(IceOutput::Gathered);
        }
        while let Some(transmit) = self.agent.poll_transmit() {
            let path = IcePair { local: transmit.source, remote: transmit.destination };
            self.output.push_back(IceOutput::Send { path, datagram: transmit.contents.to_vec() });
        }
        while let Some(event) = self.agent.poll_event() {
            match event {
                IceAgentEvent::NominatedSend { source: local, destination: remote, .. } => {
                    let pair = IcePair { local, remote };
                    self.search = Search::Over;
                    if self.selected.replace(pair) != Some(pair) {
                        self.output.push_back(IceOutput::Selected(pair));
                    }
                }
                IceAgentEvent::IceConnectionStateChange(IceConnectionState::Disconnected) => self.give_up(),
                IceAgentEvent::IceRestart(_)
                | IceAgentEvent::IceConnectionStateChange(_)
                | IceAgentEvent::DiscoveredRecv { .. } => {}
            }
        }
    }
}

impl From<Credentials> for IceCreds {
    fn from(credentials: Credentials) -> IceCreds {
        IceCreds { ufrag: credentials.ufrag.as_str().to_owned(), pass: credentials.password.as_str().to_owned() }
    }
}

/// Passwords do not belong in logs.
impl fmt::Debug for IceAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceAgent")
            .field("role", &self.role())
            .field("state", &self.agent.state())
            .field("selected", &self.selected)
            .finish_non_exhaustive()
    }
}
