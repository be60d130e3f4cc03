//! RFC 5626: client-initiated connections at the registrar (§6), the authoritative proxy (§7) and the edge (§5).

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

mod server_world;

use cordboard::config::Relay;
use server_world::{CALLER, Sent, World, addr, config, invite, lines, one, register, request, stream, udp};
use sip_endpoint::Input;
use sip_message::{Flow, HeaderName, Transport};

const INSTANCE: &str = "+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>\"";
const BOB: &str = "sip:bob@example.com";

fn flow(n: u64) -> Flow {
    stream(Transport::Tcp, &format!("203.0.113.5:{}", 50_000 + n), n)
}

/// A REGISTER over a connection, with this Contact line and more.
fn over(world: &mut World, flow: &Flow, call_id: &str, cseq: u32, more: &str) -> Sent {
    let text = register("bob", call_id, cseq, more, &flow.remote.to_string()).replace("SIP/2.0/UDP", "SIP/2.0/TCP");
    world.receive(flow, &text);
    world.only()
}

fn outbound(reg_id: u32) -> String {
    format!("Supported: path, outbound\nContact: <sip:bob@203.0.113.5;transport=tcp;ob>;reg-id={reg_id};{INSTANCE}\n")
}

mod s6_registrar {
    use super::*;

    /// "the registrar MUST include the outbound option-tag in a Require header field value in its response"; "MAY include a
    /// Flow-Timer".
    #[test]
    fn a_flow_is_registered_and_said_to_be_one() {
        let mut world = World::default();
        let ok = over(&mut world, &flow(1), "a", 1, &outbound(1));
        assert_eq!(
            (ok.status(), ok.first(HeaderName::Require), ok.first(HeaderName::FlowTimer)),
            (200, "outbound", "120")
        );
        assert!(ok.first(HeaderName::Contact).contains(";reg-id=1"));
        assert!(ok.first(HeaderName::Contact).contains(INSTANCE));
    }

    /// "If the Contact header did not contain a "reg-id" …, the registrar MUST NOT include the outbound option-tag".
    #[test]
    fn what_is_not_a_flow_is_not_said_to_be_one() {
        let mut world = World::default();
        let more = format!("Supported: path, outbound\nContact: <sip:bob@203.0.113.5>;{INSTANCE}\n");
        let ok = over(&mut world, &flow(1), "a", 1, &more);
        assert_eq!((ok.status(), ok.all(HeaderName::Require).len()), (200, 0));
    }

    /// "the corresponding binding is between an AOR and the combination of the instance-id … and the value of "reg-id"".
    #[test]
    fn there_is_one_binding_to_an_instance_and_reg_id() {
        let mut world = World::default();
        over(&mut world, &flow(1), "a", 1, &outbound(1));
        over(&mut world, &flow(2), "b", 1, &outbound(2));
        assert_eq!(world.bindings(), 2);
        // Another contact, another connection, another Call-ID: the same binding.
        let again = outbound(1).replace("203.0.113.5;", "203.0.113.99;");
        let ok = over(&mut world, &flow(3), "c", 1, &again);
        assert_eq!(ok.all(HeaderName::Contact).len(), 2);
        assert!(ok.text.contains("203.0.113.99"));
    }

    /// "If the registrar processes a Contact header field value with a reg-id but no instance-id, it simply ignores the
    /// reg-id parameter."
    #[test]
    fn a_reg_id_without_an_instance_is_ignored() {
        let mut world = World::default();
        let more = "Supported: outbound\nContact: <sip:bob@203.0.113.5>;reg-id=1\n";
        let ok = over(&mut world, &flow(1), "a", 1, more);
        assert_eq!((ok.status(), ok.all(HeaderName::Require).len()), (200, 0));
        assert_eq!(ok.all(HeaderName::Contact), ["<sip:bob@203.0.113.5>;expires=3600"]);
    }

    /// "if the Contact header field contains more than one header field value with a non-zero expiration and any of these
    /// … contain a "reg-id" …, the entire registration SHOULD be rejected with a 400".
    #[test]
    fn a_flow_is_registered_alone() {
        let mut world = World::default();
        let more = format!("{}Contact: <sip:other@203.0.113.5>\n", outbound(1));
        assert_eq!(over(&mut world, &flow(1), "a", 1, &more).status(), 400);
        let more = format!("{}Contact: <sip:other@203.0.113.5>;expires=0\n", outbound(1));
        assert_eq!(over(&mut world, &flow(1), "b", 1, &more).status(), 200);
    }

