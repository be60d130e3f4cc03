//! Medians of the repeats, ratios between cases, and which aims were missed.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::analysis::Heard;
use crate::case::Case;

/// What we may add to the time from mouth to ear, beside the jitter buffer.
const MOST_ADDED: Duration = Duration::from_millis(20);
/// What encryption may cost: so many times a plain call.
const MOST_FOR_KEYS: f64 = 2.0;

/// One measurement.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    pub(crate) calls: usize,
    /// Which share of its core the process took.
    pub(crate) core: f64,
    /// Of CPU for a packet that came and one that went.
    pub(crate) microseconds: f64,
    /// Which share of the time its threads could have run and other processes did.
    pub(crate) waited: f64,
    /// Which share of a core the load took.
    pub(crate) load: f64,
    /// Cores that other programs took.
    pub(crate) others: f64,
    pub(crate) lost: u64,
    pub(crate) sent: u64,
    /// How late the load was at most.
    pub(crate) late: Duration,
    pub(crate) heard: Heard,
}

#[derive(Default)]
pub(crate) struct Report {
    figures: BTreeMap<&'static str, Vec<Figures>>,
}

impl Report {
    pub(crate) fn add(&mut self, case: &'static str, figures: Figures) {
        self.figures.entry(case).or_default().push(figures);
    }

    pub(crate) fn markdown(&self, cases: &[&Case]) -> String {
        let mut table = "| case | calls | of the core, % | µs per packet | lost | not recognised | said to heard, ms: median, 99 % | \
             without the jitter buffer, ms: median, most | other programs, cores |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|\n"
            .to_owned();
        for case in cases {
            let Some(all) = self.figures.get(case.name) else { continue };
            let calls = all.first().map_or(0, |figures| figures.calls);
            table.push_str(&format!("| {} | {calls} |", case.name));
            let sum = |of: fn(&Figures) -> u64| all.iter().map(of).sum::<u64>();
            table.push_str(&format!(" {:.1} |", 100.0 * self.median(case.name, |figures| figures.core)));
            table.push_str(&format!(" {:.2} |", self.median(case.name, |figures| figures.microseconds)));
            table.push_str(&format!(" {} of {} |", sum(|figures| figures.lost), sum(|figures| figures.sent)));
            let unlike = (sum(|figures| figures.heard.unlike as u64), sum(|figures| figures.heard.pieces as u64));
            table.push_str(&format!(" {} of {} |", unlike.0, unlike.1));
            let milliseconds =
                |of: fn(&Heard) -> Duration| self.median(case.name, |figures| of(&figures.heard).as_secs_f64() * 1e3);
            table.push_str(&format!(" {:.1}, {:.1} |", milliseconds(|h| h.median), milliseconds(|h| h.worst)));
            table.push_str(&format!(" {:.1}, {:.1} |", milliseconds(|h| h.added), milliseconds(|h| h.added_worst)));
            table.push_str(&format!(" {:.2} |\n", self.median(case.name, |figures| figures.others)));
        }
        for (one, other) in RATIOS {
            if let Some(ratio) = self.ratio(one, other) {
                table.push_str(&format!("\n{one} takes {ratio:.2} times the CPU of {other}."));
            }
        }
        table
    }

    /// A sentence for each aim that was measured and missed.
    pub(crate) fn missed(&self, cases: &[&Case]) -> Vec<String> {
        let mut missed = Vec::new();
        for case in cases.iter().filter(|case| case.is_aim && self.figures.contains_key(case.name)) {
            let lost = self.median(case.name, |figures| (figures.lost + figures.heard.unlike as u64) as f64);
            if lost > 0.0 {
                missed.push(format!("{}: not all that was said came back", case.name));
            }
            let added = self.median(case.name, |figures| figures.heard.added_worst.as_secs_f64());
            if added > MOST_ADDED.as_secs_f64() {
                missed.push(format!("{}: we add {:.1} ms", case.name, added * 1e3));
            }
        }
        for name in ["bridge-pcmu-sdes", "bridge-pcmu-gcm"] {
            if let Some(ratio) = self.ratio(name, "bridge-pcmu").filter(|ratio| *ratio > MOST_FOR_KEYS) {
                missed.push(format!("{name}: {ratio:.2} times the CPU of plain RTP"));
            }
        }
        missed
    }

    /// Of CPU per packet.
    fn ratio(&self, one: &str, other: &str) -> Option<f64> {
        let both = self.figures.contains_key(one) && self.figures.contains_key(other);
        let median = |name| self.median(name, |figures| figures.microseconds);
        both.then(|| median(one) / median(other))
    }

    fn median(&self, case: &str, of: impl Fn(&Figures) -> f64) -> f64 {
        let mut values: Vec<f64> = self.figures.get(case).into_iter().flatten().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

const RATIOS: &[(&str, &str)] = &[
    ("bridge-pcmu-sdes", "bridge-pcmu"),
    ("bridge-pcmu-gcm", "bridge-pcmu"),
    ("relay", "rtpengine"),
    ("bridge-pcmu", "rtpengine"),
];

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        let heard = &self.heard;
        write!(
            f,
            "{:.1} % of the core, {:.2} µs per packet; lost {}; {} of {} pieces not recognised; said to heard {:.1} ms \
             (99 %: {:.1}), without the jitter buffer {:.1} ms (most: {:.1}); waited for the core {:.1} %; load {:.1} % \
             and late by {:.1} ms at most; others {:.2} cores",
            100.0 * self.core,
            self.microseconds,
            self.lost,
            heard.unlike,
            heard.pieces,
            milliseconds(heard.median),
            milliseconds(heard.worst),
            milliseconds(heard.added),
            milliseconds(heard.added_worst),
            100.0 * self.waited,
            100.0 * self.load,
            milliseconds(self.late),
            self.others,
        )
    }
}
