//! Which way requests of an account leave: the pre-existing route set of RFC 3261 §8.1.1.1 (outbound proxy, Service-Route
//! of RFC 3608), and what RFC 3263 is asked.
//!
//! ```text
//!                                  through the proxy                      without a proxy
//!   REGISTER                       proxy                                  the domain itself
//!   to our own domain              proxy, Service-Route                   Service-Route, or the domain itself
//!   to another domain, always_…    proxy, Service-Route                   Service-Route, or our domain if we register
//!   to another domain, otherwise   the other domain                       the other domain
//! ```
//!
//! Routes that the caller names are tried as they are: addresses, in their order.

use std::net::IpAddr;
use std::sync::Arc;

use sip_endpoint::{Endpoint, SendTo, Target};
use sip_message::header::{Route as RouteHeader, ServiceRoute};
use sip_message::{HeaderName, Headers, Host, Method, NameAddrBuf, Request, SipUri, Transport, Uri, UriBuf};

use crate::error::ClientError;
use crate::session::Route;
use crate::settings::AccountSipSettings;

/// How many elements of a Service-Route are kept.
const MAX_SERVICE_ROUTE: usize = 8;

/// How requests of an account leave.
#[derive(Clone, Debug)]
pub(super) struct Routing {
    domain: Box<str>,
    proxy: Option<UriBuf>,
    always: bool,
    registers: bool,
    tls_name: Option<Arc<str>>,
    service_route: Vec<NameAddrBuf>,
}

impl Routing {
    pub(super) fn new(settings: &AccountSipSettings, domain: &str) -> Result<Routing, ClientError> {
        let proxy = settings.outbound_proxy.as_deref().filter(|text| !text.trim().is_empty());
        Ok(Routing {
            domain: domain.into(),
            proxy: proxy.map(read_proxy).transpose()?,
            always: settings.always_use_my_proxy,
            registers: settings.register,
            tls_name: settings.tls_name.as_deref().map(Arc::from),
            service_route: Vec::new(),
        })
    }

    /// The hosts that are ours: the domain and the proxy.
    pub(super) fn hosts(&self) -> Vec<Box<str>> {
        let proxy = self.proxy.as_ref().and_then(|proxy| host_of(&proxy.as_uri()));
        std::iter::once(self.domain.clone()).chain(proxy).collect()
    }

    /// What a 2xx to REGISTER says of our further requests (RFC 3608 §6.1); without a word of it there is none any more.
    pub(super) fn set_service_route(&mut self, headers: &Headers) {
        let loose = headers.all::<ServiceRoute<'_>>().filter_map(Result::ok).filter(ServiceRoute::is_loose);
        self.service_route = loose.take(MAX_SERVICE_ROUTE).map(|route| route.to_buf()).collect();
    }

    /// The registration is no more, and with it what it has said.
    pub(super) fn forget_service_route(&mut self) {
        self.service_route.clear();
    }

    /// Whether a host is the first that the registrar wants our requests to visit.
    pub(super) fn begins_service_route(&self, host: &str) -> bool {
        self.service_route.first().and_then(|first| host_of(&first.uri())).is_some_and(|first| *first == *host)
    }

    /// The Route values of a request outside of dialogs. `explicit`: whether the caller has named addresses to send to.
    pub(super) fn route_set(&self, method: &Method, target: &UriBuf, explicit: bool) -> Vec<NameAddrBuf> {
        let proxy = || self.proxy.iter().map(NameAddrBuf::new);
        if *method == Method::Register {
            return proxy().collect();
        }
        let is_own = host_of(&target.as_uri()).is_some_and(|host| *host == *self.domain);
        if !is_own && !self.always {
            return Vec::new();
        }
        if self.proxy.is_some() {
            // A Service-Route that begins with the proxy has it in it already.
            let first = self.service_route.first().and_then(|first| host_of(&first.uri()));
            let named = self.proxy.as_ref().and_then(|proxy| host_of(&proxy.as_uri()));
            let behind = self.service_route.iter().cloned();
            return if first.is_some() && first == named { behind.collect() } else { proxy().chain(behind).collect() };
        }
        if !self.service_route.is_empty() {
            return self.service_route.clone();
        }
        // What is at our own domain is found there without a Route; what is elsewhere goes through it.
        let through_domain = !is_own && self.registers && !explicit;
        let domain = through_domain.then(|| read_proxy(&self.domain).ok()).flatten();
        domain.iter().map(NameAddrBuf::new).collect()
    }

