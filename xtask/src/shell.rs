//! Starting other programs, timing stages, and telling failures.

use std::ffi::OsStr;
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a command or a stage comes to.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// A sentence for the person who ran the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

/// The checkout's root folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask/ stands in the root folder").to_owned()
}

/// Where cargo puts what it builds, and where xtask keeps what it makes.
pub(crate) fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// True on a machine that runs the checks unattended: there a missing peer is a failure, not a skip.
pub(crate) fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}

/// A program to run from the root folder, without standard input.
pub(crate) fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// Cargo, as a person would have started it.
///
/// `cargo run` tells xtask about its own package by environment. Build scripts that watch those variables (ring's does)
/// would otherwise be run anew whenever a build changes hands between a terminal and xtask.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = program("cargo");
    command.args(arguments);
    forget_own_package(&mut command);
    command
}

/// As [`cargo`], started by another program that takes a command line after its own arguments.
pub(crate) fn cargo_through(starter: &str, own: &[&str], arguments: &[&str]) -> Command {
    let mut command = program(starter);
    command.args(own).arg("cargo").args(arguments);
    forget_own_package(&mut command);
    command
}

fn forget_own_package(command: &mut Command) {
    const SET_BY_CARGO_RUN: [&str; 4] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
    for (name, _) in std::env::vars_os() {
        let about_xtask =
            name.to_str().is_some_and(|name| SET_BY_CARGO_RUN.iter().any(|prefix| name.starts_with(prefix)));
        if about_xtask {
            command.env_remove(name);
        }
    }
}

/// Says what is run, runs it, and fails if it fails.
pub(crate) fn run(command: &mut Command) -> Outcome {
    println!("$ {}", shown(command));
    let status = command.status().map_err(|error| cannot_start(command, &error))?;
    if status.success() { Ok(()) } else { Err(Failure(format!("`{}` ended with {status}", shown(command)))) }
}

/// As [`run`], and returns the lines that `wanted` accepts; everything is passed on as it comes.
pub(crate) fn run_and_remember(command: &mut Command, wanted: fn(&str) -> bool) -> (Outcome, Vec<String>) {
    println!("$ {}", shown(command));
    let mut child = match command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(error) => return (Err(cannot_start(command, &error)), Vec::new()),
    };
    let stdout = child.stdout.take().expect("standard output is piped");
    let stderr = child.stderr.take().expect("standard error is piped");
    let copying = std::thread::spawn(move || copy_lines(stderr, &mut std::io::stderr(), wanted));
    let mut remembered = copy_lines(stdout, &mut std::io::stdout(), wanted);
    remembered.extend(copying.join().expect("copying lines does not panic"));
    let outcome = match child.wait() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure(format!("`{}` ended with {status}", shown(command)))),
        Err(error) => Err(error.into()),
    };
    (outcome, remembered)
}

/// Standard output of a program that must succeed; standard error is passed on.
pub(crate) fn output(command: &mut Command) -> Outcome<String> {
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| cannot_start(command, &error))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(Failure(format!("`{}` ended with {}", shown(command), output.status)))
    }
}

/// Runs a talkative program in silence and returns what it said; if it fails, the end of that is shown.
pub(crate) fn run_quietly(command: &mut Command) -> Outcome<String> {
    const SHOWN: usize = 60;
    println!("$ {}", shown(command));
    let output = command.output().map_err(|error| cannot_start(command, &error))?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    let lines: Vec<&str> = said.lines().collect();
    for line in &lines[lines.len().saturating_sub(SHOWN)..] {
        println!("{line}");
    }
    Err(Failure(format!("`{}` ended with {}", shown(command), output.status)))
}

/// Whether a program runs and succeeds, in silence.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Where a program is, as a shell would find it; the system's folders count even if `PATH` leaves them out.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

/// Runs stages one after the other and remembers how long each took.
#[derive(Default)]
pub(crate) struct Stages {
    finished: Vec<(String, Duration, Outcome)>,
}

impl Stages {
    /// Announces a stage, runs it, and remembers its time and outcome; the outcome is also returned.
    pub(crate) fn stage(&mut self, name: &str, body: impl FnOnce() -> Outcome) -> Outcome {
        println!("\n── {name}");
        let begun = Instant::now();
        let outcome = body();
        if let Err(failure) = &outcome {
            println!("✗ {name}: {failure}");
        }
        self.finished.push((name.to_owned(), begun.elapsed(), outcome.clone()));
        outcome
    }

    /// One line per stage: its time, and whether it failed.
    pub(crate) fn print(&self) {
        println!();
        for (name, took, outcome) in &self.finished {
            let mark = if outcome.is_ok() { "✓" } else { "✗" };
            println!("{mark} {:>7.1} s  {name}", took.as_secs_f64());
        }
    }

    /// Fails if any stage did, and names them.
    pub(crate) fn verdict(&self) -> Outcome {
        let failed: Vec<&str> =
            self.finished.iter().filter(|(_, _, outcome)| outcome.is_err()).map(|(name, _, _)| name.as_str()).collect();
        if failed.is_empty() { Ok(()) } else { Err(Failure(format!("failed: {}", failed.join(", ")))) }
    }
}

fn copy_lines(from: impl std::io::Read, to: &mut impl Write, wanted: fn(&str) -> bool) -> Vec<String> {
    let mut remembered = Vec::new();
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        // A reader that has gone away (`| head`) is no reason to stop the tests.
        let _ = to.write_all(&line).and_then(|()| to.flush());
        let text = String::from_utf8_lossy(&line);
        if wanted(&text) {
            remembered.push(text.trim_end().to_owned());
        }
        line.clear();
    }
    remembered
}

fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|part| part.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

fn cannot_start(command: &Command, error: &std::io::Error) -> Failure {
    Failure(format!("`{}` cannot be started: {error}", shown(command)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_stage_is_named_and_the_others_still_run() {
        let mut stages = Stages::default();
        let first = stages.stage("one", || Err(Failure::new("no")));
        let second = stages.stage("two", || Ok(()));
        assert_eq!(first, Err(Failure::new("no")));
        assert_eq!(second, Ok(()));
        assert_eq!(stages.verdict(), Err(Failure::new("failed: one")));
    }

    #[test]
    fn wanted_lines_are_remembered_and_everything_is_passed_on() {
        let mut passed_on = Vec::new();
        let remembered = copy_lines(&b"one\ntwo\nthree"[..], &mut passed_on, |line| line.starts_with('t'));
        assert_eq!(remembered, ["two", "three"]);
        assert_eq!(passed_on, b"one\ntwo\nthree");
    }
}
