//! How far a session is, by what was sent and received in it: the state machines of the SIP Servlet model, one per role.
//!
//! ```text
//!                 UAC (received)              UAS (sent)                  proxy
//!   1xx           INITIAL → EARLY             INITIAL → EARLY             received: → EARLY
//!   2xx           → CONFIRMED                 → CONFIRMED                 received: → CONFIRMED
//!   3xx–6xx       → INITIAL, ready            → TERMINATED, ready         received: → INITIAL; sent: → TERMINATED, ready
//!   BYE answered  → TERMINATED, ready         → TERMINATED, ready         → TERMINATED, ready
//! ```
//!
//! Only requests that make or end a dialog move the state. A session of any other request is ready when it was answered,
//! so that nothing is left of a ping. A subscription holds its dialog after the call in it has ended (RFC 5057).

use servlet::SessionState;
use sip_message::{Method, StatusCode};

use crate::session::{Session, SessionRole, Ua};

/// What a challenge does not end: the request comes again with credentials.
fn is_challenge(status: StatusCode) -> bool {
    status == StatusCode::UNAUTHORIZED || status == StatusCode::PROXY_AUTHENTICATION_REQUIRED
}

fn is_early(session: &Session) -> bool {
    session.state <= SessionState::Early
}

/// A user agent has received a response, or a proxy has, from downstream.
pub(crate) fn received_response(session: &mut Session, method: &Method, status: StatusCode) {
    if status == StatusCode::TRYING {
        return;
    }
    let is_proxy = session.is_proxy();
    if method.creates_dialog() && is_early(session) {
        if status.is_provisional() {
            session.state = SessionState::Early;
        } else if status.is_success() {
            confirm(session, method);
        } else {
            session.state = SessionState::Initial;
            // A proxy may try again, and says upstream when it does not.
            session.ready = !is_proxy;
        }
    } else if !status.is_final() {
    } else if *method == Method::Bye && !is_challenge(status) {
        end_call(session);
    } else if status == StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST && session.state == SessionState::Confirmed {
        // RFC 3261 §12.2.1.2.
        end_call(session);
    } else if session.state == SessionState::Initial && !is_proxy && !is_challenge(status) {
        session.ready = true;
    }
}

/// A user agent has sent a response, or a proxy has forwarded one upstream.
pub(crate) fn sent_response(session: &mut Session, method: &Method, status: StatusCode) {
    if status == StatusCode::TRYING {
        return;
    }
    if method.creates_dialog() && is_early(session) {
        if status.is_provisional() {
            session.state = SessionState::Early;
        } else if status.is_success() {
            confirm(session, method);
        } else {
            session.state = SessionState::Terminated;
            session.ready = true;
        }
    } else if !status.is_final() {
    } else if *method == Method::Bye && !is_challenge(status) {
        end_call(session);
    } else if session.state == SessionState::Initial {
        session.ready = true;
    }
}

/// A subscription was noted to begin or to end: the last one that ends takes the dialog along.
pub(crate) fn subscriptions_changed(session: &mut Session) {
    let Some(ua) = session.ua.as_deref() else { return };
    if session.state == SessionState::Confirmed && !ua.has_call && ua.subscriptions.is_empty() {
        session.state = SessionState::Terminated;
        session.ready = true;
    }
}

fn confirm(session: &mut Session, method: &Method) {
    session.state = SessionState::Confirmed;
    match session.role {
        // Nothing of the dialog comes through here any more.
        SessionRole::Proxy { record_routing } => session.ready = !record_routing,
        SessionRole::Undecided | SessionRole::Uas | SessionRole::Uac => {
            if *method == Method::Invite {
                session.make_ua().has_call = true;
            }
        }
    }
}

fn end_call(session: &mut Session) {
    if let Some(Ua { has_call, subscriptions, session_timer, .. }) = session.ua.as_deref_mut() {
        *has_call = false;
        session_timer.stop();
        if !subscriptions.is_empty() {
            return;
        }
    }
    session.state = SessionState::Terminated;
    session.ready = true;
}
