//! The rule language of servlet mappings, JSR 289 §16.2: what a rule says of a request, and how it is written in TOML.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

use bytes::Bytes;
use container::routing::rules::{MAX_DEPTH, PathError, Rule, UriPart, Variable};
use proptest::prelude::*;
use sip_message::{Limits, Message, Request, parse_datagram};

const FROM: &str = "\"Alice (Home)\" <sip:alice@atlanta.example.com;x=1>;tag=1928301774";
const TO: &str = "Bob <sip:bob@biloxi.example.com>";

fn request(method: &str, uri: &str, from: &str, to: &str) -> Request {
    let text = format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK776\r\nMax-Forwards: 70\r\n\
         From: {from}\r\nTo: {to}\r\nCall-ID: a84b4c76e66710\r\nCSeq: 314159 {method}\r\nContent-Length: 0\r\n\r\n"
    );
    match parse_datagram(Bytes::from(text), &Limits::default()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

fn to(uri: &str) -> Request {
    request("INVITE", uri, FROM, TO)
}

fn var(path: &str) -> Variable {
    Variable::parse(path).unwrap_or_else(|e| panic!("{e}"))
}

fn equal(path: &str, value: &str) -> Rule {
    Rule::Equal { var: var(path), value: value.to_owned(), ignore_case: false }
}

fn contains(path: &str, value: &str) -> Rule {
    Rule::Contains { var: var(path), value: value.to_owned(), ignore_case: false }
}

fn ignoring_case(rule: Rule) -> Rule {
    match rule {
        Rule::Equal { var, value, .. } => Rule::Equal { var, value, ignore_case: true },
        Rule::Contains { var, value, .. } => Rule::Contains { var, value, ignore_case: true },
        other => other,
    }
}

fn exists(path: &str) -> Rule {
    Rule::Exists { var: var(path) }
}

fn subdomain(path: &str, value: &str) -> Rule {
    Rule::SubdomainOf { var: var(path), value: value.to_owned() }
}

#[track_caller]
fn holds(rule: Rule, request: &Request) {
    assert!(rule.matches(request), "{rule:?} on {request:?}");
}

#[track_caller]
fn fails(rule: Rule, request: &Request) {
    assert!(!rule.matches(request), "{rule:?} on {request:?}");
}

#[test]
fn every_part_of_a_request_has_a_path() {
    let request = request(
        "INVITE",
        "sips:bob:secret@biloxi.example.com:5071;transport=tcp;lr",
        FROM,
        "\"Bob \\\"B\\\"\" <tel:+1-201-555-0123;x=y>",
    );
    for (path, value) in [
        ("request.method", "INVITE"),
        ("request.uri", "sips:bob:secret@biloxi.example.com:5071;transport=tcp;lr"),
        ("request.uri.scheme", "sips"),
        ("request.uri.user", "bob"),
        ("request.uri.host", "biloxi.example.com"),
        ("request.uri.port", "5071"),
        ("request.uri.param.transport", "tcp"),
        ("request.uri.param.TRANSPORT", "tcp"),
        ("request.uri.param.lr", ""),
        ("request.from", FROM),
        ("request.from.display-name", "Alice (Home)"),
        ("request.from.uri", "sip:alice@atlanta.example.com;x=1"),
        ("request.from.uri.user", "alice"),
        ("request.from.uri.port", "5060"),
        ("request.from.uri.param.x", "1"),
        ("request.to.display-name", "Bob \"B\""),
        ("request.to.uri.scheme", "tel"),
        ("request.to.uri.tel", "+12015550123"),
        ("request.to.uri.param.x", "y"),
    ] {
        holds(equal(path, value), &request);
        holds(exists(path), &request);
        assert_eq!(var(path).to_string(), path);
    }
}

#[test]
fn what_a_request_does_not_have_meets_no_condition_but_a_negated_one() {
    let plain = request("OPTIONS", "sip:example.com", "<sip:a@b>;tag=1", "<urn:service:sos>");
    for path in [
        "request.uri.user",
        "request.uri.tel",
        "request.uri.param.lr",
        "request.from.display-name",
        "request.from.uri.param.tag",
        "request.to.uri.user",
        "request.to.uri.host",
        "request.to.uri.port",
        "request.to.uri.tel",
        "request.to.uri.param.x",
    ] {
        fails(exists(path), &plain);
        fails(equal(path, ""), &plain);
        fails(contains(path, ""), &plain);
        fails(subdomain(path, ""), &plain);
        holds(Rule::Not(Box::new(exists(path))), &plain);
    }
    holds(equal("request.to.uri.scheme", "urn"), &plain);
    fails(exists("request.from"), &Request::new(sip_message::Method::Invite, &"sip:a@b".parse().unwrap()));
}

#[test]
fn a_scheme_has_no_case_and_a_user_no_escapes() {
    holds(equal("request.uri.scheme", "sips"), &to("SIPS:a@b.example.com"));
    holds(equal("request.to.uri.scheme", "http"), &request("INVITE", "sip:a@b", FROM, "<HTTP://b.example.com/>"));
    holds(equal("request.uri.user", "j@s0n"), &to("sip:j%40s0n@example.com"));
}

#[test]
fn a_port_that_is_not_written_is_that_of_the_transport() {
    for (uri, port) in [
        ("sip:b.example.com", "5060"),
        ("sip:b.example.com;transport=tcp", "5060"),
        ("sip:b.example.com;transport=TLS", "5061"),
        ("sips:b.example.com", "5061"),
        ("sips:b.example.com:5060", "5060"),
    ] {
        holds(equal("request.uri.port", port), &to(uri));
    }
    for value in ["", "+5060", "5061", "506", "5060 "] {
        fails(equal("request.uri.port", value), &to("sip:b.example.com"));
    }
    holds(contains("request.uri.port", "06"), &to("sip:b.example.com"));
}

#[test]
fn a_number_is_that_of_a_tel_uri_or_of_a_sip_uri_with_user_phone() {
    let tel = "request.uri.tel";
    for uri in [
        "tel:+1-212-555-1212",
        "sip:+1-212-555-1212@gw.example.com;user=phone",
        "sip:+1(212)555.1212;ext=7@gw.example.com;user=PHONE",
    ] {
        holds(equal(tel, "+12125551212"), &to(uri));
        holds(equal(tel, "12125551212"), &to(uri));
        holds(contains(tel, "2555"), &to(uri));
        holds(subdomain(tel, "1212555"), &to(uri));
        holds(subdomain(tel, "+1212"), &to(uri));
        fails(equal(tel, "1212555121"), &to(uri));
        fails(equal(tel, "121255512123"), &to(uri));
        fails(subdomain(tel, "212"), &to(uri));
        fails(contains(tel, "999"), &to(uri));
    }
    fails(exists(tel), &to("sip:+12125551212@gw.example.com"));
    fails(exists(tel), &to("sip:+12125551212@gw.example.com;user=ip"));
    // A local number is no global one.
    let local = to("tel:1212;phone-context=example.com");
    holds(equal(tel, "1212"), &local);
    fails(equal(tel, "+1212"), &local);
    holds(equal(tel, "7a#"), &to("tel:7A#;phone-context=example.com"));
}

#[test]
fn case_is_regarded_unless_the_rule_says_otherwise() {
    let invite = to("sip:Bob@Biloxi.Example.com");
    fails(equal("request.uri.user", "bob"), &invite);
    holds(ignoring_case(equal("request.uri.user", "bOB")), &invite);
    fails(equal("request.uri.host", "biloxi.example.com"), &invite);
    holds(ignoring_case(equal("request.uri.host", "biloxi.example.com")), &invite);
    fails(contains("request.from.display-name", "HOME"), &invite);
    holds(ignoring_case(contains("request.from.display-name", "HOME")), &invite);
    fails(ignoring_case(contains("request.from.display-name", "HOMES")), &invite);
    let named = request("INVITE", "sip:a@b", "\"ÄRGER Ж\" <sip:a@b>;tag=1", TO);
    holds(ignoring_case(equal("request.from.display-name", "ärger ж")), &named);
    holds(ignoring_case(contains("request.from.display-name", "ger Ж")), &named);
}

#[test]
fn a_subdomain_starts_behind_a_dot() {
    let host = "request.uri.host";
    for (uri, domain) in [
        ("sip:a@example.com", "example.com"),
        ("sip:a@research.example.com", "example.com"),
        ("sip:a@a.b.EXAMPLE.com", "Example.COM"),
        ("sip:a@research.example.com.", "example.com"),
        ("sip:a@research.example.com", "example.com."),
        ("sip:a@192.0.2.4", "192.0.2.4"),
        ("sip:a@[2001:db8::10]", "2001:db8:0::10"),
        ("sip:a@[2001:db8::10]", "[2001:DB8::10]"),
    ] {
        holds(subdomain(host, domain), &to(uri));
    }
    for (uri, domain) in [
        ("sip:a@badexample.com", "example.com"),
        ("sip:a@com", "example.com"),
        ("sip:a@example.com", "research.example.com"),
        ("sip:a@example.com", ""),
        ("sip:a@example.com", "."),
        ("sip:a@example.com", ".com"),
        ("sip:a@192.0.2.4", "2.4"),
        ("sip:a@192.0.2.4", "0.2.4"),
    ] {
        fails(subdomain(host, domain), &to(uri));
    }
}

#[test]
fn an_address_is_the_same_however_it_is_written() {
    let invite = to("sip:a@[2001:DB8:0::10]");
    holds(equal("request.uri.host", "[2001:db8::10]"), &invite);
    holds(equal("request.uri.host", "2001:db8::10"), &invite);
    holds(contains("request.uri.host", "[2001:db8:"), &invite);
    fails(equal("request.uri.host", "2001:db8::1"), &invite);
    fails(equal("request.uri.host", "[2001:db8::10"), &invite);
}

#[test]
fn conditions_are_combined() {
    let invite = to("sip:echo@example.com");
    let yes = || equal("request.method", "INVITE");
    let no = || equal("request.method", "BYE");
    holds(Rule::And(vec![yes(), yes()]), &invite);
    fails(Rule::And(vec![yes(), no()]), &invite);
    holds(Rule::Or(vec![no(), yes()]), &invite);
    fails(Rule::Or(vec![no(), no()]), &invite);
    holds(Rule::Not(Box::new(no())), &invite);
    fails(Rule::Not(Box::new(Rule::Or(vec![no(), yes()]))), &invite);
}

#[test]
fn a_path_that_leads_nowhere_is_refused_and_the_others_are_named() {
    for path in [
        "",
        "request",
        "request.",
        "request.method.",
        "request.method.x",
        "request.Method",
        "request.uri.",
        "request.uri.tag",
        "request.uri.display-name",
        "request.uri.host.name",
        "request.uri.param",
        "request.uri.param.",
        "request.uri.param.a b",
        "request.uri.param.a;b",
        "request.uri.param.a=b",
        "request.from.tag",
        "request.from.user",
        "request.to.display-name.x",
        "request.cc",
        "response.status",
        " request.method",
    ] {
        let error = Variable::parse(path).unwrap_err();
        assert_eq!(error, PathError { path: path.to_owned() });
        let text = error.to_string();
        assert!(text.contains(&format!("`{path}`")) && text.contains("request.from.display-name"), "{text}");
    }
    assert_eq!(var("request.uri.param.a.b"), Variable::RequestUri(UriPart::Param("a.b".into())));
}

#[derive(Debug, serde::Deserialize)]
struct Config {
    rule: Rule,
}

fn toml(text: &str) -> Result<Rule, String> {
    toml::from_str::<Config>(text).map(|config| config.rule).map_err(|e| e.to_string())
}

#[test]
fn a_rule_is_written_as_a_toml_table() {
    let text = r#"rule = { and = [
        { equal = { var = "request.method", value = "INVITE" } },
        { not = { exists = { var = "request.to.uri.param.tag" } } },
        { or = [
            { contains = { var = "request.from.display-name", value = "home", ignore_case = true } },
            { subdomain_of = { var = "request.uri.host", value = "example.com" } },
        ] },
    ] }"#;
    let rule = toml(text).unwrap();
    let expected = Rule::And(vec![
        equal("request.method", "INVITE"),
        Rule::Not(Box::new(exists("request.to.uri.param.tag"))),
        Rule::Or(vec![
            ignoring_case(contains("request.from.display-name", "home")),
            subdomain("request.uri.host", "example.com"),
        ]),
    ]);
    assert_eq!(rule, expected);
    assert_eq!(rule.depth(), 3);
    holds(rule, &to("sip:bob@elsewhere.example.org"));
}

