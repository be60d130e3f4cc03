//! The sessions of a client: which one a message, a timer or a stream belongs to.

use std::collections::{BTreeMap, VecDeque};

use sip_dialog::DialogId;
use sip_endpoint::{Event, ServerId};
use sip_message::header::Replaces;
use sip_message::{Flow, HeaderName, Method, Request, Response, StatusCode};

use super::calling::Wanted;
use super::core::Session;
use super::incoming::Admitted;
use super::media_side::stream_of;
use super::referred::TransferCall;
use super::work::{Errand, Work};
use super::{Route, SessionId, SessionInfo, State, call};
use crate::account::AccountId;
use crate::error::ClientError;
use crate::media::MediaEvent;
use crate::notification::Party;
use crate::streams::Streams;

/// How many of those that are over are remembered.
const REMEMBERED: usize = 64;

/// How many sessions there may be before further INVITEs are refused: each has its timers, its sockets, its ringing.
const MOST: usize = 10_000;

/// See the module's text.
#[derive(Default)]
pub(crate) struct Sessions {
    table: BTreeMap<SessionId, Box<Session>>,
    by_call_id: BTreeMap<Box<str>, Vec<SessionId>>,
    /// The last that are over, the oldest first.
    past: VecDeque<SessionInfo>,
    draining: bool,
}

impl Sessions {
    // ----- for the application -----

    pub(crate) fn connect(
        &mut self,
        work: &mut Work<'_>,
        account: AccountId,
        callee: &str,
        routes: Vec<Route>,
        wanted: Wanted,
    ) -> Result<SessionId, ClientError> {
        let session = Session::connect(work, account, callee, routes, wanted)?;
        let id = session.id;
        self.take(work, session);
        self.run_errands(work);
        Ok(id)
    }

    pub(crate) fn transfer(
        &mut self,
        work: &mut Work<'_>,
        id: SessionId,
        target: &str,
        replaced: Option<SessionId>,
    ) -> Result<(), ClientError> {
        let account = self.table.get(&id).ok_or(ClientError::NoSuchSession)?.account;
        let target = match replaced {
            Some(replaced) if replaced == id => return Err(ClientError::NoSuchSession),
            Some(replaced) => {
                let replaced = self.table.get(&replaced).ok_or(ClientError::NoSuchSession)?;
                replaced.replaceable().ok_or_else(|| replaced.illegal("transfer"))?
            }
            None => work.accounts.target(account, target)?,
        };
        let result = self.with(work, id, |session, work| session.refer(work, &target));
        result.unwrap_or(Err(ClientError::NoSuchSession))
    }

