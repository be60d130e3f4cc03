//! The container behind the handles: applications, state, and how both are reached.

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::rc::{Rc, Weak};

use servlet::spi::{AppId, AppSessionKey, Host, SessionKey};
use servlet::{ServletContext, SipApplicationRouter, SipApplicationSession, SipSession};

use crate::deployed::Deployed;
use crate::settings::Settings;
use crate::state::State;

/// One shard's container. Handles reach it by the traits of [`servlet::spi`]; the driver by [`crate::Container`].
pub(crate) struct Core {
    this: Weak<Core>,
    pub(crate) settings: Settings,
    pub(crate) apps: Vec<Deployed>,
    pub(crate) router: RefCell<std::sync::Arc<dyn SipApplicationRouter>>,
    pub(crate) draining: Cell<bool>,
    /// What is to be told to the other shards.
    pub(crate) published: RefCell<Vec<crate::Published>>,
    /// Futures that belong to no session and were not begun.
    pub(crate) spawned: RefCell<Vec<(AppId, servlet::spi::Task)>>,
    pub(crate) resources: crate::settings::Resources,
    pub(crate) telling: crate::listeners::Telling,
    state: RefCell<State>,
}

impl Core {
    pub(crate) fn new(
        settings: Settings,
        apps: Vec<Deployed>,
        router: std::sync::Arc<dyn SipApplicationRouter>,
        resources: crate::settings::Resources,
        state: State,
    ) -> Rc<Core> {
        Rc::new_cyclic(|this| Core {
            this: this.clone(),
            settings,
            apps,
            router: RefCell::new(router),
            draining: Cell::new(false),
            published: RefCell::new(Vec::new()),
            spawned: RefCell::new(Vec::new()),
            resources,
            telling: crate::listeners::Telling::default(),
            state: RefCell::new(state),
        })
    }

    /// The state, to look at. Never held while application code runs.
    pub(crate) fn state(&self) -> Ref<'_, State> {
        self.state.borrow()
    }

    /// The state, to change. Never held while application code runs.
    pub(crate) fn state_mut(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }

    /// What handles hold.
    pub(crate) fn host(&self) -> Host {
        self.this.upgrade().expect("whoever calls a method of the core holds it")
    }

    /// For futures of the container's own.
    pub(crate) fn rc(&self) -> Rc<Core> {
        self.this.upgrade().expect("whoever calls a method of the core holds it")
    }

    pub(crate) fn app(&self, app: AppId) -> &Deployed {
        &self.apps[usize::from(app.0)]
    }

    pub(crate) fn context(&self, app: AppId) -> ServletContext {
        ServletContext::new(self.host(), app)
    }

    /// A handle to an application session, if it is valid.
    pub(crate) fn app_session(&self, key: AppSessionKey) -> Option<SipApplicationSession> {
        let facts = Rc::clone(&self.state().app_sessions.get(key)?.facts);
        Some(SipApplicationSession::new(self.host(), key, facts))
    }

    /// A handle to a session, if it is valid.
    pub(crate) fn session(&self, key: SessionKey) -> Option<SipSession> {
        let facts = Rc::clone(&self.state().sessions.get(key)?.facts);
        Some(SipSession::new(self.host(), key, facts))
    }
}
