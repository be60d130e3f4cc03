//! The pages `servlet-names.md` and `servlet-rules.md` of the manual: they must not name what is not there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = include_str!("../../docs/manual/servlet-names.md");
const RULES: &str = include_str!("../../docs/manual/servlet-rules.md");

/// Appendix of the official API: so many methods has SIP Servlet 1.1, in so many classes.
const METHODS: usize = 378;
const CLASSES: usize = 43;

#[test]
fn every_method_of_the_java_api_has_its_row() {
    let (_, by_method) = PAGE.split_once("## Method by method").unwrap();
    let classes = by_method.lines().filter(|line| line.starts_with("### ")).count();
    let methods = by_method.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!((classes, methods), (CLASSES, METHODS));
}

#[test]
fn every_rust_name_of_the_page_is_in_the_source() {
    let sources = Sources::read();
    let names = names(PAGE);
    let missing: Vec<_> = names.iter().filter(|name| !sources.have(name)).collect();
    assert!(missing.is_empty(), "the page names what is not there: {missing:#?}");
    assert!(names.len() > 350, "only {} names were looked up", names.len());
}

#[test]
fn a_name_that_is_not_in_the_source_would_be_found() {
    let sources = Sources::read();
    let name = |text| names(text).remove(0);
    assert!(sources.have(&name("`Proxy::set_parallel`")), "the setters of a proxy are written by a macro");
    assert!(!sources.have(&name("`Proxy::set_stateful`")));
    assert!(!sources.have(&name("`SipSession::do_invite`")), "a method of another type");
    assert!(!sources.have(&name("`SessionState::Completed`")));
    assert!(!sources.have(&name("`BindingEvent.value`")));
}

#[test]
fn every_test_that_a_rule_names_is_a_test() {
    let mut tests = BTreeSet::new();
    for folder in ["tests/servlet", "crates/container", "crates/servlet"] {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
        for path in rust_files(&root) {
            let text = fs::read_to_string(&path).unwrap();
            let place = path.strip_prefix(&root).unwrap().with_extension("");
            let functions =
                text.split("#[test]").skip(1).filter_map(|rest| rest.split("fn ").nth(1)?.split('(').next());
            tests.extend(functions.map(|function| format!("/{}::{function}", place.display())));
        }
    }
    let spans = RULES.lines().filter(|line| line.starts_with('|')).flat_map(|line| line.split('`').skip(1).step_by(2));
    let named: Vec<&str> = spans.filter(|span| span.contains("::") && span.starts_with(char::is_lowercase)).collect();
    let is_test = |name: &str| tests.iter().any(|test| test.ends_with(&format!("/{name}")));
    let missing: Vec<_> = named.iter().filter(|name| !is_test(name)).collect();
    assert!(missing.is_empty(), "the page names tests that are not there: {missing:#?}");
    assert!(named.len() > 120, "only {} tests were looked up", named.len());
}

/// `Type::member`, or `Type.field`.
#[derive(Debug)]
struct Name<'p> {
    of: &'p str,
    member: &'p str,
    is_field: bool,
}

/// The names in code of the page's text. Names of Java are either alone or have no capital before their dot.
fn names(page: &str) -> Vec<Name<'_>> {
    let spans = page.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let pairs = spans.filter_map(|span| {
        let (of, member, is_field) = match span.split_once("::") {
            Some((of, member)) => (of, member, false),
            None => span.split_once('.').map(|(of, member)| (of, member, true))?,
        };
        let is_type = of.starts_with(|c: char| c.is_ascii_uppercase()) && of.chars().all(|c| c.is_ascii_alphanumeric());
        let is_ours = !is_field || member.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        (is_type && is_ours).then_some(Name { of, member, is_field })
    });
    pairs.collect()
}

/// The files of the crate that authors see.
struct Sources(Vec<String>);

impl Sources {
    fn read() -> Sources {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../crates/servlet/src");
        let files = rust_files(&root).iter().map(|path| fs::read_to_string(path).unwrap()).collect();
        Sources(files)
    }

    /// A list in braces, as in `Expiration::{Never, Expired, At(_)}`, has all of its members.
    fn have(&self, name: &Name<'_>) -> bool {
        match name.member.strip_prefix('{').and_then(|list| list.strip_suffix('}')) {
            Some(list) => {
                list.split(", ").all(|member| self.have_member(name.of, member.trim_end_matches("(_)"), false))
            }
            None => self.have_member(name.of, name.member, name.is_field),
        }
    }

    fn have_member(&self, of: &str, member: &str, is_field: bool) -> bool {
        let start = |kind: &str| {
            let head = format!("pub {kind} {of}");
            self.0.iter().find(|file| {
                file.contains(&format!("{head} "))
                    || file.contains(&format!("{head}:"))
                    || file.contains(&format!("{head}("))
            })
        };
        if let Some(file) = start("trait") {
            let body = block(file, &format!("pub trait {of}"));
            return body.is_some_and(|body| is_defined(body, member));
        }
        let Some(file) = start("struct").or_else(|| start("enum")) else { return false };
        if is_field {
            return block(file, &format!("pub struct {of}"))
                .is_some_and(|body| body.contains(&format!("    pub {member}:")));
        }
        match member {
            "eq" => file.contains(&format!("PartialEq for {of} ")) || derives(file, of, "PartialEq"),
            "clone" => derives(file, of, "Clone"),
            "to_string" => file.contains(&format!("Display for {of} ")),
            variant if variant.starts_with(|c: char| c.is_ascii_uppercase()) => {
                let body = block(file, &format!("pub enum {of}"));
                body.is_some_and(|body| {
                    body.lines().any(|line| line.trim().split([',', '(', ' ']).next() == Some(variant))
                })
            }
            method => {
                let body = block(file, &format!("\nimpl {of} {{"));
                body.is_some_and(|body| is_defined(body, method))
            }
        }
    }
}

fn rust_files(root: &Path) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

/// From this head to the brace that ends it, at the beginning of a line.
fn block<'f>(file: &'f str, head: &str) -> Option<&'f str> {
    let start = file.find(head)?;
    let length = file[start..].find("\n}")?;
    Some(&file[start..start + length])
}

/// As a function, or as a word of the macros that write the functions of handlers and of proxies.
fn is_defined(body: &str, method: &str) -> bool {
    let written = [format!("fn {method}("), format!("fn {method}<")];
    let by_macro = |line: &str| {
        let line = line.trim();
        let word = line.split([',', ':']).next();
        word == Some(method) && (line.ends_with(',') || line.ends_with(';'))
    };
    written.iter().any(|function| body.contains(function)) || body.lines().any(by_macro)
}

fn derives(file: &str, of: &str, what: &str) -> bool {
    let Some(at) = file.find(&format!("pub struct {of} ")).or_else(|| file.find(&format!("pub enum {of} "))) else {
        return false;
    };
    file[..at]
        .rfind("#[derive(")
        .is_some_and(|derive| file[derive..at].contains(what) && !file[derive..at].contains("\n}\n"))
}
