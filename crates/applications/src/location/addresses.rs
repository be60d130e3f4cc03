//! Where addresses-of-record are kept: slots that stay where they are, and a hash table of their names. Both give their
//! memory back when a load has passed.

use std::time::Instant;

use hashbrown::HashTable;
use smallvec::SmallVec;

use super::Secret;
use super::binding::Binding;
use crate::mac::{self, Purpose};

/// See the module's text.
pub(super) struct Addresses {
    secret: Secret,
    /// Slots by the name of their address-of-record.
    names: HashTable<u32>,
    slots: Vec<Option<Box<AddressOfRecord>>>,
    free: Vec<u32>,
}

pub(super) struct AddressOfRecord {
    /// `user@host` in canonical form.
    pub(super) name: Box<str>,
    pub(super) bindings: SmallVec<[Binding; 1]>,
    /// When the first of the bindings is looked at for expiry: at the latest when it expires.
    pub(super) due: Option<Instant>,
}

impl Addresses {
    pub(super) fn new(secret: Secret) -> Addresses {
        Addresses { secret, names: HashTable::new(), slots: Vec::new(), free: Vec::new() }
    }

    pub(super) fn find(&self, name: &str) -> Option<u32> {
        let hash = hash(&self.secret, name);
        self.names.find(hash, |slot| self.get(*slot).is_some_and(|entry| *entry.name == *name)).copied()
    }

    pub(super) fn get(&self, slot: u32) -> Option<&AddressOfRecord> {
        self.slots.get(slot as usize)?.as_deref()
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut AddressOfRecord> {
        self.slots.get_mut(slot as usize)?.as_deref_mut()
    }

    /// Makes room for a name that is not there.
    pub(super) fn insert(&mut self, name: &str) -> u32 {
        let entry = Some(Box::new(AddressOfRecord { name: name.into(), bindings: SmallVec::new(), due: None }));
        // A slot that was free may have been cut off the end since, and may be in use again.
        let is_free = |slots: &[Option<_>], slot: u32| matches!(slots.get(slot as usize), Some(None));
        let free = std::iter::from_fn(|| self.free.pop()).find(|slot| is_free(&self.slots, *slot));
        let slot = match free {
            Some(slot) => {
                self.slots[slot as usize] = entry;
                slot
            }
            None => {
                self.slots.push(entry);
                (self.slots.len() - 1) as u32
            }
        };
        let (slots, secret) = (&self.slots, &self.secret);
        self.names.insert_unique(hash(secret, name), slot, |slot| rehash(slots, secret, *slot));
        slot
    }

    pub(super) fn forget(&mut self, slot: u32) {
        let Some(entry) = self.slots.get_mut(slot as usize).and_then(Option::take) else { return };
        if let Ok(found) = self.names.find_entry(hash(&self.secret, &entry.name), |candidate| *candidate == slot) {
            found.remove();
        }
        self.free.push(slot);
        while let Some(None) = self.slots.last() {
            self.slots.pop();
        }
        self.give_back();
    }

    fn give_back(&mut self) {
        if self.slots.capacity() > 64 && self.slots.len() < self.slots.capacity() / 4 {
            self.slots.shrink_to(self.slots.len() * 2);
        }
        if self.names.is_empty() {
            self.free = Vec::new();
            self.names = HashTable::new();
        } else if self.names.capacity() > 64 && self.names.len() < self.names.capacity() / 8 {
            let (room, slots, secret) = (self.names.len() * 2, &self.slots, &self.secret);
            self.names.shrink_to(room, |slot| rehash(slots, secret, *slot));
        }
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.slots.capacity().max(self.names.capacity())
    }
}

/// Keyed, because strangers choose the names.
fn hash(secret: &Secret, name: &str) -> u64 {
    let mut mac = mac::begin(secret, Purpose::AddressOfRecord);
    mac.write(name.as_bytes());
    mac.finish()
}

fn rehash(slots: &[Option<Box<AddressOfRecord>>], secret: &Secret, slot: u32) -> u64 {
    match slots.get(slot as usize) {
        Some(Some(entry)) => hash(secret, &entry.name),
        _ => 0,
    }
}
