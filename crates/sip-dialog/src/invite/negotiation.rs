//! Offer/answer in the messages of an INVITE usage: RFC 6337 §2, RFC 3261 §13.2.1, RFC 3262 §5, RFC 3311 §5.
//!
//! The rules are `sdp`'s: [`carriage`] knows which message may carry what, [`OfferAnswer`] what may follow what. Here
//! messages become their inputs. A body that is no session description passes unseen.

use bytes::Bytes;
use sdp::carriage::{self, InviteProgress, MessageKind, PendingOffer, Role};
use sdp::{Agreement, Input, OfferAnswer, Output, SessionDescription, Side};
use sip_message::{Headers, StatusCode};

use super::api::Misuse;
use crate::fields::is_description;

/// The exchange of one dialog.
#[derive(Clone, Debug, Default)]
pub(crate) struct Negotiation {
    machine: OfferAnswer,
    pending: Option<PendingOffer>,
    progress: InviteProgress,
}

/// What the peer's description was, that needs something to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// No description, or one to act on.
    Nothing,
    /// An offer, which we owe an answer to.
    Offer,
    /// The answer to ours.
    Answer,
}

impl Negotiation {
    /// Goes on with an agreement that was written down.
    pub(crate) fn resume(agreement: Agreement) -> Negotiation {
        let progress = InviteProgress { exchanged: true };
        Negotiation { machine: OfferAnswer::resume(agreement, None), pending: None, progress }
    }

    pub(crate) fn machine(&self) -> &OfferAnswer {
        &self.machine
    }

    /// When an INVITE or re-INVITE begins.
    pub(crate) fn invite_began(&mut self) {
        self.progress = InviteProgress::default();
        // Can't fail: it is allowed in any state.
        let _ = self.machine.handle(Input::TransactionBegan);
    }

    /// When its final response is there.
    pub(crate) fn invite_ended(&mut self, success: bool) {
        let end = if success { Input::TransactionSucceeded } else { Input::RolledBack };
        // Can't fail: both are allowed in any state.
        let _ = self.machine.handle(end);
        if !success {
            self.pending = None;
        }
    }

    /// When an UPDATE or PRACK with an offer was refused.
    pub(crate) fn refused(&mut self, within: MessageKind) {
        if self.pending.is_some_and(|offer| offer.within == within) {
            self.pending = None;
            // Can't fail: an offer was pending.
            let _ = self.machine.handle(Input::Rejected);
        }
    }

    /// Whose offer has no answer.
    pub(crate) fn pending(&self) -> Option<Side> {
        self.pending.map(|offer| offer.from)
    }

    /// The description that we sent last, for a refresh that changes nothing.
    pub(crate) fn last_sent(&self) -> Option<&SessionDescription> {
        self.machine.last_sent()
    }

    /// Before a message of ours is sent: the body with the right version in its `o=` line, if it has a description.
    pub(crate) fn sending(
        &mut self,
        message: MessageKind,
        headers: &Headers,
        body: &Bytes,
    ) -> Result<Option<Bytes>, Misuse> {
        if !is_description(headers, body) {
            return Ok(None);
        }
        let input = match carriage::role(message, Side::Local, self.pending, self.progress) {
            Role::Offer => Input::LocalOffer,
            Role::Answer => Input::LocalAnswer,
            Role::Preview | Role::Ignored => return Ok(None),
        };
        let description = SessionDescription::parse(body).map_err(|_| Misuse::BadDescription)?;
        match self.machine.handle(input(description)).map_err(Misuse::OfferAnswer)? {
            Output::SendOffer(offer) => {
                self.pending = Some(PendingOffer { from: Side::Local, within: message });
                Ok(Some(offer.to_string().into()))
            }
            Output::SendAnswer(answer) => {
                self.complete();
                Ok(Some(answer.to_string().into()))
            }
            _ => Ok(None),
        }
    }

    /// When a message of the peer has arrived. The error is the status that a request deserves; in a response or an ACK
    /// the description is then as good as absent.
    pub(crate) fn received(
        &mut self,
        message: MessageKind,
        headers: &Headers,
        body: &Bytes,
    ) -> Result<Received, StatusCode> {
        if !is_description(headers, body) {
            return Ok(Received::Nothing);
        }
        let (input, received): (fn(SessionDescription) -> Input, _) =
            match carriage::role(message, Side::Remote, self.pending, self.progress) {
                Role::Offer => (Input::RemoteOffer, Received::Offer),
                Role::Answer => (Input::RemoteAnswer, Received::Answer),
                Role::Preview | Role::Ignored => return Ok(Received::Nothing),
            };
        let description = SessionDescription::parse(body).map_err(|_| StatusCode::NOT_ACCEPTABLE_HERE)?;
        if let Err(violation) = self.machine.handle(input(description)) {
            let status = violation.status().and_then(StatusCode::new);
            return Err(status.unwrap_or(StatusCode::NOT_ACCEPTABLE_HERE));
        }
        match received {
            Received::Offer => self.pending = Some(PendingOffer { from: Side::Remote, within: message }),
            _ => self.complete(),
        }
        Ok(received)
    }

    fn complete(&mut self) {
        // One exchange belongs to the INVITE itself; those of UPDATE and of a PRACK's own offer don't count.
        self.progress.exchanged |= !self.pending.is_some_and(|offer| offer.within == MessageKind::Update);
        self.pending = None;
    }
}
