//! RFC 3515 (REFER) and RFC 4488 (Refer-Sub).

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use common::Side::Alice;
use common::*;
use sip_dialog::invite::{Event, Input};
use sip_dialog::subscription::refer::{self, ReferRequest};
use sip_dialog::subscription::*;
use sip_message::{HeaderName, Method, Request, Response, StatusCode, UriBuf};

/// Alice refers Bob within their call. What Bob got.
fn refer_in_call(world: &mut World) -> (ServerKey, Request) {
    let mut request = world.usage(Alice).create_request(FIRST, Method::Refer).unwrap();
    request.headers_mut().push(HeaderName::ReferTo, "<sip:carol@example.com>").unwrap();
    request.headers_mut().push(HeaderName::Contact, "<sip:alice@alice.example.com>").unwrap();
    world.act(Alice, Input::Send { dialog: FIRST, request }).unwrap();
    world.settle();
    world.bob.waiting.pop_front().expect("the REFER waits")
}

fn cseq(request: &Request) -> u32 {
    request.headers().first(HeaderName::Cseq).unwrap().split(' ').next().unwrap().parse().unwrap()
}

/// Bob's NOTIFY, through Alice's call, to her subscription.
fn deliver(world: &mut World, subscription: &mut Subscription, notify: Request) -> Response {
    world.inject(Alice, notify);
    let (transaction, request) = world.alice.waiting.pop_front().expect("the NOTIFY waits");
    assert!(subscription.matches(&EventId::of(request.headers()).unwrap()));
    let dialog = world.alice.usage.as_mut().unwrap().dialog_mut(FIRST).unwrap();
    subscription.handle(world.now, dialog, SubscriptionInput::NotifyReceived { transaction, request });
    let outputs: Vec<_> = std::iter::from_fn(|| subscription.poll_output()).collect();
    let SubscriptionOutput::SendResponse { transaction, response } = outputs[0].clone() else { panic!("{outputs:?}") };
    world.act(Alice, Input::Respond { transaction, response: response.clone(), reliably: false }).unwrap();
    response
}

/// §2.4.4, §2.4.5: 202, NOTIFY with 100, NOTIFY with the final status and terminated;reason=noresource.
#[test]
fn a_refer_in_a_call_is_followed_by_its_progress() {
    let mut world = World::established();
    let (transaction, request) = refer_in_call(&mut world);
    assert_eq!(
        ReferRequest::of(&request).unwrap(),
        ReferRequest { refer_to: UriBuf::parse("sip:carol@example.com").unwrap(), subscribes: true }
    );
    let mut subscription = Subscription::of_refer(world.now, cseq(&request), true, ms(500), None);
    let now = world.now;
    let dialog = world.bob.usage.as_mut().unwrap().dialog_mut(FIRST).unwrap();
    let mut notifier = Notifier::accept_refer(now, transaction, &request, dialog, true, NotifierPolicy::default());
    let Some(NotifierOutput::SendResponse { response, .. }) = notifier.poll_output() else { panic!("202") };
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let Some(NotifierOutput::SendRequest { request: notify, .. }) = notifier.poll_output() else { panic!("NOTIFY") };
    assert_eq!(notify.headers().first(HeaderName::Event), Some("refer"));
    assert_eq!(refer::status_of(&notify), Some(StatusCode::TRYING));
    assert_eq!(notify.headers().first(HeaderName::ContentType), Some("message/sipfrag;version=2.0"));
    let ok = deliver(&mut world, &mut subscription, notify);
    assert_eq!(ok.status(), StatusCode::OK);
    assert_eq!(subscription.state(), SubscriptionState::Active);

    let dialog = world.bob.usage.as_mut().unwrap().dialog_mut(FIRST).unwrap();
    notifier.handle(now, dialog, NotifierInput::ResponseReceived(ok));
    let body = Some(refer::progress(StatusCode::OK));
    notifier.handle(now, dialog, NotifierInput::Terminate { reason: EndReason::NoResource, retry_after: None, body });
    let Some(NotifierOutput::SendRequest { request: notify, .. }) = notifier.poll_output() else { panic!("NOTIFY") };
    assert_eq!(notify.headers().first(HeaderName::SubscriptionState), Some("terminated;reason=noresource"));
    assert_eq!(refer::status_of(&notify), Some(StatusCode::OK));
    deliver(&mut world, &mut subscription, notify);
    assert_eq!(subscription.state(), SubscriptionState::Terminated);
    // The call goes on.
    world.send(Alice, Method::Bye, None);
    world.settle();
    assert!(matches!(world.bob.events.back(), Some(Event::Terminated { .. })));
}

