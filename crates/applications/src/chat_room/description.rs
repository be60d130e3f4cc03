//! Session descriptions of a room: one chat stream (RFC 4975 §8), and what RFC 7701 §5.2 and §8 want of it. Every other
//! stream is refused, each for itself.

use std::net::IpAddr;

use msrp::cpim;
use msrp::description::{AcceptTypes, Description};
use sdp::{
    Attribute, ConnectionData, Direction, InvalidText, MediaDescription, MediaType, Origin, SessionDescription, Token,
};

use super::room::Policy;

/// The chat stream in a peer's description.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chat {
    /// Which of the m-lines it is.
    pub(super) place: usize,
    /// The m-line, with all that the session level says for it.
    pub(super) media: MediaDescription,
    /// The peer's path, by which the session is known.
    pub(super) path: String,
    /// What the peer takes in a wrapper; nothing while it wants to hear nothing (RFC 4975 §8.9).
    pub(super) takes: AcceptTypes,
    /// Whether the peer tells private messages from others.
    pub(super) knows_private_messages: bool,
}

/// The first stream that a room can have with this peer: a chat, with messages in wrappers.
pub(super) fn chat_of(description: &SessionDescription) -> Option<Chat> {
    description.media.iter().enumerate().find_map(|(place, media)| chat_at(description, place, media))
}

fn chat_at(description: &SessionDescription, place: usize, media: &MediaDescription) -> Option<Chat> {
    if media.media != MediaType::Message || media.is_disabled() {
        return None;
    }
    let hears = description.direction_of(media).receives();
    let media = complete(description, media);
    let host = media.connections.first()?.host().to_owned();
    let attributes = media.attributes.iter().map(|attribute| (attribute.name(), attribute.value()));
    let peer = Description::parse(&host, media.port, media.protocol.as_str(), attributes).ok()?;
    if !peer.accept_types.accepts(cpim::CONTENT_TYPE) || peer.file.is_some() {
        return None;
    }
    // RFC 7701 §6.1: "if the MSRP switch is aware": whoever does not say takes everything.
    let takes = peer.accept_wrapped_types.unwrap_or_else(|| AcceptTypes::parse("*"));
    let takes = if hears { takes } else { AcceptTypes::parse("") };
    let knows_private_messages = peer.chat_room.is_some_and(|room| room.has_private_messages);
    Some(Chat { place, path: peer.path.to_string(), media, takes, knows_private_messages })
}

/// The m-line alone says what it says in its description.
fn complete(description: &SessionDescription, media: &MediaDescription) -> MediaDescription {
    let mut complete = media.clone();
    if complete.connections.is_empty() {
        complete.connections.extend(description.connection.clone());
    }
    for attribute in description.attributes.iter() {
        let counts_here = attribute.is("setup") || attribute.is("fingerprint");
        if counts_here && !media.attributes.has(attribute.name()) {
            complete.attributes.push(attribute.clone());
        }
    }
    complete
}

/// Our m-line: what carries it, and what the room has to say.
pub(super) fn ours(transport: &MediaDescription, policy: &Policy, max_message: usize) -> MediaDescription {
    let mut media = transport.clone();
    if media.formats.is_empty() {
        media.formats.extend(Token::new("*").ok());
    }
    let words = [(policy.nicknames, "nickname"), (policy.private_messages, "private-messages")];
    let words: Vec<&str> = words.into_iter().filter_map(|(has, word)| has.then_some(word)).collect();
    let values = [
        // RFC 7701 §5.2: "contains a single value of 'Message/CPIM'".
        ("accept-types", cpim::CONTENT_TYPE.to_owned()),
        ("accept-wrapped-types", "*".to_owned()),
        ("max-size", max_message.to_string()),
    ];
    for (name, value) in values {
        media.attributes.remove(name);
        push(&mut media, Attribute::new(name, value));
    }
    media.attributes.remove("chatroom");
    let room =
        if words.is_empty() { Attribute::property("chatroom") } else { Attribute::new("chatroom", words.join(" ")) };
    push(&mut media, room);
    media
}

/// None of these names and values has a line break.
fn push(media: &mut MediaDescription, attribute: Result<Attribute, InvalidText>) {
    if let Ok(attribute) = attribute {
        media.attributes.push(attribute);
    }
}

/// A description of ours: an offer, or the answer to one.
pub(super) fn describe(
    origin: &Origin,
    address: IpAddr,
    ours: &MediaDescription,
    offer: Option<(&SessionDescription, usize)>,
) -> SessionDescription {
    let mut description = SessionDescription::new(origin.clone());
    description.connection = Some(ConnectionData::new(address));
    match offer {
        None => description.media.push(ours.clone()),
        Some((offer, chat)) => {
            description.times.clone_from(&offer.times);
            let answered = |(place, media): (usize, &MediaDescription)| {
                if place == chat { answering(ours, offer.direction_of(media)) } else { media.disabled() }
            };
            description.media.extend(offer.media.iter().enumerate().map(answered));
        }
    }
    description
}

/// RFC 4975 §8.9: whoever is on hold is sent nothing.
fn answering(ours: &MediaDescription, offered: Direction) -> MediaDescription {
    let mut media = ours.clone();
    if offered != Direction::SendRecv {
        media.attributes.set_direction(offered.reversed());
    }
    media
}

#[cfg(test)]
mod tests {
    use super::*;
    use sdp::{Input, OfferAnswer, Output};