    /// "If the Path header field is missing or it exists but the first URI does not have an "ob" URI parameter, then
    /// outbound processing MUST NOT be applied … the registrar MUST respond … with a 439".
    #[test]
    fn a_first_hop_that_lacks_support_is_told_of() {
        let mut world = World::default();
        let edge = "Via: SIP/2.0/TCP 10.0.0.5;branch=z9hG4bKua\n";
        let without = format!("{edge}Path: <sip:edge.example.net;lr>\n{}", outbound(1));
        assert_eq!(over(&mut world, &flow(1), "a", 1, &without).status(), 439);
        assert_eq!(over(&mut world, &flow(1), "b", 1, &format!("{edge}{}", outbound(1))).status(), 439);
        // A client that does not ask for outbound gets a plain binding.
        let plain = format!("{edge}{}", outbound(1).replace("path, outbound", "path"));
        let ok = over(&mut world, &flow(1), "c", 1, &plain);
        assert_eq!((ok.status(), ok.first(HeaderName::Contact).contains("reg-id")), (200, false));
        let with = format!("{edge}Path: <sip:token@edge.example.net;lr;ob>\n{}", outbound(1));
        let ok = over(&mut world, &flow(1), "d", 1, &with);
        assert_eq!((ok.status(), ok.first(HeaderName::Require)), (200, "outbound"));
        assert!(!ok.headers().contains(HeaderName::FlowTimer), "the flow is not with us");
    }
}

mod s7_authoritative_proxy {
    use super::*;

    /// "the proxy MUST send the request over the same 'logical flow' saved with the binding".
    #[test]
    fn a_call_takes_the_flow_of_the_binding() {
        let mut world = World::default();
        over(&mut world, &flow(4), "a", 1, &outbound(1));
        let sent = one(world.caller(&invite(BOB, "call")));
        assert_eq!((sent.connection.map(|c| c.0), sent.to), (Some(4), flow(4).remote));
        // A refresh over another connection moves it.
        over(&mut world, &flow(5), "a", 2, &outbound(1));
        let sent = one(world.caller(&invite(BOB, "call2")));
        assert_eq!(sent.connection.map(|c| c.0), Some(5));
    }

    /// "The proxy MUST NOT populate the target set with more than one contact with the same AOR and instance-id at a
    /// time."
    #[test]
    fn one_instance_is_called_once_at_a_time() {
        let mut world = World::default();
        over(&mut world, &flow(1), "a", 1, &outbound(1));
        over(&mut world, &flow(2), "b", 1, &outbound(2));
        world.register("bob", "<sip:desk@203.0.113.9>", "203.0.113.9:5060");
        assert_eq!(world.caller(&invite(BOB, "call")).len(), 2);
    }

    /// "If a request … fails with a 430 (Flow Failed) response, the proxy SHOULD replace the failed branch with another
    /// target … with the same AOR and instance-id, but a different reg-id."
    #[test]
    fn when_a_flow_fails_the_other_flow_of_the_instance_is_tried() {
        let mut world = World::default();
        over(&mut world, &flow(1), "a", 1, &outbound(1));
        world.now += std::time::Duration::from_secs(1);
        over(&mut world, &flow(2), "b", 1, &outbound(2));
        let first = one(world.caller(&invite(BOB, "call")));
        assert_eq!(first.connection.map(|c| c.0), Some(2), "the one that was refreshed last");
        world.answer(&first, 430, "t", "");
        let second = one(world.sent().into_iter().filter(|sent| sent.method() == "INVITE").collect());
        assert_eq!(second.connection.map(|c| c.0), Some(1));
    }

    /// The caller is not told of flows that only we know.
    #[test]
    fn a_user_whose_only_flow_fails_is_unavailable() {
        let mut world = World::default();
        over(&mut world, &flow(1), "a", 1, &outbound(1));
        world.fail_next_transmission = true;
        assert_eq!(one(world.caller(&invite(BOB, "call"))).status(), 480);
    }

