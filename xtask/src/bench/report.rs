//! Medians of the repeats, side by side.

use serde_json::Value;

use super::kit::System;
use super::scenario::{Figure, Scenario};

/// What was measured in one scenario.
pub(super) struct Report {
    systems: Vec<System>,
    /// System, index of the measurement, the kit's figures.
    lines: Vec<(System, usize, Value)>,
}

impl Report {
    pub(super) fn new(systems: &[System]) -> Self {
        Self { systems: systems.to_vec(), lines: Vec::new() }
    }

    pub(super) fn add(&mut self, system: System, measurement: usize, line: Value) {
        self.lines.push((system, measurement, line));
    }

    /// One row per figure, one column per system, and our share of the other's figure.
    pub(super) fn markdown(&self, scenario: &Scenario) -> String {
        let names: Vec<&str> = self.systems.iter().map(|system| system.name()).collect();
        let mut table = format!(
            "### {}\nKamailio runs as `{}`; medians [smallest–largest].\n\n| | {} |{}\n|---|{}{}\n",
            scenario.name,
            scenario.kamailio,
            names.join(" | "),
            if names.len() == 2 { " ratio |" } else { "" },
            "---:|".repeat(names.len()),
            if names.len() == 2 { "---:|" } else { "" },
        );
        for (index, measurement) in scenario.measurements.iter().enumerate() {
            for figure in measurement.figures {
                table.push_str(&self.row(index, figure));
            }
        }
        table.push_str(&format!(
            "\nOther programs took up to {:.1} s of CPU during a measurement.\n",
            self.disturbance()
        ));
        table
    }

    fn row(&self, measurement: usize, figure: &Figure) -> String {
        let spreads: Vec<Option<Spread>> =
            self.systems.iter().map(|system| Spread::of(self.values(*system, measurement, figure))).collect();
        let mut row = format!("| {}", figure.name);
        if !figure.unit.is_empty() {
            row.push_str(&format!(", {}", figure.unit));
        }
        row.push_str(" |");
        for spread in &spreads {
            let cell = spread.as_ref().map_or("–".to_owned(), |spread| spread.cell(figure.decimals));
            row.push_str(&format!(" {cell} |"));
        }
        if let [theirs, ours] = &spreads[..] {
            let ratio = theirs
                .as_ref()
                .zip(ours.as_ref())
                .filter(|(theirs, _)| theirs.median != 0.0)
                .map_or("–".to_owned(), |(theirs, ours)| format!("{:.2}", ours.median / theirs.median));
            row.push_str(&format!(" {ratio} |"));
        }
        row.push('\n');
        row
    }

    fn values(&self, system: System, measurement: usize, figure: &Figure) -> Vec<f64> {
        self.lines
            .iter()
            .filter(|(of, index, _)| *of == system && *index == measurement)
            .filter_map(|(_, _, line)| (figure.read)(line))
            .collect()
    }

    fn disturbance(&self) -> f64 {
        self.lines.iter().filter_map(|(_, _, line)| line["other_cpu_s"].as_f64()).fold(0.0, f64::max)
    }
}

struct Spread {
    smallest: f64,
    median: f64,
    largest: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            (values.get(middle.checked_sub(1)?)? + values.get(middle)?) / 2.0
        } else {
            *values.get(middle)?
        };
        Some(Self { smallest: *values.first()?, median, largest: *values.last()? })
    }

    fn cell(&self, decimals: usize) -> String {
        let median = format!("{:.decimals$}", self.median);
        if self.smallest == self.largest {
            median
        } else {
            format!("{median} [{:.decimals$}–{:.decimals$}]", self.smallest, self.largest)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::bench::scenario::SCENARIOS;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        let spread = Spread::of(vec![4.0, 1.0, 2.0, 9.0]).expect("there are values");
        assert_eq!((spread.smallest, spread.median, spread.largest), (1.0, 3.0, 9.0));
        assert_eq!(spread.cell(1), "3.0 [1.0–9.0]");
    }

    #[test]
    fn nothing_measured_is_no_figure() {
        assert!(Spread::of(Vec::new()).is_none());
    }

    #[test]
    fn the_table_sets_our_median_against_theirs() {
        let mut report = Report::new(&[System::Kamailio, System::Cordboard]);
        for (system, calls) in [(System::Kamailio, 100.0), (System::Cordboard, 150.0), (System::Cordboard, 250.0)] {
            let line = json!({ "cps": calls, "sut_cpu_per_1000": 0.5, "failed": 0, "retrans": 0 });
            report.add(system, 0, line);
        }
        let table = report.markdown(&SCENARIOS[0]);
        assert!(table.contains("| calls per second at the ceiling, per s | 100 | 200 [150–250] | 2.00 |"), "{table}");
        assert!(table.contains("| PSS at a fixed rate, MiB | – | – | – |"), "{table}");
    }
}
