//! What can go wrong, and whose fault it is: the application's ([`IllegalState`], [`IllegalArgument`]), the peer's
//! ([`Rel100Error`], [`Error::TooManyHops`], [`Error::Parse`] of what was received), or ours and the network's
//! ([`Error::Transport`]).

use std::fmt;

use crate::{IllegalValue, ServletParseError};

/// What a handler or listener gives back. `?` works with every error; the container logs it and ends the request with
/// 500.
pub type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// Why an operation was refused. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The operation is legal, but not now.
    IllegalState(IllegalState),
    /// An argument is not one that the operation takes.
    IllegalArgument(IllegalArgument),
    /// A text is not what its place in a message requires.
    Parse(ServletParseError),
    /// The request has no hop left (RFC 3261 §16.3 step 3); 483 was sent.
    TooManyHops,
    /// The response can't be sent reliably, or has no PRACK (RFC 3262).
    Rel100(Rel100Error),
    /// The message can't leave: there is no listener for its transport, or its next hop can't be a SIP server.
    Transport(Box<str>),
    /// There is no servlet of that name in the application.
    NoSuchServlet(Box<str>),
}

/// What forbids an operation now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IllegalState {
    /// The application session was invalidated, or has expired.
    InvalidApplicationSession,
    /// The SIP session was invalidated.
    InvalidSession,
    /// The session's dialog is over.
    Terminated,
    /// A request of this session has no final response yet.
    OngoingTransaction,
    /// The session's application is a proxy there; it has nothing to say of its own.
    ProxySession,
    /// The message was sent, or is complete for another reason, and can't be changed or sent any more.
    Committed,
    /// The message may only be read: by an application router, a key method, or as one that was received.
    ReadOnly,
    /// A final response was sent before.
    FinalResponseSent,
    /// The transaction is over.
    TransactionEnded,
    /// The response was received from downstream and is not this application's to send.
    NotOurs,
    /// The message has not been sent, and this needs one that was.
    NotSent,
    /// The ACK or PRACK was made before.
    AlreadyAcknowledged,
    /// The operation is for an initial request.
    NotInitial,
    /// The operation is for another method.
    WrongMethod,
    /// The operation is for another kind of response: a success, a provisional, a final one.
    WrongStatus,
    /// [`crate::SipServletRequest::proxy`] was called before; the application is a proxy for this request.
    AlreadyProxy,
    /// [`crate::SipServletRequest::b2bua_helper`] was called before; the application is a B2BUA.
    AlreadyB2bua,
    /// The proxy has sent a final response upstream.
    ProxyCompleted,
    /// The proxy or branch was started, which fixes this setting.
    ProxyStarted,
    /// The proxy has no branch to start.
    NoBranches,
    /// The proxy does not record-route.
    RecordRouteDisabled,
    /// The proxy does not add itself to the Path.
    AddToPathDisabled,
    /// The session has no dialog.
    NoDialog,
    /// The application terminated the dialog; the container ends it now.
    DialogTerminating,
    /// The session was not created by an initial request.
    NoInitialRequest,
    /// The application has no timer listener.
    NoTimerListener,
    /// The router was initialised before, or not yet.
    Router,
    /// There are as many of these as the container or the application may have.
    LimitReached,
    /// The container is leaving, or the application is being stopped.
    Stopping,
}

/// What is wrong with an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IllegalArgument {
    /// The header is the container's to set: From and To tags, Call-ID, CSeq, Via, Route, Record-Route, Path, RAck,
    /// RSeq, and Contact where it names us.
    SystemHeader(Box<str>),
    /// The header can't stand in a message of this kind, or its value is not of this kind.
    Header(Box<str>),
    /// The value would be more than one header line, or is not text.
    HeaderValue,
    /// ACK, CANCEL and PRACK are made from the message that they belong to, and others must be tokens.
    Method(Box<str>),
    /// Not a status code, or not one that is possible here.
    Status(u16),
    /// The URI's scheme can't be used here.
    Scheme(Box<str>),
    /// The URI misses something, or has something that it must not have here.
    Uri(Box<str>),
    /// A number or duration is out of its range.
    OutOfRange(Box<str>),
    /// The address is not one of our interfaces.
    NotAnInterface,
    /// The name is reserved or empty.
    Name(Box<str>),
    /// A protocol that the container does not know.
    Protocol(Box<str>),
    /// The session belongs to another application session.
    ForeignSession,
    /// The session is linked, or not linked, or linked to another.
    Linked,
    /// The request is not an initial one, or not one of a dialog.
    Request,
    /// A part of a URI or of an address that it can't have.
    Value(IllegalValue),
    /// Credentials or a challenge that don't fit.
    Authentication(Box<str>),
    /// The body can't be written as its content type says.
    Content,
}

