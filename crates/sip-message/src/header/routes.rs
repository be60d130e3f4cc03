//! Route and Record-Route, RFC 3261 §20.34, §20.30; Path, RFC 3327; Service-Route, RFC 3608.
//! What a proxy does with them: RFC 3261 §16.

use std::fmt;

use super::{Malformed, typed_header};
use crate::grammar::Cursor;
use crate::name_addr::{Bare, NameAddr, NameAddrBuf};
use crate::param::Params;
use crate::uri::Uri;

macro_rules! route {
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
                NameAddr::read(cursor, Bare::Refused, |_, _| Ok(())).map($type)
            }

            /// The URI.
            pub fn uri(&self) -> Uri<'a> {
                self.0.uri()
            }

            /// Whether the element routes loosely (`lr`, RFC 3261 §16.12).
            pub fn is_loose(&self) -> bool {
                self.uri().sip().is_some_and(|uri| uri.lr())
            }

            /// The header parameters; those of the element stand in its URI.
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

            /// The same with a header parameter.
            pub fn with_param(self, name: &str, value: &str) -> Result<$type<'a>, Malformed> {
                self.0.with_param(name, value).map($type)
            }
        }

        typed_header!($type, true);

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

route! {
    /// An element that the request must still visit.
    Route
}

route! {
    /// A proxy that stays on the path of the dialog.
    RecordRoute
}

route! {
    /// A proxy between a user agent and its registrar.
    Path
}

route! {
    /// A proxy that requests of a registered user shall visit.
    ServiceRoute
}

#[cfg(test)]
mod tests {
    use super::super::{assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn routes_read_and_print() {
        let text = "<sip:services.example.com;lr;unknownwith=value;unknown-no-value>";
        assert!(assert_prints::<Route>(text, text).is_loose());
        let route: RecordRoute = assert_prints("\"P1\" <sip:p1.example.com> ;x=y", "\"P1\" <sip:p1.example.com>;x=y");
        assert!(!route.is_loose());
        assert_eq!(route.params().value("x"), Some("y"));
        assert_prints::<Path>("<sip:p.example.com;lr;ob>", "<sip:p.example.com;lr;ob>");
        assert_prints::<ServiceRoute>("<sip:h.example.com;lr>", "<sip:h.example.com;lr>");
    }

    #[test]
    fn a_route_is_a_name_addr() {
        assert_refuses::<Route>(&["sip:a;lr", "", "<sip:a>,<sip:b>", "<a>"]);
    }
}
