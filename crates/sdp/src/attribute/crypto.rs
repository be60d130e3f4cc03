//! SDES, `a=crypto` (RFC 4568; suites also of RFC 6188 and RFC 7714).
//!
//! Reads and writes keys and checks their length. Making keys needs a source of
//! randomness and is left to the media layer, and so is using them.

use super::{AttributeError, TypedAttribute};
use crate::text::{Text, Token, composed};
use std::fmt;

/// `<tag> <suite> <key params> [<session params>]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crypto {
    /// Names this line within its m-line, so that an answer can choose it.
    pub tag: u32,
    /// The suite.
    pub suite: CryptoSuite,
    /// The master keys that the writer will send with.
    pub keys: Vec<InlineKey>,
    /// `KDR=`, `UNENCRYPTED_SRTP`, `WSH=`, …
    pub session_parameters: Vec<Token>,
}

/// Cipher, lengths and authentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CryptoSuite {
    /// `AES_CM_128_HMAC_SHA1_80`
    AesCm128HmacSha1_80,
    /// `AES_CM_128_HMAC_SHA1_32`
    AesCm128HmacSha1_32,
    /// `F8_128_HMAC_SHA1_80`
    F8_128HmacSha1_80,
    /// `AES_192_CM_HMAC_SHA1_80`
    AesCm192HmacSha1_80,
    /// `AES_192_CM_HMAC_SHA1_32`
    AesCm192HmacSha1_32,
    /// `AES_256_CM_HMAC_SHA1_80`
    AesCm256HmacSha1_80,
    /// `AES_256_CM_HMAC_SHA1_32`
    AesCm256HmacSha1_32,
    /// `AEAD_AES_128_GCM`
    AeadAes128Gcm,
    /// `AEAD_AES_256_GCM`
    AeadAes256Gcm,
    /// Any other.
    Other(Token),
}

/// `inline:<key and salt>[|<lifetime>][|<MKI>:<length>]`
#[derive(Clone, PartialEq, Eq)]
pub struct InlineKey {
    /// Master key, then master salt.
    pub key_and_salt: Vec<u8>,
    /// Packets that the key may protect.
    pub lifetime: Option<u64>,
    /// The key's name in the packets.
    pub mki: Option<MasterKeyIdentifier>,
}

/// The name of a master key in SRTP packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MasterKeyIdentifier {
    /// Its value.
    pub value: u64,
    /// Octets that it takes in a packet, 1 to 128.
    pub length: u8,
}

impl CryptoSuite {
    /// Octets of master key and master salt together, if we know the suite.
    pub fn key_and_salt_length(&self) -> Option<usize> {
        use CryptoSuite::*;
        match self {
            AesCm128HmacSha1_80 | AesCm128HmacSha1_32 | F8_128HmacSha1_80 => Some(16 + 14),
            AesCm192HmacSha1_80 | AesCm192HmacSha1_32 => Some(24 + 14),
            AesCm256HmacSha1_80 | AesCm256HmacSha1_32 => Some(32 + 14),
            AeadAes128Gcm => Some(16 + 12),
            AeadAes256Gcm => Some(32 + 12),
            Other(_) => None,
        }
    }

    /// The name on the wire.
    pub fn as_str(&self) -> &str {
        use CryptoSuite::*;
        match self {
            AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            F8_128HmacSha1_80 => "F8_128_HMAC_SHA1_80",
            AesCm192HmacSha1_80 => "AES_192_CM_HMAC_SHA1_80",
            AesCm192HmacSha1_32 => "AES_192_CM_HMAC_SHA1_32",
            AesCm256HmacSha1_80 => "AES_256_CM_HMAC_SHA1_80",
            AesCm256HmacSha1_32 => "AES_256_CM_HMAC_SHA1_32",
            AeadAes128Gcm => "AEAD_AES_128_GCM",
            AeadAes256Gcm => "AEAD_AES_256_GCM",
            Other(name) => name,
        }
    }

