//! Edits of a message's headers, told against a simple model: a list of fields, each with its values.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use common::{message, request, template, text_of_template};
use proptest::prelude::*;
use proptest::sample::select;
use sip_message::{HeaderName, Headers, Message, ValueError};

proptest! {
    #[test]
    fn edits_do_to_the_list_of_values_what_their_names_say(
        received in any::<bool>(),
        fields in proptest::collection::vec((select(&EDITED[..]), values()), 0..6),
        edits in proptest::collection::vec(edit(), 0..12),
    ) {
        let mut model = Model(fields.iter().map(|(name, values)| (*name, values.clone())).collect());
        let mut message = if received {
            let lines: String = fields.iter().map(|(name, values)| format!("{name} :  {} \r\n", values.join(" ,\t"))).collect();
            self::message(format!("{}{lines}\r\n", text_of_template()).as_bytes())
        } else {
            let mut request = template();
            for (name, values) in &fields {
                request.headers_mut().push(*name, values.join(" , ")).unwrap();
            }
            Message::Request(request)
        };
        for edit in edits {
            edit.apply(message.headers_mut(), &mut model);
            model.assert_is(message.headers());
        }
        let read = self::message(&message.to_bytes());
        model.assert_is(read.headers());
        prop_assert!(read.headers().contains(HeaderName::Via));
    }

    /// Whatever stands in a list, taking values away ends.
    #[test]
    fn popping_any_list_comes_to_its_end(value in "[ ,<>\"\\\\a]{0,16}", last in any::<bool>()) {
        let mut headers = Headers::new();
        headers.push(HeaderName::Route, &value).unwrap();
        let mut count = 0;
        while if last { headers.pop_last(HeaderName::Route) } else { headers.pop_first(HeaderName::Route) } {
            count += 1;
            prop_assert!(count <= value.len() + 1);
            let _ = headers.values(HeaderName::Route).count();
            let _ = headers.first(HeaderName::Route);
        }
        prop_assert!(headers.is_empty());
    }
}

/// RFC 3261 §20.14: what is printed says the length of what is printed, whatever an application wrote or copied.
#[test]
fn the_content_length_is_always_that_of_the_body() {
    for said in ["0", "4", "6", "-5", "five", "", "5"] {
        let mut request = template();
        request.set_body("text/plain", "hello").unwrap();
        request.headers_mut().push(HeaderName::ContentLength, said).unwrap();
        request.headers_mut().push(HeaderName::Subject, "behind").unwrap();
        let read = self::request(&request.to_bytes());
        assert_eq!(read.headers().fields_of(HeaderName::ContentLength).collect::<Vec<_>>(), ["5"], "{said}");
        assert_eq!(read.headers().first(HeaderName::Subject), Some("behind"));
        request.headers_mut().push(HeaderName::ContentLength, "5").unwrap();
        assert_eq!(self::request(&request.to_bytes()).headers().fields_of(HeaderName::ContentLength).count(), 1);
    }
}

#[test]
fn a_received_content_length_follows_a_body_that_is_changed() {
    let octets = format!("{}Content-Length: 5\r\nSubject: x\r\n\r\nhello", text_of_template());
    let mut received = request(octets.as_bytes());
    assert_eq!(received.to_bytes(), octets);
    received.set_body("text/plain", "hello, bob").unwrap();
    assert_eq!(request(&received.to_bytes()).body(), "hello, bob");
    received.remove_body();
    let read = request(&received.to_bytes());
    assert!(read.body().is_empty() && !read.headers().contains(HeaderName::ContentType));
}

