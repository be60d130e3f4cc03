//! RFC 6665: subscriptions, from both sides.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

mod common;

use std::time::Instant;

use common::*;
use sip_dialog::Dialog;
use sip_dialog::subscription::*;
use sip_message::{HeaderName, Method, NameAddrBuf, Request, Response, StatusCode, UriBuf};

const KEY: ServerKey = ServerKey(1);

fn contact(name: &str) -> NameAddrBuf {
    NameAddrBuf::parse(format!("<sip:{name}@{name}.example.com>")).unwrap()
}

fn subscribe_request(expires: &str) -> Request {
    let mut request = Request::new(Method::Subscribe, &UriBuf::parse("sip:bob@example.com").unwrap());
    for (name, value) in [
        (HeaderName::MaxForwards, "70"),
        (HeaderName::From, "<sip:alice@example.com>;tag=a1"),
        (HeaderName::To, "<sip:bob@example.com>"),
        (HeaderName::CallId, "sub-1"),
        (HeaderName::Cseq, "1 SUBSCRIBE"),
        (HeaderName::Contact, "<sip:alice@alice.example.com>"),
        (HeaderName::Event, "presence"),
        (HeaderName::Expires, expires),
    ] {
        request.headers_mut().push(name, value).unwrap();
    }
    request
}

struct Watched {
    now: Instant,
    subscriber: Subscriber,
    dialog: Dialog,
    notifier: Notifier,
    log: Vec<String>,
    seen: Vec<SubscriptionEvent>,
    told: Vec<NotifierEvent>,
}

impl Watched {
    /// Alice subscribes to Bob, and everything that follows has happened.
    fn new(expires: &str, state: NotifierState) -> Watched {
        let mut watched = Watched::pending(
            expires,
            state,
            NotifierPolicy { contact: Some(contact("bob")), ..NotifierPolicy::default() },
        );
        watched.settle();
        watched
    }

    fn pending(expires: &str, state: NotifierState, policy: NotifierPolicy) -> Watched {
        let now = Instant::now();
        let request = subscribe_request(expires);
        let mut subscriber = Subscriber::subscribe(now, request, false, ms(500), Some(contact("alice"))).unwrap();
        let Some((None, SubscriptionOutput::SendRequest { request, .. })) = subscriber.poll_output() else {
            panic!("sent")
        };
        let body = Some(Body { content_type: "application/pidf+xml".into(), octets: "<open/>".into() });
        let (dialog, notifier) = Notifier::accept(now, KEY, &request, "b1", false, policy, state, body).unwrap();
        Watched { now, subscriber, dialog, notifier, log: Vec::new(), seen: Vec::new(), told: Vec::new() }
    }

    fn notify(&mut self, input: NotifierInput) {
        self.notifier.handle(self.now, &mut self.dialog, input);
    }

    fn wish(&mut self, wish: SubscriptionInput) {
        self.subscriber.handle(self.now, SubscriberInput::Wish(ForkKey(0), wish)).unwrap();
    }

