//! A container on one endpoint, in virtual time: messages go in as text, and what was sent is read as text.
#![allow(missing_docs, clippy::unwrap_used, reason = "this is the tests' own")]

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use container::{Container, ContainerBuilder, ContainerLoad, Published};
use servlet::{ServletContext, SipApplication};
use sip_endpoint::{
    Destination, Endpoint, Input, Listener, LookupError, Output, Settings, Target, Timers, TransactionUser,
};
use sip_message::{
    ConnectionId, Flow, HeaderName, Headers, Limits, ListenerId, Message, Request, Response, Transport, parse_datagram,
};

/// Where the container listens, by UDP and TCP.
pub const HERE: &str = "192.0.2.1";
/// Where requests come from, unless a test says otherwise.
pub const ALICE: &str = "198.51.100.7:5060";
/// Where requests of applications go to, mostly.
pub const BOB: &str = "198.51.100.9:5060";

/// The container, and everybody else as text.
pub struct World {
    pub now: Instant,
    pub endpoint: Endpoint,
    pub container: Container,
    /// What the other shards were told.
    pub told: Vec<Published>,
    sent: Vec<Sent>,
}

/// Something that the container sent.
#[derive(Clone, Debug)]
pub struct Sent {
    pub to: SocketAddr,
    pub transport: Transport,
    pub connection: Option<ConnectionId>,
    pub message: Message,
    pub text: String,
    /// What [`Input::TransmitFailed`] says when it did not get out.
    pub token: u64,
}

/// An address as text.
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

/// A TCP connection from `remote`.
pub fn tcp(remote: &str, connection: u64) -> Flow {
    Flow {
        transport: Transport::Tcp,
        listener: ListenerId(1),
        local: addr("192.0.2.1:5060"),
        remote: addr(remote),
        connection: Some(ConnectionId(connection)),
    }
}

impl World {
    /// A container with one application.
    pub fn new(application: SipApplication) -> World {
        World::with(Container::builder().application(application))
    }

    /// A container as it is put together.
    pub fn with(builder: ContainerBuilder) -> World {
        let now = Instant::now();
        let listener = |id, transport| Listener {
            id: ListenerId(id),
            transport,
            local: addr(&format!("{HERE}:5060")),
            sent_by: HERE.into(),
        };
        let settings = Settings {
            listeners: vec![listener(0, Transport::Udp), listener(1, Transport::Tcp)],
            partition: 0,
            seed: 42,
            datagram_limit: 65_000,
            max_pending: 10_000,
            timers: Timers::default(),
            product: "".into(),
        };
        let container = builder.build(now).unwrap_or_else(|error| panic!("{error}"));
        let mut world = World { now, endpoint: Endpoint::new(settings), container, told: Vec::new(), sent: Vec::new() };
        world.settle();
        world
    }

    /// A text comes in; lines end with LF here and with CRLF on the way.
    pub fn receive(&mut self, flow: &Flow, text: &str) {
        let text = text.replace("\r\n", "\n").replace('\n', "\r\n");
        let received = parse_datagram(Bytes::from(text.clone()), &Limits::default());
        assert!(received.is_ok(), "{:?}\n{text}", received.err());
        self.input(Input::Received { flow: *flow, received });
    }

    /// A text comes from [`ALICE`], and what was sent because of it comes out.
    pub fn alice(&mut self, text: &str) -> Vec<Sent> {
        self.receive(&udp(ALICE), text);
        self.sent()
    }

    /// Something happens.
    pub fn input(&mut self, input: Input) {
        self.endpoint.handle(self.now, input);
        self.run();
    }

    /// Lets the application do something from outside of its sessions.
    pub fn act<R>(&mut self, application: &str, act: impl FnOnce(ServletContext) -> R) -> R {
        // The container learns what time it is.
        self.settle();
        let context = self.container.context(application).expect("an application that was deployed");
        let result = act(context);
        self.settle();
        result
    }

    /// Lets the container do what was ordered from outside, and takes wake-ups in.
    pub fn settle(&mut self) {
        self.container.woken(self.now, &mut self.endpoint, &mut self.told);
        self.run();
    }

