//! A server of one's own applications, in one's own program.

use std::fmt::Display;
use std::sync::Arc;

use container::{Deployment, Resources};
use servlet::SipApplicationRouter;

use crate::config::{Config, ConfigError, ListenAddress};
use crate::hosting::{Hosting, Keys};
use crate::logs;
use crate::serve::{ServeError, Server, shards};

/// Puts a [`Server`] together.
///
/// ```no_run
/// use cordboard::prelude::*;
///
/// struct Hello;
///
/// impl SipServlet for Hello {
///     async fn do_invite(&self, invite: SipServletRequest) -> Result {
///         let busy = invite.create_response_with_reason(StatusCode::BUSY_HERE, "Hello, world")?;
///         Ok(busy.send()?)
///     }
/// }
///
/// fn main() -> Result {
///     let hello = SipApplication::new("hello").servlet(Hello);
///     Ok(Server::builder().application(hello).listen("udp:127.0.0.1:5060").run()?)
/// }
/// ```
#[must_use]
pub struct ServerBuilder {
    config: Config,
    listen: Vec<String>,
    applications: Vec<Deployment>,
    router: Option<Arc<dyn SipApplicationRouter>>,
    resources: Option<MakeResources>,
}

/// Makes what the applications of one shard find by its type.
pub(crate) type MakeResources = Arc<dyn Fn(u16) -> Resources + Send + Sync>;

impl Server {
    /// A server of the caller's applications, and of no others.
    pub fn builder() -> ServerBuilder {
        ServerBuilder {
            config: Config::default(),
            listen: Vec::new(),
            applications: Vec::new(),
            router: None,
            resources: None,
        }
    }
}

impl ServerBuilder {
    /// One more application; a [`Deployment`] adds what its deployer has to say. Without a router a sole application
    /// gets every request.
    pub fn application(mut self, application: impl Into<Deployment>) -> ServerBuilder {
        self.applications.push(application.into());
        self
    }

    /// Who is asked which application a request is for.
    pub fn router(mut self, router: impl SipApplicationRouter) -> ServerBuilder {
        self.router = Some(Arc::new(router));
        self
    }

    /// One more address to listen on, as `transport:host:port`: `udp:127.0.0.1:5060`. The first takes the place of those
    /// of the configuration.
    pub fn listen(mut self, address: impl Display) -> ServerBuilder {
        self.listen.push(address.to_string());
        self
    }

    /// Listeners, limits, TLS, `[container]`, `[operations]` and the like as in a configuration file. What it says of the
    /// shipped applications is not heeded.
    pub fn config(mut self, config: Config) -> ServerBuilder {
        self.config = config;
        self
    }

    /// Shards, each with a thread; 0 means one a processor.
    pub fn workers(mut self, workers: u16) -> ServerBuilder {
        self.config.workers = workers;
        self
    }

    /// What the applications find by its type (`ServletContext::resource`); made once in each shard, on its thread.
    pub fn resources(mut self, make: impl Fn(u16) -> Resources + Send + Sync + 'static) -> ServerBuilder {
        self.resources = Some(Arc::new(make));
        self
    }

    /// Serves until the server is dropped or drained.
    pub fn start(self) -> Result<Server, ServeError> {
        self.start_with().map(|(server, _)| server)
    }

    /// Serves until SIGTERM or Ctrl-C, then lets calls come to their end. Writes the log to standard error, unless this
    /// process has another.
    pub fn run(self) -> Result<(), ServeError> {
        logs::start(self.config.log.format);
        let (server, config) = self.start_with()?;
        for (transport, addr) in server.listeners() {
            tracing::info!("listening on {}:{addr}", transport.uri_param());
        }
        server.run(&config)
    }

    fn start_with(mut self) -> Result<(Server, Config), ServeError> {
        if !self.listen.is_empty() {
            let listen = self.listen.iter().map(|text| text.parse::<ListenAddress>().map_err(ConfigError::new));
            self.config.listen = listen.collect::<Result<_, _>>().map_err(ServeError::Configuration)?;
        }
        self.config.check().map_err(ServeError::Configuration)?;
        let keys = Keys::random().map_err(ServeError::NoRandomness)?;
        let hosting = Hosting::own(self.applications, self.router, &self.config, &keys, shards(&self.config));
        let hosting = hosting.map_err(ServeError::Configuration)?;
        let server = Server::host(&self.config, hosting, self.resources)?;
        Ok((server, self.config))
    }
}
