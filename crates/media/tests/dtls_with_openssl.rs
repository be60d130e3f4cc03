//! DTLS-SRTP handshakes with OpenSSL over loopback, in both roles and with certificates of both kinds: the exported keys
//! are the same at both ends. Skipped, loudly, where there is no `openssl` program.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

use media::dtls::{Certificate, DtlsOutput, DtlsRole, DtlsSession, DtlsSources};
use media::srtp::SrtpKeys;
use sdp::{Fingerprint, TypedAttribute};
use std::io::Read;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_client_agrees_with_openssl_on_keys() {
    let ours = UdpSocket::bind("127.0.0.1:0").unwrap();
    for kind in ["rsa:2048", "ec"] {
        let Some(peer) = Peer::with(kind) else { return };
        let theirs = free_port();
        let openssl = peer.start(&["s_server", "-accept", &theirs.to_string(), "-Verify", "1"]);
        let (client, server) = handshake(&ours, DtlsRole::Client, theirs, &peer);
        assert_eq!(openssl.exported(), exported(&client, &server), "{kind}");
    }
}

#[test]
fn a_server_agrees_with_openssl_on_keys() {
    let ours = UdpSocket::bind("127.0.0.1:0").unwrap();
    for kind in ["rsa:2048", "ec"] {
        let Some(peer) = Peer::with(kind) else { return };
        let address = ours.local_addr().unwrap().to_string();
        let openssl = peer.start(&["s_client", "-connect", &address]);
        // Nobody told us from which port it comes.
        let (server, client) = handshake(&ours, DtlsRole::Server, SocketAddr::from(([127, 0, 0, 1], 9)), &peer);
        assert_eq!(openssl.exported(), exported(&client, &server), "{kind}");
    }
}

/// What we send with and what we receive with, each master key then master salt.
fn handshake(socket: &UdpSocket, role: DtlsRole, remote: SocketAddr, peer: &Peer) -> (Vec<u8>, Vec<u8>) {
    let certificate = Certificate::generate().unwrap();
    let fingerprints = vec![peer.fingerprint.clone()];
    let mut session = DtlsSession::new(&certificate, role, remote, DtlsSources::Any, fingerprints);
    let began = Instant::now();
    session.start(began);
    let mut datagram = [0; 2_048];
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut keys: Option<SrtpKeys> = None;
    let mut until = began + PATIENCE;
    while Instant::now() < until {
        while let Some(output) = session.poll_output() {
            match output {
                DtlsOutput::Send { destination, datagram } => drop(socket.send_to(&datagram, destination)),
                // The last flight may have to be sent again.
                DtlsOutput::Keys { keys: agreed, .. } => {
                    keys = Some(agreed);
                    until = Instant::now() + Duration::from_millis(200);
                }
                other => panic!("{other:?}"),
            }
        }
        if let Ok((length, source)) = socket.recv_from(&mut datagram) {
            session.handle(Instant::now(), source, &datagram[..length]);
        }
        session.handle_timeout(Instant::now());
    }
    keys.expect("OpenSSL agreed").reveal()
}

/// RFC 5764 §4.2: the client's key, the server's, the client's salt, the server's.
fn exported(client: &[u8], server: &[u8]) -> String {
    let octets = [&client[..16], &server[..16], &client[16..], &server[16..]].concat();
    octets.iter().map(|octet| format!("{octet:02X}")).collect()
}

fn free_port() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// An OpenSSL with a certificate.
struct Peer {
    folder: PathBuf,
    fingerprint: Fingerprint,
}

impl Peer {
    fn with(kind: &str) -> Option<Peer> {
        let name = format!("dtls-{}-{:?}-{}", std::process::id(), std::thread::current().id(), kind.len());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let mut request = Command::new("openssl");
        request.args(["req", "-x509", "-nodes", "-days", "1", "-subj", "/CN=peer", "-newkey", kind]);
        if kind == "ec" {
            request.args(["-pkeyopt", "ec_paramgen_curve:prime256v1"]);
        }
        request.args(["-keyout", "key.pem", "-out", "certificate.pem"]).current_dir(&folder);
        let Ok(made) = request.stderr(Stdio::null()).status() else {
            eprintln!("SKIPPED: there is no openssl program");
            return None;
        };
        assert!(made.success());
        let mut show = Command::new("openssl");
        show.args(["x509", "-in", "certificate.pem", "-noout", "-fingerprint", "-sha256"]).current_dir(&folder);
        let shown = String::from_utf8(show.output().unwrap().stdout).unwrap();
        let digits = shown.trim().split('=').nth(1).unwrap();
        Some(Peer { fingerprint: Fingerprint::parse(&format!("sha-256 {digits}")).unwrap(), folder })
    }

    fn start(&self, arguments: &[&str]) -> Running {
        let mut command = Command::new("openssl");
        command.args(arguments).args(["-dtls1_2", "-cert", "certificate.pem", "-key", "key.pem"]);
        command.args(["-use_srtp", "SRTP_AES128_CM_SHA1_80"]);
        command.args(["-keymatexport", "EXTRACTOR-dtls_srtp", "-keymatexportlen", "60"]);
        command.current_dir(&self.folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        Running(command.spawn().unwrap())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

struct Running(Child);

impl Running {
    /// The keying material that it printed.
    fn exported(mut self) -> String {
        drop(self.0.kill());
        let mut printed = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
        let line = printed.lines().find_map(|line| line.trim().strip_prefix("Keying material: "));
        line.unwrap_or_else(|| panic!("{printed}")).to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
