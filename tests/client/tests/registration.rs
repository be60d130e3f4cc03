//! Registration: RFC 3261 §10.2, §22.2, RFC 3263 §4.3, RFC 3581, RFC 5626, RFC 5627, RFC 3608, in virtual time.

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

mod servers;

use std::time::Duration;

use client::Data;
use client_world::{Person, Stage};
use servers::{
    Answer, DOMAIN, Host, INSTANCE, home, is_told, member, member_with, millis, registrar, secs, stage, told, waits,
};
use sip_dialog::digest::{Algorithm, Asker, AuthenticatorSettings};
use sip_message::{HeaderName, Method, Transport, UriBuf};
use testkit::Link;

const REGISTER: Method = Method::Register;

/// A registrar by hand and alice, who has registered.
fn registered(set_up: impl FnOnce(&Host)) -> (Stage, Host, Person) {
    let stage = stage(1);
    let server = registrar(&stage);
    set_up(&server);
    let alice = member(&stage, "alice");
    stage.a_moment();
    (stage, server, alice)
}

/// Takes the registration back, and sees that nothing is left of it.
#[track_caller]
fn ends(stage: &Stage, alice: &Person) {
    stage.world_mut().drain(alice.node());
    stage.ends();
}

fn unregisters(alice: &Person) {
    alice.does(|phone, now, endpoint| phone.client.unregister(now, endpoint, phone.account())).unwrap();
}

fn registers(alice: &Person) {
    alice.does(|phone, now, endpoint| phone.client.register(now, endpoint, phone.account())).unwrap();
}

fn at(server: &Host) -> Vec<u64> {
    server.seen().iter().map(|seen| seen.at.as_secs()).collect()
}

#[track_caller]
fn lies_between(what: Duration, least: u64, most: u64) {
    assert!(what >= secs(least) && what <= secs(most), "{what:?} is not between {least} and {most} seconds");
}

mod s10_2_registering {
    use super::*;

    /// RFC 3261 §10.2: "The 'userinfo' and '@' components of the SIP URI MUST NOT be present" in the Request-URI; To and
    /// From are the address-of-record.
    #[test]
    fn an_account_registers_its_contact_for_its_address_at_its_domain() {
        let (stage, server, alice) = registered(|_| {});
        is_told(&stage, &alice, &["RegistrationDidSucceed 600"]);
        let seen = server.last();
        assert_eq!((seen.request.method(), seen.request.uri_text()), (&REGISTER, "sip:example.test"));
        assert!(seen.first(HeaderName::From).starts_with("<sip:alice@example.test>;tag="));
        assert_eq!(seen.first(HeaderName::To), "<sip:alice@example.test>");
        let user = alice.sees(|phone| phone.client.account(phone.account()).unwrap().contact_user().to_owned());
        let address = stage.world().address(alice.node(), Transport::Udp).unwrap();
        let contact = format!("<sip:{user}@{address}>;+sip.instance=\"<{INSTANCE}>\";expires=600");
        assert_eq!(seen.all(HeaderName::Contact), [contact]);
        assert_eq!(seen.all(HeaderName::Supported), ["path", "gruu"]);
        assert!(seen.first(HeaderName::UserAgent).starts_with("Cordboard/"));
        ends(&stage, &alice);
    }

