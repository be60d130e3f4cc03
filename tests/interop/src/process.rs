//! A process of the test: its output in a file, its end bounded, its last words on failure.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(20);
const LAST_WORDS: usize = 6_000;

/// A running program. Dropped, it is asked to end and after two seconds killed; if the test is failing it first
/// prints the end of its output and of the files that it was told to [`tell`](Process::tell).
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    output: PathBuf,
    tells: Vec<PathBuf>,
    farewell: Duration,
}

impl Process {
    /// Starts the command with its standard output and errors in `<folder>/<name>.out`.
    pub fn start(name: &str, mut command: Command, folder: &Path) -> Process {
        let output = folder.join(format!("{name}.out"));
        let file = File::create(&output).expect("the run folder is writable");
        let twin = file.try_clone().expect("a file handle can be duplicated");
        command.stdin(Stdio::null()).stdout(file).stderr(twin).current_dir(folder);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error} ({command:?})"));
        Process { name: name.to_owned(), child, output, tells: Vec::new(), farewell: Duration::from_secs(2) }
    }

    /// Names a file whose end explains a failure of the test.
    pub fn tell(&mut self, file: PathBuf) {
        self.tells.push(file);
    }

    /// Says that nothing is lost when it is killed at the end.
    pub fn kill_at_the_end(&mut self) {
        self.farewell = Duration::ZERO;
    }

    /// The name under which it was started.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All that it has printed so far.
    pub fn output(&self) -> String {
        read(&self.output)
    }

    /// Waits until its output satisfies the condition; panics when it ends or the time is over.
    pub fn wait_for_output(&mut self, what: &str, patience: Duration, condition: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + patience;
        loop {
            let ended = self.ended();
            if condition(&self.output()) {
                return;
            }
            if let Some(status) = ended {
                panic!("{} ended with {status} before {what}", self.name);
            }
            assert!(Instant::now() < deadline, "{}: no {what} within {patience:?}", self.name);
            thread::sleep(POLL);
        }
    }

    /// Its exit status if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("our own child can be waited for")
    }

    /// Waits for its end; `None` when the time is over.
    pub fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            if Instant::now() >= deadline {
                return None;
            }
            thread::sleep(POLL);
        }
    }

    /// Asks it to end (SIGTERM).
    pub fn terminate(&self) {
        let kill = format!("kill -TERM {}", self.child.id());
        let _ = Command::new("sh").args(["-c", &kill]).stderr(Stdio::null()).status();
    }

    fn last_words(&self) {
        for file in [&self.output].into_iter().chain(&self.tells) {
            let text = read(file);
            if text.trim().is_empty() {
                continue;
            }
            eprintln!("\n----- {}: end of {} -----\n{}", self.name, file.display(), tail(&text));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            self.last_words();
        }
        if self.ended().is_none() {
            self.terminate();
            if self.wait(self.farewell).is_none() {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
    }
}

/// The text of a file as far as it is text; nothing when there is no file.
pub fn read(file: &Path) -> String {
    fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn tail(text: &str) -> &str {
    let mut start = text.len().saturating_sub(LAST_WORDS);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}
