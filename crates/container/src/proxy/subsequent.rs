//! Requests of a dialog that passes through: they go where their Route leads, and their responses straight back. An
//! operation with one branch, of which nothing is kept but for the wait.
//!
//! ```text
//!   BYE, re-INVITE, UPDATE … ──► shown ──► Max-Forwards, Record-Route ──► along the Route, over the flow that ours named
//!                       200 … ◄── shown ◄──────────────────────────────────────────────┘
//! ```

use servlet::spi::{ProxyKey, SessionKey, TransactionKey};
use servlet::{Address, Uri};
use sip_endpoint::SendTo;
use sip_message::{Flow, HeaderName, Method, Request, Response, StatusClass, StatusCode};
use smallvec::SmallVec;

use servlet::spi::BranchKey;

use super::branch::{meet_strict_router, write};
use super::record_route::{application_parameters, may_begin_dialog};
use super::{Branch, BranchState, Plan, Proxying, Sent, Stage, Then, hops};
use crate::core::Core;
use crate::jobs::{Popped, Work};
use crate::order::Order;
use crate::session::SessionRole;
use crate::state::{Armed, Due, State};
use crate::transaction::TransactionRole;

impl Core {
    /// A request of a dialog goes on.
    pub(crate) fn proxy_subsequent(&self, server: TransactionKey) {
        let Some((handle, session, popped)) = ({
            let state = self.state();
            state.transactions.get(server).and_then(|transaction| {
                Some((transaction.request.clone()?, transaction.session, transaction.popped.as_deref().cloned()))
            })
        }) else {
            return;
        };
        let mut request = handle.sip_request().clone();
        let Some(hops) = hops::next_max_forwards(request.headers()) else {
            if let Some(response) = self.new_response(server, StatusCode::TOO_MANY_HOPS, None) {
                self.respond(server, response);
            }
            return;
        };
        let method = request.method().clone();
        let Some(key) = self.state_mut().relay_of(server) else { return };
        write(&mut request, HeaderName::MaxForwards, hops);
        let flow = popped.as_ref().and_then(|popped| popped.flow);
        self.record_again(session, server, &mut request, flow, popped.as_ref());
        let branch = self.state_mut().relay_branch(key);
        let Some(client) = self.open_client(session, TransactionRole::Branch(branch), &request, false) else {
            let gone = self.state_mut().branches.remove(branch);
            drop(gone);
            return;
        };
        {
            let mut state = self.state_mut();
            if let Some(branch) = state.branches.get_mut(branch) {
                branch.client = Some(client);
                branch.over_flow = flow.is_some();
                branch.request = Sent::Handle(handle);
            }
            if let Some(proxy) = state.proxies.get_mut(key) {
                proxy.live += 1;
                proxy.branches.push(branch);
            }
            match method {
                Method::Invite => state.arm_relay(branch),
                // What goes on in an early dialog keeps the search alive that has made it.
                Method::Prack | Method::Update => state.restart_initial_timers(session),
                _ => {}
            }
        }
        let to = next_hop(&mut request, flow);
        self.send(client, request, to, None);
    }

    /// The ACK of a 2xx goes on.
    pub(crate) fn proxy_ack(&self, session: SessionKey, mut request: Request, popped: &Popped) {
        // An ACK is never answered, so that one without a hop left is dropped.
        let Some(hops) = hops::next_max_forwards(request.headers()) else { return };
        write(&mut request, HeaderName::MaxForwards, hops);
        let to = next_hop(&mut request, popped.flow);
        let app = {
            let mut state = self.state_mut();
            state.order(Order::Ack { request: Box::new(request), to });
            state.sessions.get(session).map(|session| session.app)
        };
        if let Some(app) = app {
            self.app(app).counters.sent(&Method::Ack);
        }
    }

