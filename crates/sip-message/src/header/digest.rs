//! Digest as data: the fields of challenges, credentials and authentication infos, RFC 7616 and RFC 8760 (RFC 3261 §22.4).
//! Nothing is computed here. Values of other schemes are kept as text.
//!
//! A field that the grammar wants quoted is also read as a token, and the other way round, because both are sent; it is
//! printed as the grammar wants it. A field that stands twice is refused: two readers could take two different ones.

use std::borrow::Cow;
use std::fmt;

use super::Malformed;
use crate::grammar::{self, Cursor};

/// What a server asks for: the value of WWW-Authenticate and Proxy-Authenticate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge<'a> {
    /// The scheme is Digest.
    Digest(DigestChallenge<'a>),
    /// The scheme is another one.
    Other(OtherScheme<'a>),
}

/// What a client answers: the value of Authorization and Proxy-Authorization.
#[expect(clippy::large_enum_variant, reason = "a short-lived view; nearly all are Digest")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials<'a> {
    /// The scheme is Digest.
    Digest(DigestCredentials<'a>),
    /// The scheme is another one.
    Other(OtherScheme<'a>),
}

/// A challenge or credentials of a scheme that this crate does not know (RFC 4475 §3.3.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OtherScheme<'a> {
    /// The scheme.
    pub scheme: &'a str,
    /// What stands behind it, as it was written.
    pub rest: &'a str,
}

/// A parameter that is not one of Digest's own: its name, and its value without quotes.
pub type AuthParam<'a> = (&'a str, Cow<'a, str>);

/// A Digest challenge, RFC 7616 §3.3. Values are without quotes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DigestChallenge<'a> {
    /// Whose passwords are asked for.
    pub realm: Cow<'a, str>,
    /// URIs between spaces that belong together.
    pub domain: Option<Cow<'a, str>>,
    /// What must go into the answer.
    pub nonce: Cow<'a, str>,
    /// What must be sent back unchanged.
    pub opaque: Option<Cow<'a, str>>,
    /// Whether only the nonce was too old.
    pub stale: bool,
    /// `MD5`, `SHA-256`, `SHA-512-256`, each also with `-sess`; nothing stands for MD5.
    pub algorithm: Option<Cow<'a, str>>,
    /// `auth`, `auth-int`, or both with a comma between; nothing is RFC 2069's digest.
    pub qop: Option<Cow<'a, str>>,
    /// Whether the server takes hashed user names.
    pub userhash: bool,
    /// Everything else.
    pub other: Vec<AuthParam<'a>>,
}

/// Digest credentials, RFC 7616 §3.4. Values are without quotes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DigestCredentials<'a> {
    /// The user's name, or its hash.
    pub username: Cow<'a, str>,
    /// `username*`: the name in the encoding of RFC 8187, in the place of `username`.
    pub username_extended: Option<Cow<'a, str>>,
    /// The challenge's realm.
    pub realm: Cow<'a, str>,
    /// The challenge's nonce.
    pub nonce: Cow<'a, str>,
    /// The Request-URI that was hashed.
    pub uri: Cow<'a, str>,
    /// The digest in hexadecimal digits.
    pub response: Cow<'a, str>,
    /// The challenge's algorithm.
    pub algorithm: Option<Cow<'a, str>>,
    /// What the client added to the digest.
    pub cnonce: Option<Cow<'a, str>>,
    /// The challenge's opaque.
    pub opaque: Option<Cow<'a, str>>,
    /// The quality of protection that the client chose.
    pub qop: Option<Cow<'a, str>>,
    /// How often the client used the nonce: `nc`.
    pub nonce_count: Option<u32>,
    /// Whether `username` is a hash.
    pub userhash: bool,
    /// Everything else.
    pub other: Vec<AuthParam<'a>>,
}

