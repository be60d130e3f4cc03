//! Store and forward for MESSAGE (RFC 3428): what finds nobody waits here until its recipient registers.
//!
//! ```text
//!   MESSAGE for a user of ours ──► goes on to the user's phones ──► 200: nothing to do
//!                                         │
//!                                         └─► 480, 408, 503: it is stored, the sender hears 202
//!
//!   the user registers, or it is time to try again ──► MESSAGE from the original sender, with the original Date
//! ```
//!
//! The messages of one recipient belong to one application session, whose key is the recipient's address-of-record. It
//! holds their order as an attribute; the messages themselves are in a [`MessageStore`].
//!
//! What is delivered from the store passes this application like any other MESSAGE, is known by its Call-ID and never
//! stored again. It has one hop less left than the original had, so that two stores that send to each other end as
//! proxies do.
//!
//! | file | what |
//! | --- | --- |
//! | `keep.rs` | what is stored, and what not |
//! | `deliver.rs` | the way out of the store |
//! | `queue.rs` | order, retries, expiry |
//! | `store.rs` | the store |
//!
//! Not here: delivery notifications (RFC 5438) are messages like any other; who may send is the container's security's
//! business, and where the recipient's phones are the proxy's.

mod deliver;
mod keep;
pub mod queue;
mod store;

use std::sync::Arc;
use std::time::Duration;

use servlet::{
    Error, Method, Minutes, Result, ServletContext, ServletTimer, SipApplication, SipServlet, SipServletListener,
    SipServletRequest, SipServletResponse, StatusCode, TimerListener,
};

use crate::domains::Domains;
use crate::location::SharedLocation;
use crate::routes::is_for_us;
use queue::Limits;
pub use store::{Capacity, MemoryStore, MessageId, MessageStore, NotKept, SharedMessageStore, StoredMessage};

/// The name that [`application`] has.
pub const NAME: &str = "messages";

/// How messages are stored and delivered.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whose messages are stored.
    pub domains: Domains,
    /// The responses that lead to storing. 404 is for users that there are not, and belongs here only where a proxy
    /// says it of users who are away.
    pub store_on: Vec<StatusCode>,
    /// How long the recipient's phones are waited for. Shorter than the 32 s after which the sender gives up by itself
    /// (Timer F of RFC 3261 §17.1.2), so that it hears 202 in time.
    pub answer_within: Duration,
    /// How long a message waits that does not say it (Expires), and the longest that any may wait.
    pub longest_wait: Duration,
    /// The longest body that is stored, in octets.
    pub max_octets: usize,
    /// How much may wait for one recipient, and when he is tried again.
    pub limits: Limits,
    /// How long after a registration the first message is sent: a phone that has no answer to its REGISTER yet may not
    /// expect one.
    pub after_registration: Duration,
    /// How much is kept in memory on each worker where the container has no [`SharedMessageStore`].
    pub memory: Capacity,
}

/// Store and forward.
pub fn application(settings: Settings) -> SipApplication {
    let settings = Arc::new(settings);
    let keys = Arc::clone(&settings);
    SipApplication::new(NAME)
        .session_timeout(Minutes(0))
        .application_key(move |request| keys.recipient(request))
        .servlet(Messages(Arc::clone(&settings)))
        .timer_listener(Messages(Arc::clone(&settings)))
        .servlet_listener(Messages(settings))
}

/// Whether a request is for this application: a MESSAGE outside of dialogs to a user of our domains.
pub fn wants(settings: &Settings, request: &SipServletRequest) -> bool {
    request.method() == Method::Message
        && request.is_initial()
        && is_for_us(&settings.domains, request)
        && settings.recipient(request).is_some()
}

/// Tells that a user (`user@domain`) has registered, with the context of this application. Does nothing when nothing
/// waits for him. Called by itself where the container has a [`SharedLocation`].
pub fn registered(settings: &Arc<Settings>, context: &ServletContext, address_of_record: &str) -> Result<(), Error> {
    let sessions = context.sip_sessions_util();
    let Some(session) = sessions.application_session_by_key(address_of_record, false)? else {
        return Ok(());
    };
    let settings = Arc::clone(settings);
    let recipients = session.clone();
    // It is told in the middle of another application's work.
    session.run(async move { Ok(deliver::recipient_is_there(&settings, &recipients)?) })
}

struct Messages(Arc<Settings>);

impl SipServlet for Messages {
    async fn do_message(&self, message: SipServletRequest) -> Result {
        if !message.is_initial() {
            message.create_response(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST)?.send()?;
            return Ok(());
        }
        let proxy = match message.proxy() {
            // The container has said so.
            Err(Error::TooManyHops) => return Ok(()),
            proxy => proxy?,
        };
        if deliver::is_ours(&message)? {
            proxy.set_supervised(false)?;
        } else {
            proxy.set_proxy_timeout(self.0.answer_within)?;
        }
        proxy.proxy_to(&message.request_uri())?;
        Ok(())
    }

    async fn do_response(&self, response: SipServletResponse) -> Result {
        if response.method() != Method::Message || !response.status().is_final() {
            return Ok(());
        }
        match response.proxy() {
            Some(proxy) if self.0.store_on.contains(&response.status()) => {
                let message = proxy.original_request()?;
                if keep::keep(&self.0, &message)? {
                    message.create_response(StatusCode::ACCEPTED)?.send()?;
                }
            }
            Some(_) => {}
            None => deliver::answered(&self.0, &response)?,
        }
        Ok(())
    }
}

impl TimerListener for Messages {
    async fn timeout(&self, timer: ServletTimer) -> Result {
        Ok(deliver::deliver(&self.0, timer.application_session())?)
    }
}

impl SipServletListener for Messages {
    async fn servlet_initialized(&self, context: ServletContext) -> Result {
        let Some(location) = context.resource::<SharedLocation>() else {
            return Ok(());
        };
        let settings = Arc::clone(&self.0);
        location.on_registered(move |event| {
            // A session that has no time for it is tried again by its timer.
            let _ = registered(&settings, &context, event.address_of_record);
        });
        Ok(())
    }
}

impl Settings {
    /// With the usual limits, for these domains.
    pub fn new(domains: Domains) -> Settings {
        let minute = Duration::from_secs(60);
        Settings {
            domains,
            store_on: vec![
                StatusCode::REQUEST_TIMEOUT,
                StatusCode::FLOW_FAILED,
                StatusCode::TEMPORARILY_UNAVAILABLE,
                StatusCode::SERVICE_UNAVAILABLE,
            ],
            answer_within: minute / 3,
            longest_wait: 7 * 24 * 60 * minute,
            max_octets: 64 * 1024,
            limits: Limits {
                messages: 100,
                messages_of_one_sender: 50,
                first_retry: minute / 2,
                longest_retry: 60 * minute,
            },
            after_registration: Duration::from_secs(1),
            memory: Capacity { messages: 100_000, octets: 64 * 1024 * 1024 },
        }
    }

    /// Whom a MESSAGE is for, as `user@domain`; `None` when it is nobody of ours.
    fn recipient(&self, request: &SipServletRequest) -> Option<String> {
        let uri = request.request_uri();
        self.domains.address_of_record(request.as_message(), &uri.as_sip()?.as_message_uri())
    }

    fn store(&self, context: &ServletContext) -> SharedMessageStore {
        let bound = context.resource::<SharedMessageStore>();
        let store = bound
            .unwrap_or_else(|| context.local(|| SharedMessageStore(std::rc::Rc::new(MemoryStore::new(self.memory)))));
        (*store).clone()
    }
}
