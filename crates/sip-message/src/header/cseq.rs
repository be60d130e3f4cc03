//! CSeq, RFC 3261 §20.16. Its order within a dialog: §12.2.

use std::fmt;

use super::{Malformed, typed_header};
use crate::grammar::Cursor;
use crate::method::Method;

/// The number and method of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cseq {
    /// The sequence number; a new one is below 2^31 (RFC 3261 §8.1.1.5).
    pub sequence: u32,
    /// The method.
    pub method: Method,
}

impl Cseq {
    /// A number and a method.
    pub fn new(sequence: u32, method: Method) -> Cseq {
        Cseq { sequence, method }
    }

    #[inline]
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Cseq, Malformed> {
        let sequence = cursor.number()?;
        if !cursor.lws() {
            return cursor.expected("white space before the method");
        }
        let at = cursor.at();
        let method = Method::parse(cursor.token()?).ok_or(Malformed::new("a method", at))?;
        Ok(Cseq { sequence, method })
    }
}

typed_header!(owned Cseq, false);

impl fmt::Display for Cseq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.sequence, self.method)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn a_cseq_reads_and_prints() {
        assert_eq!(assert_prints::<Cseq>("4711 INVITE", "4711 INVITE"), Cseq::new(4711, Method::Invite));
        assert_eq!(assert_prints::<Cseq>("0009\t  INVITE", "9 INVITE").sequence, 9);
        let cseq: Cseq = assert_prints("4294967295 a`b", "4294967295 a`b");
        assert_eq!(cseq.method.as_str(), "a`b");
    }

    /// RFC 4475 §3.1.2.4.
    #[test]
    fn a_number_above_32_bits_is_refused() {
        assert_refuses::<Cseq>(&[
            "36893488147419103232 REGISTER",
            "4294967296 INVITE",
            "",
            "1",
            "1INVITE",
            "-1 INVITE",
            "1 A B",
        ]);
    }
}
