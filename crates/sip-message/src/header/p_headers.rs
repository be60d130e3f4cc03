//! P-Access-Network-Info, P-Charging-Vector, P-Charging-Function-Addresses, P-Visited-Network-ID: RFC 7315.
//! Their parameters are kept as parameters; what the 3GPP makes of them is for its applications.

use std::fmt;

use super::shapes::{any_param, token, token_or_quoted, word_header};
use super::{Malformed, typed_header};
use crate::grammar::Cursor;
use crate::param::Params;

word_header! {
    /// The access network that the user agent is in.
    PAccessNetworkInfo, true,
    /// The kind of access, such as `3GPP-E-UTRAN-FDD` or `IEEE-802.11`.
    access_type, token, any_param
}

word_header! {
    /// A network that the user agent visits.
    PVisitedNetworkId, true,
    /// The network as it was written: a token, or a quoted string.
    raw_network, token_or_quoted, any_param
}

macro_rules! parameter_list {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $type<'a>(Params<'a>);

        impl<'a> $type<'a> {
            /// A value of one parameter.
            pub fn new(name: &str, value: &str) -> Result<$type<'a>, Malformed> {
                $type(Params::new()).with_param(name, value)
            }

            pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<$type<'a>, Malformed> {
                Params::read_list(cursor).map($type)
            }

            /// The parameters.
            pub fn params(&self) -> &Params<'a> {
                &self.0
            }

            /// The same with a parameter.
            pub fn with_param(mut self, name: &str, value: &str) -> Result<$type<'a>, Malformed> {
                self.0.set(name, value)?;
                Ok(self)
            }
        }

        typed_header!($type, false);

        impl fmt::Display for $type<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.0.as_str().trim_start_matches(';'))
            }
        }
    };
}

parameter_list! {
    /// What correlates the charging records of a session: `icid-value`, `icid-generated-at`, `orig-ioi`, `term-ioi` …
    PChargingVector
}

parameter_list! {
    /// Where charging records go: `ccf`, `ecf`.
    PChargingFunctionAddresses
}

#[cfg(test)]
mod tests {
    use super::super::{TypedHeader, assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn p_headers_read_and_print() {
        let access: PAccessNetworkInfo = assert_prints(
            "3GPP-UTRAN-TDD; utran-cell-id-3gpp=234151D0FCE11",
            "3GPP-UTRAN-TDD; utran-cell-id-3gpp=234151D0FCE11",
        );
        assert_eq!(access.access_type(), "3GPP-UTRAN-TDD");
        assert_prints::<PVisitedNetworkId>("\"Visited network number 1\"", "\"Visited network number 1\"");
        let text = "icid-value=\"1234bc9876e\"; icid-generated-at=192.0.6.8; orig-ioi=home1.net";
        let vector: PChargingVector = assert_prints(text, text);
        assert_eq!(vector.params().unquoted("icid-value").as_deref(), Some("1234bc9876e"));
        assert_eq!(vector.params().value("orig-ioi"), Some("home1.net"));
        assert_prints::<PChargingFunctionAddresses>("ccf=192.1.1.1; ecf=[5555::b99]", "ccf=192.1.1.1; ecf=[5555::b99]");
        let built = PChargingVector::new("icid-value", "a b").unwrap().with_param("term-ioi", "h").unwrap();
        assert_eq!(built.to_string(), "icid-value=\"a b\";term-ioi=h");
        assert_eq!(PChargingVector::parse(&built.to_string()).unwrap().to_string(), built.to_string());
    }

    #[test]
    fn what_is_no_p_header_is_refused() {
        assert_refuses::<PChargingVector>(&["", ";a=b", "a=b;", "a=", "a b"]);
        assert_refuses::<PAccessNetworkInfo>(&["", "\"x\""]);
        assert!(PChargingVector::new("a b", "c").is_err());
    }
}
