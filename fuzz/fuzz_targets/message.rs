//! A datagram is a message or a refusal. A message that is printed reads as the same message, also after a proxy's edits.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sip_message::header::{self, parse_any};
use sip_message::{HeaderName, Limits, Message, parse_datagram};

fuzz_target!(|datagram: &[u8]| {
    let limits = Limits::default();
    match parse_datagram(Bytes::copy_from_slice(datagram), &limits) {
        Ok(message) => {
            let printed = message.to_bytes();
            let again = read(&printed);
            assert_eq!(again.body(), message.body());
            assert_eq!(again.to_bytes(), printed, "printing is stable");
            look_at_every_header(&message);
            forward(message);
        }
        Err(refusal) => {
            // The response has to carry back what the request said, faults and all, but nothing that was not a header.
            if let Some(response) = refusal.response() {
                assert!(response.status().code() >= 400);
                let printed = response.to_bytes();
                let head = printed.len() - 4;
                assert_eq!(find(&printed, b"\r\n\r\n"), Some(head));
            }
        }
    }
});

fn look_at_every_header(message: &Message) {
    for row in header::TABLE {
        for value in message.headers().values(row.name) {
            let _ = parse_any(row.name, value);
        }
    }
}

/// What a proxy does to a request on its way, and to the response on its way back.
fn forward(mut message: Message) {
    const OURS: &str = "SIP/2.0/UDP proxy.example.test;branch=z9hG4bKours";
    let before: Vec<String> = vias(&message);
    message.headers_mut().push_front(HeaderName::Via, OURS).expect("our Via is one line");
    let mut forwarded = read_unlimited(&message.to_bytes());
    assert_eq!(vias(&forwarded)[0], OURS);
    assert_eq!(vias(&forwarded)[1..], before);
    assert!(forwarded.headers_mut().pop_first(HeaderName::Via));
    assert_eq!(vias(&forwarded), before);
}

fn vias(message: &Message) -> Vec<String> {
    message.headers().values(HeaderName::Via).map(str::to_owned).collect()
}

fn find(octets: &[u8], wanted: &[u8]) -> Option<usize> {
    octets.windows(wanted.len()).position(|window| window == wanted)
}

fn read(octets: &Bytes) -> Message {
    parse_datagram(octets.clone(), &Limits::default()).expect("what we print is what we accept")
}

/// A message at its limits has no room for our Via; that is not what is looked for here.
fn read_unlimited(octets: &Bytes) -> Message {
    let limits = Limits {
        message: usize::MAX,
        head: usize::MAX,
        line: usize::MAX,
        uri: usize::MAX,
        headers: usize::MAX,
        body: usize::MAX,
    };
    parse_datagram(octets.clone(), &limits).expect("what we print is what we accept")
}
