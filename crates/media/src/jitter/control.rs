//! Nearing the target: quick to grow, slow to shrink. The sound is made a little longer or shorter in one of some
//! frames; who plays it does that ([`shorten`](super::shorten), [`lengthen`](super::lengthen)), and the next measurement
//! shows whether he did.

use super::Pace;
use std::time::{Duration, Instant};

/// The delay has to be too great for so long before it is shrunk.
const PATIENCE: Duration = Duration::from_secs(2);
/// So many times [`PATIENCE`] too great, although the sound was to be shortened: it is not.
const IGNORED: u8 = 3;
/// The sound is changed in one of so many frames, more often where the delay is off by several.
const EVERY: u8 = 10;

/// Whether the delay keeps too far from the target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Control {
    since: Instant,
    /// The least that the delay was above the target since then.
    least_excess: i64,
    /// How many times [`PATIENCE`] it has been too great all the time.
    too_great: u8,
    /// Frames until the sound may be changed again.
    rest: u8,
}

impl Control {
    pub(super) fn new(now: Instant) -> Control {
        Control { since: now, least_excess: i64::MAX, too_great: 0, rest: 0 }
    }

    /// Whether the sound is not shortened although it should be.
    pub(super) fn is_ignored(&self) -> bool {
        self.too_great >= IGNORED
    }

    /// A packet is played so much later than it should be.
    pub(super) fn note(&mut self, now: Instant, excess: i64, frame: i64) -> Pace {
        self.least_excess = self.least_excess.min(excess);
        if now.saturating_duration_since(self.since) >= PATIENCE {
            self.too_great = if self.least_excess >= frame { self.too_great.saturating_add(1) } else { 0 };
            (self.since, self.least_excess) = (now, i64::MAX);
        }
        if self.rest > 0 {
            self.rest -= 1;
            return Pace::Keep;
        }
        let pace = if self.too_great > 0 && excess >= frame / 2 {
            Pace::Shorten
        } else if excess < -frame {
            Pace::Lengthen
        } else {
            return Pace::Keep;
        };
        let frames_off = u8::try_from(excess.abs() / frame.max(1)).unwrap_or(u8::MAX).max(1);
        self.rest = EVERY / frames_off;
        pace
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(20);

    /// What it says to so many frames with the same excess, in frames of 160 units.
    fn said(frames: u32, excess: i64) -> (Control, Vec<Pace>) {
        let start = Instant::now();
        let mut control = Control::new(start);
        let said = (0..frames).map(|frame| control.note(start + FRAME * frame, excess, 160)).collect();
        (control, said)
    }

    fn count(said: &[Pace], pace: Pace) -> usize {
        said.iter().filter(|other| **other == pace).count()
    }

    #[test]
    fn a_delay_near_the_target_is_left_alone() {
        for excess in [-160, 0, 159] {
            let (control, said) = said(1_000, excess);
            assert_eq!(count(&said, Pace::Keep), 1_000, "{excess}");
            assert!(!control.is_ignored());
        }
    }

    #[test]
    fn too_small_a_delay_is_mended_at_once_and_too_great_a_one_after_two_seconds() {
        assert_eq!(said(1, -161).1, [Pace::Lengthen]);
        let (_, said) = said(200, 160);
        assert_eq!(said.iter().position(|pace| *pace == Pace::Shorten), Some(100));
        assert!((9..=11).contains(&count(&said, Pace::Shorten)), "one frame in ten or so");
    }

    #[test]
    fn the_further_off_the_delay_is_the_more_often_the_sound_is_changed() {
        let (_, near) = said(200, -170);
        let (_, far) = said(200, -1_600);
        assert!(count(&far, Pace::Lengthen) > 4 * count(&near, Pace::Lengthen));
    }

    #[test]
    fn who_never_shortens_the_sound_is_known_after_six_seconds() {
        assert!(!said(300, 320).0.is_ignored());
        assert!(said(301, 320).0.is_ignored());
    }
}
