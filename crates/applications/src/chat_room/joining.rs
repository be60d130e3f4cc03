//! Calls to a room: RFC 4579 §5.1 with the stream of RFC 7701 §5.2.
//!
//! ```text
//!   peer                     focus                      switchboard
//!    │ INVITE offer            │                              │
//!    ├────────────────────────►│ open                         │
//!    │                         ├─────────────────────────────►│
//!    │                         │◄─────────────────────────────┤ Opened
//!    │    200 answer, isfocus  │   he is in the room          │
//!    │◄────────────────────────┤ connect, his history         │
//!    │ ACK                     ├─────────────────────────────►│
//!    ├────────────────────────►│                              │
//! ```
//!
//! An INVITE without an offer is answered with one; its caller is in the room when the answer has come with the ACK.
//!
//! A stream that moves, by a re-INVITE or UPDATE with another path, gets another end of ours, and is answered when that is
//! there. Its user keeps his seat. The old end is closed when he is at the new one; what comes there in between is not heard.

use std::net::IpAddr;
use std::sync::Arc;

use sdp::{Input as Say, OfferAnswer, Origin, Output as Said, SessionDescription, State, Violation};
use servlet::{
    Address, Error, KeepAlivePreference, Method, Result, SessionState, SipApplicationSession, SipServletRequest,
    SipServletResponse, SipUri, StatusCode, Uri,
};

use super::description::{self, Chat};
use super::focus::{self, Call, Focus, Moving, Opening, Ours, Stage};
use super::identity::Who;
use super::refusal::NotDone;
use super::room::{Identity, Input, Newcomer, ParticipantId};
use super::switchboard::{Opened, Plan};
use super::wire::Wire;
use super::{ALLOW, PACKAGE, Settings};

/// Takes an INVITE or UPDATE.
pub(super) fn invite(settings: &Settings, request: &SipServletRequest) -> Result<(), NotDone> {
    if request.is_initial() { begin(settings, request) } else { change(settings, request) }
}

fn begin(settings: &Settings, request: &SipServletRequest) -> Result<(), NotDone> {
    let offer = offer_in(request)?;
    let offer = match offer {
        Some(offer) => {
            let chat = description::chat_of(&offer).ok_or(StatusCode::NOT_ACCEPTABLE_HERE)?;
            Some((offer, chat))
        }
        None => None,
    };
    let (who, identity) = caller(request)?;
    let session = request.session()?;
    let application = request.application_session()?;
    let called = request.request_uri();
    let uri = plain(&called).ok_or(StatusCode::NOT_FOUND)?;
    let held = focus::obtain(settings, &application, &uri)?.ok_or(StatusCode::SERVER_INTERNAL_ERROR)?;
    let focus = &mut *held.0.borrow_mut();
    if focus.is_full() {
        return Err(StatusCode::BUSY_HERE.into());
    }
    let local = reached_at(request, &application)?;
    let mut negotiation = OfferAnswer::new();
    if let Some((offer, _)) = &offer {
        negotiation.handle(Say::RemoteOffer(offer.clone())).map_err(owed)?;
    }
    let wire = Wire::of(&application)?;
    let peer = offer.as_ref().map(|(_, chat)| Box::new(chat.media.clone()));
    wire.switchboard().open(wire.id(), Plan { local, peer, max_message: settings.max_message });
    let endpoint = request.address_header("Contact").ok().flatten();
    let call = Call {
        session,
        who,
        identity,
        endpoint: endpoint.and_then(|contact| contact.uri().and_then(plain)),
        called: Who::of(&uri),
        stage: Stage::Opening(Box::new(Opening { invite: request.clone(), offer })),
        negotiation,
        path: None,
        is_in: false,
        left: None,
        moving: None,
        wire,
    };
    focus.calls.insert(call.wire.id(), call);
    Ok(())
}

