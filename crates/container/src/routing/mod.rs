//! Who is asked: the texts by which a deployer says which application, and which servlet in it, an initial request is for,
//! and the application routers that heed them.
//!
//! ```text
//!                       ┌ DefaultApplicationRouter, of a DarTable  (JSR 289 appendix C)
//!   initial request ──► ┤                                        ──► application ──► servlet mapping: which servlet of it
//!                       └ RuleRouter, of entries with rules        (JSR 289 §15)     (JSR 289 §16.2, sip.xml or TOML)
//! ```
//!
//! Everything here reads text and answers; what is done with the answers is the dispatcher's business. A text that is
//! wrong is refused whole, with the line and column at which the deployer finds the mistake.

mod chain;
pub mod dar;
mod default_router;
mod reload;
mod rule_router;
pub mod rules;
pub mod sip_xml;
mod subscriber;

pub use default_router::{DefaultApplicationRouter, Overlooked, OverlookedPart};
pub use reload::{Reload, Reloaded};
pub use rule_router::{Entry, RuleRouter, TooManyEntries};
pub use subscriber::{HeaderText, NoSubscriber, SubscriberUri};
