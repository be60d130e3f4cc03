//! A hierarchical timer wheel: setting and cancelling are O(1), and nothing is ever scanned.
//!
//! Four levels of 256 slots; a slot of the lowest level is one tick of 4 ms wide, a slot of the next level 256 times
//! that. An entry lies in the level that its distance fits in and moves down when its slot's turn comes. A timer never
//! fires early; it fires at most one tick late, unless its owner takes the due timers in portions: firing them and moving
//! them down can both be interrupted, and [`Wheel::next_timeout`] says that it is time as long as something is left.

use std::time::{Duration, Instant};

use crate::slab::{Key, Slab};

const TICK: Duration = Duration::from_millis(4);
const LEVELS: usize = 4;
const BITS: u32 = 8;
const SLOTS: usize = 1 << BITS;
/// The end of a list.
const NONE: u32 = u32::MAX;
/// An entry whose `previous` is this or more is the first of the list of that number: an entry need not say where it lies
/// unless it is asked to change the head of its list.
const FIRST: u32 = NONE - (LEVELS * SLOTS) as u32;

/// Timers that carry a `T` each.
#[derive(Debug)]
pub(crate) struct Wheel<T> {
    /// When tick 0 was.
    start: Option<Instant>,
    /// The tick that was handled last.
    current: u64,
    entries: Slab<Entry<T>>,
    /// The first entry of each slot's list.
    heads: Box<[u32; LEVELS * SLOTS]>,
    /// One bit for every slot that has entries.
    occupied: [[u64; SLOTS / 64]; LEVELS],
}

#[derive(Debug)]
struct Entry<T> {
    tick: u64,
    next: u32,
    previous: u32,
    value: T,
}

