//! Between the client, which knows no media, and media, which knows no sessions: what one orders is said to the other.
//! Both have types of their own for it, so that neither needs the other; this is the one place where both are known.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use client::media::{AudioPlan, AudioStatistics, MediaCommand, MediaEvent, Sound, StreamId};
use client::session::SessionId;
use client::settings::{self, Settings};
use client::{Data, Sender};
use media::driver::{self, MediaEngine, MediaHandle, MediaSettings, SessionKey, StreamKey};
use media::stream as audio;

use super::hub::Hub;
use super::{EngineError, check};

/// The media engine of an engine, and what every stream is made with.
#[derive(Clone)]
pub(super) struct Media {
    handle: MediaHandle,
    engine: Arc<Mutex<Option<MediaEngine>>>,
    /// The devices of streams to come; those of the settings until somebody has chosen others.
    devices: Arc<Mutex<Devices>>,
    players: Players,
}

#[derive(Clone, Default)]
struct Devices {
    input: Option<String>,
    output: Option<String>,
    streams: Vec<(StreamId, String, String)>,
}

/// Which file is being played into which session, for whom it ends.
type Players = Arc<Mutex<Vec<Playing>>>;

struct Playing {
    stream: StreamId,
    session: SessionId,
    file: PathBuf,
    hub: Hub,
}

impl Media {
    pub(super) fn start(
        settings: &Settings,
        tap: Option<Arc<dyn driver::Tap>>,
        tell: impl Fn(MediaEvent) + Send + 'static,
    ) -> Result<Media, EngineError> {
        let wanted = MediaSettings {
            ports: settings.rtp.ports,
            rate: check::rate(settings.audio.sample_rate)?,
            timeout: settings.rtp.timeout,
            alert: settings.audio.alert.clone(),
            tap,
        };
        let players = Players::default();
        let ended = players.clone();
        let engine = MediaEngine::start(wanted, move |event| match event {
            driver::MediaEvent::Played { stream, error } => played(&ended, StreamId(stream.0), error),
            driver::MediaEvent::DeviceFailed { device, reason, .. } => {
                tracing::warn!(%device, %reason, "a device has failed");
            }
            event => {
                if let Some(event) = told(event) {
                    tell(event);
                }
            }
        });
        let engine = engine.map_err(|error| EngineError::Media(error.to_string().into()))?;
        let handle = engine.handle();
        Ok(Media { handle, engine: Arc::new(Mutex::new(Some(engine))), devices: Arc::default(), players })
    }

