//! The caller: the initial INVITE, its responses, its forks. RFC 3261 §13.2.
//!
//! ```text
//!                     1xx with a new To tag: one more early dialog
//!   INVITE sent ──► Calling ─────────────────────────────────────────────┐
//!                     │  │                                               │
//!          300-699    │  │ 2xx: this fork is established, others may follow for 64·T1
//!   all early dialogs │  │      (RFC 3261 §13.2.2.4), then the other early dialogs are over
//!   are over          ▼  ▼
//!                   Completed
//! ```
//!
//! What each fork does after that is [`super::session`]; the callee is [`super::uas`].

use std::time::Instant;

use sdp::carriage::MessageKind;
use sip_message::{HeaderName, Headers, Request, Response, StatusCode};

use super::api::{Acknowledge, ClientKey, DialogKey, Event, Failure, Misuse, Policy, Step, Termination};
use super::info::add_recv_info;
use super::negotiation::{Negotiation, Received};
use super::prack::Acknowledged;
use super::reinvite::set_description;
use super::session::{Calling, OwedAck, Phase, Session, add_contact, cancel};
use crate::dialog::{Dialog, DialogId};
use crate::fields;
use crate::session_timer::SessionTimer;

/// How many forks are followed; a 1xx of a further one creates no dialog. The peer could make up any number of them.
const MAX_FORKS: usize = 64;

/// The initial INVITE.
#[derive(Clone, Debug)]
pub(crate) struct ClientInvite {
    transaction: ClientKey,
    request: Request,
    secure_transport: bool,
    /// The exchange with our offer, of which each fork gets a copy.
    negotiation: Option<Negotiation>,
    timer: SessionTimer,
    state: State,
    provisional: bool,
    cancelled: bool,
    next_dialog: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No final response.
    Calling,
    /// A fork answered; the others may until then.
    Answered(Instant),
    /// It failed, or nothing more is to be expected.
    Completed,
}

impl ClientInvite {
    /// Sends the initial INVITE.
    pub(crate) fn start(step: &mut Step<'_>, request: Request, secure_transport: bool) -> Result<ClientInvite, Misuse> {
        let mut invite = ClientInvite {
            transaction: ClientKey(0),
            request,
            secure_transport,
            negotiation: None,
            timer: SessionTimer::default(),
            state: State::Completed,
            provisional: false,
            cancelled: false,
            next_dialog: 0,
        };
        invite.send(step)?;
        Ok(invite)
    }

    /// Sends it again, as the user changed it, with the next number.
    pub(crate) fn send_again(&mut self, step: &mut Step<'_>, mut request: Request) -> Result<(), Misuse> {
        if self.state != State::Completed {
            return Err(Misuse::InviteInProgress);
        }
        let last = fields::cseq(self.request.headers()).map_or(0, |cseq| cseq.sequence);
        let sequence = last.checked_add(1).filter(|next| *next < 1 << 31).ok_or(Misuse::CseqExhausted)?;
        fields::set(request.headers_mut(), HeaderName::Cseq, format_args!("{sequence} INVITE"));
        let before = std::mem::replace(&mut self.request, request);
        let sent = self.send(step);
        if sent.is_err() {
            self.request = before;
        }
        sent
    }

    fn send(&mut self, step: &mut Step<'_>) -> Result<(), Misuse> {
        let mut negotiation = step.policy.offer_answer.then(Negotiation::default);
        if let Some(negotiation) = &mut negotiation {
            negotiation.invite_began();
            if let Some(stamped) =
                negotiation.sending(MessageKind::Invite, self.request.headers(), self.request.body())?
            {
                set_description(&mut self.request, stamped);
            }
        }
        self.negotiation = negotiation;
        let headers = self.request.headers_mut();
        add_contact(headers, step);
        add_recv_info(headers, step.policy);
        offers_100rel(headers, step.policy);
        self.timer.ask(headers, &step.policy.session_timer);
        self.transaction = step.request(self.request.clone());
        self.state = State::Calling;
        self.provisional = false;
        self.cancelled = false;
        Ok(())
    }

    pub(crate) fn owns(&self, transaction: ClientKey) -> bool {
        self.transaction == transaction
    }

    /// The request as it was sent last.
    pub(crate) fn request(&self) -> &Request {
        &self.request
    }

