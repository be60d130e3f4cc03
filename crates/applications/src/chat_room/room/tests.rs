use super::*;

const ROOM: &str = "sip:chat@example.com";
const ALICE: &str = "sip:alice@example.com";
const BOB: &str = "sip:bob@example.com";
const CAROL: &str = "sip:carol@example.com";

fn newcomer(id: u64, uri: &str) -> Newcomer {
    Newcomer {
        id: ParticipantId(id),
        identity: Identity::Known { uri: uri.to_owned(), display_name: None },
        endpoint: None,
        called: Who::of(ROOM),
        takes: AcceptTypes::parse("*"),
        knows_private_messages: true,
    }
}

fn nobody(id: u64) -> Newcomer {
    Newcomer { identity: Identity::Anonymous, ..newcomer(id, "") }
}

fn room(policy: Policy) -> Room {
    Room::new(ROOM, policy)
}

/// Alice (1), Bob (2) and Carol (3) in a room.
fn three() -> Room {
    let mut room = room(Policy::default());
    for (id, uri) in [(1, ALICE), (2, BOB), (3, CAROL)] {
        joins(&mut room, newcomer(id, uri));
    }
    room
}

fn outputs(room: &mut Room) -> Vec<Output> {
    std::iter::from_fn(|| room.poll_output()).collect()
}

fn joins(room: &mut Room, newcomer: Newcomer) -> Vec<Output> {
    room.handle(Input::Join(Box::new(newcomer)));
    outputs(room)
}

fn says(room: &mut Room, by: u64, from: &str, to: &[&str], text: &str) -> Vec<Output> {
    says_as(room, by, from, to, "text/plain", text)
}

fn says_as(room: &mut Room, by: u64, from: &str, to: &[&str], content_type: &str, text: &str) -> Vec<Output> {
    let letter = Letter {
        from: Some(from.to_owned()),
        to: to.iter().map(|to| (*to).to_owned()).collect(),
        content_type: content_type.to_owned(),
    };
    let content = Bytes::copy_from_slice(text.as_bytes());
    room.handle(Input::Said { by: ParticipantId(by), message: "m".into(), letter: Ok(letter), content });
    outputs(room)
}

/// Who gets a copy, with its text.
fn copies(outputs: &[Output]) -> Vec<(u64, String)> {
    let copy = |output: &Output| match output {
        Output::Deliver { to, content, .. } => Some((to.0, String::from_utf8(content.to_vec()).unwrap())),
        _ => None,
    };
    outputs.iter().filter_map(copy).collect()
}

fn readers(outputs: &[Output]) -> Vec<u64> {
    copies(outputs).into_iter().map(|(to, _)| to).collect()
}

/// What the sender of the message hears.
fn verdict(outputs: &[Output]) -> Result<(), u16> {
    let answer = outputs.iter().find_map(|output| match output {
        Output::Answer { verdict, .. } | Output::AnswerNickname { verdict, .. } => Some(*verdict),
        _ => None,
    });
    answer.unwrap().map_err(Refusal::code)
}

fn is_called(room: &mut Room, by: u64, nickname: &str) -> Result<(), u16> {
    let nickname = nickname.to_owned();
    room.handle(Input::Nickname { by: ParticipantId(by), transaction: "t".into(), nickname });
    verdict(&outputs(room))
}

fn nicknames(room: &Room) -> Vec<(String, Option<String>)> {
    room.roster().iter().map(|user| (user.uri.to_owned(), user.nickname.map(str::to_owned))).collect()
}

/// RFC 7701 §6.1.
#[test]
fn a_message_to_the_room_goes_to_everybody_else_as_it_is() {
    let mut room = three();
    let said = says(&mut room, 1, ALICE, &[ROOM], "hello");
    assert_eq!(copies(&said), [(2, "hello".to_owned()), (3, "hello".to_owned())]);
    assert_eq!(verdict(&said), Ok(()));
}

/// Whoever reached the room by an address writes to that address.
#[test]
fn the_room_has_every_name_that_somebody_in_it_calls_it_by() {
    let mut room = three();
    let address = "sip:chat@192.0.2.1:5070";
    assert_eq!(verdict(&says(&mut room, 1, ALICE, &[address], "hello")), Err(404));
    joins(&mut room, Newcomer { called: Who::of(address), ..newcomer(4, "sip:dave@example.com") });
    assert_eq!(readers(&says(&mut room, 1, ALICE, &["sip:chat@192.0.2.1:5070;transport=tcp"], "hello")), [2, 3, 4]);
}

