//! What an application session has of its room on this node: the room, the calls of those in it, and who is told of them.
//!
//! A room does not survive its node: its MSRP connections do not. After a failover its dialogs are answered 481.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use msrp::cpim;
use msrp::multipart::ContentType;
use sdp::{MediaDescription, OfferAnswer, Origin, SessionDescription};
use servlet::{Error, NodeLocal, Result, SipApplicationSession, SipServletRequest, SipSession, StatusCode};

use super::Settings;
use super::description::Chat;
use super::identity::Who;
use super::joining;
use super::room::{BadWrapper, Identity, Input, Letter, Output, ParticipantId, Room};
use super::subscribing::Subscriptions;
use super::switchboard::Happening;
use super::wire::Wire;

/// The attribute of the application session.
const FOCUS: &str = "chat-room.focus";

type Held = NodeLocal<RefCell<Focus>>;

/// See the module's text.
pub(super) struct Focus {
    /// The URI that the room is known by.
    pub(super) uri: String,
    pub(super) room: Room,
    pub(super) calls: BTreeMap<ParticipantId, Call>,
    pub(super) subscriptions: Subscriptions,
}

/// The call of one who is in the room, or on his way.
pub(super) struct Call {
    pub(super) wire: Wire,
    pub(super) session: SipSession,
    /// Who he says to us that he is; others may not hear of it.
    pub(super) who: Who,
    pub(super) identity: Identity,
    pub(super) endpoint: Option<String>,
    /// The URI that he has called.
    pub(super) called: Option<Who>,
    pub(super) stage: Stage,
    pub(super) negotiation: OfferAnswer,
    /// The path of his end.
    pub(super) path: Option<String>,
    /// Whether he is in the room: not before he has answered an offer of ours (RFC 3261 §13.2.1).
    pub(super) is_in: bool,
    /// The session that his stream has left. It is there until he has come to the new one: he may have that on the same
    /// connection (RFC 4975 §5.4), which is not to be closed under him.
    pub(super) left: Option<Wire>,
    /// Where his stream goes.
    pub(super) moving: Option<Box<Moving>>,
}

/// A re-INVITE or UPDATE with another path, that waits for its answer.
pub(super) struct Moving {
    pub(super) wire: Wire,
    pub(super) request: SipServletRequest,
    pub(super) offer: SessionDescription,
    pub(super) chat: Chat,
    /// Whether the connection that there was is lost already.
    pub(super) is_lost: bool,
}

/// How far a call is.
pub(super) enum Stage {
    /// Our end of the MSRP session is being made.
    Opening(Box<Opening>),
    /// The INVITE was answered, with this.
    Answered(Box<Ours>),
}

/// The INVITE that waits for its answer.
pub(super) struct Opening {
    pub(super) invite: SipServletRequest,
    pub(super) offer: Option<(SessionDescription, Chat)>,
}

/// What we have said in the description.
pub(super) struct Ours {
    pub(super) origin: Origin,
    pub(super) address: std::net::IpAddr,
    pub(super) media: MediaDescription,
}

/// The focus of an application session.
pub(super) fn of(application: &SipApplicationSession) -> Result<Option<Rc<Held>>, Error> {
    application.attribute::<Held>(FOCUS)
}

/// The same; there is one afterwards.
pub(super) fn obtain(
    settings: &Settings,
    application: &SipApplicationSession,
    uri: &str,
) -> Result<Option<Rc<Held>>, Error> {
    if of(application)?.is_none() {
        let focus = Focus {
            uri: uri.to_owned(),
            room: Room::new(uri, settings.policy.clone()),
            calls: BTreeMap::new(),
            subscriptions: Subscriptions::default(),
        };
        application.set_attribute(FOCUS, NodeLocal(RefCell::new(focus)))?;
    }
    of(application)
}

/// Something has happened in an MSRP session.
pub(super) fn happened(
    settings: &Arc<Settings>,
    application: &SipApplicationSession,
    id: ParticipantId,
    happening: Happening,
) -> Result {
    let Some(held) = of(application)? else { return Ok(()) };
    let focus = &mut *held.0.borrow_mut();
    let done = match happening {
        Happening::Opened(opened) => joining::opened(settings, application, focus, id, *opened),
        Happening::Connected => {
            if let Some(call) = focus.calls.get_mut(&id) {
                call.left = None;
            }
            Ok(())
        }
        Happening::Said { message, content_type, content } => {
            let letter = letter(&content_type, &content);
            focus.room.handle(Input::Said { by: id, message, letter, content });
            Ok(())
        }
        Happening::Nickname { transaction, nickname } => {
            focus.room.handle(Input::Nickname { by: id, transaction, nickname: nickname.to_string() });
            Ok(())
        }
        Happening::Settled { copy } => {
            focus.room.handle(Input::Settled { of: id, copy });
            Ok(())
        }
        Happening::Ended { reason } => {
            tracing::debug!(reason = %reason, "an MSRP session of a room is over");
            joining::lost(focus, id)
        }
    };
    // Whatever became of it, the others hear what concerns them.
    focus.settle(settings, application)?;
    Ok(done?)
}

/// A SIP session is no more: its dialog is over, whoever has ended it.
pub(super) fn session_gone(
    settings: &Arc<Settings>,
    application: &SipApplicationSession,
    session: &SipSession,
) -> Result {
    let Some(held) = of(application)? else { return Ok(()) };
    let focus = &mut *held.0.borrow_mut();
    focus.subscriptions.forget(session);
    focus.leave(session);
    Ok(focus.settle(settings, application)?)
}

