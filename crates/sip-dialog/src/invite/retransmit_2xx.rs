//! The three-way handshake of INVITE above the transactions: RFC 3261 §13.3.1.4 (the 2xx is repeated until its ACK comes)
//! and §13.2.2.4 (the ACK is repeated for each repetition of the 2xx).
//!
//! ```text
//!   2xx sent at 0, T1, 3·T1, 7·T1 … (the interval doubles up to T2)      ACK: silence      64·T1 without ACK: BYE
//! ```

use std::time::{Duration, Instant};

use sip_message::{HeaderName, Request, Response};

use super::api::{Body, ClientKey, Event, Misuse, Output, ServerKey, Step, Termination};
use super::session::{OwedAck, Session};
use crate::fields;

/// A 2xx of ours whose ACK has not come.
#[derive(Clone, Debug)]
pub(crate) struct Unacknowledged {
    transaction: ServerKey,
    cseq: u32,
    pub(crate) initial: bool,
    response: Response,
    at: Instant,
    interval: Duration,
    until: Instant,
}

impl Unacknowledged {
    pub(crate) fn next_timeout(&self) -> Instant {
        self.at.min(self.until)
    }
}

/// An ACK of ours, kept for as long as its 2xx may come again.
#[derive(Clone, Debug)]
pub(crate) struct SentAck {
    pub(crate) transaction: ClientKey,
    pub(crate) initial: bool,
    pub(crate) cseq: u32,
    pub(crate) ack: Request,
    pub(crate) until: Instant,
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
        let interval = step.policy.timers.t1();
        self.unacknowledged.push(Unacknowledged {
            transaction,
            cseq,
            initial,
            response: response.clone(),
            at: step.now + interval,
            interval,
            until: step.now + step.policy.timers.timeout(),
        });
        step.respond(transaction, response);
    }

    pub(crate) fn repeat_successes(&mut self, step: &mut Step<'_>) {
        let (now, t2) = (step.now, step.policy.timers.t2());
        if self.unacknowledged.iter().any(|success| success.until <= now) {
            // RFC 3261 §13.3.1.4: "If the server retransmits the 2xx response for 64*T1 seconds without receiving an ACK,
            // the dialog is confirmed, but the session SHOULD be terminated".
            self.unacknowledged.clear();
            return self.say_bye(step, Termination::AckNotReceived);
        }
        for success in self.unacknowledged.iter_mut().filter(|success| success.at <= now) {
            step.respond(success.transaction, success.response.clone());
            success.interval = (success.interval * 2).min(t2);
            success.at = now + success.interval;
        }
    }

    /// The ACK of a 2xx of ours. Its repetitions, and one that comes after BYE, say nothing new (RFC 5407 §3.2.4).
    pub(crate) fn ack_received(&mut self, step: &mut Step<'_>, ack: Request) {
        let Some(cseq) = fields::cseq(ack.headers()).map(|cseq| cseq.sequence) else {
            return;
        };
        let Some(at) = self.unacknowledged.iter().position(|success| success.cseq == cseq) else {
            return;
        };
        self.unacknowledged.remove(at);
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
        if let Some(sent) = self.acks.iter().find(|sent| sent.cseq == cseq) {
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
        let until = step.now + step.policy.timers.timeout();
        self.acks.push(SentAck { transaction, initial, cseq, ack: ack.clone(), until });
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
