//! The tones of telephone networks: ITU-T E.180 Supplement 2 for call progress, ITU-T Q.23 for digits.

use super::{Sine, Tone};
use crate::level::Dbfs;
use std::time::Duration;

/// Whose tones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Region {
    /// The 425 Hz of most of Europe, as ETSI TR 101 041-2 recommends.
    #[default]
    Etsi,
    /// The United Kingdom.
    UnitedKingdom,
    /// The United States and Canada.
    UnitedStates,
}

impl Tone {
    /// What the caller hears while the other's phone rings.
    pub fn ringback(region: Region) -> Tone {
        match region {
            Region::Etsi => cadence(&[425.0], &[1_000, 4_000]),
            Region::UnitedKingdom => cadence(&[400.0, 450.0], &[400, 200, 400, 2_000]),
            Region::UnitedStates => cadence(&[440.0, 480.0], &[2_000, 4_000]),
        }
    }

    /// What the caller hears when the callee is busy.
    pub fn busy(region: Region) -> Tone {
        match region {
            Region::Etsi => cadence(&[425.0], &[500, 500]),
            Region::UnitedKingdom => cadence(&[400.0], &[375, 375]),
            Region::UnitedStates => cadence(&[480.0, 620.0], &[500, 500]),
        }
    }

    /// What the caller hears when the network cannot carry the call (in America: reorder).
    pub fn congestion(region: Region) -> Tone {
        match region {
            Region::Etsi => cadence(&[425.0], &[250, 250]),
            Region::UnitedKingdom => cadence(&[400.0], &[400, 350, 225, 525]),
            Region::UnitedStates => cadence(&[480.0, 620.0], &[250, 250]),
        }
    }

    /// What someone in a call hears when another one comes in.
    pub fn call_waiting(region: Region) -> Tone {
        match region {
            Region::Etsi => cadence(&[425.0], &[200, 600, 200, 3_000]),
            Region::UnitedKingdom => cadence(&[400.0], &[100, 2_900]),
            Region::UnitedStates => cadence(&[440.0], &[300, 9_700]),
        }
        .at_level(Dbfs(-26.0))
    }

    /// One digit, `0`-`9`, `*`, `#` or `A`-`D`, for so long. `None` for any other character.
    pub fn digit(digit: char, length: Duration) -> Option<Tone> {
        Tone::once().at_level(DIGIT_LEVEL).digit_step(digit, length)
    }

    /// Digits with pauses between them and after the last.
    pub fn digits(digits: &str, length: Duration, pause: Duration) -> Option<Tone> {
        let start = Tone::once().at_level(DIGIT_LEVEL);
        digits.chars().try_fold(start, |tone, digit| Some(tone.digit_step(digit, length)?.off(pause)))
    }

    fn digit_step(self, digit: char, length: Duration) -> Option<Tone> {
        let (low, high) = frequencies(digit)?;
        // The higher one is sent louder, since lines attenuate it more.
        let sines = [Some(Sine { hertz: low, offset: -2.0 }), Some(Sine { hertz: high, offset: 0.0 })];
        Some(self.step(sines, length))
    }
}

/// The two frequencies of a digit (ITU-T Q.23).
pub fn frequencies(digit: char) -> Option<(f64, f64)> {
    let digit = digit.to_ascii_uppercase();
    KEYPAD.iter().enumerate().find_map(|(row, keys)| {
        let column = keys.iter().position(|&key| key == digit)?;
        Some((LOW_FREQUENCIES[row], HIGH_FREQUENCIES[column]))
    })
}

/// The keys, by row (lower frequency) and column (higher one).
pub const KEYPAD: [[char; 4]; 4] =
    [['1', '2', '3', 'A'], ['4', '5', '6', 'B'], ['7', '8', '9', 'C'], ['*', '0', '#', 'D']];

/// The rows' frequencies in hertz.
pub const LOW_FREQUENCIES: [f64; 4] = [697.0, 770.0, 852.0, 941.0];

/// The columns' frequencies in hertz.
pub const HIGH_FREQUENCIES: [f64; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];

/// -7 dBm0 for the higher frequency, -9 for the lower.
const DIGIT_LEVEL: Dbfs = Dbfs(-13.0);

/// On and off by turns, in milliseconds.
fn cadence(hertz: &[f64], milliseconds: &[u64]) -> Tone {
    milliseconds.chunks(2).fold(Tone::forever(), |tone, pair| {
        let off = pair.get(1).copied().unwrap_or(0);
        tone.on(hertz, Duration::from_millis(pair[0])).off(Duration::from_millis(off))
    })
}

#[cfg(test)]
mod tests {
    use super::super::ToneGenerator;
    use super::*;
    use crate::pcm::SampleRate;
    use crate::signal;

