//! Level meters: a level and the peak that is held above it for a moment.

use std::time::{Duration, Instant};

use client::session::SessionId;

use super::shown::{Levels, ShownCall};

/// Silence, as far as a meter is concerned, in dBFS.
pub(super) const FLOOR: f32 = -60.0;

/// How long a peak stands still.
const HELD: Duration = Duration::from_millis(1_500);

/// How fast it falls then, in dB per second (IEC 60268-18 asks for at least 13).
const FALL: f32 = 20.0;

/// What the two meters of the shown call show.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Meters {
    /// What we hear.
    pub(super) input: Meter,
    /// What we say.
    pub(super) output: Meter,
}

/// One meter, in dBFS.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Meter {
    /// Now.
    pub(super) level: f32,
    /// The loudest lately.
    pub(super) peak: f32,
}

impl Default for Meter {
    fn default() -> Meter {
        Meter { level: FLOOR, peak: FLOOR }
    }
}

/// The peaks of the call that is shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Peaks {
    of: Option<SessionId>,
    input: Peak,
    output: Peak,
}

impl Peaks {
    /// What the meters of this call show now.
    pub(super) fn read(&mut self, call: Option<&ShownCall>, now: Instant) -> Meters {
        let of = call.and_then(|call| call.id);
        if of != self.of {
            *self = Peaks { of, ..Peaks::default() };
        }
        let Levels { input, output } = call.map_or_else(Levels::default, ShownCall::levels);
        Meters { input: self.input.read(input, now), output: self.output.read(output, now) }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Peak(Option<(f32, Instant)>);

impl Peak {
    fn read(&mut self, level: Option<f32>, now: Instant) -> Meter {
        // What is no number is no sound.
        let level = level.filter(|level| !level.is_nan()).unwrap_or(FLOOR).clamp(FLOOR, 0.0);
        let held = self.0.map_or(FLOOR, |(peak, since)| {
            let falling = now.saturating_duration_since(since).saturating_sub(HELD);
            peak - falling.as_secs_f32() * FALL
        });
        if level >= held {
            self.0 = Some((level, now));
        }
        Meter { level, peak: level.max(held) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_held_and_then_falls() {
        let start = Instant::now();
        let mut peak = Peak::default();
        let mut at = |millis, level| peak.read(Some(level), start + Duration::from_millis(millis)).peak;
        assert_eq!(at(0, -10.0), -10.0);
        assert_eq!(at(1_500, -50.0), -10.0);
        assert_eq!(at(2_000, -50.0), -20.0);
        assert_eq!(at(2_100, -15.0), -15.0);
        assert_eq!(at(60_000, -55.0), -55.0);
    }

    #[test]
    fn what_is_no_level_is_silence() {
        let now = Instant::now();
        for level in [None, Some(f32::NAN), Some(f32::NEG_INFINITY), Some(-1_000.0)] {
            assert_eq!(Peak::default().read(level, now), Meter { level: FLOOR, peak: FLOOR });
        }
        assert_eq!(Peak::default().read(Some(12.0), now).level, 0.0);
    }

    #[test]
    fn another_call_does_not_inherit_the_peak() {
        let now = Instant::now();
        let mut call = super::super::samples::in_call().call.unwrap();
        let mut peaks = Peaks::default();
        let loud = peaks.read(Some(&call), now).input.peak;
        call.id = Some(SessionId(99));
        call.statistics = None;
        assert!(peaks.read(Some(&call), now).input.peak < loud);
    }
}
