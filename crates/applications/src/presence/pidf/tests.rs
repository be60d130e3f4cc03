//! The examples of RFC 3863 §4.2 and §4.3, and what is no document.

use super::*;

/// RFC 3863 §4.3.1.
const DEFAULT_NAMESPACE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<presence xmlns="urn:ietf:params:xml:ns:pidf"
    xmlns:im="urn:ietf:params:xml:ns:pidf:im"
    xmlns:myex="http://id.example.com/presence/"
    entity="pres:someone@example.com">
 <tuple id="bs35r9">
   <status>
     <basic>open</basic>
     <im:im>busy</im:im>
     <myex:location>home</myex:location>
   </status>
   <contact priority="0.8">im:someone@mobilecarrier.net</contact>
   <note xml:lang="en">Don't Disturb Please!</note>
   <note xml:lang="fr">Ne derangez pas, s'il vous plait</note>
   <timestamp>2001-10-27T16:49:29Z</timestamp>
 </tuple>
 <tuple id="eg92n8">
   <status>
     <basic>open</basic>
   </status>
   <contact priority="1.0">mailto:someone@example.com</contact>
 </tuple>
 <note>I'll be in Tokyo next week</note>
</presence>"#;

/// RFC 3863 §4.3.2.
const PREFIXED: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<impp:presence xmlns:impp="urn:ietf:params:xml:ns:pidf"
    xmlns:myex="http://id.example.com/presence/"
    entity="pres:someone@example.com">
 <impp:tuple id="ck38g9">
   <impp:status>
     <impp:basic>open</impp:basic>
   </impp:status>
   <myex:mytupletag>Extended value in tuple</myex:mytupletag>
   <impp:contact priority="0.65">tel:+09012345678</impp:contact>
 </impp:tuple>
 <impp:tuple id="md66je">
   <impp:status>
     <impp:basic>open</impp:basic>
   </impp:status>
   <impp:contact priority="1.0">
      im:someone@mobilecarrier.net</impp:contact>
 </impp:tuple>
 <myex:mytag>My extended presentity information</myex:mytag>
</impp:presence>"#;

fn document(inner: &str) -> String {
    format!("<presence xmlns=\"{PIDF}\" entity=\"sip:a@b\">{inner}</presence>")
}

fn tuple(id: &str, basic: &str) -> String {
    format!("<tuple id=\"{id}\"><status><basic>{basic}</basic></status></tuple>")
}

fn parse(text: &str) -> Result<Pidf, PidfError> {
    Pidf::parse(text.as_bytes())
}

/// The elements below the root: namespace, name and id of each.
fn outline(text: &str) -> Vec<(String, String, Option<String>)> {
    let root = Element::parse(text.as_bytes()).unwrap();
    assert!(root.is(PIDF, "presence"));
    let id = |element: &Element| element.attribute("id").map(str::to_owned);
    root.elements().map(|e| (e.namespace.to_string(), e.local_name().to_owned(), id(e))).collect()
}

#[test]
fn the_examples_of_the_rfc_meet_in_one_document_with_everything_that_they_say() {
    let (one, other) = (parse(DEFAULT_NAMESPACE).unwrap(), parse(PREFIXED).unwrap());
    let text = compose("sip:someone@example.com", [&one, &other]);
    let names: Vec<(String, Option<String>)> = outline(&text).into_iter().map(|(_, name, id)| (name, id)).collect();
    let id = |id: &str| Some(id.to_owned());
    assert_eq!(
        names,
        [
            ("tuple".to_owned(), id("bs35r9")),
            ("tuple".to_owned(), id("eg92n8")),
            ("tuple".to_owned(), id("ck38g9")),
            ("tuple".to_owned(), id("md66je")),
            ("note".to_owned(), None),
            ("mytag".to_owned(), None),
        ]
    );
    for words in [
        "<im:im>busy</im:im>",
        "<note xml:lang=\"en\">Don't Disturb Please!</note>",
        "<myex:mytupletag>Extended value in tuple</myex:mytupletag>",
        "My extended presentity information",
    ] {
        assert!(text.contains(words), "{words} in {text}");
    }
    assert_eq!(parse(&text).unwrap().parts.len(), 6, "a document that we write is one that we read");
}

#[test]
fn an_element_that_leaves_its_document_takes_the_namespaces_that_it_needs_along_and_no_others() {
    let pidf = parse(DEFAULT_NAMESPACE).unwrap();
    assert!(pidf.parts[0].head.contains("xmlns:im=") && pidf.parts[0].head.contains("xmlns:myex="));
    assert_eq!(pidf.parts[1].head, "<tuple id=\"");
    assert_eq!(pidf.parts[2].head, "<note>I'll be in Tokyo next week</note>");
    let bare = parse(&format!("<p:presence xmlns:p='{PIDF}' entity='x'><p:note><q/></p:note></p:presence>")).unwrap();
    let text = compose("sip:a@b", [&bare]);
    let root = Element::parse(text.as_bytes()).unwrap();
    let note = root.elements().next().unwrap();
    assert!(note.is(PIDF, "note") && note.elements().next().unwrap().is("", "q"), "{text}");
}

