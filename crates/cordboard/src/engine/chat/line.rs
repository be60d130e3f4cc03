//! What our m-line says of a stream, and what the peer's says: RFC 4975 §8, RFC 5547 for files, RFC 7701 §8 for rooms. What
//! the attributes mean is `msrp`'s, how offers and answers are made the client's.

use std::net::SocketAddr;
use std::sync::Arc;

use client::media::{ChatPurpose, FileDescription};
use msrp::description::{self, AcceptTypes, ChatRoom, Description, FileRange, FileSelector};
use sdp::{
    Attribute, Direction, MediaDescription, MediaType, Protocol, Security, SessionDescription, StreamCapability, Token,
};

use super::Stream;

/// Our m-line.
pub(super) fn m_line(
    known: &Stream,
    path: msrp::uri::Path,
    address: SocketAddr,
    fingerprint: Option<Arc<str>>,
) -> StreamCapability {
    let Stream { plan, setup, kept, .. } = known;
    let types = |names: &[String]| AcceptTypes::from(names.to_vec());
    let protocol = if path.first().is_secure() { Protocol::TcpTlsMsrp } else { Protocol::TcpMsrp };
    let is_relayed = path.uris().len() > 1;
    let accepted = match plan.purpose {
        ChatPurpose::Chat => types(&plan.chat.accept_types),
        ChatPurpose::SendFile { .. } | ChatPurpose::ReceiveFile { .. } => AcceptTypes::parse("*"),
    };
    let mut line = Description::new(&address.ip().to_string(), address.port(), path, accepted);
    line.setup = Some(*setup);
    // RFC 6714 §4.2 wants the relay's address in the c-line then, of which we know the name only.
    line.has_cema = !is_relayed;
    line.fingerprints = fingerprint.iter().map(ToString::to_string).collect();
    let direction = match &plan.purpose {
        ChatPurpose::Chat => {
            line.accept_wrapped_types = Some(types(&plan.chat.accept_wrapped_types));
            line.max_size = Some(plan.chat.max_size);
            // RFC 7701 §8: else a room sends us nothing that is for us alone.
            line.chat_room = Some(ChatRoom { has_nicknames: true, has_private_messages: true, others: Vec::new() });
            Direction::SendRecv
        }
        // RFC 5547 §8.2: who has the file offers to send it only, and is answered by who only takes it.
        ChatPurpose::SendFile { file, .. } => {
            line.file = Some(described(file, 0));
            Direction::SendOnly
        }
        ChatPurpose::ReceiveFile { file, .. } => {
            line.max_size = Some(plan.file_transfer.max_size);
            line.file = Some(described(file, *kept));
            Direction::RecvOnly
        }
    };
    let written = line.attributes();
    let attributes = written.iter().filter_map(|attribute| match &attribute.value {
        Some(value) => Attribute::new(attribute.name, value.clone()).ok(),
        None => Attribute::property(attribute.name).ok(),
    });
    // Written out where it says something; a chat goes both ways without a word.
    let way = (direction != Direction::SendRecv).then(|| Attribute::property(direction.name()).ok()).flatten();
    StreamCapability {
        media: MediaType::Message,
        port: address.port(),
        address: Some(address.ip()),
        protocol,
        codecs: Vec::new(),
        formats: vec![Token::new("*").expect("a star is a token")],
        direction,
        on_hold: false,
        security: Security::None,
        packet_time: None,
        attributes: attributes.chain(way).collect(),
    }
}

fn described(file: &FileDescription, kept: u64) -> description::FileDescription {
    let selector = FileSelector {
        name: Some(file.name.to_string()),
        size: file.size,
        content_type: file.content_type.as_ref().and_then(|name| name.parse().ok()),
        hashes: file.hash.as_ref().and_then(|hash| hash.parse().ok()).into_iter().collect(),
    };
    description::FileDescription {
        selector,
        transfer_id: Some(file.transfer_id.to_string()).filter(|id| !id.is_empty()),
        disposition: Some("attachment".to_owned()),
        range: (kept > 0).then_some(FileRange { start: kept + 1, stop: None }),
        ..description::FileDescription::default()
    }
}

/// What the peer says of the stream.
pub(super) fn read(remote: &SessionDescription, index: usize) -> Result<Description, Arc<str>> {
    let none = || Arc::from("the answer has no such stream");
    let line: &MediaDescription = remote.media.get(index).ok_or_else(none)?;
    let connection = line.connections.first().or(remote.connection.as_ref());
    let host = connection.map_or("", |connection| connection.address.as_str());
    let of_session = remote.attributes.iter().filter(|attribute| ["setup", "fingerprint"].contains(&attribute.name()));
    let attributes = line.attributes.iter().chain(of_session);
    let attributes = attributes.map(|attribute| (attribute.name(), attribute.value()));
    Description::parse(host, line.port, line.protocol.as_str(), attributes).map_err(|error| error.to_string().into())
}

