//! Making keys for `a=crypto` (RFC 4568 §6.1). Which line is chosen is offer/answer and lies in the `sdp` crate.

use super::Profile;
use sdp::{Crypto, CryptoSuite, InlineKey};

/// Fresh keys, one line for each suite that we have, with the tags 1, 2, …: what [`sdp::Security`] offers and answers
/// with.
///
/// `random` fills its argument with octets from a cryptographic source. A call needs keys of its own: with the keys of
/// another call two packets would be encrypted alike.
pub fn fresh_keys(suites: &[CryptoSuite], random: &mut dyn FnMut(&mut [u8])) -> Vec<Crypto> {
    let profiles = suites.iter().filter_map(Profile::of_suite);
    (1..)
        .zip(profiles)
        .map(|(tag, profile)| {
            let mut key_and_salt = vec![0; profile.key_length() + profile.salt_length()];
            random(&mut key_and_salt);
            // Neither lifetime nor identifier: both only ever made peers refuse a line.
            let key = InlineKey { key_and_salt, lifetime: None, mki: None };
            Crypto { tag, suite: profile.suite(), keys: vec![key], session_parameters: Vec::new() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sdp::TypedAttribute;

    #[test]
    fn fresh_keys_are_lines_that_a_peer_can_read() {
        let mut next = 0;
        let mut random = |octets: &mut [u8]| {
            octets.fill_with(|| {
                next += 1;
                next
            })
        };
        let suites = [CryptoSuite::AeadAes256Gcm, CryptoSuite::F8_128HmacSha1_80, CryptoSuite::AesCm128HmacSha1_80];
        let lines = fresh_keys(&suites, &mut random);
        assert_eq!(lines.iter().map(|line| line.tag).collect::<Vec<_>>(), [1, 2]);
        for line in &lines {
            let printed = line.value().unwrap();
            assert_eq!(Crypto::parse(&printed).unwrap(), *line);
        }
        assert_ne!(lines[0].keys[0].key_and_salt[..30], lines[1].keys[0].key_and_salt[..]);
    }
}