    /// RFC 3261 §10.2.4: same Call-ID, CSeq one higher, before the binding runs out.
    #[test]
    fn a_binding_is_refreshed_before_it_runs_out() {
        let (stage, server, alice) = registered(|_| {});
        stage.seconds(1_200);
        assert_eq!(at(&server), [0, 540, 1_080]);
        let seen = server.seen();
        assert_eq!(seen.iter().map(servers::Seen::cseq).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(seen[0].first(HeaderName::CallId), seen[2].first(HeaderName::CallId));
        is_told(&stage, &alice, &["RegistrationDidSucceed 600"; 3]);
        ends(&stage, &alice);
    }

    /// RFC 3261 §10.2.4: the registrar says how long.
    #[test]
    fn a_shorter_binding_than_was_asked_for_is_refreshed_sooner() {
        let (stage, server, alice) = registered(|server| server.grants(60));
        stage.seconds(119);
        assert_eq!(at(&server), [0, 54, 108]);
        is_told(&stage, &alice, &["RegistrationDidSucceed 60"; 3]);
        ends(&stage, &alice);
    }

    #[test]
    fn a_day_of_refreshes_leaves_one_binding_and_nothing_else() {
        let (stage, server, alice) = registered(|_| {});
        stage.seconds(24 * 3_600);
        assert_eq!(server.seen().len(), 160);
        let load = stage.world().endpoint(alice.node()).load();
        assert_eq!((load.clients, load.servers, load.timers), (0, 0, 1));
        ends(&stage, &alice);
    }

    /// RFC 3261 §10.2.2: "Expires" of zero.
    #[test]
    fn unregistering_takes_the_binding_back_and_ends_the_registration() {
        let (stage, server, alice) = registered(|_| {});
        unregisters(&alice);
        stage.a_moment();
        is_told(&stage, &alice, &["RegistrationDidSucceed 600", "RegistrationDidEnd"]);
        let seen = server.last();
        assert!(seen.first(HeaderName::Contact).ends_with(";expires=0"));
        assert_eq!(seen.first(HeaderName::Expires), "0");
        stage.seconds(3_600);
        assert_eq!(server.seen().len(), 2);
        stage.ends();
    }

    #[test]
    fn unregistering_from_a_registrar_that_is_gone_ends_after_five_seconds() {
        let (stage, server, alice) = registered(|_| {});
        server.always(Answer::Silence);
        unregisters(&alice);
        stage.passes(millis(4_900));
        is_told(&stage, &alice, &["RegistrationDidSucceed 600"]);
        stage.passes(millis(200));
        is_told(&stage, &alice, &["RegistrationDidSucceed 600", "RegistrationDidEnd"]);
        stage.ends();
    }

    /// RFC 3261 §10.2: "UAs MUST NOT send a new registration … until they have received a final response … for the previous
    /// one".
    #[test]
    fn unregistering_while_the_first_register_is_on_its_way_waits_for_its_answer() {
        let stage = stage(1);
        let server = registrar(&stage);
        let alice = member(&stage, "alice");
        unregisters(&alice);
        stage.a_moment();
        is_told(&stage, &alice, &["RegistrationDidEnd"]);
        let expires: Vec<String> =
            server.seen().iter().map(|seen| seen.first(HeaderName::Expires).to_owned()).collect();
        assert_eq!(expires, ["600", "0"]);
        stage.ends();
    }

    #[test]
    fn an_account_that_has_unregistered_can_register_again() {
        let (stage, server, alice) = registered(|_| {});
        unregisters(&alice);
        registers(&alice);
        stage.a_moment();
        let expected = ["RegistrationDidSucceed 600", "RegistrationDidEnd", "RegistrationDidSucceed 600"];
        is_told(&stage, &alice, &expected);
        assert_eq!(server.seen().len(), 3);
        ends(&stage, &alice);
    }

    #[test]
    fn asking_to_register_again_refreshes_at_once() {
        let (stage, server, alice) = registered(|_| {});
        stage.seconds(100);
        registers(&alice);
        stage.seconds(541);
        assert_eq!(at(&server), [0, 100, 640]);
        ends(&stage, &alice);
    }

    /// RFC 3261 §17.1.2: what is lost is repeated.
    #[test]
    fn an_account_registers_over_a_network_that_loses_every_third_message() {
        for seed in 0..20 {
            let stage = stage(seed);
            stage.links(Link::PERFECT.with_loss(0.33).with_duplication(0.1).with_jitter(millis(200)));
            let server = registrar(&stage);
            server.asks(Asker::Server, DOMAIN, &[REGISTER]);
            let alice = member(&stage, "alice");
            stage.seconds(120);
            let last = told(&alice).pop();
            assert_eq!(last.as_deref(), Some("RegistrationDidSucceed 600"), "seed {seed}");
            ends(&stage, &alice);
        }
    }
}

mod s22_2_credentials {
    use super::*;

    /// RFC 8760 §2.4.
    #[test]
    fn a_challenge_is_answered_with_the_strongest_algorithm_and_is_not_needed_again() {
        let (stage, server, alice) = registered(|server| server.asks(Asker::Server, DOMAIN, &[REGISTER]));
        is_told(&stage, &alice, &["RegistrationDidSucceed 600"]);
        let seen = server.seen();
        assert_eq!(seen.len(), 2);
        assert_eq!((seen[0].cseq(), seen[1].cseq()), (1, 2));
        assert!(seen[1].first(HeaderName::Authorization).contains("algorithm=SHA-512-256"));
        // The nonce of a while ago serves the next REGISTER, too, if it is still fresh.
        registers(&alice);
        stage.a_moment();
        assert_eq!(server.seen().len(), 3);
        assert!(server.last().first(HeaderName::Authorization).contains("nc=00000002"));
        ends(&stage, &alice);
    }

    #[test]
    fn a_server_that_knows_md5_alone_is_answered_with_md5() {
        let (stage, server, alice) = registered(|server| {
            let settings = AuthenticatorSettings::new(Asker::Proxy, DOMAIN, [1; 32]);
            server.asks_with(&[REGISTER], AuthenticatorSettings { algorithms: vec![Algorithm::MD5], ..settings });
        });
        is_told(&stage, &alice, &["RegistrationDidSucceed 600"]);
        assert!(server.last().first(HeaderName::ProxyAuthorization).contains("algorithm=MD5"));
        ends(&stage, &alice);
    }

    /// RFC 7616 §3.3: `stale`.
    #[test]
    fn a_stale_nonce_costs_another_round_and_no_failure() {
        let (stage, server, alice) = registered(|server| {
            let settings = AuthenticatorSettings::new(Asker::Server, DOMAIN, [1; 32]);
            server.asks_with(&[REGISTER], AuthenticatorSettings { nonce_lifetime: secs(300), ..settings });
        });
        stage.seconds(600);
        is_told(&stage, &alice, &["RegistrationDidSucceed 600"; 2]);
        // A challenge at first; then credentials that are stale, and those that are not.
        assert_eq!(server.seen().len(), 4);
        ends(&stage, &alice);
    }

