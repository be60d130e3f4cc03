//! MIME-Version, RFC 3261 §20.24.

use std::fmt;

use super::{Malformed, typed_header};
use crate::grammar::Cursor;

/// The version of MIME that the body follows: 1.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MimeVersion {
    /// Before the dot.
    pub major: u32,
    /// Behind the dot.
    pub minor: u32,
}

impl MimeVersion {
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<MimeVersion, Malformed> {
        let major = cursor.number()?;
        if !cursor.eat(b'.') {
            return cursor.expected("\".\"");
        }
        Ok(MimeVersion { major, minor: cursor.number()? })
    }
}

typed_header!(owned MimeVersion, false);

impl fmt::Display for MimeVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn versions_read_and_print() {
        assert_eq!(assert_prints::<MimeVersion>("1.0", "1.0"), MimeVersion { major: 1, minor: 0 });
        assert_prints::<MimeVersion>("01.10 ", "1.10");
    }

    #[test]
    fn what_is_no_version_is_refused() {
        assert_refuses::<MimeVersion>(&["", "1", "1.", ".0", "1 .0", "1.0.0"]);
    }
}