    /// Whether the first hop of a request is our domain, our proxy or the first that our registrar sends us to, by name, or
    /// one of these addresses.
    pub(super) fn is_own_way(&self, request: &Request, known: &[IpAddr]) -> bool {
        with_first_hop(request, |hop| {
            let host = hop.maddr().unwrap_or_else(|| hop.host());
            let text = host.to_string();
            self.hosts().iter().any(|own| own.eq_ignore_ascii_case(&text))
                || self.begins_service_route(&text.to_ascii_lowercase())
                || host.ip().is_some_and(|ip| known.contains(&ip.to_canonical()))
        })
        .unwrap_or(false)
    }

    /// Where the endpoint is to send a request outside of dialogs, when no flow is kept for it.
    pub(super) fn send_to(&self, endpoint: &Endpoint, request: &Request, routes: &[Route]) -> SendTo {
        let hop = with_first_hop(request, |hop| FirstHop {
            host: hop.host().to_string().into(),
            ip: hop.maddr().unwrap_or_else(|| hop.host()).ip(),
            port: hop.port(),
            transport: hop.transport(),
            secure: hop.is_secure(),
        });
        if !routes.is_empty() {
            let default = self.tls_name.clone().or_else(|| hop.as_ref().map(|hop| Arc::from(&*hop.host)));
            let target = |route: &Route| Target {
                transport: route.transport,
                addr: route.addr,
                server_name: route.tls_name.clone().or_else(|| default.clone()).filter(|_| route.transport.is_secure()),
            };
            return SendTo::Targets(routes.iter().map(target).collect());
        }
        let Some(hop) = hop else { return SendTo::NextHop };
        if let Some(target) = hop.without_udp(endpoint) {
            return SendTo::Targets(vec![target]);
        }
        // A certificate names domains; whoever is told an address expects that of the account's.
        let own = self.hosts().iter().any(|own| own.eq_ignore_ascii_case(&hop.host));
        match (&self.tls_name, own, hop.ip) {
            (Some(name), true, _) => SendTo::NextHopNamed(name.clone()),
            (None, true, Some(_)) => SendTo::NextHopNamed(self.domain.as_ref().into()),
            _ => SendTo::NextHop,
        }
    }
}

/// Where a request outside of dialogs goes first, as far as that is written in it.
struct FirstHop {
    host: Box<str>,
    ip: Option<IpAddr>,
    port: Option<u16>,
    transport: Option<Transport>,
    secure: bool,
}

impl FirstHop {
    /// An address without a transport means UDP (RFC 3263 §4.1); who has no UDP sends by what there is.
    fn without_udp(&self, endpoint: &Endpoint) -> Option<Target> {
        let ip = self.ip?;
        if self.transport.is_some() || self.secure || endpoint.listener_for(Transport::Udp, Some(ip)).is_some() {
            return None;
        }
        let transport =
            endpoint.listeners().iter().find(|listener| listener.local.is_ipv4() == ip.is_ipv4())?.transport;
        let addr = (ip, self.port.unwrap_or(transport.default_port())).into();
        Some(Target { transport, addr, server_name: transport.is_secure().then(|| self.host.as_ref().into()) })
    }
}

