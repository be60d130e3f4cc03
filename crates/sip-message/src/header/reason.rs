//! Reason, RFC 3326 §2: why a request was sent or a response given.

use std::borrow::Cow;

use super::Malformed;
use super::shapes::{token, word_header};
use crate::param::{Param, Params};

word_header! {
    /// One reason.
    Reason, true,
    /// In whose terms: `SIP`, `Q.850` or another protocol.
    protocol, token, check_cause
}

impl Reason<'_> {
    /// A SIP status code as the reason.
    pub fn sip(status: u16, text: &str) -> Result<Reason<'static>, Malformed> {
        Reason::of("SIP", status, text)
    }

    /// A cause of ITU-T Q.850 as the reason.
    pub fn q850(cause: u16, text: &str) -> Result<Reason<'static>, Malformed> {
        Reason::of("Q.850", cause, text)
    }

    fn of(protocol: &'static str, cause: u16, text: &str) -> Result<Reason<'static>, Malformed> {
        let mut params = Params::new();
        params.put("cause", Some(&cause.to_string()));
        if !text.is_empty() {
            params.set_quoted("text", text)?;
        }
        Ok(Reason { protocol, params })
    }

    /// The number: a status code, a cause.
    pub fn cause(&self) -> Option<u32> {
        self.params.get("cause")?.number("", 0).ok()
    }

    /// The text for people.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        self.params.unquoted("text")
    }
}

fn check_cause(param: Param<'_>, at: usize) -> Result<(), Malformed> {
    if param.name.eq_ignore_ascii_case("cause") { param.number("a number as cause", at).map(drop) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::super::{assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn reasons_read_and_print() {
        let reason: Reason = assert_prints(
            "SIP ;cause=200 ;text=\"Call completed elsewhere\"",
            "SIP;cause=200 ;text=\"Call completed elsewhere\"",
        );
        assert_eq!(
            (reason.protocol(), reason.cause(), reason.text().as_deref()),
            ("SIP", Some(200), Some("Call completed elsewhere"))
        );
        assert_eq!(Reason::q850(16, "Terminated").unwrap().to_string(), "Q.850;cause=16;text=\"Terminated\"");
        assert_eq!(assert_prints::<Reason>("Q.850", "Q.850").cause(), None);
    }

    #[test]
    fn what_is_no_reason_is_refused() {
        assert_refuses::<Reason>(&["", ";cause=1", "SIP;cause=x", "SIP;cause", "SIP;text=\"a"]);
        assert!(Reason::sip(200, "a\r\nb").is_err());
    }
}
