//! Which URIs are ours, and under which key a user of ours is found: RFC 3261 §10.3 step 5, §16.4, §16.5.

use sip_endpoint::Endpoint;
use sip_message::{Host, SipUri, Uri};

/// The domains that we are responsible for.
#[derive(Clone, Debug)]
pub(crate) struct Domains {
    /// In lower case.
    names: Vec<Box<str>>,
}

impl Domains {
    pub(crate) fn new(names: &[Box<str>]) -> Domains {
        Domains { names: names.iter().map(|name| name.to_ascii_lowercase().into()).collect() }
    }

    /// Whether we are responsible for this URI: its host is one of our domains, whatever the port, or host and port are
    /// those of one of our listeners.
    pub(crate) fn cover(&self, endpoint: &Endpoint, uri: &SipUri<'_>) -> bool {
        self.named(uri).is_some() || endpoint.is_own_address(uri)
    }

    /// The address-of-record that a URI of ours means, `user@domain` in canonical form; `None` when the URI is not ours
    /// or names no user. An address of ours stands for our first domain, so that a phone that was given an address
    /// instead of a name finds its user.
    pub(crate) fn address_of_record(&self, endpoint: &Endpoint, uri: &SipUri<'_>) -> Option<String> {
        let domain = match self.named(uri) {
            Some(name) => name,
            None if endpoint.is_own_address(uri) => self.first(),
            None => return None,
        };
        let user = uri.user()?;
        let mut aor = String::with_capacity(user.len() + 1 + domain.len());
        aor.push_str(&user);
        aor.push('@');
        aor.push_str(domain);
        Some(aor)
    }

    /// What we call ourselves when we ask for credentials (RFC 3261 §22.1), and where an address of ours belongs.
    pub(crate) fn first(&self) -> &str {
        self.names.first().map_or("localhost", |name| name)
    }

    /// The realm in which the users of a URI of ours have their passwords.
    pub(crate) fn realm(&self, uri: Uri<'_>) -> &str {
        uri.sip().and_then(|uri| self.named(&uri)).unwrap_or(self.first())
    }

    fn named(&self, uri: &SipUri<'_>) -> Option<&str> {
        let Host::Name(host) = uri.host() else { return None };
        let host = host.strip_suffix('.').unwrap_or(host);
        self.names.iter().map(|name| &**name).find(|name| name.eq_ignore_ascii_case(host))
    }
}
