//! A URI that is read is equivalent to itself and prints as itself; what is built of it never says more than was meant.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sip_message::{Uri, UriBuf};

// The first line is a URI, the second one that it is compared with, the third a value to be put into it.
fuzz_target!(|lines: &str| {
    let mut lines = lines.splitn(3, '\n');
    let Ok(uri) = Uri::parse(lines.next().unwrap_or_default()) else {
        return;
    };
    assert_eq!(uri.to_string(), uri.as_str());
    assert!(uri.equivalent(&uri), "a URI is equivalent to itself");
    let key = uri.address_of_record();
    if let Ok(key) = Uri::parse(&key) {
        assert_eq!(key.address_of_record(), key.as_str(), "the key is its own key");
    }
    if let Some(Ok(other)) = lines.next().map(Uri::parse) {
        assert_eq!(uri.equivalent(&other), other.equivalent(&uri));
    }
    if let Some(value) = lines.next() {
        nothing_is_injected(&uri, value);
    }
});

/// Whatever an application puts into a part of a URI stays in that part.
fn nothing_is_injected(uri: &Uri<'_>, value: &str) {
    let Some(sip) = uri.sip() else {
        return;
    };
    let others = |uri: &UriBuf| {
        let sip = uri.as_uri().sip().expect("a SIP URI stays one");
        (sip.host().to_string(), sip.port(), sip.is_secure())
    };
    let meant = (sip.host().to_string(), sip.port(), sip.is_secure());
    if let Ok(built) = uri.to_buf().with_user(value) {
        assert_eq!(others(&built), meant);
        let uri = built.as_uri();
        let sip = uri.sip().expect("a SIP URI stays one");
        assert_eq!(sip.user().as_deref(), Some(value));
        assert_eq!(sip.params().to_string(), params(&built));
    }
    if let Ok(built) = uri.to_buf().with_param("x", value) {
        assert_eq!(others(&built), meant);
        let uri = built.as_uri();
        let sip = uri.sip().expect("a SIP URI stays one");
        assert_eq!(sip.params().value("x").as_deref(), Some(value));
    }
    if let Ok(built) = uri.to_buf().with_header("x", value) {
        assert_eq!(others(&built), meant);
    }
}

fn params(uri: &UriBuf) -> String {
    let uri = uri.as_uri();
    uri.sip().map(|sip| sip.params().to_string()).unwrap_or_default()
}
