//! Engines behind a relay engine (RFC 4976 §5), over loopback: who can be talked to, what comes through, and how it ends.

#![cfg(feature = "driver")]
#![allow(clippy::unwrap_used, reason = "an unwrap of a test is an assertion")]

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use msrp::driver::{
    ChatPlan, FileFacts, IncomingFile, MsrpCommand, MsrpEngine, MsrpEvent, MsrpSettings, OutgoingFile, RelayEngine,
    RelayEngineSettings, RelayPlan, Remote, StreamKey, TlsSettings, Verification, WebSockets,
};
use msrp::endpoint::{EndReason, MessageId, OutgoingMessage};
use msrp::relay::{Authority, Settings, Verdict};
use msrp::uri::MsrpUri;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const SOON: Duration = Duration::from_secs(10);
const STREAM: StreamKey = StreamKey(7);

/// Lets in who knows the word, and connects to nobody.
struct Door;

impl Authority for Door {
    fn challenge(&mut self, _: Instant) -> String {
        "Digest realm=\"relay\", nonce=\"once\", qop=\"auth\"".to_owned()
    }

    fn check(&mut self, now: Instant, authorization: &str, method: &str, _: &str) -> Verdict {
        match (authorization, method) {
            ("Digest sesame", "AUTH") => Verdict::Accepted { user: "somebody".into(), info: None },
            _ => Verdict::Challenge { challenge: self.challenge(now), is_stale: false },
        }
    }

    fn allows(&mut self, _: &str, _: &MsrpUri) -> bool {
        false
    }
}

fn relay(secure: bool) -> RelayEngine {
    let settings = RelayEngineSettings {
        listen: SocketAddr::new(LOOPBACK, 0),
        relay: Settings::new("127.0.0.1", 0, secure),
        tls: TlsSettings::default(),
        websockets: WebSockets::Never,
        max_connections: 100,
    };
    RelayEngine::start(settings, || Box::new(Door)).unwrap()
}

/// A plan that goes through a relay, with what is said at its door.
fn through(relay: SocketAddr, secure: bool, word: &'static str) -> ChatPlan {
    let scheme = if secure { "msrps" } else { "msrp" };
    let uri = format!("{scheme}://{relay};tcp").parse().unwrap();
    let answer = move |challenge: msrp::relay::client::Challenge<'_>| {
        assert!(challenge.challenge.starts_with("Digest realm=\"relay\"") && challenge.host == "127.0.0.1");
        Some(format!("Digest {word}"))
    };
    ChatPlan { relay: Some(RelayPlan { uri, answer: Arc::new(answer) }), ..ChatPlan::new(LOOPBACK) }
}

/// An engine with what it has told.
struct End {
    engine: MsrpEngine,
    events: Receiver<MsrpEvent>,
}

/// What an end says of itself.
struct Here {
    path: msrp::uri::Path,
    fingerprint: Option<Arc<str>>,
}

impl End {
    /// Whose relays need no certificate of an authority.
    fn start() -> End {
        let (tell, events) = channel();
        let tls = TlsSettings { verification: Verification::None, ..TlsSettings::default() };
        let settings = MsrpSettings { tls, ..MsrpSettings::default() };
        End { engine: MsrpEngine::start(settings, move |event| drop(tell.send(event))).unwrap(), events }
    }

    fn order(&self, command: MsrpCommand) {
        self.engine.handle().send(command).unwrap();
    }

    fn prepare(&self, plan: ChatPlan) -> Here {
        self.order(MsrpCommand::Prepare { stream: STREAM, plan });
        self.awaits(|event| match event {
            MsrpEvent::Prepared { path, fingerprint, .. } => Some(Here { path, fingerprint }),
            MsrpEvent::Failed { reason, .. } => panic!("{reason}"),
            _ => None,
        })
    }

