//! One dialog of an INVITE usage, from its first response to its end; both twins, caller and callee, have it.
//!
//! ```text
//!              1xx                2xx                      BYE sent
//!   (INVITE) ──────►  Early  ──────────►  Established  ──────────────►  Leaving
//!                       │                      │                           │
//!                       │ 300-699, BYE         │ BYE received, 481, 408    │ final response, 64·T1
//!                       └──────────────────────┴───────────►  Over  ◄──────┘
//! ```
//!
//! `Leaving` and `Over` are the Mortal and Morgue states of RFC 5407 §2: the session is gone at once, the ACKs that are
//! still owed are sent. The other files of this folder add what one RFC each asks for.

use std::time::Instant;

use sip_message::{HeaderName, Headers, Method, Request, Response, StatusCode};

use super::api::{ClientKey, DialogKey, Event, Failure, Misuse, Output, ServerKey, Step, Termination};
use super::glare::GlareRetry;
use super::info::Peer;
use super::negotiation::Negotiation;
use super::prack::Acknowledged;
use super::retransmit_2xx::{SentAck, Success};
use crate::dialog::{Dialog, RequestFault};
use crate::fields;
use crate::reliable::{AckKeeper, ReliableSender, SuccessSender};
use crate::session_timer::SessionTimer;

/// How far the session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Early,
    Established,
    Leaving,
    Over,
}

/// An INVITE of ours without a final response: the initial one, in each of its forks, or a re-INVITE.
#[derive(Clone, Debug)]
pub(crate) struct Calling {
    pub(crate) transaction: ClientKey,
    pub(crate) request: Request,
    pub(crate) initial: bool,
    /// Which reliable provisional responses were acknowledged.
    pub(crate) acknowledged: Acknowledged,
    /// Whether a provisional response came, before which no CANCEL may be sent.
    pub(crate) provisional: bool,
    /// Whether the user wants it cancelled.
    pub(crate) cancelled: bool,
    /// Whether it was sent again after glare.
    pub(crate) after_glare: bool,
    /// Whether the usage sent it to refresh the session, unasked.
    pub(crate) own: bool,
}

/// An INVITE of the peer's without a final response.
#[derive(Clone, Debug)]
pub(crate) struct Ringing {
    pub(crate) transaction: ServerKey,
    pub(crate) request: Request,
    pub(crate) initial: bool,
    pub(crate) reliable: ReliableSender,
    /// A 2xx that has to wait for a PRACK (RFC 3262 §3).
    pub(crate) held: Option<Response>,
}

/// Why a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// The user asked for it.
    ForUser,
    /// The user asked for it, and it met one of the peer's.
    AfterGlare,
    /// The session has to be refreshed.
    Refresh,
}

/// Another request of ours without a final response.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) transaction: ClientKey,
    pub(crate) request: Request,
    pub(crate) after_glare: bool,
    /// Whether the usage sent it to refresh the session, unasked.
    pub(crate) own: bool,
}

/// Another request of the peer's that the user has to respond to.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) transaction: ServerKey,
    pub(crate) request: Request,
}

/// An INVITE of ours whose 2xx has no ACK yet.
#[derive(Clone, Debug)]
pub(crate) struct OwedAck {
    pub(crate) transaction: ClientKey,
    pub(crate) request: Request,
    pub(crate) initial: bool,
}

/// One dialog with all that belongs to it.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) key: DialogKey,
    pub(crate) dialog: Dialog,
    pub(crate) phase: Phase,
    pub(crate) negotiation: Option<Negotiation>,
    pub(crate) peer: Peer,
    pub(crate) timer: SessionTimer,
    pub(crate) calling: Option<Calling>,
    pub(crate) ringing: Option<Ringing>,
    /// The INVITE whose 2xx the user has to acknowledge.
    pub(crate) ack_owed: Option<OwedAck>,
    pub(crate) acks: AckKeeper<SentAck>,
    /// Those whose ACK has not come.
    pub(crate) successes: SuccessSender<Success>,
    pub(crate) sent: Vec<Sent>,
    pub(crate) waiting: Vec<Waiting>,
    pub(crate) glare: Option<GlareRetry>,
    /// A BYE that waits for the ACK of our 2xx (RFC 3261 §15).
    pub(crate) bye_after_ack: Option<Request>,
    /// The reliable response that the final one overtook.
    pub(crate) late_prack: Option<ReliableSender>,
    /// When a BYE without a usable response is given up.
    pub(crate) leaving_until: Option<Instant>,
    /// Whether the user knows that it is over.
    pub(crate) told_end: bool,
    /// The number of the request that was sent last.
    sent_cseq: Option<u32>,
}

