//! We are called: which INVITEs become a session, and what is done with one until it is answered.
//!
//! ```text
//!   INVITE ──┬── no account for its Request-URI: 404     Require with what we lack: 420
//!            ├── no dialog for its Replaces: 481         a body that is no description: 415
//!            ├── no stream that can be used: 488
//!            └── 180, INCOMING ──┬── accept: ACCEPTING (see `answering`)
//!                                ├── reject, end: 603
//!                                ├── CANCEL: 487, DidFail(remote)
//!                                └── nobody takes it: 480, DidFail(local)
//! ```

use std::sync::Arc;

use sdp::SessionDescription;
use sip_dialog::invite::{InviteUsage, ServerKey};
use sip_endpoint::ServerId;
use sip_message::header::{Contact, Warning};
use sip_message::{Flow, HeaderName, Headers, Request, Response, StatusCode};

use super::call::{self, Call};
use super::core::Session;
use super::ending::{Failure, reason_in};
use super::file::FileTransfer;
use super::offered;
use super::work::{Alarm, Work};
use super::{CallDirection, SessionId, State};
use crate::account::AccountId;
use crate::error::ClientError;
use crate::media::Sound;
use crate::notification::{Data, Party};
use crate::streams::Streams;

/// The extensions that an INVITE may require of us.
const KNOWN_EXTENSIONS: [&str; 7] = ["100rel", "timer", "replaces", "norefersub", "gruu", "outbound", "path"];

/// An INVITE of the peer's that began the session and has no final response.
pub(crate) struct Invitation {
    pub(super) transaction: ServerKey,
    pub(super) request: Request,
    pub(super) offer: Option<SessionDescription>,
    /// What the peer proposes.
    pub(super) streams: Streams,
}

/// An INVITE that can become a session.
pub(super) struct Admitted {
    account: AccountId,
    offer: Option<SessionDescription>,
    streams: Streams,
}

impl Admitted {
    /// Whether an INVITE can become a session; the error is the response that it deserves.
    pub(super) fn check(work: &Work<'_>, request: &Request) -> Result<Admitted, Box<Response>> {
        let refuse = |status| Box::new(Response::to(request, status));
        let headers = request.headers();
        if !headers.contains(HeaderName::To) {
            return Err(refuse(StatusCode::NOT_FOUND));
        }
        let account = work.accounts.find(&request.uri()).ok_or_else(|| refuse(StatusCode::NOT_FOUND))?;
        let unknown: Vec<&str> = headers
            .values(HeaderName::Require)
            .map(str::trim)
            .filter(|option| !KNOWN_EXTENSIONS.iter().any(|known| option.eq_ignore_ascii_case(known)))
            .collect();
        if !unknown.is_empty() {
            let mut response = refuse(StatusCode::BAD_EXTENSION);
            let _ = response.headers_mut().set(HeaderName::Unsupported, unknown.join(", "));
            return Err(response);
        }
        let offer = offered::offer_of(request);
        if offer.is_none() && !request.body().is_empty() {
            return Err(not_a_description(request));
        }
        let settings = work.accounts.account(account).map(|account| account.settings());
        let codecs = settings.and_then(|settings| settings.rtp.codecs.as_ref()).unwrap_or(&work.settings.audio.codecs);
        let encryption = settings.map(|settings| settings.rtp.encryption).unwrap_or_default();
        let streams = match &offer {
            None => Streams::audio(),
            Some(offer) => offered::usable_streams(offer, codecs, encryption),
        };
        if streams.is_empty() {
            let text = "No stream of the offer can be used";
            return Err(with_warning(work, refuse(StatusCode::NOT_ACCEPTABLE_HERE), 305, text));
        }
        Ok(Admitted { account, offer, streams })
    }

    pub(super) fn account(&self) -> AccountId {
        self.account
    }
}

impl Session {
    /// A session of an INVITE that has come. The error is the response that refuses it after all.
    pub(super) fn incoming(
        work: &mut Work<'_>,
        admitted: Admitted,
        server: ServerId,
        request: Request,
        flow: Flow,
        replaces: Option<SessionId>,
    ) -> Result<Session, Box<Response>> {
        let Admitted { account, offer, streams } = admitted;
        let contact = work.with_accounts(|accounts, desk| accounts.contact(desk, account, Some(&flow)));
        let policy = call::policy(work, Some(contact.clone()));
        let (tag, seed) = (work.endpoint.new_tag(), work.endpoint.random());
        let transaction = ServerKey(0);
        let secure = flow.transport.is_secure();
        let usage = InviteUsage::answer(transaction, &request, &tag, secure, policy, seed)?;
        let mut session = Session::new(work, account, CallDirection::Incoming);
        if let Some((key, dialog)) = usage.dialogs().next() {
            session.dialog = Some(key);
            session.local_identity = Some(dialog.local.clone());
            session.remote_identity = Some(dialog.remote.clone());
        }
        session.call_id = request.headers().first(HeaderName::CallId).map(Arc::from);
        session.contact = Some(contact);
        session.local_address = flow.local.ip();
        session.learn_peer(request.headers(), HeaderName::UserAgent);
        session.call = Some(Call::answering(usage, transaction, server));
        work.books.servers.insert(server, (session.id, transaction));
        session.replaces = replaces;
        session.file = offer.as_ref().filter(|_| streams.file).and_then(offered::file_of).map(FileTransfer::incoming);
        session.invitation = Some(Invitation { transaction, request, offer, streams });
        Ok(session)
    }

