//! Alert-Info, Call-Info, Error-Info: RFC 3261 §20.4, §20.9, §20.18; alert URNs: RFC 7462.

use super::shapes::reference_header;

reference_header! {
    /// What to ring with.
    AlertInfo
}

reference_header! {
    /// More about the caller or called party.
    CallInfo
}

reference_header! {
    /// More about an error.
    ErrorInfo
}

impl CallInfo<'_> {
    /// What the URI is for: `icon`, `info`, `card` or another word.
    pub fn purpose(&self) -> Option<&str> {
        self.params.value("purpose")
    }
}

#[cfg(test)]
mod tests {
    use super::super::{assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn references_read_and_print() {
        let text = "<http://www.example.com/alice/photo.jpg>;purpose=icon";
        let info: CallInfo = assert_prints(text, text);
        assert_eq!((info.uri().scheme(), info.purpose()), ("http", Some("icon")));
        assert_prints::<AlertInfo>("<urn:alert:service:call-waiting> ", "<urn:alert:service:call-waiting>");
        assert_prints::<ErrorInfo>(
            "<sip:not-in-service-recording@atlanta.com>",
            "<sip:not-in-service-recording@atlanta.com>",
        );
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        assert_refuses::<CallInfo>(&["", "http://a", "x <http://a>", "<http://a", "<>", "<http://a>;", "<http://a b>"]);
    }
}
