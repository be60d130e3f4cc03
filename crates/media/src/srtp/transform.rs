//! What is done to one packet whose index is known: encryption and authentication of RTP (RFC 3711 §3.3, RFC 7714 §8)
//! and of RTCP (RFC 3711 §3.4, RFC 7714 §9).
//!
//! ```text
//!   counter mode   | header | encrypted payload |                       [MKI] | tag |
//!                  |<-------- authenticated, with ROC ------->|
//!   AES-GCM        | header | encrypted payload | tag |                 [MKI] |
//!
//!   counter mode   | 8 octets | encrypted rest |       | E, SRTCP index | [MKI] | tag |
//!                  |<------------- authenticated -------------------->|
//!   AES-GCM        | 8 octets | encrypted rest | tag | E, SRTCP index | [MKI] |
//! ```

use super::counter::CounterMode;
use super::derivation::{Label, derive};
use super::keys::MasterKey;
use super::{Profile, SrtpError};
use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes128Gcm, Aes256Gcm, KeyInit};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use subtle::ConstantTimeEq;

/// Octets of an RTCP header that stay readable: the first word and the sender's SSRC.
pub(super) const RTCP_HEADER: usize = 8;
/// Octets of the SRTCP index with its flag.
const RTCP_INDEX: usize = 4;
/// The flag before the SRTCP index: the packet is encrypted.
const ENCRYPTED: u32 = 1 << 31;
/// An SRTCP index has 31 bits.
pub(super) const RTCP_INDEXES: u32 = ENCRYPTED;

/// The session keys of one direction under one master key.
pub(super) struct Transform {
    rtp: Cipher,
    rtcp: Cipher,
    identifier: Vec<u8>,
    rtp_tag: usize,
    rtcp_tag: usize,
}

/// Session keys for RTP or for RTCP.
enum Cipher {
    Counter(Box<Counter>),
    Galois { cipher: Galois, salt: [u8; 12] },
}

struct Counter {
    cipher: CounterMode,
    salt: [u8; 14],
    authentication: Hmac<Sha1>,
}

enum Galois {
    Aes128(Box<Aes128Gcm>),
    Aes256(Box<Aes256Gcm>),
}

/// An RTP packet's place: where its payload begins and which index it has.
#[derive(Clone, Copy)]
pub(super) struct RtpPlace {
    pub(super) header: usize,
    pub(super) ssrc: u32,
    /// 2^16 × ROC + sequence number.
    pub(super) index: u64,
}

impl Transform {
    pub(super) fn new(profile: Profile, master: &MasterKey) -> Transform {
        use Label::*;
        Transform {
            rtp: Cipher::new(profile, master, [RtpEncryption, RtpAuthentication, RtpSalt]),
            rtcp: Cipher::new(profile, master, [RtcpEncryption, RtcpAuthentication, RtcpSalt]),
            identifier: master.identifier.clone(),
            rtp_tag: profile.rtp_tag_length(),
            rtcp_tag: profile.rtcp_tag_length(),
        }
    }

    /// The vectors of RFC 7714 begin at session keys.
    #[cfg(test)]
    pub(super) fn of_session_key(key: &[u8], salt: &[u8]) -> Transform {
        let profile = if key.len() == 16 { Profile::AeadAes128Gcm } else { Profile::AeadAes256Gcm };
        let cipher = || Cipher::Galois { cipher: Galois::new(key), salt: salt.try_into().expect("a salt of 96 bits") };
        let tag = profile.rtp_tag_length();
        Transform { rtp: cipher(), rtcp: cipher(), identifier: Vec::new(), rtp_tag: tag, rtcp_tag: tag }
    }

    /// Octets behind the payload of a protected RTP packet.
    fn rtp_trailer(&self) -> usize {
        self.identifier.len() + self.rtp_tag
    }

    /// Octets behind the payload of a protected RTCP packet.
    fn rtcp_trailer(&self) -> usize {
        RTCP_INDEX + self.identifier.len() + self.rtcp_tag
    }

    pub(super) fn protect_rtp(&self, packet: &mut Vec<u8>, place: RtpPlace) {
        let (header, payload) = packet.split_at_mut(place.header);
        match &self.rtp {
            Cipher::Counter(keys) => {
                let Counter { cipher, salt, authentication } = &**keys;
                cipher.apply(counter(salt, place.ssrc, place.index), payload);
                let tag = tag(authentication, &[packet, &roc(place.index)]);
                packet.extend_from_slice(&self.identifier);
                packet.extend_from_slice(&tag[..self.rtp_tag]);
            }
            Cipher::Galois { cipher, salt } => {
                let tag = cipher.encrypt(rtp_nonce(salt, place), header, payload);
                packet.extend_from_slice(&tag);
                packet.extend_from_slice(&self.identifier);
            }
        }
    }

