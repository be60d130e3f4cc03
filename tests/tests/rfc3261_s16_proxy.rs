//! RFC 3261 §16: what a stateful proxy does, step by step.

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

mod server_world;

use std::time::Duration;

use applications::echo;
use container::Resources;
use cordboard::config::{Config, Relay};
use server_world::{
    CALLER, Sent, World, addr, cancel, config, digest, invite, lines, one, request, stream, udp, users,
};
use sip_endpoint::Input;
use sip_message::{HeaderName, Transport};

const BOB: &str = "203.0.113.5:5060";
const CAROL: &str = "203.0.113.6:5060";
const DAVE: &str = "203.0.113.8:5060";
const TO_BOB: &str = "sip:bob@example.com";

/// A proxy that forwards anywhere.
fn relay() -> World {
    let mut config = config();
    config.proxy.relay = Relay::Any;
    World::new(config)
}

/// bob has these contacts.
fn bob_at(contacts: &[&str]) -> World {
    let mut world = World::default();
    for contact in contacts {
        assert_eq!(world.register("bob", contact, BOB).status(), 200);
    }
    world
}

/// An INVITE to bob has been forked; where it went.
fn call(world: &mut World) -> Vec<Sent> {
    let mut sent = world.caller(&invite(TO_BOB, "call"));
    sent.sort_by_key(|sent| sent.to);
    sent
}

/// An ACK comes for a failure, so that the caller's transaction ends.
fn ack_failure(world: &mut World, response: &Sent) {
    let text = request("ACK", TO_BOB, "call", "")
        .replace("z9hG4bK-call-ACK", "z9hG4bK-call-INVITE")
        .replace("To: <sip:bob@example.com>", &format!("To: {}", response.first(HeaderName::To)));
    world.receive(&udp(CALLER), &text);
}

/// A request within the dialog that `ok` has made for its caller.
fn in_dialog(method: &str, ok: &Sent, target: &str, cseq: u32) -> String {
    let mut routes: Vec<&str> = ok.all(HeaderName::RecordRoute);
    routes.reverse();
    let routes: String = routes.iter().map(|route| format!("Route: {route}\n")).collect();
    format!(
        "{method} {target} SIP/2.0\nVia: SIP/2.0/UDP {CALLER};branch=z9hG4bK-d{cseq}-{method}\nFrom: {}\nTo: {}\n\
         Call-ID: {}\nCSeq: {cseq} {method}\nMax-Forwards: 70\n{routes}Content-Length: 0\n\n",
        ok.first(HeaderName::From),
        ok.first(HeaderName::To),
        ok.first(HeaderName::CallId),
    )
}

mod s16_3_request_validation {
    use super::*;

    /// Step 1: "Any other components, well-formed or not, SHOULD be ignored and remain unchanged".
    #[test]
    fn what_the_proxy_does_not_use_passes_unread_and_unchanged() {
        let mut world = relay();
        let more = "Date: never\nX-Odd: ;;,,;\nSubject:\n";
        let sent = one(world.caller(&request("MESSAGE", "sip:a@203.0.113.5", "1", more)));
        assert!(sent.text.contains("Date: never\r\nX-Odd: ;;,,;\r\n"), "{}", sent.text);
    }

    /// Step 1: "An element MUST NOT refuse to proxy a request because it contains a method … it does not know about."
    #[test]
    fn an_unknown_method_is_forwarded() {
        let mut world = relay();
        let sent = one(world.caller(&request("TELEPORT", "sip:a@203.0.113.5", "1", "")));
        assert_eq!(sent.method(), "TELEPORT");
    }

    #[test]
    fn a_route_that_cannot_be_read_is_a_bad_request() {
        let mut world = relay();
        let sent = one(world.caller(&request("MESSAGE", "sip:a@203.0.113.5", "1", "Route: <sip:x;lr\n")));
        assert_eq!(sent.status(), 400);
    }

    /// Step 2.
    #[test]
    fn a_scheme_that_is_not_understood_is_refused() {
        let mut world = relay();
        for uri in ["nobodyKnowsThisScheme:opaque", "tel:+12015550123"] {
            assert_eq!(one(world.caller(&request("MESSAGE", uri, uri, ""))).status(), 416);
        }
    }

    /// Step 3: "If the request contains a Max-Forwards header field with a field value of zero (0), the element MUST NOT
    /// forward the request."
    #[test]
    fn a_request_that_may_go_no_further_ends_here() {
        let mut world = relay();
        let text = invite("sip:a@203.0.113.5", "1").replace("Max-Forwards: 70", "Max-Forwards: 0");
        assert_eq!(one(world.caller(&text)).status(), 483);
    }

    /// Step 3: "If the request was for OPTIONS, the element MAY act as the final recipient and respond per Section 11."
    #[test]
    fn an_options_that_may_go_no_further_is_answered_here() {
        let mut world = relay();
        let text = request("OPTIONS", "sip:a@203.0.113.5", "1", "").replace("Max-Forwards: 70", "Max-Forwards: 0");
        let ok = one(world.caller(&text));
        assert_eq!(ok.status(), 200);
        assert!(ok.headers().contains(HeaderName::Allow) && ok.headers().contains(HeaderName::Supported));
    }

    /// Step 5: "the element MUST return a 420 (Bad Extension) response. The response MUST include an Unsupported …
    /// listing those option-tags the element did not understand."
    #[test]
    fn an_extension_that_proxies_must_know_is_named_when_we_do_not() {
        let mut world = relay();
        let sent = one(world.caller(&request("MESSAGE", "sip:a@203.0.113.5", "1", "Proxy-Require: x, y\n")));
        assert_eq!((sent.status(), sent.first(HeaderName::Unsupported)), (420, "x"));
        assert_eq!(sent.all(HeaderName::Unsupported), ["x", "y"]);
    }

    /// A Require is for the far end.
    #[test]
    fn an_extension_that_the_far_end_must_know_passes() {
        let mut world = relay();
        assert_eq!(
            one(world.caller(&request("MESSAGE", "sip:a@203.0.113.5", "1", "Require: x\n"))).method(),
            "MESSAGE"
        );
    }

