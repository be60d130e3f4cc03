//! Orders are carried out: by the endpoint, or by the next application of this container.

use std::time::Instant;

use servlet::RoutingDirective;
use servlet::SipServletRequest;
use servlet::spi::{Direction, Facts, TransactionKey};
use sip_endpoint::{Endpoint, SendTo};
use sip_message::header::Cseq;
use sip_message::{HeaderName, Method, Request, Response, StatusCode};

use crate::core::Core;
use crate::dispatch::{Answer, Incoming, Outcome, Question};
use crate::jobs::{Arrived, Job};
use crate::order::Order;
use crate::session::Routed;
use crate::state::Armed;
use crate::transaction::{Peer, TransactionRole};
use crate::ua_server::has_to_tag;

impl Core {
    /// Carries out what is in the queue of orders. Whether there was anything.
    pub(crate) fn carry_out(&self, now: Instant, endpoint: &mut Endpoint) -> bool {
        let mut any = false;
        loop {
            let Some(order) = self.state_mut().orders.pop_front() else { break };
            any = true;
            self.carry(now, endpoint, order);
        }
        if any && self.state().orders.capacity() > 1024 {
            self.state_mut().orders.shrink_to(64);
        }
        any
    }

    fn carry(&self, now: Instant, endpoint: &mut Endpoint, order: Order) {
        match order {
            Order::Respond { transaction, response, once } => {
                self.carry_response(now, endpoint, transaction, *response, once);
            }
            Order::Route { transaction, request } => self.carry_initial(now, endpoint, transaction, *request),
            Order::Send { transaction, request, to, mark } => {
                self.carry_request(now, endpoint, transaction, *request, to, mark);
            }
            Order::Ack { request, to } => {
                if matches!(to, SendTo::NextHop) && endpoint.next_hop_is_own(&request) {
                    self.receive_ack(*request, None);
                } else {
                    // An ACK that can't leave is sent again with the next 2xx.
                    let _ = endpoint.send_ack(now, *request, to);
                }
            }
            Order::Cancel { transaction, reason } => self.carry_cancel(now, endpoint, transaction, reason.as_deref()),
            Order::Answer { peer, response, once } => match peer {
                Peer::Server(server) if once => drop(endpoint.respond_once(now, server, *response)),
                Peer::Server(server) => drop(endpoint.respond(now, server, *response)),
                Peer::Inner(client) => self.return_inside(client, *response),
                Peer::Client(_) | Peer::Leaving | Peer::Gone => {}
            },
            Order::Arm { due, at } => {
                let mut state = self.state_mut();
                if state.armed_of(due).is_none_or(|armed| *armed != Armed::Ordered) {
                    return;
                }
                let timer = endpoint.set_timer(now, at.saturating_duration_since(now), due.token());
                if let Some(armed) = state.armed_of(due) {
                    *armed = Armed::Yes(timer);
                }
            }
            Order::Done(transaction) => self.server_done(transaction),
            Order::Disarm(timer) => drop(endpoint.cancel_timer(timer)),
        }
    }

    // ----- responses -----

    fn carry_response(
        &self,
        now: Instant,
        endpoint: &mut Endpoint,
        key: TransactionKey,
        response: Response,
        once: bool,
    ) {
        let Some((peer, is_invite)) =
            self.state().transactions.get(key).map(|of| (of.peer, of.method == Method::Invite))
        else {
            return;
        };
        let status = response.status();
        match peer {
            Peer::Server(server) => {
                // A transaction that has ended has nobody who waits for an answer.
                let _ = if once {
                    endpoint.respond_once(now, server, response)
                } else {
                    endpoint.respond(now, server, response)
                };
            }
            Peer::Inner(client) => {
                self.return_inside(client, response);
                // There is nothing to be absorbed between two applications: only a 2xx to an INVITE can come again.
                if status.is_final() && !(is_invite && status.is_success()) {
                    self.server_done_after(key);
                }
            }
            Peer::Client(_) | Peer::Leaving | Peer::Gone => {}
        }
    }

    /// A response for the application that has sent the request.
    fn return_inside(&self, client: TransactionKey, response: Response) {
        let Some(app_session) = self.state().transactions.get(client).map(|of| of.app_session) else { return };
        self.submit(app_session, Job::Response(client, Box::new(Arrived { response, flow: None })));
    }

    /// The inner transaction is over when its final response was handled.
    fn server_done_after(&self, key: TransactionKey) {
        let Some((app_session, role)) = self.state().transactions.get(key).map(|of| (of.app_session, of.role)) else {
            return;
        };
        if matches!(role, TransactionRole::Proxy(_)) {
            // The proxy says when its branches have ended.
            return;
        }
        self.server_done(key);
        self.submit(app_session, Job::Settle);
    }

