//! A hash table that gives its memory back: hash tables as such keep a load's peak for ever.

use std::hash::Hash;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// See the module's text. For keys that we make ourselves: the hash is fast, not keyed against an adversary.
#[derive(Debug)]
pub(crate) struct Table<K, V> {
    map: HashMap<K, V, FixedState>,
}

impl<K: Hash + Eq, V> Table<K, V> {
    pub(crate) fn new() -> Table<K, V> {
        Table { map: HashMap::with_hasher(FixedState::default()) }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.map.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.map.get_mut(key)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.map.insert(key, value)
    }

    pub(crate) fn entry_or_insert_with(&mut self, key: K, value: impl FnOnce() -> V) -> &mut V {
        self.map.entry(key).or_insert_with(value)
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let value = self.map.remove(key)?;
        if self.map.capacity() > 64 && self.map.len() < self.map.capacity() / 8 {
            self.map.shrink_to(self.map.len() * 2);
        }
        Some(value)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_has_emptied_is_small_again() {
        let mut table = Table::new();
        for key in 0..10_000u32 {
            table.insert(key, key);
        }
        for key in 0..10_000u32 {
            assert_eq!(table.remove(&key), Some(key));
        }
        assert_eq!(table.len(), 0);
        assert!(table.map.capacity() <= 64);
    }
}
