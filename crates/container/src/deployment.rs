//! A deployment: an application as its author has made it, and what its deployer adds, in code or by a `sip.xml`
//! ([`Deployment::with_descriptor`]). What is said last counts, and what the deployer says counts more than what the
//! author said.
//!
//! One deployment serves every shard; each makes of it what it keeps itself.

mod descriptor;
mod error;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use servlet::spi::AppId;
use servlet::{Minutes, SipApplication, SipServletRequest};

use crate::counters::Counters;
use crate::deployed::{Deployed, Mapping};
use crate::gate::{Gate, RoleName};
use crate::routing::rules::Rule;
use crate::security::{
    AccessControl, AllowedRoles, ConfiguredUsers, LoginConfig, SecurityConstraint, SecurityPolicy, UserStore,
};
use crate::settings::Settings;
pub use error::{DeploymentError, DeploymentMistake, DeploymentWarning};

/// See the module's text.
///
/// ```
/// use container::Deployment;
/// use servlet::prelude::*;
///
/// let echo = SipApplication::new("echo").handlers(Handlers::new().options(|options| async move {
///     options.create_response(StatusCode::OK)?.send()?;
///     Ok(())
/// }));
/// let deployment = Deployment::new(echo).session_timeout(Minutes(5)).max_sessions(10_000);
/// assert_eq!(deployment.check(), Ok(()));
/// ```
#[derive(Clone, Debug)]
pub struct Deployment {
    name: Arc<str>,
    application: SipApplication,
    /// The deployer's choice of servlets, in the place of the author's.
    selection: Option<Selection>,
    session_timeout: Option<Minutes>,
    proxy_timeout: Option<Duration>,
    max_sessions: Option<usize>,
    policy: SecurityPolicy,
    users: Option<Users>,
    role_names: Vec<RoleName>,
    warnings: Vec<DeploymentWarning>,
}

/// How the servlet of an initial request is chosen (JSR 289 §16.2).
#[derive(Clone, Debug)]
enum Selection {
    Main(Arc<str>),
    Mappings(Vec<(Rule, Arc<str>)>),
}

/// Makes the store of one shard.
#[derive(Clone)]
struct Users(Arc<dyn Fn() -> Rc<dyn UserStore> + Send + Sync>);

