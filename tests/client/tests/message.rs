//! MESSAGE outside of dialogs, both ways: RFC 3428, in virtual time.

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

mod servers;

use std::sync::Arc;

use bytes::Bytes;
use client::session::Route;
use client::{ClientError, Data};
use client_world::{Person, Stage};
use servers::{Answer, DOMAIN, Host, PASSWORD, host, member, member_with, millis, registrar, stage, told};
use sip_dialog::digest::Asker;
use sip_message::{HeaderName, Method, Transport};
use testkit::Link;

const MESSAGE: Method = Method::Message;

fn sends(person: &Person, to: &str, text: &str) -> Result<Arc<str>, ClientError> {
    sends_by(person, to, text, Vec::new())
}

fn sends_by(person: &Person, to: &str, text: &str, routes: Vec<Route>) -> Result<Arc<str>, ClientError> {
    let content = Bytes::from(text.to_owned());
    person.does(|phone, now, endpoint| {
        let account = phone.account();
        phone.client.send_account_message(now, endpoint, account, to, "text/plain", content, routes)
    })
}

/// A server for everybody, and alice, whose account does not register.
fn alone(set_up: impl FnOnce(&Host)) -> (Stage, Host, Person) {
    let stage = stage(1);
    let server = registrar(&stage);
    set_up(&server);
    let alice = member_with(&stage, "alice", |_, account| account.sip.register = false);
    (stage, server, alice)
}

mod s4_sending {
    use super::*;

    #[test]
    fn a_message_that_is_accepted_is_delivered() {
        let (stage, server, alice) = alone(|_| {});
        let id = sends(&alice, "bob", "Grüße").unwrap();
        stage.a_moment();
        assert_eq!(told(&alice), ["DidDeliverMessage 200"]);
        let seen = server.last();
        assert_eq!((seen.request.method(), seen.request.uri_text()), (&MESSAGE, "sip:bob@example.test"));
        assert_eq!(seen.first(HeaderName::ContentType), "text/plain");
        assert_eq!(&seen.request.body()[..], "Grüße".as_bytes());
        // RFC 3428 §4: no Contact in a MESSAGE.
        assert!(!seen.request.headers().contains(HeaderName::Contact));
        let delivered = alice.sees(|phone| phone.notifications().last().map(|told| told.data.clone()));
        assert!(matches!(delivered, Some(Data::AccountDidDeliverMessage { message_id, .. }) if message_id == id));
        stage.ends();
    }

    #[test]
    fn a_message_that_is_kept_for_later_is_delivered_with_202() {
        let (stage, _, alice) = alone(|server| server.always(Answer::status(202)));
        sends(&alice, "bob", "Hi").unwrap();
        stage.a_moment();
        assert_eq!(told(&alice), ["DidDeliverMessage 202"]);
        stage.ends();
    }

    #[test]
    fn a_message_that_is_refused_is_not_delivered() {
        let (stage, _, alice) = alone(|server| server.always(Answer::status(404)));
        sends(&alice, "bob", "Hi").unwrap();
        stage.a_moment();
        assert_eq!(told(&alice), ["DidNotDeliverMessage 404 Not Found"]);
        stage.ends();
    }

    #[test]
    fn a_message_that_nobody_answers_is_not_delivered_after_32_seconds() {
        let (stage, server, alice) = alone(|_| {});
        stage.world_mut().set_down(server.node, true);
        sends(&alice, "bob", "Hi").unwrap();
        stage.seconds(31);
        assert_eq!(told(&alice).len(), 0);
        stage.seconds(2);
        assert_eq!(told(&alice), ["DidNotDeliverMessage 408 Request Timeout"]);
        stage.ends();
    }

    #[test]
    fn a_message_to_a_domain_that_is_not_there_is_not_delivered() {
        let (stage, _, alice) = alone(|_| {});
        sends(&alice, "bob@nowhere.test", "Hi").unwrap();
        stage.a_moment();
        assert_eq!(told(&alice), ["DidNotDeliverMessage 502 Bad Gateway"]);
        stage.ends();
    }

