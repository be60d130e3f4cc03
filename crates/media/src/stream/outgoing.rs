//! What we send: from ticks of linear audio to RTP packets of the agreed codec and packet time, with key presses in
//! between (RFC 4733) and, where wanted, nothing but comfort noise in silence (RFC 3389, RFC 7587 §3.1.3).
//!
//! ```text
//!   capture ─► meter ─► mute, in-band tones ─► resample ─► pending ─┬─► encode ──────────┬─► RtpSender ─► packet
//!                                                                   └─► event, if pressed┘
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sdp::{MediaDescription, PayloadType};

use super::codecs::{Format, Formats};
use super::hush::{self, Hush};
use super::plan::{AudioOptions, DtmfMode};
use super::{Agreed, RandomSource};
use crate::codec::Encoder;
use crate::dtmf::Digit;
use crate::dtmf::event::{EventPacket, EventSender, EventSettings};
use crate::level::LevelMeter;
use crate::pcm::{SampleRate, TICK};
use crate::resample::Resampler;
use crate::rtp::{ClockRate, RtpSender};
use crate::tone::{Tone, ToneGenerator};

/// Between two digits that are sent as tones (ITU-T Q.24: at least 40 ms).
const TONE_PAUSE: Duration = Duration::from_millis(60);
/// Digits that wait to be sent; who presses more of them has fallen asleep on the keys.
const DIGITS: usize = 64;

pub(super) struct Outgoing {
    rate: SampleRate,
    options: AudioOptions,
    /// How much time encoders may take, 0 to 10.
    complexity: u8,
    rtp: RtpSender,
    talks: bool,
    muted: bool,
    encoding: Option<Encoding>,
    events: Option<Events>,
    /// Sends comfort noise instead of silence.
    hush: Option<Hush>,
    /// Audio at the codec's rate; what is before `taken` is sent.
    pending: Vec<i16>,
    taken: usize,
    payload: Vec<u8>,
    /// The next packet is the first one after a silence.
    marker: bool,
    tones: Tones,
    /// A tick that is not sent as it was captured.
    scratch: Vec<i16>,
    meter: LevelMeter,
}

/// The codec in use.
struct Encoding {
    format: Format,
    encoder: Box<dyn Encoder>,
    resampler: Resampler,
    packet_time: Duration,
    /// In a packet.
    samples: usize,
    /// By which a packet moves the timestamp.
    ticks: u32,
}

/// Key presses as telephone-events.
struct Events {
    payload_type: PayloadType,
    clock: ClockRate,
    sender: EventSender,
    /// Time by their clock, which need not be that of the audio.
    now: u32,
    /// When the event that sounds began, by its clock and by that of the audio: all packets of a stream tell the latter.
    began: Option<(u32, u32)>,
}

/// Key presses as tones.
#[derive(Default)]
struct Tones {
    waiting: VecDeque<(char, Duration)>,
    playing: Option<ToneGenerator>,
}

impl Outgoing {
    pub(super) fn new(rate: SampleRate, options: &AudioOptions, complexity: u8, random: &mut RandomSource) -> Outgoing {
        Outgoing {
            rate,
            complexity,
            options: options.clone(),
            rtp: RtpSender::new(ClockRate::NARROW, random),
            talks: false,
            muted: false,
            encoding: None,
            events: None,
            hush: None,
            pending: Vec::new(),
            taken: 0,
            payload: Vec::new(),
            marker: true,
            tones: Tones::default(),
            scratch: vec![0; rate.samples_per_tick()],
            meter: LevelMeter::new(rate),
        }
    }

    /// Sends as agreed from now on: the first codec that is ours as well.
    pub(super) fn apply(&mut self, agreed: &Agreed<'_>, remote: &MediaDescription) {
        let agreement = agreed.agreement;
        let formats = Formats::read(&agreement.send, self.rate);
        let Some(format) = formats.first_audio() else {
            self.encoding = None;
            return;
        };
        let longest = remote.attribute::<sdp::MaxPacketTime>().map(|sdp::MaxPacketTime(time)| time);
        let wish = agreement.packet_time.unwrap_or(self.options.packet_time);
        let packet_time = format.packet_time(wish.min(longest.unwrap_or(wish)));
        let unchanged = self
            .encoding
            .as_ref()
            .is_some_and(|running| running.format.same_coding(format) && running.packet_time == packet_time);
        if unchanged {
            if let Some(encoding) = &mut self.encoding {
                encoding.format = format.clone();
            }
        } else {
            self.rtp.set_clock(format.clock);
            self.drop_pending();
            self.encoding = Some(Encoding::new(self.rate, format, packet_time, &self.options, self.complexity));
        }
        self.set_events(&formats, format.clock);
        self.set_hush(&formats, format);
        let talks = agreement.direction.sends();
        if talks && !self.talks {
            self.drop_pending();
        }
        self.talks = talks;
    }

