//! PJSUA2, a phone with sound, driven through `pjsua2/peer.py`: orders and events are lines of JSON.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{ports, presence, sound, workspace};

const START: Duration = Duration::from_secs(15);
const EVENT: Duration = Duration::from_secs(10);

/// What a phone is started with.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The only codec that it takes: `PCMU`, `G722`.
    pub codec: Option<&'static str>,
    /// SRTP by SDES: 0 never, 1 if the other side has it, 2 always.
    pub srtp: u8,
    /// What it answers calls with, at once.
    pub answer: Option<u16>,
    /// Where it registers: the registrar's URI and its password.
    pub registrar: Option<(String, &'static str)>,
}

/// A phone that runs. Dropped, it ends.
#[derive(Debug)]
pub struct Pjsua2 {
    child: Child,
    orders: ChildStdin,
    events: Receiver<Value>,
    seen: Vec<Value>,
    user: String,
    port: u16,
    folder: PathBuf,
}

impl Pjsua2 {
    /// Starts a phone that plays a tone of so many hertz.
    pub fn start(user: &str, hertz: f64, options: &Options) -> Pjsua2 {
        let folder = workspace::run_folder().join(format!("pjsua2-{user}"));
        std::fs::create_dir_all(&folder).expect("the run folder is writable");
        sound::write_tone(&folder.join("play.wav"), 16_000, 1, hertz, Duration::from_secs(30));
        let port = ports::free();
        let mut id = format!("sip:{user}@127.0.0.1:{port}");
        let mut settings = json!({
            "port": port,
            "rtp": ports::free_row(2),
            "play": folder.join("play.wav"),
            "record": folder.join("heard.wav"),
            "log": folder.join("pjsua2.log"),
            "srtp": options.srtp,
            "codec": options.codec,
            "answer": options.answer,
        });
        if let Some((registrar, password)) = &options.registrar {
            id = format!("sip:{user}@{}", crate::DOMAIN);
            settings["registrar"] = json!(registrar);
            settings["user"] = json!(user);
            settings["password"] = json!(password);
        }
        settings["id"] = json!(id);
        let python = presence::pjsua2().expect("the test asked whether it is there");
        let errors = File::create(folder.join("errors.txt")).expect("the run folder is writable");
        let mut child = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/pjsua2/peer.py"))
            .arg(settings.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .current_dir(&folder)
            .spawn()
            .expect("python starts");
        let orders = child.stdin.take().expect("it was asked for");
        let output = BufReader::new(child.stdout.take().expect("it was asked for"));
        let (tell, events) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                // The library has words of its own.
                if let Ok(event) = serde_json::from_str(&line) {
                    let _ = tell.send(event);
                }
            }
        });
        let mut phone = Pjsua2 { child, orders, events, seen: Vec::new(), user: user.to_owned(), port, folder };
        phone.awaits_within(START, "ready", |_| true);
        phone
    }

    /// Where it is called directly.
    pub fn address(&self) -> String {
        format!("sip:{}@127.0.0.1:{}", self.user, self.port)
    }

    /// What it has heard, as it was recorded.
    pub fn heard(&self) -> PathBuf {
        self.folder.join("heard.wav")
    }

    /// Whether its log says that media is encrypted.
    pub fn is_encrypted(&self) -> bool {
        let log = std::fs::read_to_string(self.folder.join("pjsua2.log")).unwrap_or_default();
        log.contains("SRTP started, keying=SDES")
    }

    /// Gives it an order; `peer.py` has them.
    pub fn order(&mut self, order: &Value) {
        writeln!(self.orders, "{order}").expect("the phone runs");
    }

    /// Calls this URI.
    pub fn call(&mut self, uri: &str) {
        self.order(&json!({ "order": "call", "uri": uri }));
    }

    /// Ends its call.
    pub fn hang_up(&mut self) {
        self.order(&json!({ "order": "hangup" }));
        self.awaits("state", |event| event["state"] == "DISCONNECTED");
    }

    /// Waits for an event, one that came before included, and takes it.
    pub fn awaits(&mut self, name: &str, condition: impl Fn(&Value) -> bool) -> Value {
        self.awaits_within(EVENT, name, condition)
    }

    fn awaits_within(&mut self, patience: Duration, name: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let wanted = |event: &Value| event["event"] == name && condition(event);
        if let Some(at) = self.seen.iter().position(wanted) {
            return self.seen.remove(at);
        }
        let deadline = Instant::now() + patience;
        loop {
            match self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(event) if wanted(&event) => return event,
                Ok(event) => self.seen.push(event),
                Err(why) => {
                    let seen: Vec<_> = self.seen.iter().map(ToString::to_string).collect();
                    let ended = if why == RecvTimeoutError::Disconnected { "ended without" } else { "says no" };
                    panic!(
                        "pjsua2-{} {ended} {name:?}; it said\n{}\n{}",
                        self.user,
                        seen.join("\n"),
                        self.last_words()
                    );
                }
            }
        }
    }

    fn last_words(&self) -> String {
        let read = |name: &str| std::fs::read(self.folder.join(name)).unwrap_or_default();
        let log = read("pjsua2.log");
        let tail = &log[log.len().saturating_sub(6_000)..];
        format!("{}\n{}", String::from_utf8_lossy(&read("errors.txt")), String::from_utf8_lossy(tail))
    }
}

impl Drop for Pjsua2 {
    fn drop(&mut self) {
        let _ = writeln!(self.orders, "{}", json!({ "order": "quit" }));
        let deadline = Instant::now() + Duration::from_secs(2);
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The folder of a wheel that is installed.
pub fn is_usable(python: &Path) -> bool {
    Command::new(python).args(["-c", "import pjsua2"]).output().is_ok_and(|output| output.status.success())
}
