//! The deployment descriptor `sip.xml`, JSR 289 §20 and its schema `sip-app_1_1.xsd`, read as it is: elements in any order,
//! with the sipservlet namespace, that of a neighbouring schema, or none (the DTD of JSR 116).
//!
//! ```text
//!   text ──► tree: bounded, no entity expanded, foreign namespaces skipped ──► SipXml
//! ```
//!
//! Left to the deployment: whether names in it (servlets, listeners, roles) exist, and that no two applications share a
//! name. What the container has no use for (references into a JNDI tree, say) is read over and listed.

mod error;
mod read;
mod tree;

use std::num::NonZeroU32;
use std::time::Duration;

use sip_message::Method;

use super::rules::Rule;
pub use error::{SipXmlError, SipXmlMistake};

/// How long a descriptor may be, in octets.
pub const MAX_LENGTH: usize = 256 * 1024;

/// A deployment descriptor. What it leaves open is `None` or empty; the container's defaults apply there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipXml {
    /// `app-name`: under which the application router knows the application.
    pub app_name: String,
    /// The descriptor's `version` attribute.
    pub version: Option<String>,
    /// How to show the application to people.
    pub display: Display,
    /// `distributable`: whether the application may run on several nodes.
    pub distributable: bool,
    /// `context-param`, in order.
    pub context_params: Vec<Param>,
    /// `listener`: class names, in order.
    pub listeners: Vec<String>,
    /// `servlet-selection`, or the `servlet-mapping`s of a 1.0 descriptor.
    pub selection: Option<ServletSelection>,
    /// `servlet`, in order.
    pub servlets: Vec<Servlet>,
    /// `proxy-config`.
    pub proxy: ProxyConfig,
    /// `session-config`: how long an application session lives.
    pub session_timeout: Option<SessionTimeout>,
    /// `security-constraint`, in order.
    pub security_constraints: Vec<SecurityConstraint>,
    /// `login-config`.
    pub login: Option<LoginConfig>,
    /// `security-role`: role names, in order.
    pub security_roles: Vec<String>,
    /// What was read over, in order.
    pub ignored: Vec<Ignored>,
}

impl SipXml {
    /// Reads a descriptor; one with a mistake in it is refused whole.
    pub fn parse(text: &str) -> Result<SipXml, SipXmlError> {
        read::descriptor(tree::Tree::parse(text)?)
    }

    /// The servlet of this name.
    pub fn servlet(&self, name: &str) -> Option<&Servlet> {
        self.servlets.iter().find(|servlet| servlet.name == name)
    }
}

/// The `description`, `display-name`, `icon` group. Of several languages the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Display {
    /// `display-name`.
    pub display_name: Option<String>,
    /// `description`.
    pub description: Option<String>,
    /// `icon/small-icon`: a path.
    pub small_icon: Option<String>,
    /// `icon/large-icon`: a path.
    pub large_icon: Option<String>,
}

/// A parameter of the application or of a servlet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// `param-name`; the only one of its list.
    pub name: String,
    /// `param-value`.
    pub value: String,
}

/// How the servlet for an initial request is chosen. It is one or the other (JSR 289 §16.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServletSelection {
    /// `main-servlet`: this one, for each.
    MainServlet(String),
    /// `servlet-mapping`: the first whose rule matches.
    Mappings(Vec<ServletMapping>),
}

/// A rule and the servlet that gets what matches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServletMapping {
    /// `servlet-name`.
    pub servlet: String,
    /// `pattern`.
    pub pattern: Rule,
}

/// A servlet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Servlet {
    /// `servlet-name`; the only one of the descriptor.
    pub name: String,
    /// `servlet-class`.
    pub class: Option<String>,
    /// How to show the servlet to people.
    pub display: Display,
    /// `init-param`, in order.
    pub init_params: Vec<Param>,
    /// `load-on-startup`: its place among those that start with the application, smaller first; `None` when it starts
    /// with its first request.
    pub load_on_startup: Option<u32>,
    /// `run-as`: the role in which it calls others.
    pub run_as: Option<String>,
    /// `security-role-ref`: what the servlet calls a role, and the role.
    pub role_refs: Vec<RoleRef>,
}