    /// Step 6, §22.3.
    #[test]
    fn a_caller_who_says_to_be_ours_proves_it() {
        let mut config = config();
        config.user = users(&["alice", "bob"]);
        config.proxy.authenticate = true;
        let mut world = World::new(config);
        assert_eq!(world.register("bob", "<sip:bob@203.0.113.5>", BOB).status(), 200);
        let text = |more: &str, cseq: u32| {
            request("INVITE", TO_BOB, "call", more)
                .replace("sip:caller@elsewhere.example", "sip:alice@example.com")
                .replace("CSeq: 1", &format!("CSeq: {cseq}"))
                .replace("z9hG4bK-call", &format!("z9hG4bK-call{cseq}"))
        };
        let challenge = one(world.caller(&text("", 1)));
        assert_eq!(challenge.status(), 407);
        let md5 = challenge.all(HeaderName::ProxyAuthenticate).into_iter().find(|c| c.contains("MD5")).unwrap();
        let more = format!("Proxy-Authorization: {}\n", digest(md5, "alice", "secret", "INVITE", TO_BOB));
        assert_eq!(one(world.caller(&text(&more, 2))).method(), "INVITE");
        // Another user's credentials do not do.
        let challenge = one(world.caller(&text("", 3)));
        let md5 = challenge.all(HeaderName::ProxyAuthenticate).into_iter().find(|c| c.contains("MD5")).unwrap();
        let more = format!("Proxy-Authorization: {}\n", digest(md5, "bob", "secret", "INVITE", TO_BOB));
        assert_eq!(one(world.caller(&text(&more, 4))).status(), 403);
        // Who is not ours is not asked.
        assert_eq!(one(world.caller(&invite(TO_BOB, "stranger"))).method(), "INVITE");
    }
}

mod s16_4_route_information_preprocessing {
    use super::*;

    /// "If the first value in the Route header field indicates this proxy, the proxy MUST remove that value".
    #[test]
    fn our_own_route_is_removed() {
        let mut world = relay();
        for (n, route) in ["<sip:192.0.2.1;lr>", "<sip:example.com;lr>", "<sip:x@192.0.2.1:5060;lr>"].iter().enumerate()
        {
            let more = format!("Route: {route}\n");
            let sent = one(world.caller(&request("MESSAGE", "sip:a@203.0.113.5", &format!("{n}"), &more)));
            assert_eq!(sent.all(HeaderName::Route).len(), 0);
        }
    }

    /// … and only ours.
    #[test]
    fn a_route_behind_ours_stays_and_leads() {
        let mut world = relay();
        let more = "Route: <sip:192.0.2.1;lr>, <sip:203.0.113.9;lr>, <sip:192.0.2.1;lr>\n";
        let sent = one(world.caller(&request("MESSAGE", "sip:a@203.0.113.5", "1", more)));
        assert_eq!(sent.all(HeaderName::Route), ["<sip:203.0.113.9;lr>", "<sip:192.0.2.1;lr>"]);
        assert_eq!((sent.to, sent.uri()), (addr("203.0.113.9:5060"), "sip:a@203.0.113.5"));
    }

    /// "If the Request-URI of the request contains a value this proxy previously placed into a Record-Route header field
    /// …, the proxy MUST replace the Request-URI in the request with the last value from the Route header field, and
    /// remove that value from the Route header field."
    #[test]
    fn what_a_strict_router_has_done_is_undone() {
        let mut world = bob_at(&["<sip:bob@203.0.113.5>"]);
        let sent = one(call(&mut world));
        world.answer(&sent, 200, "b", "Contact: <sip:bob@203.0.113.5>\n");
        let ok = world.only();
        let record = ok.first(HeaderName::RecordRoute).trim_matches(['<', '>']).to_owned();
        let text = in_dialog("BYE", &ok, &record, 2);
        let text = text.lines().filter(|line| !line.starts_with("Route")).collect::<Vec<_>>().join("\n");
        let text = text.replace("Content-Length", "Route: <sip:203.0.113.9;lr>, <sip:bob@203.0.113.5>\nContent-Length");
        let bye = one(world.caller(&format!("{text}\n\n")));
        assert_eq!(bye.uri(), "sip:bob@203.0.113.5");
        assert_eq!((bye.all(HeaderName::Route), bye.to), (vec!["<sip:203.0.113.9;lr>"], addr("203.0.113.9:5060")));
    }

    /// "If the Request-URI has a maddr parameter with a value the proxy is responsible for, and the request was received
    /// using the port and transport indicated …, the proxy MUST strip the maddr and any non-default port or transport
    /// parameter".
    #[test]
    fn a_maddr_that_names_us_is_stripped_where_it_came_as_it_says() {
        let mut world = bob_at(&["<sip:bob@203.0.113.5>"]);
        let sent = one(world.caller(&request("MESSAGE", "sip:bob@example.com;maddr=192.0.2.1", "1", "")));
        assert_eq!(sent.uri(), "sip:bob@203.0.113.5");
        let text = request("MESSAGE", "sip:bob@example.com;maddr=192.0.2.1;transport=tcp", "2", "");
        // It says TCP and came by UDP: it is to be sent to where it says, which we do for nobody here.
        assert_eq!(one(world.caller(&text)).status(), 403);
    }
}

mod s16_5_determining_request_targets {
    use super::*;

    #[test]
    fn a_foreign_domain_is_the_only_target_where_we_relay() {
        let mut world = relay();
        world.host("chicago.example", "203.0.113.77:5060");
        let sent = one(world.caller(&invite("sip:bob@chicago.example", "1")));
        assert_eq!((sent.uri(), sent.to), ("sip:bob@chicago.example", addr("203.0.113.77:5060")));
    }

    /// We are no open relay.
    #[test]
    fn a_foreign_domain_is_forbidden_where_we_do_not_relay() {
        let mut world = World::default();
        world.host("chicago.example", "203.0.113.77:5060");
        assert_eq!(one(world.caller(&invite("sip:bob@chicago.example", "1"))).status(), 403);
        let more = "Route: <sip:192.0.2.1;lr>, <sip:203.0.113.9;lr>\n";
        assert_eq!(one(world.caller(&request("INVITE", TO_BOB, "2", more))).status(), 403);
        assert_eq!(one(world.caller(&invite("sip:bob@example.com;maddr=203.0.113.9", "3"))).status(), 403);
    }

    /// "When accessing the location service constructed by a registrar, the Request-URI MUST first be canonicalized".
    #[test]
    fn a_user_of_ours_is_found_by_any_form_of_his_address() {
        let mut world = bob_at(&["<sip:bob@203.0.113.5>"]);
        for (n, uri) in
            [TO_BOB, "sip:%62ob@EXAMPLE.com;x=y", "sip:bob@192.0.2.1", "sip:bob@192.0.2.1:5060", "sips:bob@example.com"]
                .into_iter()
                .enumerate()
        {
            assert_eq!(
                one(world.caller(&request("MESSAGE", uri, &format!("{n}"), ""))).uri(),
                "sip:bob@203.0.113.5",
                "{uri}"
            );
        }
    }

    /// "If the Request-URI indicates a resource at this proxy that does not exist, the proxy MUST return a 404"; "If the
    /// target set remains empty …, the proxy MUST return an error response, which SHOULD be the 480".
    #[test]
    fn who_does_not_exist_is_not_found_and_who_is_away_is_unavailable() {
        let mut config = config();
        config.user = users(&["bob"]);
        let mut world = World::new(config);
        assert_eq!(one(world.caller(&invite(TO_BOB, "1"))).status(), 480);
        assert_eq!(one(world.caller(&invite("sip:eve@example.com", "2"))).status(), 404);
    }

