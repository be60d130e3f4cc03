//! A branch: its request, and how it leaves (RFC 3261 §16.6).
//!
//! Steps 8 to 10 (Via, Content-Length, sending) are the endpoint's.

use std::rc::Rc;

use servlet::spi::{AppSessionKey, BranchKey, Direction, Facts, Interface, ProxyKey, SessionKey, TransactionKey};
use servlet::{Error, IllegalState, SipServletRequest};
use sip_endpoint::{Listener, SendTo};
use sip_message::{Flow, HeaderName, Method, NameAddr, Request, SipUri, StatusCode, Transport, UriBuf};

use super::best::Candidate;
use super::record_route::{self, Recorder, may_begin_dialog};
use super::{Branch, BranchState, Plan, Sent, Stage};
use crate::core::Core;
use crate::session::SessionRole;
use crate::state::{Due, State};
use crate::transaction::TransactionRole;

impl State {
    /// A branch that inherits what its proxy operation says now.
    pub(super) fn new_branch(&mut self, key: ProxyKey, target: UriBuf, parent: Option<BranchKey>) -> Option<BranchKey> {
        let proxy = self.proxies.get(key)?;
        let open = proxy.open.as_ref()?;
        let mut branch = Branch::new(key, Some(record_route::as_request_uri(target)), proxy.timeout);
        branch.recurse = open.recurse;
        branch.record_route = open.record_route;
        branch.add_to_path = open.add_to_path;
        branch.plan = Some(Box::new(open.plan.clone()));
        if let Some(parent) = parent.and_then(|parent| self.branches.get(parent)) {
            branch.recurse = parent.recurse;
            branch.record_route = parent.record_route;
            branch.add_to_path = parent.add_to_path;
            branch.timeout = parent.timeout;
            // The flow led to the one who has redirected.
            if let Some(plan) = &mut branch.plan {
                plan.flow = None;
            }
        }
        branch.parent = parent;
        let branch = self.branches.insert(Box::new(branch));
        self.proxies.get_mut(key)?.branches.push(branch);
        Some(branch)
    }
}

/// What starting a branch needs to know.
struct Start {
    session: SessionKey,
    app_session: AppSessionKey,
    method: Method,
    plan: Plan,
    record_route: bool,
    add_to_path: bool,
    max_forwards: u8,
    supervised: bool,
    from: Option<Flow>,
}

impl Core {
    /// The request of a branch that was not started, to be changed; of another, as it has left.
    pub(super) fn branch_handle(&self, key: BranchKey) -> Result<SipServletRequest, Error> {
        let ended = || Error::from(IllegalState::TransactionEnded);
        if let Sent::Handle(handle) = &self.state().branches.get(key).ok_or_else(ended)?.request {
            return Ok(handle.clone());
        }
        let sent = {
            let mut state = self.state_mut();
            let branch = state.branches.get_mut(key).ok_or_else(ended)?;
            match std::mem::replace(&mut branch.request, Sent::Nothing) {
                Sent::Request(request) => Some(request),
                Sent::Nothing | Sent::Handle(_) => None,
            }
        };
        let request = match sent {
            Some(request) => *request,
            None => self.copy_for_branch(key).ok_or_else(ended)?,
        };
        let handle = self.attach_branch_request(key, request).ok_or_else(ended)?;
        if let Some(branch) = self.state_mut().branches.get_mut(key) {
            branch.request = Sent::Handle(handle.clone());
        }
        Ok(handle)
    }

    fn attach_branch_request(&self, key: BranchKey, request: Request) -> Option<SipServletRequest> {
        let (facts, started) = {
            let state = self.state();
            let branch = state.branches.get(key)?;
            let proxy = state.proxies.get(branch.proxy)?;
            let facts = Facts::new(proxy.app, Direction::Created, None);
            facts.initial.set(proxy.stage != Stage::Relaying);
            facts.session.set(Some(proxy.session));
            facts.app_session.set(Some(proxy.app_session));
            facts.transaction.set(branch.client);
            facts.branch.set(Some(key));
            (facts, branch.is_started())
        };
        facts.committed.set(started);
        Some(SipServletRequest::attach(self.host(), request, facts))
    }

    /// Step 1 and 2: a copy of the original with the branch's target.
    fn copy_for_branch(&self, key: BranchKey) -> Option<Request> {
        let (original, target) = {
            let state = self.state();
            let branch = state.branches.get(key)?;
            let server = state.proxies.get(branch.proxy)?.server;
            (state.transactions.get(server)?.request.clone()?, branch.target.clone())
        };
        let mut request = original.sip_request().clone();
        // Nothing has to be written where the target is what the request says already.
        if let Some(target) = target.filter(|target| target.as_str() != request.uri_text()) {
            request.set_uri(&target);
        }
        Some(request)
    }

