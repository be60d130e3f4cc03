//! What holds for every typed header.

use proptest::prelude::*;

use super::*;

#[test]
fn every_header_name_has_a_row_and_the_row_its_file() {
    for &name in HeaderName::ALL {
        assert_eq!(TABLE.iter().filter(|row| row.name == name).count(), 1, "{name}");
    }
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/header");
    for row in TABLE {
        assert!(folder.join(row.file).is_file(), "{}", row.file);
    }
}

#[test]
fn a_type_and_its_name_agree_on_being_a_list() {
    for &(variant, name, list) in LISTS {
        assert_eq!(variant, name);
        assert_eq!(list, name.is_list(), "{name}");
    }
}

#[test]
fn an_unknown_header_is_checked_to_be_one_line() {
    assert_eq!(parse_any(HeaderName::Extension, " ;;,,;;,; ").unwrap(), ";;,,;;,; ");
    assert!(parse_any(HeaderName::Extension, "a\r\nb").is_err());
}

/// Pieces of which most grammars are made, so that random texts get past the first character.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("<sip:a@b;lr>"),
        Just("sip:a@b"),
        Just("tel:+1"),
        Just("\"q\\\"\""),
        Just(";"),
        Just("="),
        Just(","),
        Just(" "),
        Just("tag"),
        Just("Digest"),
        Just("SIP/2.0/UDP"),
        Just("h:5060"),
        Just("[::1]"),
        Just("*"),
        Just("1"),
        Just("0.5"),
        Just("q"),
        Just("expires"),
        Just("a/b"),
        Just("@"),
        Just("("),
        Just(")"),
        Just("\t"),
        Just("Ж"),
        Just("\r\n"),
        Just("\0"),
        Just("%41"),
        Just("nonce=\"x\""),
        Just("realm=\"y\""),
        Just("z9hG4bK"),
    ];
    prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

fn check_round_trip(name: HeaderName, text: &str) -> Result<(), TestCaseError> {
    if let Ok(printed) = parse_any(name, text) {
        prop_assert!(!printed.contains(['\r', '\n']), "{name}: {text:?} printed {printed:?}");
        prop_assert_eq!(parse_any(name, &printed), Ok(printed.clone()), "{}: {:?}", name, text);
    }
    Ok(())
}

/// What every setter makes of a text, as far as it takes it.
fn built(name: &str, value: &str) -> Vec<(HeaderName, String)> {
    let uri = crate::uri::Uri::parse("sip:a@b").unwrap();
    let via = Via::parse("SIP/2.0/UDP h").unwrap();
    let contact = || ContactAddress::new(uri);
    let media_type = || MediaType::new("a", "b").unwrap();
    let digest = DigestCredentials { username: value.into(), qop: Some(value.into()), ..Default::default() };
    let printed = |name, text: Option<String>| text.map(|text| (name, text));
    [
        printed(Via::NAME, via.clone().with_branch(value).ok().map(|v| v.to_string())),
        printed(Via::NAME, via.clone().with_param(name, value).ok().map(|v| v.to_string())),
        printed(Via::NAME, via.with_flag(value).ok().map(|v| v.to_string())),
        printed(From::NAME, From::new(uri).with_tag(value).ok().map(|v| v.to_string())),
        printed(To::NAME, To::new(uri).with_param(name, value).ok().map(|v| v.to_string())),
        printed(To::NAME, To::new(uri).with_display_name(value).ok().map(|v| v.to_string())),
        printed(Contact::NAME, contact().with_param(name, value).ok().map(|v| v.to_string())),
        printed(Contact::NAME, contact().with_instance(value).ok().map(|v| v.to_string())),
        printed(Route::NAME, Route::new(uri).with_param(name, value).ok().map(|v| v.to_string())),
        printed(CallId::NAME, CallId::new(value).ok().map(|v| v.to_string())),
        printed(Accept::NAME, media_type().with_param("x", value).ok().map(|v| v.to_string())),
        printed(Supported::NAME, Supported::new(value).ok().map(|v| v.to_string())),
        printed(Event::NAME, Event::new(value).ok().map(|v| v.to_string())),
        printed(Event::NAME, Event::new("e").unwrap().with_param(name, value).ok().map(|v| v.to_string())),
        printed(Reason::NAME, Reason::sip(200, value).ok().map(|v| v.to_string())),
        printed(RetryAfter::NAME, RetryAfter::new(1).with_comment(value).ok().map(|v| v.to_string())),
        printed(Warning::NAME, Warning::new(399, "a", value).ok().map(|v| v.to_string())),
        printed(Warning::NAME, Warning::new(399, value, "a").ok().map(|v| v.to_string())),
        printed(Replaces::NAME, Replaces::new(name, value, value).ok().map(|v| v.to_string())),
        printed(Timestamp::NAME, Timestamp::new(value, Some(name)).ok().map(|v| v.to_string())),
        printed(UserToUser::NAME, UserToUser::new(value).ok().map(|v| v.to_string())),
        printed(Identity::NAME, Identity::new(value, uri).ok().map(|v| v.to_string())),
        printed(HistoryInfo::NAME, HistoryInfo::new(uri, value).ok().map(|v| v.to_string())),
        printed(Privacy::NAME, Privacy::new(&[name, value]).ok().map(|v| v.to_string())),
        printed(PChargingVector::NAME, PChargingVector::new(name, value).ok().map(|v| v.to_string())),
        printed(Subject::NAME, Subject::new(value).ok().map(|v| v.to_string())),
        // Its fields are free; the message refuses a line break when the value is put into it.
        printed(Authorization::NAME, Some(digest.to_string())).filter(|(_, text)| !text.contains(['\r', '\n', '\0'])),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn check_built(name: &str, value: &str) -> Result<(), TestCaseError> {
    for (header, text) in built(name, value) {
        prop_assert!(!grammar::breaks_a_line(text.as_bytes()), "{header}: {text:?}");
        prop_assert!(!header.is_list() || grammar::first_value_end(&text) == text.len(), "{header}: {text:?}");
        prop_assert_eq!(parse_any(header, &text), Ok(text), "{}", header);
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_text_is_refused_or_prints_as_what_it_reads(text in "(?s).{0,24}") {
        for &name in HeaderName::ALL {
            check_round_trip(name, &text)?;
        }
    }

    #[test]
    fn any_pieces_are_refused_or_print_as_what_they_read(text in pieces()) {
        for &name in HeaderName::ALL {
            check_round_trip(name, &text)?;
        }
    }

    #[test]
    fn any_text_in_any_setter_makes_one_value_or_an_error(
        name in "(?s)[a-z]{1,4}|ttl|q|index|.{0,8}",
        value in "(?s)[a-z0-9.]{1,8}|.{0,16}",
    ) {
        check_built(&name, &value)?;
    }
}
