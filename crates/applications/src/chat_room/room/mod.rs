//! A room as RFC 7701 has it: who is in it, who is called what, and who gets which message. Pure: what happens goes in,
//! what is to be done comes out.
//!
//! ```text
//!   Join ─────► a seat: the history, and the roster changes         no seat left: TurnedAway
//!   Said ─────► To is the room ──────► a copy for everybody else
//!               To is a participant ─► a copy for each of his sessions
//!               else ────────────────► a refusal
//!   Nickname ─► his, and the roster changes                         somebody else's: 425
//!   Agreed ───► other types for him from now on; Moved: another session, the same seat
//!   Leave ────► the roster changes; the last one: Emptied, and nothing is remembered
//! ```
//!
//! A copy is the message as it came, octet by octet (RFC 7701 §6.1: "MUST NOT modify the content"). Who does not keep up
//! with what he is sent misses messages until he does (§6.4). The same user may be there more than once; he is one user
//! of the roster then, with several endpoints, and has a copy of each message at each of them.
//!
//! Not here: how messages travel, which is MSRP's, and who may come in, which is the focus's. Nicknames are not kept for
//! those who come back (§4.1, nickname quarantine).

mod history;
mod nickname;
#[cfg(test)]
mod story;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use msrp::description::AcceptTypes;

use super::identity::{Who, anonymous_uri};
use history::{History, Remembered};
pub use nickname::Nickname;

/// One session of one participant: his seat in the room, and his MSRP session. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParticipantId(pub u64);

/// What holds in a room (RFC 7701 §4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How many sessions of participants it has place for.
    pub max_participants: usize,
    /// Whether participants may have nicknames.
    pub nicknames: bool,
    /// Whether participants may write to one alone.
    pub private_messages: bool,
    /// How many messages are kept for those who come later.
    pub history: usize,
    /// How many octets these may have together.
    pub history_octets: usize,
    /// How many octets may wait for one participant; what comes then does not reach him.
    pub max_backlog: usize,
}

/// Somebody who comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newcomer {
    /// His seat.
    pub id: ParticipantId,
    /// Who he is to the others.
    pub identity: Identity,
    /// The URI of his device; told to nobody if he is anonymous.
    pub endpoint: Option<String>,
    /// The URI that he calls the room by.
    pub called: Option<Who>,
    /// What he takes in a wrapper.
    pub takes: AcceptTypes,
    /// Whether his device tells private messages from others.
    pub knows_private_messages: bool,
}

/// Who somebody is to the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// He can be known.
    Known {
        /// By this URI.
        uri: String,
        /// And this name.
        display_name: Option<String>,
    },
    /// He asks for privacy, and is known by a URI that the room makes.
    Anonymous,
}

/// What stands on a message's wrapper (RFC 3862).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// From.
    pub from: Option<String>,
    /// Every To.
    pub to: Vec<String>,
    /// The type of what is wrapped.
    pub content_type: String,
}

/// What can be wrong with a wrapper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadWrapper {
    /// There is none.
    NotCpim,
    /// It can't be read.
    Unreadable,
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Somebody comes in.
    Join(Box<Newcomer>),
    /// Somebody says something.
    Said {
        /// Who.
        by: ParticipantId,
        /// The name that he has given it.
        message: Arc<str>,
        /// What stands on its wrapper.
        letter: Result<Letter, BadWrapper>,
        /// All of it.
        content: Bytes,
    },
    /// Somebody wants to be called something; empty: nothing any more.
    Nickname {
        /// Who.
        by: ParticipantId,
        /// The name of his request.
        transaction: Arc<str>,
        /// The nickname.
        nickname: String,
    },
    /// A copy does not wait for its reader any more, whether it has reached him or not.
    Settled {
        /// Whose.
        of: ParticipantId,
        /// Which.
        copy: u64,
    },
    /// Somebody takes other messages than before: it was agreed anew, or he is on hold.
    Agreed {
        /// Who.
        by: ParticipantId,
        /// What he takes in a wrapper.
        takes: AcceptTypes,
        /// Whether his device tells private messages from others.
        knows_private_messages: bool,
    },
    /// Somebody has another session instead of the one that he had; what waits in that one does not reach him.
    Moved {
        /// That one.
        from: ParticipantId,
        /// The new one.
        to: ParticipantId,
    },
    /// Somebody goes, or is lost.
    Leave(ParticipantId),
}

