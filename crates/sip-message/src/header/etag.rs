//! SIP-ETag and SIP-If-Match, RFC 3903 §11.3; Suppress-If-Match, RFC 5839 §7.2.

use super::shapes::token_header;

token_header! {
    /// The name that the event state compositor gave a publication.
    SipEtag, false
}

token_header! {
    /// Which publication a PUBLISH changes.
    SipIfMatch, false
}

token_header! {
    /// The state that the subscriber already has; `*` stands for any.
    SuppressIfMatch, false
}

#[cfg(test)]
mod tests {
    use super::super::{assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn entity_tags_read_and_print() {
        assert_eq!(assert_prints::<SipEtag>("dx200xyz", "dx200xyz").as_str(), "dx200xyz");
        assert_prints::<SipIfMatch>("kwj449x ", "kwj449x");
        assert_prints::<SuppressIfMatch>("*", "*");
    }

    #[test]
    fn what_is_no_entity_tag_is_refused() {
        assert_refuses::<SipEtag>(&["", "\"a\"", "a b", "a;b"]);
    }
}
