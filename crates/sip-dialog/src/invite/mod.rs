//! The INVITE usage of dialogs: RFC 3261 §13 to §15 with RFC 3262 (PRACK), RFC 3311 (UPDATE), RFC 4028 (session timer),
//! RFC 6086 (INFO), and the races of RFC 5407. One [`InviteUsage`] is one call attempt: the caller's with all forks of the
//! INVITE, or the callee's with one dialog.
//!
//! ```text
//!    user:    Send, Respond, Invite, Cancel, Acknowledge …           Event
//!                │                                                     ▲
//!   ┌────────────▼─────────────────────────────────────────────────────┴──────┐
//!   │ InviteUsage    uac: the initial INVITE     session, session, session …  │
//!   └────────────▲─────────────────────────────────────────────────────┬──────┘
//!                │ RequestReceived, AckReceived, ResponseReceived,     ▼
//!                │ RequestFailed, TimeReached            SendRequest, SendAck, SendResponse,
//!             transactions                               CancelRequest
//! ```
//!
//! [`Input`] and [`Output`] are all there is to it; [`InviteUsage::handle`] takes the one, [`InviteUsage::poll_output`]
//! gives the other, [`InviteUsage::next_timeout`] says when [`Input::TimeReached`] is due.
//!
//! A caller, with what is below the usage played by hand:
//!
//! ```
//! use std::time::Instant;
//! use sip_dialog::invite::{Event, Input, InviteUsage, Output, Policy};
//! use sip_message::{HeaderName, Method, Request, Response, StatusCode, UriBuf};
//!
//! let mut invite = Request::new(Method::Invite, &UriBuf::parse("sip:bob@example.com")?);
//! let headers = invite.headers_mut();
//! headers.push(HeaderName::From, "<sip:alice@example.com>;tag=1928301774")?;
//! headers.push(HeaderName::To, "<sip:bob@example.com>")?;
//! headers.push(HeaderName::CallId, "a84b4c76e66710")?;
//! headers.push(HeaderName::Cseq, "1 INVITE")?;
//!
//! let now = Instant::now();
//! let mut call = InviteUsage::call(now, invite, false, Policy::default(), 4711)?;
//! let Some(Output::SendRequest { transaction, request }) = call.poll_output() else { panic!("the INVITE") };
//!
//! let mut response = Response::to(&request, StatusCode::OK);
//! response.headers_mut().set(HeaderName::To, "<sip:bob@example.com>;tag=314159")?;
//! response.headers_mut().push(HeaderName::Contact, "<sip:bob@192.0.2.4>")?;
//! call.handle(now, Input::ResponseReceived { transaction, response })?;
//!
//! let Some(Output::SendAck(ack)) = call.poll_output() else { panic!("the ACK") };
//! assert_eq!(ack.uri_text(), "sip:bob@192.0.2.4");
//! let Some(Output::Event(Event::Answered { dialog, .. })) = call.poll_output() else { panic!("the event") };
//!
//! let bye = call.create_request(dialog, Method::Bye)?;
//! call.handle(now, Input::Send { dialog, request: bye })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What is left to others: finding the usage that a message belongs to and sending messages (the endpoint), credentials
//! ([`crate::digest`]), the decision which fork to keep (the user).

mod api;
mod bye;
mod cancel;
mod glare;
mod info;
mod negotiation;
mod prack;
mod reinvite;
mod retransmit_2xx;
mod session;
mod session_timer;
mod snapshot;
mod uac;
mod uas;
mod update;

use std::collections::VecDeque;
use std::time::Instant;

use sdp::OfferAnswer;
use sip_message::{Method, Request, Response, StatusCode};

pub use api::{
    Acknowledge, Body, ClientKey, DialogKey, Event, Failure, Input, Misuse, Output, Policy, ServerKey, Termination,
};
pub use snapshot::{SessionSnapshot, SessionTimerSnapshot};

