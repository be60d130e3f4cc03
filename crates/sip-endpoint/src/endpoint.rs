//! The endpoint: what it owns, and who gets which input.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip_message::header::{Route, Via};
use sip_message::{Flow, HeaderName, Message, Method, Refusal, Request, Response, SipUri, Transport, Uri};
use sip_transaction::Timer;

use crate::api::{Destination, Event, Input, Listener, Output, Settings, TimerId};
use crate::client::Clients;
use crate::cookie::{self, BranchCookie, Secrets};
use crate::entropy::Entropy;
use crate::hand_over::HandOvers;
use crate::own_address;
use crate::server::{Came, Servers};
use crate::slab::Key;
use crate::via;
use crate::wheel::Wheel;

/// One shard's signalling.
pub struct Endpoint {
    pub(crate) core: Core,
    servers: Servers,
    clients: Clients,
}

/// What the transactions of both sides share.
pub(crate) struct Core {
    pub(crate) settings: Settings,
    pub(crate) secrets: Secrets,
    /// The timers of the transactions.
    pub(crate) wheel: Wheel<Due>,
    /// The timers of the user, apart: however many are due, no transaction waits behind them.
    user_wheel: Wheel<u64>,
    pub(crate) outputs: VecDeque<Output>,
    pub(crate) hand_overs: HandOvers,
    /// Whether requests that begin something are refused.
    pub(crate) shedding: bool,
    /// Where messages are printed before an exact copy of them is sent or kept.
    pub(crate) scratch: Vec<u8>,
}

/// What a timer is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Due {
    Server(Key, Timer),
    Client(Key, Timer),
    /// The key of a transaction that was handed over is kept no longer.
    Elsewhere(Key),
}

/// How many timers of the user's fire in one call, and how many are moved from a level of the wheel to a lower one: so
/// much may lie between two looks at the sockets.
const USER_TIMERS_AT_ONCE: usize = 256;
const USER_TIMERS_MOVED_AT_ONCE: usize = 8_192;

/// How much there is in an endpoint's tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Server transactions.
    pub servers: usize,
    /// Server transactions that have no final response yet.
    pub pending: usize,
    /// Requests that were sent and have not ended.
    pub clients: usize,
    /// Timers that are armed.
    pub timers: usize,
    /// Keys of transactions that were handed over to other shards.
    pub handed_over: usize,
}

impl Endpoint {
    /// An endpoint with empty tables.
    pub fn new(settings: Settings) -> Endpoint {
        let seed = settings.seed;
        Endpoint {
            core: Core {
                secrets: Secrets::new(settings.seed, settings.partition),
                settings,
                wheel: Wheel::new(),
                user_wheel: Wheel::new(),
                outputs: VecDeque::new(),
                hand_overs: HandOvers::new(),
                shedding: false,
                scratch: Vec::with_capacity(2048),
            },
            servers: Servers::new(seed),
            clients: Clients::new(),
        }
    }

