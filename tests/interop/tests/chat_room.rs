//! A chat room in `cordboard serve`, over real sockets: guests whose SIP is written by hand, and whose MSRP is the engine
//! of the phone.
#![allow(missing_docs, clippy::unwrap_used, reason = "these are tests")]

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use cordboard_interop::certificates::Authority;
use cordboard_interop::presence::all_present;
use cordboard_interop::server::{Server, Settings};
use cordboard_interop::{DOMAIN, workspace};
use msrp::driver::{ChatPlan, MsrpCommand, MsrpEngine, MsrpEvent, MsrpSettings, Remote, StreamKey};
use msrp::endpoint::{MessageId, OutgoingMessage};

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn three_guests_talk_in_a_room() {
    if !all_present(&[]) {
        return;
    }
    for workers in [1, 3] {
        let server = Server::start(Settings::default().workers(workers));
        let alice = Guest::joins("alice", &server, "chat-lobby", Transport::Tcp);
        alice.says(&alice.room(), "is anybody there?").unwrap();
        let mut bob = Guest::joins("bob", &server, "chat-lobby", Transport::Tcp);
        assert_eq!(bob.hears(), "is anybody there?", "what was said before");
        let carol = Guest::joins("carol", &server, "chat-lobby", Transport::Tcp);
        assert_eq!(carol.hears(), "is anybody there?");

        bob.says(&bob.room(), "here we are").unwrap();
        assert_eq!((alice.hears(), carol.hears()), ("here we are".to_owned(), "here we are".to_owned()));
        carol.says("sip:alice@example.org", "psst").unwrap();
        bob.says(&bob.room(), "what did she say?").unwrap();
        assert_eq!(alice.hears(), "psst");
        assert_eq!(alice.hears(), "what did she say?");
        assert_eq!(carol.hears(), "what did she say?", "Bob has not heard it");
        assert_eq!(carol.says("sip:dave@example.org", "psst"), Err(404));

        assert_eq!(alice.wants_to_be_called("Al"), 200);
        assert_eq!(carol.wants_to_be_called("AL"), 425);
        bob.leaves();
        alice.says(&alice.room(), "bye, Bob").unwrap();
        assert_eq!(carol.hears(), "bye, Bob");
        assert_eq!(alice.says("sip:bob@example.org", "psst"), Err(404));
    }
}

#[test]
fn a_long_message_comes_whole_and_one_that_is_too_long_does_not_come() {
    if !all_present(&[]) {
        return;
    }
    let server = Server::start(Settings::default());
    let alice = Guest::joins("alice", &server, "chat", Transport::Tcp);
    let bob = Guest::joins("bob", &server, "chat", Transport::Tcp);
    let long = "x".repeat(100_000);
    alice.says(&alice.room(), &long).unwrap();
    assert!(bob.hears() == long);
    assert_eq!(alice.says(&alice.room(), &"x".repeat(200_000)), Err(413));
    alice.says(&alice.room(), "shorter").unwrap();
    assert_eq!(bob.hears(), "shorter");
}

#[test]
fn whoever_loses_the_connection_is_hung_up_on() {
    if !all_present(&[]) {
        return;
    }
    let server = Server::start(Settings::default());
    let alice = Guest::joins("alice", &server, "chat", Transport::Tcp);
    let mut bob = Guest::joins("bob", &server, "chat", Transport::Tcp);
    bob.engine = None;
    let bye = bob.sip.awaits(|text| text.starts_with("BYE "));
    bob.sip.answers(&bye);
    assert_eq!(alice.says("sip:bob@example.org", "are you there?"), Err(404));
}

/// RFC 3261 §14: another path for the same seat.
#[test]
fn a_guest_moves_to_another_connection_and_stays_in_the_room() {
    if !all_present(&[]) {
        return;
    }
    let server = Server::start(Settings::default());
    let alice = Guest::joins("alice", &server, "chat", Transport::Tcp);
    let mut bob = Guest::joins("bob", &server, "chat", Transport::Tcp);
    assert_eq!(bob.wants_to_be_called("Bobby"), 200);
    for transport in [Transport::Tcp, Transport::Tls] {
        bob.goes_to_another_stream(transport);
        alice.says("sip:bob@example.org", "are you there?").unwrap();
        assert_eq!(bob.hears(), "are you there?");
        bob.says(&bob.room(), "here").unwrap();
        assert_eq!(alice.hears(), "here");
        assert_eq!(alice.wants_to_be_called("bobby"), 425);
    }
}