    /// One try for each nonce: a wrong password is not tried again and again.
    #[test]
    fn a_wrong_password_fails_after_two_requests_and_is_tried_again_after_a_minute_or_two() {
        let stage = stage(1);
        let server = registrar(&stage);
        server.asks(Asker::Server, DOMAIN, &[REGISTER]);
        let alice = member_with(&stage, "alice", |_, account| account.auth.password = "wrong".into());
        stage.a_moment();
        is_told(&stage, &alice, &["RegistrationDidFail 401 Authentication failed"]);
        assert_eq!(server.seen().len(), 2);
        lies_between(waits(&alice)[0], 60, 120);
        stage.seconds(300);
        let tries = server.seen().len() / 2;
        assert!((3..=6).contains(&tries), "{tries} tries in five minutes");
        ends(&stage, &alice);
    }

    #[test]
    fn an_account_without_a_password_fails_without_credentials() {
        let stage = stage(1);
        let server = registrar(&stage);
        server.asks(Asker::Server, DOMAIN, &[REGISTER]);
        let alice = member_with(&stage, "alice", |_, account| account.auth.password.clear());
        stage.a_moment();
        assert_eq!(server.seen().len(), 1);
        let told = told(&alice);
        assert!(told[0].starts_with("RegistrationDidFail 401 Unauthorized (no account for realm"), "{told:?}");
        ends(&stage, &alice);
    }

    #[test]
    fn a_realm_that_is_not_the_one_that_is_set_gets_no_credentials() {
        let stage = stage(1);
        let server = registrar(&stage);
        server.asks(Asker::Server, "elsewhere", &[REGISTER]);
        let alice = member_with(&stage, "alice", |_, account| account.auth.realm = Some(DOMAIN.into()));
        stage.a_moment();
        let seen = server.seen();
        assert!(seen.iter().all(|seen| !seen.request.headers().contains(HeaderName::Authorization)));
        assert!(told(&alice)[0].contains("no account for realm elsewhere"));
        ends(&stage, &alice);
    }

    /// A server that asks with one nonce after the other is not followed for ever.
    #[test]
    fn endless_challenges_end_in_a_failure() {
        let stage = stage(1);
        let server = registrar(&stage);
        let challenge = |number: u32| {
            let value = format!("Digest realm=\"{DOMAIN}\", nonce=\"{number}\", stale=true, qop=\"auth\"");
            Answer::with(401, HeaderName::WwwAuthenticate, &value)
        };
        server.answers((0..100).map(challenge));
        let alice = member(&stage, "alice");
        stage.seconds(10);
        assert!(server.seen().len() <= 8, "{} requests", server.seen().len());
        assert!(told(&alice)[0].starts_with("RegistrationDidFail 401"), "{:?}", told(&alice));
        ends(&stage, &alice);
    }

    #[test]
    fn unregistering_is_authenticated_too() {
        let (stage, server, alice) = registered(|server| server.asks(Asker::Server, DOMAIN, &[REGISTER]));
        stage.seconds(400);
        unregisters(&alice);
        stage.a_moment();
        is_told(&stage, &alice, &["RegistrationDidSucceed 600", "RegistrationDidEnd"]);
        assert_eq!(server.last().first(HeaderName::Expires), "0");
        assert!(server.last().request.headers().contains(HeaderName::Authorization));
        stage.ends();
    }
}

mod failures {
    use super::*;

    /// RFC 3261 §10.2.8.
    #[test]
    fn an_interval_that_is_too_brief_is_enlarged_once() {
        let (stage, server, alice) =
            registered(|server| server.answers([Answer::with(423, HeaderName::MinExpires, "1800")]));
        is_told(&stage, &alice, &["RegistrationDidSucceed 1800"]);
        assert_eq!(server.last().first(HeaderName::Expires), "1800");
        stage.seconds(1_750);
        assert_eq!(at(&server), [0, 0, 1_740]);
        ends(&stage, &alice);
    }

    #[test]
    fn an_interval_that_can_not_be_met_fails_for_a_minute_or_two() {
        let (stage, _, alice) = registered(|server| {
            let brief = |least: &str| Answer::with(423, HeaderName::MinExpires, least);
            server.answers([brief("1800"), brief("3600")]);
        });
        is_told(&stage, &alice, &["RegistrationDidFail 423 Interval Too Brief"]);
        lies_between(waits(&alice)[0], 60, 120);
        ends(&stage, &alice);
    }

    #[test]
    fn other_final_responses_are_tried_again_after_15_to_40_seconds() {
        for (seed, code) in [(1, 403), (2, 404), (3, 500), (4, 606), (5, 420), (6, 302)] {
            let stage = stage(seed);
            let server = registrar(&stage);
            server.answers([Answer::status(code)]);
            let alice = member(&stage, "alice");
            stage.a_moment();
            assert!(told(&alice)[0].starts_with(&format!("RegistrationDidFail {code} ")), "{:?}", told(&alice));
            lies_between(waits(&alice)[0], 15, 40);
            stage.seconds(40);
            assert_eq!(told(&alice)[1..], ["RegistrationDidSucceed 600"], "{code}");
            ends(&stage, &alice);
        }
    }