/// Our end of a call's MSRP session is there.
pub(super) fn opened(
    settings: &Arc<Settings>,
    application: &SipApplicationSession,
    focus: &mut Focus,
    id: ParticipantId,
    opened: Opened,
) -> Result<(), Error> {
    if let Some(whose) = focus.moving_to(id) {
        return moved(settings, focus, whose, &opened);
    }
    let Some(call) = focus.calls.get_mut(&id) else { return Ok(()) };
    if !matches!(call.stage, Stage::Opening(_)) {
        return Ok(());
    }
    // RFC 8866 §5.2: numeric; kept below 2^53 for peers that count in floating point.
    let origin = Origin::new(application.servlet_context()?.random() >> 11, opened.address);
    let media = description::ours(&opened.media, &settings.policy, settings.max_message);
    let ours = Box::new(Ours { origin, address: opened.address, media });
    let Stage::Opening(opening) = std::mem::replace(&mut call.stage, Stage::Answered(ours)) else { return Ok(()) };
    let Opening { invite, offer } = *opening;
    let taken = match offer {
        Some((offer, chat)) => take(focus, id, &invite, &offer, &chat),
        None => offer_of(call).map_err(NotDone::from).and_then(|offer| Ok(accept(&invite, Some(&offer))?)),
    };
    match taken {
        Ok(()) => Ok(()),
        Err(why) => {
            focus.drop_call(id);
            match why {
                NotDone::Refused(status, _) => invite.create_response(status)?.send(),
                // The caller may have given up in between.
                NotDone::Failed(error) => Err(error),
            }
        }
    }
}

/// Answers an INVITE with an offer, and lets its caller in.
fn take(
    focus: &mut Focus,
    id: ParticipantId,
    invite: &SipServletRequest,
    offer: &SessionDescription,
    chat: &Chat,
) -> Result<(), NotDone> {
    let call = focus.calls.get_mut(&id).ok_or(StatusCode::SERVER_INTERNAL_ERROR)?;
    let description = answer(call, offer, chat.place)?;
    if !join(focus, id, chat) {
        return Err(StatusCode::BUSY_HERE.into());
    }
    accept(invite, Some(&description))?;
    took_call(focus, id, chat);
    Ok(())
}

/// The answer to an offer of ours (RFC 3261 §13.2.1). A call without it is ended.
pub(super) fn acknowledged(settings: &Settings, ack: &SipServletRequest) -> Result {
    let application = ack.application_session()?;
    let Some(held) = focus::of(&application)? else { return Ok(()) };
    let focus = &mut *held.0.borrow_mut();
    let Some(id) = focus.call_in(&ack.session()?) else { return Ok(()) };
    let Some(call) = focus.calls.get_mut(&id) else { return Ok(()) };
    if call.negotiation.state() != State::LocalOfferPending {
        return Ok(());
    }
    let answer = SessionDescription::parse(ack.raw_content()).ok();
    let chat = answer.as_ref().and_then(description::chat_of);
    let is_agreed = answer.is_some_and(|answer| call.negotiation.handle(Say::RemoteAnswer(answer)).is_ok());
    match chat.filter(|_| is_agreed) {
        Some(chat) if !call.is_in => {
            if join(focus, id, &chat) {
                took_call(focus, id, &chat);
            } else {
                focus.hang_up(id)?;
            }
        }
        Some(chat) if call.path.as_ref() == Some(&chat.path) => {}
        Some(_) | None => focus.hang_up(id)?,
    }
    Ok(focus.settle(settings, &application)?)
}

/// A re-INVITE or an UPDATE: a refresh, a hold, a stream that moves, or others that are refused like those before.
fn change(settings: &Settings, request: &SipServletRequest) -> Result<(), NotDone> {
    let offer = offer_in(request)?;
    let application = request.application_session()?;
    let gone = StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST;
    let held = focus::of(&application)?.ok_or(gone)?;
    let focus = &mut *held.0.borrow_mut();
    let id = focus.call_in(&request.session()?).ok_or(gone)?;
    let call = focus.calls.get_mut(&id).ok_or(gone)?;
    let description = match offer {
        Some(offer) => {
            let chat = description::chat_of(&offer).ok_or(StatusCode::NOT_ACCEPTABLE_HERE)?;
            if Some(&chat.path) != call.path.as_ref() {
                return begin_to_move(settings, &application, call, request, offer, chat);
            }
            call.negotiation.handle(Say::RemoteOffer(offer.clone())).map_err(owed)?;
            let answer = answer(call, &offer, chat.place)?;
            focus.room.handle(agreed(id, &chat));
            Some(answer)
        }
        None if request.method() == Method::Invite => Some(offer_of(call)?),
        // RFC 3311 §5.1: an UPDATE without an offer is a refresh.
        None => None,
    };
    accept(request, description.as_ref())?;
    Ok(focus.settle(settings, &application)?)
}

