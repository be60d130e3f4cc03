//! The benchmarks: our program and Kamailio under the same load generator, in turn, in one sitting.
//!
//! The load generator and its driver (`bench.py`) are a kit beside the checkout. It is copied into `target/bench`, so
//! that it can be built and can write where it likes.
//!
//! ```text
//!   repeat ─► for each system, in alternating order ─► for each load ─► one JSON line ─► medians ─► a table
//! ```

mod kit;
mod machine;
mod report;
mod scenario;

use crate::provide::{self, Install};
use crate::shell::{self, Failure, Outcome};

use kit::{Kit, Load, System};
use report::Report;
use scenario::{SCENARIOS, Scenario};

pub(crate) const DOC: &str = "Measures `cordboard serve` beside Kamailio under the same load: CPU per call, calls per second, \
     memory, overload. `parse` and `calls` run micro-benchmarks instead, `timers` a million servlet timers, `media` a thousand \
     calls with audio, beside rtpengine where that is installed, `chat` idle chats, lines through a relay and a file beside a plain \
     copy. Without a name: all of them.";

pub(crate) const USAGE: &str = "[proxy|b2bua|registrar|options|hold|memory|overload|parse|calls|timers|media|chat …] [--quick] [--tcp] [--repeat N] [--seconds N] \
     [--rate N] [--only kamailio|cordboard]";

/// What needs no kit: benchmarks of cargo's, by name and with what cargo is told.
const ALONE: &[(&str, &[&str])] = &[
    ("parse", &["bench", "--package", "cordboard-sip-message", "--benches"]),
    ("calls", &["bench", "--package", "cordboard", "--bench", "calls"]),
    ("timers", &["bench", "--package", "cordboard", "--bench", "timers"]),
    (
        "chat",
        &["bench", "--package", "cordboard-msrp", "--bench", "endpoint", "--bench", "relay", "--bench", "transfer"],
    ),
    (MEDIA, &["bench", "--package", "cordboard-media", "--bench", "calls"]),
];

/// It is repeated, and has a yardstick of its own.
const MEDIA: &str = "media";

/// What the person asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wish {
    scenarios: Vec<&'static str>,
    transport: &'static str,
    repeat: u32,
    seconds: u32,
    /// Seconds of silence after a load that still count as its CPU; a measurement may ask for more.
    settle: u32,
    /// Calls per second of the open-loop loads.
    rate: u32,
    only: Option<String>,
}

impl Wish {
    fn parse(arguments: &[String]) -> Outcome<Self> {
        let mut wish =
            Self { scenarios: Vec::new(), transport: "udp", repeat: 3, seconds: 8, settle: 5, rate: 1000, only: None };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut number = || -> Outcome<u32> {
                arguments
                    .next()
                    .and_then(|number| number.parse().ok())
                    .filter(|&number| number > 0)
                    .ok_or_else(|| Failure::new(format!("{argument} wants a number above 0")))
            };
            match argument.as_str() {
                "--quick" => (wish.repeat, wish.seconds, wish.settle) = (1, 3, 2),
                "--tcp" => wish.transport = "tcp",
                "--repeat" => wish.repeat = number()?,
                "--seconds" => wish.seconds = number()?,
                "--rate" => wish.rate = number()?,
                "--only" => wish.only = arguments.next().cloned(),
                name => wish.scenarios.push(scenario_name(name)?),
            }
        }
        if wish.scenarios.is_empty() {
            wish.scenarios = SCENARIOS.iter().map(|scenario| scenario.name).collect();
            wish.scenarios.extend(ALONE.iter().map(|(name, _)| *name));
        }
        Ok(wish)
    }
}