/// What is to be done about it.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// There is no seat for him.
    TurnedAway(ParticipantId),
    /// A message goes to somebody.
    Deliver {
        /// To whom.
        to: ParticipantId,
        /// The number of this copy, for [`Input::Settled`].
        copy: u64,
        /// The message.
        content: Bytes,
    },
    /// A message is answered.
    Answer {
        /// Whose it was.
        to: ParticipantId,
        /// Which.
        message: Arc<str>,
        /// With what.
        verdict: Result<(), Refusal>,
    },
    /// A request for a nickname is answered.
    AnswerNickname {
        /// Whose it was.
        to: ParticipantId,
        /// Which.
        transaction: Arc<str>,
        /// With what.
        verdict: Result<(), Refusal>,
    },
    /// What the roster says of a user has changed: he is new, is called something else, or is gone.
    RosterChanged {
        /// The user's URI.
        user: String,
    },
    /// The last one is gone.
    Emptied,
}

/// Why something is not done; always the participant's doing, and told him by a code of RFC 4975 or RFC 7701.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A message without a wrapper (§6.3).
    NotCpim,
    /// A wrapper that can't be read.
    Unreadable,
    /// From is not the sender (§6.3).
    NotTheSender,
    /// More than one To (§6.1).
    SeveralRecipients,
    /// To is neither the room nor anybody in it (§6.2).
    UnknownRecipient,
    /// This room has no private messages.
    NoPrivateMessages,
    /// The recipient could not tell it from a message to all (§6.2).
    CanNotReadPrivately,
    /// Too much waits for the recipient already (§6.4).
    RecipientIsBehind,
    /// This room has no nicknames (§7.1).
    NoNicknames,
    /// Nothing that anybody could be called (§7.1).
    MalformedNickname,
    /// Somebody else is called that (§7.1).
    NicknameInUse,
}

/// A user as the roster has him.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attendee<'r> {
    /// His URI.
    pub uri: &'r str,
    /// His name.
    pub display_name: Option<&'r str>,
    /// His nickname.
    pub nickname: Option<&'r str>,
    /// The URIs of his devices, one for each session; his own where that of a device is not told.
    pub endpoints: Vec<&'r str>,
}

/// A room.
#[derive(Clone, Debug)]
pub struct Room {
    who: Option<Who>,
    policy: Policy,
    participants: BTreeMap<ParticipantId, Participant>,
    history: History,
    outputs: VecDeque<Output>,
    copies: u64,
    anonymous: u64,
}

#[derive(Clone, Debug)]
struct Participant {
    who: Option<Who>,
    uri: String,
    display_name: Option<String>,
    is_anonymous: bool,
    nickname: Option<Nickname>,
    endpoint: Option<String>,
    called: Option<Who>,
    takes: AcceptTypes,
    knows_private_messages: bool,
    /// Copies that wait, with their length.
    unsettled: BTreeMap<u64, usize>,
    backlog: usize,
}

impl Room {
    /// An empty room that is known by this URI, and by those that participants call it by.
    pub fn new(uri: &str, policy: Policy) -> Room {
        Room {
            who: Who::of(uri),
            history: History::new(policy.history, policy.history_octets),
            policy,
            participants: BTreeMap::new(),
            outputs: VecDeque::new(),
            copies: 0,
            anonymous: 0,
        }
    }

