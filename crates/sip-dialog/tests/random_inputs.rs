//! Whatever comes in whatever order: no panic, nothing left behind, and no dialog changed by who does not know its ids.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use std::time::Instant;

use common::Side::Bob;
use common::*;
use proptest::prelude::*;
use sip_dialog::DialogState;
use sip_dialog::invite::{
    Acknowledge, ClientKey, DialogKey, Event, Failure, Input, InviteUsage, Output, Policy, ServerKey,
    SessionTimerPolicy,
};
use sip_message::{HeaderName, Method, Request, Response};

/// A thing that happens, in terms of what was said before.
#[derive(Clone, Debug)]
enum Happening {
    /// A response to the n-th request of ours.
    Response {
        to: usize,
        code: u16,
        tag: u8,
        reliable: Option<u32>,
        body: u8,
        extras: u8,
    },
    Failed {
        to: usize,
        timed_out: bool,
    },
    /// A request of the peer in the n-th dialog.
    Request {
        dialog: usize,
        method: Method,
        step: i8,
        body: u8,
        extras: u8,
    },
    Ack {
        dialog: usize,
        cseq: u32,
        body: u8,
    },
    Cancel {
        branch_is_right: bool,
    },
    Send {
        dialog: u32,
        method: Method,
        body: u8,
    },
    Respond {
        to: usize,
        code: u16,
        reliably: bool,
        body: u8,
    },
    Acknowledge {
        dialog: u32,
        body: u8,
    },
    AcknowledgeProvisional {
        dialog: u32,
        body: u8,
    },
    UserCancels,
    UserCancelsReinvite {
        dialog: u32,
    },
    InviteAgain,
    Time {
        milliseconds: u64,
    },
}

fn methods() -> impl Strategy<Value = Method> {
    prop::sample::select(Method::KNOWN.to_vec())
}

fn codes() -> impl Strategy<Value = u16> {
    prop::sample::select(vec![
        100, 180, 183, 200, 200, 202, 302, 401, 407, 408, 422, 481, 486, 487, 488, 491, 500, 503, 603,
    ])
}

fn happenings() -> impl Strategy<Value = Happening> {
    let small = 0..4u32;
    prop_oneof![
        4 => (0..6usize, codes(), 0..3u8, prop::option::of(1..4u32), 0..4u8, any::<u8>())
            .prop_map(|(to, code, tag, reliable, body, extras)| Happening::Response { to, code, tag, reliable, body, extras }),
        1 => (0..6usize, any::<bool>()).prop_map(|(to, timed_out)| Happening::Failed { to, timed_out }),
        4 => (0..3usize, methods(), -2..3i8, 0..4u8, any::<u8>())
            .prop_map(|(dialog, method, step, body, extras)| Happening::Request { dialog, method, step, body, extras }),
        1 => (0..3usize, 0..5u32, 0..4u8).prop_map(|(dialog, cseq, body)| Happening::Ack { dialog, cseq, body }),
        1 => any::<bool>().prop_map(|branch_is_right| Happening::Cancel { branch_is_right }),
        3 => (small.clone(), methods(), 0..4u8).prop_map(|(dialog, method, body)| Happening::Send { dialog, method, body }),
        4 => (0..4usize, codes(), any::<bool>(), 0..4u8)
            .prop_map(|(to, code, reliably, body)| Happening::Respond { to, code, reliably, body }),
        1 => (small.clone(), 0..4u8).prop_map(|(dialog, body)| Happening::Acknowledge { dialog, body }),
        1 => (small.clone(), 0..4u8).prop_map(|(dialog, body)| Happening::AcknowledgeProvisional { dialog, body }),
        1 => Just(Happening::UserCancels),
        1 => small.prop_map(|dialog| Happening::UserCancelsReinvite { dialog }),
        1 => Just(Happening::InviteAgain),
        2 => (0..400_000u64).prop_map(|milliseconds| Happening::Time { milliseconds }),
    ]
}

fn description(body: u8) -> Option<&'static str> {
    match body {
        0 => None,
        1 => Some(OFFER),
        2 => Some(ANSWER),
        _ => Some("v=0\r\nrubbish"),
    }
}

