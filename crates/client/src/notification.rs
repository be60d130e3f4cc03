//! What the client tells its application, in the field's grammar: `Will`, `Did`, `Got`.
//!
//! A notification is posted after the state that it tells of has changed, and queued; whoever takes it from the queue
//! holds nobody up.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sip_message::{StatusCode, UriBuf};

use crate::account::AccountId;
use crate::session::{SessionId, State};
use crate::streams::Streams;

/// One of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// Our side.
    Local,
    /// The peer's.
    Remote,
}

impl Party {
    /// The reference's name: `local`, `remote`.
    pub fn name(self) -> &'static str {
        match self {
            Party::Local => "local",
            Party::Remote => "remote",
        }
    }
}

/// A notification with its sender and its time.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// When it was posted.
    pub timestamp: SystemTime,
    /// Who tells.
    pub sender: Sender,
    /// What.
    pub data: Data,
}

/// Who tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sender {
    /// A session.
    Session(SessionId),
    /// An account.
    Account(AccountId),
    /// The engine.
    Engine,
}

/// What is told. The variants follow the reference; [`Data::name`] is its name there.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Data {
    /// `SIPSessionChangedState`: posted before the specific notification of the same step.
    SessionChangedState {
        /// Before.
        prev_state: State,
        /// Now.
        state: State,
    },
    /// `SIPSessionNewIncoming`.
    SessionNewIncoming {
        /// What the peer proposes.
        streams: Streams,
    },
    /// `SIPSessionNewOutgoing`.
    SessionNewOutgoing {
        /// What we propose.
        streams: Streams,
    },
    /// `SIPSessionGotRingIndication`: for each 180.
    SessionGotRingIndication,
    /// `SIPSessionGotProvisionalResponse`: for each 1xx but 100, after the ring indication of a 180.
    SessionGotProvisionalResponse {
        /// The status.
        code: StatusCode,
        /// Its phrase.
        reason: Arc<str>,
    },
    /// `SIPSessionWillStart`: after the final response, before its ACK.
    SessionWillStart,
    /// `SIPSessionDidStart`: after the ACK was sent or received.
    SessionDidStart,
    /// `SIPSessionDidFail`: always followed by `SIPSessionDidEnd`.
    SessionDidFail {
        /// Whose failure.
        originator: Party,
        /// The status, or `None` when none was sent or received (the reference's 0).
        code: Option<StatusCode>,
        /// Why, in words.
        reason: Arc<str>,
        /// Where else the callee may be: the Contacts of a 3xx.
        redirect: Vec<UriBuf>,
    },
    /// `SIPSessionWillEnd`: only when the application ends it.
    SessionWillEnd,
    /// `SIPSessionDidEnd`.
    SessionDidEnd {
        /// Who ended it.
        originator: Party,
        /// Why, where something says so: the Reason of a BYE (RFC 3326), a timeout, the session that has taken its place.
        reason: Option<Arc<str>>,
    },
    /// `SIPSessionGotHoldRequest`.
    SessionGotHoldRequest {
        /// Who holds.
        originator: Party,
    },
    /// `SIPSessionGotUnholdRequest`.
    SessionGotUnholdRequest {
        /// Who held.
        originator: Party,
    },
    /// `SIPSessionWillStartRecordingAudio`.
    SessionWillStartRecordingAudio {
        /// The full path.
        file_name: PathBuf,
    },
    /// `SIPSessionDidStartRecordingAudio`.
    SessionDidStartRecordingAudio {
        /// The full path.
        file_name: PathBuf,
    },
    /// `SIPSessionWillStopRecordingAudio`.
    SessionWillStopRecordingAudio {
        /// The full path.
        file_name: PathBuf,
    },
    /// `SIPSessionDidStopRecordingAudio`.
    SessionDidStopRecordingAudio {
        /// The full path.
        file_name: PathBuf,
        /// Why it stopped without being asked to: a full disk, a missing right.
        error: Option<Arc<str>>,
    },
    /// `SIPSessionGotNoAudio`: once, a while after the audio stream has started, if nothing was heard.
    SessionGotNoAudio,
    /// `SIPSessionGotDTMF`.
    SessionGotDtmf {
        /// One of `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
    },
    /// `SIPSessionGotStreamProposal`.
    SessionGotStreamProposal {
        /// Who proposes.
        proposer: Party,
        /// What.
        streams: Streams,
    },
    /// `SIPSessionAcceptedStreamProposal`.
    SessionAcceptedStreamProposal {
        /// Who proposed.
        proposer: Party,
    },
    /// `SIPSessionRejectedStreamProposal`.
    SessionRejectedStreamProposal {
        /// Who proposed.
        proposer: Party,
        /// Why.
        reason: Arc<str>,
    },
    /// `SIPSessionGotStreamUpdate`: these streams are active from now on.
    SessionGotStreamUpdate {
        /// All that are active.
        streams: Streams,
    },
    /// `SIPSessionGotMessage`: on the chat stream, or a MESSAGE within the dialog.
    SessionGotMessage {
        /// The body.
        content: bytes::Bytes,
        /// Its Content-Type.
        content_type: Arc<str>,
        /// The headers of the CPIM wrapper, in their order; empty without one.
        cpim_headers: Vec<(Arc<str>, Arc<str>)>,
    },
    /// `SIPSessionDidDeliverMessage`.
    SessionDidDeliverMessage {
        /// What `send_message` returned.
        message_id: Arc<str>,
        /// The code of the report.
        code: u16,
        /// Its phrase.
        reason: Arc<str>,
    },
    /// `SIPSessionDidNotDeliverMessage`.
    SessionDidNotDeliverMessage {
        /// What `send_message` returned.
        message_id: Arc<str>,
        /// The code of the report; 0 when there is none.
        code: u16,
        /// Why.
        reason: Arc<str>,
    },
    /// `ChatStreamGotComposingIndication`: somebody writes, or does not write any more (RFC 3994).
    ChatStreamGotComposingIndication {
        /// Who, if the message was wrapped: in a room it may be anybody.
        sender: Option<Arc<str>>,
        /// Whether.
        is_active: bool,
        /// For how long that holds if nothing else comes; the idle notice follows by itself.
        refresh: Option<Duration>,
        /// What is being written.
        content_type: Option<Arc<str>>,
    },
    /// `ChatStreamGotDispositionNotification`: what has become of a message of ours (RFC 5438).
    ChatStreamGotDispositionNotification {
        /// What `send_message` returned.
        message_id: Arc<str>,
        /// Who tells, if that is said.
        recipient: Option<Arc<str>>,
        /// What it tells of: `delivery`, `display`, `processing`.
        notification: Arc<str>,
        /// `delivered`, `displayed`, `failed`, `forbidden`, `error`, …
        status: Arc<str>,
    },
    /// `ChatStreamDidSetNickname`: the room knows us by it from now on; none if it is empty.
    ChatStreamDidSetNickname {
        /// Which.
        nickname: Arc<str>,
    },
    /// `ChatStreamDidNotSetNickname`.
    ChatStreamDidNotSetNickname {
        /// Which.
        nickname: Arc<str>,
        /// The room's answer; 0 when there is none.
        code: u16,
        /// Why.
        reason: Arc<str>,
    },
    /// `FileTransferHandlerProgress`.
    FileTransferHandlerProgress {
        /// So many octets.
        transferred_bytes: u64,
        /// Of so many.
        total_bytes: Option<u64>,
    },
    /// `FileTransferHandlerDidEnd`: once for each file, before its session ends.
    FileTransferHandlerDidEnd {
        /// Where it is.
        file_name: Option<PathBuf>,
        /// Why it is not there as a whole.
        error: Option<Arc<str>>,
    },
    /// `SIPSessionDidChangeEncryption`: whether the audio stream is encrypted, and how.
    SessionDidChangeEncryption {
        /// `SDES …`, `DTLS …`, or nothing.
        encryption: Option<Arc<str>>,
    },
    /// `SIPSessionTransferNewIncoming`: the peer asks us to call somebody.
    SessionTransferNewIncoming {
        /// Whom.
        target: UriBuf,
        /// Whether it is to take the place of another session.
        replaces: bool,
    },
    /// `SIPSessionTransferNewOutgoing`: we ask the peer to call somebody.
    SessionTransferNewOutgoing {
        /// Whom.
        target: UriBuf,
    },
    /// `SIPSessionTransferDidStart`: the other side has agreed to try.
    SessionTransferDidStart,
    /// `SIPSessionTransferGotProgress`.
    SessionTransferGotProgress {
        /// The status of the call that the transfer makes.
        code: StatusCode,
        /// Its phrase.
        reason: Arc<str>,
    },
    /// `SIPSessionTransferDidEnd`: the transfer has succeeded.
    SessionTransferDidEnd,
    /// `SIPSessionTransferDidFail`.
    SessionTransferDidFail {
        /// The status; `None` when there is none.
        code: Option<StatusCode>,
        /// Why.
        reason: Arc<str>,
    },
    /// `SIPSessionGotConferenceInfo`: the roster of a conference (RFC 4575).
    SessionGotConferenceInfo {
        /// Those who take part.
        users: Vec<ConferenceUser>,
    },
    /// `SIPAccountRegistrationDidSucceed`.
    AccountRegistrationDidSucceed {
        /// The Contact that was registered.
        contact: UriBuf,
        /// The GRUU that the registrar gave, if it did.
        gruu: Option<UriBuf>,
        /// For how long.
        expires: Duration,
    },
    /// `SIPAccountRegistrationDidFail`.
    AccountRegistrationDidFail {
        /// The status; `None` when there was no response.
        code: Option<StatusCode>,
        /// Why.
        reason: Arc<str>,
        /// When it is tried again.
        retry_after: Option<Duration>,
    },
    /// `SIPAccountRegistrationDidEnd`.
    AccountRegistrationDidEnd,
    /// `SIPAccountGotMessageSummary` (RFC 3842).
    AccountGotMessageSummary {
        /// Whether messages wait.
        messages_waiting: bool,
        /// New voice messages.
        new: u32,
        /// Old ones.
        old: u32,
    },
    /// `SIPAccountGotMessage`: a MESSAGE out of dialog.
    AccountGotMessage {
        /// Who sent it.
        from: UriBuf,
        /// The body.
        content: bytes::Bytes,
        /// Its Content-Type.
        content_type: Arc<str>,
    },
    /// `SIPAccountDidDeliverMessage`.
    AccountDidDeliverMessage {
        /// What `send_message` returned.
        message_id: Arc<str>,
        /// 200, or 202 when it was stored.
        code: StatusCode,
    },
    /// `SIPAccountDidNotDeliverMessage`.
    AccountDidNotDeliverMessage {
        /// What `send_message` returned.
        message_id: Arc<str>,
        /// The status.
        code: StatusCode,
        /// Why.
        reason: Arc<str>,
    },
    /// `SIPAccountGotOptionsResponse`: what an OPTIONS was answered.
    AccountGotOptionsResponse {
        /// What `options` returned.
        request_id: Arc<str>,
        /// The status.
        code: StatusCode,
        /// Its phrase.
        reason: Arc<str>,
        /// The fields worth telling: Allow, Accept, Supported, User-Agent, Server.
        fields: Vec<(Arc<str>, Arc<str>)>,
    },
    /// `BonjourAccountDidAddNeighbour`.
    BonjourAccountDidAddNeighbour {
        /// Its name.
        name: Arc<str>,
        /// Where it is.
        uri: UriBuf,
    },
    /// `BonjourAccountDidRemoveNeighbour`.
    BonjourAccountDidRemoveNeighbour {
        /// Where it was.
        uri: UriBuf,
    },
    /// `WavePlayerDidEnd`: a file that was played into the session has come to its end.
    WavePlayerDidEnd {
        /// The file.
        file_name: PathBuf,
        /// Why it ended before.
        error: Option<Arc<str>>,
    },
    /// `SIPEngineDidDropNotifications`: whoever reads this was too slow, and so many are lost to him.
    EngineDidDropNotifications {
        /// How many.
        count: u64,
    },
    /// `SIPEngineDidStart`.
    EngineDidStart,
    /// `SIPEngineDidEnd`.
    EngineDidEnd,
    /// `SIPEngineDidFail`.
    EngineDidFail {
        /// Why.
        reason: Arc<str>,
    },
}

