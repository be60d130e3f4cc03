//! Stories that nobody has written: softphones and a stranger do one thing after another, over a network that loses,
//! delays, repeats and reorders. Whatever happens, the rules of the notifications hold, every session ends, every command
//! has one outcome, every message one report, and nothing is left anywhere.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use client::media::{FileDescription, MediaEvent};
use client::session::{CommandId, SessionId, State};
use client::{Data, Sender, Streams};
use client_world::{Fate, Foreigner, Peer, Person, Stage, broken, line};
use sip_endpoint::TransactionUser;
use sip_message::StatusCode;
use testkit::{Link, Random};

/// What was seen in all stories, so that a story that never gets anywhere is noticed.
type Seen = BTreeMap<&'static str, usize>;

struct Story {
    stage: Stage,
    people: Vec<Person>,
    stranger: Foreigner,
    random: Random,
    commands: Vec<(usize, CommandId)>,
    messages: BTreeMap<SessionId, usize>,
}

impl Story {
    fn new(seed: u64) -> Story {
        let stage = Stage::new(seed, Instant::now());
        let mut random = Random::new(seed);
        let names = ["alice", "bob", "dave"];
        let people = names.map(|name| {
            stage.softphone_with(name, |settings, _| {
                settings.sip.session_expires = Duration::from_secs(90);
                settings.sip.invite_timeout = Duration::from_secs(30);
                settings.sip.proposal_timeout = Duration::from_secs(10);
            })
        });
        let stranger = stage.stranger("carol");
        stage.wire().peer = *random.pick(&[Peer::Takes, Peer::Takes, Peer::Refuses(413), Peer::Silent]);
        let link = Link::with_delay(Duration::from_millis(10))
            .with_loss(*random.pick(&[0.0, 0.0, 0.1, 0.3]))
            .with_duplication(*random.pick(&[0.0, 0.1]))
            .with_jitter(*random.pick(&[Duration::ZERO, Duration::from_millis(30), Duration::from_millis(600)]));
        stage.links(link);
        for person in &people {
            let hears = random.chance(0.8);
            let has_ice = random.chance(0.5);
            person.does(|phone, _, _| {
                phone.media.hears = hears;
                phone.media.has_ice = has_ice;
            });
        }
        Story { stage, people: people.into(), stranger, random, commands: Vec::new(), messages: BTreeMap::new() }
    }

    /// One thing happens.
    fn goes_on(&mut self) {
        if self.random.chance(0.25) {
            let callees: Vec<&Person> = self.people.iter().collect();
            self.stranger.does_something(&mut self.random, &callees);
        } else {
            let who = self.random.below(self.people.len() as u64) as usize;
            self.somebody_does_something(who);
        }
        let wait = *self.random.pick(&[0, 5, 30, 300, 300, 1_000, 4_000]);
        self.stage.passes(Duration::from_millis(wait));
    }

