//! Priority, RFC 3261 §20.26; `psap-callback`: RFC 7090.

use super::shapes::token_header;

token_header! {
    /// How urgent the request is to the person who gets it.
    Priority, false
}

impl Priority<'_> {
    /// `emergency`.
    pub const EMERGENCY: Priority<'static> = Priority("emergency");
    /// `urgent`.
    pub const URGENT: Priority<'static> = Priority("urgent");
    /// `normal`.
    pub const NORMAL: Priority<'static> = Priority("normal");
    /// `non-urgent`.
    pub const NON_URGENT: Priority<'static> = Priority("non-urgent");
}

#[cfg(test)]
mod tests {
    use super::super::{assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn priorities_read_and_print() {
        assert!(assert_prints::<Priority>("Emergency", "Emergency").is(Priority::EMERGENCY.as_str()));
        assert_eq!(assert_prints::<Priority>("non-urgent ", "non-urgent"), Priority::NON_URGENT);
    }

    #[test]
    fn what_is_no_priority_is_refused() {
        assert_refuses::<Priority>(&["", "very urgent", "urgent;now"]);
    }
}
