//! The two legs of a back-to-back user agent: what comes on one goes out on the other, and neither learns of the other's
//! network.

use std::time::{Duration, Instant};

use crate::app_support::by_hand::{ByHand, text, value};
use crate::app_support::{HOLD, SDP, Server, ends, fork};
use applications::b2bua::{self, Settings};
use sip_message::{HeaderName, Method};
use testkit::{Link, NodeId, Outcome, Person, Story};

struct Call {
    story: Story,
    server: NodeId,
    alice: ByHand,
    bob: ByHand,
}

const ROUTE: (&str, &str) = ("Route", "<sip:example.test;lr>");

fn call(settings: Settings) -> Call {
    let story = Story::new(1, Instant::now());
    let wanting = settings.clone();
    let server = Server::new()
        .application(b2bua::application(settings), move |request| b2bua::wants(&wanting, request))
        .at(&story, "example.test");
    let (alice, bob) = (ByHand::new(&story, "alice"), ByHand::new(&story, "bob"));
    Call { story, server, alice, bob }
}

impl Call {
    fn ringing() -> Call {
        let call = call(Settings::default());
        call.alice.invites("sip:bob@bob", &[ROUTE, ("Supported", "100rel, timer"), ("X-Colour", "green")], SDP);
        call
    }

    fn talking() -> Call {
        let call = Call::ringing();
        call.bob.replies(200, &[], SDP);
        call.alice.acks("");
        call
    }

    fn is_over(&self) {
        self.alice.says(Method::Bye, &[], "");
        self.bob.replies(200, &[], "");
        ends(&self.story);
    }
}

#[test]
fn the_callee_learns_nothing_of_the_callers_network() {
    let call = Call::talking();
    let invite = call.bob.latest(&Method::Invite);
    let headers = invite.headers();
    assert_eq!(headers.values(HeaderName::Via).count(), 1);
    assert!(!headers.contains(HeaderName::RecordRoute) && !headers.contains(HeaderName::Route));
    let alices = call.story.world().address(call.alice.node(), sip_message::Transport::Udp).unwrap().ip().to_string();
    let servers = call.story.world().address(call.server, sip_message::Transport::Udp).unwrap().ip().to_string();
    let written = text(&invite.to_bytes());
    let head = written.split("\r\n\r\n").next().unwrap();
    assert!(!head.contains(&alices), "{head}");
    assert!(value(headers, "Contact").unwrap().contains(&servers), "{head}");
    assert!(!value(headers, "Call-ID").unwrap().contains("by-hand"), "{head}");
    let answer = call.alice.latest_response();
    assert!(value(answer.headers(), "Contact").unwrap().contains(&servers));
    call.is_over();
}

#[test]
fn headers_that_nobody_here_knows_and_bodies_pass() {
    let call = Call::ringing();
    let invite = call.bob.latest(&Method::Invite);
    assert_eq!(value(invite.headers(), "X-Colour").as_deref(), Some("green"));
    assert_eq!((text(invite.body()).as_str(), value(invite.headers(), "Max-Forwards").as_deref()), (SDP, Some("69")));
    call.bob.replies(200, &[("X-Colour", "red"), ("Supported", "timer")], SDP);
    let answer = call.alice.latest_response();
    assert_eq!(value(answer.headers(), "X-Colour").as_deref(), Some("red"));
    assert_eq!((text(answer.body()).as_str(), value(answer.headers(), "Supported").as_deref()), (SDP, Some("timer")));
    call.alice.acks("");
    call.is_over();
}

#[test]
fn early_media_passes() {
    let call = Call::ringing();
    call.bob.replies(183, &[], SDP);
    assert_eq!((call.alice.statuses(), text(call.alice.latest_response().body())), (vec![183], SDP.to_owned()));
    call.bob.replies(200, &[], SDP);
    call.alice.acks("");
    assert_eq!(call.alice.statuses(), [183, 200]);
    call.is_over();
}

