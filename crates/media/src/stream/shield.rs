//! Encryption of a running stream: none, SRTP with keys from the descriptions, or SRTP with keys from a DTLS handshake.
//!
//! ```text
//!              settle(plain)
//!   Unsettled ───────────────► Plain                       open
//!       │      settle(keys)
//!       ├────────────────────► Sdes                        open; other keys later: goes on with them
//!       │      settle(handshake)        start        keys
//!       └────────────────────► Dtls ──────────► … ─────► open
//! ```
//!
//! What is not open lets nothing through in either direction.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::outbox::{Component, Outbox};
use super::security::{Handshake, Protection};
use crate::dtls::{Certificate, DtlsOutput, DtlsSession, DtlsSources};
use crate::srtp::{SrtpContext, SrtpKeys};

/// Encryption of a running stream.
#[derive(Debug, Default)]
pub(super) struct Shield {
    state: State,
    news: VecDeque<ShieldNews>,
}

#[derive(Debug, Default)]
enum State {
    /// Nothing is agreed.
    #[default]
    Unsettled,
    /// What is agreed must not be used.
    Refused,
    Plain,
    Sdes(Box<SrtpContext>),
    Dtls(Box<Dtls>),
}

#[derive(Debug)]
struct Dtls {
    handshake: Handshake,
    session: Option<DtlsSession>,
    context: Option<SrtpContext>,
}

/// What became of the encryption.
#[derive(Clone, Debug)]
pub(super) enum ShieldNews {
    /// When it is open.
    Settled {
        /// In words; nothing where it is plain.
        how: Option<Arc<str>>,
        keys: Option<SrtpKeys>,
    },
    /// When a handshake has proven who that is.
    Met { peer: SocketAddr },
    /// When it will not open.
    Failed(Arc<str>),
}

impl Shield {
    /// Takes what the descriptions have settled. A handshake that was made stands, unless the peer shows another
    /// certificate or has moved (RFC 8842 §4).
    pub(super) fn settle(&mut self, protection: Protection, moved: bool) {
        match (&mut self.state, protection) {
            (State::Plain, Protection::None) => {}
            (_, Protection::None) => {
                self.state = State::Plain;
                self.news.push_back(ShieldNews::Settled { how: None, keys: None });
            }
            (State::Sdes(context), Protection::Sdes(keys)) => {
                if *context.keys() != keys {
                    context.rekey(&keys);
                    self.news.push_back(settled("SDES", keys));
                }
            }
            (_, Protection::Sdes(keys)) => {
                self.state = State::Sdes(Box::new(SrtpContext::new(&keys)));
                self.news.push_back(settled("SDES", keys));
            }
            (State::Dtls(dtls), Protection::Dtls(handshake))
                if !moved && dtls.handshake.fingerprints == handshake.fingerprints => {}
            (_, Protection::Dtls(handshake)) => {
                self.state = State::Dtls(Box::new(Dtls { handshake, session: None, context: None }));
            }
        }
    }

    /// Lets nothing through any more.
    pub(super) fn refuse(&mut self) {
        self.state = State::Refused;
    }

