//! Which SIP message carries an offer, which an answer (RFC 6337 §2.2, Table 1), and
//! what is neither (§2.4, §3.1).
//!
//! ```text
//!    Offer                Answer             RFC    Ini Est Early
//!  -------------------------------------------------------------
//!  1. INVITE Req.          2xx INVITE Resp.     3261   Y   Y    N
//!  2. 2xx INVITE Resp.     ACK Req.             3261   Y   Y    N
//!  3. INVITE Req.          1xx-rel INVITE Resp. 3262   Y   Y    N
//!  4. 1xx-rel INVITE Resp. PRACK Req.           3262   Y   Y    N
//!  5. PRACK Req.           200 PRACK Resp.      3262   N   Y    Y
//!  6. UPDATE Req.          2xx UPDATE Resp.     3311   N   Y    Y
//! ```
//!
//! This crate does not know SIP messages; a dialog names the kind of each message
//! that it sends or receives, and learns what the description in it is.

use super::Side;

/// The kinds of SIP message whose body takes part in offer/answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// INVITE or re-INVITE.
    Invite,
    /// A provisional response to INVITE sent without 100rel.
    UnreliableProvisional,
    /// A provisional response to INVITE sent with 100rel (RFC 3262).
    ReliableProvisional,
    /// A 2xx response to INVITE.
    InviteSuccess,
    /// The ACK of that.
    Ack,
    /// The PRACK of a reliable provisional response.
    Prack,
    /// The 2xx response to PRACK.
    PrackSuccess,
    /// UPDATE.
    Update,
    /// The 2xx response to UPDATE.
    UpdateSuccess,
}

/// A row of Table 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// 1. INVITE, 2xx.
    InviteThenSuccess,
    /// 2. 2xx, ACK.
    SuccessThenAck,
    /// 3. INVITE, reliable 1xx.
    InviteThenProvisional,
    /// 4. Reliable 1xx, PRACK.
    ProvisionalThenPrack,
    /// 5. PRACK, its 2xx.
    PrackThenSuccess,
    /// 6. UPDATE, its 2xx.
    UpdateThenSuccess,
}

/// How an offer that cannot be accepted is refused (RFC 6337 §2.3, Table 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Respond 488 to the request that carried it. For a re-INVITE only as long as
    /// no media was exchanged by the new offer.
    NotAcceptableHere,
    /// Answer it in the message that must follow, with all streams rejected if need
    /// be, then offer anew or end the dialog.
    AnswerThenOfferAnew,
}

/// What a description in a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// An offer.
    Offer,
    /// The answer to the pending offer.
    Answer,
    /// Ahead of the answer, in an unreliable response: act on it, but the exchange
    /// remains open (§3.1.1).
    Preview,
    /// Neither; to be ignored, and not to be sent.
    Ignored,
}

/// The offer that has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingOffer {
    /// Who sent it.
    pub from: Side,
    /// In which message.
    pub within: MessageKind,
}

/// How far the exchanges within the running INVITE transaction are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InviteProgress {
    /// Whether the exchange that INVITE, its responses or their ACK or PRACK began
    /// is complete. There is only one in each transaction (§3.1.1).
    pub exchanged: bool,
}

impl Pattern {
    /// All rows.
    pub const ALL: [Pattern; 6] = [
        Pattern::InviteThenSuccess,
        Pattern::SuccessThenAck,
        Pattern::InviteThenProvisional,
        Pattern::ProvisionalThenPrack,
        Pattern::PrackThenSuccess,
        Pattern::UpdateThenSuccess,
    ];

    /// The message with the offer.
    pub fn offer(self) -> MessageKind {
        match self {
            Pattern::InviteThenSuccess | Pattern::InviteThenProvisional => MessageKind::Invite,
            Pattern::SuccessThenAck => MessageKind::InviteSuccess,
            Pattern::ProvisionalThenPrack => MessageKind::ReliableProvisional,
            Pattern::PrackThenSuccess => MessageKind::Prack,
            Pattern::UpdateThenSuccess => MessageKind::Update,
        }
    }

    /// The message with the answer.
    pub fn answer(self) -> MessageKind {
        match self {
            Pattern::InviteThenSuccess => MessageKind::InviteSuccess,
            Pattern::SuccessThenAck => MessageKind::Ack,
            Pattern::InviteThenProvisional => MessageKind::ReliableProvisional,
            Pattern::ProvisionalThenPrack => MessageKind::Prack,
            Pattern::PrackThenSuccess => MessageKind::PrackSuccess,
            Pattern::UpdateThenSuccess => MessageKind::UpdateSuccess,
        }
    }

    /// How the offer of this row is refused.
    pub fn refusal(self) -> Refusal {
        match self {
            Pattern::InviteThenSuccess | Pattern::InviteThenProvisional | Pattern::UpdateThenSuccess => {
                Refusal::NotAcceptableHere
            }
            Pattern::SuccessThenAck | Pattern::ProvisionalThenPrack | Pattern::PrackThenSuccess => {
                Refusal::AnswerThenOfferAnew
            }
        }
    }
}

impl PendingOffer {
    /// Whether a description in this message of that sender answers the offer.
    pub fn is_answered_by(self, message: MessageKind, sender: Side) -> bool {
        sender != self.from && Pattern::ALL.into_iter().any(|row| row.offer() == self.within && row.answer() == message)
    }
}

