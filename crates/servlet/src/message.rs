//! `SipServletMessage`: what requests and responses have in common.

use std::any::Any;
use std::cell::{Ref, RefCell, RefMut};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use sip_message::{Flow, HeaderName, Headers, Message, Method, Transport, ValueError};

use crate::address::Address;
use crate::content::Charset;
use crate::error::{Error, IllegalArgument, IllegalState};
use crate::header_rules::{self, HeaderContext};
use crate::parameterable::Parameterable;
use crate::request::SipServletRequest;
use crate::response::SipServletResponse;
use crate::session::SipSession;
use crate::session_keep_alive::KeepAlivePreference;
use crate::sip_application_session::SipApplicationSession;
use crate::spi::{Direction, Facts, Host};

/// A request or a response; both lend its methods.
///
/// Cheap to clone; clones are the same message. A message that was sent is *committed* and can't be changed any more:
/// every setter then gives [`IllegalState::Committed`] and changes nothing.
#[derive(Clone)]
pub struct SipServletMessage(pub(crate) Rc<Inner>);

pub(crate) struct Inner {
    pub(crate) host: Host,
    pub(crate) sip: RefCell<Message>,
    pub(crate) facts: Facts,
}

/// Which form header names are printed in (RFC 3261 §7.3.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeaderForm {
    /// All of them short, where there is a short form.
    Compact,
    /// All of them long.
    Long,
    /// As they came, or as the application wrote them.
    #[default]
    Default,
}

/// A body, as far as its type tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// There is none.
    Empty,
    /// `text/*`, in the message's character encoding.
    Text(String),
    /// Anything else.
    Octets(Bytes),
}

impl SipServletMessage {
    pub(crate) fn attach(host: Host, message: Message, facts: Facts) -> SipServletMessage {
        SipServletMessage(Rc::new(Inner { host, sip: RefCell::new(message), facts }))
    }

    /// The From, with its tag.
    pub fn from(&self) -> Address {
        self.party(HeaderName::From)
    }

    /// The To, with its tag if it has one.
    pub fn to(&self) -> Address {
        self.party(HeaderName::To)
    }

    /// Changes From but for its tag (RFC 4916). Only before the message is sent.
    pub fn set_from(&self, address: &Address) -> Result<(), Error> {
        self.set_party(HeaderName::From, address)
    }

    /// Changes To but for its tag. Only before the message is sent.
    pub fn set_to(&self, address: &Address) -> Result<(), Error> {
        self.set_party(HeaderName::To, address)
    }

    /// Wishes something for the Contact of a message of ours that the container puts one into: of `wish` count the display
    /// name, the user and the parameters, by the rules of [`crate::merge_contact`]; the address stays the container's.
    ///
    /// [`IllegalArgument::Header`] where no Contact belongs.
    pub fn set_contact(&self, wish: &Address) -> Result<(), Error> {
        if self.facts().direction == Direction::Received {
            return Err(IllegalState::ReadOnly.into());
        }
        let method = self.method();
        let context = match &*self.0.sip.borrow() {
            Message::Request(_) => HeaderContext::Request(&method),
            Message::Response(response) => HeaderContext::Response(&method, response.status()),
        };
        if !header_rules::may_appear_in(HeaderName::Contact, context) {
            return Err(IllegalArgument::Header("Contact".into()).into());
        }
        let mut message = self.edit()?;
        message.headers_mut().set(HeaderName::Contact, wish).map_err(|error| illegal_value("Contact", &error))
    }

    /// The method; of a response, that of the request that it answers.
    pub fn method(&self) -> Method {
        match &*self.0.sip.borrow() {
            Message::Request(request) => request.method().clone(),
            Message::Response(response) => response
                .headers()
                .first(HeaderName::Cseq)
                .and_then(|cseq| cseq.rsplit(char::is_whitespace).next())
                .and_then(Method::parse)
                .unwrap_or(Method::Other("UNKNOWN".into())),
        }
    }

