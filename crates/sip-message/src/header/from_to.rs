//! From and To, RFC 3261 §20.20 and §20.39. What their tags identify is a dialog's business (§12, §19.3).

use std::borrow::Cow;
use std::fmt;

use super::{Malformed, typed_header};
use crate::grammar::Cursor;
use crate::header_name::HeaderName;
use crate::headers::Headers;
use crate::name_addr::{Bare, NameAddr, NameAddrBuf};
use crate::param::{Param, ParamIter, Params};
use crate::uri::Uri;

macro_rules! tagged_address {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $type<'a>(NameAddr<'a>);

        impl<'a> $type<'a> {
            /// A value of a URI alone.
            pub fn new(uri: Uri<'a>) -> $type<'a> {
                $type(NameAddr::new(uri))
            }

            #[inline]
            pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<$type<'a>, Malformed> {
                NameAddr::read(cursor, Bare::Allowed, check_tag).map($type)
            }

            /// The tag.
            pub fn tag(&self) -> Option<&str> {
                self.0.params().value("tag")
            }

            /// The URI.
            pub fn uri(&self) -> Uri<'a> {
                self.0.uri()
            }

            /// The display name without quotes and escapes.
            pub fn display_name(&self) -> Option<Cow<'_, str>> {
                self.0.display_name()
            }

            /// The header parameters.
            pub fn params(&self) -> &Params<'a> {
                self.0.params()
            }

            /// The whole value.
            pub fn name_addr(&self) -> &NameAddr<'a> {
                &self.0
            }

            /// The whole value, owned.
            pub fn to_buf(&self) -> NameAddrBuf {
                self.0.to_buf()
            }

            /// The same with this tag.
            pub fn with_tag(mut self, tag: &str) -> Result<$type<'a>, Malformed> {
                self.0.params_mut().set_token("tag", tag)?;
                Ok(self)
            }

            /// The same without a tag.
            pub fn without_tag(mut self) -> $type<'a> {
                self.0.params_mut().remove("tag");
                self
            }

            /// The same with a display name, which gets quotes.
            pub fn with_display_name(self, name: &str) -> Result<$type<'a>, Malformed> {
                self.0.with_display_name(name).map($type)
            }

            /// The same with a header parameter.
            pub fn with_param(self, name: &str, value: &str) -> Result<$type<'a>, Malformed> {
                if name.eq_ignore_ascii_case("tag") {
                    return self.with_tag(value);
                }
                self.0.with_param(name, value).map($type)
            }
        }

        typed_header!($type, false);

        impl<'a> TryFrom<NameAddr<'a>> for $type<'a> {
            type Error = Malformed;

            fn try_from(value: NameAddr<'a>) -> Result<$type<'a>, Malformed> {
                value.params().iter().try_for_each(|param| check_tag(param, 0))?;
                Ok($type(value))
            }
        }

        impl fmt::Display for $type<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

tagged_address! {
    /// Who sent the request.
    From
}

tagged_address! {
    /// Whom the request was meant for.
    To
}

/// The tags alone. They are asked for at every turn of a message, and the address need not be read for it again: that of a
/// message that came was checked.
impl Headers {
    /// The tag of the From.
    pub fn from_tag(&self) -> Option<&str> {
        tag_of(self.first(HeaderName::From)?)
    }

    /// The tag of the To.
    pub fn to_tag(&self) -> Option<&str> {
        tag_of(self.first(HeaderName::To)?)
    }
}

/// Behind the brackets, or the first `;` of an address without (RFC 3261 §20), stand the header parameters.
fn tag_of(value: &str) -> Option<&str> {
    let mut cursor = Cursor::new(value);
    cursor.lws();
    if cursor.peek() == Some(b'"') {
        cursor.quoted().ok()?;
    }
    let start = cursor.at() + memchr::memchr2(b'<', b';', cursor.rest().as_bytes())?;
    let params = match value.as_bytes()[start] {
        b'<' => start + memchr::memchr(b'>', &value.as_bytes()[start..])? + 1,
        _ => start,
    };
    let mut params = ParamIter::over(&value[params..]);
    params.find(|param| param.name.eq_ignore_ascii_case("tag"))?.value
}

