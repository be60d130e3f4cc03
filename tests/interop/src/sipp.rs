//! SIPp: scenarios from `scenarios/` and the two that it carries in itself.
//!
//! A running SIPp succeeds when its scenario went through for every call. What it sent and received
//! is kept, so that a test can look at the other side of the server.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::process::{self, Process};
use crate::server::Server;
use crate::{DOMAIN, ports, presence, workspace};

/// How long a scenario may take before SIPp itself gives up; below a test's own patience.
const SCENARIO: Duration = Duration::from_secs(20);
const END: Duration = Duration::from_secs(22);
const BIND: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(10);
/// RTP and RTCP of sound, and of pictures, which SIPp binds behind them.
const MEDIA_PORTS: u16 = 4;

static STARTED: AtomicUsize = AtomicUsize::new(0);

/// What SIPp sends over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// One UDP socket.
    Udp,
    /// One TCP connection.
    Tcp,
}

/// A SIPp before it starts.
#[derive(Debug)]
pub struct Sipp {
    scenario: String,
    transport: Transport,
    local: SocketAddr,
    peer: Option<SocketAddr>,
    status: Option<u16>,
    keys: BTreeMap<String, String>,
    arguments: Vec<String>,
}

impl Sipp {
    /// Plays a scenario: a file of `scenarios/` when the name ends so, else one that SIPp carries.
    pub fn new(scenario: &str) -> Sipp {
        Sipp {
            scenario: scenario.to_owned(),
            transport: Transport::Udp,
            local: SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free())),
            peer: None,
            status: None,
            keys: BTreeMap::new(),
            arguments: Vec::new(),
        }
        .calls(1)
        .key("user", "sipp")
        .key("domain", DOMAIN)
        .key("max_forwards", "70")
    }

    /// A caller that asks the server for this Request-URI.
    pub fn caller(scenario: &str, server: &Server, request_uri: &str) -> Sipp {
        Sipp::new(scenario).to(server.address()).key("user", "alice").key("ruri", request_uri)
    }

    /// Sends over TCP.
    #[must_use]
    pub fn tcp(mut self) -> Sipp {
        self.transport = Transport::Tcp;
        self
    }

    /// Is on this host, with a port of its own.
    #[must_use]
    pub fn host(mut self, host: IpAddr) -> Sipp {
        self.local.set_ip(host);
        self
    }

    /// Sends its requests here.
    #[must_use]
    pub fn to(mut self, peer: SocketAddr) -> Sipp {
        self.local.set_ip(peer.ip());
        self.peer = Some(peer);
        self
    }

    /// Sends its requests to the server, with a Request-URI that names the callee.
    #[must_use]
    pub fn through(mut self, server: &Server, callee: SocketAddr) -> Sipp {
        self.local.set_ip(callee.ip());
        self.peer = Some(callee);
        self.argument("-rsa", &server.address().to_string())
    }

    /// Plays the scenario this often.
    #[must_use]
    pub fn calls(self, calls: u32) -> Sipp {
        self.argument("-m", &calls.to_string())
    }

    /// Begins this many calls a second.
    #[must_use]
    pub fn rate(self, calls_a_second: u32) -> Sipp {
        self.argument("-r", &calls_a_second.to_string())
    }

    /// Holds each call for this long where the scenario pauses.
    #[must_use]
    pub fn hold(self, duration: Duration) -> Sipp {
        self.argument("-d", &duration.as_millis().to_string())
    }

    /// The value of `[name]` in the scenario.
    #[must_use]
    pub fn key(mut self, name: &str, value: &str) -> Sipp {
        self.keys.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The status that the scenario waits for where it says `@STATUS@`.
    #[must_use]
    pub fn expecting(mut self, status: u16) -> Sipp {
        self.status = Some(status);
        self
    }

    /// Who it is when it is challenged.
    #[must_use]
    pub fn user(self, name: &str, password: &str) -> Sipp {
        self.key("user", name).argument("-au", name).argument("-ap", password)
    }

    /// One more of SIPp's own options.
    #[must_use]
    pub fn argument(mut self, name: &str, value: &str) -> Sipp {
        self.arguments.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// Where it will receive.
    pub fn address(&self) -> SocketAddr {
        self.local
    }

    /// The Contact under which others reach it.
    pub fn contact(&self, user: &str) -> String {
        let transport = match self.transport {
            Transport::Udp => "",
            Transport::Tcp => ";transport=tcp",
        };
        format!("sip:{user}@{}{transport}", self.local)
    }

    /// Starts it; returns when it has bound its port.
    pub fn start(self) -> RunningSipp {
        let folder = workspace::run_folder();
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let stem = self.scenario.trim_end_matches(".xml");
        let name = format!("sipp-{number}-{stem}");
        let [messages, errors, logs] = ["messages", "errors", "logs"].map(|kind| folder.join(format!("{name}.{kind}")));

        let mut command = Command::new(presence::find("sipp").expect("the test asked whether it is there"));
        if self.scenario == stem {
            command.args(["-sn", stem]);
        } else {
            let file = folder.join(format!("{name}.xml"));
            fs::write(&file, self.scenario_text()).expect("the run folder is writable");
            command.arg("-sf").arg(file);
        }
        command.args(["-t", if self.transport == Transport::Tcp { "t1" } else { "u1" }]);
        command.args(["-i", &bracketed(self.local.ip()), "-p", &self.local.port().to_string()]);
        command.args(["-mp", &ports::free_row(MEDIA_PORTS).to_string(), "-cp", &ports::free().to_string()]);
        command.args(["-nostdin", "-timeout", &format!("{}s", SCENARIO.as_secs()), "-timeout_error"]);
        command.args(["-trace_msg", "-message_file"]).arg(&messages);
        command.args(["-trace_err", "-error_file"]).arg(&errors);
        command.args(["-trace_logs", "-log_file"]).arg(&logs);
        for (key, value) in &self.keys {
            command.args(["-key", key, value]);
        }
        command.args(&self.arguments);
        if let Some(peer) = self.peer {
            command.arg(peer.to_string());
        }
        // SIPp's screen goes to its output and would push everything else out of it.
        command.env("TERM", "dumb");
        let mut process = Process::start(&name, command, &folder);
        process.kill_at_the_end();
        process.tell(errors);
        process.tell(messages.clone());
        process.tell(logs.clone());

        let tcp = self.transport == Transport::Tcp;
        let deadline = Instant::now() + BIND;
        while (self.peer.is_none() || !tcp) && !ports::is_bound(self.local.port(), tcp) {
            match process.ended() {
                Some(status) if status.success() => break,
                Some(status) => panic!("{name} ended at once: {status}"),
                None => assert!(Instant::now() < deadline, "{name} did not bind {}", self.local),
            }
            thread::sleep(POLL);
        }
        RunningSipp { process, messages, logs }
    }

    fn scenario_text(&self) -> String {
        let file = workspace::here().join("scenarios").join(&self.scenario);
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        match self.status {
            Some(status) => text.replace("@STATUS@", &status.to_string()),
            None => text,
        }
    }

    /// Starts it and waits until its scenario went through.
    pub fn run(self) -> RunningSipp {
        let mut running = self.start();
        running.succeeds();
        running
    }
}

/// SIPp while it plays, and after.
#[derive(Debug)]
pub struct RunningSipp {
    process: Process,
    messages: PathBuf,
    logs: PathBuf,
}

impl RunningSipp {
    /// Waits until every call of the scenario went through.
    #[track_caller]
    pub fn succeeds(&mut self) {
        let Some(status) = self.process.wait(END) else {
            panic!("{} still runs after {END:?}", self.process.name());
        };
        assert!(status.success(), "{} failed: {status}", self.process.name());
    }

    /// Whether it still plays.
    pub fn is_playing(&mut self) -> bool {
        self.process.ended().is_none()
    }

    /// What the scenario wrote with `<log/>`.
    pub fn log(&self) -> String {
        process::read(&self.logs)
    }

    /// The messages that it received whose first line begins so.
    pub fn received(&self, start: &str) -> Vec<String> {
        self.transcript("message received").filter(|message| message.starts_with(start)).collect()
    }

    /// Waits until it received a message whose first line begins so.
    #[track_caller]
    pub fn awaits(&mut self, start: &str) {
        self.awaits_many(start, 1);
    }

    /// Waits until it received that many messages whose first line begins so.
    #[track_caller]
    pub fn awaits_many(&mut self, start: &str, count: usize) {
        let deadline = Instant::now() + END;
        loop {
            let ended = !self.is_playing();
            if self.received(start).len() >= count {
                return;
            }
            assert!(!ended, "{} ended without receiving {count} of {start:?}", self.process.name());
            assert!(Instant::now() < deadline, "{}: not {count} of {start:?}", self.process.name());
            thread::sleep(POLL);
        }
    }

    /// Parses the trace: a ruler line with the time, a line that tells the direction, the message.
    fn transcript(&self, direction: &'static str) -> impl Iterator<Item = String> + use<> {
        let text = process::read(&self.messages);
        let mut parts: Vec<String> = Vec::new();
        for entry in text.split("----------------------------------------------- ").skip(1) {
            let mut lines = entry.splitn(3, '\n').skip(1);
            if lines.next().is_some_and(|head| head.contains(direction)) {
                parts.push(lines.next().unwrap_or_default().trim_start().to_owned());
            }
        }
        parts.into_iter()
    }
}

/// Registers a contact for a user of the server's domain, with digest where the server asks for it.
pub fn register(server: &Server, user: &str, contact: &str) {
    register_with(server, user, contact, "");
}

/// Registers a contact with parameters of its own, such as `;q=0.5`.
pub fn register_with(server: &Server, user: &str, contact: &str, parameters: &str) {
    registration(server, user, contact).key("contact_params", parameters).run();
}

/// The SIPp that registers this contact, for tests that look at the registration itself.
pub fn registration(server: &Server, user: &str, contact: &str) -> Sipp {
    let register = match server.password(user) {
        Some(password) => Sipp::new("register.xml").user(user, password),
        None => Sipp::new("register_open.xml").key("user", user),
    };
    register.to(server.address()).key("contact", contact).key("contact_params", "").key("expires", "120")
}

fn bracketed(host: IpAddr) -> String {
    match host {
        IpAddr::V4(host) => host.to_string(),
        IpAddr::V6(host) => format!("[{host}]"),
    }
}
