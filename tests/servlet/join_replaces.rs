//! Requests that are aimed at a session: by Join (RFC 3911) and Replaces (RFC 3891), and where no session is meant.

use servlet::prelude::*;
use servlet::{Correspondence, SipTargetedRequestType};

use crate::dialogs::{answered, calls};
use crate::keeper::{Stage, bob, keeper};
use crate::routing_support::{Script, to};
use crate::world::{Sent, World, in_dialog, invite, one, request};
use container::Container;

const HERE: &str = "sip:service@192.0.2.1";

fn header(name: &str, call_id: &str, to_tag: &str, from_tag: &str) -> String {
    format!("{name}: {call_id};to-tag={to_tag};from-tag={from_tag}\n")
}

/// One that names the dialog of a 2xx to Alice.
fn naming(name: &str, call_id: &str, ok: &Sent) -> String {
    header(name, call_id, &ok.to_tag(), &ok.from_tag())
}

fn status(stage: &mut Stage, method: &str, call_id: &str, more: &str) -> u16 {
    one(stage.world.alice(&request(method, HERE, call_id, more))).status()
}

#[test]
fn join_and_replaces_are_for_invites_and_not_for_one_at_once() {
    let mut stage = Stage::new();
    let (_, ok) = answered(&mut stage, "j1");
    for name in ["Join", "Replaces"] {
        assert_eq!(status(&mut stage, "OPTIONS", &format!("{name}1"), &naming(name, "j1", &ok)), 400, "{name}");
        assert_eq!(status(&mut stage, "INVITE", &format!("{name}2"), &format!("{name}: j1\n")), 400, "{name}: no tags");
    }
    let both = naming("Join", "j1", &ok) + &naming("Replaces", "j1", &ok);
    assert_eq!(status(&mut stage, "INVITE", "both", &both), 400);
    assert_eq!(stage.request().method(), Method::Ack, "the application has seen none of them");
}

#[test]
fn what_names_no_dialog_of_ours_is_aimed_at_nobody() {
    let mut stage = Stage::new();
    let (first, ok) = answered(&mut stage, "j2");
    for (call_id, more) in [
        ("n1", header("Join", "unknown", "a", "b")),
        ("n2", header("Replaces", "j2", &ok.to_tag(), "other")),
        ("n3", header("Replaces", "j2", &ok.from_tag(), &ok.to_tag())),
    ] {
        let came = stage.receives(&request("INVITE", HERE, call_id, &more));
        assert_eq!(came.call_id(), call_id);
        assert_ne!(came.application_session().unwrap(), first.application_session().unwrap());
        assert!(came.header(more.split(':').next().unwrap()).is_some(), "the application may look for itself");
    }
}

#[test]
fn a_match_is_a_session_of_the_same_application_session_and_both_find_each_other() {
    for (name, by) in [("Join", Correspondence::Join), ("Replaces", Correspondence::Replaces)] {
        let mut stage = Stage::new();
        let (first, ok) = answered(&mut stage, "j3");
        let second = stage.receives(&request("INVITE", HERE, "j4", &naming(name, "j3", &ok)));
        let (one, two) = (first.session().unwrap(), second.session().unwrap());
        assert_ne!(one, two);
        assert_eq!(first.application_session().unwrap(), second.application_session().unwrap());
        stage.act(|context| {
            let util = context.sip_sessions_util();
            assert_eq!(util.corresponding_sip_session(&one, by), Some(two.clone()));
            assert_eq!(util.corresponding_sip_session(&two, by), Some(one.clone()));
        });
    }
}

#[test]
fn a_dialog_of_the_applications_own_making_is_found_by_our_tag_as_to_tag() {
    let mut stage = Stage::new();
    let (first, sent) = calls(&mut stage, Method::Invite);
    stage.world.answer(&sent, 180, "b", "");
    let call_id = first.call_id();
    let early = header("Replaces", &call_id, &sent.from_tag(), "b").replace('\n', ";early-only\n");
    let second = stage.receives(&request("INVITE", HERE, "j5", &early));
    assert_eq!(first.application_session().unwrap(), second.application_session().unwrap());
}

