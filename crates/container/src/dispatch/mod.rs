//! Where a request belongs: to an application that the router chooses, or to a session that it names.
//!
//! ```text
//!   request ──► own routes taken away ──► To tag?
//!                                          │ no: router ──► application ──► servlet ──► gate ──► session ──► mailbox
//!                                          │                                                     ▲
//!                                          │           encoded URI, Join, Replaces, key ─────────┘ or a fresh one
//!                                          └ yes: the session of the popped Route, or of the dialog; none: 481
//! ```
//!
//! The same way is gone by a request that one application sends to the next: it has another [`Peer`], and no flow.

mod entering;
mod router;
mod targets;

use std::hash::BuildHasher;
use std::time::Instant;

use servlet::spi::{AppId, Direction, Facts, SessionKey};
use servlet::{Address, RouterState, RoutingDirective, RoutingRegion, SipServletRequest, SipTargetedRequestInfo};
use sip_endpoint::Endpoint;
use sip_message::header::{Cseq, Via};
use sip_message::{Flow, HeaderName, Method, Request, Response, StatusCode};

use crate::core::Core;
use crate::jobs::{Ack, Job, Popped};
use crate::route_back;
use crate::session::Routed;
use crate::state::State;
use crate::transaction::Peer;
use crate::ua_server::has_to_tag;
use targets::TargetFault;

/// A request on its way into an application.
pub(crate) struct Incoming {
    pub(crate) peer: Peer,
    pub(crate) request: Request,
    /// The path that it came on; `None` from another application.
    pub(crate) flow: Option<Flow>,
    /// The path that it came to the container on, and the Route that was taken from it then.
    pub(crate) initial_flow: Option<Flow>,
    pub(crate) initial_popped: Option<Address>,
    pub(crate) popped: Popped,
}

/// What the router has said about a request.
pub(crate) struct Decision {
    pub(crate) app: AppId,
    pub(crate) routed: Routed,
    /// A route of the router's that names this container: the application sees it as popped.
    pub(crate) route: Option<Address>,
}

/// What becomes of a request outside of any dialog.
pub(crate) enum Outcome {
    /// It is with its application, or was answered.
    Done,
    /// It belongs to another shard, with everything that it came with.
    Elsewhere { partition: u8, request: Box<Request> },
}

/// What the router is asked.
pub(crate) struct Question {
    pub(crate) directive: RoutingDirective,
    pub(crate) region: Option<RoutingRegion>,
    pub(crate) state: Option<RouterState>,
}

/// What the router has answered.
pub(crate) enum Answer {
    Application(Decision),
    /// There is no further application; the request goes out, by these routes first.
    Out(Vec<Address>),
    /// There is nothing that can be done.
    Refuse(StatusCode),
}

impl Question {
    /// About a request that comes from outside, or that an application begins.
    pub(crate) fn new() -> Question {
        Question { directive: RoutingDirective::New, region: None, state: None }
    }

    /// About a request that comes back from where the router has sent it; any other begins anew.
    pub(crate) fn coming_back(secret: &crate::mac::Secret, request: &Request, popped: &Popped) -> Question {
        let call_id = request.headers().first(HeaderName::CallId).unwrap_or_default();
        let route = popped.route.as_ref().and_then(|route| route.uri()?.parameter(route_back::PARAMETER));
        match route.and_then(|text| route_back::read(secret, call_id, &text)) {
            Some((region, state)) => Question { directive: RoutingDirective::Continue, region: Some(region), state },
            None => Question::new(),
        }
    }

    /// About a request that goes on.
    pub(crate) fn going_on(directive: RoutingDirective, routed: Option<&Routed>) -> Question {
        match (directive, routed) {
            (RoutingDirective::New, _) | (_, None) => Question { directive, region: None, state: None },
            (_, Some(routed)) => {
                Question { directive, region: Some(routed.region.clone()), state: routed.state.clone() }
            }
        }
    }
}

impl Core {
    /// A request from the wire.
    pub(crate) fn receive(
        &self,
        now: Instant,
        endpoint: &mut Endpoint,
        server: sip_endpoint::ServerId,
        mut request: Request,
        flow: Flow,
    ) {
        crate::gate::strip_untrusted(&self.settings.trust, &mut request, &flow);
        let begins = !has_to_tag(request.headers());
        if begins && self.draining.get() && !matches!(request.method(), Method::Bye | Method::Prack) {
            let response = self.unavailable(&request);
            return answer(endpoint, now, server, response);
        }
        if let Some(shard) = self.shard_of_route(&request).filter(|_| !begins)
            && endpoint.hand_over(now, server, request.clone(), flow, shard).is_ok()
        {
            return;
        }
        let popped = match self.pop_own_routes(&mut request, Some(&flow)) {
            Ok(popped) => popped,
            Err(refusal) => return answer(endpoint, now, server, *refusal),
        };
        let initial_popped = popped.route.clone();
        let incoming = Incoming {
            peer: Peer::Server(server),
            request,
            flow: Some(flow),
            initial_flow: Some(flow),
            initial_popped,
            popped,
        };
        if !begins {
            return self.receive_subsequent(now, endpoint, incoming);
        }
        let question = Question::coming_back(&self.settings.secret, &incoming.request, &incoming.popped);
        match self.receive_initial(incoming, &question) {
            Outcome::Done => {}
            Outcome::Elsewhere { partition, request } => {
                let refusal = self.unavailable(&request);
                if endpoint.hand_over(now, server, *request, flow, partition).is_err() {
                    answer(endpoint, now, server, refusal);
                }
            }
        }
    }

