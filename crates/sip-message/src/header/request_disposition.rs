//! Request-Disposition, RFC 3841 §9.1: one directive to the proxies.

use super::shapes::token_header;

token_header! {
    /// `proxy` or `redirect`, `cancel` or `no-cancel`, `fork` or `no-fork`, `recurse` or `no-recurse`, `parallel` or
    /// `sequential`, `queue` or `no-queue`.
    RequestDisposition, true
}

#[cfg(test)]
mod tests {
    use super::super::{assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn directives_read_and_print() {
        assert!(assert_prints::<RequestDisposition>("No-Fork", "No-Fork").is("no-fork"));
        assert_prints::<RequestDisposition>("proxy ", "proxy");
    }

    #[test]
    fn what_is_no_directive_is_refused() {
        assert_refuses::<RequestDisposition>(&["", "proxy fork", "proxy;x"]);
    }
}
