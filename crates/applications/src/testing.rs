//! What the unit tests of several applications share.

use sip_message::{Flow, Limits, ListenerId, Message, Request, Transport, parse_datagram};

/// A request of this text; what every request needs is added, and line ends are made right.
pub(crate) fn request(text: &str) -> Request {
    let text = text.replace("\r\n", "\n");
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let method = first.split(' ').next().unwrap();
    let mut lines = vec![first.to_owned()];
    lines.extend(rest.lines().filter(|line| !line.is_empty()).map(str::to_owned));
    let needed = [
        ("Via", "SIP/2.0/UDP 203.0.113.5;branch=z9hG4bKa".to_owned()),
        ("From", "<sip:caller@example.net>;tag=f".to_owned()),
        ("To", "<sip:bob@example.com>".to_owned()),
        ("Call-ID", "call".to_owned()),
        ("CSeq", format!("1 {method}")),
        ("Max-Forwards", "70".to_owned()),
        ("Content-Length", "0".to_owned()),
    ];
    for (name, value) in needed {
        if !lines.iter().any(|line| line.starts_with(&format!("{name}:"))) {
            lines.push(format!("{name}: {value}"));
        }
    }
    // A header that a test wants to be absent.
    lines.retain(|line| !line.ends_with(": -"));
    let octets = format!("{}\r\n\r\n", lines.join("\r\n"));
    match parse_datagram(octets.into_bytes().into(), &Limits::default()) {
        Ok(Message::Request(request)) => request,
        other => panic!("no request: {other:?}"),
    }
}

/// A UDP flow from `remote`.
pub(crate) fn udp(remote: &str) -> Flow {
    Flow {
        transport: Transport::Udp,
        listener: ListenerId(0),
        local: "192.0.2.1:5060".parse().unwrap(),
        remote: remote.parse().unwrap(),
        connection: None,
    }
}
