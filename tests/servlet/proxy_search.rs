//! Proxying: who is tried when, what the application is told, and which response goes upstream.

use servlet::prelude::*;
use servlet::{IllegalArgument, IllegalState};
use sip_message::HeaderName;

use crate::proxy_support::{forwarder, requests, statuses};
use crate::world::{Sent, World, cancel, from_callee, in_dialog, invite, one, request};

const ONE: &str = "sip:bob@198.51.100.9";
const TWO: &str = "sip:bob@198.51.100.10";
const URI: &str = "sip:bob@192.0.2.1";

/// The INVITEs that leave because of one that comes.
fn call(world: &mut World, call_id: &str) -> Vec<Sent> {
    let sent = world.alice(&invite(URI, call_id));
    requests(&sent, "INVITE")
}

#[test]
fn a_call_is_proxied_and_leaves_nothing() {
    let (forwarder, log) = forwarder(&[ONE]);
    let mut world = forwarder.setup(|_, proxy| Ok(proxy.set_record_route(true)?)).world();
    let out = one(call(&mut world, "p1"));
    assert_eq!((out.uri(), out.first(HeaderName::MaxForwards)), (ONE, "69"));
    assert_eq!(out.all(HeaderName::Via).len(), 2);
    assert_eq!(out.all(HeaderName::RecordRoute).len(), 1);
    let ringing = one(world.answer(&out, 180, "b", ""));
    assert_eq!((ringing.status(), ringing.all(HeaderName::Via).len()), (180, 1));
    let ok = one(world.answer(&out, 200, "b", ""));
    assert_eq!(ok.status(), 200);
    let ack = one(world.alice(&in_dialog("ACK", &ok, 1, "")));
    assert_eq!((ack.method(), ack.uri(), ack.all(HeaderName::Route).len()), ("ACK", "sip:bob@198.51.100.9:5060", 0));
    let bye = one(world.alice(&in_dialog("BYE", &ok, 2, "")));
    assert_eq!((bye.method(), bye.first(HeaderName::MaxForwards)), ("BYE", "69"));
    assert_eq!(one(world.answer(&bye, 200, "", "")).status(), 200);
    let told = ["INVITE INITIAL", "180 EARLY", "200 CONFIRMED", "ACK CONFIRMED", "BYE CONFIRMED", "200 TERMINATED"];
    assert_eq!(log.take(), told);
    world.ends();
}

#[test]
fn the_callee_s_requests_come_back_the_same_way() {
    let (forwarder, _) = forwarder(&[ONE]);
    let mut world = forwarder.setup(|_, proxy| Ok(proxy.set_record_route(true)?)).world();
    let out = one(call(&mut world, "p2"));
    let ok = one(world.answer(&out, 200, "b", ""));
    world.alice(&in_dialog("ACK", &ok, 1, ""));
    world.receive(&crate::world::udp(crate::world::BOB), &from_callee("BYE", &out, "b", 1, ""));
    let bye = world.only();
    assert_eq!((bye.method(), bye.to.to_string().as_str()), ("BYE", crate::world::ALICE));
    assert_eq!(one(world.answer(&bye, 200, "", "")).status(), 200);
    world.ends();
}

#[test]
fn a_call_that_rings_elsewhere_leaves_only_its_session() {
    let (forwarder, _) = forwarder(&[ONE]);
    let mut world = forwarder.setup(|_, proxy| Ok(proxy.set_record_route(true)?)).world();
    let out = one(call(&mut world, "p3"));
    let ok = one(world.answer(&out, 200, "b", ""));
    world.alice(&in_dialog("ACK", &ok, 1, ""));
    world.pass(Duration::from_secs(64));
    let load = world.load();
    assert_eq!((load.transactions, load.proxies, load.sip_sessions, load.calls), (0, 0, 1, 1));
}

#[test]
fn a_proxy_that_does_not_record_itself_forgets_the_call_once_it_is_answered() {
    let (forwarder, _) = forwarder(&[ONE]);
    let mut world = forwarder.world();
    let out = one(call(&mut world, "p4"));
    assert!(out.all(HeaderName::RecordRoute).is_empty());
    let ok = one(world.answer(&out, 200, "b", ""));
    assert_eq!(world.load().sip_sessions, 0);
    // The callee has not got its ACK; its 2xx comes again, and another fork's comes late.
    assert_eq!(one(world.answer(&out, 200, "b", "")).status(), 200);
    let late = one(world.answer(&out, 200, "fork", ""));
    assert_eq!((late.status(), late.to_tag().as_str(), ok.to_tag().as_str()), (200, "fork", "b"));
    world.ends();
}

