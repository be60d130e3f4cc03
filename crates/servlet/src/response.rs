//! `SipServletResponse`.

use std::ops::Deref;

use sip_message::header::{Challenge, ProxyAuthenticate, WwwAuthenticate};
use sip_message::{Message, StatusCode};

use crate::error::{Error, IllegalArgument, IllegalState};
use crate::message::SipServletMessage;
use crate::proxy::{Proxy, ProxyBranch};
use crate::request::SipServletRequest;
use crate::spi::Direction;

/// A response: one that came, or one that the application makes.
///
/// Has the methods of [`SipServletMessage`] too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipServletResponse(SipServletMessage);

impl Deref for SipServletResponse {
    type Target = SipServletMessage;

    fn deref(&self) -> &SipServletMessage {
        &self.0
    }
}

impl SipServletResponse {
    pub(crate) fn of(message: SipServletMessage) -> SipServletResponse {
        SipServletResponse(message)
    }

    /// The same message, without knowing that it is a response.
    pub fn as_message(&self) -> &SipServletMessage {
        &self.0
    }

    /// The request that it answers: when it came through a proxy of this application, the one that was sent downstream.
    pub fn request(&self) -> Option<SipServletRequest> {
        self.facts().more.borrow().request.clone()
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.sip_response().status()
    }

    /// Changes the status of a response that was not sent, and gives it the usual phrase.
    pub fn set_status(&self, status: StatusCode) -> Result<(), Error> {
        if let Message::Response(response) = &mut *self.edit()? {
            response.set_status(status);
        }
        Ok(())
    }

    /// Changes the status and the phrase.
    pub fn set_status_with_reason(&self, status: StatusCode, reason: &str) -> Result<(), Error> {
        if let Message::Response(response) = &mut *self.edit()? {
            let before = response.status();
            response.set_status(status);
            if response.set_reason(reason).is_err() {
                response.set_status(before);
                return Err(IllegalArgument::HeaderValue.into());
            }
        }
        Ok(())
    }

    /// The phrase behind the status.
    pub fn reason_phrase(&self) -> String {
        self.sip_response().reason().to_owned()
    }

    /// The proxy whose branch brought it; `None` when it was not proxied.
    pub fn proxy(&self) -> Option<Proxy> {
        self.proxy_branch()?.proxy()
    }

    /// The branch that brought it.
    pub fn proxy_branch(&self) -> Option<ProxyBranch> {
        Some(ProxyBranch::new(self.host().clone(), self.facts().branch.get()?))
    }

    /// Whether it is the final response of one branch, and not the one that goes upstream.
    pub fn is_branch_response(&self) -> bool {
        self.facts().is_branch_response.get()
    }

    /// Sends a response that the application has made. [`IllegalState::NotOurs`] when it came from downstream,
    /// [`IllegalState::Committed`] when it was sent before.
    pub fn send(&self) -> Result<(), Error> {
        if self.facts().direction == Direction::Received {
            return Err(IllegalState::NotOurs.into());
        }
        self.host().send_response(self)
    }

    /// Sends a provisional response reliably (RFC 3262): until its PRACK comes, which is told as a request.
    pub fn send_reliably(&self) -> Result<(), Error> {
        if self.facts().direction == Direction::Received {
            return Err(IllegalState::NotOurs.into());
        }
        self.host().send_reliably(self)
    }

    /// The ACK of a 2xx to an INVITE; the container itself acknowledges every other final response.
    /// [`IllegalState::AlreadyAcknowledged`] the second time.
    pub fn create_ack(&self) -> Result<SipServletRequest, Error> {
        self.host().create_ack(self)
    }

    /// The PRACK of a reliable provisional response.
    pub fn create_prack(&self) -> Result<SipServletRequest, Error> {
        self.host().create_prack(self)
    }

    /// The realms that ask for credentials, each once.
    pub fn challenge_realms(&self) -> Vec<String> {
        let response = self.sip_response();
        let headers = response.headers();
        let www = headers.all::<WwwAuthenticate<'_>>().flatten().map(|header| header.0);
        let proxy = headers.all::<ProxyAuthenticate<'_>>().flatten().map(|header| header.0);
        let mut realms: Vec<String> = Vec::new();
        for challenge in www.chain(proxy) {
            if let Challenge::Digest(digest) = &challenge
                && !realms.iter().any(|known| *known == *digest.realm)
            {
                realms.push(digest.realm.to_string());
            }
        }
        realms
    }
}