    /// Ends every stream and the thread.
    pub(super) fn stop(&self) {
        drop(self.engine.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Carries out what the client orders.
    pub(super) fn obey(&self, command: MediaCommand) {
        let mut devices = self.devices.lock().unwrap_or_else(PoisonError::into_inner);
        match &command {
            MediaCommand::PrepareChat { .. } | MediaCommand::SendChat { .. } | MediaCommand::SetNickname { .. } => {
                return;
            }
            MediaCommand::Prepare { stream, plan, .. } => {
                let input = devices.input.clone().unwrap_or_else(|| plan.audio.input.clone());
                let output = devices.output.clone().unwrap_or_else(|| plan.audio.output.clone());
                devices.streams.push((*stream, input, output));
            }
            MediaCommand::Close { stream } => devices.streams.retain(|(known, ..)| known != stream),
            _ => {}
        }
        let command = self.ordered(command, &devices);
        drop(devices);
        if let Some(command) = command {
            self.send(command);
        }
    }

    pub(super) fn statistics(&self, stream: StreamId) -> Option<AudioStatistics> {
        self.handle.statistics(StreamKey(stream.0)).map(statistics)
    }

    pub(super) fn play(&self, stream: StreamId, session: SessionId, file: PathBuf, hub: Hub) -> Result<(), Box<str>> {
        let playing = Playing { stream, session, file: file.clone(), hub };
        self.players.lock().unwrap_or_else(PoisonError::into_inner).push(playing);
        let play =
            driver::MediaCommand::PlayFile { stream: StreamKey(stream.0), file_name: file, times: 1, volume: 100 };
        self.handle.send(play).map_err(|error| error.to_string().into())
    }

    pub(super) fn mirror(&self, stream: StreamId, mirrored: bool) {
        self.send(driver::MediaCommand::Mirror { stream: StreamKey(stream.0), mirrored });
    }

    pub(super) fn bridge(&self, one: StreamId, other: StreamId, together: bool) {
        let (one, other) = (StreamKey(one.0), StreamKey(other.0));
        self.send(match together {
            true => driver::MediaCommand::Connect { one, other },
            false => driver::MediaCommand::Disconnect { one, other },
        });
    }

    pub(super) fn set_input(&self, device: &str) -> Result<(), Box<str>> {
        self.set_devices(device, |devices| devices.input = Some(device.to_owned()), |stream| &mut stream.1)
    }

    pub(super) fn set_output(&self, device: &str) -> Result<(), Box<str>> {
        self.set_devices(device, |devices| devices.output = Some(device.to_owned()), |stream| &mut stream.2)
    }

    fn set_devices(
        &self,
        device: &str,
        choose: impl FnOnce(&mut Devices),
        of_stream: impl Fn(&mut (StreamId, String, String)) -> &mut String,
    ) -> Result<(), Box<str>> {
        let parsed = device.parse::<media::device::DeviceSpec>();
        parsed.map_err(|error| Box::from(error.to_string()))?;
        let mut devices = self.devices.lock().unwrap_or_else(PoisonError::into_inner);
        choose(&mut devices);
        for stream in &mut devices.streams {
            device.clone_into(of_stream(stream));
            let (stream, input, output) = stream.clone();
            self.send(driver::MediaCommand::SetDevices { stream: StreamKey(stream.0), input, output });
        }
        Ok(())
    }

    fn send(&self, command: driver::MediaCommand) {
        if let Err(error) = self.handle.send(command) {
            tracing::error!(%error, "media did not take an order");
        }
    }

    fn ordered(&self, command: MediaCommand, devices: &Devices) -> Option<driver::MediaCommand> {
        use driver::MediaCommand as To;
        Some(match command {
            MediaCommand::PrepareChat { .. } | MediaCommand::SendChat { .. } | MediaCommand::SetNickname { .. } => {
                return None;
            }
            MediaCommand::Prepare { stream, session, plan } => {
                let mut plan = planned(*plan);
                if let Some((_, input, output)) = devices.streams.iter().find(|(known, ..)| *known == stream) {
                    plan.audio.input.clone_from(input);
                    plan.audio.output.clone_from(output);
                }
                To::Prepare { stream: StreamKey(stream.0), session: SessionKey(session.0), plan: Box::new(plan) }
            }
            MediaCommand::Apply { stream, agreement, local, remote, early } => {
                To::Apply { stream: StreamKey(stream.0), agreement, local, remote, early }
            }
            MediaCommand::SendDigit { stream, digit, duration } => {
                To::SendDigit { stream: StreamKey(stream.0), digit, duration }
            }
            MediaCommand::Mute { stream, muted } => To::Mute { stream: StreamKey(stream.0), muted },
            MediaCommand::StartRecording { stream, file_name } => {
                To::StartRecording { stream: StreamKey(stream.0), file_name }
            }
            MediaCommand::PauseRecording { stream, paused } => {
                To::PauseRecording { stream: StreamKey(stream.0), paused }
            }
            MediaCommand::StopRecording { stream } => To::StopRecording { stream: StreamKey(stream.0) },
            MediaCommand::Play { session, sound } => {
                To::Play { session: SessionKey(session.0), sound: sounding(sound) }
            }
            MediaCommand::Close { stream } => To::Close { stream: StreamKey(stream.0) },
        })
    }
}

fn played(players: &Players, stream: StreamId, error: Option<Arc<str>>) {
    let mut players = players.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(at) = players.iter().position(|playing| playing.stream == stream) else { return };
    let playing = players.remove(at);
    drop(players);
    let data = Data::WavePlayerDidEnd { file_name: playing.file, error };
    playing.hub.post_now(Sender::Session(playing.session), data);
}

fn planned(plan: AudioPlan) -> audio::StreamPlan {
    let AudioPlan { audio, encryption, nat, local, offer } = plan;
    audio::StreamPlan {
        audio: audio::AudioOptions {
            codecs: audio.codecs,
            packet_time: Duration::from_millis(audio.packet_time.into()),
            input: audio.input,
            output: audio.output,
            dtmf: match audio.dtmf {
                settings::DtmfMode::Rtp => audio::DtmfMode::Rtp,
                settings::DtmfMode::Info => audio::DtmfMode::Info,
                settings::DtmfMode::Inband => audio::DtmfMode::Inband,
            },
            detect_inband_dtmf: audio.detect_inband_dtmf,
            silence_suppression: audio.silence_suppression,
            jitter_max: Duration::from_millis(audio.jitter_max.into()),
            opus_bitrate: audio.opus_bitrate,
        },
        encryption: match encryption {
            settings::Encryption::Disabled => audio::Encryption::Disabled,
            settings::Encryption::SdesOptional => audio::Encryption::SdesOptional,
            settings::Encryption::SdesMandatory => audio::Encryption::SdesMandatory,
            settings::Encryption::DtlsOptional => audio::Encryption::DtlsOptional,
            settings::Encryption::DtlsMandatory => audio::Encryption::DtlsMandatory,
            settings::Encryption::Opportunistic => audio::Encryption::Opportunistic,
        },
        nat: audio::NatTraversal { use_ice: nat.use_ice, stun_servers: nat.stun_servers, rtcp_mux: nat.rtcp_mux },
        local,
        offer,
    }
}

fn sounding(sound: Sound) -> driver::Sound {
    match sound {
        Sound::Silence => driver::Sound::Silence,
        Sound::InboundRing => driver::Sound::InboundRing,
        Sound::Ringback => driver::Sound::Ringback,
        Sound::HangUp => driver::Sound::HangUp,
        Sound::Busy => driver::Sound::Busy,
        Sound::Digit(digit) => driver::Sound::Digit(digit),
    }
}

fn statistics(of: audio::AudioStatistics) -> AudioStatistics {
    AudioStatistics {
        sent: of.sent,
        received: of.received,
        lost: of.lost,
        loss: of.loss,
        remote_loss: of.remote_loss,
        jitter: of.jitter,
        round_trip: of.round_trip,
        buffered: of.buffered,
        mos: of.mos,
        level_in: of.level_in,
        level_out: of.level_out,
        codec: of.codec,
    }
}

/// What the client hears of it; nothing of what concerns only the façade.
fn told(event: driver::MediaEvent) -> Option<MediaEvent> {
    use driver::MediaEvent as From;
    let of = |stream: StreamKey| StreamId(stream.0);
    Some(match event {
        From::Prepared { stream, capability, session_attributes } => {
            MediaEvent::Prepared { stream: of(stream), capability, session_attributes }
        }
        From::Failed { stream, reason } => MediaEvent::Failed { stream: of(stream), reason },
        From::Heard { stream, from } => MediaEvent::Heard { stream: of(stream), from },
        From::TimedOut { stream } => MediaEvent::TimedOut { stream: of(stream) },
        From::Encryption { stream, how } => MediaEvent::Encryption { stream: of(stream), how },
        From::PathChosen { stream, local, remote } => MediaEvent::PathChosen { stream: of(stream), local, remote },
        From::Digit { stream, digit } => MediaEvent::Digit { stream: of(stream), digit },
        From::RecordingStarted { stream } => MediaEvent::RecordingStarted { stream: of(stream) },
        From::RecordingStopped { stream, error } => MediaEvent::RecordingStopped { stream: of(stream), error },
        From::Played { .. } | From::DeviceFailed { .. } => return None,
    })
}
