//! What goes into the INVITE usage and what comes out: the two enums to learn it from, and what can be chosen.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use sip_message::{Method, NameAddrBuf, Request, Response, StatusCode};

use sip_transaction::Timers;

use crate::random::Random;
use crate::session_timer::SessionTimerPolicy;

/// A dialog of one usage: the first is 0, each further fork has the next number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DialogKey(pub u32);

/// A client transaction: the usage names it when it orders a request, the layer below says the name with each response.
/// The name is one within the usage; another usage has the same ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientKey(pub u64);

/// A server transaction: the layer below names it with each request, the usage says the name with each response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerKey(pub u64);

/// A body with its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// Content-Type.
    pub content_type: Box<str>,
    /// The octets.
    pub octets: Bytes,
}

impl Body {
    /// A session description.
    pub fn sdp(description: impl fmt::Display) -> Body {
        Body { content_type: "application/sdp".into(), octets: description.to_string().into() }
    }
}

/// Why a request of ours has no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// When no final response came in time. Taken for a 408 (RFC 3261 §8.1.3.1).
    TimedOut,
    /// When it could not be sent. Taken for a 503 (RFC 3261 §8.1.3.1).
    NotSent,
}

impl Failure {
    /// The status that it is taken for.
    pub fn status(self) -> StatusCode {
        match self {
            Failure::TimedOut => StatusCode::REQUEST_TIMEOUT,
            Failure::NotSent => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// What can happen to the usage. The first five come from the layer below, the others are its user's wishes.
#[derive(Clone, Debug)]
pub enum Input {
    /// When a request arrived: one of a dialog, or the CANCEL of an INVITE.
    RequestReceived {
        /// Its server transaction.
        transaction: ServerKey,
        /// The request.
        request: Request,
    },
    /// When the ACK of a 2xx arrived, which has no transaction.
    AckReceived(Request),
    /// When a response arrived.
    ResponseReceived {
        /// The transaction of the request.
        transaction: ClientKey,
        /// The response.
        response: Response,
    },
    /// When a request will get no response.
    RequestFailed {
        /// Its transaction.
        transaction: ClientKey,
        /// Why.
        failure: Failure,
    },
    /// When the time of [`next_timeout`](super::InviteUsage::next_timeout) has come.
    TimeReached,
    /// Send this request of the dialog, made with [`create_request`](super::InviteUsage::create_request).
    Send {
        /// The dialog.
        dialog: DialogKey,
        /// The request. ACK, PRACK and CANCEL have their own inputs.
        request: Request,
    },
    /// Send this response to a request that an event told of.
    Respond {
        /// The transaction of the request.
        transaction: ServerKey,
        /// The response; a To tag and, where one is due and missing, a Contact are added.
        response: Response,
        /// Whether a provisional response is to be sent reliably (RFC 3262). It is anyhow when the peer requires that.
        reliably: bool,
    },
    /// Send the initial INVITE again, changed: with credentials, to another target.
    Invite(Request),
    /// Cancel the initial INVITE, with all its forks.
    Cancel,
    /// Cancel our re-INVITE in this dialog.
    CancelReinvite(DialogKey),
    /// Acknowledge the 2xx to an INVITE of ours. Needed only when the event said that an ACK is owed.
    Acknowledge {
        /// The dialog.
        dialog: DialogKey,
        /// The answer to an offer in the 2xx.
        body: Option<Body>,
    },
    /// Acknowledge a reliable provisional response. Needed only when the event said that a PRACK is owed.
    AcknowledgeProvisional {
        /// The dialog.
        dialog: DialogKey,
        /// The answer to an offer in it, or another offer.
        body: Option<Body>,
    },
}

/// What the owner of the usage is to do.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send this request in a new client transaction. It has everything but a Via.
    SendRequest {
        /// The name for its responses.
        transaction: ClientKey,
        /// The request.
        request: Request,
    },
    /// Send this ACK of a 2xx to the transport, without a transaction. It has everything but a Via.
    SendAck(Request),
    /// Cancel this INVITE (RFC 3261 §9.1): a CANCEL in a transaction of its own, after the first provisional response.
    CancelRequest {
        /// The transaction of the INVITE.
        transaction: ClientKey,
    },
    /// Send this response. A 2xx or a reliable 1xx may be ordered several times.
    SendResponse {
        /// The transaction of the request.
        transaction: ServerKey,
        /// The response.
        response: Response,
    },
    /// Tell the user.
    Event(Event),
}

/// What the user is told, after the state has changed.
#[derive(Clone, Debug)]
pub enum Event {
    /// When a provisional response to the initial INVITE or to a re-INVITE came; a reliable one once and in its order.
    Provisional {
        /// The dialog, if the response names one.
        dialog: Option<DialogKey>,
        /// The response.
        response: Response,
        /// Whether the user has to answer the offer in it with [`Input::AcknowledgeProvisional`].
        prack_owed: bool,
    },
    /// When a 2xx to the initial INVITE came. Each fork that answers gives one; of all but one the user takes leave.
    Answered {
        /// The dialog.
        dialog: DialogKey,
        /// The response.
        response: Response,
        /// Whether the user has to [`Input::Acknowledge`].
        ack_owed: bool,
    },
    /// When the initial INVITE failed for good: with this response, or without any.
    Rejected {
        /// The status.
        status: StatusCode,
        /// The response, if there is one.
        response: Option<Response>,
    },
    /// When a final response to another request of ours came, a re-INVITE's, too.
    Response {
        /// The dialog.
        dialog: DialogKey,
        /// The response.
        response: Response,
        /// Whether it is a 2xx to a re-INVITE that the user has to [`Input::Acknowledge`].
        ack_owed: bool,
    },
    /// When a request of ours was challenged (401, 407): the user may add credentials and [`Input::Send`] it again. Of a
    /// BYE that the usage said on its own, this comes after [`Event::Terminated`].
    Challenged {
        /// The dialog.
        dialog: DialogKey,
        /// The request as it was sent.
        request: Request,
        /// The response.
        response: Response,
    },
    /// When a request of ours got no response. A lost INVITE, UPDATE or BYE ends the dialog; that is a further event.
    NoResponse {
        /// The dialog.
        dialog: DialogKey,
        /// Which method it had.
        method: Method,
        /// Why.
        failure: Failure,
    },
    /// When a request came that the user has to [`Input::Respond`] to.
    Request {
        /// The dialog.
        dialog: DialogKey,
        /// Its transaction.
        transaction: ServerKey,
        /// The request.
        request: Request,
    },
    /// When the ACK of our 2xx came, once.
    Acknowledged {
        /// The dialog.
        dialog: DialogKey,
        /// The ACK.
        ack: Request,
    },
    /// When the PRACK of our reliable provisional response came. It was answered, unless it has an offer: then it comes
    /// as [`Event::Request`], too.
    ProvisionalAcknowledged {
        /// The dialog.
        dialog: DialogKey,
        /// The PRACK.
        prack: Request,
    },
    /// When no PRACK came for 64·T1. The INVITE was rejected with 504.
    ProvisionalNotAcknowledged {
        /// The dialog.
        dialog: DialogKey,
    },
    /// When the caller cancelled an INVITE of his; it was answered 487.
    Cancelled {
        /// The dialog.
        dialog: DialogKey,
        /// The CANCEL.
        cancel: Request,
    },
    /// When a re-INVITE or UPDATE met one of the peer's, and will be sent again after this time (RFC 3261 §14.1).
    GlareRetryWaits {
        /// The dialog.
        dialog: DialogKey,
        /// How long.
        wait: Duration,
    },
    /// When the session must be refreshed soon and only the user can do it, because the peer takes no UPDATE and the
    /// session description is not known here.
    RefreshDue {
        /// The dialog.
        dialog: DialogKey,
    },
    /// When a dialog is over.
    Terminated {
        /// The dialog.
        dialog: DialogKey,
        /// Why.
        reason: Termination,
    },
}

/// Why a dialog is over.
#[derive(Clone, Debug)]
pub enum Termination {
    /// When the peer said BYE, with this request. It was answered.
    ByeReceived(Box<Request>),
    /// When we said BYE.
    ByeSent,
    /// When the INVITE that was to confirm the dialog failed, or another fork was taken.
    NotConfirmed,
    /// When no ACK came for our 2xx. BYE was sent.
    AckNotReceived,
    /// When the session was not refreshed in time (RFC 4028 §10). BYE was sent.
    SessionExpired,
    /// When the peer does not know the dialog any more, or can't be reached: 481 or 408 (RFC 3261 §12.2.1.2).
    PeerLost(StatusCode),
}

impl PartialEq for Termination {
    fn eq(&self, other: &Termination) -> bool {
        match (self, other) {
            (Termination::PeerLost(a), Termination::PeerLost(b)) => a == b,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

/// What the user asked for and can't have: the user's fault, and nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misuse {
    /// There is no such dialog, or it is over.
    NoSuchDialog,
    /// There is no such transaction that waits for a response.
    NoSuchTransaction,
    /// The method is not one that is sent this way.
    WrongMethod(Method),
    /// An INVITE is in progress in this dialog, ours or the peer's (RFC 3261 §14.1).
    InviteInProgress,
    /// An UPDATE is in progress in this dialog (RFC 3311 §5.1).
    UpdateInProgress,
    /// The dialog is not confirmed yet.
    NotConfirmed,
    /// Nothing waits for this acknowledgement.
    NothingToAcknowledge,
    /// There is nothing left to cancel.
    NothingToCancel,
    /// A reliable provisional response needs a peer that supports 100rel (RFC 3262 §3).
    PeerLacks100rel,
    /// A callee says BYE after the 2xx only, and otherwise rejects the INVITE (RFC 3261 §15).
    ByeFromEarlyCallee,
    /// The peer has not asked for this info package (RFC 6086 §4.2.1).
    PackageNotWanted(Box<str>),
    /// The body is an offer or answer that must not be sent now.
    OfferAnswer(sdp::Violation),
    /// The body claims to be a session description and is none.
    BadDescription,
    /// The initial request lacks something: From tag, Call-ID, CSeq, Contact.
    BadRequest(crate::dialog::DialogError),
    /// There is no CSeq left: the dialog has seen 2^31 requests.
    CseqExhausted,
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misuse::NoSuchDialog => f.write_str("no such dialog"),
            Misuse::NoSuchTransaction => f.write_str("no such transaction waits for a response"),
            Misuse::WrongMethod(method) => write!(f, "{method} is not sent this way"),
            Misuse::InviteInProgress => f.write_str("an INVITE is in progress"),
            Misuse::UpdateInProgress => f.write_str("an UPDATE is in progress"),
            Misuse::NotConfirmed => f.write_str("the dialog is not confirmed"),
            Misuse::NothingToAcknowledge => f.write_str("nothing waits for an acknowledgement"),
            Misuse::NothingToCancel => f.write_str("nothing is left to cancel"),
            Misuse::PeerLacks100rel => f.write_str("the peer does not support 100rel"),
            Misuse::ByeFromEarlyCallee => f.write_str("a callee rejects an INVITE instead of saying BYE"),
            Misuse::PackageNotWanted(package) => write!(f, "the peer does not want info package {package}"),
            Misuse::OfferAnswer(violation) => write!(f, "{violation}"),
            Misuse::BadDescription => f.write_str("the body is no session description"),
            Misuse::BadRequest(error) => write!(f, "{error}"),
            Misuse::CseqExhausted => f.write_str("the dialog has no CSeq left"),
        }
    }
}

impl std::error::Error for Misuse {}

/// What can be chosen for a usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// T1 and T2, which the transactions have, too.
    pub timers: Timers,
    /// Our Contact, for requests and responses that need one and have none.
    pub contact: Option<NameAddrBuf>,
    /// Whether offers and answers are followed. A back-to-back user agent that passes bodies on may leave it off.
    pub offer_answer: bool,
    /// Whether ACKs and PRACKs without a body are sent without being asked for.
    pub acknowledge: Acknowledge,
    /// Whether INVITEs say `Supported: 100rel`.
    pub reliable_provisionals: bool,
    /// Whether an UPDATE without a description, which only refreshes session or target, is answered 200 here.
    pub answer_refreshes: bool,
    /// The session timer.
    pub session_timer: SessionTimerPolicy,
    /// The info packages that we want (RFC 6086); `None`: no Recv-Info is sent, and any INFO goes to the user.
    pub recv_info: Option<Vec<Box<str>>>,
}

/// Who decides when an INVITE or a reliable provisional response is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acknowledge {
    /// The usage acknowledges at once, unless the user owes an answer.
    #[default]
    AtOnce,
    /// The user acknowledges each.
    ByUser,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            timers: Timers::default(),
            contact: None,
            offer_answer: true,
            acknowledge: Acknowledge::AtOnce,
            reliable_provisionals: true,
            answer_refreshes: true,
            session_timer: SessionTimerPolicy::default(),
            recv_info: None,
        }
    }
}

/// What each step of the machine works with.
pub(crate) struct Step<'a> {
    pub(crate) now: std::time::Instant,
    pub(crate) policy: &'a Policy,
    pub(crate) random: &'a mut Random,
    pub(crate) keys: &'a mut u64,
    pub(crate) outputs: &'a mut std::collections::VecDeque<Output>,
}

impl Step<'_> {
    pub(crate) fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    pub(crate) fn respond(&mut self, transaction: ServerKey, response: Response) {
        self.outputs.push_back(Output::SendResponse { transaction, response });
    }

    pub(crate) fn request(&mut self, request: Request) -> ClientKey {
        let transaction = ClientKey(*self.keys);
        *self.keys += 1;
        self.outputs.push_back(Output::SendRequest { transaction, request });
        transaction
    }
}