impl<T: Copy> Wheel<T> {
    pub(crate) fn new() -> Wheel<T> {
        Wheel {
            start: None,
            current: 0,
            entries: Slab::new(),
            heads: Box::new([NONE; LEVELS * SLOTS]),
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
        let key = self.entries.insert(Entry { tick, next: NONE, previous: NONE, value });
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

    /// When [`Wheel::expired`] should be asked again: never later than the first timer, sometimes earlier, and in the past
    /// when something that is due was left.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let start = self.start?;
        if self.entries.is_empty() {
            return None;
        }
        let tick = if self.is_behind() { self.current } else { (0..LEVELS).filter_map(|l| self.next_turn(l)).min()? };
        let ticks = u32::try_from(tick).ok().map(|tick| TICK * tick);
        Some(start + ticks.unwrap_or_else(|| Duration::from_millis(tick.saturating_mul(TICK.as_millis() as u64))))
    }

    /// Takes one timer that is due at `now`; in the order of their ticks. `moves` is how many entries may be moved down
    /// for it and goes down by those that were; with the last one the rest is left for later.
    pub(crate) fn expired(&mut self, now: Instant, moves: &mut usize) -> Option<(Key, T)> {
        let start = self.start?;
        let target = (now.saturating_duration_since(start).as_nanos() / TICK.as_nanos()) as u64;
        loop {
            if !self.cascade(moves) {
                return None;
            }
            let head = self.heads[self.current_list(0)];
            if let Some((key, entry)) = self.entries.in_slot(head) {
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
        self.current = match next.filter(|next| *next <= target) {
            Some(next) => next.max(self.current + 1).min(target),
            None => target,
        };
    }

    /// Moves down what lies in the slots whose turn comes with the current tick. False when `moves` did not suffice.
    ///
    /// No entry is set into such a slot while the current tick stays: whatever belongs there is near enough for a lower
    /// level, and whatever is a turn away lies one slot before it.
    fn cascade(&mut self, moves: &mut usize) -> bool {
        for level in self.levels_that_turn() {
            let list = self.current_list(level);
            while self.heads[list] != NONE {
                if *moves == 0 {
                    return false;
                }
                *moves -= 1;
                let first = self.heads[list];
                self.unlink(first);
                self.link(first);
            }
        }
        true
    }

    /// Whether something of the current tick or before is still to be fired or moved down.
    fn is_behind(&self) -> bool {
        self.heads[self.current_list(0)] != NONE
            || self.levels_that_turn().any(|level| self.heads[self.current_list(level)] != NONE)
    }

    /// The levels above the lowest one that enter a new slot with the current tick.
    fn levels_that_turn(&self) -> impl Iterator<Item = usize> + use<T> {
        let current = self.current;
        (1..LEVELS).take_while(move |level| current & ((1u64 << (BITS * *level as u32)) - 1) == 0)
    }

    /// The list of a level's slot in which the current tick lies.
    fn current_list(&self, level: usize) -> usize {
        level * SLOTS + ((self.current >> (BITS * level as u32)) as usize & (SLOTS - 1))
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
        let Some((_, entry)) = self.entries.in_slot(slot) else {
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
        let list = level * SLOTS + index;
        let head = std::mem::replace(&mut self.heads[list], slot);
        if let Some(entry) = self.entry_mut(slot) {
            entry.previous = FIRST + list as u32;
            entry.next = head;
        }
        if let Some(second) = self.entry_mut(head) {
            second.previous = slot;
        }
        self.occupied[level][index / 64] |= 1 << (index % 64);
    }

    fn unlink(&mut self, slot: u32) {
        let Some((_, entry)) = self.entries.in_slot(slot) else {
            return;
        };
        let (next, previous) = (entry.next, entry.previous);
        if let Some(entry) = self.entry_mut(next) {
            entry.previous = previous;
        }
        if previous < FIRST {
            if let Some(entry) = self.entry_mut(previous) {
                entry.next = next;
            }
            return;
        }
        let list = (previous - FIRST) as usize;
        self.heads[list] = next;
        if next == NONE {
            let (level, index) = (list / SLOTS, list % SLOTS);
            self.occupied[level][index / 64] &= !(1 << (index % 64));
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
        std::iter::from_fn(|| wheel.expired(now, &mut { usize::MAX }).map(|(_, value)| value)).collect()
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
            while let Some((_, value)) = wheel.expired(now, &mut { usize::MAX }) {
                let at = due.remove(&value).unwrap();
                assert!(at <= now && now - at <= Duration::from_millis(60), "{:?} late", now - at);
            }
        }
        now += Duration::from_secs(100_000);
        while let Some((_, value)) = wheel.expired(now, &mut { usize::MAX }) {
            assert!(due.remove(&value).is_some());
        }
        assert!(due.is_empty());
    }

    #[test]
    fn what_is_taken_in_portions_is_due_until_the_last_was_taken() {
        let start = Instant::now();
        // Some that fire at once, and some that have to be moved down from every level first.
        for after in [Duration::from_millis(4), Duration::from_secs(60), Duration::from_secs(40_000)] {
            let mut wheel = Wheel::new();
            for value in 0..10_000u32 {
                wheel.set(start, after, value);
            }
            let now = start + after + TICK;
            let (mut fired, mut portions) = (0, 0);
            while wheel.len() > 0 {
                assert!(wheel.next_timeout().unwrap() <= now);
                let mut moves = 100;
                fired += std::iter::from_fn(|| wheel.expired(now, &mut moves)).take(50).count();
                portions += 1;
                // What is set meanwhile is neither lost nor taken for one that has to be moved down.
                if portions % 100 == 0 {
                    for ahead in [1u64, 255, 256, 65_535, 65_536, 1 << 24] {
                        let key = wheel.set(now, TICK * u32::try_from(ahead).unwrap(), 0);
                        assert!(wheel.cancel(key));
                    }
                }
            }
            assert_eq!(fired, 10_000);
            assert!(portions >= 200);
            assert_eq!(wheel.next_timeout(), None);
        }
    }

    #[test]
    fn random_timers_fire_in_time_when_they_are_taken_in_portions() {
        let start = Instant::now();
        let mut state = 0x51ed_270b_0a1f_39c1u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut wheel = Wheel::new();
        let mut now = start;
        let mut due = std::collections::BTreeMap::new();
        for value in 0..30_000u32 {
            let after = Duration::from_millis(random() % (1 << (random() % 26)));
            wheel.set(now, after, value);
            due.insert(value, now + after);
            now += Duration::from_millis(random() % 50);
            let mut moves = (random() % 8) as usize;
            while let Some((_, value)) = wheel.expired(now, &mut moves) {
                assert!(due.remove(&value).unwrap() <= now, "too early");
            }
        }
        while let Some(at) = wheel.next_timeout() {
            now = now.max(at);
            for value in drain(&mut wheel, now) {
                assert!(due.remove(&value).unwrap() <= now, "too early");
            }
        }
        assert!(due.is_empty());
    }

    #[test]
    fn a_million_timers_take_thirty_three_octets_each_and_give_them_back() {
        let start = Instant::now();
        let mut wheel: Wheel<u64> = Wheel::new();
        let keys: Vec<_> = (0..1_000_000u64)
            .map(|i| wheel.set(start, Duration::from_millis(180_000 + i * 7919 % 1_620_000), i))
            .collect();
        assert!(wheel.entries.size() <= 33 * keys.len(), "{} octets", wheel.entries.size());
        for key in keys.iter().step_by(2).chain(keys.iter().skip(1).step_by(2)) {
            assert!(wheel.cancel(*key));
        }
        assert!(wheel.entries.size() <= 4_096, "{} octets", wheel.entries.size());
    }
}
