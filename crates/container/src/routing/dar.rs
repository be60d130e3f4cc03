//! The configuration file of the default application router, JSR 289 appendix C: for each method the applications that
//! an initial request visits, in order.
//!
//! ```text
//!   # a properties file: METHOD, and rows of six strings, or seven
//!   INVITE: ("screening", "DAR:From", "ORIGINATING", "", "NO_ROUTE", "0"), \
//!           ("voicemail", "DAR:To", "TERMINATING", "", "NO_ROUTE", "1")
//!   ALL: ("logger", "DAR:From", "NEUTRAL", "", "NO_ROUTE", "0", "DIRECTION=INBOUND")
//! ```
//!
//! `ALL` and the seventh string are additions of an existing container that its users' files contain. Left to the router:
//! which row is next, and what an application that is not deployed means.

mod properties;
mod row;

use std::fmt;

use servlet::{RoutingRegion, SipRouteModifier};
use sip_message::{Method, NameAddrBuf};

use properties::{Place, Property};

/// How long a file may be, in octets.
pub const MAX_LENGTH: usize = 256 * 1024;

/// How many methods may have rows of their own; each holds a copy of the rows for any method.
const MAX_METHODS: usize = 64;

/// What a file of the default application router says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DarTable {
    /// For each method its rows, and those for any method behind them.
    methods: Vec<(Method, Vec<DarRow>)>,
    /// The rows for any other method.
    all: Vec<DarRow>,
}

impl DarTable {
    /// Reads a file; one with a mistake in it is refused whole.
    pub fn parse(text: &str) -> Result<DarTable, DarError> {
        // A byte order mark is no character of the first key.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.len() > MAX_LENGTH {
            return Err(DarError::new(Place { line: 1, column: 1 }, DarMistake::TooLong(MAX_LENGTH)));
        }
        let mut table = DarTable::default();
        let mut keys: Vec<(String, u32)> = Vec::new();
        for property in properties::Properties::new(text) {
            let property = property?;
            if let Some((key, first)) = keys.iter().find(|(key, _)| *key == property.key) {
                let what = DarMistake::Twice { key: key.clone(), first: *first };
                return Err(DarError::new(property.place, what));
            }
            let method = method(&property)?;
            let mut rows = row::rows(&property)?;
            rows.sort_by_key(|row| row.order);
            match method {
                Some(_) if table.methods.len() == MAX_METHODS => {
                    return Err(DarError::new(property.place, DarMistake::TooManyMethods(MAX_METHODS)));
                }
                Some(method) => table.methods.push((method, rows)),
                None => table.all = rows,
            }
            keys.push((property.key, property.place.line));
        }
        for (_, rows) in &mut table.methods {
            rows.extend_from_slice(&table.all);
        }
        Ok(table)
    }

    /// The rows for a request of this method, in the order in which its applications are visited: the method's own by
    /// their order, then those for any method.
    pub fn rows_for(&self, method: &Method) -> &[DarRow] {
        let own = self.methods.iter().find(|(other, _)| other == method);
        own.map_or(&self.all, |(_, rows)| rows)
    }

    /// The rows for a request of a method that has none of its own.
    pub fn rows_for_others(&self) -> &[DarRow] {
        &self.all
    }

    /// The methods that have rows of their own.
    pub fn methods(&self) -> impl Iterator<Item = &Method> {
        self.methods.iter().map(|(method, _)| method)
    }

    /// The names of all applications, each as often as it stands in a row.
    pub fn applications(&self) -> impl Iterator<Item = &str> {
        self.rows().map(|row| row.app.as_str())
    }

    /// The options that were read over, with the line of their row.
    pub fn ignored(&self) -> impl Iterator<Item = (u32, &DarOption)> {
        self.rows().flat_map(|row| row.ignored.iter().map(|option| (row.line, option)))
    }

    /// Every row of the file once.
    fn rows(&self) -> impl Iterator<Item = &DarRow> {
        let own = self.methods.iter().flat_map(|(_, rows)| &rows[..rows.len().saturating_sub(self.all.len())]);
        own.chain(&self.all)
    }
}

