//! What a server hosts: the applications, the router among them, and what they share. Everything that `cordboard serve`
//! does with a call is an application on the container; there is nothing beside it.
//!
//! ```text
//!   Config ──► Hosting ──┬──► Container of shard 0 ──► a stack's shard, or a node in virtual time
//!                        ├──► Container of shard 1
//!                        └──► …
//! ```
//!
//! Nothing here has a socket or a clock, so that tests host the same as the program does.

mod call_records;
mod shipped;

use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use applications::location::{LocationSettings, SharedLocation};
use container::routing::sip_xml::SipXml;
use container::routing::{Reload, RuleRouter};
use container::security::DigestSettings;
use container::{Clock, Container, Counters, Deployment, DeploymentError, Report, Resources, Settings};
use servlet::SipApplicationRouter;
use sip_dialog::digest::Algorithm;

use crate::config::{Config, ConfigError, Relay, nearest};

pub use call_records::CallRecords;
pub use shipped::USER_ROLE;

/// What only this server knows. The same on every shard; over restarts, too, if dialogs shall outlive them.
#[derive(Clone)]
pub struct Keys {
    /// For what is written into Record-Route, Path and GRUUs.
    pub routes: [u64; 2],
    /// For nonces.
    pub nonces: [u8; 32],
}

/// See the module's text.
#[derive(Clone)]
pub struct Hosting {
    deployments: Vec<Deployment>,
    router: Option<Arc<dyn SipApplicationRouter>>,
    /// The file that the router is made of, if it is.
    pub(crate) router_file: Option<Reload>,
    settings: Settings,
    location: LocationSettings,
    counters: HashMap<String, Arc<Counters>>,
    call_records: Option<CallRecords>,
}

/// One shard's part of it.
pub struct Shard {
    /// The container.
    pub container: Container,
    /// Where users are, as this shard knows it.
    pub location: Rc<SharedLocation>,
}

impl Hosting {
    /// The shipped applications, as a configuration wants them.
    pub fn shipped(config: &Config, keys: &Keys, shards: u16) -> Result<Hosting, ConfigError> {
        let shipped = shipped::shipped(config)?;
        let mut hosting = Hosting::new(shipped.deployments, config, keys, shards)?;
        match &config.router.dar {
            Some(file) => {
                let reload = hosting.read_router(file)?;
                hosting.router = Some(reload.router().clone());
                hosting.router_file = Some(reload);
            }
            None => {
                let configured = config.route.iter().map(|route| {
                    hosting.check_name("[[route]]", &route.application)?;
                    Ok(route.entry())
                });
                let configured = configured.collect::<Result<Vec<_>, ConfigError>>()?;
                let router = RuleRouter::new(configured.into_iter().chain(shipped.entries));
                hosting.router = Some(Arc::new(router.map_err(|error| ConfigError::new(error.to_string()))?));
            }
        }
        hosting.call_records = shipped.call_records;
        Ok(hosting)
    }

    /// These applications and no others. Without a router a sole application gets every request, and of several the first
    /// that has a servlet for it.
    pub fn own(
        deployments: Vec<Deployment>,
        router: Option<Arc<dyn SipApplicationRouter>>,
        config: &Config,
        keys: &Keys,
        shards: u16,
    ) -> Result<Hosting, ConfigError> {
        let hosting = Hosting::new(deployments, config, keys, shards)?;
        Ok(Hosting { router, ..hosting })
    }

    fn new(deployments: Vec<Deployment>, config: &Config, keys: &Keys, shards: u16) -> Result<Hosting, ConfigError> {
        let deployments = with_descriptors(deployments, config)?;
        Deployment::check_all(&deployments).map_err(of_deployment)?;
        for deployment in &deployments {
            for warning in deployment.warnings() {
                tracing::warn!(application = deployment.name(), "{warning}");
            }
        }
        let counters = deployments.iter().map(|app| (app.name().to_owned(), Arc::default())).collect();
        Ok(Hosting {
            deployments,
            router: None,
            router_file: None,
            settings: settings(config, keys, shards)?,
            location: LocationSettings {
                secret: applications::location::Secret(keys.routes),
                max_bindings: config.registrar.max_contacts,
                max_total: config.registrar.max_bindings,
                shared: shards > 1,
            },
            counters,
            call_records: None,
        })
    }

    /// Opens what is written to.
    pub(crate) fn open_files(&mut self) -> Result<(), ConfigError> {
        self.call_records.as_mut().map_or(Ok(()), CallRecords::open)
    }

    /// What one shard runs. `resources` is what the applications find beside what is made here.
    pub fn shard(
        &self,
        index: u16,
        now: Instant,
        clock: Clock,
        resources: Resources,
    ) -> Result<Shard, DeploymentError> {
        let location = Rc::new(SharedLocation::new(self.location));
        let mut resources = resources.with(location.clone());
        if let Some(records) = &self.call_records {
            resources = resources.with(Rc::new(records.sink()));
        }
        let mut settings = self.settings.clone();
        settings.digest.instance = u32::from(index);
        let mut builder =
            Container::builder().settings(settings).resources(resources).counters(self.counters.clone()).clock(clock);
        for deployment in &self.deployments {
            builder = builder.application(deployment.clone());
        }
        if let Some(router) = &self.router {
            builder = builder.router(router.clone());
        }
        Ok(Shard { container: builder.build(now)?, location })
    }

