//! The endpoint: what it owns, and who gets which input.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip_message::header::{To, Via};
use sip_message::{Flow, HeaderName, Headers, Host, Message, Method, Refusal, Request, Response, SipUri};
use sip_transaction::Timer;

use crate::api::{Destination, Event, Input, Listener, Output, Settings, TimerId};
use crate::client::Clients;
use crate::cookie::{self, BranchCookie, Secrets};
use crate::server::Servers;
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
    pub(crate) wheel: Wheel<Due>,
    pub(crate) outputs: VecDeque<Output>,
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
    User(u64),
}

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
}

impl Endpoint {
    /// An endpoint with empty tables.
    pub fn new(settings: Settings) -> Endpoint {
        let seed = settings.seed;
        Endpoint {
            core: Core {
                secrets: Secrets::new(settings.seed),
                settings,
                wheel: Wheel::new(),
                outputs: VecDeque::new(),
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
                self.servers.receive(&mut self.core, now, flow, request);
            }
            Input::Received { flow, received: Ok(Message::Response(response)) } => {
                self.clients.receive(&mut self.core, now, flow, response);
            }
            Input::Received { flow, received: Err(refusal) } => self.refuse(&flow, &refusal),
            Input::TransmitFailed { token } => match Token::read(token) {
                Some(Token::Server(key)) => self.servers.transmit_failed(&mut self.core, now, key),
                Some(Token::Client(key, attempt)) => self.clients.transmit_failed(&mut self.core, now, key, attempt),
                None => {}
            },
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

    /// When to call [`Endpoint::handle`] with [`Input::TimePassed`].
    pub fn next_timeout(&self) -> Option<Instant> {
        self.core.wheel.next_timeout()
    }

    /// Sets a timer that tells its `token` after a while.
    pub fn set_timer(&mut self, now: Instant, after: Duration, token: u64) -> TimerId {
        TimerId(self.core.wheel.set(now, after, Due::User(token)))
    }

    /// Takes a timer back. Whether it was still to fire.
    pub fn cancel_timer(&mut self, timer: TimerId) -> bool {
        self.core.wheel.cancel(timer.0)
    }

    /// A tag for our end of a dialog.
    pub fn new_tag(&mut self) -> String {
        cookie::tag(self.core.settings.partition, &mut self.core.secrets)
    }

    /// A number that cannot be guessed.
    pub fn random(&mut self) -> u64 {
        self.core.secrets.random()
    }

    /// The listeners that the endpoint was made with.
    pub fn listeners(&self) -> &[Listener] {
        &self.core.settings.listeners
    }

    /// The listener that a flow belongs to.
    pub fn listener_of(&self, flow: &Flow) -> Option<&Listener> {
        self.core.settings.listeners.iter().find(|listener| listener.id == flow.listener)
    }

    /// Whether a URI's host and port name one of our listeners, by its address or by what its Via says.
    pub fn is_own_address(&self, uri: &SipUri<'_>) -> bool {
        self.core.settings.listeners.iter().any(|listener| {
            let port = uri.port().unwrap_or(if uri.is_secure() { 5061 } else { 5060 });
            let same_host = match uri.host() {
                Host::V4(ip) => listener.local.ip() == ip || listener.local.ip().is_unspecified() && ip.is_loopback(),
                Host::V6(ip) => listener.local.ip() == ip || listener.local.ip().is_unspecified() && ip.is_loopback(),
                Host::Name(_) => false,
            };
            same_host && port == listener.local.port() || names(&listener.sent_by, uri)
        })
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
            timers: self.core.wheel.len(),
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

    fn outputs_mut(&mut self) -> &mut VecDeque<Output> {
        &mut self.core.outputs
    }

    fn time_passed(&mut self, now: Instant) {
        while let Some((key, due)) = self.core.wheel.expired(now) {
            match due {
                Due::Server(server, timer) => self.servers.timer_fired(&mut self.core, now, server, timer),
                Due::Client(client, timer) => self.clients.timer_fired(&mut self.core, now, client, timer),
                Due::User(token) => self.core.event(Event::TimerFired { timer: TimerId(key), token }),
            }
        }
    }

    /// Answers a message that was not accepted, without keeping anything of it.
    fn refuse(&mut self, flow: &Flow, refusal: &Refusal) {
        let Some(mut response) = refusal.response() else {
            return;
        };
        via::stamp(response.headers_mut(), flow);
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
            None => Flow { remote: via::datagram_return(response.headers(), flow), ..*flow },
        });
        let bytes = self.print(|out| response.write(out));
        self.outputs.push_back(Output::Transmit { to, bytes, token: 0 });
    }

    pub(crate) fn add_tag(&mut self, response: &mut Response) {
        if response.status() == sip_message::StatusCode::TRYING {
            return;
        }
        if has_to_tag(response.headers()) {
            return;
        }
        let Some(to) = response.headers().first(HeaderName::To) else {
            return;
        };
        // A bare addr-spec takes a header parameter too (RFC 3261 §20).
        let tagged = format!("{to};tag={}", cookie::tag(self.settings.partition, &mut self.secrets));
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
        Message::Request(request) => {
            let to = request.headers().get::<To>()?.ok()?;
            cookie::partition_of_tag(to.tag()?)
        }
    }
}

fn has_to_tag(headers: &Headers) -> bool {
    headers.get::<To>().is_some_and(|to| to.is_ok_and(|to| to.tag().is_some()))
}

/// Whether `sent_by` (`host[:port]`) is what the URI names.
fn names(sent_by: &str, uri: &SipUri<'_>) -> bool {
    let host = uri.host().to_string();
    let Some(rest) = sent_by.get(..host.len()).filter(|start| start.eq_ignore_ascii_case(&host)) else {
        return false;
    };
    let port = sent_by[rest.len()..].strip_prefix(':').and_then(|port| port.parse().ok());
    match (&sent_by[rest.len()..], port) {
        ("", _) => uri.port().is_none_or(|port| port == 5060 || port == 5061),
        (_, port @ Some(_)) => uri.port() == port,
        _ => false,
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
    !has_to_tag(request.headers())
        && !matches!(request.method(), Method::Ack | Method::Cancel | Method::Bye | Method::Prack)
}