impl Session {
    pub(crate) fn new(key: DialogKey, dialog: Dialog, phase: Phase, negotiation: Option<Negotiation>) -> Session {
        Session {
            sent_cseq: dialog.local_cseq,
            told_end: false,
            key,
            dialog,
            phase,
            negotiation,
            peer: Peer::default(),
            timer: SessionTimer::default(),
            calling: None,
            ringing: None,
            ack_owed: None,
            acks: AckKeeper::default(),
            successes: SuccessSender::default(),
            sent: Vec::new(),
            waiting: Vec::new(),
            glare: None,
            bye_after_ack: None,
            late_prack: None,
            leaving_until: None,
        }
    }

    /// Whether the user can still do something with it.
    pub(crate) fn is_alive(&self) -> bool {
        matches!(self.phase, Phase::Early | Phase::Established)
    }

    /// Whether nothing is left to be done, not even to repeat an ACK.
    pub(crate) fn is_finished(&self) -> bool {
        self.phase == Phase::Over
            && self.calling.is_none()
            && self.ack_owed.is_none()
            && self.acks.is_empty()
            && self.sent.is_empty()
            && self.waiting.is_empty()
    }

    /// Whether an INVITE is in progress in either direction (RFC 3261 §14.1).
    pub(crate) fn invite_in_progress(&self) -> bool {
        self.calling.is_some()
            || self.ringing.is_some()
            || self.ack_owed.is_some()
            || !self.successes.is_empty()
            || self.glare.as_ref().is_some_and(|glare| *glare.request.method() == Method::Invite)
    }

    // ----- requests of the peer -----

    /// A request of this dialog, other than ACK and CANCEL.
    pub(crate) fn request_received(&mut self, step: &mut Step<'_>, transaction: ServerKey, request: Request) {
        if let Err(fault) = self.check(&request) {
            let mut response = Response::to(&request, fault.status());
            if matches!(fault, RequestFault::OutOfOrder { .. }) && *request.method() == Method::Invite {
                set_retry_after(&mut response, step);
            }
            return step.respond(transaction, response);
        }
        if self.phase == Phase::Leaving {
            // BYE crossing BYE is answered as if nothing had been said (RFC 5407 §3.2.1).
            let status = if *request.method() == Method::Bye {
                StatusCode::OK
            } else {
                StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST
            };
            return step.respond(transaction, Response::to(&request, status));
        }
        self.peer.learn(request.headers());
        match request.method() {
            Method::Invite => self.reinvite_received(step, transaction, request),
            Method::Update => self.update_received(step, transaction, request),
            Method::Prack => self.prack_received(step, transaction, request),
            Method::Bye => self.bye_received(step, transaction, request),
            Method::Info => self.info_received(step, transaction, request),
            _ => self.ask_user(step, transaction, request),
        }
    }

    fn check(&mut self, request: &Request) -> Result<(), RequestFault> {
        if self.phase == Phase::Over {
            return Err(RequestFault::NotOfThisDialog);
        }
        self.dialog.receive_request(request)
    }

    /// Gives a request to the user, who will respond.
    pub(crate) fn ask_user(&mut self, step: &mut Step<'_>, transaction: ServerKey, request: Request) {
        self.waiting.push(Waiting { transaction, request: request.clone() });
        step.event(Event::Request { dialog: self.key, transaction, request });
    }

    // ----- responses of ours -----

    /// Whether this server transaction waits for a response here.
    pub(crate) fn awaits_response(&self, transaction: ServerKey) -> bool {
        self.ringing.as_ref().is_some_and(|ringing| ringing.transaction == transaction)
            || self.waiting.iter().any(|waiting| waiting.transaction == transaction)
    }

    /// The user's response to a request.
    pub(crate) fn respond(
        &mut self,
        step: &mut Step<'_>,
        transaction: ServerKey,
        mut response: Response,
        reliably: bool,
    ) -> Result<(), Misuse> {
        self.add_local_tag(&mut response);
        if self.ringing.as_ref().is_some_and(|ringing| ringing.transaction == transaction) {
            return self.respond_to_invite(step, response, reliably);
        }
        let waiting = self.waiting.iter().position(|waiting| waiting.transaction == transaction);
        let at = waiting.ok_or(Misuse::NoSuchTransaction)?;
        let request = self.waiting[at].request.clone();
        match request.method() {
            Method::Update => self.before_update_response(step, &request, &mut response)?,
            Method::Prack => self.before_prack_response(&mut response)?,
            _ => {}
        }
        if response.status().is_final() {
            self.waiting.remove(at);
        }
        let bye = *request.method() == Method::Bye && response.status().is_final();
        step.respond(transaction, response);
        if bye {
            self.end(step, Termination::ByeReceived(Box::new(request)));
        }
        Ok(())
    }

