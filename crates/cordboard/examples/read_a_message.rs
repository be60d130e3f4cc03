//! Reads a message, looks at its headers, changes it, and prints it again: what `sip-message` is for.
//!
//! ```console
//! $ cargo run --example read_a_message
//! ```
//!
//! Reading keeps the octets in one shared buffer and notes where each line lies. A typed header is read when it is asked
//! for, and a change is a span that points elsewhere: what is left alone is printed as it came, but for folds and the
//! white space around a value.
#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::error::Error;

use bytes::Bytes;
use sip_message::header::{Contact, From, To, Via};
use sip_message::{HeaderName, Host, Limits, Message, Request, Transport, UriBuf, parse_datagram};

/// An INVITE with what real phones write: a folded line, a compact name, odd white space, a header of their own.
pub(crate) const INVITE: &str = "INVITE sip:bob@example.com SIP/2.0\r\n\
    Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK74bf9;rport\r\n\
    Max-Forwards: 70\r\n\
    f: \"Alice\" <sip:alice@example.com>;tag=9fxced76sl\r\n\
    To:   Bob\r\n  <sip:bob@example.com>\r\n\
    Call-ID: 3848276298220188511@example.com\r\n\
    CSeq: 1 INVITE\r\n\
    Contact: <sip:alice@192.0.2.1>;+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000A95A0E128>\"\r\n\
    X-Mood: cheerful\r\n\
    Content-Length: 0\r\n\r\n";

/// The same without a CSeq, which RFC 3261 §8.1.1 asks of every request.
pub(crate) const WITHOUT_CSEQ: &str = "OPTIONS sip:bob@example.com SIP/2.0\r\n\
    Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK74bfa\r\n\
    From: <sip:alice@example.com>;tag=1\r\n\
    To: <sip:bob@example.com>\r\n\
    Call-ID: 1\r\n\r\n";

/// Reads what one datagram holds, which has to be a request.
pub(crate) fn read(text: &'static str) -> Result<Request, Box<dyn Error>> {
    match parse_datagram(Bytes::from_static(text.as_bytes()), &Limits::default()) {
        Ok(Message::Request(request)) => Ok(request),
        Ok(Message::Response(_)) => Err("a response".into()),
        // A refusal says what is wrong, and has the response that says it to the sender.
        Err(refusal) => Err(format!("{}: {refusal}", refusal.fault().status().code()).into()),
    }
}

/// What the headers say. `None` means that there is no such header, an error that it can't be read.
pub(crate) fn tell(request: &Request) -> Result<String, Box<dyn Error>> {
    let headers = request.headers();
    let from = headers.get::<From>().ok_or("no From")??;
    let to = headers.get::<To>().ok_or("no To")??;
    let via = headers.get::<Via>().ok_or("no Via")??;
    let contact = headers.get::<Contact>().ok_or("no Contact")??;
    let address = contact.address().ok_or("a Contact of * names no address")?;
    Ok(format!(
        "{} calls {} from {}, in branch {}, and is reached at {} on instance {}",
        from.display_name().unwrap_or_default(),
        to.uri(),
        via.host(),
        via.branch().unwrap_or("?"),
        address.uri(),
        address.instance().unwrap_or_default(),
    ))
}

/// Makes of the request what a proxy at 198.51.100.7 would send to where Bob is.
pub(crate) fn forward(request: &mut Request) -> Result<(), Box<dyn Error>> {
    request.set_uri(&UriBuf::parse("sip:bob@192.0.2.4")?);
    let headers = request.headers_mut();
    headers.set(HeaderName::MaxForwards, 69)?;
    headers.push_front(HeaderName::RecordRoute, "<sip:198.51.100.7;lr>")?;
    let us = Via::new(Transport::Udp, Host::V4([198, 51, 100, 7].into()), None)?.with_branch("z9hG4bKexample")?;
    headers.push_front(HeaderName::Via, us)?;
    // A value is never more than one line, whoever has made it.
    let injected = headers.push(HeaderName::Subject, "hello\r\nRoute: <sip:evil.example.com>");
    assert!(injected.is_err(), "a line break is refused");
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut request = read(INVITE)?;
    println!("{}\n", tell(&request)?);
    forward(&mut request)?;
    println!("{}", String::from_utf8(request.to_bytes().to_vec())?);
    if let Err(refused) = read(WITHOUT_CSEQ) {
        println!("refused with {refused}");
    }
    Ok(())
}
