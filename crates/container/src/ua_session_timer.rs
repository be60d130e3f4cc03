//! Session timers: RFC 4028, for applications that wish for one with a [`KeepAlivePreference`].
//!
//! | | at the client | at the server |
//! | --- | --- | --- |
//! | INVITE, UPDATE | Session-Expires, and Min-SE after a 422 | 422 when it wants less than the application grants |
//! | 2xx | the timer starts | Session-Expires, Require: timer; the timer starts |
//! | 422 | is told; the next request of the session asks for enough | |
//!
//! A 422 to a refresh of the container's own is not told: it asks once more by itself.

use std::time::Duration;

use bytes::Bytes;
use servlet::spi::SessionKey;
use servlet::{KeepAlivePreference, SipServletRequest};
use sip_dialog::session_timer::SessionTimerPolicy;
use sip_message::{HeaderName, Headers, Method, Request, Response, StatusCode};

use crate::core::Core;
use crate::handling::Refused;
use crate::order::Order;
use crate::session::Session;

const SDP: &str = "application/sdp";

/// How a session is refreshed.
#[derive(Default)]
pub(crate) struct Refresh {
    /// The peer has no UPDATE.
    without_update: bool,
    /// What we have described last, as long as a timer is wished for.
    description: Option<Bytes>,
    /// A 422 has said what would be enough.
    again: bool,
}

impl Core {
    fn policy(preference: &KeepAlivePreference) -> SessionTimerPolicy {
        SessionTimerPolicy {
            supported: preference.enabled,
            interval: preference.enabled.then_some(preference.interval),
            min_se: preference.min_interval.max(Duration::from_secs(90)),
        }
    }

    /// Asks for a session timer with an INVITE or UPDATE, when the application wishes for one.
    pub(crate) fn keep_alive_asked(&self, handle: &SipServletRequest, session: SessionKey) {
        if !matches!(handle.method(), Method::Invite | Method::Update) {
            return;
        }
        let wish = handle.session_keep_alive_preference();
        let mut state = self.state_mut();
        let Some(record) = state.sessions.get_mut(session) else { return };
        if let Some(wish) = wish {
            record.make_ua().keep_alive = Some(wish);
        }
        let Some(ua) = record.ua.as_deref() else { return };
        if let Some(preference) = ua.keep_alive.filter(|preference| preference.enabled) {
            ua.session_timer.ask(handle.sip_request_mut().headers_mut(), &Core::policy(&preference));
        }
    }

    /// Learns of the 2xx what was agreed.
    pub(crate) fn keep_alive_learned(
        &self,
        session: SessionKey,
        request: Option<&SipServletRequest>,
        response: &Response,
    ) {
        let Some(request) = request else { return };
        let too_small = response.status() == StatusCode::SESSION_INTERVAL_TOO_SMALL;
        if !(response.status().is_success() || too_small) || !method_refreshes(&request.method()) {
            return;
        }
        let mut state = self.state_mut();
        let now = state.now;
        let Some(ua) = state.sessions.get_mut(session).and_then(|record| record.ua_mut()) else { return };
        if too_small {
            // The next request asks for enough.
            ua.refresh.again = ua.session_timer.enlarge(response.headers());
            return;
        }
        let Some(preference) = ua.keep_alive.filter(|preference| preference.enabled) else { return };
        let sent = request.sip_request();
        ua.refresh.note_peer(response.headers());
        ua.refresh.note_description(sent.headers(), sent.body());
        ua.session_timer.learn(now, &Core::policy(&preference), sent.headers(), response.headers());
        state.rearm_dialog(session);
    }

    /// Grants a session timer with a 2xx, when the application wishes for one: adds Session-Expires and Require.
    pub(crate) fn grant_keep_alive(
        &self,
        session: SessionKey,
        wish: Option<KeepAlivePreference>,
        request: &Request,
        response: &mut Response,
    ) {
        if !response.status().is_success() || !matches!(request.method(), Method::Invite | Method::Update) {
            return;
        }
        let mut state = self.state_mut();
        let now = state.now;
        let Some(record) = state.sessions.get_mut(session) else { return };
        if let Some(wish) = wish {
            record.make_ua().keep_alive = Some(wish);
        }
        let Some(ua) = record.ua_mut() else { return };
        let Some(preference) = ua.keep_alive.filter(|preference| preference.enabled) else { return };
        ua.refresh.note_peer(request.headers());
        let body = response.body().clone();
        ua.refresh.note_description(response.headers(), &body);
        ua.session_timer.grant(now, &Core::policy(&preference), request.headers(), response.headers_mut());
        state.rearm_dialog(session);
    }

