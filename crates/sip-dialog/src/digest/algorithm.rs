//! The arithmetic of digest authentication: RFC 7616 §3.4, as SIP uses it (RFC 3261 §22.4, RFC 8760).
//!
//! ```text
//!   HA1      = H(user ":" realm ":" password)                   -sess: H(HA1 ":" nonce ":" cnonce)
//!   HA2      = H(method ":" digest-uri)                         auth-int: … ":" H(body)
//!   response = H(HA1 ":" nonce ":" nc ":" cnonce ":" qop ":" HA2)     no qop: H(HA1 ":" nonce ":" HA2)
//! ```
//!
//! The header fields are `sip_message`'s; who asks and who answers are [`Authenticator`](super::Authenticator) and
//! [`DigestClient`](super::DigestClient).

use std::fmt;

use md5::Md5;
use sha2::{Sha256, Sha512_256};

/// A hash function that a challenge may ask for, from the weakest to the strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashFunction {
    /// RFC 1321; what old peers know.
    Md5,
    /// FIPS 180-4.
    Sha256,
    /// FIPS 180-4: SHA-512 with its own initial values, cut to 256 bits. It is not the first half of SHA-512, though
    /// the example of RFC 7616 §3.9.2 was computed so.
    Sha512_256,
}

impl HashFunction {
    /// All, the strongest first: the order in which RFC 8760 §2.3 wants them in a response.
    pub const STRONGEST_FIRST: [HashFunction; 3] = [HashFunction::Sha512_256, HashFunction::Sha256, HashFunction::Md5];

    /// The hash of these pieces with colons between them.
    fn of(self, pieces: &[&[u8]]) -> HexDigest {
        match self {
            HashFunction::Md5 => hash_pieces::<Md5>(pieces),
            HashFunction::Sha256 => hash_pieces::<Sha256>(pieces),
            HashFunction::Sha512_256 => hash_pieces::<Sha512_256>(pieces),
        }
    }
}

fn hash_pieces<D: sha2::Digest>(pieces: &[&[u8]]) -> HexDigest {
    let mut hash = D::new();
    for (index, piece) in pieces.iter().enumerate() {
        if index > 0 {
            hash.update(b":");
        }
        hash.update(piece);
    }
    HexDigest::new(&hash.finalize())
}

/// What the `algorithm` parameter says: a hash function, and whether HA1 is bound to the nonces (`-sess`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Algorithm {
    /// The hash function.
    pub hash: HashFunction,
    /// Whether it is the `-sess` variant.
    pub session: bool,
}

impl Algorithm {
    /// MD5, which is meant when a challenge names none (RFC 7616 §3.3).
    pub const MD5: Algorithm = Algorithm { hash: HashFunction::Md5, session: false };
    /// SHA-256.
    pub const SHA_256: Algorithm = Algorithm { hash: HashFunction::Sha256, session: false };
    /// SHA-512-256.
    pub const SHA_512_256: Algorithm = Algorithm { hash: HashFunction::Sha512_256, session: false };

    /// The algorithm of that name, in any case; `None` for one that is not known, and whose challenge is to be ignored.
    pub fn parse(token: &str) -> Option<Algorithm> {
        let cut = token.len().saturating_sub("-sess".len());
        let (name, session) = match token.get(cut..) {
            Some(end) if end.eq_ignore_ascii_case("-sess") => (&token[..cut], true),
            _ => (token, false),
        };
        let hash = if name.eq_ignore_ascii_case("MD5") {
            HashFunction::Md5
        } else if name.eq_ignore_ascii_case("SHA-256") {
            HashFunction::Sha256
        } else if name.eq_ignore_ascii_case("SHA-512-256") {
            HashFunction::Sha512_256
        } else {
            return None;
        };
        Some(Algorithm { hash, session })
    }

    /// The name as it stands in a header.
    pub fn as_str(self) -> &'static str {
        match (self.hash, self.session) {
            (HashFunction::Md5, false) => "MD5",
            (HashFunction::Md5, true) => "MD5-sess",
            (HashFunction::Sha256, false) => "SHA-256",
            (HashFunction::Sha256, true) => "SHA-256-sess",
            (HashFunction::Sha512_256, false) => "SHA-512-256",
            (HashFunction::Sha512_256, true) => "SHA-512-256-sess",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the response protects (RFC 7616 §3.4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Qop {
    /// Method and digest-uri.
    Auth,
    /// The body, too.
    AuthInt,
}

impl Qop {
    /// The quality of that name, in any case.
    pub fn parse(token: &str) -> Option<Qop> {
        if token.eq_ignore_ascii_case("auth") {
            Some(Qop::Auth)
        } else if token.eq_ignore_ascii_case("auth-int") {
            Some(Qop::AuthInt)
        } else {
            None
        }
    }

    /// The name as it stands in a header.
    pub fn as_str(self) -> &'static str {
        match self {
            Qop::Auth => "auth",
            Qop::AuthInt => "auth-int",
        }
    }
}

impl fmt::Display for Qop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A hash as lower-case hexadecimal text: 32 or 64 characters.
#[derive(Clone, Copy)]
pub struct HexDigest {
    text: [u8; 64],
    len: u8,
}

impl HexDigest {
    fn new(octets: &[u8]) -> HexDigest {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 64];
        for (pair, octet) in text.chunks_exact_mut(2).zip(octets) {
            pair[0] = DIGITS[usize::from(octet >> 4)];
            pair[1] = DIGITS[usize::from(octet & 0xf)];
        }
        HexDigest { text, len: (octets.len() * 2).min(64) as u8 }
    }

    /// The digest that `text` spells, if it has the length of one of `hash`.
    pub fn parse(hash: HashFunction, text: &str) -> Option<HexDigest> {
        let expected = if hash == HashFunction::Md5 { 32 } else { 64 };
        if text.len() != expected || !text.bytes().all(|octet| octet.is_ascii_hexdigit()) {
            return None;
        }
        let mut digest = HexDigest { text: [0; 64], len: expected as u8 };
        digest.text[..expected].copy_from_slice(text.to_ascii_lowercase().as_bytes());
        Some(digest)
    }

    /// The hexadecimal text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.octets()).expect("only hexadecimal digits get in")
    }

