//! `SipApplicationSession`: one instance of an application, with the sessions, timers and attributes that belong to it.

use std::fmt;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use crate::attribute::{Attribute, AttributeValue};
use crate::context::ServletContext;
use crate::error::{Error, IllegalArgument, IllegalState};
use crate::session::SipSession;
use crate::spi::{AppSessionFacts, AppSessionKey, HolderKey, Host, Repeat, Schedule};
use crate::timer::ServletTimer;
use crate::uri::SipUri;

/// One instance of an application.
///
/// Cheap to clone; clones are the same session. An operation on a session that was invalidated gives
/// [`IllegalState::InvalidApplicationSession`] and changes nothing.
#[derive(Clone)]
pub struct SipApplicationSession {
    host: Host,
    key: AppSessionKey,
    facts: Rc<AppSessionFacts>,
}

/// A protocol of sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// SIP sessions.
    Sip,
    /// HTTP sessions.
    Http,
}

/// A session of any protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolSession {
    /// A SIP session.
    Sip(SipSession),
}

/// When a session ends of age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiration {
    /// It does not.
    Never,
    /// Its time has come, and it was not extended.
    Expired,
    /// Then, if nothing happens in it until then.
    At(SystemTime),
}

/// A lifetime, in minutes. 0 asks for one without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Minutes(pub u32);

/// What became of a wish for more time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granted {
    /// The session lives so long from now.
    Minutes(Minutes),
    /// The session does not expire.
    Forever,
    /// The session lives as long as before.
    Denied,
}

impl Minutes {
    /// The same as a duration.
    pub fn duration(self) -> Duration {
        Duration::from_secs(u64::from(self.0) * 60)
    }
}

impl SipApplicationSession {
    /// A handle; made by containers.
    #[doc(hidden)]
    pub fn new(host: Host, key: AppSessionKey, facts: Rc<AppSessionFacts>) -> SipApplicationSession {
        SipApplicationSession { host, key, facts }
    }

    /// What the container calls it.
    #[doc(hidden)]
    pub fn key(&self) -> AppSessionKey {
        self.key
    }

    /// The id, unique among all sessions of all nodes, also after this one has become invalid. Contains the application's
    /// key, if there is one.
    pub fn id(&self) -> String {
        self.facts.id()
    }

    /// The name of the application.
    pub fn application_name(&self) -> &str {
        &self.facts.application
    }

    /// The application.
    pub fn servlet_context(&self) -> Result<ServletContext, Error> {
        let app = self.host.app_of(self.key).ok_or(IllegalState::InvalidApplicationSession)?;
        Ok(ServletContext::new(self.host.clone(), app))
    }

    /// When the session was created. [`IllegalState`] when it is not valid.
    pub fn creation_time(&self) -> Result<SystemTime, Error> {
        if self.is_valid() { Ok(self.facts.created) } else { Err(IllegalState::InvalidApplicationSession.into()) }
    }

    /// When a request last came or went, or a response last came. What the application does with attributes and timers
    /// does not count.
    pub fn last_accessed_time(&self) -> SystemTime {
        self.facts.last_accessed.get()
    }

    /// When the session would expire if nothing happened any more.
    pub fn expiration_time(&self) -> Result<Expiration, Error> {
        self.host.expiration(self.key)
    }

    /// Asks to live so long from now, whether or not something happens. Each request and incoming response then begins
    /// the same time anew.
    pub fn set_expires(&self, after: Minutes) -> Result<Granted, Error> {
        self.host.set_expires(self.key, after)
    }

    /// Whether the session can be used.
    pub fn is_valid(&self) -> bool {
        self.host.app_session_is_valid(self.key)
    }

    /// Ends the session: its SIP sessions, its attributes and its timers. No BYE is sent; see
    /// [`SipSession::terminate_dialog`] for that.
    pub fn invalidate(&self) -> Result<(), Error> {
        self.host.invalidate_app_session(self.key)
    }

    /// Whether every session of it is ready to be invalidated, and no timer is active.
    pub fn is_ready_to_invalidate(&self) -> Result<bool, Error> {
        self.host.app_session_is_ready(self.key)
    }

    /// Whether the container invalidates the session when it is ready. By default it does.
    pub fn invalidate_when_ready(&self) -> Result<bool, Error> {
        self.host.app_session_invalidate_when_ready(self.key)
    }

    /// Chooses whether the container invalidates the session when it is ready.
    pub fn set_invalidate_when_ready(&self, when: bool) -> Result<(), Error> {
        self.host.set_app_session_invalidate_when_ready(self.key, when)
    }

    /// The valid sessions of all protocols.
    pub fn sessions(&self) -> Result<Vec<ProtocolSession>, Error> {
        Ok(self.sip_sessions()?.into_iter().map(ProtocolSession::Sip).collect())
    }

    /// The valid sessions of a protocol: `SIP` or `HTTP`, in any case. [`IllegalArgument::Protocol`] for another name.
    pub fn sessions_of(&self, protocol: &str) -> Result<Vec<ProtocolSession>, Error> {
        let sessions = self.sessions()?;
        match protocol.to_ascii_uppercase().as_str() {
            "SIP" => Ok(sessions),
            "HTTP" => Ok(Vec::new()),
            _ => Err(IllegalArgument::Protocol(protocol.into()).into()),
        }
    }