use crate::dialog::{Dialog, DialogError, DialogId};
use crate::fields;
use crate::random::Random;
pub use crate::session_timer::SessionTimerPolicy;
use api::Step;
use session::Session;
pub(crate) use session::is_challenge;
use uac::ClientInvite;

/// A call attempt and the sessions that come of it.
#[derive(Clone, Debug)]
pub struct InviteUsage {
    policy: Policy,
    random: Random,
    next_key: u64,
    invite: Option<ClientInvite>,
    sessions: Vec<Session>,
    outputs: VecDeque<Output>,
}

impl InviteUsage {
    /// Begins a call. The request is an INVITE with From and its tag, To, Call-ID and CSeq; session timer, 100rel and the
    /// Contact of the policy are added. `secure_transport`: whether it will be sent over TLS. `seed`: for waiting times.
    pub fn call(
        now: Instant,
        request: Request,
        secure_transport: bool,
        policy: Policy,
        seed: u64,
    ) -> Result<InviteUsage, Misuse> {
        if *request.method() != Method::Invite {
            return Err(Misuse::WrongMethod(request.method().clone()));
        }
        let headers = request.headers();
        fields::call_id(headers).ok_or(Misuse::BadRequest(DialogError::NoCallId))?;
        fields::from_tag(headers).ok_or(Misuse::BadRequest(DialogError::BadFrom))?;
        fields::cseq_of(headers, &Method::Invite).ok_or(Misuse::BadRequest(DialogError::BadCseq))?;
        let mut usage = InviteUsage::empty(policy, seed);
        usage.invite = Some(ClientInvite::start(&mut usage.parts(now).0, request, secure_transport)?);
        Ok(usage)
    }

    /// Takes a call: an INVITE without To tag that has arrived. The error is the response that refuses it.
    /// `local_tag`: ours, with at least 64 random bits. `secure_transport`: whether the request came over TLS.
    pub fn answer(
        transaction: ServerKey,
        request: &Request,
        local_tag: &str,
        secure_transport: bool,
        policy: Policy,
        seed: u64,
    ) -> Result<InviteUsage, Box<Response>> {
        let mut usage = InviteUsage::empty(policy, seed);
        let random = usage.random.below(u32::MAX);
        let session = uas::session_of_invite(&usage.policy, transaction, request, local_tag, secure_transport, random)?;
        usage.sessions.push(session);
        Ok(usage)
    }

    /// Goes on with a session that was written down.
    pub fn resume(now: Instant, snapshot: SessionSnapshot, policy: Policy, seed: u64) -> InviteUsage {
        let mut usage = InviteUsage::empty(policy, seed);
        usage.sessions.push(snapshot.restore(now, &usage.policy));
        usage
    }

    /// Takes the next step. An error is the user's misuse, and nothing has changed.
    pub fn handle(&mut self, now: Instant, input: Input) -> Result<(), Misuse> {
        let result = self.step(now, input);
        self.sessions.retain(|session| !session.is_finished());
        result
    }

    fn step(&mut self, now: Instant, input: Input) -> Result<(), Misuse> {
        match input {
            Input::RequestReceived { transaction, request } => self.request_received(now, transaction, request),
            Input::AckReceived(ack) => self.ack_received(now, ack),
            Input::ResponseReceived { transaction, response } => self.response_received(now, transaction, response),
            Input::RequestFailed { transaction, failure } => self.request_failed(now, transaction, failure),
            Input::TimeReached => self.time_reached(now),
            Input::Send { dialog, request } => {
                return self.in_dialog(now, dialog, |session, step| session.send(step, request));
            }
            Input::Respond { transaction, response, reliably } => {
                return self.respond(now, transaction, response, reliably);
            }
            Input::Invite(request) => return self.invite_again(now, request),
            Input::Cancel => return self.cancel(now),
            Input::CancelReinvite(dialog) => {
                return self.in_dialog(now, dialog, |session, step| session.cancel_reinvite(step));
            }
            Input::Acknowledge { dialog, body } => {
                return self.in_dialog(now, dialog, |session, step| session.acknowledge(step, body));
            }
            Input::AcknowledgeProvisional { dialog, body } => {
                return self.in_dialog(now, dialog, |session, step| session.acknowledge_provisional(step, body));
            }
        }
        Ok(())
    }

