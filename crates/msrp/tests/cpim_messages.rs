//! Messages of RFC 3862 and RFC 5438, and as running clients write them: what is read, what is written, what is refused.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use msrp::cpim::{Address, CpimError, DateTime, Header, Message, NAMESPACE};
use msrp::imdn;
use msrp::multipart::{ContentType, Entity};

fn read(text: &str) -> Result<Message, CpimError> {
    Message::parse(&Bytes::copy_from_slice(text.as_bytes()))
}

fn hello() -> Message {
    let alice = Address::new(Some("Alice"), "sip:alice@example.com").expect("an address");
    let bob = Address::new(None, "sip:bob@example.com").expect("an address");
    Message::new(&alice, &bob, Entity::new(ContentType::text(), "hello bob"))
}

fn vectors() -> PathBuf {
    std::env::var_os("CORDBOARD_VECTORS")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors")), PathBuf::from)
}

/// RFC 3862 §5.1, the printed example with the MIME header that announces it.
#[test]
fn the_rfcs_example_is_read_and_printed_back() {
    let path = vectors().join("cpim/rfc3862-5.1-wire.cpim");
    let Ok(octets) = std::fs::read(&path) else {
        eprintln!("SKIPPED: {} is missing", path.display());
        return;
    };
    let octets = bytes::Bytes::from(octets);
    let message = Message::parse(&octets).unwrap();
    let announced = octets.strip_prefix(b"Content-type: Message/CPIM\r\n\r\n").unwrap();
    assert_eq!(message.print(), announced);
    let from = message.from().unwrap();
    assert_eq!((from.name(), from.uri()), (Some("MR SANDERS"), "im:piglet@100akerwood.com"));
    assert_eq!(message.to().next().unwrap().name(), Some("Depressed Donkey"));
    assert_eq!(message.date_time().unwrap().to_string(), "2000-12-13T13:40:00-08:00");
    assert_eq!(message.subject().as_deref(), Some("the weather will be fine today"));
    assert_eq!(message.subject_in("FR").as_deref(), Some("beau temps prevu pour aujourd'hui"));
    let features = "mid:MessageFeatures@id.foo.com";
    assert_eq!(message.get(features, "WackyMessageOption").unwrap().text(), "Use-silly-font");
    let required = message.required();
    assert_eq!(required.len(), 1);
    assert_eq!(required[0].namespace.as_deref(), Some(features));
    assert_eq!(required[0].name, "VitalMessageOption");
    assert_eq!(message.content.field("Content-ID"), Some("<1234567890@foo.com>"));
    assert_eq!(message.text().unwrap(), "<body>\r\nHere is the text of my message.\r\n</body>");
}

/// Two clients' chat, as it was on the wire.
#[test]
fn a_chat_message_of_a_running_client_is_read() {
    let message = read(
        "From: <sip:alice@example.test>\r\nTo: <sip:bob@example.test>\r\nDateTime: 2026-11-21T01:57:48.312137+00:00\r\n\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=\"utf8\"\r\n\r\nhello bob",
    )
    .unwrap();
    assert_eq!(message.from().unwrap().uri(), "sip:alice@example.test");
    let sent = UNIX_EPOCH + Duration::new(1_795_226_268, 312_137_000);
    assert_eq!(message.date_time().unwrap().system_time(), sent);
    assert!(message.content_type().is("text/plain"));
    assert_eq!(message.text().unwrap(), "hello bob");
}

/// The page-mode message of the same client asks for notifications.
#[test]
fn a_running_clients_wish_for_notifications_is_read() {
    let message = read(
        "From: <sip:alice@example.test>\r\nTo: <sip:bob@example.test>\r\nDateTime: 2026-11-21T01:47:30.077749+00:00\r\n\
         NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: 4cb46255-fba8-4002-8f2b-bc946e1614c5\r\n\
         imdn.Disposition-Notification: positive-delivery, display\r\n\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=\"utf-8\"\r\n\r\nhello page mode",
    )
    .unwrap();
    let request = imdn::Request::of(&message).unwrap();
    assert_eq!(request.message_id, "4cb46255-fba8-4002-8f2b-bc946e1614c5");
    assert_eq!(request.dispositions, [imdn::Disposition::PositiveDelivery, imdn::Disposition::Display]);
}

/// An older client leaves out the scheme, the zone and the MIME version.
#[test]
fn an_address_without_a_scheme_and_a_time_without_a_zone_are_understood() {
    let message = read(
        "To: Bob <bob@example.com>\r\nFrom: alice@example.com\r\nDateTime: 2009-11-21T01:57:48\r\n\r\n\
         Content-Type: text/plain\r\n\r\nhi",
    )
    .unwrap();
    assert_eq!(message.from().unwrap().uri_with_scheme(), "sip:alice@example.com");
    assert_eq!(message.to().next().unwrap().name(), Some("Bob"));
    assert_eq!(message.date_time().unwrap().to_string(), "2009-11-21T01:57:48+00:00");
}

