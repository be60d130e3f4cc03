//! RFC 5057 §2, RFC 6665 §4, RFC 3515 §2.4: which subscriptions keep a dialog alive.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use common::*;
use sip_dialog::Role;
use sip_dialog::subscription::SubscriptionUses;
use sip_message::{HeaderName, Method, Request, Response};

fn request(method: Method, cseq: u32, headers: &[(HeaderName, &str)]) -> Request {
    let mut request = Request::new(method.clone(), &invite(None).uri().to_buf());
    let all = [(HeaderName::Cseq, &*format!("{cseq} {method}"))];
    for (name, value) in all.iter().chain(headers) {
        request.headers_mut().push(*name, *value).unwrap();
    }
    request
}

fn subscribe(event: &str, expires: &str) -> Request {
    request(Method::Subscribe, 1, &[(HeaderName::Event, event), (HeaderName::Expires, expires)])
}

fn notify(event: &str, state: &str) -> Request {
    request(Method::Notify, 5, &[(HeaderName::Event, event), (HeaderName::SubscriptionState, state)])
}

fn responded(uses: &mut SubscriptionUses, role: Role, request: &Request, code: u16) {
    uses.note_response(role, request, &Response::to(request, status(code)));
}

#[test]
fn a_subscription_lives_from_its_2xx_to_the_last_notify() {
    let mut uses = SubscriptionUses::default();
    uses.note_request(Role::Uac, &subscribe("presence", "600"));
    assert!(uses.is_empty());
    responded(&mut uses, Role::Uac, &subscribe("presence", "600"), 200);
    assert!(!uses.is_empty());
    uses.note_request(Role::Uas, &notify("presence", "active;expires=600"));
    responded(&mut uses, Role::Uac, &subscribe("presence", "600"), 200);
    responded(&mut uses, Role::Uac, &subscribe("presence", "0"), 200);
    assert_eq!(uses.events().map(ToString::to_string).collect::<Vec<_>>(), ["presence"]);
    uses.note_request(Role::Uas, &notify("presence", "terminated;reason=timeout"));
    assert!(uses.is_empty());
}

/// RFC 6665 §8.2.1: package and id.
#[test]
fn two_subscriptions_to_one_package_are_told_apart_by_id() {
    let mut uses = SubscriptionUses::default();
    for event in ["dialog;id=1", "dialog;id=2", "presence"] {
        responded(&mut uses, Role::Uas, &subscribe(event, "600"), 202);
    }
    uses.note_request(Role::Uac, &notify("dialog;id=2", "terminated"));
    uses.note_request(Role::Uac, &notify("presence", "terminated"));
    assert_eq!(uses.events().map(ToString::to_string).collect::<Vec<_>>(), ["dialog;id=1"]);
}

/// RFC 6665 §4.1.4: a NOTIFY may come before the 2xx, even the last one.
#[test]
fn a_notify_may_overtake_the_2xx() {
    let mut uses = SubscriptionUses::default();
    uses.note_request(Role::Uas, &notify("presence", "pending"));
    assert!(!uses.is_empty());
    responded(&mut uses, Role::Uac, &subscribe("presence", "600"), 200);
    uses.note_request(Role::Uas, &notify("presence", "terminated"));
    assert!(uses.is_empty());

    uses.note_request(Role::Uas, &notify("dialog", "terminated"));
    assert!(uses.is_empty());
    responded(&mut uses, Role::Uac, &subscribe("dialog", "600"), 200);
    assert_eq!(uses, SubscriptionUses::default());
}

#[test]
fn a_refused_subscribe_is_no_use() {
    let mut uses = SubscriptionUses::default();
    responded(&mut uses, Role::Uac, &subscribe("presence", "600"), 489);
    responded(&mut uses, Role::Uac, &subscribe("presence", "600"), 100);
    assert!(uses.is_empty());
}

/// RFC 6665 §4.4.3: whoever asks once is sent one NOTIFY, in the dialog that the 2xx makes.
#[test]
fn asking_once_keeps_the_dialog_until_the_one_notify() {
    for overtakes in [false, true] {
        let mut uses = SubscriptionUses::default();
        let notify = notify("presence", "terminated;reason=timeout");
        if overtakes {
            uses.note_request(Role::Uas, &notify);
        }
        responded(&mut uses, Role::Uac, &subscribe("presence", "0"), 200);
        assert_eq!(uses.is_empty(), overtakes);
        if !overtakes {
            uses.note_request(Role::Uas, &notify);
        }
        assert_eq!(uses, SubscriptionUses::default());
    }
}