    /// Carries messages until nobody says anything.
    fn settle(&mut self) {
        loop {
            if let Some(output) = self.notifier.poll_output() {
                match output {
                    NotifierOutput::SendResponse { response, .. } => {
                        self.log.push(format!("bob {}", response.status()));
                        // The initial SUBSCRIBE is transaction 0, each refresh the next.
                        let cseq: u64 = response
                            .headers()
                            .first(HeaderName::Cseq)
                            .unwrap()
                            .split(' ')
                            .next()
                            .unwrap()
                            .parse()
                            .unwrap();
                        let transaction = ClientKey(cseq - 1);
                        self.subscriber
                            .handle(self.now, SubscriberInput::ResponseReceived { transaction, response })
                            .unwrap();
                    }
                    NotifierOutput::SendRequest { request, .. } => {
                        self.log.push(format!(
                            "bob NOTIFY {}",
                            request.headers().first(HeaderName::SubscriptionState).unwrap()
                        ));
                        let received = SubscriberInput::NotifyReceived { transaction: KEY, request };
                        self.subscriber.handle(self.now, received).unwrap();
                    }
                    NotifierOutput::Event(event) => self.told.push(event),
                }
            } else if let Some((_, output)) = self.subscriber.poll_output() {
                match output {
                    SubscriptionOutput::SendResponse { response, .. } => {
                        self.log.push(format!("alice {}", response.status()));
                        self.notify(NotifierInput::ResponseReceived(response));
                    }
                    SubscriptionOutput::SendRequest { request, .. } => {
                        self.log
                            .push(format!("alice SUBSCRIBE {}", request.headers().first(HeaderName::Expires).unwrap()));
                        self.dialog.receive_request(&request).unwrap();
                        self.notify(NotifierInput::SubscribeReceived { transaction: KEY, request });
                    }
                    SubscriptionOutput::Event(event) => self.seen.push(event),
                }
            } else {
                return;
            }
        }
    }

    fn advance(&mut self, by: std::time::Duration) {
        let until = self.now + by;
        loop {
            let next = [self.subscriber.next_timeout(), self.notifier.next_timeout()].into_iter().flatten().min();
            let Some(at) = next.filter(|at| *at <= until) else { break };
            self.now = at;
            self.subscriber.handle(at, SubscriberInput::TimeReached).unwrap();
            self.notify(NotifierInput::TimeReached);
            self.settle();
        }
        self.now = until;
    }

    fn log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    fn end(&self) -> Option<&SubscriptionEnd> {
        self.seen.iter().find_map(|event| match event {
            SubscriptionEvent::Terminated(end) => Some(end),
            _ => None,
        })
    }
}

fn notify_for(request: &Request, tag: &str, state: &str) -> Request {
    let text = format!(
        "NOTIFY sip:alice@alice.example.com SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKn\r\nMax-Forwards: 70\r\n\
         From: <sip:bob@example.com>;tag={tag}\r\nTo: <sip:alice@example.com>;tag=a1\r\nCall-ID: sub-1\r\nCSeq: 7 NOTIFY\r\n\
         Contact: <sip:{tag}@192.0.2.9>\r\nEvent: presence\r\nSubscription-State: {state}\r\n\r\n"
    );
    assert_eq!(request.headers().first(HeaderName::CallId), Some("sub-1"));
    parse_request(&text)
}

// ----- both -----

/// §4.1.2, §4.2.1.2: 200, and at once a NOTIFY.
#[test]
fn a_subscription_is_accepted_and_notified_at_once() {
    let mut watched = Watched::new("600", NotifierState::Active);
    assert_eq!(watched.log(), ["bob 200", "bob NOTIFY active;expires=600", "alice 200"]);
    let (_, dialog, subscription) = watched.subscriber.forks().next().unwrap();
    assert_eq!(dialog.remote_target.as_str(), "sip:bob@bob.example.com");
    assert_eq!(subscription.state(), SubscriptionState::Active);
    assert_eq!(subscription.expires_at(), Some(watched.now + seconds(600)));
}

#[test]
fn a_pending_subscription_becomes_active() {
    let mut watched = Watched::new("600", NotifierState::Pending);
    assert_eq!(watched.subscriber.forks().next().unwrap().2.state(), SubscriptionState::Pending);
    watched.notify(NotifierInput::Activate(None));
    watched.settle();
    assert_eq!(watched.subscriber.forks().next().unwrap().2.state(), SubscriptionState::Active);
}

/// §4.1.2.2: the subscriber refreshes in time, for as long as nobody ends it.
#[test]
fn a_subscription_is_refreshed_before_it_expires() {
    let mut watched = Watched::new("600", NotifierState::Active);
    watched.log();
    watched.advance(seconds(539));
    assert_eq!(watched.log(), [""; 0]);
    watched.advance(seconds(1));
    assert_eq!(watched.log(), ["alice SUBSCRIBE 600", "bob 200", "bob NOTIFY active;expires=600", "alice 200"]);
    watched.advance(seconds(10_000));
    assert_eq!(watched.end(), None);
}

