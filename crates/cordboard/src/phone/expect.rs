//! `--expect`: what must have happened for a call to count as a success.

use std::fmt;
use std::str::FromStr;

use client::Party;
use sip_message::StatusCode;

/// One expectation.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expectation {
    /// The call was established.
    Answered,
    /// It ended with 486 or 600.
    Busy,
    /// It was refused, whatever the status.
    Rejected,
    /// It ended with this status before it was established.
    Status(StatusCode),
    /// The other side was heard.
    Audio,
    /// The other side was not heard.
    Silence,
    /// Media was encrypted.
    Encrypted,
    /// The other side sent this tone, in hertz, within 2 %.
    Tone(f32),
    /// The other side pressed these digits, in this order.
    Digits(String),
    /// This codec was used.
    Codec(String),
    /// The audio was at least so good.
    Mos(f32),
    /// Every message of ours has arrived, and there was one.
    Delivered,
    /// A message came with this in it.
    Message(String),
    /// A file of this name came, or was taken.
    File(String),
    /// This side ended the call.
    EndedBy(Party),
}

/// What has happened in a call.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings {
    /// Whether it was established.
    pub(super) answered: bool,
    /// The status that it failed with.
    pub(super) status: Option<StatusCode>,
    /// The loudest that the other side was, in dBFS.
    pub(super) loudest: Option<f32>,
    /// Whether the audio was encrypted.
    pub(super) encrypted: bool,
    /// The strongest tone of what was heard, in hertz; none if it was no tone.
    pub(super) tone: Option<f32>,
    /// The digits that were pressed.
    pub(super) digits: String,
    /// The codec.
    pub(super) codec: Option<String>,
    /// The worst opinion score while it was up.
    pub(super) mos: Option<f32>,
    /// The messages that came.
    pub(super) messages: Vec<String>,
    /// How many of ours have arrived.
    pub(super) delivered: u32,
    /// How many have not.
    pub(super) undelivered: u32,
    /// The files that came, or were taken.
    pub(super) files: Vec<String>,
    /// Who ended it.
    pub(super) ended_by: Option<Party>,
}

/// Below this nobody speaks, in dBFS.
pub(super) const QUIET: f32 = -55.0;

impl Expectation {
    /// Whether it can only be known from what was heard.
    pub(super) fn listens(&self) -> bool {
        matches!(self, Expectation::Tone(_))
    }

    /// Whether it is about what is written.
    pub(super) fn is_of_messages(&self) -> bool {
        matches!(self, Expectation::Message(_) | Expectation::Delivered)
    }

    /// Whether it was met.
    pub(super) fn is_met(&self, found: &Findings) -> bool {
        let heard = found.loudest.is_some_and(|loudest| loudest > QUIET);
        match self {
            Expectation::Answered => found.answered,
            Expectation::Busy => found.status.is_some_and(|status| [486, 600].contains(&status.code())),
            Expectation::Rejected => !found.answered && found.status.is_some_and(|status| status.code() >= 400),
            Expectation::Status(wanted) => found.status == Some(*wanted),
            Expectation::Audio => heard,
            Expectation::Silence => found.answered && !heard,
            Expectation::Encrypted => found.encrypted,
            Expectation::Tone(wanted) => found.tone.is_some_and(|tone| (tone - wanted).abs() <= wanted * 0.02),
            Expectation::Digits(wanted) => found.digits.contains(wanted),
            Expectation::Codec(wanted) => found.codec.as_ref().is_some_and(|codec| codec.eq_ignore_ascii_case(wanted)),
            Expectation::Mos(wanted) => found.mos.is_some_and(|mos| mos >= *wanted),
            Expectation::Delivered => found.delivered > 0 && found.undelivered == 0,
            Expectation::Message(wanted) => found.messages.iter().any(|message| message.contains(wanted)),
            Expectation::File(wanted) => found.files.contains(wanted),
            Expectation::EndedBy(party) => found.ended_by == Some(*party),
        }
    }

    /// What was found instead, in words.
    pub(super) fn instead(&self, found: &Findings) -> String {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "nothing".to_owned());
        match self {
            Expectation::Answered | Expectation::Busy | Expectation::Rejected | Expectation::Status(_) => {
                match (found.answered, found.status) {
                    (true, _) => "it was answered".to_owned(),
                    (false, Some(status)) => format!("it failed with {status}"),
                    (false, None) => "it was not answered".to_owned(),
                }
            }
            Expectation::Audio | Expectation::Silence => match found.loudest {
                Some(loudest) => format!("the loudest was {loudest:.0} dBFS"),
                None => "nothing was heard".to_owned(),
            },
            Expectation::Encrypted => "it was not encrypted".to_owned(),
            Expectation::Tone(_) => or_none(found.tone.map(|tone| format!("a tone of {tone:.0} Hz"))),
            Expectation::Digits(_) => format!("digits {:?}", found.digits),
            Expectation::Codec(_) => or_none(found.codec.clone()),
            Expectation::Mos(_) => or_none(found.mos.map(|mos| format!("{mos:.1}"))),
            Expectation::Delivered => format!("{} delivered and {} not", found.delivered, found.undelivered),
            Expectation::Message(_) => format!("messages {:?}", found.messages),
            Expectation::File(_) => format!("files {:?}", found.files),
            Expectation::EndedBy(_) => or_none(found.ended_by.map(|party| party.name().to_owned())),
        }
    }
}

