//! One handshake with one address, and the association afterwards. The state machine is the crate's; this gives it a
//! fresh start when it fails, and limits what it keeps.

use super::certificate::{Certificate, is_announced};
use super::flights::Flights;
use super::records::{Kind, Record, sift};
use super::{DtlsError, DtlsRole};
use crate::srtp::{Exporter, Profile, SrtpKeys};
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, HandshakeConfig};
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::TransportProtocol;
use sdp::Fingerprint;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Datagrams that a handshake may take before it begins anew: with every flight sent seven times still not a hundred.
const HANDSHAKE_DATAGRAMS: u32 = 200;

/// Datagrams with records in the clear that are looked at afterwards: a peer that did not hear our last flight sends
/// its own again, a few times.
const LATE_DATAGRAMS: u32 = 32;

/// How long a client waits after a failure, so that two ends that don't fit do not exchange failures without a break.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a handshake has to have stood still before a client is believed that it begins anew.
const STANDSTILL: Duration = Duration::from_secs(1);

/// How long a handshake may stand still without anything to send again.
const DEAD_END: Duration = Duration::from_secs(5);

/// The label that keys are exported under (RFC 5764 §4.2).
const EXPORTER: &str = "EXTRACTOR-dtls_srtp";

/// The profiles that we offer, the first preferred. AES-GCM with 128 bits costs least.
const PROFILES: [(Profile, SrtpProtectionProfile); 4] = [
    (Profile::AeadAes128Gcm, SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm),
    (Profile::AesCm128HmacSha1_80, SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80),
    (Profile::AeadAes256Gcm, SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm),
    (Profile::AesCm128HmacSha1_32, SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_32),
];

pub(super) struct Association {
    config: Arc<HandshakeConfig>,
    role: DtlsRole,
    endpoint: Endpoint,
    /// What came of the peer's next flight.
    flights: Flights,
    /// When the last whole flight came.
    heard: Option<Instant>,
    /// The address under which the endpoint knows the peer, wherever its datagrams go.
    peer: SocketAddr,
    /// Datagrams that may still come in this phase.
    budget: u32,
    established: bool,
    /// When a client whose handshake failed begins it anew.
    resume: Option<Instant>,
    last_alert: Option<u8>,
    last_error: Option<String>,
}

/// What came of an input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Nothing,
    /// The handshake is complete and the certificate is the announced one.
    Established(SrtpKeys),
    /// The handshake is complete, or never will be, with this outcome; another beginning would end alike.
    Rejected(DtlsError),
    /// The peer is gone.
    Closed,
}

/// What all handshakes of a session share.
pub(super) fn configure(certificate: &Certificate, role: DtlsRole) -> Result<Arc<HandshakeConfig>, DtlsError> {
    let builder = ConfigBuilder::default()
        .with_crypto_provider(certificate.provider())
        .with_certificates(vec![certificate.with_key()])
        .with_srtp_protection_profiles(PROFILES.iter().map(|(_, profile)| *profile).collect())
        // Both ends show a certificate (RFC 5763 §5); no authority signed it, the fingerprint is what proves it.
        .with_client_auth(ClientAuthType::RequireAnyClientCert)
        .with_insecure_skip_verify(true)
        // The extension would name a host; the peer is an address.
        .with_server_name("localhost".to_owned());
    let config = builder.build(role == DtlsRole::Client, None);
    config.map(Arc::new).map_err(|error| DtlsError::Handshake(error.to_string()))
}

impl Association {
    pub(super) fn new(config: Arc<HandshakeConfig>, role: DtlsRole, peer: SocketAddr) -> Association {
        Association {
            endpoint: endpoint(&config, role, peer),
            flights: Flights::new(role),
            heard: None,
            config,
            role,
            peer,
            budget: HANDSHAKE_DATAGRAMS,
            established: false,
            resume: None,
            last_alert: None,
            last_error: None,
        }
    }

    /// A client sends its first message.
    pub(super) fn begin(&mut self, now: Instant) {
        if self.role == DtlsRole::Client {
            let outcome = self.endpoint.connect(now, self.peer, self.config.clone(), None);
            self.last_error = outcome.err().map(|error| error.to_string()).or(self.last_error.take());
        }
    }

    pub(super) fn handle(&mut self, now: Instant, datagram: &[u8], fingerprints: &[Fingerprint]) -> Progress {
        let sifted = sift(datagram, self.role);
        self.last_alert = sifted.alert.or(self.last_alert);
        if sifted.records.is_empty() || self.resume.is_some() {
            return Progress::Nothing;
        }
        if !self.established || sifted.is_in_the_clear() {
            if self.budget == 0 {
                if !self.established {
                    self.begin_anew(now);
                }
                return Progress::Nothing;
            }
            self.budget -= 1;
        }
        let records = if self.established {
            // A peer that repeats its last flight did not hear ours.
            Some(sifted.records.iter().flat_map(|record| record.octets).copied().collect())
        } else {
            self.collect(now, &sifted.records)
        };
        records.map_or(Progress::Nothing, |records: Vec<u8>| self.read(now, &records, fingerprints))
    }

