//! The media side of a softphone, made up: it prepares streams after a while, hears the peer when the agreement lets it,
//! and keeps what it was ordered.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use client::media::{ChatMessage, ChatPlan, ChatPurpose, MediaCommand, MediaEvent, Sound, StreamId};
use sdp::{Attribute, Codec, MediaDescription, PayloadType, Protocol, StreamAgreement, StreamCapability, Text};
use testkit::NodeId;

use crate::wire::Wire;

/// How the media side takes the next stream that is to be prepared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is there after this time.
    After(Duration),
    /// It can't be made, for this reason.
    Fails(&'static str),
    /// Nothing is ever heard of it.
    Lost,
}

/// See the module's text.
#[derive(Debug)]
pub struct MediaSide {
    /// How streams are prepared from now on.
    pub fate: Fate,
    /// Whether the peers are heard.
    pub hears: bool,
    /// Whether files can be opened.
    pub records: bool,
    streams: BTreeMap<StreamId, Stream>,
    pending: VecDeque<(Duration, MediaEvent)>,
    orders: Vec<String>,
    next_port: u16,
    /// What is being played to the user.
    pub sound: Sound,
    /// What MSRP goes over, and where we are on it.
    wire: Option<(Rc<RefCell<Wire>>, NodeId)>,
    /// What we tell peers of chats beside what is always so.
    pub chat_attributes: Vec<(&'static str, &'static str)>,
    /// Whether audio has ICE.
    pub has_ice: bool,
    /// How a room answers requests for nicknames.
    pub nickname_answer: (u16, &'static str),
    /// The messages that were sent.
    pub messages: Vec<ChatMessage>,
    /// What streams of MSRP were made by.
    pub plans: Vec<ChatPlan>,
}

/// A stream, as the media side has it.
#[derive(Debug)]
struct Stream {
    agreement: Option<StreamAgreement>,
    local: Option<MediaDescription>,
    early: bool,
    recording: Option<PathBuf>,
    paused: bool,
    /// Where it is on the wire, if it is one of MSRP.
    path: Option<String>,
    /// What an offer that begins ICE anew is answered with.
    port: u16,
    fragment: u32,
}

impl Default for MediaSide {
    fn default() -> MediaSide {
        MediaSide {
            fate: Fate::After(Duration::from_millis(5)),
            hears: true,
            records: true,
            streams: BTreeMap::new(),
            pending: VecDeque::new(),
            orders: Vec::new(),
            next_port: 50_000,
            sound: Sound::Silence,
            wire: None,
            chat_attributes: Vec::new(),
            has_ice: false,
            nickname_answer: (200, "OK"),
            messages: Vec::new(),
            plans: Vec::new(),
        }
    }
}

impl MediaSide {
    /// Gets a place on the wire.
    pub(crate) fn plug_in(&mut self, wire: Rc<RefCell<Wire>>, node: NodeId) {
        self.wire = Some((wire, node));
    }

