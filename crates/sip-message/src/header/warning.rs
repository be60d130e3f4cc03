//! Warning, RFC 3261 §20.43.

use std::borrow::Cow;
use std::fmt;

use super::{Malformed, typed_header};
use crate::grammar::{self, Cursor, GEN_VALUE};

/// One warning about a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning<'a> {
    code: u16,
    agent: &'a str,
    /// With its quotes.
    text: Cow<'a, str>,
}

impl<'a> Warning<'a> {
    /// A code from 100 to 999, who warns (host and port, or a name), and what about.
    pub fn new(code: u16, agent: &'a str, text: &str) -> Result<Warning<'a>, Malformed> {
        if !(100..1000).contains(&code) {
            return Err(Malformed::new("a warn-code of three digits", 0));
        }
        if agent.is_empty() || !grammar::all(agent.as_bytes(), GEN_VALUE) {
            return Err(Malformed::new("a warn-agent", 0));
        }
        Ok(Warning { code, agent, text: Cow::Owned(grammar::quote(text)?) })
    }

    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Warning<'a>, Malformed> {
        let start = cursor.clone();
        let digits = cursor.some(grammar::DIGIT, "a warn-code")?;
        let code = match grammar::number(digits) {
            Some(code @ 0..=999) if digits.len() == 3 => code as u16,
            _ => return start.expected("a warn-code of three digits"),
        };
        if !cursor.lws() {
            return cursor.expected("white space before the warn-agent");
        }
        let agent = cursor.some(GEN_VALUE, "a warn-agent")?;
        if !cursor.lws() {
            return cursor.expected("white space before the warn-text");
        }
        Ok(Warning { code, agent, text: Cow::Borrowed(cursor.quoted()?) })
    }

    /// The code; 300 to 399 are SIP's.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// Who warns: host and port, or a name.
    pub fn agent(&self) -> &'a str {
        self.agent
    }

    /// The text without quotes and escapes.
    pub fn text(&self) -> Cow<'_, str> {
        grammar::unquote(&self.text)
    }
}

typed_header!(Warning, true);

impl fmt::Display for Warning<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03} {} {}", self.code, self.agent, self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{TypedHeader, assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn warnings_read_and_print() {
        let text = "307 isi.edu \"Session parameter 'foo' not understood\"";
        let warning: Warning = assert_prints(text, text);
        assert_eq!((warning.code(), warning.agent()), (307, "isi.edu"));
        assert_prints::<Warning>("399  [::1]:5060\t\"a \\\"b\\\"\"", "399 [::1]:5060 \"a \\\"b\\\"\"");
        let built = Warning::new(370, "h:5060", "say \"no\"").unwrap();
        assert_eq!(Warning::parse(&built.to_string()).unwrap().text(), "say \"no\"");
    }

    /// RFC 4475 §3.1.2.5.
    #[test]
    fn what_is_no_warning_is_refused() {
        assert_refuses::<Warning>(&[
            "1812 overture \"In Progress\"",
            "",
            "30 a \"b\"",
            "307 a",
            "307 a b",
            "307 \"b\"",
            "307 a \"b\" c",
        ]);
        assert!(Warning::new(307, "a b", "c").is_err());
        assert!(Warning::new(307, "a", "c\r\nd").is_err());
    }
}
