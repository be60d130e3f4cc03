//! Keys that are pressed become event packets (RFC 4733 §2.5.1).
//!
//! ```text
//!             press                     all is told                three times sent
//!   ┌──────┐ ─────────► ┌─────────────┐ ──────────► ┌────────────┐ ────────────────► ┌───────┐
//!   │ idle │            │ sounding    │             │ ending (E) │                   │ pause │
//!   └──────┘            └─────────────┘             └────────────┘                   └───────┘
//!       ▲                 │ ▲  0xFFFF are full: the segment's last packet,               │
//!       │                 └─┘  three times, then another segment                         │
//!       └────────────────────────────────────────────────────────────────────────────────┘
//! ```

use super::{DEFAULT_DURATION, LONGEST_SEGMENT, SHORTEST, TelephoneEvent};
use crate::dtmf::Digit;
use crate::rtp::ClockRate;
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// So many digits may wait: more than any number, card and pin together have.
const LONGEST_QUEUE: usize = 256;
/// The last packet of an event or segment is sent so many times (§2.5.1.4).
const FINAL_PACKETS: u8 = 3;

/// How digits are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventSettings {
    /// The clock of the payload type.
    pub clock: ClockRate,
    /// How long a digit is, where nothing else is asked for.
    pub duration: Duration,
    /// Between two digits.
    pub pause: Duration,
    /// In dBm0 without the sign.
    pub volume: u8,
}

impl EventSettings {
    /// 160 ms a digit, 100 ms between two, −10 dBm0.
    pub fn new(clock: ClockRate) -> EventSettings {
        EventSettings { clock, duration: DEFAULT_DURATION, pause: Duration::from_millis(100), volume: 10 }
    }
}

/// Sends digits one after the other.
#[derive(Clone, Debug)]
pub struct EventSender {
    settings: EventSettings,
    queue: VecDeque<Press>,
    state: State,
}

/// A packet that is to be sent instead of audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPacket {
    /// It is the first one of an event.
    pub marker: bool,
    /// When the event, or its segment, began.
    pub timestamp: u32,
    /// The event.
    pub payload: [u8; 4],
}

/// Too many digits wait already. The caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFull;

#[derive(Clone, Copy, Debug)]
struct Press {
    digit: Digit,
    /// In units; nothing as long as the key is held.
    duration: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Idle,
    Sounding(Sounding),
    /// The last packet was sent so many times less than it should be.
    Ending {
        event: Sounding,
        duration: u16,
        left: u8,
    },
    /// No event before this timestamp.
    Pause {
        until: u32,
    },
}

#[derive(Clone, Copy, Debug)]
struct Sounding {
    press: Press,
    /// Where the current segment began.
    timestamp: u32,
    /// In the segments before it.
    told: u64,
    /// In the current one, when it was last told.
    elapsed: u32,
    /// A full segment's last packet has still to be repeated so many times.
    repeats: u8,
}

impl EventSender {
    /// A sender with nothing to send.
    pub fn new(settings: EventSettings) -> EventSender {
        EventSender { settings, queue: VecDeque::new(), state: State::Idle }
    }

    /// Lets a digit follow what waits already, of the usual length or another one (at least 40 ms).
    pub fn queue(&mut self, digit: Digit, duration: Option<Duration>) -> Result<(), QueueFull> {
        let duration = self.ticks(duration.unwrap_or(self.settings.duration));
        self.push(Press { digit, duration: Some(duration) })
    }

    /// A key goes down, and stays so until [`release`](Self::release).
    pub fn press(&mut self, digit: Digit) -> Result<(), QueueFull> {
        self.release();
        self.push(Press { digit, duration: None })
    }

    /// The key that is held goes up. Has its turn not come yet, it will be of the usual length.
    pub fn release(&mut self) {
        let (usual, shortest) = (self.ticks(self.settings.duration), self.ticks(SHORTEST));
        for press in self.queue.iter_mut().filter(|press| press.duration.is_none()) {
            press.duration = Some(usual);
        }
        if let State::Sounding(event) = &mut self.state
            && event.press.duration.is_none()
        {
            event.press.duration = Some((event.told + u64::from(event.elapsed)).max(shortest));
        }
    }

