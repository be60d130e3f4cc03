//! A running relay (RFC 4976) on loopback: its clients come by TLS and by WebSocket (RFC 7977), and it goes to its next hops
//! by the names of their certificates.

#![cfg(feature = "driver")]
#![allow(clippy::unwrap_used)] // helpers are tests as well

mod authority;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use authority::CertificateAuthority;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use msrp::chunk::{Chunk, Framer, FramerLimits, Start};
use msrp::driver::{RelayEngine, RelayEngineSettings, TlsSettings, WebSockets};
use msrp::relay::{Authority, Settings, Verdict};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message, http};

const SOON: Duration = Duration::from_secs(10);
const ALICE: &str = "msrps://alice.example.com:9892/98cjs;tcp";
const BOB: &str = "msrps://bob.example.com:8145/foo;tcp";
const BROWSER: &str = "msrps://df7jal23ls0d.invalid:2855/98cjs;ws";

/// Lets in who says the right word.
struct Doorman;

impl Authority for Doorman {
    fn challenge(&mut self, _now: Instant) -> String {
        "Digest realm=\"localhost\", qop=\"auth\", nonce=\"1\"".to_owned()
    }

    fn check(&mut self, now: Instant, authorization: &str, _method: &str, _uri: &str) -> Verdict {
        match authorization.contains("right") {
            true => Verdict::Accepted { user: "somebody".into(), info: None },
            false => Verdict::Challenge { challenge: self.challenge(now), is_stale: false },
        }
    }
}

fn relay(authority: &CertificateAuthority, is_secure: bool, websockets: WebSockets) -> RelayEngine {
    let settings = RelayEngineSettings {
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        relay: Settings::new("localhost", 0, is_secure),
        tls: TlsSettings {
            identity: Some(authority.issue("localhost")),
            authorities: Some(authority.roots()),
            ..TlsSettings::default()
        },
        websockets,
        max_connections: 10,
    };
    RelayEngine::start(settings, || Box::new(Doorman)).unwrap()
}

fn run(story: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(SOON, story).await.expect("the story comes to its end") });
}

/// A client's connection to the relay.
trait Wire {
    async fn say(&mut self, text: String);
    async fn hear(&mut self) -> Chunk;
}

