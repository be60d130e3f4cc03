//! The configuration file of `cordboard serve`: TOML, every key with a default, unknown keys refused.

mod applications;
mod container;
mod error;
mod msrp_relay;
mod operations;
mod routes;
#[cfg(test)]
mod tests;
mod user;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use sip_dialog::digest::Algorithm;
use sip_message::Transport;

pub use applications::{
    ApplicationsConfig, B2buaConfig, CallbackConfig, ChatRoomConfig, EchoConfig, ForwardingConfig, ForwardingRules,
    GroupConfig, MessagesConfig, NextHop, PrepaidConfig, PresenceConfig, RingGroupConfig, RingOrder,
};
pub use container::ContainerConfig;
pub use error::ConfigError;
pub(crate) use error::nearest;
pub use msrp_relay::MsrpRelayConfig;
pub use operations::{LogConfig, LogFormat, OperationsConfig};
pub use routes::{DescriptorConfig, RouteConfig, RouterConfig};
pub use user::UserConfig;

/// What `cordboard serve` is told.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Where to listen, as `transport:host:port`.
    pub listen: Vec<ListenAddress>,
    /// The name or address that others reach us by, when it is not the one that we listen on.
    pub public_host: Option<String>,
    /// How many shards, each with a thread and a share of the sockets; 0 means one a processor.
    pub workers: u16,
    /// The domains that we serve. Our own addresses are always among them.
    pub domains: Vec<String>,
    /// The registrar.
    pub registrar: RegistrarConfig,
    /// The proxy.
    pub proxy: ProxyConfig,
    /// Who may register.
    pub user: Vec<UserConfig>,
    /// Certificates.
    pub tls: TlsConfig,
    /// WebSocket listeners.
    pub websocket: WebSocketConfig,
    /// What peers may cost us.
    pub limits: LimitsConfig,
    /// How long calls may go on after SIGTERM, in seconds.
    pub drain_seconds: u64,
    /// Whether `sip:echo@…` answers and sends back what it hears.
    pub echo: bool,
    /// What holds for all applications.
    pub container: ContainerConfig,
    /// The applications that can be switched on, and what they are told.
    pub applications: ApplicationsConfig,
    /// Which application an initial request is for, before the applications' own wishes are asked.
    pub route: Vec<RouteConfig>,
    /// An application router of another kind.
    pub router: RouterConfig,
    /// Deployment descriptors, which add to what is said here.
    pub application: Vec<DescriptorConfig>,
    /// A relay for chats and files.
    pub msrp_relay: MsrpRelayConfig,
    /// What operators look at.
    pub operations: OperationsConfig,
    /// The log.
    pub log: LogConfig,
}

/// `[registrar]`
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RegistrarConfig {
    /// Whether REGISTER needs digest credentials. Without the key: yes as soon as there is a `[[user]]`.
    pub authenticate: Option<bool>,
    /// The digest algorithms that challenges offer: `MD5`, `SHA-256`, `SHA-512-256`. More than one confuses many phones.
    pub algorithms: Vec<String>,
    /// The shortest registration, in seconds (RFC 3261 §10.3 step 7).
    pub min_expires: u32,
    /// The longest registration, in seconds.
    pub max_expires: u32,
    /// The registration of a peer that names no time, in seconds.
    pub default_expires: u32,
    /// How many contacts one address-of-record may have.
    pub max_contacts: usize,
    /// How many bindings there may be in all.
    pub max_bindings: usize,
}

/// `[proxy]`
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ProxyConfig {
    /// Which requests for foreign domains are forwarded.
    pub relay: Relay,
    /// Whether we stay in the path of the dialogs that we forward.
    pub record_route: bool,
    /// Whether calls need digest credentials of one of our users.
    pub authenticate: bool,
    /// Whether we follow 3xx responses ourselves.
    pub recurse: bool,
    /// Timer C, in seconds: how long a branch may ring (RFC 3261 §16.6 step 11 asks for more than 180).
    pub ring_seconds: u64,
}

/// Which requests for foreign domains are forwarded.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Relay {
    /// None: 403.
    None,
    /// All of them. Only for a network where every sender is known.
    Any,
}

/// `[tls]`
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TlsConfig {
    /// The certificate chain, PEM. Read again when the file changes.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// Certificates of the authorities that we trust, in the place of the system's, PEM.
    pub ca: Option<PathBuf>,
    /// Whether clients must show a certificate of such an authority.
    pub require_client_certificate: bool,
}

/// `[websocket]`
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct WebSocketConfig {
    /// The Origins that browsers may come from; empty means any.
    pub origins: Vec<String>,
}

/// `[limits]`
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LimitsConfig {
    /// Octets of one message.
    pub message: usize,
    /// Header lines of one message.
    pub headers: usize,
    /// Octets of one header line.
    pub line: usize,
    /// Octets of a Request-URI.
    pub uri: usize,
    /// Octets of a body.
    pub body: usize,
    /// Calls that wait for their answer, in one shard; more get 503.
    pub pending: usize,
    /// Connections from one address.
    pub connections_per_address: usize,
    /// Connections in all.
    pub connections: usize,
    /// Seconds until an idle connection is closed.
    pub idle_seconds: u64,
}

