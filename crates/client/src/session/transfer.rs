//! We ask the peer to call somebody else: RFC 5589, with REFER (RFC 3515) and, in the attended form, Replaces (RFC 3891).
//!
//! ```text
//!   transfer ──► REFER ──┬── 2xx: DidStart ──► NOTIFY 1xx: GotProgress … ──┬── NOTIFY 2xx: DidEnd, and we hang up
//!                        └── 3xx to 6xx: DidFail                           └── NOTIFY 3xx to 6xx, silence: DidFail
//! ```
//!
//! The other side of it is `referred`.

use std::sync::Arc;
use std::time::Duration;

use sip_dialog::invite::ServerKey;
use sip_dialog::subscription::{EventId, refer};
use sip_message::header::{Replaces, SubscriptionState, SubscriptionStatus, TypedHeader as _};
use sip_message::{HeaderName, Method, Request, Response, StatusCode, UriBuf};

use super::call::cseq_of;
use super::core::Session;
use super::referred::Referral;
use super::work::{Alarm, Work};
use crate::error::ClientError;
use crate::notification::Data;

/// How long the peer may take from its agreement to the outcome; its call rings for three minutes at most.
const OUTCOME: Duration = Duration::from_secs(200);

/// A transfer in which the session is left or called away.
pub(crate) enum Transfer {
    /// We have asked the peer.
    Asked {
        /// The number of the REFER.
        cseq: u32,
        /// Whether the peer has agreed to try.
        started: bool,
    },
    /// The peer has asked us.
    Referred(Box<Referral>),
}

impl Session {
    /// Asks the peer to call `target`. What follows a `?` in it is for the INVITE that the peer sends.
    pub(super) fn refer(&mut self, work: &mut Work<'_>, target: &UriBuf) -> Result<(), ClientError> {
        if !self.is_up() || self.transfer.is_some() {
            return Err(self.illegal("transfer"));
        }
        let Some((_, mut request)) = self.create_request(work, Method::Refer) else {
            return Err(self.illegal("transfer"));
        };
        let by = self.local_identity.as_ref().map(|local| format!("<{}>", local.uri()));
        let headers = request.headers_mut();
        let named = headers.set(HeaderName::ReferTo, format_args!("<{target}>"));
        named.map_err(|error| ClientError::Stack(error.to_string().into()))?;
        if let Some(by) = by {
            let _ = headers.set(HeaderName::ReferredBy, by);
        }
        let target = target.clone().without_headers();
        self.post(work, Data::SessionTransferNewOutgoing { target });
        let cseq = cseq_of(request.headers()).unwrap_or_default();
        self.transfer = Some(Transfer::Asked { cseq, started: false });
        match self.send_request(work, request) {
            Some(sent) => self.refer_was_sent_again(Some(cseq), Some(sent)),
            None => self.transfer_failed(work, None, "the request could not be sent"),
        }
        Ok(())
    }

    /// What the peer of another session calls to take our place in this one (RFC 5589 §7.3).
    pub(super) fn replaceable(&self) -> Option<UriBuf> {
        let dialog = self.call.as_ref()?.usage.dialog(self.dialog?).filter(|_| self.is_up())?;
        let id = &dialog.id;
        let replaces = Replaces::new(&id.call_id, &id.remote_tag, &id.local_tag).ok()?;
        dialog.remote_target.clone().without_headers().with_header("Replaces", &replaces.to_string()).ok()
    }

    /// The REFER was challenged and has another number now.
    pub(super) fn refer_was_sent_again(&mut self, before: Option<u32>, now: Option<u32>) {
        if let (Some(Transfer::Asked { cseq, .. }), Some(now)) = (&mut self.transfer, now)
            && Some(*cseq) == before
        {
            *cseq = now;
        }
    }

    /// The final response to our REFER.
    pub(super) fn refer_was_answered(&mut self, work: &mut Work<'_>, response: &Response) {
        let Some(Transfer::Asked { cseq, started: started @ false }) = &mut self.transfer else { return };
        if cseq_of(response.headers()) != Some(*cseq) {
            return;
        }
        if !response.status().is_success() {
            return self.transfer_failed(work, Some(response.status()), response.reason());
        }
        *started = true;
        self.post(work, Data::SessionTransferDidStart);
        self.set_alarm(work, Alarm::Transfer, OUTCOME);
    }

