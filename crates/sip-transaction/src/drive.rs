//! Runs a machine from a string of octets, with a clock that is moved by hand: the body of the fuzz target and of the
//! property test. A broken promise of a machine is a panic.
//!
//! The promises: a timer is set only when it is not armed and cancelled only when it is, of each role there is one at
//! most, the timers that a state names are those that are armed, a stray changes nothing, nothing follows `Terminated`,
//! and 64·T1 after the last input the machine has ended and no timer is armed.

use std::time::Duration;

use bytes::Bytes;
use sip_message::{HeaderName, Method, Request, Response, StatusCode, Transport, UriBuf};

use crate::invite_client::{self, InviteClientTransaction};
use crate::invite_server::{self, InviteServerTransaction};
use crate::non_invite_client::{self, NonInviteClientTransaction};
use crate::non_invite_server::{self, NonInviteServerTransaction};
use crate::output::{Output, Outputs, Violation};
use crate::timer::{Timer, Timers};

/// Plays `script`: the first octet chooses machine and transport, each further one is something that happens. What the
/// user sends is made of the octets themselves.
///
/// # Panics
///
/// When the machine breaks a promise.
pub fn drive(script: &[u8]) {
    let Some((&choice, steps)) = script.split_first() else {
        return;
    };
    let transport = if choice & 4 == 0 { Transport::Udp } else { Transport::Tcp };
    let mut owner = Owner::start(choice & 3, transport, Bytes::copy_from_slice(script));
    for (at, step) in steps.iter().enumerate() {
        match step >> 6 {
            0 => owner.advance(Duration::from_millis(u64::from(step & 0x3f) * 250)),
            1 => owner.fire_stray(ALL_TIMERS[usize::from(step & 0x3f) % ALL_TIMERS.len()]),
            _ => owner.happen(*step, steps.get(at + 1).copied().unwrap_or_default()),
        }
    }
    owner.have_the_user_come_to_an_end();
    owner.advance(owner.timers.timeout());
    assert!(owner.over && owner.armed.is_empty(), "still there: {:?} {:?}", owner.machine, owner.armed);
}

