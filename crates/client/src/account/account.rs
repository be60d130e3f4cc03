//! An account: an address-of-record with what its settings say of it, checked once, and what its registrar has said since.

use std::net::IpAddr;

use sip_endpoint::Endpoint;
use sip_message::header::ContactAddress;
use sip_message::{Flow, Host, NameAddrBuf, Request, Transport, Uri, UriBuf};

use super::AccountId;
use super::credentials::Credentials;
use super::routing::{self, Routing};
use crate::error::ClientError;
use crate::settings::AccountSettings;

/// The name of the account without a server, unless it is given another user.
pub const BONJOUR_ID: &str = "bonjour@local";
/// Its domain, which is none.
pub(super) const BONJOUR_DOMAIN: &str = "local";

/// An account of an engine.
#[derive(Debug)]
pub struct Account {
    pub(super) id: AccountId,
    pub(super) settings: AccountSettings,
    /// `sip:user@domain`; of [`AccountId::BONJOUR`] nothing but a name.
    address: UriBuf,
    domain: Box<str>,
    /// The user of our Contacts, which is ours alone: whoever calls it means this account.
    contact_user: Box<str>,
    pub(super) enabled: bool,
    pub(super) routing: Routing,
    pub(super) credentials: Credentials,
    pub(super) reach: Reach,
}

/// How others reach us, as the registrar has it.
#[derive(Clone, Debug, Default)]
pub(super) struct Reach {
    /// What the registrar calls us for the whole world (RFC 5627).
    pub(super) gruu: Option<UriBuf>,
    /// The flow of the registration, where the registrar keeps to it (RFC 5626).
    pub(super) flow: Option<Flow>,
    /// The host that the REGISTER went to first.
    pub(super) hop: Box<str>,
    /// Host and port at which we are seen, by the transport over which we are (RFC 3581).
    pub(super) public: Option<(Transport, IpAddr, u16)>,
}

impl Account {
    pub(super) fn new(id: AccountId, settings: AccountSettings, contact_user: &str) -> Result<Account, ClientError> {
        let refuse = |why| ClientError::InvalidSetting { key: "id", value: settings.id.as_str().into(), why };
        let address = UriBuf::parse(format!("sip:{}", settings.id)).map_err(|_| refuse("not user@domain"))?;
        let Some(uri) = address.as_uri().sip() else { return Err(refuse("not user@domain")) };
        if uri.raw_user().is_none() {
            return Err(refuse("the user is missing: user@domain"));
        }
        let is_bare = uri.port().is_none()
            && uri.raw_password().is_none()
            && uri.params().as_str().is_empty()
            && uri.raw_headers().is_none();
        if !is_bare {
            return Err(refuse("more than user@domain; a port or a transport belongs into sip.outbound_proxy"));
        }
        let domain: Box<str> = uri.host().to_string().to_ascii_lowercase().into();
        let user = uri.user().unwrap_or_default().into_owned();
        // Without a server the Contact is the address: whoever was called from it can call it.
        let contact_user = if id == AccountId::BONJOUR { uri.raw_user().unwrap_or_default() } else { contact_user };
        let contact_user: Box<str> = contact_user.into();
        let routing = Routing::new(&settings.sip, &domain)?;
        check_rest(&settings)?;
        let credentials = Credentials::new(&settings.auth, &user, routing.hosts());
        let enabled = settings.enabled;
        Ok(Account {
            id,
            settings,
            address,
            domain,
            contact_user,
            enabled,
            routing,
            credentials,
            reach: Reach::default(),
        })
    }

    /// Takes other settings. Whether signalling is affected. The address stays; only the account without a server may get
    /// another user.
    pub(super) fn update(&mut self, settings: AccountSettings) -> Result<bool, ClientError> {
        if settings.id != self.settings.id && !self.is_bonjour() {
            let why = "an account's address stays; add another account";
            return Err(ClientError::InvalidSetting { key: "id", value: settings.id.into(), why });
        }
        let mut updated = Account::new(self.id, settings, &self.contact_user)?;
        let changed = updated.settings.sip != self.settings.sip
            || updated.settings.auth != self.settings.auth
            || updated.settings.display_name != self.settings.display_name
            || updated.settings.message_summary != self.settings.message_summary;
        updated.enabled = self.enabled;
        updated.reach = std::mem::take(&mut self.reach);
        if !changed {
            std::mem::swap(&mut updated.credentials, &mut self.credentials);
            std::mem::swap(&mut updated.routing, &mut self.routing);
        }
        *self = updated;
        Ok(changed)
    }

