//! Authorization and Proxy-Authorization: RFC 3261 §20.7, §20.28; RFC 7616 §3.4.

use std::fmt;

use super::{Credentials, DigestCredentials, Malformed, typed_header};
use crate::grammar::Cursor;

macro_rules! credentials {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $type<'a>(pub Credentials<'a>);

        impl<'a> $type<'a> {
            pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<$type<'a>, Malformed> {
                Credentials::read(cursor).map($type)
            }

            /// The credentials, when the scheme is Digest.
            pub fn digest(&self) -> Option<&DigestCredentials<'a>> {
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

credentials! {
    /// The answer to WWW-Authenticate.
    Authorization
}

credentials! {
    /// The answer to Proxy-Authenticate.
    ProxyAuthorization
}

#[cfg(test)]
mod tests {
    use super::super::{TypedHeader, assert_prints, assert_refuses};
    use super::*;

    /// RFC 3261 §20.7, §22.4, RFC 7616 §3.9.2.
    #[test]
    fn credentials_read_and_print() {
        let text = "Digest username=\"bob\", realm=\"biloxi.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", uri=\"sip:bob@biloxi.com\", response=\"6629fae49393a05397450978507c4ef1\", cnonce=\"0a4f113b\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\", qop=auth, nc=00000001";
        let value: Authorization = assert_prints(text, text);
        let digest = value.digest().unwrap();
        assert_eq!(
            (digest.username.as_ref(), digest.nonce_count, digest.qop.as_deref()),
            ("bob", Some(1), Some("auth"))
        );
        let value: ProxyAuthorization = assert_prints(
            "Digest username*=UTF-8''J%C3%A4s, realm=\"r\", nonce=\"\", uri=\"sip:h\", response=\"\", qop=\"auth\", userhash=false, auts=\"x\"",
            "Digest username*=UTF-8''J%C3%A4s, realm=\"r\", nonce=\"\", uri=\"sip:h\", response=\"\", qop=auth, auts=\"x\"",
        );
        assert_eq!(value.digest().unwrap().username_extended.as_deref(), Some("UTF-8''J%C3%A4s"));
    }

    #[test]
    fn credentials_are_built() {
        let credentials = DigestCredentials {
            username: "a\"b".into(),
            realm: "r".into(),
            nonce: "n".into(),
            uri: "sip:h".into(),
            response: "00".into(),
            algorithm: Some("SHA-512-256".into()),
            nonce_count: Some(255),
            ..DigestCredentials::default()
        };
        let text = credentials.to_string();
        assert_eq!(
            text,
            "Digest username=\"a\\\"b\", realm=\"r\", nonce=\"n\", uri=\"sip:h\", response=\"00\", algorithm=SHA-512-256, nc=000000ff"
        );
        assert_eq!(Authorization::parse(&text).unwrap(), Authorization(Credentials::Digest(credentials)));
    }

    /// RFC 4475 §3.3.7.
    #[test]
    fn another_scheme_is_kept_as_text() {
        let text = "NoOneKnowsThisScheme opaque-data=here";
        let Authorization(Credentials::Other(other)) = assert_prints(text, text) else { panic!("{text}") };
        assert_eq!((other.scheme, other.rest), ("NoOneKnowsThisScheme", "opaque-data=here"));
    }

    #[test]
    fn what_is_no_credentials_is_refused() {
        let rest = "realm=\"r\", nonce=\"n\", uri=\"sip:h\", response=\"0\"";
        for wrong in [
            format!("Digest {rest}"),
            format!("Digest username=\"a\", username*=b, {rest}"),
            format!("Digest username=\"a\", nc=1, {rest}"),
            format!("Digest username=\"a\", nc=+0000001, {rest}"),
            format!("Digest username=\"a\", {rest}, response=\"1\""),
            "Digest username=\"a\", realm=\"r\", nonce=\"n\", uri=\"sip:h\"".to_string(),
        ] {
            assert_refuses::<Authorization>(&[&wrong]);
        }
    }
}
