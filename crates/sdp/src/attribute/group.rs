//! `a=mid` and `a=group` (RFC 5888 §4, §5). BUNDLE (RFC 9143) is one of the
//! semantics; what it means for transports is left to the media layer.

use super::{AttributeError, TypedAttribute};
use crate::text::{Text, Token, composed};

/// The name of an m-line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mid(pub Token);

/// m-lines that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// `LS`, `FID`, `BUNDLE`, …
    pub semantics: Token,
    /// Their names.
    pub mids: Vec<Mid>,
}

impl TypedAttribute for Mid {
    const NAME: &'static str = "mid";

    fn parse(value: &str) -> Result<Mid, AttributeError> {
        Token::new(value.trim_ascii()).map(Mid).map_err(|_| AttributeError::Malformed { name: Self::NAME })
    }

    fn value(&self) -> Option<Text> {
        Some(composed(self.0.as_str()))
    }
}

impl TypedAttribute for Group {
    const NAME: &'static str = "group";

    fn parse(value: &str) -> Result<Group, AttributeError> {
        let malformed = AttributeError::Malformed { name: Self::NAME };
        let mut words = value.split_ascii_whitespace().map(|word| Token::new(word).map_err(|_| malformed));
        Ok(Group {
            semantics: words.next().ok_or(malformed)??,
            mids: words.map(|mid| mid.map(Mid)).collect::<Result<_, _>>()?,
        })
    }

    fn value(&self) -> Option<Text> {
        let mut value = self.semantics.to_string();
        for Mid(mid) in &self.mids {
            value.push(' ');
            value.push_str(mid);
        }
        Some(composed(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_names_its_members() {
        let group = Group::parse("BUNDLE audio video").unwrap();
        assert_eq!(group.semantics, "BUNDLE");
        assert_eq!(group.mids.len(), 2);
        assert_eq!(group.value().unwrap(), "BUNDLE audio video");
        assert!(Group::parse("").is_err());
    }
}
