//! On whose behalf an application is asked: which part of a request names the subscriber (JSR 289 §15, appendix C).

use std::str::FromStr;

use serde::de::Error;
use servlet::Uri;
use sip_message::{HeaderName, Headers, Method, NameAddr, Request};

/// Where the subscriber's URI is taken from.
///
/// As text: `request.uri`, `request.from`, `request.to`, the name of any header with an address, or a URI.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum SubscriberUri {
    /// Nowhere: the application serves nobody in particular.
    #[default]
    None,
    /// From the Request-URI.
    RequestUri,
    /// From the first value of a header. A request without it, or with one that can't be read, names nobody.
    Header(HeaderText),
    /// From the configuration.
    Fixed(Uri),
}

/// The name of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderText {
    name: HeaderName,
    text: Box<str>,
}

impl SubscriberUri {
    /// That of the header of this name; `None` when it is none of a header.
    pub fn header(name: &str) -> Option<SubscriberUri> {
        // A header's name is a token, as a method is (RFC 3261 §25.1).
        Method::parse(name)?;
        Some(SubscriberUri::Header(HeaderText { name: HeaderName::lookup(name), text: name.into() }))
    }

    /// The subscriber of this request.
    pub fn of(&self, request: &Request) -> Option<Uri> {
        match self {
            SubscriberUri::None => None,
            SubscriberUri::RequestUri => Some(Uri::from(request.uri())),
            SubscriberUri::Header(header) => uri_in(header.first(request.headers())?),
            SubscriberUri::Fixed(uri) => Some(uri.clone()),
        }
    }
}

impl HeaderText {
    fn first<'h>(&'h self, headers: &'h Headers) -> Option<&'h str> {
        match self.name {
            HeaderName::Extension => headers.extension(&self.text).next(),
            known => headers.first(known),
        }
    }
}

fn uri_in(value: &str) -> Option<Uri> {
    Some(Uri::from(NameAddr::parse(value).ok()?.uri()))
}

impl FromStr for SubscriberUri {
    type Err = NoSubscriber;

    fn from_str(text: &str) -> Result<SubscriberUri, NoSubscriber> {
        let found = match text {
            "request.uri" => Some(SubscriberUri::RequestUri),
            "request.from" => SubscriberUri::header("From"),
            "request.to" => SubscriberUri::header("To"),
            text if text.contains(':') => Uri::parse(text).ok().map(SubscriberUri::Fixed),
            // `request.form` was meant to be one of the above.
            text if text.starts_with("request.") => None,
            text => SubscriberUri::header(text),
        };
        found.ok_or_else(|| NoSubscriber(text.into()))
    }
}

/// A text that names no subscriber. The deployer's mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSubscriber(Box<str>);

impl std::fmt::Display for NoSubscriber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let found = self.0.escape_debug();
        write!(f, "expected request.uri, request.from, request.to, a header's name or a URI, found \"{found}\"")
    }
}

impl std::error::Error for NoSubscriber {}

impl<'de> serde::Deserialize<'de> for SubscriberUri {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<SubscriberUri, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use sip_message::UriBuf;

    use super::*;

    fn request() -> Request {
        let mut request = Request::new(Method::Invite, &UriBuf::parse("sip:bob@example.org").unwrap());
        let headers = request.headers_mut();
        headers.push(HeaderName::From, "\"Alice, A.\" <sip:alice@example.com;x=1>;tag=1").unwrap();
        headers.push(HeaderName::To, "tel:+1-555-0100").unwrap();
        headers.push(HeaderName::PAssertedIdentity, "<sip:a@example.com>, <tel:+1>").unwrap();
        headers.push_extension("X-Payer", "<sip:payer@example.com>;q=1").unwrap();
        headers.push_extension("X-Broken", "nobody at all").unwrap();
        request
    }

    fn subscriber(text: &str) -> Option<String> {
        text.parse::<SubscriberUri>().unwrap().of(&request()).map(|uri| uri.to_string())
    }

    #[test]
    fn a_subscriber_is_the_uri_of_a_header_without_the_headers_parameters() {
        assert_eq!(subscriber("request.from").unwrap(), "sip:alice@example.com;x=1");
        assert_eq!(subscriber("from").unwrap(), "sip:alice@example.com;x=1");
        assert_eq!(subscriber("request.to").unwrap(), "tel:+1-555-0100");
        assert_eq!(subscriber("P-Asserted-Identity").unwrap(), "sip:a@example.com");
        assert_eq!(subscriber("x-payer").unwrap(), "sip:payer@example.com");
    }

    #[test]
    fn a_subscriber_is_the_request_uri_or_always_the_same() {
        assert_eq!(subscriber("request.uri").unwrap(), "sip:bob@example.org");
        assert_eq!(subscriber("sip:shop@example.com").unwrap(), "sip:shop@example.com");
    }

    #[test]
    fn a_header_that_is_missing_or_unreadable_names_nobody() {
        assert_eq!(subscriber("Diversion"), None);
        assert_eq!(subscriber("X-Broken"), None);
        assert_eq!(SubscriberUri::None.of(&request()), None);
    }

    #[test]
    fn what_names_no_subscriber_is_refused() {
        for text in ["", "request.form", "two words", "sip:", "1:2:3"] {
            assert!(text.parse::<SubscriberUri>().is_err(), "{text}");
        }
    }
}
