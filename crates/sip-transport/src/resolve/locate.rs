//! RFC 3263 §4.1 (which transport) and §4.2 (which address and port), over abstract records.
//!
//! ```text
//!  numeric host ─────────────────────────────────────────────► that address
//!  localhost, a name of the hosts file ──────────────────────► its addresses
//!  port given ──────────────────────────────► A and AAAA ────► the given port
//!  transport given ──────────► SRV ──┬── none ► A and AAAA ──► the default port
//!  neither ──► NAPTR ──────► SRV ────┤
//!                └── none ──► SRV ───┘
//!                             of each transport
//! ```

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use futures_util::future::{join, join_all};
use sip_message::Transport;

use super::srv::{self, Srv};
use super::{Families, LookupError, LookupRequest, Target};

/// Records of one answer that are looked at.
const MAX_RECORDS: usize = 16;
/// Targets of one lookup.
const MAX_TARGETS: usize = 32;

/// Where records come from.
pub trait Records {
    /// The NAPTR records of a domain; empty when there are none.
    fn naptr(&self, domain: &str) -> impl Future<Output = Result<Vec<Naptr>, RecordError>>;

    /// The SRV records of a name such as `_sip._udp.example.com`; empty when there are none.
    fn srv(&self, name: &str) -> impl Future<Output = Result<Vec<Srv>, RecordError>>;

    /// The A records of a host; empty when there are none.
    fn a(&self, host: &str) -> impl Future<Output = Result<Vec<Ipv4Addr>, RecordError>>;

    /// The AAAA records of a host; empty when there are none.
    fn aaaa(&self, host: &str) -> impl Future<Output = Result<Vec<Ipv6Addr>, RecordError>>;

    /// What this machine's own table says of a host; then the DNS is not asked.
    fn local(&self, host: &str) -> Vec<IpAddr>;
}

/// A naming authority pointer, RFC 3403 §4.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naptr {
    /// Lower ones first, and alone.
    pub order: u16,
    /// Lower ones first among those of the same order.
    pub preference: u16,
    /// `s`: the replacement is the name of SRV records.
    pub flags: String,
    /// Such as `SIP+D2U`.
    pub services: String,
    /// The name to look up next.
    pub replacement: String,
}

/// Why records could not be had. That there are none is no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// No answer in time.
    TimedOut,
    /// The server said that it can't.
    ServerFailure,
    /// No name server is known.
    NoServers,
    /// That is no name.
    NotAName,
}

/// Finds where to send to, best first. `random(n)` is a number from 0 to n inclusive.
pub async fn locate<R: Records>(
    records: &R,
    request: &LookupRequest,
    random: &mut dyn FnMut(u32) -> u32,
) -> Result<Vec<Target>, LookupError> {
    let host = request.host.trim_end_matches('.');
    let mut search = Search {
        records,
        request,
        host,
        server_name: host.trim_start_matches('[').trim_end_matches(']').into(),
        targets: Vec::new(),
        failure: None,
    };
    if let Some(ip) = numeric(host) {
        let transport = search.transport_without_records()?;
        if !request.families.contain(ip) {
            return Err(LookupError::NoSuchHost);
        }
        search.add(transport, ip, request.port);
        return search.finish();
    }
    if host.is_empty() || host.len() > 253 {
        return Err(LookupError::NotAName);
    }
    let own = search.own_addresses();
    if !own.is_empty() {
        let transport = search.transport_without_records()?;
        for ip in own {
            search.add(transport, ip, request.port);
        }
        return search.finish();
    }
    match (request.port, search.given_transport()?) {
        (Some(_), _) => {
            let transport = search.transport_without_records()?;
            search.add_host(transport, host, request.port).await;
        }
        (None, Some(transport)) => {
            search.add_services(&[transport], random).await;
            if search.targets.is_empty() {
                search.add_host(transport, host, None).await;
            }
        }
        (None, None) => {
            search.add_by_naptr(random).await;
            if search.targets.is_empty() {
                let candidates = search.candidates();
                search.add_services(&candidates, random).await;
            }
            if search.targets.is_empty() {
                let transport = search.transport_without_records()?;
                search.add_host(transport, host, None).await;
            }
        }
    }
    search.finish()
}