fn add_extras(headers: &mut sip_message::Headers, extras: u8) {
    for (bit, name, value) in [
        (1, HeaderName::SessionExpires, "90;refresher=uac"),
        (2, HeaderName::MinSe, "4294967295"),
        (4, HeaderName::Supported, "timer, 100rel"),
        (8, HeaderName::Allow, "UPDATE"),
        (16, HeaderName::Contact, "<sip:new@192.0.2.50>"),
        (32, HeaderName::RecordRoute, "<sip:p;lr>, <sip:q>"),
        (64, HeaderName::Rack, "1 1 INVITE"),
        (128, HeaderName::InfoPackage, "foo"),
    ] {
        if extras & bit != 0 {
            headers.push(name, value).unwrap();
        }
    }
}

/// One side of a call, and all it has said.
struct Party {
    now: Instant,
    usage: InviteUsage,
    sent: Vec<(ClientKey, Request)>,
    asked: Vec<(ServerKey, Request)>,
    next: u64,
}

impl Party {
    fn caller(policy: Policy) -> Party {
        let now = Instant::now();
        let usage = InviteUsage::call(now, invite(Some(OFFER)), false, policy, 5).unwrap();
        let mut party = Party { now, usage, sent: Vec::new(), asked: Vec::new(), next: 0 };
        party.flush();
        party
    }

    fn callee(policy: Policy, offer: Option<&str>) -> Party {
        let mut request = invite(offer);
        request.headers_mut().push_front(HeaderName::Via, "SIP/2.0/UDP h;branch=z9hG4bKinvite").unwrap();
        request.headers_mut().push(HeaderName::Contact, "<sip:alice@192.0.2.1>").unwrap();
        request.headers_mut().push(HeaderName::Supported, "100rel, timer").unwrap();
        let usage = InviteUsage::answer(ServerKey(0), &request, "b1", false, policy, 6).unwrap();
        Party { now: Instant::now(), usage, sent: Vec::new(), asked: vec![(ServerKey(0), request)], next: 0 }
    }

    fn flush(&mut self) {
        let mut orders = 0;
        while let Some(output) = self.usage.poll_output() {
            orders += 1;
            assert!(orders < 1000, "orders without end");
            match output {
                Output::SendRequest { transaction, request } => self.sent.push((transaction, request)),
                Output::Event(Event::Request { transaction, request, .. }) => self.asked.push((transaction, request)),
                _ => {}
            }
        }
    }

    fn input(&mut self, input: Input) {
        // The user's misuse is an answer, too.
        let _ = self.usage.handle(self.now, input);
        self.flush();
    }

    /// Begins with a session that is established, so that the happenings get further.
    fn establish(&mut self) {
        if self.sent.is_empty() {
            self.happen(Happening::Respond { to: 0, code: 200, reliably: false, body: 2 });
            self.happen(Happening::Ack { dialog: 0, cseq: 1, body: 0 });
        } else {
            self.happen(Happening::Response { to: 0, code: 200, tag: 1, reliable: None, body: 2, extras: 24 });
        }
        assert!(self.usage.snapshot(DialogKey(0)).is_some());
    }

    fn key(&mut self) -> ServerKey {
        self.next += 1;
        ServerKey(self.next)
    }