    /// Which one.
    pub fn id(&self) -> AccountId {
        self.id
    }

    /// `user@domain`.
    pub fn name(&self) -> &str {
        &self.settings.id
    }

    /// What was set.
    pub fn settings(&self) -> &AccountSettings {
        &self.settings
    }

    /// Whether it is used.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Whether it is the one without a server.
    pub fn is_bonjour(&self) -> bool {
        self.id == AccountId::BONJOUR
    }

    /// The address-of-record: `sip:user@domain`.
    pub fn address(&self) -> &UriBuf {
        &self.address
    }

    /// The domain, in lower case.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The user of the account's Contacts, as it stands in them.
    pub fn contact_user(&self) -> &str {
        &self.contact_user
    }

    /// The GRUU that the registrar gave (RFC 5627), while it holds.
    pub fn gruu(&self) -> Option<&UriBuf> {
        self.reach.gruu.as_ref()
    }

    /// Name and address as From has them (RFC 3261 §8.1.1.3). Without a server the Contact is the address.
    pub(super) fn identity(&self, contact: &UriBuf) -> NameAddrBuf {
        let uri = if self.is_bonjour() { contact.clone().without_param("transport") } else { self.address.clone() };
        let plain = NameAddrBuf::new(&uri);
        match self.settings.display_name.as_deref().filter(|name| !name.is_empty()) {
            // A name that no header can hold was refused when the account was made.
            Some(name) => plain.clone().with_display_name(name).unwrap_or(plain),
            None => plain,
        }
    }

    /// Where we are reached by a transport from an address: the listener's, or what a translator has made of it.
    pub(super) fn contact_uri(&self, endpoint: &Endpoint, transport: Transport, remote: Option<IpAddr>) -> UriBuf {
        let public = self.reach.public.filter(|(of, _, _)| *of == transport);
        let text = match public {
            Some((_, ip, port)) => uri_text(&self.contact_user, &Host::from(ip).to_string(), Some(port), transport),
            None => {
                let listener = endpoint.listener_for(transport, remote);
                // Without a listener nothing is sent either; `invalid` reaches nobody (RFC 2606).
                let sent_by = listener.map_or("invalid", |listener| &*listener.sent_by);
                uri_text(&self.contact_user, sent_by, None, transport)
            }
        };
        UriBuf::parse(text).expect("a user of letters at a host that a listener or a Via has named")
    }

    /// The Contact of a request or response that makes a dialog (RFC 3261 §12.1, RFC 5627 §4.4, RFC 5626 §4.3).
    pub(super) fn dialog_contact(&self, endpoint: &Endpoint, way: (Transport, Option<IpAddr>)) -> NameAddrBuf {
        if let Some(gruu) = &self.reach.gruu {
            return NameAddrBuf::new(gruu);
        }
        let uri = self.contact_uri(endpoint, way.0, way.1);
        let uri = match self.reach.flow {
            Some(flow) if flow.transport == way.0 => uri.clone().with_flag("ob").unwrap_or(uri),
            _ => uri,
        };
        NameAddrBuf::new(&uri)
    }

    /// The Contact of a REGISTER: with the engine's instance, and with the flow's number where flows are kept (RFC 5626
    /// §4.2). There is one flow for each account.
    pub(super) fn register_contact(&self, uri: &UriBuf, instance: &str, with_flow: bool) -> NameAddrBuf {
        let plain = ContactAddress::new(uri.as_uri());
        let contact = match plain.clone().with_instance(instance) {
            Ok(contact) if with_flow => contact.with_reg_id(1),
            Ok(contact) => contact,
            Err(_) => plain,
        };
        contact.to_buf()
    }

    /// Whether a request's first hop is at the other end of the registration's flow, as far as names tell.
    pub(super) fn is_over_flow(&self, request: &Request) -> bool {
        routing::first_host(request)
            .is_some_and(|host| *host == *self.reach.hop || self.routing.begins_service_route(&host))
    }

