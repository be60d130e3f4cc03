//! User-to-User, RFC 7433 §4: data that only the two ends understand.

use std::borrow::Cow;

use super::shapes::{any_param, token_or_quoted, word_header};
use crate::grammar;

word_header! {
    /// A piece of data.
    UserToUser, true,
    /// The data as it was written: a token, or a quoted string.
    raw_data, token_or_quoted, any_param
}

impl<'a> UserToUser<'a> {
    /// The data without quotes and escapes; its encoding is [`UserToUser::encoding`].
    pub fn data(&self) -> Cow<'a, str> {
        grammar::unquote(self.raw_data)
    }

    /// `hex` unless something else is said.
    pub fn encoding(&self) -> Cow<'_, str> {
        self.params.unquoted("encoding").unwrap_or(Cow::Borrowed("hex"))
    }

    /// What the data is for; `isdn-uui` when nothing is said.
    pub fn purpose(&self) -> Option<&str> {
        self.params.value("purpose")
    }
}

#[cfg(test)]
mod tests {
    use super::super::{assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn user_to_user_data_reads_and_prints() {
        let data: UserToUser = assert_prints(
            "56a390f3d2b7310023a2 ;encoding=hex;purpose=foo;content=bar",
            "56a390f3d2b7310023a2;encoding=hex;purpose=foo;content=bar",
        );
        assert_eq!((data.data().as_ref(), data.purpose()), ("56a390f3d2b7310023a2", Some("foo")));
        assert_eq!(assert_prints::<UserToUser>("\"a, \\\"b\"", "\"a, \\\"b\"").data(), "a, \"b");
    }

    #[test]
    fn what_is_no_user_to_user_data_is_refused() {
        assert_refuses::<UserToUser>(&["", ";a", "a b", "\"a"]);
        assert!(UserToUser::new("a\r\n").is_err());
    }
}
