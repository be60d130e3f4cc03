//! Stories of the jitter buffer: a sender, a network and a listener in virtual time.

use super::*;
use crate::rtp::dice::Dice;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

const TICK: Duration = Duration::from_millis(20);
/// What a listener takes out or puts in when he is asked to.
const PERIOD: Duration = Duration::from_millis(5);

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A packet on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct OnTheWay {
    arrives: Duration,
    number: u64,
    timestamp: u32,
    sequence: u16,
    marker: bool,
}

/// One sender, one network, one listener.
struct World {
    start: Instant,
    now: Duration,
    buffer: JitterBuffer,
    way: BinaryHeap<Reverse<OnTheWay>>,
    dice: Dice,
    // The sender.
    clock: ClockRate,
    frame: Duration,
    /// Faster than the listener by so many parts in a million.
    drift: i64,
    next_number: u64,
    next_timestamp: u32,
    next_sequence: u16,
    marker: bool,
    talking: bool,
    /// When the next frame is ready.
    next_frame: Duration,
    // The network.
    jitter: Duration,
    loss_per_mille: usize,
    // The listener.
    obeys: bool,
    sound: Duration,
    payload: Vec<u8>,
    heard: Vec<u64>,
    keeps_heard: bool,
    last_heard: Option<u64>,
    delays: Range,
    longest_delay: Duration,
    concealed: u64,
    silent: u64,
    waited: u64,
    most_packets: usize,
    most_allocated: usize,
}

#[derive(Clone, Copy)]
struct Range {
    least: Duration,
    most: Duration,
}

impl World {
    fn new() -> World {
        World::with(JitterSettings::new(ClockRate::NARROW))
    }

    fn with(settings: JitterSettings) -> World {
        World {
            start: Instant::now(),
            now: Duration::ZERO,
            buffer: JitterBuffer::new(settings),
            way: BinaryHeap::new(),
            dice: Dice::new(1),
            clock: settings.clock,
            frame: ms(20),
            drift: 0,
            next_number: 0,
            next_timestamp: 0xffff_0000,
            next_sequence: 65_000,
            marker: true,
            talking: true,
            next_frame: Duration::ZERO,
            jitter: Duration::ZERO,
            loss_per_mille: 0,
            obeys: true,
            sound: Duration::ZERO,
            payload: Vec::new(),
            heard: Vec::new(),
            keeps_heard: true,
            last_heard: None,
            delays: Range { least: Duration::MAX, most: Duration::ZERO },
            longest_delay: Duration::ZERO,
            concealed: 0,
            silent: 0,
            waited: 0,
            most_packets: 0,
            most_allocated: 0,
        }
    }

