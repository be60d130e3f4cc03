//! A request comes into the application that was chosen for it: its servlet, the gate, its session, its transaction.

use std::rc::Rc;

use servlet::SipServletRequest;
use servlet::spi::{AppId, AppSessionKey, Direction, Facts, SessionKey, TransactionKey};
use sip_message::header::Cseq;
use sip_message::{HeaderName, Method, Response, StatusCode};

use crate::core::Core;
use crate::gate::{Admission, Check};
use crate::jobs::{Job, Popped};
use crate::session::{NewSession, Routed, SessionRole};
use crate::transaction::{Peer, Transaction, TransactionRole};

use super::targets::{Placement, Target};
use super::{Decision, Incoming, Outcome};

impl Core {
    /// A request of one application, for the next.
    pub(crate) fn enter_chosen(&self, incoming: Incoming, decision: Decision) {
        let (peer, popped) = (incoming.peer, incoming.popped.clone());
        let handle = self.received_handle(incoming, decision.app, true);
        if let Outcome::Elsewhere { .. } = self.enter_application(peer, handle, popped, decision, None) {
            tracing::debug!("an inner request stays on its shard");
        }
    }

    /// Gives a request to the application that was chosen for it.
    pub(super) fn enter_application(
        &self,
        peer: Peer,
        handle: SipServletRequest,
        popped: Popped,
        decision: Decision,
        target: Option<Target>,
    ) -> Outcome {
        let app = self.app(decision.app);
        let method = handle.method();
        app.counters.received(&method);
        let handle = self.rehandle(handle, decision.app);
        if app.stopping.get() {
            self.refuse_busy(peer, &handle);
            return Outcome::Done;
        }
        {
            let mut more = handle.facts().more.borrow_mut();
            more.region = Some(decision.routed.region.clone());
            more.subscriber.clone_from(&decision.routed.subscriber);
            if decision.route.is_some() {
                more.popped_route.clone_from(&decision.route);
            }
        }
        handle.facts().read_only.set(true);
        let chosen = crate::jobs::contained(|| app.servlet_for(&handle));
        handle.facts().read_only.set(false);
        let place = match chosen {
            Ok(Some(place)) => place,
            Ok(None) => {
                self.refuse_handle(peer, &handle, StatusCode::NOT_FOUND);
                return Outcome::Done;
            }
            Err(panic) => {
                tracing::error!(application = %app.name, %panic, "a servlet mapping has panicked");
                self.refuse_handle(peer, &handle, StatusCode::SERVER_INTERNAL_ERROR);
                return Outcome::Done;
            }
        };
        let check = match &app.security {
            None => Check::Admitted(None),
            Some(gate) => {
                let flow = handle.facts().flow.filter(|_| matches!(peer, Peer::Server(_)));
                gate.check(app.servlet_name(place), &handle.sip_request(), flow.as_ref(), self.state().time())
            }
        };
        if let Check::Refused(response) = check {
            self.answer_peer(peer, *response, true);
            return Outcome::Done;
        }
        let target = target.filter(|target| target.app == decision.app);
        let session = match self.application_session_for(&handle, decision.app, target.as_ref(), peer) {
            Ok(session) => session,
            Err(Placement::Elsewhere(partition)) => {
                let request = handle.detach();
                return Outcome::Elsewhere { partition, request: Box::new(request) };
            }
            Err(Placement::Busy) => {
                self.refuse_busy(peer, &handle);
                return Outcome::Done;
            }
            Err(Placement::Failed) => {
                self.refuse_handle(peer, &handle, StatusCode::SERVER_INTERNAL_ERROR);
                return Outcome::Done;
            }
        };
        let routed = Rc::new(decision.routed);
        handle.facts().more.borrow_mut().routing = Some(Rc::clone(&routed) as Rc<dyn std::any::Any>);
        let Some(key) = self.begin_session(peer, &handle, popped, session, place, routed, target.as_ref()) else {
            self.refuse_handle(peer, &handle, StatusCode::SERVER_INTERNAL_ERROR);
            return Outcome::Done;
        };
        self.admit(session, key, check, handle);
        Outcome::Done
    }

