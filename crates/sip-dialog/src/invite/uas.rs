//! The callee: the peer's INVITE and our responses to it. RFC 3261 §13.3.
//!
//! ```text
//!                        1xx: early dialog              2xx: established, repeated until its ACK
//!   INVITE received ──► Ringing ──────────────────────────────────────────────►
//!                          │  300-699, CANCEL (487): over
//!                          ▼
//! ```
//!
//! A re-INVITE is responded to in the same way, and its failure leaves the session as it was. What follows is
//! [`super::session`]; the caller is [`super::uac`].

use sdp::carriage::MessageKind;
use sip_message::{HeaderName, Request, Response, StatusCode};

use super::api::{DialogKey, Misuse, Policy, ServerKey, Step, Termination};
use super::info::add_recv_info;
use super::negotiation::Negotiation;
use super::session::{Phase, Ringing, Session, add_contact};
use crate::dialog::Dialog;
use crate::fields;
use crate::reliable::ReliableSender;
use crate::session_timer::SessionTimer;

/// The session of an initial INVITE, or the response that refuses it.
pub(crate) fn session_of_invite(
    policy: &Policy,
    transaction: ServerKey,
    request: &Request,
    local_tag: &str,
    secure_transport: bool,
    random: u32,
) -> Result<Session, Box<Response>> {
    let mut timer = SessionTimer::default();
    if let Some(refusal) = timer.refuse(request, &policy.session_timer) {
        return Err(Box::new(tagged(refusal, local_tag)));
    }
    let refuse = |status| Box::new(tagged(Response::to(request, status), local_tag));
    // The dialog that the first response will create; its tag is known before.
    let dialog =
        Dialog::as_uas_with_tag(request, local_tag, secure_transport).map_err(|error| refuse(error.status()))?;
    let mut negotiation = policy.offer_answer.then(Negotiation::default);
    if let Some(negotiation) = &mut negotiation {
        negotiation.invite_began();
        negotiation.received(MessageKind::Invite, request.headers(), request.body()).map_err(refuse)?;
    }
    let cseq = dialog.remote_cseq.unwrap_or_default();
    let mut session = Session::new(DialogKey(0), dialog, Phase::Early, negotiation);
    session.timer = timer;
    session.peer.learn(request.headers());
    session.ringing = Some(Ringing {
        transaction,
        request: request.clone(),
        initial: true,
        reliable: ReliableSender::new(cseq, random),
        held: None,
    });
    Ok(session)
}

fn tagged(mut response: Response, local_tag: &str) -> Response {
    let to = response.headers().first(HeaderName::To).unwrap_or_default();
    let to = format!("{to};tag={local_tag}");
    // A tag that is no token is the caller's fault and shows at once: the dialog can't be made of it.
    let _ = response.headers_mut().set(HeaderName::To, to);
    response
}

impl Session {
    /// Our response to the peer's INVITE or re-INVITE.
    pub(crate) fn respond_to_invite(
        &mut self,
        step: &mut Step<'_>,
        response: Response,
        reliably: bool,
    ) -> Result<(), Misuse> {
        let status = response.status();
        if status.is_provisional() {
            self.respond_provisional(step, response, reliably)
        } else if status.is_success() {
            self.respond_success(step, response)
        } else {
            self.respond_failure(step, response)
        }
    }

    fn respond_provisional(
        &mut self,
        step: &mut Step<'_>,
        mut response: Response,
        reliably: bool,
    ) -> Result<(), Misuse> {
        let ringing =
            self.ringing.as_mut().filter(|ringing| ringing.held.is_none()).ok_or(Misuse::NoSuchTransaction)?;
        if response.status() == StatusCode::TRYING {
            step.respond(ringing.transaction, response);
            return Ok(());
        }
        let headers = ringing.request.headers();
        // "The UAS MUST send any non-100 provisional response reliably if the initial request contained a Require header
        // field with the option tag 100rel" (RFC 3262 §3).
        let reliably = reliably || fields::requires(headers, "100rel");
        if reliably && !fields::supports(headers, "100rel") {
            return Err(Misuse::PeerLacks100rel);
        }
        let kind = if reliably { MessageKind::ReliableProvisional } else { MessageKind::UnreliableProvisional };
        if let Some(negotiation) = &mut self.negotiation
            && let Some(stamped) = negotiation.sending(kind, response.headers(), response.body())?
        {
            set_description(&mut response, stamped);
        }
        if ringing.initial {
            copy_record_route(&mut response, &ringing.request);
        }
        add_contact(response.headers_mut(), step);
        add_recv_info(response.headers_mut(), step.policy);
        if reliably {
            if let Some(response) = ringing.reliable.send(step.now, &step.policy.timers, response) {
                step.respond(ringing.transaction, response);
            }
        } else {
            step.respond(ringing.transaction, response);
        }
        Ok(())
    }

    fn respond_success(&mut self, step: &mut Step<'_>, mut response: Response) -> Result<(), Misuse> {
        let ringing =
            self.ringing.as_mut().filter(|ringing| ringing.held.is_none()).ok_or(Misuse::NoSuchTransaction)?;
        if ringing.reliable.holds_success() {
            ringing.held = Some(response);
            return Ok(());
        }
        if let Some(negotiation) = &mut self.negotiation
            && let Some(stamped) =
                negotiation.sending(MessageKind::InviteSuccess, response.headers(), response.body())?
        {
            set_description(&mut response, stamped);
        }
        let Some(ringing) = self.ringing.take() else { return Err(Misuse::NoSuchTransaction) };
        self.expect_late_prack(ringing.reliable);
        self.invite_ended(true);
        if ringing.initial {
            copy_record_route(&mut response, &ringing.request);
            self.dialog.state = crate::dialog::DialogState::Confirmed;
            self.phase = Phase::Established;
        } else {
            self.dialog.refresh_target(ringing.request.headers());
        }
        add_contact(response.headers_mut(), step);
        add_recv_info(response.headers_mut(), step.policy);
        self.timer.grant(step.now, &step.policy.session_timer, ringing.request.headers(), response.headers_mut());
        self.send_success(step, ringing.transaction, ringing.initial, response);
        Ok(())
    }

    fn respond_failure(&mut self, step: &mut Step<'_>, response: Response) -> Result<(), Misuse> {
        let ringing = self.ringing.take().ok_or(Misuse::NoSuchTransaction)?;
        self.expect_late_prack(ringing.reliable);
        self.invite_ended(false);
        step.respond(ringing.transaction, response);
        if ringing.initial {
            self.end(step, Termination::NotConfirmed);
        }
        Ok(())
    }
}

/// "The UAS MUST copy all Record-Route header field values from the request into the response" (RFC 3261 §12.1.1).
fn copy_record_route(response: &mut Response, request: &Request) {
    if !response.headers().contains(HeaderName::RecordRoute) {
        response.headers_mut().copy_from(request.headers(), HeaderName::RecordRoute);
    }
}

/// Puts the description with its right version in the place of the user's.
pub(crate) fn set_description(response: &mut Response, octets: bytes::Bytes) {
    response.set_body("application/sdp", octets).expect("the content type has no line break");
}