/// One who takes part in a conference (RFC 4575 §5.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConferenceUser {
    /// The address.
    pub entity: Arc<str>,
    /// The name to show.
    pub display_text: Option<Arc<str>>,
    /// `connected`, `on-hold`, `disconnected`, …
    pub status: Option<Arc<str>>,
}

impl Data {
    /// The reference's name.
    pub fn name(&self) -> &'static str {
        match self {
            Data::SessionChangedState { .. } => "SIPSessionChangedState",
            Data::SessionNewIncoming { .. } => "SIPSessionNewIncoming",
            Data::SessionNewOutgoing { .. } => "SIPSessionNewOutgoing",
            Data::SessionGotRingIndication => "SIPSessionGotRingIndication",
            Data::SessionGotProvisionalResponse { .. } => "SIPSessionGotProvisionalResponse",
            Data::SessionWillStart => "SIPSessionWillStart",
            Data::SessionDidStart => "SIPSessionDidStart",
            Data::SessionDidFail { .. } => "SIPSessionDidFail",
            Data::SessionWillEnd => "SIPSessionWillEnd",
            Data::SessionDidEnd { .. } => "SIPSessionDidEnd",
            Data::SessionGotHoldRequest { .. } => "SIPSessionGotHoldRequest",
            Data::SessionGotUnholdRequest { .. } => "SIPSessionGotUnholdRequest",
            Data::SessionWillStartRecordingAudio { .. } => "SIPSessionWillStartRecordingAudio",
            Data::SessionDidStartRecordingAudio { .. } => "SIPSessionDidStartRecordingAudio",
            Data::SessionWillStopRecordingAudio { .. } => "SIPSessionWillStopRecordingAudio",
            Data::SessionDidStopRecordingAudio { .. } => "SIPSessionDidStopRecordingAudio",
            Data::SessionGotNoAudio => "SIPSessionGotNoAudio",
            Data::SessionGotDtmf { .. } => "SIPSessionGotDTMF",
            Data::SessionGotStreamProposal { .. } => "SIPSessionGotStreamProposal",
            Data::SessionAcceptedStreamProposal { .. } => "SIPSessionAcceptedStreamProposal",
            Data::SessionRejectedStreamProposal { .. } => "SIPSessionRejectedStreamProposal",
            Data::SessionGotStreamUpdate { .. } => "SIPSessionGotStreamUpdate",
            Data::SessionGotMessage { .. } => "SIPSessionGotMessage",
            Data::SessionDidDeliverMessage { .. } => "SIPSessionDidDeliverMessage",
            Data::SessionDidNotDeliverMessage { .. } => "SIPSessionDidNotDeliverMessage",
            Data::ChatStreamGotComposingIndication { .. } => "ChatStreamGotComposingIndication",
            Data::ChatStreamGotDispositionNotification { .. } => "ChatStreamGotDispositionNotification",
            Data::ChatStreamDidSetNickname { .. } => "ChatStreamDidSetNickname",
            Data::ChatStreamDidNotSetNickname { .. } => "ChatStreamDidNotSetNickname",
            Data::FileTransferHandlerProgress { .. } => "FileTransferHandlerProgress",
            Data::FileTransferHandlerDidEnd { .. } => "FileTransferHandlerDidEnd",
            Data::SessionDidChangeEncryption { .. } => "SIPSessionDidChangeEncryption",
            Data::SessionTransferNewIncoming { .. } => "SIPSessionTransferNewIncoming",
            Data::SessionTransferNewOutgoing { .. } => "SIPSessionTransferNewOutgoing",
            Data::SessionTransferDidStart => "SIPSessionTransferDidStart",
            Data::SessionTransferGotProgress { .. } => "SIPSessionTransferGotProgress",
            Data::SessionTransferDidEnd => "SIPSessionTransferDidEnd",
            Data::SessionTransferDidFail { .. } => "SIPSessionTransferDidFail",
            Data::SessionGotConferenceInfo { .. } => "SIPSessionGotConferenceInfo",
            Data::AccountRegistrationDidSucceed { .. } => "SIPAccountRegistrationDidSucceed",
            Data::AccountRegistrationDidFail { .. } => "SIPAccountRegistrationDidFail",
            Data::AccountRegistrationDidEnd => "SIPAccountRegistrationDidEnd",
            Data::AccountGotMessageSummary { .. } => "SIPAccountGotMessageSummary",
            Data::AccountGotMessage { .. } => "SIPAccountGotMessage",
            Data::AccountDidDeliverMessage { .. } => "SIPAccountDidDeliverMessage",
            Data::AccountDidNotDeliverMessage { .. } => "SIPAccountDidNotDeliverMessage",
            Data::AccountGotOptionsResponse { .. } => "SIPAccountGotOptionsResponse",
            Data::BonjourAccountDidAddNeighbour { .. } => "BonjourAccountDidAddNeighbour",
            Data::BonjourAccountDidRemoveNeighbour { .. } => "BonjourAccountDidRemoveNeighbour",
            Data::WavePlayerDidEnd { .. } => "WavePlayerDidEnd",
            Data::EngineDidDropNotifications { .. } => "SIPEngineDidDropNotifications",
            Data::EngineDidStart => "SIPEngineDidStart",
            Data::EngineDidEnd => "SIPEngineDidEnd",
            Data::EngineDidFail { .. } => "SIPEngineDidFail",
        }
    }
}

impl Notification {
    /// The reference's name.
    pub fn name(&self) -> &'static str {
        self.data.name()
    }
}
