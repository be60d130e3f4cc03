//! Which index a packet has (RFC 3711 §3.3.1, Appendix A) and which have come before (§3.3.2).

/// Packets behind the newest one that are told apart from those that came before. RFC 3711 §3.3.2 asks for at least
/// 64; this many are 20 seconds of audio.
pub(super) const REPLAY_WINDOW: u64 = 1024;

/// Indexes of an RTP stream end here: 32 bits of roll-over counter, 16 of sequence number.
const END: u64 = 1 << 48;

/// The index of a packet with that sequence number, nearest to the highest one so far. `None` where it would lie
/// before the first packet or after the last that a key may protect.
pub(super) fn estimate(highest: u64, sequence: u16) -> Option<u64> {
    let (roc, last) = (highest >> 16, highest & 0xffff);
    let sequence = u64::from(sequence);
    let roc = match last < 0x8000 {
        true if sequence.saturating_sub(last) > 0x8000 => roc.checked_sub(1)?,
        false if last - 0x8000 > sequence => roc + 1,
        _ => roc,
    };
    Some(roc << 16 | sequence).filter(|index| *index < END)
}

/// The indexes that came.
#[derive(Clone, Debug)]
pub(super) struct ReplayWindow {
    highest: u64,
    /// A ring of bits: whether the index came that has this remainder by the window's size.
    seen: [u64; (REPLAY_WINDOW / 64) as usize],
}

impl ReplayWindow {
    /// A window after its first index.
    pub(super) fn starting_at(index: u64) -> ReplayWindow {
        let mut window = ReplayWindow { highest: index, seen: [0; (REPLAY_WINDOW / 64) as usize] };
        window.mark(index);
        window
    }

    /// The highest index that came.
    pub(super) fn highest(&self) -> u64 {
        self.highest
    }

    /// Whether the index came, or is too old to know.
    pub(super) fn is_replayed(&self, index: u64) -> bool {
        if index > self.highest {
            return false;
        }
        self.highest - index >= REPLAY_WINDOW || self.seen[Self::word(index)] & Self::bit(index) != 0
    }

    /// The packet of this index came and is authentic; it is not older than the window.
    pub(super) fn accept(&mut self, index: u64) {
        if index > self.highest {
            if index - self.highest >= REPLAY_WINDOW {
                self.seen.fill(0);
            } else {
                for passed in self.highest + 1..index {
                    self.seen[Self::word(passed)] &= !Self::bit(passed);
                }
            }
            self.highest = index;
        }
        self.mark(index);
    }

    fn mark(&mut self, index: u64) {
        self.seen[Self::word(index)] |= Self::bit(index);
    }

    fn word(index: u64) -> usize {
        (index % REPLAY_WINDOW / 64) as usize
    }

    fn bit(index: u64) -> u64 {
        1 << (index % 64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// RFC 3711 Appendix A.
    #[test]
    fn the_index_is_the_nearest_to_the_highest_one() {
        let at = |roc: u64, sequence: u64| roc << 16 | sequence;
        assert_eq!(estimate(at(0, 65534), 65535), Some(at(0, 65535)));
        assert_eq!(estimate(at(0, 65535), 0), Some(at(1, 0)));
        assert_eq!(estimate(at(1, 0), 65535), Some(at(0, 65535)));
        assert_eq!(estimate(at(1, 100), 99), Some(at(1, 99)));
        assert_eq!(estimate(at(5, 0x8000), 0), Some(at(5, 0)));
        assert_eq!(estimate(at(5, 0x8001), 0), Some(at(6, 0)));
        assert_eq!(estimate(at(5, 0), 0x8000), Some(at(5, 0x8000)));
        assert_eq!(estimate(at(5, 0), 0x8001), Some(at(4, 0x8001)));
    }

    #[test]
    fn no_packet_lies_before_the_first_or_after_the_last() {
        assert_eq!(estimate(10, 65000), None);
        assert_eq!(estimate(END - 1, 0), None);
        assert_eq!(estimate(END - 1, 65000), Some(END - 536));
    }

    #[test]
    fn each_index_is_new_once_and_an_old_one_never() {
        // A walk with jumps forward and back, against a set of all that came.
        let mut window = ReplayWindow::starting_at(5_000);
        let mut came = HashSet::from([5_000]);
        let (mut highest, mut state) = (5_000u64, 1u64);
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let index = match state >> 60 {
                0 => highest + (state >> 33) % 3_000,
                1..=8 => highest + 1 + (state >> 33) % 3,
                _ => highest.saturating_sub((state >> 33) % 1_500),
            };
            let replayed = came.contains(&index) || highest.saturating_sub(index) >= REPLAY_WINDOW;
            assert_eq!(window.is_replayed(index), replayed, "{index} after {highest}");
            if !replayed {
                window.accept(index);
                came.insert(index);
                highest = highest.max(index);
            }
            assert_eq!(window.highest(), highest);
        }
    }
}
