//! The presence server, told with the container between those who publish and those who watch: RFC 3903, RFC 6665,
//! RFC 3856.

use std::time::{Duration, Instant};

use crate::app_messaging::{Peer, Server, ends, text, value};
use applications::presence::pidf::CONTENT_TYPE;
use applications::presence::{Authorization, WatcherPolicy};
use container::Container;
use sip_message::{Method, Request, Response};
use testkit::{Link, NodeId, Story};

const SECOND: Duration = Duration::from_secs(1);
const ALICE: &str = "sip:alice@example.test";

struct Scene {
    story: Story,
    server: Vec<NodeId>,
    alice: Peer,
    bob: Peer,
}

fn scene() -> Scene {
    scene_with(Server::default())
}

fn scene_with(server: Server) -> Scene {
    let story = Story::new(1, Instant::now());
    let server = server.at(&story);
    let (alice, bob) = (Peer::new(&story, "alice"), Peer::new(&story, "bob"));
    Scene { story, server, alice, bob }
}

/// A document with one tuple, whose note says what is meant.
fn document(note: &str) -> String {
    format!(
        "<?xml version='1.0'?><presence xmlns='urn:ietf:params:xml:ns:pidf' entity='{ALICE}'><tuple id='t'><status>\
         <basic>open</basic></status><note>{note}</note></tuple></presence>"
    )
}

/// The notes of all tuples, as a NOTIFY has them; `closed` where there are none.
fn notes(notify: &Request) -> String {
    let body = text(notify.body());
    assert_eq!(value(notify.headers(), "Content-Type"), CONTENT_TYPE);
    assert!(body.contains(&format!("entity=\"{ALICE}\"")), "{body}");
    let notes: Vec<&str> = body.split("<note>").skip(1).map(|rest| &rest[..rest.find('<').unwrap()]).collect();
    if notes.is_empty() && body.contains("<basic>closed</basic>") { "closed".to_owned() } else { notes.join(" ") }
}

fn state(notify: &Request) -> String {
    value(notify.headers(), "Subscription-State")
}

fn entity_tag(response: &Response) -> String {
    assert_eq!(response.status().code(), 200);
    value(response.headers(), "SIP-ETag")
}

impl Peer {
    fn publishes(&self, headers: &[(&str, &str)], body: &str) -> Response {
        let mut all = vec![("Event", "presence")];
        all.extend(headers);
        self.sends(Method::Publish, ALICE, &all, (CONTENT_TYPE, body))
    }

    /// What it was told, in order.
    fn was_told(&self) -> Vec<String> {
        self.received(&Method::Notify).iter().map(notes).collect()
    }
}

impl Scene {
    #[track_caller]
    fn ends(&self) {
        ends(&self.story, &self.server);
    }

    #[track_caller]
    fn told(&self, watcher: &Peer, expected: &[&str]) {
        let expected: Vec<String> = expected.iter().map(|note| (*note).to_owned()).collect();
        self.story.expect_eq(watcher.was_told(), expected, "what the watcher was told");
    }
}

#[test]
fn a_watcher_is_told_at_once_and_whenever_something_changes() {
    let scene = scene();
    let subscribed = scene.bob.subscribes(ALICE, &[]);
    scene.story.a_moment();
    assert_eq!(value(subscribed.headers(), "Expires"), "3600");
    scene.told(&scene.bob, &["closed"]);
    let notify = scene.bob.latest(&Method::Notify);
    assert_eq!(
        (state(&notify).as_str(), value(notify.headers(), "Event").as_str()),
        ("active;expires=3600", "presence")
    );

    let published = scene.alice.publishes(&[("Expires", "600")], &document("here"));
    assert_eq!(value(published.headers(), "Expires"), "600");
    scene.story.a_moment();
    scene.told(&scene.bob, &["closed", "here"]);

    scene.story.run_for(10 * SECOND);
    let modified = scene.alice.publishes(&[("SIP-If-Match", &entity_tag(&published))], &document("away"));
    assert_ne!(entity_tag(&modified), entity_tag(&published));
    scene.story.a_moment();
    scene.told(&scene.bob, &["closed", "here", "away"]);

    scene.story.run_for(10 * SECOND);
    scene.alice.publishes(&[("SIP-If-Match", &entity_tag(&modified)), ("Expires", "0")], "");
    scene.story.a_moment();
    scene.told(&scene.bob, &["closed", "here", "away", "closed"]);

    let over = scene.bob.refreshes(&[("Expires", "0")]);
    assert_eq!((over.status().code(), value(over.headers(), "Expires").as_str()), (200, "0"));
    scene.story.a_moment();
    assert_eq!(state(&scene.bob.latest(&Method::Notify)), "terminated;reason=timeout");
    scene.ends();
}