    /// The valid SIP sessions.
    pub fn sip_sessions(&self) -> Result<Vec<SipSession>, Error> {
        self.host.sip_sessions(self.key)
    }

    /// The SIP session with this id.
    pub fn sip_session(&self, id: &str) -> Result<Option<SipSession>, Error> {
        Ok(self.sip_sessions()?.into_iter().find(|session| session.id() == id))
    }

    /// The session with this id, of a protocol.
    pub fn session(&self, id: &str, protocol: Protocol) -> Result<Option<ProtocolSession>, Error> {
        match protocol {
            Protocol::Sip => Ok(self.sip_session(id)?.map(ProtocolSession::Sip)),
            Protocol::Http => self.sessions().map(|_| None),
        }
    }

    /// Starts a timer that fires once. It survives a restart of the process as the session does.
    pub fn create_timer(&self, delay: Duration, info: impl Attribute) -> Result<ServletTimer, Error> {
        let info = Some(AttributeValue::new(info));
        self.host.create_timer(self.key, Schedule { delay, repeat: Repeat::Once, persistent: true, info })
    }

    /// Starts a timer with every choice that there is.
    pub fn create_timer_with(
        &self,
        delay: Duration,
        repeat: Repeat,
        persistent: bool,
        info: impl Attribute,
    ) -> Result<ServletTimer, Error> {
        let info = Some(AttributeValue::new(info));
        self.host.create_timer(self.key, Schedule { delay, repeat, persistent, info })
    }

    /// The active timers.
    pub fn timers(&self) -> Result<Vec<ServletTimer>, Error> {
        self.host.timers(self.key)
    }

    /// The active timer with this id.
    pub fn timer(&self, id: &str) -> Result<Option<ServletTimer>, Error> {
        Ok(self.timers()?.into_iter().find(|timer| timer.id() == id))
    }

    /// The attribute of this name. `None` when there is none, or it is of another type.
    pub fn attribute<T: Attribute>(&self, name: &str) -> Result<Option<Rc<T>>, Error> {
        Ok(self.host.attribute(HolderKey::Application(self.key), name)?.and_then(|value| value.get()))
    }

    /// The names of the attributes.
    pub fn attribute_names(&self) -> Result<Vec<String>, Error> {
        self.host.attribute_names(HolderKey::Application(self.key))
    }

    /// Binds a value to a name; one that was bound before is replaced.
    pub fn set_attribute(&self, name: &str, value: impl Attribute) -> Result<(), Error> {
        self.host.set_attribute(HolderKey::Application(self.key), name, AttributeValue::new(value))
    }

    /// Unbinds a value; nothing happens when there is none.
    pub fn remove_attribute(&self, name: &str) -> Result<(), Error> {
        self.host.remove_attribute(HolderKey::Application(self.key), name)
    }

    /// Writes this session into a SIP or SIPS URI, so that a request to that URI comes to this session. A key method does
    /// the same without disturbing the composition of applications, and is to be preferred.
    pub fn encode_uri(&self, uri: &mut SipUri) -> Result<(), Error> {
        if !self.is_valid() {
            return Err(IllegalState::InvalidApplicationSession.into());
        }
        uri.set_parameter(ENCODED_SESSION, self.id().as_str())?;
        Ok(())
    }

    /// Writes this session into an HTTP URL, so that requests to it come to this session.
    pub fn encode_url(&self, url: &str) -> Result<String, Error> {
        if !self.is_valid() {
            return Err(IllegalState::InvalidApplicationSession.into());
        }
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(IllegalArgument::Scheme(url.split(':').next().unwrap_or_default().into()).into());
        }
        let (base, fragment) = match url.split_once('#') {
            Some((base, fragment)) => (base, format!("#{fragment}")),
            None => (url, String::new()),
        };
        let separator = if base.contains('?') { '&' } else { '?' };
        let id: String = self.id().bytes().map(percent_encoded).collect();
        Ok(format!("{base}{separator}{ENCODED_SESSION}={id}{fragment}"))
    }

    /// Runs a piece of the application as one of this session's events: when those that came before are done, and before
    /// those that come later.
    pub fn run(&self, task: impl Future<Output = crate::Result> + 'static) -> Result<(), Error> {
        self.host.run_in(self.key, Box::pin(task))
    }
}

/// The parameter that an encoded URI or URL has.
pub const ENCODED_SESSION: &str = "cordboard-session";

fn percent_encoded(octet: u8) -> String {
    match octet {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(octet).to_string(),
        other => format!("%{other:02X}"),
    }
}

impl AppSessionFacts {
    /// The id: partition, number and key.
    pub fn id(&self) -> String {
        match &self.key {
            None => format!("{:02x}{:016x}", self.partition, self.number),
            Some(key) => format!("{:02x}{:016x}:{key}", self.partition, self.number),
        }
    }
}

impl PartialEq for SipApplicationSession {
    fn eq(&self, other: &SipApplicationSession) -> bool {
        self.key == other.key
    }
}

impl Eq for SipApplicationSession {}

impl fmt::Debug for SipApplicationSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SipApplicationSession({} of {})", self.id(), self.application_name())
    }
}
