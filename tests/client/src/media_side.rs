//! The media side of a softphone, made up: it prepares streams after a while, hears the peer when the agreement lets it,
//! and keeps what it was ordered.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use client::media::{MediaCommand, MediaEvent, Sound, StreamId};
use sdp::{Codec, MediaDescription, PayloadType, StreamAgreement, StreamCapability};

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
}

/// A stream, as the media side has it.
#[derive(Debug)]
struct Stream {
    agreement: Option<StreamAgreement>,
    local: Option<MediaDescription>,
    early: bool,
    recording: Option<PathBuf>,
    paused: bool,
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
        }
    }
}

impl MediaSide {
    /// Takes an order.
    pub(crate) fn take(&mut self, command: MediaCommand) {
        match command {
            MediaCommand::Prepare { stream, plan, .. } => {
                self.note(format!("Prepare {}", plan.local));
                let prepared = |port| {
                    let codecs = plan.audio.codecs.iter().filter_map(|name| codec(name));
                    let codecs: Vec<Codec> = codecs.chain([telephone_event()]).collect();
                    let capability =
                        StreamCapability { address: Some(plan.local), ..StreamCapability::audio(port, &codecs) };
                    MediaEvent::Prepared { stream, capability: Box::new(capability), session_attributes: Vec::new() }
                };
                let stuns = !plan.nat.stun_servers.is_empty();
                self.streams.entry(stream).or_insert_with(|| Stream {
                    agreement: None,
                    local: None,
                    early: false,
                    recording: None,
                    paused: false,
                });
                match self.fate {
                    Fate::After(wait) => {
                        self.next_port += 2;
                        self.pending.push_back((wait, prepared(self.next_port)));
                    }
                    // Without STUN it would have been no problem.
                    Fate::Fails("no STUN server answers") if !stuns => {
                        self.next_port += 2;
                        self.pending.push_back((Duration::ZERO, prepared(self.next_port)));
                    }
                    Fate::Fails(reason) => {
                        let failed = MediaEvent::Failed { stream, reason: reason.into() };
                        self.pending.push_back((Duration::from_millis(5), failed));
                    }
                    Fate::Lost => {}
                }
            }
            MediaCommand::Apply { stream, agreement, local, remote: _, early } => {
                self.apply(stream, *agreement, *local, early)
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
                assert!(self.streams.remove(&stream).is_some(), "a stream is closed once");
            }
        }
    }

    fn apply(&mut self, id: StreamId, agreement: StreamAgreement, local: MediaDescription, early: bool) {
        let direction = agreement.direction;
        self.note(format!("Apply {direction}{}", if early { " early" } else { "" }));
        let hears = self.hears && direction.receives();
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
