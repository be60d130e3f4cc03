//! Telling listeners: one thing at a time, in the order in which things happen, each to all its listeners before the next.
//!
//! ```text
//!   set_attribute ─► change ─► notices ─► told to each listener ─┐
//!   create …      ─► change ─┘    ▲                              ├─► the next notice; when there is none:
//!   invalidate    ─► endings      └── what listeners do ◄────────┘   one step of the end that was begun last
//! ```
//!
//! What a listener does while it is being told waits its turn: a change that it makes is made at once and told afterwards,
//! and a session that it invalidates ends when the other listeners have heard what this one has. So nobody hears of a
//! thing after its opposite. Outside of listeners nothing waits: when a call returns, everything is told.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use servlet::spi::{AppId, AppSessionKey, SessionKey};
use servlet::{AttributeValue, BindingEvent};

use crate::core::Core;
use crate::jobs::contained;

/// What is to be told, and what is to be ended.
#[derive(Default)]
pub(crate) struct Telling {
    notices: RefCell<VecDeque<Notice>>,
    /// Sessions of both kinds that are being invalidated; the last one is worked on.
    pub(crate) endings: RefCell<Vec<Ending>>,
    underway: Cell<bool>,
}

/// Something that has happened.
#[derive(Debug)]
pub(crate) enum Notice {
    AppSession(AppSessionKey, Occasion),
    Session(SessionKey, Occasion),
    Attribute { app: AppId, event: BindingEvent, change: Change },
}

/// What has become of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    Created,
    ReadyToInvalidate,
    /// It is valid as long as this is being told.
    Destroyed,
}

/// What has become of an attribute.
#[derive(Debug)]
pub(crate) enum Change {
    Added(AttributeValue),
    Removed(AttributeValue),
    Replaced { was: AttributeValue, is: AttributeValue },
}

/// A session that is being invalidated; see [`crate::lifecycle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Session(SessionKey),
    AppSession(AppSessionKey),
}

/// Remembers to say that nobody is being told any more.
struct Underway<'a>(&'a Cell<bool>);

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl Core {
    /// Tells of something: now, or, within a listener, when what it is told has been told.
    pub(crate) fn tell(&self, notice: Notice) {
        self.telling.notices.borrow_mut().push_back(notice);
        self.tell_all();
    }

    /// Tells whatever there is to be told, and ends whatever is to be ended.
    pub(crate) fn tell_all(&self) {
        if self.telling.underway.replace(true) {
            return;
        }
        let _underway = Underway(&self.telling.underway);
        loop {
            let notice = self.telling.notices.borrow_mut().pop_front();
            match notice {
                Some(notice) => self.deliver(notice),
                None if self.end_next() => {}
                None => return,
            }
        }
    }

    /// Tells each listener of one thing; only [`Core::tell_all`] and what it calls may do so.
    pub(crate) fn deliver(&self, notice: Notice) {
        match notice {
            Notice::AppSession(key, occasion) => self.deliver_of_app_session(key, occasion),
            Notice::Session(key, occasion) => self.deliver_of_session(key, occasion),
            Notice::Attribute { app, event, change } => self.deliver_of_attribute(app, &event, change),
        }
    }

    fn deliver_of_app_session(&self, key: AppSessionKey, occasion: Occasion) {
        let Some(app) = self.state().app_sessions.get(key).map(|session| session.app) else { return };
        let listeners = &self.app(app).application.parts.application_session_listeners;
        if listeners.is_empty() {
            return;
        }
        let Some(session) = self.app_session(key) else { return };
        for listener in listeners {
            self.listener(app, || match occasion {
                Occasion::Created => listener.session_created(&session),
                Occasion::ReadyToInvalidate => listener.session_ready_to_invalidate(&session),
                Occasion::Destroyed => listener.session_destroyed(&session),
            });
        }
    }

    fn deliver_of_session(&self, key: SessionKey, occasion: Occasion) {
        let Some(app) = self.state().sessions.get(key).map(|session| session.app) else { return };
        let listeners = &self.app(app).application.parts.session_listeners;
        if listeners.is_empty() {
            return;
        }
        let Some(session) = self.session(key) else { return };
        for listener in listeners {
            self.listener(app, || match occasion {
                Occasion::Created => listener.session_created(&session),
                Occasion::ReadyToInvalidate => listener.session_ready_to_invalidate(&session),
                Occasion::Destroyed => listener.session_destroyed(&session),
            });
        }
    }

    /// First the value itself is told, which may have been waiting to be bound; then those that look on.
    fn deliver_of_attribute(&self, app: AppId, event: &BindingEvent, change: Change) {
        match &change {
            Change::Added(is) => self.listener(app, || is.attribute().value_bound(event)),
            Change::Removed(was) => self.listener(app, || was.attribute().value_unbound(event)),
            Change::Replaced { was, is } => {
                self.listener(app, || is.attribute().value_bound(event));
                self.listener(app, || was.attribute().value_unbound(event));
            }
        }
        for listener in &self.app(app).application.parts.attribute_listeners {
            self.listener(app, || match &change {
                Change::Added(_) => listener.attribute_added(event),
                Change::Removed(_) => listener.attribute_removed(event),
                Change::Replaced { .. } => listener.attribute_replaced(event),
            });
        }
        // The last one who has a value lets go of it here, and what the application does then is application code, too.
        self.listener(app, move || drop(change));
    }

    /// Calls a listener. Its panic ends with it.
    pub(crate) fn listener(&self, app: AppId, call: impl FnOnce()) {
        if let Err(panic) = contained(call) {
            let app = self.app(app);
            app.counters.failed_handlers.add(1);
            tracing::error!(application = %app.name, %panic, "a listener has panicked");
        }
    }
}

#[cfg(test)]
mod tests;
