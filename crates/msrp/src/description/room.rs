//! `a=chatroom` (RFC 7701 §8): what a room, or somebody in one, knows and allows.

use super::Attribute;

/// As many words as are worth remembering.
const MAX_WORDS: usize = 16;

/// `a=chatroom:nickname private-messages`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChatRoom {
    /// NICKNAME may be sent (§7).
    pub has_nicknames: bool,
    /// Messages may be to one participant (§6.2).
    pub has_private_messages: bool,
    /// What else was said.
    pub others: Vec<String>,
}

impl ChatRoom {
    pub(super) fn parse(value: &str) -> ChatRoom {
        let mut room = ChatRoom::default();
        for word in value.split_ascii_whitespace().filter(super::is_word).take(MAX_WORDS) {
            match word {
                "nickname" => room.has_nicknames = true,
                "private-messages" => room.has_private_messages = true,
                word => room.others.push(word.to_owned()),
            }
        }
        room
    }

    pub(super) fn attribute(&self) -> Attribute {
        let known = [(self.has_nicknames, "nickname"), (self.has_private_messages, "private-messages")];
        let words: Vec<&str> = known
            .into_iter()
            .filter_map(|(has, word)| has.then_some(word))
            .chain(self.others.iter().map(String::as_str))
            .collect();
        Attribute { name: "chatroom", value: (!words.is_empty()).then(|| words.join(" ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7701 §8, its three examples.
    #[test]
    fn the_examples_are_read_and_written_again() {
        for value in ["nickname private-messages", "", "nickname private-messages com.example.chat.foo"] {
            let room = ChatRoom::parse(value);
            assert_eq!(room.attribute().value.unwrap_or_default(), value);
        }
        assert_eq!(ChatRoom::parse("").attribute().to_string(), "chatroom");
    }
}