    /// A request of the peer in one of the dialogs.
    fn peers_request(&self, dialog: usize, method: &Method, step: i8) -> Option<Request> {
        let (_, dialog) = self.usage.dialogs().nth(dialog)?;
        let mut peer = dialog.clone();
        std::mem::swap(&mut peer.local, &mut peer.remote);
        peer.id = peer.id.reversed();
        let last = i64::from(dialog.remote_cseq.unwrap_or(0));
        peer.local_cseq = Some(u32::try_from((last + i64::from(step)).max(0)).unwrap());
        let mut request = peer.create_request(method.clone())?;
        let branch = format!("SIP/2.0/UDP h;branch=z9hG4bK{}", self.next);
        request.headers_mut().push_front(HeaderName::Via, branch).unwrap();
        Some(request)
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Response { to, code, tag, reliable, body, extras } => {
                let Some((transaction, request)) = self.sent.get(to).cloned() else { return };
                let mut response = Response::to(&request, status(code));
                if !response.headers().first(HeaderName::To).unwrap().contains(";tag=") && tag > 0 {
                    let to = format!("<sip:bob@example.com>;tag=t{tag}");
                    response.headers_mut().set(HeaderName::To, to).unwrap();
                }
                if let Some(rseq) = reliable {
                    response.headers_mut().push(HeaderName::Require, "100rel").unwrap();
                    response.headers_mut().push(HeaderName::Rseq, rseq).unwrap();
                }
                add_extras(response.headers_mut(), extras);
                if let Some(text) = description(body) {
                    response.set_body("application/sdp", text).unwrap();
                }
                self.input(Input::ResponseReceived { transaction, response });
            }
            Happening::Failed { to, timed_out } => {
                let failure = if timed_out { Failure::TimedOut } else { Failure::NotSent };
                if let Some((transaction, _)) = self.sent.get(to).cloned() {
                    self.input(Input::RequestFailed { transaction, failure });
                }
            }
            Happening::Request { dialog, method, step, body, extras } => {
                let Some(mut request) = self.peers_request(dialog, &method, step) else { return };
                add_extras(request.headers_mut(), extras);
                if let Some(text) = description(body) {
                    request.set_body("application/sdp", text).unwrap();
                }
                let transaction = self.key();
                self.input(Input::RequestReceived { transaction, request });
            }
            Happening::Ack { dialog, cseq, body } => {
                let Some(mut ack) = self.peers_request(dialog, &Method::Ack, 0) else { return };
                ack.headers_mut().set(HeaderName::Cseq, format!("{cseq} ACK")).unwrap();
                if let Some(text) = description(body) {
                    ack.set_body("application/sdp", text).unwrap();
                }
                self.input(Input::AckReceived(ack));
            }
            Happening::Cancel { branch_is_right } => {
                let Some((_, request)) = self.asked.last().cloned() else { return };
                let mut cancel = cancel_of(&request);
                if !branch_is_right {
                    cancel.headers_mut().set(HeaderName::Via, "SIP/2.0/UDP h;branch=z9hG4bKwrong").unwrap();
                }
                let transaction = self.key();
                self.input(Input::RequestReceived { transaction, request: cancel });
            }
            Happening::Send { dialog, method, body } => {
                let dialog = DialogKey(dialog);
                let Ok(mut request) = self.usage.create_request(dialog, method) else { return };
                if let Some(text) = description(body) {
                    request.set_body("application/sdp", text).unwrap();
                }
                self.input(Input::Send { dialog, request });
            }
            Happening::Respond { to, code, reliably, body } => {
                let Some((transaction, request)) = self.asked.get(to).cloned() else { return };
                let mut response = Response::to(&request, status(code));
                if let Some(text) = description(body) {
                    response.set_body("application/sdp", text).unwrap();
                }
                self.input(Input::Respond { transaction, response, reliably });
            }
            Happening::Acknowledge { dialog, body } => {
                let body = description(body).and_then(sdp);
                self.input(Input::Acknowledge { dialog: DialogKey(dialog), body });
            }
            Happening::AcknowledgeProvisional { dialog, body } => {
                let body = description(body).and_then(sdp);
                self.input(Input::AcknowledgeProvisional { dialog: DialogKey(dialog), body });
            }
            Happening::UserCancels => self.input(Input::Cancel),
            Happening::UserCancelsReinvite { dialog } => self.input(Input::CancelReinvite(DialogKey(dialog))),
            Happening::InviteAgain => {
                if let Some(request) = self.usage.initial_invite().cloned() {
                    self.input(Input::Invite(request));
                }
            }
            Happening::Time { milliseconds } => self.pass(ms(milliseconds)),
        }
    }

    fn pass(&mut self, time: std::time::Duration) {
        let until = self.now + time;
        let mut steps = 0;
        while let Some(at) = self.usage.next_timeout().filter(|at| *at <= until) {
            steps += 1;
            assert!(steps < 100_000, "time stands still at {at:?}");
            self.now = self.now.max(at);
            self.input(Input::TimeReached);
        }
        self.now = until;
    }

    /// The peer hangs up, everything that was sent fails, and 64·T1 go by.
    fn assert_nothing_is_left(&mut self) {
        for _ in 0..3 {
            for dialog in (0..self.usage.dialogs().count()).rev() {
                if let Some(bye) = self.peers_request(dialog, &Method::Bye, 1) {
                    let transaction = self.key();
                    self.input(Input::RequestReceived { transaction, request: bye });
                }
            }
            for (transaction, _) in std::mem::take(&mut self.sent) {
                self.input(Input::RequestFailed { transaction, failure: Failure::TimedOut });
            }
            self.pass(seconds(70));
        }
        assert!(self.usage.is_over(), "{:?}", self.usage);
        assert_eq!(self.usage.next_timeout(), None);
    }
}

