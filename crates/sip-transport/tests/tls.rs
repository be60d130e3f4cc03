//! TLS: RFC 3261 §26.3, identities by RFC 5922, reuse by RFC 5923.
// The lint's exception for tests does not see the helpers beside them.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{PATIENCE, World, call_id, connect, options, write};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
};
use sip_message::{Flow, ListenerId, Transport};
use sip_transport::{
    BindError, BindFailure, CertificateFault, ClientCertificate, CloseReason, ListenerConfig, LocalError, Roots,
    SendError, ServerVerification, Target, TlsClientConfig, TlsConfig, TlsError, TlsSetupError, TransportEvent,
    Transports, TransportsConfig,
};

/// An authority and the files that it gives out, in a folder that goes away with it.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Authority {
    fn new() -> Authority {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("tls-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, format!("Test Authority {number}"));
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Authority { issuer, folder };
        std::fs::write(authority.roots(), authority.issuer.pem()).unwrap();
        authority
    }

    fn roots(&self) -> PathBuf {
        self.folder.join("roots.pem")
    }

    fn issue(&self, file: &str, params: CertificateParams) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let paths = (self.folder.join(format!("{file}.pem")), self.folder.join(format!("{file}.key")));
        std::fs::write(&paths.0, certificate.pem()).unwrap();
        std::fs::write(&paths.1, key.serialize_pem()).unwrap();
        paths
    }

    fn client(&self) -> TransportsConfig {
        let tls_client = TlsClientConfig { roots: Roots::File(self.roots()), ..TlsClientConfig::default() };
        TransportsConfig { tls_client, ..TransportsConfig::default() }
    }

    async fn client_world(&self) -> World {
        World::with(&[Transport::Tcp], self.client()).await
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn names(common_name: &str, names: &[SanType]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.subject_alt_names = names.to_vec();
    params
}

fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().unwrap())
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

async fn server(paths: (PathBuf, PathBuf), client_certificate: ClientCertificate) -> World {
    let mut config = TransportsConfig::default();
    config.listeners.push(listener(&paths.0, &paths.1, client_certificate));
    World::bind(config).await
}

fn listener(certificate: &Path, key: &Path, client_certificate: ClientCertificate) -> ListenerConfig {
    let mut listener = ListenerConfig::new(ListenerId(0), Transport::Tls, "127.0.0.1:0".parse().unwrap());
    listener.tls = Some(TlsConfig { certificate: certificate.into(), key: key.into(), client_certificate });
    listener
}

fn to(server: &World, domain: &str) -> Target {
    Target { transport: Transport::Tls, addr: server.address(0), server_name: Some(domain.into()) }
}

/// Drives both until `of` has an event that is wanted.
async fn between<T>(of: &mut World, other: &mut World, wanted: impl Fn(&TransportEvent) -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(at) = of.events.iter().position(|e| wanted(e).is_some()) {
            return wanted(&of.events.remove(at)).unwrap();
        }
        assert!(tokio::time::Instant::now() < deadline, "in vain; {:?} {:?}", of.events, other.events);
        for world in [&mut *of, &mut *other] {
            world.transports.flush();
            let soon = tokio::time::Instant::now() + Duration::from_millis(1);
            world.transports.turn(Some(soon), &mut world.events).await;
        }
    }
}

fn opened(event: &TransportEvent) -> Option<(Flow, Vec<String>)> {
    match event {
        TransportEvent::Opened { flow, identities, .. } => {
            Some((*flow, identities.iter().map(|i| i.to_string()).collect()))
        }
        _ => None,
    }
}

fn message(event: &TransportEvent) -> Option<(Flow, String)> {
    match event {
        TransportEvent::Received { flow, received: Ok(message), .. } => Some((*flow, call_id(message))),
        _ => None,
    }
}

fn closed(event: &TransportEvent) -> Option<CloseReason> {
    match event {
        TransportEvent::Closed { reason, .. } => Some(reason.clone()),
        _ => None,
    }
}

fn failed(event: &TransportEvent) -> Option<(u64, SendError)> {
    match event {
        TransportEvent::SendFailed { token, reason } => Some((*token, reason.clone())),
        _ => None,
    }
}

