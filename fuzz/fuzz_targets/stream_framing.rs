//! However a stream is cut into reads, the same items come out of it.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use sip_message::{Limits, StreamItem, StreamParser};

// The first octet says how many cuts follow it, each an octet: the length of the next read.
fuzz_target!(|input: &[u8]| {
    let Some((&count, rest)) = input.split_first() else {
        return;
    };
    let (cuts, stream) = rest.split_at(rest.len().min(usize::from(count)));
    let whole = items(&[stream]);
    let mut reads = Vec::new();
    let mut left = stream;
    for &cut in cuts {
        let (read, behind) = left.split_at(left.len().min(usize::from(cut)));
        reads.push(read);
        left = behind;
    }
    reads.push(left);
    assert_eq!(items(&reads), whole);
});

fn items(reads: &[&[u8]]) -> Vec<String> {
    let mut parser = StreamParser::new(Limits::default());
    let mut buffer = BytesMut::new();
    let mut items = Vec::new();
    for read in reads {
        buffer.extend_from_slice(read);
        while let Some(item) = parser.next(&mut buffer) {
            items.push(described(&item));
        }
    }
    items
}

/// What the peer could tell apart.
fn described(item: &StreamItem) -> String {
    match item {
        StreamItem::Message(message) => format!("message {:?}", message.to_bytes()),
        StreamItem::Refused(refusal) => format!("refused {:?}", refusal.fault()),
        StreamItem::Broken(refusal) => format!("broken {:?}", refusal.fault()),
        StreamItem::Ping => "ping".to_owned(),
        StreamItem::Pong => "pong".to_owned(),
    }
}
