//! The two legs of a back-to-back user agent (RFC 3261 §6, RFC 7092 §3): what comes on one goes out on the other.
//!
//! ```text
//!   caller                      here                       callee
//!     │ INVITE                   │                           │
//!     ├─────────────────────────►│ place()       INVITE      │
//!     │                          ├──────────────────────────►│
//!     │        180, 183, 200     │ response()    180, 183, 200
//!     │◄─────────────────────────┼◄──────────────────────────┤
//!     │ ACK                      │ request()     ACK         │
//!     ├─────────────────────────►├──────────────────────────►│
//!     │  re-INVITE, UPDATE, INFO, REFER, MESSAGE, PRACK, BYE of either side, and their responses
//!     ├────────────────────────►◄┼►◄────────────────────────┤
//! ```
//!
//! Each leg is a dialog of its own with its own Call-ID, tags, CSeq, route and Contact, so that neither side learns of the
//! other's network. Everything else passes: bodies, option tags, session timers (RFC 4028, which the two ends then agree
//! on), headers that nobody here knows. Early dialogs of a forked call pass each with a tag of its own; of several 2xx
//! the first one passes, later ones are acknowledged and ended here.
//!
//! Left to the container: transactions, repetitions, 100, the answer to CANCEL. Left to the application: whether there is
//! a call at all, and what its end means.

use servlet::{
    B2buaHelper, Error, IllegalArgument, IllegalState, Method, NodeLocal, Result, SessionState, SipApplicationSession,
    SipServletMessage, SipServletRequest, SipServletResponse, SipSession, SipUri, StatusClass, StatusCode, UaMode,
};

/// What a message has meant for the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The callee has answered, and the caller is told.
    Answered,
    /// The call was refused, and the caller is told the same.
    Refused(StatusCode),
    /// The caller gave up before there was an answer.
    Cancelled,
    /// One side has hung up, and the other is told.
    Ended,
}

/// A last look at a message before it goes out on the other leg.
pub type Edit<'e> = &'e dyn Fn(&SipServletMessage) -> Result;

/// Passes messages as they are.
pub const UNCHANGED: Edit<'static> = &|_| Ok(());

/// The 2xx of a leg that waits for its ACK.
const ANSWER: &str = "two-legs.answer";

/// The request that a PRACK of ours was made for.
const ORIGINAL: &str = "two-legs.original";

/// Calls the callee as the caller's INVITE says, by way of `next_hop` if there is one. When that can't be, the caller is
/// told at once, with this status.
pub fn place(invite: &SipServletRequest, next_hop: Option<&SipUri>) -> Result<Result<SipServletRequest, StatusCode>> {
    let second = match invite.b2bua_helper()?.create_request(invite, true, None) {
        Ok(second) => second,
        // The container has sent it.
        Err(Error::TooManyHops) => return Ok(Err(StatusCode::TOO_MANY_HOPS)),
        Err(error) => return Err(error.into()),
    };
    if let Some(hop) = next_hop {
        second.push_route(hop)?;
    }
    match second.send() {
        Ok(()) => Ok(Ok(second)),
        Err(Error::Transport(_)) => {
            invite.create_response(StatusCode::SERVICE_UNAVAILABLE)?.send()?;
            Ok(Err(StatusCode::SERVICE_UNAVAILABLE))
        }
        Err(error) => Err(error.into()),
    }
}

/// Passes a request of the call on to the other leg.
pub fn request(request: &SipServletRequest, edit: Edit<'_>) -> Result<Option<Change>> {
    let helper = request.b2bua_helper()?;
    let other = helper.linked_session(&request.session()?)?;
    match request.method() {
        Method::Ack => other.map_or(Ok(()), |other| acknowledge(&other, Some(request), edit))?,
        Method::Cancel => {
            if let Some(other) = other {
                cancel(request, &other)?;
            }
            // What is cancelled in a call that is up is a re-INVITE.
            let is_up = request.session()?.state() == Ok(SessionState::Confirmed);
            return Ok((!is_up).then_some(Change::Cancelled));
        }
        Method::Bye => {
            request.create_response(StatusCode::OK)?.send()?;
            if let Some(other) = other {
                hang_up(&helper, request, &other, edit)?;
            }
            return Ok(Some(Change::Ended));
        }
        Method::Prack => {
            let passed = other.map_or(Ok(false), |other| prack(request, &other, edit))?;
            refuse_unless(passed, request)?;
        }
        _ => {
            let gone = StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST;
            if let Some(status) = other.map_or(Ok(Some(gone)), |other| pass(&helper, request, &other, edit))? {
                request.create_response(status)?.send()?;
            }
        }
    }
    Ok(None)
}

