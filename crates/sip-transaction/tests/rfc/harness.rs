//! One transaction, its owner, and a clock that is moved by hand.

use std::time::Duration;

use bytes::Bytes;
use sip_message::{Limits, Message, Request, Response, StatusCode, parse_datagram};
use sip_transaction::{
    InviteClientTransaction, InviteServerTransaction, NonInviteClientTransaction, NonInviteServerTransaction, Output,
    Outputs, Reason, Timer, Timers, invite_client, invite_server, non_invite_client, non_invite_server,
};

/// What the four machines have in common.
pub(crate) trait Machine {
    /// The input of a timer that fired.
    fn fire(&mut self, timer: Timer, timers: &Timers) -> Outputs;
    /// The timers that its state names.
    fn armed(&self) -> [Option<Timer>; 2];
}

macro_rules! machine {
    ($($machine:ident in $module:ident,)*) => {
        $(impl Machine for $machine {
            fn fire(&mut self, timer: Timer, timers: &Timers) -> Outputs {
                self.handle($module::Input::TimerFired(timer), timers)
            }
            fn armed(&self) -> [Option<Timer>; 2] {
                self.armed()
            }
        })*
    };
}

machine! {
    InviteClientTransaction in invite_client,
    NonInviteClientTransaction in non_invite_client,
    InviteServerTransaction in invite_server,
    NonInviteServerTransaction in non_invite_server,
}

/// A transaction with its owner.
pub(crate) struct World<M> {
    pub(crate) machine: M,
    pub(crate) timers: Timers,
    now: Duration,
    armed: Vec<(Timer, Duration)>,
    /// Every order that is not about a timer, with its instant in milliseconds.
    pub(crate) seen: Vec<(u64, Output)>,
}

impl<M: Machine> World<M> {
    pub(crate) fn new((machine, outputs): (M, Outputs)) -> World<M> {
        let timers = Timers::default();
        let mut world = World { machine, timers, now: Duration::ZERO, armed: Vec::new(), seen: Vec::new() };
        world.carry_out(outputs);
        world
    }

    /// Hands an input in; answers what was ordered, timers and all.
    pub(crate) fn input(&mut self, input: impl FnOnce(&mut M, &Timers) -> Outputs) -> String {
        let outputs = input(&mut self.machine, &self.timers);
        let shown = show(&outputs);
        self.carry_out(outputs);
        shown
    }

    /// Lets time pass. Timers that fall due at the same instant fire in the order in which they were set.
    pub(crate) fn wait(&mut self, milliseconds: u64) {
        let until = self.now + Duration::from_millis(milliseconds);
        while let Some((timer, at)) = self.armed.iter().copied().min_by_key(|(_, at)| *at) {
            if at > until {
                break;
            }
            self.now = at;
            self.armed.retain(|(armed, _)| *armed != timer);
            let outputs = self.machine.fire(timer, &self.timers);
            self.carry_out(outputs);
        }
        self.now = until;
    }

    /// The instants at which `message` was sent, in milliseconds.
    pub(crate) fn sent(&self, message: &[u8]) -> Vec<u64> {
        self.when(|output| matches!(output, Output::Send(sent) if sent[..] == *message))
    }

    /// The instants at which this was ordered, in milliseconds.
    pub(crate) fn when(&self, wanted: impl Fn(&Output) -> bool) -> Vec<u64> {
        self.seen.iter().filter(|(_, output)| wanted(output)).map(|(at, _)| *at).collect()
    }

    /// When and why it ended.
    pub(crate) fn end(&self) -> Option<(u64, Reason)> {
        self.seen.iter().find_map(|(at, output)| match output {
            Output::Terminated(reason) => Some((*at, *reason)),
            _ => None,
        })
    }

    fn carry_out(&mut self, outputs: Outputs) {
        for output in outputs {
            match output {
                Output::SetTimer(timer, after) => self.armed.push((timer, self.now + after)),
                Output::CancelTimer(timer) => self.armed.retain(|(armed, _)| *armed != timer),
                other => self.seen.push((u64::try_from(self.now.as_millis()).expect("no test lasts that long"), other)),
            }
        }
        let mut named: Vec<Timer> = self.machine.armed().into_iter().flatten().collect();
        let mut armed: Vec<Timer> = self.armed.iter().map(|(timer, _)| *timer).collect();
        named.sort();
        armed.sort();
        assert_eq!(named, armed, "the timers of the state are those that are armed");
    }
}

/// The orders in short: `send`, `to user`, `+A 500ms`, `-A`, `end Timeout`, `ignored StrayTimer` …
pub(crate) fn show(outputs: &[Output]) -> String {
    let shown: Vec<String> = outputs
        .iter()
        .map(|output| match output {
            Output::Send(_) => "send".to_owned(),
            Output::DeliverToUser => "to user".to_owned(),
            Output::RespondTrying => "respond 100".to_owned(),
            Output::ReportTransportFailure => "report failure".to_owned(),
            Output::SetTimer(timer, after) => format!("+{timer:?} {after:?}"),
            Output::CancelTimer(timer) => format!("-{timer:?}"),
            Output::Ignored(violation) => format!("ignored {violation:?}"),
            Output::Terminated(reason) => format!("end {reason:?}"),
        })
        .collect();
    shown.join(", ")
}

/// Every timer there is.
pub(crate) const TIMERS: [Timer; 15] = [
    Timer::A,
    Timer::B,
    Timer::D,
    Timer::E,
    Timer::F,
    Timer::G,
    Timer::H,
    Timer::I,
    Timer::J,
    Timer::K,
    Timer::L,
    Timer::M,
    Timer::Trying100,
    Timer::Cancel,
    Timer::Expiry,
];

pub(crate) fn status(code: u16) -> StatusCode {
    StatusCode::new(code).expect("a status code")
}

/// A message as it is written in a test: lines of text, with a body length of zero.
pub(crate) fn printed(text: &str) -> Bytes {
    let mut lines: Vec<&str> = text.trim().lines().map(str::trim).collect();
    lines.push("Content-Length: 0");
    Bytes::from(lines.join("\r\n") + "\r\n\r\n")
}

pub(crate) fn request(text: &str) -> Request {
    match parse_datagram(printed(text), &Limits::default()).expect("a message") {
        Message::Request(request) => request,
        Message::Response(_) => panic!("a response"),
    }
}

pub(crate) fn response(text: &str) -> Response {
    match parse_datagram(printed(text), &Limits::default()).expect("a message") {
        Message::Response(response) => response,
        Message::Request(_) => panic!("a request"),
    }
}

/// The INVITE of RFC 3261 §17.1.1.3.
pub(crate) const INVITE: &str = "
    INVITE sip:bob@biloxi.com SIP/2.0
    Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKkjshdyff
    To: Bob <sip:bob@biloxi.com>
    From: Alice <sip:alice@atlanta.com>;tag=88sja8x
    Max-Forwards: 70
    Call-ID: 987asjd97y7atg
    CSeq: 986759 INVITE";

/// A response to [`INVITE`] with Bob's tag.
pub(crate) fn response_to_invite(code: u16) -> Response {
    response(&format!(
        "SIP/2.0 {code} Whatever
        Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKkjshdyff
        To: Bob <sip:bob@biloxi.com>;tag=99sa0xk
        From: Alice <sip:alice@atlanta.com>;tag=88sja8x
        Call-ID: 987asjd97y7atg
        CSeq: 986759 INVITE"
    ))
}
