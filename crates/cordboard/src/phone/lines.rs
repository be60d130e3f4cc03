//! A notification as a line for people.

use std::sync::Arc;

use client::session::{CallDirection, SessionInfo};
use client::{Data, Party};

use super::time::span;

/// What is said of it; nothing where there is nothing to say to people.
pub(super) fn line(data: &Data, info: Option<&SessionInfo>) -> Option<String> {
    let peer = || info.and_then(SessionInfo::remote_uri).map_or_else(|| "somebody".to_owned(), |uri| uri.to_string());
    Some(match data {
        Data::SessionNewOutgoing { .. } => format!("Calling {}", peer()),
        Data::SessionNewIncoming { streams } => {
            let kinds: Vec<_> = streams.iter().map(client::StreamKind::name).collect();
            format!("Incoming {} from {}", kinds.join(" and "), peer())
        }
        Data::SessionGotRingIndication => "Ringing".to_owned(),
        Data::SessionGotProvisionalResponse { code, reason } if code.code() != 180 => {
            format!("In progress: {} {reason}", code.code())
        }
        Data::SessionDidStart => "Connected".to_owned(),
        Data::SessionGotStreamUpdate { streams } if streams.audio => {
            let codec = info.and_then(|info| Some((info.audio_codec.clone()?, info.audio_sample_rate?)));
            match codec {
                Some((codec, rate)) => format!("Audio: {codec} at {rate} Hz"),
                None => "Audio".to_owned(),
            }
        }
        Data::SessionDidChangeEncryption { encryption } => match encryption {
            Some(how) => format!("Encrypted: {how}"),
            None => "Not encrypted".to_owned(),
        },
        Data::SessionGotHoldRequest { originator } => match originator {
            Party::Local => "Held".to_owned(),
            Party::Remote => "The other side holds".to_owned(),
        },
        Data::SessionGotUnholdRequest { originator } => match originator {
            Party::Local => "Held no longer".to_owned(),
            Party::Remote => "The other side holds no longer".to_owned(),
        },
        Data::SessionDidStartRecordingAudio { file_name } => format!("Recording to {}", file_name.display()),
        Data::SessionDidStopRecordingAudio { file_name, error } => match error {
            Some(error) => format!("The recording {} has stopped: {error}", file_name.display()),
            None => format!("Recorded {}", file_name.display()),
        },
        Data::WavePlayerDidEnd { file_name, error } => match error {
            Some(error) => format!("{} can't be played: {error}", file_name.display()),
            None => format!("Played {}", file_name.display()),
        },
        Data::SessionGotNoAudio => "Nothing is heard from the other side".to_owned(),
        Data::SessionGotDtmf { digit } => format!("Digit {digit}"),
        Data::SessionGotStreamProposal { proposer: Party::Remote, streams } => {
            let kinds: Vec<_> = streams.iter().map(client::StreamKind::name).collect();
            format!("The other side proposes {}", kinds.join(" and "))
        }
        Data::SessionRejectedStreamProposal { reason, .. } => format!("Not agreed: {reason}"),
        Data::SessionGotMessage { content, content_type, .. } => {
            format!("Message: {}", indented(&text_of(content, content_type)))
        }
        Data::SessionDidDeliverMessage { .. } => "Message delivered".to_owned(),
        Data::SessionDidNotDeliverMessage { code, reason, .. } => {
            format!("Message not delivered: {}", refusal(*code, reason))
        }
        Data::ChatStreamDidSetNickname { nickname } if nickname.is_empty() => "No nickname any more".to_owned(),
        Data::ChatStreamDidSetNickname { nickname } => format!("Known as {}", printable(nickname)),
        Data::ChatStreamDidNotSetNickname { nickname, code, reason } => {
            format!("Not known as {}: {code} {}", printable(nickname), printable(reason))
        }
        Data::FileTransferHandlerDidEnd { file_name, error } => {
            let name = file_name.as_ref().map_or_else(|| "the file".to_owned(), |path| path.display().to_string());
            let is_ours = info.is_some_and(|info| info.direction == Some(CallDirection::Outgoing));
            match (error, is_ours) {
                (None, true) => format!("Sent {}", printable(&name)),
                (None, false) => format!("Received {}", printable(&name)),
                (Some(error), true) => format!("Not sent: {}", printable(error)),
                (Some(error), false) => format!("Not received: {}", printable(error)),
            }
        }
        Data::SessionTransferNewIncoming { target, .. } => format!("The other side wants us to call {target}"),
        Data::SessionTransferNewOutgoing { target } => format!("Asking the other side to call {target}"),
        Data::SessionTransferGotProgress { code, reason } => format!("Transfer: {} {reason}", code.code()),
        Data::SessionTransferDidEnd => "Transferred".to_owned(),
        Data::SessionTransferDidFail { reason, .. } => format!("Not transferred: {reason}"),
        Data::SessionDidFail { code, reason, redirect, .. } => {
            let code = code.map_or_else(String::new, |code| format!("{} ", code.code()));
            let elsewhere: Vec<_> = redirect.iter().map(ToString::to_string).collect();
            let elsewhere =
                if elsewhere.is_empty() { String::new() } else { format!("; try {}", elsewhere.join(", ")) };
            format!("Failed: {code}{}{elsewhere}", printable(reason))
        }
        // What never began was told to have failed.
        Data::SessionDidEnd { originator: Party::Remote, reason: None }
            if info
                .is_some_and(|info| info.start_time.is_none() && info.direction == Some(CallDirection::Outgoing)) =>
        {
            return None;
        }
        Data::SessionDidEnd { originator, reason } => {
            let who = match originator {
                Party::Local => "Ended",
                Party::Remote => "Ended by the other side",
            };
            let reason = reason.as_ref().map_or_else(String::new, |reason| format!(": {}", printable(reason)));
            let lasted = info.and_then(|info| info.stop_time?.duration_since(info.start_time?).ok());
            let lasted = lasted.map_or_else(String::new, |lasted| format!(" after {}", span(lasted)));
            format!("{who}{lasted}{reason}")
        }
        Data::SessionGotConferenceInfo { users } => {
            let users: Vec<_> = users.iter().map(|user| user.display_text.as_ref().unwrap_or(&user.entity)).collect();
            let users: Vec<_> = users.into_iter().map(|user| printable(user)).collect();
            format!("In the conference: {}", users.join(", "))
        }
        Data::AccountRegistrationDidSucceed { contact, expires, .. } => {
            format!("Registered {contact} for {} s", expires.as_secs())
        }
        Data::AccountRegistrationDidFail { code, reason, retry_after } => {
            let code = code.map_or_else(String::new, |code| format!("{} ", code.code()));
            let again = retry_after.map_or_else(String::new, |after| format!("; again in {} s", after.as_secs()));
            format!("Not registered: {code}{}{again}", printable(reason))
        }
        Data::AccountRegistrationDidEnd => "Registered no longer".to_owned(),
        Data::AccountGotMessageSummary { new, old, .. } => format!("Voice messages: {new} new, {old} old"),
        Data::AccountGotMessage { from, content, .. } => {
            format!("{from}: {}", indented(&text_of(content, "")))
        }
        Data::AccountDidDeliverMessage { code, .. } if code.code() == 202 => "Taken for later delivery".to_owned(),
        Data::AccountDidDeliverMessage { .. } => "Delivered".to_owned(),
        Data::AccountDidNotDeliverMessage { code, reason, .. } => {
            format!("Not delivered: {} {}", code.code(), printable(reason))
        }
        Data::AccountGotOptionsResponse { code, reason, fields, .. } => {
            let fields = fields.iter().map(|(name, value)| format!("\n  {name}: {}", printable(value)));
            format!("{} {}{}", code.code(), printable(reason), fields.collect::<String>())
        }
        Data::BonjourAccountDidAddNeighbour { name, uri } => format!("Neighbour {}: {uri}", printable(name)),
        Data::BonjourAccountDidRemoveNeighbour { uri } => format!("Neighbour gone: {uri}"),
        Data::EngineDidDropNotifications { count } => format!("{count} notifications were missed"),
        Data::EngineDidFail { reason } => format!("Failed: {reason}"),
        _ => return None,
    })
}