impl Deployment {
    /// The application as it is.
    pub fn new(application: SipApplication) -> Deployment {
        Deployment {
            name: application.name().into(),
            application,
            selection: None,
            session_timeout: None,
            proxy_timeout: None,
            max_sessions: None,
            policy: SecurityPolicy::default(),
            users: None,
            role_names: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The application's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What was said and will not be heeded.
    pub fn warnings(&self) -> &[DeploymentWarning] {
        &self.warnings
    }

    /// One more security constraint.
    #[must_use]
    pub fn constraint(mut self, constraint: SecurityConstraint) -> Deployment {
        self.policy.constraints.push(constraint);
        self
    }

    /// How users log in.
    #[must_use]
    pub fn login(mut self, login: LoginConfig) -> Deployment {
        self.policy.login = Some(login);
        self
    }

    /// Who the users are.
    #[must_use]
    pub fn users(self, users: ConfiguredUsers) -> Deployment {
        self.user_store(move || Rc::new(users.clone()))
    }

    /// Where the users are found. Every shard makes its own store.
    #[must_use]
    pub fn user_store(mut self, make: impl Fn() -> Rc<dyn UserStore> + Send + Sync + 'static) -> Deployment {
        self.users = Some(Users(Arc::new(make)));
        self
    }

    /// The servlet that all initial requests go to.
    #[must_use]
    pub fn main_servlet(mut self, servlet: &str) -> Deployment {
        self.selection = Some(Selection::Main(servlet.into()));
        self
    }

    /// Initial requests that the rule holds for go to this servlet, unless an earlier mapping holds too. The application's
    /// own mappings come behind the deployer's.
    #[must_use]
    pub fn mapping(mut self, rule: Rule, servlet: &str) -> Deployment {
        match &mut self.selection {
            Some(Selection::Mappings(mappings)) => mappings.push((rule, servlet.into())),
            selection => *selection = Some(Selection::Mappings(vec![(rule, servlet.into())])),
        }
        self
    }

    /// How long a session lives in which nothing happens. 0: without end.
    #[must_use]
    pub fn session_timeout(mut self, after: Minutes) -> Deployment {
        self.session_timeout = Some(after);
        self
    }

    /// How long a proxy operation may take.
    #[must_use]
    pub fn proxy_timeout(mut self, after: Duration) -> Deployment {
        self.proxy_timeout = Some(after);
        self
    }

    /// How many sessions the application may have on each shard.
    #[must_use]
    pub fn max_sessions(mut self, most: usize) -> Deployment {
        self.max_sessions = Some(most);
        self
    }

    /// A parameter for [`servlet::ServletContext::init_parameter`], in the place of one of this name.
    #[must_use]
    pub fn init_parameter(mut self, name: &str, value: &str) -> Deployment {
        self.application.parts.init_parameters.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Whether this can be deployed.
    pub fn check(&self) -> Result<(), DeploymentError> {
        self.mistake().map_or(Ok(()), |mistake| Err(self.error(mistake)))
    }

    /// Whether these can be deployed together.
    pub fn check_all(deployments: &[Deployment]) -> Result<(), DeploymentError> {
        for (index, deployment) in deployments.iter().enumerate() {
            deployment.check()?;
            if deployments[..index].iter().any(|other| other.name == deployment.name) {
                return Err(deployment.error(DeploymentMistake::TwoApplications));
            }
        }
        match deployments.get(usize::from(u16::MAX)) {
            Some(deployment) => Err(deployment.error(DeploymentMistake::TooMany)),
            None => Ok(()),
        }
    }

    fn error(&self, what: DeploymentMistake) -> DeploymentError {
        DeploymentError { application: (*self.name).into(), what }
    }

    fn mistake(&self) -> Option<DeploymentMistake> {
        let parts = &self.application.parts;
        if self.name.trim().is_empty() {
            return Some(DeploymentMistake::NoName);
        }
        if parts.servlets.is_empty() {
            return Some(DeploymentMistake::NoServlet);
        }
        if parts.servlets.len() >= usize::from(u16::MAX) {
            return Some(DeploymentMistake::TooMany);
        }
        for (index, (name, _)) in parts.servlets.iter().enumerate() {
            if parts.servlets[..index].iter().any(|(other, _)| other == name) {
                return Some(DeploymentMistake::TwoServlets((**name).into()));
            }
        }
        if parts.second_timer_listener {
            return Some(DeploymentMistake::SecondTimerListener);
        }
        if let Some(ambiguity) = parts.ambiguities.first() {
            return Some(DeploymentMistake::Ambiguous(ambiguity.as_str().into()));
        }
        self.mistake_of_selection().or_else(|| self.mistake_of_security())
    }

    fn mistake_of_selection(&self) -> Option<DeploymentMistake> {
        let parts = &self.application.parts;
        let unknown = |name: &Arc<str>| self.place(name).is_none();
        if let Some(name) = self.named_main().filter(|name| unknown(name)) {
            return Some(DeploymentMistake::UnknownMainServlet((**name).into(), self.servlet_names()));
        }
        let mapped = self.deployers_mappings().iter().map(|(_, name)| name);
        if let Some(name) = mapped.chain(parts.mappings.iter().map(|(name, _)| name)).find(|name| unknown(name)) {
            return Some(DeploymentMistake::UnknownMappedServlet((**name).into(), self.servlet_names()));
        }
        let is_selected = self.main().is_some() || !self.deployers_mappings().is_empty() || !parts.mappings.is_empty();
        (!is_selected).then(|| DeploymentMistake::NoSelection(self.servlet_names()))
    }

    fn mistake_of_security(&self) -> Option<DeploymentMistake> {
        for constraint in &self.policy.constraints {
            if let Some(name) = constraint.servlets.iter().find(|name| self.place(name).is_none()) {
                return Some(DeploymentMistake::UnknownConstrainedServlet(name.clone(), self.servlet_names()));
            }
        }
        let asks_who = |constraint: &SecurityConstraint| match &constraint.roles {
            AllowedRoles::Everybody => false,
            AllowedRoles::Only(roles) => !roles.is_empty(),
            AllowedRoles::AnyRole => true,
        };
        if !self.policy.constraints.iter().any(asks_who) {
            return None;
        }
        match (&self.policy.login, &self.users) {
            (None, _) => Some(DeploymentMistake::NoLogin),
            (_, None) => Some(DeploymentMistake::NoUsers),
            _ => None,
        }
    }

    fn servlet_names(&self) -> Vec<Box<str>> {
        self.application.parts.servlets.iter().map(|(name, _)| (**name).into()).collect()
    }

    fn place(&self, servlet: &str) -> Option<u16> {
        let place = self.application.parts.servlets.iter().position(|(name, _)| **name == *servlet)?;
        u16::try_from(place).ok()
    }

    fn named_main(&self) -> Option<&Arc<str>> {
        match &self.selection {
            Some(Selection::Main(name)) => Some(name),
            Some(Selection::Mappings(_)) => None,
            None => self.application.parts.main_servlet.as_ref(),
        }
    }

    /// The servlet of all initial requests: the one that was named, or the only one if nobody has mapped it.
    fn main(&self) -> Option<u16> {
        if let Some(name) = self.named_main() {
            return self.place(name);
        }
        let parts = &self.application.parts;
        let is_mapped = self.selection.is_some() || !parts.mappings.is_empty();
        (parts.servlets.len() == 1 && !is_mapped).then_some(0)
    }

    fn deployers_mappings(&self) -> &[(Rule, Arc<str>)] {
        match &self.selection {
            Some(Selection::Mappings(mappings)) => mappings,
            _ => &[],
        }
    }

    /// What one shard keeps of it.
    pub(crate) fn into_deployed(self, id: AppId, settings: &Settings, counters: Arc<Counters>) -> Deployed {
        let parts = &self.application.parts;
        let lifetime = match self.session_timeout.or(parts.session_timeout) {
            Some(Minutes(0)) => None,
            Some(Minutes(minutes)) => Some(Duration::from_secs(u64::from(minutes) * 60)),
            None => settings.session_timeout,
        };
        Deployed {
            id,
            name: (*self.name).into(),
            mappings: self.mappings(),
            main: self.main(),
            lifetime,
            proxy_timeout: self.proxy_timeout.or(parts.proxy_timeout).unwrap_or(settings.proxy_timeout),
            max_sessions: self.max_sessions.or(parts.max_sessions).unwrap_or(settings.max_sessions),
            sessions: Default::default(),
            stopping: Default::default(),
            locals: Default::default(),
            counters,
            security: self.gate(settings),
            application: self.application,
        }
    }

    fn mappings(&self) -> Vec<(u16, Mapping)> {
        let deployers = self.deployers_mappings().iter().filter_map(|(rule, servlet)| {
            let rule = rule.clone();
            let holds: Mapping = Rc::new(move |request: &SipServletRequest| rule.matches(&request.sip_request()));
            Some((self.place(servlet)?, holds))
        });
        let authors = self.application.parts.mappings.iter().filter_map(|(servlet, predicate)| {
            let predicate = Arc::clone(predicate);
            let holds: Mapping = Rc::new(move |request: &SipServletRequest| predicate(request));
            Some((self.place(servlet)?, holds))
        });
        deployers.chain(authors).collect()
    }

    fn gate(&self, settings: &Settings) -> Option<Gate> {
        if self.policy == SecurityPolicy::default() {
            return None;
        }
        let (digest, trust) = (settings.digest.clone(), settings.trust.clone());
        let control = AccessControl::new(self.policy.clone(), digest, trust, settings.domains.clone());
        let users = self.users.as_ref().map_or_else(|| Rc::new(ConfiguredUsers::new()) as Rc<dyn UserStore>, |u| u.0());
        Some(Gate::new(control, users, self.role_names.clone()))
    }
}

impl From<SipApplication> for Deployment {
    fn from(application: SipApplication) -> Deployment {
        Deployment::new(application)
    }
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Users")
    }
}

#[cfg(test)]
mod tests;
