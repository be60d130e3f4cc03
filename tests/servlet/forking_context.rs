//! `ForkingContext`: the dialogs of one request together, and the forks of a subscription (RFC 6665 §4.1.2.4, §4.4.1).

use servlet::prelude::*;
use servlet::{IllegalArgument, IllegalState};
use sip_message::HeaderName;

use crate::forking::{forked, not_now};
use crate::keeper::{Stage, bob};
use crate::world::{ALICE, BOB, Sent, from_callee, request, udp};

// ----- ForkingContext ------------------------------------------------------------------------------------------------

#[test]
fn a_forking_context_has_the_sessions_of_one_request_the_first_one_first() {
    let mut stage = Stage::new();
    let (legs, first, second) = forked(&mut stage);
    for member in [&first, &second] {
        assert_eq!(member.forking_context().sessions(), Ok(vec![first.clone(), second.clone()]));
    }
    assert_eq!(legs.a.forking_context().sessions(), Ok(vec![legs.a.clone()]));
    stage.act(|_| first.invalidate().unwrap());
    assert_eq!(second.forking_context().sessions(), Ok(vec![second.clone()]));
    assert_eq!(first.forking_context().sessions().err(), not_now(IllegalState::InvalidSession));
}

/// RFC 6665 §4.4.1: each NOTIFY with a tag of its own makes a dialog.
#[test]
fn a_notifier_may_begin_another_dialog_of_the_same_subscription() {
    let mut stage = Stage::new();
    let more = "Event: presence\nExpires: 60\n";
    let subscribe = stage.receives(&request("SUBSCRIBE", "sip:service@192.0.2.1", "s", more));
    let ok = subscribe.create_response(StatusCode::OK).unwrap();
    stage.act(|_| ok.set_expires(Duration::from_secs(60)).unwrap());
    let ok = stage.answers(&ok);
    let first = subscribe.session().unwrap();
    let notify = stage.act(|_| first.forking_context().create_request(Method::Notify).unwrap());
    notify.set_header("Event", "presence").unwrap();
    notify.set_header("Subscription-State", "active").unwrap();
    assert!(!notify.is_initial());
    let second = notify.session().unwrap();
    assert_ne!(second, first);
    let sent = stage.sends(&notify);
    assert_eq!((sent.first(HeaderName::CallId), sent.uri()), ("s", &*format!("sip:alice@{ALICE}")));
    assert_eq!(sent.to_tag(), "from-s");
    assert!(sent.from_tag() != ok.to_tag() && !sent.from_tag().is_empty());
    assert_eq!(second.state(), Ok(SessionState::Confirmed));
    assert_eq!(first.forking_context().sessions(), Ok(vec![first, second]));
}

#[test]
fn a_caller_may_begin_another_dialog_with_the_same_call_id_and_tag() {
    let mut stage = Stage::new();
    let (legs, first, _) = forked(&mut stage);
    let again = stage.act(|_| first.forking_context().create_request(Method::Invite).unwrap());
    assert!(again.is_initial());
    assert_eq!(again.call_id(), legs.b.call_id());
    assert_eq!((again.from().tag(), again.to().tag()), (legs.second.from().tag(), None));
    assert_eq!(again.header("CSeq").as_deref(), Some("2 INVITE"));
    assert_ne!(again.session().unwrap(), first);
    for method in [Method::Ack, Method::Cancel, Method::Prack] {
        let refused = first.forking_context().create_request(method.clone()).err();
        assert_eq!(refused, Some(IllegalArgument::Method(method.as_str().into()).into()));
    }
}