    /// RFC 3261 §20.33.
    #[test]
    fn a_server_that_says_when_is_not_asked_before() {
        let (stage, server, alice) =
            registered(|server| server.answers([Answer::with(503, HeaderName::RetryAfter, "100")]));
        stage.seconds(200);
        assert_eq!(at(&server), [0, 100]);
        is_told(&stage, &alice, &["RegistrationDidFail 503 Service Unavailable", "RegistrationDidSucceed 600"]);
        ends(&stage, &alice);
    }

    #[test]
    fn a_registrar_that_makes_no_binding_has_failed() {
        let (stage, _, alice) = registered(|server| {
            server.answers([Answer::with(200, HeaderName::Expires, "0")]);
        });
        is_told(&stage, &alice, &["RegistrationDidFail 200 No binding was made"]);
        ends(&stage, &alice);
    }

    /// Nobody answers: within 30 s it is known, and each wait is twice the one before, up to 30 s and by chance up to twice
    /// as much.
    #[test]
    fn silence_is_waited_out_longer_each_time() {
        let stage = stage(1);
        let server = registrar(&stage);
        server.always(Answer::Silence);
        let alice = member(&stage, "alice");
        stage.passes(millis(29_900));
        assert_eq!(told(&alice).len(), 0);
        stage.passes(millis(200));
        is_told(&stage, &alice, &["RegistrationDidFail No answer"]);
        stage.seconds(600);
        let waits = waits(&alice);
        assert!(waits.len() >= 8, "{waits:?}");
        for (wait, base) in waits.iter().zip([1, 2, 4, 8, 16, 30, 30, 30]) {
            lies_between(*wait, base, base * 2);
        }
        server.always(Answer::Usual);
        stage.seconds(95);
        assert_eq!(told(&alice).last().map(String::as_str), Some("RegistrationDidSucceed 600"));
        ends(&stage, &alice);
    }

    #[test]
    fn two_accounts_do_not_wait_equally_long() {
        let stage = stage(1);
        let server = registrar(&stage);
        server.always(Answer::status(500));
        let (alice, bob) = (member(&stage, "alice"), member(&stage, "bob"));
        stage.a_moment();
        assert_ne!(waits(&alice), waits(&bob));
        stage.world_mut().drain(bob.node());
        ends(&stage, &alice);
    }

    #[test]
    fn a_domain_that_is_not_there_is_said_to_be_none() {
        let stage = stage(1);
        let alice = member(&stage, "alice");
        stage.a_moment();
        is_told(&stage, &alice, &["RegistrationDidFail No such server"]);
        lies_between(waits(&alice)[0], 1, 2);
        ends(&stage, &alice);
    }

    /// A refresh that fails is no end: the binding is there until it runs out.
    #[test]
    fn a_refresh_that_fails_is_repeated_while_the_binding_lasts() {
        let (stage, server, alice) = registered(|_| {});
        server.answers([Answer::status(500)]);
        stage.seconds(541);
        let is_registered = |phone: &client_world::Softphone| {
            phone.client.accounts().is_registered(phone.account(), stage.world().now())
        };
        is_told(&stage, &alice, &["RegistrationDidSucceed 600", "RegistrationDidFail 500 Server Internal Error"]);
        assert!(alice.sees(is_registered));
        stage.seconds(45);
        assert_eq!(told(&alice).last().map(String::as_str), Some("RegistrationDidSucceed 600"));
        ends(&stage, &alice);
    }
}

mod strange_registrars {
    use super::*;

    const CODES: [u16; 12] = [200, 200, 200, 202, 299, 300, 401, 407, 423, 439, 503, 699];

