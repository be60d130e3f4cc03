//! Proxying: how the request leaves (Record-Route, Path, Max-Forwards, loops, redirections, strict routers), and the
//! settings of single branches.

use servlet::prelude::*;
use servlet::{Address, SipFlow};
use sip_message::HeaderName;

use crate::proxy_support::{forwarder, requests, statuses};
use crate::world::{ALICE, World, in_dialog, invite, one, request, tcp, udp};

const ONE: &str = "sip:bob@198.51.100.9";
const TWO: &str = "sip:bob@198.51.100.10";
const URI: &str = "sip:bob@192.0.2.1";

/// RFC 3261 §16.3 step 3.
#[test]
fn a_request_without_a_hop_left_is_answered_483_and_the_application_sees_the_error() {
    struct Checks;
    impl SipServlet for Checks {
        async fn do_request(&self, request: SipServletRequest) -> Result {
            assert_eq!(request.proxy().err(), Some(Error::TooManyHops));
            Ok(())
        }
    }
    let mut world = World::new(SipApplication::new("checks").servlet(Checks));
    let text = invite(URI, "h1").replace("Max-Forwards: 70", "Max-Forwards: 0");
    assert_eq!(one(world.alice(&text)).status(), 483);
    world.ends();
}

/// RFC 5393 §4.2: a loop is what comes back as it went; what comes back changed is a spiral.
#[test]
fn a_request_that_comes_back_as_it_went_is_answered_482_and_a_spiral_goes_on() {
    let (forwarder, log) = forwarder(&[URI]);
    // Another host, which sends everything back.
    let elsewhere =
        |request: &SipServletRequest, _: &servlet::Proxy| Ok(request.push_route(&SipUri::parse("sip:198.51.100.20")?)?);
    let mut world = forwarder.setup(elsewhere).world();
    let out = one(requests(&world.alice(&invite(URI, "h2")), "INVITE"));
    let back = |route: &str, branch: &str| {
        let via = format!("Via: SIP/2.0/UDP 198.51.100.20;branch=z9hG4bK{branch}\r\nVia:");
        out.text.replace("Route: <sip:198.51.100.20;lr>\r\n", route).replacen("Via:", &via, 1)
    };
    world.receive(&udp("198.51.100.20:5060"), &back("", "loop"));
    assert_eq!(statuses(&world.sent()), [482]);
    world.receive(&udp("198.51.100.20:5060"), &back("Route: <sip:second@192.0.2.1;lr>\r\n", "spiral"));
    let sent = world.sent();
    assert_eq!((statuses(&sent).len(), requests(&sent, "INVITE").len()), (0, 1));
    assert_eq!(log.take().len(), 3);
}

#[test]
fn what_the_application_adds_to_record_route_comes_back_with_the_dialog() {
    let seen = crate::proxy_support::Log::default();
    let log = seen.clone();
    struct Adds(crate::proxy_support::Log);
    impl SipServlet for Adds {
        async fn do_request(&self, request: SipServletRequest) -> Result {
            if !request.is_initial() {
                self.0.add(format!("{} {:?}", request.method(), request.parameter("room")));
                return Ok(());
            }
            let proxy = request.proxy()?;
            proxy.set_record_route(true)?;
            let mut uri = proxy.record_route_uri()?;
            uri.set_parameter("room", "blue")?;
            proxy.set_record_route_uri(&uri)?;
            let mut moved = uri.clone();
            moved.set_host("192.0.2.77")?;
            assert!(proxy.set_record_route_uri(&moved).is_err());
            Ok(proxy.proxy_to(&Uri::parse(ONE)?)?)
        }
    }
    let mut world = World::new(SipApplication::new("adds").servlet(Adds(log)));
    let out = one(requests(&world.alice(&invite(URI, "h3")), "INVITE"));
    assert!(out.first(HeaderName::RecordRoute).contains(";room=blue"));
    let ok = one(world.answer(&out, 200, "b", ""));
    world.alice(&in_dialog("ACK", &ok, 1, ""));
    let again = one(requests(&world.alice(&in_dialog("INVITE", &ok, 2, "")), "INVITE"));
    assert!(again.first(HeaderName::RecordRoute).contains(";room=blue"), "a re-INVITE is recorded too");
    assert_eq!(statuses(&world.answer(&again, 200, "b", "")), [200]);
    world.alice(&in_dialog("ACK", &ok, 2, ""));
    let bye = one(world.alice(&in_dialog("BYE", &ok, 3, "")));
    world.answer(&bye, 200, "", "");
    let blue = |method: &str| format!("{method} Some(\"blue\")");
    assert_eq!(seen.take(), [blue("ACK"), blue("INVITE"), blue("ACK"), blue("BYE")]);
    world.ends();
}

