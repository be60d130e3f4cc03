//! The file of the default application router, JSR 289 appendix C: whom a request visits, and what is wrong with a file.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

use container::routing::dar::{DarError, DarMistake, DarOption, DarRow, DarTable, Direction, MAX_LENGTH, Subscriber};
use proptest::prelude::*;
use proptest::sample::Index;
use servlet::{RoutingRegion, SipRouteModifier};
use sip_message::Method;

const FULL: &str = include_str!("vectors/full-dar.properties");

fn apps<'t>(table: &'t DarTable, method: &Method) -> Vec<&'t str> {
    table.rows_for(method).iter().map(|row| row.app.as_str()).collect()
}

fn error(text: &str) -> DarError {
    DarTable::parse(text).expect_err(text)
}

/// A row with this string in this place.
fn with(at: usize, text: &str) -> Result<DarRow, DarMistake> {
    let mut strings = vec!["app", "DAR:From", "ORIGINATING", "", "NO_ROUTE", "0"];
    if at < strings.len() {
        strings[at] = text;
    } else {
        strings.push(text);
    }
    row(&strings)
}

fn row(strings: &[&str]) -> Result<DarRow, DarMistake> {
    let table = DarTable::parse(&format!("INVITE: (\"{}\")", strings.join("\", \""))).map_err(|e| e.what)?;
    Ok(table.rows_for(&Method::Invite)[0].clone())
}

#[test]
fn a_full_file_is_read() {
    let table = DarTable::parse(FULL).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(apps(&table, &Method::Invite), ["screening", "forwarding", "voicemail", "logger"]);
    assert_eq!(apps(&table, &Method::Register), ["registrar", "logger"]);
    assert_eq!(apps(&table, &Method::Other("FETCH".into())), ["mail box", "logger"]);
    assert_eq!(apps(&table, &Method::Message), ["logger"]);
    let [screening, forwarding, ..] = table.rows_for(&Method::Invite) else { panic!() };
    assert_eq!(
        screening,
        &DarRow {
            app: "screening".to_owned(),
            subscriber: Subscriber::Header("From".to_owned()),
            region: RoutingRegion::ORIGINATING,
            route: None,
            modifier: SipRouteModifier::NoRoute,
            order: 0,
            direction: None,
            ignored: Vec::new(),
            line: 4,
        }
    );
    assert_eq!(forwarding.subscriber, Subscriber::Literal("sip:alice@example.com".to_owned()));
    assert_eq!((forwarding.region.clone(), forwarding.modifier), (RoutingRegion::TERMINATING, SipRouteModifier::Route));
    assert_eq!(forwarding.route.as_ref().unwrap().as_str(), "<sip:proxy.example.com;lr>");
    assert_eq!(table.rows_for(&Method::Register)[0].direction, Some(Direction::Inbound));
    let logger = &table.rows_for(&Method::Message)[0];
    assert_eq!(
        (logger.direction, logger.region.clone(), logger.line),
        (Some(Direction::Outbound), RoutingRegion::NEUTRAL, 14)
    );
    let methods: Vec<_> = table.methods().map(Method::as_str).collect();
    assert_eq!(methods, ["INVITE", "REGISTER", "FETCH"]);
    let apps: Vec<_> = table.applications().collect();
    assert_eq!(apps, ["screening", "forwarding", "voicemail", "registrar", "mail box", "logger"]);
}

#[test]
fn options_that_are_not_understood_are_listed_and_not_obeyed() {
    let table = DarTable::parse(FULL).unwrap();
    let regex = DarOption { key: "REGEX".to_owned(), value: "From:.*@example\\.com and more".to_owned() };
    assert_eq!(table.ignored().collect::<Vec<_>>(), [(14, &regex)]);
    let row = with(6, "DIRECTION=UAC_ROUTE_BACK COLOUR=red").unwrap();
    assert_eq!((row.direction, row.ignored.len()), (None, 2));
    assert_eq!(with(6, " ").unwrap().ignored, []);
    for wrong in ["red", "DIRECTION=UP", "DIRECTION=INBOUND DIRECTION=OUTBOUND", "A+B=c"] {
        assert!(matches!(with(6, wrong), Err(DarMistake::Value { field: "the seventh string", .. })), "{wrong}");
    }
}