    /// Takes in something that happened.
    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Received { flow, received: Ok(Message::Request(request)) } => {
                self.servers.receive(&mut self.core, now, flow, request, Came::FromTheNetwork);
            }
            Input::Received { flow, received: Ok(Message::Response(response)) } => {
                self.clients.receive(&mut self.core, now, flow, response);
            }
            Input::Received { flow, received: Err(refusal) } => self.refuse(&flow, &refusal),
            Input::HandedOver { flow, request } => {
                self.servers.receive(&mut self.core, now, flow, request, Came::FromAnotherShard);
            }
            Input::TransmitFailed { token } => match Token::read(token) {
                Some(Token::Server(key)) => self.servers.transmit_failed(&mut self.core, now, key),
                Some(Token::Client(key, attempt)) => self.clients.transmit_failed(&mut self.core, now, key, attempt),
                None => {}
            },
            Input::KeptAlive { flow, mapped } => self.core.event(Event::FlowAlive { flow, mapped }),
            Input::ConnectionClosed { flow } => self.core.event(Event::FlowEnded { flow }),
            Input::Resolved { token, result } => self.clients.resolved(&mut self.core, now, token, result),
            Input::TimePassed => self.time_passed(now),
        }
    }

    /// The next thing to do or to know.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs_mut().pop_front();
        if output.is_none() && self.core.outputs.capacity() > 1024 {
            self.core.outputs.shrink_to(64);
        }
        output
    }

    /// When to call [`Endpoint::handle`] with [`Input::TimePassed`]. That is in the past while timers of the user's are
    /// due that did not fit into the last call: look at the sockets, then call again.
    pub fn next_timeout(&self) -> Option<Instant> {
        let (transactions, user) = (self.core.wheel.next_timeout(), self.core.user_wheel.next_timeout());
        transactions.into_iter().chain(user).min()
    }

    /// Sets a timer that tells its `token` after a while. It takes about 33 octets, so there may be a million of them;
    /// when very many are due together they fire in portions, and the messages that come meanwhile are not behind them.
    pub fn set_timer(&mut self, now: Instant, after: Duration, token: u64) -> TimerId {
        TimerId(self.core.user_wheel.set(now, after, token))
    }

    /// Takes a timer back. Whether it was still to fire.
    pub fn cancel_timer(&mut self, timer: TimerId) -> bool {
        self.core.user_wheel.cancel(timer.0)
    }

    /// A tag for our end of a dialog.
    pub fn new_tag(&mut self) -> String {
        cookie::tag(self.core.settings.partition, &mut self.core.secrets)
    }

    /// A number that cannot be guessed.
    pub fn random(&mut self) -> u64 {
        self.core.secrets.random()
    }

    /// A source of tags and random numbers of its own, for a user that makes them while it does not hold the endpoint.
    pub fn entropy(&mut self) -> Entropy {
        Entropy::new(self.core.settings.partition, self.core.secrets.split())
    }

    /// The partition that this endpoint serves.
    pub fn partition(&self) -> u8 {
        self.core.settings.partition
    }

    /// The listeners that the endpoint was made with.
    pub fn listeners(&self) -> &[Listener] {
        &self.core.settings.listeners
    }

    /// The listener that a flow belongs to.
    pub fn listener_of(&self, flow: &Flow) -> Option<&Listener> {
        self.core.settings.listeners.iter().find(|listener| listener.id == flow.listener)
    }

    /// The listener that would stand at our end of a request to an address by this transport: what a Contact or a
    /// Record-Route should name that is written before the request is sent. A loopback address is reached from a listener
    /// on loopback, if there is one, and any other from any other. Without an address the first one of the transport.
    pub fn listener_for(&self, transport: Transport, remote: Option<IpAddr>) -> Option<&Listener> {
        self.core.listener_for(transport, remote)
    }

    /// Whether a URI's host and port name one of our listeners, by its address or by what its Via says.
    pub fn is_own_address(&self, uri: &SipUri<'_>) -> bool {
        own_address::is_own(&self.core.settings.listeners, uri.host(), uri)
    }

    /// Whether a request would come back to us: whether its topmost Route, or its Request-URI when there is none, names
    /// one of our listeners like [`Endpoint::is_own_address`], a `maddr` taking the place of the host as in RFC 3263 §4.
    /// A URI of another scheme, or one that cannot be read, is not ours.
    pub fn next_hop_is_own(&self, request: &Request) -> bool {
        let is_own = |uri: Uri<'_>| match uri {
            Uri::Sip(uri) => {
                own_address::is_own(&self.core.settings.listeners, uri.maddr().unwrap_or_else(|| uri.host()), &uri)
            }
            _ => false,
        };
        match request.headers().get::<Route>() {
            Some(route) => route.is_ok_and(|route| is_own(route.uri())),
            None => is_own(request.uri()),
        }
    }

    /// Asks the far end of a flow whether it is there (RFC 5626 §4.4). Its answer is told as [`Event::FlowAlive`]; that
    /// none came is for the user to notice.
    pub fn keep_alive(&mut self, flow: Flow) {
        self.core.outputs.push_back(Output::KeepAlive { flow });
    }

    /// Closes the connection of a flow whose far end does not answer any more (RFC 5626 §4.4.1); nothing happens on UDP.
    /// Its end is told as [`Event::FlowEnded`].
    pub fn close(&mut self, flow: Flow) {
        if flow.connection.is_some() {
            self.core.outputs.push_back(Output::Close { flow });
        }
    }

    /// Refuses what begins something new with 503 and Retry-After, or no longer does. ACK, CANCEL, responses and what is
    /// in a dialog are never refused.
    pub fn set_shedding(&mut self, shedding: bool) {
        self.core.shedding = shedding;
    }

    /// How full the tables are.
    pub fn load(&self) -> Load {
        Load {
            servers: self.servers.len(),
            pending: self.servers.pending(),
            clients: self.clients.len(),
            timers: self.core.wheel.len() + self.core.user_wheel.len(),
            handed_over: self.servers.handed_over(),
        }
    }

    pub(crate) fn servers(&mut self) -> (&mut Servers, &mut Core) {
        (&mut self.servers, &mut self.core)
    }

    pub(crate) fn clients(&mut self) -> (&mut Clients, &mut Core) {
        (&mut self.clients, &mut self.core)
    }

    pub(crate) fn servers_ref(&self) -> &Servers {
        &self.servers
    }

    pub(crate) fn clients_ref(&self) -> &Clients {
        &self.clients
    }

    fn outputs_mut(&mut self) -> &mut VecDeque<Output> {
        &mut self.core.outputs
    }

    fn time_passed(&mut self, now: Instant) {
        let mut moves = usize::MAX;
        while let Some((_, due)) = self.core.wheel.expired(now, &mut moves) {
            match due {
                Due::Server(server, timer) => self.servers.timer_fired(&mut self.core, now, server, timer),
                Due::Client(client, timer) => self.clients.timer_fired(&mut self.core, now, client, timer),
                Due::Elsewhere(kept) => self.servers.elsewhere_ended(&mut self.core, kept),
            }
        }
        let mut moves = USER_TIMERS_MOVED_AT_ONCE;
        for _ in 0..USER_TIMERS_AT_ONCE {
            let Some((key, token)) = self.core.user_wheel.expired(now, &mut moves) else { break };
            self.core.event(Event::TimerFired { timer: TimerId(key), token });
        }
    }

    /// Answers a message that was not accepted, without keeping anything of it.
    fn refuse(&mut self, flow: &Flow, refusal: &Refusal) {
        let Some(mut response) = refusal.response() else {
            return;
        };
        via::stamp(response.headers_mut(), flow);
        self.core.sign(&mut response);
        self.core.answer_statelessly(flow, response);
    }
}

