//! Accounts: which of them is meant, who may ask for their password, how they come, change and go.

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

mod servers;

use std::sync::Arc;

use client::ClientError;
use client::account::{AccountId, Neighbour};
use client::settings::AccountSettings;
use client_world::{Person, Stage};
use servers::{Answer, DOMAIN, Host, PASSWORD, host, member, member_with, registrar, stage, told};
use sip_dialog::digest::Asker;
use sip_message::{HeaderName, Method, Transport, Uri, UriBuf};

fn settings(id: &str) -> AccountSettings {
    let mut settings = AccountSettings { id: id.into(), ..AccountSettings::default() };
    settings.sip.register = false;
    settings
}

fn adds(person: &Person, settings: AccountSettings) -> Result<AccountId, ClientError> {
    person.does(|phone, now, endpoint| phone.client.add_account(now, endpoint, settings))
}

/// Which account a Request-URI means.
fn finds(person: &Person, uri: &str) -> Option<String> {
    let uri = Uri::parse(uri).unwrap();
    person.sees(|phone| phone.client.accounts().find_account(&uri).map(|account| account.name().to_owned()))
}

fn default(person: &Person) -> String {
    person.sees(|phone| phone.client.default_account().name().to_owned())
}

fn ends(stage: &Stage, person: &Person) {
    stage.world_mut().drain(person.node());
    stage.ends();
}

mod which_one {
    use super::*;

    fn several() -> (Stage, Person) {
        let stage = stage(1);
        let alice = stage.softphone_with("alice", |_, account| account.id = "alice@one.test".into());
        adds(&alice, settings("alice@two.test")).unwrap();
        adds(&alice, settings("sales@two.test")).unwrap();
        (stage, alice)
    }

    #[test]
    fn a_request_is_for_the_account_of_its_contact_then_of_its_address_then_of_its_user() {
        let (_stage, alice) = several();
        let contact = |name: &str| {
            alice.sees(|phone| {
                let account = phone.client.accounts().iter().find(|account| account.name() == name);
                account.unwrap().contact_user().to_owned()
            })
        };
        let found = |uri: &str| finds(&alice, uri);
        assert_eq!(found(&format!("sip:{}@10.0.0.1", contact("sales@two.test"))), Some("sales@two.test".into()));
        assert_eq!(found("sip:alice@two.test"), Some("alice@two.test".into()));
        assert_eq!(found("sip:alice@TWO.test;transport=tcp"), Some("alice@two.test".into()));
        assert_eq!(found("sip:sales@10.0.0.1:5060"), Some("sales@two.test".into()));
        assert_eq!(found("sip:alice@10.0.0.1:5060"), Some("alice@one.test".into()));
        assert_eq!(found("sip:carol@one.test"), None);
        assert_eq!(found("tel:+4930"), None);
    }

    #[test]
    fn of_two_that_fit_as_well_the_default_one_is_meant() {
        let (_stage, alice) = several();
        let two = alice.sees(|phone| phone.client.accounts().iter().nth(1).map(client::account::Account::id)).unwrap();
        alice.does(|phone, now, endpoint| phone.client.set_default_account(now, endpoint, two)).unwrap();
        assert_eq!(finds(&alice, "sip:alice@10.0.0.1"), Some("alice@two.test".into()));
    }

    #[test]
    fn the_default_is_the_chosen_one_then_the_one_of_the_settings_then_the_first() {
        let stage = stage(1);
        let alice = stage.softphone_with("alice", |settings, account| {
            settings.default_account = Some("alice@two.test".into());
            account.id = "alice@one.test".into();
        });
        assert_eq!(default(&alice), "alice@one.test");
        let two = adds(&alice, settings("alice@two.test")).unwrap();
        assert_eq!(default(&alice), "alice@two.test");
        let three = adds(&alice, settings("alice@three.test")).unwrap();
        alice.does(|phone, now, endpoint| phone.client.set_default_account(now, endpoint, three)).unwrap();
        assert_eq!(default(&alice), "alice@three.test");
        for id in [three, two] {
            alice.does(|phone, now, endpoint| phone.client.set_account_enabled(now, endpoint, id, false)).unwrap();
        }
        assert_eq!(default(&alice), "alice@one.test");
    }

