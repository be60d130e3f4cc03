//! Offer/answer (RFC 3264) as a machine, one for each dialog.
//!
//! ```text
//!                     LocalOffer                RemoteOffer
//!   LocalOfferPending <--------------- Idle ---------------> RemoteOfferPending
//!          |                            ^ ^                          |
//!          |  RemoteAnswer              | |               LocalAnswer |
//!          |  Rejected, RolledBack      | |      Rejected, RolledBack |
//!          +----------------------------+ +--------------------------+
//! ```
//!
//! The machine knows what may follow what, which version our descriptions carry and
//! what both sides agreed on. Which SIP message carries an offer or an answer is
//! [`carriage`]; what to write into one is [`Capabilities`](crate::Capabilities);
//! when to try again after glare is the dialog's.

mod agreement;
pub mod carriage;
mod payload_types;
mod protection;
mod rules;

pub use agreement::{Agreement, Destination, StreamAgreement};
pub use protection::Protection;
pub use rules::{Rule, Strictness, Violation};

pub(crate) use payload_types::PayloadTypes;

use crate::description::SessionDescription;
use crate::media::MediaType;

/// One of the two who talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// We.
    Local,
    /// The peer.
    Remote,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// When we want to offer this. Its `o=` line need only be right the first time,
    /// later ones are written by the machine.
    LocalOffer(SessionDescription),
    /// When the peer offers this.
    RemoteOffer(SessionDescription),
    /// When we want to answer the peer's offer with this.
    LocalAnswer(SessionDescription),
    /// When the peer answers our offer with this.
    RemoteAnswer(SessionDescription),
    /// When the pending offer, whosever, was refused (488 and its like) or its
    /// message never arrived.
    Rejected,
    /// When a transaction begins whose failure undoes all exchanges in it, a
    /// re-INVITE (RFC 6337 §3.4, RFC 6141 §3.4).
    TransactionBegan,
    /// When that transaction succeeded.
    TransactionSucceeded,
    /// When it failed: the agreement is again what it was when it began. Without
    /// such a transaction, a pending offer is withdrawn.
    RolledBack,
}

/// What to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this offer.
    SendOffer(SessionDescription),
    /// Answer the peer's offer, or refuse it and say [`Input::Rejected`].
    AnswerOffer(Revision),
    /// Send this answer; both sides are agreed.
    SendAnswer(SessionDescription),
    /// Apply the agreement that the peer's answer completed.
    ApplyAnswer(Revision),
    /// Return to the agreement that was in force before, which may be none.
    RestoreAgreement,
    /// Do nothing.
    Nothing,
}

/// How the peer's description relates to the one before it (RFC 3264 §8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revision {
    /// There was none.
    First,
    /// Same version, same content: a refresh.
    Unchanged,
    /// The next version.
    Next,
    /// Against the rule, though accepted: another `o=` line, or a version that does
    /// not fit the change.
    Irregular,
}

/// Where an exchange stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is pending; either side may offer.
    Idle,
    /// We offered and have no answer.
    LocalOfferPending,
    /// The peer offered and has no answer.
    RemoteOfferPending,
}

/// The machine. Cloned when a call forks: each dialog negotiates for itself
/// (RFC 6337 §2.2).
#[derive(Clone, Debug, Default)]
pub struct OfferAnswer {
    strictness: Strictness,
    pending: Option<Offer>,
    agreed: Option<Agreement>,
    /// The agreement when the running transaction began.
    saved: Option<Option<Agreement>>,
    /// The last description that the peer got from us, refused ones too: its
    /// version is taken.
    last_sent: Option<SessionDescription>,
    last_received: Option<SessionDescription>,
    payload_types: PayloadTypes,
}

#[derive(Clone, Debug)]
struct Offer {
    from: Side,
    description: SessionDescription,
}

impl OfferAnswer {
    /// A machine that has seen nothing yet and tolerates what peers are known to do.
    pub fn new() -> OfferAnswer {
        OfferAnswer::default()
    }

