//! Session-ID, RFC 7989 §5: an identifier of the session that B2BUAs leave alone.

use super::Malformed;
use super::shapes::word_header;
use crate::grammar::{Cursor, HEX};
use crate::param::Param;

word_header! {
    /// The identifiers that both ends gave the session.
    SessionId, false,
    /// The sender's: 32 hexadecimal digits.
    local, uuid, check_remote
}

impl SessionId<'_> {
    /// What stands for an identifier that is not known yet.
    pub const NIL: &'static str = "00000000000000000000000000000000";

    /// The other end's identifier. A sender of RFC 7329 has none.
    pub fn remote(&self) -> Option<&str> {
        self.params.value("remote")
    }
}

fn uuid<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, Malformed> {
    let start = cursor.clone();
    match cursor.some(HEX, "an identifier")? {
        digits if digits.len() == 32 => Ok(digits),
        _ => start.expected("an identifier of 32 hexadecimal digits"),
    }
}

fn check_remote(param: Param<'_>, at: usize) -> Result<(), Malformed> {
    let fits = |value: &str| value.len() == 32 && value.bytes().all(|o| o.is_ascii_hexdigit());
    if param.name.eq_ignore_ascii_case("remote") && !param.value.is_some_and(fits) {
        return Err(Malformed::new("an identifier of 32 hexadecimal digits as remote", at));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn session_ids_read_and_print() {
        let text = "ab30317f1a784dc48ff824d0d3715d86;remote=00000000000000000000000000000000";
        let id: SessionId = assert_prints(text, text);
        assert_eq!((id.local(), id.remote()), ("ab30317f1a784dc48ff824d0d3715d86", Some(SessionId::NIL)));
        assert_eq!(assert_prints::<SessionId>(&text[..32], &text[..32]).remote(), None);
        let built = SessionId::new(SessionId::NIL).unwrap().with_param("remote", &text[..32]).unwrap();
        assert_eq!(built.remote(), Some(&text[..32]));
    }

    #[test]
    fn what_is_no_session_id_is_refused() {
        assert_refuses::<SessionId>(&[
            "",
            "ab30317f",
            "ab30317f1a784dc48ff824d0d3715d8z",
            "ab30317f1a784dc48ff824d0d3715d86;remote=1",
            "ab30317f1a784dc48ff824d0d3715d86;remote",
            "ab30317f1a784dc48ff824d0d3715d860",
        ]);
    }
}
