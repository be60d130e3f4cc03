//! Random bytes against everything that reads untrusted input. The targets are `fuzz/fuzz_targets/*.rs`, their seeds
//! `fuzz/corpus/<target>/` (files with readable names are kept, those that the fuzzer names itself are not).

use std::process::Command;

use crate::provide::{self, Install, Tool};
use crate::shell::{self, Failure, Outcome, Stages};

pub(crate) const DOC: &str = "Fuzzes the parsers and machines from the seeds in fuzz/corpus. --smoke: a few seconds each; \
     --seconds N: that long each (60); --sanitizer address: also watch memory (needs a nightly toolchain).";

const SMOKE_SECONDS: u32 = 5;
const SECONDS: u32 = 60;

/// What the person asked for.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    seconds: u32,
    sanitizer: String,
    targets: Vec<String>,
}

impl Wish {
    fn parse(arguments: &[String]) -> Outcome<Self> {
        let mut wish = Self {
            seconds: SECONDS,
            // The fuzzed crates hold no unsafe code; without a sanitizer the project's own toolchain will do, and the
            // fuzzer sees several times as many inputs.
            sanitizer: "none".to_owned(),
            targets: Vec::new(),
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--smoke" => wish.seconds = SMOKE_SECONDS,
                "--seconds" => {
                    wish.seconds = arguments
                        .next()
                        .and_then(|seconds| seconds.parse().ok())
                        .ok_or_else(|| Failure::new("--seconds wants a number"))?;
                }
                "--sanitizer" => {
                    wish.sanitizer = arguments.next().ok_or_else(|| Failure::new("--sanitizer wants a name"))?.clone();
                }
                other if other.starts_with('-') => {
                    return Err(Failure::new(format!("`{other}` is not understood")));
                }
                target => wish.targets.push(target.to_owned()),
            }
        }
        Ok(wish)
    }
}

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let mut wish = Wish::parse(arguments)?;
    provide_tools()?;
    let known = targets()?;
    if wish.targets.is_empty() {
        wish.targets = known;
    } else if let Some(unknown) = wish.targets.iter().find(|name| !known.contains(name)) {
        return Err(Failure::new(format!("there is no fuzz target `{unknown}`; there are {}", known.join(", "))));
    }
    let toolchain = Toolchain::choose(&wish.sanitizer);
    let mut stages = Stages::default();
    stages.stage("building the fuzz targets", || shell::run(&mut toolchain.cargo_fuzz("build", &wish.sanitizer)))?;
    for target in &wish.targets {
        let _ = stages.stage(target, || fuzz(target, &wish, toolchain));
    }
    stages.print();
    stages.verdict()
}

fn fuzz(target: &str, wish: &Wish, toolchain: Toolchain) -> Outcome {
    std::fs::create_dir_all(shell::root().join("fuzz/corpus").join(target))?;
    let said = shell::run_quietly(
        toolchain
            .cargo_fuzz("run", &wish.sanitizer)
            .arg(target)
            .arg("--")
            .arg(format!("-max_total_time={}", wish.seconds))
            // A message may be as long as a datagram; it takes milliseconds to read and a few times its size to keep.
            .args(["-max_len=65536", "-timeout=5", "-rss_limit_mb=1024"])
            .args(["-print_final_stats=1", "-verbosity=0"]),
    )?;
    for figure in said.lines().filter(|line| line.starts_with("stat::")) {
        println!("{figure}");
    }
    Ok(())
}

fn provide_tools() -> Outcome {
    if let Some(missing) = provide::debian(&[provide::CPLUSPLUS], Install::Allowed).first() {
        return Err(Failure::new(format!("{} is missing ({})", missing.package, missing.needed_for)));
    }
    if Tool::Fuzz.provide(Install::Allowed) {
        Ok(())
    } else {
        Err(Failure::new("cargo-fuzz is neither here nor installable"))
    }
}

/// One file is one target.
fn targets() -> Outcome<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(shell::root().join("fuzz/fuzz_targets"))? {
        let path = entry?.path();
        if let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) {
            names.push(stem.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Sanitizers are unstable compiler flags; coverage for the fuzzer is not.
#[derive(Clone, Copy)]
enum Toolchain {
    /// The project's own.
    Pinned,
    /// The project's own, told to accept unstable flags.
    PinnedWithUnstableFlags,
    Nightly,
}

impl Toolchain {
    fn choose(sanitizer: &str) -> Self {
        let has_nightly = || {
            shell::output(shell::program("rustup").args(["toolchain", "list"]))
                .is_ok_and(|list| list.lines().any(|line| line.starts_with("nightly-")))
        };
        if sanitizer == "none" {
            Self::Pinned
        } else if has_nightly() {
            Self::Nightly
        } else {
            Self::PinnedWithUnstableFlags
        }
    }

    fn cargo_fuzz(self, verb: &str, sanitizer: &str) -> Command {
        let arguments = ["fuzz", verb, "--sanitizer", sanitizer];
        let mut command = shell::cargo(&arguments);
        match self {
            Self::Pinned => {}
            Self::PinnedWithUnstableFlags => {
                command.env("RUSTC_BOOTSTRAP", "1");
            }
            Self::Nightly => {
                command.env("RUSTUP_TOOLCHAIN", "nightly");
            }
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Outcome<Wish> {
        let arguments: Vec<String> = arguments.iter().map(|&one| one.to_owned()).collect();
        Wish::parse(&arguments)
    }

    #[test]
    fn smoke_is_a_few_seconds_of_every_target() {
        let wish = parse(&["--smoke"]).expect("a known flag");
        assert_eq!((wish.seconds, wish.targets.len()), (SMOKE_SECONDS, 0));
    }

    #[test]
    fn seconds_and_targets_can_be_chosen() {
        let wish = parse(&["--seconds", "7", "uri", "sdp"]).expect("known flags");
        assert_eq!((wish.seconds, wish.targets.len()), (7, 2));
        assert_eq!(parse(&["--seconds", "long"]), Err(Failure::new("--seconds wants a number")));
    }
}
