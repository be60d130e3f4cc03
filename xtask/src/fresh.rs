//! The README's first commands, in a fresh clone with nothing built: what a newcomer meets.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::shell::{self, Failure, Outcome, Stages};

pub(crate) const DOC: &str =
    "Clones HEAD into a temporary folder and runs the README's first commands there, as a newcomer would.";

/// A server that is still up after this long works; its command is then stopped.
const SERVES_FOR: Duration = Duration::from_secs(10);

pub(crate) fn run(arguments: &[String]) -> Outcome {
    if let Some(first) = arguments.first() {
        return Err(Failure::new(format!("`{first}` is not understood")));
    }
    let readme = std::fs::read_to_string(shell::root().join("README.md"))?;
    let commands = first_commands(&readme);
    if commands.is_empty() {
        return Err(Failure::new("README.md has no ```sh block with cargo commands"));
    }
    let clone = Clone::make()?;
    let mut stages = Stages::default();
    for command in commands {
        let _ = stages.stage(command, || run_in(&clone.folder, command));
    }
    stages.print();
    stages.verdict()
}

/// The cargo commands of the first shell block.
fn first_commands(readme: &str) -> Vec<&str> {
    readme
        .lines()
        .skip_while(|line| !matches!(line.trim(), "```sh" | "```console" | "```bash"))
        .skip(1)
        .take_while(|line| !line.trim_start().starts_with("```"))
        .map(|line| line.trim().trim_start_matches("$ "))
        .map(|line| line.split(" #").next().unwrap_or(line).trim_end())
        .filter(|line| line.starts_with("cargo "))
        .collect()
}

/// A command of xtask is waited for; any other is built, then either ends well or stays up.
fn run_in(folder: &Path, command: &str) -> Outcome {
    let words: Vec<&str> = command.split_whitespace().skip(1).collect();
    if words.first() == Some(&"xtask") {
        return shell::run(&mut in_clone(folder, &words));
    }
    let mut build = vec!["build"];
    build.extend(words.iter().filter(|word| **word == "--release"));
    shell::run(&mut in_clone(folder, &build))?;
    println!("$ {command}");
    let mut child = in_clone(folder, &words).spawn()?;
    let begun = Instant::now();
    while begun.elapsed() < SERVES_FOR {
        if let Some(status) = child.try_wait()? {
            return if status.success() { Ok(()) } else { Err(Failure::new(format!("ended with {status}"))) };
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    println!("still up after {} s: stopping it", SERVES_FOR.as_secs());
    child.kill()?;
    child.wait()?;
    Ok(())
}

fn in_clone(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = shell::cargo(arguments);
    command.current_dir(folder).env_remove("CARGO_TARGET_DIR").stdin(Stdio::null());
    command
}

/// A clone that goes away with this value.
struct Clone {
    folder: PathBuf,
}

impl Clone {
    fn make() -> Outcome<Self> {
        let folder = std::env::temp_dir().join(format!("cordboard-fresh-{}", std::process::id()));
        let clone = Self { folder };
        shell::run(shell::program("git").args(["clone", "--quiet", "--no-hardlinks", "."]).arg(&clone.folder))?;
        Ok(clone)
    }
}

impl Drop for Clone {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_shell_block_tells_the_commands() {
        let readme =
            "# Name\n```sh\n$ cargo run --release   # a server\ncargo xtask test\necho no\n```\n```sh\ncargo no\n```";
        assert_eq!(first_commands(readme), ["cargo run --release", "cargo xtask test"]);
    }
}