    /// Sends a branch on its way, with this share of the breadth. Whether it could begin.
    pub(super) fn start_branch(&self, key: BranchKey, breadth: u32) -> bool {
        let handle = match &self.state().branches.get(key).map(|branch| &branch.request) {
            Some(Sent::Handle(handle)) => Some(handle.clone()),
            _ => None,
        };
        let request = match &handle {
            Some(handle) => Some(handle.sip_request().clone()),
            None => self.copy_for_branch(key),
        };
        let (Some(mut request), Some(start)) = (request, self.start_of(key)) else { return false };
        self.prepare(&start, &mut request, breadth);
        let client = self.open_client(start.session, TransactionRole::Branch(key), &request, true);
        let Some(client) = client else { return false };
        self.note_start(key, client, &start, breadth, &request);
        if let Some(handle) = handle {
            *handle.sip_request_mut() = request.clone();
            handle.facts().transaction.set(Some(client));
            handle.facts().committed.set(true);
        }
        self.route(client, request);
        true
    }

    fn start_of(&self, key: BranchKey) -> Option<Start> {
        let state = self.state();
        let branch = state.branches.get(key)?;
        let proxy = state.proxies.get(branch.proxy)?;
        let server = state.transactions.get(proxy.server)?;
        Some(Start {
            session: proxy.session,
            app_session: proxy.app_session,
            method: proxy.method.clone(),
            plan: branch.plan.as_deref().cloned().unwrap_or_default(),
            record_route: branch.record_route,
            add_to_path: branch.add_to_path,
            max_forwards: proxy.open.as_ref()?.hops.max_forwards,
            supervised: proxy.supervised,
            from: server.flow(),
        })
    }

    /// Steps 3 to 5.
    fn prepare(&self, start: &Start, request: &mut Request, breadth: u32) {
        write(request, HeaderName::MaxForwards, start.max_forwards);
        write(request, HeaderName::MaxBreadth, breadth);
        let records = start.record_route && may_begin_dialog(&start.method);
        let adds_path = start.add_to_path && start.method == Method::Register;
        if !records && !adds_path {
            return;
        }
        let parameters = if records { &start.plan.record_route } else { &start.plan.path };
        self.with_recorder(start.session, start.from.as_ref(), &start.plan, parameters.as_deref(), |recorder| {
            if records { recorder.record(request) } else { recorder.add_path(request) }
        });
    }

