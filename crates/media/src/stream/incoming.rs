//! What we hear: from RTP packets to ticks of linear audio, with key presses taken out (RFC 4733) and comfort noise put
//! in (RFC 3389).
//!
//! ```text
//!   handle ─► RtpReceiver (one source, loss, jitter) ─┬─► events ─► digits
//!                                                     └─► jitter buffer
//!   playout ◄─ meter ◄─ resample ◄─ shorten, lengthen ◄─ decode, conceal, comfort noise ◄─┘
//! ```

use std::time::{Duration, Instant};

use sdp::PayloadType;

use super::Agreed;
use super::codecs::{Format, Formats, Kind};
use super::plan::AudioOptions;
use crate::codec::Decoder;
use crate::dtmf::event::{EventNews, EventReceiver};
use crate::dtmf::tone_detector::ToneDetector;
use crate::jitter::{self, Frame, JitterBuffer, JitterSettings, Pace};
use crate::level::LevelMeter;
use crate::pcm::{SampleRate, TICK};
use crate::resample::Resampler;
use crate::rtp::{ClockRate, Impairment, Reception, RtpPacket, RtpReceiver, Ssrc};

pub(super) struct Incoming {
    rate: SampleRate,
    options: AudioOptions,
    listens: bool,
    formats: Formats,
    rtp: RtpReceiver,
    buffer: JitterBuffer,
    /// Of each payload type that was heard.
    voices: Vec<Voice>,
    /// Which of them was heard last.
    speaking: Option<PayloadType>,
    /// What fills the peer's silence, once he has described it.
    noise: Option<Noise>,
    events: EventReceiver,
    /// Listens for tones where the peer has no events.
    detector: Option<ToneDetector>,
    payload: Vec<u8>,
    decoded: Vec<i16>,
    /// Audio at our rate that is not played out yet.
    ready: Vec<i16>,
    meter: LevelMeter,
}

/// A codec that the peer uses.
struct Voice {
    format: Format,
    decoder: Box<dyn Decoder>,
    resampler: Resampler,
}

/// Comfort noise beside a codec.
struct Noise {
    rate: SampleRate,
    generator: Box<dyn Decoder>,
}

impl Incoming {
    pub(super) fn new(_now: Instant, rate: SampleRate, options: &AudioOptions) -> Incoming {
        let clock = ClockRate::NARROW;
        Incoming {
            rate,
            options: options.clone(),
            listens: false,
            formats: Formats::default(),
            rtp: RtpReceiver::new(clock),
            buffer: JitterBuffer::new(JitterSettings { max_delay: options.jitter_max, ..JitterSettings::new(clock) }),
            voices: Vec::new(),
            speaking: None,
            noise: None,
            events: EventReceiver::new(clock),
            detector: None,
            payload: Vec::new(),
            decoded: Vec::new(),
            ready: Vec::new(),
            meter: LevelMeter::new(rate),
        }
    }

    /// Listens as agreed from now on.
    pub(super) fn apply(&mut self, _now: Instant, agreed: &Agreed<'_>, authenticated: bool) {
        let formats = Formats::read(&agreed.agreement.receive, self.rate);
        // A payload type may mean another codec than before (RFC 3264 §8.3.2 forbids it, peers do it).
        self.voices
            .retain(|voice| formats.audio(voice.format.payload_type).is_some_and(|f| f.same_coding(&voice.format)));
        if self.rtp.packets() == 0
            && let Some(format) = formats.first_audio()
        {
            self.set_clock(format.clock);
        }
        if let Some((_, clock)) = formats.events(self.rtp.clock())
            && formats.events(self.rtp.clock()) != self.formats.events(self.rtp.clock())
        {
            self.events = EventReceiver::new(clock);
        }
        let by_tones = self.options.detect_inband_dtmf && formats.events(self.rtp.clock()).is_none();
        self.detector = by_tones.then(|| self.detector.take().unwrap_or_else(|| ToneDetector::new(self.rate)));
        self.formats = formats;
        self.set_authenticated(authenticated);
        let listens = agreed.agreement.direction.receives();
        if listens && !self.listens {
            self.forget_audio();
        }
        self.listens = listens;
    }

    /// Hears nothing any more.
    pub(super) fn pause(&mut self) {
        self.listens = false;
    }