    /// Sends nothing any more.
    pub(super) fn pause(&mut self) {
        self.talks = false;
    }

    /// Nothing can be sent in this tick; time passes all the same.
    pub(super) fn pass(&mut self) {
        self.rtp.advance(self.rtp.clock().ticks(TICK) as u32);
        self.meter.pass(self.rate.samples_per_tick());
        self.drop_pending();
    }

    /// Takes a tick.
    pub(super) fn capture(&mut self, pcm: &[i16]) {
        if !self.talks || self.encoding.is_none() {
            return self.pass();
        }
        let replaced = self.tones.fill(self.rate, &mut self.scratch) || self.muted;
        if self.muted && !self.tones.is_playing() {
            self.scratch.fill(0);
        }
        let pcm = if replaced { &self.scratch } else { pcm };
        self.meter.push(pcm);
        if let Some(encoding) = &mut self.encoding {
            encoding.resampler.resample(pcm, &mut self.pending);
        }
    }

    /// Writes the next packet that is due; false if there is none.
    pub(super) fn next_packet(&mut self, now: Instant, packet: &mut Vec<u8>) -> bool {
        while let Some(encoding) = &mut self.encoding {
            let Some(audio) = self.pending.get(self.taken..self.taken + encoding.samples) else { break };
            let timestamp = self.rtp.timestamp();
            self.taken += encoding.samples;
            if let Some((event, began)) = self.events.as_mut().and_then(|e| e.next(timestamp, encoding.packet_time)) {
                let payload_type = self.events.as_ref().map_or(encoding.format.payload_type, |e| e.payload_type);
                self.rtp.write_at(now, began, payload_type, event.marker, &event.payload, packet);
                self.rtp.advance(encoding.ticks);
                self.marker = true;
                return true;
            }
            self.payload.clear();
            let heard = match &mut self.hush {
                Some(hush) => hush.judge(audio, encoding.packet_time, &mut self.payload),
                None => hush::Verdict::Speech,
            };
            let (payload_type, goes_on) = match heard {
                hush::Verdict::Speech => {
                    if encoding.encoder.encode(audio, &mut self.payload).is_err() {
                        self.payload.clear();
                    }
                    (encoding.format.payload_type, !self.payload.is_empty())
                }
                hush::Verdict::Description(payload_type) => (payload_type, false),
                hush::Verdict::Nothing => (encoding.format.payload_type, false),
            };
            let is_sent = !self.payload.is_empty();
            if is_sent {
                self.rtp.write(now, payload_type, goes_on && self.marker, &self.payload, packet);
            }
            // The first packet after a silence has the marker (RFC 3551 §4.1).
            self.marker = !goes_on;
            self.rtp.advance(encoding.ticks);
            if is_sent {
                return true;
            }
        }
        self.pending.drain(..self.taken);
        self.taken = 0;
        false
    }

    /// Writes a packet that says nothing: for address translators on the way (RFC 6263 §4.2).
    pub(super) fn keep_alive(&mut self, now: Instant, packet: &mut Vec<u8>) -> bool {
        let Some(encoding) = &self.encoding else { return false };
        self.rtp.write(now, encoding.format.payload_type, false, &[], packet);
        true
    }

    /// Sends a digit when those before it are sent; false if it is none, or too many wait.
    pub(super) fn send_digit(&mut self, digit: char, duration: Duration) -> bool {
        let Some(key) = Digit::from_char(digit).filter(|key| *key != Digit::FLASH) else { return false };
        match &mut self.events {
            Some(events) if self.options.dtmf != DtmfMode::Inband => events.sender.queue(key, Some(duration)).is_ok(),
            _ => self.tones.queue(digit, duration),
        }
    }