/// §4.1.2.3: Expires: 0, and a last NOTIFY.
#[test]
fn unsubscribing_brings_a_last_notify() {
    let mut watched = Watched::new("600", NotifierState::Active);
    watched.log();
    watched.wish(SubscriptionInput::Unsubscribe);
    watched.settle();
    assert_eq!(watched.log(), ["alice SUBSCRIBE 0", "bob 200", "bob NOTIFY terminated;reason=timeout", "alice 200"]);
    assert!(matches!(watched.end(), Some(SubscriptionEnd::Notified { reason: Some(EndReason::Timeout), .. })));
    watched.advance(seconds(40));
    assert!(watched.subscriber.is_over() && watched.notifier.is_over());
}

/// §4.2.1.4: what is not refreshed ends with reason=timeout.
#[test]
fn a_notifier_ends_what_is_not_refreshed() {
    let mut watched = Watched::new("600", NotifierState::Active);
    watched.notifier.handle(watched.now + seconds(600), &mut watched.dialog, NotifierInput::TimeReached);
    watched.settle();
    assert!(watched.log().contains(&"bob NOTIFY terminated;reason=timeout".to_owned()));
    assert!(matches!(watched.told.last(), Some(NotifierEvent::Terminated(EndReason::Timeout))));
}

/// §4.1.3: what the reason says about trying again.
#[test]
fn the_reason_says_when_to_subscribe_again() {
    for (reason, after, expected) in [
        (EndReason::Deactivated, Some(60), Resubscribe::AtOnce),
        (EndReason::Probation, Some(120), Resubscribe::After(seconds(120))),
        (EndReason::Rejected, Some(60), Resubscribe::Never),
        (EndReason::Timeout, None, Resubscribe::AtOnce),
        (EndReason::GiveUp, Some(5), Resubscribe::After(seconds(5))),
        (EndReason::GiveUp, None, Resubscribe::AtOnce),
        (EndReason::NoResource, None, Resubscribe::Never),
        (EndReason::Invariant, Some(31_536_000), Resubscribe::Never),
        (EndReason::Other("eclipse".into()), Some(7), Resubscribe::After(seconds(7))),
    ] {
        let mut watched = Watched::new("600", NotifierState::Active);
        let retry_after = after.map(seconds);
        watched.notify(NotifierInput::Terminate { reason: reason.clone(), retry_after, body: None });
        watched.settle();
        assert_eq!(watched.end(), Some(&SubscriptionEnd::Notified { reason: Some(reason), resubscribe: expected }));
    }
}

/// A slow subscriber costs one body: what changed meanwhile is told once, in its last state.
#[test]
fn only_the_latest_state_waits_for_a_slow_subscriber() {
    let mut watched = Watched::new("600", NotifierState::Active);
    watched.log();
    for change in 0..50 {
        let body = Body { content_type: "text/plain".into(), octets: change.to_string().into() };
        watched.notify(NotifierInput::Notify(Some(body)));
    }
    watched.settle();
    assert_eq!(watched.log().iter().filter(|what| what.starts_with("bob NOTIFY")).count(), 2);
    let Some(SubscriptionEvent::Notified { notify, .. }) = watched.seen.last() else { panic!("notified") };
    assert_eq!(&notify.body()[..], b"49");
}

// ----- the subscriber -----

fn waiting(expires: &str) -> (Instant, Subscriber, Request) {
    let now = Instant::now();
    let mut subscriber = Subscriber::subscribe(now, subscribe_request(expires), false, ms(500), None).unwrap();
    let Some((None, SubscriptionOutput::SendRequest { request, .. })) = subscriber.poll_output() else {
        panic!("sent")
    };
    (now, subscriber, request)
}

