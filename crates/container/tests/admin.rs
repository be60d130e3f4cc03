//! What an administrator sees.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

use container::{Counters, MetricKind, Report};
use servlet::StatusCode;
use sip_message::Method;

fn counted() -> [Counters; 2] {
    let [one, other] = <[Counters; 2]>::default();
    one.sessions.add(3);
    one.sessions.take(1);
    one.sessions_created.add(3);
    one.received(&Method::Invite);
    one.received(&Method::Other("FETCH".into()));
    one.answer(StatusCode::OK);
    other.sessions.add(5);
    other.received(&Method::Invite);
    [one, other]
}

fn report() -> Report {
    let [one, other] = counted();
    Report::of([("one", &one), ("other", &other)])
}

#[test]
fn a_report_has_the_figures_of_each_application_and_of_all() {
    let report = report();
    assert_eq!(report.application("one").unwrap().sessions, 2);
    assert_eq!(report.application("one").unwrap().sessions_created, 3);
    assert_eq!(report.application("none"), None);
    let whole = report.whole();
    assert_eq!((whole.sessions, whole.all_requests_in(), whole.all_requests_out()), (7, 3, 0));
}

#[test]
fn a_report_does_not_change_with_the_counters() {
    let [one, _] = counted();
    let report = Report::of([("one", &one)]);
    one.sessions.add(10);
    assert_eq!(report.whole().sessions, 2);
}

#[test]
fn metrics_tell_application_method_and_class_and_those_of_one_name_stand_together() {
    let mut lines = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    report().for_each_metric(|metric| {
        if names.last() != Some(&metric.name) {
            assert!(!names.contains(&metric.name), "{} stands in two places", metric.name);
            names.push(metric.name);
        }
        if metric.value > 0 {
            let labels: Vec<String> = metric.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            lines.push(format!("{} {} {}", metric.name, labels.join(","), metric.value));
        }
    });
    assert_eq!(
        lines,
        [
            "cordboard_application_sessions application=one 2",
            "cordboard_application_sessions application=other 5",
            "cordboard_application_sessions_created application=one 3",
            "cordboard_requests_received application=one,method=INVITE 1",
            "cordboard_requests_received application=one,method=other 1",
            "cordboard_requests_received application=other,method=INVITE 1",
            "cordboard_responses_sent application=one,class=2xx 1",
        ]
    );
}

#[test]
fn what_goes_down_again_is_a_gauge() {
    let mut gauges = Vec::new();
    Report::of([("one", &Counters::default())]).for_each_metric(|metric| {
        if metric.kind == MetricKind::Gauge {
            gauges.push(metric.name);
        }
    });
    assert_eq!(gauges, ["cordboard_application_sessions", "cordboard_sip_sessions", "cordboard_servlet_timers"]);
}
