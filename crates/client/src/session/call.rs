//! The call usage of a session and its names: which transaction of the endpoint is which of the usage's, and the way of
//! its orders to the endpoint.

use std::time::Instant;

use sip_dialog::invite::{
    ClientKey, DialogKey, Failure, Input, InviteUsage, Misuse, Output, Policy, ServerKey, SessionTimerPolicy,
};
use sip_endpoint::{ClientId, SendTo, ServerId};
use sip_message::header::Cseq;
use sip_message::{Flow, HeaderName, Headers, Method, NameAddrBuf, Request, Response, StatusCode};

use super::core::Session;
use super::work::{Alarm, Work};

/// See the module's text.
pub(crate) struct Call {
    pub(super) usage: InviteUsage,
    /// The requests that were sent and may still be answered.
    sent: Vec<Sent>,
    /// The requests that came and may still be answered.
    taken: Vec<(ServerKey, ServerId)>,
    last_taken: u64,
    /// Whether the orders of the usage are being carried out: a further step waits for its turn then.
    carrying: bool,
    due: Option<Instant>,
    /// The number of the request that has just failed.
    pub(super) failed: Option<u32>,
}

struct Sent {
    key: ClientKey,
    client: ClientId,
    cseq: u32,
    method: Method,
}

impl Call {
    pub(super) fn new(usage: InviteUsage) -> Call {
        Call { usage, sent: Vec::new(), taken: Vec::new(), last_taken: 0, carrying: false, due: None, failed: None }
    }

    /// A call that was answered with `usage`, whose INVITE has this name.
    pub(super) fn answering(usage: InviteUsage, key: ServerKey, server: ServerId) -> Call {
        Call { taken: vec![(key, server)], last_taken: key.0, ..Call::new(usage) }
    }

    /// The INVITE that began the call, as it is being sent now.
    pub(super) fn initial_invite(&self) -> Option<ClientId> {
        let first = self.sent.iter().rev().find(|sent| sent.method == Method::Invite);
        first.map(|sent| sent.client)
    }

    fn server(&self, key: ServerKey) -> Option<ServerId> {
        self.taken.iter().find(|(taken, _)| *taken == key).map(|(_, server)| *server)
    }
}

/// What can be chosen for a call.
pub(super) fn policy(work: &Work<'_>, contact: Option<NameAddrBuf>) -> Policy {
    let expires = work.settings.sip.session_expires;
    Policy {
        contact,
        reliable_provisionals: work.settings.sip.reliable_provisionals,
        session_timer: SessionTimerPolicy {
            interval: (!expires.is_zero()).then_some(expires),
            ..SessionTimerPolicy::default()
        },
        ..Policy::default()
    }
}

impl Session {
    /// Takes a step of the usage and carries out what it orders.
    pub(super) fn step(&mut self, work: &mut Work<'_>, input: Input) -> Result<(), Misuse> {
        let call = self.call.as_mut().ok_or(Misuse::NoSuchDialog)?;
        call.usage.handle(work.now, input)?;
        self.carry(work);
        Ok(())
    }

    /// A request of the peer's that the endpoint has given to this session.
    pub(super) fn request_received(&mut self, work: &mut Work<'_>, server: ServerId, request: Request) {
        let Some(call) = &mut self.call else { return };
        call.last_taken += 1;
        let transaction = ServerKey(call.last_taken);
        call.taken.push((transaction, server));
        work.books.servers.insert(server, (self.id, transaction));
        // What arrives is no misuse of ours.
        let _ = self.step(work, Input::RequestReceived { transaction, request });
    }

    /// The CANCEL of an INVITE that this session has. The endpoint has answered it.
    pub(super) fn cancel_received(&mut self, work: &mut Work<'_>, cancel: Request) {
        let Some(call) = &mut self.call else { return };
        call.last_taken += 1;
        // A name that no transaction has: the answer of the usage goes nowhere.
        let transaction = ServerKey(call.last_taken);
        let _ = self.step(work, Input::RequestReceived { transaction, request: cancel });
    }

    pub(super) fn ack_received(&mut self, work: &mut Work<'_>, ack: Request) {
        let _ = self.step(work, Input::AckReceived(ack));
    }

    pub(super) fn response_received(
        &mut self,
        work: &mut Work<'_>,
        transaction: ClientKey,
        client: ClientId,
        response: Response,
        flow: &Flow,
    ) {
        if let Some(call) = self.call.as_ref().filter(|call| call.initial_invite() == Some(client))
            && let Some(invite) = call.usage.initial_invite()
        {
            let account = self.account;
            work.with_accounts(|accounts, desk| accounts.note_answer(desk, account, client, invite, &response, flow));
        }
        let _ = self.step(work, Input::ResponseReceived { transaction, response });
    }

