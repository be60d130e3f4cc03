//! Chat rooms: whoever calls `chat` or `chat-NAME` is in a room with all others who do. RFC 7701 (chat rooms over MSRP),
//! RFC 4579 (the focus of a conference), RFC 4575 (who is in it).
//!
//! ```text
//!              INVITE, BYE              SUBSCRIBE, NOTIFY
//!   peer ◄────────────────► joining     subscribing ◄────────────► peer
//!                              │             ▲
//!                              ▼             │ the roster has changed
//!                            Room ───────────┘     who is there, who is called what, who gets what
//!                              ▲
//!                              ▼
//!   peer ◄── MSRP ──► Switchboard                  message/cpim, NICKNAME
//! ```
//!
//! A room is there as soon as somebody calls it, and is over when the last one has left. All of one room belongs to one
//! application session, whose key is the room's address-of-record, and so to one worker, whichever a request comes to.
//! What comes by MSRP comes from another thread, and becomes an event of that application session (`wire.rs`).
//!
//! | file | what |
//! | --- | --- |
//! | `room/` | the room itself, pure |
//! | `identity.rs` | who is who |
//! | `switchboard.rs` | what carries messages: a resource of the container |
//! | `wire.rs` | from its thread into the room's application session |
//! | `focus.rs` | a room, its calls and its subscriptions together |
//! | `joining.rs`, `description.rs` | calls and their descriptions |
//! | `subscribing.rs`, `conference_info.rs` | subscriptions and their documents |
//!
//! Not here: rooms by REFER and by dial-out (RFC 4579 §5.2 to §5.9), media other than messages, moderation, rooms that
//! stay while nobody is there. Who a caller really is, is for the container's security to find out before.

mod conference_info;
mod description;
mod focus;
mod identity;
mod joining;
mod refusal;
pub mod room;
mod subscribing;
mod switchboard;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use servlet::{
    Method, Minutes, Result, ServletContext, ServletTimer, SipApplication, SipErrorListener, SipServlet,
    SipServletListener, SipServletRequest, SipServletResponse, SipSession, SipSessionListener, StatusCode,
    TimerListener,
};

use crate::domains::Domains;
pub use conference_info::CONTENT_TYPE as CONFERENCE_INFO;
pub use identity::Who;
use room::Policy;
pub use switchboard::{Happening, Opened, Plan, Switchboard};

/// The name that [`application`] has.
pub const NAME: &str = "chat-room";

/// The event package.
const PACKAGE: &str = "conference";

const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, SUBSCRIBE, NOTIFY";

/// What can be chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The user that is a room; with a hyphen and a name behind it, another one.
    pub user: String,
    /// Our domains.
    pub domains: Domains,
    /// What holds in every room.
    pub policy: Policy,
    /// The longest message, in octets.
    pub max_message: usize,
    /// How many rooms each worker has; who calls another is answered 503.
    pub max_rooms: usize,
    /// Subscribers are told of changes this often at most (RFC 4575 §3.9).
    pub notify_interval: Duration,
    /// The longest subscription.
    pub longest_subscription: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            user: "chat".to_owned(),
            domains: Domains::default(),
            policy: Policy::default(),
            max_message: 128 * 1024,
            max_rooms: 1_000,
            notify_interval: Duration::from_secs(5),
            longest_subscription: Duration::from_secs(24 * 3600),
        }
    }
}

/// The application. The container needs a `Box<dyn Switchboard>`; without it nobody gets in.
pub fn application(settings: Settings) -> SipApplication {
    let settings = Arc::new(settings);
    let keys = Arc::clone(&settings);
    SipApplication::new(NAME)
        .max_sessions(settings.max_rooms)
        .session_timeout(Minutes(0))
        .application_key(move |request| keys.room(request))
        .servlet(ChatRooms(Arc::clone(&settings)))
        .timer_listener(ChatRooms(Arc::clone(&settings)))
        .session_listener(ChatRooms(Arc::clone(&settings)))
        .error_listener(ChatRooms(Arc::clone(&settings)))
        .servlet_listener(ChatRooms(settings))
}