/// What a server says behind a success, RFC 7616 §3.5. Values are without quotes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DigestInfo<'a> {
    /// The nonce for the next request.
    pub nextnonce: Option<Cow<'a, str>>,
    /// The quality of protection of the answer.
    pub qop: Option<Cow<'a, str>>,
    /// The server's own digest.
    pub rspauth: Option<Cow<'a, str>>,
    /// The client's cnonce.
    pub cnonce: Option<Cow<'a, str>>,
    /// The client's nonce count.
    pub nonce_count: Option<u32>,
    /// Everything else.
    pub other: Vec<AuthParam<'a>>,
}

impl<'a> Challenge<'a> {
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Challenge<'a>, Malformed> {
        let scheme = read_scheme(cursor)?;
        if scheme.eq_ignore_ascii_case("Digest") {
            return DigestChallenge::read(cursor).map(Challenge::Digest);
        }
        OtherScheme::read(scheme, cursor).map(Challenge::Other)
    }

    /// The challenge, when the scheme is Digest.
    pub fn digest(&self) -> Option<&DigestChallenge<'a>> {
        match self {
            Challenge::Digest(digest) => Some(digest),
            Challenge::Other(_) => None,
        }
    }
}

impl<'a> Credentials<'a> {
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Credentials<'a>, Malformed> {
        let scheme = read_scheme(cursor)?;
        if scheme.eq_ignore_ascii_case("Digest") {
            return DigestCredentials::read(cursor).map(Credentials::Digest);
        }
        OtherScheme::read(scheme, cursor).map(Credentials::Other)
    }

    /// The credentials, when the scheme is Digest.
    pub fn digest(&self) -> Option<&DigestCredentials<'a>> {
        match self {
            Credentials::Digest(digest) => Some(digest),
            Credentials::Other(_) => None,
        }
    }
}

impl<'a> OtherScheme<'a> {
    fn read(scheme: &'a str, cursor: &mut Cursor<'a>) -> Result<OtherScheme<'a>, Malformed> {
        let rest = cursor.rest();
        grammar::check_text(rest).map_err(|e| e.behind(cursor.at()))?;
        cursor.set(cursor.at() + rest.len());
        Ok(OtherScheme { scheme, rest: grammar::trim(rest) })
    }
}

impl<'a> DigestChallenge<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Result<DigestChallenge<'a>, Malformed> {
        let mut new = DigestChallenge::default();
        let (mut realm, mut nonce, mut stale, mut userhash) = (None, None, None, None);
        read_params(cursor, |name, value, at| {
            match known(name, &["realm", "domain", "nonce", "opaque", "stale", "algorithm", "qop", "userhash"]) {
                Some("realm") => once(&mut realm, value, at),
                Some("domain") => once(&mut new.domain, value, at),
                Some("nonce") => once(&mut nonce, value, at),
                Some("opaque") => once(&mut new.opaque, value, at),
                Some("stale") => once(&mut stale, value.eq_ignore_ascii_case("true"), at),
                Some("algorithm") => once(&mut new.algorithm, value, at),
                Some("qop") => once(&mut new.qop, value, at),
                Some("userhash") => once(&mut userhash, value.eq_ignore_ascii_case("true"), at),
                _ => another(&mut new.other, name, value),
            }
        })?;
        new.realm = required(realm, "a realm", cursor)?;
        new.nonce = required(nonce, "a nonce", cursor)?;
        new.stale = stale.unwrap_or(false);
        new.userhash = userhash.unwrap_or(false);
        Ok(new)
    }

    /// The offered qualities of protection.
    pub fn qop_options(&self) -> impl Iterator<Item = &str> {
        self.qop.as_deref().unwrap_or_default().split(',').map(grammar::trim).filter(|option| !option.is_empty())
    }
}