    /// Takes an order.
    pub(crate) fn take(&mut self, now: Instant, command: MediaCommand) {
        match command {
            MediaCommand::Prepare { stream, plan, .. } => {
                self.note(format!("Prepare {}", plan.local));
                let has_ice = self.has_ice;
                let prepared = |port, fragment| {
                    let codecs = plan.audio.codecs.iter().filter_map(|name| codec(name));
                    let codecs: Vec<Codec> = codecs.chain([telephone_event()]).collect();
                    let mut capability =
                        StreamCapability { address: Some(plan.local), ..StreamCapability::audio(port, &codecs) };
                    if has_ice {
                        capability.attributes.push(attribute("ice-ufrag", &format!("ours{fragment}")));
                        capability.attributes.push(attribute("ice-pwd", "a-password-of-twenty-two"));
                    }
                    MediaEvent::Prepared { stream, capability: Box::new(capability), session_attributes: Vec::new() }
                };
                let stuns = !plan.nat.stun_servers.is_empty();
                if let Some(running) = self.streams.get_mut(&stream).filter(|stream| stream.agreement.is_some()) {
                    running.fragment += 1;
                    if let Fate::After(wait) = self.fate {
                        self.pending.push_back((wait, prepared(running.port, running.fragment)));
                    }
                    return;
                }
                let port = self.open(stream);
                match self.fate {
                    Fate::After(wait) => self.pending.push_back((wait, prepared(port, 0))),
                    // Without STUN it would have been no problem.
                    Fate::Fails("no STUN server answers") if !stuns => {
                        self.pending.push_back((Duration::ZERO, prepared(port, 0)));
                    }
                    Fate::Fails(reason) => {
                        let failed = MediaEvent::Failed { stream, reason: reason.into() };
                        self.pending.push_back((Duration::from_millis(5), failed));
                    }
                    Fate::Lost => {}
                }
            }
            MediaCommand::PrepareChat { stream, plan, .. } => self.prepare_chat(stream, &plan),
            MediaCommand::Apply { stream, agreement, local, remote, early } => {
                let theirs = remote.media.get(agreement.index).and_then(MediaDescription::msrp_path);
                if let (Some((wire, _)), Some(ours), Some(theirs)) = (&self.wire, self.path_of(stream), theirs) {
                    wire.borrow_mut().join(now, &ours, theirs);
                }
                self.apply(stream, *agreement, *local, early)
            }
            MediaCommand::SendChat { stream, message } => {
                self.note(format!("SendChat {}", message.content_type));
                self.messages.push((*message).clone());
                if let (Some((wire, _)), Some(path)) = (&self.wire, self.path_of(stream)) {
                    wire.borrow_mut().send(now, &path, *message);
                }
            }
            MediaCommand::SetNickname { stream, nickname } => {
                self.note(format!("SetNickname {nickname}"));
                let (code, reason) = self.nickname_answer;
                let answered = MediaEvent::NicknameAnswered { stream, code, reason: reason.into() };
                self.pending.push_back((Duration::from_millis(20), answered));
            }
            MediaCommand::SendDigit { digit, .. } => self.note(format!("SendDigit {digit}")),
            MediaCommand::Mute { muted, .. } => self.note(format!("Mute {muted}")),
            MediaCommand::StartRecording { stream, file_name } => {
                self.note("StartRecording".into());
                let event = match self.records {
                    true => MediaEvent::RecordingStarted { stream },
                    false => MediaEvent::RecordingStopped { stream, error: Some("permission denied".into()) },
                };
                if let Some(stream) = self.streams.get_mut(&stream) {
                    stream.recording = Some(file_name);
                }
                self.pending.push_back((Duration::from_millis(1), event));
            }
            MediaCommand::PauseRecording { stream, paused } => {
                self.note(format!("PauseRecording {paused}"));
                if let Some(stream) = self.streams.get_mut(&stream) {
                    stream.paused = paused;
                }
            }
            MediaCommand::StopRecording { stream } => {
                self.note("StopRecording".into());
                if let Some(of_id) = self.streams.get_mut(&stream) {
                    of_id.recording = None;
                    let stopped = MediaEvent::RecordingStopped { stream, error: None };
                    self.pending.push_back((Duration::from_millis(1), stopped));
                }
            }
            MediaCommand::Play { sound, .. } => {
                self.note(format!("Play {sound:?}"));
                if !matches!(sound, Sound::Digit(_)) {
                    self.sound = sound;
                }
            }
            MediaCommand::Close { stream } => {
                self.note("Close".into());
                if let (Some((wire, _)), Some(path)) = (&self.wire, self.path_of(stream)) {
                    wire.borrow_mut().close(now, &path);
                }
                assert!(self.streams.remove(&stream).is_some(), "a stream is closed once");
            }
        }
    }

    fn open(&mut self, stream: StreamId) -> u16 {
        self.next_port += 2;
        let port = self.next_port;
        self.streams.entry(stream).or_insert(Stream {
            agreement: None,
            local: None,
            early: false,
            recording: None,
            paused: false,
            path: None,
            port,
            fragment: 0,
        });
        port
    }

