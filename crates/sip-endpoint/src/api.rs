//! What goes into an endpoint and what comes out of it: read these enums and you know the layer.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use sip_message::{Flow, Host, ListenerId, Message, Refusal, Request, Response, StatusCode, Transport};

/// One of our listeners, as the endpoint needs to know it for Via, Contact and Record-Route. The endpoint's own
/// addresses come from this list and never from live connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The index that flows name.
    pub id: ListenerId,
    /// Its protocol.
    pub transport: Transport,
    /// Where it is bound.
    pub local: SocketAddr,
    /// `host[:port]` as others shall write it; what a Via's sent-by says.
    pub sent_by: Box<str>,
}

/// Where a request can be sent: one outcome of RFC 3263 §4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The protocol.
    pub transport: Transport,
    /// The address.
    pub addr: SocketAddr,
    /// The domain that a certificate must name (RFC 5922 §4).
    pub server_name: Option<Arc<str>>,
}

/// Where octets go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Back on the path that a message came on.
    Flow(Flow),
    /// To a target, from one of our listeners; on a stream over the connection that is there or a new one.
    Target {
        /// The listener whose address the Via names.
        listener: ListenerId,
        /// The far end.
        target: Target,
    },
}

/// A question for RFC 3263: where is the server of this URI?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupRequest {
    /// A domain or an address.
    pub host: Box<str>,
    /// The port of the URI.
    pub port: Option<u16>,
    /// The transport that the URI asks for.
    pub transport: Option<Transport>,
    /// Whether the scheme is `sips`.
    pub secure: bool,
}

/// Why a lookup has no targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupError {
    /// There is no such domain, or it has no server for what was asked.
    NotFound,
    /// Nobody answered in time.
    TimedOut,
    /// None of our listeners speaks a transport that the domain offers.
    NoTransport,
}

/// Something that happened, told to the endpoint.
#[derive(Debug)]
pub enum Input {
    /// When octets came and the parser has read them.
    Received {
        /// The path.
        flow: Flow,
        /// The message, or why it is refused.
        received: Result<Message, Refusal>,
    },
    /// When another shard has handed a request over to this one; see [`crate::Endpoint::poll_hand_over`].
    HandedOver {
        /// The path that it came on.
        flow: Flow,
        /// The request.
        request: Request,
    },
    /// When an order to transmit could not be carried out.
    TransmitFailed {
        /// The order's token.
        token: u64,
    },
    /// When the far end of a flow has answered a keep-alive of ours.
    KeptAlive {
        /// The path.
        flow: Flow,
        /// Our address as the far end sees it; STUN tells (RFC 5626 §4.4.2), line ends do not.
        mapped: Option<SocketAddr>,
    },
    /// When a connection has ended.
    ConnectionClosed {
        /// The path that is no more.
        flow: Flow,
    },
    /// When a lookup was answered.
    Resolved {
        /// The lookup's token.
        token: u64,
        /// Targets in the order to be tried.
        result: Result<Vec<Target>, LookupError>,
    },
    /// When time has passed; the timers that are due fire. Of the user's timers a bounded number does, and
    /// [`crate::Endpoint::next_timeout`] tells of the rest.
    TimePassed,
}

/// An order to whoever drives the endpoint, or news for whoever uses it.
#[derive(Debug)]
pub enum Output {
    /// Send these octets.
    Transmit {
        /// Where to.
        to: Destination,
        /// The message.
        bytes: Bytes,
        /// What to say in [`Input::TransmitFailed`]; 0 when nobody wants to know.
        token: u64,
    },
    /// Ask the far end of a flow whether it is there (RFC 5626 §4.4): STUN over UDP, line ends over a stream, a ping over
    /// WebSocket.
    KeepAlive {
        /// The path.
        flow: Flow,
    },
    /// Close the connection of a flow, on which nothing can be relied upon any more.
    Close {
        /// The path.
        flow: Flow,
    },
    /// Look this up.
    Lookup {
        /// What to say in [`Input::Resolved`].
        token: u64,
        /// The question.
        request: LookupRequest,
    },
    /// News for the transaction user.
    Event(Event),
}

/// One server transaction. Cheap to copy; names nothing any more once the transaction has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServerId(pub(crate) crate::slab::Key);

/// One request that we sent, with every transaction that was made for it on the way through its targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientId(pub(crate) crate::slab::Key);

/// A timer of the transaction user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerId(pub(crate) crate::slab::Key);

