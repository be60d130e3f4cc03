//! How application sessions end of age (SIP Servlet 1.1 §6.1.2 and §6.3).
//!
//! ```text
//!   a request comes or goes, a response comes ──► expires_at = now + lifetime       the timer stays where it is
//!
//!   the timer fires ──► expires_at is later ──► armed again
//!                  └──► session_expired ──set_expires──► lives on
//!                                      └──────────────► invalidated
//! ```
//!
//! While the listeners hear of it nothing but `set_expires` extends the session; what is sent then does not.

use std::pin::Pin;
use std::task::{Context, Poll};

use servlet::spi::{AppSessionKey, Task};
use servlet::{Error, Expiration, Granted, IllegalState, Minutes, SipApplicationSession};

use crate::core::Core;
use crate::jobs::{Then, Work, poll_contained};
use crate::order::Order;
use crate::state::{Armed, Due, State};

impl Core {
    /// The timer has fired, and its turn has come. Gives what tells the listeners, if there are any.
    pub(crate) fn expiry_due(&self, key: AppSessionKey) -> Option<Work> {
        if !self.state_mut().has_expired(key) {
            return None;
        }
        let app = self.state().app_sessions.get(key)?.app;
        let listeners = &self.app(app).application.parts.application_session_listeners;
        if listeners.is_empty() {
            self.expiry_done(key);
            return None;
        }
        let session = self.app_session(key)?;
        let told: Vec<Task> =
            listeners.iter().map(|listener| listener.clone().session_expired(session.clone())).collect();
        Some(Work { app, future: tell_all(session, told), then: Then::Expired })
    }

    /// The listeners have heard that the session's time has come: it ends, unless one has extended it.
    pub(crate) fn expiry_done(&self, key: AppSessionKey) {
        let app = match self.state().app_sessions.get(key) {
            Some(session) if session.expired => session.app,
            _ => return,
        };
        self.app(app).counters.sessions_expired.add(1);
        // Fails when one of the listeners has begun it; then there is nothing to be done.
        let _ = self.end_app_session(key);
    }

    /// `getExpirationTime`.
    pub(crate) fn expiration_of(&self, key: AppSessionKey) -> Result<Expiration, Error> {
        let state = self.state();
        let session = state.app_sessions.get(key).ok_or(IllegalState::InvalidApplicationSession)?;
        Ok(match session.expires_at {
            None => Expiration::Never,
            Some(at) if session.expired || at <= state.now => Expiration::Expired,
            Some(at) => Expiration::At(state.clock.time(at)),
        })
    }

    /// `setExpires`.
    pub(crate) fn extend(&self, key: AppSessionKey, after: Minutes) -> Result<Granted, Error> {
        let mut state = self.state_mut();
        let now = state.now;
        let session = state.app_sessions.get_mut(key).filter(|session| !session.ending);
        let session = session.ok_or(IllegalState::InvalidApplicationSession)?;
        session.expired = false;
        session.lifetime = (after.0 > 0).then(|| after.duration());
        session.expires_at = session.lifetime.map(|lifetime| now + lifetime);
        state.rearm_expiry(key);
        Ok(if after.0 > 0 { Granted::Minutes(after) } else { Granted::Forever })
    }
}

impl State {
    /// Whether a session's time has come; if not, its timer is armed for the rest.
    fn has_expired(&mut self, key: AppSessionKey) -> bool {
        let now = self.now;
        let Some(session) = self.app_sessions.get_mut(key).filter(|session| !session.ending) else { return false };
        match session.expires_at {
            Some(at) if at <= now => {
                session.expired = true;
                session.expiry_timer = Armed::No;
                true
            }
            _ => {
                self.rearm_expiry(key);
                false
            }
        }
    }

    /// Arms the timer for the time that has been set, which may be earlier than the one that it is armed for.
    fn rearm_expiry(&mut self, key: AppSessionKey) {
        let now = self.now;
        let Some(session) = self.app_sessions.get_mut(key) else { return };
        let (mut armed, expires_at) = (session.expiry_timer, session.expires_at);
        if armed == Armed::Ordered {
            // It is not armed twice: the order that is on its way is changed.
            let orders = &mut self.orders;
            orders.retain(|order| !matches!(order, Order::Arm { due: Due::Expiry(of), .. } if *of == key));
        }
        self.disarm(&mut armed);
        if let Some(at) = expires_at {
            armed = self.arm(Due::Expiry(key), at.saturating_duration_since(now));
        }
        if let Some(session) = self.app_sessions.get_mut(key) {
            session.expiry_timer = armed;
        }
    }
}

/// Tells listeners one after the other, as long as the session is valid. One that fails or panics does not keep the others
/// from being told; the first failure is that of the whole.
fn tell_all(session: SipApplicationSession, told: Vec<Task>) -> Task {
    Box::pin(async move {
        let mut result = Ok(());
        for future in told {
            if session.is_valid() {
                result = result.and(Contained(future).await);
            }
        }
        result
    })
}

/// A future whose panic is its failure.
struct Contained(Task);

impl Future for Contained {
    type Output = servlet::Result;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<servlet::Result> {
        poll_contained(self.0.as_mut(), context).unwrap_or_else(|panic| Poll::Ready(Err(panic.into())))
    }
}

#[cfg(test)]
mod tests;
