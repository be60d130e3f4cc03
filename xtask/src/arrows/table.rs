//! Who may use whom (ARCHITECTURE.md shows the same as a map), and what a pure crate may buy.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Violation, line_of};

/// One room of the house and the rooms that it may use.
struct Room {
    name: &'static str,
    may_use: &'static [&'static str],
    pure: bool,
}

/// Rooms stand in the order of the layers: a room uses only rooms above it in this list.
const HOUSE: &[Room] = &[
    Room { name: "sip-message", may_use: &[], pure: true },
    Room { name: "sip-transaction", may_use: &["sip-message"], pure: true },
    Room { name: "sdp", may_use: &[], pure: true },
    Room { name: "sip-dialog", may_use: &["sip-transaction", "sip-message", "sdp"], pure: true },
    Room { name: "sip-endpoint", may_use: &["sip-dialog", "sip-transaction", "sip-message", "sdp"], pure: true },
    Room { name: "media", may_use: &["sdp"], pure: false },
    Room { name: "msrp", may_use: &[], pure: false },
    Room { name: "sip-transport", may_use: &["sip-message"], pure: false },
    Room {
        name: "sip-stack",
        may_use: &["sip-transport", "sip-endpoint", "sip-dialog", "sip-transaction", "sip-message"],
        pure: false,
    },
    Room { name: "servlet", may_use: &["sip-message"], pure: true },
    Room {
        name: "container",
        may_use: &["servlet", "sip-endpoint", "sip-dialog", "sip-transaction", "sip-message", "sdp"],
        pure: true,
    },
    Room { name: "applications", may_use: &["servlet", "msrp", "sip-dialog", "sip-message", "sdp"], pure: true },
    Room {
        name: "client",
        may_use: &["msrp", "sip-endpoint", "sip-dialog", "sip-transaction", "sip-message", "sdp"],
        pure: true,
    },
    Room {
        name: "testkit",
        may_use: &["sip-endpoint", "sip-dialog", "sip-transaction", "sip-message", "sdp"],
        pure: true,
    },
    Room {
        name: "cordboard",
        may_use: &[
            "applications",
            "client",
            "testkit",
            "container",
            "servlet",
            "sip-stack",
            "media",
            "msrp",
            "sip-transport",
            "sip-endpoint",
            "sip-dialog",
            "sip-transaction",
            "sip-message",
            "sdp",
        ],
        pure: false,
    },
];

/// Rooms whose tests may drive the real thing; nothing depends on them.
const TESTS: &[&str] = &["tests"];

/// What a pure crate may buy directly: data structures, arithmetic and the reading of text, nothing that touches the
/// world. Log lines are handed to whoever the program has chosen to take them.
const PURE_CRATES_MAY_BUY: &[&str] = &[
    "bytes",
    "bytestring",
    "foldhash",
    "hashbrown",
    "hmac",
    "md-5",
    "memchr",
    "postcard",
    "precis-profiles",
    "quick-xml",
    "serde",
    "sha2",
    "slab",
    "smallvec",
    "toml",
    "tracing",
];

/// What must not come into a pure crate by any path.
const WORLDLY: &[&str] =
    &["async-std", "getrandom", "mio", "parking_lot", "rand", "rustls", "smol", "socket2", "tokio"];

/// Rooms whose driver is behind a feature that pure rooms leave out. In one build of everything it is in all the same, so
/// that what they buy counts for nothing; the words of their pure part are looked at (`purity.rs`).
const DRIVER_IS_A_FEATURE: &[&str] = &["msrp"];

/// A package of this workspace.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Package<'a> {
    /// The folder's name, which is the crate's name behind the house prefix.
    pub(super) room: &'a str,
    pub(super) folder: PathBuf,
}

/// The packages of the workspace.
pub(super) fn house(metadata: &Value) -> Vec<Package<'_>> {
    packages(metadata)
        .filter(|package| is_ours(package))
        .map(|package| Package { room: room(package), folder: folder(package).to_owned() })
        .collect()
}

/// Signalling sockets are opened in one room, those of audio and of chat in two others; tests play peers.
pub(super) fn may_open_sockets(room: &str) -> bool {
    ["sip-transport", "media", "msrp", "xtask"].contains(&room) || TESTS.contains(&room)
}