/// RFC 7701 §6.2.
#[test]
fn a_message_to_a_participant_goes_to_him_alone() {
    let mut room = three();
    let said = says(&mut room, 1, ALICE, &["im:bob@example.com"], "psst");
    assert_eq!((readers(&said), verdict(&said)), (vec![2], Ok(())));
    let late = joins(&mut room, newcomer(4, "sip:dave@example.com"));
    assert_eq!(readers(&late), [0; 0], "it is no history");
}

#[test]
fn a_message_to_somebody_who_is_not_there_finds_nobody() {
    let mut room = three();
    for to in ["sip:dave@example.com", "sip:@", "mailto:bob@example.com"] {
        assert_eq!(verdict(&says(&mut room, 1, ALICE, &[to], "hello?")), Err(404), "{to}");
    }
    assert_eq!(verdict(&says(&mut room, 1, ALICE, &[], "hello?")), Err(404));
    assert_eq!(verdict(&says(&mut room, 1, ALICE, &[ALICE], "hello?")), Err(404), "to oneself");
}

/// RFC 7701 §6.1: "the MSRP switch MUST reject the MSRP SEND request with a 403 response".
#[test]
fn a_message_has_one_recipient() {
    let mut room = three();
    let said = says(&mut room, 1, ALICE, &[ROOM, BOB], "hello");
    assert_eq!((readers(&said), verdict(&said)), (vec![], Err(403)));
}

/// RFC 7701 §6.3.
#[test]
fn nobody_writes_in_the_name_of_another() {
    let mut room = three();
    for from in [BOB, "sip:dave@example.com", "sip:anonymous@anonymous.invalid", "nonsense"] {
        let said = says(&mut room, 1, from, &[ROOM], "hello");
        assert_eq!((readers(&said), verdict(&said)), (vec![], Err(403)), "{from}");
    }
}

/// RFC 7701 §6.3.
#[test]
fn a_message_without_a_wrapper_is_refused() {
    let mut room = three();
    for (bad, code) in [(BadWrapper::NotCpim, 415), (BadWrapper::Unreadable, 400)] {
        let content = Bytes::from_static(b"hello");
        room.handle(Input::Said { by: ParticipantId(1), message: "m".into(), letter: Err(bad), content });
        assert_eq!(verdict(&outputs(&mut room)), Err(code));
    }
}

/// RFC 7701 §6.2: "the MSRP switch MUST reject the request with a 428 response".
#[test]
fn who_could_not_tell_a_private_message_from_others_gets_none() {
    let mut room = three();
    joins(&mut room, Newcomer { knows_private_messages: false, ..newcomer(4, "sip:dave@example.com") });
    assert_eq!(verdict(&says(&mut room, 1, ALICE, &["sip:dave@example.com"], "psst")), Err(428));
    assert_eq!(readers(&says(&mut room, 1, ALICE, &[ROOM], "hello")), [2, 3, 4]);
}

#[test]
fn a_room_may_be_without_private_messages_and_without_nicknames() {
    let mut room = room(Policy { private_messages: false, nicknames: false, ..Policy::default() });
    joins(&mut room, newcomer(1, ALICE));
    joins(&mut room, newcomer(2, BOB));
    assert_eq!(verdict(&says(&mut room, 1, ALICE, &[BOB], "psst")), Err(403));
    assert_eq!(is_called(&mut room, 1, "Al"), Err(403));
}

/// RFC 7701 §6.1: "SHOULD NOT forward this message to that endpoint".
#[test]
fn nobody_is_sent_what_he_does_not_take() {
    let mut room = three();
    let takes = AcceptTypes::parse("text/plain");
    joins(&mut room, Newcomer { takes, ..newcomer(4, "sip:dave@example.com") });
    let said = says_as(&mut room, 1, ALICE, &[ROOM], "text/html", "<b>hello</b>");
    assert_eq!((readers(&said), verdict(&said)), (vec![2, 3], Ok(())));
}

#[test]
fn whoever_comes_late_is_told_what_was_said_before() {
    let mut room = room(Policy { history: 2, ..Policy::default() });
    joins(&mut room, newcomer(1, ALICE));
    for text in ["one", "two", "three"] {
        says(&mut room, 1, ALICE, &[ROOM], text);
    }
    says_as(&mut room, 1, ALICE, &[ROOM], "application/im-isComposing+xml", "<writing/>");
    let told = copies(&joins(&mut room, newcomer(2, BOB)));
    assert_eq!(told, [(2, "two".to_owned()), (2, "three".to_owned())]);
}