/// Passes a response on to the leg that has asked.
pub fn response(response: &SipServletResponse, edit: Edit<'_>) -> Result<Option<Change>> {
    let Some(sent) = response.request() else { return Ok(None) };
    let method = sent.method();
    if matches!(method, Method::Bye | Method::Cancel) {
        // The side that hung up was answered at once.
        return Ok(None);
    }
    let answers = method == Method::Invite && response.status().is_success();
    let Some(copy) = copy_of(response, &sent)? else {
        if answers {
            surplus(response)?;
        }
        return Ok(None);
    };
    edit(&copy)?;
    if answers {
        keep(response)?;
    }
    match send(&copy, response) {
        Ok(()) => {}
        Err(Error::IllegalState(_)) if answers => return surplus(response).map(|()| None),
        Err(error) => return Err(error.into()),
    }
    Ok(match response.status().class() {
        _ if method != Method::Invite || !sent.is_initial() => None,
        StatusClass::Provisional => None,
        StatusClass::Success => Some(Change::Answered),
        _ => Some(Change::Refused(response.status())),
    })
}

/// Ends every leg of a call in the way that its state requires.
pub fn end(call: &SipApplicationSession, reasons: &[servlet::CancelReason]) -> Result {
    for leg in call.sip_sessions()? {
        acknowledge(&leg, None, UNCHANGED)?;
        unless_over(leg.terminate_dialog_because(reasons))?;
    }
    Ok(())
}

// ----- requests ------------------------------------------------------------------------------------------------------

/// Passes a request on; gives the status that its sender is to have when that can't be.
fn pass(
    helper: &B2buaHelper,
    request: &SipServletRequest,
    other: &SipSession,
    edit: Edit<'_>,
) -> Result<Option<StatusCode>> {
    let relayed = match helper.create_subsequent_request(other, request, None) {
        Ok(relayed) => relayed,
        Err(error) => return refusal(error),
    };
    edit(&relayed)?;
    relayed.send().map_or_else(refusal, |()| Ok(None))
}

fn refusal(error: Error) -> Result<Option<StatusCode>> {
    match error {
        // 483 is sent already.
        Error::TooManyHops => Ok(None),
        // RFC 3261 §14.2: the other side asks for something too, and there can be one offer at a time.
        Error::IllegalState(IllegalState::OngoingTransaction) => Ok(Some(StatusCode::REQUEST_PENDING)),
        Error::IllegalState(_) => Ok(Some(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST)),
        Error::Transport(_) => Ok(Some(StatusCode::SERVICE_UNAVAILABLE)),
        error => Err(error.into()),
    }
}

/// The helper of the request that a response answers.
pub(crate) fn helper(response: &SipServletResponse) -> Result<B2buaHelper> {
    let sent = response.request().ok_or(Error::IllegalState(IllegalState::TransactionEnded))?;
    Ok(sent.b2bua_helper()?)
}

/// Keeps a 2xx until it is acknowledged. On this node alone: the peer repeats it to nobody else.
pub(crate) fn keep(answer: &SipServletResponse) -> Result {
    Ok(answer.session()?.set_attribute(ANSWER, NodeLocal(answer.clone()))?)
}

/// Whether a leg waits for the ACK to its 2xx.
pub(crate) fn is_kept(leg: &SipSession) -> bool {
    leg.attribute::<NodeLocal<SipServletResponse>>(ANSWER).is_ok_and(|answer| answer.is_some())
}

/// Acknowledges the 2xx of a leg with this body.
pub(crate) fn acknowledge_with(leg: &SipSession, body: &str, content_type: &str) -> Result {
    acknowledge(leg, None, &|ack| Ok(ack.set_content(body.to_owned(), content_type)?))
}

