//! A tone as a source.

use super::{DeviceEvent, Reading, Source};
use crate::pcm::SampleRate;
use crate::tone::{Tone, ToneGenerator};

/// Gives a tone: a test signal, or music for want of a better.
#[derive(Clone, Debug)]
pub struct ToneSource {
    generator: ToneGenerator,
    told: bool,
}

impl ToneSource {
    /// From the tone's start.
    pub fn new(tone: Tone, rate: SampleRate) -> ToneSource {
        ToneSource { generator: ToneGenerator::new(tone, rate), told: false }
    }
}

impl Source for ToneSource {
    fn read(&mut self, pcm: &mut [i16]) -> Reading {
        match self.generator.fill(pcm) {
            0 if self.generator.is_over() => Reading::Over,
            _ => Reading::Audio,
        }
    }

    fn poll_event(&mut self) -> Option<DeviceEvent> {
        let ended = self.generator.is_over() && !self.told;
        self.told |= ended;
        ended.then_some(DeviceEvent::Ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_tone_ends_once_and_is_silent_from_then_on() {
        let beep = Tone::once().on(&[400.0], Duration::from_millis(30));
        let mut source = ToneSource::new(beep, SampleRate::Narrow);
        let mut pcm = [1; 160];
        assert_eq!(source.read(&mut pcm), Reading::Audio);
        assert_eq!(source.poll_event(), None);
        assert_eq!(source.read(&mut pcm), Reading::Audio);
        assert_eq!(source.poll_event(), Some(DeviceEvent::Ended));
        assert_eq!(source.read(&mut pcm), Reading::Over);
        assert_eq!(pcm, [0; 160]);
        assert_eq!(source.poll_event(), None);
    }
}