pub(super) fn is_pure(room: &str) -> bool {
    HOUSE.iter().any(|known| known.name == room && known.pure)
}

/// Arrows that the table does not have.
pub(super) fn violations(metadata: &Value, root: &Path) -> Vec<Violation> {
    let ours: Vec<&Value> = packages(metadata).filter(|package| is_ours(package)).collect();
    let mut violations = Vec::new();
    for package in &ours {
        for dependency in array(&package["dependencies"]) {
            if let Some(rule) = arrow_rule(package, dependency) {
                violations.push(at_dependency(package, text(&dependency["name"]), rule, root));
            }
        }
        if is_pure(room(package)) {
            for worldly in worldly_in_closure(metadata, text(&package["id"])) {
                let rule = format!("{} is pure, and one of its dependencies brings in {worldly}", room(package));
                violations.push(at_dependency(package, worldly, rule, root));
            }
        }
    }
    violations
}

/// Why a declared dependency is not allowed; nothing if it is.
fn arrow_rule(package: &Value, dependency: &Value) -> Option<String> {
    let user = room(package);
    let in_tests_only = dependency["kind"] == "dev";
    let Some(used) = dependency["path"].as_str().and_then(|path| path.rsplit('/').next()) else {
        let name = text(&dependency["name"]);
        let bought_by_pure = is_pure(user) && !in_tests_only && !PURE_CRATES_MAY_BUY.contains(&name);
        return bought_by_pure.then(|| format!("{user} is pure and may not buy {name} (xtask/src/arrows/table.rs)"));
    };
    if TESTS.contains(&user) || in_tests_only && used == "testkit" {
        return None;
    }
    let Some(room) = HOUSE.iter().find(|room| room.name == user) else {
        return Some(format!("{user} may not use {used}: it has no arrows at all"));
    };
    (!room.may_use.contains(&used)).then(|| format!("{user} may not use {used}"))
}