    /// Lets time pass.
    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            self.now += TICK;
            self.send();
            self.arrive();
            self.listen();
        }
    }

    /// How long a frame of the sender's takes by the listener's clock.
    fn sender_frame(&self) -> Duration {
        let nanoseconds = i64::try_from(self.frame.as_nanos()).unwrap();
        Duration::from_nanos(u64::try_from(nanoseconds - nanoseconds * self.drift / 1_000_000).unwrap())
    }

    fn send(&mut self) {
        while self.next_frame <= self.now {
            let sent = self.next_frame;
            if self.talking {
                self.send_one(sent);
            }
            self.next_timestamp = self.next_timestamp.wrapping_add(self.clock.ticks(self.frame) as u32);
            self.next_frame += self.sender_frame();
        }
    }

    fn send_one(&mut self, sent: Duration) {
        let late = self.dice.below(self.jitter.as_micros() as usize + 1);
        let packet = OnTheWay {
            arrives: sent + Duration::from_micros(late as u64),
            // The number tells when it was sent.
            number: sent.as_nanos() as u64,
            timestamp: self.next_timestamp,
            sequence: self.next_sequence,
            marker: std::mem::take(&mut self.marker),
        };
        self.next_sequence = self.next_sequence.wrapping_add(1);
        self.next_number += 1;
        if !self.dice.per_mille(self.loss_per_mille) {
            self.way.push(Reverse(packet));
        }
    }

    fn arrive(&mut self) {
        while let Some(Reverse(packet)) = self.way.peek().copied().filter(|next| next.0.arrives <= self.now) {
            self.way.pop();
            self.insert(packet);
        }
    }

    fn insert(&mut self, packet: OnTheWay) -> Insertion {
        let mut payload = [0; 160];
        payload[..8].copy_from_slice(&packet.number.to_be_bytes());
        let insertion = self.buffer.insert(self.start + packet.arrives, &rtp(packet, &payload));
        self.most_packets = self.most_packets.max(self.buffer.packets());
        insertion
    }

    fn listen(&mut self) {
        while self.sound < TICK {
            let now = self.start + self.now;
            match self.buffer.pop(now, &mut self.payload) {
                Frame::Packet { pace, .. } => {
                    self.buffer.decoded(self.frame);
                    self.sound += self.frame;
                    match pace {
                        Pace::Shorten if self.obeys => self.sound -= PERIOD,
                        Pace::Lengthen if self.obeys => self.sound += PERIOD,
                        _ => {}
                    }
                    self.hear();
                }
                Frame::Lost { duration } => {
                    assert!(duration > Duration::ZERO);
                    self.concealed += 1;
                    self.sound += duration;
                }
                Frame::Silence { duration } => {
                    assert!(duration > Duration::ZERO);
                    self.silent += 1;
                    self.sound += duration;
                }
                Frame::Wait => {
                    self.waited += 1;
                    self.sound = TICK;
                }
            }
        }
        self.sound -= TICK;
        self.most_allocated = self.most_allocated.max(self.buffer.queue.allocated() + self.payload.capacity());
    }

    fn hear(&mut self) {
        let number = u64::from_be_bytes(*self.payload.first_chunk().unwrap());
        assert!(
            self.last_heard.is_none_or(|last| last < number),
            "each packet once, in the order in which it was sent"
        );
        self.last_heard = Some(number);
        if self.keeps_heard {
            self.heard.push(number);
        }
        let delay = self.now - Duration::from_nanos(number);
        self.longest_delay = self.longest_delay.max(delay);
        self.delays.least = self.delays.least.min(delay);
        self.delays.most = self.delays.most.max(delay);
    }

    /// The least and the greatest delay since this was asked last.
    fn delays(&mut self) -> Range {
        std::mem::replace(&mut self.delays, Range { least: Duration::MAX, most: Duration::ZERO })
    }

    /// The concealed frames since this was asked last.
    fn concealed(&mut self) -> u64 {
        std::mem::take(&mut self.concealed)
    }
}

fn rtp(packet: OnTheWay, payload: &[u8]) -> RtpPacket<'_> {
    let blank = RtpPacket::parse(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]).unwrap();
    let OnTheWay { timestamp, sequence, marker, .. } = packet;
    RtpPacket { timestamp, sequence, marker, payload, ..blank }
}

#[test]
fn on_a_perfect_network_nothing_is_lost_and_the_delay_is_small() {
    let mut world = World::new();
    world.run(ms(60_000));
    assert_eq!((world.concealed, world.silent), (0, 0));
    assert!(world.longest_delay <= ms(60), "{:?}", world.longest_delay);
    assert!(world.heard.len() >= 2_995);
    assert_eq!(world.buffer.statistics().late, 0);
}

