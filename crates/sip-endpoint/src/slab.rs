//! A table of slots whose keys carry a generation, so that a key to what was there before finds nothing.
//!
//! Slots are boxed by their owner where they are large: the table itself is small and gives its memory back when the
//! slots at its end are free (hash tables and vectors that never shrink keep a load's peak for ever). They lie in chunks,
//! so that a table of a million grows without being copied, and without room for a quarter more.

/// A slot and its generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The slot.
    pub slot: u32,
    /// Which of the entries that the slot has had; never 0.
    pub generation: u32,
}

/// See the module's text.
#[derive(Debug)]
pub struct Slab<T> {
    /// All are full but the last; only the first is ever smaller than [`CHUNK`].
    chunks: Vec<Vec<Slot<T>>>,
    /// The first free slot, or `NONE`.
    free: u32,
    len: usize,
    /// Goes up by one for every entry, so that no two entries of a slot share it within 2^32 entries, even after the
    /// table has shrunk and grown again.
    next_generation: u32,
}

#[derive(Debug)]
enum Slot<T> {
    Free { next: u32, previous: u32 },
    Used { generation: u32, value: T },
}

const NONE: u32 = u32::MAX;

/// Slots in a chunk: a little less than a power of two, because allocators round up what is exactly one and has their own
/// octets beside it.
const CHUNK: usize = 250;

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab::new()
    }
}