#[test]
fn a_room_is_reached_over_tls() {
    if !all_present(&[]) {
        return;
    }
    let authority = Authority::new(&workspace::run_folder());
    let identity = authority.identity("server", &[DOMAIN, "127.0.0.1"]);
    let server = Server::start(Settings::default().tls(&identity, authority.certificate.clone()));
    let alice = Guest::joins("alice", &server, "chat", Transport::Tls);
    let bob = Guest::joins("bob", &server, "chat", Transport::Tcp);
    alice.says(&alice.room(), "nobody listens on the way").unwrap();
    assert_eq!(bob.hears(), "nobody listens on the way");
}

/// What a guest's messages go over.
#[derive(Clone, Copy, PartialEq)]
enum Transport {
    Tcp,
    Tls,
}

struct Guest {
    sip: Sip,
    /// `None`: it is gone, and its connections with it.
    engine: Option<MsrpEngine>,
    /// The one that its messages go over.
    stream: StreamKey,
    events: Receiver<MsrpEvent>,
    waiting: std::cell::RefCell<Vec<MsrpEvent>>,
    said: std::cell::Cell<u32>,
}

impl Guest {
    /// Somebody who calls a room, and is in it.
    #[track_caller]
    fn joins(name: &str, server: &Server, room: &str, transport: Transport) -> Guest {
        let (tell, events) = channel();
        let engine = MsrpEngine::start(MsrpSettings::default(), move |event| drop(tell.send(event))).unwrap();
        let sip = Sip::new(name, server.address(), room);
        let mut guest = Guest {
            sip,
            engine: Some(engine),
            stream: StreamKey(0),
            events,
            waiting: Vec::new().into(),
            said: 0.into(),
        };
        guest.goes_to_another_stream(transport);
        guest
    }

    /// Opens a stream, and tells the room of it: by the INVITE, or by another in the dialog.
    #[track_caller]
    fn goes_to_another_stream(&mut self, transport: Transport) {
        self.stream.0 += 1;
        let stream = self.stream;
        let plan = ChatPlan { is_secure: transport == Transport::Tls, ..ChatPlan::new([127, 0, 0, 1].into()) };
        self.orders(MsrpCommand::Prepare { stream, plan });
        let MsrpEvent::Prepared { path, address, fingerprint, .. } =
            self.awaits(|event| matches!(event, MsrpEvent::Prepared { .. }))
        else {
            unreachable!("it was waited for")
        };
        let protocol = if transport == Transport::Tls { "TCP/TLS/MSRP" } else { "TCP/MSRP" };
        let fingerprint = fingerprint.filter(|_| transport == Transport::Tls);
        let fingerprint = fingerprint.map_or(String::new(), |value| format!("a=fingerprint:{value}\r\n"));
        let offer = format!(
            "v=0\r\no=- 1 {} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=message {} {protocol} *\r\n\
             a=accept-types:message/cpim\r\na=accept-wrapped-types:*\r\na=chatroom:nickname private-messages\r\n\
             a=setup:active\r\na=path:{path}\r\n{fingerprint}",
            stream.0,
            address.port()
        );
        let answer = self.sip.calls(&offer);
        assert!(answer.contains(";isfocus"), "{answer}");
        let of = |name: &str| {
            let line = answer.lines().find_map(|line| line.strip_prefix(&format!("a={name}:")));
            line.map(|value| value.trim().to_owned())
        };
        let remote = Remote {
            path: of("path").unwrap().parse().unwrap(),
            we_connect: of("setup").as_deref() == Some("passive"),
            next_hop: None,
            fingerprints: of("fingerprint").into_iter().map(Into::into).collect(),
        };
        self.orders(MsrpCommand::Apply { stream, remote });
        self.awaits(|event| matches!(event, MsrpEvent::Bound { .. }));
    }

    fn room(&self) -> String {
        self.sip.room.clone()
    }

    fn orders(&self, command: MsrpCommand) {
        self.engine.as_ref().unwrap().handle().send(command).unwrap();
    }

    /// Sends a message; how it is answered.
    #[track_caller]
    fn says(&self, to: &str, text: &str) -> Result<(), u16> {
        self.said.set(self.said.get() + 1);
        let id = MessageId(format!("message{}", self.said.get()).into());
        let content =
            format!("From: <{}>\r\nTo: <{to}>\r\n\r\nContent-Type: text/plain\r\n\r\n{text}", self.sip.address);
        let message = OutgoingMessage::whole(id.clone(), "message/cpim", content, false);
        self.orders(MsrpCommand::Send { stream: self.stream, message });
        let settled = |event: &MsrpEvent| match event {
            MsrpEvent::Delivered { id: of, .. } | MsrpEvent::NotDelivered { id: of, .. } => *of == id,
            _ => false,
        };
        match self.awaits(settled) {
            MsrpEvent::NotDelivered { code, .. } => Err(code),
            _ => Ok(()),
        }
    }

