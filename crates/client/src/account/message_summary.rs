//! What a message-waiting notification says: `application/simple-message-summary`, RFC 3842 §5.2.
//!
//! ```text
//!   Messages-Waiting: yes
//!   Message-Account: sip:alice@vmail.example.com
//!   Voice-Message: 2/8 (0/2)          new/old (urgent new/urgent old)
//! ```

use sip_message::{Headers, header::ContentType};

use crate::notification::Data;

/// The event package.
pub(super) const PACKAGE: &str = "message-summary";
/// Its content.
pub(super) const ACCEPT: &str = "application/simple-message-summary";
/// No summary is longer, in octets.
const MAX_LENGTH: usize = 16 * 1024;

/// What waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// Whether anything does.
    pub(super) waiting: bool,
    /// New voice messages.
    pub(super) new: u32,
    /// Old ones.
    pub(super) old: u32,
}

impl Summary {
    /// Reads the body of a NOTIFY; `None` when it is no summary.
    pub(super) fn of(headers: &Headers, body: &[u8]) -> Option<Summary> {
        let is_summary = match headers.get::<ContentType<'_>>() {
            Some(Ok(content_type)) => content_type.is("application", "simple-message-summary"),
            _ => false,
        };
        if !is_summary || body.len() > MAX_LENGTH {
            return None;
        }
        Summary::parse(std::str::from_utf8(body).ok()?)
    }

    fn parse(text: &str) -> Option<Summary> {
        let mut waiting = None;
        let mut summary = Summary::default();
        for line in text.lines() {
            // Behind an empty line the messages themselves are described (§5.2).
            if line.trim().is_empty() && waiting.is_some() {
                break;
            }
            let Some((name, value)) = line.split_once(':') else { continue };
            let (name, value) = (name.trim(), value.trim());
            if name.eq_ignore_ascii_case("Messages-Waiting") {
                waiting = Some(value.eq_ignore_ascii_case("yes"));
            } else if name.eq_ignore_ascii_case("Voice-Message") {
                (summary.new, summary.old) = counts(value)?;
            }
        }
        // "Messages-Waiting" is the one line that has to be there.
        waiting.map(|waiting| Summary { waiting, ..summary })
    }

    pub(super) fn to_data(self) -> Data {
        Data::AccountGotMessageSummary { messages_waiting: self.waiting, new: self.new, old: self.old }
    }
}

/// `2/8 (0/2)`: new and old. What is urgent of them is counted in them.
fn counts(value: &str) -> Option<(u32, u32)> {
    let plain = value.split('(').next()?;
    let (new, old) = plain.split_once('/')?;
    Some((new.trim().parse().ok()?, old.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3842 §5.2, §5.4.
    #[test]
    fn the_examples_of_the_rfc_are_read() {
        let text =
            "Messages-Waiting: yes\r\nMessage-Account: sip:alice@vmail.example.com\r\nVoice-Message: 2/8 (0/2)\r\n";
        assert_eq!(Summary::parse(text), Some(Summary { waiting: true, new: 2, old: 8 }));
        let details = "Messages-Waiting: yes\r\nVoice-message: 4/8 (1/2)\r\n\r\nTo: <alice@atlanta.example.com>\r\nVoice-Message: 9/9\r\n";
        assert_eq!(Summary::parse(details), Some(Summary { waiting: true, new: 4, old: 8 }));
        assert_eq!(Summary::parse("Messages-Waiting: no\r\n"), Some(Summary::default()));
    }

    #[test]
    fn other_kinds_of_messages_do_not_count_as_voice() {
        let text = "Messages-Waiting: yes\nFax-Message: 3/1\nText-Message: 5/5 (5/5)\n";
        assert_eq!(Summary::parse(text), Some(Summary { waiting: true, new: 0, old: 0 }));
    }

    #[test]
    fn what_is_no_summary_is_none() {
        for text in [
            "",
            "Voice-Message: 2/8",
            "Messages-Waiting: yes\nVoice-Message: many",
            "Messages-Waiting: yes\nVoice-Message: 99999999999/0",
        ] {
            assert_eq!(Summary::parse(text), None, "{text}");
        }
    }
}