    /// Whether encryption vouches for what comes.
    pub(super) fn set_authenticated(&mut self, authenticated: bool) {
        if authenticated && self.rtp.packets() == 0 {
            self.rtp = RtpReceiver::new(self.rtp.clock()).authenticated();
        }
    }

    /// Whether packets of that type are any of those agreed.
    pub(super) fn understands(&self, payload_type: PayloadType) -> bool {
        self.formats.kind(payload_type).is_some()
    }

    /// Takes a packet of the peer's.
    pub(super) fn handle(&mut self, now: Instant, packet: &RtpPacket<'_>, digit: &mut dyn FnMut(char)) {
        let Some(kind) = self.formats.kind(packet.payload_type) else { return };
        if let Kind::Audio(format) = kind
            && format.clock != self.rtp.clock()
        {
            let clock = format.clock;
            self.set_clock(clock);
        }
        match self.rtp.receive(now, packet) {
            Reception::Accepted { .. } => {}
            Reception::NewSource { .. } => {
                self.forget_audio();
                self.voices.clear();
                self.noise = None;
                self.events.reset();
            }
            Reception::Probation | Reception::OtherSource | Reception::Jump => return,
        }
        if !self.listens {
            return;
        }
        match self.formats.kind(packet.payload_type) {
            Some(Kind::Events(_)) => {
                self.buffer.skip(packet);
                self.events.receive(now, packet);
                self.tell_digits(now, digit);
            }
            Some(Kind::Audio(_) | Kind::Noise(..)) => {
                self.buffer.insert(now, packet);
            }
            None => {}
        }
    }

    /// Fills the next tick; false where it is silence.
    pub(super) fn playout(&mut self, now: Instant, pcm: &mut [i16], digit: &mut dyn FnMut(char)) -> bool {
        if !self.listens {
            pcm.fill(0);
            self.meter.pass(pcm.len());
            return false;
        }
        while self.ready.len() < pcm.len() {
            if !self.play_next(now) {
                break;
            }
        }
        let length = self.ready.len().min(pcm.len());
        let (heard, missing) = pcm.split_at_mut(length);
        heard.copy_from_slice(&self.ready[..length]);
        missing.fill(0);
        // What is left is less than a frame: moving it costs less than a buffer that grows.
        self.ready.drain(..length);
        self.meter.push(pcm);
        if let Some(detector) = &mut self.detector {
            detector.push(pcm, &mut *digit);
        }
        length > 0
    }

    /// Time has passed: a key whose end was lost is let go of.
    pub(super) fn handle_timeout(&mut self, now: Instant, digit: &mut dyn FnMut(char)) {
        self.tell_digits(now, digit);
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.events.next_timeout()
    }

    /// A source has said goodbye.
    pub(super) fn leave(&mut self, source: Ssrc) {
        self.rtp.leave(source);
    }

    pub(super) fn rtp(&self) -> &RtpReceiver {
        &self.rtp
    }

    pub(super) fn rtp_mut(&mut self) -> &mut RtpReceiver {
        &mut self.rtp
    }

    pub(super) fn buffer(&self) -> &JitterBuffer {
        &self.buffer
    }

    /// How long audio waits here: in the jitter buffer, and as the rest of a frame that is longer than a tick.
    pub(super) fn buffered(&self) -> Duration {
        self.buffer.delay() + self.rate.duration_of(self.ready.len())
    }

    /// What the codec that is heard costs in quality.
    pub(super) fn impairment(&self) -> Impairment {
        let speaking = self.speaking.and_then(|payload_type| self.formats.audio(payload_type));
        speaking.or(self.formats.first_audio()).map_or(Impairment::G711_CONCEALED, Format::impairment)
    }

    /// How loud the peer is, in dBFS.
    pub(super) fn level(&self) -> f32 {
        self.meter.level().rms.0 as f32
    }

    /// Moves the next frame out of the jitter buffer; false if it has none now.
    fn play_next(&mut self, now: Instant) -> bool {
        self.decoded.clear();
        match self.buffer.pop(now, &mut self.payload) {
            Frame::Packet { payload_type, pace, .. } => {
                if self.formats.audio(payload_type).is_some() {
                    self.decode(payload_type, pace);
                } else {
                    self.take_noise(payload_type);
                }
            }
            Frame::Lost { duration } => {
                let next = self.buffer.next_payload();
                if let Some(voice) = speaking(&mut self.voices, self.speaking) {
                    voice.decoder.conceal(voice.format.rate.samples_in(duration), next, &mut self.decoded);
                }
            }
            Frame::Silence { duration } => self.fill_silence(duration),
            Frame::Wait => return false,
        }
        match speaking(&mut self.voices, self.speaking) {
            Some(voice) => voice.resampler.resample(&self.decoded, &mut self.ready),
            // Comfort noise before any word.
            None => self.ready.resize(self.ready.len() + self.rate.samples_per_tick(), 0),
        }
        true
    }