    /// The names of the applications, in the order of deployment.
    pub fn applications(&self) -> impl Iterator<Item = &str> {
        self.deployments.iter().map(Deployment::name)
    }

    /// What is counted of each application on all shards together.
    pub fn report(&self) -> Report {
        let counted = |name: &'_ str| self.counters.get(name).map(|counters| &**counters);
        Report::of(self.applications().filter_map(|name| Some((name, counted(name)?))))
    }

    fn read_router(&self, file: &Path) -> Result<Reload, ConfigError> {
        let text = std::fs::read_to_string(file).map_err(|error| ConfigError::unreadable(file, &error))?;
        let reload = Reload::new(text).map_err(|error| {
            ConfigError::new(format!("column {}: {}", error.column, error.what)).in_file(file).at_line(error.line)
        })?;
        self.warn_of_router(&reload);
        Ok(reload)
    }

    /// Tells what a router's file says that will not happen.
    pub(crate) fn warn_of_router(&self, reload: &Reload) {
        let router = reload.router();
        for overlooked in router.overlooked() {
            tracing::warn!(line = overlooked.line, what = ?overlooked.what, "the router's file: not heeded");
        }
        for name in router.missing(&self.applications().collect::<Vec<_>>()) {
            tracing::warn!(application = name, "the router's file names an application that is not deployed");
        }
    }

    fn check_name(&self, place: &str, name: &str) -> Result<(), ConfigError> {
        let known: Vec<&str> = self.applications().collect();
        if known.contains(&name) {
            return Ok(());
        }
        let hint = match nearest(name, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", known.join(", ")),
        };
        Err(ConfigError::new(format!("{place} names application `{name}`, which does not run; {hint}")))
    }
}

impl Keys {
    /// From the system's source of randomness.
    pub fn random() -> Result<Keys, getrandom::Error> {
        let mut nonces = [0; 32];
        getrandom::fill(&mut nonces)?;
        Ok(Keys { routes: [getrandom::u64()?, getrandom::u64()?], nonces })
    }

    /// Those that everybody can know: for tests, and to look at a configuration.
    pub fn known(seed: u64) -> Keys {
        Keys { routes: [seed, 0x89ab_cdef], nonces: [seed as u8; 32] }
    }
}

impl std::fmt::Debug for Keys {
    /// No secret gets into a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

fn settings(config: &Config, keys: &Keys, shards: u16) -> Result<Settings, ConfigError> {
    let container = &config.container;
    let algorithms = config.registrar.algorithms.iter().filter_map(|name| Algorithm::parse(name));
    Ok(Settings {
        session_timeout: container.session_timeout(),
        proxy_timeout: std::time::Duration::from_secs(container.proxy_timeout_seconds),
        max_sessions: container.max_sessions,
        max_waiting: container.max_waiting,
        retry_after: std::time::Duration::from_secs(container.retry_after_seconds),
        // A dialog that has passed through a process that is no more goes on by its Route.
        route_orphans: true,
        relay_strays: config.proxy.relay == Relay::Any,
        domains: config.domains.iter().map(|domain| domain.as_str().into()).collect(),
        secret: keys.routes,
        trust: container.trust_domain()?,
        digest: DigestSettings { algorithms: algorithms.collect(), ..DigestSettings::new(keys.nonces, 0) },
        shards,
        handles_call: crate::logs::go_on_with,
        max_breadth: container.max_breadth,
    })
}

/// Adds what `[[application]]` descriptors say to the applications that they name.
fn with_descriptors(mut deployments: Vec<Deployment>, config: &Config) -> Result<Vec<Deployment>, ConfigError> {
    for file in config.application.iter().map(|application| &application.descriptor) {
        let text = std::fs::read_to_string(file).map_err(|error| ConfigError::unreadable(file, &error))?;
        let descriptor = SipXml::parse(&text).map_err(|error| ConfigError::new(error.to_string()).in_file(file))?;
        let name = &descriptor.app_name;
        let Some(place) = deployments.iter().position(|known| known.name() == *name) else {
            let known: Vec<&str> = deployments.iter().map(Deployment::name).collect();
            let what = format!("app-name is `{name}`, which does not run; there are {}", known.join(", "));
            return Err(ConfigError::new(what).in_file(file));
        };
        let added = deployments[place].clone().with_descriptor(&descriptor);
        deployments[place] = added.map_err(|error| of_deployment(error).in_file(file))?;
    }
    Ok(deployments)
}

fn of_deployment(error: DeploymentError) -> ConfigError {
    ConfigError::new(error.to_string())
}
