//! What an administrator sees of the applications: a snapshot of what is counted ([`Counters`]), as plain values, and as
//! metrics for whoever exports them.

use std::sync::Arc;

use crate::counters::{Counter, Counters, METHODS};

/// A snapshot of all applications.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Each application by its name, in the order of deployment.
    pub applications: Vec<(Arc<str>, Figures)>,
}

/// What is counted of one application, or of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Application sessions that there are.
    pub sessions: u64,
    /// Application sessions that there have been.
    pub sessions_created: u64,
    /// Application sessions that have reached their age.
    pub sessions_expired: u64,
    /// Initial requests that were refused for want of room.
    pub sessions_rejected: u64,
    /// SIP sessions that there are.
    pub sip_sessions: u64,
    /// Timers that are armed.
    pub timers: u64,
    /// Handlers that have failed or panicked.
    pub failed_handlers: u64,
    /// Requests that were received: [`METHODS`], and behind them all others.
    pub requests_in: [u64; METHODS.len() + 1],
    /// Requests that were sent.
    pub requests_out: [u64; METHODS.len() + 1],
    /// Responses that were received, by the first digit of their status less one.
    pub responses_in: [u64; 6],
    /// Responses that were sent.
    pub responses_out: [u64; 6],
}

/// One number, as a monitoring system wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric<'m> {
    /// Its name, in Prometheus' way; without the `_total` that counters may be given.
    pub name: &'static str,
    /// What it says.
    pub help: &'static str,
    /// What sets it apart from others of its name.
    pub labels: &'m [(&'static str, &'m str)],
    /// How it behaves.
    pub kind: MetricKind,
    /// How much it is.
    pub value: u64,
}

/// How a number behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// It goes up.
    Counter,
    /// It goes up and down.
    Gauge,
}

impl Report {
    /// What the counters say now.
    pub fn of<'c>(applications: impl IntoIterator<Item = (&'c str, &'c Counters)>) -> Report {
        let applications = applications.into_iter().map(|(name, counters)| (name.into(), Figures::of(counters)));
        Report { applications: applications.collect() }
    }

    /// The figures of an application.
    pub fn application(&self, name: &str) -> Option<&Figures> {
        let (_, figures) = self.applications.iter().find(|(known, _)| **known == *name)?;
        Some(figures)
    }

    /// All applications together.
    pub fn whole(&self) -> Figures {
        self.applications.iter().fold(Figures::default(), |sum, (_, figures)| sum.and(figures))
    }

    /// Tells every number, those of one name together.
    pub fn for_each_metric(&self, mut tell: impl FnMut(Metric<'_>)) {
        for (name, help, kind, figure) in PLAIN {
            for (application, figures) in &self.applications {
                let labels = [("application", &**application)];
                tell(Metric { name, help, labels: &labels, kind: *kind, value: figure(figures) });
            }
        }
        for (name, help, figure) in REQUESTS {
            for (application, figures) in &self.applications {
                for (place, value) in figure(figures).iter().enumerate() {
                    let method = METHODS.get(place).map_or("other", |method| method.as_str());
                    let labels = [("application", &**application), ("method", method)];
                    tell(Metric { name, help, labels: &labels, kind: MetricKind::Counter, value: *value });
                }
            }
        }
        for (name, help, figure) in RESPONSES {
            for (application, figures) in &self.applications {
                for (class, value) in CLASSES.into_iter().zip(figure(figures)) {
                    let labels = [("application", &**application), ("class", class)];
                    tell(Metric { name, help, labels: &labels, kind: MetricKind::Counter, value: *value });
                }
            }
        }
    }
}

type Plain = (&'static str, &'static str, MetricKind, fn(&Figures) -> u64);

const PLAIN: &[Plain] = {
    use MetricKind::{Counter, Gauge};
    &[
        ("cordboard_application_sessions", "Application sessions that there are", Gauge, |f| f.sessions),
        ("cordboard_application_sessions_created", "Application sessions that there have been", Counter, |f| {
            f.sessions_created
        }),
        ("cordboard_application_sessions_expired", "Application sessions that have reached their age", Counter, |f| {
            f.sessions_expired
        }),
        ("cordboard_application_sessions_rejected", "Initial requests refused for want of room", Counter, |f| {
            f.sessions_rejected
        }),
        ("cordboard_sip_sessions", "SIP sessions that there are", Gauge, |f| f.sip_sessions),
        ("cordboard_servlet_timers", "Timers that are armed", Gauge, |f| f.timers),
        ("cordboard_failed_handlers", "Handlers that have failed or panicked", Counter, |f| f.failed_handlers),
    ]
};

type Requests = (&'static str, &'static str, fn(&Figures) -> &[u64; METHODS.len() + 1]);

const REQUESTS: &[Requests] = &[
    ("cordboard_requests_received", "Requests received, by method", |f| &f.requests_in),
    ("cordboard_requests_sent", "Requests sent, by method", |f| &f.requests_out),
];

type Responses = (&'static str, &'static str, fn(&Figures) -> &[u64; 6]);

const RESPONSES: &[Responses] = &[
    ("cordboard_responses_received", "Responses received, by class", |f| &f.responses_in),
    ("cordboard_responses_sent", "Responses sent, by class", |f| &f.responses_out),
];

const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "6xx"];

impl Figures {
    /// What the counters of one application say now.
    pub fn of(counters: &Counters) -> Figures {
        Figures {
            sessions: counters.sessions.get(),
            sessions_created: counters.sessions_created.get(),
            sessions_expired: counters.sessions_expired.get(),
            sessions_rejected: counters.sessions_rejected.get(),
            sip_sessions: counters.sip_sessions.get(),
            timers: counters.timers.get(),
            failed_handlers: counters.failed_handlers.get(),
            requests_in: counters.requests_in.each_ref().map(Counter::get),
            requests_out: counters.requests_out.each_ref().map(Counter::get),
            responses_in: counters.responses_in.each_ref().map(Counter::get),
            responses_out: counters.responses_out.each_ref().map(Counter::get),
        }
    }

    /// All requests that were received.
    pub fn all_requests_in(&self) -> u64 {
        self.requests_in.iter().sum()
    }

    /// All requests that were sent.
    pub fn all_requests_out(&self) -> u64 {
        self.requests_out.iter().sum()
    }

    fn and(&self, other: &Figures) -> Figures {
        Figures {
            sessions: self.sessions + other.sessions,
            sessions_created: self.sessions_created + other.sessions_created,
            sessions_expired: self.sessions_expired + other.sessions_expired,
            sessions_rejected: self.sessions_rejected + other.sessions_rejected,
            sip_sessions: self.sip_sessions + other.sip_sessions,
            timers: self.timers + other.timers,
            failed_handlers: self.failed_handlers + other.failed_handlers,
            requests_in: added(&self.requests_in, &other.requests_in),
            requests_out: added(&self.requests_out, &other.requests_out),
            responses_in: added(&self.responses_in, &other.responses_in),
            responses_out: added(&self.responses_out, &other.responses_out),
        }
    }
}

fn added<const N: usize>(one: &[u64; N], other: &[u64; N]) -> [u64; N] {
    std::array::from_fn(|place| one[place] + other[place])
}
