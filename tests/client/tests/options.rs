//! OPTIONS outside of dialogs (RFC 3261 §11), and requests that nobody waits for (§8.2.1), in virtual time.

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

mod servers;

use client::Data;
use client_world::{Person, Stage};
use servers::{Answer, DOMAIN, Host, member_with, registrar, stage, told};
use sip_dialog::digest::Asker;
use sip_message::{HeaderName, Method, Transport};

fn alone(set_up: impl FnOnce(&Host)) -> (Stage, Host, Person) {
    let stage = stage(1);
    let server = registrar(&stage);
    set_up(&server);
    let alice = member_with(&stage, "alice", |_, account| account.sip.register = false);
    (stage, server, alice)
}

fn asks(alice: &Person, uri: &str) {
    alice.does(|phone, now, endpoint| phone.client.options(now, endpoint, phone.account(), uri, Vec::new())).unwrap();
}

mod asking {
    use super::*;

    #[test]
    fn what_the_other_side_can_do_is_told() {
        let (stage, server, alice) = alone(|server| {
            let fields = [
                (HeaderName::Allow, "INVITE, ACK"),
                (HeaderName::Allow, "MESSAGE"),
                (HeaderName::Accept, "application/sdp"),
                (HeaderName::Supported, "timer"),
                (HeaderName::Server, "pbx/1"),
                (HeaderName::Date, "Sat, 21 Nov 2026 10:00:00 GMT"),
            ];
            server.always(Answer::With(200, fields.map(|(name, value)| (name, value.to_owned())).to_vec()));
        });
        asks(&alice, "bob");
        stage.a_moment();
        let data = alice.sees(|phone| phone.notifications().last().map(|told| told.data.clone()));
        let Some(Data::AccountGotOptionsResponse { code, fields, .. }) = data else { panic!("{data:?}") };
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(code.code(), 200);
        assert_eq!(
            fields,
            ["Allow: INVITE, ACK, MESSAGE", "Accept: application/sdp", "Supported: timer", "Server: pbx/1"]
        );
        let asked = server.last();
        assert!(
            asked.request.headers().contains(HeaderName::Contact)
                && asked.first(HeaderName::Accept) == "application/sdp"
        );
        stage.ends();
    }

    #[test]
    fn a_refusal_is_an_answer_and_silence_is_408() {
        let (stage, server, alice) = alone(|server| server.answers([Answer::status(486)]));
        asks(&alice, "bob");
        stage.a_moment();
        stage.world_mut().set_down(server.node, true);
        asks(&alice, "bob");
        stage.seconds(40);
        assert_eq!(told(&alice), ["GotOptionsResponse 486 Busy Here", "GotOptionsResponse 408 Request Timeout"]);
        stage.ends();
    }

    #[test]
    fn a_challenge_is_answered() {
        let (stage, server, alice) = alone(|server| server.asks(Asker::Proxy, DOMAIN, &[Method::Options]));
        asks(&alice, "bob");
        stage.a_moment();
        assert_eq!((told(&alice), server.seen().len()), (vec!["GotOptionsResponse 200 OK".to_owned()], 2));
        stage.ends();
    }
}

mod being_asked {
    use super::*;

    fn reached() -> (Stage, Host, Person, String) {
        let (stage, server, alice) = alone(|_| {});
        let address = stage.world().address(alice.node(), Transport::Udp).unwrap();
        (stage, server, alice, address.to_string())
    }

    #[track_caller]
    fn answer(
        stage: &Stage,
        server: &Host,
        method: &str,
        uri: &str,
        fields: &[(HeaderName, &str)],
    ) -> sip_message::Response {
        let mut request = server.request(method, uri);
        for (name, value) in fields {
            request.headers_mut().set(*name, value).unwrap();
        }
        server.sends(request, None);
        stage.a_moment();
        server.answered()
    }

    /// RFC 3261 §11.2: "Allow, Accept, Accept-Encoding, Accept-Language, and Supported header fields SHOULD be present".
    #[test]
    fn whoever_asks_an_account_or_the_host_is_told_what_we_can_do() {
        let (stage, server, _, address) = reached();
        for uri in [format!("sip:alice@{address}"), format!("sip:{address}")] {
            let answer = answer(&stage, &server, "OPTIONS", &uri, &[]);
            let headers = answer.headers();
            assert_eq!(answer.status().code(), 200);
            for method in
                ["INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "MESSAGE", "REFER", "NOTIFY", "INFO", "UPDATE", "PRACK"]
            {
                assert!(headers.has_token(HeaderName::Allow, method), "{method}");
            }
            assert!(headers.has_token(HeaderName::Accept, "application/sdp"));
            assert!(headers.has_token(HeaderName::Supported, "replaces"));
            assert!(headers.contains(HeaderName::AcceptEncoding) && headers.contains(HeaderName::AllowEvents));
        }
        stage.ends();
    }

    #[test]
    fn whoever_asks_for_somebody_else_is_answered_404() {
        let (stage, server, _, address) = reached();
        assert_eq!(answer(&stage, &server, "OPTIONS", &format!("sip:carol@{address}"), &[]).status().code(), 404);
        stage.ends();
    }

    /// RFC 3261 §8.2.1, RFC 6665 §4.2.1.1.
    #[test]
    fn methods_that_have_no_business_here_are_answered_as_their_rfcs_say() {
        let (stage, server, _, address) = reached();
        let uri = format!("sip:alice@{address}");
        let code = |method: &str, fields: &[(HeaderName, &str)]| {
            let answer = answer(&stage, &server, method, &uri, fields);
            (answer.status().code(), answer.headers().contains(HeaderName::Allow))
        };
        assert_eq!(code("REGISTER", &[]), (405, true));
        assert_eq!(code("PUBLISH", &[(HeaderName::Event, "presence")]), (405, true));
        assert_eq!(code("TELEPORT", &[]), (501, true));
        assert_eq!(code("SUBSCRIBE", &[(HeaderName::Event, "presence")]), (489, false));
        let state = (HeaderName::SubscriptionState, "active");
        assert_eq!(code("NOTIFY", &[(HeaderName::Event, "presence"), state]), (481, false));
        for method in ["BYE", "INFO", "UPDATE", "PRACK"] {
            assert_eq!(code(method, &[]), (481, false), "{method}");
        }
        let tagged = format!("<{uri}>;tag=unknown");
        for method in ["BYE", "OPTIONS", "INFO", "SUBSCRIBE", "REFER", "INVITE"] {
            let fields = [
                (HeaderName::To, &*tagged),
                (HeaderName::Event, "presence"),
                (HeaderName::Contact, "<sip:bob@biloxi.example>"),
                (HeaderName::ReferTo, "<sip:carol@c.example>"),
            ];
            assert_eq!(code(method, &fields).0, 481, "{method} in a dialog that is none");
        }
        stage.ends();
    }

    #[test]
    fn an_account_that_is_not_used_is_not_there() {
        let (stage, server, alice, address) = reached();
        alice
            .does(|phone, now, endpoint| {
                phone.client.set_account_enabled(now, endpoint, client::account::AccountId::BONJOUR, false)?;
                phone.client.set_account_enabled(now, endpoint, phone.account(), false)
            })
            .unwrap();
        assert_eq!(answer(&stage, &server, "OPTIONS", &format!("sip:alice@{address}"), &[]).status().code(), 404);
        stage.ends();
    }
}
