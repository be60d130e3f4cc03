//! How fast passwords may be guessed: a few wrong answers at once, then one a second, for each user and source.
//!
//! The table has a fixed size, so that guessing for many users costs no memory; two pairs that share a place share its
//! measure. Only wrong answers count: who knows the password is not slowed by himself, and guesses from another address do
//! not lock him out.

use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use foldhash::quality::FixedState;

/// Wrong answers that are free.
const BURST: u32 = 5;
/// After those, one in so long.
const PACE: Duration = Duration::from_secs(1);
const PLACES: usize = 1024;

#[derive(Clone, Debug)]
pub(super) struct Tries {
    hash: FixedState,
    /// Up to when the tries that were made are paid for.
    paid_until: Box<[Option<SystemTime>]>,
}

impl Tries {
    /// `seed` keeps strangers from aiming at somebody else's place.
    pub(super) fn new(seed: u64) -> Tries {
        Tries { hash: FixedState::with_seed(seed), paid_until: vec![None; PLACES].into() }
    }

    /// How long this user has to wait at this source before another try is looked at; nothing when he need not.
    pub(super) fn wait(&self, now: SystemTime, user: &str, source: IpAddr) -> Option<Duration> {
        let ahead = self.ahead(now, self.place(user, source))?;
        ahead.checked_sub(PACE * (BURST - 1)).filter(|wait| !wait.is_zero())
    }

    /// A wrong answer was given.
    pub(super) fn failed(&mut self, now: SystemTime, user: &str, source: IpAddr) {
        let place = self.place(user, source);
        let ahead = self.ahead(now, place).unwrap_or_default();
        // Answers that were on their way together can't run up more than the next try is worth.
        self.paid_until[place] = Some(now + (ahead + PACE).min(PACE * BURST));
    }

    /// How far the place is paid for. More than can be paid at once means that the clock was set back: nothing then.
    fn ahead(&self, now: SystemTime, place: usize) -> Option<Duration> {
        let ahead = self.paid_until[place]?.duration_since(now).ok()?;
        (ahead <= PACE * BURST).then_some(ahead)
    }

    fn place(&self, user: &str, source: IpAddr) -> usize {
        let source = match source.to_canonical() {
            IpAddr::V4(ip) => u64::from(u32::from(ip)),
            // A host has a whole /64 to choose from.
            IpAddr::V6(ip) => (u128::from(ip) >> 64) as u64,
        };
        (self.hash.hash_one((user, source)) % PLACES as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn after_a_few_wrong_answers_there_is_one_a_second() {
        let mut tries = Tries::new(7);
        let (now, here) = (SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000), source("192.0.2.1"));
        for _ in 0..BURST {
            assert_eq!(tries.wait(now, "bob", here), None);
            tries.failed(now, "bob", here);
        }
        assert_eq!(tries.wait(now, "bob", here), Some(PACE));
        assert_eq!(tries.wait(now, "bob", source("192.0.2.2")), None);
        let later = now + PACE;
        assert_eq!(tries.wait(later, "bob", here), None);
        tries.failed(later, "bob", here);
        assert_eq!(tries.wait(later, "bob", here), Some(PACE));
        assert_eq!(tries.wait(later + PACE * 100, "bob", here), None);
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_source() {
        let mut tries = Tries::new(7);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        for _ in 0..BURST {
            tries.failed(now, "bob", source("2001:db8::1"));
        }
        assert!(tries.wait(now, "bob", source("2001:db8::ffff")).is_some());
        assert!(tries.wait(now, "bob", source("2001:db8:0:1::1")).is_none());
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let mut tries = Tries::new(7);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        for _ in 0..BURST * 10 {
            tries.failed(now, "bob", source("192.0.2.1"));
        }
        assert_eq!(tries.wait(now, "bob", source("192.0.2.1")), Some(PACE));
        assert_eq!(tries.wait(now - Duration::from_secs(3600), "bob", source("192.0.2.1")), None);
    }
}
