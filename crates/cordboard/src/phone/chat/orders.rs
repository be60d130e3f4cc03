//! What is typed in a chat: a message, or an order, which begins with a slash.

/// A line that was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// Nothing at all.
    Nothing,
    /// To be said to the other side, or to all of a room.
    Message(String),
    /// To be said to one of a room alone.
    To {
        /// Whom: a name, or an address.
        whom: String,
        /// What.
        text: String,
    },
    /// The room is to know us by this name; by none if it is empty.
    Nick(String),
    /// Who is there?
    Who,
    /// Which orders are there?
    Help,
    /// That is all.
    Quit,
    /// An order that can't be carried out as it stands, with what is to be said about it.
    Wrong(String),
}

/// The orders, each with what it does.
pub(super) const HELP: [&str; 6] = [
    "/who – who is here",
    "/nick NAME – be known as NAME in a room; without NAME, by your own name again",
    "/to NAME TEXT – say TEXT to one of those in a room, and to nobody else; NAME may be an address, and stands in quotes \
     if it has spaces",
    "/quit – end the chat; so does Ctrl-C",
    "//TEXT – say /TEXT",
    "/help – this list",
];

impl Typed {
    pub(super) fn of(line: &str) -> Typed {
        let line = line.trim_end();
        let Some(order) = line.strip_prefix('/') else {
            return if line.trim().is_empty() { Typed::Nothing } else { Typed::Message(line.to_owned()) };
        };
        if order.starts_with('/') {
            return Typed::Message(order.to_owned());
        }
        let (word, rest) = order.split_once(char::is_whitespace).unwrap_or((order, ""));
        let rest = rest.trim();
        match (word, rest) {
            ("who", "") => Typed::Who,
            ("help" | "?", "") => Typed::Help,
            ("quit" | "exit", "") => Typed::Quit,
            ("nick", name) => Typed::Nick(name.to_owned()),
            ("to", rest) => match addressed(rest) {
                Some((whom, text)) => Typed::To { whom: whom.to_owned(), text: text.to_owned() },
                None => Typed::Wrong("Write /to NAME TEXT to say TEXT to one of those in a room".to_owned()),
            },
            ("who" | "help" | "?" | "quit" | "exit", _) => Typed::Wrong(format!("Write /{word} and nothing behind it")),
            (word, _) => Typed::Wrong(format!(
                "There is no order /{word}, and nothing was sent. /help lists the orders; a message that begins with / is \
                 written with two"
            )),
        }
    }
}

/// Whom, and what.
fn addressed(rest: &str) -> Option<(&str, &str)> {
    let (whom, text) = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"')?,
        None => rest.split_once(char::is_whitespace)?,
    };
    let (whom, text) = (whom.trim(), text.trim_start());
    (!whom.is_empty() && !text.is_empty()).then_some((whom, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_message_unless_it_begins_with_a_slash() {
        assert_eq!(Typed::of("hello /who"), Typed::Message("hello /who".into()));
        assert_eq!(Typed::of(" /who"), Typed::Message(" /who".into()));
        assert_eq!(Typed::of("//etc/hosts"), Typed::Message("/etc/hosts".into()));
        assert_eq!(Typed::of("  "), Typed::Nothing);
    }

    #[test]
    fn orders_are_read_with_what_they_are_about() {
        assert_eq!(Typed::of("/who "), Typed::Who);
        assert_eq!(Typed::of("/nick  Alice the great "), Typed::Nick("Alice the great".into()));
        assert_eq!(Typed::of("/nick"), Typed::Nick(String::new()));
        let (whom, text) = ("bob".into(), "see you".into());
        assert_eq!(Typed::of("/to bob  see you"), Typed::To { whom, text });
        let (whom, text) = ("Wonder Woman".into(), "see you".into());
        assert_eq!(Typed::of("/to \"Wonder Woman\" see you"), Typed::To { whom, text });
    }

    /// What somebody mistypes is not for the other side's eyes.
    #[test]
    fn a_wrong_order_is_not_a_message() {
        for line in ["/foo", "/whois bob", "/to", "/to bob", "/to \"bob see you", "/to \"\" x", "/quit now", "/"] {
            assert!(matches!(Typed::of(line), Typed::Wrong(_)), "{line}");
        }
    }
}