/// By which transport, and to which address if one is written, a request will leave: what its Contact is chosen by. A name
/// may turn out to be served otherwise (RFC 3263 §4.1).
pub(super) fn way_of(endpoint: &Endpoint, request: &Request, routes: &[Route]) -> (Transport, Option<IpAddr>) {
    if let Some(route) = routes.first() {
        return (route.transport, Some(route.addr.ip()));
    }
    let hop = with_first_hop(request, |hop| {
        let transport = match (hop.transport(), hop.is_secure()) {
            (None | Some(Transport::Tcp), true) => Some(Transport::Tls),
            (Some(Transport::Ws), true) => Some(Transport::Wss),
            (transport, _) => transport,
        };
        (transport, hop.maddr().unwrap_or_else(|| hop.host()).ip())
    });
    let (transport, ip) = hop.unwrap_or_default();
    let usual = || {
        let listeners = endpoint.listeners();
        let udp = listeners.iter().find(|listener| listener.transport == Transport::Udp);
        udp.or(listeners.first()).map_or(Transport::Udp, |listener| listener.transport)
    };
    (transport.unwrap_or_else(usual), ip)
}

/// The host of a SIP URI, in lower case.
pub(super) fn host_of(uri: &Uri<'_>) -> Option<Box<str>> {
    Some(uri.sip()?.host().to_string().to_ascii_lowercase().into())
}

/// The first hop's host, in lower case.
pub(super) fn first_host(request: &Request) -> Option<Box<str>> {
    with_first_hop(request, |hop| hop.host().to_string().to_ascii_lowercase().into())
}

fn with_first_hop<R>(request: &Request, read: impl FnOnce(SipUri<'_>) -> R) -> Option<R> {
    match request.headers().get::<RouteHeader<'_>>() {
        Some(Ok(route)) => route.uri().sip().map(read),
        Some(Err(_)) => None,
        None => request.uri().sip().map(read),
    }
}

/// Adds a route set.
pub(super) fn put_route(request: &mut Request, route: &[NameAddrBuf]) {
    for hop in route {
        let pushed = request.headers_mut().push(HeaderName::Route, hop.as_str());
        pushed.expect("a name-addr was read from one line");
    }
}