    /// Exactly one outcome for each, whatever is lost.
    #[test]
    fn every_message_has_one_outcome_over_a_network_that_loses_and_repeats() {
        let (stage, server, alice) = alone(|server| server.asks(Asker::Proxy, DOMAIN, &[MESSAGE]));
        stage.links(Link::PERFECT.with_loss(0.3).with_duplication(0.2).with_jitter(millis(500)));
        let ids: Vec<Arc<str>> = (0..50).map(|n| sends(&alice, "bob", &n.to_string()).unwrap()).collect();
        stage.seconds(120);
        let outcomes = alice.sees(|phone| {
            let id = |data: &Data| match data {
                Data::AccountDidDeliverMessage { message_id, .. }
                | Data::AccountDidNotDeliverMessage { message_id, .. } => Some(message_id.clone()),
                _ => None,
            };
            phone.notifications().iter().filter_map(|told| id(&told.data)).collect::<Vec<_>>()
        });
        let (mut sorted, mut sent) = (outcomes.clone(), ids);
        sorted.sort();
        sent.sort();
        assert_eq!(sorted, sent);
        let delivered = told(&alice).iter().filter(|line| line.starts_with("DidDeliver")).count();
        assert!(delivered >= 40, "{delivered} of 50");
        assert!(server.seen().len() >= 50);
        stage.ends();
    }

    /// §8: what is longer than 1,300 octets goes over a transport with congestion control.
    #[test]
    fn a_long_message_goes_over_tcp() {
        let (stage, server, alice) = alone(|_| {});
        sends(&alice, "bob", &"x".repeat(1_400)).unwrap();
        stage.a_moment();
        assert_eq!(told(&alice), ["DidDeliverMessage 200"]);
        assert_eq!(server.last().flow.transport, Transport::Tcp);
        stage.ends();
    }

    #[test]
    fn what_can_not_be_sent_is_refused_and_nothing_is_told() {
        let (stage, server, alice) = alone(|_| {});
        let too_long = sends(&alice, "bob", &"x".repeat(70_000));
        assert!(matches!(too_long, Err(ClientError::InvalidMessage(_))), "{too_long:?}");
        assert_eq!(sends(&alice, "http://bob", "Hi"), Err(ClientError::InvalidUri("http://bob".into())));
        let bad_type = alice.does(|phone, now, endpoint| {
            let (account, content) = (phone.account(), Bytes::from_static(b"x"));
            let broken = "text/plain\r\nVia: x";
            phone.client.send_account_message(now, endpoint, account, "bob", broken, content, Vec::new())
        });
        assert!(matches!(bad_type, Err(ClientError::InvalidMessage(_))), "{bad_type:?}");
        stage.seconds(60);
        assert_eq!((told(&alice).len(), server.seen().len()), (0, 0));
        stage.ends();
    }

    #[test]
    fn routes_are_tried_in_their_order_until_one_answers() {
        let (stage, server, alice) = alone(|_| {});
        let (gone, busy) = (host(&stage, "gone"), host(&stage, "busy"));
        stage.world_mut().set_down(gone.node, true);
        busy.always(Answer::status(503));
        let route =
            |host: &Host| Route { addr: host.address(Transport::Udp), transport: Transport::Udp, tls_name: None };
        sends_by(&alice, "bob", "Hi", vec![route(&gone), route(&busy), route(&server)]).unwrap();
        stage.passes(millis(6_500));
        assert_eq!(told(&alice), ["DidDeliverMessage 200"]);
        assert_eq!((busy.seen().len(), server.seen().len()), (1, 1));
        stage.ends();
    }
}

mod s22_credentials {
    use super::*;

