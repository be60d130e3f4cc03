//! Proxying: dialogs that pass through, several applications on the way, and what is done when things end early.

use container::Container;
use servlet::CancelReason;
use servlet::prelude::*;
use sip_message::HeaderName;

use crate::proxy_support::{Forwarder, Log, forwarder, requests, statuses};
use crate::world::{ALICE, BOB, World, cancel, from_callee, in_dialog, invite, one, request, tcp, udp};

const ONE: &str = "sip:bob@198.51.100.9";
const TWO: &str = "sip:bob@198.51.100.10";
const URI: &str = "sip:bob@192.0.2.1";

fn recording(targets: &[&str]) -> (Forwarder, Log) {
    let (forwarder, log) = forwarder(targets);
    (forwarder.setup(|_, proxy| Ok(proxy.set_record_route(true)?)), log)
}

/// Two applications, one behind the other, both on the path.
fn chain() -> (World, Log, Log) {
    let (first, one) = recording(&[URI]);
    let (second, two) = recording(&[ONE]);
    let builder = Container::builder()
        .application(SipApplication::new("first").servlet(first))
        .application(SipApplication::new("second").servlet(second));
    (World::with(builder), one, two)
}

#[test]
fn a_request_goes_through_the_applications_and_its_responses_come_back_through_them() {
    let (mut world, first, second) = chain();
    let out = one(requests(&world.alice(&invite(URI, "d1")), "INVITE"));
    assert_eq!((out.first(HeaderName::MaxForwards), out.all(HeaderName::Via).len()), ("68", 2));
    assert_eq!(out.all(HeaderName::RecordRoute).len(), 2);
    assert_eq!(one(world.answer(&out, 180, "b", "")).status(), 180);
    let ok = one(world.answer(&out, 200, "b", ""));
    let ack = one(world.alice(&in_dialog("ACK", &ok, 1, "")));
    assert!(ack.all(HeaderName::Route).is_empty());
    world.receive(&udp(BOB), &from_callee("BYE", &out, "b", 1, ""));
    let bye = world.only();
    assert_eq!((bye.method(), bye.to.to_string().as_str()), ("BYE", ALICE));
    assert_eq!(one(world.answer(&bye, 200, "", "")).status(), 200);
    let told = ["INVITE INITIAL", "180 EARLY", "200 CONFIRMED", "ACK CONFIRMED", "BYE CONFIRMED", "200 TERMINATED"];
    assert_eq!((first.take(), second.take()), (told.map(str::to_owned).to_vec(), told.map(str::to_owned).to_vec()));
    world.ends();
}

#[test]
fn a_cancel_goes_through_the_applications_too() {
    let (mut world, first, second) = chain();
    let out = one(requests(&world.alice(&invite(URI, "d2")), "INVITE"));
    world.answer(&out, 180, "b", "");
    let sent = world.alice(&cancel(URI, "d2"));
    let cancelled = one(requests(&sent, "CANCEL"));
    world.answer(&cancelled, 200, "b", "");
    assert_eq!(statuses(&world.answer(&out, 487, "b", "")), [487]);
    assert!(first.take().contains(&"CANCEL EARLY".to_owned()));
    assert!(second.take().contains(&"CANCEL EARLY".to_owned()));
    world.ends();
}

#[test]
fn a_refused_request_comes_back_through_the_applications_and_leaves_nothing() {
    let (mut world, first, _) = chain();
    let out = one(requests(&world.alice(&invite(URI, "d3")), "INVITE"));
    let sent = world.answer(&out, 486, "b", "");
    assert_eq!(statuses(&sent), [486]);
    assert_eq!(first.take(), ["INVITE INITIAL", "486 INITIAL"]);
    let out = one(world.alice(&request("MESSAGE", URI, "d3b", "")));
    assert_eq!(statuses(&world.answer(&out, 200, "b", "")), [200]);
    world.ends();
}