    /// "If a target URI is already present in the set …, it MUST NOT be added again."
    #[test]
    fn a_target_is_tried_once() {
        let mut world = World::default();
        assert_eq!(
            world.register("bob", "<sip:bob@203.0.113.5>;q=0.9, <sip:BOB@203.0.113.5>;q=0.8", BOB).status(),
            200
        );
        assert_eq!(call(&mut world).len(), 1);
        let mut world = World::default();
        world.register("bob", "<sip:bob@203.0.113.5>, <sip:bob@203.0.113.5;x=1>", BOB);
        assert_eq!(call(&mut world).len(), 1);
    }

    /// A contact that is not SIP cannot be called from here.
    #[test]
    fn a_contact_that_is_no_sip_uri_is_no_target() {
        let mut world = bob_at(&["<tel:+12015550123>"]);
        assert_eq!(one(world.caller(&invite(TO_BOB, "1"))).status(), 480);
    }
}

mod s16_6_request_forwarding {
    use super::*;

    /// Step 1: "The proxy MUST NOT add to, modify, or remove the message body"; order and unknown headers stay.
    #[test]
    fn headers_and_body_pass_as_they_came() {
        let mut world = relay();
        let text = "INVITE sip:a@203.0.113.5 SIP/2.0\nv: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bKx\n\
            f: <sip:c@d>;tag=1\nt: <sip:a@203.0.113.5>\ni: 1\nCSeq: 1 INVITE\nX-B: 2\nX-A:   1\nX-B: 1\n\
            c: text/plain\nl: 5\nMax-Forwards: 9\n\nHallo";
        let sent = one(world.caller(text));
        assert!(sent.text.contains("X-B: 2\r\nX-A:   1\r\nX-B: 1\r\nc: text/plain\r\nl: 5\r\n"), "{}", sent.text);
        assert!(sent.text.ends_with("\r\n\r\nHallo"));
    }

    /// Step 2: "The Request-URI in the copy's start line MUST be replaced with the URI for this target. If the URI
    /// contains any parameters not allowed in a Request-URI, they MUST be removed."
    #[test]
    fn the_contact_becomes_the_request_uri_without_what_may_not_stand_there() {
        let mut world = bob_at(&["<sip:bob@203.0.113.5;method=INVITE;x=y?Subject=z>"]);
        assert_eq!(one(call(&mut world)).uri(), "sip:bob@203.0.113.5;x=y");
    }

    /// Step 3.
    #[test]
    fn max_forwards_goes_down_by_one_and_is_added_where_it_was_missing() {
        let mut world = relay();
        let sent = one(world.caller(&invite("sip:a@203.0.113.5", "1")));
        assert_eq!(sent.all(HeaderName::MaxForwards), ["69"]);
        let text = invite("sip:a@203.0.113.5", "2").replace("Max-Forwards: 70\n", "");
        assert_eq!(one(world.caller(&text)).all(HeaderName::MaxForwards), ["70"]);
        let text = invite("sip:a@203.0.113.5", "3").replace("Max-Forwards: 70", "Max-Forwards: 1");
        assert_eq!(one(world.caller(&text)).all(HeaderName::MaxForwards), ["0"]);
    }

    /// Step 4: "it MUST insert a Record-Route header field value into the copy before any existing Record-Route header
    /// field values … This URI MUST contain an lr parameter".
    #[test]
    fn we_stay_on_the_path_of_dialogs() {
        let mut world = relay();
        let sent =
            one(world.caller(&request("INVITE", "sip:a@203.0.113.5", "1", "Record-Route: <sip:p.example.net;lr>\n")));
        let routes = sent.all(HeaderName::RecordRoute);
        assert_eq!(routes.len(), 2);
        assert!(routes[0].starts_with("<sip:") && routes[0].contains("@192.0.2.1;lr"), "{}", routes[0]);
        assert_eq!(routes[1], "<sip:p.example.net;lr>");
        for method in ["SUBSCRIBE", "REFER", "NOTIFY", "TELEPORT"] {
            let sent = one(world.caller(&request(method, "sip:a@203.0.113.5", method, "")));
            assert!(sent.headers().contains(HeaderName::RecordRoute), "{method}");
        }
        for method in ["MESSAGE", "OPTIONS", "PUBLISH"] {
            let sent = one(world.caller(&request(method, "sip:a@203.0.113.5", method, "")));
            assert!(!sent.headers().contains(HeaderName::RecordRoute), "{method}");
        }
    }

    #[test]
    fn we_leave_the_path_when_we_are_told_to() {
        let mut config = config();
        config.proxy.relay = Relay::Any;
        config.proxy.record_route = false;
        let mut world = World::new(config);
        assert!(!one(world.caller(&invite("sip:a@203.0.113.5", "1"))).headers().contains(HeaderName::RecordRoute));
    }

    /// RFC 5658: each side sees an address of ours that it can use.
    #[test]
    fn between_two_transports_we_are_recorded_twice() {
        let mut world = relay();
        let sent = one(world.caller(&invite("sip:a@203.0.113.5;transport=tcp", "1")));
        let routes = sent.all(HeaderName::RecordRoute);
        assert_eq!(routes.len(), 2);
        assert!(routes[0].contains("@192.0.2.1;transport=tcp;lr"), "{}", routes[0]);
        assert!(routes[1].contains("@192.0.2.1;lr"), "{}", routes[1]);
        world.answer(&sent, 200, "b", "Contact: <sip:a@203.0.113.5;transport=tcp>\n");
        let ok = world.only();
        let bye = one(world.caller(&in_dialog("BYE", &ok, "sip:a@203.0.113.5;transport=tcp", 2)));
        assert_eq!((bye.all(HeaderName::Route).len(), bye.transport), (0, Transport::Tcp));
    }

    /// Step 4: "If the Request-URI contains a SIPS URI …, the URI placed into the Record-Route header field MUST be a
    /// SIPS URI."
    #[test]
    fn a_secure_request_is_recorded_with_a_secure_uri() {
        let mut world = relay();
        let text = invite("sips:a@203.0.113.5", "1").replace("SIP/2.0/UDP", "SIP/2.0/TLS");
        world.receive(&stream(Transport::Tls, "198.51.100.7:40000", 3), &text);
        let sent = world.only();
        assert!(sent.all(HeaderName::RecordRoute).iter().all(|route| route.starts_with("<sips:")), "{}", sent.text);
        assert_eq!(sent.transport, Transport::Tls);
    }