    fn somebody_does_something(&mut self, who: usize) {
        let Story { people, random, commands, messages, stranger, .. } = self;
        let person = people[who].clone();
        let sessions = person.sees(|phone| phone.client.sessions());
        let fate = match random.below(60) {
            0 => Fate::Fails("no port is free"),
            1 => Fate::Lost,
            2..=12 => Fate::After(Duration::from_millis(400)),
            _ => Fate::After(Duration::from_millis(5)),
        };
        person.does(|phone, _, _| phone.media.fate = fate);
        if sessions.is_empty() || sessions.len() < 3 && random.chance(0.1) {
            let whom = random.below(people.len() as u64 + 1) as usize;
            let address = people.get(whom).map_or_else(|| stranger.address(), Person::address);
            if random.chance(0.15) {
                let file = FileDescription { name: "notes.txt".into(), size: Some(1_000), ..Default::default() };
                let path = "/home/notes.txt".into();
                return person.does(|phone, now, endpoint| {
                    let account = phone.account();
                    let sent = phone.client.send_file(now, endpoint, account, &address, Vec::new(), file, path);
                    sent.expect("anybody may be sent a file");
                });
            }
            let streams =
                *random.pick(&[Streams::audio(), Streams::audio(), Streams::chat(), Streams::audio_and_chat()]);
            person.dials_with(&address, Vec::new(), streams).expect("anybody may be called");
            return;
        }
        let id = *random.pick(&sessions);
        let other = people[random.below(people.len() as u64) as usize].address();
        let state = person.sees(|phone| phone.client.session(id)).map(|info| info.state);
        // Most of the time they do what is to be done.
        let what = match state {
            Some(State::Incoming | State::Proposed) if random.chance(0.7) => 10,
            Some(State::Calling | State::Accepting) if random.chance(0.8) => *random.pick(&[23, 28]),
            _ => random.below(28),
        };
        let all = person.sees(|phone| phone.client.session(id)).map(|info| info.proposed_streams).unwrap_or_default();
        let taken = *random.pick(&[all, all, Streams::audio(), Streams::chat()]);
        person.does(|phone, now, endpoint| {
            let client = &mut phone.client;
            let command = match what {
                0..=3 => Some(client.hold(now, endpoint, id)),
                4..=6 => Some(client.unhold(now, endpoint, id)),
                7 | 8 => Some(client.add_audio(now, endpoint, id)),
                9 => Some(client.remove_audio(now, endpoint, id)),
                24 | 25 => Some(client.add_chat(now, endpoint, id)),
                26 => Some(client.remove_chat(now, endpoint, id)),
                _ => None,
            };
            commands.extend(command.and_then(Result::ok).map(|command| (who, command)));
            let busy = Some(StatusCode::BUSY_HERE);
            // That it can't be done now is no fault.
            let _ = match what {
                10..=13 => client
                    .accept(now, endpoint, id, taken)
                    .or_else(|_| client.accept_proposal(now, endpoint, id, taken)),
                14 => client.reject(now, endpoint, id, busy),
                15 => client.reject_proposal(now, endpoint, id, None),
                16 => client.cancel_proposal(now, endpoint, id),
                17 => client.start_recording_audio(now, endpoint, id, None),
                18 => client.stop_recording_audio(now, endpoint, id),
                19 => client.send_dtmf(now, endpoint, id, '5'),
                20 => client.end(now, endpoint, id),
                21 => client.transfer(now, endpoint, id, &other, None),
                22 => client.accept_transfer(now, endpoint, id),
                27 => client.set_composing(now, endpoint, id, true),
                _ => Ok(()),
            };
            if what == 23 {
                let sent = client.send_message(now, endpoint, id, Bytes::from_static(b"hello"), "text/plain");
                *messages.entry(key(who, id)).or_default() += usize::from(sent.is_ok());
            }
        });
        self.media_does_something(&person);
    }

    fn media_does_something(&mut self, person: &Person) {
        let stream = person.sees(|phone| phone.media.streams().last());
        let Some(stream) = stream else { return };
        let event = match self.random.below(400) {
            0 => MediaEvent::Failed { stream, reason: "the device is gone".into() },
            1 => MediaEvent::TimedOut { stream },
            2 => MediaEvent::RecordingStopped { stream, error: Some("no space is left".into()) },
            3..=12 => MediaEvent::Digit { stream, digit: '1' },
            13..=42 => MediaEvent::FileProgress { stream, transferred: 10, total: Some(1_000) },
            43..=62 => MediaEvent::FileEnded { stream, file_name: Some("/home/notes.txt".into()), error: None },
            63 | 64 => MediaEvent::FileEnded { stream, file_name: None, error: Some("the hash differs".into()) },
            _ => return,
        };
        person.does(|phone, now, endpoint| phone.media_event(now, endpoint, event));
    }