impl Default for Config {
    fn default() -> Config {
        let listen = ["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060", "ws:127.0.0.1:5066"];
        Config {
            listen: listen.map(|text| text.parse().expect("the defaults are listen addresses")).to_vec(),
            public_host: None,
            workers: 0,
            domains: Vec::new(),
            registrar: RegistrarConfig::default(),
            proxy: ProxyConfig::default(),
            user: Vec::new(),
            tls: TlsConfig::default(),
            websocket: WebSocketConfig::default(),
            limits: LimitsConfig::default(),
            drain_seconds: 30,
            echo: true,
            container: ContainerConfig::default(),
            applications: ApplicationsConfig::default(),
            route: Vec::new(),
            router: RouterConfig::default(),
            application: Vec::new(),
            msrp_relay: MsrpRelayConfig::default(),
            operations: OperationsConfig::default(),
            log: LogConfig::default(),
        }
    }
}

impl Default for RegistrarConfig {
    fn default() -> RegistrarConfig {
        RegistrarConfig {
            authenticate: None,
            algorithms: vec!["MD5".to_owned()],
            min_expires: 60,
            max_expires: 86_400,
            default_expires: 3_600,
            max_contacts: 10,
            max_bindings: 1_000_000,
        }
    }
}

impl Default for ProxyConfig {
    fn default() -> ProxyConfig {
        ProxyConfig { relay: Relay::None, record_route: true, authenticate: false, recurse: false, ring_seconds: 185 }
    }
}

impl Default for LimitsConfig {
    fn default() -> LimitsConfig {
        let message = sip_message::Limits::default();
        LimitsConfig {
            message: message.message,
            headers: message.headers,
            line: message.line,
            uri: message.uri,
            body: message.body,
            pending: 20_000,
            connections_per_address: 64,
            connections: 20_000,
            idle_seconds: 120,
        }
    }
}

impl Config {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::unreadable(path, &error))?;
        Config::parse(&text).map_err(|error| error.in_file(path))
    }

    /// Reads a text.
    pub fn parse(text: &str) -> Result<Config, ConfigError> {
        let config: Config = toml::from_str(text).map_err(|error| ConfigError::of_toml(&error, text))?;
        config.check()?;
        Ok(config)
    }

    /// Checks what no single key shows.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.listen.is_empty() {
            return Err(ConfigError::new("`listen` is empty: there is nothing to serve"));
        }
        let secure = self.listen.iter().find(|address| address.transport.is_secure());
        if let Some(address) = secure
            && (self.tls.certificate.is_none() || self.tls.key.is_none())
        {
            return Err(ConfigError::new(format!(
                "`listen` has {address}, which needs `certificate` and `key` in [tls]"
            )));
        }
        if self.tls.require_client_certificate && self.tls.ca.is_none() {
            return Err(ConfigError::new(
                "`require-client-certificate` in [tls] needs `ca`: who may vouch for clients",
            ));
        }
        let mut seen = BTreeMap::new();
        for address in &self.listen {
            if seen.insert((address.transport, address.addr), ()).is_some() && address.addr.port() != 0 {
                return Err(ConfigError::new(format!("`listen` has {address} twice")));
            }
        }
        if self.registrar.min_expires > self.registrar.max_expires {
            return Err(ConfigError::new("`min-expires` in [registrar] is above `max-expires`"));
        }
        for name in &self.registrar.algorithms {
            if Algorithm::parse(name).is_none() {
                return Err(ConfigError::new(format!(
                    "`algorithms` in [registrar] has `{name}`, which is none we know"
                )));
            }
        }
        if self.registrar.algorithms.is_empty() {
            return Err(ConfigError::new("`algorithms` in [registrar] is empty"));
        }
        if self.workers > 64 {
            return Err(ConfigError::new("`workers` is above 64"));
        }
        for user in &self.user {
            user.check()?;
        }
        self.container.check()?;
        self.applications.check()?;
        self.operations.check()?;
        self.msrp_relay.check(self)?;
        if self.router.dar.is_some() && !self.route.is_empty() {
            return Err(ConfigError::new("`dar` in [router] takes the place of [[route]]: say one of them"));
        }
        Ok(())
    }

    /// Whether REGISTER needs credentials.
    pub fn registrar_authenticates(&self) -> bool {
        self.registrar.authenticate.unwrap_or(!self.user.is_empty())
    }

    /// How long calls may go on after SIGTERM.
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }
}

/// `transport:host:port`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ListenAddress {
    /// The protocol.
    pub transport: Transport,
    /// The address; port 0 lets the system choose.
    pub addr: SocketAddr,
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<ListenAddress, String> {
        let form = "want transport:host:port with udp, tcp, tls, ws or wss, such as udp:127.0.0.1:5060";
        let wrong = || format!("`{text}` is no listen address: {form}");
        let (transport, rest) = text.split_once(':').ok_or_else(wrong)?;
        let transport = Transport::from_token(transport).ok_or_else(wrong)?;
        let addr = match rest.parse::<SocketAddr>() {
            Ok(addr) => addr,
            Err(_) => {
                let (host, port) = rest.rsplit_once(':').ok_or_else(wrong)?;
                let port = port.parse().map_err(|_| wrong())?;
                let ip = match host {
                    "localhost" => IpAddr::from([127, 0, 0, 1]),
                    "*" => IpAddr::from([0, 0, 0, 0]),
                    host => host.trim_matches(['[', ']']).parse().map_err(|_| wrong())?,
                };
                SocketAddr::new(ip, port)
            }
        };
        Ok(ListenAddress { transport, addr })
    }
}

impl TryFrom<String> for ListenAddress {
    type Error = String;

    fn try_from(text: String) -> Result<ListenAddress, String> {
        text.parse()
    }
}

impl std::fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.transport.via_token().to_ascii_lowercase(), self.addr)
    }
}
