//! Bodies as text, and lists by preference.

use std::cmp::Reverse;

/// The character encodings that bodies are read and written in. RFC 3261 §7.4.1: UTF-8 is what nobody has to name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charset {
    Utf8,
    Ascii,
    Latin1,
}

impl Charset {
    pub(crate) fn parse(name: &str) -> Option<Charset> {
        let name = name.trim_matches('"').to_ascii_lowercase();
        match name.as_str() {
            "utf-8" | "utf8" => Some(Charset::Utf8),
            "us-ascii" | "ascii" => Some(Charset::Ascii),
            "iso-8859-1" | "latin1" => Some(Charset::Latin1),
            _ => None,
        }
    }

    pub(crate) fn decode(self, octets: &[u8]) -> Option<String> {
        match self {
            Charset::Utf8 => std::str::from_utf8(octets).ok().map(str::to_owned),
            Charset::Ascii => octets.is_ascii().then(|| octets.iter().map(|octet| char::from(*octet)).collect()),
            Charset::Latin1 => Some(octets.iter().map(|octet| char::from(*octet)).collect()),
        }
    }

    pub(crate) fn encode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Charset::Utf8 => Some(text.as_bytes().to_vec()),
            Charset::Ascii => text.is_ascii().then(|| text.as_bytes().to_vec()),
            Charset::Latin1 => text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect(),
        }
    }
}

/// The tokens of `token;q=0.5` values, the most wanted first; what is not wanted at all (`q=0`) is left out.
pub(crate) fn by_preference(values: &[String]) -> Vec<String> {
    let mut wanted: Vec<(u32, &str)> = values
        .iter()
        .map(|value| {
            let (token, params) = value.split_once(';').unwrap_or((value, ""));
            let q = params.split(';').find_map(|param| {
                let (name, q) = param.split_once('=')?;
                if name.trim().eq_ignore_ascii_case("q") { q.trim().parse::<f32>().ok() } else { None }
            });
            ((q.unwrap_or(1.0).clamp(0.0, 1.0) * 1000.0) as u32, token.trim())
        })
        .collect();
    wanted.retain(|(q, token)| *q > 0 && !token.is_empty());
    wanted.sort_by_key(|(q, _)| Reverse(*q));
    wanted.into_iter().map(|(_, token)| token.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_with_the_highest_q_comes_first_and_equals_keep_their_order() {
        let values = ["da;q=0.3", "en", "fr;q=0", "de"].map(str::to_owned);
        assert_eq!(by_preference(&values), ["en", "de", "da"]);
    }

    #[test]
    fn text_that_an_encoding_can_not_hold_is_not_written() {
        assert_eq!(Charset::Latin1.encode("Grüße"), Some(vec![b'G', b'r', 0xfc, 0xdf, b'e']));
        assert_eq!(Charset::Latin1.encode("€"), None);
        assert_eq!(Charset::Ascii.encode("ü"), None);
        assert_eq!(Charset::Utf8.decode(&[0xff]), None);
    }
}