    /// Something happens. What it leads to is asked for with [`Room::poll_output`].
    pub fn handle(&mut self, input: Input) {
        match input {
            Input::Join(newcomer) => self.join(*newcomer),
            Input::Said { by, message, letter, content } => {
                if self.participants.contains_key(&by) {
                    let verdict = self.said(by, letter, &content);
                    self.outputs.push_back(Output::Answer { to: by, message, verdict });
                }
            }
            Input::Nickname { by, transaction, nickname } => {
                if self.participants.contains_key(&by) {
                    let verdict = self.rename(by, &nickname);
                    self.outputs.push_back(Output::AnswerNickname { to: by, transaction, verdict });
                }
            }
            Input::Settled { of, copy } => {
                if let Some(participant) = self.participants.get_mut(&of) {
                    let octets = participant.unsettled.remove(&copy).unwrap_or(0);
                    participant.backlog -= octets;
                }
            }
            Input::Agreed { by, takes, knows_private_messages } => {
                if let Some(participant) = self.participants.get_mut(&by) {
                    (participant.takes, participant.knows_private_messages) = (takes, knows_private_messages);
                }
            }
            Input::Moved { from, to } => {
                if let Some(mut participant) = self.participants.remove(&from) {
                    (participant.unsettled, participant.backlog) = (BTreeMap::new(), 0);
                    self.participants.insert(to, participant);
                }
            }
            Input::Leave(id) => self.leave(id),
        }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// What holds here.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether nobody is there.
    pub fn is_empty(&self) -> bool {
        self.participants.is_empty()
    }

    /// Whether everybody who comes is turned away.
    pub fn is_full(&self) -> bool {
        self.participants.len() >= self.policy.max_participants
    }

    /// Whether somebody of this URI is there and can be known by it.
    pub fn has(&self, uri: &str) -> bool {
        Who::of(uri).is_some_and(|who| self.sessions_of(&who).next().is_some())
    }

    /// Everybody, in the order in which they came.
    pub fn roster(&self) -> Vec<Attendee<'_>> {
        let mut roster: Vec<Attendee<'_>> = Vec::new();
        let mut places = BTreeMap::new();
        for participant in self.participants.values() {
            let place = *places.entry(&*participant.uri).or_insert(roster.len());
            match roster.get_mut(place) {
                Some(attendee) => attendee.add(participant),
                None => roster.push(Attendee::of(participant)),
            }
        }
        roster
    }

