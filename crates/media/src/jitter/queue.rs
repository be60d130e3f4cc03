//! Packets in the order of their timestamps, in bounded memory that is used again.

use sdp::PayloadType;
use std::collections::VecDeque;

/// A buffer that has once held a monster is not kept.
const LARGEST_KEPT: usize = 4_096;

/// A packet that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// Without roll-over.
    pub(super) timestamp: i64,
    /// With its cycle.
    pub(super) sequence: u64,
    /// As it came.
    pub(super) wire_timestamp: u32,
    pub(super) marker: bool,
    pub(super) payload_type: PayloadType,
}

/// Why a packet is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// One with its timestamp waits already.
    SameTimestamp,
    /// There is no room, and all that wait are newer.
    Full,
}

/// The packets that wait.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<(Slot, Vec<u8>)>,
    spare: Vec<Vec<u8>>,
    octets: usize,
    max_packets: usize,
    max_octets: usize,
}

impl Queue {
    pub(super) fn new(max_packets: usize, max_octets: usize) -> Queue {
        Queue { max_packets: max_packets.max(1), max_octets, ..Queue::default() }
    }

    /// Takes a packet and says how many older ones had to go.
    pub(super) fn insert(&mut self, slot: Slot, payload: &[u8]) -> Result<u64, Refusal> {
        // Most packets come in order: look from the end.
        let newer = self.waiting.iter().rev().take_while(|(waiting, _)| waiting.timestamp > slot.timestamp).count();
        let mut place = self.waiting.len() - newer;
        if place.checked_sub(1).is_some_and(|before| self.waiting[before].0.timestamp == slot.timestamp) {
            return Err(Refusal::SameTimestamp);
        }
        let mut dropped = 0;
        while self.waiting.len() >= self.max_packets || self.octets + payload.len() > self.max_octets {
            if place == 0 {
                return Err(Refusal::Full);
            }
            self.drop_front();
            place -= 1;
            dropped += 1;
        }
        let mut stored = self.spare.pop().unwrap_or_default();
        stored.clear();
        stored.extend_from_slice(payload);
        self.octets += payload.len();
        self.waiting.insert(place, (slot, stored));
        Ok(dropped)
    }

    /// The oldest one.
    pub(super) fn front(&self) -> Option<&Slot> {
        self.waiting.front().map(|(slot, _)| slot)
    }

    pub(super) fn front_payload(&self) -> Option<&[u8]> {
        self.waiting.front().map(|(_, payload)| payload.as_slice())
    }

    /// Takes the oldest one out; the buffer that its payload is exchanged for is kept for later ones.
    pub(super) fn pop_front(&mut self, payload: &mut Vec<u8>) -> Option<Slot> {
        let (slot, stored) = self.waiting.pop_front()?;
        self.octets -= stored.len();
        let empty = std::mem::replace(payload, stored);
        self.keep(empty);
        Some(slot)
    }

    pub(super) fn drop_front(&mut self) {
        if let Some((_, stored)) = self.waiting.pop_front() {
            self.octets -= stored.len();
            self.keep(stored);
        }
    }

    pub(super) fn clear(&mut self) {
        while !self.waiting.is_empty() {
            self.drop_front();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    fn keep(&mut self, buffer: Vec<u8>) {
        let usable = (1..=LARGEST_KEPT).contains(&buffer.capacity());
        if usable && self.waiting.len() + self.spare.len() < self.max_packets {
            self.spare.push(buffer);
        }
    }
}

#[cfg(test)]
impl Queue {
    /// Everything that is allocated for payloads.
    pub(super) fn allocated(&self) -> usize {
        self.waiting.iter().map(|(_, buffer)| buffer).chain(&self.spare).map(Vec::capacity).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::dice::Dice;

    fn slot(timestamp: i64) -> Slot {
        Slot { timestamp, sequence: 1, wire_timestamp: 0, marker: false, payload_type: PayloadType::new(0).unwrap() }
    }

    fn drained(queue: &mut Queue) -> Vec<i64> {
        let mut payload = Vec::new();
        std::iter::from_fn(|| queue.pop_front(&mut payload).map(|slot| slot.timestamp)).collect()
    }

    #[test]
    fn packets_leave_in_the_order_of_their_timestamps() {
        let mut queue = Queue::new(10, 1_000);
        for timestamp in [30, 10, 20, -10, 40] {
            assert_eq!(queue.insert(slot(timestamp), b"x"), Ok(0));
        }
        assert_eq!(queue.insert(slot(20), b"x"), Err(Refusal::SameTimestamp));
        assert_eq!(drained(&mut queue), [-10, 10, 20, 30, 40]);
    }

    #[test]
    fn a_full_queue_drops_the_oldest_for_a_newer_one() {
        let mut queue = Queue::new(3, 10);
        for timestamp in [10, 20, 30] {
            queue.insert(slot(timestamp), b"xxx").unwrap();
        }
        assert_eq!(queue.insert(slot(5), b"xxx"), Err(Refusal::Full));
        assert_eq!(queue.insert(slot(40), b"xxx"), Ok(1));
        assert_eq!(queue.insert(slot(50), b"xxxxxxxxx"), Ok(3));
        assert_eq!(drained(&mut queue), [50]);
    }

    #[test]
    fn buffers_go_round() {
        let mut queue = Queue::new(4, 10_000);
        let mut payload = Vec::new();
        for round in 0..100 {
            queue.insert(slot(round), &[0; 160]).unwrap();
            queue.insert(slot(round + 1_000), &[0; 160]).unwrap();
            queue.pop_front(&mut payload);
            queue.drop_front();
        }
        assert!(queue.allocated() + payload.capacity() <= 4 * 160);
    }

    #[test]
    fn nothing_that_is_inserted_makes_it_hold_more_than_it_may() {
        let mut dice = Dice::new(8);
        let mut queue = Queue::new(16, 20_000);
        let mut payload = Vec::new();
        for _ in 0..50_000 {
            let length = dice.below(20_001);
            let timestamp = i64::try_from(dice.below(1_000)).unwrap();
            let _ = queue.insert(slot(timestamp), &vec![0; length]);
            if dice.per_mille(300) {
                queue.pop_front(&mut payload);
            }
            assert!(queue.len() <= 16 && queue.octets <= 20_000);
            assert!(queue.waiting.iter().is_sorted_by_key(|(slot, _)| slot.timestamp));
            assert!(queue.allocated() <= 20_000 * 2 + 16 * LARGEST_KEPT);
        }
    }
}
