//! Alice calls Bob: two INVITE usages, the wire between them, and a clock that is moved by hand.
//!
//! Every message is printed and parsed again on its way. The wire is a queue that the test lets run (`settle`), in which
//! it can drop or hold messages; the log says who sent what.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test file uses its own part")]

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use sip_dialog::invite::{Body, ClientKey, DialogKey, Event, Input, InviteUsage, Output, Policy, ServerKey};
use sip_message::header::{Cseq, TypedHeader};
use sip_message::{
    HeaderName, Limits, Message, Method, NameAddrBuf, Request, Response, StatusCode, UriBuf, parse_datagram,
};

pub const FIRST: DialogKey = DialogKey(0);
pub const OFFER: &str = "v=0\r\no=alice 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 49172 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";
pub const ANSWER: &str = "v=0\r\no=bob 1 1 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\nm=audio 3456 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";

pub fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn status(code: u16) -> StatusCode {
    StatusCode::new(code).unwrap()
}

pub fn sdp(text: &str) -> Option<Body> {
    Some(Body::sdp(text))
}

/// A message from the wire, parsed anew.
pub fn parse(text: &str) -> Message {
    parse_datagram(text.to_owned().into(), &Limits::default()).unwrap()
}

pub fn parse_request(text: &str) -> Request {
    match parse(text) {
        Message::Request(request) => request,
        Message::Response(_) => panic!("not a request: {text}"),
    }
}

pub fn parse_response(text: &str) -> Response {
    match parse(text) {
        Message::Response(response) => response,
        Message::Request(_) => panic!("not a response: {text}"),
    }
}

/// The Contact of a party, and its policy otherwise by default.
pub fn policy(name: &str) -> Policy {
    let contact = NameAddrBuf::parse(format!("<sip:{name}@{name}.example.com>")).unwrap();
    Policy { contact: Some(contact), ..Policy::default() }
}

/// Alice's INVITE.
pub fn invite(body: Option<&str>) -> Request {
    let mut request = Request::new(Method::Invite, &UriBuf::parse("sip:bob@example.com").unwrap());
    let headers = request.headers_mut();
    for (name, value) in [
        (HeaderName::MaxForwards, "70"),
        (HeaderName::From, "Alice <sip:alice@example.com>;tag=a1"),
        (HeaderName::To, "Bob <sip:bob@example.com>"),
        (HeaderName::CallId, "call-1@example.com"),
        (HeaderName::Cseq, "1 INVITE"),
        (HeaderName::Allow, "INVITE, ACK, BYE, CANCEL, UPDATE, PRACK, INFO"),
    ] {
        headers.push(name, value).unwrap();
    }
    if let Some(body) = body {
        request.set_body("application/sdp", body.to_owned()).unwrap();
    }
    request
}

/// Who.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    Alice,
    Bob,
}

use Side::{Alice, Bob};

impl Side {
    pub fn other(self) -> Side {
        match self {
            Alice => Bob,
            Bob => Alice,
        }
    }
}

/// One side of the call.
pub struct Phone {
    pub policy: Policy,
    pub usage: Option<InviteUsage>,
    pub events: VecDeque<Event>,
    /// The requests that wait for a response of the test's.
    pub waiting: VecDeque<(ServerKey, Request)>,
}

/// A message on the wire.
#[derive(Clone, Debug)]
pub struct Packet {
    pub to: Side,
    pub message: Message,
    pub what: String,
}

/// The whole world.
pub struct World {
    pub start: Instant,
    pub now: Instant,
    pub alice: Phone,
    pub bob: Phone,
    pub wire: VecDeque<Packet>,
    /// What was sent: "alice INVITE", "bob 200 INVITE".
    pub log: Vec<String>,
    /// What gets lost: the next of each of these.
    lose: Vec<String>,
    /// What stays on the wire until it is let go.
    hold: Vec<String>,
    held: Vec<Packet>,
    branches: HashMap<String, (Side, ClientKey)>,
    invites: HashMap<(Side, ClientKey), Request>,
    next: u64,
}

impl World {
    pub fn new(alice: Policy, bob: Policy) -> World {
        let phone = |policy| Phone { policy, usage: None, events: VecDeque::new(), waiting: VecDeque::new() };
        let start = Instant::now();
        World {
            start,
            now: start,
            alice: phone(alice),
            bob: phone(bob),
            wire: VecDeque::new(),
            log: Vec::new(),
            lose: Vec::new(),
            hold: Vec::new(),
            held: Vec::new(),
            branches: HashMap::new(),
            invites: HashMap::new(),
            next: 0,
        }
    }

    pub fn default_policies() -> World {
        World::new(policy("alice"), policy("bob"))
    }

    /// A call that was answered, with offer and answer, and nothing in the log.
    pub fn established() -> World {
        World::established_with(policy("alice"), policy("bob"))
    }