    /// Tells of the session, and lets it ring. One that takes the place of another is taken without being asked
    /// (RFC 3891 §3).
    pub(super) fn arrive(&mut self, work: &mut Work<'_>) {
        let Some(streams) = self.invitation.as_ref().map(|invitation| invitation.streams) else { return };
        if work.settings.sip.ring_at_once && self.replaces.is_none() {
            self.send_ringing(work);
        }
        self.set_state(work, State::Incoming);
        // The caller gives up before; this is for one that has vanished. RFC 3261 §16.6 gives a proxy three minutes.
        self.set_alarm(work, Alarm::Ringing, work.settings.sip.invite_timeout * 2);
        if self.replaces.is_none() {
            self.play(work, Sound::InboundRing);
        }
        self.post(work, Data::SessionNewIncoming { streams });
        if self.replaces.is_some() {
            // The streams are among those offered, and the state is the right one.
            let _ = self.accept(work, Streams { file: false, ..streams });
        }
    }

    /// Says 180.
    pub(crate) fn ring(&mut self, work: &mut Work<'_>) -> Result<(), ClientError> {
        if self.state != State::Incoming {
            return Err(self.illegal("ring"));
        }
        self.send_ringing(work);
        Ok(())
    }

    fn send_ringing(&mut self, work: &mut Work<'_>) {
        let Some(invitation) = &self.invitation else { return };
        let response = Response::to(&invitation.request, StatusCode::RINGING);
        self.respond(work, invitation.transaction, response);
    }

    /// Accepts the session with these of its streams.
    pub(crate) fn accept(&mut self, work: &mut Work<'_>, streams: Streams) -> Result<(), ClientError> {
        let Some(invitation) = self.invitation.as_ref().filter(|_| self.state == State::Incoming) else {
            return Err(self.illegal("accept"));
        };
        check_accepted(streams, invitation.streams)?;
        let offer = invitation.offer.clone().map(Arc::new);
        self.clear_alarm(work, Alarm::Ringing);
        self.set_state(work, State::Accepting);
        self.play(work, Sound::Silence);
        for kind in streams.iter() {
            let line = offer.as_ref().and_then(|offer| Some((Arc::clone(offer), offered::index_of(offer, kind)?)));
            self.prepare(work, kind, line);
        }
        Ok(())
    }

    /// Rejects the session. Of one that is over nothing is left to reject: the caller was faster.
    pub(crate) fn reject(&mut self, work: &mut Work<'_>, code: Option<StatusCode>) -> Result<(), ClientError> {
        match self.state {
            State::Incoming => {}
            State::Terminated => return Ok(()),
            _ => return Err(self.illegal("reject")),
        }
        let code = code.filter(|code| code.code() >= 300).unwrap_or(StatusCode::DECLINE);
        self.set_state(work, State::Terminating);
        self.post(work, Data::SessionWillEnd);
        self.refuse_invitation(work, code);
        self.finish(work, Party::Local, None);
        Ok(())
    }

    /// Gives the INVITE that began the session a failure.
    pub(super) fn refuse_invitation(&mut self, work: &mut Work<'_>, status: StatusCode) {
        if let Some(invitation) = self.invitation.take() {
            let response = Response::to(&invitation.request, status);
            self.respond(work, invitation.transaction, response);
        }
    }

    /// Nobody has taken the call.
    pub(super) fn not_taken(&mut self, work: &mut Work<'_>) {
        self.refuse_invitation(work, StatusCode::TEMPORARILY_UNAVAILABLE);
        self.fail_locally(work, Some(StatusCode::TEMPORARILY_UNAVAILABLE), "Nobody has answered in time".into());
    }

    /// The peer has cancelled an INVITE; it was answered 487.
    pub(super) fn cancelled(&mut self, work: &mut Work<'_>, cancel: &Request) {
        if self.invitation.take().is_some() {
            let reason = reason_in(cancel.headers()).unwrap_or_else(|| "Request cancelled".into());
            return self.fail(work, Failure { originator: Party::Remote, code: None, reason, redirect: Vec::new() });
        }
        self.forget_restart(work);
        self.proposal_was_cancelled(work);
    }

    /// Takes note of what the peer calls itself, and whether it is a conference (RFC 4579 §3.3).
    pub(super) fn learn_peer(&mut self, headers: &Headers, name: HeaderName) {
        let agent = headers.first(name).or_else(|| headers.first(HeaderName::UserAgent));
        if let Some(agent) = agent.or_else(|| headers.first(HeaderName::Server)) {
            self.remote_user_agent = Some(agent.into());
        }
        if let Some(Ok(Contact::Address(contact))) = headers.get::<Contact>() {
            self.remote_focus = contact.params().contains("isfocus");
        }
    }
}

/// Whether what is accepted was proposed.
pub(super) fn check_accepted(accepted: Streams, proposed: Streams) -> Result<(), ClientError> {
    if accepted.is_empty() {
        return Err(ClientError::NoStreams);
    }
    match accepted.iter().find(|kind| !proposed.has(*kind)) {
        Some(kind) => Err(ClientError::NotProposed(kind)),
        None => Ok(()),
    }
}

fn not_a_description(request: &Request) -> Box<Response> {
    let is_description = call::is_description(request.headers());
    let status = if is_description { StatusCode::NOT_ACCEPTABLE_HERE } else { StatusCode::UNSUPPORTED_MEDIA_TYPE };
    let mut response = Box::new(Response::to(request, status));
    let _ = response.headers_mut().set(HeaderName::Accept, "application/sdp");
    response
}

/// Says why, for people (RFC 3261 §20.43).
pub(super) fn with_warning(work: &Work<'_>, mut response: Box<Response>, code: u16, text: &str) -> Box<Response> {
    let product = work.accounts.user_agent();
    let agent = product.split([' ', '/']).next().filter(|agent| !agent.is_empty()).unwrap_or("client");
    if let Ok(warning) = Warning::new(code, agent, text) {
        let _ = response.headers_mut().set(HeaderName::Warning, warning);
    }
    response
}