#[test]
fn terminating_a_forking_context_ends_the_dialogs_that_there_are_and_those_to_come() {
    let mut stage = Stage::new();
    let legs = stage.legs();
    stage.world.answer(&legs.sent, 200, "one", "");
    let answer = stage.response();
    stage.act(|_| answer.create_ack().unwrap().send().unwrap());
    stage.world.sent();
    stage.act(|_| legs.b.forking_context().terminate_dialogs().unwrap());
    let bye = stage.world.only();
    assert_eq!((bye.method(), bye.to_tag()), ("BYE", "one".to_owned()));
    let told = stage.responses();
    let sent = stage.world.answer(&legs.sent, 200, "two", "");
    let methods: Vec<&str> = sent.iter().map(|sent| sent.method()).collect();
    assert_eq!(methods, ["ACK", "BYE"]);
    assert!(sent.iter().all(|sent| sent.to_tag() == "two"));
    assert_eq!(stage.responses(), told, "the application hears nothing of it");
    stage.world.answer(&bye, 200, "", "");
    stage.world.answer(&sent[1], 200, "", "");
    stage.gives_up();
}

// ----- subscriptions -------------------------------------------------------------------------------------------------

/// A subscription of the application's, answered by one fork.
fn subscribed(stage: &mut Stage) -> (SipSession, Sent) {
    let subscribe = stage.act(|context| {
        let factory = context.sip_factory();
        let session = factory.create_application_session().unwrap();
        let request = factory.create_request_from_text(&session, "SUBSCRIBE", "sip:us@h", &bob()).unwrap();
        request.set_header("Event", "presence").unwrap();
        request.set_expires(Duration::from_secs(600)).unwrap();
        request
    });
    let sent = stage.sends(&subscribe);
    stage.world.answer(&sent, 200, "one", "Expires: 600\n");
    (subscribe.session().unwrap(), sent)
}

fn notify(sent: &Sent, tag: &str, cseq: u32, state: &str) -> String {
    let more = format!("Event: presence\nSubscription-State: {state}\nContact: <sip:{tag}@{BOB}>\n");
    from_callee("NOTIFY", sent, tag, cseq, &more).replacen(&format!("Contact: <sip:bob@{BOB}>\n"), "", 1)
}

/// RFC 6665 §4.1.2.4: "several NOTIFY requests may arrive from different destinations".
#[test]
fn a_notify_of_another_fork_makes_a_derived_session() {
    let mut stage = Stage::new();
    let (first, sent) = subscribed(&mut stage);
    stage.world.receive(&udp(BOB), &notify(&sent, "one", 1, "active"));
    assert_eq!(stage.request().session().unwrap(), first);
    stage.world.receive(&udp(BOB), &notify(&sent, "two", 1, "active"));
    let of_two = stage.request();
    let second = of_two.session().unwrap();
    assert_ne!(second, first);
    assert_eq!(second.state(), Ok(SessionState::Confirmed));
    assert_eq!(first.forking_context().sessions(), Ok(vec![first.clone(), second.clone()]));
    assert_eq!(stage.answers(&of_two.create_response(StatusCode::OK).unwrap()).status(), 200);
    let refresh = stage.act(|_| second.create_request(Method::Subscribe).unwrap());
    let refresh = stage.sends(&refresh);
    assert_eq!((refresh.uri(), refresh.to_tag()), (&*format!("sip:two@{BOB}"), "two".to_owned()));
    // The next one finds its session.
    stage.world.receive(&udp(BOB), &notify(&sent, "two", 2, "terminated"));
    let last = stage.request();
    assert_eq!(last.session().unwrap(), second);
    stage.answers(&last.create_response(StatusCode::OK).unwrap());
    assert_eq!(first.state(), Ok(SessionState::Confirmed));
}

/// RFC 6665 §4.1.2.4: "After the expiration of Timer N, the subscriber SHOULD reject any such NOTIFY requests".
#[test]
fn a_fork_that_notifies_too_late_is_unknown() {
    let mut stage = Stage::new();
    let (first, sent) = subscribed(&mut stage);
    stage.world.receive(&udp(BOB), &notify(&sent, "one", 1, "active"));
    let notified = stage.request();
    stage.answers(&notified.create_response(StatusCode::OK).unwrap());
    stage.world.pass(Duration::from_secs(33));
    stage.world.receive(&udp(BOB), &notify(&sent, "two", 1, "active"));
    assert_eq!(stage.world.only().status(), 481);
    assert_eq!(first.forking_context().sessions(), Ok(vec![first]));
}