/// RFC 3262, RFC 3311.
#[test]
fn prack_and_update_pass_through_an_early_dialog_and_keep_the_search_alive() {
    let (forwarder, log) = forwarder(&[ONE]);
    let setup = |_: &SipServletRequest, proxy: &servlet::Proxy| {
        proxy.set_record_route(true)?;
        Ok(proxy.set_proxy_timeout(Duration::from_secs(10))?)
    };
    let mut world = forwarder.setup(setup).world();
    let out = one(requests(&world.alice(&invite(URI, "d4")), "INVITE"));
    let ringing = one(world.answer(&out, 183, "b", "Require: 100rel\nRSeq: 1\n"));
    for (method, cseq) in [("PRACK", 2), ("UPDATE", 3), ("UPDATE", 4)] {
        world.pass(Duration::from_secs(8));
        let more = if method == "PRACK" { "RAck: 1 1 INVITE\n" } else { "" };
        let through = one(requests(&world.alice(&in_dialog(method, &ringing, cseq, more)), method));
        assert_eq!(statuses(&world.answer(&through, 200, "b", "")), [200]);
    }
    assert!(requests(&world.sent(), "CANCEL").is_empty());
    let ok = one(world.answer(&out, 200, "b", ""));
    world.alice(&in_dialog("ACK", &ok, 1, ""));
    let bye = one(world.alice(&in_dialog("BYE", &ok, 5, "")));
    world.answer(&bye, 200, "b", "");
    assert!(log.take().contains(&"PRACK EARLY".to_owned()));
    world.ends();
}

#[test]
fn a_refused_re_invite_changes_nothing_and_one_that_is_cancelled_comes_back() {
    let (forwarder, log) = recording(&[ONE]);
    let mut world = forwarder.world();
    let out = one(requests(&world.alice(&invite(URI, "d5")), "INVITE"));
    let ok = one(world.answer(&out, 200, "b", ""));
    world.alice(&in_dialog("ACK", &ok, 1, ""));
    let again = one(requests(&world.alice(&in_dialog("INVITE", &ok, 2, "")), "INVITE"));
    assert_eq!(statuses(&world.answer(&again, 488, "b", "")), [488]);
    let again = one(requests(&world.alice(&in_dialog("INVITE", &ok, 3, "")), "INVITE"));
    world.answer(&again, 180, "b", "");
    let text = in_dialog("INVITE", &ok, 3, "").replacen("INVITE", "CANCEL", 1).replace("3 INVITE", "3 CANCEL");
    let cancelled = one(requests(&world.alice(&text), "CANCEL"));
    world.answer(&cancelled, 200, "b", "");
    assert_eq!(statuses(&world.answer(&again, 487, "b", "")), [487]);
    log.take();
    let bye = one(world.alice(&in_dialog("BYE", &ok, 4, "")));
    world.answer(&bye, 200, "b", "");
    assert_eq!(log.take(), ["BYE CONFIRMED", "200 TERMINATED"]);
    world.ends();
}

#[test]
fn a_bye_that_nobody_answers_is_answered_408_and_ends_the_session() {
    let (forwarder, log) = recording(&[ONE]);
    let mut world = forwarder.world();
    let out = one(requests(&world.alice(&invite(URI, "d6")), "INVITE"));
    let ok = one(world.answer(&out, 200, "b", ""));
    world.alice(&in_dialog("ACK", &ok, 1, ""));
    world.alice(&in_dialog("BYE", &ok, 2, ""));
    world.pass(Duration::from_secs(33));
    assert_eq!(log.take().last().map(String::as_str), Some("408 TERMINATED"));
    world.ends();
}

/// RFC 3261 §16.4.
#[test]
fn a_request_of_the_dialog_that_a_strict_router_has_turned_round_finds_its_session() {
    let (forwarder, log) = recording(&[ONE]);
    let mut world = forwarder.world();
    let out = one(requests(&world.alice(&invite(URI, "d7")), "INVITE"));
    let ok = one(world.answer(&out, 200, "b", ""));
    world.alice(&in_dialog("ACK", &ok, 1, ""));
    let ours = ok.first(HeaderName::RecordRoute).trim_matches(['<', '>']).to_owned();
    let text = in_dialog("BYE", &ok, 2, "")
        .replacen(&format!("BYE sip:bob@{BOB} SIP"), &format!("BYE {ours} SIP"), 1)
        .replace(&format!("Route: <{ours}>"), &format!("Route: <sip:bob@{BOB}>"));
    let bye = one(requests(&world.alice(&text), "BYE"));
    assert_eq!((bye.uri(), bye.all(HeaderName::Route).len()), (format!("sip:bob@{BOB}").as_str(), 0));
    world.answer(&bye, 200, "b", "");
    assert!(log.take().contains(&"BYE CONFIRMED".to_owned()));
    world.ends();
}