/// Acknowledges the 2xx that a leg waits with, as the other side has acknowledged, or because the call ends.
fn acknowledge(leg: &SipSession, like: Option<&SipServletRequest>, edit: Edit<'_>) -> Result {
    let Some(answer) = leg.attribute::<NodeLocal<SipServletResponse>>(ANSWER)? else { return Ok(()) };
    leg.remove_attribute(ANSWER)?;
    let ack = match answer.0.create_ack() {
        Ok(ack) => ack,
        Err(error) => return unless_over(Err(error)),
    };
    if let Some(like) = like {
        copy_body(like, &ack)?;
    }
    edit(&ack)?;
    unless_over(ack.send())
}

fn cancel(request: &SipServletRequest, other: &SipSession) -> Result {
    // Without one, the final response crosses the CANCEL; what remains is done when that comes.
    let Some(invite) = other.active_invite(UaMode::Uac)? else { return Ok(()) };
    let cancel = match invite.create_cancel() {
        Ok(cancel) => cancel,
        Err(error) => return unless_over(Err(error)),
    };
    // RFC 3326 §2: answered elsewhere, or not.
    for reason in request.headers("Reason") {
        cancel.add_header("Reason", &reason)?;
    }
    unless_over(cancel.send())
}

fn hang_up(helper: &B2buaHelper, bye: &SipServletRequest, other: &SipSession, edit: Edit<'_>) -> Result {
    acknowledge(other, None, UNCHANGED)?;
    match other.state() {
        Ok(SessionState::Confirmed) => pass(helper, bye, other, edit).map(drop),
        Ok(SessionState::Initial | SessionState::Early) => unless_over(other.terminate_dialog()),
        Ok(SessionState::Terminated) | Err(_) => Ok(()),
    }
}

/// RFC 3262 §4: reliable responses are acknowledged in their order, so it is the oldest of the other leg.
fn prack(request: &SipServletRequest, other: &SipSession, edit: Edit<'_>) -> Result<bool> {
    let Some(oldest) = other.unacknowledged_provisional_responses(UaMode::Uac)?.into_iter().next() else {
        return Ok(false);
    };
    let prack = oldest.create_prack()?;
    copy_body(request, &prack)?;
    prack.set_attribute(ORIGINAL, request.clone());
    edit(&prack)?;
    prack.send()?;
    Ok(true)
}

fn refuse_unless(passed: bool, request: &SipServletRequest) -> Result {
    if !passed {
        request.create_response(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST)?.send()?;
    }
    Ok(())
}

// ----- responses -----------------------------------------------------------------------------------------------------

/// The same response for the leg that has asked; `None` when that leg has its final one or is gone.
fn copy_of(response: &SipServletResponse, sent: &SipServletRequest) -> Result<Option<SipServletResponse>> {
    let helper = sent.b2bua_helper()?;
    let prack = sent.attribute::<SipServletRequest>(ORIGINAL).map(|original| (*original).clone());
    let original = prack.or_else(|| helper.linked_request(sent)).filter(|original| !original.is_committed());
    let Some(original) = original else { return Ok(None) };
    match helper.create_response(&original, response) {
        Ok(copy) => Ok(Some(copy)),
        // The leg is gone, or knows nothing of this fork.
        Err(Error::IllegalState(_) | Error::IllegalArgument(IllegalArgument::Linked)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn send(copy: &SipServletResponse, response: &SipServletResponse) -> Result<(), Error> {
    let status = response.status();
    if status.is_provisional() && response.header("RSeq").is_some() {
        match copy.send_reliably() {
            Err(Error::Rel100(_)) => response.create_prack()?.send()?,
            other => return other,
        }
    }
    copy.send()
}

/// RFC 3261 §13.2.2.4: a 2xx that nobody waits for, because another one or a CANCEL was faster.
pub(crate) fn surplus(answer: &SipServletResponse) -> Result {
    answer.create_ack()?.send()?;
    unless_over(answer.session()?.terminate_dialog())
}

/// An end that is there already is what was wanted.
fn unless_over(done: Result<(), Error>) -> Result {
    match done {
        Ok(()) | Err(Error::IllegalState(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn copy_body(from: &SipServletMessage, to: &SipServletMessage) -> Result {
    match from.content_type() {
        Some(kind) if from.content_length() > 0 => Ok(to.set_content(from.raw_content(), &kind)?),
        _ => Ok(()),
    }
}
