//! `accept-types` and `accept-wrapped-types` (RFC 4975 §8.6): types, `text/*`, or `*`.

use std::fmt;

/// As many as are worth remembering of a stranger.
const MAX_TYPES: usize = 64;

/// What a side takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AcceptTypes {
    types: Vec<String>,
}

impl AcceptTypes {
    /// Reads the attribute's value.
    pub fn parse(text: &str) -> AcceptTypes {
        let words = text.split_ascii_whitespace().filter(super::is_word);
        AcceptTypes { types: words.take(MAX_TYPES).map(str::to_ascii_lowercase).collect() }
    }

    /// Whether a body of this type may be sent: type and subtype, parameters do not count.
    pub fn accepts(&self, content_type: &str) -> bool {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let main_type = essence.split('/').next().unwrap_or_default();
        self.types.iter().any(|accepted| match accepted.strip_suffix("/*") {
            Some(accepted) => accepted == main_type,
            None => *accepted == "*" || *accepted == essence,
        })
    }

    /// One by one.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.types.iter().map(String::as_str)
    }
}

impl<'a> FromIterator<&'a str> for AcceptTypes {
    fn from_iter<T: IntoIterator<Item = &'a str>>(types: T) -> AcceptTypes {
        types.into_iter().flat_map(|types| AcceptTypes::parse(types).types).collect::<Vec<_>>().into()
    }
}

impl From<Vec<String>> for AcceptTypes {
    fn from(types: Vec<String>) -> AcceptTypes {
        AcceptTypes { types }
    }
}

impl fmt::Display for AcceptTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.types.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_a_subtype_or_for_everything() {
        let some = AcceptTypes::parse("message/cpim Text/*");
        assert!(some.accepts("text/html; charset=utf-8") && some.accepts("Message/CPIM"));
        assert!(!some.accepts("textual/plain") && !some.accepts("image/png") && !some.accepts(""));
        assert!(AcceptTypes::parse("*").accepts("application/x-rfb"));
    }
}
