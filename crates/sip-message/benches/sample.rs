//! The message of the benchmarks: an INVITE of about 1 KB with SDP, as a phone behind two proxies sends it.

use bytes::Bytes;
use sip_message::header::{CallId, Contact, Cseq, From, Route, To, Via};
use sip_message::{HeaderName, Limits, Message, Request, parse_datagram};
use std::hint::black_box;

pub(crate) const INVITE: &[u8] = b"INVITE sip:bob@192.0.2.4:5060;transport=udp SIP/2.0\r\n\
Via: SIP/2.0/UDP 192.0.2.10:5060;rport;branch=z9hG4bK776asdhds8sdf0a9\r\n\
Via: SIP/2.0/UDP 192.0.2.20:5060;branch=z9hG4bK87asdks7;received=192.0.2.21;rport=5062\r\n\
Max-Forwards: 69\r\n\
Route: <sip:proxy.example.com;lr>\r\n\
Record-Route: <sip:edge.example.com;lr>\r\n\
From: \"Alice Liddell\" <sip:alice@example.com>;tag=1928301774\r\n\
To: \"Bob\" <sip:bob@example.com>\r\n\
Call-ID: a84b4c76e66710a84b4c76e66710@pc33.example.com\r\n\
CSeq: 314159 INVITE\r\n\
Contact: <sip:alice@192.0.2.21:5062;ob>;+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000A95A0E128>\"\r\n\
Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, NOTIFY, MESSAGE, SUBSCRIBE, INFO, PRACK, UPDATE\r\n\
Supported: replaces, outbound, timer, 100rel, gruu\r\n\
Session-Expires: 1800;refresher=uac\r\n\
User-Agent: Example Phone/4.2\r\n\
Content-Type: application/sdp\r\n\
Content-Length: 199\r\n\
\r\n\
v=0\r\n\
o=alice 2890844526 2890844526 IN IP4 192.0.2.21\r\n\
s=-\r\n\
c=IN IP4 192.0.2.21\r\n\
t=0 0\r\n\
m=audio 49170 RTP/AVP 0 8 97\r\n\
a=rtpmap:0 PCMU/8000\r\n\
a=rtpmap:8 PCMA/8000\r\n\
a=rtpmap:97 opus/48000/2\r\n\
a=sendrecv\r\n";

pub(crate) fn parse(datagram: Bytes) -> Message {
    parse_datagram(datagram, &LIMITS).expect("the sample is valid")
}

const LIMITS: Limits = Limits { message: 65_535, head: 65_536, line: 8_192, uri: 4_096, headers: 256, body: 1_048_576 };

pub(crate) fn request(datagram: Bytes) -> Request {
    match parse(datagram) {
        Message::Request(request) => request,
        Message::Response(_) => unreachable!("the sample is a request"),
    }
}

/// To typed values of all of Via, From, To, Call-ID, CSeq, Contact and Route.
pub(crate) fn parse_typed(datagram: Bytes) -> Message {
    let message = parse(datagram);
    let headers = message.headers();
    for via in headers.all::<Via>() {
        black_box(via.expect("valid"));
    }
    black_box(headers.get::<From>().map(|header| header.expect("valid")));
    black_box(headers.get::<To>().map(|header| header.expect("valid")));
    black_box(headers.get::<CallId>().map(|header| header.expect("valid")));
    black_box(headers.get::<Cseq>().map(|header| header.expect("valid")));
    black_box(headers.get::<Contact>().map(|header| header.expect("valid")));
    black_box(headers.get::<Route>().map(|header| header.expect("valid")));
    message
}

/// What a record-routing proxy changes: Max-Forwards, its own Route gone, Record-Route and Via on top.
pub(crate) fn proxied(mut request: Request) -> Request {
    let headers = request.headers_mut();
    headers.pop_first(HeaderName::Route);
    headers.set(HeaderName::MaxForwards, 68).expect("a number");
    headers.push_front(HeaderName::RecordRoute, "<sip:192.0.2.4;lr>").expect("no line break");
    headers
        .push_front(HeaderName::Via, "SIP/2.0/UDP 192.0.2.4;rport;branch=z9hG4bK0000000001000000011234567800")
        .expect("no line break");
    request
}
