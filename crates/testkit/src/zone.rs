//! The names of a world: what a resolver would answer to RFC 3263's questions.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use sip_endpoint::{LookupError, LookupRequest, Target};
use sip_message::Transport;

/// A table of names. It is asked as the real resolver is, and its answers take the world's lookup time.
#[derive(Clone, Debug, Default)]
pub struct Zone {
    names: BTreeMap<Box<str>, Name>,
}

#[derive(Clone, Debug, Default)]
struct Name {
    /// A and AAAA.
    addresses: Vec<IpAddr>,
    /// SRV, in the order of their priorities.
    servers: Vec<(Transport, SocketAddr)>,
    silent: bool,
}

impl Zone {
    /// Gives a name an address (A or AAAA).
    pub fn address(&mut self, name: &str, address: IpAddr) -> &mut Zone {
        self.name(name).addresses.push(address);
        self
    }

    /// Gives a name a server (SRV), of less priority than those that it has.
    pub fn server(&mut self, name: &str, transport: Transport, address: SocketAddr) -> &mut Zone {
        self.name(name).servers.push((transport, address));
        self
    }

    /// Questions about this name are never answered.
    pub fn silent(&mut self, name: &str) -> &mut Zone {
        self.name(name).silent = true;
        self
    }

    /// Takes everything about a name away.
    pub fn forget(&mut self, name: &str) -> &mut Zone {
        self.names.remove(name.to_ascii_lowercase().as_str());
        self
    }

    /// The answer to a question (RFC 3263 §4.1 and §4.2): with a port the addresses, else the servers, else the
    /// addresses at the default port.
    pub fn answer(&self, question: &LookupRequest) -> Result<Vec<Target>, LookupError> {
        let host = question.host.to_ascii_lowercase();
        let name = self.names.get(host.as_str()).ok_or(LookupError::NotFound)?;
        if name.silent {
            return Err(LookupError::TimedOut);
        }
        let fits = |transport: Transport| {
            question.transport.is_none_or(|wanted| wanted == transport) && (!question.secure || transport.is_secure())
        };
        let target = |transport: Transport, addr: SocketAddr| Target {
            transport,
            addr,
            server_name: transport.is_secure().then(|| host.as_str().into()),
        };
        if question.port.is_none() && !name.servers.is_empty() {
            let servers = name.servers.iter().filter(|(transport, _)| fits(*transport));
            let targets: Vec<_> = servers.map(|(transport, addr)| target(*transport, *addr)).collect();
            return if targets.is_empty() { Err(LookupError::NoTransport) } else { Ok(targets) };
        }
        let default = if question.secure { Transport::Tls } else { Transport::Udp };
        let transport = question.transport.unwrap_or(default);
        let port = question.port.unwrap_or(transport.default_port());
        let targets: Vec<_> = name.addresses.iter().map(|ip| target(transport, SocketAddr::new(*ip, port))).collect();
        if targets.is_empty() { Err(LookupError::NotFound) } else { Ok(targets) }
    }

    fn name(&mut self, name: &str) -> &mut Name {
        self.names.entry(name.to_ascii_lowercase().into()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(host: &str, port: Option<u16>, transport: Option<Transport>) -> LookupRequest {
        LookupRequest { host: host.into(), port, transport, secure: false }
    }

    #[test]
    fn servers_are_answered_in_their_order_and_a_port_asks_for_addresses() {
        let mut zone = Zone::default();
        let (one, two) = ("10.0.0.1:5070".parse().unwrap(), "10.0.0.2:5080".parse().unwrap());
        zone.server("Example.org", Transport::Udp, one).server("example.org", Transport::Tcp, two);
        zone.address("example.org", "10.0.0.9".parse().unwrap());
        let addresses = |question: &LookupRequest| -> Vec<SocketAddr> {
            zone.answer(question).unwrap().iter().map(|target| target.addr).collect()
        };
        assert_eq!(addresses(&question("example.org", None, None)), [one, two]);
        assert_eq!(addresses(&question("EXAMPLE.org", None, Some(Transport::Tcp))), [two]);
        assert_eq!(addresses(&question("example.org", Some(5062), None)), ["10.0.0.9:5062".parse().unwrap()]);
        let secure = LookupRequest { secure: true, ..question("example.org", None, None) };
        assert_eq!(zone.answer(&secure), Err(LookupError::NoTransport));
        assert_eq!(zone.answer(&question("nowhere", None, None)), Err(LookupError::NotFound));
    }
}