    /// The next order, until there is none.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::TimeReached`] is due.
    pub fn next_timeout(&self) -> Option<Instant> {
        let sessions = self.sessions.iter().filter_map(Session::next_timeout);
        sessions.chain(self.invite.as_ref().and_then(ClientInvite::next_timeout)).min()
    }

    /// Whether nothing is left: no dialog, no INVITE without final response, nothing to repeat. A caller who wants to send
    /// a rejected INVITE again does it before he lets the usage go.
    pub fn is_over(&self) -> bool {
        self.sessions.is_empty() && self.outputs.is_empty() && self.invite.as_ref().is_none_or(ClientInvite::is_over)
    }

    /// The dialogs, those that only repeat an ACK included.
    pub fn dialogs(&self) -> impl Iterator<Item = (DialogKey, &Dialog)> {
        self.sessions.iter().map(|session| (session.key, &session.dialog))
    }

    /// One dialog.
    pub fn dialog(&self, key: DialogKey) -> Option<&Dialog> {
        self.session(key).map(|session| &session.dialog)
    }

    /// One dialog, lent to another usage of it (a subscription that a REFER created), which numbers its own requests.
    pub fn dialog_mut(&mut self, key: DialogKey) -> Option<&mut Dialog> {
        self.sessions.iter_mut().find(|session| session.key == key).map(|session| &mut session.dialog)
    }

    /// The dialog with this id.
    pub fn find(&self, id: &DialogId) -> Option<DialogKey> {
        self.sessions.iter().find(|session| session.dialog.id.matches(id)).map(|session| session.key)
    }

    /// The offer/answer exchange of a dialog; `None` where the policy has it off.
    pub fn offer_answer(&self, key: DialogKey) -> Option<&OfferAnswer> {
        self.session(key)?.negotiation.as_ref().map(negotiation::Negotiation::machine)
    }

    /// A request of a dialog for the user to complete and to [`Input::Send`].
    pub fn create_request(&mut self, key: DialogKey, method: Method) -> Result<Request, Misuse> {
        if matches!(method, Method::Ack | Method::Cancel | Method::Prack) {
            return Err(Misuse::WrongMethod(method));
        }
        let session = self.sessions.iter_mut().find(|session| session.key == key && session.is_alive());
        let session = session.ok_or(Misuse::NoSuchDialog)?;
        session.dialog.create_request(method).ok_or(Misuse::CseqExhausted)
    }

    /// The initial INVITE as it was sent last, to be changed for [`Input::Invite`]; `None` at the callee.
    pub fn initial_invite(&self) -> Option<&Request> {
        self.invite.as_ref().map(ClientInvite::request)
    }

    /// What of an established session has to be written down so that another node can go on with it; `None` while it is
    /// not established.
    pub fn snapshot(&self, key: DialogKey) -> Option<SessionSnapshot> {
        SessionSnapshot::of(self.session(key)?)
    }

    fn empty(policy: Policy, seed: u64) -> InviteUsage {
        InviteUsage {
            policy,
            random: Random::new(seed),
            next_key: 0,
            invite: None,
            sessions: Vec::new(),
            outputs: VecDeque::new(),
        }
    }

    fn session(&self, key: DialogKey) -> Option<&Session> {
        self.sessions.iter().find(|session| session.key == key)
    }

    /// What a step works with, the sessions, and the initial INVITE.
    fn parts(&mut self, now: Instant) -> (Step<'_>, &mut Vec<Session>, &mut Option<ClientInvite>) {
        let InviteUsage { policy, random, next_key, invite, sessions, outputs } = self;
        (Step { now, policy, random, keys: next_key, outputs }, sessions, invite)
    }

