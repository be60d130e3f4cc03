//! What `cordboard serve` hosts, on one endpoint and in virtual time: messages go in as text, and what was sent is read as
//! text.
#![allow(dead_code, reason = "each test file uses its own part of the world")]
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, reason = "this is a test's own module")]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use applications::location::SharedLocation;
use bytes::Bytes;
use container::{Clock, Container, ContainerLoad, Published, Resources};
use cordboard::config::{Config, UserConfig};
use cordboard::hosting::{Hosting, Keys, Shard};
use sip_endpoint::{Destination, Endpoint, Input, Listener, LookupError, Output, Settings, Target, TransactionUser};
use sip_message::{
    ConnectionId, Flow, HeaderName, Headers, Limits, ListenerId, Message, Request, Response, Transport, parse_datagram,
};
use sip_transaction::Timers;

/// Where we listen: UDP, TCP, TLS and WS at one address.
pub const HERE: &str = "192.0.2.1";
/// The domain that is ours.
pub const DOMAIN: &str = "example.com";
/// Where requests of callers come from, unless a test says otherwise.
pub const CALLER: &str = "198.51.100.7:5060";

/// The world: one server, and everybody else as text.
pub struct World {
    pub now: Instant,
    pub endpoint: Endpoint,
    pub container: Container,
    location: Rc<SharedLocation>,
    /// What the DNS knows.
    pub hosts: HashMap<String, Vec<Target>>,
    /// What the other shards were told.
    pub told: Vec<Published>,
    /// The next transmission of a request fails that somebody wants to know about.
    pub fail_next_transmission: bool,
    sent: Vec<Sent>,
    calls: u32,
}

/// Something that the server sent.
#[derive(Clone, Debug)]
pub struct Sent {
    pub to: SocketAddr,
    pub transport: Transport,
    pub connection: Option<ConnectionId>,
    pub message: Message,
    pub text: String,
}

impl Default for World {
    fn default() -> World {
        World::new(config())
    }
}

/// One domain, no users, nobody has to prove anything, nothing is relayed.
pub fn config() -> Config {
    let mut config = Config { domains: vec![DOMAIN.to_owned()], echo: false, ..Config::default() };
    config.registrar.authenticate = Some(false);
    config.proxy.ring_seconds = 181;
    // What these tell of is the registrar and the proxy.
    config.applications.messages.enabled = false;
    config.applications.presence.enabled = false;
    config
}

/// Users with the password "secret".
pub fn users(names: &[&str]) -> Vec<UserConfig> {
    names.iter().map(|name| UserConfig::new(name, "secret")).collect()
}

pub fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A UDP flow from `remote`.
pub fn udp(remote: &str) -> Flow {
    Flow {
        transport: Transport::Udp,
        listener: ListenerId(0),
        local: addr("192.0.2.1:5060"),
        remote: addr(remote),
        connection: None,
    }
}

/// A connection from `remote`.
pub fn stream(transport: Transport, remote: &str, connection: u64) -> Flow {
    let (listener, port) = match transport {
        Transport::Udp => (0, 5060),
        Transport::Tcp => (1, 5060),
        Transport::Tls => (2, 5061),
        Transport::Ws | Transport::Wss => (3, 8080),
    };
    Flow {
        transport,
        listener: ListenerId(listener),
        local: addr(&format!("{HERE}:{port}")),
        remote: addr(remote),
        connection: Some(ConnectionId(connection)),
    }
}

impl World {
    pub fn new(config: Config) -> World {
        World::shard(&config, 0, 1)
    }

    /// One of several shards.
    pub fn shard(config: &Config, index: u16, shards: u16) -> World {
        World::with(config, index, shards, Resources::default())
    }

