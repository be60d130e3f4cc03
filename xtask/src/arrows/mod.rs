//! The house's rules that no compiler checks: who may use whom, what a pure crate must not contain, where `unsafe` may
//! stand, and that nothing is left lying about.
//!
//! ```text
//!   cargo metadata ──► table ───┐
//!                               ├──► violations, each with its place and the rule
//!   sources ──► purity, hygiene ┘
//! ```

mod hygiene;
mod purity;
mod source;
mod table;

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::shell::{self, Failure, Outcome};

pub(crate) const DOC: &str = "Who may use whom, no clock, socket, task, lock or random source in a pure crate, unsafe in \
     one file, no notes without an owner.";

/// A place where a rule does not hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    file: PathBuf,
    line: usize,
    rule: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.rule)
    }
}

pub(crate) fn run(arguments: &[String]) -> Outcome {
    if let Some(first) = arguments.first() {
        return Err(Failure::new(format!("`{first}` is not understood")));
    }
    let metadata = cargo_metadata()?;
    let root = shell::root();
    let mut violations = table::violations(&metadata, &root);
    for package in table::house(&metadata) {
        let sources = source::rust_files(&package.folder)?;
        for file in &sources {
            violations.extend(purity::unsafe_outside_its_file(&root, file));
        }
        for file in source::without_tests(&sources, &package.folder) {
            if !table::may_open_sockets(package.room) {
                violations.extend(purity::sockets(&root, &file));
            }
            if table::is_pure(package.room) || purity::is_beside_a_driver(&root, &file) {
                violations.extend(purity::impurities(&root, &file));
            }
        }
    }
    let paths = hygiene::our_files()?;
    for path in &paths {
        if let Ok(text) = std::fs::read_to_string(root.join(path)) {
            violations.extend(hygiene::leftovers(path, &text));
        }
    }
    let index = std::fs::read_to_string(root.join("docs/decisions/README.md"))?;
    violations.extend(hygiene::unlisted_decisions(&paths, &index));
    violations.sort();
    violations.dedup();
    for violation in &violations {
        println!("{violation}");
    }
    match violations.len() {
        0 => {
            println!("arrows hold");
            Ok(())
        }
        count => Err(Failure::new(format!("{count} rule(s) broken"))),
    }
}

fn cargo_metadata() -> Outcome<Value> {
    let text = shell::output(&mut shell::cargo(&[
        "metadata",
        "--format-version=1",
        "--filter-platform=x86_64-unknown-linux-gnu",
    ]))?;
    serde_json::from_str(&text).map_err(|error| Failure::new(format!("cargo metadata is not JSON: {error}")))
}

/// The line, counted from one, where a manifest first names a dependency; 1 if it does not spell it out.
fn line_of(manifest: &Path, dependency: &str) -> usize {
    std::fs::read_to_string(manifest)
        .ok()
        .and_then(|text| {
            text.lines()
                .position(|line| line.strip_prefix(dependency).is_some_and(|rest| rest.starts_with(['.', ' ', '='])))
        })
        .map_or(1, |index| index + 1)
}