    fn in_dialog(
        &mut self,
        now: Instant,
        key: DialogKey,
        act: impl FnOnce(&mut Session, &mut Step<'_>) -> Result<(), Misuse>,
    ) -> Result<(), Misuse> {
        let (mut step, sessions, _) = self.parts(now);
        let session = sessions.iter_mut().find(|session| session.key == key).ok_or(Misuse::NoSuchDialog)?;
        act(session, &mut step)
    }

    fn request_received(&mut self, now: Instant, transaction: ServerKey, request: Request) {
        let (mut step, sessions, _) = self.parts(now);
        if *request.method() == Method::Cancel {
            if sessions.iter_mut().any(|session| session.cancel_received(&mut step, transaction, &request)) {
                return;
            }
            let late = sessions.iter().any(|session| session.answered_before(&request));
            let status = if late { StatusCode::OK } else { StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST };
            return step.respond(transaction, Response::to(&request, status));
        }
        let id = DialogId::of_received_request(request.headers());
        let session = sessions.iter_mut().find(|session| id.as_ref().is_some_and(|id| id.matches(&session.dialog.id)));
        match session {
            Some(session) => session.request_received(&mut step, transaction, request),
            None => {
                let response = Response::to(&request, StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST);
                step.respond(transaction, response);
            }
        }
    }

    fn ack_received(&mut self, now: Instant, ack: Request) {
        let (mut step, sessions, _) = self.parts(now);
        let id = DialogId::of_received_request(ack.headers());
        let session = sessions.iter_mut().find(|session| id.as_ref().is_some_and(|id| id.matches(&session.dialog.id)));
        if let Some(session) = session {
            session.ack_received(&mut step, ack);
        }
    }

    fn response_received(&mut self, now: Instant, transaction: ClientKey, response: Response) {
        let (mut step, sessions, invite) = self.parts(now);
        if let Some(invite) = invite.as_mut().filter(|invite| invite.owns(transaction)) {
            return invite.response_received(&mut step, sessions, response);
        }
        if let Some(session) = sessions.iter_mut().find(|session| session.owns(transaction)) {
            session.response_received(&mut step, transaction, response);
        }
    }

    fn request_failed(&mut self, now: Instant, transaction: ClientKey, failure: Failure) {
        let (mut step, sessions, invite) = self.parts(now);
        if let Some(invite) = invite.as_mut().filter(|invite| invite.owns(transaction)) {
            return invite.request_failed(&mut step, sessions, failure);
        }
        if let Some(session) = sessions.iter_mut().find(|session| session.owns(transaction)) {
            session.request_failed(&mut step, transaction, failure);
        }
    }

    fn time_reached(&mut self, now: Instant) {
        let (mut step, sessions, invite) = self.parts(now);
        if let Some(invite) = invite {
            invite.time_reached(&mut step, sessions);
        }
        for session in sessions {
            session.time_reached(&mut step);
        }
    }

    fn respond(
        &mut self,
        now: Instant,
        transaction: ServerKey,
        response: Response,
        reliably: bool,
    ) -> Result<(), Misuse> {
        let (mut step, sessions, _) = self.parts(now);
        let session = sessions.iter_mut().find(|session| session.awaits_response(transaction));
        session.ok_or(Misuse::NoSuchTransaction)?.respond(&mut step, transaction, response, reliably)
    }

    fn invite_again(&mut self, now: Instant, request: Request) -> Result<(), Misuse> {
        if *request.method() != Method::Invite {
            return Err(Misuse::WrongMethod(request.method().clone()));
        }
        let (mut step, _, invite) = self.parts(now);
        invite.as_mut().ok_or(Misuse::InviteInProgress)?.send_again(&mut step, request)
    }

    fn cancel(&mut self, now: Instant) -> Result<(), Misuse> {
        let (mut step, _, invite) = self.parts(now);
        invite.as_mut().ok_or(Misuse::NothingToCancel)?.cancel(&mut step)
    }
}
