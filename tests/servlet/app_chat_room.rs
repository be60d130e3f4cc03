//! Chat rooms, with a switchboard that is played: RFC 7701, RFC 4579, RFC 4575.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sdp::{Attribute, MediaDescription, MediaType, Protocol, Token};
use sip_message::{Method, Request};
use testkit::Story;

use crate::app_support::by_hand::{ByHand, text, value};
use crate::app_support::{SDP, Server, ends};
use applications::chat_room::room::{ParticipantId, Policy};
use applications::chat_room::{self, Happening, Opened, Plan, Settings, Switchboard};
use applications::domains::Domains;

const ROOM: &str = "sip:chat@example.test";

/// Carries messages nowhere, and remembers what it was told.
#[derive(Clone, Default)]
struct Played(Rc<RefCell<Board>>);

#[derive(Default)]
struct Board {
    lines: BTreeMap<ParticipantId, Line>,
    happenings: VecDeque<(ParticipantId, Happening)>,
    waker: Option<Waker>,
    opening: Opening,
}

/// What becomes of a session that is opened.
#[derive(Clone, Copy, Default, PartialEq)]
enum Opening {
    #[default]
    Succeeds,
    Waits,
    Fails,
}

/// One MSRP session.
#[derive(Clone, Default)]
struct Line {
    peer: Option<MediaDescription>,
    sent: Vec<String>,
    answers: Vec<(String, Result<(), u16>)>,
    is_closed: bool,
}

impl Switchboard for Played {
    fn open(&self, session: ParticipantId, plan: Plan) {
        let known = self.0.borrow_mut().lines.insert(session, Line::default());
        assert!(known.is_none(), "a session is opened once");
        let opening = self.0.borrow().opening;
        match opening {
            Opening::Succeeds => self.happens(session, opened(session, &plan)),
            Opening::Waits => {}
            Opening::Fails => self.happens(session, Happening::Ended { reason: "no ports".into() }),
        }
    }

    fn connect(&self, session: ParticipantId, peer: &MediaDescription) {
        self.line(session, |line| line.peer = Some(peer.clone()));
    }

    fn send(&self, session: ParticipantId, _copy: u64, content: Bytes) {
        self.line(session, |line| line.sent.push(text(&content)));
    }

