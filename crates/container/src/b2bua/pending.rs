//! Messages that wait for the application: `getPendingMessages`.
//!
//! As a server it has received requests and not answered them. As a client it has made requests and not sent them, and
//! received responses that it has to acknowledge: 2xx to INVITE, reliable provisional ones (RFC 3262).

use servlet::spi::SessionKey;
use servlet::{Error, IllegalState, Method, SipServletMessage, SipServletResponse, UaMode};

use crate::core::Core;
use crate::ua_client::cseq_of;

/// How many responses are remembered: it is the peer who decides how many reliable ones it sends.
const MOST_PENDING: usize = 64;

impl Core {
    /// Remembers a response until the application has made its ACK or PRACK, which commits it.
    pub(crate) fn keep_unacknowledged(&self, session: SessionKey, response: &SipServletResponse) {
        if response.is_committed() || response.status().code() >= 300 {
            return;
        }
        if let Some(session) = self.state_mut().sessions.get_mut(session) {
            let pending = &mut session.make_ua().pending;
            if pending.len() < MOST_PENDING {
                pending.push(response.clone());
            }
        }
    }

    /// An ACK or PRACK was made for this response.
    pub(crate) fn response_acknowledged(&self, session: SessionKey, response: &SipServletResponse) {
        let mut state = self.state_mut();
        let Some(ua) = state.sessions.get_mut(session).and_then(|session| session.ua_mut()) else { return };
        // The caller has it too, so that nothing of the application's is dropped here.
        ua.pending.retain(|kept| kept != response);
        if ua.pending.is_empty() {
            ua.pending.shrink_to_fit();
        }
    }

    /// Responses that the application has not acknowledged, in the order in which they came.
    pub(crate) fn unacknowledged_responses(&self, session: SessionKey) -> Result<Vec<SipServletResponse>, Error> {
        let state = self.state();
        let session = state.sessions.get(session).ok_or(IllegalState::InvalidSession)?;
        let kept = session.ua.iter().flat_map(|ua| ua.pending.iter());
        Ok(kept.filter(|response| !response.is_committed()).cloned().collect())
    }

    pub(super) fn pending(&self, session: SessionKey, mode: UaMode) -> Result<Vec<SipServletMessage>, Error> {
        let mut pending = match mode {
            UaMode::Uas => self.unanswered(session)?,
            UaMode::Uac => {
                let mut pending = self.unsent(session)?;
                let responses = self.unacknowledged_responses(session)?;
                pending.extend(responses.iter().map(|response| response.as_message().clone()));
                pending
            }
        };
        pending.retain(|message| !message.is_committed());
        pending.sort_by_key(|message| cseq_of(message.sip().headers()));
        Ok(pending)
    }

    fn unanswered(&self, session: SessionKey) -> Result<Vec<SipServletMessage>, Error> {
        let state = self.state();
        let session = state.sessions.get(session).ok_or(IllegalState::InvalidSession)?;
        let received = session.open.iter().filter(|(_, is_server)| *is_server);
        let transactions = received.filter_map(|(key, _)| state.transactions.get(*key));
        let shown = transactions.filter(|transaction| !matches!(transaction.method, Method::Ack | Method::Prack));
        Ok(shown.filter_map(|shown| Some(shown.request.as_ref()?.as_message().clone())).collect())
    }

    fn unsent(&self, session: SessionKey) -> Result<Vec<SipServletMessage>, Error> {
        let state = self.state();
        let session = state.sessions.get(session).ok_or(IllegalState::InvalidSession)?;
        let unsent = session.ua.iter().flat_map(|ua| ua.unsent.iter());
        Ok(unsent.map(|unsent| unsent.request.as_message().clone()).collect())
    }
}