/// `None`: any method.
fn method(property: &Property) -> Result<Option<Method>, DarError> {
    let key = property.key.as_str();
    if key == "ALL" {
        return Ok(None);
    }
    // Methods have case; one that differs from a known one by case alone was meant to be that.
    let slip = key.eq_ignore_ascii_case("ALL")
        || Method::KNOWN.iter().any(|known| known.as_str() != key && known.as_str().eq_ignore_ascii_case(key));
    match Method::parse(key) {
        Some(method) if !slip => Ok(Some(method)),
        _ => Err(DarError::new(property.place, DarMistake::Method(key.to_owned()))),
    }
}

/// An application on a request's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DarRow {
    /// The application's name.
    pub app: String,
    /// On whose behalf the application is asked.
    pub subscriber: Subscriber,
    /// In which region; one of the three that have a name of their own.
    pub region: RoutingRegion,
    /// The SIP route to be pushed.
    pub route: Option<NameAddrBuf>,
    /// What becomes of the route.
    pub modifier: SipRouteModifier,
    /// The row's place among those of its method, smaller first; the file's order decides between equals.
    pub order: u32,
    /// Which requests the row is for; all without one.
    pub direction: Option<Direction>,
    /// Options that are not understood.
    pub ignored: Vec<DarOption>,
    /// Its line in the file, from 1.
    pub line: u32,
}

/// Who the subscriber is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subscriber {
    /// `DAR:NAME`: the URI in the request's header of this name.
    Header(String),
    /// Anybody else: the text itself, most often a URI.
    Literal(String),
}

/// `DIRECTION`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// `INBOUND`: requests from outside of the container.
    Inbound,
    /// `OUTBOUND`: requests from its applications.
    Outbound,
}

/// A `key=value` of the seventh string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DarOption {
    /// Such as `REGEX`.
    pub key: String,
    /// What stands behind the equals sign.
    pub value: String,
}

/// A mistake in the file, and where it is. The deployer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DarError {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// What is wrong there.
    pub what: DarMistake,
}

impl DarError {
    fn new(place: Place, what: DarMistake) -> DarError {
        DarError { line: place.line, column: place.column, what }
    }
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DarMistake {
    /// The text is longer than this.
    TooLong(usize),
    /// More methods than this.
    TooManyMethods(usize),
    /// `\u` without the four hexadecimal digits of a character.
    Escape,
    /// A key that is neither a method nor `ALL`.
    Method(String),
    /// A key that the file has already.
    Twice {
        /// The key.
        key: String,
        /// Where it stands first.
        first: u32,
    },
    /// A character where another should be.
    Expected {
        /// What should be there.
        expected: &'static str,
        /// What is there; `None` at the end of the value.
        found: Option<char>,
    },
    /// A row of fewer than six strings, or of more than seven.
    Fields(usize),
    /// A string that means nothing.
    Value {
        /// Which of the row's strings.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
}

impl fmt::Display for DarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "application router's file, line {}, column {}: {}", self.line, self.column, self.what)
    }
}

impl std::error::Error for DarError {}

impl fmt::Display for DarMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DarMistake::TooLong(limit) => write!(f, "a file has at most {limit} octets"),
            DarMistake::TooManyMethods(limit) => write!(f, "a file has at most {limit} methods"),
            DarMistake::Escape => f.write_str("expected four hexadecimal digits of a character behind \\u"),
            DarMistake::Method(found) => write!(f, "expected a method or ALL, found \"{}\"", found.escape_debug()),
            DarMistake::Twice { key, first } => {
                write!(f, "expected each method once, but {} stands in line {first} already", key.escape_debug())
            }
            DarMistake::Expected { expected, found: Some(found) } => {
                write!(f, "expected {expected}, found `{}`", found.escape_debug())
            }
            DarMistake::Expected { expected, found: None } => write!(f, "expected {expected}, found the line's end"),
            DarMistake::Fields(found) => write!(f, "expected a row of 6 or 7 strings, found {found}"),
            DarMistake::Value { field, expected, found } => {
                write!(f, "expected {expected} as {field}, found \"{}\"", found.escape_debug())
            }
        }
    }
}