    const FIELDS: [(HeaderName, &str); 30] = [
        (HeaderName::Contact, "*"),
        (HeaderName::Contact, "<sip:x@192.0.2.1>;expires=0"),
        (HeaderName::Contact, "<sip:x@192.0.2.1>;expires=4294967295"),
        (HeaderName::Contact, "<sip:x@192.0.2.1>;expires=99999999999"),
        (
            HeaderName::Contact,
            "<tel:+1>;+sip.instance=\"<urn:uuid:00000000-0000-4000-8000-000000000001>\";pub-gruu=\"tel:1\"",
        ),
        (
            HeaderName::Contact,
            "<sip:x@y>;+sip.instance=\"<urn:uuid:00000000-0000-4000-8000-000000000001>\";pub-gruu=\"sip:;gr\"",
        ),
        (
            HeaderName::Contact,
            "<sip:x@y>;+sip.instance=\"<urn:uuid:00000000-0000-4000-8000-000000000001>\";pub-gruu=\"sip:a@b;gr?X=y\"",
        ),
        (HeaderName::Contact, "<<<"),
        (HeaderName::Expires, "4294967295"),
        (HeaderName::Expires, "-1"),
        (HeaderName::Expires, "soon"),
        (HeaderName::MinExpires, "4294967295"),
        (HeaderName::MinExpires, "0"),
        (HeaderName::RetryAfter, "4294967295"),
        (HeaderName::RetryAfter, "later"),
        (HeaderName::FlowTimer, "0"),
        (HeaderName::FlowTimer, "4294967295"),
        (HeaderName::FlowTimer, "1"),
        (HeaderName::Require, "outbound"),
        (HeaderName::ServiceRoute, "<sip:example.test>"),
        (HeaderName::ServiceRoute, "<sip:example.test;lr>, <tel:1>, <<"),
        (HeaderName::ServiceRoute, "<http://example.test;lr>"),
        (HeaderName::Path, "nonsense"),
        (HeaderName::WwwAuthenticate, "Digest realm=\"example.test\", nonce=\"\", qop=\"auth\""),
        (HeaderName::WwwAuthenticate, "Digest realm=\"example.test\", nonce=\"n\", algorithm=WHIRLPOOL"),
        (HeaderName::WwwAuthenticate, "Digest"),
        (HeaderName::WwwAuthenticate, "Basic realm=\"example.test\""),
        (HeaderName::ProxyAuthenticate, "Digest realm=\"example.test\", nonce=\"m\", stale=true, qop=\"auth-int\""),
        (HeaderName::AuthenticationInfo, "nextnonce=\"\\\"\""),
        (HeaderName::Supported, ","),
    ];

    /// Whatever a registrar says, an account goes on, does not ask too often, and can leave.
    #[test]
    fn nothing_that_a_registrar_says_breaks_an_account() {
        for seed in 0..150 {
            let stage = stage(seed);
            let server = registrar(&stage);
            let answers: Vec<Answer> = (0..60)
                .map(|_| {
                    let mut world = stage.world_mut();
                    let random = world.random();
                    let code = *random.pick(&CODES);
                    let mut fields: Vec<(HeaderName, String)> = Vec::new();
                    for _ in 0..random.between(0, 4) {
                        let (name, value) = random.pick(&FIELDS);
                        // What may stand once and stands twice does not get past the parser.
                        if !(name.is_single() && fields.iter().any(|(known, _)| known == name)) {
                            fields.push((*name, (*value).to_owned()));
                        }
                    }
                    Answer::With(code, fields)
                })
                .collect();
            server.answers(answers);
            let alice = member_with(&stage, "alice", |_, account| {
                account.sip.outbound = seed % 2 == 0;
                account.message_summary.enabled = seed % 3 == 0;
            });
            stage.seconds(3_600);
            let asked = server.seen().len();
            assert!((1..2_000).contains(&asked), "seed {seed}: {asked} requests in an hour");
            assert!(server.seen().iter().all(|seen| !format!("{:?}", seen.request).contains("Basic ")));
            server.answers([]);
            server.always(Answer::Usual);
            ends(&stage, &alice);
        }
    }
}

/// RFC 3263 §4.3: one target after the other, within 30 s.
mod failover {
    use super::*;

    fn two(stage: &Stage) -> (Host, Host) {
        let (one, other) = (servers::host(stage, "one"), servers::host(stage, "other"));
        for server in [&one, &other] {
            let address = server.address(Transport::Udp);
            stage.world_mut().zone_mut().server(DOMAIN, Transport::Udp, address);
        }
        (one, other)
    }

    #[test]
    fn a_server_that_is_gone_is_left_after_six_seconds() {
        let stage = stage(1);
        let (one, other) = two(&stage);
        stage.world_mut().set_down(one.node, true);
        let alice = member(&stage, "alice");
        stage.passes(millis(5_900));
        is_told(&stage, &alice, &[]);
        stage.passes(millis(500));
        is_told(&stage, &alice, &["RegistrationDidSucceed 600"]);
        assert_eq!(other.seen().len(), 1);
        ends(&stage, &alice);
    }

    /// RFC 4320 §4.1: a 100 says that a server is there.
    #[test]
    fn a_server_that_takes_its_time_is_not_left() {
        let stage = stage(1);
        let (one, other) = two(&stage);
        one.always(Answer::Silence);
        let alice = member(&stage, "alice");
        stage.passes(millis(29_900));
        assert_eq!((one.seen().len(), other.seen().len()), (1, 0));
        ends(&stage, &alice);
    }

    #[test]
    fn a_server_that_is_overloaded_is_left_at_once() {
        let stage = stage(1);
        let (one, other) = two(&stage);
        one.always(Answer::status(503));
        let alice = member(&stage, "alice");
        stage.a_moment();
        is_told(&stage, &alice, &["RegistrationDidSucceed 600"]);
        assert_eq!((one.seen().len(), other.seen().len()), (1, 1));
        ends(&stage, &alice);
    }

