//! What is said about diversions: Diversion (RFC 5806) for those who read that, History-Info (RFC 7044) with the cause
//! of RFC 4458 for the others.
//!
//! Left out: privacy of entries (RFC 7044 §10.1), which concerns those who ask for it with a Privacy header; they have to
//! be served by whoever applies RFC 3323.

use serde::{Deserialize, Serialize};
use servlet::{Address, Uri};
use sip_message::{HeaderName, Headers};

/// Why a call was diverted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Cause {
    Unconditional,
    Busy,
    NoAnswer,
}

/// One diversion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Diversion {
    pub(super) from: Uri,
    pub(super) to: Uri,
    pub(super) cause: Cause,
}

impl Cause {
    /// RFC 5806 §4.
    fn diversion_reason(self) -> &'static str {
        match self {
            Cause::Unconditional => "unconditional",
            Cause::Busy => "user-busy",
            Cause::NoAnswer => "no-answer",
        }
    }

    /// RFC 4458 §2.
    fn code(self) -> u16 {
        match self {
            Cause::Unconditional => 302,
            Cause::Busy => 486,
            Cause::NoAnswer => 408,
        }
    }
}

/// How often a call was diverted, as its Diversion headers count.
pub(super) fn count(headers: &[String]) -> usize {
    let counter = |value: &str| Address::parse(value).ok()?.parameter("counter")?.parse::<usize>().ok();
    let mut split = Headers::new();
    for header in headers {
        // The grammar of both is the same; of the two, only this one is known to be a list.
        split.push(HeaderName::HistoryInfo, header).expect("a header that came is one line");
    }
    let values = split.values(HeaderName::HistoryInfo);
    values.map(|value| counter(value).unwrap_or(1).max(1)).fold(0, usize::saturating_add)
}

/// The Diversion headers behind these diversions: the latest one on top, those that came below.
pub(super) fn diversion_headers(came: &[String], diversions: &[Diversion]) -> Vec<String> {
    let ours = diversions.iter().rev().map(|diversion| {
        let reason = diversion.cause.diversion_reason();
        format!("{};reason={reason};counter=1", Address::new(diversion.from.clone()))
    });
    ours.chain(came.iter().cloned()).collect()
}

/// The History-Info entries behind these diversions.
///
/// Everything that is tried here is on one level below the last entry that came (RFC 7044 §10.3, rules 2 to 4). A call
/// that came without a history gets the entry for the hop before, too (§9.1).
pub(super) fn history(came: &[String], diversions: &[Diversion]) -> Vec<String> {
    let Some(first) = diversions.first() else { return came.to_vec() };
    let mut entries = came.to_vec();
    if entries.is_empty() {
        entries.push(format!("{};index=1", Address::new(first.from.clone())));
    }
    let last = entries.last().and_then(|entry| Address::parse(entry).ok()?.parameter("index"));
    let base = last.unwrap_or_else(|| "1".to_owned());
    let mut tried = Tried { base, entries: Vec::new() };
    for diversion in diversions {
        tried.divert(diversion);
    }
    entries.extend(tried.entries.iter().map(|(uri, more)| format!("{};{more}", Address::new(uri.clone()))));
    entries
}

struct Tried {
    base: String,
    /// URI and parameters.
    entries: Vec<(Uri, String)>,
}

impl Tried {
    fn divert(&mut self, diversion: &Diversion) {
        if diversion.cause != Cause::Unconditional {
            if self.entries.is_empty() {
                // The one that was tried first, as it was called.
                let (index, base) = (self.next(), &self.base);
                self.entries.push((diversion.from.clone(), format!("index={index};np={base}")));
            }
            if let Some((uri, _)) = self.entries.last_mut() {
                reason(uri, diversion.cause);
            }
        }
        let from = match self.entries.len() {
            0 => self.base.clone(),
            tried => format!("{}.{tried}", self.base),
        };
        let mut to = diversion.to.clone();
        // A tel URI can't have it, and the entry says enough without.
        let _ = to.set_parameter("cause", diversion.cause.code().to_string().as_str());
        self.entries.push((to, format!("index={};mp={from}", self.next())));
    }

    fn next(&self) -> String {
        format!("{}.{}", self.base, self.entries.len() + 1)
    }
}

/// RFC 7044 §10.2: with what response it went on.
fn reason(uri: &mut Uri, cause: Cause) {
    if let Some(uri) = uri.as_sip_mut() {
        // Digits and letters; nothing to be refused.
        let _ = uri.set_header("Reason", &format!("SIP;cause={}", cause.code()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diversion(from: &str, to: &str, cause: Cause) -> Diversion {
        let uri = |name: &str| Uri::parse(&format!("sip:{name}@example.com")).unwrap();
        Diversion { from: uri(from), to: uri(to), cause }
    }

    #[test]
    fn the_latest_diversion_is_on_top() {
        let came = ["<sip:dora@example.org>;reason=user-busy".to_owned()];
        let ours = [diversion("bob", "carol", Cause::Unconditional), diversion("carol", "erik", Cause::NoAnswer)];
        assert_eq!(
            diversion_headers(&came, &ours),
            [
                "<sip:carol@example.com>;reason=no-answer;counter=1",
                "<sip:bob@example.com>;reason=unconditional;counter=1",
                "<sip:dora@example.org>;reason=user-busy",
            ]
        );
    }

    #[test]
    fn an_entry_without_a_counter_counts_once() {
        let headers = ["<sip:a@example.com>;counter=2".to_owned(), "<sip:b@example.com>".to_owned()];
        assert_eq!(count(&headers), 3);
        assert_eq!(count(&["<sip:a@example.com>;counter=99999999999999999999".to_owned(), "junk".to_owned()]), 2);
        assert_eq!(count(&["\"A, B\" <sip:a@example.com>;counter=2, <sip:b@example.com>".to_owned()]), 3);
    }

    #[test]
    fn a_diversion_at_once_is_mapped_from_who_was_called() {
        assert_eq!(
            history(&[], &[diversion("bob", "carol", Cause::Unconditional)]),
            ["<sip:bob@example.com>;index=1", "<sip:carol@example.com;cause=302>;index=1.1;mp=1"]
        );
    }

    /// RFC 7044 §10.3, rule 4, and §10.2.
    #[test]
    fn a_diversion_after_a_response_tells_the_response() {
        let came = ["<sip:bob@example.com>;index=1".to_owned(), "<sip:bob@example.com>;index=1.1;np=1".to_owned()];
        let ours = [diversion("bob", "carol", Cause::Busy), diversion("carol", "erik", Cause::NoAnswer)];
        assert_eq!(
            history(&came, &ours)[2..],
            [
                "<sip:bob@example.com?Reason=SIP%3Bcause%3D486>;index=1.1.1;np=1.1",
                "<sip:carol@example.com;cause=486?Reason=SIP%3Bcause%3D408>;index=1.1.2;mp=1.1.1",
                "<sip:erik@example.com;cause=408>;index=1.1.3;mp=1.1.2",
            ]
        );
    }
}
