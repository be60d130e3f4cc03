//! Session keys out of master keys (RFC 3711 §4.3; for AES-192 and AES-256: RFC 6188 §2; for AES-GCM: RFC 7714 §11).
//! The derivation rate is zero: keys are derived once.

use super::counter::CounterMode;
use super::keys::MasterKey;

/// What a session key is for (RFC 3711 §4.3.1, Table 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    RtpEncryption = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpEncryption = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
}

/// Fills `session_key` with the key of that label.
pub(super) fn derive(master: &MasterKey, label: Label, session_key: &mut [u8]) {
    let mut x = [0; 16];
    // RFC 7714 §11: a salt of 96 bits is filled up at its end.
    for (octet, salt) in x.iter_mut().zip(&master.salt) {
        *octet = *salt;
    }
    // key_id = label || (index DIV rate); the index takes 48 bits, two octets of counter follow.
    x[7] ^= label as u8;
    session_key.fill(0);
    CounterMode::new(&master.key).apply(x, session_key);
}