fn policies() -> impl Strategy<Value = Policy> {
    (any::<bool>(), any::<bool>(), prop::option::of(90..200u64), any::<bool>()).prop_map(
        |(offer_answer, by_user, interval, supported)| Policy {
            offer_answer,
            acknowledge: if by_user { Acknowledge::ByUser } else { Acknowledge::AtOnce },
            session_timer: SessionTimerPolicy { supported, interval: interval.map(seconds), min_se: seconds(90) },
            recv_info: Some(vec!["foo".into()]),
            ..policy("us")
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn a_caller_survives_anything_and_leaves_nothing_behind(
        policy in policies(),
        established in any::<bool>(),
        happenings in prop::collection::vec(happenings(), 0..40),
    ) {
        let mut party = Party::caller(policy);
        if established {
            party.establish();
        }
        for happening in happenings {
            party.happen(happening);
        }
        party.assert_nothing_is_left();
    }

    #[test]
    fn a_callee_survives_anything_and_leaves_nothing_behind(
        policy in policies(),
        offer in any::<bool>(),
        established in any::<bool>(),
        happenings in prop::collection::vec(happenings(), 0..40),
    ) {
        let mut party = Party::callee(policy, offer.then_some(OFFER));
        if established {
            party.establish();
        }
        for happening in happenings {
            party.happen(happening);
        }
        // A callee's user answers in the end.
        for (transaction, request) in party.asked.clone() {
            party.input(Input::Respond { transaction, response: Response::to(&request, status(603)), reliably: false });
        }
        party.assert_nothing_is_left();
    }

    /// Whoever does not know Call-ID, both tags and the next number changes nothing.
    #[test]
    fn a_request_with_one_field_changed_never_changes_the_dialog(
        method in methods(),
        which in 0..5usize,
        noise in "[a-zA-Z0-9]{1,12}",
        number in 0..2u32,
    ) {
        let mut world = World::established();
        let mut request = world.alice.usage.as_mut().unwrap().create_request(FIRST, Method::Bye).unwrap();
        let headers = request.headers_mut();
        match which {
            0 => headers.set(HeaderName::CallId, format!("call-1@example.com{noise}")).unwrap(),
            1 => headers.set(HeaderName::From, format!("Alice <sip:alice@example.com>;tag=a1{noise}")).unwrap(),
            2 => headers.set(HeaderName::To, format!("Bob <sip:bob@example.com>;tag=b1{noise}")).unwrap(),
            3 => headers.set(HeaderName::Cseq, format!("{number} BYE")).unwrap(),
            _ => headers.set(HeaderName::Cseq, format!("2 {}", if matches!(method, Method::Bye | Method::Cancel) { &Method::Info } else { &method })).unwrap(),
        }
        let before = world.usage(Bob).dialog(FIRST).unwrap().clone();
        let snapshot = world.usage(Bob).snapshot(FIRST);
        world.inject(Bob, request);
        prop_assert_eq!(before.state, DialogState::Confirmed);
        prop_assert_eq!(world.usage(Bob).dialog(FIRST).unwrap(), &before);
        prop_assert_eq!(world.usage(Bob).snapshot(FIRST), snapshot);
        prop_assert!(world.bob.events.is_empty());
        let refused = &world.log()[0];
        prop_assert!(["bob 481", "bob 500", "bob 400"].iter().any(|status| refused.starts_with(status)), "{}", refused);
    }
}
