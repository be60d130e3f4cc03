//! An application that was deployed: what its author has made, what the deployer has added, and what it keeps here.

use std::any::{Any, TypeId};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use servlet::spi::AppId;
use servlet::{AnyServlet, SipServletRequest};

use crate::counters::Counters;

/// See the module's text.
pub(crate) struct Deployed {
    pub(crate) id: AppId,
    pub(crate) name: Rc<str>,
    pub(crate) application: servlet::SipApplication,
    /// Mapping rules of the deployer's, before those of the application.
    pub(crate) mappings: Vec<(u16, Mapping)>,
    pub(crate) main: Option<u16>,
    pub(crate) lifetime: Option<Duration>,
    pub(crate) proxy_timeout: Duration,
    pub(crate) max_sessions: usize,
    /// How many application sessions it has.
    pub(crate) sessions: Cell<usize>,
    /// It takes no initial requests any more.
    pub(crate) stopping: Cell<bool>,
    pub(crate) locals: RefCell<HashMap<TypeId, Rc<dyn Any>>>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) security: Option<crate::gate::Gate>,
}

/// A condition under which a servlet gets an initial request.
pub(crate) type Mapping = Rc<dyn Fn(&SipServletRequest) -> bool>;

impl Deployed {
    pub(crate) fn servlet(&self, place: u16) -> Option<&Arc<dyn AnyServlet>> {
        self.application.parts.servlets.get(usize::from(place)).map(|(_, servlet)| servlet)
    }

    pub(crate) fn servlet_name(&self, place: u16) -> &str {
        self.application.parts.servlets.get(usize::from(place)).map_or("", |(name, _)| name)
    }

    pub(crate) fn servlet_place(&self, name: &str) -> Option<u16> {
        let place = self.application.parts.servlets.iter().position(|(known, _)| &**known == name)?;
        u16::try_from(place).ok()
    }

    /// The servlet of an initial request: the main one, or that of the first mapping that holds. `None`: 404.
    pub(crate) fn servlet_for(&self, request: &SipServletRequest) -> Option<u16> {
        if self.main.is_some() {
            return self.main;
        }
        let (place, _) = self.mappings.iter().find(|(_, holds)| holds(request))?;
        Some(*place)
    }
}
