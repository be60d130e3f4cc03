//! A little less or a little more of a sound, without changing its pitch: one period of it is taken out or put in,
//! where it is most alike to the one beside it (waveform similarity, as in WSOLA).
//!
//! ```text
//!   shorten:  │ a │ b │ rest │ ──► │ a fades into b │ rest │
//!   lengthen: │ a │ b │ rest │ ──► │ a │ b fades into a │ b │ rest │
//! ```

use crate::pcm::SampleRate;
use std::time::Duration;

/// The shortest and the longest period: voices from 100 to 400 Hertz.
const SHORTEST_PERIOD: Duration = Duration::from_micros(2_500);
const LONGEST_PERIOD: Duration = Duration::from_millis(10);
/// At so many samples per second a period is searched for: the time that it takes grows with the square.
const SEARCH_RATE: u32 = 8_000;

/// Takes one period out of the samples from `start` on, and says how many samples that is; none, if there are too few.
pub fn shorten(pcm: &mut Vec<i16>, start: usize, rate: SampleRate) -> usize {
    let Some(period) = period_of(pcm.get(start..).unwrap_or_default(), rate) else { return 0 };
    for index in 0..period {
        let at = start + index;
        pcm[at] = faded(pcm[at], pcm[at + period], index, period);
    }
    pcm.drain(start + period..start + 2 * period);
    period
}

/// Puts one period into the samples from `start` on, and says how many samples that is; none, if there are too few.
pub fn lengthen(pcm: &mut Vec<i16>, start: usize, rate: SampleRate) -> usize {
    let Some(period) = period_of(pcm.get(start..).unwrap_or_default(), rate) else { return 0 };
    let end = pcm.len();
    pcm.resize(end + period, 0);
    pcm.copy_within(start + period..end, start + 2 * period);
    // Behind `a` there is now room, and behind that `b`: fade from what came there before into what comes there now.
    for index in 0..period {
        let (before, after) = (pcm[start + 2 * period + index], pcm[start + index]);
        pcm[start + period + index] = faded(before, after, index, period);
    }
    period
}

/// The shift at which the sound is most alike to itself: searched at a low rate first, then around what was found there.
fn period_of(sound: &[i16], rate: SampleRate) -> Option<usize> {
    let shortest = rate.samples_in(SHORTEST_PERIOD);
    let longest = rate.samples_in(LONGEST_PERIOD).min(sound.len() / 2);
    let step = (rate.hertz() / SEARCH_RATE) as usize;
    if step <= 1 || longest < shortest {
        return most_alike(sound, shortest, longest);
    }
    let coarse: Vec<i16> = sound.chunks_exact(step).map(mean).collect();
    let (least, most) = (shortest.div_ceil(step), (longest / step).min(coarse.len() / 2));
    // The last of a short sound may not be whole in the coarse one.
    let Some(found) = most_alike(&coarse, least, most) else { return most_alike(sound, shortest, longest) };
    let around = found * step;
    most_alike(sound, (around - step).max(shortest), (around + step).min(longest))
}

fn most_alike(sound: &[i16], shortest: usize, longest: usize) -> Option<usize> {
    // The first of equals: silence is alike to itself at any shift, and the longest helps most.
    (shortest..=longest)
        .rev()
        .map(|shift| (shift, likeness(sound, shift)))
        .reduce(|best, other| if other.1 > best.1 { other } else { best })
        .map(|(shift, _)| shift)
}

fn mean(samples: &[i16]) -> i16 {
    let sum: i32 = samples.iter().map(|sample| i32::from(*sample)).sum();
    (sum / samples.len() as i32) as i16
}

/// Normalised cross-correlation of one period with the next, −1 to 1.
fn likeness(sound: &[i16], shift: usize) -> f32 {
    let pairs = sound[..shift].iter().zip(&sound[shift..]);
    let (mut product, mut one, mut other) = (0_i64, 0_i64, 0_i64);
    for (a, b) in pairs {
        let (a, b) = (i64::from(*a), i64::from(*b));
        product += a * b;
        one += a * a;
        other += b * b;
    }
    let energy = (one as f32 * other as f32).sqrt();
    if energy > 0.0 { product as f32 / energy } else { 0.0 }
}

/// From `from` to `to`, at `index` of `length`.
fn faded(from: i16, to: i16, index: usize, length: usize) -> i16 {
    let (index, length) = (index as i64, length as i64);
    let mixed = (i64::from(from) * (length - index) + i64::from(to) * index) / length;
    i16::try_from(mixed).expect("between two samples")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sine with harmonics, of a pitch within the range.
    fn voice(rate: SampleRate, hertz: f32, samples: usize) -> Vec<i16> {
        (0..samples)
            .map(|index| {
                let phase = index as f32 * hertz / rate.hertz() as f32 * std::f32::consts::TAU;
                ((phase.sin() + 0.5 * (2.0 * phase).sin()) * 10_000.0) as i16
            })
            .collect()
    }

    fn greatest_step(pcm: &[i16]) -> i32 {
        pcm.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max().unwrap_or(0)
    }

    #[test]
    fn whole_periods_of_a_voice_are_taken_out_or_put_in_without_a_click() {
        for rate in SampleRate::ALL {
            let frame = rate.samples_per_tick();
            for hertz in [110.0, 160.0, 233.0, 390.0] {
                let original = voice(rate, hertz, frame);
                for change in [shorten, lengthen] {
                    let mut pcm = original.clone();
                    let changed = change(&mut pcm, 0, rate);
                    assert_eq!(pcm.len().abs_diff(original.len()), changed);
                    let periods = changed as f32 * hertz / rate.hertz() as f32;
                    assert!((periods - periods.round()).abs() < 0.1 && periods > 0.9, "{rate:?} {hertz} {periods}");
                    let (before, after) = (greatest_step(&original), greatest_step(&pcm));
                    assert!(after <= before + before / 3, "{rate:?} {hertz}: {before} {after}");
                    assert_eq!((pcm[0], pcm.last()), (original[0], original.last()));
                }
            }
        }
    }

    #[test]
    fn what_lies_before_the_start_is_left_alone() {
        let rate = SampleRate::Narrow;
        let mut pcm = voice(rate, 200.0, 480);
        let before = pcm[..320].to_vec();
        assert_eq!(shorten(&mut pcm, 320, rate), 480 - pcm.len());
        assert_eq!(pcm[..320], before);
    }

    #[test]
    fn silence_is_changed_by_the_longest_period() {
        let mut pcm = vec![0; 160];
        assert_eq!(shorten(&mut pcm, 0, SampleRate::Narrow), 80);
        assert_eq!(lengthen(&mut pcm, 0, SampleRate::Narrow), 40);
        assert_eq!(pcm, vec![0; 120]);
    }

    #[test]
    fn too_little_sound_is_left_as_it_is() {
        for length in 0..40 {
            let mut pcm = vec![1; length];
            assert_eq!(shorten(&mut pcm, 0, SampleRate::Narrow), 0);
            assert_eq!(lengthen(&mut pcm, 5, SampleRate::Narrow), 0);
            assert_eq!(pcm.len(), length);
        }
    }

    #[test]
    fn the_loudest_sound_does_not_overflow() {
        let mut pcm: Vec<i16> = (0..960).map(|index| if index / 7 % 2 == 0 { i16::MIN } else { i16::MAX }).collect();
        shorten(&mut pcm, 0, SampleRate::Full);
        lengthen(&mut pcm, 0, SampleRate::Full);
        assert!(pcm.iter().all(|sample| *sample == i16::MIN || *sample == i16::MAX || sample.abs() < i16::MAX));
    }
}
