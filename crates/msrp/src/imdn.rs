//! Disposition notifications (RFC 5438): asking in a CPIM message to be told that it was delivered or displayed, and the
//! `message/imdn+xml` that tells it. When to ask, and whether the user wants to tell, is the client's to decide (§14.2);
//! routing of notifications through intermediaries (§6.5, §6.6) is left to them.

use std::fmt;
use std::fmt::Write as _;

use bytes::Bytes;

use crate::cpim::{self, CpimError, Header, Message};
use crate::multipart::{Entity, Field};
pub use crate::xml::XmlError;
use crate::xml::{self, Element};

/// The type of a notification.
pub const CONTENT_TYPE: &str = "message/imdn+xml";
/// §6.1: the namespace of the CPIM headers.
pub const NAMESPACE: &str = "urn:ietf:params:imdn";
const XML_NAMESPACE: &str = "urn:ietf:params:xml:ns:imdn";

/// What a sender wants to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Disposition {
    /// When the message has reached the reader's client.
    PositiveDelivery,
    /// When it can't.
    NegativeDelivery,
    /// What intermediaries do with it.
    Processing,
    /// When the reader has seen it.
    Display,
}

/// The wish of a message to be told about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `imdn.Message-ID`: what a notification names.
    pub message_id: String,
    /// What of; words that are not known here are left out.
    pub dispositions: Vec<Disposition>,
}

/// What happened to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Of which message.
    pub message_id: String,
    /// When *the message* was sent, as it said itself (§11.1.2).
    pub date_time: Option<String>,
    /// Who it was for, in the end.
    pub recipient_uri: Option<String>,
    /// Who its sender meant it for.
    pub original_recipient_uri: Option<String>,
    /// Of what kind.
    pub kind: Kind,
    /// What.
    pub status: Status,
}

/// The three kinds of notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `delivery-notification`.
    Delivery,
    /// `processing-notification`.
    Processing,
    /// `display-notification`.
    Display,
}

/// What happened. §11.1.7 says which go with which kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// It has arrived.
    Delivered,
    /// It won't.
    Failed,
    /// It was seen.
    Displayed,
    /// An intermediary has handled it.
    Processed,
    /// An intermediary keeps it for later.
    Stored,
    /// Nobody may know.
    Forbidden,
    /// Nobody does know.
    Error,
}

/// What is wrong with a notification; its author's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImdnError {
    /// No XML, or none that is safe to read.
    Xml(XmlError),
    /// XML of something else.
    NotImdn,
    /// It does not name a message.
    MessageId,
    /// It does not say what happened, or says what does not go with its kind.
    Status,
}

const DISPOSITIONS: [(Disposition, &str); 4] = [
    (Disposition::PositiveDelivery, "positive-delivery"),
    (Disposition::NegativeDelivery, "negative-delivery"),
    (Disposition::Processing, "processing"),
    (Disposition::Display, "display"),
];
const KINDS: [(Kind, &str); 3] = [
    (Kind::Delivery, "delivery-notification"),
    (Kind::Processing, "processing-notification"),
    (Kind::Display, "display-notification"),
];
const STATUSES: [(Status, &str); 7] = [
    (Status::Delivered, "delivered"),
    (Status::Failed, "failed"),
    (Status::Displayed, "displayed"),
    (Status::Processed, "processed"),
    (Status::Stored, "stored"),
    (Status::Forbidden, "forbidden"),
    (Status::Error, "error"),
];

impl Request {
    /// What a message wants to be told; `None` for one that wants nothing or cannot be named.
    pub fn of(message: &Message) -> Option<Request> {
        let message_id = message_id(message)?;
        let wanted = message.get(NAMESPACE, "Disposition-Notification")?;
        let dispositions: Vec<Disposition> = wanted
            .value()
            .split(',')
            .filter_map(|word| {
                // Parameters may follow the word.
                let word = word.split(';').next().unwrap_or(word).trim();
                DISPOSITIONS.iter().find(|(_, name)| *name == word).map(|(disposition, _)| *disposition)
            })
            .collect();
        (!dispositions.is_empty()).then_some(Request { message_id, dispositions })
    }

    /// Asks in a message.
    pub fn write(&self, message: &mut Message) -> Result<(), CpimError> {
        name_message(message, &self.message_id)?;
        let prefix = message.prefix_of(NAMESPACE, "imdn")?;
        let words: Vec<&str> = self.dispositions.iter().map(|&disposition| word(&DISPOSITIONS, disposition)).collect();
        message.push(Header::new(&format!("{prefix}.Disposition-Notification"), &words.join(", "))?);
        Ok(())
    }