    /// Steps 6 and 7: where the strict router is, its own URI says, which is now the Request-URI.
    #[test]
    fn a_strict_router_is_found_by_its_own_uri() {
        let mut world = relay();
        world.host("strict.example.net", "203.0.113.9:5060");
        let more = "Route: <sip:strict.example.net>, <sip:203.0.113.10;lr>\n";
        assert_eq!(one(world.caller(&request("MESSAGE", "sip:a@203.0.113.5", "1", more))).to, addr("203.0.113.9:5060"));
    }

    /// Step 6: a next hop without lr gets its own URI in the request line, and the target behind the Route.
    #[test]
    fn a_strict_router_is_met_as_it_expects() {
        let mut world = relay();
        let more = "Route: <sip:192.0.2.1;lr>, <sip:203.0.113.9>, <sip:203.0.113.10;lr>\n";
        let sent = one(world.caller(&request("MESSAGE", "sip:a@203.0.113.5", "1", more)));
        assert_eq!((sent.uri(), sent.to), ("sip:203.0.113.9", addr("203.0.113.9:5060")));
        assert_eq!(sent.all(HeaderName::Route), ["<sip:203.0.113.10;lr>", "<sip:a@203.0.113.5>"]);
    }

    /// Step 8: our Via, before the others.
    #[test]
    fn our_via_is_on_top() {
        let mut world = relay();
        let sent = one(world.caller(&invite("sip:a@203.0.113.5", "1")));
        let vias = sent.all(HeaderName::Via);
        assert_eq!(vias.len(), 2);
        assert!(vias[0].starts_with("SIP/2.0/UDP 192.0.2.1;") && vias[0].contains("branch=z9hG4bK"));
    }

    /// Step 9.
    #[test]
    fn a_content_length_is_added() {
        let mut world = relay();
        let text = invite("sip:a@203.0.113.5;transport=tcp", "1").replace("Content-Length: 0\n", "");
        assert_eq!(one(world.caller(&text)).first(HeaderName::ContentLength), "0");
    }

    /// "Targets are processed from highest qvalue to lowest. Targets with equal qvalues may be processed in parallel."
    #[test]
    fn equal_preference_is_tried_in_parallel_and_lower_preference_after_it() {
        let mut world =
            bob_at(&["<sip:a@203.0.113.5>;q=0.5", "<sip:b@203.0.113.6>;q=0.9", "<sip:c@203.0.113.7>;q=0.9"]);
        let first = call(&mut world);
        assert_eq!(first.iter().map(Sent::uri).collect::<Vec<_>>(), ["sip:b@203.0.113.6", "sip:c@203.0.113.7"]);
        world.answer(&first[0], 486, "b", "");
        assert_eq!(world.sent().iter().filter(|sent| sent.method() == "INVITE").count(), 0);
        world.answer(&first[1], 486, "c", "");
        let second = world.sent().into_iter().find(|sent| sent.method() == "INVITE").unwrap();
        assert_eq!(second.uri(), "sip:a@203.0.113.5");
        world.answer(&second, 200, "a", "Contact: <sip:a@203.0.113.5>\n");
        assert_eq!(world.only().status(), 200);
    }
}

mod s16_7_response_processing {
    use super::*;

    /// Step 3: our Via is removed; the response goes to the next.
    #[test]
    fn a_response_goes_back_without_our_via() {
        let mut world = relay();
        let sent = one(world.caller(&invite("sip:a@203.0.113.5", "1")));
        world.answer(&sent, 180, "a", "");
        let ringing = world.only();
        assert_eq!((ringing.status(), ringing.to), (180, addr(CALLER)));
        assert_eq!(ringing.all(HeaderName::Via), [format!("SIP/2.0/UDP {CALLER};branch=z9hG4bK-1-INVITE")]);
    }

    /// Step 5: "a stateful proxy MUST NOT forward any 100 (Trying) response".
    #[test]
    fn a_100_is_not_forwarded() {
        let mut world = relay();
        let sent = one(world.caller(&invite("sip:a@203.0.113.5", "1")));
        world.answer(&sent, 100, "", "");
        assert_eq!(lines(&world.sent()), [""; 0]);
    }

    /// Step 5: "Any provisional response other than 100" and "Any 2xx response" are forwarded immediately.
    #[test]
    fn provisional_responses_of_every_branch_are_forwarded() {
        let mut world = bob_at(&["<sip:b@203.0.113.6>", "<sip:c@203.0.113.7>"]);
        let sent = call(&mut world);
        world.answer(&sent[0], 180, "b", "");
        world.answer(&sent[1], 183, "c", "");
        assert_eq!(world.sent().iter().map(Sent::status).collect::<Vec<_>>(), [180, 183]);
    }

    /// Step 10: "If the forwarded response was a final response, the proxy MUST generate a CANCEL request for all pending
    /// client transactions".
    #[test]
    fn when_one_branch_answers_the_others_are_cancelled() {
        let mut world = bob_at(&["<sip:b@203.0.113.6>", "<sip:c@203.0.113.7>", "<sip:d@203.0.113.8>"]);
        let sent = call(&mut world);
        world.answer(&sent[0], 180, "b", "");
        world.answer(&sent[1], 180, "c", "");
        world.sent();
        world.answer(&sent[0], 200, "b", "Contact: <sip:b@203.0.113.6>\n");
        let after = world.sent();
        let mut both = lines(&after);
        both.sort_unstable();
        assert_eq!(both, ["CANCEL sip:c@203.0.113.7 SIP/2.0", "SIP/2.0 200 Text"]);
        let cancel = after.iter().find(|sent| sent.method() == "CANCEL").unwrap();
        assert!(cancel.first(HeaderName::Reason).contains("cause=200"));
        // The third has not been heard of: its CANCEL waits for a provisional response (§9.1).
        world.answer(&sent[2], 180, "d", "");
        assert_eq!(lines(&world.sent()), ["CANCEL sip:d@203.0.113.8 SIP/2.0"]);
        for branch in &sent[1..] {
            world.answer(branch, 487, "x", "");
        }
        assert!(world.sent().iter().all(|sent| sent.method() == "ACK"));
        world.is_empty_after_a_while();
    }

    /// Step 5: "After a final response has been sent …, the following responses MUST be forwarded immediately: Any 2xx
    /// response to an INVITE request". RFC 6026 §7.1 keeps the transactions for it.
    #[test]
    fn every_2xx_of_every_branch_is_forwarded() {
        let mut world = bob_at(&["<sip:b@203.0.113.6>", "<sip:c@203.0.113.7>"]);
        let sent = call(&mut world);
        world.answer(&sent[0], 200, "b", "");
        world.answer(&sent[0], 200, "b", "");
        world.answer(&sent[1], 200, "c", "");
        let tags: Vec<_> = world.sent().iter().map(|ok| ok.first(HeaderName::To).to_owned()).collect();
        assert_eq!(tags.len(), 3);
        assert!(tags[0].ends_with("tag=b") && tags[1].ends_with("tag=b") && tags[2].ends_with("tag=c"), "{tags:?}");
        world.is_empty_after_a_while();
    }

