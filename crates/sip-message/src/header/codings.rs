//! Content-Encoding, Content-Language, Accept-Encoding, Accept-Language: RFC 3261 §20.12, §20.13, §20.2, §20.3.

use super::shapes::{token, token_header, word_header};
use super::{Malformed, QValue};
use crate::grammar::Cursor;
use crate::param::Param;

token_header! {
    /// A coding of the body, such as `gzip`.
    ContentEncoding, true
}

token_header! {
    /// A language of the body, such as `fr` or `en-GB`.
    ContentLanguage, true
}

word_header! {
    /// A coding that the sender takes.
    AcceptEncoding, true,
    /// The coding, or `*`.
    coding, token, check_q
}

word_header! {
    /// A language that the sender's user reads.
    AcceptLanguage, true,
    /// The language range, or `*`.
    range, language_range, check_q
}

impl AcceptEncoding<'_> {
    /// The preference.
    pub fn q(&self) -> QValue {
        self.params.value("q").and_then(QValue::parse).unwrap_or(QValue::ONE)
    }
}

impl AcceptLanguage<'_> {
    /// The preference.
    pub fn q(&self) -> QValue {
        self.params.value("q").and_then(QValue::parse).unwrap_or(QValue::ONE)
    }
}

fn check_q(param: Param<'_>, at: usize) -> Result<(), Malformed> {
    if param.name.eq_ignore_ascii_case("q") { QValue::read(param.value, at).map(drop) } else { Ok(()) }
}

/// `1*8ALPHA *( "-" 1*8ALPHA )` or `*`; digits, which RFC 5646 allows later, are read too.
fn language_range<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, Malformed> {
    let start = cursor.clone();
    let range = cursor.token()?;
    let subtag = |tag: &str| (1..=8).contains(&tag.len()) && tag.bytes().all(|o| o.is_ascii_alphanumeric());
    if range == "*" || range.split('-').all(subtag) { Ok(range) } else { start.expected("a language range") }
}

#[cfg(test)]
mod tests {
    use super::super::{assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn codings_and_languages_read_and_print() {
        assert!(assert_prints::<ContentEncoding>("gzip", "gzip").is("GZIP"));
        assert_eq!(assert_prints::<ContentLanguage>("en-GB ", "en-GB").as_str(), "en-GB");
        assert_eq!(assert_prints::<AcceptEncoding>("*;q=0.1", "*;q=0.1").q(), QValue::new(100).unwrap());
        let language: AcceptLanguage = assert_prints("en-gb ;q=0.8", "en-gb;q=0.8");
        assert_eq!((language.range(), language.q()), ("en-gb", QValue::new(800).unwrap()));
        assert_eq!(assert_prints::<AcceptLanguage>("da", "da").q(), QValue::ONE);
    }

    #[test]
    fn what_is_neither_is_refused() {
        assert_refuses::<AcceptLanguage>(&["", "toolonglang", "en-", "en;q=x", "en_GB"]);
        assert_refuses::<ContentEncoding>(&["", "a b", "gzip;q=1"]);
    }
}