    pub(super) fn set_complexity(&mut self, complexity: u8) {
        self.complexity = complexity;
        if let Some(encoding) = &mut self.encoding {
            encoding.encoder.set_complexity(complexity);
        }
    }

    pub(super) fn set_muted(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// How much of what we send is lost, as the peer reports.
    pub(super) fn expect_loss(&mut self, fraction: f32) {
        if let Some(encoding) = &mut self.encoding {
            encoding.encoder.expect_loss(fraction);
        }
    }

    pub(super) fn change_ssrc(&mut self, random: &mut RandomSource) {
        self.rtp.change_ssrc(random);
    }

    pub(super) fn rtp(&self) -> &RtpSender {
        &self.rtp
    }

    /// How loud we are, in dBFS.
    pub(super) fn level(&self) -> f32 {
        self.meter.level().rms.0 as f32
    }

    /// The codec in use and its rate.
    pub(super) fn codec(&self) -> Option<(Arc<str>, u32)> {
        self.encoding.as_ref().map(|encoding| (encoding.format.name.clone(), encoding.format.rate.hertz()))
    }

    fn set_events(&mut self, formats: &Formats, clock: ClockRate) {
        let Some((payload_type, event_clock)) = formats.events(clock) else {
            self.events = None;
            return;
        };
        match &mut self.events {
            Some(events) if events.clock == event_clock => events.payload_type = payload_type,
            _ => {
                let sender = EventSender::new(EventSettings::new(event_clock));
                self.events = Some(Events { payload_type, clock: event_clock, sender, now: 0, began: None });
            }
        }
    }

    fn set_hush(&mut self, formats: &Formats, format: &Format) {
        let wanted = self.options.silence_suppression && !format.suppresses_silence();
        let noise = formats.noise(format.clock).filter(|_| wanted);
        self.hush = noise.map(|(payload_type, analyser)| match self.hush.take() {
            Some(hush) if hush.payload_type() == payload_type => hush,
            _ => Hush::new(payload_type, format.describer(analyser)),
        });
    }

    fn drop_pending(&mut self) {
        self.pending.clear();
        self.taken = 0;
        self.marker = true;
    }
}

impl Encoding {
    fn new(
        rate: SampleRate,
        format: &Format,
        packet_time: Duration,
        options: &AudioOptions,
        complexity: u8,
    ) -> Encoding {
        Encoding {
            encoder: format.encoder(options, complexity),
            resampler: Resampler::new(rate, format.rate),
            samples: format.rate.samples_in(packet_time),
            ticks: format.clock.ticks(packet_time) as u32,
            format: format.clone(),
            packet_time,
        }
    }
}

impl Events {
    /// The packet that goes out instead of a frame of audio, and when its event began by the clock of the audio.
    fn next(&mut self, timestamp: u32, packet_time: Duration) -> Option<(EventPacket, u32)> {
        let ticks = self.clock.ticks(packet_time) as u32;
        let event = self.sender.poll(self.now, ticks);
        self.now = self.now.wrapping_add(ticks);
        let event = event?;
        let began = match self.began {
            Some((by_its_clock, began)) if by_its_clock == event.timestamp => began,
            _ => timestamp,
        };
        self.began = Some((event.timestamp, began));
        Some((event, began))
    }
}

impl Tones {
    fn queue(&mut self, digit: char, duration: Duration) -> bool {
        let taken = self.waiting.len() < DIGITS && Tone::digit(digit, duration).is_some();
        if taken {
            self.waiting.push_back((digit, duration));
        }
        taken
    }

    fn is_playing(&self) -> bool {
        self.playing.is_some()
    }

    /// Fills a tick with tones; false if there are none.
    fn fill(&mut self, rate: SampleRate, pcm: &mut [i16]) -> bool {
        if self.playing.as_ref().is_none_or(ToneGenerator::is_over) {
            self.playing = self
                .waiting
                .pop_front()
                .and_then(|(digit, duration)| Tone::digit(digit, duration))
                .map(|tone| ToneGenerator::new(tone.off(TONE_PAUSE), rate));
        }
        if let Some(playing) = &mut self.playing {
            playing.fill(pcm);
        }
        self.is_playing()
    }
}
