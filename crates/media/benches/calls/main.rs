//! What calls cost on one core: mirrored through the engine's bridge (decoded, mixed, encoded), encrypted and not, beside a
//! plain relay of ours and rtpengine under the same load.
//!
//! Run by `cargo xtask bench media`. What is measured has a process of its own on core 0, the load comes from core 1:
//!
//! ```text
//!   load.rs ── one socket per call, 50 packets a second each ──► server.rs: MediaEngine or Mirrors, or rtpengine
//!           ◄──────────── what is heard comes back ─────────────
//!      └── analysis.rs: which part of what was sent is this, and when did that go out?
//! ```
//!
//! `cargo bench … -- --repeat 3 --seconds 8 --only bridge-pcmu,relay --calls 2000`: all optional.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod analysis;
mod case;
mod load;
mod process;
mod report;
mod rtpengine;
mod server;
mod talk;

use std::process::ExitCode;
use std::time::Duration;

use case::{CASES, Case};
use process::Process;

/// What the person asked for.
struct Wish {
    repeat: u32,
    seconds: u64,
    /// Names of cases; all if empty.
    only: Vec<String>,
    /// Instead of each case's own number.
    calls: Option<usize>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["serve", kind, rate, keys] => server::run(kind, rate, keys),
        ["load", ..] => measure(&Wish::parse(&words[1..])),
        // `cargo bench` says so; whoever only builds and starts all targets wants no measurement.
        _ if words.contains(&"--bench") => {
            let own = std::env::current_exe().expect("the program knows itself");
            let own = own.to_string_lossy();
            let arguments: Vec<&str> = [&*own, "load"].into_iter().chain(words.iter().copied()).collect();
            match Process::start(1, &arguments).and_then(Process::wait) {
                Ok(true) => ExitCode::SUCCESS,
                Ok(false) => ExitCode::FAILURE,
                Err(error) => {
                    println!("{error}");
                    ExitCode::FAILURE
                }
            }
        }
        _ => ExitCode::SUCCESS,
    }
}

fn measure(wish: &Wish) -> ExitCode {
    let chosen = |case: &&Case| wish.only.is_empty() || wish.only.iter().any(|name| name == case.name);
    let mut cases: Vec<&Case> = CASES.iter().filter(chosen).collect();
    if !rtpengine::is_installed() {
        println!("rtpengine is not installed (Debian: rtpengine-daemon): there is nothing to compare the relay with");
        cases.retain(|case| !case.needs_rtpengine());
    }
    let mut report = report::Report::default();
    for repeat in 0..wish.repeat {
        let mut order = cases.clone();
        if repeat % 2 == 1 {
            order.reverse();
        }
        for case in order {
            println!("{} of {}: {}", repeat + 1, wish.repeat, case.name);
            let calls = wish.calls.unwrap_or(case.calls);
            match load::run(case, calls, Duration::from_secs(wish.seconds)) {
                Ok(figures) => {
                    println!("    {figures}");
                    report.add(case.name, figures);
                }
                Err(error) => {
                    println!("    not measured: {error}");
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    println!("\n{}", report.markdown(&cases));
    let missed = report.missed(&cases);
    for sentence in &missed {
        println!("missed: {sentence}");
    }
    if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Wish {
    fn parse(words: &[&str]) -> Wish {
        let value = |name: &str| words.iter().skip_while(|word| **word != name).nth(1).copied();
        let number = |name: &str| value(name).and_then(|value| value.parse::<u64>().ok()).filter(|number| *number > 0);
        Wish {
            repeat: number("--repeat").map_or(3, |repeat| repeat as u32),
            seconds: number("--seconds").unwrap_or(8),
            only: value("--only").map(|names| names.split(',').map(str::to_owned).collect()).unwrap_or_default(),
            calls: number("--calls").map(|calls| calls as usize),
        }
    }
}