impl Core {
    pub(crate) fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    pub(crate) fn print(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
        self.scratch.clear();
        write(&mut self.scratch);
        Bytes::copy_from_slice(&self.scratch)
    }

    /// Sends a response that belongs to no transaction; gives it a To tag when it has none (RFC 3261 §8.2.6.2).
    pub(crate) fn answer_statelessly(&mut self, flow: &Flow, mut response: Response) {
        self.add_tag(&mut response);
        let to = Destination::Flow(match flow.connection {
            Some(_) => *flow,
            None => Flow { remote: via::Sender::of(response.headers()).datagram_return(flow), ..*flow },
        });
        let bytes = self.print(|out| response.write(out));
        self.outputs.push_back(Output::Transmit { to, bytes, token: 0 });
    }

    /// Says who answers, in a response that no user has made: whoever looks for the element that refuses finds it.
    pub(crate) fn sign(&self, response: &mut Response) {
        if !self.settings.product.is_empty() {
            // A product that no header can hold is left out.
            let _ = response.headers_mut().push(HeaderName::Server, &self.settings.product);
        }
    }

    pub(crate) fn add_tag(&mut self, response: &mut Response) {
        if response.status() == sip_message::StatusCode::TRYING {
            return;
        }
        if response.headers().to_tag().is_some() {
            return;
        }
        let Some(to) = response.headers().first(HeaderName::To) else {
            return;
        };
        // A bare addr-spec takes a header parameter too (RFC 3261 §20).
        let mut tagged = String::with_capacity(to.len() + 24);
        tagged.push_str(to);
        tagged.push_str(";tag=");
        tagged.push_str(&cookie::tag(self.settings.partition, &mut self.secrets));
        response.headers_mut().replace_first(HeaderName::To, tagged).expect("a To that was parsed has no line break");
    }
}

/// Which shard's endpoint a message belongs to; `None` when any may take it.
pub fn partition_of(message: &Message) -> Option<u8> {
    match message {
        Message::Response(response) => {
            let via = response.headers().get::<Via>()?.ok()?;
            BranchCookie::partition_of(via.branch()?)
        }
        // A retransmission comes on the path of what it repeats, and so do its ACK and CANCEL: the sockets have found
        // the shard already. What is in a dialog with us is found by our tag.
        Message::Request(request) => cookie::partition_of_tag(request.headers().to_tag()?),
    }
}

/// What the driver says of a transmission that failed: which transaction it was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Server(Key),
    /// With the attempt, so that trouble with a target that was left does not end the attempt at the next.
    Client(Key, u8),
}

impl Token {
    const CLIENT: u64 = 1 << 63;
    const ATTEMPT: u32 = 56;
    const SLOT: u32 = 32;

    /// A bit for the side, 7 of attempt, 24 of slot and 32 of generation; a generation is never 0, so neither is a token.
    /// Of a slot beyond 24 bits nothing is told, as if nobody had wanted to know.
    pub(crate) fn write(self) -> u64 {
        let pack = |key: Key| match key.slot {
            0..=0xff_ffff => u64::from(key.slot) << Token::SLOT | u64::from(key.generation),
            _ => 0,
        };
        match self {
            Token::Server(key) => pack(key),
            Token::Client(key, attempt) => match pack(key) {
                0 => 0,
                packed => packed | Token::CLIENT | u64::from(attempt & 0x7f) << Token::ATTEMPT,
            },
        }
    }

    pub(crate) fn read(token: u64) -> Option<Token> {
        let key = Key { slot: (token >> Token::SLOT) as u32 & 0xff_ffff, generation: token as u32 };
        match token {
            0 => None,
            token if token & Token::CLIENT != 0 => Some(Token::Client(key, (token >> Token::ATTEMPT) as u8 & 0x7f)),
            _ => Some(Token::Server(key)),
        }
    }
}

/// Whether a request begins something that a busy or leaving server may refuse: an INVITE or another request outside of
/// a dialog, never an ACK, a CANCEL or what is in a dialog (RFC 3261 §12.2: it has a To tag).
pub(crate) fn may_be_shed(request: &Request) -> bool {
    request.headers().to_tag().is_none()
        && !matches!(request.method(), Method::Ack | Method::Cancel | Method::Bye | Method::Prack)
}
