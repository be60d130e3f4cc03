//! The peer asks us to call somebody else: RFC 5589, from the transferee's side.
//!
//! ```text
//!   REFER ──► TransferNewIncoming ──┬── accept: 202, DidStart, a session of its own ──► NOTIFY with its status:
//!                                   │                                                   GotProgress, DidEnd, DidFail
//!                                   └── reject, too late: 603
//! ```
//!
//! Of what a Refer-To carries behind its `?` only Replaces becomes a header of the INVITE.

use std::sync::Arc;
use std::time::Duration;

use sip_dialog::invite::{Input, ServerKey};
use sip_dialog::subscription::{
    EndReason, Notifier, NotifierEvent, NotifierInput, NotifierOutput, NotifierPolicy, refer,
};
use sip_message::header::{Replaces, TypedHeader as _};
use sip_message::{HeaderName, Request, Response, StatusCode, UriBuf};

use super::SessionId;
use super::core::Session;
use super::transfer::Transfer;
use super::work::{Alarm, Errand, Work};
use crate::error::ClientError;
use crate::notification::Data;

/// How long our user may think: the peer's transaction lives for 32 seconds (RFC 3261 §17.1.2.2).
const THOUGHT: Duration = Duration::from_secs(25);

/// What the peer asks for.
pub(crate) struct Referral {
    pub(super) target: UriBuf,
    pub(super) replaces: Option<Box<str>>,
    pub(super) referred_by: Option<Box<str>>,
    stage: Stage,
}

enum Stage {
    /// Our user has to decide.
    Offered { transaction: ServerKey, request: Request },
    /// We call. Without a subscription nobody is told.
    UnderWay(Option<Box<Notifier>>),
}

/// Of a session that was begun because a peer has asked for it.
pub(crate) struct TransferCall {
    /// The session in which it was asked for.
    pub(super) of: SessionId,
    pub(super) replaces: Option<Box<str>>,
    pub(super) referred_by: Option<Box<str>>,
}

impl Referral {
    pub(super) fn is_under_way(&self) -> bool {
        matches!(self.stage, Stage::UnderWay(_))
    }
}

impl Session {
    /// A REFER has come.
    pub(super) fn got_refer(&mut self, work: &mut Work<'_>, transaction: ServerKey, request: Request) {
        let referral = match self.read_refer(work, &request) {
            Ok(referral) => referral,
            Err(status) => {
                self.respond(work, transaction, Response::to(&request, status));
                return;
            }
        };
        let (target, replaces) = (referral.0.clone(), referral.1.is_some());
        let referred_by = request.headers().first(HeaderName::ReferredBy).map(Box::from);
        let stage = Stage::Offered { transaction, request };
        let referral = Referral { target: referral.0, replaces: referral.1, referred_by, stage };
        self.transfer = Some(Transfer::Referred(Box::new(referral)));
        self.set_alarm(work, Alarm::Transfer, THOUGHT);
        self.post(work, Data::SessionTransferNewIncoming { target, replaces });
    }

    fn read_refer(&self, work: &Work<'_>, request: &Request) -> Result<(UriBuf, Option<Box<str>>), StatusCode> {
        if !work.settings.sip.accept_transfers || !self.is_up() {
            return Err(StatusCode::DECLINE);
        }
        if self.transfer.is_some() {
            return Err(StatusCode::REQUEST_PENDING);
        }
        let asked = refer::ReferRequest::of(request)?.refer_to;
        let Some(uri) = asked.as_uri().sip() else { return Err(StatusCode::UNSUPPORTED_URI_SCHEME) };
        if uri.method_param().is_some_and(|method| !method.eq_ignore_ascii_case("INVITE")) {
            return Err(StatusCode::NOT_IMPLEMENTED);
        }
        let mut replaces = uri.headers().filter(|(name, _)| name.eq_ignore_ascii_case("Replaces"));
        let replaces = match replaces.next() {
            Some((_, value)) if Replaces::parse(&value).is_ok() => Some(value.into_owned().into()),
            Some(_) => return Err(StatusCode::BAD_REQUEST),
            None => None,
        };
        Ok((asked.clone().without_headers().without_param("method"), replaces))
    }

