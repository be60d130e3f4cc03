//! Collects the records of one flight of the peer (RFC 6347 §4.2.4) and hands them on when it is whole.
//!
//! ```text
//!   Client                                          Server
//!   ClientHello             -------->                             Flight 1
//!                           <--------      HelloVerifyRequest     Flight 2
//!   ClientHello             -------->                             Flight 3
//!                                                 ServerHello
//!                                                 Certificate
//!                                           ServerKeyExchange     Flight 4
//!                                          CertificateRequest
//!                           <--------         ServerHelloDone
//!   Certificate
//!   ClientKeyExchange
//!   CertificateVerify                                             Flight 5
//!   [ChangeCipherSpec]
//!   Finished                -------->
//!                                          [ChangeCipherSpec]     Flight 6
//!                           <--------                Finished
//! ```
//!
//! The state machine behind this stops its retransmission timer whenever anything comes, also half a flight or one
//! that it has seen. Were it to see such, the rest of a flight, once lost, would be waited for on both sides for ever.

use super::DtlsRole;
use super::records::*;
use std::collections::BTreeMap;

/// Octets of records that are collected before all are forgotten: several times what a flight takes.
const LIMIT: usize = 64 * 1024;

/// Messages ahead of the next one that are collected: more than a flight has.
const AHEAD: u16 = 16;

/// The flight of the peer that comes next.
#[derive(Debug)]
pub(super) struct Flights {
    role: DtlsRole,
    /// The number of the first message of that flight.
    next: u16,
    /// Whether only what confirms the new keys is still to come.
    closing: bool,
    messages: BTreeMap<u16, Message>,
    handshake: Vec<u8>,
    change_cipher_spec: Vec<u8>,
    finished: Vec<u8>,
    /// Of the client's first message: another one is another beginning.
    random: Option<[u8; 32]>,
}

#[derive(Debug)]
struct Message {
    message_type: u8,
    length: u32,
    /// Which parts came, in order and apart from each other.
    parts: Vec<(u32, u32)>,
}

impl Flights {
    pub(super) fn new(role: DtlsRole) -> Flights {
        Flights {
            role,
            next: 0,
            closing: false,
            messages: BTreeMap::new(),
            handshake: Vec::new(),
            change_cipher_spec: Vec::new(),
            finished: Vec::new(),
            random: None,
        }
    }

    /// Whether this is the first message of a client other than the one whose handshake is under way.
    pub(super) fn is_another_beginning(&self, record: Record<'_>) -> bool {
        let mut hellos = record.fragments().filter(|fragment| is_first_hello(fragment));
        hellos.any(|hello| random(&hello).is_some_and(|random| self.random.is_some_and(|known| known != random)))
    }

    /// Collects a record; what is known already, or of no use yet, is dropped.
    pub(super) fn push(&mut self, record: Record<'_>) {
        if self.handshake.len() + self.finished.len() + record.octets.len() > LIMIT {
            self.forget();
        }
        match record.kind {
            Kind::Handshake => {
                let fresh = record.fragments().filter(|fragment| self.collect(fragment)).count();
                if fresh > 0 {
                    self.handshake.extend_from_slice(record.octets);
                }
            }
            Kind::ChangeCipherSpec => self.change_cipher_spec = record.octets.to_vec(),
            // Only the newest: each retransmission is a record of its own.
            Kind::Finished => self.finished = record.octets.to_vec(),
            Kind::Protected => {}
        }
    }