    /// A request of ours gets no response.
    pub(super) fn request_failed(&mut self, work: &mut Work<'_>, transaction: ClientKey, status: StatusCode) {
        // 487 is what an INVITE comes to that was cancelled and then never answered.
        let failure = match status {
            StatusCode::REQUEST_TIMEOUT | StatusCode::SERVER_TIMEOUT | StatusCode::REQUEST_TERMINATED => {
                Failure::TimedOut
            }
            _ => Failure::NotSent,
        };
        if let Some(call) = &mut self.call {
            call.failed = call.sent.iter().find(|sent| sent.key == transaction).map(|sent| sent.cseq);
        }
        let _ = self.step(work, Input::RequestFailed { transaction, failure });
    }

    pub(super) fn client_ended(&mut self, client: ClientId) {
        if let Some(call) = &mut self.call {
            call.sent.retain(|sent| sent.client != client);
        }
    }

    pub(super) fn server_ended(&mut self, server: ServerId) {
        if let Some(call) = &mut self.call {
            call.taken.retain(|(_, taken)| *taken != server);
        }
    }

    /// The time that the usage waited for has come.
    pub(super) fn usage_is_due(&mut self, work: &mut Work<'_>) {
        if let Some(call) = &mut self.call {
            call.due = None;
        }
        let _ = self.step(work, Input::TimeReached);
    }

    /// Carries out what a usage has ordered when it began.
    pub(super) fn carry_on(&mut self, work: &mut Work<'_>) {
        self.carry(work);
    }

    /// Sets the alarm for what the usage waits for.
    pub(super) fn watch_usage(&mut self, work: &mut Work<'_>) {
        let Some(call) = &mut self.call else { return };
        let due = call.usage.next_timeout();
        if due == call.due {
            return;
        }
        call.due = due;
        match due {
            Some(due) => self.set_alarm(work, Alarm::Usage, due.saturating_duration_since(work.now)),
            None => self.clear_alarm(work, Alarm::Usage),
        }
    }

    /// Carries out what the usage orders, and what it orders because of that.
    fn carry(&mut self, work: &mut Work<'_>) {
        let Some(call) = &mut self.call else { return };
        if std::mem::replace(&mut call.carrying, true) {
            return;
        }
        while let Some(output) = self.call.as_mut().and_then(|call| call.usage.poll_output()) {
            match output {
                Output::SendRequest { transaction, request } => self.send(work, transaction, request),
                Output::SendAck(ack) => {
                    let to = self.next_hop(&ack);
                    // An ACK that can't be sent is sent again with the next copy of the 2xx.
                    let _ = work.endpoint.send_ack(work.now, ack, to);
                }
                Output::CancelRequest { transaction } => self.cancel(work, transaction),
                Output::SendResponse { transaction, response } => self.send_response(work, transaction, response),
                Output::Event(event) => self.happened(work, event),
            }
        }
        if let Some(call) = &mut self.call {
            call.carrying = false;
        }
    }

    fn send(&mut self, work: &mut Work<'_>, key: ClientKey, request: Request) {
        let method = request.method().clone();
        let cseq = cseq_of(request.headers()).unwrap_or_default();
        if method == Method::Invite {
            self.reinvite_is_sent();
        }
        let to = if request.headers().to_tag().is_none() {
            let (account, routes) = (self.account, &self.routes);
            work.with_accounts(|accounts, desk| accounts.send_to(desk, account, &request, routes))
        } else {
            self.next_hop(&request)
        };
        let Some(call) = &mut self.call else { return };
        match work.endpoint.send(work.now, request, to, None) {
            Ok(client) => {
                call.sent.push(Sent { key, client, cseq, method });
                work.books.clients.insert(client, (self.id, key));
            }
            Err(_) => {
                let _ =
                    call.usage.handle(work.now, Input::RequestFailed { transaction: key, failure: Failure::NotSent });
            }
        }
    }

    /// Where a request of a dialog goes.
    pub(super) fn next_hop(&self, request: &Request) -> SendTo {
        let tag = request.headers().to_tag();
        let dialogs = self.call.iter().flat_map(|call| call.usage.dialogs());
        let mut dialogs = dialogs.filter(|(_, dialog)| tag == Some(&*dialog.id.remote_tag));
        match dialogs.next() {
            Some((_, dialog)) if dialog.route_set.is_strict() => SendTo::RequestUri,
            _ => SendTo::NextHop,
        }
    }

    fn cancel(&mut self, work: &mut Work<'_>, key: ClientKey) {
        let Some(call) = &self.call else { return };
        if let Some(sent) = call.sent.iter().find(|sent| sent.key == key) {
            // One that has its final response needs no CANCEL.
            let _ = work.endpoint.cancel(work.now, sent.client, None);
        }
    }