    /// Time passes, timer by timer.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.endpoint.next_timeout().filter(|next| *next <= end) {
            self.now = next.max(self.now);
            self.input(Input::TimePassed);
        }
        self.now = end;
    }

    /// What was sent since the last time somebody asked; without the 100s.
    pub fn sent(&mut self) -> Vec<Sent> {
        let mut sent = self.all_sent();
        sent.retain(|sent| sent.status() != 100);
        sent
    }

    /// What was sent since the last time somebody asked.
    pub fn all_sent(&mut self) -> Vec<Sent> {
        std::mem::take(&mut self.sent)
    }

    /// The one thing that was sent.
    #[track_caller]
    pub fn only(&mut self) -> Sent {
        one(self.sent())
    }

    /// The peer answers a request that the container has sent it. Lines of `more` become headers.
    pub fn answer(&mut self, sent: &Sent, status: u16, tag: &str, more: &str) -> Vec<Sent> {
        let text = answer_text(sent, status, tag, more);
        let flow = match sent.connection {
            Some(connection) => tcp(&sent.to.to_string(), connection.0),
            None if sent.transport == Transport::Udp => udp(&sent.to.to_string()),
            None => tcp(&sent.to.to_string(), 999),
        };
        self.receive(&flow, &text);
        self.sent()
    }

    /// How full the tables are.
    pub fn load(&self) -> ContainerLoad {
        self.container.load()
    }

    /// Nothing is left when every timer of SIP has run out.
    #[track_caller]
    pub fn ends(&mut self) {
        self.pass(Duration::from_secs(64));
        assert_eq!(self.load(), ContainerLoad::default());
        let endpoint = self.endpoint.load();
        assert_eq!((endpoint.servers, endpoint.clients, endpoint.timers), (0, 0, 0), "servers, clients, timers");
    }

    fn run(&mut self) {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Transmit { to, bytes, token } => self.record(to, &bytes, token),
                Output::KeepAlive { .. } | Output::Close { .. } => {}
                Output::Lookup { token, .. } => {
                    let result = Err(LookupError::NotFound);
                    self.endpoint.handle(self.now, Input::Resolved { token, result });
                }
                Output::Event(event) => {
                    self.container.event(self.now, &mut self.endpoint, event, &mut self.told);
                }
            }
        }
    }

    fn record(&mut self, to: Destination, bytes: &Bytes, token: u64) {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let message = match parse_datagram(bytes.clone(), &Limits::default()) {
            Ok(message) => message,
            // A refusal repeats what it refuses, and is for nobody who could read it.
            Err(_) if text.starts_with("SIP/2.0 4") => return,
            Err(error) => panic!("{error}\n{text}"),
        };
        let (to, transport, connection) = match to {
            Destination::Flow(flow) => (flow.remote, flow.transport, flow.connection),
            Destination::Target { target: Target { addr, transport, .. }, .. } => (addr, transport, None),
        };
        self.sent.push(Sent { to, transport, connection, message, text, token });
    }
}

impl Sent {
    /// Request line or status line.
    pub fn start_line(&self) -> &str {
        self.text.lines().next().unwrap()
    }

    /// The headers.
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

    /// The request that it is.
    pub fn request(&self) -> Option<&Request> {
        match &self.message {
            Message::Request(request) => Some(request),
            Message::Response(_) => None,
        }
    }

    /// The response that it is.
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

    /// The tag of To.
    pub fn to_tag(&self) -> String {
        tag(self.first(HeaderName::To))
    }

    /// The tag of From.
    pub fn from_tag(&self) -> String {
        tag(self.first(HeaderName::From))
    }
}

fn tag(value: &str) -> String {
    value.split(";tag=").nth(1).unwrap_or_default().split(';').next().unwrap().to_owned()
}

/// The one thing that was sent.
#[track_caller]
pub fn one(sent: Vec<Sent>) -> Sent {
    assert_eq!(sent.len(), 1, "{:?}", sent.iter().map(Sent::start_line).collect::<Vec<_>>());
    sent.into_iter().next().unwrap()
}

/// The start lines of what was sent.
pub fn lines(sent: &[Sent]) -> Vec<&str> {
    sent.iter().map(Sent::start_line).collect()
}

