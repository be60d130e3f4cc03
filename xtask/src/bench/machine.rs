//! Figures mean nothing without the machine that they were taken on.

use crate::shell;

/// Processor, cores, memory, kernel, distribution, compiler, and the programs' versions, as a Markdown paragraph.
pub(super) fn description() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let facts = [
        Some(format!("{cores} × {}", processor())),
        memory(),
        read("/proc/sys/kernel/osrelease").map(|release| format!("Linux {}", release.trim())),
        field("/etc/os-release", "PRETTY_NAME", '=').map(|name| name.trim_matches('"').to_owned()),
        shell::output(shell::program("rustc").arg("--version")).ok(),
        kamailio(),
        commit(),
    ];
    let facts: Vec<String> = facts.into_iter().flatten().map(|fact| fact.trim().to_owned()).collect();
    format!(
        "Machine: {}. The system under test has core 0, the load generator core 1, everything is on loopback.\n",
        facts.join("; ")
    )
}

fn processor() -> String {
    field("/proc/cpuinfo", "model name", ':').unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

fn memory() -> Option<String> {
    let total = field("/proc/meminfo", "MemTotal", ':')?;
    let kibibytes: u64 = total.split_whitespace().next()?.parse().ok()?;
    Some(format!("{} GiB", kibibytes.div_ceil(1024 * 1024)))
}

fn kamailio() -> Option<String> {
    let program = shell::find_program("kamailio")?;
    let text = shell::output(shell::program(program).arg("-v")).ok()?;
    let version = text.lines().next()?.strip_prefix("version: ")?;
    version.split(" (").next().map(|version| version.replace("kamailio", "Kamailio"))
}

fn commit() -> Option<String> {
    let describe = ["describe", "--always", "--dirty"];
    let name = shell::output(shell::program("git").args(describe)).ok()?;
    Some(format!("commit {}", name.trim()))
}

fn field(file: &str, name: &str, separator: char) -> Option<String> {
    read(file)?.lines().find_map(|line| {
        let (key, value) = line.split_once(separator)?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

fn read(file: &str) -> Option<String> {
    std::fs::read_to_string(file).ok()
}