#[test]
fn a_prefix_that_only_a_value_names_is_declared_too() {
    let text = format!(
        "<presence xmlns='{PIDF}' xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' xmlns:m='urn:m' entity='x'>\
         <m:a xsi:type='m:b'/><m:c id='1&amp;' z='2'/></presence>"
    );
    let pidf = parse(&text).unwrap();
    assert!(pidf.parts[0].head.contains("xmlns:xsi=") && pidf.parts[0].head.contains("xmlns:m="));
    assert_eq!((pidf.parts[1].id.as_deref(), &*pidf.parts[1].tail), (Some("1&"), "\" z=\"2\"/>"));
}

/// RFC 3863 §4.1.2: the value of an `id` is there once.
#[test]
fn tuples_of_two_publishers_with_the_same_id_stay_apart() {
    let one = parse(&document(&tuple("t", "open"))).unwrap();
    let two = parse(&document(&(tuple("t", "closed") + &tuple("t-2", "open")))).unwrap();
    let ids: Vec<Option<String>> =
        outline(&compose("sip:a@b", [&one, &two])).into_iter().map(|(_, _, id)| id).collect();
    assert_eq!(ids, [Some("t".to_owned()), Some("t-2".to_owned()), Some("t-2-2".to_owned())]);
}

#[test]
fn a_presentity_of_whom_nobody_says_anything_is_closed() {
    for text in [compose("sip:a@b", []), compose("sip:a@b", [&Pidf::default()]), closed("sip:a@b")] {
        assert_eq!(outline(&text), [(PIDF.to_owned(), "tuple".to_owned(), Some("offline".to_owned()))]);
        assert!(text.contains("<basic>closed</basic>"));
        assert!(parse(&text).is_ok());
    }
    assert!(closed("sip:a\"&b@c").contains("entity=\"sip:a&quot;&amp;b@c\""));
}

/// RFC 3863 §4.2.3.
#[test]
fn what_the_rfc_does_not_know_in_its_own_namespace_is_passed_over() {
    let pidf = parse(&document("<future/><none xmlns=''/><note>n</note>")).unwrap();
    assert_eq!(pidf.parts.len(), 1);
    assert!(parse(&document("")).unwrap().is_empty(), "any number of tuples, including 0 (§4.1.1)");
}

#[test]
fn what_is_no_presence_document_is_refused() {
    let cases = [
        ("<presence entity='a'/>".to_owned(), PidfError::NotPresence),
        (format!("<a xmlns='{PIDF}' entity='a'/>"), PidfError::NotPresence),
        ("<presence xmlns='urn:ietf:params:xml:ns:pidf-diff' entity='a'/>".to_owned(), PidfError::NotPresence),
        (format!("<presence xmlns='{PIDF}'/>"), PidfError::NoEntity),
        (document("<tuple><status><basic>open</basic></status></tuple>"), PidfError::NoId),
        (document(&(tuple("1", "open") + &tuple("1", "closed"))), PidfError::SameId),
        (document("<tuple id='1'/>"), PidfError::NoStatus),
        (document("<tuple id='1'><status/></tuple>"), PidfError::NoStatus),
        (document(&tuple("1", "away")), PidfError::Basic),
        (document(&"<note/>".repeat(MAX_PARTS + 1)), PidfError::TooManyParts),
        ("<!DOCTYPE presence><presence/>".to_owned(), PidfError::Xml(XmlError::DocumentType)),
    ];
    for (text, error) in cases {
        assert_eq!(parse(&text), Err(error), "{text}");
    }
}

/// A long declaration in the root is repeated by every part that needs it.
#[test]
fn a_document_does_not_grow_out_of_bounds_where_it_is_taken_apart() {
    let long = format!(
        "<presence xmlns='{PIDF}' xmlns:p='urn:{}' entity='x'>{}</presence>",
        "x".repeat(40_000),
        "<p:a/>".repeat(MAX_PARTS)
    );
    assert_eq!(parse(&long), Err(PidfError::TooLong));
}

#[test]
fn the_status_may_be_one_of_another_namespace_alone() {
    assert!(parse(&document("<tuple id='1'><status><x:y xmlns:x='u'/></status></tuple>")).is_ok());
    assert!(parse(&document(&tuple("1", "\n open "))).is_ok(), "white space round the word is common");
}
