//! What a talk costs, in seconds of a balance.

use std::time::Duration;

/// How a talk is counted: at least `first`, then in steps of `then`. 60/1 in the trade's notation is a minute at once and
/// every further second by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tariff {
    /// What every answered call costs at least. Whole seconds.
    pub first: Duration,
    /// The steps after that. Whole seconds; less than one is one.
    pub then: Duration,
}

impl Default for Tariff {
    /// By the second.
    fn default() -> Tariff {
        Tariff { first: Duration::from_secs(1), then: Duration::from_secs(1) }
    }
}

impl Tariff {
    /// The seconds that a talk costs. What was begun is paid.
    pub fn charge(&self, talked: Duration) -> u64 {
        let talked = talked.as_secs() + u64::from(talked.subsec_nanos() > 0);
        let beyond = talked.saturating_sub(self.first.as_secs());
        self.first.as_secs().saturating_add(beyond.div_ceil(self.step()).saturating_mul(self.step()))
    }

    /// How long can be talked for so many seconds; `None` when it does not even pay for a beginning.
    pub fn longest(&self, balance: u64) -> Option<Duration> {
        let beyond = balance.checked_sub(self.first.as_secs())?;
        let longest = self.first.as_secs() + beyond / self.step() * self.step();
        (longest > 0).then(|| Duration::from_secs(longest))
    }

    fn step(&self) -> u64 {
        self.then.as_secs().max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_second_that_was_begun_is_paid() {
        let tariff = Tariff::default();
        assert_eq!(tariff.charge(Duration::from_millis(1)), 1);
        assert_eq!(tariff.charge(Duration::from_millis(5_000)), 5);
        assert_eq!(tariff.charge(Duration::from_millis(5_001)), 6);
    }

    #[test]
    fn a_minute_at_once_and_then_tens_of_seconds() {
        let tariff = Tariff { first: seconds(60), then: seconds(10) };
        assert_eq!(tariff.charge(seconds(1)), 60);
        assert_eq!(tariff.charge(seconds(61)), 70);
        assert_eq!(tariff.longest(59), None);
        assert_eq!(tariff.longest(60), Some(seconds(60)));
        assert_eq!(tariff.longest(89), Some(seconds(80)));
    }

    #[test]
    fn nothing_pays_for_nothing() {
        assert_eq!(Tariff::default().longest(0), None);
        assert_eq!(Tariff { first: seconds(0), then: seconds(0) }.longest(0), None);
    }

    /// Nobody is cut off later, or charged more, than the balance allows.
    #[test]
    fn the_longest_talk_costs_no_more_than_the_balance() {
        for (first, then) in [(1, 1), (60, 1), (60, 60), (0, 7), (30, 6)] {
            let tariff = Tariff { first: seconds(first), then: seconds(then) };
            for balance in 0..500 {
                let Some(longest) = tariff.longest(balance) else { continue };
                assert!(tariff.charge(longest) <= balance, "{first}/{then}: {balance}");
                assert!(tariff.charge(longest + seconds(1)) > balance, "{first}/{then}: {balance}");
            }
        }
    }
}