    pub(crate) fn is_over(&self) -> bool {
        self.state == State::Completed
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Answered(until) => Some(until),
            _ => None,
        }
    }

    /// Cancels it (RFC 3261 §9.1): at once, or when the first provisional response has come.
    pub(crate) fn cancel(&mut self, step: &mut Step<'_>) -> Result<(), Misuse> {
        if self.state != State::Calling || self.cancelled {
            return Err(Misuse::NothingToCancel);
        }
        self.cancelled = true;
        if self.provisional {
            cancel(step, self.transaction);
        }
        Ok(())
    }

    /// A response to the initial INVITE.
    pub(crate) fn response_received(&mut self, step: &mut Step<'_>, sessions: &mut Vec<Session>, response: Response) {
        if self.state == State::Completed {
            return;
        }
        let status = response.status();
        if status.is_provisional() {
            self.provisional_received(step, sessions, response);
        } else if status.is_success() {
            self.success_received(step, sessions, response);
        } else if self.state == State::Calling {
            self.failed(step, sessions, response);
        }
    }

    fn provisional_received(&mut self, step: &mut Step<'_>, sessions: &mut Vec<Session>, response: Response) {
        if self.cancelled && !self.provisional {
            cancel(step, self.transaction);
        }
        self.provisional = true;
        if response.status() == StatusCode::TRYING || self.state != State::Calling {
            return;
        }
        let tag = fields::to_tag(response.headers());
        let session = tag.and_then(|_| self.session_of(sessions, &response, MAX_FORKS));
        match session {
            Some(session) => session.provisional_received(step, response),
            // A response without a tag, or of one fork too many, creates no dialog.
            None => step.event(Event::Provisional { dialog: None, response, prack_owed: false }),
        }
    }

    fn success_received(&mut self, step: &mut Step<'_>, sessions: &mut Vec<Session>, response: Response) {
        // A 2xx holds media at the other end: twice as many as early dialogs are followed, to take leave of them.
        let cancelled = self.cancelled;
        let Some(session) = self.session_of(sessions, &response, 2 * MAX_FORKS) else {
            // A Record-Route that can't be read: its ACK would reach nobody.
            return;
        };
        if session.is_repeated_success(step, &response) {
            return;
        }
        if let Some(calling) = &mut session.calling {
            calling.cancelled = cancelled;
        }
        session.success_received(step, response);
        if self.state == State::Calling {
            self.state = State::Answered(step.now + step.policy.timers.timeout());
        }
    }

    fn failed(&mut self, step: &mut Step<'_>, sessions: &mut [Session], response: Response) {
        self.end_early_dialogs(step, sessions);
        self.state = State::Completed;
        let status = response.status();
        if status == StatusCode::SESSION_INTERVAL_TOO_SMALL && !self.cancelled && self.timer.enlarge(response.headers())
        {
            let mut request = self.request.clone();
            SessionTimer::remove(request.headers_mut());
            if self.send_again(step, request).is_ok() {
                return;
            }
        }
        step.event(Event::Rejected { status, response: Some(response) });
    }

    /// No final response came.
    pub(crate) fn request_failed(&mut self, step: &mut Step<'_>, sessions: &mut [Session], failure: Failure) {
        if self.state == State::Calling {
            self.end_early_dialogs(step, sessions);
            self.state = State::Completed;
            step.event(Event::Rejected { status: failure.status(), response: None });
        }
    }

    pub(crate) fn time_reached(&mut self, step: &mut Step<'_>, sessions: &mut [Session]) {
        if let State::Answered(until) = self.state
            && until <= step.now
        {
            // "all the early dialogs established by the initial request will be terminated" 64·T1 after the first 2xx.
            self.end_early_dialogs(step, sessions);
            self.state = State::Completed;
        }
    }

    fn end_early_dialogs(&self, step: &mut Step<'_>, sessions: &mut [Session]) {
        for session in sessions {
            if session.calling.as_ref().is_some_and(|calling| calling.initial) {
                session.calling = None;
                if session.phase == Phase::Early {
                    session.end(step, Termination::NotConfirmed);
                }
            }
        }
    }

    /// The session of the fork that a response comes from; a new one if there is room.
    fn session_of<'s>(
        &mut self,
        sessions: &'s mut Vec<Session>,
        response: &Response,
        most: usize,
    ) -> Option<&'s mut Session> {
        let id = DialogId::of_received_response(response.headers())?;
        if let Some(at) = sessions.iter().position(|session| session.dialog.id.matches(&id)) {
            return sessions.get_mut(at);
        }
        if sessions.len() >= most {
            return None;
        }
        let mut dialog = Dialog::as_uac(&self.request, response, self.secure_transport).ok()?;
        // A 2xx confirms it a step later, as it does with a dialog that was early.
        dialog.state = crate::dialog::DialogState::Early;
        let key = DialogKey(self.next_dialog);
        self.next_dialog += 1;
        let mut session = Session::new(key, dialog, Phase::Early, self.negotiation.clone());
        session.timer = self.timer.clone();
        session.calling = Some(Calling {
            transaction: self.transaction,
            request: self.request.clone(),
            initial: true,
            acknowledged: Acknowledged::default(),
            provisional: true,
            cancelled: self.cancelled,
            after_glare: false,
            own: false,
        });
        sessions.push(session);
        sessions.last_mut()
    }
}

