//! What several test files need: the shared vectors and two phones.

#![allow(dead_code)] // each test file uses its part

use sdp::{Capabilities, Codec, Input, OfferAnswer, Origin, Output, SessionDescription, Violation};
use std::path::PathBuf;

/// A folder of the shared vectors; `None`, and a word about it, where it is missing.
pub(crate) fn vectors(folder: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("CORDBOARD_VECTORS") {
        Some(root) => PathBuf::from(root),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
    };
    let path = root.join(folder);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("SKIPPED: no test vectors in {}", path.display());
    None
}

/// All files of a folder with that ending, sorted by name.
pub(crate) fn files(folder: &str, ending: &str) -> Vec<(String, Vec<u8>)> {
    let Some(path) = vectors(folder) else {
        return Vec::new();
    };
    let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no {ending} in {folder}");
    files
}

/// A description of `lines`, each ended by CRLF.
pub(crate) fn description(lines: &[&str]) -> SessionDescription {
    let text: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    SessionDescription::parse(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// An audio description in version `version` with further lines.
pub(crate) fn audio(version: u64, lines: &[&str]) -> SessionDescription {
    let origin = format!("o=- 1 {version} IN IP4 192.0.2.1");
    let head = ["v=0", &origin, "s=-", "c=IN IP4 192.0.2.1", "t=0 0"];
    description(&[&head[..], lines].concat())
}

/// One end of a call.
#[derive(Clone)]
pub(crate) struct Phone {
    pub(crate) machine: OfferAnswer,
    pub(crate) wishes: Capabilities,
}

impl Phone {
    pub(crate) fn new(number: u8) -> Phone {
        let address = std::net::IpAddr::from([192, 0, 2, number]);
        Phone {
            machine: OfferAnswer::strict(),
            wishes: Capabilities::new(Origin::new(number.into(), address), address),
        }
    }

    pub(crate) fn audio(number: u8, codecs: &[Codec]) -> Phone {
        let mut phone = Phone::new(number);
        let stream = sdp::StreamCapability::audio(49170, codecs);
        phone.wishes.streams.push(stream);
        phone
    }

    /// Makes and registers an offer.
    pub(crate) fn offer(&mut self) -> SessionDescription {
        let offer = self.wishes.offer_in(&self.machine);
        match self.machine.handle(Input::LocalOffer(offer)) {
            Ok(Output::SendOffer(offer)) => wire(&offer),
            other => panic!("{other:?}"),
        }
    }

    /// Takes an offer and makes the answer to it.
    pub(crate) fn answer(&mut self, offer: &SessionDescription) -> Result<SessionDescription, Violation> {
        self.machine.handle(Input::RemoteOffer(offer.clone()))?;
        let answer = self.wishes.answer_in(&self.machine, offer).unwrap();
        match self.machine.handle(Input::LocalAnswer(answer))? {
            Output::SendAnswer(answer) => Ok(wire(&answer)),
            other => panic!("{other:?}"),
        }
    }
}

/// One whole exchange.
pub(crate) fn exchange(offerer: &mut Phone, answerer: &mut Phone) {
    let offer = offerer.offer();
    let answer = answerer.answer(&offer).unwrap();
    let input = Input::RemoteAnswer(answer);
    offerer.machine.handle(input).unwrap();
}

/// Over the wire and back.
pub(crate) fn wire(description: &SessionDescription) -> SessionDescription {
    let parsed = SessionDescription::parse(description.to_string()).unwrap();
    assert_eq!(parsed, *description);
    parsed
}