impl<T> Slab<T> {
    /// An empty table.
    pub const fn new() -> Slab<T> {
        Slab { chunks: Vec::new(), free: NONE, len: 0, next_generation: 1 }
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// All entries, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.chunks.iter().flatten().zip(0..).filter_map(|(used, slot)| match used {
            Slot::Used { generation, value } => Some((Key { slot, generation: *generation }, value)),
            Slot::Free { .. } => None,
        })
    }

    /// Puts an entry into a free slot.
    pub fn insert(&mut self, value: T) -> Key {
        let generation = self.next_generation;
        self.next_generation = self.next_generation.wrapping_add(1).max(1);
        self.len += 1;
        let used = Slot::Used { generation, value };
        let slot = self.free;
        if slot == NONE {
            return Key { slot: self.push(used), generation };
        }
        self.unlink(slot);
        if let Some(free) = self.slot_mut(slot) {
            *free = used;
        }
        Key { slot, generation }
    }

    /// What the table itself takes, in octets.
    #[cfg(test)]
    pub fn size(&self) -> usize {
        let slots: usize = self.chunks.iter().map(Vec::capacity).sum();
        slots * size_of::<Slot<T>>() + self.chunks.capacity() * size_of::<Vec<Slot<T>>>()
    }

    /// The entry of a key.
    pub fn get(&self, key: Key) -> Option<&T> {
        match self.slot(key.slot)? {
            Slot::Used { generation, value } if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// The entry of a key, to be changed.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.slot_mut(key.slot)? {
            Slot::Used { generation, value } if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// The entry in a slot that is known to be in use: the tables that index by slot hold no others.
    pub fn in_slot(&self, slot: u32) -> Option<(Key, &T)> {
        match self.slot(slot)? {
            Slot::Used { generation, value } => Some((Key { slot, generation: *generation }, value)),
            Slot::Free { .. } => None,
        }
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        let freed = Slot::Free { next: self.free, previous: NONE };
        let Slot::Used { value, .. } = std::mem::replace(self.slot_mut(key.slot)?, freed) else {
            return None;
        };
        if let Some(Slot::Free { previous, .. }) = self.slot_mut(self.free) {
            *previous = key.slot;
        }
        self.free = key.slot;
        self.len -= 1;
        self.shrink();
        Some(value)
    }

    fn slot(&self, slot: u32) -> Option<&Slot<T>> {
        self.chunks.get(slot as usize / CHUNK)?.get(slot as usize % CHUNK)
    }

    fn slot_mut(&mut self, slot: u32) -> Option<&mut Slot<T>> {
        self.chunks.get_mut(slot as usize / CHUNK)?.get_mut(slot as usize % CHUNK)
    }

    /// Adds a slot at the end.
    fn push(&mut self, slot: Slot<T>) -> u32 {
        let chunk = match self.chunks.last() {
            Some(last) if last.len() < CHUNK => self.chunks.len() - 1,
            // A table may be small.
            None => {
                self.chunks.push(Vec::new());
                0
            }
            Some(_) => {
                self.chunks.push(Vec::with_capacity(CHUNK));
                self.chunks.len() - 1
            }
        };
        self.chunks[chunk].push(slot);
        (chunk * CHUNK + self.chunks[chunk].len() - 1) as u32
    }

    /// Drops the free slots at the end, and spare capacity when it is more than three quarters.
    fn shrink(&mut self) {
        while let Some(chunk) = self.chunks.len().checked_sub(1) {
            let Some(Slot::Free { .. }) = self.chunks[chunk].last() else { break };
            self.unlink((chunk * CHUNK + self.chunks[chunk].len() - 1) as u32);
            self.chunks[chunk].pop();
            if chunk > 0 && self.chunks[chunk].is_empty() {
                self.chunks.pop();
            }
        }
        shrink(&mut self.chunks);
        if let [first] = &mut self.chunks[..] {
            shrink(first);
        }
    }

    fn unlink(&mut self, slot: u32) {
        let Some(&Slot::Free { next, previous }) = self.slot(slot) else {
            return;
        };
        if let Some(Slot::Free { previous: p, .. }) = self.slot_mut(next) {
            *p = previous;
        }
        match self.slot_mut(previous) {
            Some(Slot::Free { next: n, .. }) => *n = next,
            _ => self.free = next,
        }
    }
}

fn shrink<T>(list: &mut Vec<T>) {
    if list.capacity() > 64 && list.len() < list.capacity() / 4 {
        list.shrink_to(list.len() * 2);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_key_of_an_entry_that_was_removed_finds_nothing() {
        let mut slab = Slab::new();
        let a = slab.insert("a");
        assert_eq!(slab.remove(a), Some("a"));
        let b = slab.insert("b");
        assert_eq!(slab.get(a), None);
        assert_eq!(slab.get(b), Some(&"b"));
        assert_eq!(slab.remove(a), None);
    }

    #[test]
    fn the_table_gives_its_memory_back() {
        let mut slab = Slab::new();
        let keys: Vec<_> = (0..10_000).map(|i| slab.insert(i)).collect();
        // Every second one first, so that the free list is as mixed as it gets.
        for key in keys.iter().step_by(2).chain(keys.iter().skip(1).step_by(2)) {
            assert!(slab.remove(*key).is_some());
        }
        assert_eq!(slab.len(), 0);
        assert!(slab.size() <= 64 * size_of::<Slot<i32>>() + 64 * size_of::<Vec<Slot<i32>>>());
        let again = slab.insert(7);
        assert_eq!(slab.get(again), Some(&7));
    }

    /// Against a map, at sizes around those of a chunk.
    #[test]
    fn entries_stay_under_their_keys_however_the_table_grows_and_shrinks() {
        let mut slab = Slab::new();
        let mut expected = BTreeMap::new();
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        for step in 0..200_000_u32 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // It grows and shrinks in turn, over the ends of some chunks.
            if state % 100 < if step / 2_000 % 2 == 0 { 60 } else { 40 } {
                assert_eq!(expected.insert(slab.insert(step), step), None);
            } else if let Some(key) = expected.keys().nth(state as usize / 100 % expected.len().max(1)).copied() {
                assert_eq!(slab.remove(key), expected.remove(&key));
                assert_eq!(slab.get(key), None);
            }
            assert_eq!(slab.len(), expected.len());
        }
        assert!(slab.chunks.len() > 1);
        let all: BTreeMap<Key, u32> = slab.iter().map(|(key, value)| (key, *value)).collect();
        assert_eq!(all, expected);
        for (key, value) in expected {
            assert_eq!((slab.get(key), slab.in_slot(key.slot)), (Some(&value), Some((key, &value))));
            assert_eq!(slab.remove(key), Some(value));
        }
        assert!(slab.is_empty());
    }

    #[test]
    fn a_large_table_has_no_more_than_a_fiftieth_to_spare() {
        let mut slab = Slab::new();
        for entry in 0..1_000_000_u64 {
            slab.insert(entry);
            assert!(slab.len() < 100_000 || slab.size() * 50 <= slab.len() * size_of::<Slot<u64>>() * 51);
        }
    }
}