impl Focus {
    /// The call in this dialog.
    pub(super) fn call_in(&self, session: &SipSession) -> Option<ParticipantId> {
        self.calls.iter().find(|(_, call)| call.session == *session).map(|(id, _)| *id)
    }

    /// The call whose stream is on its way to this session.
    pub(super) fn moving_to(&self, id: ParticipantId) -> Option<ParticipantId> {
        let goes = |call: &Call| call.moving.as_ref().is_some_and(|moving| moving.wire.id() == id);
        self.calls.iter().find(|(_, call)| goes(call)).map(|(id, _)| *id)
    }

    /// Whether there is no place for another call.
    pub(super) fn is_full(&self) -> bool {
        self.calls.len() >= self.room.policy().max_participants
    }

    /// Whether somebody of this address is in the room, whatever the others know him by.
    pub(super) fn knows(&self, who: &Who) -> bool {
        self.calls.values().any(|call| call.who == *who)
    }

    /// Takes somebody out of the room whose dialog is over.
    pub(super) fn leave(&mut self, session: &SipSession) {
        if let Some(id) = self.call_in(session) {
            self.drop_call(id);
        }
    }

    /// Forgets a call that never was one.
    pub(super) fn drop_call(&mut self, id: ParticipantId) {
        self.calls.remove(&id);
        self.room.handle(Input::Leave(id));
    }

    /// Takes somebody out of the room, and ends his call.
    pub(super) fn hang_up(&mut self, id: ParticipantId) -> Result<(), Error> {
        let Some(call) = self.calls.remove(&id) else { return Ok(()) };
        self.room.handle(Input::Leave(id));
        match call.stage {
            Stage::Opening(opening) => opening.invite.create_response(StatusCode::SERVICE_UNAVAILABLE)?.send(),
            Stage::Answered(_) if call.session.is_valid() => call.session.terminate_dialog(),
            Stage::Answered(_) => Ok(()),
        }
    }

    /// Does what the room wants done, and tells those who want to know.
    pub(super) fn settle(&mut self, settings: &Settings, application: &SipApplicationSession) -> Result<(), Error> {
        let mut is_over = false;
        while let Some(output) = self.room.poll_output() {
            is_over |= output == Output::Emptied;
            self.carry_out(output);
        }
        if is_over {
            return self.subscriptions.end_all(&self.uri);
        }
        let there: BTreeSet<&Who> = self.calls.values().map(|call| &call.who).collect();
        self.subscriptions.keep(&self.uri, |who| there.contains(who))?;
        self.subscriptions.flush(settings, application, &self.uri, &self.room)
    }

    fn carry_out(&mut self, output: Output) {
        let switchboard = |id: ParticipantId| self.calls.get(&id).map(|call| call.wire.switchboard());
        match output {
            Output::Deliver { to, copy, content } => {
                if let Some(switchboard) = switchboard(to) {
                    switchboard.send(to, copy, content);
                }
            }
            Output::Answer { to, message, verdict } => {
                if let Some(switchboard) = switchboard(to) {
                    switchboard.answer(to, &message, verdict.map_err(|refusal| (refusal.code(), refusal.reason())));
                }
            }
            Output::AnswerNickname { to, transaction, verdict } => {
                if let Some(switchboard) = switchboard(to) {
                    let verdict = verdict.map_err(|refusal| (refusal.code(), refusal.reason()));
                    switchboard.answer_nickname(to, &transaction, verdict);
                }
            }
            Output::RosterChanged { user } => self.subscriptions.changed(&user),
            // Who is turned away was told when he came.
            Output::TurnedAway(_) | Output::Emptied => {}
        }
    }
}

/// What stands on a message's wrapper.
fn letter(content_type: &str, content: &Bytes) -> Result<Letter, BadWrapper> {
    if !content_type.parse::<ContentType>().is_ok_and(|content_type| content_type.is(cpim::CONTENT_TYPE)) {
        return Err(BadWrapper::NotCpim);
    }
    let message = cpim::Message::parse(content).map_err(|_| BadWrapper::Unreadable)?;
    Ok(Letter {
        from: message.from().map(|from| from.uri().to_owned()),
        to: message.to().map(|to| to.uri().to_owned()).collect(),
        content_type: message.content_type().essence(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7701 §9.3.
    #[test]
    fn the_wrapper_says_who_writes_what_to_whom() {
        let text = "To: <sip:chatroom22@chat.example.com;transport=tcp>\r\nFrom: Alice <sip:alice@atlanta.example.com>\r\n\
                    DateTime: 2009-03-02T15:02:31-03:00\r\n\r\nContent-Type: text/plain\r\n\r\nHello guys";
        let letter = letter("Message/CPIM", &Bytes::from_static(text.as_bytes())).unwrap();
        assert_eq!(letter.from.as_deref(), Some("sip:alice@atlanta.example.com"));
        assert_eq!(letter.to, ["sip:chatroom22@chat.example.com;transport=tcp"]);
        assert_eq!(letter.content_type, "text/plain");
    }

    #[test]
    fn what_is_no_wrapper_is_told_from_one_that_can_not_be_read() {
        let octets = Bytes::from_static(b"Hello guys");
        assert_eq!(letter("text/plain", &octets), Err(BadWrapper::NotCpim));
        assert_eq!(letter("message/cpim", &octets), Err(BadWrapper::Unreadable));
    }
}