/// RFC 3891 §3, RFC 3911 §4: "an early dialog that was not initiated by this UA".
#[test]
fn an_early_dialog_that_the_peer_has_begun_is_answered_481() {
    let mut stage = Stage::new();
    let came = stage.receives(&invite(HERE, "j6"));
    let ringing = stage.answers(&came.create_response(StatusCode::RINGING).unwrap());
    for name in ["Join", "Replaces"] {
        assert_eq!(status(&mut stage, "INVITE", &format!("{name}6"), &naming(name, "j6", &ringing)), 481);
    }
}

#[test]
fn a_confirmed_dialog_is_486_to_who_wants_an_early_one_only() {
    let mut stage = Stage::new();
    let (_, ok) = answered(&mut stage, "j7");
    let early_only = naming("Replaces", "j7", &ok).replace('\n', ";early-only\n");
    assert_eq!(status(&mut stage, "INVITE", "j8", &early_only), 486);
}

#[test]
fn a_dialog_that_is_over_is_answered_603() {
    let mut stage = Stage::new();
    let (first, ok) = answered(&mut stage, "j9");
    first.session().unwrap().set_invalidate_when_ready(false).unwrap();
    first.application_session().unwrap().set_invalidate_when_ready(false).unwrap();
    let bye = stage.receives(&in_dialog("BYE", &ok, 2, ""));
    stage.answers(&bye.create_response(StatusCode::OK).unwrap());
    for name in ["Join", "Replaces"] {
        assert_eq!(status(&mut stage, "INVITE", &format!("{name}9"), &naming(name, "j9", &ok)), 603);
    }
}

#[test]
fn a_dialog_of_a_subscription_is_answered_481() {
    let mut stage = Stage::new();
    let subscribe = stage.receives(&request("SUBSCRIBE", HERE, "j10", "Event: dialog\nExpires: 600\n"));
    let accepted = subscribe.create_response(StatusCode::OK).unwrap();
    accepted.set_header("Expires", "600").unwrap();
    let ok = stage.answers(&accepted);
    for name in ["Join", "Replaces"] {
        assert_eq!(status(&mut stage, "INVITE", &format!("{name}10"), &naming(name, "j10", &ok)), 481);
    }
}

#[test]
fn a_dialog_that_the_application_proxies_is_none_of_its_own() {
    let mut stage = Stage::new();
    let proxied = stage.receives(&invite(&bob(), "j11"));
    stage.act(|_| {
        let proxy = proxied.proxy().unwrap();
        proxy.set_record_route(true).unwrap();
        proxy.proxy_to(&proxied.request_uri()).unwrap();
    });
    let sent = stage.world.only();
    let ok = one(stage.world.answer(&sent, 200, "b", ""));
    let came = stage.receives(&request("INVITE", HERE, "j12", &naming("Replaces", "j11", &ok)));
    assert_ne!(came.application_session().unwrap(), proxied.application_session().unwrap());
}

#[test]
fn the_header_counts_more_than_the_key_of_the_application() {
    let application = keeper().application_key(|request: &SipServletRequest| request.request_uri().as_sip()?.user());
    let mut stage = Stage { world: World::new(application) };
    let (first, ok) = answered(&mut stage, "j13");
    let of_other = request("INVITE", "sip:other@192.0.2.1", "j14", &naming("Replaces", "j13", &ok));
    let second = stage.receives(&of_other);
    assert_eq!(first.application_session().unwrap(), second.application_session().unwrap());
    let keyed = stage.receives(&request("INVITE", "sip:other@192.0.2.1", "j15", ""));
    assert_ne!(keyed.application_session().unwrap(), first.application_session().unwrap());
    let same = stage.receives(&request("INVITE", HERE, "j16", ""));
    assert_eq!(same.application_session().unwrap(), first.application_session().unwrap(), "the key of the first");
}

#[test]
fn the_router_is_told_of_the_owner_and_of_the_header() {
    for (name, kind) in [("Join", SipTargetedRequestType::Join), ("Replaces", SipTargetedRequestType::Replaces)] {
        let script = Script::new([to("keeper"), to("keeper")]);
        let builder = Container::builder().application(keeper()).router(script.clone());
        let mut stage = Stage { world: World::with(builder) };
        let (_, ok) = answered(&mut stage, "j17");
        assert_eq!(script.asked()[0].targeted, None);
        stage.receives(&request("INVITE", HERE, "j18", &naming(name, "j17", &ok)));
        let targeted = script.asked().remove(0).targeted.expect("a target");
        assert_eq!((targeted.kind, &*targeted.application_name), (kind, "keeper"));
    }
}