fn outputs(subscriber: &mut Subscriber) -> Vec<(Option<ForkKey>, SubscriptionOutput)> {
    std::iter::from_fn(|| subscriber.poll_output()).collect()
}

/// §4.1.2.4: NOTIFYs before the response, and from other forks, each make a dialog.
#[test]
fn a_notify_may_come_before_the_response_and_from_several_forks() {
    let (now, mut subscriber, request) = waiting("600");
    for tag in ["x", "y"] {
        let notify = notify_for(&request, tag, "active;expires=600");
        subscriber.handle(now, SubscriberInput::NotifyReceived { transaction: KEY, request: notify }).unwrap();
    }
    let mut ok = Response::to(&request, StatusCode::OK);
    ok.headers_mut().set(HeaderName::To, "<sip:bob@example.com>;tag=x").unwrap();
    ok.headers_mut().push(HeaderName::Expires, "300").unwrap();
    subscriber.handle(now, SubscriberInput::ResponseReceived { transaction: ClientKey(0), response: ok }).unwrap();
    let forks: Vec<_> = subscriber
        .forks()
        .map(|(_, dialog, subscription)| (&*dialog.id.remote_tag, subscription.expires_at()))
        .collect();
    assert_eq!(forks, [("x", Some(now + seconds(300))), ("y", Some(now + seconds(600)))]);
}

/// §4.1.2.4: "After the expiration of Timer N, the subscriber SHOULD reject any such NOTIFY requests […] 481".
#[test]
fn after_timer_n_a_notify_makes_no_fork() {
    let (now, mut subscriber, request) = waiting("600");
    let mut ok = Response::to(&request, StatusCode::OK);
    ok.headers_mut().set(HeaderName::To, "<sip:bob@example.com>;tag=x").unwrap();
    subscriber.handle(now, SubscriberInput::ResponseReceived { transaction: ClientKey(0), response: ok }).unwrap();
    let later = now + seconds(32);
    subscriber.handle(later, SubscriberInput::TimeReached).unwrap();
    let ended = outputs(&mut subscriber);
    assert!(
        matches!(
            &ended[..],
            [(Some(_), SubscriptionOutput::Event(SubscriptionEvent::Terminated(SubscriptionEnd::NotNotified)))]
        ),
        "{ended:?}"
    );
    let notify = notify_for(&request, "y", "active;expires=600");
    subscriber.handle(later, SubscriberInput::NotifyReceived { transaction: KEY, request: notify }).unwrap();
    let outputs = outputs(&mut subscriber);
    let [(None, SubscriptionOutput::SendResponse { response, .. })] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!(response.status().code(), 481);
    assert!(subscriber.is_over());
}

/// §4.1.3, §8.2.1: package and id must match, in the same dialog.
#[test]
fn a_notify_of_something_else_gets_481() {
    let (now, mut subscriber, request) = waiting("600");
    for (name, value) in [
        (HeaderName::Event, "dialog"),
        (HeaderName::Event, "presence;id=1"),
        (HeaderName::CallId, "sub-2"),
        (HeaderName::To, "<sip:alice@example.com>;tag=a2"),
    ] {
        let mut notify = notify_for(&request, "x", "active;expires=600");
        notify.headers_mut().set(name, value).unwrap();
        subscriber.handle(now, SubscriberInput::NotifyReceived { transaction: KEY, request: notify }).unwrap();
        let outputs = outputs(&mut subscriber);
        let [(None, SubscriptionOutput::SendResponse { response, .. })] = &outputs[..] else { panic!("{outputs:?}") };
        assert_eq!(response.status().code(), 481, "{value}");
    }
    assert_eq!(subscriber.forks().count(), 0);
}