/// RFC 3261 §20.37: "Supported" may be empty, and then names nothing.
#[test]
fn an_empty_list_has_no_value() {
    let octets = format!("{}Supported:\r\nSupported: a , b\r\nRoute: \r\n\r\n", text_of_template());
    let received = request(octets.as_bytes());
    assert_eq!(received.headers().values(HeaderName::Supported).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(received.headers().values(HeaderName::Route).count(), 0);
    assert!(received.headers().contains(HeaderName::Route));
    // What is printed is still what came.
    assert!(memchr::memmem::find(&received.to_bytes(), b"Supported:\r\nSupported: a , b\r\nRoute: \r\n").is_some());
}

/// RFC 4475 §3.1.1.2 sends a NUL as a quoted pair; whoever puts a tag to such a To must be able to.
#[test]
fn a_quoted_nul_can_be_put_back_and_no_other() {
    let octets = text_of_template().replace("To: <sip:b", "To: \"N:\\\0\" <sip:b");
    let mut received = request(format!("{octets}\r\n").as_bytes());
    let tagged = format!("{};tag=2", received.headers().first(HeaderName::To).unwrap());
    received.headers_mut().replace_first(HeaderName::To, &tagged).unwrap();
    let read = request(&received.to_bytes());
    assert_eq!(read.headers().first(HeaderName::To), Some(&*tagged));
    for value in ["\0", "\\\0", "\"\0\"", "\"\\\\\0\"", "\"\"\\\0", "\"\\\0\r\n\""] {
        let refused = received.headers_mut().push(HeaderName::Subject, value);
        assert_eq!(refused, Err(ValueError::LineBreakOrNul), "{value:?}");
    }
}

/// A field that an error kept from being made leaves nothing behind.
#[test]
fn a_refused_edit_changes_nothing() {
    let mut request = template();
    let before = request.to_bytes();
    let headers = request.headers_mut();
    assert!(headers.set(HeaderName::Via, "x\r\ny").is_err());
    assert!(headers.replace_first(HeaderName::Via, "x\ny").is_err());
    assert_eq!(headers.replace_first(HeaderName::Route, "x"), Err(ValueError::NoSuchField(HeaderName::Route)));
    assert!(headers.push_front(HeaderName::Via, "x\0").is_err());
    assert_eq!(headers.push(HeaderName::Extension, "x"), Err(ValueError::NameIsNotAToken));
    assert_eq!(headers.push_extension(&"x".repeat(65_536), "x"), Err(ValueError::NameIsNotAToken));
    assert!(!headers.pop_first(HeaderName::Route) && !headers.pop_last(HeaderName::Route));
    assert!(!headers.remove(HeaderName::Route) && !headers.remove_extension("X-None"));
    assert_eq!(request.to_bytes(), before);
}

/// Two lists and one that is none.
const EDITED: [HeaderName; 3] = [HeaderName::Route, HeaderName::Supported, HeaderName::WwwAuthenticate];

/// Values in which a comma that separates nothing stands in quotes or brackets.
fn value() -> impl Strategy<Value = String> {
    let plain = prop_oneof![Just("<sip:a,b@c;lr>"), Just("\"x, \\\"y\" <sip:d>"), Just("token"), Just("a;b=\"c,d\"")];
    (plain, 0..4u8).prop_map(|(plain, n)| format!("{plain};n={n}"))
}

fn values() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(value(), 1..4)
}

/// What a list of headers is, told simply: fields, each with its values.
struct Model(Vec<(HeaderName, Vec<String>)>);

#[derive(Clone, Debug)]
enum Edit {
    Push(HeaderName, String),
    PushFront(HeaderName, String),
    PopFirst(HeaderName),
    PopLast(HeaderName),
    ReplaceFirst(HeaderName, String),
    Set(HeaderName, String),
    Remove(HeaderName),
    CopyFromItself(HeaderName),
    CopyFromAnother(HeaderName, String),
}

fn edit() -> impl Strategy<Value = Edit> {
    let name = || select(&EDITED[..]);
    prop_oneof![
        (name(), value()).prop_map(|(name, value)| Edit::Push(name, value)),
        (name(), value()).prop_map(|(name, value)| Edit::PushFront(name, value)),
        name().prop_map(Edit::PopFirst),
        name().prop_map(Edit::PopLast),
        (name(), value()).prop_map(|(name, value)| Edit::ReplaceFirst(name, value)),
        (name(), value()).prop_map(|(name, value)| Edit::Set(name, value)),
        name().prop_map(Edit::Remove),
        name().prop_map(Edit::CopyFromItself),
        (name(), value()).prop_map(|(name, value)| Edit::CopyFromAnother(name, value)),
    ]
}

