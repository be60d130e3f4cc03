//! The procedures of RFC 3263 §4 on tables of records.

use std::cell::RefCell;

use futures_util::FutureExt;

use super::super::TransportSet;
use super::*;

/// A DNS made of lines: `name TYPE data…`. A name under `fails` has no answer.
struct Zone {
    lines: Vec<&'static str>,
    fails: Vec<(&'static str, RecordError)>,
    local: Vec<(&'static str, &'static str)>,
    asked: RefCell<Vec<String>>,
}

impl Zone {
    fn of(lines: &[&'static str]) -> Zone {
        Zone { lines: lines.to_vec(), fails: Vec::new(), local: Vec::new(), asked: RefCell::default() }
    }

    fn find<T>(&self, name: &str, kind: &str, read: impl Fn(&[&str]) -> T) -> Result<Vec<T>, RecordError> {
        self.asked.borrow_mut().push(format!("{name} {kind}"));
        if let Some((_, error)) = self.fails.iter().find(|(failing, _)| *failing == format!("{name} {kind}")) {
            return Err(*error);
        }
        let words = self.lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>());
        Ok(words.filter(|w| w[0] == name && w[1] == kind).map(|w| read(&w[2..])).collect())
    }

    fn locate(&self, request: &LookupRequest) -> Result<Vec<String>, LookupError> {
        let targets = locate(self, request, &mut |upper| upper / 2).now_or_never().expect("a table never waits");
        Ok(targets?.iter().map(|t| format!("{} {}", t.transport, t.addr)).collect())
    }
}

impl Records for Zone {
    async fn naptr(&self, domain: &str) -> Result<Vec<Naptr>, RecordError> {
        self.find(domain, "NAPTR", |w| Naptr {
            order: w[0].parse().unwrap(),
            preference: w[1].parse().unwrap(),
            flags: w[2].to_string(),
            services: w[3].to_string(),
            replacement: w[4].to_string(),
        })
    }

    async fn srv(&self, name: &str) -> Result<Vec<Srv>, RecordError> {
        self.find(name, "SRV", |w| Srv {
            priority: w[0].parse().unwrap(),
            weight: w[1].parse().unwrap(),
            port: w[2].parse().unwrap(),
            target: w[3].to_string(),
        })
    }

    async fn a(&self, host: &str) -> Result<Vec<Ipv4Addr>, RecordError> {
        self.find(host, "A", |w| w[0].parse().unwrap())
    }

    async fn aaaa(&self, host: &str) -> Result<Vec<Ipv6Addr>, RecordError> {
        self.find(host, "AAAA", |w| w[0].parse().unwrap())
    }

