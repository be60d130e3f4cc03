//! `B2buaHelper`: two legs, and what belongs together on them.

use sip_message::{Method, StatusCode};

use crate::error::Error;
use crate::message::SipServletMessage;
use crate::request::SipServletRequest;
use crate::response::SipServletResponse;
use crate::session::SipSession;
use crate::spi::Host;

/// Header values that take the place of those that would be copied: From, To, Contact, Route and everything that is not
/// a system header.
pub type HeaderMap = std::collections::BTreeMap<String, Vec<String>>;

/// Which side of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UaMode {
    /// What was sent.
    Uac,
    /// What was received.
    Uas,
}

/// Helps an application that is a back-to-back user agent.
#[derive(Clone)]
pub struct B2buaHelper {
    host: Host,
}

impl B2buaHelper {
    pub(crate) fn new(host: Host) -> B2buaHelper {
        B2buaHelper { host }
    }

    /// The second leg's initial request: a new session with a new Call-ID and From tag in the same application session,
    /// everything else copied from `original`, but for what `headers` replaces. With `linked`, the two sessions and the
    /// two requests belong together from now on.
    ///
    /// [`crate::IllegalArgument::Request`] when `original` is not initial, [`crate::IllegalArgument::Linked`] when its
    /// session is linked already, [`crate::IllegalArgument::SystemHeader`] for a header that can't be replaced,
    /// [`Error::TooManyHops`] when Max-Forwards is 0.
    pub fn create_request(
        &self,
        original: &SipServletRequest,
        linked: bool,
        headers: Option<&HeaderMap>,
    ) -> Result<SipServletRequest, Error> {
        self.host.b2bua_create_request(original, linked, headers)
    }

    /// A request in `session` that is the other leg's `original`; both are linked.
    pub fn create_subsequent_request(
        &self,
        session: &SipSession,
        original: &SipServletRequest,
        headers: Option<&HeaderMap>,
    ) -> Result<SipServletRequest, Error> {
        self.host.b2bua_create_subsequent(session.key(), Some(original), headers)
    }

    /// The CANCEL of a session's initial INVITE.
    pub fn create_cancel(&self, session: &SipSession) -> Result<SipServletRequest, Error> {
        self.host.b2bua_create_cancel(session.key())
    }

    /// Another response to the request that began a session, also when the application has let go of it. A second one
    /// that makes a dialog of its own has a To tag and a session of its own.
    pub fn create_response_to_original_request(
        &self,
        session: &SipSession,
        status: StatusCode,
        reason: Option<&str>,
    ) -> Result<SipServletResponse, Error> {
        self.host.b2bua_response_to_original(session.key(), status, reason)
    }

    /// What the other leg has answered, as a response to `original`: status, phrase, body, and every header that is the
    /// application's. When it makes a dialog of another fork, it has the tag and the session of that fork on this leg.
    ///
    /// [`crate::IllegalState::FinalResponseSent`] when `original` was answered, [`crate::IllegalArgument::Linked`] when a
    /// fork has no session on this leg.
    pub fn create_response(
        &self,
        original: &SipServletRequest,
        response: &SipServletResponse,
    ) -> Result<SipServletResponse, Error> {
        self.host.b2bua_create_response(original, response)
    }

    /// The other leg. Of a session that was derived by forking, one that is derived on the other leg as well.
    pub fn linked_session(&self, session: &SipSession) -> Result<Option<SipSession>, Error> {
        self.host.linked_session(session.key())
    }

    /// The other leg's request.
    pub fn linked_request(&self, request: &SipServletRequest) -> Option<SipServletRequest> {
        self.host.linked_request(request)
    }

    /// Makes two sessions of one application session the legs of one call.
    pub fn link_sip_sessions(&self, one: &SipSession, other: &SipSession) -> Result<(), Error> {
        self.host.link_sessions(one.key(), other.key())
    }

    /// Takes two legs apart, and their requests.
    pub fn unlink_sip_sessions(&self, session: &SipSession) -> Result<(), Error> {
        self.host.unlink_session(session.key())
    }

    /// What was received and not answered, or made and not sent, in the order of CSeq.
    pub fn pending_messages(&self, session: &SipSession, mode: UaMode) -> Result<Vec<SipServletMessage>, Error> {
        self.host.pending_messages(session.key(), mode)
    }

    /// Sends the other leg what came on one, with the same method and body: what most B2BUAs do with a request of a
    /// dialog.
    pub fn relay(&self, request: &SipServletRequest) -> Result<Option<SipServletRequest>, Error> {
        if request.method() == Method::Ack || request.method() == Method::Cancel {
            return Ok(None);
        }
        let Some(other) = self.linked_session(&request.session()?)? else { return Ok(None) };
        let relayed = self.create_subsequent_request(&other, request, None)?;
        relayed.send()?;
        Ok(Some(relayed))
    }
}

impl std::fmt::Debug for B2buaHelper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("B2buaHelper")
    }
}
