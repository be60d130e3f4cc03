//! Whole-system tests: RFC sections and stories, in virtual time.

/// The code of the manual is compiled, and run where it can be.
#[cfg(doctest)]
mod manual {
    #[doc = include_str!("../../docs/manual/applications.md")]
    mod applications {}

    #[doc = include_str!("../../docs/manual/chat.md")]
    mod chat {}

    #[doc = include_str!("../../docs/manual/client.md")]
    mod client {}

    #[doc = include_str!("../../README.md")]
    mod readme {}
}