    fn awaits<T>(&self, what: impl Fn(MsrpEvent) -> Option<T>) -> T {
        let end = Instant::now() + SOON;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let event = self.events.recv_timeout(left).expect("what is awaited comes");
            if let Some(found) = what(event) {
                return found;
            }
        }
    }

    fn apply(&self, there: &Here, we_connect: bool) {
        let fingerprints = there.fingerprint.iter().cloned().collect();
        let remote = Remote { path: there.path.clone(), we_connect, next_hop: None, fingerprints };
        self.order(MsrpCommand::Apply { stream: STREAM, remote });
    }

    fn is_bound(&self) {
        self.awaits(|event| matches!(event, MsrpEvent::Bound { .. }).then_some(()));
    }

    fn says(&self, id: &str, text: &str) {
        let message = OutgoingMessage::whole(MessageId(id.into()), "text/plain", text.to_owned(), true);
        self.order(MsrpCommand::Send { stream: STREAM, message });
    }

    fn hears(&self) -> String {
        self.awaits(|event| match event {
            MsrpEvent::Got { message, .. } => Some(String::from_utf8(message.content.to_vec()).unwrap()),
            _ => None,
        })
    }

    /// What becomes of a message: its code, and whether it has arrived.
    fn outcome(&self, id: &str) -> (bool, u16) {
        self.awaits(|event| match event {
            MsrpEvent::Delivered { id: of, code, .. } if of.as_str() == id => Some((true, code)),
            MsrpEvent::NotDelivered { id: of, code, .. } if of.as_str() == id => Some((false, code)),
            _ => None,
        })
    }

    fn fails(&self, plan: ChatPlan) -> String {
        self.order(MsrpCommand::Prepare { stream: STREAM, plan });
        self.awaits(|event| match event {
            MsrpEvent::Prepared { path, .. } => panic!("{path}"),
            MsrpEvent::Failed { reason, .. } => Some(reason.to_string()),
            _ => None,
        })
    }

    fn ends(&self) -> EndReason {
        self.awaits(|event| match event {
            MsrpEvent::Closed { reason, .. } => Some(reason),
            _ => None,
        })
    }
}

/// Two ends with a session between them, of which `active` connects: 0 or 1.
fn pair(plans: [ChatPlan; 2], active: usize) -> [End; 2] {
    let ends = [End::start(), End::start()];
    let [here, there] = [0, 1].map(|at| ends[at].prepare(plans[at].clone()));
    ends[1 - active].apply([&here, &there][active], false);
    ends[active].apply([&there, &here][active], true);
    ends.iter().for_each(End::is_bound);
    ends
}

/// Both know what became of what they have said.
fn talk([one, other]: &[End; 2]) {
    one.says("m1", "hello");
    assert_eq!(other.hears(), "hello");
    assert_eq!(one.outcome("m1"), (true, 200));
    other.says("m2", "hello yourself");
    assert_eq!(one.hears(), "hello yourself");
    assert_eq!(other.outcome("m2"), (true, 200));
}

/// §5.1, RFC 6135 §4.5: each has its connection to the relay, whoever of them sends first.
#[test]
fn two_who_are_both_behind_a_relay_talk_whoever_begins() {
    for secure in [false, true] {
        let relay = relay(secure);
        for active in [0, 1] {
            let plan = through(relay.address(), secure, "sesame");
            let ends = pair([plan.clone(), plan], active);
            talk(&ends);
        }
    }
}

/// Who needs no relay goes to the other's; the relay connects to nobody.
#[test]
fn one_behind_a_relay_is_reached_there_by_one_who_is_not() {
    for secure in [false, true] {
        let relay = relay(secure);
        let direct = ChatPlan { is_secure: secure, ..ChatPlan::new(LOOPBACK) };
        let ends = pair([direct, through(relay.address(), secure, "sesame")], 0);
        talk(&ends);
    }
}

/// Each behind a relay of its own: the first one is a client to the second like any other, and may not be.
#[test]
fn a_relay_that_connects_to_nobody_is_the_end_of_the_way_to_another() {
    let relays = [relay(false), relay(false)];
    let ends = [End::start(), End::start()];
    let heres = [0, 1].map(|at| ends[at].prepare(through(relays[at].address(), false, "sesame")));
    ends[1].apply(&heres[0], false);
    ends[0].apply(&heres[1], true);
    assert!(matches!(ends[0].ends(), EndReason::Refused(403, _)));
}

