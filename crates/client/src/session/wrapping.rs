//! How a message stands on the wire of a chat: in the CPIM wrapper (RFC 3862) with who writes to whom and when, or as it
//! is; whichever of both the peer's m-line takes (RFC 4975 §8.6, RFC 7701 §8).

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use msrp::cpim::{self, Address, Message};
use msrp::description::{AcceptTypes, ChatRoom, Description};
use msrp::imdn;
use msrp::multipart::{ContentType, Entity};
use sdp::MediaDescription;
use sip_message::NameAddrBuf;

use crate::media::{ChatMessage, FailureReport};
use crate::settings::ChatSettings;

/// A message that is to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(super) id: Arc<str>,
    pub(super) content: Bytes,
    pub(super) content_type: ContentType,
    /// For whom of a room it is, if not for all.
    pub(super) recipient: Option<Address>,
}

/// Why a message can't be sent to this peer: a code of RFC 4975 §11, and words.
pub(super) type Unfit = (u16, &'static str);

/// What a peer takes, as its m-line says.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    types: AcceptTypes,
    wrapped: AcceptTypes,
    max_size: Option<u64>,
    room: Option<ChatRoom>,
}

/// A message that has come, out of its wrapper.
#[derive(Debug)]
pub(super) struct Unwrapped {
    pub(super) content: Bytes,
    pub(super) content_type: Arc<str>,
    /// Who wrote it.
    pub(super) from: Option<Address>,
    /// The wrapper.
    pub(super) wrapper: Option<Message>,
}

impl Taken {
    /// Nothing, if the m-line can't be read.
    pub(super) fn of(media: &MediaDescription) -> Taken {
        let Some(peer) = described(media) else { return Taken::default() };
        Taken {
            types: peer.accept_types,
            wrapped: peer.accept_wrapped_types.unwrap_or_default(),
            max_size: peer.max_size,
            room: peer.chat_room,
        }
    }

    pub(super) fn takes(&self, content_type: &ContentType) -> bool {
        self.types.accepts(&content_type.essence())
    }

    pub(super) fn takes_wrapped(&self, content_type: &ContentType) -> bool {
        self.types.accepts(cpim::CONTENT_TYPE)
            && (self.takes(content_type) || self.wrapped.accepts(&content_type.essence()))
    }

    /// Whether the peer knows what rooms are: one, or somebody who can be in one (RFC 7701 §8).
    pub(super) fn knows_rooms(&self) -> bool {
        self.room.is_some()
    }

    /// Whether the peer knows nicknames. One that is no room refuses them.
    pub(super) fn has_nicknames(&self) -> bool {
        self.room.as_ref().is_some_and(|room| room.has_nicknames)
    }

    /// Whether the peer tells what is for one in a room from what is for all; a room passes it on to him alone.
    pub(super) fn has_private_messages(&self) -> bool {
        self.room.as_ref().is_some_and(|room| room.has_private_messages)
    }

    /// A message as the peer takes it.
    pub(super) fn dress(
        &self,
        draft: Draft,
        settings: &ChatSettings,
        envelope: impl FnOnce(&Draft) -> Option<Message>,
    ) -> Result<ChatMessage, Unfit> {
        let is_private = draft.recipient.is_some();
        if is_private && !(self.has_private_messages() && self.takes_wrapped(&draft.content_type)) {
            return Err((403, "The peer passes no private messages on"));
        }
        let wrapper = ((settings.wrap || is_private) && self.takes_wrapped(&draft.content_type))
            .then(|| envelope(&draft))
            .flatten();
        let id = Arc::clone(&draft.id);
        let (content_type, content): (Arc<str>, Bytes) = match wrapper {
            Some(wrapper) => (cpim::CONTENT_TYPE.into(), wrapper.print()),
            None if self.takes(&draft.content_type) && !is_private => {
                (draft.content_type.to_string().into(), draft.content)
            }
            None => return Err((415, "The peer does not take this type of content")),
        };
        if self.max_size.is_some_and(|most| content.len() as u64 > most) {
            return Err((413, "The message is longer than the peer takes"));
        }
        let failure_report = FailureReport::Yes;
        Ok(ChatMessage { id, content_type, content, success_report: true, failure_report })
    }
}

/// The wrapper of a draft.
pub(super) fn envelope(
    draft: &Draft,
    from: &Address,
    to: &Address,
    time: SystemTime,
    settings: &ChatSettings,
) -> Option<Message> {
    let to = draft.recipient.as_ref().unwrap_or(to);
    let entity = Entity::new(draft.content_type.clone(), draft.content.clone());
    let mut message = Message::new(from, to, entity);
    message.set_date_time(cpim::DateTime::utc(time));
    let wishes = [
        (settings.request_delivery_notices, imdn::Disposition::PositiveDelivery),
        (settings.request_display_notices, imdn::Disposition::Display),
    ];
    let dispositions: Vec<_> = wishes.into_iter().filter(|(wanted, _)| *wanted).map(|(_, wish)| wish).collect();
    if !dispositions.is_empty() {
        let request = imdn::Request { message_id: (*draft.id).into(), dispositions };
        // An id of ours is printable; without it nothing could be told.
        request.write(&mut message).ok()?;
    }
    Some(message)
}

impl Unwrapped {
    /// The headers of the wrapper, in their order.
    pub(super) fn cpim_headers(&self) -> Vec<(Arc<str>, Arc<str>)> {
        let headers = self.wrapper.iter().flat_map(|wrapper| wrapper.headers());
        headers.map(|header| (header.name().into(), header.text().into())).collect()
    }
}