#[test]
fn exactly_one_100_is_sent_for_an_invite_and_none_for_anything_else() {
    let (forwarder, _) = forwarder(&[ONE]);
    let mut world = forwarder.world();
    world.receive(&crate::world::udp(crate::world::ALICE), &invite(URI, "p5"));
    let sent = world.all_sent();
    assert_eq!(statuses(&sent), [100]);
    let out = one(requests(&sent, "INVITE"));
    world.pass(Duration::from_millis(400));
    world.receive(&crate::world::udp(crate::world::BOB), &crate::world::answer_text(&out, 100, "", ""));
    assert!(world.all_sent().is_empty());
    world.receive(&crate::world::udp(crate::world::ALICE), &request("MESSAGE", URI, "p5b", ""));
    assert!(statuses(&world.all_sent()).is_empty());
}

#[test]
fn a_2xx_ends_a_parallel_search_and_cancels_the_others() {
    let (forwarder, log) = forwarder(&[ONE, TWO]);
    let mut world = forwarder.world();
    let out = call(&mut world, "p6");
    assert_eq!(out.iter().map(Sent::uri).collect::<Vec<_>>(), [ONE, TWO]);
    assert_eq!(out.iter().map(|out| out.first(HeaderName::MaxBreadth)).collect::<Vec<_>>(), ["20", "20"]);
    world.answer(&out[0], 180, "b1", "");
    world.answer(&out[1], 180, "b2", "");
    let sent = world.answer(&out[1], 200, "b2", "");
    let cancelled = one(requests(&sent, "CANCEL"));
    assert_eq!(cancelled.uri(), ONE);
    assert!(cancelled.first(HeaderName::Reason).contains("Call completed elsewhere"));
    assert_eq!(statuses(&sent), [200]);
    world.answer(&cancelled, 200, "b1", "");
    let sent = world.answer(&out[0], 487, "b1", "");
    assert_eq!((requests(&sent, "ACK").len(), statuses(&sent).len()), (1, 0));
    assert_eq!(log.take(), ["INVITE INITIAL", "180 EARLY", "180 EARLY", "200 CONFIRMED"]);
    world.ends();
}

/// RFC 3841 §9.1 `no-cancel`.
#[test]
fn with_no_cancel_the_others_go_on_and_every_2xx_is_forwarded() {
    let (forwarder, _) = forwarder(&[ONE, TWO]);
    let mut world = forwarder.setup(|_, proxy| Ok(proxy.set_no_cancel(true)?)).world();
    let out = call(&mut world, "p7");
    world.answer(&out[0], 180, "b1", "");
    let sent = world.answer(&out[1], 200, "b2", "");
    assert_eq!((statuses(&sent), requests(&sent, "CANCEL").len()), (vec![200], 0));
    let second = one(world.answer(&out[0], 200, "b1", ""));
    assert_eq!((second.status(), second.to_tag().as_str()), (200, "b1"));
    world.ends();
}

/// RFC 3261 §16.7 step 6; the application hears of each, and of the best once more.
#[test]
fn the_best_failure_goes_back_when_all_have_failed() {
    let (forwarder, log) = forwarder(&[ONE, TWO]);
    let mut world = forwarder.world();
    let out = call(&mut world, "p8");
    assert!(statuses(&world.answer(&out[0], 486, "b1", "")).is_empty());
    let sent = world.answer(&out[1], 503, "b2", "");
    assert_eq!(statuses(&sent), [486]);
    assert_eq!(log.take(), ["INVITE INITIAL", "branch 486 INITIAL", "branch 503 INITIAL", "486 INITIAL"]);
    world.ends();
}

#[test]
fn a_503_alone_becomes_a_500_and_challenges_come_together() {
    let (forwarder, _) = forwarder(&[ONE]);
    let mut world = forwarder.world();
    let out = one(call(&mut world, "p9"));
    assert_eq!(statuses(&world.answer(&out, 503, "b", "")), [500]);
    let (forwarder, _) = crate::proxy_support::forwarder(&[ONE, TWO]);
    let mut world = forwarder.world();
    let out = call(&mut world, "p9b");
    world.answer(&out[0], 407, "b1", "Proxy-Authenticate: Digest realm=\"one\", nonce=\"1\"\n");
    let sent = world.answer(&out[1], 401, "b2", "WWW-Authenticate: Digest realm=\"two\", nonce=\"2\"\n");
    let best = sent.iter().find(|sent| sent.status() != 0).unwrap();
    assert_eq!(best.status(), 407);
    assert_eq!(best.all(HeaderName::WwwAuthenticate).len() + best.all(HeaderName::ProxyAuthenticate).len(), 2);
    world.ends();
}

