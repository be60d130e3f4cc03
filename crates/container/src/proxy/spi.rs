//! What `Proxy` and `ProxyBranch` can be asked and told.

use std::collections::VecDeque;

use servlet::spi::{BranchKey, Interface, ProxyKey, ProxyOptions, ProxyPart, TransactionKey};
use servlet::{
    CancelReason, Error, IllegalArgument, IllegalState, Proxy, ProxyBranch, SipFlow, SipServletRequest,
    SipServletResponse, SipUri, Uri,
};
use sip_endpoint::Listener;
use sip_message::{HeaderName, Method, StatusCode};
use smallvec::SmallVec;

use super::hops::Hops;
use super::record_route::{changed_parameters, is_at, shown_uri};
use super::{Branch, Open, Plan, Proxying, Stage, recursion};
use crate::core::Core;
use crate::state::{Armed, State};
use crate::transaction::{Transaction, TransactionRole};

impl servlet::spi::Proxying for Core {
    fn proxy_of(&self, request: &SipServletRequest, create: bool) -> Result<Option<Proxy>, Error> {
        let handle = |key| Some(Proxy::new(self.host(), key));
        if let Some(branch) = request.facts().branch.get() {
            return Ok(self.state().branches.get(branch).and_then(|branch| handle(branch.proxy)));
        }
        let Some(server) = request.facts().transaction.get() else {
            return if create { Err(IllegalState::NotOurs.into()) } else { Ok(None) };
        };
        let initial = {
            let state = self.state();
            let transaction = state.transactions.get(server).ok_or(IllegalState::TransactionEnded)?;
            if let TransactionRole::Proxy(key) = transaction.role
                && state.proxies.get(key).is_some()
            {
                return Ok(handle(key));
            }
            if !create {
                return Ok(None);
            }
            may_be_proxied(transaction, request)?;
            if transaction.initial {
                state.app_sessions.get(transaction.app_session).ok_or(IllegalState::InvalidApplicationSession)?;
            }
            transaction.initial
        };
        if !initial {
            return Ok(self.state_mut().relay_of(server).and_then(handle));
        }
        let hops = Hops::of(&self.settings.secret, self.settings.max_breadth, &request.sip_request(), request.facts());
        match hops {
            Ok(hops) => Ok(self.open_proxy(server, request, hops).and_then(handle)),
            Err(status) => {
                self.refuse_to_proxy(server, status);
                Err(match status {
                    StatusCode::TOO_MANY_HOPS => Error::TooManyHops,
                    _ => IllegalState::FinalResponseSent.into(),
                })
            }
        }
    }

    fn proxy_original_request(&self, key: ProxyKey) -> Result<SipServletRequest, Error> {
        let state = self.state();
        let proxy = state.proxies.get(key).ok_or(IllegalState::ProxyCompleted)?;
        let server = state.transactions.get(proxy.server).ok_or(IllegalState::TransactionEnded)?;
        Ok(server.request.clone().ok_or(IllegalState::ProxyCompleted)?)
    }

    fn create_proxy_branches(&self, key: ProxyKey, targets: &[Uri]) -> Result<Vec<ProxyBranch>, Error> {
        let original = self.proxy_original_request(key)?;
        {
            let state = self.state();
            let proxy = state.proxies.get(key).ok_or(IllegalState::ProxyCompleted)?;
            if proxy.stage == Stage::Relaying {
                return Err(IllegalState::NotInitial.into());
            }
            if proxy.closed {
                return Err(IllegalState::ProxyCompleted.into());
            }
        }
        let has_route = original.sip_request().headers().contains(HeaderName::Route);
        for target in targets {
            self.check_target(target.as_ref(), has_route)?;
        }
        let mut state = self.state_mut();
        let made = targets.iter().filter_map(|target| state.new_branch(key, target.to_uri_buf(), None));
        let made: Vec<BranchKey> = made.collect();
        drop(state);
        Ok(made.into_iter().map(|branch| ProxyBranch::new(self.host(), branch)).collect())
    }

    fn start_proxy(&self, key: ProxyKey) -> Result<(), Error> {
        self.begin_search(key)
    }

    fn proxy_branches(&self, key: ProxyKey) -> Vec<ProxyBranch> {
        self.branches_where(key, |branch| branch.parent.is_none())
    }

    fn proxy_options(&self, part: ProxyPart) -> Result<ProxyOptions, Error> {
        self.state().options_of(part)
    }

