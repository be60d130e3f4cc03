//! What setters of removable text take, so that none of `"text"`, `&text`, `Some("text")` and `None` needs a conversion.

/// A text, or `None` to take it away.
///
/// ```
/// let mut uri = servlet::SipUri::parse("sip:alice@example.com").unwrap();
/// let name = String::from("bob");
/// uri.set_user(&name)?;
/// uri.set_transport_param("tcp")?;
/// assert_eq!(uri.to_string(), "sip:bob@example.com;transport=tcp");
/// uri.set_transport_param(None)?;
/// # Ok::<(), servlet::IllegalValue>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no text that can be set",
    note = "give `&str`, `&String`, `Option<&str>` or `None`; `text.as_deref()` makes an `Option<&str>` of an `Option<String>`"
)]
pub trait OptionalText<'t> {
    /// The text.
    fn optional_text(self) -> Option<&'t str>;
}

impl<'t> OptionalText<'t> for &'t str {
    fn optional_text(self) -> Option<&'t str> {
        Some(self)
    }
}

impl<'t> OptionalText<'t> for &'t String {
    fn optional_text(self) -> Option<&'t str> {
        Some(self)
    }
}

impl<'t> OptionalText<'t> for Option<&'t str> {
    fn optional_text(self) -> Option<&'t str> {
        self
    }
}
