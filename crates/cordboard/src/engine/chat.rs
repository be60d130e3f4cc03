//! Between the client, which knows no MSRP sockets, and `msrp`'s driver, which knows no sessions: what one orders is said to
//! the other, and m-lines are made of the driver's ends and read for it ([`line`]).

mod line;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use client::media::{
    ChatMessage, ChatPlan, ChatPurpose, ChatRelay, FailureReport, FileDescription, MediaCommand, MediaEvent, StreamId,
};
use client::settings::{ChatTransport, Settings};
use msrp::chunk::FailureReport as MsrpFailureReport;
use msrp::description::{self, Role, Setup, answer_setup, offer_setup, role_of_answerer, role_of_offerer};
use msrp::driver::{
    self, Hash, IncomingFile, MsrpCommand, MsrpEngine, MsrpEvent, MsrpHandle, MsrpSettings, OutgoingFile, RelayPlan,
    Remote, StreamKey, TlsSettings, Verification,
};
use msrp::endpoint::{Content, IncomingMessage, MessageId, OutgoingMessage};
use sdp::{MediaDescription, Protocol, SessionDescription};

use super::{EngineError, relay};
use line::{is_behind_relay, m_line, read};

/// The MSRP engine of an engine, and what is known of its streams.
#[derive(Clone)]
pub(super) struct Chat {
    handle: MsrpHandle,
    engine: Arc<Mutex<Option<MsrpEngine>>>,
    streams: Streams,
    tell: Tell,
}

type Tell = Arc<dyn Fn(MediaEvent) + Send + Sync>;
type Streams = Arc<Mutex<HashMap<StreamId, Stream>>>;

struct Stream {
    plan: ChatPlan,
    /// What we have said of who connects.
    setup: Setup,
    /// The octets of a file that we have already.
    kept: u64,
    /// Whether the peer is known.
    applied: bool,
    /// Whether its file is through: that the connection goes then is no news.
    file_ended: bool,
}

impl Chat {
    pub(super) fn start(
        settings: &Settings,
        tap: Option<Arc<dyn driver::Tap>>,
        tell: impl Fn(MediaEvent) + Send + Sync + 'static,
    ) -> Result<Chat, EngineError> {
        let streams = Streams::default();
        let tell: Tell = Arc::new(tell);
        let (known, told) = (streams.clone(), tell.clone());
        let engine = MsrpEngine::start(wanted(settings, tap), move |event| {
            if let Some(event) = heard(&known, event) {
                told(event);
            }
        });
        let engine = engine.map_err(|error| EngineError::Media(error.to_string().into()))?;
        Ok(Chat { handle: engine.handle(), engine: Arc::new(Mutex::new(Some(engine))), streams, tell })
    }