#[test]
fn an_empty_room_remembers_nothing() {
    let mut room = room(Policy::default());
    joins(&mut room, newcomer(1, ALICE));
    says(&mut room, 1, ALICE, &[ROOM], "is anybody there?");
    room.handle(Input::Leave(ParticipantId(1)));
    assert_eq!(outputs(&mut room), [Output::RosterChanged { user: ALICE.to_owned() }, Output::Emptied]);
    assert_eq!(readers(&joins(&mut room, newcomer(2, BOB))), [0; 0]);
}

#[test]
fn a_full_room_takes_nobody_until_somebody_leaves() {
    let mut room = room(Policy { max_participants: 1, ..Policy::default() });
    joins(&mut room, newcomer(1, ALICE));
    assert_eq!(joins(&mut room, newcomer(2, BOB)), [Output::TurnedAway(ParticipantId(2))]);
    assert!(room.is_full());
    room.handle(Input::Leave(ParticipantId(1)));
    outputs(&mut room);
    assert_eq!(joins(&mut room, newcomer(3, BOB)), [Output::RosterChanged { user: BOB.to_owned() }]);
}

/// RFC 7701 §7.1, §9.2.
#[test]
fn a_nickname_belongs_to_one_user_until_he_gives_it_away() {
    let mut room = three();
    assert_eq!(is_called(&mut room, 1, "Alice the great"), Ok(()));
    assert_eq!(is_called(&mut room, 2, "ALICE  the Great"), Err(425));
    assert_eq!(is_called(&mut room, 1, "Alice in Wonderland"), Ok(()));
    assert_eq!(is_called(&mut room, 2, "Alice the great"), Ok(()));
    // §7.3
    assert_eq!(is_called(&mut room, 2, ""), Ok(()));
    assert_eq!(is_called(&mut room, 3, "Alice the great"), Ok(()));
    room.handle(Input::Leave(ParticipantId(3)));
    outputs(&mut room);
    assert_eq!(is_called(&mut room, 2, "Alice the great"), Ok(()));
}

/// RFC 7701 §7.2: "the current nickname stays in effect".
#[test]
fn a_nickname_that_can_not_be_had_changes_nothing() {
    let mut room = three();
    is_called(&mut room, 1, "Al").unwrap();
    is_called(&mut room, 2, "Bobby").unwrap();
    assert_eq!(is_called(&mut room, 1, "\u{1}"), Err(424));
    assert_eq!(is_called(&mut room, 1, "bobby"), Err(425));
    assert_eq!(nicknames(&room)[0], (ALICE.to_owned(), Some("Al".to_owned())));
}

/// RFC 7701 §6.1, §6.2 and §7.1: one user, several sessions.
#[test]
fn a_user_at_two_devices_is_one_in_the_roster_and_hears_everything_at_both() {
    let mut room = three();
    joins(&mut room, newcomer(4, "sips:alice@EXAMPLE.com"));
    assert_eq!(room.roster().len(), 3);
    assert_eq!(room.roster()[0].endpoints.len(), 2);
    assert_eq!(readers(&says(&mut room, 2, BOB, &[ALICE], "psst")), [1, 4]);
    assert_eq!(readers(&says(&mut room, 1, ALICE, &[ROOM], "hello")), [2, 3, 4]);
    is_called(&mut room, 1, "Al").unwrap();
    assert_eq!(is_called(&mut room, 4, "al"), Ok(()), "it is his own");
    room.handle(Input::Leave(ParticipantId(1)));
    assert_eq!(outputs(&mut room), [Output::RosterChanged { user: ALICE.to_owned() }]);
    assert_eq!(room.roster()[2].endpoints, [ALICE], "he is still there");
}

