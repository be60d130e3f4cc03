//! Dialogs: RFC 3261 §12, one peer-to-peer relation between two user agents.
//!
//! ```text
//!   UAC: 101-199 with To tag ──►  Early  ──2xx──►  Confirmed ──BYE, 481 …──►  Terminated
//!   UAS: 101-199 sent        ──►    │                  ▲                          ▲
//!        2xx                 ───────┼──────────────────┘                          │
//!                                   └────────── 300-699, BYE, 64·T1 ──────────────┘
//! ```
//!
//! A dialog is plain data, so that it can be written down and restored on another node. What is done with it (calls,
//! subscriptions) is its usages' business: [`crate::invite`], [`crate::subscription`].

use std::fmt;

use sip_message::header::{From, To, TypedHeader as _};
use sip_message::{HeaderName, Headers, Method, NameAddrBuf, Request, Response, StatusCode, UriBuf};

use crate::digest::constant_time_eq;
use crate::fields;
use crate::route_set::RouteSet;

/// The highest CSeq number (RFC 3261 §8.1.1.5: below 2^31).
const MAX_CSEQ: u32 = (1 << 31) - 1;

/// What tells a dialog from others: RFC 3261 §12, seen from one side.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DialogId {
    /// The Call-ID.
    pub call_id: Box<str>,
    /// Our tag.
    pub local_tag: Box<str>,
    /// The peer's tag; empty for a peer of RFC 2543 that has none.
    pub remote_tag: Box<str>,
}

impl DialogId {
    /// The dialog that a request which was received belongs to; `None` when it has no To tag, and is of none.
    pub fn of_received_request(headers: &Headers) -> Option<DialogId> {
        Some(DialogId {
            call_id: fields::call_id(headers)?.into(),
            local_tag: fields::to_tag(headers)?,
            remote_tag: fields::from_tag(headers).unwrap_or_default(),
        })
    }

    /// The dialog that a response which was received belongs to or creates; `None` when it has no From tag.
    pub fn of_received_response(headers: &Headers) -> Option<DialogId> {
        Some(DialogId {
            call_id: fields::call_id(headers)?.into(),
            local_tag: fields::from_tag(headers)?,
            remote_tag: fields::to_tag(headers).unwrap_or_default(),
        })
    }

    /// The same dialog seen from the other side.
    pub fn reversed(&self) -> DialogId {
        DialogId {
            call_id: self.call_id.clone(),
            local_tag: self.remote_tag.clone(),
            remote_tag: self.local_tag.clone(),
        }
    }

    /// Whether both are the same, in a time that does not tell a stranger how much of a tag he guessed.
    pub fn matches(&self, other: &DialogId) -> bool {
        let call_id = constant_time_eq(self.call_id.as_bytes(), other.call_id.as_bytes());
        let local = constant_time_eq(self.local_tag.as_bytes(), other.local_tag.as_bytes());
        let remote = constant_time_eq(self.remote_tag.as_bytes(), other.remote_tag.as_bytes());
        call_id & local & remote
    }
}

impl fmt::Display for DialogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};local={};remote={}", self.call_id, self.local_tag, self.remote_tag)
    }
}

/// How far a dialog is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DialogState {
    /// Created by a provisional response.
    Early,
    /// Created or confirmed by a 2xx, or by a NOTIFY.
    Confirmed,
    /// Over; its id is worth keeping to answer 481.
    Terminated,
}

/// Who sent the request that created the dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// We did.
    Uac,
    /// The peer did.
    Uas,
}

/// Why a message can't create a dialog: the peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialogError {
    /// Call-ID is missing.
    NoCallId,
    /// CSeq is missing or can't be read.
    BadCseq,
    /// From can't be read, or has no tag.
    BadFrom,
    /// To can't be read.
    BadTo,
    /// Contact is missing, is no URI, or is not secure though the request was sent to a SIPS URI (RFC 3261 §12.1.1).
    BadContact,
    /// A Record-Route can't be read.
    BadRecordRoute,
    /// The response that is to create the dialog has no To tag, or one that is no token, though we made it.
    NoLocalTag,
}

impl DialogError {
    /// The status that a request with this fault deserves.
    pub fn status(self) -> StatusCode {
        match self {
            DialogError::NoLocalTag => StatusCode::SERVER_INTERNAL_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for DialogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DialogError::NoCallId => "no Call-ID",
            DialogError::BadCseq => "no readable CSeq",
            DialogError::BadFrom => "no readable From with a tag",
            DialogError::BadTo => "no readable To",
            DialogError::BadContact => "no Contact that requests of the dialog can be sent to",
            DialogError::BadRecordRoute => "a Record-Route that can't be read",
            DialogError::NoLocalTag => "our response has no To tag that is a token",
        })
    }
}

