//! The program: `cordboard serve`.

use std::process::ExitCode;

use clap::Parser as _;

/// Chosen over the system's allocator by measurement: docs/decisions/0005-allocator.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cordboard::cli::run(cordboard::cli::Cli::parse())
}
