//! The parameters of a header value (RFC 3261 §25.1) as both `Parameterable` and `Address` hold them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use sip_message::{Param, Params};

use crate::parse_error::IllegalValue;

/// Parameters that own their text.
#[derive(Clone, Default)]
pub(crate) struct Parameters(Params<'static>);

/// What a new value is written as.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quotes {
    /// Quotes where the value needs them, or where the parameter had them: many a grammar asks for them (RFC 3326 §2).
    WhereNeeded,
    /// Quotes always, but where the parameter had none.
    Rather,
}

impl Parameters {
    pub(crate) fn read(params: Params<'_>) -> Parameters {
        Parameters(params.into_owned())
    }

    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).map(value)
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    pub(crate) fn raw(&self, name: &str) -> Option<&str> {
        self.0.value(name)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|param| param.name.to_owned())
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (String, String)> {
        self.0.iter().map(|param| (param.name.to_owned(), value(param)))
    }

    pub(crate) fn params(&self) -> &Params<'static> {
        &self.0
    }

    pub(crate) fn set(&mut self, name: &str, value: Option<&str>, quotes: Quotes) -> Result<(), IllegalValue> {
        match value {
            None => self.0.remove(name),
            Some("") => self.0.set_flag(name)?,
            Some(value) if self.wants_quotes(name, quotes) => self.set_quoted(name, value)?,
            Some(value) => self.0.set(name, value)?,
        }
        Ok(())
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    fn wants_quotes(&self, name: &str, quotes: Quotes) -> bool {
        match self.raw(name) {
            Some(value) => value.starts_with('"'),
            None => quotes == Quotes::Rather,
        }
    }

    fn set_quoted(&mut self, name: &str, value: &str) -> Result<(), IllegalValue> {
        let mut quoted = String::with_capacity(value.len() + 2);
        quoted.push('"');
        for c in value.chars() {
            if matches!(c, '"' | '\\') {
                quoted.push('\\');
            }
            quoted.push(c);
        }
        quoted.push('"');
        // Read before it is written: neither the name nor the value may bring a control or another parameter.
        let text = format!(";{name}={quoted}");
        let read = Params::parse(&text)?;
        let fits = read.iter().count() == 1
            && read.iter().all(|param| param.name == name && param.value == Some(&quoted))
            && !value.chars().any(|c| c.is_ascii_control() && c != '\t');
        if !fits {
            return Err(IllegalValue::header("a parameter name and text without control characters", 0));
        }
        let mut pending = Some(text.as_str());
        let mut all = String::with_capacity(self.0.as_str().len() + text.len());
        for param in self.0.iter() {
            if !param.name.eq_ignore_ascii_case(name) {
                all.push_str(&format!(";{param}"));
            } else {
                all.push_str(pending.take().unwrap_or_default());
            }
        }
        all.push_str(pending.unwrap_or_default());
        self.0 = Params::parse(&all)?.into_owned();
        Ok(())
    }

    /// RFC 3261 §7.3.1: names and tokens have no case, quoted strings do; order does not count.
    pub(crate) fn same(&self, other: &Parameters) -> bool {
        let (mine, theirs) = (self.table(), other.table());
        mine.len() == theirs.len() && mine.iter().all(|(name, value)| theirs.get(name) == Some(value))
    }

    /// "Extension parameters in one header field, not present in the other are ignored" (RFC 3261 §20.20); a `tag` is none.
    pub(crate) fn same_as_of_a_uri(&self, other: &Parameters) -> bool {
        const NEVER_IGNORED: &str = "tag";
        let (mine, theirs) = (self.table(), other.table());
        mine.contains_key(NEVER_IGNORED) == theirs.contains_key(NEVER_IGNORED)
            && mine.iter().all(|(name, value)| theirs.get(name).is_none_or(|other| other == value))
    }

    /// Of several with one name the first. A table, because a peer may send thousands.
    fn table(&self) -> BTreeMap<String, Cow<'_, str>> {
        let mut table = BTreeMap::new();
        for param in self.0.iter() {
            table.entry(param.name.to_ascii_lowercase()).or_insert_with(|| comparable(param));
        }
        table
    }
}

/// Flags have no value, and what is written as one is empty.
fn value(param: Param<'_>) -> String {
    param.unquoted().unwrap_or_default().into_owned()
}

fn comparable(param: Param<'_>) -> Cow<'_, str> {
    match param.value {
        Some(value) if value.starts_with('"') => param.unquoted().unwrap_or_default(),
        Some(value) => Cow::Owned(value.to_ascii_lowercase()),
        None => Cow::Borrowed(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(text: &str) -> Parameters {
        Parameters::read(Params::parse(text).unwrap())
    }

    #[test]
    fn quotes_stay_where_the_parameter_had_them() {
        let mut all = parameters(";a=x;text=\"busy\";text=again;b=y");
        all.set("text", Some("idle"), Quotes::WhereNeeded).unwrap();
        assert_eq!(all.params().as_str(), ";a=x;text=\"idle\";b=y");
        all.set("a", Some("a \"b\" \\"), Quotes::WhereNeeded).unwrap();
        assert_eq!(all.params().as_str(), ";a=\"a \\\"b\\\" \\\\\";text=\"idle\";b=y");
        assert_eq!(all.get("A").as_deref(), Some("a \"b\" \\"));
        all.set("b", Some("z"), Quotes::Rather).unwrap();
        all.set("c", Some("z"), Quotes::Rather).unwrap();
        assert_eq!(all.get("b"), all.get("c"));
        assert!(all.params().as_str().ends_with(";b=z;c=\"z\""));
    }

    #[test]
    fn names_that_are_no_tokens_and_values_with_controls_are_refused() {
        let mut all = parameters(";a=\"x\"");
        for quotes in [Quotes::WhereNeeded, Quotes::Rather] {
            for (name, value) in [
                ("", "x"),
                ("b c", "x"),
                ("b;c", "x"),
                ("b=1;c", "x"),
                ("b", "\r\n"),
                ("a", "\0"),
                ("a", "\u{7f}"),
                (" b", "x"),
            ] {
                assert!(all.set(name, Some(value), quotes).is_err(), "{name:?} {value:?}");
            }
        }
        assert_eq!(all.params().as_str(), ";a=\"x\"");
    }

    /// RFC 3261 §7.3.1.
    #[test]
    fn tokens_are_compared_without_case_and_quoted_strings_with_it() {
        assert!(parameters(";a=X;b").same(&parameters(";B;A=x")));
        assert!(!parameters(";a=\"X\"").same(&parameters(";a=\"x\"")));
        assert!(!parameters(";a=x").same(&parameters(";a=x;b")));
        assert!(parameters(";a=x").same_as_of_a_uri(&parameters(";a=x;b")));
        assert!(!parameters(";a=x").same_as_of_a_uri(&parameters(";a=x;tag=1")));
    }
}
