//! Words for states and numbers, and what they deserve.

use std::time::Duration;

use client::media::AudioStatistics;
use client::session::State;
use ratatui::text::Span;

use super::super::palette::{Palette, Tone};
use super::super::shown::ShownCall;

/// The state of the call, as people say it.
pub(super) fn state(call: &ShownCall) -> (Tone, &'static str) {
    match (call.state, &call.end) {
        (_, Some(end)) if end.failed => (Tone::Bad, "failed"),
        (_, Some(_)) => (Tone::Plain, "ended"),
        (State::Calling, None) if call.ringing => (Tone::Active, "ringing"),
        (State::Established, None) => match (call.on_hold_by_local, call.on_hold_by_remote) {
            (false, false) => (Tone::Good, word(State::Established)),
            (true, false) => (Tone::Fair, "on hold"),
            (false, true) => (Tone::Fair, "held by them"),
            (true, true) => (Tone::Fair, "held by both"),
        },
        (State::Incoming, None) => (Tone::Fair, word(State::Incoming)),
        (State::Null | State::Terminating | State::Terminated, None) => (Tone::Plain, word(call.state)),
        (state, None) => (Tone::Active, word(state)),
    }
}

/// A state on its own.
pub(super) fn word(state: State) -> &'static str {
    match state {
        State::Null => "ready",
        State::Calling => "calling",
        State::Incoming => "incoming call",
        State::Accepting => "answering",
        State::Established => "in call",
        // A stream is being added or removed.
        State::Proposing => "changing",
        State::Proposed => "asked to change",
        State::Terminating => "ending",
        State::Terminated => "ended",
    }
}

/// A word that is seen first.
pub(super) fn badge(word: &str, tone: Tone, palette: Palette) -> Span<'static> {
    Span::styled(format!(" {} ", word.to_uppercase()), palette.badge(tone))
}

/// Whether others can listen.
pub(super) fn encryption(call: &ShownCall, palette: Palette) -> Span<'static> {
    match call.encryption {
        Some(_) => Span::styled("encrypted", palette.text(Tone::Good)),
        None => Span::styled("not encrypted", palette.text(Tone::Fair)),
    }
}

/// The opinion score with what users think at that score (ITU-T G.107 annex B: R of 90, 80, 70 and 60).
pub(super) fn opinion(statistics: &AudioStatistics) -> Option<(f32, &'static str, Tone)> {
    let mos = statistics.mos;
    let heard = statistics.received > 0 && mos >= 1.0;
    heard.then_some(match mos {
        4.34.. => (mos, "very good", Tone::Good),
        4.03.. => (mos, "good", Tone::Good),
        3.6.. => (mos, "fair", Tone::Fair),
        3.1.. => (mos, "poor", Tone::Bad),
        _ => (mos, "bad", Tone::Bad),
    })
}

/// A share of what was sent, 0 to 1. Concealment hides the loss of one packet in a hundred; of one in twenty nobody's does.
pub(super) fn loss(share: f32) -> (String, Tone) {
    let percent = if share.is_finite() { share.clamp(0.0, 1.0) * 100.0 } else { 0.0 };
    (format!("{percent:.1} %"), judged(percent, 1.0, 5.0))
}

/// More than a packet's worth of jitter has to be held back by the buffer, at the price of delay.
pub(super) fn jitter(jitter: Duration) -> (String, Tone) {
    (millis(jitter), judged(jitter.as_secs_f32(), 0.030, 0.100))
}

/// ITU-T G.114: below 150 ms one way all is well, above 400 ms nothing is.
pub(super) fn round_trip(round_trip: Duration) -> (String, Tone) {
    (millis(round_trip), judged(round_trip.as_secs_f32(), 0.300, 0.800))
}

/// `3.1 ms`, `120 ms`.
pub(super) fn millis(span: Duration) -> String {
    let millis = span.as_secs_f64() * 1_000.0;
    if millis < 100.0 && millis.fract() > 0.05 { format!("{millis:.1} ms") } else { format!("{millis:.0} ms") }
}

fn judged(value: f32, fair: f32, bad: f32) -> Tone {
    match value {
        _ if value > bad => Tone::Bad,
        _ if value > fair => Tone::Fair,
        _ => Tone::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opinion_is_worded_as_users_are_satisfied() {
        let of = |mos| opinion(&AudioStatistics { received: 1, mos, ..AudioStatistics::default() });
        for (mos, word) in [(4.4, "very good"), (4.1, "good"), (3.7, "fair"), (3.2, "poor"), (1.0, "bad")] {
            assert_eq!(of(mos).unwrap().1, word);
        }
        assert_eq!(of(0.0), None);
        assert_eq!(of(f32::NAN), None);
        assert_eq!(opinion(&AudioStatistics { mos: 4.4, ..AudioStatistics::default() }), None);
    }

    #[test]
    fn numbers_are_no_longer_than_they_need_be() {
        assert_eq!(millis(Duration::from_micros(3_100)), "3.1 ms");
        assert_eq!(millis(Duration::from_millis(40)), "40 ms");
        assert_eq!(millis(Duration::from_micros(123_456)), "123 ms");
        assert_eq!(loss(0.0123), ("1.2 %".to_owned(), Tone::Fair));
        assert_eq!(loss(f32::NAN), ("0.0 %".to_owned(), Tone::Plain));
    }
}