/// Opens another end for a stream that moves.
fn begin_to_move(
    settings: &Settings,
    application: &SipApplicationSession,
    call: &mut Call,
    request: &SipServletRequest,
    offer: SessionDescription,
    chat: Chat,
) -> Result<(), NotDone> {
    if !call.is_in || call.moving.is_some() {
        return Err(StatusCode::REQUEST_PENDING.into());
    }
    let local = reached_at(request, application)?;
    let wire = Wire::of(application)?;
    call.negotiation.handle(Say::RemoteOffer(offer.clone())).map_err(owed)?;
    let peer = Some(Box::new(chat.media.clone()));
    wire.switchboard().open(wire.id(), Plan { local, peer, max_message: settings.max_message });
    call.moving = Some(Box::new(Moving { wire, request: request.clone(), offer, chat, is_lost: false }));
    Ok(())
}

/// The end that a stream moves to is there: it is the call's from now on.
fn moved(settings: &Settings, focus: &mut Focus, from: ParticipantId, opened: &Opened) -> Result<(), Error> {
    let Some(mut call) = focus.calls.remove(&from) else { return Ok(()) };
    let Some(moving) = call.moving.take() else { return Ok(()) };
    let Moving { wire, request, offer, chat, .. } = *moving;
    if let Stage::Answered(ours) = &mut call.stage {
        ours.address = opened.address;
        ours.media = description::ours(&opened.media, &settings.policy, settings.max_message);
    }
    let answer = answer(&mut call, &offer, chat.place);
    let to = wire.id();
    call.path = Some(chat.path.clone());
    call.left = Some(std::mem::replace(&mut call.wire, wire));
    call.wire.switchboard().connect(to, &chat.media);
    focus.calls.insert(to, call);
    focus.room.handle(Input::Moved { from, to });
    focus.room.handle(agreed(to, &chat));
    let answered = match answer {
        Ok(answer) => return accept(&request, Some(&answer)),
        Err(status) => request.create_response(status).and_then(|response| response.send()),
    };
    // There is nothing to go back to.
    focus.hang_up(to).and(answered)
}

/// An MSRP session is over, or was never there.
pub(super) fn lost(focus: &mut Focus, id: ParticipantId) -> Result<(), Error> {
    if let Some(whose) = focus.moving_to(id) {
        let moving = focus.calls.get_mut(&whose).and_then(stay);
        let Some(moving) = moving else { return Ok(()) };
        moving.request.create_response(StatusCode::NOT_ACCEPTABLE_HERE)?.send()?;
        return if moving.is_lost { focus.hang_up(whose) } else { Ok(()) };
    }
    match focus.calls.get_mut(&id).and_then(|call| call.moving.as_mut()) {
        // Whoever moves has a reason to.
        Some(moving) => {
            moving.is_lost = true;
            Ok(())
        }
        None => focus.hang_up(id),
    }
}

/// A stream does not move after all: what was agreed before stays (RFC 3261 §14.2).
fn stay(call: &mut Call) -> Option<Moving> {
    let moving = call.moving.take()?;
    let _ = call.negotiation.handle(Say::Rejected);
    Some(*moving)
}

/// A CANCEL: of the call, or of a re-INVITE, which the container has answered.
pub(super) fn cancelled(settings: &Settings, cancel: &SipServletRequest) -> Result {
    let application = cancel.application_session()?;
    let session = cancel.session()?;
    if let Some(held) = focus::of(&application)? {
        let focus = &mut *held.0.borrow_mut();
        let id = focus.call_in(&session);
        let call = id.and_then(|id| focus.calls.get_mut(&id)).filter(|call| matches!(call.stage, Stage::Answered(_)));
        if let (Some(id), Some(call)) = (id, call) {
            if stay(call).is_some_and(|moving| moving.is_lost) {
                focus.hang_up(id)?;
            }
            return Ok(focus.settle(settings, &application)?);
        }
    }
    ended(settings, cancel)
}

/// BYE, and whatever else ends a call.
pub(super) fn ended(settings: &Settings, request: &SipServletRequest) -> Result {
    let application = request.application_session()?;
    let Some(held) = focus::of(&application)? else { return Ok(()) };
    let focus = &mut *held.0.borrow_mut();
    focus.leave(&request.session()?);
    Ok(focus.settle(settings, &application)?)
}

