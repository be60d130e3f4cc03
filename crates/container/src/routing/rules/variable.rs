//! Variables: paths from the request to one of its properties, JSR 289 §16.2 ("request object model").

use std::fmt;
use std::str::FromStr;

use sip_message::{HeaderName, Host, NameAddr, Request, SipUri, Transport, Uri};

use super::value::Value;

/// The paths that there are; `NAME` is that of a URI parameter, `from` may be `to`.
pub const PATHS: &str = "request.method, request.uri, request.from, request.from.display-name, request.from.uri, \
     the same with `to`, and behind any `uri` one of .scheme, .user, .host, .port, .tel, .param.NAME";

/// A property of a request, by a path that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(try_from = "String")]
pub enum Variable {
    /// `request.method`: the method.
    Method,
    /// `request.uri…`: the Request-URI.
    RequestUri(UriPart),
    /// `request.from…`: the From header.
    From(AddressPart),
    /// `request.to…`: the To header.
    To(AddressPart),
}

/// A property of an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AddressPart {
    /// The header's value as it was written.
    Whole,
    /// `.display-name`: the display name without quotes.
    DisplayName,
    /// `.uri…`: the URI.
    Uri(UriPart),
}

/// A property of a URI.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UriPart {
    /// The URI as it was written.
    Whole,
    /// `.scheme`: in lower case.
    Scheme,
    /// `.user`: the user of a SIP URI, unescaped.
    User,
    /// `.host`: the host of a SIP URI.
    Host,
    /// `.port`: the port of a SIP URI, or the one that goes without saying.
    Port,
    /// `.tel`: the number in a tel URI or a SIP URI with `user=phone`, without visual separators.
    Tel,
    /// `.param.NAME`: the value of a parameter, empty when the parameter has none.
    Param(Box<str>),
}

/// A path that leads nowhere. The deployer's mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathError {
    /// The path.
    pub path: String,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no variable; there are {PATHS}", self.path.escape_debug())
    }
}

impl std::error::Error for PathError {}

impl Variable {
    /// Reads a path such as `request.uri.host`.
    pub fn parse(path: &str) -> Result<Variable, PathError> {
        let part = path.strip_prefix("request.").and_then(|path| {
            let (first, rest) = split(path);
            match (first, rest) {
                ("method", None) => Some(Variable::Method),
                ("uri", rest) => UriPart::parse(rest).map(Variable::RequestUri),
                ("from", rest) => AddressPart::parse(rest).map(Variable::From),
                ("to", rest) => AddressPart::parse(rest).map(Variable::To),
                _ => None,
            }
        });
        part.ok_or_else(|| PathError { path: path.to_owned() })
    }

    /// Whether the request has this property, and its value passes the test.
    pub(super) fn is(&self, request: &Request, test: impl FnOnce(Value<'_>) -> bool) -> bool {
        match self {
            Variable::Method => test(Value::Text(request.method().as_str())),
            Variable::RequestUri(part) => part.is(&request.uri(), test),
            Variable::From(part) => part.is(request.headers().first(HeaderName::From), test),
            Variable::To(part) => part.is(request.headers().first(HeaderName::To), test),
        }
    }
}

impl AddressPart {
    fn parse(path: Option<&str>) -> Option<AddressPart> {
        let Some(path) = path else {
            return Some(AddressPart::Whole);
        };
        match split(path) {
            ("display-name", None) => Some(AddressPart::DisplayName),
            ("uri", rest) => UriPart::parse(rest).map(AddressPart::Uri),
            _ => None,
        }
    }

    /// A header that cannot be read has no properties but its text.
    fn is(&self, header: Option<&str>, test: impl FnOnce(Value<'_>) -> bool) -> bool {
        let Some(header) = header else {
            return false;
        };
        match (self, NameAddr::parse(header)) {
            (AddressPart::Whole, _) => test(Value::Text(header.trim())),
            (AddressPart::DisplayName, Ok(address)) => {
                address.display_name().is_some_and(|name| test(Value::Text(&name)))
            }
            (AddressPart::Uri(part), Ok(address)) => part.is(&address.uri(), test),
            (_, Err(_)) => false,
        }
    }
}

impl UriPart {
    fn parse(path: Option<&str>) -> Option<UriPart> {
        let Some(path) = path else {
            return Some(UriPart::Whole);
        };
        match split(path) {
            ("scheme", None) => Some(UriPart::Scheme),
            ("user", None) => Some(UriPart::User),
            ("host", None) => Some(UriPart::Host),
            ("port", None) => Some(UriPart::Port),
            ("tel", None) => Some(UriPart::Tel),
            // A parameter's name may have dots.
            ("param", Some(name)) if is_param_name(name) => Some(UriPart::Param(name.into())),
            _ => None,
        }
    }

