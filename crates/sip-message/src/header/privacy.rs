//! Privacy, RFC 3323 §4.2; `id`: RFC 3325 §9.3; `history`: RFC 7044.

use std::borrow::Cow;
use std::fmt;

use super::{Malformed, typed_header};
use crate::grammar::{self, Cursor};

/// What a privacy service shall hide: words between semicolons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Privacy<'a> {
    text: Cow<'a, str>,
}

impl<'a> Privacy<'a> {
    /// These words: `header`, `session`, `user`, `none`, `critical`, `id`, `history` …
    pub fn new(values: &[&str]) -> Result<Privacy<'a>, Malformed> {
        if values.is_empty() {
            return Err(Malformed::new("a privacy value", 0));
        }
        values.iter().try_for_each(|value| grammar::check_token(value))?;
        Ok(Privacy { text: Cow::Owned(values.join(";")) })
    }

    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Privacy<'a>, Malformed> {
        let text = cursor.rest();
        cursor.token()?;
        while cursor.separator(b';') {
            cursor.token()?;
        }
        cursor.end()?;
        Ok(Privacy { text: Cow::Borrowed(grammar::trim(text)) })
    }

    /// The words.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.text.split(';').map(grammar::trim)
    }

    /// Whether `value` is one of the words.
    pub fn contains(&self, value: &str) -> bool {
        self.values().any(|word| word.eq_ignore_ascii_case(value))
    }
}

typed_header!(Privacy, false);

impl fmt::Display for Privacy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn privacy_reads_and_prints() {
        let privacy: Privacy = assert_prints("header ; ID;critical ", "header ; ID;critical");
        assert!(privacy.contains("id") && !privacy.contains("user"));
        assert_eq!(privacy.values().count(), 3);
        assert_eq!(assert_prints::<Privacy>("none", "none"), Privacy::new(&["none"]).unwrap());
    }

    #[test]
    fn what_is_no_privacy_is_refused() {
        assert_refuses::<Privacy>(&["", ";", "id;", "id;;user", "id user", "id, user"]);
        assert!(Privacy::new(&[]).is_err());
        assert!(Privacy::new(&["a;b"]).is_err());
    }
}
