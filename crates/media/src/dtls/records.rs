//! Which records of a datagram reach the handshake (RFC 6347 §4.1, §4.2.2).
//!
//! Records ahead of the first keys are authentic only in hindsight, so whoever can write the peer's address into a
//! datagram can send some. Those that an honest peer has no use for are dropped here, ahead of a state machine that
//! would answer them by giving up: alerts and application data in the clear, messages of the wrong role, messages
//! of absurd length and in absurdly small pieces.

use super::DtlsRole;

/// Record header: type, version, epoch, sequence number, length.
const RECORD_HEADER: usize = 13;
/// Handshake header: type, length, message number, fragment offset, fragment length.
const HANDSHAKE_HEADER: usize = 12;

/// The longest handshake message: a certificate chain takes a few thousand octets.
const LONGEST_MESSAGE: u32 = 16_384;
/// The shortest fragment of a message that has further ones. The smallest path of IPv4 carries 576 octets.
const SHORTEST_FRAGMENT: usize = 64;

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

// Handshake messages: RFC 5246 §7.4, RFC 6347 §4.3.2, RFC 5077 §3.3.
pub(super) const CLIENT_HELLO: u8 = 1;
pub(super) const SERVER_HELLO: u8 = 2;
pub(super) const HELLO_VERIFY_REQUEST: u8 = 3;
pub(super) const NEW_SESSION_TICKET: u8 = 4;
pub(super) const CERTIFICATE: u8 = 11;
pub(super) const SERVER_KEY_EXCHANGE: u8 = 12;
pub(super) const CERTIFICATE_REQUEST: u8 = 13;
pub(super) const SERVER_HELLO_DONE: u8 = 14;
pub(super) const CERTIFICATE_VERIFY: u8 = 15;
pub(super) const CLIENT_KEY_EXCHANGE: u8 = 16;

/// What there is to a datagram.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sifted<'a> {
    /// The records that may pass.
    pub(super) records: Vec<Record<'a>>,
    /// An alert in the clear, which is not believed, but explains a handshake that never ends.
    pub(super) alert: Option<u8>,
}

/// A record that may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) kind: Kind,
    /// All of it, header included.
    pub(super) octets: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Handshake messages, or fragments of such, in the clear.
    Handshake,
    ChangeCipherSpec,
    /// A handshake message under the new keys: the last one of a side.
    Finished,
    /// Alerts and data under the new keys.
    Protected,
}

/// The header of a handshake message, or of a fragment of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fragment<'a> {
    pub(super) message_type: u8,
    pub(super) length: u32,
    pub(super) number: u16,
    pub(super) offset: u32,
    pub(super) content: &'a [u8],
}

impl Sifted<'_> {
    /// Whether there are records without protection.
    pub(super) fn is_in_the_clear(&self) -> bool {
        self.records.iter().any(|record| matches!(record.kind, Kind::Handshake | Kind::ChangeCipherSpec))
    }
}

/// Takes a datagram apart; `role` is ours.
pub(super) fn sift(datagram: &[u8], role: DtlsRole) -> Sifted<'_> {
    let mut sifted = Sifted::default();
    let mut rest = datagram;
    while let Some((octets, behind)) = split_record(rest) {
        rest = behind;
        let epoch = u16::from_be_bytes([octets[3], octets[4]]);
        let content = &octets[RECORD_HEADER..];
        let kind = match (octets[0], epoch) {
            (CHANGE_CIPHER_SPEC, 0) if content == [1] => Kind::ChangeCipherSpec,
            (HANDSHAKE, 0) if are_honest(content, role) => Kind::Handshake,
            (HANDSHAKE, 1..) => Kind::Finished,
            (ALERT | APPLICATION_DATA, 1..) => Kind::Protected,
            (ALERT, 0) => {
                sifted.alert = content.get(1).copied().or(sifted.alert);
                continue;
            }
            _ => continue,
        };
        sifted.records.push(Record { kind, octets });
    }
    sifted
}

impl<'a> Record<'a> {
    /// The messages and fragments of a handshake record in the clear.
    pub(super) fn fragments(&self) -> impl Iterator<Item = Fragment<'a>> + use<'a> {
        let mut content = &self.octets[RECORD_HEADER..];
        std::iter::from_fn(move || {
            let (fragment, rest) = Fragment::split(content)?;
            content = rest;
            Some(fragment)
        })
    }
}

impl<'a> Fragment<'a> {
    /// The first fragment, if its header is whole and what it announces is there.
    fn split(content: &'a [u8]) -> Option<(Fragment<'a>, &'a [u8])> {
        let (header, rest) = content.split_first_chunk::<HANDSHAKE_HEADER>()?;
        let number = |at: usize| u32::from_be_bytes([0, header[at], header[at + 1], header[at + 2]]);
        let (content, rest) = rest.split_at_checked(number(9) as usize)?;
        let fragment = Fragment {
            message_type: header[0],
            length: number(1),
            number: u16::from_be_bytes([header[4], header[5]]),
            offset: number(6),
            content,
        };
        Some((fragment, rest))
    }

    /// One past its last octet within the message.
    pub(super) fn end(&self) -> u32 {
        // Neither is more than 24 bits long.
        self.offset + self.content.len() as u32
    }