/// RFC 5626 §5.3.1.
#[test]
fn a_record_route_that_was_tampered_with_is_refused() {
    let (forwarder, _) = recording(&[ONE]);
    let mut world = forwarder.world();
    let out = one(requests(&world.alice(&invite(URI, "d8")), "INVITE"));
    let ok = one(world.answer(&out, 200, "b", ""));
    let other = in_dialog("BYE", &ok, 2, "").replace("Call-ID: d8", "Call-ID: another");
    assert_eq!(one(world.alice(&other)).status(), 403);
}

/// RFC 3327, RFC 5626 §5.3: the registrar's request goes over the flow that the client's REGISTER came on.
#[test]
fn what_comes_by_our_path_goes_over_its_flow() {
    struct Edge;
    impl SipServlet for Edge {
        async fn do_request(&self, request: SipServletRequest) -> Result {
            if !request.is_initial() {
                return Ok(());
            }
            let proxy = request.proxy()?;
            let register = request.method() == Method::Register;
            proxy.set_add_to_path(register)?;
            proxy.set_record_route(!register)?;
            let target = if register { Uri::parse("sip:198.51.100.60")? } else { request.request_uri() };
            Ok(proxy.proxy_to(&target)?)
        }
    }
    let mut world = World::new(SipApplication::new("edge").servlet(Edge));
    let bob = tcp("198.51.100.50:40000", 7);
    let text = request("REGISTER", "sip:example.com", "d9", "Supported: path\n").replace("SIP/2.0/UDP", "SIP/2.0/TCP");
    world.receive(&bob, &text);
    let register = world.only();
    let path = register.first(HeaderName::Path).to_owned();
    world.answer(&register, 200, "r", "");
    let text = request("INVITE", "sip:bob@10.0.0.1", "d9b", &format!("Route: {path}\n"));
    world.receive(&udp("198.51.100.60:5060"), &text);
    let out = one(requests(&world.sent(), "INVITE"));
    assert_eq!((out.uri(), out.connection, out.all(HeaderName::Route).len()), ("sip:bob@10.0.0.1", bob.connection, 0));
    // The dialog goes over the same flow, both ways.
    let ok = one(world.answer(&out, 200, "b", ""));
    world.receive(&udp("198.51.100.60:5060"), &in_dialog("ACK", &ok, 1, ""));
    assert_eq!(one(world.sent()).connection, bob.connection);
    world.receive(&udp("198.51.100.60:5060"), &in_dialog("BYE", &ok, 2, ""));
    let bye = world.only();
    assert_eq!((bye.method(), bye.connection), ("BYE", bob.connection));
    world.answer(&bye, 200, "b", "");
    world.ends();
}

#[test]
fn a_proxy_that_the_application_cancels_says_why_and_answers_487() {
    let (forwarder, _) = forwarder(&[ONE]);
    struct Cancels(Forwarder);
    impl SipServlet for Cancels {
        async fn do_request(&self, request: SipServletRequest) -> Result {
            if request.method() == Method::Invite {
                let proxy = request.proxy()?;
                request.application_session()?.set_attribute("cancels", true)?;
                proxy.proxy_to_all(&[Uri::parse(ONE)?, Uri::parse(TWO)?])?;
                return Ok(());
            }
            self.0.log.add("other");
            Ok(())
        }
        async fn do_response(&self, response: SipServletResponse) -> Result {
            if response.status() == StatusCode::RINGING {
                let branch = response.proxy_branch().unwrap();
                branch.cancel_because(&[CancelReason::new("Q.850", 31)])?;
                assert!(branch.cancel_because(&[CancelReason::new("no token", 1)]).is_err());
            }
            Ok(())
        }
    }
    let mut world = World::new(SipApplication::new("cancels").servlet(Cancels(forwarder)));
    let out = requests(&world.alice(&invite(URI, "d10")), "INVITE");
    let sent = world.answer(&out[0], 180, "b1", "");
    let cancelled = one(requests(&sent, "CANCEL"));
    assert_eq!((cancelled.uri(), cancelled.first(HeaderName::Reason)), (ONE, "Q.850;cause=31"));
    world.answer(&cancelled, 200, "b1", "");
    assert!(statuses(&world.answer(&out[0], 487, "b1", "")).is_empty(), "the other branch goes on");
    assert_eq!(statuses(&world.answer(&out[1], 404, "b2", "")), [404]);
    world.ends();
}

