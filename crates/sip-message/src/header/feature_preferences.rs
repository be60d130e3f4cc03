//! Accept-Contact and Reject-Contact, RFC 3841 §9.2, §9.3; Feature-Caps, RFC 6809 §6.3.1: `*` with feature parameters.

use super::Malformed;
use super::shapes::{any_param, word_header};
use crate::grammar::Cursor;

word_header! {
    /// Features of the user agents that the caller wants.
    AcceptContact, true,
    /// `*`.
    word, star, any_param
}

word_header! {
    /// Features of the user agents that the caller does not want.
    RejectContact, true,
    /// `*`.
    word, star, any_param
}

word_header! {
    /// What an element on the path can do.
    FeatureCaps, true,
    /// `*`.
    word, star, any_param
}

impl AcceptContact<'_> {
    /// Whether user agents that do not say that they have the features are out.
    pub fn require(&self) -> bool {
        self.params.contains("require")
    }

    /// Whether a user agent must have all features to be asked first.
    pub fn explicit(&self) -> bool {
        self.params.contains("explicit")
    }
}

fn star<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, Malformed> {
    let start = cursor.clone();
    match cursor.token() {
        Ok("*") => Ok("*"),
        _ => start.expected("\"*\""),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn feature_preferences_read_and_print() {
        let text = "*;mobility=\"fixed\";events=\"!presence,message-summary\";+sip.x=\"#>5\";require";
        let wanted: AcceptContact = assert_prints(text, text);
        assert!(wanted.require() && !wanted.explicit());
        assert_eq!(wanted.params().unquoted("mobility").as_deref(), Some("fixed"));
        assert_prints::<RejectContact>("* ;actor=\"msg-taker\";video", "*;actor=\"msg-taker\";video");
        assert_prints::<FeatureCaps>("*;+g.3gpp.srvcc", "*;+g.3gpp.srvcc");
    }

    #[test]
    fn what_does_not_start_with_a_star_is_refused() {
        assert_refuses::<AcceptContact>(&["", "audio", "**;audio", "<sip:a@b>"]);
        assert!(AcceptContact::new("x").is_err());
    }
}
