//! Authentication-Info and Proxy-Authentication-Info: RFC 3261 §20.6, RFC 7616 §3.5, RFC 7615.

use std::fmt;

use super::{DigestInfo, Malformed, typed_header};
use crate::grammar::Cursor;

macro_rules! info {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $type<'a>(pub DigestInfo<'a>);

        impl<'a> $type<'a> {
            pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<$type<'a>, Malformed> {
                DigestInfo::read(cursor).map($type)
            }
        }

        typed_header!($type, false);

        impl fmt::Display for $type<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

info! {
    /// What the user agent server says behind a success.
    AuthenticationInfo
}

info! {
    /// What a proxy says behind a success.
    ProxyAuthenticationInfo
}

#[cfg(test)]
mod tests {
    use super::super::{assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn infos_read_and_print() {
        let value: AuthenticationInfo =
            assert_prints("nextnonce=\"47364c23432d2e131a5fb210812c\"", "nextnonce=\"47364c23432d2e131a5fb210812c\"");
        assert_eq!(value.0.nextnonce.as_deref(), Some("47364c23432d2e131a5fb210812c"));
        let text = "qop=auth, rspauth=\"6629\", cnonce=\"0a\", nc=0000000a, x=\"y\"";
        assert_eq!(assert_prints::<ProxyAuthenticationInfo>(text, text).0.nonce_count, Some(10));
    }

    #[test]
    fn what_is_no_info_is_refused() {
        assert_refuses::<AuthenticationInfo>(&[
            "",
            "nextnonce",
            "nextnonce=\"a\" qop=auth",
            "nc=1",
            "qop=a, qop=b",
            "Digest qop=auth",
        ]);
    }
}
