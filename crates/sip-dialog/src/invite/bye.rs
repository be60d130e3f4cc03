//! The end of a session: RFC 3261 §15, RFC 5407 §3.
//!
//! ```text
//!   BYE of the user (the callee's waits for the ACK of its 2xx) ─┐
//!   BYE for a reason of ours ────────────────────────────────────┴─► Leaving ── final response, or none ─┐
//!   BYE of the peer, the INVITE failed ──────────────────────────────────────────────────────────────────┴─► Over
//! ```

use std::mem;

use sip_message::{Method, Request, Response, StatusCode};

use super::api::{Event, Misuse, ServerKey, Step, Termination};
use super::session::{How, Phase, Sent, Session, is_challenge};

impl Session {
    // ----- the peer's BYE -----

    pub(crate) fn bye_received(&mut self, step: &mut Step<'_>, transaction: ServerKey, request: Request) {
        step.respond(transaction, Response::to(&request, StatusCode::OK));
        self.end(step, Termination::ByeReceived(Box::new(request)));
    }

    // ----- ours -----

    pub(crate) fn send_bye(&mut self, step: &mut Step<'_>, request: Request) -> Result<(), Misuse> {
        match self.phase {
            Phase::Over => return Err(Misuse::NoSuchDialog),
            Phase::Early if self.ringing.is_some() => return Err(Misuse::ByeFromEarlyCallee),
            Phase::Leaving if self.sent.iter().any(|sent| *sent.request.method() == Method::Bye) => {
                return Err(Misuse::NoSuchDialog);
            }
            _ => {}
        }
        // "The callee's UA MUST NOT send a BYE on a confirmed dialog until it has received an ACK for its 2xx response or
        // until the server transaction times out" (RFC 3261 §15).
        if self.successes.unacknowledged().any(|(_, success)| success.initial) {
            self.bye_after_ack = Some(request);
            return Ok(());
        }
        self.leave(step, request)
    }

    /// Sends BYE now.
    fn leave(&mut self, step: &mut Step<'_>, request: Request) -> Result<(), Misuse> {
        self.send_other(step, request, How::ForUser)?;
        self.phase = Phase::Leaving;
        self.stop(step);
        self.leaving_until = Some(step.now + step.policy.timers.timeout() * 2);
        Ok(())
    }

    /// Sends the BYE that waited for an ACK.
    pub(crate) fn send_waiting_bye(&mut self, step: &mut Step<'_>) {
        if let Some(bye) = self.bye_after_ack.take() {
            // It can fail only for want of a CSeq number, and then the peer's own timers have to end the dialog.
            let _ = self.leave(step, bye);
        }
    }

    /// Says BYE for the usage's own reason, and tells the user at once.
    pub(crate) fn say_bye(&mut self, step: &mut Step<'_>, reason: Termination) {
        if !self.is_alive() {
            return;
        }
        let bye = self.bye_after_ack.take().or_else(|| self.make_request(step, Method::Bye));
        match bye.map(|bye| self.leave(step, bye)) {
            Some(Ok(())) => self.tell_end(step, reason),
            // There is no CSeq left to say it with.
            _ => self.end(step, reason),
        }
    }

    pub(crate) fn bye_response(&mut self, step: &mut Step<'_>, sent: Sent, response: Response) {
        if is_challenge(response.status()) && self.phase == Phase::Leaving {
            step.event(Event::Challenged { dialog: self.key, request: sent.request, response });
        } else {
            self.end(step, Termination::ByeSent);
        }
    }

    // ----- the end -----

    /// Ends the dialog and tells the user, once.
    pub(crate) fn end(&mut self, step: &mut Step<'_>, reason: Termination) {
        if self.phase == Phase::Over {
            return;
        }
        self.phase = Phase::Over;
        self.stop(step);
        // What comes back to these says nothing to anybody any more.
        self.sent.clear();
        self.leaving_until = None;
        self.dialog.terminate();
        self.tell_end(step, reason);
    }

    fn tell_end(&mut self, step: &mut Step<'_>, reason: Termination) {
        if !mem::replace(&mut self.told_end, true) {
            step.event(Event::Terminated { dialog: self.key, reason });
        }
    }

    /// Stops everything that ends with the session: what the peer asked for is answered, what is repeated ceases.
    fn stop(&mut self, step: &mut Step<'_>) {
        if let Some(ringing) = self.ringing.take() {
            // RFC 3261 §15.1.2: "The UAS MUST still respond to any pending requests received for that dialog".
            let mut response = Response::to(&ringing.request, StatusCode::REQUEST_TERMINATED);
            self.add_local_tag(&mut response);
            step.respond(ringing.transaction, response);
        }
        for waiting in mem::take(&mut self.waiting) {
            let mut response = Response::to(&waiting.request, StatusCode::REQUEST_TERMINATED);
            self.add_local_tag(&mut response);
            step.respond(waiting.transaction, response);
        }
        self.successes.stop();
        self.glare = None;
        self.bye_after_ack = None;
        self.timer.stop();
        // A 2xx that the user was asked to acknowledge, and left instead, is acknowledged for him.
        if let Some(owed) = self.ack_owed.take() {
            self.acknowledge_now(step, owed, None);
        }
    }
}