impl FromStr for Expectation {
    type Err = String;

    fn from_str(text: &str) -> Result<Expectation, String> {
        let bad = || {
            format!(
                "{text:?} can't be expected: there are answered, busy, rejected, a status such as 486, audio, silence, \
                 encrypted, tone:440, dtmf:123#, codec:opus, mos:4.0, delivered, message:TEXT, file:NAME and \
                 ended-by:remote"
            )
        };
        let number = |text: &str| text.parse::<f32>().ok().filter(|number| number.is_finite()).ok_or_else(bad);
        Ok(match text.split_once(':') {
            None => match text {
                "answered" => Expectation::Answered,
                "busy" => Expectation::Busy,
                "rejected" => Expectation::Rejected,
                "audio" => Expectation::Audio,
                "silence" => Expectation::Silence,
                "encrypted" => Expectation::Encrypted,
                "delivered" => Expectation::Delivered,
                status => {
                    let status = status.parse().ok().and_then(StatusCode::new);
                    Expectation::Status(status.filter(|status| status.code() >= 300).ok_or_else(bad)?)
                }
            },
            Some(("tone", hertz)) => Expectation::Tone(number(hertz)?),
            Some(("dtmf", digits)) if !digits.is_empty() => Expectation::Digits(digits.to_owned()),
            Some(("codec", name)) if !name.is_empty() => Expectation::Codec(name.to_owned()),
            Some(("mos", score)) => Expectation::Mos(number(score)?),
            Some(("message", text)) if !text.is_empty() => Expectation::Message(text.to_owned()),
            Some(("file", name)) if !name.is_empty() => Expectation::File(name.to_owned()),
            Some(("ended-by", "local")) => Expectation::EndedBy(Party::Local),
            Some(("ended-by", "remote")) => Expectation::EndedBy(Party::Remote),
            Some(_) => return Err(bad()),
        })
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expectation::Answered => f.write_str("answered"),
            Expectation::Busy => f.write_str("busy"),
            Expectation::Rejected => f.write_str("rejected"),
            Expectation::Status(status) => write!(f, "{}", status.code()),
            Expectation::Audio => f.write_str("audio"),
            Expectation::Silence => f.write_str("silence"),
            Expectation::Encrypted => f.write_str("encrypted"),
            Expectation::Tone(hertz) => write!(f, "tone:{hertz}"),
            Expectation::Digits(digits) => write!(f, "dtmf:{digits}"),
            Expectation::Codec(name) => write!(f, "codec:{name}"),
            Expectation::Mos(score) => write!(f, "mos:{score}"),
            Expectation::Delivered => f.write_str("delivered"),
            Expectation::Message(text) => write!(f, "message:{text}"),
            Expectation::File(name) => write!(f, "file:{name}"),
            Expectation::EndedBy(party) => write!(f, "ended-by:{}", party.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expects(text: &str) -> Expectation {
        let expectation: Expectation = text.parse().unwrap();
        assert_eq!(expectation.to_string().parse::<Expectation>().unwrap(), expectation);
        expectation
    }

    #[test]
    fn a_busy_callee_is_what_was_expected_and_an_answer_is_not() {
        let busy = Findings { status: StatusCode::new(486), ..Findings::default() };
        let answered = Findings { answered: true, ..Findings::default() };
        for expectation in ["busy", "rejected", "486"].map(expects) {
            assert!(expectation.is_met(&busy) && !expectation.is_met(&answered));
        }
        assert!(!expects("487").is_met(&busy));
        assert!(expects("answered").is_met(&answered) && !expects("answered").is_met(&busy));
    }

    #[test]
    fn a_tone_may_be_two_percent_off() {
        let found = |tone| Findings { tone: Some(tone), ..Findings::default() };
        assert!(expects("tone:440").is_met(&found(447.0)));
        assert!(!expects("tone:440").is_met(&found(460.0)));
        assert!(!expects("tone:440").is_met(&Findings::default()));
    }

    #[test]
    fn digits_are_expected_in_their_order() {
        let found = Findings { digits: "9123#".into(), ..Findings::default() };
        assert!(expects("dtmf:123#").is_met(&found));
        assert!(!expects("dtmf:321").is_met(&found));
        assert_eq!(expects("dtmf:321").instead(&found), "digits \"9123#\"");
    }

    #[test]
    fn what_can_not_be_expected_is_refused_with_what_can() {
        for wrong in ["happiness", "tone:loud", "200", "ended-by:me", "dtmf:"] {
            let error = wrong.parse::<Expectation>().unwrap_err();
            assert!(error.contains("there are answered, busy"), "{error}");
        }
    }
}
