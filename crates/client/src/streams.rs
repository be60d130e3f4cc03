//! Which streams a session has, or is offered.

use std::fmt;

/// A kind of stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StreamKind {
    /// Audio over RTP.
    Audio,
    /// Chat over MSRP.
    Chat,
    /// A file over MSRP. It has a session of its own.
    File,
}

impl StreamKind {
    /// The reference's name: `audio`, `chat`, `file-transfer`.
    pub fn name(self) -> &'static str {
        match self {
            StreamKind::Audio => "audio",
            StreamKind::Chat => "chat",
            StreamKind::File => "file-transfer",
        }
    }
}

impl fmt::Display for StreamKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Streams {
    /// Audio over RTP.
    pub audio: bool,
    /// Chat over MSRP.
    pub chat: bool,
    /// A file over MSRP.
    pub file: bool,
}

impl Streams {
    /// None.
    pub const NONE: Streams = Streams { audio: false, chat: false, file: false };

    /// Audio alone.
    pub const fn audio() -> Streams {
        Streams { audio: true, ..Streams::NONE }
    }

    /// Chat alone.
    pub const fn chat() -> Streams {
        Streams { chat: true, ..Streams::NONE }
    }

    /// Audio and chat.
    pub const fn audio_and_chat() -> Streams {
        Streams { audio: true, chat: true, file: false }
    }

    /// A file alone.
    pub const fn file() -> Streams {
        Streams { file: true, ..Streams::NONE }
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self == Streams::NONE
    }

    /// Whether that kind is among them.
    pub fn has(self, kind: StreamKind) -> bool {
        match kind {
            StreamKind::Audio => self.audio,
            StreamKind::Chat => self.chat,
            StreamKind::File => self.file,
        }
    }

    /// These and that kind, or without it.
    pub fn with(mut self, kind: StreamKind, is_there: bool) -> Streams {
        match kind {
            StreamKind::Audio => self.audio = is_there,
            StreamKind::Chat => self.chat = is_there,
            StreamKind::File => self.file = is_there,
        }
        self
    }

    /// The kinds, audio first.
    pub fn iter(self) -> impl Iterator<Item = StreamKind> {
        [StreamKind::Audio, StreamKind::Chat, StreamKind::File].into_iter().filter(move |kind| self.has(*kind))
    }
}
