//! Mixing by slots: everyone hears everyone but himself, and whom else he is told to hear.
//!
//! ```text
//!   put(a, pcm) ─► × gain ─┬─────────► room: one sum of all who talk ───► sum − own ─► limiter ─► mix(a, pcm)
//!   put(b, pcm) ─► × gain ─┤                                        ─► sum − own ─► limiter ─► mix(b, pcm)
//!                          └─ connect(b, c): a directed connection ─► own + each one ─► … ─► mix(c, pcm)
//! ```
//!
//! Each tick of 20 ms has three steps: every slot that has something to say puts it, every slot takes its mix, and
//! [`end_tick`](Bridge::end_tick) forgets what was said. A member costs one addition and one subtraction per sample,
//! however many there are; who hears a single other gets a plain copy. Nothing is allocated between ticks.
//!
//! How the usual things are said:
//!
//! | wanted | said |
//! | --- | --- |
//! | a call, a conference | each party a [`Role::Member`] |
//! | an echo (mirror) | [`Role::Apart`] and `connect(slot, slot)` |
//! | a recorder of all | [`Role::Listener`] |
//! | a file played to all | [`Role::Talker`] |
//! | a file played to one | [`Role::Apart`] and `connect(player, listener)` |
//! | a party on hold | [`Role::Apart`] while it lasts |
//! | a supervisor whom only the agent hears | [`Role::Listener`] and `connect(supervisor, agent)` |

mod limit;
mod slots;

pub use slots::SlotId;

use crate::level::{Level, LevelMeter};
use crate::pcm::SampleRate;
use limit::Limiter;
use slots::Slots;

/// What a slot has to do with the room, in which everyone hears everyone but himself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Talks to the room and hears it.
    #[default]
    Member,
    /// Talks to the room and does not hear it: a player.
    Talker,
    /// Hears the room and does not talk to it: a recorder.
    Listener,
    /// Neither: hears and is heard only where it is connected.
    Apart,
}

impl Role {
    fn talks(self) -> bool {
        matches!(self, Role::Member | Role::Talker)
    }

    fn listens(self) -> bool {
        matches!(self, Role::Member | Role::Listener)
    }
}

/// How much a slot's audio is amplified, as a factor.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Gain(f32);

impl Gain {
    /// As it is.
    pub const UNITY: Gain = Gain(1.0);

    /// The largest: +24 dB.
    pub const MAX: Gain = Gain(15.848_93);

    /// A factor, held between 0 and [`MAX`](Gain::MAX).
    pub fn of_factor(factor: f32) -> Gain {
        // A comparison that NaN fails, too.
        if factor > 0.0 { Gain(factor.min(Gain::MAX.0)) } else { Gain(0.0) }
    }

    /// So many decibels, negative ones attenuate.
    pub fn of_decibels(decibels: f32) -> Gain {
        Gain::of_factor(10f32.powf(decibels / 20.0))
    }

    /// A volume as a slider shows it: 100 is unity.
    pub fn of_percent(percent: u8) -> Gain {
        Gain::of_factor(f32::from(percent) / 100.0)
    }

    /// The factor.
    pub fn factor(self) -> f32 {
        self.0
    }

    /// Amplifies in place, saturating.
    pub fn apply(self, pcm: &mut [i16]) {
        if self == Gain::UNITY {
            return;
        }
        for sample in pcm {
            // `as` saturates.
            *sample = (f32::from(*sample) * self.0).round() as i16;
        }
    }
}

impl Default for Gain {
    fn default() -> Gain {
        Gain::UNITY
    }
}

/// One place where audio of several meets, at one sample rate.
#[derive(Debug)]
pub struct Bridge {
    rate: SampleRate,
    slots: Slots,
    /// What all who talk to the room said in this tick, added up.
    room: Vec<i32>,
    /// How many of them said something in this tick.
    talking: usize,
    /// Counts ticks, so that what was said in an earlier one is known to be old without touching it.
    tick: u64,
    /// Where a mix of several is added up.
    scratch: Vec<i32>,
}

/// What one slot is and what it said.
#[derive(Debug)]
struct Member {
    role: Role,
    gain: Gain,
    volume: Gain,
    muted: bool,
    /// Whom it hears beside the room. Never names a slot that is gone.
    hears: Vec<SlotId>,
    said: Vec<i16>,
    /// The tick in which `said` was said.
    said_in: u64,
    meter: LevelMeter,
    limiter: Limiter,
}

impl Bridge {
    /// An empty one.
    pub fn new(rate: SampleRate) -> Bridge {
        let samples = rate.samples_per_tick();
        Bridge { rate, slots: Slots::default(), room: vec![0; samples], talking: 0, tick: 1, scratch: vec![0; samples] }
    }

