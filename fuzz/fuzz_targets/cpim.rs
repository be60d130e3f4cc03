//! What travels in MSRP and MESSAGE: a CPIM message, a disposition notification, an is-composing indication, a multipart, a
//! stream's description with its file. Each is read or refused; what is read is written so that it reads as the same again, and no
//! name of a file leads out of its folder.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use msrp::composing::Indication;
use msrp::cpim::Message;
use msrp::description::{Description, FileSelector, harmless_name};
use msrp::imdn::{Notification, Request};
use msrp::multipart::{ContentType, Entity};

fuzz_target!(|octets: &[u8]| {
    let Some((letter, octets)) = octets.split_first() else {
        return;
    };
    match letter {
        b'c' => cpim(octets),
        b'i' => imdn(octets),
        b'o' => composing(octets),
        b'm' => multipart(octets),
        b'f' => file_selector(octets),
        b'd' => description(octets),
        b'n' => name(&String::from_utf8_lossy(octets)),
        _ => {}
    }
});

fn cpim(octets: &[u8]) {
    let Ok(message) = Message::parse(&Bytes::copy_from_slice(octets)) else {
        return;
    };
    let printed = message.print();
    match Message::parse(&printed) {
        Ok(again) => assert_eq!(again.print(), printed),
        // Lines get longer where a space was missing.
        Err(error) => assert!(printed.len() > 15 * 1024, "{error}: {printed:?}"),
    }
    for address in message.from().into_iter().chain(message.to()).chain(message.cc()) {
        let again = msrp::cpim::Address::parse(&address.to_string());
        assert_eq!(again, Some(address));
    }
    if let Some(date_time) = message.date_time() {
        assert_eq!(date_time.to_string().parse(), Ok(date_time));
    }
    let _ = (message.subject(), message.required(), message.text(), message.content.parts());
    if let Some(request) = Request::of(&message) {
        let mut copy = message.clone();
        if request.write(&mut copy).is_ok() {
            assert_eq!(copy.headers().len(), message.headers().len() + 2 + usize::from(declares(&copy, &message)));
        }
    }
}

/// Whether a namespace was declared in between.
fn declares(after: &Message, before: &Message) -> bool {
    let count = |message: &Message| message.headers().iter().filter(|header| header.name() == "NS").count();
    count(after) > count(before)
}

fn imdn(octets: &[u8]) {
    if let Ok(notification) = Notification::parse(octets) {
        let again = Notification::parse(notification.to_xml().as_bytes());
        assert!(again.as_ref() == Ok(&notification) || octets.len() > 16 * 1024, "{again:?}");
    }
}

fn composing(octets: &[u8]) {
    if let Ok(indication) = Indication::parse(octets) {
        let again = Indication::parse(indication.to_xml().as_bytes());
        assert!(again.as_ref() == Ok(&indication) || octets.len() > 16 * 1024, "{again:?}");
    }
}

/// The first line is the type; behind it the body.
fn multipart(octets: &[u8]) {
    let end = octets.iter().position(|&octet| octet == b'\n').unwrap_or(octets.len());
    let (line, body) = octets.split_at(end);
    let Some(content_type) = std::str::from_utf8(line).ok().and_then(|line| line.parse::<ContentType>().ok()) else {
        return;
    };
    assert_eq!(content_type.to_string().parse(), Ok(content_type.clone()));
    let entity = Entity::new(content_type, Bytes::copy_from_slice(body.get(1..).unwrap_or_default()));
    let Ok(multipart) = entity.parts() else {
        return;
    };
    let mut letters = 0;
    let (content_type, body) = multipart.print(&mut || {
        letters += 1;
        letters
    });
    let again = Entity::new(content_type, body).parts();
    assert_eq!(again, Ok(multipart));
}

fn file_selector(octets: &[u8]) {
    let Some(selector) = std::str::from_utf8(octets).ok().and_then(|text| text.parse::<FileSelector>().ok()) else {
        return;
    };
    if let Some(given) = &selector.name {
        name(given);
    }
    let printed = selector.to_string();
    assert_eq!(printed.parse(), Ok(selector), "{printed}");
}

fn name(given: &str) {
    let name = harmless_name(given);
    assert!(!name.is_empty() && name.len() <= 200 && !name.contains(['/', '\\', '\0']), "{name:?}");
    assert!(!name.starts_with(['.', '-', ' ']) && !name.ends_with(['.', ' ']), "{name:?}");
    assert_eq!(harmless_name(&name), name, "{given:?}");
}

fn description(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else {
        return;
    };
    let attributes = |text: &str| -> Vec<(String, Option<String>)> {
        let pair = |line: &str| match line.split_once(':') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (line.to_owned(), None),
        };
        text.lines().map(pair).collect()
    };
    let read = |text: &str| {
        let attributes = attributes(text);
        let borrowed = attributes.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
        Description::parse("192.0.2.1", 2855, "TCP/MSRP", borrowed)
    };
    let Ok(description) = read(text) else {
        return;
    };
    let printed: Vec<String> = description.attributes().iter().map(ToString::to_string).collect();
    assert!(printed.iter().all(|line| !line.contains(['\r', '\n'])), "{printed:?}");
    assert_eq!(read(&printed.join("\n")), Ok(description), "{printed:?}");
}