/// A servlet's own name for a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleRef {
    /// `role-name`: what the servlet asks for.
    pub name: String,
    /// `role-link`: the `security-role` that is meant; that of the same name without one.
    pub link: Option<String>,
}

/// `proxy-config`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProxyConfig {
    /// `proxy-timeout`, in seconds there: how long a proxy waits for a final response.
    pub proxy_timeout: Option<Duration>,
    /// `sequential-search-timeout`, in seconds there: the same in 1.0, for sequential forking alone.
    pub sequential_search_timeout: Option<Duration>,
}

impl ProxyConfig {
    /// The timeout that applies: `proxy-timeout`, which replaces the one of 1.0.
    pub fn timeout(&self) -> Option<Duration> {
        self.proxy_timeout.or(self.sequential_search_timeout)
    }
}

/// `session-timeout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionTimeout {
    /// Zero or less there: application sessions do not expire.
    Never,
    /// So many minutes.
    Minutes(NonZeroU32),
}

impl SessionTimeout {
    /// The timeout as a span of time; `None` for never.
    pub fn duration(self) -> Option<Duration> {
        match self {
            SessionTimeout::Never => None,
            SessionTimeout::Minutes(minutes) => Some(Duration::from_secs(u64::from(minutes.get()) * 60)),
        }
    }
}

/// `security-constraint`: who may send what to which servlet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityConstraint {
    /// `display-name`.
    pub display_name: Option<String>,
    /// `resource-collection`: what is protected; never empty.
    pub resources: Vec<ResourceCollection>,
    /// `proxy-authentication`: whether the challenge is 407 instead of 401.
    pub proxy_authentication: bool,
    /// `auth-constraint`: the roles that may pass. `None`: no authentication is asked for; an empty list: nobody may.
    pub roles: Option<Vec<String>>,
    /// `user-data-constraint`.
    pub transport_guarantee: TransportGuarantee,
}

/// `resource-collection`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceCollection {
    /// `resource-name`.
    pub name: String,
    /// `servlet-name`: whose requests are protected.
    pub servlets: Vec<String>,
    /// `sip-method`: requests of these methods; all when empty.
    pub methods: Vec<Method>,
}

/// `transport-guarantee`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransportGuarantee {
    /// `NONE`.
    #[default]
    None,
    /// `INTEGRAL`: nobody on the way can change it.
    Integral,
    /// `CONFIDENTIAL`: nobody on the way can read it.
    Confidential,
}

/// `login-config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginConfig {
    /// `auth-method`.
    pub auth_method: Option<AuthMethod>,
    /// `realm-name`.
    pub realm: Option<String>,
    /// `identity-assertion`.
    pub identity_assertion: Option<IdentityAssertion>,
}

/// `auth-method`. BASIC is none: RFC 3261 §22 forbids it. Others are not served, and so refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// `DIGEST`.
    Digest,
}

/// `identity-assertion`: whether another's word is taken for who the caller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdentityAssertion {
    /// `identity-assertion-scheme`.
    pub scheme: IdentityScheme,
    /// `identity-assertion-support`.
    pub support: IdentitySupport,
}

/// `identity-assertion-scheme`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityScheme {
    /// `P-Asserted-Identity`: RFC 3325.
    PAssertedIdentity,
    /// `Identity`: RFC 8224, in its time RFC 4474.
    Identity,
}

/// `identity-assertion-support`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdentitySupport {
    /// `SUPPORTED`: it is taken when it is there.
    #[default]
    Supported,
    /// `REQUIRED`: a request without it is answered 428.
    Required,
}

/// An element that was read over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// Its name; with its namespace in braces when that is a foreign one.
    pub element: String,
    /// Its line, from 1.
    pub line: u32,
    /// Its column in characters, from 1.
    pub column: u32,
}