    /// The records of the flight, if all came.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        let messages = self.complete()?;
        let mut records = std::mem::take(&mut self.handshake);
        records.append(&mut self.change_cipher_spec);
        records.append(&mut self.finished);
        let last = self.messages.values().next_back().map(|message| message.message_type);
        self.closing |= !matches!(last, Some(CLIENT_HELLO | HELLO_VERIFY_REQUEST));
        self.next = self.next.checked_add(messages)?;
        self.messages.clear();
        Some(records)
    }

    /// How many messages in the clear the flight has, if it is whole.
    fn complete(&self) -> Option<u16> {
        let mut types = Vec::new();
        for number in self.next.. {
            match self.messages.get(&number) {
                Some(message) if message.is_whole() => types.push(message.message_type),
                Some(_) => return None,
                None => break,
            }
        }
        let changed = !self.change_cipher_spec.is_empty() && !self.finished.is_empty();
        let whole = match (self.role, &types[..]) {
            (DtlsRole::Server, [CLIENT_HELLO, ..]) | (DtlsRole::Client, [HELLO_VERIFY_REQUEST, ..]) => return Some(1),
            (DtlsRole::Server, [CERTIFICATE, CLIENT_KEY_EXCHANGE, CERTIFICATE_VERIFY]) => changed,
            // Without a certificate, or with an empty one, in which case it need not prove anything: the state machine
            // refuses both.
            (DtlsRole::Server, [CLIENT_KEY_EXCHANGE]) => changed,
            (DtlsRole::Server, [CERTIFICATE, CLIENT_KEY_EXCHANGE]) => changed && self.is_empty_certificate(),
            (DtlsRole::Client, [.., SERVER_HELLO_DONE]) => true,
            (DtlsRole::Client, [NEW_SESSION_TICKET]) | (_, []) => self.closing && changed,
            _ => false,
        };
        whole.then_some(types.len().try_into().ok()?)
    }

    /// Three octets of zero: a list of no certificates.
    fn is_empty_certificate(&self) -> bool {
        self.messages.get(&self.next).is_some_and(|certificate| certificate.length == 3)
    }

    /// Whether the fragment brings something new.
    fn collect(&mut self, fragment: &Fragment<'_>) -> bool {
        if is_first_hello(fragment) && self.random.is_none() {
            self.random = random(fragment);
        }
        if !(self.next..self.next.saturating_add(AHEAD)).contains(&fragment.number) {
            return false;
        }
        let message = self.messages.entry(fragment.number).or_insert(Message {
            message_type: fragment.message_type,
            length: fragment.length,
            parts: Vec::new(),
        });
        message.message_type == fragment.message_type
            && message.length == fragment.length
            && message.add(fragment.offset, fragment.end())
    }

    fn forget(&mut self) {
        let Flights { role, next, closing, random, .. } = *self;
        *self = Flights { next, closing, random, ..Flights::new(role) };
    }
}

impl Message {
    fn is_whole(&self) -> bool {
        self.parts == [(0, self.length)]
    }

    /// Whether part of it is new.
    fn add(&mut self, from: u32, to: u32) -> bool {
        if self.parts.iter().any(|(start, end)| *start <= from && to <= *end) {
            return false;
        }
        self.parts.push((from, to));
        self.parts.sort_unstable();
        self.parts.dedup_by(|(from, to), (_, end)| {
            let touching = *from <= *end;
            if touching {
                *end = (*end).max(*to);
            }
            touching
        });
        true
    }
}

fn is_first_hello(fragment: &Fragment<'_>) -> bool {
    fragment.message_type == CLIENT_HELLO && fragment.number == 0 && fragment.offset == 0
}