/// RFC 3262: each leg has its own RSeq, and the PRACK that comes on one goes out on the other.
#[test]
fn a_reliable_response_is_acknowledged_end_to_end() {
    let call = Call::ringing();
    call.bob.replies(183, &[("Require", "100rel"), ("RSeq", "77")], SDP);
    let progress = call.alice.latest_response();
    assert_eq!(progress.headers().values(HeaderName::Require).collect::<Vec<_>>(), ["100rel"]);
    assert!(progress.headers().contains(HeaderName::Rseq));
    call.alice.pracks("");
    let prack = call.bob.latest(&Method::Prack);
    assert_eq!(value(prack.headers(), "RAck").as_deref(), Some("77 1 INVITE"));
    call.story.expect_eq(call.alice.statuses(), vec![183], "alice's PRACK waits for bob");
    // The PRACK is the second request that bob has not answered.
    call.bob.replies_to(&Method::Prack, 200, &[], "");
    call.story.expect_eq(call.alice.statuses(), vec![183, 200], "alice's PRACK is answered");
    call.bob.replies(200, &[], "");
    call.alice.acks("");
    call.is_over();
}

#[test]
fn requests_of_the_dialog_pass_in_both_directions() {
    let call = Call::talking();
    for (method, body) in [
        (Method::Invite, HOLD),
        (Method::Update, HOLD),
        (Method::Info, "Signal=5"),
        (Method::Message, "hello"),
        (Method::Other("FOO".into()), ""),
    ] {
        for (one, other) in [(&call.alice, &call.bob), (&call.bob, &call.alice)] {
            one.says(method.clone(), &[], body);
            assert_eq!(text(other.latest(&method).body()), body, "{method}");
            other.replies(202, &[], "");
            assert_eq!(one.latest_response().status().code(), 202, "{method}");
            if method == Method::Invite {
                one.acks("");
            }
        }
    }
    call.is_over();
}

#[test]
fn a_referral_passes_with_its_notifications() {
    let call = Call::talking();
    call.alice.says(Method::Refer, &[("Refer-To", "<sip:carol@carol>")], "");
    assert_eq!(value(call.bob.latest(&Method::Refer).headers(), "Refer-To").as_deref(), Some("<sip:carol@carol>"));
    call.bob.replies(202, &[], "");
    call.bob.says(
        Method::Notify,
        &[("Event", "refer"), ("Subscription-State", "terminated;reason=noresource")],
        "SIP/2.0 200 OK",
    );
    call.alice.replies(200, &[], "");
    assert_eq!(call.bob.latest_response().status().code(), 200);
    call.is_over();
}

/// RFC 3261 §14.1: what the other side refuses is refused, and the call goes on as it was.
#[test]
fn a_reinvite_that_is_refused_ends_nothing() {
    let call = Call::talking();
    call.alice.says(Method::Invite, &[], HOLD);
    call.bob.replies(488, &[], "");
    assert_eq!(call.alice.latest_response().status().code(), 488);
    call.is_over();
}

#[test]
fn a_refusal_passes_as_it_is() {
    let call = Call::ringing();
    call.bob.replies(486, &[("Retry-After", "60"), ("Warning", "399 bob \"at lunch\"")], "");
    let refusal = call.alice.latest_response();
    assert_eq!((refusal.status().code(), refusal.reason()), (486, "Busy Here"));
    assert_eq!(value(refusal.headers(), "Retry-After").as_deref(), Some("60"));
    assert_eq!(value(refusal.headers(), "Warning").as_deref(), Some("399 bob \"at lunch\""));
    ends(&call.story);
}

/// RFC 3261 §13.2.1: the offer is in the 2xx then, and the answer in the ACK.
#[test]
fn an_invite_without_an_offer_has_its_answer_in_the_ack() {
    let call = call(Settings::default());
    call.alice.invites("sip:bob@bob", &[ROUTE], "");
    call.bob.replies(200, &[], SDP);
    assert_eq!(call.bob.ack_bodies(), [""; 0], "nobody has acknowledged yet");
    call.alice.acks(SDP);
    assert_eq!(call.bob.ack_bodies(), [SDP]);
    call.is_over();
}