#[test]
fn rows_are_visited_in_their_order_and_equal_ones_in_the_files() {
    let text = "INVITE: (\"c\",\"\",\"NEUTRAL\",\"\",\"NO_ROUTE\",\"2\"), (\"a\",\"\",\"NEUTRAL\",\"\",\"NO_ROUTE\",\"1\"),\
                (\"d\",\"\",\"NEUTRAL\",\"\",\"NO_ROUTE\",\"10\"), (\"b\",\"\",\"NEUTRAL\",\"\",\"NO_ROUTE\",\"1\")\n\
                ALL: (\"z\",\"\",\"NEUTRAL\",\"\",\"NO_ROUTE\",\"0\")";
    let table = DarTable::parse(text).unwrap();
    assert_eq!(apps(&table, &Method::Invite), ["a", "b", "c", "d", "z"]);
}

#[test]
fn a_method_without_rows_has_those_for_all_or_none() {
    let table = DarTable::parse("INVITE: (\"a\",\"\",\"NEUTRAL\",\"\",\"NO_ROUTE\",\"2\")").unwrap();
    assert_eq!(table.rows_for(&Method::Bye), []);
    assert_eq!(DarTable::parse("").unwrap(), DarTable::default());
    assert_eq!(DarTable::parse("# nothing\n\n ! nothing").unwrap(), DarTable::default());
}

