//! Digits in the bodies of INFO requests (RFC 6086 carries them; no RFC defines them). Two forms are in use:
//! `application/dtmf-relay`, lines of `Signal=5` and `Duration=160`, and `application/dtmf`, the bare digit. Products
//! write them with and without spaces, in any case, with any line end, and the signal as a character or as an event code.

use super::Digit;
use std::fmt;
use std::time::Duration;

/// The media type of [`DtmfInfo::relay_body`].
pub const RELAY: &str = "application/dtmf-relay";
/// The media type of [`DtmfInfo::dtmf_body`].
pub const DTMF: &str = "application/dtmf";

/// No body of this kind is longer.
const LONGEST: usize = 1_024;
/// Longer presses are cut to this: the longest that one telephone event of 8,000 Hertz can tell.
const LONGEST_PRESS: Duration = Duration::from_millis(8_191);

/// A press of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DtmfInfo {
    /// Which key.
    pub digit: Digit,
    /// How long, where it is told.
    pub duration: Option<Duration>,
}

/// Why a body tells of no press. The peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtmfInfoError {
    /// It is of another type.
    NotDtmf,
    /// It names no key.
    NoSignal,
    /// It names a key that there isn't.
    UnknownSignal,
}

impl DtmfInfo {
    /// Reads the body of an INFO with this Content-Type.
    pub fn parse(content_type: &str, body: &[u8]) -> Result<DtmfInfo, DtmfInfoError> {
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        let is_relay = media_type.eq_ignore_ascii_case(RELAY);
        if !is_relay && !media_type.eq_ignore_ascii_case(DTMF) {
            return Err(DtmfInfoError::NotDtmf);
        }
        let text = std::str::from_utf8(body.get(..LONGEST).unwrap_or(body)).map_err(|_| DtmfInfoError::NoSignal)?;
        // Each form is found under the other's name.
        match (parse_lines(text), is_relay) {
            (Err(DtmfInfoError::NoSignal), _) => {
                let bare = text.trim();
                let digit = if bare.is_empty() { Err(DtmfInfoError::NoSignal) } else { signal(bare) };
                digit.map(|digit| DtmfInfo { digit, duration: None })
            }
            (read, _) => read,
        }
    }

    /// The body in the form `application/dtmf-relay`.
    pub fn relay_body(&self) -> String {
        let duration = self.duration.unwrap_or(super::event::DEFAULT_DURATION).as_millis();
        format!("Signal={}\r\nDuration={duration}\r\n", self.digit)
    }

    /// The body in the form `application/dtmf`, which has no duration.
    pub fn dtmf_body(&self) -> String {
        self.digit.to_string()
    }
}

impl fmt::Display for DtmfInfoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DtmfInfoError::NotDtmf => "neither application/dtmf-relay nor application/dtmf",
            DtmfInfoError::NoSignal => "a DTMF body without a signal",
            DtmfInfoError::UnknownSignal => "a DTMF body with a signal that there is not",
        })
    }
}

impl std::error::Error for DtmfInfoError {}

fn parse_lines(text: &str) -> Result<DtmfInfo, DtmfInfoError> {
    let mut digit = None;
    let mut duration = None;
    for (name, value) in text.split(['\r', '\n']).filter_map(|line| line.split_once('=')) {
        let (name, value) = (name.trim(), value.trim());
        if name.eq_ignore_ascii_case("signal") && digit.is_none() {
            digit = Some(signal(value)?);
        } else if name.eq_ignore_ascii_case("duration") {
            duration = value.parse().ok().map(|ms| Duration::from_millis(ms).min(LONGEST_PRESS));
        }
    }
    Ok(DtmfInfo { digit: digit.ok_or(DtmfInfoError::NoSignal)?, duration })
}

