//! What accounts send: requests with their routes and credentials, messages, questions, subscriptions.

use std::sync::Arc;

use bytes::Bytes;
use sip_dialog::digest::Unanswered;
use sip_endpoint::{ClientId, SendTo};
use sip_message::{Flow, Method, NameAddrBuf, Request, Response, UriBuf};

use super::account::Account;
use super::exchange::{Exchange, Question};
use super::manager::{AccountManager, bench};
use super::sending::{self, Owner};
use super::watch::{Watch, What};
use super::{AccountId, message};
use crate::desk::Desk;
use crate::error::ClientError;
use crate::session::{Route, SessionId};

impl AccountManager {
    // ---- what an account sends --------------------------------------------------------------------------------------

    /// A request of an account's outside of dialogs, without its body.
    pub(crate) fn create_request(
        &mut self,
        desk: &mut Desk<'_>,
        id: AccountId,
        method: Method,
        target: &UriBuf,
        routes: &[Route],
    ) -> Result<Request, ClientError> {
        let account = self.account(id).ok_or(ClientError::NoSuchAccount)?;
        let mut request = sending::create_request(desk, &self.common, account, method, target, routes)?;
        let way = sending::way(account, &request);
        let cnonce = desk.random_text();
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.account.credentials.authorize(&mut request, way, &cnonce);
        }
        Ok(request)
    }

    /// Where a request outside of dialogs is sent: over the flow of the registration, to the routes, or by RFC 3263.
    pub(crate) fn send_to(&self, desk: &Desk<'_>, id: AccountId, request: &Request, routes: &[Route]) -> SendTo {
        match self.entries.get(&id) {
            Some(entry) => sending::send_to(desk, &entry.account, request, routes),
            None => SendTo::NextHop,
        }
    }

    /// Our Contact in a dialog that began with a request over this flow.
    pub(crate) fn contact(&self, desk: &Desk<'_>, id: AccountId, flow: Option<&Flow>) -> NameAddrBuf {
        match self.entries.get(&id) {
            Some(entry) => sending::contact(desk, &entry.account, flow),
            // Nobody asks for an account that never was; whoever calls this reaches nobody (RFC 2606).
            None => NameAddrBuf::parse("<sip:invalid>").expect("a name-addr"),
        }
    }

    /// Puts into a request of an account's, in a dialog or not, what a challenge asks for, if it may ask: our realm, and
    /// only on our own way. The CSeq is the caller's.
    pub(crate) fn answer_challenge(
        &mut self,
        desk: &mut Desk<'_>,
        id: AccountId,
        request: &mut Request,
        response: &Response,
    ) -> Result<(), Unanswered> {
        let entry = self.entries.get_mut(&id).ok_or(Unanswered::NoChallenge)?;
        sending::answer_challenge(desk, &mut entry.account, request, response)
    }

    /// Takes note of what a response to a request of an account's teaches: nonces, and the addresses of our servers.
    pub(crate) fn note_answer(
        &mut self,
        desk: &mut Desk<'_>,
        id: AccountId,
        client: ClientId,
        request: &Request,
        response: &Response,
        flow: &Flow,
    ) {
        if let Some(entry) = self.entries.get_mut(&id) {
            sending::note_answer(desk, &mut entry.account, client, request, response, flow);
        }
    }

    /// Sends a MESSAGE. Exactly one of DidDeliver and DidNotDeliver follows, with the id that is returned.
    pub(crate) fn send_message(
        &mut self,
        desk: &mut Desk<'_>,
        id: AccountId,
        to: &str,
        (content_type, content): (&str, Bytes),
        routes: &[Route],
    ) -> Result<Arc<str>, ClientError> {
        let target = self.usable(id)?.complete(to)?;
        let mut request = self.new_request(desk, id, Method::Message, &target, routes)?;
        message::fill(&mut request, content_type, content)?;
        self.ask(desk, id, Question::Message, request, routes)
    }

    /// Sends an OPTIONS. Its answer is told with the id that is returned.
    pub(crate) fn options(
        &mut self,
        desk: &mut Desk<'_>,
        id: AccountId,
        to: &str,
        routes: &[Route],
    ) -> Result<Arc<str>, ClientError> {
        let target = self.usable(id)?.complete(to)?;
        let mut request = self.new_request(desk, id, Method::Options, &target, routes)?;
        sending::put(&mut request, sip_message::HeaderName::Accept, "application/sdp");
        self.ask(desk, id, Question::Options, request, routes)
    }

    fn usable(&self, id: AccountId) -> Result<&Account, ClientError> {
        self.account(id).filter(|account| account.is_enabled()).ok_or(ClientError::NoSuchAccount)
    }

    /// A request without credentials: these are put in when it is sent.
    fn new_request(
        &self,
        desk: &mut Desk<'_>,
        id: AccountId,
        method: Method,
        target: &UriBuf,
        routes: &[Route],
    ) -> Result<Request, ClientError> {
        let account = self.account(id).ok_or(ClientError::NoSuchAccount)?;
        sending::create_request(desk, &self.common, account, method, target, routes)
    }

    fn ask(
        &mut self,
        desk: &mut Desk<'_>,
        id: AccountId,
        question: Question,
        request: Request,
        routes: &[Route],
    ) -> Result<Arc<str>, ClientError> {
        let call_id: Arc<str> = request.headers().first(sip_message::HeaderName::CallId).unwrap_or_default().into();
        let to = self.send_to(desk, id, &request, routes);
        let number = self.next_number();
        let (mut bench, entries) = bench(desk, &mut self.owners, &self.common, &mut self.entries);
        let entry = entries.get_mut(&id).ok_or(ClientError::NoSuchAccount)?;
        let order = (call_id.clone(), request, to);
        let begun = Exchange::begin(&mut bench, &mut entry.account, Owner::Exchange(number), question, order);
        let exchange = begun.map_err(|misuse| ClientError::Stack(misuse.to_string().into()))?;
        self.exchanges.insert(number, exchange);
        Ok(call_id)
    }

    // ---- subscriptions ----------------------------------------------------------------------------------------------

    /// Follows who takes part in the conference that a session is with.
    pub(crate) fn watch_conference(&mut self, desk: &mut Desk<'_>, id: AccountId, session: SessionId, focus: &UriBuf) {
        let of_session = |watch: &Watch| matches!(watch.what, What::Conference { session: of, .. } if of == session);
        if !self.watches.values().any(of_session) {
            let what = What::Conference { session, roster: Default::default() };
            self.watch(desk, id, what, focus.clone());
        }
    }

    /// The session is over, or not with a conference any more.
    pub(crate) fn unwatch_conference(&mut self, desk: &mut Desk<'_>, session: SessionId) {
        self.end_watches(desk, |watch| matches!(watch.what, What::Conference { session: of, .. } if of == session));
    }

    pub(super) fn watch_summary(&mut self, desk: &mut Desk<'_>, id: AccountId) {
        let Some(account) = self.account(id).filter(|account| account.settings.message_summary.enabled) else { return };
        let address = account.address().clone();
        let is_there = |watch: &Watch| watch.account == id && matches!(watch.what, What::Summary) && !watch.is_over();
        if !self.watches.values().any(is_there) {
            self.watch(desk, id, What::Summary, address);
        }
    }

    fn watch(&mut self, desk: &mut Desk<'_>, id: AccountId, what: What, target: UriBuf) {
        let number = self.next_number();
        let (mut bench, entries) = bench(desk, &mut self.owners, &self.common, &mut self.entries);
        let Some(entry) = entries.get_mut(&id) else { return };
        let watch = Watch::begin(&mut bench, &mut entry.account, Owner::Watch(number), what, target);
        self.watches.insert(number, watch);
    }

    pub(super) fn end_watches(&mut self, desk: &mut Desk<'_>, is_meant: impl Fn(&Watch) -> bool) {
        let numbers: Vec<u32> =
            self.watches.iter().filter(|(_, watch)| is_meant(watch)).map(|(number, _)| *number).collect();
        for number in numbers {
            self.in_watch(desk, number, Watch::end);
        }
    }
}
