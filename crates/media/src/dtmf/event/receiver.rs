//! Event packets become keys that were pressed, each of them once (RFC 4733 §2.5.2), whichever of its packets come, in
//! whichever order.
//!
//! ```text
//!               first report of an event             E, or another event, or silence
//!   ┌───────┐ ───────────────────────────► ┌───────┐ ───────────────────────────────► ┌────────┐
//!   │ quiet │          Pressed             │ heard │            Released              │ recent │
//!   └───────┘                              └───────┘                                  └────────┘
//!                                            │ ▲ longer, or its next segment     further reports: ignored
//!                                            └─┘
//! ```

use super::{LONGEST_SEGMENT, TelephoneEvent};
use crate::dtmf::Digit;
use crate::rtp::{ClockRate, RtpPacket, Ssrc};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// An event of which nothing has come for so long has ended: three times the longest usual packet time.
const SILENT: Duration = Duration::from_millis(300);
/// A segment that begins within so long after the one before ends goes on with it. Pauses between digits are longer.
const SEAM: Duration = Duration::from_millis(30);
/// Reports may come so much later than those of an event that began after theirs.
const DISORDER: Duration = Duration::from_secs(1);
/// After so long an earlier timestamp is no disorder: the sender has another clock.
const ANOTHER_CLOCK: Duration = Duration::from_secs(2);
/// So many events are remembered: digits of 40 ms with pauses of 40 ms within [`DISORDER`], with some to spare.
const REMEMBERED: usize = 16;
/// So many news wait for who does not fetch them.
const LONGEST_QUEUE: usize = 64;
/// So many events of a packet are looked at; more contiguous digits nobody presses in one packet time.
const EVENTS_PER_PACKET: usize = 4;

/// What has happened to a key at the peer's. A press whose packets were all overtaken by the next one is told, down and
/// up, while that one lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventNews {
    /// When it goes down. Each press is told once.
    Pressed(Digit),
    /// When it has gone up.
    Released {
        /// Which key.
        digit: Digit,
        /// How long it was down, by the last report that came.
        duration: Duration,
    },
}

/// Listens to the event packets of one source.
#[derive(Clone, Debug)]
pub struct EventReceiver {
    clock: ClockRate,
    ssrc: Option<Ssrc>,
    heard: Option<Heard>,
    /// The event that was heard last, as far as it went.
    ended: Option<Heard>,
    recent: VecDeque<Recent>,
    /// The latest beginning of an event, and when it came.
    newest: Option<(u32, Instant)>,
    news: VecDeque<EventNews>,
}

/// The event that sounds.
#[derive(Clone, Copy, Debug)]
struct Heard {
    digit: Digit,
    /// When it began.
    began: u32,
    /// When its current segment began.
    segment: u32,
    /// Of the current segment.
    duration: u16,
    sequence: u16,
    at: Instant,
}

/// An event, or a segment, that is over.
#[derive(Clone, Copy, Debug)]
struct Recent {
    digit: Digit,
    segment: u32,
    sequence: u16,
}

/// One report of a packet.
#[derive(Clone, Copy)]
struct Report {
    digit: Digit,
    timestamp: u32,
    sequence: u16,
    marker: bool,
    end: bool,
    duration: u16,
}

impl EventReceiver {
    /// A receiver that has heard nothing.
    pub fn new(clock: ClockRate) -> EventReceiver {
        EventReceiver {
            clock,
            ssrc: None,
            heard: None,
            ended: None,
            recent: VecDeque::with_capacity(REMEMBERED),
            newest: None,
            news: VecDeque::new(),
        }
    }

    /// Takes a packet of the payload type telephone-event. What it tells, [`poll`](Self::poll) hands out.
    pub fn receive(&mut self, now: Instant, packet: &RtpPacket<'_>) {
        if self.ssrc.replace(packet.ssrc).is_some_and(|before| before != packet.ssrc) {
            self.reset();
            self.ssrc = Some(packet.ssrc);
        }
        let mut timestamp = packet.timestamp;
        for event in TelephoneEvent::read(packet.payload).take(EVENTS_PER_PACKET) {
            if let Some(digit) = Digit::from_event(event.event) {
                let TelephoneEvent { end, duration, .. } = event;
                let (sequence, marker) = (packet.sequence, packet.marker);
                self.report(now, Report { digit, timestamp, sequence, marker, end, duration });
            }
            // Several events in a packet follow each other without a gap (§2.5.2.4).
            timestamp = timestamp.wrapping_add(event.duration.into());
        }
    }