/// Whether the peer has a relay of its own.
pub(super) fn is_behind_relay(line: &MediaDescription) -> bool {
    let path = line.attributes.value("path").and_then(|path| path.parse::<msrp::uri::Path>().ok());
    path.is_some_and(|path| path.uris().len() > 1)
}

#[cfg(test)]
mod tests {
    use msrp::description::Setup;

    use super::super::{sha1_of, tests::plan};
    use super::*;

    fn line(purpose: ChatPurpose, kept: u64) -> StreamCapability {
        let known =
            Stream { plan: plan(purpose, None), setup: Setup::Actpass, kept, applied: false, file_ended: false };
        let path = "msrps://127.0.0.1:2855/abcdefgh;tcp".parse().unwrap();
        m_line(&known, path, "127.0.0.1:2855".parse().unwrap(), Some("sha-256 AB:CD".into()))
    }

    /// RFC 4976 §11: the path begins with the relay, the c- and m-lines are our own.
    #[test]
    fn a_chat_through_a_relay_is_described_with_the_relay_first() {
        let plan = plan(ChatPurpose::Chat, None);
        let known = Stream { plan, setup: Setup::Actpass, kept: 0, applied: false, file_ended: false };
        let path = "msrps://relay.example.com:2855/r;tcp msrps://127.0.0.1:4000/abcdefgh;tcp";
        let line = m_line(&known, path.parse().unwrap(), "127.0.0.1:4000".parse().unwrap(), None);
        assert_eq!((line.protocol.clone(), line.port), (Protocol::TcpTlsMsrp, 4000));
        assert_eq!((value(&line, "path"), value(&line, "setup")), (Some(path), Some("actpass")));
        let has = |name: &str| line.attributes.iter().any(|attribute| attribute.is(name));
        assert!(!has("fingerprint") && !has("msrp-cema"));
    }

    fn value<'a>(line: &'a StreamCapability, name: &str) -> Option<&'a str> {
        line.attributes.iter().find(|attribute| attribute.is(name)).and_then(Attribute::value)
    }

    /// RFC 4975 §8.2, RFC 6135 §4.2, RFC 7701 §8, RFC 8122.
    #[test]
    fn a_chat_is_offered_with_its_path_its_types_and_who_connects() {
        let line = line(ChatPurpose::Chat, 0);
        assert_eq!(line.protocol, Protocol::TcpTlsMsrp);
        assert_eq!(value(&line, "path"), Some("msrps://127.0.0.1:2855/abcdefgh;tcp"));
        assert_eq!(value(&line, "setup"), Some("actpass"));
        assert_eq!(value(&line, "fingerprint"), Some("sha-256 AB:CD"));
        assert!(value(&line, "accept-types").unwrap().starts_with("message/cpim"));
        assert_eq!(value(&line, "chatroom"), Some("nickname private-messages"));
        assert_eq!(line.direction, Direction::SendRecv);
    }

    /// RFC 5547 §8.2.1 and §8.5.
    #[test]
    fn a_file_is_taken_from_where_it_broke_off() {
        let file = Arc::new(FileDescription {
            name: "a \"b\".txt".into(),
            content_type: Some("text/plain".into()),
            size: Some(1_000),
            hash: Some("sha-1:72:24:5F:E8:65:3D:DA:F3:71:36:2F:86:D4:71:91:3E:E4:A2:CE:2E".into()),
            transfer_id: "t1".into(),
        });
        let offered = line(ChatPurpose::SendFile { file: file.clone(), path: "/a".into() }, 0);
        assert_eq!(offered.direction, Direction::SendOnly);
        assert!(offered.attributes.iter().any(|attribute| attribute.is("sendonly")));
        let selector = value(&offered, "file-selector").unwrap();
        assert!(selector.contains("name:\"a %22b%22.txt\"") && selector.contains("size:1000"), "{selector}");
        assert!(sha1_of(&file).is_some());
        assert_eq!(value(&offered, "file-range"), None);
        let taken = line(ChatPurpose::ReceiveFile { file, folder: "/tmp".into() }, 400);
        assert_eq!((taken.direction, value(&taken, "file-range")), (Direction::RecvOnly, Some("401-*")));
    }
}