    #[test]
    fn a_proxy_that_asks_gets_credentials_once() {
        let (stage, server, alice) = alone(|server| server.asks(Asker::Proxy, DOMAIN, &[MESSAGE]));
        sends(&alice, "bob", "Hi").unwrap();
        stage.a_moment();
        assert_eq!(told(&alice), ["DidDeliverMessage 200"]);
        let seen = server.seen();
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[0].first(HeaderName::CallId), seen[1].first(HeaderName::CallId));
        assert_eq!((seen[0].cseq(), seen[1].cseq()), (1, 2));
        // The next one brings them along.
        sends(&alice, "bob", "Hi again").unwrap();
        stage.a_moment();
        assert_eq!(server.seen().len(), 3);
        stage.ends();
    }

    #[test]
    fn a_wrong_password_is_tried_once_and_the_message_is_not_delivered() {
        let stage = stage(1);
        let server = registrar(&stage);
        server.asks(Asker::Proxy, DOMAIN, &[MESSAGE]);
        let alice = member_with(&stage, "alice", |_, account| {
            account.sip.register = false;
            account.auth.password = "wrong".into();
        });
        sends(&alice, "bob", "Hi").unwrap();
        stage.a_moment();
        assert_eq!(told(&alice), ["DidNotDeliverMessage 407 Authentication failed"]);
        assert_eq!(server.seen().len(), 2);
        stage.ends();
    }

    /// The realm that the registrar has named is ours, whatever it is called.
    #[test]
    fn the_registrars_realm_is_answered_wherever_our_proxy_asks() {
        let stage = stage(1);
        let server = registrar(&stage);
        server.asks(Asker::Server, "asterisk", &[Method::Register, MESSAGE]);
        let alice = member(&stage, "alice");
        stage.a_moment();
        sends(&alice, "bob", "Hi").unwrap();
        stage.a_moment();
        assert_eq!(told(&alice), ["RegistrationDidSucceed 600", "DidDeliverMessage 200"]);
        stage.world_mut().drain(alice.node());
        stage.ends();
    }

    /// Nobody but our own server gets a digest, whatever realm it claims to be.
    #[test]
    fn a_stranger_who_asks_in_our_realm_gets_nothing() {
        let stage = stage(1);
        let server = registrar(&stage);
        server.asks(Asker::Server, DOMAIN, &[Method::Register]);
        let mallory = host(&stage, "mallory");
        mallory.asks(Asker::Server, DOMAIN, &[MESSAGE]);
        let alice = member_with(&stage, "alice", |_, account| account.sip.always_use_my_proxy = false);
        stage.a_moment();
        sends(&alice, "mallory@mallory", "Hi").unwrap();
        stage.a_moment();
        assert_eq!(mallory.seen().len(), 1);
        assert!(!mallory.last().request.headers().contains(HeaderName::Authorization));
        assert!(told(&alice)[1].starts_with("DidNotDeliverMessage 401 Unauthorized"), "{:?}", told(&alice));
        stage.world_mut().drain(alice.node());
        stage.ends();
    }

    #[test]
    fn our_proxy_gets_nothing_for_a_realm_that_is_not_ours() {
        let (stage, server, alice) = alone(|server| server.asks(Asker::Server, "evil.example", &[MESSAGE]));
        sends(&alice, "bob", "Hi").unwrap();
        stage.a_moment();
        assert_eq!(server.seen().len(), 1);
        let told = told(&alice);
        assert!(told[0].contains("no account for realm evil.example"), "{told:?}");
        stage.ends();
    }

    #[test]
    fn the_password_is_nowhere_to_be_seen() {
        let (stage, server, alice) = alone(|server| server.asks(Asker::Proxy, DOMAIN, &[MESSAGE]));
        sends(&alice, "bob", "Hi").unwrap();
        stage.a_moment();
        let account = alice.sees(|phone| format!("{:?}", phone.client.account(phone.account())));
        assert!(!account.contains(PASSWORD), "{account}");
        assert!(server.seen().iter().all(|seen| !format!("{:?}", seen.request).contains(PASSWORD)));
        stage.ends();
    }
}

mod s7_receiving {
    use super::*;

    fn written(server: &Host, uri: &str, content_type: Option<&str>, body: &[u8]) -> sip_message::Request {
        let mut request = server.request("MESSAGE", uri);
        if let Some(content_type) = content_type {
            request.set_body(content_type, body.to_vec()).unwrap();
        }
        request
    }

    /// Alice's phone at its node, with the address that reaches it.
    fn reached() -> (Stage, Host, Person, String) {
        let (stage, server, alice) = alone(|_| {});
        let address = stage.world().address(alice.node(), Transport::Udp).unwrap();
        (stage, server, alice, format!("sip:alice@{address}"))
    }