    /// Instead of a 2xx: 422, when the request wants a shorter interval than the application grants (RFC 4028 §9).
    pub(crate) fn refuse_keep_alive(
        &self,
        session: SessionKey,
        wish: Option<KeepAlivePreference>,
        request: &Request,
    ) -> Option<Refused> {
        self.state_mut().sessions.get_mut(session)?.interval_too_small(wish, request)
    }

    /// Refreshes a session that we have to keep alive: by UPDATE, which needs no description (RFC 4028 §7.4), or, when the
    /// peer has no UPDATE, by an INVITE that offers what we have described last.
    pub(crate) fn refresh(&self, session: SessionKey) {
        let request =
            {
                let mut state = self.state_mut();
                let Some(record) = state.sessions.get_mut(session) else { return };
                let Some((by_invite, preference)) = record.ua.as_deref().and_then(|ua| {
                    Some((ua.refresh.without_update && ua.refresh.description.is_some(), ua.keep_alive?))
                }) else {
                    return;
                };
                let Some(dialog) = record.dialog_mut() else { return };
                let method = if by_invite { Method::Invite } else { Method::Update };
                let Some(mut request) = dialog.create_request(method) else { return };
                let Some(ua) = record.ua.as_deref() else { return };
                if let Some(description) = ua.refresh.description.as_ref().filter(|_| by_invite) {
                    // It has been a body of ours before.
                    let _ = request.set_body(SDP, description.clone());
                }
                ua.session_timer.ask(request.headers_mut(), &Core::policy(&preference));
                request
            };
        let handle = self.new_request_handle(session, request, false);
        self.send_silently(session, &handle);
    }

    /// A refresh was answered. Its failure ends the session when the peer says that there is none (RFC 4028 §10), and else
    /// when the interval has passed.
    pub(crate) fn refreshed(&self, session: SessionKey, method: &Method, status: StatusCode) {
        if !method_refreshes(method) || !status.is_final() {
            return;
        }
        if status.is_success() {
            return if *method == Method::Invite {
                self.acknowledge_refresh(session)
            };
        }
        let again = {
            let mut state = self.state_mut();
            let now = state.now;
            let Some(ua) = state.sessions.get_mut(session).and_then(|record| record.ua_mut()) else { return };
            ua.session_timer.refresh_failed(now);
            let has_no_update = *method == Method::Update
                && matches!(status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED)
                && !std::mem::replace(&mut ua.refresh.without_update, true)
                && ua.refresh.description.is_some();
            let again = std::mem::take(&mut ua.refresh.again) || has_no_update;
            state.rearm_dialog(session);
            again
        };
        if again {
            self.refresh(session);
        }
    }

    /// The offer was in the INVITE: the ACK has nothing to say.
    fn acknowledge_refresh(&self, session: SessionKey) {
        let mut state = self.state_mut();
        let (now, timers) = (state.now, state.timers_of_sip);
        let Some(record) = state.sessions.get_mut(session) else { return };
        let owed = record.ua_mut().and_then(|ua| ua.unacknowledged.pop());
        let Some((cseq, dialog)) = owed.zip(record.dialog()) else { return };
        let ack = dialog.create_ack(cseq);
        record.make_ua().acks.sent(now, &timers, cseq, ack.clone());
        let to = state.way_of(session, &ack);
        state.rearm_dialog(session);
        state.order(Order::Ack { request: Box::new(ack), to });
    }
}

impl Refresh {
    /// What is known of a peer who says which methods it has.
    fn note_peer(&mut self, headers: &Headers) {
        if headers.contains(HeaderName::Allow) {
            self.without_update = !headers.has_token(HeaderName::Allow, "UPDATE");
        }
    }

    /// What we have described, and the peer has accepted.
    pub(crate) fn note_description(&mut self, headers: &Headers, body: &Bytes) {
        let is_description = headers
            .first(HeaderName::ContentType)
            .is_some_and(|kind| kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(SDP));
        if is_description && !body.is_empty() {
            // A slice of its message would keep all of that.
            self.description = Some(Bytes::copy_from_slice(body));
        }
    }
}

impl Session {
    /// Whether a request wants its session refreshed more often than the application lets it be.
    pub(crate) fn interval_too_small(
        &mut self,
        wish: Option<KeepAlivePreference>,
        request: &Request,
    ) -> Option<Refused> {
        if !method_refreshes(request.method()) {
            return None;
        }
        let ua = if wish.is_some() { self.make_ua() } else { self.ua_mut()? };
        let preference = wish.or(ua.keep_alive).filter(|preference| preference.enabled)?;
        let policy = Core::policy(&preference);
        let refusal = ua.session_timer.refuse(request, &policy)?;
        Some(Refused { status: refusal.status(), because: Some((HeaderName::MinSe, policy.min_se.as_secs())) })
    }
}

fn method_refreshes(method: &Method) -> bool {
    matches!(method, Method::Invite | Method::Update)
}