    /// Whether `text` is this digest, in a time that does not depend on where they differ.
    pub fn equals(&self, text: &str) -> bool {
        constant_time_eq(self.octets(), text.as_bytes())
    }

    fn octets(&self) -> &[u8] {
        &self.text[..usize::from(self.len)]
    }
}

impl PartialEq for HexDigest {
    fn eq(&self, other: &HexDigest) -> bool {
        constant_time_eq(self.octets(), other.octets())
    }
}

impl Eq for HexDigest {}

/// A digest can be a secret (HA1 is as good as the password): it is never printed by accident.
impl fmt::Debug for HexDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HexDigest(…)")
    }
}

/// Whether both are the same, in a time that depends on their lengths alone.
pub(crate) fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let difference = a.iter().zip(b).fold(0, |sum, (x, y)| sum | (x ^ y));
    std::hint::black_box(difference) == 0
}

/// What stands for a user's password: the password, or the hash that can replace it for one hash function and realm.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The password.
    Password(Box<str>),
    /// HA1 of some hash functions: `H(user ":" realm ":" password)`.
    Ha1(Vec<(HashFunction, HexDigest)>),
}

impl Secret {
    /// HA1 for `hash`; `None` if only those of other hash functions are kept.
    pub fn ha1(&self, hash: HashFunction, user: &str, realm: &str) -> Option<HexDigest> {
        match self {
            Secret::Password(password) => Some(hash.of(&[user.as_bytes(), realm.as_bytes(), password.as_bytes()])),
            Secret::Ha1(kept) => kept.iter().find(|(of, _)| *of == hash).map(|(_, ha1)| *ha1),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Nonce count and client nonce: there exactly when there is a `qop`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientNonce<'a> {
    /// The quality of protection.
    pub qop: Qop,
    /// How often this nonce was used, this time included.
    pub count: u32,
    /// The client's nonce.
    pub cnonce: &'a str,
}

/// What a response is computed from.
#[derive(Clone, Copy, Debug)]
pub struct Transcript<'a> {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The server's nonce.
    pub nonce: &'a str,
    /// `None`: the rule of RFC 2069, without qop.
    pub client: Option<ClientNonce<'a>>,
    /// The method of the request.
    pub method: &'a str,
    /// The digest-uri as it stands in the credentials.
    pub uri: &'a str,
    /// The body, hashed for auth-int only.
    pub body: &'a [u8],
}

impl Transcript<'_> {
    /// The `response` of someone who knows `ha1`.
    pub fn response(&self, ha1: HexDigest) -> HexDigest {
        let hash = self.algorithm.hash;
        let nonce = self.nonce.as_bytes();
        let cnonce = self.client.map_or("", |client| client.cnonce).as_bytes();
        let ha1 = if self.algorithm.session { hash.of(&[ha1.octets(), nonce, cnonce]) } else { ha1 };
        let Some(client) = self.client else {
            return hash.of(&[ha1.octets(), nonce, self.ha2(None).octets()]);
        };
        let count = format!("{:08x}", client.count);
        hash.of(&[
            ha1.octets(),
            nonce,
            count.as_bytes(),
            cnonce,
            client.qop.as_str().as_bytes(),
            self.ha2(Some(client.qop)).octets(),
        ])
    }

    /// What the server proves its own knowledge with: `rspauth` of Authentication-Info (RFC 7616 §3.5).
    pub fn rspauth(&self, ha1: HexDigest) -> HexDigest {
        Transcript { method: "", ..*self }.response(ha1)
    }

    fn ha2(&self, qop: Option<Qop>) -> HexDigest {
        let hash = self.algorithm.hash;
        let (method, uri) = (self.method.as_bytes(), self.uri.as_bytes());
        match qop {
            Some(Qop::AuthInt) => hash.of(&[method, uri, hash.of(&[self.body]).octets()]),
            Some(Qop::Auth) | None => hash.of(&[method, uri]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn algorithms_are_read_in_any_case_and_unknown_ones_are_not_known() {
        for hash in HashFunction::STRONGEST_FIRST {
            for session in [false, true] {
                let algorithm = Algorithm { hash, session };
                assert_eq!(Algorithm::parse(algorithm.as_str()), Some(algorithm));
                assert_eq!(Algorithm::parse(&algorithm.as_str().to_lowercase()), Some(algorithm));
            }
        }
        for token in ["", "SHA-1", "-sess", "MD5-", "AKAv1-MD5", "é-sess", "ése"] {
            assert_eq!(Algorithm::parse(token), None, "{token}");
        }
    }

    #[test]
    fn a_digest_is_compared_as_a_whole() {
        let digest = HashFunction::Md5.of(&[b"a"]);
        assert!(digest.equals("0cc175b9c0f1b6a831c399e269772661"));
        assert!(!digest.equals("0cc175b9c0f1b6a831c399e269772662"));
        assert!(!digest.equals("0cc175b9c0f1b6a831c399e26977266"));
        assert!(!digest.equals(""));
    }

    #[test]
    fn secrets_are_not_printed() {
        let secret = Secret::Password("hunter2".into());
        assert!(!format!("{secret:?}").contains("hunter2"));
        let ha1 = secret.ha1(HashFunction::Md5, "alice", "example.com").unwrap();
        assert!(!format!("{ha1:?}").contains(ha1.as_str()));
    }
}
