//! Via, RFC 3261 §20.42; `rport`: RFC 3581; `alias`: RFC 5923; `keep`: RFC 6223.
//! Where a response goes (§18.2.2) is decided by the transport; what a branch means, by the transaction layer.

use std::fmt;
use std::net::IpAddr;

use super::{Malformed, typed_header};
use crate::grammar::{self, Cursor};
use crate::param::{Param, Params};
use crate::transport::Transport;
use crate::uri::{self, Host};

/// One hop that a request took: where its response goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via<'a> {
    protocol: &'a str,
    version: &'a str,
    transport: &'a str,
    host: Host<'a>,
    port: Option<u16>,
    params: Params<'a>,
}

impl<'a> Via<'a> {
    /// How a branch starts that is unique (RFC 3261 §8.1.1.7).
    pub const MAGIC_COOKIE: &'static str = "z9hG4bK";

    /// `SIP/2.0/transport host:port`.
    pub fn new(transport: Transport, host: Host<'a>, port: Option<u16>) -> Result<Via<'a>, Malformed> {
        let host = host.checked().map_err(|e| e.behind(0))?;
        Ok(Via { protocol: "SIP", version: "2.0", transport: transport.via_token(), host, port, params: Params::new() })
    }

    #[inline]
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Via<'a>, Malformed> {
        let protocol = cursor.token()?;
        slash(cursor)?;
        let version = cursor.token()?;
        slash(cursor)?;
        let transport = cursor.token()?;
        if !cursor.lws() {
            return cursor.expected("white space before the host");
        }
        let start = cursor.at();
        let text = cursor.rest();
        let (host, end) = Host::read(text, 0).map_err(|e| e.behind(start))?;
        cursor.set(start + end);
        let port = match cursor.separator(b':') {
            true => Some(read_port(cursor)?),
            false => None,
        };
        let params = Params::read(cursor, check_param)?;
        Ok(Via { protocol, version, transport, host, port, params })
    }

    /// The protocol's name and version: `("SIP", "2.0")` where a message is one of ours.
    pub fn protocol(&self) -> (&'a str, &'a str) {
        (self.protocol, self.version)
    }

    /// The transport; `None` when it is one that has no name here.
    pub fn transport(&self) -> Option<Transport> {
        Transport::from_token(self.transport)
    }