    /// Drops what waits, and ends what sounds as soon as it may.
    pub fn cancel(&mut self) {
        self.queue.clear();
        let shortest = self.ticks(SHORTEST);
        if let State::Sounding(event) = &mut self.state {
            let so_far = (event.told + u64::from(event.elapsed)).max(shortest);
            event.press.duration = Some(event.press.duration.map_or(so_far, |wanted| wanted.min(so_far)));
        }
    }

    /// Whether nothing sounds, ends, or waits.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && matches!(self.state, State::Idle | State::Pause { .. })
    }

    /// The packet that goes out instead of the audio frame that begins at `timestamp` and is `ticks` long, if there is
    /// one. To be asked once for each frame, also in silence.
    pub fn poll(&mut self, timestamp: u32, ticks: u32) -> Option<EventPacket> {
        if let State::Pause { until } = self.state
            && !is_before(timestamp, until)
        {
            self.state = State::Idle;
        }
        match self.state {
            State::Pause { .. } => None,
            State::Idle => {
                let press = self.queue.pop_front()?;
                Some(self.start(Sounding { press, timestamp, told: 0, elapsed: 0, repeats: 0 }, ticks))
            }
            State::Sounding(event) => Some(self.go_on(event, timestamp, ticks)),
            State::Ending { event, duration, left } => {
                let packet = self.packet(event, false, true, duration);
                self.state = if left > 1 {
                    State::Ending { event, duration, left: left - 1 }
                } else {
                    let pause = self.settings.clock.ticks(self.settings.pause.max(SHORTEST));
                    let end = event.timestamp.wrapping_add(duration.into());
                    State::Pause { until: end.wrapping_add(u32::try_from(pause).unwrap_or(u32::MAX / 4)) }
                };
                Some(packet)
            }
        }
    }

    fn start(&mut self, mut event: Sounding, ticks: u32) -> EventPacket {
        event.elapsed = ticks.min(event.wanted()).min(LONGEST_SEGMENT.into());
        self.state = State::Sounding(event);
        self.packet(event, true, false, saturated(event.elapsed))
    }

    fn go_on(&mut self, mut event: Sounding, timestamp: u32, ticks: u32) -> EventPacket {
        if event.repeats > 0 {
            event.repeats -= 1;
            let packet = self.packet(event, false, false, LONGEST_SEGMENT);
            self.state = State::Sounding(if event.repeats == 0 { event.next_segment() } else { event });
            return packet;
        }
        let elapsed = timestamp.wrapping_add(ticks).wrapping_sub(event.timestamp).max(event.elapsed);
        let wanted = event.wanted();
        if elapsed >= wanted && wanted <= LONGEST_SEGMENT.into() {
            let duration = saturated(wanted);
            self.state = State::Ending { event, duration, left: FINAL_PACKETS - 1 };
            return self.packet(event, false, true, duration);
        }
        event.elapsed = elapsed.min(LONGEST_SEGMENT.into());
        if elapsed >= LONGEST_SEGMENT.into() {
            event.repeats = FINAL_PACKETS - 1;
        }
        self.state = State::Sounding(event);
        self.packet(event, false, false, saturated(event.elapsed))
    }

    fn packet(&self, event: Sounding, marker: bool, end: bool, duration: u16) -> EventPacket {
        let told =
            TelephoneEvent { event: event.press.digit.event(), end, volume: self.settings.volume.min(63), duration };
        EventPacket { marker, timestamp: event.timestamp, payload: told.payload() }
    }

    fn push(&mut self, press: Press) -> Result<(), QueueFull> {
        if self.queue.len() >= LONGEST_QUEUE {
            return Err(QueueFull);
        }
        self.queue.push_back(press);
        Ok(())
    }

    fn ticks(&self, duration: Duration) -> u64 {
        self.settings.clock.ticks(duration.max(SHORTEST))
    }
}