/// RFC 3261 §16.7 step 5.
#[test]
fn a_6xx_calls_the_others_off_and_goes_back_when_they_have_said_so() {
    let (forwarder, _) = forwarder(&[ONE, TWO]);
    let mut world = forwarder.world();
    let out = call(&mut world, "p10");
    world.answer(&out[0], 180, "b1", "");
    let sent = world.answer(&out[1], 603, "b2", "");
    assert!(statuses(&sent).is_empty());
    let cancelled = one(requests(&sent, "CANCEL"));
    world.answer(&cancelled, 200, "b1", "");
    assert_eq!(statuses(&world.answer(&out[0], 487, "b1", "")), [603]);
    world.ends();
}

#[test]
fn a_sequential_search_tries_the_next_one_when_one_has_failed_or_had_its_time() {
    let (forwarder, log) = forwarder(&[ONE, TWO, "sip:bob@198.51.100.11"]);
    let setup = |_: &SipServletRequest, proxy: &servlet::Proxy| {
        proxy.set_parallel(false)?;
        Ok(proxy.set_proxy_timeout(Duration::from_secs(20))?)
    };
    let mut world = forwarder.setup(setup).world();
    let first = one(call(&mut world, "p11"));
    assert_eq!(first.uri(), ONE);
    let second = one(requests(&world.answer(&first, 486, "b1", ""), "INVITE"));
    assert_eq!(second.uri(), TWO);
    world.answer(&second, 180, "b2", "");
    world.pass(Duration::from_secs(21));
    let sent = world.sent();
    let cancelled = requests(&sent, "CANCEL").swap_remove(0);
    let third = requests(&sent, "INVITE").into_iter().find(|sent| sent.uri().ends_with(".11")).unwrap();
    world.answer(&cancelled, 200, "b2", "");
    world.answer(&second, 487, "b2", "");
    assert_eq!(statuses(&world.answer(&third, 200, "b3", "")), [200]);
    let told = ["INVITE INITIAL", "branch 486 INITIAL", "180 EARLY", "branch 408 EARLY", "200 CONFIRMED"];
    assert_eq!(log.take(), told);
    world.ends();
}

#[test]
fn a_parallel_search_that_has_had_its_time_is_cancelled_and_answered_408() {
    let (forwarder, log) = forwarder(&[ONE]);
    let setup = |_: &SipServletRequest, proxy: &servlet::Proxy| Ok(proxy.set_proxy_timeout(Duration::from_secs(10))?);
    let mut world = forwarder.setup(setup).world();
    let out = one(call(&mut world, "p12"));
    world.answer(&out, 180, "b", "");
    world.pass(Duration::from_secs(11));
    let cancelled = requests(&world.sent(), "CANCEL").swap_remove(0);
    world.answer(&cancelled, 200, "b", "");
    assert_eq!(statuses(&world.answer(&out, 487, "b", "")), [408]);
    assert_eq!(log.take(), ["INVITE INITIAL", "180 EARLY", "408 INITIAL"]);
    world.ends();
}

/// RFC 3261 §16.8: one that has never answered counts as 408 at once.
#[test]
fn a_target_that_never_answers_is_not_waited_for_longer_than_its_time() {
    let (forwarder, log) = forwarder(&[ONE, TWO]);
    let setup = |_: &SipServletRequest, proxy: &servlet::Proxy| Ok(proxy.set_proxy_timeout(Duration::from_secs(5))?);
    let mut world = forwarder.setup(setup).world();
    call(&mut world, "p13");
    world.pass(Duration::from_secs(6));
    let sent = world.sent();
    // It is repeated until its ACK comes.
    assert_eq!((statuses(&sent)[0], requests(&sent, "CANCEL").len()), (408, 0));
    assert_eq!(log.take(), ["INVITE INITIAL", "branch 408 INITIAL", "branch 408 INITIAL", "408 INITIAL"]);
    world.ends();
}