/// What a message says, for people, with its line breaks. Of what is no text its type and length are said.
pub(super) fn text_of(content: &[u8], content_type: &str) -> String {
    let is_text = content_type.trim_start().get(..5).is_some_and(|begin| begin.eq_ignore_ascii_case("text/"));
    match is_text || content_type.is_empty() {
        true => {
            let text = String::from_utf8_lossy(content).replace('\t', " ");
            text.trim_end().lines().map(printable).collect::<Vec<_>>().join("\n")
        }
        false => printable(&format!("({content_type}, {} octets)", content.len())),
    }
}

/// A text of several lines: those after the first begin further in, so that none can be taken for a line of ours.
pub(super) fn indented(text: &str) -> String {
    text.replace('\n', "\n    ")
}

/// A code and its reason; without the code where there is none.
pub(super) fn refusal(code: u16, reason: &str) -> String {
    match code {
        0 => printable(reason),
        code => format!("{code} {}", printable(reason)),
    }
}

/// A name and an address on a message's wrapper.
pub(super) struct Written {
    name: String,
    /// The address alone.
    pub(super) address: String,
}

impl Written {
    /// What a header of the wrapper says (RFC 3862): `From`, `To`.
    pub(super) fn of(cpim_headers: &[(Arc<str>, Arc<str>)], header: &str) -> Option<Written> {
        let (_, value) = cpim_headers.iter().find(|(name, _)| &**name == header)?;
        let (name, address) = value.split_once('<').unwrap_or(("", value));
        let name = printable(name.trim().trim_matches('"'));
        Some(Written { name, address: printable(address.trim().trim_end_matches('>')) })
    }

