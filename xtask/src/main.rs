//! One entry for everything a contributor runs: `cargo xtask <command>`.
//!
//! A command is a module with a `DOC` line (what `cargo xtask help` prints) and a `run` function; to add one, add a row
//! to [`COMMANDS`]. What the commands share stands beside them: [`shell`] starts other programs, [`provide`] installs
//! what they need through package managers.

#![expect(clippy::print_stdout, reason = "a command-line tool speaks on standard output")]

mod arrows;
mod bench;
mod check;
mod fresh;
mod fuzz;
mod provide;
mod shell;
mod test;

use std::process::ExitCode;

use shell::Outcome;

struct Command {
    name: &'static str,
    usage: &'static str,
    doc: &'static str,
    run: fn(&[String]) -> Outcome,
}

/// In the order in which a newcomer meets them.
const COMMANDS: &[Command] = &[
    Command { name: "test", usage: "[--no-interop] [--no-install]", doc: test::DOC, run: test::run },
    Command { name: "check", usage: "", doc: check::DOC, run: check::run },
    Command { name: "arrows", usage: "", doc: arrows::DOC, run: arrows::run },
    Command {
        name: "fuzz",
        usage: "[--smoke | --seconds N] [--sanitizer address] [TARGET…]",
        doc: fuzz::DOC,
        run: fuzz::run,
    },
    Command { name: "bench", usage: bench::USAGE, doc: bench::DOC, run: bench::run },
    Command { name: "fresh", usage: "", doc: fresh::DOC, run: fresh::run },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let name = arguments.first().map_or("help", String::as_str);
    if matches!(name, "help" | "--help" | "-h") {
        print_help();
        return ExitCode::SUCCESS;
    }
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        eprintln!("xtask: there is no command `{name}`\n");
        print_help();
        return ExitCode::from(2);
    };
    match (command.run)(&arguments[1..]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask {name}: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn print_help() {
    println!("cargo xtask <command>\n");
    for command in COMMANDS {
        println!("  {} {}", command.name, command.usage);
        println!("      {}\n", command.doc);
    }
}