    #[test]
    fn an_address_has_one_account() {
        let (_stage, alice) = several();
        let again = adds(&alice, settings("alice@ONE.test"));
        assert_eq!(again, Err(ClientError::AccountExists("alice@ONE.test".into())));
        let not_one = adds(&alice, settings("alice"));
        assert!(matches!(not_one, Err(ClientError::InvalidSetting { key: "id", .. })), "{not_one:?}");
    }
}

/// Nobody but our own servers gets a digest: not a callee who is called directly, nor one who challenges what comes later
/// in the dialog, in our realm or in another.
mod who_may_ask {
    use super::*;

    fn with_credentials(host: &Host) -> usize {
        let names = [HeaderName::Authorization, HeaderName::ProxyAuthorization];
        let seen = host.seen();
        seen.iter().filter(|seen| names.iter().any(|name| seen.request.headers().contains(*name))).count()
    }

    fn registered(set_up: impl FnOnce(&mut AccountSettings)) -> (Stage, Host, Person) {
        let stage = stage(1);
        let server = registrar(&stage);
        server.asks(Asker::Server, DOMAIN, &[Method::Register]);
        let alice = member_with(&stage, "alice", |_, account| set_up(account));
        stage.a_moment();
        (stage, server, alice)
    }

    #[test]
    fn a_callee_who_challenges_the_call_gets_nothing() {
        let (stage, _server, alice) = registered(|account| account.sip.always_use_my_proxy = false);
        let mallory = host(&stage, "mallory");
        mallory.asks(Asker::Proxy, DOMAIN, &[Method::Invite]);
        alice.dials("mallory@mallory", Vec::new()).unwrap();
        stage.seconds(5);
        assert!(!mallory.seen_of(&Method::Invite).is_empty());
        assert_eq!(with_credentials(&mallory), 0);
        ends(&stage, &alice);
    }

    #[test]
    fn a_callee_who_challenges_the_end_of_the_call_gets_nothing() {
        for realm in [DOMAIN, "gateway"] {
            for asker in [Asker::Server, Asker::Proxy] {
                let (stage, server, alice) = registered(|_| {});
                let mallory = host(&stage, "mallory");
                // The call goes through our proxy, which leaves the path: what follows goes to the callee directly.
                let contact = format!("<sip:mallory@{}>", mallory.address(Transport::Udp));
                server.always(Answer::with(200, HeaderName::Contact, &contact));
                mallory.asks(asker, realm, &[Method::Bye]);
                alice.dials("mallory", Vec::new()).unwrap();
                stage.seconds(1);
                alice.hangs_up();
                stage.seconds(5);
                assert!(!mallory.seen_of(&Method::Bye).is_empty(), "{}", stage.world().ladder(None));
                assert_eq!(with_credentials(&mallory), 0, "{realm}");
                server.always(Answer::Usual);
                ends(&stage, &alice);
            }
        }
    }

    #[test]
    fn our_own_proxy_gets_them_for_a_call() {
        let (stage, server, alice) = registered(|_| {});
        server.asks(Asker::Proxy, DOMAIN, &[Method::Invite]);
        server.always(Answer::status(486));
        alice.dials("bob", Vec::new()).unwrap();
        stage.seconds(1);
        let invites = server.seen_of(&Method::Invite);
        assert_eq!(invites.len(), 2);
        assert!(invites[1].request.headers().contains(HeaderName::ProxyAuthorization));
        server.always(Answer::Usual);
        ends(&stage, &alice);
    }

    /// A proxy that stays on the path names itself by its address.
    #[test]
    fn our_own_proxy_gets_them_in_the_dialog_too_by_the_address_that_it_was_found_at() {
        let (stage, server, alice) = registered(|_| {});
        let address = server.address(Transport::Udp);
        server.asks(Asker::Proxy, DOMAIN, &[Method::Bye]);
        server.always(Answer::With(
            200,
            vec![
                (HeaderName::RecordRoute, format!("<sip:{address};lr>")),
                (HeaderName::Contact, "<sip:bob@192.0.2.77>".to_owned()),
            ],
        ));
        alice.dials("bob", Vec::new()).unwrap();
        stage.seconds(1);
        alice.hangs_up();
        stage.seconds(2);
        let byes = server.seen_of(&Method::Bye);
        assert!(byes.last().unwrap().request.headers().contains(HeaderName::ProxyAuthorization), "{byes:?}");
        server.always(Answer::Usual);
        ends(&stage, &alice);
    }
}

