//! Refer-Sub, RFC 4488 §4: whether a REFER makes a subscription.

use super::shapes::{any_param, word_header};
use crate::grammar::{Cursor, Malformed};

word_header! {
    /// Whether the sender wants a subscription, or the recipient makes one.
    ReferSub, false,
    /// `true` or `false`.
    value, truth, any_param
}

impl ReferSub<'_> {
    /// Whether there shall be a subscription.
    pub fn is_true(&self) -> bool {
        self.value.eq_ignore_ascii_case("true")
    }
}

fn truth<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, Malformed> {
    let start = cursor.clone();
    let word = cursor.token()?;
    match word.to_ascii_lowercase().as_str() {
        "true" | "false" => Ok(word),
        _ => start.expected("true or false"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn a_refer_sub_reads_and_prints() {
        assert!(!assert_prints::<ReferSub>("false", "false").is_true());
        assert!(assert_prints::<ReferSub>("True ;x=y", "True;x=y").is_true());
    }

    #[test]
    fn what_is_neither_true_nor_false_is_refused() {
        assert_refuses::<ReferSub>(&["", "yes", "true false"]);
        assert!(ReferSub::new("maybe").is_err());
    }
}