/// RFC 5246 §7.4.1.2: version, then random.
fn random(hello: &Fragment<'_>) -> Option<[u8; 32]> {
    hello.content.get(2..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, epoch: u8, content: &[u8]) -> Vec<u8> {
        let header = [kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 0, 0, u8::try_from(content.len()).unwrap()];
        [&header, content].concat()
    }

    /// A message of a hundred octets, of which there are these.
    fn part(message_type: u8, number: u8, from: u8, to: u8) -> Vec<u8> {
        let header = [message_type, 0, 0, 100, 0, number, 0, 0, from, 0, 0, to - from];
        record(22, 0, &[&header[..], &vec![message_type; usize::from(to - from)]].concat())
    }

    fn whole(message_type: u8, number: u8) -> Vec<u8> {
        part(message_type, number, 0, 100)
    }

    fn push(flights: &mut Flights, octets: &[u8]) -> Option<usize> {
        let role = flights.role;
        for record in sift(octets, role).records {
            flights.push(record);
        }
        flights.take().map(|records| sift(&records, role).records.len())
    }

    #[test]
    fn a_server_sees_hellos_at_once_and_the_rest_when_it_is_whole() {
        let mut flights = Flights::new(DtlsRole::Server);
        assert_eq!(push(&mut flights, &whole(CLIENT_HELLO, 0)), Some(1));
        assert_eq!(push(&mut flights, &whole(CLIENT_HELLO, 0)), None, "again");
        assert_eq!(push(&mut flights, &whole(CLIENT_HELLO, 1)), Some(1));
        let finished = record(22, 1, &[0; 40]);
        for piece in [
            whole(CERTIFICATE_VERIFY, 4),
            whole(CERTIFICATE, 2),
            finished.clone(),
            record(20, 0, &[1]),
            whole(CERTIFICATE, 2),
            whole(CLIENT_HELLO, 1),
        ] {
            assert_eq!(push(&mut flights, &piece), None);
        }
        assert_eq!(push(&mut flights, &whole(CLIENT_KEY_EXCHANGE, 3)), Some(5));
    }

    #[test]
    fn a_client_sees_a_flight_up_to_its_end() {
        let mut flights = Flights::new(DtlsRole::Client);
        assert_eq!(push(&mut flights, &whole(HELLO_VERIFY_REQUEST, 0)), Some(1));
        for piece in [
            whole(SERVER_HELLO_DONE, 5),
            part(CERTIFICATE, 2, 70, 100),
            whole(SERVER_HELLO, 1),
            part(CERTIFICATE, 2, 0, 70),
            whole(CERTIFICATE_REQUEST, 4),
        ] {
            assert_eq!(push(&mut flights, &piece), None);
        }
        assert_eq!(push(&mut flights, &whole(SERVER_KEY_EXCHANGE, 3)), Some(6));
        assert_eq!(push(&mut flights, &record(22, 1, &[0; 40])), None);
        assert_eq!(push(&mut flights, &record(20, 0, &[1])), Some(2));
    }

    #[test]
    fn keys_are_not_confirmed_before_there_are_any() {
        let confirmation = [record(20, 0, &[1]), record(22, 1, &[0; 40])].concat();
        let mut flights = Flights::new(DtlsRole::Client);
        assert_eq!(push(&mut flights, &confirmation), None);
        assert_eq!(push(&mut flights, &whole(HELLO_VERIFY_REQUEST, 0)), Some(3));
        assert_eq!(push(&mut flights, &confirmation), None);
    }

    /// The first confirmation may have been forged.
    #[test]
    fn keys_are_confirmed_as_often_as_it_takes() {
        let confirmation = [record(20, 0, &[1]), record(22, 1, &[0; 40])].concat();
        let proof = [whole(CERTIFICATE, 0), whole(CLIENT_KEY_EXCHANGE, 1), whole(CERTIFICATE_VERIFY, 2)].concat();
        let mut flights = Flights::new(DtlsRole::Server);
        assert_eq!(push(&mut flights, &[&proof[..], &confirmation].concat()), Some(5));
        assert_eq!(push(&mut flights, &[&proof[..], &confirmation].concat()), Some(2));
    }

    #[test]
    fn parts_of_a_message_come_in_any_order_and_may_overlap() {
        let mut message = Message { message_type: CERTIFICATE, length: 10, parts: Vec::new() };
        assert!(message.add(6, 8));
        assert!(message.add(0, 2));
        assert!(!message.add(1, 2));
        assert!(message.add(1, 7));
        assert!(!message.is_whole());
        assert!(message.add(8, 10));
        assert!(message.is_whole());
        assert!(!message.add(0, 10));
    }

    #[test]
    fn what_is_collected_is_bounded() {
        let mut flights = Flights::new(DtlsRole::Server);
        for number in 0..=u8::MAX {
            push(&mut flights, &whole(CERTIFICATE, number));
        }
        assert_eq!(flights.messages.len(), usize::from(AHEAD));
        for octet in 0..10_000u32 {
            let number = (octet % 16) as u8;
            let from = (octet / 16 % 36) as u8;
            push(&mut flights, &part(CLIENT_KEY_EXCHANGE, number, from, from + 64));
            assert!(flights.handshake.len() <= LIMIT);
        }
    }

    #[test]
    fn a_client_that_begins_anew_is_told_by_its_random() {
        let mut flights = Flights::new(DtlsRole::Server);
        let first = whole(CLIENT_HELLO, 0);
        push(&mut flights, &first);
        let mut other = first.clone();
        other[13 + 12 + 5] ^= 1;
        let is_other = |octets: &[u8]| flights.is_another_beginning(sift(octets, DtlsRole::Server).records[0]);
        assert!(!is_other(&first));
        assert!(is_other(&other));
        assert!(!is_other(&whole(CLIENT_HELLO, 1)));
    }
}
