//! SRTP and SRTCP (RFC 3711; AES-192 and AES-256 in counter mode: RFC 6188; AES-GCM: RFC 7714), in place.
//!
//! ```text
//!   a=crypto of both sides ─┐                       protect_rtp, protect_rtcp ─► to the socket
//!                           ├─► SrtpKeys ─► SrtpContext
//!   DTLS handshake ─────────┘                       unprotect_rtp, unprotect_rtcp ◄─ from the socket
//! ```
//!
//! - `profile`: cipher and lengths; `keys`, `sdes`: master keys; `derivation`: session keys out of them
//! - `index`: roll-over counter and replay window; `transform`, `counter`: what is done to a packet
//!
//! A packet that is not authentic changes nothing: neither roll-over counter nor replay window nor the table of
//! sources learn from it, and any number of them ends no call; they are counted. Nothing is allocated per packet, and
//! key schedules are kept.
//!
//! Not here: AES in f8 mode, key derivation rates other than zero and encrypted header extensions (RFC 6904), which
//! no description of ours offers.

mod counter;
mod derivation;
mod index;
mod keys;
mod profile;
mod sdes;
mod transform;

#[cfg(test)]
mod tests;

pub(crate) use keys::Exporter;
pub use keys::{KeyError, SrtpKeys};
pub use profile::Profile;
pub use sdes::fresh_keys;

use index::{ReplayWindow, estimate};
use std::cmp::Ordering;
use std::fmt;
use transform::{RTCP_HEADER, RTCP_INDEXES, RtpPlace, Transform};

/// SSRCs of the peer that are remembered with their roll-over counters and replay windows. Only authentic packets
/// add one, and the longest silent makes room: a peer may take a new SSRC at each change of a long call.
const SOURCES: usize = 32;

/// SSRCs that we may send under one context. More are refused, since a forgotten roll-over counter would encrypt two
/// packets alike.
const OWN_SOURCES: usize = 256;

/// Packets under new keys until the old ones are forgotten: five seconds of audio.
const GRACE: u32 = 250;

/// Protects what we send and unprotects what comes.
pub struct SrtpContext {
    keys: SrtpKeys,
    outbound: Outbound,
    inbound: Inbound,
}

/// Why a packet cannot be protected or unprotected. Never fatal: the packet is dropped, the context is as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SrtpError {
    /// Not an RTP or RTCP packet, or too short to be a protected one.
    Malformed,
    /// The tag is wrong: another key, or not from the peer.
    Unauthentic,
    /// Came before, or is older than the replay window.
    Replayed,
    /// The key has protected all packets that it may, or too many SSRCs.
    KeyExhausted,
}

/// What became of the packets that came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SrtpCounters {
    /// Packets that were authentic and new.
    pub accepted: u64,
    /// [`SrtpError::Malformed`]
    pub malformed: u64,
    /// [`SrtpError::Unauthentic`]
    pub unauthentic: u64,
    /// [`SrtpError::Replayed`]
    pub replayed: u64,
}

impl SrtpContext {
    /// A context that has seen no packet.
    pub fn new(keys: &SrtpKeys) -> SrtpContext {
        SrtpContext {
            keys: keys.clone(),
            outbound: Outbound {
                transform: Transform::new(keys.profile, &keys.local),
                sources: Vec::new(),
                rtcp_index: 0,
            },
            inbound: Inbound::new(keys),
        }
    }

    /// Goes on with other keys: sequence numbers go on (RFC 3711 §3.3.1), the last packets under the old keys are
    /// still accepted. What did not change goes on as it was.
    pub fn rekey(&mut self, keys: &SrtpKeys) {
        let same_profile = self.keys.profile == keys.profile;
        if !same_profile || self.keys.local != keys.local {
            self.outbound.transform = Transform::new(keys.profile, &keys.local);
        }
        if !same_profile || self.keys.remote != keys.remote {
            self.inbound.rekey(keys);
        }
        self.keys = keys.clone();
    }