impl Sounding {
    /// How long the current segment is to be, at most.
    fn wanted(&self) -> u32 {
        let left = self.press.duration.map_or(u64::MAX, |duration| duration.saturating_sub(self.told));
        u32::try_from(left).unwrap_or(u32::MAX)
    }

    fn next_segment(self) -> Sounding {
        Sounding {
            timestamp: self.timestamp.wrapping_add(LONGEST_SEGMENT.into()),
            told: self.told + u64::from(LONGEST_SEGMENT),
            elapsed: 0,
            ..self
        }
    }
}

impl fmt::Display for QueueFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{LONGEST_QUEUE} digits wait already")
    }
}

impl std::error::Error for QueueFull {}

fn saturated(ticks: u32) -> u16 {
    u16::try_from(ticks).unwrap_or(LONGEST_SEGMENT)
}

fn is_before(timestamp: u32, other: u32) -> bool {
    timestamp.wrapping_sub(other).cast_signed() < 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: u32 = 160;

    fn digit(text: &str) -> Digit {
        text.parse().unwrap()
    }

    fn sender() -> EventSender {
        EventSender::new(EventSettings::new(ClockRate::NARROW))
    }

    /// All packets of so many frames with the timestamp of the frame.
    fn run(sender: &mut EventSender, from: u32, frames: u32, ticks: u32) -> Vec<(u32, EventPacket)> {
        (0..frames)
            .map(|frame| from.wrapping_add(frame * ticks))
            .filter_map(|timestamp| sender.poll(timestamp, ticks).map(|packet| (timestamp, packet)))
            .collect()
    }

    fn told(packet: EventPacket) -> TelephoneEvent {
        TelephoneEvent::read(&packet.payload).next().unwrap()
    }

    #[test]
    fn a_digit_begins_with_the_marker_grows_and_ends_three_times() {
        let mut sender = sender();
        sender.queue(digit("5"), Some(Duration::from_millis(90))).unwrap();
        let packets = run(&mut sender, 8_000, 20, FRAME);
        let seen: Vec<(bool, u32, u16, bool)> = packets
            .iter()
            .map(|(_, packet)| (packet.marker, packet.timestamp, told(*packet).duration, told(*packet).end))
            .collect();
        assert_eq!(
            seen,
            [
                (true, 8_000, 160, false),
                (false, 8_000, 320, false),
                (false, 8_000, 480, false),
                (false, 8_000, 640, false),
                (false, 8_000, 720, true),
                (false, 8_000, 720, true),
                (false, 8_000, 720, true),
            ]
        );
        assert!(packets.iter().all(|(_, packet)| packet.payload[0] == 5 && packet.payload[1] & 0x3f == 10));
        assert!(sender.is_idle());
    }

    #[test]
    fn digits_wait_for_each_other_with_the_pause_between_them() {
        let mut sender = sender();
        for text in ["1", "2", "3"] {
            sender.queue(digit(text), None).unwrap();
        }
        let packets = run(&mut sender, 0xffff_f000, 60, FRAME);
        let starts: Vec<(u32, u8)> = packets
            .iter()
            .filter(|(_, packet)| packet.marker)
            .map(|(timestamp, packet)| (timestamp.wrapping_sub(0xffff_f000), packet.payload[0]))
            .collect();
        // 160 ms and 100 ms, on the next frame.
        assert_eq!(starts, [(0, 1), (2_080, 2), (4_160, 3)]);
        assert_eq!(packets.iter().filter(|(_, packet)| told(*packet).end).count(), 9);
    }

    #[test]
    fn a_digit_shorter_than_a_packet_is_still_forty_milliseconds_and_ends_after_its_first_packet() {
        let mut sender = sender();
        sender.queue(digit("#"), Some(Duration::ZERO)).unwrap();
        let packets = run(&mut sender, 0, 10, 480);
        let seen: Vec<(bool, u16, bool)> =
            packets.iter().map(|(_, packet)| (packet.marker, told(*packet).duration, told(*packet).end)).collect();
        assert_eq!(seen, [(true, 320, false), (false, 320, true), (false, 320, true), (false, 320, true)]);
    }

    #[test]
    fn a_key_sounds_as_long_as_it_is_held() {
        let mut sender = sender();
        sender.press(digit("7")).unwrap();
        let held = run(&mut sender, 0, 50, FRAME);
        assert_eq!((held.len(), told(held[49].1).duration), (50, 8_000));
        sender.release();
        let after = run(&mut sender, 8_000, 10, FRAME);
        assert_eq!(after.len(), 3);
        assert!(after.iter().all(|(_, packet)| told(*packet).end && told(*packet).duration == 8_000));
    }

    #[test]
    fn a_key_that_goes_up_before_its_turn_is_of_the_usual_length() {
        let mut sender = sender();
        sender.queue(digit("1"), None).unwrap();
        sender.press(digit("2")).unwrap();
        sender.release();
        let packets = run(&mut sender, 0, 60, FRAME);
        let last = packets.last().unwrap().1;
        assert_eq!((last.payload[0], told(last).duration, told(last).end), (2, 1_280, true));
    }

    #[test]
    fn an_event_beyond_65535_units_goes_on_in_segments_without_a_marker() {
        for (clock, ticks) in [(ClockRate::NARROW, 160), (ClockRate::FULL, 960)] {
            let mut sender = EventSender::new(EventSettings::new(clock));
            sender.queue(digit("*"), Some(Duration::from_secs(20))).unwrap();
            let packets = run(&mut sender, 1_000, 1_100, ticks);
            let total = 20 * clock.hertz();
            let segments = total.div_ceil(0xffff);
            assert_eq!(packets.iter().filter(|(_, packet)| packet.marker).count(), 1);
            for segment in 0..segments {
                let timestamp = 1_000 + segment * 0xffff;
                let of_segment: Vec<TelephoneEvent> = packets
                    .iter()
                    .filter(|(_, packet)| packet.timestamp == timestamp)
                    .map(|(_, packet)| told(*packet))
                    .collect();
                let last = segment == segments - 1;
                let length = if last { total - segment * 0xffff } else { 0xffff };
                let finals: Vec<&TelephoneEvent> =
                    of_segment.iter().filter(|event| u32::from(event.duration) == length).collect();
                assert_eq!(finals.len(), 3, "segment {segment}");
                assert!(finals.iter().all(|event| event.end == last));
                assert!(of_segment.is_sorted_by_key(|event| event.duration));
            }
            assert!(sender.is_idle());
        }
    }

    #[test]
    fn an_event_of_exactly_65535_units_is_one_segment() {
        let clock = ClockRate::new(65_535).unwrap();
        let mut sender = EventSender::new(EventSettings::new(clock));
        sender.queue(digit("0"), Some(Duration::from_secs(1))).unwrap();
        let packets = run(&mut sender, 0, 100, 1_311);
        assert!(packets.iter().all(|(_, packet)| packet.timestamp == 0));
        assert_eq!(told(packets.last().unwrap().1).duration, 0xffff);
        assert!(told(packets.last().unwrap().1).end);
    }

    #[test]
    fn cancelling_drops_what_waits_and_ends_what_sounds() {
        let mut sender = sender();
        for text in ["1", "2"] {
            sender.queue(digit(text), Some(Duration::from_secs(5))).unwrap();
        }
        run(&mut sender, 0, 10, FRAME);
        sender.cancel();
        let after = run(&mut sender, 1_600, 100, FRAME);
        assert_eq!(after.len(), 3);
        assert!(after.iter().all(|(_, packet)| told(*packet).end && told(*packet).duration == 1_600));
    }

    #[test]
    fn the_queue_has_an_end() {
        let mut sender = sender();
        for _ in 0..LONGEST_QUEUE {
            sender.queue(digit("1"), None).unwrap();
        }
        assert_eq!(sender.queue(digit("1"), None), Err(QueueFull));
        assert_eq!(sender.press(digit("1")), Err(QueueFull));
    }
}
