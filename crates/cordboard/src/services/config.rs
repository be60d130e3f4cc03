//! What the built-in services are told: plain data that a program's configuration file maps to.

use std::fmt;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use sip_dialog::digest::Algorithm;

/// Settings of the built-in services, the same in every shard.
#[derive(Clone, Debug)]
pub struct ServicesConfig {
    /// The domains that we are responsible for (RFC 3261 §16.5), beside the addresses of our listeners.
    pub domains: Vec<Box<str>>,
    /// Who may register, and who is known. Empty: whoever registers is known.
    pub users: Users,
    /// The digest algorithms that challenges offer, strongest first whatever their order here. MD5 alone by default: of
    /// the clients in use many look at the first challenge only, and some give up when one of several is not MD5.
    pub algorithms: Vec<Algorithm>,
    /// What registrations may look like.
    pub registrar: RegistrarConfig,
    /// How requests are forwarded.
    pub proxy: ProxyConfig,
    /// Whether a call to the user `echo` at our domains and addresses is answered here.
    pub echo: bool,
    /// What a caller is told to wait when he is refused because we are leaving or full (RFC 3261 §20.33).
    pub retry_after: Duration,
    /// What keeps the URIs that we give out from being forged (Record-Route, Path, GRUU) and nonces from being made by
    /// others. The same in every shard, and over restarts if dialogs and GRUUs shall outlive them.
    pub secret: Secret,
    /// What the wall clock showed at one instant; for Date (RFC 3261 §20.17), and for nothing else.
    pub clock: WallClock,
    /// Whether there are other shards that have to be told of registrations.
    pub shared: bool,
}

/// What registrations may look like (RFC 3261 §10.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistrarConfig {
    /// Whether a REGISTER has to prove who sent it (RFC 3261 §22).
    pub authenticate: bool,
    /// Shorter registrations get 423 with Min-Expires.
    pub min_expires: Duration,
    /// Longer registrations are cut to this.
    pub max_expires: Duration,
    /// What a registration without an expiry gets.
    pub default_expires: Duration,
    /// Bindings of one address-of-record.
    pub max_bindings: usize,
    /// Bindings of all addresses-of-record.
    pub max_total: usize,
    /// How often a client with an outbound flow has to send a keep-alive (RFC 5626 §4.4); tells it by Flow-Timer.
    pub flow_timer: Duration,
}

/// To whom the proxy forwards what is not for a user of our domains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relay {
    /// To nobody, except what is in a dialog that passes through us.
    None,
    /// To any Request-URI.
    Any,
}

/// How requests are forwarded (RFC 3261 §16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyConfig {
    /// To whom.
    pub relay: Relay,
    /// Whether we stay on the path of dialogs.
    pub record_route: bool,
    /// Whether the contacts of a 3xx are tried here instead of by the caller (RFC 3261 §16.7 step 4).
    pub recurse: bool,
    /// Whether a request that claims to come from one of our domains has to prove it (407).
    pub authenticate: bool,
    /// RFC 3261 §16.6 step 11: more than three minutes.
    pub timer_c: Duration,
    /// RFC 5393 §5.3.3: how many branches one request may have at a time, here and downstream.
    pub max_breadth: u32,
    /// How many targets one request may have at all, recursion included.
    pub max_targets: usize,
}

impl Default for ServicesConfig {
    fn default() -> ServicesConfig {
        ServicesConfig {
            domains: Vec::new(),
            users: Users::default(),
            algorithms: vec![Algorithm::MD5],
            registrar: RegistrarConfig::default(),
            proxy: ProxyConfig::default(),
            echo: false,
            retry_after: Duration::from_secs(10),
            secret: Secret([0, 0]),
            clock: WallClock::unknown(),
            shared: false,
        }
    }
}

impl Default for RegistrarConfig {
    fn default() -> RegistrarConfig {
        RegistrarConfig {
            authenticate: true,
            min_expires: Duration::from_secs(60),
            max_expires: Duration::from_secs(24 * 3600),
            default_expires: Duration::from_secs(3600),
            max_bindings: 10,
            max_total: 1_000_000,
            flow_timer: Duration::from_secs(120),
        }
    }
}

impl Default for ProxyConfig {
    fn default() -> ProxyConfig {
        ProxyConfig {
            relay: Relay::None,
            record_route: true,
            recurse: false,
            authenticate: false,
            timer_c: Duration::from_secs(181),
            max_breadth: 60,
            max_targets: 70,
        }
    }
}

/// Whom we know, by name.
#[derive(Clone, Debug, Default)]
pub struct Users {
    by_name: HashMap<Box<str>, UserSecret, foldhash::fast::FixedState>,
}

/// What a user proves who he is with.
#[derive(Clone, PartialEq, Eq)]
pub enum UserSecret {
    /// The password itself.
    Password(Box<str>),
    /// `H(name:realm:password)` in lower-case hexadecimal digits (RFC 7616 §3.4.2), as far as it is known.
    Ha1 {
        /// By MD5.
        md5: Option<Box<str>>,
        /// By SHA-256.
        sha256: Option<Box<str>>,
    },
}

impl Users {
    /// Adds a user, or gives him a new secret.
    pub fn insert(&mut self, name: &str, secret: UserSecret) {
        self.by_name.insert(name.into(), secret);
    }

    /// What a user proves who he is with; `None` for a stranger.
    pub fn secret(&self, name: &str) -> Option<&UserSecret> {
        self.by_name.get(name)
    }

    /// Whether this user is known.
    pub fn contains(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Whether nobody is known, so that everybody is.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

impl fmt::Debug for UserSecret {
    /// No secret gets into a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserSecret")
    }
}

/// 128 bits that only this server knows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret(pub [u64; 2]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// What the wall clock showed at one instant. All deadlines are instants; this serves the Date header alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WallClock {
    at: Option<(Instant, u64)>,
}

impl WallClock {
    /// A clock that showed `unix_seconds` (since 1970-01-01 00:00 UTC) at `instant`.
    pub fn new(instant: Instant, unix_seconds: u64) -> WallClock {
        WallClock { at: Some((instant, unix_seconds)) }
    }

    /// No clock: there will be no Date.
    pub fn unknown() -> WallClock {
        WallClock { at: None }
    }

    /// Seconds since 1970-01-01 00:00 UTC.
    pub fn unix_seconds(&self, now: Instant) -> Option<u64> {
        let (instant, seconds) = self.at?;
        Some(seconds.saturating_add(now.saturating_duration_since(instant).as_secs()))
    }
}