    pub(crate) fn add_local_tag(&self, response: &mut Response) {
        if response.status() == StatusCode::TRYING || fields::to_tag(response.headers()).is_some() {
            return;
        }
        let to = response.headers().first(HeaderName::To).unwrap_or_default();
        let tagged = format!("{to};tag={}", self.dialog.id.local_tag);
        fields::set(response.headers_mut(), HeaderName::To, tagged);
    }

    // ----- requests of ours -----

    /// Sends a request that the user made.
    pub(crate) fn send(&mut self, step: &mut Step<'_>, request: Request) -> Result<(), Misuse> {
        if *request.method() == Method::Bye {
            return self.send_bye(step, request);
        }
        if !self.is_alive() {
            return Err(Misuse::NoSuchDialog);
        }
        match request.method() {
            Method::Invite => self.send_reinvite(step, request, How::ForUser),
            Method::Update => self.send_update(step, request, How::ForUser),
            // A PRACK that was challenged is sent again by the user; he makes none himself.
            Method::Prack if request.headers().contains(HeaderName::Rack) => {
                self.send_other(step, request, How::ForUser)
            }
            Method::Ack | Method::Prack | Method::Cancel => Err(Misuse::WrongMethod(request.method().clone())),
            Method::Info => {
                self.check_info(&request)?;
                self.send_other(step, request, How::ForUser)
            }
            _ => self.send_other(step, request, How::ForUser),
        }
    }

    /// Sends a request and waits for its responses.
    pub(crate) fn send_other(&mut self, step: &mut Step<'_>, mut request: Request, how: How) -> Result<(), Misuse> {
        self.number(&mut request)?;
        let transaction = step.request(request.clone());
        self.sent.push(Sent { transaction, request, after_glare: how == How::AfterGlare, own: how == How::Refresh });
        Ok(())
    }

    /// Gives a request a number above all others, unless it has one: requests may be sent in another order than they
    /// were made in, and may be sent again.
    pub(crate) fn number(&mut self, request: &mut Request) -> Result<(), Misuse> {
        let method = request.method().clone();
        let made = fields::cseq_of(request.headers(), &method);
        if made.is_none() || made <= self.sent_cseq || made != self.dialog.local_cseq {
            let fresh = self.dialog.create_request(method.clone()).ok_or(Misuse::CseqExhausted)?;
            let sequence = fields::cseq_of(fresh.headers(), &method).ok_or(Misuse::CseqExhausted)?;
            fields::set(request.headers_mut(), HeaderName::Cseq, format_args!("{sequence} {method}"));
            self.sent_cseq = Some(sequence);
        } else {
            self.sent_cseq = made;
        }
        Ok(())
    }

    /// A request with our Contact, where the usage makes one itself.
    pub(crate) fn make_request(&mut self, step: &Step<'_>, method: Method) -> Option<Request> {
        let mut request = self.dialog.create_request(method)?;
        if Dialog::is_target_refresh(request.method()) {
            add_contact(request.headers_mut(), step);
        }
        Some(request)
    }

    // ----- responses of the peer -----

    /// Whether this client transaction is one of a request here, other than the initial INVITE.
    pub(crate) fn owns(&self, transaction: ClientKey) -> bool {
        self.sent.iter().any(|sent| sent.transaction == transaction)
            || self.calling.as_ref().is_some_and(|calling| !calling.initial && calling.transaction == transaction)
            || self.acks.kept().any(|ack| ack.transaction == transaction && !ack.initial)
    }

    /// A response to a request of ours, other than the initial INVITE.
    pub(crate) fn response_received(&mut self, step: &mut Step<'_>, transaction: ClientKey, response: Response) {
        let is_invite = fields::cseq(response.headers()).is_some_and(|cseq| cseq.method == Method::Invite);
        if is_invite {
            return self.reinvite_response(step, response);
        }
        if !response.status().is_final() {
            return;
        }
        let Some(at) = self.sent.iter().position(|sent| sent.transaction == transaction) else {
            return;
        };
        let sent = self.sent.remove(at);
        match sent.request.method() {
            Method::Bye => self.bye_response(step, sent, response),
            Method::Update => self.update_response(step, sent, response),
            Method::Prack => self.prack_response(step, sent, response),
            _ => self.other_response(step, sent, response),
        }
    }