/// No ACK has come for the 2xx (RFC 3261 §13.3.1.4).
pub(super) fn unacknowledged(settings: &Settings, request: &SipServletRequest) -> Result {
    let application = request.application_session()?;
    let Some(held) = focus::of(&application)? else { return Ok(()) };
    let focus = &mut *held.0.borrow_mut();
    if let Some(id) = focus.call_in(&request.session()?) {
        focus.hang_up(id)?;
    }
    Ok(focus.settle(settings, &application)?)
}

/// What a participant takes, once it is agreed anew.
fn agreed(by: ParticipantId, chat: &Chat) -> Input {
    Input::Agreed { by, takes: chat.takes.clone(), knows_private_messages: chat.knows_private_messages }
}

/// The address of ours that a caller has reached.
fn reached_at(request: &SipServletRequest, application: &SipApplicationSession) -> Result<IpAddr, NotDone> {
    // A call that comes from another application here has no address of ours yet, and some have come to all of them.
    let context = application.servlet_context()?;
    let interface = || context.outbound_interfaces().first()?.host().parse().ok();
    let local = request.local_addr().map(|local| local.ip()).filter(|local| !local.is_unspecified()).or_else(interface);
    Ok(local.ok_or(StatusCode::SERVICE_UNAVAILABLE)?)
}

/// Gives somebody a seat. Whether there was one.
fn join(focus: &mut Focus, id: ParticipantId, chat: &Chat) -> bool {
    let Some(call) = focus.calls.get(&id) else { return false };
    if focus.room.is_full() {
        return false;
    }
    focus.room.handle(Input::Join(Box::new(Newcomer {
        id,
        identity: call.identity.clone(),
        endpoint: call.endpoint.clone(),
        called: call.called.clone(),
        takes: chat.takes.clone(),
        knows_private_messages: chat.knows_private_messages,
    })));
    true
}

/// The call is up, and its MSRP session can be.
fn took_call(focus: &mut Focus, id: ParticipantId, chat: &Chat) {
    let Some(call) = focus.calls.get_mut(&id) else { return };
    if call.session.state() != Ok(SessionState::Confirmed) {
        // The container has had a reason to refuse it.
        return focus.drop_call(id);
    }
    call.is_in = true;
    call.path = Some(chat.path.clone());
    call.wire.switchboard().connect(id, &chat.media);
}

fn answer(call: &mut Call, offer: &SessionDescription, place: usize) -> Result<SessionDescription, StatusCode> {
    let Stage::Answered(ours) = &call.stage else { return Err(StatusCode::REQUEST_PENDING) };
    let answer = description::describe(&ours.origin, ours.address, &ours.media, Some((offer, place)));
    match call.negotiation.handle(Say::LocalAnswer(answer)) {
        Ok(Said::SendAnswer(answer)) => Ok(answer),
        _ => {
            // What was agreed before stays (RFC 3261 §14.2).
            let _ = call.negotiation.handle(Say::Rejected);
            Err(StatusCode::NOT_ACCEPTABLE_HERE)
        }
    }
}

fn offer_of(call: &mut Call) -> Result<SessionDescription, StatusCode> {
    let Stage::Answered(ours) = &call.stage else { return Err(StatusCode::REQUEST_PENDING) };
    let anew = || description::describe(&ours.origin, ours.address, &ours.media, None);
    // RFC 3264 §8: every stream that there was stays in its place.
    let offer = call.negotiation.last_sent().cloned().unwrap_or_else(anew);
    match call.negotiation.handle(Say::LocalOffer(offer)) {
        Ok(Said::SendOffer(offer)) => Ok(offer),
        Ok(_) => Err(StatusCode::SERVER_INTERNAL_ERROR),
        Err(violation) => Err(owed(violation)),
    }
}

/// 200, from a focus.
fn accept(request: &SipServletRequest, description: Option<&SessionDescription>) -> Result<(), Error> {
    let response = request.create_response(StatusCode::OK)?;
    response.set_header("Allow", ALLOW)?;
    response.set_header("Allow-Events", PACKAGE)?;
    if let Some(description) = description {
        response.set_content(description.to_string(), "application/sdp")?;
    }
    say_focus(&response, request)?;
    response.set_session_keep_alive(KeepAlivePreference::default())?;
    response.send()
}

