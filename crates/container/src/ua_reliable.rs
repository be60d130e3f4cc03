//! Reliable provisional responses at the server: RFC 3262 §3.
//!
//! Each session has its own numbers and its own queue: what a B2BUA answers for another fork is an early dialog of its
//! own, whose client counts RSeq by itself.

use servlet::spi::{SessionKey, TransactionKey};
use servlet::{Error, IllegalState, Rel100Error, SipServletResponse};
use sip_dialog::reliable::ReliableSender;
use sip_message::header::Rack;
use sip_message::{HeaderName, Method, Response, StatusCode};

use crate::core::Core;
use crate::state::State;
use crate::transaction::TransactionRole;

/// What a session sends reliably in answer to its INVITE.
pub(crate) struct Reliable {
    /// The INVITE.
    pub(crate) transaction: TransactionKey,
    pub(crate) sender: ReliableSender,
    /// The 2xx that waits for a PRACK.
    held: Option<Response>,
}

impl Core {
    /// `SipServletResponse.sendReliably`.
    pub(crate) fn send_made_reliably(&self, response: &SipServletResponse) -> Result<(), Error> {
        let (key, session) = self.check_response(response)?;
        let status = response.status();
        if status == StatusCode::TRYING || !status.is_provisional() {
            return Err(Rel100Error::Not1xx.into());
        }
        if response.method() != Method::Invite {
            return Err(Rel100Error::NotInvite.into());
        }
        let supported = response.request().is_some_and(|request| {
            let request = request.sip_request();
            let headers = request.headers();
            headers.has_token(HeaderName::Supported, "100rel") || headers.has_token(HeaderName::Require, "100rel")
        });
        if !supported {
            return Err(Rel100Error::NoRequestSupport.into());
        }
        let mut sip = response.sip_response().clone();
        self.complete_response(key, session, response.session_keep_alive_preference(), &mut sip)?;
        response.facts().committed.set(true);
        let mut state = self.state_mut();
        let (now, timers, random) = (state.now, state.timers_of_sip, state.random() as u32);
        let transaction = state.transactions.get_mut(key).ok_or(IllegalState::TransactionEnded)?;
        transaction.role = TransactionRole::Uas;
        let cseq = transaction.cseq;
        let ua = state.sessions.get_mut(session).ok_or(IllegalState::InvalidSession)?.make_ua();
        let reliable = match &mut ua.reliable {
            Some(reliable) if reliable.transaction == key => reliable,
            other => other.insert(Box::new(Reliable {
                transaction: key,
                sender: ReliableSender::new(cseq, random),
                held: None,
            })),
        };
        ua.refresh.note_description(sip.headers(), sip.body());
        let first = reliable.sender.send(now, &timers, sip);
        state.rearm_dialog(session);
        drop(state);
        if let Some(first) = first {
            self.send_as_uas(key, session, first);
        }
        Ok(())
    }

    /// A PRACK has come for what was sent reliably (RFC 3262 §3). An error: 481.
    pub(crate) fn prack_received(&self, session: SessionKey, rack: &Rack) -> Result<(), StatusCode> {
        let mut state = self.state_mut();
        let (now, timers) = (state.now, state.timers_of_sip);
        let record = state.sessions.get_mut(session);
        let reliable = record.and_then(|record| record.ua_mut()?.reliable.as_mut());
        let reliable = reliable.ok_or(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST)?;
        reliable.sender.prack(rack).map_err(|error| error.status())?;
        let key = reliable.transaction;
        let next = reliable.sender.next(now, &timers);
        let held = if reliable.sender.holds_success() { None } else { reliable.held.take() };
        state.rearm_dialog(session);
        drop(state);
        for response in next.into_iter().chain(held) {
            self.send_as_uas(key, session, response);
        }
        Ok(())
    }
}

impl State {
    /// Keeps a 2xx that has to wait for the PRACK of a description (RFC 3262 §3). Gives it back when it has not.
    pub(crate) fn hold_success(&mut self, key: TransactionKey, session: SessionKey, sip: Response) -> Option<Response> {
        let record = self.sessions.get_mut(session);
        let reliable = record.and_then(|record| record.ua_mut()?.reliable.as_mut());
        match reliable {
            Some(reliable) if reliable.transaction == key && reliable.sender.holds_success() => {
                reliable.held = Some(sip);
                None
            }
            _ => Some(sip),
        }
    }

    /// An INVITE has its final response: nothing is repeated any more, in none of the sessions that have answered it.
    pub(crate) fn finish_reliable(&mut self, key: TransactionKey, session: SessionKey) {
        let ua = self.sessions.get(session).and_then(|record| record.ua.as_deref());
        if ua.is_none_or(|ua| ua.reliable.is_none() && !ua.is_derived && ua.derived.is_empty()) {
            return;
        }
        let members = self.fork_members(session).unwrap_or_default();
        for member in members {
            let record = self.sessions.get_mut(member);
            let reliable = record.and_then(|record| record.ua_mut()?.reliable.as_mut());
            if let Some(reliable) = reliable.filter(|reliable| reliable.transaction == key) {
                reliable.sender.finish();
                reliable.held = None;
            }
        }
    }
}

impl crate::session::Session {
    /// Whether a 2xx of ours waits for a PRACK.
    pub(crate) fn holds_success(&self) -> bool {
        self.ua.as_ref().and_then(|ua| ua.reliable.as_ref()).is_some_and(|reliable| reliable.held.is_some())
    }
}