/// RFC 6665 §4.4.3.
#[test]
fn whoever_asks_once_is_told_once() {
    let scene = scene();
    scene.alice.publishes(&[], &document("here"));
    let answer = scene.bob.subscribes(ALICE, &[("Expires", "0"), ("Event", "presence;id=7")]);
    scene.story.a_moment();
    assert_eq!(value(answer.headers(), "Expires"), "0");
    scene.told(&scene.bob, &["here"]);
    let notify = scene.bob.latest(&Method::Notify);
    assert_eq!(state(&notify), "terminated;reason=timeout");
    assert_eq!(value(notify.headers(), "Event"), "presence;id=7");
    scene.alice.publishes(&[], &document("twice"));
    scene.ends();
    assert_eq!(scene.bob.was_told().len(), 1);
}

/// RFC 6665 §4.2.1.4.
#[test]
fn a_subscription_lives_as_long_as_it_is_refreshed() {
    let scene = scene();
    scene.bob.subscribes(ALICE, &[("Expires", "60")]);
    scene.story.run_for(50 * SECOND);
    let refreshed = scene.bob.refreshes(&[("Expires", "70")]);
    assert_eq!(value(refreshed.headers(), "Expires"), "70");
    scene.story.run_for(60 * SECOND);
    assert_eq!(scene.bob.was_told().len(), 2, "the refresh is answered by a NOTIFY");
    assert_eq!(state(&scene.bob.latest(&Method::Notify)), "active;expires=70");
    scene.story.run_for(15 * SECOND);
    assert_eq!(scene.bob.was_told().len(), 3);
    assert_eq!(state(&scene.bob.latest(&Method::Notify)), "terminated;reason=timeout");
    assert_eq!(scene.bob.refreshes(&[]).status().code(), 481);
    scene.ends();
}

#[test]
fn a_publication_that_is_not_refreshed_is_forgotten() {
    let scene = scene();
    scene.bob.subscribes(ALICE, &[]);
    let published = scene.alice.publishes(&[("Expires", "60")], &document("here"));
    scene.story.run_for(50 * SECOND);
    let refreshed = scene.alice.publishes(&[("SIP-If-Match", &entity_tag(&published)), ("Expires", "60")], "");
    scene.story.run_for(50 * SECOND);
    scene.told(&scene.bob, &["closed", "here"]);
    scene.story.run_for(15 * SECOND);
    scene.told(&scene.bob, &["closed", "here", "closed"]);
    let late = scene.alice.publishes(&[("SIP-If-Match", &entity_tag(&refreshed))], "");
    assert_eq!(late.status().code(), 412);
    scene.ends();
}

#[test]
fn a_document_is_what_all_publishers_say() {
    let scene = scene();
    scene.alice.publishes(&[], &document("phone"));
    let laptop = scene.alice.publishes(&[], &document("laptop"));
    scene.bob.subscribes(ALICE, &[]);
    let carol = Peer::new(&scene.story, "carol");
    carol.subscribes(ALICE, &[]);
    scene.story.a_moment();
    scene.told(&scene.bob, &["phone laptop"]);
    scene.alice.publishes(&[("SIP-If-Match", &entity_tag(&laptop)), ("Expires", "0")], "");
    scene.story.a_moment();
    for watcher in [&scene.bob, &carol] {
        scene.told(watcher, &["phone laptop", "phone"]);
    }
    scene.ends();
}