    #[test]
    fn a_message_for_an_account_is_told_and_answered_200() {
        let (stage, server, alice, uri) = reached();
        server.sends(written(&server, &uri, Some("text/plain"), "Grüße".as_bytes()), None);
        stage.a_moment();
        assert_eq!(server.answered().status().code(), 200);
        assert_eq!(told(&alice), ["GotMessage sip:bob@biloxi.example text/plain Grüße"]);
        stage.ends();
    }

    #[test]
    fn a_message_for_nobody_here_is_answered_404_and_for_another_scheme_416() {
        let (stage, server, alice, uri) = reached();
        server.sends(written(&server, &uri.replace("alice", "carol"), Some("text/plain"), b"Hi"), None);
        stage.a_moment();
        assert_eq!(server.answered().status().code(), 404);
        let mut request = written(&server, &uri, Some("text/plain"), b"Hi");
        request.headers_mut().push(HeaderName::Route, format!("<{uri};lr>")).unwrap();
        request.set_uri(&sip_message::UriBuf::parse("tel:+4930").unwrap());
        server.sends(request, None);
        stage.a_moment();
        assert_eq!(server.answered().status().code(), 416);
        assert_eq!(told(&alice).len(), 0);
        stage.ends();
    }

    #[test]
    fn content_that_is_not_taken_is_answered_415_with_what_is() {
        let (stage, server, alice, uri) = reached();
        server.sends(written(&server, &uri, Some("image/png"), b"x"), None);
        stage.a_moment();
        let answer = server.answered();
        assert_eq!(answer.status().code(), 415);
        assert!(answer.headers().has_token(HeaderName::Accept, "text/plain"));
        server.sends(written(&server, &uri, Some("text/plain"), b"\xff\xfe"), None);
        stage.a_moment();
        assert_eq!(server.answered().status().code(), 400);
        assert_eq!(told(&alice).len(), 0);
        stage.ends();
    }

    /// RFC 3261 §8.2.2.3.
    #[test]
    fn an_extension_that_we_do_not_have_is_answered_420() {
        let (stage, server, _, uri) = reached();
        let mut request = written(&server, &uri, Some("text/plain"), b"x");
        request.headers_mut().push(HeaderName::Require, "path, teleport").unwrap();
        server.sends(request, None);
        stage.a_moment();
        let answer = server.answered();
        assert_eq!(answer.status().code(), 420);
        assert_eq!(answer.headers().first(HeaderName::Unsupported), Some("teleport"));
        stage.ends();
    }

    /// RFC 3261 §8.2.2.2.
    #[test]
    fn a_message_that_was_forked_on_its_way_is_told_once() {
        let (stage, server, alice, uri) = reached();
        let request = written(&server, &uri, Some("text/plain"), b"Hi");
        server.sends(request.clone(), None);
        server.sends(request, None);
        stage.a_moment();
        let mut answers = [server.answered().status().code(), server.answered().status().code()];
        answers.sort_unstable();
        assert_eq!(answers, [200, 482]);
        assert_eq!(told(&alice).len(), 1);
        stage.ends();
    }

    #[test]
    fn a_message_that_is_repeated_by_its_transaction_is_told_once() {
        let (stage, server, alice, uri) = reached();
        stage.loses(alice.node(), server.node, 2);
        server.sends(written(&server, &uri, Some("text/plain"), b"Hi"), None);
        stage.seconds(10);
        assert_eq!(server.answered().status().code(), 200);
        assert_eq!(told(&alice).len(), 1);
        stage.ends();
    }

    /// A MESSAGE in a dialog that is none of ours.
    #[test]
    fn a_message_in_an_unknown_dialog_is_answered_481() {
        let (stage, server, alice, uri) = reached();
        let mut request = written(&server, &uri, Some("text/plain"), b"Hi");
        request.headers_mut().set(HeaderName::To, format!("<{uri}>;tag=unknown")).unwrap();
        server.sends(request, None);
        stage.a_moment();
        assert_eq!(server.answered().status().code(), 481);
        assert_eq!(told(&alice).len(), 0);
        stage.ends();
    }
}