/// RFC 5658.
#[test]
fn each_side_is_recorded_where_the_transports_differ() {
    let (forwarder, _) = forwarder(&["sip:bob@198.51.100.9;transport=tcp"]);
    let mut world = forwarder.setup(|_, proxy| Ok(proxy.set_record_route(true)?)).world();
    let out = one(requests(&world.alice(&invite(URI, "h4")), "INVITE"));
    let routes = out.all(HeaderName::RecordRoute);
    assert_eq!(routes.len(), 2);
    assert!(routes[0].contains("transport=tcp") && !routes[1].contains("transport"));
    let ok = one(world.answer(&out, 200, "b", ""));
    world.alice(&in_dialog("ACK", &ok, 1, ""));
    let bye = one(world.alice(&in_dialog("BYE", &ok, 2, "")));
    assert!(bye.all(HeaderName::Route).is_empty());
    assert_eq!(one(world.answer(&bye, 200, "", "")).status(), 200);
    world.ends();
}

/// RFC 3261 §16.6 step 6.
#[test]
fn a_strict_router_finds_its_own_uri_in_the_request_line() {
    let (forwarder, _) = forwarder(&[ONE]);
    let mut world = forwarder.world();
    let text = request("INVITE", URI, "h5", "Route: <sip:192.0.2.1;lr>, <sip:198.51.100.30>, <sip:next.example;lr>\n");
    let out = one(requests(&world.alice(&text), "INVITE"));
    assert_eq!((out.uri(), out.to.to_string().as_str()), ("sip:198.51.100.30", "198.51.100.30:5060"));
    assert_eq!(out.all(HeaderName::Route), ["<sip:next.example;lr>", "<sip:bob@198.51.100.9>"]);
}

/// RFC 3261 §16.7 step 4.
#[test]
fn redirections_are_followed_one_branch_for_each_contact_and_none_twice() {
    let (forwarder, log) = forwarder(&[ONE]);
    let mut world = forwarder
        .on_response(|response| {
            if response.is_branch_response() && response.status().code() == 302 {
                let branch = response.proxy_branch().unwrap();
                assert_eq!(branch.recursed_branches().len(), 2);
                assert_eq!(response.proxy().unwrap().proxy_branches(), [branch]);
            }
            Ok(())
        })
        .world();
    let out = one(requests(&world.alice(&invite(URI, "h6")), "INVITE"));
    let contacts = format!("Contact: <{TWO}>;q=0.5, <sip:bob@198.51.100.11>, <{ONE}>\n");
    let sent = world.answer(&out, 302, "b", &contacts);
    let children = requests(&sent, "INVITE");
    let uris: Vec<&str> = children.iter().map(|child| child.uri()).collect();
    assert_eq!(uris, ["sip:bob@198.51.100.11", TWO]);
    world.answer(&children[0], 404, "c1", "");
    // One contact was left: the redirection is still an answer, and a better one than both failures.
    let sent = world.answer(&children[1], 486, "c2", "");
    let best = sent.iter().find(|sent| sent.status() != 0).unwrap();
    assert_eq!((best.status(), best.first(HeaderName::Contact)), (302, format!("<{ONE}>").as_str()));
    assert_eq!(log.take().len(), 5);
    world.ends();
}

#[test]
fn a_redirection_goes_upstream_where_nobody_follows_it_and_all_contacts_go_together() {
    let (forwarder, _) = forwarder(&[ONE, TWO]);
    let mut world = forwarder.setup(|_, proxy| Ok(proxy.set_recurse(false)?)).world();
    let out = requests(&world.alice(&invite(URI, "h7")), "INVITE");
    world.answer(&out[0], 302, "b1", "Contact: <sip:a@example.net>\n");
    let sent = world.answer(&out[1], 301, "b2", "Contact: <sip:b@example.net>\n");
    let best = sent.iter().find(|sent| sent.status() != 0).unwrap();
    assert_eq!((best.status(), best.all(HeaderName::Contact).len()), (302, 2));
    world.ends();
}