impl std::error::Error for DialogError {}

/// Why a request is not one of this dialog, or not now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestFault {
    /// The ids differ, or the dialog is over: 481.
    NotOfThisDialog,
    /// Its CSeq is not above that of the request before it: 500 (RFC 3261 §12.2.2).
    OutOfOrder {
        /// The highest number so far.
        highest: u32,
        /// The number that came.
        came: u32,
    },
    /// Its CSeq can't be read, or names another method: 400.
    BadCseq,
}

impl RequestFault {
    /// The response that is owed; an ACK gets none.
    pub fn status(self) -> StatusCode {
        match self {
            RequestFault::NotOfThisDialog => StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST,
            RequestFault::OutOfOrder { .. } => StatusCode::SERVER_INTERNAL_ERROR,
            RequestFault::BadCseq => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for RequestFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestFault::NotOfThisDialog => f.write_str("request is not of this dialog"),
            RequestFault::OutOfOrder { highest, came } => write!(f, "CSeq {came} came after {highest}"),
            RequestFault::BadCseq => f.write_str("CSeq can't be read or names another method"),
        }
    }
}

impl std::error::Error for RequestFault {}

/// The state of a dialog, as RFC 3261 §12 lists it. All of it is public data, to be written down and restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialog {
    /// The id.
    pub id: DialogId,
    /// How far it is.
    pub state: DialogState,
    /// Who began it.
    pub role: Role,
    /// The number of our last request; `None` while we sent none.
    pub local_cseq: Option<u32>,
    /// The number of the peer's last request; `None` while it sent none.
    pub remote_cseq: Option<u32>,
    /// We, as From names us: display name, URI and parameters, without the tag.
    pub local: NameAddrBuf,
    /// The peer, as To names it, without the tag.
    pub remote: NameAddrBuf,
    /// Where requests are sent to: the peer's Contact.
    pub remote_target: UriBuf,
    /// Whether it was made over TLS by a request to a SIPS URI.
    pub secure: bool,
    /// The proxies on the way.
    pub route_set: RouteSet,
}

impl Dialog {
    /// The dialog that our response to a request creates (RFC 3261 §12.1.1). The response has its To tag; a 1xx makes
    /// an early dialog. `secure_transport`: whether the request came over TLS.
    pub fn as_uas(request: &Request, response: &Response, secure_transport: bool) -> Result<Dialog, DialogError> {
        let local_tag = fields::to_tag(response.headers()).ok_or(DialogError::NoLocalTag)?;
        let dialog = Dialog::as_uas_with_tag(request, &local_tag, secure_transport)?;
        Ok(Dialog { state: state_after(response.status()), ..dialog })
    }

    /// The early dialog that a response with this To tag will create. It is confirmed by its owner.
    pub fn as_uas_with_tag(request: &Request, local_tag: &str, secure_transport: bool) -> Result<Dialog, DialogError> {
        let headers = request.headers();
        if !is_token(local_tag) {
            return Err(DialogError::NoLocalTag);
        }
        let cseq = fields::cseq(headers).ok_or(DialogError::BadCseq)?;
        let remote_target = fields::contact(headers).ok_or(DialogError::BadContact)?;
        let sips = is_sips(request.uri_text());
        if sips && !is_sips(remote_target.as_str()) {
            return Err(DialogError::BadContact);
        }
        Ok(Dialog {
            id: DialogId {
                call_id: fields::call_id(headers).ok_or(DialogError::NoCallId)?.into(),
                local_tag: local_tag.into(),
                remote_tag: fields::from_tag(headers).unwrap_or_default(),
            },
            state: DialogState::Early,
            role: Role::Uas,
            local_cseq: None,
            remote_cseq: Some(cseq.sequence),
            local: party_of_to(headers)?,
            remote: party_of_from(headers)?,
            remote_target,
            secure: sips && secure_transport,
            route_set: RouteSet::of_request(headers).ok_or(DialogError::BadRecordRoute)?,
        })
    }