    /// "If the proxy receives a final response from a branch other than a 408 … or a 430 …, the proxy MUST NOT forward the
    /// same request to another target representing the same AOR and instance-id."
    #[test]
    fn an_instance_that_has_answered_is_not_asked_again() {
        let mut world = World::default();
        over(&mut world, &flow(1), "a", 1, &outbound(1));
        over(&mut world, &flow(2), "b", 1, &outbound(2));
        let first = one(world.caller(&invite(BOB, "call")));
        world.answer(&first, 486, "t", "");
        assert_eq!(
            world.sent().iter().map(|sent| (sent.method().to_owned(), sent.status())).collect::<Vec<_>>(),
            [("ACK".to_owned(), 0), (String::new(), 486)]
        );
    }

    /// "If a proxy or registrar receives information … that no future messages will be delivered on a specific flow, then
    /// the proxy MUST invalidate all the bindings … that use that flow (regardless of AOR)."
    #[test]
    fn a_connection_that_ends_takes_its_bindings_along() {
        let mut world = World::default();
        over(&mut world, &flow(1), "a", 1, &outbound(1));
        let carol = register("carol", "c", 1, &outbound(1), "203.0.113.5:50001").replace("SIP/2.0/UDP", "SIP/2.0/TCP");
        world.receive(&flow(1), &carol);
        world.sent();
        over(&mut world, &flow(2), "b", 1, &outbound(2));
        assert_eq!(world.bindings(), 3);
        world.input(Input::ConnectionClosed { flow: flow(1) });
        assert_eq!(world.bindings(), 1);
        world.input(Input::ConnectionClosed { flow: flow(2) });
        assert_eq!(one(world.caller(&invite(BOB, "call"))).status(), 480);
    }
}

mod s5_edge_proxy {
    use super::*;

    fn edge() -> World {
        let mut config = config();
        config.proxy.relay = Relay::Any;
        let mut world = World::new(config);
        world.host("example.org", "203.0.113.40:5060");
        world
    }

    /// §5.1: "if the edge proxy is the first SIP node after the UAC, the edge proxy … MUST store a "flow token" … in its
    /// Path URI … In addition, the first node MUST include an "ob" URI parameter".
    #[test]
    fn a_flow_to_another_registrar_is_put_into_the_path() {
        let mut world = edge();
        let text = register("bob", "a", 1, &outbound(1), "203.0.113.5:50001")
            .replace("SIP/2.0/UDP", "SIP/2.0/TCP")
            .replace("example.com", "example.org");
        world.receive(&flow(1), &text);
        let path = world.only().first(HeaderName::Path).to_owned();
        assert!(path.ends_with(";lr;ob>"), "{path}");
        // §5.3.1: requests along it take the flow.
        let text = request("OPTIONS", "sip:bob@203.0.113.5;transport=tcp;ob", "o", &format!("Route: {path}\n"));
        world.receive(&udp("203.0.113.40:5060"), &text);
        assert_eq!(world.only().connection.map(|c| c.0), Some(1));
    }

    /// §5.1: "If the edge proxy is not the first SIP node after the UAC it MUST NOT place an "ob" URI parameter in a
    /// Path".
    #[test]
    fn who_is_not_the_first_hop_says_nothing_of_flows() {
        let mut world = edge();
        let more = format!("Via: SIP/2.0/TCP 10.0.0.5;branch=z9hG4bKua\n{}", outbound(1));
        let text = register("bob", "a", 1, &more, "203.0.113.5:50001")
            .replace("SIP/2.0/UDP", "SIP/2.0/TCP")
            .replace("example.com", "example.org");
        world.receive(&flow(1), &text);
        assert!(!world.only().headers().contains(HeaderName::Path));
    }

    /// §5.3.1: "If the flow token has been tampered with, the proxy SHOULD send a 403 (Forbidden) response."
    #[test]
    fn a_flow_token_that_was_tampered_with_is_forbidden() {
        let mut world = edge();
        let text = register("bob", "a", 1, &outbound(1), "203.0.113.5:50001")
            .replace("SIP/2.0/UDP", "SIP/2.0/TCP")
            .replace("example.com", "example.org");
        world.receive(&flow(1), &text);
        let path = world.only().first(HeaderName::Path).to_owned();
        let at = path.find('@').unwrap() - 6;
        let mut forged = path.clone().into_bytes();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();
        let text = request("OPTIONS", "sip:bob@203.0.113.5", "o", &format!("Route: {forged}\n"));
        assert_eq!(one(world.caller(&text)).status(), 403);
    }