    /// The name, else the address.
    pub(super) fn words(self) -> String {
        if self.name.is_empty() { self.address } else { self.name }
    }
}

/// The id by which its sender wants to hear that a message was seen (RFC 5438).
pub(super) fn id_of(cpim_headers: &[(Arc<str>, Arc<str>)]) -> Option<&str> {
    let is_id = |name: &str| name.rsplit('.').next() == Some("Message-ID");
    cpim_headers.iter().find(|(name, _)| is_id(name)).map(|(_, id)| &**id)
}

/// What others wrote, without what a terminal would obey.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_can_not_command_the_terminal() {
        let told = Data::SessionGotMessage {
            content: b"\x1b[2Jboo"[..].into(),
            content_type: "text/plain".into(),
            cpim_headers: Vec::new(),
        };
        assert_eq!(line(&told, None).unwrap(), "Message: \u{fffd}[2Jboo");
    }

    #[test]
    fn the_second_line_of_a_message_is_not_taken_for_a_line_of_ours() {
        assert_eq!(text_of(b"one\r\ntwo\tthree\n", "text/plain"), "one\ntwo three");
        assert_eq!(indented(&text_of(b"one\nbob: I owe you", "")), "one\n    bob: I owe you");
        assert_eq!(text_of(b"\x89PNG", "image/png"), "(image/png, 4 octets)");
    }

    #[test]
    fn a_wrapper_says_who_writes_by_name_or_by_address() {
        let headers = |from: &str| vec![(Arc::from("From"), Arc::from(from))];
        let words = |from: &str| Written::of(&headers(from), "From").unwrap().words();
        assert_eq!(words("\"Alice\" <sip:alice@example.com>"), "Alice");
        assert_eq!(words("<sip:alice@example.com>"), "sip:alice@example.com");
        assert_eq!(Written::of(&headers("Alice <sip:a@b>"), "From").unwrap().address, "sip:a@b");
        assert!(Written::of(&headers("Alice <sip:a@b>"), "To").is_none());
    }
}
