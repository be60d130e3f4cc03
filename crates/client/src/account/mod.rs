//! Accounts: an address of record, how requests of it are routed and authenticated, and its registration.
//!
//! | room | what it is |
//! | --- | --- |
//! | `account.rs` | what the settings say, checked; identity and Contact; which requests are for it |
//! | `manager.rs`, `wishes.rs` | all accounts of an engine: which is meant, how they come, change and go |
//! | `outgoing.rs`, `dispatch.rs` | what they send, and who of them gets which event |
//! | `registration.rs`, `granted.rs`, `keeper.rs` | REGISTER with Outbound and GRUU; flows kept alive |
//! | `routing.rs` | outbound proxy, Service-Route, RFC 3263 |
//! | `credentials.rs` | digest authentication, for our own realm and on our own way |
//! | `sending.rs`, `exchange.rs` | a request with its targets and its repetition with credentials |
//! | `incoming.rs` | requests that belong to no session |
//! | `message.rs`, `options.rs` | MESSAGE and OPTIONS outside of dialogs |
//! | `watch.rs`, `message_summary.rs`, `conference.rs`, `xml.rs` | subscriptions that are kept up, and what is notified |
//! | `bonjour.rs` | the account without a server |

#[allow(clippy::module_inception)]
mod account;
mod bonjour;
mod conference;
mod credentials;
mod dispatch;
mod exchange;
mod granted;
mod incoming;
mod keeper;
mod manager;
mod message;
mod message_summary;
mod options;
mod outgoing;
mod registration;
mod routing;
mod sending;
mod watch;
mod wishes;
mod xml;

use sip_message::StatusCode;

pub use account::{Account, BONJOUR_ID};
pub use bonjour::{Announcement, BonjourAccount, Neighbour};
pub use manager::AccountManager;

/// An account of an engine. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(pub u32);

impl AccountId {
    /// The account without a server.
    pub const BONJOUR: AccountId = AccountId(0);
}

/// In the tokens of all timers of accounts, and of no others.
pub(crate) const TIMER_BIT: u64 = 1 << 63;

/// Whether a response asks for credentials.
pub(crate) fn is_challenge(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED)
}
