//! What handles of application sessions ask for, and the attributes of sessions of both kinds.

use servlet::spi::{AppId, AppSessionKey, AppSessions, HolderKey, Task};
use servlet::{
    AttributeValue, BindingEvent, Error, Expiration, Granted, Holder, IllegalArgument, IllegalState, Minutes,
    ServletTimer, SipSession,
};

use crate::attributes::Attributes;
use crate::core::Core;
use crate::jobs::Job;
use crate::listeners::{Change, Notice};
use crate::state::State;

/// Names that are not the application's: those of the interface itself.
const RESERVED: &str = "javax.servlet.sip.";

impl AppSessions for Core {
    fn app_session_is_valid(&self, key: AppSessionKey) -> bool {
        self.state().app_sessions.get(key).is_some()
    }

    fn app_of(&self, key: AppSessionKey) -> Option<AppId> {
        Some(self.state().app_sessions.get(key)?.app)
    }

    fn expiration(&self, key: AppSessionKey) -> Result<Expiration, Error> {
        self.expiration_of(key)
    }

    fn set_expires(&self, key: AppSessionKey, after: Minutes) -> Result<Granted, Error> {
        self.extend(key, after)
    }

    fn invalidate_app_session(&self, key: AppSessionKey) -> Result<(), Error> {
        self.end_app_session(key)
    }

    fn app_session_is_ready(&self, key: AppSessionKey) -> Result<bool, Error> {
        let state = self.state();
        let session = state.app_sessions.get(key).ok_or(IllegalState::InvalidApplicationSession)?;
        Ok(state.app_session_is_ready(session))
    }

    fn app_session_invalidate_when_ready(&self, key: AppSessionKey) -> Result<bool, Error> {
        let state = self.state();
        let session = state.app_sessions.get(key).ok_or(IllegalState::InvalidApplicationSession)?;
        Ok(session.invalidate_when_ready)
    }

    fn set_app_session_invalidate_when_ready(&self, key: AppSessionKey, when: bool) -> Result<(), Error> {
        self.watch_app_session(key, when)
    }

    fn sip_sessions(&self, key: AppSessionKey) -> Result<Vec<SipSession>, Error> {
        let state = self.state();
        let sessions = &state.app_sessions.get(key).ok_or(IllegalState::InvalidApplicationSession)?.sessions;
        let facts = sessions.iter().filter_map(|key| Some((*key, state.sessions.get(*key)?.facts.clone())));
        Ok(facts.map(|(key, facts)| SipSession::new(self.host(), key, facts)).collect())
    }

    fn timers(&self, key: AppSessionKey) -> Result<Vec<ServletTimer>, Error> {
        if !self.app_session_is_valid(key) {
            return Err(IllegalState::InvalidApplicationSession.into());
        }
        Ok(self.timers_of(key))
    }

    fn run_in(&self, key: AppSessionKey, task: Task) -> Result<(), Error> {
        let app = self.state().app_sessions.get(key).filter(|session| !session.ending).map(|session| session.app);
        match app {
            Some(app) => {
                self.submit(key, Job::Run(app, task));
                Ok(())
            }
            None => Err(IllegalState::InvalidApplicationSession.into()),
        }
    }

    fn attribute(&self, holder: HolderKey, name: &str) -> Result<Option<AttributeValue>, Error> {
        let state = self.state();
        Ok(state.attributes(holder)?.get(name))
    }

    fn attribute_names(&self, holder: HolderKey) -> Result<Vec<String>, Error> {
        let state = self.state();
        Ok(state.attributes(holder)?.names())
    }

    fn set_attribute(&self, holder: HolderKey, name: &str, value: AttributeValue) -> Result<(), Error> {
        let event_holder = self.holder(holder).ok_or_else(|| invalid(holder))?;
        let (app, name, was) = {
            let mut state = self.state_mut();
            let (app, ending, attributes) = state.attributes_mut(holder)?;
            if ending {
                return Err(invalid(holder));
            }
            if name.is_empty() || name.starts_with(RESERVED) {
                return Err(IllegalArgument::Name(name.into()).into());
            }
            let (name, was) = attributes.set(name, value.clone());
            (app, name, was)
        };
        let change = match was {
            None => Change::Added(value),
            Some(was) => Change::Replaced { was, is: value },
        };
        self.tell(Notice::Attribute { app, event: BindingEvent { holder: event_holder, name }, change });
        Ok(())
    }

    fn remove_attribute(&self, holder: HolderKey, name: &str) -> Result<(), Error> {
        let event_holder = self.holder(holder).ok_or_else(|| invalid(holder))?;
        let (app, removed) = {
            let mut state = self.state_mut();
            let (app, _, attributes) = state.attributes_mut(holder)?;
            (app, attributes.remove(name))
        };
        if let Some((name, was)) = removed {
            let event = BindingEvent { holder: event_holder, name };
            self.tell(Notice::Attribute { app, event, change: Change::Removed(was) });
        }
        Ok(())
    }
}

impl Core {
    /// Unbinds the attribute of a session that ends which was bound last. Whether there was one.
    pub(crate) fn unbind_last(&self, holder: HolderKey) -> bool {
        let popped = {
            let mut state = self.state_mut();
            let Ok((app, _, attributes)) = state.attributes_mut(holder) else { return false };
            attributes.pop().map(|(name, was)| (app, name, was))
        };
        let Some((app, name, was)) = popped else { return false };
        let Some(holder) = self.holder(holder) else { return false };
        self.deliver(Notice::Attribute { app, event: BindingEvent { holder, name }, change: Change::Removed(was) });
        true
    }

    fn holder(&self, holder: HolderKey) -> Option<Holder> {
        match holder {
            HolderKey::Application(key) => self.app_session(key).map(Holder::Application),
            HolderKey::Session(key) => self.session(key).map(Holder::Session),
        }
    }
}

impl State {
    fn attributes(&self, holder: HolderKey) -> Result<&Attributes, Error> {
        let found = match holder {
            HolderKey::Application(key) => self.app_sessions.get(key).map(|session| &session.attributes),
            HolderKey::Session(key) => self.sessions.get(key).map(|session| &session.attributes),
        };
        found.ok_or_else(|| invalid(holder))
    }

    /// The application, whether the session ends, and its attributes.
    fn attributes_mut(&mut self, holder: HolderKey) -> Result<(AppId, bool, &mut Attributes), Error> {
        let found = match holder {
            HolderKey::Application(key) => {
                self.app_sessions.get_mut(key).map(|session| (session.app, session.ending, &mut session.attributes))
            }
            HolderKey::Session(key) => {
                self.sessions.get_mut(key).map(|session| (session.app, session.ending, &mut session.attributes))
            }
        };
        found.ok_or_else(|| invalid(holder))
    }
}

fn invalid(holder: HolderKey) -> Error {
    match holder {
        HolderKey::Application(_) => IllegalState::InvalidApplicationSession.into(),
        HolderKey::Session(_) => IllegalState::InvalidSession.into(),
    }
}

#[cfg(test)]
mod tests;
