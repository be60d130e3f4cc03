//! A hierarchical timer wheel: setting and cancelling are O(1), and nothing is ever scanned.
//!
//! Four levels of 256 slots; a slot of the lowest level is one tick of 4 ms wide, a slot of the next level 256 times
//! that. An entry lies in the level that its distance fits in and moves down when its slot's turn comes. A timer never
//! fires early; it fires at most one tick late.

use std::time::{Duration, Instant};

use crate::slab::{Key, Slab};

const TICK: Duration = Duration::from_millis(4);
const LEVELS: usize = 4;
const BITS: u32 = 8;
const SLOTS: usize = 1 << BITS;
const NONE: u32 = u32::MAX;

/// Timers that carry a `T` each.
#[derive(Debug)]
pub(crate) struct Wheel<T> {
    /// When tick 0 was.
    start: Option<Instant>,
    /// The tick that was handled last.
    current: u64,
    entries: Slab<Entry<T>>,
    /// The first entry of each slot's list.
    heads: Box<[[u32; SLOTS]; LEVELS]>,
    /// One bit for every slot that has entries.
    occupied: [[u64; SLOTS / 64]; LEVELS],
}

#[derive(Debug)]
struct Entry<T> {
    tick: u64,
    next: u32,
    previous: u32,
    level: u8,
    index: u8,
    value: T,
}

