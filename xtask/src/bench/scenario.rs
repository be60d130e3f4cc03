//! What is measured: one row per scenario, its loads, and what is read from each.

use serde_json::Value;

/// One table of the report.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// `benches/<config>.toml` is what `cordboard serve` runs with.
    pub(super) config: &'static str,
    /// The kit's way of starting Kamailio for the same work.
    pub(super) kamailio: &'static str,
    /// Who answers.
    pub(super) answered_by: AnsweredBy,
    pub(super) measurements: &'static [Measurement],
}

/// The far end of the load.
#[derive(Clone, Copy)]
pub(super) enum AnsweredBy {
    /// The kit, behind the system under test.
    Kit,
    /// The system under test, asked by this Request-URI.
    Itself { request_uri: &'static str },
}

/// One load and the figures that it yields.
pub(super) struct Measurement {
    /// The load in the kit's grammar.
    pub(super) spec: fn(&Setting) -> String,
    /// Seconds of silence after it, where that matters.
    pub(super) settle: Option<u32>,
    pub(super) figures: &'static [Figure],
}

/// What a load may depend on.
pub(super) struct Setting {
    pub(super) transport: &'static str,
    /// Calls per second of the open-loop loads.
    pub(super) rate: u32,
    /// The highest rate that the system under test sustained, once a ramp has found it.
    pub(super) sustainable: Option<f64>,
}

/// One row of a table.
pub(super) struct Figure {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) decimals: usize,
    pub(super) read: fn(&Value) -> Option<f64>,
}

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "proxy",
        config: "proxy",
        kamailio: "stateful",
        answered_by: AnsweredBy::Kit,
        measurements: &[
            Measurement {
                spec: |setting| format!("blast:call:{}:max", setting.transport),
                settle: None,
                figures: &[
                    Figure { name: "calls per second at the ceiling", ..CEILING },
                    Figure { name: "CPU per call at the ceiling", ..CPU },
                    Figure { name: "PSS at the ceiling", ..PSS_PEAK },
                    UNHAPPY,
                ],
            },
            Measurement {
                spec: |setting| format!("blast:call:{}:rate:r={}", setting.transport, setting.rate),
                settle: None,
                figures: &[
                    Figure { name: "CPU per call at a fixed rate", ..CPU },
                    Figure { name: "PSS at a fixed rate", ..PSS_PEAK },
                    LATENCY_MEDIAN,
                    LATENCY_99,
                    UNHAPPY,
                ],
            },
        ],
    },
    Scenario {
        name: "b2bua",
        config: "b2bua",
        // The yardstick forwards; a B2BUA has two dialogs of its own in the place of one that passes by.
        kamailio: "stateful",
        answered_by: AnsweredBy::Kit,
        measurements: &[
            Measurement {
                spec: |setting| format!("blast:call:{}:max", setting.transport),
                settle: None,
                figures: &[
                    Figure { name: "calls per second at the ceiling", ..CEILING },
                    Figure { name: "CPU per call at the ceiling", ..CPU },
                    Figure { name: "PSS at the ceiling", ..PSS_PEAK },
                    UNHAPPY,
                ],
            },
            Measurement {
                spec: |setting| format!("blast:call:{}:rate:r={}", setting.transport, setting.rate),
                settle: None,
                figures: &[Figure { name: "CPU per call at a fixed rate", ..CPU }, LATENCY_MEDIAN, LATENCY_99, UNHAPPY],
            },
        ],
    },
    Scenario {
        name: "registrar",
        config: "registrar",
        kamailio: "registrar",
        answered_by: AnsweredBy::Itself { request_uri: "sip:bench.test" },
        measurements: &[
            Measurement {
                spec: |setting| format!("blast:register:{}:max:users=10000", setting.transport),
                settle: Some(1),
                figures: &[
                    Figure { name: "REGISTER per second at the ceiling", ..CEILING },
                    Figure { name: "CPU per REGISTER at the ceiling", ..CPU },
                    Figure { name: "PSS with 10,000 users", ..PSS_PEAK },
                    UNHAPPY,
                ],
            },
            Measurement {
                spec: |setting| format!("blast:register:{}:rate:r={},users=10000", setting.transport, setting.rate),
                settle: Some(1),
                figures: &[
                    Figure { name: "CPU per REGISTER at a fixed rate", ..CPU },
                    LATENCY_MEDIAN,
                    LATENCY_99,
                    UNHAPPY,
                ],
            },
        ],
    },
    Scenario {
        name: "options",
        config: "options",
        kamailio: "answer",
        answered_by: AnsweredBy::Itself { request_uri: "sip:127.0.0.1:5060" },
        measurements: &[
            Measurement {
                spec: |setting| format!("blast:options:{}:max", setting.transport),
                settle: Some(1),
                figures: &[
                    Figure { name: "OPTIONS per second at the ceiling", ..CEILING },
                    Figure { name: "CPU per OPTIONS at the ceiling", ..CPU },
                    UNHAPPY,
                ],
            },
            Measurement {
                spec: |setting| format!("blast:options:{}:rate:r={}", setting.transport, setting.rate),
                settle: Some(1),
                figures: &[
                    Figure { name: "CPU per OPTIONS at a fixed rate", ..CPU },
                    LATENCY_MEDIAN,
                    LATENCY_99,
                    UNHAPPY,
                ],
            },
        ],
    },
    Scenario {
        name: "hold",
        config: "proxy",
        // Without its dialog module Kamailio keeps nothing for a call that is up.
        kamailio: "stateful-dialog",
        answered_by: AnsweredBy::Kit,
        measurements: &[Measurement {
            spec: |setting| format!("blast:call:{}:hold:n=20000,r=2000,hold=12", setting.transport),
            settle: None,
            figures: &[
                Figure {
                    name: "memory per held call",
                    unit: "KiB",
                    decimals: 2,
                    read: |line| line["pss_per_call_kib"].as_f64(),
                },
                UNHAPPY,
            ],
        }],
    },
    Scenario {
        name: "memory",
        config: "proxy",
        kamailio: "stateful",
        answered_by: AnsweredBy::Kit,
        measurements: &[Measurement {
            spec: |setting| format!("blast:call:{}:max", setting.transport),
            settle: Some(40),
            figures: &[
                Figure {
                    name: "PSS before any load",
                    unit: "MiB",
                    decimals: 1,
                    read: |line| line["pss_before"].as_f64(),
                },
                PSS_PEAK,
                Figure {
                    name: "PSS 40 s after the load",
                    unit: "MiB",
                    decimals: 1,
                    read: |line| line["pss_after"].as_f64(),
                },
                UNHAPPY,
            ],
        }],
    },
    Scenario {
        name: "overload",
        config: "proxy",
        kamailio: "stateful",
        answered_by: AnsweredBy::Kit,
        measurements: &[
            Measurement {
                spec: |setting| format!("blast:call:{}:ramp:from=3000,step=1.15", setting.transport),
                settle: Some(1),
                figures: &[Figure {
                    name: "sustainable rate",
                    unit: "calls/s",
                    decimals: 0,
                    read: |line| line["max_cps"].as_f64(),
                }],
            },
            Measurement {
                spec: |setting| {
                    let rate = setting.sustainable.unwrap_or(3000.0) * 2.0;
                    format!("blast:call:{}:rate:r={rate:.0},secs=20,settle=1", setting.transport)
                },
                settle: None,
                figures: &[
                    Figure {
                        name: "goodput at twice that rate",
                        unit: "calls/s",
                        decimals: 0,
                        // Calls that were completed late count, but so does the time that they took: `wall_s` ends a
                        // second (`settle`) after the last of them.
                        read: |line| Some(line["ok"].as_f64()? / (line["wall_s"].as_f64()? - 1.0)),
                    },
                    Figure {
                        name: "of the calls offered then",
                        unit: "%",
                        decimals: 1,
                        read: |line| Some(100.0 * line["ok"].as_f64()? / line["started"].as_f64()?),
                    },
                    Figure {
                        name: "refused with 503",
                        unit: "calls",
                        decimals: 0,
                        read: |line| Some(line["codes"]["503"].as_f64().unwrap_or(0.0)),
                    },
                    Figure {
                        name: "retransmissions",
                        unit: "per 1,000 calls",
                        decimals: 0,
                        read: |line| Some(1000.0 * line["retrans"].as_f64()? / line["started"].as_f64()?),
                    },
                    LATENCY_MEDIAN,
                    PSS_PEAK,
                ],
            },
        ],
    },
];

const CEILING: Figure = Figure { name: "ceiling", unit: "per s", decimals: 0, read: |line| line["cps"].as_f64() };

/// Seconds per thousand are milliseconds each.
const CPU: Figure = Figure { name: "CPU", unit: "ms", decimals: 4, read: |line| line["sut_cpu_per_1000"].as_f64() };

const PSS_PEAK: Figure =
    Figure { name: "PSS at its peak", unit: "MiB", decimals: 1, read: |line| line["pss_peak"].as_f64() };

const LATENCY_MEDIAN: Figure = Figure {
    name: "answered within, median",
    unit: "ms",
    decimals: 2,
    read: |line| Some(line["lat_us"]["p50"].as_f64()? / 1000.0),
};

const LATENCY_99: Figure = Figure {
    name: "answered within, 99 %",
    unit: "ms",
    decimals: 2,
    read: |line| Some(line["lat_us"]["p99"].as_f64()? / 1000.0),
};

/// Anything above nothing makes the other figures doubtful.
const UNHAPPY: Figure = Figure {
    name: "failed or retransmitted",
    unit: "",
    decimals: 0,
    read: |line| Some(line["failed"].as_f64()? + line["retrans"].as_f64()?),
};