    /// RFC 6026 §7.1, §8.9: a 2xx that belongs to nothing any more is dropped.
    #[test]
    fn a_2xx_long_after_the_call_began_is_dropped() {
        let mut world = bob_at(&["<sip:b@203.0.113.6>"]);
        let sent = one(call(&mut world));
        world.answer(&sent, 200, "b", "");
        world.sent();
        world.advance(Duration::from_secs(64));
        world.answer(&sent, 200, "b", "");
        assert_eq!(lines(&world.sent()), [""; 0]);
    }

    /// Step 6: exactly one final response goes back, when all branches have ended.
    #[test]
    fn a_failure_waits_for_the_other_branches() {
        let mut world = bob_at(&["<sip:b@203.0.113.6>", "<sip:c@203.0.113.7>"]);
        let sent = call(&mut world);
        world.answer(&sent[0], 404, "b", "");
        assert_eq!(lines(&world.sent()), ["ACK sip:b@203.0.113.6 SIP/2.0"]);
        world.answer(&sent[1], 486, "c", "");
        let after = world.sent();
        let response = after.iter().find(|sent| sent.method().is_empty()).unwrap();
        assert_eq!(response.status(), 404);
        ack_failure(&mut world, response);
        world.is_empty_after_a_while();
    }

    fn final_of(codes: &[u16]) -> Sent {
        final_with(&codes.iter().map(|code| (*code, "")).collect::<Vec<_>>())
    }

    /// What goes back when three phones answer like this.
    fn final_with(answers: &[(u16, &str)]) -> Sent {
        let contacts: Vec<String> = (0..answers.len()).map(|n| format!("<sip:{n}@203.0.113.{}>", 10 + n)).collect();
        let mut world = bob_at(&contacts.iter().map(String::as_str).collect::<Vec<_>>());
        let sent = call(&mut world);
        assert_eq!(sent.len(), answers.len());
        let mut last = Vec::new();
        for (branch, (code, more)) in sent.iter().zip(answers) {
            world.answer(branch, *code, "t", more);
            last.extend(world.sent().into_iter().filter(|sent| sent.response().is_some()));
        }
        one(last)
    }

    /// Step 6: "It MUST choose from the 6xx class responses if any exist"; "from the lowest response class"; "SHOULD give
    /// preference to responses that provide information affecting resubmission".
    #[test]
    fn the_best_response_is_of_the_lowest_class_and_not_the_lowest_number() {
        assert_eq!(final_of(&[503, 407, 501, 404]).status(), 407);
        assert_eq!(final_of(&[500, 486]).status(), 486);
        assert_eq!(final_of(&[408, 486]).status(), 486);
        assert_eq!(final_of(&[486, 302]).status(), 302);
        assert_eq!(final_of(&[302, 404, 603]).status(), 603);
        assert_eq!(final_of(&[404, 420]).status(), 420);
    }

    /// Step 6: "If the only response that was received is a 503, the proxy SHOULD generate a 500 response".
    #[test]
    fn a_503_becomes_a_500() {
        let response = final_with(&[(503, "Retry-After: 60\n")]);
        assert_eq!(response.status(), 500);
        assert!(!response.headers().contains(HeaderName::RetryAfter));
    }

    /// Step 6: "If there are no final responses in the context, the proxy MUST send a 408".
    #[test]
    fn silence_is_a_timeout() {
        let mut world = bob_at(&["<sip:b@203.0.113.6>", "<sip:c@203.0.113.7>"]);
        call(&mut world);
        world.advance(Duration::from_millis(32_100));
        let last = world.sent().into_iter().filter(|sent| sent.response().is_some()).collect();
        assert_eq!(one(last).status(), 408);
    }

    /// Step 7: "the proxy MUST collect any WWW-Authenticate and Proxy-Authenticate header field values from all other 401
    /// … and 407 … responses received so far".
    #[test]
    fn challenges_of_all_branches_are_brought_together() {
        let response = final_with(&[
            (401, "WWW-Authenticate: Digest realm=\"a\", nonce=\"1\"\n"),
            (486, ""),
            (407, "Proxy-Authenticate: Digest realm=\"b\", nonce=\"2\"\n"),
            (401, "WWW-Authenticate: Digest realm=\"c\", nonce=\"3\"\n"),
        ]);
        assert!(matches!(response.status(), 401 | 407));
        assert_eq!(
            response.all(HeaderName::WwwAuthenticate),
            ["Digest realm=\"a\", nonce=\"1\"", "Digest realm=\"c\", nonce=\"3\""]
        );
        assert_eq!(response.all(HeaderName::ProxyAuthenticate), ["Digest realm=\"b\", nonce=\"2\""]);
    }

    /// Step 5: "If a 6xx response is received, it is not immediately forwarded, but the stateful proxy SHOULD cancel all
    /// client pending transactions …, and it MUST NOT create any new branches in this context."
    #[test]
    fn a_6xx_cancels_the_others_and_goes_back_after_them() {
        let mut world = bob_at(&["<sip:b@203.0.113.6>", "<sip:c@203.0.113.7>", "<sip:later@203.0.113.8>;q=0.1"]);
        let sent = call(&mut world);
        world.answer(&sent[1], 180, "c", "");
        world.sent();
        world.answer(&sent[0], 603, "b", "");
        assert_eq!(lines(&world.sent()), ["ACK sip:b@203.0.113.6 SIP/2.0", "CANCEL sip:c@203.0.113.7 SIP/2.0"]);
        world.answer(&sent[1], 487, "c", "");
        assert_eq!(lines(&world.sent()), ["ACK sip:c@203.0.113.7 SIP/2.0", "SIP/2.0 603 Text"]);
    }

    /// Step 5: a 2xx after a 6xx still goes back, and is then the only final response.
    #[test]
    fn a_2xx_that_crosses_a_6xx_wins() {
        let mut world = bob_at(&["<sip:b@203.0.113.6>", "<sip:c@203.0.113.7>"]);
        let sent = call(&mut world);
        world.answer(&sent[0], 603, "b", "");
        world.sent();
        world.answer(&sent[1], 200, "c", "");
        assert_eq!(lines(&world.sent()), ["SIP/2.0 200 Text"]);
    }

    /// Step 4 is a MAY: without it the caller follows the 3xx.
    #[test]
    fn a_redirection_goes_back_unless_we_recurse() {
        let response = final_with(&[(302, "Contact: <sip:new@203.0.113.20>\n")]);
        assert_eq!((response.status(), response.first(HeaderName::Contact)), (302, "<sip:new@203.0.113.20>"));
    }

