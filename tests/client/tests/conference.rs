//! Who takes part in a conference: RFC 4575 on RFC 6665, in a session with a focus (RFC 4579 §5.1), in virtual time.

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

mod servers;

use client::session::State;
use client::{Data, Sender};
use client_world::{Person, Stage};
use servers::{Answer, DOMAIN, Host, Seen, host, member_with, stage};
use sip_dialog::digest::Asker;
use sip_message::{HeaderName, Method};

const SUBSCRIBE: Method = Method::Subscribe;
const INFO: &str = "application/conference-info+xml";
const SDP: &str = "v=0
    o=focus 1 1 IN IP4 192.0.2.9
    s=-
    c=IN IP4 192.0.2.9
    t=0 0
    m=audio 4000 RTP/AVP 0
    a=sendrecv";

fn focus_answers(focus: &Host, params: &str) {
    let contact = (HeaderName::Contact, format!("<sip:room@focus>{params}"));
    focus.answers([Answer::Session(200, vec![contact], SDP)]);
}

/// Alice in a conference, and her SUBSCRIBE.
fn in_conference() -> (Stage, Host, Person, Seen) {
    let stage = stage(1);
    let focus = host(&stage, "focus");
    focus_answers(&focus, ";isfocus");
    let alice = member_with(&stage, "alice", |_, account| account.sip.register = false);
    alice.dials("room@focus", Vec::new()).unwrap();
    stage.seconds(1);
    assert_eq!(alice.state(), State::Established, "{}", stage.world().ladder(None));
    let subscribe = focus.last();
    (stage, focus, alice, subscribe)
}

fn info(state: &str, version: u32, users: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><conference-info xmlns=\"urn:ietf:params:xml:ns:conference-info\" \
         entity=\"sip:room@focus\" state=\"{state}\" version=\"{version}\">{users}</conference-info>"
    )
}

fn user(name: &str) -> String {
    format!(
        "<user entity=\"sip:{name}\"><display-text>{name}</display-text><endpoint entity=\"1\"><status>connected</status></endpoint></user>"
    )
}

/// The names of those who take part, each time that they were told.
fn rosters(alice: &Person) -> Vec<Vec<String>> {
    let session = alice.session();
    alice.sees(|phone| {
        let of_session = phone.notifications().iter().filter(|told| told.sender == Sender::Session(session));
        let users = of_session.filter_map(|told| match &told.data {
            Data::SessionGotConferenceInfo { users } => Some(users),
            _ => None,
        });
        users
            .map(|users| users.iter().map(|user| user.display_text.as_deref().unwrap_or("?").to_owned()).collect())
            .collect()
    })
}

#[track_caller]
fn notified(stage: &Stage, focus: &Host, subscribe: &Seen, cseq: u32, body: &str) {
    focus.notifies(subscribe, cseq, "active;expires=3600", Some((INFO, body)));
    stage.a_moment();
    assert_eq!(focus.answered().status().code(), 200);
}

fn hangs_up(stage: &Stage, alice: &Person) {
    alice.hangs_up();
    stage.ends();
}

#[test]
fn a_session_with_a_focus_subscribes_to_who_takes_part() {
    let (stage, focus, alice, subscribe) = in_conference();
    assert_eq!((subscribe.request.method(), subscribe.request.uri_text()), (&SUBSCRIBE, "sip:room@focus"));
    assert_eq!(subscribe.first(HeaderName::Event), "conference");
    assert_eq!(subscribe.first(HeaderName::Accept), INFO);
    let users = format!("<users>{}{}</users>", user("bob"), user("carol"));
    notified(&stage, &focus, &subscribe, 1, &info("full", 1, &users));
    assert_eq!(rosters(&alice), [["bob", "carol"]]);
    hangs_up(&stage, &alice);
}

#[test]
fn a_session_with_anybody_else_does_not() {
    let stage = stage(1);
    let focus = host(&stage, "focus");
    focus_answers(&focus, "");
    let alice = member_with(&stage, "alice", |_, account| account.sip.register = false);
    alice.dials("room@focus", Vec::new()).unwrap();
    stage.seconds(10);
    assert_eq!(alice.state(), State::Established);
    assert_eq!(focus.seen_of(&SUBSCRIBE).len(), 0);
    hangs_up(&stage, &alice);
}