/// What the description in a message is. An [`Role::Offer`] may still be one too
/// many; that [`OfferAnswer`](super::OfferAnswer) tells.
pub fn role(message: MessageKind, sender: Side, pending: Option<PendingOffer>, progress: InviteProgress) -> Role {
    if pending.is_some_and(|offer| offer.is_answered_by(message, sender)) {
        return Role::Answer;
    }
    let answers_later = pending.is_some_and(|offer| offer.from != sender && offer.within == MessageKind::Invite);
    match message {
        MessageKind::Invite | MessageKind::Update => Role::Offer,
        MessageKind::UnreliableProvisional if answers_later => Role::Preview,
        // The first reliable message of an INVITE without offer (§3.1.2).
        MessageKind::ReliableProvisional | MessageKind::InviteSuccess if pending.is_none() && !progress.exchanged => {
            Role::Offer
        }
        // Only once the exchange of the INVITE is complete (§2.2, pattern 5).
        MessageKind::Prack if pending.is_none() && progress.exchanged => Role::Offer,
        MessageKind::UnreliableProvisional
        | MessageKind::ReliableProvisional
        | MessageKind::InviteSuccess
        | MessageKind::Ack
        | MessageKind::Prack
        | MessageKind::PrackSuccess
        | MessageKind::UpdateSuccess => Role::Ignored,
    }
}

/// What a message has to carry, if anything.
pub fn required(
    message: MessageKind,
    sender: Side,
    pending: Option<PendingOffer>,
    progress: InviteProgress,
) -> Option<Role> {
    let role = role(message, sender, pending, progress);
    match message {
        // May wait for a later response.
        MessageKind::ReliableProvisional if role == Role::Answer => None,
        MessageKind::Invite | MessageKind::Update | MessageKind::UnreliableProvisional => None,
        MessageKind::Prack if role == Role::Offer => None,
        _ => (role != Role::Ignored).then_some(role),
    }
}

#[cfg(test)]
mod tests {
    use super::MessageKind::*;
    use super::*;

    const OPEN: InviteProgress = InviteProgress { exchanged: false };
    const DONE: InviteProgress = InviteProgress { exchanged: true };

    fn pending(from: Side, within: MessageKind) -> Option<PendingOffer> {
        Some(PendingOffer { from, within })
    }

    /// RFC 6337 §2.2, Table 1.
    #[test]
    fn each_row_of_the_table_pairs_an_offer_with_its_answer() {
        for row in Pattern::ALL {
            let offer = PendingOffer { from: Side::Local, within: row.offer() };
            assert!(offer.is_answered_by(row.answer(), Side::Remote), "{row:?}");
            assert!(!offer.is_answered_by(row.answer(), Side::Local), "{row:?}");
            let role = role(row.answer(), Side::Remote, Some(offer), OPEN);
            assert_eq!(role, Role::Answer, "{row:?}");
        }
    }

    /// RFC 6337 §3.1.1, Figure 1.
    #[test]
    fn figure_1_has_one_answer_and_otherwise_previews_and_noise() {
        let offered = pending(Side::Local, Invite);
        let from_uas = |kind, pending, progress| role(kind, Side::Remote, pending, progress);
        assert_eq!(from_uas(UnreliableProvisional, offered, OPEN), Role::Preview); // F2
        assert_eq!(required(ReliableProvisional, Side::Remote, offered, OPEN), None); // F3
        assert_eq!(from_uas(ReliableProvisional, offered, OPEN), Role::Answer); // F6
        assert_eq!(role(Prack, Side::Local, None, DONE), Role::Offer); // F7
        assert_eq!(from_uas(ReliableProvisional, None, DONE), Role::Ignored); // F9
        assert_eq!(from_uas(InviteSuccess, None, DONE), Role::Ignored); // F12
        assert_eq!(role(Ack, Side::Local, None, DONE), Role::Ignored); // F13
    }

    /// RFC 6337 §3.1.2, Figure 2.
    #[test]
    fn an_invite_without_offer_gets_it_in_the_first_reliable_response() {
        let uas = Side::Remote;
        assert_eq!(role(UnreliableProvisional, uas, None, OPEN), Role::Ignored);
        let first = required(ReliableProvisional, uas, None, OPEN);
        assert_eq!(first, Some(Role::Offer));
        assert_eq!(required(InviteSuccess, uas, None, OPEN), Some(Role::Offer));
        let offered = pending(uas, ReliableProvisional);
        let prack = required(Prack, Side::Local, offered, OPEN);
        assert_eq!(prack, Some(Role::Answer));
        let offered = pending(uas, InviteSuccess);
        assert_eq!(required(Ack, Side::Local, offered, OPEN), Some(Role::Answer));
    }

    #[test]
    fn a_success_must_answer_the_invite_it_completes() {
        let offered = pending(Side::Local, Invite);
        let success = required(InviteSuccess, Side::Remote, offered, OPEN);
        assert_eq!(success, Some(Role::Answer));
        // A 2xx to UPDATE does not answer an INVITE.
        assert_eq!(role(UpdateSuccess, Side::Remote, offered, OPEN), Role::Ignored);
    }
}