#[test]
fn a_caller_who_gives_up_is_told_487_and_the_callee_is_cancelled_with_the_reason() {
    let call = Call::ringing();
    call.bob.replies(180, &[], "");
    call.alice.cancels();
    call.story.expect(call.bob.was_cancelled(), "bob's phone stops");
    assert_eq!(call.alice.statuses(), [180, 487]);
    ends(&call.story);
}

#[test]
fn a_callee_that_does_not_answer_at_all_is_reported_as_timed_out() {
    let call = call(Settings::default());
    call.story.world_mut().set_down(call.bob.node(), true);
    call.alice.invites("sip:bob@bob", &[ROUTE], SDP);
    call.story.run_for(Duration::from_secs(33));
    assert_eq!(call.alice.statuses(), [408]);
    ends(&call.story);
}

#[test]
fn a_next_hop_gets_the_call_with_its_request_uri_unchanged() {
    let hop = servlet::SipUri::parse("sip:bob").unwrap();
    let call = call(Settings { next_hop: Some(hop), ..Settings::default() });
    call.alice.invites("sip:dora@elsewhere.invalid", &[ROUTE], SDP);
    let invite = call.bob.latest(&Method::Invite);
    assert_eq!(invite.uri_text(), "sip:dora@elsewhere.invalid");
    assert_eq!(value(invite.headers(), "Route").as_deref(), Some("<sip:bob;lr>"));
    call.bob.replies(404, &[], "");
    ends(&call.story);
}

/// RFC 3261 §13.3.1.4: "If the server retransmits the 2xx response for 64*T1 seconds without receiving an ACK … the
/// session SHOULD be terminated" by a BYE.
#[test]
fn a_caller_who_never_acknowledges_ends_both_legs() {
    let call = Call::ringing();
    call.bob.replies(200, &[], SDP);
    call.story.run_for(Duration::from_secs(33));
    for side in [&call.alice, &call.bob] {
        call.story.expect(side.methods().contains(&"BYE".to_owned()), "both are told");
    }
    call.bob.replies(200, &[], "");
    call.alice.replies(200, &[], "");
    ends(&call.story);
}

#[test]
fn a_call_in_which_nothing_is_said_for_too_long_is_ended() {
    let call = call(Settings { longest_silence: servlet::Minutes(10), ..Settings::default() });
    call.alice.invites("sip:bob@bob", &[ROUTE], SDP);
    call.bob.replies(200, &[], SDP);
    call.alice.acks("");
    call.story.run_for(Duration::from_secs(9 * 60));
    call.story.expect_eq(call.bob.methods(), vec!["INVITE".to_owned()], "nothing happens yet");
    call.story.run_for(Duration::from_secs(62));
    for side in [&call.alice, &call.bob] {
        assert_eq!(side.methods().last().map(String::as_str), Some("BYE"));
        side.replies(200, &[], "");
    }
    ends(&call.story);
}

/// RFC 3261 §12.1: each phone of bob's that rings makes an early dialog of its own, on both legs.
#[test]
fn of_two_forks_the_one_that_answers_has_the_call() {
    let story = Story::new(1, Instant::now());
    let wanting = Settings::default();
    Server::new()
        .application(b2bua::application(Settings::default()), move |request| b2bua::wants(&wanting, request))
        .at(&story, "example.test");
    let alice = ByHand::new(&story, "alice");
    fork(&story, "fork", &["sip:bob@bob", "sip:bob@mobile"]);
    let (bob, mobile) = (ByHand::new(&story, "bob"), ByHand::new(&story, "mobile"));
    alice.invites("sip:bob@fork", &[ROUTE], SDP);
    bob.replies(183, &[], SDP);
    mobile.replies(180, &[], "");
    let tags = alice.to_tags();
    assert_eq!(tags.len(), 2, "each early dialog has a tag of its own: {tags:?}");
    mobile.replies(200, &[], SDP);
    alice.acks("");
    assert_eq!(alice.statuses(), [183, 180, 200]);
    assert_eq!(alice.to_tags().last(), Some(&tags[1]));
    alice.says(Method::Bye, &[], "");
    mobile.replies(200, &[], "");
    ends(&story);
}