    /// All hang up, and the world comes to rest.
    fn ends(&mut self, seed: u64) {
        for _ in 0..20 {
            for person in &self.people {
                for id in person.sees(|phone| phone.client.sessions()) {
                    person.does(|phone, now, endpoint| phone.client.end(now, endpoint, id)).expect("it can be ended");
                }
            }
            self.stranger.leaves();
            self.stage.seconds(70);
            let is_idle = self.stranger.is(|stranger| TransactionUser::is_idle(stranger));
            let quiet = self.people.iter().all(|person| person.sees(|phone| phone.client.sessions()).is_empty());
            if quiet && is_idle {
                break;
            }
        }
        self.stage.world_mut().run_until_idle();
        let leftovers = self.stage.world().leftovers();
        if !leftovers.is_empty() {
            self.stage.fail(&format!("seed {seed}: something is left behind: {}", leftovers.join("; ")));
        }
    }

    fn check(&self, seed: u64, seen: &mut Seen) {
        for (who, person) in self.people.iter().enumerate() {
            let told = person.sees(|phone| phone.notifications().to_vec());
            let mut sessions: BTreeMap<SessionId, Vec<&Data>> = BTreeMap::new();
            for notification in &told {
                if let Sender::Session(id) = notification.sender {
                    sessions.entry(id).or_default().push(&notification.data);
                    *seen.entry(notification.data.name()).or_default() += 1;
                }
            }
            assert!(told.is_sorted_by_key(|notification| notification.timestamp), "seed {seed}: time goes on");
            for (id, told) in sessions {
                if let Some(rule) = broken(&told) {
                    let told: Vec<String> = told.iter().map(|data| line(data)).collect();
                    self.stage.fail(&format!("seed {seed}: {rule}\n    {}", told.join("\n    ")));
                }
                let is_report = |data: &&&Data| {
                    matches!(data, Data::SessionDidDeliverMessage { .. } | Data::SessionDidNotDeliverMessage { .. })
                };
                let reports = told.iter().filter(is_report).count();
                let sent = self.messages.get(&key(who, id)).copied().unwrap_or_default();
                assert_eq!(reports, sent, "seed {seed}: every message has one report");
            }
        }
        for (who, command) in &self.commands {
            assert!(self.people[*who].outcome(*command).is_some(), "seed {seed}: every command has an outcome");
        }
    }
}

/// A session of one of them; the ids of several clients are the same.
fn key(who: usize, id: SessionId) -> SessionId {
    SessionId(id.0 * 8 + who as u64)
}

fn stories(seeds: std::ops::Range<u64>) -> Seen {
    let mut seen = Seen::new();
    for seed in seeds {
        let mut story = Story::new(seed);
        for _ in 0..120 {
            story.goes_on();
        }
        story.ends(seed);
        story.check(seed, &mut seen);
    }
    seen
}

/// `CORDBOARD_STORIES` says how many are told, `CORDBOARD_FIRST_STORY` with which seed they begin.
#[test]
fn whatever_happens_the_rules_hold() {
    let number = |name| std::env::var(name).ok().and_then(|number| number.parse().ok());
    let (first, many) = (number("CORDBOARD_FIRST_STORY"), number("CORDBOARD_STORIES"));
    let seen = stories(first.unwrap_or(0)..first.unwrap_or(0) + many.unwrap_or(120));
    if first.is_some() {
        return;
    }
    for name in [
        "SIPSessionDidStart",
        "SIPSessionDidFail",
        "SIPSessionGotHoldRequest",
        "SIPSessionGotUnholdRequest",
        "SIPSessionGotStreamProposal",
        "SIPSessionAcceptedStreamProposal",
        "SIPSessionRejectedStreamProposal",
        "SIPSessionDidStartRecordingAudio",
        "SIPSessionDidStopRecordingAudio",
        "SIPSessionTransferDidStart",
        "SIPSessionDidDeliverMessage",
        "SIPSessionDidNotDeliverMessage",
        "SIPSessionGotNoAudio",
        "SIPSessionGotDTMF",
        "SIPSessionGotMessage",
        "ChatStreamGotComposingIndication",
        "FileTransferHandlerProgress",
        "FileTransferHandlerDidEnd",
    ] {
        assert!(seen.get(name).copied().unwrap_or_default() > 5, "the stories get as far as {name}: {seen:#?}");
    }
}