impl<T: Copy> Wheel<T> {
    pub(crate) fn new() -> Wheel<T> {
        Wheel {
            start: None,
            current: 0,
            entries: Slab::new(),
            heads: Box::new([[NONE; SLOTS]; LEVELS]),
            occupied: [[0; SLOTS / 64]; LEVELS],
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn set(&mut self, now: Instant, after: Duration, value: T) -> Key {
        let start = *self.start.get_or_insert(now);
        let due = now.saturating_duration_since(start) + after;
        let tick = due.as_nanos().div_ceil(TICK.as_nanos()).min(u128::from(u64::MAX)) as u64;
        let tick = tick.max(self.current + 1);
        let key = self.entries.insert(Entry { tick, next: NONE, previous: NONE, level: 0, index: 0, value });
        self.link(key.slot);
        key
    }

    pub(crate) fn cancel(&mut self, key: Key) -> bool {
        if self.entries.get(key).is_none() {
            return false;
        }
        self.unlink(key.slot);
        self.entries.remove(key).is_some()
    }

    /// When [`Wheel::expired`] should be asked again: never later than the first timer, sometimes earlier.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let start = self.start?;
        if self.entries.len() == 0 {
            return None;
        }
        let tick = (0..LEVELS).filter_map(|level| self.next_turn(level)).min()?;
        let ticks = u32::try_from(tick).ok().map(|tick| TICK * tick);
        Some(start + ticks.unwrap_or_else(|| Duration::from_millis(tick.saturating_mul(TICK.as_millis() as u64))))
    }

    /// Takes one timer that is due at `now`; in the order of their ticks.
    pub(crate) fn expired(&mut self, now: Instant) -> Option<(Key, T)> {
        let start = self.start?;
        let target = (now.saturating_duration_since(start).as_nanos() / TICK.as_nanos()) as u64;
        loop {
            let index = (self.current & (SLOTS as u64 - 1)) as usize;
            let head = self.heads[0][index];
            if head != NONE
                && let Some((key, entry)) = self.entries.in_slot(head)
                && entry.tick <= self.current
            {
                let value = entry.value;
                self.unlink(head);
                self.entries.remove(key);
                return Some((key, value));
            }
            if self.current >= target {
                return None;
            }
            self.advance(target);
        }
    }

    /// Moves to the next tick on which something has to be done, but not beyond `target`.
    fn advance(&mut self, target: u64) {
        let next = (0..LEVELS).filter_map(|level| self.next_turn(level)).min();
        let Some(next) = next.filter(|next| *next <= target) else {
            self.current = target;
            return;
        };
        self.current = next.max(self.current + 1).min(target);
        for level in (1..LEVELS).rev() {
            if self.current & ((1u64 << (BITS * level as u32)) - 1) == 0 {
                let index = (self.current >> (BITS * level as u32)) as usize & (SLOTS - 1);
                self.cascade(level, index);
            }
        }
    }

    fn cascade(&mut self, level: usize, index: usize) {
        let mut at = self.heads[level][index];
        self.heads[level][index] = NONE;
        self.occupied[level][index / 64] &= !(1 << (index % 64));
        while at != NONE {
            let Some((_, entry)) = self.entries.in_slot(at) else {
                break;
            };
            let next = entry.next;
            self.link(at);
            at = next;
        }
    }

    /// The tick at which the next occupied slot of this level has its turn.
    fn next_turn(&self, level: usize) -> Option<u64> {
        let shift = BITS * level as u32;
        let base = self.current >> shift;
        let from = (base as usize + 1) & (SLOTS - 1);
        let words = &self.occupied[level];
        if words.iter().all(|word| *word == 0) {
            return None;
        }
        let mut distance = 1;
        let mut index = from;
        while distance <= SLOTS as u64 {
            let word = words[index / 64] >> (index % 64);
            if word != 0 {
                let ahead = u64::from(word.trailing_zeros());
                return Some((base + distance + ahead) << shift);
            }
            let skip = 64 - index % 64;
            distance += skip as u64;
            index = (index + skip) & (SLOTS - 1);
        }
        None
    }

    fn link(&mut self, slot: u32) {
        let current = self.current;
        let Some(entry) = self.entry_mut(slot) else {
            return;
        };
        let distance = entry.tick.saturating_sub(current);
        let mut level = 0;
        while level + 1 < LEVELS && distance >= 1 << (BITS * (level as u32 + 1)) {
            level += 1;
        }
        let shift = BITS * level as u32;
        // What lies beyond the last level waits in its furthest slot and is looked at again then.
        let furthest = current + ((1u64 << (BITS * LEVELS as u32)) - (1u64 << (BITS * (LEVELS as u32 - 1))));
        let tick = entry.tick.min(furthest);
        let index = (tick >> shift) as usize & (SLOTS - 1);
        entry.level = level as u8;
        entry.index = index as u8;
        entry.previous = NONE;
        let head = self.heads[level][index];
        if let Some(entry) = self.entry_mut(slot) {
            entry.next = head;
        }
        if let Some(first) = self.entry_mut(head) {
            first.previous = slot;
        }
        self.heads[level][index] = slot;
        self.occupied[level][index / 64] |= 1 << (index % 64);
    }

    fn unlink(&mut self, slot: u32) {
        let Some((_, entry)) = self.entries.in_slot(slot) else {
            return;
        };
        let (next, previous) = (entry.next, entry.previous);
        let (level, index) = (usize::from(entry.level), usize::from(entry.index));
        if let Some(entry) = self.entry_mut(next) {
            entry.previous = previous;
        }
        match self.entry_mut(previous) {
            Some(entry) => entry.next = next,
            None => {
                self.heads[level][index] = next;
                if next == NONE {
                    self.occupied[level][index / 64] &= !(1 << (index % 64));
                }
            }
        }
    }

    fn entry_mut(&mut self, slot: u32) -> Option<&mut Entry<T>> {
        let (key, _) = self.entries.in_slot(slot)?;
        self.entries.get_mut(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(wheel: &mut Wheel<u32>, now: Instant) -> Vec<u32> {
        std::iter::from_fn(|| wheel.expired(now).map(|(_, value)| value)).collect()
    }

    #[test]
    fn a_timer_fires_once_it_is_due_and_not_before() {
        let start = Instant::now();
        let mut wheel = Wheel::new();
        for (value, after) in [(1, 0), (2, 500), (3, 1_000), (4, 32_000), (5, 3_600_000), (6, 90_000_000)] {
            wheel.set(start, Duration::from_millis(after), value);
        }
        let mut fired = Vec::new();
        while let Some(at) = wheel.next_timeout() {
            for value in drain(&mut wheel, at) {
                fired.push((value, at - start));
            }
        }
        let expected = [(1, 0u64), (2, 500), (3, 1_000), (4, 32_000), (5, 3_600_000), (6, 90_000_000)];
        assert_eq!(fired.len(), expected.len());
        for ((value, at), (expected, after)) in fired.into_iter().zip(expected) {
            assert_eq!(value, expected);
            let after = Duration::from_millis(after);
            assert!(at >= after && at <= after + 2 * TICK, "{value} fired at {at:?} instead of {after:?}");
        }
        assert_eq!(wheel.len(), 0);
    }

    #[test]
    fn a_cancelled_timer_does_not_fire() {
        let start = Instant::now();
        let mut wheel = Wheel::new();
        let keys: Vec<_> = (0..100u32).map(|i| wheel.set(start, Duration::from_millis(u64::from(i) * 77), i)).collect();
        for key in keys.iter().step_by(2) {
            assert!(wheel.cancel(*key));
            assert!(!wheel.cancel(*key));
        }
        let fired = drain(&mut wheel, start + Duration::from_secs(100));
        assert_eq!(fired, (0..100).filter(|i| i % 2 == 1).collect::<Vec<_>>());
    }

    #[test]
    fn random_timers_fire_in_order_whatever_the_steps() {
        let start = Instant::now();
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut wheel = Wheel::new();
        let mut now = start;
        let mut due = std::collections::BTreeMap::new();
        for value in 0..20_000u32 {
            let after = Duration::from_millis(random() % (1 << (random() % 24)));
            wheel.set(now, after, value);
            due.insert(value, now + after);
            now += Duration::from_millis(random() % 50);
            while let Some((_, value)) = wheel.expired(now) {
                let at = due.remove(&value).unwrap();
                assert!(at <= now && now - at <= Duration::from_millis(60), "{:?} late", now - at);
            }
        }
        now += Duration::from_secs(100_000);
        while let Some((_, value)) = wheel.expired(now) {
            assert!(due.remove(&value).is_some());
        }
        assert!(due.is_empty());
    }
}
