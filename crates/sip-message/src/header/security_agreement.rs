//! Security-Client, Security-Server, Security-Verify: RFC 3329 §2.2.

use super::shapes::{token, word_header};
use super::{Malformed, QValue};
use crate::param::Param;

macro_rules! mechanism {
    ($(#[$doc:meta])* $type:ident) => {
        word_header! {
            $(#[$doc])*
            $type, true,
            /// `digest`, `tls`, `ipsec-ike`, `ipsec-man`, `ipsec-3gpp` or another word.
            mechanism, token, check_q
        }

        impl $type<'_> {
            /// The preference; the greatest first.
            pub fn q(&self) -> QValue {
                self.params.value("q").and_then(QValue::parse).unwrap_or(QValue::ONE)
            }
        }
    };
}

mechanism! {
    /// A mechanism that the client can use to the next hop.
    SecurityClient
}

mechanism! {
    /// A mechanism that the server can use.
    SecurityServer
}

mechanism! {
    /// What the client heard as Security-Server, sent back unchanged.
    SecurityVerify
}

fn check_q(param: Param<'_>, at: usize) -> Result<(), Malformed> {
    if param.name.eq_ignore_ascii_case("q") { QValue::read(param.value, at).map(drop) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::super::{assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn mechanisms_read_and_print() {
        let value: SecurityServer = assert_prints("ipsec-ike ;q=0.1", "ipsec-ike;q=0.1");
        assert_eq!((value.mechanism(), value.q()), ("ipsec-ike", QValue::new(100).unwrap()));
        assert_eq!(assert_prints::<SecurityClient>("tls", "tls").q(), QValue::ONE);
        let text = "digest;d-alg=MD5;d-qop=auth;d-ver=\"0000000000000000000000000000abcd\"";
        assert_prints::<SecurityVerify>(text, text);
    }

    #[test]
    fn what_is_no_mechanism_is_refused() {
        assert_refuses::<SecurityClient>(&["", ";q=1", "tls;q=1.1", "tls;q"]);
    }
}
