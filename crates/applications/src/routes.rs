//! Which of the shipped applications a request is for, when nothing else was configured.
//!
//! ```text
//!   REGISTER for one of our domains ──────────► registrar     (RFC 3261 §10.3)
//!   for the server itself: no user ───────────► options       (RFC 3261 §11)
//!   what other applications want, in order ───► echo, messages, presence, …
//!   else ─────────────────────────────────────► proxy         (RFC 3261 §16)
//! ```
//!
//! The container has taken its own routes away before it asks (§16.4).

use std::sync::Arc;

use servlet::{Predicate, SipServletRequest};
use sip_message::{HeaderName, Uri};

use crate::domains::Domains;
use crate::options::{self, OptionsSettings};
use crate::proxy;
use crate::registrar::{self, RegistrarSettings};

/// Applications in the order in which they are asked whether they want a request.
#[derive(Clone)]
pub struct ShippedRoutes {
    routes: Vec<(&'static str, Predicate)>,
}

impl ShippedRoutes {
    /// Registrar, options, and the proxy for everything else.
    pub fn new(registrar: RegistrarSettings, options: OptionsSettings) -> ShippedRoutes {
        let none = ShippedRoutes { routes: Vec::new() };
        none.then(registrar::NAME, move |request| registrar::wants(&registrar, request))
            .then(options::NAME, move |request| options::wants(&options, request))
    }

    /// One more application, which is asked after those that are there and before the proxy.
    #[must_use]
    pub fn then(
        mut self,
        application: &'static str,
        wants: impl Fn(&SipServletRequest) -> bool + Send + Sync + 'static,
    ) -> ShippedRoutes {
        self.routes.push((application, Arc::new(wants)));
        self
    }

    /// The application that a request is for.
    pub fn application(&self, request: &SipServletRequest) -> &'static str {
        let wanting = self.routes.iter().find(|(_, wants)| wants(request));
        wanting.map_or(proxy::NAME, |(application, _)| application)
    }

    /// All of them, the proxy last.
    pub fn into_routes(self) -> Vec<(&'static str, Predicate)> {
        self.then(proxy::NAME, |_| true).routes
    }
}

impl std::fmt::Debug for ShippedRoutes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.routes.iter().map(|(application, _)| application)).finish()
    }
}

/// Whether a request ends here: its Request-URI is ours, and no Route leads on.
pub fn is_for_us(domains: &Domains, request: &SipServletRequest) -> bool {
    let sip = request.sip_request();
    match sip.uri() {
        Uri::Sip(uri) => !sip.headers().contains(HeaderName::Route) && domains.cover(request.as_message(), &uri),
        _ => false,
    }
}
