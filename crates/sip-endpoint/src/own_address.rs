//! Which URIs name ourselves: what RFC 3261 §16.4 asks of a Route, and §16.6 of a next hop.

use sip_message::{Host, SipUri};

use crate::api::Listener;

/// Whether `host`, which is the URI's or what takes its place, and the URI's port name one of the listeners: by its
/// address or by what its Via says.
pub(crate) fn is_own(listeners: &[Listener], host: Host<'_>, uri: &SipUri<'_>) -> bool {
    let port = uri.port().unwrap_or(if uri.is_secure() { 5061 } else { 5060 });
    listeners.iter().any(|listener| {
        let same_host = match host {
            Host::V4(ip) => listener.local.ip() == ip || listener.local.ip().is_unspecified() && ip.is_loopback(),
            Host::V6(ip) => listener.local.ip() == ip || listener.local.ip().is_unspecified() && ip.is_loopback(),
            Host::Name(_) => false,
        };
        same_host && port == listener.local.port() || listener.is_called(host, uri.port())
    })
}

impl Listener {
    /// Whether host and port are what our Via says of this listener.
    pub fn is_called(&self, host: Host<'_>, port: Option<u16>) -> bool {
        let (name, named) = match self.sent_by.rfind(':').filter(|at| !self.sent_by[*at..].contains(']')) {
            Some(at) => (&self.sent_by[..at], self.sent_by[at + 1..].parse().ok()),
            None => (&*self.sent_by, None),
        };
        let same_port = match named {
            None => port.is_none_or(|port| port == 5060 || port == 5061),
            named => port == named,
        };
        same_port && Host::parse(name).is_ok_and(|name| name == host)
    }
}
