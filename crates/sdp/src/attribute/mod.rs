//! Attributes, the `a=` lines (RFC 8866 §5.13, §6).
//!
//! They are kept as they came, in their order; [`TypedAttribute`] is a view of one
//! that we understand. To teach the crate another attribute: one type, one
//! implementation of the trait, in a file named after its RFC's subject.

mod crypto;
mod direction;
mod dtls;
mod group;
mod ice;
mod packet_time;
mod rtcp;
mod rtpmap;

pub use crypto::{Crypto, CryptoSuite, InlineKey, MasterKeyIdentifier};
pub use direction::Direction;
pub use dtls::{Fingerprint, Setup};
pub use group::{Group, Mid};
pub(crate) use ice::NAMES as ICE_NAMES;
pub use ice::{
    Candidate, CandidateType, EndOfCandidates, IceLite, IceMismatch, IceOptions, IcePwd, IceUfrag, RemoteCandidate,
    RemoteCandidates,
};
pub use packet_time::{MaxPacketTime, PacketTime};
pub use rtcp::{Rtcp, RtcpMux};
pub(crate) use rtpmap::parameter;
pub use rtpmap::{Fmtp, Rtpmap};

use crate::text::{InvalidText, Text};

/// One `a=` line: `<name>` or `<name>:<value>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    name: Text,
    value: Option<Text>,
}

/// The `a=` lines of one level in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes(Vec<Attribute>);

/// The value of an attribute that this crate understands.
pub trait TypedAttribute: Sized {
    /// What stands before the colon.
    const NAME: &'static str;

    /// Reads what stands behind the colon; empty for a property attribute.
    fn parse(value: &str) -> Result<Self, AttributeError>;

    /// What stands behind the colon; `None` for a property attribute.
    fn value(&self) -> Option<Text>;
}

/// Why the value of an attribute is not understood. The peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributeError {
    /// The value is not of the form its RFC gives.
    Malformed {
        /// The attribute.
        name: &'static str,
    },
    /// Key and salt of an `a=crypto` do not have the length that the suite needs.
    KeyLength {
        /// Octets that the suite needs.
        expected: usize,
        /// Octets that came.
        found: usize,
    },
}

impl Attribute {
    /// A property attribute, `a=<name>`.
    pub fn property(name: &str) -> Result<Attribute, InvalidText> {
        Ok(Attribute { name: attribute_name(name)?, value: None })
    }

    /// A value attribute, `a=<name>:<value>`.
    pub fn new(name: &str, value: impl Into<String>) -> Result<Attribute, InvalidText> {
        Ok(Attribute { name: attribute_name(name)?, value: Some(Text::new(value)?) })
    }

    /// The line of a typed value.
    pub fn of<T: TypedAttribute>(typed: &T) -> Attribute {
        Attribute { name: crate::text::composed(T::NAME), value: typed.value() }
    }

    /// Reads what stands behind `a=`, which may be nothing at all.
    pub(crate) fn parse(line: &str) -> Option<Attribute> {
        let (name, value) = match line.split_once(':') {
            Some((name, value)) => (name, Some(Text::new(value).ok()?)),
            None => (line, None),
        };
        Some(Attribute { name: Text::new(name).ok()?, value })
    }

    /// What stands before the colon.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What stands behind the colon, if there is one.
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }

    /// Whether this is the attribute of that name. Letter case is ignored: no two
    /// registered names differ by it, and some gateways write capitals.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

fn attribute_name(name: &str) -> Result<Text, InvalidText> {
    if name.is_empty() {
        return Err(InvalidText::Empty);
    }
    if name.contains(':') {
        return Err(InvalidText::Colon);
    }
    Text::new(name)
}

impl Attributes {
    /// All lines in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Attribute> {
        self.0.iter()
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends a line.
    pub fn push(&mut self, attribute: Attribute) {
        self.0.push(attribute);
    }

    /// Appends the line of a typed value.
    pub fn push_typed<T: TypedAttribute>(&mut self, typed: &T) {
        self.push(Attribute::of(typed));
    }