#[test]
fn a_rule_that_means_nothing_is_refused_with_its_line() {
    for (text, why) in [
        ("rule = { and = [] }", "at least one condition"),
        ("rule = { nand = [] }", "unknown variant `nand`"),
        ("rule = { exists = { var = \"request.cc\" } }", "request.from.display-name"),
        ("rule = { exists = { var = \"request.uri\", value = \"x\" } }", "unexpected keys in table: value"),
        ("rule = { equal = { var = \"request.uri\" } }", "missing field `value`"),
        (
            "rule = { equal = { var = \"request.uri\", value = \"x\", ignore-case = true } }",
            "unexpected keys in table: ignore-case",
        ),
        ("rule = { exists = { var = \"request.uri\" }, not = { exists = { var = \"request.uri\" } } }", ""),
        ("rule = \"request.uri\"", ""),
    ] {
        let error = toml(text).unwrap_err();
        assert!(error.contains(why) && error.contains("line 1"), "{text}: {error}");
    }
}

#[test]
fn conditions_lie_in_each_other_only_so_deep() {
    let nested = |depth: usize| {
        let (front, back) = ("{ not = ".repeat(depth - 1), " }".repeat(depth - 1));
        toml(&format!("rule = {front}{{ exists = {{ var = \"request.uri\" }} }}{back}"))
    };
    assert_eq!(nested(MAX_DEPTH).unwrap().depth(), MAX_DEPTH);
    assert!(nested(MAX_DEPTH + 1).unwrap_err().contains("deep"));
    assert!(nested(20_000).is_err());
    assert!(toml(&format!("[{}rule]", "rule.not.".repeat(20_000))).is_err());
}