impl Edit {
    fn apply(self, headers: &mut Headers, model: &mut Model) {
        match self {
            Edit::Push(name, value) => {
                headers.push(name, &value).unwrap();
                model.0.push((name, vec![value]));
            }
            Edit::PushFront(name, value) => {
                headers.push_front(name, &value).unwrap();
                model.0.insert(model.first_field(name).unwrap_or(0), (name, vec![value]));
            }
            Edit::PopFirst(name) => assert_eq!(headers.pop_first(name), model.pop(name, true)),
            Edit::PopLast(name) => assert_eq!(headers.pop_last(name), model.pop(name, false)),
            Edit::ReplaceFirst(name, value) => {
                let done = headers.replace_first(name, &value);
                assert_eq!(done.is_ok(), model.first_field(name).is_some());
                if let Some(at) = model.first_field(name) {
                    model.pop(name, true);
                    model.0.insert(at, (name, vec![value]));
                }
            }
            Edit::Set(name, value) => {
                headers.set(name, &value).unwrap();
                let at = model.first_field(name).unwrap_or(model.0.len());
                model.0.retain(|(other, _)| *other != name);
                model.0.insert(at, (name, vec![value]));
            }
            Edit::Remove(name) => {
                assert_eq!(headers.remove(name), model.first_field(name).is_some());
                model.0.retain(|(other, _)| *other != name);
            }
            Edit::CopyFromItself(name) => {
                let other = headers.clone();
                headers.copy_from(&other, name);
                let copied: Vec<_> = model.0.iter().filter(|(other, _)| *other == name).cloned().collect();
                model.0.extend(copied);
            }
            Edit::CopyFromAnother(name, value) => {
                let mut other = Headers::new();
                other.push(name, &value).unwrap();
                headers.copy_from(&other, name);
                model.0.push((name, vec![value]));
            }
        }
    }
}

impl Model {
    fn first_field(&self, name: HeaderName) -> Option<usize> {
        self.0.iter().position(|(other, _)| *other == name)
    }

    /// Takes one value of a list away, or a whole field of what is none.
    fn pop(&mut self, name: HeaderName, first: bool) -> bool {
        let at = match first {
            true => self.first_field(name),
            false => self.0.iter().rposition(|(other, _)| *other == name),
        };
        let Some(at) = at else { return false };
        let values = &mut self.0[at].1;
        if name.is_list() && values.len() > 1 {
            values.remove(if first { 0 } else { values.len() - 1 });
        } else {
            self.0.remove(at);
        }
        true
    }

    #[track_caller]
    fn assert_is(&self, headers: &Headers) {
        for name in EDITED {
            let fields = self.0.iter().filter(|(other, _)| *other == name).map(|(_, values)| values);
            if name.is_list() {
                let expected: Vec<&str> = fields.flatten().map(String::as_str).collect();
                assert_eq!(headers.values(name).collect::<Vec<_>>(), expected, "{name}");
                assert_eq!(headers.first(name), expected.first().copied(), "{name}");
            } else {
                let without_space = |value: &str| value.replace([' ', '\t'], "");
                let expected: Vec<String> = fields.map(|values| without_space(&values.join(","))).collect();
                let found: Vec<String> = headers.fields_of(name).map(without_space).collect();
                assert_eq!(found, expected, "{name}");
            }
            assert_eq!(headers.contains(name), self.first_field(name).is_some(), "{name}");
        }
        // The order of the edited fields among each other.
        let order = |name: &str| EDITED.iter().position(|edited| edited.as_str().eq_ignore_ascii_case(name));
        let found: Vec<usize> = headers.iter().filter_map(|(name, _)| order(name)).collect();
        let expected: Vec<usize> = self.0.iter().filter_map(|(name, _)| order(name.as_str())).collect();
        assert_eq!(found, expected);
    }
}
