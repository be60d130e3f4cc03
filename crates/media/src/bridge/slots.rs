//! The slots of a bridge: a slab whose keys carry a generation, so that the key of a closed slot never opens the one that
//! took its place.

use super::Member;

/// Names one slot of one bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SlotId {
    index: u32,
    generation: u32,
}

#[derive(Debug, Default)]
pub(super) struct Slots {
    entries: Vec<Entry>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Entry {
    generation: u32,
    member: Option<Member>,
}

impl Slots {
    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    pub(super) fn insert(&mut self, member: Member) -> SlotId {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.entries.push(Entry { generation: 0, member: None });
                u32::try_from(self.entries.len() - 1).expect("memory ends before four milliards of slots")
            }
        };
        let entry = &mut self.entries[index as usize];
        entry.member = Some(member);
        SlotId { index, generation: entry.generation }
    }

    pub(super) fn remove(&mut self, slot: SlotId) -> bool {
        let Some(entry) = self.entries.get_mut(slot.index as usize) else { return false };
        if entry.generation != slot.generation || entry.member.is_none() {
            return false;
        }
        entry.member = None;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(slot.index);
        true
    }

    pub(super) fn get(&self, slot: SlotId) -> Option<&Member> {
        let entry = self.entries.get(slot.index as usize)?;
        entry.member.as_ref().filter(|_| entry.generation == slot.generation)
    }

    pub(super) fn get_mut(&mut self, slot: SlotId) -> Option<&mut Member> {
        let entry = self.entries.get_mut(slot.index as usize)?;
        entry.member.as_mut().filter(|_| entry.generation == slot.generation)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Member> {
        self.entries.iter_mut().filter_map(|entry| entry.member.as_mut())
    }
}