impl<'a> DigestCredentials<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Result<DigestCredentials<'a>, Malformed> {
        const KNOWN: &[&str] = &[
            "username",
            "username*",
            "realm",
            "nonce",
            "uri",
            "response",
            "algorithm",
            "cnonce",
            "opaque",
            "qop",
            "nc",
            "userhash",
        ];
        let mut new = DigestCredentials::default();
        let (mut username, mut realm, mut nonce, mut uri) = (None, None, None, None);
        let (mut response, mut userhash) = (None, None);
        read_params(cursor, |name, value, at| match known(name, KNOWN) {
            Some("username") => once(&mut username, value, at),
            Some("username*") => once(&mut new.username_extended, value, at),
            Some("realm") => once(&mut realm, value, at),
            Some("nonce") => once(&mut nonce, value, at),
            Some("uri") => once(&mut uri, value, at),
            Some("response") => once(&mut response, value, at),
            Some("algorithm") => once(&mut new.algorithm, value, at),
            Some("cnonce") => once(&mut new.cnonce, value, at),
            Some("opaque") => once(&mut new.opaque, value, at),
            Some("qop") => once(&mut new.qop, value, at),
            Some("nc") => once(&mut new.nonce_count, nonce_count(&value, at)?, at),
            Some("userhash") => once(&mut userhash, value.eq_ignore_ascii_case("true"), at),
            _ => another(&mut new.other, name, value),
        })?;
        // RFC 7616 §3.4: one of them, never both.
        if username.is_some() == new.username_extended.is_some() {
            return cursor.expected("either username or username*");
        }
        new.username = username.unwrap_or_default();
        new.realm = required(realm, "a realm", cursor)?;
        new.nonce = required(nonce, "a nonce", cursor)?;
        new.uri = required(uri, "a uri", cursor)?;
        new.response = required(response, "a response", cursor)?;
        new.userhash = userhash.unwrap_or(false);
        Ok(new)
    }
}

impl<'a> DigestInfo<'a> {
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<DigestInfo<'a>, Malformed> {
        let mut new = DigestInfo::default();
        read_params(cursor, |name, value, at| match known(name, &["nextnonce", "qop", "rspauth", "cnonce", "nc"]) {
            Some("nextnonce") => once(&mut new.nextnonce, value, at),
            Some("qop") => once(&mut new.qop, value, at),
            Some("rspauth") => once(&mut new.rspauth, value, at),
            Some("cnonce") => once(&mut new.cnonce, value, at),
            Some("nc") => once(&mut new.nonce_count, nonce_count(&value, at)?, at),
            _ => another(&mut new.other, name, value),
        })?;
        Ok(new)
    }
}

impl fmt::Display for Challenge<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Challenge::Digest(digest) => digest.fmt(f),
            Challenge::Other(other) => other.fmt(f),
        }
    }
}

impl fmt::Display for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credentials::Digest(digest) => digest.fmt(f),
            Credentials::Other(other) => other.fmt(f),
        }
    }
}

impl fmt::Display for OtherScheme<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rest {
            "" => f.write_str(self.scheme),
            rest => write!(f, "{} {rest}", self.scheme),
        }
    }
}

impl fmt::Display for DigestChallenge<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = List::after("Digest ", f);
        list.quoted("realm", Some(&self.realm))?;
        list.quoted("domain", self.domain.as_ref())?;
        list.quoted("nonce", Some(&self.nonce))?;
        list.quoted("opaque", self.opaque.as_ref())?;
        list.flag("stale", self.stale)?;
        list.token("algorithm", self.algorithm.as_ref())?;
        list.quoted("qop", self.qop.as_ref())?;
        list.flag("userhash", self.userhash)?;
        list.others(&self.other)
    }
}

impl fmt::Display for DigestCredentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = List::after("Digest ", f);
        match &self.username_extended {
            Some(extended) => list.token("username*", Some(extended))?,
            None => list.quoted("username", Some(&self.username))?,
        }
        list.quoted("realm", Some(&self.realm))?;
        list.quoted("nonce", Some(&self.nonce))?;
        list.quoted("uri", Some(&self.uri))?;
        list.quoted("response", Some(&self.response))?;
        list.token("algorithm", self.algorithm.as_ref())?;
        list.quoted("cnonce", self.cnonce.as_ref())?;
        list.quoted("opaque", self.opaque.as_ref())?;
        list.token("qop", self.qop.as_ref())?;
        list.count(self.nonce_count)?;
        list.flag("userhash", self.userhash)?;
        list.others(&self.other)
    }
}

