//! How a container is set up.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use crate::security::{DigestSettings, TrustDomain};

/// Settings of one container.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long an application session lives in which nothing happens, when its application does not say. `None`: for
    /// ever.
    pub session_timeout: Option<Duration>,
    /// How long a proxy operation takes at most, when its application does not say.
    pub proxy_timeout: Duration,
    /// Application sessions on this shard; initial requests beyond are answered 503.
    pub max_sessions: usize,
    /// Events that wait for a session's handler to come to its end; initial requests beyond are answered 503.
    pub max_waiting: usize,
    /// What Retry-After says in a 503.
    pub retry_after: Duration,
    /// Requests of a dialog that has come through here, whose session is no more, are forwarded by their Route instead of
    /// being answered 481.
    pub route_orphans: bool,
    /// Requests of dialogs that nobody here knows are forwarded by their Route or Request-URI, for whoever asks, as a
    /// proxy has to that knows no dialogs (RFC 3261 §16). Only for a network where every sender is known.
    pub relay_strays: bool,
    /// Names of ours besides the addresses of the listeners.
    pub domains: Vec<Box<str>>,
    /// The key of what is written into Record-Route and Path, to be the same on every shard and node.
    pub secret: [u64; 2],
    /// Whose word on an identity is taken (RFC 3325).
    pub trust: TrustDomain,
    /// How users are asked for passwords. Its key is to be the same on every shard and node, its instance to differ.
    pub digest: DigestSettings,
    /// How many shards there are; a key's session lives on one of them.
    pub shards: u16,
    /// Is told the Call-ID of the call whose handler runs next, so that what is logged until then can say it.
    pub handles_call: fn(&str),
    /// RFC 5393 §5.3.3: the breadth of a request that does not say.
    pub max_breadth: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            session_timeout: Some(Duration::from_secs(15 * 60)),
            proxy_timeout: Duration::from_secs(180),
            max_sessions: 1_000_000,
            max_waiting: 1_000,
            retry_after: Duration::from_secs(5),
            route_orphans: false,
            relay_strays: false,
            domains: Vec::new(),
            secret: [0, 0],
            trust: TrustDomain::nobody(),
            digest: DigestSettings::new([0; 32], 0),
            shards: 1,
            handles_call: |_| (),
            max_breadth: 60,
        }
    }
}

/// What is bound to a container for all its applications, by type: [`servlet::ServletContext::resource`].
#[derive(Clone, Default)]
pub struct Resources(HashMap<TypeId, Rc<dyn Any>>);

impl Resources {
    /// Binds a value, in the place of one of the same type.
    #[must_use]
    pub fn with<T: 'static>(mut self, value: Rc<T>) -> Resources {
        self.0.insert(TypeId::of::<T>(), value);
        self
    }

    pub(crate) fn get(&self, of: TypeId) -> Option<Rc<dyn Any>> {
        self.0.get(&of).cloned()
    }
}
