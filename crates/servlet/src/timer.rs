//! `ServletTimer`, and `TimerService` in the shape of methods of the application session.

use std::fmt;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use crate::attribute::Attribute;
use crate::sip_application_session::SipApplicationSession;
use crate::spi::{Host, TimerKey};

/// A timer of an application session; see [`SipApplicationSession::create_timer`].
///
/// When it fires, the application's [`crate::TimerListener`] is told, as one of the session's events.
#[derive(Clone)]
pub struct ServletTimer {
    host: Host,
    key: TimerKey,
    session: SipApplicationSession,
}

impl ServletTimer {
    /// A handle; made by containers.
    #[doc(hidden)]
    pub fn new(host: Host, key: TimerKey, session: SipApplicationSession) -> ServletTimer {
        ServletTimer { host, key, session }
    }

    /// What the container calls it.
    #[doc(hidden)]
    pub fn key(&self) -> TimerKey {
        self.key
    }

    /// The id, unique in its application session.
    pub fn id(&self) -> String {
        format!("{:x}-{:x}", self.key.slot, self.key.generation)
    }

    /// The application session.
    pub fn application_session(&self) -> &SipApplicationSession {
        &self.session
    }

    /// What the application gave it. `None` when the timer is over, or its info is of another type.
    pub fn info<T: Attribute>(&self) -> Option<Rc<T>> {
        self.host.timer_info(self.key)?.get()
    }

    /// Whether it will fire, or fires now.
    pub fn is_active(&self) -> bool {
        self.host.timer_is_active(self.key)
    }

    /// How long until it fires; zero when it is due, `None` when it is over.
    pub fn time_remaining(&self) -> Option<Duration> {
        Some(self.host.timer_times(self.key)?.remaining)
    }

    /// The time for which its latest firing was scheduled; `None` before the first.
    pub fn scheduled_execution_time(&self) -> Option<SystemTime> {
        self.host.timer_times(self.key)?.last_scheduled
    }

    /// Ends it. It does not fire any more once this returns, also not when it was due. Whether it was active.
    pub fn cancel(&self) -> bool {
        self.host.cancel_timer(self.key)
    }
}

impl PartialEq for ServletTimer {
    fn eq(&self, other: &ServletTimer) -> bool {
        self.key == other.key
    }
}

impl Eq for ServletTimer {}

impl fmt::Debug for ServletTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServletTimer({})", self.id())
    }
}
