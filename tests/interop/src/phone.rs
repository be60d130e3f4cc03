//! Our own phone: `cordboard call` and `cordboard answer`, told what to do by arguments and read by its JSON.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::process::Process;
use crate::{ports, server, workspace};

const EVENT: Duration = Duration::from_secs(10);
/// Long enough for any call of these tests.
const END: Duration = Duration::from_secs(40);

/// A phone that runs.
#[derive(Debug)]
pub struct Phone {
    process: Process,
    folder: PathBuf,
    port: u16,
}

impl Phone {
    /// Calls somebody.
    pub fn call(name: &str, uri: &str, arguments: &[&str]) -> Phone {
        Phone::start(name, &["call", uri, "--json"], arguments, ports::free())
    }

    /// Waits for calls and answers them at once.
    pub fn answer(name: &str, arguments: &[&str]) -> Phone {
        let port = ports::free();
        let mut phone =
            Phone::start(name, &["answer", "--json", "--auto-answer", "--port", &port.to_string()], arguments, port);
        phone.awaits("SIPEngineDidStart", |_| true);
        phone
    }

    /// Runs one command to its end, and returns its exit code with what it has said.
    pub fn run(name: &str, arguments: &[&str]) -> (i32, String) {
        let mut phone = Phone::start(name, &[], arguments, 0);
        let code = phone.ends();
        (code, phone.process.output())
    }

    fn start(name: &str, first: &[&str], arguments: &[&str], port: u16) -> Phone {
        let folder = workspace::run_folder().join(format!("phone-{name}"));
        std::fs::create_dir_all(&folder).expect("the run folder is writable");
        let mut command = Command::new(server::program().expect("the test asked whether it is there"));
        command.args(first).args(arguments);
        if !arguments.contains(&"--config-directory") {
            command.arg("--config-directory").arg(&folder);
        }
        if !first.is_empty() {
            let rtp = ports::free_row(10);
            command.args(["--set", &format!("rtp.ports={rtp},{}", rtp + 9)]);
            command.arg("--trace-sip").arg(folder.join("sip.txt"));
        }
        let mut process = Process::start(&format!("phone-{name}"), command, &folder);
        process.tell(folder.join("sip.txt"));
        Phone { process, folder, port }
    }

    /// A file of its folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Where it is called directly.
    pub fn address(&self) -> String {
        format!("sip:phone@127.0.0.1:{}", self.port)
    }

    /// Waits for a notification.
    pub fn awaits(&mut self, name: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let wanted =
            |output: &str| notifications(output).into_iter().find(|told| told["name"] == name && condition(told));
        self.process.wait_for_output(name, EVENT, |output| wanted(output).is_some());
        wanted(&self.process.output()).expect("it was just there")
    }

    /// Its notifications so far.
    pub fn notifications(&self) -> Vec<Value> {
        notifications(&self.process.output())
    }

    /// The messages that it has sent and received.
    pub fn trace(&self) -> String {
        std::fs::read_to_string(self.folder.join("sip.txt")).unwrap_or_default()
    }

    /// Waits for its end and returns its exit code.
    pub fn ends(&mut self) -> i32 {
        let status = self.process.wait(END).unwrap_or_else(|| panic!("{} does not end", self.process.name()));
        status.code().unwrap_or_else(|| panic!("{} was killed: {status}", self.process.name()))
    }

    /// Waits for its end, which is to be as it was asked for.
    pub fn succeeds(&mut self) {
        let code = self.ends();
        assert_eq!(code, 0, "{} ended with {code}:\n{}", self.process.name(), self.process.output());
    }

    /// Asks it to end, and waits for that.
    pub fn stop(&mut self) -> i32 {
        self.process.terminate();
        self.ends()
    }
}

fn notifications(output: &str) -> Vec<Value> {
    output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// An argument that is a path.
pub fn path(path: &Path) -> &str {
    path.to_str().expect("the run folder has a plain name")
}
