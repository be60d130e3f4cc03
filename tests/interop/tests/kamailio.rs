//! Kamailio as the next hop over TLS, with a SIPp behind it.

use std::net::SocketAddr;

use cordboard_interop::certificates::{Authority, Identity};
use cordboard_interop::kamailio::Kamailio;
use cordboard_interop::presence::all_present;
use cordboard_interop::server::{Server, Settings};
use cordboard_interop::sipp::Sipp;
use cordboard_interop::{DOMAIN, workspace};

/// An authority that both trust, and a server that forwards to anybody.
fn server() -> (Server, Authority) {
    let authority = Authority::new(&workspace::run_folder());
    let identity = authority.identity("server", &[DOMAIN, "127.0.0.1"]);
    let server = Server::start(Settings::default().relay_to_any().tls(&identity, authority.certificate.clone()));
    (server, authority)
}

fn next_hop(callee: SocketAddr, identity: &Identity, authority: &Authority) -> Kamailio {
    Kamailio::before(callee, identity, &authority.certificate)
}

fn present() -> bool {
    all_present(&["sipp", "kamailio"]) && Kamailio::has("tls")
}

#[test]
fn call_is_forwarded_over_tls_and_ended_by_the_caller() {
    if !present() {
        return;
    }
    let (server, authority) = server();
    let callee = Sipp::new("uas_call.xml").calls(5);
    let hop = next_hop(callee.address(), &authority.identity("hop", &["127.0.0.1"]), &authority);
    let mut callee = callee.start();
    Sipp::caller("uac_call.xml", &server, &hop.callee()).calls(5).run();
    callee.succeeds();
}

/// The BYE comes back over TLS: on the connection of the call, or on one that Kamailio opens.
#[test]
fn call_is_forwarded_over_tls_and_ended_by_the_callee() {
    if !present() {
        return;
    }
    let (server, authority) = server();
    let callee = Sipp::new("uas_call_ends.xml");
    let hop = next_hop(callee.address(), &authority.identity("hop", &["127.0.0.1"]), &authority);
    let mut callee = callee.start();
    Sipp::caller("uac_call_callee_ends.xml", &server, &hop.callee()).run();
    callee.succeeds();
}

/// RFC 5922 §7.3: the certificate must name whom we asked for.
#[test]
fn next_hop_with_a_certificate_for_another_name_is_refused() {
    if !present() {
        return;
    }
    let (mut server, authority) = server();
    let callee = Sipp::new("uas_call.xml");
    let hop = next_hop(callee.address(), &authority.identity("hop", &["other.test"]), &authority);
    let callee = callee.start();
    Sipp::caller("uac_fails.xml", &server, &hop.callee()).run();
    assert!(callee.received("INVITE").is_empty(), "the call went to somebody else");
    assert!(server.is_alive());
}

#[test]
fn next_hop_with_a_certificate_of_an_unknown_authority_is_refused() {
    if !present() {
        return;
    }
    let (mut server, authority) = server();
    let elsewhere = workspace::run_folder().join("stranger");
    std::fs::create_dir_all(&elsewhere).expect("the run folder is writable");
    let stranger = Authority::new(&elsewhere);
    let callee = Sipp::new("uas_call.xml");
    let hop = next_hop(callee.address(), &stranger.identity("hop", &["127.0.0.1"]), &authority);
    let callee = callee.start();
    Sipp::caller("uac_fails.xml", &server, &hop.callee()).run();
    assert!(callee.received("INVITE").is_empty(), "the call went to somebody unknown");
    assert!(server.is_alive());
}
