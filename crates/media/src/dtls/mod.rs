//! Keys for SRTP by a DTLS handshake on the media port (RFC 5763, RFC 5764), DTLS 1.2 (RFC 6347).
//!
//! ```text
//!   a=setup, a=fingerprint ─► DtlsSession ─► Send: datagrams
//!   datagrams, time ────────►     │
//!                                 └───────► Keys ─► SrtpContext
//! ```
//!
//! - `certificate`: ours, and whether the peer's is the announced one
//! - `records`, `flights`: which records reach the handshake at all, and when
//! - `association`: one handshake with one address
//!
//! A stranger's hello does no harm: datagrams from addresses that cannot be the peer's are dropped, records that the
//! peer cannot have sent too; each address has a handshake of its own, of which only one can end with the announced
//! certificate; and a handshake that fails begins anew until its time is over. The state machine of the handshake is a
//! crate's (decision 0015); like its keys, its randomness comes from the operating system.

mod association;
mod certificate;
mod flights;
mod records;

#[cfg(test)]
mod tests;

pub use certificate::Certificate;

use crate::srtp::SrtpKeys;
use association::{Association, Progress};
use rtc_dtls::config::HandshakeConfig;
use sdp::Fingerprint;
use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a handshake may take from [`DtlsSession::start`].
pub const HANDSHAKE_LIMIT: Duration = Duration::from_secs(30);

/// Addresses besides the announced one that may have a handshake at a time, under [`DtlsSources::Any`].
const STRANGERS: usize = 8;

/// How long such a handshake keeps others waiting.
const STRANGERS_LIMIT: Duration = Duration::from_secs(3);

/// Who begins the handshake (RFC 5763 §5): the side whose `a=setup` is `active` is the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DtlsRole {
    /// We send the first message.
    Client,
    /// The peer does.
    Server,
}

/// Whose datagrams are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtlsSources {
    /// The peer's address and no other.
    PeerOnly,
    /// Every address: the caller hands in only datagrams from addresses that connectivity checks have validated, which
    /// are all the peer's.
    Checked,
    /// As a server also a few other addresses, each with a handshake of its own: there are no connectivity checks, and
    /// the peer may be behind an address translator.
    Any,
}

/// One handshake, until its keys are there, and the association afterwards.
pub struct DtlsSession {
    config: Result<Arc<HandshakeConfig>, DtlsError>,
    role: DtlsRole,
    remote: SocketAddr,
    sources: DtlsSources,
    fingerprints: Vec<Fingerprint>,
    state: State,
    /// With the remote address; there once we have started.
    association: Option<Association>,
    strangers: Vec<Stranger>,
    output: VecDeque<DtlsOutput>,
}

/// A handshake with another address than the announced one.
struct Stranger {
    address: SocketAddr,
    since: Instant,
    association: Association,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Handshaking { until: Instant },
    Established,
    Over,
}

/// What a session wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DtlsOutput {
    /// Send this datagram there.
    Send {
        /// To where.
        destination: SocketAddr,
        /// What.
        datagram: Vec<u8>,
    },
    /// The peer has proven that its certificate is the announced one; SRTP begins.
    Keys {
        /// For [`crate::srtp::SrtpContext::new`].
        keys: SrtpKeys,
        /// Who it was.
        peer: SocketAddr,
    },
    /// No keys will come.
    Failed(DtlsError),
    /// The peer has said that it is gone.
    Closed,
}

/// Why there are no keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DtlsError {
    /// No certificate could be made. Our fault.
    Certificate,
    /// The peer's certificate is not the announced one, or nothing usable was announced.
    Fingerprint,
    /// The peer has none of our SRTP profiles.
    Profile,
    /// The handshake did not come to an end in time; this was the last thing that went wrong.
    Handshake(String),
    /// The peer did not answer, or not to the end.
    TimedOut,
}

impl DtlsSession {
    /// A session that has done nothing yet. The fingerprints are all those that the peer announced; its certificate
    /// has to match one of them.
    pub fn new(
        certificate: &Certificate,
        role: DtlsRole,
        remote: SocketAddr,
        sources: DtlsSources,
        fingerprints: Vec<Fingerprint>,
    ) -> DtlsSession {
        DtlsSession {
            config: association::configure(certificate, role),
            role,
            remote,
            sources,
            fingerprints,
            state: State::New,
            association: None,
            strangers: Vec::new(),
            output: VecDeque::new(),
        }
    }

    /// Begins; a client sends its first message.
    pub fn start(&mut self, now: Instant) {
        if self.state != State::New {
            return;
        }
        match &self.config {
            Ok(config) => {
                self.state = State::Handshaking { until: now + HANDSHAKE_LIMIT };
                let mut association = Association::new(config.clone(), self.role, self.remote);
                association.begin(now);
                self.association = Some(association);
                self.collect();
            }
            Err(error) => self.fail(error.clone()),
        }
    }

    /// Our role.
    pub fn role(&self) -> DtlsRole {
        self.role
    }

    /// Whether the keys have come.
    pub fn is_established(&self) -> bool {
        self.state == State::Established
    }

    /// The peer is reached at another address now (connectivity checks have chosen another pair). Handshake and
    /// association go on there.
    pub fn set_remote(&mut self, now: Instant, remote: SocketAddr) {
        self.strangers.retain(|stranger| stranger.address != remote);
        self.remote = remote;
        self.handle_timeout(now);
    }

