//! The container's tables, each with keys of its own kind.

use std::marker::PhantomData;

use servlet::spi::{AppSessionKey, BranchKey, ProxyKey, SessionKey, TimerKey, TransactionKey};
use sip_endpoint::slab::{Key, Slab};

/// A key of one table.
pub(crate) trait TableKey: Copy {
    fn from_slab(key: Key) -> Self;
    fn slab(self) -> Key;
}

macro_rules! table_keys {
    ($($key:ident),*) => {$(
        impl TableKey for $key {
            fn from_slab(key: Key) -> $key {
                $key { slot: key.slot, generation: key.generation }
            }

            fn slab(self) -> Key {
                Key { slot: self.slot, generation: self.generation }
            }
        }
    )*};
}

table_keys!(AppSessionKey, BranchKey, ProxyKey, SessionKey, TimerKey, TransactionKey);

/// A table whose keys find nothing once their entry is gone.
#[derive(Debug)]
pub(crate) struct Table<K, T> {
    slab: Slab<T>,
    of: PhantomData<K>,
}

impl<K: TableKey, T> Table<K, T> {
    pub(crate) const fn new() -> Table<K, T> {
        Table { slab: Slab::new(), of: PhantomData }
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(crate) fn insert(&mut self, value: T) -> K {
        K::from_slab(self.slab.insert(value))
    }

    /// All entries. For what happens once in a container's life; a table is never scanned on a timer.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, &T)> {
        self.slab.iter().map(|(key, value)| (K::from_slab(key), value))
    }

    pub(crate) fn get(&self, key: K) -> Option<&T> {
        self.slab.get(key.slab())
    }

    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut T> {
        self.slab.get_mut(key.slab())
    }

    /// The entry in a slot that is known to be in use.
    pub(crate) fn in_slot(&self, slot: u32) -> Option<(K, &T)> {
        let (key, value) = self.slab.in_slot(slot)?;
        Some((K::from_slab(key), value))
    }

    pub(crate) fn remove(&mut self, key: K) -> Option<T> {
        self.slab.remove(key.slab())
    }
}