#[tokio::test]
async fn messages_go_both_ways_over_tls_and_large_ones_arrive_whole() {
    let authority = Authority::new();
    let mut server =
        server(authority.issue("server", names("x", &[dns("example.com")])), ClientCertificate::NotAsked).await;
    let mut client = authority.client_world().await;
    client.send_to(0, to(&server, "example.com"), options("large", 900_000), 1);
    let (flow, call) = between(&mut server, &mut client, message).await;
    assert_eq!(call, "large");
    server.send_on(flow, options("back", 300_000), 0);
    assert_eq!(between(&mut client, &mut server, message).await.1, "back");
    let (flow, identities) = between(&mut client, &mut server, opened).await;
    assert_eq!(identities, ["example.com"]);
    assert_eq!(flow.transport, Transport::Tls);
    client.transports.close(flow.connection.unwrap());
    assert_eq!(between(&mut server, &mut client, closed).await, CloseReason::ByPeer);
    assert_eq!(between(&mut client, &mut server, closed).await, CloseReason::ByUs);
    assert!(!client.events.iter().any(|e| failed(e).is_some()));
}

/// RFC 5922 §7.1 to §7.3 on the wire; more rows in `tls/identity.rs`.
#[tokio::test]
async fn a_server_is_believed_for_the_domain_asked_for_and_no_other() {
    let authority = Authority::new();
    let wrong = Some(CertificateFault::WrongDomain);
    let rows: &[(&str, &[SanType], &str, Option<CertificateFault>)] = &[
        ("x", &[dns("example.com")], "example.com", None),
        ("x", &[dns("Example.COM")], "example.com", None),
        ("x", &[uri("sip:example.com")], "example.com", None),
        ("x", &[uri("sip:example.com"), dns("sip1.example.com")], "sip1.example.com", wrong),
        ("x", &[dns("*.example.com")], "sip.example.com", wrong),
        ("x", &[dns("sip.example.com")], "example.com", wrong),
        ("x", &[dns("example.com")], "sip.example.com", wrong),
        ("example.com", &[], "example.com", None),
        ("example.com", &[dns("other.example")], "example.com", wrong),
        ("x", &[], "example.com", wrong),
        ("x", &[SanType::IpAddress([127, 0, 0, 1].into())], "127.0.0.1", None),
    ];
    for (common_name, san, domain, expected) in rows {
        let paths = authority.issue("server", names(common_name, san));
        let mut server = server(paths, ClientCertificate::NotAsked).await;
        let mut client = authority.client_world().await;
        client.send_to(0, to(&server, domain), options("a", 0), 1);
        match expected {
            None => {
                between(&mut server, &mut client, message).await;
            }
            Some(fault) => {
                let reason = CloseReason::Tls(TlsError::Certificate(*fault));
                let failure = between(&mut client, &mut server, failed).await;
                assert_eq!(failure, (1, SendError::Closed(Box::new(reason.clone()))), "{san:?} {domain}");
                assert_eq!(between(&mut client, &mut server, closed).await, reason);
                assert!(matches!(
                    between(&mut server, &mut client, closed).await,
                    CloseReason::Tls(TlsError::Alert(_))
                ));
                assert!(!server.events.iter().any(|e| message(e).is_some()), "nothing leaked");
            }
        }
    }
}

#[tokio::test]
async fn expired_early_and_foreign_certificates_are_refused_and_named() {
    let authority = Authority::new();
    let mut expired = names("x", &[dns("example.com")]);
    expired.not_before = rcgen::date_time_ymd(2000, 1, 1);
    expired.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let mut early = names("x", &[dns("example.com")]);
    early.not_before = rcgen::date_time_ymd(4000, 1, 1);
    let mut for_clients = names("x", &[dns("example.com")]);
    for_clients.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let good = names("x", &[dns("example.com")]);
    let foreign = Authority::new();
    let rows = [
        (authority.issue("expired", expired), CertificateFault::Expired),
        (authority.issue("early", early), CertificateFault::NotYetValid),
        (authority.issue("clients", for_clients), CertificateFault::Unusable),
        (foreign.issue("foreign", good), CertificateFault::UnknownIssuer),
    ];
    for (paths, fault) in rows {
        let mut server = server(paths, ClientCertificate::NotAsked).await;
        let mut client = authority.client_world().await;
        client.send_to(0, to(&server, "example.com"), options("a", 0), 1);
        let reason = between(&mut client, &mut server, closed).await;
        assert_eq!(reason, CloseReason::Tls(TlsError::Certificate(fault)));
        assert_eq!(client.transports.counters().tls_failed, 1);
    }
}

#[tokio::test]
async fn a_laboratory_may_do_without_verification() {
    let authority = Authority::new();
    let paths = authority.issue("server", names("x", &[dns("other.example")]));
    let mut server = server(paths, ClientCertificate::NotAsked).await;
    let mut config = TransportsConfig::default();
    config.tls_client.verification = ServerVerification::None;
    let mut client = World::with(&[Transport::Tcp], config).await;
    client.send_to(0, to(&server, "example.com"), options("a", 0), 1);
    between(&mut server, &mut client, message).await;
}

