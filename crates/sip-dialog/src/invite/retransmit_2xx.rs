//! The three-way handshake of INVITE in a session: RFC 3261 §13.3.1.4 (its 2xx is repeated until the ACK comes) and
//! §13.2.2.4 (the ACK). When what is repeated: [`crate::reliable`].

use sip_message::{HeaderName, Request, Response};

use super::api::{Body, ClientKey, Event, Misuse, Output, ServerKey, Step, Termination};
use super::session::{OwedAck, Session};
use crate::fields;
use crate::reliable::Repetition;

/// A 2xx of ours whose ACK has not come.
#[derive(Clone, Debug)]
pub(crate) struct Success {
    transaction: ServerKey,
    pub(crate) initial: bool,
    response: Response,
}

/// An ACK of ours, kept for as long as its 2xx may come again.
#[derive(Clone, Debug)]
pub(crate) struct SentAck {
    pub(crate) transaction: ClientKey,
    pub(crate) initial: bool,
    ack: Request,
}

impl Session {
    // ----- the callee -----

    /// Sends a 2xx and goes on sending it.
    pub(crate) fn send_success(
        &mut self,
        step: &mut Step<'_>,
        transaction: ServerKey,
        initial: bool,
        response: Response,
    ) {
        let cseq = fields::cseq(response.headers()).map_or(0, |cseq| cseq.sequence);
        let success = Success { transaction, initial, response: response.clone() };
        self.successes.sent(step.now, &step.policy.timers, cseq, success);
        step.respond(transaction, response);
    }

    pub(crate) fn repeat_successes(&mut self, step: &mut Step<'_>) {
        while let Some(due) = self.successes.time_passed(step.now) {
            match due {
                Repetition::Repeat(success) => step.respond(success.transaction, success.response),
                Repetition::GiveUp(_) => {
                    self.successes.stop();
                    self.say_bye(step, Termination::AckNotReceived);
                }
            }
        }
    }

    /// The ACK of a 2xx of ours. Its repetitions, and one that comes after BYE, say nothing new (RFC 5407 §3.2.4).
    pub(crate) fn ack_received(&mut self, step: &mut Step<'_>, ack: Request) {
        let Some(cseq) = fields::cseq(ack.headers()).map(|cseq| cseq.sequence) else {
            return;
        };
        if self.successes.acknowledged(cseq).is_none() {
            return;
        }
        self.peer.learn(ack.headers());
        if let Some(negotiation) = &mut self.negotiation {
            // There is no response to an ACK: an answer that does not fit leaves things as they were.
            if negotiation.received(sdp::carriage::MessageKind::Ack, ack.headers(), ack.body()).is_err() {
                negotiation.refused(sdp::carriage::MessageKind::InviteSuccess);
            }
        }
        step.event(Event::Acknowledged { dialog: self.key, ack });
        self.send_waiting_bye(step);
    }

    // ----- the caller -----

    /// Repeats the ACK of a 2xx that came again. Whether it was one that is known.
    pub(crate) fn repeat_ack(&mut self, step: &mut Step<'_>, cseq: u32) -> bool {
        if let Some(sent) = self.acks.repeated_2xx(cseq) {
            step.outputs.push_back(Output::SendAck(sent.ack.clone()));
            return true;
        }
        let owed = self.ack_owed.as_ref().and_then(|owed| fields::cseq(owed.request.headers()));
        owed.is_some_and(|owed| owed.sequence == cseq)
    }

    /// The user's acknowledgement.
    pub(crate) fn acknowledge(&mut self, step: &mut Step<'_>, body: Option<Body>) -> Result<(), Misuse> {
        if self.ack_owed.is_none() {
            return Err(Misuse::NothingToAcknowledge);
        }
        let body = match body {
            Some(body) => Some(self.with_version(sdp::carriage::MessageKind::Ack, body)?),
            None => None,
        };
        if let Some(owed) = self.ack_owed.take() {
            self.acknowledge_now(step, owed, body);
        }
        Ok(())
    }

    /// Sends the ACK and keeps it for 64·T1.
    pub(crate) fn acknowledge_now(&mut self, step: &mut Step<'_>, owed: OwedAck, body: Option<Body>) {
        let OwedAck { transaction, request: invite, initial } = owed;
        let Some(cseq) = fields::cseq(invite.headers()).map(|cseq| cseq.sequence) else {
            return;
        };
        let mut ack = self.dialog.create_ack(cseq);
        // "The ACK MUST contain the same credentials as the INVITE" (RFC 3261 §13.2.2.4).
        for name in [HeaderName::Authorization, HeaderName::ProxyAuthorization] {
            ack.headers_mut().copy_from(invite.headers(), name);
        }
        if let Some(body) = body {
            // A content type with a line break is the user's fault, and goes out without a body.
            let _ = ack.set_body(&body.content_type, body.octets);
        }
        let sent = SentAck { transaction, initial, ack: ack.clone() };
        self.acks.sent(step.now, &step.policy.timers, cseq, sent);
        step.outputs.push_back(Output::SendAck(ack));
    }

    /// Checks a body that takes part in offer/answer, and gives it the right version.
    pub(crate) fn with_version(&mut self, message: sdp::carriage::MessageKind, body: Body) -> Result<Body, Misuse> {
        let Some(negotiation) = &mut self.negotiation else {
            return Ok(body);
        };
        let mut headers = sip_message::Headers::new();
        if headers.set(HeaderName::ContentType, &body.content_type).is_err() {
            return Err(Misuse::BadDescription);
        }
        let stamped = negotiation.sending(message, &headers, &body.octets)?;
        Ok(Body { octets: stamped.unwrap_or(body.octets), ..body })
    }
}
