//! When two URIs mean the same: RFC 3261 §19.1.4, RFC 3966 §4; and a registrar's key, RFC 3261 §10.3.

use std::collections::BTreeMap;

use super::tel::without_separators;
use super::{Host, SipUri, TelUri, Uri, UriParam, UriParams, percent};
use crate::grammar::{self, USER};

pub(super) fn equivalent(one: &Uri<'_>, other: &Uri<'_>) -> bool {
    match (one, other) {
        (Uri::Sip(one), Uri::Sip(other)) => sip(one, other),
        (Uri::Tel(one), Uri::Tel(other)) => tel(one, other),
        (Uri::Absolute(one), Uri::Absolute(other)) => {
            one.scheme().eq_ignore_ascii_case(other.scheme()) && percent::equivalent(one.rest(), other.rest(), false)
        }
        _ => false,
    }
}

fn sip(one: &SipUri<'_>, other: &SipUri<'_>) -> bool {
    one.is_secure() == other.is_secure()
        && one.port() == other.port()
        && one.host() == other.host()
        && userinfo(one.raw_user(), other.raw_user())
        && userinfo(one.raw_password(), other.raw_password())
        && sip_params(one.params(), other.params())
        && headers(one, other)
}

fn userinfo(one: Option<&str>, other: Option<&str>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => percent::equivalent(one, other, false),
        _ => false,
    }
}

/// Parameters that only one URI has are ignored, but these: the rules name user, ttl, method and maddr, the examples
/// transport.
fn sip_params(one: UriParams<'_>, other: UriParams<'_>) -> bool {
    const NEVER_IGNORED: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];
    let (mine, theirs) = (Table::of(one), Table::of(other));
    one.iter().all(|param| match (mine.get(param.name), theirs.get(param.name)) {
        (Some(mine), Some(theirs)) => same_value(mine, theirs),
        _ => true,
    }) && NEVER_IGNORED.iter().all(|name| one.contains(name) == other.contains(name))
}

fn same_value(one: Option<&str>, other: Option<&str>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => percent::equivalent(one, other, true),
        _ => false,
    }
}