#[test]
fn a_day_of_jitter_and_loss_and_a_clock_that_runs_off_stays_within_bounds() {
    for drift in [200, -200] {
        let mut world = World::new();
        (world.jitter, world.loss_per_mille, world.drift, world.keeps_heard) = (ms(200), 50, drift, false);
        world.run(ms(60_000));
        world.delays();
        world.concealed();
        world.run(ms(3_600_000));
        let first = (world.concealed(), world.most_allocated);
        world.run(ms(22 * 3_600_000));
        world.concealed();
        world.run(ms(3_600_000));
        let last = (world.concealed(), world.most_allocated);
        let max = JitterSettings::new(ClockRate::NARROW).max_delay;
        assert!(world.longest_delay <= max + ms(1), "{drift}: {:?}", world.longest_delay);
        assert!(world.most_packets <= 25, "{drift}: {} packets", world.most_packets);
        assert!(world.most_allocated <= 26 * 160, "{drift}: {} octets", world.most_allocated);
        // Of 180,000 packets an hour 5 % are lost, and some are late.
        for concealed in [first.0, last.0] {
            assert!((8_000..15_000).contains(&concealed), "{drift}: {first:?} {last:?}");
        }
    }
}

#[test]
fn the_playout_follows_a_clock_that_runs_off_within_a_frame() {
    for drift in [200, -200] {
        for obeys in [true, false] {
            let mut world = World::new();
            (world.drift, world.obeys, world.keeps_heard) = (drift, obeys, false);
            world.run(ms(600_000));
            world.delays();
            world.run(ms(600_000));
            let mut delays = world.delays();
            for _ in 0..24 {
                world.run(ms(3_600_000));
                let hour = world.delays();
                assert!(hour.least.abs_diff(delays.least) <= TICK, "{drift} {obeys}: {:?}", hour.least);
                assert!(hour.most.abs_diff(delays.most) <= TICK, "{drift} {obeys}: {:?}", hour.most);
                delays = hour;
            }
            assert!(world.longest_delay <= ms(80), "{drift} {obeys}: {:?}", world.longest_delay);
            // 17.28 seconds in a day are 864 frames.
            let made_up_or_left_out = world.concealed + world.silent + world.buffer.statistics().skipped;
            assert!(made_up_or_left_out <= 900, "{drift} {obeys}: {made_up_or_left_out}");
            assert_eq!(world.buffer.statistics().restarts, 0);
        }
    }
}

#[test]
fn a_lost_packet_is_concealed_and_costs_no_delay() {
    let mut world = World::new();
    world.run(ms(10_000));
    let before = world.delays();
    world.loss_per_mille = 50;
    world.run(ms(600_000));
    let after = world.delays();
    let lost = world.next_number as usize - world.heard.len();
    assert!((1_200..1_800).contains(&lost), "{lost}");
    assert!(world.concealed.abs_diff(lost as u64) <= 30, "{} for {lost}", world.concealed);
    assert!(after.most <= before.most + TICK, "{:?} {:?}", before.most, after.most);
}

#[test]
fn bursts_of_loss_are_concealed_for_a_while_and_leave_no_delay_behind() {
    for burst in [3, 10, 25, 60, 90] {
        let mut world = World::new();
        world.run(ms(10_000));
        let before = world.delays();
        world.loss_per_mille = 1_000;
        world.run(TICK * burst);
        world.loss_per_mille = 0;
        world.run(ms(1_000));
        world.delays();
        world.run(ms(5_000));
        let after = world.delays();
        assert!(after.most <= before.most + TICK, "{burst}: {:?} {:?}", before.most, after.most);
        assert!(world.concealed <= 6, "{burst}: not longer than a tenth of a second: {}", world.concealed);
        assert!(world.concealed + world.silent >= u64::from(burst) - 1, "{burst}: {}", world.concealed + world.silent);
    }
}

#[test]
fn when_jitter_begins_the_delay_grows_at_once_and_when_it_ends_shrinks_slowly() {
    for obeys in [true, false] {
        let mut world = World::new();
        world.obeys = obeys;
        world.run(ms(30_000));
        let calm = world.delays();
        world.jitter = ms(120);
        world.run(ms(2_000));
        world.concealed();
        let late = world.buffer.statistics().late;
        world.run(ms(20_000));
        // A thousand packets, of which two in a hundred may be late.
        assert!(world.concealed() <= 40 && world.buffer.statistics().late - late <= 40);
        world.delays();
        world.jitter = Duration::ZERO;
        world.run(ms(1_000));
        assert!(world.delays().most >= ms(100), "not at once");
        world.run(ms(120_000));
        world.delays();
        world.run(ms(5_000));
        let again = world.delays();
        assert!(again.most <= calm.most + TICK, "{obeys}: {:?} {:?}", calm.most, again.most);
        assert!(world.buffer.statistics().skipped == 0 || !obeys, "who shortens the sound loses nothing");
    }
}

