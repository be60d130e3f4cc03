//! baresip, a phone with sound, driven through its `ctrl_tcp` module.
//!
//! Commands and events are JSON in netstrings. Two things about baresip 1.0 shape this file: it
//! skips the loopback interface unless that address is named, and a sound file must have the
//! codec's own sample rate.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::Process;
use crate::server::Server;
use crate::{DOMAIN, ports, presence, sound, workspace};

const START: Duration = Duration::from_secs(10);
const EVENT: Duration = Duration::from_secs(8);
/// The tone that it plays, in hertz.
pub const TONE: f64 = 440.0;

/// The codec that it speaks, and the only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// G.711 µ.
    Pcmu,
    /// G.722.
    G722,
    /// Opus.
    Opus,
}

impl Codec {
    /// As an account names it, the sample rate of its sound files, and the module that has it.
    fn parts(self) -> (&'static str, u32, &'static str) {
        match self {
            Codec::Pcmu => ("pcmu/8000/1", 8_000, "g711.so"),
            Codec::G722 => ("g722/16000/1", 16_000, "g722.so"),
            Codec::Opus => ("opus/48000/2", 48_000, "opus.so"),
        }
    }
}

/// How its media is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// Not at all.
    None,
    /// SDES, in a plain profile.
    Sdes,
    /// SDES, in a secure profile.
    SdesMandatory,
    /// DTLS-SRTP.
    Dtls,
}

impl Encryption {
    fn parameter(self) -> &'static str {
        match self {
            Encryption::None => "",
            Encryption::Sdes => ";mediaenc=srtp",
            Encryption::SdesMandatory => ";mediaenc=srtp-mand",
            Encryption::Dtls => ";mediaenc=dtls_srtp",
        }
    }
}

/// What the phone talks to the server over.
#[derive(Debug, Clone)]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TLS, trusting this authority.
    Tls(PathBuf),
}

/// A phone that is registered at the server.
#[derive(Debug)]
pub struct Baresip {
    process: Process,
    control: TcpStream,
    unread: Vec<u8>,
    events: Vec<Value>,
    user: String,
    listen: u16,
    folder: PathBuf,
}

impl Baresip {
    /// Starts a phone and waits until it is registered.
    pub fn register(server: &Server, user: &str, password: &str, transport: &Transport) -> Baresip {
        let mut phone = Baresip::start(server, user, password, transport);
        // The event may come before the control connection; the note of it stays in the output.
        phone.awaits_trace("registration", |trace| trace.contains(" [1 binding]"));
        phone
    }

    /// Starts a phone that will try to register.
    pub fn start(server: &Server, user: &str, password: &str, transport: &Transport) -> Baresip {
        let account = account(server, user, password, transport);
        Baresip::start_with(user, &account, Codec::Pcmu, transport)
    }

    /// Starts a phone that has no server: it is called, and calls, directly.
    pub fn alone(user: &str, codec: Codec, encryption: Encryption) -> Baresip {
        let (name, ..) = codec.parts();
        let account = format!("<sip:{user}@127.0.0.1>;regint=0;audio_codecs={name}{}\n", encryption.parameter());
        Baresip::start_with(user, &account, codec, &Transport::Udp)
    }

    fn start_with(user: &str, account: &str, codec: Codec, transport: &Transport) -> Baresip {
        let folder = workspace::run_folder().join(format!("baresip-{user}"));
        fs::create_dir_all(&folder).expect("the run folder is writable");
        let (control, listen) = (ports::free(), ports::free_row(2));
        let (_, rate, module) = codec.parts();
        // It wants sound files as its codec has them.
        let channels = if codec == Codec::Opus { 2 } else { 1 };
        write(&folder.join("config"), &configuration(control, listen, module, transport));
        write(&folder.join("accounts"), account);
        write(&folder.join("contacts"), "");
        sound::write_tone(&folder.join("tone.wav"), rate, channels, TONE, Duration::from_secs(20));

        let mut command = Command::new(presence::find("baresip").expect("the test asked whether it is there"));
        // -s traces SIP messages into its output.
        command.arg("-f").arg(&folder).args(["-s", "-v"]);
        let mut process = Process::start(&format!("baresip-{user}"), command, &folder);
        process.wait_for_output("`ready` line", START, |output| output.contains("baresip is ready"));
        let control = TcpStream::connect(("127.0.0.1", control)).expect("its control port is bound");
        control.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout that is not zero");
        Baresip { process, control, unread: Vec::new(), events: Vec::new(), user: user.to_owned(), listen, folder }
    }

    /// Its address-of-record.
    pub fn address(&self) -> String {
        format!("sip:{}@{DOMAIN}", self.user)
    }

    /// Where it is called directly.
    pub fn contact(&self) -> String {
        format!("sip:{}@127.0.0.1:{}", self.user, self.listen)
    }