    const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n";
    const AUDIO: &str = "m=audio 5000 RTP/AVP 8\r\n";
    const CHAT: &str = "m=message 7654 TCP/MSRP *\r\na=path:msrp://192.0.2.9:7654/jshA7weztas;tcp\r\n";

    fn parsed(media: &str) -> SessionDescription {
        SessionDescription::parse(format!("{HEAD}{media}").as_bytes()).unwrap()
    }

    fn transport() -> MediaDescription {
        let text =
            "m=message 2855 TCP/MSRP *\r\na=path:msrp://192.0.2.1:2855/kjhd37s2s20w2a;tcp\r\na=setup:passive\r\n";
        parsed(text).media.remove(0)
    }

    /// RFC 7701 §9.1.
    #[test]
    fn a_chat_is_found_among_other_streams_with_what_its_peer_can() {
        let media = format!(
            "{AUDIO}{CHAT}a=accept-types:message/cpim text/plain\r\na=accept-wrapped-types:text/plain\r\n\
             a=chatroom:nickname private-messages\r\n"
        );
        let chat = chat_of(&parsed(&media)).unwrap();
        assert_eq!((chat.place, chat.knows_private_messages), (1, true));
        assert!(chat.takes.accepts("text/plain") && !chat.takes.accepts("text/html"));
        assert_eq!(chat.media.connections[0].host(), "192.0.2.9");
    }

    #[test]
    fn whoever_says_nothing_takes_everything_and_no_private_messages() {
        let chat = chat_of(&parsed(&format!("{CHAT}a=accept-types:*\r\n"))).unwrap();
        assert!(chat.takes.accepts("image/png") && !chat.knows_private_messages);
    }

    /// RFC 7701 §5.2: Message/CPIM, or nothing.
    #[test]
    fn a_stream_that_no_room_can_have_is_none() {
        for media in [
            AUDIO.to_owned(),
            format!("{CHAT}a=accept-types:text/plain\r\n"),
            CHAT.to_owned(),
            "m=message 7654 TCP/MSRP *\r\na=accept-types:*\r\n".to_owned(),
            "m=message 7654 TCP/MSRP *\r\na=path:nonsense\r\na=accept-types:*\r\n".to_owned(),
            format!("{CHAT}a=accept-types:*\r\n").replace(" 7654 ", " 0 "),
            format!("{CHAT}a=accept-types:*\r\na=file-selector:name:\"x.png\" type:image/png size:4092\r\n"),
        ] {
            assert_eq!(chat_of(&parsed(&media)), None, "{media}");
        }
    }

    #[test]
    fn the_session_level_speaks_for_the_stream() {
        let text = format!("{HEAD}a=setup:active\r\na=sendonly\r\n{CHAT}a=accept-types:*\r\n");
        let chat = chat_of(&SessionDescription::parse(text.as_bytes()).unwrap()).unwrap();
        assert_eq!(chat.media.attributes.value("setup"), Some("active"));
        assert!(!chat.media.attributes.has("sendonly"));
    }

    #[test]
    fn an_answer_has_the_chat_and_refuses_the_rest() {
        let offer = parsed(&format!("{AUDIO}{CHAT}a=accept-types:message/cpim\r\n"));
        let media = ours(&transport(), &Policy::default(), 1000);
        let origin = Origin::new(7, [192, 0, 2, 1].into());
        let answer = describe(&origin, [192, 0, 2, 1].into(), &media, Some((&offer, 1)));
        let mut session = OfferAnswer::new();
        session.handle(Input::RemoteOffer(offer)).unwrap();
        let Ok(Output::SendAnswer(answer)) = session.handle(Input::LocalAnswer(answer)) else { panic!() };
        let text = answer.to_string();
        for line in [
            "m=audio 0 RTP/AVP 8\r\n",
            "m=message 2855 TCP/MSRP *\r\n",
            "a=path:msrp://192.0.2.1:2855/kjhd37s2s20w2a;tcp\r\n",
            "a=accept-types:message/cpim\r\n",
            "a=accept-wrapped-types:*\r\n",
            "a=max-size:1000\r\n",
            "a=chatroom:nickname private-messages\r\n",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }

    /// RFC 4975 §8.9.
    #[test]
    fn whoever_is_on_hold_is_answered_so_and_takes_nothing() {
        let media = ours(&transport(), &Policy::default(), 1000);
        for (held, answered) in [("inactive", "a=inactive"), ("sendonly", "a=recvonly"), ("sendrecv", "")] {
            let offer = parsed(&format!("{CHAT}a=accept-types:*\r\na={held}\r\n"));
            assert_eq!(chat_of(&offer).unwrap().takes.accepts("text/plain"), held == "sendrecv");
            let origin = Origin::new(7, [192, 0, 2, 1].into());
            let answer = describe(&origin, [192, 0, 2, 1].into(), &media, Some((&offer, 0))).to_string();
            assert_eq!(answer.contains("active\r\n") || answer.contains("only\r\n"), !answered.is_empty(), "{answer}");
            assert!(answer.contains(answered), "{answer}");
        }
    }

    /// RFC 7701 §8, the second example.
    #[test]
    fn a_room_that_allows_nothing_says_so() {
        let policy = Policy { nicknames: false, private_messages: false, ..Policy::default() };
        let text = describe(
            &Origin::new(7, [192, 0, 2, 1].into()),
            [192, 0, 2, 1].into(),
            &ours(&transport(), &policy, 1),
            None,
        );
        assert!(text.to_string().contains("a=chatroom\r\n"), "{text}");
    }
}