mod coming_and_going {
    use super::*;

    #[test]
    fn an_account_that_is_removed_takes_its_leave_and_is_not_found_any_more() {
        let stage = stage(1);
        let server = registrar(&stage);
        let alice = member(&stage, "alice");
        stage.a_moment();
        let remove = |person: &Person| {
            person.does(|phone, now, endpoint| phone.client.remove_account(now, endpoint, phone.account()))
        };
        remove(&alice).unwrap();
        assert_eq!(finds(&alice, "sip:alice@example.test").as_deref(), Some("bonjour@local"));
        assert_eq!(remove(&alice), Err(ClientError::NoSuchAccount));
        stage.a_moment();
        assert_eq!(told(&alice), ["RegistrationDidSucceed 600", "RegistrationDidEnd"]);
        assert_eq!(server.last().first(HeaderName::Expires), "0");
        adds(&alice, settings("alice@example.test")).unwrap();
        stage.ends();
    }

    #[test]
    fn messages_of_an_account_that_is_removed_are_not_delivered() {
        let stage = stage(1);
        let server = registrar(&stage);
        stage.world_mut().set_down(server.node, true);
        let alice = member_with(&stage, "alice", |_, account| account.sip.register = false);
        alice
            .does(|phone, now, endpoint| {
                let (account, content) = (phone.account(), bytes::Bytes::from_static(b"Hi"));
                let sent =
                    phone.client.send_account_message(now, endpoint, account, "bob", "text/plain", content, Vec::new());
                sent.and_then(|_| phone.client.remove_account(now, endpoint, account))
            })
            .unwrap();
        stage.seconds(60);
        assert_eq!(told(&alice), ["DidNotDeliverMessage 487 The account was removed"]);
        stage.ends();
    }

    #[test]
    fn an_account_that_is_not_used_does_not_register_until_it_is() {
        let stage = stage(1);
        let server = registrar(&stage);
        let alice = member_with(&stage, "alice", |_, account| account.enabled = false);
        stage.seconds(60);
        assert_eq!(server.seen().len(), 0);
        let enable = |enabled: bool| {
            alice
                .does(|phone, now, endpoint| {
                    let account = phone.account();
                    phone.client.set_account_enabled(now, endpoint, account, enabled)
                })
                .unwrap();
            stage.a_moment();
        };
        enable(true);
        enable(false);
        assert_eq!(told(&alice), ["RegistrationDidSucceed 600", "RegistrationDidEnd"]);
        stage.ends();
    }

    #[test]
    fn another_password_is_tried_at_once() {
        let stage = stage(1);
        let server = registrar(&stage);
        server.asks(Asker::Server, DOMAIN, &[Method::Register]);
        let alice = member_with(&stage, "alice", |_, account| account.auth.password = "wrong".into());
        stage.a_moment();
        let update = |change: &dyn Fn(&mut AccountSettings)| {
            alice.does(|phone, now, endpoint| {
                let id = phone.account();
                let mut settings = phone.client.account_settings(id).unwrap().clone();
                change(&mut settings);
                phone.client.update_account(now, endpoint, id, settings)
            })
        };
        update(&|settings| settings.auth.password = PASSWORD.into()).unwrap();
        stage.a_moment();
        assert_eq!(told(&alice), ["RegistrationDidFail 401 Authentication failed", "RegistrationDidSucceed 600"]);
        let before = server.seen().len();
        update(&|settings| settings.rtp.codecs = Some(vec!["PCMA".into()])).unwrap();
        stage.a_moment();
        assert_eq!(server.seen().len(), before, "media is nothing to the registrar");
        let moved = update(&|settings| settings.id = "carol@example.test".into());
        assert!(matches!(moved, Err(ClientError::InvalidSetting { key: "id", .. })), "{moved:?}");
        let broken = update(&|settings| settings.sip.outbound_proxy = Some("a b".into()));
        assert!(matches!(broken, Err(ClientError::InvalidSetting { key: "sip.outbound_proxy", .. })), "{broken:?}");
        update(&|settings| settings.sip.register = false).unwrap();
        stage.a_moment();
        assert_eq!(told(&alice).last().map(String::as_str), Some("RegistrationDidEnd"));
        stage.ends();
    }
}

mod without_a_server {
    use super::*;

    fn nobody() -> (Stage, Person) {
        let stage = stage(1);
        let alice = stage.softphone_with("alice", |_, account| account.enabled = false);
        (stage, alice)
    }