    /// The dialog that a response to our request creates (RFC 3261 §12.1.2). `secure_transport`: whether the request was
    /// sent over TLS.
    pub fn as_uac(request: &Request, response: &Response, secure_transport: bool) -> Result<Dialog, DialogError> {
        let headers = request.headers();
        let cseq = fields::cseq(headers).ok_or(DialogError::BadCseq)?;
        let sips = is_sips(request.uri_text());
        // A provisional response without Contact still names a fork (RFC 3261 table 2 has Contact optional there), and a
        // 2xx without one has to be acknowledged all the same.
        let remote_target = fields::contact(response.headers()).unwrap_or_else(|| request.uri().to_buf());
        Ok(Dialog {
            id: DialogId {
                call_id: fields::call_id(headers).ok_or(DialogError::NoCallId)?.into(),
                local_tag: fields::from_tag(headers).ok_or(DialogError::BadFrom)?,
                remote_tag: fields::to_tag(response.headers()).unwrap_or_default(),
            },
            state: state_after(response.status()),
            role: Role::Uac,
            local_cseq: Some(cseq.sequence),
            remote_cseq: None,
            local: party_of_from(headers)?,
            remote: party_of_to(response.headers())?,
            remote_target,
            secure: sips && secure_transport,
            route_set: RouteSet::of_response(response.headers()).ok_or(DialogError::BadRecordRoute)?,
        })
    }

    /// The dialog that a NOTIFY creates at the subscriber when it overtakes the response to the SUBSCRIBE, or comes of
    /// another fork (RFC 6665 §4.1.4). `request` is our SUBSCRIBE or REFER.
    pub fn from_notify(request: &Request, notify: &Request, secure_transport: bool) -> Result<Dialog, DialogError> {
        let (headers, theirs) = (request.headers(), notify.headers());
        Ok(Dialog {
            id: DialogId {
                call_id: fields::call_id(headers).ok_or(DialogError::NoCallId)?.into(),
                local_tag: fields::from_tag(headers).ok_or(DialogError::BadFrom)?,
                remote_tag: fields::from_tag(theirs).ok_or(DialogError::BadFrom)?,
            },
            state: DialogState::Confirmed,
            role: Role::Uac,
            local_cseq: Some(fields::cseq(headers).ok_or(DialogError::BadCseq)?.sequence),
            remote_cseq: Some(fields::cseq(theirs).ok_or(DialogError::BadCseq)?.sequence),
            local: party_of_from(headers)?,
            remote: party_of_from(theirs)?,
            remote_target: fields::contact(theirs).ok_or(DialogError::BadContact)?,
            secure: is_sips(request.uri_text()) && secure_transport,
            // The NOTIFY went the way back: its Record-Routes stand in our order (RFC 6665 §4.1.2.4).
            route_set: RouteSet::of_request(theirs).ok_or(DialogError::BadRecordRoute)?,
        })
    }

    /// What a 2xx does to the early dialog at the UAC: it is confirmed, and the route set is computed anew
    /// (RFC 3261 §13.2.2.4).
    pub fn confirm(&mut self, response: &Response) -> Result<(), DialogError> {
        if self.role == Role::Uac {
            self.route_set = RouteSet::of_response(response.headers()).ok_or(DialogError::BadRecordRoute)?;
            self.refresh_target(response.headers());
        }
        self.state = DialogState::Confirmed;
        Ok(())
    }

    /// Ends it.
    pub fn terminate(&mut self) {
        self.state = DialogState::Terminated;
    }

    /// Takes the peer's new Contact over, which a target refresh request or its 2xx has (RFC 3261 §12.2). Whether it has
    /// changed.
    pub fn refresh_target(&mut self, headers: &Headers) -> bool {
        match fields::contact(headers) {
            Some(contact) if contact != self.remote_target => {
                self.remote_target = contact;
                true
            }
            _ => false,
        }
    }

    /// A request of this dialog (RFC 3261 §12.2.1.1): Request-URI, Route, From, To, Call-ID, CSeq and Max-Forwards.
    /// Via, Contact and the body are the caller's. For ACK see [`Dialog::create_ack`]; CANCEL is not sent in a dialog.
    ///
    /// `None` when the numbers are used up, after 2^31 requests.
    pub fn create_request(&mut self, method: Method) -> Option<Request> {
        let sequence = next_cseq(self.local_cseq)?;
        self.local_cseq = Some(sequence);
        Some(self.request(method, sequence))
    }

    /// The ACK of a 2xx (RFC 3261 §13.2.2.4): with the number of the INVITE, whatever was sent since.
    pub fn create_ack(&self, invite_cseq: u32) -> Request {
        self.request(Method::Ack, invite_cseq)
    }