    pub fn established_with(alice: Policy, bob: Policy) -> World {
        let mut world = World::new(alice, bob);
        world.call(Some(OFFER));
        world.answer(200, Some(ANSWER));
        world.settle();
        assert!(matches!(world.event(Alice), Some(Event::Answered { .. })));
        assert!(matches!(world.event(Bob), Some(Event::Acknowledged { .. })));
        world.log.clear();
        world.alice.events.clear();
        world.bob.events.clear();
        world
    }

    pub fn phone(&mut self, side: Side) -> &mut Phone {
        match side {
            Alice => &mut self.alice,
            Bob => &mut self.bob,
        }
    }

    pub fn usage(&mut self, side: Side) -> &mut InviteUsage {
        self.phone(side).usage.as_mut().expect("there is a usage")
    }

    pub fn event(&mut self, side: Side) -> Option<Event> {
        self.phone(side).events.pop_front()
    }

    pub fn log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    // ----- what the parties do -----

    pub fn call(&mut self, body: Option<&str>) {
        self.call_with(invite(body));
    }

    pub fn call_with(&mut self, request: Request) {
        let policy = self.alice.policy.clone();
        self.alice.usage = Some(InviteUsage::call(self.now, request, false, policy, 1).unwrap());
        self.flush(Alice);
        self.settle();
    }

    /// Bob's response to the INVITE that waits first.
    pub fn answer(&mut self, code: u16, body: Option<&str>) {
        self.respond(Bob, code, body, false);
    }

    pub fn respond(&mut self, side: Side, code: u16, body: Option<&str>, reliably: bool) {
        let at = self.phone(side).waiting.front().cloned().expect("a request waits");
        let mut response = Response::to(&at.1, status(code));
        if let Some(body) = body {
            response.set_body("application/sdp", body.to_owned()).unwrap();
        }
        self.respond_with(side, response, reliably).unwrap();
    }

    pub fn respond_with(
        &mut self,
        side: Side,
        response: Response,
        reliably: bool,
    ) -> Result<(), sip_dialog::invite::Misuse> {
        let (transaction, _) = self.phone(side).waiting.front().cloned().expect("a request waits");
        if response.status().is_final() {
            self.phone(side).waiting.pop_front();
        }
        self.act(side, Input::Respond { transaction, response, reliably })
    }

    pub fn send(&mut self, side: Side, method: Method, body: Option<&str>) {
        let mut request = self.usage(side).create_request(FIRST, method).unwrap();
        if let Some(body) = body {
            request.set_body("application/sdp", body.to_owned()).unwrap();
        }
        self.act(side, Input::Send { dialog: FIRST, request }).unwrap();
    }

    pub fn act(&mut self, side: Side, input: Input) -> Result<(), sip_dialog::invite::Misuse> {
        let now = self.now;
        let result = self.usage(side).handle(now, input);
        self.flush(side);
        result
    }

    /// A request that reaches `side` without having been on the wire.
    pub fn inject(&mut self, side: Side, mut request: Request) {
        let branch = self.branch();
        add_via(&mut request, &branch);
        self.next += 1;
        let transaction = ServerKey(self.next);
        self.act(side, Input::RequestReceived { transaction, request }).unwrap();
    }

    // ----- the wire -----

    /// Loses the next message of this log text.
    pub fn lose(&mut self, what: &str) {
        self.lose.push(what.into());
    }

    /// Keeps messages of this log text until [`World::release`].
    pub fn hold(&mut self, what: &str) {
        self.hold.push(what.into());
    }

    pub fn release(&mut self) {
        self.hold.clear();
        let held = std::mem::take(&mut self.held);
        self.wire.extend(held);
        self.settle();
    }

    /// Delivers until the wire is empty.
    pub fn settle(&mut self) {
        let mut steps = 0;
        while let Some(packet) = self.wire.pop_front() {
            steps += 1;
            assert!(steps < 1000, "the parties never stop talking: {:?}", self.log);
            if let Some(at) = self.lose.iter().position(|what| *what == packet.what) {
                self.lose.remove(at);
            } else if self.hold.contains(&packet.what) {
                self.held.push(packet);
            } else {
                self.deliver(packet);
            }
        }
    }

