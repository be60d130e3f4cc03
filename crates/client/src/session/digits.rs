//! Digits: as telephone-events or tones by the media side (RFC 4733), or in INFO requests, as gateways of old have them
//! (`application/dtmf-relay`, `application/dtmf`; both without a document of their own).

use std::time::Duration;

use sip_dialog::invite::{Input, ServerKey};
use sip_message::{HeaderName, Method, Request, Response, StatusCode};

use super::core::Session;
use super::work::Work;
use crate::error::ClientError;
use crate::media::MediaCommand;
use crate::notification::Data;
use crate::settings::DtmfMode;
use crate::streams::StreamKind;

/// How long a digit is pressed.
const PRESS: Duration = Duration::from_millis(160);

impl Session {
    /// Sends a digit.
    pub(crate) fn send_dtmf(&mut self, work: &mut Work<'_>, digit: char) -> Result<(), ClientError> {
        if !is_digit(digit) {
            return Err(ClientError::InvalidDigit(digit));
        }
        let Some(stream) = self.audio().filter(|stream| !stream.closed).map(|stream| stream.id) else {
            return Err(ClientError::NoStream(StreamKind::Audio));
        };
        match work.settings.audio.dtmf {
            DtmfMode::Rtp | DtmfMode::Inband => {
                work.order(MediaCommand::SendDigit { stream, digit, duration: PRESS });
            }
            DtmfMode::Info => self.send_info(work, digit)?,
        }
        self.play_digit(work, digit);
        Ok(())
    }

    fn send_info(&mut self, work: &mut Work<'_>, digit: char) -> Result<(), ClientError> {
        let Some((dialog, mut info)) = self.create_request(work, Method::Info) else {
            return Err(self.illegal("send_dtmf"));
        };
        let body = format!("Signal={digit}\r\nDuration={}\r\n", PRESS.as_millis());
        info.set_body("application/dtmf-relay", body).map_err(|error| ClientError::Stack(error.to_string().into()))?;
        self.step(work, Input::Send { dialog, request: info })
            .map_err(|misuse| ClientError::Stack(misuse.to_string().into()))
    }

    /// The peer has pressed a digit.
    pub(super) fn got_digit(&mut self, work: &mut Work<'_>, digit: char) {
        let digit = digit.to_ascii_uppercase();
        if is_digit(digit) && self.is_up() {
            self.post(work, Data::SessionGotDtmf { digit });
            self.play_digit(work, digit);
        }
    }

    /// An INFO has come.
    pub(super) fn got_info(&mut self, work: &mut Work<'_>, transaction: ServerKey, request: &Request) {
        let content_type = request.headers().first(HeaderName::ContentType).unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let body = String::from_utf8_lossy(request.body());
        let (status, digit) = match &*media_type {
            "application/dtmf-relay" => (StatusCode::OK, digit_of_relay(&body)),
            "application/dtmf" => (StatusCode::OK, digit_of_event(body.trim())),
            _ if request.body().is_empty() => (StatusCode::OK, None),
            _ => (StatusCode::UNSUPPORTED_MEDIA_TYPE, None),
        };
        let mut response = Response::to(request, status);
        if !status.is_success() {
            let _ = response.headers_mut().set(HeaderName::Accept, "application/dtmf-relay, application/dtmf");
        }
        self.respond(work, transaction, response);
        if let Some(digit) = digit {
            self.got_digit(work, digit);
        }
    }
}

/// Whether it is one that a telephone has.
fn is_digit(digit: char) -> bool {
    matches!(digit, '0'..='9' | '*' | '#' | 'A'..='D')
}

/// `Signal=5`, or the number of a telephone-event: `Signal=11` is `#`.
fn digit_of_relay(body: &str) -> Option<char> {
    let lines = body.lines().filter_map(|line| line.split_once('='));
    let mut signals = lines.filter(|(name, _)| name.trim().eq_ignore_ascii_case("signal"));
    signals.next().and_then(|(_, value)| digit_of_event(value.trim()))
}

fn digit_of_event(text: &str) -> Option<char> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(digit), None) => Some(digit.to_ascii_uppercase()).filter(|digit| is_digit(*digit)),
        // RFC 4733 §3.2, table 3.
        _ => match text {
            "10" => Some('*'),
            "11" => Some('#'),
            "12" => Some('A'),
            "13" => Some('B'),
            "14" => Some('C'),
            "15" => Some('D'),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_a_character_or_the_number_of_an_event() {
        assert_eq!(digit_of_relay("Signal=5\r\nDuration=160\r\n"), Some('5'));
        assert_eq!(digit_of_relay("Duration= 250\nsignal= #\n"), Some('#'));
        assert_eq!(digit_of_relay("Signal=11\r\n"), Some('#'));
        assert_eq!(digit_of_event("d"), Some('D'));
    }

    #[test]
    fn what_is_no_digit_is_none() {
        assert_eq!(digit_of_relay("Signal=\r\n"), None);
        assert_eq!(digit_of_relay("Duration=160"), None);
        assert_eq!(digit_of_event("flash"), None);
        assert_eq!(digit_of_event("16"), None);
    }
}
