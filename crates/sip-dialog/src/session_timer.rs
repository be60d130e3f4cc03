//! The session timer: RFC 4028. One side, the refresher, shows at half the interval that it is still there; when it does
//! not, the other side says BYE shortly before the interval is over. The refresh and the BYE themselves are left to the
//! owner of the session.
//!
//! ```text
//!   0 ────────── interval/2 ────────────── interval − min(32 s, interval/3) ─── interval
//!   2xx          refresher: UPDATE or        both: BYE, unless a 2xx to a
//!                re-INVITE                   refresh came before
//! ```
//!
//! | what happens to an INVITE or UPDATE | UAC | UAS |
//! | --- | --- | --- |
//! | it is sent or received | [`SessionTimer::ask`] | [`SessionTimer::refuse`]: maybe 422 |
//! | its 2xx | [`SessionTimer::learn`] | [`SessionTimer::grant`] |
//! | its 422 | [`SessionTimer::enlarge`], and once more | – |
//! | another failure of a refresh | [`SessionTimer::refresh_failed`] | – |

use std::time::{Duration, Instant};

use sip_message::header::{MinSe, Refresher, SessionExpires, TypedHeader as _};
use sip_message::{HeaderName, Headers, Request, Response, StatusCode};

use crate::fields;

/// The least interval of RFC 4028 §4, and what a message without Min-SE means.
const LEAST: Duration = Duration::from_secs(90);
/// How often a 422 makes us ask for a longer interval.
const ENLARGEMENTS: u8 = 3;

/// The session timer that we ask for and grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionTimerPolicy {
    /// Whether we say `Supported: timer` and act by it.
    pub supported: bool,
    /// The interval that we ask for; `None`: only the peer's wishes count.
    pub interval: Option<Duration>,
    /// The least interval that we grant; at least 90 s (RFC 4028 §4).
    pub min_se: Duration,
}

impl Default for SessionTimerPolicy {
    fn default() -> SessionTimerPolicy {
        SessionTimerPolicy { supported: true, interval: None, min_se: LEAST }
    }
}

/// What the owner of the session is to do because time has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionTimerEvent {
    /// Refresh the session: we are the refresher, and half of the interval is over. Told once; a refresh that can't be
    /// sent now is [postponed](SessionTimer::postpone), and one that failed is [told](SessionTimer::refresh_failed).
    Refresh,
    /// Say BYE: no refresh came in time (RFC 4028 §10). The timer has stopped.
    Expired,
}

/// The timer of one session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionTimer {
    /// The interval that the last 2xx set; `None`: the session has no timer.
    interval: Option<Seconds>,
    we_refresh: bool,
    enlargements: u8,
    refresh_at: Option<Instant>,
    expires_at: Option<Instant>,
    /// The largest Min-SE of all 422 and requests of this dialog (RFC 4028 §7.4).
    min_se: Seconds,
}

/// As Session-Expires and Min-SE have them.
type Seconds = u32;

impl SessionTimer {
    /// The timer of a session that was written down: the interval starts anew, as after a refresh.
    pub fn resume(now: Instant, interval: Duration, we_refresh: bool) -> SessionTimer {
        let mut timer = SessionTimer::default();
        timer.start(now, interval, we_refresh);
        timer
    }

    /// The interval that the last 2xx set; `None`: the session has no timer.
    pub fn interval(&self) -> Option<Duration> {
        self.interval.map(|seconds| Duration::from_secs(u64::from(seconds)))
    }

    /// Whether we are the refresher.
    pub fn we_refresh(&self) -> bool {
        self.we_refresh
    }

