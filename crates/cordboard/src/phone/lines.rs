//! A notification as a line for people.

use client::session::SessionInfo;
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
        Data::SessionGotMessage { content, .. } => format!("Message: {}", printable(&String::from_utf8_lossy(content))),
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
            format!("{from}: {}", printable(&String::from_utf8_lossy(content)))
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
}