    /// Calls whom the peer wants us to call.
    pub(crate) fn accept_transfer(&mut self, work: &mut Work<'_>) -> Result<(), ClientError> {
        let illegal = self.illegal("accept_transfer");
        if !self.is_up() {
            return Err(illegal);
        }
        let (Some(Transfer::Referred(referral)), Some(call), Some(dialog)) =
            (&mut self.transfer, &mut self.call, self.dialog)
        else {
            return Err(illegal);
        };
        let Stage::Offered { transaction, request } = &referral.stage else { return Err(illegal) };
        let (transaction, request) = (*transaction, request.clone());
        let wanted = refer::ReferRequest::of(&request).is_ok_and(|refer| refer.subscribes);
        let Some(dialog) = call.usage.dialog_mut(dialog) else { return Err(illegal) };
        if wanted {
            let policy = NotifierPolicy { contact: self.contact.clone(), ..NotifierPolicy::default() };
            let notifier = Notifier::accept_refer(work.now, transaction, &request, dialog, false, policy);
            referral.stage = Stage::UnderWay(Some(Box::new(notifier)));
        } else {
            let response = refer::accept_without_subscription(&request, &dialog.id.local_tag);
            referral.stage = Stage::UnderWay(None);
            self.respond(work, transaction, response);
        }
        self.clear_alarm(work, Alarm::Transfer);
        self.carry_notifier(work);
        self.post(work, Data::SessionTransferDidStart);
        work.books.errands.push_back(Errand::CallForTransfer(self.id));
        Ok(())
    }

    /// Does not call whom the peer wants us to call.
    pub(crate) fn reject_transfer(&mut self, work: &mut Work<'_>, code: Option<StatusCode>) -> Result<(), ClientError> {
        let Some(Transfer::Referred(referral)) = self.transfer.as_ref().filter(|_| self.is_up()) else {
            return Err(self.illegal("reject_transfer"));
        };
        let Stage::Offered { transaction, request } = &referral.stage else {
            return Err(self.illegal("reject_transfer"));
        };
        let code = code.filter(|code| code.code() >= 300).unwrap_or(StatusCode::DECLINE);
        let (transaction, response) = (*transaction, Response::to(request, code));
        self.transfer = None;
        self.clear_alarm(work, Alarm::Transfer);
        self.respond(work, transaction, response);
        Ok(())
    }

    /// Our user has not said anything.
    pub(super) fn referral_was_not_answered(&mut self, work: &mut Work<'_>) {
        if self.reject_transfer(work, None).is_ok() {
            let reason = "Nobody has answered in time".into();
            self.post(work, Data::SessionTransferDidFail { code: Some(StatusCode::DECLINE), reason });
        }
    }

    /// What was asked for, once it was accepted.
    pub(super) fn referral(&self) -> Option<&Referral> {
        match &self.transfer {
            Some(Transfer::Referred(referral)) if referral.is_under_way() => Some(referral),
            _ => None,
        }
    }

    // ----- how the call is doing -----

    /// The call that was asked for has come so far.
    pub(super) fn transfer_progressed(&mut self, work: &mut Work<'_>, status: StatusCode, reason: &Arc<str>) {
        let Some(Transfer::Referred(referral)) = &mut self.transfer else { return };
        let Stage::UnderWay(notifier) = &mut referral.stage else { return };
        let dialog = self.dialog.and_then(|dialog| self.call.as_mut()?.usage.dialog_mut(dialog));
        if let (Some(notifier), Some(dialog)) = (notifier, dialog) {
            let body = Some(refer::progress(status));
            let input = match status.is_final() {
                true => NotifierInput::Terminate { reason: EndReason::NoResource, retry_after: None, body },
                false => NotifierInput::Notify(body),
            };
            notifier.handle(work.now, dialog, input);
        }
        self.carry_notifier(work);
        let reason = Arc::clone(reason);
        if status.is_provisional() {
            self.post(work, Data::SessionTransferGotProgress { code: status, reason });
        } else if status.is_success() {
            self.post(work, Data::SessionTransferDidEnd);
        } else {
            self.post(work, Data::SessionTransferDidFail { code: Some(status), reason });
        }
        if status.is_final() {
            self.forget_referral();
        }
    }

