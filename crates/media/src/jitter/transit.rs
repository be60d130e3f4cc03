//! How long packets take, compared with the fastest of the last seconds. Transit times are arrival less timestamp:
//! only their differences mean anything.
//!
//! ```text
//!   weight of packets
//!    ▐▌
//!    ▐█▌
//!    ▐██▌▖                ▗
//!   ─┴────┴───────────────┴─► transit
//!    fastest  most (98 % are no slower)
//! ```

use crate::rtp::ClockRate;
use std::time::Duration;

/// The fastest packet is looked for in so many spans...
const SPANS: usize = 10;
/// ...of so long. Clocks that differ by 200 ppm part by 2 ms in that time.
const SPAN: Duration = Duration::from_secs(1);
/// A bar of the histogram.
const BAR: Duration = Duration::from_millis(5);
/// So many bars: beyond the greatest delay that makes sense in a conversation.
const BARS: usize = 128;
/// The part of the packets that may be slower than [`Transits::most`] says.
const SLOW: f32 = 0.02;
/// What a packet weighs, compared with the one after it: half after seven seconds of 20 ms packets.
const FORGETTING: f32 = 0.998;
/// So many packets make it known.
const KNOWN: u32 = 50;

/// The transit times of one stream.
#[derive(Clone, Debug)]
pub(super) struct Transits {
    bar: i64,
    span: i64,
    /// The least transit in each of the last spans.
    fastest: [i64; SPANS],
    /// Which span the newest one is.
    newest: i64,
    measured: bool,
    bars: [f32; BARS],
    /// The transit at which the bars begin, in bars.
    origin: i64,
    /// What the next packet weighs. Growing weights are the same as forgetting, at less work.
    weight: f32,
    total: f32,
    most: i64,
    packets: u32,
    /// So many packets may still show that the first ones after a restart were slow.
    settling: u32,
}

impl Transits {
    pub(super) fn new(clock: ClockRate) -> Transits {
        let ticks = |span| i64::try_from(clock.ticks(span)).unwrap_or(i64::MAX / 4).max(1);
        Transits {
            bar: ticks(BAR),
            span: ticks(SPAN),
            fastest: [i64::MAX; SPANS],
            newest: 0,
            measured: false,
            bars: [0.0; BARS],
            origin: 0,
            weight: 1.0,
            total: 0.0,
            most: 0,
            packets: 0,
            settling: 0,
        }
    }

    /// A packet came at `arrival`, which took `transit`.
    pub(super) fn note(&mut self, arrival: i64, transit: i64) {
        let before = self.fastest();
        self.note_fastest(arrival.div_euclid(self.span), transit);
        let origin = self.fastest().unwrap_or(transit).div_euclid(self.bar);
        match before {
            // After a restart the bars mean the same, counted from another transit.
            None => self.origin = origin,
            Some(_) if self.settling > 0 && origin < self.origin => self.origin = origin,
            Some(_) => self.move_origin(origin),
        }
        self.settling = self.settling.saturating_sub(1);
        let bar = usize::try_from(transit.div_euclid(self.bar) - self.origin).unwrap_or(0).min(BARS - 1);
        self.bars[bar] += self.weight;
        self.total += self.weight;
        self.weight /= FORGETTING;
        if self.weight > 1e15 {
            self.rescale();
        }
        self.packets = self.packets.saturating_add(1);
        self.most = self.find_most();
    }

    /// The least transit of the last seconds.
    pub(super) fn fastest(&self) -> Option<i64> {
        self.measured.then(|| self.fastest.iter().copied().min().unwrap_or(i64::MAX))
    }

    /// Hardly a packet is slower than that.
    pub(super) fn most(&self) -> i64 {
        self.most
    }

    /// Whether there have been enough packets to go by.
    pub(super) fn is_known(&self) -> bool {
        self.packets >= KNOWN
    }

    /// Transit times have another base from now on; how they spread is taken to stay the same.
    pub(super) fn restart(&mut self) {
        self.measured = false;
        self.fastest = [i64::MAX; SPANS];
        self.settling = KNOWN;
    }

    fn note_fastest(&mut self, span: i64, transit: i64) {
        let passed = if self.measured { span.saturating_sub(self.newest).max(0) } else { i64::MAX };
        for step in 0..passed.min(SPANS as i64) {
            let slot = span.saturating_sub(step).rem_euclid(SPANS as i64);
            self.fastest[usize::try_from(slot).unwrap_or(0)] = i64::MAX;
        }
        self.newest = if self.measured { self.newest.max(span) } else { span };
        self.measured = true;
        let slot = usize::try_from(self.newest.rem_euclid(SPANS as i64)).unwrap_or(0);
        self.fastest[slot] = self.fastest[slot].min(transit);
    }