proptest! {
    /// Whatever a path and a value are, a rule answers.
    #[test]
    fn no_rule_panics(
        path in "request\\.(method|uri|from|to)(\\.uri)?(\\.(scheme|user|host|port|tel|param\\.[a-z]|display-name))?",
        value in "[ -~é+]{0,12}",
        uri in "(sip|sips|tel|urn|x):[+0-9a-zé%.;=@:()-]{0,24}",
        ignore_case: bool,
    ) {
        let Ok(var) = Variable::parse(&path) else { return Ok(()); };
        let mut request = to("sip:bob@example.com");
        if let Ok(uri) = uri.parse() {
            request.set_uri(&uri);
        }
        let rules = [
            Rule::Equal { var: var.clone(), value: value.clone(), ignore_case },
            Rule::Contains { var: var.clone(), value: value.clone(), ignore_case },
            Rule::SubdomainOf { var: var.clone(), value },
            Rule::Exists { var },
        ];
        let [equal, contains, subdomain, exists] = rules.map(|rule| rule.matches(&request));
        // What is equal contains, and all of them are of what exists.
        prop_assert!(exists || !(equal || contains || subdomain));
    }

    #[test]
    fn no_path_panics(path in "(request|\\.|uri|from|param|PARAM|é| ){0,8}") {
        if let Ok(variable) = Variable::parse(&path) {
            prop_assert_eq!(variable.to_string(), path);
        }
    }
}
