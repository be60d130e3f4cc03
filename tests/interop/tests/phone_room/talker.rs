//! A phone whose standard input is ours.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cordboard_interop::phone::path;
use cordboard_interop::{server, workspace};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(15);

/// See the module's text.
pub(crate) struct Talker {
    name: String,
    child: Child,
    input: ChildStdin,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Talker {
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Talker {
        let folder = workspace::run_folder().join(format!("talker-{name}"));
        fs::create_dir_all(&folder).expect("the run folder is writable");
        let mut command = Command::new(server::program().expect("the test asked whether it is there"));
        command.args(arguments).args(["--trace-sip", path(&folder.join("sip.txt"))]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
        let output = BufReader::new(child.stdout.take().expect("it is a pipe"));
        let input = child.stdin.take().expect("it is a pipe");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let told = lines.clone();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                told.lock().expect("nobody panics with it").push(line);
            }
        });
        Talker { name: name.to_owned(), child, input, lines }
    }

    pub(crate) fn types(&mut self, line: &str) {
        writeln!(self.input, "{line}").expect("it reads what is typed");
    }

    /// Its notifications so far.
    pub(crate) fn told(&self) -> Vec<Value> {
        let lines = self.lines.lock().expect("nobody panics with it");
        lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// What it has said so far.
    pub(crate) fn text(&self) -> String {
        self.lines.lock().expect("nobody panics with it").join("\n")
    }

    #[track_caller]
    pub(crate) fn awaits(&self, name: &str, condition: impl Fn(&Value) -> bool) -> Value {
        self.awaits_for(SOON, name, condition)
    }

    #[track_caller]
    pub(crate) fn awaits_for(&self, patience: Duration, name: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let told = || self.told().into_iter().find(|told| told["name"] == name && condition(told));
        self.waits(patience, name, told)
    }

    /// Waits for a line with this in it.
    #[track_caller]
    pub(crate) fn reads(&self, text: &str) {
        self.reads_for(SOON, text);
    }

    #[track_caller]
    pub(crate) fn reads_for(&self, patience: Duration, text: &str) {
        self.waits(patience, text, || self.text().contains(text).then_some(()));
    }

    /// Waits for its end, and returns its exit code.
    #[track_caller]
    pub(crate) fn ends(&mut self) -> i32 {
        let deadline = Instant::now() + SOON;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("our own child can be waited for") {
                return status.code().unwrap_or(-1);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{} does not end:\n{}", self.name, self.text());
    }

    #[track_caller]
    fn waits<T>(&self, patience: Duration, what: &str, found: impl Fn() -> Option<T>) -> T {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Some(found) = found() {
                return found;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{}: no {what} in\n{}", self.name, self.text());
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
