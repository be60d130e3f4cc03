//! The clerk: a thread that does what may take its time (opening and closing files and devices), so that the media thread
//! never waits.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::StreamKey;
use super::queue::Queue;
use crate::device::{DeviceSpec, Sink, Source};
use crate::pcm::SampleRate;
use crate::wav::{Player, PlayerOptions, Recorder};

/// What the clerk is asked to do.
pub(super) enum Errand {
    OpenRecorder { stream: StreamKey, path: PathBuf },
    CloseRecorder(Box<Recorder>),
    OpenPlayer { stream: StreamKey, path: PathBuf, options: PlayerOptions },
    OpenSource { owner: Owner, spec: Arc<str> },
    OpenSink { owner: Owner, spec: Arc<str> },
    CloseSource(Box<dyn Source>),
    CloseSink(Box<dyn Sink>),
}

/// What the clerk has done.
pub(super) enum Opened {
    Recorder { stream: StreamKey, recorder: Result<Box<Recorder>, Arc<str>> },
    Player { stream: StreamKey, player: Result<Box<Player>, Arc<str>> },
    Source { owner: Owner, spec: Arc<str>, source: Result<Box<dyn Source>, Arc<str>> },
    Sink { owner: Owner, spec: Arc<str>, sink: Result<Box<dyn Sink>, Arc<str>> },
}

/// Whose a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// One stream's.
    Stream(StreamKey),
    /// That of all streams which name it.
    Shared,
    /// For rings and beeps.
    Alert,
}

/// The way to the clerk. He ends when it is dropped and all is done.
#[derive(Debug)]
pub(super) struct Clerk {
    errands: Sender<Errand>,
}

impl Clerk {
    pub(super) fn start(rate: SampleRate, queue: Arc<Queue>) -> std::io::Result<(Clerk, thread::JoinHandle<()>)> {
        let (errands, asked) = channel();
        let thread = thread::Builder::new().name("media-files".to_owned()).spawn(move || work(rate, &queue, &asked))?;
        Ok((Clerk { errands }, thread))
    }

    pub(super) fn ask(&self, errand: Errand) {
        if self.errands.send(errand).is_err() {
            tracing::error!("the thread that opens files is gone");
        }
    }
}

fn work(rate: SampleRate, queue: &Queue, asked: &Receiver<Errand>) {
    while let Ok(errand) = asked.recv() {
        if let Some(opened) = done(rate, errand) {
            queue.report(opened);
        }
    }
}

fn done(rate: SampleRate, errand: Errand) -> Option<Opened> {
    Some(match errand {
        Errand::OpenRecorder { stream, path } => {
            Opened::Recorder { stream, recorder: Recorder::create(&path, rate).map(Box::new).map_err(in_words) }
        }
        Errand::OpenPlayer { stream, path, options } => {
            Opened::Player { stream, player: Player::open(&path, rate, options).map(Box::new).map_err(in_words) }
        }
        Errand::OpenSource { owner, spec } => {
            let device = spec.parse::<DeviceSpec>().map_err(in_words);
            let source = device.and_then(|device| device.source(rate).map_err(in_words));
            Opened::Source { owner, spec, source }
        }
        Errand::OpenSink { owner, spec } => {
            let device = spec.parse::<DeviceSpec>().map_err(in_words);
            let sink = device.and_then(|device| device.sink(rate).map_err(in_words));
            Opened::Sink { owner, spec, sink }
        }
        Errand::CloseRecorder(recorder) => {
            if let Err(error) = recorder.close() {
                tracing::warn!(%error, "a recording is not whole");
            }
            return None;
        }
        Errand::CloseSource(source) => {
            drop(source);
            return None;
        }
        Errand::CloseSink(sink) => {
            if let Err(error) = sink.close() {
                tracing::warn!(%error, "a device did not take all audio");
            }
            return None;
        }
    })
}

fn in_words(error: impl std::fmt::Display) -> Arc<str> {
    error.to_string().into()
}