    /// Puts into an INVITE or UPDATE of ours what it has to say (RFC 4028 §7.1, §7.4), unless it has said it.
    pub fn ask(&self, headers: &mut Headers, policy: &SessionTimerPolicy) {
        if !policy.supported {
            return;
        }
        fields::add_option(headers, HeaderName::Supported, "timer");
        let min_se = Duration::from_secs(u64::from(self.min_se)).max(policy.min_se).max(LEAST);
        let wanted = self.interval().or(policy.interval);
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

    /// The 422 for an INVITE or UPDATE that wants a shorter interval than we grant (RFC 4028 §9). A client without the
    /// extension would not understand it.
    pub fn refuse(&mut self, request: &Request, policy: &SessionTimerPolicy) -> Option<Response> {
        let headers = request.headers();
        self.note_min_se(headers);
        let wanted = session_expires(headers)?.0;
        let least = policy.min_se.max(LEAST);
        if !policy.supported || wanted >= least || !headers.has_token(HeaderName::Supported, "timer") {
            return None;
        }
        let mut response = Response::to(request, StatusCode::SESSION_INTERVAL_TOO_SMALL);
        fields::set(response.headers_mut(), HeaderName::MinSe, MinSe::new(seconds(least)));
        Some(response)
    }

    /// Puts into a 2xx of ours what it grants, and starts the timer by it (RFC 4028 §9, table 2). A Session-Expires that
    /// it has already is taken as it is.
    pub fn grant(&mut self, now: Instant, policy: &SessionTimerPolicy, request: &Headers, response: &mut Headers) {
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
        self.start(now, interval, chosen == Refresher::Uas);
    }

    /// Starts the timer by a 2xx of the peer's (RFC 4028 §7.2), or stops it.
    pub fn learn(&mut self, now: Instant, policy: &SessionTimerPolicy, request: &Headers, response: &Headers) {
        if !policy.supported {
            return self.stop();
        }
        match (session_expires(response), session_expires(request)) {
            (Some((interval, refresher)), _) => self.start(now, interval, refresher != Some(Refresher::Uas)),
            // The peer does not know the extension: we refresh for our own benefit.
            (None, Some((wanted, _))) => self.start(now, wanted, true),
            (None, None) => self.stop(),
        }
    }

    /// Takes the Min-SE of a 422. Whether it is worth asking again: [without](SessionTimer::remove) what the request said
    /// of the timer, for [`SessionTimer::ask`] to say it anew.
    pub fn enlarge(&mut self, response: &Headers) -> bool {
        let before = self.min_se;
        self.note_min_se(response);
        self.enlargements += u8::from(self.enlargements < ENLARGEMENTS + 1);
        self.min_se > before && self.enlargements <= ENLARGEMENTS
    }

    /// Takes what the timer said out of a request that will be sent again.
    pub fn remove(headers: &mut Headers) {
        headers.remove(HeaderName::SessionExpires);
        headers.remove(HeaderName::MinSe);
    }

    /// When a refresh failed though the session lives: another one is due at half of what is left.
    pub fn refresh_failed(&mut self, now: Instant) {
        let left = self.expires_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        self.refresh_at = (self.we_refresh && left > Duration::from_secs(10)).then(|| now + left / 2);
    }

    /// When a refresh can't be sent now: it is due again at this time.
    pub fn postpone(&mut self, until: Instant) {
        self.refresh_at = self.we_refresh.then_some(until);
    }

    /// When the session is over, or goes on without a timer.
    pub fn stop(&mut self) {
        self.interval = None;
        self.refresh_at = None;
        self.expires_at = None;
    }

    /// When [`SessionTimer::time_passed`] is due.
    pub fn next_timeout(&self) -> Option<Instant> {
        [self.refresh_at, self.expires_at].into_iter().flatten().min()
    }

    /// What is due.
    pub fn time_passed(&mut self, now: Instant) -> Option<SessionTimerEvent> {
        if self.expires_at.is_some_and(|at| at <= now) {
            self.stop();
            return Some(SessionTimerEvent::Expired);
        }
        self.refresh_at.take_if(|at| *at <= now).map(|_| SessionTimerEvent::Refresh)
    }

    fn start(&mut self, now: Instant, interval: Duration, we_refresh: bool) {
        // A peer that grants less than the RFC allows would make us refresh without end.
        let interval = interval.max(LEAST);
        self.interval = Some(seconds(interval));
        self.we_refresh = we_refresh;
        self.refresh_at = we_refresh.then(|| now + interval / 2);
        self.expires_at = Some(now + interval - (interval / 3).min(Duration::from_secs(32)));
    }

    fn note_min_se(&mut self, headers: &Headers) {
        // A day is more than anybody needs; a peer can't switch the timer off for ever.
        let most = Duration::from_secs(86_400);
        self.min_se = self.min_se.max(seconds(min_se(headers).unwrap_or_default().min(most)));
    }
}

fn session_expires(headers: &Headers) -> Option<(Duration, Option<Refresher>)> {
    let value = SessionExpires::parse(headers.first(HeaderName::SessionExpires)?).ok()?;
    Some((Duration::from_secs(u64::from(value.seconds())), value.refresher()))
}

fn min_se(headers: &Headers) -> Option<Duration> {
    let value = MinSe::parse(headers.first(HeaderName::MinSe)?).ok()?;
    Some(Duration::from_secs(u64::from(value.seconds())))
}

fn seconds(duration: Duration) -> Seconds {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}
