//! The text that names a device.

use super::{DeviceError, FileSink, FileSource, Null, PipeSink, PipeSource, Silence, Sink, Source, ToneSource};
use crate::pcm::SampleRate;
use crate::tone::Tone;
use crate::wav::PlayerOptions;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A device by its text; the module's documentation lists them.
#[derive(Clone, Debug, PartialEq)]
pub enum DeviceSpec {
    /// `silence` or `null`.
    Silence,
    /// `tone:440`: a sine of so many hertz.
    Tone(f64),
    /// `file:/path.wav`.
    File(PathBuf),
    /// `pipe:-`: standard input or output.
    StandardPipe,
    /// `pipe:/path`.
    Pipe(PathBuf),
    /// `sound`, `default`, or `sound:NAME`.
    Sound(Option<String>),
}

impl DeviceSpec {
    /// Opens it to hear from it. A file is played once.
    pub fn source(&self, rate: SampleRate) -> Result<Box<dyn Source>, DeviceError> {
        self.source_with(rate, PlayerOptions::default())
    }

    /// Opens it to hear from it; a file is played so.
    pub fn source_with(&self, rate: SampleRate, options: PlayerOptions) -> Result<Box<dyn Source>, DeviceError> {
        Ok(match self {
            DeviceSpec::Silence => Box::new(Silence),
            DeviceSpec::Tone(hertz) => Box::new(ToneSource::new(Tone::sine(*hertz), rate)),
            DeviceSpec::File(path) => Box::new(FileSource::open(path, rate, options)?),
            DeviceSpec::StandardPipe => Box::new(PipeSource::standard_input(rate)?),
            DeviceSpec::Pipe(path) => Box::new(PipeSource::open(path, rate)?),
            DeviceSpec::Sound(name) => sound_source(name.as_deref(), rate)?,
        })
    }

    /// Opens it to play to it.
    pub fn sink(&self, rate: SampleRate) -> Result<Box<dyn Sink>, DeviceError> {
        Ok(match self {
            DeviceSpec::Silence => Box::new(Null),
            DeviceSpec::Tone(_) => return Err(DeviceError::NotASink(self.to_string())),
            DeviceSpec::File(path) => Box::new(FileSink::create(path, rate)?),
            DeviceSpec::StandardPipe => Box::new(PipeSink::standard_output(rate)?),
            DeviceSpec::Pipe(path) => Box::new(PipeSink::open(path, rate)?),
            DeviceSpec::Sound(name) => sound_sink(name.as_deref(), rate)?,
        })
    }
}

impl Default for DeviceSpec {
    /// The default sound card where there are sound cards, silence elsewhere.
    fn default() -> DeviceSpec {
        if cfg!(feature = "sound-card") { DeviceSpec::Sound(None) } else { DeviceSpec::Silence }
    }
}

/// A text that names no device. The caller's fault; says what would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpecError {
    /// Nothing begins like this.
    Unknown(String),
    /// A path is missing behind the colon.
    NoPath(&'static str),
    /// Not a frequency between 20 and 20,000 Hz.
    Frequency(String),
}

impl FromStr for DeviceSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<DeviceSpec, SpecError> {
        let (kind, rest) = match text.split_once(':') {
            Some((kind, rest)) => (kind, Some(rest)),
            None => (text, None),
        };
        match (kind, rest) {
            ("silence" | "null", None) => Ok(DeviceSpec::Silence),
            ("sound" | "default", None) => Ok(DeviceSpec::Sound(None)),
            ("sound", Some(name)) if !name.is_empty() => Ok(DeviceSpec::Sound(Some(name.to_owned()))),
            ("sound", Some(_)) => Err(SpecError::NoPath("sound")),
            ("tone", hertz) => {
                let hertz = hertz.unwrap_or_default();
                match hertz.parse() {
                    Ok(frequency) if (20.0..=20_000.0).contains(&frequency) => Ok(DeviceSpec::Tone(frequency)),
                    _ => Err(SpecError::Frequency(hertz.to_owned())),
                }
            }
            ("file", Some(path)) if !path.is_empty() => Ok(DeviceSpec::File(PathBuf::from(path))),
            ("file", _) => Err(SpecError::NoPath("file")),
            ("pipe", Some("-")) => Ok(DeviceSpec::StandardPipe),
            ("pipe", Some(path)) if !path.is_empty() => Ok(DeviceSpec::Pipe(PathBuf::from(path))),
            ("pipe", _) => Err(SpecError::NoPath("pipe")),
            _ => Err(SpecError::Unknown(text.to_owned())),
        }
    }
}

impl fmt::Display for DeviceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceSpec::Silence => f.write_str("silence"),
            DeviceSpec::Tone(hertz) => write!(f, "tone:{hertz}"),
            DeviceSpec::File(path) => write!(f, "file:{}", path.display()),
            DeviceSpec::StandardPipe => f.write_str("pipe:-"),
            DeviceSpec::Pipe(path) => write!(f, "pipe:{}", path.display()),
            DeviceSpec::Sound(None) => f.write_str("sound"),
            DeviceSpec::Sound(Some(name)) => write!(f, "sound:{name}"),
        }
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpecError::Unknown(text) => write!(
                f,
                "no such audio device: {text:?}; there are silence, tone:440, file:PATH, pipe:-, pipe:PATH, sound \
                 and sound:NAME"
            ),
            SpecError::NoPath("sound") => f.write_str("sound: wants the card's name behind the colon, or no colon"),
            SpecError::NoPath(kind) => write!(f, "{kind}: wants a path, for example {kind}:/path/to/audio"),
            SpecError::Frequency(text) => {
                write!(f, "tone: wants a frequency between 20 and 20000, for example tone:440, not {text:?}")
            }
        }
    }
}