/// §2.4.6: the second REFER of a dialog, and each one after it, has its CSeq as id.
#[test]
fn several_refers_are_told_apart_by_their_id() {
    let mut world = World::established();
    let (first_key, first) = refer_in_call(&mut world);
    let (second_key, second) = refer_in_call(&mut world);
    let now = world.now;
    let dialog = world.bob.usage.as_mut().unwrap().dialog_mut(FIRST).unwrap();
    let one = Notifier::accept_refer(now, first_key, &first, dialog, true, NotifierPolicy::default());
    let two = Notifier::accept_refer(now, second_key, &second, dialog, false, NotifierPolicy::default());
    assert_eq!(two.event().to_string(), format!("refer;id={}", cseq(&second)));
    let mine = Subscription::of_refer(now, cseq(&first), true, ms(500), None);
    let other = Subscription::of_refer(now, cseq(&second), false, ms(500), None);
    assert!(mine.matches(one.event()) && !mine.matches(two.event()));
    assert!(other.matches(two.event()) && !other.matches(one.event()));
    // A notifier may give the first its id, too.
    assert!(mine.matches(&EventId { package: "refer".into(), id: Some(cseq(&first).to_string().into()) }));
}

/// §2.4.2: exactly one Refer-To.
#[test]
fn a_refer_has_exactly_one_refer_to() {
    let mut request = Request::new(Method::Refer, &UriBuf::parse("sip:bob@example.com").unwrap());
    assert_eq!(ReferRequest::of(&request), Err(StatusCode::BAD_REQUEST));
    request.headers_mut().push(HeaderName::ReferTo, "<sip:carol@example.com>").unwrap();
    assert!(ReferRequest::of(&request).is_ok());
    request.headers_mut().push(HeaderName::ReferTo, "<sip:dave@example.com>").unwrap();
    assert_eq!(ReferRequest::of(&request), Err(StatusCode::BAD_REQUEST));
}

fn refer_outside(refer_sub: Option<&str>) -> Request {
    let mut request = Request::new(Method::Refer, &UriBuf::parse("sip:bob@example.com").unwrap());
    for (name, value) in [
        (HeaderName::From, "<sip:alice@example.com>;tag=a1"),
        (HeaderName::To, "<sip:bob@example.com>"),
        (HeaderName::CallId, "refer-1"),
        (HeaderName::Cseq, "1 REFER"),
        (HeaderName::Contact, "<sip:alice@alice.example.com>"),
        (HeaderName::ReferTo, "<sip:carol@example.com>"),
    ] {
        request.headers_mut().push(name, value).unwrap();
    }
    if let Some(value) = refer_sub {
        request.headers_mut().push(HeaderName::ReferSub, value).unwrap();
    }
    request
}

/// RFC 4488 §4: Refer-Sub: false on both sides, no subscription.
#[test]
fn a_refer_without_subscription_ends_with_its_response() {
    let now = std::time::Instant::now();
    let request = refer_outside(Some("false"));
    assert!(!ReferRequest::of(&request).unwrap().subscribes);
    let mut subscriber = Subscriber::subscribe(now, request.clone(), false, ms(500), None).unwrap();
    subscriber.poll_output();
    let response = refer::accept_without_subscription(&request, "b1");
    subscriber.handle(now, SubscriberInput::ResponseReceived { transaction: ClientKey(0), response }).unwrap();
    let Some((_, SubscriptionOutput::Event(SubscriptionEvent::Terminated(end)))) = subscriber.poll_output() else {
        panic!("over")
    };
    assert_eq!(end, SubscriptionEnd::NotWanted);
    assert!(subscriber.is_over() && subscriber.next_timeout().is_none());
}

/// RFC 4488 §4: a recipient that does not know the header subscribes all the same.
#[test]
fn a_recipient_of_old_subscribes_though_asked_not_to() {
    let now = std::time::Instant::now();
    let request = refer_outside(Some("false"));
    let mut subscriber = Subscriber::subscribe(now, request.clone(), false, ms(500), None).unwrap();
    subscriber.poll_output();
    let mut response = Response::to(&request, StatusCode::ACCEPTED);
    response.headers_mut().set(HeaderName::To, "<sip:bob@example.com>;tag=b1").unwrap();
    subscriber.handle(now, SubscriberInput::ResponseReceived { transaction: ClientKey(0), response }).unwrap();
    assert_eq!(subscriber.forks().count(), 1);
}
