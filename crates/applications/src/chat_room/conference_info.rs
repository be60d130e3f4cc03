//! `application/conference-info+xml` (RFC 4575 §5), as much as a chat room has to say: who is there, with which nickname
//! (RFC 7701 §7.4, in the namespace of RFC 6501), on which devices.

use std::collections::BTreeSet;
use std::fmt::{self, Write};

use super::room::{Attendee, Room};

/// The media type.
pub const CONTENT_TYPE: &str = "application/conference-info+xml";

const NAMESPACE: &str = "urn:ietf:params:xml:ns:conference-info";
const XCON: &str = "urn:ietf:params:xml:ns:xcon-conference-info";

/// All there is to know of the room of this URI.
pub(super) fn full(entity: &str, version: u32, room: &Room) -> String {
    let mut text = opening(entity, "full", version);
    let seats = room.policy().max_participants;
    let _ = writeln!(
        text,
        "<conference-description><maximum-user-count>{seats}</maximum-user-count><available-media><entry label=\"1\">\
         <type>message</type><status>sendrecv</status></entry></available-media></conference-description>"
    );
    let roster = room.roster();
    state(&mut text, roster.len());
    text.push_str("<users state=\"full\">\n");
    roster.iter().for_each(|attendee| user(&mut text, attendee));
    text.push_str("</users>\n</conference-info>\n");
    text
}

/// What has changed of these users (RFC 4575 §4.4): those who are not there any more are deleted.
pub(super) fn partial(entity: &str, version: u32, room: &Room, changed: &BTreeSet<String>) -> String {
    let mut text = opening(entity, "partial", version);
    state(&mut text, room.roster().len());
    text.push_str("<users state=\"partial\">\n");
    for uri in changed {
        match room.attendee(uri) {
            Some(attendee) => user(&mut text, &attendee),
            None => {
                let _ = writeln!(text, "<user entity=\"{}\" state=\"deleted\"/>", Escaped(uri));
            }
        }
    }
    text.push_str("</users>\n</conference-info>\n");
    text
}

/// The room is no more (RFC 4575 §4.6).
pub(super) fn deleted(entity: &str, version: u32) -> String {
    let mut text = opening(entity, "deleted", version);
    text.push_str("</conference-info>\n");
    text
}

fn opening(entity: &str, state: &str, version: u32) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<conference-info xmlns=\"{NAMESPACE}\" xmlns:xcon=\"{XCON}\" \
         entity=\"{}\" state=\"{state}\" version=\"{version}\">\n",
        Escaped(entity)
    )
}

fn state(text: &mut String, users: usize) {
    let _ = writeln!(
        text,
        "<conference-state><user-count>{users}</user-count><active>{}</active></conference-state>",
        users > 0
    );
}

fn user(text: &mut String, attendee: &Attendee<'_>) {
    let _ = write!(text, "<user entity=\"{}\" state=\"full\"", Escaped(attendee.uri));
    if let Some(nickname) = attendee.nickname {
        let _ = write!(text, " xcon:nickname=\"{}\"", Escaped(nickname));
    }
    text.push('>');
    // Many phones know nothing of nicknames, and show this (RFC 4575 §5.6.1): there he is called what he wants to be.
    if let Some(name) = attendee.nickname.or(attendee.display_name) {
        let _ = write!(text, "<display-text>{}</display-text>", Escaped(name));
    }
    // RFC 4575 §4.5: the key of an endpoint is its URI, so that no two have the same.
    let endpoints: BTreeSet<&str> = attendee.endpoints.iter().copied().collect();
    for endpoint in endpoints {
        let _ = write!(
            text,
            "<endpoint entity=\"{}\"><status>connected</status><joining-method>dialed-in</joining-method>\
             <media id=\"1\"><type>message</type><label>1</label><status>sendrecv</status></media></endpoint>",
            Escaped(endpoint)
        );
    }
    text.push_str("</user>\n");
}

/// A text as it may stand in an element and in an attribute: characters that XML has no place for are left out.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&apos;")?,
                '\u{fffe}' | '\u{ffff}' => {}
                control if control.is_control() => {}
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::room::{Identity, Input, Newcomer, ParticipantId, Policy};
    use super::*;
    use msrp::description::AcceptTypes;

    const ROOM: &str = "sip:chatroom22@chat.example.com";
    const BOB: &str = "sip:bob@example.com";

    fn room() -> Room {
        let mut room = Room::new(ROOM, Policy::default());
        for (id, uri, name) in [(1, BOB, "Bob Hoskins"), (2, "sip:alice@atlanta.example.com", "Alice <\"Liddell\">")] {
            room.handle(Input::Join(Box::new(Newcomer {
                id: ParticipantId(id),
                identity: Identity::Known { uri: uri.to_owned(), display_name: Some(name.to_owned()) },
                endpoint: Some(format!("sip:device@192.0.2.{id}")),
                called: None,
                takes: AcceptTypes::parse("*"),
                knows_private_messages: true,
            })));
        }
        let nickname = "Dopey & Donkey".to_owned();
        room.handle(Input::Nickname { by: ParticipantId(1), transaction: "t".into(), nickname });
        room
    }

    /// RFC 7701 §9.6.
    #[test]
    fn everybody_is_in_the_full_document_with_name_and_nickname() {
        let text = full(ROOM, 1, &room());
        for part in [
            "entity=\"sip:chatroom22@chat.example.com\" state=\"full\" version=\"1\"",
            "<user-count>2</user-count>",
            "<user entity=\"sip:bob@example.com\" state=\"full\" xcon:nickname=\"Dopey &amp; Donkey\">",
            "<display-text>Dopey &amp; Donkey</display-text>",
            "<display-text>Alice &lt;&quot;Liddell&quot;&gt;</display-text>",
            "<endpoint entity=\"sip:device@192.0.2.1\"><status>connected</status>",
            "<user entity=\"sip:alice@atlanta.example.com\" state=\"full\">",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        let mut reader = quick_xml::Reader::from_str(&text);
        while reader.read_event().unwrap() != quick_xml::events::Event::Eof {}
    }

    /// RFC 4575 §4.4, §4.6.
    #[test]
    fn a_partial_document_has_who_has_changed_and_who_has_gone() {
        let mut room = room();
        room.handle(Input::Leave(ParticipantId(2)));
        let changed = [BOB.to_owned(), "sip:alice@atlanta.example.com".to_owned()].into();
        let text = partial(ROOM, 7, &room, &changed);
        assert!(
            text.contains("state=\"partial\" version=\"7\"") && text.contains("<users state=\"partial\">"),
            "{text}"
        );
        assert!(text.contains("<user entity=\"sip:alice@atlanta.example.com\" state=\"deleted\"/>"), "{text}");
        assert!(text.contains("<user entity=\"sip:bob@example.com\" state=\"full\""), "{text}");
        assert!(text.contains("<user-count>1</user-count>"), "{text}");
    }

    #[test]
    fn what_xml_has_no_place_for_is_left_out() {
        assert_eq!(Escaped("a\u{0}b\u{1b}c\u{fffe}d").to_string(), "abcd");
    }
}