/// "NOTIFY requests MUST contain Subscription-State".
#[test]
fn a_notify_without_state_gets_400() {
    let (now, mut subscriber, request) = waiting("600");
    let mut notify = notify_for(&request, "x", "active");
    notify.headers_mut().remove(HeaderName::SubscriptionState);
    subscriber.handle(now, SubscriberInput::NotifyReceived { transaction: KEY, request: notify }).unwrap();
    let outputs = outputs(&mut subscriber);
    let [(_, SubscriptionOutput::SendResponse { response, .. })] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
}

#[test]
fn a_refused_subscription_is_over() {
    let (now, mut subscriber, request) = waiting("600");
    let response = Response::to(&request, status(403));
    subscriber.handle(now, SubscriberInput::ResponseReceived { transaction: ClientKey(0), response }).unwrap();
    let outputs = outputs(&mut subscriber);
    assert!(matches!(
        outputs[..],
        [(None, SubscriptionOutput::Event(SubscriptionEvent::Terminated(SubscriptionEnd::Refused(_))))]
    ));
    assert!(subscriber.is_over() && subscriber.next_timeout().is_none());
}

#[test]
fn a_challenged_subscription_is_sent_again() {
    let (now, mut subscriber, request) = waiting("600");
    let response = Response::to(&request, status(401));
    subscriber.handle(now, SubscriberInput::ResponseReceived { transaction: ClientKey(0), response }).unwrap();
    let Some((None, SubscriptionOutput::Event(SubscriptionEvent::Challenged { request, .. }))) =
        subscriber.poll_output()
    else {
        panic!("challenged")
    };
    subscriber.handle(now, SubscriberInput::Again(request)).unwrap();
    let Some((None, SubscriptionOutput::SendRequest { request, .. })) = subscriber.poll_output() else {
        panic!("sent")
    };
    assert_eq!(request.headers().first(HeaderName::Cseq), Some("2 SUBSCRIBE"));
}

/// §4.1.2.2: some failures of a refresh end the subscription, others leave it until it expires.
#[test]
fn a_failed_refresh_ends_the_subscription_or_not() {
    for (code, ends) in [(481, true), (489, true), (500, false), (503, false)] {
        let mut watched = Watched::new("600", NotifierState::Active);
        watched.wish(SubscriptionInput::Refresh(None));
        let Some((_, SubscriptionOutput::SendRequest { transaction, request })) = watched.subscriber.poll_output()
        else {
            panic!("sent")
        };
        let response = Response::to(&request, status(code));
        watched.subscriber.handle(watched.now, SubscriberInput::ResponseReceived { transaction, response }).unwrap();
        watched.settle();
        assert_eq!(watched.end().is_some(), ends, "{code}");
        if !ends {
            watched.advance(seconds(601));
            assert!(watched.end().is_some());
        }
    }
}

/// RFC 3261 §20.23: 423 names the least time, and the refresh is tried once more with it.
#[test]
fn a_refresh_that_is_too_brief_is_tried_again_with_min_expires() {
    let mut watched = Watched::new("600", NotifierState::Active);
    watched.log();
    watched.wish(SubscriptionInput::Refresh(Some(seconds(30))));
    watched.settle();
    assert_eq!(
        watched.log(),
        ["alice SUBSCRIBE 30", "bob 423", "alice SUBSCRIBE 60", "bob 200", "bob NOTIFY active;expires=60", "alice 200"]
    );
}

/// RFC 3265 peers: 202, and a NOTIFY without expires.
#[test]
fn a_notify_without_expires_leaves_the_time_of_the_response() {
    let (now, mut subscriber, request) = waiting("600");
    let mut ok = Response::to(&request, status(202));
    ok.headers_mut().set(HeaderName::To, "<sip:bob@example.com>;tag=x").unwrap();
    ok.headers_mut().push(HeaderName::Expires, "200").unwrap();
    subscriber.handle(now, SubscriberInput::ResponseReceived { transaction: ClientKey(0), response: ok }).unwrap();
    let notify = notify_for(&request, "x", "active");
    subscriber.handle(now, SubscriberInput::NotifyReceived { transaction: KEY, request: notify }).unwrap();
    assert_eq!(subscriber.forks().next().unwrap().2.expires_at(), Some(now + seconds(200)));
}

