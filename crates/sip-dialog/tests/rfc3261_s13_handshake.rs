//! RFC 3261 §13.3.1.4 and §13.2.2.4: the machines that repeat a 2xx and its ACK, by themselves.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use std::time::Instant;

use common::*;
use sip_dialog::reliable::{AckKeeper, Repetition, SuccessSender};
use sip_transaction::Timers;

fn sender(now: Instant) -> SuccessSender<&'static str> {
    let mut sender = SuccessSender::default();
    sender.sent(now, &Timers::default(), 1, "200");
    sender
}

/// §13.3.1.4: "passed to the transport with an interval that starts at T1 seconds and doubles for each retransmission until
/// it reaches T2 seconds".
#[test]
fn a_2xx_is_repeated_with_intervals_that_double_up_to_t2() {
    let began = Instant::now();
    let mut sender = sender(began);
    let mut sent_at = Vec::new();
    let mut now = began;
    while let Some(at) = sender.next_timeout() {
        assert!(at > now);
        now = at;
        match sender.time_passed(now) {
            Some(Repetition::Repeat("200")) => sent_at.push((now - began).as_millis()),
            Some(Repetition::GiveUp("200")) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(sent_at[..5], [500, 1500, 3500, 7500, 11_500]);
    assert_eq!((now - began, sent_at.len()), (seconds(32), 10));
    assert!(sender.is_empty() && sender.next_timeout().is_none());
}

/// "Response retransmissions cease when an ACK request for the response is received."
#[test]
fn an_ack_ends_the_repetition_and_its_copy_says_nothing_new() {
    let now = Instant::now();
    let mut sender = sender(now);
    assert_eq!(sender.acknowledged(2), None);
    assert_eq!(sender.acknowledged(1), Some("200"));
    assert_eq!(sender.acknowledged(1), None);
    assert_eq!(sender.time_passed(now + seconds(40)), None);
}

#[test]
fn the_2xx_of_a_reinvite_is_repeated_beside_that_of_the_invite() {
    let now = Instant::now();
    let mut sender = sender(now);
    sender.sent(now + ms(100), &Timers::default(), 2, "200 again");
    assert_eq!(sender.time_passed(now + ms(700)), Some(Repetition::Repeat("200")));
    assert_eq!(sender.time_passed(now + ms(700)), Some(Repetition::Repeat("200 again")));
    assert_eq!(sender.time_passed(now + ms(700)), None);
    assert_eq!(sender.acknowledged(1), Some("200"));
    assert_eq!(sender.unacknowledged().collect::<Vec<_>>(), [(2, &"200 again")]);
}

#[test]
fn a_late_owner_repeats_once_and_not_for_each_interval_that_went_by() {
    let now = Instant::now();
    let mut sender = sender(now);
    assert_eq!(sender.time_passed(now + seconds(20)), Some(Repetition::Repeat("200")));
    assert_eq!(sender.time_passed(now + seconds(20)), None);
}

#[test]
fn a_session_that_is_over_repeats_nothing() {
    let now = Instant::now();
    let mut sender = sender(now);
    sender.stop();
    assert_eq!((sender.next_timeout(), sender.time_passed(now + seconds(1))), (None, None));
}

/// §13.2.2.4: "The UAC core MUST generate an ACK request for each 2xx received", the same for each copy.
#[test]
fn the_ack_is_kept_for_copies_of_its_2xx_for_64_t1() {
    let now = Instant::now();
    let mut keeper = AckKeeper::default();
    assert_eq!(keeper.repeated_2xx(1), None);
    keeper.sent(now, &Timers::default(), 1, "ACK 1");
    keeper.sent(now + seconds(1), &Timers::default(), 2, "ACK 2");
    assert_eq!((keeper.repeated_2xx(1), keeper.repeated_2xx(2)), (Some(&"ACK 1"), Some(&"ACK 2")));
    assert_eq!(keeper.next_timeout(), Some(now + seconds(32)));
    keeper.time_passed(now + seconds(32));
    assert_eq!((keeper.repeated_2xx(1), keeper.repeated_2xx(2)), (None, Some(&"ACK 2")));
    keeper.time_passed(now + seconds(33));
    assert!(keeper.is_empty() && keeper.next_timeout().is_none());
}

/// A held call has both, with nothing in them.
#[test]
fn idle_they_take_no_heap_and_three_words_each() {
    assert!(size_of::<SuccessSender>() <= 24 && size_of::<AckKeeper>() <= 24);
}