    fn decode(&mut self, payload_type: PayloadType, pace: Pace) {
        self.open_voice(payload_type);
        self.speaking = Some(payload_type);
        self.noise = None;
        let Some(voice) = speaking(&mut self.voices, self.speaking) else { return };
        if voice.decoder.decode(&self.payload, &mut self.decoded).is_err() {
            voice.decoder.conceal(voice.format.rate.samples_in(TICK), None, &mut self.decoded);
        }
        self.buffer.decoded(voice.format.rate.duration_of(self.decoded.len()));
        match pace {
            Pace::Keep => {}
            Pace::Shorten => {
                jitter::shorten(&mut self.decoded, 0, voice.format.rate);
            }
            Pace::Lengthen => {
                jitter::lengthen(&mut self.decoded, 0, voice.format.rate);
            }
        }
    }

    /// Takes the description of the noise at the peer's, and makes a tick of it.
    fn take_noise(&mut self, payload_type: PayloadType) {
        let spec = match self.formats.kind(payload_type) {
            Some(Kind::Noise(_, spec)) => *spec,
            _ => return,
        };
        // Noise has the bandwidth of the codec beside which it is sent.
        let beside = self.speaking.and_then(|speaking| self.formats.audio(speaking)).or(self.formats.first_audio());
        let rate = beside.map_or(self.rate, |format| format.rate);
        if self.noise.as_ref().is_none_or(|noise| noise.rate != rate) {
            self.noise = Some(Noise { rate, generator: spec.decoder(rate) });
        }
        if let Some(noise) = &mut self.noise
            && noise.generator.decode(&self.payload, &mut self.decoded).is_err()
        {
            self.noise = None;
        }
        self.buffer.decoded(TICK);
        self.fill_tick(rate);
    }

    /// What the generator gave need not be a tick.
    fn fill_tick(&mut self, rate: SampleRate) {
        let samples = rate.samples_per_tick();
        if self.decoded.len() < samples {
            let missing = samples - self.decoded.len();
            match &mut self.noise {
                Some(noise) => noise.generator.conceal(missing, None, &mut self.decoded),
                None => self.decoded.resize(samples, 0),
            }
        }
        self.decoded.truncate(samples);
    }

    fn fill_silence(&mut self, duration: Duration) {
        let Some(voice) = speaking(&mut self.voices, self.speaking) else { return };
        let samples = voice.format.rate.samples_in(duration);
        match &mut self.noise {
            Some(noise) => noise.generator.conceal(samples, None, &mut self.decoded),
            None if voice.format.suppresses_silence() => voice.decoder.conceal(samples, None, &mut self.decoded),
            None => self.decoded.resize(samples, 0),
        }
    }

    fn tell_digits(&mut self, now: Instant, digit: &mut dyn FnMut(char)) {
        while let Some(news) = self.events.poll(now) {
            if let EventNews::Pressed(key) = news {
                digit(key.as_char());
            }
        }
    }

    fn open_voice(&mut self, payload_type: PayloadType) {
        if self.voices.iter().any(|voice| voice.format.payload_type == payload_type) {
            return;
        }
        if let Some(format) = self.formats.audio(payload_type) {
            self.voices.push(Voice {
                decoder: format.decoder(),
                resampler: Resampler::new(format.rate, self.rate),
                format: format.clone(),
            });
        }
    }

    fn set_clock(&mut self, clock: ClockRate) {
        self.rtp.set_clock(clock);
        self.buffer.set_clock(clock);
    }

    fn forget_audio(&mut self) {
        self.buffer.reset();
        self.ready.clear();
    }
}

fn speaking(voices: &mut [Voice], payload_type: Option<PayloadType>) -> Option<&mut Voice> {
    voices.iter_mut().find(|voice| Some(voice.format.payload_type) == payload_type)
}
