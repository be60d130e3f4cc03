//! A session description that is printed reads as the same description.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sdp::SessionDescription;

fuzz_target!(|octets: &[u8]| {
    let Ok(description) = SessionDescription::parse(octets) else {
        return;
    };
    let printed = description.to_string();
    let again = SessionDescription::parse(&printed).expect("what we print is what we accept");
    assert_eq!(again, description);
    for media in &description.media {
        let _ = description.connection_of(media);
        let _ = description.direction_of(media);
        let _ = description.is_held_by_address(media);
        let _ = media.codecs();
    }
});
