//! RFC 4028: the session timer by itself, from the headers of a request and its response alone.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use std::time::{Duration, Instant};

use common::*;
use sip_dialog::session_timer::{SessionTimer, SessionTimerEvent, SessionTimerPolicy};
use sip_message::{HeaderName, Headers, Request, Response};

fn wants(interval: u64) -> SessionTimerPolicy {
    SessionTimerPolicy { interval: Some(seconds(interval)), ..SessionTimerPolicy::default() }
}

fn asks(policy: &SessionTimerPolicy) -> Request {
    let mut request = invite(None);
    SessionTimer::default().ask(request.headers_mut(), policy);
    request
}

fn value(headers: &Headers, name: HeaderName) -> Option<String> {
    headers.first(name).map(str::to_owned)
}

/// Both sides of an INVITE and its 2xx.
fn agreed(caller: &SessionTimerPolicy, callee: &SessionTimerPolicy, now: Instant) -> (SessionTimer, SessionTimer) {
    let request = asks(caller);
    let mut response = Response::to(&request, status(200));
    let (mut uac, mut uas) = (SessionTimer::default(), SessionTimer::default());
    uas.grant(now, callee, request.headers(), response.headers_mut());
    uac.learn(now, caller, request.headers(), response.headers());
    (uac, uas)
}

/// §7.1, §9: the lower interval counts, and the UAC refreshes when it can.
#[test]
fn both_sides_agree_on_the_lower_interval_and_on_who_refreshes() {
    let (uac, uas) = agreed(&wants(1800), &wants(600), Instant::now());
    assert_eq!((uac.interval(), uas.interval()), (Some(seconds(600)), Some(seconds(600))));
    assert!(uac.we_refresh() && !uas.we_refresh());
}

/// §7.2: a UAS that does not know the extension leaves Session-Expires out, and the UAC refreshes all the same.
#[test]
fn a_peer_without_the_extension_is_refreshed_for_our_own_benefit() {
    let no = SessionTimerPolicy { supported: false, ..SessionTimerPolicy::default() };
    let (uac, uas) = agreed(&wants(1800), &no, Instant::now());
    assert!(uac.we_refresh() && uac.interval() == Some(seconds(1800)));
    assert_eq!((uas.interval(), uas.next_timeout()), (None, None));
}

#[test]
fn nobody_who_asks_means_no_timer() {
    let silent = SessionTimerPolicy::default();
    let (uac, uas) = agreed(&silent, &silent, Instant::now());
    assert_eq!((uac.interval(), uas.next_timeout()), (None, None));
}

/// §9: 422 with Min-SE; §7.4: once more with a longer interval.
#[test]
fn a_422_makes_the_interval_longer() {
    let strict = SessionTimerPolicy { min_se: seconds(300), ..SessionTimerPolicy::default() };
    let policy = wants(100);
    let mut request = asks(&policy);
    let refusal = SessionTimer::default().refuse(&request, &strict).unwrap();
    assert_eq!((refusal.status(), value(refusal.headers(), HeaderName::MinSe)), (status(422), Some("300".to_owned())));

    let mut timer = SessionTimer::default();
    assert!(timer.enlarge(refusal.headers()));
    SessionTimer::remove(request.headers_mut());
    timer.ask(request.headers_mut(), &policy);
    assert_eq!(value(request.headers(), HeaderName::SessionExpires), Some("300".to_owned()));
    assert_eq!(value(request.headers(), HeaderName::MinSe), Some("300".to_owned()));
    assert!(SessionTimer::default().refuse(&request, &strict).is_none());
    assert!(!timer.enlarge(refusal.headers()), "the same Min-SE again leads nowhere");
}

/// §10: "once half the session interval has elapsed"; BYE "the minimum of 32 seconds and one third of the session
/// interval" before the end.
#[test]
fn the_refresher_refreshes_at_half_and_both_expire_before_the_end() {
    let now = Instant::now();
    let (mut uac, mut uas) = agreed(&wants(1800), &wants(1800), now);
    assert_eq!(uac.next_timeout(), Some(now + seconds(900)));
    assert_eq!(uac.time_passed(now + seconds(899)), None);
    assert_eq!(uac.time_passed(now + seconds(900)), Some(SessionTimerEvent::Refresh));
    assert_eq!(uac.time_passed(now + seconds(901)), None);
    for timer in [&mut uac, &mut uas] {
        assert_eq!(timer.next_timeout(), Some(now + seconds(1768)));
        assert_eq!(timer.time_passed(now + seconds(1768)), Some(SessionTimerEvent::Expired));
        assert_eq!((timer.next_timeout(), timer.interval()), (None, None));
    }
    let short = SessionTimer::resume(now, seconds(90), false);
    assert_eq!(short.next_timeout(), Some(now + seconds(60)));
}

#[test]
fn a_refresh_that_cannot_be_sent_now_is_due_again() {
    let now = Instant::now();
    let mut timer = SessionTimer::resume(now, seconds(1800), true);
    assert_eq!(timer.time_passed(now + seconds(900)), Some(SessionTimerEvent::Refresh));
    timer.postpone(now + seconds(904));
    assert_eq!(timer.time_passed(now + seconds(904)), Some(SessionTimerEvent::Refresh));
    timer.refresh_failed(now + seconds(904));
    assert_eq!(timer.next_timeout(), Some(now + seconds(904) + (seconds(1768) - seconds(904)) / 2));
    let mut other = SessionTimer::resume(now, seconds(1800), false);
    other.postpone(now + seconds(10));
    assert_eq!(other.next_timeout(), Some(now + seconds(1768)), "who does not refresh has nothing to postpone");
}

#[test]
fn what_a_user_has_written_is_left_as_it_is() {
    let mut request = invite(None);
    request.headers_mut().push(HeaderName::SessionExpires, "1200;refresher=uas").unwrap();
    SessionTimer::default().ask(request.headers_mut(), &wants(1800));
    assert_eq!(value(request.headers(), HeaderName::SessionExpires), Some("1200;refresher=uas".to_owned()));
    assert!(request.headers().has_token(HeaderName::Supported, "timer"));
}

/// A peer can neither make us refresh without end nor overflow the clock.
#[test]
fn absurd_intervals_are_bounded() {
    let now = Instant::now();
    for interval in ["0", "1", "4294967295"] {
        let request = asks(&wants(1800));
        let mut response = Response::to(&request, status(200));
        response.headers_mut().push(HeaderName::SessionExpires, format!("{interval};refresher=uac")).unwrap();
        let mut timer = SessionTimer::default();
        timer.learn(now, &wants(1800), request.headers(), response.headers());
        assert!(timer.next_timeout().unwrap() >= now + seconds(45), "{interval}");
    }
    let endless = SessionTimer::resume(now, Duration::from_secs(u64::from(u32::MAX)), true);
    assert!(endless.next_timeout().is_some());
}

#[test]
fn a_session_timer_is_small() {
    assert!(size_of::<SessionTimer>() <= 56, "{}", size_of::<SessionTimer>());
}