/// RFC 3261 §15: "The caller's UA MAY send a BYE for either confirmed or early dialogs".
#[test]
fn a_bye_in_an_early_dialog_stops_the_callees_phone() {
    let call = Call::ringing();
    call.bob.replies(180, &[], "");
    call.alice.says(Method::Bye, &[], "");
    call.story.expect(call.bob.was_cancelled(), "bob's phone stops");
    ends(&call.story);
}

/// RFC 3261 §9.1: what is cancelled in a call that is up is the re-INVITE, and the call goes on.
#[test]
fn a_reinvite_can_be_given_up() {
    let call = Call::talking();
    call.alice.says(Method::Invite, &[], HOLD);
    call.bob.replies(180, &[], "");
    call.alice.cancels();
    call.story.expect(call.bob.was_cancelled(), "bob need not answer any more");
    assert_eq!(call.alice.latest_response().status().code(), 487);
    call.is_over();
}

/// RFC 3261 §22.1: who is asked for a password asks again, and that is another call for those in between.
#[test]
fn a_challenge_passes_and_so_do_the_credentials() {
    let call = Call::ringing();
    call.bob.replies(401, &[("WWW-Authenticate", "Digest realm=\"bob\", nonce=\"1\"")], "");
    let challenge = call.alice.latest_response();
    assert_eq!(value(challenge.headers(), "WWW-Authenticate").as_deref(), Some("Digest realm=\"bob\", nonce=\"1\""));
    let credentials = "Digest username=\"alice\", realm=\"bob\", nonce=\"1\", uri=\"sip:bob@bob\", response=\"0\"";
    call.alice.invites("sip:bob@bob", &[ROUTE, ("Authorization", credentials)], SDP);
    assert_eq!(value(call.bob.latest(&Method::Invite).headers(), "Authorization").as_deref(), Some(credentials));
    call.bob.replies(603, &[], "");
    ends(&call.story);
}

/// RFC 3261 §14.1, §14.2: two re-INVITEs that meet are both tried again, and both go through.
#[test]
fn both_may_ask_for_another_description_at_the_same_time() {
    let (story, alice, bob) = phones(3);
    alice.calls(&bob);
    story.run_for(Duration::from_secs(3));
    alice.reinvites();
    bob.reinvites();
    story.run_for(Duration::from_secs(20));
    for person in [&alice, &bob] {
        story.expect_eq(person.record().unwrap().talk().unwrap().reinvites, 1, "re-INVITEs that went through");
    }
    alice.hangs_up();
    ends(&story);
}

/// Whatever is lost, doubled or overtaken on the way: both sides agree on the end.
#[test]
fn a_bad_network_leaves_no_half_a_call() {
    for seed in 0..20 {
        let (story, alice, bob) = phones(seed);
        story.links(Link::PERFECT.with_loss(0.2).with_duplication(0.1).with_jitter(Duration::from_millis(30)));
        alice.calls(&bob);
        story.run_for(Duration::from_secs(30));
        alice.reinvites();
        story.run_for(Duration::from_secs(30));
        bob.hangs_up();
        story.run_for(Duration::from_secs(70));
        story.links(Link::PERFECT);
        if alice.talks() {
            alice.hangs_up();
        }
        ends(&story);
        story.expect(!alice.talks() && !bob.talks(), &format!("nobody talks any more, seed {seed}"));
        let both = (alice.outcome(), bob.outcome());
        let odd = both.0 == Some(Outcome::Answered) && both.1.is_some_and(|outcome| outcome == Outcome::Cancelled);
        story.expect(!odd, &format!("{both:?}, seed {seed}"));
    }
}

fn phones(seed: u64) -> (Story, Person, Person) {
    let story = Story::new(seed, Instant::now());
    let wanting = Settings::default();
    Server::new()
        .application(b2bua::application(Settings::default()), move |request| b2bua::wants(&wanting, request))
        .at(&story, "example.test");
    let (alice, bob) = (story.person("alice"), story.person("bob"));
    alice.goes_through(&["sip:example.test;lr"]);
    bob.usually_answers(Duration::from_secs(1), Duration::from_secs(2));
    (story, alice, bob)
}
