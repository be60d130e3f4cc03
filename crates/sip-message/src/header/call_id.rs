//! Call-ID and In-Reply-To, RFC 3261 §20.8 and §20.21.

use std::fmt;

use super::{Malformed, typed_header};
use crate::grammar::{Cursor, WORD};

macro_rules! call_id {
    ($(#[$doc:meta])* $type:ident, $list:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $type<'a>(&'a str);

        impl<'a> $type<'a> {
            /// `word [ "@" word ]`.
            pub fn new(text: &'a str) -> Result<$type<'a>, Malformed> {
                let mut cursor = Cursor::new(text);
                let id = read_call_id(&mut cursor)?;
                if cursor.is_end() { Ok($type(id)) } else { cursor.expected("the end of the Call-ID") }
            }

            #[inline]
            pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<$type<'a>, Malformed> {
                read_call_id(cursor).map($type)
            }

            /// The text; case counts, and octets are all that is compared.
            pub fn as_str(&self) -> &'a str {
                self.0
            }
        }

        typed_header!($type, $list);

        impl fmt::Display for $type<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.0)
            }
        }
    };
}

call_id! {
    /// What is common to all messages of a call, or of a client's registrations.
    CallId, false
}

call_id! {
    /// A call that this one answers.
    InReplyTo, true
}

/// `callid = word [ "@" word ]`
#[inline]
pub(super) fn read_call_id<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, Malformed> {
    let start = cursor.at();
    let text = cursor.rest();
    cursor.some(WORD, "a Call-ID")?;
    if cursor.eat(b'@') {
        cursor.some(WORD, "the second word of a Call-ID")?;
    }
    Ok(&text[..cursor.at() - start])
}

#[cfg(test)]
mod tests {
    use super::super::{assert_prints, assert_refuses};
    use super::*;

    /// RFC 3261 §20.8, §20.21, RFC 4475 §3.1.1.2.
    #[test]
    fn call_ids_read_and_print() {
        let text = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6@biloxi.com";
        assert_eq!(assert_prints::<CallId>(text, text).as_str(), text);
        let text = "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{";
        assert_eq!(assert_prints::<CallId>(text, text), CallId::new(text).unwrap());
        assert_prints::<InReplyTo>("70710@saturn.bell-tel.com", "70710@saturn.bell-tel.com");
        assert_prints::<InReplyTo>("17320", "17320");
    }

    #[test]
    fn what_is_no_call_id_is_refused() {
        assert_refuses::<CallId>(&["", "@", "a@", "@a", "a b", "a@b@c", "a;b", "a,b", "é"]);
        assert!(CallId::new("a\r\nb").is_err());
        assert!(CallId::new(" a").is_err());
    }
}
