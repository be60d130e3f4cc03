//! The echo user agent: who calls it hears himself.

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::app_support::by_hand::{ByHand, text, value};
use crate::app_support::{HOLD, SDP, Server, ends};
use applications::domains::Domains;
use applications::echo::{self, Mirror, Mirrors, Settings};
use sip_message::{Method, Response};
use testkit::{End, Outcome, Story};

/// So many mirrors, none of which mirrors anything.
#[derive(Clone, Default)]
struct Glass {
    left: Rc<Cell<usize>>,
    opened_for: Rc<Cell<Option<IpAddr>>>,
}

struct Pane(Rc<Cell<usize>>);

impl Mirrors for Glass {
    fn open(&self, _local: IpAddr, peer: Option<IpAddr>) -> Option<Box<dyn Mirror>> {
        self.left.set(self.left.get().checked_sub(1)?);
        self.opened_for.set(peer);
        Some(Box::new(Pane(Rc::clone(&self.left))))
    }
}

impl Mirror for Pane {
    fn addr(&self) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 99], 40_404))
    }
}

impl Drop for Pane {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

const ECHO: &str = "sip:echo@example.test";

fn story_with(mirrors: usize) -> (Story, ByHand, Glass) {
    let glass = Glass { left: Rc::new(Cell::new(mirrors)), ..Glass::default() };
    let story = Story::new(1, Instant::now());
    server().resource::<Box<dyn Mirrors>>(Box::new(glass.clone())).at(&story, "example.test");
    let alice = ByHand::new(&story, "alice");
    (story, alice, glass)
}

fn server() -> Server {
    let settings = Settings { domains: Domains::new(["example.test"]), ..Settings::default() };
    let wanting = settings.clone();
    Server::new().application(echo::application(settings), move |request| echo::wants(&wanting, request))
}

fn media(response: &Response) -> String {
    text(response.body())
}

fn version(description: &str) -> u64 {
    let origin = description.lines().find(|line| line.starts_with("o=")).unwrap();
    origin.split(' ').nth(2).unwrap().parse().unwrap()
}

#[test]
fn a_phone_that_calls_is_answered_at_once() {
    let (story, _, glass) = story_with(1);
    let dora = story.person("dora");
    dora.calls_uri(ECHO);
    story.a_moment();
    story.expect(dora.talks(), "dora hears herself");
    assert_eq!(glass.left.get(), 0);
    dora.hangs_up();
    ends(&story);
    assert_eq!((dora.outcome(), dora.end()), (Some(Outcome::Answered), Some(End::HungUp)));
    assert_eq!(glass.left.get(), 1, "the mirror is free again");
}

#[test]
fn the_answer_names_the_mirror() {
    let (story, alice, glass) = story_with(1);
    alice.invites(ECHO, &[], SDP);
    let answer = alice.latest_response();
    assert_eq!(answer.status().code(), 200);
    assert!(media(&answer).contains("c=IN IP4 192.0.2.99\r\n") && media(&answer).contains("m=audio 40404 RTP/AVP 8"));
    assert_eq!(glass.opened_for.get(), Some("192.0.2.1".parse().unwrap()));
    alice.acks("");
    alice.says(Method::Bye, &[], "");
    ends(&story);
}

/// RFC 3264 §8.4.
#[test]
fn hold_and_resume_are_agreed_to_by_reinvite_and_by_update() {
    let (story, alice, _) = story_with(1);
    alice.invites(ECHO, &[], SDP);
    let first = version(&media(&alice.latest_response()));
    alice.acks("");
    for method in [Method::Invite, Method::Update] {
        alice.says(method.clone(), &[], HOLD);
        assert!(media(&alice.latest_response()).contains("a=recvonly"), "{method}");
        if method == Method::Invite {
            alice.acks("");
        }
        alice.says(method.clone(), &[], SDP);
        assert!(!media(&alice.latest_response()).contains("a=recvonly"), "{method}");
        if method == Method::Invite {
            alice.acks("");
        }
    }
    assert_eq!(version(&media(&alice.latest_response())), first + 4);
    alice.says(Method::Bye, &[], "");
    ends(&story);
}

#[test]
fn an_update_without_an_offer_is_a_refresh() {
    let (story, alice, _) = story_with(1);
    alice.invites(ECHO, &[], SDP);
    alice.acks("");
    alice.says(Method::Update, &[], "");
    assert_eq!((alice.latest_response().status().code(), media(&alice.latest_response()).as_str()), (200, ""));
    alice.says(Method::Bye, &[], "");
    ends(&story);
}

/// RFC 3261 §13.3.1.4 and §13.2.1.
#[test]
fn an_invite_without_an_offer_is_answered_with_one() {
    let (story, alice, _) = story_with(1);
    alice.invites(ECHO, &[], "");
    assert!(media(&alice.latest_response()).contains("m=audio 40404"));
    alice.acks(SDP);
    alice.says(Method::Bye, &[], "");
    assert_eq!(alice.latest_response().status().code(), 200);
    ends(&story);
}

#[test]
fn an_offer_of_ours_that_is_not_answered_ends_the_call() {
    let (story, alice, glass) = story_with(1);
    alice.invites(ECHO, &[], "");
    alice.acks("");
    assert_eq!(alice.methods(), ["BYE"]);
    alice.replies(200, &[], "");
    ends(&story);
    assert_eq!(glass.left.get(), 1);
}

#[test]
fn an_offer_that_does_not_fit_is_not_acceptable_here() {
    let (story, alice, glass) = story_with(1);
    let fax = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=image 5000 udptl t38\r\n";
    alice.invites(ECHO, &[], fax);
    assert_eq!(alice.statuses(), [488]);
    alice.invites(ECHO, &[], "v=0\r\nnonsense");
    assert_eq!(alice.statuses(), [488, 400]);
    ends(&story);
    assert_eq!(glass.left.get(), 1, "the mirror is free again");
}

#[test]
fn when_all_mirrors_are_taken_the_user_is_busy() {
    let (story, alice, _) = story_with(0);
    alice.invites(ECHO, &[], SDP);
    assert_eq!(alice.statuses(), [486]);
    ends(&story);
}

#[test]
fn a_server_without_mirrors_has_no_such_service() {
    let story = Story::new(1, Instant::now());
    server().at(&story, "example.test");
    let alice = ByHand::new(&story, "alice");
    alice.invites(ECHO, &[], SDP);
    assert_eq!(alice.statuses(), [503]);
    ends(&story);
}

/// RFC 3428.
#[test]
fn a_message_comes_back() {
    let (story, alice, _) = story_with(1);
    alice.asks(Method::Message, ECHO, &[], "is this thing on?");
    assert_eq!(alice.statuses(), [200]);
    let back = alice.latest(&Method::Message);
    assert_eq!(text(back.body()), "is this thing on?");
    assert_eq!(value(back.headers(), "Content-Type").as_deref(), Some("text/plain"));
    alice.replies(200, &[], "");
    ends(&story);
}

#[test]
fn two_echoes_do_not_talk_to_each_other_for_ever() {
    let (story, alice, _) = story_with(1);
    alice.asks(Method::Message, ECHO, &[("Auto-Submitted", "auto-replied")], "is this thing on?");
    assert_eq!((alice.statuses(), alice.methods()), (vec![200], vec![]));
    ends(&story);
}

/// RFC 3261 §11.2.
#[test]
fn options_tell_what_it_can() {
    let (story, alice, _) = story_with(1);
    alice.asks(Method::Options, ECHO, &[], "");
    let answer = alice.latest_response();
    assert_eq!(answer.status().code(), 200);
    assert!(value(answer.headers(), "Allow").unwrap().contains("INVITE"));
    assert!(value(answer.headers(), "Accept").unwrap().contains("application/sdp"));
    ends(&story);
}

/// RFC 4028: a caller that asks for a session timer is kept to it.
#[test]
fn a_caller_that_vanishes_does_not_keep_its_mirror_for_ever() {
    let (story, alice, glass) = story_with(1);
    alice.invites(ECHO, &[("Supported", "timer"), ("Session-Expires", "90;refresher=uac"), ("Min-SE", "90")], SDP);
    assert_eq!(value(alice.latest_response().headers(), "Session-Expires").as_deref(), Some("90;refresher=uac"));
    alice.acks("");
    story.world_mut().set_down(alice.node(), true);
    story.run_for(Duration::from_secs(200));
    assert_eq!(glass.left.get(), 1, "the mirror is free again");
    ends(&story);
}