    fn recursing() -> World {
        let mut config = config();
        config.proxy.recurse = true;
        let mut world = World::new(config);
        world.register("bob", "<sip:b@203.0.113.6>", BOB);
        world
    }

    /// Step 4: the contacts become targets, all at once and the best first; "Targets can only be placed in the target set
    /// once".
    #[test]
    fn a_redirection_is_followed_where_we_recurse_and_never_in_a_circle() {
        let mut world = recursing();
        let first = one(call(&mut world));
        world.answer(&first, 302, "b", "Contact: <sip:c@203.0.113.7>;q=0.5, <sip:d@203.0.113.8>;q=0.7\n");
        let after = world.sent();
        let invites = ["INVITE sip:d@203.0.113.8 SIP/2.0", "INVITE sip:c@203.0.113.7 SIP/2.0"];
        assert_eq!(lines(&after), ["ACK sip:b@203.0.113.6 SIP/2.0", invites[0], invites[1]]);
        world.answer(&after[1], 302, "d", "Contact: <sip:b@203.0.113.6>\n");
        assert_eq!(lines(&world.sent()), ["ACK sip:d@203.0.113.8 SIP/2.0"]);
        world.answer(&after[2], 486, "c", "");
        let response = world.sent().into_iter().find(|sent| sent.response().is_some()).unwrap();
        // What is left of the second 302 is better than a 486 by its class.
        assert_eq!((response.status(), response.first(HeaderName::Contact)), (302, "<sip:b@203.0.113.6>"));
    }

    /// Step 4: "it MUST remove them from the response before adding the response to the response context".
    #[test]
    fn contacts_that_were_followed_are_not_told_to_the_caller() {
        let mut world = recursing();
        let first = one(call(&mut world));
        world.answer(&first, 302, "b", "Contact: <sip:c@203.0.113.7>, <mailto:bob@example.com>\n");
        let next = world.sent().into_iter().find(|sent| sent.method() == "INVITE").unwrap();
        world.answer(&next, 480, "c", "");
        let response = world.sent().into_iter().find(|sent| sent.response().is_some()).unwrap();
        assert_eq!((response.status(), response.all(HeaderName::Contact)), (302, vec!["<mailto:bob@example.com>"]));
    }

    /// §16.5: "If the proxy is not responsible for that URI, it will not recurse on 3xx".
    #[test]
    fn a_redirection_of_a_foreign_domain_is_not_followed() {
        let mut config = config();
        config.proxy.recurse = true;
        config.proxy.relay = Relay::Any;
        let mut world = World::new(config);
        let sent = one(world.caller(&invite("sip:a@203.0.113.5", "1")));
        world.answer(&sent, 302, "a", "Contact: <sip:new@203.0.113.20>\n");
        assert_eq!(lines(&world.sent()), ["ACK sip:a@203.0.113.5 SIP/2.0", "SIP/2.0 302 Text"]);
    }

    /// Step 9: nothing but our Via is taken away.
    #[test]
    fn a_response_passes_as_it_came() {
        let mut world = relay();
        let sent = one(world.caller(&invite("sip:a@203.0.113.5", "1")));
        world.answer(&sent, 200, "a", "Contact: <sip:a@203.0.113.5>\nX-Odd:  ;;,\nServer: phone\n");
        let ok = world.only();
        assert!(ok.text.contains("X-Odd:  ;;,\r\nServer: phone\r\n"), "{}", ok.text);
        assert_eq!(ok.start_line(), "SIP/2.0 200 Text");
    }

    #[test]
    fn a_request_that_is_no_invite_gets_exactly_one_final_response() {
        let mut world = bob_at(&["<sip:b@203.0.113.6>", "<sip:c@203.0.113.7>"]);
        let sent = world.caller(&request("MESSAGE", TO_BOB, "1", ""));
        world.answer(&sent[0], 200, "b", "");
        world.answer(&sent[1], 200, "c", "");
        assert_eq!(world.sent().len(), 1);
        world.is_empty_after_a_while();
    }
}

mod s16_8_timer_c {
    use super::*;

    /// "If the client transaction has received a provisional response, the proxy MUST generate a CANCEL request".
    #[test]
    fn a_call_that_rings_for_three_minutes_is_cancelled() {
        let mut world = bob_at(&["<sip:b@203.0.113.6>"]);
        let sent = one(call(&mut world));
        world.answer(&sent, 180, "b", "");
        world.sent();
        world.advance(Duration::from_secs(180));
        assert_eq!(lines(&world.sent()), [""; 0]);
        world.advance(Duration::from_millis(1200));
        assert_eq!(lines(&world.sent()), ["CANCEL sip:b@203.0.113.6 SIP/2.0"]);
        world.answer(&sent, 487, "b", "");
        // The caller has cancelled nothing: what is told is that time is up (SIP Servlet 1.1, proxyTimeout).
        assert_eq!(lines(&world.sent()), ["ACK sip:b@203.0.113.6 SIP/2.0", "SIP/2.0 408 Request Timeout"]);
    }

    /// §16.7 step 2: "the proxy MUST reset timer C for that client transaction".
    #[test]
    fn every_provisional_response_gives_three_minutes_more() {
        let mut world = bob_at(&["<sip:b@203.0.113.6>"]);
        let sent = one(call(&mut world));
        for _ in 0..3 {
            world.answer(&sent, 180, "b", "");
            world.advance(Duration::from_secs(150));
            assert!(world.sent().iter().all(|sent| sent.status() == 180));
        }
        world.advance(Duration::from_millis(31_200));
        assert_eq!(lines(&world.sent()), ["CANCEL sip:b@203.0.113.6 SIP/2.0"]);
    }

    /// A 100 is none of 101 to 199.
    #[test]
    fn a_100_gives_no_time() {
        let mut world = bob_at(&["<sip:b@203.0.113.6>"]);
        let sent = one(call(&mut world));
        world.answer(&sent, 100, "", "");
        world.advance(Duration::from_secs(150));
        world.answer(&sent, 100, "", "");
        world.advance(Duration::from_millis(31_200));
        assert_eq!(lines(&world.sent()), ["CANCEL sip:b@203.0.113.6 SIP/2.0"]);
    }

    /// §9.1: a branch that keeps silent even then counts as cancelled, and leaves nothing behind.
    #[test]
    fn a_branch_that_does_not_even_answer_the_cancel_ends_all_the_same() {
        let mut world = bob_at(&["<sip:b@203.0.113.6>"]);
        let sent = one(call(&mut world));
        world.answer(&sent, 180, "b", "");
        world.advance(Duration::from_secs(182 + 40));
        let response = world.sent().into_iter().rfind(|sent| sent.response().is_some()).unwrap();
        assert_eq!(response.status(), 408);
        ack_failure(&mut world, &response);
        world.is_empty_after_a_while();
    }
}