    /// A NOTIFY has come: it says how the call is doing that we have asked for.
    pub(super) fn got_notify(&mut self, work: &mut Work<'_>, transaction: ServerKey, request: &Request) {
        if !self.is_of_refer(request) {
            let status = StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST;
            self.respond(work, transaction, Response::to(request, status));
            return;
        }
        self.respond(work, transaction, Response::to(request, StatusCode::OK));
        // It may overtake the 202 (RFC 6665 §4.1.2.4).
        if let Some(Transfer::Asked { started: started @ false, .. }) = &mut self.transfer {
            *started = true;
            self.post(work, Data::SessionTransferDidStart);
            self.set_alarm(work, Alarm::Transfer, OUTCOME);
        }
        let state = request.headers().first(HeaderName::SubscriptionState);
        let over = state
            .and_then(|state| SubscriptionState::parse(state).ok())
            .is_some_and(|state| state.status() == SubscriptionStatus::Terminated);
        match refer::status_of(request) {
            Some(status) if status.is_provisional() => {
                let reason = phrase_of(request, status);
                self.post(work, Data::SessionTransferGotProgress { code: status, reason });
                if over {
                    self.transfer_failed(work, None, "the peer does not tell the outcome");
                }
            }
            Some(status) if status.is_success() => self.transfer_succeeded(work),
            Some(status) => self.transfer_failed(work, Some(status), &phrase_of(request, status)),
            None if over => self.transfer_failed(work, None, "the peer does not tell the outcome"),
            None => {}
        }
    }

    fn is_of_refer(&self, request: &Request) -> bool {
        let Some(Transfer::Asked { cseq, .. }) = &self.transfer else { return false };
        EventId::of(request.headers())
            .is_some_and(|event| &*event.package == "refer" && event.id.is_none_or(|id| id.parse() == Ok(*cseq)))
    }

    fn transfer_succeeded(&mut self, work: &mut Work<'_>) {
        self.transfer = None;
        self.clear_alarm(work, Alarm::Transfer);
        self.post(work, Data::SessionTransferDidEnd);
        // Those whom we have brought together need us no more (RFC 5589 §6.1).
        self.end(work, Some("Call transferred".into()));
    }

    pub(super) fn transfer_failed(&mut self, work: &mut Work<'_>, code: Option<StatusCode>, reason: &str) {
        if self.transfer.take().is_some() {
            self.clear_alarm(work, Alarm::Transfer);
            self.post(work, Data::SessionTransferDidFail { code, reason: reason.into() });
        }
    }

    /// The peer says nothing of the call any more, or our user nothing to the peer's wish.
    pub(super) fn transfer_took_too_long(&mut self, work: &mut Work<'_>) {
        match self.transfer {
            Some(Transfer::Asked { .. }) => {
                let status = StatusCode::REQUEST_TIMEOUT;
                self.transfer_failed(work, Some(status), status.reason_phrase());
            }
            Some(Transfer::Referred(_)) => self.referral_was_not_answered(work),
            None => {}
        }
    }

    /// The session ends before the transfer has.
    pub(super) fn drop_transfer(&mut self, work: &mut Work<'_>) {
        let told = match &self.transfer {
            Some(Transfer::Asked { .. }) => true,
            Some(Transfer::Referred(referral)) => referral.is_under_way(),
            None => false,
        };
        if told {
            return self.transfer_failed(work, None, "Session ended");
        }
        self.transfer = None;
    }
}

/// The phrase of the status line in a NOTIFY.
fn phrase_of(notify: &Request, status: StatusCode) -> Arc<str> {
    let body = String::from_utf8_lossy(notify.body());
    let line = body.lines().next().unwrap_or_default();
    let phrase = line.splitn(3, ' ').nth(2).map(str::trim).filter(|phrase| !phrase.is_empty());
    phrase.unwrap_or(status.reason_phrase()).into()
}
