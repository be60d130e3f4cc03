//! RFC 4975 §14: whom an engine takes for its peer when it connects by TLS, on loopback.

#![cfg(feature = "driver")]
#![allow(clippy::unwrap_used)] // helpers are tests as well

mod authority;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use authority::CertificateAuthority;
use msrp::Path;
use msrp::driver::{ChatPlan, MsrpCommand, MsrpEngine, MsrpEvent, MsrpSettings, StreamKey, TlsSettings};
use msrp::endpoint::OutgoingMessage;

const STREAM: StreamKey = StreamKey(1);

struct End {
    engine: MsrpEngine,
    events: Receiver<MsrpEvent>,
    path: Path,
    fingerprint: Arc<str>,
}

/// An engine with a session, known by this host.
fn end(host: &str, identity: Option<(PathBuf, PathBuf)>, authorities: Option<PathBuf>) -> End {
    let tls = TlsSettings { identity, authorities, ..TlsSettings::default() };
    let (told, events) = channel();
    let engine =
        MsrpEngine::start(MsrpSettings { tls, ..MsrpSettings::default() }, move |event| drop(told.send(event)))
            .unwrap();
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let plan = ChatPlan { is_secure: true, host: Some(host.into()), ..ChatPlan::new(local) };
    engine.handle().send(MsrpCommand::Prepare { stream: STREAM, plan }).unwrap();
    match events.recv_timeout(Duration::from_secs(10)).unwrap() {
        MsrpEvent::Prepared { path, fingerprint, .. } => {
            End { engine, events, path, fingerprint: fingerprint.unwrap() }
        }
        other => panic!("{other:?}"),
    }
}

/// Whether alice gets a line to bob, given what his description says of his certificate.
fn reaches(alice: &End, bob: &End, fingerprints: Vec<Arc<str>>) -> bool {
    bob.engine.handle().send(apply(&alice.path, false, Vec::new())).unwrap();
    alice.engine.handle().send(apply(&bob.path, true, fingerprints)).unwrap();
    let message = OutgoingMessage::whole("m".into(), "text/plain", "secret", true);
    alice.engine.handle().send(MsrpCommand::Send { stream: STREAM, message }).unwrap();
    let arrived = loop {
        match alice.events.recv_timeout(Duration::from_secs(10)).unwrap() {
            MsrpEvent::Delivered { .. } => break true,
            MsrpEvent::NotDelivered { .. } => break false,
            _ => {}
        }
    };
    let got = bob.events.try_iter().any(|event| matches!(event, MsrpEvent::Got { .. }));
    assert_eq!(got, arrived, "who is not trusted hears nothing");
    arrived
}

fn apply(path: &Path, we_connect: bool, fingerprints: Vec<Arc<str>>) -> MsrpCommand {
    let remote = msrp::driver::Remote { path: path.clone(), we_connect, next_hop: None, fingerprints };
    MsrpCommand::Apply { stream: STREAM, remote }
}

/// §14.2: the host of the URI, by its name or its address, in a certificate that somebody known vouches for.
#[test]
fn a_peer_without_a_fingerprint_must_have_the_certificate_of_its_uris_host() {
    let (authority, stranger) = (CertificateAuthority::new(), CertificateAuthority::new());
    let expired = authority.issue_with("expired.example.com", |params| {
        params.subject_alt_names =
            rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().subject_alt_names;
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    });
    for (host, identity, is_trusted) in [
        ("localhost", authority.issue("localhost"), true),
        ("127.0.0.1", authority.issue("127.0.0.1"), true),
        ("localhost", authority.issue("other.example.com"), false),
        ("127.0.0.1", authority.issue("localhost"), false),
        ("localhost", stranger.issue("localhost"), false),
        ("localhost", expired, false),
    ] {
        let alice = end("localhost", None, Some(authority.roots()));
        let bob = end(host, Some(identity.clone()), None);
        assert_eq!(reaches(&alice, &bob, Vec::new()), is_trusted, "{host} {identity:?}");
    }
}

/// §14.4: a fingerprint counts instead of a name, and against one.
#[test]
fn a_peer_with_a_fingerprint_must_have_the_certificate_of_that() {
    let authority = CertificateAuthority::new();
    let other: Arc<str> = format!("sha-256 {}", vec!["AB"; 32].join(":")).into();
    for (identity, is_right) in [
        (None, true),
        (None, false),
        (Some(authority.issue("elsewhere.example.com")), true),
        // Vouched for, of the right name, and not the one that was described.
        (Some(authority.issue("localhost")), false),
    ] {
        let alice = end("localhost", None, Some(authority.roots()));
        let bob = end("localhost", identity, None);
        let fingerprint = if is_right { bob.fingerprint.clone() } else { other.clone() };
        assert_eq!(reaches(&alice, &bob, vec![fingerprint]), is_right);
    }
}