    /// A world in which the applications find this.
    pub fn with(config: &Config, index: u16, shards: u16, resources: Resources) -> World {
        let now = Instant::now();
        let hosting = Hosting::shipped(config, &Keys::known(0x0123_4567), shards).unwrap();
        let clock = Clock::new(now, SystemTime::UNIX_EPOCH + Duration::from_secs(1_289_690_940));
        let Shard { container, location } = hosting.shard(index, now, clock, resources).unwrap();
        let listener = |id, transport, port: u16, sent_by: &str| Listener {
            id: ListenerId(id),
            transport,
            local: addr(&format!("{HERE}:{port}")),
            sent_by: sent_by.into(),
        };
        let settings = Settings {
            listeners: vec![
                listener(0, Transport::Udp, 5060, "192.0.2.1"),
                listener(1, Transport::Tcp, 5060, "192.0.2.1"),
                listener(2, Transport::Tls, 5061, "192.0.2.1:5061"),
                listener(3, Transport::Ws, 8080, "192.0.2.1:8080"),
            ],
            partition: index as u8,
            seed: 42,
            datagram_limit: 65_000,
            max_pending: 10_000,
            timers: Timers::default(),
            product: "".into(),
        };
        World {
            now,
            endpoint: Endpoint::new(settings),
            container,
            location,
            hosts: HashMap::new(),
            told: Vec::new(),
            fail_next_transmission: false,
            sent: Vec::new(),
            calls: 0,
        }
    }

    /// Makes a host name known.
    pub fn host(&mut self, name: &str, at: &str) {
        let target = Target { transport: Transport::Udp, addr: addr(at), server_name: None };
        self.hosts.insert(name.to_owned(), vec![target]);
    }

    /// A text comes in; lines end with LF here and with CRLF on the way.
    pub fn receive(&mut self, flow: &Flow, text: &str) {
        let text = text.replace("\r\n", "\n").replace('\n', "\r\n");
        let received = parse_datagram(Bytes::from(text.clone()), &Limits::default());
        assert!(received.is_ok(), "{:?}\n{text}", received.err());
        self.input(Input::Received { flow: *flow, received });
    }

    /// A request comes in from [`CALLER`], and what was sent because of it comes out.
    pub fn caller(&mut self, text: &str) -> Vec<Sent> {
        self.receive(&udp(CALLER), text);
        self.sent()
    }

    pub fn input(&mut self, input: Input) {
        self.endpoint.handle(self.now, input);
        self.run();
    }