    /// A final answer is one: the other server is not asked for a better one.
    #[test]
    fn a_server_that_refuses_is_not_left_for_another() {
        let stage = stage(1);
        let (one, other) = two(&stage);
        one.always(Answer::status(403));
        let alice = member(&stage, "alice");
        stage.seconds(10);
        is_told(&stage, &alice, &["RegistrationDidFail 403 Forbidden"]);
        assert_eq!(other.seen().len(), 0);
        ends(&stage, &alice);
    }

    #[test]
    fn when_all_are_silent_it_is_one_failure_after_30_seconds() {
        let stage = stage(1);
        let (one, other) = two(&stage);
        for server in [&one, &other] {
            stage.world_mut().set_down(server.node, true);
        }
        let alice = member(&stage, "alice");
        stage.passes(millis(30_500));
        is_told(&stage, &alice, &["RegistrationDidFail No answer"]);
        ends(&stage, &alice);
    }
}

/// RFC 5626.
mod outbound {
    use super::*;

    fn over_tcp(stage: &Stage) -> Person {
        member_with(stage, "alice", |_, account| {
            account.sip.outbound = true;
            account.sip.outbound_proxy = Some(format!("{DOMAIN};transport=tcp"));
        })
    }

    fn keeping(stage: &Stage) -> Host {
        let server = registrar(stage);
        server.says(HeaderName::Require, "outbound");
        server.says(HeaderName::FlowTimer, "120");
        server
    }

    /// §4.2: "reg-id" and "+sip.instance".
    #[test]
    fn a_flow_is_registered_with_instance_and_number() {
        let stage = stage(1);
        let server = keeping(&stage);
        let alice = over_tcp(&stage);
        stage.a_moment();
        let seen = server.last();
        assert_eq!(seen.flow.transport, Transport::Tcp);
        assert_eq!(seen.first(HeaderName::Route), "<sip:example.test;transport=tcp;lr>");
        assert_eq!(seen.all(HeaderName::Supported), ["path", "gruu", "outbound"]);
        let contact = seen.first(HeaderName::Contact);
        assert!(contact.contains(&format!(";transport=tcp>;+sip.instance=\"<{INSTANCE}>\";reg-id=1;")), "{contact}");
        ends(&stage, &alice);
    }

    /// §4.4: what has failed is replaced, by the same number.
    #[test]
    fn a_connection_that_breaks_is_replaced_after_a_second_or_two() {
        let stage = stage(1);
        let server = keeping(&stage);
        let alice = over_tcp(&stage);
        stage.seconds(10);
        let before = server.last().flow;
        stage.world_mut().cut_connections(alice.node(), server.node);
        stage.passes(millis(900));
        assert_eq!(server.seen().len(), 1);
        stage.passes(millis(1_400));
        is_told(&stage, &alice, &["RegistrationDidSucceed 600"; 2]);
        assert_ne!(server.last().flow.connection, before.connection);
        assert!(server.last().first(HeaderName::Contact).contains(";reg-id=1;"));
        ends(&stage, &alice);
    }

    /// §4.4.1: "if the UA does not receive a pong within 10 seconds … the client MUST treat the flow as failed".
    #[test]
    fn a_far_end_that_does_not_answer_is_given_up_and_the_connection_closed() {
        let stage = stage(1);
        let server = keeping(&stage);
        let alice = over_tcp(&stage);
        stage.seconds(10);
        let outage = secs(240);
        stage.world_mut().partition(alice.node(), server.node, outage);
        stage.seconds(150);
        assert!(stage.world().ladder(None).contains("is cut"), "{}", stage.world().ladder(None));
        stage.seconds(200);
        assert_eq!(told(&alice).last().map(String::as_str), Some("RegistrationDidSucceed 600"));
        ends(&stage, &alice);
    }

    /// §4.4: as often as Flow-Timer says, and not much more often.
    #[test]
    fn a_flow_is_kept_alive_and_not_registered_anew() {
        let stage = stage(1);
        let server = keeping(&stage);
        let alice = over_tcp(&stage);
        stage.seconds(530);
        assert_eq!(server.seen().len(), 1);
        let kept = stage.world().ladder(None).matches("keeps a flow alive").count();
        assert!((4..=6).contains(&kept), "{kept} times in 530 s");
        ends(&stage, &alice);
    }

    /// §4.4.2: over UDP every 24 to 29 seconds, and a lost question is asked again.
    #[test]
    fn over_udp_a_lost_keep_alive_is_no_lost_flow() {
        let stage = stage(3);
        let server = keeping(&stage);
        let alice = member_with(&stage, "alice", |_, account| account.sip.outbound = true);
        stage.a_moment();
        stage.links(Link::PERFECT.with_loss(0.2));
        stage.seconds(300);
        stage.links(Link::PERFECT);
        assert_eq!(told(&alice).len(), 1, "{:?}", told(&alice));
        assert_eq!(server.seen().len(), 1);
        ends(&stage, &alice);
    }

    #[test]
    fn over_udp_silence_is_a_lost_flow() {
        let stage = stage(1);
        let server = keeping(&stage);
        let alice = member_with(&stage, "alice", |_, account| account.sip.outbound = true);
        stage.a_moment();
        stage.world_mut().partition(alice.node(), server.node, secs(60));
        stage.seconds(100);
        assert_eq!(told(&alice).last().map(String::as_str), Some("RegistrationDidSucceed 600"));
        assert!(server.seen().len() >= 2);
        ends(&stage, &alice);
    }