    /// The ACK of a 2xx, from the wire or from another application. One that is for another shard comes back.
    pub(crate) fn receive_ack(&self, mut request: Request, flow: Option<Flow>) -> Option<(u8, Box<Request>)> {
        if let Some(shard) = self.shard_of_route(&request) {
            return Some((shard, Box::new(request)));
        }
        let Ok(popped) = self.pop_own_routes(&mut request, flow.as_ref()) else { return None };
        let found = popped.session.or_else(|| self.state().dialog_of(&request));
        let Some(session) = found.filter(|session| self.state().sessions.get(*session).is_some()) else {
            if self.may_relay(&request, &popped) {
                self.relay_ack(request, &popped);
            }
            return None;
        };
        let app_session = self.state().sessions.get(session)?.app_session;
        self.submit(app_session, Job::Ack(session, Box::new(Ack { request, flow, popped })));
        None
    }

    // ----- in a dialog -----

    /// A request of a dialog: it finds its session, or nobody knows it.
    pub(crate) fn receive_subsequent(&self, now: Instant, endpoint: &mut Endpoint, incoming: Incoming) {
        let found = incoming.popped.session.or_else(|| self.state().dialog_of(&incoming.request));
        let found = found.and_then(|session| {
            let state = self.state();
            let record = state.sessions.get(session)?;
            Some((session, record.app, record.app_session))
        });
        let Some((session, app, app_session)) = found else {
            if self.may_relay(&incoming.request, &incoming.popped) {
                self.relay(incoming);
                return;
            }
            let status = StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST;
            return self.refuse(now, endpoint, &incoming, Response::to(&incoming.request, status));
        };
        let Some(cseq) = incoming.request.headers().get::<Cseq>().and_then(Result::ok) else { return };
        let method = incoming.request.method().clone();
        self.app(app).counters.received(&method);
        let peer = incoming.peer;
        let popped = incoming.popped.clone();
        let handle = self.received_handle(incoming, app, false);
        handle.facts().session.set(Some(session));
        handle.facts().app_session.set(Some(app_session));
        let key = self.enter(peer, (app, app_session, session), (method, cseq.sequence, false), popped, &handle);
        let check = self.check_gate(app, session, &handle);
        self.admit(app_session, key, check, handle);
    }

    // ----- outside of dialogs -----

    /// A request that begins something.
    pub(crate) fn receive_initial(&self, incoming: Incoming, question: &Question) -> Outcome {
        let method = incoming.request.method().clone();
        if matches!(method, Method::Bye | Method::Prack | Method::Ack) {
            self.refuse_incoming(&incoming, StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST);
            return Outcome::Done;
        }
        let merged = self.state().is_merged(&incoming);
        if let Some(status) = merged {
            self.refuse_incoming(&incoming, status);
            return Outcome::Done;
        }
        let target = match self.target_of(&incoming.request, &incoming.popped) {
            Ok(target) => target,
            Err(TargetFault::Refuse(status)) => {
                self.refuse_incoming(&incoming, status);
                return Outcome::Done;
            }
            Err(TargetFault::Elsewhere(partition)) if matches!(incoming.peer, Peer::Server(_)) => {
                return Outcome::Elsewhere { partition, request: Box::new(incoming.request) };
            }
            Err(TargetFault::Elsewhere(_)) => None,
        };
        let peer = incoming.peer;
        let popped = incoming.popped.clone();
        let handle = self.received_handle(incoming, AppId(0), true);
        let targeted = target.as_ref().map(|target| SipTargetedRequestInfo {
            kind: target.kind,
            application_name: self.app(target.app).name.to_string(),
        });
        match self.ask_router(&handle, question, targeted.as_ref()) {
            Answer::Application(decision) => self.enter_application(peer, handle, popped, decision, target),
            Answer::Out(routes) if !routes.is_empty() && matches!(peer, Peer::Server(_)) => {
                self.relay_by(&routes, peer, &handle);
                Outcome::Done
            }
            Answer::Out(_) => {
                // From the wire: a container without an application for a request is no relay.
                self.refuse_handle(peer, &handle, StatusCode::NOT_FOUND);
                Outcome::Done
            }
            Answer::Refuse(status) => {
                self.refuse_handle(peer, &handle, status);
                Outcome::Done
            }
        }
    }

