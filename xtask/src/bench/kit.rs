//! The measuring kit: found, copied, built and run.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::scenario::{AnsweredBy, Scenario};
use crate::shell::{self, Failure, Outcome};

/// The kit, copied to where it can write.
pub(super) struct Kit {
    folder: PathBuf,
}

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum System {
    Kamailio,
    Cordboard,
}

impl System {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kamailio => "kamailio",
            Self::Cordboard => "cordboard",
        }
    }

    /// The command that starts it in the foreground, on one core and 127.0.0.1:5060.
    fn start(self, scenario: &Scenario, transport: &str) -> String {
        match self {
            Self::Kamailio => {
                let tcp = if transport == "tcp" { " tcp" } else { "" };
                format!("sut/kamailio.sh {} 1{tcp}", scenario.kamailio)
            }
            Self::Cordboard => {
                let program = shell::target_folder().join("release").join("cordboard");
                let config = shell::root().join("benches").join(format!("{}.toml", scenario.config));
                format!("{} serve --config {}", program.display(), config.display())
            }
        }
    }
}

/// One run of the load generator.
pub(super) struct Load {
    /// In the kit's grammar.
    pub(super) spec: String,
    pub(super) seconds: u32,
    pub(super) settle: u32,
}

impl Kit {
    /// Finds the kit, copies it into the build folder and builds the load generator.
    pub(super) fn provide() -> Outcome<Self> {
        let origin = std::env::var_os("CORDBOARD_BENCH_KIT")
            .map_or_else(|| shell::root().join("../shared/bench"), PathBuf::from);
        if !origin.join("bench.py").is_file() {
            return Err(Failure::new(format!(
                "the measuring kit is not at {}; set CORDBOARD_BENCH_KIT to the folder with bench.py. Nothing was \
                 measured.",
                origin.display()
            )));
        }
        let folder = shell::target_folder().join("bench");
        copy_folder(&origin, &folder)?;
        let blast = folder.join("blast");
        shell::run(
            shell::program("rustc")
                .args(["--edition", "2021", "-C", "opt-level=3", "-A", "warnings"])
                .arg("-o")
                .arg(blast.join("blast"))
                .arg(blast.join("blast.rs")),
        )?;
        Ok(Self { folder })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts the system afresh on core 0, loads it from core 1, stops it; returns the kit's figures.
    pub(super) fn measure(&self, scenario: &Scenario, system: System, transport: &str, load: &Load) -> Outcome<Value> {
        let mut command = shell::program("python3");
        command
            .current_dir(&self.folder)
            .arg("bench.py")
            .args(["--name", system.name()])
            .args(["--start", &system.start(scenario, transport)])
            .args(["--test", &load.spec])
            .args(["--secs", &load.seconds.to_string()])
            .args(["--settle", &load.settle.to_string()])
            .args(["--repeat", "1", "--sut-core", "0", "--gen-core", "1"])
            .args(["--out", "results.jsonl"]);
        if let AnsweredBy::Itself { request_uri } = scenario.answered_by {
            command.args(["--no-uas", "--ruri", request_uri]);
        }
        first_measurement(&shell::output(&mut command)?)
    }
}

/// The kit prints a line per measurement and then a summary; here there is one measurement.
fn first_measurement(output: &str) -> Outcome<Value> {
    output
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|line| line["summary"].is_null() && line["spec"].is_string())
        .ok_or_else(|| Failure::new("the kit printed no measurement"))
}

fn copy_folder(from: &Path, to: &Path) -> Outcome {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            // The original may be read-only, and its copy with it.
            let _ = std::fs::remove_file(&target);
            std::fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measurement_is_told_from_the_summary() {
        let output = "autogroup: no\n{\"summary\":true,\"spec\":\"x\"}\n{\"spec\":\"x\",\"ok\":7}\n";
        let line = first_measurement(output).expect("one line is a measurement");
        assert_eq!(line["ok"], 7);
    }

    #[test]
    fn silence_of_the_kit_is_a_failure() {
        assert_eq!(first_measurement(""), Err(Failure::new("the kit printed no measurement")));
    }
}
