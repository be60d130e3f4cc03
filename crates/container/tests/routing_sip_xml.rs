//! Deployment descriptors, JSR 289 §20: what a `sip.xml` says, and where its mistake is when it has one.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

use std::time::Duration;

use container::routing::rules::{MAX_DEPTH, PathError, Rule, Variable};
use container::routing::sip_xml::{
    AuthMethod, Display, IdentityAssertion, IdentityScheme, IdentitySupport, LoginConfig, MAX_LENGTH, Param,
    ResourceCollection, RoleRef, SecurityConstraint, Servlet, ServletMapping, ServletSelection, SessionTimeout, SipXml,
    SipXmlError, SipXmlMistake, TransportGuarantee,
};
use proptest::prelude::*;
use proptest::sample::Index;
use sip_message::Method;

/// Every element that means something, and some of those that mean nothing here.
const FULL: &str = include_str!("vectors/full-sip.xml");

/// A descriptor around these elements.
fn with(elements: &str) -> Result<SipXml, SipXmlError> {
    SipXml::parse(&format!("<sip-app><app-name>echo</app-name>{elements}</sip-app>"))
}

fn mistake(elements: &str) -> SipXmlMistake {
    with(elements).expect_err(elements).what
}

fn pattern(pattern: &str) -> Result<Rule, SipXmlMistake> {
    let mapping = format!(
        "<servlet-selection><servlet-mapping><servlet-name>s</servlet-name><pattern>{pattern}</pattern>\
         </servlet-mapping></servlet-selection>"
    );
    match with(&mapping).map_err(|e| e.what)?.selection {
        Some(ServletSelection::Mappings(mut mappings)) => Ok(mappings.remove(0).pattern),
        other => panic!("{other:?}"),
    }
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn var(path: &str) -> Variable {
    path.parse().unwrap()
}

#[test]
fn a_full_descriptor_is_read() {
    let xml = SipXml::parse(FULL).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((xml.app_name.as_str(), xml.version.as_deref(), xml.distributable), ("voice & mail", Some("1.1"), true));
    assert_eq!(
        xml.display,
        Display {
            display_name: text("Voice mail"),
            description: text("Takes messages."),
            small_icon: text("/small.png"),
            large_icon: text("/large.png"),
        }
    );
    let param = |name: &str, value: &str| Param { name: name.to_owned(), value: value.to_owned() };
    assert_eq!(xml.context_params, [param("greeting", "<hello>"), param("empty", "")]);
    assert_eq!(xml.listeners, ["com.example.Sessions", "com.example.Timers"]);
    assert_eq!(xml.proxy.proxy_timeout, Some(Duration::from_secs(30)));
    assert_eq!(xml.session_timeout.unwrap().duration(), Some(Duration::from_secs(20 * 60)));
    assert_eq!(xml.security_roles, ["subscriber"]);
    let recorder = Servlet {
        name: "recorder".to_owned(),
        class: text("com.example.Recorder"),
        display: Display { display_name: text("Recorder"), ..Display::default() },
        init_params: vec![param("directory", "/var/mail")],
        load_on_startup: Some(1),
        run_as: text("subscriber"),
        role_refs: vec![RoleRef { name: "sub".to_owned(), link: text("subscriber") }],
    };
    assert_eq!(xml.servlet("recorder"), Some(&recorder));
    assert_eq!(xml.servlet("player").unwrap().load_on_startup, None);
    assert_eq!(xml.servlets.len(), 2);
    let ignored: Vec<_> = xml.ignored.iter().map(|i| (i.element.as_str(), i.line)).collect();
    assert_eq!(ignored, [("{http://vendor.example.com/ns}tuning", 63), ("resource-ref", 66), ("env-entry", 70)]);
}

#[test]
fn the_mappings_of_a_full_descriptor_keep_their_order() {
    let xml = SipXml::parse(FULL).unwrap();
    let deposit = Rule::And(vec![
        Rule::Equal { var: var("request.method"), value: "INVITE".to_owned(), ignore_case: false },
        Rule::Or(vec![
            Rule::Contains { var: var("request.from.display-name"), value: "a b".to_owned(), ignore_case: true },
            Rule::SubdomainOf { var: var("request.uri.host"), value: "example.com".to_owned() },
        ]),
        Rule::Not(Box::new(Rule::Exists { var: var("request.uri.param.play") })),
    ]);
    let playback = Rule::Exists { var: var("request.uri.param.play") };
    assert_eq!(
        xml.selection,
        Some(ServletSelection::Mappings(vec![
            ServletMapping { servlet: "recorder".to_owned(), pattern: deposit },
            ServletMapping { servlet: "player".to_owned(), pattern: playback },
        ]))
    );
}

#[test]
fn the_security_of_a_full_descriptor_is_read() {
    let xml = SipXml::parse(FULL).unwrap();
    let constraint = SecurityConstraint {
        display_name: text("Playback"),
        resources: vec![ResourceCollection {
            name: "own messages".to_owned(),
            servlets: vec!["player".to_owned()],
            methods: vec![Method::Invite, Method::Other("FETCH".into())],
        }],
        proxy_authentication: true,
        roles: Some(vec!["subscriber".to_owned()]),
        transport_guarantee: TransportGuarantee::Confidential,
    };
    assert_eq!(xml.security_constraints, [constraint]);
    let assertion = IdentityAssertion { scheme: IdentityScheme::PAssertedIdentity, support: IdentitySupport::Required };
    assert_eq!(
        xml.login,
        Some(LoginConfig {
            auth_method: Some(AuthMethod::Digest),
            realm: text("example.com"),
            identity_assertion: Some(assertion),
        })
    );
}

#[test]
fn elements_of_the_other_namespace_of_the_schema_are_the_descriptors_own() {
    for (sip, javaee) in [
        ("http://www.jcp.org/xml/ns/sipservlet", "http://java.sun.com/xml/ns/javaee"),
        ("http://xmlns.jcp.org/xml/ns/sipservlet", "http://xmlns.jcp.org/xml/ns/javaee"),
    ] {
        let xml = SipXml::parse(&format!(
            "<?xml version='1.0' encoding='UTF-8'?>\n<s:sip-app xmlns:s='{sip}' xmlns:j='{javaee}'>\
             <s:app-name>a</s:app-name><s:servlet><j:servlet-name>b</j:servlet-name></s:servlet></s:sip-app>"
        ))
        .unwrap();
        assert_eq!((xml.app_name.as_str(), xml.servlets[0].name.as_str()), ("a", "b"));
        assert_eq!(xml.ignored, []);
    }
}

/// The DTD of JSR 116: no namespace, mappings in `sip-app`, the older timeout.
#[test]
fn a_descriptor_of_version_1_0_is_read() {
    let xml = SipXml::parse(
        "<?xml version=\"1.0\"?>\n<!DOCTYPE sip-app PUBLIC \"-//Java Community Process//DTD SIP Application 1.0//EN\"\n\
         \"http://www.jcp.org/dtd/sip-app_1_0.dtd\">\n<sip-app><app-name>old</app-name>\n\
         <servlet><servlet-name>s</servlet-name><servlet-class>S</servlet-class><load-on-startup/></servlet>\n\
         <servlet-mapping><servlet-name>s</servlet-name><pattern><equal><var>request.method</var>\
         <value>MESSAGE</value></equal></pattern></servlet-mapping>\n\
         <proxy-config><sequential-search-timeout>10</sequential-search-timeout></proxy-config></sip-app>\n",
    )
    .unwrap();
    assert!(matches!(xml.selection, Some(ServletSelection::Mappings(mappings)) if mappings.len() == 1));
    assert_eq!(xml.proxy.timeout(), Some(Duration::from_secs(10)));
    assert_eq!(xml.servlets[0].load_on_startup, Some(0));
}

#[test]
fn an_application_without_a_name_is_refused() {
    let missing = |inside: &str| SipXmlMistake::Missing { expected: "an app-name", inside: inside.to_owned() };
    let error = SipXml::parse("\n <sip-app></sip-app>").unwrap_err();
    assert_eq!(error, SipXmlError { line: 2, column: 2, what: missing("sip-app") });
    assert_eq!(error.to_string(), "sip.xml, line 2, column 2: expected an app-name in `sip-app`");
    let error = SipXml::parse("<sip-app><app-name> \n</app-name></sip-app>").unwrap_err();
    assert_eq!(error.to_string(), "sip.xml, line 1, column 10: expected a name in `app-name`");
    assert_eq!(mistake("<app-name>b</app-name>"), SipXmlMistake::Twice("app-name".to_owned()));
}

#[test]
fn a_place_is_counted_in_lines_and_characters() {
    let error = SipXml::parse("\u{feff}<sip-app>\r\n<!-- é\n --><app-name>é</app-name>éé<x/></sip-app>").unwrap_err();
    assert_eq!((error.line, error.column), (1, 1), "{error}");
    let error = SipXml::parse("<sip-app>\r\n<!-- é\n --><app-name>é</app-name><!--éé--><x/></sip-app>").unwrap_err();
    assert_eq!((error.line, error.column), (3, 36), "{error}");
}

#[test]
fn a_main_servlet_and_mappings_exclude_each_other() {
    let mapping = "<servlet-mapping><servlet-name>s</servlet-name><pattern><exists><var>request.uri</var></exists>\
                   </pattern></servlet-mapping>";
    let main = "<main-servlet>s</main-servlet>";
    let xml = with(&format!("<servlet-selection>{main}</servlet-selection>")).unwrap();
    assert_eq!(xml.selection, Some(ServletSelection::MainServlet("s".to_owned())));
    for both in [
        format!("<servlet-selection>{main}{mapping}</servlet-selection>"),
        format!("<servlet-selection>{mapping}{main}</servlet-selection>"),
        format!("{mapping}<servlet-selection>{main}</servlet-selection>"),
    ] {
        assert_eq!(mistake(&both), SipXmlMistake::MainServletAndMapping);
    }
    assert!(matches!(mistake("<servlet-selection/>"), SipXmlMistake::Missing { .. }));
    assert_eq!(with("").unwrap().selection, None);
}

/// RFC 3261 §22: "the Basic scheme MUST NOT be used".
#[test]
fn an_authentication_that_is_not_served_is_refused() {
    for method in ["BASIC", "CLIENT-CERT", "digest"] {
        let error = mistake(&format!("<login-config><auth-method>{method}</auth-method></login-config>"));
        assert_eq!(error, SipXmlMistake::AuthMethod(method.to_owned()));
    }
}

#[test]
fn a_session_timeout_of_zero_or_less_is_never() {
    let timeout = |minutes: &str| {
        let config = format!("<session-config><session-timeout>{minutes}</session-timeout></session-config>");
        with(&config).map(|xml| xml.session_timeout)
    };
    assert_eq!(timeout("0").unwrap(), Some(SessionTimeout::Never));
    assert_eq!(timeout(" -1 ").unwrap(), Some(SessionTimeout::Never));
    assert_eq!(timeout("4294967295").unwrap().unwrap().duration(), Some(Duration::from_secs(4_294_967_295 * 60)));
    assert_eq!(with("<session-config/>").unwrap().session_timeout, None);
    for wrong in ["", "x", "1.5", "4294967296", "99999999999999999999", "1 2"] {
        assert!(matches!(timeout(wrong).unwrap_err().what, SipXmlMistake::Value { found, .. } if found == wrong));
    }
}

#[test]
fn a_value_that_means_nothing_is_named_with_what_was_expected() {
    let constraint = |inner: &str| {
        format!("<security-constraint><resource-collection>{inner}</resource-collection></security-constraint>")
    };
    for (elements, element, found) in [
        ("<proxy-config><proxy-timeout>0</proxy-timeout></proxy-config>", "proxy-timeout", "0"),
        ("<proxy-config><proxy-timeout>-1</proxy-timeout></proxy-config>", "proxy-timeout", "-1"),
        ("<servlet><load-on-startup>soon</load-on-startup></servlet>", "load-on-startup", "soon"),
        (&constraint("<sip-method>A B</sip-method>"), "sip-method", "A B"),
        (
            "<security-constraint><user-data-constraint><transport-guarantee>SOME</transport-guarantee>\
             </user-data-constraint></security-constraint>",
            "transport-guarantee",
            "SOME",
        ),
        (
            "<login-config><identity-assertion><identity-assertion-scheme>X</identity-assertion-scheme>\
             </identity-assertion></login-config>",
            "identity-assertion-scheme",
            "X",
        ),
    ] {
        match mistake(elements) {
            SipXmlMistake::Value { element: e, found: f, .. } => assert_eq!((e.as_str(), f.as_str()), (element, found)),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn what_is_required_is_missed_by_name() {
    for (elements, wanted, place) in [
        ("<listener/>", "a listener-class", "listener"),
        ("<servlet/>", "a servlet-name", "servlet"),
        ("<context-param><param-name>a</param-name></context-param>", "a param-value", "context-param"),
        ("<servlet-mapping><servlet-name>a</servlet-name></servlet-mapping>", "a pattern", "servlet-mapping"),
        ("<security-constraint/>", "a resource-collection", "security-constraint"),
        ("<security-role/>", "a role-name", "security-role"),
        ("<login-config><identity-assertion/></login-config>", "an identity-assertion-scheme", "identity-assertion"),
    ] {
        assert_eq!(mistake(elements), SipXmlMistake::Missing { expected: wanted, inside: place.to_owned() });
    }
}

#[test]
fn two_servlets_or_two_parameters_of_one_name_are_refused() {
    let servlet = "<servlet><servlet-name>s</servlet-name></servlet>";
    assert_eq!(mistake(&servlet.repeat(2)), SipXmlMistake::Twice("s".to_owned()));
    let param = "<context-param><param-name>p</param-name><param-value/></context-param>";
    assert_eq!(mistake(&param.repeat(2)), SipXmlMistake::Twice("p".to_owned()));
}

#[test]
fn an_element_that_the_schema_does_not_have_is_an_error_unless_it_is_of_another_namespace() {
    for (elements, element, inside) in [
        ("<servlets/>", "servlets", "sip-app"),
        ("<main-servlet>s</main-servlet>", "main-servlet", "sip-app"),
        ("<servlet><url-pattern/></servlet>", "url-pattern", "servlet"),
        ("<session-config><timeout/></session-config>", "timeout", "session-config"),
        ("<distributable><x/></distributable>", "x", "distributable"),
        ("<listener><listener-class><b/></listener-class></listener>", "b", "listener-class"),
    ] {
        let expected = SipXmlMistake::UnknownElement { element: element.to_owned(), inside: inside.to_owned() };
        assert_eq!(mistake(elements), expected);
    }
    let xml = with("<v:a xmlns:v='urn:v'><app-name>no</app-name>&lt;<v:b>text</v:b></v:a><x xmlns='urn:x'/>").unwrap();
    let ignored: Vec<_> = xml.ignored.iter().map(|ignored| ignored.element.as_str()).collect();
    assert_eq!((xml.app_name.as_str(), ignored), ("echo", vec!["{urn:v}a", "{urn:x}x"]));
    assert_eq!(mistake("<servlet>s</servlet>"), SipXmlMistake::StrayText { inside: "servlet".to_owned() });
}

#[test]
fn a_root_that_is_no_sip_app_is_refused() {
    for (document, found) in [
        ("", "nothing"),
        ("<!-- nothing -->", "nothing"),
        ("<web-app/>", "web-app"),
        ("<sip-app xmlns='urn:x'/>", "{urn:x}sip-app"),
    ] {
        assert_eq!(SipXml::parse(document).unwrap_err().what, SipXmlMistake::NotSipApp(found.to_owned()));
    }
}

#[test]
fn a_pattern_has_one_condition_and_its_variables_exist() {
    let exists = "<exists><var>request.uri.user</var></exists>";
    assert!(pattern(exists).is_ok());
    for wrong in ["", "<and/>", "<or/>", "<not/>", "<exists/>", "<equal><var>request.uri</var></equal>"] {
        assert!(matches!(pattern(wrong), Err(SipXmlMistake::Missing { .. })), "{wrong}");
    }
    assert!(matches!(pattern(&exists.repeat(2)), Err(SipXmlMistake::Twice(_))));
    assert!(matches!(pattern(&format!("<not>{exists}{exists}</not>")), Err(SipXmlMistake::Twice(_))));
    assert!(matches!(pattern("<matches/>"), Err(SipXmlMistake::UnknownElement { .. })));
    assert!(matches!(pattern("INVITE"), Err(SipXmlMistake::StrayText { .. })));
    let path = "request.uri.domain".to_owned();
    assert_eq!(
        pattern("<exists><var>request.uri.domain</var></exists>"),
        Err(SipXmlMistake::Variable(PathError { path }))
    );
    let wrong = "<equal ignore-case='maybe'><var>request.uri</var><value>x</value></equal>";
    assert!(matches!(pattern(wrong), Err(SipXmlMistake::Value { found, .. }) if found == "maybe"));
}

#[test]
fn entities_of_a_dtd_are_never_expanded() {
    let bomb =
        "<!DOCTYPE sip-app [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;\"><!ENTITY x SYSTEM \"file:///etc/passwd\">]>";
    for (reference, name) in [("&b;", "b"), ("&x;", "x"), ("&nbsp;", "nbsp")] {
        let xml = format!("{bomb}<sip-app><app-name>{reference}</app-name></sip-app>");
        assert_eq!(SipXml::parse(&xml).unwrap_err().what, SipXmlMistake::Entity(name.to_owned()));
        let xml = format!("{bomb}<sip-app version='{reference}'><app-name>a</app-name></sip-app>");
        assert_eq!(SipXml::parse(&xml).unwrap_err().what, SipXmlMistake::Entity(name.to_owned()));
    }
    let xml =
        SipXml::parse(&format!("{bomb}<sip-app><app-name>&#97;&#x62;&amp;<![CDATA[<c>&x;]]></app-name></sip-app>"));
    assert_eq!(xml.unwrap().app_name, "ab&<c>&x;");
}

#[test]
fn size_depth_and_attributes_have_limits() {
    let long = format!("<sip-app><app-name>a</app-name><!--{}--></sip-app>", "x".repeat(MAX_LENGTH));
    assert_eq!(SipXml::parse(&long).unwrap_err().what, SipXmlMistake::TooLong(MAX_LENGTH));
    let deep = "<a>".repeat(70_000);
    assert!(matches!(SipXml::parse(&deep).unwrap_err().what, SipXmlMistake::NotSipApp(_)));
    let deep = format!("<sip-app>{deep}");
    assert!(matches!(SipXml::parse(&deep).unwrap_err().what, SipXmlMistake::TooDeep(_)));
    let deep = format!("<sip-app><f:x xmlns:f='urn:f'>{}", "<f:x>".repeat(40_000));
    assert!(matches!(SipXml::parse(&deep).unwrap_err().what, SipXmlMistake::TooDeep(_)));
    let nested = |depth: usize| {
        let (front, back) = ("<not>".repeat(depth - 1), "</not>".repeat(depth - 1));
        pattern(&format!("{front}<exists><var>request.uri</var></exists>{back}"))
    };
    assert_eq!(nested(MAX_DEPTH).unwrap().depth(), MAX_DEPTH);
    assert!(matches!(nested(MAX_DEPTH + 1), Err(SipXmlMistake::TooDeep(_))));
    let many: String = (0..100).map(|n| format!(" a{n}=''")).collect();
    assert!(matches!(mistake(&format!("<distributable{many}/>")), SipXmlMistake::TooManyAttributes(_)));
}

#[test]
fn what_is_not_well_formed_is_refused_where_it_breaks() {
    for (document, line, column) in [
        ("<sip-app>\n<app-name>a</app-nam></sip-app>", 2, 12),
        ("<sip-app>\n <app-name>a</app-name>", 1, 1),
        ("<sip-app><app-name>a</app-name></sip-app>\n<sip-app/>", 2, 1),
        ("<sip-app><app-name>a</app-name></sip-app> x", 1, 42),
        ("\n<sip-app><v:x/></sip-app>", 2, 10),
        ("<sip-app><servlet id=x/></sip-app>", 1, 10),
    ] {
        let error = SipXml::parse(document).unwrap_err();
        assert!(matches!(error.what, SipXmlMistake::NotWellFormed(_)), "{document}: {error}");
        assert_eq!((error.line, error.column), (line, column), "{document}: {error}");
    }
    for document in
        ["<", "<sip-app", "<sip-app a", "<sip-app a='", "<!DOCTYPE", "<![CDATA[", "<!--", "<?x", "&", "&#0;"]
    {
        assert!(SipXml::parse(document).is_err(), "{document}");
        assert!(with(document).is_err(), "{document}");
    }
    assert_eq!(mistake("<distributable id='a' id='b'/>"), SipXmlMistake::Twice("id".to_owned()));
}

/// Pieces that chance would seldom put together.
const PIECES: [&str; 16] = [
    "<",
    ">",
    "</",
    "/>",
    "&",
    ";",
    "<![CDATA[",
    "]]>",
    "<!--",
    "<!DOCTYPE a [",
    "&#x1;",
    "&lt;",
    "xmlns='urn:x' ",
    "é",
    "\0",
    "<app-name>",
];

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(?s).{0,200}", pieces in "[<>/&;!a-z'\"= \\[\\]-]{0,200}") {
        let _ = SipXml::parse(&text);
        let _ = with(&pieces);
        let _ = SipXml::parse(&pieces);
    }

    /// A descriptor that was cut, doubled or sprinkled is read or refused at a place in it.
    #[test]
    fn no_damaged_descriptor_makes_the_reader_panic(
        damage in proptest::collection::vec((any::<Index>(), any::<Index>(), any::<Index>(), 0..4u8), 1..4),
    ) {
        let mut text: Vec<char> = FULL.chars().collect();
        for (from, to, piece, kind) in damage {
            let (from, to) = (from.index(text.len()), to.index(text.len()));
            let (from, to) = (from.min(to), from.max(to).min(from.min(to) + 60));
            match kind {
                0 => drop(text.drain(from..to)),
                1 => {
                    let twice = text[from..to].to_vec();
                    text.splice(from..from, twice);
                }
                _ => drop(text.splice(from..from, PIECES[piece.index(PIECES.len())].chars())),
            }
        }
        let text: String = text.into_iter().collect();
        if let Err(error) = SipXml::parse(&text) {
            let lines = text.split('\n').count();
            prop_assert!((1..=lines).contains(&(error.line as usize)), "{}", error);
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