    #[test]
    fn the_account_without_a_server_is_always_there_and_is_the_last() {
        let (stage, alice) = nobody();
        let names = alice
            .sees(|phone| phone.client.accounts().iter().map(|account| account.name().to_owned()).collect::<Vec<_>>());
        assert_eq!(names, ["alice@alice", "bonjour@local"]);
        assert_eq!(default(&alice), "bonjour@local");
        let removed = alice.does(|phone, now, endpoint| phone.client.remove_account(now, endpoint, AccountId::BONJOUR));
        assert_eq!(removed, Err(ClientError::NoSuchAccount));
        stage.ends();
    }

    #[test]
    fn it_calls_from_its_contact_without_credentials_and_can_be_called_back() {
        let (stage, alice) = nobody();
        let mallory = host(&stage, "mallory");
        mallory.asks(Asker::Proxy, "local", &[Method::Options]);
        alice
            .does(|phone, now, endpoint| {
                let mut settings = phone.client.account_settings(AccountId::BONJOUR).unwrap().clone();
                settings.id = "anna@local".into();
                settings.display_name = Some("Anna".into());
                settings.auth.password = PASSWORD.into();
                phone.client.update_account(now, endpoint, AccountId::BONJOUR, settings)?;
                phone.client.options(now, endpoint, AccountId::BONJOUR, "sip:mallory@mallory", Vec::new())
            })
            .unwrap();
        stage.a_moment();
        let address = stage.world().address(alice.node(), Transport::Udp).unwrap();
        let seen = mallory.last();
        assert!(seen.first(HeaderName::From).starts_with(&format!("\"Anna\" <sip:anna@{address}>;tag=")));
        assert_eq!(seen.first(HeaderName::Contact), format!("<sip:anna@{address}>"));
        assert_eq!(mallory.seen().len(), 1);
        assert_eq!(finds(&alice, &format!("sip:anna@{address}")).as_deref(), Some("anna@local"));
        stage.ends();
    }

    #[test]
    fn while_it_is_alone_it_takes_whatever_comes() {
        let (_stage, alice) = nobody();
        assert_eq!(finds(&alice, "sip:whoever@10.0.0.1:5060").as_deref(), Some("bonjour@local"));
        adds(&alice, settings("carol@example.test")).unwrap();
        assert_eq!(finds(&alice, "sip:whoever@10.0.0.1:5060"), None);
        assert_eq!(finds(&alice, "sip:bonjour@10.0.0.1:5060").as_deref(), Some("bonjour@local"));
    }

    #[test]
    fn neighbours_are_told_of_when_they_come_change_and_go() {
        let (stage, alice) = nobody();
        let uri = |text: &str| UriBuf::parse(text).unwrap();
        let found = |service: &str, name: &str, at: &str| {
            let neighbour = Neighbour { name: Arc::from(name), uri: uri(at) };
            alice.does(|phone, now, endpoint| phone.client.neighbour_found(now, endpoint, service, neighbour));
        };
        let announced =
            alice.does(|phone, now, endpoint| phone.client.announcement(now, endpoint, Transport::Tcp)).unwrap();
        assert_eq!((announced.service, announced.port), ("_sipuri._tcp", 5060));
        let own = announced.txt.iter().find(|(key, _)| *key == "contact").map(|(_, value)| value.clone()).unwrap();
        found("ours", "Alice", own.trim_matches(['<', '>']));
        found("bob", "Bob", "sip:bob@10.0.0.7");
        found("bob", "Bob", "sip:bob@10.0.0.7");
        found("bob", "Bob", "sip:bob@10.0.0.8");
        alice.does(|phone, now, endpoint| phone.client.neighbour_lost(now, endpoint, "bob"));
        alice.does(|phone, now, endpoint| phone.client.neighbour_lost(now, endpoint, "bob"));
        let told: Vec<String> =
            told(&alice).iter().map(|line| line.replace("BonjourAccountDid", "").replace("Neighbour", "")).collect();
        let expected = [
            "Add Bob sip:bob@10.0.0.7",
            "Remove sip:bob@10.0.0.7",
            "Add Bob sip:bob@10.0.0.8",
            "Remove sip:bob@10.0.0.8",
        ];
        assert_eq!(told, expected);
        stage.ends();
    }
}
