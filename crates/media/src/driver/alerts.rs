//! What our own user hears that no peer says: rings, ringback, beeps.

use std::sync::Arc;
use std::time::Duration;

use super::clerk::{Clerk, Errand, Owner};
use super::command::{SessionKey, Sound};
use crate::device::Sink;
use crate::pcm::SampleRate;
use crate::tone::{Region, Repeat, Tone, ToneGenerator};

/// How often the busy tone is heard; nobody listens longer.
const BUSY: u32 = 6;
/// How long a pressed digit is heard.
const DIGIT: Duration = Duration::from_millis(120);
/// More sessions than that do not ring at once for one pair of ears.
const LIMIT: usize = 16;

pub(super) struct Alerts {
    spec: Arc<str>,
    sink: AlertSink,
    playing: Vec<Alert>,
    rate: SampleRate,
    one: Vec<i16>,
    sum: Vec<i16>,
}

enum AlertSink {
    /// There is none, and no sound is made.
    Nowhere,
    /// Not needed yet.
    Closed,
    Opening,
    Open(Box<dyn Sink>),
}

struct Alert {
    session: SessionKey,
    /// A beep that does not end what rings.
    is_beep: bool,
    tone: ToneGenerator,
}

impl Alerts {
    pub(super) fn new(spec: &str, rate: SampleRate) -> Alerts {
        let sink = if matches!(spec, "null" | "silence" | "") { AlertSink::Nowhere } else { AlertSink::Closed };
        let silence = vec![0; rate.samples_per_tick()];
        Alerts { spec: spec.into(), sink, playing: Vec::new(), rate, one: silence.clone(), sum: silence }
    }

    /// Plays a sound for a session, in place of its last one.
    pub(super) fn play(&mut self, session: SessionKey, sound: Sound, clerk: &Clerk) {
        let is_beep = matches!(sound, Sound::Digit(_));
        if !is_beep {
            self.playing.retain(|alert| alert.session != session || alert.is_beep);
        }
        let Some(tone) = tone(sound) else { return };
        match self.sink {
            AlertSink::Nowhere => return,
            AlertSink::Closed => {
                clerk.ask(Errand::OpenSink { owner: Owner::Alert, spec: self.spec.clone() });
                self.sink = AlertSink::Opening;
            }
            AlertSink::Opening | AlertSink::Open(_) => {}
        }
        if self.playing.len() < LIMIT {
            self.playing.push(Alert { session, is_beep, tone: ToneGenerator::new(tone, self.rate) });
        }
    }

    /// The device is open, or cannot be opened.
    pub(super) fn opened(&mut self, sink: Option<Box<dyn Sink>>) {
        self.sink = sink.map_or(AlertSink::Nowhere, AlertSink::Open);
    }

    pub(super) fn is_playing(&self) -> bool {
        !self.playing.is_empty()
    }

    /// The next 20 ms.
    pub(super) fn tick(&mut self) {
        self.sum.fill(0);
        for alert in &mut self.playing {
            alert.tone.fill(&mut self.one);
            for (sum, one) in self.sum.iter_mut().zip(&self.one) {
                *sum = sum.saturating_add(*one);
            }
        }
        self.playing.retain(|alert| !alert.tone.is_over());
        if let AlertSink::Open(sink) = &mut self.sink {
            sink.write(&self.sum);
            while let Some(event) = sink.poll_event() {
                tracing::debug!(?event, "the device for rings and beeps");
            }
        }
    }

    /// Gives the device to the clerk to be closed.
    pub(super) fn end(&mut self, clerk: &Clerk) {
        self.playing.clear();
        if let AlertSink::Open(sink) = std::mem::replace(&mut self.sink, AlertSink::Nowhere) {
            clerk.ask(Errand::CloseSink(sink));
        }
    }
}

fn tone(sound: Sound) -> Option<Tone> {
    match sound {
        Sound::Silence => None,
        Sound::InboundRing => Some(Tone::ring()),
        Sound::Ringback => Some(Tone::ringback(Region::default())),
        Sound::HangUp => Some(Tone::hang_up()),
        Sound::Busy => Some(Tone::busy(Region::default()).repeat(Repeat::Times(BUSY))),
        Sound::Digit(digit) => Tone::digit(digit, DIGIT),
    }
}