    /// Whether this is wanted.
    pub fn wants(&self, disposition: Disposition) -> bool {
        self.dispositions.contains(&disposition)
    }
}

/// `imdn.Message-ID` of a message or of a notification.
pub fn message_id(message: &Message) -> Option<String> {
    let id = message.get(NAMESPACE, "Message-ID")?.text();
    (!id.is_empty()).then(|| id.into_owned())
}

/// Gives a message its `imdn.Message-ID`; §6.3 wants at least 64 random bits in it.
pub fn name_message(message: &mut Message, id: &str) -> Result<(), CpimError> {
    if id.is_empty() || id.contains(|character: char| character.is_whitespace() || character.is_control()) {
        return Err(CpimError::Unprintable);
    }
    let prefix = message.prefix_of(NAMESPACE, "imdn")?;
    message.push(Header::new(&format!("{prefix}.Message-ID"), id)?);
    Ok(())
}

impl Notification {
    /// What happened to a message that came, if it can be named.
    pub fn about(message: &Message, kind: Kind, status: Status) -> Option<Notification> {
        let uri_of = |header: &Header| cpim::Address::parse(header.value()).map(|address| address.uri_with_scheme());
        let notification = Notification {
            message_id: message_id(message)?,
            date_time: message.get(cpim::NAMESPACE, "DateTime").map(|header| header.text().into_owned()),
            recipient_uri: message.get(cpim::NAMESPACE, "To").and_then(uri_of),
            original_recipient_uri: message.get(NAMESPACE, "Original-To").and_then(uri_of),
            kind,
            status,
        };
        Some(notification)
    }

    /// Reads a notification.
    pub fn parse(octets: &[u8]) -> Result<Notification, ImdnError> {
        let root = Element::parse(octets).map_err(ImdnError::Xml)?;
        if !root.is(XML_NAMESPACE, "imdn") {
            return Err(ImdnError::NotImdn);
        }
        let text = |name: &str| root.child(name).map(|child| child.text().to_owned()).filter(|text| !text.is_empty());
        let (kind, told) = root
            .own_children()
            .find_map(|child| Some((known(&KINDS, child.name())?, child)))
            .ok_or(ImdnError::Status)?;
        let status = told
            .child("status")
            .and_then(|status| status.own_children().find_map(|child| known(&STATUSES, child.name())))
            .filter(|status| goes_with(kind, *status))
            .ok_or(ImdnError::Status)?;
        Ok(Notification {
            message_id: text("message-id").ok_or(ImdnError::MessageId)?,
            date_time: text("datetime"),
            recipient_uri: text("recipient-uri"),
            original_recipient_uri: text("original-recipient-uri"),
            kind,
            status,
        })
    }

    /// The document.
    pub fn to_xml(&self) -> String {
        let mut document =
            format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<imdn xmlns=\"{XML_NAMESPACE}\">\r\n");
        let mut element = |name: &str, text: Option<&str>| {
            if let Some(text) = text {
                writeln!(document, "<{name}>{}</{name}>\r", xml::escape(text))
                    .expect("writing to a String never fails");
            }
        };
        element("message-id", Some(&self.message_id));
        // Mandatory in the schema, though the message may not have said it.
        element("datetime", Some(self.date_time.as_deref().unwrap_or_default()));
        element("recipient-uri", self.recipient_uri.as_deref());
        element("original-recipient-uri", self.original_recipient_uri.as_deref());
        let (kind, status) = (word(&KINDS, self.kind), word(&STATUSES, self.status));
        document.push_str(&format!("<{kind}>\r\n<status>\r\n<{status}/>\r\n</status>\r\n</{kind}>\r\n</imdn>\r\n"));
        document
    }

    /// The content of the CPIM message that carries it (§7.2.1.1).
    pub fn to_entity(&self) -> Entity {
        let field = |name: &str, value: &str| Field { name: name.to_owned(), value: value.to_owned() };
        Entity {
            fields: vec![field("Content-Type", CONTENT_TYPE), field("Content-Disposition", "notification")],
            body: Bytes::from(self.to_xml()),
        }
    }
}

/// §11.1.7.
fn goes_with(kind: Kind, status: Status) -> bool {
    match status {
        Status::Delivered | Status::Failed => kind == Kind::Delivery,
        Status::Displayed => kind == Kind::Display,
        Status::Processed | Status::Stored => kind == Kind::Processing,
        Status::Forbidden | Status::Error => true,
    }
}

