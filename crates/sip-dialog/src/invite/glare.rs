//! What a session does after glare: it keeps its request and sends it again. How long it waits: [`crate::glare`].

use std::time::{Duration, Instant};

use sip_message::{Method, Request};

use super::api::{Event, Step};
use super::session::{How, Phase, Session};
use crate::glare;

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
        if self.ringing.is_some() || !self.successes.is_empty() || self.ack_owed.is_some() {
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
        glare::wait(self.dialog.role, step.random.below(u32::MAX))
    }
}
