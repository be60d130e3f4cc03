//! Content-Disposition, RFC 3261 §20.11.

use super::shapes::{any_param, token, word_header};

word_header! {
    /// How a body is meant.
    ContentDisposition, false,
    /// `session`, `render`, `icon`, `alert` or another word.
    disposition, token, any_param
}

impl ContentDisposition<'_> {
    /// Whether a recipient that does not understand the body may go on without it; what is not said is required.
    pub fn is_optional(&self) -> bool {
        self.params.value("handling").is_some_and(|value| value.eq_ignore_ascii_case("optional"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn dispositions_read_and_print() {
        let value: ContentDisposition = assert_prints("session ;handling=optional", "session;handling=optional");
        assert_eq!((value.disposition(), value.is_optional()), ("session", true));
        assert!(!assert_prints::<ContentDisposition>("render", "render").is_optional());
    }

    #[test]
    fn what_is_no_disposition_is_refused() {
        assert_refuses::<ContentDisposition>(&["", ";handling=optional", "a b", "session;"]);
        assert!(ContentDisposition::new("a b").is_err());
    }
}
