//! Conferences with measured signals.

use super::*;
use crate::level::Dbfs;
use crate::signal;
use crate::tone::{Tone, ToneGenerator};

const RATE: SampleRate = SampleRate::Wide;
const TICK: usize = RATE.samples_per_tick();
const TICKS: usize = 50;

/// A party that says one tone and keeps what it hears.
struct Party {
    slot: SlotId,
    voice: ToneGenerator,
    heard: Vec<i16>,
}

impl Party {
    fn join(bridge: &mut Bridge, role: Role, hertz: f64, level: Dbfs) -> Party {
        let voice = ToneGenerator::new(Tone::sine(hertz).at_level(level), bridge.rate());
        Party { slot: bridge.add(role), voice, heard: Vec::new() }
    }

    fn hears(&self, hertz: f64) -> f64 {
        signal::level_at(&self.heard, RATE, hertz).0
    }
}

fn run(bridge: &mut Bridge, parties: &mut [Party]) {
    for _ in 0..TICKS {
        for party in parties.iter_mut() {
            let mut said = [0; TICK];
            party.voice.fill(&mut said);
            bridge.put(party.slot, &said);
        }
        for party in parties.iter_mut() {
            let mut heard = [0; TICK];
            bridge.mix(party.slot, &mut heard);
            party.heard.extend(heard);
        }
        bridge.end_tick();
    }
}

fn tick_of(sample: i16) -> Vec<i16> {
    vec![sample; TICK]
}

fn mixed(bridge: &mut Bridge, slot: SlotId) -> (usize, i16) {
    let mut pcm = tick_of(77);
    let heard = bridge.mix(slot, &mut pcm);
    assert!(pcm.iter().all(|&sample| sample == pcm[0]));
    (heard, pcm[0])
}

#[test]
fn everyone_hears_everyone_but_himself() {
    let mut bridge = Bridge::new(RATE);
    let tones = [400.0, 700.0, 1_100.0, 1_700.0];
    let mut parties: Vec<Party> =
        tones.iter().map(|&hertz| Party::join(&mut bridge, Role::Member, hertz, Dbfs(-20.0))).collect();
    run(&mut bridge, &mut parties);
    for (index, party) in parties.iter().enumerate() {
        for (other, &hertz) in tones.iter().enumerate() {
            let level = party.hears(hertz);
            match index == other {
                true => assert!(level < -85.0, "{index} hears himself at {level}"),
                false => assert!((level + 20.0).abs() < 0.1, "{index} hears {other} at {level}"),
            }
        }
    }
}

#[test]
fn of_two_parties_each_hears_the_other_bit_by_bit() {
    let mut bridge = Bridge::new(RATE);
    let (alice, bob) = (bridge.add(Role::Member), bridge.add(Role::Member));
    let said = signal::noise(3, TICK, Dbfs(-6.0));
    bridge.put(alice, &said);
    bridge.put(bob, &signal::noise(4, TICK, Dbfs(-6.0)));
    let mut heard = vec![0; TICK];
    assert_eq!(bridge.mix(bob, &mut heard), 1);
    assert_eq!(heard, said);
}

#[test]
fn who_says_nothing_is_silent_and_what_was_said_is_forgotten_with_its_tick() {
    let mut bridge = Bridge::new(RATE);
    let (alice, bob) = (bridge.add(Role::Member), bridge.add(Role::Member));
    assert_eq!(mixed(&mut bridge, bob), (0, 0));
    bridge.put(alice, &tick_of(500));
    assert_eq!(mixed(&mut bridge, bob), (1, 500));
    assert_eq!(mixed(&mut bridge, alice), (0, 0));
    bridge.end_tick();
    assert_eq!(mixed(&mut bridge, bob), (0, 0));
}

#[test]
fn of_two_puts_in_one_tick_the_second_counts() {
    let mut bridge = Bridge::new(RATE);
    let (alice, bob) = (bridge.add(Role::Member), bridge.add(Role::Member));
    bridge.put(alice, &tick_of(500));
    bridge.put(alice, &tick_of(300));
    assert_eq!(mixed(&mut bridge, bob), (1, 300));
}