impl Session {
    /// Whether a 2xx is a copy of one that is known; its ACK is sent again then.
    pub(crate) fn is_repeated_success(&mut self, step: &mut Step<'_>, response: &Response) -> bool {
        let cseq = fields::cseq(response.headers()).map(|cseq| cseq.sequence);
        cseq.is_some_and(|cseq| self.repeat_ack(step, cseq))
    }

    /// A 2xx to an INVITE of ours, for the first time: RFC 3261 §13.2.2.4 and §14.1.
    pub(crate) fn success_received(&mut self, step: &mut Step<'_>, response: Response) {
        let Some(calling) = self.calling.take() else { return };
        let was_alive = self.is_alive();
        if calling.initial && was_alive {
            // A Record-Route that can't be read leaves the route set of the early dialog.
            let _ = self.dialog.confirm(&response);
            self.dialog.state = crate::dialog::DialogState::Confirmed;
            self.phase = Phase::Established;
        } else {
            self.dialog.refresh_target(response.headers());
        }
        self.peer.learn(response.headers());
        let had_body = !calling.request.body().is_empty();
        let offered = match self.negotiation {
            Some(_) => self.description_in_response(MessageKind::InviteSuccess, &response),
            None => !had_body && !response.body().is_empty(),
        };
        self.invite_ended(true);
        let owed = OwedAck { transaction: calling.transaction, request: calling.request, initial: calling.initial };
        // After BYE or CANCEL there is no session to begin, but the handshake is completed (RFC 5407 §3.1.2, §3.1.3,
        // §3.2.3).
        if !was_alive {
            return self.acknowledge_now(step, owed, None);
        }
        if calling.initial && calling.cancelled {
            self.acknowledge_now(step, owed, None);
            return self.say_bye(step, Termination::ByeSent);
        }
        self.timer.learn(step.now, &step.policy.session_timer, owed.request.headers(), response.headers());
        let initial = calling.initial;
        let ack_owed = !calling.own && (offered || step.policy.acknowledge == Acknowledge::ByUser);
        if ack_owed {
            self.ack_owed = Some(owed);
        } else {
            self.acknowledge_now(step, owed, None);
        }
        let dialog = self.key;
        if initial {
            step.event(Event::Answered { dialog, response, ack_owed });
        } else if !calling.own {
            step.event(Event::Response { dialog, response, ack_owed });
        }
    }

    /// Takes the description in a response to an INVITE of ours. Whether it is an offer, which needs an answer.
    pub(crate) fn description_in_response(&mut self, kind: MessageKind, response: &Response) -> bool {
        let Some(negotiation) = &mut self.negotiation else {
            let had_body = self.calling.as_ref().is_some_and(|calling| !calling.request.body().is_empty());
            return !had_body && kind == MessageKind::ReliableProvisional && !response.body().is_empty();
        };
        match negotiation.received(kind, response.headers(), response.body()) {
            Ok(received) => received == Received::Offer,
            // An answer that does not fit: the user sees it in the event, and there is no agreement.
            Err(_) => {
                negotiation.refused(MessageKind::Invite);
                false
            }
        }
    }

    /// Cancels our re-INVITE.
    pub(crate) fn cancel_reinvite(&mut self, step: &mut Step<'_>) -> Result<(), Misuse> {
        match &mut self.calling {
            Some(calling) if !calling.initial && !calling.cancelled => {
                calling.cancelled = true;
                if calling.provisional {
                    cancel(step, calling.transaction);
                }
                Ok(())
            }
            // One that waits after glare was not sent yet.
            None if self.glare.take().is_some() => Ok(()),
            _ => Err(Misuse::NothingToCancel),
        }
    }
}

/// Says that we take reliable provisional responses.
pub(crate) fn offers_100rel(headers: &mut Headers, policy: &Policy) {
    if policy.reliable_provisionals && !fields::requires(headers, "100rel") {
        fields::add_option(headers, HeaderName::Supported, "100rel");
    }
}