/// Looks parameters up by name, of several with one name the first: the text itself while it is short, a map when a peer sends hundreds of them.
enum Table<'a> {
    Short(UriParams<'a>),
    Long(BTreeMap<String, Option<&'a str>>),
}

impl<'a> Table<'a> {
    fn of(params: UriParams<'a>) -> Table<'a> {
        if params.iter().nth(16).is_none() {
            return Table::Short(params);
        }
        let mut map = BTreeMap::new();
        for param in params.iter() {
            map.entry(key(param.name)).or_insert(param.value);
        }
        Table::Long(map)
    }

    fn get(&self, name: &str) -> Option<Option<&'a str>> {
        match self {
            Table::Short(params) => params.get(&percent::decode(name)).map(|param| param.value),
            Table::Long(map) => map.get(&key(name)).copied(),
        }
    }
}

fn key(name: &str) -> String {
    percent::decode(name).to_ascii_lowercase()
}

/// "Any present header component MUST be present in both URIs and match". Order does not count.
fn headers(one: &SipUri<'_>, other: &SipUri<'_>) -> bool {
    match (one.raw_headers(), other.raw_headers()) {
        (None, None) => true,
        (Some(_), Some(_)) => sorted_headers(one) == sorted_headers(other),
        _ => false,
    }
}

fn sorted_headers(uri: &SipUri<'_>) -> Vec<(String, String)> {
    let normal = |text: &str| {
        let mut out = String::with_capacity(text.len());
        percent::normalize(text, &mut out);
        out.make_ascii_lowercase();
        out
    };
    let mut headers: Vec<_> = uri.raw_header_pairs().map(|(name, value)| (normal(name), normal(value))).collect();
    headers.sort_unstable();
    headers
}

fn tel(one: &TelUri<'_>, other: &TelUri<'_>) -> bool {
    one.is_global() == other.is_global()
        && same_number(one.raw_number(), other.raw_number())
        && every_param_is_in(one.params(), other.params())
        && every_param_is_in(other.params(), one.params())
}

/// "If one URI has a parameter name not found in the other, the two URIs are not equal."
fn every_param_is_in(one: UriParams<'_>, other: UriParams<'_>) -> bool {
    let (mine, theirs) = (Table::of(one), Table::of(other));
    one.iter().all(|param| {
        let (Some(mine), Some(theirs)) = (mine.get(param.name), theirs.get(param.name)) else {
            return false;
        };
        match (mine, theirs) {
            (Some(mine), Some(theirs)) if is_number(&param, mine) => same_number(mine, theirs),
            _ => same_value(mine, theirs),
        }
    })
}

/// Whether visual separators in the value do not count.
fn is_number(param: &UriParam<'_>, value: &str) -> bool {
    param.is_called("ext") || (param.is_called("phone-context") && value.starts_with('+'))
}

fn same_number(one: &str, other: &str) -> bool {
    without_separators(one).eq_ignore_ascii_case(&without_separators(other))
}

pub(super) fn address_of_record(uri: &Uri<'_>) -> String {
    match uri {
        Uri::Sip(uri) => sip_address(uri),
        Uri::Tel(uri) => {
            let mut out = format!("tel:{}", uri.number());
            if let Some(context) = uri.phone_context().filter(|_| !uri.is_global()) {
                let context = if context.starts_with('+') { without_separators(context) } else { context.into() };
                out.push_str(";phone-context=");
                out.push_str(&context);
            }
            out.make_ascii_lowercase();
            out
        }
        Uri::Absolute(uri) => {
            let mut out = uri.scheme().to_ascii_lowercase();
            out.push(':');
            percent::normalize(uri.rest(), &mut out);
            out
        }
    }
}

fn sip_address(uri: &SipUri<'_>) -> String {
    let mut out = String::with_capacity(uri.as_str().len());
    out.push_str(if uri.is_secure() { "sips:" } else { "sip:" });
    if let Some(user) = uri.raw_user() {
        canonical_user(user, &mut out);
        if let Some(password) = uri.raw_password() {
            out.push(':');
            percent::normalize(password, &mut out);
        }
        out.push('@');
    }
    match uri.host() {
        Host::Name(name) => out.extend(name.chars().map(|c| c.to_ascii_lowercase())),
        address => out.push_str(&address.to_string()),
    }
    if let Some(port) = uri.port() {
        out.push(':');
        out.push_str(&port.to_string());
    }
    out
}

/// Every escape undone whose character may stand in a user itself; what may not (`@`, `:`, NUL) keeps its escape, so that
/// two different users never get one key.
fn canonical_user(user: &str, out: &mut String) {
    let mut normal = String::with_capacity(user.len());
    percent::normalize(user, &mut normal);
    let mut rest = normal.as_str();
    while let Some(percent) = rest.find('%') {
        out.push_str(&rest[..percent]);
        let (escape, behind) = rest[percent..].split_at(3);
        match u8::from_str_radix(&escape[1..], 16) {
            Ok(octet) if octet.is_ascii() && grammar::is(octet, USER) => out.push(char::from(octet)),
            _ => out.push_str(escape),
        }
        rest = behind;
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn equal(one: &str, other: &str) -> bool {
        let (one, other) = (Uri::parse(one).unwrap(), Uri::parse(other).unwrap());
        let result = one.equivalent(&other);
        assert_eq!(result, other.equivalent(&one), "{one} {other}: must be symmetric");
        result
    }

    /// RFC 3261 §19.1.4, "The URIs within each of the following sets are equivalent".
    #[test]
    fn the_first_list_of_section_19_1_4_is_equivalent() {
        assert!(equal("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"));
        assert!(equal("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"));
        assert!(equal("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"));
        assert!(equal("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"));
        assert!(equal(
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com"
        ));
        assert!(equal(
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x"
        ));
    }

    /// RFC 3261 §19.1.4, "The URIs within each of the following sets are not equivalent".
    #[test]
    fn the_second_list_of_section_19_1_4_is_not_equivalent() {
        assert!(!equal("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"));
        assert!(!equal("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"));
        assert!(!equal("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"));
        assert!(!equal("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"));
        assert!(!equal("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"));
        assert!(!equal("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"));
        assert!(!equal("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"));
    }

    #[test]
    fn the_rules_of_section_19_1_4_without_an_example_hold() {
        assert!(!equal("sip:a@b", "sips:a@b"));
        assert!(!equal("sip:a@b", "sip:b"));
        assert!(!equal("sip:a:p@b", "sip:a@b"));
        assert!(!equal("sip:a:p@b", "sip:a:P@b"));
        assert!(!equal("sip:a@b;user=ip", "sip:a@b"));
        assert!(!equal("sip:a@b;ttl=1", "sip:a@b"));
        assert!(!equal("sip:a@b;maddr=c", "sip:a@b"));
        assert!(!equal("sip:a@b;method=INVITE", "sip:a@b"));
        assert!(equal("sip:a@b;%6Cr;x=%41", "sip:a@b;x=a;LR"));
        assert!(!equal("sip:a@b;x", "sip:a@b;x=1"));
        assert!(!equal("sip:a@b?x=1&x=2", "sip:a@b?x=1"));
        assert!(!equal("sip:a%3Bb@c", "sip:a;b@c"));
        assert!(equal("sip:[2001:db8::1]", "sip:[2001:DB8:0::1]"));
        assert!(!equal("sip:+12015550123@a;user=phone", "tel:+12015550123"));
        assert!(!equal("sip:null-%00-null@example.com", "sip:null-%00%00-null@example.com"));
    }

    #[test]
    fn thousands_of_parameters_are_compared_in_one_pass() {
        let mut one = "sip:a@b".to_string();
        let mut other = one.clone();
        for n in 0..5000 {
            one += &format!(";p{n}=v");
            other += &format!(";P{}=V", 4999 - n);
        }
        assert!(equal(&one, &other));
        assert!(!equal(&one, &other.replace(";P7=V", ";P7=W")));
    }

    /// RFC 3966 §4.
    #[test]
    fn tel_uris_are_compared_by_digits_and_all_parameters() {
        assert!(equal("tel:+1-201-555-0123", "TEL:+1(201)555.0123"));
        assert!(!equal("tel:+12015550123", "tel:12015550123;phone-context=+1"));
        assert!(equal("tel:7042;phone-context=+1-201", "tel:70-42;phone-context=+1201"));
        assert!(equal("tel:7042;phone-context=Example.com", "tel:7042;phone-context=example.COM"));
        assert!(!equal("tel:7042;phone-context=example.com", "tel:7042;phone-context=example.net"));
        assert!(equal("tel:+1;ext=1-2;x=y", "tel:+1;X=Y;ext=12"));
        assert!(!equal("tel:+1;x=y", "tel:+1"));
        assert!(equal("tel:aB*;phone-context=a.b", "tel:Ab*;phone-context=a.b"));
    }

    /// "Any given parameter-name MUST NOT appear more than once" (RFC 3261 §19.1.1): where one does, the first counts.
    #[test]
    fn a_uri_with_a_repeated_parameter_is_equivalent_to_itself() {
        let text = "sip:a@b;transport=tcp;transport=tcx";
        assert!(equal(text, text));
        assert!(equal(text, "sip:a@b;transport=tcp"));
        let text = "tel:+1-201-555-0123;ext=7;phone-5-0123;ext=w;phone-xoo=+1";
        assert!(equal(text, text));
        assert!(!equal("tel:+1;ext=7;ext=8", "tel:+1;ext=8;ext=7"));
    }

    /// RFC 3261 §10.3, step 5.
    #[test]
    fn an_address_of_record_has_one_key() {
        let key = |text| Uri::parse(text).unwrap().address_of_record();
        assert_eq!(key("sip:%61lice@AtLanTa.CoM;transport=tcp?a=b"), "sip:alice@atlanta.com");
        assert_eq!(key("sip:%2B1212@h:5060;user=phone"), "sip:+1212@h:5060");
        assert_eq!(key("sip:a%40%3a@h"), "sip:a%40%3A@h");
        assert_ne!(key("sip:null-%00-null@h"), key("sip:null-%00%00-null@h"));
        assert_eq!(key("SIPS:h"), "sips:h");
        assert_eq!(key("tel:+1-201;ext=1"), "tel:+1201");
        assert_eq!(key("tel:70-42;phone-context=Example.com"), "tel:7042;phone-context=example.com");
        assert_eq!(key("IM:a"), "im:a");
    }
}
