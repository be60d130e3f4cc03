//! The real DNS under [`locate()`](super::locate()): hickory's resolver with its cache, the hosts file, and a time limit.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::{TokioResolver, system_conf};

use super::locate::{Naptr, RecordError, Records, locate};
use super::{LookupConfig, LookupError, LookupRequest, Srv, Target};

/// Lookups over the network; cheap to clone.
#[derive(Clone)]
pub struct Resolver {
    dns: Option<TokioResolver>,
    hosts: Arc<HashMap<String, Vec<IpAddr>>>,
    timeout: Duration,
}

impl Resolver {
    /// Reads the system's configuration where `config` doesn't say otherwise. Without any name server it answers for
    /// numeric hosts and the hosts file alone.
    pub fn new(config: &LookupConfig) -> Self {
        Resolver {
            dns: dns(config),
            hosts: Arc::new(config.hosts.as_deref().map(read_hosts).unwrap_or_default()),
            timeout: config.timeout,
        }
    }

    /// RFC 3263 within the time limit.
    pub async fn lookup(&self, request: &LookupRequest) -> Result<Vec<Target>, LookupError> {
        let seed = RandomState::new();
        let mut drawn = 0u64;
        let mut random = |upper: u32| {
            drawn += 1;
            (seed.hash_one(drawn) % (u64::from(upper) + 1)) as u32
        };
        tokio::time::timeout(self.timeout, locate(self, request, &mut random))
            .await
            .unwrap_or(Err(LookupError::TimedOut))
    }

    async fn records<T>(
        &self,
        name: &str,
        kind: RecordType,
        mut read: impl FnMut(&RData) -> Option<T>,
    ) -> Result<Vec<T>, RecordError> {
        let dns = self.dns.as_ref().ok_or(RecordError::NoServers)?;
        // A name with a dot at its end is not tried in the search domains.
        let name = format!("{}.", name.trim_end_matches('.'));
        match dns.lookup(name, kind).await {
            Ok(lookup) => Ok(lookup.answers().iter().filter_map(|r| read(&r.data)).collect()),
            Err(error) => no_records(&error),
        }
    }
}

impl Records for Resolver {
    async fn naptr(&self, domain: &str) -> Result<Vec<Naptr>, RecordError> {
        self.records(domain, RecordType::NAPTR, |data| match data {
            RData::NAPTR(naptr) if naptr.regexp.is_empty() => Some(Naptr {
                order: naptr.order,
                preference: naptr.preference,
                flags: String::from_utf8_lossy(&naptr.flags).into_owned(),
                services: String::from_utf8_lossy(&naptr.services).into_owned(),
                replacement: naptr.replacement.to_ascii(),
            }),
            _ => None,
        })
        .await
    }

    async fn srv(&self, name: &str) -> Result<Vec<Srv>, RecordError> {
        self.records(name, RecordType::SRV, |data| match data {
            RData::SRV(srv) => {
                Some(Srv { priority: srv.priority, weight: srv.weight, port: srv.port, target: srv.target.to_ascii() })
            }
            _ => None,
        })
        .await
    }

    async fn a(&self, host: &str) -> Result<Vec<Ipv4Addr>, RecordError> {
        self.records(host, RecordType::A, |data| match data {
            RData::A(a) => Some(a.0),
            _ => None,
        })
        .await
    }

    async fn aaaa(&self, host: &str) -> Result<Vec<Ipv6Addr>, RecordError> {
        self.records(host, RecordType::AAAA, |data| match data {
            RData::AAAA(aaaa) => Some(aaaa.0),
            _ => None,
        })
        .await
    }

    fn local(&self, host: &str) -> Vec<IpAddr> {
        self.hosts.get(host).cloned().unwrap_or_default()
    }
}

fn dns(config: &LookupConfig) -> Option<TokioResolver> {
    let (servers, mut options) = match &config.servers {
        Some(servers) => {
            let servers = servers.iter().map(|address| {
                let connections =
                    [ConnectionConfig::udp(), ConnectionConfig::tcp()].into_iter().map(|mut connection| {
                        connection.port = address.port();
                        connection
                    });
                NameServerConfig::new(address.ip(), true, connections.collect())
            });
            let config = ResolverConfig::from_name_servers(servers.collect());
            (config, ResolverOpts::default())
        }
        None => match system_conf::read_system_conf() {
            Ok(system) => system,
            Err(error) => {
                tracing::warn!(%error, "no usable DNS configuration");
                return None;
            }
        },
    };
    if servers.name_servers().is_empty() {
        return None;
    }
    options.timeout = config.timeout.div_f32(2.5).max(Duration::from_millis(50));
    options.attempts = 2;
    options.use_hosts_file = ResolveHosts::Never;
    let mut builder = TokioResolver::builder_with_config(servers, TokioRuntimeProvider::default());
    *builder.options_mut() = options;
    builder.build().ok()
}

fn no_records<T>(error: &NetError) -> Result<Vec<T>, RecordError> {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(_)) => Ok(Vec::new()),
        NetError::Timeout => Err(RecordError::TimedOut),
        NetError::NoConnections => Err(RecordError::NoServers),
        NetError::Proto(_) => Err(RecordError::NotAName),
        _ => Err(RecordError::ServerFailure),
    }
}

/// `hosts(5)`: an address and its names on a line.
fn read_hosts(path: &Path) -> HashMap<String, Vec<IpAddr>> {
    let mut hosts: HashMap<String, Vec<IpAddr>> = HashMap::new();
    for line in fs::read_to_string(path).unwrap_or_default().lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(Ok(ip)) = words.next().map(str::parse::<IpAddr>) else {
            continue;
        };
        for name in words {
            let known = hosts.entry(name.to_ascii_lowercase()).or_default();
            if !known.contains(&ip) {
                known.push(ip);
            }
        }
    }
    hosts
}

/// A number that others can't guess; not for keys.
pub(crate) fn unguessable() -> u64 {
    RandomState::new().build_hasher().finish()
}