    /// Ends every stream and the thread.
    pub(super) fn stop(&self) {
        drop(self.engine.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Whether a stream is one of MSRP.
    pub(super) fn knows(&self, stream: StreamId) -> bool {
        lock(&self.streams).contains_key(&stream)
    }

    /// Carries out what the client orders; what is not about MSRP is not for here.
    pub(super) fn obey(&self, command: MediaCommand) {
        match command {
            MediaCommand::PrepareChat { stream, plan, .. } => self.prepare(stream, *plan),
            MediaCommand::Apply { stream, agreement, remote, .. } if agreement.enabled => {
                self.apply(stream, agreement.index, &remote);
            }
            MediaCommand::SendChat { stream, message } => self.send(stream, *message),
            MediaCommand::SetNickname { stream, nickname } => {
                self.order(MsrpCommand::Nickname { stream: StreamKey(stream.0), nickname });
            }
            MediaCommand::Close { stream } => {
                lock(&self.streams).remove(&stream);
                self.order(MsrpCommand::Close { stream: StreamKey(stream.0) });
            }
            _ => {}
        }
    }

    fn prepare(&self, stream: StreamId, plan: ChatPlan) {
        let offered = plan.offer.as_ref().and_then(|(offer, index)| offer.media.get(*index));
        let relay = match plan.relay.as_ref().map(|relay| relay_for(relay, offered)).transpose() {
            Ok(relay) => relay,
            Err(reason) => return (self.tell)(MediaEvent::Failed { stream, reason }),
        };
        // Whoever answers takes what was offered; whoever offers, what the settings say.
        let is_secure = match offered {
            Some(line) => line.protocol == Protocol::TcpTlsMsrp,
            None => plan.chat.transport == ChatTransport::Tls,
        };
        let setup = match offered {
            // Somebody behind a relay can always be reached there, and may not be able to come to us through it.
            Some(line) => {
                let is_reachable = relay.is_some() || !is_behind_relay(line);
                answer_setup(line.attributes.value("setup").and_then(Setup::parse), is_reachable)
            }
            None => offer_setup(true),
        };
        let mut ours = driver::ChatPlan::new(plan.local);
        ours.is_secure = is_secure;
        ours.relay = relay;
        ours.by_session_id = true;
        match &plan.purpose {
            ChatPurpose::Chat => {
                ours.max_message = plan.chat.max_size;
                ours.accept_types = plan.chat.accept_types.iter().map(|name| Arc::from(&**name)).collect();
            }
            ChatPurpose::SendFile { .. } => {}
            ChatPurpose::ReceiveFile { .. } => {
                ours.receives_file = true;
                ours.max_message = plan.file_transfer.max_size;
            }
        }
        let kept = kept(&plan);
        lock(&self.streams).insert(stream, Stream { plan, setup, kept, applied: false, file_ended: false });
        self.order(MsrpCommand::Prepare { stream: StreamKey(stream.0), plan: ours });
    }

    fn apply(&self, stream: StreamId, index: usize, remote: &SessionDescription) {
        let mut streams = lock(&self.streams);
        let Some(known) = streams.get_mut(&stream) else { return };
        // A session stays with its connection whatever else is agreed anew.
        if std::mem::replace(&mut known.applied, true) {
            return;
        }
        let peer = match read(remote, index) {
            Ok(peer) => peer,
            Err(reason) => {
                drop(streams);
                return (self.tell)(MediaEvent::Failed { stream, reason });
            }
        };
        let role = match known.plan.offer {
            Some(_) => role_of_answerer(known.setup),
            None => role_of_offerer(peer.setup),
        };
        let key = StreamKey(stream.0);
        let remote = Remote {
            we_connect: role == Role::Active,
            next_hop: peer.cema_next_hop(true).map(|(host, port)| (host.into(), port)),
            fingerprints: peer.fingerprints.iter().map(|text| Arc::from(&**text)).collect(),
            path: peer.path,
        };
        let of_file = match &known.plan.purpose {
            ChatPurpose::Chat => None,
            ChatPurpose::SendFile { file, path } => Some(MsrpCommand::SendFile {
                stream: key,
                file: OutgoingFile {
                    id: message_id(),
                    path: path.clone(),
                    content_type: file.content_type.clone().unwrap_or_else(|| OCTETS.into()),
                    from: peer.file.and_then(|file| file.range).map_or(0, |range| range.start.saturating_sub(1)),
                },
            }),
            ChatPurpose::ReceiveFile { file, folder } => Some(MsrpCommand::ReceiveFile {
                stream: key,
                file: IncomingFile {
                    folder: at_home(folder),
                    name: file.name.to_string(),
                    size: file.size,
                    hash: sha1_of(file),
                    from: known.kept,
                },
            }),
        };
        drop(streams);
        if let Some(command) = of_file {
            self.order(command);
        }
        self.order(MsrpCommand::Apply { stream: key, remote });
    }

    fn send(&self, stream: StreamId, message: ChatMessage) {
        let ChatMessage { id, content_type, content, success_report, failure_report } = message;
        let message = OutgoingMessage {
            id: MessageId(id.clone()),
            content_type,
            content: Content::Whole(content),
            success_report,
            failure_report: match failure_report {
                FailureReport::Yes => MsrpFailureReport::Yes,
                FailureReport::No => MsrpFailureReport::No,
                FailureReport::Partial => MsrpFailureReport::Partial,
            },
        };
        if let Err(error) = self.handle.send(MsrpCommand::Send { stream: StreamKey(stream.0), message }) {
            let reason = error.to_string().into();
            (self.tell)(MediaEvent::ChatNotDelivered { stream, id, code: 0, reason });
        }
    }

    fn order(&self, command: MsrpCommand) {
        if let Err(error) = self.handle.send(command) {
            tracing::error!(%error, "MSRP did not take an order");
        }
    }
}

/// An account's relay, if it goes with what was offered: both ends of an m-line say the same protocol.
fn relay_for(relay: &ChatRelay, offered: Option<&MediaDescription>) -> Result<RelayPlan, Arc<str>> {
    let plan = relay::plan(relay)?;
    let protocol = if plan.uri.is_secure() { Protocol::TcpTlsMsrp } else { Protocol::TcpMsrp };
    match offered.filter(|line| line.protocol != protocol) {
        Some(line) => {
            let (offered, ours) = (line.protocol.as_str(), protocol.as_str());
            Err(format!("{offered} is offered, and the account's relay takes {ours}").into())
        }
        None => Ok(plan),
    }
}

/// What nothing more is known of.
const OCTETS: &str = "application/octet-stream";

fn lock(streams: &Streams) -> std::sync::MutexGuard<'_, HashMap<StreamId, Stream>> {
    streams.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wanted(settings: &Settings, tap: Option<Arc<dyn driver::Tap>>) -> MsrpSettings {
    let tls = &settings.tls;
    let identity = match (&tls.certificate, &tls.private_key) {
        (Some(certificate), Some(key)) => Some((at_home(certificate), at_home(key))),
        // Keys and certificates may share a file.
        (Some(both), None) => Some((at_home(both), at_home(both))),
        (None, _) => None,
    };
    let verification = if tls.verify_server { Verification::Name } else { Verification::None };
    MsrpSettings {
        ports: (settings.chat.port, settings.chat.port),
        tls: TlsSettings { identity, verification, authorities: tls.ca_list.as_deref().map(at_home) },
        tap,
        ..MsrpSettings::default()
    }
}

/// What the client hears of it.
fn heard(streams: &Streams, event: MsrpEvent) -> Option<MediaEvent> {
    let of = |stream: StreamKey| StreamId(stream.0);
    Some(match event {
        MsrpEvent::Prepared { stream, path, address, fingerprint } => {
            let stream = of(stream);
            let streams = lock(streams);
            let known = streams.get(&stream)?;
            let line = m_line(known, path, address, fingerprint);
            MediaEvent::Prepared { stream, capability: Box::new(line), session_attributes: Vec::new() }
        }
        MsrpEvent::Failed { stream, reason } => MediaEvent::Failed { stream: of(stream), reason },
        MsrpEvent::Bound { stream } => MediaEvent::ChatBound { stream: of(stream) },
        MsrpEvent::Got { stream, message } => {
            MediaEvent::ChatGot { stream: of(stream), message: Box::new(received(message)) }
        }
        MsrpEvent::Delivered { stream, id, code, reason } => {
            MediaEvent::ChatDelivered { stream: of(stream), id: id.0, code, reason }
        }
        MsrpEvent::NotDelivered { stream, id, code, reason } => {
            MediaEvent::ChatNotDelivered { stream: of(stream), id: id.0, code, reason }
        }
        MsrpEvent::NicknameAnswered { stream, code, reason } => {
            MediaEvent::NicknameAnswered { stream: of(stream), code, reason }
        }
        MsrpEvent::FileProgress { stream, transferred, total } => {
            MediaEvent::FileProgress { stream: of(stream), transferred, total }
        }
        MsrpEvent::FileEnded { stream, path, error } => {
            if let Some(known) = lock(streams).get_mut(&of(stream)) {
                known.file_ended = true;
            }
            let error = error.map(|error| error.to_string().into());
            MediaEvent::FileEnded { stream: of(stream), file_name: path, error }
        }
        MsrpEvent::Closed { stream, reason } => {
            if lock(streams).get(&of(stream)).is_none_or(|known| known.file_ended) {
                return None;
            }
            MediaEvent::Failed { stream: of(stream), reason: format!("chat: {reason}").into() }
        }
        // Who is no room gives no nicknames; MSRP's endpoint has refused it.
        MsrpEvent::Nickname { .. } => return None,
    })
}

fn received(message: IncomingMessage) -> ChatMessage {
    ChatMessage {
        id: message.id.0,
        content_type: message.content_type,
        content: message.content,
        success_report: message.success_report,
        failure_report: match message.failure_report {
            MsrpFailureReport::Yes => FailureReport::Yes,
            MsrpFailureReport::No => FailureReport::No,
            MsrpFailureReport::Partial => FailureReport::Partial,
        },
    }
}

// ---- files ----------------------------------------------------------------------------------------------------------

/// How much of a file is there from a transfer that broke off; only of one that its hash proves to be the same in the end.
fn kept(plan: &ChatPlan) -> u64 {
    let ChatPurpose::ReceiveFile { file, folder } = &plan.purpose else { return 0 };
    let (Some(size), Some(_)) = (file.size, sha1_of(file)) else { return 0 };
    let kept = driver::kept(&at_home(folder), &file.name);
    if plan.file_transfer.resume && kept < size { kept } else { 0 }
}

/// What a peer is told of a file of ours.
pub(super) fn described_file(path: &Path) -> std::io::Result<FileDescription> {
    let facts = driver::FileFacts::of(path)?;
    let hash = description::FileHash { algorithm: "sha-1".to_owned(), value: facts.hash.to_vec() };
    Ok(FileDescription {
        content_type: Some(type_of(&facts.name).into()),
        name: facts.name.into(),
        size: Some(facts.size),
        hash: Some(hash.to_string().into()),
        transfer_id: "".into(),
    })
}

/// The media type that goes with a name, of the few that a receiver may do something with.
fn type_of(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "txt" | "log" | "md" => "text/plain",
        "html" | "htm" => "text/html",
        "csv" => "text/csv",
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "svg" => "image/svg+xml",
        "wav" => "audio/wav",
        "mp3" => "audio/mpeg",
        "ogg" | "opus" => "audio/ogg",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "pdf" => "application/pdf",
        "json" => "application/json",
        "zip" => "application/zip",
        _ => OCTETS,
    }
}

fn sha1_of(file: &FileDescription) -> Option<Hash> {
    let hash: description::FileHash = file.hash.as_ref()?.parse().ok()?;
    if hash.algorithm == "sha-1" { hash.value.try_into().ok() } else { None }
}

fn message_id() -> MessageId {
    // Without randomness there is no engine; the id needs to differ from others of this one session only.
    let random = getrandom::u64().unwrap_or_default();
    MessageId(format!("{random:016x}").into())
}

/// Resolves `~`.
pub(super) fn at_home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) => Path::new(&home).join(rest),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn plan(purpose: ChatPurpose, offer: Option<(Arc<SessionDescription>, usize)>) -> ChatPlan {
        let settings = Settings::default();
        ChatPlan {
            chat: settings.chat,
            file_transfer: settings.file_transfer,
            relay: None,
            local: [127, 0, 0, 1].into(),
            offer,
            purpose,
        }
    }

    /// What a plan makes of an offer with this m-line.
    fn taken(protocol: Protocol, path: &str, relay: Option<&str>) -> Result<Setup, String> {
        let (tell, told) = std::sync::mpsc::channel();
        let settings = Settings::default();
        let chat = Chat::start(&settings, None, move |event| drop(tell.send(event))).unwrap();
        let text = format!(
            "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=message 9 {} *\r\na=setup:actpass\r\n\
             a=path:{path}\r\n",
            protocol.as_str()
        );
        let offer = SessionDescription::parse(text).unwrap();
        let mut plan = plan(ChatPurpose::Chat, Some((Arc::new(offer), 0)));
        plan.relay = relay.map(|address| ChatRelay { address: address.into(), auth: Default::default() });
        chat.prepare(StreamId(1), plan);
        let known = lock(&chat.streams).get(&StreamId(1)).map(|known| known.setup);
        known.ok_or_else(|| match told.try_recv().unwrap() {
            MediaEvent::Failed { reason, .. } => reason.to_string(),
            other => panic!("{other:?}"),
        })
    }

    /// RFC 6135 §4.2 lets the answerer connect, §4.5 has nobody else connect to whoever is behind a relay.
    #[test]
    fn whoever_is_behind_a_relay_is_connected_to_by_whoever_is_not() {
        let (direct, relayed) = ("msrp://192.0.2.1:9/a;tcp", "msrp://192.0.2.9:2855/r;tcp msrp://192.0.2.1:9/a;tcp");
        let ours = Some("msrp://127.0.0.1:1");
        assert_eq!(taken(Protocol::TcpMsrp, direct, None), Ok(Setup::Passive));
        assert_eq!(taken(Protocol::TcpMsrp, relayed, None), Ok(Setup::Active));
        assert_eq!(taken(Protocol::TcpMsrp, direct, ours), Ok(Setup::Passive));
        assert_eq!(taken(Protocol::TcpMsrp, relayed, ours), Ok(Setup::Passive));
    }

    #[test]
    fn what_is_offered_over_another_transport_than_the_relays_is_not_taken() {
        let refused = taken(Protocol::TcpMsrp, "msrp://192.0.2.1:9/a;tcp", Some("127.0.0.1:1"));
        assert_eq!(refused.unwrap_err(), "TCP/MSRP is offered, and the account's relay takes TCP/TLS/MSRP");
        let refused = taken(Protocol::TcpMsrp, "msrp://192.0.2.1:9/a;tcp", Some("a relay"));
        assert!(refused.unwrap_err().starts_with("msrp.relay: "));
    }
}