    /// Whether there is a line of that name.
    pub fn has(&self, name: &str) -> bool {
        self.iter().any(|attribute| attribute.is(name))
    }

    /// The value of the first line of that name, if it has one.
    pub fn value<'a>(&'a self, name: &str) -> Option<&'a str> {
        self.iter().find(|attribute| attribute.is(name)).and_then(Attribute::value)
    }

    /// The values of all lines of that name: candidates, ssrc, extmap, whatever
    /// this crate has no type for.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter().filter(move |attribute| attribute.is(name)).filter_map(Attribute::value)
    }

    /// All lines of a kind that we understand, with those we cannot read as errors.
    pub fn typed<T: TypedAttribute>(&self) -> impl Iterator<Item = Result<T, AttributeError>> + '_ {
        self.iter()
            .filter(|attribute| attribute.is(T::NAME))
            .map(|attribute| T::parse(attribute.value().unwrap_or_default()))
    }

    /// The direction that this level states, if any (RFC 8866 §6.7).
    pub fn direction(&self) -> Option<Direction> {
        self.iter()
            .filter(|attribute| attribute.value.is_none())
            .find_map(|attribute| Direction::from_name(&attribute.name))
    }

    /// States the direction of this level in place of whatever it stated.
    pub fn set_direction(&mut self, direction: Direction) {
        self.0.retain(|attribute| Direction::from_name(&attribute.name).is_none());
        self.push(Attribute { name: crate::text::composed(direction.name()), value: None });
    }

    /// Removes all lines of that name.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|attribute| !attribute.is(name));
    }

    /// The user name fragment of ICE (RFC 8839 §5.4), not interpreted.
    pub fn ice_ufrag(&self) -> Option<&str> {
        self.value("ice-ufrag")
    }

    /// The password of ICE (RFC 8839 §5.4), not interpreted.
    pub fn ice_pwd(&self) -> Option<&str> {
        self.value("ice-pwd")
    }

    /// The options of ICE (RFC 8839 §5.6).
    pub fn ice_options(&self) -> impl Iterator<Item = &str> {
        let options = self.value("ice-options").unwrap_or_default();
        options.split_ascii_whitespace()
    }

    /// The candidates of ICE (RFC 8839 §5.1), not interpreted.
    pub fn candidates(&self) -> impl Iterator<Item = &str> {
        self.values("candidate")
    }

    /// The `a=ssrc` lines (RFC 5576), not interpreted.
    pub fn ssrcs(&self) -> impl Iterator<Item = &str> {
        self.values("ssrc")
    }
}

impl<'a> IntoIterator for &'a Attributes {
    type Item = &'a Attribute;
    type IntoIter = std::slice::Iter<'a, Attribute>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromIterator<Attribute> for Attributes {
    fn from_iter<I: IntoIterator<Item = Attribute>>(attributes: I) -> Attributes {
        Attributes(attributes.into_iter().collect())
    }
}

impl Extend<Attribute> for Attributes {
    fn extend<I: IntoIterator<Item = Attribute>>(&mut self, attributes: I) {
        self.0.extend(attributes);
    }
}

impl std::fmt::Display for AttributeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AttributeError::Malformed { name } => write!(f, "malformed a={name}"),
            AttributeError::KeyLength { expected, found } => {
                write!(f, "a=crypto with {found} octets of key and salt instead of {expected}")
            }
        }
    }
}

impl std::error::Error for AttributeError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direction_replaces_the_one_before() {
        let mut attributes = Attributes::default();
        attributes.set_direction(Direction::SendOnly);
        attributes.set_direction(Direction::Inactive);
        assert_eq!(attributes.len(), 1);
        assert_eq!(attributes.direction(), Some(Direction::Inactive));
    }

    #[test]
    fn a_name_cannot_hold_a_colon_nor_a_line_break() {
        assert_eq!(Attribute::property("a:b"), Err(InvalidText::Colon));
        assert_eq!(Attribute::new("a", "b\nm=x"), Err(InvalidText::LineBreak));
        assert_eq!(Attribute::property(""), Err(InvalidText::Empty));
    }
}
