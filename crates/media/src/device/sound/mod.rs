//! Microphones and speakers, by the system's own way (ALSA, Core Audio, WASAPI).
//!
//! A card calls back from a thread of its own, at its own pace, which is never quite ours. Between it and the tick lies an
//! [`Elastic`]: a short stretch of audio that is made anew when the two have drifted apart.

mod card;
mod elastic;

use super::{DeviceError, DeviceEvent, Reading, Sink, Source};
use crate::pcm::SampleRate;
use crate::resample::Resampler;
use card::{Card, Way};
use elastic::{Elastic, Feed, elastic};
use std::fmt;

/// A sound card by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoundDevice {
    /// As `sound:NAME` takes it.
    pub name: String,
    /// It has a microphone.
    pub hears: bool,
    /// It has a speaker.
    pub speaks: bool,
}

/// The sound cards that the system knows. That one is listed does not say that it can be opened.
pub fn sound_devices() -> Result<Vec<SoundDevice>, DeviceError> {
    card::list()
}

/// Gives what a microphone hears.
pub struct SoundSource {
    card: Card,
    audio: Elastic,
}

impl SoundSource {
    /// The microphone of this name, or the default one.
    pub fn open(name: Option<&str>, rate: SampleRate) -> Result<SoundSource, DeviceError> {
        let (mut feed, audio) = elastic(rate);
        let card = Card::open(name, Way::Microphone, rate, |hertz| {
            let mut resampler = Resampler::between_hertz(hertz, rate.hertz());
            let mut converted = Vec::new();
            move |pcm: &mut [i16]| {
                converted.clear();
                resampler.resample(pcm, &mut converted);
                feed.put(&converted);
            }
        })?;
        Ok(SoundSource { card, audio })
    }
}

impl Source for SoundSource {
    fn read(&mut self, pcm: &mut [i16]) -> Reading {
        if self.audio.take(pcm) { Reading::Audio } else { Reading::Silence }
    }

    fn poll_event(&mut self) -> Option<DeviceEvent> {
        lost(self.audio.take_lost()).or_else(|| self.card.poll_event())
    }
}

/// Plays to a speaker.
pub struct SoundSink {
    card: Card,
    feed: Feed,
}

impl SoundSink {
    /// The speaker of this name, or the default one.
    pub fn open(name: Option<&str>, rate: SampleRate) -> Result<SoundSink, DeviceError> {
        let (feed, mut audio) = elastic(rate);
        let card = Card::open(name, Way::Speaker, rate, |hertz| {
            let mut resampler = Resampler::between_hertz(rate.hertz(), hertz);
            let mut tick = vec![0; rate.samples_per_tick() / 2];
            let mut ready: Vec<i16> = Vec::new();
            move |pcm: &mut [i16]| {
                while ready.len() < pcm.len() {
                    audio.take(&mut tick);
                    resampler.resample(&tick, &mut ready);
                }
                let length = pcm.len();
                pcm.copy_from_slice(&ready[..length]);
                ready.drain(..length);
            }
        })?;
        Ok(SoundSink { card, feed })
    }
}

impl Sink for SoundSink {
    fn write(&mut self, pcm: &[i16]) {
        self.feed.put(pcm);
    }

    fn poll_event(&mut self) -> Option<DeviceEvent> {
        lost(self.feed.take_lost()).or_else(|| self.card.poll_event())
    }
}

fn lost(samples: u64) -> Option<DeviceEvent> {
    (samples > 0).then_some(DeviceEvent::Lost { samples })
}

impl fmt::Debug for SoundSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoundSource").finish_non_exhaustive()
    }
}

impl fmt::Debug for SoundSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoundSink").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_that_is_not_there_is_an_error_that_names_it() {
        let name = Some("no card has this name");
        let errors = [SoundSource::open(name, SampleRate::Wide).err(), SoundSink::open(name, SampleRate::Wide).err()];
        for error in errors {
            assert!(error.unwrap().to_string().contains("no card has this name"));
        }
    }

    /// ALSA's `null` takes everything and gives zeros, without a sound card. Where there is no ALSA, says so.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_card_that_is_there_is_heard_and_played_to() {
        let rate = SampleRate::Wide;
        let (mut source, mut sink) = match (SoundSource::open(Some("null"), rate), SoundSink::open(Some("null"), rate))
        {
            (Ok(source), Ok(sink)) => (source, sink),
            other => return eprintln!("not tested: {other:?}"),
        };
        let mut pcm = [1; 320];
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while source.read(&mut pcm) != Reading::Audio {
            assert!(std::time::Instant::now() < deadline, "the card gave nothing");
            sink.write(&[100; 320]);
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert_eq!(pcm, [0; 320]);
        for event in [source.poll_event(), sink.poll_event()] {
            assert!(matches!(event, None | Some(DeviceEvent::Lost { .. })), "{event:?}");
        }
    }
}
