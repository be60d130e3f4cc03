//! The session timer: RFC 4028. One side, the refresher, shows at half the interval that it is still there; when it does
//! not, the other side says BYE shortly before the interval is over.
//!
//! ```text
//!   0 ────────── interval/2 ────────────── interval − min(32 s, interval/3) ─── interval
//!   2xx          refresher: UPDATE or        both: BYE, unless a 2xx to a
//!                re-INVITE                   refresh came before
//! ```

use std::time::{Duration, Instant};

use sip_message::header::{MinSe, Refresher, SessionExpires, TypedHeader as _};
use sip_message::{HeaderName, Headers, Method, Request, Response, StatusCode};

use super::api::{Body, Event, Policy, Step, Termination};
use super::session::{How, Phase, Session};
use crate::fields;

/// The least interval of RFC 4028 §4, and what a message without Min-SE means.
const LEAST: Duration = Duration::from_secs(90);
/// How often a 422 makes us ask for a longer interval.
const ENLARGEMENTS: u8 = 3;

/// The timer of one session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SessionTimer {
    /// The interval that the last 2xx set; `None`: the session has no timer.
    pub(crate) interval: Option<Duration>,
    /// Whether we refresh.
    pub(crate) we_refresh: bool,
    refresh_at: Option<Instant>,
    expires_at: Option<Instant>,
    /// The largest Min-SE of all 422 and requests of this dialog (RFC 4028 §7.4).
    min_se: Duration,
    enlargements: u8,
}

impl SessionTimer {
    /// The timer of a session that was written down: the interval starts anew, as after a refresh.
    pub(crate) fn resume(now: Instant, interval: Duration, we_refresh: bool) -> SessionTimer {
        let mut timer = SessionTimer::default();
        timer.start(now, interval, we_refresh);
        timer
    }

    /// What an INVITE or UPDATE of ours says (RFC 4028 §7.1, §7.4), unless the user has said it.
    pub(crate) fn decorate(&self, headers: &mut Headers, policy: &Policy) {
        if !policy.session_timer.supported {
            return;
        }
        fields::add_option(headers, HeaderName::Supported, "timer");
        let min_se = self.min_se.max(policy.session_timer.min_se).max(LEAST);
        let wanted = self.interval.or(policy.session_timer.interval);
        if let Some(wanted) = wanted
            && !headers.contains(HeaderName::SessionExpires)
        {
            // Within a dialog the roles stay as they are.
            let refresher = self.interval.map(|_| if self.we_refresh { Refresher::Uac } else { Refresher::Uas });
            let value = SessionExpires::new(seconds(wanted.max(min_se)), refresher);
            fields::set(headers, HeaderName::SessionExpires, value);
        }
        if min_se > LEAST && !headers.contains(HeaderName::MinSe) {
            fields::set(headers, HeaderName::MinSe, MinSe::new(seconds(min_se)));
        }
    }

    /// The 422 for a request that wants a shorter interval than we grant (RFC 4028 §9). A client without the extension
    /// would not understand it.
    pub(crate) fn refuse(&mut self, request: &Request, policy: &Policy) -> Option<Response> {
        let headers = request.headers();
        self.note_min_se(headers);
        let wanted = session_expires(headers)?.0;
        let least = policy.session_timer.min_se.max(LEAST);
        if !policy.session_timer.supported || wanted >= least || !headers.has_token(HeaderName::Supported, "timer") {
            return None;
        }
        let mut response = Response::to(request, StatusCode::SESSION_INTERVAL_TOO_SMALL);
        fields::set(response.headers_mut(), HeaderName::MinSe, MinSe::new(seconds(least)));
        Some(response)
    }

    /// What a 2xx of ours grants (RFC 4028 §9, table 2).
    pub(crate) fn grant(&mut self, step: &Step<'_>, request: &Headers, response: &mut Headers) {
        let policy = &step.policy.session_timer;
        if !policy.supported {
            return self.stop();
        }
        let peer_supports = request.has_token(HeaderName::Supported, "timer");
        let least = min_se(request).unwrap_or(LEAST).max(LEAST);
        let (interval, refresher) = match (session_expires(response), session_expires(request), policy.interval) {
            // The user has said it.
            (Some((interval, refresher)), _, _) => (interval, refresher),
            (None, Some((wanted, refresher)), ours) => {
                let ours = ours.map_or(wanted, |ours| ours.max(least));
                (wanted.min(ours), refresher.filter(|_| peer_supports))
            }
            (None, None, Some(ours)) => (ours.max(least), None),
            (None, None, None) => return self.stop(),
        };
        let chosen = refresher.unwrap_or(match (peer_supports, self.interval.is_some() && self.we_refresh) {
            (true, false) => Refresher::Uac,
            _ => Refresher::Uas,
        });
        fields::set(response, HeaderName::SessionExpires, SessionExpires::new(seconds(interval), Some(chosen)));
        fields::add_option(response, HeaderName::Supported, "timer");
        if peer_supports {
            fields::add_option(response, HeaderName::Require, "timer");
        }
        self.start(step.now, interval, chosen == Refresher::Uas);
    }

