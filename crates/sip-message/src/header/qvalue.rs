//! `qvalue`, RFC 3261 §25.1: a preference from 0 to 1 with at most three digits.

use std::fmt;

use crate::grammar::Malformed;

/// A preference in thousandths; the larger, the rather.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QValue(u16);

impl QValue {
    /// The greatest preference, and what a missing `q` means (RFC 3261 §20.10, §20.1).
    pub const ONE: QValue = QValue(1000);
    /// "Not at all".
    pub const ZERO: QValue = QValue(0);

    /// `thousandths` from 0 to 1000.
    pub fn new(thousandths: u16) -> Option<QValue> {
        (thousandths <= 1000).then_some(QValue(thousandths))
    }

    /// 0 to 1000.
    pub fn thousandths(self) -> u16 {
        self.0
    }

    /// Reads `0`, `0.5`, `1.000` … `.5`, which some send, is no qvalue.
    pub fn parse(text: &str) -> Option<QValue> {
        let (whole, fraction) = match text.split_once('.') {
            Some((whole, fraction)) => (whole, fraction),
            None => (text, ""),
        };
        if !matches!(whole, "0" | "1") || fraction.len() > 3 || !fraction.bytes().all(|o| o.is_ascii_digit()) {
            return None;
        }
        let mut thousandths = if whole == "1" { 1000 } else { 0 };
        for (digit, weight) in fraction.bytes().zip([100, 10, 1]) {
            thousandths += u16::from(digit - b'0') * weight;
        }
        QValue::new(thousandths)
    }

    pub(crate) fn read(value: Option<&str>, at: usize) -> Result<QValue, Malformed> {
        value.and_then(QValue::parse).ok_or(Malformed::new("a q from 0 to 1", at))
    }
}

impl fmt::Display for QValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:03}", self.0 % 1000);
        match fraction.trim_end_matches('0') {
            "" => write!(f, "{}", self.0 / 1000),
            digits => write!(f, "{}.{digits}", self.0 / 1000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thousandth_is_printed_and_read() {
        for n in 0..=1000 {
            let q = QValue::new(n).unwrap();
            assert_eq!(QValue::parse(&q.to_string()), Some(q));
        }
        assert_eq!(QValue::parse("0.70"), QValue::new(700));
        assert_eq!(QValue::parse("1."), Some(QValue::ONE));
    }

    #[test]
    fn what_is_no_qvalue_is_refused() {
        for text in ["", ".5", "2", "1.001", "0.1234", "0,5", "-0", "0.x", "00.5", "1e0"] {
            assert_eq!(QValue::parse(text), None, "{text}");
        }
    }
}
