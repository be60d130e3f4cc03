//! One shard without a network: whole calls through an endpoint and a container, as octets in and octets out, in a time
//! of their own. Both ends of every call are played here, with as few instructions as that takes.

use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use applications::location::{LocationSettings, Secret, SharedLocation};
use applications::proxy::{self, ProxySettings, Relay};
use applications::{b2bua, options, registrar, routes::ShippedRoutes};
use bytes::Bytes;
use container::routing::{Entry, RuleRouter};
use container::{Clock, Container, Resources, Settings};
use servlet::{SipApplication, SipUri};
use sip_endpoint::{Endpoint, Input, Listener, Output, TransactionUser};
use sip_message::{Flow, Limits, ListenerId, Transport, parse_datagram};

const US: &str = "192.0.2.1:5060";
const CALLER: &str = "192.0.2.2:5060";
const CALLEE: &str = "192.0.2.3:5060";
const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n\
                   a=rtpmap:0 PCMU/8000\r\n";

/// See the module's text.
pub(crate) struct Stage {
    container: Container,
    endpoint: Endpoint,
    limits: Limits,
    now: Instant,
    calls: u64,
    sent: Vec<Bytes>,
}

impl Stage {
    /// A proxy that forwards by Request-URI and stays in the path.
    pub(crate) fn proxy() -> Stage {
        let settings = ProxySettings { relay: Relay::Any, ..ProxySettings::default() };
        Stage::of(proxy::application(settings), |routes| routes, proxy::NAME)
    }

    /// A back-to-back user agent.
    pub(crate) fn b2bua() -> Stage {
        let next_hop = Some(SipUri::parse(&format!("sip:{CALLEE};lr")).expect("it is a URI"));
        let settings = b2bua::Settings { next_hop, ..b2bua::Settings::default() };
        let wanted = settings.clone();
        let then = |routes: ShippedRoutes| routes.then("b2bua", move |request| b2bua::wants(&wanted, request));
        Stage::of(b2bua::application(settings), then, "b2bua")
    }

    fn of(
        application: SipApplication,
        routes: impl FnOnce(ShippedRoutes) -> ShippedRoutes,
        name: &'static str,
    ) -> Stage {
        let now = Instant::now();
        let (registrar, options) = (registrar::RegistrarSettings::default(), options::OptionsSettings::default());
        // What the others would want is asked, as in a server that has them all; their applications are not needed.
        let routes = routes(ShippedRoutes::new(registrar, options)).into_routes().into_iter();
        let entries = routes.map(|(_, wants)| Entry::new(name).predicate(move |request| wants(request)));
        let location = Rc::new(SharedLocation::new(LocationSettings {
            secret: Secret([1, 2]),
            max_bindings: 10,
            max_total: 10,
            shared: false,
        }));
        let container = Container::builder()
            .settings(Settings::default())
            .application(application)
            .resources(Resources::default().with(location))
            .router(std::sync::Arc::new(RuleRouter::new(entries).expect("there are few routes")))
            .clock(Clock::new(now, SystemTime::UNIX_EPOCH));
        let listener = Listener {
            id: ListenerId(0),
            transport: Transport::Udp,
            local: US.parse().expect("it is an address"),
            sent_by: US.into(),
        };
        let endpoint = Endpoint::new(sip_endpoint::Settings {
            listeners: vec![listener],
            partition: 0,
            seed: 1,
            datagram_limit: 1300,
            max_pending: 100_000,
            timers: sip_endpoint::Timers::default(),
            product: "".into(),
        });
        Stage {
            container: container.build(now).expect("one application"),
            endpoint,
            limits: Limits::default(),
            now,
            calls: 0,
            sent: Vec::new(),
        }
    }