/// `java.util.Properties.load`.
#[test]
fn the_syntax_is_that_of_properties_files() {
    let row = "(\"a\",\"\",\"NEUTRAL\",\"\",\"NO_ROUTE\",\"2\")";
    let plain = DarTable::parse(&format!("INVITE: {row}")).unwrap();
    for text in [
        format!("INVITE={row}"),
        format!("INVITE {row}"),
        format!("INVITE \t = {row} "),
        format!("\u{feff}INVITE:{row}\r\n"),
        format!("  \tINVITE:{row}\r"),
        format!("INV\\u0049TE:{row}"),
        format!("\\INVITE\\\n:{row}\\"),
        format!("INVITE:{}", row.replace(',', ", \\\n    ").replace('a', "\\u0061")),
        format!("INVITE:{}", row.replace('"', "\\\"")),
    ] {
        let mut table = DarTable::parse(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(apps(&table, &Method::Invite), ["a"], "{text}");
        table = DarTable::parse(&text.replace("\\\n", "")).unwrap();
        assert_eq!(table, plain, "{text}");
    }
    // A comment is not continued, and a continued line is no comment.
    let table = DarTable::parse(&format!("# \\\nINVITE: \\\n  {row}")).unwrap();
    assert_eq!(apps(&table, &Method::Invite), ["a"]);
    assert_eq!(error(&format!("INVITE: \\\n # {row}")).what, expected("`(` before a row", Some('#')));
    let table = DarTable::parse(&format!("INVITE: {}", row.replace('a', "\\ud83d\\ude00\\t\\\\"))).unwrap();
    assert_eq!(apps(&table, &Method::Invite), ["😀\t\\"]);
    for wrong in ["\\u", "\\u12", "\\u12g4", "\\ud83d", "\\ud83dx", "\\ud83d\\u0041", "\\ude00"] {
        assert_eq!(
            error(&format!("# c\nINVITE: \"{wrong}\"")),
            DarError { line: 2, column: 10, what: DarMistake::Escape }
        );
    }
}

fn expected(expected: &'static str, found: Option<char>) -> DarMistake {
    DarMistake::Expected { expected, found }
}

#[test]
fn a_file_with_a_mistake_is_refused_whole_with_its_place() {
    let good = "INVITE: (\"a\",\"\",\"NEUTRAL\",\"\",\"NO_ROUTE\",\"2\")";
    for (line, column, what) in [
        ("", 10, expected("`(` before a row", None)),
        ("\"a\"", 10, expected("`(` before a row", Some('"'))),
        ("()", 11, expected("a string in quotes", Some(')'))),
        ("(a)", 11, expected("a string in quotes", Some('a'))),
        ("(\"a)", 14, expected("a quote behind the string", None)),
        ("(\"a\";)", 14, expected("`,` or `)` behind a string", Some(';'))),
        ("(\"a\"", 14, expected("`,` or `)` behind a string", None)),
        ("(\"a\",)", 15, expected("a string in quotes", Some(')'))),
        ("(\"a\")", 10, DarMistake::Fields(1)),
        ("(\"a\",\"\",\"\",\"\",\"\",\"\",\"\",\"\")", 10, DarMistake::Fields(8)),
        (&format!("{} x", &good[8..]), 47, expected("`,` or the line's end behind a row", Some('x'))),
        (&format!("{},", &good[8..]), 47, expected("`(` before a row", None)),
    ] {
        assert_eq!(error(&format!("{good}\nOPTIONS: {line}")), DarError { line: 2, column, what });
    }
    let text = format!("{good}\n  OPTIONS: \\\n   (\"a\", \"DAR:\",\"NEUTRAL\",\"\",\"NO_ROUTE\",\"2\")");
    assert_eq!((error(&text).line, error(&text).column), (3, 10), "a place is one of the file, not of the joined line");
    assert_eq!(
        error(&format!("{good}\n{good}")),
        DarError { line: 2, column: 1, what: DarMistake::Twice { key: "INVITE".to_owned(), first: 1 } }
    );
    for key in ["invite", "Invite", "all", "A\\ B", "INV@"] {
        assert!(matches!(error(&good.replace("INVITE", key)).what, DarMistake::Method(_)), "{key}");
    }
    assert!(matches!(error("INVITE").what, DarMistake::Expected { .. }));
}

#[test]
fn a_string_that_means_nothing_is_named_with_what_was_expected() {
    for (at, text) in [
        (0, ""),
        (0, " "),
        (1, "DAR:"),
        (1, "DAR:F rom"),
        (2, ""),
        (2, "originating"),
        (2, "EVERYWHERE"),
        (3, "proxy"),
        (3, "tel:+1"),
        (3, "<sip:a"),
        (4, ""),
        (4, "ROUTE"),
        (4, "ROUTE_BACK"),
        (4, "REROUTE"),
        (5, ""),
        (5, "-1"),
        (5, "x"),
        (5, "4294967296"),
    ] {
        assert!(matches!(with(at, text), Err(DarMistake::Value { .. })), "{at} {text}");
    }
    let error = DarTable::parse("INVITE: (\"a\",\"\",\"NORTH\",\"\",\"NO_ROUTE\",\"2\")").unwrap_err();
    assert_eq!(
        error.to_string(),
        "application router's file, line 1, column 17: expected ORIGINATING, NEUTRAL or TERMINATING as the region, found \
         \"NORTH\""
    );
}

#[test]
fn a_route_is_a_sip_uri_with_or_without_brackets() {
    let route = |route: &str, modifier: &str| {
        row(&["a", "", "NEUTRAL", route, modifier, "0"]).map(|row| row.route.map(|route| route.as_str().to_owned()))
    };
    let with_lr = Ok(Some("<sip:p.example.com;lr>".to_owned()));
    assert_eq!(route("sip:p.example.com;lr", "ROUTE"), with_lr);
    assert_eq!(route(" <sip:p.example.com;lr> ", "ROUTE_BACK"), with_lr);
    assert_eq!(route("<sip:p.example.com;lr>", "NO_ROUTE"), with_lr);
    assert_eq!(route("", "NO_ROUTE"), Ok(None));
}

#[test]
fn a_file_has_limits() {
    assert_eq!(error(&"#".repeat(MAX_LENGTH + 1)).what, DarMistake::TooLong(MAX_LENGTH));
    let many = |n: usize| -> String {
        (0..n).map(|n| format!("M{n}: (\"a\",\"\",\"NEUTRAL\",\"\",\"NO_ROUTE\",\"2\")\n")).collect()
    };
    assert!(DarTable::parse(&many(64)).is_ok());
    assert_eq!(error(&many(65)), DarError { line: 65, column: 1, what: DarMistake::TooManyMethods(64) });
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(?s).{0,200}", pieces in "[A-Z()\"\\\\u,:=# \\n\\r0-9é]{0,100}") {
        let _ = DarTable::parse(&text);
        let _ = DarTable::parse(&pieces);
        let _ = DarTable::parse(&format!("ALL: (\"{pieces}\", \"{text}\")"));
    }

    /// A file that was cut, doubled or sprinkled is read or refused at a place in it.
    #[test]
    fn no_damaged_file_makes_the_reader_panic(
        damage in proptest::collection::vec((any::<Index>(), any::<Index>(), any::<char>(), 0..4u8), 1..4),
    ) {
        let mut text: Vec<char> = FULL.chars().collect();
        for (from, to, character, kind) in damage {
            let (from, to) = (from.index(text.len()), to.index(text.len()));
            let (from, to) = (from.min(to), from.max(to).min(from.min(to) + 60));
            match kind {
                0 => drop(text.drain(from..to)),
                1 => {
                    let twice = text[from..to].to_vec();
                    text.splice(from..from, twice);
                }
                2 => text[from] = ['"', ',', '\\', '\n', '(', ')', ':'][to % 7],
                _ => text[from] = character,
            }
        }
        let text: String = text.into_iter().collect();
        match DarTable::parse(&text) {
            Ok(table) => {
                let rows = table.rows_for(&Method::Invite);
                prop_assert!(rows.len() <= 8);
            }
            Err(error) => {
                let lines = text.split(['\n', '\r']).count();
                prop_assert!((1..=lines).contains(&(error.line as usize)), "{}", error);
            }
        }
    }
}
