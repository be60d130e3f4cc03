//! rtpengine in user space as the yardstick: started for one case, told of calls by its ng protocol (a cookie and a bencoded
//! dictionary in a datagram).

use std::io;
use std::net::UdpSocket;
use std::time::Duration;

use sdp::SessionDescription;

use crate::process::Process;
use crate::server::PORTS;

const PROGRAM: &str = "rtpengine";

pub(crate) struct Rtpengine {
    pub(crate) process: Process,
    control: UdpSocket,
    asked: u64,
}

/// Which of a call's messages a description comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Offer,
    Answer,
}

pub(crate) fn is_installed() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(["/usr/sbin".into()]).any(|folder| folder.join(PROGRAM).is_file())
}

impl Rtpengine {
    pub(crate) fn start() -> io::Result<Rtpengine> {
        // Free a moment ago; nobody else on this machine takes ports so fast.
        let port = UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
        let (listen, low, high) = (format!("127.0.0.1:{port}"), PORTS.0.to_string(), PORTS.1.to_string());
        let process = Process::start_quietly(
            0,
            &[
                PROGRAM,
                "--config-file=none",
                "--foreground",
                "--log-stderr",
                "--log-level=3",
                // No kernel module.
                "--table=-1",
                // As many as there are cores for it.
                "--num-threads=1",
                "--interface=127.0.0.1",
                "--listen-ng",
                &listen,
                "--port-min",
                &low,
                "--port-max",
                &high,
            ],
        )?;
        let control = UdpSocket::bind("127.0.0.1:0")?;
        control.connect(&listen)?;
        control.set_read_timeout(Some(Duration::from_millis(250)))?;
        let mut rtpengine = Rtpengine { process, control, asked: 0 };
        for _ in 0..40 {
            if rtpengine.ask(&dictionary(&[("command", "ping")])).is_ok_and(|said| text(&said, "result").is_some()) {
                return Ok(rtpengine);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(io::Error::other("rtpengine does not answer"))
    }

    /// Hands in a description; gives the one for the other leg.
    pub(crate) fn pass(
        &mut self,
        command: Command,
        call: usize,
        description: &SessionDescription,
    ) -> io::Result<SessionDescription> {
        let (id, sdp) = (format!("call-{call}"), description.to_string());
        // In alphabetical order, as bencoding demands.
        let asked = match command {
            Command::Offer => dictionary(&[
                ("ICE", "remove"),
                ("call-id", &id),
                ("command", "offer"),
                ("from-tag", "alice"),
                ("sdp", &sdp),
                ("transport-protocol", "RTP/AVP"),
            ]),
            Command::Answer => dictionary(&[
                ("ICE", "remove"),
                ("call-id", &id),
                ("command", "answer"),
                ("from-tag", "alice"),
                ("sdp", &sdp),
                ("to-tag", "bob"),
            ]),
        };
        let said = self.ask(&asked)?;
        let sdp = text(&said, "sdp").ok_or_else(|| {
            let reason = text(&said, "error-reason").unwrap_or("no description");
            io::Error::other(format!("rtpengine: {reason}"))
        })?;
        SessionDescription::parse(sdp).map_err(|error| io::Error::other(format!("rtpengine's description: {error}")))
    }

    fn ask(&mut self, dictionary: &str) -> io::Result<String> {
        self.asked += 1;
        let cookie = format!("{} ", self.asked);
        self.control.send(format!("{cookie}{dictionary}").as_bytes())?;
        let mut datagram = [0; 8_192];
        loop {
            let length = self.control.recv(&mut datagram)?;
            let said = String::from_utf8_lossy(&datagram[..length]);
            // What does not begin so answers an earlier question, which was given up.
            if let Some(said) = said.strip_prefix(&cookie) {
                return Ok(said.to_owned());
            }
        }
    }
}

fn dictionary(entries: &[(&str, &str)]) -> String {
    let string = |text: &str| format!("{}:{text}", text.len());
    let entries: String = entries.iter().map(|(key, value)| string(key) + &string(value)).collect();
    format!("d{entries}e")
}

/// The text under a key of a dictionary whose other values may be anything.
fn text<'a>(dictionary: &'a str, wanted: &str) -> Option<&'a str> {
    let mut rest = dictionary.strip_prefix('d')?;
    while !rest.starts_with('e') {
        let (key, after) = string(rest)?;
        if key == wanted {
            return string(after).map(|(value, _)| value);
        }
        rest = skip(after)?;
    }
    None
}

fn string(from: &str) -> Option<(&str, &str)> {
    let (length, rest) = from.split_once(':')?;
    rest.split_at_checked(length.parse().ok()?)
}

fn skip(value: &str) -> Option<&str> {
    match value.as_bytes().first()? {
        b'i' => value.split_once('e').map(|(_, rest)| rest),
        b'd' | b'l' => {
            let mut rest = &value[1..];
            while !rest.starts_with('e') {
                rest = skip(rest)?;
            }
            Some(&rest[1..])
        }
        _ => string(value).map(|(_, rest)| rest),
    }
}