/// … and without a response, too, the subscription ends when the time that was asked for is over.
#[test]
fn a_subscription_whose_time_nobody_said_lasts_as_long_as_was_asked_for() {
    let (now, mut subscriber, request) = waiting("600");
    let notify = notify_for(&request, "x", "active");
    subscriber.handle(now, SubscriberInput::NotifyReceived { transaction: KEY, request: notify }).unwrap();
    assert_eq!(subscriber.forks().next().unwrap().2.expires_at(), Some(now + seconds(600)));
}

// ----- the notifier -----

/// §4.2.1.1: 489 without an Event, 423 for a time that is too short, 400 without Contact.
#[test]
fn a_subscribe_that_can_not_be_accepted_is_refused() {
    let accept = |request: &Request| {
        Notifier::accept(
            Instant::now(),
            KEY,
            request,
            "b1",
            false,
            NotifierPolicy::default(),
            NotifierState::Active,
            None,
        )
        .err()
    };
    let mut no_event = subscribe_request("600");
    no_event.headers_mut().remove(HeaderName::Event);
    assert_eq!(accept(&no_event).unwrap().status(), StatusCode::BAD_EVENT);
    let mut no_contact = subscribe_request("600");
    no_contact.headers_mut().remove(HeaderName::Contact);
    assert_eq!(accept(&no_contact).unwrap().status(), StatusCode::BAD_REQUEST);
    let brief = accept(&subscribe_request("30")).unwrap();
    assert_eq!(brief.status(), StatusCode::INTERVAL_TOO_BRIEF);
    assert_eq!(brief.headers().first(HeaderName::MinExpires), Some("60"));
    assert!(accept(&subscribe_request("86400000")).is_none(), "a long time is shortened");
}

/// §4.4.3: Expires: 0 in an initial SUBSCRIBE asks for the state once.
#[test]
fn a_poll_gets_one_notify() {
    let mut watched = Watched::new("0", NotifierState::Active);
    assert_eq!(watched.log(), ["bob 200", "bob NOTIFY terminated;reason=timeout", "alice 200"]);
    assert!(watched.notifier.is_over());
}

/// §4.2.2: a NOTIFY that fails ends the subscription.
#[test]
fn a_subscriber_that_is_gone_is_forgotten() {
    for input in [
        NotifierInput::RequestFailed(Failure::TimedOut),
        NotifierInput::ResponseReceived(Response::to(&subscribe_request("1"), status(481))),
    ] {
        let mut watched = Watched::new("600", NotifierState::Active);
        watched.notify(NotifierInput::Notify(None));
        watched.notifier.poll_output();
        watched.notify(input);
        assert!(matches!(watched.notifier.poll_output(), Some(NotifierOutput::Event(NotifierEvent::Lost(_)))));
        assert!(watched.notifier.is_over() && watched.notifier.next_timeout().is_none());
    }
}

// ----- whatever comes -----

mod random {
    use proptest::prelude::*;

    use super::*;

    /// (what, which, number)
    fn happenings() -> impl Strategy<Value = Vec<(u8, u8, u32)>> {
        prop::collection::vec((0..8u8, any::<u8>(), 0..1000u32), 0..40)
    }

    fn state_text(which: u8, number: u32) -> String {
        let state = ["active", "pending", "terminated", "eclipse"][usize::from(which % 4)];
        match which / 4 % 3 {
            0 => state.into(),
            1 => format!("{state};expires={number}"),
            _ => format!("{state};reason=probation;retry-after={number}"),
        }
    }

