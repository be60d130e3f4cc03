//! Descriptions as real programs write them.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use common::files;
use sdp::SessionDescription;

/// The lines, whatever ends them, without empty ones.
fn lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

#[test]
fn every_line_of_the_field_survives_in_an_order_that_rfc_8866_allows() {
    let mut unchanged = 0;
    for (name, bytes) in files("sdp/sdp-transform", ".sdp") {
        let parsed = SessionDescription::parse(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let printed = parsed.to_string();
        assert_eq!(SessionDescription::parse(&printed).unwrap(), parsed, "{name}");

        let (before, after) = (lines(&bytes), lines(printed.as_bytes()));
        unchanged += usize::from(before == after);
        let sorted = |mut lines: Vec<String>| {
            lines.sort();
            lines
        };
        let mut before = sorted(before);
        // The camera leaves t= out, which has to be there.
        if !before.iter().any(|line| line.starts_with("t=")) {
            before.push("t=0 0".to_owned());
            before.sort();
        }
        assert_eq!(sorted(after), before, "{name}");
        // Attributes keep their order.
        let attributes = |bytes: &[u8]| -> Vec<String> {
            let lines = lines(bytes).into_iter();
            lines.filter(|l| l.starts_with("a=") || l.starts_with("m=")).collect()
        };
        assert_eq!(attributes(&bytes), attributes(printed.as_bytes()), "{name}");
    }
    // Most of them are in order already and come out octet for octet.
    assert!(unchanged >= 15 || common::vectors("sdp").is_none(), "{unchanged}");
}

#[test]
fn the_examples_of_rfc_4317_come_out_octet_for_octet() {
    for (name, bytes) in files("sdp/rfc4317", ".sdp") {
        let printed = SessionDescription::parse(&bytes).unwrap().to_string();
        assert_eq!(lines(printed.as_bytes()), lines(&bytes), "{name}");
    }
}

#[test]
fn the_typed_views_read_what_a_browser_writes() {
    let corpus = files("sdp/sdp-transform", ".sdp");
    let Some((_, bytes)) = corpus.iter().find(|(name, _)| name == "jsep.sdp") else {
        return;
    };
    let jsep = SessionDescription::parse(bytes).unwrap();
    let audio = &jsep.media[0];
    assert_eq!(jsep.attributes.typed::<sdp::Group>().count(), 1);
    assert_eq!(audio.attribute::<sdp::Mid>().unwrap().0, "a1");
    assert_eq!(audio.attribute::<sdp::Setup>(), Some(sdp::Setup::Actpass));
    let fingerprint = audio.attribute::<sdp::Fingerprint>().unwrap();
    assert_eq!((fingerprint.hash.as_str(), fingerprint.octets.len()), ("sha-256", 32));
    assert_eq!(audio.attribute::<sdp::Rtcp>().unwrap().port, 56501);
    assert_eq!(audio.attribute::<sdp::RtcpMux>(), Some(sdp::RtcpMux));
    assert_eq!(audio.attributes.ice_ufrag(), Some("ETEn1v9DoTMB9J4r"));
    assert_eq!(audio.attributes.candidates().count(), 2);
    assert_eq!(audio.attributes.ice_options().collect::<Vec<_>>(), ["trickle"]);
    assert_eq!(audio.attributes.ssrcs().count(), 1);
    let codecs = audio.codecs();
    let names: Vec<&str> = codecs.iter().map(|codec| codec.encoding.as_str()).collect();
    let events = "telephone-event";
    assert_eq!(names, ["opus", "PCMU", "PCMA", events, events]);
}