    fn from_token(name: Token) -> CryptoSuite {
        use CryptoSuite::*;
        let known = [
            AesCm128HmacSha1_80,
            AesCm128HmacSha1_32,
            F8_128HmacSha1_80,
            AesCm192HmacSha1_80,
            AesCm192HmacSha1_32,
            AesCm256HmacSha1_80,
            AesCm256HmacSha1_32,
            AeadAes128Gcm,
            AeadAes256Gcm,
        ];
        known.into_iter().find(|suite| suite.as_str() == name.as_str()).unwrap_or(Other(name))
    }
}

impl Crypto {
    /// Whether the session parameters leave the packets as they are without any:
    /// RFC 4568 §6.3 forbids to accept a line with a parameter that one does not
    /// support, unless it begins with a minus. `WSH` is advice to the receiver.
    pub fn has_only_ignorable_parameters(&self) -> bool {
        self.session_parameters.iter().all(|parameter| parameter.starts_with('-') || parameter.starts_with("WSH="))
    }
}

impl TypedAttribute for Crypto {
    const NAME: &'static str = "crypto";

    fn parse(value: &str) -> Result<Crypto, AttributeError> {
        const MALFORMED: AttributeError = AttributeError::Malformed { name: Crypto::NAME };
        let mut words = value.split_ascii_whitespace().map(|word| Token::new(word).map_err(|_| MALFORMED));
        let mut word = || words.next().ok_or(MALFORMED)?;
        let tag = word()?;
        // RFC 4568 §9.1: one to nine digits.
        if tag.len() > 9 || !tag.bytes().all(|b| b.is_ascii_digit()) {
            return Err(MALFORMED);
        }
        let tag = tag.parse().map_err(|_| MALFORMED)?;
        let suite = CryptoSuite::from_token(word()?);
        let keys = word()?.split(';').map(|key| parse_key(key).ok_or(MALFORMED)).collect::<Result<Vec<_>, _>>()?;
        if let Some(expected) = suite.key_and_salt_length() {
            for key in &keys {
                let found = key.key_and_salt.len();
                if found != expected {
                    return Err(AttributeError::KeyLength { expected, found });
                }
            }
        }
        Ok(Crypto { tag, suite, keys, session_parameters: words.collect::<Result<_, _>>()? })
    }

    fn value(&self) -> Option<Text> {
        let keys: Vec<String> = self.keys.iter().map(print_key).collect();
        let mut value = format!("{} {} {}", self.tag, self.suite.as_str(), keys.join(";"));
        for parameter in &self.session_parameters {
            value.push(' ');
            value.push_str(parameter);
        }
        Some(composed(value))
    }
}

fn parse_key(text: &str) -> Option<InlineKey> {
    let text = text.strip_prefix("inline:")?;
    let mut parts = text.split('|');
    let mut key = InlineKey { key_and_salt: base64_decode(parts.next()?)?, lifetime: None, mki: None };
    // Either may be absent; only the MKI holds a colon.
    for part in parts {
        match part.split_once(':') {
            Some((value, length)) if key.mki.is_none() => {
                let length: u8 = length.parse().ok()?;
                key.mki = Some(MasterKeyIdentifier {
                    value: value.parse().ok()?,
                    length: (1..=128).contains(&length).then_some(length)?,
                });
            }
            None if key.lifetime.is_none() && key.mki.is_none() => {
                key.lifetime = Some(parse_lifetime(part)?);
            }
            _ => return None,
        }
    }
    Some(key)
}

/// `2^20` or a number, not zero.
fn parse_lifetime(text: &str) -> Option<u64> {
    let lifetime = match text.strip_prefix("2^") {
        Some(exponent) => 1u64.checked_shl(exponent.parse().ok()?)?,
        None => text.parse().ok()?,
    };
    (lifetime != 0).then_some(lifetime)
}