    /// A response to a request of a dialog.
    pub(super) fn relayed_response(
        &self,
        key: BranchKey,
        proxy: ProxyKey,
        response: Response,
        flow: Option<Flow>,
    ) -> Option<Work> {
        let status = response.status();
        let (session, server, supervised, is_invite) = {
            let state = self.state();
            let record = state.proxies.get(proxy)?;
            (record.session, record.server, record.supervised, record.is_invite())
        };
        if status.is_provisional() {
            if status == StatusCode::TRYING || !is_invite {
                return None;
            }
            self.state_mut().restart_branch_timer(key);
        } else {
            self.state_mut().end_branch(key);
            if status.class() == StatusClass::Success {
                let mut state = self.state_mut();
                let tag = super::response::tag_of(response.headers());
                let branch = state.branches.get_mut(key)?;
                branch.successes.push(tag);
            }
        }
        self.state_mut().session_received(proxy, status);
        if supervised && self.state().sessions.get(session).is_some() {
            let handle = self.attach_response(proxy, Some(key), response, flow)?;
            self.keep_response(key, handle.clone());
            let then = Then::Forward(key);
            let work = self.response_work(session, handle, crate::jobs::Then::Proxy(then));
            return work.or_else(|| self.proxy_after(then, false));
        }
        if status.is_provisional() {
            self.respond(server, response);
        } else {
            self.forward(key, response);
        }
        None
    }

    /// A request of a dialog that gets no response.
    pub(super) fn relay_failed(&self, key: BranchKey, proxy: ProxyKey, status: StatusCode) -> Option<Work> {
        let response = self.local_response(proxy, status)?;
        self.relayed_response(key, proxy, response, None)
    }

    /// A re-INVITE is recorded like its INVITE, for an end that has lost its state (RFC 3261 §16.6 step 4).
    fn record_again(
        &self,
        session: SessionKey,
        server: TransactionKey,
        request: &mut Request,
        flow: Option<Flow>,
        popped: Option<&Popped>,
    ) {
        let (records, from) = {
            let state = self.state();
            let role = state.sessions.get(session).map(|session| session.role);
            let records = role == Some(SessionRole::Proxy { record_routing: true });
            (records, state.transactions.get(server).and_then(|server| server.flow()))
        };
        if !records || !may_begin_dialog(request.method()) {
            return;
        }
        let route = popped.and_then(|popped| popped.route.as_ref()).and_then(Address::uri).and_then(Uri::as_sip);
        let parameters = route.map(|uri| application_parameters(&uri.as_message_uri()));
        let plan = Plan { flow, ..Plan::default() };
        self.with_recorder(session, from.as_ref(), &plan, parameters.as_deref(), |recorder| recorder.record(request));
    }
}

impl State {
    /// The operation of a request of a dialog; the application may have asked for it already.
    pub(super) fn relay_of(&mut self, server: TransactionKey) -> Option<ProxyKey> {
        let transaction = self.transactions.get_mut(server)?;
        if let TransactionRole::Proxy(key) = transaction.role {
            return self.proxies.get(key).map(|_| key);
        }
        let relay = Proxying {
            server,
            session: transaction.session,
            app: transaction.app,
            app_session: transaction.app_session,
            method: transaction.method.clone(),
            stage: Stage::Relaying,
            parallel: true,
            supervised: true,
            no_cancel: false,
            closed: false,
            cancelled: false,
            succeeded: false,
            showing_best: false,
            live: 0,
            timeout: super::TIMER_C,
            deadline: None,
            timer: Armed::No,
            branches: SmallVec::new(),
            open: None,
        };
        let key = self.proxies.insert(Box::new(relay));
        self.transactions.get_mut(server)?.role = TransactionRole::Proxy(key);
        Some(key)
    }

    fn relay_branch(&mut self, key: ProxyKey) -> BranchKey {
        let mut branch = Branch::new(key, None, super::TIMER_C);
        branch.state = BranchState::Calling;
        self.branches.insert(Box::new(branch))
    }

    /// Timer C of a re-INVITE.
    fn arm_relay(&mut self, key: BranchKey) {
        let now = self.now;
        let timer = self.arm(Due::Branch(key), super::TIMER_C);
        if let Some(branch) = self.branches.get_mut(key) {
            branch.deadline = Some(now + super::TIMER_C);
            branch.timer = timer;
        }
    }
}

/// The flow that our Route has named; else the next Route, or the Request-URI.
fn next_hop(request: &mut Request, flow: Option<Flow>) -> SendTo {
    match (flow, meet_strict_router(request)) {
        (Some(flow), _) => SendTo::Flow(flow),
        (None, true) => SendTo::RequestUri,
        (None, false) => SendTo::NextHop,
    }
}
