//! A world of clients: [`Softphone`]s with a made-up media side, [`Stranger`]s who speak SIP by hand, and the network
//! between them, in one thread and in virtual time.
//!
//! ```
//! # fn tell(beginning: std::time::Instant) {
//! use client_world::Stage;
//!
//! let stage = Stage::new(1, beginning);
//! let (alice, bob) = (stage.softphone("alice"), stage.softphone("bob"));
//! alice.calls(&bob);
//! stage.a_moment();
//! bob.accepts();
//! stage.a_moment();
//! assert_eq!(bob.told().last().map(String::as_str), Some("DidStart"));
//! # }
//! # tell(std::time::Instant::now());
//! ```

mod media_side;
mod person;
mod rules;
mod softphone;
mod stage;
mod stranger;
mod told;
mod wire;

pub use media_side::{Fate, MediaSide};
pub use person::Person;
pub use rules::broken;
pub use softphone::Softphone;
pub use stage::Stage;
pub use stranger::{Foreigner, Stranger};
pub use told::line;
pub use wire::{Peer, Wire};