    /// INVITE, 180, 200, ACK, BYE, 200; then a hundredth of a second passes.
    pub(crate) fn call(&mut self) {
        self.calls += 1;
        let n = self.calls;
        let invite = format!(
            "INVITE sip:bob@{CALLEE} SIP/2.0\r\nVia: SIP/2.0/UDP {CALLER};branch=z9hG4bKi{n}\r\nMax-Forwards: 70\r\n\
             From: \"Load\" <sip:u{n}@bench.test>;tag=f{n}\r\nTo: <sip:bob@{CALLEE}>\r\nCall-ID: {n}@{CALLER}\r\n\
             CSeq: 1 INVITE\r\nContact: <sip:load@{CALLER}>\r\nUser-Agent: blast\r\n\
             Allow: INVITE, ACK, BYE, CANCEL, OPTIONS\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{SDP}",
            SDP.len()
        );
        self.receive(CALLER, invite.into());
        let invite = self.take("INVITE ");
        self.receive(CALLEE, answer(&invite, "180 Ringing", n, ""));
        self.receive(CALLEE, answer(&invite, "200 OK", n, SDP));
        let success = self.take("SIP/2.0 200");
        self.receive(CALLER, in_dialog("ACK", &success, n, 1));
        assert!(!self.take("ACK ").is_empty(), "an ACK goes on");
        self.receive(CALLER, in_dialog("BYE", &success, n, 2));
        let bye = self.take("BYE ");
        self.receive(CALLEE, answer(&bye, "200 OK", n, ""));
        self.now += Duration::from_millis(10);
        self.endpoint.handle(self.now, Input::TimePassed);
        self.turn();
        self.sent.clear();
    }

    fn receive(&mut self, from: &str, octets: Bytes) {
        let flow = Flow {
            transport: Transport::Udp,
            listener: ListenerId(0),
            local: US.parse().expect("it is an address"),
            remote: from.parse().expect("it is an address"),
            connection: None,
        };
        let received = parse_datagram(octets, &self.limits);
        self.endpoint.handle(self.now, Input::Received { flow, received });
        self.turn();
    }

    fn turn(&mut self) {
        let mut peers = Vec::new();
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Transmit { bytes, .. } => self.sent.push(bytes),
                Output::Event(event) => self.container.event(self.now, &mut self.endpoint, event, &mut peers),
                Output::KeepAlive { .. } | Output::Close { .. } => {}
                Output::Lookup { .. } => unreachable!("there are only addresses"),
            }
        }
    }

    /// The last message that was sent and begins so.
    fn take(&mut self, start: &str) -> Bytes {
        let found = self.sent.iter().rposition(|sent| sent.starts_with(start.as_bytes()));
        let found = found.unwrap_or_else(|| panic!("no {start} among {:?}", self.sent));
        let message = self.sent.swap_remove(found);
        self.sent.clear();
        message
    }
}

fn lines(message: &[u8]) -> impl Iterator<Item = &str> {
    let text = std::str::from_utf8(message).expect("it is text");
    text.split('\n').map(str::trim_end).take_while(|line| !line.is_empty())
}

fn value<'m>(message: &'m [u8], name: &str) -> &'m str {
    lines(message).find_map(|line| line.strip_prefix(name)).expect("it has this field")
}

fn answer(request: &[u8], status: &str, n: u64, body: &str) -> Bytes {
    let mut answer = format!("SIP/2.0 {status}\r\n");
    for line in lines(request).skip(1) {
        if ["Via: ", "Record-Route: ", "From: ", "Call-ID: ", "CSeq: "].iter().any(|name| line.starts_with(name)) {
            answer.extend([line, "\r\n"]);
        }
    }
    let to = value(request, "To: ");
    answer.extend(["To: ", to]);
    if !to.contains(";tag=") {
        answer.push_str(&format!(";tag=s{n}"));
    }
    answer.push_str(&format!("\r\nContact: <sip:answer@{CALLEE}>\r\n"));
    if !body.is_empty() {
        answer.push_str("Content-Type: application/sdp\r\n");
    }
    answer.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    answer.into()
}

fn in_dialog(method: &str, success: &[u8], n: u64, cseq: u32) -> Bytes {
    let target = value(success, "Contact: ").trim_matches(['<', '>']);
    let mut request = format!(
        "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {CALLER};branch=z9hG4bK{method}{n}\r\nMax-Forwards: 70\r\n"
    );
    for route in lines(success).filter_map(|line| line.strip_prefix("Record-Route: ")) {
        request.extend(["Route: ", route, "\r\n"]);
    }
    let (from, to, call_id) = (value(success, "From: "), value(success, "To: "), value(success, "Call-ID: "));
    request.push_str(&format!(
        "From: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nContent-Length: 0\r\n\r\n"
    ));
    request.into()
}