    /// §5.3.1: "If the flow no longer exists, the proxy SHOULD send a 430 (Flow Failed) response".
    #[test]
    fn a_flow_that_has_failed_is_said_to_have() {
        let mut world = edge();
        let text = register("bob", "a", 1, &outbound(1), "203.0.113.5:50001")
            .replace("SIP/2.0/UDP", "SIP/2.0/TCP")
            .replace("example.com", "example.org");
        world.receive(&flow(1), &text);
        let path = world.only().first(HeaderName::Path).to_owned();
        world.fail_next_transmission = true;
        let text = request("OPTIONS", "sip:bob@203.0.113.5", "o", &format!("Route: {path}\n"));
        assert_eq!(one(world.caller(&text)).status(), 430);
    }

    /// §5.3.2 and §4.3: a caller whose contact says `ob` is reached over the flow that his INVITE came on; both ways,
    /// whichever way the requests go.
    #[test]
    fn a_dialog_of_two_flows_stays_on_both() {
        let mut world = World::default();
        over(&mut world, &flow(1), "a", 1, &outbound(1));
        let caller = stream(Transport::Tcp, "198.51.100.7:40000", 77);
        let text = invite(BOB, "call")
            .replace("SIP/2.0/UDP", "SIP/2.0/TCP")
            .replace(&format!("<sip:caller@{CALLER}>"), "<sip:caller@198.51.100.7;ob>");
        world.receive(&caller, &text);
        let sent = world.only();
        assert_eq!(sent.connection.map(|c| c.0), Some(1));
        world.answer(&sent, 200, "b", "Contact: <sip:bob@203.0.113.5;transport=tcp;ob>\n");
        let ok = world.only();
        assert_eq!(ok.connection.map(|c| c.0), Some(77));
        let routes = ok.all(HeaderName::RecordRoute);
        assert_eq!(routes.len(), 2);
        // The callee's BYE: its route set is the Record-Route as it stands.
        let bye = |routes: &[&str], from: &str, to: &str, uri: &str, branch: &str| {
            format!(
                "BYE {uri} SIP/2.0\nVia: SIP/2.0/TCP h;branch=z9hG4bK{branch}\nRoute: {}\nFrom: {from}\nTo: {to}\n\
                 Call-ID: call\nCSeq: 9 BYE\nMax-Forwards: 70\nContent-Length: 0\n\n",
                routes.join(", ")
            )
        };
        let (from, to) = (ok.first(HeaderName::From), ok.first(HeaderName::To));
        world.receive(&flow(1), &bye(&routes, to, from, "sip:caller@198.51.100.7;ob", "1"));
        assert_eq!(world.only().connection.map(|c| c.0), Some(77));
        // The caller's: the reverse. It does not matter over which connection it comes.
        let reverse: Vec<&str> = routes.iter().rev().copied().collect();
        let text = bye(&reverse, from, to, "sip:bob@203.0.113.5;transport=tcp;ob", "2");
        world.receive(&stream(Transport::Tcp, "198.51.100.7:40001", 78), &text);
        assert_eq!(world.only().connection.map(|c| c.0), Some(1));
    }

    /// §5.3: "If the flow in the flow token … matches the source …, the request is an "outgoing" request"; and a client
    /// that learned its own Path opens no way out by it.
    #[test]
    fn a_client_s_own_path_is_no_way_out() {
        let mut world = World::new({
            let mut config = config();
            config.proxy.relay = Relay::None;
            config
        });
        let mut edge = edge();
        let text = register("bob", "a", 1, &outbound(1), "203.0.113.5:50001")
            .replace("SIP/2.0/UDP", "SIP/2.0/TCP")
            .replace("example.com", "example.org");
        edge.receive(&flow(1), &text);
        let path = edge.only().first(HeaderName::Path).to_owned();
        let text = request("OPTIONS", "sip:victim@203.0.113.99", "o", &format!("Route: {path}\n"))
            .replace("SIP/2.0/UDP", "SIP/2.0/TCP");
        world.receive(&flow(1), &text);
        assert_eq!(lines(&world.sent()), ["SIP/2.0 403 Forbidden"]);
    }
}

/// The address of a caller that is not used above.
#[test]
fn a_binding_without_a_flow_is_called_where_it_says() {
    let mut world = World::default();
    world.register("bob", "<sip:bob@203.0.113.5:5070>", "203.0.113.5:5060");
    assert_eq!(one(world.caller(&invite(BOB, "call"))).to, addr("203.0.113.5:5070"));
}