    pub(super) fn with_recorder(
        &self,
        session: SessionKey,
        from: Option<&Flow>,
        plan: &Plan,
        parameters: Option<&str>,
        record: impl FnOnce(Recorder<'_>),
    ) {
        let (listeners, facts) = {
            let state = self.state();
            let Some(session) = state.sessions.get(session) else { return };
            (Rc::clone(&state.listeners), Rc::clone(&session.facts))
        };
        record(Recorder {
            secret: &self.settings.secret,
            listeners: &listeners,
            from,
            onward: plan.flow.as_ref(),
            interface: plan.interface,
            session: &facts,
            parameters: parameters.unwrap_or_default(),
        });
    }

    fn note_start(&self, key: BranchKey, client: TransactionKey, start: &Start, breadth: u32, request: &Request) {
        let mut state = self.state_mut();
        let now = state.now;
        let Some(branch) = state.branches.get_mut(key) else { return };
        branch.client = Some(client);
        branch.state = BranchState::Calling;
        branch.breadth = breadth;
        branch.over_flow = start.plan.flow.is_some();
        branch.over_chosen_flow = branch.over_flow && start.plan.flow_is_chosen;
        match branch.request {
            Sent::Handle(_) => {}
            // The application is shown the request along with its responses.
            _ if start.supervised => branch.request = Sent::Request(Box::new(request.clone())),
            _ => {}
        }
        // What recursion compares with is where the request has really gone.
        if branch.target.as_ref().is_none_or(|target| target.as_str() != request.uri_text()) {
            branch.target = Some(request.uri().to_buf());
        }
        let (proxy, timeout) = (branch.proxy, branch.timeout);
        let Some(proxy) = state.proxies.get_mut(proxy) else { return };
        proxy.live += 1;
        // In a parallel search the whole has a timer, and a branch one of its own only when it may take less.
        let wants_timer = !proxy.parallel || timeout < proxy.timeout;
        let is_invite = proxy.is_invite();
        if wants_timer && (is_invite || timeout < state.timers_of_sip.timeout()) {
            let armed = state.arm(Due::Branch(key), timeout);
            if let Some(branch) = state.branches.get_mut(key) {
                branch.timer = armed;
                branch.deadline = Some(now + timeout);
            }
        }
        if let Some(session) = state.sessions.get_mut(start.session) {
            let records = start.record_route && may_begin_dialog(&start.method);
            let recorded = matches!(session.role, SessionRole::Proxy { record_routing: true });
            session.role = SessionRole::Proxy { record_routing: records || recorded };
        }
        state.touch(start.app_session);
    }

    /// Where a request goes that leaves the container (steps 6 and 7), and the mark for its branch parameter. A strict
    /// router gets its own URI in the request line.
    pub(crate) fn way_out(&self, client: TransactionKey, request: &mut Request) -> (SendTo, Option<u64>) {
        let is_strict = meet_strict_router(request);
        let state = self.state();
        let (mut plan, mut mark) = (None, None);
        if let Some(TransactionRole::Branch(key)) = state.transactions.get(client).map(|transaction| transaction.role)
            && let Some(branch) = state.branches.get(key)
        {
            plan = branch.plan.as_deref();
            let open = state.proxies.get(branch.proxy).and_then(|proxy| proxy.open.as_ref());
            mark = open.map(|open| open.hops.mark);
        }
        if let Some(flow) = plan.and_then(|plan| plan.flow) {
            return (SendTo::Flow(flow), mark);
        }
        if let Some(flow) = plan.and_then(|plan| from_interface(&state.listeners, plan.interface?, request, is_strict))
        {
            return (SendTo::Flow(flow), mark);
        }
        (if is_strict { SendTo::RequestUri } else { SendTo::NextHop }, mark)
    }

    /// Refuses what can't be sent to: a target that no SIP server is at, when no Route leads on.
    pub(super) fn check_target(&self, target: &UriBuf, has_route: bool) -> Result<(), Error> {
        let uri = target.as_uri();
        if uri.sip().is_none() && !has_route {
            return Err(servlet::IllegalArgument::Scheme(uri.scheme().into()).into());
        }
        Ok(())
    }

    /// A branch that could not begin counts as failed.
    pub(super) fn branch_not_begun(&self, key: BranchKey) {
        let loser = {
            let mut state = self.state_mut();
            state.end_branch(key);
            let Some((proxy, _)) = state.proxy_of_branch(key) else { return };
            state.remember(proxy, Candidate::CountsAs(StatusCode::REQUEST_TIMEOUT))
        };
        drop(loser);
    }
}

/// RFC 3261 §16.6 step 6: a next hop that is a strict router wants its own URI in the request line and the target's
/// behind the Route. Whether it was one.
pub(super) fn meet_strict_router(request: &mut Request) -> bool {
    let route = request.headers().first(HeaderName::Route).and_then(|route| NameAddr::parse(route).ok());
    let strict = route.and_then(|route| route.uri().sip()).filter(|uri| !uri.lr());
    let Some(next) = strict.map(UriBuf::from) else { return false };
    let last = format!("<{}>", request.uri_text());
    request.headers_mut().push(HeaderName::Route, last).expect("a URI that was parsed has no line break");
    request.headers_mut().pop_first(HeaderName::Route);
    request.set_uri(&record_route::as_request_uri(next));
    true
}

/// The way from an interface that the application has chosen, where the endpoint would take another one: over UDP, to
/// an address. Where the next hop has to be looked up, and on streams, the endpoint's own choice stands.
fn from_interface(
    listeners: &[Listener],
    interface: Interface,
    request: &Request,
    to_request_uri: bool,
) -> Option<Flow> {
    let route = request.headers().first(HeaderName::Route).filter(|_| !to_request_uri).map(NameAddr::parse);
    let next: SipUri<'_> = match &route {
        Some(route) => route.as_ref().ok()?.uri().sip()?,
        None => request.uri().sip()?,
    };
    let listener = record_route::outgoing_listener(listeners, Some(interface), &next)?;
    if listener.transport != Transport::Udp || !record_route::is_at(listener, interface) {
        return None;
    }
    let ip = next.maddr().unwrap_or(next.host()).ip()?;
    let remote = (ip, next.port().unwrap_or(listener.transport.default_port())).into();
    Some(Flow { transport: listener.transport, listener: listener.id, local: listener.local, remote, connection: None })
}

pub(super) fn write(request: &mut Request, name: HeaderName, number: impl std::fmt::Display) {
    request.headers_mut().set(name, number).expect("a number has no line break");
}