mod s16_9_transport_errors {
    use super::*;

    /// "the proxy MUST behave as if the forwarded request received a 503", which alone becomes a 500.
    #[test]
    fn a_domain_that_nobody_knows_is_a_failure_of_ours() {
        let mut world = relay();
        let response = one(world.caller(&invite("sip:a@nowhere.example", "1")));
        assert_eq!(response.status() / 100, 5, "{}", response.start_line());
    }

    #[test]
    fn a_branch_that_cannot_be_sent_does_not_stop_the_others() {
        let mut world = bob_at(&["<sip:b@nowhere.example>", "<sip:c@203.0.113.7>"]);
        let sent = one(call(&mut world));
        world.answer(&sent, 200, "c", "");
        assert_eq!(world.only().status(), 200);
    }
}

mod s16_10_cancel_processing {
    use super::*;

    /// "the element MUST immediately return a 200 (OK) response to the CANCEL request … the element MUST generate CANCEL
    /// requests for all pending client transactions".
    #[test]
    fn a_cancel_goes_to_every_branch() {
        let mut world = bob_at(&["<sip:b@203.0.113.6>", "<sip:c@203.0.113.7>"]);
        let sent = call(&mut world);
        for branch in &sent {
            world.answer(branch, 180, "t", "");
        }
        world.sent();
        let reason = "Reason: SIP;cause=600;text=\"Gone\"\nContent-Length";
        let after = world.caller(&cancel(TO_BOB, "call").replace("Content-Length", reason));
        assert_eq!(after[0].start_line(), "SIP/2.0 200 OK");
        assert_eq!(after[0].first(HeaderName::Cseq), "1 CANCEL");
        assert_eq!(after[1..].iter().map(Sent::method).collect::<Vec<_>>(), ["CANCEL", "CANCEL"]);
        assert_eq!(after[1].first(HeaderName::Reason), "SIP;cause=600;text=\"Gone\"");
        for branch in &sent {
            world.answer(branch, 487, "t", "");
        }
        let last: Vec<_> = world.sent().into_iter().filter(|sent| sent.response().is_some()).collect();
        assert_eq!(one(last).status(), 487);
    }

    /// … and no target is tried after it.
    #[test]
    fn a_cancelled_call_tries_nobody_else() {
        let mut world = bob_at(&["<sip:b@203.0.113.6>", "<sip:later@203.0.113.7>;q=0.1"]);
        let sent = one(call(&mut world));
        world.answer(&sent, 180, "b", "");
        world.caller(&cancel(TO_BOB, "call"));
        world.answer(&sent, 487, "b", "");
        assert_eq!(lines(&world.sent()), ["ACK sip:b@203.0.113.6 SIP/2.0", "SIP/2.0 487 Text"]);
    }

    /// §9.1: a CANCEL does not overtake what it cancels.
    #[test]
    fn a_cancel_waits_for_the_first_sign_of_life() {
        let mut world = bob_at(&["<sip:b@203.0.113.6>"]);
        let sent = one(call(&mut world));
        assert_eq!(lines(&world.caller(&cancel(TO_BOB, "call"))), ["SIP/2.0 200 OK"]);
        world.answer(&sent, 100, "", "");
        assert_eq!(lines(&world.sent()), ["CANCEL sip:b@203.0.113.6 SIP/2.0"]);
    }

    /// The 200 that crosses the CANCEL: the call is up, and the caller is told.
    #[test]
    fn a_200_that_crosses_the_cancel_is_forwarded() {
        let mut world = bob_at(&["<sip:b@203.0.113.6>"]);
        let sent = one(call(&mut world));
        world.answer(&sent, 180, "b", "");
        world.caller(&cancel(TO_BOB, "call"));
        world.answer(&sent, 200, "b", "");
        assert_eq!(lines(&world.sent()), ["SIP/2.0 200 Text"]);
    }
}

mod s16_12_route_processing {
    use super::*;

    /// §16.12.1.1: a call with the proxy in the middle, from INVITE to BYE, by loose routes.
    #[test]
    fn a_dialog_stays_on_its_path_through_us() {
        let mut world = bob_at(&["<sip:bob@203.0.113.5>"]);
        let sent = one(call(&mut world));
        world.answer(&sent, 200, "b", "Contact: <sip:bob@203.0.113.5>\n");
        let ok = world.only();
        let ack = one(world.caller(&in_dialog("ACK", &ok, "sip:bob@203.0.113.5", 1)));
        assert_eq!((ack.start_line(), ack.to), ("ACK sip:bob@203.0.113.5 SIP/2.0", addr(BOB)));
        assert_eq!((ack.all(HeaderName::Route).len(), ack.first(HeaderName::MaxForwards)), (0, "69"));
        let bye = one(world.caller(&in_dialog("BYE", &ok, "sip:bob@203.0.113.5", 2)));
        assert_eq!((bye.start_line(), bye.to), ("BYE sip:bob@203.0.113.5 SIP/2.0", addr(BOB)));
        world.answer(&bye, 200, "", "");
        assert_eq!(world.only().status(), 200);
        world.is_empty_after_a_while();
    }

    /// The callee ends it: the same way back.
    #[test]
    fn the_callee_s_requests_come_back_the_same_way() {
        let mut world = bob_at(&["<sip:bob@203.0.113.5>"]);
        let sent = one(call(&mut world));
        world.answer(&sent, 200, "b", "Contact: <sip:bob@203.0.113.5>\n");
        let ok = world.only();
        let text = format!(
            "BYE sip:caller@{CALLER} SIP/2.0\nVia: SIP/2.0/UDP {BOB};branch=z9hG4bKbye\nRoute: {}\nFrom: {}\nTo: {}\n\
             Call-ID: call\nCSeq: 7 BYE\nMax-Forwards: 70\nContent-Length: 0\n\n",
            ok.first(HeaderName::RecordRoute),
            ok.first(HeaderName::To),
            ok.first(HeaderName::From),
        );
        world.receive(&udp(BOB), &text);
        let bye = world.only();
        assert_eq!((bye.method(), bye.to), ("BYE", addr(CALLER)));
    }

    /// A Record-Route of ours serves its own dialog and no other request, so that nobody relays through us with a copy.
    #[test]
    fn a_record_route_serves_its_own_dialog_only() {
        let mut world = bob_at(&["<sip:bob@203.0.113.5>"]);
        let sent = one(call(&mut world));
        world.answer(&sent, 200, "b", "Contact: <sip:bob@203.0.113.5>\n");
        let ok = world.only();
        let other = in_dialog("BYE", &ok, "sip:bob@203.0.113.5", 2).replace("Call-ID: call", "Call-ID: another");
        assert_eq!(one(world.caller(&other)).status(), 403);
        let bare = in_dialog("BYE", &ok, "sip:bob@203.0.113.5", 3);
        let bare: String =
            bare.lines().filter(|line| !line.starts_with("Route")).map(|line| format!("{line}\n")).collect();
        // Without our Route it belongs to no dialog that we know.
        assert_eq!(one(world.caller(&format!("{bare}\n"))).status(), 481);
    }

