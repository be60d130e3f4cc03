//! Option tags: Supported, Require, Proxy-Require, Unsupported (RFC 3261 §19.2, §20); methods: Allow (§20.5); packages:
//! Info-Package, Recv-Info (RFC 6086). One element each. An empty Supported, Allow or Recv-Info has no element.

use std::fmt;

use super::shapes::{any_param, token, token_header, word_header};
use super::{Malformed, typed_header};
use crate::grammar::Cursor;
use crate::method::Method;

token_header! {
    /// An extension that the sender supports.
    Supported, true
}

token_header! {
    /// An extension that the user agent server must support.
    Require, true
}

token_header! {
    /// An extension that proxies must support.
    ProxyRequire, true
}

token_header! {
    /// An extension that the server does not support.
    Unsupported, true
}

word_header! {
    /// What the INFO request is about.
    InfoPackage, false,
    /// The package's name.
    package, token, any_param
}

word_header! {
    /// What the sender takes INFO requests about.
    RecvInfo, true,
    /// The package's name.
    package, token, any_param
}

/// A method that the sender supports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allow(pub Method);

impl Allow {
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Allow, Malformed> {
        let at = cursor.at();
        Method::parse(cursor.token()?).map(Allow).ok_or(Malformed::new("a method", at))
    }
}

typed_header!(owned Allow, true);

impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn tags_and_methods_read_and_print() {
        assert!(assert_prints::<Supported>("100rel ", "100rel").is("100REL"));
        assert_eq!(
            assert_prints::<Require>("nothingSupportsThis", "nothingSupportsThis"),
            Require::new("nothingSupportsThis").unwrap()
        );
        assert_prints::<ProxyRequire>("foo", "foo");
        assert_prints::<Unsupported>("foo", "foo");
        assert_eq!(assert_prints::<Allow>("PRACK", "PRACK"), Allow(Method::Prack));
        assert_eq!(assert_prints::<InfoPackage>("foo ;x=1", "foo;x=1").package(), "foo");
        assert_eq!(assert_prints::<RecvInfo>("g.3gpp.x", "g.3gpp.x").package(), "g.3gpp.x");
    }

    #[test]
    fn what_is_no_token_is_refused() {
        assert_refuses::<Supported>(&["", "a b", "a,b", "a;b", "\"a\""]);
        assert!(Supported::new("a\r\nb").is_err());
    }
}