/// News for the transaction user. Every event is delivered after the state that it tells of has changed.
#[derive(Debug)]
pub enum Event {
    /// When a request came that began a server transaction. It wants [`crate::Endpoint::respond`].
    Request {
        /// The transaction.
        server: ServerId,
        /// The request; its top Via carries `received` and `rport` already.
        request: Request,
        /// The path that it came on.
        flow: Flow,
    },
    /// When an ACK came that belongs to no transaction: the ACK of a 2xx (RFC 3261 §13.2.2.4).
    Ack {
        /// The ACK.
        request: Request,
        /// The path that it came on.
        flow: Flow,
    },
    /// When an INVITE was cancelled by its sender. The CANCEL was answered; the INVITE was not.
    Cancelled {
        /// The INVITE's transaction.
        server: ServerId,
        /// The CANCEL, for its Reason (RFC 3326).
        cancel: Request,
    },
    /// When a server transaction is over: nothing can be sent in it any more.
    ServerEnded {
        /// The transaction.
        server: ServerId,
        /// Why.
        reason: Ended,
    },
    /// When a response came. A 2xx to an INVITE may come several times, and from several branches (RFC 6026).
    Response {
        /// The request that it answers.
        client: ClientId,
        /// The response; its top Via is still ours.
        response: Response,
        /// The path that it came on.
        flow: Flow,
    },
    /// When a request will get no response any more: every target was tried. Is told once, and not after a final
    /// response. `status` is what RFC 3261 §8.1.3.1 and §16.7 treat it as: 408 or 503.
    Failed {
        /// The request.
        client: ClientId,
        /// 408 after a timeout, 503 after a transport failure, 502 when there is no such server.
        status: StatusCode,
    },
    /// When all that belongs to a request has ended; its id names nothing any more.
    ClientEnded {
        /// The request.
        client: ClientId,
    },
    /// When a timer of the user's is due.
    TimerFired {
        /// Which.
        timer: TimerId,
        /// What the user called it.
        token: u64,
    },
    /// When the far end of a flow has answered [`crate::Endpoint::keep_alive`].
    FlowAlive {
        /// The flow.
        flow: Flow,
        /// Our address as the far end sees it, where the keep-alive tells.
        mapped: Option<SocketAddr>,
    },
    /// When a flow has ended (RFC 5626: bindings that were made over it are useless now).
    FlowEnded {
        /// The flow.
        flow: Flow,
    },
}

/// Why a transaction is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It went its way through the figure.
    Normally,
    /// No ACK came for a failure (RFC 3261 §17.2.1, Timer H).
    NoAck,
    /// The user did not answer before its client gave up (RFC 4320 §4.2).
    Unanswered,
    /// The transport gave up.
    TransportFailed,
}

/// Where a request is to be sent.
#[derive(Clone, Debug)]
pub enum SendTo {
    /// To the topmost Route, or to the Request-URI when there is none (RFC 3261 §8.1.2), by RFC 3263.
    NextHop,
    /// As [`SendTo::NextHop`], but on TLS the certificate must name this domain instead of the next hop's own.
    NextHopNamed(Arc<str>),
    /// To the Request-URI although there is a Route: the next element routes strictly (RFC 3261 §16.6 step 6).
    RequestUri,
    /// Over an existing path, without asking anybody (RFC 5626 §5.3).
    Flow(Flow),
    /// To these, in this order.
    Targets(Vec<Target>),
}

/// Why an order of the user's was refused; nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misuse {
    /// The transaction or request has ended.
    Ended,
    /// A final response was sent before (RFC 3261 §17.2).
    AlreadyAnswered,
    /// The request has no usable next hop: its URI is neither `sip` nor `sips`.
    NoNextHop,
    /// We have no listener for the transport that was asked for.
    NoListener(Transport),
}

impl std::fmt::Display for Misuse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Misuse::Ended => f.write_str("the transaction has ended"),
            Misuse::AlreadyAnswered => f.write_str("a final response was sent before"),
            Misuse::NoNextHop => f.write_str("the request's next hop is not a SIP URI"),
            Misuse::NoListener(transport) => write!(f, "there is no listener for {transport}"),
        }
    }
}

impl std::error::Error for Misuse {}

/// Settings that an endpoint keeps for life.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Our listeners.
    pub listeners: Vec<Listener>,
    /// Which logical partition this endpoint serves; part of every branch and tag that it makes, so that responses and
    /// in-dialog requests find it. Never the name of a host: another node may take the partition over.
    pub partition: u8,
    /// A secret that sets our branches and tags apart from guesses, and the seed of every random choice.
    pub seed: u64,
    /// Above this many octets a request for a UDP target goes over a stream (RFC 3261 §18.1.1). Default 1,300.
    pub datagram_limit: usize,
    /// How many server transactions may wait for their final answer before new dialogs are refused with 503.
    pub max_pending: usize,
    /// T1, T2 and T4.
    pub timers: sip_transaction::Timers,
    /// What the endpoint calls itself in the Server field of the responses that it makes itself: to what cannot be read,
    /// to CANCEL, and when it refuses what is new. Nothing when empty; RFC 3261 §20.35 wants that to be possible. What
    /// the user's responses say is the user's.
    pub product: Box<str>,
}

impl LookupRequest {
    /// The question about a host with these parts.
    pub fn new(host: Host<'_>, port: Option<u16>, transport: Option<Transport>, secure: bool) -> LookupRequest {
        LookupRequest { host: host.to_string().into(), port, transport, secure }
    }
}