/// RFC 3862 §2.2 is strict; bare line feeds and a missing space are forgiven.
#[test]
fn sloppy_lines_are_read_and_written_properly() {
    let message = read("From:<sip:a@b>\nTo:  <sip:c@d> \n\nContent-Type:text/plain\n\nhi").unwrap();
    let expected = "From: <sip:a@b>\r\nTo: <sip:c@d>\r\n\r\nContent-Type: text/plain\r\n\r\nhi";
    assert_eq!(message.print(), expected);
}

/// RFC 3862 §2.2 and §3.4.
#[test]
fn header_names_count_to_the_letter_and_by_their_namespace() {
    let message = read(
        "from: <sip:eve@example.com>\r\nNS: a <urn:x>\r\na.From: <sip:eve@example.com>\r\nb.From: <sip:eve@example.com>\r\n\
         NS: b <urn:x>\r\nb.Colour: blue\r\nNS: <urn:y>\r\nTo: me\r\n\r\n\r\n",
    )
    .unwrap();
    assert_eq!(message.from(), None);
    assert_eq!(message.to().count(), 0, "the default namespace has changed before it");
    assert_eq!(message.get("urn:y", "To").unwrap().value(), "me");
    assert_eq!(message.all("urn:x", "From").count(), 1, "a prefix is declared before it is used");
    assert_eq!(message.get("urn:x", "Colour").unwrap().text(), "blue");
}

#[test]
fn what_is_written_reads_as_it_was_meant() {
    let mut message = hello();
    message.set_date_time(DateTime::utc(UNIX_EPOCH + Duration::from_millis(1_795_226_268_312)));
    message.push(Header::new("Subject", "Wetter\r\nFrom: <sip:eve@example.com>").unwrap().in_language("de").unwrap());
    imdn::name_message(&mut message, "34jk324j").unwrap();
    let printed = message.print();
    let again = Message::parse(&printed).unwrap();
    assert_eq!(again, message);
    assert_eq!(again.subject_in("de").unwrap(), "Wetter\r\nFrom: <sip:eve@example.com>");
    assert_eq!(again.all(NAMESPACE, "From").count(), 1);
    assert_eq!(imdn::message_id(&again).as_deref(), Some("34jk324j"));
}

#[test]
fn nothing_written_can_be_a_second_header() {
    assert_eq!(Header::new("Subject: x\r\nFrom", "y"), Err(CpimError::Unprintable));
    assert_eq!(Header::new("a.b.c", "y"), Err(CpimError::Unprintable));
    assert_eq!(Header::new("Subject", "y").unwrap().in_language("de\r\nX"), Err(CpimError::Unprintable));
    assert_eq!(Address::new(None, "sip:a@b>\r\nX: <y"), Err(CpimError::Unprintable));
    assert_eq!(hello().prefix_of("urn:x>\r\nX: <y", "x"), Err(CpimError::Unprintable));
}

/// A prefix that somebody else has taken is not taken again.
#[test]
fn a_namespace_keeps_the_prefix_it_has_and_takes_nobodys() {
    let mut message = hello();
    message.push(Header::new("NS", "imdn <urn:other>").unwrap());
    imdn::name_message(&mut message, "1").unwrap();
    imdn::name_message(&mut message, "2").unwrap();
    assert_eq!(message.all(imdn::NAMESPACE, "Message-ID").count(), 2);
    assert_eq!(message.all("urn:other", "Message-ID").count(), 0);
    assert_eq!(message.headers().iter().filter(|header| header.name() == "NS").count(), 2);
}

#[test]
fn a_text_is_read_in_its_charset_or_refused() {
    let text = |charset: &str, octets: &'static [u8]| {
        let content_type = format!("text/plain;charset={charset}").parse().unwrap();
        let mut message = hello();
        message.content = Entity::new(content_type, octets);
        message.text().map(|text| text.into_owned())
    };
    assert_eq!(text("UTF-8", "é".as_bytes()).unwrap(), "é");
    assert_eq!(text("iso-8859-1", b"\xe9").unwrap(), "é");
    assert_eq!(text("utf8", b"\xe9"), Err(CpimError::Text));
    assert_eq!(text("utf-16", b"\0a"), Err(CpimError::Charset("utf-16".to_owned())));
}

#[test]
fn what_is_no_message_is_refused() {
    assert_eq!(read(""), Err(CpimError::Unfinished));
    assert_eq!(read("From: <sip:a@b>\r\n"), Err(CpimError::Unfinished));
    assert_eq!(read("no header\r\n\r\n\r\n"), Err(CpimError::Header));
    assert_eq!(read("Fr om: x\r\n\r\n\r\n"), Err(CpimError::Header));
    assert_eq!(read("From: a\u{0}b\r\n\r\n\r\n"), Err(CpimError::Header));
    assert_eq!(Message::parse(&Bytes::from_static(b"Subject: \xff\r\n\r\n\r\n")), Err(CpimError::Encoding));
    assert_eq!(read(&"A: b\r\n".repeat(65)), Err(CpimError::TooLarge));
    assert_eq!(read(&format!("A: {}\r\n\r\n", "b".repeat(40_000))), Err(CpimError::TooLarge));
    assert!(matches!(read("From: <sip:a@b>\r\n\r\nno field\r\n\r\n"), Err(CpimError::Content(_))));
}
