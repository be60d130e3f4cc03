//! What becomes of a sum that no longer fits 16 bits.

/// Turns down what is too loud for as long as it is, so that several voices at once do not clip.
///
/// A tick is mixed whole, so its peak is known before its first sample goes out: the gain falls within the first tenth of
/// the tick and comes back by at most half a decibel a tick. What is left above the knee in that tenth is pressed
/// together by [`soft_limit`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Limiter {
    gain: f32,
}

impl Limiter {
    pub(super) fn new() -> Limiter {
        Limiter { gain: 1.0 }
    }

    /// Sums of several voices, made to fit.
    pub(super) fn apply(&mut self, sums: &[i32], pcm: &mut [i16]) {
        let peak = sums.iter().map(|sum| sum.unsigned_abs()).max().unwrap_or(0);
        if self.is_open() && peak <= KNEE.unsigned_abs() {
            for (sample, &sum) in pcm.iter_mut().zip(sums) {
                *sample = sum as i16;
            }
            return;
        }
        let fitting = (CEILING / peak.max(1) as f32).min(1.0);
        let wanted = fitting.min(self.gain * RECOVERY).min(1.0);
        let ramp = if wanted < self.gain { sums.len().div_ceil(10) } else { sums.len() };
        let step = (wanted - self.gain) / ramp.max(1) as f32;
        let mut gain = self.gain;
        for (index, (sample, &sum)) in pcm.iter_mut().zip(sums).enumerate() {
            gain = if index < ramp { gain + step } else { wanted };
            *sample = soft_limit((sum as f32 * gain) as i32);
        }
        self.gain = wanted;
    }

    /// Passes what fits as it is.
    pub(super) fn is_open(&self) -> bool {
        self.gain == 1.0
    }
}

/// Presses what lies above the knee into the room that is left, along a hyperbola that leaves the knee with the slope of
/// the line below it and never quite reaches full scale: no corner to hear, where clipping has two.
fn soft_limit(sum: i32) -> i16 {
    if (-KNEE..=KNEE).contains(&sum) {
        return sum as i16;
    }
    let above = i64::from(sum.unsigned_abs()) - i64::from(KNEE);
    let limited = KNEE + (above * ROOM / (above + ROOM)) as i32;
    // Less than full scale, whatever the sum.
    (if sum < 0 { -limited } else { limited }) as i16
}

/// -1.2 dBFS: up to here a sum passes unchanged.
const KNEE: i32 = 28_672;

/// What too loud a tick is turned down to, a little below the knee.
const CEILING: f32 = 28_600.0;

/// From the knee to full scale.
const ROOM: i64 = 32_767 - KNEE as i64;

/// Half a decibel.
const RECOVERY: f32 = 1.059_254;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_is_straight_below_the_knee_and_rises_without_a_step_to_full_scale() {
        let mut last = soft_limit(-400_000);
        for sum in -400_000..=400_000 {
            let limited = soft_limit(sum);
            assert!(limited >= last && i32::from(limited) - i32::from(last) <= 1, "a step at {sum}");
            assert_eq!(limited, -soft_limit(-sum), "not symmetrical at {sum}");
            if sum.abs() <= KNEE {
                assert_eq!(i32::from(limited), sum);
            }
            last = limited;
        }
        assert!(soft_limit(i32::MAX) > 32_700 && soft_limit(i32::MIN) < -32_700);
    }

    #[test]
    fn what_fits_passes_bit_by_bit() {
        let sums: Vec<i32> = (0..160).map(|n| n * 179).collect();
        let mut pcm = vec![0; 160];
        Limiter::new().apply(&sums, &mut pcm);
        assert!(sums.iter().zip(&pcm).all(|(&sum, &sample)| sum == i32::from(sample)));
    }

    #[test]
    fn the_gain_falls_at_once_and_comes_back_by_half_a_decibel_a_tick() {
        let mut limiter = Limiter::new();
        let mut pcm = vec![0; 160];
        limiter.apply(&[57_200; 160], &mut pcm);
        assert!(pcm[..16].iter().all(|&sample| sample < i16::MAX));
        assert!(pcm[16..].iter().all(|&sample| (28_500..=28_600).contains(&sample)));
        let mut ticks = 0;
        while limiter.gain < 1.0 {
            limiter.apply(&[1_000; 160], &mut pcm);
            ticks += 1;
        }
        assert!((12..=13).contains(&ticks), "{ticks}");
    }
}