    /// The next message, without its wrapper.
    #[track_caller]
    fn hears(&self) -> String {
        match self.awaits(|event| matches!(event, MsrpEvent::Got { .. })) {
            MsrpEvent::Got { message, .. } => {
                let text = String::from_utf8(message.content.to_vec()).unwrap();
                text.rsplit("\r\n").next().unwrap_or_default().to_owned()
            }
            _ => unreachable!("it was waited for"),
        }
    }

    #[track_caller]
    fn wants_to_be_called(&self, nickname: &str) -> u16 {
        self.orders(MsrpCommand::Nickname { stream: self.stream, nickname: nickname.into() });
        match self.awaits(|event| matches!(event, MsrpEvent::NicknameAnswered { .. })) {
            MsrpEvent::NicknameAnswered { code, .. } => code,
            _ => unreachable!("it was waited for"),
        }
    }

    fn leaves(&mut self) {
        self.sip.hangs_up();
    }

    #[track_caller]
    fn awaits(&self, wanted: impl Fn(&MsrpEvent) -> bool) -> MsrpEvent {
        let mut waiting = self.waiting.borrow_mut();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(place) = waiting.iter().position(&wanted) {
                return waiting.remove(place);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(event) => waiting.push(event),
                Err(_) => panic!("{}: it has not come; there is {waiting:?}", self.sip.address),
            }
        }
    }
}

/// One call by UDP. The network is this machine: nothing is lost.
struct Sip {
    socket: UdpSocket,
    address: String,
    room: String,
    name: String,
    to: String,
    target: String,
    number: u32,
}

impl Sip {
    fn new(name: &str, server: SocketAddr, room: &str) -> Sip {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let room = format!("sip:{room}@{DOMAIN}");
        Sip {
            socket,
            address: format!("sip:{name}@example.org"),
            to: format!("<{room}>"),
            target: room.clone(),
            room,
            name: name.to_owned(),
            number: 0,
        }
    }

    #[track_caller]
    fn calls(&mut self, offer: &str) -> String {
        self.sends("INVITE", offer);
        let answer = self.awaits(|text| text.starts_with("SIP/2.0 ") && !text.starts_with("SIP/2.0 1"));
        assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
        self.to = header(&answer, "To");
        self.target = header(&answer, "Contact").split(['<', '>']).nth(1).unwrap().to_owned();
        self.sends("ACK", "");
        answer
    }

    #[track_caller]
    fn hangs_up(&mut self) {
        self.sends("BYE", "");
        self.awaits(|text| text.starts_with("SIP/2.0 200 ") && text.contains(" BYE\r\n"));
    }

    fn answers(&self, request: &str) {
        let copied = ["Via", "From", "To", "Call-ID", "CSeq"];
        let lines: Vec<String> = copied.iter().map(|name| format!("{name}: {}\r\n", header(request, name))).collect();
        let text = format!("SIP/2.0 200 OK\r\n{}Content-Length: 0\r\n\r\n", lines.concat());
        self.socket.send(text.as_bytes()).unwrap();
    }

    fn sends(&mut self, method: &str, body: &str) {
        if method != "ACK" {
            self.number += 1;
        }
        let (here, name, number) = (self.socket.local_addr().unwrap(), &self.name, self.number);
        let text = format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bK-{name}-{method}-{number}\r\n\
             From: <{}>;tag={name}\r\nTo: {}\r\nCall-ID: {name}-{}\r\nCSeq: {number} {method}\r\n\
             Contact: <sip:{name}@{here}>\r\nMax-Forwards: 70\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.target,
            self.address,
            self.to,
            here.port(),
            body.len()
        );
        self.socket.send(text.as_bytes()).unwrap();
    }

    #[track_caller]
    fn awaits(&self, wanted: impl Fn(&str) -> bool) -> String {
        let mut buffer = [0; 65_536];
        loop {
            let length = self.socket.recv(&mut buffer).unwrap();
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if wanted(&text) {
                return text;
            }
        }
    }
}

fn header(text: &str, name: &str) -> String {
    let value = text.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
    value.unwrap_or_else(|| panic!("no {name} in\n{text}")).trim().to_owned()
}
