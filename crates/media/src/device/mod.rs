//! Where audio comes from and goes to when it is not a call: a file, a tone, silence, a pipe, a sound card.
//!
//! Devices are asked once a tick of 20 ms by the media thread, and never hold it up: a [`Source`] that has nothing in
//! time gives silence, a [`Sink`] that cannot follow loses audio and tells of it. Sound cards are there with the cargo
//! feature `sound-card`; all others always.
//!
//! A device is named by a text, as on a command line:
//!
//! | text | as a source | as a sink |
//! | --- | --- | --- |
//! | `silence`, `null` | silence | goes nowhere |
//! | `tone:440` | a sine of 440 Hz | – |
//! | `file:/path.wav` | plays it once | records to it |
//! | `pipe:-` | standard input, raw samples | standard output |
//! | `pipe:/path` | a named pipe or a file of raw samples | the same |
//! | `sound`, `default` | the default microphone | the default speaker |
//! | `sound:NAME` | the microphone of that name | the speaker |
//!
//! Raw samples are 16 bits, signed, little-endian, mono, at the rate of the bridge.

mod file;
mod pipe;
#[cfg(feature = "sound-card")]
mod sound;
mod spec;
mod tone;

pub use file::{FileSink, FileSource};
pub use pipe::{PipeSink, PipeSource};
#[cfg(feature = "sound-card")]
pub use sound::{SoundDevice, SoundSink, SoundSource, sound_devices};
pub use spec::{DeviceSpec, SpecError};
pub use tone::ToneSource;

use crate::wav::WavError;
use std::fmt;

/// What a source gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Audio.
    Audio,
    /// Silence, since there is nothing to be heard or nothing came in time.
    Silence,
    /// Silence, and nothing will follow.
    Over,
}

/// Audio comes from here.
pub trait Source: Send {
    /// The next samples, one tick. All of `pcm` is filled, whatever is returned.
    fn read(&mut self, pcm: &mut [i16]) -> Reading;

    /// The next thing to tell, if there is one.
    fn poll_event(&mut self) -> Option<DeviceEvent> {
        None
    }
}

/// Audio goes here.
pub trait Sink: Send {
    /// The next samples, one tick. Never waits.
    fn write(&mut self, pcm: &[i16]);

    /// On hold: what is written meanwhile goes nowhere, as far as that means anything here.
    fn pause(&mut self, paused: bool) {
        let _ = paused;
    }

    /// The next thing to tell, if there is one.
    fn poll_event(&mut self) -> Option<DeviceEvent> {
        None
    }

    /// Ends, and waits until what was written is where it should be. Not for the media thread.
    fn close(self: Box<Self>) -> Result<(), DeviceError> {
        Ok(())
    }
}

/// What a device has to tell while it runs.
#[derive(Clone, Debug, PartialEq)]
pub enum DeviceEvent {
    /// A source has given all that it had.
    Ended,
    /// So many samples were lost, or silence put in their place, since device and call did not keep the same pace.
    Lost {
        /// Since this was told last.
        samples: u64,
    },
    /// The device works no more. A source gives silence, a sink takes everything and keeps nothing.
    Failed(DeviceError),
}

/// Why a device cannot be used.
#[derive(Clone, Debug, PartialEq)]
pub enum DeviceError {
    /// A WAV file, and what is the matter with it.
    File(WavError),
    /// A pipe, and what the system says.
    Pipe {
        /// Its name; `-` for standard input or output.
        name: String,
        /// In the system's words.
        problem: String,
    },
    /// A sound card.
    Sound {
        /// Its name, or `default`.
        name: String,
        /// What is the matter.
        problem: String,
    },
    /// Built without the feature `sound-card`.
    NoSoundCards,
    /// A tone was asked to record.
    NotASink(String),
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceError::File(error) => error.fmt(f),
            DeviceError::Pipe { name, problem } => write!(f, "pipe {name}: {problem}"),
            DeviceError::Sound { name, problem } => write!(f, "sound card {name}: {problem}"),
            DeviceError::NoSoundCards => f.write_str(
                "this program was built without sound cards (feature `sound-card`); \
                 use silence, tone:440, file:PATH or pipe:PATH",
            ),
            DeviceError::NotASink(name) => write!(f, "{name} can be heard, but nothing can be played to it"),
        }
    }
}

impl std::error::Error for DeviceError {}

impl From<WavError> for DeviceError {
    fn from(error: WavError) -> DeviceError {
        DeviceError::File(error)
    }
}

/// Silence without end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silence;

impl Source for Silence {
    fn read(&mut self, pcm: &mut [i16]) -> Reading {
        pcm.fill(0);
        Reading::Silence
    }
}

/// Takes everything and keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Null;

impl Sink for Null {
    fn write(&mut self, _pcm: &[i16]) {}
}