#[test]
fn a_proxy_that_is_made_and_not_started_leaves_the_answer_to_the_application() {
    struct Answers;
    impl SipServlet for Answers {
        async fn do_invite(&self, invite: SipServletRequest) -> Result {
            let proxy = invite.proxy()?;
            proxy.create_proxy_branches(&[Uri::parse(ONE)?])?;
            Ok(invite.create_response(StatusCode::BUSY_HERE)?.send()?)
        }
    }
    let mut world = World::new(SipApplication::new("answers").servlet(Answers));
    assert_eq!(one(world.alice(&invite(URI, "d11"))).status(), 486);
    world.ends();
}

#[test]
fn a_caller_who_gives_up_before_anything_was_started_gets_487() {
    struct Waits;
    impl SipServlet for Waits {
        async fn do_invite(&self, invite: SipServletRequest) -> Result {
            invite.proxy()?.create_proxy_branches(&[Uri::parse(ONE)?])?;
            Ok(())
        }
    }
    let mut world = World::new(SipApplication::new("waits").servlet(Waits));
    world.alice(&invite(URI, "d12"));
    let mut sent = statuses(&world.alice(&cancel(URI, "d12")));
    sent.sort_unstable();
    assert_eq!(sent, [200, 487]);
    world.ends();
}

#[test]
fn a_session_that_is_invalidated_calls_its_branches_off_and_still_answers() {
    let (forwarder, _) = forwarder(&[ONE, TWO]);
    let mut world = forwarder.on_response(|response| Ok(response.application_session()?.invalidate()?)).world();
    let out = requests(&world.alice(&invite(URI, "d13b")), "INVITE");
    world.answer(&out[1], 180, "b2", "");
    let sent = world.answer(&out[0], 486, "b1", "");
    let cancelled = one(requests(&sent, "CANCEL"));
    assert_eq!(world.load().application_sessions, 0);
    world.answer(&cancelled, 200, "b2", "");
    let sent = world.answer(&out[1], 487, "b2", "");
    assert_eq!(statuses(&sent).len(), 1);
    world.ends();
}

#[test]
fn a_2xx_reaches_the_caller_although_the_application_invalidates_everything_when_it_sees_it() {
    let (forwarder, _) = recording(&[ONE]);
    let mut world = forwarder.on_response(|response| Ok(response.application_session()?.invalidate()?)).world();
    let out = one(requests(&world.alice(&invite(URI, "d14")), "INVITE"));
    assert_eq!(statuses(&world.answer(&out, 200, "b", "")), [200]);
    assert_eq!(world.load().application_sessions, 0);
    world.ends();
}

#[test]
fn a_handler_that_fails_after_it_has_proxied_is_one_more_branch_that_has_failed() {
    struct Fails;
    impl SipServlet for Fails {
        async fn do_invite(&self, invite: SipServletRequest) -> Result {
            invite.proxy()?.proxy_to(&Uri::parse(ONE)?)?;
            Err("too late".into())
        }
        async fn do_response(&self, _: SipServletResponse) -> Result {
            Ok(())
        }
    }
    let mut world = World::new(SipApplication::new("fails").servlet(Fails));
    let out = one(requests(&world.alice(&invite(URI, "d15")), "INVITE"));
    assert_eq!(statuses(&world.answer(&out, 200, "b", "")), [200]);
    world.ends();
}

