//! WWW-Authenticate and Proxy-Authenticate: RFC 3261 §20.44, §20.27; RFC 7616 §3.3; several algorithms: RFC 8760.
//! A comma belongs to the challenge, so that each challenge is a field of its own.

use std::fmt;

use super::{Challenge, DigestChallenge, Malformed, typed_header};
use crate::grammar::Cursor;

macro_rules! challenge {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $type<'a>(pub Challenge<'a>);

        impl<'a> $type<'a> {
            pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<$type<'a>, Malformed> {
                Challenge::read(cursor).map($type)
            }

            /// The challenge, when the scheme is Digest.
            pub fn digest(&self) -> Option<&DigestChallenge<'a>> {
                self.0.digest()
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

challenge! {
    /// What a user agent server or registrar asks for, with 401.
    WwwAuthenticate
}

challenge! {
    /// What a proxy asks for, with 407.
    ProxyAuthenticate
}

#[cfg(test)]
mod tests {
    use super::super::{assert_prints, assert_refuses};
    use super::*;

    /// RFC 3261 §20.44, RFC 8760 §2.
    #[test]
    fn challenges_read_and_print() {
        let value: WwwAuthenticate = assert_prints(
            "Digest realm=\"atlanta.com\",\t domain=\"sip:boxesbybob.com\", qop=\"auth, auth-int\", nonce=\"f84f1cec41e6cbe5aea9c8e88d359\", opaque=\"\", stale=FALSE, algorithm=MD5",
            "Digest realm=\"atlanta.com\", domain=\"sip:boxesbybob.com\", nonce=\"f84f1cec41e6cbe5aea9c8e88d359\", opaque=\"\", algorithm=MD5, qop=\"auth, auth-int\"",
        );
        let digest = value.digest().unwrap();
        assert_eq!((digest.realm.as_ref(), digest.stale), ("atlanta.com", false));
        assert_eq!(digest.qop_options().collect::<Vec<_>>(), ["auth", "auth-int"]);
        let value: ProxyAuthenticate = assert_prints(
            "dIgEsT stale=\"true\",nonce=x,realm=\"a \\\"b\\\"\",algorithm=\"SHA-256\",userhash=true,x=y",
            "Digest realm=\"a \\\"b\\\"\", nonce=\"x\", stale=true, algorithm=SHA-256, userhash=true, x=\"y\"",
        );
        assert_eq!(value.digest().unwrap().realm, "a \"b\"");
    }

    #[test]
    fn another_scheme_is_kept_as_text() {
        let value: WwwAuthenticate =
            assert_prints("NoOneKnowsThisScheme  opaque-data=here , a", "NoOneKnowsThisScheme opaque-data=here , a");
        assert!(value.digest().is_none());
        assert_prints::<WwwAuthenticate>("Negotiate", "Negotiate");
    }

    #[test]
    fn what_is_no_challenge_is_refused() {
        assert_refuses::<WwwAuthenticate>(&[
            "",
            "Digest",
            "Digest realm=\"a\"",
            "Digest nonce=\"a\"",
            "Digest realm=\"a\", nonce=\"b\", realm=\"c\"",
            "Digest realm=\"a\", nonce=\"b\",",
            "Digest realm=\"a\"; nonce=\"b\"",
            "Digest realm, nonce=\"b\"",
            "Digest realm=\"a, nonce=\"b\"",
            "Digest,realm=\"a\"",
            "Other a\r\nb",
        ]);
    }
}