    /// The transport as it was written.
    pub fn transport_token(&self) -> &'a str {
        self.transport
    }

    /// The host of `sent-by`.
    pub fn host(&self) -> Host<'a> {
        self.host
    }

    /// The port of `sent-by`, when one is written.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The port of `sent-by`, or the transport's default.
    pub fn port_or_default(&self) -> u16 {
        self.port.unwrap_or_else(|| self.transport().map_or(5060, Transport::default_port))
    }

    /// The transaction's identifier.
    pub fn branch(&self) -> Option<&str> {
        self.params.value("branch")
    }

    /// Whether the branch has the magic cookie and something behind it, so that it identifies the transaction alone
    /// (RFC 3261 §17.2.3). An empty one (RFC 4475 §3.2.1) does not.
    pub fn has_unique_branch(&self) -> bool {
        self.branch().is_some_and(Via::is_unique)
    }

    /// The same of a branch.
    pub fn is_unique(branch: &str) -> bool {
        let starts = branch.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(Via::MAGIC_COOKIE));
        starts && branch.len() > 7
    }

    /// The address that the request really came from.
    pub fn received(&self) -> Option<IpAddr> {
        self.params.value("received").and_then(address)
    }

    /// `rport`: `Some(None)` asks for it, `Some(Some(port))` answers (RFC 3581 §3, §4).
    pub fn rport(&self) -> Option<Option<u16>> {
        let param = self.params.get("rport")?;
        Some(param.value.and_then(uri::read_port))
    }

    /// The multicast or proxy address that a response goes to instead.
    pub fn maddr(&self) -> Option<Host<'_>> {
        host(self.params.value("maddr")?)
    }

    /// The time-to-live of a multicast response.
    pub fn ttl(&self) -> Option<u8> {
        self.params.value("ttl")?.parse().ok()
    }

    /// Whether the connection may carry requests in the other direction (RFC 5923 §5).
    pub fn alias(&self) -> bool {
        self.params.contains("alias")
    }

    /// `keep`: `Some(None)` offers keep-alives, `Some(Some(seconds))` agrees (RFC 6223 §4).
    pub fn keep(&self) -> Option<Option<u32>> {
        let param = self.params.get("keep")?;
        Some(param.value.and_then(grammar::number))
    }

    /// All parameters.
    pub fn params(&self) -> &Params<'a> {
        &self.params
    }

    /// The same with this branch.
    pub fn with_branch(mut self, branch: &str) -> Result<Via<'a>, Malformed> {
        self.params.set_token("branch", branch)?;
        Ok(self)
    }

    /// The same with the address that the request really came from.
    pub fn with_received(mut self, address: IpAddr) -> Via<'a> {
        self.params.put("received", Some(&address.to_string()));
        self
    }

    /// The same with `rport`: a port answers, `None` asks.
    pub fn with_rport(mut self, port: Option<u16>) -> Via<'a> {
        self.params.put("rport", port.map(|port| port.to_string()).as_deref());
        self
    }

    /// The same with a parameter. A value of `maddr`, `ttl` and their like must be one.
    pub fn with_param(mut self, name: &str, value: &str) -> Result<Via<'a>, Malformed> {
        let mut param = Params::new();
        param.set(name, value)?;
        for param in param.iter() {
            check_param(param, 0)?;
        }
        self.params.set(name, value)?;
        Ok(self)
    }

    /// The same with a parameter that has no value, such as `alias`.
    pub fn with_flag(mut self, name: &str) -> Result<Via<'a>, Malformed> {
        grammar::check_token(name)?;
        check_param(Param { name, value: None }, 0)?;
        self.params.put(name, None);
        Ok(self)
    }
}

typed_header!(Via, true);

impl fmt::Display for Via<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{} {}", self.protocol, self.version, self.transport, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "{}", self.params)
    }
}

fn slash(cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
    if cursor.separator(b'/') { Ok(()) } else { cursor.expected("\"/\"") }
}

fn read_port(cursor: &mut Cursor<'_>) -> Result<u16, Malformed> {
    let start = cursor.at();
    let digits = cursor.some(grammar::DIGIT, "a port")?;
    uri::read_port(digits).ok_or(Malformed::new("a port", start))
}

fn check_param(param: Param<'_>, at: usize) -> Result<(), Malformed> {
    let (name, value) = (param.name, param.value);
    // Only a few names have a grammar of their own; their lengths rule most others out.
    let (fits, expected) = match name.len() {
        6 if name.eq_ignore_ascii_case("branch") => (value.is_some_and(grammar::is_token), "a token as branch"),
        8 if name.eq_ignore_ascii_case("received") => {
            (value.is_some_and(|value| address(value).is_some()), "an address as received")
        }
        5 if name.eq_ignore_ascii_case("rport") => {
            (value.is_none_or(|value| uri::read_port(value).is_some()), "a port as rport")
        }
        5 if name.eq_ignore_ascii_case("maddr") => {
            (value.is_some_and(|value| host(value).is_some()), "a host as maddr")
        }
        3 if name.eq_ignore_ascii_case("ttl") => {
            (value.is_some_and(|value| value.len() <= 3 && value.parse::<u8>().is_ok()), "a ttl up to 255")
        }
        _ => (true, ""),
    };
    if fits { Ok(()) } else { Err(Malformed::new(expected, at)) }
}

/// An address; of IPv6 with or without brackets (RFC 5118 §4.5).
fn address(text: &str) -> Option<IpAddr> {
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => uri::ipv6(inner).map(IpAddr::V6),
        None => text.parse().ok().or_else(|| uri::ipv6(text).map(IpAddr::V6)),
    }
}

fn host(text: &str) -> Option<Host<'_>> {
    Host::parse(text).ok().or_else(|| uri::ipv6(text).map(Host::V6))
}

#[cfg(test)]
mod tests {
    use super::super::{TypedHeader, assert_prints, assert_refuses};
    use super::*;