#[test]
fn a_short_put_is_followed_by_silence_and_a_long_one_is_cut() {
    let mut bridge = Bridge::new(RATE);
    let (alice, bob) = (bridge.add(Role::Member), bridge.add(Role::Member));
    bridge.put(alice, &tick_of(500));
    bridge.put(alice, &[9; 10]);
    let mut heard = vec![1; TICK + 5];
    bridge.mix(bob, &mut heard);
    assert_eq!(heard[..10], [9; 10]);
    assert!(heard[10..].iter().all(|&sample| sample == 0));
    bridge.put(alice, &vec![9; TICK * 2]);
    assert_eq!(mixed(&mut bridge, bob), (1, 9));
}

#[test]
fn a_mirrored_slot_hears_itself_and_nobody_else() {
    let mut bridge = Bridge::new(RATE);
    let mirror = bridge.add(Role::Apart);
    let other = bridge.add(Role::Member);
    bridge.connect(mirror, mirror);
    bridge.put(mirror, &tick_of(123));
    bridge.put(other, &tick_of(1_000));
    assert_eq!(mixed(&mut bridge, mirror), (1, 123));
    assert_eq!(mixed(&mut bridge, other), (0, 0));
}

#[test]
fn a_member_connected_to_itself_hears_itself_with_the_others() {
    let mut bridge = Bridge::new(RATE);
    let (alice, bob) = (bridge.add(Role::Member), bridge.add(Role::Member));
    bridge.connect(alice, alice);
    bridge.put(alice, &tick_of(100));
    bridge.put(bob, &tick_of(20));
    assert_eq!(mixed(&mut bridge, alice), (2, 120));
}

#[test]
fn a_recorder_hears_all_and_is_heard_by_none() {
    let mut bridge = Bridge::new(RATE);
    let (alice, bob) = (bridge.add(Role::Member), bridge.add(Role::Member));
    let recorder = bridge.add(Role::Listener);
    bridge.put(alice, &tick_of(100));
    bridge.put(bob, &tick_of(20));
    bridge.put(recorder, &tick_of(3));
    assert_eq!(mixed(&mut bridge, recorder), (2, 120));
    assert_eq!(mixed(&mut bridge, alice), (1, 20));
}

#[test]
fn a_player_is_heard_by_all_or_by_one() {
    let mut bridge = Bridge::new(RATE);
    let (alice, bob) = (bridge.add(Role::Member), bridge.add(Role::Member));
    let (to_all, to_bob) = (bridge.add(Role::Talker), bridge.add(Role::Apart));
    bridge.connect(to_bob, bob);
    bridge.put(to_all, &tick_of(5));
    bridge.put(to_bob, &tick_of(70));
    assert_eq!(mixed(&mut bridge, alice), (1, 5));
    assert_eq!(mixed(&mut bridge, bob), (2, 75));
    assert_eq!(mixed(&mut bridge, to_all), (0, 0));
    bridge.disconnect(to_bob, bob);
    assert_eq!(mixed(&mut bridge, bob), (1, 5));
}

#[test]
fn a_connection_beside_the_room_does_not_double_what_the_room_carries() {
    let mut bridge = Bridge::new(RATE);
    let (alice, bob) = (bridge.add(Role::Member), bridge.add(Role::Member));
    assert!(bridge.connect(alice, bob) && bridge.connect(alice, bob));
    bridge.put(alice, &tick_of(40));
    assert_eq!(mixed(&mut bridge, bob), (1, 40));
}

#[test]
fn a_party_on_hold_neither_hears_nor_is_heard_until_it_comes_back() {
    let mut bridge = Bridge::new(RATE);
    let (alice, bob) = (bridge.add(Role::Member), bridge.add(Role::Member));
    bridge.put(alice, &tick_of(40));
    bridge.put(bob, &tick_of(50));
    bridge.set_role(bob, Role::Apart);
    assert_eq!(mixed(&mut bridge, alice), (0, 0));
    assert_eq!(mixed(&mut bridge, bob), (0, 0));
    bridge.set_role(bob, Role::Member);
    assert_eq!(mixed(&mut bridge, alice), (1, 50));
    assert_eq!(mixed(&mut bridge, bob), (1, 40));
}

#[test]
fn a_muted_party_is_not_heard_but_its_level_is_shown() {
    let mut bridge = Bridge::new(RATE);
    let (alice, bob) = (bridge.add(Role::Member), bridge.add(Role::Member));
    bridge.connect(alice, bob);
    bridge.set_muted(alice, true);
    bridge.put(alice, &tick_of(3_277));
    assert_eq!(mixed(&mut bridge, bob), (0, 0));
    assert!(bridge.is_muted(alice));
    assert!((bridge.level(alice).rms.0 + 20.0).abs() < 0.1);
    bridge.set_muted(alice, false);
    assert_eq!(mixed(&mut bridge, bob), (1, 3_277));
}

