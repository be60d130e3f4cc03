//! The MSRP relay of `cordboard serve`, over loopback: two clients whom it knows by their passwords, and one whom it does not.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cordboard::Server;
use cordboard::config::Config;
use msrp::chunk::{Chunk, Framer, FramerLimits, Head, Start, TransactionId};
use msrp::relay::client::{AuthClient, AuthError, Challenge, Step};
use msrp::uri::Path;
use sip_dialog::digest::algorithm::{ClientNonce, Transcript};
use sip_dialog::digest::{Algorithm, Qop, Secret};

const PATIENCE: Duration = Duration::from_secs(5);

fn server() -> Server {
    let text = "listen = [\"udp:127.0.0.1:0\"]\nworkers = 1\n\
                [msrp-relay]\nlisten = \"127.0.0.1:0\"\ntls = false\n\
                [[user]]\nname = \"alice\"\npassword = \"secret\"\n\
                [[user]]\nname = \"bob\"\npassword = \"hidden\"\n";
    Server::start(&Config::parse(text).unwrap()).unwrap()
}

/// A value between quotes in a challenge.
fn quoted<'a>(text: &'a str, name: &str) -> &'a str {
    let start = text.find(&format!("{name}=\"")).unwrap() + name.len() + 2;
    text[start..].split('"').next().unwrap()
}

/// What a client answers by RFC 4976's grammar, which has no `uri`.
fn answer(challenge: Challenge<'_>, user: &str, password: &str) -> String {
    let (realm, nonce) = (quoted(challenge.challenge, "realm"), quoted(challenge.challenge, "nonce"));
    let client = Some(ClientNonce { qop: Qop::Auth, count: 1, cnonce: "0a4f113b" });
    let ha1 = Secret::Password(password.into()).ha1(Algorithm::MD5.hash, user, realm).unwrap();
    let (algorithm, method, uri) = (Algorithm::MD5, challenge.method, challenge.uri);
    let response = Transcript { algorithm, nonce, client, method, uri, body: &[] }.response(ha1);
    format!(
        "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", algorithm=MD5, qop=auth, nc=00000001, \
         cnonce=\"0a4f113b\", response=\"{}\"",
        response.as_str()
    )
}

struct Phone {
    stream: TcpStream,
    framer: Framer,
    own: String,
    asked: u32,
}

impl Phone {
    fn new(server: &Server, user: &str) -> Phone {
        let stream = TcpStream::connect(server.msrp_relay().unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let own = format!("msrp://{}/{user};tcp", stream.local_addr().unwrap());
        Phone { stream, framer: Framer::new(FramerLimits::default()), own, asked: 0 }
    }

    fn say(&mut self, chunk: &Chunk) {
        self.stream.write_all(&chunk.to_bytes()).unwrap();
    }

    fn hear(&mut self) -> Option<Chunk> {
        loop {
            if let Some(piece) = self.framer.next().unwrap() {
                let body = piece.head.has_body().then_some(piece.body);
                return Some(Chunk { head: Head::clone(&piece.head), body, end: piece.end.unwrap() });
            }
            let mut octets = [0; 4096];
            match self.stream.read(&mut octets).unwrap() {
                0 => return None,
                length => self.framer.feed(Bytes::copy_from_slice(&octets[..length])),
            }
        }
    }

    fn transaction(&mut self) -> TransactionId {
        self.asked += 1;
        TransactionId::parse(format!("phone{}", self.asked).as_bytes()).unwrap()
    }

    /// AUTH until it is in or given up.
    fn auth(&mut self, server: &Server, user: &str, password: &str) -> Result<Path, AuthError> {
        let relay = format!("msrp://{};tcp", server.msrp_relay().unwrap()).parse().unwrap();
        let mut client = AuthClient::new(vec![relay], self.own.parse().unwrap(), None);
        let first = self.transaction();
        let mut head = client.start(Instant::now(), first).unwrap();
        loop {
            self.say(&Chunk::bodiless(head));
            let response = self.hear().unwrap().head;
            let next = self.transaction();
            let mut know = |challenge: Challenge<'_>| Some(answer(challenge, user, password));
            match client.handle(Instant::now(), &response, next, &mut know)? {
                Step::Send(request) => head = *request,
                Step::Ready { use_path, .. } => {
                    let info = response.get("Authentication-Info").unwrap();
                    assert!(info.contains("rspauth=\"") && info.contains("cnonce=\"0a4f113b\""), "{info}");
                    return Ok(use_path);
                }
                Step::Nothing => panic!("{response:?}"),
            }
        }
    }

    fn send(&mut self, to: &Path, text: &'static str) {
        let transaction = self.transaction();
        let from: Path = self.own.parse().unwrap();
        let head = Head::request(transaction, msrp::chunk::Method::Send, to, &from)
            .with("Message-ID", transaction)
            .with("Byte-Range", format!("1-{0}/{0}", text.len()))
            .with("Content-Type", "text/plain");
        self.say(&Chunk { body: Some(Bytes::from_static(text.as_bytes())), ..Chunk::bodiless(head) });
    }
}

fn code(chunk: &Chunk) -> u16 {
    match chunk.head.start() {
        Start::Response(code, _) => *code,
        Start::Request(method) => panic!("{} is no response", method.as_str()),
    }
}

#[test]
fn two_users_chat_through_the_relay() {
    let server = server();
    let (mut alice, mut bob) = (Phone::new(&server, "alice"), Phone::new(&server, "bob"));
    let outwards = alice.auth(&server, "alice", "secret").unwrap();
    let inwards = bob.auth(&server, "bob", "hidden").unwrap();
    let to: Path = format!("{outwards} {inwards} {}", bob.own).parse().unwrap();
    for text in ["hello bob", "are you there?"] {
        alice.send(&to, text);
        assert_eq!(code(&alice.hear().unwrap()), 200);
        let heard = bob.hear().unwrap();
        assert_eq!(heard.body.as_deref(), Some(text.as_bytes()));
        let us = bob.own.parse().unwrap();
        bob.say(&Chunk::bodiless(heard.head.response(&us, 200, "OK").unwrap()));
    }
}

#[test]
fn who_has_no_password_is_not_let_in_and_not_listened_to_for_long() {
    let server = server();
    let mut eve = Phone::new(&server, "eve");
    assert_eq!(eve.auth(&server, "alice", "guess"), Err(AuthError::Unauthorized));
    assert_eq!(eve.auth(&server, "nobody", "guess"), Err(AuthError::Unauthorized));
    for _ in 0..3 {
        assert_eq!(eve.auth(&server, "alice", "guess"), Err(AuthError::Unauthorized));
    }
    assert_eq!(eve.hear().map(|chunk| code(&chunk)), None, "the connection is closed");
}

/// Without `relay = "any"` the relay is no way into the network that it stands in.
#[test]
fn the_relay_connects_to_nobody_unless_it_is_told_to() {
    let server = server();
    let mut alice = Phone::new(&server, "alice");
    let outwards = alice.auth(&server, "alice", "secret").unwrap();
    alice.send(&format!("{outwards} msrp://127.0.0.1:22/x;tcp").parse().unwrap(), "hello");
    assert_eq!(code(&alice.hear().unwrap()), 403);
}
