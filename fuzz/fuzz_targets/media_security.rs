//! Whatever comes at a media port, in any order, also in the middle of a handshake or of connectivity checks and into
//! the midst of their own datagrams (RFC 3711, RFC 5764, RFC 8445, RFC 7983): nothing panics, nothing forged is accepted
//! by SRTP, and what one end protects the other reads.
#![no_main]

use cordboard_fuzz::steps;
use libfuzzer_sys::fuzz_target;
use media::demux::Datagram;
use media::dtls::{Certificate, DtlsOutput, DtlsRole, DtlsSession, DtlsSources};
use media::ice::{IceAgent, IceOutput, IceRole};
use media::srtp::{Profile, SrtpContext, SrtpKeys};
use sdp::SessionDescription;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

fuzz_target!(|script: &[u8]| {
    let mut world = World::new();
    for (letter, text) in steps(script).take(64) {
        let _ = Datagram::classify(text);
        world.step(letter, text);
    }
});

const ALICE: ([u8; 4], u16) = ([192, 0, 2, 1], 4000);
const BOB: ([u8; 4], u16) = ([192, 0, 2, 2], 5000);

struct World {
    now: Instant,
    srtp: [SrtpContext; 2],
    dtls: [DtlsSession; 2],
    ice: [IceAgent; 2],
    /// Datagrams of the handshake and of the checks, and to whom.
    handshake: Vec<(usize, Vec<u8>)>,
    checks: Vec<(usize, Vec<u8>)>,
}

impl World {
    fn new() -> World {
        let now = Instant::now();
        let certificate = certificate();
        let session = |role, remote| {
            let fingerprints = vec![certificate.fingerprint().clone()];
            let mut session = DtlsSession::new(certificate, role, remote, DtlsSources::Any, fingerprints);
            session.start(now);
            session
        };
        let agent = |role, address: SocketAddr| {
            let mut agent = IceAgent::new(role, &mut random(address.port()));
            agent.add_host(address);
            agent.gather(now, &[SocketAddr::from(([203, 0, 113, 1], 3478))], &mut random(3));
            agent
        };
        let [alice, bob] = [ALICE, BOB].map(SocketAddr::from);
        let mut world = World {
            now,
            srtp: contexts(0),
            dtls: [session(DtlsRole::Client, bob), session(DtlsRole::Server, alice)],
            ice: [agent(IceRole::Controlling, alice), agent(IceRole::Controlled, bob)],
            handshake: Vec::new(),
            checks: Vec::new(),
        };
        world.collect();
        world
    }

    fn step(&mut self, letter: u8, text: &[u8]) {
        match letter {
            b'k' => self.srtp = contexts(text.first().copied().unwrap_or_default()),
            b'r' => assert!(self.srtp[1].unprotect_rtp(&mut text.to_vec()).is_err(), "nobody has the key"),
            b'c' => assert!(self.srtp[1].unprotect_rtcp(&mut text.to_vec()).is_err(), "nobody has the key"),
            b'p' => self.talk(text, SrtpContext::protect_rtp, SrtpContext::unprotect_rtp),
            b'q' => self.talk(text, SrtpContext::protect_rtcp, SrtpContext::unprotect_rtcp),
            b'd' => self.dtls[0].handle(self.now, BOB.into(), text),
            b'D' => self.dtls[1].handle(self.now, ALICE.into(), text),
            b'e' => self.dtls[1].handle(self.now, SocketAddr::from(([198, 51, 100, 1], 9)), text),
            b'i' => self.ice[0].handle(self.now, ALICE.into(), BOB.into(), text),
            b'I' => self.ice[1].handle(self.now, BOB.into(), ALICE.into(), text),
            b's' => self.describe(0, text),
            b'S' => self.describe(1, text),
            b'a' => {
                let _ = self.ice[0].add_remote_candidate(&String::from_utf8_lossy(text));
            }
            b'x' => self.exchange(),
            b'h' | b'j' => self.deliver(letter == b'h', text),
            b't' => self.wait(Duration::from_millis(100 * (1 + text.len() as u64))),
            _ => {}
        }
        self.collect();
    }