    /// Returns the length of the RTP packet; the packet is as before if it is not authentic.
    pub(super) fn unprotect_rtp(&self, packet: &mut [u8], place: RtpPlace) -> Result<usize, SrtpError> {
        let end = packet.len().checked_sub(self.rtp_trailer()).filter(|end| *end >= place.header);
        let end = end.ok_or(SrtpError::Malformed)?;
        let (content, trailer) = packet.split_at_mut(end);
        match &self.rtp {
            Cipher::Counter(keys) => {
                let Counter { cipher, salt, authentication } = &**keys;
                let (identifier, found) = trailer.split_at(self.identifier.len());
                let expected = tag(authentication, &[content, &roc(place.index)]);
                self.check(identifier, &expected[..self.rtp_tag], found)?;
                cipher.apply(counter(salt, place.ssrc, place.index), &mut content[place.header..]);
            }
            Cipher::Galois { cipher, salt } => {
                let (tag, identifier) = trailer.split_at(self.rtp_tag);
                self.check(identifier, &[], &[])?;
                let (header, payload) = content.split_at_mut(place.header);
                cipher.decrypt(rtp_nonce(salt, place), header, payload, tag)?;
            }
        }
        Ok(end)
    }

    /// The packet is at least [`RTCP_HEADER`] long, the index less than [`RTCP_INDEXES`].
    pub(super) fn protect_rtcp(&self, packet: &mut Vec<u8>, ssrc: u32, index: u32) {
        let (header, rest) = packet.split_at_mut(RTCP_HEADER);
        let word = (ENCRYPTED | index).to_be_bytes();
        match &self.rtcp {
            Cipher::Counter(keys) => {
                let Counter { cipher, salt, authentication } = &**keys;
                cipher.apply(counter(salt, ssrc, index.into()), rest);
                packet.extend_from_slice(&word);
                let tag = tag(authentication, &[packet]);
                packet.extend_from_slice(&self.identifier);
                packet.extend_from_slice(&tag[..self.rtcp_tag]);
            }
            Cipher::Galois { cipher, salt } => {
                let mut authenticated = [0; RTCP_HEADER + RTCP_INDEX];
                authenticated[..RTCP_HEADER].copy_from_slice(header);
                authenticated[RTCP_HEADER..].copy_from_slice(&word);
                let tag = cipher.encrypt(rtcp_nonce(salt, ssrc, index), &authenticated, rest);
                packet.extend_from_slice(&tag);
                packet.extend_from_slice(&word);
                packet.extend_from_slice(&self.identifier);
            }
        }
    }

    /// The index that an SRTCP packet carries.
    pub(super) fn rtcp_index(&self, packet: &[u8]) -> Option<u32> {
        let behind = match &self.rtcp {
            Cipher::Counter(_) => self.identifier.len() + self.rtcp_tag,
            Cipher::Galois { .. } => self.identifier.len(),
        };
        let end = packet.len().checked_sub(behind)?;
        packet.get(..end)?.last_chunk().map(|word| u32::from_be_bytes(*word) & !ENCRYPTED)
    }

    /// Returns the length of the RTCP packet; the packet is as before if it is not authentic.
    pub(super) fn unprotect_rtcp(&self, packet: &mut [u8], ssrc: u32) -> Result<usize, SrtpError> {
        let end = packet.len().checked_sub(self.rtcp_trailer()).filter(|end| *end >= RTCP_HEADER);
        let end = end.ok_or(SrtpError::Malformed)?;
        match &self.rtcp {
            Cipher::Counter(keys) => {
                let Counter { cipher, salt, authentication } = &**keys;
                let (content, trailer) = packet.split_at_mut(end + RTCP_INDEX);
                let (identifier, found) = trailer.split_at(self.identifier.len());
                let expected = tag(authentication, &[content]);
                self.check(identifier, &expected[..self.rtcp_tag], found)?;
                let (content, word) = content.split_at_mut(end);
                let word = word_of(word);
                if word & ENCRYPTED != 0 {
                    let counter = counter(salt, ssrc, (word & !ENCRYPTED).into());
                    cipher.apply(counter, &mut content[RTCP_HEADER..]);
                }
            }
            Cipher::Galois { cipher, salt } => {
                let (content, trailer) = packet.split_at_mut(end);
                let (tag, trailer) = trailer.split_at(self.rtcp_tag);
                let (word, identifier) = trailer.split_at(RTCP_INDEX);
                self.check(identifier, &[], &[])?;
                let nonce = rtcp_nonce(salt, ssrc, word_of(word) & !ENCRYPTED);
                if word_of(word) & ENCRYPTED != 0 {
                    let (header, rest) = content.split_at_mut(RTCP_HEADER);
                    let mut authenticated = [0; RTCP_HEADER + RTCP_INDEX];
                    authenticated[..RTCP_HEADER].copy_from_slice(header);
                    authenticated[RTCP_HEADER..].copy_from_slice(word);
                    cipher.decrypt(nonce, &authenticated, rest, tag)?;
                } else {
                    // RFC 7714 §9.3: all of it is authenticated only. Rare enough to be copied.
                    let authenticated = [&*content, word].concat();
                    cipher.decrypt(nonce, &authenticated, &mut [], tag)?;
                }
            }
        }
        Ok(end)
    }