    // ----- handles and refusals -----

    fn received_handle(&self, incoming: Incoming, app: AppId, initial: bool) -> SipServletRequest {
        let mut facts = Facts::new(app, Direction::Received, incoming.flow);
        facts.initial_flow = incoming.initial_flow;
        facts.initial.set(initial);
        {
            let mut more = facts.more.borrow_mut();
            more.popped_route = incoming.popped.route;
            more.initial_popped_route = incoming.initial_popped;
        }
        SipServletRequest::attach(self.host(), incoming.request, facts)
    }

    /// 503 with Retry-After, for a request that begins something.
    pub(crate) fn unavailable(&self, request: &Request) -> Response {
        let mut response = Response::to(request, StatusCode::SERVICE_UNAVAILABLE);
        let _ = response.headers_mut().set(HeaderName::RetryAfter, self.settings.retry_after.as_secs());
        response
    }

    fn refuse_busy(&self, peer: Peer, handle: &SipServletRequest) {
        self.app(handle.facts().app).counters.sessions_rejected.add(1);
        let response = self.unavailable(&handle.sip_request());
        self.answer_peer(peer, response, true);
    }

    fn refuse_handle(&self, peer: Peer, handle: &SipServletRequest, status: StatusCode) {
        let response = Response::to(&handle.sip_request(), status);
        self.answer_peer(peer, response, true);
    }

    fn refuse_incoming(&self, incoming: &Incoming, status: StatusCode) {
        self.answer_peer(incoming.peer, Response::to(&incoming.request, status), true);
    }

    fn refuse(&self, now: Instant, endpoint: &mut Endpoint, incoming: &Incoming, response: Response) {
        match incoming.peer {
            Peer::Server(server) => answer(endpoint, now, server, response),
            peer => self.answer_peer(peer, response, true),
        }
    }
}

/// An INVITE's failure waits for its ACK; every other refusal costs nothing to repeat, and is not worth keeping.
fn answer(endpoint: &mut Endpoint, now: Instant, server: sip_endpoint::ServerId, response: Response) {
    let is_invite =
        response.headers().get::<Cseq>().is_some_and(|cseq| cseq.is_ok_and(|cseq| cseq.method == Method::Invite));
    // A transaction that has ended has nobody who waits for an answer.
    let _ =
        if is_invite { endpoint.respond(now, server, response) } else { endpoint.respond_once(now, server, response) };
}

impl State {
    /// The user agent's session that a request of a dialog is for.
    pub(crate) fn dialog_of(&self, request: &Request) -> Option<SessionKey> {
        let headers = request.headers();
        let call_id = headers.first(HeaderName::CallId)?.trim();
        let (to_tag, from_tag) = (headers.to_tag()?, headers.from_tag().unwrap_or_default());
        // A NOTIFY can be of another fork of a SUBSCRIBE than the one that has answered first (RFC 6665 §4.1.4).
        let fork = *request.method() == Method::Notify;
        self.find_dialog(call_id, to_tag, from_tag, fork)
    }

    /// RFC 3261 §8.2.2.2: the same request by another way. Two that differ in their Request-URI are taken for two: a
    /// proxy in front of us may have forked to two users of ours.
    fn is_merged(&self, incoming: &Incoming) -> Option<StatusCode> {
        if !matches!(incoming.peer, Peer::Server(_)) {
            return None;
        }
        let other = self.merging.get(&self.merge_mark(&incoming.request))?;
        let other = self.transactions.get(*other).filter(|other| other.is_open())?;
        // What has been here before and was sent back is a spiral; whether it is a loop, proxies know (RFC 5393 §4.2).
        let is_spiral = || {
            let mut vias = incoming.request.headers().all::<Via>().skip(1).flatten();
            vias.any(|via| {
                let (host, port) = (via.host().to_string(), via.port());
                let sent_by = port.map_or(host.clone(), |port| format!("{host}:{port}"));
                self.listeners.iter().any(|listener| listener.sent_by.eq_ignore_ascii_case(&sent_by))
            })
        };
        (other.peer != incoming.peer && !is_spiral()).then_some(StatusCode::LOOP_DETECTED)
    }

    fn merge_mark(&self, request: &Request) -> u64 {
        let headers = request.headers();
        let text = |name| headers.first(name).unwrap_or_default();
        self.dialog_hasher.hash_one((
            text(HeaderName::CallId),
            text(HeaderName::From),
            text(HeaderName::Cseq),
            request.uri_text(),
        ))
    }
}
