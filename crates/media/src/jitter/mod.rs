//! The jitter buffer: packets come when the network lets them, and are played at an even pace. No RFC defines it; RFC
//! 3550 gives it timestamps, RFC 3551 §4.1 the marker.
//!
//! ```text
//!              ┌─ timeline.rs: is the timestamp possible? which cycle? ── jump ──► start anew
//!   insert ────┤
//!              ├─ transit.rs: how long do packets take, compared with the fastest? ──► target
//!              └─ queue.rs: in order of their timestamps, bounded ─┐
//!                                                                  ▼
//!   pop ◄── Packet · Lost (conceal) · Silence · Wait ◄── the cursor: what is to be played next
//!                └─► pace: shorten or lengthen the sound a little (pace.rs), to near the target
//! ```
//!
//! Everything is measured as *transit*: the time of arrival (or of playing) less the timestamp, by our clock in the
//! units of the sender's. Who sends a little too fast has a transit that falls without end; since the target is
//! compared with the transits of the last seconds only, it falls with them, and the sound is shortened now and then.
//!
//! The rules, in the order in which `pop` looks at them:
//!
//! 1. What would be played later than the maximum allows is thrown away.
//! 2. A packet that follows what was played is played at once: the pace is even by itself.
//! 3. No packet at all: conceal, then be silent; the cursor waits, so that a late packet is still welcome. That is how
//!    the delay grows at once when it has to.
//! 4. A gap: conceal it (if packets are lost) or be silent (if the sender was), until the packet behind it has waited as
//!    long as the target says. What was concealed in excess is cut off the gap.

mod control;
mod pace;
mod queue;
mod seen;
#[cfg(test)]
mod tests;
mod timeline;
mod transit;

pub use pace::{lengthen, shorten};

use crate::rtp::{ClockRate, RtpPacket, SequenceExtender, Ssrc};
use control::Control;
use queue::{Queue, Refusal, Slot};
use sdp::PayloadType;
use seen::Seen;
use std::time::{Duration, Instant};
use timeline::{Judgement, Timeline};
use transit::Transits;

/// The usual length of a frame, until another one is known (RFC 3551 §4.2).
const USUAL_FRAME: Duration = Duration::from_millis(20);
/// Frames are of 2.5 ms at least and 120 at most (Opus).
const SHORTEST_FRAME: Duration = Duration::from_micros(2_500);
const LONGEST_FRAME: Duration = Duration::from_millis(120);
/// When nothing has come for so long, transit times are measured anew: clocks have drifted apart, or the way is another.
const PAUSE: Duration = Duration::from_secs(2);
/// Sound is made up for so long; then there is silence.
const LONGEST_CONCEALMENT: Duration = Duration::from_millis(100);
/// The bounds of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JitterSettings {
    /// The clock of the timestamps.
    pub clock: ClockRate,
    /// The least that packets wait, compared with the fastest one; covers the ticks in which they are asked for.
    pub min_delay: Duration,
    /// What they wait before anything is known of the network.
    pub initial_delay: Duration,
    /// The most that they wait. What is later is not played.
    pub max_delay: Duration,
    /// The most packets that are held.
    pub max_packets: usize,
    /// The most octets of payload that are held.
    pub max_octets: usize,
}

impl JitterSettings {
    /// 20 to 300 ms, 40 at first.
    pub fn new(clock: ClockRate) -> JitterSettings {
        JitterSettings {
            clock,
            min_delay: Duration::from_millis(20),
            initial_delay: Duration::from_millis(40),
            max_delay: Duration::from_millis(300),
            max_packets: 128,
            max_octets: 96 * 1024,
        }
    }
}

