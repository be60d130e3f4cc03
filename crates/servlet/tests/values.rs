//! The values that applications hold: whatever is set is read back or refused, and nothing ever ends a line.

use std::time::Duration;

use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use servlet::{
    Address, IllegalValue, Parameterable, ServletParseError, SipUri, TelUrl, Uri, merge_contact, merge_party,
};
use sip_message::{HeaderName, Headers, NameAddr, TypedHeader, UriBuf, header};

fn address(text: &str) -> Address {
    Address::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn uri(text: &str) -> Uri {
    Uri::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

// URIs

#[test]
fn a_uri_knows_its_scheme() {
    for (text, scheme, sip) in [
        ("SIP:a@b", "sip", true),
        ("sips:a@b", "sips", true),
        ("TEL:+1", "tel", false),
        ("http://a/b;c=d", "http", false),
    ] {
        let uri = uri(text);
        assert_eq!((uri.scheme(), uri.is_sip_uri(), uri.to_string().as_str()), (scheme, sip, text));
        assert_eq!(uri.as_sip().is_some(), sip);
    }
    assert_eq!(SipUri::parse("http://a"), Err(ServletParseError::Scheme { expected: "sip or sips" }));
    assert!(TelUrl::parse("sip:a@b").is_err());
}

#[test]
fn parameters_of_sip_and_tel_uris_are_set_read_and_removed() {
    for text in ["sip:a@b", "tel:+1"] {
        let mut uri = uri(text);
        uri.set_parameter("x", "a b;c").unwrap();
        uri.set_parameter("flag", "").unwrap();
        assert_eq!(uri.to_string(), format!("{text};x=a%20b%3Bc;flag"));
        assert_eq!((uri.parameter("X").as_deref(), uri.parameter("flag").as_deref()), (Some("a b;c"), Some("")));
        assert_eq!(uri.parameter_names().collect::<Vec<_>>(), ["x", "flag"]);
        uri.set_parameter("x", None).unwrap();
        uri.remove_parameter("FLAG");
        uri.remove_parameter("absent");
        assert_eq!((uri.to_string().as_str(), uri.parameter("x")), (text, None));
    }
    let mut other = uri("urn:service:sos");
    assert!(matches!(other.set_parameter("x", "y"), Err(IllegalValue::Uri(_))));
    other.remove_parameter("x");
    assert_eq!((other.parameter("x"), other.parameter_names().count()), (None, 0));
}

/// RFC 3261 §19.1.4, RFC 3966 §4.
#[test]
fn uris_are_equal_by_the_rules_of_their_scheme() {
    assert_eq!(uri("sip:carol@chicago.com;newparam=5"), uri("sip:carol@chicago.com;security=on"));
    assert_ne!(uri("sip:carol@chicago.com;security=off"), uri("sip:carol@chicago.com;security=on"));
    assert_eq!(uri("tel:+1-201-555-0123"), uri("TEL:+1(201)555.0123"));
    assert_ne!(uri("tel:+1;x=y"), uri("tel:+1"));
    assert_eq!(uri("HTTP://a/%62"), uri("http://a/b"));
    assert_ne!(uri("sip:+1@a;user=phone"), uri("tel:+1"));
}

#[test]
fn a_uri_goes_to_messages_and_comes_back_as_it_is() {
    for text in ["sip:%61@b;x?y=z", "tel:+1;ext=2", "urn:a:b"] {
        let buf = UriBuf::parse(text).unwrap();
        let from_view = Uri::from(buf.as_uri());
        assert_eq!(from_view.as_message_uri(), buf.as_uri());
        assert_eq!(Uri::from_uri_buf(buf.clone()).into_uri_buf(), buf);
        assert_eq!(Uri::from(&buf).to_uri_buf(), buf);
        assert_eq!(AsRef::<UriBuf>::as_ref(&from_view), &buf);
    }
    let sip: SipUri = uri("sip:a@b").try_into().unwrap();
    assert_eq!(Uri::from(sip.clone()).as_sip(), Some(&sip));
    assert!(TelUrl::try_from(uri("sip:a@b")).is_err());
    assert_eq!(uri("SIP:%61@B;x=y").address_of_record(), "sip:a@b");
}

// Addresses

/// RFC 3261 §20.10.
#[test]
fn an_address_is_read_changed_and_printed() {
    let mut contact = address("\"Mr. Watson\" <sip:watson@worcester.bell-telephone.com> ;q=0.7; expires=3600");
    assert_eq!(contact.display_name().as_deref(), Some("Mr. Watson"));
    assert_eq!((contact.q(), contact.expires()), (Some(0.7), Some(Duration::from_secs(3600))));
    contact.set_display_name(None).unwrap();
    contact.set_q(1.0).unwrap();
    contact.set_expires(None).unwrap();
    contact.set_uri(SipUri::new("bell", "example.com").unwrap());
    contact.set_parameter("+sip.instance", "<urn:uuid:1>").unwrap();
    contact.set_parameter("audio", "").unwrap();
    assert_eq!(contact.to_string(), "<sip:bell@example.com>;q=1;+sip.instance=\"<urn:uuid:1>\";audio");
    assert_eq!(contact.parameter("+SIP.instance").as_deref(), Some("<urn:uuid:1>"));
    assert_eq!(contact.parameter_names().collect::<Vec<_>>(), ["q", "+sip.instance", "audio"]);
    assert_eq!(contact.parameters().count(), 3);
    contact.set_value("\"A\" <sip:a@b;lr>").unwrap();
    assert_eq!((contact.value().as_str(), contact.q()), ("\"A\" <sip:a@b;lr>", Some(1.0)));
    if let Some(Uri::Sip(uri)) = contact.uri_mut() {
        uri.set_lr_param(false);
    }
    assert!(contact.to_string().starts_with("\"A\" <sip:a@b>;q=1;"));
}

/// RFC 3261 §20: without `<>` they are the header's.
#[test]
fn parameters_within_brackets_are_the_uris() {
    let (within, without) = (address("<sip:a@b;x=y>"), address("sip:a@b;x=y"));
    assert_eq!((within.parameter("x"), within.uri().unwrap().parameter("x").as_deref()), (None, Some("y")));
    assert_eq!((without.parameter("x").as_deref(), without.uri().unwrap().parameter("x")), (Some("y"), None));
    assert_eq!(without.to_string(), "<sip:a@b>;x=y");
}

#[test]
fn a_preference_lies_between_0_and_1() {
    let mut contact = address("<sip:a@b>");
    assert_eq!((contact.q(), contact.preference()), (None, header::QValue::ONE));
    for q in [-1.0, -0.001, 1.001, 2.0, f32::NAN, f32::INFINITY] {
        assert_eq!(contact.set_q(q), Err(IllegalValue::PreferenceOutOfRange), "{q}");
    }
    for thousandths in 0..=1000u16 {
        let q = f32::from(thousandths) / 1000.0;
        contact.set_q(q).unwrap();
        assert_eq!((contact.q(), contact.preference().thousandths()), (Some(q), thousandths));
    }
    contact.set_q(None).unwrap();
    assert_eq!(contact.to_string(), "<sip:a@b>");
    assert_eq!(address("<sip:a@b>;q=7").q(), None);
}

#[test]
fn a_lifetime_is_whole_seconds_that_fit_the_grammar() {
    let mut contact = address("<sip:a@b>");
    contact.set_expires(Duration::from_millis(1999)).unwrap();
    assert_eq!(contact.expires(), Some(Duration::from_secs(1)));
    contact.set_expires(Duration::MAX).unwrap();
    assert_eq!(contact.parameter("expires").as_deref(), Some("4294967295"));
    for text in ["-1", "+1", "4294967296", "1.5", "soon"] {
        assert!(contact.set_parameter("expires", text).is_err(), "{text}");
        assert_eq!(address(&format!("<sip:a@b>;expires={text}")).expires(), None, "{text}");
    }
}

/// RFC 3261 §10.2.2, §25.1: `*` stands alone.
#[test]
fn a_wildcard_has_nothing_but_itself() {
    let mut all = address(" * ");
    assert!(all.is_wildcard() && all.uri().is_none() && all.to_name_addr_buf().is_none());
    assert_eq!(all.set_display_name("A"), Err(IllegalValue::Wildcard));
    assert_eq!(all.set_parameter("expires", "0"), Err(IllegalValue::Wildcard));
    assert_eq!(all.set_q(1.0), Err(IllegalValue::Wildcard));
    assert_eq!(all.set_expires(Duration::ZERO), Err(IllegalValue::Wildcard));
    assert_eq!((all.to_string().as_str(), all.value().as_str()), ("*", "*"));
    assert_eq!(all, Address::wildcard());
    assert_ne!(all, address("<sip:a@b>"));
    assert_eq!(address("<sip:a@b>;q=1").set_value("*"), Err(IllegalValue::Wildcard));
    all.set_uri(uri("sip:a@b"));
    assert_eq!(all.to_string(), "<sip:a@b>");
    assert!(!address("* <sip:a@b>").is_wildcard());
}

#[test]
fn a_tag_is_a_token_and_stays_with_its_dialog() {
    let mut from = address("Alice <sip:alice@example.com>;tag=88sja8x;x=y");
    assert_eq!(from.clone().tag().as_deref(), Some("88sja8x"));
    assert_eq!(from.without_tag().to_string(), "Alice <sip:alice@example.com>;x=y");
    for tag in ["", "a b", "a:b", "\"a\""] {
        assert!(from.set_parameter("Tag", tag).is_err(), "{tag:?}");
    }
    assert_eq!(from.tag().as_deref(), Some("88sja8x"));
    for text in ["<sip:a@b>;tag", "<sip:a@b>;tag=\"x\"", "<sip:a@b>;tag=a:b"] {
        assert!(Address::parse(text).is_err(), "{text}");
    }
}

/// RFC 3261 §20.20: "parameters in one header field, not present in the other are ignored"; neither display names nor
/// angle brackets affect matching.
#[test]
fn addresses_are_equal_by_uri_and_the_parameters_that_both_have() {
    assert_eq!(address("\"A\" <sip:a@H>;x=Y"), address("B <sip:%61@h>;X=y"));
    assert_eq!(address("sip:a@h;x=y"), address("<sip:a@h>"));
    assert_ne!(address("<sip:a@h>;x=y"), address("<sip:a@h>;x=z"));
    assert_ne!(address("<sip:a@h>;tag=1"), address("<sip:a@h>"));
    assert_ne!(address("<sip:a@h>"), address("<sip:a@h:5060>"));
}

#[test]
fn an_address_goes_to_messages_and_comes_back_as_it_is() {
    for text in ["\"A\" <sip:a@b;lr>;tag=1", "A B <tel:+1>", "<urn:a:b>;x=\"y z\""] {
        let read = NameAddr::parse(text).unwrap();
        let mine = Address::from(&read);
        assert_eq!(mine.to_string(), text);
        assert_eq!(mine.to_name_addr_buf(), Some(read.to_buf()));
        assert_eq!(Address::from(&read.to_buf()), mine);
        assert_eq!(mine.to_parameterable().to_string(), text);
    }
    assert!(Address::from(&header::Contact::parse("*").unwrap()).is_wildcard());
}

// Snapshots

#[test]
fn values_are_written_down_as_their_text() {
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Attributes {
        uri: Uri,
        sip: SipUri,
        tel: TelUrl,
        address: Address,
        all: Address,
        event: Parameterable,
        challenge: Parameterable,
    }
    let attributes = Attributes {
        uri: uri("urn:a:b"),
        sip: SipUri::parse("sip:a@b;lr").unwrap(),
        tel: TelUrl::parse("tel:7;phone-context=a.b").unwrap(),
        address: address("\"A\" <sip:a@b>;tag=1"),
        all: Address::wildcard(),
        event: Parameterable::parse("dialog;id=7").unwrap(),
        challenge: Parameterable::parse("Digest realm=\"a\", nonce=\"b\"").unwrap(),
    };
    let json = serde_json::to_string(&attributes).unwrap();
    assert!(json.contains(r#""sip":"sip:a@b;lr""#), "{json}");
    assert_eq!(serde_json::from_str::<Attributes>(&json).unwrap(), attributes);
    let octets = postcard::to_stdvec(&attributes).unwrap();
    let read: Attributes = postcard::from_bytes(&octets).unwrap();
    assert_eq!(read.challenge.to_string(), attributes.challenge.to_string());
    assert_eq!(read, attributes);
}

#[test]
fn what_is_no_value_is_not_read_from_a_snapshot() {
    fn refused<T: DeserializeOwned>(text: &str) -> bool {
        serde_json::from_value::<T>(serde_json::Value::String(text.to_owned())).is_err()
    }
    assert!(refused::<Uri>("sip:a b@c"));
    assert!(refused::<SipUri>("tel:+1"));
    assert!(refused::<Address>("<sip:a@b>\r\nVia: x"));
    assert!(refused::<Parameterable>("a;b\r\nVia: x"));
}

// Whatever a caller sets

/// Strings that break what is careless: separators of every level, controls, escapes, other scripts.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        "(?s).{0,16}",
        "[a-z0-9;,=<>?&%@:\"\\\\ \t\r\n\0()\\[\\]*+é-]{0,16}",
        Just("x\r\nVia: SIP/2.0/UDP evil".to_owned()),
        "[a-z0-9.+-]{1,8}",
    ]
}

/// The value is one line, and one field with one value when it stands in a message.
fn is_one_value(value: &str) -> Result<(), TestCaseError> {
    prop_assert!(!value.contains(['\r', '\n']), "{value:?}");
    let mut headers = Headers::new();
    headers.push(HeaderName::Contact, value).map_err(|e| TestCaseError::fail(format!("{value:?}: {e}")))?;
    prop_assert_eq!(headers.values(HeaderName::Contact).collect::<Vec<_>>(), vec![value]);
    Ok(())
}

fn same_after_printing<T>(value: &T) -> Result<(), TestCaseError>
where
    T: PartialEq + std::fmt::Debug + std::fmt::Display + std::str::FromStr,
    T::Err: std::fmt::Debug,
{
    let text = value.to_string();
    let read: T = text.parse().map_err(|e| TestCaseError::fail(format!("{text:?}: {e:?}")))?;
    prop_assert_eq!(&read, value);
    prop_assert_eq!(read.to_string(), text);
    Ok(())
}

/// What may be a telephone number, or its context.
fn telephonic() -> impl Strategy<Value = String> {
    prop_oneof![hostile(), "[+]?[0-9().-]{1,8}", "[a-z]{1,3}\\.[a-z]{1,3}"]
}

/// A parameter of a URI that the container owns, or one that it doesn't.
fn parameter_name() -> impl Strategy<Value = String> {
    prop_oneof!["(method|maddr|ttl|lr|%6C%72|Transport|tr%61nsport|user|AT|%61t)", "[a-z%0-9-]{1,8}"]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_set_in_a_sip_uri_is_read_back_or_refused(a in hostile(), b in hostile(), port: Option<u16>) {
        let mut uri = SipUri::parse("sips:u:p@h.example:1;x=1?q=r").unwrap();
        uri.set_port(port);
        prop_assert_eq!(uri.port(), port);
        if uri.set_user(&*a).is_ok() {
            prop_assert_eq!(uri.user(), Some(a.clone()));
            if uri.set_user_password(&*b).is_ok() {
                prop_assert_eq!(uri.user_password(), Some(b.clone()));
            }
            prop_assert_eq!(uri.user(), Some(a.clone()));
        }
        if uri.set_host(&a).is_ok() {
            let host = uri.host();
            prop_assert!(host.bytes().all(|o| o.is_ascii_alphanumeric() || b".-_[]:".contains(&o)));
        }
        if uri.set_parameter(&a, &*b).is_ok() {
            prop_assert_eq!(uri.parameter(&a), Some(b.clone()));
        }
        if uri.set_transport_param(&*b).is_ok() {
            prop_assert_eq!(uri.transport_param(), Some(b.clone()));
        }
        let _ = (uri.set_maddr_param(&*b), uri.set_method_param(&*a), uri.set_user_param(&*a));
        if uri.set_header(&a, &b).is_ok() {
            prop_assert_eq!(uri.header(&a), Some(b.clone()));
        }
        same_after_printing(&uri)?;
        is_one_value(&format!("<{uri}>"))?;
        uri.remove_parameter(&a);
        uri.remove_header(&a);
        prop_assert_eq!((uri.parameter(&a), uri.header(&a)), (None, None));
        same_after_printing(&uri)?;
        same_after_printing(&Uri::from(uri))?;
    }

    #[test]
    fn whatever_is_set_in_a_tel_url_is_read_back_or_refused(a in telephonic(), b in telephonic()) {
        let mut number = TelUrl::parse("tel:+1;ext=2").unwrap();
        if number.set_phone_number(&a).is_ok() {
            prop_assert_eq!(number.phone_number(), a.strip_prefix('+').unwrap_or(&a));
        }
        if number.set_local_number(&a, &b).is_ok() {
            prop_assert_eq!((number.phone_number(), number.phone_context()), (a.clone(), Some(b.clone())));
        }
        if number.set_parameter(&a, &*b).is_ok() {
            prop_assert_eq!(number.parameter(&a), Some(b.clone()));
        }
        same_after_printing(&number)?;
        is_one_value(&format!("<{number}>"))?;
    }

    #[test]
    fn whatever_is_set_in_an_address_is_read_back_or_refused(a in hostile(), b in hostile(), q: f32) {
        let mut address = Address::parse("A <sip:a@b>;tag=1").unwrap();
        if address.set_display_name(&*a).is_ok() {
            prop_assert_eq!(address.display_name(), Some(a.clone()).filter(|name| !name.is_empty()));
        }
        if address.set_parameter(&a, &*b).is_ok() {
            prop_assert_eq!(address.parameter(&a), Some(b.clone()));
        }
        let _ = (address.set_value(&b), address.set_q(q), address.set_parameter("tag", &*b));
        if address.is_wildcard() {
            return Ok(());
        }
        same_after_printing(&address)?;
        is_one_value(&address.to_string())?;
        let text = address.to_string();
        prop_assert!(header::From::parse(&text).is_ok() && header::To::parse(&text).is_ok(), "{}", text);
        prop_assert!(header::Contact::parse(&text).is_ok(), "{}", text);
    }

    #[test]
    fn whatever_is_set_in_a_parameterable_is_read_back_or_refused(a in hostile(), b in hostile(), credentials: bool) {
        let text = if credentials { "Digest realm=\"a\", nc=1" } else { "value;realm=\"a\";nc=1" };
        let mut value = Parameterable::parse(text).unwrap();
        if value.set_value(&a).is_ok() {
            prop_assert_eq!(value.value(), &*a);
        }
        for name in [&*a, "realm", "nc", "new"] {
            if value.set_parameter(name, &*b).is_ok() {
                prop_assert_eq!(value.parameter(name), Some(b.clone()));
            }
        }
        prop_assert!(!value.to_string().contains(['\r', '\n', '\0']));
        same_after_printing(&value)?;
        if !credentials {
            is_one_value(&value.to_string())?;
        }
    }

    #[test]
    fn any_text_is_refused_or_printed_as_what_reads_the_same(text in hostile(), tail in hostile()) {
        for text in [text.clone(), format!("sip:{text}@{tail}"), format!("<sip:a@b>;{text}={tail}"), format!("x {text}=\"{tail}\"")] {
            if let Ok(uri) = Uri::parse(&text) {
                same_after_printing(&uri)?;
            }
            if let Ok(address) = Address::parse(&text) {
                same_after_printing(&address)?;
                prop_assert!(!address.to_string().contains(['\r', '\n']));
            }
            if let Ok(mut value) = Parameterable::parse(&text) {
                same_after_printing(&value)?;
                prop_assert!(!value.to_string().contains(['\r', '\n']));
                let names: Vec<String> = value.parameter_names().collect();
                for name in names {
                    value.remove_parameter(&name);
                    same_after_printing(&value)?;
                }
            }
        }
    }

    #[test]
    fn whatever_is_wished_a_contact_leads_where_the_container_wants(
        user in "[a-z%0-9;?]{1,5}",
        host in "[a-z]{1,5}(:[0-9]{1,4})?",
        name in parameter_name(),
        value in "[a-z0-9%.]{1,9}",
    ) {
        let ours = Address::parse("<sip:192.0.2.1:5062;transport=tcp;at=home>").unwrap();
        let wish = format!("<sips:{user}@{host};{name}={value}?a=b>;x=\"{value}\"");
        let Ok(wish) = Address::parse(&wish) else { return Ok(()) };
        let merged = merge_contact(&ours, &wish);
        let uri = merged.uri().and_then(Uri::as_sip).unwrap();
        prop_assert_eq!((uri.host(), uri.port(), uri.secure()), ("192.0.2.1".to_owned(), Some(5062), false));
        prop_assert_eq!(uri.transport_param(), Some("tcp".to_owned()));
        prop_assert_eq!(uri.parameter("at"), Some("home".to_owned()));
        prop_assert_eq!((uri.maddr_param(), uri.method_param(), uri.ttl_param(), uri.lr_param()), (None, None, None, false));
        is_one_value(&merged.to_string())?;
        is_one_value(&merge_party(&ours, &wish).to_string())?;
    }
}
