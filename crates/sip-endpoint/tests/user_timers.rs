//! The user's timers: however many are due, calls go on.

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

mod support;

use std::time::Duration;

use sip_endpoint::{Event, Input, Load, Output};
use sip_message::{Response, StatusCode};
use support::{Alone, request, sent};

fn fired(outputs: &[Output]) -> usize {
    outputs.iter().filter(|output| matches!(output, Output::Event(Event::TimerFired { .. }))).count()
}

#[test]
fn a_hundred_thousand_timers_of_one_instant_fire_in_portions_and_all_of_them_do() {
    let mut alone = Alone::new(0);
    for token in 0..100_000 {
        alone.endpoint.set_timer(alone.now, Duration::from_secs(10), token);
    }
    alone.now += Duration::from_secs(11);
    let (mut all, mut portions) = (0, 0);
    while alone.endpoint.next_timeout().is_some() {
        assert!(alone.endpoint.next_timeout().unwrap() <= alone.now, "the rest is due now, and not later");
        let count = fired(&alone.tell(Input::TimePassed));
        assert!(count <= 256, "{count} at once");
        all += count;
        portions += 1;
    }
    assert_eq!(all, 100_000);
    assert!(portions < 500, "{portions} portions");
}

#[test]
fn a_transaction_does_not_wait_behind_the_timers_of_the_user() {
    let mut alone = Alone::new(0);
    for token in 0..100_000 {
        alone.endpoint.set_timer(alone.now, Duration::from_millis(100), token);
    }
    alone.begins(request("INVITE", "1", ""));
    alone.now += Duration::from_secs(1);
    // RFC 3261 §17.2.1: the 100 is due after 200 ms.
    let outputs = alone.tell(Input::TimePassed);
    assert_eq!(sent(&outputs), [100]);
    assert!(fired(&outputs) <= 256);
}

#[test]
fn a_call_that_comes_while_timers_fire_is_answered_before_the_rest_of_them() {
    let mut alone = Alone::new(0);
    for token in 0..10_000 {
        alone.endpoint.set_timer(alone.now, Duration::from_millis(100), token);
    }
    alone.now += Duration::from_secs(1);
    let before = fired(&alone.tell(Input::TimePassed));
    let (server, options) = alone.begins(request("OPTIONS", "1", ""));
    alone.endpoint.respond(alone.now, server, Response::to(&options, StatusCode::OK)).unwrap();
    assert_eq!(sent(&alone.outputs()), [200]);
    assert!(before <= 256);
    assert_eq!(before + fired(&alone.pass(Duration::ZERO)), 10_000);
}

#[test]
fn a_timer_that_was_taken_back_does_not_fire_even_when_it_was_due() {
    let mut alone = Alone::new(0);
    let timers: Vec<_> =
        (0..1_000).map(|token| alone.endpoint.set_timer(alone.now, Duration::from_secs(1), token)).collect();
    alone.now += Duration::from_secs(2);
    let first = fired(&alone.tell(Input::TimePassed));
    let taken_back = timers.into_iter().filter(|timer| alone.endpoint.cancel_timer(*timer)).count();
    assert_eq!(first + taken_back, 1_000);
    assert_eq!(fired(&alone.pass(Duration::from_secs(60))), 0);
    assert_eq!(alone.endpoint.load(), Load::default());
}

/// Before they fire they have to be moved down the wheel, which must not take all of a turn either.
#[test]
fn a_million_timers_of_one_instant_in_an_hour_fire_in_portions_too() {
    let mut alone = Alone::new(0);
    for token in 0..1_000_000 {
        alone.endpoint.set_timer(alone.now, Duration::from_secs(3_600), token);
    }
    alone.now += Duration::from_secs(3_601);
    let (mut all, mut idle_portions) = (0, 0);
    while alone.endpoint.next_timeout().is_some() {
        let count = fired(&alone.tell(Input::TimePassed));
        assert!(count <= 256);
        all += count;
        idle_portions += usize::from(count == 0);
    }
    assert_eq!(all, 1_000_000);
    assert!((100..1_000).contains(&idle_portions), "{idle_portions} portions moved what was to fire");
}