    /// The rate of everything put and mixed.
    pub fn rate(&self) -> SampleRate {
        self.rate
    }

    /// How many slots there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// No slot at all.
    pub fn is_empty(&self) -> bool {
        self.slots.len() == 0
    }

    /// Opens a slot.
    pub fn add(&mut self, role: Role) -> SlotId {
        let (rate, samples) = (self.rate, self.rate.samples_per_tick());
        self.slots.insert(Member {
            role,
            gain: Gain::UNITY,
            volume: Gain::UNITY,
            muted: false,
            hears: Vec::new(),
            said: vec![0; samples],
            said_in: 0,
            meter: LevelMeter::new(rate),
            limiter: Limiter::new(),
        })
    }

    /// Closes a slot and every connection from and to it. False if it was closed before.
    pub fn remove(&mut self, slot: SlotId) -> bool {
        self.take_back(slot);
        let was_there = self.slots.remove(slot);
        if was_there {
            for member in self.slots.iter_mut() {
                member.hears.retain(|&heard| heard != slot);
            }
        }
        was_there
    }

    /// Is this slot open?
    pub fn contains(&self, slot: SlotId) -> bool {
        self.slots.get(slot).is_some()
    }

    /// Changes what a slot has to do with the room; its connections stay.
    pub fn set_role(&mut self, slot: SlotId, role: Role) {
        // What it said in this tick must leave or enter the sum with it.
        self.change(slot, |member| member.role = role);
    }

    /// What a slot has to do with the room.
    pub fn role(&self, slot: SlotId) -> Option<Role> {
        self.slots.get(slot).map(|member| member.role)
    }

    /// From now on `to` hears `from`, whatever their roles. A slot may hear itself. False where one of them is closed.
    pub fn connect(&mut self, from: SlotId, to: SlotId) -> bool {
        if !self.contains(from) {
            return false;
        }
        let Some(listener) = self.slots.get_mut(to) else { return false };
        if !listener.hears.contains(&from) {
            listener.hears.push(from);
        }
        true
    }

    /// Takes such a connection back. What `to` hears through the room it hears still.
    pub fn disconnect(&mut self, from: SlotId, to: SlotId) {
        if let Some(listener) = self.slots.get_mut(to) {
            listener.hears.retain(|&heard| heard != from);
        }
    }

    /// Amplifies what the slot puts from now on.
    pub fn set_gain(&mut self, slot: SlotId, gain: Gain) {
        if let Some(member) = self.slots.get_mut(slot) {
            member.gain = gain;
        }
    }

    /// Amplifies what the slot hears from now on.
    pub fn set_volume(&mut self, slot: SlotId, volume: Gain) {
        if let Some(member) = self.slots.get_mut(slot) {
            member.volume = volume;
        }
    }

    /// Whether what the slot puts is heard by nobody. Its level is measured all the same, so that who talks into a muted
    /// microphone can be told so.
    pub fn set_muted(&mut self, slot: SlotId, muted: bool) {
        self.change(slot, |member| member.muted = muted);
    }

    /// Is the slot muted?
    pub fn is_muted(&self, slot: SlotId) -> bool {
        self.slots.get(slot).is_some_and(|member| member.muted)
    }

    /// How loud what the slot puts is, after its gain.
    pub fn level(&self, slot: SlotId) -> Level {
        let Some(member) = self.slots.get(slot) else { return Level::SILENCE };
        // Ticks without a word were not told to the meter.
        let missed = if member.said_in == 0 { 0 } else { self.tick - member.said_in };
        let mut meter = member.meter.clone();
        meter.pass(usize::try_from(missed).unwrap_or(usize::MAX).saturating_mul(self.rate.samples_per_tick()));
        meter.level()
    }

    /// What the slot says in this tick: a tick's samples; fewer are followed by silence, more are cut. Put twice, the
    /// second counts. False where the slot is closed.
    pub fn put(&mut self, slot: SlotId, pcm: &[i16]) -> bool {
        self.take_back(slot);
        let tick = self.tick;
        let samples = self.rate.samples_per_tick();
        let Some(member) = self.slots.get_mut(slot) else { return false };
        let (spoken, silence) = member.said.split_at_mut(pcm.len().min(samples));
        spoken.copy_from_slice(&pcm[..spoken.len()]);
        silence.fill(0);
        member.gain.apply(spoken);
        if member.said_in != 0 {
            let silent_ticks = (tick - member.said_in).saturating_sub(1);
            member.meter.pass(usize::try_from(silent_ticks).unwrap_or(usize::MAX).saturating_mul(samples));
        }
        member.meter.push(&member.said);
        member.said_in = tick;
        self.enter(slot);
        true
    }