    const RATE: SampleRate = SampleRate::Narrow;

    fn seconds(tone: Tone, seconds: usize) -> Vec<i16> {
        let mut pcm = vec![0; seconds * RATE.hertz() as usize];
        ToneGenerator::new(tone, RATE).fill(&mut pcm);
        pcm
    }

    /// The lengths of sound and silence in turn, in milliseconds, and the frequencies that are as loud as asked for.
    fn assert_cadence(tone: Tone, hertz: &[f64], on_and_off: &[usize]) {
        let pcm = seconds(tone, 12);
        let ranges = signal::loud_ranges(&pcm, RATE, Dbfs(-50.0));
        let heard: Vec<usize> =
            ranges.windows(2).flat_map(|pair| [pair[0].len() / 8, (pair[1].start - pair[0].end) / 8]).collect();
        for (&heard, &said) in heard.iter().zip(on_and_off.iter().cycle()) {
            assert!(heard.abs_diff(said) <= 20, "{heard} ms for {said}: {ranges:?}");
        }
        assert!(heard.len() >= on_and_off.len());
        // The steady middle of the first sound.
        let middle = &pcm[ranges[0].start + 80..ranges[0].end - 80];
        let between = signal::tone_to_rest(middle, RATE, hertz);
        assert!(between > 30.0, "{hertz:?} at {between} dB");
    }

    #[test]
    fn call_progress_tones_have_the_frequencies_and_cadences_of_their_region() {
        assert_cadence(Tone::ringback(Region::Etsi), &[425.0], &[1_000, 4_000]);
        assert_cadence(Tone::ringback(Region::UnitedKingdom), &[400.0, 450.0], &[400, 200, 400, 2_000]);
        assert_cadence(Tone::ringback(Region::UnitedStates), &[440.0, 480.0], &[2_000, 4_000]);
        assert_cadence(Tone::busy(Region::Etsi), &[425.0], &[500, 500]);
        assert_cadence(Tone::busy(Region::UnitedStates), &[480.0, 620.0], &[500, 500]);
        assert_cadence(Tone::congestion(Region::Etsi), &[425.0], &[250, 250]);
        assert_cadence(Tone::congestion(Region::UnitedStates), &[480.0, 620.0], &[250, 250]);
        assert_cadence(Tone::call_waiting(Region::UnitedKingdom), &[400.0], &[100, 2_900]);
    }

    #[test]
    fn the_hang_up_beep_is_two_tones_and_then_the_lower_one() {
        let pcm = seconds(Tone::hang_up(), 1);
        assert!(signal::rms(&pcm[2_400..]) == Dbfs::SILENCE && pcm[2_360..2_400].iter().any(|&sample| sample != 0));
        assert!(signal::tone_to_rest(&pcm[80..720], RATE, &[400.0, 800.0]) > 30.0);
        assert!(signal::tone_to_rest(&pcm[880..2_320], RATE, &[400.0]) > 30.0);
    }

    #[test]
    fn the_ring_tone_rings_for_a_second_and_rests_for_two() {
        let pcm = seconds(Tone::ring(), 6);
        let ranges = signal::loud_ranges(&pcm, RATE, Dbfs(-50.0));
        assert_eq!(ranges, [0..7_680, 24_000..31_680]);
        assert!(signal::peak(&pcm).0 < -8.0);
    }

    #[test]
    fn the_comfort_tone_is_quiet_and_rare() {
        let pcm = seconds(Tone::comfort(), 20);
        let ranges = signal::loud_ranges(&pcm, RATE, Dbfs(-60.0));
        assert_eq!(ranges.len(), 2);
        assert!(ranges.iter().all(|range| range.len() == 960));
        assert!(signal::peak(&pcm).0 < -30.0);
    }

    #[test]
    fn every_digit_has_the_two_frequencies_of_its_row_and_column() {
        for digit in KEYPAD.into_iter().flatten() {
            let (low, high) = frequencies(digit).unwrap();
            let pcm = seconds(Tone::digit(digit, Duration::from_secs(1)).unwrap(), 1);
            assert!((signal::level_at(&pcm, RATE, low).0 + 15.0).abs() < 0.1);
            assert!((signal::level_at(&pcm, RATE, high).0 + 13.0).abs() < 0.1);
            assert!(signal::tone_to_rest(&pcm, RATE, &[low, high]) > 40.0);
        }
        assert_eq!(frequencies('d'), Some((941.0, 1_633.0)));
        assert_eq!(Tone::digit('x', Duration::from_secs(1)), None);
        assert_eq!(Tone::digits("12x", Duration::from_millis(50), Duration::from_millis(50)), None);
    }
}
