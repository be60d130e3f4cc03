//! A presence document is read or refused; what is read can be written together with others, is well-formed then, has
//! every id once, and reads again as what was written.
#![no_main]

use applications::presence::pidf::{Pidf, compose};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let Ok(pidf) = Pidf::parse(octets) else {
        return;
    };
    let once = compose("sip:alice@example.com", [&pidf]);
    match Pidf::parse(once.as_bytes()) {
        Ok(again) => {
            assert_eq!(compose("sip:alice@example.com", [&again]), once);
            assert!(!again.is_empty(), "somebody of whom nothing is said is closed");
        }
        Err(error) => assert!(once.len() > 64 * 1024, "{error}: {once}"),
    }
    let twice = compose("sip:alice@example.com", [&pidf, &pidf]);
    if let Err(error) = Pidf::parse(twice.as_bytes()) {
        assert!(twice.len() > 60 * 1024 || twice.matches('\n').count() > 128, "{error}: {twice}");
    }
});