    /// §4.3: "ob", and the flow.
    #[test]
    fn requests_go_over_the_flow_that_was_registered() {
        let stage = stage(1);
        let server = keeping(&stage);
        let alice = over_tcp(&stage);
        stage.a_moment();
        alice
            .does(|phone, now, endpoint| phone.client.options(now, endpoint, phone.account(), "bob", Vec::new()))
            .unwrap();
        stage.a_moment();
        let seen = server.seen();
        assert_eq!(seen[1].flow, seen[0].flow);
        ends(&stage, &alice);
    }

    /// §6, §11.6: 439.
    #[test]
    fn a_first_hop_that_lacks_support_is_registered_at_without_a_flow() {
        let stage = stage(1);
        let server = registrar(&stage);
        server.answers([Answer::status(439)]);
        let alice = over_tcp(&stage);
        stage.a_moment();
        is_told(&stage, &alice, &["RegistrationDidSucceed 600"]);
        assert!(!server.last().first(HeaderName::Contact).contains("reg-id"));
        assert_eq!(server.last().all(HeaderName::Supported), ["path", "gruu"]);
        ends(&stage, &alice);
    }

    #[test]
    fn a_refresh_over_a_flow_that_is_dead_goes_another_way() {
        let stage = stage(1);
        let server = registrar(&stage);
        server.says(HeaderName::Require, "outbound");
        let alice = over_tcp(&stage);
        stage.a_moment();
        stage.world_mut().set_down(server.node, true);
        stage.seconds(20);
        stage.world_mut().set_down(server.node, false);
        stage.seconds(60);
        assert_eq!(told(&alice).last().map(String::as_str), Some("RegistrationDidSucceed 600"));
        ends(&stage, &alice);
    }

    /// As sleep and wake, or another access point.
    #[test]
    fn another_network_is_registered_from_at_once() {
        let stage = stage(1);
        let server = keeping(&stage);
        let alice = over_tcp(&stage);
        stage.seconds(100);
        let before = server.last().flow.connection;
        alice.does(|phone, now, endpoint| phone.client.network_changed(now, endpoint));
        stage.a_moment();
        is_told(&stage, &alice, &["RegistrationDidSucceed 600"; 2]);
        assert_ne!(server.last().flow.connection, before);
        stage.seconds(300);
        assert_eq!(server.seen().len(), 2);
        ends(&stage, &alice);
    }
}

/// RFC 3581, and RFC 3263 §4.1.
mod where_we_are {
    use super::*;

    #[test]
    fn a_contact_follows_the_address_that_the_registrar_sees() {
        let (stage, server, alice) = registered(|server| server.sees_at(Some("203.0.113.9:4711")));
        is_told(&stage, &alice, &["RegistrationDidSucceed 600"]);
        let seen = server.seen();
        assert_eq!(seen.len(), 2);
        let contacts = seen[1].all(HeaderName::Contact);
        assert!(contacts[0].contains("@203.0.113.9:4711>"), "{contacts:?}");
        let first = seen[0].first(HeaderName::Contact).split('>').next().unwrap().to_owned();
        assert_eq!(contacts[1..], [format!("{first}>;expires=0")]);
        ends(&stage, &alice);
    }

    #[test]
    fn a_translator_that_gives_another_port_each_time_is_not_followed_for_ever() {
        let (stage, server, alice) = registered(|server| server.sees_at_another_port_each_time("203.0.113.9:4711"));
        is_told(&stage, &alice, &["RegistrationDidSucceed 600"]);
        assert_eq!(server.seen().len(), 1 + 3);
        ends(&stage, &alice);
    }

    #[test]
    fn a_translator_that_gives_another_port_now_and_then_is_always_followed() {
        let (stage, server, alice) = registered(|_| {});
        for port in 1..20 {
            server.sees_at(Some(&format!("203.0.113.9:{}", 4_000 + port)));
            registers(&alice);
            stage.a_moment();
        }
        assert!(server.last().first(HeaderName::Contact).contains("@203.0.113.9:4019>"));
        assert_eq!(server.seen().len(), 1 + 2 * 19);
        ends(&stage, &alice);
    }

    #[test]
    fn a_contact_stays_where_the_setting_says_so() {
        let stage = stage(1);
        let server = registrar(&stage);
        server.sees_at(Some("203.0.113.9:4711"));
        let alice = member_with(&stage, "alice", |_, account| account.sip.rewrite_contact = false);
        stage.a_moment();
        assert_eq!(server.seen().len(), 1);
        ends(&stage, &alice);
    }

    /// A registrar that keeps to the flow does not call the Contact.
    #[test]
    fn a_contact_stays_where_a_flow_is_kept() {
        let stage = stage(1);
        let server = registrar(&stage);
        server.sees_at(Some("203.0.113.9:4711"));
        server.says(HeaderName::Require, "outbound");
        let alice = member_with(&stage, "alice", |_, account| account.sip.outbound = true);
        stage.a_moment();
        assert_eq!(server.seen().len(), 1);
        ends(&stage, &alice);
    }