    /// The next thing that has happened. Time alone can end a press whose end was lost.
    pub fn poll(&mut self, now: Instant) -> Option<EventNews> {
        if self.heard.is_some_and(|heard| now.saturating_duration_since(heard.at) >= SILENT) {
            self.release();
        }
        self.news.pop_front()
    }

    /// When [`poll`](Self::poll) has something to say although nothing comes.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.heard.map(|heard| heard.at + SILENT)
    }

    /// Forgets the source: another one follows, or its timestamps have another base. A key that is down goes up.
    pub fn reset(&mut self) {
        self.release();
        self.ended = None;
        self.recent.clear();
        self.newest = None;
        self.ssrc = None;
    }

    fn report(&mut self, now: Instant, report: Report) {
        if let Some(heard) = self.heard.filter(|heard| heard.digit == report.digit) {
            if heard.segment == report.timestamp {
                return self.grow(now, report);
            }
            if self.goes_on(heard, report) {
                return self.next_segment(now, report);
            }
        }
        if let Some(known) = self.known(report) {
            // A sender that begins every event with the same timestamp: the marker and a later number tell them apart.
            let later = is_after(report.sequence, known.sequence);
            if !(later && report.marker && !report.end) {
                return;
            }
        } else if self.is_earlier(now, report) {
            return self.tell_late(report);
        } else if self.ended.is_some_and(|ended| ended.digit == report.digit && self.goes_on(ended, report)) {
            // More of an event that was over: it is not told again (§2.5.2.2).
            self.remember(Recent { digit: report.digit, segment: report.timestamp, sequence: report.sequence });
            self.ended = Some(Heard::of(now, report));
            return;
        }
        self.release();
        self.recent.retain(|recent| !(recent.digit == report.digit && recent.segment == report.timestamp));
        self.newest = Some((report.timestamp, now));
        self.tell(EventNews::Pressed(report.digit));
        self.heard = Some(Heard::of(now, report));
        if report.end {
            self.release();
        }
    }

    /// More of the segment that is heard.
    fn grow(&mut self, now: Instant, report: Report) {
        let Some(heard) = &mut self.heard else { return };
        heard.duration = heard.duration.max(report.duration);
        heard.at = now;
        if is_after(report.sequence, heard.sequence) {
            heard.sequence = report.sequence;
        }
        if report.end {
            self.release();
        }
    }

    /// Whether a report of the same key begins where the current segment ends: the next one (§2.5.2.3). Also some
    /// senders move the timestamp on with every packet.
    fn goes_on(&self, heard: Heard, report: Report) -> bool {
        let since = report.timestamp.wrapping_sub(heard.segment);
        let seam = u64::from(heard.duration) + self.clock.ticks(SEAM);
        // A full segment later, whether or not its last packets have come.
        !report.marker && (since == u32::from(LONGEST_SEGMENT) || u64::from(since) <= seam)
    }

    fn next_segment(&mut self, now: Instant, report: Report) {
        let Some(heard) = self.heard.take() else { return };
        self.remember(Recent { digit: heard.digit, segment: heard.segment, sequence: heard.sequence });
        self.heard = Some(Heard {
            segment: report.timestamp,
            duration: report.duration,
            sequence: report.sequence,
            at: now,
            ..heard
        });
        self.newest = Some((report.timestamp, now));
        if report.end {
            self.release();
        }
    }

    /// The event of a report that belongs to the past.
    fn known(&self, report: Report) -> Option<Recent> {
        self.recent.iter().copied().find(|recent| recent.digit == report.digit && recent.segment == report.timestamp)
    }

    /// Whether a report is of an event before the newest one: its packets have been lost or overtaken until now.
    fn is_earlier(&self, now: Instant, report: Report) -> bool {
        self.newest.is_some_and(|(newest, at)| {
            report.timestamp.wrapping_sub(newest).cast_signed() < 0 && now.saturating_duration_since(at) < ANOTHER_CLOCK
        })
    }

    /// A press that was overtaken by another is told after it; one from too long ago can't be told from an old copy.
    fn tell_late(&mut self, report: Report) {
        let behind = self.newest.map_or(0, |(newest, _)| newest.wrapping_sub(report.timestamp));
        if u64::from(behind) > self.clock.ticks(DISORDER) {
            return;
        }
        self.remember(Recent { digit: report.digit, segment: report.timestamp, sequence: report.sequence });
        self.tell(EventNews::Pressed(report.digit));
        let duration = self.clock.duration(report.duration.into());
        self.tell(EventNews::Released { digit: report.digit, duration });
    }

    /// The key that is heard goes up.
    fn release(&mut self) {
        let Some(heard) = self.heard.take() else { return };
        self.ended = Some(heard);
        self.remember(Recent { digit: heard.digit, segment: heard.segment, sequence: heard.sequence });
        let ticks = u64::from(heard.segment.wrapping_sub(heard.began)) + u64::from(heard.duration);
        self.tell(EventNews::Released { digit: heard.digit, duration: self.clock.duration(ticks) });
    }

    fn remember(&mut self, recent: Recent) {
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(recent);
    }

    fn tell(&mut self, news: EventNews) {
        if self.news.len() < LONGEST_QUEUE {
            self.news.push_back(news);
        }
    }
}

