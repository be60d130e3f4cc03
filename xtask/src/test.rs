//! Every test there is, in the order in which they are likely to fail, on the program as a user would build it.

use std::process::Command;

use crate::provide::{self, Install, Tool};
use crate::shell::{self, Failure, Outcome, Stages};

pub(crate) const DOC: &str = "All tests: unit, RFC sections, stories, doc examples, then calls with foreign peers (SIPp, \
     Kamailio, baresip, browsers), which it installs when it may. --no-interop leaves the peers out.";

/// What the person asked for.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    interop: bool,
    install: bool,
}

impl Wish {
    fn parse(arguments: &[String]) -> Outcome<Self> {
        let mut wish = Self { interop: true, install: true };
        for argument in arguments {
            match argument.as_str() {
                "--no-interop" => wish.interop = false,
                "--no-install" => wish.install = false,
                other => return Err(Failure::new(format!("`{other}` is not understood"))),
            }
        }
        Ok(wish)
    }

    fn install(&self) -> Install {
        if self.install { Install::Allowed } else { Install::Forbidden }
    }
}

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let wish = Wish::parse(arguments)?;
    let runner = Runner::choose(wish.install());
    let mut stages = Stages::default();
    let mut closing_lines = Vec::new();

    // Peers come first although they are used last: what cannot be installed should show before minutes of building.
    if wish.interop {
        stages.stage("peers for the interop tests", || provide_peers(wish.install()))?;
    }
    let tests_pass = stages.stage("tests of the workspace", || {
        let (outcome, closing) = runner.run(Part::Workspace);
        closing_lines.extend(closing);
        outcome
    });
    if tests_pass.is_ok() {
        let _ = stages.stage("examples in the documentation", || {
            shell::run(&mut shell::cargo(&["test", "--quiet", "--doc", "--workspace"]))
        });
        if wish.interop {
            let built = stages
                .stage("the program, as a user builds it", || shell::run(&mut shell::cargo(&["build", "--release"])));
            if built.is_ok() {
                let _ = stages.stage("calls with foreign peers", || {
                    let (outcome, closing) = runner.run(Part::Interop);
                    // The workspace's line closes the run.
                    closing_lines.splice(0..0, closing);
                    outcome
                });
            }
        }
    }
    stages.print();
    for line in &closing_lines {
        println!("{line}");
    }
    stages.verdict()
}

fn provide_peers(install: Install) -> Outcome {
    let mut missing: Vec<String> = provide::debian(provide::INTEROP_PEERS, install)
        .into_iter()
        .map(|one| format!("{} ({})", one.package, one.needed_for))
        .collect();
    if let Err(failure) = provide::npm(install) {
        missing.push(format!("JsSIP, SIP.js and playwright-core (calls from a browser): {failure}"));
    }
    if let Err(failure) = provide::python(install) {
        missing.push(format!("PJSUA2 (calls with its phone): {failure}"));
    }
    if missing.is_empty() {
        println!("all there");
        return Ok(());
    }
    let paragraph = format!(
        "Missing: {}. They are Debian packages, npm packages and a Python wheel; `apt-get install -y --no-install-recommends` as root \
         brings the former.",
        missing.join("; ")
    );
    if shell::in_ci() {
        return Err(Failure::new(paragraph));
    }
    println!("{paragraph} The interop tests that call these peers will say that they are skipped.");
    Ok(())
}

/// Which half of the tests; both are built together, so that nothing is built twice.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Workspace,
    Interop,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Runner {
    Nextest,
    CargoTest,
}

impl Runner {
    fn choose(install: Install) -> Self {
        if Tool::Nextest.provide(install) {
            Self::Nextest
        } else {
            println!("cargo-nextest is not here: `cargo test` runs the tests instead");
            Self::CargoTest
        }
    }

    /// Builds the tests, then runs one part of them in a network of its own; returns the runner's closing lines.
    fn run(self, part: Part) -> (Outcome, Vec<String>) {
        let verb: &[&str] = match self {
            Self::Nextest => &["nextest", "run"],
            Self::CargoTest => &["test"],
        };
        let build = [verb, &["--workspace", "--no-run"]].concat();
        if let Err(failure) = shell::run(&mut shell::cargo(&build)) {
            return (Err(failure), Vec::new());
        }
        let selection: &[&str] = match (self, part) {
            (Self::Nextest, Part::Workspace) => &["--workspace", "-E", "not package(cordboard-interop)"],
            (Self::Nextest, Part::Interop) => &["--workspace", "-E", "package(cordboard-interop)"],
            (Self::CargoTest, Part::Workspace) => &["--workspace", "--exclude", "cordboard-interop", "--all-targets"],
            (Self::CargoTest, Part::Interop) => &["-p", "cordboard-interop", "--all-targets"],
        };
        let mut command = loopback_only(&[verb, selection].concat());
        command
            .env("CORDBOARD_BIN", shell::target_folder().join("release").join("cordboard"))
            .env("CORDBOARD_INTEROP_PYTHON", shell::target_folder().join("interop/python/bin/python"))
            .env("CORDBOARD_INTEROP_NPM", shell::target_folder().join("interop").join("npm"));
        let (outcome, mut closing) = shell::run_and_remember(&mut command, is_a_runners_closing_line);
        if self == Self::Nextest {
            closing = closing.pop().into_iter().collect();
        }
        (outcome, closing)
    }
}

fn is_a_runners_closing_line(line: &str) -> bool {
    line.contains("Summary [") && line.contains(" run:") || line.starts_with("test result:")
}

/// Cargo in a network namespace that holds nothing but a loopback interface, where the system lets us make one.
///
/// Tests send hostile messages and pick ports; neither may meet anything else on this machine or beyond it.
fn loopback_only(arguments: &[&str]) -> Command {
    const RAISE_LOOPBACK: &str = "ip link set lo up && exec \"$@\"";
    let namespace = ["--net", "sh", "-c", RAISE_LOOPBACK, "sh"];
    if !shell::succeeds(shell::program("unshare").args(namespace).arg("true")) {
        println!("no network namespace can be made here: the tests share this machine's loopback");
        return shell::cargo(arguments);
    }
    let mut command = shell::cargo_through("unshare", &namespace, arguments);
    command.env("CARGO_NET_OFFLINE", "true");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_arguments_everything_runs_and_may_be_installed() {
        let wish = Wish::parse(&[]).expect("nothing to misunderstand");
        assert!(wish.interop);
        assert_eq!(wish.install(), Install::Allowed);
    }

    #[test]
    fn an_unknown_argument_is_named() {
        assert_eq!(Wish::parse(&["--fast".to_owned()]), Err(Failure::new("`--fast` is not understood")));
    }

    #[test]
    fn the_closing_lines_of_both_runners_are_known() {
        assert!(is_a_runners_closing_line("     Summary [   0.012s] 9 tests run: 9 passed, 0 skipped"));
        assert!(is_a_runners_closing_line("test result: ok. 9 passed; 0 failed; 0 ignored"));
        assert!(!is_a_runners_closing_line("        PASS [   0.004s] xtask a_summary_is_printed"));
    }
}