/// RFC 7701 §5.2: "MUST expose a participant's anonymous URI".
#[test]
fn whoever_asks_for_privacy_has_a_name_that_tells_nothing_and_a_place_of_his_own() {
    let mut room = three();
    joins(&mut room, Newcomer { endpoint: Some("sip:dave@192.0.2.4".to_owned()), ..nobody(4) });
    joins(&mut room, nobody(5));
    let (dave, eve) = ("sip:anonymous-1@anonymous.invalid", "sip:anonymous-2@anonymous.invalid");
    let attendee = room.attendee(dave).unwrap();
    assert_eq!((attendee.uri, attendee.endpoints, attendee.display_name), (dave, vec![dave], None));
    assert_eq!(readers(&says(&mut room, 1, ALICE, &[dave], "psst")), [4]);
    assert_eq!(readers(&says(&mut room, 4, dave, &[eve], "psst")), [5]);
    assert_eq!(readers(&says(&mut room, 4, "sip:anonymous@anonymous.invalid", &[ROOM], "hello")), [1, 2, 3, 5]);
    assert_eq!(verdict(&says(&mut room, 4, eve, &[ROOM], "hello")), Err(403));
    assert_eq!(verdict(&says(&mut room, 4, "sip:dave@example.com", &[ROOM], "oops")), Err(403), "his own name");
}

/// RFC 7701 §6.4.
#[test]
fn whoever_does_not_keep_up_misses_messages_and_the_others_do_not() {
    let mut room = room(Policy { max_backlog: 10, ..Policy::default() });
    for (id, uri) in [(1, ALICE), (2, BOB), (3, CAROL)] {
        joins(&mut room, newcomer(id, uri));
    }
    let first = says(&mut room, 1, ALICE, &[ROOM], "eight...");
    let settle = |room: &mut Room, said: &[Output], reader: u64| {
        for output in said {
            if let Output::Deliver { to, copy, .. } = output
                && to.0 == reader
            {
                room.handle(Input::Settled { of: *to, copy: *copy });
                room.handle(Input::Settled { of: *to, copy: *copy });
            }
        }
    };
    settle(&mut room, &first, 2);
    assert_eq!(readers(&says(&mut room, 1, ALICE, &[ROOM], "eight...")), [2]);
    assert_eq!(verdict(&says(&mut room, 1, ALICE, &[CAROL], "psst")), Err(408));
    settle(&mut room, &first, 3);
    assert_eq!(readers(&says(&mut room, 1, ALICE, &[CAROL], "longer than ten")), [3], "for nothing waits for her");
}

#[test]
fn whoever_is_not_there_has_nothing_to_say() {
    let mut room = three();
    room.handle(Input::Leave(ParticipantId(1)));
    outputs(&mut room);
    assert_eq!(says(&mut room, 1, ALICE, &[ROOM], "hello"), []);
    room.handle(Input::Nickname { by: ParticipantId(1), transaction: "t".into(), nickname: "Al".to_owned() });
    room.handle(Input::Leave(ParticipantId(1)));
    room.handle(Input::Settled { of: ParticipantId(1), copy: 1 });
    assert_eq!(outputs(&mut room), []);
}

#[test]
fn a_seat_is_taken_once() {
    let mut room = three();
    assert_eq!(joins(&mut room, newcomer(1, BOB)), [Output::TurnedAway(ParticipantId(1))]);
}

/// RFC 4975 §8.9 and RFC 7701 §6.1: what is agreed anew holds from then on.
#[test]
fn a_participant_gets_what_he_has_said_last_that_he_takes() {
    let mut room = three();
    let takes = |types: &str| Input::Agreed {
        by: ParticipantId(2),
        takes: AcceptTypes::parse(types),
        knows_private_messages: true,
    };
    room.handle(takes(""));
    assert_eq!(readers(&says(&mut room, 1, ALICE, &[ROOM], "hello")), [3]);
    room.handle(takes("*"));
    assert_eq!(readers(&says(&mut room, 1, ALICE, &[ROOM], "hello")), [2, 3]);
}

#[test]
fn whoever_moves_to_another_session_keeps_his_seat_and_his_name() {
    let mut room = three();
    is_called(&mut room, 1, "Al").unwrap();
    says(&mut room, 2, BOB, &[ROOM], "never settled");
    room.handle(Input::Moved { from: ParticipantId(1), to: ParticipantId(9) });
    assert_eq!(outputs(&mut room), [], "nobody has come or gone, and nothing is said twice");
    assert_eq!(readers(&says(&mut room, 2, BOB, &[ROOM], "hello")), [3, 9]);
    assert_eq!(is_called(&mut room, 2, "Al"), Err(425));
    assert_eq!(says(&mut room, 1, ALICE, &[ROOM], "from the old one"), []);
    room.handle(Input::Settled { of: ParticipantId(9), copy: 1 });
    room.handle(Input::Moved { from: ParticipantId(1), to: ParticipantId(10) });
    assert_eq!(room.roster().len(), 3);
}