    /// The keys in use.
    pub fn keys(&self) -> &SrtpKeys {
        &self.keys
    }

    /// Which profile is in use.
    pub fn profile(&self) -> Profile {
        self.keys.profile
    }

    /// Protects an RTP packet in place; it grows by the tag.
    pub fn protect_rtp(&mut self, packet: &mut Vec<u8>) -> Result<(), SrtpError> {
        let header = RtpHeader::read(packet).ok_or(SrtpError::Malformed)?;
        let index = self.outbound.next_index(header.ssrc, header.sequence)?;
        self.outbound.transform.protect_rtp(packet, RtpPlace { header: header.length, ssrc: header.ssrc, index });
        Ok(())
    }

    /// Unprotects an SRTP packet in place; returns how many octets of it are the RTP packet.
    pub fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let result = self.inbound.unprotect_rtp(packet);
        self.inbound.count(result)
    }

    /// Protects a compound RTCP packet in place; it grows by index and tag.
    pub fn protect_rtcp(&mut self, packet: &mut Vec<u8>) -> Result<(), SrtpError> {
        let ssrc = rtcp_ssrc(packet).ok_or(SrtpError::Malformed)?;
        let index = self.outbound.rtcp_index;
        if index >= RTCP_INDEXES {
            return Err(SrtpError::KeyExhausted);
        }
        self.outbound.rtcp_index += 1;
        self.outbound.transform.protect_rtcp(packet, ssrc, index);
        Ok(())
    }

    /// Unprotects an SRTCP packet in place; returns how many octets of it are the RTCP packet.
    pub fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let result = self.inbound.unprotect_rtcp(packet);
        self.inbound.count(result)
    }

    /// What became of the packets that came, RTP and RTCP together.
    pub fn counters(&self) -> SrtpCounters {
        self.inbound.counters
    }
}

/// What we send.
struct Outbound {
    transform: Transform,
    /// For each SSRC the highest index.
    sources: Vec<(u32, u64)>,
    /// Of the next packet, for all SSRCs together. It goes on under new keys.
    rtcp_index: u32,
}

impl Outbound {
    fn next_index(&mut self, ssrc: u32, sequence: u16) -> Result<u64, SrtpError> {
        if let Some((_, highest)) = self.sources.iter_mut().find(|(known, _)| *known == ssrc) {
            let index = estimate(*highest, sequence).ok_or(SrtpError::KeyExhausted)?;
            *highest = index.max(*highest);
            return Ok(index);
        }
        if self.sources.len() >= OWN_SOURCES {
            return Err(SrtpError::KeyExhausted);
        }
        self.sources.push((ssrc, sequence.into()));
        Ok(sequence.into())
    }
}

/// What comes.
struct Inbound {
    /// The keys in use, the first preferred, then those that they replaced.
    keys: Vec<InboundKey>,
    generation: u32,
    /// Authentic packets that are still to come before the replaced keys are forgotten.
    grace: u32,
    rtp: Sources,
    rtcp: Sources,
    counters: SrtpCounters,
}

struct InboundKey {
    transform: Transform,
    generation: u32,
}

impl Inbound {
    fn new(keys: &SrtpKeys) -> Inbound {
        Inbound {
            keys: transforms(keys, 0),
            generation: 0,
            grace: 0,
            rtp: Sources::default(),
            rtcp: Sources::default(),
            counters: SrtpCounters::default(),
        }
    }

    fn rekey(&mut self, keys: &SrtpKeys) {
        // Only the last ones are kept beside the new ones.
        self.forget_replaced();
        self.generation += 1;
        self.grace = GRACE;
        let replaced = std::mem::replace(&mut self.keys, transforms(keys, self.generation));
        self.keys.extend(replaced);
    }

    fn forget_replaced(&mut self) {
        let current = self.generation;
        self.keys.retain(|key| key.generation == current);
    }

    fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let header = RtpHeader::read(packet).ok_or(SrtpError::Malformed)?;
        let known = self.rtp.find(header.ssrc);
        let mut error = SrtpError::Malformed;
        for key in &self.keys {
            let candidates = match known.and_then(|at| self.rtp.table.get(at)) {
                Some(source) => source.rtp_indexes(header.sequence, key.generation),
                // The first packet that comes may be one behind a roll-over, if those before it were lost.
                None => [Some(header.sequence.into()), Some(1 << 16 | u64::from(header.sequence))],
            };
            if candidates == [None, None] {
                error = error.or(SrtpError::Replayed);
            }
            for index in candidates.into_iter().flatten() {
                let place = RtpPlace { header: header.length, ssrc: header.ssrc, index };
                let outcome = self
                    .rtp
                    .check(known, index, key.generation)
                    .and_then(|()| key.transform.unprotect_rtp(packet, place));
                match outcome {
                    Ok(length) => {
                        let generation = key.generation;
                        self.rtp.accept(known, header.ssrc, index, generation);
                        self.accepted(generation);
                        return Ok(length);
                    }
                    Err(failure) => error = error.or(failure),
                }
            }
        }
        Err(error)
    }

    fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let ssrc = rtcp_ssrc(packet).ok_or(SrtpError::Malformed)?;
        let known = self.rtcp.find(ssrc);
        let mut error = SrtpError::Malformed;
        for key in &self.keys {
            let Some(index) = key.transform.rtcp_index(packet).map(u64::from) else {
                continue;
            };
            let outcome =
                self.rtcp.check(known, index, key.generation).and_then(|()| key.transform.unprotect_rtcp(packet, ssrc));
            match outcome {
                Ok(length) => {
                    let generation = key.generation;
                    self.rtcp.accept(known, ssrc, index, generation);
                    self.accepted(generation);
                    return Ok(length);
                }
                Err(failure) => error = error.or(failure),
            }
        }
        Err(error)
    }

    fn accepted(&mut self, generation: u32) {
        if self.grace > 0 && generation == self.generation {
            self.grace -= 1;
            if self.grace == 0 {
                self.forget_replaced();
            }
        }
    }

    fn count(&mut self, result: Result<usize, SrtpError>) -> Result<usize, SrtpError> {
        let counters = &mut self.counters;
        *match result {
            Ok(_) => &mut counters.accepted,
            Err(SrtpError::Unauthentic | SrtpError::KeyExhausted) => &mut counters.unauthentic,
            Err(SrtpError::Malformed) => &mut counters.malformed,
            Err(SrtpError::Replayed) => &mut counters.replayed,
        } += 1;
        result
    }
}

/// The keys as announced; where they have identifiers, also without: some phones announce one and leave it out.
fn transforms(keys: &SrtpKeys, generation: u32) -> Vec<InboundKey> {
    let named = keys.remote.iter().filter(|key| !key.identifier.is_empty());
    let nameless = named.map(|key| keys::MasterKey { identifier: Vec::new(), ..key.clone() });
    let keys_and_nameless = keys.remote.iter().cloned().chain(nameless);
    keys_and_nameless.map(|key| InboundKey { transform: Transform::new(keys.profile, &key), generation }).collect()
}

/// The peer's SSRCs, of RTP or of RTCP.
#[derive(Default)]
struct Sources {
    table: Vec<Source>,
    /// Counts authentic packets, for telling which source is silent longest.
    clock: u64,
}

struct Source {
    ssrc: u32,
    window: ReplayWindow,
    /// Under which keys the last packet was authentic.
    generation: u32,
    last_heard: u64,
}

impl Sources {
    fn find(&self, ssrc: u32) -> Option<usize> {
        self.table.iter().position(|source| source.ssrc == ssrc)
    }