    fn set_proxy_options(&self, part: ProxyPart, options: ProxyOptions) -> Result<(), Error> {
        let mut state = self.state_mut();
        let before = state.options_of(part)?;
        if before == options {
            return Ok(());
        }
        state.check_options(part, &before, &options)?;
        state.take_options(part, &before, &options);
        Ok(())
    }

    fn cancel_proxy(&self, part: ProxyPart, reasons: &[CancelReason]) -> Result<(), Error> {
        self.call_off(part, reasons)
    }

    fn record_route_uri(&self, part: ProxyPart) -> Result<SipUri, Error> {
        self.uri_of(part, Address::RecordRoute)
    }

    fn set_record_route_uri(&self, part: ProxyPart, uri: &SipUri) -> Result<(), Error> {
        self.set_uri_of(part, Address::RecordRoute, uri)
    }

    fn path_uri(&self, part: ProxyPart) -> Result<SipUri, Error> {
        self.uri_of(part, Address::Path)
    }

    fn set_path_uri(&self, part: ProxyPart, uri: &SipUri) -> Result<(), Error> {
        self.set_uri_of(part, Address::Path, uri)
    }

    fn set_proxy_outbound_interface(&self, part: ProxyPart, interface: Interface) -> Result<(), Error> {
        let mut state = self.state_mut();
        if !state.listeners.iter().any(|listener| is_at(listener, interface)) {
            return Err(IllegalArgument::NotAnInterface.into());
        }
        state.plan_of(part)?.interface = Some(interface);
        Ok(())
    }

    fn set_proxy_flow(&self, part: ProxyPart, flow: Option<SipFlow>) -> Result<(), Error> {
        let mut state = self.state_mut();
        let plan = state.plan_of(part)?;
        // Taking back what was not chosen takes nothing back: the Route's flow stays.
        if flow.is_some() || plan.flow_is_chosen {
            plan.flow = flow.map(|flow| *flow.as_flow());
            plan.flow_is_chosen = flow.is_some();
        }
        Ok(())
    }

    fn branch_request(&self, key: BranchKey) -> Result<SipServletRequest, Error> {
        self.branch_handle(key)
    }

    fn branch_response(&self, key: BranchKey) -> Option<SipServletResponse> {
        self.state().branches.get(key)?.response.clone()
    }

    fn branch_is_started(&self, key: BranchKey) -> bool {
        self.state().branches.get(key).is_some_and(|branch| branch.is_started())
    }

    fn recursed_branches(&self, key: BranchKey) -> Vec<ProxyBranch> {
        let proxy = self.state().branches.get(key).map(|branch| branch.proxy);
        proxy.map(|proxy| self.branches_where(proxy, |branch| branch.parent == Some(key))).unwrap_or_default()
    }

    fn proxy_of_branch(&self, key: BranchKey) -> Option<Proxy> {
        let proxy = self.state().branches.get(key)?.proxy;
        Some(Proxy::new(self.host(), proxy))
    }
}

/// Which of our URIs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Address {
    RecordRoute,
    Path,
}

impl Core {
    fn open_proxy(&self, server: TransactionKey, request: &SipServletRequest, hops: Hops) -> Option<ProxyKey> {
        let secure = recursion::is_secure(request.sip_request().uri());
        let mut state = self.state_mut();
        let transaction = state.transactions.get(server)?;
        let timeout = self.app(transaction.app).proxy_timeout;
        let plan = Plan { flow: transaction.popped.as_ref().and_then(|popped| popped.flow), ..Plan::default() };
        let open = Open {
            plan,
            recurse: true,
            record_route: false,
            add_to_path: false,
            hops,
            secure,
            waiting: VecDeque::new(),
            best: None,
            replacement: None,
        };
        let proxy = Proxying {
            server,
            session: transaction.session,
            app: transaction.app,
            app_session: transaction.app_session,
            method: transaction.method.clone(),
            stage: Stage::New,
            parallel: true,
            supervised: true,
            no_cancel: false,
            closed: false,
            cancelled: false,
            succeeded: false,
            showing_best: false,
            live: 0,
            timeout,
            deadline: None,
            timer: Armed::No,
            branches: SmallVec::new(),
            open: Some(Box::new(open)),
        };
        let key = state.proxies.insert(Box::new(proxy));
        state.transactions.get_mut(server)?.role = TransactionRole::Proxy(key);
        Some(key)
    }

