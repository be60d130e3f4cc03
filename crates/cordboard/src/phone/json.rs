//! A notification as one line of JSON: `timestamp`, `name`, who tells (`session`, `account`), and its data.

use client::{Data, Notification, Party, Sender, Streams};
use serde_json::{Map, Value, json};

use super::time::timestamp;

/// The line, without its end.
pub(super) fn line(notification: &Notification) -> String {
    let mut object = Map::new();
    object.insert("timestamp".into(), timestamp(notification.timestamp).into());
    object.insert("name".into(), notification.name().into());
    match notification.sender {
        Sender::Session(session) => object.insert("session".into(), session.0.into()),
        Sender::Account(account) => object.insert("account".into(), account.0.into()),
        Sender::Engine => None,
    };
    if let Value::Object(data) = data(&notification.data) {
        // What has no value is left out.
        object.extend(data.into_iter().filter(|(_, value)| !value.is_null()));
    }
    Value::Object(object).to_string()
}

fn data(data: &Data) -> Value {
    match data {
        Data::SessionChangedState { prev_state, state } => {
            json!({ "prev_state": prev_state.name(), "state": state.name() })
        }
        Data::SessionNewIncoming { streams: of }
        | Data::SessionNewOutgoing { streams: of }
        | Data::SessionGotStreamUpdate { streams: of } => json!({ "streams": streams(*of) }),
        Data::SessionGotProvisionalResponse { code, reason } | Data::SessionTransferGotProgress { code, reason } => {
            json!({ "code": code.code(), "reason": &**reason })
        }
        Data::SessionDidFail { originator, code, reason, redirect } => json!({
            "originator": originator.name(),
            "code": code.map_or(0, |code| code.code()),
            "reason": &**reason,
            "redirect": (!redirect.is_empty()).then(|| redirect.iter().map(ToString::to_string).collect::<Vec<_>>()),
        }),
        Data::SessionDidEnd { originator, reason } => {
            json!({ "originator": originator.name(), "reason": reason.as_deref() })
        }
        Data::SessionGotHoldRequest { originator } | Data::SessionGotUnholdRequest { originator } => by(*originator),
        Data::SessionWillStartRecordingAudio { file_name }
        | Data::SessionDidStartRecordingAudio { file_name }
        | Data::SessionWillStopRecordingAudio { file_name } => json!({ "file_name": file_name.display().to_string() }),
        Data::SessionDidStopRecordingAudio { file_name, error } | Data::WavePlayerDidEnd { file_name, error } => {
            json!({ "file_name": file_name.display().to_string(), "error": error.as_deref() })
        }
        Data::SessionGotDtmf { digit } => json!({ "digit": digit.to_string() }),
        Data::SessionGotStreamProposal { proposer, streams: of } => {
            json!({ "proposer": proposer.name(), "streams": streams(*of) })
        }
        Data::SessionAcceptedStreamProposal { proposer } => json!({ "proposer": proposer.name() }),
        Data::SessionRejectedStreamProposal { proposer, reason } => {
            json!({ "proposer": proposer.name(), "reason": &**reason })
        }
        Data::SessionGotMessage { content, content_type, cpim_headers } => json!({
            "content": String::from_utf8_lossy(content),
            "content_type": &**content_type,
            "cpim_headers": cpim_headers.iter().map(|(name, value)| [&**name, &**value]).collect::<Vec<_>>(),
        }),
        Data::SessionDidDeliverMessage { message_id, code, reason }
        | Data::SessionDidNotDeliverMessage { message_id, code, reason } => {
            json!({ "message_id": &**message_id, "code": code, "reason": &**reason })
        }
        Data::ChatStreamGotComposingIndication { sender, is_active, refresh, content_type } => json!({
            "sender": sender.as_deref(),
            "is_active": is_active,
            "refresh": refresh.map(|refresh| refresh.as_secs()),
            "content_type": content_type.as_deref(),
        }),
        Data::ChatStreamGotDispositionNotification { message_id, recipient, notification, status } => json!({
            "message_id": &**message_id,
            "recipient": recipient.as_deref(),
            "notification": &**notification,
            "status": &**status,
        }),
        Data::ChatStreamDidSetNickname { nickname } => json!({ "nickname": &**nickname }),
        Data::ChatStreamDidNotSetNickname { nickname, code, reason } => {
            json!({ "nickname": &**nickname, "code": code, "reason": &**reason })
        }
        Data::FileTransferHandlerProgress { transferred_bytes, total_bytes } => {
            json!({ "transferred_bytes": transferred_bytes, "total_bytes": total_bytes })
        }
        Data::FileTransferHandlerDidEnd { file_name, error } => json!({
            "file_name": file_name.as_ref().map(|path| path.display().to_string()),
            "error": error.as_deref(),
        }),
        Data::SessionDidChangeEncryption { encryption } => json!({ "encryption": encryption.as_deref() }),
        Data::SessionTransferNewIncoming { target, replaces } => {
            json!({ "target": target.to_string(), "replaces": replaces })
        }
        Data::SessionTransferNewOutgoing { target } => json!({ "target": target.to_string() }),
        Data::SessionTransferDidFail { code, reason } => {
            json!({ "code": code.map(|code| code.code()), "reason": &**reason })
        }
        Data::SessionGotConferenceInfo { users } => {
            let user = |user: &client::notification::ConferenceUser| {
                json!({
                    "entity": &*user.entity,
                    "display_text": user.display_text.as_deref(),
                    "status": user.status.as_deref(),
                })
            };
            json!({ "users": users.iter().map(user).collect::<Vec<_>>() })
        }
        Data::AccountRegistrationDidSucceed { contact, gruu, expires } => json!({
            "contact": contact.to_string(),
            "gruu": gruu.as_ref().map(ToString::to_string),
            "expires": expires.as_secs(),
        }),
        Data::AccountRegistrationDidFail { code, reason, retry_after } => json!({
            "code": code.map(|code| code.code()),
            "reason": &**reason,
            "retry_after": retry_after.map(|after| after.as_secs_f64()),
        }),
        Data::AccountGotMessageSummary { messages_waiting, new, old } => {
            json!({ "messages_waiting": messages_waiting, "new": new, "old": old })
        }
        Data::AccountGotMessage { from, content, content_type } => json!({
            "from": from.to_string(),
            "content": String::from_utf8_lossy(content),
            "content_type": &**content_type,
        }),
        Data::AccountDidDeliverMessage { message_id, code } => {
            json!({ "message_id": &**message_id, "code": code.code() })
        }
        Data::AccountDidNotDeliverMessage { message_id, code, reason } => {
            json!({ "message_id": &**message_id, "code": code.code(), "reason": &**reason })
        }
        Data::AccountGotOptionsResponse { request_id, code, reason, fields } => json!({
            "request_id": &**request_id,
            "code": code.code(),
            "reason": &**reason,
            "fields": fields.iter().map(|(name, value)| [&**name, &**value]).collect::<Vec<_>>(),
        }),
        Data::BonjourAccountDidAddNeighbour { name, uri } => json!({ "neighbour": &**name, "uri": uri.to_string() }),
        Data::BonjourAccountDidRemoveNeighbour { uri } => json!({ "uri": uri.to_string() }),
        Data::EngineDidDropNotifications { count } => json!({ "count": count }),
        Data::EngineDidFail { reason } => json!({ "reason": &**reason }),
        // The others have no data.
        _ => Value::Null,
    }
}

fn by(originator: Party) -> Value {
    json!({ "originator": originator.name() })
}

fn streams(streams: Streams) -> Vec<&'static str> {
    streams.iter().map(client::StreamKind::name).collect()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use client::session::SessionId;

    use super::*;

    #[test]
    fn a_line_has_the_time_the_name_the_session_and_what_is_told() {
        let told = Notification {
            timestamp: SystemTime::UNIX_EPOCH,
            sender: Sender::Session(SessionId(7)),
            data: Data::SessionDidEnd { originator: Party::Remote, reason: None },
        };
        let read: Value = serde_json::from_str(&line(&told)).unwrap();
        let wanted = json!({
            "timestamp": "1970-01-01T00:00:00.000Z", "name": "SIPSessionDidEnd", "session": 7, "originator": "remote",
        });
        assert_eq!(read, wanted);
    }

    #[test]
    fn what_is_not_for_people_stays_on_one_line() {
        let told = Notification {
            timestamp: SystemTime::UNIX_EPOCH,
            sender: Sender::Engine,
            data: Data::EngineDidFail { reason: "two\nlines".into() },
        };
        assert!(!line(&told).contains('\n'));
    }
}