    /// A machine that judges the peer as strictly as ourselves.
    pub fn strict() -> OfferAnswer {
        OfferAnswer { strictness: Strictness::Strict, ..OfferAnswer::default() }
    }

    /// A machine that goes on from an agreement that was written down.
    ///
    /// `last_sent` matters where it is not the agreement's: after an offer of ours
    /// was refused.
    pub fn resume(agreement: Agreement, last_sent: Option<SessionDescription>) -> OfferAnswer {
        let mut machine = OfferAnswer::new();
        machine.payload_types.record(None, &agreement);
        machine.last_sent = Some(last_sent.unwrap_or_else(|| agreement.local.clone()));
        machine.last_received = Some(agreement.remote.clone());
        machine.agreed = Some(agreement);
        machine
    }

    /// Takes the next step. After an error everything is as before.
    pub fn handle(&mut self, input: Input) -> Result<Output, Violation> {
        match (self.state(), input) {
            (State::Idle, Input::LocalOffer(offer)) => self.local_offer(offer),
            (State::Idle, Input::RemoteOffer(offer)) => self.remote_offer(offer),
            (State::LocalOfferPending, Input::RemoteAnswer(answer)) => self.remote_answer(answer),
            (State::RemoteOfferPending, Input::LocalAnswer(answer)) => self.local_answer(answer),

            (State::LocalOfferPending | State::RemoteOfferPending, Input::Rejected) => {
                self.pending = None;
                Ok(Output::RestoreAgreement)
            }
            (_, Input::TransactionBegan) => {
                self.saved = Some(self.agreed.clone());
                Ok(Output::Nothing)
            }
            (_, Input::TransactionSucceeded) => {
                self.saved = None;
                Ok(Output::Nothing)
            }
            (_, Input::RolledBack) => Ok(self.roll_back()),

            (State::LocalOfferPending, Input::LocalOffer(_)) => Err(Violation::local(Rule::LocalOfferIsPending)),
            (State::RemoteOfferPending, Input::LocalOffer(_)) => Err(Violation::local(Rule::RemoteOfferIsPending)),
            (State::LocalOfferPending, Input::RemoteOffer(_)) => Err(Violation::remote(Rule::LocalOfferIsPending)),
            (State::RemoteOfferPending, Input::RemoteOffer(_)) => Err(Violation::remote(Rule::RemoteOfferIsPending)),
            (State::Idle | State::LocalOfferPending, Input::LocalAnswer(_)) | (State::Idle, Input::Rejected) => {
                Err(Violation::local(Rule::NoOfferIsPending))
            }
            (State::Idle | State::RemoteOfferPending, Input::RemoteAnswer(_)) => {
                Err(Violation::remote(Rule::NoOfferIsPending))
            }
        }
    }

    /// Where the exchange stands.
    pub fn state(&self) -> State {
        match self.pending.as_ref().map(|offer| offer.from) {
            None => State::Idle,
            Some(Side::Local) => State::LocalOfferPending,
            Some(Side::Remote) => State::RemoteOfferPending,
        }
    }

    /// The offer that has no answer yet.
    pub fn pending_offer(&self) -> Option<(Side, &SessionDescription)> {
        let offer = self.pending.as_ref()?;
        Some((offer.from, &offer.description))
    }

    /// What is in force.
    pub fn agreement(&self) -> Option<&Agreement> {
        self.agreed.as_ref()
    }

    /// The last description we sent, whether or not it was accepted.
    pub fn last_sent(&self) -> Option<&SessionDescription> {
        self.last_sent.as_ref()
    }

    pub(crate) fn payload_types(&self) -> &PayloadTypes {
        &self.payload_types
    }

    /// The index of an m-line, if the stream there lives on with this media type.
    pub(crate) fn continuing(&self, index: usize, media: &MediaType) -> Option<usize> {
        let agreement = self.agreed.as_ref()?;
        let before = agreement.local.media.get(index)?;
        (agreement.is_enabled(index) && before.media == *media).then_some(index)
    }