/// Forbidden packages that are reached from a package by normal dependencies.
fn worldly_in_closure<'a>(metadata: &'a Value, from: &'a str) -> BTreeSet<&'a str> {
    let nodes = array(&metadata["resolve"]["nodes"]);
    let mut seen = BTreeSet::from([from]);
    let mut open = vec![from];
    while let Some(id) = open.pop() {
        let Some(node) = nodes.iter().find(|node| text(&node["id"]) == id) else {
            continue;
        };
        for dependency in array(&node["deps"]) {
            let is_normal = array(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
            let id = text(&dependency["pkg"]);
            let is_kept_out = packages(metadata)
                .any(|package| text(&package["id"]) == id && is_ours(package) && keeps_its_driver_out(package));
            if is_normal && !is_kept_out && seen.insert(id) {
                open.push(id);
            }
        }
    }
    packages(metadata)
        .filter(|package| seen.contains(text(&package["id"])))
        .map(|package| text(&package["name"]))
        .filter(|name| WORLDLY.contains(name))
        .collect()
}

fn keeps_its_driver_out(package: &Value) -> bool {
    DRIVER_IS_A_FEATURE.contains(&room(package))
}

fn at_dependency(package: &Value, dependency: &str, rule: String, root: &Path) -> Violation {
    let manifest = Path::new(text(&package["manifest_path"]));
    let room = dependency.strip_prefix("cordboard-").unwrap_or(dependency);
    Violation { file: manifest.strip_prefix(root).unwrap_or(manifest).to_owned(), line: line_of(manifest, room), rule }
}

/// Packages of the workspace have no source; bought ones have a registry.
fn is_ours(package: &Value) -> bool {
    package["source"].is_null()
}

fn folder(package: &Value) -> &Path {
    let manifest = Path::new(text(&package["manifest_path"]));
    manifest.parent().unwrap_or(manifest)
}

fn room(package: &Value) -> &str {
    let folder = folder(package);
    // What is under `tests` is a test, whatever it is about.
    let parent = folder.parent().filter(|parent| parent.ends_with("tests"));
    parent.unwrap_or(folder).file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    array(&metadata["packages"]).iter()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package(room: &str, dependencies: Value) -> Value {
        json!({
            "id": room,
            "name": format!("cordboard-{room}"),
            "source": null,
            "manifest_path": format!("/house/crates/{room}/Cargo.toml"),
            "dependencies": dependencies,
        })
    }

    fn ours(room: &str) -> Value {
        json!({ "name": format!("cordboard-{room}"), "kind": null, "path": format!("/house/crates/{room}") })
    }

    fn bought(name: &str) -> Value {
        json!({ "name": name, "kind": null, "source": "registry" })
    }

    fn rules(packages: Value, nodes: Value) -> Vec<String> {
        let metadata = json!({ "packages": packages, "resolve": { "nodes": nodes } });
        violations(&metadata, Path::new("/house")).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_arrow_down_the_layers_is_allowed() {
        let packages = json!([package("sip-dialog", json!([ours("sip-message"), ours("sdp")]))]);
        assert_eq!(rules(packages, json!([])), Vec::<String>::new());
    }

    #[test]
    fn an_arrow_up_the_layers_is_named_with_its_manifest() {
        let packages = json!([package("sip-message", json!([ours("sip-endpoint")]))]);
        assert_eq!(
            rules(packages, json!([])),
            ["crates/sip-message/Cargo.toml:1: sip-message may not use sip-endpoint"]
        );
    }

    #[test]
    fn a_new_room_has_no_arrows_until_the_table_has_a_row_for_it() {
        let packages = json!([package("attic", json!([ours("sip-message")]))]);
        assert_eq!(
            rules(packages, json!([])),
            ["crates/attic/Cargo.toml:1: attic may not use sip-message: it has no arrows at all"]
        );
    }

    #[test]
    fn a_pure_crate_may_not_buy_a_runtime_but_its_driver_may() {
        let packages =
            json!([package("sdp", json!([bought("tokio")])), package("sip-stack", json!([bought("tokio")])),]);
        assert_eq!(
            rules(packages, json!([])),
            ["crates/sdp/Cargo.toml:1: sdp is pure and may not buy tokio (xtask/src/arrows/table.rs)"]
        );
    }

    #[test]
    fn a_pure_crate_may_buy_anything_for_its_tests() {
        let mut proptest = bought("proptest");
        proptest["kind"] = json!("dev");
        let packages = json!([package("sdp", json!([proptest]))]);
        assert_eq!(rules(packages, json!([])), Vec::<String>::new());
    }

    #[test]
    fn a_driver_behind_a_feature_does_not_count_for_who_leaves_it_out() {
        let packages = json!([
            package("client", json!([ours("msrp")])),
            package("msrp", json!([bought("tokio")])),
            { "id": "tokio", "name": "tokio", "source": "registry" },
        ]);
        let normal = json!([{ "kind": null }]);
        let nodes = json!([
            { "id": "client", "deps": [{ "pkg": "msrp", "dep_kinds": normal }] },
            { "id": "msrp", "deps": [{ "pkg": "tokio", "dep_kinds": normal }] },
        ]);
        assert_eq!(rules(packages, nodes), Vec::<String>::new());
    }

    #[test]
    fn a_random_source_that_comes_in_through_a_dependency_is_found() {
        let packages = json!([
            package("sdp", json!([])),
            { "id": "hashes", "name": "hashes", "source": "registry" },
            { "id": "getrandom", "name": "getrandom", "source": "registry" },
        ]);
        let normal = json!([{ "kind": null }]);
        let nodes = json!([
            { "id": "sdp", "deps": [{ "pkg": "hashes", "dep_kinds": normal }] },
            { "id": "hashes", "deps": [{ "pkg": "getrandom", "dep_kinds": normal }] },
        ]);
        assert_eq!(
            rules(packages, nodes),
            ["crates/sdp/Cargo.toml:1: sdp is pure, and one of its dependencies brings in getrandom"]
        );
    }

    #[test]
    fn the_layers_are_listed_from_the_bottom_up() {
        for (index, room) in HOUSE.iter().enumerate() {
            for used in room.may_use {
                assert!(
                    HOUSE[..index].iter().any(|lower| lower.name == *used),
                    "{} uses {used}, which is not below it",
                    room.name
                );
            }
        }
    }
}