    proptest! {
        /// No panic, and after the time that was granted nothing is left.
        #[test]
        fn a_subscriber_survives_anything(happenings in happenings()) {
            let (mut now, mut subscriber, initial) = waiting("600");
            let mut sent = vec![(ClientKey(0), initial.clone())];
            let mut cseq = 1;
            for (what, which, number) in happenings {
                let fork = ForkKey(u32::from(which % 3));
                let (transaction, request) = sent[usize::from(which) % sent.len()].clone();
                let input = match what {
                    0 | 1 => {
                        cseq += 1;
                        let tag = ["x", "y", "z"][usize::from(which % 3)];
                        let mut notify = notify_for(&initial, tag, &state_text(which, number));
                        notify.headers_mut().set(HeaderName::Cseq, format!("{cseq} NOTIFY")).unwrap();
                        SubscriberInput::NotifyReceived { transaction: KEY, request: notify }
                    }
                    2 => {
                        let codes = [100, 200, 202, 204, 401, 423, 481, 500];
                        let mut response = Response::to(&request, status(codes[usize::from(which % 8)]));
                        if which > 100 {
                            response.headers_mut().set(HeaderName::To, "<sip:bob@example.com>;tag=x").unwrap();
                            response.headers_mut().push(HeaderName::Expires, number).unwrap();
                            response.headers_mut().push(HeaderName::MinExpires, number).unwrap();
                        }
                        SubscriberInput::ResponseReceived { transaction, response }
                    }
                    3 => SubscriberInput::RequestFailed { transaction, failure: Failure::TimedOut },
                    4 => {
                        now += ms(u64::from(number) * 100);
                        SubscriberInput::TimeReached
                    }
                    5 => SubscriberInput::Wish(fork, SubscriptionInput::Refresh(Some(seconds(u64::from(number))))),
                    6 => SubscriberInput::Wish(fork, SubscriptionInput::Unsubscribe),
                    _ => SubscriberInput::Again(initial.clone()),
                };
                // The user's misuse is an answer, too.
                let _ = subscriber.handle(now, input);
                for (_, output) in outputs(&mut subscriber) {
                    if let SubscriptionOutput::SendRequest { transaction, request } = output {
                        sent.push((transaction, request));
                    }
                }
            }
            for _ in 0..200 {
                let Some(at) = subscriber.next_timeout() else { break };
                now = now.max(at);
                subscriber.handle(now, SubscriberInput::TimeReached).unwrap();
                outputs(&mut subscriber);
            }
            for (transaction, _) in sent {
                subscriber.handle(now, SubscriberInput::RequestFailed { transaction, failure: Failure::TimedOut }).unwrap();
            }
            outputs(&mut subscriber);
            prop_assert!(subscriber.is_over(), "{:?}", subscriber);
        }

        #[test]
        fn a_notifier_survives_anything(happenings in happenings()) {
            let mut watched = Watched::new("600", NotifierState::Pending);
            for (what, which, number) in happenings {
                let request = subscribe_request(&number.to_string());
                let codes = [100, 200, 401, 481, 500, 408, 202, 489];
                let input = match what {
                    0 => NotifierInput::SubscribeReceived { transaction: KEY, request },
                    1 | 2 => NotifierInput::ResponseReceived(Response::to(&request, status(codes[usize::from(which % 8)]))),
                    3 => NotifierInput::RequestFailed(Failure::NotSent),
                    4 => {
                        watched.now += seconds(u64::from(number));
                        NotifierInput::TimeReached
                    }
                    5 => NotifierInput::Activate(None),
                    6 => NotifierInput::Notify(None),
                    _ => NotifierInput::Terminate { reason: EndReason::GiveUp, retry_after: None, body: None },
                };
                watched.notify(input);
                while watched.notifier.poll_output().is_some() {}
            }
            for _ in 0..4 {
                if let Some(at) = watched.notifier.next_timeout() {
                    watched.now = watched.now.max(at);
                    watched.notify(NotifierInput::TimeReached);
                }
                watched.notify(NotifierInput::RequestFailed(Failure::TimedOut));
                while watched.notifier.poll_output().is_some() {}
            }
            prop_assert!(watched.notifier.is_over(), "{:?}", watched.notifier);
        }
    }
}
