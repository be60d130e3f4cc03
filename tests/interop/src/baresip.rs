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
use crate::{DOMAIN, ports, presence, workspace};

const START: Duration = Duration::from_secs(10);
const EVENT: Duration = Duration::from_secs(8);
/// The sample rate of PCMU.
const RATE: u32 = 8_000;

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
        let folder = workspace::run_folder().join(format!("baresip-{user}"));
        fs::create_dir_all(&folder).expect("the run folder is writable");
        let control = ports::free();
        write(&folder.join("config"), &configuration(&folder, control, transport));
        write(&folder.join("accounts"), &account(server, user, password, transport));
        write(&folder.join("contacts"), "");
        fs::write(folder.join("tone.wav"), tone()).expect("the run folder is writable");

        let mut command = Command::new(presence::find("baresip").expect("the test asked whether it is there"));
        // -s traces SIP messages into its output.
        command.arg("-f").arg(&folder).args(["-s", "-v"]);
        let mut process = Process::start(&format!("baresip-{user}"), command, &folder);
        process.wait_for_output("`ready` line", START, |output| output.contains("baresip is ready"));
        let control = TcpStream::connect(("127.0.0.1", control)).expect("its control port is bound");
        control.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout that is not zero");
        Baresip { process, control, unread: Vec::new(), events: Vec::new(), user: user.to_owned() }
    }

    /// Its address-of-record.
    pub fn address(&self) -> String {
        format!("sip:{}@{DOMAIN}", self.user)
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

fn configuration(folder: &Path, control: u16, transport: &Transport) -> String {
    let sip = ports::free();
    let rtp = ports::free_row(8);
    let tone = folder.join("tone.wav").display().to_string();
    let heard = folder.join("heard.wav").display().to_string();
    let authority = match transport {
        Transport::Tls(authority) => format!("sip_cafile {}\n", authority.display()),
        Transport::Udp | Transport::Tcp => String::new(),
    };
    format!(
        "sip_listen 127.0.0.1:{sip}\n\
         {authority}\
         net_interface 127.0.0.1\n\
         audio_player aufile,{heard}\n\
         audio_source aufile,{tone}\n\
         audio_alert aufile,/dev/null\n\
         call_max_calls 4\n\
         audio_buffer 20-160\n\
         rtp_ports {rtp}-{rtp_last}\n\
         rtp_stats yes\n\
         module_path {modules}\n\
         module stdio.so\n\
         module g711.so\n\
         module aufile.so\n\
         module auconv.so\n\
         module auresamp.so\n\
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

/// Twenty seconds of a 440 Hz square wave, as a WAV file of 16-bit mono samples.
fn tone() -> Vec<u8> {
    const SECONDS: u32 = 20;
    const HALF_WAVE: u32 = RATE / 440 / 2;
    let data = SECONDS * RATE * 2;
    let mut file = Vec::new();
    file.extend(b"RIFF");
    file.extend((36 + data).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    for field in [1_u16, 1] {
        file.extend(field.to_le_bytes()); // PCM, one channel
    }
    file.extend(RATE.to_le_bytes());
    file.extend((RATE * 2).to_le_bytes());
    for field in [2_u16, 16] {
        file.extend(field.to_le_bytes()); // octets a sample, bits a sample
    }
    file.extend(b"data");
    file.extend(data.to_le_bytes());
    for sample in 0..SECONDS * RATE {
        let high = (sample / HALF_WAVE).is_multiple_of(2);
        file.extend(if high { 8_000_i16 } else { -8_000 }.to_le_bytes());
    }
    file
}

fn write(file: &Path, text: &str) {
    fs::write(file, text).expect("the run folder is writable");
}
