//! Requests that are forwarded by their Route, by nobody's application. Those that the router sends elsewhere before any
//! application (JSR 289 §15.4.1); and those of dialogs that have come through here, whose session is no more: only with a
//! Record-Route that we have written ourselves, and only when the container was told to; or all that lead elsewhere, when
//! it was told to relay for whoever asks.

use servlet::spi::{AppId, AppSessionKey, SessionKey, TransactionKey};
use servlet::{Address, SipServletRequest};
use sip_endpoint::SendTo;
use sip_message::header::{Cseq, MaxForwards};
use sip_message::{HeaderName, Method, NameAddr, Request, Response, StatusCode, Uri};

use crate::core::Core;
use crate::dispatch::Incoming;
use crate::jobs::Popped;
use crate::order::Order;
use crate::transaction::{Peer, Transaction, TransactionRole};

/// The key of no session.
const NOBODY: (AppId, AppSessionKey, SessionKey) =
    (AppId(0), AppSessionKey { slot: u32::MAX, generation: 0 }, SessionKey { slot: u32::MAX, generation: 0 });

impl Core {
    /// Whether a request of a dialog that nobody here knows goes on.
    pub(crate) fn may_relay(&self, request: &Request, popped: &Popped) -> bool {
        (self.settings.route_orphans && popped.trusted) || (self.settings.relay_strays && !self.leads_here(request))
    }

    /// Whether the next hop of a request is this server, which would relay it to itself until it has no hop left.
    fn leads_here(&self, request: &Request) -> bool {
        let route = request.headers().first(HeaderName::Route).and_then(|route| NameAddr::parse(route).ok());
        match route.map_or(request.uri(), |route| route.uri()) {
            Uri::Sip(uri) => self.is_own_uri(&uri),
            _ => true,
        }
    }

    /// Forwards a request from the wire by the routes of the router's.
    pub(crate) fn relay_by(&self, routes: &[Address], peer: Peer, handle: &SipServletRequest) {
        let mut request = handle.sip_request().clone();
        for route in routes.iter().rev() {
            // A route of the router's was parsed.
            let _ = request.headers_mut().push_front(HeaderName::Route, route);
        }
        let popped = Popped::default();
        let (flow, initial_flow, initial_popped) = (None, None, None);
        let server = self.relay(Incoming { peer, request, flow, initial_flow, initial_popped, popped });
        let mut state = self.state_mut();
        if let Some(server) = server.and_then(|server| state.transactions.get_mut(server)) {
            server.request = Some(handle.clone());
        }
    }

    /// Forwards a request by its Route; gives its server transaction.
    pub(crate) fn relay(&self, incoming: Incoming) -> Option<TransactionKey> {
        let Incoming { peer, mut request, popped, .. } = incoming;
        if !take_a_hop(&mut request) {
            self.answer_peer(peer, Response::to(&request, StatusCode::TOO_MANY_HOPS), true);
            return None;
        }
        let cseq = request.headers().get::<Cseq>()?.ok()?;
        let what = (request.method().clone(), cseq.sequence, false);
        let mut state = self.state_mut();
        let server = state.open_transaction(Transaction::new(peer, TransactionRole::Relay, NOBODY, what.clone()));
        let mut client = Transaction::new(Peer::Leaving, TransactionRole::Relay, NOBODY, what);
        client.linked = Some(server);
        let client = state.open_transaction(client);
        if let Some(server) = state.transactions.get_mut(server) {
            server.linked = Some(client);
        }
        let to = way(&popped);
        state.order(Order::Send { transaction: client, request: Box::new(request), to, mark: None });
        Some(server)
    }

    /// What was relayed is taken back.
    pub(crate) fn orphan_cancelled(&self, server: TransactionKey, cancel: &Request) {
        let mut state = self.state_mut();
        let Some(of) = state.transactions.get(server).filter(|of| of.role == TransactionRole::Relay) else { return };
        let Some(client) = of.linked else { return };
        let reason = cancel.headers().first(HeaderName::Reason).map(Box::from);
        state.order(Order::Cancel { transaction: client, reason });
    }

    /// Forwards the ACK of a 2xx by its Route.
    pub(crate) fn relay_ack(&self, mut request: Request, popped: &Popped) {
        if take_a_hop(&mut request) {
            self.state_mut().order(Order::Ack { request: Box::new(request), to: way(popped) });
        }
    }

    /// A response to what was relayed.
    pub(crate) fn orphan_response(&self, client: TransactionKey, mut response: Response) {
        if response.status() == StatusCode::TRYING {
            return;
        }
        response.headers_mut().pop_first(HeaderName::Via);
        let mut state = self.state_mut();
        let Some(server) = state.transactions.get(client).and_then(|of| of.linked) else { return };
        if response.status().is_final() {
            state.close_transaction(client, response.status());
            state.close_transaction(server, response.status());
        }
        state.order(Order::Respond { transaction: server, response: Box::new(response), once: false });
    }

    /// There will be no response to what was relayed.
    pub(crate) fn orphan_failed(&self, client: TransactionKey, status: StatusCode) {
        let mut state = self.state_mut();
        state.close_transaction(client, status);
        let Some(server) = state.transactions.get(client).and_then(|of| of.linked) else { return };
        let request = state.transactions.get(server).and_then(|of| of.request.clone());
        // Else the server transaction ends by itself, and its client knows (RFC 4320 §4.2).
        if let Some(request) = request
            && (status != StatusCode::REQUEST_TIMEOUT || request.method() == Method::Invite)
        {
            let response = Response::to(&request.sip_request(), status);
            state.close_transaction(server, status);
            state.order(Order::Respond { transaction: server, response: Box::new(response), once: false });
        }
    }
}

/// RFC 3261 §16.6 step 3. Whether there was a hop left.
fn take_a_hop(request: &mut Request) -> bool {
    let left = match request.headers().get::<MaxForwards>() {
        Some(Ok(hops)) => hops.0.checked_sub(1),
        _ => Some(69),
    };
    let Some(left) = left else { return false };
    request.headers_mut().set(HeaderName::MaxForwards, left).is_ok()
}

fn way(popped: &Popped) -> SendTo {
    popped.flow.map_or(SendTo::NextHop, SendTo::Flow)
}