/// Holds the packets of one stream back.
#[derive(Clone, Debug)]
pub struct JitterBuffer {
    settings: JitterSettings,
    /// When ticks began to be counted.
    epoch: Option<Instant>,
    ssrc: Option<Ssrc>,
    timeline: Timeline,
    transits: Transits,
    sequences: SequenceExtender,
    seen: Seen,
    queue: Queue,
    last_arrival: Option<Instant>,
    playing: Option<Playing>,
    /// The length of a frame, in ticks.
    frame: i64,
    delay: i64,
    statistics: JitterStatistics,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insertion {
    /// When it waits for its turn.
    Buffered,
    /// When it waits for its turn and the stream has started anew: what waited before is gone.
    Restarted,
    /// When its turn is over.
    Late,
    /// When it has come before.
    Duplicate,
    /// When it has no payload, or too much of it, or is too old for a buffer that is full.
    Discarded,
    /// When its timestamp is far off and the next packet has to confirm it.
    Doubtful,
}

/// What is to be played next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// When a packet's turn has come. The payload is in the buffer that was handed in.
    Packet {
        /// As it came.
        timestamp: u32,
        /// With its cycle.
        sequence: u64,
        /// As it came.
        marker: bool,
        /// Which codec it is of.
        payload_type: PayloadType,
        /// Whether the sound should be shortened or lengthened a little.
        pace: Pace,
    },
    /// When a packet should be played that has not come: make up so much sound.
    Lost {
        /// How much.
        duration: Duration,
    },
    /// When the sender has paused: be silent, or make comfort noise.
    Silence {
        /// For so long.
        duration: Duration,
    },
    /// When there is nothing to be played yet: ask again at the next tick.
    Wait,
}

/// What would bring the delay nearer to where it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// It is right.
    Keep,
    /// It is too great: take a little sound away ([`shorten`]).
    Shorten,
    /// It is too small: add a little sound ([`lengthen`]).
    Lengthen,
}

/// What a buffer has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JitterStatistics {
    /// Packets that came after their turn.
    pub late: u64,
    /// Packets that came twice.
    pub duplicates: u64,
    /// Packets with impossible timestamps, without payload, or for which there was no room.
    pub discarded: u64,
    /// Packets that were not played, to keep the delay within its bounds.
    pub skipped: u64,
    /// Frames that had to be made up.
    pub concealed: u64,
    /// Times that the stream has started anew.
    pub restarts: u64,
    /// The most that a packet has been held back, compared with the fastest one.
    pub longest_delay: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Playing {
    /// The timestamp that is to be played next.
    cursor: i64,
    /// The last packet that was played: its timestamp and sequence number.
    last: (i64, u64),
    /// Sound that was made up since then, in ticks.
    filled: i64,
    control: Control,
}

impl JitterBuffer {
    /// An empty buffer.
    pub fn new(settings: JitterSettings) -> JitterBuffer {
        let clock = settings.clock;
        JitterBuffer {
            epoch: None,
            ssrc: None,
            timeline: Timeline::new(signed(clock.ticks(settings.max_delay * 2 + Duration::from_secs(1)))),
            transits: Transits::new(clock),
            sequences: SequenceExtender::default(),
            seen: Seen::default(),
            queue: Queue::new(settings.max_packets, settings.max_octets),
            last_arrival: None,
            playing: None,
            frame: signed(clock.ticks(USUAL_FRAME)).max(1),
            delay: 0,
            statistics: JitterStatistics::default(),
            settings,
        }
    }

    /// Takes a packet of audio that has just come.
    pub fn insert(&mut self, now: Instant, packet: &RtpPacket<'_>) -> Insertion {
        let mut insertion = Insertion::Buffered;
        if self.ssrc.replace(packet.ssrc).is_some_and(|before| before != packet.ssrc) {
            self.restart();
            self.sequences = SequenceExtender::default();
            insertion = Insertion::Restarted;
        } else if self.last_arrival.is_some_and(|last| now.saturating_duration_since(last) >= PAUSE) {
            self.restart();
        }
        self.last_arrival = Some(now);
        if packet.payload.is_empty() || packet.payload.len() > self.settings.max_octets {
            self.skip(packet);
            self.statistics.discarded += 1;
            return Insertion::Discarded;
        }
        let arrival = self.ticks_at(now);
        let timestamp = match self.timeline.judge(packet.timestamp, packet.marker, arrival, self.transits.fastest()) {
            Judgement::Possible(timestamp) => timestamp,
            Judgement::Restart(timestamp) => {
                self.restart();
                self.timeline.accept(packet.timestamp);
                insertion = Insertion::Restarted;
                timestamp
            }
            Judgement::Doubtful => {
                self.statistics.discarded += 1;
                return Insertion::Doubtful;
            }
        };
        let sequence = self.sequences.extend(packet.sequence);
        if !self.seen.note(sequence) {
            self.statistics.duplicates += 1;
            return Insertion::Duplicate;
        }
        self.transits.note(arrival, arrival - timestamp);
        if self.playing.is_some_and(|playing| timestamp < playing.cursor - self.frame / 2) {
            self.statistics.late += 1;
            return Insertion::Late;
        }
        let slot = Slot {
            timestamp,
            sequence,
            wire_timestamp: packet.timestamp,
            marker: packet.marker,
            payload_type: packet.payload_type,
        };
        match self.queue.insert(slot, packet.payload) {
            Ok(dropped) => {
                self.statistics.discarded += dropped;
                insertion
            }
            Err(Refusal::SameTimestamp) => {
                self.statistics.duplicates += 1;
                Insertion::Duplicate
            }
            Err(Refusal::Full) => {
                self.statistics.discarded += 1;
                Insertion::Discarded
            }
        }
    }