    /// Lets time pass, and everything happen that is due meanwhile.
    pub fn advance(&mut self, by: Duration) {
        let until = self.now + by;
        self.settle();
        while let Some(at) = self.next_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            for side in [Alice, Bob] {
                if self.phone(side).usage.is_some() {
                    self.act(side, Input::TimeReached).unwrap();
                }
            }
            self.settle();
        }
        self.now = until;
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        [&self.alice, &self.bob].into_iter().filter_map(|phone| phone.usage.as_ref()?.next_timeout()).min()
    }

    /// After 64·T1 and more nothing is left on either side.
    pub fn assert_all_over(&mut self) {
        self.advance(seconds(40));
        for side in [Alice, Bob] {
            let phone = self.phone(side);
            assert!(phone.usage.as_ref().is_none_or(InviteUsage::is_over), "{side:?}: {:?}", phone.usage);
            assert!(phone.usage.as_ref().is_none_or(|usage| usage.next_timeout().is_none()));
        }
    }

    /// Takes the orders of one side over.
    pub fn flush(&mut self, side: Side) {
        while let Some(output) = self.phone(side).usage.as_mut().and_then(InviteUsage::poll_output) {
            match output {
                Output::SendRequest { transaction, mut request } => {
                    let branch = self.branch();
                    self.branches.insert(branch.clone(), (side, transaction));
                    add_via(&mut request, &branch);
                    if *request.method() == Method::Invite {
                        self.invites.insert((side, transaction), request.clone());
                    }
                    self.put(side, Message::Request(request));
                }
                Output::SendAck(mut request) => {
                    let branch = self.branch();
                    add_via(&mut request, &branch);
                    self.put(side, Message::Request(request));
                }
                Output::CancelRequest { transaction } => {
                    let invite = self.invites[&(side, transaction)].clone();
                    self.put(side, Message::Request(cancel_of(&invite)));
                }
                Output::SendResponse { response, .. } => self.put(side, Message::Response(response)),
                Output::Event(event) => self.take_event(side, event),
            }
        }
    }

    fn take_event(&mut self, side: Side, event: Event) {
        if let Event::Request { transaction, request, .. } = &event {
            self.phone(side).waiting.push_back((*transaction, request.clone()));
        }
        self.phone(side).events.push_back(event);
    }

    fn branch(&mut self) -> String {
        self.next += 1;
        format!("z9hG4bK{}", self.next)
    }

    fn put(&mut self, from: Side, message: Message) {
        let message = parse_datagram(message.to_bytes(), &Limits::default()).expect("we send what can be parsed");
        let method = message.headers().get::<Cseq>().unwrap().unwrap().method;
        let name = if from == Alice { "alice" } else { "bob" };
        let what = match &message {
            Message::Request(request) => format!("{name} {}", request.method()),
            Message::Response(response) => format!("{name} {} {method}", response.status()),
        };
        self.log.push(what.clone());
        self.wire.push_back(Packet { to: from.other(), message, what });
    }

    fn deliver(&mut self, packet: Packet) {
        let to = packet.to;
        match packet.message {
            Message::Request(request) => self.deliver_request(to, request),
            Message::Response(response) => {
                let branch = branch_of(&response);
                let method = response.headers().get::<Cseq>().unwrap().unwrap().method;
                if method == Method::Cancel {
                    return;
                }
                // The response to a request that was injected goes to nobody.
                let Some(&(side, transaction)) = self.branches.get(&branch) else { return };
                assert_eq!(side, to);
                self.act(to, Input::ResponseReceived { transaction, response }).unwrap();
            }
        }
    }

    fn deliver_request(&mut self, to: Side, request: Request) {
        self.next += 1;
        let transaction = ServerKey(self.next);
        if *request.method() == Method::Ack {
            return self.act(to, Input::AckReceived(request)).unwrap();
        }
        if self.phone(to).usage.is_none() {
            let policy = self.phone(to).policy.clone();
            match InviteUsage::answer(transaction, &request, "b1", false, policy, 2) {
                Ok(usage) => {
                    self.phone(to).usage = Some(usage);
                    self.phone(to).waiting.push_back((transaction, request));
                }
                Err(response) => self.put(to, Message::Response(*response)),
            }
            return;
        }
        self.act(to, Input::RequestReceived { transaction, request }).unwrap();
    }
}

fn add_via(request: &mut Request, branch: &str) {
    let via = format!("SIP/2.0/UDP host.example.com;branch={branch}");
    request.headers_mut().push_front(HeaderName::Via, via).unwrap();
}

pub fn branch_of(response: &Response) -> String {
    let via = sip_message::header::Via::parse(response.headers().first(HeaderName::Via).unwrap()).unwrap();
    via.branch().unwrap().to_owned()
}

/// The CANCEL of an INVITE, as the transaction layer makes it.
pub fn cancel_of(invite: &Request) -> Request {
    let mut cancel = Request::new(Method::Cancel, &invite.uri().to_buf());
    for name in [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::MaxForwards] {
        cancel.headers_mut().copy_from(invite.headers(), name);
    }
    let sequence = invite.headers().get::<Cseq>().unwrap().unwrap().sequence;
    cancel.headers_mut().push(HeaderName::Cseq, format!("{sequence} CANCEL")).unwrap();
    cancel
}
