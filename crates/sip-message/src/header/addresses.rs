//! Headers that are an address: Reply-To (RFC 3261 §20.31), Refer-To (RFC 3515), Referred-By (RFC 3892),
//! P-Asserted-Identity and P-Preferred-Identity (RFC 3325), P-Associated-URI and P-Called-Party-ID (RFC 7315).

use std::borrow::Cow;
use std::fmt;

use super::{Malformed, typed_header};
use crate::grammar::Cursor;
use crate::name_addr::{Bare, NameAddr, NameAddrBuf};
use crate::param::Params;
use crate::uri::Uri;

macro_rules! address {
    ($(#[$doc:meta])* $type:ident, $list:literal, $bare:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $type<'a>(NameAddr<'a>);

        impl<'a> $type<'a> {
            /// A value of a URI alone.
            pub fn new(uri: Uri<'a>) -> $type<'a> {
                $type(NameAddr::new(uri))
            }

            pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<$type<'a>, Malformed> {
                NameAddr::read(cursor, Bare::$bare, |_, _| Ok(())).map($type)
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

            /// The same with a display name, which gets quotes.
            pub fn with_display_name(self, name: &str) -> Result<$type<'a>, Malformed> {
                self.0.with_display_name(name).map($type)
            }

            /// The same with a header parameter.
            pub fn with_param(self, name: &str, value: &str) -> Result<$type<'a>, Malformed> {
                self.0.with_param(name, value).map($type)
            }
        }

        typed_header!($type, $list);

        impl<'a> std::convert::From<NameAddr<'a>> for $type<'a> {
            fn from(value: NameAddr<'a>) -> $type<'a> {
                $type(value)
            }
        }

        impl fmt::Display for $type<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

address! {
    /// Where the sender wants to be called back.
    ReplyTo, false, Allowed
}

address! {
    /// Whom the recipient of a REFER shall contact; method and headers stand in the URI.
    ReferTo, false, Allowed
}

address! {
    /// Who referred; `cid` names a signed copy in the body.
    ReferredBy, false, Allowed
}

address! {
    /// Who the caller is, said by an element of the trust domain.
    PAssertedIdentity, true, Allowed
}

address! {
    /// Which of its identities a user wants to have asserted.
    PPreferredIdentity, true, Allowed
}

address! {
    /// An identity that belongs to the registered one.
    PAssociatedUri, true, Refused
}

address! {
    /// The identity that was called, before it became the called device's address.
    PCalledPartyId, false, Refused
}

#[cfg(test)]
mod tests {
    use super::super::{assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn addresses_read_and_print() {
        assert_eq!(
            assert_prints::<ReplyTo>("Bob <sip:bob@biloxi.com>", "Bob <sip:bob@biloxi.com>").display_name().unwrap(),
            "Bob"
        );
        let text =
            "<sip:dave@denver.example.org?Replaces=12345%40192.168.118.3%3Bto-tag%3D12345%3Bfrom-tag%3D5FFE-3994>";
        let refer: ReferTo = assert_prints(text, text);
        let uri = refer.uri().sip().unwrap();
        assert_eq!(uri.headers().next().unwrap().1, "12345@192.168.118.3;to-tag=12345;from-tag=5FFE-3994");
        let text = "<sip:r@ref.example>;cid=\"2UWQFN309shb3@ref.example\"";
        assert_eq!(
            assert_prints::<ReferredBy>(text, text).params().unquoted("cid").unwrap(),
            "2UWQFN309shb3@ref.example"
        );
        assert_prints::<PAssertedIdentity>("tel:+14085264000", "<tel:+14085264000>");
        assert_prints::<PPreferredIdentity>("\"C J\" <sip:f@cisco.com>", "\"C J\" <sip:f@cisco.com>");
        assert_prints::<PAssociatedUri>("<sip:a@b>;x", "<sip:a@b>;x");
        assert_prints::<PCalledPartyId>("<sip:a@b>", "<sip:a@b>");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        assert_refuses::<ReferTo>(&["", "sip:a@b?x=y", "<sip:a@b>, <sip:c@d>", "a"]);
        assert_refuses::<PCalledPartyId>(&["sip:a@b"]);
    }
}
