//! Prometheus' text format (version 0.0.4) of what is counted.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use container::{ContainerLoad, MetricKind, Report};

/// All metrics of the process.
pub(super) fn text(report: &Report, shards: &[Arc<sip_stack::Counters>], loads: &[Option<ContainerLoad>]) -> String {
    let mut text = Text::default();
    text.metric("cordboard_shards", "Shards of this process", MetricKind::Gauge, &[], shards.len() as u64);
    for (name, help, read) in OF_SHARDS {
        for (shard, counters) in shards.iter().enumerate() {
            let value = read(counters).load(Ordering::Relaxed);
            text.metric(name, help, MetricKind::Counter, &[("shard", &shard.to_string())], value);
        }
    }
    for (name, help, read) in OF_TABLES {
        for (shard, load) in loads.iter().enumerate() {
            let Some(load) = load else { continue };
            text.metric(name, help, MetricKind::Gauge, &[("shard", &shard.to_string())], read(load) as u64);
        }
    }
    report.for_each_metric(|metric| text.metric(metric.name, metric.help, metric.kind, metric.labels, metric.value));
    text.text
}

type OfShard = (&'static str, &'static str, fn(&sip_stack::Counters) -> &AtomicU64);

const OF_SHARDS: &[OfShard] = &[
    ("cordboard_messages_received", "Messages that were received and understood", |c| &c.received),
    ("cordboard_messages_refused", "Messages that were refused", |c| &c.refused),
    ("cordboard_messages_sent", "Messages that were sent", |c| &c.sent),
    ("cordboard_notes_lost", "Notes to another shard that found its inbox full", |c| &c.lost_notes),
    ("cordboard_overloads", "Times that a shard began to shed new calls", |c| &c.overloads),
];

type OfTable = (&'static str, &'static str, fn(&ContainerLoad) -> usize);

const OF_TABLES: &[OfTable] = &[
    ("cordboard_transactions", "Transactions that there are", |load| load.transactions),
    ("cordboard_proxy_operations", "Proxy operations that there are", |load| load.proxies),
    ("cordboard_calls", "Calls that are up or ringing", |load| load.calls),
];

#[derive(Default)]
struct Text {
    text: String,
    /// The name whose help was told.
    told: String,
}

impl Text {
    fn metric(&mut self, name: &str, help: &str, kind: MetricKind, labels: &[(&str, &str)], value: u64) {
        let (kind, ending) = match kind {
            MetricKind::Counter => ("counter", "_total"),
            MetricKind::Gauge => ("gauge", ""),
        };
        // Writing to a string can't fail.
        if self.told != name {
            name.clone_into(&mut self.told);
            let _ = writeln!(self.text, "# HELP {name}{ending} {help}\n# TYPE {name}{ending} {kind}");
        }
        let _ = write!(self.text, "{name}{ending}");
        for (place, (label, value)) in labels.iter().enumerate() {
            let opening = if place == 0 { '{' } else { ',' };
            let value = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.text, "{opening}{label}=\"{value}\"");
        }
        let closing = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{closing} {value}");
    }
}

#[cfg(test)]
mod tests {
    use container::Counters;

    use super::*;

    #[test]
    fn a_metric_has_its_help_once_and_a_line_for_each_label() {
        let (one, other) = (Counters::default(), Counters::default());
        one.sessions_created.add(3);
        let shards = [Arc::new(sip_stack::Counters::default())];
        let text = text(&Report::of([("one", &one), ("say \"hi\"", &other)]), &shards, &[None]);
        let lines: Vec<&str> = text.lines().collect();
        let created = "cordboard_application_sessions_created_total";
        assert_eq!(lines.iter().filter(|line| line.starts_with(&format!("# TYPE {created} "))).count(), 1);
        assert!(lines.contains(&format!("{created}{{application=\"one\"}} 3").as_str()), "{text}");
        assert!(lines.contains(&format!("{created}{{application=\"say \\\"hi\\\"\"}} 0").as_str()), "{text}");
        assert!(lines.contains(&"cordboard_shards 1"), "{text}");
        assert!(lines.contains(&"cordboard_messages_sent_total{shard=\"0\"} 0"), "{text}");
    }
}
