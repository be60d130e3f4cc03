//! Contact, RFC 3261 §20.10; `+sip.instance`, `reg-id`: RFC 5626; `pub-gruu`, `temp-gruu`: RFC 5627; features: RFC 3840.

use std::borrow::Cow;
use std::fmt;

use super::{Malformed, QValue, typed_header};
use crate::grammar::Cursor;
use crate::name_addr::{Bare, NameAddr, NameAddrBuf};
use crate::param::{Param, Params};
use crate::uri::Uri;

/// One value of Contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contact<'a> {
    /// `*`: all bindings, in a REGISTER with `Expires: 0` (RFC 3261 §10.2.2).
    Star,
    /// An address.
    Address(ContactAddress<'a>),
}

/// An address at which somebody is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactAddress<'a>(NameAddr<'a>);

impl<'a> Contact<'a> {
    /// A value of a URI alone.
    pub fn new(uri: Uri<'a>) -> Contact<'a> {
        Contact::Address(ContactAddress::new(uri))
    }

    #[inline]
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Contact<'a>, Malformed> {
        // "*" is also a token, and so may start a display name.
        if cursor.peek() == Some(b'*') && matches!(cursor.rest().trim_end_matches([' ', '\t']), "*") {
            cursor.eat(b'*');
            return Ok(Contact::Star);
        }
        let address = NameAddr::read(cursor, Bare::Allowed, check_param)?;
        Ok(Contact::Address(ContactAddress(address)))
    }

    /// The address; `None` for `*`.
    pub fn address(&self) -> Option<&ContactAddress<'a>> {
        match self {
            Contact::Star => None,
            Contact::Address(address) => Some(address),
        }
    }

    /// The address's URI; `None` for `*`.
    pub fn uri(&self) -> Option<Uri<'a>> {
        self.address().map(ContactAddress::uri)
    }
}

impl<'a> ContactAddress<'a> {
    /// A value of a URI alone.
    pub fn new(uri: Uri<'a>) -> ContactAddress<'a> {
        ContactAddress(NameAddr::new(uri))
    }

    /// The URI.
    pub fn uri(&self) -> Uri<'a> {
        self.0.uri()
    }

    /// The display name without quotes and escapes.
    pub fn display_name(&self) -> Option<Cow<'_, str>> {
        self.0.display_name()
    }

    /// For how many seconds the binding shall live.
    pub fn expires(&self) -> Option<u32> {
        self.params().get("expires")?.number("", 0).ok()
    }

    /// The preference among several.
    pub fn q(&self) -> Option<QValue> {
        self.params().value("q").and_then(QValue::parse)
    }

    /// The device's identifier, a URN without its `<>` (RFC 5626 §4.1).
    pub fn instance(&self) -> Option<Cow<'_, str>> {
        let value = self.params().unquoted("+sip.instance")?;
        Some(match value {
            Cow::Borrowed(text) => Cow::Borrowed(without_brackets(text)),
            Cow::Owned(text) => Cow::Owned(without_brackets(&text).to_owned()),
        })
    }

    /// Which of the device's flows this is: 1 to 2^31 - 1 (RFC 5626 §4.2).
    pub fn reg_id(&self) -> Option<u32> {
        self.params().get("reg-id")?.number("", 0).ok()
    }

    /// The public GRUU that the registrar gave (RFC 5627 §4.2).
    pub fn pub_gruu(&self) -> Option<Cow<'_, str>> {
        self.params().unquoted("pub-gruu")
    }

    /// The temporary GRUU that the registrar gave (RFC 5627 §4.2).
    pub fn temp_gruu(&self) -> Option<Cow<'_, str>> {
        self.params().unquoted("temp-gruu")
    }

    /// All header parameters.
    pub fn params(&self) -> &Params<'a> {
        self.0.params()
    }

    /// The whole value.
    pub fn name_addr(&self) -> &NameAddr<'a> {
        &self.0
    }

    /// The whole value, owned.
    pub fn to_buf(&self) -> NameAddrBuf {
        self.0.to_buf()
    }

    /// The same with a display name, which gets quotes.
    pub fn with_display_name(self, name: &str) -> Result<ContactAddress<'a>, Malformed> {
        self.0.with_display_name(name).map(ContactAddress)
    }

    /// The same with a lifetime in seconds.
    pub fn with_expires(mut self, seconds: u32) -> ContactAddress<'a> {
        self.0.params_mut().put("expires", Some(&seconds.to_string()));
        self
    }

    /// The same with a preference.
    pub fn with_q(mut self, q: QValue) -> ContactAddress<'a> {
        self.0.params_mut().put("q", Some(&q.to_string()));
        self
    }

    /// The same with the device's identifier, a URN without `<>`.
    pub fn with_instance(mut self, urn: &str) -> Result<ContactAddress<'a>, Malformed> {
        Uri::parse(urn).map_err(|e| e.behind(0))?;
        self.0.params_mut().set_quoted("+sip.instance", &format!("<{urn}>"))?;
        Ok(self)
    }

    /// The same with the number of a flow.
    pub fn with_reg_id(mut self, id: u32) -> ContactAddress<'a> {
        self.0.params_mut().put("reg-id", Some(&id.to_string()));
        self
    }

    /// The same with the GRUUs that the registrar gives.
    pub fn with_gruus(mut self, public: Uri<'_>, temporary: Uri<'_>) -> Result<ContactAddress<'a>, Malformed> {
        self.0.params_mut().set_quoted("pub-gruu", public.as_str())?;
        self.0.params_mut().set_quoted("temp-gruu", temporary.as_str())?;
        Ok(self)
    }

    /// The same with a header parameter. A value of `q` or `expires` must be one.
    pub fn with_param(mut self, name: &str, value: &str) -> Result<ContactAddress<'a>, Malformed> {
        check_param(Param { name, value: Some(value) }, 0)?;
        self.0.params_mut().set(name, value)?;
        Ok(self)
    }

    /// The same with a parameter that has no value.
    pub fn with_flag(mut self, name: &str) -> Result<ContactAddress<'a>, Malformed> {
        check_param(Param { name, value: None }, 0)?;
        self.0.params_mut().set_flag(name)?;
        Ok(self)
    }
}

