//! Notifications as lines: what a story says that somebody is told.

use client::{Data, Streams};

/// A notification of a session, in one line.
pub fn line(data: &Data) -> String {
    let name = data.name().trim_start_matches("SIPSession");
    let rest = match data {
        Data::SessionChangedState { prev_state, state } => format!("{prev_state} -> {state}"),
        Data::SessionNewIncoming { streams }
        | Data::SessionNewOutgoing { streams }
        | Data::SessionGotStreamUpdate { streams } => kinds(*streams),
        Data::SessionGotProvisionalResponse { code, reason } => format!("{} {reason}", code.code()),
        Data::SessionDidFail { originator, code, reason, redirect } => {
            let code = code.map(|code| format!(" {}", code.code())).unwrap_or_default();
            let redirect: String = redirect.iter().map(|uri| format!(" -> {uri}")).collect();
            format!("{}{code} {reason}{redirect}", originator.name())
        }
        Data::SessionDidEnd { originator, reason } => {
            let reason = reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
            format!("{}{reason}", originator.name())
        }
        Data::SessionGotHoldRequest { originator } | Data::SessionGotUnholdRequest { originator } => {
            originator.name().into()
        }
        Data::SessionWillStartRecordingAudio { file_name }
        | Data::SessionDidStartRecordingAudio { file_name }
        | Data::SessionWillStopRecordingAudio { file_name } => file_name.display().to_string(),
        Data::SessionDidStopRecordingAudio { file_name, error } => {
            let error = error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
            format!("{}{error}", file_name.display())
        }
        Data::SessionGotDtmf { digit } => digit.to_string(),
        Data::SessionGotStreamProposal { proposer, streams } => format!("{} {}", proposer.name(), kinds(*streams)),
        Data::SessionAcceptedStreamProposal { proposer } => proposer.name().into(),
        Data::SessionRejectedStreamProposal { proposer, reason } => format!("{} {reason}", proposer.name()),
        Data::SessionGotMessage { content, content_type, .. } => {
            format!("{content_type} {}", String::from_utf8_lossy(content))
        }
        Data::SessionDidDeliverMessage { code, reason, .. }
        | Data::SessionDidNotDeliverMessage { code, reason, .. } => format!("{code} {reason}"),
        Data::SessionDidChangeEncryption { encryption } => encryption.as_deref().unwrap_or("none").into(),
        Data::SessionTransferNewIncoming { target, replaces } => {
            format!("{target}{}", if *replaces { " replacing" } else { "" })
        }
        Data::SessionTransferNewOutgoing { target } => target.to_string(),
        Data::SessionTransferGotProgress { code, reason } => format!("{} {reason}", code.code()),
        Data::SessionTransferDidFail { code, reason } => match code {
            Some(code) => format!("{} {reason}", code.code()),
            None => reason.to_string(),
        },
        Data::ChatStreamGotComposingIndication { sender, is_active, refresh, .. } => {
            let state = if *is_active { "active" } else { "idle" };
            let refresh = refresh.map(|refresh| format!(" for {} s", refresh.as_secs())).unwrap_or_default();
            format!("{} {state}{refresh}", sender.as_deref().unwrap_or("somebody"))
        }
        Data::ChatStreamGotDispositionNotification { recipient, notification, status, .. } => {
            format!("{} {notification} {status}", recipient.as_deref().unwrap_or("somebody"))
        }
        Data::ChatStreamDidSetNickname { nickname } => nickname.to_string(),
        Data::ChatStreamDidNotSetNickname { nickname, code, reason } => format!("{nickname} {code} {reason}"),
        Data::FileTransferHandlerProgress { transferred_bytes, total_bytes } => {
            format!("{transferred_bytes}/{}", total_bytes.unwrap_or_default())
        }
        Data::FileTransferHandlerDidEnd { file_name, error } => {
            let name = file_name.as_ref().map(|name| name.display().to_string()).unwrap_or_default();
            format!("{name}{}", error.as_ref().map(|error| format!("({error})")).unwrap_or_default())
        }
        _ => String::new(),
    };
    format!("{name} {rest}").trim_end().to_owned()
}

fn kinds(streams: Streams) -> String {
    let names: Vec<&str> = streams.iter().map(client::StreamKind::name).collect();
    if names.is_empty() { "none".into() } else { names.join("+") }
}
