//! The profiles: which cipher, which lengths (RFC 3711 §5, RFC 6188 §5, RFC 7714 §12, RFC 4568 §6.2).

use sdp::CryptoSuite;

/// Cipher, lengths and authentication of both directions of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// AES-128 in counter mode, HMAC-SHA1 of 80 bits.
    AesCm128HmacSha1_80,
    /// AES-128 in counter mode, HMAC-SHA1 of 32 bits for RTP and of 80 bits for RTCP.
    AesCm128HmacSha1_32,
    /// AES-192 in counter mode, HMAC-SHA1 of 80 bits.
    AesCm192HmacSha1_80,
    /// AES-192 in counter mode, HMAC-SHA1 of 32 bits for RTP and of 80 bits for RTCP.
    AesCm192HmacSha1_32,
    /// AES-256 in counter mode, HMAC-SHA1 of 80 bits.
    AesCm256HmacSha1_80,
    /// AES-256 in counter mode, HMAC-SHA1 of 32 bits for RTP and of 80 bits for RTCP.
    AesCm256HmacSha1_32,
    /// AES-128 in Galois/counter mode.
    AeadAes128Gcm,
    /// AES-256 in Galois/counter mode.
    AeadAes256Gcm,
}

impl Profile {
    /// All of them.
    pub const ALL: [Profile; 8] = [
        Profile::AesCm128HmacSha1_80,
        Profile::AesCm128HmacSha1_32,
        Profile::AesCm192HmacSha1_80,
        Profile::AesCm192HmacSha1_32,
        Profile::AesCm256HmacSha1_80,
        Profile::AesCm256HmacSha1_32,
        Profile::AeadAes128Gcm,
        Profile::AeadAes256Gcm,
    ];

    /// The profile of an `a=crypto` suite, if we have it.
    pub fn of_suite(suite: &CryptoSuite) -> Option<Profile> {
        Profile::ALL.into_iter().find(|profile| profile.suite() == *suite)
    }

    /// Its name in `a=crypto`.
    pub fn suite(self) -> CryptoSuite {
        match self {
            Profile::AesCm128HmacSha1_80 => CryptoSuite::AesCm128HmacSha1_80,
            Profile::AesCm128HmacSha1_32 => CryptoSuite::AesCm128HmacSha1_32,
            Profile::AesCm192HmacSha1_80 => CryptoSuite::AesCm192HmacSha1_80,
            Profile::AesCm192HmacSha1_32 => CryptoSuite::AesCm192HmacSha1_32,
            Profile::AesCm256HmacSha1_80 => CryptoSuite::AesCm256HmacSha1_80,
            Profile::AesCm256HmacSha1_32 => CryptoSuite::AesCm256HmacSha1_32,
            Profile::AeadAes128Gcm => CryptoSuite::AeadAes128Gcm,
            Profile::AeadAes256Gcm => CryptoSuite::AeadAes256Gcm,
        }
    }

    /// Octets of the master key, and of the session keys for encryption.
    pub const fn key_length(self) -> usize {
        match self {
            Profile::AesCm128HmacSha1_80 | Profile::AesCm128HmacSha1_32 | Profile::AeadAes128Gcm => 16,
            Profile::AesCm192HmacSha1_80 | Profile::AesCm192HmacSha1_32 => 24,
            Profile::AesCm256HmacSha1_80 | Profile::AesCm256HmacSha1_32 | Profile::AeadAes256Gcm => 32,
        }
    }

    /// Octets of the master salt, and of the session salts.
    pub const fn salt_length(self) -> usize {
        if self.is_aead() { 12 } else { 14 }
    }

    /// Octets that protection adds to an RTP packet.
    pub const fn rtp_tag_length(self) -> usize {
        match self {
            Profile::AesCm128HmacSha1_80 | Profile::AesCm192HmacSha1_80 | Profile::AesCm256HmacSha1_80 => 10,
            Profile::AesCm128HmacSha1_32 | Profile::AesCm192HmacSha1_32 | Profile::AesCm256HmacSha1_32 => 4,
            Profile::AeadAes128Gcm | Profile::AeadAes256Gcm => 16,
        }
    }

    /// Octets of the tag of an RTCP packet, which has an index of four octets besides. RFC 4568 §6.2.2: 80 bits also
    /// where RTP has 32.
    pub const fn rtcp_tag_length(self) -> usize {
        if self.is_aead() { 16 } else { 10 }
    }

    pub(super) const fn is_aead(self) -> bool {
        matches!(self, Profile::AeadAes128Gcm | Profile::AeadAes256Gcm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lengths_are_those_that_a_description_is_checked_by() {
        for profile in Profile::ALL {
            let expected = profile.suite().key_and_salt_length();
            assert_eq!(Some(profile.key_length() + profile.salt_length()), expected, "{profile:?}");
            assert_eq!(Profile::of_suite(&profile.suite()), Some(profile));
        }
        assert_eq!(Profile::of_suite(&CryptoSuite::F8_128HmacSha1_80), None);
    }
}