    /// A SIP session in an application session, with the transaction that begins it.
    #[expect(clippy::too_many_arguments, reason = "what one request comes with")]
    pub(super) fn begin_session(
        &self,
        peer: Peer,
        handle: &SipServletRequest,
        popped: Popped,
        app_session: AppSessionKey,
        place: u16,
        routed: Rc<Routed>,
        target: Option<&Target>,
    ) -> Option<TransactionKey> {
        let (call_id, method, cseq) = {
            let request = handle.sip_request();
            let headers = request.headers();
            let cseq = headers.get::<Cseq>()?.ok()?.sequence;
            (headers.first(HeaderName::CallId)?.trim().into(), request.method().clone(), cseq)
        };
        let session = self.state_mut().open_session(NewSession {
            app_session,
            call_id,
            role: SessionRole::Undecided,
            local_tag: "".into(),
            servlet: place,
        })?;
        if let Some(record) = self.state_mut().sessions.get_mut(session) {
            record.routed = Some(routed);
        }
        if let Some((header, other)) = target.and_then(|target| target.corresponding) {
            let mut state = self.state_mut();
            if let Some(record) = state.sessions.get_mut(session) {
                record.make_ua().corresponding = Some((header, other));
            }
            if let Some(record) = state.sessions.get_mut(other) {
                record.make_ua().corresponding = Some((header, session));
            }
        }
        self.session_created(session);
        handle.facts().session.set(Some(session));
        handle.facts().app_session.set(Some(app_session));
        let of = (handle.facts().app, app_session, session);
        let key = self.enter(peer, of, (method, cseq, true), popped, handle);
        if let Some(record) = self.state_mut().sessions.get_mut(session) {
            record.initial = Some(key);
        }
        Some(key)
    }

    /// Enters the server transaction of a request.
    pub(super) fn enter(
        &self,
        peer: Peer,
        of: (AppId, AppSessionKey, SessionKey),
        what: (Method, u32, bool),
        popped: Popped,
        handle: &SipServletRequest,
    ) -> TransactionKey {
        let initial = what.2;
        let mut transaction = Transaction::new(peer, TransactionRole::Undecided, of, what);
        transaction.request = Some(handle.clone());
        if popped.route.is_some() {
            transaction.popped = Some(Box::new(popped));
        }
        let mut state = self.state_mut();
        let merge =
            initial.then(|| state.merge_mark(&handle.sip_request())).filter(|_| matches!(peer, Peer::Server(_)));
        transaction.merge_mark = merge;
        let key = state.open_transaction(transaction);
        if let Some(mark) = merge {
            state.merging.insert(mark, key);
        }
        handle.facts().transaction.set(Some(key));
        // The other end of an inner transaction learns its peer's name.
        if let Peer::Inner(client) = peer
            && let Some(client) = state.transactions.get_mut(client)
        {
            client.peer = Peer::Inner(key);
        }
        key
    }

    pub(super) fn check_gate(&self, app: AppId, session: SessionKey, handle: &SipServletRequest) -> Check {
        let Some(gate) = &self.app(app).security else { return Check::Admitted(None) };
        let place = self.state().sessions.get(session).map_or(0, |record| record.servlet);
        let time = self.state().time();
        gate.check(self.app(app).servlet_name(place), &handle.sip_request(), handle.facts().flow.as_ref(), time)
    }

    /// Lets a request in, or says why not; it waits for that if it has to.
    pub(super) fn admit(
        &self,
        app_session: AppSessionKey,
        key: TransactionKey,
        check: Check,
        handle: SipServletRequest,
    ) {
        match check {
            Check::Admitted(principal) => {
                handle.facts().more.borrow_mut().principal = principal;
                self.submit(app_session, Job::Request(key));
            }
            Check::Refused(response) => {
                self.add_tag_and_respond(key, *response);
            }
            Check::Pending(admission) => {
                let core = self.rc();
                let app = handle.facts().app;
                let task = Box::pin(async move {
                    match admission.await {
                        Admission::Admitted(principal) => {
                            handle.facts().more.borrow_mut().principal = principal;
                            // It was the next when it began to wait, and still is.
                            core.submit_first(app_session, Job::Request(key));
                        }
                        Admission::Refused(response) => core.add_tag_and_respond(key, *response),
                    }
                    Ok(())
                });
                self.submit(app_session, Job::Run(app, task));
            }
        }
    }

    pub(super) fn add_tag_and_respond(&self, key: TransactionKey, mut response: Response) {
        let session = self.state().transactions.get(key).map(|of| (of.session, of.method.clone()));
        let Some((session, method)) = session else { return };
        {
            let mut state = self.state_mut();
            state.add_to_tag(session, &mut response);
            if let Some(record) = state.sessions.get_mut(session) {
                crate::fsm::sent_response(record, &method, response.status());
            }
        }
        self.respond(key, response);
    }

    /// The handle that the router has looked at, for the application that it has chosen.
    pub(super) fn rehandle(&self, handle: SipServletRequest, app: AppId) -> SipServletRequest {
        if handle.facts().app == app {
            return handle;
        }
        let theirs = handle.facts();
        let mut facts = Facts::new(app, Direction::Received, theirs.flow);
        facts.initial_flow = theirs.initial_flow;
        facts.initial.set(theirs.initial.get());
        *facts.more.borrow_mut() = theirs.more.take();
        SipServletRequest::attach(self.host(), handle.detach(), facts)
    }
}
