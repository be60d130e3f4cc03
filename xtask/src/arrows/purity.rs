//! What a pure crate must not contain, word by word, and the one file that may be unsafe.

use std::path::Path;

use super::Violation;
use super::source::{SourceFile, lines_with_word};

/// A word and what it would bring into a pure crate.
const IMPURE: &[(&str, &str)] = &[
    ("Instant::now", "a clock"),
    ("SystemTime::now", "a clock"),
    (".elapsed()", "a clock"),
    ("tokio", "a task"),
    ("async fn", "a task"),
    ("ToSocketAddrs", "a lookup"),
    ("std::thread", "a thread"),
    ("thread::spawn", "a thread"),
    ("Mutex", "a lock"),
    ("RwLock", "a lock"),
    ("Condvar", "a lock"),
    ("OnceLock", "process-wide state"),
    ("LazyLock", "process-wide state"),
    ("thread_local!", "process-wide state"),
    ("static mut", "process-wide state"),
    ("sync::atomic", "process-wide state"),
    ("std::env", "process-wide state"),
    ("std::fs", "a file"),
    ("std::process", "a process"),
    ("getrandom", "a random source"),
    ("RandomState", "a random source"),
    ("rand::", "a random source"),
];

/// What a file may have after all, and nothing else of its kind.
const GRANTED: &[(&str, &str)] = &[
    // Application code waits; who polls it is the container, and it is no task of any runtime's.
    ("crates/servlet/src/", "async fn"),
    ("crates/applications/src/", "async fn"),
    // The operator's HTTP, which is no signalling.
    ("crates/cordboard/src/operations", "TcpListener"),
    ("crates/cordboard/src/operations", "TcpStream"),
    // Counters are read by the operator's side, and wakers may be used by any thread: both are part of no decision.
    ("crates/container/src/counters.rs", "sync::atomic"),
    ("crates/container/src/wakes.rs", "sync::atomic"),
];

/// Rooms of both kinds: what is outside these folders is held to be pure.
const DRIVERS: &[(&str, &str)] = &[("crates/msrp/src/", "crates/msrp/src/driver/")];

const SOCKETS: &[&str] = &["UdpSocket", "TcpStream", "TcpListener", "socket2"];

/// Batched socket calls have no safe wrapper; everything else has.
const MAY_BE_UNSAFE: &str = "crates/sip-transport/src/udp/batch.rs";

pub(super) fn impurities(root: &Path, file: &SourceFile) -> Vec<Violation> {
    IMPURE
        .iter()
        .filter(|(word, _)| !is_granted(root, file, word))
        .flat_map(|(word, brings)| {
            let rule = format!("a pure crate has no `{word}`: it would bring in {brings}");
            at(root, file, word, &rule)
        })
        .collect()
}

/// Whether a file of a room that is not pure as a whole has to be.
pub(super) fn is_beside_a_driver(root: &Path, file: &SourceFile) -> bool {
    let path = file.path.strip_prefix(root).unwrap_or(&file.path);
    DRIVERS.iter().any(|(room, driver)| path.starts_with(room) && !path.starts_with(driver))
}

fn is_granted(root: &Path, file: &SourceFile, word: &str) -> bool {
    let path = file.path.strip_prefix(root).unwrap_or(&file.path).to_string_lossy();
    GRANTED.iter().any(|(granted, of)| *of == word && path.starts_with(granted))
}

/// Sockets in a room that has none.
pub(super) fn sockets(root: &Path, file: &SourceFile) -> Vec<Violation> {
    SOCKETS
        .iter()
        .filter(|word| !is_granted(root, file, word))
        .flat_map(|word| {
            let rule = format!("no `{word}` here: sip-transport, media and msrp open the sockets");
            at(root, file, word, &rule)
        })
        .collect()
}

pub(super) fn unsafe_outside_its_file(root: &Path, file: &SourceFile) -> Vec<Violation> {
    if file.path == root.join(MAY_BE_UNSAFE) {
        return Vec::new();
    }
    let rule = format!("unsafe code is in {MAY_BE_UNSAFE} only");
    ["unsafe", "unsafe_code"].iter().flat_map(|word| at(root, file, word, &rule)).collect()
}

fn at(root: &Path, file: &SourceFile, word: &str, rule: &str) -> Vec<Violation> {
    lines_with_word(&file.code, word)
        .into_iter()
        .map(|line| Violation {
            file: file.path.strip_prefix(root).unwrap_or(&file.path).to_owned(),
            line,
            rule: rule.to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, code: &str) -> SourceFile {
        SourceFile { path: Path::new("/house").join(path), code: code.to_owned() }
    }

    #[test]
    fn a_clock_is_named_with_its_line() {
        let clock = file("crates/sdp/src/lib.rs", "\nlet now = Instant::now();");
        let found = impurities(Path::new("/house"), &clock);
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].to_string(),
            "crates/sdp/src/lib.rs:2: a pure crate has no `Instant::now`: it would bring in a clock"
        );
    }

    #[test]
    fn time_as_an_argument_is_no_clock() {
        let machine = file("crates/sdp/src/lib.rs", "fn handle(now: Instant) {}");
        assert_eq!(impurities(Path::new("/house"), &machine), []);
    }

    #[test]
    fn application_code_may_wait_and_the_core_may_not() {
        let servlet = file("crates/servlet/src/servlet.rs", "async fn do_invite() {}");
        assert_eq!(impurities(Path::new("/house"), &servlet), []);
        let container = file("crates/container/src/core.rs", "async fn wait() {}");
        assert_eq!(impurities(Path::new("/house"), &container).len(), 1);
    }

    #[test]
    fn a_socket_is_found_where_there_should_be_none() {
        let stack = file("crates/sip-stack/src/lib.rs", "use tokio::net::UdpSocket;");
        assert_eq!(sockets(Path::new("/house"), &stack).len(), 1);
    }

    #[test]
    fn unsafe_is_allowed_in_one_file() {
        let root = Path::new("/house");
        let code = "#![allow(unsafe_code)]\nunsafe { x }";
        let elsewhere = file("crates/sdp/src/lib.rs", code);
        assert_eq!(unsafe_outside_its_file(root, &file(MAY_BE_UNSAFE, code)), []);
        assert_eq!(unsafe_outside_its_file(root, &elsewhere).len(), 2);
    }
}