    /// Whether a request of this method can change the remote target (RFC 3261 §12.2, RFC 3311 §5.1, RFC 6665 §4.1.2.2).
    pub fn is_target_refresh(method: &Method) -> bool {
        matches!(method, Method::Invite | Method::Update | Method::Subscribe | Method::Notify | Method::Refer)
    }

    /// Checks a request that was received and takes note of its number (RFC 3261 §12.2.2). After an error nothing has
    /// changed.
    pub fn receive_request(&mut self, request: &Request) -> Result<(), RequestFault> {
        let sequence = self.check_request(request)?;
        // An ACK has the number of its INVITE, which is no new one.
        if *request.method() != Method::Ack {
            self.remote_cseq = Some(sequence);
        }
        Ok(())
    }

    /// Checks a request that was received; gives its number.
    pub fn check_request(&self, request: &Request) -> Result<u32, RequestFault> {
        let headers = request.headers();
        let is_ours = DialogId::of_received_request(headers).is_some_and(|id| id.matches(&self.id));
        if !is_ours || self.state == DialogState::Terminated {
            return Err(RequestFault::NotOfThisDialog);
        }
        let came = fields::cseq_of(headers, request.method()).ok_or(RequestFault::BadCseq)?;
        match self.remote_cseq {
            // An equal number is a copy that the transaction layer did not know any more, or a merged request.
            Some(highest) if came <= highest && *request.method() != Method::Ack => {
                Err(RequestFault::OutOfOrder { highest, came })
            }
            _ => Ok(came),
        }
    }

    /// Whether a response that was received is one to a request of this dialog.
    pub fn owns_response(&self, response: &Response) -> bool {
        DialogId::of_received_response(response.headers()).is_some_and(|id| id.matches(&self.id))
    }

    /// Where the next request of this dialog is sent: the first route, or the remote target.
    pub fn next_hop(&self) -> UriBuf {
        self.route_set.next_hop(&self.remote_target)
    }

    fn request(&self, method: Method, sequence: u32) -> Request {
        let mut request = Request::new(method, &self.remote_target);
        self.route_set.apply(&mut request, &self.remote_target);
        let from = Tagged(&self.local, &self.id.local_tag);
        let to = Tagged(&self.remote, &self.id.remote_tag);
        complete(&mut request, from, to, &self.id.call_id, sequence);
        request
    }
}

/// RFC 3261 §25.1.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&octet))
}

/// The number of the next request; `None` when they are used up.
pub(crate) fn next_cseq(last: Option<u32>) -> Option<u32> {
    match last {
        None => Some(1),
        Some(last) => (last < MAX_CSEQ).then(|| last + 1),
    }
}

/// Gives a request of ours what each has (RFC 3261 §8.1.1), but for Via.
pub(crate) fn complete(request: &mut Request, from: Tagged<'_>, to: Tagged<'_>, call_id: &str, sequence: u32) {
    let cseq = format!("{sequence} {}", request.method());
    let headers = request.headers_mut();
    fields::set(headers, HeaderName::MaxForwards, 70);
    fields::set(headers, HeaderName::From, from);
    fields::set(headers, HeaderName::To, to);
    fields::set(headers, HeaderName::CallId, call_id);
    fields::set(headers, HeaderName::Cseq, cseq);
}

/// A party with a tag behind it. A peer without a tag gets none.
pub(crate) struct Tagged<'a>(pub(crate) &'a NameAddrBuf, pub(crate) &'a str);

impl fmt::Display for Tagged<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)?;
        if self.1.is_empty() { Ok(()) } else { write!(f, ";tag={}", self.1) }
    }
}

fn state_after(status: StatusCode) -> DialogState {
    if status.is_provisional() { DialogState::Early } else { DialogState::Confirmed }
}

pub(crate) fn party_of_from(headers: &Headers) -> Result<NameAddrBuf, DialogError> {
    let value = headers.first(HeaderName::From).ok_or(DialogError::BadFrom)?;
    From::parse(value).map(|from| from.without_tag().to_buf()).map_err(|_| DialogError::BadFrom)
}

pub(crate) fn party_of_to(headers: &Headers) -> Result<NameAddrBuf, DialogError> {
    let value = headers.first(HeaderName::To).ok_or(DialogError::BadTo)?;
    To::parse(value).map(|to| to.without_tag().to_buf()).map_err(|_| DialogError::BadTo)
}

fn is_sips(uri: &str) -> bool {
    uri.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("sips:"))
}