/// Why there is no reliable provisional response, or no PRACK for one (RFC 3262).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rel100Error {
    /// Not a provisional response, or 100.
    Not1xx,
    /// Not a response to an INVITE.
    NotInvite,
    /// The peer does not list `100rel`.
    NoRequestSupport,
    /// The container does not support it.
    NotSupported,
    /// The response was not sent reliably.
    Not100Rel,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::IllegalState(state) => state.fmt(f),
            Error::IllegalArgument(argument) => argument.fmt(f),
            Error::Parse(error) => error.fmt(f),
            Error::TooManyHops => f.write_str("the request has no hop left; 483 was sent"),
            Error::Rel100(error) => error.fmt(f),
            Error::Transport(why) => write!(f, "the message can't leave: {why}"),
            Error::NoSuchServlet(name) => write!(f, "the application has no servlet `{name}`"),
        }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for IllegalState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IllegalState::InvalidApplicationSession => "the application session is not valid any more",
            IllegalState::InvalidSession => "the session is not valid any more",
            IllegalState::Terminated => "the session's dialog is over",
            IllegalState::OngoingTransaction => "a request of this session has no final response yet",
            IllegalState::ProxySession => "a proxy sends no requests of its own in the sessions that it proxies",
            IllegalState::Committed => "the message was sent and can't be changed any more",
            IllegalState::ReadOnly => "the message may only be read here",
            IllegalState::FinalResponseSent => "a final response was sent before",
            IllegalState::TransactionEnded => "the transaction is over",
            IllegalState::NotOurs => "the response was received and is not this application's to send",
            IllegalState::NotSent => "the message was not sent yet",
            IllegalState::AlreadyAcknowledged => "the acknowledgement was made before",
            IllegalState::NotInitial => "only an initial request can do this",
            IllegalState::WrongMethod => "a message of this method can't do this",
            IllegalState::WrongStatus => "a response of this class can't do this",
            IllegalState::AlreadyProxy => "the application is a proxy for this request",
            IllegalState::AlreadyB2bua => "the application is a B2BUA for this request",
            IllegalState::ProxyCompleted => "the proxy has sent its final response",
            IllegalState::ProxyStarted => "the proxy was started, which fixes this",
            IllegalState::NoBranches => "there is no branch to start",
            IllegalState::RecordRouteDisabled => "the proxy does not record-route",
            IllegalState::AddToPathDisabled => "the proxy does not add itself to the Path",
            IllegalState::NoDialog => "the session has no dialog",
            IllegalState::DialogTerminating => "the dialog is being terminated",
            IllegalState::NoInitialRequest => "the session was not created by an initial request",
            IllegalState::NoTimerListener => "the application has no timer listener",
            IllegalState::Router => "the router was initialised before, or not yet",
            IllegalState::LimitReached => "there are as many as there may be",
            IllegalState::Stopping => "the application is being stopped",
        })
    }
}

impl fmt::Display for IllegalArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IllegalArgument::SystemHeader(name) => write!(f, "{name} is the container's to set"),
            IllegalArgument::Header(name) => write!(f, "{name} can't be set here, or not like this"),
            IllegalArgument::HeaderValue => f.write_str("the value is not one line of text"),
            IllegalArgument::Method(method) => write!(f, "{method} is not a method to create a request with"),
            IllegalArgument::Status(status) => write!(f, "{status} is not a status that is possible here"),
            IllegalArgument::Scheme(scheme) => write!(f, "a URI with scheme `{scheme}` can't be used here"),
            IllegalArgument::Uri(why) => write!(f, "the URI can't be used here: {why}"),
            IllegalArgument::OutOfRange(what) => write!(f, "{what} is out of range"),
            IllegalArgument::NotAnInterface => f.write_str("the address is none of our outbound interfaces"),
            IllegalArgument::Name(name) => write!(f, "`{name}` is reserved or empty"),
            IllegalArgument::Protocol(name) => write!(f, "`{name}` is not a protocol that the container knows"),
            IllegalArgument::ForeignSession => f.write_str("the session belongs to another application session"),
            IllegalArgument::Linked => f.write_str("the sessions are not linked, or linked to others"),
            IllegalArgument::Request => f.write_str("the request is not of the kind that this needs"),
            IllegalArgument::Value(error) => error.fmt(f),
            IllegalArgument::Authentication(why) => write!(f, "the challenge can't be answered: {why}"),
            IllegalArgument::Content => f.write_str("the body can't be written as its content type says"),
        }
    }
}

impl fmt::Display for Rel100Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rel100Error::Not1xx => "only 101 to 199 can be sent reliably",
            Rel100Error::NotInvite => "only responses to INVITE can be sent reliably",
            Rel100Error::NoRequestSupport => "the peer does not support 100rel",
            Rel100Error::NotSupported => "reliable provisional responses are not supported",
            Rel100Error::Not100Rel => "the response was not sent reliably",
        })
    }
}

impl From<IllegalState> for Error {
    fn from(state: IllegalState) -> Error {
        Error::IllegalState(state)
    }
}

impl From<IllegalArgument> for Error {
    fn from(argument: IllegalArgument) -> Error {
        Error::IllegalArgument(argument)
    }
}

impl From<ServletParseError> for Error {
    fn from(error: ServletParseError) -> Error {
        Error::Parse(error)
    }
}

impl From<IllegalValue> for Error {
    fn from(error: IllegalValue) -> Error {
        Error::IllegalArgument(IllegalArgument::Value(error))
    }
}

impl From<Rel100Error> for Error {
    fn from(error: Rel100Error) -> Error {
        Error::Rel100(error)
    }
}