/// RFC 4579 §4.1: the Contact of a focus is known by `isfocus`. Its user is the room.
pub(super) fn say_focus(response: &SipServletResponse, request: &SipServletRequest) -> Result<(), Error> {
    let contact = focus_contact(&request.to().uri().cloned())?;
    response.set_contact(&contact)
}

/// See [`say_focus`].
pub(super) fn focus_contact(room: &Option<Uri>) -> Result<Address, Error> {
    let user = room.as_ref().and_then(Uri::as_sip).and_then(SipUri::user);
    let mut contact = Address::new(SipUri::new(user.as_deref(), "localhost")?);
    contact.set_parameter("isfocus", "")?;
    Ok(contact)
}

/// Who calls: an address that he can be held to, and who he is to others (RFC 7701 §5.2, RFC 3323 §4).
pub(super) fn caller(request: &SipServletRequest) -> Result<(Who, Identity), NotDone> {
    let from = request.from();
    let uri = from.uri().ok_or(StatusCode::BAD_REQUEST)?;
    let who = Who::of(uri.as_str()).ok_or(StatusCode::BAD_REQUEST)?;
    if let Some(name) = request.remote_user() {
        // Whom the container has authenticated speaks for himself.
        let user = uri.as_sip().and_then(SipUri::user);
        if !who.is_anonymous() && user.as_ref() != Some(&name) && who.to_string() != name {
            return Err(StatusCode::FORBIDDEN.into());
        }
    }
    if who.is_anonymous() || wants_privacy(&request.headers("Privacy")) {
        return Ok((who, Identity::Anonymous));
    }
    let uri = plain(uri).ok_or(StatusCode::BAD_REQUEST)?;
    Ok((who, Identity::Known { uri, display_name: from.display_name() }))
}

/// RFC 3323 §4.2, RFC 3325 §9.3: any wish but `none`.
fn wants_privacy(values: &[String]) -> bool {
    let words = values.iter().flat_map(|value| value.split([';', ','])).map(str::trim);
    words.into_iter().any(|word| ["id", "user", "header", "session"].iter().any(|wish| word.eq_ignore_ascii_case(wish)))
}

/// A URI without parameters and headers.
fn plain(uri: &Uri) -> Option<String> {
    let Some(sip) = uri.as_sip() else {
        return Some(uri.as_str().split(';').next().unwrap_or_default().to_owned()).filter(|uri| !uri.is_empty());
    };
    let mut plain = SipUri::new(sip.user().as_deref(), &sip.host()).ok()?;
    plain.set_secure(sip.secure());
    plain.set_port(sip.port());
    Some(plain.to_string())
}

fn offer_in(request: &SipServletRequest) -> Result<Option<SessionDescription>, NotDone> {
    if request.content_length() == 0 {
        return Ok(None);
    }
    let offer = SessionDescription::parse(request.raw_content()).map_err(|_| StatusCode::BAD_REQUEST)?;
    Ok(Some(offer))
}

fn owed(violation: Violation) -> StatusCode {
    violation.status().and_then(StatusCode::new).unwrap_or(StatusCode::SERVER_INTERNAL_ERROR)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3323 §4.2.
    #[test]
    fn privacy_is_asked_for_by_any_word_but_none() {
        let wants = |value: &str| wants_privacy(&[value.to_owned()]);
        assert!(wants("id") && wants("header;user") && wants("ID, critical"));
        assert!(!wants("none") && !wants("critical") && !wants(""));
    }

    #[test]
    fn a_uri_is_told_without_the_ways_that_lead_to_it() {
        let plain = |text: &str| plain(&Uri::parse(text).unwrap());
        assert_eq!(plain("sip:alice@192.0.2.1:5070;transport=tcp?x=y").as_deref(), Some("sip:alice@192.0.2.1:5070"));
        assert_eq!(plain("tel:+4930123;phone-context=x").as_deref(), Some("tel:+4930123"));
    }

    /// RFC 4579 §4.1.
    #[test]
    fn the_contact_of_a_room_says_that_it_is_a_focus() {
        let room = Uri::parse("sip:chat-lobby@example.com").unwrap();
        assert_eq!(focus_contact(&Some(room)).unwrap().to_string(), "<sip:chat-lobby@localhost>;isfocus");
    }
}
