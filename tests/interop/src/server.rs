//! The program under test: `cordboard serve`.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::{Duration, SystemTime};

use crate::certificates::Identity;
use crate::process::Process;
use crate::{DOMAIN, ports, workspace};

const START: Duration = Duration::from_secs(5);

/// Where the program lies: `CORDBOARD_BIN`, else the newest build.
pub fn program() -> Option<PathBuf> {
    if let Some(file) = std::env::var_os("CORDBOARD_BIN") {
        return Some(PathBuf::from(file));
    }
    ["release", "debug"]
        .map(|profile| workspace::target().join(profile).join("cordboard"))
        .into_iter()
        .filter_map(|file| Some((built(&file)?, file)))
        .max()
        .map(|(_, file)| file)
}

fn built(file: &PathBuf) -> Option<SystemTime> {
    fs::metadata(file).ok()?.modified().ok()
}

/// To whom the proxy forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relay {
    /// Only users of its own domains.
    None,
    /// Any Request-URI.
    Any,
}

/// A relay for chats and files (RFC 4976).
#[derive(Debug, Clone, Copy)]
struct MsrpRelay {
    port: u16,
    tls: bool,
}

/// What a test says about the server; the rest is the server's own default.
#[derive(Debug, Clone)]
pub struct Settings {
    host: IpAddr,
    workers: u16,
    users: Vec<(String, String)>,
    authenticate: bool,
    relay: Relay,
    identity: Option<(Identity, PathBuf)>,
    websocket: bool,
    msrp_relay: Option<MsrpRelay>,
    registrar_lines: Vec<String>,
    proxy_lines: Vec<String>,
    lines: Vec<String>,
    /// Sections of the file, as they stand in it.
    sections: Vec<String>,
}

impl Default for Settings {
    /// UDP and TCP on one port of 127.0.0.1, anybody registers, foreign domains are refused.
    fn default() -> Settings {
        Settings {
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            workers: 1,
            users: Vec::new(),
            authenticate: false,
            relay: Relay::None,
            identity: None,
            websocket: false,
            msrp_relay: None,
            registrar_lines: Vec::new(),
            proxy_lines: Vec::new(),
            lines: Vec::new(),
            sections: Vec::new(),
        }
    }
}

impl Settings {
    /// Listens on ::1 instead of 127.0.0.1.
    #[must_use]
    pub fn ipv6(mut self) -> Settings {
        self.host = IpAddr::V6(Ipv6Addr::LOCALHOST);
        self
    }

    /// Has several shards, whichever a request comes to.
    #[must_use]
    pub fn workers(mut self, workers: u16) -> Settings {
        self.workers = workers;
        self
    }

    /// Knows this user, and registers only users that prove who they are.
    #[must_use]
    pub fn user(mut self, name: &str, password: &str) -> Settings {
        self.users.push((name.to_owned(), password.to_owned()));
        self.authenticate = true;
        self
    }

    /// Forwards to any Request-URI.
    #[must_use]
    pub fn relay_to_any(mut self) -> Settings {
        self.relay = Relay::Any;
        self
    }

    /// Listens on TLS too, and trusts this authority when it connects to others.
    #[must_use]
    pub fn tls(mut self, identity: &Identity, authority: PathBuf) -> Settings {
        self.identity = Some((identity.clone(), authority));
        self
    }

    /// Listens on WebSocket too; on secure WebSocket if it has a certificate.
    #[must_use]
    pub fn websocket(mut self) -> Settings {
        self.websocket = true;
        self
    }

    /// Has an MSRP relay for its users; by TLS it has the certificate that the server has.
    #[must_use]
    pub fn msrp_relay(mut self, tls: bool) -> Settings {
        self.msrp_relay = Some(MsrpRelay { port: ports::free(), tls });
        self
    }

    /// Gives up on a target that has not answered finally after this time (Timer C).
    #[must_use]
    pub fn timer_c(mut self, seconds: u32) -> Settings {
        self.proxy_lines.push(format!("ring-seconds = {seconds}"));
        self
    }

    /// Takes registrations as short as this.
    #[must_use]
    pub fn min_expires(mut self, seconds: u32) -> Settings {
        self.registrar_lines.push(format!("min-expires = {seconds}"));
        self
    }

    /// Puts a B2BUA in front of the proxy: every call goes through both.
    #[must_use]
    pub fn b2bua(self) -> Settings {
        self.section(
            "[[route]]\napplication = \"b2bua\"\nwhen = { equal = { var = \"request.method\", value = \"INVITE\" } }",
        )
    }

    /// Refuses messages to users who are not there, instead of keeping them.
    #[must_use]
    pub fn without_message_store(self) -> Settings {
        self.section("[applications.messages]\nenabled = false")
    }

    /// Has this section in its file.
    #[must_use]
    pub fn section(mut self, text: &str) -> Settings {
        self.sections.push(text.to_owned());
        self
    }

    /// How long a drain waits for calls that are up.
    #[must_use]
    pub fn drain(mut self, seconds: u32) -> Settings {
        self.lines.push(format!("drain-seconds = {seconds}"));
        self
    }
}