typed_header!(Contact, true);

impl<'a> std::convert::From<ContactAddress<'a>> for Contact<'a> {
    fn from(address: ContactAddress<'a>) -> Contact<'a> {
        Contact::Address(address)
    }
}

impl fmt::Display for Contact<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Contact::Star => f.write_str("*"),
            Contact::Address(address) => address.fmt(f),
        }
    }
}

impl fmt::Display for ContactAddress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn check_param(param: Param<'_>, at: usize) -> Result<(), Malformed> {
    match param.name.len() {
        1 if param.name.eq_ignore_ascii_case("q") => QValue::read(param.value, at).map(drop),
        7 if param.name.eq_ignore_ascii_case("expires") => param.number("seconds as expires", at).map(drop),
        6 if param.name.eq_ignore_ascii_case("reg-id") => param.number("a number as reg-id", at).map(drop),
        _ => Ok(()),
    }
}

fn without_brackets(text: &str) -> &str {
    text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::super::{TypedHeader, assert_prints, assert_refuses};
    use super::*;
    use crate::uri::UriBuf;

    /// RFC 3261 §20.10, RFC 4475 §3.1.1.1, RFC 5627 §4.2.
    #[test]
    fn a_contact_reads_and_prints() {
        let contact: Contact = assert_prints(
            "\"Mr. Watson\" <sip:watson@worcester.bell-telephone.com>\t;q=0.7; expires=3600",
            "\"Mr. Watson\" <sip:watson@worcester.bell-telephone.com>;q=0.7; expires=3600",
        );
        let address = contact.address().unwrap();
        assert_eq!((address.q(), address.expires()), (QValue::new(700), Some(3600)));
        let text = "<sip:callee@192.0.2.1>;pub-gruu=\"sip:callee@example.com;gr=urn:uuid:f8\";temp-gruu=\"sip:tgruu.7hs==@example.com;gr\";+sip.instance=\"<urn:uuid:f8>\";reg-id=1";
        let contact: Contact = assert_prints(text, text);
        let address = contact.address().unwrap();
        assert_eq!(address.instance().as_deref(), Some("urn:uuid:f8"));
        assert_eq!(address.pub_gruu().as_deref(), Some("sip:callee@example.com;gr=urn:uuid:f8"));
        assert_eq!(
            (address.temp_gruu().as_deref(), address.reg_id()),
            (Some("sip:tgruu.7hs==@example.com;gr"), Some(1))
        );
    }

    #[test]
    fn a_star_is_all_bindings_and_a_starry_name_is_not() {
        assert_eq!(assert_prints::<Contact>("* ", "*"), Contact::Star);
        assert_prints::<Contact>("* <sip:a@b>", "* <sip:a@b>").address().unwrap();
        assert_refuses::<Contact>(&["*;expires=0", "**", ""]);
    }

    #[test]
    fn a_contact_is_built() {
        let uri = UriBuf::parse("sip:a@192.0.2.1;ob").unwrap();
        let address =
            ContactAddress::new(uri.as_uri()).with_instance("urn:uuid:1").unwrap().with_reg_id(2).with_q(QValue::ONE);
        let contact = Contact::from(address.with_expires(60).with_flag("audio").unwrap());
        assert_eq!(
            contact.to_string(),
            "<sip:a@192.0.2.1;ob>;+sip.instance=\"<urn:uuid:1>\";reg-id=2;q=1;expires=60;audio"
        );
        assert_eq!(Contact::parse(&contact.to_string()).unwrap(), contact);
        assert!(ContactAddress::new(uri.as_uri()).with_param("q", "2").is_err());
    }

    /// RFC 4475 §3.1.2.1, §3.1.2.4, §3.1.2.13.
    #[test]
    fn what_is_no_contact_is_refused() {
        assert_refuses::<Contact>(&[
            "\"Joe\" <sip:joe@example.org>;;;;",
            "<sip:user@host129.example.com>;expires=280297596632815",
            "sip:user@example.com?Route=%3Csip:sip.example.com%3E",
            "<sip:a@b>;q=1.5",
            "<sip:a@b>;expires",
            "<sip:a@b>;expires=\"Thu, 01 Dec 1994 16:00:00 GMT\"",
        ]);
    }
}
