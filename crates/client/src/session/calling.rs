//! We call: from `connect` to the answer, or to its failure.
//!
//! ```text
//!   connect ──► streams are prepared ──► INVITE ──┬── 1xx: ring indication, early media
//!                       │ failed                  ├── 2xx: ACK, ESTABLISHED
//!                       ▼                         ├── 401, 407: once more with credentials
//!                  DidFail, DidEnd                ├── 3xx to 6xx: DidFail, DidEnd
//!                                                 └── too long: CANCEL, then DidFail, DidEnd
//! ```
//!
//! The routes are the endpoint's affair: it tries one after the other, and what is told here is of the whole.

use std::path::PathBuf;
use std::sync::Arc;

use sip_dialog::invite::{Body, DialogKey, Input, InviteUsage};
use sip_message::header::{Contact, From, Warning};
use sip_message::{HeaderName, Method, NameAddrBuf, Response, StatusCode, Transport, UriBuf};

use super::call::{self, Call};
use super::core::Session;
use super::ending::Failure;
use super::file::FileTransfer;
use super::work::{Alarm, Work};
use super::{CallDirection, Route, State};
use crate::account::AccountId;
use crate::error::ClientError;
use crate::media::{FileDescription, Sound};
use crate::notification::{Data, Party};
use crate::streams::{StreamKind, Streams};

/// What a session is begun for.
pub(crate) enum Wanted {
    Streams(Streams),
    /// A file of ours: what the peer is told of it, and where it is.
    File(FileDescription, PathBuf),
}

impl Session {
    /// Begins a session with somebody.
    pub(super) fn connect(
        work: &mut Work<'_>,
        account: AccountId,
        callee: &str,
        routes: Vec<Route>,
        wanted: Wanted,
    ) -> Result<Session, ClientError> {
        let (streams, file) = match wanted {
            Wanted::Streams(streams) if streams.is_empty() => return Err(ClientError::NoStreams),
            // It takes a file to send one.
            Wanted::Streams(streams) if streams.file => return Err(ClientError::Unsupported(StreamKind::File)),
            Wanted::Streams(streams) => (streams, None),
            Wanted::File(description, path) => (Streams::file(), Some(FileTransfer::outgoing(work, description, path))),
        };
        let of_account = work.accounts.account(account).ok_or(ClientError::NoSuchAccount)?;
        let local_identity = NameAddrBuf::new(of_account.address());
        let target = work.accounts.target(account, callee)?;
        let mut session = Session::new(work, account, CallDirection::Outgoing);
        session.local_identity = Some(local_identity);
        session.remote_identity = Some((&target).into());
        let (transport, remote) = first_hop(&routes, &target);
        session.choose_local_address(work, transport, remote);
        session.target = Some(target);
        session.routes = routes;
        session.file = file;
        session.set_state(work, State::Calling);
        session.post(work, Data::SessionNewOutgoing { streams });
        session.set_alarm(work, Alarm::Ringing, work.settings.sip.invite_timeout);
        for kind in streams.iter() {
            session.prepare(work, kind, None);
        }
        Ok(session)
    }

    /// The streams are prepared: the INVITE goes out.
    pub(super) fn send_invite(&mut self, work: &mut Work<'_>) {
        let Some(target) = self.target.clone() else { return };
        let (account, routes) = (self.account, &self.routes);
        let request = work
            .with_accounts(|accounts, desk| accounts.create_request(desk, account, Method::Invite, &target, routes));
        let mut request = match request {
            Ok(request) => request,
            Err(error) => return self.fail_locally(work, None, error.to_string().into()),
        };
        call::introduce(request.headers_mut());
        self.name_transfer(&mut request);
        let offer = self.with_session_attributes(self.capabilities().offer());
        let body = Body::sdp(offer);
        if request.set_body(&body.content_type, body.octets).is_err() {
            return self.fail_locally(work, None, "the offer could not be written".into());
        }
        self.call_id = request.headers().first(HeaderName::CallId).map(Arc::from);
        let from = request.headers().get::<From>().and_then(Result::ok);
        self.local_identity = from.map(|from| from.without_tag().to_buf());
        self.contact = request.headers().first(HeaderName::Contact).and_then(|text| text.parse().ok());
        let policy = call::policy(work, self.contact.clone());
        let secure = self.routes.first().is_some_and(|route| route.transport.is_secure());
        let seed = work.endpoint.random();
        match InviteUsage::call(work.now, request, secure, policy, seed) {
            Ok(usage) => {
                self.call = Some(Call::new(usage));
                self.carry_on(work);
            }
            Err(misuse) => self.fail_locally(work, None, misuse.to_string().into()),
        }
    }

    /// A 2xx came from one of the forks. The first wins.
    pub(super) fn answered(&mut self, work: &mut Work<'_>, dialog: DialogKey, response: &Response, ack_owed: bool) {
        if self.dialog.is_some() || self.state != State::Calling {
            return self.leave_fork(work, dialog);
        }
        if ack_owed {
            let _ = self.step(work, Input::Acknowledge { dialog, body: None });
        }
        self.dialog = Some(dialog);
        self.clear_alarm(work, Alarm::Ringing);
        self.note_route(work);
        self.play(work, Sound::Silence);
        self.learn_peer(response.headers(), HeaderName::Server);
        self.applied = None;
        let agreed = self.exchange().and_then(sdp::OfferAnswer::agreement);
        let usable = agreed.is_some_and(|agreement| agreement.streams().iter().any(|stream| stream.enabled));
        if !usable {
            return self.answer_is_unusable(work, agreed.is_some());
        }
        self.start_time = Some(work.notices.time(work.now));
        self.post(work, Data::SessionWillStart);
        self.follow(work);
        self.close_unused_streams(work);
        self.set_state(work, State::Established);
        self.post(work, Data::SessionDidStart);
        self.started(work);
    }

