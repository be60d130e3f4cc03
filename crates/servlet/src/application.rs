//! `SipApplication`: what is deployed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Result;
use crate::handlers::Handlers;
use crate::listener::{
    AnyApplicationSessionListener, AnyErrorListener, AnyServletListener, AnyTimerListener, AttributeListener,
    SipApplicationSessionListener, SipErrorListener, SipServletListener, SipSessionListener, TimerListener,
};
use crate::request::SipServletRequest;
use crate::servlet::{AnyServlet, SipServlet};
use crate::sip_application_session::Minutes;
use crate::timer::ServletTimer;

/// A condition on a request.
pub type Predicate = Arc<dyn Fn(&SipServletRequest) -> bool + Send + Sync>;

/// What gives requests that belong to one application session one key: `@SipApplicationKey`.
pub type KeyMethod = Arc<dyn Fn(&SipServletRequest) -> Option<String> + Send + Sync>;

/// An application: its servlets and listeners, and how it wants to be treated.
///
/// ```
/// use servlet::prelude::*;
///
/// let application = SipApplication::new("greeting")
///     .handlers(Handlers::new().message(|message| async move {
///         message.create_response(StatusCode::OK)?.send()?;
///         Ok(())
///     }))
///     .session_timeout(Minutes(30));
/// assert_eq!(application.name(), "greeting");
/// ```
#[derive(Clone)]
pub struct SipApplication {
    pub(crate) name: Arc<str>,
    /// The parts, for containers.
    #[doc(hidden)]
    pub parts: Parts,
}

/// See [`SipApplication::parts`].
#[doc(hidden)]
#[derive(Clone, Default)]
pub struct Parts {
    pub servlets: Vec<(Arc<str>, Arc<dyn AnyServlet>)>,
    pub main_servlet: Option<Arc<str>>,
    pub mappings: Vec<(Arc<str>, Predicate)>,
    pub key: Option<KeyMethod>,
    pub session_timeout: Option<Minutes>,
    pub proxy_timeout: Option<Duration>,
    pub init_parameters: BTreeMap<String, String>,
    pub max_sessions: Option<usize>,
    pub application_session_listeners: Vec<Arc<dyn AnyApplicationSessionListener>>,
    pub session_listeners: Vec<Arc<dyn SipSessionListener>>,
    pub attribute_listeners: Vec<Arc<dyn AttributeListener>>,
    pub error_listeners: Vec<Arc<dyn AnyErrorListener>>,
    pub servlet_listeners: Vec<Arc<dyn AnyServletListener>>,
    pub timer_listener: Option<Arc<dyn AnyTimerListener>>,
    pub second_timer_listener: bool,
    pub ambiguities: Vec<String>,
}