    /// The user of this URI, as the roster has him.
    pub fn attendee(&self, uri: &str) -> Option<Attendee<'_>> {
        let mut sessions = self.participants.values().filter(|participant| participant.uri == uri);
        let mut attendee = Attendee::of(sessions.next()?);
        sessions.for_each(|participant| attendee.add(participant));
        Some(attendee)
    }

    fn join(&mut self, newcomer: Newcomer) {
        let Newcomer { id, identity, endpoint, called, takes, knows_private_messages } = newcomer;
        if self.is_full() || self.participants.contains_key(&id) {
            return self.outputs.push_back(Output::TurnedAway(id));
        }
        let is_anonymous = identity == Identity::Anonymous;
        let (uri, display_name) = match identity {
            Identity::Known { uri, display_name } => (uri, display_name),
            Identity::Anonymous => {
                self.anonymous += 1;
                (anonymous_uri(self.anonymous), None)
            }
        };
        let who = Who::of(&uri);
        // Whoever is there already is one user of the roster, whichever way he writes himself.
        let known = who.as_ref().and_then(|who| self.sessions_of(who).next());
        let uri = known.map_or(uri, |(_, participant)| participant.uri.clone());
        let participant = Participant {
            who,
            uri: uri.clone(),
            display_name,
            is_anonymous,
            nickname: None,
            endpoint: endpoint.filter(|_| !is_anonymous),
            called,
            takes,
            knows_private_messages,
            unsettled: BTreeMap::new(),
            backlog: 0,
        };
        self.participants.insert(id, participant);
        self.outputs.push_back(Output::RosterChanged { user: uri });
        let history: Vec<Remembered> = self.history.iter().cloned().collect();
        for message in history {
            self.deliver(id, &message.content, &message.content_type);
        }
    }

    /// RFC 7701 §6.
    fn said(&mut self, by: ParticipantId, letter: Result<Letter, BadWrapper>, content: &Bytes) -> Result<(), Refusal> {
        let letter = letter.map_err(|bad| match bad {
            BadWrapper::NotCpim => Refusal::NotCpim,
            BadWrapper::Unreadable => Refusal::Unreadable,
        })?;
        let from = letter.from.as_deref().and_then(Who::of).ok_or(Refusal::NotTheSender)?;
        let sender = self.participants.get(&by).ok_or(Refusal::NotTheSender)?;
        if !sender.may_write_as(&from) {
            return Err(Refusal::NotTheSender);
        }
        let to = match letter.to.as_slice() {
            [to] => Who::of(to).ok_or(Refusal::UnknownRecipient)?,
            [] => return Err(Refusal::UnknownRecipient),
            _ => return Err(Refusal::SeveralRecipients),
        };
        if self.is_called(&to) {
            self.say_to_all(by, &letter.content_type, content);
            Ok(())
        } else {
            self.say_to(by, &to, &letter.content_type, content)
        }
    }

    fn say_to_all(&mut self, by: ParticipantId, content_type: &str, content: &Bytes) {
        let others: Vec<ParticipantId> = self.participants.keys().copied().filter(|id| *id != by).collect();
        for other in others {
            self.deliver(other, content, content_type);
        }
        if is_worth_remembering(content_type) {
            self.history.push(Remembered { content: content.clone(), content_type: content_type.to_owned() });
        }
    }

    /// RFC 7701 §6.2.
    fn say_to(&mut self, by: ParticipantId, to: &Who, content_type: &str, content: &Bytes) -> Result<(), Refusal> {
        if !self.policy.private_messages {
            return Err(Refusal::NoPrivateMessages);
        }
        let sessions: Vec<(ParticipantId, bool)> = self
            .sessions_of(to)
            .filter(|(id, _)| *id != by)
            .map(|(id, participant)| (id, participant.knows_private_messages))
            .collect();
        if sessions.is_empty() {
            return Err(Refusal::UnknownRecipient);
        }
        let able: Vec<ParticipantId> = sessions.into_iter().filter_map(|(id, is_able)| is_able.then_some(id)).collect();
        if able.is_empty() {
            return Err(Refusal::CanNotReadPrivately);
        }
        let mut outcomes = able.into_iter().map(|id| self.deliver(id, content, content_type)).collect::<Vec<_>>();
        outcomes.dedup();
        if outcomes == [Outcome::Behind] { Err(Refusal::RecipientIsBehind) } else { Ok(()) }
    }

    /// A copy for one session, if its user takes it and keeps up.
    fn deliver(&mut self, to: ParticipantId, content: &Bytes, content_type: &str) -> Outcome {
        let Some(participant) = self.participants.get_mut(&to) else { return Outcome::NotTaken };
        if !participant.takes.accepts(content_type) {
            return Outcome::NotTaken;
        }
        // Whoever waits for nothing gets even what is longer than that.
        let backlog = participant.backlog + content.len();
        if backlog > self.policy.max_backlog && participant.backlog > 0 {
            return Outcome::Behind;
        }
        self.copies += 1;
        participant.backlog = backlog;
        participant.unsettled.insert(self.copies, content.len());
        self.outputs.push_back(Output::Deliver { to, copy: self.copies, content: content.clone() });
        Outcome::Sent
    }

    /// RFC 7701 §7.1 to §7.3.
    fn rename(&mut self, by: ParticipantId, nickname: &str) -> Result<(), Refusal> {
        if !self.policy.nicknames {
            return Err(Refusal::NoNicknames);
        }
        let wanted = match nickname {
            "" => None,
            nickname => Some(Nickname::of(nickname).ok_or(Refusal::MalformedNickname)?),
        };
        let own = self.participants.get(&by).map(|participant| participant.uri.clone());
        let others = self.participants.values().filter(|participant| Some(&participant.uri) != own.as_ref());
        let mut taken = others.filter_map(|participant| participant.nickname.as_ref());
        if wanted.as_ref().is_some_and(|wanted| taken.any(|taken| taken.is_same_as(wanted))) {
            return Err(Refusal::NicknameInUse);
        }
        if let Some(participant) = self.participants.get_mut(&by)
            && participant.nickname != wanted
        {
            participant.nickname = wanted;
            self.outputs.push_back(Output::RosterChanged { user: participant.uri.clone() });
        }
        Ok(())
    }

    fn leave(&mut self, id: ParticipantId) {
        let Some(participant) = self.participants.remove(&id) else { return };
        self.outputs.push_back(Output::RosterChanged { user: participant.uri });
        if self.participants.is_empty() {
            self.history.clear();
            self.outputs.push_back(Output::Emptied);
        }
    }

    fn is_called(&self, who: &Who) -> bool {
        let as_called = |participant: &Participant| participant.called.as_ref() == Some(who);
        self.who.as_ref() == Some(who) || self.participants.values().any(as_called)
    }

    fn sessions_of<'r>(&'r self, who: &'r Who) -> impl Iterator<Item = (ParticipantId, &'r Participant)> {
        let is_his = move |participant: &Participant| participant.who.as_ref() == Some(who);
        self.participants.iter().filter(move |(_, participant)| is_his(participant)).map(|(id, one)| (*id, one))
    }
}