    /// A datagram came that [`crate::demux`] takes for DTLS.
    pub fn handle(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) {
        let is_peers = source == self.remote || self.sources == DtlsSources::Checked;
        let association = match self.state {
            State::New | State::Over => None,
            State::Handshaking { .. } if !is_peers => {
                self.admit(now, source, datagram);
                let mut strangers = self.strangers.iter_mut();
                strangers.find(|stranger| stranger.address == source).map(|stranger| &mut stranger.association)
            }
            State::Handshaking { .. } | State::Established => self.association.as_mut().filter(|_| is_peers),
        };
        let Some(association) = association else {
            return;
        };
        let progress = association.handle(now, datagram, &self.fingerprints);
        if is_peers {
            self.collect();
            self.peer_progressed(progress);
        } else {
            self.stranger_progressed(source, progress);
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        let State::Handshaking { until } = self.state else {
            return;
        };
        let Some(association) = &mut self.association else {
            return;
        };
        if until <= now {
            let complaint = association.complaint();
            return self.fail(complaint);
        }
        association.handle_timeout(now);
        self.strangers.retain(|stranger| now < stranger.since + STRANGERS_LIMIT);
        for stranger in &mut self.strangers {
            stranger.association.handle_timeout(now);
        }
        self.collect();
    }

    /// When [`DtlsSession::handle_timeout`] is next needed.
    pub fn next_timeout(&self) -> Option<Instant> {
        let State::Handshaking { until } = self.state else {
            return None;
        };
        let strangers = self.strangers.iter();
        let strangers = strangers
            .flat_map(|stranger| [Some(stranger.since + STRANGERS_LIMIT), stranger.association.next_timeout()]);
        let association = self.association.as_ref().and_then(Association::next_timeout);
        strangers.flatten().chain(association).chain([until]).min()
    }

    /// What is to be done; ask until there is nothing, after every call of another method.
    pub fn poll_output(&mut self) -> Option<DtlsOutput> {
        self.output.pop_front()
    }

    /// Tells the peer that we are gone.
    pub fn close(&mut self, now: Instant) {
        if let Some(association) = &mut self.association {
            association.close(now);
            self.collect();
        }
        self.state = State::Over;
        self.strangers.clear();
    }

    /// Gives another address a handshake of its own, if it begins one and there is room.
    fn admit(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) {
        let welcome = self.sources == DtlsSources::Any && self.role == DtlsRole::Server;
        if !welcome || self.strangers.iter().any(|stranger| stranger.address == source) {
            return;
        }
        self.strangers.retain(|stranger| now < stranger.since + STRANGERS_LIMIT);
        let begins = records::sift(datagram, self.role).is_in_the_clear();
        if let Ok(config) = &self.config
            && begins
            && self.strangers.len() < STRANGERS
        {
            let association = Association::new(config.clone(), self.role, source);
            self.strangers.push(Stranger { address: source, since: now, association });
        }
    }

    fn peer_progressed(&mut self, progress: Progress) {
        match progress {
            Progress::Nothing => {}
            Progress::Established(keys) => self.establish(keys),
            Progress::Rejected(error) => self.fail(error),
            Progress::Closed => {
                self.state = State::Over;
                self.output.push_back(DtlsOutput::Closed);
            }
        }
    }

    /// Whoever has the announced certificate is the peer, wherever its datagrams come from.
    fn stranger_progressed(&mut self, source: SocketAddr, progress: Progress) {
        let at = self.strangers.iter().position(|stranger| stranger.address == source);
        match (at, progress) {
            (Some(at), Progress::Established(keys)) => {
                self.association = Some(self.strangers.swap_remove(at).association);
                self.remote = source;
                self.collect();
                self.establish(keys);
            }
            (Some(at), Progress::Rejected(_) | Progress::Closed) => {
                self.strangers.swap_remove(at);
            }
            _ => self.collect(),
        }
    }

    fn establish(&mut self, keys: SrtpKeys) {
        self.state = State::Established;
        self.strangers.clear();
        self.output.push_back(DtlsOutput::Keys { keys, peer: self.remote });
    }

    fn fail(&mut self, error: DtlsError) {
        self.state = State::Over;
        self.strangers.clear();
        self.output.push_back(DtlsOutput::Failed(error));
    }

    /// Takes over what the handshakes want to send.
    fn collect(&mut self) {
        let announced = self.association.iter_mut().map(|association| (self.remote, association));
        let strangers = self.strangers.iter_mut().map(|stranger| (stranger.address, &mut stranger.association));
        for (destination, association) in announced.chain(strangers) {
            while let Some(datagram) = association.poll_datagram() {
                self.output.push_back(DtlsOutput::Send { destination, datagram });
            }
        }
    }
}

impl fmt::Debug for DtlsSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DtlsSession")
            .field("role", &self.role)
            .field("remote", &self.remote)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for DtlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DtlsError::Certificate => f.write_str("no certificate could be made"),
            DtlsError::Fingerprint => f.write_str("the peer's certificate is not the announced one"),
            DtlsError::Profile => f.write_str("no common SRTP profile"),
            DtlsError::Handshake(reason) => write!(f, "the handshake did not come to an end: {reason}"),
            DtlsError::TimedOut => f.write_str("the peer did not answer"),
        }
    }
}

impl std::error::Error for DtlsError {}