    /// Time passes, timer by timer.
    pub fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.endpoint.next_timeout().filter(|next| *next <= end) {
            self.now = next.max(self.now);
            self.input(Input::TimePassed);
        }
        self.now = end;
    }

    /// What was sent since the last time somebody asked; without the 100s.
    pub fn sent(&mut self) -> Vec<Sent> {
        let mut sent = std::mem::take(&mut self.sent);
        sent.retain(|sent| !sent.text.starts_with("SIP/2.0 100 "));
        sent
    }

    /// The one thing that was sent.
    #[track_caller]
    pub fn only(&mut self) -> Sent {
        one(self.sent())
    }

    /// The other end answers a request that we sent it. Lines of `more` become headers.
    pub fn answer(&mut self, sent: &Sent, status: u16, tag: &str, more: &str) {
        let text = answer_text(sent, status, tag, more);
        let flow = match sent.connection {
            Some(connection) => stream(sent.transport, &sent.to.to_string(), connection.0),
            None if sent.transport == Transport::Udp => udp(&sent.to.to_string()),
            None => stream(sent.transport, &sent.to.to_string(), 999),
        };
        self.receive(&flow, &text);
    }

    /// Registers `user` from `at` with this Contact, and says what came of it.
    #[track_caller]
    pub fn register(&mut self, user: &str, contact: &str, at: &str) -> Sent {
        self.calls += 1;
        let id = format!("reg-{}", self.calls);
        self.receive(&udp(at), &register(user, &id, 1, &format!("Contact: {contact}\n"), at));
        self.only()
    }

    /// Nothing is left behind when every timer has run out.
    #[track_caller]
    pub fn is_empty_after_a_while(&mut self) {
        self.advance(Duration::from_secs(64));
        let load = self.load();
        assert_eq!((load.proxies, load.transactions), (0, 0), "proxies and their transactions");
        let endpoint = self.endpoint.load();
        assert_eq!((endpoint.servers, endpoint.clients), (0, 0), "transactions");
        // A call that nobody has ended is waited for in a drain, but not for ever.
        self.advance(Duration::from_secs(3_600));
        assert!(self.container.is_idle());
        let load = self.load();
        assert_eq!((load.application_sessions, load.sip_sessions, load.timers), (0, 0, 0), "sessions");
    }

    /// How full the container's tables are.
    pub fn load(&self) -> ContainerLoad {
        self.container.load()
    }

    /// How many bindings the location service has.
    pub fn bindings(&self) -> usize {
        self.location.len(self.now)
    }

    /// What another shard tells comes in.
    pub fn hear(&mut self, message: Published) {
        self.container.message(self.now, &mut self.endpoint, message);
        self.run();
    }

    /// The server is about to leave.
    pub fn drain(&mut self) {
        self.container.drain(self.now, &mut self.endpoint);
        self.run();
    }

    fn run(&mut self) {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Transmit { token, bytes, .. }
                    if token != 0
                        && !bytes.starts_with(b"SIP/2.0 ")
                        && std::mem::take(&mut self.fail_next_transmission) =>
                {
                    self.endpoint.handle(self.now, Input::TransmitFailed { token });
                }
                Output::Transmit { to, bytes, .. } => self.record(to, &bytes),
                Output::KeepAlive { .. } | Output::Close { .. } => {}
                Output::Lookup { token, request } => {
                    let found = self.hosts.get(&*request.host).cloned();
                    let result = found.ok_or(LookupError::NotFound);
                    self.endpoint.handle(self.now, Input::Resolved { token, result });
                }
                Output::Event(event) => {
                    self.container.event(self.now, &mut self.endpoint, event, &mut self.told);
                }
            }
        }
    }

    fn record(&mut self, to: Destination, bytes: &Bytes) {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let message = parse_datagram(bytes.clone(), &Limits::default()).unwrap_or_else(|e| panic!("{e}\n{text}"));
        let (to, transport, connection) = match to {
            Destination::Flow(flow) => (flow.remote, flow.transport, flow.connection),
            Destination::Target { target, .. } => (target.addr, target.transport, None),
        };
        self.sent.push(Sent { to, transport, connection, message, text });
    }
}

impl Sent {
    /// Request line or status line.
    pub fn start_line(&self) -> &str {
        self.text.lines().next().unwrap()
    }

    pub fn headers(&self) -> &Headers {
        self.message.headers()
    }

    /// All values of a header.
    pub fn all(&self, name: HeaderName) -> Vec<&str> {
        self.headers().values(name).collect()
    }

    /// The first value of a header.
    #[track_caller]
    pub fn first(&self, name: HeaderName) -> &str {
        self.headers().first(name).unwrap_or_else(|| panic!("no {name} in\n{}", self.text))
    }

    pub fn request(&self) -> Option<&Request> {
        match &self.message {
            Message::Request(request) => Some(request),
            Message::Response(_) => None,
        }
    }

    pub fn response(&self) -> Option<&Response> {
        match &self.message {
            Message::Response(response) => Some(response),
            Message::Request(_) => None,
        }
    }

    /// The status code of a response; 0 for a request.
    pub fn status(&self) -> u16 {
        self.response().map_or(0, |response| response.status().code())
    }

    /// The method of a request; empty for a response.
    pub fn method(&self) -> &str {
        self.request().map_or("", |request| request.method().as_str())
    }

    /// The Request-URI of a request.
    #[track_caller]
    pub fn uri(&self) -> &str {
        self.request().expect("a request").uri_text()
    }
}

#[track_caller]
pub fn one(sent: Vec<Sent>) -> Sent {
    assert_eq!(sent.len(), 1, "{:?}", sent.iter().map(Sent::start_line).collect::<Vec<_>>());
    sent.into_iter().next().unwrap()
}

/// The start lines of what was sent.
pub fn lines(sent: &[Sent]) -> Vec<&str> {
    sent.iter().map(Sent::start_line).collect()
}