#[test]
fn packets_that_overtake_each_other_are_put_in_order() {
    let mut world = World::new();
    world.jitter = ms(60);
    world.run(ms(5_000));
    world.concealed();
    world.run(ms(60_000));
    // 3,000 packets, nearly all of them overtaken or overtaking.
    assert!(world.concealed() <= 80);
    assert!(world.heard.is_sorted());
}

#[test]
fn copies_are_dropped_also_when_the_first_one_has_been_played() {
    let mut world = World::new();
    let packet = |number: u64| OnTheWay {
        arrives: TICK * number as u32,
        number,
        timestamp: 160 * number as u32,
        sequence: number as u16,
        marker: false,
    };
    for number in 0..10 {
        assert_eq!(world.insert(packet(number)), Insertion::Buffered);
        assert_eq!(world.insert(packet(number)), Insertion::Duplicate);
        world.now = TICK * number as u32;
        world.listen();
        assert_eq!(world.insert(OnTheWay { arrives: world.now, ..packet(0) }), Insertion::Duplicate);
    }
    assert_eq!(world.buffer.statistics().duplicates, 20);
    assert_eq!(world.heard, [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn in_a_pause_of_the_speaker_there_is_silence_and_nothing_is_lost() {
    let mut world = World::new();
    for round in 0..50 {
        world.talking = true;
        world.marker = round % 2 == 0;
        world.run(ms(1_000));
        world.talking = false;
        world.run(ms(20 * (10 + round)));
    }
    assert_eq!(world.heard.len() as u64, world.next_number);
    // The beginning of a pause sounds like a loss, for a tenth of a second.
    assert!(world.concealed <= 50 * 6, "{}", world.concealed);
    assert!(world.longest_delay <= ms(80), "{:?}", world.longest_delay);
}

#[test]
fn after_hold_the_stream_goes_on_wherever_its_clock_has_got_to() {
    for (jump, marker) in [(0, true), (0x7654_3210, true), (0x7654_3210, false), (0, false)] {
        let mut world = World::new();
        world.run(ms(10_000));
        world.talking = false;
        world.run(ms(60_000));
        world.next_timestamp = world.next_timestamp.wrapping_add(jump);
        (world.talking, world.marker) = (true, marker);
        let (before, sent) = (world.heard.len(), world.next_number);
        world.run(ms(10_000));
        let heard = world.heard.len() - before;
        assert!(world.next_number - sent - heard as u64 <= 5, "{jump} {marker}: {heard}");
        assert!(world.longest_delay <= ms(80), "{jump} {marker}: {:?}", world.longest_delay);
    }
}

#[test]
fn timestamps_that_jump_in_the_middle_are_followed_after_a_packet() {
    for jump in [1_000_000, 0x8000_0000, 0xff00_0000] {
        let mut world = World::new();
        world.run(ms(10_000));
        world.next_timestamp = world.next_timestamp.wrapping_add(jump);
        world.run(ms(10_000));
        assert!(world.next_number - world.heard.len() as u64 <= 8, "{jump}: {}", world.heard.len());
        assert!(world.longest_delay <= ms(80), "{jump}: {:?}", world.longest_delay);
        assert_eq!(world.buffer.statistics().restarts, 1);
    }
}

#[test]
fn another_source_starts_anew() {
    let mut world = World::new();
    world.run(ms(1_000));
    let packet = OnTheWay { arrives: world.now, number: u64::MAX, timestamp: 77, sequence: 9, marker: false };
    let other = RtpPacket { ssrc: Ssrc(2), ..rtp(packet, &[1; 160]) };
    assert_eq!(world.buffer.insert(world.start + world.now, &other), Insertion::Restarted);
    assert_eq!(world.buffer.packets(), 1);
}

#[test]
fn frames_of_any_length_are_played_evenly() {
    for frame in [10, 30, 40, 60] {
        let mut world = World::new();
        world.frame = ms(frame);
        world.run(ms(60_000));
        assert_eq!((world.concealed, world.silent), (0, 0), "{frame}");
        assert!(world.next_number - world.heard.len() as u64 <= 10, "{frame}");
        assert!(world.longest_delay <= ms(60 + frame), "{frame}: {:?}", world.longest_delay);
        world.loss_per_mille = 50;
        world.jitter = ms(30);
        world.run(ms(60_000));
        let lost = world.next_number - world.heard.len() as u64;
        assert!(world.concealed <= lost + lost / 2 + 20, "{frame}: {} for {lost}", world.concealed);
    }
}

#[test]
fn a_frame_length_that_changes_in_the_middle_is_followed() {
    let mut world = World::new();
    for frame in [20, 60, 10, 40, 20] {
        world.frame = ms(frame);
        world.run(ms(10_000));
    }
    assert!(world.concealed + world.silent <= 20, "{} {}", world.concealed, world.silent);
    assert!(world.next_number - world.heard.len() as u64 <= 10);
}

#[test]
fn a_telephone_event_between_two_packets_is_no_loss() {
    let mut world = World::new();
    world.run(ms(1_000));
    world.concealed();
    let audio = world.next_timestamp;
    for number in 0..8 {
        // The event takes the place of the audio and keeps its first timestamp.
        let packet = OnTheWay {
            arrives: world.now,
            number: 0,
            timestamp: audio,
            sequence: world.next_sequence,
            marker: number == 0,
        };
        world.next_sequence = world.next_sequence.wrapping_add(1);
        world.buffer.skip(&rtp(packet, &[5, 10, 0, 160]));
        world.talking = false;
        world.run(TICK);
    }
    world.talking = true;
    world.run(ms(1_000));
    assert!(world.concealed() <= 6, "the sound fades for a tenth of a second");
    assert!(world.next_number - world.heard.len() as u64 <= 2, "the last ones are still held");
    assert!(world.longest_delay <= ms(80), "{:?}", world.longest_delay);
}

#[test]
fn a_network_that_stands_still_and_then_delivers_all_at_once_leaves_no_more_than_the_most() {
    for stall in [100, 250, 500, 1_500, 3_000] {
        let mut world = World::new();
        world.run(ms(10_000));
        // All that is sent meanwhile comes at its end.
        let end = world.now + ms(stall);
        while world.now < end {
            world.now += TICK;
            world.send();
            world.listen();
        }
        let mut held: Vec<OnTheWay> = std::mem::take(&mut world.way).into_iter().map(|Reverse(held)| held).collect();
        held.iter_mut().for_each(|held| held.arrives = end);
        world.way = held.into_iter().map(Reverse).collect();
        world.run(ms(60_000));
        let max = JitterSettings::new(ClockRate::NARROW).max_delay;
        assert!(world.longest_delay <= max + ms(1), "{stall}: {:?}", world.longest_delay);
        world.delays();
        world.run(ms(1_000));
        assert!(world.delays().most <= ms(80), "{stall}");
    }
}

#[test]
fn a_flood_of_timestamps_from_the_future_is_neither_held_nor_heard() {
    let mut world = World::new();
    world.run(ms(10_000));
    world.concealed();
    let before = world.heard.len();
    for tick in 0..500_u32 {
        for flood in 0..40_u32 {
            let mut chance = [0; 4];
            world.dice.fill(&mut chance);
            let packet = OnTheWay {
                arrives: world.now,
                number: u64::MAX,
                timestamp: u32::from_be_bytes(chance) | 1 << 20,
                sequence: world.next_sequence.wrapping_add(((tick * 40 + flood) % 30_000) as u16),
                marker: false,
            };
            world.insert(packet);
        }
        world.run(TICK);
    }
    assert!(world.heard.len() - before >= 495, "{}", world.heard.len() - before);
    assert!(world.concealed() <= 2);
    assert!(world.most_packets <= 4);
}

#[test]
fn whatever_comes_memory_and_delay_have_an_end() {
    for seed in 0..20 {
        let mut settings = JitterSettings::new(ClockRate::NARROW);
        (settings.max_packets, settings.max_octets) = (40, 20_000);
        let mut buffer = JitterBuffer::new(settings);
        let mut dice = Dice::new(seed);
        let start = Instant::now();
        let mut now = start;
        let (mut payload, content) = (Vec::new(), vec![0; 20_001]);
        let (mut timestamp, mut sequence) = (0_u32, 0_u16);
        for _ in 0..20_000 {
            now += Duration::from_micros(dice.below(25_000) as u64);
            match dice.below(20) {
                0 => timestamp = dice.roll() as u32,
                1 => sequence = dice.roll() as u16,
                2 => now += ms(dice.below(4_000) as u64),
                3 => timestamp = timestamp.wrapping_sub(dice.below(10_000) as u32),
                4 => timestamp = timestamp.wrapping_add(dice.below(10_000) as u32),
                5 => buffer.decoded(ms(dice.below(300) as u64)),
                6 => sequence = sequence.wrapping_sub(dice.below(50) as u16),
                _ => {}
            }
            for _ in 0..dice.below(4) {
                let length = if dice.per_mille(20) { dice.below(20_002) } else { dice.below(400) };
                let ssrc = Ssrc(u32::from(dice.per_mille(5)));
                let marker = dice.per_mille(20);
                let packet = OnTheWay { arrives: Duration::ZERO, number: 0, timestamp, sequence, marker };
                buffer.insert(now, &RtpPacket { ssrc, ..rtp(packet, &content[..length]) });
                timestamp = timestamp.wrapping_add(160);
                sequence = sequence.wrapping_add(1);
            }
            if dice.per_mille(700) {
                match buffer.pop(now, &mut payload) {
                    Frame::Lost { duration } | Frame::Silence { duration } => {
                        assert!(duration > Duration::ZERO && duration <= LONGEST_FRAME, "{duration:?}");
                        let _ = buffer.next_payload();
                    }
                    Frame::Packet { .. } => assert!(!payload.is_empty()),
                    Frame::Wait => {}
                }
            }
            assert!(buffer.packets() <= 40);
            assert!(buffer.queue.allocated() <= 40_000 + 40 * 4_096);
            assert!(buffer.target() <= settings.max_delay);
        }
        assert!(buffer.statistics().longest_delay <= settings.max_delay + TICK, "{:?}", buffer.statistics());
    }
}

#[test]
fn the_packet_after_a_lost_one_can_be_looked_at_for_a_copy_of_it() {
    let settings =
        JitterSettings { min_delay: ms(60), initial_delay: ms(60), ..JitterSettings::new(ClockRate::NARROW) };
    let mut world = World::with(settings);
    world.run(ms(2_000));
    world.loss_per_mille = 1_000;
    world.run(TICK);
    world.loss_per_mille = 0;
    let mut looked = 0;
    for _ in 0..10 {
        world.run(TICK);
        if world.concealed() > 0 {
            looked += 1;
            assert_eq!(world.buffer.next_payload().map(<[u8]>::len), Some(160));
        }
    }
    assert_eq!(looked, 1);
    assert_eq!(world.buffer.next_payload(), None);
}

#[test]
fn a_reset_forgets_the_stream_and_keeps_the_counts() {
    let mut world = World::new();
    world.loss_per_mille = 100;
    world.run(ms(5_000));
    let counted = world.buffer.statistics();
    assert!(counted.concealed > 0);
    world.buffer.set_clock(ClockRate::FULL);
    assert_eq!((world.buffer.statistics(), world.buffer.packets()), (counted, 0));
    assert_eq!(world.buffer.pop(world.start + world.now, &mut Vec::new()), Frame::Wait);
}