    /// Always `SIP/2.0`.
    pub fn protocol(&self) -> &'static str {
        "SIP/2.0"
    }

    /// The Call-ID.
    pub fn call_id(&self) -> String {
        self.headers_ref().first(HeaderName::CallId).unwrap_or_default().to_owned()
    }

    // ----- headers -----

    /// The first value of a header; long and compact names are the same header. `Some("")` when it is there and empty.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers(name).into_iter().next()
    }

    /// All values of a header, in order.
    pub fn headers(&self, name: &str) -> Vec<String> {
        let headers = self.headers_ref();
        match HeaderName::lookup(name) {
            HeaderName::Extension => headers.extension(name).map(str::to_owned).collect(),
            known => headers.values(known).map(str::to_owned).collect(),
        }
    }

    /// The names of the headers that are there, each once, in the order of their first appearance.
    pub fn header_names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (name, _) in self.headers_ref().iter() {
            let name = match HeaderName::lookup(name) {
                HeaderName::Extension => name,
                known => known.as_str(),
            };
            if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                names.push(name.to_owned());
            }
        }
        names
    }

    /// Replaces all values of a header. [`IllegalArgument::SystemHeader`] for those that the container sets.
    pub fn set_header(&self, name: &str, value: &str) -> Result<(), Error> {
        self.check_header(name)?;
        let mut message = self.edit()?;
        let headers = message.headers_mut();
        match HeaderName::lookup(name) {
            HeaderName::Extension => {
                let mut checked = Headers::new();
                checked.push_extension(name, value).map_err(|error| illegal_value(name, &error))?;
                headers.remove_extension(name);
                headers.push_extension(name, value).map_err(|error| illegal_value(name, &error))
            }
            known => headers.set(known, value).map_err(|error| illegal_value(name, &error)),
        }
    }

    /// Adds a value behind those that are there.
    pub fn add_header(&self, name: &str, value: &str) -> Result<(), Error> {
        self.check_header(name)?;
        let mut message = self.edit()?;
        let headers = message.headers_mut();
        let added = match HeaderName::lookup(name) {
            HeaderName::Extension => headers.push_extension(name, value),
            known if known.is_single() && headers.contains(known) => {
                return Err(IllegalArgument::Header(name.into()).into());
            }
            known => headers.push(known, value),
        };
        added.map_err(|error| illegal_value(name, &error))
    }

    /// Removes all values of a header; nothing happens when there are none.
    pub fn remove_header(&self, name: &str) -> Result<(), Error> {
        self.check_header(name)?;
        let mut message = self.edit()?;
        match HeaderName::lookup(name) {
            HeaderName::Extension => message.headers_mut().remove_extension(name),
            known => message.headers_mut().remove(known),
        };
        Ok(())
    }

    /// The first value of an address header, such as Contact, Refer-To or P-Asserted-Identity.
    pub fn address_header(&self, name: &str) -> Result<Option<Address>, Error> {
        Ok(self.address_headers(name)?.into_iter().next())
    }

    /// All values of an address header.
    pub fn address_headers(&self, name: &str) -> Result<Vec<Address>, Error> {
        self.headers(name).iter().map(|value| Address::parse(value).map_err(Error::from)).collect()
    }

    /// Replaces all values of an address header.
    pub fn set_address_header(&self, name: &str, address: &Address) -> Result<(), Error> {
        check_kind(name, header_rules::is_address_header(name))?;
        self.set_header(name, &address.to_string())
    }

    /// Adds a value to an address header: in front, or behind.
    pub fn add_address_header(&self, name: &str, address: &Address, first: bool) -> Result<(), Error> {
        check_kind(name, header_rules::is_address_header(name))?;
        if first { self.push_front(name, &address.to_string()) } else { self.add_header(name, &address.to_string()) }
    }

    /// The first value of a header of the form `value;parameters`.
    pub fn parameterable_header(&self, name: &str) -> Result<Option<Parameterable>, Error> {
        Ok(self.parameterable_headers(name)?.into_iter().next())
    }

    /// All values of such a header.
    pub fn parameterable_headers(&self, name: &str) -> Result<Vec<Parameterable>, Error> {
        check_kind(name, header_rules::is_parameterable_header(name))?;
        self.headers(name).iter().map(|value| Parameterable::parse(value).map_err(Error::from)).collect()
    }

    /// Replaces all values of such a header.
    pub fn set_parameterable_header(&self, name: &str, value: &Parameterable) -> Result<(), Error> {
        check_kind(name, header_rules::is_parameterable_header(name))?;
        self.set_header(name, &value.to_string())
    }

    /// Adds a value to such a header: in front, or behind.
    pub fn add_parameterable_header(&self, name: &str, value: &Parameterable, first: bool) -> Result<(), Error> {
        check_kind(name, header_rules::is_parameterable_header(name))?;
        if first { self.push_front(name, &value.to_string()) } else { self.add_header(name, &value.to_string()) }
    }

    /// Which form header names are printed in.
    pub fn header_form(&self) -> HeaderForm {
        self.facts().header_form.get()
    }

    /// Chooses the form that header names are printed in.
    pub fn set_header_form(&self, form: HeaderForm) {
        self.facts().header_form.set(form);
    }

    /// The Expires header, in seconds; `None` when there is none that can be read.
    pub fn expires(&self) -> Option<Duration> {
        let seconds = self.headers_ref().first(HeaderName::Expires)?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds))
    }

    /// Sets the Expires header, to whole seconds.
    pub fn set_expires(&self, after: Duration) -> Result<(), Error> {
        let seconds = u32::try_from(after.as_secs()).map_err(|_| IllegalArgument::OutOfRange("Expires".into()))?;
        self.set_header("Expires", &seconds.to_string())
    }

    /// The language that the sender likes best (RFC 3261 §20.3); `None` when it says nothing.
    pub fn accept_language(&self) -> Option<String> {
        self.accept_languages().into_iter().next()
    }

    /// The languages that the sender understands, the best liked first.
    pub fn accept_languages(&self) -> Vec<String> {
        crate::content::by_preference(&self.headers("Accept-Language"))
    }

    /// Says which language is understood; `None` takes back what was said.
    pub fn set_accept_language(&self, language: Option<&str>) -> Result<(), Error> {
        match language {
            Some(language) => self.set_header("Accept-Language", language),
            None => self.remove_header("Accept-Language"),
        }
    }

    /// Says of one more language that it is understood, less well than those before it.
    pub fn add_accept_language(&self, language: &str) -> Result<(), Error> {
        self.add_header("Accept-Language", language)
    }

    /// The language of the body.
    pub fn content_language(&self) -> Option<String> {
        self.header("Content-Language")
    }

    /// Says the language of the body.
    pub fn set_content_language(&self, language: &str) -> Result<(), Error> {
        self.set_header("Content-Language", language)
    }

    // ----- body -----

    /// The Content-Type.
    pub fn content_type(&self) -> Option<String> {
        self.headers_ref().first(HeaderName::ContentType).map(str::to_owned)
    }

    /// Changes the Content-Type of the body that is there.
    pub fn set_content_type(&self, content_type: &str) -> Result<(), Error> {
        self.set_header("Content-Type", content_type)
    }

    /// The length of the body in octets. There is no setter: the length is what the body has.
    pub fn content_length(&self) -> usize {
        self.0.sip.borrow().body().len()
    }

    /// The character encoding: of the Content-Type, or as it was set. UTF-8 when nobody says.
    pub fn character_encoding(&self) -> Option<String> {
        if let Some(encoding) = &self.facts().more.borrow().encoding {
            return Some(encoding.to_string());
        }
        let content_type = Parameterable::parse(&self.content_type()?).ok()?;
        content_type.parameter("charset")
    }

    /// Chooses the encoding that text is read and written in. UTF-8, US-ASCII and ISO-8859-1 are known; others are
    /// refused.
    pub fn set_character_encoding(&self, encoding: &str) -> Result<(), Error> {
        Charset::parse(encoding).ok_or_else(|| IllegalArgument::Name(encoding.into()))?;
        self.facts().more.borrow_mut().encoding = Some(encoding.into());
        Ok(())
    }

    /// The body's octets.
    pub fn raw_content(&self) -> Bytes {
        self.0.sip.borrow().body().clone()
    }

    /// The body: text where the Content-Type says that it is text.
    pub fn content(&self) -> Result<Content, Error> {
        let octets = self.raw_content();
        if octets.is_empty() {
            return Ok(Content::Empty);
        }
        if !self.content_type().is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/")) {
            return Ok(Content::Octets(octets));
        }
        self.charset().decode(&octets).map(Content::Text).ok_or(Error::IllegalArgument(IllegalArgument::Content))
    }

    /// Sets the body and its type. Octets go with every type.
    pub fn set_content(&self, content: impl Into<Bytes>, content_type: &str) -> Result<(), Error> {
        let mut message = self.edit()?;
        let set = match &mut *message {
            Message::Request(request) => request.set_body(content_type, content),
            Message::Response(response) => response.set_body(content_type, content),
        };
        set.map_err(|error| illegal_value("Content-Type", &error))
    }

    /// Sets a body of text in the message's character encoding.
    pub fn set_text(&self, text: &str, content_type: &str) -> Result<(), Error> {
        let octets = self.charset().encode(text).ok_or(IllegalArgument::Content)?;
        self.set_content(octets, content_type)
    }

    // ----- sessions and attributes -----

    /// The SIP session; made when there is none yet.
    pub fn session(&self) -> Result<SipSession, Error> {
        self.host().session_of_message(self)
    }

    /// The application session; made when there is none yet.
    pub fn application_session(&self) -> Result<SipApplicationSession, Error> {
        self.host().app_session_of_message(self)
    }

    /// An attribute of this message.
    pub fn attribute<T: 'static>(&self, name: &str) -> Option<Rc<T>> {
        let more = self.facts().more.borrow();
        let (_, value) = more.attributes.iter().find(|(known, _)| &**known == name)?;
        Rc::clone(value).downcast().ok()
    }

    /// The names of this message's attributes.
    pub fn attribute_names(&self) -> Vec<String> {
        self.facts().more.borrow().attributes.iter().map(|(name, _)| name.to_string()).collect()
    }

    /// Binds a value to this message. It lives as long as the message does.
    pub fn set_attribute(&self, name: &str, value: impl Any) {
        self.remove_attribute(name);
        self.facts().more.borrow_mut().attributes.push((name.into(), Rc::new(value)));
    }

    /// Unbinds a value.
    pub fn remove_attribute(&self, name: &str) {
        self.facts().more.borrow_mut().attributes.retain(|(known, _)| &**known != name);
    }

    // ----- facts -----

    /// Whether the message can't be changed any more.
    pub fn is_committed(&self) -> bool {
        self.facts().committed.get()
    }

    /// Whether it came over TLS, this hop.
    pub fn is_secure(&self) -> bool {
        self.facts().flow.is_some_and(|flow| flow.transport.is_secure())
    }

    /// Whom the container has authenticated.
    pub fn remote_user(&self) -> Option<String> {
        self.facts().more.borrow().principal.as_ref().map(|principal| principal.name.to_string())
    }

    /// Whether the authenticated user has a role.
    pub fn is_user_in_role(&self, role: &str) -> bool {
        self.host().is_user_in_role(self, role)
    }

    /// Whom the container has authenticated, with the roles.
    pub fn user_principal(&self) -> Option<crate::Principal> {
        self.facts().more.borrow().principal.clone()
    }

    /// Our end of the hop that the message came on; `None` when it was made here.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.facts().flow.map(|flow| flow.local)
    }

    /// The far end of that hop.
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.facts().flow.map(|flow| flow.remote)
    }

    /// The transport of that hop.
    pub fn transport(&self) -> Option<Transport> {
        self.facts().flow.map(|flow| flow.transport)
    }

    /// The peer that the initial request came from to this container: the same for every application of a chain.
    pub fn initial_remote_addr(&self) -> Option<SocketAddr> {
        self.initial_flow().map(|flow| flow.remote)
    }

    /// The transport that it came by.
    pub fn initial_transport(&self) -> Option<Transport> {
        self.initial_flow().map(|flow| flow.transport)
    }

    /// What the application wishes of session timers (RFC 4028) for the dialog that this message begins or refreshes: an
    /// INVITE or UPDATE that it sends, or the 2xx to one. In the place of a 2xx to a peer who wants to refresh more often
    /// than `min_interval`, 422 is sent. The refreshes of the container's own are told to nobody.
    pub fn set_session_keep_alive(&self, preference: KeepAlivePreference) -> Result<(), Error> {
        drop(self.edit()?);
        self.facts().more.borrow_mut().keep_alive = Some(preference);
        Ok(())
    }

    /// What was wished.
    pub fn session_keep_alive_preference(&self) -> Option<KeepAlivePreference> {
        self.facts().more.borrow().keep_alive
    }

    /// The message as a request, if it is one.
    pub fn into_request(self) -> Option<SipServletRequest> {
        let is_request = matches!(&*self.0.sip.borrow(), Message::Request(_));
        is_request.then(|| SipServletRequest::of(self))
    }

    /// The message as a response, if it is one.
    pub fn into_response(self) -> Option<SipServletResponse> {
        let is_response = matches!(&*self.0.sip.borrow(), Message::Response(_));
        is_response.then(|| SipServletResponse::of(self))
    }

    // ----- inside -----

    fn initial_flow(&self) -> Option<Flow> {
        self.facts().initial_flow
    }

    pub(crate) fn headers_ref(&self) -> Ref<'_, Headers> {
        Ref::map(self.0.sip.borrow(), Message::headers)
    }

    /// The message, if it may be changed.
    pub(crate) fn edit(&self) -> Result<RefMut<'_, Message>, Error> {
        if self.facts().read_only.get() {
            return Err(IllegalState::ReadOnly.into());
        }
        if self.is_committed() {
            return Err(IllegalState::Committed.into());
        }
        Ok(self.0.sip.borrow_mut())
    }

    fn check_header(&self, name: &str) -> Result<(), Error> {
        let method = self.method();
        let context = match &*self.0.sip.borrow() {
            Message::Request(_) => HeaderContext::Request(&method),
            Message::Response(response) => HeaderContext::Response(&method, response.status()),
        };
        if header_rules::is_system_header(name, context) {
            return Err(IllegalArgument::SystemHeader(name.into()).into());
        }
        if !header_rules::may_appear_in(name, context) {
            return Err(IllegalArgument::Header(name.into()).into());
        }
        Ok(())
    }

    fn push_front(&self, name: &str, value: &str) -> Result<(), Error> {
        self.check_header(name)?;
        let mut message = self.edit()?;
        let known = HeaderName::lookup(name);
        if known == HeaderName::Extension || known.is_single() && message.headers().contains(known) {
            return Err(IllegalArgument::Header(name.into()).into());
        }
        message.headers_mut().push_front(known, value).map_err(|error| illegal_value(name, &error))
    }

    /// From and To were checked when the message was parsed or made.
    fn party(&self, name: HeaderName) -> Address {
        let headers = self.headers_ref();
        let value = headers.first(name).unwrap_or_default();
        Address::parse(value).unwrap_or_else(|_| Address::wildcard())
    }

    fn set_party(&self, name: HeaderName, address: &Address) -> Result<(), Error> {
        if self.facts().direction == Direction::Received {
            return Err(IllegalState::ReadOnly.into());
        }
        let wanted = header_rules::merge_party(&self.party(name), address);
        let mut message = self.edit()?;
        message.headers_mut().set(name, &wanted).map_err(|error| illegal_value(name.as_str(), &error))
    }

    fn charset(&self) -> Charset {
        let named = self.character_encoding();
        named.and_then(|name| Charset::parse(&name)).unwrap_or(Charset::Utf8)
    }
}

fn check_kind(name: &str, holds: bool) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(IllegalArgument::Header(name.into()).into()) }
}

pub(crate) fn illegal_value(name: &str, error: &ValueError) -> Error {
    match error {
        ValueError::LineBreakOrNul => IllegalArgument::HeaderValue.into(),
        _ => IllegalArgument::Header(name.into()).into(),
    }
}

impl PartialEq for SipServletMessage {
    /// Whether both are handles to the same message.
    fn eq(&self, other: &SipServletMessage) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for SipServletMessage {}

impl std::fmt::Debug for SipServletMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &*self.0.sip.borrow() {
            Message::Request(request) => write!(f, "{} {}", request.method(), request.uri_text()),
            Message::Response(response) => write!(f, "{} {}", response.status(), response.reason()),
        }
    }
}
