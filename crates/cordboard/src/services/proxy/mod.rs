//! The proxy: stateful, record-routing, forking. RFC 3261 §16 with RFC 5393 (loops and breadth), RFC 6026 (late 2xx),
//! RFC 3327, RFC 5626 and RFC 5627 where targets and routes are concerned.
//!
//! ```text
//!   request ──► validate §16.3 ──► preprocess §16.4 ──► targets §16.5 ──► forward §16.6 ──► endpoint
//!                     │                  │                   │
//!                     └── 4xx ◄──────────┴───────────────────┘
//!   response, failure, CANCEL, Timer C ──► context §16.7–16.10 ──► endpoint
//! ```
//!
//! What is sent is sent by the endpoint's transactions; nothing is repeated here.

mod best;
mod context;
mod fork;
mod forward;
mod preprocess;
mod respond;
mod targets;
mod validate;

use std::time::Instant;

use sip_endpoint::{ClientId, Endpoint, ServerId, TimerId};
use sip_message::{Flow, HeaderName, Method, Request, Response, Uri};
use smallvec::SmallVec;

pub(crate) use preprocess::{Own, preprocess};
pub(crate) use targets::Finder;
pub(crate) use validate::{Validated, Verdict, check_loop, loop_mark, validate};

use super::config::{ProxyConfig, ServicesConfig};
use super::table::Table;
use context::{Context, Forking, Open};
use forward::Forwarding;
use targets::{Found, TargetSet};

/// The response contexts of one shard.
pub(crate) struct Proxy {
    contexts: Table<u64, Box<Context>>,
    by_server: Table<ServerId, u64>,
    /// The context and the branch of a request of ours.
    by_client: ByClient,
    next: u64,
    /// How many have not answered yet.
    open: usize,
}

type ByClient = Table<ClientId, (u64, u16)>;

/// A request on its way through the proxy.
pub(crate) struct Passage<'a> {
    pub(crate) config: &'a ServicesConfig,
    pub(crate) flow: &'a Flow,
    pub(crate) validated: Validated,
    /// What tells loops; `None` when the location service has no part in this.
    pub(crate) mark: Option<u64>,
}

impl Proxy {
    pub(crate) fn new() -> Proxy {
        Proxy { contexts: Table::new(), by_server: Table::new(), by_client: Table::new(), next: 1, open: 0 }
    }

    /// Whether every request has its final response. What stays for a while after it only absorbs repetitions.
    pub(crate) fn is_idle(&self) -> bool {
        self.open == 0
    }

    /// How many response contexts there are.
    pub(crate) fn len(&self) -> usize {
        self.contexts.len()
    }

    /// Whether a server transaction is that of a request that we have forwarded.
    pub(crate) fn has_server(&self, server: ServerId) -> bool {
        self.by_server.get(&server).is_some()
    }

    /// Whether a request is one that we have forwarded.
    pub(crate) fn has_client(&self, client: ClientId) -> bool {
        self.by_client.get(&client).is_some()
    }

    /// Forwards a request to what was found for it.
    pub(crate) fn forward(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        passage: &Passage<'_>,
        server: ServerId,
        request: Request,
        found: Found,
    ) {
        let number = self.next;
        self.next += 1;
        let mut context = Box::new(Context {
            server,
            is_invite: *request.method() == Method::Invite,
            responsible: found.responsible,
            answered: false,
            closed: false,
            branches: SmallVec::new(),
            live: 0,
            timer_c: None,
            open: Some(Box::new(Open {
                ours: Response::to(&request, sip_message::StatusCode::REQUEST_TIMEOUT),
                best: None,
                forking: None,
            })),
        });
        let proxy = &passage.config.proxy;
        let recurses = proxy.recurse && found.responsible;
        let mut turn = Turn { now, endpoint, config: passage.config, by_client: &mut self.by_client, number };
        match found.targets.as_slice() {
            [only] if !recurses => {
                let forwarding = Forwarding {
                    config: passage.config,
                    from: passage.flow,
                    max_forwards: passage.validated.max_forwards,
                    mark: passage.mark,
                };
                turn.branch(&mut context, &forwarding, request, only, passage.validated.max_breadth);
            }
            _ => {
                let forking = forking(passage, request, found.targets, found.one_instance, recurses);
                if let Some(open) = &mut context.open {
                    open.forking = Some(forking);
                }
            }
        }
        turn.advance(&mut context);
        if context.live > 0 || !context.answered {
            self.open += usize::from(!context.answered);
            self.by_server.insert(server, number);
            self.contexts.insert(number, context);
        }
    }