    /// RFC 3261 §20.42, RFC 4475 §3.1.1.1, RFC 5118 §4.
    #[test]
    fn a_via_reads_and_prints() {
        let via: Via = assert_prints(
            "SIP  /    2.0   / UDP  192.168.255.111 : 5062  ; branch= z9hG4bK30239;rport",
            "SIP/2.0/UDP 192.168.255.111:5062; branch= z9hG4bK30239;rport",
        );
        assert_eq!(via.transport(), Some(Transport::Udp));
        assert_eq!((via.branch(), via.rport(), via.port()), (Some("z9hG4bK30239"), Some(None), Some(5062)));
        let text = "SIP/2.0/UDP erlang.bell-telephone.com:5060;branch=z9hG4bK87asdks7;received=192.0.2.207;rport=9988;ttl=16;maddr=224.2.0.1;alias;keep=30";
        let via: Via = assert_prints(text, text);
        assert_eq!(via.received(), Some("192.0.2.207".parse().unwrap()));
        assert_eq!(via.maddr(), Some(Host::V4([224, 2, 0, 1].into())));
        assert_eq!(
            (via.rport(), via.ttl(), via.alias(), via.keep()),
            (Some(Some(9988)), Some(16), true, Some(Some(30)))
        );
        assert!(via.has_unique_branch());
        for received in ["[2001:db8::9:255]", "2001:db8::9:255"] {
            let text = format!("SIP/2.0/UDP [2001:db8::9:1];received={received};branch=z9hG4bKas3-111");
            assert_eq!(Via::parse(&text).unwrap().received(), Some("2001:db8::9:255".parse().unwrap()));
        }
    }

    #[test]
    fn a_via_is_built() {
        let via = Via::new(Transport::Tls, Host::Name("pc33.atlanta.com"), None).unwrap();
        let via = via.with_branch("z9hG4bK77").unwrap().with_rport(None).with_flag("alias").unwrap();
        assert_eq!(via.to_string(), "SIP/2.0/TLS pc33.atlanta.com;branch=z9hG4bK77;rport;alias");
        let via = via.with_received("::1".parse().unwrap()).with_rport(Some(5061));
        assert_eq!(via.to_string(), "SIP/2.0/TLS pc33.atlanta.com;branch=z9hG4bK77;rport=5061;alias;received=::1");
        assert_eq!(via.port_or_default(), 5061);
        assert!(via.clone().with_branch("a b").is_err());
        assert!(via.with_param("ttl", "256").is_err());
        assert!(Via::new(Transport::Udp, Host::Name("a;b"), None).is_err());
    }

    #[test]
    fn an_empty_branch_is_read_but_not_unique() {
        assert!(!Via::parse("SIP/2.0/UDP h;branch=z9hG4bK").unwrap().has_unique_branch());
        assert!(!Via::parse("SIP/2.0/UDP h;branch=1").unwrap().has_unique_branch());
        assert!(!Via::parse("SIP/2.0/UDP h").unwrap().has_unique_branch());
        assert_eq!(Via::parse("SIP/2.0/UNKNOWN t4.example.com").unwrap().transport(), None);
    }

    /// RFC 4475 §3.1.2.1 has empty parameters and elements.
    #[test]
    fn what_is_no_via_is_refused() {
        assert_refuses::<Via>(&[
            "",
            "SIP/2.0/UDP",
            "SIP/2.0/UDPhost",
            "SIP/2.0 host",
            "SIP/2.0/UDP 192.0.2.15;;branch=z9hG4bKkdjuw",
            "SIP/2.0/UDP h:",
            "SIP/2.0/UDP h:99999",
            "SIP/2.0/UDP h;branch",
            "SIP/2.0/UDP h;branch=\"x\"",
            "SIP/2.0/UDP h;received=h",
            "SIP/2.0/UDP h;rport=x",
            "SIP/2.0/UDP h;ttl=256",
            "SIP/2.0/UDP h;maddr",
            "SIP/2.0/UDP h, SIP/2.0/UDP i",
            "SIP/2.0/UDP h\r\n",
            "SIP/2.0/UDP [fe80::1%eth0]",
        ]);
    }
}
