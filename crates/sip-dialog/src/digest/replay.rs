//! Which nonce counts were used: RFC 7616 §3.4 (`nc`) and §5.5, in a table of fixed size.
//!
//! A nonce gets a place only after a right password was shown for it, so that strangers can't fill the table.
//! When a row is full, the nonce that was issued first gives way, and from then on every nonce of that row which is as
//! old and has no place counts as used: forgetting can ask for one more challenge, never let a replay through.

/// One nonce that was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Used {
    tag: u64,
    /// Milliseconds on the scale of the nonces.
    issued: u64,
    /// The highest count seen.
    count: u32,
}

const PLACES: usize = 8;

/// A row of the table: the nonces whose tag falls here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Row {
    used: [Option<Used>; PLACES],
    /// Nonces issued up to then may have been forgotten.
    forgotten: Option<u64>,
}

/// The table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReplayTable {
    rows: Box<[Row]>,
}

/// What the table says of a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    /// It is higher than all before it; now it is used.
    Fresh,
    /// It was used, or may have been.
    Used,
}

impl ReplayTable {
    /// A table for about `capacity` nonces.
    pub(super) fn new(capacity: usize) -> ReplayTable {
        let rows = capacity.div_ceil(PLACES).max(1);
        ReplayTable { rows: vec![Row::default(); rows].into() }
    }

    /// Marks `count` of the nonce as used, unless it is not above the ones before it.
    pub(super) fn use_count(&mut self, tag: u64, issued: u64, count: u32) -> Count {
        let index = (tag % self.rows.len() as u64) as usize;
        let row = &mut self.rows[index];
        if let Some(used) = row.used.iter_mut().flatten().find(|used| used.tag == tag) {
            if count <= used.count {
                return Count::Used;
            }
            used.count = count;
            return Count::Fresh;
        }
        if row.forgotten.is_some_and(|until| issued <= until) {
            return Count::Used;
        }
        let place = row.place();
        if let Some(oldest) = row.used[place] {
            // The newcomer itself may be the oldest: then it is the one that can be used once only.
            if oldest.issued >= issued {
                row.forgotten = row.forgotten.max(Some(issued));
                return Count::Fresh;
            }
            row.forgotten = row.forgotten.max(Some(oldest.issued));
        }
        row.used[place] = Some(Used { tag, issued, count });
        Count::Fresh
    }
}

impl Row {
    /// The empty place, or that of the nonce issued first.
    fn place(&self) -> usize {
        let ages = self.used.iter().enumerate().map(|(place, used)| (used.map(|used| used.issued), place));
        ages.min().map_or(0, |(_, place)| place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_must_rise() {
        let mut table = ReplayTable::new(16);
        assert_eq!(table.use_count(1, 100, 1), Count::Fresh);
        assert_eq!(table.use_count(1, 100, 1), Count::Used);
        assert_eq!(table.use_count(1, 100, 7), Count::Fresh);
        assert_eq!(table.use_count(1, 100, 6), Count::Used);
        assert_eq!(table.use_count(2, 100, 1), Count::Fresh);
    }

    #[test]
    fn no_count_is_ever_accepted_twice_however_full_the_table_is() {
        let mut table = ReplayTable::new(PLACES);
        let mut accepted = std::collections::HashSet::new();
        for round in 0..3u64 {
            for nonce in 0..200u64 {
                let issued = 1000 + (nonce * 37) % 50;
                if table.use_count(nonce, issued, 1) == Count::Fresh {
                    assert!(accepted.insert(nonce), "nonce {nonce} in round {round}");
                }
            }
        }
        assert!(accepted.len() >= PLACES);
        assert_eq!(table.rows.len(), 1);
    }

    #[test]
    fn a_new_nonce_always_finds_a_place() {
        let mut table = ReplayTable::new(PLACES);
        for nonce in 0..1000u64 {
            assert_eq!(table.use_count(nonce, nonce, 1), Count::Fresh);
        }
    }
}