/// A connection that is proven for one domain is not used for another at the same address.
#[tokio::test]
async fn connections_are_reused_for_the_same_domain_only() {
    let authority = Authority::new();
    let paths = authority.issue("server", names("x", &[dns("a.example"), dns("b.example")]));
    let mut server = server(paths, ClientCertificate::NotAsked).await;
    let mut client = authority.client_world().await;
    let mut flows = Vec::new();
    for domain in ["a.example", "A.example", "b.example"] {
        client.send_to(0, to(&server, domain), options(domain, 0), 1);
        flows.push(between(&mut server, &mut client, message).await.0);
    }
    assert_eq!(flows[0], flows[1]);
    assert_ne!(flows[0], flows[2]);
}

/// RFC 5922 §7.4 and RFC 5923 §5.
#[tokio::test]
async fn a_client_that_proves_its_domain_may_be_called_back_over_its_connection() {
    let authority = Authority::new();
    let paths = authority.issue("server", names("x", &[dns("example.com")]));
    let mut server = server(paths, ClientCertificate::Optional(authority.roots())).await;
    let mut config = authority.client();
    config.tls_client.identity =
        Some(authority.issue("client", names("x", &[uri("sip:peer.example"), dns("host.peer.example")])));
    let mut client = World::with(&[Transport::Tcp], config).await;
    client.send_to(0, to(&server, "example.com"), options("a", 0), 1);
    let (flow, identities) = between(&mut server, &mut client, opened).await;
    assert_eq!(identities, ["peer.example"]);
    assert!(server.transports.alias(flow.connection.unwrap(), 5061));
    let back = |domain: &str| Target {
        transport: Transport::Tls,
        addr: "127.0.0.1:5061".parse().unwrap(),
        server_name: Some(domain.into()),
    };
    assert_eq!(server.transports.flow_to(ListenerId(0), &back("peer.example")), Some(flow));
    assert_eq!(server.transports.flow_to(ListenerId(0), &back("example.com")), None);

    let mut stranger = authority.client_world().await;
    stranger.send_to(0, to(&server, "example.com"), options("b", 0), 1);
    let (flow, identities) = between(&mut server, &mut stranger, opened).await;
    assert!(identities.is_empty());
    assert!(!server.transports.alias(flow.connection.unwrap(), 5061), "it has proven to be nobody");
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused_where_one_is_required() {
    let authority = Authority::new();
    let paths = authority.issue("server", names("x", &[dns("example.com")]));
    let mut server = server(paths, ClientCertificate::Required(authority.roots())).await;
    let mut client = authority.client_world().await;
    client.send_to(0, to(&server, "example.com"), options("a", 0), 0);
    let reason = between(&mut server, &mut client, closed).await;
    assert_eq!(reason, CloseReason::Tls(TlsError::Certificate(CertificateFault::Missing)));
    assert!(!server.events.iter().any(|e| message(e).is_some() || opened(e).is_some()));
}

#[tokio::test(start_paused = true)]
async fn a_changed_certificate_is_shown_to_the_next_client_and_a_broken_one_is_not() {
    let authority = Authority::new();
    let paths = authority.issue("server", names("x", &[dns("old.example")]));
    let mut server = server(paths.clone(), ClientCertificate::NotAsked).await;
    let mut client = authority.client_world().await;
    client.send_to(0, to(&server, "old.example"), options("a", 0), 1);
    between(&mut server, &mut client, message).await;

    authority.issue("server", names("much longer than before", &[dns("new.example")]));
    tokio::time::advance(Duration::from_secs(3)).await;
    client.send_to(0, to(&server, "new.example"), options("b", 0), 1);
    between(&mut server, &mut client, message).await;
    assert_eq!(server.transports.counters().certificates_reloaded, 1);

    std::fs::write(&paths.0, "half a certifi").unwrap();
    tokio::time::advance(Duration::from_secs(3)).await;
    let mut other = authority.client_world().await;
    other.send_to(0, to(&server, "new.example"), options("c", 0), 1);
    between(&mut server, &mut other, message).await;
    assert_eq!(server.transports.counters().certificate_reload_failed, 1);
}

#[tokio::test]
async fn plain_sip_on_a_tls_port_is_closed() {
    let authority = Authority::new();
    let paths = authority.issue("server", names("x", &[dns("example.com")]));
    let mut server = server(paths, ClientCertificate::NotAsked).await;
    let mut alice = connect(server.address(0));
    write(&mut alice, &options("a", 0));
    assert_eq!(server.closed().await, CloseReason::Tls(TlsError::Protocol));
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_stops_is_closed_in_time() {
    let authority = Authority::new();
    let paths = authority.issue("server", names("x", &[dns("example.com")]));
    let mut server = server(paths, ClientCertificate::NotAsked).await;
    let mut alice = connect(server.address(0));
    write(&mut alice, "\u{16}\u{3}\u{1}");
    server.transports.turn(None, &mut server.events).await;
    assert_eq!(server.closed_at_last().await, CloseReason::HandshakeTooSlow);
}

impl World {
    async fn closed_at_last(&mut self) -> CloseReason {
        loop {
            if let Some(reason) = self.events.iter().find_map(closed) {
                return reason;
            }
            self.transports.turn(None, &mut self.events).await;
        }
    }
}

#[tokio::test]
async fn a_target_without_a_domain_is_refused_before_anything_is_sent() {
    let authority = Authority::new();
    let paths = authority.issue("server", names("x", &[dns("example.com")]));
    let server = server(paths, ClientCertificate::NotAsked).await;
    let mut client = authority.client_world().await;
    let target = Target { server_name: None, ..to(&server, "example.com") };
    client.send_to(0, target, options("a", 0), 4);
    let expected = (4, SendError::Local(LocalError::NoServerName));
    assert_eq!(client.send_failed().await, expected);
}

#[tokio::test]
async fn unusable_files_are_named_when_binding() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("server", names("x", &[dns("example.com")]));
    let (_, other_key) = authority.issue("other", names("x", &[dns("example.com")]));
    let missing = authority.folder.join("missing.pem");
    let rows = [
        (&missing, &key, TlsSetupError::File(missing.clone(), std::io::ErrorKind::NotFound)),
        (&key, &key, TlsSetupError::NoCertificate(key.clone())),
        (&certificate, &certificate, TlsSetupError::NoKey(certificate.clone())),
        (&certificate, &other_key, TlsSetupError::Mismatch(other_key.clone())),
    ];
    for (certificate, key, expected) in rows {
        let mut config = TransportsConfig::default();
        config.listeners.push(listener(certificate, key, ClientCertificate::NotAsked));
        let Some(BindError::Listener { reason, .. }) = Transports::bind(config, 0, 1).await.err() else { panic!() };
        assert_eq!(reason, BindFailure::Tls(expected));
    }
    let mut config = TransportsConfig::default();
    let bind = "127.0.0.1:0".parse().unwrap();
    config.listeners.push(ListenerConfig::new(ListenerId(0), Transport::Wss, bind));
    let Some(BindError::Listener { reason, .. }) = Transports::bind(config, 0, 1).await.err() else { panic!() };
    assert_eq!(reason, BindFailure::Tls(TlsSetupError::NoCertificateConfigured));
}

/// RFC 7118 §5: WebSocket inside TLS.
#[tokio::test]
async fn a_browser_speaks_sip_in_websocket_in_tls() {
    use std::io::{Read, Write};
    let authority = Authority::new();
    let (certificate, key) = authority.issue("server", names("x", &[dns("example.com")]));
    let mut config = TransportsConfig::default();
    let mut listener = listener(&certificate, &key, ClientCertificate::NotAsked);
    listener.transport = Transport::Wss;
    config.listeners.push(listener);
    let mut server = World::bind(config).await;
    let tcp = connect(server.address(0));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.issuer.der().clone()).unwrap();
    let browser = std::thread::spawn(move || {
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = "example.com".try_into().unwrap();
        let connection = rustls::ClientConnection::new(config.into(), name).unwrap();
        let mut stream = rustls::StreamOwned::new(connection, tcp);
        write(
            &mut stream,
            "GET / HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: sip\r\n\r\n",
        );
        let mut response = Vec::new();
        while !response.ends_with(b"\r\n\r\n") {
            let mut octet = [0];
            stream.read_exact(&mut octet).unwrap();
            response.push(octet[0]);
        }
        let message = options("browser", 0);
        let mut frame = vec![0x81, 0x80 | 126];
        frame.extend((message.len() as u16).to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(message.bytes());
        stream.write_all(&frame).unwrap();
        let mut answer = [0; 8];
        stream.read_exact(&mut answer).unwrap();
        answer
    });
    let (flow, message) = server.message().await;
    assert_eq!((flow.transport, call_id(&message).as_str()), (Transport::Wss, "browser"));
    server.send_on(flow, "answer", 0);
    assert_eq!(browser.join().unwrap(), *b"\x81\x06answer");
}
