//! What a user agent's dialog does by itself: it repeats 2xx and reliable 1xx, and comes to its end when the application
//! has left that to the container. How it keeps its session alive: [`crate::ua_session_timer`].

use std::time::Instant;

use servlet::spi::{SessionKey, TransactionKey};
use servlet::{CancelReason, Error, IllegalState, SessionState, SipServletRequest};
use sip_dialog::reliable::Repetition;
use sip_dialog::session_timer::SessionTimerEvent;
use sip_message::{HeaderName, Method, Request, Response, StatusCode};

use crate::core::Core;
use crate::jobs::{Then, Work};
use crate::order::Order;
use crate::state::{Armed, Due, State};
use crate::transaction::TransactionRole;
use crate::ua_client::cseq_of;

impl State {
    /// Sees to it that the next thing that is due in a dialog is done.
    pub(crate) fn rearm_dialog(&mut self, key: SessionKey) {
        let Some(at) = self.dialog_timeout(key) else { return };
        let now = self.now;
        let armed = match self.sessions.get_mut(key).and_then(|record| record.ua_mut()) {
            Some(ua) => std::mem::take(&mut ua.timer),
            None => return,
        };
        // A timer that fires too early does no harm, one that fires too late would; arming anew is cheap.
        let mut armed = armed;
        self.disarm(&mut armed);
        let armed = self.arm(Due::Dialog(key), at.saturating_duration_since(now));
        if let Some(ua) = self.sessions.get_mut(key).and_then(|record| record.ua_mut()) {
            ua.timer = armed;
        }
    }

    fn dialog_timeout(&self, key: SessionKey) -> Option<Instant> {
        let record = self.sessions.get(key)?;
        let ua = record.ua.as_deref()?;
        let reliable = ua.reliable.as_ref().and_then(|reliable| reliable.sender.next_timeout());
        [ua.successes.next_timeout(), ua.acks.next_timeout(), ua.session_timer.next_timeout(), reliable]
            .into_iter()
            .flatten()
            .min()
    }

    /// The next 2xx or reliable 1xx that is due, or that nobody has acknowledged.
    fn next_repetition(&mut self, key: SessionKey) -> Option<DialogDue> {
        let now = self.now;
        let record = self.sessions.get_mut(key)?;
        let ua = record.ua_mut()?;
        ua.acks.time_passed(now);
        match ua.successes.time_passed(now) {
            Some(Repetition::Repeat(success)) => {
                return Some(DialogDue::Repeat(success.transaction, (*success.response).clone()));
            }
            Some(Repetition::GiveUp(success)) => {
                return Some(DialogDue::NoAck(success.transaction, (*success.response).clone()));
            }
            None => {}
        }
        match ua.session_timer.time_passed(now) {
            Some(SessionTimerEvent::Refresh) => return Some(DialogDue::Refresh),
            Some(SessionTimerEvent::Expired) => return Some(DialogDue::Expired),
            None => {}
        }
        let reliable = ua.reliable.as_mut()?;
        match reliable.sender.time_passed(now)? {
            Repetition::Repeat(response) => Some(DialogDue::Repeat(reliable.transaction, response)),
            Repetition::GiveUp(response) => Some(DialogDue::NoPrack(reliable.transaction, response)),
        }
    }
}

/// What is due in a dialog.
enum DialogDue {
    Repeat(TransactionKey, Response),
    NoAck(TransactionKey, Response),
    NoPrack(TransactionKey, Response),
    Refresh,
    Expired,
}

impl Core {
    /// The dialog's timer has fired.
    pub(crate) fn dialog_due(&self, session: SessionKey) -> Option<Work> {
        if let Some(ua) = self.state_mut().sessions.get_mut(session)?.ua_mut() {
            ua.timer = Armed::No;
        }
        let mut work = None;
        while work.is_none() {
            let Some(due) = self.state_mut().next_repetition(session) else { break };
            match due {
                DialogDue::Repeat(transaction, response) => {
                    let mut state = self.state_mut();
                    state.order(Order::Respond { transaction, response: Box::new(response), once: false });
                }
                DialogDue::NoAck(transaction, response) => {
                    work = self.no_ack(session, transaction, response);
                    self.server_done(transaction);
                }
                DialogDue::NoPrack(transaction, response) => work = self.no_prack(session, transaction, response),
                DialogDue::Refresh => self.refresh(session),
                // RFC 4028 §10: the session is over, and a BYE says so.
                DialogDue::Expired => drop(self.end_dialog(session, &[])),
            }
        }
        self.state_mut().rearm_dialog(session);
        work
    }