/// RFC 3856 §6.10: "SHOULD NOT generate notifications for a single presentity at a rate of more than once every five
/// seconds".
#[test]
fn changes_that_come_too_fast_become_one() {
    let scene = scene();
    scene.bob.subscribes(ALICE, &[]);
    let mut published = scene.alice.publishes(&[], &document("0"));
    for number in 1..=4 {
        published = scene.alice.publishes(&[("SIP-If-Match", &entity_tag(&published))], &document(&number.to_string()));
    }
    scene.told(&scene.bob, &["closed", "0"]);
    scene.story.run_for(5 * SECOND);
    scene.told(&scene.bob, &["closed", "0", "4"]);
    scene.story.run_for(20 * SECOND);
    scene.told(&scene.bob, &["closed", "0", "4"]);
    scene.ends();
}

/// RFC 6665 §4.2.2.
#[test]
fn a_watcher_that_does_not_know_its_subscription_has_none() {
    let scene = scene();
    scene.bob.subscribes(ALICE, &[]);
    scene.story.a_moment();
    scene.bob.answers(&Method::Notify, Some(481));
    let published = scene.alice.publishes(&[], &document("here"));
    scene.story.run_for(10 * SECOND);
    scene.alice.publishes(&[("SIP-If-Match", &entity_tag(&published))], &document("away"));
    scene.story.run_for(10 * SECOND);
    scene.told(&scene.bob, &["closed", "here"]);
    assert_eq!(scene.bob.refreshes(&[]).status().code(), 481);
    scene.ends();
}

#[test]
fn a_watcher_that_has_vanished_is_forgotten() {
    let scene = scene();
    let carol = Peer::new(&scene.story, "carol");
    scene.bob.subscribes(ALICE, &[]);
    carol.subscribes(ALICE, &[]);
    scene.story.a_moment();
    scene.bob.answers(&Method::Notify, None);
    let published = scene.alice.publishes(&[], &document("here"));
    scene.story.run_for(40 * SECOND);
    scene.alice.publishes(&[("SIP-If-Match", &entity_tag(&published))], &document("away"));
    scene.story.run_for(10 * SECOND);
    scene.told(&scene.bob, &["closed", "here"]);
    scene.told(&carol, &["closed", "here", "away"]);
    scene.ends();
}

/// A watcher behind a link that was down is told the latest, and nothing of what was between.
#[test]
fn a_watcher_that_was_cut_off_is_told_the_latest_only() {
    let scene = scene();
    scene.bob.subscribes(ALICE, &[]);
    scene.story.a_moment();
    let cut = |loss| {
        scene.story.world_mut().network_mut().set_between(
            scene.server[0],
            scene.bob.node(),
            Link { loss, ..Link::default() },
        );
    };
    cut(1.0);
    let mut published = scene.alice.publishes(&[], &document("0"));
    for number in 1..=2 {
        scene.story.run_for(6 * SECOND);
        published = scene.alice.publishes(&[("SIP-If-Match", &entity_tag(&published))], &document(&number.to_string()));
    }
    cut(0.0);
    scene.story.run_for(10 * SECOND);
    scene.told(&scene.bob, &["closed", "0", "2"]);
    scene.ends();
}

#[test]
fn what_can_not_be_done_is_refused_with_what_would_help() {
    let scene = scene();
    let refused = |method: Method, headers: &[(&str, &str)], body: (&str, &str), status: u16, help: (&str, &str)| {
        let response = scene.alice.sends(method, ALICE, headers, body);
        scene.story.expect_eq(response.status().code(), status, &format!("the answer to {headers:?}"));
        scene.story.expect_eq(value(response.headers(), help.0), help.1.to_owned(), help.0);
    };
    let presence = ("Event", "presence");
    let contact = ("Contact", "<sip:alice@alice>");
    let here = document("here");
    let pidf = (CONTENT_TYPE, &*here);
    let no_body = ("", "");
    let publish = || Method::Publish;
    refused(publish(), &[presence, ("SIP-If-Match", "nobody")], pidf, 412, ("SIP-ETag", ""));
    refused(publish(), &[presence, ("SIP-If-Match", "a, b")], pidf, 400, ("SIP-ETag", ""));
    refused(publish(), &[presence, ("Expires", "59")], pidf, 423, ("Min-Expires", "60"));
    refused(publish(), &[presence], no_body, 400, ("SIP-ETag", ""));
    refused(publish(), &[presence], (CONTENT_TYPE, "<presence/>"), 400, ("SIP-ETag", ""));
    refused(publish(), &[presence], ("text/plain", "here"), 415, ("Accept", CONTENT_TYPE));
    refused(publish(), &[presence, ("Content-Encoding", "gzip")], pidf, 415, ("Accept-Encoding", "identity"));
    let subscribe = || Method::Subscribe;
    refused(subscribe(), &[presence, contact, ("Expires", "59")], no_body, 423, ("Min-Expires", "60"));
    refused(subscribe(), &[presence, contact, ("Accept", "text/plain")], no_body, 406, ("Accept", CONTENT_TYPE));
    scene.ends();
}