const ALL_TIMERS: [Timer; 15] = [
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

#[derive(Debug)]
enum Machine {
    InviteClient(InviteClientTransaction),
    NonInviteClient(NonInviteClientTransaction),
    InviteServer(InviteServerTransaction),
    NonInviteServer(NonInviteServerTransaction),
}

/// What can happen to some machine.
enum Event {
    Timer(Timer),
    Response(StatusCode),
    Request,
    Ack,
    Respond(StatusCode, Bytes),
    CancelSent,
    TransportFailed,
}

impl Machine {
    /// Nothing when this machine has no such input.
    fn handle(&mut self, event: Event, timers: &Timers) -> Outputs {
        match (self, event) {
            (Machine::InviteClient(machine), event) => {
                let response;
                let input = match event {
                    Event::Timer(timer) => invite_client::Input::TimerFired(timer),
                    Event::Response(status) => {
                        response = response_with(status);
                        invite_client::Input::ResponseReceived(&response)
                    }
                    Event::CancelSent => invite_client::Input::CancelSent,
                    Event::TransportFailed => invite_client::Input::TransportFailed,
                    Event::Request | Event::Ack | Event::Respond(..) => return Outputs::new(),
                };
                machine.handle(input, timers)
            }
            (Machine::NonInviteClient(machine), event) => {
                let input = match event {
                    Event::Timer(timer) => non_invite_client::Input::TimerFired(timer),
                    Event::Response(status) => non_invite_client::Input::ResponseReceived(status),
                    Event::TransportFailed => non_invite_client::Input::TransportFailed,
                    Event::Request | Event::Ack | Event::Respond(..) | Event::CancelSent => {
                        return Outputs::new();
                    }
                };
                machine.handle(input, timers)
            }
            (Machine::InviteServer(machine), event) => {
                let input = match event {
                    Event::Timer(timer) => invite_server::Input::TimerFired(timer),
                    Event::Request => invite_server::Input::InviteReceived,
                    Event::Ack => invite_server::Input::AckReceived,
                    Event::Respond(status, octets) => invite_server::Input::Respond(status, octets),
                    Event::TransportFailed => invite_server::Input::TransportFailed,
                    Event::Response(_) | Event::CancelSent => return Outputs::new(),
                };
                machine.handle(input, timers)
            }
            (Machine::NonInviteServer(machine), event) => {
                let input = match event {
                    Event::Timer(timer) => non_invite_server::Input::TimerFired(timer),
                    Event::Request => non_invite_server::Input::RequestReceived,
                    Event::Respond(status, octets) => non_invite_server::Input::Respond(status, octets),
                    Event::TransportFailed => non_invite_server::Input::TransportFailed,
                    Event::Response(_) | Event::Ack | Event::CancelSent => return Outputs::new(),
                };
                machine.handle(input, timers)
            }
        }
    }

    fn armed(&self) -> [Option<Timer>; 2] {
        match self {
            Machine::InviteClient(machine) => machine.armed(),
            Machine::NonInviteClient(machine) => machine.armed(),
            Machine::InviteServer(machine) => machine.armed(),
            Machine::NonInviteServer(machine) => machine.armed(),
        }
    }
}

struct Owner {
    machine: Machine,
    timers: Timers,
    now: Duration,
    /// What is armed, and when it fires.
    armed: Vec<(Timer, Duration)>,
    over: bool,
    message: Bytes,
}

impl Owner {
    fn start(choice: u8, transport: Transport, message: Bytes) -> Owner {
        let timers = Timers::default();
        let (machine, outputs) = match choice {
            0 => {
                let (machine, outputs) = InviteClientTransaction::start(message.clone(), transport, &timers);
                (Machine::InviteClient(machine), outputs)
            }
            1 => {
                let (machine, outputs) = NonInviteClientTransaction::start(message.clone(), transport, &timers);
                (Machine::NonInviteClient(machine), outputs)
            }
            2 => {
                let (machine, outputs) = InviteServerTransaction::start(transport, &timers);
                (Machine::InviteServer(machine), outputs)
            }
            _ => {
                let (machine, outputs) = NonInviteServerTransaction::start(transport, &timers);
                (Machine::NonInviteServer(machine), outputs)
            }
        };
        let mut owner = Owner { machine, timers, now: Duration::ZERO, armed: Vec::new(), over: false, message };
        owner.carry_out(outputs);
        owner
    }

    /// One of the inputs that are no timers.
    fn happen(&mut self, step: u8, next: u8) {
        let status = StatusCode::new(100 + (u16::from(step & 7) * 97 + u16::from(next)) % 600)
            .expect("100 to 699 is the range of status codes");
        let event = match (step >> 3) & 7 {
            0 | 1 => Event::Response(status),
            2 | 3 => Event::Respond(status, self.message.clone()),
            4 => Event::Request,
            5 => Event::Ack,
            6 => Event::CancelSent,
            _ => Event::TransportFailed,
        };
        self.input(event);
    }

    fn have_the_user_come_to_an_end(&mut self) {
        self.input(Event::CancelSent);
        self.input(Event::Respond(StatusCode::SERVER_INTERNAL_ERROR, Bytes::from_static(b"the end")));
    }

    fn advance(&mut self, by: Duration) {
        let until = self.now + by;
        while let Some((timer, at)) = self.armed.iter().copied().min_by_key(|(_, at)| *at) {
            if at > until {
                break;
            }
            self.now = at;
            self.armed.retain(|(armed, _)| *armed != timer);
            let outputs = self.machine.handle(Event::Timer(timer), &self.timers);
            assert!(
                !outputs.iter().any(|output| matches!(output, Output::Ignored(_))),
                "{timer:?} was set for nothing"
            );
            self.carry_out(outputs);
        }
        self.now = until;
    }

    fn fire_stray(&mut self, timer: Timer) {
        if self.armed.iter().any(|(armed, _)| *armed == timer) {
            return;
        }
        let violation = if self.over { Violation::TransactionOver } else { Violation::StrayTimer };
        let outputs = self.machine.handle(Event::Timer(timer), &self.timers);
        assert_eq!(outputs[..], [Output::Ignored(violation)]);
    }

    fn input(&mut self, event: Event) {
        let outputs = self.machine.handle(event, &self.timers);
        if self.over {
            assert!(outputs.iter().all(|output| *output == Output::Ignored(Violation::TransactionOver)));
        }
        self.carry_out(outputs);
    }

    fn carry_out(&mut self, outputs: Outputs) {
        assert!(!outputs.spilled(), "more orders than a list holds: {outputs:?}");
        let count = outputs.len();
        let mut respond_trying = false;
        for (at, output) in outputs.into_iter().enumerate() {
            match output {
                Output::SetTimer(timer, after) => {
                    let taken = self.armed.iter().find(|(armed, _)| armed.role() == timer.role());
                    assert_eq!(taken, None, "{timer:?} is set beside another of its role");
                    self.armed.push((timer, self.now + after));
                }
                Output::CancelTimer(timer) => {
                    let before = self.armed.len();
                    self.armed.retain(|(armed, _)| *armed != timer);
                    assert_ne!(before, self.armed.len(), "{timer:?} is cancelled and was not armed");
                }
                Output::Terminated(_) => {
                    assert_eq!(at + 1, count, "something follows Terminated");
                    self.over = true;
                }
                Output::RespondTrying => respond_trying = true,
                Output::Ignored(_) => {
                    assert_eq!(count, 1, "an input is ignored and yet something is done")
                }
                Output::Send(_) | Output::DeliverToUser | Output::ReportTransportFailure => {}
            }
        }
        let mut named: Vec<Timer> = self.machine.armed().into_iter().flatten().collect();
        let mut armed: Vec<Timer> = self.armed.iter().map(|(timer, _)| *timer).collect();
        named.sort();
        armed.sort();
        assert_eq!(named, armed, "the state names other timers than those that are armed");
        if respond_trying {
            self.input(Event::Respond(StatusCode::TRYING, Bytes::from_static(b"100")));
        }
    }
}

fn response_with(status: StatusCode) -> Response {
    let uri: UriBuf = "sip:bob@example.com".parse().expect("a SIP URI");
    let mut response = Response::to(&Request::new(Method::Invite, &uri), status);
    response.headers_mut().push(HeaderName::To, "<sip:bob@example.com>;tag=8").expect("no line break");
    response
}