    /// A fork that answers after another one has won is left with a BYE (RFC 3261 §13.2.2.4).
    fn leave_fork(&mut self, work: &mut Work<'_>, dialog: DialogKey) {
        let Some(call) = &mut self.call else { return };
        if let Ok(bye) = call.usage.create_request(dialog, Method::Bye) {
            let _ = self.step(work, Input::Send { dialog, request: bye });
        }
    }

    fn answer_is_unusable(&mut self, work: &mut Work<'_>, agreed: bool) {
        let why = match agreed {
            true => "no stream was accepted",
            false => "the answer can't be used",
        };
        self.say_bye(work);
        let reason = format!("SDP negotiation failed: {why}").into();
        self.fail(work, Failure { originator: Party::Local, code: None, reason, redirect: Vec::new() });
    }

    /// The INVITE has failed for good.
    pub(super) fn rejected(&mut self, work: &mut Work<'_>, status: StatusCode, response: Option<Response>) {
        self.note_route(work);
        if let Some(response) = &response
            && self.state == State::Calling
            && self.given_up.is_none()
            && self.call_with_credentials(work, response)
        {
            return;
        }
        if self.state == State::Terminating {
            return self.finish(work, Party::Local, None);
        }
        if let Some((code, reason)) = self.given_up.take() {
            return self.fail_locally(work, code, reason);
        }
        let originator = if response.is_some() { Party::Remote } else { Party::Local };
        let reason = match &response {
            Some(response) => reason_of(response),
            None => status.reason_phrase().into(),
        };
        let redirect = response.as_ref().filter(|_| status.code() / 100 == 3).map(contacts_of).unwrap_or_default();
        let sound = match status.code() {
            486 | 600 | 603 => Sound::Busy,
            _ => Sound::Silence,
        };
        self.fail(work, Failure { originator, code: Some(status), reason, redirect });
        self.play(work, sound);
    }

    fn call_with_credentials(&mut self, work: &mut Work<'_>, response: &Response) -> bool {
        if !matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED) {
            return false;
        }
        let Some(call) = &self.call else { return false };
        let Some(mut invite) = call.usage.initial_invite().cloned() else { return false };
        let account = self.account;
        let answered =
            work.with_accounts(|accounts, desk| accounts.answer_challenge(desk, account, &mut invite, response));
        answered.is_ok() && self.step(work, Input::Invite(invite)).is_ok()
    }

    /// Nobody has answered for so long that we cancel.
    pub(super) fn rang_too_long(&mut self, work: &mut Work<'_>) {
        match self.state {
            State::Calling => {
                self.give_up(work, Some(StatusCode::REQUEST_TIMEOUT), "Nobody has answered in time".into())
            }
            State::Incoming => self.not_taken(work),
            _ => {}
        }
    }

    /// Cancels the INVITE for a reason of ours; its final response makes it a failure.
    pub(super) fn give_up(&mut self, work: &mut Work<'_>, code: Option<StatusCode>, reason: Arc<str>) {
        if self.call.is_none() {
            return self.fail_locally(work, code, reason);
        }
        self.given_up = Some((code, reason));
        self.cancel_invite(work);
    }

    /// Cancels the INVITE that began the session (RFC 3261 §9.1).
    pub(super) fn cancel_invite(&mut self, work: &mut Work<'_>) {
        if let Some(client) = self.call.as_ref().and_then(Call::initial_invite) {
            // Told at once, for a request that still looks for its next hop is never sent then.
            let _ = work.endpoint.cancel(work.now, client, None);
        }
        let _ = self.step(work, Input::Cancel);
    }

    /// Fails for a reason of ours.
    pub(super) fn fail_locally(&mut self, work: &mut Work<'_>, code: Option<StatusCode>, reason: Arc<str>) {
        self.fail(work, Failure { originator: Party::Local, code, reason, redirect: Vec::new() });
    }
}

/// Where the first request goes, as far as is known before it is sent.
fn first_hop(routes: &[Route], target: &UriBuf) -> (Transport, Option<std::net::IpAddr>) {
    if let Some(route) = routes.first() {
        return (route.transport, Some(route.addr.ip()));
    }
    let uri = target.as_uri();
    let sip = uri.sip();
    let transport = sip.and_then(|uri| uri.transport()).unwrap_or(Transport::Udp);
    (transport, sip.and_then(|uri| uri.host().ip()))
}

/// The phrase of a response, with its warning.
pub(super) fn reason_of(response: &Response) -> Arc<str> {
    match response.headers().get::<Warning>() {
        Some(Ok(warning)) => format!("{} ({})", response.reason(), warning.text()).into(),
        _ => response.reason().into(),
    }
}

/// Where else the callee may be.
fn contacts_of(response: &Response) -> Vec<UriBuf> {
    let contacts = response.headers().all::<Contact>().filter_map(Result::ok);
    contacts
        .filter_map(|contact| match contact {
            Contact::Address(address) => Some(address.uri().to_buf()),
            _ => None,
        })
        .collect()
}