#[test]
fn gain_is_of_what_is_put_and_volume_of_what_is_heard() {
    let mut bridge = Bridge::new(RATE);
    let (alice, bob, carol) = (bridge.add(Role::Member), bridge.add(Role::Member), bridge.add(Role::Member));
    bridge.set_gain(alice, Gain::of_decibels(6.020_6));
    bridge.set_volume(carol, Gain::of_percent(50));
    bridge.put(alice, &tick_of(1_000));
    assert_eq!(mixed(&mut bridge, bob), (1, 2_000));
    assert_eq!(mixed(&mut bridge, carol), (1, 1_000));
    bridge.put(alice, &tick_of(30_000));
    assert_eq!(mixed(&mut bridge, bob), (1, i16::MAX));
    assert_eq!(Gain::of_factor(f32::NAN).factor(), 0.0);
    assert_eq!(Gain::of_decibels(90.0), Gain::MAX);
}

#[test]
fn the_level_of_who_fell_silent_decays() {
    let mut bridge = Bridge::new(RATE);
    let alice = bridge.add(Role::Member);
    assert_eq!(bridge.level(alice), Level::SILENCE);
    bridge.put(alice, &tick_of(3_277));
    for _ in 0..50 {
        bridge.end_tick();
    }
    assert!((bridge.level(alice).rms.0 + 44.0).abs() < 0.5, "{:?}", bridge.level(alice));
    bridge.put(alice, &tick_of(0));
    assert!((bridge.level(alice).rms.0 + 44.0).abs() < 0.5, "{:?}", bridge.level(alice));
}

#[test]
fn a_closed_slot_is_heard_no_more_and_its_name_never_opens_another() {
    let mut bridge = Bridge::new(RATE);
    let (alice, bob) = (bridge.add(Role::Member), bridge.add(Role::Member));
    bridge.connect(alice, bob);
    bridge.put(alice, &tick_of(40));
    assert!(bridge.remove(alice));
    assert!(!bridge.remove(alice));
    assert_eq!(mixed(&mut bridge, bob), (0, 0));
    let carol = bridge.add(Role::Member);
    assert_ne!(carol, alice);
    assert!(!bridge.put(alice, &tick_of(40)));
    assert!(!bridge.connect(alice, bob) && !bridge.connect(bob, alice));
    assert_eq!(mixed(&mut bridge, bob), (0, 0));
    assert_eq!(mixed(&mut bridge, alice), (0, 0));
    assert_eq!(bridge.len(), 2);
}

#[test]
fn a_shouting_conference_is_pressed_together_and_not_clipped() {
    let mut bridge = Bridge::new(RATE);
    let tones: Vec<f64> = (0..5).map(|n| 300.0 + 170.0 * f64::from(n)).collect();
    let mut parties: Vec<Party> =
        tones.iter().map(|&hertz| Party::join(&mut bridge, Role::Member, hertz, Dbfs(-12.0))).collect();
    run(&mut bridge, &mut parties);
    // Four sines of this level reach 3 dB above full scale.
    assert!(parties[0].heard.iter().all(|sample| sample.unsigned_abs() < 32_767));
    assert!(signal::peak(&parties[0].heard).0 > -1.5);
    let clean = signal::tone_to_rest(&parties[0].heard, RATE, &tones[1..]);
    assert!(clean > 20.0, "{clean}");
}

/// What a member costs does not grow with their number; measured in operations it is one addition and one subtraction a
/// sample. Here only that a hundred fit a tick many times over, with a wide margin for a busy machine.
#[test]
fn a_conference_of_a_hundred_fits_its_tick_many_times() {
    let mut bridge = Bridge::new(SampleRate::Full);
    let slots: Vec<SlotId> = (0..100).map(|_| bridge.add(Role::Member)).collect();
    let said = signal::noise(9, SampleRate::Full.samples_per_tick(), Dbfs(-30.0));
    let mut heard = said.clone();
    let started = std::time::Instant::now();
    for _ in 0..50 {
        for &slot in &slots {
            bridge.put(slot, &said);
        }
        for &slot in &slots {
            assert_eq!(bridge.mix(slot, &mut heard), 99);
        }
        bridge.end_tick();
    }
    assert!(started.elapsed() < std::time::Duration::from_millis(500), "{:?}", started.elapsed());
}