    fn is(&self, uri: &Uri<'_>, test: impl FnOnce(Value<'_>) -> bool) -> bool {
        match (self, uri) {
            (UriPart::Whole, uri) => test(Value::Text(uri.as_str())),
            (UriPart::Scheme, Uri::Sip(uri)) => test(Value::Text(if uri.is_secure() { "sips" } else { "sip" })),
            (UriPart::Scheme, Uri::Tel(_)) => test(Value::Text("tel")),
            (UriPart::Scheme, Uri::Absolute(uri)) => test(Value::Text(&uri.scheme().to_ascii_lowercase())),
            (UriPart::User, Uri::Sip(uri)) => uri.user().is_some_and(|user| test(Value::Text(&user))),
            (UriPart::Host, Uri::Sip(uri)) => test(match uri.host() {
                Host::Name(name) => Value::Text(name),
                Host::V4(address) => Value::Address(address.into()),
                Host::V6(address) => Value::Address(address.into()),
            }),
            (UriPart::Port, Uri::Sip(uri)) => test(Value::Port(uri.port().unwrap_or_else(|| default_port(uri)))),
            (UriPart::Tel, Uri::Tel(uri)) => test(Value::Number(uri.raw_number())),
            (UriPart::Tel, Uri::Sip(uri)) if uri.is_phone() => {
                uri.user().is_some_and(|user| test(Value::Number(split_off_params(&user))))
            }
            (UriPart::Param(name), Uri::Sip(uri)) => param(uri.params(), name, test),
            (UriPart::Param(name), Uri::Tel(uri)) => param(uri.params(), name, test),
            _ => false,
        }
    }
}

/// The port of a URI without one: 5061 for TLS, 5060 else (RFC 3261 §19.1.2).
fn default_port(uri: &SipUri<'_>) -> u16 {
    if uri.is_secure() || matches!(uri.transport(), Some(Transport::Tls)) { 5061 } else { 5060 }
}

/// RFC 3261 §19.1.6: the user of a SIP URI with `user=phone` is a whole `telephone-subscriber`, with its parameters.
fn split_off_params(user: &str) -> &str {
    user.split_once(';').map_or(user, |(number, _)| number)
}

fn param(params: sip_message::uri::UriParams<'_>, name: &str, test: impl FnOnce(Value<'_>) -> bool) -> bool {
    params.get(name).is_some_and(|param| test(Value::Text(&param.decoded().unwrap_or_default())))
}

/// The path's first step, and the others.
fn split(path: &str) -> (&str, Option<&str>) {
    path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)))
}

/// `pname`, RFC 3261 §25.1, without its escapes: a name is compared with what the escapes mean.
fn is_param_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|o| o.is_ascii_alphanumeric() || b"-_.!~*'()[]/:&+$".contains(&o))
}

impl FromStr for Variable {
    type Err = PathError;

    fn from_str(path: &str) -> Result<Variable, PathError> {
        Variable::parse(path)
    }
}

impl TryFrom<String> for Variable {
    type Error = PathError;

    fn try_from(path: String) -> Result<Variable, PathError> {
        Variable::parse(&path)
    }
}

/// The path.
impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Variable::Method => f.write_str("request.method"),
            Variable::RequestUri(part) => write!(f, "request.uri{part}"),
            Variable::From(part) => write!(f, "request.from{part}"),
            Variable::To(part) => write!(f, "request.to{part}"),
        }
    }
}

impl fmt::Display for AddressPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AddressPart::Whole => Ok(()),
            AddressPart::DisplayName => f.write_str(".display-name"),
            AddressPart::Uri(part) => write!(f, ".uri{part}"),
        }
    }
}

impl fmt::Display for UriPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UriPart::Whole => Ok(()),
            UriPart::Scheme => f.write_str(".scheme"),
            UriPart::User => f.write_str(".user"),
            UriPart::Host => f.write_str(".host"),
            UriPart::Port => f.write_str(".port"),
            UriPart::Tel => f.write_str(".tel"),
            UriPart::Param(name) => write!(f, ".param.{name}"),
        }
    }
}