fn word<T: PartialEq + Copy>(words: &[(T, &'static str)], meaning: T) -> &'static str {
    words.iter().find(|(known, _)| *known == meaning).map_or("", |(_, word)| word)
}

fn known<T: Copy>(words: &[(T, &'static str)], word: &str) -> Option<T> {
    words.iter().find(|(_, known)| *known == word).map(|(meaning, _)| *meaning)
}

impl fmt::Display for ImdnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImdnError::Xml(error) => error.fmt(f),
            ImdnError::NotImdn => f.write_str("a document that is no disposition notification"),
            ImdnError::MessageId => f.write_str("a disposition notification of no message"),
            ImdnError::Status => f.write_str("a disposition notification that does not say what happened"),
        }
    }
}

impl std::error::Error for ImdnError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpim::Address;
    use crate::multipart::ContentType;

    fn message() -> Message {
        let [alice, bob] = ["sip:alice@example.com", "sip:bob@example.com"].map(|uri| Address::new(None, uri).unwrap());
        Message::new(&alice, &bob, Entity::new(ContentType::text(), "hello"))
    }

    /// RFC 5438 §7.2.1.2, the printed example.
    const DISPLAYED: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<imdn xmlns=\"urn:ietf:params:xml:ns:imdn\">\n  \
        <message-id>34jk324j</message-id>\n  <datetime>2008-04-04T12:16:49-05:00</datetime>\n \
        <recipient-uri>im:bob@example.com</recipient-uri>\n  <original-recipient-uri\n     >im:bob@example.com</original-recipient-uri>\n  \
        <display-notification>\n     <status>\n        <displayed/>\n     </status>\n  </display-notification>\n</imdn>";

    #[test]
    fn the_example_of_a_display_notification_is_read() {
        let bob = || Some("im:bob@example.com".to_owned());
        let read = Notification::parse(DISPLAYED.as_bytes()).unwrap();
        let expected = Notification {
            message_id: "34jk324j".to_owned(),
            date_time: Some("2008-04-04T12:16:49-05:00".to_owned()),
            recipient_uri: bob(),
            original_recipient_uri: bob(),
            kind: Kind::Display,
            status: Status::Displayed,
        };
        assert_eq!(read, expected);
        assert_eq!(Notification::parse(expected.to_xml().as_bytes()), Ok(expected));
    }

    #[test]
    fn what_a_message_asks_is_answered_about_it() {
        let mut asking = message();
        let request = Request {
            message_id: "d834jied93rf".to_owned(),
            dispositions: vec![Disposition::PositiveDelivery, Disposition::Display],
        };
        request.write(&mut asking).unwrap();
        let received = Message::parse(&asking.print()).unwrap();
        assert_eq!(Request::of(&received), Some(request));
        let told = Notification::about(&received, Kind::Delivery, Status::Delivered).unwrap();
        assert_eq!(told.message_id, "d834jied93rf");
        assert_eq!(told.recipient_uri.as_deref(), Some("sip:bob@example.com"));
        let entity = told.to_entity();
        assert_eq!(entity.field("Content-Disposition"), Some("notification"));
        assert_eq!(Notification::parse(&entity.body), Ok(told));
    }

    #[test]
    fn a_message_without_an_id_or_a_known_wish_asks_for_nothing() {
        assert_eq!(Request::of(&message()), None);
        assert_eq!(Notification::about(&message(), Kind::Delivery, Status::Delivered), None);
        let mut other = message();
        name_message(&mut other, "1").unwrap();
        other.push(Header::new("imdn.Disposition-Notification", "smoke-signal;colour=blue").unwrap());
        assert_eq!(Request::of(&other), None);
        assert_eq!(name_message(&mut other, "a b"), Err(CpimError::Unprintable));
    }

    /// RFC 5438 §11.1.7.
    #[test]
    fn a_status_that_does_not_go_with_its_kind_is_refused() {
        let refused = |from: &str, to: &str| Notification::parse(DISPLAYED.replace(from, to).as_bytes()).unwrap_err();
        assert_eq!(refused("<displayed/>", "<delivered/>"), ImdnError::Status);
        assert_eq!(refused("<displayed/>", "<x:displayed xmlns:x='urn:other'/>"), ImdnError::Status);
        assert_eq!(refused("<displayed/>", ""), ImdnError::Status);
        assert_eq!(refused("34jk324j", ""), ImdnError::MessageId);
        assert_eq!(refused("xml:ns:imdn", "xml:ns:other"), ImdnError::NotImdn);
        assert_eq!(refused("</imdn>", ""), ImdnError::Xml(XmlError::NotWellFormed));
    }
}