    /// Lets a session do something, and then what follows from it. `None`: there is none of this name.
    pub(crate) fn with<R>(
        &mut self,
        work: &mut Work<'_>,
        id: SessionId,
        act: impl FnOnce(&mut Session, &mut Work<'_>) -> R,
    ) -> Option<R> {
        let session = self.table.get_mut(&id)?;
        let result = act(session, work);
        self.settle(work, id);
        self.run_errands(work);
        Some(result)
    }

    pub(crate) fn info(&self, id: SessionId) -> Option<SessionInfo> {
        let current = self.table.get(&id).map(|session| session.info());
        current.or_else(|| self.past.iter().find(|past| past.id == id).cloned())
    }

    pub(crate) fn current(&self) -> Vec<SessionId> {
        let lasting = self.table.values().filter(|session| session.state != State::Terminated);
        lasting.map(|session| session.id).collect()
    }

    pub(crate) fn is_over(&self, id: SessionId) -> bool {
        !self.table.contains_key(&id) && self.past.iter().any(|past| past.id == id)
    }

    /// Takes no new sessions.
    pub(crate) fn drain(&mut self) {
        self.draining = true;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty() && self.by_call_id.is_empty()
    }

    // ----- from the endpoint and the media side -----

    /// Takes a request that is a session's, or begins one. What is not comes back.
    pub(crate) fn request(
        &mut self,
        work: &mut Work<'_>,
        server: ServerId,
        request: Request,
        flow: Flow,
    ) -> Option<Request> {
        if request.headers().to_tag().is_some() {
            let Some(id) = self.of_dialog(&request) else { return Some(request) };
            self.with(work, id, |session, work| session.request_received(work, server, request));
            return None;
        }
        match request.method() {
            Method::Invite => self.invited(work, server, request, flow),
            // Whoever is not in a session with us can't send us anywhere.
            Method::Refer => refuse(work, server, Response::to(&request, StatusCode::FORBIDDEN)),
            _ => return Some(request),
        }
        None
    }

    /// Takes any other event.
    pub(crate) fn event(&mut self, work: &mut Work<'_>, event: Event) {
        match event {
            Event::Ack { request, .. } => {
                if let Some(id) = self.of_dialog(&request) {
                    self.with(work, id, |session, work| session.ack_received(work, request));
                }
            }
            Event::Cancelled { server, cancel } => {
                if let Some((id, _)) = work.books.servers.get(&server).copied() {
                    self.with(work, id, |session, work| session.cancel_received(work, cancel));
                }
            }
            Event::ServerEnded { server, .. } => {
                if let Some((id, _)) = work.books.servers.remove(&server)
                    && let Some(session) = self.table.get_mut(&id)
                {
                    session.server_ended(server);
                }
            }
            Event::Response { client, response, flow } => {
                if let Some((id, key)) = work.books.clients.get(&client).copied() {
                    self.with(work, id, |session, work| {
                        session.response_received(work, key, client, response, &flow);
                    });
                }
            }
            Event::Failed { client, status } => {
                if let Some((id, key)) = work.books.clients.get(&client).copied() {
                    self.with(work, id, |session, work| session.request_failed(work, key, status));
                }
            }
            Event::ClientEnded { client } => {
                if let Some((id, _)) = work.books.clients.remove(&client)
                    && let Some(session) = self.table.get_mut(&id)
                {
                    session.client_ended(client);
                }
            }
            Event::TimerFired { timer, .. } => {
                if let Some((id, alarm)) = work.books.fired(timer) {
                    self.with(work, id, |session, work| session.alarm(work, alarm));
                }
            }
            _ => {}
        }
    }

    pub(crate) fn media_event(&mut self, work: &mut Work<'_>, event: MediaEvent) {
        if let Some(id) = work.books.streams.get(&stream_of(&event)).copied() {
            self.with(work, id, |session, work| session.media_event(work, event));
        }
    }

    // ----- an INVITE -----

    fn invited(&mut self, work: &mut Work<'_>, server: ServerId, request: Request, flow: Flow) {
        if let Err(response) = self.try_invited(work, server, request, flow) {
            refuse(work, server, *response);
        }
    }

    fn try_invited(
        &mut self,
        work: &mut Work<'_>,
        server: ServerId,
        request: Request,
        flow: Flow,
    ) -> Result<(), Box<Response>> {
        let refusal = |status| Box::new(Response::to(&request, status));
        if self.is_merged(&request) {
            return Err(refusal(StatusCode::LOOP_DETECTED));
        }
        if self.draining {
            return Err(refusal(StatusCode::SERVICE_UNAVAILABLE));
        }
        if self.table.len() >= MOST {
            return Err(refusal(StatusCode::BUSY_HERE));
        }
        let admitted = Admitted::check(work, &request)?;
        let replaced = self.replaced_by(&request, admitted.account()).map_err(refusal)?;
        let session = Session::incoming(work, admitted, server, request, flow, replaced)?;
        let id = session.id;
        self.take(work, session);
        self.with(work, id, |session, work| session.arrive(work));
        Ok(())
    }

    /// RFC 3261 §8.2.2.2: the same INVITE by another way.
    fn is_merged(&self, request: &Request) -> bool {
        self.of_call_id(request).any(|session| session.is_invited_by(request))
    }

    /// The session whose place an INVITE takes (RFC 3891 §3); the error is the status that it deserves.
    fn replaced_by(&self, request: &Request, account: AccountId) -> Result<Option<SessionId>, StatusCode> {
        let mut fields = request.headers().fields_of(HeaderName::Replaces);
        let replaces = match (fields.next(), fields.next()) {
            (None, _) => return Ok(None),
            (Some(_), Some(_)) => return Err(StatusCode::BAD_REQUEST),
            (Some(_), None) => request.headers().get::<Replaces>(),
        };
        let Some(Ok(replaces)) = replaces else { return Err(StatusCode::BAD_REQUEST) };
        let id = DialogId {
            call_id: replaces.call_id().into(),
            local_tag: replaces.to_tag().into(),
            remote_tag: replaces.from_tag().into(),
        };
        let unknown = StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST;
        let sessions = self.by_call_id.get(replaces.call_id()).into_iter().flatten();
        let mut sessions = sessions.filter_map(|id| self.table.get(id)).filter(|session| session.account == account);
        let session = sessions.find(|session| session.has_dialog(&id)).ok_or(unknown)?;
        match session.state {
            _ if session.is_up() && replaces.early_only() => Err(StatusCode::BUSY_HERE),
            _ if session.is_up() => Ok(Some(session.id)),
            // Only an early dialog of our own making may be replaced.
            State::Calling => Ok(Some(session.id)),
            State::Terminating | State::Terminated => Err(StatusCode::DECLINE),
            _ => Err(unknown),
        }
    }

    // ----- the table -----

    fn take(&mut self, work: &mut Work<'_>, session: Session) {
        let id = session.id;
        self.table.insert(id, Box::new(session));
        self.settle(work, id);
    }

    fn of_call_id(&self, request: &Request) -> impl Iterator<Item = &Session> {
        let call_id = request.headers().first(HeaderName::CallId).map(str::trim).unwrap_or_default();
        let named = self.by_call_id.get(call_id).into_iter().flatten();
        named.filter_map(|id| self.table.get(id)).map(|session| &**session)
    }

    fn of_dialog(&self, request: &Request) -> Option<SessionId> {
        let id = DialogId::of_received_request(request.headers())?;
        let mut sessions = self.of_call_id(request);
        sessions.find(|session| session.has_dialog(&id)).map(|session| session.id)
    }

    /// What is due after each step of a session.
    fn settle(&mut self, work: &mut Work<'_>, id: SessionId) {
        let Some(session) = self.table.get_mut(&id) else { return };
        session.settle(work);
        if let Some(call_id) = session.call_id.as_deref()
            && !session.is_indexed
        {
            session.is_indexed = true;
            self.by_call_id.entry(call_id.trim().into()).or_default().push(id);
        }
        session.note_change(work);
        if session.is_finished() {
            self.forget(work, id);
        }
    }

    fn forget(&mut self, work: &mut Work<'_>, id: SessionId) {
        let Some(mut session) = self.table.remove(&id) else { return };
        session.clear_usage_alarm(work);
        if let Some(call_id) = session.call_id.as_deref().map(str::trim)
            && let Some(named) = self.by_call_id.get_mut(call_id)
        {
            named.retain(|named| *named != id);
            if named.is_empty() {
                self.by_call_id.remove(call_id);
            }
        }
        if self.past.len() >= REMEMBERED {
            self.past.pop_front();
        }
        self.past.push_back(session.info());
    }

    // ----- what one session wants of another -----

    fn run_errands(&mut self, work: &mut Work<'_>) {
        while let Some(errand) = work.books.errands.pop_front() {
            match errand {
                Errand::EndReplaced(id) => {
                    self.on_errand(work, id, |session, work| session.end(work, Some("Replaced".into())));
                }
                Errand::CallForTransfer(id) => self.call_for_transfer(work, id),
                Errand::TransferProgress { session, status, reason } => {
                    self.on_errand(work, session, |session, work| session.transfer_progressed(work, status, &reason));
                }
            }
        }
    }

    fn on_errand(&mut self, work: &mut Work<'_>, id: SessionId, act: impl FnOnce(&mut Session, &mut Work<'_>)) {
        if let Some(session) = self.table.get_mut(&id) {
            act(session, work);
            self.settle(work, id);
        }
    }