    /// A packet has come that took a sequence number and is no audio (a telephone event): it is not missing.
    pub fn skip(&mut self, packet: &RtpPacket<'_>) {
        if self.ssrc == Some(packet.ssrc) {
            let sequence = self.sequences.extend(packet.sequence);
            self.seen.note(sequence);
        }
    }

    /// What is to be played now. A packet's payload is put into the buffer, whose memory is used for later packets.
    pub fn pop(&mut self, now: Instant, payload: &mut Vec<u8>) -> Frame {
        payload.clear();
        let Some(fastest) = self.transits.fastest() else { return Frame::Wait };
        let at = self.ticks_at(now);
        let target = self.target_transit(fastest);
        self.drop_overdue(at - fastest - self.max_delay());
        let head = self.queue.front().copied();
        let Some(playing) = self.playing else {
            return match head {
                Some(head) if at - head.timestamp >= target => self.play(now, at, target, payload),
                _ => Frame::Wait,
            };
        };
        let Some(head) = head else { return self.fill(playing, self.frame, true) };
        let gap = head.timestamp - playing.cursor;
        if gap <= self.frame / 2 {
            return self.play(now, at, target, payload);
        }
        let lost = !self.seen.all_between(playing.last.1, head.sequence);
        // A gap that has been concealed for a while has to be made up for: its end may come half a frame early.
        let allowance = if lost && playing.filled > 0 { self.frame / 2 } else { 0 };
        if at - head.timestamp >= target - allowance {
            return self.play(now, at, target, payload);
        }
        let mut playing = playing;
        if at - playing.cursor >= target - self.frame / 2 {
            playing.cursor += gap.min(self.frame);
        }
        self.fill(playing, gap, lost)
    }

    /// How long the last packet was, as its decoder found.
    pub fn decoded(&mut self, duration: Duration) {
        let ticks = signed(self.settings.clock.nearest_ticks(duration));
        if !self.can_be_a_frame(ticks) {
            return;
        }
        if let Some(playing) = &mut self.playing {
            self.frame = ticks;
            playing.cursor = playing.last.0 + ticks;
        }
    }

    /// The packet that follows directly on what was lost, if it is there: it may carry a copy of it (Opus FEC).
    pub fn next_payload(&self) -> Option<&[u8]> {
        let playing = self.playing.filter(|playing| playing.filled > 0)?;
        let follows = self.queue.front()?.timestamp - playing.cursor <= self.frame / 2;
        if follows { self.queue.front_payload() } else { None }
    }

    /// Forgets the stream, not what was counted.
    pub fn reset(&mut self) {
        let statistics = self.statistics;
        *self = JitterBuffer { statistics, queue: std::mem::take(&mut self.queue), ..JitterBuffer::new(self.settings) };
        self.queue.clear();
    }

    /// Goes on with another clock, because the codec has changed.
    pub fn set_clock(&mut self, clock: ClockRate) {
        if clock != self.settings.clock {
            self.settings.clock = clock;
            self.reset();
        }
    }

    /// How long the last packet was held back, compared with the fastest one.
    pub fn delay(&self) -> Duration {
        self.duration(self.delay)
    }

    /// How long packets should be held back.
    pub fn target(&self) -> Duration {
        self.transits.fastest().map_or(Duration::ZERO, |fastest| self.duration(self.target_transit(fastest) - fastest))
    }

    /// Packets that are held.
    pub fn packets(&self) -> usize {
        self.queue.len()
    }

    /// What was counted.
    pub fn statistics(&self) -> JitterStatistics {
        self.statistics
    }

