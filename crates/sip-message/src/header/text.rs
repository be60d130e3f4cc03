//! Headers for people: Subject, Organization, User-Agent, Server (RFC 3261 §20.36, §20.25, §20.41, §20.35).
//! The products and comments of the last two are kept as text: many senders do not follow that grammar.

use std::fmt;

use super::{Malformed, typed_header};
use crate::grammar::{self, Cursor};

macro_rules! text {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $type<'a>(&'a str);

        impl<'a> $type<'a> {
            /// This text; white space at its ends is not part of it.
            pub fn new(text: &'a str) -> Result<$type<'a>, Malformed> {
                grammar::check_text(text)?;
                Ok($type(grammar::trim(text)))
            }

            pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<$type<'a>, Malformed> {
                let text = cursor.rest();
                grammar::check_text(text).map_err(|e| e.behind(cursor.at()))?;
                cursor.set(cursor.at() + text.len());
                Ok($type(grammar::trim(text)))
            }

            /// The text, possibly empty.
            pub fn as_str(&self) -> &'a str {
                self.0
            }
        }

        typed_header!($type, false);

        impl fmt::Display for $type<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.0)
            }
        }
    };
}

text! {
    /// What the call is about.
    Subject
}

text! {
    /// To what organization the sender belongs.
    Organization
}

text! {
    /// The client's software.
    UserAgent
}

text! {
    /// The server's software.
    Server
}

#[cfg(test)]
mod tests {
    use super::super::{assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn texts_read_and_print() {
        assert_eq!(assert_prints::<Subject>("", "").as_str(), "");
        assert_eq!(
            assert_prints::<Subject>("  Tech Support: \"Ж\" ", "Tech Support: \"Ж\"").as_str(),
            "Tech Support: \"Ж\""
        );
        assert_prints::<Organization>("Boxes by Bob", "Boxes by Bob");
        assert_prints::<UserAgent>("Softphone Beta1.5", "Softphone Beta1.5");
        assert_prints::<Server>("HomeServer v2 (x)", "HomeServer v2 (x)");
    }

    #[test]
    fn control_characters_are_refused() {
        assert_refuses::<Subject>(&["a\r\nb", "a\0", "\u{7f}"]);
        assert!(UserAgent::new("a\nVia: b").is_err());
    }
}