#[test]
fn a_branch_s_request_may_be_changed_before_it_goes() {
    struct Changes;
    impl SipServlet for Changes {
        async fn do_invite(&self, invite: SipServletRequest) -> Result {
            let proxy = invite.proxy()?;
            let branch = proxy.create_proxy_branches(&[Uri::parse(ONE)?])?.pop().unwrap();
            let request = branch.request()?;
            assert_eq!(request.request_uri(), Uri::parse(ONE)?);
            request.set_request_uri(&Uri::parse("sip:carol@198.51.100.9")?)?;
            request.set_header("Subject", "changed")?;
            request.push_route(&SipUri::parse("sip:198.51.100.40")?)?;
            proxy.start_proxy()?;
            assert!(request.set_header("Subject", "too late").is_err());
            assert_eq!(invite.header("Subject"), None);
            Ok(())
        }
        async fn do_response(&self, response: SipServletResponse) -> Result {
            let request = response.request().unwrap();
            assert_eq!(request.header("Subject").as_deref(), Some("changed"));
            assert_eq!(response.proxy_branch().unwrap().request()?, request);
            Ok(())
        }
    }
    let mut world = World::new(SipApplication::new("changes").servlet(Changes));
    let out = one(requests(&world.alice(&invite(URI, "h8")), "INVITE"));
    assert_eq!((out.uri(), out.to.to_string().as_str()), ("sip:carol@198.51.100.9", "198.51.100.40:5060"));
    assert_eq!(out.first(HeaderName::Subject), "changed");
    assert_eq!(statuses(&world.answer(&out, 486, "b", "")), [486]);
    world.ends();
}

/// RFC 5626 §5: over the flow that the application has chosen, and 430 when that is no more.
#[test]
fn a_branch_goes_over_the_flow_that_it_is_given() {
    struct OverFlow;
    impl SipServlet for OverFlow {
        async fn do_register(&self, register: SipServletRequest) -> Result {
            let flow = SipFlow::of(&register);
            register
                .application_session()?
                .servlet_context()?
                .local(std::cell::Cell::<Option<SipFlow>>::default)
                .set(flow);
            Ok(register.create_response(StatusCode::OK)?.send()?)
        }
        async fn do_invite(&self, invite: SipServletRequest) -> Result {
            let flow =
                invite.application_session()?.servlet_context()?.local(std::cell::Cell::<Option<SipFlow>>::default);
            let proxy = invite.proxy()?;
            proxy.set_record_route(true)?;
            proxy.set_flow(flow.get())?;
            Ok(proxy.proxy_to(&Uri::parse("sip:bob@10.0.0.1")?)?)
        }
        async fn do_response(&self, response: SipServletResponse) -> Result {
            if response.status().is_final() {
                assert_eq!(response.status().code(), 430);
            }
            Ok(())
        }
    }
    let mut world = World::new(SipApplication::new("flows").servlet(OverFlow));
    let bob = tcp("198.51.100.50:40000", 7);
    world.receive(&bob, &request("REGISTER", "sip:192.0.2.1", "h9", ""));
    world.sent();
    let out = one(requests(&world.alice(&invite(URI, "h9b")), "INVITE"));
    assert_eq!((out.connection, out.all(HeaderName::RecordRoute).len()), (bob.connection, 2));
    world.input(sip_endpoint::Input::TransmitFailed { token: out.token });
    assert_eq!(statuses(&world.sent()), [480]);
    world.ends();
}

/// RFC 3327 §5.2; RFC 5626 §5.1.
#[test]
fn a_register_takes_our_address_along_in_front_of_the_application_s_own() {
    struct Edge;
    impl SipServlet for Edge {
        async fn do_register(&self, register: SipServletRequest) -> Result {
            let proxy = register.proxy()?;
            proxy.set_add_to_path(true)?;
            let branch = proxy.create_proxy_branches(&[Uri::parse("sip:198.51.100.60")?])?.pop().unwrap();
            branch.request()?.push_path(&Address::parse("<sip:app.example;lr>")?)?;
            Ok(proxy.start_proxy()?)
        }
    }
    let mut world = World::new(SipApplication::new("edge").servlet(Edge));
    let text = request("REGISTER", "sip:192.0.2.1", "h10", "Supported: path, outbound\n").replace(
        &format!("<sip:alice@{ALICE}>\n"),
        &format!("<sip:alice@{ALICE}>;reg-id=1;+sip.instance=\"<urn:x>\"\n"),
    );
    let out = one(world.alice(&text));
    let path = out.all(HeaderName::Path);
    assert!(path[0].starts_with("<sip:~p") && path[0].contains("@192.0.2.1;lr;ob"), "{path:?}");
    assert_eq!(path[1], "<sip:app.example;lr>");
    assert!(out.all(HeaderName::RecordRoute).is_empty());
    // The registrar's request comes back over the flow.
    let ok = world.answer(&out, 200, "r", "");
    assert_eq!(statuses(&ok), [200]);
    world.ends();
}