/// A request to `uri` outside of a dialog, from [`CALLER`]. Lines of `more` become headers.
pub fn request(method: &str, uri: &str, call_id: &str, more: &str) -> String {
    let branch: String = call_id.chars().filter(char::is_ascii_alphanumeric).collect();
    format!(
        "{method} {uri} SIP/2.0\n\
         Via: SIP/2.0/UDP {CALLER};branch=z9hG4bK-{branch}-{method}\n\
         From: <sip:caller@elsewhere.example>;tag=from-{branch}\n\
         To: <{uri}>\n\
         Call-ID: {call_id}\n\
         CSeq: 1 {method}\n\
         Contact: <sip:caller@{CALLER}>\n\
         Max-Forwards: 70\n\
         {more}Content-Length: 0\n\n"
    )
}

/// An INVITE from [`CALLER`].
pub fn invite(uri: &str, call_id: &str) -> String {
    request("INVITE", uri, call_id, "")
}

/// The CANCEL of [`invite`].
pub fn cancel(uri: &str, call_id: &str) -> String {
    request("INVITE", uri, call_id, "").replacen("INVITE", "CANCEL", 1).replace("CSeq: 1 INVITE", "CSeq: 1 CANCEL")
}

/// A REGISTER of a user of ours. Lines of `more` become headers.
pub fn register(user: &str, call_id: &str, cseq: u32, more: &str, at: &str) -> String {
    format!(
        "REGISTER sip:{DOMAIN} SIP/2.0\n\
         Via: SIP/2.0/UDP {at};branch=z9hG4bK-{call_id}-{cseq}\n\
         From: <sip:{user}@{DOMAIN}>;tag=reg\n\
         To: <sip:{user}@{DOMAIN}>\n\
         Call-ID: {call_id}\n\
         CSeq: {cseq} REGISTER\n\
         Max-Forwards: 70\n\
         {more}Content-Length: 0\n\n"
    )
}

/// What the other end says to `sent`.
pub fn answer_text(sent: &Sent, status: u16, tag: &str, more: &str) -> String {
    let mut text = format!("SIP/2.0 {status} Text\n");
    for via in sent.all(HeaderName::Via) {
        writeln!(text, "Via: {via}").unwrap();
    }
    for route in sent.all(HeaderName::RecordRoute) {
        writeln!(text, "Record-Route: {route}").unwrap();
    }
    let to = sent.first(HeaderName::To);
    let to = if to.contains(";tag=") || status == 100 { to.to_owned() } else { format!("{to};tag={tag}") };
    write!(
        text,
        "From: {}\nTo: {to}\nCall-ID: {}\nCSeq: {}\n{more}Content-Length: 0\n\n",
        sent.first(HeaderName::From),
        sent.first(HeaderName::CallId),
        sent.first(HeaderName::Cseq),
    )
    .unwrap();
    text
}

/// Digest credentials for an MD5 challenge, by RFC 7616 §3.4.1 with `qop=auth`.
pub fn digest(challenge: &str, user: &str, password: &str, method: &str, uri: &str) -> String {
    use sip_dialog::digest::algorithm::{ClientNonce, Transcript};
    use sip_dialog::digest::{Algorithm, HashFunction, Qop, Secret};
    let param = |name: &str| {
        let at = challenge.find(&format!("{name}=\"")).unwrap_or_else(|| panic!("no {name} in {challenge}"));
        challenge[at + name.len() + 2..].split('"').next().unwrap().to_owned()
    };
    let (realm, nonce) = (param("realm"), param("nonce"));
    let ha1 = Secret::Password(password.into()).ha1(HashFunction::Md5, user, &realm).unwrap();
    let client = ClientNonce { qop: Qop::Auth, count: 1, cnonce: "0a4f113b" };
    let transcript =
        Transcript { algorithm: Algorithm::MD5, nonce: &nonce, client: Some(client), method, uri, body: b"" };
    let response = transcript.response(ha1);
    let mut text = format!(
        "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{}\", \
         algorithm=MD5, qop=auth, nc=00000001, cnonce=\"0a4f113b\"",
        response.as_str()
    );
    if challenge.contains("opaque=\"") {
        write!(text, ", opaque=\"{}\"", param("opaque")).unwrap();
    }
    text
}
