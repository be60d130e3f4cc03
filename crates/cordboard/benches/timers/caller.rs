//! A caller on loopback: so many INVITEs a second whatever becomes of them, an ACK for each 200, and a BYE half a second
//! later. One thread sends, and one receives and takes the time.

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

/// One call, as the caller has seen it.
pub(crate) struct Call {
    pub(crate) began: Instant,
    /// When the 200 to the INVITE came.
    pub(crate) answered: Option<Instant>,
}

pub(crate) struct Caller {
    socket: UdpSocket,
}

/// The first 200 of a call.
struct Answer {
    call: usize,
    at: Instant,
    to: String,
    contact: String,
}

/// How long a call is up, and how long the last one's answer is waited for.
const UP: Duration = Duration::from_millis(500);
const GRACE: Duration = Duration::from_secs(1);

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n\
                   a=rtpmap:0 PCMU/8000\r\n";

impl Caller {
    pub(crate) fn new(server: SocketAddr) -> Caller {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("there is a free port");
        socket.connect(server).expect("loopback is there");
        Caller { socket }
    }

    /// Calls until then, and gives all calls.
    pub(crate) fn call(&self, per_second: u32, until: Instant) -> Vec<Call> {
        let (tell, answers) = channel();
        std::thread::scope(|scope| {
            scope.spawn(|| self.receive(tell, until + GRACE));
            let (mut calls, mut up) = (Vec::new(), VecDeque::new());
            let take = |calls: &mut Vec<Call>, up: &mut VecDeque<Answer>| {
                for answer in answers.try_iter() {
                    let call: &mut Call = &mut calls[answer.call];
                    if call.answered.is_none() {
                        call.answered = Some(answer.at);
                        up.push_back(answer);
                    }
                }
            };
            let start = Instant::now();
            for number in 0.. {
                let next = start + Duration::from_secs(1) * number / per_second;
                if next >= until {
                    break;
                }
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
                // What is in the channel is a call that is in the list: it is entered before it is sent.
                calls.push(Call { began: Instant::now(), answered: None });
                self.send(&self.invite(calls.len() - 1));
                take(&mut calls, &mut up);
                while up.front().is_some_and(|answer| answer.at + UP <= Instant::now()) {
                    let Some(answer) = up.pop_front() else { break };
                    self.send(&self.within("BYE", 2, &answer));
                }
            }
            std::thread::sleep(GRACE);
            take(&mut calls, &mut up);
            calls
        })
    }

    fn receive(&self, tell: Sender<Answer>, until: Instant) {
        let mut buffer = vec![0; 65_536];
        self.socket.set_read_timeout(Some(Duration::from_millis(100))).expect("it is more than nothing");
        while Instant::now() < until {
            let Ok(length) = self.socket.recv(&mut buffer) else { continue };
            let at = Instant::now();
            let Ok(message) = std::str::from_utf8(&buffer[..length]) else { continue };
            if !message.starts_with("SIP/2.0 200") || !value(message, "CSeq: ").ends_with("INVITE") {
                continue;
            }
            let call = value(message, "Call-ID: ").parse().expect("we have chosen it");
            let contact = value(message, "Contact: ");
            let contact = contact.split(['<', '>']).nth(1).unwrap_or(contact).to_owned();
            let answer = Answer { call, at, to: value(message, "To: ").to_owned(), contact };
            self.send(&self.within("ACK", 1, &answer));
            let _ = tell.send(answer);
        }
    }

    fn send(&self, message: &str) {
        self.socket.send(message.as_bytes()).expect("loopback is there");
    }

    fn invite(&self, call: usize) -> String {
        let (us, server) = self.addresses();
        format!(
            "INVITE sip:bench@{server} SIP/2.0\r\nVia: SIP/2.0/UDP {us};branch=z9hG4bKi{call}\r\nMax-Forwards: 70\r\n\
             From: <sip:caller@{us}>;tag=f{call}\r\nTo: <sip:bench@{server}>\r\nCall-ID: {call}\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:caller@{us}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{SDP}",
            SDP.len()
        )
    }

    /// A request of the dialog that the answer has made.
    fn within(&self, method: &str, cseq: u32, answer: &Answer) -> String {
        let (us, server) = self.addresses();
        let Answer { call, to, contact, .. } = answer;
        let target = if contact.is_empty() { format!("sip:{server}") } else { contact.clone() };
        format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {us};branch=z9hG4bK{method}{call}\r\nMax-Forwards: 70\r\n\
             From: <sip:caller@{us}>;tag=f{call}\r\nTo: {to}\r\nCall-ID: {call}\r\nCSeq: {cseq} {method}\r\n\
             Content-Length: 0\r\n\r\n"
        )
    }

    fn addresses(&self) -> (SocketAddr, SocketAddr) {
        let us = self.socket.local_addr().expect("it is bound");
        (us, self.socket.peer_addr().expect("it is connected"))
    }
}

fn value<'m>(message: &'m str, name: &str) -> &'m str {
    message.split("\r\n").find_map(|line| line.strip_prefix(name)).unwrap_or_default()
}