/// `5`, `*`, `#`, `a`, `"5"`; or 10 to 16, the event codes of what is no figure.
fn signal(text: &str) -> Result<Digit, DtmfInfoError> {
    let text = text.trim_matches('"').trim();
    let by_code = || text.parse().ok().filter(|code| *code >= 10).and_then(Digit::from_event);
    text.parse().ok().or_else(by_code).ok_or(DtmfInfoError::UnknownSignal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::dice::Dice;

    fn digit(text: &str) -> Digit {
        text.parse().unwrap()
    }

    fn relay(body: &str) -> Result<DtmfInfo, DtmfInfoError> {
        DtmfInfo::parse(RELAY, body.as_bytes())
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        for digit in Digit::all().chain([Digit::FLASH]) {
            let press = DtmfInfo { digit, duration: Some(Duration::from_millis(250)) };
            assert_eq!(relay(&press.relay_body()), Ok(press));
            let bare = DtmfInfo { digit, duration: None };
            assert_eq!(DtmfInfo::parse(DTMF, bare.dtmf_body().as_bytes()), Ok(bare));
        }
    }

    #[test]
    fn the_relay_form_is_written_as_gateways_write_it() {
        let press = DtmfInfo { digit: digit("5"), duration: Some(Duration::from_millis(160)) };
        assert_eq!(press.relay_body(), "Signal=5\r\nDuration=160\r\n");
    }

    #[test]
    fn spaces_case_line_ends_and_order_do_not_matter() {
        let press = DtmfInfo { digit: digit("5"), duration: Some(Duration::from_millis(160)) };
        for body in [
            "Signal= 5\r\nDuration= 160\r\n",
            "signal=5\nduration=160",
            " SIGNAL = 5 \r Duration=160",
            "Duration=160\r\nSignal=\"5\"\r\n\r\n",
        ] {
            assert_eq!(relay(body), Ok(press), "{body:?}");
        }
        let body = b"Signal=5\r\nDuration=160";
        assert_eq!(DtmfInfo::parse("Application/DTMF-Relay; charset=utf-8", body), Ok(press));
    }

    #[test]
    fn a_signal_may_be_an_event_code() {
        for (body, expected) in [("10", "*"), ("11", "#"), ("12", "A"), ("16", "!"), ("#", "#"), ("b", "B")] {
            assert_eq!(relay(&format!("Signal={body}")).unwrap().digit, digit(expected));
            assert_eq!(DtmfInfo::parse(DTMF, body.as_bytes()).unwrap().digit, digit(expected));
        }
    }

    #[test]
    fn each_form_is_read_under_the_others_name() {
        assert_eq!(relay("5").unwrap().digit, digit("5"));
        assert_eq!(DtmfInfo::parse(DTMF, b"Signal=5").unwrap().digit, digit("5"));
    }

    #[test]
    fn a_wild_duration_is_none_or_cut() {
        assert_eq!(relay("Signal=5\r\nDuration=long").unwrap().duration, None);
        assert_eq!(relay("Signal=5\r\nDuration=99999999999999").unwrap().duration, Some(LONGEST_PRESS));
    }

    #[test]
    fn a_body_of_another_kind_or_without_a_key_is_refused() {
        assert_eq!(DtmfInfo::parse("text/plain", b"5"), Err(DtmfInfoError::NotDtmf));
        assert_eq!(relay(""), Err(DtmfInfoError::NoSignal));
        assert_eq!(relay("Signal=\r\n"), Err(DtmfInfoError::UnknownSignal));
        assert_eq!(relay("Signal=55"), Err(DtmfInfoError::UnknownSignal));
        assert_eq!(relay("Signal=17"), Err(DtmfInfoError::UnknownSignal));
        assert_eq!(DtmfInfo::parse(DTMF, b"\xff\xfe"), Err(DtmfInfoError::NoSignal));
    }

    #[test]
    fn random_bodies_are_read_or_refused() {
        let mut dice = Dice::new(3);
        for _ in 0..20_000 {
            let mut body = b"Signal= 5\r\nDuration=160\r\n".to_vec();
            for _ in 0..dice.below(8) {
                let at = dice.below(body.len());
                dice.fill(&mut body[at..=at]);
            }
            if let Ok(press) = DtmfInfo::parse(RELAY, &body) {
                assert!(press.duration.unwrap_or_default() <= LONGEST_PRESS);
            }
        }
    }
}