#[test]
fn redirections_are_tried_before_the_next_target_of_a_sequential_search() {
    let (forwarder, _) = forwarder(&[ONE, TWO]);
    let mut world = forwarder.setup(|_, proxy| Ok(proxy.set_parallel(false)?)).world();
    let first = one(requests(&world.alice(&invite(URI, "d16")), "INVITE"));
    let contacts = "Contact: <sip:c@198.51.100.11>;q=0.1, <sip:d@198.51.100.12>;q=0.9\n";
    let second = one(requests(&world.answer(&first, 302, "b", contacts), "INVITE"));
    assert_eq!(second.uri(), "sip:d@198.51.100.12");
    let third = one(requests(&world.answer(&second, 404, "d", ""), "INVITE"));
    assert_eq!(third.uri(), "sip:c@198.51.100.11");
    let fourth = one(requests(&world.answer(&third, 404, "c", ""), "INVITE"));
    assert_eq!(fourth.uri(), TWO);
    assert_eq!(statuses(&world.answer(&fourth, 200, "t", "")), [200]);
    world.ends();
}

#[test]
fn a_subscription_is_recorded_and_its_notify_comes_back_through_the_application() {
    let (forwarder, log) = recording(&[ONE]);
    let mut world = forwarder.world();
    let out = one(world.alice(&request("SUBSCRIBE", URI, "d17", "Event: presence\nExpires: 60\n")));
    assert_eq!(out.all(HeaderName::RecordRoute).len(), 1);
    assert_eq!(statuses(&world.answer(&out, 200, "b", "Expires: 60\n")), [200]);
    let more = "Event: presence\nSubscription-State: active\n";
    world.receive(&udp(BOB), &from_callee("NOTIFY", &out, "b", 1, more));
    let notify = world.only();
    assert_eq!((notify.method(), notify.to.to_string().as_str()), ("NOTIFY", ALICE));
    assert_eq!(statuses(&world.answer(&notify, 200, "", "")), [200]);
    let told = ["SUBSCRIBE INITIAL", "200 CONFIRMED", "NOTIFY CONFIRMED", "200 CONFIRMED"];
    assert_eq!(log.take(), told);
}

/// A voice mail box: nobody has answered, and the application does.
#[test]
fn an_application_that_answers_2xx_itself_becomes_the_user_agent_of_the_call() {
    struct VoiceMail(Log);
    impl SipServlet for VoiceMail {
        async fn do_request(&self, request: SipServletRequest) -> Result {
            self.0.add(format!("{}", request.method()));
            match request.method() {
                Method::Invite => {
                    let proxy = request.proxy()?;
                    proxy.set_record_route(true)?;
                    proxy.proxy_to_all(&[Uri::parse(ONE)?, Uri::parse(TWO)?])?;
                }
                Method::Bye => request.create_response(StatusCode::OK)?.send()?,
                _ => {}
            }
            Ok(())
        }
        async fn do_branch_response(&self, response: SipServletResponse) -> Result {
            let original = response.proxy().unwrap().original_request()?;
            Ok(original.create_response(StatusCode::OK)?.send()?)
        }
        async fn do_response(&self, _: SipServletResponse) -> Result {
            self.0.add("response");
            Ok(())
        }
    }
    let log = Log::default();
    let mut world = World::new(SipApplication::new("mail").servlet(VoiceMail(log.clone())));
    let out = requests(&world.alice(&invite(URI, "d18")), "INVITE");
    world.answer(&out[1], 180, "b2", "");
    log.take();
    let sent = world.answer(&out[0], 486, "b1", "");
    let cancelled = one(requests(&sent, "CANCEL"));
    let ok = sent.iter().find(|sent| sent.status() != 0).unwrap().clone();
    assert_eq!(ok.status(), 200);
    assert!(ok.first(HeaderName::Contact).contains("192.0.2.1"));
    world.answer(&cancelled, 200, "b2", "");
    world.answer(&out[1], 487, "b2", "");
    assert!(world.alice(&in_dialog("ACK", &ok, 1, "")).is_empty());
    assert_eq!(one(world.alice(&in_dialog("BYE", &ok, 2, ""))).status(), 200);
    assert_eq!(log.take(), ["ACK", "BYE"]);
    world.ends();
}
