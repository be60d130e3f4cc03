//! Not sending silence (RFC 3551 §4.1): a judge of what is silence, and comfort noise in its place (RFC 3389). For codecs
//! that have no way of their own.

use std::time::Duration;

use sdp::PayloadType;

use crate::codec::Encoder;
use crate::level::Dbfs;

/// After speech the audio goes on for so long: word ends are quiet.
const HANGOVER: Duration = Duration::from_millis(240);
/// The noise is described again so often, since a description may be lost.
const AGAIN: Duration = Duration::from_secs(1);
/// So much above the background is speech.
const MARGIN: f64 = 9.0;
/// What counts as background at most and at least, in dBFS.
const BACKGROUND: (f64, f64) = (-75.0, -48.0);
/// The background is believed to rise by so much in a second at most, in dB.
const RISE: f64 = 1.0;

/// Tells silence from speech and describes it.
pub(super) struct Hush {
    payload_type: PayloadType,
    analyser: Box<dyn Encoder>,
    background: f64,
    since_speech: Duration,
    since_description: Duration,
}

/// What to do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Send it.
    Speech,
    /// Send a description of the noise, which has been written.
    Description(PayloadType),
    /// Send nothing.
    Nothing,
}

impl Hush {
    pub(super) fn new(payload_type: PayloadType, analyser: Box<dyn Encoder>) -> Hush {
        Hush {
            payload_type,
            analyser,
            background: BACKGROUND.1,
            since_speech: Duration::ZERO,
            since_description: AGAIN,
        }
    }

    /// Which payload type descriptions have.
    pub(super) fn payload_type(&self) -> PayloadType {
        self.payload_type
    }

    /// Judges the next frame.
    pub(super) fn judge(&mut self, audio: &[i16], length: Duration, payload: &mut Vec<u8>) -> Verdict {
        let energy: f64 = audio.iter().map(|sample| f64::from(*sample).powi(2)).sum();
        let level = Dbfs::of_mean_square(energy / audio.len().max(1) as f64).0;
        let risen = self.background + RISE * length.as_secs_f64();
        self.background = level.min(risen).clamp(BACKGROUND.0, BACKGROUND.1);
        if level > self.background + MARGIN {
            self.since_speech = Duration::ZERO;
        } else {
            self.since_speech = self.since_speech.saturating_add(length);
        }
        if self.since_speech < HANGOVER {
            self.since_description = AGAIN;
            return Verdict::Speech;
        }
        self.since_description = self.since_description.saturating_add(length);
        if self.since_description < AGAIN {
            return Verdict::Nothing;
        }
        self.since_description = Duration::ZERO;
        match self.analyser.encode(audio, payload) {
            Ok(()) => Verdict::Description(self.payload_type),
            Err(_) => Verdict::Speech,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::comfort_noise::Analyser;
    use crate::pcm::{SampleRate, TICK};
    use crate::signal;

    fn judged(hush: &mut Hush, seconds: u64, level: f64) -> (usize, usize) {
        let (mut sent, mut described) = (0, 0);
        for tick in 0..seconds * 50 {
            let noise = signal::noise(tick, 160, Dbfs(level));
            match hush.judge(&noise, TICK, &mut Vec::new()) {
                Verdict::Speech => sent += 1,
                Verdict::Description(_) => described += 1,
                Verdict::Nothing => {}
            }
        }
        (sent, described)
    }

    fn hush() -> Hush {
        Hush::new(PayloadType::new(13).unwrap(), Box::new(Analyser::new(SampleRate::Narrow)))
    }

    #[test]
    fn background_is_described_once_a_second_and_speech_is_sent() {
        let mut hush = hush();
        assert_eq!(judged(&mut hush, 5, -60.0), (11, 5));
        assert_eq!(judged(&mut hush, 5, -25.0), (250, 0));
        let (sent, described) = judged(&mut hush, 5, -62.0);
        assert!((10..=12).contains(&sent) && described == 5, "{sent} {described}");
    }

    #[test]
    fn who_speaks_for_minutes_without_a_breath_is_not_taken_for_background() {
        assert_eq!(judged(&mut hush(), 300, -30.0), (15_000, 0));
    }

    #[test]
    fn a_background_that_becomes_louder_is_speech_for_a_while_and_background_then() {
        let mut hush = hush();
        judged(&mut hush, 20, -70.0);
        let (sent, _) = judged(&mut hush, 20, -55.0);
        assert!(sent > 200 && sent < 600, "{sent}");
        assert_eq!(judged(&mut hush, 5, -55.0).0, 0);
    }
}