    fn local(&self, host: &str) -> Vec<IpAddr> {
        let known = self.local.iter().filter(|(name, _)| *name == host);
        known.map(|(_, ip)| ip.parse().unwrap()).collect()
    }
}

fn request(host: &str) -> LookupRequest {
    LookupRequest {
        host: host.to_string(),
        port: None,
        transport: None,
        secure: false,
        supported: [Transport::Udp, Transport::Tcp, Transport::Tls].into_iter().collect(),
        families: Families::V4First,
    }
}

/// The records of RFC 3263 §4.1's example.
const EXAMPLE: &[&str] = &[
    "example.com NAPTR 50 50 s SIPS+D2T _sips._tcp.example.com",
    "example.com NAPTR 90 50 s SIP+D2T _sip._tcp.example.com",
    "example.com NAPTR 100 50 s SIP+D2U _sip._udp.example.com",
    "_sips._tcp.example.com SRV 0 1 5061 server1.example.com",
    "_sip._tcp.example.com SRV 0 1 5060 server1.example.com",
    "_sip._tcp.example.com SRV 1 2 5070 server2.example.com",
    "_sip._udp.example.com SRV 0 1 5080 server1.example.com",
    "server1.example.com A 192.0.2.1",
    "server2.example.com A 192.0.2.2",
    "example.com A 192.0.2.99",
];

/// §4.1: "Since the client supports TCP and UDP, TCP will be used".
#[test]
fn the_example_of_rfc3263_chooses_by_order_among_what_the_client_has() {
    let zone = Zone::of(EXAMPLE);
    assert_eq!(zone.locate(&request("example.com")).unwrap(), ["TLS 192.0.2.1:5061"]);
    let mut without_tls = request("example.com");
    without_tls.supported = [Transport::Udp, Transport::Tcp].into_iter().collect();
    assert_eq!(zone.locate(&without_tls).unwrap(), ["TCP 192.0.2.1:5060", "TCP 192.0.2.2:5070"]);
    let mut only_udp = request("example.com");
    only_udp.supported = TransportSet::from_iter([Transport::Udp]);
    assert_eq!(zone.locate(&only_udp).unwrap(), ["UDP 192.0.2.1:5080"]);
}

/// RFC 3403 §4.1.
#[test]
fn preference_sorts_within_an_order_and_both_are_kept_for_failover() {
    let mut lines = EXAMPLE[3..].to_vec();
    lines.extend([
        "example.com NAPTR 10 20 s SIP+D2U _sip._udp.example.com",
        "example.com NAPTR 10 10 S sip+d2t _sip._tcp.example.com",
        "example.com NAPTR 20 1 s SIPS+D2T _sips._tcp.example.com",
    ]);
    let found = Zone::of(&lines).locate(&request("example.com")).unwrap();
    assert_eq!(found, ["TCP 192.0.2.1:5060", "TCP 192.0.2.2:5070", "UDP 192.0.2.1:5080"]);
}

#[test]
fn a_naptr_that_leads_nowhere_gives_way_to_the_next_order_and_then_to_srv() {
    let mut lines = EXAMPLE.to_vec();
    lines.remove(3);
    let zone = Zone::of(&lines);
    assert_eq!(zone.locate(&request("example.com")).unwrap()[0], "TCP 192.0.2.1:5060");
    let other_flags = [
        "example.com NAPTR 1 1 u E2U+sip !.*!sip:x!",
        "example.com NAPTR 1 1 s SIP+D2S _sip._sctp.example.com",
        "_sip._udp.example.com SRV 0 1 5080 s.example.com",
        "s.example.com A 192.0.2.3",
    ];
    assert_eq!(Zone::of(&other_flags).locate(&request("example.com")).unwrap(), ["UDP 192.0.2.3:5080"]);
}

/// §4.1, §4.2 for a SIPS URI.
#[test]
fn sips_never_uses_anything_but_tls() {
    let mut sips = request("example.com");
    sips.secure = true;
    let zone = Zone::of(EXAMPLE);
    assert_eq!(zone.locate(&sips).unwrap(), ["TLS 192.0.2.1:5061"]);
    assert_eq!(Zone::of(&EXAMPLE[9..]).locate(&sips).unwrap(), ["TLS 192.0.2.99:5061"]);
    sips.transport = Some(Transport::Tcp);
    assert_eq!(zone.locate(&sips).unwrap(), ["TLS 192.0.2.1:5061"]);
    sips.transport = Some(Transport::Udp);
    assert_eq!(zone.locate(&sips), Err(LookupError::NoCommonTransport));
    sips.transport = None;
    sips.supported = TransportSet::from_iter([Transport::Udp, Transport::Tcp]);
    assert_eq!(zone.locate(&sips), Err(LookupError::NoCommonTransport));
    sips.host = "192.0.2.7".to_string();
    assert_eq!(zone.locate(&sips), Err(LookupError::NoCommonTransport));
}

/// RFC 5922 §7.3: never a name that came out of the DNS.
#[test]
fn the_certificate_has_to_name_the_domain_asked_for() {
    let zone = Zone::of(EXAMPLE);
    let targets = locate(&zone, &request("Example.com"), &mut |_| 0).now_or_never().unwrap();
    assert_eq!(targets, Err(LookupError::NoSuchHost), "the table is case-sensitive, the DNS is not");
    let targets = locate(&zone, &request("example.com."), &mut |_| 0).now_or_never().unwrap().unwrap();
    assert_eq!(targets[0].server_name.as_deref(), Some("example.com"));
    let mut tcp = request("example.com");
    tcp.transport = Some(Transport::Tcp);
    let targets = locate(&zone, &tcp, &mut |_| 0).now_or_never().unwrap().unwrap();
    assert_eq!(targets[0].server_name, None);
}

/// §4.1: "If no NAPTR records are found, the client constructs SRV queries for those transport protocols it supports".
#[test]
fn without_naptr_the_services_of_all_transports_are_asked_for() {
    let zone = Zone::of(&EXAMPLE[3..]);
    let found = zone.locate(&request("example.com")).unwrap();
    let expected = ["UDP 192.0.2.1:5080", "TCP 192.0.2.1:5060", "TCP 192.0.2.2:5070", "TLS 192.0.2.1:5061"];
    assert_eq!(found, expected);
}

/// §4.2.
#[test]
fn a_transport_that_is_given_asks_for_its_service_only() {
    let zone = Zone::of(EXAMPLE);
    let mut tcp = request("example.com");
    tcp.transport = Some(Transport::Tcp);
    assert_eq!(zone.locate(&tcp).unwrap(), ["TCP 192.0.2.1:5060", "TCP 192.0.2.2:5070"]);
    let asked = zone.asked.borrow();
    assert!(asked.iter().all(|q| !q.ends_with("NAPTR") && !q.starts_with("_sip._udp")), "{asked:?}");
}

/// §4.1, §4.2: "If no SRV records were found, the client performs an A or AAAA record lookup".
#[test]
fn without_srv_the_address_and_the_default_port_are_used() {
    let zone = Zone::of(&["example.com A 192.0.2.99"]);
    let mut request = request("example.com");
    assert_eq!(zone.locate(&request).unwrap(), ["UDP 192.0.2.99:5060"]);
    request.transport = Some(Transport::Tls);
    assert_eq!(zone.locate(&request).unwrap(), ["TLS 192.0.2.99:5061"]);
    request.transport = None;
    request.supported = TransportSet::from_iter([Transport::Tcp]);
    assert_eq!(zone.locate(&request).unwrap(), ["TCP 192.0.2.99:5060"]);
}

/// §4.2: also when the port is 5060; a change from RFC 2543.
#[test]
fn a_port_that_is_given_skips_naptr_and_srv() {
    let zone = Zone::of(EXAMPLE);
    let mut request = request("example.com");
    request.port = Some(5060);
    assert_eq!(zone.locate(&request).unwrap(), ["UDP 192.0.2.99:5060"]);
    assert_eq!(*zone.asked.borrow(), ["example.com A", "example.com AAAA"]);
    request.transport = Some(Transport::Tcp);
    assert_eq!(zone.locate(&request).unwrap(), ["TCP 192.0.2.99:5060"]);
}

#[test]
fn numeric_hosts_ask_nobody() {
    let zone = Zone::of(&[]);
    let rows = [
        ("192.0.2.1", None, None, "UDP 192.0.2.1:5060"),
        ("192.0.2.1", Some(5080), Some(Transport::Tcp), "TCP 192.0.2.1:5080"),
        ("[2001:db8::1]", None, Some(Transport::Tls), "TLS [2001:db8::1]:5061"),
        ("2001:db8::1", Some(1), None, "UDP [2001:db8::1]:1"),
    ];
    for (host, port, transport, expected) in rows {
        let request = LookupRequest { port, transport, ..request(host) };
        assert_eq!(zone.locate(&request).unwrap(), [expected]);
    }
    assert!(zone.asked.borrow().is_empty());
    let v4 = LookupRequest { families: Families::V4, ..request("[2001:db8::1]") };
    assert_eq!(zone.locate(&v4), Err(LookupError::NoSuchHost));
}

/// RFC 6761 §6.3, and hosts(5).
#[test]
fn localhost_and_the_machines_own_table_ask_nobody() {
    let mut zone = Zone::of(&["pbx A 192.0.2.50"]);
    zone.local = vec![("pbx", "127.0.0.9"), ("pbx", "::9")];
    assert_eq!(zone.locate(&request("localhost")).unwrap(), ["UDP 127.0.0.1:5060", "UDP [::1]:5060"]);
    assert_eq!(zone.locate(&request("PBX")).unwrap(), ["UDP 127.0.0.9:5060", "UDP [::9]:5060"]);
    let v6 = LookupRequest { families: Families::V6, port: Some(7), ..request("LocalHost.") };
    assert_eq!(zone.locate(&v6).unwrap(), ["UDP [::1]:7"]);
    assert!(zone.asked.borrow().is_empty());
}

/// RFC 6157 §3.1.
#[test]
fn both_address_families_take_turns() {
    let zone = Zone::of(&[
        "example.com A 192.0.2.1",
        "example.com A 192.0.2.2",
        "example.com A 192.0.2.3",
        "example.com AAAA 2001:db8::1",
    ]);
    let found = |families| {
        let request =
            LookupRequest { families, port: Some(1), transport: Some(Transport::Udp), ..request("example.com") };
        zone.locate(&request).unwrap().join(" ")
    };
    let (a, b, c, six) = ("UDP 192.0.2.1:1", "UDP 192.0.2.2:1", "UDP 192.0.2.3:1", "UDP [2001:db8::1]:1");
    assert_eq!(found(Families::V4First), [a, six, b, c].join(" "));
    assert_eq!(found(Families::V6First), [six, a, b, c].join(" "));
    assert_eq!(found(Families::V4), [a, b, c].join(" "));
    assert_eq!(found(Families::V6), six);
}

/// RFC 2782: the target `.`.
#[test]
fn a_service_that_is_decidedly_absent_leaves_the_others() {
    let zone = Zone::of(&[
        "_sip._udp.example.com SRV 0 0 0 .",
        "_sip._tcp.example.com SRV 0 0 5060 s.example.com",
        "s.example.com A 192.0.2.3",
    ]);
    assert_eq!(zone.locate(&request("example.com")).unwrap(), ["TCP 192.0.2.3:5060"]);
}

#[test]
fn negative_answers_say_what_they_are() {
    let mut zone = Zone::of(&[]);
    assert_eq!(zone.locate(&request("nobody.example")), Err(LookupError::NoSuchHost));
    assert_eq!(zone.locate(&request("")), Err(LookupError::NotAName));
    assert_eq!(zone.locate(&request(&"a.".repeat(200))), Err(LookupError::NotAName));
    zone.fails = vec![("nobody.example A", RecordError::TimedOut)];
    assert_eq!(zone.locate(&request("nobody.example")), Err(LookupError::TimedOut));
    zone.fails = vec![("nobody.example NAPTR", RecordError::ServerFailure)];
    assert_eq!(zone.locate(&request("nobody.example")), Err(LookupError::ServerFailure));
}

/// Resolvers of home routers fail for records that they have never heard of.
#[test]
fn a_failure_for_naptr_does_not_keep_the_address_from_being_found() {
    let mut zone = Zone::of(&["example.com A 192.0.2.1"]);
    zone.fails =
        vec![("example.com NAPTR", RecordError::ServerFailure), ("_sip._udp.example.com SRV", RecordError::TimedOut)];
    assert_eq!(zone.locate(&request("example.com")).unwrap(), ["UDP 192.0.2.1:5060"]);
}

#[test]
fn a_hostile_zone_gives_a_bounded_list() {
    let mut lines: Vec<&'static str> = Vec::new();
    for number in 0..200 {
        let service = format!("_sip._udp.example.com SRV 0 1 {} many.example.com", 5_000 + number);
        let address = format!("many.example.com A 192.0.2.{number}");
        lines.extend([&*service.leak(), &*address.leak()]);
    }
    let zone = Zone::of(&lines);
    assert_eq!(zone.locate(&request("example.com")).unwrap().len(), MAX_TARGETS);
    assert!(zone.asked.borrow().len() < 50);
}