    /// How well a Request-URI fits: by the Contact's user, by user and host, or by the user alone.
    pub(super) fn fits(&self, uri: &Uri<'_>) -> Option<Fit> {
        let uri = uri.sip()?;
        let user = uri.user()?;
        if self.is_bonjour() {
            return (uri.raw_user() == Some(&*self.contact_user)).then_some(Fit::User);
        }
        if *user == *self.contact_user {
            return Some(Fit::Contact);
        }
        let own = self.address.as_uri().sip()?;
        if own.user()? != user {
            return None;
        }
        let same_host = uri.host().to_string().eq_ignore_ascii_case(&self.domain);
        Some(if same_host { Fit::Address } else { Fit::User })
    }

    /// The URI that somebody means who writes `bob`, `bob@example.org`, `sip:bob@example.org` or `+49 30 1234`.
    pub(super) fn complete(&self, text: &str) -> Result<UriBuf, ClientError> {
        let refuse = || ClientError::InvalidUri(text.into());
        let trimmed = text.trim();
        let scheme = |scheme: &str| trimmed.get(..scheme.len()).is_some_and(|it| it.eq_ignore_ascii_case(scheme));
        if scheme("tel:") {
            return self.number(trimmed.get(4..).unwrap_or_default()).ok_or_else(refuse);
        }
        let is_address = trimmed.starts_with('[')
            || Host::parse(trimmed.split(':').next().unwrap_or_default()).is_ok_and(|host| host.ip().is_some());
        let uri = if scheme("sip:") || scheme("sips:") {
            UriBuf::parse(trimmed).map_err(|_| refuse())?
        } else if trimmed.contains('@') || is_address {
            UriBuf::parse(format!("sip:{trimmed}")).map_err(|_| refuse())?
        } else if trimmed.contains([':', '/']) {
            // Another scheme.
            return Err(refuse());
        } else if trimmed.starts_with('+') || trimmed.starts_with(|first: char| first.is_ascii_digit()) {
            return self.number(trimmed).ok_or_else(refuse);
        } else {
            self.at_home(trimmed).ok_or_else(refuse)?
        };
        let uri = uri.without_headers();
        match uri.as_uri() {
            Uri::Sip(sip) if sip.check_request_uri().is_ok() => Ok(uri),
            _ => Err(refuse()),
        }
    }

    /// A telephone number is a user of our domain. What stands in it for the eye alone goes (RFC 3966 §5.1.1); what can't
    /// be a number may be a user all the same.
    fn number(&self, text: &str) -> Option<UriBuf> {
        let dialled: String = text.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')')).collect();
        let digits = dialled.strip_prefix('+').unwrap_or(&dialled);
        let is_number = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '*' | '#'));
        self.at_home(if is_number { &dialled } else { text })
    }

    fn at_home(&self, user: &str) -> Option<UriBuf> {
        if self.is_bonjour() {
            return None;
        }
        UriBuf::sip(user, Host::parse(&self.domain).ok()?, None).ok()
    }
}

/// How well an account fits a Request-URI; the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    Contact,
    Address,
    User,
}

fn uri_text(user: &str, host: &str, port: Option<u16>, transport: Transport) -> String {
    let mut text = format!("sip:{user}@{host}");
    if let Some(port) = port {
        text.push_str(&format!(":{port}"));
    }
    if transport != Transport::Udp {
        text.push_str(";transport=");
        text.push_str(transport.uri_param());
    }
    text
}

