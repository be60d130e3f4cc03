//! What must hold of the source before it is worth running: quickest first, so that a slip shows within seconds.

use crate::provide::{Install, Tool};
use crate::shell::{self, Failure, Outcome, Stages};

pub(crate) const DOC: &str = "Formatting, arrows, clippy and rustdoc without warnings, licences and sources of the \
     dependencies (cargo-deny), and known vulnerabilities where their database can be reached.";

pub(crate) fn run(arguments: &[String]) -> Outcome {
    if let Some(first) = arguments.first() {
        return Err(Failure::new(format!("`{first}` is not understood")));
    }
    let mut stages = Stages::default();
    let _ = stages.stage("formatting", || {
        shell::run(&mut shell::cargo(&["fmt", "--all", "--", "--check"]))?;
        shell::run(&mut shell::cargo(&["fmt", "--manifest-path", "fuzz/Cargo.toml", "--", "--check"]))
    });
    let _ = stages.stage("arrows", || crate::arrows::run(&[]));
    let compiles = stages.stage("clippy", || {
        shell::run(&mut shell::cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
    });
    // What does not compile has no documentation either: the same errors twice help nobody.
    if compiles.is_ok() {
        let _ = stages.stage("documentation", || {
            shell::run(shell::cargo(&["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
        });
    }
    let _ = stages.stage("dependencies", dependencies);
    stages.print();
    stages.verdict()
}

fn dependencies() -> Outcome {
    if !Tool::Deny.provide(Install::Allowed) {
        let sentence = "cargo-deny is neither here nor installable: licences and sources were NOT checked";
        if shell::in_ci() {
            return Err(Failure::new(sentence));
        }
        println!("{sentence}");
        return Ok(());
    }
    shell::run(&mut shell::cargo(&["deny", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"]))?;
    // The advisory database is a repository on the web. A machine without it must not be told that all is well.
    if shell::succeeds(&mut shell::cargo(&["deny", "fetch", "db"])) {
        shell::run(&mut shell::cargo(&["deny", "check", "advisories"]))
    } else {
        println!("The advisory database cannot be reached from here: known vulnerabilities were NOT checked.");
        Ok(())
    }
}