    /// What falls off at either end is put into the last bar there.
    fn move_origin(&mut self, origin: i64) {
        let up = origin - self.origin;
        self.origin = origin;
        let by = usize::try_from(up.unsigned_abs()).unwrap_or(BARS).min(BARS);
        if up > 0 {
            let fallen: f32 = self.bars[..by].iter().sum();
            self.bars.copy_within(by.., 0);
            self.bars[BARS - by..].fill(0.0);
            self.bars[0] += fallen;
        } else if up < 0 {
            let fallen: f32 = self.bars[BARS - by..].iter().sum();
            self.bars.copy_within(..BARS - by, by);
            self.bars[..by].fill(0.0);
            self.bars[BARS - 1] += fallen;
        }
    }

    fn rescale(&mut self) {
        let weight = self.weight;
        self.bars.iter_mut().for_each(|bar| *bar /= weight);
        self.total = self.bars.iter().sum();
        self.weight = 1.0;
    }

    fn find_most(&self) -> i64 {
        let slow = self.total * SLOW;
        let mut slower = 0.0;
        let bar = self.bars.iter().rposition(|bar| {
            slower += bar;
            slower > slow
        });
        (self.origin + i64::try_from(bar.unwrap_or(0)).unwrap_or(0) + 1) * self.bar
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::dice::Dice;

    const FRAME: i64 = 160;
    /// A millisecond.
    const MS: i64 = 8;

    fn run(transits: &mut Transits, from: i64, packets: i64, mut transit: impl FnMut(i64) -> i64) -> i64 {
        for packet in 0..packets {
            let sent = from + packet * FRAME;
            let transit = transit(packet);
            transits.note(sent + transit, transit);
        }
        from + packets * FRAME
    }

    #[test]
    fn an_even_stream_needs_no_more_than_a_bar() {
        let mut transits = Transits::new(ClockRate::NARROW);
        run(&mut transits, 0, 200, |_| 77 * MS);
        assert_eq!(transits.fastest(), Some(77 * MS));
        assert_eq!(transits.most(), 80 * MS);
    }

    #[test]
    fn the_target_covers_nearly_all_packets_of_an_uneven_stream() {
        let mut dice = Dice::new(1);
        let mut transits = Transits::new(ClockRate::NARROW);
        run(&mut transits, 0, 5_000, |_| i64::try_from(dice.below(200)).unwrap() * MS);
        assert!((0..8 * MS).contains(&transits.fastest().unwrap()));
        assert!((185 * MS..=205 * MS).contains(&transits.most()), "{}", transits.most() / MS);
    }

    #[test]
    fn one_straggler_is_nothing_and_ten_are_the_new_normal() {
        let mut transits = Transits::new(ClockRate::NARROW);
        let mut at = run(&mut transits, 0, 1_000, |_| 0);
        at = run(&mut transits, at, 1, |_| 150 * MS);
        assert_eq!(transits.most(), 5 * MS);
        at = run(&mut transits, at, 10, |_| 150 * MS);
        assert_eq!(transits.most(), 155 * MS);
        run(&mut transits, at, 2_000, |_| 0);
        assert_eq!(transits.most(), 5 * MS, "and are forgotten again");
    }

    #[test]
    fn a_longer_way_is_normal_after_ten_seconds() {
        let mut transits = Transits::new(ClockRate::NARROW);
        let at = run(&mut transits, 0, 1_000, |_| 0);
        run(&mut transits, at, 600, |_| 100 * MS);
        assert_eq!(transits.fastest(), Some(100 * MS));
        assert_eq!(transits.most() - transits.fastest().unwrap(), 5 * MS);
    }

    #[test]
    fn a_clock_that_runs_off_takes_the_target_with_it() {
        for drift in [-1, 1] {
            let mut transits = Transits::new(ClockRate::NARROW);
            // 200 ppm: a unit in 31 packets.
            run(&mut transits, 0, 500_000, |packet| drift * packet / 31);
            let over = transits.most() - transits.fastest().unwrap();
            // What is forgotten slowly has moved by 8 ms meanwhile.
            assert!((0..=15 * MS).contains(&over), "{over}");
        }
    }

    #[test]
    fn a_restart_keeps_the_spread() {
        let mut dice = Dice::new(2);
        let mut transits = Transits::new(ClockRate::NARROW);
        let mut uneven = |base: i64| base + i64::try_from(dice.below(100)).unwrap() * MS;
        let at = run(&mut transits, 0, 1_000, |_| uneven(0));
        transits.restart();
        assert_eq!(transits.fastest(), None);
        run(&mut transits, at, 10, |_| uneven(-5_000_000));
        let over = transits.most() - transits.fastest().unwrap();
        assert!((80 * MS..=110 * MS).contains(&over), "{}", over / MS);
    }

    #[test]
    fn weights_stay_finite_for_days() {
        let mut transits = Transits::new(ClockRate::NARROW);
        run(&mut transits, 0, 1_000_000, |packet| packet % 3 * MS);
        assert!(transits.total.is_finite() && transits.total > 0.0);
        assert_eq!(transits.most(), 5 * MS);
    }
}