/// RFC 3903 §14.2: nobody says where somebody else is.
#[test]
fn only_the_presentity_publishes_its_presence() {
    let scene = scene();
    assert_eq!(scene.bob.publishes(&[], &document("gone")).status().code(), 403);
    scene.bob.subscribes(ALICE, &[("Expires", "0")]);
    scene.story.a_moment();
    scene.told(&scene.bob, &["closed"]);
    scene.ends();
}

/// RFC 3856 §6.6.2.
#[test]
fn a_watcher_that_is_blocked_politely_learns_nothing_not_even_that() {
    let mut server = Server::default();
    server.presence.watchers =
        WatcherPolicy::new(|request, _| match request.from().uri().and_then(|uri| uri.as_sip()?.user()).as_deref() {
            Some("bob") => Authorization::Blocked,
            Some("eve") => Authorization::Refused,
            _ => Authorization::Allowed,
        });
    let scene = scene_with(server);
    let (carol, eve) = (Peer::new(&scene.story, "carol"), Peer::new(&scene.story, "eve"));
    scene.alice.publishes(&[], &document("here"));
    assert_eq!(scene.bob.subscribes(ALICE, &[]).status().code(), 200);
    assert_eq!(carol.subscribes(ALICE, &[]).status().code(), 200);
    assert_eq!(eve.subscribes(ALICE, &[]).status().code(), 403);
    scene.alice.publishes(&[], &document("too"));
    scene.story.run_for(10 * SECOND);
    scene.told(&scene.bob, &["closed"]);
    scene.told(&carol, &["here", "here too"]);
    scene.told(&eve, &[]);
    scene.ends();
}

/// RFC 6665 §4.1.3, `deactivated`: "the subscriber SHOULD retry immediately with a new subscription".
#[test]
fn a_server_that_leaves_lets_its_watchers_go() {
    let scene = scene();
    scene.bob.subscribes(ALICE, &[]);
    scene.story.a_moment();
    scene.story.world_mut().with(scene.server[0], |container: &mut Container, now, endpoint| {
        container.stop("presence");
        container.settle(now, endpoint, &mut Vec::new());
    });
    scene.story.a_moment();
    assert_eq!(state(&scene.bob.latest(&Method::Notify)), "terminated;reason=deactivated");
    assert_eq!(scene.bob.subscribes(ALICE, &[]).status().code(), 503);
    scene.ends();
}

#[test]
fn lost_messages_change_nothing_that_lasts() {
    for seed in 0..20 {
        let story = Story::new(seed, Instant::now());
        let server = Server::default().at(&story);
        story.links(Link { loss: 0.2, ..Link::default() });
        let (alice, bob) = (Peer::new(&story, "alice"), Peer::new(&story, "bob"));
        bob.subscribes(ALICE, &[("Expires", "600")]);
        alice.publishes(&[], &document("here"));
        story.run_for(60 * SECOND);
        story.expect_eq(bob.was_told().last().map(String::as_str), Some("here"), "what bob knows");
        ends(&story, &server);
    }
}

/// The watchers and the publisher of one presentity meet, whichever shard they come to.
#[test]
fn it_does_not_matter_which_shard_is_asked() {
    let scene = scene_with(Server { shards: 4, ..Server::default() });
    let watchers: Vec<Peer> = (0..6).map(|number| Peer::new(&scene.story, &format!("watcher{number}"))).collect();
    for watcher in &watchers {
        watcher.subscribes(ALICE, &[]);
    }
    scene.alice.publishes(&[], &document("here"));
    scene.story.run_for(10 * SECOND);
    for watcher in &watchers {
        scene.told(watcher, &["closed", "here"]);
        watcher.refreshes(&[("Expires", "0")]);
    }
    scene.ends();
}