    fn other_response(&mut self, step: &mut Step<'_>, sent: Sent, response: Response) {
        let status = response.status();
        if is_challenge(status) {
            step.event(Event::Challenged { dialog: self.key, request: sent.request, response });
        } else {
            step.event(Event::Response { dialog: self.key, response, ack_owed: false });
            self.lose_peer(step, sent.request.method(), status);
        }
    }

    /// A request of ours, other than the initial INVITE, will get no response.
    pub(crate) fn request_failed(&mut self, step: &mut Step<'_>, transaction: ClientKey, failure: Failure) {
        let status = failure.status();
        if self.calling.as_ref().is_some_and(|calling| !calling.initial && calling.transaction == transaction) {
            self.calling = None;
            self.invite_ended(false);
            step.event(Event::NoResponse { dialog: self.key, method: Method::Invite, failure });
            return self.lose_peer(step, &Method::Invite, status);
        }
        let Some(at) = self.sent.iter().position(|sent| sent.transaction == transaction) else {
            return;
        };
        let sent = self.sent.remove(at);
        let method = sent.request.method();
        self.refuse_offer_of(method);
        if *method == Method::Bye {
            return self.end(step, Termination::ByeSent);
        }
        step.event(Event::NoResponse { dialog: self.key, method: method.clone(), failure });
        self.lose_peer(step, method, status);
    }

    /// "If the response for a request within a dialog is a 481 or a 408, the UAC SHOULD terminate the dialog"
    /// (RFC 3261 §12.2.1.2); RFC 5057 §5.1 spares it a 408 to what is not the session's own request.
    pub(crate) fn lose_peer(&mut self, step: &mut Step<'_>, method: &Method, status: StatusCode) {
        let own = matches!(method, Method::Invite | Method::Update | Method::Prack);
        let lost = match status {
            StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST => own || *method == Method::Info,
            StatusCode::REQUEST_TIMEOUT => own,
            _ => false,
        };
        if lost && self.phase == Phase::Established {
            self.say_bye(step, Termination::PeerLost(status));
        }
    }

    // ----- time -----

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let reliable = self.ringing.as_ref().and_then(|ringing| ringing.reliable.next_timeout());
        let glare = self.glare.as_ref().map(|glare| glare.at);
        // An UPDATE may have set the session timer before there is a session.
        let timer = self.timer.next_timeout().filter(|_| self.phase == Phase::Established);
        let (successes, acks) = (self.successes.next_timeout(), self.acks.next_timeout());
        [successes, acks, reliable, glare, self.leaving_until, timer].into_iter().flatten().min()
    }

    pub(crate) fn time_reached(&mut self, step: &mut Step<'_>) {
        let now = step.now;
        self.acks.time_passed(now);
        self.repeat_successes(step);
        self.repeat_provisional(step);
        self.retry_after_glare(step);
        self.session_timer_reached(step);
        if self.leaving_until.is_some_and(|until| until <= now) {
            self.end(step, Termination::ByeSent);
        }
    }

    // ----- small helpers for the other files -----

    pub(crate) fn refuse_offer_of(&mut self, method: &Method) {
        let within = match method {
            Method::Update => sdp::carriage::MessageKind::Update,
            Method::Prack => sdp::carriage::MessageKind::Prack,
            _ => return,
        };
        if let Some(negotiation) = &mut self.negotiation {
            negotiation.refused(within);
        }
    }

    pub(crate) fn invite_ended(&mut self, success: bool) {
        if let Some(negotiation) = &mut self.negotiation {
            negotiation.invite_ended(success);
        }
    }
}

/// Whether the server asks for credentials.
pub(crate) fn is_challenge(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED)
}

/// Adds our Contact where it is missing.
pub(crate) fn add_contact(headers: &mut Headers, step: &Step<'_>) {
    if let Some(contact) = &step.policy.contact
        && !headers.contains(HeaderName::Contact)
    {
        fields::set(headers, HeaderName::Contact, contact);
    }
}

/// "MUST include a Retry-After header field with a randomly chosen value of between 0 and 10 seconds" (RFC 3261 §14.2).
pub(crate) fn set_retry_after(response: &mut Response, step: &mut Step<'_>) {
    let seconds = step.random.below(11);
    fields::set(response.headers_mut(), HeaderName::RetryAfter, seconds);
}

/// An order to cancel.
pub(crate) fn cancel(step: &mut Step<'_>, transaction: ClientKey) {
    step.outputs.push_back(Output::CancelRequest { transaction });
}
