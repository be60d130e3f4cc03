//! The order of SRV records, RFC 2782 ("Usage rules").

/// A service record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    /// Lower ones first.
    pub priority: u16,
    /// The share among those of the same priority.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The host; `.` says that the service is decidedly not available here.
    pub target: String,
}

/// Puts records in the order in which they are to be tried. `random(n)` is a number from 0 to n inclusive.
pub(crate) fn in_order(mut records: Vec<Srv>, random: &mut dyn FnMut(u32) -> u32) -> Vec<Srv> {
    // Those of weight 0 stand first, so that they have a small chance to be drawn.
    records.sort_by_key(|r| (r.priority, r.weight != 0));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(first) = records.first() {
        let priority = first.priority;
        let same = records.iter().take_while(|r| r.priority == priority);
        let total: u32 = same.map(|r| u32::from(r.weight)).sum();
        let drawn = random(total);
        let mut sum = 0;
        let chosen = records.iter().position(|r| {
            sum += u32::from(r.weight);
            sum >= drawn
        });
        ordered.push(records.remove(chosen.unwrap_or(0)));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(priority: u16, weight: u16, target: &str) -> Srv {
        Srv { priority, weight, port: 5060, target: target.to_string() }
    }

    /// A small multiplicative generator: the same numbers in every run.
    fn generator() -> impl FnMut(u32) -> u32 {
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        move |upper| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ((state >> 33) % (u64::from(upper) + 1)) as u32
        }
    }

    #[test]
    fn a_lower_priority_value_always_comes_first() {
        let records = vec![record(20, 65_535, "b"), record(10, 0, "a"), record(30, 1, "c")];
        let mut random = generator();
        for _ in 0..100 {
            let order = in_order(records.clone(), &mut random);
            let names: Vec<_> = order.iter().map(|r| r.target.as_str()).collect();
            assert_eq!(names, ["a", "b", "c"]);
        }
    }

    #[test]
    fn the_first_place_is_shared_in_proportion_to_the_weights() {
        let records = vec![record(1, 60, "large"), record(1, 30, "middle"), record(1, 10, "small")];
        let mut random = generator();
        let mut first = std::collections::HashMap::new();
        for _ in 0..10_000 {
            let order = in_order(records.clone(), &mut random);
            assert_eq!(order.len(), 3);
            *first.entry(order[0].target.clone()).or_insert(0) += 1;
        }
        assert!((5_700..6_300).contains(&first["large"]), "{first:?}");
        assert!((2_700..3_300).contains(&first["middle"]), "{first:?}");
        assert!((800..1_200).contains(&first["small"]), "{first:?}");
    }

    #[test]
    fn a_record_of_weight_zero_has_a_very_small_chance() {
        let records = vec![record(1, 100, "heavy"), record(1, 0, "zero")];
        let mut random = generator();
        let zero_first = (0..10_000).filter(|_| in_order(records.clone(), &mut random)[0].target == "zero").count();
        assert!((1..300).contains(&zero_first), "{zero_first}");
    }
}