/// The path that the other side gets begins with the relay; our own certificate, which nobody will see there, is not described.
#[test]
fn the_path_of_one_behind_a_relay_begins_with_the_relay() {
    let relay = relay(true);
    let end = End::start();
    let here = end.prepare(through(relay.address(), true, "sesame"));
    let [first, last] = here.path.uris() else { panic!("{}", here.path) };
    assert_eq!((first.port(), first.is_secure()), (Some(relay.address().port()), true));
    assert!(first.session_id().is_some() && last.is_secure() && last.port() != first.port());
    assert_eq!(here.fingerprint, None);
}

#[test]
fn who_does_not_know_the_word_has_no_stream() {
    let relay = relay(false);
    let end = End::start();
    let why = end.fails(through(relay.address(), false, "please"));
    assert_eq!(why, "relay 127.0.0.1: the relay does not know this user by this password");
    // And another attempt may be better.
    end.prepare(through(relay.address(), false, "sesame"));
}

#[test]
fn a_relay_that_is_not_there_is_told_at_once() {
    let gone = relay(false).address();
    let why = End::start().fails(through(gone, false, "sesame"));
    assert!(why.starts_with("relay 127.0.0.1: the connection is gone: ") && why.contains("refused"), "{why}");
}

/// RFC 4976 §9.2: it is known by its certificate, which somebody must vouch for.
#[test]
fn a_relay_that_can_not_prove_its_name_is_told_nothing() {
    let relay = relay(true);
    let (tell, events) = channel();
    let engine = MsrpEngine::start(MsrpSettings::default(), move |event| drop(tell.send(event))).unwrap();
    let strict = End { engine, events };
    let mut plan = through(relay.address(), true, "");
    let answer = |_: msrp::relay::client::Challenge<'_>| panic!("it was asked");
    plan.relay = plan.relay.map(|relay| RelayPlan { answer: Arc::new(answer), ..relay });
    let why = strict.fails(plan);
    assert!(why.starts_with("relay 127.0.0.1: the connection is gone: "), "{why}");
}

#[test]
fn the_end_of_the_relay_is_the_end_of_its_streams() {
    let relay = relay(false);
    let plan = through(relay.address(), false, "sesame");
    let ends = pair([plan.clone(), plan.clone()], 0);
    // One that has not begun to talk.
    let waiting = End::start();
    waiting.prepare(plan);
    waiting.says("m1", "for later");
    drop(relay);
    for end in &ends {
        assert!(matches!(end.ends(), EndReason::ConnectionLost(_)));
    }
    assert_eq!(waiting.outcome("m1"), (false, 0));
    assert!(matches!(waiting.ends(), EndReason::ConnectionLost(why) if why.starts_with("relay 127.0.0.1: ")));
}

/// It goes through in pieces as they come, and its sender knows when it is whole.
#[test]
fn a_file_goes_through_a_relay() {
    for secure in [false, true] {
        let (relay, folder) = (relay(secure), Folder::new());
        let (from, to) = (folder.0.join("from"), folder.0.join("to"));
        fs::create_dir_all(&from).unwrap();
        let path = from.join("notes.bin");
        fs::write(&path, (0..3_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<_>>())
            .unwrap();
        let facts = FileFacts::of(&path).unwrap();
        let plan = through(relay.address(), secure, "sesame");
        let ends = pair([plan.clone(), ChatPlan { receives_file: true, ..plan }], 0);
        let (name, size, hash) = (facts.name.clone(), Some(facts.size), Some(facts.hash));
        let file = IncomingFile { folder: to.clone(), name, size, hash, from: 0 };
        ends[1].order(MsrpCommand::ReceiveFile { stream: STREAM, file });
        let (id, content_type) = (MessageId("file1".into()), "x/y".into());
        let file = OutgoingFile { id, path: path.clone(), content_type, from: 0 };
        ends[0].order(MsrpCommand::SendFile { stream: STREAM, file });
        for end in [1, 0] {
            let error = ends[end].awaits(|event| match event {
                MsrpEvent::FileEnded { error, .. } => Some(error),
                _ => None,
            });
            assert_eq!(error, None);
        }
        assert!(fs::read(to.join("notes.bin")).unwrap() == fs::read(&path).unwrap());
    }
}

/// A folder of one test's own, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("relayed-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