    fn prepare_chat(&mut self, stream: StreamId, plan: &ChatPlan) {
        self.note(format!("PrepareChat {}", plan.local));
        self.plans.push(plan.clone());
        let port = self.open(stream);
        let path = format!("msrp://{}:{port}/{port}x{};tcp", plan.local, stream.0);
        if let (Some((wire, node)), Some(of_id)) = (&self.wire, self.streams.get_mut(&stream)) {
            wire.borrow_mut().open(&path, *node, stream);
            of_id.path = Some(path.clone());
        }
        let offered = plan.offer.as_ref().and_then(|(offer, index)| offer.media.get(*index));
        let protocol = offered.map_or(Protocol::TcpMsrp, |media| media.protocol.clone());
        let text = |text: &str| Text::new(text).expect("it is one line");
        let types = match plan.purpose {
            ChatPurpose::Chat => plan.chat.accept_types.join(" "),
            _ => "*".to_owned(),
        };
        let mut capability = StreamCapability::msrp(port, protocol, text(&path), text(&types));
        capability.address = Some(plan.local);
        let mut say = |name, value: &str| capability.attributes.push(attribute(name, value));
        let role = match offered.map(|media| media.attributes.value("setup")) {
            None => "actpass",
            Some(Some("passive")) => "active",
            Some(_) => "passive",
        };
        say("setup", role);
        match &plan.purpose {
            ChatPurpose::Chat => {
                say("accept-wrapped-types", &plan.chat.accept_wrapped_types.join(" "));
                self.chat_attributes.iter().for_each(|(name, value)| say(name, value));
            }
            ChatPurpose::SendFile { file, .. } | ChatPurpose::ReceiveFile { file, .. } => {
                let size = file.size.unwrap_or_default();
                say("file-selector", &format!("name:\"{}\" type:text/plain size:{size}", file.name));
                say("file-transfer-id", &file.transfer_id);
                let sends = matches!(plan.purpose, ChatPurpose::SendFile { .. });
                let direction = if sends { "sendonly" } else { "recvonly" };
                capability.attributes.push(Attribute::property(direction).expect("it is a token"));
            }
        }
        let prepared =
            MediaEvent::Prepared { stream, capability: Box::new(capability), session_attributes: Vec::new() };
        match self.fate {
            Fate::After(wait) => self.pending.push_back((wait, prepared)),
            Fate::Fails(reason) => {
                let failed = MediaEvent::Failed { stream, reason: reason.into() };
                self.pending.push_back((Duration::from_millis(5), failed));
            }
            Fate::Lost => {}
        }
    }

    fn path_of(&self, stream: StreamId) -> Option<String> {
        self.streams.get(&stream)?.path.clone()
    }

    /// Whether a stream is open.
    pub(crate) fn has(&self, stream: StreamId) -> bool {
        self.streams.contains_key(&stream)
    }

    /// The chat streams that are open.
    pub fn chats(&self) -> impl Iterator<Item = StreamId> + '_ {
        self.streams.iter().filter(|(_, stream)| stream.path.is_some()).map(|(id, _)| *id)
    }

    fn apply(&mut self, id: StreamId, agreement: StreamAgreement, local: MediaDescription, early: bool) {
        let direction = agreement.direction;
        self.note(format!("Apply {direction}{}", if early { " early" } else { "" }));
        let is_audio = agreement.media == sdp::MediaType::Audio;
        let hears = self.hears && is_audio && direction.receives();
        let from = agreement.destination.as_ref().and_then(|to| Some(SocketAddr::new(to.connection.ip()?, to.port)));
        let stream = self.streams.get_mut(&id).expect("only a stream that was prepared is applied");
        assert!(agreement.enabled && agreement.destination.is_some(), "there is somebody to send to");
        stream.agreement = Some(agreement);
        stream.local = Some(local);
        stream.early = early;
        if let (true, Some(from)) = (hears, from) {
            self.pending.push_back((Duration::from_millis(40), MediaEvent::Heard { stream: id, from }));
        }
    }

    /// What is due after which time.
    pub(crate) fn next(&mut self) -> Option<(Duration, MediaEvent)> {
        self.pending.pop_front()
    }

    /// The streams that are open.
    pub fn streams(&self) -> impl Iterator<Item = StreamId> + '_ {
        self.streams.keys().copied()
    }

    /// What the last stream was told to do.
    pub fn agreement(&self) -> Option<&StreamAgreement> {
        self.streams.values().next_back()?.agreement.as_ref()
    }

    /// Our m-line of the last stream.
    pub fn line(&self) -> Option<&MediaDescription> {
        self.streams.values().next_back()?.local.as_ref()
    }

    /// Whether the last stream runs on early media.
    pub fn is_early(&self) -> bool {
        self.streams.values().next_back().is_some_and(|stream| stream.early)
    }

    /// Whether something is being written to a file now.
    pub fn is_recording(&self) -> bool {
        self.streams.values().any(|stream| stream.recording.is_some() && !stream.paused)
    }

    /// The orders since this was last asked.
    pub fn orders(&mut self) -> Vec<String> {
        std::mem::take(&mut self.orders)
    }

    fn note(&mut self, order: String) {
        self.orders.push(order);
    }
}

fn attribute(name: &str, value: &str) -> Attribute {
    Attribute::new(name, value).expect("it is one line")
}

fn codec(name: &str) -> Option<Codec> {
    match name {
        "opus" => Some(Codec::opus(number(96))),
        "G722" => Some(Codec::g722()),
        "PCMU" => Some(Codec::pcmu()),
        "PCMA" => Some(Codec::pcma()),
        _ => None,
    }
}

fn telephone_event() -> Codec {
    Codec::telephone_event(number(101), 8_000)
}

fn number(number: u8) -> PayloadType {
    PayloadType::new(number).expect("below 128")
}