#[test]
fn what_rings_has_its_time_from_the_last_sign_of_life_on() {
    let (forwarder, _) = forwarder(&[ONE]);
    let setup = |_: &SipServletRequest, proxy: &servlet::Proxy| Ok(proxy.set_proxy_timeout(Duration::from_secs(10))?);
    let mut world = forwarder.setup(setup).world();
    let out = one(call(&mut world, "p14"));
    for _ in 0..3 {
        world.pass(Duration::from_secs(8));
        world.answer(&out, 183, "b", "");
    }
    assert!(requests(&world.sent(), "CANCEL").is_empty());
    world.pass(Duration::from_secs(11));
    assert!(!requests(&world.sent(), "CANCEL").is_empty());
}

/// RFC 3261 §9.1, §16.10; RFC 3326.
#[test]
fn a_caller_who_gives_up_is_followed_with_the_reason_once_somebody_rings() {
    let (forwarder, log) = forwarder(&[ONE, TWO]);
    let mut world = forwarder.world();
    let out = call(&mut world, "p15");
    world.answer(&out[0], 180, "b1", "");
    let text = cancel(URI, "p15").replace("Content-Length", "Reason: Q.850;cause=16\nContent-Length");
    let sent = world.alice(&text);
    let cancelled = one(requests(&sent, "CANCEL"));
    assert_eq!((cancelled.uri(), cancelled.first(HeaderName::Reason)), (ONE, "Q.850;cause=16"));
    assert_eq!(statuses(&sent), [200]);
    // The other branch has said nothing yet, and is cancelled as soon as it does.
    let second = one(requests(&world.answer(&out[1], 180, "b2", ""), "CANCEL"));
    world.answer(&cancelled, 200, "b1", "");
    world.answer(&second, 200, "b2", "");
    world.answer(&out[0], 487, "b1", "");
    assert_eq!(statuses(&world.answer(&out[1], 487, "b2", "")), [487]);
    assert_eq!(log.take()[..3], ["INVITE INITIAL", "180 EARLY", "CANCEL EARLY"]);
    world.ends();
}

#[test]
fn new_targets_are_tried_instead_of_the_best_failure_going_upstream() {
    let (forwarder, log) = forwarder(&[ONE]);
    let mut world = forwarder
        .on_response(|response| {
            let proxy = response.proxy().unwrap();
            if proxy.proxy_branches().len() == 1 {
                proxy.proxy_to(&Uri::parse(TWO)?)?;
            }
            Ok(())
        })
        .world();
    let out = one(call(&mut world, "p16"));
    let sent = world.answer(&out, 486, "b1", "");
    assert!(statuses(&sent).is_empty());
    let second = one(requests(&sent, "INVITE"));
    assert_eq!(second.uri(), TWO);
    assert_eq!(statuses(&world.answer(&second, 404, "b2", "")), [486]);
    assert_eq!(log.take(), ["INVITE INITIAL", "486 INITIAL", "branch 404 INITIAL", "486 INITIAL"]);
    world.ends();
}

#[test]
fn an_application_s_own_answer_takes_the_place_of_the_best_one() {
    let (forwarder, _) = forwarder(&[ONE]);
    let mut world = forwarder
        .on_response(|response| {
            let original = response.proxy().unwrap().original_request()?;
            Ok(original.create_response(StatusCode::NOT_FOUND)?.send()?)
        })
        .world();
    let out = one(call(&mut world, "p17"));
    let sent = world.answer(&out, 486, "b1", "");
    let answer = sent.iter().find(|sent| sent.status() != 0).unwrap();
    assert_eq!(answer.status(), 404);
    assert_ne!(answer.to_tag(), "b1");
    world.ends();
}

/// The virtual branch: what the application answers while others ring competes with what they will say.
#[test]
fn an_application_s_own_failure_waits_for_the_branches_and_its_success_does_not() {
    let (forwarder, _) = forwarder(&[ONE, TWO]);
    let mut world = forwarder
        .on_response(|response| {
            let original = response.proxy().unwrap().original_request()?;
            if response.is_branch_response() {
                original.create_response(StatusCode::BUSY_HERE)?.send()?;
            }
            Ok(())
        })
        .world();
    let out = call(&mut world, "p18");
    assert!(statuses(&world.answer(&out[0], 500, "b1", "")).is_empty());
    assert_eq!(statuses(&world.answer(&out[1], 500, "b2", "")), [486]);
    world.ends();
}

