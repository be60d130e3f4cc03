//! A table of slots whose keys carry a generation, so that a key to what was there before finds nothing.
//!
//! Slots are boxed by their owner where they are large: the table itself is small and gives its memory back when the
//! slots at its end are free (hash tables and vectors that never shrink keep a load's peak for ever).

/// A slot and its generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    slots: Vec<Slot<T>>,
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

impl<T> Slab<T> {
    pub(crate) const fn new() -> Slab<T> {
        Slab { slots: Vec::new(), free: NONE, len: 0, next_generation: 1 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn insert(&mut self, value: T) -> Key {
        let generation = self.next_generation;
        self.next_generation = self.next_generation.wrapping_add(1).max(1);
        self.len += 1;
        let slot = if self.free == NONE {
            self.slots.push(Slot::Used { generation, value });
            (self.slots.len() - 1) as u32
        } else {
            let slot = self.free;
            self.unlink(slot);
            self.slots[slot as usize] = Slot::Used { generation, value };
            slot
        };
        Key { slot, generation }
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        match self.slots.get(key.slot as usize)? {
            Slot::Used { generation, value } if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.slots.get_mut(key.slot as usize)? {
            Slot::Used { generation, value } if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// The entry in a slot that is known to be in use: the tables that index by slot hold no others.
    pub(crate) fn in_slot(&self, slot: u32) -> Option<(Key, &T)> {
        match self.slots.get(slot as usize)? {
            Slot::Used { generation, value } => Some((Key { slot, generation: *generation }, value)),
            Slot::Free { .. } => None,
        }
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        let freed = Slot::Free { next: self.free, previous: NONE };
        let Slot::Used { value, .. } = std::mem::replace(&mut self.slots[key.slot as usize], freed) else {
            return None;
        };
        if let Some(Slot::Free { previous, .. }) = self.slots.get_mut(self.free as usize) {
            *previous = key.slot;
        }
        self.free = key.slot;
        self.len -= 1;
        self.shrink();
        Some(value)
    }

    /// Drops the free slots at the end, and the spare capacity when it is more than three quarters.
    fn shrink(&mut self) {
        while let Some(Slot::Free { .. }) = self.slots.last() {
            let slot = (self.slots.len() - 1) as u32;
            self.unlink(slot);
            self.slots.pop();
        }
        if self.slots.capacity() > 64 && self.slots.len() < self.slots.capacity() / 4 {
            self.slots.shrink_to(self.slots.len() * 2);
        }
    }

    fn unlink(&mut self, slot: u32) {
        let Slot::Free { next, previous } = self.slots[slot as usize] else {
            return;
        };
        if let Some(Slot::Free { previous: p, .. }) = self.slots.get_mut(next as usize) {
            *p = previous;
        }
        match self.slots.get_mut(previous as usize) {
            Some(Slot::Free { next: n, .. }) => *n = next,
            _ => self.free = next,
        }
    }
}

#[cfg(test)]
mod tests {
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
        assert!(slab.slots.capacity() <= 64);
        let again = slab.insert(7);
        assert_eq!(slab.get(again), Some(&7));
    }
}
