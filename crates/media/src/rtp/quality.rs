//! What a listener would say of a call: the E-model of ITU-T G.107 with its defaults, reduced to what a receiver knows
//! (delay, loss, codec). An estimate to compare calls with, no measurement: echo, noise and loudness are taken as good.
//!
//! ```text
//!   R = 93.2 − Id − Ie,eff            93.2: G.107's defaults put together (R0 − Is)
//!   Id     = 0.024·d + 0.11·(d − 177.3) where d > 177.3    d: one way, mouth to ear, in ms
//!   Ie,eff = Ie + (95 − Ie)·Ppl / (Ppl/BurstR + Bpl)       Ppl: loss in percent (G.107 §7.5, eq. 7-29)
//!   MOS    = 1 + 0.035·R + R·(R − 60)·(100 − R)·7·10⁻⁶     (G.107 Annex B)
//! ```
//!
//! The line for `Id` is the known approximation of G.107's curve by Cole and Rosenbluth ("Voice over IP performance
//! monitoring", 2001), good to a point of R below 400 ms.

use std::time::Duration;

/// G.107 with all of its defaults.
const BEST: f32 = 93.2;
/// Below so many milliseconds delay hurts little, above conversations suffer.
const CONVERSATIONAL: f32 = 177.3;

/// What a codec costs, and how it bears loss (ITU-T G.113 Appendix I), on G.107's narrow-band scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Impairment {
    /// Ie: what coding alone costs, in points of R.
    pub equipment: f32,
    /// Bpl: the greater, the better loss is concealed.
    pub loss_robustness: f32,
}

/// A call's quality.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rating {
    /// The E-model's rating factor, 0 to 100; 80 satisfies most, below 60 nearly nobody.
    pub r_factor: f32,
    /// The mean opinion score that it stands for, 1 (bad) to 4.5.
    pub mos: f32,
}

impl Impairment {
    /// G.711 without concealment (G.113 Table I.4: Ie 0, Bpl 4.3).
    pub const G711: Impairment = Impairment { equipment: 0.0, loss_robustness: 4.3 };
    /// G.711 with concealment by Appendix I of G.711 or alike (G.113 Table I.4: Ie 0, Bpl 25.1).
    pub const G711_CONCEALED: Impairment = Impairment { equipment: 0.0, loss_robustness: 25.1 };
    /// G.722 with concealment. G.113 has numbers for the wide-band scale only, where it starts from a higher best; to
    /// the listener of a telephone it is no worse than G.711, so it gets G.711's.
    pub const G722: Impairment = Impairment::G711_CONCEALED;
    /// Opus for speech. No ITU numbers exist; taken as free of cost and as robust as G.711 with concealment.
    pub const OPUS: Impairment = Impairment::G711_CONCEALED;
    /// Opus with in-band FEC, which brings back single lost packets. Ours, for lack of ITU numbers.
    pub const OPUS_FEC: Impairment = Impairment { equipment: 0.0, loss_robustness: 40.0 };
}

impl Rating {
    /// Rates a direction by its delay from mouth to ear, the part of its packets that was not heard (lost or too
    /// late, 0 to 1), and the codec. Loss is taken as random (BurstR = 1).
    pub fn of(delay: Duration, loss: f32, codec: Impairment) -> Rating {
        let delay = delay.as_secs_f32() * 1_000.0;
        let delayed = 0.024 * delay + 0.11 * (delay - CONVERSATIONAL).max(0.0);
        let percent = loss.clamp(0.0, 1.0) * 100.0;
        let equipment = codec.equipment + (95.0 - codec.equipment) * percent / (percent + codec.loss_robustness);
        let r_factor = (BEST - delayed - equipment).clamp(0.0, 100.0);
        Rating { r_factor, mos: mos_of(r_factor) }
    }
}

fn mos_of(r_factor: f32) -> f32 {
    let mos = 1.0 + 0.035 * r_factor + r_factor * (r_factor - 60.0) * (100.0 - r_factor) * 7e-6;
    // Between R = 0 and 6.5 the polynomial dips below 1, which nobody can vote.
    mos.clamp(1.0, 4.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(delay: u64) -> Duration {
        Duration::from_millis(delay)
    }

    #[test]
    fn a_perfect_call_is_worth_4_4() {
        let rating = Rating::of(ms(0), 0.0, Impairment::G711_CONCEALED);
        assert!((rating.r_factor - 93.2).abs() < 0.01);
        assert!((rating.mos - 4.41).abs() < 0.01, "{rating:?}");
    }

    #[test]
    fn delay_hurts_little_up_to_177_ms_and_much_beyond() {
        let at = |delay| Rating::of(ms(delay), 0.0, Impairment::G711).r_factor;
        assert!((at(0) - at(150) - 3.6).abs() < 0.01);
        assert!((at(400) - (93.2 - 9.6 - 24.497)).abs() < 0.01);
    }

    #[test]
    fn loss_costs_what_the_formula_says_and_less_where_it_is_concealed() {
        let bare = Rating::of(ms(0), 0.05, Impairment::G711);
        assert!((bare.r_factor - (93.2 - 95.0 * 5.0 / 9.3)).abs() < 0.01, "{bare:?}");
        let concealed = Rating::of(ms(0), 0.05, Impairment::G711_CONCEALED);
        assert!((concealed.r_factor - (93.2 - 95.0 * 5.0 / 30.1)).abs() < 0.01, "{concealed:?}");
    }

    #[test]
    fn nothing_makes_a_rating_leave_the_scale_or_rise_with_loss_or_delay() {
        for codec in [Impairment::G711, Impairment::G711_CONCEALED, Impairment::OPUS_FEC] {
            for delay in [0, 20, 100, 200, 500, 5_000, 3_600_000] {
                let mut before = 5.0;
                for loss in 0..=120 {
                    let rating = Rating::of(ms(delay), loss as f32 / 100.0, codec);
                    assert!((1.0..=4.5).contains(&rating.mos) && rating.mos <= before, "{delay} {loss} {rating:?}");
                    before = rating.mos;
                }
            }
        }
    }
}