    /// Under newer keys than its last packet's a source may begin anew: no packet of it has come then. Under older
    /// ones only late packets can come, none ahead of the others.
    fn check(&self, known: Option<usize>, index: u64, generation: u32) -> Result<(), SrtpError> {
        let Some(source) = known.and_then(|at| self.table.get(at)) else {
            return Ok(());
        };
        let replayed = match generation.cmp(&source.generation) {
            Ordering::Greater => false,
            Ordering::Equal => source.window.is_replayed(index),
            Ordering::Less => source.window.is_replayed(index) || index > source.window.highest(),
        };
        if replayed { Err(SrtpError::Replayed) } else { Ok(()) }
    }

    /// The packet is authentic and new.
    fn accept(&mut self, known: Option<usize>, ssrc: u32, index: u64, generation: u32) {
        self.clock += 1;
        match known.and_then(|at| self.table.get_mut(at)) {
            Some(source) => {
                source.last_heard = self.clock;
                if generation > source.generation {
                    source.generation = generation;
                    if index <= source.window.highest() {
                        source.window = ReplayWindow::starting_at(index);
                        return;
                    }
                }
                source.window.accept(index);
            }
            None => {
                self.add(Source { ssrc, window: ReplayWindow::starting_at(index), generation, last_heard: self.clock })
            }
        }
    }

    fn add(&mut self, source: Source) {
        if self.table.len() < SOURCES {
            return self.table.push(source);
        }
        if let Some(silent) = self.table.iter_mut().min_by_key(|source| source.last_heard) {
            *silent = source;
        }
    }
}

impl Source {
    /// The indexes that a packet may have: the nearest one, and where keys were replaced also the one of a peer that
    /// began to count anew.
    fn rtp_indexes(&self, sequence: u16, generation: u32) -> [Option<u64>; 2] {
        let nearest = estimate(self.window.highest(), sequence);
        let anew = u64::from(sequence);
        let replaced = generation > self.generation && nearest != Some(anew);
        [nearest, replaced.then_some(anew)]
    }
}

/// The fixed part of an RTP header, as far as SRTP looks at it (RFC 3550 §5.1, §5.3.1).
struct RtpHeader {
    /// With contributing sources and extension.
    length: usize,
    sequence: u16,
    ssrc: u32,
}

impl RtpHeader {
    fn read(packet: &[u8]) -> Option<RtpHeader> {
        let (fixed, rest) = packet.split_first_chunk::<12>()?;
        if fixed[0] >> 6 != 2 {
            return None;
        }
        let mut length = fixed.len() + 4 * usize::from(fixed[0] & 0x0f);
        if fixed[0] & 0x10 != 0 {
            let extension = rest.get(length - fixed.len()..)?.first_chunk::<4>()?;
            length += 4 + 4 * usize::from(u16::from_be_bytes([extension[2], extension[3]]));
        }
        (length <= packet.len()).then_some(RtpHeader {
            length,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
        })
    }
}

/// The sender of a compound packet: the SSRC of its first packet.
fn rtcp_ssrc(packet: &[u8]) -> Option<u32> {
    let header = packet.first_chunk::<RTCP_HEADER>()?;
    (header[0] >> 6 == 2).then(|| u32::from_be_bytes([header[4], header[5], header[6], header[7]]))
}

impl SrtpError {
    /// Of the failures under several keys the one that says most.
    fn or(self, other: SrtpError) -> SrtpError {
        match (self, other) {
            (SrtpError::Replayed, _) | (_, SrtpError::Replayed) => SrtpError::Replayed,
            (SrtpError::Malformed, other) => other,
            (this, _) => this,
        }
    }
}

/// Keys do not belong in logs.
impl fmt::Debug for SrtpContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrtpContext")
            .field("profile", &self.keys.profile)
            .field("counters", &self.inbound.counters)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for SrtpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SrtpError::Malformed => "not a protected packet",
            SrtpError::Unauthentic => "the packet is not authentic",
            SrtpError::Replayed => "the packet came before or is too old",
            SrtpError::KeyExhausted => "the key has protected all packets that it may",
        })
    }
}

impl std::error::Error for SrtpError {}