/// Takes a message out of its wrapper. One whose wrapper can't be read is left in it: its reader may know better.
pub(super) fn unwrap(content_type: Arc<str>, content: Bytes) -> Unwrapped {
    let is_wrapped = content_type.parse::<ContentType>().is_ok_and(|known| known.is(cpim::CONTENT_TYPE));
    let wrapper = is_wrapped.then(|| Message::parse(&content).ok()).flatten();
    let Some(wrapper) = wrapper else { return Unwrapped { content, content_type, from: None, wrapper: None } };
    let content_type = wrapper.content_type();
    let is_text = content_type.main_type().eq_ignore_ascii_case("text");
    let read = is_text.then(|| wrapper.text().ok()).flatten();
    // Text of another charset is given in ours.
    let content = match read {
        Some(text) if text.as_bytes() != &wrapper.content.body[..] => Bytes::from(text.into_owned()),
        _ => wrapper.content.body.clone(),
    };
    let from = wrapper.from();
    Unwrapped { content, content_type: content_type.to_string().into(), from, wrapper: Some(wrapper) }
}

/// Somebody's address as a wrapper has it.
pub(super) fn address(identity: Option<&NameAddrBuf>) -> Option<Address> {
    let identity = identity?;
    let name = identity.as_name_addr().display_name().map(|name| name.into_owned());
    Address::new(name.as_deref(), &identity.uri().to_string()).ok()
}

/// An MSRP m-line.
pub(super) fn described(media: &MediaDescription) -> Option<Description> {
    let attributes = media.attributes.iter().map(|attribute| (attribute.name(), attribute.value()));
    Description::parse("", media.port, media.protocol.as_str(), attributes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(attributes: &[(&str, &str)]) -> Taken {
        let mut media = MediaDescription::new(sdp::MediaType::Message, 2855, sdp::Protocol::TcpMsrp);
        let path = ("path", "msrp://bob.example:2855/s;tcp");
        for (name, value) in attributes.iter().chain([&path]) {
            media.attributes.push(sdp::Attribute::new(name, *value).unwrap());
        }
        Taken::of(&media)
    }

    fn draft(content_type: &str) -> Draft {
        let content_type = content_type.parse().unwrap();
        Draft { id: "1".into(), content: Bytes::from_static(b"hi"), content_type, recipient: None }
    }

    fn dressed(taken: &Taken, draft: Draft) -> Result<ChatMessage, Unfit> {
        let settings = ChatSettings::default();
        let [alice, bob] = ["sip:alice@a", "sip:bob@b"].map(|uri| Address::new(None, uri).unwrap());
        taken.dress(draft, &settings, |draft| envelope(draft, &alice, &bob, SystemTime::UNIX_EPOCH, &settings))
    }

    #[test]
    fn a_message_is_wrapped_where_the_peer_takes_that_and_else_goes_as_it_is() {
        let wraps = taken(&[("accept-types", "message/cpim"), ("accept-wrapped-types", "text/*")]);
        assert_eq!(&*dressed(&wraps, draft("text/html")).unwrap().content_type, "message/cpim");
        assert_eq!(dressed(&wraps, draft("image/png")).unwrap_err().0, 415);
        let plain = taken(&[("accept-types", "text/plain")]);
        let message = dressed(&plain, draft("text/plain;charset=utf-8")).unwrap();
        assert_eq!((&*message.content_type, &message.content[..]), ("text/plain;charset=utf-8", &b"hi"[..]));
        assert_eq!(dressed(&plain, draft("text/html")).unwrap_err().0, 415);
        let all = taken(&[("accept-types", "*")]);
        assert_eq!(&*dressed(&all, draft("image/png")).unwrap().content_type, "message/cpim");
    }

    #[test]
    fn a_message_longer_than_the_peer_takes_is_not_sent() {
        let short = taken(&[("accept-types", "text/plain"), ("max-size", "1")]);
        assert_eq!(dressed(&short, draft("text/plain")).unwrap_err().0, 413);
    }

    /// RFC 7701 §8: only a room that says so passes them on; any other would show them to all.
    #[test]
    fn a_private_message_goes_to_a_room_that_passes_it_on() {
        let to = |attributes: &[(&str, &str)]| {
            let recipient = Address::new(None, "sip:carol@c").ok();
            dressed(&taken(attributes), Draft { recipient, ..draft("text/plain") })
        };
        let types = ("accept-types", "message/cpim text/plain");
        let message = to(&[types, ("chatroom", "nickname private-messages")]).unwrap();
        let unwrapped = unwrap(message.content_type, message.content);
        assert_eq!(unwrapped.wrapper.unwrap().to().next().unwrap().uri(), "sip:carol@c");
        assert_eq!(to(&[types, ("chatroom", "nickname")]).unwrap_err().0, 403);
        assert_eq!(to(&[types]).unwrap_err().0, 403);
    }

    #[test]
    fn what_comes_in_a_wrapper_comes_out_of_it_and_text_in_utf_8() {
        let content = "From: Bob <sip:bob@b>\r\n\r\nContent-Type: text/plain;charset=iso-8859-1\r\n\r\nGr\u{fc}n";
        let latin: Vec<u8> = content.chars().map(|letter| letter as u8).collect();
        let unwrapped = unwrap("Message/CPIM".into(), latin.into());
        assert_eq!(&unwrapped.content[..], "Grün".as_bytes());
        assert_eq!(unwrapped.from.unwrap().name(), Some("Bob"));
        let unreadable = unwrap("message/cpim".into(), Bytes::from_static(b"no header"));
        assert_eq!((&*unreadable.content_type, unreadable.wrapper), ("message/cpim", None));
    }
}