    /// The final response to a NOTIFY of ours.
    pub(super) fn notify_was_answered(&mut self, work: &mut Work<'_>, input: NotifierInput) {
        let dialog = self.dialog.and_then(|dialog| self.call.as_mut()?.usage.dialog_mut(dialog));
        let notifier = match &mut self.transfer {
            Some(Transfer::Referred(referral)) => match &mut referral.stage {
                Stage::UnderWay(notifier) => notifier.as_deref_mut(),
                Stage::Offered { .. } => None,
            },
            _ => self.last_notifier.as_deref_mut(),
        };
        if let (Some(notifier), Some(dialog)) = (notifier, dialog) {
            notifier.handle(work.now, dialog, input);
        }
        self.carry_notifier(work);
    }

    pub(super) fn notifier_is_due(&mut self, work: &mut Work<'_>) {
        self.notify_was_answered(work, NotifierInput::TimeReached);
    }

    /// The transfer is over for our user; what the peer is to be told may still be on its way.
    fn forget_referral(&mut self) {
        if let Some(Transfer::Referred(referral)) = self.transfer.take()
            && let Stage::UnderWay(Some(notifier)) = referral.stage
        {
            self.last_notifier = Some(notifier);
        }
    }

    /// Sends what the notifier orders, through the call's own usage.
    fn carry_notifier(&mut self, work: &mut Work<'_>) {
        while let Some(output) = self.notifier_mut().and_then(Notifier::poll_output) {
            match output {
                NotifierOutput::SendRequest { request, .. } => {
                    let sent = self.dialog.map(|dialog| self.step(work, Input::Send { dialog, request }));
                    if !matches!(sent, Some(Ok(()))) {
                        self.drop_notifier();
                    }
                }
                NotifierOutput::SendResponse { transaction, response } => {
                    self.respond(work, transaction, response);
                }
                NotifierOutput::Event(NotifierEvent::Challenged { .. } | NotifierEvent::Refreshed) => {}
                NotifierOutput::Event(NotifierEvent::Terminated(_) | NotifierEvent::Lost(_)) => {}
            }
        }
        if self.last_notifier.as_ref().is_some_and(|notifier| notifier.is_over()) {
            self.last_notifier = None;
        }
        match self.notifier_mut().and_then(|notifier| notifier.next_timeout()) {
            Some(due) => self.set_alarm(work, Alarm::Notifier, due.saturating_duration_since(work.now)),
            None => self.clear_alarm(work, Alarm::Notifier),
        }
    }

    fn notifier_mut(&mut self) -> Option<&mut Notifier> {
        match &mut self.transfer {
            Some(Transfer::Referred(referral)) => match &mut referral.stage {
                Stage::UnderWay(notifier) => notifier.as_deref_mut(),
                Stage::Offered { .. } => None,
            },
            _ => self.last_notifier.as_deref_mut(),
        }
    }

    fn drop_notifier(&mut self) {
        self.last_notifier = None;
        if let Some(Transfer::Referred(referral)) = &mut self.transfer {
            referral.stage = Stage::UnderWay(None);
        }
    }

    // ----- of the session that was begun for it -----

    /// Puts into the INVITE who has asked for it, and whose place it takes.
    pub(super) fn name_transfer(&self, request: &mut Request) {
        let Some(transfer) = &self.transfer_call else { return };
        let headers = request.headers_mut();
        // They stood in a message that was read: neither can hold a line break.
        if let Some(by) = &transfer.referred_by {
            let _ = headers.set(HeaderName::ReferredBy, by);
        }
        if let Some(replaces) = &transfer.replaces {
            let _ = headers.set(HeaderName::Replaces, replaces);
        }
    }

    /// Tells the session whose peer has asked for this one how far it is.
    pub(super) fn tell_transferor(&mut self, work: &mut Work<'_>, status: Option<StatusCode>, reason: &str) {
        let status = status.unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let Some(session) = self.transfer_call.as_ref().map(|transfer| transfer.of) else { return };
        if status.is_final() {
            self.transfer_call = None;
        }
        work.books.errands.push_back(Errand::TransferProgress { session, status, reason: reason.into() });
    }
}
