//! Offers that cross: RFC 3261 §14.1, and RFC 3311 §5.1 for UPDATE. A 491 means that both sides began at once; who made
//! the Call-ID waits 2.1 to 4 s, the other 0 to 2 s, and then tries once more.

use std::time::{Duration, Instant};

use sip_message::{Method, Request};

use super::api::{Event, Step};
use super::session::{How, Phase, Session};
use crate::dialog::Role;

/// A request that waits to be sent again.
#[derive(Clone, Debug)]
pub(crate) struct GlareRetry {
    pub(crate) at: Instant,
    pub(crate) request: Request,
}

impl Session {
    /// Keeps a request of ours that met one of the peer's, to send it again later.
    pub(crate) fn retry_later(&mut self, step: &mut Step<'_>, request: Request) {
        let wait = self.glare_wait(step);
        self.glare = Some(GlareRetry { at: step.now + wait, request });
        step.event(Event::GlareRetryWaits { dialog: self.key, wait });
    }

    /// Sends it again when its time has come; a re-INVITE of the peer's in progress goes first.
    pub(crate) fn retry_after_glare(&mut self, step: &mut Step<'_>) {
        let Some(retry) = self.glare.take_if(|retry| retry.at <= step.now) else {
            return;
        };
        if self.phase != Phase::Established {
            return;
        }
        if self.ringing.is_some() || !self.unacknowledged.is_empty() || self.ack_owed.is_some() {
            let at = step.now + self.glare_wait(step);
            self.glare = Some(GlareRetry { at, request: retry.request });
            return;
        }
        let result = match retry.request.method() {
            Method::Update => self.send_update(step, retry.request.clone(), How::AfterGlare),
            _ => self.send_reinvite(step, retry.request.clone(), How::AfterGlare),
        };
        if result.is_err() {
            // What the user offered does not fit any more after the peer's own change: he has to decide anew.
            let response = sip_message::Response::to(&retry.request, sip_message::StatusCode::REQUEST_PENDING);
            step.event(Event::Response { dialog: self.key, response, ack_owed: false });
        }
    }

    fn glare_wait(&self, step: &mut Step<'_>) -> Duration {
        match self.dialog.role {
            Role::Uac => step.random.wait_between(Duration::from_millis(2100), Duration::from_secs(4)),
            Role::Uas => step.random.wait_between(Duration::ZERO, Duration::from_secs(2)),
        }
    }
}