    /// Whether packets may go out.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Plain) || self.context().is_some()
    }

    /// Whether what comes through is certainly the peer's.
    pub(super) fn authenticates(&self) -> bool {
        self.context().is_some()
    }

    /// Protects a packet in place; false if it must not be sent.
    pub(super) fn protect_rtp(&mut self, packet: &mut Vec<u8>) -> bool {
        match self.context_mut() {
            Some(context) => context.protect_rtp(packet).is_ok(),
            None => matches!(self.state, State::Plain),
        }
    }

    /// Protects a report in place; false if it must not be sent.
    pub(super) fn protect_rtcp(&mut self, packet: &mut Vec<u8>) -> bool {
        match self.context_mut() {
            Some(context) => context.protect_rtcp(packet).is_ok(),
            None => matches!(self.state, State::Plain),
        }
    }

    /// Unprotects a packet in place and tells its length, or nothing if it is not to be heard.
    pub(super) fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Option<usize> {
        match self.context_mut() {
            Some(context) => context.unprotect_rtp(packet).ok(),
            None => matches!(self.state, State::Plain).then_some(packet.len()),
        }
    }

    /// Unprotects a report in place and tells its length, or nothing if it is not to be heard.
    pub(super) fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Option<usize> {
        match self.context_mut() {
            Some(context) => context.unprotect_rtcp(packet).ok(),
            None => matches!(self.state, State::Plain).then_some(packet.len()),
        }
    }

    /// Begins the handshake with that peer, unless it has begun or there is none.
    pub(super) fn start(&mut self, now: Instant, certificate: &Certificate, peer: SocketAddr, validated: bool) {
        let State::Dtls(dtls) = &mut self.state else { return };
        if dtls.session.is_none() {
            let sources = if validated { DtlsSources::PeerOnly } else { DtlsSources::Any };
            let Handshake { role, fingerprints } = dtls.handshake.clone();
            let mut session = DtlsSession::new(certificate, role, peer, sources, fingerprints);
            session.start(now);
            dtls.session = Some(session);
        }
    }

    /// The peer is reached at another address now.
    pub(super) fn set_remote(&mut self, now: Instant, peer: SocketAddr) {
        if let Some(session) = self.session_mut() {
            session.set_remote(now, peer);
        }
    }

    pub(super) fn handle_dtls(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        if let Some(session) = self.session_mut() {
            session.handle(now, from, datagram);
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Some(session) = self.session_mut() {
            session.handle_timeout(now);
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Dtls(dtls) => dtls.session.as_ref()?.next_timeout(),
            State::Unsettled | State::Refused | State::Plain | State::Sdes(_) => None,
        }
    }

    pub(super) fn close(&mut self, now: Instant) {
        if let Some(session) = self.session_mut() {
            session.close(now);
        }
    }

    /// Carries out what the handshake wants, up to the next news.
    pub(super) fn poll(&mut self, outbox: &mut Outbox) -> Option<ShieldNews> {
        while let State::Dtls(dtls) = &mut self.state {
            let Some(output) = dtls.session.as_mut().and_then(DtlsSession::poll_output) else { break };
            match output {
                DtlsOutput::Send { destination, datagram } => outbox.push(Component::Rtp, destination, datagram),
                DtlsOutput::Keys { keys, peer } => {
                    dtls.context = Some(SrtpContext::new(&keys));
                    self.news.push_back(ShieldNews::Met { peer });
                    self.news.push_back(settled("DTLS", keys));
                }
                DtlsOutput::Failed(error) => {
                    // What was agreed is not replaced by something weaker.
                    self.news.push_back(ShieldNews::Failed(error.to_string().into()));
                }
                DtlsOutput::Closed => tracing::debug!("the peer has closed its DTLS association"),
            }
        }
        self.news.pop_front()
    }

    fn context(&self) -> Option<&SrtpContext> {
        match &self.state {
            State::Sdes(context) => Some(context),
            State::Dtls(dtls) => dtls.context.as_ref(),
            State::Unsettled | State::Refused | State::Plain => None,
        }
    }

    fn context_mut(&mut self) -> Option<&mut SrtpContext> {
        match &mut self.state {
            State::Sdes(context) => Some(context),
            State::Dtls(dtls) => dtls.context.as_mut(),
            State::Unsettled | State::Refused | State::Plain => None,
        }
    }

    fn session_mut(&mut self) -> Option<&mut DtlsSession> {
        match &mut self.state {
            State::Dtls(dtls) => dtls.session.as_mut(),
            State::Unsettled | State::Refused | State::Plain | State::Sdes(_) => None,
        }
    }
}

fn settled(exchange: &str, keys: SrtpKeys) -> ShieldNews {
    let how = format!("{exchange} {}", keys.profile().suite().as_str());
    ShieldNews::Settled { how: Some(how.into()), keys: Some(keys) }
}