struct Search<'a, R> {
    records: &'a R,
    request: &'a LookupRequest,
    host: &'a str,
    server_name: Arc<str>,
    targets: Vec<Target>,
    failure: Option<RecordError>,
}

impl<R: Records> Search<'_, R> {
    /// The transport that the URI names; of a SIPS URI the TLS form of it (RFC 3261 §26.2.2).
    fn given_transport(&self) -> Result<Option<Transport>, LookupError> {
        let Some(transport) = self.request.transport else {
            return Ok(None);
        };
        let transport = match (self.request.secure, transport) {
            (true, Transport::Udp) => return Err(LookupError::NoCommonTransport),
            (true, Transport::Tcp) => Transport::Tls,
            (true, Transport::Ws) => Transport::Wss,
            (_, transport) => transport,
        };
        if self.request.supported.contains(transport) {
            Ok(Some(transport))
        } else {
            Err(LookupError::NoCommonTransport)
        }
    }

    /// §4.1: UDP for a SIP URI, TLS for a SIPS URI, when no record tells; the next best if we have no UDP.
    fn transport_without_records(&self) -> Result<Transport, LookupError> {
        match self.given_transport()? {
            Some(transport) => Ok(transport),
            None => self.candidates().first().copied().ok_or(LookupError::NoCommonTransport),
        }
    }

    /// What we could use, in the order in which it is asked for.
    fn candidates(&self) -> Vec<Transport> {
        let all: &[Transport] = if self.request.secure {
            &[Transport::Tls, Transport::Wss]
        } else {
            &[Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss]
        };
        let supported = self.request.supported;
        all.iter().copied().filter(|t| supported.contains(*t)).collect()
    }

    /// RFC 6761 §6.3 for `localhost`; otherwise the machine's own table.
    fn own_addresses(&self) -> Vec<IpAddr> {
        let host = self.host.to_ascii_lowercase();
        let mut own = self.records.local(&host);
        if own.is_empty() && (host == "localhost" || host.ends_with(".localhost")) {
            own = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        }
        let (v4, v6) = own.into_iter().partition(|ip| ip.is_ipv4());
        in_turn(v4, v6, self.request.families)
    }

    async fn add_by_naptr(&mut self, random: &mut dyn FnMut(u32) -> u32) {
        let answer = self.records.naptr(self.host).await;
        let mut usable: Vec<(Naptr, Transport)> = self
            .none_if_failed(answer)
            .into_iter()
            .take(MAX_RECORDS)
            .filter_map(|naptr| {
                let transport = self.transport_of(&naptr)?;
                Some((naptr, transport))
            })
            .collect();
        usable.sort_by_key(|(naptr, _)| (naptr.order, naptr.preference));
        // RFC 3403 §4.1: once an order has a match, higher ones are not considered; here a match is one that leads
        // to an address.
        let mut order = None;
        for (naptr, transport) in usable {
            if !self.targets.is_empty() && order != Some(naptr.order) {
                break;
            }
            order = Some(naptr.order);
            let answer = self.records.srv(&naptr.replacement).await;
            let services = self.none_if_failed(answer);
            self.add_service(transport, services, random).await;
        }
    }

    /// What a NAPTR record offers, if it is anything that we can use (RFC 3263 §4.1, RFC 7118 §5.5).
    fn transport_of(&self, naptr: &Naptr) -> Option<Transport> {
        let services: [(&str, Transport); 5] = [
            ("SIP+D2U", Transport::Udp),
            ("SIP+D2T", Transport::Tcp),
            ("SIPS+D2T", Transport::Tls),
            ("SIP+D2W", Transport::Ws),
            ("SIPS+D2W", Transport::Wss),
        ];
        let (_, transport) = services.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(&naptr.services))?;
        let wanted = self.request.supported.contains(transport)
            && (transport.is_secure() || !self.request.secure)
            && naptr.flags.eq_ignore_ascii_case("s");
        wanted.then_some(transport)
    }

    /// Asks for the services of several transports at once; their targets come in the order of `transports`.
    async fn add_services(&mut self, transports: &[Transport], random: &mut dyn FnMut(u32) -> u32) {
        let names: Vec<String> = transports.iter().map(|t| format!("{}.{}", service_label(*t), self.host)).collect();
        let answers = join_all(names.iter().map(|name| self.records.srv(name))).await;
        for (transport, answer) in transports.iter().zip(answers) {
            let services = self.none_if_failed(answer);
            self.add_service(*transport, services, random).await;
        }
    }

    async fn add_service(&mut self, transport: Transport, mut services: Vec<Srv>, random: &mut dyn FnMut(u32) -> u32) {
        services.truncate(MAX_RECORDS);
        services.retain(|srv| !matches!(srv.target.as_str(), "." | ""));
        let services = srv::in_order(services, random);
        let records = self.records;
        let families = self.request.families;
        let hosts = services.iter().map(|srv| addresses(records, &srv.target, families));
        for (srv, (found, failure)) in services.iter().zip(join_all(hosts).await) {
            self.failure = self.failure.or(failure);
            for ip in found {
                self.add(transport, ip, Some(srv.port));
            }
        }
    }

    async fn add_host(&mut self, transport: Transport, host: &str, port: Option<u16>) {
        let (found, failure) = addresses(self.records, host, self.request.families).await;
        self.failure = self.failure.or(failure);
        for ip in found {
            self.add(transport, ip, port);
        }
    }

    fn add(&mut self, transport: Transport, ip: IpAddr, port: Option<u16>) {
        let target = Target {
            transport,
            addr: SocketAddr::new(ip, port.unwrap_or(transport.default_port())),
            server_name: transport.is_secure().then(|| self.server_name.clone()),
        };
        if self.targets.len() < MAX_TARGETS && !self.targets.contains(&target) {
            self.targets.push(target);
        }
    }

    /// Many resolvers in front of homes fail for NAPTR and SRV although the name has an address: a failure counts only
    /// when nothing else is found.
    fn none_if_failed<T>(&mut self, answer: Result<Vec<T>, RecordError>) -> Vec<T> {
        answer.unwrap_or_else(|error| {
            self.failure = self.failure.or(Some(error));
            Vec::new()
        })
    }

    fn finish(self) -> Result<Vec<Target>, LookupError> {
        if !self.targets.is_empty() {
            return Ok(self.targets);
        }
        Err(match self.failure {
            None => LookupError::NoSuchHost,
            Some(RecordError::TimedOut) => LookupError::TimedOut,
            Some(RecordError::ServerFailure) => LookupError::ServerFailure,
            Some(RecordError::NoServers) => LookupError::NoServers,
            Some(RecordError::NotAName) => LookupError::NotAName,
        })
    }
}

