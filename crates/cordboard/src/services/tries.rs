//! How fast passwords may be guessed: a few wrong answers at once, then one a second, for each user and source.
//!
//! The table has a fixed size, so that guessing for many users costs no memory; two pairs that share a place share its
//! measure. It counts wrong answers only: whoever knows the password is never slowed by himself, and somebody else's
//! guesses from another address do not lock him out.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::config::Secret;
use super::mac::{Mac, Purpose};

/// Wrong answers that are free.
const BURST: u32 = 5;
/// After those, one in so long.
const PACE: Duration = Duration::from_secs(1);
const PLACES: usize = 1024;

/// See the module's text.
pub(crate) struct Tries {
    secret: Secret,
    /// Up to when the tries that were made are paid for.
    paid_until: Box<[Option<Instant>]>,
}

impl Tries {
    pub(crate) fn new(secret: &Secret) -> Tries {
        Tries { secret: *secret, paid_until: vec![None; PLACES].into() }
    }

    /// How long this user has to wait at this source before another try is looked at; nothing when he need not.
    pub(crate) fn wait(&self, now: Instant, user: &str, source: IpAddr) -> Option<Duration> {
        let until = self.paid_until[self.place(user, source)]?;
        until.checked_duration_since(now + PACE * (BURST - 1)).filter(|wait| !wait.is_zero())
    }

    /// A wrong answer was given.
    pub(crate) fn failed(&mut self, now: Instant, user: &str, source: IpAddr) {
        let place = self.place(user, source);
        let from = self.paid_until[place].filter(|until| *until > now).unwrap_or(now);
        self.paid_until[place] = Some(from + PACE);
    }

    fn place(&self, user: &str, source: IpAddr) -> usize {
        let mut mac = Mac::new(&self.secret, Purpose::Tries);
        mac.text(user);
        match source.to_canonical() {
            IpAddr::V4(ip) => mac.write(&ip.octets()),
            // A host has a whole /64 to choose from.
            IpAddr::V6(ip) => mac.write(&ip.octets()[..8]),
        }
        (mac.finish() % PLACES as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_few_wrong_answers_there_is_one_a_second() {
        let mut tries = Tries::new(&Secret([1, 2]));
        let (now, source) = (Instant::now(), "192.0.2.1".parse().unwrap());
        for _ in 0..BURST {
            assert_eq!(tries.wait(now, "bob", source), None);
            tries.failed(now, "bob", source);
        }
        assert_eq!(tries.wait(now, "bob", source), Some(PACE));
        assert_eq!(tries.wait(now, "bob", "192.0.2.2".parse().unwrap()), None);
        let later = now + PACE;
        assert_eq!(tries.wait(later, "bob", source), None);
        tries.failed(later, "bob", source);
        assert_eq!(tries.wait(later, "bob", source), Some(PACE));
        assert_eq!(tries.wait(later + PACE * 100, "bob", source), None);
    }
}
