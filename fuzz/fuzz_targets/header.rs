//! A typed header that is printed reads as the same header, and is one line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sip_message::HeaderName;
use sip_message::header::parse_any;

// A header line: `Name: value`.
fuzz_target!(|line: &str| {
    let Some((name, value)) = line.split_once(':') else {
        return;
    };
    let name = HeaderName::lookup(name.trim());
    let Ok(printed) = parse_any(name, value.trim()) else {
        return;
    };
    assert!(!printed.contains(['\r', '\n']), "a value is one line");
    let again = parse_any(name, &printed).expect("what we print is what we accept");
    assert_eq!(again, printed, "printing is stable");
});
