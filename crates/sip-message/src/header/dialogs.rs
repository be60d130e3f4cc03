//! Headers that name another dialog: Replaces (RFC 3891 §6.1), Join (RFC 3911 §7.1), Target-Dialog (RFC 4538 §7).

use std::fmt;

use super::call_id::read_call_id;
use super::{Malformed, typed_header};
use crate::grammar::Cursor;
use crate::param::{Param, Params};

macro_rules! dialog {
    (
        $(#[$doc:meta])* $type:ident,
        $(#[$first_doc:meta])* $first:ident $first_name:literal,
        $(#[$second_doc:meta])* $second:ident $second_name:literal
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $type<'a> {
            call_id: &'a str,
            params: Params<'a>,
        }

        impl<'a> $type<'a> {
            /// The dialog of this Call-ID and these tags.
            pub fn new(call_id: &'a str, $first: &str, $second: &str) -> Result<$type<'a>, Malformed> {
                super::CallId::new(call_id)?;
                let mut params = Params::new();
                params.set_token($first_name, $first)?;
                params.set_token($second_name, $second)?;
                Ok($type { call_id, params })
            }

            pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<$type<'a>, Malformed> {
                let call_id = read_call_id(cursor)?;
                // Each tag exactly once (RFC 3891 §6.1).
                let (mut first, mut second) = (0, 0);
                let params = Params::read(cursor, |param, at| {
                    first += tag(param, $first_name, at)?;
                    second += tag(param, $second_name, at)?;
                    Ok(())
                })?;
                if (first, second) != (1, 1) {
                    return cursor.expected(concat!("one ", $first_name, " and one ", $second_name));
                }
                Ok($type { call_id, params })
            }

            /// The dialog's Call-ID.
            pub fn call_id(&self) -> &'a str {
                self.call_id
            }

            $(#[$first_doc])*
            pub fn $first(&self) -> &str {
                self.params.value($first_name).unwrap_or_default()
            }

            $(#[$second_doc])*
            pub fn $second(&self) -> &str {
                self.params.value($second_name).unwrap_or_default()
            }

            /// All parameters.
            pub fn params(&self) -> &Params<'a> {
                &self.params
            }
        }

        typed_header!($type, false);

        impl fmt::Display for $type<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", self.call_id, self.params)
            }
        }
    };
}

dialog! {
    /// The dialog whose place the new one takes.
    Replaces,
    /// The tag of the side that gets this header.
    to_tag "to-tag",
    /// The tag of that side's peer.
    from_tag "from-tag"
}

dialog! {
    /// The dialog whose conversation the new one joins.
    Join,
    /// The tag of the side that gets this header.
    to_tag "to-tag",
    /// The tag of that side's peer.
    from_tag "from-tag"
}

dialog! {
    /// A dialog that shows that the sender may ask.
    TargetDialog,
    /// The tag of the side that gets this header.
    local_tag "local-tag",
    /// The tag of the side that sends it.
    remote_tag "remote-tag"
}

impl Replaces<'_> {
    /// Whether only an early dialog may be replaced.
    pub fn early_only(&self) -> bool {
        self.params.contains("early-only")
    }

    /// The same, for an early dialog only.
    pub fn with_early_only(mut self) -> Self {
        self.params.put("early-only", None);
        self
    }
}

/// 1 when the parameter is the tag called `name`; it must be a token.
fn tag(param: Param<'_>, name: &str, at: usize) -> Result<usize, Malformed> {
    if !param.name.eq_ignore_ascii_case(name) {
        return Ok(0);
    }
    param.token("a token as tag", at).map(|_| 1)
}

#[cfg(test)]
mod tests {
    use super::super::{assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn dialogs_read_and_print() {
        let value: Replaces = assert_prints(
            "98732@sip.example.com ;from-tag=r33th4x0r ;to-tag=ff87ff;early-only",
            "98732@sip.example.com;from-tag=r33th4x0r ;to-tag=ff87ff;early-only",
        );
        assert_eq!(
            (value.call_id(), value.to_tag(), value.from_tag()),
            ("98732@sip.example.com", "ff87ff", "r33th4x0r")
        );
        assert!(value.early_only());
        let text = "12adf2f34456gs5;to-tag=12345;from-tag=54321";
        assert_eq!(assert_prints::<Join>(text, text), Join::new("12adf2f34456gs5", "12345", "54321").unwrap());
        let text = "fa77as7dad8-sd98ajzz@host.example.com;local-tag=kkaz-;remote-tag=6544";
        assert_eq!(assert_prints::<TargetDialog>(text, text).remote_tag(), "6544");
        let built = Replaces::new("a", "t", "f").unwrap().with_early_only();
        assert_eq!(built.to_string(), "a;to-tag=t;from-tag=f;early-only");
    }

    #[test]
    fn each_tag_stands_exactly_once() {
        assert_refuses::<Replaces>(&[
            "",
            "a",
            "a;to-tag=1",
            "a;to-tag=1;from-tag=2;to-tag=3",
            "a;to-tag;from-tag=2",
            ";to-tag=1;from-tag=2",
            "a;to-tag=\"1\";from-tag=2",
            "a;to-tag=1;from-tag=2, b;to-tag=1;from-tag=2",
        ]);
        assert!(Replaces::new("a b", "1", "2").is_err());
    }
}