/// What became of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Sent,
    NotTaken,
    Behind,
}

impl Participant {
    /// A participant writes as himself; one who is anonymous as the room has named him, or as nobody (RFC 3323 §4.1).
    fn may_write_as(&self, from: &Who) -> bool {
        self.who.as_ref() == Some(from) || self.is_anonymous && *from == Who::anonymous()
    }
}

impl<'r> Attendee<'r> {
    fn of(participant: &'r Participant) -> Attendee<'r> {
        Attendee {
            uri: &participant.uri,
            display_name: participant.display_name.as_deref(),
            nickname: participant.nickname.as_ref().map(Nickname::as_str),
            endpoints: vec![participant.endpoint()],
        }
    }

    /// Another session of the same user. RFC 7701 §7.1: a nickname is one session's own.
    fn add(&mut self, participant: &'r Participant) {
        self.display_name = self.display_name.or(participant.display_name.as_deref());
        self.nickname = self.nickname.or(participant.nickname.as_ref().map(Nickname::as_str));
        self.endpoints.push(participant.endpoint());
    }
}

impl Participant {
    fn endpoint(&self) -> &str {
        self.endpoint.as_deref().unwrap_or(&self.uri)
    }
}

impl Refusal {
    /// The code of RFC 4975 §10 and RFC 7701 §6.2, §7.1.
    pub fn code(self) -> u16 {
        match self {
            Refusal::Unreadable => 400,
            Refusal::NotTheSender | Refusal::SeveralRecipients | Refusal::NoPrivateMessages | Refusal::NoNicknames => {
                403
            }
            Refusal::UnknownRecipient => 404,
            Refusal::RecipientIsBehind => 408,
            Refusal::NotCpim => 415,
            Refusal::MalformedNickname => 424,
            Refusal::NicknameInUse => 425,
            Refusal::CanNotReadPrivately => 428,
        }
    }

    /// The same for people.
    pub fn reason(self) -> &'static str {
        match self {
            Refusal::NotCpim => "Want Message/CPIM",
            Refusal::Unreadable => "Unreadable Message/CPIM",
            Refusal::NotTheSender => "From Is Not You",
            Refusal::SeveralRecipients => "One Recipient Only",
            Refusal::UnknownRecipient => "Nobody Of That Address Is Here",
            Refusal::NoPrivateMessages => "No Private Messages Here",
            Refusal::CanNotReadPrivately => "Recipient Does Not Support Private Messages",
            Refusal::RecipientIsBehind => "Recipient Does Not Keep Up",
            Refusal::NoNicknames => "No Nicknames Here",
            Refusal::MalformedNickname => "Malformed Nickname",
            Refusal::NicknameInUse => "Nickname Reserved Or Already In Use",
        }
    }
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            max_participants: 200,
            nicknames: true,
            private_messages: true,
            history: 20,
            history_octets: 256 * 1024,
            max_backlog: 1024 * 1024,
        }
    }
}

/// Whether a message says something to those who were not there. RFC 3994: that somebody is writing; RFC 5438: that a
/// message was read.
fn is_worth_remembering(content_type: &str) -> bool {
    let name = content_type.split(';').next().unwrap_or(content_type).trim().to_ascii_lowercase();
    !matches!(&*name, "application/im-iscomposing+xml" | "message/imdn+xml")
}