    /// Answers whoever has sent a request that has no transaction of the container's.
    pub(crate) fn answer_peer(&self, peer: Peer, mut response: Response, once: bool) {
        let is_invite =
            response.headers().get::<Cseq>().is_some_and(|cseq| cseq.is_ok_and(|cseq| cseq.method == Method::Invite));
        if let Peer::Inner(client) = peer {
            let mut state = self.state_mut();
            if let Some(client) = state.transactions.get_mut(client) {
                client.peer = Peer::Gone;
            }
            let tag = state.new_tag();
            if !has_to_tag(response.headers())
                && let Some(to) = response.headers().first(HeaderName::To).map(str::to_owned)
            {
                let _ = response.headers_mut().replace_first(HeaderName::To, format_args!("{to};tag={tag}"));
            }
            drop(state);
            self.return_inside(client, response);
            let app_session = self.state().transactions.get(client).map(|of| of.app_session);
            if let Some(app_session) = app_session {
                self.submit(app_session, Job::ClientEnded(client));
            }
            return;
        }
        self.state_mut().order(Order::Answer { peer, response: Box::new(response), once: once && !is_invite });
    }

    // ----- requests -----

    /// An application's initial request: to the next application, or out.
    fn carry_initial(&self, now: Instant, endpoint: &mut Endpoint, key: TransactionKey, request: Request) {
        let Some((question, from, app)) = self.question_about(key) else { return };
        let mut facts = Facts::new(app, Direction::Received, None);
        facts.initial.set(true);
        if let Some(from) = &from {
            let theirs = from.facts();
            facts.initial_flow = theirs.initial_flow;
            facts.more.borrow_mut().initial_popped_route.clone_from(&theirs.more.borrow().initial_popped_route);
        }
        let (initial_flow, initial_popped) = (facts.initial_flow, facts.more.borrow().initial_popped_route.clone());
        let handle = SipServletRequest::attach(self.host(), request, facts);
        let answer = self.ask_router(&handle, &question, None);
        let mut request = handle.detach();
        match answer {
            Answer::Application(decision) => {
                let popped = match self.pop_own_routes(&mut request, None) {
                    Ok(popped) => popped,
                    Err(refusal) => return self.answer_peer(Peer::Inner(key), *refusal, true),
                };
                let incoming =
                    Incoming { peer: Peer::Inner(key), request, flow: None, initial_flow, initial_popped, popped };
                self.enter_chosen(incoming, decision);
            }
            Answer::Out(routes) => {
                for route in routes.iter().rev() {
                    // A route of the router's was parsed.
                    let _ = request.headers_mut().push_front(HeaderName::Route, route);
                }
                self.leave(now, endpoint, key, request);
            }
            Answer::Refuse(status) => {
                let response = Response::to(&request, status);
                self.answer_peer(Peer::Inner(key), response, true);
            }
        }
    }

    /// No further application: the request goes out, or it was for us and nobody wants it.
    fn leave(&self, now: Instant, endpoint: &mut Endpoint, key: TransactionKey, mut request: Request) {
        let (way, mark) = self.way_of_initial(key, &mut request);
        if !matches!(way, SendTo::NextHop) || !endpoint.next_hop_is_own(&request) {
            return self.carry_request(now, endpoint, key, request, way, mark);
        }
        let is_branch =
            self.state().transactions.get(key).is_some_and(|of| matches!(of.role, TransactionRole::Branch(_)));
        if is_branch && !request.headers().contains(HeaderName::Route) {
            // A contact that is a user of ours at our address: it comes back over the wire, where a proxy's mark and
            // Max-Forwards tell a spiral from a loop (RFC 5393).
            return self.send_out(now, endpoint, key, request, way, mark);
        }
        if request.headers().contains(HeaderName::Route) {
            // The application has pushed a route to this very container: it begins anew here.
            let popped = match self.pop_own_routes(&mut request, None) {
                Ok(popped) => popped,
                Err(refusal) => return self.answer_peer(Peer::Inner(key), *refusal, true),
            };
            let incoming = Incoming {
                peer: Peer::Inner(key),
                request,
                flow: None,
                initial_flow: None,
                initial_popped: popped.route.clone(),
                popped,
            };
            if let Outcome::Elsewhere { .. } = self.receive_initial(incoming, &Question::new()) {
                tracing::debug!("an inner request stays on its shard");
            }
            return;
        }
        let response = Response::to(&request, StatusCode::NOT_FOUND);
        self.answer_peer(Peer::Inner(key), response, true);
    }

    /// The way that an initial request takes, and what tells loops of it.
    fn way_of_initial(&self, key: TransactionKey, request: &mut Request) -> (SendTo, Option<u64>) {
        let (role, session) = match self.state().transactions.get(key) {
            Some(of) => (of.role, of.session),
            None => return (SendTo::NextHop, None),
        };
        if let TransactionRole::Branch(_) = role {
            return self.way_out(key, request);
        }
        let flow = self.state().sessions.get(session).and_then(|record| record.ua.as_ref()?.flow);
        (flow.map_or(SendTo::NextHop, SendTo::Flow), None)
    }