#[test]
fn an_unsupervised_search_tells_the_application_of_no_response() {
    let (forwarder, log) = forwarder(&[ONE, TWO]);
    let setup = |_: &SipServletRequest, proxy: &servlet::Proxy| {
        proxy.set_record_route(true)?;
        Ok(proxy.set_supervised(false)?)
    };
    let mut world = forwarder.setup(setup).world();
    let out = call(&mut world, "p19");
    world.answer(&out[0], 486, "b1", "");
    assert_eq!(statuses(&world.answer(&out[1], 180, "b2", "")), [180]);
    let ok = one(world.answer(&out[1], 200, "b2", ""));
    assert_eq!(log.take(), ["INVITE INITIAL"]);
    // "Resets to supervised for each new subsequent request."
    let bye = one(world.alice(&in_dialog("BYE", &ok, 2, "")));
    world.answer(&bye, 200, "", "");
    assert_eq!(log.take(), ["BYE CONFIRMED", "200 TERMINATED"]);
    world.ends();
}

#[test]
fn a_non_invite_is_proxied_and_its_session_ends_with_its_answer() {
    let (forwarder, log) = forwarder(&[ONE]);
    let mut world = forwarder.setup(|_, proxy| Ok(proxy.set_record_route(true)?)).world();
    let out = one(world.alice(&request("MESSAGE", URI, "p20", "")));
    assert!(out.all(HeaderName::RecordRoute).is_empty(), "a MESSAGE makes no dialog");
    assert_eq!(statuses(&world.answer(&out, 202, "b", "")), [202]);
    assert_eq!(log.take(), ["MESSAGE INITIAL", "202 INITIAL"]);
    assert_eq!(world.load().sip_sessions, 0);
    world.ends();
}

#[test]
fn misuse_is_refused_and_changes_nothing() {
    let (forwarder, log) = forwarder(&[ONE]);
    let checks = log.clone();
    let mut world = forwarder
        .setup(move |request, proxy| {
            assert_eq!(proxy.start_proxy(), Err(IllegalState::NoBranches.into()));
            let tel = Uri::parse("tel:+12015550123")?;
            assert_eq!(proxy.proxy_to(&tel), Err(IllegalArgument::Scheme("tel".into()).into()));
            assert!(proxy.proxy_branches().is_empty());
            let zero = proxy.set_proxy_timeout(Duration::ZERO);
            assert!(matches!(zero, Err(Error::IllegalArgument(IllegalArgument::OutOfRange(_)))));
            assert_eq!(proxy.record_route_uri().err(), Some(IllegalState::RecordRouteDisabled.into()));
            assert_eq!(proxy.path_uri().err(), Some(IllegalState::AddToPathDisabled.into()));
            let nowhere = proxy.set_outbound_address("203.0.113.1".parse()?);
            assert_eq!(nowhere, Err(IllegalArgument::NotAnInterface.into()));
            proxy.set_outbound_address("192.0.2.1".parse()?)?;
            assert_eq!(request.b2bua_helper().err(), Some(IllegalState::AlreadyProxy.into()));
            assert_eq!(request.proxy()?, *proxy);
            let branch = proxy.create_proxy_branches(&[Uri::parse(ONE)?])?.pop().unwrap();
            let longer = branch.set_proxy_branch_timeout(Duration::from_secs(100_000));
            assert!(matches!(longer, Err(Error::IllegalArgument(IllegalArgument::OutOfRange(_)))));
            branch.set_proxy_branch_timeout(Duration::from_secs(3))?;
            assert!(!branch.is_started() && branch.response().is_none());
            proxy.start_proxy()?;
            assert!(branch.is_started() && branch.request()?.is_committed());
            assert_eq!(proxy.set_record_route(true), Err(IllegalState::ProxyStarted.into()));
            checks.add("checked");
            Ok(())
        })
        .on_response(|response| {
            let proxy = response.proxy().unwrap();
            if !response.is_branch_response() {
                proxy.original_request()?.create_response(StatusCode::OK)?.send()?;
                let late = proxy.proxy_to(&Uri::parse(TWO)?);
                assert_eq!(late, Err(IllegalState::ProxyCompleted.into()));
            }
            Ok(())
        })
        .world();
    let out = call(&mut world, "p21");
    assert_eq!(out.len(), 2);
    world.answer(&out[0], 486, "b1", "");
    let sent = world.answer(&out[1], 486, "b2", "");
    assert_eq!(statuses(&sent), [200]);
    assert!(log.take().contains(&"checked".to_owned()));
}
