//! A stream with its sockets and with what is plugged into it: devices, a file that is played, a recording.

use std::sync::Arc;
use std::time::Instant;

use super::command::StreamKey;
use super::ports::Pair;
use super::queue::Notice;
use crate::bridge::{Bridge, SlotId};
use crate::device::{Reading, Sink, Source};
use crate::stream::AudioStream;
use crate::wav::{Player, Recorder};

/// A stream as the media thread has it.
pub(super) struct Channel {
    pub(super) key: StreamKey,
    pub(super) stream: AudioStream,
    pub(super) sockets: Pair,
    /// Where it is mixed.
    pub(super) room: usize,
    pub(super) slot: SlotId,
    /// The devices that are wanted; opened when the stream runs.
    pub(super) wanted: (Arc<str>, Arc<str>),
    pub(super) input: Plug<Box<dyn Source>>,
    pub(super) output: Plug<Box<dyn Sink>>,
    pub(super) player: Option<Playing>,
    pub(super) recording: Recording,
    pub(super) mirrored: bool,
    pub(super) muted: bool,
    pub(super) notice: Arc<Notice>,
    /// Ticks since it was made.
    pub(super) ticks: u32,
}

/// Where a device goes.
#[derive(Default)]
pub(super) enum Plug<T> {
    /// There is none, or none that could be heard.
    #[default]
    Empty,
    /// The clerk opens it.
    Opening(Arc<str>),
    /// This stream's alone.
    Own { device: T, slot: SlotId },
    /// One of the room's.
    Shared(Arc<str>),
}

/// A file that is played to the peer.
pub(super) struct Playing {
    pub(super) player: Box<Player>,
    pub(super) slot: SlotId,
}

/// A recording of what both say.
#[derive(Default)]
pub(super) enum Recording {
    #[default]
    None,
    /// The clerk opens the file. Pause and stop may be asked for already.
    Opening {
        paused: bool,
        stopped: bool,
    },
    Running {
        recorder: Box<Recorder>,
        slot: SlotId,
    },
    /// What was said is still written.
    Stopping {
        recorder: Box<Recorder>,
    },
}

impl Channel {
    /// Puts what is heard in this tick into the bridge.
    pub(super) fn hear(&mut self, now: Instant, bridge: &mut Bridge, pcm: &mut [i16]) {
        if self.stream.next_timeout().is_some_and(|at| now >= at) {
            self.stream.handle_timeout(now);
        }
        if !self.stream.is_running() {
            return;
        }
        if self.stream.playout(now, pcm) {
            bridge.put(self.slot, pcm);
        }
        if let Plug::Own { device, slot } = &mut self.input
            && device.read(pcm) == Reading::Audio
        {
            bridge.put(*slot, pcm);
        }
        if let Some(Playing { player, slot }) = &mut self.player
            && player.fill(pcm) > 0
        {
            bridge.put(*slot, pcm);
        }
    }

    /// Takes what is said in this tick out of the bridge.
    pub(super) fn speak(&mut self, now: Instant, bridge: &mut Bridge, pcm: &mut [i16]) {
        if !self.stream.is_running() {
            return;
        }
        bridge.mix(self.slot, pcm);
        self.stream.capture(now, pcm);
        if let Plug::Own { device, slot } = &mut self.output {
            bridge.mix(*slot, pcm);
            device.write(pcm);
        }
        if let Recording::Running { recorder, slot } = &mut self.recording {
            bridge.mix(*slot, pcm);
            recorder.push(pcm);
        }
    }

    /// The slots that this channel has in its room's bridge.
    pub(super) fn slots(&mut self) -> impl Iterator<Item = &mut SlotId> {
        let input = match &mut self.input {
            Plug::Own { slot, .. } => Some(slot),
            Plug::Empty | Plug::Opening(_) | Plug::Shared(_) => None,
        };
        let output = match &mut self.output {
            Plug::Own { slot, .. } => Some(slot),
            Plug::Empty | Plug::Opening(_) | Plug::Shared(_) => None,
        };
        let recording = match &mut self.recording {
            Recording::Running { slot, .. } => Some(slot),
            Recording::None | Recording::Opening { .. } | Recording::Stopping { .. } => None,
        };
        let player = self.player.as_mut().map(|playing| &mut playing.slot);
        [Some(&mut self.slot), input, output, recording, player].into_iter().flatten()
    }
}