/// What is neither address nor proxy.
fn check_rest(settings: &AccountSettings) -> Result<(), ClientError> {
    let refuse = |key, value: &str, why| Err(ClientError::InvalidSetting { key, value: value.into(), why });
    let has_control = |text: &str| text.chars().any(char::is_control);
    if let Some(name) = settings.display_name.as_deref().filter(|name| has_control(name)) {
        return refuse("display_name", &name.escape_default().to_string(), "it has a control character");
    }
    if let Some(name) = settings.auth.username.as_deref().filter(|name| name.is_empty() || has_control(name)) {
        return refuse("auth.username", &name.escape_default().to_string(), "it is empty or has a control character");
    }
    if settings.sip.register && settings.sip.register_interval.as_secs() == 0 {
        return refuse("sip.register_interval", "0", "a registration lasts a second at least");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(id: &str) -> AccountSettings {
        AccountSettings { id: id.into(), ..AccountSettings::default() }
    }

    fn account(id: &str) -> Account {
        Account::new(AccountId(1), settings(id), "x7f3").unwrap()
    }

    #[test]
    fn an_id_is_a_user_at_a_domain_and_nothing_else() {
        for id in ["alice@example.org", "a%20b@example.org", "alice@192.0.2.1", "alice@[2001:db8::1]"] {
            assert_eq!(account(id).name(), id);
        }
        for id in ["", "alice", "@example.org", "alice@", "alice@example.org:5060", "alice:secret@example.org"] {
            let error = Account::new(AccountId(1), settings(id), "x").unwrap_err();
            assert!(matches!(error, ClientError::InvalidSetting { key: "id", .. }), "{id}: {error}");
        }
        let error = Account::new(AccountId(1), settings("alice@example.org;lr"), "x").unwrap_err().to_string();
        assert!(error.starts_with("id = \"alice@example.org;lr\": "), "{error}");
    }

    #[test]
    fn an_error_names_the_key_of_what_is_wrong() {
        let mut wrong = settings("alice@example.org");
        wrong.sip.outbound_proxy = Some("not a proxy".into());
        let error = Account::new(AccountId(1), wrong, "x").unwrap_err();
        assert!(error.to_string().starts_with("sip.outbound_proxy = \"not a proxy\": "), "{error}");
        let mut wrong = settings("alice@example.org");
        wrong.display_name = Some("Alice\r\nVia: x".into());
        let error = Account::new(AccountId(1), wrong, "x").unwrap_err();
        assert!(matches!(error, ClientError::InvalidSetting { key: "display_name", .. }));
    }

    #[test]
    fn whom_somebody_means_is_completed_with_the_domain() {
        let alice = account("alice@example.org");
        for (text, uri) in [
            ("bob", "sip:bob@example.org"),
            (" bob ", "sip:bob@example.org"),
            ("bob@biloxi.example", "sip:bob@biloxi.example"),
            ("sip:bob@biloxi.example:5070;transport=tcp", "sip:bob@biloxi.example:5070;transport=tcp"),
            ("SIPS:bob@biloxi.example", "sips:bob@biloxi.example"),
            ("+49 (30) 12-34", "sip:+49301234@example.org"),
            ("tel:+49-30-1234", "sip:+49301234@example.org"),
            ("1000", "sip:1000@example.org"),
            ("192.0.2.7", "sip:192.0.2.7"),
            ("192.0.2.7:5070;transport=tcp", "sip:192.0.2.7:5070;transport=tcp"),
            ("[2001:db8::7]:5070", "sip:[2001:db8::7]:5070"),
        ] {
            assert_eq!(alice.complete(text).unwrap().as_str(), uri, "{text}");
        }
        for text in ["", "bob@", "sip:", "http://bob", "sip:bob@biloxi.example;method=BYE"] {
            assert_eq!(alice.complete(text), Err(ClientError::InvalidUri(text.into())), "{text}");
        }
    }

    #[test]
    fn a_request_is_for_the_contacts_user_then_for_the_address_then_for_the_user() {
        let alice = account("alice@example.org");
        let fit = |text: &str| alice.fits(&Uri::parse(text).unwrap());
        assert_eq!(fit("sip:x7f3@10.0.0.1:5060"), Some(Fit::Contact));
        assert_eq!(fit("sip:alice@EXAMPLE.org"), Some(Fit::Address));
        assert_eq!(fit("sip:alice@10.0.0.1"), Some(Fit::User));
        assert_eq!(fit("sip:bob@example.org"), None);
        assert_eq!(fit("sip:example.org"), None);
        assert!(Fit::Contact < Fit::Address && Fit::Address < Fit::User);
    }

    #[test]
    fn the_display_name_is_quoted_and_the_address_is_in_brackets() {
        let mut settings = settings("alice@example.org");
        settings.display_name = Some("Alice \"A\" L".into());
        let alice = Account::new(AccountId(1), settings, "x").unwrap();
        let contact = UriBuf::parse("sip:x@10.0.0.1").unwrap();
        assert_eq!(alice.identity(&contact).as_str(), "\"Alice \\\"A\\\" L\" <sip:alice@example.org>");
    }
}
