//! Recording the audio stream.
//!
//! ```text
//!   start ──► WillStart ──► Starting ── opened ──► DidStart ──► Running ── stop, end of stream ──► WillStop ──► DidStop
//!     │ on hold                │ not opened: DidStop(error)        │ disk full: WillStop, DidStop(error)
//!     ▼                        ▼                                   ▼
//!   Waiting ── unhold          –                                   –
//! ```
//!
//! Hold pauses it and unhold lets it go on, of which nothing is told.

use std::path::PathBuf;
use std::sync::Arc;

use super::core::Session;
use super::recording_name;
use super::work::Work;
use crate::error::ClientError;
use crate::media::MediaCommand;
use crate::notification::Data;
use crate::streams::StreamKind;

/// A recording.
#[derive(Debug)]
pub(crate) struct Recording {
    /// The full path.
    pub(super) file_name: PathBuf,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It begins when nobody holds any more.
    Waiting,
    /// The file is being opened.
    Starting,
    Running,
    /// The file is being closed.
    Stopping,
}

impl Session {
    /// Records to a file of this name in the account's folder, or of the usual name.
    pub(crate) fn start_recording(
        &mut self,
        work: &mut Work<'_>,
        file_name: Option<PathBuf>,
    ) -> Result<(), ClientError> {
        if self.audio().is_none_or(|stream| stream.closed) {
            return Err(ClientError::NoStream(StreamKind::Audio));
        }
        if self.recording.is_some() {
            return Err(ClientError::Recording("a recording runs already"));
        }
        let usual =
            || recording_name::usual(work.notices.time(work.now), self.remote_identity.as_ref(), self.direction);
        let name = file_name.unwrap_or_else(|| usual().into());
        let account = work.accounts.account(self.account).map(|account| account.name());
        let folder = recording_name::folder(&work.settings.audio, account.unwrap_or_default());
        self.recording = Some(Recording { file_name: folder.join(name), phase: Phase::Waiting });
        if !self.on_hold() {
            self.begin_recording(work);
        }
        Ok(())
    }

    /// Ends the recording.
    pub(crate) fn stop_recording(&mut self, work: &mut Work<'_>) -> Result<(), ClientError> {
        let Some(recording) = &mut self.recording else { return Err(ClientError::Recording("no recording runs")) };
        match recording.phase {
            // Nothing was told of it yet.
            Phase::Waiting => self.recording = None,
            Phase::Stopping => return Err(ClientError::Recording("the recording is being stopped already")),
            Phase::Starting | Phase::Running => {
                recording.phase = Phase::Stopping;
                let file_name = recording.file_name.clone();
                self.post(work, Data::SessionWillStopRecordingAudio { file_name });
                self.order_recording(work, |stream| MediaCommand::StopRecording { stream });
            }
        }
        Ok(())
    }

    fn begin_recording(&mut self, work: &mut Work<'_>) {
        let Some(recording) = &mut self.recording else { return };
        recording.phase = Phase::Starting;
        let file_name = recording.file_name.clone();
        self.post(work, Data::SessionWillStartRecordingAudio { file_name: file_name.clone() });
        self.order_recording(work, |stream| MediaCommand::StartRecording { stream, file_name });
    }

    /// The file is open.
    pub(super) fn recording_started(&mut self, work: &mut Work<'_>) {
        let Some(recording) = self.recording.as_mut().filter(|recording| recording.phase == Phase::Starting) else {
            return;
        };
        recording.phase = Phase::Running;
        let file_name = recording.file_name.clone();
        self.post(work, Data::SessionDidStartRecordingAudio { file_name });
        if self.on_hold() {
            self.order_recording(work, |stream| MediaCommand::PauseRecording { stream, paused: true });
        }
    }

    /// The file is closed, or could not be opened.
    pub(super) fn recording_stopped(&mut self, work: &mut Work<'_>, error: Option<Arc<str>>) {
        let Some(recording) = self.recording.take_if(|recording| recording.phase != Phase::Waiting) else { return };
        let file_name = recording.file_name;
        if recording.phase == Phase::Running {
            self.post(work, Data::SessionWillStopRecordingAudio { file_name: file_name.clone() });
        }
        self.post(work, Data::SessionDidStopRecordingAudio { file_name, error });
    }

    /// The stream is ending, and the recording with it.
    pub(super) fn end_recording(&mut self, work: &mut Work<'_>) {
        let Some(recording) = self.recording.take() else { return };
        let file_name = recording.file_name;
        if matches!(recording.phase, Phase::Starting | Phase::Running) {
            self.post(work, Data::SessionWillStopRecordingAudio { file_name: file_name.clone() });
            self.order_recording(work, |stream| MediaCommand::StopRecording { stream });
        }
        if recording.phase != Phase::Waiting {
            self.post(work, Data::SessionDidStopRecordingAudio { file_name, error: None });
        }
    }

    /// Whether anybody holds has changed, perhaps.
    pub(super) fn recording_follows_hold(&mut self, work: &mut Work<'_>, held_before: bool) {
        let held = self.on_hold();
        let Some(recording) = self.recording.as_ref().filter(|_| held != held_before) else { return };
        match recording.phase {
            Phase::Waiting if !held => self.begin_recording(work),
            Phase::Running => {
                self.order_recording(work, |stream| MediaCommand::PauseRecording { stream, paused: held })
            }
            _ => {}
        }
    }

    fn order_recording(&self, work: &mut Work<'_>, order: impl FnOnce(crate::media::StreamId) -> MediaCommand) {
        if let Some(stream) = self.audio().filter(|stream| !stream.closed) {
            work.order(order(stream.id));
        }
    }
}