/// The last NOTIFY may overtake the 2xx of the SUBSCRIBE that asks for it.
#[test]
fn ending_a_subscription_begins_none() {
    let mut uses = SubscriptionUses::default();
    responded(&mut uses, Role::Uac, &subscribe("presence", "600"), 200);
    let end = (HeaderName::Expires, "0");
    let to = (HeaderName::To, "<sip:bob@example.com>;tag=b");
    let end = request(Method::Subscribe, 2, &[(HeaderName::Event, "presence"), end, to]);
    uses.note_request(Role::Uas, &notify("presence", "terminated;reason=timeout"));
    responded(&mut uses, Role::Uac, &end, 200);
    assert!(uses.is_empty());
}

/// RFC 6665 §4.1.2.2, §4.2.2.
#[test]
fn a_481_or_a_timeout_ends_the_subscription() {
    for end in [0, 1, 2] {
        let mut uses = SubscriptionUses::default();
        responded(&mut uses, Role::Uas, &subscribe("presence", "600"), 200);
        let notify = notify("presence", "active;expires=600");
        responded(&mut uses, Role::Uac, &notify, 500);
        assert!(!uses.is_empty());
        match end {
            0 => responded(&mut uses, Role::Uac, &notify, 481),
            1 => responded(&mut uses, Role::Uas, &subscribe("presence", "600"), 481),
            _ => uses.note_failure(Role::Uac, &notify),
        }
        assert!(uses.is_empty(), "{end}");
    }
}

/// RFC 3515 §2.4.6: the NOTIFYs of the first REFER may have no id, those of a further one have its CSeq.
#[test]
fn each_refer_is_a_subscription_of_its_own() {
    let mut uses = SubscriptionUses::default();
    for cseq in [7, 9] {
        responded(&mut uses, Role::Uac, &request(Method::Refer, cseq, &[]), 202);
    }
    uses.note_request(Role::Uas, &notify("refer", "active"));
    uses.note_request(Role::Uas, &notify("refer;id=9", "active"));
    assert_eq!(uses.events().count(), 2);
    uses.note_request(Role::Uas, &notify("refer", "terminated;reason=noresource"));
    assert_eq!(uses.events().map(ToString::to_string).collect::<Vec<_>>(), ["refer;id=9"]);
    uses.note_request(Role::Uas, &notify("refer;id=9", "terminated;reason=noresource"));
    assert!(uses.is_empty());
}

/// RFC 4488 §4.
#[test]
fn a_refer_without_subscription_is_no_use() {
    let refer = request(Method::Refer, 7, &[(HeaderName::ReferSub, "false")]);
    let mut response = Response::to(&refer, status(200));
    response.headers_mut().push(HeaderName::ReferSub, "false").unwrap();
    let mut uses = SubscriptionUses::default();
    uses.note_response(Role::Uas, &refer, &response);
    assert!(uses.is_empty());
    uses.note_response(Role::Uas, &refer, &Response::to(&refer, status(202)));
    assert!(!uses.is_empty(), "the recipient does not know Refer-Sub");
}

#[test]
fn both_sides_may_refer_in_one_call() {
    let mut uses = SubscriptionUses::default();
    responded(&mut uses, Role::Uac, &request(Method::Refer, 2, &[]), 202);
    responded(&mut uses, Role::Uas, &request(Method::Refer, 2, &[]), 202);
    uses.note_request(Role::Uac, &notify("refer", "terminated"));
    assert!(!uses.is_empty(), "we still subscribe");
    uses.note_request(Role::Uas, &notify("refer", "terminated"));
    assert!(uses.is_empty());
}

#[test]
fn a_peer_cannot_make_it_grow_without_bound() {
    let mut uses = SubscriptionUses::default();
    for id in 0..10_000 {
        uses.note_request(Role::Uas, &notify(&format!("presence;id={id}"), "active"));
    }
    assert!(uses.events().count() <= 32);
}

#[test]
fn other_requests_say_nothing() {
    let mut uses = SubscriptionUses::default();
    let info = request(Method::Info, 4, &[(HeaderName::Event, "presence")]);
    uses.note_request(Role::Uas, &info);
    responded(&mut uses, Role::Uas, &info, 200);
    uses.note_request(Role::Uas, &request(Method::Notify, 4, &[(HeaderName::Event, "presence")]));
    assert!(uses.is_empty());
}
