//! Servlet timers: what a million of them take, and what a call waits when a hundred thousand fire in one second.
//!
//! Run by `cargo xtask bench timers`. Each case has a process of its own: what one has left behind is no other's figure.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod caller;
mod firing;
mod memory;

use std::process::{Command, ExitCode};

struct Case {
    name: &'static str,
    /// Prints the figures; whether they are what they should be.
    measure: fn() -> bool,
}

const CASES: &[Case] = &[
    Case { name: "a-million-without-info", measure: memory::without_info },
    Case { name: "a-million-with-a-number", measure: memory::with_a_number },
    Case { name: "a-million-in-sessions-of-their-own", measure: memory::in_sessions_of_their_own },
    Case { name: "firing-over-a-second", measure: firing::over_a_second },
    Case { name: "firing-at-once", measure: firing::at_once },
    Case { name: "firing-at-once-in-sessions-of-their-own", measure: firing::at_once_in_sessions_of_their_own },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(case) = CASES.iter().find(|case| arguments.iter().any(|argument| argument == case.name)) {
        println!("\n{}", case.name);
        return if (case.measure)() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    // `cargo bench` says so; whoever only builds and starts all targets wants no measurement.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let failed: Vec<&str> = CASES.iter().map(|case| case.name).filter(|name| !passes(name)).collect();
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("\nmissed: {}", failed.join(", "));
    ExitCode::FAILURE
}

fn passes(name: &str) -> bool {
    let program = std::env::current_exe().expect("the program knows itself");
    Command::new(program).arg(name).status().is_ok_and(|status| status.success())
}

/// The allocator of the program (docs/decisions/0005-allocator.md): memory is measured as a user has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