impl std::error::Error for SpecError {}

#[cfg(feature = "sound-card")]
fn sound_source(name: Option<&str>, rate: SampleRate) -> Result<Box<dyn Source>, DeviceError> {
    Ok(Box::new(super::SoundSource::open(name, rate)?))
}

#[cfg(feature = "sound-card")]
fn sound_sink(name: Option<&str>, rate: SampleRate) -> Result<Box<dyn Sink>, DeviceError> {
    Ok(Box::new(super::SoundSink::open(name, rate)?))
}

#[cfg(not(feature = "sound-card"))]
fn sound_source(_name: Option<&str>, _rate: SampleRate) -> Result<Box<dyn Source>, DeviceError> {
    Err(DeviceError::NoSoundCards)
}

#[cfg(not(feature = "sound-card"))]
fn sound_sink(_name: Option<&str>, _rate: SampleRate) -> Result<Box<dyn Sink>, DeviceError> {
    Err(DeviceError::NoSoundCards)
}

#[cfg(test)]
mod tests {
    use super::super::Reading;
    use super::*;
    use crate::signal;
    use crate::wav::Folder;

    #[test]
    fn every_text_of_the_table_names_its_device_and_back() {
        let texts = [
            ("silence", DeviceSpec::Silence),
            ("tone:440", DeviceSpec::Tone(440.0)),
            ("tone:1004.5", DeviceSpec::Tone(1_004.5)),
            ("file:/a b/c:d.wav", DeviceSpec::File("/a b/c:d.wav".into())),
            ("pipe:-", DeviceSpec::StandardPipe),
            ("pipe:/run/audio", DeviceSpec::Pipe("/run/audio".into())),
            ("sound", DeviceSpec::Sound(None)),
            ("sound:USB Audio", DeviceSpec::Sound(Some("USB Audio".to_owned()))),
        ];
        for (text, spec) in texts {
            assert_eq!(text.parse(), Ok(spec.clone()));
            assert_eq!(spec.to_string(), text);
        }
        assert_eq!("null".parse(), Ok(DeviceSpec::Silence));
        assert_eq!("default".parse(), Ok(DeviceSpec::Sound(None)));
    }

    #[test]
    fn a_wrong_text_is_refused_with_what_would_be_right() {
        let refused = |text: &str| text.parse::<DeviceSpec>().unwrap_err().to_string();
        assert!(refused("alsa").contains("tone:440, file:PATH"));
        assert!(refused("silence:").contains("no such audio device"));
        assert!(refused("").contains("no such audio device"));
        assert!(refused("file:").contains("file:/path/to/audio"));
        assert!(refused("pipe").contains("pipe:/path/"));
        assert!(refused("sound:").contains("name"));
        for tone in ["tone", "tone:", "tone:high", "tone:0", "tone:-440", "tone:NaN", "tone:inf", "tone:96000"] {
            assert!(refused(tone).contains("tone:440"), "{tone}");
        }
    }

    #[test]
    fn devices_open_from_their_texts() {
        let open = |text: &str| text.parse::<DeviceSpec>().unwrap();
        let mut pcm = vec![7; 8_000];
        assert_eq!(open("silence").source(SampleRate::Narrow).unwrap().read(&mut pcm), Reading::Silence);
        assert!(pcm.iter().all(|&sample| sample == 0));
        assert_eq!(open("tone:600").source(SampleRate::Narrow).unwrap().read(&mut pcm), Reading::Audio);
        assert!((signal::dominant_frequency(&pcm, SampleRate::Narrow) - 600.0).abs() < 0.1);
        open("null").sink(SampleRate::Narrow).unwrap().write(&pcm);
        let folder = Folder::new();
        let file = format!("file:{}", folder.file("x.wav").display());
        assert!(matches!(open(&file).source(SampleRate::Narrow), Err(DeviceError::File(_))));
        let mut sink = open(&file).sink(SampleRate::Narrow).unwrap();
        sink.write(&pcm);
        sink.close().unwrap();
        assert_eq!(open(&file).source(SampleRate::Narrow).unwrap().read(&mut pcm), Reading::Audio);
        assert!(matches!(open("tone:600").sink(SampleRate::Narrow), Err(DeviceError::NotASink(_))));
    }

    #[cfg(not(feature = "sound-card"))]
    #[test]
    fn without_sound_cards_it_is_said_what_there_is_instead() {
        let error = DeviceSpec::Sound(None).source(SampleRate::Narrow).err().unwrap();
        assert!(error.to_string().contains("sound-card"), "{error}");
        assert_eq!(DeviceSpec::default(), DeviceSpec::Silence);
    }
}