    /// Starts anew: the timestamps have another base, or the way is another one. What is known of its unevenness stays.
    fn restart(&mut self) {
        self.statistics.restarts += 1;
        self.timeline.restart();
        self.transits.restart();
        self.seen = Seen::default();
        self.queue.clear();
        self.playing = None;
    }

    /// Takes out what no longer may be played, at all times less than `oldest`.
    fn drop_overdue(&mut self, oldest: i64) {
        while let Some(head) = self.queue.front().copied().filter(|head| head.timestamp < oldest) {
            self.queue.drop_front();
            self.statistics.skipped += 1;
            if let Some(playing) = &mut self.playing {
                playing.cursor = playing.cursor.max(head.timestamp + self.frame);
                playing.last = (head.timestamp, head.sequence);
            }
        }
    }

    fn play(&mut self, now: Instant, at: i64, target: i64, payload: &mut Vec<u8>) -> Frame {
        let mut control = self.playing.map_or_else(|| Control::new(now), |playing| playing.control);
        if control.is_ignored() && self.queue.len() > 1 {
            // Whoever plays this does not shorten it.
            self.queue.drop_front();
            self.statistics.skipped += 1;
            control = Control::new(now);
        }
        let Some(head) = self.queue.pop_front(payload) else { return Frame::Wait };
        let fastest = self.transits.fastest().unwrap_or(target);
        self.delay = at - head.timestamp - fastest;
        let delay = self.duration(self.delay);
        self.statistics.longest_delay = self.statistics.longest_delay.max(delay);
        let next = self.queue.front().filter(|next| next.sequence == head.sequence + 1);
        if let Some(next) = next.filter(|next| self.can_be_a_frame(next.timestamp - head.timestamp)) {
            self.frame = next.timestamp - head.timestamp;
        }
        let pace = control.note(now, at - head.timestamp - target, self.frame);
        self.playing = Some(Playing {
            cursor: head.timestamp + self.frame,
            last: (head.timestamp, head.sequence),
            filled: 0,
            control,
        });
        Frame::Packet {
            timestamp: head.wire_timestamp,
            sequence: head.sequence,
            marker: head.marker,
            payload_type: head.payload_type,
            pace,
        }
    }

    fn fill(&mut self, mut playing: Playing, gap: i64, lost: bool) -> Frame {
        let usual = signed(self.settings.clock.ticks(USUAL_FRAME)).max(1);
        let concealing = lost && playing.filled < signed(self.settings.clock.ticks(LONGEST_CONCEALMENT));
        // A whole packet's sound is made up at once, silence in small pieces: it may have to end at any time.
        let ticks = if concealing { self.frame.min(gap) } else { usual.min(gap) }.max(1);
        playing.filled = playing.filled.saturating_add(ticks);
        self.playing = Some(playing);
        let duration = self.duration(ticks);
        if concealing {
            self.statistics.concealed += 1;
            Frame::Lost { duration }
        } else {
            Frame::Silence { duration }
        }
    }

    fn can_be_a_frame(&self, ticks: i64) -> bool {
        let ticks_of = |span| signed(self.settings.clock.ticks(span)).max(1);
        (ticks_of(SHORTEST_FRAME)..=ticks_of(LONGEST_FRAME)).contains(&ticks)
    }

    /// At which transit packets should be played.
    fn target_transit(&self, fastest: i64) -> i64 {
        let ticks = |span| signed(self.settings.clock.ticks(span));
        let least = if self.transits.is_known() { self.settings.min_delay } else { self.settings.initial_delay };
        // A tick below the maximum, for what has to wait for the next tick is still to be played.
        let most = (self.max_delay() - ticks(USUAL_FRAME)).max(0);
        self.transits.most().clamp(fastest + ticks(least).min(most), fastest + most)
    }

    fn max_delay(&self) -> i64 {
        signed(self.settings.clock.ticks(self.settings.max_delay))
    }

    fn ticks_at(&mut self, now: Instant) -> i64 {
        let epoch = *self.epoch.get_or_insert(now);
        signed(self.settings.clock.ticks(now.saturating_duration_since(epoch)))
    }

    fn duration(&self, ticks: i64) -> Duration {
        self.settings.clock.duration(u64::try_from(ticks).unwrap_or(0))
    }
}

fn signed(ticks: u64) -> i64 {
    i64::try_from(ticks).unwrap_or(i64::MAX / 4)
}