fn scenario_name(name: &str) -> Outcome<&'static str> {
    SCENARIOS
        .iter()
        .map(|scenario| scenario.name)
        .chain(ALONE.iter().map(|(name, _)| *name))
        .find(|known| *known == name)
        .ok_or_else(|| Failure::new(format!("`{name}` is not understood: {USAGE}")))
}

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let wish = Wish::parse(arguments)?;
    for (name, arguments) in ALONE.iter().filter(|(name, _)| wish.scenarios.contains(name)) {
        let mut command = shell::cargo(arguments);
        if *name == MEDIA {
            // Without it the benchmark says so and measures the rest.
            provide::debian(&[provide::RTPENGINE], Install::Allowed);
            command.args(["--", "--repeat", &wish.repeat.to_string(), "--seconds", &wish.seconds.to_string()]);
        }
        shell::run(&mut command)?;
    }
    let scenarios: Vec<&Scenario> =
        SCENARIOS.iter().filter(|scenario| wish.scenarios.contains(&scenario.name)).collect();
    if scenarios.is_empty() {
        return Ok(());
    }
    let kit = Kit::provide()?;
    let systems = systems(&wish)?;
    let mut document = machine::description();
    println!("{document}");
    for scenario in scenarios {
        let report = measure(&kit, scenario, &systems, &wish)?;
        let table = report.markdown(scenario);
        println!("\n{table}");
        document.push_str(&format!("\n{table}"));
    }
    let path = kit.folder().join("report.md");
    std::fs::write(&path, document)?;
    println!("\nKept in {}", path.display());
    Ok(())
}

/// Builds or installs what is measured.
fn systems(wish: &Wish) -> Outcome<Vec<System>> {
    let wanted = |system: &System| wish.only.as_ref().is_none_or(|only| only == system.name());
    let systems: Vec<System> = [System::Kamailio, System::Cordboard].into_iter().filter(wanted).collect();
    if systems.is_empty() {
        return Err(Failure::new("--only wants kamailio or cordboard"));
    }
    if systems.contains(&System::Kamailio) && !provide::debian(&[provide::KAMAILIO], Install::Allowed).is_empty() {
        return Err(Failure::new("Kamailio is missing; --only cordboard measures without it"));
    }
    if systems.contains(&System::Cordboard) {
        shell::run(&mut shell::cargo(&["build", "--release"]))?;
    }
    Ok(systems)
}

fn measure(kit: &Kit, scenario: &Scenario, systems: &[System], wish: &Wish) -> Outcome<Report> {
    let mut report = Report::new(systems);
    for repeat in 0..wish.repeat {
        let mut order: Vec<System> = systems.to_vec();
        if repeat % 2 == 1 {
            order.reverse();
        }
        for system in order {
            let mut sustainable = None;
            for (index, measurement) in scenario.measurements.iter().enumerate() {
                let load = Load {
                    spec: (measurement.spec)(&scenario::Setting {
                        transport: wish.transport,
                        rate: wish.rate,
                        sustainable,
                    }),
                    seconds: wish.seconds,
                    settle: measurement.settle.unwrap_or(wish.settle),
                };
                println!("{} of {}: {}: {}", repeat + 1, wish.repeat, system.name(), load.spec);
                let line = kit.measure(scenario, system, wish.transport, &load)?;
                // Only a ramp finds this; the loads after it may be multiples of it.
                sustainable = line["max_cps"].as_f64().or(sustainable);
                report.add(system, index, line);
            }
        }
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Outcome<Wish> {
        let arguments: Vec<String> = arguments.iter().map(|&one| one.to_owned()).collect();
        Wish::parse(&arguments)
    }

    #[test]
    fn without_a_name_everything_is_measured() {
        let wish = parse(&["--quick"]).expect("a known flag");
        assert_eq!(wish.scenarios.len(), SCENARIOS.len() + ALONE.len());
        assert_eq!((wish.repeat, wish.seconds, wish.settle), (1, 3, 2));
    }

    #[test]
    fn scenarios_are_chosen_by_name_and_unknown_ones_are_named() {
        let wish = parse(&["proxy", "--repeat", "5"]).expect("a known scenario");
        assert_eq!((wish.scenarios, wish.repeat), (vec!["proxy"], 5));
        let error = parse(&["prxy"]).expect_err("a misspelt scenario");
        assert!(error.to_string().starts_with("`prxy` is not understood"));
    }
}