    /// An ACK is never answered, not even with an error.
    #[test]
    fn an_ack_that_leads_nowhere_is_dropped() {
        let mut world = World::default();
        assert_eq!(lines(&world.caller(&request("ACK", "sip:a@203.0.113.5", "1", ""))), [""; 0]);
        assert_eq!(lines(&world.caller(&request("ACK", TO_BOB, "2", ""))), [""; 0]);
    }
}

mod s11_requests_to_the_server {
    use super::*;

    #[test]
    fn options_are_answered_with_what_we_can_do() {
        let mut world = World::default();
        for uri in ["sip:example.com", "sip:192.0.2.1:5060"] {
            let ok = one(world.caller(&request("OPTIONS", uri, uri, "")));
            assert_eq!(ok.status(), 200);
            assert!(ok.all(HeaderName::Allow).contains(&"REGISTER"));
            assert!(ok.all(HeaderName::Supported).contains(&"path"));
            assert!(ok.headers().contains(HeaderName::Accept));
        }
    }

    /// §8.2.1: "If the UAS recognizes but does not support the method of a request, it MUST generate a 405 … The UAS MUST
    /// also add an Allow header field"; §21.5.2 for one that it does not know.
    #[test]
    fn a_method_without_a_service_is_not_allowed_and_an_unknown_one_not_implemented() {
        let mut world = World::default();
        let refused = one(world.caller(&request("MESSAGE", "sip:example.com", "1", "")));
        assert_eq!((refused.status(), refused.all(HeaderName::Allow)), (405, vec!["OPTIONS", "REGISTER"]));
        assert_eq!(one(world.caller(&request("TELEPORT", "sip:example.com", "2", ""))).status(), 501);
    }

    /// Where the echo application's media would be.
    struct NoMedia;

    impl echo::Mirrors for NoMedia {
        fn open(&self, _: std::net::IpAddr, _: Option<std::net::IpAddr>) -> Option<Box<dyn echo::Mirror>> {
            Some(Box::new(NoMedia))
        }
    }

    impl echo::Mirror for NoMedia {
        fn addr(&self) -> std::net::SocketAddr {
            addr("192.0.2.1:40000")
        }
    }

    #[test]
    fn a_call_to_echo_is_for_the_application_if_it_runs() {
        let mut world = World::default();
        assert_eq!(one(world.caller(&invite("sip:echo@example.com", "off"))).status(), 480);
        let config = Config { echo: true, ..config() };
        let media: Box<dyn echo::Mirrors> = Box::new(NoMedia);
        let mut world = World::with(&config, 0, 1, Resources::default().with(std::rc::Rc::new(media)));
        let ok = one(world.caller(&invite("sip:echo@example.com", "1")));
        assert_eq!((ok.status(), ok.first(HeaderName::ContentType)), (200, "application/sdp"));
        let sdp = "v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\n";
        let answer = format!("Content-Type: application/sdp\nContent-Length: {}\n\n{sdp}", sdp.len());
        let ack = in_dialog("ACK", &ok, ok.first(HeaderName::Contact).trim_matches(['<', '>']), 1);
        world.caller(&ack.replace("Content-Length: 0\n\n", &answer));
        world.advance(Duration::from_secs(40));
        let bye = in_dialog("BYE", &ok, ok.first(HeaderName::Contact).trim_matches(['<', '>']), 2);
        assert!(world.caller(&bye).iter().any(|sent| sent.status() == 200), "the call is up until it is ended");
        assert_eq!(one(world.caller(&invite("sip:echo@elsewhere.example", "4"))).status(), 403);
    }

    /// Leaving, we refuse what is new and serve what is there.
    #[test]
    fn a_server_that_drains_refuses_new_dialogs_and_keeps_the_old() {
        use sip_endpoint::TransactionUser as _;
        let mut world = bob_at(&["<sip:bob@203.0.113.5>"]);
        let sent = one(call(&mut world));
        world.answer(&sent, 200, "b", "Contact: <sip:bob@203.0.113.5>\n");
        let ok = world.only();
        world.drain();
        let refused = one(world.caller(&invite(TO_BOB, "new")));
        assert_eq!((refused.status(), refused.first(HeaderName::RetryAfter)), (503, "10"));
        assert!(!world.container.is_idle(), "a call that is up is waited for");
        let bye = one(world.caller(&in_dialog("BYE", &ok, "sip:bob@203.0.113.5", 2)));
        assert_eq!((bye.method(), world.container.is_idle()), ("BYE", false));
        world.answer(&bye, 200, "", "");
        assert!(world.container.is_idle());
    }
}

/// What a held call costs the proxy: nothing, once its transactions have ended.
#[test]
fn a_call_that_is_up_is_nothing_to_the_proxy() {
    let mut world = bob_at(&["<sip:bob@203.0.113.5>"]);
    for n in 0..100 {
        let sent = one(world.caller(&invite(TO_BOB, &format!("call{n}"))));
        world.answer(&sent, 200, "b", "Contact: <sip:bob@203.0.113.5>\n");
        world.sent();
    }
    assert_eq!(world.load().proxies, 100);
    world.is_empty_after_a_while();
}

/// The connection that a request came on may end before its answer: the call attempt goes on (§16.9).
#[test]
fn a_caller_s_connection_that_ends_does_not_end_the_call_attempt() {
    let mut world = bob_at(&["<sip:b@203.0.113.6>"]);
    let flow = stream(Transport::Tcp, "198.51.100.7:40000", 5);
    world.receive(&flow, &invite(TO_BOB, "call").replace("SIP/2.0/UDP", "SIP/2.0/TCP"));
    let sent = world.only();
    world.input(Input::ConnectionClosed { flow });
    assert_eq!(lines(&world.sent()), [""; 0]);
    world.answer(&sent, 200, "b", "");
    world.sent();
    world.is_empty_after_a_while();
}

/// Addresses of the file that only some tests use.
#[test]
fn three_phones_ring_and_one_answers() {
    let mut world = bob_at(&["<sip:b@203.0.113.5>", "<sip:c@203.0.113.6>", "<sip:d@203.0.113.8>"]);
    let sent = call(&mut world);
    assert_eq!(sent.iter().map(|sent| sent.to).collect::<Vec<_>>(), [addr(BOB), addr(CAROL), addr(DAVE)]);
    world.answer(&sent[1], 200, "c", "");
    assert_eq!(world.only().status(), 200);
}