    /// Cancels the INVITEs that have no final response. After a BYE none need come: the peer may have sent its 2xx, which
    /// was lost, and does not repeat it any more; a transaction that was cancelled waits no longer than 64·T1.
    pub(super) fn cancel_invites(&mut self, work: &mut Work<'_>) {
        let sent = self.call.iter().flat_map(|call| &call.sent);
        for sent in sent.filter(|sent| sent.method == Method::Invite) {
            let _ = work.endpoint.cancel(work.now, sent.client, None);
        }
    }

    fn send_response(&mut self, work: &mut Work<'_>, key: ServerKey, mut response: Response) {
        let Some(server) = self.call.as_ref().and_then(|call| call.server(key)) else { return };
        sign(work, response.headers_mut(), HeaderName::Server);
        // A transaction that has ended is one whose peer does not wait any more.
        let _ = work.endpoint.respond(work.now, server, response);
    }

    /// Gives a response to a request of the peer's.
    pub(super) fn respond(&mut self, work: &mut Work<'_>, transaction: ServerKey, response: Response) -> bool {
        self.step(work, Input::Respond { transaction, response, reliably: false }).is_ok()
    }

    /// A request of the session's dialog, with what each of ours has.
    pub(super) fn create_request(&mut self, work: &Work<'_>, method: Method) -> Option<(DialogKey, Request)> {
        let dialog = self.dialog?;
        let call = self.call.as_mut()?;
        let mut request = call.usage.create_request(dialog, method).ok()?;
        sign(work, request.headers_mut(), HeaderName::UserAgent);
        if *request.method() == Method::Invite {
            introduce(request.headers_mut());
        }
        Some((dialog, request))
    }

    /// Sends a request of the session's dialog. The number that it was sent with, if it was.
    pub(super) fn send_request(&mut self, work: &mut Work<'_>, request: Request) -> Option<u32> {
        let dialog = self.dialog?;
        let call = self.call.as_mut()?;
        call.usage.handle(work.now, Input::Send { dialog, request }).ok()?;
        let cseq = call.usage.dialog(dialog).and_then(|dialog| dialog.local_cseq);
        self.carry(work);
        cseq
    }

    /// Answers a challenge to a request of ours. Whether the request was sent again.
    pub(super) fn challenged(
        &mut self,
        work: &mut Work<'_>,
        dialog: DialogKey,
        mut request: Request,
        response: &Response,
    ) -> bool {
        let account = self.account;
        let answered =
            work.with_accounts(|accounts, desk| accounts.answer_challenge(desk, account, &mut request, response));
        let before = cseq_of(request.headers());
        if answered.is_err() || self.step(work, Input::Send { dialog, request }).is_err() {
            return false;
        }
        let dialog = self.call.as_ref().and_then(|call| call.usage.dialog(dialog));
        let now = dialog.and_then(|dialog| dialog.local_cseq);
        self.message_was_sent_again(before, now);
        self.refer_was_sent_again(before, now);
        true
    }
}

/// Says what we are.
pub(super) fn sign(work: &Work<'_>, headers: &mut Headers, name: HeaderName) {
    let product = work.accounts.user_agent();
    if !product.is_empty() && !headers.contains(name) {
        // A name that no header can hold is left out.
        let _ = headers.set(name, product);
    }
}

/// Says which methods and extensions we take.
pub(super) fn introduce(headers: &mut Headers) {
    if !headers.contains(HeaderName::Allow) {
        headers.push(HeaderName::Allow, ALLOW).expect("method names are tokens");
    }
    for option in SUPPORTED {
        if !headers.has_token(HeaderName::Supported, option) {
            headers.push(HeaderName::Supported, option).expect("option tags are tokens");
        }
    }
}

/// The methods that we take in a dialog.
const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, MESSAGE, REFER, NOTIFY";

/// The extensions that we say ourselves; the usage adds `100rel` and `timer` as its policy says.
const SUPPORTED: [&str; 2] = ["replaces", "norefersub"];

pub(super) fn cseq_of(headers: &Headers) -> Option<u32> {
    headers.get::<Cseq>()?.ok().map(|cseq| cseq.sequence)
}

/// The method that a response is for.
pub(super) fn method_of(response: &Response) -> Option<Method> {
    response.headers().get::<Cseq>()?.ok().map(|cseq| cseq.method)
}

/// Whether the body of a message is said to be a session description.
pub(super) fn is_description(headers: &Headers) -> bool {
    let content_type = headers.first(HeaderName::ContentType).unwrap_or_default();
    content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/sdp")
}