    /// The peer's flight, if it is whole.
    fn collect(&mut self, now: Instant, records: &[Record<'_>]) -> Option<Vec<u8>> {
        let stands_still = self.heard.is_none_or(|heard| now >= heard + STANDSTILL);
        for record in records {
            let hello = record.kind == Kind::Handshake && self.flights.is_another_beginning(*record);
            if hello && stands_still {
                self.begin_anew(now);
            }
            self.flights.push(*record);
        }
        let flight = self.flights.take()?;
        self.heard = Some(now);
        Some(flight)
    }

    fn read(&mut self, now: Instant, records: &[u8], fingerprints: &[Fingerprint]) -> Progress {
        match self.endpoint.read(now, self.peer, None, records.into()) {
            Ok(events) => self.progress(now, events, fingerprints),
            Err(error) => {
                self.last_error = Some(error.to_string());
                if self.established {
                    return Progress::Closed;
                }
                self.begin_anew(now);
                Progress::Nothing
            }
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.resume.is_some_and(|at| at <= now) {
            self.resume = None;
            self.begin(now);
        }
        if self.endpoint.get_connection_state(self.peer).is_none() || self.established {
            return;
        }
        // Either the state machine has sent a flight too often, or it waits for something that will not come.
        let given_up = self.endpoint.handle_timeout(self.peer, now).is_err();
        if given_up || self.dead_end().is_some_and(|at| at <= now) {
            self.begin_anew(now);
        }
    }

    /// When a handshake without a retransmission timer is given up.
    fn dead_end(&self) -> Option<Instant> {
        let waits = !self.established && self.endpoint.poll_timeout(&self.peer).is_none();
        self.heard.filter(|_| waits).map(|heard| heard + DEAD_END)
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let retransmission = self.endpoint.poll_timeout(&self.peer).filter(|_| !self.established);
        self.resume.or(retransmission).or(self.dead_end())
    }

    pub(super) fn poll_datagram(&mut self) -> Option<Vec<u8>> {
        self.endpoint.poll_transmit().map(|transmit| transmit.message.to_vec())
    }

    pub(super) fn close(&mut self, now: Instant) {
        if self.established {
            self.endpoint.stop(now, self.peer);
        }
    }

    /// Why it did not get anywhere until now.
    pub(super) fn complaint(&self) -> DtlsError {
        match (&self.last_alert, &self.last_error) {
            (Some(alert), _) => DtlsError::Handshake(format!("the peer sent alert {alert}")),
            (None, Some(error)) => DtlsError::Handshake(error.clone()),
            (None, None) => DtlsError::TimedOut,
        }
    }

    /// What failed may have been a stranger's doing. Nothing is said about it to the peer, which would believe it.
    fn begin_anew(&mut self, now: Instant) {
        self.endpoint = endpoint(&self.config, self.role, self.peer);
        self.flights = Flights::new(self.role);
        self.heard = None;
        self.budget = HANDSHAKE_DATAGRAMS;
        self.resume = (self.role == DtlsRole::Client).then(|| now + PAUSE);
    }

    fn progress(&mut self, now: Instant, events: Vec<EndpointEvent>, fingerprints: &[Fingerprint]) -> Progress {
        let mut progress = Progress::Nothing;
        for event in events {
            match event {
                EndpointEvent::HandshakeComplete => {
                    self.established = true;
                    self.budget = LATE_DATAGRAMS;
                    progress = match self.keys(fingerprints) {
                        Ok(keys) => Progress::Established(keys),
                        Err(error) => {
                            self.close(now);
                            return Progress::Rejected(error);
                        }
                    };
                }
                EndpointEvent::PeerClosed => return Progress::Closed,
                // Nothing but keys is wanted of the association.
                _ => {}
            }
        }
        progress
    }

    fn keys(&self, fingerprints: &[Fingerprint]) -> Result<SrtpKeys, DtlsError> {
        let state = self.endpoint.get_connection_state(self.peer).ok_or(DtlsError::TimedOut)?;
        let certificate = state.peer_certificates.first().ok_or(DtlsError::Fingerprint)?;
        if !is_announced(certificate, fingerprints) {
            return Err(DtlsError::Fingerprint);
        }
        let chosen = state.srtp_protection_profile();
        let (profile, _) = PROFILES.into_iter().find(|(_, known)| *known == chosen).ok_or(DtlsError::Profile)?;
        let exported = state
            .export_keying_material(EXPORTER, &[], SrtpKeys::exported_length(profile))
            .map_err(|error| DtlsError::Handshake(error.to_string()))?;
        let us = match self.role {
            DtlsRole::Client => Exporter::Client,
            DtlsRole::Server => Exporter::Server,
        };
        SrtpKeys::from_exported(profile, &exported.into_bytes(), us).map_err(|_| DtlsError::Profile)
    }
}

fn endpoint(config: &Arc<HandshakeConfig>, role: DtlsRole, peer: SocketAddr) -> Endpoint {
    let server = (role == DtlsRole::Server).then(|| config.clone());
    // Of our own address it only makes copies.
    Endpoint::new(peer, TransportProtocol::UDP, server)
}