/// RFC 4575 §4.5.
#[test]
fn changes_are_told_and_what_was_missed_is_asked_for() {
    let (stage, focus, alice, subscribe) = in_conference();
    notified(&stage, &focus, &subscribe, 1, &info("full", 1, &format!("<users>{}</users>", user("bob"))));
    let comes = format!("<users state=\"partial\">{}</users>", user("carol"));
    notified(&stage, &focus, &subscribe, 2, &info("partial", 2, &comes));
    assert_eq!(rosters(&alice).last().unwrap(), &["bob", "carol"]);
    let leaves = "<users state=\"partial\"><user entity=\"sip:bob\" state=\"deleted\"/></users>";
    assert_eq!(focus.seen_of(&SUBSCRIBE).len(), 1);
    notified(&stage, &focus, &subscribe, 3, &info("partial", 4, leaves));
    assert_eq!(rosters(&alice).len(), 2);
    assert_eq!(focus.seen_of(&SUBSCRIBE).len(), 2, "the whole is asked for");
    notified(&stage, &focus, &subscribe, 4, &info("full", 5, &format!("<users>{}</users>", user("carol"))));
    assert_eq!(rosters(&alice).last().unwrap(), &["carol"]);
    hangs_up(&stage, &alice);
}

#[test]
fn a_roster_that_can_not_be_read_changes_nothing() {
    let (stage, focus, alice, subscribe) = in_conference();
    notified(&stage, &focus, &subscribe, 1, &info("full", 1, &format!("<users>{}</users>", user("bob"))));
    let bomb = "<!DOCTYPE a [<!ENTITY b \"bbbbbbbb\"><!ENTITY c \"&b;&b;&b;\">]><a>&c;</a>";
    let deep = format!("{}{}", "<a>".repeat(5_000), "</a>".repeat(5_000));
    for (cseq, body) in [(2, bomb), (3, &deep), (4, "hello"), (5, "<conference-info/>")] {
        notified(&stage, &focus, &subscribe, cseq, body);
    }
    assert_eq!(rosters(&alice), [["bob"]]);
    assert_eq!(alice.state(), State::Established);
    hangs_up(&stage, &alice);
}

#[test]
fn the_subscription_ends_with_the_session() {
    let (stage, focus, alice, subscribe) = in_conference();
    notified(&stage, &focus, &subscribe, 1, &info("full", 1, ""));
    alice.hangs_up();
    stage.a_moment();
    let last = focus.seen_of(&SUBSCRIBE).pop().unwrap();
    assert_eq!(last.first(HeaderName::Expires), "0");
    assert_eq!(last.first(HeaderName::CallId), subscribe.first(HeaderName::CallId));
    stage.ends();
}

#[test]
fn a_focus_that_refuses_is_left_alone_and_the_session_goes_on() {
    let stage = stage(1);
    let focus = host(&stage, "focus");
    focus_answers(&focus, ";isfocus");
    focus.always(Answer::status(489));
    let alice = member_with(&stage, "alice", |_, account| account.sip.register = false);
    alice.dials("room@focus", Vec::new()).unwrap();
    stage.seconds(25);
    assert_eq!(focus.seen_of(&SUBSCRIBE).len(), 1);
    assert_eq!(alice.state(), State::Established);
    focus.always(Answer::Usual);
    hangs_up(&stage, &alice);
}

/// Not even a conference gets a digest for our realm.
#[test]
fn a_focus_that_asks_for_credentials_gets_none() {
    let stage = stage(1);
    let focus = host(&stage, "focus");
    focus_answers(&focus, ";isfocus");
    focus.asks(Asker::Proxy, DOMAIN, &[SUBSCRIBE]);
    let alice = member_with(&stage, "alice", |_, account| account.sip.register = false);
    alice.dials("room@focus", Vec::new()).unwrap();
    stage.seconds(1);
    let subscribes = focus.seen_of(&SUBSCRIBE);
    assert_eq!(subscribes.len(), 1);
    assert!(!subscribes[0].request.headers().contains(HeaderName::ProxyAuthorization));
    hangs_up(&stage, &alice);
}
