//! A browser: Chromium without a window, with phones on JsSIP and SIP.js in its pages.
//!
//! `browser/driver.mjs` plays the scenarios; the packages that it needs are installed once into
//! `target/interop/npm`.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::process::{Process, read};
use crate::server::Server;
use crate::{DOMAIN, presence, workspace};

const SCENARIO: Duration = Duration::from_secs(30);
const INSTALL: Duration = Duration::from_secs(180);

/// The library that the phones are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Library {
    /// JsSIP.
    JsSip,
    /// SIP.js.
    SipJs,
}

/// What the phones do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// OPTIONS and MESSAGE between two phones, until one leaves.
    Messages,
    /// A call with sound that the caller ends.
    CallEndedByCaller,
    /// A call with sound that the callee ends.
    CallEndedByCallee,
    /// A phone with a wrong password is not registered.
    WrongPassword,
}

/// Plays a scenario between the users alice and bob; panics with the phones' messages if it fails.
pub fn play(server: &Server, library: Library, scenario: Scenario) {
    let folder = workspace::run_folder();
    let packages = packages();
    let users: Map<String, Value> = ["alice", "bob"]
        .into_iter()
        .filter_map(|user| Some((user.to_owned(), json!(server.password(user)?))))
        .collect();
    let settings = json!({
        "chromium": presence::find("chromium").expect("the test asked whether it is there"),
        "packages": packages,
        "phone": match library {
            Library::JsSip => "jssip_phone.js",
            Library::SipJs => "sipjs_phone.js",
        },
        "scenario": match scenario {
            Scenario::Messages => "messages",
            Scenario::CallEndedByCaller | Scenario::CallEndedByCallee => "call",
            Scenario::WrongPassword => "wrong_password",
        },
        "callee_hangs_up": scenario == Scenario::CallEndedByCallee,
        "websocket": server.websocket_url(),
        "domain": DOMAIN,
        "users": users,
    });
    let mut command = Command::new(presence::find("node").expect("the test asked whether it is there"));
    command.arg(workspace::here().join("browser/driver.mjs")).arg(settings.to_string());
    let mut driver = Process::start("browser", command, &folder);
    match driver.wait(SCENARIO) {
        Some(status) => assert!(status.success(), "the phones failed: {}", failure(&driver.output())),
        None => panic!("the phones are not done after {SCENARIO:?}"),
    }
}

fn failure(output: &str) -> &str {
    output.find("FAILED: ").map_or("see below", |at| &output[at..])
}

/// The folder with the npm packages; installs them where they are not, one test process at a time.
fn packages() -> PathBuf {
    let folder = workspace::target().join("interop/npm");
    fs::create_dir_all(&folder).expect("the build folder is writable");
    let folder = folder.canonicalize().expect("the folder was just made");
    let lock = File::create(folder.join("lock")).expect("the build folder is writable");
    lock.lock().expect("a file of our own can be locked");

    let wanted = read(&workspace::here().join("browser/package.json"));
    let done = folder.join("installed.json");
    if read(&done) != wanted {
        fs::write(folder.join("package.json"), &wanted).expect("the build folder is writable");
        let mut command = Command::new(presence::find("npm").expect("the test asked whether it is there"));
        command.args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(&folder);
        let mut npm = Process::start("npm", command, &folder);
        let status = npm.wait(INSTALL).expect("npm is done within three minutes");
        assert!(status.success(), "npm install failed: {status}");
        fs::write(&done, &wanted).expect("the build folder is writable");
    }
    folder
}