fn print_key(key: &InlineKey) -> String {
    let mut text = format!("inline:{}", base64_encode(&key.key_and_salt));
    match key.lifetime {
        Some(lifetime) if lifetime.is_power_of_two() => {
            text.push_str(&format!("|2^{}", lifetime.trailing_zeros()));
        }
        Some(lifetime) => text.push_str(&format!("|{lifetime}")),
        None => {}
    }
    if let Some(mki) = key.mki {
        text.push_str(&format!("|{}:{}", mki.value, mki.length));
    }
    text
}

/// Keys do not belong in logs.
impl fmt::Debug for InlineKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InlineKey")
            .field("octets", &self.key_and_salt.len())
            .field("lifetime", &self.lifetime)
            .field("mki", &self.mki)
            .finish_non_exhaustive()
    }
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// RFC 4648 §4. Padding may be absent, as many phones leave it out; bits that fill
/// up the last octet must be zero.
fn base64_decode(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').as_bytes();
    let mut octets = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut bits, mut held) = (0u32, 0u32);
    for character in text {
        let value = BASE64.iter().position(|c| c == character)?;
        bits = (bits << 6) | u32::try_from(value).ok()?;
        held += 6;
        if held >= 8 {
            held -= 8;
            octets.push(u8::try_from(bits >> held).ok()?);
            bits &= (1 << held) - 1;
        }
    }
    (held < 6 && bits == 0).then_some(octets)
}

fn base64_encode(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len().div_ceil(3) * 4);
    for chunk in octets.chunks(3) {
        let octet = |i: usize| u32::from(chunk.get(i).copied().unwrap_or_default());
        let bits = octet(0) << 16 | octet(1) << 8 | octet(2);
        for position in 0..4 {
            if position > chunk.len() {
                text.push('=');
            } else {
                let index = (bits >> (18 - 6 * position)) & 0x3f;
                text.push(char::from(BASE64[index as usize]));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4568 §4.1 and §10, examples.
    #[test]
    fn the_examples_of_rfc_4568_survive_the_round_trip() {
        for value in [
            "1 AES_CM_128_HMAC_SHA1_80 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR|2^20|1:32",
            "1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:4 FEC_ORDER=FEC_SRTP",
            "2 F8_128_HMAC_SHA1_80 inline:MTIzNDU2Nzg5QUJDREUwMTIzNDU2Nzg5QUJjZGVm|2^20|1:4;inline:QUJjZGVmMTIzNDU2Nzg5QUJDREUwMTIzNDU2Nzg5|2^20|2:4 FEC_ORDER=FEC_SRTP",
            "1 AES_CM_128_HMAC_SHA1_32 inline:NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj|1048577|1:4",
        ] {
            let crypto = Crypto::parse(value).unwrap();
            assert_eq!(crypto.value().unwrap(), value);
        }
    }

    #[test]
    fn an_empty_key_is_refused() {
        assert_eq!(
            Crypto::parse("1 AES_CM_128_HMAC_SHA1_80 inline:"),
            Err(AttributeError::KeyLength { expected: 30, found: 0 })
        );
    }

    #[test]
    fn a_malformed_line_is_refused() {
        for value in [
            "",
            "x AES_CM_128_HMAC_SHA1_80 inline:AAAA",
            "1234567890 AES_CM_128_HMAC_SHA1_80 inline:AAAA",
            "1 X",
            "1 X clear:AAAA",
            "1 X inline:A",
            "1 X inline:!!!!",
            "1 X inline:AAAA|2^64",
            "1 X inline:AAAA|0",
            "1 X inline:AAAA|1:0",
            "1 X inline:AAAA|1:4|2^20",
        ] {
            assert!(Crypto::parse(value).is_err(), "{value}");
        }
    }

    #[test]
    fn a_key_does_not_show_in_debug_output() {
        let crypto = Crypto::parse("1 X inline:c2VjcmV0").unwrap();
        let key = &crypto.keys[0];
        assert_eq!(key.key_and_salt, b"secret");
        let shown = format!("{crypto:?}");
        assert!(!shown.contains("115") && !shown.contains("c2Vj"), "{shown}");
    }
}