    fn no_ack(&self, session: SessionKey, transaction: TransactionKey, response: Response) -> Option<Work> {
        if self.bye_was_due(session) {
            return None;
        }
        let (request, response) = self.unacknowledged(session, transaction, response)?;
        let app = request.facts().app;
        let listeners = self.app(app).application.parts.error_listeners.clone();
        if listeners.is_empty() {
            return None;
        }
        let future = Box::pin(async move {
            for listener in listeners {
                listener.no_ack_received(request.clone(), response.clone()).await?;
            }
            Ok(())
        });
        Some(Work { app, future, then: Then::Nothing })
    }

    /// RFC 6026 §7.1: Timer L ends the transaction when a 2xx has been repeated for long enough, and the request that the
    /// application is told of goes with it.
    pub(crate) fn never_acknowledged(&self, transaction: TransactionKey) -> Option<Work> {
        let (session, response) = {
            let mut state = self.state_mut();
            let session = state.transactions.get(transaction)?.session;
            let ua = state.sessions.get_mut(session)?.ua_mut()?;
            let of_it = ua.successes.unacknowledged().find(|(_, success)| success.transaction == transaction);
            let (cseq, _) = of_it?;
            let success = ua.successes.acknowledged(cseq)?;
            (session, (*success.response).clone())
        };
        self.no_ack(session, transaction, response)
    }

    fn no_prack(&self, session: SessionKey, transaction: TransactionKey, response: Response) -> Option<Work> {
        let (request, response) = self.unacknowledged(session, transaction, response)?;
        let app = request.facts().app;
        let listeners = self.app(app).application.parts.error_listeners.clone();
        let future = Box::pin(async move {
            for listener in listeners {
                listener.no_prack_received(request.clone(), response.clone()).await?;
            }
            Ok(())
        });
        // RFC 3262 §3: the INVITE is rejected with a 5xx, by the container when the application does not.
        Some(Work { app, future, then: Then::NoPrack(transaction) })
    }

    fn unacknowledged(
        &self,
        session: SessionKey,
        transaction: TransactionKey,
        response: Response,
    ) -> Option<(SipServletRequest, servlet::SipServletResponse)> {
        let request = self.state().transactions.get(transaction).and_then(|of| of.request.clone())?;
        let handle = self.response_handle(session, transaction, response, None, Some(request.clone()));
        handle.facts().committed.set(true);
        Some((request, handle))
    }

    /// Sends a request of which the application hears nothing.
    pub(crate) fn send_silently(&self, session: SessionKey, handle: &SipServletRequest) {
        let method = handle.method();
        if crate::contact::belongs_in(servlet::HeaderContext::Request(&method)) {
            let flow = self.state().sessions.get(session).and_then(|record| record.ua.as_ref()?.flow);
            let contact = self.contact_for(session, flow.as_ref(), None, None);
            // An address has no line break.
            let _ = handle.sip_request_mut().headers_mut().set(HeaderName::Contact, &contact);
        }
        let request = handle.sip_request().clone();
        let Some(key) = self.open_client(session, TransactionRole::Uac, &request, false) else { return };
        handle.facts().committed.set(true);
        handle.facts().transaction.set(Some(key));
        let to = {
            let mut state = self.state_mut();
            if let Some(transaction) = state.transactions.get_mut(key) {
                transaction.silent = true;
                transaction.request = Some(handle.clone());
            }
            state.way_of(session, &request)
        };
        self.send(key, request, to, None);
    }

    // ----- SipSession.terminateDialog -----

    /// Ends a session's dialog: CANCEL, BYE or a final response, as its state requires.
    pub(crate) fn end_dialog(&self, session: SessionKey, reasons: &[CancelReason]) -> Result<(), Error> {
        let reason = reason_value(reasons);
        let (role_in, open, dialog_state) = {
            let mut state = self.state_mut();
            let record = state.sessions.get_mut(session).ok_or(IllegalState::InvalidSession)?;
            if record.is_proxy() {
                return Err(IllegalState::ProxySession.into());
            }
            if record.state == SessionState::Terminated || record.open.is_empty() && record.dialog().is_none() {
                return Ok(());
            }
            let has_dialog = record.dialog().is_some();
            if !has_dialog && record.state == SessionState::Initial && record.initial.is_none() {
                return Err(IllegalState::NoDialog.into());
            }
            record.make_ua().terminating = true;
            let role = record.dialog().map(|dialog| dialog.role);
            (role, record.open.clone(), record.state)
        };
        for (key, is_server) in open {
            if is_server {
                // What the application owes the peer, the container says: the call is over (RFC 3261 §15.1.2).
                if let Some(response) = self.new_response(key, StatusCode::REQUEST_TERMINATED, None) {
                    self.send_as_uas(key, session, response);
                }
                continue;
            }
            let mut state = self.state_mut();
            let Some(transaction) = state.transactions.get_mut(key) else { continue };
            transaction.silent = true;
            if transaction.method == Method::Invite && dialog_state <= SessionState::Early {
                transaction.cancelled = true;
                state.order(Order::Cancel { transaction: key, reason: reason.clone() });
            }
        }
        if dialog_state == SessionState::Confirmed && role_in.is_some() {
            self.say_bye_in_time(session, reason);
        }
        Ok(())
    }

