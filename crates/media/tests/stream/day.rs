//! A day of one call, with all that happens to calls in a day: nothing drifts, nothing grows.

use std::time::Duration;

use media::pcm::{SampleRate, TICK};
use media::signal::Random;
use media::tone::{Tone, ToneGenerator};

use crate::world::{Plans, Weather, World};

const BEEP_EVERY: u64 = 500;

/// Listens for Alice's beep at Bob's, which is said every ten seconds, and tells how many ticks later it is heard.
struct Ear {
    ticks: u64,
    heard: bool,
    delay: Option<u64>,
}

impl Ear {
    fn listen(&mut self, hears: bool) {
        let since = self.ticks % BEEP_EVERY;
        if since == 0 {
            self.heard = false;
        }
        if hears && !self.heard {
            self.heard = true;
            self.delay = Some(since);
        }
        self.ticks += 1;
    }
}

struct Day {
    world: World,
    ear: Ear,
    random: Random,
    pcm: Vec<i16>,
}

impl Day {
    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds * 50 {
            self.world.tick(&mut self.pcm);
            self.ear.listen(self.world.bob.hears);
            self.world.now += TICK;
            self.world.deliver();
        }
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.random.next_bits() % limit
    }

    fn something_happens(&mut self) {
        match self.below(10) {
            // Somebody holds or takes back.
            0..3 => {
                let held = self.below(2) == 0;
                if self.below(2) == 0 {
                    self.world.alice.capabilities.set_on_hold(held);
                    self.world.renegotiate();
                } else {
                    self.world.bob.capabilities.set_on_hold(held);
                    self.world.renegotiate_by_bob();
                }
            }
            // Nothing comes through.
            3 => {
                self.world.weather.loss = 1_000;
                let seconds = self.below(12);
                self.pass(seconds);
            }
            // The weather changes.
            _ => {
                self.world.weather = Weather {
                    delay: Duration::from_millis(self.below(150)),
                    jitter: Duration::from_millis(self.below(201)),
                    loss: self.below(51),
                    duplicates: self.below(20),
                };
            }
        }
        self.world.weather.loss = self.world.weather.loss.min(50);
        let seconds = 1 + self.below(60);
        self.pass(seconds);
    }

    /// Fine weather, nobody holds, for as long as the jitter buffer needs; then the delay of the next beep, in ticks.
    fn delay_in_peace(&mut self) -> u64 {
        self.world.weather = Weather::FINE;
        self.world.alice.capabilities.set_on_hold(false);
        self.world.bob.capabilities.set_on_hold(false);
        self.world.renegotiate();
        self.pass(60);
        self.ear.delay = None;
        self.pass(20);
        self.ear.delay.expect("a beep was heard")
    }
}

/// The memory that this process holds, where the system tells.
fn resident_pages() -> Option<u64> {
    std::fs::read_to_string("/proc/self/statm").ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[test]
fn in_a_day_of_holds_drops_loss_and_jitter_nothing_drifts_by_more_than_a_frame_and_nothing_grows() {
    let plans = Plans { timeout: Duration::ZERO, ..Plans::new(&["PCMU"]).at(SampleRate::Narrow) };
    let mut world = World::in_a_call(plans);
    world.keeps = false;
    let beep = Tone::forever().on(&[440.0], Duration::from_millis(200)).off(Duration::from_millis(9_800));
    world.alice.says = ToneGenerator::new(beep, SampleRate::Narrow);
    world.bob.says_nothing(SampleRate::Narrow);
    let start = world.now;
    let ear = Ear { ticks: 0, heard: false, delay: None };
    let mut day = Day { world, ear, random: Random::new(24), pcm: vec![0; SampleRate::Narrow.samples_per_tick()] };

    let at_first = day.delay_in_peace();
    for hour in 1..=24 {
        while day.world.now - start < Duration::from_secs(hour * 3_600) {
            day.something_happens();
        }
        let delay = day.delay_in_peace();
        assert!(delay.abs_diff(at_first) <= 1, "after {hour} hours: {delay} ticks instead of {at_first}");
        for party in [&day.world.alice, &day.world.bob] {
            let statistics = party.stream.statistics();
            assert!(statistics.buffered <= Duration::from_millis(60), "after {hour} hours: {statistics:?}");
            assert!(!party.has_failed());
        }
        // The first hour fills what is used again and again.
        if hour == 1 {
            day.world.alice.events.clear();
            day.world.bob.events.clear();
        }
    }
    assert!(day.world.is_quiet(), "datagrams or events are left over");
    if let Some(pages) = resident_pages() {
        assert!(pages * 4_096 < 64 << 20, "{pages} pages are held");
    }
}
