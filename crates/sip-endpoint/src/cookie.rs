//! What our branches and tags say to ourselves: partition, slot, generation and a check value.
//!
//! A response or an in-dialog request that carries one lands on the right shard and the right entry without any string
//! being hashed, and a guessed one lands nowhere. The cookie names a logical partition and never a host, so that another
//! node can take a partition over.

use std::hash::Hasher;

use crate::slab::Key;

/// Draws what must not be guessed from one secret seed.
pub(crate) struct Secrets {
    seed: u64,
    /// The shards of a server have one seed, but may not draw the same numbers.
    partition: u8,
    counter: u64,
}

impl Secrets {
    pub(crate) fn new(seed: u64, partition: u8) -> Secrets {
        Secrets { seed, partition, counter: 0 }
    }

    /// A fresh value; the sequence is a keyed function of a counter.
    pub(crate) fn random(&mut self) -> u64 {
        self.draw(0x7461_6773)
    }

    /// A seed for another source, in a domain of its own: nothing that is seen of either tells of the other.
    pub(crate) fn split(&mut self) -> u64 {
        self.draw(0x656e_7472)
    }

    fn draw(&mut self, domain: u32) -> u64 {
        self.counter += 1;
        self.keyed(u64::from(self.partition) << 32 | u64::from(domain), self.counter)
    }

    /// A keyed value of two numbers. SipHash is built to keep its key when outputs are seen.
    pub(crate) fn keyed(&self, domain: u64, value: u64) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        hasher.write_u64(self.seed);
        hasher.write_u64(domain);
        hasher.write_u64(value);
        hasher.finish()
    }
}

/// RFC 3261 §8.1.1.7.
const MAGIC: &str = "z9hG4bK";
/// Partition, slot, generation, check, attempt: 2 + 8 + 8 + 8 + 2 hexadecimal digits.
const DIGITS: usize = 28;

/// The branch of one attempt to send a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BranchCookie {
    pub(crate) partition: u8,
    pub(crate) key: Key,
    /// Goes up with every target that is tried, so that each attempt is a transaction of its own (RFC 3263 §4.3).
    pub(crate) attempt: u8,
}

impl BranchCookie {
    pub(crate) fn write(self, secrets: &Secrets, mark: Option<u64>, out: &mut String) {
        out.push_str(MAGIC);
        push_hex(out, u64::from(self.partition), 2);
        push_hex(out, u64::from(self.key.slot), 8);
        push_hex(out, u64::from(self.key.generation), 8);
        push_hex(out, u64::from(self.check(secrets)), 8);
        push_hex(out, u64::from(self.attempt), 2);
        if let Some(mark) = mark {
            out.push('.');
            push_hex(out, mark, 16);
        }
    }

    /// The cookie in a branch, when it is one of this seed's.
    pub(crate) fn read(branch: &str, secrets: &Secrets) -> Option<BranchCookie> {
        let (cookie, check) = BranchCookie::digits(branch)?;
        (check == cookie.check(secrets)).then_some(cookie)
    }

    /// The partition that a branch names, whoever made it.
    pub(crate) fn partition_of(branch: &str) -> Option<u8> {
        BranchCookie::digits(branch).map(|(cookie, _)| cookie.partition)
    }

    fn digits(branch: &str) -> Option<(BranchCookie, u32)> {
        let digits = branch.as_bytes().strip_prefix(MAGIC.as_bytes())?;
        if digits.len() < DIGITS || !matches!(digits.get(DIGITS), None | Some(b'.')) {
            return None;
        }
        let cookie = BranchCookie {
            partition: hex(&digits[0..2])? as u8,
            key: Key { slot: hex(&digits[2..10])? as u32, generation: hex(&digits[10..18])? as u32 },
            attempt: hex(&digits[26..28])? as u8,
        };
        Some((cookie, hex(&digits[18..26])? as u32))
    }

    fn check(self, secrets: &Secrets) -> u32 {
        let value = u64::from(self.key.slot) << 32 | u64::from(self.key.generation);
        secrets.keyed(u64::from(self.partition) << 8 | u64::from(self.attempt), value) as u32
    }
}

/// A tag for our end of a dialog: the partition and 64 random bits (RFC 3261 §19.3 asks for 32).
pub(crate) fn tag(partition: u8, secrets: &mut Secrets) -> String {
    let mut tag = String::with_capacity(18);
    push_hex(&mut tag, u64::from(partition), 2);
    push_hex(&mut tag, secrets.random(), 16);
    tag
}

/// The partition that one of our tags names; `None` for a tag that does not look like one of ours.
pub fn partition_of_tag(tag: &str) -> Option<u8> {
    if tag.len() != 18 {
        return None;
    }
    hex(tag.as_bytes()).map(|_| ())?;
    hex(&tag.as_bytes()[..2]).map(|partition| partition as u8)
}

fn push_hex(out: &mut String, value: u64, digits: u32) {
    for place in (0..digits).rev() {
        let digit = (value >> (place * 4)) & 0xf;
        out.push(char::from(b"0123456789abcdef"[digit as usize]));
    }
}

fn hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_is_read_back_by_its_maker_and_by_nobody_else() {
        let secrets = Secrets::new(1, 0);
        let cookie = BranchCookie { partition: 3, key: Key { slot: 77, generation: 9 }, attempt: 2 };
        for mark in [None, Some(0xdead_beef)] {
            let mut branch = String::new();
            cookie.write(&secrets, mark, &mut branch);
            assert_eq!(BranchCookie::read(&branch, &secrets), Some(cookie));
            assert_eq!(BranchCookie::read(&branch, &Secrets::new(2, 0)), None);
            assert_eq!(BranchCookie::partition_of(&branch), Some(3));
        }
    }

    #[test]
    fn a_branch_that_was_tampered_with_is_not_ours() {
        let secrets = Secrets::new(1, 0);
        let cookie = BranchCookie { partition: 0, key: Key { slot: 1, generation: 1 }, attempt: 0 };
        let mut branch = String::new();
        cookie.write(&secrets, None, &mut branch);
        for at in MAGIC.len()..branch.len() {
            let mut other = branch.clone().into_bytes();
            other[at] = if other[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(BranchCookie::read(&String::from_utf8(other).unwrap(), &secrets), None);
        }
    }

    #[test]
    fn a_tag_names_its_partition() {
        let mut secrets = Secrets::new(5, 0);
        let (one, two) = (tag(7, &mut secrets), tag(7, &mut secrets));
        assert_ne!(one, two);
        assert_eq!(partition_of_tag(&one), Some(7));
        assert_eq!(partition_of_tag("as83kd9bs"), None);
    }
}
