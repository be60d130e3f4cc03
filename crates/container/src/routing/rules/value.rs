//! Values of variables, and how they are compared. Nothing here allocates but a `contains` on an address or a port.

use std::net::IpAddr;

/// What a request has in place of a variable.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    /// Any text.
    Text(&'a str),
    /// A host that is an address: compared as what it is, however it was written.
    Address(IpAddr),
    /// A port, in decimal.
    Port(u16),
    /// A telephone number, with or without its visual separators.
    Number(&'a str),
}

impl Value<'_> {
    pub(super) fn equals(self, value: &str, ignore_case: bool) -> bool {
        match self {
            Value::Text(text) if ignore_case => folded(text).eq(folded(value)),
            Value::Text(text) => text == value,
            Value::Address(address) => parse_address(value) == Some(address),
            Value::Port(port) => parse_port(value) == Some(port),
            Value::Number(number) => {
                let mut dialled = dialled(number, value);
                value.chars().all(|wanted| dialled.next().is_some_and(|o| same_digit(o, wanted)))
                    && dialled.next().is_none()
            }
        }
    }

    pub(super) fn contains(self, value: &str, ignore_case: bool) -> bool {
        match self {
            Value::Text(text) => text_contains(text, value, ignore_case),
            Value::Address(address) => text_contains(&address.to_string(), value.trim_matches(['[', ']']), true),
            Value::Port(port) => text_contains(&port.to_string(), value, false),
            Value::Number(number) => {
                let starts = number.char_indices().filter(|&(_, c)| !is_visual_separator(c)).map(|(at, _)| at);
                value.is_empty()
                    || starts
                        .map(|at| number[at..].chars().filter(|&c| !is_visual_separator(c)))
                        .any(|mut rest| value.chars().all(|wanted| rest.next().is_some_and(|c| same_digit(c, wanted))))
            }
        }
    }

    /// A domain is a subdomain of itself, and a name of any domain that starts behind one of its dots. A number is a
    /// "subdomain" of the digits that it starts with; an address only of itself.
    pub(super) fn is_subdomain_of(self, value: &str) -> bool {
        match self {
            Value::Text(name) => is_in_domain(name, value),
            Value::Number(number) => {
                let mut dialled = dialled(number, value);
                value.chars().all(|wanted| dialled.next().is_some_and(|c| same_digit(c, wanted)))
            }
            Value::Address(_) | Value::Port(_) => self.equals(value, true),
        }
    }
}

/// RFC 1034 §3.1: labels are compared from the right, without case; a last dot stands for the root.
fn is_in_domain(name: &str, domain: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).as_bytes();
    let domain = domain.strip_suffix('.').unwrap_or(domain).as_bytes();
    let Some(front) = name.len().checked_sub(domain.len()) else {
        return false;
    };
    let (front, back) = name.split_at(front);
    !domain.is_empty() && back.eq_ignore_ascii_case(domain) && matches!(front, [] | [.., b'.'])
}

/// The number as it is compared with `value`. A value with `+` means global numbers alone; one without means the digits.
fn dialled<'a>(number: &'a str, value: &str) -> impl Iterator<Item = char> + use<'a> {
    let number = if value.starts_with('+') { number } else { number.strip_prefix('+').unwrap_or(number) };
    number.chars().filter(|&c| !is_visual_separator(c))
}

/// RFC 3966 §3: `phonedigit-hex` has no case.
fn same_digit(one: char, other: char) -> bool {
    one.eq_ignore_ascii_case(&other)
}

/// RFC 3966 §3.
fn is_visual_separator(c: char) -> bool {
    matches!(c, '-' | '.' | '(' | ')')
}

fn parse_address(value: &str) -> Option<IpAddr> {
    let inner = value.strip_prefix('[').and_then(|value| value.strip_suffix(']'));
    inner.unwrap_or(value).parse().ok()
}

fn parse_port(value: &str) -> Option<u16> {
    // `parse` would take a sign.
    value.bytes().all(|o| o.is_ascii_digit()).then(|| value.parse().ok())?
}

fn text_contains(text: &str, value: &str, ignore_case: bool) -> bool {
    if !ignore_case {
        return text.contains(value);
    }
    value.is_empty() || text.char_indices().any(|(at, _)| starts_with_folded(&text[at..], value))
}

fn starts_with_folded(text: &str, value: &str) -> bool {
    let mut text = folded(text);
    folded(value).all(|wanted| text.next() == Some(wanted))
}

fn folded(text: &str) -> impl Iterator<Item = char> {
    text.chars().flat_map(char::to_lowercase)
}