    /// What it has heard, as it was recorded. Whole only when the call is over.
    pub fn heard(&self) -> PathBuf {
        let files = fs::read_dir(&self.folder).expect("the run folder is there").flatten().map(|entry| entry.path());
        let is_dump =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().ends_with("-dec.wav"));
        let mut dumps: Vec<_> = files.filter(is_dump).collect();
        dumps.sort();
        dumps.pop().unwrap_or_else(|| panic!("{} has heard nothing:\n{}", self.user, self.trace()))
    }

    /// Sends a digit.
    pub fn press(&mut self, digit: char) {
        self.command("sndcode", &digit.to_string());
    }

    /// Calls this URI.
    pub fn dial(&mut self, uri: &str) {
        self.command("dial", uri);
    }

    /// Answers the call that rings.
    pub fn accept(&mut self) {
        self.command("accept", "");
    }

    /// Puts the call on hold.
    pub fn hold(&mut self) {
        self.command("hold", "");
    }

    /// Takes the call off hold.
    pub fn resume(&mut self) {
        self.command("resume", "");
    }

    /// Ends the call.
    pub fn hang_up(&mut self) {
        self.command("hangup", "");
    }

    /// Waits for an event of this type, and forgets it with those before it.
    #[track_caller]
    pub fn awaits(&mut self, event: &str) -> Value {
        let deadline = Instant::now() + EVENT;
        loop {
            self.read();
            if let Some(at) = self.events.iter().position(|seen| seen["type"] == event) {
                return self.events.drain(..=at).next_back().expect("it was just found");
            }
            assert!(Instant::now() < deadline, "{}: no {event} but {:?}", self.user, self.events);
        }
    }

    /// Waits until the SIP messages and notes of the phone from now on satisfy the condition.
    pub fn awaits_trace(&mut self, what: &str, condition: impl Fn(&str) -> bool) {
        self.process.wait_for_output(what, EVENT, condition);
    }

    /// What the phone has printed so far: SIP messages and notes.
    pub fn trace(&self) -> String {
        self.process.output()
    }

    /// Whether it has received sound, by its own report.
    ///
    /// The phone prints `[0:00:03] audio=64000/64000 (bit/s)` while it is in a call: sent, received.
    pub fn hears(&self) -> bool {
        self.trace().split("audio=").skip(1).any(|report| {
            let received = report.split('/').nth(1).and_then(|rest| rest.split_whitespace().next());
            received.and_then(|rate| rate.parse().ok()).is_some_and(|rate: u64| rate > 0)
        })
    }

    /// Waits until it receives sound.
    #[track_caller]
    pub fn awaits_sound(&mut self) {
        let deadline = Instant::now() + EVENT;
        while !self.hears() {
            assert!(Instant::now() < deadline, "{} hears nothing", self.user);
            self.read();
        }
    }

    fn command(&mut self, command: &str, parameters: &str) {
        let body = json!({ "command": command, "params": parameters, "token": command }).to_string();
        let netstring = format!("{}:{body},", body.len());
        self.control.write_all(netstring.as_bytes()).expect("the phone reads its commands");
    }

    /// Reads events that have come; returns after 50 ms without any.
    fn read(&mut self) {
        let mut piece = [0; 4096];
        match self.control.read(&mut piece) {
            Ok(length) => self.unread.extend(&piece[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return;
            }
            Err(error) => panic!("{}: its control connection ended: {error}", self.user),
        }
        while let Some((body, length)) = netstring(&self.unread) {
            let message: Value = serde_json::from_slice(body).expect("the phone speaks JSON");
            self.unread.drain(..length);
            if message["event"] == true {
                self.events.push(message);
            }
        }
    }
}

/// The first whole netstring (`5:hello,`), and how much of the buffer it takes.
fn netstring(buffer: &[u8]) -> Option<(&[u8], usize)> {
    let colon = buffer.iter().position(|octet| *octet == b':')?;
    let length: usize = std::str::from_utf8(&buffer[..colon]).ok()?.parse().ok()?;
    let end = colon + 1 + length;
    Some((buffer.get(colon + 1..end)?, end + 1)).filter(|(_, taken)| *taken <= buffer.len())
}

fn account(server: &Server, user: &str, password: &str, transport: &Transport) -> String {
    let (name, address): (_, SocketAddr) = match transport {
        Transport::Udp => ("udp", server.address()),
        Transport::Tcp => ("tcp", server.address()),
        Transport::Tls(_) => ("tls", server.tls()),
    };
    format!(
        "<sip:{user}@{DOMAIN};transport={name}>;auth_user={user};auth_pass={password};\
         outbound=\"sip:{address};transport={name}\";regint=600;audio_codecs=pcmu/8000/1\n"
    )
}

/// Its sounds are named from the folder it runs in: it cuts a path off behind 127 bytes.
fn configuration(control: u16, sip: u16, codec: &str, transport: &Transport) -> String {
    let rtp = ports::free_row(8);
    let authority = match transport {
        Transport::Tls(authority) => format!("sip_cafile {}\n", authority.display()),
        Transport::Udp | Transport::Tcp => String::new(),
    };
    format!(
        "sip_listen 127.0.0.1:{sip}\n\
         {authority}\
         net_interface 127.0.0.1\n\
         audio_player aubridge,nobody\n\
         audio_source aufile,tone.wav\n\
         audio_alert aufile,/dev/null\n\
         call_max_calls 4\n\
         audio_buffer 20-160\n\
         rtp_ports {rtp}-{rtp_last}\n\
         rtp_stats yes\n\
         module_path {modules}\n\
         module stdio.so\n\
         module {codec}\n\
         module srtp.so\n\
         module dtls_srtp.so\n\
         module aufile.so\n\
         module sndfile.so\n\
         module aubridge.so\n\
         snd_path .\n\
         module_tmp uuid.so\n\
         module_tmp account.so\n\
         module_app menu.so\n\
         module_app ctrl_tcp.so\n\
         ctrl_tcp_listen 127.0.0.1:{control}\n",
        rtp_last = rtp + 7,
        modules = modules().display(),
    )
}

/// Where distributions put its modules.
fn modules() -> PathBuf {
    ["/usr/lib/baresip/modules", "/usr/local/lib/baresip/modules", "/usr/lib64/baresip/modules"]
        .map(PathBuf::from)
        .into_iter()
        .find(|folder| folder.is_dir())
        .expect("an installed baresip has modules")
}

fn write(file: &Path, text: &str) {
    fs::write(file, text).expect("the run folder is writable");
}