/// Calls to a room, and questions about one.
pub fn wants(settings: &Settings, request: &SipServletRequest) -> bool {
    let is_ours = match request.method() {
        Method::Invite | Method::Options => true,
        Method::Subscribe => subscribing::event(request).is_ok(),
        _ => false,
    };
    is_ours && settings.room(request).is_some()
}

struct ChatRooms(Arc<Settings>);

impl SipServlet for ChatRooms {
    async fn do_request(&self, request: SipServletRequest) -> Result {
        match request.method() {
            Method::Invite | Method::Update => refusal::answer(&request, joining::invite(&self.0, &request)),
            Method::Subscribe => refusal::answer(&request, subscribing::subscribe(&self.0, &request)),
            Method::Ack => joining::acknowledged(&self.0, &request),
            Method::Cancel => joining::cancelled(&self.0, &request),
            Method::Bye => {
                reply(&request, StatusCode::OK)?;
                joining::ended(&self.0, &request)
            }
            Method::Options | Method::Info => reply(&request, StatusCode::OK),
            // RFC 3515 §2.4.2: nobody is invited for others.
            Method::Refer => reply(&request, StatusCode::DECLINE),
            _ => reply(&request, StatusCode::METHOD_NOT_ALLOWED),
        }
    }

    async fn do_response(&self, response: SipServletResponse) -> Result {
        if response.method() == Method::Notify && response.status().is_final() {
            return subscribing::answered(&self.0, &response);
        }
        Ok(())
    }
}

impl TimerListener for ChatRooms {
    async fn timeout(&self, timer: ServletTimer) -> Result {
        subscribing::fired(&self.0, &timer)
    }
}

impl SipErrorListener for ChatRooms {
    async fn no_ack_received(&self, request: SipServletRequest, _response: SipServletResponse) -> Result {
        joining::unacknowledged(&self.0, &request)
    }
}

impl SipSessionListener for ChatRooms {
    fn session_destroyed(&self, session: &SipSession) {
        let Ok(application) = session.application_session() else { return };
        let (settings, session, room) = (Arc::clone(&self.0), session.clone(), application.clone());
        // It is told in the middle of something; a room that ends altogether needs to know no more.
        let _ = application.run(async move { focus::session_gone(&settings, &room, &session) });
    }
}

impl SipServletListener for ChatRooms {
    async fn servlet_initialized(&self, context: ServletContext) -> Result {
        wire::listen(Arc::clone(&self.0), context).await
    }
}

impl Settings {
    /// The room that a request is for, as `user@domain`.
    fn room(&self, request: &SipServletRequest) -> Option<String> {
        let uri = request.request_uri();
        let room = self.domains.address_of_record(request.as_message(), &uri.as_sip()?.as_message_uri())?;
        let (user, _) = room.rsplit_once('@')?;
        self.is_room(user).then_some(room)
    }

    /// `chat`, or `chat-lobby`.
    fn is_room(&self, user: &str) -> bool {
        let name = user.strip_prefix(&self.user);
        name.is_some_and(|name| name.is_empty() || name.strip_prefix('-').is_some_and(|name| !name.is_empty()))
    }
}

fn reply(request: &SipServletRequest, status: StatusCode) -> Result {
    let response = request.create_response(status)?;
    if status.is_success() || status == StatusCode::METHOD_NOT_ALLOWED {
        response.set_header("Allow", ALLOW)?;
    }
    if request.method() == Method::Options {
        response.set_header("Accept", "application/sdp")?;
        response.set_header("Allow-Events", PACKAGE)?;
    }
    Ok(response.send()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_called_by_the_user_alone_or_with_a_name_behind_it() {
        let is_room = |user: &str| Settings::default().is_room(user);
        assert!(is_room("chat") && is_room("chat-lobby") && is_room("chat-a-b"));
        assert!(!is_room("chat-") && !is_room("chatter") && !is_room("Chat") && !is_room("lobby"));
    }
}
