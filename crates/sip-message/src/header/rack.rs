//! RAck, RFC 3262 §7.2: which reliable provisional response a PRACK acknowledges.

use std::fmt;

use super::{Malformed, typed_header};
use crate::grammar::Cursor;
use crate::method::Method;

/// The RSeq and CSeq of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rack {
    /// The response's RSeq.
    pub rseq: u32,
    /// The number of its CSeq.
    pub sequence: u32,
    /// The method of its CSeq.
    pub method: Method,
}

impl Rack {
    /// The RSeq and CSeq of a response.
    pub fn new(rseq: u32, sequence: u32, method: Method) -> Rack {
        Rack { rseq, sequence, method }
    }

    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Rack, Malformed> {
        let rseq = cursor.number()?;
        if !cursor.lws() {
            return cursor.expected("white space before the CSeq");
        }
        let sequence = cursor.number()?;
        if !cursor.lws() {
            return cursor.expected("white space before the method");
        }
        let at = cursor.at();
        let method = Method::parse(cursor.token()?).ok_or(Malformed::new("a method", at))?;
        Ok(Rack { rseq, sequence, method })
    }
}

typed_header!(owned Rack, false);

impl fmt::Display for Rack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.rseq, self.sequence, self.method)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn a_rack_reads_and_prints() {
        assert_eq!(assert_prints::<Rack>("776656 1 INVITE", "776656 1 INVITE"), Rack::new(776656, 1, Method::Invite));
        assert_prints::<Rack>("007\t2  PRACK ", "7 2 PRACK");
    }

    #[test]
    fn what_is_no_rack_is_refused() {
        assert_refuses::<Rack>(&["", "1", "1 2", "1 INVITE", "4294967296 1 INVITE", "1 2INVITE", "1 2 A B"]);
    }
}