fn check_tag(param: Param<'_>, at: usize) -> Result<(), Malformed> {
    if param.name.eq_ignore_ascii_case("tag") {
        param.token("a token as tag", at)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{TypedHeader, assert_prints, assert_refuses};
    use super::*;

    /// [`Headers::to_tag`] does not read the address; what it says has to be what reading it says.
    #[test]
    fn a_tag_is_seen_where_the_grammar_has_one() {
        for (to, tag) in [
            ("<sip:bob@example.org>", None),
            ("<sip:bob@example.org>;tag=1", Some("1")),
            ("<sip:bob@example.org> ; Tag = 1", Some("1")),
            ("Bob <sip:bob@example.org;transport=tcp>;x=y;tag=1", Some("1")),
            ("<sip:bob@example.org;tag=1>", None),
            ("<sip:bob@example.org;tag=1>;stag=1", None),
            ("sip:bob@example.org", None),
            ("sip:bob@example.org;tag=1", Some("1")),
            ("sip:bob@example.org;x;tag=1", Some("1")),
            ("\"<;tag=1>\" <sip:bob@example.org>", None),
            ("\"a > b\" <sip:bob@example.org>;tag=1", Some("1")),
            ("\"a \\\" <;tag=2\"<sip:bob@example.org>;tag=1", Some("1")),
            ("<sip:bob@example.org>;x=\"a;tag=1\"", None),
            ("sip:bob@example.org;x=\">;tag=2\";tag=1", Some("1")),
            ("<tel:+4930>;tag=1", Some("1")),
        ] {
            let mut headers = Headers::new();
            headers.push(HeaderName::To, to).unwrap();
            assert_eq!(headers.get::<To>().unwrap().unwrap().tag(), tag, "{to}");
            assert_eq!(headers.to_tag(), tag, "{to}");
        }
    }

    /// RFC 3261 §20.20, §20.39, RFC 4475 §3.1.1.1.
    #[test]
    fn from_and_to_read_and_print() {
        let from: From = assert_prints(
            "\"A. G. Bell\" <sip:agb@bell-telephone.com> ;tag=a48s",
            "\"A. G. Bell\" <sip:agb@bell-telephone.com>;tag=a48s",
        );
        assert_eq!((from.tag(), from.display_name().as_deref()), (Some("a48s"), Some("A. G. Bell")));
        let from: From = assert_prints("sip:+1@phone2net.com;tag=887s", "<sip:+1@phone2net.com>;tag=887s");
        assert_eq!(from.uri().as_str(), "sip:+1@phone2net.com");
        let to: To = assert_prints(
            "sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n",
            "<sip:vivekg@chair-dnrc.example.com>;   tag    = 1918181833n",
        );
        assert_eq!(to.tag(), Some("1918181833n"));
        let to: To = assert_prints("isbn:2983792873", "<isbn:2983792873>");
        assert_eq!(to.tag(), None);
    }

    #[test]
    fn a_tag_is_set_and_taken_away() {
        let to = To::parse("<sip:a@b>;x=y").unwrap().with_tag("77").unwrap();
        assert_eq!(to.to_string(), "<sip:a@b>;x=y;tag=77");
        assert_eq!(to.clone().with_tag("78").unwrap().without_tag().to_string(), "<sip:a@b>;x=y");
        assert!(to.clone().with_tag("a b").is_err());
        assert!(to.with_param("Tag", "\r\n").is_err());
    }

    #[test]
    fn a_tag_is_a_token() {
        assert_refuses::<From>(&["<sip:a@b>;tag", "<sip:a@b>;tag=\"x\"", "<sip:a@b>;tag=a:b", "<sip:a@b>, <sip:c@d>"]);
    }
}
