//! Byte ranges: the field's value (RFC 4975 §7.1.1), and which octets of a message are there.

use std::fmt;
use std::str::FromStr;

/// The value of a Byte-Range field: `1-*/137`. Octets are counted from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// The first octet, counted from one.
    pub start: u64,
    /// The last octet; `None` for `*`. One less than the start where there is no octet: `1-0/0`.
    pub end: Option<u64>,
    /// How many octets the whole message has; `None` for `*`.
    pub total: Option<u64>,
}

impl ByteRange {
    /// The whole of a message of so many octets.
    pub fn whole(total: u64) -> ByteRange {
        ByteRange { start: 1, end: Some(total), total: Some(total) }
    }

    /// What a missing field means: `1-*/*`.
    pub const UNKNOWN: ByteRange = ByteRange { start: 1, end: None, total: None };
}

impl FromStr for ByteRange {
    type Err = ();

    fn from_str(text: &str) -> Result<ByteRange, ()> {
        let (range, total) = text.trim().split_once('/').ok_or(())?;
        let (start, end) = range.split_once('-').ok_or(())?;
        let number = |text: &str| match text {
            text if !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit()) => {
                text.parse::<u64>().map_err(|_| ())
            }
            _ => Err(()),
        };
        let perhaps = |text: &str| if text == "*" { Ok(None) } else { number(text).map(Some) };
        let range = ByteRange { start: number(start)?, end: perhaps(end)?, total: perhaps(total)? };
        // An end before the start is no range, but for the empty one.
        if range.start == 0 || range.end.is_some_and(|end| end < range.start - 1) {
            return Err(());
        }
        Ok(range)
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-", self.start)?;
        match self.end {
            Some(end) => write!(f, "{end}/")?,
            None => f.write_str("*/")?,
        }
        match self.total {
            Some(total) => write!(f, "{total}"),
            None => f.write_str("*"),
        }
    }
}

/// Which octets of a message are there, counted from zero, as few spans in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    /// Half-open, in order, neither touching nor overlapping.
    spans: Vec<(u64, u64)>,
}

impl Ranges {
    /// Adds `start..end`.
    pub fn add(&mut self, start: u64, end: u64) {
        if start >= end {
            return;
        }
        // Nearly always the next octets in order.
        if let Some(last) = self.spans.last_mut()
            && last.0 <= start
            && start <= last.1
        {
            last.1 = last.1.max(end);
            return;
        }
        let from = self.spans.partition_point(|span| span.1 < start);
        let to = self.spans.partition_point(|span| span.0 <= end);
        let merged = self.spans[from..to].iter().fold((start, end), |all, span| (all.0.min(span.0), all.1.max(span.1)));
        self.spans.splice(from..to, [merged]);
    }

    /// How many octets there are.
    pub fn len(&self) -> u64 {
        self.spans.iter().map(|span| span.1 - span.0).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Whether `0..total` is there without a gap.
    pub fn covers(&self, total: u64) -> bool {
        total == 0 || self.spans.first().is_some_and(|span| span.0 == 0 && span.1 >= total)
    }

    /// How many octets from the first on are there without a gap.
    pub fn contiguous(&self) -> u64 {
        self.spans.first().filter(|span| span.0 == 0).map_or(0, |span| span.1)
    }

    /// How many separate spans there are.
    pub fn spans(&self) -> usize {
        self.spans.len()
    }

    /// Those parts of `start..end` that are not there yet.
    pub fn missing(&self, start: u64, end: u64) -> Vec<(u64, u64)> {
        let mut gaps = Vec::new();
        let mut at = start;
        for &(from, to) in &self.spans[self.spans.partition_point(|span| span.1 <= start)..] {
            if from >= end {
                break;
            }
            if at < from {
                gaps.push((at, from));
            }
            at = at.max(to);
        }
        if at < end {
            gaps.push((at, end));
        }
        gaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_range_is_read_and_printed() {
        for text in ["1-25/25", "1-*/*", "1-*/8", "5-8/8", "1-0/0", "138-148/148", "18446744073709551615-*/*"] {
            assert_eq!(text.parse::<ByteRange>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "1",
            "1-2",
            "0-1/1",
            "*-1/1",
            "-1/1",
            "1-/1",
            "1-1/",
            "5-3/9",
            "+1-2/2",
            "1-2/2 x",
            "1-18446744073709551616/*",
        ] {
            assert_eq!(text.parse::<ByteRange>(), Err(()), "{text}");
        }
    }

    #[test]
    fn spans_merge_whatever_their_order() {
        let mut ranges = Ranges::default();
        for (start, end) in [(10, 20), (30, 40), (0, 5), (5, 10), (20, 30)] {
            ranges.add(start, end);
        }
        assert_eq!(ranges.spans(), 1);
        assert!(ranges.covers(40) && !ranges.covers(41));
        assert_eq!(ranges.len(), 40);
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut ranges = Ranges::default();
        ranges.add(10, 20);
        ranges.add(30, 40);
        assert_eq!(ranges.missing(0, 50), [(0, 10), (20, 30), (40, 50)]);
        assert_eq!(ranges.missing(12, 18), []);
        assert_eq!(ranges.missing(15, 35), [(20, 30)]);
        assert_eq!(ranges.contiguous(), 0);
    }

    #[test]
    fn ranges_agree_with_a_set_of_numbers() {
        let mut state = 7_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % 64
        };
        for _ in 0..500 {
            let (mut ranges, mut set) = (Ranges::default(), std::collections::BTreeSet::new());
            for _ in 0..12 {
                let (start, end) = (next(), next());
                let missing: u64 = ranges.missing(start, end).iter().map(|gap| gap.1 - gap.0).sum();
                assert_eq!(missing, (start..end).filter(|octet| !set.contains(octet)).count() as u64);
                ranges.add(start, end);
                set.extend(start..end);
                assert_eq!(ranges.len(), set.len() as u64);
                assert!(ranges.spans.windows(2).all(|pair| pair[0].1 < pair[1].0));
            }
        }
    }
}