/// A SIP URI, or `host[:port][;transport=…]`. It is a loose router, as every proxy since RFC 3261 is.
fn read_proxy(text: &str) -> Result<UriBuf, ClientError> {
    let refuse = |why| ClientError::InvalidSetting { key: "sip.outbound_proxy", value: text.into(), why };
    let trimmed = text.trim();
    let has_scheme = ["sip:", "sips:"]
        .iter()
        .any(|scheme| trimmed.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    let written = if has_scheme { trimmed.to_owned() } else { format!("sip:{trimmed}") };
    let uri = UriBuf::parse(written).map_err(|_| refuse("neither a SIP URI nor host[:port][;transport=…]"))?;
    let Some(sip) = uri.as_uri().sip() else { return Err(refuse("not a SIP URI")) };
    if sip.transport_param().is_some() && sip.transport().is_none() {
        return Err(refuse("the transport is not known: udp, tcp, tls, ws"));
    }
    if sip.raw_headers().is_some() {
        return Err(refuse("a proxy has no headers"));
    }
    if matches!(sip.host(), Host::Name(name) if name.is_empty()) {
        return Err(refuse("the host is missing"));
    }
    uri.with_flag("lr").map_err(|_| refuse("not a SIP URI"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routing(proxy: Option<&str>, always: bool, register: bool) -> Routing {
        let settings = AccountSipSettings {
            outbound_proxy: proxy.map(Into::into),
            always_use_my_proxy: always,
            register,
            ..AccountSipSettings::default()
        };
        Routing::new(&settings, "example.org").unwrap()
    }

    fn routes(routing: &Routing, target: &str) -> Vec<String> {
        let target = UriBuf::parse(target).unwrap();
        routing.route_set(&Method::Invite, &target, false).iter().map(|hop| hop.as_str().to_owned()).collect()
    }

    #[test]
    fn a_proxy_is_a_uri_or_a_host_and_becomes_a_loose_route() {
        for (text, route) in [
            ("sip:proxy.example.org", "<sip:proxy.example.org;lr>"),
            ("proxy.example.org:5070;transport=tcp", "<sip:proxy.example.org:5070;transport=tcp;lr>"),
            ("sips:proxy.example.org;lr", "<sips:proxy.example.org;lr>"),
            ("[2001:db8::1]:5070", "<sip:[2001:db8::1]:5070;lr>"),
        ] {
            assert_eq!(routes(&routing(Some(text), true, true), "sip:bob@biloxi.example"), [route], "{text}");
        }
        for text in ["http://proxy", "proxy:port", "a b", "proxy;transport=pigeon", "proxy?x=y"] {
            let settings = AccountSipSettings { outbound_proxy: Some(text.into()), ..AccountSipSettings::default() };
            let error = Routing::new(&settings, "example.org").unwrap_err();
            assert!(matches!(error, ClientError::InvalidSetting { key: "sip.outbound_proxy", .. }), "{text}");
        }
    }

    #[test]
    fn other_domains_are_reached_through_the_proxy_or_directly_as_the_setting_says() {
        let none: [&str; 0] = [];
        let (home, away) = ("sip:bob@example.org", "sip:bob@biloxi.example");
        let proxy = ["<sip:p.example;lr>"];
        assert_eq!(routes(&routing(Some("p.example"), true, true), away), proxy);
        assert_eq!(routes(&routing(Some("p.example"), false, true), away), none);
        assert_eq!(routes(&routing(Some("p.example"), false, true), home), proxy);
        assert_eq!(routes(&routing(None, true, true), away), ["<sip:example.org;lr>"]);
        assert_eq!(routes(&routing(None, true, false), away), none);
        assert_eq!(routes(&routing(None, true, true), home), none);
    }

    /// RFC 3608 §6.1.
    #[test]
    fn a_service_route_stands_behind_the_proxy_once() {
        let mut headers = Headers::new();
        headers.push(HeaderName::ServiceRoute, "<sip:a.example;lr>, <sip:strict.example>").unwrap();
        headers.push(HeaderName::ServiceRoute, "<sip:b.example;lr>").unwrap();
        let mut routing = routing(Some("p.example"), true, true);
        routing.set_service_route(&headers);
        let behind = ["<sip:p.example;lr>", "<sip:a.example;lr>", "<sip:b.example;lr>"];
        assert_eq!(routes(&routing, "sip:bob@example.org"), behind);
        headers.set(HeaderName::ServiceRoute, "<sip:P.example;x=y;lr>").unwrap();
        routing.set_service_route(&headers);
        assert_eq!(routes(&routing, "sip:bob@example.org"), ["<sip:P.example;x=y;lr>"]);
        routing.set_service_route(&Headers::new());
        assert_eq!(routes(&routing, "sip:bob@example.org"), ["<sip:p.example;lr>"]);
    }

    /// RFC 5922 §4: the certificate of the proxy names what is set, its own domain, or that of the account.
    #[test]
    fn on_tls_the_proxys_certificate_has_to_name_what_is_set() {
        let endpoint = endpoint(&[Transport::Udp, Transport::Tls]);
        let named = |proxy: &str, tls_name: Option<&str>, uri: &str| {
            let settings = AccountSipSettings {
                outbound_proxy: Some(proxy.into()),
                tls_name: tls_name.map(Into::into),
                always_use_my_proxy: false,
                ..AccountSipSettings::default()
            };
            let routing = Routing::new(&settings, "example.org").unwrap();
            let uri = UriBuf::parse(uri).unwrap();
            let mut request = Request::new(Method::Message, &uri);
            put_route(&mut request, &routing.route_set(&Method::Message, &uri, false));
            match routing.send_to(&endpoint, &request, &[]) {
                SendTo::NextHopNamed(name) => Some(name.to_string()),
                SendTo::NextHop => None,
                other => panic!("{other:?}"),
            }
        };
        let (home, away) = ("sip:bob@example.org", "sip:bob@biloxi.example");
        assert_eq!(named("p.example;transport=tls", None, home), None);
        assert_eq!(named("p.example;transport=tls", Some("pbx"), home), Some("pbx".into()));
        assert_eq!(named("192.0.2.1;transport=tls", None, home), Some("example.org".into()));
        assert_eq!(named("p.example;transport=tls", Some("pbx"), away), None);
    }

    #[test]
    fn routes_are_targets_in_their_order_with_the_names_that_their_certificates_must_have() {
        let routing = routing(None, true, true);
        let request = Request::new(Method::Message, &UriBuf::parse("sip:bob@example.org").unwrap());
        let route = |transport, tls_name: Option<&str>| Route {
            addr: "192.0.2.1:5061".parse().unwrap(),
            transport,
            tls_name: tls_name.map(Arc::from),
        };
        let routes = [route(Transport::Tls, Some("a")), route(Transport::Tls, None), route(Transport::Tcp, Some("c"))];
        let SendTo::Targets(targets) = routing.send_to(&endpoint(&[Transport::Udp]), &request, &routes) else {
            panic!("routes are targets")
        };
        let names: Vec<_> = targets.iter().map(|target| target.server_name.as_deref()).collect();
        assert_eq!(names, [Some("a"), Some("example.org"), None]);
    }

    /// RFC 3263 §4.1 takes UDP for an address without a transport.
    #[test]
    fn who_has_no_udp_sends_to_an_address_by_what_there_is() {
        let routing = routing(None, false, false);
        let request = Request::new(Method::Message, &UriBuf::parse("sip:bob@192.0.2.7").unwrap());
        assert!(matches!(
            routing.send_to(&endpoint(&[Transport::Udp, Transport::Tcp]), &request, &[]),
            SendTo::NextHop
        ));
        let SendTo::Targets(targets) = routing.send_to(&endpoint(&[Transport::Tcp]), &request, &[]) else {
            panic!("there is one way")
        };
        let expected = Target { transport: Transport::Tcp, addr: "192.0.2.7:5060".parse().unwrap(), server_name: None };
        assert_eq!(targets, [expected]);
    }

    fn endpoint(transports: &[Transport]) -> Endpoint {
        let listener = |(at, transport): (usize, &Transport)| sip_endpoint::Listener {
            id: sip_message::ListenerId(at as u16),
            transport: *transport,
            local: "10.0.0.1:5060".parse().unwrap(),
            sent_by: "10.0.0.1:5060".into(),
        };
        Endpoint::new(sip_endpoint::Settings {
            listeners: transports.iter().enumerate().map(listener).collect(),
            partition: 0,
            seed: 1,
            datagram_limit: 1_300,
            max_pending: 10,
            timers: sip_endpoint::Timers::default(),
            product: "".into(),
        })
    }

    #[test]
    fn a_request_goes_our_way_by_the_name_or_a_known_address_of_its_first_hop() {
        let routing = routing(Some("p.example"), true, true);
        let known = ["192.0.2.1".parse().unwrap()];
        let request = |uri: &str, route: Option<&str>| {
            let mut request = Request::new(Method::Invite, &UriBuf::parse(uri).unwrap());
            if let Some(route) = route {
                request.headers_mut().push(HeaderName::Route, route).unwrap();
            }
            request
        };
        assert!(routing.is_own_way(&request("sip:bob@EXAMPLE.org", None), &known));
        assert!(routing.is_own_way(&request("sip:bob@evil.example", Some("<sip:P.example;lr>")), &known));
        assert!(routing.is_own_way(&request("sip:bob@evil.example", Some("<sip:192.0.2.1;lr>")), &known));
        assert!(!routing.is_own_way(&request("sip:bob@example.org", Some("<sip:evil.example;lr>")), &known));
        assert!(!routing.is_own_way(&request("sip:bob@192.0.2.2", None), &known));
        assert!(!routing.is_own_way(&request("sip:bob@example.org;maddr=192.0.2.9", None), &known));
        let mut routing = routing;
        let mut headers = Headers::new();
        headers.push(HeaderName::ServiceRoute, "<sip:Edge.example;lr>, <sip:home.example;lr>").unwrap();
        routing.set_service_route(&headers);
        assert!(routing.is_own_way(&request("sip:bob@evil.example", Some("<sip:edge.example;lr>")), &[]));
        assert!(!routing.is_own_way(&request("sip:bob@evil.example", Some("<sip:home.example;lr>")), &[]));
    }
}