    /// RFC 3261 §15: "the callee's UA MUST NOT send a BYE on a confirmed dialog until it has received an ACK for its 2xx
    /// response or until the server transaction times out".
    fn say_bye_in_time(&self, session: SessionKey, reason: Option<Box<str>>) {
        {
            let mut state = self.state_mut();
            let Some(record) = state.sessions.get_mut(session) else { return };
            let ua = record.make_ua();
            if !ua.successes.is_empty() {
                ua.bye_due = Some(reason);
                return;
            }
        }
        self.say_bye(session, reason.as_deref());
    }

    /// The last 2xx was acknowledged, or will not be: a BYE that has waited for that goes. Whether one has waited.
    pub(crate) fn bye_was_due(&self, session: SessionKey) -> bool {
        let reason = {
            let mut state = self.state_mut();
            let ua = state.sessions.get_mut(session).and_then(|record| record.ua_mut());
            let Some(ua) = ua.filter(|ua| ua.successes.is_empty()) else { return false };
            let Some(reason) = ua.bye_due.take() else { return false };
            reason
        };
        self.say_bye(session, reason.as_deref());
        true
    }

    fn say_bye(&self, session: SessionKey, reason: Option<&str>) {
        let bye = {
            let mut state = self.state_mut();
            let Some(record) = state.sessions.get_mut(session) else { return };
            let owed: Vec<u32> = record.ua.iter().flat_map(|ua| ua.unacknowledged.iter().copied()).collect();
            if let Some(ua) = record.ua_mut() {
                ua.unacknowledged.clear();
            }
            let Some(dialog) = record.dialog_mut() else { return };
            let acks: Vec<Request> = owed.into_iter().map(|cseq| dialog.create_ack(cseq)).collect();
            let bye = dialog.create_request(Method::Bye);
            for ack in acks {
                let to = state.way_of(session, &ack);
                state.order(Order::Ack { request: Box::new(ack), to });
            }
            let Some(mut bye) = bye else { return };
            if let Some(reason) = reason {
                // Reasons were checked when they were made.
                let _ = bye.headers_mut().set(HeaderName::Reason, reason);
            }
            bye
        };
        let handle = self.new_request_handle(session, bye, false);
        self.send_silently(session, &handle);
    }

    /// A response in a dialog that the container ends, or to a request of the container's own.
    pub(crate) fn terminated_response(&self, session: SessionKey, method: &Method, status: StatusCode) {
        let (terminating, confirmed) = {
            let state = self.state();
            let Some(record) = state.sessions.get(session) else { return };
            (record.ua.as_ref().is_some_and(|ua| ua.terminating), record.state == SessionState::Confirmed)
        };
        if !terminating {
            return self.refreshed(session, method, status);
        }
        if *method == Method::Invite && status.is_success() && confirmed {
            return self.say_bye(session, None);
        }
        let mut state = self.state_mut();
        let Some(record) = state.sessions.get_mut(session) else { return };
        if status.is_final() && (*method == Method::Bye || record.state <= SessionState::Early) {
            record.state = SessionState::Terminated;
            record.ready = true;
            state.unsettle_session(session);
        }
    }

    /// A BYE or another request for a dialog that the container ends.
    pub(crate) fn answer_silently(&self, key: TransactionKey, session: SessionKey, method: &Method) {
        let status = match method {
            Method::Bye => StatusCode::OK,
            _ => StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST,
        };
        if let Some(response) = self.new_response(key, status, None) {
            self.send_as_uas(key, session, response);
        }
    }

    /// The 2xx that an ACK acknowledges is not repeated any more; `None` for the copy of an ACK.
    pub(crate) fn acknowledged(&self, session: SessionKey, request: &Request) -> Option<TransactionKey> {
        let cseq = cseq_of(request.headers())?;
        let mut state = self.state_mut();
        let ua = state.sessions.get_mut(session)?.ua_mut()?;
        let success = ua.successes.acknowledged(cseq)?;
        Some(success.transaction)
    }
}

/// Reason values (RFC 3326) as one header.
pub(crate) fn reason_value(reasons: &[CancelReason]) -> Option<Box<str>> {
    let value: Vec<String> = reasons
        .iter()
        .map(|reason| match &reason.text {
            None => format!("{};cause={}", reason.protocol, reason.cause),
            Some(text) => {
                let text = text.replace('\\', "\\\\").replace('"', "\\\"");
                format!("{};cause={};text=\"{text}\"", reason.protocol, reason.cause)
            }
        })
        .collect();
    (!value.is_empty()).then(|| value.join(", ").into())
}