/// A request to `uri` outside of a dialog, from [`ALICE`]. Lines of `more` become headers.
pub fn request(method: &str, uri: &str, call_id: &str, more: &str) -> String {
    let branch: String = call_id.chars().filter(char::is_ascii_alphanumeric).collect();
    format!(
        "{method} {uri} SIP/2.0\n\
         Via: SIP/2.0/UDP {ALICE};branch=z9hG4bK-{branch}-{method}\n\
         From: <sip:alice@elsewhere.example>;tag=from-{branch}\n\
         To: <{uri}>\n\
         Call-ID: {call_id}\n\
         CSeq: 1 {method}\n\
         Contact: <sip:alice@{ALICE}>\n\
         Max-Forwards: 70\n\
         {more}Content-Length: 0\n\n"
    )
}

/// An INVITE from [`ALICE`].
pub fn invite(uri: &str, call_id: &str) -> String {
    request("INVITE", uri, call_id, "")
}

/// The CANCEL of [`invite`].
pub fn cancel(uri: &str, call_id: &str) -> String {
    request("INVITE", uri, call_id, "").replacen("INVITE", "CANCEL", 1).replace("CSeq: 1 INVITE", "CSeq: 1 CANCEL")
}

/// A request of the dialog that `answer`, a response to Alice, has made: to its Contact, by its Record-Route.
pub fn in_dialog(method: &str, answer: &Sent, cseq: u32, more: &str) -> String {
    let contact = answer.headers().first(HeaderName::Contact).unwrap_or("<sip:192.0.2.1>");
    let uri = contact.split(['<', '>']).nth(1).unwrap_or(contact);
    let mut text = format!(
        "{method} {uri} SIP/2.0\n\
         Via: SIP/2.0/UDP {ALICE};branch=z9hG4bK-dialog-{method}-{cseq}-{}\n",
        answer.to_tag()
    );
    let mut routes = answer.all(HeaderName::RecordRoute);
    routes.reverse();
    for route in routes {
        writeln!(text, "Route: {route}").unwrap();
    }
    write!(
        text,
        "From: {}\nTo: {}\nCall-ID: {}\nCSeq: {cseq} {method}\nContact: <sip:alice@{ALICE}>\nMax-Forwards: 70\n\
         {more}Content-Length: 0\n\n",
        answer.first(HeaderName::From),
        answer.first(HeaderName::To),
        answer.first(HeaderName::CallId),
    )
    .unwrap();
    text
}

/// A request that the callee of `request`, which the container has sent, sends back in the dialog that it made with
/// `tag`.
pub fn from_callee(method: &str, request: &Sent, tag: &str, cseq: u32, more: &str) -> String {
    let contact = request.headers().first(HeaderName::Contact).unwrap_or("<sip:192.0.2.1>");
    let uri = contact.split(['<', '>']).nth(1).unwrap_or(contact);
    let mut text = format!(
        "{method} {uri} SIP/2.0\n\
         Via: SIP/2.0/UDP {BOB};branch=z9hG4bK-callee-{method}-{cseq}-{tag}\n"
    );
    for route in request.all(HeaderName::RecordRoute) {
        writeln!(text, "Route: {route}").unwrap();
    }
    let to = request.first(HeaderName::To).split(";tag=").next().unwrap();
    write!(
        text,
        "From: {to};tag={tag}\nTo: {}\nCall-ID: {}\nCSeq: {cseq} {method}\nContact: <sip:bob@{BOB}>\n\
         Max-Forwards: 70\n{more}Content-Length: 0\n\n",
        request.first(HeaderName::From),
        request.first(HeaderName::CallId),
    )
    .unwrap();
    text
}

/// What the peer says to `sent`, with a Contact at [`BOB`] where a dialog may begin.
pub fn answer_text(sent: &Sent, status: u16, tag: &str, more: &str) -> String {
    let mut text = format!("SIP/2.0 {status} Text\n");
    for via in sent.all(HeaderName::Via) {
        writeln!(text, "Via: {via}").unwrap();
    }
    for route in sent.all(HeaderName::RecordRoute) {
        writeln!(text, "Record-Route: {route}").unwrap();
    }
    if (101..300).contains(&status) && !more.contains("Contact:") {
        writeln!(text, "Contact: <sip:bob@{BOB}>").unwrap();
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