    /// The identifier names this key, and the tag is the expected one.
    fn check(&self, identifier: &[u8], expected: &[u8], found: &[u8]) -> Result<(), SrtpError> {
        let same = identifier == self.identifier && bool::from(expected.ct_eq(found));
        same.then_some(()).ok_or(SrtpError::Unauthentic)
    }
}

impl Cipher {
    fn new(profile: Profile, master: &MasterKey, [encryption, authentication, salting]: [Label; 3]) -> Cipher {
        let mut key = [0; 32];
        let key = &mut key[..profile.key_length()];
        derive(master, encryption, key);
        match profile {
            Profile::AeadAes128Gcm | Profile::AeadAes256Gcm => {
                let mut salt = [0; 12];
                derive(master, salting, &mut salt);
                Cipher::Galois { cipher: Galois::new(key), salt }
            }
            _ => {
                let mut salt = [0; 14];
                derive(master, salting, &mut salt);
                // RFC 3711 §5.2: 160 bits.
                let mut session_key = [0; 20];
                derive(master, authentication, &mut session_key);
                let authentication = Hmac::new_from_slice(&session_key).expect("HMAC takes keys of any length");
                Cipher::Counter(Box::new(Counter { cipher: CounterMode::new(key), salt, authentication }))
            }
        }
    }
}

impl Galois {
    /// The length of the key decides the cipher: 16 or 32 octets.
    fn new(key: &[u8]) -> Galois {
        const LENGTH: &str = "profiles have keys of these lengths only, and keys are checked by them";
        match key.len() {
            16 => Galois::Aes128(Box::new(Aes128Gcm::new_from_slice(key).expect(LENGTH))),
            _ => Galois::Aes256(Box::new(Aes256Gcm::new_from_slice(key).expect(LENGTH))),
        }
    }

    fn encrypt(&self, nonce: [u8; 12], authenticated: &[u8], octets: &mut [u8]) -> [u8; 16] {
        const SHORT: &str = "a datagram is far shorter than what a nonce may encrypt";
        let (nonce, octets) = ((&nonce).into(), octets.into());
        match self {
            Galois::Aes128(cipher) => cipher.encrypt_inout_detached(nonce, authenticated, octets).expect(SHORT).into(),
            Galois::Aes256(cipher) => cipher.encrypt_inout_detached(nonce, authenticated, octets).expect(SHORT).into(),
        }
    }

    fn decrypt(&self, nonce: [u8; 12], authenticated: &[u8], octets: &mut [u8], tag: &[u8]) -> Result<(), SrtpError> {
        let tag: &[u8; 16] = tag.try_into().map_err(|_| SrtpError::Malformed)?;
        let (nonce, octets, tag) = ((&nonce).into(), octets.into(), tag.into());
        match self {
            Galois::Aes128(cipher) => cipher.decrypt_inout_detached(nonce, authenticated, octets, tag),
            Galois::Aes256(cipher) => cipher.decrypt_inout_detached(nonce, authenticated, octets, tag),
        }
        .map_err(|_| SrtpError::Unauthentic)
    }
}

/// RFC 3711 §4.1.1: IV = (k_s × 2^16) XOR (SSRC × 2^64) XOR (i × 2^16).
fn counter(salt: &[u8; 14], ssrc: u32, index: u64) -> [u8; 16] {
    let mut salted = [0; 16];
    salted[..14].copy_from_slice(salt);
    let place = u128::from(ssrc) << 64 | u128::from(index) << 16;
    (u128::from_be_bytes(salted) ^ place).to_be_bytes()
}

/// RFC 7714 §8.1: two octets of zero, SSRC, ROC, sequence number; XOR the salt.
fn rtp_nonce(salt: &[u8; 12], place: RtpPlace) -> [u8; 12] {
    nonce(salt, place.ssrc, place.index)
}

/// RFC 7714 §9.1: two octets of zero, SSRC, two octets of zero, index; XOR the salt.
fn rtcp_nonce(salt: &[u8; 12], ssrc: u32, index: u32) -> [u8; 12] {
    nonce(salt, ssrc, index.into())
}

fn nonce(salt: &[u8; 12], ssrc: u32, index: u64) -> [u8; 12] {
    let mut nonce = *salt;
    let place = (u128::from(ssrc) << 48 | u128::from(index)).to_be_bytes();
    for (octet, place) in nonce.iter_mut().zip(&place[4..]) {
        *octet ^= place;
    }
    nonce
}

fn roc(index: u64) -> [u8; 4] {
    let [_, _, roc @ .., _, _] = index.to_be_bytes();
    roc
}

fn tag(authentication: &Hmac<Sha1>, parts: &[&[u8]]) -> [u8; 20] {
    let mut mac = authentication.clone();
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn word_of(octets: &[u8]) -> u32 {
    octets.first_chunk().map_or(0, |word| u32::from_be_bytes(*word))
}
