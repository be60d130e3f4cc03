//! Master keys: out of `a=crypto` lines (RFC 4568 §6.1) or out of a DTLS handshake (RFC 5764 §4.2).

use super::Profile;
use sdp::{Crypto, InlineKey, MasterKeyIdentifier};
use std::fmt;

/// The keys of both directions.
#[derive(Clone, PartialEq, Eq)]
pub struct SrtpKeys {
    pub(super) profile: Profile,
    pub(super) local: MasterKey,
    /// More than one only where the peer announced several, told apart by their identifiers.
    pub(super) remote: Vec<MasterKey>,
}

/// A master key with its salt and its name in the packets.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct MasterKey {
    pub(super) key: Vec<u8>,
    pub(super) salt: Vec<u8>,
    /// The octets of the identifier (MKI) in every packet; none, if there are no identifiers.
    pub(super) identifier: Vec<u8>,
}

/// Why keys cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// A suite that we do not have, or two that differ.
    Suite,
    /// Key and salt do not have the profile's length, or there is no key.
    Length,
}

/// Which end of a DTLS handshake's exported octets is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exporter {
    Client,
    Server,
}

impl SrtpKeys {
    /// Keys that both sides know: master key, then master salt, of what we send and of what we receive.
    pub fn new(profile: Profile, local: &[u8], remote: &[u8]) -> Result<SrtpKeys, KeyError> {
        Ok(SrtpKeys {
            profile,
            local: MasterKey::new(profile, local, Vec::new())?,
            remote: vec![MasterKey::new(profile, remote, Vec::new())?],
        })
    }

    /// The keys of an agreement by SDES: our `a=crypto` line and the peer's (RFC 4568).
    pub fn from_sdes(local: &Crypto, remote: &Crypto) -> Result<SrtpKeys, KeyError> {
        let profile = Profile::of_suite(&local.suite).ok_or(KeyError::Suite)?;
        if local.suite != remote.suite {
            return Err(KeyError::Suite);
        }
        let key = |inline: &InlineKey| {
            MasterKey::new(profile, &inline.key_and_salt, inline.mki.map(octets).unwrap_or_default())
        };
        let remote = remote.keys.iter().map(key).collect::<Result<Vec<_>, _>>()?;
        if remote.is_empty() {
            return Err(KeyError::Length);
        }
        Ok(SrtpKeys { profile, local: key(local.keys.first().ok_or(KeyError::Length)?)?, remote })
    }

    /// The keys that a DTLS handshake exported: the client's key, the server's, the client's salt, the server's.
    pub(crate) fn from_exported(profile: Profile, octets: &[u8], us: Exporter) -> Result<SrtpKeys, KeyError> {
        let (key, salt) = (profile.key_length(), profile.salt_length());
        if octets.len() != Self::exported_length(profile) {
            return Err(KeyError::Length);
        }
        let (keys, salts) = octets.split_at(2 * key);
        let (client_key, server_key) = keys.split_at(key);
        let (client_salt, server_salt) = salts.split_at(salt);
        let client = [client_key, client_salt].concat();
        let server = [server_key, server_salt].concat();
        match us {
            Exporter::Client => SrtpKeys::new(profile, &client, &server),
            Exporter::Server => SrtpKeys::new(profile, &server, &client),
        }
    }

    pub(crate) fn exported_length(profile: Profile) -> usize {
        2 * (profile.key_length() + profile.salt_length())
    }

    /// Which profile they are for.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// The master key and master salt of what we send, then those of what we receive: for a trace of the call that
    /// its owner asked for.
    pub fn reveal(&self) -> (Vec<u8>, Vec<u8>) {
        let octets = |key: &MasterKey| [&key.key[..], &key.salt[..]].concat();
        (octets(&self.local), self.remote.first().map(octets).unwrap_or_default())
    }
}

impl MasterKey {
    fn new(profile: Profile, key_and_salt: &[u8], identifier: Vec<u8>) -> Result<MasterKey, KeyError> {
        if key_and_salt.len() != profile.key_length() + profile.salt_length() {
            return Err(KeyError::Length);
        }
        let (key, salt) = key_and_salt.split_at(profile.key_length());
        Ok(MasterKey { key: key.to_vec(), salt: salt.to_vec(), identifier })
    }
}

/// The identifier as it stands in the packets: a number, the most significant octet first.
fn octets(identifier: MasterKeyIdentifier) -> Vec<u8> {
    let mut octets = vec![0; usize::from(identifier.length)];
    for (octet, value) in octets.iter_mut().rev().zip(identifier.value.to_be_bytes().iter().rev()) {
        *octet = *value;
    }
    octets
}

/// Keys do not belong in logs.
impl fmt::Debug for SrtpKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrtpKeys").field("profile", &self.profile).finish_non_exhaustive()
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KeyError::Suite => "the crypto suite is not supported, or the two lines differ in it",
            KeyError::Length => "key and salt do not have the length of the suite",
        })
    }
}

impl std::error::Error for KeyError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_fills_its_length_from_the_right() {
        assert_eq!(octets(MasterKeyIdentifier { value: 1, length: 1 }), [1]);
        assert_eq!(octets(MasterKeyIdentifier { value: 0x102, length: 4 }), [0, 0, 1, 2]);
        assert_eq!(octets(MasterKeyIdentifier { value: 7, length: 10 }), [0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    }

    #[test]
    fn a_key_does_not_show_in_debug_output() {
        let keys = SrtpKeys::new(Profile::AesCm128HmacSha1_80, &[77; 30], &[78; 30]).unwrap();
        let shown = format!("{keys:?}");
        assert!(!shown.contains("77") && !shown.contains("78"), "{shown}");
    }

    /// RFC 5764 §4.2: client key, server key, client salt, server salt.
    #[test]
    fn client_and_server_take_the_two_ends_of_the_exported_octets() {
        let profile = Profile::AesCm128HmacSha1_80;
        let octets: Vec<u8> = (0..60).collect();
        let client = SrtpKeys::from_exported(profile, &octets, Exporter::Client).unwrap();
        let server = SrtpKeys::from_exported(profile, &octets, Exporter::Server).unwrap();
        let (sends, receives) = client.reveal();
        assert_eq!(sends, [&octets[..16], &octets[32..46]].concat());
        assert_eq!(receives, [&octets[16..32], &octets[46..]].concat());
        assert_eq!(server.reveal(), (receives, sends));
        assert_eq!(SrtpKeys::from_exported(profile, &octets[1..], Exporter::Client), Err(KeyError::Length));
    }
}