/// The configuration file: the one place that knows its keys.
fn configuration(settings: &Settings, listeners: &[(&'static str, SocketAddr)]) -> String {
    let mut text = String::new();
    let quoted = |words: &mut dyn Iterator<Item = String>| {
        words.map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
    };
    let mut line = |line: String| writeln!(text, "{line}").expect("a string takes any text");
    line(format!("workers = {}", settings.workers));
    line(format!("listen = [{}]", quoted(&mut listeners.iter().map(|(kind, at)| format!("{kind}:{at}")))));
    line(format!("domains = [\"{DOMAIN}\"]"));
    settings.lines.iter().cloned().for_each(&mut line);
    line(format!("[registrar]\nauthenticate = {}", settings.authenticate));
    settings.registrar_lines.iter().cloned().for_each(&mut line);
    let relay = match settings.relay {
        Relay::None => "none",
        Relay::Any => "any",
    };
    line(format!("[proxy]\nrelay = \"{relay}\""));
    settings.proxy_lines.iter().cloned().for_each(&mut line);
    if let Some((identity, authority)) = &settings.identity {
        line(format!(
            "[tls]\ncertificate = \"{}\"\nkey = \"{}\"\nca = \"{}\"",
            identity.certificate.display(),
            identity.key.display(),
            authority.display()
        ));
    }
    if let Some(MsrpRelay { port, tls }) = settings.msrp_relay {
        line(format!("[msrp-relay]\nlisten = \"{}\"\ntls = {tls}", SocketAddr::new(settings.host, port)));
    }
    for (name, password) in &settings.users {
        line(format!("[[user]]\nname = \"{name}\"\npassword = \"{password}\""));
    }
    settings.sections.iter().cloned().for_each(&mut line);
    text
}

/// A running server. Dropped, it ends; if the test is failing it prints the end of its log.
#[derive(Debug)]
pub struct Server {
    process: Process,
    settings: Settings,
    listeners: Vec<(&'static str, SocketAddr)>,
}

impl Server {
    /// Starts the server and waits until it says that all listeners are bound.
    pub fn start(settings: Settings) -> Server {
        let folder = workspace::run_folder();
        let plain = SocketAddr::new(settings.host, ports::free());
        let mut listeners = vec![("udp", plain), ("tcp", plain)];
        if settings.identity.is_some() {
            listeners.push(("tls", SocketAddr::new(settings.host, ports::free())));
        }
        if settings.websocket {
            let kind = if settings.identity.is_some() { "wss" } else { "ws" };
            listeners.push((kind, SocketAddr::new(settings.host, ports::free())));
        }
        let name = format!("cordboard-{}", plain.port());
        let file = folder.join(format!("{name}.toml"));
        fs::write(&file, configuration(&settings, &listeners)).expect("the run folder is writable");

        let mut command = Command::new(program().expect("the test asked whether it is built"));
        command.arg("serve").arg("--config").arg(&file);
        if std::env::var_os("RUST_LOG").is_none() {
            command.env("RUST_LOG", "debug");
        }
        let mut process = Process::start(&name, command, &folder);
        // Its drain, which waits for transactions to fade, is the subject of tests of its own.
        process.kill_at_the_end();
        process.wait_for_output("`ready` line", START, |output| output.lines().any(|line| line.starts_with("ready")));
        Server { process, settings, listeners }
    }

    /// Where it listens for UDP, and on the same port for TCP.
    pub fn address(&self) -> SocketAddr {
        self.listener("udp")
    }

    /// Where it listens for TLS.
    pub fn tls(&self) -> SocketAddr {
        self.listener("tls")
    }

    /// Where it listens for WebSocket, secure if it has a certificate.
    pub fn websocket_url(&self) -> String {
        let kind = if self.settings.identity.is_some() { "wss" } else { "ws" };
        format!("{kind}://{}", self.listener(kind))
    }

    /// Its MSRP relay, as an account names it.
    pub fn msrp_relay(&self) -> String {
        let MsrpRelay { port, tls } = self.settings.msrp_relay.expect("the test asked for a relay");
        let scheme = if tls { "msrps" } else { "msrp" };
        format!("{scheme}://{}", SocketAddr::new(self.settings.host, port))
    }

    /// The password of a user, where users must prove who they are.
    pub fn password(&self, user: &str) -> Option<&str> {
        self.settings.users.iter().find(|(name, _)| name == user).map(|(_, password)| password.as_str())
    }

    /// Whether it is still running.
    pub fn is_alive(&mut self) -> bool {
        self.process.ended().is_none()
    }

    /// Asks it to drain: calls that are up go on, new ones are refused.
    pub fn drain(&self) {
        self.process.terminate();
    }

    /// Waits for its end; `None` when the time is over.
    pub fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        self.process.wait(patience)
    }

    fn listener(&self, wanted: &str) -> SocketAddr {
        self.listeners
            .iter()
            .find(|(kind, _)| *kind == wanted)
            .map(|(_, address)| *address)
            .unwrap_or_else(|| panic!("the test did not ask for a {wanted} listener"))
    }
}