    /// Sends the ACK of a 2xx after it. An ACK is never answered, so that one without a target is dropped.
    pub(crate) fn ack(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        passage: &Passage<'_>,
        request: Request,
        found: &Found,
    ) {
        let Some(target) = found.targets.first() else { return };
        let forwarding = Forwarding {
            config: passage.config,
            from: passage.flow,
            max_forwards: passage.validated.max_forwards,
            mark: None,
        };
        let _ = forwarding.send_ack(now, endpoint, request, target);
    }

    /// A response to a request of ours (§16.7).
    pub(crate) fn response(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        config: &ServicesConfig,
        client: ClientId,
        response: Response,
    ) {
        self.turn(now, endpoint, config, client, |turn, context, at| turn.response(context, at, response));
    }

    /// A request of ours that will get no response (§16.7 step 6, §16.9).
    pub(crate) fn failed(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        config: &ServicesConfig,
        client: ClientId,
        status: sip_message::StatusCode,
    ) {
        self.turn(now, endpoint, config, client, |turn, context, at| turn.failed(context, at, status));
    }

    /// A request of ours that has ended. One that ends without having said how counts as timed out.
    pub(crate) fn client_ended(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        config: &ServicesConfig,
        client: ClientId,
    ) {
        self.turn(now, endpoint, config, client, |turn, context, at| {
            context.live = context.live.saturating_sub(1);
            turn.failed(context, at, sip_message::StatusCode::REQUEST_TIMEOUT);
        });
        self.by_client.remove(&client);
    }

    /// A server transaction that has ended. Its branches go on (§16.9): a forged Via must not end a call attempt.
    pub(crate) fn server_ended(&mut self, server: ServerId) {
        let Some(number) = self.by_server.remove(&server) else { return };
        if let Some(context) = self.contexts.get_mut(&number) {
            self.open -= usize::from(!context.answered);
            context.answered = true;
            context.open = None;
        }
        self.forget_if_over(number);
    }

    /// The caller has given up (§16.10): every pending branch is cancelled, with the reason that he gave (RFC 3326).
    pub(crate) fn cancelled(&mut self, now: Instant, endpoint: &mut Endpoint, server: ServerId, cancel: &Request) {
        let Some(number) = self.by_server.get(&server) else { return };
        let Some(context) = self.contexts.get_mut(number) else { return };
        context.closed = true;
        respond::cancel_pending(now, endpoint, context, cancel.headers().fields_of(HeaderName::Reason).next());
    }

    /// Timer C of some branch of a context may be due (§16.8).
    pub(crate) fn timer_c(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        config: &ServicesConfig,
        timer: TimerId,
        number: u64,
    ) {
        let Some(context) = self.contexts.get_mut(&number) else { return };
        if context.timer_c != Some(timer) {
            return;
        }
        context.timer_c = None;
        let was_open = !context.answered;
        let mut turn = Turn { now, endpoint, config, by_client: &mut self.by_client, number };
        turn.timer_c(context);
        self.open -= usize::from(was_open && context.answered);
        self.forget_if_over(number);
    }

    fn turn(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        config: &ServicesConfig,
        client: ClientId,
        act: impl FnOnce(&mut Turn<'_>, &mut Context, usize),
    ) {
        let Some(&(number, at)) = self.by_client.get(&client) else { return };
        let Some(context) = self.contexts.get_mut(&number) else { return };
        let was_open = !context.answered;
        let mut turn = Turn { now, endpoint, config, by_client: &mut self.by_client, number };
        act(&mut turn, context, usize::from(at));
        self.open -= usize::from(was_open && context.answered);
        self.forget_if_over(number);
    }

    fn forget_if_over(&mut self, number: u64) {
        let over = self.contexts.get(&number).is_some_and(|context| context.live == 0 && context.answered);
        if over && let Some(context) = self.contexts.remove(&number) {
            self.by_server.remove(&context.server);
        }
    }
}

/// What one step of a context works with.
struct Turn<'a> {
    now: Instant,
    endpoint: &'a mut Endpoint,
    config: &'a ServicesConfig,
    by_client: &'a mut ByClient,
    /// The context's number.
    number: u64,
}

fn forking(passage: &Passage<'_>, request: Request, targets: TargetSet, one_instance: bool, recurses: bool) -> Forking {
    let limit = targets_limit(&passage.config.proxy);
    let uris = targets.iter().filter_map(|target| target.uri.as_ref());
    Forking {
        tried: uris.map(|uri| uri.as_str().into()).collect(),
        secure: matches!(request.uri(), Uri::Sip(uri) if uri.is_secure()),
        waiting: targets.into_iter().take(limit).collect(),
        group: 0,
        from: *passage.flow,
        max_forwards: passage.validated.max_forwards,
        mark: passage.mark,
        breadth: passage.validated.max_breadth,
        one_instance,
        recurses,
        request,
    }
}

/// A context numbers its branches with 16 bits, and nobody has so many.
fn targets_limit(config: &ProxyConfig) -> usize {
    config.max_targets.clamp(1, 1000)
}
