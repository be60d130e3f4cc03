//! Identity, RFC 8224 §4. The signature itself is not checked here, and nothing is fetched.

use std::fmt;

use super::{Malformed, typed_header};
use crate::grammar::Cursor;
use crate::param::{Param, Params};
use crate::uri::Uri;

/// A signature of the caller's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    token: &'a str,
    params: Params<'a>,
}

impl<'a> Identity<'a> {
    /// A signature with the place of its certificate.
    pub fn new(token: &'a str, info: Uri<'_>) -> Result<Identity<'a>, Malformed> {
        let mut cursor = Cursor::new(token);
        read_signature(&mut cursor)?;
        if !cursor.is_end() {
            return cursor.expected("the end of the signature");
        }
        let mut params = Params::new();
        params.put("info", Some(&format!("<{info}>")));
        Ok(Identity { token, params })
    }

    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Identity<'a>, Malformed> {
        let token = read_signature(cursor)?;
        let params = Params::read(cursor, check_info)?;
        Ok(Identity { token, params })
    }

    /// The PASSporT, full or compact; of an RFC 4474 sender the quoted signature.
    pub fn token(&self) -> &'a str {
        self.token
    }

    /// Where the certificate is. Only what a policy names may be fetched.
    pub fn info(&self) -> Option<Uri<'_>> {
        let value = self.params.value("info")?;
        Uri::parse(value.strip_prefix('<')?.strip_suffix('>')?).ok()
    }

    /// The algorithm of the signature.
    pub fn alg(&self) -> Option<&str> {
        self.params.value("alg")
    }

    /// The type of the PASSporT, such as `shaken`.
    pub fn ppt(&self) -> Option<std::borrow::Cow<'_, str>> {
        self.params.unquoted("ppt")
    }

    /// All parameters.
    pub fn params(&self) -> &Params<'a> {
        &self.params
    }

    /// The same with a parameter.
    pub fn with_param(mut self, name: &str, value: &str) -> Result<Identity<'a>, Malformed> {
        if name.eq_ignore_ascii_case("info") {
            check_info(Param { name, value: Some(value) }, 0)?;
            self.params.put(name, Some(value));
        } else {
            self.params.set(name, value)?;
        }
        Ok(self)
    }
}

typed_header!(Identity, true);

impl fmt::Display for Identity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.token, self.params)
    }
}

/// Base64 in both alphabets, and dots; RFC 4474 had it in quotes.
fn read_signature<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, Malformed> {
    if cursor.peek() == Some(b'"') {
        return cursor.quoted();
    }
    let start = cursor.at();
    let text = cursor.rest();
    let in_signature = |o: &u8| o.is_ascii_alphanumeric() || matches!(o, b'+' | b'/' | b'=' | b'-' | b'_' | b'.');
    let length = text.bytes().take_while(in_signature).count();
    if length == 0 {
        return cursor.expected("a signature");
    }
    cursor.set(start + length);
    Ok(&text[..length])
}

fn check_info(param: Param<'_>, at: usize) -> Result<(), Malformed> {
    if param.name.eq_ignore_ascii_case("info") && !param.value.is_some_and(is_reference) {
        return Err(Malformed::new("a URI in <> as info", at));
    }
    Ok(())
}

fn is_reference(value: &str) -> bool {
    let inner = value.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
    inner.is_some_and(|uri| Uri::parse(uri).is_ok())
}

#[cfg(test)]
mod tests {
    use super::super::{TypedHeader, assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn identities_read_and_print() {
        let text = "eyJhbGciOiJFUzI1NiJ9..rq3pjT1hoRwakEGjHCnWSwUnshd0-zJ6F1VOgFWSjHBr8Qjpjlk-cpFYpFYsojNCpTzO3QfPOlckGaS6hEck7w;info=<https://biloxi.example.org/biloxi.cert>;alg=ES256;ppt=\"shaken\"";
        let identity: Identity = assert_prints(text, text);
        assert_eq!(identity.info().unwrap().as_str(), "https://biloxi.example.org/biloxi.cert");
        assert_eq!((identity.alg(), identity.ppt().as_deref()), (Some("ES256"), Some("shaken")));
        assert_prints::<Identity>(
            "\"ZYNBbHC00VMZr2kZt6VmCvPonWJMGvQTBDqghoWeLxJfzB2a1pxAr3VgrB0=\"",
            "\"ZYNBbHC00VMZr2kZt6VmCvPonWJMGvQTBDqghoWeLxJfzB2a1pxAr3VgrB0=\"",
        );
        let built =
            Identity::new("a.b.c", Uri::parse("https://h/c").unwrap()).unwrap().with_param("alg", "ES256").unwrap();
        assert_eq!(Identity::parse(&built.to_string()).unwrap(), built);
    }

    #[test]
    fn what_is_no_identity_is_refused() {
        assert_refuses::<Identity>(&[
            "",
            ";info=<https://a>",
            "a b",
            "a;info=x",
            "a;info=<x>",
            "a;info=<https://a",
            "\"a",
        ]);
        assert!(Identity::new("a", Uri::parse("https://h").unwrap()).unwrap().with_param("info", "<").is_err());
    }
}