    /// What the slot hears in this tick of all that was put so far; `pcm` is one tick long and filled whole. Returns how
    /// many it hears: with 0 it is silence.
    pub fn mix(&mut self, slot: SlotId, pcm: &mut [i16]) -> usize {
        let length = pcm.len().min(self.rate.samples_per_tick());
        let (pcm, beyond) = pcm.split_at_mut(length);
        beyond.fill(0);
        let Some(listener) = self.slots.get(slot) else {
            pcm.fill(0);
            return 0;
        };
        let (room, own) = self.heard_in_room(listener);
        let apart = || heard_apart(&self.slots, slot, listener, self.tick);
        let heard = room + apart().count();
        let mut limiter = listener.limiter;
        match (room, heard) {
            (0, 0) => {
                pcm.fill(0);
                limiter = Limiter::new();
            }
            (0, 1) if limiter.is_open() => {
                for other in apart() {
                    pcm.copy_from_slice(&other.said[..length]);
                }
            }
            _ => {
                let sums = &mut self.scratch[..length];
                match (room, own) {
                    (0, _) => sums.fill(0),
                    (_, None) => sums.copy_from_slice(&self.room[..length]),
                    (_, Some(own)) => {
                        for ((sum, room), own) in sums.iter_mut().zip(&self.room).zip(own) {
                            *sum = room.wrapping_sub(i32::from(*own));
                        }
                    }
                }
                for other in heard_apart(&self.slots, slot, listener, self.tick) {
                    add(sums, &other.said);
                }
                limiter = finish(sums, heard, limiter, pcm);
            }
        }
        listener.volume.apply(pcm);
        if let Some(listener) = self.slots.get_mut(slot) {
            listener.limiter = limiter;
        }
        heard
    }

    /// The tick is over: nobody has said anything in the next one yet.
    pub fn end_tick(&mut self) {
        if self.talking > 0 {
            self.room.fill(0);
            self.talking = 0;
        }
        self.tick += 1;
    }

    /// How many others in the room have spoken in this tick, and what the listener said there itself, if it did.
    fn heard_in_room<'a>(&self, listener: &'a Member) -> (usize, Option<&'a [i16]>) {
        if !listener.role.listens() {
            return (0, None);
        }
        match listener.is_in_room(self.tick) {
            true => (self.talking - 1, Some(&listener.said)),
            false => (self.talking, None),
        }
    }

    fn change(&mut self, slot: SlotId, change: impl FnOnce(&mut Member)) {
        self.take_back(slot);
        if let Some(member) = self.slots.get_mut(slot) {
            change(member);
        }
        self.enter(slot);
    }

    /// Adds what the slot said in this tick to the room.
    fn enter(&mut self, slot: SlotId) {
        if let Some(member) = self.slots.get(slot)
            && member.is_in_room(self.tick)
        {
            add(&mut self.room, &member.said);
            self.talking += 1;
        }
    }

    /// Takes what the slot said in this tick out of the room.
    fn take_back(&mut self, slot: SlotId) {
        if let Some(member) = self.slots.get(slot)
            && member.is_in_room(self.tick)
        {
            for (sum, &sample) in self.room.iter_mut().zip(&member.said) {
                *sum = sum.wrapping_sub(i32::from(sample));
            }
            self.talking -= 1;
        }
    }
}

impl Member {
    fn is_audible(&self, tick: u64) -> bool {
        self.said_in == tick && !self.muted
    }

    fn is_in_room(&self, tick: u64) -> bool {
        self.role.talks() && self.is_audible(tick)
    }
}

/// Those whom the listener hears through connections of its own and not through the room already.
fn heard_apart<'a>(
    slots: &'a Slots,
    slot: SlotId,
    listener: &'a Member,
    tick: u64,
) -> impl Iterator<Item = &'a Member> {
    listener.hears.iter().filter_map(move |&heard| {
        let other = slots.get(heard)?;
        let through_room = listener.role.listens() && other.role.talks() && heard != slot;
        (other.is_audible(tick) && !through_room).then_some(other)
    })
}

/// Sums may wrap: what is added is taken off again.
fn add(sums: &mut [i32], said: &[i16]) {
    for (sum, &sample) in sums.iter_mut().zip(said) {
        *sum = sum.wrapping_add(i32::from(sample));
    }
}

/// A single voice passes bit by bit; several are limited where they are too loud together.
fn finish(sums: &[i32], heard: usize, mut limiter: Limiter, pcm: &mut [i16]) -> Limiter {
    if heard == 1 && limiter.is_open() {
        for (sample, &sum) in pcm.iter_mut().zip(sums) {
            *sample = sum as i16;
        }
    } else {
        limiter.apply(sums, pcm);
    }
    limiter
}

#[cfg(test)]
mod tests;