impl SipApplication {
    /// An application of this name, which must be the only one of its name in a container.
    pub fn new(name: &str) -> SipApplication {
        SipApplication { name: name.into(), parts: Parts::default() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The one servlet of a small application.
    #[must_use]
    pub fn servlet(self, servlet: impl SipServlet) -> SipApplication {
        let name = self.name.clone();
        self.named_servlet(&name, servlet)
    }

    /// A servlet with a name, for main-servlet, mappings and [`crate::SipSession::set_handler`].
    #[must_use]
    pub fn named_servlet(mut self, name: &str, servlet: impl SipServlet) -> SipApplication {
        self.parts.servlets.push((name.into(), Arc::new(servlet)));
        self
    }

    /// Functions in the place of a servlet.
    #[must_use]
    pub fn handlers(mut self, handlers: Handlers) -> SipApplication {
        self.parts.ambiguities.extend(handlers.ambiguities());
        self.servlet(handlers)
    }

    /// The servlet that initial requests go to.
    #[must_use]
    pub fn main_servlet(mut self, name: &str) -> SipApplication {
        self.parts.main_servlet = Some(name.into());
        self
    }

    /// Initial requests of this kind go to this servlet; the first mapping that holds counts.
    #[must_use]
    pub fn servlet_mapping(
        mut self,
        name: &str,
        condition: impl Fn(&SipServletRequest) -> bool + Send + Sync + 'static,
    ) -> SipApplication {
        self.parts.mappings.push((name.into(), Arc::new(condition)));
        self
    }

    /// Gives initial requests a key; those with the same key belong to the same application session.
    #[must_use]
    pub fn application_key(
        mut self,
        key: impl Fn(&SipServletRequest) -> Option<String> + Send + Sync + 'static,
    ) -> SipApplication {
        self.parts.key = Some(Arc::new(key));
        self
    }

    /// How long a session lives in which nothing happens. 0: without end. By default as the container says: 15 minutes.
    #[must_use]
    pub fn session_timeout(mut self, after: Minutes) -> SipApplication {
        self.parts.session_timeout = Some(after);
        self
    }

    /// How long a proxy operation may take. By default three minutes.
    #[must_use]
    pub fn proxy_timeout(mut self, after: Duration) -> SipApplication {
        self.parts.proxy_timeout = Some(after);
        self
    }

    /// A parameter for [`crate::ServletContext::init_parameter`].
    #[must_use]
    pub fn init_parameter(mut self, name: &str, value: &str) -> SipApplication {
        self.parts.init_parameters.insert(name.to_owned(), value.to_owned());
        self
    }

    /// How many sessions the application may have on each worker; initial requests beyond are answered 503.
    #[must_use]
    pub fn max_sessions(mut self, most: usize) -> SipApplication {
        self.parts.max_sessions = Some(most);
        self
    }

    /// Hears of timers. A second such listener is refused at deployment.
    #[must_use]
    pub fn timer_listener(mut self, listener: impl TimerListener) -> SipApplication {
        self.parts.second_timer_listener |= self.parts.timer_listener.is_some();
        self.parts.timer_listener = Some(Arc::new(listener));
        self
    }

    /// A function in the place of a timer listener.
    #[must_use]
    pub fn on_timer<F>(self, handler: impl Fn(ServletTimer) -> F + Send + Sync + 'static) -> SipApplication
    where
        F: Future<Output = Result> + 'static,
    {
        self.timer_listener(OnTimer(handler))
    }

    /// Hears of application sessions.
    #[must_use]
    pub fn application_session_listener(mut self, listener: impl SipApplicationSessionListener) -> SipApplication {
        self.parts.application_session_listeners.push(Arc::new(listener));
        self
    }

    /// Hears of SIP sessions.
    #[must_use]
    pub fn session_listener(mut self, listener: impl SipSessionListener) -> SipApplication {
        self.parts.session_listeners.push(Arc::new(listener));
        self
    }

    /// Hears of attributes.
    #[must_use]
    pub fn attribute_listener(mut self, listener: impl AttributeListener) -> SipApplication {
        self.parts.attribute_listeners.push(Arc::new(listener));
        self
    }

    /// Hears of missing ACKs and PRACKs.
    #[must_use]
    pub fn error_listener(mut self, listener: impl SipErrorListener) -> SipApplication {
        self.parts.error_listeners.push(Arc::new(listener));
        self
    }

    /// Hears of the application's own life.
    #[must_use]
    pub fn servlet_listener(mut self, listener: impl SipServletListener) -> SipApplication {
        self.parts.servlet_listeners.push(Arc::new(listener));
        self
    }
}

struct OnTimer<H>(H);

impl<H, F> TimerListener for OnTimer<H>
where
    H: Fn(ServletTimer) -> F + Send + Sync + 'static,
    F: Future<Output = Result> + 'static,
{
    async fn timeout(&self, timer: ServletTimer) -> Result {
        (self.0)(timer).await
    }
}

impl std::fmt::Debug for SipApplication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SipApplication({})", self.name)
    }
}