/// One of octets.
struct Octets<S> {
    stream: S,
    framer: Framer,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Octets<S> {
    fn new(stream: S) -> Octets<S> {
        Octets { stream, framer: Framer::new(FramerLimits { hold: usize::MAX, ..FramerLimits::default() }) }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire for Octets<S> {
    async fn say(&mut self, text: String) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    async fn hear(&mut self) -> Chunk {
        loop {
            if let Some(piece) = self.framer.next().unwrap() {
                let body = piece.head.has_body().then_some(piece.body);
                return Chunk { head: (*piece.head).clone(), body, end: piece.end.unwrap() };
            }
            let mut octets = vec![0; 16_384];
            let length = self.stream.read(&mut octets).await.unwrap();
            assert_ne!(length, 0, "the relay has gone");
            octets.truncate(length);
            self.framer.feed(octets.into());
        }
    }
}

/// One of messages; each that comes is one chunk (RFC 7977 §5.1).
struct Messages<S> {
    socket: WebSocketStream<S>,
    /// Whether what we say next is a text message.
    says_text: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire for Messages<S> {
    async fn say(&mut self, text: String) {
        self.says_text = !self.says_text;
        let message = if self.says_text { Message::Text(text.into()) } else { Message::Binary(text.into()) };
        self.socket.send(message).await.unwrap();
    }

    async fn hear(&mut self) -> Chunk {
        let octets: Bytes = match self.socket.next().await.unwrap().unwrap() {
            Message::Binary(octets) => octets,
            Message::Text(text) => text.into(),
            other => panic!("{other:?}"),
        };
        Chunk::parse(octets).expect("one chunk, whole, and nothing else")
    }
}

async fn tcp(relay: &RelayEngine) -> TcpStream {
    TcpStream::connect(relay.address()).await.unwrap()
}

async fn tls(relay: &RelayEngine, authority: &CertificateAuthority) -> tokio_rustls::client::TlsStream<TcpStream> {
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(authority.client()).connect(name, tcp(relay).await).await.unwrap()
}

async fn websocket<S: AsyncRead + AsyncWrite + Unpin>(stream: S, protocol: &str) -> Result<Messages<S>, Error> {
    let mut request = "ws://localhost/".into_client_request()?;
    request.headers_mut().insert(http::header::SEC_WEBSOCKET_PROTOCOL, protocol.parse().unwrap());
    let (socket, response) = tokio_tungstenite::client_async(request, stream).await?;
    assert_eq!(response.headers()[http::header::SEC_WEBSOCKET_PROTOCOL], "msrp");
    Ok(Messages { socket, says_text: false })
}

fn code(chunk: &Chunk) -> u16 {
    match chunk.head.start() {
        Start::Response(code, _) => *code,
        Start::Request(method) => panic!("{} is no response", method.as_str()),
    }
}

fn field<'a>(chunk: &'a Chunk, name: &str) -> &'a str {
    chunk.head.get(name).unwrap_or_else(|| panic!("no {name} in {chunk:?}"))
}

/// AUTH, challenged and let in: the URI.
async fn let_in(wire: &mut impl Wire, relay: &str, own: &str) -> String {
    for (id, more, expected) in [("1auth", "", 401), ("2auth", "Authorization: Digest response=\"right\"\r\n", 200)] {
        wire.say(format!("MSRP {id} AUTH\r\nTo-Path: {relay}\r\nFrom-Path: {own}\r\n{more}-------{id}$\r\n")).await;
        let answer = wire.hear().await;
        assert_eq!((code(&answer), answer.head.transaction().as_str()), (expected, id));
        if expected == 200 {
            return field(&answer, "Use-Path").to_owned();
        }
        assert!(field(&answer, "WWW-Authenticate").starts_with("Digest "));
    }
    unreachable!("the second one was let in")
}

fn send(id: &str, to: &str, from: &str, body: &str) -> String {
    format!(
        "MSRP {id} SEND\r\nTo-Path: {to}\r\nFrom-Path: {from}\r\nMessage-ID: m{id}\r\nByte-Range: 1-{length}/{length}\r\n\
         Success-Report: yes\r\nContent-Type: text/plain\r\n\r\n{body}\r\n-------{id}$\r\n",
        length = body.len()
    )
}

fn ok(to: &Chunk) -> String {
    let us = to.head.to_path().unwrap();
    String::from_utf8(Chunk::bodiless(to.head.response(us.first(), 200, "OK").unwrap()).to_bytes().to_vec()).unwrap()
}

/// RFC 4976 §3: a line, its report, and a message that the relay may let go on in several chunks.
async fn talk(relay: &RelayEngine, scheme: &str, alice: (&mut impl Wire, &str), bob: (&mut impl Wire, &str)) {
    let ((alice, own), (bob, his)) = (alice, bob);
    let uri = |transport: &str| format!("{scheme}://localhost:{};{transport}", relay.address().port());
    let a = let_in(alice, &uri(if own.ends_with("ws") { "ws" } else { "tcp" }), own).await;
    let b = let_in(bob, &uri(if his.ends_with("ws") { "ws" } else { "tcp" }), his).await;
    assert_ne!(a, b);
    let to = format!("{a} {b} {his}");
    alice.say(send("1hello", &to, own, "hello bob")).await;
    let answer = alice.hear().await;
    assert_eq!((code(&answer), answer.head.transaction().as_str()), (200, "1hello"));
    let line = bob.hear().await;
    assert_eq!((line.body.as_deref(), field(&line, "To-Path")), (Some(&b"hello bob"[..]), his));
    bob.say(ok(&line)).await;
    let back = field(&line, "From-Path").to_owned();
    assert_eq!(back, format!("{b} {a} {own}"));
    bob.say(format!(
        "MSRP 1report REPORT\r\nTo-Path: {back}\r\nFrom-Path: {his}\r\nMessage-ID: m1hello\r\nByte-Range: 1-9/9\r\n\
         Status: 000 200 OK\r\n-------1report$\r\n"
    ))
    .await;
    let report = alice.hear().await;
    assert_eq!((field(&report, "Status"), field(&report, "Message-ID")), ("000 200 OK", "m1hello"));

    let long: String = (0..10_000).map(|number| format!("{number:07}\n")).collect();
    alice.say(send("1long", &to, own, &long)).await;
    assert_eq!(code(&alice.hear().await), 200);
    let mut came = Vec::new();
    while came.len() < long.len() {
        let piece = bob.hear().await;
        bob.say(ok(&piece)).await;
        came.extend_from_slice(piece.body.as_deref().unwrap());
    }
    assert!(came == long.as_bytes(), "every octet, in its place");
}

#[test]
fn two_clients_talk_over_tls() {
    let authority = CertificateAuthority::new();
    let relay = relay(&authority, true, WebSockets::Never);
    run(async {
        let (mut alice, mut bob) =
            (Octets::new(tls(&relay, &authority).await), Octets::new(tls(&relay, &authority).await));
        talk(&relay, "msrps", (&mut alice, ALICE), (&mut bob, BOB)).await;
    });
}

/// RFC 7977 §8: a browser, and a phone that knows nothing of WebSocket, in either direction.
#[test]
fn a_browser_talks_to_a_phone_over_secure_websocket() {
    let authority = CertificateAuthority::new();
    let relay = relay(&authority, true, WebSockets::Secure);
    run(async {
        let mut browser = websocket(tls(&relay, &authority).await, "msrp").await.unwrap();
        let mut phone = Octets::new(tls(&relay, &authority).await);
        talk(&relay, "msrps", (&mut browser, BROWSER), (&mut phone, BOB)).await;
        let mut browser = websocket(tls(&relay, &authority).await, "msrp, sip").await.unwrap();
        let mut phone = Octets::new(tls(&relay, &authority).await);
        talk(&relay, "msrps", (&mut phone, BOB), (&mut browser, BROWSER)).await;
    });
}

/// Behind a proxy that does TLS.
#[test]
fn two_browsers_talk_over_websocket_where_that_is_allowed() {
    let authority = CertificateAuthority::new();
    let relay = relay(&authority, false, WebSockets::Always);
    run(async {
        let mut alice = websocket(tcp(&relay).await, "msrp").await.unwrap();
        let mut bob = websocket(tcp(&relay).await, "msrp").await.unwrap();
        let (own, his) = (BROWSER.replace("msrps", "msrp"), "msrp://jk9awp14vj8x.invalid:2855/76qwe;ws");
        talk(&relay, "msrp", (&mut alice, &own), (&mut bob, his)).await;
    });
}

/// RFC 7977 §4.2: "msrp" must be among the subprotocols; and where no WebSocket is taken, GET is no MSRP.
#[test]
fn a_websocket_of_another_protocol_or_where_none_is_taken_is_refused() {
    let authority = CertificateAuthority::new();
    let one = relay(&authority, false, WebSockets::Always);
    run(async {
        let refused = websocket(tcp(&one).await, "sip").await;
        assert!(matches!(&refused, Err(Error::Http(response)) if response.status() == 400));
    });
    for websockets in [WebSockets::Never, WebSockets::Secure] {
        let other = relay(&authority, false, websockets);
        run(async { assert!(websocket(tcp(&other).await, "msrp").await.is_err(), "{websockets:?}") });
    }
}

/// RFC 4976 §9.2: the next hop is who its certificate says, or it gets nothing and the sender hears of it.
#[test]
fn a_next_hop_is_met_by_the_name_of_its_certificate() {
    let (authority, stranger) = (CertificateAuthority::new(), CertificateAuthority::new());
    let relay = relay(&authority, true, WebSockets::Never);
    for (server, is_met) in [
        (authority.server("localhost"), true),
        (authority.server("elsewhere.example.com"), false),
        (stranger.server("localhost"), false),
    ] {
        run(async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let next_hop = format!("msrps://localhost:{}/far;tcp", listener.local_addr().unwrap().port());
            let mut alice = Octets::new(tls(&relay, &authority).await);
            let own = format!("msrps://localhost:{};tcp", relay.address().port());
            let a = let_in(&mut alice, &own, ALICE).await;
            alice.say(send("1hello", &format!("{a} {next_hop}"), ALICE, "hello")).await;
            assert_eq!(code(&alice.hear().await), 200);
            let accepted = TlsAcceptor::from(server).accept(listener.accept().await.unwrap().0).await;
            if is_met {
                let mut far = Octets::new(accepted.unwrap());
                let heard = far.hear().await;
                assert_eq!((heard.body.as_deref(), field(&heard, "To-Path")), (Some(&b"hello"[..]), &*next_hop));
                far.say(ok(&heard)).await;
            } else {
                // The handshake of TLS 1.3 is over for the server before the client has judged its certificate.
                if let Ok(mut stream) = accepted {
                    let mut octets = Vec::new();
                    let _ = stream.read_to_end(&mut octets).await;
                    assert!(octets.is_empty(), "a stranger was told something");
                }
                let report = alice.hear().await;
                assert_eq!(field(&report, "Status"), "000 408 The next hop cannot be reached");
                assert_eq!(field(&report, "Message-ID"), "m1hello");
            }
        });
    }
}

#[test]
fn a_next_hop_where_nobody_listens_is_reported() {
    let authority = CertificateAuthority::new();
    let relay = relay(&authority, false, WebSockets::Never);
    run(async {
        // A port that was free a moment ago.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        drop(listener);
        let mut alice = Octets::new(tcp(&relay).await);
        let own = ALICE.replace("msrps", "msrp");
        let a = let_in(&mut alice, &format!("msrp://localhost:{};tcp", relay.address().port()), &own).await;
        alice.say(send("1hello", &format!("{a} msrp://{address}/far;tcp"), &own, "hello")).await;
        assert_eq!(code(&alice.hear().await), 200);
        let report = alice.hear().await;
        assert_eq!(field(&report, "Status"), "000 408 The next hop cannot be reached");
    });
}