    #[test]
    fn a_domain_that_is_served_over_tcp_alone_gets_a_contact_of_tcp() {
        let stage = stage(1);
        let server = servers::host(&stage, "one");
        let address = server.address(Transport::Tcp);
        stage.world_mut().zone_mut().server(DOMAIN, Transport::Tcp, address);
        let alice = member(&stage, "alice");
        stage.seconds(1);
        is_told(&stage, &alice, &["RegistrationDidSucceed 600"]);
        let contacts = server.last().all(HeaderName::Contact);
        assert!(contacts[0].contains(";transport=tcp>") && contacts[1].ends_with(";expires=0"), "{contacts:?}");
        ends(&stage, &alice);
    }
}

mod what_the_registrar_gives {
    use super::*;

    /// RFC 3608 §6.1, RFC 3325 §9.2.
    #[test]
    fn requests_follow_the_service_route_and_say_who_they_are_from() {
        let (stage, server, alice) = registered(|server| {
            server.says(HeaderName::ServiceRoute, "<sip:edge.example.test;lr>, <sip:home.example.test;lr>")
        });
        let edge = server.address(Transport::Udp).ip();
        stage.world_mut().zone_mut().address("edge.example.test", edge);
        alice
            .does(|phone, now, endpoint| {
                phone.client.options(now, endpoint, phone.account(), "bob@biloxi.example", Vec::new())
            })
            .unwrap();
        stage.a_moment();
        let seen = server.last();
        assert_eq!(seen.all(HeaderName::Route), ["<sip:edge.example.test;lr>", "<sip:home.example.test;lr>"]);
        assert_eq!(seen.request.uri_text(), "sip:bob@biloxi.example");
        assert_eq!(seen.first(HeaderName::PPreferredIdentity), "<sip:alice@example.test>");
        ends(&stage, &alice);
    }

    /// RFC 5627 §4.4.
    #[test]
    fn a_gruu_is_told_and_is_the_contact_of_dialogs() {
        let stage = stage(1);
        let server = registrar(&stage);
        let gruu = format!("sip:alice@{DOMAIN};gr={INSTANCE}");
        server.answers([Answer::With(
            200,
            vec![(
                HeaderName::Contact,
                format!("<sip:x@192.0.2.1>;+sip.instance=\"<{INSTANCE}>\";pub-gruu=\"{gruu}\";expires=300"),
            )],
        )]);
        let alice = member(&stage, "alice");
        stage.a_moment();
        is_told(&stage, &alice, &["RegistrationDidSucceed 300 gruu"]);
        let known = alice.sees(|phone| phone.client.account(phone.account()).unwrap().gruu().cloned());
        assert_eq!(known, UriBuf::parse(gruu.clone()).ok());
        server.always(Answer::status(486));
        alice.dials("bob", Vec::new()).unwrap();
        stage.a_moment();
        let invite = &server.seen_of(&Method::Invite)[0];
        assert_eq!(invite.first(HeaderName::Contact), format!("<{gruu}>"));
        server.always(Answer::Usual);
        ends(&stage, &alice);
    }

    /// The whole of it at a registrar that asks for a password, keeps flows and gives GRUUs.
    #[test]
    fn the_registrar_of_the_container_keeps_the_flow_and_delivers_over_it() {
        let stage = stage(1);
        home(&stage);
        let join = |name: &str| {
            member_with(&stage, name, |_, account| {
                account.sip.outbound = true;
                account.sip.outbound_proxy = Some(format!("{DOMAIN};transport=tcp"));
            })
        };
        let (alice, bob) = (join("alice"), join("bob"));
        stage.seconds(1);
        is_told(&stage, &alice, &["RegistrationDidSucceed 600 gruu"]);
        is_told(&stage, &bob, &["RegistrationDidSucceed 600 gruu"]);
        alice
            .does(|phone, now, endpoint| {
                let content = ("text/plain", bytes::Bytes::from_static(b"Hi"));
                let account = phone.account();
                phone.client.send_account_message(now, endpoint, account, "bob", content.0, content.1, Vec::new())
            })
            .unwrap();
        stage.seconds(1);
        assert_eq!(told(&bob)[1..], [format!("GotMessage sip:alice@{DOMAIN} text/plain Hi")]);
        assert_eq!(told(&alice)[1..], ["DidDeliverMessage 200"]);
        // Two clients and the server between them: two connections, for hours.
        assert_eq!(stage.world().connections(), 2);
        stage.seconds(7_200);
        assert_eq!(stage.world().connections(), 2);
        let succeeded = |person: &Person| {
            person.sees(|phone| {
                let all = phone.notifications().iter();
                all.filter(|told| matches!(told.data, Data::AccountRegistrationDidSucceed { .. })).count()
            })
        };
        assert_eq!((succeeded(&alice), succeeded(&bob)), (14, 14));
        stage.world_mut().drain(bob.node());
        ends(&stage, &alice);
    }
}