impl fmt::Display for DigestInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = List::after("", f);
        list.quoted("nextnonce", self.nextnonce.as_ref())?;
        list.token("qop", self.qop.as_ref())?;
        list.quoted("rspauth", self.rspauth.as_ref())?;
        list.quoted("cnonce", self.cnonce.as_ref())?;
        list.count(self.nonce_count)?;
        list.others(&self.other)
    }
}

/// Writes parameters with commas between.
struct List<'f, 'g> {
    before: &'static str,
    f: &'f mut fmt::Formatter<'g>,
}

impl<'f, 'g> List<'f, 'g> {
    fn after(before: &'static str, f: &'f mut fmt::Formatter<'g>) -> List<'f, 'g> {
        List { before, f }
    }

    fn name(&mut self, name: &str) -> fmt::Result {
        let before = std::mem::replace(&mut self.before, ", ");
        write!(self.f, "{before}{name}=")
    }

    fn quoted(&mut self, name: &str, value: Option<&Cow<'_, str>>) -> fmt::Result {
        let Some(value) = value else { return Ok(()) };
        self.name(name)?;
        grammar::write_quoted(self.f, value)
    }

    /// A token; what is none must be quoted to stay one value.
    fn token(&mut self, name: &str, value: Option<&Cow<'_, str>>) -> fmt::Result {
        match value {
            Some(value) if grammar::is_token(value) => {
                self.name(name)?;
                self.f.write_str(value)
            }
            other => self.quoted(name, other),
        }
    }

    fn flag(&mut self, name: &str, value: bool) -> fmt::Result {
        if !value {
            return Ok(());
        }
        self.name(name)?;
        self.f.write_str("true")
    }

    fn count(&mut self, value: Option<u32>) -> fmt::Result {
        let Some(value) = value else { return Ok(()) };
        self.name("nc")?;
        write!(self.f, "{value:08x}")
    }

    fn others(&mut self, others: &[AuthParam<'_>]) -> fmt::Result {
        others.iter().try_for_each(|(name, value)| self.quoted(name, Some(value)))
    }
}

fn read_scheme<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, Malformed> {
    let scheme = cursor.token()?;
    if !cursor.lws() && !cursor.is_end() {
        return cursor.expected("white space behind the scheme");
    }
    Ok(scheme)
}

/// `auth-param *( COMMA auth-param )`, up to the end of the value.
fn read_params<'a>(
    cursor: &mut Cursor<'a>,
    mut take: impl FnMut(&'a str, Cow<'a, str>, usize) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    loop {
        let at = cursor.at();
        let name = cursor.token()?;
        if !cursor.separator(b'=') {
            return cursor.expected("\"=\"");
        }
        let value = match cursor.peek() {
            Some(b'"') => grammar::unquote(cursor.quoted()?),
            _ => Cow::Borrowed(cursor.token()?),
        };
        take(name, value, at)?;
        if !cursor.separator(b',') {
            return Ok(());
        }
    }
}

/// The name in `names` that `name` is in any case.
fn known(name: &str, names: &[&'static str]) -> Option<&'static str> {
    names.iter().copied().find(|known| known.eq_ignore_ascii_case(name))
}

fn once<T>(field: &mut Option<T>, value: T, at: usize) -> Result<(), Malformed> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(Malformed::new("a parameter that did not stand before", at)),
    }
}

fn another<'a>(others: &mut Vec<AuthParam<'a>>, name: &'a str, value: Cow<'a, str>) -> Result<(), Malformed> {
    others.push((name, value));
    Ok(())
}

fn required<'a>(
    value: Option<Cow<'a, str>>,
    expected: &'static str,
    cursor: &Cursor<'_>,
) -> Result<Cow<'a, str>, Malformed> {
    value.ok_or(Malformed::new(expected, cursor.at()))
}

/// `nc-value = 8LHEX`
fn nonce_count(value: &str, at: usize) -> Result<u32, Malformed> {
    let digits = value.len() == 8 && value.bytes().all(|o| o.is_ascii_hexdigit());
    let count = u32::from_str_radix(value, 16).ok().filter(|_| digits);
    count.ok_or(Malformed::new("eight hexadecimal digits as nc", at))
}