    /// What a 2xx of the peer's sets (RFC 4028 §7.2).
    pub(crate) fn learn(&mut self, step: &Step<'_>, request: &Headers, response: &Headers) {
        if !step.policy.session_timer.supported {
            return self.stop();
        }
        match (session_expires(response), session_expires(request)) {
            (Some((interval, refresher)), _) => self.start(step.now, interval, refresher != Some(Refresher::Uas)),
            // The peer does not know the extension: we refresh for our own benefit.
            (None, Some((wanted, _))) => self.start(step.now, wanted, true),
            (None, None) => self.stop(),
        }
    }

    /// Takes the Min-SE of a 422. Whether it is worth asking again.
    pub(crate) fn enlarge(&mut self, response: &Headers) -> bool {
        let before = self.min_se;
        self.note_min_se(response);
        self.enlargements += u8::from(self.enlargements < ENLARGEMENTS + 1);
        self.min_se > before && self.enlargements <= ENLARGEMENTS
    }

    /// When a refresh failed though the session lives: another one at half of what is left.
    pub(crate) fn refresh_failed(&mut self, now: Instant) {
        let left = self.expires_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        self.refresh_at = (self.we_refresh && left > Duration::from_secs(10)).then(|| now + left / 2);
    }

    pub(crate) fn stop(&mut self) {
        self.interval = None;
        self.refresh_at = None;
        self.expires_at = None;
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        [self.refresh_at, self.expires_at].into_iter().flatten().min()
    }

    fn start(&mut self, now: Instant, interval: Duration, we_refresh: bool) {
        // A peer that grants less than the RFC allows would make us refresh without end.
        let interval = interval.max(LEAST);
        self.interval = Some(interval);
        self.we_refresh = we_refresh;
        self.refresh_at = we_refresh.then(|| now + interval / 2);
        self.expires_at = Some(now + interval - (interval / 3).min(Duration::from_secs(32)));
    }

    fn note_min_se(&mut self, headers: &Headers) {
        // A day is more than anybody needs; a peer can't switch the timer off for ever.
        let most = Duration::from_secs(86_400);
        self.min_se = self.min_se.max(min_se(headers).unwrap_or_default().min(most));
    }
}

impl Session {
    pub(crate) fn session_timer_reached(&mut self, step: &mut Step<'_>) {
        if self.phase != Phase::Established {
            return;
        }
        if self.timer.expires_at.is_some_and(|at| at <= step.now) {
            return self.say_bye(step, Termination::SessionExpired);
        }
        if self.timer.refresh_at.is_some_and(|at| at <= step.now) {
            self.refresh(step);
        }
    }

    /// Refreshes the session (RFC 4028 §10): by an UPDATE without an offer, or a re-INVITE with the last one.
    fn refresh(&mut self, step: &mut Step<'_>) {
        let updating = self.sent.iter().any(|sent| *sent.request.method() == Method::Update);
        if self.invite_in_progress() || updating || self.glare.is_some() {
            // What is in progress refreshes, too, if it succeeds.
            self.timer.refresh_at = Some(step.now + step.policy.timers.t2());
            return;
        }
        self.timer.refresh_at = None;
        let offer = self.negotiation.as_ref().and_then(|negotiation| negotiation.last_sent()).map(Body::sdp);
        let refreshed = match offer {
            _ if self.peer.allows_update => self
                .make_request(step, Method::Update)
                .is_some_and(|update| self.send_update(step, update, How::Refresh).is_ok()),
            Some(offer) => self.make_request(step, Method::Invite).is_some_and(|mut invite| {
                super::reinvite::set_description(&mut invite, offer.octets);
                self.send_reinvite(step, invite, How::Refresh).is_ok()
            }),
            None => false,
        };
        if !refreshed {
            step.event(Event::RefreshDue { dialog: self.key });
        }
    }
}

/// Takes what the timer said out of a request that will be sent again.
pub(crate) fn remove_timer(headers: &mut Headers) {
    headers.remove(HeaderName::SessionExpires);
    headers.remove(HeaderName::MinSe);
}

fn session_expires(headers: &Headers) -> Option<(Duration, Option<Refresher>)> {
    let value = SessionExpires::parse(headers.first(HeaderName::SessionExpires)?).ok()?;
    Some((Duration::from_secs(u64::from(value.seconds())), value.refresher()))
}

fn min_se(headers: &Headers) -> Option<Duration> {
    let value = MinSe::parse(headers.first(HeaderName::MinSe)?).ok()?;
    Some(Duration::from_secs(u64::from(value.seconds())))
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}