impl Heard {
    /// An event of which this is the first report.
    fn of(now: Instant, report: Report) -> Heard {
        Heard {
            digit: report.digit,
            began: report.timestamp,
            segment: report.timestamp,
            duration: report.duration,
            sequence: report.sequence,
            at: now,
        }
    }
}

fn is_after(sequence: u16, other: u16) -> bool {
    sequence.wrapping_sub(other).cast_signed() > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtmf::event::{EventPacket, EventSender, EventSettings};
    use crate::rtp::dice::Dice;

    const FRAME: Duration = Duration::from_millis(20);

    #[derive(Clone, Copy)]
    struct Sent {
        at: Duration,
        sequence: u16,
        packet: EventPacket,
    }

    fn digit(text: &str) -> Digit {
        text.parse().unwrap()
    }

    /// The event packets of digits that are typed, with audio between them.
    fn typed(digits: &str, clock: ClockRate) -> Vec<Sent> {
        let mut sender = EventSender::new(EventSettings::new(clock));
        for character in digits.chars() {
            sender.queue(Digit::from_char(character).unwrap(), None).unwrap();
        }
        let ticks = clock.hertz() / 50;
        let mut sent = Vec::new();
        for frame in 0_u32.. {
            let timestamp = 0xffff_e000_u32.wrapping_add(frame * ticks);
            if let Some(packet) = sender.poll(timestamp, ticks) {
                let sequence = 65_500_u16.wrapping_add((frame & 0xffff) as u16);
                sent.push(Sent { at: FRAME * frame, sequence, packet });
            } else if sender.is_idle() {
                break;
            }
        }
        sent
    }

    /// What a receiver makes of them; asked each 20 ms and for a while after.
    fn heard(clock: ClockRate, sent: &[Sent]) -> Vec<EventNews> {
        let start = Instant::now();
        let mut receiver = EventReceiver::new(clock);
        let mut news = Vec::new();
        let mut now = start;
        for Sent { at, sequence, packet } in sent {
            while now + FRAME <= start + *at {
                now += FRAME;
                news.extend(receiver.poll(now));
            }
            receiver.receive(now, &rtp(*sequence, packet));
            news.extend(std::iter::from_fn(|| receiver.poll(now)));
        }
        let end = now + Duration::from_secs(1);
        news.extend(std::iter::from_fn(|| receiver.poll(end)));
        news
    }

    fn rtp(sequence: u16, packet: &EventPacket) -> RtpPacket<'_> {
        let blank = RtpPacket::parse(&[0x80, 101, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]).unwrap();
        RtpPacket { sequence, marker: packet.marker, timestamp: packet.timestamp, payload: &packet.payload, ..blank }
    }

    fn pressed(news: &[EventNews]) -> String {
        news.iter()
            .filter_map(|news| match news {
                EventNews::Pressed(digit) => Some(digit.as_char()),
                EventNews::Released { .. } => None,
            })
            .collect()
    }

    #[test]
    fn digits_are_told_when_they_go_down_and_when_they_go_up() {
        for clock in [ClockRate::NARROW, ClockRate::FULL] {
            let expected: Vec<EventNews> = "911*A"
                .chars()
                .map(|character| Digit::from_char(character).unwrap())
                .flat_map(|digit| {
                    let duration = Duration::from_millis(160);
                    [EventNews::Pressed(digit), EventNews::Released { digit, duration }]
                })
                .collect();
            assert_eq!(heard(clock, &typed("911*A", clock)), expected);
        }
    }

    #[test]
    fn any_one_packet_of_a_press_is_enough() {
        let sent = typed("5", ClockRate::NARROW);
        for only in 0..sent.len() {
            let news = heard(ClockRate::NARROW, &sent[only..=only]);
            let duration = Duration::from_millis(20 * (only as u64 + 1)).min(Duration::from_millis(160));
            assert_eq!(
                news,
                [EventNews::Pressed(digit("5")), EventNews::Released { digit: digit("5"), duration }],
                "packet {only}"
            );
        }
    }

    #[test]
    fn every_press_is_told_once_whichever_packets_are_lost_repeated_or_overtaken() {
        let dialled = "0123456789*#ABCD0011223344";
        for seed in 0..400 {
            let mut dice = Dice::new(seed);
            let loss = dice.below(700);
            let mut sent = typed(dialled, if seed % 2 == 0 { ClockRate::NARROW } else { ClockRate::FULL });
            let clock = if seed % 2 == 0 { ClockRate::NARROW } else { ClockRate::FULL };
            // Of each event one packet arrives, whatever else happens.
            let mut kept: Vec<Sent> = Vec::new();
            for event in sent.chunk_by(|one, other| one.packet.timestamp == other.packet.timestamp) {
                let sure = dice.below(event.len());
                for (index, packet) in event.iter().enumerate() {
                    if index == sure || !dice.per_mille(loss) {
                        kept.push(*packet);
                        if dice.per_mille(100) {
                            kept.push(*packet);
                        }
                    }
                }
            }
            // Late by up to 60 ms, which overtakes within an event and not beyond the pause.
            for packet in &mut kept {
                packet.at += Duration::from_millis(dice.below(60) as u64);
            }
            kept.sort_by_key(|packet| packet.at);
            sent = kept;
            assert_eq!(pressed(&heard(clock, &sent)), dialled, "seed {seed}");
        }
    }

    #[test]
    fn a_press_that_is_overtaken_by_the_next_one_is_told_nevertheless() {
        let sent = typed("12", ClockRate::NARROW);
        let second = sent.iter().position(|sent| sent.packet.payload[0] == 2).unwrap();
        let mut order = sent[second..].to_vec();
        order.push(Sent { at: order.last().unwrap().at, ..sent[0] });
        assert_eq!(pressed(&heard(ClockRate::NARROW, &order)), "21");
    }

    #[test]
    fn a_copy_of_a_press_that_is_long_over_is_none() {
        let mut sent = typed("123456", ClockRate::NARROW);
        let copy = Sent { at: sent.last().unwrap().at, ..sent[0] };
        sent.push(copy);
        assert_eq!(pressed(&heard(ClockRate::NARROW, &sent)), "123456");
    }

    #[test]
    fn a_long_press_in_segments_is_one_press_of_its_whole_length() {
        for lose_seams in [false, true] {
            let mut sender = EventSender::new(EventSettings::new(ClockRate::NARROW));
            sender.queue(digit("#"), Some(Duration::from_secs(20))).unwrap();
            let mut sent = Vec::new();
            for frame in 0..1_100_u16 {
                if let Some(packet) = sender.poll(u32::from(frame) * 160, 160) {
                    sent.push(Sent { at: FRAME * u32::from(frame), sequence: frame, packet });
                }
            }
            if lose_seams {
                sent.retain(|sent| sent.packet.payload[2..] < [0xfc, 0][..]);
            }
            let duration = Duration::from_secs(20);
            assert_eq!(
                heard(ClockRate::NARROW, &sent),
                [EventNews::Pressed(digit("#")), EventNews::Released { digit: digit("#"), duration }]
            );
        }
    }

    #[test]
    fn a_long_press_that_was_taken_to_be_over_is_not_told_again() {
        let mut sender = EventSender::new(EventSettings::new(ClockRate::NARROW));
        sender.queue(digit("#"), Some(Duration::from_secs(20))).unwrap();
        let mut sent = Vec::new();
        for frame in 0..1_100_u16 {
            if let Some(packet) = sender.poll(u32::from(frame) * 160, 160) {
                sent.push(Sent { at: FRAME * u32::from(frame), sequence: frame, packet });
            }
        }
        sent.retain(|sent| sent.at < Duration::from_secs(1) || sent.at > Duration::from_secs(4));
        assert_eq!(pressed(&heard(ClockRate::NARROW, &sent)), "#");
    }

    #[test]
    fn the_same_digit_twice_is_two_presses_also_without_markers_and_ends() {
        let mut sent = typed("55", ClockRate::NARROW);
        sent.retain(|sent| !sent.packet.marker && sent.packet.payload[1] & 0x80 == 0);
        assert_eq!(pressed(&heard(ClockRate::NARROW, &sent)), "55");
    }

    #[test]
    fn a_sender_that_moves_the_timestamp_with_each_packet_presses_once() {
        let mut sent = typed("5", ClockRate::NARROW);
        for (index, sent) in sent.iter_mut().enumerate() {
            let moved = u32::try_from(index).unwrap() * 160;
            sent.packet.timestamp = sent.packet.timestamp.wrapping_add(moved);
        }
        assert_eq!(pressed(&heard(ClockRate::NARROW, &sent)), "5");
    }

    #[test]
    fn a_sender_that_begins_every_event_with_the_same_timestamp_is_understood_by_its_markers() {
        let mut sent = typed("5577", ClockRate::NARROW);
        for sent in &mut sent {
            sent.packet.timestamp = 0;
        }
        assert_eq!(pressed(&heard(ClockRate::NARROW, &sent)), "5577");
    }

    #[test]
    fn a_sender_whose_clock_starts_anew_is_heard_after_a_moment() {
        let mut sent = typed("12", ClockRate::NARROW);
        for packet in sent.iter_mut().filter(|sent| sent.packet.payload[0] == 2) {
            packet.packet.timestamp = packet.packet.timestamp.wrapping_sub(1 << 30);
            packet.at += Duration::from_secs(5);
        }
        assert_eq!(pressed(&heard(ClockRate::NARROW, &sent)), "12");
    }

    #[test]
    fn several_events_in_one_packet_are_several_presses() {
        let events = [
            TelephoneEvent { event: 1, end: true, volume: 10, duration: 800 },
            TelephoneEvent { event: 2, end: true, volume: 10, duration: 400 },
        ];
        let payload: Vec<u8> = events.iter().flat_map(|event| event.payload()).collect();
        let blank = RtpPacket::parse(&[0x80, 101, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]).unwrap();
        let now = Instant::now();
        let mut receiver = EventReceiver::new(ClockRate::NARROW);
        for sequence in 1..=3 {
            receiver.receive(now, &RtpPacket { sequence, marker: true, payload: &payload, ..blank });
        }
        let news: Vec<EventNews> = std::iter::from_fn(|| receiver.poll(now)).collect();
        assert_eq!(pressed(&news), "12");
    }

    #[test]
    fn another_source_starts_from_nothing_and_lets_the_key_go_up() {
        let now = Instant::now();
        let mut receiver = EventReceiver::new(ClockRate::NARROW);
        let packet = EventPacket { marker: true, timestamp: 5_000, payload: [1, 10, 0, 160] };
        receiver.receive(now, &rtp(1, &packet));
        receiver.receive(now, &RtpPacket { ssrc: Ssrc(9), ..rtp(1, &packet) });
        let news: Vec<EventNews> = std::iter::from_fn(|| receiver.poll(now)).collect();
        assert_eq!(pressed(&news), "11");
        assert!(matches!(news[1], EventNews::Released { duration: FRAME, .. }));
    }

    #[test]
    fn events_that_are_no_digits_and_payloads_that_are_no_events_tell_nothing() {
        let now = Instant::now();
        let mut receiver = EventReceiver::new(ClockRate::NARROW);
        let blank = RtpPacket::parse(&[0x80, 101, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]).unwrap();
        for payload in [&[36, 10, 0, 160][..], &[1, 10, 0], &[]] {
            receiver.receive(now, &RtpPacket { payload, ..blank });
        }
        assert_eq!(receiver.poll(now), None);
    }

    #[test]
    fn random_packets_keep_the_receiver_within_its_bounds() {
        let mut dice = Dice::new(7);
        let start = Instant::now();
        let mut receiver = EventReceiver::new(ClockRate::NARROW);
        for round in 0..50_000_u32 {
            let mut octets = [0; 32];
            dice.fill(&mut octets);
            octets[0] = 0x80;
            octets[8..12].fill(0);
            octets[12] %= 18;
            let length = 12 + dice.below(20);
            let now = start + Duration::from_millis(10) * round;
            receiver.receive(now, &RtpPacket::parse(&octets[..length]).unwrap());
            if dice.per_mille(300) {
                receiver.poll(now);
            }
            assert!(receiver.news.len() <= LONGEST_QUEUE && receiver.recent.len() <= REMEMBERED);
        }
    }
}