    fn call_for_transfer(&mut self, work: &mut Work<'_>, id: SessionId) {
        let Some(asked) = self.table.get(&id) else { return };
        let Some(referral) = asked.referral() else { return };
        let (account, target) = (asked.account, referral.target.clone());
        let call =
            TransferCall { of: id, replaces: referral.replaces.clone(), referred_by: referral.referred_by.clone() };
        let wanted = Wanted::Streams(Streams::audio());
        match Session::connect(work, account, target.as_str(), Vec::new(), wanted) {
            Ok(mut session) => {
                session.transfer_call = Some(call);
                self.take(work, session);
            }
            Err(error) => {
                let reason = error.to_string().into();
                let status = StatusCode::SERVICE_UNAVAILABLE;
                work.books.errands.push_back(Errand::TransferProgress { session: id, status, reason });
            }
        }
    }
}

impl Session {
    /// What is due after each step: the agreement in force, commands that wait, the next alarm.
    fn settle(&mut self, work: &mut Work<'_>) {
        let answered = self.state == State::Accepting && self.invitation.is_none();
        if self.is_up() || answered {
            self.follow(work);
        }
        self.pump(work);
        self.end_with_usage(work);
        self.watch_usage(work);
    }

    /// A dialog may end without a word that would end the session: the BYE of a callee whose 2xx comes behind it.
    fn end_with_usage(&mut self, work: &mut Work<'_>) {
        if !self.call.as_ref().is_some_and(|call| call.usage.is_over()) {
            return;
        }
        match self.state {
            State::Calling => self.fail_locally(work, None, "The call is over".into()),
            State::Terminating => self.finish(work, Party::Local, None),
            _ => {}
        }
    }

    /// Notes whether it looks other than before.
    fn note_change(&mut self, work: &mut Work<'_>) {
        let (info, told) = (self.info(), work.books.has_told(self.id));
        if self.shown.as_deref() != Some(&info) {
            self.shown = Some(Box::new(info));
            if !told {
                work.books.changed.insert(self.id);
            }
        }
    }

    /// Whether nothing is left of it but what is to be remembered.
    fn is_finished(&self) -> bool {
        self.state == State::Terminated && self.call.as_ref().is_none_or(|call| call.usage.is_over())
    }

    fn has_dialog(&self, id: &DialogId) -> bool {
        self.call.as_ref().is_some_and(|call| call.usage.find(id).is_some())
    }

    /// Whether this INVITE, or a copy of it that went another way, has begun the session.
    fn is_invited_by(&self, request: &Request) -> bool {
        let Some(dialogs) = self.call.as_ref().map(|call| &call.usage) else { return false };
        let tag = request.headers().from_tag();
        let cseq = call::cseq_of(request.headers());
        self.direction == super::CallDirection::Incoming
            && dialogs.dialogs().any(|(_, dialog)| Some(&*dialog.id.remote_tag) == tag && dialog.remote_cseq == cseq)
    }
}

fn refuse(work: &mut Work<'_>, server: ServerId, mut response: Response) {
    call::sign(work, response.headers_mut(), HeaderName::Server);
    // A transaction that has ended is one whose peer does not wait any more.
    let _ = work.endpoint.respond(work.now, server, response);
}
