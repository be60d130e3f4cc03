//! A long day in a room, from a seed: what holds whatever happens.

use std::collections::BTreeSet;

use super::*;

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

const ROOM: &str = "sip:chat@example.com";
const NICKNAMES: [&str; 5] = ["", "Ann", "ann ", "Bee", "\u{0}"];

/// What an onlooker notes down.
#[derive(Default)]
struct Notes {
    there: BTreeSet<ParticipantId>,
    unsettled: Vec<(ParticipantId, u64, usize)>,
    said: usize,
    changes: usize,
}

#[test]
fn whatever_happens_the_room_keeps_its_word() {
    for seed in 0..50 {
        a_day(seed);
    }
}

fn a_day(seed: u64) {
    let mut chance = Chance(seed);
    let policy = Policy { max_participants: 6, history: 3, history_octets: 40, max_backlog: 30, ..Policy::default() };
    let mut room = Room::new(ROOM, policy);
    let mut notes = Notes::default();
    let mut seats = 0;
    for _ in 0..400 {
        // Mostly somebody who is there.
        let somebody = match notes.there.len() as u64 {
            0 => ParticipantId(chance.below(seats + 1)),
            _ if chance.below(5) == 0 => ParticipantId(chance.below(seats + 1)),
            many => *notes.there.iter().nth(chance.below(many) as usize).unwrap(),
        };
        match chance.below(12) {
            0..=1 => {
                seats += 1;
                comes(&mut room, &mut notes, ParticipantId(seats), &mut chance);
            }
            2 => {
                room.handle(Input::Leave(somebody));
                let was_there = notes.there.remove(&somebody);
                notes.unsettled.retain(|(of, ..)| *of != somebody);
                let outputs = drain(&mut room);
                assert_eq!(outputs.contains(&Output::Emptied), was_there && notes.there.is_empty());
            }
            3..=4 => is_called(&mut room, &notes, somebody, &mut chance),
            5..=6 => settles(&mut room, &mut notes, &mut chance),
            _ => says(&mut room, &mut notes, somebody, &mut chance),
        }
        check(&room, &notes, seed);
    }
    assert!(notes.said > 50 && notes.changes > 0, "seed {seed} tells nothing");
}

fn comes(room: &mut Room, notes: &mut Notes, id: ParticipantId, chance: &mut Chance) {
    let identity = match chance.below(5) {
        0 => Identity::Anonymous,
        user => Identity::Known { uri: format!("sip:user{user}@example.com"), display_name: None },
    };
    let takes = AcceptTypes::parse(if chance.below(2) == 0 { "*" } else { "text/plain" });
    let knows_private_messages = chance.below(3) > 0;
    let was_full = notes.there.len() == 6;
    room.handle(Input::Join(Box::new(Newcomer {
        id,
        identity,
        endpoint: None,
        called: None,
        takes,
        knows_private_messages,
    })));
    let outputs = drain(room);
    assert_eq!(outputs.contains(&Output::TurnedAway(id)), was_full);
    if !was_full {
        notes.there.insert(id);
    }
    notes.changes += 1;
    let history = take_copies(notes, &outputs, None);
    assert!(history.len() <= 3 && history.iter().all(|to| *to == id), "history is for who comes");
}

fn says(room: &mut Room, notes: &mut Notes, by: ParticipantId, chance: &mut Chance) {
    let own = room.participants.get(&by).map(|participant| participant.uri.clone());
    let to = if chance.below(3) == 0 { format!("sip:user{}@example.com", chance.below(6)) } else { ROOM.to_owned() };
    let is_to_all = to == ROOM;
    let content_type = if chance.below(4) == 0 { "text/html" } else { "text/plain" };
    let letter = Letter {
        from: own.or(Some("sip:user1@example.com".to_owned())),
        to: vec![to.clone()],
        content_type: content_type.to_owned(),
    };
    let content = Bytes::from(vec![b'x'; 1 + chance.below(20) as usize]);
    let expected: BTreeSet<ParticipantId> = room
        .participants
        .iter()
        .filter(|(id, one)| **id != by && one.takes.accepts(content_type))
        .filter(|(_, one)| one.backlog == 0 || one.backlog + content.len() <= 30)
        .filter(|(_, one)| is_to_all || one.uri == to && one.knows_private_messages)
        .map(|(id, _)| *id)
        .collect();
    room.handle(Input::Said { by, message: "m".into(), letter: Ok(letter), content });
    let outputs = drain(room);
    let answers = outputs.iter().filter(|output| matches!(output, Output::Answer { .. })).count();
    assert_eq!(answers, usize::from(notes.there.contains(&by)), "one answer to whoever is there");
    if notes.there.contains(&by) {
        let readers = take_copies(notes, &outputs, Some(by));
        assert_eq!(readers.iter().copied().collect::<BTreeSet<_>>(), expected);
        assert_eq!(readers.len(), expected.len(), "nobody is told twice");
        notes.said += 1;
    } else {
        assert_eq!(outputs, []);
    }
}

fn is_called(room: &mut Room, notes: &Notes, by: ParticipantId, chance: &mut Chance) {
    let nickname = NICKNAMES[chance.below(5) as usize].to_owned();
    room.handle(Input::Nickname { by, transaction: "t".into(), nickname });
    let answered = drain(room).iter().any(|output| matches!(output, Output::AnswerNickname { .. }));
    assert_eq!(answered, notes.there.contains(&by));
}

fn settles(room: &mut Room, notes: &mut Notes, chance: &mut Chance) {
    if notes.unsettled.is_empty() {
        return;
    }
    let (of, copy, _) = notes.unsettled.swap_remove(chance.below(notes.unsettled.len() as u64) as usize);
    room.handle(Input::Settled { of, copy });
    assert_eq!(drain(room), []);
}

fn take_copies(notes: &mut Notes, outputs: &[Output], not: Option<ParticipantId>) -> Vec<ParticipantId> {
    let mut readers = Vec::new();
    for output in outputs {
        if let Output::Deliver { to, copy, content } = output {
            assert!(notes.there.contains(to) && Some(*to) != not);
            assert!(notes.unsettled.iter().all(|(_, known, _)| known != copy), "a copy has a number of its own");
            notes.unsettled.push((*to, *copy, content.len()));
            readers.push(*to);
        }
    }
    readers
}

fn check(room: &Room, notes: &Notes, seed: u64) {
    assert!(notes.there.iter().eq(room.participants.keys()), "seed {seed}");
    for (id, participant) in &room.participants {
        let waits: Vec<usize> =
            notes.unsettled.iter().filter(|(of, ..)| of == id).map(|(_, _, octets)| *octets).collect();
        assert_eq!(participant.backlog, waits.iter().sum::<usize>(), "seed {seed}");
        assert!(participant.backlog <= 30, "seed {seed}");
    }
    let named: Vec<(&str, &Nickname)> =
        room.participants.values().filter_map(|one| Some((&*one.uri, one.nickname.as_ref()?))).collect();
    for (at, (user, nickname)) in named.iter().enumerate() {
        let another = named[at + 1..].iter().find(|(other, theirs)| other != user && theirs.is_same_as(nickname));
        assert_eq!(another, None, "seed {seed}: two users of one nickname");
    }
    let sessions: usize = room.roster().iter().map(|user| user.endpoints.len()).sum();
    assert_eq!(sessions, room.participants.len(), "seed {seed}: the roster has everybody once");
}

fn drain(room: &mut Room) -> Vec<Output> {
    std::iter::from_fn(|| room.poll_output()).collect()
}