    fn is_honest(&self, role: DtlsRole) -> bool {
        is_peers(self.message_type, role)
            && self.length <= LONGEST_MESSAGE
            && self.end() <= self.length
            && (self.end() == self.length || self.content.len() >= SHORTEST_FRAGMENT)
    }
}

/// The first record, if it is whole and of DTLS 1.0 or 1.2 (a first message may carry either version).
fn split_record(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let header = octets.first_chunk::<RECORD_HEADER>()?;
    if header[1] != 0xfe || !matches!(header[2], 0xff | 0xfd) {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
    octets.split_at_checked(RECORD_HEADER + length)
}

/// Whether all messages, or fragments of such, of a record are a peer's.
fn are_honest(mut content: &[u8], role: DtlsRole) -> bool {
    if content.is_empty() {
        return false;
    }
    while !content.is_empty() {
        match Fragment::split(content) {
            Some((fragment, rest)) if fragment.is_honest(role) => content = rest,
            _ => return false,
        }
    }
    true
}

/// Whether the peer sends such messages, if we have that role.
fn is_peers(message_type: u8, role: DtlsRole) -> bool {
    match role {
        DtlsRole::Server => {
            matches!(message_type, CLIENT_HELLO | CERTIFICATE | CLIENT_KEY_EXCHANGE | CERTIFICATE_VERIFY)
        }
        DtlsRole::Client => matches!(
            message_type,
            SERVER_HELLO
                | HELLO_VERIFY_REQUEST
                | NEW_SESSION_TICKET
                | CERTIFICATE
                | SERVER_KEY_EXCHANGE
                | CERTIFICATE_REQUEST
                | SERVER_HELLO_DONE
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(content_type: u8, epoch: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        let header = [content_type, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 1, length[0], length[1]];
        [&header, content].concat()
    }

    fn fragment(message_type: u8, length: u32, offset: u32, fragment: &[u8]) -> Vec<u8> {
        let number = |value: u32| value.to_be_bytes()[1..].to_vec();
        let here = number(u32::try_from(fragment.len()).unwrap());
        [&[message_type][..], &number(length), &[0, 0], &number(offset), &here, fragment].concat()
    }

    fn passes(content: &[u8], role: DtlsRole) -> bool {
        sift(&record(HANDSHAKE, 0, content), role).is_in_the_clear()
    }

    #[test]
    fn a_message_passes_only_if_the_peer_has_that_role() {
        let hello = fragment(1, 3, 0, &[1, 2, 3]);
        assert!(passes(&hello, DtlsRole::Server));
        assert!(!passes(&hello, DtlsRole::Client));
        let done = fragment(14, 0, 0, &[]);
        assert!(!passes(&done, DtlsRole::Server));
        assert!(passes(&done, DtlsRole::Client));
    }

    #[test]
    fn only_honest_fragments_pass() {
        let role = DtlsRole::Client;
        assert!(passes(&fragment(11, 200, 0, &[0; 100]), role));
        assert!(passes(&fragment(11, 200, 199, &[0; 1]), role), "the last one may be short");
        assert!(passes(&[fragment(2, 4, 0, &[0; 4]), fragment(14, 0, 0, &[])].concat(), role));
        assert!(!passes(&fragment(11, 200, 0, &[0; 1]), role));
        assert!(!passes(&fragment(11, 20_000, 0, &[0; 100]), role));
        assert!(!passes(&fragment(11, 50, 0, &[0; 100]), role));
        assert!(!passes(&fragment(11, 200, 0, &[0; 100])[..100], role));
        assert!(!passes(&[0; 5], role));
        assert!(!passes(&[], role));
    }

    /// RFC 6347 §4.1.2.7: invalid records are discarded in silence.
    #[test]
    fn alerts_and_data_in_the_clear_do_not_pass() {
        let alert = record(ALERT, 0, &[2, 40]);
        let data = record(APPLICATION_DATA, 0, b"hello");
        let done = record(HANDSHAKE, 0, &fragment(14, 0, 0, &[]));
        let datagram = [alert, data, done.clone()].concat();
        let sifted = sift(&datagram, DtlsRole::Client);
        let passed = Record { kind: Kind::Handshake, octets: &done };
        assert_eq!(sifted, Sifted { records: vec![passed], alert: Some(40) });
    }

    #[test]
    fn what_is_protected_passes() {
        let records = [(ALERT, Kind::Protected), (HANDSHAKE, Kind::Finished), (APPLICATION_DATA, Kind::Protected)];
        for (content_type, kind) in records {
            let octets = record(content_type, 1, &[0; 26]);
            let sifted = sift(&octets, DtlsRole::Server);
            assert_eq!(sifted.records, [Record { kind, octets: &octets }]);
            assert!(!sifted.is_in_the_clear());
        }
    }

    #[test]
    fn what_is_behind_a_broken_record_is_not_looked_at() {
        let done = record(HANDSHAKE, 0, &fragment(14, 0, 0, &[]));
        for broken in [&b"\x16\x03\x01"[..], &[0x16, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &done[..20]] {
            let datagram = [&done[..], broken].concat();
            assert_eq!(sift(&datagram, DtlsRole::Client).records, [Record { kind: Kind::Handshake, octets: &done }]);
        }
    }
}