/// A SIP URI over TLS is looked up under `_sips` too (§4.2).
fn service_label(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
        Transport::Ws => "_sip._ws",
        Transport::Wss => "_sips._ws",
    }
}

async fn addresses<R: Records>(records: &R, host: &str, families: Families) -> (Vec<IpAddr>, Option<RecordError>) {
    let (v4, v6) = match families {
        Families::V4 => (records.a(host).await, Ok(Vec::new())),
        Families::V6 => (Ok(Vec::new()), records.aaaa(host).await),
        Families::V4First | Families::V6First => join(records.a(host), records.aaaa(host)).await,
    };
    let failure = v4.as_ref().err().or(v6.as_ref().err()).copied();
    let v4 = v4.unwrap_or_default().into_iter().map(IpAddr::V4);
    let v6 = v6.unwrap_or_default().into_iter().map(IpAddr::V6);
    let found = in_turn(v4.take(MAX_RECORDS).collect(), v6.take(MAX_RECORDS).collect(), families);
    (found, failure)
}

/// RFC 6157 §3.1: both families are tried, neither exhausted before the other has its chance.
fn in_turn(v4: Vec<IpAddr>, v6: Vec<IpAddr>, families: Families) -> Vec<IpAddr> {
    let (first, second) = match families {
        Families::V4 => return v4,
        Families::V6 => return v6,
        Families::V4First => (v4, v6),
        Families::V6First => (v6, v4),
    };
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut all = Vec::new();
    loop {
        let pair = (first.next(), second.next());
        if pair == (None, None) {
            return all;
        }
        all.extend(pair.0.into_iter().chain(pair.1));
    }
}

fn numeric(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    bare.parse().ok()
}

#[cfg(test)]
mod tests;
