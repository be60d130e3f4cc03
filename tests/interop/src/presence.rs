//! Which programs are installed, and what to do without them.

use std::path::{Path, PathBuf};

use crate::server;

/// Whether `cordboard` is built and every one of these programs is installed.
///
/// Says aloud what is missing; panics where `CI` is set, because a test that silently checks
/// nothing must not look like one that passed.
pub fn all_present(programs: &[&str]) -> bool {
    let mut missing: Vec<String> = Vec::new();
    if server::program().is_none() {
        missing.push("cordboard (cargo build --release -p cordboard)".to_owned());
    }
    missing.extend(programs.iter().filter(|name| find(name).is_none()).map(|name| (*name).to_owned()));
    if missing.is_empty() {
        return true;
    }
    let message = format!("NOT TESTED, these are not installed: {}", missing.join(", "));
    assert!(std::env::var_os("CI").is_none(), "{message}");
    eprintln!("\n*** {message} ***\n");
    false
}

/// Python with PJSUA2, in a virtual environment that `cargo xtask test` makes; said aloud when it is not there.
pub fn pjsua2() -> Option<PathBuf> {
    let python = std::env::var_os("CORDBOARD_INTEROP_PYTHON").map(PathBuf::from);
    let python = python.unwrap_or_else(|| crate::workspace::target().join("interop/python/bin/python"));
    crate::pjsua2::is_usable(&python).then_some(python)
}

/// Whether `cordboard` and PJSUA2 are there; as [`all_present`].
pub fn pjsua2_is_present() -> bool {
    if !all_present(&[]) {
        return false;
    }
    let present = pjsua2().is_some();
    let message = "NOT TESTED: PJSUA2 is not installed (cargo xtask test does it)";
    assert!(present || std::env::var_os("CI").is_none(), "{message}");
    if !present {
        eprintln!("\n*** {message} ***\n");
    }
    present
}

/// Where a program lies: in `PATH`, or where distributions put servers.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")])
        .map(|folder| folder.join(program))
        .find(|file| Path::is_file(file))
}