    fn local_offer(&mut self, offer: SessionDescription) -> Result<Output, Violation> {
        rules::check_offer(&offer, self.agreed.as_ref())
            .and_then(|()| self.payload_types.check(Side::Local, &offer, self.agreed.as_ref()))
            .map_err(Violation::local)?;
        let offer = self.stamped(offer);
        self.last_sent = Some(offer.clone());
        self.pending = Some(Offer { from: Side::Local, description: offer.clone() });
        Ok(Output::SendOffer(offer))
    }

    fn remote_offer(&mut self, offer: SessionDescription) -> Result<Output, Violation> {
        rules::check_offer(&offer, self.agreed.as_ref()).map_err(Violation::remote)?;
        let revision = self.revision_of(&offer);
        if self.strictness == Strictness::Strict {
            self.payload_types
                .check(Side::Remote, &offer, self.agreed.as_ref())
                .and_then(|()| rules::check_revision(revision))
                .map_err(Violation::remote)?;
        }
        self.last_received = Some(offer.clone());
        self.pending = Some(Offer { from: Side::Remote, description: offer });
        Ok(Output::AnswerOffer(revision))
    }

    fn local_answer(&mut self, answer: SessionDescription) -> Result<Output, Violation> {
        let Some(offer) = &self.pending else {
            return Err(Violation::local(Rule::NoOfferIsPending));
        };
        rules::check_answer(&offer.description, &answer, Strictness::Strict).map_err(Violation::local)?;
        let remote = offer.description.clone();
        let answer = self.stamped(answer);
        self.last_sent = Some(answer.clone());
        self.agree(Agreement { offerer: Side::Remote, local: answer.clone(), remote });
        Ok(Output::SendAnswer(answer))
    }

    fn remote_answer(&mut self, answer: SessionDescription) -> Result<Output, Violation> {
        let Some(offer) = &self.pending else {
            return Err(Violation::remote(Rule::NoOfferIsPending));
        };
        rules::check_answer(&offer.description, &answer, self.strictness).map_err(Violation::remote)?;
        let revision = self.revision_of(&answer);
        if self.strictness == Strictness::Strict {
            rules::check_revision(revision).map_err(Violation::remote)?;
        }
        let local = offer.description.clone();
        self.last_received = Some(answer.clone());
        self.agree(Agreement { offerer: Side::Local, local, remote: answer });
        Ok(Output::ApplyAnswer(revision))
    }

    fn agree(&mut self, agreement: Agreement) {
        self.payload_types.record(self.agreed.as_ref(), &agreement);
        self.pending = None;
        self.agreed = Some(agreement);
    }

    fn roll_back(&mut self) -> Output {
        let withdrawn = self.pending.take().is_some();
        match self.saved.take() {
            Some(saved) => {
                self.agreed = saved;
                Output::RestoreAgreement
            }
            None if withdrawn => Output::RestoreAgreement,
            None => Output::Nothing,
        }
    }

    /// Our `o=` line never changes but in its version, and the version changes
    /// exactly when the rest does (RFC 3264 §8).
    fn stamped(&self, mut description: SessionDescription) -> SessionDescription {
        if let Some(last) = &self.last_sent {
            description.origin = last.origin.clone();
            if description != *last {
                let version = &mut description.origin.session_version;
                *version = version.saturating_add(1);
            }
        }
        description
    }

    fn revision_of(&self, description: &SessionDescription) -> Revision {
        let Some(last) = &self.last_received else {
            return Revision::First;
        };
        let expected = last.origin.session_version.checked_add(1);
        if description == last {
            Revision::Unchanged
        } else if description.origin.same_session(&last.origin) && Some(description.origin.session_version) == expected
        {
            Revision::Next
        } else {
            Revision::Irregular
        }
    }
}