    /// What the router is asked about a request of an application's.
    fn question_about(
        &self,
        key: TransactionKey,
    ) -> Option<(Question, Option<SipServletRequest>, servlet::spi::AppId)> {
        let state = self.state();
        let of = state.transactions.get(key)?;
        let record = state.sessions.get(of.session);
        if let TransactionRole::Branch(_) = of.role {
            let routed = record.and_then(|record| record.routed.clone());
            let question = Question::going_on(RoutingDirective::Continue, routed.as_deref());
            let original = record.and_then(|record| state.transactions.get(record.initial?)?.request.clone());
            return Some((question, original, of.app));
        }
        let request = of.request.clone();
        let more = request.as_ref().map(|request| request.facts().more.borrow());
        let directive = more.as_ref().and_then(|more| more.directive).unwrap_or_default();
        let routed = more.as_ref().and_then(|more| more.routing.clone()?.downcast::<Routed>().ok());
        drop(more);
        let question = Question::going_on(directive, routed.as_deref());
        Some((question, request, of.app))
    }

    /// Sends a request; to ourselves when that is where it goes.
    fn carry_request(
        &self,
        now: Instant,
        endpoint: &mut Endpoint,
        key: TransactionKey,
        request: Request,
        to: SendTo,
        mark: Option<u64>,
    ) {
        if matches!(to, SendTo::NextHop | SendTo::RequestUri) && endpoint.next_hop_is_own(&request) {
            return self.carry_inside(now, endpoint, key, request);
        }
        self.send_out(now, endpoint, key, request, to, mark);
    }

    /// Sends a request, even where it comes back from the network.
    fn send_out(
        &self,
        now: Instant,
        endpoint: &mut Endpoint,
        key: TransactionKey,
        request: Request,
        to: SendTo,
        mark: Option<u64>,
    ) {
        match endpoint.send(now, request, to, mark) {
            Ok(client) => {
                let mut state = self.state_mut();
                if let Some(transaction) = state.transactions.get_mut(key) {
                    transaction.peer = Peer::Client(client);
                }
                state.by_client.insert(client, key);
            }
            Err(misuse) => {
                tracing::debug!(%misuse, "a request can't leave");
                self.fail(key, StatusCode::SERVICE_UNAVAILABLE);
            }
        }
    }

    /// A request of a dialog that stays in this container.
    fn carry_inside(&self, now: Instant, endpoint: &mut Endpoint, key: TransactionKey, mut request: Request) {
        let popped = match self.pop_own_routes(&mut request, None) {
            Ok(popped) => popped,
            Err(refusal) => return self.answer_peer(Peer::Inner(key), *refusal, true),
        };
        let begins = !has_to_tag(request.headers());
        let incoming = Incoming {
            peer: Peer::Inner(key),
            request,
            flow: None,
            initial_flow: None,
            initial_popped: popped.route.clone(),
            popped,
        };
        if begins {
            let _ = self.receive_initial(incoming, &Question::new());
        } else {
            self.receive_subsequent(now, endpoint, incoming);
        }
    }

    /// There will be no response to a request.
    fn fail(&self, key: TransactionKey, status: StatusCode) {
        let app_session = {
            let mut state = self.state_mut();
            let Some(transaction) = state.transactions.get_mut(key) else { return };
            transaction.peer = Peer::Gone;
            transaction.app_session
        };
        self.submit(app_session, Job::Failed { transaction: key, status });
        self.submit(app_session, Job::ClientEnded(key));
    }

    fn carry_cancel(&self, now: Instant, endpoint: &mut Endpoint, key: TransactionKey, reason: Option<&str>) {
        let Some(peer) = self.state().transactions.get(key).map(|of| of.peer) else { return };
        match peer {
            Peer::Client(client) => drop(endpoint.cancel(now, client, reason)),
            Peer::Inner(server) => {
                let found = {
                    let state = self.state();
                    state.transactions.get(server).map(|of| (of.app_session, of.request.clone()))
                };
                let Some((app_session, Some(request))) = found else { return };
                let cancel = cancel_of(&request.sip_request(), reason);
                self.submit(app_session, Job::Cancel { transaction: server, cancel: Box::new(cancel) });
            }
            Peer::Server(_) | Peer::Leaving | Peer::Gone => {}
        }
    }

    /// Whether a URI names this container: one of its listeners, or one of its domains.
    pub(crate) fn is_own_uri(&self, uri: &sip_message::SipUri<'_>) -> bool {
        let state = self.state();
        crate::own_route::Own::new(&self.settings, &state.listeners).covers(uri)
    }
}

/// The CANCEL of an INVITE (RFC 3261 §9.1).
pub(crate) fn cancel_of(invite: &Request, reason: Option<&str>) -> Request {
    let mut cancel = Request::new(Method::Cancel, &invite.uri().to_buf());
    let headers = cancel.headers_mut();
    for name in [HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::Route] {
        headers.copy_from(invite.headers(), name);
    }
    let cseq = crate::ua_client::cseq_of(invite.headers()).unwrap_or_default();
    let _ = headers.set(HeaderName::Cseq, format_args!("{cseq} CANCEL"));
    let _ = headers.set(HeaderName::MaxForwards, 70);
    if let Some(reason) = reason {
        let _ = headers.set(HeaderName::Reason, reason);
    }
    cancel
}