    fn refuse_to_proxy(&self, server: TransactionKey, status: StatusCode) {
        let session = self.state().transactions.get(server).map(|transaction| transaction.session);
        if let Some(response) = self.new_response(server, status, None)
            && let Some(session) = session
        {
            self.send_as_uas(server, session, response);
        }
    }

    fn branches_where(&self, key: ProxyKey, wanted: impl Fn(&Branch) -> bool) -> Vec<ProxyBranch> {
        let state = self.state();
        let Some(proxy) = state.proxies.get(key).filter(|proxy| proxy.stage != Stage::Relaying) else {
            return Vec::new();
        };
        let keys = state.branches_of(proxy).filter(|(_, branch)| wanted(branch)).map(|(key, _)| key);
        keys.map(|branch| ProxyBranch::new(self.host(), branch)).collect()
    }

    fn uri_of(&self, part: ProxyPart, which: Address) -> Result<SipUri, Error> {
        let mut state = self.state_mut();
        state.check_enabled(part, which)?;
        let listener = state.listener_of(part);
        let plan = state.plan_of(part)?;
        let parameters = match which {
            Address::RecordRoute => plan.record_route.as_deref(),
            Address::Path => plan.path.as_deref(),
        };
        let uri = listener.and_then(|listener| shown_uri(&listener, parameters.unwrap_or_default()));
        uri.ok_or_else(|| Error::Transport("there is no listener".into()))
    }

    fn set_uri_of(&self, part: ProxyPart, which: Address, uri: &SipUri) -> Result<(), Error> {
        let before = self.uri_of(part, which)?;
        let parameters = changed_parameters(&before, uri)?;
        let mut state = self.state_mut();
        let plan = state.plan_of(part)?;
        match which {
            Address::RecordRoute => plan.record_route = parameters,
            Address::Path => plan.path = parameters,
        }
        Ok(())
    }
}

impl State {
    fn check_enabled(&self, part: ProxyPart, which: Address) -> Result<(), Error> {
        let options = self.options_of(part)?;
        match which {
            Address::RecordRoute if !options.record_route => Err(IllegalState::RecordRouteDisabled.into()),
            Address::Path if !options.add_to_path => Err(IllegalState::AddToPathDisabled.into()),
            _ => Ok(()),
        }
    }

    /// How a branch leaves, or the branches that are made from now on.
    fn plan_of(&mut self, part: ProxyPart) -> Result<&mut Plan, Error> {
        match part {
            ProxyPart::Proxy(key) => {
                let proxy = self.proxies.get_mut(key).ok_or(IllegalState::ProxyCompleted)?;
                if proxy.stage == Stage::Relaying {
                    return Err(IllegalState::NotInitial.into());
                }
                Ok(&mut proxy.open.as_mut().ok_or(IllegalState::ProxyCompleted)?.plan)
            }
            ProxyPart::Branch(key) => {
                let branch = self.branches.get_mut(key).ok_or(IllegalState::ProxyCompleted)?;
                if branch.is_started() {
                    return Err(IllegalState::ProxyStarted.into());
                }
                Ok(branch.plan.as_mut().ok_or(IllegalState::ProxyCompleted)?)
            }
        }
    }

    /// The listener whose address our URIs show.
    fn listener_of(&mut self, part: ProxyPart) -> Option<Listener> {
        let interface = self.plan_of(part).ok()?.interface;
        let key = match part {
            ProxyPart::Proxy(key) => key,
            ProxyPart::Branch(key) => self.branches.get(key)?.proxy,
        };
        let server = self.proxies.get(key)?.server;
        let flow = self.transactions.get(server).and_then(|server| server.flow());
        let chosen = self.listeners.iter().find(|listener| interface.is_some_and(|there| is_at(listener, there)));
        let of_flow = self.listeners.iter().find(|listener| flow.is_some_and(|flow| flow.listener == listener.id));
        chosen.or(of_flow).or_else(|| self.listeners.first()).cloned()
    }
}

/// Whether an application may be the proxy of a request.
fn may_be_proxied(transaction: &Transaction, request: &SipServletRequest) -> Result<(), Error> {
    if !transaction.is_server() {
        return Err(IllegalState::NotOurs.into());
    }
    if matches!(request.method(), Method::Ack | Method::Cancel) {
        return Err(IllegalState::WrongMethod.into());
    }
    if transaction.is_b2bua {
        return Err(IllegalState::AlreadyB2bua.into());
    }
    if !transaction.is_open() {
        return Err(IllegalState::FinalResponseSent.into());
    }
    Ok(())
}