    /// What one end protects the other reads, unless its sequence number has come before.
    fn talk(
        &mut self,
        text: &[u8],
        protect: impl Fn(&mut SrtpContext, &mut Vec<u8>) -> Result<(), media::srtp::SrtpError>,
        unprotect: impl Fn(&mut SrtpContext, &mut [u8]) -> Result<usize, media::srtp::SrtpError>,
    ) {
        let [alice, bob] = &mut self.srtp;
        let mut packet = text.to_vec();
        if protect(alice, &mut packet).is_ok()
            && let Ok(length) = unprotect(bob, &mut packet)
        {
            assert_eq!(packet[..length], *text);
        }
    }

    fn describe(&mut self, whom: usize, text: &[u8]) {
        if let Ok(description) = SessionDescription::parse(text)
            && let Some(media) = description.media.first()
        {
            self.ice[whom].set_remote(&description, media, &mut random(7));
        }
    }

    /// Both agents hear of each other.
    fn exchange(&mut self) {
        for (from, to) in [(0, 1), (1, 0)] {
            let address = self.ice[from].default_address().expect("each has a socket");
            let mut text = format!(
                "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 {}\r\nt=0 0\r\nm=audio {} RTP/AVP 0\r\n",
                address.ip(),
                address.port()
            );
            for attribute in self.ice[from].attributes() {
                let value = attribute.value().map(|value| format!(":{value}")).unwrap_or_default();
                text.push_str(&format!("a={}{value}\r\n", attribute.name()));
            }
            self.describe(to, text.as_bytes());
        }
    }

    /// Delivers what is on the way, changed by the octets of the text.
    fn deliver(&mut self, handshake: bool, text: &[u8]) {
        let [alice, bob] = [ALICE, BOB].map(SocketAddr::from);
        let queue = if handshake { &mut self.handshake } else { &mut self.checks };
        for (whom, mut datagram) in std::mem::take(queue) {
            for (octet, change) in datagram.iter_mut().zip(text) {
                *octet ^= change;
            }
            let (local, remote) = if whom == 0 { (alice, bob) } else { (bob, alice) };
            if handshake {
                self.dtls[whom].handle(self.now, remote, &datagram);
            } else {
                self.ice[whom].handle(self.now, local, remote, &datagram);
            }
        }
    }

    fn wait(&mut self, span: Duration) {
        self.now += span;
        for session in &mut self.dtls {
            session.handle_timeout(self.now);
        }
        for agent in &mut self.ice {
            agent.handle_timeout(self.now);
        }
    }

    fn collect(&mut self) {
        for (whom, session) in self.dtls.iter_mut().enumerate() {
            while let Some(output) = session.poll_output() {
                if let DtlsOutput::Send { datagram, .. } = output {
                    self.handshake.push((1 - whom, datagram));
                }
            }
            let _ = session.next_timeout();
        }
        for (whom, agent) in self.ice.iter_mut().enumerate() {
            while let Some(output) = agent.poll_output() {
                if let IceOutput::Send { datagram, .. } = output {
                    self.checks.push((1 - whom, datagram));
                }
            }
            let _ = agent.next_timeout();
        }
        // What nobody delivers is lost.
        self.handshake.truncate(32);
        self.checks.truncate(32);
    }
}

/// One for all runs: making one takes longer than most of them.
fn certificate() -> &'static Certificate {
    static CERTIFICATE: OnceLock<Certificate> = OnceLock::new();
    CERTIFICATE.get_or_init(|| Certificate::generate().expect("there is randomness"))
}

fn contexts(choice: u8) -> [SrtpContext; 2] {
    let profile = Profile::ALL[usize::from(choice) % Profile::ALL.len()];
    // Of the suites with short tags a fuzzer might guess one in its life.
    let profile = if profile.rtp_tag_length() < 10 { Profile::AesCm128HmacSha1_80 } else { profile };
    let key = |seed| vec![seed; profile.key_length() + profile.salt_length()];
    [(1, 2), (2, 1)].map(|(local, remote)| {
        SrtpContext::new(&SrtpKeys::new(profile, &key(local), &key(remote)).expect("the lengths are the profile's"))
    })
}

fn random(seed: u16) -> impl FnMut(&mut [u8]) {
    let mut state = u64::from(seed);
    move |octets| {
        octets.fill_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        });
    }
}
