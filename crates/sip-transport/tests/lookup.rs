//! The real resolver, against a name server on loopback and against none.
// The lint's exception for tests does not see the helpers beside them.
#![allow(clippy::unwrap_used)]

mod common;

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use common::World;
use sip_message::Transport;
use sip_transport::{Families, LookupConfig, LookupError, LookupRequest, Target, TransportEvent, TransportsConfig};

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

async fn world(lookup: LookupConfig) -> World {
    World::with(&[Transport::Udp], TransportsConfig { lookup, ..TransportsConfig::default() }).await
}

impl World {
    async fn resolve(&mut self, request: LookupRequest) -> Result<Vec<Target>, LookupError> {
        self.transports.resolve(77, request);
        self.until(|e| match e {
            TransportEvent::Resolved { id: 77, result } => Some(result.clone()),
            _ => None,
        })
        .await
    }
}

fn addresses(found: Result<Vec<Target>, LookupError>) -> Vec<String> {
    found.unwrap().iter().map(|t| format!("{} {}", t.transport, t.addr)).collect()
}

#[tokio::test]
async fn a_numeric_host_is_answered_without_any_server() {
    let mut world = world(LookupConfig { servers: Some(Vec::new()), ..LookupConfig::default() }).await;
    let found = world.resolve(request("192.0.2.1")).await;
    assert_eq!(addresses(found), ["UDP 192.0.2.1:5060"]);
    assert_eq!(world.resolve(request("example.com")).await, Err(LookupError::NoServers));
}

#[tokio::test]
async fn the_hosts_file_is_read() {
    let path = std::env::temp_dir().join(format!("hosts-{}", std::process::id()));
    std::fs::write(&path, "# ours\n127.0.0.5 pbx.test Pbx # short\nnonsense\n::5 pbx.test\n").unwrap();
    let config = LookupConfig { hosts: Some(path.clone()), servers: Some(Vec::new()), ..LookupConfig::default() };
    let mut world = world(config).await;
    std::fs::remove_file(path).unwrap();
    let found = world.resolve(request("pbx.test")).await;
    assert_eq!(addresses(found), ["UDP 127.0.0.5:5060", "UDP [::5]:5060"]);
    assert_eq!(addresses(world.resolve(request("pbx")).await), ["UDP 127.0.0.5:5060"]);
}

#[tokio::test]
async fn a_server_that_never_answers_is_an_error_in_time() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let config = LookupConfig {
        servers: Some(vec![silent.local_addr().unwrap()]),
        timeout: Duration::from_millis(200),
        ..LookupConfig::default()
    };
    let mut world = world(config).await;
    let begun = std::time::Instant::now();
    assert_eq!(world.resolve(request("example.com")).await, Err(LookupError::TimedOut));
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert_eq!(world.transports.counters().lookups_failed, 1);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_in_time() {
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config =
        LookupConfig { servers: Some(vec![gone]), timeout: Duration::from_millis(500), ..LookupConfig::default() };
    let found = world(config).await.resolve(request("example.com")).await;
    assert!(
        matches!(found, Err(LookupError::ServerFailure | LookupError::TimedOut | LookupError::NoServers)),
        "{found:?}"
    );
}

#[tokio::test]
async fn naptr_srv_and_address_records_are_followed_over_the_wire() {
    let config = LookupConfig { servers: Some(vec![name_server()]), ..LookupConfig::default() };
    let mut world = world(config).await;
    let found = world.resolve(request("example.test")).await.unwrap();
    let expected = Target {
        transport: Transport::Tls,
        addr: "192.0.2.7:5071".parse().unwrap(),
        server_name: Some("example.test".into()),
    };
    assert_eq!(found, [expected]);
    assert_eq!(world.resolve(request("nobody.test")).await, Err(LookupError::NoSuchHost));
    let with_port = LookupRequest { port: Some(9), ..request("sip.example.test") };
    assert_eq!(addresses(world.resolve(with_port).await), ["UDP 192.0.2.7:9"]);
}

#[tokio::test]
async fn more_lookups_than_allowed_are_refused() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let config =
        LookupConfig { servers: Some(vec![silent.local_addr().unwrap()]), concurrent: 1, ..LookupConfig::default() };
    let mut world = world(config).await;
    world.transports.resolve(1, request("example.com"));
    assert_eq!(world.resolve(request("example.net")).await, Err(LookupError::TooManyLookups));
}

/// A name server for `example.test` that knows one record of each kind.
fn name_server() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut query = [0; 1_500];
        while let Ok((count, from)) = socket.recv_from(&mut query) {
            let _ = socket.send_to(&answer(&query[..count]), from);
        }
    });
    address
}

fn answer(query: &[u8]) -> Vec<u8> {
    let mut end = 12;
    let mut labels = Vec::new();
    while query[end] != 0 {
        let length = usize::from(query[end]);
        labels.push(String::from_utf8_lossy(&query[end + 1..end + 1 + length]).to_ascii_lowercase());
        end += 1 + length;
    }
    let kind = u16::from_be_bytes([query[end + 1], query[end + 2]]);
    let question = &query[12..end + 5];
    let data: Option<Vec<u8>> = match (labels.join(".").as_str(), kind) {
        ("example.test", 35) => {
            let head = b"\x00\x0a\x00\x0a\x01s\x08SIPS+D2T\x00";
            Some([&head[..], &name("_sips._tcp.example.test")].concat())
        }
        ("_sips._tcp.example.test", 33) => {
            let head = [0, 1, 0, 1, (5_071u16 >> 8) as u8, (5_071u16 & 0xff) as u8];
            Some([&head[..], &name("sip.example.test")].concat())
        }
        ("sip.example.test", 1) => Some(vec![192, 0, 2, 7]),
        _ => None,
    };
    let exists = data.is_some() || labels.join(".").ends_with("example.test");
    let mut message = query[..2].to_vec();
    message.extend([0x85, if exists { 0x80 } else { 0x83 }, 0, 1, 0, u8::from(data.is_some()), 0, 0, 0, 0]);
    message.extend(question);
    if let Some(data) = data {
        message.extend([0xc0, 12]);
        message.extend(kind.to_be_bytes());
        message.extend([0, 1, 0, 0, 0, 60]);
        message.extend((data.len() as u16).to_be_bytes());
        message.extend(data);
    }
    message
}

fn name(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    for label in text.split('.') {
        octets.push(label.len() as u8);
        octets.extend(label.bytes());
    }
    octets.push(0);
    octets
}
