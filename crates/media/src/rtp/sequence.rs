//! Sequence numbers and timestamps that do not roll over (RFC 3550 §5.1 and Appendix A.1 keep a count of cycles; this
//! is the same, for packets in any order).

/// Gives 16-bit sequence numbers their cycle: each is taken as the one nearest to the highest before it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SequenceExtender {
    highest: Option<u64>,
}

/// Gives 32-bit timestamps their cycle.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimestampExtender {
    latest: Option<i64>,
}

impl SequenceExtender {
    /// The number with its cycle. The first one is in cycle 1, so that what was sent before it is not below zero.
    pub fn extend(&mut self, sequence: u16) -> u64 {
        let Some(highest) = self.highest else {
            let first = 1 << 16 | u64::from(sequence);
            self.highest = Some(first);
            return first;
        };
        // The difference as a signed number of 16 bits is the short way round.
        let step = i64::from(sequence.wrapping_sub(low(highest)).cast_signed());
        // Nothing is before cycle 0; who gets there has walked backwards for 65,536 packets.
        let extended = highest.saturating_add_signed(step);
        self.highest = Some(highest.max(extended));
        extended
    }

    /// The highest so far.
    pub fn highest(&self) -> Option<u64> {
        self.highest
    }
}

impl TimestampExtender {
    /// The timestamp with its cycle, the way from the one before being the shorter one.
    pub fn extend(&mut self, timestamp: u32) -> i64 {
        let extended = self.peek(timestamp);
        self.latest = Some(extended);
        extended
    }

    /// What [`extend`](Self::extend) would say, without taking note of it.
    pub fn peek(&self, timestamp: u32) -> i64 {
        match self.latest {
            None => i64::from(timestamp),
            Some(latest) => latest + i64::from(timestamp.wrapping_sub(low_word(latest)).cast_signed()),
        }
    }
}

fn low(sequence: u64) -> u16 {
    (sequence & 0xffff) as u16
}

fn low_word(timestamp: i64) -> u32 {
    (timestamp & 0xffff_ffff) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_number_after_65535_is_in_the_next_cycle_also_when_the_order_is_mixed() {
        let mut extender = SequenceExtender::default();
        let extended: Vec<u64> = [65_534, 0, 65_535, 2, 1].map(|sequence| extender.extend(sequence)).to_vec();
        assert_eq!(extended, [0x1fffe, 0x20000, 0x1ffff, 0x20002, 0x20001]);
        assert_eq!(extender.highest(), Some(0x20002));
    }

    #[test]
    fn what_comes_before_the_first_one_is_one_cycle_lower() {
        let mut extender = SequenceExtender::default();
        assert_eq!(extender.extend(0), 0x10000);
        assert_eq!(extender.extend(65_535), 0xffff);
    }

    #[test]
    fn sequence_numbers_that_only_fall_never_get_below_zero() {
        let mut extender = SequenceExtender::default();
        extender.extend(0);
        for step in 1..300_u32 {
            let sequence = (step.wrapping_mul(40_000) & 0xffff) as u16;
            assert_eq!(extender.extend(sequence) & 0xffff, u64::from(sequence));
        }
    }

    #[test]
    fn timestamps_go_round_in_both_directions() {
        let mut extender = TimestampExtender::default();
        assert_eq!(extender.extend(0xffff_ff00), 0xffff_ff00);
        assert_eq!(extender.extend(0x0000_0100), 0x1_0000_0100);
        assert_eq!(extender.peek(0xffff_ff00), 0xffff_ff00);
        assert_eq!(extender.extend(0xffff_ff00), 0xffff_ff00);
        let mut extender = TimestampExtender::default();
        assert_eq!(extender.extend(10), 10);
        assert_eq!(extender.extend(0xffff_fff0), -16);
    }
}