    fn answer(&self, session: ParticipantId, message: &str, verdict: Result<(), (u16, &'static str)>) {
        let answer = (message.to_owned(), verdict.map_err(|(code, _)| code));
        self.line(session, |line| line.answers.push(answer));
    }

    fn answer_nickname(&self, session: ParticipantId, transaction: &str, verdict: Result<(), (u16, &'static str)>) {
        self.answer(session, transaction, verdict);
    }

    fn close(&self, session: ParticipantId) {
        self.0.borrow_mut().happenings.retain(|(id, _)| *id != session);
        if let Some(line) = self.0.borrow_mut().lines.get_mut(&session) {
            line.is_closed = true;
        }
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<(ParticipantId, Happening)> {
        let mut board = self.0.borrow_mut();
        board.waker = Some(context.waker().clone());
        board.happenings.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

fn opened(session: ParticipantId, plan: &Plan) -> Happening {
    let protocol = plan.peer.as_ref().map_or(Protocol::TcpMsrp, |peer| peer.protocol.clone());
    let mut media = MediaDescription::new(MediaType::Message, 2855, protocol);
    media.formats.push(Token::new("*").unwrap());
    let path = format!("msrp://192.0.2.99:2855/session{};tcp", session.0);
    media.attributes.push(Attribute::new("path", path).unwrap());
    media.attributes.push(Attribute::new("setup", "passive").unwrap());
    Happening::Opened(Box::new(Opened { address: IpAddr::from([192, 0, 2, 99]), media }))
}

impl Played {
    fn line<R>(&self, session: ParticipantId, act: impl FnOnce(&mut Line) -> R) -> R {
        let mut board = self.0.borrow_mut();
        let line = board.lines.get_mut(&session).filter(|line| !line.is_closed);
        act(line.expect("orders are for sessions that are there"))
    }

    fn happens(&self, session: ParticipantId, happening: Happening) {
        let waker = {
            let mut board = self.0.borrow_mut();
            board.happenings.push_back((session, happening));
            board.waker.clone()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn all_are_closed(&self) -> bool {
        self.0.borrow().lines.values().all(|line| line.is_closed)
    }
}

struct Scene {
    story: Story,
    board: Played,
}

/// Somebody who calls rooms; the latest session is his.
struct Guest {
    phone: ByHand,
    board: Played,
    session: RefCell<Option<ParticipantId>>,
}

fn scene() -> Scene {
    scene_with(Policy::default())
}

fn scene_with(policy: Policy) -> Scene {
    let board = Played::default();
    let story = Story::new(1, Instant::now());
    let settings = Settings { policy, domains: Domains::new(["example.test"]), ..Settings::default() };
    server(settings).resource::<Box<dyn Switchboard>>(Box::new(board.clone())).at(&story, "example.test");
    Scene { story, board }
}

fn server(settings: Settings) -> Server {
    let wanting = settings.clone();
    Server::new().application(chat_room::application(settings), move |request| chat_room::wants(&wanting, request))
}

/// An offer of a chat, and nothing else.
fn chat(name: &str) -> String {
    description(&format!("m=message 7654 TCP/MSRP *\r\na=path:msrp://192.0.2.7:7654/{name};tcp\r\n{ABLE}"))
}

const ABLE: &str =
    "a=accept-types:message/cpim\r\na=accept-wrapped-types:*\r\na=chatroom:nickname private-messages\r\n";

fn description(media: &str) -> String {
    format!("v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n{media}")
}

/// A message in its wrapper.
fn letter(from: &str, to: &str, said: &str) -> String {
    format!("From: <{from}>\r\nTo: <{to}>\r\n\r\nContent-Type: text/plain\r\n\r\n{said}")
}

impl Scene {
    fn guest(&self, name: &str) -> Guest {
        let address = format!("sip:{name}@example.org");
        let phone = ByHand::at(&self.story, name, &address);
        Guest { phone, board: self.board.clone(), session: RefCell::default() }
    }

    /// Somebody who is in the room.
    fn guest_in(&self, name: &str) -> Guest {
        let guest = self.guest(name);
        guest.joins(ROOM);
        guest
    }

    /// Another device of somebody.
    fn device(&self, name: &str) -> ByHand {
        ByHand::at(&self.story, &format!("{name}-watching"), &format!("sip:{name}@example.org"))
    }

    #[track_caller]
    fn ends(&self) {
        ends(&self.story);
        assert!(self.board.all_are_closed(), "no MSRP session is left");
    }
}

impl Guest {
    fn address(&self) -> String {
        format!("sip:{}@example.org", self.name())
    }

    fn name(&self) -> String {
        self.phone.name()
    }

    #[track_caller]
    fn joins(&self, room: &str) {
        self.calls(room, &[], &chat(&self.name()));
        assert_eq!(self.phone.latest_response().status().code(), 200);
        self.phone.acks("");
    }

    fn calls(&self, room: &str, headers: &[(&str, &str)], body: &str) {
        self.phone.invites(room, headers, body);
        self.is_at_the_latest_session();
    }

    fn is_at_the_latest_session(&self) {
        *self.session.borrow_mut() = self.board.0.borrow().lines.keys().last().copied();
    }

    fn id(&self) -> ParticipantId {
        self.session.borrow().unwrap()
    }

    fn line(&self) -> Line {
        self.board.0.borrow().lines[&self.id()].clone()
    }

    fn happens(&self, story: &Story, happening: Happening) {
        self.board.happens(self.id(), happening);
        story.a_moment();
    }

    /// Sends a message; how it is answered.
    fn says(&self, scene: &Scene, to: &str, said: &str) -> Result<(), u16> {
        let content = Bytes::from(letter(&self.address(), to, said));
        let content_type: Arc<str> = "message/cpim".into();
        self.happens(&scene.story, Happening::Said { message: said.into(), content_type, content });
        self.answer(said)
    }

    fn wants_to_be_called(&self, scene: &Scene, nickname: &str) -> Result<(), u16> {
        let transaction: Arc<str> = "t-1".into();
        self.happens(&scene.story, Happening::Nickname { transaction, nickname: nickname.into() });
        self.answer("t-1")
    }

    #[track_caller]
    fn answer(&self, of: &str) -> Result<(), u16> {
        let line = self.line();
        let (_, verdict) = line.answers.iter().rfind(|(message, _)| message == of).expect("an answer");
        *verdict
    }

    /// What he was told, without the wrappers.
    fn heard(&self) -> Vec<String> {
        let said = |letter: &String| letter.rsplit("\r\n").next().unwrap().to_owned();
        self.line().sent.iter().map(said).collect()
    }

    fn leaves(&self) {
        self.phone.says(Method::Bye, &[], "");
    }
}

impl ByHand {
    #[track_caller]
    fn subscribes(&self, room: &str, headers: &[(&str, &str)]) -> u16 {
        let mut all = vec![("Event", "conference")];
        all.extend(headers);
        self.asks(Method::Subscribe, room, &all, "");
        self.latest_response().status().code()
    }

    /// The latest NOTIFY, which is answered.
    #[track_caller]
    fn is_told(&self) -> Request {
        let notify = self.latest(&Method::Notify);
        self.replies_to(&Method::Notify, 200, &[], "");
        notify
    }

    fn notifies(&self) -> usize {
        self.methods().iter().filter(|method| *method == "NOTIFY").count()
    }
}

fn state(notify: &Request) -> String {
    value(notify.headers(), "Subscription-State").unwrap()
}

/// `full 1: alice, bob`
fn roster(notify: &Request) -> String {
    let body = text(notify.body());
    let part = |before: &str, rest: &str| {
        rest.split(before).nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("").to_owned()
    };
    let head = body.split("<conference-info").nth(1).unwrap();
    let users = body.split("<user ").skip(1).map(|user| {
        let uri = part("entity=\"", user);
        let name = uri.trim_start_matches("sip:").split('@').next().unwrap().to_owned();
        let nickname = part("xcon:nickname=\"", user);
        let nickname = if nickname.is_empty() { nickname } else { format!(" ({nickname})") };
        let gone = if user.contains("state=\"deleted\"") { " gone" } else { "" };
        format!("{name}{nickname}{gone}")
    });
    let users: Vec<String> = users.collect();
    format!("{} {}: {}", part("state=\"", head), part("version=\"", head), users.join(", "))
}

/// RFC 4579 §5.1, RFC 7701 §5.2 and §9.1.
#[test]
fn whoever_calls_a_room_is_answered_by_a_focus() {
    let scene = scene();
    let alice = scene.guest("alice");
    alice.joins("sip:chat-lobby@example.test");
    let answer = alice.phone.latest_response();
    let contact = value(answer.headers(), "Contact").unwrap();
    assert!(contact.starts_with("<sip:chat-lobby@") && contact.ends_with(";isfocus"), "{contact}");
    assert_eq!(value(answer.headers(), "Allow-Events").as_deref(), Some("conference"));
    let description = text(answer.body());
    for line in [
        "m=message 2855 TCP/MSRP *\r\n",
        "c=IN IP4 192.0.2.99\r\n",
        "a=accept-types:message/cpim\r\n",
        "a=chatroom:nickname private-messages\r\n",
    ] {
        assert!(description.contains(line), "{line} in\n{description}");
    }
    assert_eq!(alice.line().peer.unwrap().msrp_path(), Some("msrp://192.0.2.7:7654/alice;tcp"));
    alice.leaves();
    scene.ends();
}

/// RFC 7701 §6.1, §9.3.
#[test]
fn what_one_says_the_others_hear() {
    let scene = scene();
    let (alice, bob, carol) = (scene.guest_in("alice"), scene.guest_in("bob"), scene.guest_in("carol"));
    assert_eq!(alice.says(&scene, ROOM, "hello"), Ok(()));
    assert_eq!(bob.says(&scene, ROOM, "hi"), Ok(()));
    assert_eq!((alice.heard(), bob.heard()), (vec!["hi".to_owned()], vec!["hello".to_owned()]));
    assert_eq!(carol.heard(), ["hello", "hi"]);
    assert_eq!(carol.line().sent[0], letter("sip:alice@example.org", ROOM, "hello"), "octet by octet");
    [alice, bob, carol].iter().for_each(Guest::leaves);
    scene.ends();
}

#[test]
fn rooms_of_other_names_are_other_rooms() {
    let scene = scene();
    let (alice, bob) = (scene.guest_in("alice"), scene.guest("bob"));
    bob.joins("sip:chat-lobby@example.test");
    assert_eq!(alice.says(&scene, ROOM, "hello"), Ok(()));
    assert_eq!(alice.says(&scene, &bob.address(), "psst"), Err(404));
    assert_eq!(bob.heard(), [""; 0]);
    [alice, bob].iter().for_each(Guest::leaves);
    scene.ends();
}

/// RFC 7701 §6.2, §9.4.
#[test]
fn a_private_message_is_heard_by_one() {
    let scene = scene();
    let (alice, bob, carol) = (scene.guest_in("alice"), scene.guest_in("bob"), scene.guest_in("carol"));
    assert_eq!(alice.says(&scene, &bob.address(), "psst"), Ok(()));
    assert_eq!((bob.heard(), carol.heard()), (vec!["psst".to_owned()], vec![]));
    assert_eq!(alice.says(&scene, "sip:dave@example.org", "psst"), Err(404));
    [alice, bob, carol].iter().for_each(Guest::leaves);
    scene.ends();
}

#[test]
fn nobody_speaks_for_others_and_everything_has_a_wrapper() {
    let scene = scene();
    let (alice, bob) = (scene.guest_in("alice"), scene.guest_in("bob"));
    let says = |content_type: &str, content: String| {
        let (content_type, content) = (content_type.into(), content.into());
        alice.happens(&scene.story, Happening::Said { message: "m".into(), content_type, content });
        alice.answer("m")
    };
    assert_eq!(says("message/cpim", letter(&bob.address(), ROOM, "I am Bob")), Err(403));
    assert_eq!(says("text/plain", "hello".to_owned()), Err(415));
    assert_eq!(says("message/cpim", "hello".to_owned()), Err(400));
    assert_eq!(bob.heard(), [""; 0]);
    [alice, bob].iter().for_each(Guest::leaves);
    scene.ends();
}

#[test]
fn whoever_comes_late_hears_the_latest_messages() {
    let scene = scene_with(Policy { history: 2, ..Policy::default() });
    let alice = scene.guest_in("alice");
    for said in ["one", "two", "three"] {
        alice.says(&scene, ROOM, said).unwrap();
    }
    let bob = scene.guest_in("bob");
    assert_eq!(bob.heard(), ["two", "three"]);
    assert!(bob.line().peer.is_some());
    [alice, bob].iter().for_each(Guest::leaves);
    let carol = scene.guest_in("carol");
    assert_eq!(carol.heard(), [""; 0], "the room was over");
    carol.leaves();
    scene.ends();
}

/// RFC 4575 §3.2: full at first, then what has changed; RFC 7701 §7.4.
#[test]
fn a_participant_is_told_who_comes_who_goes_and_who_is_called_what() {
    let scene = scene();
    let (alice, bob) = (scene.guest_in("alice"), scene.guest_in("bob"));
    let watcher = scene.device("alice");
    assert_eq!(watcher.subscribes(ROOM, &[]), 200);
    let notify = watcher.is_told();
    assert_eq!((roster(&notify).as_str(), state(&notify).as_str()), ("full 1: alice, bob", "active;expires=3600"));
    assert_eq!(value(notify.headers(), "Content-Type").as_deref(), Some(chat_room::CONFERENCE_INFO));
    assert_eq!(value(notify.headers(), "Event").as_deref(), Some("conference"));
    assert_eq!(bob.wants_to_be_called(&scene, "Bobby"), Ok(()));
    assert_eq!(alice.wants_to_be_called(&scene, "bobby"), Err(425));
    assert_eq!(roster(&watcher.is_told()), "partial 2: bob (Bobby)");
    scene.story.run_for(Duration::from_secs(6));
    bob.leaves();
    assert_eq!(roster(&watcher.is_told()), "partial 3: bob gone");
    watcher.says(Method::Subscribe, &[("Event", "conference")], "");
    assert_eq!(roster(&watcher.is_told()), "full 4: alice");
    alice.leaves();
    let notify = watcher.is_told();
    assert_eq!((roster(&notify).as_str(), state(&notify).as_str()), ("deleted 5: ", "terminated;reason=noresource"));
    scene.ends();
}

/// RFC 4575 §3.9.
#[test]
fn a_subscriber_is_told_every_five_seconds_at_most() {
    let scene = scene();
    let alice = scene.guest_in("alice");
    let watcher = scene.device("alice");
    watcher.subscribes(ROOM, &[]);
    watcher.is_told();
    let bob = scene.guest_in("bob");
    assert_eq!(roster(&watcher.is_told()), "partial 2: bob");
    let carol = scene.guest_in("carol");
    bob.leaves();
    assert_eq!(watcher.notifies(), 2);
    scene.story.run_for(Duration::from_secs(6));
    assert_eq!(roster(&watcher.is_told()), "partial 3: bob gone, carol");
    [alice, carol].iter().for_each(Guest::leaves);
    watcher.is_told();
    scene.ends();
}

/// RFC 4575 §3.5.
#[test]
fn a_room_tells_only_those_who_are_in_it() {
    let scene = scene();
    let (mallory, watcher) = (scene.device("mallory"), scene.device("bob"));
    assert_eq!(mallory.subscribes(ROOM, &[]), 404, "there is no such room");
    let (alice, bob) = (scene.guest_in("alice"), scene.guest_in("bob"));
    assert_eq!(mallory.subscribes(ROOM, &[]), 403);
    assert_eq!(watcher.subscribes(ROOM, &[]), 200);
    watcher.is_told();
    bob.leaves();
    assert_eq!(state(&watcher.is_told()), "terminated;reason=rejected");
    alice.leaves();
    scene.ends();
}

#[test]
fn a_subscription_is_ended_by_its_subscriber_by_its_time_and_by_a_failure() {
    let scene = scene();
    let alice = scene.guest_in("alice");
    let watchers = ["one", "two", "three"].map(|name| ByHand::at(&scene.story, name, &alice.address()));
    for watcher in &watchers {
        assert_eq!(watcher.subscribes(ROOM, &[("Expires", "60")]), 200);
    }
    watchers[0].is_told();
    watchers[0].says(Method::Subscribe, &[("Event", "conference"), ("Expires", "0")], "");
    assert_eq!(state(&watchers[0].is_told()), "terminated;reason=timeout");
    watchers[1].is_told();
    watchers[2].replies_to(&Method::Notify, 481, &[], "");
    scene.story.run_for(Duration::from_secs(61));
    assert_eq!(state(&watchers[1].is_told()), "terminated;reason=timeout");
    assert_eq!(watchers[2].notifies(), 1);
    assert_eq!(watchers[2].subscribes(ROOM, &[("Expires", "59")]), 423);
    assert_eq!(watchers[2].subscribes(ROOM, &[("Accept", "text/plain")]), 406);
    alice.leaves();
    scene.ends();
}

/// RFC 7701 §5.2.
#[test]
fn who_asks_for_privacy_is_known_by_a_name_that_tells_nothing() {
    let scene = scene();
    let (alice, dave) = (scene.guest_in("alice"), scene.guest("dave"));
    dave.calls(ROOM, &[("Privacy", "id")], &chat("dave"));
    dave.phone.acks("");
    let watcher = scene.device("alice");
    watcher.subscribes(ROOM, &[]);
    let notify = watcher.is_told();
    assert_eq!(roster(&notify), "full 1: alice, anonymous-1");
    assert!(!text(notify.body()).contains("dave"), "{}", text(notify.body()));
    assert_eq!(dave.says(&scene, ROOM, "it is me"), Err(403), "in his own name");
    assert_eq!(alice.says(&scene, "sip:anonymous-1@anonymous.invalid", "psst"), Ok(()));
    assert_eq!(dave.heard(), ["psst"]);
    let own = scene.device("dave");
    assert_eq!(own.subscribes(ROOM, &[]), 200, "he himself may know who is there");
    own.is_told();
    [alice, dave].iter().for_each(Guest::leaves);
    watcher.is_told();
    own.is_told();
    own.is_told();
    scene.ends();
}

#[test]
fn a_participant_whose_connection_is_lost_is_hung_up_on() {
    let scene = scene();
    let (alice, bob) = (scene.guest_in("alice"), scene.guest_in("bob"));
    bob.happens(&scene.story, Happening::Ended { reason: "reset by peer".into() });
    assert_eq!(bob.phone.methods(), ["BYE"]);
    bob.phone.replies(200, &[], "");
    assert_eq!(alice.says(&scene, &bob.address(), "are you there?"), Err(404));
    alice.leaves();
    scene.ends();
}

/// RFC 4028.
#[test]
fn a_participant_who_vanishes_does_not_stay_for_ever() {
    let scene = scene();
    let (alice, bob) = (scene.guest_in("alice"), scene.guest("bob"));
    let timer = [("Supported", "timer"), ("Session-Expires", "90;refresher=uac"), ("Min-SE", "90")];
    bob.calls(ROOM, &timer, &chat("bob"));
    bob.phone.acks("");
    scene.story.world_mut().set_down(bob.phone.node(), true);
    scene.story.run_for(Duration::from_secs(200));
    assert!(bob.line().is_closed);
    assert_eq!(alice.says(&scene, &bob.address(), "are you there?"), Err(404));
    alice.leaves();
    scene.ends();
}

/// RFC 3261 §13.3.1.4.
#[test]
fn a_caller_who_does_not_acknowledge_is_not_in_the_room_for_long() {
    let scene = scene();
    let alice = scene.guest("alice");
    alice.calls(ROOM, &[], &chat("alice"));
    scene.story.run_for(Duration::from_secs(33));
    assert!(alice.line().is_closed);
    assert_eq!(alice.phone.methods(), ["BYE"]);
    alice.phone.replies(200, &[], "");
    scene.ends();
}

#[test]
fn a_call_that_is_given_up_before_its_answer_leaves_nothing() {
    let scene = scene();
    scene.board.0.borrow_mut().opening = Opening::Waits;
    let alice = scene.guest("alice");
    alice.calls(ROOM, &[], &chat("alice"));
    assert_eq!(alice.phone.statuses(), [0; 0]);
    alice.phone.cancels();
    assert_eq!(alice.phone.statuses(), [487]);
    assert!(alice.line().is_closed);
    scene.ends();
}

#[test]
fn a_call_without_an_end_of_ours_is_refused() {
    let scene = scene();
    scene.board.0.borrow_mut().opening = Opening::Fails;
    let alice = scene.guest("alice");
    alice.calls(ROOM, &[], &chat("alice"));
    assert_eq!(alice.phone.statuses(), [503]);
    scene.ends();
}

#[test]
fn a_server_without_a_switchboard_has_no_rooms() {
    let story = Story::new(1, Instant::now());
    server(Settings { domains: Domains::new(["example.test"]), ..Settings::default() }).at(&story, "example.test");
    let alice = ByHand::new(&story, "alice");
    alice.invites(ROOM, &[], &chat("alice"));
    assert_eq!(alice.statuses(), [503]);
    ends(&story);
}

/// RFC 3261 §13.2.1: an INVITE without an offer is answered with one.
#[test]
fn a_caller_who_offers_nothing_is_in_the_room_with_his_answer() {
    let scene = scene();
    let (alice, bob) = (scene.guest_in("alice"), scene.guest("bob"));
    bob.calls(ROOM, &[], "");
    assert!(text(bob.phone.latest_response().body()).contains("a=path:msrp://192.0.2.99:2855/"));
    assert_eq!(alice.says(&scene, &bob.address(), "are you there?"), Err(404));
    bob.phone.acks(&chat("bob"));
    assert_eq!(alice.says(&scene, &bob.address(), "are you there?"), Ok(()));
    assert_eq!(bob.heard(), ["are you there?"]);
    let carol = scene.guest("carol");
    carol.calls(ROOM, &[], "");
    carol.phone.acks("");
    assert_eq!(carol.phone.methods(), ["BYE"], "who answers nothing is hung up on");
    carol.phone.replies(200, &[], "");
    [alice, bob].iter().for_each(Guest::leaves);
    scene.ends();
}

#[test]
fn what_is_no_chat_is_not_acceptable_here() {
    let scene = scene();
    let alice = scene.guest("alice");
    for (body, status) in [
        (SDP.to_owned(), 488),
        (chat("alice").replace("message/cpim", "text/plain"), 488),
        ("v=0\r\nnonsense".to_owned(), 400),
    ] {
        alice.phone.invites(ROOM, &[], &body);
        assert_eq!(alice.phone.latest_response().status().code(), status, "{body}");
    }
    let both = description(&format!(
        "m=audio 40000 RTP/AVP 8\r\nm=message 7654 TCP/MSRP *\r\na=path:msrp://192.0.2.7:7654/a;tcp\r\n{ABLE}"
    ));
    alice.calls(ROOM, &[], &both);
    let answer = text(alice.phone.latest_response().body());
    assert!(answer.contains("m=audio 0 RTP/AVP 8\r\n") && answer.contains("m=message 2855 "), "{answer}");
    alice.phone.acks("");
    alice.leaves();
    scene.ends();
}

#[test]
fn a_full_room_is_busy() {
    let scene = scene_with(Policy { max_participants: 1, ..Policy::default() });
    let (alice, bob) = (scene.guest_in("alice"), scene.guest("bob"));
    bob.phone.invites(ROOM, &[], &chat("bob"));
    assert_eq!(bob.phone.statuses(), [486]);
    alice.leaves();
    bob.joins(ROOM);
    bob.leaves();
    scene.ends();
}

#[test]
fn a_call_is_refreshed_and_its_stream_stays_where_it_is() {
    let scene = scene();
    let alice = scene.guest_in("alice");
    let next = |body: &str| body.replace("o=- 1 1 ", "o=- 1 2 ");
    alice.phone.says(Method::Invite, &[], &next(&chat("alice")));
    let answer = alice.phone.latest_response();
    assert!(value(answer.headers(), "Contact").unwrap().ends_with(";isfocus"));
    assert!(text(answer.body()).contains("m=message 2855 "));
    alice.phone.acks("");
    alice.phone.says(Method::Update, &[], "");
    assert_eq!(alice.phone.latest_response().status().code(), 200);
    alice.phone.says(Method::Invite, &[], &next(SDP));
    assert_eq!(alice.phone.latest_response().status().code(), 488);
    assert_eq!(alice.says(&scene, ROOM, "still here"), Ok(()));
    alice.phone.says(Method::Invite, &[], "");
    assert!(text(alice.phone.latest_response().body()).contains("m=message 2855 "));
    alice.phone.acks(&chat("alice"));
    assert_eq!(alice.says(&scene, ROOM, "and here"), Ok(()));
    alice.leaves();
    scene.ends();
}

/// The o= line, and what is below it.
fn ours(guest: &Guest) -> (String, String) {
    let description = text(guest.phone.latest_response().body());
    let origin = description.lines().find(|line| line.starts_with("o=")).unwrap().to_owned();
    (origin.clone(), description.replace(&origin, ""))
}

/// RFC 4028 §7.4 and RFC 3264 §8: a refresh repeats what is agreed, and is answered with what is.
#[test]
fn a_session_timer_finds_everything_as_it_was() {
    let scene = scene();
    let (alice, bob) = (scene.guest("alice"), scene.guest_in("bob"));
    let timer = [("Supported", "timer"), ("Session-Expires", "90;refresher=uac")];
    alice.calls(ROOM, &timer, &chat("alice"));
    let first = ours(&alice);
    alice.phone.acks("");
    for method in [Method::Update, Method::Invite, Method::Update] {
        scene.story.run_for(Duration::from_secs(45));
        alice.phone.says(method.clone(), &timer, &chat("alice"));
        let answer = alice.phone.latest_response();
        assert_eq!(answer.status().code(), 200, "{method}");
        assert_eq!(value(answer.headers(), "Session-Expires").as_deref(), Some("90;refresher=uac"));
        assert_eq!(ours(&alice), first, "the same session, the same version");
        if method == Method::Invite {
            alice.phone.acks("");
        }
    }
    scene.story.run_for(Duration::from_secs(45));
    assert_eq!(bob.says(&scene, &alice.address(), "still there?"), Ok(()));
    assert_eq!(alice.board.0.borrow().lines.len(), 2, "nothing was opened anew");
    [alice, bob].iter().for_each(Guest::leaves);
    scene.ends();
}

/// RFC 4975 §8.9.
#[test]
fn whoever_holds_is_sent_nothing_until_he_holds_no_longer() {
    let scene = scene();
    let (alice, bob) = (scene.guest_in("alice"), scene.guest_in("bob"));
    let said = |version: u32, direction: &str| {
        format!("{}a={direction}\r\n", chat("alice").replace("o=- 1 1 ", &format!("o=- 1 {version} ")))
    };
    alice.phone.says(Method::Invite, &[], &said(2, "inactive"));
    let (held, description) = ours(&alice);
    assert!(description.contains("a=inactive\r\n"), "{description}");
    alice.phone.acks("");
    assert_eq!(bob.says(&scene, ROOM, "not for all"), Ok(()));
    alice.phone.says(Method::Update, &[], &said(3, "sendrecv"));
    let (resumed, description) = ours(&alice);
    assert!(!description.contains("a=inactive") && resumed != held, "{resumed}\n{description}");
    assert_eq!(bob.says(&scene, ROOM, "for all"), Ok(()));
    assert_eq!(alice.heard(), ["for all"]);
    [alice, bob].iter().for_each(Guest::leaves);
    scene.ends();
}

#[test]
fn a_stream_moves_and_its_user_keeps_his_seat_and_his_nickname() {
    let scene = scene();
    let (alice, bob) = (scene.guest_in("alice"), scene.guest_in("bob"));
    alice.wants_to_be_called(&scene, "Al").unwrap();
    bob.says(&scene, ROOM, "before").unwrap();
    for (number, method) in [Method::Invite, Method::Update].into_iter().enumerate() {
        let before = alice.line();
        let offer = chat(&format!("elsewhere{number}")).replace("o=- 1 1 ", &format!("o=- 1 {} ", number + 2));
        alice.phone.says(method.clone(), &[], &offer);
        let answer = alice.phone.latest_response();
        assert_eq!(answer.status().code(), 200, "{method}");
        let was = alice.id();
        alice.is_at_the_latest_session();
        assert!(text(answer.body()).contains(&format!("/session{};tcp", alice.id().0)));
        if method == Method::Invite {
            alice.phone.acks("");
        }
        let is_closed = || scene.board.0.borrow().lines[&was].is_closed;
        assert!(!before.is_closed && !is_closed(), "the new session may be on the same connection");
        alice.happens(&scene.story, Happening::Connected);
        assert!(is_closed());
        let path = format!("msrp://192.0.2.7:7654/elsewhere{number};tcp");
        assert_eq!(alice.line().peer.unwrap().msrp_path(), Some(&*path));
        assert_eq!(alice.says(&scene, ROOM, "from here"), Ok(()));
        assert_eq!(bob.says(&scene, &alice.address(), "psst"), Ok(()));
        assert_eq!(alice.heard(), ["psst"], "nothing is told again");
        assert_eq!(bob.wants_to_be_called(&scene, "al"), Err(425));
    }
    [alice, bob].iter().for_each(Guest::leaves);
    scene.ends();
}

#[test]
fn a_stream_that_can_not_move_stays() {
    let scene = scene();
    let (alice, bob) = (scene.guest_in("alice"), scene.guest_in("bob"));
    let offer = chat("elsewhere").replace("o=- 1 1 ", "o=- 1 2 ");
    scene.board.0.borrow_mut().opening = Opening::Fails;
    alice.phone.says(Method::Invite, &[], &offer);
    assert_eq!(alice.phone.latest_response().status().code(), 488);
    assert_eq!(bob.says(&scene, &alice.address(), "psst"), Ok(()));

    scene.board.0.borrow_mut().opening = Opening::Waits;
    alice.phone.says(Method::Invite, &[], &offer.replace("o=- 1 2 ", "o=- 1 3 "));
    alice.phone.cancels();
    assert_eq!(alice.phone.latest_response().status().code(), 487);
    assert_eq!(bob.says(&scene, &alice.address(), "psst"), Ok(()), "a CANCEL is not for the call");
    assert_eq!(alice.heard(), ["psst", "psst"]);

    // Whose connection is lost while he moves, and who does not arrive, is gone.
    alice.phone.says(Method::Invite, &[], &offer.replace("o=- 1 2 ", "o=- 1 4 "));
    alice.happens(&scene.story, Happening::Ended { reason: "reset by peer".into() });
    assert_eq!(alice.phone.methods(), [""; 0]);
    alice.is_at_the_latest_session();
    alice.happens(&scene.story, Happening::Ended { reason: "no ports".into() });
    assert_eq!(alice.phone.latest_response().status().code(), 488);
    assert_eq!(alice.phone.methods(), ["BYE"]);
    alice.phone.replies(200, &[], "");
    bob.leaves();
    scene.ends();
}

#[test]
fn options_tell_what_it_can() {
    let scene = scene();
    let alice = scene.guest("alice");
    alice.phone.asks(Method::Options, ROOM, &[], "");
    let answer = alice.phone.latest_response();
    assert_eq!(answer.status().code(), 200);
    assert_eq!(value(answer.headers(), "Allow-Events").as_deref(), Some("conference"));
    alice.phone.asks(Method::Subscribe, ROOM, &[("Event", "presence")], "");
    assert_ne!(alice.phone.latest_response().status().code(), 200, "other packages are not its business");
    scene.ends();
}
