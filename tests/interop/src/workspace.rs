//! Where things lie: the workspace, what was built, and the files of this run.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder of this crate, with `scenarios/`, `kamailio/` and `browser/`.
pub fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The build folder, where peers and tests also keep what they write.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => here().join("../../target"),
    }
}

/// The folder of this test's files, made anew for the first caller of a test process.
pub fn run_folder() -> PathBuf {
    let name = std::env::var("NEXTEST_TEST_NAME")
        .ok()
        .or_else(|| std::thread::current().name().map(str::to_owned))
        .unwrap_or_else(|| "test".to_owned())
        .replace("::", "-");
    let folder = target().join("interop/run").join(format!("{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("the build folder is writable");
    folder.canonicalize().expect("the folder was just made")
}
