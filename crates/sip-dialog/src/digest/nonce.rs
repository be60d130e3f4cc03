//! Nonces that need no memory: RFC 7616 §3.3 and §5.4. Each carries its time and a seal that only its maker can write.
//!
//! ```text
//!   hex( milliseconds since 1970, 6 octets | instance and serial number, 8 octets | HMAC-SHA-256, first 16 octets )
//! ```
//!
//! The seal covers time, serial number, realm and the binding (a source address, say), so that a nonce of one realm or
//! client is none of another's.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Octets of time, serial number and seal.
const TIME: usize = 6;
const SERIAL: usize = 8;
const SEAL: usize = 16;
const LENGTH: usize = TIME + SERIAL + SEAL;

/// A nonce of ours that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nonce {
    /// When it was issued, in milliseconds since 1970.
    pub(super) issued: u64,
    /// A name for it that is as hard to guess as the seal.
    pub(super) tag: u64,
}

/// Writes a nonce.
pub(super) fn issue(key: &[u8; 32], now: SystemTime, serial: u64, realm: &str, binding: &[u8]) -> String {
    let mut octets = [0; LENGTH];
    octets[..TIME].copy_from_slice(&milliseconds(now).to_be_bytes()[8 - TIME..]);
    octets[TIME..TIME + SERIAL].copy_from_slice(&serial.to_be_bytes());
    let seal = seal(key, &octets[..TIME + SERIAL], realm, binding).finalize().into_bytes();
    octets[TIME + SERIAL..].copy_from_slice(&seal[..SEAL]);
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Reads a nonce; `None` when it is not ours.
pub(super) fn open(key: &[u8; 32], text: &str, realm: &str, binding: &[u8]) -> Option<Nonce> {
    let octets = from_hex(text)?;
    let (head, seal_read) = octets.split_at(TIME + SERIAL);
    seal(key, head, realm, binding).verify_truncated_left(seal_read).ok()?;
    let mut issued = [0; 8];
    issued[8 - TIME..].copy_from_slice(&head[..TIME]);
    let mut tag = [0; 8];
    tag.copy_from_slice(&seal_read[..8]);
    Some(Nonce { issued: u64::from_be_bytes(issued), tag: u64::from_be_bytes(tag) })
}

impl Nonce {
    /// Whether it may still be used. A clock that was set back makes nonces of the future, which live as long.
    pub(super) fn is_fresh(&self, now: SystemTime, lifetime: Duration) -> bool {
        u128::from(self.issued.abs_diff(milliseconds(now))) <= lifetime.as_millis()
    }
}

fn seal(key: &[u8; 32], head: &[u8], realm: &str, binding: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(head);
    // The length keeps realm and binding from being shifted into each other.
    mac.update(&(realm.len() as u64).to_be_bytes());
    mac.update(realm.as_bytes());
    mac.update(binding);
    mac
}

/// A password for a user that does not exist: nobody can know it, and it takes as long to check as a true one.
pub(super) fn nobodys_password(key: &[u8; 32], user: &str) -> Box<str> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(b"password of nobody");
    mac.update(user.as_bytes());
    mac.finalize().into_bytes().iter().map(|octet| format!("{octet:02x}")).collect()
}

fn milliseconds(now: SystemTime) -> u64 {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    // 48 bits of milliseconds last for nine thousand years.
    u64::try_from(since).unwrap_or(u64::MAX) & 0xffff_ffff_ffff
}

fn from_hex(text: &str) -> Option<[u8; LENGTH]> {
    if text.len() != 2 * LENGTH {
        return None;
    }
    let digit = |octet: u8| char::from(octet).to_digit(16);
    let mut octets = [0; LENGTH];
    for (octet, pair) in octets.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *octet = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    #[test]
    fn a_nonce_is_its_makers_for_its_realm_and_binding_only() {
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let nonce = issue(&KEY, now, 1, "example.com", b"192.0.2.1");
        assert_eq!(open(&KEY, &nonce, "example.com", b"192.0.2.1").unwrap().issued, 1_800_000_000_000);
        assert_eq!(open(&[8; 32], &nonce, "example.com", b"192.0.2.1"), None);
        assert_eq!(open(&KEY, &nonce, "example.org", b"192.0.2.1"), None);
        assert_eq!(open(&KEY, &nonce, "example.com", b"192.0.2.2"), None);
        assert_eq!(open(&KEY, &nonce, "example.com192.0.2.1", b""), None);
    }

    #[test]
    fn no_digit_of_a_nonce_can_be_changed() {
        let nonce = issue(&KEY, UNIX_EPOCH, 1, "r", b"");
        for at in 0..nonce.len() {
            let mut forged = nonce.clone().into_bytes();
            forged[at] = if forged[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(open(&KEY, std::str::from_utf8(&forged).unwrap(), "r", b""), None);
        }
        for text in ["", "00", &nonce[1..], &format!("{nonce}0"), &"é".repeat(LENGTH)] {
            assert_eq!(open(&KEY, text, "r", b""), None);
        }
    }

    #[test]
    fn a_nonce_lives_for_its_lifetime_on_both_sides_of_now() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let lifetime = Duration::from_secs(300);
        let nonce = open(&KEY, &issue(&KEY, now, 1, "r", b""), "r", b"").unwrap();
        assert!(nonce.is_fresh(now, lifetime));
        assert!(nonce.is_fresh(now + lifetime, lifetime));
        assert!(!nonce.is_fresh(now + lifetime + Duration::from_millis(1), lifetime));
        assert!(nonce.is_fresh(now - lifetime, lifetime));
        assert!(!nonce.is_fresh(now - lifetime - Duration::from_millis(1), lifetime));
    }
}
